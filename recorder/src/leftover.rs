//! Finishes recordings that a crash left open: their torn part, and what the manifest does not know yet.
//!
//! A recording that is being written holds an advisory lock on its directory, so that nobody takes it for a leftover.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, TryLockError},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use prost::Message as _;
use sagwan_schemas::{
    proto,
    recording::{
        layout::{ACTIVE_ENDING, OWN_TOPICS, PART_ENDING, RecordingDir, topic},
        manifest::{EpisodeEntry, LossCounts, Manifest, ManifestError, Moment, PartEntry, SourceLoss, State},
        part_reader::{Filter, PartReader, ReadError},
        recover::{RecoverError, RecoverReport, recover_in_place},
        storage::Storage,
    },
    time::Timestamp,
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// A recording that could not be finished.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeftoverError {
    /// The directory cannot be listed.
    #[error("cannot list {}", path.display())]
    List {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Not a recording's directory.
    #[error("not the directory of a recording: {}", path.display())]
    NotARecording {
        /// The directory.
        path: PathBuf,
    },
    /// Another process is writing it.
    #[error("this recording is being written by another process; stop that one first: {}", path.display())]
    Busy {
        /// The directory.
        path: PathBuf,
    },
    /// The manifest.
    #[error("the manifest cannot be brought up to date")]
    Manifest(#[source] ManifestError),
    /// The part.
    #[error("an unfinished part cannot be finished")]
    Recover(#[source] RecoverError),
    /// The finished part.
    #[error("a finished part cannot be read")]
    Read(#[source] ReadError),
    /// The finished part cannot be hashed.
    #[error("cannot read {}", path.display())]
    Hash {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A recording that was finished.
#[derive(Clone, Debug, Serialize)]
pub struct Recovered {
    /// Its identifier.
    pub recording_id: String,
    /// Its directory.
    pub path: PathBuf,
    /// Its unfinished parts, and what became of them.
    pub parts: Vec<RecoverReport>,
    /// Messages in all parts.
    pub messages: u64,
    /// Samples that its ledger knows to be missing.
    pub lost: LossCounts,
}

impl Recovered {
    /// Whether bytes were torn off or samples are missing.
    #[must_use]
    pub fn has_loss(&self) -> bool {
        self.lost.total() > 0 || self.parts.iter().any(RecoverReport::has_loss)
    }
}

/// Says that this process writes the recording, for as long as the file is open. [`None`] where another one does.
///
/// # Errors
/// The file system's.
pub fn lock(directory: &Path) -> io::Result<Option<File>> {
    let file = File::open(directory)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// A recording that was left as it is, and why.
pub type Failed = (PathBuf, LeftoverError);

/// Finishes every leftover under `root`; those that fail are in the second list and stay as they are.
///
/// # Errors
/// When `root` cannot be listed.
pub fn recover_all(storage: &dyn Storage, root: &Path) -> Result<(Vec<Recovered>, Vec<Failed>), LeftoverError> {
    let (mut recovered, mut failed) = (Vec::new(), Vec::new());
    let list = |source| LeftoverError::List { path: root.to_owned(), source };
    let mut directories: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(root).map_err(list)? {
        let entry = entry.map_err(list)?;
        // Hidden directories are trash that is being removed.
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if !hidden && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            directories.push(entry.path());
        }
    }
    directories.sort();
    for path in directories {
        match recover(storage, &path) {
            Ok(Some(done)) => recovered.push(done),
            Ok(None) | Err(LeftoverError::NotARecording { .. } | LeftoverError::Busy { .. }) => {}
            Err(error) => failed.push((path, error)),
        }
    }
    Ok((recovered, failed))
}

/// Finishes one recording in place; [`None`] if it is finished already.
///
/// # Errors
/// What could not be done; everything synced is still there then.
pub fn recover(storage: &dyn Storage, path: &Path) -> Result<Option<Recovered>, LeftoverError> {
    let not_a_recording = || LeftoverError::NotARecording { path: path.to_owned() };
    let path = &fs::canonicalize(path).map_err(|source| LeftoverError::List { path: path.to_owned(), source })?;
    let dir = RecordingDir::at(path).ok_or_else(not_a_recording)?;
    if !dir.manifest().is_file() {
        return Err(not_a_recording());
    }
    let list = |source| LeftoverError::List { path: path.clone(), source };
    let Some(_lock) = lock(path).map_err(list)? else {
        return Err(LeftoverError::Busy { path: path.clone() });
    };
    let mut manifest = Manifest::read(&dir.manifest()).map_err(LeftoverError::Manifest)?;
    let active = parts_ending(&dir.parts(), ACTIVE_ENDING).map_err(list)?;
    if active.is_empty() && manifest.state != State::Recording {
        return Ok(None);
    }
    let mut reports = Vec::new();
    for part in active {
        reports.push(recover_in_place(storage, &part).map_err(LeftoverError::Recover)?);
    }
    let mut told = Told::default();
    for part in parts_ending(&dir.parts(), PART_ENDING).map_err(list)? {
        told.take_part(&mut manifest, &part, &reports)?;
    }
    told.finish(&mut manifest);
    // Room that was set aside for the recording's end.
    if let Err(error) = storage.remove(&dir.reserve())
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "cannot remove {}", dir.reserve().display());
    }
    for report in reports.iter().filter(|report| report.has_loss()) {
        manifest.remarks.push(format!("{} bytes at the torn end of a part were lost", report.bytes_lost));
    }
    manifest.remarks.push("finished after a crash or power loss".to_owned());
    manifest.state = State::Recovered;
    manifest.write(storage, &dir.manifest()).map_err(LeftoverError::Manifest)?;
    Ok(Some(Recovered {
        recording_id: manifest.recording_id,
        path: path.clone(),
        parts: reports,
        messages: manifest.parts.iter().map(|part| part.messages).sum(),
        lost: manifest.loss.lost,
    }))
}

fn parts_ending(directory: &Path, ending: &str) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut parts = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(ending)) {
            parts.push(path);
        }
    }
    parts.sort();
    Ok(parts)
}

/// What the parts tell of one topic. Which publisher sent a message is not in it.
#[derive(Debug, Default)]
struct TopicTold {
    recorded: u64,
    lost: LossCounts,
    publishers: BTreeSet<String>,
    /// Numbers that the ledger has as missing, as far as it gave them.
    told: Vec<(u64, u64)>,
}

/// Gaps of a topic that are compared with the numbers at its end.
const TOLD_MAX: usize = 65_536;
/// A recorder holds a gap back for a second, and its telling is on the disk within two more: what is missing in the last
/// moments before it died, nobody has told yet.
const UNTOLD_NANOS: i64 = 5_000_000_000;

/// What the parts themselves tell: the recorder's own topics.
#[derive(Debug, Default)]
struct Told {
    lost: LossCounts,
    by_topic: BTreeMap<String, TopicTold>,
    episodes: BTreeMap<u32, EpisodeEntry>,
    last: Option<Timestamp>,
}

impl Told {
    /// Enters a part that the manifest does not have, and reads what it tells.
    fn take_part(
        &mut self,
        manifest: &mut Manifest,
        path: &Path,
        reports: &[RecoverReport],
    ) -> Result<(), LeftoverError> {
        let reader = PartReader::open(path).map_err(LeftoverError::Read)?;
        let range = reader.summary().time_range();
        let moments = range.map(|(a, b)| (Timestamp::from_mcap(a), Timestamp::from_mcap(b)));
        self.last = self.last.max(moments.map(|(_, last)| last));
        let own = Filter::all().topics([topic::LOSS, topic::EPISODE]);
        // A message that cannot be read takes nothing from those that can.
        for message in reader.messages(own).filter_map(Result::ok) {
            match message.channel.descriptor.topic.as_str() {
                topic::LOSS => self.take_loss(&message.data),
                _ => self.take_episode(&message.data),
            }
        }
        if let Some((_, last)) = moments
            && reports.iter().any(|report| report.output == path)
        {
            self.count_untold(&reader, last);
        }
        let counts = &reader.summary().statistics;
        for channel in reader.summary().channels() {
            let topic = &channel.descriptor.topic;
            if !topic.starts_with(OWN_TOPICS) {
                let recorded = counts.channel_message_counts.get(&channel.id).copied().unwrap_or(0);
                self.by_topic.entry(topic.clone()).or_default().recorded += recorded;
            }
        }
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if manifest.parts.iter().any(|part| part.file == file) {
            return Ok(());
        }
        let hash = |source| LeftoverError::Hash { path: path.to_owned(), source };
        manifest.parts.push(PartEntry {
            file,
            bytes: reader.size(),
            sha256: sha256(path).map_err(hash)?,
            messages: counts.message_count,
            start: moments.map(|(first, _)| first.into()),
            end: moments.map(|(_, last)| last.into()),
            recovered: reports.iter().any(|report| report.output == path),
        });
        Ok(())
    }

    /// Counts the numbers that are missing at the end of the torn part and that its ledger does not have.
    fn count_untold(&mut self, reader: &PartReader, last: Timestamp) {
        let range = last.offset(-UNTOLD_NANOS)..last.offset(1);
        let mut before: BTreeMap<u16, u32> = BTreeMap::new();
        for message in reader.messages(Filter::all().log_times(range)).filter_map(Result::ok) {
            let topic = &message.channel.descriptor.topic;
            if topic.starts_with(OWN_TOPICS) {
                continue;
            }
            let Some(previous) = before.insert(message.channel.id, message.sequence) else { continue };
            let step = message.sequence.wrapping_sub(previous);
            // A step of half the numbers or more leads backwards: a restart.
            if !(2..=u32::MAX / 2).contains(&step) {
                continue;
            }
            let entry = self.by_topic.entry(topic.clone()).or_default();
            let missing = u64::from(previous) + 1..u64::from(message.sequence);
            let is_told = |number: &u64| entry.told.iter().any(|(first, last)| (first..=last).contains(&number));
            let untold = match missing.end.saturating_sub(missing.start) {
                count @ ..=100_000 if !entry.told.is_empty() => count - missing.filter(is_told).count() as u64,
                count => count,
            };
            entry.lost.transport += untold;
            self.lost.transport += untold;
        }
    }

    fn take_loss(&mut self, data: &[u8]) {
        let Ok(loss) = proto::Loss::decode(data) else { return };
        let cause = loss.cause();
        let entry = self.by_topic.entry(loss.topic).or_default();
        if let (Some(first), Some(last)) = (loss.first_sequence, loss.last_sequence)
            && entry.told.len() < TOLD_MAX
        {
            entry.told.push((first, last));
        }
        if !loss.publisher.is_empty() {
            entry.publishers.insert(loss.publisher);
        }
        for counts in [&mut self.lost, &mut entry.lost] {
            let count = match cause {
                proto::LossCause::Transport => &mut counts.transport,
                proto::LossCause::Queue => &mut counts.queue,
                proto::LossCause::Disk => &mut counts.disk,
                proto::LossCause::Source => &mut counts.source,
                proto::LossCause::Unspecified => continue,
            };
            *count = count.saturating_add(loss.count);
        }
    }

    fn take_episode(&mut self, data: &[u8]) {
        let Ok(episode) = proto::Episode::decode(data) else { return };
        let outcome = match episode.outcome() {
            proto::episode::Outcome::Success => "success",
            proto::episode::Outcome::Failure => "failure",
            proto::episode::Outcome::Unspecified => "unspecified",
        };
        let entry = EpisodeEntry {
            index: episode.index,
            start: episode.start.as_ref().and_then(moment),
            end: episode.end.as_ref().and_then(moment),
            outcome: outcome.to_owned(),
            discarded: episode.state() == proto::episode::State::Discarded,
            rerecords: episode.rerecords,
            instruction_ko: episode.instruction_ko,
            instruction_en: episode.instruction_en,
            operator: episode.operator,
            site: episode.site,
            notes: episode.notes,
            consent: episode.consent,
        };
        self.episodes.insert(entry.index, entry);
    }

    fn finish(mut self, manifest: &mut Manifest) {
        if let Some(last) = self.last {
            manifest.ended = Some(last.into());
            // An episode that the crash cut off ends where the data does.
            for episode in self.episodes.values_mut().filter(|episode| episode.end.is_none()) {
                episode.end = Some(last.into());
            }
        }
        manifest.ended.get_or_insert_with(|| manifest.started.clone());
        for (index, episode) in self.episodes {
            manifest.episodes.retain(|known| known.index != index);
            manifest.episodes.push(episode);
        }
        manifest.episodes.sort_by_key(|episode| episode.index);
        let loss = &mut manifest.loss;
        let known = std::mem::take(&mut loss.sources);
        loss.sources = self.by_topic.into_iter().map(|(topic, told)| told.into_source(topic, &known)).collect();
        loss.lost = self.lost;
        loss.recorded = loss.sources.iter().map(|source| source.recorded).sum();
        loss.outside = loss.sources.iter().map(|source| source.outside).sum();
        loss.sent = loss.sources.iter().map(|source| source.sent).sum();
    }
}

impl TopicTold {
    /// The account of all publishers of a topic together; `known` is what the manifest told before the crash.
    fn into_source(mut self, topic: String, known: &[SourceLoss]) -> SourceLoss {
        let known: Vec<&SourceLoss> = known.iter().filter(|source| source.topic == topic).collect();
        self.publishers.extend(known.iter().map(|source| source.publisher.clone()).filter(|name| !name.is_empty()));
        let sum = |count: fn(&SourceLoss) -> u64| known.iter().map(|source| count(source)).sum::<u64>();
        let outside = sum(|source| source.outside);
        SourceLoss {
            topic,
            numbered: !self.publishers.is_empty() || known.iter().any(|source| source.numbered),
            sent: self.recorded.saturating_add(outside).saturating_add(self.lost.total()),
            received: self.recorded.saturating_add(self.lost.queue).saturating_add(self.lost.disk),
            recorded: self.recorded,
            outside,
            duplicates: sum(|source| source.duplicates),
            instances: sum(|source| source.instances),
            joined_at: known.first().and_then(|source| source.joined_at),
            last_sequence: None,
            lost: self.lost,
            publisher: if self.publishers.len() == 1 {
                self.publishers.pop_first().unwrap_or_default()
            } else {
                String::new()
            },
        }
    }
}

fn moment(time: &prost_types::Timestamp) -> Option<Moment> {
    let nanos = time.seconds.checked_mul(1_000_000_000)?.checked_add(i64::from(time.nanos))?;
    Some(Timestamp::from_nanos(nanos).into())
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(format!("{:x}", hasher.finalize())),
            n => hasher.update(buffer.get(..n).unwrap_or_default()),
        }
    }
}
