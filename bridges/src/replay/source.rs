//! One MCAP file: its channels, and its messages in order. Memory stays bounded whatever the file claims.
//!
//! With a complete index the messages come in order of log time. Files without one, torn files, files with messages
//! outside chunks and files whose chunks overlap too much are read from start to end, in file order.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use mcap::{
    McapError, Summary, parse_record,
    records::{ChunkIndex, Record, op},
    sans_io::{
        IndexedReadEvent, IndexedReader, IndexedReaderOptions, LinearReadEvent, LinearReader, LinearReaderOptions,
        SummaryReadEvent, SummaryReader, SummaryReaderOptions, indexed_reader::ReadOrder,
    },
};
use sagwan_schemas::{
    channel::{ChannelDescriptor, SchemaDescriptor},
    time::Timestamp,
};

use super::{
    ReplayError,
    streams::{Channels, Routes},
};

/// Longest single record that is read, bytes: zenoh's own limit of a message is 1 GiB.
const MAX_RECORD_BYTES: usize = 1 << 30;
/// Opcode and length of a record.
const RECORD_HEADER: u64 = 9;
/// Magic at the start of every file.
const MAGIC: u64 = 8;

/// Log times `[start, end)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    start: Option<u64>,
    end: Option<u64>,
}

impl Window {
    pub(super) fn new(start: Option<Timestamp>, end: Option<Timestamp>) -> Result<Self, ReplayError> {
        if let (Some(start), Some(end)) = (start, end)
            && end < start
        {
            return Err(ReplayError::Range { start, end });
        }
        Ok(Self { start: start.map(Timestamp::to_mcap), end: end.map(Timestamp::to_mcap) })
    }

    pub(super) const fn is_all(&self) -> bool {
        self.start.is_none() && self.end.is_none()
    }

    fn contains(&self, log_time: u64) -> bool {
        self.start.is_none_or(|start| log_time >= start) && self.end.is_none_or(|end| log_time < end)
    }
}

/// A message, out of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) channel_id: u16,
    pub(super) log_time: u64,
    pub(super) publish_time: u64,
    pub(super) data: Vec<u8>,
}

/// An MCAP file that can be read, repeatedly.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) channels: Channels,
    /// Messages per channel, if the file says or was counted.
    counts: Option<BTreeMap<u16, u64>>,
    /// `None` means file order.
    index: Option<Box<Summary>>,
}

/// Messages of the routed channels of all files; `None` if a file does not say.
pub(super) fn count<'a>(routed: impl Iterator<Item = (&'a Source, &'a Routes)>) -> Option<u64> {
    let mut total = 0_u64;
    for (source, routes) in routed {
        let counts = source.counts.as_ref()?;
        total += routes.keys().filter_map(|id| counts.get(id)).sum::<u64>();
    }
    Some(total)
}

impl Source {
    /// Reads the file's summary or, where it is not enough, the whole file once.
    pub(super) fn open(path: PathBuf, memory_bytes: u64) -> Result<Self, ReplayError> {
        let mut file = open(&path)?;
        if let Some(summary) = usable_summary(&path, &mut file, memory_bytes)? {
            let channels = summary.channels.iter().map(|(id, channel)| (*id, describe_linked(channel))).collect();
            let counts = summary.stats.as_ref().map(|stats| stats.channel_message_counts.clone());
            return Ok(Self { path, channels, counts, index: Some(Box::new(summary)) });
        }
        let (channels, counts) = scan(&path)?;
        Ok(Self { path, channels, counts: Some(counts), index: None })
    }

    /// Its messages, at least those of the routed channels.
    pub(super) fn messages(&self, window: Window, routes: &Routes) -> Result<Messages<'_>, ReplayError> {
        let reading = match &self.index {
            Some(summary) => {
                let topics = routes.keys().filter_map(|id| self.channels.get(id)).map(|c| c.topic.clone());
                let reader = indexed_reader(summary, window, topics.collect());
                let reader = reader.map_err(|source| ReplayError::Format { path: self.path.clone(), source })?;
                Reading::Indexed(Box::new(Indexed { file: open(&self.path)?, reader, chunk: Vec::new() }))
            }
            None => Reading::Linear(Box::new(Records::open(&self.path)?)),
        };
        Ok(Messages { path: &self.path, window, reading, damage: None })
    }
}

