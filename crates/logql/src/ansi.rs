//! ANSI colour sequences in lines.
//!
//! A sequence is what Loki and Promtail take for one (grafana/loki, `pkg/logql/log/fmt.go`, after
//! the npm package `ansi-regex`): ESC or U+009B, any of `[]()#;?`, then either letters, digits and `;` up to
//! a BEL, or numbers of up to four digits between `;` and one final character, which may be a digit.

use std::borrow::Cow;

/// Characters that begin a sequence.
const INTRODUCERS: [char; 2] = ['\u{1b}', '\u{9b}'];
/// Most digits of a number in a sequence.
const DIGITS_MAX: usize = 4;

/// The text without sequences.
pub fn strip(text: &str) -> Cow<'_, str> {
    if !text.contains(INTRODUCERS) {
        return Cow::Borrowed(text);
    }
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
    Cow::Owned(out)
}

/// The text behind a sequence whose introducer stands before `text`; `None` if there is no sequence.
fn behind_sequence(text: &str) -> Option<&str> {
    let text = text.trim_start_matches(['[', ']', '(', ')', '#', ';', '?']);
    let word = text.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == ';');
    if let Some(rest) = word.strip_prefix('\u{7}') {
        return Some(rest);
    }
    let bytes = text.as_bytes();
    let digits =
        |at: usize| bytes.iter().skip(at).take(DIGITS_MAX).take_while(|byte| byte.is_ascii_digit()).count();
    let mut end = digits(0);
    // The end of the last digit: the sequence ends there if no final character follows.
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
