//! The manifest of a recording, `recording.json`: what it is, who made it under which contract, its parts, its losses.
//!
//! It is written when the recording starts, after every part and when it stops, each time whole and atomically, so that
//! a crash leaves the state after the last part.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::storage::Storage;
use crate::time::Timestamp;

/// Version of the manifest's layout that this crate writes.
pub const FORMAT_VERSION: u32 = 1;
/// Largest manifest that is read, bytes.
const SIZE_MAX: u64 = 64 << 20;

/// How a recording stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A recorder is at work, or was when the machine died.
    #[default]
    Recording,
    /// Stopped as intended.
    Finished,
    /// Stopped by itself: the disk failed or is full.
    Failed,
    /// The recorder or the machine died; the parts were recovered at a later start.
    Recovered,
}

/// A point in time, for machines and for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Nanoseconds since the Unix epoch, UTC.
    pub ns: Timestamp,
    /// The same as RFC 3339, UTC.
    pub utc: String,
}

impl From<Timestamp> for Moment {
    fn from(ns: Timestamp) -> Self {
        Self { ns, utc: ns.to_string() }
    }
}

/// The manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this layout.
    pub format_version: u32,
    /// Identifier; the name of the directory.
    pub recording_id: String,
    /// How it stands.
    pub state: State,
    /// Start.
    pub started: Moment,
    /// Stop; absent while recording.
    #[serde(default)]
    pub ended: Option<Moment>,
    /// The platform.
    pub platform: String,
    /// The profile it was recorded under.
    #[serde(default)]
    pub profile: Option<ProfileReference>,
    /// Pseudonym of the operator.
    #[serde(default)]
    pub operator: String,
    /// Site.
    #[serde(default)]
    pub site: String,
    /// Reference to the consent or notice record that covers it.
    #[serde(default)]
    pub consent: String,
    /// Notes.
    #[serde(default)]
    pub notes: String,
    /// The recorder's host.
    pub host: Host,
    /// The host's clock at the start.
    #[serde(default)]
    pub clock: ClockStatus,
    /// Survives retention.
    #[serde(default)]
    pub preserved: bool,
    /// Finished parts, in order.
    #[serde(default)]
    pub parts: Vec<PartEntry>,
    /// What is known to be missing.
    #[serde(default)]
    pub loss: LossSummary,
    /// Episodes, in order.
    #[serde(default)]
    pub episodes: Vec<EpisodeEntry>,
    /// What a person should know: recoveries, disk failures, clock steps.
    #[serde(default)]
    pub remarks: Vec<String>,
}

/// The profile a recording was made under.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileReference {
    /// File name.
    pub name: String,
    /// Hash of the file's bytes, lower-case hex; the file itself is an attachment of every part.
    pub sha256: String,
}

/// The recorder's host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Operating system and kernel.
    #[serde(default)]
    pub os: String,
    /// The recorder and its version.
    pub software: String,
}

/// What the host says of its time synchronisation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockStatus {
    /// `ptp`, `chrony`, `ntp`, or empty where nothing was found.
    #[serde(default)]
    pub source: String,
    /// Whether it follows its source.
    #[serde(default)]
    pub synchronized: bool,
    /// Estimated offset from the reference, ns.
    #[serde(default)]
    pub offset_ns: i64,
    /// Steps of the wall clock during the recording.
    #[serde(default)]
    pub jumps: u32,
}

/// A finished part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartEntry {
    /// File name under `parts/`.
    pub file: String,
    /// Size.
    pub bytes: u64,
    /// Hash of the whole file, lower-case hex; empty when it could not be computed.
    pub sha256: String,
    /// Messages in it.
    pub messages: u64,
    /// First log time; absent without messages.
    #[serde(default)]
    pub start: Option<Moment>,
    /// Last log time; absent without messages.
    #[serde(default)]
    pub end: Option<Moment>,
    /// Its end was torn and has been recovered.
    #[serde(default)]
    pub recovered: bool,
}

/// What is known to be missing from a recording. `sent = recorded + outside + transport + queue + disk`, in all and for each source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossSummary {
    /// Samples that belong to the recording: by the publishers' numbers where they give them, else as they arrived.
    pub sent: u64,
    /// Samples recorded; ones received twice count once.
    pub recorded: u64,
    /// Ring mode: samples let go outside every event's window; not a loss.
    #[serde(default)]
    pub outside: u64,
    /// Samples known to be missing, by cause.
    pub lost: LossCounts,
    /// The same per source.
    #[serde(default)]
    pub sources: Vec<SourceLoss>,
}