fn indexed_reader(summary: &Summary, window: Window, topics: BTreeSet<String>) -> Result<IndexedReader, McapError> {
    let mut options = IndexedReaderOptions::new()
        .with_order(ReadOrder::LogTime)
        .include_topics(topics)
        .with_record_length_limit(MAX_RECORD_BYTES);
    if let Some(start) = window.start {
        options = options.starting_at(start);
    }
    if let Some(end) = window.end {
        options = options.ending_before(end);
    }
    IndexedReader::new_with_options(summary, options)
}

/// Messages of one file, one after the other.
#[derive(Debug)]
pub(super) struct Messages<'a> {
    path: &'a Path,
    window: Window,
    reading: Reading,
    damage: Option<McapError>,
}

enum Reading {
    Indexed(Box<Indexed>),
    Linear(Box<Records>),
}

struct Indexed {
    file: File,
    reader: IndexedReader,
    chunk: Vec<u8>,
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Indexed(_) => "Indexed",
            Self::Linear(_) => "Linear",
        })
    }
}

impl Messages<'_> {
    /// The next message; after damage there is none.
    pub(super) fn next(&mut self) -> Result<Option<Message>, ReplayError> {
        if self.damage.is_some() {
            return Ok(None);
        }
        let (next, damage) = match &mut self.reading {
            Reading::Indexed(indexed) => match indexed.next() {
                Ok(next) => (next, None),
                Err(Failure::Io(source)) => return Err(ReplayError::Read { path: self.path.to_owned(), source }),
                Err(Failure::Mcap(error)) => (None, Some(error)),
            },
            Reading::Linear(records) => next_linear(records, self.path, self.window)?,
        };
        self.damage = damage;
        Ok(next)
    }

    /// Why the file ended early.
    pub(super) fn damage(&self) -> Option<&McapError> {
        self.damage.as_ref()
    }
}

enum Failure {
    Io(std::io::Error),
    Mcap(McapError),
}

impl Indexed {
    fn next(&mut self) -> Result<Option<Message>, Failure> {
        loop {
            let (offset, length) = match self.reader.next_event() {
                None => return Ok(None),
                Some(Err(error)) => return Err(Failure::Mcap(error)),
                Some(Ok(IndexedReadEvent::Message { header, data })) => {
                    return Ok(Some(Message {
                        channel_id: header.channel_id,
                        log_time: header.log_time,
                        publish_time: header.publish_time,
                        data: data.to_vec(),
                    }));
                }
                Some(Ok(IndexedReadEvent::ReadChunkRequest { offset, length })) => (offset, length),
            };
            // `usable_summary` has checked that the chunk lies inside the file.
            self.chunk.resize(length, 0);
            self.file.seek(SeekFrom::Start(offset)).map_err(Failure::Io)?;
            self.file.read_exact(&mut self.chunk).map_err(Failure::Io)?;
            self.reader.insert_chunk_record_data(offset, &self.chunk).map_err(Failure::Mcap)?;
        }
    }
}

type Next = (Option<Message>, Option<McapError>);

fn next_linear(records: &mut Records, path: &Path, window: Window) -> Result<Next, ReplayError> {
    while let Some(message) = records.next(path, message_of)? {
        match message {
            Some(Ok(message)) if window.contains(message.log_time) => return Ok((Some(message), None)),
            Some(Err(error)) => return Ok((None, Some(error))),
            Some(Ok(_)) | None => {}
        }
    }
    Ok((None, records.damage.take()))
}

fn message_of(opcode: u8, data: &[u8]) -> Option<Result<Message, McapError>> {
    if opcode != op::MESSAGE {
        return None;
    }
    match parse_record(opcode, data) {
        Ok(Record::Message { header, data }) => Some(Ok(Message {
            channel_id: header.channel_id,
            log_time: header.log_time,
            publish_time: header.publish_time,
            data: data.into_owned(),
        })),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    }
}

fn open(path: &Path) -> Result<File, ReplayError> {
    File::open(path).map_err(|source| ReplayError::Read { path: path.to_owned(), source })
}

/// Records of the data section in file order, chunks opened.
struct Records {
    file: File,
    reader: LinearReader,
    has_read: bool,
    ended: bool,
    damage: Option<McapError>,
}

