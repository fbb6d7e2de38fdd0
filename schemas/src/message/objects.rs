//! Other road users, persons, ships and things around the platform.

use std::collections::BTreeMap;

use super::{
    check::time,
    error::Problem,
    geometry::{Pose, Vector3},
};
use crate::{proto, time::Timestamp};

/// One object at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrackedObject {
    /// Identity over time, unique within a recording and source; empty: not tracked.
    pub id: String,
    /// Class, lower case, e.g. "car", "truck", "bus", "motorcycle", "bicycle", "pedestrian", "ship", "cup".
    pub class: String,
    /// Centre and orientation of the box: x forward along the object, y left, z up; in the message's frame.
    pub pose: Pose,
    /// Edge lengths of the box along its own x, y, z, m.
    pub size: Vector3,
    /// Velocity of the centre in the message's frame, m/s, over ground. Absent: not known.
    pub velocity: Option<Vector3>,
    /// Angular velocity in the message's frame, rad/s. Absent: not known.
    pub angular_velocity: Option<Vector3>,
    /// Confidence of the source, 0 … 1. Absent: not a detection (ground truth, label).
    pub confidence: Option<f64>,
    /// Turn indicator, door, posture and the like, free.
    pub attributes: BTreeMap<String, String>,
}

impl From<proto::TrackedObject> for TrackedObject {
    fn from(m: proto::TrackedObject) -> Self {
        Self {
            id: m.id,
            class: m.class,
            pose: m.pose.map(Pose::from).unwrap_or_default(),
            size: m.size.map(Vector3::from).unwrap_or_default(),
            velocity: m.velocity.map(Vector3::from),
            angular_velocity: m.angular_velocity.map(Vector3::from),
            confidence: m.confidence,
            attributes: m.attributes,
        }
    }
}

/// All objects that a source knows at one time. Source: a detector, a simulator's ground truth, a label file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrackedObjects {
    /// When they were observed, UTC.
    pub timestamp: Timestamp,
    /// Frame in which poses and velocities are expressed.
    pub frame_id: String,
    /// The objects.
    pub objects: Vec<TrackedObject>,
}

impl TryFrom<proto::TrackedObjects> for TrackedObjects {
    type Error = Problem;

    fn try_from(m: proto::TrackedObjects) -> Result<Self, Problem> {
        Ok(Self {
            timestamp: time(m.timestamp)?,
            frame_id: m.frame_id,
            objects: m.objects.into_iter().map(TrackedObject::from).collect(),
        })
    }
}
