//! Whether one MCAP file is true to itself: every record parses, every CRC matches, and its indexes and summary say what
//! its data say. One pass from start to end; holds one chunk and the list of chunks.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use mcap::records::{ChunkIndex, Statistics, op};

use crate::{
    recording::{
        part_reader::{
            Channel, Definitions, ReadOptions,
            chunk::unpack,
            parse::{self, record_name},
            source::Source,
        },
        record::RECORD_HEADER,
    },
    time::Timestamp,
};

mod summary;

/// How bad a [`Fault`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Other programs may stumble over it.
    Warning,
    /// Data are missing, wrong or cannot be reached.
    Error,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Stable name of the rule, e.g. `mcap.chunk_crc`.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Byte of the file.
    pub offset: u64,
    /// Topic, where it belongs to one.
    pub topic: Option<String>,
    /// Log time, where it belongs to one.
    pub time: Option<Timestamp>,
    /// What is wrong.
    pub message: String,
}

/// A message, as a [`Visitor`] sees it.
#[derive(Clone, Copy, Debug)]
pub struct Visited<'a> {
    /// Its channel.
    pub channel: &'a Channel,
    /// Its sequence.
    pub sequence: u32,
    /// Its log time.
    pub log_time: Timestamp,
    /// Its payload.
    pub data: &'a [u8],
    /// Where its chunk or, outside chunks, its record begins.
    pub offset: u64,
}

/// Takes what [`verify`] finds.
pub trait Visitor {
    /// A fault.
    fn fault(&mut self, fault: Fault);
    /// A message, in the order of the file.
    fn message(&mut self, message: Visited<'_>);
}

/// Reads a whole file and tells `visitor` its faults and messages.
///
/// # Errors
/// The disk's. Everything wrong with the file itself is a [`Fault`].
pub fn verify(
    inner: std::sync::Arc<dyn super::part_reader::ReadAt>,
    options: &ReadOptions,
    visitor: &mut dyn Visitor,
) -> io::Result<()> {
    let source = Source::new(inner)?;
    Verifier { source, options, visitor, state: State::default() }.run()
}

/// What the data section holds.
#[derive(Debug, Default)]
struct State {
    definitions: Definitions,
    chunks: Vec<ChunkIndex>,
    attachments: BTreeMap<u64, (u64, String)>,
    metadata: BTreeMap<u64, (u64, String)>,
    statistics: Statistics,
    crc: crc32fast::Hasher,
    /// Entries of the last chunk that no message index has told yet.
    unindexed: BTreeMap<u16, Vec<(u64, u64)>>,
    last_times: BTreeMap<u16, u64>,
    undefined: BTreeSet<u16>,
    data_end: bool,
}

struct Verifier<'a> {
    source: Source,
    options: &'a ReadOptions,
    visitor: &'a mut dyn Visitor,
    state: State,
}

const MAGIC: u64 = mcap::MAGIC.len() as u64;

