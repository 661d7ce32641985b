//! `labels`: makes labels of extracted values.

use std::sync::Arc;

use super::{AboutStage, Context, Flow, Item, Made, May, Setup, Stage, may, source};
use crate::shape::names;
use crate::yaml::key::key;
use crate::yaml::{Checker, Key, Value};

/// The key of the stage.
pub(super) const KEYS: &[Key] = &[key("stages[].labels", "map of strings", "required")];

/// `stages[].labels`
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Labels, and the values that they come from.
    labels: Vec<(String, String)>,
}

/// Reads it.
pub(super) fn read(checker: &Checker<'_>, value: &Value<'_>) -> Option<Settings> {
    Some(Settings { labels: source::renames(checker, value, names::label_name)? })
}

impl AboutStage for Settings {
    fn build(&self, _setup: &Setup) -> Box<dyn Stage> {
        Box::new(self.clone())
    }

    fn labels(&self) -> Vec<(&str, Made)> {
        self.labels.iter().map(|(name, _)| (name.as_str(), Made::Found)).collect()
    }

    fn lint(written: &Value<'_>, may: &mut May<'_>) {
        for (name, source) in may::map(written) {
            may.have_value(&source, may::text(&source).filter(|text| !text.is_empty()).or(Some(name)));
            may.gain_label(name);
        }
    }
}

impl Stage for Settings {
    fn name(&self) -> &'static str {
        "labels"
    }

    /// A missing value, or null, leaves the label as it is. An empty value removes the label, as in Loki.
    fn run(&mut self, item: &mut Item, _context: &mut Context) -> Flow {
        for (name, source) in &self.labels {
            if let Some(value) = item.extracted.text(source)
                && item.labels.get(name) != Some(&*value)
            {
                Arc::make_mut(&mut item.labels).insert(name, value.as_bytes());
            }
        }
        Flow::Next
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{item, labels_after, refused, run};
    use super::*;
    use crate::shape::stages::Value as Extracted;

    #[test]
    fn values_become_labels() {
        let labels = [("unit", "a.service"), ("level", "info")];
        for (stages, expected) in [
            ("[{labels: {}}]", r#"{level="info", unit="a.service"}"#),
            (
                "[{labels: {n: , t: text, nul: , none: }}]",
                r#"{level="info", n="0.5", t="é", unit="a.service"}"#,
            ),
            ("[{labels: {level: flag, unit: ''}}]", r#"{level="true", unit="a.service"}"#),
            ("[{labels: {level: empty, u: unit}}]", r#"{u="a.service", unit="a.service"}"#),
        ] {
            let mut item = item("x", &labels);
            for (name, value) in [
                ("n", Extracted::Number(0.5)),
                ("text", "é".into()),
                ("flag", Extracted::Bool(true)),
                ("nul", Extracted::Null),
                ("empty", "".into()),
            ] {
                item.extracted.set(name, value);
            }
            let (flow, context) = run(stages, &mut item);
            assert_eq!((flow, context.failed.len()), (Flow::Next, 0));
            assert_eq!(item.labels.to_string(), expected, "{stages}");
        }
    }

    #[test]
    fn what_stages_do_to_labels_does_not_show_in_the_values() {
        let stages = "[{static_labels: {unit: b}}, {labels: {was: unit}}]";
        let expected = r#"{unit="b", was="a"}"#.to_owned();
        assert_eq!(labels_after(stages, "x", &[("unit", "a")]), (expected, vec![]));
    }

    #[test]
    fn mistakes_are_shown_at_their_place() {
        refused(&[
            ("[{labels: }]", &["`stages[0].labels` has no value", "expected a map"]),
            ("[{labels: [a]}]", &["`stages[0].labels` cannot be a list"]),
            (
                "[{labels: {a-b: , __x: a, '': b}}]",
                &["did you mean `a_b`", "reserved", "the name is empty", "3 errors"],
            ),
            ("[{labels: {a: [b]}}]", &["`stages[0].labels.a` cannot be a list"]),
            ("[{labels: {a: 5}}]", &["in quotes it is a string: '5'"]),
        ]);
    }
}
