//! Puts intact records together to a clean MCAP: chunks with message indexes, one summary. Knows no disk: its bytes go
//! to a [`Sink`].

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use mcap::records::{AttachmentIndex, ChunkIndex, MetadataIndex, Statistics, op};

use crate::recording::{
    part_reader::{
        Definitions,
        parse::{self, ChunkHead},
    },
    record::{self, RECORD_HEADER},
};

/// Where rebuilt bytes go.
pub(crate) trait Sink {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()>;
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// Entries of a chunk's message indexes by channel.
pub(crate) type Indexes = BTreeMap<u16, Vec<(u64, u64)>>;

/// A file being rebuilt.
#[derive(Debug, Default)]
pub(crate) struct Rebuild {
    /// Bytes of the file so far.
    pub(crate) offset: u64,
    /// CRC of the bytes so far.
    pub(crate) crc: crc32fast::Hasher,
    pub(crate) definitions: Definitions,
    /// Channels whose record is in the file already.
    written_channels: BTreeSet<u16>,
    written_schemas: BTreeSet<u16>,
    pub(crate) chunks: Vec<ChunkIndex>,
    pub(crate) attachments: Vec<AttachmentIndex>,
    pub(crate) metadata: Vec<MetadataIndex>,
    pub(crate) counts: BTreeMap<u16, u64>,
    times: Option<(u64, u64)>,
    /// Records of messages that are not in a chunk yet.
    pending: Vec<u8>,
    pending_indexes: Indexes,
}

/// Messages without a chunk are put into chunks of about this size.
const PENDING_BYTES: usize = 1 << 20;

impl Rebuild {
    /// An empty file that will hold these channels.
    pub(crate) fn with(definitions: Definitions) -> Self {
        Self { definitions, ..Self::default() }
    }

    pub(crate) fn write(&mut self, sink: &mut dyn Sink, bytes: &[u8]) -> io::Result<()> {
        sink.put(bytes)?;
        self.crc.update(bytes);
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Opening magic and header.
    pub(crate) fn begin(&mut self, sink: &mut dyn Sink, profile: &str, library: &str) -> io::Result<()> {
        let mut bytes = mcap::MAGIC.to_vec();
        record::header(&mut bytes, profile, library);
        self.write(sink, &bytes)
    }

    /// Notes that the file holds this schema or channel record.
    pub(crate) fn has_definition(&mut self, opcode: u8, content: &[u8]) {
        if self.definitions.learn(opcode, content).is_err() {
            return;
        }
        match opcode {
            op::SCHEMA => drop(parse::schema(content).map(|s| self.written_schemas.insert(s.id))),
            op::CHANNEL => drop(parse::channel(content).map(|c| self.written_channels.insert(c.id))),
            _ => {}
        }
    }

    /// Writes a channel's record and its schema's, unless the file has them.
    fn define(&mut self, sink: &mut dyn Sink, channel_id: u16) -> io::Result<()> {
        if self.written_channels.contains(&channel_id) {
            return Ok(());
        }
        let Some(channel) = self.definitions.channels.get(&channel_id).cloned() else { return Ok(()) };
        let mut bytes = Vec::new();
        if let Some(schema) = self.definitions.schemas.get(&channel.schema_id)
            && self.written_schemas.insert(channel.schema_id)
        {
            record::schema(&mut bytes, channel.schema_id, schema);
        }
        record::channel(&mut bytes, channel_id, self.known_schema(channel.schema_id), &channel.descriptor);
        self.written_channels.insert(channel_id);
        self.write(sink, &bytes)
    }

    /// The schema's id, or 0 (none) where its record is lost: readers refuse a file that names what it does not hold.
    fn known_schema(&self, id: u16) -> u16 {
        if self.definitions.schemas.contains_key(&id) { id } else { 0 }
    }

    /// Writes an intact chunk as it is, with message indexes of what it holds.
    pub(crate) fn chunk(
        &mut self,
        sink: &mut dyn Sink,
        head: &ChunkHead,
        stored: &[u8],
        records: &[u8],
    ) -> io::Result<()> {
        self.flush(sink)?;
        let indexes = index(records);
        for channel_id in indexes.keys() {
            self.define(sink, *channel_id)?;
        }
        self.write_chunk(sink, &head.compression, stored, records, &indexes)
    }

    fn write_chunk(
        &mut self,
        sink: &mut dyn Sink,
        compression: &str,
        stored: &[u8],
        records: &[u8],
        indexes: &Indexes,
    ) -> io::Result<()> {
        let (start, end) = times_of(indexes);
        let offset = self.offset;
        let mut bytes = Vec::new();
        let head = record::ChunkHead {
            start,
            end,
            uncompressed_size: records.len() as u64,
            uncompressed_crc: crc32fast::hash(records),
            compression,
            stored_size: stored.len() as u64,
        };
        record::chunk_head(&mut bytes, &head);
        self.write(sink, &bytes)?;
        self.write(sink, stored)?;
        let chunk_length = self.offset - offset;
        self.has_chunk(offset, chunk_length, compression, stored.len() as u64, records.len() as u64, indexes);
        self.message_indexes(sink, indexes)
    }

    /// Notes that the file holds a chunk; its message indexes follow.
    pub(crate) fn has_chunk(
        &mut self,
        offset: u64,
        chunk_length: u64,
        compression: &str,
        stored: u64,
        uncompressed: u64,
        indexes: &Indexes,
    ) {
        let (start, end) = times_of(indexes);
        for (channel_id, entries) in indexes {
            *self.counts.entry(*channel_id).or_default() += entries.len() as u64;
        }
        if !indexes.is_empty() {
            let (first, last) = self.times.unwrap_or((start, end));
            self.times = Some((first.min(start), last.max(end)));
        }
        self.chunks.push(ChunkIndex {
            message_start_time: start,
            message_end_time: end,
            chunk_start_offset: offset,
            chunk_length,
            message_index_offsets: BTreeMap::new(),
            message_index_length: 0,
            compression: compression.to_owned(),
            compressed_size: stored,
            uncompressed_size: uncompressed,
        });
    }

    /// Notes that the file holds a message index of the last chunk.
    pub(crate) fn has_message_index(&mut self, channel_id: u16, offset: u64, length: u64) {
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.message_index_offsets.insert(channel_id, offset);
            chunk.message_index_length += length;
        }
    }

