//! The contract of a platform: its streams, frames, units and rates, as a TOML file.

mod check;
pub mod examples;
mod key;
mod loaded;
mod problem;
mod read;
mod role;
mod schema;
mod suggest;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

pub use self::{
    examples::example,
    key::{KeyError, check_key, includes},
    loaded::{LoadProfileError, LoadedProfile, MAX_PROFILE_BYTES},
    problem::{Problem, ProfileErrors, Severity},
    role::Role,
};
pub use crate::quantity::{Bytes, Span};
use crate::stream::{Class, Compression, Modality, Privacy};

/// A text in Korean and English.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalText {
    /// Korean.
    #[serde(default)]
    pub ko: String,
    /// English.
    #[serde(default)]
    pub en: String,
}

/// What kind of platform this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlatformKind {
    /// A humanoid or a part of one.
    Humanoid,
    /// A road vehicle.
    Vehicle,
    /// A ship or boat.
    Vessel,
    /// Anything else.
    Other,
}

/// The contract of a platform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Version of this file's layout; 1.
    pub version: u32,
    /// Identifier of the platform on the wire and in file names: `[a-z0-9_-]{1,64}`.
    pub platform: String,
    /// Kind of platform.
    pub kind: PlatformKind,
    /// Name for people.
    #[serde(default)]
    pub name: LocalText,
    /// How to record.
    #[serde(default)]
    pub recording: RecordingPolicy,
    /// The streams.
    #[serde(default, rename = "stream")]
    pub streams: Vec<Stream>,
    /// Groups of streams that must be captured together.
    #[serde(default, rename = "sync_group")]
    pub sync_groups: Vec<SyncGroup>,
    /// Coordinate frames.
    #[serde(default, rename = "frame")]
    pub frames: Vec<FrameSpec>,
    /// Conditions that mark or preserve data.
    #[serde(default, rename = "trigger")]
    pub triggers: Vec<Trigger>,
    /// Files to put into every part: calibration, URDF, DBC.
    #[serde(default, rename = "attachment")]
    pub attachments: Vec<AttachmentSpec>,
}

impl Profile {
    /// Reads and checks a TOML text; `source_name` stands for it in the problems. See [`LoadedProfile::parse`] for the
    /// warnings and the hash as well.
    ///
    /// # Errors
    /// Every problem found, each with its place.
    pub fn parse(text: &str, source_name: &str) -> Result<Self, ProfileErrors> {
        LoadedProfile::parse(text, source_name).map(|loaded| loaded.profile)
    }

    /// Reads and checks a file, and keeps its text.
    ///
    /// # Errors
    /// The file cannot be read, or what it holds is not a profile.
    pub fn load(path: impl AsRef<Path>) -> Result<LoadedProfile, LoadProfileError> {
        LoadedProfile::load(path.as_ref())
    }

    /// The implicit profile of a recording by key expressions alone: no streams, default policy.
    #[must_use]
    pub fn schemaless(platform: &str) -> Self {
        Self {
            version: 1,
            platform: platform.to_owned(),
            kind: PlatformKind::Other,
            name: LocalText::default(),
            recording: RecordingPolicy::default(),
            streams: Vec::new(),
            sync_groups: Vec::new(),
            frames: Vec::new(),
            triggers: Vec::new(),
            attachments: Vec::new(),
        }
    }

    /// The stream called `name`.
    #[must_use]
    pub fn stream(&self, name: &str) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.name == name)
    }

    /// The stream that a sample with this key (without wildcards) belongs to: the one with exactly this key, else the
    /// first whose key expression includes it.
    #[must_use]
    pub fn stream_for_key(&self, key: &str) -> Option<&Stream> {
        let exact = self.streams.iter().find(|stream| stream.key(&self.platform) == key);
        exact.or_else(|| self.streams.iter().find(|stream| includes(&stream.key(&self.platform), key)))
    }
}

/// How a platform is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecordingPolicy {
    /// Continuous, or a ring that is written out when a trigger fires.
    pub mode: RecordingMode,
    /// Bytes of samples that may wait to be written.
    pub queue: Bytes,
    /// A part is closed at this size,
    pub part_size: Bytes,
    /// or at this age, whichever comes first.
    pub part_duration: Span,
    /// A chunk is closed at this size,
    pub chunk_size: Bytes,
    /// or at this age.
    pub chunk_duration: Span,
    /// Longest time between two fdatasync calls.
    pub sync_interval: Span,
    /// How long a sample that its publisher sent with congestion control `Block` may wait for room in the queue.
    pub block_wait: Span,
    /// Recording stops cleanly when less than this is free on the disk.
    pub min_free: Bytes,
    /// Finished recordings beyond this total are deleted, oldest first, preserved ones never; 0 keeps all.
    pub quota: Bytes,
    /// Ring mode: how far back the ring reaches in time,
    pub ring_duration: Span,
    /// and in bytes.
    pub ring_size: Bytes,
}

impl Default for RecordingPolicy {
    fn default() -> Self {
        Self {
            mode: RecordingMode::Continuous,
            queue: Bytes(256 << 20),
            part_size: Bytes(4 << 30),
            part_duration: Span::from_secs(600),
            chunk_size: Bytes(1 << 20),
            chunk_duration: Span::from_secs(1),
            sync_interval: Span::from_secs(1),
            block_wait: Span::from_secs(2),
            min_free: Bytes(0),
            quota: Bytes(0),
            ring_duration: Span::from_secs(30),
            ring_size: Bytes(256 << 20),
        }
    }
}

