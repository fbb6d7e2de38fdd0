//! An MCAP, a part or a recording at a glance, for `sagwan info`. Reads summaries and message indexes, and of the data
//! only the chunks that hold episodes, events and losses.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    recording::{
        layout::{ACTIVE_ENDING, MANIFEST, PART_ENDING, PARTS},
        manifest::{LossSummary, Manifest, ManifestError, State},
        part_reader::{Origin, PartReader, ReadError},
    },
    time::Timestamp,
};

mod own;
mod scan;
mod text;

pub use own::{EpisodeOverview, EventOverview, LossOverview};

/// Version of [`Overview`] as it is serialized.
pub const FORMAT_VERSION: u32 = 1;

/// An MCAP, a part or a recording at a glance. Times are nanoseconds UTC.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Overview {
    /// Version of this structure.
    pub format_version: u32,
    /// What was looked at.
    pub path: PathBuf,
    /// From the manifest; absent for a single file.
    pub recording: Option<RecordingOverview>,
    /// Files, in order.
    pub parts: Vec<PartOverview>,
    /// Size of all files.
    pub bytes: u64,
    /// Messages in all files.
    pub messages: u64,
    /// First log time.
    pub start: Option<Timestamp>,
    /// Last log time.
    pub end: Option<Timestamp>,
    /// From first to last log time, seconds.
    pub duration_seconds: f64,
    /// One entry per topic, schema and encoding, by topic.
    pub channels: Vec<ChannelOverview>,
    /// Chunks by compression (empty for none).
    pub chunks: BTreeMap<String, ChunkOverview>,
    /// Episodes by index.
    pub episodes: Vec<EpisodeOverview>,
    /// Events by time; the first ten thousand.
    pub events: Vec<EventOverview>,
    /// The ledger's entries in the files, summed up by topic, publisher and cause.
    pub losses: Vec<LossOverview>,
    /// The manifest's account of losses.
    pub loss_summary: Option<LossSummary>,
    /// Steps of the recorder's wall clock: the manifest's count, or events of kind `clock`.
    pub clock_jumps: u32,
    /// Attachments of the first part that has any, as every part repeats them, and others of later parts.
    pub attachments: Vec<AttachmentOverview>,
    /// Names of metadata records.
    pub metadata: Vec<String>,
    /// What a person should know first.
    pub warnings: Vec<String>,
}

/// What the manifest says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecordingOverview {
    /// Identifier.
    pub id: String,
    /// How it stands.
    pub state: State,
    /// The platform.
    pub platform: String,
    /// File name of the profile.
    pub profile: Option<String>,
    /// Pseudonym of the operator.
    pub operator: String,
    /// Site.
    pub site: String,
    /// Start.
    pub started: Timestamp,
    /// Stop.
    pub ended: Option<Timestamp>,
    /// Survives retention.
    pub preserved: bool,
    /// The manifest's remarks.
    pub remarks: Vec<String>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartOverview {
    /// File name.
    pub file: String,
    /// Size.
    pub bytes: u64,
    /// Messages.
    pub messages: u64,
    /// First log time.
    pub start: Option<Timestamp>,
    /// Last log time.
    pub end: Option<Timestamp>,
    /// The header's profile.
    pub profile: String,
    /// The header's library.
    pub library: String,
    /// Being written, or left so by a crash.
    pub active: bool,
    /// Has a usable summary; else it was walked record by record.
    pub has_summary: bool,
    /// Where and why it cannot be read on.
    pub torn: Option<String>,
}

/// One topic with one schema and encoding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChannelOverview {
    /// Topic.
    pub topic: String,
    /// Schema name; empty without one.
    pub schema: String,
    /// Schema encoding; empty without one.
    pub schema_encoding: String,
    /// Message encoding.
    pub message_encoding: String,
    /// Messages.
    pub messages: u64,
    /// Messages per second between first and last; absent with fewer than two.
    pub rate_hz: Option<f64>,
    /// First log time, where message indexes tell it.
    pub start: Option<Timestamp>,
    /// Last log time, where message indexes tell it.
    pub end: Option<Timestamp>,
    /// Longest time between two messages, seconds, where message indexes tell it.
    pub gap_seconds_max: Option<f64>,
    /// Uncompressed bytes of its message records, where message indexes tell them.
    pub bytes: Option<u64>,
}

