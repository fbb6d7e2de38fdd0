//! ROS message definitions as text: `ros2msg` and `ros1msg`. Knows no payload.
//!
//! The text is the message's own definition, followed by those it needs, each after a line of `=` and a line
//! `MSG: package/Type`. The grammar is that of <https://docs.ros.org/en/rolling/Concepts/Basic/About-Interfaces.html>;
//! constants and defaults are skipped and bounds of sequences and strings are not kept, since neither is on the wire.

use std::{collections::HashMap, sync::Arc};

use super::error::SchemaError;

mod line;

use line::{Line, parse_line};

/// Bytes of schema text that are accepted.
const MAX_TEXT: usize = 4 << 20;
/// Fields over all definitions that are accepted.
const MAX_FIELDS: usize = 65_536;
/// Levels of nesting that are accepted.
const MAX_DEPTH: usize = 64;

/// Which ROS wrote the definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `char` and `byte` are unsigned; an empty message takes one byte.
    Ros2,
    /// `byte` is signed; `time` and `duration` are primitive; an empty message takes no byte.
    Ros1,
}

/// A number of fixed size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Primitive {
    Bool,
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
}

impl Primitive {
    /// Bytes on the wire.
    pub(super) const fn size(self) -> usize {
        match self {
            Self::Bool | Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }
}

/// What one value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Primitive(Primitive),
    Text,
    WideText,
    Time,
    Duration,
    /// Index into [`RosSchema::types`].
    Struct(usize),
}

/// How many values there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    One,
    Array(usize),
    Sequence,
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: Arc<str>,
    pub(super) kind: Kind,
    pub(super) shape: Shape,
}

/// One definition with all references resolved.
#[derive(Clone, Debug, Default)]
pub(super) struct StructType {
    pub(super) fields: Vec<Field>,
    /// Fewest bytes that a value takes, padding not counted.
    pub(super) min_size: usize,
}

/// A message and everything it contains, without cycles and at most [`MAX_DEPTH`] deep.
#[derive(Clone, Debug)]
pub(super) struct RosSchema {
    pub(super) types: Vec<StructType>,
    pub(super) root: usize,
    pub(super) dialect: Dialect,
    pub(super) has_wide_text: bool,
}

impl RosSchema {
    /// Parses the definition of the message `name` (`package/Type` or `package/msg/Type`).
    pub(super) fn parse(name: &str, text: &[u8], dialect: Dialect) -> Result<Self, SchemaError> {
        if text.len() > MAX_TEXT {
            return Err(SchemaError::TooLarge { size: text.len(), limit: MAX_TEXT });
        }
        let text = std::str::from_utf8(text).map_err(|_utf8| SchemaError::NotUtf8)?;
        let definitions = Definitions::parse(name, text)?;
        let mut resolver = Resolver {
            definitions: &definitions,
            dialect,
            schema: Self { types: Vec::new(), root: 0, dialect, has_wide_text: false },
            states: HashMap::new(),
        };
        let root = resolver.resolve(0, 0)?;
        Ok(Self { root, ..resolver.schema })
    }

    /// Fewest bytes that a value of this kind takes.
    pub(super) fn min_size(&self, kind: Kind) -> usize {
        match kind {
            Kind::Primitive(primitive) => primitive.size(),
            Kind::Text | Kind::WideText => 4,
            Kind::Time | Kind::Duration => 8,
            Kind::Struct(index) => self.types.get(index).map_or(0, |t| t.min_size),
        }
    }
}

/// A field whose type is not looked up yet.
#[derive(Debug)]
struct RawField<'a> {
    type_name: &'a str,
    name: &'a str,
    shape: Shape,
}

#[derive(Debug)]
struct Definition<'a> {
    /// `package/Type`.
    name: String,
    fields: Vec<RawField<'a>>,
}

/// The definitions of a schema text; the first is the message itself.
#[derive(Debug)]
struct Definitions<'a> {
    list: Vec<Definition<'a>>,
    by_name: HashMap<String, usize>,
}

