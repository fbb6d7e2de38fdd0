//! Counts, times and gaps of channels over all parts, from statistics and message indexes.

use std::collections::BTreeMap;

use mcap::records::ChunkIndex;

use crate::{
    recording::{
        overview::{ChannelOverview, seconds},
        part_reader::PartReader,
    },
    time::Timestamp,
};

/// Message indexes beyond this are not read: 1 GiB of them are 60 million messages.
const INDEX_BYTES_MAX: u64 = 1 << 30;

/// What tells channels apart: topic, schema name, schema encoding, message encoding.
type Key = (String, String, String, String);

#[derive(Debug, Default)]
struct Track {
    messages: u64,
    /// Messages that message indexes have told of.
    indexed: u64,
    start: Option<u64>,
    /// Last time so far.
    end: Option<u64>,
    gap: u64,
    bytes: u64,
    /// Range of the parts that hold it, where message indexes tell nothing.
    around: Option<(u64, u64)>,
}

#[derive(Debug, Default)]
pub(super) struct Scan {
    tracks: BTreeMap<Key, Track>,
    index_bytes: u64,
    skipped: bool,
    broken: u64,
}

impl Scan {
    pub(super) fn take(&mut self, reader: &PartReader) {
        let summary = reader.summary();
        let keys: BTreeMap<u16, Key> = summary
            .channels()
            .map(|channel| {
                let c = &channel.descriptor;
                let schema = |f: fn(&crate::channel::SchemaDescriptor) -> &String| c.schema.as_ref().map(f).cloned();
                let key = (
                    c.topic.clone(),
                    schema(|s| &s.name).unwrap_or_default(),
                    schema(|s| &s.encoding).unwrap_or_default(),
                    c.message_encoding.clone(),
                );
                (channel.id, key)
            })
            .collect();
        for (id, key) in &keys {
            let track = self.tracks.entry(key.clone()).or_default();
            let count = summary.statistics.channel_message_counts.get(id).copied().unwrap_or(0);
            track.messages = track.messages.saturating_add(count);
            if let (Some((start, end)), true) = (summary.time_range(), count > 0) {
                let (a, b) = track.around.unwrap_or((start, end));
                track.around = Some((a.min(start), b.max(end)));
            }
        }
        for chunk in &summary.chunks {
            self.chunk(reader, chunk, &keys);
        }
    }

    fn chunk(&mut self, reader: &PartReader, chunk: &ChunkIndex, keys: &BTreeMap<u16, Key>) {
        self.index_bytes = self.index_bytes.saturating_add(chunk.message_index_length);
        if self.index_bytes > INDEX_BYTES_MAX {
            self.skipped |= !chunk.message_index_offsets.is_empty();
            return;
        }
        let mut offsets = Vec::new();
        for id in chunk.message_index_offsets.keys() {
            let Some(key) = keys.get(id) else { continue };
            let Ok(mut entries) = reader.message_index(chunk, *id) else {
                self.broken += 1;
                continue;
            };
            entries.sort_unstable();
            let track = self.tracks.entry(key.clone()).or_default();
            for (time, offset) in entries {
                track.indexed += 1;
                if let Some(end) = track.end {
                    track.gap = track.gap.max(time.saturating_sub(end));
                }
                track.start = Some(track.start.map_or(time, |start| start.min(time)));
                track.end = Some(track.end.map_or(time, |end| end.max(time)));
                offsets.push((offset, *id));
            }
        }
        // A message record ends where the next one begins.
        offsets.sort_unstable();
        let ends = offsets.iter().skip(1).map(|(offset, _)| *offset).chain([chunk.uncompressed_size]);
        for ((offset, id), end) in offsets.iter().zip(ends) {
            if let Some(track) = keys.get(id).and_then(|key| self.tracks.get_mut(key)) {
                track.bytes = track.bytes.saturating_add(end.saturating_sub(*offset));
            }
        }
    }

    pub(super) fn channels(&self) -> Vec<ChannelOverview> {
        self.tracks.iter().map(|(key, track)| track.overview(key)).collect()
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.skipped {
            warnings.push("gaps and sizes of channels are not told: there are too many message indexes".to_owned());
        }
        if self.broken > 0 {
            warnings.push(format!("{} message indexes are damaged", self.broken));
        }
        warnings
    }
}

impl Track {
    fn overview(&self, (topic, schema, schema_encoding, message_encoding): &Key) -> ChannelOverview {
        // Indexes that tell of some messages only tell neither gaps nor sizes.
        let whole = self.indexed == self.messages && self.messages > 0;
        let time = |nanos: Option<u64>| nanos.filter(|_| whole).map(Timestamp::from_mcap);
        let (start, end) = (time(self.start), time(self.end));
        let around = self.around.map(|(a, b)| (Timestamp::from_mcap(a), Timestamp::from_mcap(b)));
        let span = start.zip(end).or(around).map(|(start, end)| seconds(start, end));
        ChannelOverview {
            topic: topic.clone(),
            schema: schema.clone(),
            schema_encoding: schema_encoding.clone(),
            message_encoding: message_encoding.clone(),
            messages: self.messages,
            rate_hz: span.filter(|s| *s > 0.0 && self.messages > 1).map(|s| (self.messages - 1) as f64 / s),
            start,
            end,
            gap_seconds_max: (whole && self.messages > 1).then_some(self.gap as f64 / 1e9),
            bytes: whole.then_some(self.bytes),
        }
    }
}
