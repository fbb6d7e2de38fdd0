//! Reads a part, or any other MCAP: what it holds without touching its messages, and its messages in the order of
//! their log times or of the file. Memory is bounded by [`ReadOptions`], whatever the file claims.
//!
//! A file without usable summary is walked record by record; a torn one is read up to the tear, which
//! [`Summary::torn`] tells. [`recover`](crate::recording::recover) gets out what lies behind it.

use std::{fs::File, io, path::Path, sync::Arc};

use mcap::records::{AttachmentIndex, ChunkIndex, MetadataIndex, op};

pub use self::{
    chunk::ChunkError,
    messages::{Filter, Message, Messages},
    parse::{ParseError, record_name},
    source::ReadAt,
    summary::{Channel, Definitions, Origin, Summary, Torn},
    walk::Run,
};
pub use crate::recording::record::Attachment;

pub(crate) mod chunk;
mod messages;
pub(crate) mod parse;
pub(crate) mod source;
pub(crate) mod summary;
mod walk;

/// What a reader may hold, and how much it trusts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// Largest record outside chunks that is read whole, bytes: message, schema, metadata, attachment.
    pub record_bytes_max: u64,
    /// Largest chunk, bytes, compressed and uncompressed.
    pub chunk_bytes_max: u64,
    /// Largest summary section, bytes; a larger one is not used.
    pub summary_bytes_max: u64,
    /// Uncompressed bytes of overlapping chunks held at once, at least one chunk.
    pub cache_bytes_max: u64,
    /// Most chunks, attachments, metadata records and runs that are listed.
    pub index_entries_max: usize,
    /// Whether a chunk whose CRC does not match is an error.
    pub check_crc: bool,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            record_bytes_max: 1 << 30,
            chunk_bytes_max: 1 << 30,
            summary_bytes_max: 512 << 20,
            cache_bytes_max: 256 << 20,
            index_entries_max: 8_000_000,
            check_crc: true,
        }
    }
}

/// Why something of a part cannot be read. Offsets are bytes from the start of the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file cannot be opened.
    #[error("cannot open {path}")]
    Open {
        /// The file.
        path: std::path::PathBuf,
        /// The file system's reason.
        source: io::Error,
    },
    /// Does not begin with MCAP's magic bytes.
    #[error("not an MCAP file: it does not begin with MCAP's magic bytes")]
    NotMcap,
    /// The disk does not give the bytes, or the file is shorter than it says.
    #[error("cannot read at byte {offset}")]
    Io {
        /// Where.
        offset: u64,
        /// The file system's reason.
        source: io::Error,
    },
    /// A record is larger than the reader may hold.
    #[error("record of {bytes} bytes at byte {offset} is over the limit of {limit}")]
    TooLarge {
        /// Where.
        offset: u64,
        /// Claimed size.
        bytes: u64,
        /// The limit of [`ReadOptions`].
        limit: u64,
    },
    /// An index points to something else.
    #[error("{found} record at byte {offset} where the index says {expected}")]
    WrongRecord {
        /// Where.
        offset: u64,
        /// What the index says.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// A record does not parse.
    #[error("damaged record at byte {offset}")]
    Parse {
        /// Where.
        offset: u64,
        /// What does not fit.
        source: ParseError,
    },
    /// A chunk's records cannot be had.
    #[error("damaged chunk at byte {offset}")]
    Chunk {
        /// Where.
        offset: u64,
        /// What is wrong with it.
        source: ChunkError,
    },
    /// A message of a channel that no record describes.
    #[error("message of undefined channel {channel_id} in the block at byte {offset}")]
    UnknownChannel {
        /// Start of the chunk or run.
        offset: u64,
        /// The channel.
        channel_id: u16,
    },
    /// An attachment's bytes are not those that were written.
    #[error("CRC of the attachment `{name}` at byte {offset} is {actual:08X}, not {saved:08X}")]
    AttachmentCrc {
        /// Where.
        offset: u64,
        /// Its name.
        name: String,
        /// Written in the attachment.
        saved: u32,
        /// Of the bytes read.
        actual: u32,
    },
}

/// An open part. Cheap to clone; clones read independently.
#[derive(Clone, Debug)]
pub struct PartReader {
    source: source::Source,
    options: ReadOptions,
    summary: Arc<Summary>,
}