/// Missing samples by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossCounts {
    /// Sent, never received.
    pub transport: u64,
    /// Received, shed because the queue was full.
    pub queue: u64,
    /// Queued, not taken by the disk.
    pub disk: u64,
    /// Not produced by the sensor; an estimate, not part of the identity.
    #[serde(default)]
    pub source: u64,
}

impl LossCounts {
    /// Samples that were sent and are not in the recording.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.transport + self.queue + self.disk
    }
}

/// The account of one publisher on one channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLoss {
    /// Topic of the channel.
    pub topic: String,
    /// The publisher, where it can be told.
    #[serde(default)]
    pub publisher: String,
    /// Whether it numbers its samples; without numbers only queue and disk losses can be known.
    pub numbered: bool,
    /// Samples that belong to the recording.
    pub sent: u64,
    /// Samples that reached the recorder.
    pub received: u64,
    /// Samples in the parts.
    pub recorded: u64,
    /// Ring mode: samples let go outside every event's window; not a loss.
    #[serde(default)]
    pub outside: u64,
    /// Samples received twice.
    #[serde(default)]
    pub duplicates: u64,
    /// Times the publisher was met: 1 plus its restarts.
    #[serde(default)]
    pub instances: u64,
    /// Number of its first sample met, where it was sending already; absent when everything from 0 on belongs here.
    #[serde(default)]
    pub joined_at: Option<u64>,
    /// Number of its last sample met.
    #[serde(default)]
    pub last_sequence: Option<u64>,
    /// What is missing.
    pub lost: LossCounts,
}

/// An episode, as it stood when the manifest was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpisodeEntry {
    /// Counted from 0.
    pub index: u32,
    /// Start of `[start, end)`.
    pub start: Option<Moment>,
    /// End; absent while it runs.
    #[serde(default)]
    pub end: Option<Moment>,
    /// `success`, `failure` or empty.
    #[serde(default)]
    pub outcome: String,
    /// Taken back: not to be used.
    #[serde(default)]
    pub discarded: bool,
    /// The discarded episode that this one records again.
    #[serde(default)]
    pub rerecords: Option<u32>,
    /// What to do, in Korean.
    #[serde(default)]
    pub instruction_ko: String,
    /// What to do, in English.
    #[serde(default)]
    pub instruction_en: String,
    /// Pseudonym of the operator.
    #[serde(default)]
    pub operator: String,
    /// Site.
    #[serde(default)]
    pub site: String,
    /// Notes.
    #[serde(default)]
    pub notes: String,
    /// Reference to the consent or notice record.
    #[serde(default)]
    pub consent: String,
}

/// Reading or writing a manifest failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The file could not be read.
    #[error("cannot read the manifest {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Larger than any manifest.
    #[error("a manifest of {bytes} bytes is larger than {SIZE_MAX}: {}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// Not a manifest.
    #[error("not a manifest: {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why, with line and column.
        #[source]
        source: serde_json::Error,
    },
    /// Written by a later version.
    #[error("the manifest has format version {found}, this program reads up to {FORMAT_VERSION}: {}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The file could not be written; the former one is still there.
    #[error("cannot write the manifest {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        let read = |source| ManifestError::Read { path: path.to_owned(), source };
        let bytes = fs::metadata(path).map_err(read)?.len();
        if bytes > SIZE_MAX {
            return Err(ManifestError::TooLarge { path: path.to_owned(), bytes });
        }
        let text = fs::read(path).map_err(read)?;
        let manifest: Self =
            serde_json::from_slice(&text).map_err(|source| ManifestError::Parse { path: path.to_owned(), source })?;
        if manifest.format_version > FORMAT_VERSION {
            return Err(ManifestError::Version { path: path.to_owned(), found: manifest.format_version });
        }
        Ok(manifest)
    }

    /// Writes it atomically and durably.
    ///
    /// # Errors
    /// The disk's; the former manifest is still there.
    pub fn write(&self, storage: &dyn Storage, path: &Path) -> Result<(), ManifestError> {
        let write = |source| ManifestError::Write { path: path.to_owned(), source };
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| write(error.into()))?;
        text.push(b'\n');
        storage.write_atomic(path, &text).map_err(write)
    }

    /// Bytes of all parts.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }
}
