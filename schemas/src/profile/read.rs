//! TOML text to [`Profile`]: syntax, keys and types, every problem with its place. Knows no rule about the values.
//!
//! serde stops at the first problem. So unknown keys are taken out before it looks, and after each value that it does
//! not take, that value is taken out too and serde looks again.

use std::{borrow::Cow, ops::Range};

use serde::{
    Deserialize,
    de::{Deserializer, Error as _, Visitor, value::Error as AnyError},
    forward_to_deserialize_any,
};
use toml::{
    Spanned,
    de::{DeTable, DeValue, ValueDeserializer},
};

use super::{
    AttachmentSpec, FrameSpec, LocalText, Profile, Stream, SyncGroup, Trigger,
    problem::{Problems, shortened},
    suggest,
};

/// A TOML text with the places of its values.
pub(super) struct Document<'t>(DeTable<'t>);

impl<'t> Document<'t> {
    /// `None` if the text is not TOML.
    pub(super) fn parse(text: &'t str, problems: &mut Problems<'_>) -> Option<Self> {
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let help = "this is not TOML; look for a missing quote, bracket or `=` here or shortly before";
            problems.error(&error.span().unwrap_or(0..0), error.message(), help);
        }
        errors.is_empty().then(|| Self(root.into_inner()))
    }

    /// `None` if a key or a type is wrong.
    pub(super) fn profile(&self, problems: &mut Problems<'_>) -> Option<Profile> {
        let errors_before = problems.errors();
        let mut root = self.0.clone();
        let streams = take_items::<Stream>(&mut root, "stream", "title", problems);
        let sync_groups = take_items::<SyncGroup>(&mut root, "sync_group", "", problems);
        let frames = take_items::<FrameSpec>(&mut root, "frame", "", problems);
        let triggers = take_items::<Trigger>(&mut root, "trigger", "title", problems);
        let attachments = take_items::<AttachmentSpec>(&mut root, "attachment", "", problems);
        let recording = match root.remove("recording") {
            None => Some(Default::default()),
            Some(value) => read_value(value, "", problems),
        };
        let profile = read::<Profile>(&(0..0), root, "name", problems);
        if problems.errors() > errors_before {
            return None;
        }
        Some(Profile { recording: recording?, streams, sync_groups, frames, triggers, attachments, ..profile? })
    }

    /// Where the value of a key of the file's top level stands; the file's beginning if it is absent.
    pub(super) fn top(&self, key: &str) -> Range<usize> {
        self.0.get(key).map_or(0..0, Spanned::span)
    }

    /// Where a value of `[recording]` stands, or the nearest thing to it.
    pub(super) fn recording(&self, key: &str) -> Range<usize> {
        self.0.get("recording").map_or(0..0, |table| in_table(table, key))
    }

    /// Where a value of the `index`th table of a list, e.g. of `[[stream]]`, stands; the table's header if it is absent.
    pub(super) fn item(&self, list: &str, index: usize, key: &str) -> Range<usize> {
        let Some(items) = self.0.get(list) else { return 0..0 };
        items.get_ref().get(index).map_or(items.span(), |table| in_table(table, key))
    }

    /// Number of elements of an array in a table of a list; serde does not mind when there are too many.
    pub(super) fn array_len(&self, list: &str, index: usize, key: &str) -> Option<usize> {
        let value = self.0.get(list)?.get_ref().get(index)?.get_ref().get(key)?;
        value.get_ref().as_array().map(|array| array.len())
    }
}

fn in_table(table: &Spanned<DeValue<'_>>, key: &str) -> Range<usize> {
    table.get_ref().get(key).map_or(table.span(), Spanned::span)
}

/// Takes the tables `[[list]]` out of `root` and reads them.
fn take_items<'de, T: Deserialize<'de>>(
    root: &mut DeTable<'de>,
    list: &str,
    text_key: &str,
    problems: &mut Problems<'_>,
) -> Vec<T> {
    let Some(value) = root.remove(list) else { return Vec::new() };
    let span = value.span();
    match value.into_inner() {
        DeValue::Array(items) => items.into_iter().filter_map(|item| read_value(item, text_key, problems)).collect(),
        other => {
            let message = format!("expected a list of tables, found {}", other.type_str());
            problems.error(&span, message, format!("write `[[{list}]]` with two brackets above each"));
            Vec::new()
        }
    }
}

