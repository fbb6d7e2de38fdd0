//! A car on a closed road among other road users, with six cameras, a lidar, GNSS, IMU and its bus.
//!
//! Map frame: x east, y north, z up. `base_link`: on the ground under the middle of the rear axle.

pub mod lidar;
pub mod road;
pub mod traffic;
pub mod view;

use std::sync::Arc;

use foxglove::messages as fx;
use nalgebra::{Isometry3, Point3, Translation3, Vector3};
use prost::Message;
use sagwan_schemas::{
    profile::{Profile, Stream},
    proto,
    stream::Modality,
};

use self::{
    lidar::{Lidar, Obstacle, POINT_BYTES},
    traffic::{Ego, RoadUser, Traffic, UserKind},
    view::Town,
};
use super::{
    geo::Origin,
    noise::Noise,
    platform::{
        ImageSource, Moment, Source, World, calibration, diagonal, fx_pose, fx_time, fx_vector, mount, pose,
        proto_time, static_transforms, vector,
    },
    scene::{camera::Camera, canvas::Canvas},
};

/// Where the map's origin is.
const ORIGIN: Origin = Origin { latitude: 37.394_8, longitude: 127.110_9 };
const ALTITUDE: f64 = 48.0;
/// Turns of the steering wheel for one of the road wheels.
const STEERING_RATIO: f64 = 15.2;
/// Objects farther away than this are not reported, metres.
const OBJECT_REACH: f64 = 100.0;
/// The vehicle follows its commands after so long, seconds.
const RESPONSE: f64 = 0.1;
const GRAVITY: f64 = 9.806_65;

/// The simulated vehicle.
#[derive(Debug)]
pub struct Vehicle {
    profile: Profile,
    traffic: Arc<Traffic>,
    town: Arc<Town>,
    noise: Noise,
}

impl Vehicle {
    /// With the streams of a profile.
    #[must_use]
    pub fn new(profile: &Profile, seed: u64) -> Self {
        let traffic = Traffic::new(seed);
        let town = Town::new(&traffic.fixtures);
        Self { profile: profile.clone(), traffic: Arc::new(traffic), town: Arc::new(town), noise: Noise::new(seed) }
    }

    /// Where everybody is: for comparing with what the sensors say.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// A camera of the profile at a time.
    #[must_use]
    pub fn camera_at(&self, frame: &str, seconds: f64) -> Camera {
        let world_from_camera = self.traffic.ego(seconds).pose * mount(&self.profile, frame);
        Camera { lens: view::lens(frame), world_from_camera }
    }

    fn camera(&self, stream: &Stream) -> Box<dyn Source> {
        let (traffic, town) = (Arc::clone(&self.traffic), Arc::clone(&self.town));
        let (mount, lens) = (mount(&self.profile, &stream.frame), view::lens(&stream.frame));
        Box::new(ImageSource::new(&stream.frame, lens, move |canvas: &mut Canvas, seconds| {
            let camera = Camera { lens, world_from_camera: traffic.ego(seconds).pose * mount };
            town.draw(canvas, &camera, &traffic.users(seconds));
        }))
    }
}

impl World for Vehicle {
    fn source(&self, stream: &Stream) -> Option<Box<dyn Source>> {
        let (traffic, frame) = (Arc::clone(&self.traffic), stream.frame.clone());
        let noise = self.noise.named(&stream.name);
        let mount = mount(&self.profile, &frame);
        Some(match stream.modality {
            Modality::CompressedImage => self.camera(stream),
            Modality::CameraCalibration => Box::new(calibration(&frame, view::lens(&frame))),
            Modality::PointCloud => Box::new(point_cloud(traffic, noise, frame, mount)),
            Modality::Gnss => Box::new(gnss(traffic, noise, frame, mount)),
            Modality::Imu => Box::new(imu(traffic, noise, frame)),
            Modality::Odometry => Box::new(odometry(traffic, noise, frame)),
            Modality::VehicleState => Box::new(vehicle_state(traffic, noise, frame)),
            Modality::VehicleCommand => Box::new(vehicle_command(traffic, frame)),
            Modality::Objects => Box::new(objects(traffic, frame)),
            Modality::Transform => Box::new(static_transforms(&self.profile)),
            _ => return None,
        })
    }
}

