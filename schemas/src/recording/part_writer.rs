//! Writes one part: an MCAP file that a crash at any instant leaves recoverable.
//!
//! Chunks are built in memory and appended whole, so that no byte is ever written twice and a torn file ends inside at
//! most one chunk. A failed append is cut off again and the messages it held are handed back by source and number.
//! Messages lie in one open chunk per [`Compression`], so that pictures are stored plainly beside compressed state.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, IoSlice},
    sync::Arc,
};

use mcap::records::op;

pub use super::{chunk::Held, record::Attachment};
use super::{
    chunk::{Chunk, Compressor},
    record::{self, ChunkHead},
    storage::PartFile,
};
use crate::{
    channel::{ChannelDescriptor, SchemaDescriptor},
    stream::Compression,
};

/// The `library` field of a part's header.
pub const LIBRARY: &str = concat!("sagwan ", env!("CARGO_PKG_VERSION"));

/// Number of a channel within a part.
pub type ChannelId = u16;

/// A message to write.
#[derive(Clone, Copy, Debug)]
pub struct NewMessage {
    /// Its channel.
    pub channel: ChannelId,
    /// The caller's own number for its source; handed back when the message is lost.
    pub source: u32,
    /// The publisher's number; MCAP keeps its lower 32 bits, 0 without one.
    pub sequence: Option<u64>,
    /// MCAP log time, ns.
    pub log_time: u64,
    /// MCAP publish time, ns.
    pub publish_time: u64,
}

/// Writing a part failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartError {
    /// The disk did not take a record; it was cut off again and the part goes on. `lost` were in it.
    #[error("the disk did not take {} bytes at offset {offset}", .bytes)]
    Append {
        /// Where the record would have begun.
        offset: u64,
        /// Size of the record.
        bytes: u64,
        /// The messages in it.
        lost: Vec<Held>,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A failed append could not be cut off again: this part takes nothing any more. `lost` were not written.
    #[error("the part is torn at offset {offset} and takes nothing any more; recover it")]
    Torn {
        /// Last offset that is known to be good.
        offset: u64,
        /// The messages that were not written.
        lost: Vec<Held>,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Everything is written, but the disk did not confirm it: nothing is known about what came after the last sync.
    #[error("the disk did not confirm what was written")]
    Sync {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// MCAP numbers schemas and channels with 16 bits.
    #[error("a part holds at most 65535 {kind}")]
    TooMany {
        /// "schemas" or "channels".
        kind: &'static str,
    },
}

impl PartError {
    /// The messages that are lost with this error.
    pub fn take_lost(&mut self) -> Vec<Held> {
        match self {
            Self::Append { lost, .. } | Self::Torn { lost, .. } => std::mem::take(lost),
            Self::Sync { .. } | Self::TooMany { .. } => Vec::new(),
        }
    }

    /// Whether the disk is full or its quota is used up.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Append { source, .. } | Self::Torn { source, .. } | Self::Sync { source } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            Self::TooMany { .. } => false,
        }
    }
}

/// Sizes of a part's chunks.
#[derive(Clone, Copy, Debug)]
pub struct ChunkPolicy {
    /// A chunk is closed when its records reach this many bytes.
    pub size: usize,
}

impl Default for ChunkPolicy {
    fn default() -> Self {
        Self { size: 1 << 20 }
    }
}

/// A part after its footer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinishedPart {
    /// Size of the file.
    pub bytes: u64,
    /// Messages in it.
    pub messages: u64,
    /// First and last log time, where there are messages.
    pub message_times: Option<(u64, u64)>,
}

