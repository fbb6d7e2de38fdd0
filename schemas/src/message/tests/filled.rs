//! Protobuf messages in which every field has a value that no other field has.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

/// A message with every field set, and what the debug text of its view should hold for each: `name: value`.
pub(super) struct Filled {
    pub(super) message: DynamicMessage,
    pub(super) expected: Vec<String>,
}

/// Fills every field of a message.
pub(super) fn filled(descriptor: &MessageDescriptor) -> Filled {
    let mut filler = Filler { next: 1000, expected: Vec::new() };
    let message = filler.message(descriptor);
    Filled { message, expected: filler.expected }
}

/// A view's debug text without what wraps optional values.
pub(super) fn flat(debug: &str) -> String {
    debug.replace("Some(", "").replace(')', "")
}

struct Filler {
    next: u32,
    expected: Vec<String>,
}

impl Filler {
    fn message(&mut self, descriptor: &MessageDescriptor) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        // In the order of the fields' numbers, as the views have them.
        for field in descriptor.fields() {
            let value = self.field(&field);
            message.set_field(&field, value);
        }
        message
    }

    fn field(&mut self, field: &FieldDescriptor) -> Value {
        if field.is_map() {
            let key = self.text();
            let value = self.text();
            self.expected.push(format!("{}: {{{key:?}: {value:?}}}", field.name()));
            return Value::Map([(MapKey::String(key), Value::String(value))].into());
        }
        if !field.is_list() {
            return self.single(field, "");
        }
        let length = match field.name() {
            "pose_covariance" | "velocity_covariance" => 36,
            name if name.ends_with("_covariance") => 9,
            "K" | "R" => 9,
            "P" => 12,
            "wheel_speed" => 4,
            _ => 1,
        };
        let first = self.single(field, "[");
        let others = (1..length).map(|n| Value::F64(f64::from(n)));
        Value::List(std::iter::once(first).chain(others).collect())
    }

    fn single(&mut self, field: &FieldDescriptor, open: &str) -> Value {
        self.next += 1;
        let n = self.next;
        let small = matches!(field.name(), "rows" | "columns" | "channels");
        let (value, text) = match field.kind() {
            Kind::Double => (Value::F64(f64::from(n) + 0.5), format!("{n}.5")),
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            Kind::Float => (Value::F32(n as f32 + 0.5), format!("{n}.5")),
            Kind::Uint32 | Kind::Fixed32 if small => (Value::U32(1), "1".to_owned()),
            Kind::Uint32 | Kind::Fixed32 => (Value::U32(n), n.to_string()),
            Kind::Sint32 => (Value::I32(-n.cast_signed()), format!("-{n}")),
            Kind::Bool => (Value::Bool(true), "true".to_owned()),
            Kind::String => (Value::String(format!("text{n}")), format!("{:?}", format!("text{n}"))),
            Kind::Bytes => (Value::Bytes(format!("data{n}").into()), format!("b\"data{n}\"")),
            Kind::Enum(kind) => {
                let value = kind.get_value(2).unwrap();
                (Value::EnumNumber(2), camel(kind.name(), value.name()))
            }
            Kind::Message(time) if time.full_name() == "google.protobuf.Timestamp" => {
                let mut message = DynamicMessage::new(time);
                message.set_field_by_name("seconds", Value::I64(-i64::from(n)));
                message.set_field_by_name("nanos", Value::I32(7));
                (Value::Message(message), format!("Timestamp({}", 7 - i64::from(n) * 1_000_000_000))
            }
            Kind::Message(kind) => return Value::Message(self.message(&kind)),
            kind => panic!("no message has {kind:?} yet"),
        };
        self.expected.push(format!("{}: {open}{text}", field.name()));
        value
    }

    fn text(&mut self) -> String {
        self.next += 1;
        format!("text{}", self.next)
    }
}

/// `("Gear", "GEAR_REVERSE")` → `Reverse`.
fn camel(kind: &str, value: &str) -> String {
    let prefix: String =
        kind.chars().flat_map(|c| if c.is_uppercase() { vec!['_', c] } else { vec![c.to_ascii_uppercase()] }).collect();
    let rest = value.strip_prefix(prefix.trim_start_matches('_')).unwrap_or(value);
    let word = |word: &str| word[..1].to_owned() + &word[1..].to_ascii_lowercase();
    rest.split('_').filter(|w| !w.is_empty()).map(word).collect()
}
