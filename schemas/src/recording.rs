//! How a recording lies on disk: its directory, its manifest and its parts.
//!
//! A recording is a directory (see [`layout`]); a part is one MCAP file of it, complete and playable alone. The writer
//! never seeks back: whatever was written before a crash is whole records, so a torn part loses its last chunk at most.

pub mod layout;
pub mod manifest;
pub mod overview;
pub mod part_reader;
pub mod part_writer;
pub mod recover;
pub mod storage;
pub mod verify;

mod chunk;
mod record;
