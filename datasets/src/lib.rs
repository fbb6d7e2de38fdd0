//! From recordings to datasets: what is wrong with them, what belongs together, and what others can train on. Knows no
//! wire and no window; reads recordings from disk through `sagwan-schemas`.

pub mod check;
pub mod finding;
