//! What a stream is, as its publisher tells it: the reply of the `@schema` queryable, written and read.
//!
//! Reply payload = the schema's bytes; reply encoding = `<schema encoding>;schema=<name>`; reply attachment = JSON:
//! ```json
//! {"topic": "/head_color", "message_encoding": "protobuf", "latched": false, "metadata": {},
//!  "schema_name": "foxglove.CompressedImage", "schema_encoding": "protobuf"}
//! ```
//! Every field of it may be missing; then the topic is [`key::default_topic`], and the message encoding follows the
//! schema's. `schema_*` win over the reply's encoding, which cannot hold long names; without either there is no schema.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use sagwan_schemas::channel::{ChannelDescriptor, SchemaDescriptor};
use serde::{Deserialize, Serialize};
use zenoh::{
    Session, Wait,
    bytes::Encoding,
    query::{ConsolidationMode, QueryTarget},
    sample::Sample,
};

use super::{encoding, key, receive::copy_payload};

/// Largest schema that is accepted from the wire, bytes.
const MAX_SCHEMA_BYTES: usize = 16 * 1024 * 1024;
/// Largest JSON attachment of a schema reply, bytes.
const MAX_HEADER_BYTES: usize = 1024 * 1024;
/// Longest topic and schema name, bytes.
const MAX_NAME_BYTES: usize = 4096;
/// Longest message or schema encoding, bytes.
const MAX_ENCODING_BYTES: usize = 1024;
/// Replies that are read before an answer counts as hostile.
const MAX_REPLIES: usize = 64;

/// A stream as its publisher declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamDescriptor {
    /// Last part of the key; any number of chunks.
    pub stream: String,
    /// What a recording of it says.
    pub channel: ChannelDescriptor,
    /// Whether its last value is kept for those who come later.
    pub latched: bool,
}

/// A stream as its publisher described it on request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// What a recording of it says.
    pub channel: ChannelDescriptor,
    /// Whether [`super::fetch_latched`] on its key gives its last value.
    pub latched: bool,
}

