//! Values as JSON.

use serde_json::{Map, Number, Value as Json};

use super::{Value, text};

/// How octets appear in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BytesAs {
    /// All of them, in standard base64 with padding.
    Base64,
    /// The first so many in hexadecimal, with the total count.
    Shortened(usize),
}

/// How a value becomes JSON. The default is for reading: octets shortened to 16, sequences whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonOptions {
    /// How octets appear.
    pub bytes: BytesAs,
    /// The elements of a sequence that are shown; a last string tells how many more there are.
    pub max_items: usize,
}

impl Default for JsonOptions {
    fn default() -> Self {
        Self { bytes: BytesAs::Shortened(16), max_items: usize::MAX }
    }
}

pub(super) fn to_json(value: &Value, options: JsonOptions) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(x) => Json::Bool(*x),
        Value::Int(x) | Value::Duration(x) => Json::from(*x),
        Value::Uint(x) => Json::from(*x),
        Value::Float(x) => float(*x),
        Value::Text(x) => Json::from(x.as_str()),
        Value::Bytes(x) => Json::from(match options.bytes {
            BytesAs::Base64 => base64(x),
            BytesAs::Shortened(count) => text::shortened(x, count),
        }),
        Value::Enum(number, name) => name.as_ref().map_or_else(|| Json::from(*number), |name| Json::from(&**name)),
        Value::Time(t) => Json::from(t.as_nanos()),
        Value::Floats(items) => sequence(items, options.max_items, |x| float(*x)),
        Value::List(items) => sequence(items, options.max_items, |item| to_json(item, options)),
        Value::Struct(fields) => {
            let mut map = Map::with_capacity(fields.len());
            for (name, value) in fields {
                map.insert(String::from(&**name), to_json(value, options));
            }
            Json::Object(map)
        }
    }
}

fn sequence<T>(items: &[T], max_items: usize, each: impl Fn(&T) -> Json) -> Json {
    let mut array: Vec<_> = items.iter().take(max_items).map(each).collect();
    if items.len() > max_items {
        array.push(Json::from(format!("… {} more", items.len() - max_items)));
    }
    Json::Array(array)
}

fn float(x: f64) -> Json {
    Number::from_f64(x).map_or_else(
        || {
            Json::from(if x.is_nan() {
                "NaN"
            } else if x > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            })
        },
        Json::Number,
    )
}

/// Standard base64 (RFC 4648 §4) with padding.
fn base64(data: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(data.len().div_ceil(3) * 4);
    for chunk in data.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let index = (group >> (18 - 6 * digit)) & 0x3f;
            out.push(if digit <= chunk.len() { char::from(ALPHABET[index as usize]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_follows_the_test_vectors_of_its_rfc() {
        for (plain, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }
}
