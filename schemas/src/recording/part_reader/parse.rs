//! MCAP records from bytes, by <https://mcap.dev/spec>. Every length is checked against the bytes at hand before it is
//! used; nothing is allocated that the bytes do not already hold. Knows no file.
//!
//! The `mcap` crate's parser is not used on files from outside: it reserves whatever a string length says (up to 4 GiB)
//! and indexes out of bounds on an attachment that is shorter than its own header.

use std::collections::BTreeMap;

use mcap::records::{AttachmentIndex, ChunkIndex, Footer, MetadataIndex, Statistics, op};

/// A record that cannot be what its opcode says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{record} record: `{field}` {problem}")]
#[non_exhaustive]
pub struct ParseError {
    /// Kind of record.
    pub record: &'static str,
    /// Field that does not fit.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// MCAP's name of an opcode.
#[must_use]
pub const fn record_name(opcode: u8) -> &'static str {
    match opcode {
        op::HEADER => "header",
        op::FOOTER => "footer",
        op::SCHEMA => "schema",
        op::CHANNEL => "channel",
        op::MESSAGE => "message",
        op::CHUNK => "chunk",
        op::MESSAGE_INDEX => "message index",
        op::CHUNK_INDEX => "chunk index",
        op::ATTACHMENT => "attachment",
        op::ATTACHMENT_INDEX => "attachment index",
        op::STATISTICS => "statistics",
        op::METADATA => "metadata",
        op::METADATA_INDEX => "metadata index",
        op::SUMMARY_OFFSET => "summary offset",
        op::DATA_END => "data end",
        0x80.. => "private",
        _ => "unknown",
    }
}

/// Least content length of a record, bytes; `None` for opcodes that MCAP does not define.
pub(crate) const fn content_min(opcode: u8) -> Option<u64> {
    Some(match opcode {
        op::HEADER | op::METADATA => 8,
        op::FOOTER | op::METADATA_INDEX => 20,
        op::SCHEMA => 14,
        op::CHANNEL => 16,
        op::MESSAGE => 22,
        op::CHUNK => 40,
        op::MESSAGE_INDEX => 6,
        op::CHUNK_INDEX => 64,
        op::ATTACHMENT => 36,
        op::ATTACHMENT_INDEX => 48,
        op::STATISTICS => 46,
        op::SUMMARY_OFFSET => 17,
        op::DATA_END => 4,
        _ => return None,
    })
}

/// Opcode and content length of the record that begins at the start of `bytes`.
pub(crate) fn record_header(bytes: &[u8]) -> Option<(u8, u64)> {
    let (&opcode, rest) = bytes.split_first()?;
    Some((opcode, u64::from_le_bytes(*rest.first_chunk()?)))
}

/// Fields of one record, in order.
struct Fields<'a> {
    record: &'static str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    fn new(record: &'static str, bytes: &'a [u8]) -> Self {
        Self { record, bytes, at: 0 }
    }

    fn error(&self, field: &'static str, problem: &'static str) -> ParseError {
        ParseError { record: self.record, field, problem }
    }

    fn take(&mut self, field: &'static str, len: u64) -> Result<&'a [u8], ParseError> {
        let end = usize::try_from(len).ok().and_then(|len| self.at.checked_add(len));
        let taken =
            end.and_then(|end| self.bytes.get(self.at..end)).ok_or(self.error(field, "ends after its record"))?;
        self.at += taken.len();
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], ParseError> {
        let taken = self.take(field, N as u64)?;
        taken.first_chunk().copied().ok_or(self.error(field, "ends after its record"))
    }

    fn u8(&mut self, field: &'static str) -> Result<u8, ParseError> {
        Ok(u8::from_le_bytes(self.array(field)?))
    }

    fn u16(&mut self, field: &'static str) -> Result<u16, ParseError> {
        Ok(u16::from_le_bytes(self.array(field)?))
    }

    fn u32(&mut self, field: &'static str) -> Result<u32, ParseError> {
        Ok(u32::from_le_bytes(self.array(field)?))
    }

    fn u64(&mut self, field: &'static str) -> Result<u64, ParseError> {
        Ok(u64::from_le_bytes(self.array(field)?))
    }

    fn bytes32(&mut self, field: &'static str) -> Result<&'a [u8], ParseError> {
        let len = self.u32(field)?;
        self.take(field, len.into())
    }

    fn text(&mut self, field: &'static str) -> Result<&'a str, ParseError> {
        let bytes = self.bytes32(field)?;
        str::from_utf8(bytes).map_err(|_utf8| self.error(field, "is not UTF-8"))
    }

    fn string(&mut self, field: &'static str) -> Result<String, ParseError> {
        Ok(self.text(field)?.to_owned())
    }

    fn string_map(&mut self, field: &'static str) -> Result<BTreeMap<String, String>, ParseError> {
        let mut inner = Fields::new(self.record, self.bytes32(field)?);
        let mut map = BTreeMap::new();
        while inner.at < inner.bytes.len() {
            let (key, value) = (inner.string(field)?, inner.string(field)?);
            if map.insert(key, value).is_some() {
                return Err(self.error(field, "has a key twice"));
            }
        }
        Ok(map)
    }

    fn int_map(&mut self, field: &'static str) -> Result<BTreeMap<u16, u64>, ParseError> {
        let mut inner = Fields::new(self.record, self.bytes32(field)?);
        let mut map = BTreeMap::new();
        while inner.at < inner.bytes.len() {
            let (key, value) = (inner.u16(field)?, inner.u64(field)?);
            if map.insert(key, value).is_some() {
                return Err(self.error(field, "has a key twice"));
            }
        }
        Ok(map)
    }
}

/// Profile and library of a header record.
pub(crate) fn header(content: &[u8]) -> Result<(String, String), ParseError> {
    let mut fields = Fields::new("header", content);
    Ok((fields.string("profile")?, fields.string("library")?))
}

pub(crate) fn footer(content: &[u8]) -> Result<Footer, ParseError> {
    let mut fields = Fields::new("footer", content);
    Ok(Footer {
        summary_start: fields.u64("summary_start")?,
        summary_offset_start: fields.u64("summary_offset_start")?,
        summary_crc: fields.u32("summary_crc")?,
    })
}

/// A schema record; its texts and data lie in the bytes it was read from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SchemaRecord<'a> {
    pub(crate) id: u16,
    pub(crate) name: &'a str,
    pub(crate) encoding: &'a str,
    pub(crate) data: &'a [u8],
}

pub(crate) fn schema(content: &[u8]) -> Result<SchemaRecord<'_>, ParseError> {
    let mut fields = Fields::new("schema", content);
    Ok(SchemaRecord {
        id: fields.u16("id")?,
        name: fields.text("name")?,
        encoding: fields.text("encoding")?,
        data: fields.bytes32("data")?,
    })
}

