//! Texts that functions cut within a character. In Go a text is bytes, and half a character is as good as a whole one; here a text is
//! UTF-8. So a byte that belongs to no character becomes one of the last characters of Unicode, which are for private use. It counts as
//! the byte that it is, halves that meet again are a character again, and what is left of them at the end is shown as U+FFFD, one
//! for each byte, as Loki's JSON has it (github.com/json-iterator/go, `WriteStringWithHTMLEscaped`).
//!
//! Where a text has such a character of its own, it comes in as stray bytes, too: they meet again when it is shown.

use std::borrow::Cow;
use std::sync::Arc;

use super::Value;

/// The character that stands for a byte is so much higher.
const ABOVE: u32 = 0x10_FF00;
/// The first byte of each such character in UTF-8.
const LEAD: u8 = 0xF4;

/// The byte that a character stands for, if it does.
fn stray(c: char) -> Option<u8> {
    u8::try_from(u32::from(c).checked_sub(ABOVE)?).ok().filter(|byte| *byte >= 0x80)
}

/// A text as the bytes that Go would have.
pub(super) fn bytes(text: &str) -> Cow<'_, [u8]> {
    if memchr::memchr(LEAD, text.as_bytes()).is_none() || !text.chars().any(|c| stray(c).is_some()) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match stray(c) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Cow::Owned(bytes)
}

/// A text from outside, so that none of its own characters stands for a byte.
pub(super) fn own(text: &str) -> Cow<'_, str> {
    if memchr::memchr(LEAD, text.as_bytes()).is_none() || !text.chars().any(|c| stray(c).is_some()) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        match stray(c) {
            Some(_) => out.extend(c.encode_utf8(&mut [0; 4]).bytes().map(placeholder)),
            None => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// A value from outside; `None` if it is as it must be.
pub(super) fn own_value(value: &Value) -> Option<Value> {
    let changed = |text: &str| matches!(own(text), Cow::Owned(_));
    let inside = |value: &Value| own_value(value).unwrap_or_else(|| value.clone());
    match value {
        Value::Text(text) => match own(text) {
            Cow::Borrowed(_) => None,
            Cow::Owned(text) => Some(text.into()),
        },
        Value::List(items) if items.iter().any(|item| own_value(item).is_some()) => {
            Some(Value::list(items.iter().map(inside)))
        }
        Value::Map(entries) if entries.iter().any(|(k, v)| changed(k) || own_value(v).is_some()) => {
            let entry = |(name, value): (&String, &Value)| (own(name).into_owned(), inside(value));
            Some(Value::Map(Arc::new(entries.iter().map(entry).collect())))
        }
        _ => None,
    }
}

/// Bytes as a text, with whatever is not UTF-8.
pub(super) fn text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(&own(chunk.valid()));
        text.extend(chunk.invalid().iter().copied().map(placeholder));
    }
    text
}

/// The character that stands for a byte.
fn placeholder(byte: u8) -> char {
    char::from_u32(ABOVE + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// A text as it is shown.
pub(super) fn shown(text: String) -> String {
    match bytes(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(bytes) => {
            let mut text = String::with_capacity(bytes.len());
            for chunk in bytes.utf8_chunks() {
                text.push_str(chunk.valid());
                text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
            }
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_stray_byte_shows() {
        for (bytes, expected) in [
            (&b"plain"[..], "plain"),
            (b"\xc3", "\u{fffd}"),
            (b"a\xe2\x82", "a\u{fffd}\u{fffd}"),
            (b"\xa9b", "\u{fffd}b"),
            ("é☕\u{10ff01}\u{10ff80}\u{10ffff}".as_bytes(), "é☕\u{10ff01}\u{10ff80}\u{10ffff}"),
        ] {
            assert_eq!(shown(text(bytes)), expected);
        }
        let halves = text(b"\xc3") + &text(b"\xa9");
        assert_eq!(shown(halves), "é");
    }

    proptest! {
        #[test]
        fn bytes_come_back(all in any::<Vec<u8>>()) {
            prop_assert_eq!(bytes(&text(&all)).into_owned(), all);
        }

        #[test]
        fn texts_come_back(all in "(\\PC|[\u{10ff70}-\u{10ffff}]){0,9}") {
            let own = own(&all).into_owned();
            prop_assert_eq!(bytes(&own), all.as_bytes());
            prop_assert_eq!(shown(own), all);
        }
    }
}
