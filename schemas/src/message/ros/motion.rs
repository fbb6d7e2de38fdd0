//! ROS messages of poses, velocities, forces and inertial readings.

use crate::message::{
    Imu, Message, Odometry, PoseInFrame, Transform, Twist, Wrench, check::covariance, error::Problem, fields::Fields,
};

use super::header;

pub(super) fn imu(m: Fields<'_>) -> Result<Message, Problem> {
    let (timestamp, frame_id) = header(m)?;
    // REP 145: a covariance that begins with -1 says that the sensor has no such reading.
    let measured = |path: &str| Ok::<_, Problem>(m.floats(path)?.first() != Some(&-1.0));
    let orientation = m.quaternion("orientation")?;
    Ok(Message::Imu(Imu {
        timestamp,
        frame_id,
        orientation: (measured("orientation_covariance")? && orientation.is_rotation()).then_some(orientation),
        angular_velocity: measured("angular_velocity_covariance")?
            .then(|| m.vector3("angular_velocity"))
            .transpose()?,
        linear_acceleration: measured("linear_acceleration_covariance")?
            .then(|| m.vector3("linear_acceleration"))
            .transpose()?,
        magnetic_field: None,
        temperature: None,
        orientation_covariance: covariance("orientation_covariance", &m.floats("orientation_covariance")?)?,
        angular_velocity_covariance: covariance(
            "angular_velocity_covariance",
            &m.floats("angular_velocity_covariance")?,
        )?,
        linear_acceleration_covariance: covariance(
            "linear_acceleration_covariance",
            &m.floats("linear_acceleration_covariance")?,
        )?,
    }))
}

pub(super) fn pose(m: Fields<'_>) -> Result<Message, Problem> {
    let (timestamp, frame_id) = header(m)?;
    Ok(Message::Pose(PoseInFrame { timestamp, frame_id, pose: m.pose("pose")?, covariance: None }))
}

pub(super) fn pose_with_covariance(m: Fields<'_>) -> Result<Message, Problem> {
    let (timestamp, frame_id) = header(m)?;
    let covariance = covariance("pose.covariance", &m.floats("pose.covariance")?)?.map(Box::new);
    Ok(Message::Pose(PoseInFrame { timestamp, frame_id, pose: m.pose("pose.pose")?, covariance }))
}

pub(super) fn transform(m: Fields<'_>) -> Result<Transform, Problem> {
    let (timestamp, parent_frame_id) = header(m)?;
    Ok(Transform {
        timestamp,
        parent_frame_id,
        child_frame_id: m.text("child_frame_id")?,
        translation: m.vector3("transform.translation")?,
        rotation: m.quaternion("transform.rotation")?,
    })
}

pub(super) fn transforms(m: Fields<'_>) -> Result<Message, Problem> {
    let items = m.list("transforms")?.iter().map(|item| transform(Fields(item)));
    items.collect::<Result<_, _>>().map(Message::Transforms).map_err(|problem: Problem| problem.under("transforms"))
}

pub(super) fn twist(m: Fields<'_>) -> Result<Message, Problem> {
    let (timestamp, frame_id) = header(m)?;
    let (linear, angular) = (m.vector3("twist.linear")?, m.vector3("twist.angular")?);
    Ok(Message::Twist(Twist { timestamp, frame_id, linear, angular }))
}

pub(super) fn wrench(m: Fields<'_>) -> Result<Message, Problem> {
    let (timestamp, frame_id) = header(m)?;
    let (force, torque) = (m.vector3("wrench.force")?, m.vector3("wrench.torque")?);
    Ok(Message::Wrench(Wrench { timestamp, frame_id, force, torque }))
}

pub(super) fn odometry(m: Fields<'_>) -> Result<Message, Problem> {
    let (timestamp, frame_id) = header(m)?;
    Ok(Message::Odometry(Odometry {
        timestamp,
        frame_id,
        body_frame_id: m.text("child_frame_id")?,
        pose: m.pose("pose.pose")?,
        linear_velocity: Some(m.vector3("twist.twist.linear")?),
        angular_velocity: Some(m.vector3("twist.twist.angular")?),
        pose_covariance: covariance("pose.covariance", &m.floats("pose.covariance")?)?.map(Box::new),
        velocity_covariance: covariance("twist.covariance", &m.floats("twist.covariance")?)?.map(Box::new),
    }))
}