impl Records {
    fn open(path: &Path) -> Result<Self, ReplayError> {
        // Without the end magic a torn file is no error before its last whole record.
        let options =
            LinearReaderOptions::default().with_skip_end_magic(true).with_record_length_limit(MAX_RECORD_BYTES);
        let reader = LinearReader::new_with_options(options);
        Ok(Self { file: open(path)?, reader, has_read: false, ended: false, damage: None })
    }

    /// `read` of the next record. A file that breaks off after its first record ends with [`Records::damage`].
    fn next<R>(&mut self, path: &Path, read: impl FnOnce(u8, &[u8]) -> R) -> Result<Option<R>, ReplayError> {
        while !self.ended {
            // Only the end of the data section is an end: a file may also break off between two records.
            let event = self.reader.next_event().unwrap_or(Err(McapError::UnexpectedEof));
            let wanted = match event {
                Ok(LinearReadEvent::ReadRequest(wanted)) => wanted,
                Ok(LinearReadEvent::Record { opcode, data }) => {
                    self.has_read = true;
                    if matches!(opcode, op::DATA_END | op::FOOTER) {
                        break;
                    }
                    return Ok(Some(read(opcode, data)));
                }
                Err(source) if !self.has_read => {
                    return Err(ReplayError::Format { path: path.to_owned(), source });
                }
                Err(error) => {
                    self.damage = Some(error);
                    break;
                }
            };
            let got = self.file.read(self.reader.insert(wanted));
            self.reader.notify_read(got.map_err(|source| ReplayError::Read { path: path.to_owned(), source })?);
        }
        self.ended = true;
        Ok(None)
    }
}

/// Channels and messages per channel of a file without a usable summary.
fn scan(path: &Path) -> Result<(Channels, BTreeMap<u16, u64>), ReplayError> {
    let mut schemas: HashMap<u16, SchemaDescriptor> = HashMap::new();
    let mut found: BTreeMap<u16, mcap::records::Channel> = BTreeMap::new();
    let mut counts: BTreeMap<u16, u64> = BTreeMap::new();
    let mut records = Records::open(path)?;
    loop {
        let next = records.next(path, |opcode, data| match opcode {
            // Only the channel id, the first two bytes of a message, is of interest here.
            op::MESSAGE => {
                if let Some(id) = data.first_chunk::<2>() {
                    *counts.entry(u16::from_le_bytes(*id)).or_default() += 1;
                }
            }
            op::SCHEMA | op::CHANNEL => match parse_record(opcode, data) {
                Ok(Record::Schema { header, data }) => {
                    let data = Bytes::from(data.into_owned());
                    let schema = SchemaDescriptor { name: header.name, encoding: header.encoding, data };
                    schemas.entry(header.id).or_insert(schema);
                }
                Ok(Record::Channel(channel)) => {
                    found.entry(channel.id).or_insert(channel);
                }
                // The messages of a channel that cannot be read are counted as orphans.
                Ok(_) | Err(_) => {}
            },
            _ => {}
        })?;
        if next.is_none() {
            break;
        }
    }
    let link = |(id, channel): (u16, mcap::records::Channel)| {
        let schema = schemas.get(&channel.schema_id).filter(|_| channel.schema_id != 0).cloned();
        let described = ChannelDescriptor {
            topic: channel.topic,
            message_encoding: channel.message_encoding,
            schema,
            metadata: channel.metadata,
        };
        (id, described)
    };
    Ok((found.into_iter().map(link).collect(), counts))
}

fn describe_linked(channel: &mcap::Channel<'_>) -> ChannelDescriptor {
    ChannelDescriptor {
        topic: channel.topic.clone(),
        message_encoding: channel.message_encoding.clone(),
        schema: channel.schema.as_ref().map(|schema| SchemaDescriptor {
            name: schema.name.clone(),
            encoding: schema.encoding.clone(),
            data: Bytes::copy_from_slice(&schema.data),
        }),
        metadata: channel.metadata.clone(),
    }
}

