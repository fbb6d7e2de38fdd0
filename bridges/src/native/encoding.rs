//! Between zenoh's encoding strings and MCAP's message encodings.

use std::collections::BTreeMap;

use sagwan_schemas::channel::{ChannelDescriptor, SchemaDescriptor};
use zenoh::bytes::Encoding;

use super::key;

/// Channel metadata that keeps the zenoh encoding of a payload that MCAP's words do not describe fully.
pub const ZENOH_ENCODING: &str = "zenoh_encoding";

/// zenoh writes the part of an encoding that it does not know by number with a length of one byte.
const MAX_SCHEMA_BYTES: usize = 255;

/// A zenoh encoding, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageEncoding {
    /// `protobuf`, `json`, `cdr`; for anything else the zenoh encoding as it is.
    pub message_encoding: String,
    /// Name in its `schema=` parameter, or its only, nameless parameter.
    pub schema_name: Option<String>,
}

/// Reads `<type>;schema=<name>`; other parameters are skipped, spaces around them too.
#[must_use]
pub fn parse(encoding: &Encoding) -> MessageEncoding {
    let text = encoding.to_string();
    let (kind, parameters) = text.split_once(';').unwrap_or((&text, ""));
    let message_encoding = match kind.trim() {
        "application/protobuf" | "application/x-protobuf" | "protobuf" => "protobuf",
        "application/json" | "text/json" | "json" => "json",
        "application/cdr" | "application/x-cdr" | "cdr" => "cdr",
        _ => return MessageEncoding { message_encoding: text, schema_name: None },
    };
    MessageEncoding { message_encoding: message_encoding.to_owned(), schema_name: schema_parameter(parameters) }
}

fn schema_parameter(parameters: &str) -> Option<String> {
    let named = parameters.split(';').find_map(|p| p.trim().strip_prefix("schema="));
    let nameless = || Some(parameters.trim()).filter(|p| !p.contains(['=', ';']));
    named.map(str::trim).or_else(nameless).filter(|name| !name.is_empty()).map(str::to_owned)
}

/// What is known of a channel whose publisher answers no schema query, native or not.
///
/// `bundled` gives the schema of a well-known message by its full name. What the result cannot say stays in the
/// metadata as [`ZENOH_ENCODING`].
#[must_use]
pub fn descriptor_from_encoding(
    key: &str,
    encoding: &Encoding,
    bundled: &dyn Fn(&str) -> Option<SchemaDescriptor>,
) -> ChannelDescriptor {
    let MessageEncoding { message_encoding, schema_name } = parse(encoding);
    let schema = match (message_encoding.as_str(), &schema_name) {
        ("protobuf", Some(name)) => bundled(name),
        _ => None,
    };
    let is_raw = !matches!(message_encoding.as_str(), "protobuf" | "json" | "cdr");
    let mut metadata = BTreeMap::new();
    if is_raw || schema_name.is_some() && schema.is_none() {
        metadata.insert(ZENOH_ENCODING.to_owned(), encoding.to_string());
    }
    ChannelDescriptor { topic: key::default_topic(key), message_encoding, schema, metadata }
}

/// The zenoh encoding of the messages of a channel; what does not fit on the wire is left out.
#[must_use]
pub fn of_channel(channel: &ChannelDescriptor) -> Encoding {
    if let Some(original) = channel.metadata.get(ZENOH_ENCODING).filter(|e| fits(e)) {
        return Encoding::from(original.as_str());
    }
    let kind = match channel.message_encoding.as_str() {
        "" => return Encoding::default(),
        mime if mime.contains('/') => mime.to_owned(),
        name => format!("application/{name}"),
    };
    let full = channel.schema.as_ref().map(|schema| format!("{kind};schema={}", schema.name));
    let text = full.into_iter().chain([kind]).find(|text| fits(text));
    text.map_or_else(Encoding::default, Encoding::from)
}

