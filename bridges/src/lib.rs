//! Sources of samples: wire dialects, files and simulated platforms. Knows no recorder and no dataset.

pub mod native;
pub mod replay;
pub mod simulate;
pub mod wire;
