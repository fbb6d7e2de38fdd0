//! Scans of a planar laser.

use foxglove::messages as fx;

use super::{check::parallel, error::Problem, geometry::Pose};
use crate::time::Timestamp;

/// Distances in the x-y plane of a pose, at equal angles.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LaserScan {
    /// When the scan began, UTC.
    pub timestamp: Timestamp,
    /// Frame of reference.
    pub frame_id: String,
    /// Origin of the scan in the frame of reference, m.
    pub pose: Pose,
    /// Bearing of the first distance, rad, anticlockwise about z; 0 is +x.
    pub start_angle: f64,
    /// Bearing of the last distance, rad; less than `start_angle` for a clockwise scan.
    pub end_angle: f64,
    /// Distances, m; not finite or 0 where nothing was hit.
    pub ranges: Vec<f64>,
    /// Strength of each return, the sensor's own unit; empty where not measured.
    pub intensities: Vec<f64>,
}

impl LaserScan {
    pub(super) fn from_foxglove(m: fx::LaserScan, timestamp: Timestamp) -> Result<Self, Problem> {
        Self {
            timestamp,
            frame_id: m.frame_id,
            pose: m.pose.map(Pose::from).unwrap_or_default(),
            start_angle: m.start_angle,
            end_angle: m.end_angle,
            ranges: m.ranges,
            intensities: m.intensities,
        }
        .checked()
    }

    /// Itself, if there is no strength or one for each distance.
    pub(super) fn checked(self) -> Result<Self, Problem> {
        parallel("intensities", self.intensities.len(), self.ranges.len())?;
        Ok(self)
    }

    /// Angle from one distance to the next, rad; 0 for fewer than two.
    #[must_use]
    pub fn angle_step(&self) -> f64 {
        match self.ranges.len() {
            0 | 1 => 0.0,
            #[expect(clippy::cast_precision_loss, reason = "a scan has fewer than 2⁵³ distances")]
            n => (self.end_angle - self.start_angle) / (n - 1) as f64,
        }
    }
}
