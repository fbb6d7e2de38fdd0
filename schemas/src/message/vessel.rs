//! A ship or boat, and the other ships its AIS receiver hears. Directions are clockwise from true north.

use super::{check::time, error::Problem};
pub use crate::proto::{ais_target::NavigationStatus, vessel_state::SteeringMode};
use crate::{proto, time::Timestamp};

/// One rudder or steerable drive.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rudder {
    /// Name, unique on the vessel, e.g. "port", "main".
    pub name: String,
    /// Measured angle, rad; positive turns the vessel to starboard (as in NMEA 0183 RSA).
    pub angle: Option<f64>,
    /// Commanded angle, rad; same sign.
    pub command: Option<f64>,
}

impl From<proto::Rudder> for Rudder {
    fn from(m: proto::Rudder) -> Self {
        Self { name: m.name, angle: m.angle, command: m.command }
    }
}

/// One engine with its propeller.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Engine {
    /// Name, unique on the vessel, e.g. "port", "starboard", "bow_thruster".
    pub name: String,
    /// Measured shaft speed, rev/min; positive drives ahead (thruster: to starboard), negative astern.
    pub rpm: Option<f64>,
    /// Commanded shaft speed, rev/min; same sign.
    pub rpm_command: Option<f64>,
    /// Measured throttle (telegraph), -1 (full astern) … 1 (full ahead).
    pub throttle: Option<f64>,
    /// Commanded throttle; same scale.
    pub throttle_command: Option<f64>,
    /// Measured pitch of a controllable propeller, -1 (full astern) … 1 (full ahead).
    pub pitch: Option<f64>,
    /// Commanded pitch of a controllable propeller; same scale.
    pub pitch_command: Option<f64>,
    /// Load, 0 … 1 of the rated power.
    pub load: Option<f64>,
    /// Coolant or winding temperature, °C.
    pub temperature: Option<f64>,
    /// Fuel rate, m³/s.
    pub fuel_rate: Option<f64>,
}

impl From<proto::Engine> for Engine {
    fn from(m: proto::Engine) -> Self {
        Self {
            name: m.name,
            rpm: m.rpm,
            rpm_command: m.rpm_command,
            throttle: m.throttle,
            throttle_command: m.throttle_command,
            pitch: m.pitch,
            pitch_command: m.pitch_command,
            load: m.load,
            temperature: m.temperature,
            fuel_rate: m.fuel_rate,
        }
    }
}

/// Wind as an instrument on board measures or computes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wind {
    /// Speed of the apparent wind (felt on board), m/s.
    pub apparent_speed: Option<f64>,
    /// Where the apparent wind comes from, rad clockwise from the bow, 0 … 2π.
    pub apparent_angle: Option<f64>,
    /// Speed of the true wind (over ground), m/s.
    pub true_speed: Option<f64>,
    /// Where the true wind comes from, rad clockwise from true north, 0 … 2π.
    pub true_direction: Option<f64>,
}

impl From<proto::Wind> for Wind {
    fn from(m: proto::Wind) -> Self {
        Self {
            apparent_speed: m.apparent_speed,
            apparent_angle: m.apparent_angle,
            true_speed: m.true_speed,
            true_direction: m.true_direction,
        }
    }
}

/// What a vessel does (NMEA 0183 HDT, VTG, VHW, ROT, RSA, RPM, MWV; NMEA 2000; the bridge's systems).
/// An absent value is not known; it is not zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VesselState {
    /// When it was measured, UTC.
    pub timestamp: Timestamp,
    /// Frame of the vessel: x forward, y to port, z up.
    pub frame_id: String,
    /// Heading: where the bow points, rad clockwise from true north.
    pub heading: Option<f64>,
    /// Heading set by the helmsman or autopilot, rad clockwise from true north.
    pub heading_command: Option<f64>,
    /// Rate of turn, rad/s; positive to starboard.
    pub rate_of_turn: Option<f64>,
    /// Course over ground, rad clockwise from true north; means nothing at rest.
    pub course_over_ground: Option<f64>,
    /// Speed over ground, m/s, not negative.
    pub speed_over_ground: Option<f64>,
    /// Speed through water along the vessel's x, m/s; negative astern.
    pub speed_through_water: Option<f64>,
    /// Speed set by the captain or autopilot, m/s.
    pub speed_command: Option<f64>,
    /// Roll, rad; positive starboard side down.
    pub roll: Option<f64>,
    /// Pitch, rad; positive bow up.
    pub pitch: Option<f64>,
    /// Heave, m; positive up.
    pub heave: Option<f64>,
    /// Depth of water below the transducer, m.
    pub depth: Option<f64>,
    /// Rudders and steerable drives.
    pub rudders: Vec<Rudder>,
    /// Engines.
    pub engines: Vec<Engine>,
    /// Wind.
    pub wind: Option<Wind>,
    /// Who steers.
    pub mode: SteeringMode,
}

