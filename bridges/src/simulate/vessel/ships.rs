//! Other ships: where they are at any time, and which of them reports next by AIS.

use std::f64::consts::TAU;

use super::super::noise::Noise;

/// What kind of ship.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShipKind {
    /// A container ship.
    Container,
    /// A tanker.
    Tanker,
    /// A passenger ferry.
    Ferry,
    /// A fishing boat.
    Fishing,
    /// A tug.
    Tug,
}

impl ShipKind {
    /// Length, beam and draught, metres.
    #[must_use]
    pub const fn size(self) -> [f64; 3] {
        match self {
            Self::Container => [172.0, 27.0, 9.4],
            Self::Tanker => [110.0, 18.0, 6.8],
            Self::Ferry => [74.0, 14.0, 3.2],
            Self::Fishing => [18.0, 4.6, 1.9],
            Self::Tug => [28.0, 9.0, 3.6],
        }
    }

    /// ITU-R M.1371 type of ship and cargo.
    #[must_use]
    pub const fn ais_type(self) -> u32 {
        match self {
            Self::Container => 70,
            Self::Tanker => 80,
            Self::Ferry => 60,
            Self::Fishing => 30,
            Self::Tug => 52,
        }
    }
}

/// A ship that goes round a circle, or lies at anchor.
#[derive(Clone, Copy, Debug)]
pub struct Ship {
    /// Kind.
    pub kind: ShipKind,
    /// Name.
    pub name: &'static str,
    /// Identity.
    pub mmsi: u32,
    /// Speed, m/s; 0 at anchor.
    pub speed: f64,
    center: [f64; 2],
    /// Negative goes round to port.
    radius: f64,
    phase: f64,
}

/// A ship at one time; directions in rad clockwise from north.
#[derive(Clone, Copy, Debug)]
pub struct ShipState {
    /// East, north, metres.
    pub at: [f64; 2],
    /// Where the bow points.
    pub heading: f64,
    /// rad/s, positive to starboard.
    pub rate_of_turn: f64,
    /// m/s.
    pub speed: f64,
}

/// How a ship swings about its anchor: angle, rad, and period, seconds.
const SWING: [f64; 2] = [0.25, 620.0];

impl Ship {
    /// Where it is.
    #[must_use]
    pub fn state(&self, seconds: f64) -> ShipState {
        if self.speed <= 0.0 {
            let [angle, period] = SWING;
            let swing = seconds * TAU / period + self.phase;
            let heading = self.phase + angle * swing.sin();
            let at = [self.center[0] - 60.0 * heading.sin(), self.center[1] - 60.0 * heading.cos()];
            let rate_of_turn = angle * TAU / period * swing.cos();
            return ShipState { at, heading: heading.rem_euclid(TAU), rate_of_turn, speed: 0.0 };
        }
        let bearing = self.phase + seconds * self.speed / self.radius;
        let radius = self.radius.abs();
        let at = [self.center[0] + radius * bearing.sin(), self.center[1] + radius * bearing.cos()];
        let heading = bearing + self.radius.signum() * TAU / 4.0;
        ShipState { at, heading: heading.rem_euclid(TAU), rate_of_turn: self.speed / self.radius, speed: self.speed }
    }
}

/// The ships around the harbour.
#[must_use]
pub fn fleet(seed: u64) -> Vec<Ship> {
    use ShipKind::{Container, Ferry, Fishing, Tanker, Tug};
    let noise = Noise::new(seed).named("ships");
    let table: [(ShipKind, &'static str, f64, [f64; 2], f64); 12] = [
        (Container, "HANBIT PIONEER", 6.2, [300.0, 1900.0], 1000.0),
        (Container, "EASTERN MERIDIAN", 0.0, [1500.0, 1100.0], 0.0),
        (Tanker, "SAEROM 5", 4.8, [-1900.0, -300.0], -900.0),
        (Tanker, "DONGHAE SPIRIT", 0.0, [-1250.0, 1150.0], 0.0),
        (Ferry, "ORYUK STAR", 8.5, [100.0, 0.0], -1350.0),
        (Ferry, "YEONGDO LINK", 7.4, [1900.0, -700.0], 800.0),
        (Fishing, "MANSEON HO", 2.4, [0.0, 20.0], 210.0),
        (Fishing, "HAESUNG 21", 1.9, [-1300.0, -100.0], -240.0),
        (Fishing, "PUREUN BADA", 3.1, [250.0, -1000.0], 330.0),
        (Fishing, "KEUMGANG HO", 2.2, [1400.0, 150.0], -280.0),
        (Tug, "BUSAN TUG 8", 4.1, [50.0, 1150.0], -220.0),
        (Tug, "GADEOK 3", 3.6, [-300.0, -1300.0], 420.0),
    ];
    let ship = |(nth, (kind, name, speed, center, radius))| {
        let phase = noise.between(nth as u64, 0.0, TAU);
        Ship { kind, name, mmsi: 440_100_000 + 1_357 * nth as u32, speed, center, radius, phase }
    };
    table.into_iter().enumerate().map(ship).collect()
}

/// Length of one turn of reports, seconds.
pub const TURN: f64 = 30.0;

/// One turn of AIS reports, repeated for ever: which ship, and whether it tells of its voyage rather than its position.
///
/// A ship under way reports its position five times a turn, one at anchor once, each its voyage once.
#[must_use]
pub fn reports(fleet: &[Ship]) -> Vec<(usize, bool)> {
    let mut slots: Vec<(u64, usize, bool)> = Vec::new();
    for (nth, ship) in fleet.iter().enumerate() {
        let start = nth as u64 * 71 % 600;
        let count = if ship.speed > 0.0 { 5 } else { 1 };
        slots.extend((0..count).map(|k| (start + k * 600, nth, false)));
        slots.push(((start + 300) % 3000, nth, true));
    }
    slots.sort_unstable();
    slots.into_iter().map(|(_, nth, is_voyage)| (nth, is_voyage)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ships_move_where_they_point() {
        for ship in fleet(1).iter().filter(|ship| ship.speed > 0.0) {
            for step in 0..60 {
                let t = f64::from(step) * 37.0;
                let (a, b) = (ship.state(t), ship.state(t + 0.1));
                let moved = [(b.at[0] - a.at[0]) / 0.1, (b.at[1] - a.at[1]) / 0.1];
                let expected = [a.speed * a.heading.sin(), a.speed * a.heading.cos()];
                assert!((moved[0] - expected[0]).hypot(moved[1] - expected[1]) < 0.05, "{} at {t}", ship.name);
            }
        }
    }

    #[test]
    fn every_ship_reports_in_every_turn() {
        let fleet = fleet(1);
        let reports = reports(&fleet);
        for (nth, ship) in fleet.iter().enumerate() {
            let count = |voyage| reports.iter().filter(|r| **r == (nth, voyage)).count();
            assert_eq!((count(false), count(true)), (if ship.speed > 0.0 { 5 } else { 1 }, 1), "{}", ship.name);
        }
    }
}
