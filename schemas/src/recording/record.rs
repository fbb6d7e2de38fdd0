//! MCAP records as bytes, by <https://mcap.dev/spec>. Knows no file.

use std::collections::BTreeMap;

use mcap::records::op;

use crate::channel::{ChannelDescriptor, SchemaDescriptor};

/// A record's opcode and length.
pub(crate) const RECORD_HEADER: usize = 9;
/// Fields of a message record before its data.
pub(crate) const MESSAGE_HEADER: usize = 22;

/// Appends a record whose content `fill` writes, and sets its length.
pub(crate) fn record(out: &mut Vec<u8>, opcode: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    out.push(opcode);
    let length_at = out.len();
    out.extend_from_slice(&[0; 8]);
    fill(out);
    let length = (out.len() - length_at - 8) as u64;
    out[length_at..length_at + 8].copy_from_slice(&length.to_le_bytes());
}

pub(crate) fn put_str(out: &mut Vec<u8>, text: &str) {
    put_bytes32(out, text.as_bytes());
}

fn put_bytes32(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn put_map(out: &mut Vec<u8>, map: &BTreeMap<String, String>) {
    let length_at = out.len();
    out.extend_from_slice(&[0; 4]);
    for (key, value) in map {
        put_str(out, key);
        put_str(out, value);
    }
    set_length32(out, length_at);
}

/// Sets the length of a map or array that begins at `length_at`.
pub(crate) fn set_length32(out: &mut [u8], length_at: usize) {
    let length = (out.len() - length_at - 4) as u32;
    out[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
}

pub(crate) fn header(out: &mut Vec<u8>, profile: &str, library: &str) {
    record(out, op::HEADER, |out| {
        put_str(out, profile);
        put_str(out, library);
    });
}

pub(crate) fn schema(out: &mut Vec<u8>, id: u16, schema: &SchemaDescriptor) {
    record(out, op::SCHEMA, |out| {
        out.extend_from_slice(&id.to_le_bytes());
        put_str(out, &schema.name);
        put_str(out, &schema.encoding);
        put_bytes32(out, &schema.data);
    });
}

pub(crate) fn channel(out: &mut Vec<u8>, id: u16, schema_id: u16, channel: &ChannelDescriptor) {
    record(out, op::CHANNEL, |out| {
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(&schema_id.to_le_bytes());
        put_str(out, &channel.topic);
        put_str(out, &channel.message_encoding);
        put_map(out, &channel.metadata);
    });
}

/// A message record up to its data, which must follow.
pub(crate) fn message_head(
    channel_id: u16,
    sequence: u32,
    log_time: u64,
    publish_time: u64,
    data_len: usize,
) -> [u8; RECORD_HEADER + MESSAGE_HEADER] {
    let mut head = [0; RECORD_HEADER + MESSAGE_HEADER];
    head[0] = op::MESSAGE;
    head[1..9].copy_from_slice(&((MESSAGE_HEADER + data_len) as u64).to_le_bytes());
    head[9..11].copy_from_slice(&channel_id.to_le_bytes());
    head[11..15].copy_from_slice(&sequence.to_le_bytes());
    head[15..23].copy_from_slice(&log_time.to_le_bytes());
    head[23..31].copy_from_slice(&publish_time.to_le_bytes());
    head
}

/// What a chunk record says of its records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkHead<'a> {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) uncompressed_size: u64,
    pub(crate) uncompressed_crc: u32,
    pub(crate) compression: &'a str,
    pub(crate) stored_size: u64,
}

/// A chunk record up to its records, which must follow.
pub(crate) fn chunk_head(out: &mut Vec<u8>, head: &ChunkHead<'_>) {
    out.push(op::CHUNK);
    let length = 8 + 8 + 8 + 4 + 4 + head.compression.len() as u64 + 8 + head.stored_size;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&head.start.to_le_bytes());
    out.extend_from_slice(&head.end.to_le_bytes());
    out.extend_from_slice(&head.uncompressed_size.to_le_bytes());
    out.extend_from_slice(&head.uncompressed_crc.to_le_bytes());
    put_str(out, head.compression);
    out.extend_from_slice(&head.stored_size.to_le_bytes());
}

pub(crate) fn message_index(out: &mut Vec<u8>, channel_id: u16, entries: &[(u64, u64)]) {
    record(out, op::MESSAGE_INDEX, |out| {
        out.extend_from_slice(&channel_id.to_le_bytes());
        let length_at = out.len();
        out.extend_from_slice(&[0; 4]);
        out.reserve(entries.len() * 16);
        for (log_time, offset) in entries {
            out.extend_from_slice(&log_time.to_le_bytes());
            out.extend_from_slice(&offset.to_le_bytes());
        }
        set_length32(out, length_at);
    });
}

