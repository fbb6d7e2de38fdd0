//! Messages of a part, one after the other. Chunks (and stretches of messages outside chunks) are blocks; blocks whose
//! times overlap are merged. What does not fit the cache is dropped and read again when its turn comes.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap},
    ops::Range,
    sync::Arc,
};

use bytes::Bytes;
use mcap::records::op;

use crate::{
    recording::part_reader::{Channel, Definitions, ParseError, PartReader, ReadError, parse, summary::chunk_records},
    time::Timestamp,
};

/// A message with its channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The channel; the same `Arc` for all its messages of one reading.
    pub channel: Arc<Channel>,
    /// The publisher's number, modulo 2³², or the recorder's count.
    pub sequence: u32,
    /// When the recorder received it.
    pub log_time: Timestamp,
    /// When the publisher stamped it.
    pub publish_time: Timestamp,
    /// Payload: a slice of its chunk, which it keeps in memory.
    pub data: Bytes,
}

/// Which messages to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only these topics; all when absent.
    pub topics: Option<BTreeSet<String>>,
    /// Only log times in this range `[start, end)`; all when absent.
    pub log_times: Option<Range<Timestamp>>,
}

impl Filter {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Only these topics.
    #[must_use]
    pub fn topics<T: Into<String>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.topics = Some(topics.into_iter().map(Into::into).collect());
        self
    }

    /// Only log times in `[start, end)`.
    #[must_use]
    pub fn log_times(mut self, range: Range<Timestamp>) -> Self {
        self.log_times = Some(range);
        self
    }

    fn wants_topic(&self, topic: &str) -> bool {
        self.topics.as_ref().is_none_or(|topics| topics.contains(topic))
    }

    fn wants_time(&self, log_time: u64) -> bool {
        self.log_times.as_ref().is_none_or(|range| range.contains(&Timestamp::from_mcap(log_time)))
    }

    fn wants_times(&self, start: u64, end: u64) -> bool {
        let (start, end) = (Timestamp::from_mcap(start), Timestamp::from_mcap(end));
        self.log_times.as_ref().is_none_or(|range| start < range.end && end >= range.start)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    LogTime,
    File,
}

/// Where a block's records are.
#[derive(Clone, Copy, Debug)]
enum Place {
    Chunk(usize),
    Run(usize),
}

#[derive(Clone, Copy, Debug)]
struct Block {
    place: Place,
    /// Where the file has it.
    offset: u64,
    /// Messages up to here have been given out: log time and offset in the block.
    done: Option<(u64, usize)>,
    /// Loaded before: its faults have been told.
    seen: bool,
}

/// A block's records in memory, and its messages in the order in which they are given out.
#[derive(Debug)]
struct Loaded {
    records: Bytes,
    entries: Vec<(u64, usize)>,
    next: usize,
}

/// Messages of a part; see [`PartReader::messages`].
///
/// A block that cannot be read gives one error; the next call goes on with the rest.
#[derive(Debug)]
pub struct Messages {
    reader: PartReader,
    filter: Filter,
    order: Order,
    definitions: Definitions,
    blocks: Vec<Block>,
    loaded: HashMap<usize, Loaded>,
    loaded_bytes: u64,
    /// Least log time a block may still give, or its rank in the file; and the block.
    queue: BinaryHeap<Reverse<(u64, usize)>>,
    failed: Vec<ReadError>,
}

impl Messages {
    pub(super) fn new(reader: &PartReader, filter: Filter, order: Order) -> Self {
        let summary = reader.summary();
        let mut all: Vec<(Block, u64)> = Vec::new();
        for (i, chunk) in summary.chunks.iter().enumerate() {
            let ids = chunk.message_index_offsets.keys();
            if chunk.uncompressed_size > 0
                && filter.wants_times(chunk.message_start_time, chunk.message_end_time)
                && wants_any(&filter, &summary.definitions, ids)
            {
                let block = Block { place: Place::Chunk(i), offset: chunk.chunk_start_offset, done: None, seen: false };
                all.push((block, chunk.message_start_time));
            }
        }
        for (i, run) in summary.runs.iter().enumerate() {
            if filter.wants_times(run.start_time, run.end_time)
                && wants_any(&filter, &summary.definitions, run.channels.iter())
            {
                all.push((Block { place: Place::Run(i), offset: run.offset, done: None, seen: false }, run.start_time));
            }
        }
        all.sort_by_key(|(block, _)| block.offset);
        let rank = |(i, (_, start)): (usize, &(Block, u64))| match order {
            Order::LogTime => Reverse((*start, i)),
            Order::File => Reverse((i as u64, i)),
        };
        let queue = all.iter().enumerate().map(rank).collect();
        Self {
            definitions: summary.definitions.clone(),
            reader: reader.clone(),
            filter,
            order,
            blocks: all.into_iter().map(|(block, _)| block).collect(),
            loaded: HashMap::new(),
            loaded_bytes: 0,
            queue,
            failed: Vec::new(),
        }
    }

