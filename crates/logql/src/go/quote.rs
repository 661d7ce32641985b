//! Strings as Go quotes them (`strconv.Quote`, and `util/strutil/quote.go` of Prometheus).

use std::fmt;

use crate::error::ParseError;

/// The value of a string between double quotes. `inside` is the text between them, `at` its place (bytes).
pub(crate) fn unquote(inside: &str, at: usize) -> Result<String, ParseError> {
    if !inside.contains('\\') {
        return Ok(inside.to_owned());
    }
    let mut bytes = Vec::with_capacity(inside.len());
    let mut rest = inside;
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        let start = inside.len() - escape.len() - 1;
        let Some(length) = unescape(escape, &mut bytes) else {
            let shown = escape.chars().next().map_or(0, char::len_utf8);
            let known = r#"`\n`, `\t`, `\\`, `\"`, `\x7F`, `\u00e9`, or a string between backquotes, where `\` is itself"#;
            let span = at + start..at + start + 1 + shown;
            return Err(ParseError::new("this escape is unknown or not complete", span).expected(known));
        };
        rest = escape.get(length..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).map_err(|_| {
        let message = "with these escapes the string is not UTF-8, and no label or line can be equal to it";
        ParseError::new(message, at..at + inside.len())
    })
}

/// Adds what an escape stands for, and says how long it is without the backslash.
fn unescape(escape: &str, bytes: &mut Vec<u8>) -> Option<usize> {
    let digits = |from: usize, count: usize, radix: u32| {
        let digits = escape.get(from..from + count)?;
        let all = digits.chars().all(|c| c.is_digit(radix));
        if all { u32::from_str_radix(digits, radix).ok() } else { None }
    };
    let byte = match escape.bytes().next()? {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0C,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0B,
        byte @ (b'\\' | b'"') => byte,
        b'0'..=b'7' => {
            bytes.push(u8::try_from(digits(0, 3, 8)?).ok()?);
            return Some(3);
        }
        b'x' => {
            bytes.push(u8::try_from(digits(1, 2, 16)?).ok()?);
            return Some(3);
        }
        letter @ (b'u' | b'U') => {
            let count = if letter == b'u' { 4 } else { 8 };
            let code = digits(1, count, 16)?;
            if code > u32::from(char::MAX) {
                return None;
            }
            // Go writes a surrogate as the replacement character.
            let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(1 + count);
        }
        _ => return None,
    };
    bytes.push(byte);
    Some(1)
}

/// Displays a text, or bytes, between double quotes, as Go's `strconv.Quote`.
pub(crate) struct Quoted<T>(pub T);

impl<T: AsRef<[u8]>> fmt::Display for Quoted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for chunk in self.0.as_ref().utf8_chunks() {
            chunk.valid().chars().try_for_each(|c| write_char(f, c))?;
            chunk.invalid().iter().try_for_each(|byte| write!(f, r"\x{byte:02x}"))?;
        }
        f.write_str("\"")
    }
}

fn write_char(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '"' => f.write_str("\\\""),
        '\\' => f.write_str(r"\\"),
        '\x07' => f.write_str(r"\a"),
        '\x08' => f.write_str(r"\b"),
        '\x0C' => f.write_str(r"\f"),
        '\n' => f.write_str(r"\n"),
        '\r' => f.write_str(r"\r"),
        '\t' => f.write_str(r"\t"),
        '\x0B' => f.write_str(r"\v"),
        c if c.is_ascii_control() => write!(f, r"\x{:02x}", u32::from(c)),
        c if printable(c) => write!(f, "{c}"),
        c if u32::from(c) <= 0xFFFF => write!(f, r"\u{:04x}", u32::from(c)),
        c => write!(f, r"\U{:08x}", u32::from(c)),
    }
}

/// Whether a character shows: letters, marks, numbers, punctuation, symbols, and the space of ASCII.
fn printable(c: char) -> bool {
    // `escape_debug` knows the same set, but also escapes a mark that stands first: so the character stands second.
    c.is_ascii() || !['a', c].iter().collect::<String>().escape_debug().any(|c| c == '\\')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes() {
        for (inside, expected) in [
            ("", ""),
            ("plain é", "plain é"),
            (r#"\a\b\f\n\r\t\v\\\""#, "\x07\x08\x0c\n\r\t\x0b\\\""),
            (r"\x41\u00e9\U0001F600\101\000", "Aé😀A\0"),
            (r"\xc3\xa9", "é"),
            (r"\ud800", "\u{fffd}"),
            (r"\\d+", r"\d+"),
            ("'", "'"),
        ] {
            assert_eq!(unquote(inside, 0).as_deref(), Ok(expected), "{inside}");
        }
        for (inside, part) in [
            (r"é\d+", r"\d"),
            (r"\'", r"\'"),
            (r"a\x4", r"\x"),
            (r"a\x+4", r"\x"),
            (r"\u12", r"\u"),
            (r"\U00110000", r"\U"),
            (r"\400", r"\4"),
            (r"\08", r"\0"),
            (r"\é", r"\é"),
            ("\\", "\\"),
            (r"\xff", r"\xff"),
        ] {
            let error = unquote(inside, 100).unwrap_err();
            assert_eq!(
                inside.get(error.span.start - 100..error.span.end - 100),
                Some(part),
                "{inside}: {error}"
            );
        }
    }

    #[test]
    fn quotes() {
        for (text, expected) in [
            ("", r#""""#),
            ("a \"b\" `c` 'd' \\", r#""a \"b\" `c` 'd' \\""#),
            ("\x07\x08\x0c\n\r\t\x0b\0\x7f", r#""\a\b\f\n\r\t\v\x00\x7f""#),
            ("é☕\u{301}\u{fffd}", "\"é☕\u{301}\u{fffd}\""),
            ("\u{a0}\u{200b}\u{feff}\u{e000}", r#""\u00a0\u200b\ufeff\ue000""#),
            ("\u{e0001}\u{10ffff}", r#""\U000e0001\U0010ffff""#),
        ] {
            assert_eq!(Quoted(text).to_string(), expected);
        }
        assert_eq!(Quoted(b"a\xc3\xe2\x82b").to_string(), r#""a\xc3\xe2\x82b""#);
    }

    proptest! {
        #[test]
        fn unquoting_undoes_quoting(text in any::<String>()) {
            let quoted = Quoted(&text).to_string();
            let inside = &quoted[1..quoted.len() - 1];
            prop_assert!(!inside.contains('\n'));
            prop_assert_eq!(unquote(inside, 0), Ok(text));
        }
    }
}
