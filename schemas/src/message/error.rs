//! What can be wrong with a message. Knows no encoding's details.

/// A message that does not hold what its schema promises.
#[derive(Debug, thiserror::Error)]
#[error("malformed message of schema {schema}")]
pub struct MessageError {
    /// Full name of the schema.
    pub schema: String,
    /// What is wrong.
    #[source]
    pub problem: Problem,
}

/// What is wrong with a message, and in which field.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The payload is not protobuf, or fields have the wrong wire type.
    #[error("the payload does not decode as protobuf")]
    Protobuf {
        /// What prost says.
        #[source]
        source: prost::DecodeError,
    },
    /// A field that the view cannot do without is absent.
    #[error("field {field} is missing")]
    Missing {
        /// Path of the field.
        field: String,
    },
    /// A field holds something else than it must.
    #[error("field {field} is not {expected}")]
    Type {
        /// Path of the field.
        field: String,
        /// What it should be, with its article.
        expected: &'static str,
    },
    /// A list or a buffer has the wrong length.
    #[error("field {field} has length {actual}, must be {expected}")]
    Length {
        /// Path of the field.
        field: &'static str,
        /// The length that the other fields ask for.
        expected: Expected,
        /// The length found.
        actual: usize,
    },
    /// Sizes that cannot belong together, or whose product no machine can address.
    #[error("{what} contradict each other: {values}")]
    Sizes {
        /// Names of the fields.
        what: &'static str,
        /// Their values.
        values: String,
    },
    /// More than any honest sample of its schema has.
    #[error("{what}: more than {limit}")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        limit: usize,
    },
    /// A time outside the years 1677 to 2262, which nanoseconds in 64 bits cannot hold.
    #[error("time of {secs} s and {nanos} ns since 1970 is out of range")]
    Time {
        /// Seconds since 1970.
        secs: i64,
        /// Nanoseconds on top.
        nanos: i64,
    },
}

impl Problem {
    /// The same, seen from the message that holds the field `parent`.
    pub(super) fn under(self, parent: &str) -> Self {
        match self {
            Self::Missing { field } => Self::Missing { field: join(parent, &field) },
            Self::Type { field, expected } => Self::Type { field: join(parent, &field), expected },
            other => other,
        }
    }
}

fn join(parent: &str, field: &str) -> String {
    if field.is_empty() { parent.to_owned() } else { format!("{parent}.{field}") }
}

/// A length that other fields ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Exactly this many.
    Exactly(u64),
    /// None at all, or exactly this many.
    NoneOr(u64),
    /// This many or more.
    AtLeast(u64),
    /// A whole multiple of this many.
    MultipleOf(u64),
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exactly(n) => write!(f, "{n}"),
            Self::NoneOr(n) => write!(f, "0 or {n}"),
            Self::AtLeast(n) => write!(f, "at least {n}"),
            Self::MultipleOf(n) => write!(f, "a multiple of {n}"),
        }
    }
}