/// Writes one part.
#[derive(Debug)]
pub struct PartWriter {
    file: Arc<dyn PartFile>,
    policy: ChunkPolicy,
    /// Bytes of whole records written.
    offset: u64,
    /// Of everything up to `offset`.
    data_crc: crc32fast::Hasher,
    torn: bool,
    has_footer: bool,
    schemas: BTreeMap<u16, SchemaDescriptor>,
    channels: BTreeMap<u16, (u16, ChannelDescriptor)>,
    schema_ids: HashMap<SchemaDescriptor, u16>,
    /// One open chunk per compression.
    lanes: [Chunk; 3],
    lane_of_channel: Vec<Compression>,
    compressor: Compressor,
    chunks: Vec<mcap::records::ChunkIndex>,
    attachments: Vec<mcap::records::AttachmentIndex>,
    metadata: Vec<mcap::records::MetadataIndex>,
    message_counts: BTreeMap<u16, u64>,
    message_times: Option<(u64, u64)>,
    scratch: Vec<u8>,
}

const LANES: [Compression; 3] = [Compression::None, Compression::Lz4, Compression::Zstd];

impl PartWriter {
    /// Begins a part on an empty file.
    ///
    /// # Errors
    /// [`PartError::Append`] or [`PartError::Torn`] when the disk does not take the header.
    pub fn create(file: Arc<dyn PartFile>, mcap_profile: &str, policy: ChunkPolicy) -> Result<Self, PartError> {
        let mut writer = Self {
            file,
            policy,
            offset: 0,
            data_crc: crc32fast::Hasher::new(),
            torn: false,
            has_footer: false,
            schemas: BTreeMap::new(),
            channels: BTreeMap::new(),
            schema_ids: HashMap::new(),
            lanes: Default::default(),
            lane_of_channel: Vec::new(),
            compressor: Compressor::new(),
            chunks: Vec::new(),
            attachments: Vec::new(),
            metadata: Vec::new(),
            message_counts: BTreeMap::new(),
            message_times: None,
            scratch: Vec::new(),
        };
        let mut bytes = mcap::MAGIC.to_vec();
        record::header(&mut bytes, mcap_profile, LIBRARY);
        writer.append(&[&bytes], Vec::new())?;
        Ok(writer)
    }

