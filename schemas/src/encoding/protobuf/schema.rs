//! Message types made ready for decoding, with all references resolved. Cycles are fine: payloads end.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;

use super::{descriptor, wire::WireType};
use crate::{encoding::error::SchemaError, value::Value};

/// The type of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    Text,
    Bytes,
    /// Index into [`Schema::enums`].
    Enum(usize),
    /// Index into [`Schema::messages`].
    Message(usize),
    /// `google.protobuf.Timestamp`.
    Time,
    /// `google.protobuf.Duration`.
    Duration,
}

impl Kind {
    /// How an unpacked value lies on the wire.
    pub(super) const fn wire_type(self) -> WireType {
        match self {
            Self::Double | Self::Fixed64 | Self::Sfixed64 => WireType::Fixed64,
            Self::Float | Self::Fixed32 | Self::Sfixed32 => WireType::Fixed32,
            Self::Text | Self::Bytes | Self::Message(_) | Self::Time | Self::Duration => WireType::Length,
            _ => WireType::Varint,
        }
    }

    /// How the values of a packed run lie on the wire, if there can be one.
    pub(super) const fn packed_as(self) -> Option<WireType> {
        match self.wire_type() {
            WireType::Length => None,
            other => Some(other),
        }
    }

    /// As in a `.proto` file.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Double => "double",
            Self::Float => "float",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
            Self::Sint32 => "sint32",
            Self::Sint64 => "sint64",
            Self::Fixed32 => "fixed32",
            Self::Fixed64 => "fixed64",
            Self::Sfixed32 => "sfixed32",
            Self::Sfixed64 => "sfixed64",
            Self::Bool => "bool",
            Self::Text => "string",
            Self::Bytes => "bytes",
            Self::Enum(_) => "enum",
            Self::Message(_) => "message",
            Self::Time => "google.protobuf.Timestamp",
            Self::Duration => "google.protobuf.Duration",
        }
    }
}

/// How often a field occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    Single,
    Repeated,
    /// Its kind is the entry message: key, value.
    Map,
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) number: u32,
    pub(super) name: Arc<str>,
    pub(super) kind: Kind,
    pub(super) label: Label,
    /// The field's value in a message that does not have it.
    pub(super) unset: Value,
    /// The oneof that it belongs to.
    pub(super) oneof: Option<usize>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct MessageType {
    pub(super) fields: Vec<Field>,
    /// Number and position of each field, by number.
    by_number: Vec<(u32, usize)>,
    oneofs: HashMap<usize, Vec<usize>>,
}

impl MessageType {
    /// Where the field of this number is; `expected` is where it would be if fields came in order.
    pub(super) fn position(&self, number: u32, expected: usize) -> Option<usize> {
        // Elements of a repeated field follow each other, other fields come in the order of the schema.
        let last = expected.saturating_sub(1);
        for guess in [expected, last] {
            if self.fields.get(guess).is_some_and(|field| field.number == number) {
                return Some(guess);
            }
        }
        let found = self.by_number.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.by_number.get(found).map(|(_, position)| *position)
    }

    /// The positions of a oneof's members.
    pub(super) fn oneof(&self, oneof: usize) -> &[usize] {
        self.oneofs.get(&oneof).map_or(&[], Vec::as_slice)
    }
}

/// Names of an enumeration's values, by number; of aliases the first.
#[derive(Clone, Debug, Default)]
pub(super) struct EnumType {
    names: Vec<(i32, Arc<str>)>,
}

impl EnumType {
    pub(super) fn name(&self, number: i32) -> Option<Arc<str>> {
        let found = self.names.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.names.get(found).map(|(_, name)| Arc::clone(name))
    }
}

/// A message, at index 0, and all it refers to.
#[derive(Clone, Debug)]
pub(super) struct Schema {
    pub(super) messages: Vec<MessageType>,
    pub(super) enums: Vec<EnumType>,
}

/// Steps of the search for relative names that are accepted.
const MAX_LOOKUPS: usize = 262_144;

