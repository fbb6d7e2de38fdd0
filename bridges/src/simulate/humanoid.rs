//! A humanoid with 29 joints and two hands at a table, picking and placing for ever.
//!
//! The world's origin is on the floor under the pelvis; x forward, y left, z up.

pub mod arm;
pub mod task;
pub mod view;

use std::sync::Arc;

use foxglove::messages as fx;
use nalgebra::{Isometry3, UnitQuaternion, Vector3};
use prost::Message;
use sagwan_schemas::{
    profile::{Profile, Stream},
    proto,
    stream::Modality,
};

use self::{
    arm::{Arm, ArmAngles},
    task::{CYCLE, Plan, Scene, world_from_torso},
    view::Mount,
};
use super::{
    noise::Noise,
    pace::Rhythm,
    platform::{
        ImageSource, Moment, Source, World, calibration, diagonal, fx_time, mount, pose, proto_time, static_transforms,
        vector,
    },
    scene::canvas::Canvas,
};

/// Names of the joints in their order: legs, waist, arms.
pub const JOINTS: [&str; 29] = [
    "left_hip_pitch_joint",
    "left_hip_roll_joint",
    "left_hip_yaw_joint",
    "left_knee_joint",
    "left_ankle_pitch_joint",
    "left_ankle_roll_joint",
    "right_hip_pitch_joint",
    "right_hip_roll_joint",
    "right_hip_yaw_joint",
    "right_knee_joint",
    "right_ankle_pitch_joint",
    "right_ankle_roll_joint",
    "waist_yaw_joint",
    "waist_roll_joint",
    "waist_pitch_joint",
    "left_shoulder_pitch_joint",
    "left_shoulder_roll_joint",
    "left_shoulder_yaw_joint",
    "left_elbow_joint",
    "left_wrist_roll_joint",
    "left_wrist_pitch_joint",
    "left_wrist_yaw_joint",
    "right_shoulder_pitch_joint",
    "right_shoulder_roll_joint",
    "right_shoulder_yaw_joint",
    "right_elbow_joint",
    "right_wrist_roll_joint",
    "right_wrist_pitch_joint",
    "right_wrist_yaw_joint",
];

/// A standing pose of legs and waist, rad.
const STANCE: [f64; 15] = [-0.28, 0.02, 0.0, 0.56, -0.29, -0.02, -0.28, -0.02, 0.0, 0.56, -0.29, 0.02, 0.0, 0.0, 0.0];
/// How long the joints take to follow a command, seconds.
const RESPONSE: f64 = 0.02;
/// Mass of an object, kg.
const OBJECT_MASS: f64 = 0.25;
const GRAVITY: f64 = 9.806_65;

/// Fingers and their joints.
const FINGERS: [(&str, &[&str]); 5] = [
    ("thumb", &["thumb_rotation_joint", "thumb_bend_joint"]),
    ("index", &["index_joint"]),
    ("middle", &["middle_joint"]),
    ("ring", &["ring_joint"]),
    ("little", &["little_joint"]),
];
/// Angle of each finger joint when the hand is closed, rad.
const CLOSED: [[f64; 2]; 5] = [[0.9, 0.6], [1.5, 0.0], [1.5, 0.0], [1.5, 0.0], [1.5, 0.0]];

/// The simulated humanoid.
#[derive(Debug)]
pub struct Humanoid {
    profile: Profile,
    plan: Arc<Plan>,
    noise: Noise,
    seed: u64,
}

impl Humanoid {
    /// With the streams of a profile.
    #[must_use]
    pub fn new(profile: &Profile, seed: u64) -> Self {
        Self { profile: profile.clone(), plan: Arc::new(Plan::new(seed)), noise: Noise::new(seed), seed }
    }

    fn mount(&self, frame: &str) -> Mount {
        let pose = mount(&self.profile, frame);
        match frame {
            "left_wrist_camera" => Mount::Wrist(Arm::Left, pose),
            "right_wrist_camera" => Mount::Wrist(Arm::Right, pose),
            _ => Mount::Torso(pose),
        }
    }

