//! Finishes an unfinished part where it lies, so that a crash at any instant of it loses nothing that was synced.
//!
//! The intact beginning of the file is never touched. What can be saved of its torn end is first put beside it
//! (`….salvage`, synced), then the torn end is cut off, and salvage, data end, summary and footer are appended, synced
//! and renamed. Where intact records follow damage, everything intact is copied instead, and the old file removed last.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use mcap::records::op;

use crate::recording::{
    part_reader::{
        Origin, PartReader, ReadOptions,
        parse::{self, MessageIndex},
        source::{ReadAt, Source},
    },
    record::RECORD_HEADER,
    recover::{
        RecoverError, RecoverOptions, append_all,
        copy::record_len,
        copy_to,
        rebuild::{Indexes, Rebuild, index},
        remove_if_there, rename,
        report::{Outcome, RecoverReport, RecoveredChannel},
        scan::{Found, Scanner, What, crc_of},
        with_suffix,
    },
    storage::Storage,
};

/// Finishes `….mcap.active` and renames it to `….mcap`. May be repeated, also after it was interrupted.
///
/// # Errors
/// When the file cannot be read or written, is not named so, or a complete part of that name contradicts it. Everything
/// that was synced is still there then.
pub fn recover_in_place(storage: &dyn Storage, active: &Path) -> Result<RecoverReport, RecoverError> {
    let whole = whole_name(active).ok_or_else(|| RecoverError::Name { path: active.to_owned() })?;
    let temporary = with_suffix(&whole, ".recovering");
    let salvage_path = with_suffix(active, ".salvage");
    remove_if_there(storage, &temporary)?;
    let read = |source| RecoverError::Read { path: active.to_owned(), source };
    if let Some(report) = finished_before(storage, active, &whole)? {
        remove_durably(storage, &[active, &salvage_path])?;
        return Ok(report);
    }
    let file = storage.open(active).map_err(read)?;
    let source = Source::new(Arc::new(file.clone())).map_err(read)?;
    let mut report = RecoverReport::new(active.to_owned(), whole.clone(), Outcome::Finished);
    let mut plan = plan(&source, &mut report).map_err(read)?;
    if plan.whole && is_whole(Arc::new(file.clone())) {
        report.outcome = Outcome::Whole;
        file.sync_data().map_err(|source| RecoverError::Write { path: active.to_owned(), source })?;
        plan.tell(&mut report);
    } else if plan.copy {
        let report = copy_to(storage, &source, active, &whole, &temporary, RecoverOptions::default())?;
        remove_durably(storage, &[active, &salvage_path])?;
        return Ok(report);
    } else {
        if let Some(saved) = read_salvage(storage, &salvage_path, plan.cut) {
            plan.salvage = saved;
        }
        let write = |source| RecoverError::Write { path: active.to_owned(), source };
        if !plan.salvage.is_empty() {
            // Without room for it, salvage (which was never synced) is worth less than a finished part.
            let _ = write_salvage(storage, &salvage_path, plan.cut, &plan.salvage);
        }
        let tail = plan.tail(&source, &mut report).map_err(read)?;
        file.truncate(plan.cut).map_err(write)?;
        append_all(&*file, &tail).map_err(write)?;
        file.sync_data().map_err(write)?;
    }
    rename(storage, active, &whole)?;
    remove_durably(storage, &[&salvage_path])?;
    Ok(report)
}

/// Removes those of the files, all of one directory, that are there.
fn remove_durably(storage: &dyn Storage, paths: &[&Path]) -> Result<(), RecoverError> {
    for path in paths {
        remove_if_there(storage, path)?;
        let parent = path.parent().unwrap_or(Path::new("."));
        storage.sync_dir(parent).map_err(|source| RecoverError::Rename { path: path.to_path_buf(), source })?;
    }
    Ok(())
}

/// `x.mcap` for `x.mcap.active`.
fn whole_name(active: &Path) -> Option<PathBuf> {
    let whole = active.to_str()?.strip_suffix(".active")?;
    whole.ends_with(".mcap").then(|| PathBuf::from(whole))
}

/// A recovery that was interrupted after its last rename, or that has ended.
fn finished_before(storage: &dyn Storage, active: &Path, whole: &Path) -> Result<Option<RecoverReport>, RecoverError> {
    let file = match storage.open(whole) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(RecoverError::Read { path: whole.to_owned(), source }),
    };
    if !is_whole(Arc::new(file)) {
        return Err(RecoverError::Exists { path: whole.to_owned() });
    }
    let parent = whole.parent().unwrap_or(Path::new("."));
    storage.sync_dir(parent).map_err(|source| RecoverError::Rename { path: whole.to_owned(), source })?;
    Ok(Some(RecoverReport::new(active.to_owned(), whole.to_owned(), Outcome::Whole)))
}

fn is_whole(file: Arc<dyn ReadAt>) -> bool {
    PartReader::read_from(file, ReadOptions::default())
        .is_ok_and(|part| part.summary().origin == Origin::File && part.summary().torn.is_none())
}

