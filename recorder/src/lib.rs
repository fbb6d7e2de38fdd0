//! From samples on the wire to a durable recording. Knows no window and no dataset.

pub mod ledger;
mod stamp;
