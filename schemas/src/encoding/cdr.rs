//! ROS payloads: CDR (ROS 2) and ROS 1's serialization, read by a parsed `.msg` schema.
//!
//! CDR is that of OMG DDSI-RTPS and XTypes 1.3 §7.4: four bytes of encapsulation header, then values aligned to their
//! size, counted from after the header. XCDR2 aligns 64-bit values to 4 and puts a length before sequences and arrays
//! of anything but numbers, in its delimited form before structs too. ROS 1 has no header, no alignment, no NULs.

use super::{
    Limits,
    cursor::{Budget, Cursor},
    error::{Fault, Problem},
    ros2msg::{Dialect, Kind, Primitive, RosSchema, Shape},
};
use crate::{time::Timestamp, value::Value};

/// How the bytes of a payload are laid out.
#[derive(Clone, Copy, Debug)]
struct Layout {
    little_endian: bool,
    /// Where alignment counts from.
    origin: usize,
    max_align: usize,
    /// XCDR2's length before sequences and arrays of anything but numbers.
    delimited_lists: bool,
    /// XCDR2's length before structs.
    delimited_structs: bool,
    /// Bytes of a character of a wide string.
    wide_char: usize,
}

impl Layout {
    const ROS1: Self = Self {
        little_endian: true,
        origin: 0,
        max_align: 1,
        delimited_lists: false,
        delimited_structs: false,
        wide_char: 4,
    };

    /// From the encapsulation header. Its last two bytes are options that plain readers ignore.
    fn of_header(cursor: &mut Cursor<'_>) -> Result<Self, Fault> {
        let start = cursor.clone();
        let [high, low, _, _] = cursor.array()?;
        let id = u16::from_be_bytes([high, low]);
        let xcdr2 = match id {
            0x0000 | 0x0001 => false,
            0x0006..=0x0009 => true,
            // Parameter lists (0x0002, 0x0003, 0x000a, 0x000b) tag each member; nothing with a .msg type is sent so.
            _ => return Err(start.fault(Problem::Representation(id))),
        };
        Ok(Self {
            little_endian: id & 1 == 1,
            origin: 4,
            max_align: if xcdr2 { 4 } else { 8 },
            delimited_lists: xcdr2,
            delimited_structs: id >= 0x0008,
            wide_char: 4,
        })
    }
}

/// Decodes a payload of the schema's message.
pub(super) fn decode(schema: &RosSchema, mut cursor: Cursor<'_>, limits: &Limits) -> Result<Value, Fault> {
    let length = cursor.left();
    let layout = match schema.dialect {
        Dialect::Ros1 => Layout::ROS1,
        Dialect::Ros2 => Layout::of_header(&mut cursor)?,
    };
    let read = |layout: Layout| {
        let mut reader = Reader { schema, layout, cursor: cursor.clone(), budget: Budget::new(limits, length) };
        reader.message().map(|value| (value, reader.cursor.left()))
    };
    let first = read(layout);
    if !schema.has_wide_text {
        return first.map(|(value, _)| value);
    }
    // Fast CDR sends four bytes per character of a wide string, others two; nothing in the payload says which. The
    // right one uses up the payload but for its final padding.
    match first {
        Ok((value, 0..4)) => Ok(value),
        first => match read(Layout { wide_char: 2, ..layout }) {
            Ok((value, 0..4)) => Ok(value),
            _ => first.map(|(value, _)| value),
        },
    }
}

struct Reader<'a> {
    schema: &'a RosSchema,
    layout: Layout,
    cursor: Cursor<'a>,
    budget: Budget,
}

impl<'a> Reader<'a> {
    fn message(&mut self) -> Result<Value, Fault> {
        let empty = self.schema.types.get(self.schema.root).is_none_or(|t| t.fields.is_empty());
        if empty && self.cursor.left() == 0 {
            // Some writers leave the dummy byte of an empty message out.
            return Ok(Value::Struct(Vec::new()));
        }
        self.structure(self.schema.root, 0)
    }

    fn structure(&mut self, index: usize, depth: usize) -> Result<Value, Fault> {
        self.budget.depth(depth).map_err(|problem| self.cursor.fault(problem))?;
        let schema = self.schema;
        let Some(made) = schema.types.get(index) else { return Ok(Value::Null) };
        let end = if self.layout.delimited_structs { Some(self.delimiter()?) } else { None };
        if made.fields.is_empty() && schema.dialect == Dialect::Ros2 {
            self.cursor.byte()?;
        }
        self.budget.spend(made.fields.len(), &self.cursor)?;
        let mut fields = Vec::with_capacity(made.fields.len());
        for field in &made.fields {
            let value = match field.shape {
                Shape::One => self.one(field.kind, depth),
                Shape::Array(count) => self.array(field.kind, count, depth),
                Shape::Sequence => self.sequence(field.kind, depth),
            }
            .map_err(|fault| fault.in_field(&field.name))?;
            fields.push((field.name.clone(), value));
        }
        if let Some(end) = end {
            // Members that a newer writer appended.
            self.cursor.skip_padding(end.saturating_sub(self.cursor.at()));
        }
        Ok(Value::Struct(fields))
    }

