//! JSON values: what expressions are asked about, and what they answer.
//!
//! Reading is strict JSON (RFC 8259), but for half a surrogate pair, which becomes U+FFFD as in Go: programs
//! that cut their texts do write such things. Numbers are float64, the nearest to what is written. Of keys
//! that repeat the last one counts.
//!
//! Writing is json-iterator's with HTML escaping, as Promtail uses it (github.com/json-iterator/go,
//! `stream_str.go`, `stream_float.go`), but that keys are sorted and not in random order.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

/// Lists and maps inside one another: more than any log has, few enough for the recursion.
const MAX_DEPTH: usize = 128;

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

/// Why a text is not JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct JsonError {
    pub(crate) what: &'static str,
    /// Where it was met (bytes).
    pub(crate) at: usize,
}

impl<'t> Json<'t> {
    /// Reads a whole text.
    ///
    /// # Errors
    /// It is not one JSON value, or one nested deeper than `MAX_DEPTH`.
    pub fn parse(text: &'t str) -> Result<Json<'t>, JsonError> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0)?;
        match reader.next() {
            None => Ok(value),
            Some(_) => Err(reader.error("something follows the value")),
        }
    }

    /// The same, borrowing nothing.
    pub(super) fn into_owned(self) -> Json<'static> {
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

    pub(super) fn list(items: Vec<Json<'t>>) -> Json<'t> {
        Json::List(Arc::new(items))
    }

    /// As JSON text. Numbers that JSON does not have are written as `null`.
    pub fn write(&self, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Json::Number(number) => write_number(out, *number),
            Json::Text(text) => write_text(out, text),
            Json::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Json::Map(entries) => {
                out.push('{');
                for (index, (name, value)) in entries.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_text(out, name);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// Without exponent from 1e-6 to below 1e21; else with one of at least two digits.
fn write_number(out: &mut String, number: f64) {
    let size = number.abs();
    // Writing into a string cannot fail.
    let _ = if !number.is_finite() {
        write!(out, "null")
    } else if size == 0.0 || (1e-6..1e21).contains(&size) {
        write!(out, "{number}")
    } else {
        let text = format!("{number:e}");
        match text.split_once('e') {
            Some((digits, exponent)) => {
                let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
                write!(out, "{digits}e{sign}{exponent:0>2}")
            }
            None => write!(out, "{text}"),
        }
    };
}

/// A JSON string: `<`, `>`, `&` and the line separators of JavaScript escaped too, as Go does.
pub fn write_text(out: &mut String, text: &str) {
    let special = |c: char| c < ' ' || matches!(c, '"' | '\\' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}');
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(special) {
        let (plain, after) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = after.chars();
        match chars.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            // Writing into a string cannot fail.
            Some(c) => drop(write!(out, "\\u{:04x}", u32::from(c))),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn error(&self, what: &'static str) -> JsonError {
        JsonError { what, at: self.at }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The first byte that is not white space.
    fn next(&mut self) -> Option<u8> {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.byte()
    }

    fn value(&mut self, depth: usize) -> Result<Json<'t>, JsonError> {
        if depth > MAX_DEPTH {
            return Err(self.error("nested too deeply"));
        }
        match self.next() {
            Some(b'"') => self.string().map(Json::Text),
            Some(b'{') => self.map(depth),
            Some(b'[') => self.items(depth),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => Err(self.error("no JSON value")),
            None => Err(self.error("the text ends")),
        }
    }

    fn word(&mut self, word: &str, value: Json<'t>) -> Result<Json<'t>, JsonError> {
        if !self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return Err(self.error("no JSON value"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while matches!(self.byte(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.error("a digit is missing")) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<Json<'t>, JsonError> {
        let start = self.at;
        self.at += usize::from(self.byte() == Some(b'-'));
        match self.byte() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            self.digits()?;
        }
        match self.text.get(start..self.at).unwrap_or_default().parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Json::Number(number)),
            _ => Err(JsonError { what: "a number too large", at: start }),
        }
    }

    fn items(&mut self, depth: usize) -> Result<Json<'t>, JsonError> {
        self.at += 1;
        let mut items = Vec::new();
        if self.next() == Some(b']') {
            self.at += 1;
            return Ok(Json::list(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            match self.next() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(self.error("`,` or `]` is missing")),
            }
        }
        self.at += 1;
        Ok(Json::list(items))
    }

    fn map(&mut self, depth: usize) -> Result<Json<'t>, JsonError> {
        self.at += 1;
        let mut entries = BTreeMap::new();
        if self.next() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Map(Arc::new(entries)));
        }
        loop {
            if self.next() != Some(b'"') {
                return Err(self.error("a key is missing"));
            }
            let name = self.string()?;
            if self.next() != Some(b':') {
                return Err(self.error("`:` is missing"));
            }
            self.at += 1;
            entries.insert(name, self.value(depth + 1)?);
            match self.next() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(self.error("`,` or `}` is missing")),
            }
        }
        self.at += 1;
        Ok(Json::Map(Arc::new(entries)))
    }

    /// A string; borrowed unless it holds an escape.
    fn string(&mut self) -> Result<Cow<'t, str>, JsonError> {
        self.at += 1;
        let plain = self.plain()?;
        if self.byte() == Some(b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_owned();
        while self.byte() == Some(b'\\') {
            self.at += 1;
            text.push(self.escape()?);
            text.push_str(self.plain()?);
        }
        self.at += 1;
        Ok(Cow::Owned(text))
    }

    /// Up to the next quote or backslash.
    fn plain(&mut self) -> Result<&'t str, JsonError> {
        let start = self.at;
        loop {
            match self.byte() {
                Some(b'"' | b'\\') => return Ok(self.text.get(start..self.at).unwrap_or_default()),
                Some(b' '..) => self.at += 1,
                Some(_) => return Err(self.error("a control character in a string")),
                None => return Err(self.error("a string without an end")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let Some((c, length)) = self.text.get(self.at..).and_then(escaped) else {
            return Err(self.error(match self.byte() {
                Some(b'u') => "`\\u` takes four hexadecimal digits",
                _ => "no such escape",
            }));
        };
        self.at += length;
        Ok(c)
    }
}

/// The character that an escape stands for, and the length of the escape without its backslash; the second half of a
/// surrogate pair is part of it. Half a pair alone is U+FFFD.
pub fn escaped(behind: &str) -> Option<(char, usize)> {
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rewritten(text: &str) -> Result<String, JsonError> {
        Json::parse(text).map(|value| {
            let mut out = String::new();
            value.write(&mut out);
            out
        })
    }

    #[test]
    fn json_is_read_and_written_as_promtail_does() {
        for (text, expected) in [
            (r#" {"b" : [1, 2.50, -0.0, true, null], "a": {}} "#, r#"{"a":{},"b":[1,2.5,-0,true,null]}"#),
            (r#"{"k":1,"k":2}"#, r#"{"k":2}"#),
            ("[]", "[]"),
            ("218.71", "218.71"),
            ("123456789012345678", "123456789012345680"),
            ("1e21", "1e+21"),
            ("100000000000000000000", "100000000000000000000"),
            ("0.000001", "0.000001"),
            ("-0.00000012", "-1.2e-07"),
            ("1E-120", "1e-120"),
            ("5e-324", "5e-324"),
            ("0.1e1", "1"),
            (r#""<a href='x'>&""#, r#""\u003ca href='x'\u003e\u0026""#),
            (r#""\"\\\/\b\f\n\r\t\u0041\u00e9""#, r#""\"\\/\u0008\u000c\n\r\tAé""#),
            (r#""\ud83d\ude00 \u2028""#, "\"😀 \\u2028\""),
            (r#""a\ud83d b\ude00 \ud83d\u0041 \ud83d""#, "\"a\u{fffd} b\u{fffd} \u{fffd}A \u{fffd}\""),
            ("\"\u{7f}ü✓\"", "\"\u{7f}ü✓\""),
        ] {
            assert_eq!(rewritten(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_json_is_refused_at_its_place() {
        for (text, what, at) in [
            ("", "the text ends", 0),
            ("  ", "the text ends", 2),
            ("hello", "no JSON value", 0),
            ("nul", "no JSON value", 0),
            ("{} x", "something follows", 3),
            ("{\"a\":1", "`,` or `}`", 6),
            ("{\"a\" 1}", "`:`", 5),
            ("{\"a\":1,}", "a key", 7),
            ("{a:1}", "a key", 1),
            ("[1,]", "no JSON value", 3),
            ("[1 2]", "`,` or `]`", 3),
            ("01", "something follows", 1),
            ("-", "a digit", 1),
            ("1.", "a digit", 2),
            ("1e", "a digit", 2),
            (".5", "no JSON value", 0),
            ("1e999", "too large", 0),
            ("\"a", "without an end", 2),
            ("\"a\\", "no such escape", 3),
            ("\"\\x\"", "no such escape", 2),
            ("\"\\u12\"", "four hexadecimal", 2),
            ("\"\\u+123\"", "four hexadecimal", 2),
            ("\"a\nb\"", "control character", 2),
            ("NaN", "no JSON value", 0),
        ] {
            let error = Json::parse(text).expect_err(text);
            assert!(error.what.contains(what) && error.at == at, "{text}: {error}");
        }
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(Json::parse(&deep(MAX_DEPTH)).is_ok());
        assert!(Json::parse(&deep(MAX_DEPTH + 2)).is_err());
        assert!(Json::parse(&"[".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_gets_the_answer_that_another_reader_gives(text in "[\\[\\]{},:\"\\\\ue0-9.+tfn a\u{e9}-]{0,24}") {
            let other = serde_json::from_str::<serde_json::Value>(&text);
            // It refuses halves of surrogate pairs.
            prop_assume!(!text.contains("\\u"));
            prop_assert_eq!(Json::parse(&text).is_ok(), other.is_ok());
        }

        #[test]
        fn texts_and_numbers_survive_writing_and_reading(text in "\\PC{0,20}|[\\x00-\\x7f<>&\u{2028}]{0,12}", number: f64) {
            let value = Json::list(vec![Json::Text(text.into()), Json::Number(if number.is_finite() { number } else { 0.0 })]);
            let mut out = String::new();
            value.write(&mut out);
            prop_assert_eq!(Json::parse(&out), Ok(value));
        }
    }
}
