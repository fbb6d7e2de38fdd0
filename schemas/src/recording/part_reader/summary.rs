//! What a part holds, without its messages: from the summary at its end, or from a walk over its records.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
};

use bytes::Bytes;
use mcap::records::{AttachmentIndex, ChunkIndex, Footer, MetadataIndex, Statistics, op};

use crate::{
    channel::{ChannelDescriptor, SchemaDescriptor},
    recording::{
        part_reader::{
            ReadError, ReadOptions,
            chunk::unpack,
            parse::{self, ParseError, RecordIn},
            source::Source,
            walk::{self, Run},
        },
        record::RECORD_HEADER,
    },
};

/// A channel of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Number within the part.
    pub id: u16,
    /// Number of its schema within the part; 0 for none.
    pub schema_id: u16,
    /// What it is.
    pub descriptor: ChannelDescriptor,
}

/// Channels and schemas by id, as far as they have been met.
#[derive(Clone, Debug, Default)]
pub struct Definitions {
    /// Schemas by id.
    pub schemas: BTreeMap<u16, SchemaDescriptor>,
    /// Channels by id.
    pub channels: BTreeMap<u16, Arc<Channel>>,
}

impl Definitions {
    /// Takes a schema or channel record; leaves other records alone. Of two with one id the first holds.
    pub(crate) fn learn(&mut self, opcode: u8, content: &[u8]) -> Result<(), ParseError> {
        match opcode {
            op::SCHEMA => {
                let schema = parse::schema(content)?;
                if let Entry::Vacant(entry) = self.schemas.entry(schema.id) {
                    entry.insert(SchemaDescriptor {
                        name: schema.name.to_owned(),
                        encoding: schema.encoding.to_owned(),
                        data: Bytes::copy_from_slice(schema.data),
                    });
                    self.complete(schema.id);
                }
            }
            op::CHANNEL => {
                let record = parse::channel(content)?;
                self.channels.entry(record.id).or_insert_with(|| {
                    Arc::new(Channel {
                        id: record.id,
                        schema_id: record.schema_id,
                        descriptor: ChannelDescriptor {
                            topic: record.topic,
                            message_encoding: record.message_encoding,
                            schema: self.schemas.get(&record.schema_id).cloned(),
                            metadata: record.metadata,
                        },
                    })
                });
            }
            _ => {}
        }
        Ok(())
    }

    /// Gives the schema to channels that came before it.
    fn complete(&mut self, schema_id: u16) {
        let schema = self.schemas.get(&schema_id);
        for channel in self.channels.values_mut() {
            if channel.schema_id == schema_id && channel.descriptor.schema.is_none() {
                Arc::make_mut(channel).descriptor.schema = schema.cloned();
            }
        }
    }

    /// Takes all schemas and channels among `records`, up to the first that does not parse.
    pub(crate) fn learn_all(&mut self, records: &[u8]) {
        let mut at = 0;
        while let Ok(Some(record)) = parse::record_in(records, at) {
            if self.learn(record.opcode, record.content).is_err() {
                return;
            }
            at = record.end();
        }
    }
}

/// Where a [`Summary`] comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The summary section at the end of the file.
    File,
    /// A walk over the file's records, because of this.
    Scan {
        /// For a person: `no footer`, `summary CRC…`.
        because: String,
    },
}

/// The place from which on a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The first byte that is not part of an intact record.
    pub offset: u64,
    /// What is wrong there.
    pub reason: String,
}

/// What a part holds, without its messages.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The header's profile, e.g. `ros2`.
    pub profile: String,
    /// The header's library.
    pub library: String,
    /// Channels and schemas.
    pub definitions: Definitions,
    /// Counts and times; with [`Origin::Scan`] as far as message indexes tell them.
    pub statistics: Statistics,
    /// Chunks in file order.
    pub chunks: Vec<ChunkIndex>,
    /// Stretches of messages outside chunks, in file order.
    pub runs: Vec<Run>,
    /// Attachments in file order.
    pub attachments: Vec<AttachmentIndex>,
    /// Metadata records in file order.
    pub metadata: Vec<MetadataIndex>,
    /// Where all this comes from.
    pub origin: Origin,
    /// Absent for a file with footer and closing magic.
    pub torn: Option<Torn>,
    /// Where the data section ends.
    pub data_end: u64,
}

