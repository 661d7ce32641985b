//! `logfmt`: extracts values from `key=value` lines.
//!
//! The grammar is that of github.com/go-logfmt/logfmt (`decode.go`): pairs between bytes up to the space,
//! keys alone have an empty value, quoted values have JSON's escapes. An error ends the reading; what was
//! found before it stays.

use std::borrow::Cow;

use super::{Context, Flow, Item, Setup, Stage, Value, source};
use crate::config::{Checker, Finding, Section, Value as Written};
use crate::jmespath::{hex4, pair};

/// `stages[].logfmt`
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Names of values, and the keys that they come from.
    mapping: Vec<(String, String)>,
    source: Option<String>,
}

/// Reads it.
pub(crate) fn read(checker: &Checker<'_>, value: &Written<'_>) -> Option<Config> {
    let section = Section::open(checker, value, "stages[].logfmt")?;
    let mut config = Config { mapping: Vec::new(), source: None };
    if let Some(written) = source::required(checker, value, &section, "mapping")
        && let Some(mapping) = source::renames(checker, written, |_| Ok(()))
    {
        if mapping.is_empty() {
            let title = format!("`{}` is empty", written.path);
            checker.note(Finding::at(written.place(), title).label("expected at least one `name: key`"));
        }
        config.mapping = mapping;
    }
    section.read("source", &mut config.source, |value| source::optional(checker, value));
    Some(config)
}

impl Config {
    /// The stage, ready to run.
    pub(super) fn build(&self, _setup: &Setup) -> Box<dyn Stage> {
        Box::new(Running { config: self.clone() })
    }
}

#[derive(Debug)]
struct Running {
    config: Config,
}

impl Stage for Running {
    fn name(&self) -> &'static str {
        "logfmt"
    }

    fn run(&mut self, item: &mut Item, context: &mut Context) -> Flow {
        let source = self.config.source.as_deref();
        let Some(text) = source::text("logfmt", source, &item.line, &item.extracted, context) else {
            return Flow::Next;
        };
        for pair in (Pairs { text: &text, at: 0 }) {
            match pair {
                Ok((key, value)) => {
                    for (name, _) in self.config.mapping.iter().filter(|(_, wanted)| *wanted == key) {
                        item.extracted.set(name, Value::Text(value.clone().into_owned()));
                    }
                }
                Err(error) => context.fail("logfmt", || error.to_string()),
            }
        }
        Flow::Next
    }
}

/// Why a text is not logfmt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not logfmt: {what} at byte {at}")]
struct BadPair {
    what: &'static str,
    at: usize,
}

/// The pairs of a text up to the first mistake, which is the last item.
struct Pairs<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Iterator for Pairs<'t> {
    type Item = Result<(&'t str, Cow<'t, str>), BadPair>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.byte()? <= b' ' {
            self.at += 1;
        }
        let pair = self.pair();
        if pair.is_err() {
            self.at = self.text.len();
        }
        Some(pair)
    }
}

impl<'t> Pairs<'t> {
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn error<T>(&self, what: &'static str) -> Result<T, BadPair> {
        Err(BadPair { what, at: self.at })
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
            return self.error("a quote in a key");
        }
        if key.is_empty() {
            return self.error("`=` without a key");
        }
        if key.contains(char::REPLACEMENT_CHARACTER) {
            return self.error("a key that is not UTF-8");
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
            Some(b'=') => self.error("`=` in a value"),
            Some(b'"') => self.error("a quote in a value"),
            _ => Ok((key, Cow::Borrowed(value))),
        }
    }

    /// Up to the closing quote, which must stand in the same line.
    fn quoted(&mut self) -> Result<Cow<'t, str>, BadPair> {
        self.at += 1;
        let start = self.at;
        let (mut escapes, mut escaped) = (false, false);
        loop {
            match self.byte() {
                None | Some(b'\n') => return self.error("a quoted value without an end"),
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
        match unescape(inside) {
            Some(value) => {
                self.at += 1;
                Ok(Cow::Owned(value))
            }
            None => self.error("a quoted value with an escape that there is not"),
        }
    }
}

