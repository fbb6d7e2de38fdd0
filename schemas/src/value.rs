//! A decoded sample of any schema, as a tree of named values. Knows no encoding and no message type.

use std::{borrow::Cow, fmt, sync::Arc};

use bytes::Bytes;

use crate::time::Timestamp;

mod json;
mod leaves;
mod text;

pub use json::{BytesAs, JsonOptions};
pub use leaves::Leaves;

/// One value of a decoded sample.
///
/// Field names are shared with the parsed schema, so a sample of the same channel costs no strings for them.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Absent: an unset optional field or message, or JSON's `null`.
    Null,
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// A number with a fraction; 32-bit floats are widened.
    Float(f64),
    /// Unicode text.
    Text(String),
    /// Octets: protobuf `bytes`, ROS `uint8[]`.
    Bytes(Bytes),
    /// An enumeration's number and, where the schema knows it, its name.
    Enum(i32, Option<Arc<str>>),
    /// A point in time.
    Time(Timestamp),
    /// A span of time in nanoseconds.
    Duration(i64),
    /// A sequence of floats; 32-bit floats are widened.
    Floats(Vec<f64>),
    /// A sequence of anything else.
    List(Vec<Value>),
    /// Named fields in the order of the schema.
    Struct(Vec<(Arc<str>, Value)>),
}

impl Value {
    /// The field of this name, if this is a [`Value::Struct`] that has it; of duplicates the last.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&Self> {
        match self {
            Self::Struct(fields) => fields.iter().rev().find(|(name, _)| &**name == field).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The value at a path such as `pose.position.x` or `position[3]`; the empty path is the value itself.
    ///
    /// Elements of [`Value::Floats`] and [`Value::Bytes`] are given as [`Value::Float`] and [`Value::Uint`].
    #[must_use]
    pub fn path(&self, path: &str) -> Option<Cow<'_, Self>> {
        let mut at = Cow::Borrowed(self);
        let mut rest = path;
        while !rest.is_empty() {
            // An element of numbers or octets has nothing below it.
            let Cow::Borrowed(here) = at else { return None };
            if let Some(indexed) = rest.strip_prefix('[') {
                let (index, after) = indexed.split_once(']')?;
                at = here.element(index.parse().ok()?)?;
                rest = after;
            } else {
                let name = rest.strip_prefix('.').unwrap_or(rest);
                let end = name.find(['.', '[']).unwrap_or(name.len());
                let (name, after) = name.split_at(end);
                at = Cow::Borrowed(here.get(name)?);
                rest = after;
            }
        }
        Some(at)
    }

    /// The element at `index` of a sequence.
    fn element(&self, index: usize) -> Option<Cow<'_, Self>> {
        match self {
            Self::List(items) => items.get(index).map(Cow::Borrowed),
            Self::Floats(items) => items.get(index).map(|x| Cow::Owned(Self::Float(*x))),
            Self::Bytes(items) => items.get(index).map(|x| Cow::Owned(Self::Uint(u64::from(*x)))),
            _ => None,
        }
    }

    /// As a number: integers rounded to the nearest float, truth as 0 or 1, enumerations by number, and times
    /// (since the Unix epoch) and durations in seconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "rounding is documented")]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Bool(x) => Some(f64::from(u8::from(*x))),
            Self::Int(x) => Some(*x as f64),
            Self::Uint(x) => Some(*x as f64),
            Self::Float(x) => Some(*x),
            Self::Enum(x, _) => Some(f64::from(*x)),
            Self::Time(t) => Some(seconds(t.as_nanos())),
            Self::Duration(nanos) => Some(seconds(*nanos)),
            _ => None,
        }
    }

    /// As a signed integer, where nothing is lost; times and durations in nanoseconds.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(x) | Self::Duration(x) => Some(*x),
            Self::Uint(x) => i64::try_from(*x).ok(),
            Self::Float(x) => whole(*x),
            Self::Enum(x, _) => Some(i64::from(*x)),
            Self::Time(t) => Some(t.as_nanos()),
            _ => None,
        }
    }

    /// As an unsigned integer, where nothing is lost; see [`Self::as_i64`].
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Uint(x) => Some(*x),
            other => other.as_i64().and_then(|x| u64::try_from(x).ok()),
        }
    }

    /// As a truth value; numbers are not.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(x) => Some(*x),
            _ => None,
        }
    }

    /// As text: [`Value::Text`] or the name of a [`Value::Enum`].
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(x) => Some(x),
            Self::Enum(_, name) => name.as_deref(),
            _ => None,
        }
    }

    /// As octets.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Bytes(x) => Some(x),
            _ => None,
        }
    }

    /// The numbers below this value with their paths, depth first, at most `limit` of them.
    ///
    /// What has an [`Self::as_f64`] counts as a number; octets do not.
    #[must_use]
    pub fn leaves(&self, limit: usize) -> Leaves<'_> {
        Leaves::new(self, limit)
    }

    /// As JSON: times and durations are integers of nanoseconds, enumerations their names (else numbers), floats that
    /// JSON cannot hold the strings `NaN`, `Infinity` and `-Infinity`.
    #[must_use]
    pub fn to_json(&self, options: JsonOptions) -> serde_json::Value {
        json::to_json(self, options)
    }
}

