//! How the vessel moves: an autopilot steers it round four waypoints for ever.
//!
//! Yaw follows Nomoto's first-order model, T·ṙ + r = K·δ; surge and engine are first-order too. Local frame: x east,
//! y north, metres. Heading: rad clockwise from north; rudder and rate of turn are positive to starboard.

use std::f64::consts::{PI, TAU};

/// The vessel at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct State {
    /// East, north, metres.
    pub at: [f64; 2],
    /// rad clockwise from north, unwrapped.
    pub heading: f64,
    /// rad/s.
    pub rate_of_turn: f64,
    /// Through the water, m/s.
    pub speed: f64,
    /// rad.
    pub rudder: f64,
    /// rad.
    pub rudder_command: f64,
    /// rad clockwise from north, unwrapped.
    pub heading_command: f64,
    /// rev/min.
    pub rpm: f64,
    /// rev/min.
    pub rpm_command: f64,
}

/// Waypoints, east and north, metres; run through clockwise.
const WAYPOINTS: [[f64; 2]; 4] = [[-750.0, 420.0], [800.0, 520.0], [900.0, -430.0], [-820.0, -520.0]];
const TICK: f64 = 0.1;
/// Nomoto's constants for a workboat of 32 m at 5.5 m/s: seconds, 1/s.
const NOMOTO: [f64; 2] = [7.0, 0.20];
const RUDDER_MOST: f64 = 0.40;
const RUDDER_RATE: f64 = 0.07;
/// Where the water goes, east and north, m/s.
pub const CURRENT: [f64; 2] = [0.28, -0.12];
/// Speed through water for one rev/min, m/s.
const SPEED_PER_RPM: f64 = 5.5 / 1350.0;

/// One round, worked out once and repeated.
#[derive(Clone, Debug)]
pub struct Voyage {
    round: Vec<State>,
}

impl Default for Voyage {
    fn default() -> Self {
        Self::new()
    }
}

impl Voyage {
    /// Steers some rounds until they are alike and keeps one.
    #[must_use]
    pub fn new() -> Self {
        let mut state = State { at: WAYPOINTS[3], speed: 5.0, rpm: 1350.0, ..State::default() };
        let (mut target, mut rounds) = (0, 0);
        let mut round = vec![state];
        // Far more than four rounds take: an error in the numbers above must not hang.
        for _ in 0..200_000 {
            let way = [WAYPOINTS[target][0] - state.at[0], WAYPOINTS[target][1] - state.at[1]];
            if way[0].hypot(way[1]) < 110.0 {
                target = (target + 1) % WAYPOINTS.len();
                rounds += usize::from(target == 0);
                if target == 0 && rounds == 3 {
                    round.clear();
                    round.push(state);
                }
                continue;
            }
            if rounds == 4 {
                break;
            }
            state = step(&state, way);
            round.push(state);
        }
        close(&mut round);
        Self { round }
    }

    /// Length of a round, seconds.
    #[must_use]
    pub fn period(&self) -> f64 {
        (self.round.len() - 1) as f64 * TICK
    }

    /// The vessel at a time.
    #[must_use]
    pub fn state(&self, seconds: f64) -> State {
        let rounds = (seconds / self.period()).floor();
        let tick = (seconds - rounds * self.period()) / TICK;
        let index = (tick as usize).min(self.round.len().saturating_sub(2));
        let (a, b, t) = (&self.round[index], &self.round[index + 1], tick - index as f64);
        let mix = |a: f64, b: f64| a + (b - a) * t;
        State {
            at: [mix(a.at[0], b.at[0]), mix(a.at[1], b.at[1])],
            heading: mix(a.heading, b.heading),
            rate_of_turn: mix(a.rate_of_turn, b.rate_of_turn),
            speed: mix(a.speed, b.speed),
            rudder: mix(a.rudder, b.rudder),
            rudder_command: mix(a.rudder_command, b.rudder_command),
            heading_command: a.heading_command,
            rpm: mix(a.rpm, b.rpm),
            rpm_command: a.rpm_command,
        }
    }
}

/// An angle within ±π.
fn wrap(angle: f64) -> f64 {
    (angle + PI).rem_euclid(TAU) - PI
}

fn step(state: &State, way: [f64; 2]) -> State {
    let [time, gain] = NOMOTO;
    // Against the current, so that the course rather than the bow points at the waypoint.
    let distance = way[0].hypot(way[1]);
    let ahead = [way[0] / distance * state.speed - CURRENT[0], way[1] / distance * state.speed - CURRENT[1]];
    let error = wrap(ahead[0].atan2(ahead[1]) - state.heading);
    let rudder_command = (1.1 * error - 4.0 * state.rate_of_turn).clamp(-RUDDER_MOST, RUDDER_MOST);
    let rpm_command = if error.abs() > 0.5 { 1050.0 } else { 1350.0 };
    let rudder = state.rudder + (rudder_command - state.rudder).clamp(-RUDDER_RATE * TICK, RUDDER_RATE * TICK);
    let rate_of_turn = state.rate_of_turn + (gain * rudder - state.rate_of_turn) / time * TICK;
    let rpm = state.rpm + (rpm_command - state.rpm) / 3.0 * TICK;
    let pull = (rpm * SPEED_PER_RPM - state.speed) / 14.0 - 25.0 * state.rate_of_turn.powi(2);
    let speed = state.speed + pull * TICK;
    let heading = state.heading + rate_of_turn * TICK;
    let velocity = [speed * heading.sin() + CURRENT[0], speed * heading.cos() + CURRENT[1]];
    State {
        at: [state.at[0] + velocity[0] * TICK, state.at[1] + velocity[1] * TICK],
        heading,
        rate_of_turn,
        speed,
        rudder,
        rudder_command,
        heading_command: state.heading + error,
        rpm,
        rpm_command,
    }
}

/// Spreads what is left between end and start over the round, so that the next one follows without a jump.
fn close(round: &mut [State]) {
    let (Some(first), Some(last)) = (round.first().copied(), round.last().copied()) else { return };
    let left = [0, 1].map(|axis| first.at[axis] - last.at[axis]);
    let turn = wrap(first.heading - last.heading);
    let count = (round.len() - 1).max(1) as f64;
    for (index, state) in round.iter_mut().enumerate() {
        let share = index as f64 / count;
        state.at = [state.at[0] + left[0] * share, state.at[1] + left[1] * share];
        state.heading += turn * share;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_follow_each_other_without_a_jump() {
        let voyage = Voyage::new();
        assert!((600.0..2000.0).contains(&voyage.period()), "{}", voyage.period());
        let (end, start) = (voyage.state(voyage.period() - 1e-6), voyage.state(voyage.period()));
        assert!((end.at[0] - start.at[0]).hypot(end.at[1] - start.at[1]) < 0.5);
        assert!(wrap(end.heading - start.heading).abs() < 0.01);
        assert!((end.rudder - start.rudder).abs() < 0.05 && (end.speed - start.speed).abs() < 0.1);
    }

    #[test]
    fn position_follows_heading_and_speed() {
        let voyage = Voyage::new();
        for step in 0..900 {
            let t = f64::from(step) * 1.01;
            let (a, b) = (voyage.state(t), voyage.state(t + 1.0));
            let moved = [b.at[0] - a.at[0] - CURRENT[0], b.at[1] - a.at[1] - CURRENT[1]];
            let along = moved[0] * a.heading.sin() + moved[1] * a.heading.cos();
            assert!((along - a.speed).abs() < 0.3, "{t}: {along} {}", a.speed);
            assert!(a.rate_of_turn.abs() < 0.1, "slower than the profile's sharp turn");
        }
    }
}
