//! What decoding needs of a serialized `google.protobuf.FileDescriptorSet`, borrowed from its bytes.
//!
//! Read here rather than into generated types, so that a hostile set costs no more than its counted definitions.

use super::super::{
    Limits,
    cursor::{Budget, Cursor},
    error::{Fault, Problem, SchemaError},
};
use super::{
    length_delimited,
    wire::{WireType, skip, tag, varint},
};

/// Bytes of a descriptor set that are accepted.
const MAX_SIZE: usize = 16 << 20;
/// Messages, fields, enumerations and their values that are accepted, together.
const MAX_DEFINITIONS: usize = 131_072;

#[derive(Debug, Default)]
pub(super) struct File<'a> {
    pub(super) package: &'a str,
    /// `proto2` (or empty), `proto3` or `editions`.
    pub(super) syntax: &'a str,
    /// `features.field_presence` of the file's options.
    pub(super) presence: Option<u64>,
    pub(super) messages: Vec<Message<'a>>,
    pub(super) enums: Vec<Enum<'a>>,
}

#[derive(Debug, Default)]
pub(super) struct Message<'a> {
    pub(super) name: &'a str,
    pub(super) fields: Vec<Field<'a>>,
    pub(super) messages: Vec<Message<'a>>,
    pub(super) enums: Vec<Enum<'a>>,
    pub(super) map_entry: bool,
}

#[derive(Debug, Default)]
pub(super) struct Field<'a> {
    pub(super) name: &'a str,
    pub(super) number: u64,
    /// `FieldDescriptorProto.Label`.
    pub(super) label: u64,
    /// `FieldDescriptorProto.Type`.
    pub(super) kind: u64,
    pub(super) type_name: &'a str,
    pub(super) default: Option<&'a str>,
    pub(super) oneof: Option<u64>,
    pub(super) proto3_optional: bool,
    /// `features.field_presence` of the field's options.
    pub(super) presence: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Enum<'a> {
    pub(super) name: &'a str,
    pub(super) values: Vec<(i32, &'a str)>,
}

/// The files of a descriptor set.
pub(super) fn parse(data: &[u8]) -> Result<Vec<File<'_>>, SchemaError> {
    if data.len() > MAX_SIZE {
        return Err(SchemaError::TooLarge { size: data.len(), limit: MAX_SIZE });
    }
    let limits = Limits { max_elements: MAX_DEFINITIONS, ..Limits::default() };
    let mut parser = Parser { budget: Budget::new(&limits, data.len()) };
    parser.set(data).map_err(|fault| match fault.problem {
        Problem::TooManyElements(limit) => SchemaError::TooMany { what: "definitions in a descriptor set", limit },
        _ => fault.into(),
    })
}

/// One field of a message on the wire.
enum Token<'a> {
    Number(u64),
    Data(&'a [u8]),
}

struct Parser {
    budget: Budget,
}

impl Parser {
    /// Calls `each` with the integer and length-delimited fields of a message.
    fn fields<'a>(
        &mut self,
        data: &'a [u8],
        depth: usize,
        mut each: impl FnMut(&mut Self, u32, Token<'a>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut cursor = Cursor::new(data);
        self.budget.depth(depth).map_err(|problem| cursor.fault(problem))?;
        while cursor.left() > 0 {
            let (number, wire_type) = tag(&mut cursor)?;
            match wire_type {
                WireType::Varint => each(self, number, Token::Number(varint(&mut cursor)?))?,
                WireType::Length => {
                    let data = length_delimited(&mut cursor)?;
                    let offset = cursor.at() - data.len();
                    each(self, number, Token::Data(data))
                        .map_err(|fault| Fault { offset: fault.offset + offset, ..fault })?;
                }
                other => skip(&mut cursor, number, other, depth, &self.budget)?,
            }
        }
        Ok(())
    }

    /// Pays for one definition.
    fn count(&mut self) -> Result<(), Fault> {
        self.budget.pay(1).map_err(|problem| Fault::new(0, problem))
    }