    /// Reads XCDR2's length of what follows; gives where that ends.
    fn delimiter(&mut self) -> Result<usize, Fault> {
        let length = self.count()?;
        if length > self.cursor.left() {
            return Err(self.cursor.truncated(length as u64));
        }
        Ok(self.cursor.at() + length)
    }

    /// A length or count.
    fn count(&mut self) -> Result<usize, Fault> {
        self.u32().map(|count| count as usize)
    }

    fn u32(&mut self) -> Result<u32, Fault> {
        self.align(4);
        let bytes = self.cursor.array()?;
        Ok(if self.layout.little_endian { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    fn align(&mut self, size: usize) {
        let align = size.min(self.layout.max_align);
        let at = self.cursor.at().saturating_sub(self.layout.origin);
        self.cursor.skip_padding(at.next_multiple_of(align) - at);
    }

    fn one(&mut self, kind: Kind, depth: usize) -> Result<Value, Fault> {
        match kind {
            Kind::Primitive(primitive) => self.primitive(primitive),
            Kind::Text => self.text().map(Value::Text),
            Kind::WideText => self.wide_text().map(Value::Text),
            Kind::Time => self.nanos(true).map(|nanos| Value::Time(Timestamp::from_nanos(nanos))),
            Kind::Duration => self.nanos(false).map(Value::Duration),
            Kind::Struct(index) => self.structure(index, depth + 1),
        }
    }

    fn sequence(&mut self, kind: Kind, depth: usize) -> Result<Value, Fault> {
        let end = if self.list_is_delimited(kind) { Some(self.delimiter()?) } else { None };
        let start = self.cursor.clone();
        let count = self.count()?;
        let needs = (count as u64).saturating_mul(self.schema.min_size(kind) as u64);
        if needs > self.cursor.left() as u64 {
            return Err(Fault { offset: start.at(), ..self.cursor.truncated(needs) });
        }
        self.elements(kind, count, depth, end)
    }

    fn array(&mut self, kind: Kind, count: usize, depth: usize) -> Result<Value, Fault> {
        let end = if self.list_is_delimited(kind) { Some(self.delimiter()?) } else { None };
        self.elements(kind, count, depth, end)
    }

    fn list_is_delimited(&self, kind: Kind) -> bool {
        self.layout.delimited_lists && !matches!(kind, Kind::Primitive(_))
    }

    fn elements(&mut self, kind: Kind, count: usize, depth: usize, end: Option<usize>) -> Result<Value, Fault> {
        if let Kind::Primitive(primitive) = kind {
            return self.primitives(primitive, count);
        }
        let mut items = Vec::new();
        let least = self.schema.min_size(kind).max(1);
        items.reserve_exact(count.min(self.cursor.left() / least).min(self.budget.left()));
        for i in 0..count {
            self.budget.spend(1, &self.cursor).map_err(|fault| fault.at_index(i))?;
            items.push(self.one(kind, depth).map_err(|fault| fault.at_index(i))?);
        }
        if let Some(end) = end {
            self.cursor.skip_padding(end.saturating_sub(self.cursor.at()));
        }
        Ok(Value::List(items))
    }

    fn primitives(&mut self, primitive: Primitive, count: usize) -> Result<Value, Fault> {
        // Nothing is aligned for what is not there.
        let data = if count == 0 { &[][..] } else { self.block(primitive.size(), count)? };
        let little = self.layout.little_endian;
        match primitive {
            Primitive::U8 => return Ok(Value::Bytes(self.cursor.octets(data))),
            Primitive::F32 | Primitive::F64 => self.budget.spend_floats(count, &self.cursor)?,
            _ => self.budget.spend(count, &self.cursor)?,
        }
        Ok(match primitive {
            Primitive::F32 => Value::Floats(data.as_chunks().0.iter().map(|b| f64::from(f32_of(*b, little))).collect()),
            Primitive::F64 => Value::Floats(data.as_chunks().0.iter().map(|b| f64_of(*b, little)).collect()),
            other => Value::List(data.chunks_exact(other.size()).map(|b| number(other, b, little)).collect()),
        })
    }

    /// The bytes of `count` numbers.
    fn block(&mut self, size: usize, count: usize) -> Result<&'a [u8], Fault> {
        self.align(size);
        match size.checked_mul(count) {
            Some(bytes) => self.cursor.take(bytes),
            None => Err(self.cursor.truncated(u64::MAX)),
        }
    }

    fn primitive(&mut self, primitive: Primitive) -> Result<Value, Fault> {
        let bytes = self.block(primitive.size(), 1)?;
        Ok(number(primitive, bytes, self.layout.little_endian))
    }

    /// Text of a `string`, whose length counts a final NUL in CDR.
    fn text(&mut self) -> Result<String, Fault> {
        let length = self.count()?;
        let start = self.cursor.clone();
        let mut bytes = self.cursor.take(length)?;
        if self.schema.dialect == Dialect::Ros2 {
            bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(_utf8) => Err(start.fault(Problem::NotUnicode)),
        }
    }

    /// Text of a `wstring`: a count of UTF-16 units without a final NUL.
    fn wide_text(&mut self) -> Result<String, Fault> {
        let count = self.count()?;
        let start = self.cursor.clone();
        let Some(length) = count.checked_mul(self.layout.wide_char) else {
            return Err(start.truncated(u64::MAX));
        };
        let data = self.cursor.take(length)?;
        let little = self.layout.little_endian;
        let units: Option<Vec<u16>> = data
            .chunks_exact(self.layout.wide_char)
            .map(|bytes| match *bytes {
                [a, b] => Some(if little { u16::from_le_bytes([a, b]) } else { u16::from_be_bytes([a, b]) }),
                [a, b, c, d] => {
                    let wide = if little { u32::from_le_bytes([a, b, c, d]) } else { u32::from_be_bytes([a, b, c, d]) };
                    u16::try_from(wide).ok()
                }
                _ => None,
            })
            .collect();
        let text = units.and_then(|units| String::from_utf16(&units).ok());
        text.ok_or_else(|| start.fault(Problem::NotUnicode))
    }

    /// Seconds and nanoseconds as nanoseconds; `point` tells a point in time from a span, of which ROS 1's seconds are
    /// unsigned.
    fn nanos(&mut self, point: bool) -> Result<i64, Fault> {
        if self.layout.delimited_structs {
            self.delimiter()?;
        }
        let ros1 = self.schema.dialect == Dialect::Ros1;
        let secs = self.u32()?;
        let nanos = self.u32()?;
        let secs = if ros1 && point { i64::from(secs) } else { i64::from(secs.cast_signed()) };
        let nanos = if ros1 && !point { i64::from(nanos.cast_signed()) } else { i64::from(nanos) };
        // 2³² s and 2³² ns together stay within an i64 of nanoseconds.
        Ok(secs * 1_000_000_000 + nanos)
    }
}

fn f32_of(bytes: [u8; 4], little: bool) -> f32 {
    if little { f32::from_le_bytes(bytes) } else { f32::from_be_bytes(bytes) }
}

fn f64_of(bytes: [u8; 8], little: bool) -> f64 {
    if little { f64::from_le_bytes(bytes) } else { f64::from_be_bytes(bytes) }
}

/// The number in `bytes`, which are as many as it takes.
fn number(primitive: Primitive, bytes: &[u8], little: bool) -> Value {
    let mut wide = [0; 8];
    for (to, from) in wide.iter_mut().zip(bytes) {
        *to = *from;
    }
    if !little && let Some(used) = wide.get_mut(..bytes.len()) {
        used.reverse();
    }
    let [a, b, c, d, ..] = wide;
    match primitive {
        Primitive::Bool => Value::Bool(a != 0),
        Primitive::I8 => Value::Int(i64::from(i8::from_le_bytes([a]))),
        Primitive::U8 => Value::Uint(u64::from(a)),
        Primitive::I16 => Value::Int(i64::from(i16::from_le_bytes([a, b]))),
        Primitive::U16 => Value::Uint(u64::from(u16::from_le_bytes([a, b]))),
        Primitive::I32 => Value::Int(i64::from(i32::from_le_bytes([a, b, c, d]))),
        Primitive::U32 => Value::Uint(u64::from(u32::from_le_bytes([a, b, c, d]))),
        Primitive::I64 => Value::Int(i64::from_le_bytes(wide)),
        Primitive::U64 => Value::Uint(u64::from_le_bytes(wide)),
        Primitive::F32 => Value::Float(f64::from(f32::from_le_bytes([a, b, c, d]))),
        Primitive::F64 => Value::Float(f64::from_le_bytes(wide)),
    }
}

#[cfg(test)]
mod tests;