    fn camera(&self, stream: &Stream) -> Box<dyn Source> {
        let (plan, mount, lens) = (Arc::clone(&self.plan), self.mount(&stream.frame), view::lens());
        let mut still: Option<Canvas> = None;
        Box::new(ImageSource::new(&stream.frame, lens, move |canvas: &mut Canvas, seconds| {
            let (room, scene) = (view::room(), plan.scene(seconds - RESPONSE));
            let camera = mount.camera(lens, &scene);
            if mount.is_fixed() {
                let still = still.get_or_insert_with(|| {
                    let mut empty = Canvas::new(lens.width, lens.height);
                    room.draw(&mut empty, &camera);
                    empty
                });
                canvas.copy_from(still);
            } else {
                room.draw(canvas, &camera);
            }
            room.draw_scene(canvas, &camera, &scene);
        }))
    }
}

impl World for Humanoid {
    fn source(&self, stream: &Stream) -> Option<Box<dyn Source>> {
        let (plan, frame) = (Arc::clone(&self.plan), stream.frame.clone());
        let noise = self.noise.named(&stream.name);
        let arm = if stream.name.starts_with("right") { Arm::Right } else { Arm::Left };
        Some(match stream.modality {
            Modality::JointStates => Box::new(joint_states(plan, noise)),
            Modality::JointCommand => Box::new(joint_command(plan, noise)),
            Modality::HandState => Box::new(hand_state(plan, noise, arm, frame)),
            Modality::HandCommand => Box::new(hand_command(plan, arm, frame)),
            Modality::Wrench => Box::new(wrench(plan, noise, arm, frame)),
            Modality::Imu => Box::new(imu(noise, frame)),
            Modality::TeleoperationInput => Box::new(teleoperation(plan, noise, frame)),
            Modality::TaskInstruction => Box::new(instruction(self.seed)),
            Modality::Battery => Box::new(battery(noise)),
            Modality::Transform => Box::new(static_transforms(&self.profile)),
            Modality::CameraCalibration => Box::new(calibration(&frame, view::lens())),
            Modality::CompressedImage => self.camera(stream),
            _ => return None,
        })
    }

    fn rhythm(&self, stream: &Stream) -> Rhythm {
        match (stream.modality, stream.rate_hz) {
            (_, Some(rate)) => Rhythm::Rate(rate),
            (Modality::TaskInstruction, None) => Rhythm::Rate(1.0 / CYCLE),
            _ => Rhythm::Once,
        }
    }
}

/// Angles and rates of all joints as they are planned.
fn body(plan: &Plan, noise: Noise, seconds: f64) -> [(f64, f64); 29] {
    let sway = |joint: u64, at: f64| 0.012 * noise.wander(joint, at, 4.0);
    let [left, right] = Arm::BOTH.map(|arm| plan.arm(arm, seconds));
    std::array::from_fn(|joint| match joint {
        0..15 => {
            let index = joint as u64;
            let rate = (sway(index, seconds + 1e-3) - sway(index, seconds - 1e-3)) / 2e-3;
            // Waist joints stand still, so that cameras and arms agree.
            if joint < 12 { (STANCE[joint] + sway(index, seconds), rate) } else { (STANCE[joint], 0.0) }
        }
        15..22 => (left.0[joint - 15], left.1[joint - 15]),
        _ => (right.0[joint - 22], right.1[joint - 22]),
    })
}

/// What the motors hold against gravity, Nm: a rough figure that moves with the pose.
fn holding_effort(joint: usize, position: f64, holding: bool) -> f64 {
    let load = if holding { OBJECT_MASS * GRAVITY * 0.35 } else { 0.0 };
    match joint {
        0 | 6 => 9.0 * position.sin(),
        3 | 9 => 38.0 * position.sin(),
        4 | 10 => 6.0 * position,
        15 | 22 => (4.8 + load) * (position - 0.6).sin(),
        18 | 25 => -(2.4 + load) * (position + 0.5).cos(),
        16 | 23 => 1.6 * position.sin(),
        20 | 27 => -0.5 - 0.3 * load,
        _ => 0.2 * position,
    }
}

