//! Whether a recording or an MCAP is what it says it is. Reads everything once; holds one chunk at a time.
//!
//! Each file is verified by itself (`mcap.*`), its messages are decoded (`message.*`), and a recording's parts, manifest
//! and ledger must agree (`recording.*`).

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use sagwan_schemas::{
    channel::ChannelDescriptor,
    encoding::Decoder,
    recording::{
        layout::{ACTIVE_ENDING, OWN_TOPICS},
        manifest::{Manifest, State},
        overview::{self, OverviewError},
        part_reader::ReadOptions,
        verify::{Fault, Visited, Visitor, verify},
    },
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::finding::{Finding, Place, Severity};

mod sequence;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Version of this structure: 1.
    pub format_version: u32,
    /// What was checked.
    pub path: PathBuf,
    /// Files read.
    pub files: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Messages seen.
    pub messages: u64,
    /// Of these, decoded to their last byte's meaning; the others have an encoding that is not known.
    pub messages_decoded: u64,
    /// Failed rules in the order in which they were met; of each rule and place at most [`FINDINGS_PER_RULE`].
    pub findings: Vec<Finding>,
    /// Further failures by rule, not listed.
    pub not_listed: BTreeMap<String, u64>,
}

/// Failures of one rule in one file that are listed; the others are counted.
pub const FINDINGS_PER_RULE: usize = 20;

impl Report {
    /// The worst severity; `None` without findings.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    fn add(&mut self, finding: Finding) {
        let same = |f: &&Finding| f.id == finding.id && f.place.path == finding.place.path;
        if self.findings.iter().filter(same).count() < FINDINGS_PER_RULE {
            self.findings.push(finding);
        } else {
            *self.not_listed.entry(finding.id).or_default() += 1;
        }
    }

    fn rule(&mut self, id: &str, severity: Severity, place: Place, message: impl Into<String>, remedy: &str) {
        let (id, message, remedy) = (id.to_owned(), message.into(), remedy.to_owned());
        self.add(Finding { id, severity, place, message, remedy });
    }
}

/// A check could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// Neither a file nor a recording.
    #[error("there is nothing to check")]
    Path(#[source] OverviewError),
    /// The disk does not give a file's bytes.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The file system's reason.
        source: io::Error,
    },
}

/// Checks an MCAP file or a recording directory.
///
/// # Errors
/// When the files cannot be read at all; everything else is a finding.
pub fn check(path: &Path) -> Result<Report, CheckError> {
    let files = overview::files(path).map_err(CheckError::Path)?;
    let mut report = Report { format_version: 1, path: path.to_owned(), ..Report::default() };
    let manifest = match files.manifest {
        Some(Ok(manifest)) => Some(manifest),
        Some(Err(error)) => {
            let message = match std::error::Error::source(&error) {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            };
            report.rule("recording.manifest", Severity::Error, Place::of(path), message, "restore it from a backup");
            None
        }
        None => {
            if path.is_dir() {
                let place = Place::of(path);
                report.rule(
                    "recording.manifest",
                    Severity::Error,
                    place,
                    "there is no recording.json",
                    "restore it from a backup",
                );
            }
            None
        }
    };
    let mut sequences = sequence::Sequences::default();
    let mut counts = BTreeMap::new();
    for part in &files.parts {
        let read = |source| CheckError::Read { path: part.clone(), source };
        let before = report.messages;
        check_file(part, &mut report, &mut sequences).map_err(read)?;
        counts.insert(part.clone(), report.messages - before);
        if part.to_string_lossy().ends_with(ACTIVE_ENDING) && path.is_dir() {
            let state = manifest.as_ref().map(|manifest| manifest.state);
            let severity = if state == Some(State::Recording) { Severity::Warning } else { Severity::Error };
            report.rule(
                "recording.leftover",
                severity,
                Place::of(part),
                "the part is still being written, or a crash left it so",
                "stop the recorder; if none runs: sagwan recover",
            );
        }
    }
    if let Some(manifest) = &manifest {
        check_parts(path, manifest, &files.parts, &counts, &mut report)?;
        sequence::check_ledger(path, manifest, &mut report);
        sequences.check(path, manifest, &mut report);
    }
    Ok(report)
}

fn check_file(path: &Path, report: &mut Report, sequences: &mut sequence::Sequences) -> io::Result<()> {
    let file = File::open(path)?;
    report.files += 1;
    report.bytes += file.metadata()?.len();
    let mut collect = Collect { path, report, sequences, decoders: BTreeMap::new() };
    verify(Arc::new(file), &ReadOptions::default(), &mut collect)
}

/// Takes a file's faults and messages into a report.
struct Collect<'a> {
    path: &'a Path,
    report: &'a mut Report,
    sequences: &'a mut sequence::Sequences,
    decoders: BTreeMap<u16, (ChannelDescriptor, Option<Decoder>)>,
}

