//! Protobuf payloads against hand-written bytes and against `prost-reflect`.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeMap, sync::LazyLock};

use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    FileDescriptorSet, MessageOptions, OneofDescriptorProto,
    field_descriptor_proto::{Label as L, Type as T},
};

use super::*;
use crate::encoding::{
    DecodeError,
    tests::{cost, most},
};
use crate::value::JsonOptions;

fn field(name: &str, number: i32, kind: T) -> FieldDescriptorProto {
    FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        label: Some(L::Optional as i32),
        r#type: Some(kind as i32),
        ..FieldDescriptorProto::default()
    }
}

fn of_type(name: &str, number: i32, kind: T, type_name: &str) -> FieldDescriptorProto {
    FieldDescriptorProto { type_name: Some(type_name.to_owned()), ..field(name, number, kind) }
}

fn repeated(field: FieldDescriptorProto) -> FieldDescriptorProto {
    FieldDescriptorProto { label: Some(L::Repeated as i32), ..field }
}

fn in_oneof(field: FieldDescriptorProto, oneof: i32) -> FieldDescriptorProto {
    FieldDescriptorProto { oneof_index: Some(oneof), ..field }
}

fn message(name: &str, field: Vec<FieldDescriptorProto>) -> DescriptorProto {
    DescriptorProto { name: Some(name.to_owned()), field, ..DescriptorProto::default() }
}

/// A message with a field of every kind, and the types that it refers to.
fn everything() -> FileDescriptorSet {
    let mut all = message(
        "All",
        vec![
            field("d", 1, T::Double),
            repeated(field("fs", 2, T::Float)),
            field("s", 3, T::String),
            of_type("mode", 4, T::Enum, ".p.Mode"),
            of_type("stamp", 5, T::Message, ".google.protobuf.Timestamp"),
            of_type("all", 6, T::Message, ".p.All"),
            repeated(of_type("alls", 7, T::Message, ".p.All")),
            repeated(of_type("counts", 8, T::Message, ".p.All.CountsEntry")),
            repeated(field("is", 9, T::Sint32)),
            in_oneof(field("one", 10, T::Int32), 0),
            in_oneof(of_type("two", 11, T::Message, ".p.All"), 0),
            FieldDescriptorProto { proto3_optional: Some(true), ..in_oneof(field("maybe", 12, T::Bool), 1) },
            field("b", 13, T::Bytes),
            of_type("span", 14, T::Message, ".google.protobuf.Duration"),
            repeated(of_type("modes", 15, T::Enum, "Mode")),
            field("u", 16, T::Fixed64),
            field("n", 17, T::Int32),
        ],
    );
    all.oneof_decl = ["choice", "_maybe"]
        .map(|name| OneofDescriptorProto { name: Some(name.to_owned()), ..OneofDescriptorProto::default() })
        .to_vec();
    let mut entry = message("CountsEntry", vec![field("key", 1, T::String), field("value", 2, T::Int64)]);
    entry.options = Some(MessageOptions { map_entry: Some(true), ..MessageOptions::default() });
    all.nested_type.push(entry);
    let mode = EnumDescriptorProto {
        name: Some("Mode".to_owned()),
        value: [("OFF", 0), ("ON", 1)]
            .map(|(name, number)| EnumValueDescriptorProto {
                name: Some(name.to_owned()),
                number: Some(number),
                ..EnumValueDescriptorProto::default()
            })
            .to_vec(),
        ..EnumDescriptorProto::default()
    };
    let well_known = |file: &str, name: &str| FileDescriptorProto {
        name: Some(format!("google/protobuf/{file}.proto")),
        package: Some("google.protobuf".to_owned()),
        message_type: vec![message(name, vec![field("seconds", 1, T::Int64), field("nanos", 2, T::Int32)])],
        syntax: Some("proto3".to_owned()),
        ..FileDescriptorProto::default()
    };
    FileDescriptorSet {
        file: vec![
            well_known("timestamp", "Timestamp"),
            well_known("duration", "Duration"),
            FileDescriptorProto {
                name: Some("p.proto".to_owned()),
                package: Some("p".to_owned()),
                dependency: vec![
                    "google/protobuf/timestamp.proto".to_owned(),
                    "google/protobuf/duration.proto".to_owned(),
                ],
                message_type: vec![all],
                enum_type: vec![mode],
                syntax: Some("proto3".to_owned()),
                ..FileDescriptorProto::default()
            },
        ],
    }
}