/// When samples reach the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordingMode {
    /// Always.
    #[default]
    Continuous,
    /// Only around events; in between, memory holds the last seconds.
    Ring,
}

/// One named entry of a profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// Unique name: `[a-z0-9_]{1,64}`, may have `/` between parts.
    pub name: String,
    /// Name for people.
    #[serde(default)]
    pub title: LocalText,
    /// What it senses or commands.
    pub modality: Modality,
    /// What it is for in a dataset, e.g. `observation.images.head`, `action`.
    #[serde(default)]
    pub role: String,
    /// Key expression; default `sagwan/v1/<platform>/<name>`.
    #[serde(default)]
    pub key: Option<String>,
    /// Full schema name, e.g. `foxglove.CompressedImage`.
    #[serde(default)]
    pub schema: String,
    /// Contracted samples per second; absent for streams without a rhythm.
    #[serde(default)]
    pub rate_hz: Option<f64>,
    /// Allowed relative deviation of the rate, 0…1.
    #[serde(default = "default_rate_tolerance")]
    pub rate_tolerance: f64,
    /// The recording is no good without it.
    #[serde(default)]
    pub required: bool,
    /// Its coordinate frame.
    #[serde(default)]
    pub frame: String,
    /// Units of its values, for a person.
    #[serde(default)]
    pub unit: String,
    /// Overload class.
    #[serde(default)]
    pub class: Class,
    /// Sync group it belongs to.
    #[serde(default)]
    pub sync_group: Option<String>,
    /// Whose privacy or secret it touches.
    #[serde(default)]
    pub privacy: Privacy,
    /// Chunk compression.
    #[serde(default)]
    pub compression: Compression,
    /// Its last value stays valid and is repeated in every part.
    #[serde(default)]
    pub latched: bool,
    /// Alarm when no sample came for this long; default 5 periods and at least 500 ms for streams with a rate.
    #[serde(default)]
    pub stall_after: Option<Span>,
    /// Whether it is recorded at all.
    #[serde(default = "default_true")]
    pub record: bool,
}

impl Stream {
    /// Its key expression on a platform: `{platform}` and `{stream}` filled in.
    #[must_use]
    pub fn key(&self, platform: &str) -> String {
        match &self.key {
            Some(key) => key.replace("{platform}", platform).replace("{stream}", &self.name),
            None => format!("sagwan/v1/{platform}/{}", self.name),
        }
    }

    /// Silence after which it counts as stalled: as written, else 5 periods but at least 500 ms; `None` for a stream
    /// without a rate.
    #[must_use]
    pub fn stall_after(&self) -> Option<Span> {
        let by_rate = |rate: f64| Duration::try_from_secs_f64(5.0 / rate).ok();
        let resolved = || self.rate_hz.and_then(by_rate).map(|span| Span(span.max(LEAST_STALL)));
        self.stall_after.or_else(resolved)
    }

    /// What it is for in a dataset; [`Role::None`] if the text has no known form, which a checked profile's has.
    #[must_use]
    pub fn parsed_role(&self) -> Role<'_> {
        Role::parse(&self.role).unwrap_or(Role::None)
    }
}

/// Streams whose capture times must agree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncGroup {
    /// Unique name.
    pub name: String,
    /// Largest allowed difference of capture times of samples that belong together.
    pub tolerance: Span,
}

/// A coordinate frame: right-handed, metres, radians.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameSpec {
    /// Unique name.
    pub name: String,
    /// Parent frame; empty for a root.
    #[serde(default)]
    pub parent: String,
    /// Origin in the parent, metres.
    #[serde(default)]
    pub translation: [f64; 3],
    /// Orientation in the parent, quaternion x, y, z, w.
    #[serde(default = "identity_rotation")]
    pub rotation: [f64; 4],
}

/// A condition over decoded fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// Unique name.
    pub name: String,
    /// Name for people.
    #[serde(default)]
    pub title: LocalText,
    /// CEL expression over the streams' last messages, e.g. `vehicle_state.speed > 20.0`.
    pub when: String,
    /// Pre-roll kept in ring mode.
    #[serde(default = "default_roll")]
    pub pre: Span,
    /// Post-roll.
    #[serde(default = "default_roll")]
    pub post: Span,
    /// Recordings in which it fired survive retention.
    #[serde(default)]
    pub preserve: bool,
}

/// A file that goes into every part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttachmentSpec {
    /// Name in the part.
    pub name: String,
    /// File, relative to the profile.
    pub path: PathBuf,
    /// Media type.
    #[serde(default)]
    pub media_type: String,
}

/// Shorter silences are no stall, whatever the rate: schedulers and networks pause that long.
const LEAST_STALL: Duration = Duration::from_millis(500);

fn default_rate_tolerance() -> f64 {
    0.1
}
fn default_true() -> bool {
    true
}
fn default_roll() -> Span {
    Span::from_secs(10)
}
fn identity_rotation() -> [f64; 4] {
    [0.0, 0.0, 0.0, 1.0]
}
