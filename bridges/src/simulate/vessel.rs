//! A workboat in the approaches of Busan harbour with GNSS, IMU, an AIS receiver, its bridge's state and a bow camera.
//!
//! World: x east, y north, z up from the waterline. `base_link`: amidships at the waterline, x to the bow, y to port.

pub mod model;
pub mod ships;
pub mod view;
pub mod voyage;

use std::{f64::consts::TAU, sync::Arc};

use foxglove::messages as fx;
use nalgebra::{Isometry3, Point3, UnitQuaternion, Vector3};
use prost::Message;
use sagwan_schemas::{
    profile::{Profile, Stream},
    proto,
    stream::Modality,
};

use self::{
    ships::{Ship, TURN},
    view::Harbour,
    voyage::{CURRENT, State, Voyage},
};
use super::{
    geo::Origin,
    noise::Noise,
    pace::Rhythm,
    platform::{
        ImageSource, Moment, Source, World, calibration, diagonal, fx_time, mount, proto_time, static_transforms,
        vector,
    },
    scene::{camera::Camera, canvas::Canvas},
};

/// Where the world's origin is: south-east of Yeongdo.
const ORIGIN: Origin = Origin { latitude: 35.058, longitude: 129.098 };
const GRAVITY: f64 = 9.806_65;
/// True wind: speed, m/s, and where it comes from, rad clockwise from north.
const WIND: [f64; 2] = [6.4, 3.9];

/// The simulated vessel.
#[derive(Debug)]
pub struct Vessel {
    profile: Profile,
    sea: Arc<Sea>,
    noise: Noise,
}

#[derive(Debug)]
struct Sea {
    voyage: Voyage,
    fleet: Vec<Ship>,
    reports: Vec<(usize, bool)>,
    harbour: Harbour,
    waves: Noise,
}

/// How the waves move the vessel: roll (starboard down), pitch (bow up), rad; heave, m.
#[derive(Clone, Copy, Debug)]
struct Motion {
    roll: f64,
    pitch: f64,
    heave: f64,
}

impl Sea {
    fn motion(&self, seconds: f64) -> Motion {
        let state = self.voyage.state(seconds);
        Motion {
            // She leans out of a turn.
            roll: 0.030 * self.waves.wander(0, seconds, 6.5) - 0.55 * state.rate_of_turn,
            pitch: 0.014 * self.waves.wander(1, seconds, 5.0),
            heave: 0.22 * self.waves.wander(2, seconds, 5.6),
        }
    }

    fn pose(&self, seconds: f64) -> Isometry3<f64> {
        let (state, motion) = (self.voyage.state(seconds), self.motion(seconds));
        let mut pose = view::pose(state.at, state.heading);
        pose.translation.vector.z = motion.heave;
        // About x positive is starboard down; about y (to port) positive is bow down.
        pose.rotation *= UnitQuaternion::from_euler_angles(motion.roll, -motion.pitch, 0.0);
        pose
    }
}

fn over_ground(state: &State) -> [f64; 2] {
    [state.speed * state.heading.sin() + CURRENT[0], state.speed * state.heading.cos() + CURRENT[1]]
}

impl Vessel {
    /// With the streams of a profile.
    #[must_use]
    pub fn new(profile: &Profile, seed: u64) -> Self {
        let fleet = ships::fleet(seed);
        let noise = Noise::new(seed);
        let sea = Sea {
            voyage: Voyage::new(),
            reports: ships::reports(&fleet),
            harbour: Harbour::new(&fleet),
            waves: noise.named("waves"),
            fleet,
        };
        Self { profile: profile.clone(), sea: Arc::new(sea), noise }
    }

    fn camera(&self, stream: &Stream) -> Box<dyn Source> {
        let (sea, mount, lens) = (Arc::clone(&self.sea), mount(&self.profile, &stream.frame), view::lens());
        Box::new(ImageSource::new(&stream.frame, lens, move |canvas: &mut Canvas, seconds| {
            let own = sea.pose(seconds);
            let camera = Camera { lens, world_from_camera: own * mount };
            let ships: Vec<_> = sea.fleet.iter().map(|ship| ship.state(seconds)).collect();
            sea.harbour.draw(canvas, &camera, &own, &ships, seconds);
        }))
    }
}

impl World for Vessel {
    fn source(&self, stream: &Stream) -> Option<Box<dyn Source>> {
        let (sea, frame) = (Arc::clone(&self.sea), stream.frame.clone());
        let noise = self.noise.named(&stream.name);
        Some(match stream.modality {
            Modality::CompressedImage => self.camera(stream),
            Modality::CameraCalibration => Box::new(calibration(&frame, view::lens())),
            Modality::Gnss => Box::new(gnss(sea, noise, frame, mount(&self.profile, &stream.frame))),
            Modality::Imu => Box::new(imu(sea, noise, frame)),
            Modality::VesselState => Box::new(vessel_state(sea, noise, frame)),
            Modality::AisTarget => Box::new(ais(sea, noise)),
            Modality::Transform => Box::new(static_transforms(&self.profile)),
            _ => return None,
        })
    }

