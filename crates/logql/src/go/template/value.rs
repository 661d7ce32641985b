//! Values in templates.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::ZonedDateTime;

use super::{stray, times};
use crate::go::float;
use crate::go::json::Json;
use crate::go::time::Layout;

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
    /// An object of JSON: as a map, but a missing key is nothing in any template.
    Object(Arc<BTreeMap<String, Value>>),
    /// A time in a zone.
    Time(Arc<ZonedDateTime>),
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

impl From<Json<'_>> for Value {
    fn from(json: Json<'_>) -> Value {
        match json {
            Json::Null => Value::Nil,
            Json::Bool(flag) => Value::Bool(flag),
            Json::Number(number) => Value::Float(number),
            Json::Text(text) => Value::from(&*stray::own(&text)),
            Json::List(items) => Value::list(items.iter().cloned().map(Value::from)),
            Json::Map(entries) => {
                let entry = |(name, value): (&std::borrow::Cow<'_, str>, &Json<'_>)| {
                    (stray::own(name).into_owned(), Value::from(value.clone()))
                };
                Value::Object(Arc::new(entries.iter().map(entry).collect()))
            }
        }
    }
}

impl From<ZonedDateTime> for Value {
    fn from(time: ZonedDateTime) -> Value {
        Value::Time(Arc::new(time))
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
            Value::Map(entries) | Value::Object(entries) => !entries.is_empty(),
            Value::Time(_) => true,
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
            Value::Nil | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Time(_) => {}
            Value::Text(text) => add(text.len())?,
            Value::List(items) => {
                let depth = depth.checked_sub(1)?;
                items.iter().try_for_each(|item| add(item.weight(depth, most)?))?;
            }
            Value::Map(entries) | Value::Object(entries) => {
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
            Value::List(_) => "[]interface {}",
            Value::Map(_) => "map[string]string",
            Value::Object(_) => "map[string]interface {}",
            Value::Time(_) => "time.Time",
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
                    write!(f, "{space}{}", Inside(item))?;
                }
                f.write_str("]")
            }
            Value::Map(entries) | Value::Object(entries) => {
                f.write_str("map[")?;
                for (index, (key, value)) in entries.iter().enumerate() {
                    let space = if index > 0 { " " } else { "" };
                    write!(f, "{space}{key}:{}", Inside(value))?;
                }
                f.write_str("]")
            }
            Value::Time(time) => f.write_str(&Layout::new(times::WHOLE).write(time)),
        }
    }
}

/// A value in a list or a map, where nothing is `<nil>`.
struct Inside<'v>(&'v Value);

impl fmt::Display for Inside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Nil => f.write_str("<nil>"),
            value => value.fmt(f),
        }
    }
}
