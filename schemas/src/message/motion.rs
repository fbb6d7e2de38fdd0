//! Where a body is and how it moves: inertial readings, twist, odometry, pose, transforms.

use foxglove::messages as fx;

use super::{
    check::{covariance, time},
    error::Problem,
    geometry::{Pose, Quaternion, Vector3},
};
use crate::{proto, time::Timestamp};

/// Reading of an inertial measurement unit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imu {
    /// When it was measured, UTC.
    pub timestamp: Timestamp,
    /// Frame of the sensor; every vector is expressed in it.
    pub frame_id: String,
    /// Orientation of the sensor's frame in an earth-fixed frame that is x east, y north, z up. Absent: not estimated.
    pub orientation: Option<Quaternion>,
    /// Angular velocity, rad/s, positive by the right-hand rule. Absent: no gyroscope.
    pub angular_velocity: Option<Vector3>,
    /// Specific force, m/s²: what an accelerometer measures; at rest it points up with +9.81. Absent: no accelerometer.
    pub linear_acceleration: Option<Vector3>,
    /// Magnetic flux density, T. Absent: no magnetometer.
    pub magnetic_field: Option<Vector3>,
    /// Temperature of the sensor, °C.
    pub temperature: Option<f64>,
    /// Row-major 3×3 covariance of the orientation about x, y, z, rad². Absent: not known.
    pub orientation_covariance: Option<[f64; 9]>,
    /// Row-major 3×3 covariance of the angular velocity, (rad/s)². Absent: not known.
    pub angular_velocity_covariance: Option<[f64; 9]>,
    /// Row-major 3×3 covariance of the specific force, (m/s²)². Absent: not known.
    pub linear_acceleration_covariance: Option<[f64; 9]>,
}

impl TryFrom<proto::Imu> for Imu {
    type Error = Problem;

    fn try_from(m: proto::Imu) -> Result<Self, Problem> {
        Ok(Self {
            timestamp: time(m.timestamp)?,
            frame_id: m.frame_id,
            orientation: m.orientation.map(Quaternion::from),
            angular_velocity: m.angular_velocity.map(Vector3::from),
            linear_acceleration: m.linear_acceleration.map(Vector3::from),
            magnetic_field: m.magnetic_field.map(Vector3::from),
            temperature: m.temperature,
            orientation_covariance: covariance("orientation_covariance", &m.orientation_covariance)?,
            angular_velocity_covariance: covariance("angular_velocity_covariance", &m.angular_velocity_covariance)?,
            linear_acceleration_covariance: covariance(
                "linear_acceleration_covariance",
                &m.linear_acceleration_covariance,
            )?,
        })
    }
}

/// Velocity of a body: measured, or commanded to a mobile base.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Twist {
    /// When it was measured or commanded, UTC.
    pub timestamp: Timestamp,
    /// Frame in which both vectors are expressed: for a platform's own velocity its body frame, x forward, y left, z up.
    pub frame_id: String,
    /// Velocity of the frame's origin, m/s.
    pub linear: Vector3,
    /// Angular velocity, rad/s, positive by the right-hand rule.
    pub angular: Vector3,
}

impl TryFrom<proto::Twist> for Twist {
    type Error = Problem;

    fn try_from(m: proto::Twist) -> Result<Self, Problem> {
        Ok(Self {
            timestamp: time(m.timestamp)?,
            frame_id: m.frame_id,
            linear: m.linear.map(Vector3::from).unwrap_or_default(),
            angular: m.angular.map(Vector3::from).unwrap_or_default(),
        })
    }
}

/// Pose and velocity of a body, as estimated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Odometry {
    /// When it was estimated, UTC.
    pub timestamp: Timestamp,
    /// Frame of reference of the pose, e.g. `map` or `odom`.
    pub frame_id: String,
    /// Frame of the body, e.g. `base_link`; velocities are expressed in it.
    pub body_frame_id: String,
    /// Pose of the body in `frame_id`, m.
    pub pose: Pose,
    /// Velocity, m/s, in `body_frame_id`. Absent: not estimated.
    pub linear_velocity: Option<Vector3>,
    /// Angular velocity, rad/s, in `body_frame_id`. Absent: not estimated.
    pub angular_velocity: Option<Vector3>,
    /// Row-major 6×6 covariance of x, y, z, m, and the rotations about them, rad. Absent: not known.
    pub pose_covariance: Option<Box<[f64; 36]>>,
    /// Row-major 6×6 covariance of the velocities, m/s and rad/s. Absent: not known.
    pub velocity_covariance: Option<Box<[f64; 36]>>,
}

impl Odometry {
    pub(super) fn from_foxglove(m: fx::Odometry, timestamp: Timestamp) -> Result<Self, Problem> {
        Ok(Self {
            timestamp,
            frame_id: m.frame_id,
            body_frame_id: m.body_frame_id,
            pose: m.pose.map(Pose::from).unwrap_or_default(),
            linear_velocity: m.linear_velocity.map(Vector3::from),
            angular_velocity: m.angular_velocity.map(Vector3::from),
            pose_covariance: covariance("pose_covariance", &m.pose_covariance)?.map(Box::new),
            velocity_covariance: covariance("velocity_covariance", &m.velocity_covariance)?.map(Box::new),
        })
    }
}

/// A pose in a frame of reference.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PoseInFrame {
    /// When it was measured or holds, UTC.
    pub timestamp: Timestamp,
    /// Frame of reference.
    pub frame_id: String,
    /// The pose, m.
    pub pose: Pose,
    /// Row-major 6×6 covariance of x, y, z, m, and the rotations about them, rad. Absent: not known.
    pub covariance: Option<Box<[f64; 36]>>,
}

impl PoseInFrame {
    pub(super) fn from_foxglove(m: fx::PoseInFrame, timestamp: Timestamp) -> Self {
        let pose = m.pose.map(Pose::from).unwrap_or_default();
        Self { timestamp, frame_id: m.frame_id, pose, covariance: None }
    }
}

/// Where the child frame is in the parent frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transform {
    /// When it was measured or holds, UTC.
    pub timestamp: Timestamp,
    /// Frame of reference.
    pub parent_frame_id: String,
    /// Frame that is placed in it.
    pub child_frame_id: String,
    /// Origin of the child frame in the parent frame, m.
    pub translation: Vector3,
    /// Orientation of the child frame in the parent frame; identity where it was not sent.
    pub rotation: Quaternion,
}

impl Transform {
    pub(super) fn from_foxglove(m: fx::FrameTransform, timestamp: Timestamp) -> Self {
        Self {
            timestamp,
            parent_frame_id: m.parent_frame_id,
            child_frame_id: m.child_frame_id,
            translation: m.translation.map(Vector3::from).unwrap_or_default(),
            rotation: m.rotation.map(Quaternion::from).unwrap_or_default(),
        }
    }
}