/// Chunks of one compression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChunkOverview {
    /// How many.
    pub count: u64,
    /// Bytes in the file.
    pub bytes_stored: u64,
    /// Bytes of records.
    pub bytes_uncompressed: u64,
}

/// An attachment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AttachmentOverview {
    /// Name.
    pub name: String,
    /// Media type.
    pub media_type: String,
    /// Size.
    pub bytes: u64,
}

/// Nothing can be told of a path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OverviewError {
    /// Neither a file nor a directory that can be read.
    #[error("cannot read {path}")]
    Path {
        /// The path.
        path: PathBuf,
        /// The file system's reason.
        source: io::Error,
    },
    /// A directory without `recording.json` and without parts.
    #[error("{path} is not a recording: it has neither {MANIFEST} nor {PARTS}/*{PART_ENDING}")]
    NotARecording {
        /// The directory.
        path: PathBuf,
    },
    /// The file is no MCAP or the disk does not give it.
    #[error("cannot read {path}")]
    Part {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ReadError,
    },
}

/// Files of a recording or the file itself, in order, and the manifest where there is one.
#[derive(Debug, Default)]
pub struct Files {
    /// MCAP files in the order of their names.
    pub parts: Vec<PathBuf>,
    /// The manifest, or why it cannot be read; `None` for a single file.
    pub manifest: Option<Result<Manifest, ManifestError>>,
}

