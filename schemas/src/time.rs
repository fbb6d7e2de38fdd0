//! Points in time and the clocks that give them.
//!
//! Every time in a recording is an `i64` count of nanoseconds since the Unix epoch, UTC, so that clocks set before
//! 1970 and clocks that run backwards are values like any other.

use std::{
    fmt,
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant, SystemTime},
};

/// Nanoseconds since 1970-01-01T00:00:00Z; negative before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);

    /// From nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// What MCAP's unsigned fields can hold of it: times before 1970 become 0.
    #[must_use]
    pub const fn to_mcap(self) -> u64 {
        if self.0 < 0 { 0 } else { self.0.unsigned_abs() }
    }

    /// From an MCAP time; values beyond the year 2262 saturate.
    #[must_use]
    pub fn from_mcap(nanos: u64) -> Self {
        Self(i64::try_from(nanos).unwrap_or(i64::MAX))
    }

    /// From a hybrid logical clock's NTP64: seconds in the upper, 2⁻³² s in the lower 32 bits.
    ///
    /// `ntp64 = 1 << 31` is half a second: 500 000 000 ns. Rounded to the nearest nanosecond.
    #[must_use]
    pub fn from_ntp64(ntp64: u64) -> Self {
        let secs = ntp64 >> 32;
        let fraction = ntp64 & 0xffff_ffff;
        let nanos = (fraction * 1_000_000_000 + (1 << 31)) >> 32;
        // 2³² s is the year 2106: neither the product nor the sum reaches i64::MAX.
        Self((secs * 1_000_000_000 + nanos).cast_signed())
    }

    /// `self - earlier` in nanoseconds, saturating.
    #[must_use]
    pub const fn nanos_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Moved by `nanos`, saturating.
    #[must_use]
    pub const fn offset(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(t) => write!(f, "{t:.3}"),
            Err(_) => write!(f, "{} ns", self.0),
        }
    }
}

/// Where the time comes from. Real in the program, [`ManualClock`] in tests.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The host's UTC; may jump.
    fn wall(&self) -> Timestamp;
    /// Nanoseconds of a clock that never jumps nor runs backwards; its origin means nothing.
    fn monotonic_nanos(&self) -> i64;
}

/// The operating system's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose monotonic origin is now.
    #[must_use]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "everybody else gets the time from a `Clock`")]
    fn wall(&self) -> Timestamp {
        let nanos = match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |n| -n),
        };
        Timestamp(nanos)
    }

    fn monotonic_nanos(&self) -> i64 {
        i64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(i64::MAX)
    }
}

/// A clock that stands still until it is told to move.
#[derive(Debug, Default)]
pub struct ManualClock {
    wall: AtomicI64,
    monotonic: AtomicI64,
}

impl ManualClock {
    /// Stands at `wall`; its monotonic clock at 0.
    #[must_use]
    pub fn at(wall: Timestamp) -> Self {
        Self { wall: AtomicI64::new(wall.0), monotonic: AtomicI64::new(0) }
    }

    /// Lets time pass on both clocks.
    pub fn advance(&self, by: Duration) {
        let nanos = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
        self.wall.fetch_add(nanos, Ordering::SeqCst);
        self.monotonic.fetch_add(nanos, Ordering::SeqCst);
    }

    /// Steps the wall clock alone, as an operator or NTP would.
    pub fn step_wall(&self, nanos: i64) {
        self.wall.fetch_add(nanos, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> Timestamp {
        Timestamp(self.wall.load(Ordering::SeqCst))
    }

    fn monotonic_nanos(&self) -> i64 {
        self.monotonic.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp64_fractions_become_nanoseconds() {
        for (ntp64, nanos) in [
            (0, 0),
            (1 << 31, 500_000_000),
            (1 << 32, 1_000_000_000),
            ((1_700_000_000_u64 << 32) | 0x4000_0000, 1_700_000_000_250_000_000),
            (u64::MAX, 4_294_967_296_000_000_000),
        ] {
            assert_eq!(Timestamp::from_ntp64(ntp64).as_nanos(), nanos, "{ntp64:#x}");
        }
    }

    #[test]
    fn times_before_the_epoch_are_values_too() {
        let early = Timestamp::from_nanos(-1);
        assert_eq!(early.to_mcap(), 0);
        assert!(early < Timestamp::EPOCH);
        assert_eq!(Timestamp::EPOCH.nanos_since(early), 1);
    }

    #[test]
    fn a_manual_clock_steps_its_wall_alone() {
        let clock = ManualClock::at(Timestamp::from_nanos(10));
        clock.advance(Duration::from_nanos(5));
        clock.step_wall(-100);
        assert_eq!((clock.wall().as_nanos(), clock.monotonic_nanos()), (-85, 5));
    }
}
