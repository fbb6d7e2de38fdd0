//! The recorder's clocks: wall against monotonic, and every publisher's against ours.
//!
//! Pure: readings and sample times come as arguments. Knows no operating system; that is [`host`].

pub mod host;
mod line;

use sagwan_schemas::{
    proto,
    time::{Clock, Timestamp},
};

use self::line::Line;
use crate::{
    ledger::SourceId,
    stamp::{SEC, proto_time},
};

/// A step of the wall clock beyond this is a jump, nanoseconds.
pub const JUMP_NANOS: i64 = 50_000_000;
/// Clocks are slewed by at most this, parts per million: what a step may grow by between two readings.
const MAX_SLEW_PPM: i64 = 500;
/// How often a point is kept for the drift of the wall clock.
const DRIFT_EVERY: i64 = SEC;
/// Windows in which a source's least `log - capture` is taken.
const SOURCE_WINDOW: i64 = 5 * SEC;
/// Another least value by more than this between two windows is a step of a clock, not drift.
const SOURCE_STEP: i64 = 100_000_000;

/// Both clocks of the host, read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// UTC; may jump.
    pub wall: Timestamp,
    /// Nanoseconds of a clock that never jumps; its origin means nothing.
    pub monotonic: i64,
}

impl Reading {
    /// What `clock` shows now.
    #[must_use]
    pub fn of(clock: &dyn Clock) -> Self {
        Self { wall: clock.wall(), monotonic: clock.monotonic_nanos() }
    }

    /// Wall minus monotonic, nanoseconds, saturating.
    #[must_use]
    pub const fn offset(&self) -> i64 {
        self.wall.as_nanos().saturating_sub(self.monotonic)
    }
}

/// A step of the wall clock against the monotonic one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    /// Wall time after it.
    pub at: Timestamp,
    /// How far it went, nanoseconds; negative when the wall clock was set back.
    pub nanos: i64,
}

/// Offset and drift of one publisher's clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SourceOffset {
    /// Least log time minus capture time of the last whole window, nanoseconds: clock offset plus least latency.
    pub offset_nanos: i64,
    /// Change of it, parts per million; 0 until there are three windows.
    pub drift_ppm: f64,
}

/// Watches all clocks of a recording.
#[derive(Debug, Default)]
pub struct ClockMonitor {
    last: Option<Reading>,
    /// Sum of the jumps since the last message.
    jumped: i64,
    wall: Line,
    last_point: Option<i64>,
    sources: Vec<Source>,
}

#[derive(Debug, Default)]
struct Source {
    topic: String,
    publisher: String,
    /// Begin of the open window, log time.
    begin: Option<i64>,
    least: i64,
    line: Line,
    /// The estimate as of the last whole window.
    estimate: Option<SourceOffset>,
}

impl ClockMonitor {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Meets another source; ids are given in the same order as [`Ledger::add_source`](crate::ledger::Ledger) gives
    /// them.
    pub fn add_source(&mut self, topic: impl Into<String>, publisher: impl Into<String>) {
        self.sources.push(Source { topic: topic.into(), publisher: publisher.into(), ..Source::default() });
    }

    /// Corrects the topic of a source, once its publisher has told it.
    pub fn set_topic(&mut self, source: SourceId, topic: &str) {
        if let Some(source) = self.sources.get_mut(source.index()) {
            topic.clone_into(&mut source.topic);
        }
    }

    /// Takes a reading, some times a second; the jump since the one before, if there was one.
    pub fn read(&mut self, reading: Reading) -> Option<Jump> {
        let before = self.last.replace(reading);
        let jump = before.and_then(|before| {
            let elapsed = reading.monotonic.saturating_sub(before.monotonic).max(0);
            let step = reading.offset().saturating_sub(before.offset());
            let allowed = JUMP_NANOS.saturating_add(elapsed / 1_000_000 * MAX_SLEW_PPM);
            (step.saturating_abs() > allowed).then_some(Jump { at: reading.wall, nanos: step })
        });
        if let Some(jump) = jump {
            self.jumped = self.jumped.saturating_add(jump.nanos);
            self.wall = Line::default();
            self.last_point = None;
            for source in &mut self.sources {
                source.restart();
            }
        }
        if self.last_point.is_none_or(|point| reading.monotonic.saturating_sub(point) >= DRIFT_EVERY) {
            self.last_point = Some(reading.monotonic);
            self.wall.push(reading.monotonic, reading.offset());
        }
        jump
    }

    /// Drift of the wall clock against the monotonic one over about the last minute, parts per million.
    #[must_use]
    pub fn drift_ppm(&self) -> f64 {
        self.wall.slope().unwrap_or(0.0) * 1e6
    }

    /// Takes a sample's times. A few nanoseconds, but once per five seconds and source; a foreign id is ignored.
    #[inline]
    pub fn observe(&mut self, source: SourceId, log_time: Timestamp, capture_time: Timestamp) {
        let Some(source) = self.sources.get_mut(source.index()) else { return };
        let late = log_time.nanos_since(capture_time);
        let log = log_time.as_nanos();
        match source.begin {
            // A wall clock set back ends the window too; samples that overtook each other do not.
            Some(begin) if (-SEC..SOURCE_WINDOW).contains(&log.saturating_sub(begin)) => {
                source.least = source.least.min(late);
            }
            Some(begin) => {
                source.close_window(begin);
                (source.begin, source.least) = (Some(log), late);
            }
            None => (source.begin, source.least) = (Some(log), late),
        }
    }

    /// The estimate for a source: of the open window alone until one is whole, [`None`] before the first sample.
    #[must_use]
    pub fn source(&self, source: SourceId) -> Option<SourceOffset> {
        self.sources.get(source.index()).and_then(Source::offset)
    }