/// The summary, if all messages can be found by it within the memory.
fn usable_summary(path: &Path, file: &mut File, memory_bytes: u64) -> Result<Option<Summary>, ReplayError> {
    let summary = read_summary(file).and_then(|summary| match summary {
        Some(summary) => {
            let size = file.metadata()?.len();
            let usable = is_complete(&summary, size)
                && peak_bytes(&summary.chunk_indexes) <= memory_bytes.min(MAX_RECORD_BYTES as u64)
                && indexes_everything(file, size, &summary.chunk_indexes)?;
            Ok(usable.then_some(summary))
        }
        None => Ok(None),
    });
    summary.map_err(|source| ReplayError::Read { path: path.to_owned(), source })
}

/// `None` if there is none or it is broken.
fn read_summary(file: &mut File) -> Result<Option<Summary>, std::io::Error> {
    let options = SummaryReaderOptions::default()
        .with_file_size(file.metadata()?.len())
        .with_record_length_limit(MAX_RECORD_BYTES);
    let mut reader = SummaryReader::new_with_options(options);
    while let Some(event) = reader.next_event() {
        match event {
            Ok(SummaryReadEvent::ReadRequest(wanted)) => {
                let got = file.read(reader.insert(wanted))?;
                reader.notify_read(got);
            }
            Ok(SummaryReadEvent::SeekRequest(to)) => reader.notify_seeked(file.seek(to)?),
            Err(_) => return Ok(None),
        }
    }
    Ok(reader.finish())
}

/// Whether the chunks lie inside the file and every channel with messages is described.
fn is_complete(summary: &Summary, size: u64) -> bool {
    let fits = |chunk: &ChunkIndex| {
        let data = chunk.compressed_data_offset().ok().and_then(|at| at.checked_add(chunk.compressed_size));
        let record = chunk.chunk_start_offset.checked_add(chunk.chunk_length);
        data.zip(record).is_some_and(|(data, record)| data <= record && record <= size)
    };
    let knows = |id: &u16| summary.channels.contains_key(id);
    let counted = summary.stats.as_ref().is_some_and(|stats| stats.channel_message_counts.keys().all(knows));
    let listed = |chunk: &ChunkIndex| {
        let ids = &chunk.message_index_offsets;
        ids.keys().all(knows) && (counted || !ids.is_empty())
    };
    summary.chunk_indexes.iter().all(|chunk| fits(chunk) && listed(chunk))
}

/// Most bytes of decompressed chunks that reading in order of log time holds at once.
fn peak_bytes(chunks: &[ChunkIndex]) -> u64 {
    let mut edges = Vec::with_capacity(chunks.len() * 2);
    for chunk in chunks {
        let bytes = chunk.uncompressed_size.max(chunk.compressed_size);
        // A chunk opens before one that ends at the same time closes.
        edges.push((chunk.message_start_time, false, bytes));
        edges.push((chunk.message_end_time.max(chunk.message_start_time), true, bytes));
    }
    edges.sort_unstable();
    let (mut open, mut peak) = (0_u64, 0_u64);
    for (_, closes, bytes) in edges {
        open = if closes { open.saturating_sub(bytes) } else { open.saturating_add(bytes) };
        peak = peak.max(open);
    }
    peak
}

