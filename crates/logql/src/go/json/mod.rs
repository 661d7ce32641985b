//! JSON values, read and written as Go programs do.
//!
//! The reader takes strict JSON (RFC 8259) with one exception: half a surrogate pair becomes U+FFFD, as in Go,
//! because programs that cut their texts write such halves. A number is the nearest float64. If a key stands
//! twice in an object, its last value counts.
//!
//! The writer is json-iterator's with HTML escaping, as Promtail uses it (github.com/json-iterator/go,
//! `stream_str.go`, `stream_float.go`). Unlike there, keys are sorted.

mod read;
mod write;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

pub use write::write_text;

/// A JSON value. Copies share their lists and maps.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'t> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as Go's `float64`.
    Number(f64),
    /// A string, unescaped.
    Text(Cow<'t, str>),
    /// An array.
    List(Arc<Vec<Json<'t>>>),
    /// An object, its names sorted as Go prints them.
    Map(Arc<BTreeMap<Cow<'t, str>, Json<'t>>>),
}

/// Why a text is not valid JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct JsonError {
    what: &'static str,
    /// The place of the mistake (byte offset).
    at: usize,
}

impl<'t> Json<'t> {
    /// The same value with texts of its own.
    pub(crate) fn into_owned(self) -> Json<'static> {
        match self {
            Json::Null => Json::Null,
            Json::Bool(value) => Json::Bool(value),
            Json::Number(number) => Json::Number(number),
            Json::Text(text) => Json::Text(Cow::Owned(text.into_owned())),
            Json::List(items) => Json::list(items.iter().map(|item| item.clone().into_owned()).collect()),
            Json::Map(entries) => {
                let owned = |(name, value): (&Cow<'t, str>, &Json<'t>)| {
                    (Cow::Owned(name.clone().into_owned()), value.clone().into_owned())
                };
                Json::Map(Arc::new(entries.iter().map(owned).collect()))
            }
        }
    }

    /// A list of these items.
    pub(crate) fn list(items: Vec<Json<'t>>) -> Json<'t> {
        Json::List(Arc::new(items))
    }
}

/// The character that a JSON escape stands for, and the length of the escape (bytes) without its backslash. `behind` is
/// the text after the backslash. An escaped surrogate pair is one character; half a pair alone is U+FFFD. `None` if JSON
/// has no such escape.
pub(crate) fn escaped(behind: &str) -> Option<(char, usize)> {
    let c = match behind.chars().next()? {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        c @ ('"' | '\\' | '/') => c,
        'u' => {
            let first = hex4(behind, 1)?;
            let second = if behind.get(5..7) == Some("\\u") { hex4(behind, 7) } else { None };
            let half = || char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER);
            return Some(match second.and_then(|second| pair(first, second)) {
                Some(both) => (both, 11),
                None => (half(), 5),
            });
        }
        _ => return None,
    };
    Some((c, 1))
}

/// Four hexadecimal digits.
fn hex4(text: &str, at: usize) -> Option<u32> {
    let digits = text.get(at..at.checked_add(4)?)?;
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u32::from_str_radix(digits, 16).ok()
}

/// The character of a surrogate pair.
fn pair(first: u32, second: u32) -> Option<char> {
    let (high, low) = (first.checked_sub(0xd800)?, second.checked_sub(0xdc00)?);
    (high < 0x400 && low < 0x400).then(|| char::from_u32(0x1_0000 + (high << 10) + low)).flatten()
}

#[cfg(test)]
mod tests;
