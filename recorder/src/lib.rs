//! From samples to a recording. Knows the wire through `sagwan-bridges` and the recording through `sagwan-schemas`.

pub mod episode;
pub mod ring;
pub mod text;
