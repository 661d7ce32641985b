//! `decolorize`: removes ANSI colour sequences from the line.

use std::borrow::Cow;

use super::{AboutStage, Context, Flow, Item, Setup, Stage};
use crate::yaml::key::key;
use crate::yaml::{Checker, Key, Section, Value};
use logql::ansi;

/// The key of the stage.
pub(super) const KEYS: &[Key] = &[key("stages[].decolorize", "section", "")];

/// `stages[].decolorize`
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {}

/// Reads it.
pub(super) fn read(checker: &Checker<'_>, value: &Value<'_>) -> Option<Settings> {
    Section::open(checker, value, "stages[].decolorize").map(|_| Settings {})
}

impl AboutStage for Settings {
    fn build(&self, _setup: &Setup) -> Box<dyn Stage> {
        Box::new(self.clone())
    }
}

impl Stage for Settings {
    fn name(&self) -> &'static str {
        "decolorize"
    }

    fn run(&mut self, item: &mut Item, _context: &mut Context) -> Flow {
        if let Cow::Owned(plain) = ansi::strip(&item.line) {
            item.line = plain;
        }
        Flow::Next
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{item, refused, run};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sequences_are_removed() {
        for (line, expected) in [
            ("plain ü", "plain ü"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}[1;38;5;196mx\u{1b}[m", "x"),
            ("a\u{9b}2Kb", "ab"),
            ("\u{1b}]0;title\u{7}x", "x"),
            ("\u{1b}(Bx", "x"),
            ("\u{1b}[?25lx", "x"),
            ("\u{1b}[12345", ""),
            ("\u{1b}[123456x", "6x"),
            ("\u{1b}[1;x", ";x"),
            ("\u{1b}[1;2;x", ";x"),
            ("\u{1b}[x", "\u{1b}[x"),
            ("\u{1b}", "\u{1b}"),
            ("\u{1b}\u{1b}[31mx", "\u{1b}x"),
            ("\u{1b}[31", ""),
            ("\u{1b}[3é", "é"),
        ] {
            let mut item = item(line, &[]);
            assert_eq!(run("[{decolorize: {}}]", &mut item).0, Flow::Next);
            assert_eq!(item.line, expected, "{line:?}");
        }
    }

    #[test]
    fn it_takes_no_keys() {
        refused(&[("[{decolorize: {on: true}}]", &["unknown key `on`"])]);
        assert_eq!(run("[{decolorize: }]", &mut item("x", &[])).0, Flow::Next);
    }

    proptest! {
        #[test]
        fn the_same_as_with_a_regular_expression(text in "[\u{1b}\u{9b}\\[\\]()#;?a-zA-Z0-9\u{7}=~é-]{0,24}|\u{1b}\\[[0-9;]{0,12}[mx]?") {
            let sequence = concat!(
                r"[\x1b\u{9b}][\[\]()#;?]*(?:(?:(?:[a-zA-Z0-9]*(?:;[a-zA-Z0-9]*)*)?\x07)",
                r"|(?:(?:[0-9]{1,4}(?:;[0-9]{0,4})*)?[0-9A-PRZcf-nqrty=><~]))",
            );
            let expected = regex::Regex::new(sequence).unwrap().replace_all(&text, "").into_owned();
            prop_assert_eq!(ansi::strip(&text), expected);
        }
    }
}
