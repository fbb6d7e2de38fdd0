//! A walk over a file's records that reads their heads and skips their payloads: what a file holds when it does not
//! say so itself. A chunk's message indexes tell its counts and times.

use std::collections::BTreeSet;

use mcap::records::{AttachmentIndex, ChunkIndex, MetadataIndex, op};

use crate::recording::{
    part_reader::{
        ReadError, ReadOptions,
        parse::{self, ParseError},
        source::{Source, Window},
        summary::{MAGIC, Summary, Torn},
    },
    record::{MESSAGE_HEADER, RECORD_HEADER},
};

/// A stretch of records outside chunks that holds messages: read and ordered as one piece, like a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its first record.
    pub offset: u64,
    /// Behind its last record.
    pub end: u64,
    /// Least and greatest log time, as MCAP has them.
    pub start_time: u64,
    /// See `start_time`.
    pub end_time: u64,
    /// Messages in it.
    pub messages: u64,
    /// Channels in it.
    pub channels: BTreeSet<u16>,
}

/// A run that is longer is followed by another.
const RUN_BYTES: u64 = 1 << 20;

/// Fills `summary` from the records between header and data end.
pub(crate) fn walk(source: &Source, options: &ReadOptions, summary: &mut Summary) -> Result<(), ReadError> {
    let mut walker = Walker::new(source, options);
    let torn = walker.records(MAGIC, source.len(), summary, Scope::All)?;
    summary.data_end = walker.at;
    summary.torn = torn.or_else(|| match super::summary::footer(source) {
        Ok(Ok(_)) => None,
        Ok(Err(reason)) => Some(Torn { offset: walker.at, reason: reason.to_owned() }),
        Err(error) => Some(Torn { offset: walker.at, reason: error.to_string() }),
    });
    Ok(())
}

/// Looks for records that no index names: messages, schemas and channels outside chunks.
pub(crate) fn walk_gaps(source: &Source, options: &ReadOptions, summary: &mut Summary) -> Result<(), ReadError> {
    let chunks =
        summary.chunks.iter().map(|c| (c.chunk_start_offset, c.chunk_length.saturating_add(c.message_index_length)));
    let attachments = summary.attachments.iter().map(|a| (a.offset, a.length));
    let metadata = summary.metadata.iter().map(|m| (m.offset, m.length));
    let mut known: Vec<(u64, u64)> = chunks.chain(attachments).chain(metadata).collect();
    known.sort_unstable();
    known.push((summary.data_end, 0));
    let mut walker = Walker::new(source, options);
    let mut at = MAGIC;
    for (offset, length) in known {
        if offset > at {
            walker.run_open = false;
            // What lies in a gap and does not parse is not the summary's; `check` reports it.
            walker.records(at, offset.min(summary.data_end), summary, Scope::Loose)?;
        }
        at = at.max(offset.saturating_add(length));
    }
    Ok(())
}

/// Counts the messages of a chunk without message index.
pub(crate) fn count_records(summary: &mut Summary, chunk: usize, records: &[u8]) {
    let (mut at, mut times) = (0, None);
    while let Ok(Some(record)) = parse::record_in(records, at) {
        if record.opcode == op::MESSAGE
            && let Ok(message) = parse::message(record.content)
        {
            count(summary, message.channel_id, 1, message.log_time, message.log_time);
            widen(&mut times, message.log_time);
        }
        at = record.end();
    }
    if let (Some(chunk), Some((start, end))) = (summary.chunks.get_mut(chunk), times) {
        (chunk.message_start_time, chunk.message_end_time) = (start, end);
    }
}

fn widen(times: &mut Option<(u64, u64)>, time: u64) {
    let (start, end) = times.unwrap_or((time, time));
    *times = Some((start.min(time), end.max(time)));
}

fn count(summary: &mut Summary, channel_id: u16, messages: u64, start: u64, end: u64) {
    let statistics = &mut summary.statistics;
    let first = statistics.message_count == 0;
    statistics.message_start_time = if first { start } else { statistics.message_start_time.min(start) };
    statistics.message_end_time = if first { end } else { statistics.message_end_time.max(end) };
    statistics.message_count += messages;
    *statistics.channel_message_counts.entry(channel_id).or_default() += messages;
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Everything, counted.
    All,
    /// Only what has no index of its own; the statistics stand already.
    Loose,
}

