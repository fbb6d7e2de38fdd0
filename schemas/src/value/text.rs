//! Values as indented text for people.

use std::fmt::{self, Write as _};

use super::Value;

/// Elements of a sequence that are shown.
const SHOWN: usize = 8;
/// Octets that are shown.
const SHOWN_BYTES: usize = 16;
/// Levels that are shown; decoders go no deeper, other makers of values may.
const MAX_DEPTH: usize = 64;

pub(super) fn write(value: &Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match value {
        Value::Struct(fields) if !fields.is_empty() => block(value, 0, f),
        Value::List(items) if items.iter().any(is_block) => block(value, 0, f),
        _ => inline(value, f),
    }
}

/// Whether this takes lines of its own.
fn is_block(value: &Value) -> bool {
    match value {
        Value::Struct(fields) => !fields.is_empty(),
        Value::List(items) => items.iter().take(SHOWN).any(is_block_shallow),
        _ => false,
    }
}

/// [`is_block`] without looking into lists, to keep the look-ahead cheap.
fn is_block_shallow(value: &Value) -> bool {
    matches!(value, Value::Struct(_) | Value::List(_) | Value::Floats(_))
}

fn block(value: &Value, depth: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if depth >= MAX_DEPTH {
        return write!(f, "{:1$}…", "", depth * 2);
    }
    match value {
        Value::Struct(fields) => {
            for (i, (name, value)) in fields.iter().enumerate() {
                let end = if i == 0 { "" } else { "\n" };
                write!(f, "{end}{:1$}{name}:", "", depth * 2)?;
                below(value, depth, f)?;
            }
            Ok(())
        }
        Value::List(items) => {
            for (i, value) in items.iter().take(SHOWN).enumerate() {
                let end = if i == 0 { "" } else { "\n" };
                write!(f, "{end}{:1$}[{i}]:", "", depth * 2)?;
                below(value, depth, f)?;
            }
            match items.len().checked_sub(SHOWN) {
                Some(more @ 1..) => write!(f, "\n{:1$}… {more} more", "", depth * 2),
                _ => Ok(()),
            }
        }
        other => inline(other, f),
    }
}

/// What follows a name and its colon.
fn below(value: &Value, depth: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if is_block(value) {
        f.write_char('\n')?;
        block(value, depth + 1, f)
    } else {
        f.write_char(' ')?;
        inline(value, f)
    }
}

fn inline(value: &Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match value {
        Value::Null => f.write_str("-"),
        Value::Bool(x) => write!(f, "{x}"),
        Value::Int(x) => write!(f, "{x}"),
        Value::Uint(x) => write!(f, "{x}"),
        Value::Float(x) => write!(f, "{x}"),
        Value::Text(x) => write!(f, "{x:?}"),
        Value::Bytes(x) => f.write_str(&shortened(x, SHOWN_BYTES)),
        Value::Enum(number, Some(name)) => write!(f, "{name} ({number})"),
        Value::Enum(number, None) => write!(f, "{number}"),
        Value::Time(t) => write!(f, "{t}"),
        Value::Duration(nanos) => {
            let sign = if *nanos < 0 { "-" } else { "" };
            let nanos = nanos.unsigned_abs();
            write!(f, "{sign}{}.{:09} s", nanos / 1_000_000_000, nanos % 1_000_000_000)
        }
        Value::Floats(items) => sequence(items, f, |x, f| write!(f, "{x}")),
        Value::List(items) => sequence(items, f, inline),
        Value::Struct(_) => f.write_str("{}"),
    }
}

fn sequence<T>(
    items: &[T],
    f: &mut fmt::Formatter<'_>,
    each: impl Fn(&T, &mut fmt::Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    f.write_char('[')?;
    for (i, item) in items.iter().take(SHOWN).enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        each(item, f)?;
    }
    match items.len().checked_sub(SHOWN) {
        Some(more @ 1..) => write!(f, ", … {more} more]"),
        _ => f.write_char(']'),
    }
}

/// The first `count` octets in hexadecimal and how many there are.
pub(super) fn shortened(bytes: &[u8], count: usize) -> String {
    let mut out = String::new();
    for byte in bytes.iter().take(count) {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    if bytes.len() > count {
        out.push('…');
    }
    let _ = write!(out, " ({} bytes)", bytes.len());
    out
}