/// A message or enumeration by its full name.
#[derive(Clone, Copy)]
enum Definition<'a> {
    Message(&'a descriptor::Message<'a>, Presence),
    Enum(&'a descriptor::Enum<'a>),
}

/// Whether single scalar fields of a file tell unset from default.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Implicit,
    Explicit,
}

impl Presence {
    fn of_file(file: &descriptor::File<'_>) -> Self {
        match (file.syntax, file.presence) {
            ("proto3", _) | ("editions", Some(2)) => Self::Implicit,
            _ => Self::Explicit,
        }
    }

    /// `FeatureSet.FieldPresence` over what is inherited.
    fn with(self, feature: Option<u64>) -> Self {
        match feature {
            Some(2) => Self::Implicit,
            Some(_) => Self::Explicit,
            None => self,
        }
    }
}

impl Schema {
    /// Resolves the message `root` (without a leading dot) and all it refers to.
    pub(super) fn build(root: &str, files: &[descriptor::File<'_>]) -> Result<Self, SchemaError> {
        let definitions = collect(files)?;
        let Some(Definition::Message(..)) = definitions.get(root) else {
            return Err(SchemaError::Undefined { name: root.to_owned(), user: "the channel".to_owned() });
        };
        let mut builder = Builder {
            definitions: &definitions,
            schema: Self { messages: Vec::new(), enums: Vec::new() },
            enums: HashMap::new(),
            messages: HashMap::from([(root.to_owned(), 0)]),
            queue: vec![root.to_owned()],
            lookups: 0,
        };
        // The queue grows while it is worked off; positions in it are the indices of the messages.
        let mut next = 0;
        while let Some(name) = builder.queue.get(next).cloned() {
            let message = builder.message(&name)?;
            builder.schema.messages.push(message);
            next += 1;
        }
        Ok(builder.schema)
    }
}

/// All definitions by full name.
fn collect<'a>(files: &'a [descriptor::File<'a>]) -> Result<HashMap<String, Definition<'a>>, SchemaError> {
    let mut all = HashMap::new();
    for file in files {
        let presence = Presence::of_file(file);
        for message in &file.messages {
            collect_message(message, file.package, presence, &mut all)?;
        }
        for made in &file.enums {
            insert(&mut all, full_name(file.package, made.name)?, Definition::Enum(made));
        }
    }
    Ok(all)
}

fn collect_message<'a>(
    message: &'a descriptor::Message<'a>,
    scope: &str,
    presence: Presence,
    all: &mut HashMap<String, Definition<'a>>,
) -> Result<(), SchemaError> {
    let name = full_name(scope, message.name)?;
    // The parser has limited the depth.
    for inner in &message.messages {
        collect_message(inner, &name, presence, all)?;
    }
    for made in &message.enums {
        insert(all, full_name(&name, made.name)?, Definition::Enum(made));
    }
    insert(all, name, Definition::Message(message, presence));
    Ok(())
}

/// Files come twice in some recordings; the first counts.
fn insert<'a>(all: &mut HashMap<String, Definition<'a>>, name: String, definition: Definition<'a>) {
    all.entry(name).or_insert(definition);
}

fn full_name(scope: &str, name: &str) -> Result<String, SchemaError> {
    // Each definition keeps its whole name: long ones below long ones would multiply.
    const MAX_NAME: usize = 512;
    let size = scope.len() + name.len() + 1;
    if size > MAX_NAME {
        return Err(SchemaError::TooLarge { size, limit: MAX_NAME });
    }
    Ok(if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") })
}

struct Builder<'a> {
    definitions: &'a HashMap<String, Definition<'a>>,
    schema: Schema,
    enums: HashMap<String, usize>,
    messages: HashMap<String, usize>,
    queue: Vec<String>,
    lookups: usize,
}

