//! `regex`: extracts the named groups of a regular expression.

use super::{AboutStage, Context, Flow, Item, May, Setup, Stage, Value, source};
use crate::yaml::key::key;
use crate::yaml::{Checker, Finding, Key, Section, Value as Written};
use logql::go::re2::Re2;

/// The keys of the stage.
pub(super) const KEYS: &[Key] = &[
    key("stages[].regex", "section", ""),
    key("stages[].regex.expression", "regular expression", "required"),
    key("stages[].regex.source", "string", "null"),
];

/// `stages[].regex`
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The expression. It has at least one named group.
    expression: Re2,
    source: Option<String>,
}

/// Reads it.
pub(super) fn read(checker: &Checker<'_>, value: &Written<'_>) -> Option<Settings> {
    let section = Section::open(checker, value, "stages[].regex")?;
    let mut source = None;
    section.read("source", &mut source, |value| source::optional(checker, value));
    let written = source::required(checker, value, &section, "expression")?;
    let expression = checker.regex(written, Re2::new)?;
    if expression.capture_names().flatten().next().is_none() {
        checker.note(
            Finding::at(written.place(), format!("`{}` extracts nothing", written.path))
                .label("expected a named group")
                .help("name the part to extract: `(?P<name>…)`"),
        );
    }
    Some(Settings { expression, source })
}

impl AboutStage for Settings {
    fn build(&self, _setup: &Setup) -> Box<dyn Stage> {
        let names = self.expression.capture_names().enumerate();
        let groups = names.filter_map(|(group, name)| Some((group, name?.to_owned()))).collect();
        Box::new(Regex { settings: self.clone(), groups })
    }

    fn lint(written: &Written<'_>, may: &mut May<'_>) {
        may.have_source(written);
        may.gain_groups(written);
    }
}

#[derive(Debug)]
struct Regex {
    settings: Settings,
    groups: Vec<(usize, String)>,
}

impl Stage for Regex {
    fn name(&self) -> &'static str {
        "regex"
    }

    fn run(&mut self, item: &mut Item, context: &mut Context) -> Flow {
        let source = self.settings.source.as_deref();
        let Some(text) = source::text("regex", source, &item.line, &item.extracted, context) else {
            return Flow::Next;
        };
        match self.settings.expression.captures(&text) {
            Some(found) => {
                for (group, name) in &self.groups {
                    // A group that did not match is empty, as in Go.
                    let part = found.get(*group).map_or("", |part| part.as_str());
                    item.extracted.set(name, Value::Text(part.to_owned()));
                }
            }
            None => context.fail("regex", || "the expression does not match".to_owned()),
        }
        Flow::Next
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{item, labels_after, refused, run, value};
    use super::*;

    #[test]
    fn named_groups_become_values() {
        let mut item = item("GET /a port 42778 [preauth]", &[]);
        let stages = r"[{regex: {expression: '^(?P<method>\w+) (/\S*) port (?P<port>\d+)(?P<end>!)?'}}]";
        assert_eq!(run(stages, &mut item).0, Flow::Next);
        assert_eq!(value(&item, "method"), Some("GET".into()));
        assert_eq!(value(&item, "port"), Some("42778".into()));
        assert_eq!(value(&item, "end"), Some("".into()));
    }

    #[test]
    fn values_become_labels_as_in_promtail() {
        // regex_source and labels_rename of the recordings.
        let line = r#"10.0.0.1:5 fe be/s2 0/0/1/12/13 200 512 "GET /v1/cart HTTP/1.1""#;
        for (stages, expected) in [
            (
                r#"[{regex: {expression: '"(?P<req>[^"]+)"'}}, {regex: {source: req, expression: '(?P<method>\S+) /(?P<kind>\w+)'}}, {labels: {method: , kind: }}]"#,
                r#"{kind="v1", method="GET"}"#,
            ),
            (
                r"[{regex: {expression: ' be/(?P<srv>s\d) '}}, {labels: {server: srv, nosuch: }}]",
                r#"{server="s2"}"#,
            ),
        ] {
            assert_eq!(labels_after(stages, line, &[]), (expected.to_owned(), vec![]));
        }
    }

    #[test]
    fn what_does_not_match_passes_and_is_counted() {
        let mut item = item("x", &[]);
        for stages in
            ["[{regex: {expression: '(?P<a>y)'}}]", "[{regex: {expression: '(?P<a>y)', source: s}}]"]
        {
            let (flow, context) = run(stages, &mut item);
            assert_eq!((flow, context.failed.get("regex")), (Flow::Next, Some(&1)));
            assert_eq!(value(&item, "a"), None);
        }
    }

    #[test]
    fn mistakes_are_shown_at_their_place() {
        refused(&[
            ("[{regex: }]", &["`stages[0].regex` has no `expression`"]),
            (
                "[{regex: {expression: 'a(b)', source: ''}}]",
                &["extracts nothing", "(?P<name>…)", "the name is empty"],
            ),
            ("[{regex: {expression: ''}}]", &["extracts nothing"]),
            (
                "[{regex: {expression: '(?P<a>x'}}]",
                &["`stages[0].regex.expression`: not a regular expression"],
            ),
            ("[{regex: {expression: [a]}}]", &["expected a regular expression"]),
        ]);
    }
}
