//! One line of a `.msg` definition.

use super::Shape;

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Empty, a comment or a constant.
    Nothing,
    /// A field; its default is dropped.
    Field {
        /// Without bounds and array suffix.
        type_name: &'a str,
        name: &'a str,
        shape: Shape,
    },
}

/// Parses a trimmed line. Errors say what is wrong in words.
pub(super) fn parse_line(line: &str) -> Result<Line<'_>, &'static str> {
    if line.is_empty() || line.starts_with('#') {
        return Ok(Line::Nothing);
    }
    let (type_text, rest) = line.split_once(char::is_whitespace).ok_or("a field needs a type and a name")?;
    let (type_name, shape) = parse_type(type_text)?;
    let rest = rest.trim_start();
    let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return Err("not a field name");
    }
    let spaced = after.starts_with(char::is_whitespace);
    let after = after.trim_start();
    if after.starts_with('=') {
        return Ok(Line::Nothing);
    }
    // What follows a space is a default or a comment; neither is on the wire.
    if after.is_empty() || spaced || after.starts_with('#') {
        Ok(Line::Field { type_name, name, shape })
    } else {
        Err("not a field name")
    }
}

/// `string<=10[<=5]` as `string` and a shape.
fn parse_type(text: &str) -> Result<(&str, Shape), &'static str> {
    let (scalar, shape) = match text.split_once('[') {
        None => (text, Shape::One),
        Some((scalar, suffix)) => {
            let inside = suffix.strip_suffix(']').ok_or("array suffix without ]")?;
            (scalar, parse_shape(inside)?)
        }
    };
    let base = match scalar.split_once("<=") {
        None => scalar,
        Some((base @ ("string" | "wstring"), bound)) if is_count(bound) => base,
        Some(_) => return Err("only strings have a bound before the array suffix"),
    };
    let valid = base.starts_with(|c: char| c.is_ascii_alphabetic()) && base.chars().all(|c| is_word(c) || c == '/');
    if valid { Ok((base, shape)) } else { Err("not a type name") }
}

fn parse_shape(inside: &str) -> Result<Shape, &'static str> {
    match inside.strip_prefix("<=") {
        Some(bound) if is_count(bound) => Ok(Shape::Sequence),
        None if inside.is_empty() => Ok(Shape::Sequence),
        None if is_count(inside) => inside.parse().map(Shape::Array).map_err(|_range| "array is too long"),
        _ => Err("not an array length"),
    }
}

fn is_count(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