impl fmt::Display for Value {
    /// Indented text, one line per field; long sequences are shortened.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write(self, f)
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds as a float are rounded, which their users accept")]
fn seconds(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}

/// The integer that `x` is exactly, if it is one.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn whole(x: f64) -> Option<i64> {
    const END: f64 = 9_223_372_036_854_775_808.0;
    (x.fract() == 0.0 && (-END..END).contains(&x)).then_some(x as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Value {
        let position = Value::Struct(vec![("x".into(), Value::Float(1.5)), ("n".into(), Value::Int(-2))]);
        Value::Struct(vec![
            ("pose".into(), Value::Struct(vec![("position".into(), position.clone())])),
            ("position".into(), Value::Floats(vec![0.0, 1.0, 2.0, 3.5])),
            ("poses".into(), Value::List(vec![position.clone(), position])),
            ("data".into(), Value::Bytes(Bytes::from_static(b"\x07\xff"))),
            ("mode".into(), Value::Enum(2, Some("AUTO".into()))),
            ("on".into(), Value::Bool(true)),
            ("stamp".into(), Value::Time(Timestamp::from_nanos(1_500_000_000))),
            ("id".into(), Value::Text("a".into())),
        ])
    }

    #[test]
    fn paths_name_fields_and_elements() {
        let value = sample();
        for (path, expected) in [
            ("pose.position.x", Some(1.5)),
            ("position[3]", Some(3.5)),
            ("poses[1].n", Some(-2.0)),
            ("data[1]", Some(255.0)),
            ("stamp", Some(1.5)),
            ("position[4]", None),
            ("position[3].x", None),
            ("position[-1]", None),
            ("position[", None),
            ("pose..x", None),
            ("nothing", None),
            ("id", None),
        ] {
            assert_eq!(value.path(path).and_then(|v| v.as_f64()), expected, "{path}");
        }
        assert_eq!(value.path("").as_deref(), Some(&value));
    }

    #[test]
    fn conversions_lose_nothing() {
        assert_eq!(Value::Uint(u64::MAX).as_i64(), None);
        assert_eq!(Value::Int(-1).as_u64(), None);
        assert_eq!(Value::Float(2.0).as_i64(), Some(2));
        assert_eq!(Value::Float(2.5).as_i64(), None);
        assert_eq!(Value::Float(9_223_372_036_854_775_808.0).as_i64(), None);
        assert_eq!(Value::Float(f64::NAN).as_i64(), None);
        assert_eq!(Value::Enum(3, Some("X".into())).as_str(), Some("X"));
    }

    #[test]
    fn leaves_are_bounded_numbers_with_paths() {
        let value = sample();
        let all: Vec<_> = value.leaves(100).map(|(path, x)| format!("{path}={x}")).collect();
        assert_eq!(
            all.join(" "),
            "pose.position.x=1.5 pose.position.n=-2 position[0]=0 position[1]=1 position[2]=2 position[3]=3.5 \
             poses[0].x=1.5 poses[0].n=-2 poses[1].x=1.5 poses[1].n=-2 mode=2 on=1 stamp=1.5"
        );
        assert_eq!(value.leaves(3).count(), 3);
        assert_eq!(Value::Float(1.0).leaves(9).collect::<Vec<_>>(), [(String::new(), 1.0)]);
    }

    #[test]
    fn duplicate_fields_give_the_last() {
        let value = Value::Struct(vec![("a".into(), Value::Int(1)), ("a".into(), Value::Int(2))]);
        assert_eq!(value.get("a"), Some(&Value::Int(2)));
        assert_eq!(value.to_json(JsonOptions::default()).to_string(), r#"{"a":2}"#);
    }

    #[test]
    fn json_keeps_what_json_cannot_hold() {
        let value = Value::Struct(vec![
            ("x".into(), Value::Floats(vec![f64::NAN, f64::INFINITY, 0.5])),
            ("b".into(), Value::Bytes(Bytes::from_static(b"foobar"))),
            ("t".into(), Value::Duration(-5)),
        ]);
        assert_eq!(
            value.to_json(JsonOptions { bytes: BytesAs::Base64, ..JsonOptions::default() }).to_string(),
            r#"{"x":["NaN","Infinity",0.5],"b":"Zm9vYmFy","t":-5}"#
        );
        assert_eq!(
            value.to_json(JsonOptions { bytes: BytesAs::Shortened(2), max_items: 1 }).to_string(),
            r#"{"x":["NaN","… 2 more"],"b":"666f… (6 bytes)","t":-5}"#
        );
    }

    #[test]
    fn text_is_indented_and_shortened() {
        let value = Value::Struct(vec![
            ("header".into(), Value::Struct(vec![("frame_id".into(), Value::Text("base".into()))])),
            ("xs".into(), Value::Floats((0..100).map(f64::from).collect())),
            ("points".into(), Value::List(vec![Value::Struct(vec![("x".into(), Value::Int(1))])])),
            ("data".into(), Value::Bytes(Bytes::from_static(b"\x01\x02"))),
            ("empty".into(), Value::List(vec![])),
        ]);
        assert_eq!(
            value.to_string(),
            "header:\n  frame_id: \"base\"\nxs: [0, 1, 2, 3, 4, 5, 6, 7, … 92 more]\npoints:\n  [0]:\n    x: 1\n\
             data: 0102 (2 bytes)\nempty: []"
        );
    }
}
