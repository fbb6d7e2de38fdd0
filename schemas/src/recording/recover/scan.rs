//! Finds what is intact in an MCAP, whatever happened to it: record by record, and after damage by looking at every
//! byte for a record that makes sense together with what follows it. Reads a file; writes nothing.

use std::{collections::BTreeSet, io};

use bytes::Bytes;
use mcap::records::{AttachmentIndex, op};

use crate::recording::{
    part_reader::{
        ReadOptions,
        chunk::unpack,
        parse::{self, CHUNK_HEAD_MAX, ChunkHead, MessageIndex, record_name},
        source::{Source, Window},
    },
    record::{MESSAGE_HEADER, RECORD_HEADER},
};

/// One thing the scanner came upon.
#[derive(Debug)]
pub(crate) struct Found {
    /// Where it begins.
    pub(crate) offset: u64,
    /// Behind its last byte.
    pub(crate) end: u64,
    pub(crate) what: What,
}

/// What the scanner came upon.
#[derive(Debug)]
pub(crate) enum What {
    /// MCAP's magic bytes.
    Magic,
    Header {
        profile: String,
        library: String,
    },
    /// A schema or channel record outside chunks.
    Definition {
        opcode: u8,
        content: Vec<u8>,
    },
    /// A message record outside chunks, or in a damaged chunk that was opened.
    Message {
        content: Vec<u8>,
        in_damaged_chunk: bool,
    },
    /// An intact chunk.
    Chunk {
        head: ChunkHead,
        stored: Bytes,
        records: Bytes,
    },
    /// A damaged chunk of which these records came out; the last may be cut off.
    TornChunk {
        records: Bytes,
        reason: String,
    },
    /// A damaged chunk that is not compressed: the next finds are its records.
    OpenedChunk {
        reason: String,
    },
    MessageIndex(MessageIndex),
    Attachment(AttachmentIndex),
    Metadata {
        name: String,
        content: Vec<u8>,
    },
    /// An intact record that MCAP leaves to applications.
    Private,
    DataEnd,
    /// A record of the summary section.
    Summary {
        opcode: u8,
        content: Vec<u8>,
    },
    Footer,
    /// Bytes that are no record.
    Damaged {
        reason: String,
    },
}

enum Verdict {
    Take(u64, What),
    /// Not a record; the next one begins there, if that is certain.
    Damaged(String, Option<u64>),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Scanner {
    source: Source,
    window: Window,
    options: ReadOptions,
    at: u64,
    /// No record goes further: the end of the file, or of the damaged chunk being looked through.
    limit: u64,
    in_damaged_chunk: bool,
    /// Channels that messages may belong to.
    pub(crate) channels: BTreeSet<u16>,
    /// Log times of the messages found so far.
    times: Option<(u64, u64)>,
}

/// Lengths above this are taken for garbage where nothing else vouches for them: 1 TiB.
const LENGTH_MAX: u64 = 1 << 40;
/// A record other than a chunk is not looked at closely during a search if it is larger.
const CANDIDATE_MAX: u64 = 1 << 20;
/// Messages this near to the others vouch for themselves: an hour, in nanoseconds.
const NEAR: u64 = 3_600_000_000_000;
/// Bytes searched at a time.
const SEARCH: usize = 1 << 20;

impl Scanner {
    pub(crate) fn new(source: Source, options: ReadOptions, channels: BTreeSet<u16>) -> Self {
        let window = Window::new(source.clone());
        let limit = source.len();
        Self { source, window, options, at: 0, limit, in_damaged_chunk: false, channels, times: None }
    }

    /// The next find; `None` at the end of the file.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn next(&mut self) -> io::Result<Option<Found>> {
        if self.at >= self.limit {
            self.limit = self.source.len();
            self.in_damaged_chunk = false;
        }
        let offset = self.at;
        if offset >= self.limit {
            return Ok(None);
        }
        let (end, what) = match self.judge(offset)? {
            Verdict::Take(end, what) => (end, what),
            Verdict::Damaged(reason, next) => {
                let end = match next {
                    Some(next) => next,
                    None => self.search(offset + 1, self.limit)?.unwrap_or(self.limit),
                };
                (end, What::Damaged { reason })
            }
        };
        self.at = end;
        Ok(Some(Found { offset, end, what }))
    }