impl TryFrom<proto::VesselState> for VesselState {
    type Error = Problem;

    fn try_from(m: proto::VesselState) -> Result<Self, Problem> {
        let mode = m.mode();
        Ok(Self {
            timestamp: time(m.timestamp)?,
            frame_id: m.frame_id,
            heading: m.heading,
            heading_command: m.heading_command,
            rate_of_turn: m.rate_of_turn,
            course_over_ground: m.course_over_ground,
            speed_over_ground: m.speed_over_ground,
            speed_through_water: m.speed_through_water,
            speed_command: m.speed_command,
            roll: m.roll,
            pitch: m.pitch,
            heave: m.heave,
            depth: m.depth,
            rudders: m.rudders.into_iter().map(Rudder::from).collect(),
            engines: m.engines.into_iter().map(Engine::from).collect(),
            wind: m.wind.map(Wind::from),
            mode,
        })
    }
}

/// One report of one ship, as an AIS receiver hears it (ITU-R M.1371), in SI units. Position and static reports are the
/// same message: what a report does not carry, or carries as "not available", is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AisTarget {
    /// When the report was received, UTC.
    pub timestamp: Timestamp,
    /// Maritime mobile service identity, up to nine digits.
    pub mmsi: u32,
    /// WGS 84, degrees; north is positive.
    pub latitude: Option<f64>,
    /// WGS 84, degrees; east is positive.
    pub longitude: Option<f64>,
    /// Speed over ground, m/s.
    pub speed_over_ground: Option<f64>,
    /// Course over ground, rad clockwise from true north, 0 … 2π.
    pub course_over_ground: Option<f64>,
    /// Heading, rad clockwise from true north, 0 … 2π.
    pub heading: Option<f64>,
    /// Rate of turn, rad/s; positive to starboard.
    pub rate_of_turn: Option<f64>,
    /// What the ship says it is doing.
    pub navigation_status: NavigationStatus,
    /// The position is better than 10 m.
    pub position_accurate: Option<bool>,
    /// Distance from the position's reference point to the bow, m.
    pub to_bow: Option<f64>,
    /// Same, to the stern, m.
    pub to_stern: Option<f64>,
    /// Same, to the port side, m.
    pub to_port: Option<f64>,
    /// Same, to the starboard side, m.
    pub to_starboard: Option<f64>,
    /// Greatest present draught, m.
    pub draught: Option<f64>,
    /// Type of ship and cargo, ITU-R M.1371 code 0 … 99.
    pub ship_type: Option<u32>,
    /// IMO number.
    pub imo: Option<u32>,
    /// Name of the ship; empty where the report does not carry it.
    pub name: String,
    /// Radio call sign.
    pub callsign: String,
    /// Where the ship says it is going.
    pub destination: String,
    /// Message type 1 … 27 of the report.
    pub message_type: u32,
    /// Second of the minute at which the position was fixed, 0 … 59.
    pub utc_second: Option<u32>,
}

impl TryFrom<proto::AisTarget> for AisTarget {
    type Error = Problem;

    fn try_from(m: proto::AisTarget) -> Result<Self, Problem> {
        let navigation_status = m.navigation_status();
        Ok(Self {
            timestamp: time(m.timestamp)?,
            mmsi: m.mmsi,
            latitude: m.latitude,
            longitude: m.longitude,
            speed_over_ground: m.speed_over_ground,
            course_over_ground: m.course_over_ground,
            heading: m.heading,
            rate_of_turn: m.rate_of_turn,
            navigation_status,
            position_accurate: m.position_accurate,
            to_bow: m.to_bow,
            to_stern: m.to_stern,
            to_port: m.to_port,
            to_starboard: m.to_starboard,
            draught: m.draught,
            ship_type: m.ship_type,
            imo: m.imo,
            name: m.name,
            callsign: m.callsign,
            destination: m.destination,
            message_type: m.message_type,
            utc_second: m.utc_second,
        })
    }
}
