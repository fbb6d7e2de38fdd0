//! JSON payloads: what they become, and what is refused where.

#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::encoding::{
    DecodeError,
    tests::{cost, most},
};

fn decoded(text: &str) -> Result<Value, String> {
    decode(text.as_bytes(), &Limits::default()).map_err(|fault| DecodeError::from(fault).to_string())
}

#[test]
fn numbers_keep_their_kind() {
    for (text, expected) in [
        ("-1", Value::Int(-1)),
        ("18446744073709551615", Value::Uint(u64::MAX)),
        ("1.0", Value::Float(1.0)),
        ("0.1234567890123456789", Value::Float(0.123_456_789_012_345_68)),
        ("[1.5, 2.0]", Value::Floats(vec![1.5, 2.0])),
        ("[1, 2.5]", Value::List(vec![Value::Int(1), Value::Float(2.5)])),
        ("[]", Value::List(vec![])),
        ("null", Value::Null),
    ] {
        assert_eq!(decoded(text), Ok(expected), "{text}");
    }
}

#[test]
fn seconds_and_nanoseconds_are_times_where_the_name_says_so() {
    let value = decoded(
        r#"{"timestamp":{"sec":1,"nsec":2},"header":{"stamp":{"sec":1,"nanosec":2}},"lifetime":{"sec":1,"nsec":2},
            "other":{"sec":1,"nsec":2},"stamp":{"sec":1,"nsec":99999999999999999999}}"#,
    )
    .unwrap();
    let time = Value::Time(Timestamp::from_nanos(1_000_000_002));
    assert_eq!(value.get("timestamp"), Some(&time));
    assert_eq!(value.path("header.stamp").as_deref(), Some(&time));
    assert_eq!(value.get("lifetime"), Some(&Value::Duration(1_000_000_002)));
    assert!(value.path("other.nsec").is_some());
    assert!(value.path("stamp.nsec").is_some());
}

#[test]
fn errors_say_where_and_what() {
    for (text, expected) in [
        ("{\"pose\": {\"x\": [1, 2,\n tru]}}", "pose.x[2] at byte 26: expected ident"),
        ("", "byte 0: EOF while parsing a value"),
        ("[1] 2", "byte 4: trailing characters"),
        ("NaN", "byte 0: expected value"),
    ] {
        assert_eq!(decoded(text), Err(expected.to_owned()));
    }
    let deep = decoded(&"[".repeat(100)).unwrap_err();
    assert!(deep.ends_with("nested deeper than 64 levels") && deep.starts_with("[0][0]"), "{deep}");
    let many = format!("[{}1]", "1,".repeat(100));
    let fault = decode(many.as_bytes(), &Limits { max_elements: 50, ..Limits::default() }).unwrap_err();
    assert_eq!(fault.problem, Problem::TooManyElements(50));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_json_is_decided_as_by_serde_json(text in "[\\[\\]{}:,\"a0-9.e\\-n \n\\\\]{0,24}|(\\[|\\{\"a\":|1|,|\\]|\\}){0,24}") {
        let ours = decode(text.as_bytes(), &Limits::default());
        prop_assert_eq!(ours.is_ok(), serde_json::from_str::<serde_json::Value>(&text).is_ok());
        if let Ok(value) = ours {
            prop_assert!(cost(&value) <= most(text.len()));
        }
    }
}
