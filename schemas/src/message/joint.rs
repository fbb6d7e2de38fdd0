//! Joints: what a set of them does and what it is told.

use foxglove::messages as fx;

use super::{
    check::{parallel, time},
    error::Problem,
};
pub use crate::proto::joint_command::Mode as JointMode;
use crate::{proto, time::Timestamp};

/// What a set of joints does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JointStates {
    /// When it was measured, UTC.
    pub timestamp: Timestamp,
    /// The joints; names are unique in a well-made message.
    pub joints: Vec<JointState>,
}

/// What one joint does. Absent values are not measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JointState {
    /// Name, as in the robot's description.
    pub name: String,
    /// Revolute: rad. Prismatic: m.
    pub position: Option<f64>,
    /// Revolute: rad/s. Prismatic: m/s.
    pub velocity: Option<f64>,
    /// Revolute: rad/s². Prismatic: m/s².
    pub acceleration: Option<f64>,
    /// Revolute: Nm. Prismatic: N.
    pub effort: Option<f64>,
}

impl JointStates {
    pub(super) fn from_foxglove(m: fx::JointStates, timestamp: Timestamp) -> Self {
        let joints = m.joints.into_iter().map(|j| JointState {
            name: j.name,
            position: j.position,
            velocity: j.velocity,
            acceleration: j.acceleration,
            effort: j.effort,
        });
        Self { timestamp, joints: joints.collect() }
    }

    /// The joint of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&JointState> {
        self.joints.iter().find(|joint| joint.name == name)
    }
}

/// One command for a set of joints. The lists `position` … `kd` run in parallel to `name`: each is either empty
/// (this quantity is not commanded) or has one value per name. Source: a policy, a teleoperation stack, a controller.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JointCommand {
    /// When the command was issued, UTC.
    pub timestamp: Timestamp,
    /// Joint names, as in the robot's description (URDF) and in its `foxglove.JointStates`; unique within a message.
    pub name: Vec<String>,
    /// Holds for every joint of this message.
    pub mode: JointMode,
    /// Set point. Revolute joints: rad, positive about the joint's axis by the right-hand rule. Prismatic joints: m.
    pub position: Vec<f64>,
    /// Set point or feed-forward. Revolute: rad/s. Prismatic: m/s.
    pub velocity: Vec<f64>,
    /// Effort or feed-forward. Revolute: Nm. Prismatic: N.
    pub effort: Vec<f64>,
    /// Stiffness. Revolute: Nm/rad. Prismatic: N/m. Not negative. Empty: the controller's own gain.
    pub kp: Vec<f64>,
    /// Damping. Revolute: Nm s/rad. Prismatic: N s/m. Not negative. Empty: the controller's own gain.
    pub kd: Vec<f64>,
}

impl TryFrom<proto::JointCommand> for JointCommand {
    type Error = Problem;

    fn try_from(m: proto::JointCommand) -> Result<Self, Problem> {
        let mode = m.mode();
        for (field, values) in
            [("position", &m.position), ("velocity", &m.velocity), ("effort", &m.effort), ("kp", &m.kp), ("kd", &m.kd)]
        {
            parallel(field, values.len(), m.name.len())?;
        }
        Ok(Self {
            timestamp: time(m.timestamp)?,
            name: m.name,
            mode,
            position: m.position,
            velocity: m.velocity,
            effort: m.effort,
            kp: m.kp,
            kd: m.kd,
        })
    }
}