/// JSON's escapes and `\'`; a control character is as wrong here as in JSON.
fn unescape(inside: &str) -> Option<String> {
    let mut text = String::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(at) = rest.find(|c: char| c == '\\' || c < ' ') {
        text.push_str(rest.get(..at)?);
        rest = rest.get(at..)?.strip_prefix('\\')?;
        let mut chars = rest.chars();
        text.push(match chars.next()? {
            c @ ('"' | '\\' | '/' | '\'') => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let first = hex4(rest, 1)?;
                let second = if rest.get(5..7) == Some("\\u") { hex4(rest, 7) } else { None };
                let both = second.and_then(|second| pair(first, second));
                chars = rest.get(if both.is_some() { 11 } else { 5 }..)?.chars();
                both.or(char::from_u32(first)).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => return None,
        });
        rest = chars.as_str();
    }
    text.push_str(rest);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{item, labels_after, refused, run, value};
    use super::*;
    use proptest::prelude::*;

    /// The pairs as `key=[value]`, and what ended the reading.
    fn pairs(text: &str) -> (String, String) {
        let (mut found, mut error) = (Vec::new(), String::new());
        for pair in (Pairs { text, at: 0 }) {
            match pair {
                Ok((key, value)) => found.push(format!("{key}=[{value}]")),
                Err(bad) => error = bad.to_string().trim_start_matches("not logfmt: ").to_owned(),
            }
        }
        (found.join(" "), error)
    }

    #[test]
    fn lines_are_read_as_go_logfmt_reads_them() {
        for (text, expected, error) in [
            ("", "", ""),
            ("  \t ", "", ""),
            ("a=1 b=x=y", "a=[1]", "`=` in a value at byte 7"),
            (
                "ts=1 lvl=error step=\"fetch data\" ok=false empty= bare",
                "ts=[1] lvl=[error] step=[fetch data] ok=[false] empty=[] bare=[]",
                "",
            ),
            ("a= b", "a=[] b=[]", ""),
            ("a=", "a=[]", ""),
            ("a=\"\"", "a=[]", ""),
            ("a=\"x\"b=2", "a=[x] b=[2]", ""),
            ("a=\"x\"y", "a=[x] y=[]", ""),
            ("a=1\nb=2\r\nc=3\u{1}d", "a=[1] b=[2] c=[3] d=[]", ""),
            (r#"a="q\"\\\/\'\n\t\b\u00e9\ud83d\ude00\ud83dz""#, "a=[q\"\\/'\n\t\u{8}é😀\u{fffd}z]", ""),
            ("é=ü", "é=[ü]", ""),
            ("{a.b-c}:1=2", "{a.b-c}:1=[2]", ""),
            ("=1", "", "`=` without a key at byte 0"),
            ("a b=1 =", "a=[] b=[1]", "`=` without a key at byte 6"),
            ("Jun 3 \"x\"", "Jun=[] 3=[]", "a quote in a key at byte 6"),
            ("a\"b", "", "a quote in a key at byte 1"),
            ("a=b\"c\"", "", "a quote in a value at byte 3"),
            ("x=1 a=\"b", "x=[1]", "a quoted value without an end at byte 8"),
            ("a=\"b\\\"", "", "a quoted value without an end at byte 6"),
            ("a=\"b\nc\"", "", "a quoted value without an end at byte 4"),
            ("a=\"\\x\"", "", "a quoted value with an escape that there is not at byte 5"),
            ("a=\"\\u12\"", "", "a quoted value with an escape that there is not at byte 7"),
            ("a=\"\t\\n\"", "", "a quoted value with an escape that there is not at byte 6"),
            ("a=\"\t\"", "a=[\t]", ""),
            ("a\u{fffd}=1", "", "a key that is not UTF-8 at byte 4"),
            ("a=\u{fffd}", "a=[\u{fffd}]", ""),
        ] {
            assert_eq!(pairs(text), (expected.to_owned(), error.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn values_become_labels_as_in_promtail() {
        let line = "ts=1 lvl=error step=\"fetch data\" took=350ms rows=2438 size=4MiB ok=false empty= bare";
        let stages = "[{logfmt: {mapping: {step: , okay: ok, e: empty, b: bare, no: nosuch}}}, \
                       {labels: {step: , okay: , e: , b: , no: }}]";
        // Promtail sends the empty ones too; Loki takes them away.
        let expected = r#"{okay="false", step="fetch data"}"#;
        assert_eq!(labels_after(stages, line, &[]), (expected.to_owned(), vec![]));
    }

    #[test]
    fn the_last_of_equal_keys_counts_and_what_precedes_a_mistake_stays() {
        let mut item = item("x", &[("from", "a=1 a=2 b=3 ==")]);
        let (flow, context) = run("[{logfmt: {source: from, mapping: {a: , n: a, b: , c: }}}]", &mut item);
        assert_eq!((flow, context.failed.get("logfmt")), (Flow::Next, Some(&1)));
        assert_eq!(value(&item, "a"), Some("2".into()));
        assert_eq!(value(&item, "n"), Some("2".into()));
        assert_eq!(value(&item, "b"), Some("3".into()));
        assert_eq!(value(&item, "c"), None);
        assert_eq!(
            run("[{logfmt: {source: no, mapping: {a: }}}]", &mut item).1.failed.get("logfmt"),
            Some(&1)
        );
    }

    #[test]
    fn mistakes_are_shown_at_their_place() {
        refused(&[
            ("[{logfmt: {}}]", &["`stages[0].logfmt` has no `mapping`"]),
            ("[{logfmt: {mapping: }}]", &["`stages[0].logfmt.mapping` has no value"]),
            ("[{logfmt: {mapping: {}}}]", &["`stages[0].logfmt.mapping` is empty"]),
            ("[{logfmt: {mapping: {a: 5}}}]", &["in quotes it is a string: '5'"]),
            ("[{logfmt: {mapping: {'': a}, source: ''}}]", &["the name is empty", "2 errors"]),
        ]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(text in "\\PC{0,30}|[a=\"\\\\un \n\u{e9}0]{0,30}") {
            let count = (Pairs { text: &text, at: 0 }).count();
            prop_assert!(count <= text.len());
        }

        #[test]
        fn what_is_quoted_is_read_back(key in "[a-z.]{1,5}", value in "\\PC{0,12}|[\"\\\\\n\t=]{0,6}") {
            let text = format!("{key}={}", serde_json::to_string(&value).unwrap_or_default());
            let found: Vec<_> = (Pairs { text: &text, at: 0 }).collect();
            prop_assert_eq!(found, [Ok((key.as_str(), Cow::Borrowed(value.as_str())))]);
        }
    }
}
