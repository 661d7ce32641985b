//! Values in templates.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::go::float;

/// Most that one function is given, or that functions make of it (bytes): some longest outputs.
pub(super) const VALUE_MAX: usize = 4 << 20;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing: `nil`, or a missing value.
    Nil,
    /// `true`, `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(Arc<str>),
    /// A list.
    List(Arc<[Value]>),
    /// A map, sorted by its keys.
    Map(Arc<BTreeMap<String, Value>>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text.into())
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Value {
        Value::Bool(flag)
    }
}

impl Value {
    /// A list of these items.
    pub(super) fn list(items: impl IntoIterator<Item = Value>) -> Value {
        Value::List(items.into_iter().collect())
    }

    /// Whether `if` takes it for true: it is not nil, false, empty or zero.
    pub(crate) fn truth(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(flag) => *flag,
            Value::Int(number) => *number != 0,
            Value::Float(number) => *number != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::List(items) => !items.is_empty(),
            Value::Map(entries) => !entries.is_empty(),
        }
    }

    /// The memory that the value takes (bytes, about); `None` if this is more than `most`, or lists and maps are nested
    /// deeper than `depth`.
    pub(super) fn weight(&self, depth: usize, most: usize) -> Option<usize> {
        let mut sum = size_of::<Value>();
        let mut add = |more: usize| {
            sum = sum.checked_add(more)?;
            (sum <= most).then_some(())
        };
        match self {
            Value::Nil | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {}
            Value::Text(text) => add(text.len())?,
            Value::List(items) => {
                let depth = depth.checked_sub(1)?;
                items.iter().try_for_each(|item| add(item.weight(depth, most)?))?;
            }
            Value::Map(entries) => {
                let depth = depth.checked_sub(1)?;
                entries.iter().try_for_each(|(name, value)| add(name.len() + value.weight(depth, most)?))?;
            }
        }
        Some(sum)
    }

    /// What kind of value it is, as Go calls it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Value::Nil => "nil",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float64",
            Value::Text(_) => "string",
            Value::List(_) => "list",
            Value::Map(_) => "map",
        }
    }
}

impl fmt::Display for Value {
    /// As Go's `print` does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nil => f.write_str("<no value>"),
            Value::Bool(flag) => write!(f, "{flag}"),
            Value::Int(number) => write!(f, "{number}"),
            Value::Float(number) => f.write_str(&float::shortest(*number)),
            Value::Text(text) => f.write_str(text),
            Value::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    let space = if index > 0 { " " } else { "" };
                    write!(f, "{space}{item}")?;
                }
                f.write_str("]")
            }
            Value::Map(entries) => {
                f.write_str("map[")?;
                for (index, (key, value)) in entries.iter().enumerate() {
                    let space = if index > 0 { " " } else { "" };
                    write!(f, "{space}{key}:{value}")?;
                }
                f.write_str("]")
            }
        }
    }
}
