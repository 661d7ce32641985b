//! `labelallow`: keeps only the labels named.

use std::sync::Arc;

use super::{AboutStage, Context, Flow, Item, Setup, Stage, source};
use crate::yaml::key::key;
use crate::yaml::{Checker, Key, Value};

/// The key of the stage.
pub(super) const KEYS: &[Key] = &[key("stages[].labelallow", "list of strings", "required")];

/// `stages[].labelallow`
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
        "labelallow"
    }

    fn run(&mut self, item: &mut Item, _context: &mut Context) -> Flow {
        let wanted = &self.labels;
        if item.labels.iter().any(|(name, _)| !wanted.iter().any(|other| other == name)) {
            Arc::make_mut(&mut item.labels).retain(|name, _| wanted.iter().any(|other| other == name));
        }
        Flow::Next
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{labels_after, takes_only_names};

    #[test]
    fn other_labels_are_taken_away() {
        let labels = [("host", "h1"), ("level", "info"), ("unit", "u")];
        for (stages, expected) in [
            ("[{labelallow: [unit, nosuch]}]", r#"{unit="u"}"#),
            ("[{labelallow: unit}]", r#"{unit="u"}"#),
            ("[{labelallow: [unit, host, level]}]", r#"{host="h1", level="info", unit="u"}"#),
            ("[{labelallow: [nosuch]}]", "{}"),
            ("[{labeldrop: [level]}, {labelallow: [unit, level]}]", r#"{unit="u"}"#),
        ] {
            assert_eq!(labels_after(stages, "x", &labels), (expected.to_owned(), vec![]), "{stages}");
        }
    }

    #[test]
    fn mistakes_are_shown_at_their_place() {
        takes_only_names("labelallow");
    }
}