impl PartReader {
    /// Opens a file and reads its summary, or walks it where there is none.
    ///
    /// # Errors
    /// [`ReadError::Open`], [`ReadError::NotMcap`] and errors of the disk; damage is no error but [`Summary::torn`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        Self::open_with(path, ReadOptions::default())
    }

    /// [`open`](Self::open) with other limits.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, options: ReadOptions) -> Result<Self, ReadError> {
        let path = path.as_ref();
        let open = |source| ReadError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(open)?;
        if file.metadata().map_err(open)?.is_dir() {
            return Err(open(io::ErrorKind::IsADirectory.into()));
        }
        Self::read_from(Arc::new(file), options)
    }

    /// Reads from something else than a file of the operating system.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn read_from(inner: Arc<dyn ReadAt>, options: ReadOptions) -> Result<Self, ReadError> {
        let source = source::Source::new(inner).map_err(|source| ReadError::Io { offset: 0, source })?;
        let summary = Arc::new(summary::read(&source, &options)?);
        Ok(Self { source, options, summary })
    }

    /// Channels and schemas that the summary section repeats; none where there is no usable one.
    pub(crate) fn summary_definitions(source: &source::Source, options: &ReadOptions) -> Definitions {
        summary::definitions(source, options)
    }

    /// What the part holds.
    #[must_use]
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Size of the file when it was opened, bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.source.len()
    }

    /// Messages in the order of their log times; equal times in the order of the file.
    #[must_use]
    pub fn messages(&self, filter: Filter) -> Messages {
        Messages::new(self, filter, messages::Order::LogTime)
    }

    /// Messages in the order of the file.
    #[must_use]
    pub fn messages_in_file_order(&self, filter: Filter) -> Messages {
        Messages::new(self, filter, messages::Order::File)
    }

    /// Reads an attachment and checks its CRC.
    ///
    /// # Errors
    /// When the index points elsewhere, the record is damaged or larger than the limit.
    pub fn attachment(&self, index: &AttachmentIndex) -> Result<Attachment, ReadError> {
        let offset = index.offset;
        let content = summary::record_at(&self.source, &self.options, offset, op::ATTACHMENT)?;
        let parse = |source| ReadError::Parse { offset, source };
        let head = parse::attachment_head(&content).map_err(parse)?;
        let short = ParseError { record: "attachment", field: "data", problem: "ends after its record" };
        let start = head.len as usize;
        let end = usize::try_from(head.data_size).ok().and_then(|size| start.checked_add(size));
        let end = end.filter(|end| end.checked_add(4).is_some_and(|all| all <= content.len()));
        let end = end.ok_or_else(|| parse(short))?;
        let saved = content[end..].first_chunk().map_or(0, |crc| u32::from_le_bytes(*crc));
        let actual = if saved == 0 { 0 } else { crc32fast::hash(&content[..end]) };
        if actual != saved {
            return Err(ReadError::AttachmentCrc { offset, name: head.name, saved, actual });
        }
        Ok(Attachment {
            log_time: head.log_time,
            create_time: head.create_time,
            name: head.name,
            media_type: head.media_type,
            data: content[start..end].to_vec(),
        })
    }

    /// Reads a metadata record: its name and entries.
    ///
    /// # Errors
    /// When the index points elsewhere, the record is damaged or larger than the limit.
    pub fn metadata(
        &self,
        index: &MetadataIndex,
    ) -> Result<(String, std::collections::BTreeMap<String, String>), ReadError> {
        let content = summary::record_at(&self.source, &self.options, index.offset, op::METADATA)?;
        parse::metadata(&content).map_err(|source| ReadError::Parse { offset: index.offset, source })
    }

    /// The log times and offsets (in the uncompressed chunk) of one channel's messages in a chunk; empty when the chunk
    /// has no index of that channel.
    ///
    /// # Errors
    /// When the index points elsewhere or is damaged.
    pub fn message_index(&self, chunk: &ChunkIndex, channel_id: u16) -> Result<Vec<(u64, u64)>, ReadError> {
        let Some(&offset) = chunk.message_index_offsets.get(&channel_id) else { return Ok(Vec::new()) };
        let content = summary::record_at(&self.source, &self.options, offset, op::MESSAGE_INDEX)?;
        let (_, entries) = parse::message_index(&content).map_err(|source| ReadError::Parse { offset, source })?;
        Ok(entries)
    }
}

#[cfg(test)]
mod tests;