struct Walker<'a> {
    options: &'a ReadOptions,
    window: Window,
    /// Behind the last record that was taken.
    at: u64,
    /// Whether the last run may grow.
    run_open: bool,
    entries: usize,
}

impl<'a> Walker<'a> {
    fn new(source: &Source, options: &'a ReadOptions) -> Self {
        Self { options, window: Window::new(source.clone()), at: 0, run_open: false, entries: 0 }
    }

    /// Takes records from `at` until `end`, the data end record or damage.
    fn records(&mut self, at: u64, end: u64, summary: &mut Summary, scope: Scope) -> Result<Option<Torn>, ReadError> {
        self.at = at;
        while self.at < end {
            let offset = self.at;
            let io = |source| ReadError::Io { offset, source };
            let head = self.window.peek(offset, RECORD_HEADER).map_err(io)?;
            let torn = |reason: String| Ok(Some(Torn { offset, reason }));
            let Some((opcode, len)) = parse::record_header(head) else {
                return torn("the file ends inside a record".to_owned());
            };
            if opcode == 0 || len < parse::content_min(opcode).unwrap_or(0) {
                return torn(format!("opcode {opcode:#04x} with length {len} is not a record"));
            }
            let content_at = offset + RECORD_HEADER as u64;
            let Some(next) = content_at.checked_add(len).filter(|next| *next <= end) else {
                return torn(format!(
                    "{} record of {len} bytes, {} are left",
                    parse::record_name(opcode),
                    end.saturating_sub(content_at)
                ));
            };
            if opcode == op::DATA_END {
                return Ok(None);
            }
            match self.take(summary, scope, opcode, offset, len) {
                Ok(()) => self.at = next,
                Err(Stop::Disk(error)) => return Err(error),
                Err(Stop::Damage(reason)) => return torn(reason),
            }
        }
        Ok(None)
    }

    fn take(&mut self, summary: &mut Summary, scope: Scope, opcode: u8, offset: u64, len: u64) -> Result<(), Stop> {
        let content_at = offset + RECORD_HEADER as u64;
        match opcode {
            op::MESSAGE => return self.message(summary, scope, offset, len),
            op::SCHEMA | op::CHANNEL => {
                let content = self.content(content_at, len)?;
                return Ok(summary.definitions.learn(opcode, &content)?);
            }
            _ => self.run_open = false,
        }
        if scope == Scope::Loose {
            return Ok(());
        }
        match opcode {
            op::CHUNK => self.chunk(summary, offset, len)?,
            op::MESSAGE_INDEX => self.message_index(summary, offset, len)?,
            op::ATTACHMENT => self.attachment(summary, offset, len)?,
            op::METADATA => {
                let (name, _) = parse::metadata(&self.content(content_at, len)?)?;
                self.count_entry()?;
                summary.metadata.push(MetadataIndex { offset, length: len + RECORD_HEADER as u64, name });
                summary.statistics.metadata_count = summary.metadata.len() as u32;
            }
            _ => {}
        }
        Ok(())
    }

    fn content(&mut self, offset: u64, len: u64) -> Result<Vec<u8>, Stop> {
        if len > self.options.record_bytes_max {
            return Err(Stop::Damage(format!(
                "record of {len} bytes, over the limit of {}",
                self.options.record_bytes_max
            )));
        }
        self.window.source().read(offset, len).map_err(|source| Stop::Disk(ReadError::Io { offset, source }))
    }

    fn peek(&mut self, offset: u64, len: usize) -> Result<&[u8], Stop> {
        self.window.peek(offset, len).map_err(|source| Stop::Disk(ReadError::Io { offset, source }))
    }

    fn count_entry(&mut self) -> Result<(), Stop> {
        self.entries += 1;
        if self.entries > self.options.index_entries_max {
            return Err(Stop::Damage(format!(
                "more than {} chunks and other indexed records",
                self.options.index_entries_max
            )));
        }
        Ok(())
    }