    /// Bytes of whole records in the file.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes in open chunks, not yet in the file.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.lanes.iter().map(|lane| lane.records.len()).sum()
    }

    /// The file, for syncing and hashing on another thread.
    #[must_use]
    pub fn file(&self) -> &Arc<dyn PartFile> {
        &self.file
    }

    /// The channels so far, by id.
    pub fn channels(&self) -> impl Iterator<Item = (ChannelId, &ChannelDescriptor)> {
        self.channels.iter().map(|(id, (_, channel))| (*id, channel))
    }

    /// Registers a channel and its schema, and writes their records before any message of it.
    ///
    /// # Errors
    /// [`PartError::TooMany`], or the disk's; then the channel is not registered.
    pub fn add_channel(
        &mut self,
        channel: ChannelDescriptor,
        compression: Compression,
    ) -> Result<ChannelId, PartError> {
        let mut bytes = Vec::new();
        let schema_id = match &channel.schema {
            None => 0,
            Some(schema) => match self.schema_ids.get(schema) {
                Some(id) => *id,
                None => {
                    let id = self.schemas.keys().last().map_or(Some(1), |last| last.checked_add(1));
                    let id = id.ok_or(PartError::TooMany { kind: "schemas" })?;
                    record::schema(&mut bytes, id, schema);
                    id
                }
            },
        };
        let id = u16::try_from(self.lane_of_channel.len())
            .map_err(|_more_than_u16| PartError::TooMany { kind: "channels" })?;
        record::channel(&mut bytes, id, schema_id, &channel);
        self.append(&[&bytes], Vec::new())?;
        if let Some(schema) = &channel.schema
            && !self.schema_ids.contains_key(schema)
        {
            self.schema_ids.insert(schema.clone(), schema_id);
            self.schemas.insert(schema_id, schema.clone());
        }
        self.channels.insert(id, (schema_id, channel));
        self.lane_of_channel.push(compression);
        Ok(id)
    }

    /// Takes a message into its chunk; the disk sees it when the chunk is full, aged or the part finished.
    ///
    /// A payload of at least half a chunk gets a chunk of its own and is not copied.
    ///
    /// # Errors
    /// The disk's, with every message that was lost; the message given may be one of them.
    ///
    /// # Panics
    /// Never for a channel that [`Self::add_channel`] returned.
    pub fn write(&mut self, message: &NewMessage, payload: &[u8], now_nanos: i64) -> Result<(), PartError> {
        let compression = self.lane_of_channel[usize::from(message.channel)];
        let lane = compression as usize;
        let head = record::message_head(
            message.channel,
            message.sequence.unwrap_or(0) as u32,
            message.log_time,
            message.publish_time,
            payload.len(),
        );
        let held = Held {
            source: message.source,
            bytes: u32::try_from(payload.len()).unwrap_or(u32::MAX),
            sequence: message.sequence,
        };
        if compression == Compression::None && payload.len() >= self.policy.size / 2 {
            // Earlier messages of this channel must not come after it in the file.
            let earlier = match self.lanes[lane].contains(message.channel) {
                true => self.close_lane(lane),
                false => Ok(()),
            };
            let mut alone = Chunk::default();
            alone.note(message.channel, message.log_time, 0, held, now_nanos);
            let written = self.append_chunk(&alone, Compression::None, &[&head, payload], None);
            return merge_losses(earlier, written);
        }
        self.lanes[lane].push(&head, payload, (message.channel, message.log_time), held, now_nanos);
        if self.lanes[lane].records.len() >= self.policy.size { self.close_lane(lane) } else { Ok(()) }
    }

    /// Writes out every chunk whose first message came at or before `opened_nanos` (monotonic).
    ///
    /// # Errors
    /// The disk's, with every message that was lost.
    pub fn close_chunks_opened_by(&mut self, opened_nanos: i64) -> Result<(), PartError> {
        let mut result = Ok(());
        for lane in 0..self.lanes.len() {
            if !self.lanes[lane].is_empty() && self.lanes[lane].opened_nanos <= opened_nanos {
                result = merge_losses(result, self.close_lane(lane));
            }
        }
        result
    }

    /// Writes an attachment.
    ///
    /// # Errors
    /// The disk's.
    pub fn attach(&mut self, attachment: &Attachment) -> Result<(), PartError> {
        let mut bytes = Vec::new();
        record::attachment(&mut bytes, attachment);
        let offset = self.offset;
        self.append(&[&bytes], Vec::new())?;
        self.attachments.push(mcap::records::AttachmentIndex {
            offset,
            length: bytes.len() as u64,
            log_time: attachment.log_time,
            create_time: attachment.create_time,
            data_size: attachment.data.len() as u64,
            name: attachment.name.clone(),
            media_type: attachment.media_type.clone(),
        });
        Ok(())
    }

    /// Writes a metadata record.
    ///
    /// # Errors
    /// The disk's.
    pub fn metadata(&mut self, name: &str, entries: &BTreeMap<String, String>) -> Result<(), PartError> {
        let mut bytes = Vec::new();
        record::metadata(&mut bytes, name, entries);
        let offset = self.offset;
        self.append(&[&bytes], Vec::new())?;
        self.metadata.push(mcap::records::MetadataIndex { offset, length: bytes.len() as u64, name: name.to_owned() });
        Ok(())
    }

    /// Writes the open chunks, the summary and the footer, and syncs.
    ///
    /// # Errors
    /// The disk's; may be tried again when room was made.
    pub fn finish(&mut self) -> Result<FinishedPart, PartError> {
        if !self.has_footer {
            self.end()?;
            self.has_footer = true;
        }
        self.file.sync_data().map_err(|source| PartError::Sync { source })?;
        Ok(FinishedPart {
            bytes: self.offset,
            messages: self.message_counts.values().sum(),
            message_times: self.message_times,
        })
    }

    fn end(&mut self) -> Result<(), PartError> {
        self.close_chunks_opened_by(i64::MAX)?;
        let mut bytes = Vec::new();
        let crc = self.data_crc.clone().finalize();
        record::data_end(&mut bytes, crc);
        let summary_start = self.offset + bytes.len() as u64;
        let summary = self.summary(summary_start);
        let summary_offset_start = summary_start + summary.offset_section as u64;
        bytes.extend_from_slice(&summary.bytes);
        record::footer(&mut bytes, &summary.bytes, summary_start, summary_offset_start);
        bytes.extend_from_slice(mcap::MAGIC);
        self.append(&[&bytes], Vec::new())
    }

    fn close_lane(&mut self, lane: usize) -> Result<(), PartError> {
        let mut chunk = std::mem::take(&mut self.lanes[lane]);
        let result = self.append_built(&chunk, LANES[lane]);
        chunk.clear();
        self.lanes[lane] = chunk;
        result
    }

    fn append_built(&mut self, chunk: &Chunk, compression: Compression) -> Result<(), PartError> {
        let mut compressor = std::mem::replace(&mut self.compressor, Compressor::new());
        // A chunk that cannot be compressed is stored as it is: larger, not lost.
        let stored = compressor.compress(compression, &chunk.records).unwrap_or(None);
        let result = self.append_chunk(chunk, compression, &[&chunk.records], stored);
        self.compressor = compressor;
        result
    }

    fn append_chunk(
        &mut self,
        chunk: &Chunk,
        compression: Compression,
        records: &[&[u8]],
        stored: Option<&[u8]>,
    ) -> Result<(), PartError> {
        let mut records_crc = crc32fast::Hasher::new();
        records.iter().for_each(|bytes| records_crc.update(bytes));
        let uncompressed_size = records.iter().map(|bytes| bytes.len() as u64).sum();
        let compression = if stored.is_some() { compression } else { Compression::None };
        let head = ChunkHead {
            start: chunk.start,
            end: chunk.end,
            uncompressed_size,
            uncompressed_crc: records_crc.clone().finalize(),
            compression: compression.mcap_name(),
            stored_size: stored.map_or(uncompressed_size, |bytes| bytes.len() as u64),
        };
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        record::chunk_head(&mut scratch, &head);
        let head_len = scratch.len();
        let chunk_length = head_len as u64 + head.stored_size;
        let mut message_index_offsets = BTreeMap::new();
        for (channel_id, entries) in chunk.indexes() {
            let offset = self.offset + chunk_length + (scratch.len() - head_len) as u64;
            message_index_offsets.insert(*channel_id, offset);
            record::message_index(&mut scratch, *channel_id, entries);
        }
        let index = mcap::records::ChunkIndex {
            message_start_time: chunk.start,
            message_end_time: chunk.end,
            chunk_start_offset: self.offset,
            chunk_length,
            message_index_offsets,
            message_index_length: (scratch.len() - head_len) as u64,
            compression: compression.mcap_name().to_owned(),
            compressed_size: head.stored_size,
            uncompressed_size,
        };
        let mut pieces: Vec<&[u8]> = vec![&scratch[..head_len]];
        match stored {
            Some(bytes) => pieces.push(bytes),
            None => pieces.extend_from_slice(records),
        }
        pieces.push(&scratch[head_len..]);
        let result = self.append_hashed(&pieces, Vec::new(), |crc| {
            crc.update(&scratch[..head_len]);
            match stored {
                Some(bytes) => crc.update(bytes),
                // Hashed once already.
                None => crc.combine(&records_crc),
            }
            crc.update(&scratch[head_len..]);
        });
        self.scratch = scratch;
        if let Err(mut error) = result {
            if let PartError::Append { lost, .. } | PartError::Torn { lost, .. } = &mut error {
                lost.extend_from_slice(&chunk.held);
            }
            return Err(error);
        }
        for (channel_id, entries) in chunk.indexes() {
            *self.message_counts.entry(*channel_id).or_default() += entries.len() as u64;
        }
        let (start, end) = self.message_times.unwrap_or((chunk.start, chunk.end));
        self.message_times = Some((start.min(chunk.start), end.max(chunk.end)));
        self.chunks.push(index);
        Ok(())
    }

    /// Appends whole records, or nothing.
    fn append(&mut self, pieces: &[&[u8]], lost: Vec<Held>) -> Result<(), PartError> {
        self.append_hashed(pieces, lost, |crc| pieces.iter().for_each(|piece| crc.update(piece)))
    }

    /// As [`Self::append`]; `hash` takes the same bytes into the checksum.
    fn append_hashed(
        &mut self,
        pieces: &[&[u8]],
        lost: Vec<Held>,
        hash: impl FnOnce(&mut crc32fast::Hasher),
    ) -> Result<(), PartError> {
        let torn = || io::Error::other("an earlier append failed and could not be cut off");
        if self.torn {
            return Err(PartError::Torn { offset: self.offset, lost, source: torn() });
        }
        let bytes: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        if let Err(source) = append_all(&*self.file, pieces) {
            return Err(match self.file.truncate(self.offset) {
                Ok(()) => PartError::Append { offset: self.offset, bytes, lost, source },
                Err(_also_failed) => {
                    self.torn = true;
                    PartError::Torn { offset: self.offset, lost, source }
                }
            });
        }
        hash(&mut self.data_crc);
        self.offset += bytes;
        Ok(())
    }

    fn summary(&self, start: u64) -> Summary {
        let mut bytes = Vec::new();
        let mut groups = Vec::new();
        let mut group = |bytes: &mut Vec<u8>, opcode: u8, fill: &dyn Fn(&mut Vec<u8>)| {
            let from = bytes.len();
            fill(bytes);
            if bytes.len() > from {
                groups.push((opcode, start + from as u64, (bytes.len() - from) as u64));
            }
        };
        group(&mut bytes, op::SCHEMA, &|out| {
            self.schemas.iter().for_each(|(id, schema)| record::schema(out, *id, schema));
        });
        group(&mut bytes, op::CHANNEL, &|out| {
            for (id, (schema_id, channel)) in &self.channels {
                record::channel(out, *id, *schema_id, channel);
            }
        });
        group(&mut bytes, op::STATISTICS, &|out| record::statistics(out, &self.statistics()));
        group(&mut bytes, op::CHUNK_INDEX, &|out| {
            self.chunks.iter().for_each(|index| record::chunk_index(out, index));
        });
        group(&mut bytes, op::ATTACHMENT_INDEX, &|out| {
            self.attachments.iter().for_each(|index| record::attachment_index(out, index));
        });
        group(&mut bytes, op::METADATA_INDEX, &|out| {
            self.metadata.iter().for_each(|index| record::metadata_index(out, index));
        });
        let offset_section = bytes.len();
        for (opcode, group_start, length) in groups {
            record::summary_offset(&mut bytes, opcode, group_start, length);
        }
        Summary { bytes, offset_section }
    }

    fn statistics(&self) -> mcap::records::Statistics {
        let (message_start_time, message_end_time) = self.message_times.unwrap_or_default();
        mcap::records::Statistics {
            message_count: self.message_counts.values().sum(),
            schema_count: self.schemas.len() as u16,
            channel_count: self.channels.len() as u32,
            attachment_count: self.attachments.len() as u32,
            metadata_count: self.metadata.len() as u32,
            chunk_count: self.chunks.len() as u32,
            message_start_time,
            message_end_time,
            channel_message_counts: self.message_counts.clone(),
        }
    }
}