/// A channel record.
#[derive(Clone, Debug)]
pub(crate) struct ChannelRecord {
    pub(crate) id: u16,
    pub(crate) schema_id: u16,
    pub(crate) topic: String,
    pub(crate) message_encoding: String,
    pub(crate) metadata: BTreeMap<String, String>,
}

pub(crate) fn channel(content: &[u8]) -> Result<ChannelRecord, ParseError> {
    let mut fields = Fields::new("channel", content);
    Ok(ChannelRecord {
        id: fields.u16("id")?,
        schema_id: fields.u16("schema_id")?,
        topic: fields.string("topic")?,
        message_encoding: fields.string("message_encoding")?,
        metadata: fields.string_map("metadata")?,
    })
}

/// A message record's fields before its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageHead {
    pub(crate) channel_id: u16,
    pub(crate) sequence: u32,
    pub(crate) log_time: u64,
    pub(crate) publish_time: u64,
}

/// From the first 22 bytes of a message record's content.
pub(crate) fn message(content: &[u8]) -> Result<MessageHead, ParseError> {
    let mut fields = Fields::new("message", content);
    Ok(MessageHead {
        channel_id: fields.u16("channel_id")?,
        sequence: fields.u32("sequence")?,
        log_time: fields.u64("log_time")?,
        publish_time: fields.u64("publish_time")?,
    })
}

/// A chunk record's fields before its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChunkHead {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) uncompressed_size: u64,
    pub(crate) uncompressed_crc: u32,
    pub(crate) compression: String,
    pub(crate) stored_size: u64,
}

impl ChunkHead {
    /// Bytes from the start of the content to the stored records.
    pub(crate) fn len(&self) -> u64 {
        40 + self.compression.len() as u64
    }
}

/// Enough of a chunk's content for its head, with any compression name that makes sense.
pub(crate) const CHUNK_HEAD_MAX: usize = 40 + 64;

/// From the first bytes of a chunk record's content; the records need not be there.
pub(crate) fn chunk_head(content: &[u8]) -> Result<ChunkHead, ParseError> {
    let mut fields = Fields::new("chunk", content);
    Ok(ChunkHead {
        start: fields.u64("message_start_time")?,
        end: fields.u64("message_end_time")?,
        uncompressed_size: fields.u64("uncompressed_size")?,
        uncompressed_crc: fields.u32("uncompressed_crc")?,
        compression: fields.string("compression")?,
        stored_size: fields.u64("records")?,
    })
}

/// Channel, and log time and offset in the uncompressed chunk of each of its messages.
pub(crate) type MessageIndex = (u16, Vec<(u64, u64)>);

pub(crate) fn message_index(content: &[u8]) -> Result<MessageIndex, ParseError> {
    let mut fields = Fields::new("message index", content);
    let channel = fields.u16("channel_id")?;
    let mut inner = Fields::new("message index", fields.bytes32("records")?);
    let mut entries = Vec::with_capacity(inner.bytes.len() / 16);
    while inner.at < inner.bytes.len() {
        entries.push((inner.u64("log_time")?, inner.u64("offset")?));
    }
    Ok((channel, entries))
}

