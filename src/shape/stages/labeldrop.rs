//! `labeldrop`: takes labels away.

use std::sync::Arc;

use super::{AboutStage, Context, Flow, Item, Setup, Stage, source};
use crate::yaml::key::key;
use crate::yaml::{Checker, Key, Value};

/// The key of the stage.
pub(super) const KEYS: &[Key] = &[key("stages[].labeldrop", "list of strings", "required")];

/// `stages[].labeldrop`
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    labels: Vec<String>,
}

/// Reads it.
pub(super) fn read(checker: &Checker<'_>, value: &Value<'_>) -> Option<Settings> {
    Some(Settings { labels: source::names(checker, value)? })
}

impl AboutStage for Settings {
    fn build(&self, _setup: &Setup) -> Box<dyn Stage> {
        Box::new(self.clone())
    }
}

impl Stage for Settings {
    fn name(&self) -> &'static str {
        "labeldrop"
    }

    fn run(&mut self, item: &mut Item, _context: &mut Context) -> Flow {
        for name in &self.labels {
            if item.labels.get(name).is_some() {
                Arc::make_mut(&mut item.labels).remove(name);
            }
        }
        Flow::Next
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{labels_after, takes_only_names};

    #[test]
    fn labels_are_taken_away() {
        let labels = [("host", "h1"), ("level", "info"), ("unit", "u")];
        for (stages, expected) in [
            ("[{labeldrop: [level, nosuch]}]", r#"{host="h1", unit="u"}"#),
            ("[{labeldrop: level}]", r#"{host="h1", unit="u"}"#),
            ("[{labeldrop: [nosuch]}]", r#"{host="h1", level="info", unit="u"}"#),
            ("[{labeldrop: [level]}, {labels: {l: level}}]", r#"{host="h1", l="info", unit="u"}"#),
        ] {
            assert_eq!(labels_after(stages, "x", &labels), (expected.to_owned(), vec![]), "{stages}");
        }
    }

    #[test]
    fn mistakes_are_shown_at_their_place() {
        takes_only_names("labeldrop");
    }
}
