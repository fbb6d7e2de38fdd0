//! A road vehicle: what it does and what it is told. Axes of ISO 8855; left turns are positive.

use super::{
    check::{array, time},
    error::Problem,
};
pub use crate::proto::{DrivingMode, Gear, Indicator};
use crate::{proto, time::Timestamp};

/// What a vehicle does, as its bus (CAN) reports it. An absent value is not known; it is not zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VehicleState {
    /// When it was measured, UTC.
    pub timestamp: Timestamp,
    /// Frame of the vehicle: origin at the middle of the rear axle on the ground unless the profile says otherwise.
    pub frame_id: String,
    /// Speed along x, m/s; negative in reverse.
    pub speed: Option<f64>,
    /// Steering wheel angle, rad; 0 straight on, positive left (anticlockwise for the driver); may exceed one turn.
    pub steering_wheel_angle: Option<f64>,
    /// Steering wheel rate, rad/s; positive left.
    pub steering_wheel_rate: Option<f64>,
    /// Torque of the driver's hands on the steering wheel, Nm; positive left.
    pub steering_wheel_torque: Option<f64>,
    /// Mean angle of the steered (front) road wheels, rad; positive left.
    pub road_wheel_angle: Option<f64>,
    /// Accelerator pedal, 0 (released) … 1 (full).
    pub accelerator: Option<f64>,
    /// Brake pedal, 0 (released) … 1 (full).
    pub brake: Option<f64>,
    /// Brake pressure, Pa.
    pub brake_pressure: Option<f64>,
    /// Position of the gear selector.
    pub gear: Gear,
    /// Step engaged: 1, 2, … forward, negative reverse, 0 none.
    pub gear_step: Option<i32>,
    /// Turn indicators.
    pub indicator: Indicator,
    /// Yaw rate, rad/s; positive left (about +z).
    pub yaw_rate: Option<f64>,
    /// Acceleration of the body along x without gravity, m/s²; positive speeds up.
    pub longitudinal_acceleration: Option<f64>,
    /// Acceleration of the body along y without gravity, m/s²; positive left.
    pub lateral_acceleration: Option<f64>,
    /// Wheel speeds at the tyre, m/s: front left, front right, rear left, rear right.
    pub wheel_speed: Option<[f64; 4]>,
    /// Engine or traction motor speed, rev/min.
    pub engine_speed: Option<f64>,
    /// Distance driven, m.
    pub odometer: Option<f64>,
    /// Who drives.
    pub mode: DrivingMode,
    /// Parking brake is applied.
    pub parking_brake: Option<bool>,
    /// Brake lights are on.
    pub brake_light: Option<bool>,
    /// Low beam is on.
    pub headlight: Option<bool>,
    /// Wipers move.
    pub wiper: Option<bool>,
}

impl TryFrom<proto::VehicleState> for VehicleState {
    type Error = Problem;

    fn try_from(m: proto::VehicleState) -> Result<Self, Problem> {
        let gear = m.gear();
        let indicator = m.indicator();
        let mode = m.mode();
        Ok(Self {
            timestamp: time(m.timestamp)?,
            frame_id: m.frame_id,
            speed: m.speed,
            steering_wheel_angle: m.steering_wheel_angle,
            steering_wheel_rate: m.steering_wheel_rate,
            steering_wheel_torque: m.steering_wheel_torque,
            road_wheel_angle: m.road_wheel_angle,
            accelerator: m.accelerator,
            brake: m.brake,
            brake_pressure: m.brake_pressure,
            gear,
            gear_step: m.gear_step,
            indicator,
            yaw_rate: m.yaw_rate,
            longitudinal_acceleration: m.longitudinal_acceleration,
            lateral_acceleration: m.lateral_acceleration,
            wheel_speed: array("wheel_speed", &m.wheel_speed)?,
            engine_speed: m.engine_speed,
            odometer: m.odometer,
            mode,
            parking_brake: m.parking_brake,
            brake_light: m.brake_light,
            headlight: m.headlight,
            wiper: m.wiper,
        })
    }
}

/// What a vehicle is told by an automated driving system or a remote driver. Absent values are not commanded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VehicleCommand {
    /// When the command was issued, UTC.
    pub timestamp: Timestamp,
    /// Frame of the vehicle.
    pub frame_id: String,
    /// Speed along x, m/s; negative in reverse.
    pub speed: Option<f64>,
    /// Longitudinal acceleration, m/s²; negative brakes.
    pub acceleration: Option<f64>,
    /// Steering wheel angle, rad; positive left.
    pub steering_wheel_angle: Option<f64>,
    /// Mean angle of the steered (front) road wheels, rad; positive left.
    pub road_wheel_angle: Option<f64>,
    /// Rate limit of the road wheel angle, rad/s, not negative.
    pub road_wheel_rate: Option<f64>,
    /// Accelerator, 0 … 1.
    pub accelerator: Option<f64>,
    /// Brake, 0 … 1.
    pub brake: Option<f64>,
    /// Position of the gear selector.
    pub gear: Gear,
    /// Turn indicators.
    pub indicator: Indicator,
    /// Yaw rate, rad/s; positive left.
    pub yaw_rate: Option<f64>,
    /// Who drives.
    pub mode: DrivingMode,
    /// Stop as fast as is safe.
    pub emergency_stop: bool,
}

impl TryFrom<proto::VehicleCommand> for VehicleCommand {
    type Error = Problem;

    fn try_from(m: proto::VehicleCommand) -> Result<Self, Problem> {
        let gear = m.gear();
        let indicator = m.indicator();
        let mode = m.mode();
        Ok(Self {
            timestamp: time(m.timestamp)?,
            frame_id: m.frame_id,
            speed: m.speed,
            acceleration: m.acceleration,
            steering_wheel_angle: m.steering_wheel_angle,
            road_wheel_angle: m.road_wheel_angle,
            road_wheel_rate: m.road_wheel_rate,
            accelerator: m.accelerator,
            brake: m.brake,
            gear,
            indicator,
            yaw_rate: m.yaw_rate,
            mode,
            emergency_stop: m.emergency_stop,
        })
    }
}