impl Verifier<'_> {
    fn fault(&mut self, id: &'static str, severity: Severity, offset: u64, message: impl Into<String>) {
        self.visitor.fault(Fault { id, severity, offset, topic: None, time: None, message: message.into() });
    }

    fn error(&mut self, id: &'static str, offset: u64, message: impl Into<String>) {
        self.fault(id, Severity::Error, offset, message);
    }

    fn run(mut self) -> io::Result<()> {
        let magic = self.source.read_up_to(0, MAGIC)?;
        if magic != mcap::MAGIC {
            self.error("mcap.magic", 0, "the file does not begin with MCAP's magic bytes");
            return Ok(());
        }
        self.state.crc.update(&magic);
        let mut at = MAGIC;
        let mut first = true;
        while !self.state.data_end {
            let head = self.source.read_up_to(at, RECORD_HEADER as u64)?;
            let Some((opcode, len)) = parse::record_header(&head) else {
                self.error("mcap.end", at, "the file ends without data end record, summary and footer");
                return Ok(());
            };
            let end = at.checked_add(RECORD_HEADER as u64 + len.min(u64::MAX / 2));
            let Some(end) = end.filter(|end| *end <= self.source.len() && opcode != 0) else {
                let name = record_name(opcode);
                self.error("mcap.record", at, format!("{name} record of {len} bytes goes beyond the end of the file"));
                return Ok(());
            };
            if first && opcode != op::HEADER {
                self.error("mcap.record", at, "the first record is not a header");
            }
            first = false;
            if opcode != op::DATA_END {
                self.state.crc.update(&head);
            }
            self.record(opcode, at, end)?;
            at = end;
        }
        self.chunk_done();
        summary::verify(&mut self, at)
    }

    fn record(&mut self, opcode: u8, at: u64, end: u64) -> io::Result<()> {
        let start = at + RECORD_HEADER as u64;
        if opcode != op::MESSAGE_INDEX {
            self.chunk_done();
        }
        if opcode == op::ATTACHMENT {
            return self.attachment(at, end);
        }
        let limit = if opcode == op::CHUNK { self.options.chunk_bytes_max } else { self.options.record_bytes_max };
        if end - start > limit {
            let message =
                format!("{} record of {} bytes is over the limit of {limit}", record_name(opcode), end - start);
            self.error("mcap.record", at, message);
            return self.hash(start, end);
        }
        let content = self.source.read(start, end - start)?;
        if opcode == op::DATA_END {
            self.data_end(at, &content);
            return Ok(());
        }
        self.state.crc.update(&content);
        if let Err(error) = self.content(opcode, at, end, &content) {
            self.error("mcap.record", at, error.to_string());
        }
        Ok(())
    }

    fn content(&mut self, opcode: u8, at: u64, end: u64, content: &[u8]) -> Result<(), parse::ParseError> {
        match opcode {
            op::HEADER => drop(parse::header(content)?),
            op::SCHEMA | op::CHANNEL => self.define(opcode, at, content)?,
            op::MESSAGE => self.message(at, content)?,
            op::CHUNK => self.chunk(at, end, content)?,
            op::MESSAGE_INDEX => self.message_index(at, end, content)?,
            op::METADATA => {
                let (name, _) = parse::metadata(content)?;
                self.state.metadata.insert(at, (end - at, name));
            }
            op::FOOTER
            | op::CHUNK_INDEX
            | op::ATTACHMENT_INDEX
            | op::STATISTICS
            | op::METADATA_INDEX
            | op::SUMMARY_OFFSET => {
                self.error("mcap.record", at, format!("{} record before the data end", record_name(opcode)));
            }
            0x80.. => {}
            _ => self.fault("mcap.record", Severity::Info, at, format!("record with unknown opcode {opcode:#04x}")),
        }
        Ok(())
    }

    fn define(&mut self, opcode: u8, at: u64, content: &[u8]) -> Result<(), parse::ParseError> {
        if opcode == op::SCHEMA {
            let schema = parse::schema(content)?;
            if schema.id == 0 {
                self.error("mcap.schema", at, "schema with the number 0");
            }
            let known = self.state.definitions.schemas.get(&schema.id);
            if known.is_some_and(|k| (&*k.name, &*k.encoding, &*k.data) != (schema.name, schema.encoding, schema.data))
            {
                self.error("mcap.schema", at, format!("schema {} is described twice, differently", schema.id));
            }
        } else {
            let channel = parse::channel(content)?;
            let known = self.state.definitions.channels.get(&channel.id).map(|known| &known.descriptor);
            if known.is_some_and(|k| (&k.topic, &k.message_encoding) != (&channel.topic, &channel.message_encoding)) {
                self.error("mcap.channel", at, format!("channel {} is described twice, differently", channel.id));
            }
            if channel.schema_id != 0 && !self.state.definitions.schemas.contains_key(&channel.schema_id) {
                let (topic, id) = (channel.topic, channel.schema_id);
                self.error("mcap.schema", at, format!("channel `{topic}` has schema {id}, which is not described"));
            }
        }
        self.state.definitions.learn(opcode, content)
    }

    fn message(&mut self, offset: u64, content: &[u8]) -> Result<(), parse::ParseError> {
        let head = parse::message(content)?;
        let Some(channel) = self.state.definitions.channels.get(&head.channel_id).cloned() else {
            if self.state.undefined.insert(head.channel_id) {
                self.error(
                    "mcap.channel",
                    offset,
                    format!("messages of channel {}, which is not described", head.channel_id),
                );
            }
            return Ok(());
        };
        let statistics = &mut self.state.statistics;
        let first = statistics.message_count == 0;
        let (start, end) = (statistics.message_start_time, statistics.message_end_time);
        statistics.message_start_time = if first { head.log_time } else { start.min(head.log_time) };
        statistics.message_end_time = end.max(head.log_time);
        statistics.message_count += 1;
        *statistics.channel_message_counts.entry(head.channel_id).or_default() += 1;
        let log_time = Timestamp::from_mcap(head.log_time);
        if let Some(before) = self.state.last_times.insert(head.channel_id, head.log_time)
            && before > head.log_time
        {
            self.visitor.fault(Fault {
                id: "mcap.time_order",
                severity: Severity::Warning,
                offset,
                topic: Some(channel.descriptor.topic.clone()),
                time: Some(log_time),
                message: format!("log time steps back by {} ns", before - head.log_time),
            });
        }
        let data = content.get(crate::recording::record::MESSAGE_HEADER..).unwrap_or_default();
        self.visitor.message(Visited { channel: &channel, sequence: head.sequence, log_time, data, offset });
        Ok(())
    }

    fn chunk(&mut self, at: u64, end: u64, content: &[u8]) -> Result<(), parse::ParseError> {
        let head = parse::chunk_head(content)?;
        let stored = usize::try_from(head.len()).ok().and_then(|start| content.get(start..)).unwrap_or_default();
        let stored = usize::try_from(head.stored_size).ok().and_then(|size| stored.get(..size));
        let Some(stored) = stored else {
            self.error("mcap.chunk", at, "the chunk's records are longer than the chunk");
            return Ok(());
        };
        self.state.chunks.push(ChunkIndex {
            message_start_time: head.start,
            message_end_time: head.end,
            chunk_start_offset: at,
            chunk_length: end - at,
            message_index_offsets: BTreeMap::new(),
            message_index_length: 0,
            compression: head.compression.clone(),
            compressed_size: head.stored_size,
            uncompressed_size: head.uncompressed_size,
        });
        self.state.statistics.chunk_count += 1;
        let stored = bytes::Bytes::copy_from_slice(stored);
        let records = match unpack(&head, stored, self.options.chunk_bytes_max, true).into_result() {
            Ok(records) => records,
            Err(error) => {
                let id = if matches!(error, super::part_reader::ChunkError::Crc { .. }) {
                    "mcap.chunk_crc"
                } else {
                    "mcap.chunk"
                };
                let cause = std::error::Error::source(&error).map(|c| format!(": {c}")).unwrap_or_default();
                self.error(id, at, format!("{error}{cause}"));
                return Ok(());
            }
        };
        let mut next = 0;
        let mut times: Option<(u64, u64)> = None;
        while let Some(record) = parse::record_in(&records, next)? {
            match record.opcode {
                op::SCHEMA | op::CHANNEL => self.define(record.opcode, at, record.content)?,
                op::MESSAGE => {
                    let message = parse::message(record.content)?;
                    let (start, end) = times.unwrap_or((message.log_time, message.log_time));
                    times = Some((start.min(message.log_time), end.max(message.log_time)));
                    let entry = (message.log_time, record.offset as u64);
                    self.state.unindexed.entry(message.channel_id).or_default().push(entry);
                    self.message(at, record.content)?;
                }
                opcode => self.error("mcap.chunk", at, format!("{} record in a chunk", record_name(opcode))),
            }
            next = record.end();
        }
        if times.is_some_and(|times| times != (head.start, head.end)) {
            self.error("mcap.index", at, "the chunk's time range is not that of its messages");
        }
        Ok(())
    }

    fn message_index(&mut self, at: u64, end: u64, content: &[u8]) -> Result<(), parse::ParseError> {
        let (channel_id, mut entries) = parse::message_index(content)?;
        let Some(chunk) = self.state.chunks.last_mut() else {
            self.error("mcap.index", at, "message index before any chunk");
            return Ok(());
        };
        chunk.message_index_length += end - at;
        if entries.is_empty() {
            return Ok(());
        }
        chunk.message_index_offsets.insert(channel_id, at);
        let mut actual = self.state.unindexed.remove(&channel_id).unwrap_or_default();
        entries.sort_unstable();
        actual.sort_unstable();
        if entries != actual {
            let (told, held) = (entries.len(), actual.len());
            let message = format!(
                "message index of channel {channel_id} tells {told} messages, the chunk holds {held} or others"
            );
            self.error("mcap.index", at, message);
        }
        Ok(())
    }

    /// What comes next is not a message index of the last chunk.
    fn chunk_done(&mut self) {
        let left = std::mem::take(&mut self.state.unindexed);
        let Some(chunk) = self.state.chunks.last().filter(|_| !left.is_empty()) else { return };
        let (at, some) = (chunk.chunk_start_offset, !chunk.message_index_offsets.is_empty());
        let ids: Vec<String> = left.keys().map(u16::to_string).collect();
        // A chunk without any index is read whole; one with some hides what they leave out.
        let severity = if some { Severity::Error } else { Severity::Warning };
        self.fault("mcap.index", severity, at, format!("the chunk has no message index of channel {}", ids.join(", ")));
    }

    fn attachment(&mut self, at: u64, end: u64) -> io::Result<()> {
        let start = at + RECORD_HEADER as u64;
        let head = self.source.read(start, (end - start).min(64 * 1024))?;
        self.hash(start, end)?;
        match parse::attachment_head(&head) {
            Err(error) => self.error("mcap.record", at, error.to_string()),
            Ok(head) if head.content_len().is_none_or(|len| len > end - start) => {
                self.error("mcap.attachment", at, format!("attachment `{}` is longer than its record", head.name));
            }
            Ok(head) => {
                let crc_at = start + head.len + head.data_size;
                let saved = self.source.read(crc_at, 4)?;
                let saved = u32::from_le_bytes([saved[0], saved[1], saved[2], saved[3]]);
                if saved != 0 && crate::recording::recover::crc_of(&self.source, start, crc_at)? != saved {
                    self.error("mcap.attachment", at, format!("attachment `{}` does not match its CRC", head.name));
                }
                self.state.attachments.insert(at, (end - at, head.name));
            }
        }
        Ok(())
    }

    fn hash(&mut self, mut start: u64, end: u64) -> io::Result<()> {
        while start < end {
            let piece = self.source.read(start, (end - start).min(1 << 20))?;
            self.state.crc.update(&piece);
            start += piece.len() as u64;
        }
        Ok(())
    }

    fn data_end(&mut self, at: u64, content: &[u8]) {
        self.state.data_end = true;
        let actual = self.state.crc.clone().finalize();
        match parse::data_end(content) {
            Ok(saved) if saved != 0 && saved != actual => {
                self.error("mcap.data_crc", at, format!("CRC of the data section is {actual:08X}, not {saved:08X}"));
            }
            Ok(_) => {}
            Err(error) => self.error("mcap.record", at, error.to_string()),
        }
    }
}