    /// Writes message indexes of the last chunk.
    pub(crate) fn message_indexes(&mut self, sink: &mut dyn Sink, indexes: &Indexes) -> io::Result<()> {
        for (channel_id, entries) in indexes {
            let mut bytes = Vec::new();
            record::message_index(&mut bytes, *channel_id, entries);
            let offset = self.offset;
            self.write(sink, &bytes)?;
            self.has_message_index(*channel_id, offset, bytes.len() as u64);
        }
        Ok(())
    }

    /// Adds a message without a chunk; `content` is its record's, under the id that the rebuilt file uses.
    pub(crate) fn message(&mut self, sink: &mut dyn Sink, channel_id: u16, content: &[u8]) -> io::Result<()> {
        let Ok(head) = parse::message(content) else { return Ok(()) };
        let data = content.get(record::MESSAGE_HEADER..).unwrap_or_default();
        let offset = self.pending.len() as u64;
        let bytes = record::message_head(channel_id, head.sequence, head.log_time, head.publish_time, data.len());
        self.pending.extend_from_slice(&bytes);
        self.pending.extend_from_slice(data);
        self.pending_indexes.entry(channel_id).or_default().push((head.log_time, offset));
        if self.pending.len() >= PENDING_BYTES {
            self.flush(sink)?;
        }
        Ok(())
    }

    /// Puts messages without a chunk into one.
    pub(crate) fn flush(&mut self, sink: &mut dyn Sink) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let (records, indexes) = (std::mem::take(&mut self.pending), std::mem::take(&mut self.pending_indexes));
        for channel_id in indexes.keys() {
            self.define(sink, *channel_id)?;
        }
        self.write_chunk(sink, "", &records, &records, &indexes)
    }

    /// Notes an attachment that the file holds or is about to; `index.offset` is its place there.
    pub(crate) fn has_attachment(&mut self, index: AttachmentIndex) {
        self.attachments.push(index);
    }

    /// Notes a metadata record that the file holds.
    pub(crate) fn has_metadata(&mut self, offset: u64, length: u64, name: String) {
        self.metadata.push(MetadataIndex { offset, length, name });
    }