    fn set<'a>(&mut self, data: &'a [u8]) -> Result<Vec<File<'a>>, Fault> {
        let mut files = Vec::new();
        self.fields(data, 0, |parser, number, token| {
            if let (1, Token::Data(data)) = (number, token) {
                parser.count()?;
                files.push(parser.file(data)?);
            }
            Ok(())
        })?;
        Ok(files)
    }

    fn file<'a>(&mut self, data: &'a [u8]) -> Result<File<'a>, Fault> {
        let mut file = File::default();
        self.fields(data, 1, |parser, number, token| {
            match (number, token) {
                (2, Token::Data(data)) => file.package = text(data)?,
                (4, Token::Data(data)) => file.messages.push(parser.message(data, 2)?),
                (5, Token::Data(data)) => file.enums.push(parser.enumeration(data, 2)?),
                (8, Token::Data(data)) => file.presence = parser.presence(data, 50)?.or(file.presence),
                (12, Token::Data(data)) => file.syntax = text(data)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(file)
    }

    fn message<'a>(&mut self, data: &'a [u8], depth: usize) -> Result<Message<'a>, Fault> {
        self.count()?;
        let mut message = Message::default();
        self.fields(data, depth, |parser, number, token| {
            match (number, token) {
                (1, Token::Data(data)) => message.name = text(data)?,
                (2, Token::Data(data)) => message.fields.push(parser.field(data, depth + 1)?),
                (3, Token::Data(data)) => message.messages.push(parser.message(data, depth + 1)?),
                (4, Token::Data(data)) => message.enums.push(parser.enumeration(data, depth + 1)?),
                (7, Token::Data(data)) => parser.fields(data, depth + 1, |_, number, token| {
                    if let (7, Token::Number(x)) = (number, token) {
                        message.map_entry = x != 0;
                    }
                    Ok(())
                })?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(message)
    }

    fn field<'a>(&mut self, data: &'a [u8], depth: usize) -> Result<Field<'a>, Fault> {
        self.count()?;
        let mut field = Field::default();
        self.fields(data, depth, |parser, number, token| {
            match (number, token) {
                (1, Token::Data(data)) => field.name = text(data)?,
                (3, Token::Number(x)) => field.number = x,
                (4, Token::Number(x)) => field.label = x,
                (5, Token::Number(x)) => field.kind = x,
                (6, Token::Data(data)) => field.type_name = text(data)?,
                (7, Token::Data(data)) => field.default = Some(text(data)?),
                (8, Token::Data(data)) => field.presence = parser.presence(data, 21)?,
                (9, Token::Number(x)) => field.oneof = Some(x),
                (17, Token::Number(x)) => field.proto3_optional = x != 0,
                _ => {}
            }
            Ok(())
        })?;
        Ok(field)
    }

    fn enumeration<'a>(&mut self, data: &'a [u8], depth: usize) -> Result<Enum<'a>, Fault> {
        self.count()?;
        let mut made = Enum::default();
        self.fields(data, depth, |parser, number, token| {
            match (number, token) {
                (1, Token::Data(data)) => made.name = text(data)?,
                (2, Token::Data(data)) => {
                    parser.count()?;
                    let mut value = (0, "");
                    parser.fields(data, depth + 1, |_, number, token| {
                        match (number, token) {
                            (1, Token::Data(data)) => value.1 = text(data)?,
                            (2, Token::Number(x)) => value.0 = super::low(x).cast_signed(),
                            _ => {}
                        }
                        Ok(())
                    })?;
                    made.values.push(value);
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(made)
    }

    /// `features.field_presence` of options whose field `features` has this number.
    fn presence(&mut self, options: &[u8], features: u32) -> Result<Option<u64>, Fault> {
        let mut presence = None;
        self.fields(options, 3, |parser, number, token| match token {
            Token::Data(data) if number == features => parser.fields(data, 4, |_, number, token| {
                if let (1, Token::Number(x)) = (number, token) {
                    presence = Some(x);
                }
                Ok(())
            }),
            _ => Ok(()),
        })?;
        Ok(presence)
    }
}

fn text(data: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(data).map_err(|_utf8| Fault::new(0, Problem::NotUnicode))
}
