//! ROS message definitions: what is understood, and what is refused where.

#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

fn parse(text: &str) -> Result<RosSchema, SchemaError> {
    RosSchema::parse("p/msg/M", text.as_bytes(), Dialect::Ros2)
}

#[test]
fn lines_are_fields_constants_or_comments() {
    let field = |type_name, name, shape| Ok(Line::Field { type_name, name, shape });
    for (line, expected) in [
        ("# comment", Ok(Line::Nothing)),
        ("", Ok(Line::Nothing)),
        ("int32 x", field("int32", "x", Shape::One)),
        ("int32\tx# comment", field("int32", "x", Shape::One)),
        ("float64[3] xs [1.0, 2.0, 3.0]", field("float64", "xs", Shape::Array(3))),
        ("float64[<=3] xs", field("float64", "xs", Shape::Sequence)),
        ("string<=10[<=5] s", field("string", "s", Shape::Sequence)),
        ("wstring<=10 s \"a=b # c\"", field("wstring", "s", Shape::One)),
        ("a_msgs/msg/B[] bs", field("a_msgs/msg/B", "bs", Shape::Sequence)),
        ("int32 X=1", Ok(Line::Nothing)),
        ("int32 X = 1 # one", Ok(Line::Nothing)),
        ("string S=\"#=\"", Ok(Line::Nothing)),
        ("string s '='", field("string", "s", Shape::One)),
        ("int32", Err("a field needs a type and a name")),
        ("int32 9", Err("not a field name")),
        ("int32 a-b", Err("not a field name")),
        ("int32[x] a", Err("not an array length")),
        ("int32[3 a", Err("array suffix without ]")),
        ("int32[99999999999999999999999] a", Err("array is too long")),
        ("int32<=3 a", Err("only strings have a bound before the array suffix")),
        ("}{ a", Err("not a type name")),
    ] {
        assert_eq!(parse_line(line), expected, "{line}");
    }
}

#[test]
fn names_are_looked_up_in_the_package_of_their_user() {
    let text = "q/A a\nB b\n===\nMSG: q/A\nB inner\n===\nMSG: q/msg/B\nuint8 x\n===\nMSG: p/B\nuint16 x";
    let schema = parse(text).unwrap();
    let root = &schema.types[schema.root];
    assert_eq!(schema.min_size(root.fields[0].kind), 1, "q/A has q/B, one byte");
    assert_eq!(schema.min_size(root.fields[1].kind), 2, "p/M has p/B, two bytes");
}

#[test]
fn well_known_types_need_no_definition() {
    let schema = parse("std_msgs/Header h\nbuiltin_interfaces/Time t\nHeader[] hs").unwrap();
    assert_eq!(schema.types[schema.root].fields[1].kind, Kind::Time);
    assert_eq!(schema.types[schema.root].min_size, 12 + 8 + 4);
}

#[test]
fn broken_schemas_are_errors_that_say_what_and_where() {
    let chain: String = (0..80).map(|i| format!("===\nMSG: p/T{i}\nT{} x\n", i + 1)).collect();
    for (text, expected) in [
        ("int32 x\n\nint32 }", "line 3: not a field name: \"int32 }\""),
        ("Nowhere x", "type \"Nowhere\" of p/M is not defined"),
        ("A a\n===\nMSG: p/A\nB b\n===\nMSG: p/B\nA a", "type \"p/A\" contains itself"),
        ("M m", "type \"p/M\" contains itself"),
        ("uint8 x\n===\nIDL: p/msg/A", "line 3: expected MSG: package/Type: \"IDL: p/msg/A\""),
        (&format!("T0 x\n{chain}"), "type \"p/T63\" is nested deeper than 64 levels"),
        (&"uint8 x\n".repeat(70_000), "more than 65536 fields"),
    ] {
        assert_eq!(parse(text).unwrap_err().to_string(), expected);
    }
    assert_eq!(RosSchema::parse("p/M", &[0xff], Dialect::Ros2).unwrap_err(), SchemaError::NotUtf8);
}
