//! What the end-to-end tests of sagwan stand on: a disk that fails on demand, and an independent look into parts.
//!
//! Nothing here reads a part with sagwan's own reader: what the recorder wrote is judged by the `mcap` crate.

pub mod contents;
pub mod disk;