pub(crate) fn chunk_index(out: &mut Vec<u8>, index: &mcap::records::ChunkIndex) {
    record(out, op::CHUNK_INDEX, |out| {
        out.extend_from_slice(&index.message_start_time.to_le_bytes());
        out.extend_from_slice(&index.message_end_time.to_le_bytes());
        out.extend_from_slice(&index.chunk_start_offset.to_le_bytes());
        out.extend_from_slice(&index.chunk_length.to_le_bytes());
        put_int_map(out, &index.message_index_offsets);
        out.extend_from_slice(&index.message_index_length.to_le_bytes());
        put_str(out, &index.compression);
        out.extend_from_slice(&index.compressed_size.to_le_bytes());
        out.extend_from_slice(&index.uncompressed_size.to_le_bytes());
    });
}

fn put_int_map(out: &mut Vec<u8>, map: &BTreeMap<u16, u64>) {
    let length_at = out.len();
    out.extend_from_slice(&[0; 4]);
    for (key, value) in map {
        out.extend_from_slice(&key.to_le_bytes());
        out.extend_from_slice(&value.to_le_bytes());
    }
    set_length32(out, length_at);
}

/// A file inside a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// When it was put in, UTC.
    pub log_time: u64,
    /// When the file was made, UTC; 0 when not known.
    pub create_time: u64,
    /// Name.
    pub name: String,
    /// Media type.
    pub media_type: String,
    /// Content.
    pub data: Vec<u8>,
}

pub(crate) fn attachment(out: &mut Vec<u8>, attachment: &Attachment) {
    record(out, op::ATTACHMENT, |out| {
        let start = out.len();
        out.extend_from_slice(&attachment.log_time.to_le_bytes());
        out.extend_from_slice(&attachment.create_time.to_le_bytes());
        put_str(out, &attachment.name);
        put_str(out, &attachment.media_type);
        out.extend_from_slice(&(attachment.data.len() as u64).to_le_bytes());
        out.extend_from_slice(&attachment.data);
        let crc = crc32fast::hash(&out[start..]);
        out.extend_from_slice(&crc.to_le_bytes());
    });
}

pub(crate) fn attachment_index(out: &mut Vec<u8>, index: &mcap::records::AttachmentIndex) {
    record(out, op::ATTACHMENT_INDEX, |out| {
        out.extend_from_slice(&index.offset.to_le_bytes());
        out.extend_from_slice(&index.length.to_le_bytes());
        out.extend_from_slice(&index.log_time.to_le_bytes());
        out.extend_from_slice(&index.create_time.to_le_bytes());
        out.extend_from_slice(&index.data_size.to_le_bytes());
        put_str(out, &index.name);
        put_str(out, &index.media_type);
    });
}

pub(crate) fn metadata(out: &mut Vec<u8>, name: &str, entries: &BTreeMap<String, String>) {
    record(out, op::METADATA, |out| {
        put_str(out, name);
        put_map(out, entries);
    });
}

pub(crate) fn metadata_index(out: &mut Vec<u8>, index: &mcap::records::MetadataIndex) {
    record(out, op::METADATA_INDEX, |out| {
        out.extend_from_slice(&index.offset.to_le_bytes());
        out.extend_from_slice(&index.length.to_le_bytes());
        put_str(out, &index.name);
    });
}

pub(crate) fn statistics(out: &mut Vec<u8>, statistics: &mcap::records::Statistics) {
    record(out, op::STATISTICS, |out| {
        out.extend_from_slice(&statistics.message_count.to_le_bytes());
        out.extend_from_slice(&statistics.schema_count.to_le_bytes());
        out.extend_from_slice(&statistics.channel_count.to_le_bytes());
        out.extend_from_slice(&statistics.attachment_count.to_le_bytes());
        out.extend_from_slice(&statistics.metadata_count.to_le_bytes());
        out.extend_from_slice(&statistics.chunk_count.to_le_bytes());
        out.extend_from_slice(&statistics.message_start_time.to_le_bytes());
        out.extend_from_slice(&statistics.message_end_time.to_le_bytes());
        put_int_map(out, &statistics.channel_message_counts);
    });
}

pub(crate) fn summary_offset(out: &mut Vec<u8>, group_opcode: u8, group_start: u64, group_length: u64) {
    record(out, op::SUMMARY_OFFSET, |out| {
        out.push(group_opcode);
        out.extend_from_slice(&group_start.to_le_bytes());
        out.extend_from_slice(&group_length.to_le_bytes());
    });
}

pub(crate) fn data_end(out: &mut Vec<u8>, data_section_crc: u32) {
    record(out, op::DATA_END, |out| out.extend_from_slice(&data_section_crc.to_le_bytes()));
}

/// A footer; its CRC covers `summary` and its own fields before the CRC.
pub(crate) fn footer(out: &mut Vec<u8>, summary: &[u8], summary_start: u64, summary_offset_start: u64) {
    let mut crc = crc32fast::Hasher::new();
    crc.update(summary);
    let start = out.len();
    record(out, op::FOOTER, |out| {
        out.extend_from_slice(&summary_start.to_le_bytes());
        out.extend_from_slice(&summary_offset_start.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
    });
    let crc_at = out.len() - 4;
    crc.update(&out[start..crc_at]);
    out[crc_at..].copy_from_slice(&crc.finalize().to_le_bytes());
}
