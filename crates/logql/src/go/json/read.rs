//! The reader of JSON text.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Json, JsonError, escaped};

/// How deep lists and objects may be nested (count): the reader calls itself for each level.
pub(super) const DEPTH_MAX: usize = 128;

impl<'t> Json<'t> {
    /// Reads a text that holds one value.
    ///
    /// # Errors
    /// The text is not one JSON value, or lists and objects are nested more than 128 deep.
    pub fn parse(text: &'t str) -> Result<Json<'t>, JsonError> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0)?;
        match reader.next() {
            None => Ok(value),
            Some(_) => Err(reader.error("something follows the value")),
        }
    }
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
        if depth > DEPTH_MAX {
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
            Some(_) => Err(self.error("not a JSON value")),
            None => Err(self.error("the text ends")),
        }
    }

    fn word(&mut self, word: &str, value: Json<'t>) -> Result<Json<'t>, JsonError> {
        if !self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return Err(self.error("not a JSON value"));
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
            _ => Err(JsonError { what: "the number is too large", at: start }),
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
                Some(_) => return Err(self.error("a control character stands in a string")),
                None => return Err(self.error("the string is not closed")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let Some((c, length)) = self.text.get(self.at..).and_then(escaped) else {
            return Err(self.error(match self.byte() {
                Some(b'u') => "`\\u` takes four hexadecimal digits",
                _ => "JSON has no such escape",
            }));
        };
        self.at += length;
        Ok(c)
    }
}
