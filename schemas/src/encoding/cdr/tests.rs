//! CDR and ROS 1 payloads against tables of bytes, and hostile ones.

#![expect(clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::encoding::tests::{cost, most};

fn schema(text: &str) -> RosSchema {
    RosSchema::parse("p/msg/M", text.as_bytes(), Dialect::Ros2).unwrap()
}

fn json(text: &str, payload: &[u8]) -> String {
    let value =
        decode(&schema(text), Cursor::new(payload), &Limits::default()).map_err(crate::encoding::DecodeError::from);
    value
        .map_or_else(|error| error.to_string(), |value| value.to_json(crate::value::JsonOptions::default()).to_string())
}

const LE: &[u8] = &[0, 1, 0, 0];

fn le(body: &[u8]) -> Vec<u8> {
    [LE, body].concat()
}

#[test]
fn values_are_aligned_from_after_the_header() {
    let double = 1.5_f64.to_le_bytes();
    // Four bytes of header and four of `u` make eight, yet the double is aligned to 8 from after the header.
    let payload = [LE, &[7, 0, 0, 0], &[0; 4], &double, &[9]].concat();
    assert_eq!(json("uint32 u\nfloat64 d\nuint8 b", &payload), r#"{"u":7,"d":1.5,"b":9}"#);
    let payload = [LE, &[1, 0, 2, 0, 0, 0, 3, 0], &double].concat();
    assert_eq!(json("bool a\nint16 b\nuint16 c\nfloat64 d", &payload), r#"{"a":true,"b":2,"c":0,"d":1.5}"#);
}

#[test]
fn xcdr2_aligns_64_bit_values_to_4() {
    let double = 1.5_f64.to_le_bytes();
    let payload = [&[0, 7, 0, 0, 7, 0, 0, 0][..], &double, &[9]].concat();
    assert_eq!(json("uint32 u\nfloat64 d\nuint8 b", &payload), r#"{"u":7,"d":1.5,"b":9}"#);
}

#[test]
fn xcdr2_has_lengths_before_lists_and_appendable_structs() {
    let list = [1, 0, 0, 0, 2, 0, 0, 0, b'a', 0];
    let plain = [&[0, 7, 0, 0, 10, 0, 0, 0][..], &list, &[5]].concat();
    assert_eq!(json("string[] s\nuint8 b", &plain), r#"{"s":["a"],"b":5}"#);
    // The inner struct has two bytes more than the reader knows.
    let delimited = [0, 9, 0, 0, 8, 0, 0, 0, 3, 0, 0, 0, 1, 8, 8, 5];
    assert_eq!(json("I i\nuint8 b\n===\nMSG: p/I\nuint8 x", &delimited), r#"{"i":{"x":1},"b":5}"#);
}

#[test]
fn big_endian_payloads_are_read_too() {
    let payload = [0, 0, 0, 0, 0, 0, 0, 2, 0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0, 0xff, 0xfe];
    assert_eq!(json("float32[] xs\nint16 i", &payload), r#"{"xs":[1.0,-2.0],"i":-2}"#);
}

#[test]
fn an_empty_sequence_aligns_nothing_for_its_elements() {
    // Were the absent doubles aligned, `u` would lie at 8.
    let payload = le(&[0, 0, 0, 0, 5, 0, 0, 0]);
    assert_eq!(json("float64[] xs\nuint32 u", &payload), r#"{"xs":[],"u":5}"#);
    assert_eq!(json("float64[0] xs\nuint32 u", &le(&[5, 0, 0, 0])), r#"{"xs":[],"u":5}"#);
}

#[test]
fn strings_end_in_a_nul_that_may_be_missing() {
    let text = "string a\nstring b\nstring c\nuint8 d";
    let payload = le(&[2, 0, 0, 0, b'x', 0, 0, 0, 1, 0, 0, 0, b'y', 0, 0, 0, 0, 0, 0, 0, 4]);
    assert_eq!(json(text, &payload), r#"{"a":"x","b":"y","c":"","d":4}"#);
    assert_eq!(json("string a", &le(&[2, 0, 0, 0, 0xff, 0])), "a at byte 8: text is not valid Unicode");
}

#[test]
fn wide_strings_have_two_or_four_bytes_per_character() {
    let two = le(&[2, 0, 0, 0, 0xac, 0xc0, 0x00, 0xad, 7]);
    let four = le(&[2, 0, 0, 0, 0xac, 0xc0, 0, 0, 0x00, 0xad, 0, 0, 7]);
    for payload in [two, four] {
        assert_eq!(json("wstring w\nuint8 b", &payload), "{\"w\":\"사관\",\"b\":7}");
    }
}

#[test]
fn octets_floats_and_times_have_their_own_kinds() {
    let text = "builtin_interfaces/Time t\nbuiltin_interfaces/msg/Duration d\nuint8[2] b\nint8[2] i\nfloat32[1] f";
    let payload = le(&[1, 0, 0, 0, 5, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 1, 2, 0xff, 3, 0, 0, 0x80, 0x3f]);
    let value = decode(&schema(text), Cursor::new(&payload), &Limits::default()).unwrap();
    assert_eq!(value.get("t"), Some(&Value::Time(Timestamp::from_nanos(1_000_000_005))));
    assert_eq!(value.get("d"), Some(&Value::Duration(-999_999_999)));
    assert_eq!(value.get("b"), Some(&Value::Bytes(Bytes::from_static(&[1, 2]))));
    assert_eq!(value.get("i"), Some(&Value::List(vec![Value::Int(-1), Value::Int(3)])));
    assert_eq!(value.get("f"), Some(&Value::Floats(vec![1.0])));
}

#[test]
fn empty_messages_take_one_byte_and_never_four_billion_of_them() {
    assert_eq!(json("", LE), "{}");
    assert_eq!(json("", &le(&[0])), "{}");
    let text = "E[] es\nuint8 b\n===\nMSG: p/E\nuint8 X=1";
    assert_eq!(json(text, &le(&[2, 0, 0, 0, 0, 0, 7])), r#"{"es":[{},{}],"b":7}"#);
    let hostile = le(&[0xff, 0xff, 0xff, 0xff, 0, 0]);
    assert_eq!(json(text, &hostile), "es at byte 4: needs 4294967295 bytes, 2 left");

    let ros1 = RosSchema::parse("p/M", text.as_bytes(), Dialect::Ros1).unwrap();
    let error = decode(&ros1, Cursor::new(&[0xff; 4]), &Limits::default()).unwrap_err();
    assert!(matches!(error.problem, Problem::TooManyElements(_)), "{error:?}");
    let array = RosSchema::parse("p/M", b"E[4000000000] es\n===\nMSG: p/E", Dialect::Ros1).unwrap();
    assert!(decode(&array, Cursor::new(&[]), &Limits::default()).is_err());
}

#[test]
fn errors_say_where_and_what_is_missing() {
    let pose = "Pose pose\n===\nMSG: p/Pose\nPoint position\nPoint[] more\n===\nMSG: p/Point\nuint32 a\nfloat64 x";
    let body = [&[0; 8][..], &[1, 2, 3]].concat();
    assert_eq!(json(pose, &le(&body)), "pose.position.x at byte 12: needs 8 bytes, 3 left");
    let body = [&[0; 16][..], &[2, 0, 0, 0], &[0; 26]].concat();
    assert_eq!(json(pose, &le(&body)), "pose.more[1].x at byte 44: needs 8 bytes, 6 left");
    assert_eq!(json("uint8 a", &[0, 1]), "byte 0: needs 4 bytes, 2 left");
    assert_eq!(json("uint8 a", &[0, 3, 0, 0, 0]), "byte 0: CDR representation 0x0003 is not supported");
    assert_eq!(json("uint64[] a", &le(&[0xff, 0xff, 0xff, 0xff])), "a at byte 4: needs 34359738360 bytes, 0 left");
}

#[test]
fn ros1_has_no_alignment_no_nul_and_signed_bytes() {
    let text = b"Header header\nbyte b\nchar c\ntime t\nduration d";
    let schema = RosSchema::parse("p/M", text, Dialect::Ros1).unwrap();
    let payload = [
        &[9, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, b'f'][..],
        &[0xff, 0xfe],
        &[0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    ]
    .concat();
    let value = decode(&schema, Cursor::new(&payload), &Limits::default()).unwrap();
    assert_eq!(
        value.to_json(crate::value::JsonOptions::default()).to_string(),
        r#"{"header":{"seq":9,"stamp":1000000002,"frame_id":"f"},"b":-1,"c":254,"t":4294967295000000001,"d":-1000000001}"#
    );
}

/// A tiny encoder, written from the rules and not from the decoder.
struct Encoder {
    out: Vec<u8>,
    big: bool,
    random: u64,
}

impl Encoder {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z ^ (z >> 27)
    }

    fn put(&mut self, little: &[u8]) {
        while !(self.out.len() - 4).is_multiple_of(little.len()) {
            self.out.push(0);
        }
        if self.big {
            self.out.extend(little.iter().rev());
        } else {
            self.out.extend(little);
        }
    }

    /// Writes a random value of this type and gives what the decoder must make of it.
    fn one(&mut self, kind: &str) -> Value {
        let x = self.next();
        match kind {
            "bool" => (self.put(&[u8::from(x & 1 == 1)]), Value::Bool(x & 1 == 1)).1,
            "int8" => (self.put(&(x as i8).to_le_bytes()), Value::Int(i64::from(x as i8))).1,
            "uint8" => (self.put(&[x as u8]), Value::Uint(u64::from(x as u8))).1,
            "int16" => (self.put(&(x as i16).to_le_bytes()), Value::Int(i64::from(x as i16))).1,
            "uint32" => (self.put(&(x as u32).to_le_bytes()), Value::Uint(u64::from(x as u32))).1,
            "int64" => (self.put(&x.to_le_bytes()), Value::Int(x as i64)).1,
            "float32" => (self.put(&(x as f32).to_le_bytes()), Value::Float(f64::from(x as f32))).1,
            "float64" => (self.put(&(x as f64).to_le_bytes()), Value::Float(x as f64)).1,
            "string" => {
                let text = "사".repeat((x % 4) as usize);
                self.put(&(text.len() as u32 + 1).to_le_bytes());
                self.out.extend(text.as_bytes());
                self.out.push(0);
                Value::Text(text)
            }
            _ => {
                let fields = [("u", "uint8"), ("d", "float64"), ("s", "string")];
                Value::Struct(fields.iter().map(|(name, kind)| ((*name).into(), self.one(kind))).collect())
            }
        }
    }

    fn list(&mut self, kind: &str, count: usize) -> Value {
        let items: Vec<_> = (0..count).map(|_| self.one(kind)).collect();
        match kind {
            "uint8" => Value::Bytes(items.iter().map(|x| x.as_u64().unwrap() as u8).collect()),
            "float32" | "float64" => Value::Floats(items.iter().map(|x| x.as_f64().unwrap()).collect()),
            _ => Value::List(items),
        }
    }
}

const KINDS: [&str; 10] = ["bool", "int8", "uint8", "int16", "uint32", "int64", "float32", "float64", "string", "Leaf"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_encoded_is_decoded(
        fields in prop::collection::vec((prop::sample::select(&KINDS[..]), 0..3_u8, 0..4_usize), 1..12),
        random: u64,
        big: bool,
        cut in 0..64_usize,
    ) {
        let mut text = String::new();
        let mut encoder = Encoder { out: vec![0, u8::from(!big), 0, 0], big, random };
        let mut expected = Vec::new();
        for (i, (kind, shape, count)) in fields.iter().enumerate() {
            let (suffix, value) = match shape {
                0 => (String::new(), encoder.one(kind)),
                1 => (format!("[{count}]"), encoder.list(kind, *count)),
                _ => {
                    encoder.put(&(*count as u32).to_le_bytes());
                    ("[]".to_owned(), encoder.list(kind, *count))
                }
            };
            text += &format!("{kind}{suffix} f{i}\n");
            expected.push((format!("f{i}").into(), value));
        }
        text += "===\nMSG: p/Leaf\nuint8 u\nfloat64 d\nstring s\n";
        let schema = schema(&text);
        let limits = Limits::default();
        prop_assert_eq!(decode(&schema, Cursor::new(&encoder.out), &limits).unwrap(), Value::Struct(expected));
        // Cut short it is an error or (where only an empty tail is missing) a smaller value.
        let end = encoder.out.len().saturating_sub(cut);
        if let Ok(value) = decode(&schema, Cursor::new(&encoder.out[..end]), &limits) {
            prop_assert!(cost(&value) <= most(end));
        }
    }
}
