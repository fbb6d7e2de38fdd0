//! Typed reading of value trees: what JSON, CDR and others write in different ways is read as one thing.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;

use super::{
    check::time_of,
    error::Problem,
    geometry::{Pose, Quaternion, Vector3},
};
use crate::{time::Timestamp, value::Value};

/// The fields of a struct by path, e.g. `header.stamp`.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a Value);

impl<'a> Fields<'a> {
    /// The value at a path; absent where it is missing or null.
    pub(super) fn find(self, path: &str) -> Option<&'a Value> {
        let found = path.split('.').try_fold(self.0, |value, name| {
            // ROS 1 has capitals where ROS 2 has none: `K`, `k`.
            value.get(name).or_else(|| value.get(&name.to_ascii_uppercase()))
        });
        found.filter(|value| **value != Value::Null)
    }

    /// The value at a path.
    pub(super) fn at(self, path: &str) -> Result<&'a Value, Problem> {
        self.find(path).ok_or_else(|| Problem::Missing { field: path.to_owned() })
    }

    fn read<T>(self, path: &str, read: impl FnOnce(&Value) -> Result<T, Problem>) -> Result<T, Problem> {
        read(self.at(path)?).map_err(|problem| problem.under(path))
    }

    pub(super) fn f64(self, path: &str) -> Result<f64, Problem> {
        self.read(path, number)
    }

    pub(super) fn u32(self, path: &str) -> Result<u32, Problem> {
        self.read(path, |v| integer(v).and_then(|n| u32::try_from(n).map_err(|_large| wrong("a 32-bit count"))))
    }

    pub(super) fn i64(self, path: &str) -> Result<i64, Problem> {
        self.read(path, integer)
    }

    pub(super) fn flag(self, path: &str) -> Result<bool, Problem> {
        self.read(path, flag)
    }

    pub(super) fn text(self, path: &str) -> Result<String, Problem> {
        self.read(path, |v| v.as_str().map(str::to_owned).ok_or(wrong("a text")))
    }

    pub(super) fn bytes(self, path: &str) -> Result<Bytes, Problem> {
        self.read(path, octets)
    }

    pub(super) fn floats(self, path: &str) -> Result<Vec<f64>, Problem> {
        self.read(path, numbers)
    }

    pub(super) fn list(self, path: &str) -> Result<&'a [Value], Problem> {
        match self.at(path)? {
            Value::List(items) => Ok(items),
            // An empty list says nothing of its elements.
            Value::Floats(items) if items.is_empty() => Ok(&[]),
            _ => Err(wrong("a list").under(path)),
        }
    }

    pub(super) fn time(self, path: &str) -> Result<Timestamp, Problem> {
        self.read(path, time)
    }

    pub(super) fn vector3(self, path: &str) -> Result<Vector3, Problem> {
        self.read(path, |v| {
            let v = Fields(v);
            Ok(Vector3 { x: v.f64("x")?, y: v.f64("y")?, z: v.f64("z")? })
        })
    }

    pub(super) fn quaternion(self, path: &str) -> Result<Quaternion, Problem> {
        self.read(path, |q| {
            let q = Fields(q);
            Ok(Quaternion { x: q.f64("x")?, y: q.f64("y")?, z: q.f64("z")?, w: q.f64("w")? })
        })
    }

    pub(super) fn pose(self, path: &str) -> Result<Pose, Problem> {
        self.read(path, |p| {
            let p = Fields(p);
            Ok(Pose { position: p.vector3("position")?, orientation: p.quaternion("orientation")? })
        })
    }
}

/// The value read is of another type; its path is added on the way out.
pub(super) fn wrong(expected: &'static str) -> Problem {
    Problem::Type { field: String::new(), expected }
}

/// A number; JSON writes those that are not finite as text or null.
pub(super) fn number(value: &Value) -> Result<f64, Problem> {
    match value {
        Value::Null => Ok(f64::NAN),
        Value::Text(text) => match text.as_str() {
            "NaN" => Ok(f64::NAN),
            "Infinity" => Ok(f64::INFINITY),
            "-Infinity" => Ok(f64::NEG_INFINITY),
            _ => Err(wrong("a number")),
        },
        other => other.as_f64().ok_or(wrong("a number")),
    }
}

/// A whole number; JSON may write 64-bit ones as text.
pub(super) fn integer(value: &Value) -> Result<i64, Problem> {
    let read = match value {
        Value::Text(text) => text.parse().ok(),
        Value::Bool(on) => Some(i64::from(*on)),
        other => other.as_i64(),
    };
    read.ok_or(wrong("a whole number"))
}

/// A truth value; CDR and JSON may write it as 0 or 1.
pub(super) fn flag(value: &Value) -> Result<bool, Problem> {
    match value {
        Value::Bool(on) => Ok(*on),
        other => integer(other).map(|n| n != 0).map_err(|_neither| wrong("a truth value")),
    }
}

/// Octets; JSON writes them as base64 or as a list of numbers.
pub(super) fn octets(value: &Value) -> Result<Bytes, Problem> {
    match value {
        Value::Bytes(bytes) => Ok(bytes.clone()),
        Value::Text(text) => STANDARD.decode(text).map(Bytes::from).map_err(|_invalid| wrong("base64")),
        Value::List(items) => {
            let octet = |v: &Value| integer(v).ok().and_then(|n| u8::try_from(n).ok());
            let octets: Option<Vec<u8>> = items.iter().map(octet).collect();
            octets.map(Bytes::from).ok_or(wrong("octets"))
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole and in range")]
        Value::Floats(items) if items.iter().all(|x| x.fract() == 0.0 && (0.0..256.0).contains(x)) => {
            Ok(items.iter().map(|x| *x as u8).collect())
        }
        _ => Err(wrong("octets")),
    }
}

/// A list of numbers.
pub(super) fn numbers(value: &Value) -> Result<Vec<f64>, Problem> {
    match value {
        Value::Floats(items) => Ok(items.clone()),
        Value::List(items) => items.iter().map(number).collect(),
        Value::Bytes(items) => Ok(items.iter().map(|x| f64::from(*x)).collect()),
        _ => Err(wrong("a list of numbers")),
    }
}

/// A time: a stamp, seconds and nanoseconds under any of their usual names, or RFC 3339.
pub(super) fn time(value: &Value) -> Result<Timestamp, Problem> {
    match value {
        Value::Time(time) => Ok(*time),
        Value::Struct(_) => seconds_and_nanos(value).and_then(|(secs, nanos)| time_of(secs, nanos)),
        Value::Text(text) => {
            let parsed: Option<jiff::Timestamp> = text.parse().ok();
            let nanos = parsed.and_then(|t| i64::try_from(t.as_nanosecond()).ok());
            nanos.map(Timestamp::from_nanos).ok_or(wrong("a time"))
        }
        _ => Err(wrong("a time")),
    }
}

/// Seconds and nanoseconds of a time or a duration; one of them may be left out, as protobuf does with 0.
pub(super) fn seconds_and_nanos(value: &Value) -> Result<(i64, i64), Problem> {
    let part = |names: [&str; 4]| names.iter().find_map(|name| Fields(value).find(name)).map(integer).transpose();
    let secs = part(["sec", "secs", "seconds", "s"])?;
    let nanos = part(["nsec", "nanosec", "nsecs", "nanos"])?;
    let empty = matches!(value, Value::Struct(fields) if fields.is_empty());
    if secs.is_none() && nanos.is_none() && !empty {
        return Err(wrong("a time"));
    }
    Ok((secs.unwrap_or(0), nanos.unwrap_or(0)))
}