    fn rhythm(&self, stream: &Stream) -> Rhythm {
        match (stream.modality, stream.rate_hz) {
            (_, Some(rate)) => Rhythm::Rate(rate),
            (Modality::AisTarget, None) => Rhythm::Rate(self.sea.reports.len() as f64 / TURN),
            _ => Rhythm::Once,
        }
    }
}

fn gnss(sea: Arc<Sea>, noise: Noise, frame: String, mount: Isometry3<f64>) -> impl Source {
    move |moment: &Moment| {
        let at = sea.pose(moment.seconds) * Point3::from(mount.translation.vector);
        let errors = noise.at(moment.index);
        let error = |axis: u64| 0.6 * noise.wander(axis, moment.seconds, 120.0) + 0.03 * errors.gauss(axis);
        let [latitude, longitude] = ORIGIN.degrees(at.x + error(0), at.y + error(1));
        fx::LocationFix {
            timestamp: Some(fx_time(moment.capture_time)),
            frame_id: frame.clone(),
            latitude,
            longitude,
            // Over the ellipsoid; the sea lies about 29 m above it here.
            altitude: 29.0 + at.z + 1.5 * error(2),
            position_covariance: diagonal([0.3, 0.3, 0.8]),
            position_covariance_type: fx::location_fix::PositionCovarianceType::DiagonalKnown.into(),
            ..Default::default()
        }
        .encode_to_vec()
    }
}

fn imu(sea: Arc<Sea>, noise: Noise, frame: String) -> impl Source {
    move |moment: &Moment| {
        let (at, dt) = (moment.seconds, 0.05);
        let (before, now, after) = (sea.motion(at - dt), sea.motion(at), sea.motion(at + dt));
        let state = sea.voyage.state(at);
        let rotation = sea.pose(at).rotation;
        let heave = (after.heave - 2.0 * now.heave + before.heave) / (dt * dt);
        let surge = (sea.voyage.state(at + 0.5).speed - sea.voyage.state(at - 0.5).speed).clamp(-1.0, 1.0);
        let gravity = rotation.inverse() * Vector3::new(0.0, 0.0, GRAVITY + heave);
        // A turn to starboard pushes towards -y.
        let force = gravity + Vector3::new(surge, -state.speed * state.rate_of_turn, 0.0);
        let errors = noise.at(moment.index);
        let turn =
            [(after.roll - before.roll) / (2.0 * dt), -(after.pitch - before.pitch) / (2.0 * dt), -state.rate_of_turn];
        let noisy = |v: [f64; 3], from: u64, size: f64| {
            vector([0, 1, 2].map(|axis: u64| v[axis as usize] + size * errors.gauss(from + axis)))
        };
        let q = rotation.coords;
        proto::Imu {
            timestamp: Some(proto_time(moment.capture_time)),
            frame_id: frame.clone(),
            orientation: Some(proto::Quaternion { x: q.x, y: q.y, z: q.z, w: q.w }),
            angular_velocity: Some(noisy(turn, 0, 8e-4)),
            linear_acceleration: Some(noisy([force.x, force.y, force.z], 3, 0.02)),
            temperature: Some(29.0 + noise.wander(9, at, 900.0)),
            angular_velocity_covariance: diagonal([7e-7; 3]),
            linear_acceleration_covariance: diagonal([4e-4; 3]),
            ..Default::default()
        }
        .encode_to_vec()
    }
}

fn wind(state: &State, gust: f64) -> proto::Wind {
    let (speed, from) = (WIND[0] + gust, WIND[1]);
    // The air's velocity against the vessel's, in the world.
    let own = over_ground(state);
    let air = [-speed * from.sin() - own[0], -speed * from.cos() - own[1]];
    let apparent_from = (-air[0]).atan2(-air[1]);
    proto::Wind {
        apparent_speed: Some(air[0].hypot(air[1])),
        apparent_angle: Some((apparent_from - state.heading).rem_euclid(TAU)),
        true_speed: Some(speed),
        true_direction: Some(from),
    }
}