    /// What begins at `at`, where a record is expected.
    fn judge(&mut self, at: u64) -> io::Result<Verdict> {
        if self.window.peek(at, mcap::MAGIC.len())? == mcap::MAGIC {
            return Ok(Verdict::Take(at + mcap::MAGIC.len() as u64, What::Magic));
        }
        let damaged = |reason: String| Ok(Verdict::Damaged(reason, None));
        let Some((opcode, len)) = parse::record_header(self.window.peek(at, RECORD_HEADER)?) else {
            return damaged("the file ends inside a record".to_owned());
        };
        let name = record_name(opcode);
        match parse::content_min(opcode) {
            Some(min) if len >= min => {}
            None if opcode >= 0x80 => {}
            _ => return damaged(format!("opcode {opcode:#04x} with length {len} is not a record")),
        }
        if opcode == op::CHUNK {
            return self.chunk(at, len);
        }
        let Some(end) = self.end_of(at, len) else {
            return damaged(format!("{name} record of {len} bytes is cut off or its length is damaged"));
        };
        match opcode {
            op::MESSAGE => self.message(at, end),
            op::ATTACHMENT => self.attachment(at, end),
            0x80.. => match self.plausible(end)? {
                true => Ok(Verdict::Take(end, What::Private)),
                false => damaged("private record that nothing intact follows".to_owned()),
            },
            _ if len > self.options.record_bytes_max => {
                damaged(format!("{name} record of {len} bytes is over the limit of {}", self.options.record_bytes_max))
            }
            _ => self.small(at, end, opcode),
        }
    }

    fn end_of(&self, at: u64, len: u64) -> Option<u64> {
        at.checked_add(RECORD_HEADER as u64)?.checked_add(len).filter(|end| *end <= self.limit)
    }

    fn content(&self, at: u64, end: u64) -> io::Result<Vec<u8>> {
        let start = at + RECORD_HEADER as u64;
        self.source.read(start, end - start)
    }

    /// A record that is read whole and must parse.
    fn small(&mut self, at: u64, mut end: u64, opcode: u8) -> io::Result<Verdict> {
        let mut content = self.content(at, end)?;
        // A length damaged upwards must not swallow what follows.
        if !self.plausible(end)?
            && let Some(inside) = self.search(at + RECORD_HEADER as u64, end)?
            && let Some(shorter) = content.get(..(inside - at) as usize - RECORD_HEADER)
            && parse_small(opcode, shorter).is_ok()
        {
            end = inside;
            content.truncate((inside - at) as usize - RECORD_HEADER);
        }
        match parse_small(opcode, &content) {
            Ok(what) => {
                if opcode == op::CHANNEL
                    && let Ok(channel) = parse::channel(&content)
                {
                    self.channels.insert(channel.id);
                }
                Ok(Verdict::Take(end, what.unwrap_or(What::Summary { opcode, content })))
            }
            Err(reason) => {
                let next = self.plausible(end)?.then_some(end);
                Ok(Verdict::Damaged(reason.to_string(), next))
            }
        }
    }

    fn message(&mut self, at: u64, end: u64) -> io::Result<Verdict> {
        let len = end - at - RECORD_HEADER as u64;
        if len > self.options.record_bytes_max {
            return Ok(Verdict::Damaged(format!("message of {len} bytes is over the limit"), None));
        }
        if !self.plausible(end)? {
            // Either this message's length is damaged, or what follows it. A record inside it tells.
            let inside = self.search(at + RECORD_HEADER as u64, end)?;
            let head = parse::message(self.window.peek(at + RECORD_HEADER as u64, MESSAGE_HEADER)?);
            let known = head.is_ok_and(|head| self.channels.contains(&head.channel_id));
            if inside.is_some() || !known {
                return Ok(Verdict::Damaged("message with damaged length or damage behind it".to_owned(), inside));
            }
        }
        let content = self.content(at, end)?;
        if let Ok(head) = parse::message(&content) {
            self.note_time(head.log_time);
        }
        Ok(Verdict::Take(end, What::Message { content, in_damaged_chunk: self.in_damaged_chunk }))
    }

