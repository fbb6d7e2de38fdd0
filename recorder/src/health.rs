//! Health of a recording's streams, live: rate, jitter, latency, stalls, synchronisation, against the profile's contract.
//!
//! Pure; runs on the writer thread. Knows neither what a sample holds nor what was lost: that is the
//! [ledger](crate::ledger). Windows run on log times and heal by themselves when the wall clock steps; stalls and alarms
//! run on the monotonic clock.

pub mod alarm;
pub mod sync;
pub mod text;
mod window;

use sagwan_schemas::{
    profile::{LocalText, Stream},
    proto,
    time::Timestamp,
};
use serde::Serialize;

use self::{
    alarm::{AlarmId, Alarms, SETTLING_NANOS},
    sync::{SyncMonitor, SyncReport},
    text::both,
    window::{Stats, Window},
};
use crate::{clock::Reading, stamp::SEC};

/// Window of streams without a rate, and the least one.
const MIN_WINDOW: i64 = 2 * SEC;
/// The longest window.
const MAX_WINDOW: i64 = 60 * SEC;
/// Periods that a window holds at least, as long as it is not the longest.
const PERIODS: f64 = 10.0;
/// Periods without a sample that are a stall, where the profile does not say,
const STALL_PERIODS: f64 = 5.0;
/// and the shortest such stall.
const MIN_STALL: i64 = SEC / 2;
/// Latency may rise by this over the lowest seen, seconds.
const MAX_LATENCY_RISE: f64 = 0.5;
/// How fast the lowest latency is forgotten, so that drifting clocks raise no alarm: seconds per second.
const LATENCY_LEAK: f64 = 1e-4;
/// From this many periods on, a step of contiguous capture times means that the source left samples out.
const HOLE_PERIODS: f64 = 1.75;
/// A capture time that steps further than the log time by this is a stepped clock, not a hole.
const HOLE_SLACK: i64 = SEC;

/// One stream of the recording; a dense index, valid for the [`Health`] that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u32);

impl StreamId {
    /// As an index into per-stream tables.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a stream promises.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contract {
    /// Its topic.
    pub topic: String,
    /// Samples per second.
    pub rate_hz: Option<f64>,
    /// Allowed relative deviation of the rate, 0…1.
    pub rate_tolerance: f64,
    /// The recording is no good without it.
    pub required: bool,
    /// Longest time without a sample, nanoseconds; [`None`] where silence is normal.
    pub stall_after: Option<i64>,
}

impl Contract {
    /// The contract of a stream that no profile names.
    #[must_use]
    pub fn none(topic: impl Into<String>) -> Self {
        Self { topic: topic.into(), ..Self::default() }
    }

    /// The contract that a profile gives a stream which is recorded under `topic`.
    #[must_use]
    pub fn of(stream: &Stream, topic: impl Into<String>) -> Self {
        let rate_hz = stream.rate_hz.filter(|rate| rate.is_finite() && *rate > 0.0);
        // Casts of floats saturate.
        let by_rate = rate_hz.map(|rate| ((STALL_PERIODS / rate * 1e9) as i64).max(MIN_STALL));
        Self {
            topic: topic.into(),
            rate_hz,
            rate_tolerance: stream.rate_tolerance,
            required: stream.required,
            stall_after: stream.stall_after.map(sagwan_schemas::profile::Span::nanos).or(by_rate),
        }
    }

    fn window(&self) -> i64 {
        self.rate_hz.map_or(MIN_WINDOW, |rate| ((PERIODS / rate * 1e9) as i64).clamp(MIN_WINDOW, MAX_WINDOW))
    }

    /// Lowest and highest rate that keep the contract.
    pub(crate) fn rates(&self) -> Option<(f64, f64)> {
        let rate = self.rate_hz?;
        Some((rate * (1.0 - self.rate_tolerance), rate * (1.0 + self.rate_tolerance)))
    }
}

/// How a stream does, over its window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StreamReport {
    /// Its topic.
    pub topic: String,
    /// Samples per second; 0 where none or only one came.
    pub rate_hz: f64,
    /// Contracted samples per second.
    pub contract_hz: Option<f64>,
    /// Standard deviation of the time between arrivals, seconds.
    pub jitter_seconds: f64,
    /// Standard deviation of the time between captures, seconds.
    pub capture_jitter_seconds: Option<f64>,
    /// Log time minus capture time, mean, seconds; holds the difference of the clocks too.
    pub latency_seconds: Option<f64>,
    /// Its greatest value.
    pub latency_max_seconds: Option<f64>,
    /// Samples since the start.
    pub received: u64,
    /// Log time of the last sample.
    pub last_arrival: Option<Timestamp>,
    /// No sample for longer than the contract allows.
    pub stalled: bool,
}

