//! What a person who drives a platform from afar does with the controls.

use super::{
    check::time,
    error::Problem,
    geometry::{Pose, Vector3},
    hand::Side,
};
use crate::{proto, time::Timestamp};

/// One button.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Button {
    /// Name, unique within a message, e.g. "left_trigger", "a".
    pub name: String,
    /// Held down.
    pub pressed: bool,
    /// How far, 0 (released) … 1 (pressed), for analogue buttons; 0 or 1 for the others.
    pub value: f64,
}

impl From<proto::Button> for Button {
    fn from(m: proto::Button) -> Self {
        Self { name: m.name, pressed: m.pressed, value: m.value }
    }
}

/// One axis of a stick, wheel or pedal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Axis {
    /// Name, unique within a message, e.g. "left_stick_x", "wheel", "brake".
    pub name: String,
    /// -1 … 1, or 0 … 1 for pedals: sticks positive to the right and forward, wheels positive to the left.
    pub value: f64,
}

impl From<proto::Axis> for Axis {
    fn from(m: proto::Axis) -> Self {
        Self { name: m.name, value: m.value }
    }
}

/// A tracked part of the operator's body, or a tracker in their hand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrackedPose {
    /// "head", "left_hand", "right_hand", or the tracker's own name; unique within a message.
    pub name: String,
    /// In the message's frame.
    pub pose: Pose,
    /// Velocity in the message's frame, m/s. Absent: not known.
    pub linear_velocity: Option<Vector3>,
    /// Angular velocity in the message's frame, rad/s. Absent: not known.
    pub angular_velocity: Option<Vector3>,
    /// The tracker sees it; if not, the pose is the last one or a guess.
    pub tracked: bool,
}

impl From<proto::TrackedPose> for TrackedPose {
    fn from(m: proto::TrackedPose) -> Self {
        Self {
            name: m.name,
            pose: m.pose.map(Pose::from).unwrap_or_default(),
            linear_velocity: m.linear_velocity.map(Vector3::from),
            angular_velocity: m.angular_velocity.map(Vector3::from),
            tracked: m.tracked,
        }
    }
}

/// The operator's hand as a glove or camera sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrackedHand {
    /// Which hand.
    pub side: Side,
    /// Keypoints in the message's frame, in the order of WebXR's 25 hand joints unless the profile says otherwise.
    pub keypoints: Vec<Pose>,
    /// Bend of each finger, thumb to little, 0 (straight) … 1 (closed); empty where not known.
    pub bend: Vec<f64>,
}

impl From<proto::TrackedHand> for TrackedHand {
    fn from(m: proto::TrackedHand) -> Self {
        let side = m.side();
        Self { side, keypoints: m.keypoints.into_iter().map(Pose::from).collect(), bend: m.bend }
    }
}

/// Everything the operator's controls say at one time. Source: a headset, a gamepad, a leader arm, a driving seat.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TeleoperationInput {
    /// When it was read, UTC.
    pub timestamp: Timestamp,
    /// Frame of the poses: x forward, y left, z up, fixed in the operator's room. Empty for inputs without poses.
    pub frame_id: String,
    /// Device or station, unique on the platform.
    pub device: String,
    /// Buttons.
    pub buttons: Vec<Button>,
    /// Axes.
    pub axes: Vec<Axis>,
    /// Tracked parts of the operator's body.
    pub poses: Vec<TrackedPose>,
    /// The operator's hands, keypoint by keypoint.
    pub hands: Vec<TrackedHand>,
    /// The operator is in control (clutch closed): the platform follows.
    pub engaged: bool,
    /// Delay between the operator's picture and the platform, as the station estimates it, seconds.
    pub latency: Option<f64>,
}

impl TryFrom<proto::TeleoperationInput> for TeleoperationInput {
    type Error = Problem;

    fn try_from(m: proto::TeleoperationInput) -> Result<Self, Problem> {
        Ok(Self {
            timestamp: time(m.timestamp)?,
            frame_id: m.frame_id,
            device: m.device,
            buttons: m.buttons.into_iter().map(Button::from).collect(),
            axes: m.axes.into_iter().map(Axis::from).collect(),
            poses: m.poses.into_iter().map(TrackedPose::from).collect(),
            hands: m.hands.into_iter().map(TrackedHand::from).collect(),
            engaged: m.engaged,
            latency: m.latency,
        })
    }
}