fn point_cloud(traffic: Arc<Traffic>, noise: Noise, frame: String, mount: Isometry3<f64>) -> impl Source {
    let mut lidar = Lidar::new(mount.translation.vector.z);
    let texture_origin = road::texture_origin();
    let field = |(nth, name): (usize, &str)| fx::PackedElementField {
        name: name.to_owned(),
        offset: 4 * nth as u32,
        r#type: fx::packed_element_field::NumericType::Float32.into(),
    };
    let fields: Vec<_> = ["x", "y", "z", "intensity"].into_iter().enumerate().map(field).collect();
    move |moment: &Moment| {
        let map_from_sensor = traffic.ego(moment.seconds).pose * mount;
        let obstacles = obstacles(&traffic, moment.seconds, &map_from_sensor);
        let ground = road::ground().sampler(1.0, 1.0, 1.0);
        let (at, (sin, cos)) =
            (map_from_sensor.translation.vector, map_from_sensor.rotation.euler_angles().2.sin_cos());
        let data = lidar.scan(&obstacles, noise.at(moment.index), |x, y| {
            let (x, y) = (f64::from(x), f64::from(y));
            let map = [at.x + cos * x - sin * y, at.y + sin * x + cos * y];
            let texel = [0, 1].map(|axis| ((map[axis] - texture_origin[axis]) / road::TEXEL) as f32);
            // White marks shine, asphalt hardly does.
            f32::from(ground.color(texel[0], texel[1]).luma()) * 0.4
        });
        fx::PointCloud {
            timestamp: Some(fx_time(moment.capture_time)),
            frame_id: frame.clone(),
            pose: Some(fx_pose(&Isometry3::identity())),
            point_stride: POINT_BYTES as u32,
            fields: fields.clone(),
            data: data.into(),
        }
        .encode_to_vec()
    }
}

fn obstacles(traffic: &Traffic, seconds: f64, map_from_sensor: &Isometry3<f64>) -> Vec<Obstacle> {
    let sensor_from_map = map_from_sensor.inverse();
    let mut obstacles = Vec::new();
    let mut add = |pose: &Isometry3<f64>, size: [f64; 3], lift: f64, reflectivity: f32| {
        let pose = sensor_from_map * pose * Translation3::new(0.0, 0.0, lift);
        obstacles.push(Obstacle { pose, size, reflectivity });
    };
    for RoadUser { kind, pose, look, .. } in traffic.users(seconds) {
        let [length, width, height] = kind.size();
        let shine = 60.0 + (look % 120) as f32;
        if kind == UserKind::Car {
            add(&pose, [length, width, 0.92], 0.0, shine);
            let cabin = pose * Translation3::new(-0.4, 0.0, 0.0);
            add(&cabin, [2.1, width * 0.82, height - 0.9], 0.9, 25.0);
        } else {
            add(&pose, [length, width, height], 0.0, shine);
        }
    }
    for fixture in &traffic.fixtures {
        let [length, width, height] = fixture.size;
        if fixture.is_tree {
            add(&fixture.pose, [0.28, 0.28, height * 0.45], 0.0, 40.0);
            add(&fixture.pose, [length * 0.8, width * 0.8, height * 0.55], height * 0.4, 70.0);
        } else {
            add(&fixture.pose, fixture.size, 0.0, 95.0);
        }
    }
    obstacles
}