    fn note_time(&mut self, time: u64) {
        let (start, end) = self.times.unwrap_or((time, time));
        self.times = Some((start.min(time), end.max(time)));
    }

    fn attachment(&mut self, at: u64, end: u64) -> io::Result<Verdict> {
        let next = self.plausible(end)?.then_some(end);
        let start = at + RECORD_HEADER as u64;
        let room = (end - start).min(ATTACHMENT_HEAD_MAX) as usize;
        let head = match parse::attachment_head(self.window.peek(start, room)?) {
            Ok(head) => head,
            Err(error) => return Ok(Verdict::Damaged(error.to_string(), next)),
        };
        let crc_at = start.saturating_add(head.len).saturating_add(head.data_size);
        if crc_at.checked_add(4).is_none_or(|crc_end| crc_end > end) {
            return Ok(Verdict::Damaged("attachment record: `data` ends after its record".to_owned(), next));
        }
        let saved = self.source.read(crc_at, 4)?;
        let saved = u32::from_le_bytes([saved[0], saved[1], saved[2], saved[3]]);
        if saved != 0 && saved != crc_of(&self.source, start, crc_at)? {
            return Ok(Verdict::Damaged(format!("attachment `{}` does not match its CRC", head.name), next));
        }
        let end = if next.is_some() { end } else { crc_at + 4 };
        let index = AttachmentIndex {
            offset: at,
            length: end - at,
            log_time: head.log_time,
            create_time: head.create_time,
            data_size: head.data_size,
            name: head.name,
            media_type: head.media_type,
        };
        Ok(Verdict::Take(end, What::Attachment(index)))
    }

    fn chunk(&mut self, at: u64, len: u64) -> io::Result<Verdict> {
        let start = at + RECORD_HEADER as u64;
        let head = match parse::chunk_head(self.window.peek(start, CHUNK_HEAD_MAX)?) {
            Ok(head) => head,
            Err(error) => return Ok(Verdict::Damaged(error.to_string(), None)),
        };
        let records_at = (start + head.len()).min(self.limit);
        let end = self.end_of(at, len);
        let fits = end.filter(|end| head.stored_size <= *end - records_at);
        let reason = match fits {
            Some(_) if head.stored_size > self.options.chunk_bytes_max => "chunk is over the size limit".to_owned(),
            None if end.is_none() => "chunk is cut off or its length is damaged".to_owned(),
            None => "chunk's sizes contradict each other".to_owned(),
            // A head that is half zeros speaks of an empty chunk.
            Some(end) if head.stored_size == 0 && end != records_at => "chunk's sizes are damaged".to_owned(),
            Some(end) => {
                let stored: Bytes = self.source.read(records_at, head.stored_size)?.into();
                match self.intact(&head, &stored) {
                    Ok(records) => {
                        self.learn(&records);
                        let exact = records_at + head.stored_size;
                        let end = if end == exact || self.plausible(end)? { end } else { exact };
                        return Ok(Verdict::Take(end, What::Chunk { head, stored, records }));
                    }
                    Err(reason) => reason,
                }
            }
        };
        let certain = match fits {
            Some(end) => self.plausible(end)?.then_some(end),
            None => None,
        };
        self.damaged_chunk(&head, records_at, certain, reason)
    }

    /// All records of a chunk in which nothing is wrong.
    fn intact(&self, head: &ChunkHead, stored: &Bytes) -> Result<Bytes, String> {
        let unpacked = unpack(head, stored.clone(), self.options.chunk_bytes_max, true);
        let records = unpacked.into_result().map_err(|error| error.to_string())?;
        let mut at = 0;
        while let Some(record) = parse::record_in(&records, at).map_err(|error| error.to_string())? {
            match record.opcode {
                op::MESSAGE => drop(parse::message(record.content).map_err(|error| error.to_string())?),
                op::SCHEMA => drop(parse::schema(record.content).map_err(|error| error.to_string())?),
                op::CHANNEL => drop(parse::channel(record.content).map_err(|error| error.to_string())?),
                0 => return Err("chunk holds a record with opcode 0".to_owned()),
                _ => {}
            }
            at = record.end();
        }
        Ok(records)
    }

