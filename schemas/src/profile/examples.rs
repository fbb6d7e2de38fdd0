//! Complete profiles to copy and to simulate. Knows their text, not how it is read.

/// A humanoid: 29 joints, two hands, three cameras, IMU, wrist force sensors. Platform `humanoid-sim`.
pub const HUMANOID: &str = include_str!("../../profiles/humanoid.toml");

/// A road vehicle: six cameras, lidar, GNSS, IMU, vehicle bus. Platform `vehicle-sim`.
pub const VEHICLE: &str = include_str!("../../profiles/vehicle.toml");

/// A vessel: GNSS, bridge state, AIS, IMU, bow camera. Platform `vessel-sim`.
pub const VESSEL: &str = include_str!("../../profiles/vessel.toml");

/// Every example with its name.
pub const ALL: [(&str, &str); 3] = [("humanoid", HUMANOID), ("vehicle", VEHICLE), ("vessel", VESSEL)];

/// Text of the example called `humanoid`, `vehicle` or `vessel`; also with `.toml` behind the name.
#[must_use]
pub fn example(name: &str) -> Option<&'static str> {
    let name = name.strip_suffix(".toml").unwrap_or(name);
    ALL.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