    fn message(&mut self, summary: &mut Summary, scope: Scope, offset: u64, len: u64) -> Result<(), Stop> {
        let head = parse::message(self.peek(offset + RECORD_HEADER as u64, MESSAGE_HEADER)?)?;
        if scope == Scope::All {
            count(summary, head.channel_id, 1, head.log_time, head.log_time);
        }
        let end = offset + RECORD_HEADER as u64 + len;
        match summary.runs.last_mut() {
            Some(run) if self.run_open && end - run.offset <= RUN_BYTES => {
                run.end = end;
                run.start_time = run.start_time.min(head.log_time);
                run.end_time = run.end_time.max(head.log_time);
                run.messages += 1;
                run.channels.insert(head.channel_id);
            }
            _ => {
                self.count_entry()?;
                summary.runs.push(Run {
                    offset,
                    end,
                    start_time: head.log_time,
                    end_time: head.log_time,
                    messages: 1,
                    channels: BTreeSet::from([head.channel_id]),
                });
                self.run_open = true;
            }
        }
        Ok(())
    }

    fn chunk(&mut self, summary: &mut Summary, offset: u64, len: u64) -> Result<(), Stop> {
        let want = parse::CHUNK_HEAD_MAX.min(usize::try_from(len).unwrap_or(usize::MAX));
        let head = parse::chunk_head(self.peek(offset + RECORD_HEADER as u64, want)?)?;
        if head.len().checked_add(head.stored_size).is_none_or(|needed| needed > len) {
            return Err(Stop::Damage(format!("chunk of {len} bytes says it holds {}", head.stored_size)));
        }
        self.count_entry()?;
        summary.statistics.chunk_count += 1;
        summary.chunks.push(ChunkIndex {
            message_start_time: head.start,
            message_end_time: head.end,
            chunk_start_offset: offset,
            chunk_length: len + RECORD_HEADER as u64,
            message_index_offsets: std::collections::BTreeMap::new(),
            message_index_length: 0,
            compression: head.compression,
            compressed_size: head.stored_size,
            uncompressed_size: head.uncompressed_size,
        });
        Ok(())
    }

    fn message_index(&mut self, summary: &mut Summary, offset: u64, len: u64) -> Result<(), Stop> {
        let content = self.content(offset + RECORD_HEADER as u64, len)?;
        let (channel_id, entries) = parse::message_index(&content)?;
        let Some(chunk) = summary.chunks.last_mut() else { return Ok(()) };
        let behind = chunk.chunk_start_offset + chunk.chunk_length + chunk.message_index_length;
        if behind == offset {
            chunk.message_index_length += len + RECORD_HEADER as u64;
            // An index without entries says nothing, and some writers emit one for every channel they know.
            if !entries.is_empty() {
                chunk.message_index_offsets.insert(channel_id, offset);
            }
        }
        let times = entries.iter().map(|(time, _)| *time);
        if let (Some(start), Some(end)) = (times.clone().min(), times.max()) {
            count(summary, channel_id, entries.len() as u64, start, end);
        }
        Ok(())
    }

    fn attachment(&mut self, summary: &mut Summary, offset: u64, len: u64) -> Result<(), Stop> {
        let want = usize::try_from(len).unwrap_or(usize::MAX).min(ATTACHMENT_HEAD_MAX);
        let head = parse::attachment_head(self.peek(offset + RECORD_HEADER as u64, want)?)?;
        if head.content_len().is_none_or(|needed| needed > len) {
            return Err(Stop::Damage(format!("attachment of {len} bytes says it holds {}", head.data_size)));
        }
        self.count_entry()?;
        summary.attachments.push(AttachmentIndex {
            offset,
            length: len + RECORD_HEADER as u64,
            log_time: head.log_time,
            create_time: head.create_time,
            data_size: head.data_size,
            name: head.name,
            media_type: head.media_type,
        });
        summary.statistics.attachment_count = summary.attachments.len() as u32;
        Ok(())
    }
}

/// Room for an attachment's name and media type.
pub(crate) const ATTACHMENT_HEAD_MAX: usize = 64 * 1024;

enum Stop {
    Disk(ReadError),
    Damage(String),
}

impl From<ParseError> for Stop {
    fn from(error: ParseError) -> Self {
        Self::Damage(error.to_string())
    }
}