fn gnss(traffic: Arc<Traffic>, noise: Noise, frame: String, mount: Isometry3<f64>) -> impl Source {
    move |moment: &Moment| {
        let ego = traffic.ego(moment.seconds);
        let at = ego.pose * Point3::from(mount.translation.vector);
        // An RTK receiver: centimetres of noise on decimetres of drift.
        let errors = noise.at(moment.index);
        let error = |axis: u64| 0.15 * noise.wander(axis, moment.seconds, 90.0) + 0.008 * errors.gauss(axis);
        let [latitude, longitude] = ORIGIN.degrees(at.x + error(0), at.y + error(1));
        fx::LocationFix {
            timestamp: Some(fx_time(moment.capture_time)),
            frame_id: frame.clone(),
            latitude,
            longitude,
            altitude: ALTITUDE + at.z + 1.5 * error(2),
            position_covariance: diagonal([0.02, 0.02, 0.05]),
            position_covariance_type: fx::location_fix::PositionCovarianceType::DiagonalKnown.into(),
            ..Default::default()
        }
        .encode_to_vec()
    }
}

fn imu(traffic: Arc<Traffic>, noise: Noise, frame: String) -> impl Source {
    move |moment: &Moment| {
        let ego = traffic.ego(moment.seconds);
        let errors = noise.at(moment.index);
        // Road and engine shake the body.
        let shake = |axis: u64| 0.10 * noise.wander(axis, moment.seconds, 0.21) + 0.03 * errors.gauss(axis);
        let force = [ego.acceleration + shake(0), ego.speed * ego.yaw_rate + shake(1), GRAVITY + 1.6 * shake(2)];
        let turn = |axis: u64| 0.006 * noise.wander(axis, moment.seconds, 0.4) + 1e-3 * errors.gauss(axis);
        let q = ego.pose.rotation.coords;
        proto::Imu {
            timestamp: Some(proto_time(moment.capture_time)),
            frame_id: frame.clone(),
            orientation: Some(proto::Quaternion { x: q.x, y: q.y, z: q.z, w: q.w }),
            angular_velocity: Some(vector([turn(3), turn(4), ego.yaw_rate + turn(5)])),
            linear_acceleration: Some(vector(force)),
            temperature: Some(38.0 + noise.wander(9, moment.seconds, 600.0)),
            angular_velocity_covariance: diagonal([1e-6; 3]),
            linear_acceleration_covariance: diagonal([9e-4; 3]),
            ..Default::default()
        }
        .encode_to_vec()
    }
}

fn odometry(traffic: Arc<Traffic>, noise: Noise, frame: String) -> impl Source {
    move |moment: &Moment| {
        let ego = traffic.ego(moment.seconds);
        let errors = noise.at(moment.index);
        fx::Odometry {
            timestamp: Some(fx_time(moment.capture_time)),
            frame_id: "map".to_owned(),
            body_frame_id: frame.clone(),
            pose: Some(fx_pose(&ego.pose)),
            linear_velocity: Some(fx_vector([ego.speed + 0.02 * errors.gauss(0), 0.0, 0.0])),
            angular_velocity: Some(fx_vector([0.0, 0.0, ego.yaw_rate + 0.002 * errors.gauss(1)])),
            ..Default::default()
        }
        .encode_to_vec()
    }
}

fn pedals(ego: &Ego) -> [f64; 2] {
    // Rolling and air resistance ask for some accelerator at constant speed.
    let wanted = ego.acceleration + 0.25 + 0.0008 * ego.speed.powi(2);
    [(wanted / 4.0).clamp(0.0, 1.0), (-wanted / 6.0).clamp(0.0, 1.0)]
}