impl Summary {
    pub(crate) fn new(profile: String, library: String) -> Self {
        Self {
            profile,
            library,
            definitions: Definitions::default(),
            statistics: Statistics::default(),
            chunks: Vec::new(),
            runs: Vec::new(),
            attachments: Vec::new(),
            metadata: Vec::new(),
            origin: Origin::File,
            torn: None,
            data_end: 0,
        }
    }

    /// Channels by id.
    pub fn channels(&self) -> impl Iterator<Item = &Arc<Channel>> {
        self.definitions.channels.values()
    }

    /// First and last log time as MCAP has them; `None` without messages.
    #[must_use]
    pub fn time_range(&self) -> Option<(u64, u64)> {
        let s = &self.statistics;
        (s.message_count > 0).then_some((s.message_start_time, s.message_end_time))
    }
}

/// Length of opening and closing magic.
pub(crate) const MAGIC: u64 = mcap::MAGIC.len() as u64;
const FOOTER: u64 = RECORD_HEADER as u64 + 20;

/// Reads what the part says of itself, or walks it.
pub(crate) fn read(source: &Source, options: &ReadOptions) -> Result<Summary, ReadError> {
    let (profile, library) = opening(source, options)?;
    let fresh = || Summary::new(profile.clone(), library.clone());
    match from_file(source, options, fresh()) {
        Ok(summary) => Ok(summary),
        Err(Unusable::Disk(error)) => Err(error),
        Err(Unusable::Because(because, definitions)) => {
            let mut summary = fresh();
            summary.definitions = *definitions;
            summary.origin = Origin::Scan { because };
            walk::walk(source, options, &mut summary)?;
            discover(source, options, &mut summary)?;
            Ok(summary)
        }
    }
}

/// Checks the opening magic and reads the header, if there is one.
fn opening(source: &Source, options: &ReadOptions) -> Result<(String, String), ReadError> {
    let magic = source.read_up_to(0, MAGIC).map_err(|source| ReadError::Io { offset: 0, source })?;
    if magic != mcap::MAGIC {
        return Err(ReadError::NotMcap);
    }
    let header = record_at(source, options, MAGIC, op::HEADER);
    Ok(header.ok().and_then(|content| parse::header(&content).ok()).unwrap_or_default())
}

/// The content of the record at `offset`, which must have this opcode.
pub(crate) fn record_at(source: &Source, options: &ReadOptions, offset: u64, opcode: u8) -> Result<Vec<u8>, ReadError> {
    let io = |source| ReadError::Io { offset, source };
    let head = source.read(offset, RECORD_HEADER as u64).map_err(io)?;
    match parse::record_header(&head) {
        Some((found, len)) if found == opcode => {
            if len > options.record_bytes_max {
                return Err(ReadError::TooLarge { offset, bytes: len, limit: options.record_bytes_max });
            }
            source.read(offset + RECORD_HEADER as u64, len).map_err(io)
        }
        Some((found, _)) => Err(ReadError::WrongRecord {
            offset,
            expected: parse::record_name(opcode),
            found: parse::record_name(found),
        }),
        None => Err(ReadError::Io { offset, source: std::io::ErrorKind::UnexpectedEof.into() }),
    }
}

enum Unusable {
    Disk(ReadError),
    /// What was learnt is kept: it may name channels whose own records are inside chunks.
    Because(String, Box<Definitions>),
}

fn because(reason: impl Into<String>) -> Unusable {
    Unusable::Because(reason.into(), Box::default())
}

/// The footer of a file with closing magic.
pub(crate) fn footer(source: &Source) -> std::io::Result<Result<Footer, &'static str>> {
    let Some(at) = source.len().checked_sub(FOOTER + MAGIC).filter(|at| *at >= MAGIC) else {
        return Ok(Err("no footer"));
    };
    let tail = source.read(at, FOOTER + MAGIC)?;
    if !tail.ends_with(mcap::MAGIC) {
        return Ok(Err("no closing magic"));
    }
    Ok(match parse::record_header(&tail) {
        Some((op::FOOTER, 20)) => parse::footer(&tail[RECORD_HEADER..]).map_err(|_short| "no footer"),
        _ => Err("no footer before the closing magic"),
    })
}