fn joint_states(plan: Arc<Plan>, noise: Noise) -> impl Source {
    // Command and state sway alike: the same noise, later.
    let sway = Noise::new(0).named("body");
    move |moment: &Moment| {
        let at = moment.seconds - RESPONSE;
        let scene = plan.scene(at);
        let errors = noise.at(moment.index);
        let joints = body(&plan, sway, at).into_iter().enumerate().map(|(joint, (position, velocity))| {
            let error = |kind: u64| errors.gauss(joint as u64 * 3 + kind);
            let holding = (15..22).contains(&joint) && scene.held[0].is_some()
                || (22..29).contains(&joint) && scene.held[1].is_some();
            fx::JointState {
                name: JOINTS[joint].to_owned(),
                position: Some(position + 2e-4 * error(0)),
                velocity: Some(velocity + 4e-3 * error(1)),
                acceleration: None,
                effort: Some(holding_effort(joint, position, holding) + 0.3 * velocity + 0.04 * error(2)),
            }
        });
        fx::JointStates { timestamp: Some(fx_time(moment.capture_time)), joints: joints.collect() }.encode_to_vec()
    }
}

fn joint_command(plan: Arc<Plan>, _noise: Noise) -> impl Source {
    let sway = Noise::new(0).named("body");
    let gain = |high: f64, low: f64| (0..29).map(|joint| if joint < 15 { high } else { low }).collect::<Vec<f64>>();
    let mut message = proto::JointCommand {
        name: JOINTS.map(str::to_owned).to_vec(),
        mode: proto::joint_command::Mode::Impedance.into(),
        kp: gain(150.0, 40.0),
        kd: gain(3.0, 1.0),
        ..Default::default()
    };
    move |moment: &Moment| {
        let body = body(&plan, sway, moment.seconds);
        let holding = plan.scene(moment.seconds).held.map(|held| held.is_some());
        message.timestamp = Some(proto_time(moment.capture_time));
        message.position = body.iter().map(|joint| joint.0).collect();
        message.velocity = body.iter().map(|joint| joint.1).collect();
        message.effort = body
            .iter()
            .enumerate()
            .map(|(joint, (position, _))| {
                holding_effort(joint, *position, joint >= 15 && holding[usize::from(joint >= 22)])
            })
            .collect();
        message.encode_to_vec()
    }
}

fn side(arm: Arm) -> proto::Side {
    match arm {
        Arm::Left => proto::Side::Left,
        Arm::Right => proto::Side::Right,
    }
}

fn side_name(arm: Arm) -> &'static str {
    match arm {
        Arm::Left => "left",
        Arm::Right => "right",
    }
}

fn fingers(arm: Arm, each: impl Fn(usize, usize) -> [f64; 4], is_state: bool) -> Vec<proto::Finger> {
    FINGERS
        .iter()
        .enumerate()
        .map(|(finger, (name, joints))| {
            let values: Vec<[f64; 4]> = (0..joints.len()).map(|joint| each(finger, joint)).collect();
            let column = |i: usize| if is_state { values.iter().map(|v| v[i]).collect() } else { Vec::new() };
            proto::Finger {
                name: (*name).to_owned(),
                joint: joints.iter().map(|joint| format!("{}_{joint}", side_name(arm))).collect(),
                position: values.iter().map(|v| v[0]).collect(),
                velocity: column(1),
                effort: column(2),
                temperature: column(3),
            }
        })
        .collect()
}