impl Collect<'_> {
    /// The decoder of a channel; a schema that does not parse is told once.
    fn decoder(&mut self, message: &Visited<'_>) -> Option<&Decoder> {
        let descriptor = &message.channel.descriptor;
        let known = self.decoders.get(&message.channel.id).is_some_and(|(d, _)| d == descriptor);
        if !known {
            let decoder = match Decoder::new(descriptor) {
                Ok(decoder) => Some(decoder),
                Err(error) => {
                    let place = self.place(message);
                    self.report.rule(
                        "message.schema",
                        Severity::Error,
                        place,
                        with_causes(&error),
                        "record again with the schema that the publisher uses",
                    );
                    None
                }
            };
            self.decoders.insert(message.channel.id, (descriptor.clone(), decoder));
        }
        self.decoders.get(&message.channel.id).and_then(|(_, decoder)| decoder.as_ref())
    }

    fn place(&self, message: &Visited<'_>) -> Place {
        Place {
            path: self.path.to_owned(),
            offset: Some(message.offset),
            topic: Some(message.channel.descriptor.topic.clone()),
            time: Some(message.log_time),
        }
    }
}

impl Visitor for Collect<'_> {
    fn fault(&mut self, fault: Fault) {
        let place =
            Place { path: self.path.to_owned(), offset: Some(fault.offset), topic: fault.topic, time: fault.time };
        self.report.rule(fault.id, fault.severity, place, fault.message, remedy(fault.id));
    }

    fn message(&mut self, message: Visited<'_>) {
        self.report.messages += 1;
        self.sequences.take(&message);
        let Some(decoder) = self.decoder(&message) else { return };
        if decoder.opaque_reason().is_some() {
            return;
        }
        match decoder.decode(message.data) {
            Ok(_) => self.report.messages_decoded += 1,
            Err(error) => {
                let place = self.place(&message);
                let remedy = "the publisher's payload does not fit its schema; the bytes are kept as they came";
                self.report.rule("message.decode", Severity::Error, place, with_causes(&error), remedy);
            }
        }
    }
}

fn remedy(id: &str) -> &'static str {
    match id {
        "mcap.magic" => "not an MCAP file, or its beginning is lost: sagwan recover",
        "mcap.time_order" => "see the clock events: the wall clock was stepped, or the messages were merged",
        "mcap.statistics" | "mcap.summary" | "mcap.summary_crc" | "mcap.index" => {
            "sagwan recover writes a new summary and new indexes from the data"
        }
        _ => "sagwan recover keeps what is intact and tells what is lost",
    }
}

/// Sizes, hashes and counts of the manifest against the files.
fn check_parts(
    path: &Path,
    manifest: &Manifest,
    files: &[PathBuf],
    counts: &BTreeMap<PathBuf, u64>,
    report: &mut Report,
) -> Result<(), CheckError> {
    let id = path.canonicalize().ok().and_then(|p| p.file_name().map(|name| name.to_string_lossy().into_owned()));
    if id.as_ref().is_some_and(|id| *id != manifest.recording_id) {
        let message = format!("the manifest is that of recording `{}`", manifest.recording_id);
        report.rule("recording.manifest", Severity::Warning, Place::of(path), message, "rename the directory back");
    }
    let parts = path.join(sagwan_schemas::recording::layout::PARTS);
    for entry in &manifest.parts {
        let file = parts.join(&entry.file);
        // A manifest from outside must not lead elsewhere.
        if Path::new(&entry.file).components().count() != 1 || !files.contains(&file) {
            let remedy = "restore the file from a backup";
            report.rule("recording.part", Severity::Error, Place::of(file), "the manifest's part is not there", remedy);
            continue;
        }
        let read = |source| CheckError::Read { path: file.clone(), source };
        let size = std::fs::metadata(&file).map_err(read)?.len();
        let remedy = "the file was changed after it was recorded; restore it from a backup";
        if size != entry.bytes {
            let message = format!("{size} bytes, the manifest says {}", entry.bytes);
            report.rule("recording.size", Severity::Error, Place::of(&file), message, remedy);
        } else if entry.sha256.is_empty() {
            let message = "the manifest has no hash of the part";
            report.rule("recording.sha256", Severity::Warning, Place::of(&file), message, "");
        } else if sha256(&file).map_err(read)? != entry.sha256 {
            let message = "the part's SHA-256 is not that of the manifest";
            report.rule("recording.sha256", Severity::Error, Place::of(&file), message, remedy);
        }
        let held = counts.get(&file).copied().unwrap_or(0);
        if held != entry.messages {
            let message = format!("{held} messages, the manifest says {}", entry.messages);
            report.rule("recording.messages", Severity::Error, Place::of(&file), message, remedy);
        }
    }
    for file in files.iter().filter(|file| !file.to_string_lossy().ends_with(ACTIVE_ENDING)) {
        let named = file.file_name().is_some_and(|name| manifest.parts.iter().any(|part| name == part.file.as_str()));
        if !named {
            let message = "the manifest does not name the part";
            report.rule(
                "recording.part",
                Severity::Warning,
                Place::of(file),
                message,
                "sagwan recover takes it into the manifest",
            );
        }
    }
    if manifest.state == State::Recording && !files.iter().any(|f| f.to_string_lossy().ends_with(ACTIVE_ENDING)) {
        let message = "the manifest says that it is still recording, but no part is being written";
        report.rule(
            "recording.state",
            Severity::Warning,
            Place::of(path),
            message,
            "sagwan recover, if no recorder runs",
        );
    }
    Ok(())
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            n => hash.update(&buffer[..n]),
        }
    }
}

/// Whether the recorder itself writes a topic.
fn is_own(topic: &str) -> bool {
    topic.starts_with(OWN_TOPICS)
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