fn from_file(source: &Source, options: &ReadOptions, mut summary: Summary) -> Result<Summary, Unusable> {
    let io = |offset| move |source| Unusable::Disk(ReadError::Io { offset, source });
    let footer_at = source.len().saturating_sub(FOOTER + MAGIC);
    let footer = footer(source).map_err(io(footer_at))?.map_err(because)?;
    if footer.summary_start == 0 {
        return Err(because("the file has no summary"));
    }
    let size = footer_at.checked_sub(footer.summary_start).filter(|_| footer.summary_start >= MAGIC);
    let size = size.ok_or_else(|| because(format!("the footer points to byte {}", footer.summary_start)))?;
    if size > options.summary_bytes_max {
        return Err(because(format!("a summary of {size} bytes is over the limit of {}", options.summary_bytes_max)));
    }
    let bytes = source.read(footer.summary_start, size + FOOTER - 4).map_err(io(footer.summary_start))?;
    if footer.summary_crc != 0 && crc32fast::hash(&bytes) != footer.summary_crc {
        return Err(because("the summary's CRC does not match"));
    }
    let statistics = fill(&mut summary, &bytes[..size as usize], options)
        .map_err(|error| Unusable::Because(error, Box::new(summary.definitions.clone())))?;
    summary.data_end = footer.summary_start;
    if let Err(missing) = complete(&summary, statistics.as_ref()) {
        return Err(Unusable::Because(missing.to_owned(), Box::new(summary.definitions)));
    }
    summary.statistics = statistics.unwrap_or_default();
    walk::walk_gaps(source, options, &mut summary).map_err(Unusable::Disk)?;
    Ok(summary)
}

/// Channels and schemas that the summary section repeats, where its CRC vouches for it or it parses to its end.
pub(crate) fn definitions(source: &Source, options: &ReadOptions) -> Definitions {
    match from_file(source, options, Summary::new(String::new(), String::new())) {
        Ok(summary) => summary.definitions,
        Err(Unusable::Because(_, definitions)) => *definitions,
        Err(Unusable::Disk(_)) => Definitions::default(),
    }
}

/// Takes every record of the summary section.
fn fill(summary: &mut Summary, bytes: &[u8], options: &ReadOptions) -> Result<Option<Statistics>, String> {
    let mut statistics = None;
    let mut at = 0;
    while let Some(record) = parse::record_in(bytes, at).map_err(|e| e.to_string())? {
        take(summary, &mut statistics, &record).map_err(|e| e.to_string())?;
        if summary.chunks.len() + summary.attachments.len() + summary.metadata.len() > options.index_entries_max {
            return Err(format!("more than {} index entries", options.index_entries_max));
        }
        at = record.end();
    }
    summary.chunks.sort_by_key(|chunk| chunk.chunk_start_offset);
    summary.attachments.sort_by_key(|attachment| attachment.offset);
    summary.metadata.sort_by_key(|metadata| metadata.offset);
    Ok(statistics)
}

fn take(summary: &mut Summary, statistics: &mut Option<Statistics>, record: &RecordIn<'_>) -> Result<(), ParseError> {
    match record.opcode {
        op::CHUNK_INDEX => summary.chunks.push(parse::chunk_index(record.content)?),
        op::ATTACHMENT_INDEX => summary.attachments.push(parse::attachment_index(record.content)?),
        op::METADATA_INDEX => summary.metadata.push(parse::metadata_index(record.content)?),
        op::STATISTICS => *statistics = Some(parse::statistics(record.content)?),
        opcode => summary.definitions.learn(opcode, record.content)?,
    }
    Ok(())
}