    pub(crate) fn metadata(&mut self, sink: &mut dyn Sink, name: String, content: &[u8]) -> io::Result<()> {
        self.flush(sink)?;
        let mut bytes = Vec::with_capacity(RECORD_HEADER + content.len());
        record::record(&mut bytes, op::METADATA, |out| out.extend_from_slice(content));
        self.has_metadata(self.offset, bytes.len() as u64, name);
        self.write(sink, &bytes)
    }

    /// Writes data end, summary, footer and closing magic. Channels without messages are kept too.
    pub(crate) fn finish(&mut self, sink: &mut dyn Sink) -> io::Result<()> {
        self.flush(sink)?;
        let ids: Vec<u16> = self.definitions.channels.keys().copied().collect();
        for id in ids {
            self.define(sink, id)?;
        }
        let mut bytes = Vec::new();
        for (id, schema) in &self.definitions.schemas {
            if self.written_schemas.insert(*id) {
                record::schema(&mut bytes, *id, schema);
            }
        }
        self.write(sink, &bytes)?;
        bytes.clear();
        record::data_end(&mut bytes, self.crc.clone().finalize());
        self.write(sink, &bytes)?;
        let tail = self.summary();
        self.write(sink, &tail)
    }

    /// Summary, footer and closing magic of a file that ends with its data end record here.
    fn summary(&self) -> Vec<u8> {
        let start = self.offset;
        let mut out = Vec::new();
        let mut offsets = Vec::new();
        let mut group = |out: &mut Vec<u8>, opcode: u8, fill: &mut dyn FnMut(&mut Vec<u8>)| {
            let at = out.len();
            fill(out);
            if out.len() > at {
                record::summary_offset(&mut offsets, opcode, start + at as u64, (out.len() - at) as u64);
            }
        };
        group(&mut out, op::SCHEMA, &mut |out| {
            for (id, schema) in &self.definitions.schemas {
                record::schema(out, *id, schema);
            }
        });
        group(&mut out, op::CHANNEL, &mut |out| {
            for channel in self.definitions.channels.values() {
                record::channel(out, channel.id, self.known_schema(channel.schema_id), &channel.descriptor);
            }
        });
        group(&mut out, op::STATISTICS, &mut |out| record::statistics(out, &self.statistics()));
        group(&mut out, op::CHUNK_INDEX, &mut |out| {
            self.chunks.iter().for_each(|index| record::chunk_index(out, index));
        });
        group(&mut out, op::ATTACHMENT_INDEX, &mut |out| {
            self.attachments.iter().for_each(|index| record::attachment_index(out, index));
        });
        group(&mut out, op::METADATA_INDEX, &mut |out| {
            self.metadata.iter().for_each(|index| record::metadata_index(out, index));
        });
        let offsets_start = start + out.len() as u64;
        out.extend_from_slice(&offsets);
        let summary = out.clone();
        record::footer(&mut out, &summary, start, offsets_start);
        out.extend_from_slice(mcap::MAGIC);
        out
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let (start, end) = self.times.unwrap_or_default();
        Statistics {
            message_count: self.counts.values().sum(),
            schema_count: u16::try_from(self.definitions.schemas.len()).unwrap_or(u16::MAX),
            channel_count: self.definitions.channels.len() as u32,
            attachment_count: self.attachments.len() as u32,
            metadata_count: self.metadata.len() as u32,
            chunk_count: self.chunks.len() as u32,
            message_start_time: start,
            message_end_time: end,
            channel_message_counts: self.counts.clone(),
        }
    }
}

/// Message indexes of a chunk's records.
pub(crate) fn index(records: &[u8]) -> Indexes {
    let mut indexes = Indexes::new();
    let mut at = 0;
    while let Ok(Some(record)) = parse::record_in(records, at) {
        if record.opcode == op::MESSAGE
            && let Ok(message) = parse::message(record.content)
        {
            indexes.entry(message.channel_id).or_default().push((message.log_time, record.offset as u64));
        }
        at = record.end();
    }
    indexes
}

fn times_of(indexes: &Indexes) -> (u64, u64) {
    let times = || indexes.values().flatten().map(|(time, _)| *time);
    (times().min().unwrap_or(0), times().max().unwrap_or(0))
}