struct Summary {
    bytes: Vec<u8>,
    /// Where the summary offset section begins in `bytes`.
    offset_section: usize,
}

fn append_all(file: &dyn PartFile, pieces: &[&[u8]]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut rest = &mut slices[..];
    // Skips empty pieces, so that a return of 0 means that the disk takes nothing.
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match file.append(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => IoSlice::advance_slices(&mut rest, n),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Both results as one, with the losses of both.
fn merge_losses(first: Result<(), PartError>, second: Result<(), PartError>) -> Result<(), PartError> {
    match (first, second) {
        (Err(mut first), Err(mut second)) => {
            let more = second.take_lost();
            if let PartError::Append { lost, .. } | PartError::Torn { lost, .. } = &mut first {
                lost.extend(more);
            }
            // A torn part stays torn, whichever came first.
            match (first, second) {
                (PartError::Append { lost, .. }, PartError::Torn { offset, source, .. }) => {
                    Err(PartError::Torn { offset, lost, source })
                }
                (first, _) => Err(first),
            }
        }
        (first, second) => first.and(second),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::iter_over_hash_type, reason = "tests")]
mod tests {
    use std::{path::Path, sync::Mutex};

    use super::*;
    use crate::recording::storage::{FileSystem, Storage};

    fn channel(topic: &str) -> ChannelDescriptor {
        ChannelDescriptor {
            topic: topic.to_owned(),
            message_encoding: "protobuf".to_owned(),
            schema: Some(SchemaDescriptor {
                name: "test.Thing".to_owned(),
                encoding: "protobuf".to_owned(),
                data: bytes::Bytes::from_static(b"descriptor"),
            }),
            metadata: BTreeMap::from([("key".to_owned(), "value".to_owned())]),
        }
    }

    fn message(channel: u16, sequence: u64) -> NewMessage {
        NewMessage {
            channel,
            source: u32::from(channel),
            sequence: Some(sequence),
            log_time: 1_000 + sequence,
            publish_time: 900 + sequence,
        }
    }

    fn written(fill: impl FnOnce(&mut PartWriter)) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("part.mcap");
        let file = FileSystem.create(&path).unwrap();
        let mut part = PartWriter::create(file, "", ChunkPolicy { size: 4096 }).unwrap();
        fill(&mut part);
        let finished = part.finish().unwrap();
        let bytes = std::fs::read(Path::new(&path)).unwrap();
        assert_eq!(finished.bytes, bytes.len() as u64);
        bytes
    }

    #[test]
    fn the_mcap_crate_reads_every_message_with_all_checksums() {
        let bytes = written(|part| {
            part.metadata("sagwan.recording", &BTreeMap::from([("a".to_owned(), "b".to_owned())])).unwrap();
            part.attach(&Attachment {
                log_time: 5,
                create_time: 4,
                name: "calibration.yaml".to_owned(),
                media_type: "text/yaml".to_owned(),
                data: b"k: 1".to_vec(),
            })
            .unwrap();
            let ids: Vec<_> = [Compression::None, Compression::Lz4, Compression::Zstd]
                .into_iter()
                .map(|compression| part.add_channel(channel(compression.mcap_name()), compression).unwrap())
                .collect();
            for sequence in 0..300 {
                for id in &ids {
                    let size = if sequence % 50 == 7 { 5_000 } else { 40 };
                    part.write(&message(*id, sequence), &vec![sequence as u8; size], 0).unwrap();
                }
            }
        });
        let options = mcap::sans_io::LinearReaderOptions::default()
            .with_validate_chunk_crcs(true)
            .with_validate_data_section_crc(true)
            .with_validate_summary_section_crc(true);
        let mut reader = mcap::sans_io::LinearReader::new_with_options(options);
        let mut rest = &bytes[..];
        while let Some(event) = reader.next_event() {
            if let mcap::sans_io::LinearReadEvent::ReadRequest(n) = event.unwrap() {
                let n = n.min(rest.len());
                reader.insert(n).copy_from_slice(&rest[..n]);
                reader.notify_read(n);
                rest = &rest[n..];
            }
        }
        let summary = mcap::Summary::read(&bytes).unwrap().unwrap();
        assert_eq!(summary.stats.as_ref().unwrap().message_count, 900);
        assert_eq!(summary.schemas.len(), 1);
        assert_eq!((summary.attachment_indexes.len(), summary.metadata_indexes.len()), (1, 1));
        let mut next = [0; 3];
        for message in mcap::MessageStream::new(&bytes).unwrap() {
            let message = message.unwrap();
            let expected = &mut next[usize::from(message.channel.id)];
            assert_eq!(message.sequence, *expected, "{}", message.channel.topic);
            assert_eq!(
                (message.log_time, message.publish_time),
                (1_000 + u64::from(*expected), 900 + u64::from(*expected))
            );
            assert!(message.data.iter().all(|byte| *byte == *expected as u8));
            *expected += 1;
        }
        assert_eq!(next, [300; 3]);
        let compressions: std::collections::BTreeSet<_> =
            summary.chunk_indexes.iter().map(|index| index.compression.as_str()).collect();
        assert_eq!(compressions, ["", "lz4", "zstd"].into());
    }

    #[test]
    fn an_indexed_reader_finds_messages_by_their_index() {
        let bytes = written(|part| {
            let id = part.add_channel(channel("/a"), Compression::Zstd).unwrap();
            (0..500).for_each(|n| part.write(&message(id, n), &[7; 64], 0).unwrap());
        });
        let summary = mcap::Summary::read(&bytes).unwrap().unwrap();
        let mut found = 0;
        for chunk in &summary.chunk_indexes {
            for (channel, entries) in summary.read_message_indexes(&bytes, chunk).unwrap() {
                assert_eq!(channel.topic, "/a");
                for entry in &entries {
                    let message = summary.seek_message(&bytes, chunk, entry).unwrap();
                    assert_eq!(message.log_time, entry.log_time);
                    found += 1;
                }
            }
        }
        assert_eq!(found, 500);
    }

    /// Takes `room` bytes, then fails after a partial write, until told otherwise.
    #[derive(Debug)]
    struct SmallDisk {
        content: Mutex<Vec<u8>>,
        room: Mutex<usize>,
        cuts: bool,
    }

    impl PartFile for SmallDisk {
        fn append(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
            let mut content = self.content.lock().unwrap();
            let room = *self.room.lock().unwrap() - content.len();
            let piece: &[u8] = &bytes[0];
            if room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let taken = piece.len().min(room);
            content.extend_from_slice(&piece[..taken]);
            Ok(taken)
        }
        fn sync_data(&self) -> io::Result<()> {
            Ok(())
        }
        fn truncate(&self, len: u64) -> io::Result<()> {
            if !self.cuts {
                return Err(io::ErrorKind::ReadOnlyFilesystem.into());
            }
            self.content.lock().unwrap().truncate(len as usize);
            Ok(())
        }
        fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
            Ok(0)
        }
        fn len(&self) -> io::Result<u64> {
            Ok(self.content.lock().unwrap().len() as u64)
        }
    }

    #[test]
    fn a_full_disk_costs_exactly_the_messages_that_are_handed_back() {
        let disk = Arc::new(SmallDisk { content: Mutex::default(), room: Mutex::new(10_000), cuts: true });
        let mut part = PartWriter::create(disk.clone(), "", ChunkPolicy { size: 1_000 }).unwrap();
        let id = part.add_channel(channel("/a"), Compression::None).unwrap();
        let mut lost = Vec::new();
        for sequence in 0..400 {
            if sequence == 200 {
                *disk.room.lock().unwrap() = usize::MAX;
            }
            if let Err(mut error) = part.write(&message(id, sequence), &[1; 50], 0) {
                assert!(error.is_disk_full(), "{error}");
                lost.extend(error.take_lost().iter().map(|held| held.sequence.unwrap()));
            }
        }
        part.finish().unwrap();
        let content = disk.content.lock().unwrap();
        let kept: Vec<_> =
            mcap::MessageStream::new(&content).unwrap().map(|message| u64::from(message.unwrap().sequence)).collect();
        assert!(!lost.is_empty() && !kept.is_empty());
        let mut all: Vec<_> = kept.into_iter().chain(lost).collect();
        all.sort_unstable();
        assert_eq!(all, (0..400).collect::<Vec<_>>());
    }

    #[test]
    fn a_part_that_cannot_be_cut_takes_nothing_any_more() {
        let disk = Arc::new(SmallDisk { content: Mutex::default(), room: Mutex::new(3_000), cuts: false });
        let mut part = PartWriter::create(disk.clone(), "", ChunkPolicy { size: 1_000 }).unwrap();
        let id = part.add_channel(channel("/a"), Compression::None).unwrap();
        let failures = (0..100).filter(|n| part.write(&message(id, *n), &[1; 50], 0).is_err()).count();
        *disk.room.lock().unwrap() = usize::MAX;
        assert!(failures > 0);
        assert!(matches!(part.finish(), Err(PartError::Torn { .. })));
    }
}
