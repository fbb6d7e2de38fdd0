//! What simulated cameras see: a small software renderer and a JPEG encoder that skips what did not move.
//!
//! World frames are right-handed, metres, z up. Camera frames are optical: x right, y down, z forward.
//! Knows no platform and no stream.

pub mod camera;
pub mod canvas;
pub mod counter;
pub mod jpeg;
pub mod model;
pub mod sky;
pub mod texture;
