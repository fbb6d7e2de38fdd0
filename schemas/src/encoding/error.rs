//! What can be wrong with a schema or a payload, and where.

use std::fmt;

use crate::message::MessageError;

/// Why a payload was not decoded, or cannot be with this schema.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The channel's schema is not usable.
    #[error("schema {schema:?} cannot be used")]
    Schema {
        /// Its name.
        schema: String,
        /// What is wrong with it.
        source: SchemaError,
    },
    /// The payload is larger than [`super::Limits::max_payload`].
    #[error("payload of {size} bytes exceeds the limit of {limit} bytes")]
    PayloadTooLarge {
        /// Bytes of the payload.
        size: usize,
        /// Bytes that are allowed.
        limit: usize,
    },
    /// The payload does not follow its schema.
    #[error("{place}: {problem}")]
    Malformed {
        /// The field and byte.
        place: Place,
        /// What is wrong there.
        problem: Problem,
    },
    /// The payload follows its schema, but is not what its typed view asks for.
    #[error(transparent)]
    View(#[from] MessageError),
}

/// Where in a payload something is wrong. Shown as `pose.position.x at byte 12`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Path of the field as [`crate::value::Value::path`] takes it; empty for the message itself.
    pub path: String,
    /// Byte of the payload.
    pub offset: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            write!(f, "byte {}", self.offset)
        } else {
            write!(f, "{} at byte {}", self.path, self.offset)
        }
    }
}

/// What is wrong at a place of a payload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The payload ends too early.
    #[error("needs {needs} bytes, {left} left")]
    Truncated {
        /// Bytes that must follow.
        needs: u64,
        /// Bytes that follow.
        left: usize,
    },
    /// Nested deeper than [`super::Limits::max_depth`].
    #[error("nested deeper than {0} levels")]
    TooDeep(usize),
    /// More values than a payload of this size may have.
    #[error("more than {0} values, the limit for a payload of this size")]
    TooManyElements(usize),
    /// A string that is not UTF-8 (or a wide one that is not UTF-16).
    #[error("text is not valid Unicode")]
    NotUnicode,
    /// The first bytes of a CDR payload name a representation that is not supported.
    #[error("CDR representation {0:#06x} is not supported")]
    Representation(u16),
    /// A protobuf variable-length integer longer than 64 bits.
    #[error("variable-length integer is longer than 64 bits")]
    Varint,
    /// A protobuf tag whose field number or wire type does not exist.
    #[error("tag {0:#x} is not a protobuf field")]
    Tag(u64),
    /// A protobuf field whose wire type does not fit its declared type.
    #[error("wire type {found} does not fit a field declared as {declared}")]
    WireType {
        /// Wire type in the payload.
        found: u8,
        /// Type in the schema.
        declared: &'static str,
    },
    /// A protobuf group that does not end, or ends twice.
    #[error("protobuf group without its end")]
    Group,
    /// Not JSON; the reason is the parser's.
    #[error("{0}")]
    Json(String),
}

/// What is wrong with a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// Larger than any sane schema.
    #[error("{size} bytes of schema exceed the limit of {limit}")]
    TooLarge {
        /// Bytes of the schema.
        size: usize,
        /// Bytes that are allowed.
        limit: usize,
    },
    /// More definitions or fields than any sane schema.
    #[error("more than {limit} {what}")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
    /// Schema text that is not UTF-8.
    #[error("schema text is not UTF-8")]
    NotUtf8,
    /// A line of a `.msg` definition that is neither field, constant nor comment.
    #[error("line {line}: {reason}: {text:?}")]
    Line {
        /// Counted from 1 over the whole schema text.
        line: usize,
        /// What is wrong.
        reason: &'static str,
        /// The line, shortened.
        text: String,
    },
    /// A definition that does not exist.
    #[error("type {name:?} of {user} is not defined")]
    Undefined {
        /// The missing type.
        name: String,
        /// Who refers to it.
        user: String,
    },
    /// Two definitions of one name.
    #[error("type {0:?} is defined twice")]
    Duplicate(String),
    /// A ROS definition that contains itself.
    #[error("type {0:?} contains itself")]
    Cyclic(String),
    /// Definitions nested deeper than any decoder goes.
    #[error("type {name:?} is nested deeper than {limit} levels")]
    TooDeep {
        /// The type at the limit.
        name: String,
        /// Levels that are allowed.
        limit: usize,
    },
    /// A protobuf `FileDescriptorSet` that is not one.
    #[error("descriptor set: {place}: {problem}")]
    Descriptor {
        /// The byte.
        place: Place,
        /// What is wrong there.
        problem: Problem,
    },
    /// A protobuf field that is declared inconsistently.
    #[error("field {field} of {message}: {reason}")]
    Field {
        /// Full name of the message.
        message: String,
        /// Name or number of the field.
        field: String,
        /// What is wrong.
        reason: &'static str,
    },
}

/// A problem on its way up, collecting its path.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) offset: usize,
    pub(super) path: String,
    pub(super) problem: Problem,
}

impl Fault {
    pub(super) fn new(offset: usize, problem: Problem) -> Self {
        Self { offset, path: String::new(), problem }
    }

    /// The same fault seen from the struct that has `name`.
    pub(super) fn in_field(mut self, name: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path.insert_str(0, dot);
        self.path.insert_str(0, name);
        self
    }

    /// The same fault seen from the sequence whose element `index` has it.
    pub(super) fn at_index(self, index: usize) -> Self {
        self.in_field(&format!("[{index}]"))
    }

    pub(super) fn place(&self) -> Place {
        Place { path: self.path.clone(), offset: self.offset }
    }
}

impl From<Fault> for DecodeError {
    fn from(fault: Fault) -> Self {
        Self::Malformed { place: fault.place(), problem: fault.problem }
    }
}

impl From<Fault> for SchemaError {
    fn from(fault: Fault) -> Self {
        Self::Descriptor { place: fault.place(), problem: fault.problem }
    }
}
