//! logfmt: `key=value key="a value" key`.
//!
//! The format is that of github.com/go-logfmt/logfmt (`decode.go`), with which Promtail reads, and of Loki's copy of
//! it (grafana/loki, `pkg/logql/log/logfmt`): pairs between bytes up to the space, keys alone have an empty value, quoted
//! values have JSON's escapes.

use std::borrow::Cow;

use crate::go::json::escaped;

const UNEXPECTED_EQUALS: &str = "unexpected '='";
const UNEXPECTED_QUOTE: &str = "unexpected '\"'";

/// Why a text is not logfmt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not logfmt: {what} at byte {at}")]
pub struct BadPair {
    what: &'static str,
    at: usize,
    /// Loki's words, and its place: that behind a quoted value, for one that has an unknown escape.
    loki: (&'static str, usize),
}

impl BadPair {
    /// The same in Loki's words.
    pub(crate) fn as_loki(&self) -> String {
        let (what, at) = self.loki;
        format!("logfmt syntax error at pos {} : {what}", at + 1)
    }
}

/// The pairs of a text. Unless they are read as Loki does, the first mistake is the last item.
#[derive(Debug)]
pub struct Pairs<'t> {
    text: &'t str,
    at: usize,
    loki: bool,
}

impl<'t> Iterator for Pairs<'t> {
    type Item = Result<(&'t str, Cow<'t, str>), BadPair>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.byte()? <= b' ' {
            self.at += 1;
        }
        let pair = self.pair();
        if let Err(bad) = &pair {
            match self.loki {
                // Loki goes on right behind a quoted value.
                true if bad.at < bad.loki.1 => self.at = bad.loki.1,
                true => _ = self.until(|byte| byte <= b' '),
                false => self.at = self.text.len(),
            }
        }
        Some(pair)
    }
}

impl<'t> Pairs<'t> {
    /// The pairs of a text. As queries of Loki read it (`loki`), reading goes on behind a mistake, at the next space, and quotes may
    /// have control characters and line breaks in them.
    pub fn new(text: &'t str, loki: bool) -> Pairs<'t> {
        Pairs { text, at: 0, loki }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn error<T>(&self, what: &'static str, loki: &'static str) -> Result<T, BadPair> {
        Err(BadPair { what, at: self.at, loki: (loki, self.at) })
    }

    fn until(&mut self, end: impl Fn(u8) -> bool) -> &'t str {
        let start = self.at;
        while self.byte().is_some_and(|byte| !end(byte)) {
            self.at += 1;
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn pair(&mut self) -> Result<(&'t str, Cow<'t, str>), BadPair> {
        let key = self.until(|byte| byte <= b' ' || matches!(byte, b'=' | b'"'));
        let follows = self.byte();
        if follows == Some(b'"') {
            return self.error("a quote in a key", UNEXPECTED_QUOTE);
        }
        if key.is_empty() {
            return self.error("`=` without a key", UNEXPECTED_EQUALS);
        }
        if key.contains(char::REPLACEMENT_CHARACTER) {
            return self.error("a key that is not UTF-8", "invalid key");
        }
        if follows != Some(b'=') {
            return Ok((key, Cow::Borrowed("")));
        }
        self.at += 1;
        if self.byte() == Some(b'"') {
            return Ok((key, self.quoted()?));
        }
        let value = self.until(|byte| byte <= b' ' || matches!(byte, b'=' | b'"'));
        match self.byte() {
            Some(b'=') => self.error("`=` in a value", UNEXPECTED_EQUALS),
            Some(b'"') => self.error("a quote in a value", UNEXPECTED_QUOTE),
            _ => Ok((key, Cow::Borrowed(value))),
        }
    }

    /// Up to the closing quote, which must stand in the same line.
    fn quoted(&mut self) -> Result<Cow<'t, str>, BadPair> {
        const UNCLOSED: &str = "a quoted value that is not closed";
        const UNTERMINATED: &str = "unterminated quoted value";
        self.at += 1;
        let start = self.at;
        let (mut escapes, mut escaped) = (false, false);
        loop {
            match self.byte() {
                None => return self.error(UNCLOSED, UNTERMINATED),
                Some(b'\n') if !self.loki => return self.error(UNCLOSED, UNTERMINATED),
                _ if escaped => escaped = false,
                Some(b'\\') => (escapes, escaped) = (true, true),
                Some(b'"') => break,
                Some(_) => {}
            }
            self.at += 1;
        }
        let inside = self.text.get(start..self.at).unwrap_or_default();
        if !escapes {
            self.at += 1;
            return Ok(Cow::Borrowed(inside));
        }
        match unescape(inside, self.loki) {
            Some(value) => {
                self.at += 1;
                Ok(Cow::Owned(value))
            }
            None => {
                let loki = ("invalid quoted value", self.at + 1);
                Err(BadPair { what: "a quoted value with an unknown escape", at: self.at, loki })
            }
        }
    }
}

/// JSON's escapes and `\'`; a control character is as wrong here as in JSON, unless `control` is set.
fn unescape(inside: &str, control: bool) -> Option<String> {
    let mut text = String::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(at) = rest.find(|c: char| c == '\\' || c < ' ' && !control) {
        text.push_str(rest.get(..at)?);
        rest = rest.get(at..)?.strip_prefix('\\')?;
        let (c, length) = if rest.starts_with('\'') { ('\'', 1) } else { escaped(rest)? };
        text.push(c);
        rest = rest.get(length..)?;
    }
    text.push_str(rest);
    Some(text)
}
