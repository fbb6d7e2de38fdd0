//! Protobuf payloads, read by an embedded `FileDescriptorSet`.
//!
//! The wire is read here and not through a reflection library: its dynamic messages have no budget of values, take 56
//! bytes for each packed float, keep unknown fields and do not say where an error is.
//! Rules: <https://protobuf.dev/programming-guides/encoding/>.

use std::sync::Arc;

use super::{
    Limits,
    cursor::{Budget, Cursor},
    error::{Fault, Problem, SchemaError},
};
use crate::{time::Timestamp, value::Value};

mod descriptor;
mod schema;
mod wire;

use schema::{Field, Kind, Label, Schema};
use wire::{WireType, skip, tag, varint};

/// A message type and all it refers to.
#[derive(Clone, Debug)]
pub(super) struct ProtobufSchema(Schema);

impl ProtobufSchema {
    /// From a serialized `FileDescriptorSet` that has the message `name`.
    pub(super) fn parse(name: &str, data: &[u8]) -> Result<Self, SchemaError> {
        let files = descriptor::parse(data)?;
        Schema::build(name, &files).map(Self)
    }

    /// Decodes one message.
    pub(super) fn decode(&self, mut cursor: Cursor<'_>, limits: &Limits) -> Result<Value, Fault> {
        let length = cursor.left();
        let mut reader = Reader { schema: &self.0, budget: Budget::new(limits, length) };
        let mut fields = reader.unset(0, 0, &cursor)?;
        reader.message(0, &mut fields, &mut cursor, End::At(length), 0)?;
        Ok(Value::Struct(fields))
    }
}

type Fields = Vec<(Arc<str>, Value)>;

/// Where a message ends.
#[derive(Clone, Copy)]
enum End {
    At(usize),
    Group(u32),
}

struct Reader<'s> {
    schema: &'s Schema,
    budget: Budget,
}