impl<'a> Definitions<'a> {
    fn parse(root: &str, text: &'a str) -> Result<Self, SchemaError> {
        let mut list = vec![Definition { name: short_name(root), fields: Vec::new() }];
        let mut count = 0;
        let mut after_separator = false;
        for (number, line) in text.lines().enumerate() {
            let trimmed = line.trim();
            if is_separator(trimmed) {
                after_separator = true;
                continue;
            }
            if after_separator && !trimmed.is_empty() {
                let error = |reason| SchemaError::Line { line: number + 1, reason, text: shorten(line) };
                let name = trimmed.strip_prefix("MSG:").ok_or_else(|| error("expected MSG: package/Type"))?;
                list.push(Definition { name: short_name(name.trim()), fields: Vec::new() });
                after_separator = false;
                continue;
            }
            match parse_line(trimmed) {
                Ok(Line::Nothing) => {}
                Ok(Line::Field { type_name, name, shape }) => {
                    count += 1;
                    if count > MAX_FIELDS {
                        return Err(SchemaError::TooMany { what: "fields", limit: MAX_FIELDS });
                    }
                    if let Some(last) = list.last_mut() {
                        last.fields.push(RawField { type_name, name, shape });
                    }
                }
                Err(reason) => return Err(SchemaError::Line { line: number + 1, reason, text: shorten(line) }),
            }
        }
        Self::index(list)
    }

    fn index(list: Vec<Definition<'a>>) -> Result<Self, SchemaError> {
        if list.len() > MAX_FIELDS {
            return Err(SchemaError::TooMany { what: "definitions", limit: MAX_FIELDS });
        }
        let mut by_name = HashMap::with_capacity(list.len());
        for (i, definition) in list.iter().enumerate() {
            // Writers repeat definitions now and then; the first counts, as in the ROS tools.
            by_name.entry(definition.name.clone()).or_insert(i);
        }
        Ok(Self { list, by_name })
    }

    /// The definition that `name` means inside `user`'s package.
    fn find(&self, name: &str, user: &str) -> Option<usize> {
        let short = short_name(name);
        if short.contains('/') {
            return self.by_name.get(&short).copied();
        }
        let package = user.split_once('/').map_or("", |(package, _)| package);
        self.by_name.get(&format!("{package}/{short}")).or_else(|| self.by_name.get(&short)).copied()
    }
}

/// How far a definition is resolved.
#[derive(Clone, Copy, Debug)]
enum State {
    Open,
    /// Its index in the schema and how many levels it has below itself.
    Done(usize, usize),
}

struct Resolver<'a> {
    definitions: &'a Definitions<'a>,
    dialect: Dialect,
    schema: RosSchema,
    states: HashMap<usize, State>,
}

