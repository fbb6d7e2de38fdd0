//! Decoders as their users see them: choice of format, limits, places of errors.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeMap, sync::LazyLock};

use proptest::prelude::*;

use super::*;
use crate::channel::SchemaDescriptor;

/// A channel of these encodings.
pub(super) fn channel(message_encoding: &str, schema: Option<(&str, &str, &[u8])>) -> ChannelDescriptor {
    ChannelDescriptor {
        topic: "/t".to_owned(),
        message_encoding: message_encoding.to_owned(),
        schema: schema.map(|(name, encoding, data)| SchemaDescriptor {
            name: name.to_owned(),
            encoding: encoding.to_owned(),
            data: Bytes::copy_from_slice(data),
        }),
        metadata: BTreeMap::new(),
    }
}

/// What a tree costs by the rules of [`Limits`].
pub(super) fn cost(value: &Value) -> usize {
    match value {
        Value::List(items) => 1 + items.iter().map(cost).sum::<usize>(),
        Value::Struct(fields) => 1 + fields.iter().map(|(_, value)| cost(value)).sum::<usize>(),
        Value::Floats(items) => 1 + items.len() / 4,
        _ => 1,
    }
}

/// The most that a payload of this length may cost.
pub(super) fn most(payload: usize) -> usize {
    payload * Limits::ELEMENTS_PER_BYTE + Limits::ELEMENTS_FREE + 1
}

#[test]
fn unknown_encodings_are_kept_as_bytes_with_a_reason() {
    for (message_encoding, schema) in [
        ("application/x-thing", None),
        ("cdr", None),
        ("protobuf", None),
        ("cdr", Some(("a/msg/B", "ros2idl", &b"module a {}"[..]))),
        ("flatbuffer", Some(("A", "flatbuffer", &b""[..]))),
    ] {
        let decoder = Decoder::new(&channel(message_encoding, schema)).unwrap();
        assert!(decoder.opaque_reason().unwrap().contains(message_encoding), "{message_encoding}");
        assert_eq!(decoder.decode(b"abc").unwrap(), Value::Bytes(Bytes::from_static(b"abc")));
    }
}

#[test]
fn octets_of_shared_payloads_are_not_copied() {
    let payload = Bytes::from_static(b"\0\x01\0\0\x03\0\0\0abc");
    let decoder = Decoder::new(&channel("cdr", Some(("a/msg/B", "ros2msg", b"uint8[] data")))).unwrap();
    let value = decoder.decode_bytes(&payload).unwrap();
    assert_eq!(value.get("data").and_then(Value::as_bytes).unwrap().as_ptr(), payload[8..].as_ptr());
}

#[test]
fn views_are_typed_where_a_view_exists_and_the_tree_elsewhere() {
    let ros = |name, text: &str| Decoder::new(&channel("cdr", Some((name, "ros2msg", text.as_bytes())))).unwrap();
    let joints = ros(
        "sensor_msgs/msg/JointState",
        "std_msgs/Header header\nstring[] name\nfloat64[] position\nfloat64[] velocity\nfloat64[] effort",
    );
    let payload = Bytes::from_static(&[0; 4 + 8 + 8 + 4 * 4]);
    assert!(matches!(joints.view(&payload), Ok(Message::JointStates(_))));
    assert!(matches!(joints.view_bytes(&payload), Ok(Message::JointStates(_))));
    assert!(matches!(joints.view(b""), Err(DecodeError::Malformed { .. })));
    // The name promises an IMU, the definition is something else.
    let liar = ros("sensor_msgs/msg/Imu", "uint8 x");
    assert!(matches!(liar.view(&[0, 1, 0, 0, 5]), Err(DecodeError::View(_))));
    let unknown = ros("p/msg/M", "uint8 x");
    let Message::Other(tree) = unknown.view(&[0, 1, 0, 0, 5]).unwrap() else { panic!("p/msg/M has no view") };
    assert_eq!(tree.get("x"), Some(&Value::Uint(5)));
    let opaque = Decoder::new(&channel("x", Some(("foxglove.Log", "y", b"")))).unwrap();
    assert_eq!(opaque.view(b"a").unwrap(), Message::Other(Value::Bytes(Bytes::from_static(b"a"))));
}

