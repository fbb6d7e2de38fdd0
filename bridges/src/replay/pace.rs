//! When a message is due.

use std::{fmt, time::Duration};

use sagwan_schemas::time::{Clock, SystemClock};

/// Time that passes, and waiting for it. Real in the program; in tests waiting moves the time.
pub trait Pace: fmt::Debug {
    /// Nanoseconds of a clock that never jumps.
    fn now_nanos(&self) -> i64;
    /// Returns after `duration`.
    fn wait(&self, duration: Duration);
}

/// The operating system's clock and sleep.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemPace {
    clock: SystemClock,
}

impl SystemPace {
    /// Time from now on.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Pace for SystemPace {
    fn now_nanos(&self) -> i64 {
        self.clock.monotonic_nanos()
    }

    fn wait(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// Maps log times to the clock; its origin is the first message it is asked about.
#[derive(Debug)]
pub(super) struct Schedule {
    /// `None` means as fast as possible.
    rate: Option<f64>,
    origin: Option<Origin>,
}

#[derive(Clone, Copy, Debug)]
struct Origin {
    log_time: u64,
    now: i64,
}

impl Schedule {
    pub(super) fn new(rate: f64) -> Self {
        Self { rate: Some(rate).filter(|r| r.is_finite() && *r > 0.0), origin: None }
    }

    /// Nanoseconds until the message is due; 0 when it is, also when it is late or older than the first.
    pub(super) fn nanos_until(&mut self, log_time: u64, now: i64) -> u64 {
        let Some(rate) = self.rate else { return 0 };
        let origin = *self.origin.get_or_insert(Origin { log_time, now });
        let offset = log_time.saturating_sub(origin.log_time) as f64 / rate;
        // Float to integer casts saturate.
        let due = origin.now.saturating_add(offset as i64);
        u64::try_from(due.saturating_sub(now)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_due_at_their_distance_from_the_first() {
        for (rate, log_time, now, expected) in [
            (1.0, 1_500, 7_000, 500),
            (2.0, 1_500, 7_000, 250),
            (0.5, 1_500, 7_000, 1_000),
            (1.0, 1_500, 7_200, 300),
            (1.0, 1_500, 8_000, 0),
            (1.0, 900, 7_000, 0),
            (0.0, u64::MAX, 7_000, 0),
            (-1.0, u64::MAX, 7_000, 0),
            (f64::NAN, u64::MAX, 7_000, 0),
            (f64::INFINITY, u64::MAX, 7_000, 0),
        ] {
            let mut schedule = Schedule::new(rate);
            assert_eq!(schedule.nanos_until(1_000, 7_000), 0);
            assert_eq!(schedule.nanos_until(log_time, now), expected, "{rate} {log_time} {now}");
        }
        let mut schedule = Schedule::new(f64::MIN_POSITIVE);
        schedule.nanos_until(0, 0);
        assert_eq!(schedule.nanos_until(u64::MAX, 0), i64::MAX.unsigned_abs());
    }
}