/// What there is, and where it ends.
#[derive(Default)]
struct Plan {
    rebuild: Rebuild,
    /// Intact records end here.
    cut: u64,
    /// Message records (with their definitions) out of the torn end.
    salvage: Vec<u8>,
    /// Message indexes that the last intact chunk lacks.
    indexes_missing: Indexes,
    /// Footer and closing magic are there.
    whole: bool,
    /// Finishing in place would lose something.
    copy: bool,
}

/// Salvage beyond this is copied to a new file instead of held in memory.
const SALVAGE_MAX: usize = 64 << 20;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Intact,
    /// Behind the data end record.
    Ended,
    /// Behind damage.
    Torn,
}

fn plan(source: &Source, report: &mut RecoverReport) -> io::Result<Plan> {
    let mut scanner = Scanner::new(source.clone(), ReadOptions::default(), std::collections::BTreeSet::new());
    let mut plan = Plan::default();
    let mut phase = Phase::Intact;
    while let Some(found) = scanner.next()? {
        if phase == Phase::Intact && is_record(&found.what) {
            let head = source.read(found.offset, RECORD_HEADER as u64)?;
            let len = parse::record_header(&head).map_or(0, |(_, len)| len);
            // The scanner sees through a damaged length; other readers do not.
            plan.copy |= len != found.end - found.offset - RECORD_HEADER as u64;
        }
        phase = plan.take(found, phase, report);
        if plan.copy {
            return Ok(plan);
        }
    }
    Ok(plan)
}

fn is_record(what: &What) -> bool {
    !matches!(what, What::Magic | What::Damaged { .. } | What::TornChunk { .. } | What::OpenedChunk { .. })
}

impl Plan {
    fn take(&mut self, Found { offset, end, what }: Found, phase: Phase, report: &mut RecoverReport) -> Phase {
        match (phase, what) {
            (Phase::Intact, What::DataEnd) => return Phase::Ended,
            (Phase::Intact, What::Damaged { reason }) => {
                report.lose(offset, end, reason);
                return Phase::Torn;
            }
            (Phase::Intact | Phase::Torn, What::TornChunk { records, reason }) => {
                report.damage(offset, reason.clone());
                let kept = self.salvage_all(&records);
                if let Some(chunk) = report.damaged_chunks.last_mut() {
                    chunk.messages = kept;
                }
                report.lose(offset, end, format!("{reason}; {kept} messages came out of it"));
                return Phase::Torn;
            }
            (Phase::Intact | Phase::Torn, What::OpenedChunk { reason }) => {
                report.damage(offset, reason);
                return Phase::Torn;
            }
            (Phase::Intact, what) => {
                self.intact(offset, end, what);
                return Phase::Intact;
            }
            (Phase::Ended, What::Footer) => self.whole = true,
            (Phase::Torn, What::Message { content, .. }) => {
                self.salvage_one(op::MESSAGE, &content);
                if let Some(chunk) = report.damaged_chunks.last_mut() {
                    chunk.messages += 1;
                }
            }
            (Phase::Torn, What::Definition { opcode, content }) => self.salvage_one(opcode, &content),
            (Phase::Torn, What::Damaged { reason }) => report.lose(offset, end, reason),
            (Phase::Ended, What::Definition { .. } | What::Damaged { .. })
            | (Phase::Torn, What::DataEnd | What::Footer | What::MessageIndex(_))
            | (Phase::Torn | Phase::Ended, What::Magic | What::Summary { .. }) => {}
            // Something intact behind damage, or a second file behind the first.
            (Phase::Torn | Phase::Ended, _) => self.copy = true,
        }
        phase
    }

    fn intact(&mut self, offset: u64, end: u64, what: What) {
        if !matches!(what, What::MessageIndex(_)) {
            // A chunk in the middle without all its indexes: readers that seek would stumble over what is there instead.
            self.copy |= !self.indexes_missing.is_empty();
            self.indexes_missing.clear();
        }
        match what {
            What::Definition { opcode, content } => self.rebuild.has_definition(opcode, &content),
            What::Chunk { head, records, .. } => {
                self.learn(&records);
                let indexes = index(&records);
                let (stored, uncompressed) = (head.stored_size, records.len() as u64);
                self.rebuild.has_chunk(offset, end - offset, &head.compression, stored, uncompressed, &indexes);
                self.indexes_missing = indexes;
            }
            What::MessageIndex(found) => self.message_index(offset, end, found),
            What::Attachment(index) => self.rebuild.has_attachment(index),
            What::Metadata { name, content } => self.rebuild.has_metadata(offset, record_len(content.len()), name),
            // Messages outside chunks are not found through a summary; a copy puts them into chunks.
            What::Message { .. } => self.copy = true,
            _ => {}
        }
        self.cut = end;
        if self.rebuild.definitions.channels.is_empty() && !self.rebuild.counts.is_empty() {
            self.copy = true;
        }
    }

