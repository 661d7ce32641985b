//! `structured_metadata`: makes structured metadata of extracted values.

use std::sync::Arc;

use super::{AboutStage, Context, Flow, Item, May, Setup, Stage, may, source};
use crate::shape::names;
use crate::yaml::key::key;
use crate::yaml::{Checker, Key, Value};

/// The key of the stage.
pub(super) const KEYS: &[Key] = &[key("stages[].structured_metadata", "map of strings", "required")];

/// `stages[].structured_metadata`
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The names of metadata, and the values or labels that they come from.
    names: Vec<(String, String)>,
}

/// Reads it.
pub(super) fn read(checker: &Checker<'_>, value: &Value<'_>) -> Option<Settings> {
    Some(Settings { names: source::renames(checker, value, names::metadata_name)? })
}

impl AboutStage for Settings {
    fn build(&self, _setup: &Setup) -> Box<dyn Stage> {
        Box::new(self.clone())
    }

    fn metadata(&self) -> Vec<&str> {
        self.names.iter().map(|(name, _)| name.as_str()).collect()
    }

    fn lint(written: &Value<'_>, may: &mut May<'_>) {
        for (name, source) in may::map(written) {
            may.have_either(&source, may::text(&source).filter(|text| !text.is_empty()).or(Some(name)));
        }
    }
}

impl Stage for Settings {
    fn name(&self) -> &'static str {
        "structured_metadata"
    }

    /// A label with the same name and value is removed. An empty value makes no metadata, because Loki cannot tell it from a
    /// missing one.
    fn run(&mut self, item: &mut Item, _context: &mut Context) -> Flow {
        let mut moved: Vec<&str> = Vec::new();
        for (name, source) in &self.names {
            let extracted = item.extracted.text(source);
            let Some(value) = extracted.as_deref().or_else(|| item.labels.get(source)) else { continue };
            if value.is_empty() {
                continue;
            }
            if item.labels.get(source) == Some(value) {
                moved.push(source);
            }
            match item.metadata.iter_mut().find(|(other, _)| other == name) {
                Some((_, old)) => value.clone_into(old),
                None => item.metadata.push((name.clone(), value.to_owned())),
            }
        }
        for name in moved {
            Arc::make_mut(&mut item.labels).remove(name);
        }
        Flow::Next
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{item, refused, run};
    use super::*;
    use crate::shape::stages::Value as Extracted;

    #[test]
    fn values_and_labels_become_metadata() {
        for (stages, metadata, labels) in [
            (
                r"[{regex: {expression: 'port (?P<port>\d+)'}}, {structured_metadata: {port: , p2: port}}]",
                "pid=1 port=42778 p2=42778",
                r#"{level="info", unit="u"}"#,
            ),
            ("[{structured_metadata: {unit: }}]", "pid=1 unit=u", r#"{level="info"}"#),
            ("[{structured_metadata: {a: unit, b: unit}}]", "pid=1 a=u b=u", r#"{level="info"}"#),
            // The values are the labels at the beginning: what has changed since stays a label.
            (
                "[{static_labels: {unit: v, new: n}}, {structured_metadata: {unit: , new: }}]",
                "pid=1 unit=u new=n",
                r#"{level="info", unit="v"}"#,
            ),
            ("[{structured_metadata: {pid: level}}]", "pid=info", r#"{unit="u"}"#),
            ("[{structured_metadata: {nul: , none: , empty: }}]", "pid=1", r#"{level="info", unit="u"}"#),
            ("[{structured_metadata: {}}]", "pid=1", r#"{level="info", unit="u"}"#),
        ] {
            let mut item = item("closed by 198.51.100.7 port 42778", &[("unit", "u"), ("level", "info")]);
            item.metadata.push(("pid".into(), "1".into()));
            item.extracted.set("nul", Extracted::Null);
            item.extracted.set("empty", "".into());
            assert_eq!(run(stages, &mut item).0, Flow::Next);
            let found: Vec<String> = item.metadata.iter().map(|(n, v)| format!("{n}={v}")).collect();
            assert_eq!(
                (found.join(" ").as_str(), item.labels.to_string().as_str()),
                (metadata, labels),
                "{stages}"
            );
        }
    }

    #[test]
    fn mistakes_are_shown_at_their_place() {
        refused(&[
            ("[{structured_metadata: }]", &["`stages[0].structured_metadata` has no value"]),
            ("[{structured_metadata: {user.id: , __: a}}]", &["write `user_id`", "answers 500", "2 errors"]),
            ("[{structured_metadata: {a: 5}}]", &["in quotes it is a string: '5'"]),
        ]);
    }
}