/// Whether the summary names everything that its own statistics count, at places that can be.
fn complete(summary: &Summary, statistics: Option<&Statistics>) -> Result<(), &'static str> {
    let statistics = statistics.ok_or("the summary has no statistics")?;
    let channels = &summary.definitions.channels;
    let used = statistics.channel_message_counts.keys();
    let indexed = summary.chunks.iter().flat_map(|chunk| chunk.message_index_offsets.keys());
    if channels.len() < statistics.channel_count as usize || !used.chain(indexed).all(|id| channels.contains_key(id)) {
        return Err("the summary does not repeat all channels");
    }
    let schemas = &summary.definitions.schemas;
    if !channels.values().all(|channel| channel.schema_id == 0 || schemas.contains_key(&channel.schema_id)) {
        return Err("the summary does not repeat all schemas");
    }
    if summary.chunks.len() != statistics.chunk_count as usize {
        return Err("the summary does not index all chunks");
    }
    if summary.attachments.len() != statistics.attachment_count as usize {
        return Err("the summary does not index all attachments");
    }
    if summary.metadata.len() != statistics.metadata_count as usize {
        return Err("the summary does not index all metadata");
    }
    let inside = |offset: u64, length: u64| {
        offset >= MAGIC && offset.checked_add(length).is_some_and(|end| end <= summary.data_end)
    };
    let sound = summary.chunks.iter().all(|c| inside(c.chunk_start_offset, c.chunk_length))
        && summary.attachments.iter().all(|a| inside(a.offset, a.length))
        && summary.metadata.iter().all(|m| inside(m.offset, m.length));
    if sound { Ok(()) } else { Err("the summary points outside the file") }
}

/// Looks into chunks for channels that a walk has met only by number: for each, into the first chunk that holds it.
fn discover(source: &Source, options: &ReadOptions, summary: &mut Summary) -> Result<(), ReadError> {
    let mut missing: BTreeSet<u16> = BTreeSet::new();
    for at in 0..summary.chunks.len() {
        let chunk = &summary.chunks[at];
        let unindexed = chunk.message_index_offsets.is_empty();
        let known = |id: &u16| summary.definitions.channels.contains_key(id) || missing.contains(id);
        if !unindexed && chunk.message_index_offsets.keys().all(known) {
            continue;
        }
        // A chunk that cannot be unpacked says so when its messages are read.
        if let Ok(records) = chunk_records(source, options, chunk) {
            summary.definitions.learn_all(&records);
            if unindexed {
                walk::count_records(summary, at, &records);
            }
        }
        let ids = summary.chunks[at].message_index_offsets.keys().copied();
        missing.extend(ids.filter(|id| !summary.definitions.channels.contains_key(id)));
    }
    let ids: BTreeSet<u16> = missing.into_iter().filter(|id| !summary.definitions.channels.contains_key(id)).collect();
    if !ids.is_empty() {
        define_late(source, options, summary, ids);
    }
    summary.statistics.channel_count = summary.definitions.channels.len() as u32;
    summary.statistics.schema_count = u16::try_from(summary.definitions.schemas.len()).unwrap_or(u16::MAX);
    Ok(())
}

/// Some channels are not in the chunk that uses them first: looks into all chunks until they are found.
fn define_late(source: &Source, options: &ReadOptions, summary: &mut Summary, mut missing: BTreeSet<u16>) {
    for chunk in &summary.chunks {
        if let Ok(records) = chunk_records(source, options, chunk) {
            summary.definitions.learn_all(&records);
            missing.retain(|id| !summary.definitions.channels.contains_key(id));
            if missing.is_empty() {
                return;
            }
        }
    }
}

/// The records of an indexed chunk.
pub(crate) fn chunk_records(source: &Source, options: &ReadOptions, chunk: &ChunkIndex) -> Result<Bytes, ReadError> {
    let offset = chunk.chunk_start_offset;
    let io = |source| ReadError::Io { offset, source };
    let head = source.read_up_to(offset, (RECORD_HEADER + parse::CHUNK_HEAD_MAX) as u64).map_err(io)?;
    match parse::record_header(&head) {
        Some((op::CHUNK, _)) => {}
        found => {
            let found = found.map_or("nothing", |(opcode, _)| parse::record_name(opcode));
            return Err(ReadError::WrongRecord { offset, expected: "chunk", found });
        }
    }
    let head = parse::chunk_head(&head[RECORD_HEADER..]).map_err(|source| ReadError::Parse { offset, source })?;
    if head.stored_size > options.chunk_bytes_max {
        return Err(ReadError::TooLarge { offset, bytes: head.stored_size, limit: options.chunk_bytes_max });
    }
    let stored = source.read(offset + RECORD_HEADER as u64 + head.len(), head.stored_size).map_err(io)?;
    let unpacked = unpack(&head, stored.into(), options.chunk_bytes_max, options.check_crc);
    unpacked.into_result().map_err(|source| ReadError::Chunk { offset, source })
}