/// Whether every message of the data section is in a chunk of the index. Reads only the headers of records between
/// chunks.
fn indexes_everything(file: &mut File, size: u64, chunks: &[ChunkIndex]) -> Result<bool, std::io::Error> {
    let mut starts: BTreeMap<u64, u64> = BTreeMap::new();
    for chunk in chunks {
        starts.insert(chunk.chunk_start_offset, chunk.chunk_length.saturating_add(chunk.message_index_length));
    }
    let mut unseen = starts.len();
    let mut at = MAGIC;
    while at.saturating_add(RECORD_HEADER) <= size {
        let skip = match starts.get(&at) {
            Some(length) => {
                unseen = unseen.saturating_sub(1);
                (*length).max(RECORD_HEADER)
            }
            None => {
                let mut header = [0; RECORD_HEADER as usize];
                file.seek(SeekFrom::Start(at))?;
                file.read_exact(&mut header)?;
                let [opcode, length @ ..] = header;
                match opcode {
                    op::MESSAGE | op::CHUNK => return Ok(false),
                    op::DATA_END => return Ok(unseen == 0),
                    _ => u64::from_le_bytes(length).saturating_add(RECORD_HEADER),
                }
            }
        };
        at = at.saturating_add(skip);
    }
    // No end of the data section: not a file to trust the index of.
    Ok(false)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use mcap::{Compression, WriteOptions, Writer, records::MessageHeader};
    use proptest::prelude::*;

    use super::*;

    fn written(compression: Option<Compression>) -> Vec<u8> {
        let options = WriteOptions::new().compression(compression).chunk_size(Some(200));
        let mut writer = Writer::with_options(std::io::Cursor::new(Vec::new()), options).unwrap();
        let schema = writer.add_schema("a.B", "protobuf", b"schema").unwrap();
        let channels = ["/a", "/b"].map(|t| writer.add_channel(schema, t, "protobuf", &BTreeMap::new()).unwrap());
        for i in 0..40_u8 {
            let channel_id = channels[usize::from(i % 2)];
            let header = MessageHeader { channel_id, sequence: 0, log_time: u64::from(i), publish_time: 0 };
            writer.write_to_known_channel(&header, &[i; 20]).unwrap();
        }
        writer.finish().unwrap();
        writer.into_inner().into_inner()
    }

    /// All messages of a file with these bytes, if it is one.
    fn read(bytes: &[u8], memory_bytes: u64) -> Result<(Vec<Message>, bool, Source), ReplayError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let source = Source::open(file.path().to_owned(), memory_bytes)?;
        let routes = source.channels.keys().map(|id| (*id, 0)).collect();
        let mut messages = source.messages(Window::new(None, None)?, &routes)?;
        let mut all = Vec::new();
        while let Some(message) = messages.next()? {
            all.push(message);
        }
        let is_damaged = messages.damage().is_some();
        Ok((all, is_damaged, source))
    }

    fn chunk(start: u64, end: u64, bytes: u64) -> ChunkIndex {
        ChunkIndex {
            message_start_time: start,
            message_end_time: end,
            chunk_start_offset: 0,
            chunk_length: 0,
            message_index_offsets: BTreeMap::new(),
            message_index_length: 0,
            compression: String::new(),
            compressed_size: bytes,
            uncompressed_size: bytes,
        }
    }

    #[test]
    fn memory_is_that_of_the_chunks_open_at_once() {
        for (chunks, peak) in [
            (vec![], 0),
            (vec![chunk(0, 9, 5), chunk(10, 19, 7)], 7),
            (vec![chunk(0, 10, 5), chunk(10, 19, 7)], 12),
            (vec![chunk(0, 100, 5), chunk(10, 19, 7), chunk(20, 30, 8)], 13),
            (vec![chunk(9, 0, 5)], 5),
            (vec![chunk(0, 9, u64::MAX), chunk(0, 9, u64::MAX)], u64::MAX),
        ] {
            assert_eq!(peak_bytes(&chunks), peak, "{chunks:?}");
        }
    }

    #[test]
    fn both_ways_to_read_find_the_same() {
        for compression in [None, Some(Compression::Zstd), Some(Compression::Lz4)] {
            let bytes = written(compression);
            let (indexed, damaged, source) = read(&bytes, u64::MAX).unwrap();
            assert!(source.index.is_some() && !damaged);
            let (linear, damaged, other) = read(&bytes, 1).unwrap();
            assert!(other.index.is_none() && !damaged);
            assert_eq!(indexed.len(), 40);
            assert_eq!((indexed, source.channels, source.counts), (linear, other.channels, other.counts));
        }
    }

    #[test]
    fn a_file_cut_anywhere_gives_a_prefix_and_says_so() {
        let bytes = written(None);
        let (whole, ..) = read(&bytes, u64::MAX).unwrap();
        for length in (0..bytes.len()).step_by(13) {
            match read(&bytes[..length], u64::MAX) {
                Ok((messages, damaged, _)) => {
                    assert!(whole.starts_with(&messages), "{length}");
                    assert!(damaged || messages.len() == whole.len(), "{length}");
                }
                Err(error) => assert!(matches!(error, ReplayError::Format { .. }), "{length}: {error}"),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn a_corrupt_file_never_panics(at: prop::sample::Index, value: u8, zstd: bool) {
            let mut bytes = written(zstd.then_some(Compression::Zstd));
            let at = at.index(bytes.len());
            bytes[at] = value;
            let _ = read(&bytes, 1 << 20);
        }
    }
}