    /// `certain` is the end of the chunk where what follows vouches for it.
    fn damaged_chunk(
        &mut self,
        head: &ChunkHead,
        records_at: u64,
        certain: Option<u64>,
        reason: String,
    ) -> io::Result<Verdict> {
        if head.compression.is_empty() {
            if let Some(end) = certain {
                self.limit = end;
            }
            self.in_damaged_chunk = true;
            return Ok(Verdict::Take(records_at, What::OpenedChunk { reason }));
        }
        let there = certain.unwrap_or(self.limit).saturating_sub(records_at);
        let stored_size = head.stored_size.min(there).min(self.options.chunk_bytes_max);
        let stored: Bytes = self.source.read(records_at, stored_size)?.into();
        // A damaged size must not keep good bytes from coming out.
        let head = ChunkHead { uncompressed_size: self.options.chunk_bytes_max - 1, ..head.clone() };
        let unpacked = unpack(&head, stored, self.options.chunk_bytes_max, false);
        self.learn(&unpacked.records);
        let end = certain.unwrap_or(records_at + unpacked.consumed as u64);
        Ok(Verdict::Take(end, What::TornChunk { records: unpacked.records, reason }))
    }

    /// Takes note of the channels and times in a chunk.
    fn learn(&mut self, records: &[u8]) {
        let mut at = 0;
        while let Ok(Some(record)) = parse::record_in(records, at) {
            match record.opcode {
                op::CHANNEL => {
                    if let Ok(channel) = parse::channel(record.content) {
                        self.channels.insert(channel.id);
                    }
                }
                op::MESSAGE => {
                    if let Ok(message) = parse::message(record.content) {
                        self.note_time(message.log_time);
                    }
                }
                _ => {}
            }
            at = record.end();
        }
    }

    /// Whether a record may begin at `at`, or the file may end there.
    fn plausible(&mut self, at: u64) -> io::Result<bool> {
        if at >= self.limit {
            return Ok(at == self.limit);
        }
        let bytes = self.window.peek(at, RECORD_HEADER)?;
        let Some((opcode, len)) = parse::record_header(bytes) else {
            // Cut off inside the record's head.
            return Ok(
                mcap::MAGIC.starts_with(bytes) || bytes.first().is_some_and(|b| parse::content_min(*b).is_some())
            );
        };
        if bytes.starts_with(mcap::MAGIC) {
            return Ok(true);
        }
        if opcode == op::CHUNK && len == u64::MAX {
            return Ok(true);
        }
        let sized = parse::content_min(opcode).is_some_and(|min| len >= min) && len < LENGTH_MAX;
        // The last record of a torn file goes beyond its end, but a record in a chunk does not go beyond the chunk.
        Ok(sized && (!self.in_damaged_chunk || self.limit == self.source.len() || self.end_of(at, len).is_some()))
    }

    /// The first place in `[from, to)` where a record begins, by all that can be told.
    fn search(&mut self, from: u64, to: u64) -> io::Result<Option<u64>> {
        let mut at = from;
        while at < to {
            let bytes = self.source.read_up_to(at, (SEARCH + RECORD_HEADER) as u64)?;
            let starts = bytes.len().min(SEARCH).min(usize::try_from(to - at).unwrap_or(usize::MAX));
            for i in 0..starts {
                if !(1..=op::DATA_END).contains(&bytes[i]) && bytes[i] != mcap::MAGIC[0] {
                    continue;
                }
                let rest = &bytes[i..];
                if rest.starts_with(mcap::MAGIC) {
                    return Ok(Some(at + i as u64));
                }
                if let Some((opcode, len)) = parse::record_header(rest)
                    && self.convincing(at + i as u64, opcode, len)?
                {
                    return Ok(Some(at + i as u64));
                }
            }
            at += starts as u64;
        }
        Ok(None)
    }

