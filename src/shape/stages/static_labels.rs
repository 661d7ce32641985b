//! `static_labels`: adds labels with fixed values.

use std::sync::Arc;

use super::{AboutStage, Context, Flow, Item, Made, May, Setup, Stage, may};
use crate::shape::names;
use crate::yaml::key::key;
use crate::yaml::{Checker, Key, Kind, Value};

/// The key of the stage.
pub(super) const KEYS: &[Key] = &[key("stages[].static_labels", "map of strings", "required")];

/// `stages[].static_labels`
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Names and values. No value is empty.
    labels: Vec<(String, String)>,
}

/// Reads it. As in Promtail, a label without a value is ignored.
pub(super) fn read(checker: &Checker<'_>, value: &Value<'_>) -> Option<Settings> {
    let mut labels = Vec::new();
    for entry in checker.entries(value, "a map: label to text")? {
        if let Err(refusal) = names::label_name(entry.name) {
            checker.refuse(entry.value.key.clone(), "", refusal);
        }
        if entry.value.node.kind == Kind::Null {
            continue;
        }
        let rule = |text: &str| if text.is_empty() { Ok(()) } else { names::label_value(text) };
        if let Some(text) = checker.checked(&entry.value, "a string", rule)
            && !text.is_empty()
        {
            labels.push((entry.name.to_owned(), text));
        }
    }
    Some(Settings { labels })
}

impl AboutStage for Settings {
    fn build(&self, _setup: &Setup) -> Box<dyn Stage> {
        Box::new(self.clone())
    }

    fn labels(&self) -> Vec<(&str, Made)> {
        self.labels.iter().map(|(name, _)| (name.as_str(), Made::Fixed)).collect()
    }

    fn lint(written: &Value<'_>, may: &mut May<'_>) {
        may::names(written).for_each(|name| may.gain_label(name));
    }
}

impl Stage for Settings {
    fn name(&self) -> &'static str {
        "static_labels"
    }

    fn run(&mut self, item: &mut Item, _context: &mut Context) -> Flow {
        for (name, value) in &self.labels {
            if item.labels.get(name) != Some(value) {
                Arc::make_mut(&mut item.labels).insert(name, value.as_bytes());
            }
        }
        Flow::Next
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{labels_after, refused};

    #[test]
    fn labels_are_added_and_replaced() {
        let labels = [("host", "h1"), ("level", "info")];
        for (stages, expected) in [
            // static_labels_override of the recordings.
            (
                r#"[{static_labels: {level: fixed, new: x, empty: ""}}]"#,
                r#"{host="h1", level="fixed", new="x"}"#,
            ),
            (r#"[{static_labels: {level: "", host: }}]"#, r#"{host="h1", level="info"}"#),
            ("[{static_labels: {}}]", r#"{host="h1", level="info"}"#),
        ] {
            assert_eq!(labels_after(stages, "x", &labels), (expected.to_owned(), vec![]), "{stages}");
        }
    }

    #[test]
    fn mistakes_are_shown_at_their_place() {
        let long = format!("[{{static_labels: {{a: {}}}}}]", "x".repeat(2049));
        refused(&[
            ("[{static_labels: }]", &["`stages[0].static_labels` has no value"]),
            ("[{static_labels: {a-b: x, __y: z}}]", &["did you mean `a_b`", "reserved", "2 errors"]),
            ("[{static_labels: {a: 5}}]", &["in quotes it is a string: '5'"]),
            ("[{static_labels: {a: [b]}}]", &["`stages[0].static_labels.a` cannot be a list"]),
            (&long, &["has 2049 bytes"]),
        ]);
    }
}
