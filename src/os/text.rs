//! Text made safe for a person: what a stranger wrote must not drive a terminal, hide what it says, or look like
//! something that this program says.
//!
//! Log lines, label values, a server's words and the contents of files all come from strangers. Everything that a
//! person may see goes through this module: [`Line`] for one line, [`Block`] for text of several lines, [`write_json`]
//! for JSON. What is unsafe is shown as an escape such as `\u{202e}`; JSON gets JSON's own escapes, which mean the same
//! text to a program.

use std::borrow::Cow;
use std::fmt::{self, Display, Write as _};
use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

/// Whether a character can mislead a person who reads it: controls (C0, DEL, C1), line and paragraph separators, and
/// what is invisible or changes the direction of other text.
///
/// The invisible ones are those of Unicode's property `Default_Ignorable_Code_Point` (DerivedCoreProperties.txt), and
/// interlinear annotations. Variation selectors 15 and 16 stay: they follow many ordinary symbols.
#[inline]
pub fn is_unsafe(c: char) -> bool {
    if c < '\u{ad}' {
        return c < ' ' || ('\u{7f}'..='\u{9f}').contains(&c);
    }
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0d}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// One line: whatever is unsafe is escaped, line ends and tabs too.
#[derive(Debug, Clone, Copy)]
pub struct Line<'t>(pub &'t str);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(self.0, f, |_| None)
    }
}

/// Several lines. Line ends and tabs stay; everything else that is unsafe is escaped. Each line after the first begins with
/// `indent`, so that no line of the text looks like a line of this program.
#[derive(Debug, Clone, Copy)]
pub struct Block<'t> {
    /// The text.
    pub text: &'t str,
    /// What each line after the first begins with.
    pub indent: &'t str,
}

impl Display for Block<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = |c| match c {
            '\n' => Some(("\n", self.indent)),
            '\t' => Some(("\t", "")),
            _ => None,
        };
        escape(self.text, f, kept)
    }
}

/// Whether a text is ASCII without controls, as most is. All of it is looked at, which takes less than to look for the first that
/// is not.
#[inline]
fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |plain, byte| plain & (b' '..=b'~').contains(&byte))
}

/// Writes a text with its unsafe characters escaped. `kept` names those that stay, and what is written after them.
fn escape<'t>(
    text: &str,
    f: &mut fmt::Formatter<'_>,
    kept: impl Fn(char) -> Option<(&'t str, &'t str)>,
) -> fmt::Result {
    if is_plain(text) {
        return f.write_str(text);
    }
    let mut from = 0;
    for (at, c) in text.char_indices() {
        if !is_unsafe(c) {
            continue;
        }
        f.write_str(text.get(from..at).unwrap_or_default())?;
        from = at + c.len_utf8();
        match kept(c) {
            Some((itself, after)) => {
                f.write_str(itself)?;
                f.write_str(after)?;
            }
            None => c.escape_default().try_for_each(|c| f.write_char(c))?,
        }
    }
    f.write_str(text.get(from..).unwrap_or_default())
}

/// A text without the numbers that Rust puts behind what the system says: `No such file or directory (os error 2)`. They say
/// nothing more to a person.
pub fn without_codes(text: &str) -> Cow<'_, str> {
    const CODE: &str = " (os error ";
    if !text.contains(CODE) {
        return Cow::Borrowed(text);
    }
    let mut parts = text.split(CODE);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((code, rest)) if code.chars().all(|c| c.is_ascii_digit()) => out.push_str(rest),
            _ => {
                out.push_str(CODE);
                out.push_str(part);
            }
        }
    }
    Cow::Owned(out)
}

/// Cuts a text that is longer than `max` bytes, and puts `…` behind what is left.
pub fn clip(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let end = (0..=max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", text.get(..end).unwrap_or_default())
}

/// Writes a value as one line of JSON. Everything unsafe in it is escaped.
///
/// # Errors
/// When writing fails, or JSON cannot express the value.
pub fn write_json(out: impl io::Write, value: &impl Serialize) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(out, Safe(CompactFormatter))).map_err(io::Error::from)
}

/// Writes a text as JSON, exactly as [`write_json`] does. Texts in which nothing has to be escaped, which most lines are, cost less
/// than half here.
///
/// # Errors
/// When writing fails.
pub fn write_json_text(out: &mut impl io::Write, text: &str) -> io::Result<()> {
    if text.bytes().any(|byte| !matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\')) {
        return write_json(out, &text);
    }
    out.write_all(b"\"")?;
    out.write_all(text.as_bytes())?;
    out.write_all(b"\"")
}

/// The same in several lines, for a person.
///
/// # Errors
/// As [`write_json`].
pub fn write_json_pretty(out: impl io::Write, value: &impl Serialize) -> io::Result<()> {
    value
        .serialize(&mut Serializer::with_formatter(out, Safe(PrettyFormatter::new())))
        .map_err(io::Error::from)
}

/// A formatter of JSON that also escapes unsafe characters which JSON allows.
struct Safe<F>(F);