fn hand_state(plan: Arc<Plan>, noise: Noise, arm: Arm, frame: String) -> impl Source {
    move |moment: &Moment| {
        let at = moment.seconds - RESPONSE;
        let (closed, rate) = plan.hand(arm, at);
        let holding = plan.scene(at).held[arm.index()].is_some();
        let errors = noise.at(moment.index);
        let each = |finger: usize, joint: usize| {
            let reach = CLOSED[finger][joint];
            let error = |kind: u64| errors.gauss((finger * 8 + joint * 4) as u64 + kind);
            let grip = if holding { 0.35 } else { 0.02 };
            [
                closed * reach + 1e-3 * error(0),
                rate * reach + 6e-3 * error(1),
                grip + 0.05 * rate.abs() + 0.01 * error(2),
                36.0 + 3.0 * noise.wander(finger as u64, at, 300.0),
            ]
        };
        proto::HandState {
            timestamp: Some(proto_time(moment.capture_time)),
            frame_id: frame.clone(),
            side: side(arm).into(),
            fingers: fingers(arm, each, true),
        }
        .encode_to_vec()
    }
}

fn hand_command(plan: Arc<Plan>, arm: Arm, frame: String) -> impl Source {
    move |moment: &Moment| {
        let (closed, _) = plan.hand(arm, moment.seconds);
        // The command closes a little further than the object allows: that is the grip.
        let wanted = if plan.scene(moment.seconds).held[arm.index()].is_some() { closed + 0.08 } else { closed };
        proto::HandCommand {
            timestamp: Some(proto_time(moment.capture_time)),
            frame_id: frame.clone(),
            side: side(arm).into(),
            fingers: fingers(arm, |finger, joint| [wanted * CLOSED[finger][joint], 0.0, 0.0, 0.0], false),
        }
        .encode_to_vec()
    }
}

fn wrist_pose(arm: Arm, angles: &ArmAngles) -> Isometry3<f64> {
    arm.forward(angles).2
}

fn wrench(plan: Arc<Plan>, noise: Noise, arm: Arm, frame: String) -> impl Source {
    move |moment: &Moment| {
        let scene: Scene = plan.scene(moment.seconds - RESPONSE);
        let wrist = wrist_pose(arm, &scene.arms[arm.index()]);
        let weight = if scene.held[arm.index()].is_some() { OBJECT_MASS * GRAVITY } else { 0.0 };
        let up = 14.0 * scene.pressing[arm.index()];
        let force = wrist.rotation.inverse() * Vector3::new(0.0, 0.0, up - weight);
        let torque = arm.grasp_point().coords.cross(&force);
        let errors = noise.at(moment.index);
        let noisy = |v: Vector3<f64>, from: u64, size: f64| {
            vector([0, 1, 2].map(|axis: u64| v[axis as usize] + size * errors.gauss(from + axis)))
        };
        proto::Wrench {
            timestamp: Some(proto_time(moment.capture_time)),
            frame_id: frame.clone(),
            force: Some(noisy(force, 0, 0.08)),
            torque: Some(noisy(torque, 3, 0.006)),
        }
        .encode_to_vec()
    }
}

fn imu(noise: Noise, frame: String) -> impl Source {
    let tilt = move |at: f64| [0, 1, 2].map(|axis| 0.006 * noise.wander(axis, at, 3.5));
    move |moment: &Moment| {
        let at = moment.seconds;
        let [roll, pitch, yaw] = tilt(at);
        let (before, after) = (tilt(at - 1e-3), tilt(at + 1e-3));
        let rotation = UnitQuaternion::from_euler_angles(roll, pitch, yaw);
        let force = rotation.inverse() * Vector3::new(0.0, 0.0, GRAVITY);
        let errors = noise.at(moment.index);
        let rate = |axis: usize| (after[axis] - before[axis]) / 2e-3 + 2e-3 * errors.gauss(axis as u64);
        let acceleration = |axis: usize| force[axis] + 0.02 * errors.gauss(3 + axis as u64);
        let q = rotation.coords;
        proto::Imu {
            timestamp: Some(proto_time(moment.capture_time)),
            frame_id: frame.clone(),
            orientation: Some(proto::Quaternion { x: q.x, y: q.y, z: q.z, w: q.w }),
            angular_velocity: Some(vector([rate(0), rate(1), rate(2)])),
            linear_acceleration: Some(vector([acceleration(0), acceleration(1), acceleration(2)])),
            temperature: Some(41.0 + noise.wander(9, at, 600.0)),
            angular_velocity_covariance: diagonal([4e-6; 3]),
            linear_acceleration_covariance: diagonal([4e-4; 3]),
            ..Default::default()
        }
        .encode_to_vec()
    }
}

