//! Which fields of a message an expression needs, and their conversion to CEL values. What it does not need, such as an
//! image's octets, is never copied.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use sagwan_schemas::value::Value;

/// Most octets of text and bytes that one conversion copies.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// Deepest nesting that is converted.
const DEPTH_MAX: usize = 64;

/// One step from a value into it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// A field by name.
    Field(String),
    /// An element by number.
    Element(usize),
    /// Every element or field.
    Each,
}

/// The needed parts of a value.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Mask {
    /// All of it.
    whole: bool,
    /// It is compared with text: an enumeration gives its name.
    text: bool,
    fields: BTreeMap<String, Self>,
    elements: BTreeMap<usize, Self>,
    each: Option<Box<Self>>,
}

impl Mask {
    /// The mask at the end of `steps`, made where it is missing.
    fn at(&mut self, steps: &[Step]) -> &mut Self {
        steps.iter().fold(self, |mask, step| match step {
            Step::Field(name) => mask.fields.entry(name.clone()).or_default(),
            Step::Element(index) => mask.elements.entry(*index).or_default(),
            Step::Each => mask.each.get_or_insert_default(),
        })
    }

    /// Needs that there is something at `steps`, whatever it is.
    pub(super) fn need(&mut self, steps: &[Step]) {
        self.at(steps);
    }

    /// Needs all of what is at `steps`.
    pub(super) fn need_whole(&mut self, steps: &[Step]) {
        self.at(steps).whole = true;
    }

    /// What is at `steps` is compared with text.
    pub(super) fn need_text(&mut self, steps: &[Step]) {
        self.at(steps).text = true;
    }

    fn is_empty(&self) -> bool {
        !self.whole && self.fields.is_empty() && self.elements.is_empty() && self.each.is_none()
    }

    fn union(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.whole |= other.whole;
        both.text |= other.text;
        for (name, mask) in &other.fields {
            let entry = both.fields.entry(name.clone()).or_default();
            *entry = entry.union(mask);
        }
        for (index, mask) in &other.elements {
            let entry = both.elements.entry(*index).or_default();
            *entry = entry.union(mask);
        }
        both.each = match (both.each, &other.each) {
            (Some(a), Some(b)) => Some(Box::new(a.union(b))),
            (a, b) => a.or_else(|| b.clone()),
        };
        both
    }
}

/// The needed part of a message is larger than an evaluation may handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

/// Converts what `mask` needs of `value`, at most `nodes` values of it.
///
/// Absent values stay absent, so that `has()` tells them. Times (since the Unix epoch) and durations become seconds. A
/// sequence of which only numbered elements are needed becomes a map by number, which CEL indexes alike.
pub(super) fn convert(value: &Value, mask: &Mask, nodes: usize) -> Result<cel::Value, TooLarge> {
    let mut budget = Budget { nodes, bytes: TEXT_BYTES_MAX };
    Ok(budget.convert(value, mask, 0)?.unwrap_or(cel::Value::Null))
}

struct Budget {
    nodes: usize,
    bytes: usize,
}

impl Budget {
    fn convert(&mut self, value: &Value, mask: &Mask, depth: usize) -> Result<Option<cel::Value>, TooLarge> {
        self.nodes = self.nodes.checked_sub(1).ok_or(TooLarge)?;
        if depth > DEPTH_MAX {
            return Err(TooLarge);
        }
        Ok(Some(match value {
            Value::Null => return Ok(None),
            Value::Bool(x) => cel::Value::Bool(*x),
            Value::Int(x) => cel::Value::Int(*x),
            Value::Uint(x) => cel::Value::UInt(*x),
            Value::Float(x) => cel::Value::Float(*x),
            Value::Time(_) | Value::Duration(_) => value.as_f64().map_or(cel::Value::Null, cel::Value::Float),
            Value::Enum(_, Some(name)) if mask.text => cel::Value::from(&**name),
            Value::Enum(number, _) => cel::Value::Int(i64::from(*number)),
            // Compounds of which only the presence matters.
            Value::Text(_) | Value::Bytes(_) | Value::Floats(_) | Value::List(_) | Value::Struct(_)
                if mask.is_empty() && !mask.text =>
            {
                cel::Value::Null
            }
            Value::Text(text) => {
                self.take(text.len())?;
                cel::Value::from(text.as_str())
            }
            Value::Bytes(bytes) if mask.whole || mask.each.is_some() => {
                self.take(bytes.len())?;
                cel::Value::Bytes(Arc::new(bytes.to_vec()))
            }
            Value::Bytes(bytes) => {
                self.sequence(bytes.len(), mask, depth, |i| Value::Uint(u64::from(bytes.get(i).copied().unwrap_or(0))))?
            }
            Value::Floats(items) => {
                self.sequence(items.len(), mask, depth, |i| items.get(i).copied().map_or(Value::Null, Value::Float))?
            }
            Value::List(items) => self.list(items, mask, depth)?,
            Value::Struct(fields) => self.fields(fields, mask, depth)?,
        }))
    }