    /// The message for `/sagwan/clock`; takes the jumps since the one before with it.
    pub fn message(&mut self, reading: Reading, host: Option<proto::HostClock>) -> proto::Clock {
        proto::Clock {
            timestamp: Some(proto_time(reading.wall)),
            monotonic_nanos: reading.monotonic,
            offset_nanos: reading.offset(),
            jump_nanos: std::mem::take(&mut self.jumped),
            sources: self.sources.iter().filter_map(Source::message).collect(),
            host,
        }
    }
}

impl Source {
    /// Forgets what was measured against a clock that stepped since.
    fn restart(&mut self) {
        self.begin = None;
        self.line = Line::default();
        self.estimate = None;
    }

    fn close_window(&mut self, begin: i64) {
        let stepped = self
            .estimate
            .is_some_and(|last| self.least.saturating_sub(last.offset_nanos).saturating_abs() > SOURCE_STEP);
        if stepped || self.line.last_x().is_some_and(|x| begin <= x) {
            self.line = Line::default();
        }
        self.line.push(begin, self.least);
        let drift_ppm = self.line.slope().unwrap_or(0.0) * 1e6;
        self.estimate = Some(SourceOffset { offset_nanos: self.least, drift_ppm });
    }

    fn offset(&self) -> Option<SourceOffset> {
        self.estimate.or_else(|| self.begin.map(|_| SourceOffset { offset_nanos: self.least, drift_ppm: 0.0 }))
    }

    fn message(&self) -> Option<proto::SourceClock> {
        let SourceOffset { offset_nanos, drift_ppm } = self.offset()?;
        Some(proto::SourceClock {
            topic: self.topic.clone(),
            publisher: self.publisher.clone(),
            offset_nanos,
            drift_ppm,
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::time::Duration;

    use sagwan_schemas::time::ManualClock;

    use super::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn a_step_of_the_wall_clock_is_a_jump_and_a_slew_is_not() {
        for (step_ms, jumps) in
            [(0, false), (40, false), (-40, false), (60, true), (-3_600_000, true), (3_600_000, true)]
        {
            let clock = ManualClock::at(Timestamp::from_nanos(0));
            let mut monitor = ClockMonitor::new();
            assert_eq!(monitor.read(Reading::of(&clock)), None);
            clock.advance(Duration::from_millis(100));
            clock.step_wall(step_ms * MS);
            let jump = monitor.read(Reading::of(&clock));
            let at = Timestamp::from_nanos((100 + step_ms) * MS);
            assert_eq!(jump, jumps.then_some(Jump { at, nanos: step_ms * MS }), "{step_ms}");
            let message = monitor.message(Reading::of(&clock), None);
            assert_eq!(message.jump_nanos, if jumps { step_ms * MS } else { 0 });
            assert_eq!(message.offset_nanos, step_ms * MS);
            assert_eq!(monitor.message(Reading::of(&clock), None).jump_nanos, 0, "a jump is told once");
        }
    }

    #[test]
    fn drift_of_the_wall_clock_is_measured_across_readings_and_forgotten_at_a_jump() {
        let mut monitor = ClockMonitor::new();
        for i in 0..600_i64 {
            let monotonic = i * 100 * MS;
            // 40 ppm fast, read with 10 µs of noise.
            let wall = monotonic + monotonic / 1_000_000 * 40 + (i * 7919 % 10_000);
            assert_eq!(monitor.read(Reading { wall: Timestamp::from_nanos(wall), monotonic }), None);
        }
        assert!((monitor.drift_ppm() - 40.0).abs() < 1.0, "{}", monitor.drift_ppm());
        monitor.read(Reading { wall: Timestamp::EPOCH, monotonic: 60 * SEC });
        assert!(monitor.drift_ppm().abs() < f64::EPSILON);
    }

    #[test]
    fn a_publishers_offset_and_drift_come_from_its_fastest_samples() {
        let mut monitor = ClockMonitor::new();
        monitor.add_source("/imu", "p");
        let source = SourceId(0);
        assert_eq!(monitor.source(source), None);
        // Its clock is 2 s behind and loses 20 ppm more; latency 1 ms to 30 ms.
        for i in 0..6000_i64 {
            let sent = i * 10 * MS;
            let latency = MS + i * 7_919_317 % (29 * MS);
            let capture = sent - 2 * SEC - sent / 1_000_000 * 20;
            monitor.observe(source, Timestamp::from_nanos(sent + latency), Timestamp::from_nanos(capture));
        }
        let found = monitor.source(source).unwrap();
        assert!((found.offset_nanos - 2 * SEC - 2 * MS).abs() < 2 * MS, "{found:?}");
        assert!((found.drift_ppm - 20.0).abs() < 10.0, "{found:?}");
        let message = monitor.message(Reading { wall: Timestamp::EPOCH, monotonic: 0 }, None);
        assert_eq!((message.sources.len(), message.sources[0].topic.as_str()), (1, "/imu"));
    }

    #[test]
    fn wild_times_do_not_panic() {
        let mut monitor = ClockMonitor::new();
        monitor.add_source("/t", "");
        let times = [i64::MIN, i64::MAX, 0, -1, i64::MAX, i64::MIN, 1];
        for a in times {
            for b in times {
                monitor.read(Reading { wall: Timestamp::from_nanos(a), monotonic: b });
                monitor.observe(SourceId(0), Timestamp::from_nanos(a), Timestamp::from_nanos(b));
                monitor.observe(SourceId(9), Timestamp::from_nanos(a), Timestamp::from_nanos(b));
            }
        }
        assert!(monitor.drift_ppm().is_finite());
    }
}
