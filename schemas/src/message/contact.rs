//! Forces and touch.

use super::{
    check::{product, time},
    error::Problem,
    geometry::Vector3,
};
use crate::{proto, time::Timestamp};

/// Force and torque that the environment exerts on the platform, as a force/torque sensor measures it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wrench {
    /// When it was measured, UTC.
    pub timestamp: Timestamp,
    /// Frame in which both vectors are expressed; the torque is about this frame's origin.
    pub frame_id: String,
    /// Force, N.
    pub force: Vector3,
    /// Torque, Nm, positive by the right-hand rule.
    pub torque: Vector3,
}

impl TryFrom<proto::Wrench> for Wrench {
    type Error = Problem;

    fn try_from(m: proto::Wrench) -> Result<Self, Problem> {
        Ok(Self {
            timestamp: time(m.timestamp)?,
            frame_id: m.frame_id,
            force: m.force.map(Vector3::from).unwrap_or_default(),
            torque: m.torque.map(Vector3::from).unwrap_or_default(),
        })
    }
}

/// One reading of a grid of touch sensors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TactileArray {
    /// When it was measured, UTC.
    pub timestamp: Timestamp,
    /// Frame of the sensor's surface: +x along the columns, +y along the rows, +z out of the surface.
    pub frame_id: String,
    /// Name of the patch, e.g. "left_index_tip"; unique on the platform.
    pub name: String,
    /// Number of rows of taxels.
    pub rows: u32,
    /// Number of columns of taxels.
    pub columns: u32,
    /// Values per taxel: 1 (pressure or normal force) or 3 (force x, y, z in `frame_id`).
    pub channels: u32,
    /// Unit of `data`: "N", "Pa", or "raw" for counts without a calibration.
    pub unit: String,
    /// `rows * columns * channels` values, row by row, the channels of a taxel side by side. Pressing is positive.
    pub data: Vec<f32>,
}

impl TryFrom<proto::TactileArray> for TactileArray {
    type Error = Problem;

    fn try_from(m: proto::TactileArray) -> Result<Self, Problem> {
        let channels = m.channels.max(1);
        product("data", m.data.len(), &[m.rows, m.columns, channels])?;
        Ok(Self {
            timestamp: time(m.timestamp)?,
            frame_id: m.frame_id,
            name: m.name,
            rows: m.rows,
            columns: m.columns,
            channels,
            unit: m.unit,
            data: m.data,
        })
    }
}

impl TactileArray {
    /// The channels of one taxel; absent outside the array.
    #[must_use]
    pub fn taxel(&self, row: u32, column: u32) -> Option<&[f32]> {
        if row >= self.rows || column >= self.columns {
            return None;
        }
        let channels = self.channels as usize;
        let start = (row as usize * self.columns as usize + column as usize).checked_mul(channels)?;
        self.data.get(start..start.checked_add(channels)?)
    }
}