fn vessel_state(sea: Arc<Sea>, noise: Noise, frame: String) -> impl Source {
    move |moment: &Moment| {
        let (state, motion) = (sea.voyage.state(moment.seconds), sea.motion(moment.seconds));
        let errors = noise.at(moment.index);
        let own = over_ground(&state);
        let load = (state.rpm / 1600.0).powi(3).clamp(0.0, 1.0);
        let engine = |name: &str, nth: u64| proto::Engine {
            name: name.to_owned(),
            rpm: Some(state.rpm + 4.0 * errors.gauss(4 + nth)),
            rpm_command: Some(state.rpm_command),
            throttle: Some(state.rpm / 1800.0),
            throttle_command: Some(state.rpm_command / 1800.0),
            load: Some(load + 0.005 * errors.gauss(6 + nth)),
            temperature: Some(81.0 + 2.0 * noise.wander(10 + nth, moment.seconds, 400.0)),
            fuel_rate: Some(2.4e-5 * load),
            ..Default::default()
        };
        proto::VesselState {
            timestamp: Some(proto_time(moment.capture_time)),
            frame_id: frame.clone(),
            heading: Some((state.heading + 0.002 * errors.gauss(0)).rem_euclid(TAU)),
            heading_command: Some(state.heading_command.rem_euclid(TAU)),
            rate_of_turn: Some(state.rate_of_turn + 3e-4 * errors.gauss(1)),
            course_over_ground: Some(own[0].atan2(own[1]).rem_euclid(TAU)),
            speed_over_ground: Some(own[0].hypot(own[1])),
            speed_through_water: Some(state.speed + 0.03 * errors.gauss(2)),
            speed_command: Some(5.5),
            roll: Some(motion.roll),
            pitch: Some(motion.pitch),
            heave: Some(motion.heave),
            depth: Some(24.0 - 0.004 * state.at[1] + 0.8 * noise.wander(2, moment.seconds, 70.0)),
            rudders: vec![proto::Rudder {
                name: "main".to_owned(),
                angle: Some(state.rudder + 0.001 * errors.gauss(3)),
                command: Some(state.rudder_command),
            }],
            engines: vec![engine("port", 0), engine("starboard", 1)],
            wind: Some(wind(&state, 0.9 * noise.wander(3, moment.seconds, 14.0))),
            mode: proto::vessel_state::SteeringMode::Track.into(),
        }
        .encode_to_vec()
    }
}

fn ais(sea: Arc<Sea>, noise: Noise) -> impl Source {
    move |moment: &Moment| {
        let slot = (moment.index % sea.reports.len().max(1) as u64) as usize;
        let (nth, is_voyage) = sea.reports.get(slot).copied().unwrap_or_default();
        let Some(ship) = sea.fleet.get(nth) else { return Vec::new() };
        let mut report = proto::AisTarget {
            timestamp: Some(proto_time(moment.capture_time)),
            mmsi: ship.mmsi,
            ..Default::default()
        };
        if is_voyage {
            describe_voyage(&mut report, ship, nth);
        } else {
            describe_position(&mut report, ship, moment, noise.at(moment.index));
        }
        report.encode_to_vec()
    }
}

/// Message 1: where the ship is.
fn describe_position(report: &mut proto::AisTarget, ship: &Ship, moment: &Moment, errors: Noise) {
    use proto::ais_target::NavigationStatus as Status;
    let state = ship.state(moment.seconds);
    let [latitude, longitude] =
        ORIGIN.degrees(state.at[0] + 2.0 * errors.gauss(0), state.at[1] + 2.0 * errors.gauss(1));
    // AIS counts in 1/10 000 minute.
    let rounded = |degrees: f64| (degrees * 600_000.0).round() / 600_000.0;
    report.message_type = 1;
    report.latitude = Some(rounded(latitude));
    report.longitude = Some(rounded(longitude));
    report.speed_over_ground = Some(state.speed);
    report.course_over_ground = (state.speed > 0.0).then_some(state.heading);
    report.heading = Some(state.heading);
    report.rate_of_turn = Some(state.rate_of_turn);
    report.position_accurate = Some(true);
    report.utc_second = u32::try_from(moment.capture_time.as_nanos().div_euclid(1_000_000_000).rem_euclid(60)).ok();
    let status = match ship.kind {
        _ if ship.speed <= 0.0 => Status::AtAnchor,
        ships::ShipKind::Fishing => Status::Fishing,
        _ => Status::UnderWayUsingEngine,
    };
    report.navigation_status = status.into();
}

/// Message 5: what the ship is and where it goes.
fn describe_voyage(report: &mut proto::AisTarget, ship: &Ship, nth: usize) {
    let [length, beam, draught] = ship.kind.size();
    report.message_type = 5;
    report.to_bow = Some((length * 0.7).round());
    report.to_stern = Some((length * 0.3).round());
    report.to_port = Some((beam / 2.0).round());
    report.to_starboard = Some((beam / 2.0).round());
    report.draught = Some(draught);
    report.ship_type = Some(ship.kind.ais_type());
    report.name = ship.name.to_owned();
    report.callsign = format!("D7S{nth:02}");
    report.destination = if ship.speed > 0.0 { "KR PUS".to_owned() } else { "KR PUS ANCH".to_owned() };
}
