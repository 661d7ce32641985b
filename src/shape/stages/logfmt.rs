//! `logfmt`: extracts values from `key=value` lines.
//!
//! An error in a line ends its reading. Values before the error stay.

use super::{AboutStage, Context, Flow, Item, May, Setup, Stage, Value, may, source};
use crate::yaml::key::key;
use crate::yaml::{Checker, Finding, Key, Section, Value as Written};
use logql::go::logfmt::Pairs;

/// The keys of the stage.
pub(super) const KEYS: &[Key] = &[
    key("stages[].logfmt", "section", ""),
    key("stages[].logfmt.mapping", "map of strings", "required"),
    key("stages[].logfmt.source", "string", "null"),
];

/// `stages[].logfmt`
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The names of values, and the keys that they come from.
    mapping: Vec<(String, String)>,
    source: Option<String>,
}

/// Reads it.
pub(super) fn read(checker: &Checker<'_>, value: &Written<'_>) -> Option<Settings> {
    let section = Section::open(checker, value, "stages[].logfmt")?;
    let mut settings = Settings { mapping: Vec::new(), source: None };
    if let Some(written) = source::required(checker, value, &section, "mapping")
        && let Some(mapping) = source::renames(checker, written, |_| Ok(()))
    {
        if mapping.is_empty() {
            let title = format!("`{}` is empty", written.path);
            checker.note(Finding::at(written.place(), title).label("expected at least one `name: key`"));
        }
        settings.mapping = mapping;
    }
    section.read("source", &mut settings.source, |value| source::optional(checker, value));
    Some(settings)
}

impl AboutStage for Settings {
    fn build(&self, _setup: &Setup) -> Box<dyn Stage> {
        Box::new(self.clone())
    }

    fn lint(written: &Written<'_>, may: &mut May<'_>) {
        may.have_source(written);
        may.gain(may::get(written, "mapping").iter().flat_map(may::names));
    }
}

impl Stage for Settings {
    fn name(&self) -> &'static str {
        "logfmt"
    }

    fn run(&mut self, item: &mut Item, context: &mut Context) -> Flow {
        let source = self.source.as_deref();
        let Some(text) = source::text("logfmt", source, &item.line, &item.extracted, context) else {
            return Flow::Next;
        };
        for pair in Pairs::new(&text, false) {
            match pair {
                Ok((key, value)) => {
                    for (name, _) in self.mapping.iter().filter(|(_, wanted)| *wanted == key) {
                        item.extracted.set(name, Value::Text(value.clone().into_owned()));
                    }
                }
                Err(error) => context.fail("logfmt", || error.to_string()),
            }
        }
        Flow::Next
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::super::testing::{item, labels_after, refused, run, value};
    use super::*;
    use proptest::prelude::*;

    /// The pairs as `key=[value]`, and what ended the reading.
    fn pairs(text: &str) -> (String, String) {
        let (mut found, mut error) = (Vec::new(), String::new());
        for pair in Pairs::new(text, false) {
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
            ("x=1 a=\"b", "x=[1]", "a quoted value that is not closed at byte 8"),
            ("a=\"b\\\"", "", "a quoted value that is not closed at byte 6"),
            ("a=\"b\nc\"", "", "a quoted value that is not closed at byte 4"),
            ("a=\"\\x\"", "", "a quoted value with an unknown escape at byte 5"),
            ("a=\"\\u12\"", "", "a quoted value with an unknown escape at byte 7"),
            ("a=\"\t\\n\"", "", "a quoted value with an unknown escape at byte 6"),
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
            let count = Pairs::new(&text, false).count();
            prop_assert!(count <= text.len());
        }

        #[test]
        fn what_is_quoted_is_read_back(key in "[a-z.]{1,5}", value in "\\PC{0,12}|[\"\\\\\n\t=]{0,6}") {
            let text = format!("{key}={}", serde_json::to_string(&value).unwrap_or_default());
            let found: Vec<_> = Pairs::new(&text, false).collect();
            prop_assert_eq!(found, [Ok((key.as_str(), Cow::Borrowed(value.as_str())))]);
        }
    }
}
