//! A chunk being filled: message records, their index, and who is in it. Knows no file.

use std::io::{self, Write};

use crate::{
    recording::record::{self, RECORD_HEADER},
    stream::Compression,
};

/// A message that a chunk holds, as the caller knows it; handed back when the chunk could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The caller's own number for the message's source.
    pub source: u32,
    /// Payload size, bytes.
    pub bytes: u32,
    /// The publisher's number, where there is one.
    pub sequence: Option<u64>,
}

/// The index entries of one channel: log time and offset in the uncompressed chunk.
pub(super) type ChannelIndex = (u16, Vec<(u64, u64)>);

#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) records: Vec<u8>,
    pub(super) held: Vec<Held>,
    /// First and last log time.
    pub(super) start: u64,
    pub(super) end: u64,
    /// Monotonic time of the first message.
    pub(super) opened_nanos: i64,
    indexes: Vec<ChannelIndex>,
    /// Position in `indexes` plus one, by channel id; 0 for channels that are not in this chunk.
    slots: Vec<u32>,
}

impl Chunk {
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn contains(&self, channel_id: u16) -> bool {
        self.slots.get(usize::from(channel_id)).is_some_and(|slot| *slot != 0)
    }

    pub(super) fn indexes(&self) -> impl Iterator<Item = &ChannelIndex> {
        self.indexes.iter().filter(|(_, entries)| !entries.is_empty())
    }

    /// Notes a message whose record begins at `offset`.
    pub(super) fn note(&mut self, channel_id: u16, log_time: u64, offset: u64, held: Held, now_nanos: i64) {
        if self.held.is_empty() {
            (self.start, self.end, self.opened_nanos) = (log_time, log_time, now_nanos);
        } else {
            self.start = self.start.min(log_time);
            self.end = self.end.max(log_time);
        }
        self.held.push(held);
        let channel = usize::from(channel_id);
        if self.slots.len() <= channel {
            self.slots.resize(channel + 1, 0);
        }
        if self.slots[channel] == 0 {
            self.indexes.push((channel_id, Vec::new()));
            self.slots[channel] = self.indexes.len() as u32;
        }
        self.indexes[self.slots[channel] as usize - 1].1.push((log_time, offset));
    }

    pub(super) fn push(
        &mut self,
        head: &[u8; RECORD_HEADER + record::MESSAGE_HEADER],
        payload: &[u8],
        (channel_id, log_time): (u16, u64),
        held: Held,
        now_nanos: i64,
    ) {
        let offset = self.records.len() as u64;
        self.records.extend_from_slice(head);
        self.records.extend_from_slice(payload);
        self.note(channel_id, log_time, offset, held, now_nanos);
    }

    /// Empties it and keeps its memory.
    pub(super) fn clear(&mut self) {
        self.records.clear();
        self.held.clear();
        for (channel, _) in &self.indexes {
            self.slots[usize::from(*channel)] = 0;
        }
        self.indexes.clear();
    }
}

/// Compresses chunks; keeps the encoder's memory between them.
pub(super) struct Compressor {
    zstd: Option<zstd::bulk::Compressor<'static>>,
    output: Vec<u8>,
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").field("output", &self.output.capacity()).finish_non_exhaustive()
    }
}

/// Level of zstd: the fastest regular one; a recorder's cores belong to the robot.
const ZSTD_LEVEL: i32 = 1;

impl Compressor {
    pub(super) fn new() -> Self {
        Self { zstd: None, output: Vec::new() }
    }

    /// The stored form of `records`, or `None` where storing them plainly is no larger.
    pub(super) fn compress(&mut self, compression: Compression, records: &[u8]) -> io::Result<Option<&[u8]>> {
        self.output.clear();
        match compression {
            Compression::None => return Ok(None),
            Compression::Lz4 => {
                let mut encoder = lz4::EncoderBuilder::new()
                    .level(0)
                    .block_mode(lz4::BlockMode::Linked)
                    // Readers on lz4_flex, Rerun among them, stop at frames with block checksums; the chunk has a CRC.
                    .block_checksum(lz4::liblz4::BlockChecksum::NoBlockChecksum)
                    .checksum(lz4::ContentChecksum::NoChecksum)
                    .build(&mut self.output)?;
                encoder.write_all(records)?;
                let (_, finished) = encoder.finish();
                finished?;
            }
            Compression::Zstd => {
                if self.zstd.is_none() {
                    self.zstd = Some(zstd::bulk::Compressor::new(ZSTD_LEVEL)?);
                }
                if let Some(zstd) = &mut self.zstd {
                    self.output.resize(zstd::zstd_safe::compress_bound(records.len()), 0);
                    let size = zstd.compress_to_buffer(records, &mut self.output[..])?;
                    self.output.truncate(size);
                }
            }
        }
        Ok((self.output.len() < records.len()).then_some(&self.output[..]))
    }
}
