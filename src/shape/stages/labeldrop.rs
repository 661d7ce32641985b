//! `labeldrop`: takes labels away.

pub use super::by_name::Settings;
use super::by_name::{self, Named};
use crate::yaml::key::key;
use crate::yaml::{Checker, Key, Value};

/// The key of the stage.
pub(super) const KEYS: &[Key] = &[key("stages[].labeldrop", "list of strings", "required")];

/// Reads it.
pub(super) fn read(checker: &Checker<'_>, value: &Value<'_>) -> Option<Settings> {
    by_name::read(Named::Go, checker, value)
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