impl Resolver<'_> {
    /// Makes definition `index` and all below it; `depth` levels are above.
    fn resolve(&mut self, index: usize, depth: usize) -> Result<usize, SchemaError> {
        let Some(definition) = self.definitions.list.get(index) else { return Ok(0) };
        let too_deep = || SchemaError::TooDeep { name: definition.name.clone(), limit: MAX_DEPTH };
        match self.states.get(&index) {
            Some(State::Open) => return Err(SchemaError::Cyclic(definition.name.clone())),
            Some(State::Done(_, height)) if depth + height >= MAX_DEPTH => return Err(too_deep()),
            Some(State::Done(made, _)) => return Ok(*made),
            None if depth >= MAX_DEPTH => return Err(too_deep()),
            None => {}
        }
        self.states.insert(index, State::Open);
        let mut made = StructType::default();
        let mut height = 0;
        for raw in &definition.fields {
            let (kind, below) = self.kind(raw.type_name, definition, depth)?;
            height = height.max(below);
            made.fields.push(Field { name: raw.name.into(), kind, shape: raw.shape });
        }
        let made = self.add(made);
        self.states.insert(index, State::Done(made, height));
        Ok(made)
    }

    fn add(&mut self, mut made: StructType) -> usize {
        for field in &made.fields {
            let one = self.schema.min_size(field.kind);
            let all = match field.shape {
                Shape::One => one,
                Shape::Array(count) => one.saturating_mul(count),
                Shape::Sequence => 4,
            };
            made.min_size = made.min_size.saturating_add(all);
            self.schema.has_wide_text |= field.kind == Kind::WideText;
        }
        if made.fields.is_empty() && self.dialect == Dialect::Ros2 {
            made.min_size = 1;
        }
        self.schema.types.push(made);
        self.schema.types.len() - 1
    }

    /// What a type name means, and how many levels it has.
    fn kind(&mut self, name: &str, user: &Definition<'_>, depth: usize) -> Result<(Kind, usize), SchemaError> {
        if let Some(kind) = builtin(name, self.dialect) {
            return Ok((kind, 0));
        }
        if let Some(found) = self.definitions.find(name, &user.name) {
            let made = self.resolve(found, depth + 1)?;
            let below = match self.states.get(&found) {
                Some(State::Done(_, height)) => height + 1,
                _ => 1,
            };
            return Ok((Kind::Struct(made), below));
        }
        match (&*short_name(name), self.dialect) {
            ("builtin_interfaces/Time", _) => Ok((Kind::Time, 0)),
            ("builtin_interfaces/Duration", _) => Ok((Kind::Duration, 0)),
            ("std_msgs/Header" | "Header", _) => Ok((Kind::Struct(self.header()), 1)),
            _ => Err(SchemaError::Undefined { name: shorten(name), user: user.name.clone() }),
        }
    }

    /// `std_msgs/Header` of a schema that leaves its definition out.
    fn header(&mut self) -> usize {
        let field = |name: &str, kind| Field { name: name.into(), kind, shape: Shape::One };
        let mut fields = vec![field("stamp", Kind::Time), field("frame_id", Kind::Text)];
        if self.dialect == Dialect::Ros1 {
            fields.insert(0, field("seq", Kind::Primitive(Primitive::U32)));
        }
        self.add(StructType { fields, min_size: 0 })
    }
}

/// The kind of a type that needs no definition, or whose definition is known whatever the schema says.
fn builtin(name: &str, dialect: Dialect) -> Option<Kind> {
    Some(match name {
        "bool" => Kind::Primitive(Primitive::Bool),
        "int8" => Kind::Primitive(Primitive::I8),
        "byte" if dialect == Dialect::Ros1 => Kind::Primitive(Primitive::I8),
        "uint8" | "byte" | "char" | "octet" => Kind::Primitive(Primitive::U8),
        "int16" => Kind::Primitive(Primitive::I16),
        "uint16" => Kind::Primitive(Primitive::U16),
        "int32" => Kind::Primitive(Primitive::I32),
        "uint32" => Kind::Primitive(Primitive::U32),
        "int64" => Kind::Primitive(Primitive::I64),
        "uint64" => Kind::Primitive(Primitive::U64),
        "float32" => Kind::Primitive(Primitive::F32),
        "float64" => Kind::Primitive(Primitive::F64),
        "string" => Kind::Text,
        "wstring" => Kind::WideText,
        "time" | "builtin_interfaces/Time" | "builtin_interfaces/msg/Time" => Kind::Time,
        "duration" | "builtin_interfaces/Duration" | "builtin_interfaces/msg/Duration" => Kind::Duration,
        _ => return None,
    })
}

/// `package/msg/Type` as `package/Type`.
fn short_name(name: &str) -> String {
    match (name.split_once('/'), name.rsplit_once('/')) {
        (Some((package, _)), Some((_, last))) => format!("{package}/{last}"),
        _ => name.to_owned(),
    }
}

fn is_separator(line: &str) -> bool {
    line.len() >= 3 && line.bytes().all(|byte| byte == b'=')
}

/// Foreign text for an error message.
fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests;
