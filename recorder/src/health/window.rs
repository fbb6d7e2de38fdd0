//! Arrival statistics of one stream over a sliding window.
//!
//! A ring of buckets by log time. Knows no contract. Per sample: one division by a number that does not change, some
//! additions; no allocation.

use sagwan_schemas::time::Timestamp;

/// Buckets per window.
const BUCKETS: usize = 20;

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// Which piece of time it holds.
    epoch: i64,
    samples: u64,
    arrival: Spread,
    capture: Spread,
    /// Log minus capture time, seconds.
    latency_sum: f64,
    latency_max: f64,
    latencies: u64,
}

/// Sums of intervals, seconds.
#[derive(Clone, Copy, Debug, Default)]
struct Spread {
    count: u64,
    sum: f64,
    squares: f64,
}

impl Spread {
    fn push(&mut self, seconds: f64) {
        self.count += 1;
        self.sum += seconds;
        self.squares += seconds * seconds;
    }

    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.squares += other.squares;
    }

    fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }

    fn deviation(&self) -> Option<f64> {
        let mean = self.mean()?;
        (self.count > 1).then(|| (self.squares / self.count as f64 - mean * mean).max(0.0).sqrt())
    }
}

/// What a window says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Stats {
    pub(super) samples: u64,
    /// Samples per second; falls when the next sample is overdue.
    pub(super) rate_hz: Option<f64>,
    /// Standard deviation of the time between arrivals, seconds.
    pub(super) jitter_seconds: Option<f64>,
    /// Standard deviation of the time between captures, seconds.
    pub(super) capture_jitter_seconds: Option<f64>,
    /// Log minus capture time, seconds: mean
    pub(super) latency_seconds: Option<f64>,
    /// and greatest.
    pub(super) latency_max_seconds: Option<f64>,
}

/// The sliding window of one stream.
#[derive(Debug)]
pub(super) struct Window {
    width: i64,
    buckets: [Bucket; BUCKETS],
    last: Option<(i64, Option<i64>)>,
}

impl Window {
    /// A window of about `nanos`.
    pub(super) fn new(nanos: i64) -> Self {
        Self { width: (nanos / BUCKETS as i64).max(1), buckets: [Bucket::default(); BUCKETS], last: None }
    }

    /// Nanoseconds that the window spans.
    pub(super) fn nanos(&self) -> i64 {
        self.width.saturating_mul(BUCKETS as i64)
    }

    /// Takes a sample; the time since the one before, by log and by capture time, nanoseconds.
    #[inline]
    pub(super) fn push(&mut self, log_time: Timestamp, capture_time: Option<Timestamp>) -> Option<(i64, Option<i64>)> {
        let log = log_time.as_nanos();
        let capture = capture_time.map(Timestamp::as_nanos);
        let before = self.last.replace((log, capture));
        let longest = self.nanos().saturating_mul(4);
        let epoch = log.div_euclid(self.width);
        let bucket = self.buckets.get_mut(epoch.rem_euclid(BUCKETS as i64) as usize)?;
        if bucket.epoch != epoch {
            *bucket = Bucket { epoch, latency_max: f64::NEG_INFINITY, ..Bucket::default() };
        }
        bucket.samples += 1;
        if let Some(capture) = capture {
            let latency = log.saturating_sub(capture) as f64 * 1e-9;
            bucket.latency_sum += latency;
            bucket.latency_max = bucket.latency_max.max(latency);
            bucket.latencies += 1;
        }
        let (last_log, last_capture) = before?;
        let since_log = log.saturating_sub(last_log);
        let since_capture = capture.zip(last_capture).map(|(now, before)| now.saturating_sub(before));
        // A clock that stepped, or the end of a long silence, is no interval.
        if (0..longest).contains(&since_log) {
            bucket.arrival.push(since_log as f64 * 1e-9);
        }
        if let Some(nanos) = since_capture.filter(|nanos| (0..longest).contains(nanos)) {
            bucket.capture.push(nanos as f64 * 1e-9);
        }
        Some((since_log, since_capture))
    }