/// Why a schema reply was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptorError {
    /// More bytes than any schema has.
    #[error("schema has {length} bytes, at most {MAX_SCHEMA_BYTES} are accepted")]
    SchemaTooLarge {
        /// Bytes of the reply.
        length: usize,
    },
    /// The JSON attachment is too long.
    #[error("description has {length} bytes, at most {MAX_HEADER_BYTES} are accepted")]
    HeaderTooLarge {
        /// Bytes of the attachment.
        length: usize,
    },
    /// The attachment is no JSON object of the expected fields.
    #[error("description is not the JSON object expected")]
    Header(#[source] serde_json::Error),
    /// A name that no channel can have.
    #[error("{field} is too long ({length} bytes), empty or has control characters")]
    Name {
        /// Which.
        field: &'static str,
        /// Bytes of it.
        length: usize,
    },
    /// The bytes went away while they were read.
    #[error("schema bytes are unreadable")]
    Payload(#[source] super::PayloadError),
}

/// The JSON attachment.
#[derive(Serialize, Deserialize)]
struct Header {
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_encoding: Option<String>,
    #[serde(default)]
    latched: bool,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schema_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schema_encoding: Option<String>,
}

/// A schema reply, ready to send.
#[derive(Clone, Debug)]
pub(super) struct SchemaReply {
    pub(super) payload: Bytes,
    pub(super) encoding: Encoding,
    pub(super) attachment: Vec<u8>,
}

/// What the `@schema` queryable answers.
pub(super) fn schema_reply(descriptor: StreamDescriptor) -> SchemaReply {
    let ChannelDescriptor { topic, message_encoding, schema, metadata } = descriptor.channel;
    let header = Header {
        topic: Some(topic),
        message_encoding: Some(message_encoding),
        latched: descriptor.latched,
        metadata,
        schema_name: schema.as_ref().map(|s| s.name.clone()),
        schema_encoding: schema.as_ref().map(|s| s.encoding.clone()),
    };
    let named = schema.as_ref().map(|s| format!("{};schema={}", s.encoding, s.name)).filter(|e| encoding::fits(e));
    SchemaReply {
        payload: schema.map(|s| s.data).unwrap_or_default(),
        encoding: named.map_or_else(Encoding::default, Encoding::from),
        // Strings and maps of strings: serialisation cannot fail.
        attachment: serde_json::to_vec(&header).unwrap_or_default(),
    }
}

/// Reads the reply of a `@schema` queryable about `key`; the reply is hostile until it has passed here.
///
/// # Errors
/// [`DescriptorError`] says what is wrong with it.
pub fn parse_descriptor(key: &str, reply: &Sample) -> Result<Fetched, DescriptorError> {
    let length = reply.payload().len();
    if length > MAX_SCHEMA_BYTES {
        return Err(DescriptorError::SchemaTooLarge { length });
    }
    let header = header(reply)?;
    let (encoding_kind, encoding_name) = encoding_of(reply.encoding());
    let name = header.schema_name.or(encoding_name);
    let schema_encoding = header.schema_encoding.unwrap_or(encoding_kind);
    let message_encoding = header.message_encoding.unwrap_or_else(|| message_encoding_for(&schema_encoding).to_owned());
    let topic = header.topic.unwrap_or_else(|| key::default_topic(key));
    check_name("topic", &topic, 1, MAX_NAME_BYTES)?;
    check_name("message encoding", &message_encoding, 0, MAX_ENCODING_BYTES)?;
    let schema = match name {
        Some(name) => {
            check_name("schema name", &name, 0, MAX_NAME_BYTES)?;
            check_name("schema encoding", &schema_encoding, 0, MAX_ENCODING_BYTES)?;
            let data = copy_payload(reply.payload()).map_err(DescriptorError::Payload)?;
            Some(SchemaDescriptor { name, encoding: schema_encoding, data })
        }
        None => None,
    };
    let channel = ChannelDescriptor { topic, message_encoding, schema, metadata: header.metadata };
    Ok(Fetched { channel, latched: header.latched })
}

fn header(reply: &Sample) -> Result<Header, DescriptorError> {
    let Some(attachment) = reply.attachment() else {
        return serde_json::from_str("{}").map_err(DescriptorError::Header);
    };
    let length = attachment.len();
    if length > MAX_HEADER_BYTES {
        return Err(DescriptorError::HeaderTooLarge { length });
    }
    serde_json::from_slice(&attachment.to_bytes()).map_err(DescriptorError::Header)
}

/// Schema encoding and name of `<schema encoding>;schema=<name>`.
fn encoding_of(encoding: &Encoding) -> (String, Option<String>) {
    let text = encoding.to_string();
    match text.split_once(';') {
        Some((kind, rest)) => (kind.to_owned(), Some(rest.strip_prefix("schema=").unwrap_or(rest).to_owned())),
        None => (text, None),
    }
}

/// The message encoding that goes with a schema encoding in MCAP's registry.
fn message_encoding_for(schema_encoding: &str) -> &str {
    match schema_encoding {
        "ros2msg" | "ros2idl" | "omgidl" => "cdr",
        "ros1msg" => "ros1",
        "jsonschema" => "json",
        other => other,
    }
}

fn check_name(field: &'static str, name: &str, min: usize, max: usize) -> Result<(), DescriptorError> {
    let length = name.len();
    if length < min || length > max || name.contains(char::is_control) {
        return Err(DescriptorError::Name { field, length });
    }
    Ok(())
}

/// Asks the publishers of `key` what it is; blocks until the first good answer, at most `timeout`.
///
/// `None` if nobody answers or no answer is acceptable; refused answers are logged with the reason.
#[must_use]
pub fn fetch_descriptor(session: &Session, key: &str, timeout: Duration) -> Option<Fetched> {
    let deadline = Instant::now() + timeout;
    let asked = session
        .get(key::schema_key(key))
        .target(QueryTarget::All)
        .consolidation(ConsolidationMode::None)
        .timeout(timeout)
        .wait();
    let replies = match asked {
        Ok(replies) => replies,
        Err(error) => {
            tracing::warn!(key, %error, "cannot ask for the schema");
            return None;
        }
    };
    for _ in 0..MAX_REPLIES {
        let reply = replies.recv_deadline(deadline).ok().flatten()?;
        let Ok(sample) = reply.result() else { continue };
        match parse_descriptor(key, sample) {
            Ok(fetched) => return Some(fetched),
            Err(error) => {
                tracing::warn!(key, error = &error as &dyn std::error::Error, "schema reply refused");
            }
        }
    }
    None
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;
    use zenoh::{bytes::ZBytes, key_expr::KeyExpr, sample::SampleBuilder};

    use super::*;

    const KEY: &str = "sagwan/v1/g1/head_color";

    fn reply(payload: impl Into<ZBytes>, encoding: &str, attachment: Option<&[u8]>) -> Sample {
        let key = KeyExpr::try_from(key::schema_key(KEY)).unwrap();
        let builder = SampleBuilder::put(key, payload.into()).encoding(Encoding::from(encoding));
        match attachment {
            Some(bytes) => builder.attachment(bytes).into(),
            None => builder.into(),
        }
    }

    fn descriptor(schema: Option<(&str, &str)>, metadata: &[(&str, &str)]) -> StreamDescriptor {
        let channel = ChannelDescriptor {
            topic: "/head color".to_owned(),
            message_encoding: "protobuf".to_owned(),
            schema: schema.map(|(name, encoding)| SchemaDescriptor {
                name: name.to_owned(),
                encoding: encoding.to_owned(),
                data: Bytes::from_static(b"\0data"),
            }),
            metadata: metadata.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        };
        StreamDescriptor { stream: "head_color".to_owned(), channel, latched: true }
    }

    #[test]
    fn what_a_publisher_says_is_what_a_receiver_reads() {
        let long = "n".repeat(400);
        for descriptor in [
            descriptor(Some(("foxglove.Imu", "protobuf")), &[("unit", "m/s²"), ("", "")]),
            descriptor(Some(("a/msg/B", "ros2msg")), &[]),
            descriptor(Some(("weird;schema=x", "")), &[]),
            descriptor(Some((&long, "protobuf")), &[]),
            descriptor(Some(("", "")), &[]),
            descriptor(None, &[]),
        ] {
            let sent = schema_reply(descriptor.clone());
            let sample = reply(sent.payload.to_vec(), &sent.encoding.to_string(), Some(&sent.attachment));
            let fetched = parse_descriptor(KEY, &sample).unwrap();
            assert_eq!(fetched.channel, descriptor.channel);
            assert!(fetched.latched);
        }
    }

    #[test]
    fn a_minimal_publisher_gets_sensible_defaults() {
        for (encoding, attachment, message_encoding, schema_name) in [
            ("protobuf;schema=a.B", None, "protobuf", Some("a.B")),
            ("ros2msg;schema=a/msg/B", None, "cdr", Some("a/msg/B")),
            ("jsonschema;schema=a", Some(&b"{}"[..]), "json", Some("a")),
            ("jsonschema;schema=a", Some(&br#"{"message_encoding": "x", "extra": [1]}"#[..]), "x", Some("a")),
            ("", Some(&br#"{"message_encoding": "json"}"#[..]), "json", None),
        ] {
            let fetched = parse_descriptor(KEY, &reply("x", encoding, attachment)).unwrap();
            assert_eq!(fetched.channel.topic, "/head_color");
            assert_eq!(fetched.channel.message_encoding, message_encoding);
            assert_eq!(fetched.channel.schema.map(|s| s.name).as_deref(), schema_name);
        }
    }

    #[test]
    fn hostile_replies_are_refused_with_the_reason() {
        let deep = "[".repeat(100_000);
        let long_topic = format!(r#"{{"topic": "{}"}}"#, "t".repeat(MAX_NAME_BYTES + 1));
        for (attachment, expected) in [
            (&b"{"[..], "not the JSON object"),
            (b"\xff", "not the JSON object"),
            (br#"{"topic": 3}"#, "not the JSON object"),
            (deep.as_bytes(), "not the JSON object"),
            (br#"{"topic": ""}"#, "topic"),
            (br#"{"topic": "/a\u0000"}"#, "topic"),
            (br#"{"schema_name": "a\nb"}"#, "schema name"),
            (long_topic.as_bytes(), "topic"),
            (&vec![b' '; MAX_HEADER_BYTES + 1], "at most"),
        ] {
            let error = parse_descriptor(KEY, &reply("x", "protobuf;schema=a.B", Some(attachment))).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        let error = parse_descriptor(KEY, &reply(vec![0; MAX_SCHEMA_BYTES + 1], "", None)).unwrap_err();
        assert!(error.to_string().contains("at most"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_reply_is_read_without_panic(payload: Vec<u8>, encoding in "\\PC{0,40}", attachment: Option<Vec<u8>>) {
            let _ = parse_descriptor(KEY, &reply(payload, &encoding, attachment.as_deref()));
        }
    }
}
