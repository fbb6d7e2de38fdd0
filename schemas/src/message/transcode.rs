//! Value trees that follow a bundled protobuf message (Foxglove's JSON, `foxglove_msgs` of ROS) → typed views.
//!
//! The tree is put into the protobuf message field by field, and the view made from that: what a field means and
//! which sizes it may have is said once, for protobuf.

use std::{borrow::Cow, collections::HashMap};

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage as _, Value as Reflected,
};

use super::{
    Message, bundled,
    error::Problem,
    fields::{self, wrong},
    protobuf,
};
use crate::value::Value;

/// The view of a tree that is shaped like a bundled message; absent if there is none of this name or no view of it.
pub(super) fn convert(schema: &str, value: &Value) -> Option<Result<Message, Problem>> {
    let name = match schema.strip_prefix("foxglove_msgs/") {
        Some(ros) => Cow::Owned(format!("foxglove.{}", ros.strip_prefix("msg/").unwrap_or(ros))),
        None => Cow::Borrowed(schema),
    };
    if !protobuf::has_view(&name) {
        return None;
    }
    let message = match fill(&bundled::message_descriptor(&name)?, value) {
        Ok(message) => message,
        Err(problem) => return Some(Err(problem)),
    };
    protobuf::decode(&name, Bytes::from(message.encode_to_vec()))
}

/// A message of this type with the fields of the tree; fields that the message does not have are left out.
// Recurses no deeper than the bundled messages nest.
fn fill(descriptor: &MessageDescriptor, value: &Value) -> Result<DynamicMessage, Problem> {
    if !matches!(value, Value::Struct(_)) {
        return Err(wrong("an object"));
    }
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        // ROS does not allow capitals in field names: `K` is `k`.
        let found = value.get(field.name()).or_else(|| value.get(&field.name().to_ascii_lowercase()));
        let Some(found) = found.filter(|v| **v != Value::Null) else { continue };
        let reflected = reflect(&field, found).map_err(|problem| problem.under(field.name()))?;
        message.try_set_field(&field, reflected).map_err(|_mismatch| wrong("of its type").under(field.name()))?;
    }
    Ok(message)
}

fn reflect(field: &FieldDescriptor, value: &Value) -> Result<Reflected, Problem> {
    if field.is_map() {
        return map(field, value);
    }
    if !field.is_list() {
        return single(&field.kind(), value);
    }
    let items: Result<Vec<Reflected>, Problem> = match value {
        Value::List(items) => items.iter().map(|item| single(&field.kind(), item)).collect(),
        Value::Floats(items) => items.iter().map(|x| single(&field.kind(), &Value::Float(*x))).collect(),
        _ => Err(wrong("a list")),
    };
    items.map(Reflected::List)
}

/// A map with text as key: all that the bundled messages have.
fn map(field: &FieldDescriptor, value: &Value) -> Result<Reflected, Problem> {
    let (Kind::Message(entry), Value::Struct(items)) = (field.kind(), value) else { return Err(wrong("an object")) };
    let kind = entry.map_entry_value_field().kind();
    let items: Result<HashMap<MapKey, Reflected>, Problem> =
        items.iter().map(|(key, v)| Ok((MapKey::String((**key).to_owned()), single(&kind, v)?))).collect();
    items.map(Reflected::Map)
}

fn single(kind: &Kind, value: &Value) -> Result<Reflected, Problem> {
    let integer = || fields::integer(value);
    Ok(match kind {
        Kind::Double => Reflected::F64(fields::number(value)?),
        #[expect(clippy::cast_possible_truncation, reason = "the message holds 32-bit floats")]
        Kind::Float => Reflected::F32(fields::number(value)? as f32),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Reflected::I32(narrow(integer()?)?),
        Kind::Uint32 | Kind::Fixed32 => Reflected::U32(narrow(integer()?)?),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Reflected::I64(integer()?),
        Kind::Uint64 | Kind::Fixed64 => Reflected::U64(match value.as_u64() {
            Some(n) => n,
            None => narrow(integer()?)?,
        }),
        Kind::Bool => Reflected::Bool(fields::flag(value)?),
        Kind::String => Reflected::String(value.as_str().ok_or(wrong("a text"))?.to_owned()),
        Kind::Bytes => Reflected::Bytes(fields::octets(value)?),
        Kind::Enum(descriptor) => match value {
            Value::Text(name) => {
                let known = descriptor.get_value_by_name(name).ok_or(wrong("a name of its enumeration"))?;
                Reflected::EnumNumber(known.number())
            }
            _ => Reflected::EnumNumber(narrow(integer()?)?),
        },
        Kind::Message(descriptor) => Reflected::Message(match descriptor.full_name() {
            "google.protobuf.Timestamp" => {
                let nanos = fields::time(value)?.as_nanos();
                seconds(descriptor.clone(), nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000))?
            }
            "google.protobuf.Duration" => {
                let (secs, nanos) = match value {
                    Value::Duration(nanos) => (nanos / 1_000_000_000, nanos % 1_000_000_000),
                    other => fields::seconds_and_nanos(other)?,
                };
                seconds(descriptor.clone(), secs, nanos)?
            }
            _ => fill(descriptor, value)?,
        }),
    })
}

/// A timestamp or duration: seconds at field 1, nanoseconds at field 2.
fn seconds(descriptor: MessageDescriptor, secs: i64, nanos: i64) -> Result<DynamicMessage, Problem> {
    let mut message = DynamicMessage::new(descriptor);
    for (number, reflected) in [(1, Reflected::I64(secs)), (2, Reflected::I32(narrow(nanos)?))] {
        let field = message.descriptor().get_field(number).ok_or(wrong("a time"))?;
        message.try_set_field(&field, reflected).map_err(|_mismatch| wrong("a time"))?;
    }
    Ok(message)
}

fn narrow<T: TryFrom<i64>>(n: i64) -> Result<T, Problem> {
    T::try_from(n).map_err(|_out_of_range| wrong("within the range of its type"))
}