    /// Whether what lies at `at`, where nothing says that a record begins, is one.
    fn convincing(&mut self, at: u64, opcode: u8, len: u64) -> io::Result<bool> {
        if parse::content_min(opcode).is_none_or(|min| len < min) {
            return Ok(false);
        }
        if opcode == op::CHUNK {
            return self.convincing_chunk(at, len);
        }
        let Some(end) = self.end_of(at, len) else { return Ok(false) };
        let followed = self.plausible(end)?;
        let start = at + RECORD_HEADER as u64;
        match opcode {
            op::MESSAGE => {
                let Ok(head) = parse::message(self.window.peek(start, MESSAGE_HEADER)?) else { return Ok(false) };
                let near = self.times.is_some_and(|(first, last)| {
                    head.log_time >= first.saturating_sub(NEAR) && head.log_time <= last.saturating_add(NEAR)
                });
                let known = self.channels.contains(&head.channel_id);
                Ok((known && (followed || near)) || (followed && near))
            }
            op::ATTACHMENT if followed => {
                let room = (end - start).min(ATTACHMENT_HEAD_MAX) as usize;
                let head = parse::attachment_head(self.window.peek(start, room)?);
                Ok(head.is_ok_and(|head| head.content_len() == Some(len)))
            }
            op::FOOTER => Ok(len == 20 && followed),
            op::DATA_END => Ok(len == 4 && followed),
            _ if followed && len <= CANDIDATE_MAX => {
                let content = self.content(at, end)?;
                Ok(parse_small(opcode, &content).is_ok())
            }
            _ => Ok(false),
        }
    }

    fn convincing_chunk(&mut self, at: u64, len: u64) -> io::Result<bool> {
        let start = at + RECORD_HEADER as u64;
        let Ok(head) = parse::chunk_head(self.window.peek(start, CHUNK_HEAD_MAX)?) else { return Ok(false) };
        let fits = head.len().checked_add(head.stored_size) == Some(len) || head.stored_size == u64::MAX;
        if !fits || (head.start > head.end && head.stored_size != u64::MAX) {
            return Ok(false);
        }
        let records_at = start + head.len();
        match head.compression.as_str() {
            "zstd" => Ok(self.window.peek(records_at, 4)? == [0x28, 0xB5, 0x2F, 0xFD]),
            "lz4" => Ok(self.window.peek(records_at, 4)? == [0x04, 0x22, 0x4D, 0x18]),
            "" => Ok(head.uncompressed_size == head.stored_size && self.plausible(records_at)?),
            _ => Ok(false),
        }
    }
}

/// Room for an attachment's name and media type.
const ATTACHMENT_HEAD_MAX: u64 = 64 * 1024;

/// Parses a record that is neither chunk, message nor attachment; `None` for one of the summary section.
fn parse_small(opcode: u8, content: &[u8]) -> Result<Option<What>, parse::ParseError> {
    Ok(Some(match opcode {
        op::HEADER => {
            let (profile, library) = parse::header(content)?;
            What::Header { profile, library }
        }
        op::SCHEMA => {
            parse::schema(content)?;
            What::Definition { opcode, content: content.to_vec() }
        }
        op::CHANNEL => {
            parse::channel(content)?;
            What::Definition { opcode, content: content.to_vec() }
        }
        op::MESSAGE_INDEX => What::MessageIndex(parse::message_index(content)?),
        op::METADATA => What::Metadata { name: parse::metadata(content)?.0, content: content.to_vec() },
        op::FOOTER => {
            parse::footer(content)?;
            What::Footer
        }
        op::DATA_END => {
            parse::data_end(content)?;
            What::DataEnd
        }
        op::CHUNK_INDEX => return parse::chunk_index(content).map(|_| None),
        op::ATTACHMENT_INDEX => return parse::attachment_index(content).map(|_| None),
        op::METADATA_INDEX => return parse::metadata_index(content).map(|_| None),
        op::STATISTICS => return parse::statistics(content).map(|_| None),
        op::SUMMARY_OFFSET => return parse::summary_offset(content).map(|_| None),
        _ => return Ok(None),
    }))
}

/// CRC of the bytes `[start, end)`.
pub(crate) fn crc_of(source: &Source, mut start: u64, end: u64) -> io::Result<u32> {
    let mut crc = crc32fast::Hasher::new();
    while start < end {
        let piece = source.read(start, (end - start).min(SEARCH as u64))?;
        crc.update(&piece);
        start += piece.len() as u64;
    }
    Ok(crc.finalize())
}