impl Reader<'_> {
    /// All fields of a message type, unset.
    fn unset(&mut self, index: usize, depth: usize, cursor: &Cursor<'_>) -> Result<Fields, Fault> {
        self.budget.depth(depth).map_err(|problem| cursor.fault(problem))?;
        let Some(message) = self.schema.messages.get(index) else { return Ok(Vec::new()) };
        self.budget.spend(message.fields.len(), cursor)?;
        Ok(message.fields.iter().map(|field| (Arc::clone(&field.name), field.unset.clone())).collect())
    }

    /// Merges a message into its fields.
    fn message(
        &mut self,
        index: usize,
        fields: &mut Fields,
        cursor: &mut Cursor<'_>,
        end: End,
        depth: usize,
    ) -> Result<(), Fault> {
        let schema = self.schema;
        let Some(message) = schema.messages.get(index) else { return Ok(()) };
        let mut expected = 0;
        loop {
            if let End::At(end) = end
                && cursor.at() >= end
            {
                return Ok(());
            }
            let start = cursor.clone();
            let (number, wire_type) = tag(cursor)?;
            if wire_type == WireType::EndGroup {
                let ours = matches!(end, End::Group(group) if group == number);
                return if ours { Ok(()) } else { Err(start.fault(Problem::Group)) };
            }
            let Some(at) = message.position(number, expected) else {
                skip(cursor, number, wire_type, depth, &self.budget)?;
                continue;
            };
            expected = at + 1;
            let (Some(field), Some((_, slot))) = (message.fields.get(at), fields.get_mut(at)) else { continue };
            self.field(field, slot, cursor, wire_type, depth).map_err(|fault| fault.in_field(&field.name))?;
            if let Some(oneof) = field.oneof {
                self.clear_others(message.oneof(oneof), at, fields, cursor)?;
            }
        }
    }

    /// Unsets the other members of a oneof.
    fn clear_others(
        &mut self,
        members: &[usize],
        set: usize,
        fields: &mut Fields,
        cursor: &Cursor<'_>,
    ) -> Result<(), Fault> {
        // Paid for, since a payload could switch between the members of a huge oneof at every other byte.
        self.budget.spend(members.len() / 16, cursor)?;
        for other in members.iter().filter(|at| **at != set) {
            if let Some((_, slot)) = fields.get_mut(*other) {
                *slot = Value::Null;
            }
        }
        Ok(())
    }

    /// Reads one occurrence of a field into its slot.
    fn field(
        &mut self,
        field: &Field,
        slot: &mut Value,
        cursor: &mut Cursor<'_>,
        wire_type: WireType,
        depth: usize,
    ) -> Result<(), Fault> {
        match (field.label, slot) {
            (Label::Single, slot) => match field.kind {
                Kind::Message(index) => {
                    if !matches!(slot, Value::Struct(_)) {
                        *slot = Value::Struct(self.unset(index, depth + 1, cursor)?);
                    }
                    // A message that comes in several pieces is merged.
                    let Value::Struct(inner) = slot else { return Ok(()) };
                    self.nested(index, inner, field, cursor, wire_type, depth)
                }
                kind => {
                    *slot = self.scalar(kind, cursor, wire_type, depth)?;
                    Ok(())
                }
            },
            (Label::Repeated, Value::Floats(items)) => self.floats(field.kind, items, cursor, wire_type),
            (Label::Repeated, Value::List(items)) => {
                let at = items.len();
                self.element(field, items, cursor, wire_type, depth).map_err(|fault| fault.at_index(at))
            }
            (Label::Map, Value::Struct(entries)) => {
                let Kind::Message(index) = field.kind else { return Ok(()) };
                self.budget.spend(1, cursor)?;
                let mut entry = self.unset(index, depth + 1, cursor)?;
                self.nested(index, &mut entry, field, cursor, wire_type, depth)?;
                let mut entry = entry.into_iter().map(|(_, value)| value);
                let (key, value) = (entry.next().unwrap_or(Value::Null), entry.next().unwrap_or(Value::Null));
                entries.push((key_text(key), self.map_value(index, value, cursor, depth)?));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The value of a map's entry; a missing message is an empty one.
    fn map_value(&mut self, entry: usize, value: Value, cursor: &Cursor<'_>, depth: usize) -> Result<Value, Fault> {
        match (value, self.schema.messages.get(entry).and_then(|m| m.fields.get(1)).map(|f| f.kind)) {
            (Value::Null, Some(Kind::Message(index))) => self.unset(index, depth + 2, cursor).map(Value::Struct),
            (value, _) => Ok(value),
        }
    }

    /// Reads a length-delimited message or a group.
    fn nested(
        &mut self,
        index: usize,
        fields: &mut Fields,
        field: &Field,
        cursor: &mut Cursor<'_>,
        wire_type: WireType,
        depth: usize,
    ) -> Result<(), Fault> {
        match wire_type {
            WireType::Length => {
                let data = length_delimited(cursor)?;
                let offset = cursor.at() - data.len();
                let mut inner = cursor.over(data);
                self.message(index, fields, &mut inner, End::At(data.len()), depth + 1)
                    .map_err(|fault| Fault { offset: fault.offset + offset, ..fault })
            }
            WireType::StartGroup => self.message(index, fields, cursor, End::Group(field.number), depth + 1),
            found => Err(mismatch(found, "message", cursor)),
        }
    }

    /// Appends to a list: one value, or all of a packed run.
    fn element(
        &mut self,
        field: &Field,
        items: &mut Vec<Value>,
        cursor: &mut Cursor<'_>,
        wire_type: WireType,
        depth: usize,
    ) -> Result<(), Fault> {
        self.budget.spend(1, cursor)?;
        match field.kind {
            Kind::Message(index) => {
                let mut inner = self.unset(index, depth + 1, cursor)?;
                self.nested(index, &mut inner, field, cursor, wire_type, depth)?;
                items.push(Value::Struct(inner));
            }
            kind if wire_type == WireType::Length && kind.packed_as().is_some() => {
                let data = length_delimited(cursor)?;
                let offset = cursor.at() - data.len();
                let mut inner = cursor.over(data);
                let wire_type = kind.packed_as().unwrap_or(WireType::Varint);
                while inner.left() > 0 {
                    self.budget.spend(1, &inner)?;
                    let value = self
                        .scalar(kind, &mut inner, wire_type, depth)
                        .map_err(|fault| Fault { offset: fault.offset + offset, ..fault })?;
                    items.push(value);
                }
            }
            kind => items.push(self.scalar(kind, cursor, wire_type, depth)?),
        }
        Ok(())
    }

    /// Appends floats, packed or not.
    fn floats(
        &mut self,
        kind: Kind,
        items: &mut Vec<f64>,
        cursor: &mut Cursor<'_>,
        wire_type: WireType,
    ) -> Result<(), Fault> {
        let size = if matches!(kind, Kind::Float) { 4 } else { 8 };
        let data = match wire_type {
            WireType::Length => length_delimited(cursor)?,
            WireType::Fixed32 if size == 4 => cursor.take(4)?,
            WireType::Fixed64 if size == 8 => cursor.take(8)?,
            found => return Err(mismatch(found, kind.name(), cursor)),
        };
        self.budget.spend_floats(data.len() / size, cursor)?;
        if !data.len().is_multiple_of(size) {
            let rest = data.len() % size;
            return Err(cursor.fault(Problem::Truncated { needs: size as u64, left: rest }));
        }
        if size == 4 {
            items.extend(data.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))));
        } else {
            items.extend(data.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)));
        }
        Ok(())
    }

    /// Reads one value of anything but a message.
    fn scalar(&self, kind: Kind, cursor: &mut Cursor<'_>, wire_type: WireType, depth: usize) -> Result<Value, Fault> {
        if wire_type != kind.wire_type() {
            return Err(mismatch(wire_type, kind.name(), cursor));
        }
        Ok(match kind {
            Kind::Double => Value::Float(f64::from_le_bytes(cursor.array()?)),
            Kind::Float => Value::Float(f64::from(f32::from_le_bytes(cursor.array()?))),
            Kind::Fixed32 => Value::Uint(u64::from(u32::from_le_bytes(cursor.array()?))),
            Kind::Fixed64 => Value::Uint(u64::from_le_bytes(cursor.array()?)),
            Kind::Sfixed32 => Value::Int(i64::from(i32::from_le_bytes(cursor.array()?))),
            Kind::Sfixed64 => Value::Int(i64::from_le_bytes(cursor.array()?)),
            Kind::Bool => Value::Bool(varint(cursor)? != 0),
            Kind::Int32 => Value::Int(i64::from(low(varint(cursor)?).cast_signed())),
            Kind::Int64 => Value::Int(varint(cursor)?.cast_signed()),
            Kind::Uint32 => Value::Uint(u64::from(low(varint(cursor)?))),
            Kind::Uint64 => Value::Uint(varint(cursor)?),
            Kind::Sint32 => Value::Int(zigzag(u64::from(low(varint(cursor)?)))),
            Kind::Sint64 => Value::Int(zigzag(varint(cursor)?)),
            Kind::Enum(index) => {
                let number = low(varint(cursor)?).cast_signed();
                Value::Enum(number, self.schema.enums.get(index).and_then(|e| e.name(number)))
            }
            Kind::Bytes => {
                let data = length_delimited(cursor)?;
                Value::Bytes(cursor.octets(data))
            }
            Kind::Text => {
                let data = length_delimited(cursor)?;
                match std::str::from_utf8(data) {
                    Ok(text) => Value::Text(text.to_owned()),
                    Err(_utf8) => return Err(Fault::new(cursor.at() - data.len(), Problem::NotUnicode)),
                }
            }
            Kind::Time => Value::Time(Timestamp::from_nanos(self.nanos(cursor, depth)?)),
            Kind::Duration => Value::Duration(self.nanos(cursor, depth)?),
            // Read by `nested`.
            Kind::Message(_) => Value::Null,
        })
    }

    /// A `google.protobuf.Timestamp` or `Duration` as nanoseconds, saturating.
    fn nanos(&self, cursor: &mut Cursor<'_>, depth: usize) -> Result<i64, Fault> {
        let data = length_delimited(cursor)?;
        let offset = cursor.at() - data.len();
        let mut inner = cursor.over(data);
        let mut read = || {
            let (mut secs, mut nanos) = (0_i64, 0_i32);
            while inner.left() > 0 {
                match tag(&mut inner)? {
                    (1, WireType::Varint) => secs = varint(&mut inner)?.cast_signed(),
                    (2, WireType::Varint) => nanos = low(varint(&mut inner)?).cast_signed(),
                    (1 | 2, found) => return Err(mismatch(found, "int64 or int32", &inner)),
                    (number, wire_type) => skip(&mut inner, number, wire_type, depth + 1, &self.budget)?,
                }
            }
            Ok(secs.saturating_mul(1_000_000_000).saturating_add(i64::from(nanos)))
        };
        read().map_err(|fault: Fault| Fault { offset: fault.offset + offset, ..fault })
    }
}

/// The bytes after their length.
fn length_delimited<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], Fault> {
    let length = varint(cursor)?;
    match usize::try_from(length) {
        Ok(length) => cursor.take(length),
        Err(_range) => Err(cursor.truncated(length)),
    }
}

fn mismatch(found: WireType, declared: &'static str, cursor: &Cursor<'_>) -> Fault {
    cursor.fault(Problem::WireType { found: found as u8, declared })
}

/// The 32 bits that a 32-bit field keeps of a longer integer.
#[expect(clippy::cast_possible_truncation, reason = "protobuf truncates")]
fn low(x: u64) -> u32 {
    x as u32
}

fn zigzag(x: u64) -> i64 {
    (x >> 1).cast_signed() ^ -(x & 1).cast_signed()
}

/// A map's key as the name of a field.
fn key_text(key: Value) -> Arc<str> {
    match key {
        Value::Text(text) => text.into(),
        other => other.to_string().into(),
    }
}

#[cfg(test)]
mod tests;
