//! Calibration of a camera.

use foxglove::messages as fx;

use super::{check::array, error::Problem};
use crate::time::Timestamp;

/// Intrinsics of a camera: how points of its optical frame (+x right, +y down, +z into the scene) become pixels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CameraCalibration {
    /// From when it holds, UTC.
    pub timestamp: Timestamp,
    /// Optical frame of the camera.
    pub frame_id: String,
    /// Width of the calibrated image, pixels.
    pub width: u32,
    /// Height of the calibrated image, pixels.
    pub height: u32,
    /// `plumb_bob`, `rational_polynomial`, `equidistant`/`kannala_brandt`, `fisheye62`…; empty: not distorted.
    pub distortion_model: String,
    /// Distortion parameters; number and meaning depend on the model.
    pub d: Vec<f64>,
    /// Row-major 3×3 camera matrix of the raw image, pixels: fx 0 cx, 0 fy cy, 0 0 1. Absent: not calibrated.
    pub k: Option<[f64; 9]>,
    /// Row-major 3×3 rectification rotation of a stereo camera. Absent: none.
    pub r: Option<[f64; 9]>,
    /// Row-major 3×4 projection of the rectified image, pixels; the fourth column is baseline × focal length.
    pub p: Option<[f64; 12]>,
}

impl CameraCalibration {
    pub(super) fn from_foxglove(m: fx::CameraCalibration, timestamp: Timestamp) -> Result<Self, Problem> {
        Ok(Self {
            timestamp,
            frame_id: m.frame_id,
            width: m.width,
            height: m.height,
            distortion_model: m.distortion_model,
            d: m.d,
            k: array("K", &m.k)?,
            r: array("R", &m.r)?,
            p: array("P", &m.p)?,
        })
    }
}
