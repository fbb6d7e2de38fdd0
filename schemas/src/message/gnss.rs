//! Fixes of a satellite receiver.

use foxglove::messages as fx;

use super::{check::covariance, error::Problem, geometry::Vector3};
use crate::time::Timestamp;

/// How a fix was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FixStatus {
    /// The schema or the sender does not say (`foxglove.LocationFix` never does).
    #[default]
    Unknown,
    /// No position.
    None,
    /// Satellites alone.
    Autonomous,
    /// With corrections from satellites (SBAS).
    Satellite,
    /// With corrections from the ground (DGNSS, RTK).
    Ground,
}

/// A position on Earth, WGS 84.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GnssFix {
    /// When it was fixed, UTC.
    pub timestamp: Timestamp,
    /// Frame of the antenna: the position is its origin.
    pub frame_id: String,
    /// Degrees, north positive.
    pub latitude: f64,
    /// Degrees, east positive.
    pub longitude: f64,
    /// Metres above the ellipsoid; not a number where the fix has none.
    pub altitude: f64,
    /// How the fix was made.
    pub status: FixStatus,
    /// Row-major 3×3 covariance, m², of east, north, up. Absent: not known.
    pub covariance: Option<[f64; 9]>,
    /// Heading, rad clockwise from true north. Absent: not measured.
    pub heading: Option<f64>,
    /// Velocity, m/s: east, north, up. Absent: not measured.
    pub velocity: Option<Vector3>,
}

impl GnssFix {
    pub(super) fn from_foxglove(m: fx::LocationFix, timestamp: Timestamp) -> Result<Self, Problem> {
        let known = m.position_covariance_type() != fx::location_fix::PositionCovarianceType::Unknown;
        let covariance = covariance("position_covariance", &m.position_covariance)?;
        Ok(Self {
            timestamp,
            frame_id: m.frame_id,
            latitude: m.latitude,
            longitude: m.longitude,
            altitude: m.altitude,
            status: FixStatus::Unknown,
            covariance: covariance.filter(|_| known),
            heading: m.heading,
            velocity: m.velocity.map(Vector3::from),
        })
    }
}
