//! Grippers and hands: what they do and what they are told.

use super::{
    check::{parallel, time},
    error::Problem,
};
pub use crate::proto::Side;
use crate::{proto, time::Timestamp};

/// What a gripper is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GripperCommand {
    /// When the command was issued, UTC.
    pub timestamp: Timestamp,
    /// Frame of the gripper.
    pub frame_id: String,
    /// Name of the gripper, unique on the platform.
    pub name: String,
    /// Commanded distance between the fingertips, m: 0 is closed.
    pub width: Option<f64>,
    /// Commanded opening as a share of the full stroke, 0 (closed) … 1 (open): for grippers without a metric stroke.
    pub opening: Option<f64>,
    /// Commanded speed of the fingertips, m/s, not negative. Absent: the gripper's own.
    pub speed: Option<f64>,
    /// Largest grasping force, N, not negative. Absent: the gripper's own.
    pub force: Option<f64>,
}

impl TryFrom<proto::GripperCommand> for GripperCommand {
    type Error = Problem;

    fn try_from(m: proto::GripperCommand) -> Result<Self, Problem> {
        Ok(Self {
            timestamp: time(m.timestamp)?,
            frame_id: m.frame_id,
            name: m.name,
            width: m.width,
            opening: m.opening,
            speed: m.speed,
            force: m.force,
        })
    }
}

/// What a gripper does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GripperState {
    /// When it was measured, UTC.
    pub timestamp: Timestamp,
    /// Frame of the gripper.
    pub frame_id: String,
    /// Name of the gripper, unique on the platform.
    pub name: String,
    /// Distance between the fingertips, m: 0 is closed.
    pub width: Option<f64>,
    /// Opening as a share of the full stroke, 0 (closed) … 1 (open).
    pub opening: Option<f64>,
    /// Speed of the fingertips, m/s; positive opens.
    pub velocity: Option<f64>,
    /// Grasping force, N; positive presses the fingers together.
    pub force: Option<f64>,
    /// Motor current, A.
    pub current: Option<f64>,
    /// Motor temperature, °C.
    pub temperature: Option<f64>,
    /// The gripper reports that it holds something.
    pub object_detected: Option<bool>,
}

impl TryFrom<proto::GripperState> for GripperState {
    type Error = Problem;

    fn try_from(m: proto::GripperState) -> Result<Self, Problem> {
        Ok(Self {
            timestamp: time(m.timestamp)?,
            frame_id: m.frame_id,
            name: m.name,
            width: m.width,
            opening: m.opening,
            velocity: m.velocity,
            force: m.force,
            current: m.current,
            temperature: m.temperature,
            object_detected: m.object_detected,
        })
    }
}

/// A finger and its joints. The lists run in parallel to `joint`: each is empty or has one value per joint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Finger {
    /// "thumb", "index", "middle", "ring", "little", or the maker's own name.
    pub name: String,
    /// Joint names from the palm outwards, as in the robot's description; unique within a hand.
    pub joint: Vec<String>,
    /// Joint position, rad; positive closes the finger.
    pub position: Vec<f64>,
    /// Joint velocity, rad/s; positive closes the finger.
    pub velocity: Vec<f64>,
    /// Joint torque, Nm; positive closes the finger.
    pub effort: Vec<f64>,
    /// Motor temperature of each joint, °C. Only in a state.
    pub temperature: Vec<f64>,
}

impl TryFrom<proto::Finger> for Finger {
    type Error = Problem;

    fn try_from(m: proto::Finger) -> Result<Self, Problem> {
        for (field, values) in [
            ("position", &m.position),
            ("velocity", &m.velocity),
            ("effort", &m.effort),
            ("temperature", &m.temperature),
        ] {
            parallel(field, values.len(), m.joint.len())?;
        }
        Ok(Self {
            name: m.name,
            joint: m.joint,
            position: m.position,
            velocity: m.velocity,
            effort: m.effort,
            temperature: m.temperature,
        })
    }
}

/// What a hand is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HandCommand {
    /// When the command was issued, UTC.
    pub timestamp: Timestamp,
    /// Frame of the palm.
    pub frame_id: String,
    /// Which hand.
    pub side: Side,
    /// Set points; `position` is commanded where it is given, else `velocity`, else `effort`.
    pub fingers: Vec<Finger>,
}

impl TryFrom<proto::HandCommand> for HandCommand {
    type Error = Problem;

    fn try_from(m: proto::HandCommand) -> Result<Self, Problem> {
        let side = m.side();
        Ok(Self {
            timestamp: time(m.timestamp)?,
            frame_id: m.frame_id,
            side,
            fingers: m.fingers.into_iter().map(Finger::try_from).collect::<Result<_, _>>()?,
        })
    }
}

/// What a hand does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HandState {
    /// When it was measured, UTC.
    pub timestamp: Timestamp,
    /// Frame of the palm.
    pub frame_id: String,
    /// Which hand.
    pub side: Side,
    /// Measured values.
    pub fingers: Vec<Finger>,
}

impl TryFrom<proto::HandState> for HandState {
    type Error = Problem;

    fn try_from(m: proto::HandState) -> Result<Self, Problem> {
        let side = m.side();
        Ok(Self {
            timestamp: time(m.timestamp)?,
            frame_id: m.frame_id,
            side,
            fingers: m.fingers.into_iter().map(Finger::try_from).collect::<Result<_, _>>()?,
        })
    }
}
