//! Payloads of any channel as value trees and typed messages. Knows no file and no wire.
//!
//! Schemas and payloads come from outside: nothing here panics, recurses without limit or allocates more than a small
//! multiple of its input; see [`Limits`].

use bytes::Bytes;

use crate::{channel::ChannelDescriptor, message::Message, value::Value};

mod cdr;
mod cursor;
mod error;
mod json;
mod protobuf;
mod ros2msg;

use cursor::Cursor;
pub use error::{DecodeError, Place, Problem, SchemaError};

/// What a payload may become.
///
/// Besides these, a payload of `n` bytes becomes at most `4 n + 65 536` values of at most 56 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Levels of nesting, the message itself being the first.
    pub max_depth: usize,
    /// Values of the tree, counting four packed floats or any run of octets as one.
    pub max_elements: usize,
    /// Bytes of a payload.
    pub max_payload: usize,
}

impl Limits {
    /// Values that each byte of a payload may become.
    const ELEMENTS_PER_BYTE: usize = 4;
    /// Values that every payload may become: schemas with many fields make much of few bytes.
    const ELEMENTS_FREE: usize = 65_536;
}

impl Default for Limits {
    /// 64 levels, 16 Mi values, 256 MiB.
    fn default() -> Self {
        Self { max_depth: 64, max_elements: 16 << 20, max_payload: 256 << 20 }
    }
}

/// Decodes the payloads of one channel. Parses the schema once.
#[derive(Clone, Debug)]
pub struct Decoder {
    format: Format,
    schema_name: String,
    limits: Limits,
}

#[derive(Clone, Debug)]
enum Format {
    Protobuf(protobuf::ProtobufSchema),
    /// CDR and ROS 1.
    Ros(ros2msg::RosSchema),
    Json,
    /// Not known; says why.
    Opaque(String),
}

impl Decoder {
    /// Of `protobuf`, `cdr` with `ros2msg`, `ros1` with `ros1msg` and `json` channels; of all others a decoder that
    /// gives payloads back as [`Value::Bytes`] and says why in [`Self::opaque_reason`].
    ///
    /// # Errors
    /// [`DecodeError::Schema`] where the encoding is known and the schema broken.
    pub fn new(channel: &ChannelDescriptor) -> Result<Self, DecodeError> {
        Self::with_limits(channel, Limits::default())
    }

    /// [`Self::new`] with other limits than the default.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_limits(channel: &ChannelDescriptor, limits: Limits) -> Result<Self, DecodeError> {
        let schema_name = channel.schema.as_ref().map_or_else(String::new, |schema| schema.name.clone());
        let format =
            Format::of(channel).map_err(|source| DecodeError::Schema { schema: schema_name.clone(), source })?;
        Ok(Self { format, schema_name, limits })
    }

    /// Name of the channel's schema; empty without one.
    #[must_use]
    pub fn schema_name(&self) -> &str {
        &self.schema_name
    }

    /// Why payloads are not decoded, if they are not.
    #[must_use]
    pub fn opaque_reason(&self) -> Option<&str> {
        match &self.format {
            Format::Opaque(reason) => Some(reason),
            _ => None,
        }
    }

    /// Decodes a payload into a tree.
    ///
    /// Fields are in the order of the schema, or of the text for JSON. What protobuf leaves out has its default, or
    /// [`Value::Null`] where the schema tells unset from default; maps are structs named by their keys.
    ///
    /// # Errors
    /// [`DecodeError::PayloadTooLarge`] and [`DecodeError::Malformed`].
    pub fn decode(&self, payload: &[u8]) -> Result<Value, DecodeError> {
        self.decode_at(Cursor::new(payload), payload)
    }

    /// Like [`Self::decode`]; octets of the tree share the payload's memory, which lives as long as they do.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn decode_bytes(&self, payload: &Bytes) -> Result<Value, DecodeError> {
        self.decode_at(Cursor::sharing(payload), payload)
    }

    /// Decodes `payload`, over all of which `cursor` is.
    fn decode_at<'a>(&self, cursor: Cursor<'a>, payload: &'a [u8]) -> Result<Value, DecodeError> {
        self.check_size(payload)?;
        Ok(match &self.format {
            Format::Protobuf(schema) => schema.decode(cursor, &self.limits)?,
            Format::Ros(schema) => cdr::decode(schema, cursor, &self.limits)?,
            Format::Json => json::decode(payload, &self.limits)?,
            Format::Opaque(_) => Value::Bytes(cursor.octets(payload)),
        })
    }

    /// Decodes a payload into the typed view of its schema, or [`Message::Other`] where there is none.
    ///
    /// # Errors
    /// As [`Self::decode`], and [`DecodeError::View`] where the sample contradicts itself or its schema differs from
    /// the one that the name promises.
    pub fn view(&self, payload: &[u8]) -> Result<Message, DecodeError> {
        self.check_size(payload)?;
        if let (Format::Protobuf(_), Some(message)) = (&self.format, Message::from_protobuf(&self.schema_name, payload))
        {
            return Ok(message?);
        }
        self.view_of(self.decode(payload)?)
    }

    /// Like [`Self::view`]; pictures, clouds and other octets share the payload's memory.
    ///
    /// # Errors
    /// As [`Self::view`].
    pub fn view_bytes(&self, payload: &Bytes) -> Result<Message, DecodeError> {
        self.check_size(payload)?;
        if matches!(self.format, Format::Protobuf(_))
            && let Some(message) = Message::from_protobuf_bytes(&self.schema_name, payload.clone())
        {
            return Ok(message?);
        }
        self.view_of(self.decode_bytes(payload)?)
    }

    fn view_of(&self, value: Value) -> Result<Message, DecodeError> {
        let viewed = match &self.format {
            Format::Opaque(_) => None,
            _ => Message::from_value(&self.schema_name, &value),
        };
        Ok(viewed.transpose()?.unwrap_or(Message::Other(value)))
    }

    fn check_size(&self, payload: &[u8]) -> Result<(), DecodeError> {
        if payload.len() > self.limits.max_payload {
            return Err(DecodeError::PayloadTooLarge { size: payload.len(), limit: self.limits.max_payload });
        }
        Ok(())
    }
}

impl Format {
    fn of(channel: &ChannelDescriptor) -> Result<Self, SchemaError> {
        use ros2msg::{Dialect, RosSchema};
        let message_encoding = channel.message_encoding.as_str();
        if message_encoding == "json" {
            return Ok(Self::Json);
        }
        let Some(schema) = &channel.schema else {
            return Ok(Self::Opaque(format!("message encoding {message_encoding:?} without a schema")));
        };
        match (message_encoding, schema.encoding.as_str()) {
            ("protobuf", "protobuf") => protobuf::ProtobufSchema::parse(&schema.name, &schema.data).map(Self::Protobuf),
            ("cdr", "ros2msg") => RosSchema::parse(&schema.name, &schema.data, Dialect::Ros2).map(Self::Ros),
            ("ros1", "ros1msg") => RosSchema::parse(&schema.name, &schema.data, Dialect::Ros1).map(Self::Ros),
            (_, schema_encoding) => Ok(Self::Opaque(format!(
                "message encoding {message_encoding:?} with schema encoding {schema_encoding:?} is not supported"
            ))),
        }
    }
}

#[cfg(test)]
mod tests;
