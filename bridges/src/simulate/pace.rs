//! When each sample is due. A pure schedule: it is told no time and waits for nothing.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::fault::FaultPlan;

/// The times at which a stream has samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rhythm {
    /// So many a second, the first at 0.
    Rate(f64),
    /// One at 0.
    Once,
}

impl Rhythm {
    /// When sample `index` is captured, nanoseconds after the start; `None` when there is none.
    ///
    /// Computed from the start, never from the last sample, so that rounding does not add up: sample 30 of a 30 Hz
    /// stream is at exactly 1 s.
    #[must_use]
    pub fn at(self, index: u64) -> Option<i64> {
        match self {
            Self::Once => (index == 0).then_some(0),
            Self::Rate(rate) if rate > 0.0 && rate.is_finite() => {
                // Whole seconds apart, so that days at a high rate keep their nanoseconds.
                let nanos = index as f64 / rate;
                let whole = nanos.floor();
                let fraction = ((nanos - whole) * 1e9).round() as i64;
                (whole as i64).checked_mul(1_000_000_000)?.checked_add(fraction)
            }
            Self::Rate(_) => None,
        }
    }
}

/// One sample that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// When it is to be sent, nanoseconds after the start.
    pub send_at: i64,
    /// Stream, by its place in the schedule.
    pub stream: usize,
    /// Counts the samples of the stream from 0, also those that a fault swallows.
    pub index: u64,
    /// When it is captured, nanoseconds after the start.
    pub at: i64,
}

/// One stream of a schedule.
#[derive(Clone, Debug)]
pub struct Paced {
    /// When it has samples.
    pub rhythm: Rhythm,
    /// What goes wrong.
    pub faults: FaultPlan,
}

/// Gives the samples of several streams in the order in which they are to be sent.
///
/// Within a stream that is the order of capture, whatever the jitter. If the caller is late, nothing is skipped.
#[derive(Clone, Debug)]
pub struct Schedule {
    streams: Vec<Paced>,
    next: BinaryHeap<Reverse<Due>>,
    /// Samples captured at this time or later are not due any more.
    end: i64,
    /// Samples per stream.
    limit: u64,
}

impl Schedule {
    /// All samples captured before `end` (nanoseconds after the start), at most `limit` a stream.
    #[must_use]
    pub fn new(streams: Vec<Paced>, end: Option<i64>, limit: Option<u64>) -> Self {
        let mut schedule = Self {
            next: BinaryHeap::with_capacity(streams.len()),
            streams,
            end: end.unwrap_or(i64::MAX),
            limit: limit.unwrap_or(u64::MAX),
        };
        for stream in 0..schedule.streams.len() {
            schedule.push(stream, 0, i64::MIN);
        }
        schedule
    }

    fn push(&mut self, stream: usize, index: u64, earliest: i64) {
        let Paced { rhythm, faults } = &self.streams[stream];
        let Some(at) = rhythm.at(index).filter(|&at| at < self.end && index < self.limit) else { return };
        let send_at = faults.send_at(index, at).max(earliest);
        self.next.push(Reverse(Due { send_at, stream, index, at }));
    }

    /// What is due next; stays due.
    #[must_use]
    pub fn peek(&self) -> Option<Due> {
        self.next.peek().map(|due| due.0)
    }

    /// The faults of a stream.
    #[must_use]
    pub fn faults(&self, stream: usize) -> &FaultPlan {
        &self.streams[stream].faults
    }
}

impl Iterator for Schedule {
    type Item = Due;

    fn next(&mut self) -> Option<Due> {
        let Reverse(due) = self.next.pop()?;
        self.push(due.stream, due.index + 1, due.send_at);
        Some(due)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn paced(rhythm: Rhythm, faults: &[&str]) -> Paced {
        let faults: Vec<_> = faults.iter().map(|f| f.parse().unwrap()).collect();
        Paced { rhythm, faults: FaultPlan::for_stream(&faults, "imu", 1) }
    }

    #[test]
    fn rates_hold_to_the_nanosecond_for_days() {
        for rate in [500.0, 100.0, 30.0, 10.0, 1.0] {
            for day in [0_u64, 1, 30] {
                let seconds = day * 86_400 + 7;
                let index = seconds * rate as u64;
                assert_eq!(Rhythm::Rate(rate).at(index), Some(seconds as i64 * 1_000_000_000), "{rate} Hz, day {day}");
            }
        }
        assert_eq!((Rhythm::Once.at(0), Rhythm::Once.at(1), Rhythm::Rate(0.0).at(0)), (Some(0), None, None));
    }

    #[test]
    fn streams_are_merged_in_the_order_of_time() {
        let streams = [500.0, 30.0, 100.0].map(|rate| paced(Rhythm::Rate(rate), &[])).to_vec();
        let all: Vec<Due> = Schedule::new(streams, Some(2_000_000_000), None).collect();
        assert!(all.is_sorted_by_key(|due| due.send_at));
        let counts = [0, 1, 2].map(|s| all.iter().filter(|due| due.stream == s).count());
        assert_eq!(counts, [1000, 60, 200]);
    }

    #[test]
    fn no_jitter_or_burst_reorders_a_stream() {
        let faults = ["jitter:imu:50ms", "burst:imu:at=1s,for=500ms"];
        let all: Vec<Due> = Schedule::new(vec![paced(Rhythm::Rate(500.0), &faults)], None, Some(2000)).collect();
        assert_eq!(all.len(), 2000);
        assert!(all.iter().enumerate().all(|(i, due)| due.index == i as u64 && due.send_at >= due.at));
        assert!(all.is_sorted_by_key(|due| due.send_at));
        let held = all.iter().filter(|due| due.at >= 1_000_000_000 && due.at < 1_500_000_000);
        assert!(held.clone().count() == 250 && held.clone().all(|due| due.send_at >= 1_500_000_000));
    }
}