/// Hands a method of [`Formatter`] on to the formatter inside.
macro_rules! hand_on {
    ($($name:ident($($argument:ident: $kind:ty),*);)*) => {
        $(fn $name<W: ?Sized + io::Write>(&mut self, out: &mut W $(, $argument: $kind)*) -> io::Result<()> {
            self.0.$name(out $(, $argument)*)
        })*
    };
}

impl<F: Formatter> Formatter for Safe<F> {
    hand_on! {
        begin_array();
        end_array();
        begin_array_value(first: bool);
        end_array_value();
        begin_object();
        end_object();
        begin_object_key(first: bool);
        begin_object_value();
        end_object_value();
    }

    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, out: &mut W, text: &str) -> io::Result<()> {
        // JSON's own escapes are not in it, so of ASCII only DEL is left.
        if text.is_ascii() && !text.as_bytes().contains(&0x7f) {
            return out.write_all(text.as_bytes());
        }
        let mut from = 0;
        for (at, c) in text.char_indices().filter(|(_, c)| is_unsafe(*c)) {
            out.write_all(text.get(from..at).unwrap_or_default().as_bytes())?;
            from = at + c.len_utf8();
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
        }
        out.write_all(text.get(from..).unwrap_or_default().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_the_system_are_left_out() {
        for (text, shown) in [
            ("a: No such file or directory (os error 2)", "a: No such file or directory"),
            ("a (os error 13); b (os error 2): c", "a; b: c"),
            ("a (os error x) (os error ", "a (os error x) (os error "),
            ("a", "a"),
        ] {
            assert_eq!(without_codes(text), shown);
        }
    }
    use proptest::prelude::*;

    fn block(text: &str) -> String {
        Block { text, indent: "  " }.to_string()
    }

    #[test]
    fn what_misleads_is_escaped() {
        for (text, line, shown) in [
            ("", "", ""),
            (
                "plain text, é, 漢字, 👍\u{fe0f}",
                "plain text, é, 漢字, 👍\u{fe0f}",
                "plain text, é, 漢字, 👍\u{fe0f}",
            ),
            ("a\nb\n", "a\\nb\\n", "a\n  b\n  "),
            ("a\tb\r\n", "a\\tb\\r\\n", "a\tb\\r\n  "),
            ("\u{1b}[31mred", "\\u{1b}[31mred", "\\u{1b}[31mred"),
            ("\u{9b}31m\u{7f}\u{0}", "\\u{9b}31m\\u{7f}\\u{0}", "\\u{9b}31m\\u{7f}\\u{0}"),
            ("a\u{202e}b\u{2066}", "a\\u{202e}b\\u{2066}", "a\\u{202e}b\\u{2066}"),
            (
                "a\u{200b}\u{feff}\u{2028}\u{2029}",
                "a\\u{200b}\\u{feff}\\u{2028}\\u{2029}",
                "a\\u{200b}\\u{feff}\\u{2028}\\u{2029}",
            ),
            (
                "\u{ad}\u{e0041}\u{3164}\u{61c}",
                "\\u{ad}\\u{e0041}\\u{3164}\\u{61c}",
                "\\u{ad}\\u{e0041}\\u{3164}\\u{61c}",
            ),
        ] {
            assert_eq!(Line(text).to_string(), line, "{text:?}");
            assert_eq!(block(text), shown, "{text:?}");
        }
    }

    #[test]
    fn a_long_text_is_clipped_at_a_character() {
        for (text, max, clipped) in [("abc", 3, "abc"), ("abcd", 3, "abc…"), ("aé", 2, "a…"), ("é", 0, "…")]
        {
            assert_eq!(clip(text, max), clipped);
        }
    }

    proptest! {
        #[test]
        fn nothing_unsafe_passes(text in any::<String>()) {
            prop_assert!(!Line(&text).to_string().contains(is_unsafe));
            prop_assert!(!block(&text).contains(|c| is_unsafe(c) && !"\n\t".contains(c)));
        }

        #[test]
        fn a_text_is_the_same_json_as_any_value(text in any::<String>(), plain in "[ -~]{0,8}[\\x7f\"]?[\\\\é\n]?") {
            for text in [text, plain] {
                let (mut one, mut other) = (Vec::new(), Vec::new());
                write_json_text(&mut one, &text).unwrap();
                write_json(&mut other, &text).unwrap();
                prop_assert_eq!(one, other);
            }
        }

        #[test]
        fn json_is_safe_and_means_the_same(text in any::<String>(), more in "[\u{200b}-\u{200f}\u{80}-\u{9f}\u{e0001}\"\\\\a]{0,8}") {
            let value = serde_json::json!({(&text): [&more, {"a": text}]});
            for pretty in [false, true] {
                let mut out = Vec::new();
                if pretty { write_json_pretty(&mut out, &value) } else { write_json(&mut out, &value) }.unwrap();
                let out = String::from_utf8(out).unwrap();
                prop_assert!(!out.contains(|c| is_unsafe(c) && !(pretty && c == '\n')), "{}", out);
                prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap(), value.clone());
            }
        }
    }
}
