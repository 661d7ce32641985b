//! An item: an entry on its way through the stages, and what they have extracted from it.

use std::borrow::Cow;
use std::sync::Arc;

use crate::shape::labels::Owner;
use journald_reader::Cursor;
use logql::label_set::LabelSet;

/// A value that a stage has extracted.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// JSON's `null`.
    Null,
    /// JSON's `true` and `false`.
    Bool(bool),
    /// JSON's numbers.
    Number(f64),
    /// Everything else; JSON's lists and maps as JSON text.
    Text(String),
}

impl Value {
    /// The value as text, as in grafana/loki (`clients/pkg/logentry/stages/util.go`, `getString`). Numbers have no exponent,
    /// and no more digits than they need. `None`: the value is null.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Value::Null => None,
            Value::Bool(value) => Some(if *value { "true" } else { "false" }.into()),
            // Rust and Go write the same digits; only these names differ.
            Value::Number(n) if n.is_nan() => Some("NaN".into()),
            Value::Number(n) if n.is_infinite() => Some(if *n > 0.0 { "+Inf" } else { "-Inf" }.into()),
            Value::Number(n) => Some(n.to_string().into()),
            Value::Text(text) => Some(text.as_str().into()),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

/// The values that stages have extracted from an entry, by name. Its labels are values, too.
///
/// The labels are those at the beginning of the pipeline, or of the innermost `match` around a stage. Changes to labels after
/// that do not show here. The labels are shared, not copied.
#[derive(Debug, Clone, Default)]
pub struct Extracted {
    values: Vec<(Box<str>, Value)>,
    labels: Arc<LabelSet>,
}

impl Extracted {
    /// Forgets everything but these labels.
    pub fn restart(&mut self, labels: &Arc<LabelSet>) {
        self.values.clear();
        self.labels = labels.clone();
    }

    /// Replaces values by labels of the same name, as at the beginning of a `match`.
    pub fn enter(&mut self, labels: &Arc<LabelSet>) {
        if Arc::ptr_eq(&self.labels, labels) && self.values.is_empty() {
            return;
        }
        for (name, value) in self.labels.iter() {
            if labels.get(name).is_none() && !self.values.iter().any(|(n, _)| **n == *name) {
                self.values.push((name.into(), Value::Text(value.to_owned())));
            }
        }
        self.values.retain(|(name, _)| labels.get(name).is_none());
        self.labels = labels.clone();
    }

    /// Whether a value has this name. It may be null.
    pub fn contains(&self, name: &str) -> bool {
        self.values.iter().any(|(n, _)| **n == *name) || self.labels.get(name).is_some()
    }

    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<Cow<'_, Value>> {
        match self.values.iter().find(|(n, _)| **n == *name) {
            Some((_, value)) => Some(Cow::Borrowed(value)),
            None => self.labels.get(name).map(|value| Cow::Owned(value.into())),
        }
    }

    /// The value of this name as text. `None`: it does not exist, or is null.
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        match self.values.iter().find(|(n, _)| **n == *name) {
            Some((_, value)) => value.text(),
            None => self.labels.get(name).map(Cow::Borrowed),
        }
    }

    /// Adds a value or replaces it.
    pub fn set(&mut self, name: &str, value: Value) {
        match self.values.iter_mut().find(|(n, _)| **n == *name) {
            Some((_, old)) => *old = value,
            None => self.values.push((name.into(), value)),
        }
    }

    /// Removes a value. A label of this name is hidden, too.
    pub fn remove(&mut self, name: &str) {
        self.values.retain(|(n, _)| **n != *name);
        if self.labels.get(name).is_some() {
            Arc::make_mut(&mut self.labels).remove(name);
        }
    }

    /// All names with their values, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Cow<'_, Value>)> {
        let own = self.values.iter().map(|(name, value)| (&**name, Cow::Borrowed(value)));
        let hidden = |name: &str| self.values.iter().any(|(n, _)| **n == *name);
        let labels = self.labels.iter().filter(move |(name, _)| !hidden(name));
        own.chain(labels.map(|(name, value)| (name, Cow::Owned(value.into()))))
    }
}

/// An entry on its way through the stages.
#[derive(Debug, Clone, Default)]
pub struct Item {
    /// The cursor of the entry. In a block of `multiline`, it is that of the first line.
    pub cursor: Cursor,
    /// The cursors of all entries whose lines `multiline` has joined. Empty for a single entry.
    pub parts: Vec<Cursor>,
    /// The time (nanoseconds since 1970).
    pub timestamp_ns: i64,
    /// The log line.
    pub line: String,
    /// The labels. Use `Arc::make_mut` to change them.
    pub labels: Arc<LabelSet>,
    /// The structured metadata: names and values.
    pub metadata: Vec<(String, String)>,
    /// Who wrote the entry, for the shares of active streams.
    pub owner: Owner,
    /// The tenant that the stage `tenant` chose.
    pub tenant: Option<String>,
    /// The values that stages have extracted.
    pub extracted: Extracted,
    /// What happened to it so far, if there is someone to explain to: a line for each step.
    pub steps: Vec<String>,
}
