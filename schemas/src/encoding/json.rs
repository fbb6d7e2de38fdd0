//! JSON payloads. Needs no schema.

use std::{cell::RefCell, collections::HashSet, fmt, sync::Arc};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{
    Limits,
    cursor::Budget,
    error::{Fault, Problem},
};
use crate::{time::Timestamp, value::Value};

/// Decodes a JSON text.
///
/// Numbers keep their kind: integers are `Int` or (beyond `i64`) `Uint`, others `Float`. Sequences of floats only
/// become `Floats`. `{"sec", "nsec"}` and `{"sec", "nanosec"}` are a point in time where the field is named like a
/// stamp, and a span where it is named like a duration.
pub(super) fn decode(payload: &[u8], limits: &Limits) -> Result<Value, Fault> {
    let state = RefCell::new(State { budget: Budget::new(limits, payload.len()), names: HashSet::new(), fault: None });
    let mut parser = serde_json::Deserializer::from_slice(payload);
    // The seed counts levels itself, so that the limit is the same for all encodings; serde_json's own is 128.
    let parsed = Seed { state: &state, name: "", depth: 0 }.deserialize(&mut parser);
    parsed.and_then(|value| parser.end().map(|()| value)).map_err(|error| {
        let offset = offset_of(payload, error.line(), error.column());
        let State { fault, .. } = state.into_inner();
        let (path, problem) = fault.unwrap_or_default();
        // serde_json repeats line and column at the end of its words.
        let words = error.to_string();
        let words = words.split(" at line ").next().unwrap_or_default().to_owned();
        let mut fault = Fault::new(offset, problem.unwrap_or(Problem::Json(words)));
        for step in path {
            fault = fault.in_field(&step);
        }
        fault
    })
}

/// The byte at a line and column, both counted from 1, as serde_json gives them.
fn offset_of(payload: &[u8], line: usize, column: usize) -> usize {
    let start: usize = payload.split_inclusive(|b| *b == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    start.saturating_add(column.saturating_sub(1)).min(payload.len())
}

/// What the whole parse shares.
struct State {
    budget: Budget,
    /// Names seen so far: the elements of a list share them.
    names: HashSet<Arc<str>>,
    /// The way to the first error, innermost step first, and what it is if the parser does not know.
    fault: Option<(Vec<String>, Option<Problem>)>,
}

impl State {
    fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return Arc::clone(known);
        }
        let shared: Arc<str> = name.into();
        self.names.insert(Arc::clone(&shared));
        shared
    }

    fn pass<E>(&mut self, step: impl FnOnce() -> String, error: E) -> E {
        self.fault.get_or_insert_default().0.push(step());
        error
    }

    fn check<E: serde::de::Error>(&mut self, checked: Result<(), Problem>) -> Result<(), E> {
        checked.map_err(|problem| {
            let error = E::custom(&problem);
            self.fault.get_or_insert_default().1 = Some(problem);
            error
        })
    }
}

/// One value: `name` is the field's that holds it.
#[derive(Clone, Copy)]
struct Seed<'s> {
    state: &'s RefCell<State>,
    name: &'s str,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, x: bool) -> Result<Value, E> {
        Ok(Value::Bool(x))
    }

    fn visit_i64<E>(self, x: i64) -> Result<Value, E> {
        Ok(Value::Int(x))
    }

    fn visit_u64<E>(self, x: u64) -> Result<Value, E> {
        Ok(i64::try_from(x).map_or(Value::Uint(x), Value::Int))
    }

    fn visit_f64<E>(self, x: f64) -> Result<Value, E> {
        Ok(Value::Float(x))
    }

    fn visit_str<E>(self, x: &str) -> Result<Value, E> {
        Ok(Value::Text(x.to_owned()))
    }

    fn visit_string<E>(self, x: String) -> Result<Value, E> {
        Ok(Value::Text(x))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let state = self.state;
        {
            let mut state = state.borrow_mut();
            let checked = state.budget.depth(self.depth);
            state.check(checked)?;
        }
        let mut list = Vec::new();
        loop {
            let seed = Seed { state, name: self.name, depth: self.depth + 1 };
            let next = items.next_element_seed(seed);
            let mut state = state.borrow_mut();
            match next.map_err(|error| state.pass(|| format!("[{}]", list.len()), error))? {
                Some(item) => list.push(item),
                None => break,
            }
            let paid = state.budget.pay(1);
            state.check(paid)?;
        }
        Ok(floats(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let state = self.state;
        {
            let mut state = state.borrow_mut();
            let checked = state.budget.depth(self.depth);
            state.check(checked)?;
        }
        let mut fields = Vec::new();
        while let Some(name) = entries.next_key_seed(Name(state))? {
            let seed = Seed { state, name: &name, depth: self.depth + 1 };
            let next = entries.next_value_seed(seed);
            let mut state = state.borrow_mut();
            let value = next.map_err(|error| state.pass(|| String::from(&*name), error))?;
            fields.push((name, value));
            let paid = state.budget.pay(1);
            state.check(paid)?;
        }
        Ok(time(self.name, &fields).unwrap_or(Value::Struct(fields)))
    }
}

/// A field's name.
struct Name<'s>(&'s RefCell<State>);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Arc<str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Arc<str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Arc<str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Arc<str>, E> {
        Ok(self.0.borrow_mut().name(name))
    }
}

/// A list of nothing but floats in its compact form.
fn floats(list: Vec<Value>) -> Value {
    let all: Option<Vec<f64>> = if list.is_empty() {
        None
    } else {
        list.iter().map(|item| if let Value::Float(x) = item { Some(*x) } else { None }).collect()
    };
    all.map_or(Value::List(list), Value::Floats)
}

/// The time that an object of this name is, if it is one.
fn time(name: &str, fields: &[(Arc<str>, Value)]) -> Option<Value> {
    let [(first, Value::Int(secs)), (second, Value::Int(nanos))] = fields else { return None };
    if &**first != "sec" || !matches!(&**second, "nsec" | "nanosec") {
        return None;
    }
    let total = secs.checked_mul(1_000_000_000)?.checked_add(*nanos)?;
    let name = name.to_ascii_lowercase();
    if name.contains("stamp") {
        Some(Value::Time(Timestamp::from_nanos(total)))
    } else if name.contains("duration") || name.contains("lifetime") {
        Some(Value::Duration(total))
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