impl StreamReport {
    /// The message; `missing` comes from the ledger.
    #[must_use]
    pub fn to_proto(&self, missing: u64) -> proto::StreamHealth {
        proto::StreamHealth {
            topic: self.topic.clone(),
            rate_hz: self.rate_hz,
            jitter_seconds: self.jitter_seconds,
            latency_seconds: self.latency_seconds.unwrap_or(0.0),
            received: self.received,
            missing,
            stalled: self.stalled,
        }
    }
}

/// Watches one stream.
#[derive(Debug)]
struct Monitor {
    contract: Contract,
    window: Window,
    /// Contracted period, nanoseconds.
    period: Option<f64>,
    received: u64,
    last_arrival: Option<Timestamp>,
    /// Group and place in it.
    group: Option<(usize, usize)>,
    // As of the last evaluation:
    counted: u64,
    counted_at: i64,
    /// Since when it has been flowing.
    flowing_since: Option<i64>,
    stalled: bool,
    least_latency: Option<f64>,
    evaluated_at: i64,
}

/// Watches all streams of a recording.
#[derive(Debug)]
pub struct Health {
    started: Reading,
    streams: Vec<Monitor>,
    groups: Vec<SyncMonitor>,
    /// Topics that streams do not have any more, until their alarms are taken back.
    renamed: Vec<String>,
}

impl Health {
    /// A recording that starts at `started`.
    #[must_use]
    pub fn new(started: Reading) -> Self {
        Self { started, streams: Vec::new(), groups: Vec::new(), renamed: Vec::new() }
    }

    /// Watches another stream. Streams of the profile are added at the start, so that their absence is noticed.
    ///
    /// # Panics
    /// Beyond 2³² streams, which no memory holds.
    #[expect(clippy::expect_used, reason = "each stream holds more than one byte")]
    pub fn add_stream(&mut self, contract: Contract) -> StreamId {
        let id = u32::try_from(self.streams.len()).expect("fewer than 2³² streams");
        self.streams.push(Monitor {
            window: Window::new(contract.window()),
            period: contract.rate_hz.map(|rate| 1e9 / rate),
            contract,
            received: 0,
            last_arrival: None,
            group: None,
            counted: 0,
            counted_at: self.started.monotonic,
            flowing_since: None,
            stalled: false,
            least_latency: None,
            evaluated_at: self.started.monotonic,
        });
        StreamId(id)
    }

    /// Gives a stream another contract or topic, once it is known better; its window starts anew, its count does not.
    pub fn set_contract(&mut self, stream: StreamId, contract: Contract) {
        if let Some(monitor) = self.streams.get_mut(stream.index()) {
            monitor.window = Window::new(contract.window());
            monitor.period = contract.rate_hz.map(|rate| 1e9 / rate);
            let before = std::mem::replace(&mut monitor.contract, contract);
            if before.topic != monitor.contract.topic {
                self.renamed.push(before.topic);
            }
            monitor.flowing_since = None;
        }
    }

    /// Watches how well these streams are captured together; a stream belongs to the last group that names it.
    pub fn add_group(&mut self, name: impl Into<String>, tolerance_nanos: i64, members: &[StreamId]) {
        let group = self.groups.len();
        let mut rates = Vec::with_capacity(members.len());
        for (place, member) in members.iter().enumerate() {
            let stream = self.streams.get_mut(member.index());
            rates.push(stream.as_ref().and_then(|stream| stream.contract.rate_hz));
            if let Some(stream) = stream {
                stream.group = Some((group, place));
            }
        }
        self.groups.push(SyncMonitor::new(name, tolerance_nanos, &rates));
    }

    /// Takes a sample's times. `contiguous` when its number follows that of the sample before.
    ///
    /// Gives how many samples the source seems to have left out before it: by how many contracted periods the capture
    /// times of contiguous samples lie apart. An estimate for
    /// [`Ledger::source_missing`](crate::ledger::Ledger::source_missing). A foreign id is ignored.
    #[inline]
    pub fn observe(
        &mut self,
        stream: StreamId,
        log_time: Timestamp,
        capture_time: Option<Timestamp>,
        contiguous: bool,
    ) -> u64 {
        let Some(monitor) = self.streams.get_mut(stream.index()) else { return 0 };
        monitor.received += 1;
        monitor.last_arrival = Some(log_time);
        let steps = monitor.window.push(log_time, capture_time);
        if let (Some((group, place)), Some(capture)) = (monitor.group, capture_time)
            && let Some(group) = self.groups.get_mut(group)
        {
            group.observe(place, log_time, capture);
        }
        match (steps, monitor.period) {
            (Some((log, Some(capture))), Some(period)) if contiguous && capture as f64 >= period * HOLE_PERIODS => {
                if capture > log.saturating_add(HOLE_SLACK) {
                    return 0;
                }
                ((capture as f64 / period).round() as u64).saturating_sub(1)
            }
            _ => 0,
        }
    }