fn schema() -> ProtobufSchema {
    ProtobufSchema::parse("p.All", &everything().encode_to_vec()).unwrap()
}

fn decoded(payload: &[u8]) -> Result<Value, String> {
    schema().decode(Cursor::new(payload), &Limits::default()).map_err(|fault| DecodeError::from(fault).to_string())
}

fn at(payload: &[u8], path: &str) -> String {
    decoded(payload).unwrap().path(path).unwrap().to_json(JsonOptions::default()).to_string()
}

#[test]
fn what_is_left_out_has_its_default_or_is_null() {
    assert_eq!(
        decoded(b"").unwrap().to_json(JsonOptions::default()).to_string(),
        r#"{"d":0.0,"fs":[],"s":"","mode":"OFF","stamp":null,"all":null,"alls":[],"counts":{},"is":[],"one":null,"two":null,"maybe":null,"b":" (0 bytes)","span":null,"modes":[],"u":0,"n":0}"#
    );
}

#[test]
fn every_kind_of_field_is_read() {
    for (payload, path, expected) in [
        (&b"\x09\0\0\0\0\0\0\xf8\x3f"[..], "d", "1.5"),
        (b"\x12\x08\0\0\x80\x3f\0\0\0\x40", "fs", "[1.0,2.0]"),
        (b"\x15\0\0\x80\x3f\x15\0\0\0\x40", "fs", "[1.0,2.0]"),
        (b"\x1a\x03abc", "s", "\"abc\""),
        (b"\x20\x01", "mode", "\"ON\""),
        (b"\x20\x07", "mode", "7"),
        (b"\x2a\x04\x08\x01\x10\x02", "stamp", "1000000002"),
        (b"\x32\x03\x1a\x01x", "all.s", "\"x\""),
        (b"\x3a\0\x3a\x03\x1a\x01x", "alls[1].s", "\"x\""),
        (b"\x42\x05\x0a\x01k\x10\x05\x42\x05\x0a\x01k\x10\x06\x42\x00", "counts", r#"{"k":6,"":0}"#),
        (b"\x4a\x03\x01\x02\x03\x48\x04", "is", "[-1,1,-2,2]"),
        (b"\x50\x01\x5a\x00", "one", "null"),
        (b"\x5a\x00\x50\x01", "two", "null"),
        (b"\x60\x00", "maybe", "false"),
        (b"\x6a\x02\x01\xff", "b", "\"01ff (2 bytes)\""),
        (b"\x72\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "span", "-1000000000"),
        (b"\x7a\x02\x00\x01", "modes", r#"["OFF","ON"]"#),
        (b"\x81\x01\xff\xff\xff\xff\xff\xff\xff\xff", "u", "18446744073709551615"),
        (b"\x88\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "n", "-1"),
    ] {
        assert_eq!(at(payload, path), expected, "{payload:x?}");
    }
}

#[test]
fn pieces_of_a_message_are_merged_and_unknown_fields_are_passed_over() {
    assert_eq!(at(b"\x32\x03\x1a\x01x\x32\x02\x20\x01", "all.s"), "\"x\"");
    // A group of unknown number with an unknown field in it, and a field 1000 of each wire type.
    let unknown = b"\xc3\x3e\x08\x01\xc4\x3e\xc0\x3e\x05\xc1\x3e\0\0\0\0\0\0\0\0\xc2\x3e\x01x\xc5\x3e\0\0\0\0\x20\x01";
    assert_eq!(at(unknown, "mode"), "\"ON\"");
}

#[test]
fn errors_say_where_and_what() {
    for (payload, expected) in [
        (&b"\x09\0\0\0"[..], "d at byte 1: needs 8 bytes, 3 left"),
        (b"\x32\x05\x09\0\0\0\0", "all.d at byte 3: needs 8 bytes, 4 left"),
        (b"\x3a\x00\x3a\x03\x1a\x01\xff", "alls[1].s at byte 6: text is not valid Unicode"),
        (b"\x1a\xff\xff\xff\xff\x0f", "s at byte 6: needs 4294967295 bytes, 0 left"),
        (b"\x0d\0\0\0\0", "d at byte 1: wire type 5 does not fit a field declared as double"),
        (
            b"\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            "mode at byte 1: variable-length integer is longer than 64 bits",
        ),
        (b"\x07", "byte 0: tag 0x7 is not a protobuf field"),
        (b"\x02\x00", "byte 0: tag 0x2 is not a protobuf field"),
        (b"\xc4\x3e", "byte 0: protobuf group without its end"),
        (b"\x12\x03\0\0\0", "fs at byte 5: needs 4 bytes, 3 left"),
    ] {
        assert_eq!(decoded(payload), Err(expected.to_owned()), "{payload:x?}");
    }
}

/// `depth` messages inside each other.
fn nested(depth: usize) -> Vec<u8> {
    (0..depth).fold(Vec::new(), |inner, _| {
        let mut out = vec![0x32];
        prost::encoding::encode_varint(inner.len() as u64, &mut out);
        [out, inner].concat()
    })
}

#[test]
fn depth_and_number_of_values_are_limited() {
    assert!(decoded(&nested(63)).is_ok());
    assert!(decoded(&nested(64)).unwrap_err().ends_with("nested deeper than 64 levels"));
    let groups = [0xc3, 0x3e].repeat(10_000);
    assert!(decoded(&groups).unwrap_err().ends_with("nested deeper than 64 levels"));
    // Each two bytes are a message of 17 fields.
    let messages = [0x3a, 0x00].repeat(100_000);
    assert!(decoded(&messages).unwrap_err().ends_with("the limit for a payload of this size"));
    let packed = [&[0x4a, 0xc0, 0x84, 0x3d][..], &[1; 1_000_000]].concat();
    assert_eq!(at(&packed, "is[999999]"), "-1");
}

#[test]
fn broken_descriptor_sets_are_errors() {
    let named = |fields: Vec<FieldDescriptorProto>| {
        FileDescriptorSet {
            file: vec![FileDescriptorProto {
                message_type: vec![message("M", fields)],
                ..FileDescriptorProto::default()
            }],
        }
        .encode_to_vec()
    };
    for (data, expected) in [
        (Vec::new(), "type \"M\" of the channel is not defined"),
        (b"\x0a\x05".to_vec(), "descriptor set: byte 2: needs 5 bytes, 0 left"),
        (named(vec![of_type("x", 1, T::Message, ".Nowhere")]), "type \".Nowhere\" of M is not defined"),
        (named(vec![of_type("x", 1, T::Message, "Nowhere")]), "type \"Nowhere\" of M is not defined"),
        (named(vec![field("x", 0, T::Bool)]), "field x of M: field number is out of range"),
        (named(vec![field("x", 1, T::Bool), field("y", 1, T::Bool)]), "field 1 of M: field number is used twice"),
        (
            named((1..200_000).map(|i| field("", i, T::Bool)).collect()),
            "more than 131072 definitions in a descriptor set",
        ),
    ] {
        assert_eq!(ProtobufSchema::parse("M", &data).unwrap_err().to_string(), expected);
    }
    let deep = (0..1000).fold(Vec::new(), |inner: Vec<u8>, _| {
        let mut out = vec![0x1a];
        prost::encoding::encode_varint(inner.len() as u64, &mut out);
        [out, inner].concat()
    });
    let mut file = vec![0x22];
    prost::encoding::encode_varint(deep.len() as u64, &mut file);
    let file = [file, deep].concat();
    let mut set = vec![0x0a];
    prost::encoding::encode_varint(file.len() as u64, &mut set);
    let error = ProtobufSchema::parse("M", &[set, file].concat()).unwrap_err();
    assert!(error.to_string().ends_with("nested deeper than 64 levels"), "{error}");
}

#[test]
fn proto2_has_declared_defaults_and_groups() {
    let with_default = FieldDescriptorProto { default_value: Some("7".to_owned()), ..field("x", 1, T::Int32) };
    let group = of_type("g", 2, T::Group, ".G");
    let set = FileDescriptorSet {
        file: vec![FileDescriptorProto {
            message_type: vec![message("M", vec![with_default, group]), message("G", vec![field("y", 1, T::Int32)])],
            ..FileDescriptorProto::default()
        }],
    };
    let schema = ProtobufSchema::parse("M", &set.encode_to_vec()).unwrap();
    let json = |payload: &[u8]| {
        schema.decode(Cursor::new(payload), &Limits::default()).unwrap().to_json(JsonOptions::default()).to_string()
    };
    assert_eq!(json(b""), r#"{"x":7,"g":null}"#);
    assert_eq!(json(b"\x13\x08\x05\x14\x08\x01"), r#"{"x":1,"g":{"y":5}}"#);
}

static REFERENCE: LazyLock<prost_reflect::MessageDescriptor> = LazyLock::new(|| {
    // Names must be full there, as compilers write them.
    let mut set = everything();
    for field in &mut set.file[2].message_type[0].field {
        if field.type_name.as_deref() == Some("Mode") {
            field.type_name = Some(".p.Mode".to_owned());
        }
    }
    DescriptorPool::from_file_descriptor_set(set).unwrap().get_message_by_name("p.All").unwrap()
});

static SCHEMA: LazyLock<ProtobufSchema> = LazyLock::new(schema);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_a_message_is_decided_as_by_prost_reflect(
        payload in prop::collection::vec(
            prop_oneof![
                4 => prop::sample::select(&b"\x09\x12\x15\x1a\x20\x2a\x32\x3a\x42\x4a\x48\x50\x5a\x60\x6a\x72\x7a\x81\x88\x08\x10\x0a"[..]),
                4 => 0..4_u8,
                1 => any::<u8>(),
            ],
            0..40,
        ),
    ) {
        let schema = &*SCHEMA;
        let ours = schema.decode(Cursor::new(&payload), &Limits::default());
        let theirs = DynamicMessage::decode(REFERENCE.clone(), payload.as_slice());
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?}", ours, theirs);
        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
            prop_assert!(cost(&ours) <= most(payload.len()));
            // Written in order and packed by the other library it still means the same.
            let again = schema.decode(Cursor::new(&theirs.encode_to_vec()), &Limits::default()).unwrap();
            prop_assert_eq!(canonical(&again).to_string(), canonical(&ours).to_string());
        }
    }
}

/// Without what a second writer may change: the order and duplicates of a map's entries, and the sign of zero.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Float(0.0) => Value::Float(0.0),
        Value::List(items) => Value::List(items.iter().map(canonical).collect()),
        Value::Struct(fields) => Value::Struct(
            fields
                .iter()
                .map(|(name, value)| match (&**name, value) {
                    ("counts", Value::Struct(entries)) => {
                        let last: BTreeMap<_, _> = entries.iter().cloned().collect();
                        (Arc::clone(name), Value::Struct(last.into_iter().collect()))
                    }
                    _ => (Arc::clone(name), canonical(value)),
                })
                .collect(),
        ),
        other => other.clone(),
    }
}
