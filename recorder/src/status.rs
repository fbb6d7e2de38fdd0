//! How a recording stands now, for people and scripts. Serialized as JSON by `--json` and the control protocol.

use sagwan_schemas::{
    recording::manifest::{EpisodeEntry, LossCounts},
    stream::Class,
};
use serde::{Deserialize, Serialize};

/// Version of this layout.
pub const FORMAT_VERSION: u32 = 1;

/// How a recording stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of this layout.
    pub format_version: u32,
    /// Whether samples are being taken in.
    pub recording: bool,
    /// Identifier of the recording.
    pub recording_id: String,
    /// The platform.
    pub platform: String,
    /// RFC 3339, UTC.
    pub started: String,
    /// Seconds since the start, by the monotonic clock.
    pub elapsed_seconds: f64,
    /// Index of the open part.
    pub part: u32,
    /// Bytes in all parts.
    pub bytes: u64,
    /// Bytes written per second, over the last seconds.
    pub bytes_per_second: f64,
    /// Samples received, and what became of them.
    pub received: u64,
    /// Samples in the parts or on their way.
    pub recorded: u64,
    /// Samples known to be missing.
    pub lost: LossCounts,
    /// The queue.
    pub queue: QueueStatus,
    /// The disk.
    pub disk: DiskStatus,
    /// The clocks.
    pub clock: ClockState,
    /// Every stream of the profile and every other one met.
    pub streams: Vec<StreamStatus>,
    /// What is wrong now.
    pub alarms: Vec<AlarmStatus>,
    /// The running episode.
    pub episode: Option<EpisodeEntry>,
    /// Episodes so far.
    pub episodes: usize,
    /// Survives retention.
    pub preserved: bool,
}

/// The queue between callbacks and disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueStatus {
    /// Bytes waiting.
    pub bytes: u64,
    /// Most that ever waited.
    pub bytes_max: u64,
    /// Bytes allowed.
    pub budget: u64,
    /// Samples shed by class: preview, sensor, state, control.
    pub shed: [u64; 4],
    /// Times a publisher was made to wait.
    pub waits: u64,
}

/// The disk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DiskStatus {
    /// Bytes free.
    pub free: u64,
    /// Seconds until the disk is full at the present rate; absent while nothing is written.
    pub seconds_left: Option<f64>,
    /// `good`, `failing` or `full`.
    pub state: String,
    /// Longest time that data waited for its sync, seconds.
    pub exposure_seconds_max: f64,
}

/// The host's clocks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClockState {
    /// `ptp`, `chrony`, `ntp`, or empty.
    pub source: String,
    /// Whether it follows its source.
    pub synchronized: bool,
    /// Steps of the wall clock so far.
    pub jumps: u32,
}

/// One stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamStatus {
    /// Topic.
    pub topic: String,
    /// Key; empty while a stream of the profile has not been met.
    pub key: String,
    /// Overload class.
    pub class: Class,
    /// Required by the profile.
    pub required: bool,
    /// `ok`, `missing`, `slow`, `fast`, `stalled`, or `waiting` before it was met.
    pub state: String,
    /// Samples per second.
    pub rate_hz: f64,
    /// Samples per second by contract.
    pub contract_hz: Option<f64>,
    /// Standard deviation of the time between samples, seconds.
    pub jitter_seconds: f64,
    /// Log time minus capture time, seconds; absent without capture times.
    pub latency_seconds: Option<f64>,
    /// Samples received.
    pub received: u64,
    /// Samples known to be missing.
    pub missing: u64,
}

/// Something that is wrong now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlarmStatus {
    /// Stable identifier, e.g. `stream.stalled`.
    pub id: String,
    /// Topic, group or what else it is about.
    pub subject: String,
    /// For people, in Korean.
    pub detail_ko: String,
    /// For people, in English.
    pub detail_en: String,
    /// Seconds since it was raised.
    pub age_seconds: f64,
}