fn teleoperation(plan: Arc<Plan>, noise: Noise, frame: String) -> impl Source {
    move |moment: &Moment| {
        // The operator's hands lead the robot's.
        let scene = plan.scene(moment.seconds + 0.08);
        let tremor = |kind: u64| 0.002 * noise.wander(kind, moment.seconds, 0.7);
        let tracked = Arm::BOTH.map(|arm| {
            let mut at = world_from_torso() * wrist_pose(arm, &scene.arms[arm.index()]);
            at.translation.vector += Vector3::new(0, 1, 2).map(|axis: u64| tremor(arm.index() as u64 * 3 + axis));
            proto::TrackedPose {
                name: format!("{}_hand", side_name(arm)),
                pose: Some(pose(&at)),
                tracked: true,
                ..Default::default()
            }
        });
        let triggers = Arm::BOTH.map(|arm| {
            let value = scene.closed[arm.index()];
            proto::Button { name: format!("{}_trigger", side_name(arm)), pressed: value > 0.5, value }
        });
        proto::TeleoperationInput {
            timestamp: Some(proto_time(moment.capture_time)),
            frame_id: frame.clone(),
            device: "headset".to_owned(),
            buttons: triggers.to_vec(),
            poses: tracked.to_vec(),
            engaged: true,
            latency: Some(0.045 + 0.005 * noise.wander(20, moment.seconds, 9.0)),
            ..Default::default()
        }
        .encode_to_vec()
    }
}

fn instruction(seed: u64) -> impl Source {
    move |moment: &Moment| {
        // A little later: the instant itself may lie a rounding before its task.
        let task = task::Task::of_cycle((moment.seconds / CYCLE + 1e-6) as u64, seed);
        let object = task::OBJECTS[task.object].en.trim_start_matches("the ").to_owned();
        proto::TaskInstruction {
            timestamp: Some(proto_time(moment.capture_time)),
            task_id: "pick_and_place".to_owned(),
            text_ko: task.text_ko(),
            text_en: task.text_en(),
            vocabulary: "sagwan-simulated/1".to_owned(),
            step: None,
            slots: [
                ("object".to_owned(), object),
                ("place".to_owned(), task.place_en().to_owned()),
                ("hand".to_owned(), side_name(task.arm).to_owned()),
            ]
            .into(),
        }
        .encode_to_vec()
    }
}

fn battery(noise: Noise) -> impl Source {
    move |moment: &Moment| {
        // Two hours from full to empty, then another battery.
        let charge = 0.86 - (moment.seconds / 7200.0) % 0.8;
        let current = -6.5 + 0.8 * noise.wander(0, moment.seconds, 12.0);
        proto::BatteryState {
            timestamp: Some(proto_time(moment.capture_time)),
            name: "main".to_owned(),
            voltage: Some(44.0 + 10.0 * charge + 0.05 * current),
            current: Some(current),
            state_of_charge: Some(charge),
            state_of_health: Some(0.97),
            charge: Some(15.0 * charge),
            capacity: Some(15.0),
            temperature: Some(31.0 + noise.wander(1, moment.seconds, 900.0)),
            status: proto::battery_state::Status::Discharging.into(),
            ..Default::default()
        }
        .encode_to_vec()
    }
}
