//! The fields of spans and events, as they are reported to other systems.

use std::fmt::Debug;

use tracing::field::{Field, Visit};

/// The maximum length of a text, in bytes. Longer ones are truncated.
const MAX_TEXT_BYTES: usize = 4 * 1024;

/// The value of a field.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum FieldValue {
    Text(String),
    Integer(i64),
    Float(f64),
    Flag(bool),
}

/// Fields by name, in the order in which they were recorded.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Fields(Vec<(&'static str, FieldValue)>);

impl Fields {
    /// The value of a field.
    pub(super) fn get(&self, name: &str) -> Option<&FieldValue> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The value of a field that is a text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(FieldValue::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The value of a field that is an integer.
    pub(super) fn integer(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            Some(FieldValue::Integer(number)) => Some(*number),
            _ => None,
        }
    }

    /// Removes a field.
    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| *known != name);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(&'static str, FieldValue)> {
        self.0.iter()
    }

    fn set(&mut self, field: &Field, value: FieldValue) {
        let name = field.name();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, FieldValue::Float(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, FieldValue::Integer(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, FieldValue::Integer(i64::try_from(value).unwrap_or(i64::MAX)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, FieldValue::Flag(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, FieldValue::Text(truncated(value).to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = format!("{value:?}");
        text.truncate(truncated(&text).len());
        self.set(field, FieldValue::Text(text));
    }
}

/// The beginning of a text, up to the maximum length.
fn truncated(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_TEXT_BYTES)).unwrap_or(text)
}
