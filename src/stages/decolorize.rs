//! `decolorize`: removes ANSI colour sequences from the line.
//!
//! What a sequence is, is what Loki and Promtail take for one (grafana/loki, `pkg/logql/log/fmt.go`, after
//! the npm package `ansi-regex`): ESC or U+009B, any of `[]()#;?`, then either letters, digits and `;` up to
//! a BEL, or numbers of up to four digits between `;` and one final character, which may be a digit.

use super::{Context, Flow, Item, Setup, Stage};
use crate::config::{Checker, Section, Value};

/// Characters that begin a sequence.
const INTRODUCERS: [char; 2] = ['\u{1b}', '\u{9b}'];
/// Most digits of a number in a sequence.
const MAX_DIGITS: usize = 4;

/// `stages[].decolorize`
#[derive(Debug, Clone, PartialEq)]
pub struct Config {}

/// Reads it.
pub(crate) fn read(checker: &Checker<'_>, value: &Value<'_>) -> Option<Config> {
    Section::open(checker, value, "stages[].decolorize").map(|_| Config {})
}

impl Config {
    /// The stage, ready to run.
    pub(super) fn build(&self, _setup: &Setup) -> Box<dyn Stage> {
        Box::new(Running {})
    }
}

#[derive(Debug)]
struct Running {}

impl Stage for Running {
    fn name(&self) -> &'static str {
        "decolorize"
    }

    fn run(&mut self, item: &mut Item, _context: &mut Context) -> Flow {
        if item.line.contains(INTRODUCERS) {
            item.line = plain(&item.line);
        }
        Flow::Next
    }
}

/// The text without sequences.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(INTRODUCERS) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let mut after = from.chars();
        let introducer = after.next();
        rest = match behind_sequence(after.as_str()) {
            Some(rest) => rest,
            None => {
                out.extend(introducer);
                after.as_str()
            }
        };
    }
    out.push_str(rest);
    out
}

/// What follows the sequence whose introducer stands before `text`, if there is one.
fn behind_sequence(text: &str) -> Option<&str> {
    let text = text.trim_start_matches(['[', ']', '(', ')', '#', ';', '?']);
    let word = text.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == ';');
    if let Some(rest) = word.strip_prefix('\u{7}') {
        return Some(rest);
    }
    let bytes = text.as_bytes();
    let digits =
        |at: usize| bytes.iter().skip(at).take(MAX_DIGITS).take_while(|byte| byte.is_ascii_digit()).count();
    let mut end = digits(0);
    // The last digit, should no final character follow.
    let mut last_digit = end;
    while end > 0 && bytes.get(end) == Some(&b';') {
        let more = digits(end + 1);
        end += 1 + more;
        if more > 0 {
            last_digit = end;
        }
    }
    if bytes.get(end).is_some_and(|byte| is_final(*byte)) {
        text.get(end + 1..)
    } else if last_digit > 0 {
        text.get(last_digit..)
    } else {
        None
    }
}

fn is_final(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'A'..=b'P' | b'R' | b'Z' | b'c' | b'f'..=b'n' | b'q' | b'r' | b't' | b'y')
        || matches!(byte, b'=' | b'>' | b'<' | b'~')
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
            prop_assert_eq!(plain(&text), expected);
        }
    }
}