impl Builder<'_> {
    fn message(&mut self, name: &str) -> Result<MessageType, SchemaError> {
        let Some(Definition::Message(message, presence)) = self.definitions.get(name).copied() else {
            return Ok(MessageType::default());
        };
        let mut made = MessageType::default();
        for (position, field) in message.fields.iter().enumerate() {
            let field = self.field(field, name, presence, message.map_entry)?;
            made.by_number.push((field.number, position));
            if let Some(oneof) = field.oneof {
                made.oneofs.entry(oneof).or_default().push(position);
            }
            made.fields.push(field);
        }
        made.by_number.sort_unstable();
        if let Some(pair) = made.by_number.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(bad(name, &pair[0].0.to_string(), "field number is used twice"));
        }
        if message.map_entry && !matches!(made.fields.as_slice(), [Field { number: 1, .. }, Field { number: 2, .. }]) {
            return Err(bad(name, "key", "a map entry has fields 1 and 2"));
        }
        Ok(made)
    }

    fn field(
        &mut self,
        field: &descriptor::Field<'_>,
        message: &str,
        presence: Presence,
        in_map: bool,
    ) -> Result<Field, SchemaError> {
        let error = |reason| bad(message, field.name, reason);
        let number = u32::try_from(field.number).ok().filter(|n| (1..1 << 29).contains(n));
        let number = number.ok_or_else(|| error("field number is out of range"))?;
        let (kind, map) = self.kind(field, message)?;
        let label = match (field.label, map) {
            (3, true) => Label::Map,
            (3, false) => Label::Repeated,
            (0..=2, _) => Label::Single,
            _ => return Err(error("unknown label")),
        };
        let explicit = field.proto3_optional
            || field.oneof.is_some()
            || (presence.with(field.presence) == Presence::Explicit && !in_map);
        let unset = match label {
            Label::Map => Value::Struct(Vec::new()),
            Label::Repeated if matches!(kind, Kind::Double | Kind::Float) => Value::Floats(Vec::new()),
            Label::Repeated => Value::List(Vec::new()),
            Label::Single => match field.default {
                Some(text) if field.oneof.is_none() => self.declared_default(kind, text).unwrap_or(Value::Null),
                _ if explicit => Value::Null,
                _ => self.zero(kind),
            },
        };
        // proto3's `optional` is a oneof of its own in the descriptor.
        let oneof = field.oneof.filter(|_| !field.proto3_optional).and_then(|oneof| usize::try_from(oneof).ok());
        Ok(Field { number, name: field.name.into(), kind, label, unset, oneof })
    }

    /// The kind of a field, and whether its type is a map's entry.
    fn kind(&mut self, field: &descriptor::Field<'_>, message: &str) -> Result<(Kind, bool), SchemaError> {
        Ok((
            match field.kind {
                1 => Kind::Double,
                2 => Kind::Float,
                3 => Kind::Int64,
                4 => Kind::Uint64,
                5 => Kind::Int32,
                6 => Kind::Fixed64,
                7 => Kind::Fixed32,
                8 => Kind::Bool,
                9 => Kind::Text,
                12 => Kind::Bytes,
                13 => Kind::Uint32,
                15 => Kind::Sfixed32,
                16 => Kind::Sfixed64,
                17 => Kind::Sint32,
                18 => Kind::Sint64,
                // Group, message, enumeration, or left to be found out by name.
                0 | 10 | 11 | 14 => return self.named(field.type_name, message),
                _ => return Err(bad(message, field.name, "unknown type")),
            },
            false,
        ))
    }

    /// The full name that `name` means in the scope of the message `user`.
    ///
    /// Compilers write full names with a leading dot, protobuf.js writes them as in the source.
    fn lookup(&mut self, name: &str, user: &str) -> Result<Option<String>, SchemaError> {
        if let Some(full) = name.strip_prefix('.') {
            return Ok(Some(full.to_owned()));
        }
        let mut scope = user;
        loop {
            self.lookups += 1;
            if self.lookups > MAX_LOOKUPS {
                return Err(SchemaError::TooMany { what: "relative names", limit: MAX_LOOKUPS });
            }
            let full = full_name(scope, name)?;
            if self.definitions.contains_key(&full)
                || matches!(&*full, "google.protobuf.Timestamp" | "google.protobuf.Duration")
            {
                return Ok(Some(full));
            }
            if scope.is_empty() {
                return Ok(None);
            }
            scope = scope.rsplit_once('.').map_or("", |(outer, _)| outer);
        }
    }

    /// A message or enumeration by its name as written in the message `user`.
    fn named(&mut self, name: &str, user: &str) -> Result<(Kind, bool), SchemaError> {
        let undefined = || SchemaError::Undefined { name: name.chars().take(256).collect(), user: user.to_owned() };
        let full = self.lookup(name, user)?.ok_or_else(undefined)?;
        match &*full {
            "google.protobuf.Timestamp" => return Ok((Kind::Time, false)),
            "google.protobuf.Duration" => return Ok((Kind::Duration, false)),
            _ => {}
        }
        match self.definitions.get(&full).copied() {
            Some(Definition::Enum(made)) => Ok((Kind::Enum(self.enumeration(full, made)), false)),
            Some(Definition::Message(message, _)) => {
                let index = *self.messages.entry(full).or_insert_with_key(|full| {
                    self.queue.push(full.clone());
                    self.queue.len() - 1
                });
                Ok((Kind::Message(index), message.map_entry))
            }
            None => Err(undefined()),
        }
    }

    fn enumeration(&mut self, full: String, made: &descriptor::Enum<'_>) -> usize {
        *self.enums.entry(full).or_insert_with(|| {
            let mut names: Vec<(i32, Arc<str>)> = made.values.iter().map(|(n, name)| (*n, Arc::from(*name))).collect();
            names.sort_by_key(|(number, _)| *number);
            names.dedup_by_key(|(number, _)| *number);
            self.schema.enums.push(EnumType { names });
            self.schema.enums.len() - 1
        })
    }

    /// The value of a field that does not tell unset from zero.
    fn zero(&self, kind: Kind) -> Value {
        match kind {
            Kind::Double | Kind::Float => Value::Float(0.0),
            Kind::Int32 | Kind::Int64 | Kind::Sint32 | Kind::Sint64 | Kind::Sfixed32 | Kind::Sfixed64 => Value::Int(0),
            Kind::Uint32 | Kind::Uint64 | Kind::Fixed32 | Kind::Fixed64 => Value::Uint(0),
            Kind::Bool => Value::Bool(false),
            Kind::Text => Value::Text(String::new()),
            Kind::Bytes => Value::Bytes(Bytes::new()),
            Kind::Enum(index) => Value::Enum(0, self.schema.enums.get(index).and_then(|e| e.name(0))),
            Kind::Message(_) | Kind::Time | Kind::Duration => Value::Null,
        }
    }

    /// proto2's `[default = …]`; those of bytes are escaped and not kept.
    fn declared_default(&self, kind: Kind, text: &str) -> Option<Value> {
        Some(match self.zero(kind) {
            Value::Float(_) => Value::Float(text.parse().ok()?),
            Value::Int(_) => Value::Int(text.parse().ok()?),
            Value::Uint(_) => Value::Uint(text.parse().ok()?),
            Value::Bool(_) => Value::Bool(text.parse().ok()?),
            // Cloned into every message that leaves it out: a long one would multiply payloads.
            Value::Text(_) if text.len() <= 64 => Value::Text(text.to_owned()),
            Value::Enum(..) => {
                let Kind::Enum(index) = kind else { return None };
                let (number, name) = self.schema.enums.get(index)?.names.iter().find(|(_, name)| &**name == text)?;
                Value::Enum(*number, Some(Arc::clone(name)))
            }
            _ => return None,
        })
    }
}

fn bad(message: &str, field: &str, reason: &'static str) -> SchemaError {
    SchemaError::Field { message: message.to_owned(), field: field.chars().take(256).collect(), reason }
}