/// Lists what a path holds: a file alone, or a recording's parts and manifest.
///
/// # Errors
/// [`OverviewError::Path`] and [`OverviewError::NotARecording`].
pub fn files(path: &Path) -> Result<Files, OverviewError> {
    let failed = |source| OverviewError::Path { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(Files { parts: vec![path.to_owned()], manifest: None });
    }
    let mut parts = Vec::new();
    match fs::read_dir(path.join(PARTS)) {
        Ok(entries) => {
            for entry in entries {
                let part = entry.map_err(failed)?.path();
                let name = part.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                if name.ends_with(PART_ENDING) || name.ends_with(ACTIVE_ENDING) {
                    parts.push(part);
                }
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    parts.sort();
    let manifest = path.join(MANIFEST);
    let manifest = manifest.exists().then(|| Manifest::read(&manifest));
    if parts.is_empty() && manifest.is_none() {
        return Err(OverviewError::NotARecording { path: path.to_owned() });
    }
    Ok(Files { parts, manifest })
}

/// Looks at a file or a recording directory.
///
/// # Errors
/// When there is nothing to look at: [`OverviewError`]. Damage is told in [`Overview::warnings`] instead.
pub fn read(path: &Path) -> Result<Overview, OverviewError> {
    let Files { parts, manifest } = files(path)?;
    let mut overview = Overview { format_version: FORMAT_VERSION, path: path.to_owned(), ..Overview::default() };
    let single = manifest.is_none() && parts.len() == 1;
    match manifest {
        Some(Ok(manifest)) => overview.take_manifest(manifest),
        Some(Err(error)) => overview.warnings.push(with_causes(&error)),
        None if path.is_dir() => overview.warnings.push(format!("there is no {MANIFEST}")),
        None => {}
    }
    let mut scan = scan::Scan::default();
    for part in parts {
        match PartReader::open(&part) {
            Ok(reader) => overview.take_part(&part, &reader, &mut scan),
            Err(source) if single => return Err(OverviewError::Part { path: part, source }),
            Err(error) => overview.warnings.push(format!("{}: {}", file_name(&part), with_causes(&error))),
        }
    }
    overview.channels = scan.channels();
    overview.warnings.extend(scan.warnings());
    if let (Some(start), Some(end)) = (overview.start, overview.end) {
        overview.duration_seconds = seconds(start, end);
    }
    Ok(overview)
}

impl Overview {
    fn take_manifest(&mut self, manifest: Manifest) {
        if manifest.state == State::Recording {
            self.warnings
                .push("the recording is still going on, or the machine died and it is not recovered yet".into());
        }
        if manifest.state == State::Failed {
            self.warnings.push("the recording stopped by itself: the disk failed or is full".to_owned());
        }
        let lost = manifest.loss.lost.total();
        if lost > 0 {
            self.warnings.push(format!("{lost} samples are known to be missing"));
        }
        self.clock_jumps = manifest.clock.jumps;
        self.loss_summary = Some(manifest.loss);
        self.recording = Some(RecordingOverview {
            id: manifest.recording_id,
            state: manifest.state,
            platform: manifest.platform,
            profile: manifest.profile.map(|profile| profile.name),
            operator: manifest.operator,
            site: manifest.site,
            started: manifest.started.ns,
            ended: manifest.ended.map(|moment| moment.ns),
            preserved: manifest.preserved,
            remarks: manifest.remarks,
        });
    }

    fn take_part(&mut self, path: &Path, reader: &PartReader, scan: &mut scan::Scan) {
        let summary = reader.summary();
        let file = file_name(path);
        let active = file.ends_with(ACTIVE_ENDING);
        let times = summary.time_range().map(|(a, b)| (Timestamp::from_mcap(a), Timestamp::from_mcap(b)));
        let torn = summary.torn.as_ref().map(|torn| format!("{} at byte {}", torn.reason, torn.offset));
        if let (Some(torn), false) = (&torn, active) {
            self.warnings.push(format!("{file} is torn: {torn}; `sagwan recover` gets out what is intact"));
        } else if active {
            self.warnings.push(format!("{file} is still being written, or a crash left it so"));
        } else if let Origin::Scan { because } = &summary.origin {
            self.warnings.push(format!("{file} was walked record by record: {because}"));
        }
        self.bytes += reader.size();
        self.messages += summary.statistics.message_count;
        if let Some((start, end)) = times {
            self.start = Some(self.start.map_or(start, |s| s.min(start)));
            self.end = Some(self.end.map_or(end, |e| e.max(end)));
        }
        for chunk in &summary.chunks {
            let sum = self.chunks.entry(chunk.compression.clone()).or_default();
            sum.count += 1;
            sum.bytes_stored = sum.bytes_stored.saturating_add(chunk.compressed_size);
            sum.bytes_uncompressed = sum.bytes_uncompressed.saturating_add(chunk.uncompressed_size);
        }
        for index in &summary.attachments {
            let attachment = AttachmentOverview {
                name: index.name.clone(),
                media_type: index.media_type.clone(),
                bytes: index.data_size,
            };
            if !self.attachments.contains(&attachment) && self.attachments.len() < LISTED {
                self.attachments.push(attachment);
            }
        }
        for index in &summary.metadata {
            if !self.metadata.contains(&index.name) && self.metadata.len() < LISTED {
                self.metadata.push(index.name.clone());
            }
        }
        scan.take(reader);
        own::take(self, reader, &file);
        self.parts.push(PartOverview {
            file,
            bytes: reader.size(),
            messages: summary.statistics.message_count,
            start: times.map(|t| t.0),
            end: times.map(|t| t.1),
            profile: summary.profile.clone(),
            library: summary.library.clone(),
            active,
            has_summary: summary.origin == Origin::File,
            torn,
        });
    }

    /// For a person: lines and aligned tables, without colours.
    #[must_use]
    pub fn to_text(&self) -> String {
        text::render(self)
    }
}

/// Lists end here.
const LISTED: usize = 10_000;

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn seconds(start: Timestamp, end: Timestamp) -> f64 {
    end.nanos_since(start) as f64 / 1e9
}

/// An error and its sources in one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
