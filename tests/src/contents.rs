//! What is in a part, read by the `mcap` crate with every checksum validated.

use std::{collections::BTreeMap, sync::Arc};

use mcap::{
    McapError,
    records::Record,
    sans_io::{LinearReadEvent, LinearReader, LinearReaderOptions},
};

/// A channel as a reader that knows only this part sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Channel {
    /// Topic.
    pub topic: String,
    /// Encoding of its messages.
    pub message_encoding: String,
    /// Name, encoding and bytes of its schema.
    pub schema: Option<(String, String, Vec<u8>)>,
    /// Metadata.
    pub metadata: BTreeMap<String, String>,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Message {
    /// Its channel.
    pub channel: Arc<Channel>,
    /// Number of its channel in this part.
    pub channel_id: u16,
    /// Lower 32 bits of the publisher's number.
    pub sequence: u32,
    /// Log time, ns.
    pub log_time: u64,
    /// Publish time, ns.
    pub publish_time: u64,
    /// Payload.
    pub data: Vec<u8>,
}

/// Everything in a part, in file order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Messages.
    pub messages: Vec<Message>,
    /// Attachments: name and bytes.
    pub attachments: Vec<(String, Vec<u8>)>,
    /// Metadata records: name and entries.
    pub metadata: Vec<(String, BTreeMap<String, String>)>,
}

/// Why a part is not sound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unsound {
    /// The `mcap` crate cannot read it.
    #[error("the part cannot be read")]
    Mcap(#[from] McapError),
    /// A message or channel names something that no record describes.
    #[error("{what} {id} is not described")]
    Undefined {
        /// `channel` or `schema`.
        what: &'static str,
        /// Its number.
        id: u16,
    },
    /// Summary and data contradict each other.
    #[error("the summary tells {summary} {what}, the data {data}")]
    Summary {
        /// What is counted.
        what: &'static str,
        /// By the summary.
        summary: u64,
        /// By the data.
        data: u64,
    },
    /// A message is not where its index says.
    #[error("the message indexes lead to {found} messages of {expected}")]
    Index {
        /// Found by index.
        found: u64,
        /// In the file.
        expected: u64,
    },
}

impl Contents {
    /// Messages on a topic, in file order.
    pub fn on<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = &'a Message> {
        self.messages.iter().filter(move |message| message.channel.topic == topic)
    }
}

/// Reads a finished part front to back and by its index, and compares both.
///
/// # Errors
/// Anything that is not as MCAP wants it.
pub fn read_finished(part: &[u8]) -> Result<Contents, Unsound> {
    let options = LinearReaderOptions::default()
        .with_validate_chunk_crcs(true)
        .with_validate_data_section_crc(true)
        .with_validate_summary_section_crc(true)
        .with_check_finishes_after_end_magic(true);
    let mut collected = Collected::default();
    read(part, options, &mut collected)?;
    let contents = collected.contents;
    let messages = contents.messages.len() as u64;
    let summary = mcap::Summary::read(part)?.unwrap_or_default();
    let counts = summary.stats.as_ref();
    for (what, summary, data) in [
        ("messages", counts.map_or(0, |counts| counts.message_count), messages),
        ("attachments", summary.attachment_indexes.len() as u64, contents.attachments.len() as u64),
        ("metadata records", summary.metadata_indexes.len() as u64, contents.metadata.len() as u64),
    ] {
        if summary != data {
            return Err(Unsound::Summary { what, summary, data });
        }
    }
    for attachment in &summary.attachment_indexes {
        mcap::read::attachment(part, attachment)?;
    }
    let mut found = 0;
    for chunk in &summary.chunk_indexes {
        for entries in summary.read_message_indexes(part, chunk)?.into_values() {
            found += entries.len() as u64;
        }
    }
    if found != messages {
        return Err(Unsound::Index { found, expected: messages });
    }
    Ok(contents)
}

/// Reads what lies in whole chunks at the beginning of a part that just ends somewhere.
#[must_use]
pub fn read_unfinished(part: &[u8]) -> Contents {
    let options = LinearReaderOptions::default().with_prevalidate_chunk_crcs(true);
    let mut collected = Collected::default();
    // The error is where it ends.
    let _end = read(part, options, &mut collected);
    collected.contents
}

#[derive(Default)]
struct Collected {
    schemas: BTreeMap<u16, (String, String, Vec<u8>)>,
    channels: BTreeMap<u16, Arc<Channel>>,
    contents: Contents,
}

fn read(part: &[u8], options: LinearReaderOptions, collected: &mut Collected) -> Result<(), Unsound> {
    let mut reader = LinearReader::new_with_options(options);
    let mut rest = part;
    while let Some(event) = reader.next_event() {
        match event? {
            LinearReadEvent::ReadRequest(wanted) => {
                let count = wanted.min(rest.len());
                reader.insert(wanted)[..count].copy_from_slice(&rest[..count]);
                reader.notify_read(count);
                rest = &rest[count..];
            }
            LinearReadEvent::Record { opcode, data } => collected.take(mcap::parse_record(opcode, data)?)?,
        }
    }
    Ok(())
}

impl Collected {
    fn take(&mut self, record: Record<'_>) -> Result<(), Unsound> {
        match record {
            Record::Schema { header, data } => {
                self.schemas.insert(header.id, (header.name, header.encoding, data.into_owned()));
            }
            Record::Channel(channel) => {
                let schema = match channel.schema_id {
                    0 => None,
                    id => Some(self.schemas.get(&id).cloned().ok_or(Unsound::Undefined { what: "schema", id })?),
                };
                let known = Channel {
                    topic: channel.topic,
                    message_encoding: channel.message_encoding,
                    schema,
                    metadata: channel.metadata,
                };
                self.channels.insert(channel.id, Arc::new(known));
            }
            Record::Message { header, data } => {
                let id = header.channel_id;
                let channel = self.channels.get(&id).ok_or(Unsound::Undefined { what: "channel", id })?;
                self.contents.messages.push(Message {
                    channel: Arc::clone(channel),
                    channel_id: id,
                    sequence: header.sequence,
                    log_time: header.log_time,
                    publish_time: header.publish_time,
                    data: data.into_owned(),
                });
            }
            Record::Attachment { header, data, .. } => {
                self.contents.attachments.push((header.name, data.into_owned()));
            }
            Record::Metadata(metadata) => self.contents.metadata.push((metadata.name, metadata.metadata)),
            _ => {}
        }
        Ok(())
    }
}