#[test]
fn a_value_takes_no_more_memory_than_the_limits_assume() {
    assert!(size_of::<(std::sync::Arc<str>, Value)>() <= 56);
}

#[test]
fn payloads_beyond_the_limit_are_refused() {
    let limits = Limits { max_payload: 3, ..Limits::default() };
    let decoder = Decoder::with_limits(&channel("json", None), limits).unwrap();
    let error = decoder.decode(b"1234").unwrap_err();
    assert_eq!(error.to_string(), "payload of 4 bytes exceeds the limit of 3 bytes");
}

#[test]
fn errors_name_the_schema_and_keep_the_cause() {
    let error = Decoder::new(&channel("cdr", Some(("a/msg/B", "ros2msg", b"Nowhere x")))).unwrap_err();
    assert_eq!(error.to_string(), "schema \"a/msg/B\" cannot be used");
    let cause = std::error::Error::source(&error).unwrap();
    assert_eq!(cause.to_string(), "type \"Nowhere\" of a/B is not defined");
}

const ROS: &str = "Header header\nstring[] names\nfloat64[] xs\nuint8[] data\nint16[3] three\nEmpty[] nothings\n\
                   Leaf[] leaves\nLeaf leaf\nwstring wide\nduration span\n===\nMSG: p/Empty\n===\nMSG: p/Leaf\n\
                   bool on\nfloat32[<=4] ys\nEmpty nothing\nbyte[2] two\nint64 long";

/// Every kind of decoder.
static DECODERS: LazyLock<Vec<Decoder>> = LazyLock::new(|| {
    [
        channel("cdr", Some(("p/msg/M", "ros2msg", ROS.as_bytes()))),
        channel("ros1", Some(("p/M", "ros1msg", ROS.as_bytes()))),
        channel("json", None),
        channel("protobuf", Some(("sagwan.Episode", "protobuf", crate::proto::DESCRIPTORS))),
    ]
    .iter()
    .map(|channel| Decoder::new(channel).unwrap())
    .collect()
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_payload_panics_or_outgrows_its_budget(
        head in prop::sample::select(vec![0_u8, 1, 2, 6, 7, 8, 9, 0x0a]),
        body in prop::collection::vec(prop_oneof![3 => Just(0_u8), 1 => 1..9_u8, 1 => any::<u8>()], 0..200),
    ) {
        let with_header = [&[0, head, 0, 0][..], &body].concat();
        for decoder in &*DECODERS {
            for payload in [&body, &with_header] {
                let shared = decoder.decode_bytes(&Bytes::copy_from_slice(payload));
                if let Ok(value) = decoder.decode(payload) {
                    prop_assert_eq!(shared.unwrap().to_string(), value.to_string());
                    prop_assert!(cost(&value) <= most(payload.len()));
                    prop_assert!(value.leaves(10).count() <= 10);
                    let _ = (value.to_string(), value.to_json(crate::value::JsonOptions::default()));
                }
            }
        }
    }

    #[test]
    fn no_schema_panics(text in "([a-z/<=\\[\\]0-9# ]{0,12}|bool x|a/B y|\n|===\n|MSG: a/B\n|IDL: x\n){0,12}", bytes: Vec<u8>) {
        for data in [text.as_bytes(), &bytes] {
            for (message_encoding, schema_encoding) in [("cdr", "ros2msg"), ("ros1", "ros1msg"), ("protobuf", "protobuf")] {
                if let Ok(decoder) = Decoder::new(&channel(message_encoding, Some(("a/B", schema_encoding, data)))) {
                    let _ = decoder.decode(&[0; 64]);
                }
            }
        }
    }
}