    fn message_index(&mut self, offset: u64, end: u64, (channel_id, entries): MessageIndex) {
        if self.indexes_missing.get(&channel_id) == Some(&entries) {
            self.indexes_missing.remove(&channel_id);
            self.rebuild.has_message_index(channel_id, offset, end - offset);
        }
    }

    fn learn(&mut self, records: &[u8]) {
        let mut at = 0;
        while let Ok(Some(record)) = parse::record_in(records, at) {
            self.rebuild.has_definition(record.opcode, record.content);
            at = record.end();
        }
    }

    fn salvage_all(&mut self, records: &[u8]) -> u64 {
        let (mut at, mut messages) = (0, 0);
        while let Ok(Some(record)) = parse::record_in(records, at) {
            messages += u64::from(record.opcode == op::MESSAGE);
            self.salvage_one(record.opcode, record.content);
            at = record.end();
        }
        messages
    }

    fn salvage_one(&mut self, opcode: u8, content: &[u8]) {
        if matches!(opcode, op::MESSAGE | op::SCHEMA | op::CHANNEL) {
            crate::recording::record::record(&mut self.salvage, opcode, |out| out.extend_from_slice(content));
        }
        self.copy |= self.salvage.len() > SALVAGE_MAX;
    }

    /// What comes behind the cut.
    fn tail(&mut self, source: &Source, report: &mut RecoverReport) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        self.rebuild.offset = self.cut;
        self.rebuild.crc = crc32fast::Hasher::new();
        if self.cut == 0 {
            self.rebuild.begin(&mut out, "", "")?;
        } else {
            self.rebuild.crc = crc32fast::Hasher::new_with_initial_len(crc_of(source, 0, self.cut)?, self.cut);
        }
        let missing = std::mem::take(&mut self.indexes_missing);
        self.rebuild.message_indexes(&mut out, &missing)?;
        let salvage = std::mem::take(&mut self.salvage);
        let mut unverified = std::collections::BTreeMap::<u16, u64>::new();
        let mut at = 0;
        while let Ok(Some(record)) = parse::record_in(&salvage, at) {
            match parse::message(record.content) {
                Ok(head) if record.opcode == op::MESSAGE => {
                    if self.rebuild.definitions.channels.contains_key(&head.channel_id) {
                        self.rebuild.message(&mut out, head.channel_id, record.content)?;
                        *unverified.entry(head.channel_id).or_default() += 1;
                    } else {
                        *report.undefined.entry(head.channel_id).or_default() += 1;
                    }
                }
                _ => drop(self.rebuild.definitions.learn(record.opcode, record.content)),
            }
            at = record.end();
        }
        self.rebuild.finish(&mut out)?;
        self.tell(report);
        for channel in &mut report.channels {
            channel.unverified = unverified.get(&channel.id).copied().unwrap_or(0);
        }
        report.unverified = unverified.values().sum();
        Ok(out)
    }

    fn tell(&self, report: &mut RecoverReport) {
        report.channels = self
            .rebuild
            .definitions
            .channels
            .values()
            .map(|channel| RecoveredChannel {
                id: channel.id,
                topic: channel.descriptor.topic.clone(),
                messages: self.rebuild.counts.get(&channel.id).copied().unwrap_or(0),
                unverified: 0,
                lost: None,
            })
            .collect();
        report.messages = self.rebuild.counts.values().sum();
        report.chunks = self.rebuild.chunks.len() as u64;
        report.attachments = self.rebuild.attachments.len() as u64;
        report.metadata = self.rebuild.metadata.len() as u64;
    }
}

const SALVAGE_MAGIC: &[u8; 8] = b"SAGWSALV";

/// Magic, place of the cut, CRC of place and records, records.
fn write_salvage(storage: &dyn Storage, path: &Path, cut: u64, records: &[u8]) -> io::Result<()> {
    let mut bytes = SALVAGE_MAGIC.to_vec();
    bytes.extend_from_slice(&cut.to_le_bytes());
    bytes.extend_from_slice(&salvage_crc(cut, records).to_le_bytes());
    bytes.extend_from_slice(records);
    storage.write_atomic(path, &bytes)
}

fn salvage_crc(cut: u64, records: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&cut.to_le_bytes());
    crc.update(records);
    crc.finalize()
}

/// What an interrupted recovery had put aside, if it has not got into the file yet.
fn read_salvage(storage: &dyn Storage, path: &Path, cut: u64) -> Option<Vec<u8>> {
    let file = storage.open(path).ok()?;
    let source = Source::new(Arc::new(file)).ok()?;
    let bytes = source.read(0, source.len().min(SALVAGE_MAX as u64 * 2)).ok()?;
    let (magic, rest) = bytes.split_first_chunk::<8>()?;
    let (saved_cut, rest) = rest.split_first_chunk::<8>()?;
    let (crc, records) = rest.split_first_chunk::<4>()?;
    let sound = magic == SALVAGE_MAGIC
        && u64::from_le_bytes(*saved_cut) == cut
        && u32::from_le_bytes(*crc) == salvage_crc(cut, records);
    sound.then(|| records.to_vec())
}

#[cfg(test)]
mod tests;