    fn take(&mut self, bytes: usize) -> Result<(), TooLarge> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or(TooLarge)?;
        Ok(())
    }

    /// A sequence of scalars.
    fn sequence(
        &mut self,
        len: usize,
        mask: &Mask,
        depth: usize,
        get: impl Fn(usize) -> Value,
    ) -> Result<cel::Value, TooLarge> {
        self.elements(len, mask, |budget, i, mask| budget.convert(&get(i), mask, depth + 1))
    }

    fn list(&mut self, items: &[Value], mask: &Mask, depth: usize) -> Result<cel::Value, TooLarge> {
        self.elements(items.len(), mask, |budget, i, mask| match items.get(i) {
            Some(item) => budget.convert(item, mask, depth + 1),
            None => Ok(None),
        })
    }

    fn elements(
        &mut self,
        len: usize,
        mask: &Mask,
        mut convert: impl FnMut(&mut Self, usize, &Mask) -> Result<Option<cel::Value>, TooLarge>,
    ) -> Result<cel::Value, TooLarge> {
        if mask.whole || mask.each.is_some() {
            if len > self.nodes {
                return Err(TooLarge);
            }
            let whole = Mask { whole: true, text: mask.text, ..Mask::default() };
            let each = if mask.whole { &whole } else { mask.each.as_deref().unwrap_or(&whole) };
            let mut list = Vec::with_capacity(len);
            for i in 0..len {
                let union;
                let item_mask = match mask.elements.get(&i) {
                    Some(own) => {
                        union = each.union(own);
                        &union
                    }
                    None => each,
                };
                list.push(convert(self, i, item_mask)?.unwrap_or(cel::Value::Null));
            }
            return Ok(cel::Value::List(Arc::new(list)));
        }
        let mut map = HashMap::new();
        for (&i, mask) in &mask.elements {
            if i < len
                && let Some(item) = convert(self, i, mask)?
            {
                map.insert(i64::try_from(i).unwrap_or(i64::MAX), item);
            }
        }
        Ok(cel::Value::from(map))
    }

    fn fields(&mut self, fields: &[(Arc<str>, Value)], mask: &Mask, depth: usize) -> Result<cel::Value, TooLarge> {
        let whole = Mask { whole: true, ..Mask::default() };
        let each = if mask.whole { Some(&whole) } else { mask.each.as_deref() };
        let mut map = HashMap::new();
        for (name, value) in fields {
            let own = mask.fields.get(&**name);
            let union;
            let field_mask = match (own, each) {
                (Some(own), Some(each)) => {
                    union = own.union(each);
                    &union
                }
                (Some(mask), None) | (None, Some(mask)) => mask,
                (None, None) => continue,
            };
            if let Some(value) = self.convert(value, field_mask, depth + 1)? {
                map.insert(name.to_string(), value);
            }
        }
        Ok(cel::Value::from(map))
    }
}

/// What is at `steps` of a converted value, as JSON; absent for compounds, for what is not there and behind
/// [`Step::Each`]. Text is cut at 80 characters.
pub(super) fn scalar_at(value: &cel::Value, steps: &[Step]) -> Option<serde_json::Value> {
    let mut at = value;
    for step in steps {
        let key = match (at, step) {
            (cel::Value::List(items), Step::Element(index)) => {
                at = items.get(*index)?;
                continue;
            }
            (cel::Value::Map(_), Step::Field(name)) => cel::objects::Key::from(name.clone()),
            (cel::Value::Map(_), Step::Element(index)) => cel::objects::Key::from(i64::try_from(*index).ok()?),
            _ => return None,
        };
        let cel::Value::Map(map) = at else { return None };
        at = map.map.get(&key)?;
    }
    Some(match at {
        cel::Value::Bool(x) => (*x).into(),
        cel::Value::Int(x) => (*x).into(),
        cel::Value::UInt(x) => (*x).into(),
        cel::Value::Float(x) if x.is_finite() => (*x).into(),
        cel::Value::Float(x) => x.to_string().into(),
        cel::Value::String(text) => text.chars().take(80).collect::<String>().into(),
        _ => return None,
    })
}