    /// Judges every stream and group; call some times a second.
    pub fn evaluate(&mut self, now: Reading, alarms: &mut Alarms) {
        for topic in self.renamed.drain(..) {
            alarms.forget(&topic);
        }
        let age = now.monotonic.saturating_sub(self.started.monotonic);
        for monitor in &mut self.streams {
            monitor.evaluate(now, age, alarms);
        }
        for group in &self.groups {
            let report = group.report(now.wall);
            alarms.judge(AlarmId::SyncExceeded, &report.name, report.violated(), now, || report.describe());
        }
    }

    /// How every stream does at `now`, in the order of their ids.
    #[must_use]
    pub fn reports(&self, now: Timestamp) -> Vec<StreamReport> {
        self.streams.iter().map(|monitor| monitor.report(now)).collect()
    }

    /// How every sync group does.
    #[must_use]
    pub fn sync_reports(&self, now: Timestamp) -> Vec<SyncReport> {
        self.groups.iter().map(|group| group.report(now)).collect()
    }
}

impl Monitor {
    fn report(&self, now: Timestamp) -> StreamReport {
        let stats = self.window.stats(now);
        StreamReport {
            topic: self.contract.topic.clone(),
            rate_hz: stats.rate_hz.unwrap_or(0.0),
            contract_hz: self.contract.rate_hz,
            jitter_seconds: stats.jitter_seconds.unwrap_or(0.0),
            capture_jitter_seconds: stats.capture_jitter_seconds,
            latency_seconds: stats.latency_seconds,
            latency_max_seconds: stats.latency_max_seconds,
            received: self.received,
            last_arrival: self.last_arrival,
            stalled: self.stalled,
        }
    }

    fn evaluate(&mut self, now: Reading, age: i64, alarms: &mut Alarms) {
        let silent = self.note_arrivals(now.monotonic);
        let patience = self.contract.stall_after;
        let missing = self.contract.required && self.received == 0 && age >= patience.unwrap_or(0).max(SETTLING_NANOS);
        let contract = &self.contract;
        let topic = contract.topic.as_str();
        alarms.judge(AlarmId::StreamMissing, topic, missing, now, || {
            both("필수 스트림이 한 번도 오지 않음", "required, but nothing has come yet")
        });
        alarms.judge(AlarmId::StreamStalled, topic, self.stalled, now, || {
            let seconds = silent as f64 * 1e-9;
            both(format!("{seconds:.1}초 동안 표본 없음"), format!("no sample for {seconds:.1} s"))
        });
        let stats = self.window.stats(now.wall);
        let warm = self.flowing_since.is_some_and(|t| now.monotonic.saturating_sub(t) >= self.window.nanos());
        let judged = contract.rates().zip(stats.rate_hz.filter(|_| warm && !self.stalled));
        let slow = judged.is_some_and(|((lowest, _), rate)| rate < lowest);
        let fast = judged.is_some_and(|((_, highest), rate)| rate > highest);
        alarms.judge(AlarmId::StreamSlow, topic, slow, now, || rate_text(contract, &stats));
        alarms.judge(AlarmId::StreamFast, topic, fast, now, || rate_text(contract, &stats));
        self.judge_latency(&stats, now, alarms);
    }

    /// Notes whether samples came since the last evaluation; how long none has come, nanoseconds.
    fn note_arrivals(&mut self, now: i64) -> i64 {
        if self.received != self.counted {
            self.counted = self.received;
            self.counted_at = now;
            self.flowing_since.get_or_insert(now);
        }
        let silent = now.saturating_sub(self.counted_at);
        self.stalled = self.received > 0 && self.contract.stall_after.is_some_and(|patience| silent > patience);
        if self.stalled {
            self.flowing_since = None;
        }
        silent
    }

    /// Clocks differ, so only a rise over the lowest latency seen says something.
    fn judge_latency(&mut self, stats: &Stats, now: Reading, alarms: &mut Alarms) {
        let elapsed = now.monotonic.saturating_sub(self.evaluated_at).max(0) as f64 * 1e-9;
        self.evaluated_at = now.monotonic;
        let Some(latency) = stats.latency_seconds else { return };
        let least = self.least_latency.map_or(latency, |least| latency.min(least + elapsed * LATENCY_LEAK));
        self.least_latency = Some(least);
        let rise = latency - least;
        alarms.judge(AlarmId::StreamLatency, &self.contract.topic, rise > MAX_LATENCY_RISE, now, || {
            both(
                format!("촬영 후 도착까지 평소보다 {rise:.1}초 늦음"),
                format!("arrives {rise:.1} s later after its capture than it did"),
            )
        });
    }
}

fn rate_text(contract: &Contract, stats: &Stats) -> LocalText {
    let (rate, wanted) = (stats.rate_hz.unwrap_or(0.0), contract.rate_hz.unwrap_or(0.0));
    let percent = contract.rate_tolerance * 100.0;
    both(
        format!("초당 {rate:.1}개 (계약 {wanted} ± {percent:.0} %)"),
        format!("{rate:.1} samples/s; the contract is {wanted} ± {percent:.0} %"),
    )
}

#[cfg(test)]
mod tests;