fn read_value<'de, T: Deserialize<'de>>(
    value: Spanned<DeValue<'de>>,
    text_key: &str,
    problems: &mut Problems<'_>,
) -> Option<T> {
    let span = value.span();
    match value.into_inner() {
        DeValue::Table(table) => read(&span, table, text_key, problems),
        other => {
            problems.error(&span, format!("expected a table, found {}", other.type_str()), "");
            None
        }
    }
}

/// Reads a table whose key `text_key`, if it has one, is a [`LocalText`].
fn read<'de, T: Deserialize<'de>>(
    span: &Range<usize>,
    mut table: DeTable<'de>,
    text_key: &str,
    problems: &mut Problems<'_>,
) -> Option<T> {
    take_unknown(&mut table, field_names::<T>(), problems);
    if let Some(DeValue::Table(text)) = table.get_mut(text_key).map(Spanned::get_mut) {
        take_unknown(text, field_names::<LocalText>(), problems);
    }
    let mut removed: Vec<Cow<'_, str>> = Vec::new();
    loop {
        let value = Spanned::new(span.clone(), DeValue::Table(table.clone()));
        let error = match T::deserialize(ValueDeserializer::from(value)) {
            Ok(read) => return Some(read),
            Err(error) => error,
        };
        let place = error.span().unwrap_or_else(|| span.clone());
        let message = error.message();
        // A value taken out as wrong is not missing.
        if !removed.iter().any(|key| message == format!("missing field `{key}`")) {
            problems.error(&place, plain_message(message), help_for(message));
        }
        if message.starts_with("missing field") {
            return None;
        }
        // The place is the value itself or, in arrays and inline tables, inside it.
        let culprit = table.iter().find(|(_, value)| contains(&value.span(), &place)).map(|(key, _)| key.clone());
        let culprit = culprit?.into_inner();
        table.remove(culprit.as_ref());
        removed.push(culprit);
    }
}

fn contains(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

fn take_unknown(table: &mut DeTable<'_>, known: &'static [&'static str], problems: &mut Problems<'_>) {
    let is_unknown = |key: &&Spanned<Cow<'_, str>>| !known.contains(&key.get_ref().as_ref());
    let unknown: Vec<_> = table.keys().filter(is_unknown).cloned().collect();
    for key in unknown {
        let name: &str = key.get_ref();
        let help = suggest::nearest(name, known.iter().copied())
            .map_or_else(|| format!("known here: {}", known.join(", ")), |word| format!("did you mean `{word}`?"));
        problems.error(&key.span(), format!("unknown key `{}`", shortened(name)), help);
        table.remove(name);
    }
}

/// serde's messages in the words of people who write profiles.
fn plain_message(message: &str) -> String {
    if message == "wanted string or table" {
        return "this must be a word in quotes".to_owned();
    }
    message
        .replace("expected f64", "expected a number")
        .replace("expected u32", "expected a whole number, 0 or more")
        .replace("expected a string", "expected text in quotes")
        .replace("expected a boolean", "expected true or false")
        .replace("floating point", "number")
        .replace("unknown variant", "unknown value")
        .replace("missing field", "missing key")
}

/// What to do about a message of serde, as far as it is plain.
fn help_for(message: &str) -> String {
    // "unknown variant `wrong`, expected one of `a`, `b`": every other piece between backticks is a word.
    let mut words = message.split('`').skip(1).step_by(2);
    if message.starts_with("unknown variant") {
        let wrong = words.next().unwrap_or_default();
        return suggest::nearest(wrong, words).map_or_else(String::new, |word| format!("did you mean `{word}`?"));
    }
    if message.starts_with("missing field") {
        return words.next().map_or_else(String::new, |key| format!("add a line `{key} = …`"));
    }
    String::new()
}

/// The keys that `T` knows, as serde spells them.
fn field_names<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // The deserializer takes the names down and then gives up; the error says nothing.
    drop(T::deserialize(FieldNames(&mut names)));
    names
}

/// Takes down the field names of the struct that is read from it, and fails.
struct FieldNames<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for FieldNames<'_> {
    type Error = AnyError;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, AnyError> {
        Err(AnyError::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, AnyError> {
        *self.0 = fields;
        Err(AnyError::custom("names taken down"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
