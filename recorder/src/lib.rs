//! From samples on the wire to a durable recording.
//!
//! The way of a sample: a zenoh callback stamps it and puts it into the [`queue`]; the writer thread takes it out, enters
//! it in the [`ledger`], watches its rhythm, and writes it into the open part. Knows no window and no dataset.

pub mod capture;
pub mod clock;
pub mod control;
pub mod daemon;
pub mod episode;
pub mod health;
pub mod ledger;
pub mod leftover;
pub mod observe;
pub mod parts;
pub mod preflight;
pub mod queue;
pub mod recorder;
pub mod retention;
pub mod ring;
pub mod status;
pub mod text;
pub mod trigger;

mod engine;
mod output;
mod resolve;
mod stamp;
mod sync;