fn vehicle_state(traffic: Arc<Traffic>, noise: Noise, frame: String) -> impl Source {
    move |moment: &Moment| {
        let ego = traffic.ego(moment.seconds);
        let before = traffic.ego(moment.seconds - 0.05);
        let errors = noise.at(moment.index);
        let road_wheel = ego.road_wheel_angle();
        let [accelerator, brake] = pedals(&ego);
        let wheel = |side: f64, error: u64| ego.speed - side * 0.78 * ego.yaw_rate + 0.03 * errors.gauss(error);
        let gear_step = 1 + (ego.speed / 3.2) as i32;
        proto::VehicleState {
            timestamp: Some(proto_time(moment.capture_time)),
            frame_id: frame.clone(),
            speed: Some(ego.speed + 0.01 * errors.gauss(0)),
            steering_wheel_angle: Some(STEERING_RATIO * road_wheel + 0.004 * errors.gauss(1)),
            steering_wheel_rate: Some(STEERING_RATIO * (road_wheel - before.road_wheel_angle()) / 0.05),
            steering_wheel_torque: Some(0.05 * errors.gauss(2)),
            road_wheel_angle: Some(road_wheel),
            accelerator: Some(accelerator),
            brake: Some(brake),
            brake_pressure: Some(brake * 8e6),
            gear: proto::Gear::Drive.into(),
            gear_step: Some(gear_step),
            indicator: proto::Indicator::Off.into(),
            yaw_rate: Some(ego.yaw_rate + 0.001 * errors.gauss(3)),
            longitudinal_acceleration: Some(ego.acceleration + 0.05 * errors.gauss(4)),
            lateral_acceleration: Some(ego.speed * ego.yaw_rate + 0.05 * errors.gauss(5)),
            wheel_speed: vec![wheel(1.0, 6), wheel(-1.0, 7), wheel(1.0, 8), wheel(-1.0, 9)],
            engine_speed: Some(900.0 + ego.speed * 620.0 / f64::from(gear_step)),
            odometer: Some(18_204_000.0 + ego.distance),
            mode: proto::DrivingMode::Automated.into(),
            parking_brake: Some(false),
            brake_light: Some(brake > 0.0),
            headlight: Some(true),
            wiper: Some(false),
        }
        .encode_to_vec()
    }
}

fn vehicle_command(traffic: Arc<Traffic>, frame: String) -> impl Source {
    move |moment: &Moment| {
        let ego = traffic.ego(moment.seconds + RESPONSE);
        let [accelerator, brake] = pedals(&ego);
        proto::VehicleCommand {
            timestamp: Some(proto_time(moment.capture_time)),
            frame_id: frame.clone(),
            speed: Some(ego.speed),
            acceleration: Some(ego.acceleration),
            steering_wheel_angle: Some(STEERING_RATIO * ego.road_wheel_angle()),
            road_wheel_angle: Some(ego.road_wheel_angle()),
            accelerator: Some(accelerator),
            brake: Some(brake),
            gear: proto::Gear::Drive.into(),
            indicator: proto::Indicator::Off.into(),
            yaw_rate: Some(ego.yaw_rate),
            mode: proto::DrivingMode::Automated.into(),
            ..Default::default()
        }
        .encode_to_vec()
    }
}

fn objects(traffic: Arc<Traffic>, frame: String) -> impl Source {
    move |moment: &Moment| {
        let base_from_map = traffic.ego(moment.seconds).pose.inverse();
        let object = |user: RoadUser| {
            let size = user.kind.size();
            let base = base_from_map * user.pose;
            if base.translation.vector.norm() > OBJECT_REACH {
                return None;
            }
            let velocity = base.rotation * Vector3::new(user.speed, 0.0, 0.0);
            Some(proto::TrackedObject {
                id: format!("{}", user.id),
                class: user.kind.class().to_owned(),
                pose: Some(pose(&(base * Translation3::new(0.0, 0.0, size[2] / 2.0)))),
                size: Some(vector(size)),
                velocity: Some(vector([velocity.x, velocity.y, velocity.z])),
                ..Default::default()
            })
        };
        proto::TrackedObjects {
            timestamp: Some(proto_time(moment.capture_time)),
            frame_id: frame.clone(),
            objects: traffic.users(moment.seconds).into_iter().filter_map(object).collect(),
        }
        .encode_to_vec()
    }
}