/// Whether zenoh can write this encoding, be its type known to zenoh or not.
pub(super) fn fits(text: &str) -> bool {
    text.len() <= MAX_SCHEMA_BYTES
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn imu(name: &str) -> Option<SchemaDescriptor> {
        let schema =
            SchemaDescriptor { name: name.to_owned(), encoding: "protobuf".to_owned(), data: Bytes::from_static(b"x") };
        (name == "foxglove.Imu").then_some(schema)
    }

    #[test]
    fn encodings_are_read_as_mcap_understands_them() {
        for (text, message_encoding, schema_name) in [
            ("application/protobuf;schema=foxglove.Imu", "protobuf", Some("foxglove.Imu")),
            ("application/protobuf; charset=x; schema=foxglove.Imu", "protobuf", Some("foxglove.Imu")),
            ("application/protobuf;foxglove.Imu", "protobuf", Some("foxglove.Imu")),
            ("application/protobuf;schema=", "protobuf", None),
            ("application/protobuf", "protobuf", None),
            ("application/x-protobuf;schema=a", "protobuf", Some("a")),
            ("application/json", "json", None),
            ("text/json", "json", None),
            ("application/json;utf8=1", "json", None),
            ("application/cdr;schema=std_msgs/msg/String", "cdr", Some("std_msgs/msg/String")),
            ("zenoh/bytes", "zenoh/bytes", None),
            ("image/jpeg", "image/jpeg", None),
            ("my/own;thing", "my/own;thing", None),
            ("", "zenoh/bytes", None),
        ] {
            let parsed = parse(&Encoding::from(text));
            assert_eq!(parsed.message_encoding, message_encoding, "{text}");
            assert_eq!(parsed.schema_name.as_deref(), schema_name, "{text}");
        }
    }

    #[test]
    fn channels_without_queryable_still_get_topic_and_schema() {
        for (key, encoding, topic, message_encoding, has_schema, kept) in [
            ("sagwan/v1/g1/imu", "application/protobuf;schema=foxglove.Imu", "/imu", "protobuf", true, None),
            ("sagwan/v1/g1/a%2A/b", "application/protobuf", "/a*/b", "protobuf", false, None),
            ("lab/imu", "application/protobuf;schema=lab.X", "/lab/imu", "protobuf", false, Some("schema=lab.X")),
            ("lab/log", "application/json", "/lab/log", "json", false, None),
            ("lab/cam", "image/jpeg", "/lab/cam", "image/jpeg", false, Some("image/jpeg")),
            ("lab/raw", "", "/lab/raw", "zenoh/bytes", false, Some("zenoh/bytes")),
        ] {
            let channel = descriptor_from_encoding(key, &Encoding::from(encoding), &imu);
            assert_eq!((channel.topic.as_str(), channel.message_encoding.as_str()), (topic, message_encoding), "{key}");
            assert_eq!(channel.schema.is_some(), has_schema, "{key}");
            let metadata = channel.metadata.get(ZENOH_ENCODING).map(String::as_str);
            assert_eq!(metadata.is_some(), kept.is_some(), "{key}");
            assert!(metadata.unwrap_or_default().contains(kept.unwrap_or_default()), "{key}");
        }
    }

    #[test]
    fn a_channel_says_its_encoding_and_never_more_than_zenoh_can_write() {
        let schema = |name: &str| SchemaDescriptor { name: name.to_owned(), ..imu("foxglove.Imu").unwrap() };
        let long = "x".repeat(300);
        for (message_encoding, schema, expected) in [
            ("protobuf", Some(schema("a.B")), "application/protobuf;schema=a.B"),
            ("cdr", Some(schema("a/msg/B")), "application/cdr;schema=a/msg/B"),
            ("ros1", Some(schema("a/B")), "application/ros1;schema=a/B"),
            ("image/jpeg", None, "image/jpeg"),
            ("", Some(schema("a")), "zenoh/bytes"),
            ("protobuf", Some(schema(&long)), "application/protobuf"),
            (&long, None, "zenoh/bytes"),
        ] {
            let channel = ChannelDescriptor {
                topic: "/t".to_owned(),
                message_encoding: message_encoding.to_owned(),
                schema,
                metadata: BTreeMap::new(),
            };
            assert_eq!(of_channel(&channel).to_string(), expected);
        }
    }

    #[test]
    fn raw_channels_go_back_to_the_encoding_they_came_with() {
        for text in ["image/jpeg", "my/own;thing", "zenoh/bytes", "application/protobuf;schema=lab.X"] {
            let channel = descriptor_from_encoding("lab/x", &Encoding::from(text), &imu);
            assert_eq!(of_channel(&channel).to_string(), text);
        }
    }
}
