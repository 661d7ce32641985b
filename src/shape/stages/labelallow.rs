//! `labelallow`: keeps only the labels named.

pub use super::by_name::Settings;
use super::by_name::{self, Named};
use crate::yaml::key::key;
use crate::yaml::{Checker, Key, Value};

/// The key of the stage.
pub(super) const KEYS: &[Key] = &[key("stages[].labelallow", "list of strings", "required")];

/// Reads it.
pub(super) fn read(checker: &Checker<'_>, value: &Value<'_>) -> Option<Settings> {
    by_name::read(Named::Stay, checker, value)
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