pub(crate) fn chunk_index(content: &[u8]) -> Result<ChunkIndex, ParseError> {
    let mut fields = Fields::new("chunk index", content);
    Ok(ChunkIndex {
        message_start_time: fields.u64("message_start_time")?,
        message_end_time: fields.u64("message_end_time")?,
        chunk_start_offset: fields.u64("chunk_start_offset")?,
        chunk_length: fields.u64("chunk_length")?,
        message_index_offsets: fields.int_map("message_index_offsets")?,
        message_index_length: fields.u64("message_index_length")?,
        compression: fields.string("compression")?,
        compressed_size: fields.u64("compressed_size")?,
        uncompressed_size: fields.u64("uncompressed_size")?,
    })
}

/// An attachment record's fields before its data.
#[derive(Clone, Debug)]
pub(crate) struct AttachmentHead {
    pub(crate) log_time: u64,
    pub(crate) create_time: u64,
    pub(crate) name: String,
    pub(crate) media_type: String,
    pub(crate) data_size: u64,
    /// Bytes from the start of the content to the data.
    pub(crate) len: u64,
}

impl AttachmentHead {
    /// Content length that the data and the CRC need, where it does not overflow.
    pub(crate) fn content_len(&self) -> Option<u64> {
        self.len.checked_add(self.data_size)?.checked_add(4)
    }
}

/// From the first bytes of an attachment record's content; the data need not be there.
pub(crate) fn attachment_head(content: &[u8]) -> Result<AttachmentHead, ParseError> {
    let mut fields = Fields::new("attachment", content);
    Ok(AttachmentHead {
        log_time: fields.u64("log_time")?,
        create_time: fields.u64("create_time")?,
        name: fields.string("name")?,
        media_type: fields.string("media_type")?,
        data_size: fields.u64("data")?,
        len: fields.at as u64,
    })
}

pub(crate) fn attachment_index(content: &[u8]) -> Result<AttachmentIndex, ParseError> {
    let mut fields = Fields::new("attachment index", content);
    Ok(AttachmentIndex {
        offset: fields.u64("offset")?,
        length: fields.u64("length")?,
        log_time: fields.u64("log_time")?,
        create_time: fields.u64("create_time")?,
        data_size: fields.u64("data_size")?,
        name: fields.string("name")?,
        media_type: fields.string("media_type")?,
    })
}

pub(crate) fn statistics(content: &[u8]) -> Result<Statistics, ParseError> {
    let mut fields = Fields::new("statistics", content);
    Ok(Statistics {
        message_count: fields.u64("message_count")?,
        schema_count: fields.u16("schema_count")?,
        channel_count: fields.u32("channel_count")?,
        attachment_count: fields.u32("attachment_count")?,
        metadata_count: fields.u32("metadata_count")?,
        chunk_count: fields.u32("chunk_count")?,
        message_start_time: fields.u64("message_start_time")?,
        message_end_time: fields.u64("message_end_time")?,
        channel_message_counts: fields.int_map("channel_message_counts")?,
    })
}

/// Name and entries of a metadata record.
pub(crate) fn metadata(content: &[u8]) -> Result<(String, BTreeMap<String, String>), ParseError> {
    let mut fields = Fields::new("metadata", content);
    Ok((fields.string("name")?, fields.string_map("metadata")?))
}

pub(crate) fn metadata_index(content: &[u8]) -> Result<MetadataIndex, ParseError> {
    let mut fields = Fields::new("metadata index", content);
    Ok(MetadataIndex { offset: fields.u64("offset")?, length: fields.u64("length")?, name: fields.string("name")? })
}

/// Opcode, start and length of a summary offset record's group.
pub(crate) fn summary_offset(content: &[u8]) -> Result<(u8, u64, u64), ParseError> {
    let mut fields = Fields::new("summary offset", content);
    Ok((fields.u8("group_opcode")?, fields.u64("group_start")?, fields.u64("group_length")?))
}

pub(crate) fn data_end(content: &[u8]) -> Result<u32, ParseError> {
    Fields::new("data end", content).u32("data_section_crc")
}

/// A record inside a chunk or another piece of memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordIn<'a> {
    pub(crate) opcode: u8,
    /// Where the record begins.
    pub(crate) offset: usize,
    pub(crate) content: &'a [u8],
}

impl RecordIn<'_> {
    /// Where the content begins.
    pub(crate) fn content_at(&self) -> usize {
        self.offset + crate::recording::record::RECORD_HEADER
    }

    /// Where the next record begins.
    pub(crate) fn end(&self) -> usize {
        self.content_at() + self.content.len()
    }
}

/// The record at `offset`; `Ok(None)` at the end, `Err` when it does not fit.
pub(crate) fn record_in(bytes: &[u8], offset: usize) -> Result<Option<RecordIn<'_>>, ParseError> {
    let rest = bytes.get(offset..).unwrap_or_default();
    if rest.is_empty() {
        return Ok(None);
    }
    let short = |record| ParseError { record, field: "length", problem: "is cut off" };
    let (opcode, len) = record_header(rest).ok_or(short("unknown"))?;
    let long = ParseError { record: record_name(opcode), field: "length", problem: "is more than there is" };
    let content = usize::try_from(len).ok().and_then(|len| rest[9..].get(..len)).ok_or(long)?;
    Ok(Some(RecordIn { opcode, offset, content }))
}