    fn load(&mut self, block: usize) -> Result<Loaded, ReadError> {
        let Block { place, offset, done, seen } = self.blocks[block];
        self.blocks[block].seen = true;
        let records = self.records(place)?;
        let mut entries = Vec::new();
        let mut unknown = BTreeSet::new();
        if let Err(source) = self.wanted(&records, &mut entries, &mut unknown)
            && !seen
        {
            self.failed.push(ReadError::Parse { offset, source });
        }
        if !seen {
            self.failed.extend(unknown.into_iter().map(|channel_id| ReadError::UnknownChannel { offset, channel_id }));
        }
        if self.order == Order::LogTime {
            entries.sort_unstable();
        }
        let next = done.map_or(0, |done| entries.partition_point(|entry| *entry <= done));
        Ok(Loaded { records, entries, next })
    }

    /// The wanted messages of a block, up to the first record that does not parse, and channels that nothing describes.
    fn wanted(
        &mut self,
        records: &[u8],
        entries: &mut Vec<(u64, usize)>,
        unknown: &mut BTreeSet<u16>,
    ) -> Result<(), ParseError> {
        let mut at = 0;
        while let Some(record) = parse::record_in(records, at)? {
            if record.opcode == op::MESSAGE {
                let head = parse::message(record.content)?;
                match self.definitions.channels.get(&head.channel_id) {
                    None => drop(unknown.insert(head.channel_id)),
                    Some(channel) => {
                        if self.filter.wants_topic(&channel.descriptor.topic) && self.filter.wants_time(head.log_time) {
                            entries.push((head.log_time, record.offset));
                        }
                    }
                }
            } else {
                self.definitions.learn(record.opcode, record.content)?;
            }
            at = record.end();
        }
        Ok(())
    }

    fn records(&self, place: Place) -> Result<Bytes, ReadError> {
        let summary = &self.reader.summary;
        match place {
            Place::Chunk(i) => chunk_records(&self.reader.source, &self.reader.options, &summary.chunks[i]),
            Place::Run(i) => {
                let run = &summary.runs[i];
                let (bytes, limit) = (run.end - run.offset, self.reader.options.record_bytes_max);
                if bytes > limit {
                    return Err(ReadError::TooLarge { offset: run.offset, bytes, limit });
                }
                let records = self.reader.source.read(run.offset, bytes);
                Ok(records.map_err(|source| ReadError::Io { offset: run.offset, source })?.into())
            }
        }
    }

    /// Takes a block into memory, and others out of it until the cache holds: those that are needed last.
    fn keep(&mut self, block: usize, loaded: Loaded) {
        self.loaded_bytes += loaded.records.len() as u64;
        self.loaded.insert(block, loaded);
        while self.loaded_bytes > self.reader.options.cache_bytes_max && self.loaded.len() > 1 {
            let others = self.loaded.iter().filter(|(other, _)| **other != block);
            let due = |loaded: &Loaded| loaded.entries.get(loaded.next).map_or(u64::MAX, |entry| entry.0);
            let Some(last) = others.max_by_key(|(other, loaded)| (due(loaded), **other)).map(|(other, _)| *other)
            else {
                return;
            };
            self.drop_block(last);
        }
    }

    fn drop_block(&mut self, block: usize) {
        if let Some(loaded) = self.loaded.remove(&block) {
            self.loaded_bytes -= loaded.records.len() as u64;
        }
    }

    /// The rank under which a block waits for its next message.
    fn requeue(&mut self, block: usize) {
        let Some(loaded) = self.loaded.get(&block) else { return };
        match loaded.entries.get(loaded.next) {
            None => self.drop_block(block),
            Some((time, _)) => {
                let rank = if self.order == Order::LogTime { *time } else { block as u64 };
                self.queue.push(Reverse((rank, block)));
            }
        }
    }

    fn message(&mut self, block: usize) -> Option<Message> {
        let loaded = self.loaded.get_mut(&block)?;
        let entry = *loaded.entries.get(loaded.next)?;
        loaded.next += 1;
        self.blocks[block].done = Some(entry);
        let record = parse::record_in(&loaded.records, entry.1).ok()??;
        let head = parse::message(record.content).ok()?;
        let data_at = record.content_at() + crate::recording::record::MESSAGE_HEADER;
        Some(Message {
            channel: self.definitions.channels.get(&head.channel_id)?.clone(),
            sequence: head.sequence,
            log_time: Timestamp::from_mcap(head.log_time),
            publish_time: Timestamp::from_mcap(head.publish_time),
            data: loaded.records.slice(data_at..record.end()),
        })
    }
}

fn wants_any<'a>(filter: &Filter, definitions: &Definitions, mut ids: impl Iterator<Item = &'a u16> + Clone) -> bool {
    // Without message index nobody knows what is inside; an unknown channel may turn out to be wanted.
    filter.topics.is_none()
        || ids.clone().next().is_none()
        || ids.any(|id| definitions.channels.get(id).is_none_or(|c| filter.wants_topic(&c.descriptor.topic)))
}

impl Iterator for Messages {
    type Item = Result<Message, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(error) = self.failed.pop() {
                return Some(Err(error));
            }
            let Reverse((_, block)) = self.queue.pop()?;
            if !self.loaded.contains_key(&block) {
                match self.load(block) {
                    Ok(loaded) => self.keep(block, loaded),
                    Err(error) => return Some(Err(error)),
                }
                // Its first message may be later than the index says.
                self.requeue(block);
                continue;
            }
            let message = self.message(block);
            self.requeue(block);
            if let Some(message) = message {
                return Some(Ok(message));
            }
        }
    }
}