    /// The window that ends at `now`.
    pub(super) fn stats(&self, now: Timestamp) -> Stats {
        let end = now.as_nanos().div_euclid(self.width);
        let mut sum = Bucket { latency_max: f64::NEG_INFINITY, ..Bucket::default() };
        let ages = 0..BUCKETS as i64;
        for bucket in self.buckets.iter().filter(|b| b.samples > 0 && ages.contains(&end.saturating_sub(b.epoch))) {
            sum.samples += bucket.samples;
            sum.arrival.add(&bucket.arrival);
            sum.capture.add(&bucket.capture);
            sum.latency_sum += bucket.latency_sum;
            sum.latency_max = sum.latency_max.max(bucket.latency_max);
            sum.latencies += bucket.latencies;
        }
        let has_latency = sum.latencies > 0;
        Stats {
            samples: sum.samples,
            rate_hz: self.rate(&sum.arrival, now),
            jitter_seconds: sum.arrival.deviation(),
            capture_jitter_seconds: sum.capture.deviation(),
            latency_seconds: has_latency.then(|| sum.latency_sum / sum.latencies as f64),
            latency_max_seconds: has_latency.then_some(sum.latency_max),
        }
    }

    /// Intervals per second; an interval that is not over counts once it is longer than the others.
    fn rate(&self, arrival: &Spread, now: Timestamp) -> Option<f64> {
        let mean = arrival.mean()?;
        let open = now.as_nanos().saturating_sub(self.last?.0) as f64 * 1e-9;
        let overdue = if open > 1.5 * mean { open } else { 0.0 };
        let total = arrival.sum + overdue;
        // Samples of one instant have no rate.
        (total > 0.0).then(|| arrival.count as f64 / total)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::stamp::SEC;

    const MS: i64 = 1_000_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_nanos(ms * MS)
    }

    #[test]
    fn a_steady_stream_has_its_rate_and_no_jitter_wherever_the_window_ends() {
        let mut window = Window::new(2 * SEC);
        (0..500).for_each(|i| _ = window.push(at(i * 10), Some(at(i * 10 - 3))));
        for end in [4990, 4993, 4999] {
            let stats = window.stats(at(end));
            assert!((stats.rate_hz.unwrap() - 100.0).abs() < 0.01, "{stats:?}");
            assert!(stats.jitter_seconds.unwrap() < 1e-6 && stats.capture_jitter_seconds.unwrap() < 1e-6, "{stats:?}");
            assert!((stats.latency_seconds.unwrap() - 0.003).abs() < 1e-9);
            assert!((stats.latency_max_seconds.unwrap() - 0.003).abs() < 1e-9);
        }
    }

    #[test]
    fn a_stream_that_stops_slows_down_and_then_has_no_rate() {
        let mut window = Window::new(2 * SEC);
        (0..500).for_each(|i| _ = window.push(at(i * 10), None));
        assert!(window.stats(at(5990)).rate_hz.unwrap() < 70.0);
        assert_eq!(window.stats(at(7500)), Stats::default());
    }

    #[test]
    fn jitter_is_the_deviation_of_the_intervals() {
        let mut window = Window::new(2 * SEC);
        let mut t = 0;
        for i in 0..200 {
            t += if i % 2 == 0 { 8 } else { 12 };
            window.push(at(t), None);
        }
        assert!((window.stats(at(t)).jitter_seconds.unwrap() - 0.002).abs() < 1e-4);
    }

    #[test]
    fn a_clock_that_steps_heals_within_a_window() {
        for step in [-3_600_000, 3_600_000] {
            let mut window = Window::new(2 * SEC);
            (0..300).for_each(|i| _ = window.push(at(i * 10), None));
            (300..600).for_each(|i| _ = window.push(at(i * 10 + step), None));
            let stats = window.stats(at(6000 + step));
            assert!((stats.rate_hz.unwrap() - 100.0).abs() < 0.1, "{step}: {stats:?}");
        }
    }

    #[test]
    fn wild_times_do_not_panic() {
        let mut window = Window::new(0);
        for a in [i64::MIN, i64::MAX, 0, -1, i64::MIN] {
            for b in [i64::MAX, i64::MIN, 7] {
                window.push(Timestamp::from_nanos(a), Some(Timestamp::from_nanos(b)));
                window.stats(Timestamp::from_nanos(b));
            }
        }
    }
}
