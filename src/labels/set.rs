//! A label set in the form that Loki takes: `{a="b", c="d"}`, names sorted, values quoted as in Go.
//!
//! Loki reads it as a PromQL selector (grafana/loki, `pkg/logql/syntax`, `ParseLabels`): a raw line break or
//! a byte that is not UTF-8 inside the quotes refuses the whole request, and so does U+FFFD, which its lexer
//! takes for the sign of such a byte. So none of them ever gets in.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};

/// Longest value of a label (bytes; grafana/loki, `pkg/validation/limits.go`, `max_label_value_length`).
/// A longer one would have its stream refused; it is cut.
pub const LABEL_VALUE_MAX: usize = 2048;

/// Names and values of one stream, sorted by name.
#[derive(Debug, Clone, Default)]
pub struct LabelSet {
    labels: Vec<(Box<str>, Box<str>)>,
    cut: u32,
}

impl LabelSet {
    /// Adds a label, or replaces its value. Bytes that are not UTF-8, and U+FFFD itself, become `?`; what is
    /// too long is cut, and an empty value removes the label, as it does in Loki.
    pub fn insert(&mut self, name: &str, value: &[u8]) {
        if value.is_empty() {
            self.remove(name);
            return;
        }
        let mut value = lossy(value);
        if value.contains(char::REPLACEMENT_CHARACTER) {
            value = value.replace(char::REPLACEMENT_CHARACTER, "?").into();
        }
        if value.len() > LABEL_VALUE_MAX {
            value = cut(value, LABEL_VALUE_MAX);
            self.cut = self.cut.saturating_add(1);
        }
        let value = Box::from(value.as_ref());
        match self.find(name) {
            Ok(at) => self.labels[at].1 = value,
            Err(at) => self.labels.insert(at, (name.into(), value)),
        }
    }

    /// Where a label is, or would be.
    fn find(&self, name: &str) -> Result<usize, usize> {
        self.labels.binary_search_by(|(other, _)| (**other).cmp(name))
    }

    /// The value of a label.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.labels.get(self.find(name).ok()?).map(|(_, value)| &**value)
    }

    /// Takes a label away and returns its value.
    pub fn remove(&mut self, name: &str) -> Option<String> {
        let at = self.find(name).ok()?;
        Some(self.labels.remove(at).1.into())
    }

    /// Keeps the labels that `keep` wants.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        self.labels.retain(|(name, value)| keep(name, value));
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().map(|(name, value)| (&**name, &**value))
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// How many values were too long when they were inserted.
    pub fn cut(&self) -> u32 {
        self.cut
    }
}

/// Two sets are equal when they name the same stream, whatever happened to their values before.
impl PartialEq for LabelSet {
    fn eq(&self, other: &LabelSet) -> bool {
        self.labels == other.labels
    }
}

impl Eq for LabelSet {}

impl Hash for LabelSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.labels.hash(state);
    }
}

impl fmt::Display for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (name, value)) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name}=\"")?;
            for c in value.chars() {
                match c {
                    '"' => f.write_str("\\\"")?,
                    '\\' => f.write_str("\\\\")?,
                    '\n' => f.write_str("\\n")?,
                    '\r' => f.write_str("\\r")?,
                    '\t' => f.write_str("\\t")?,
                    c if c.is_ascii_control() => write!(f, "\\x{:02x}", u32::from(c))?,
                    c => write!(f, "{c}")?,
                }
            }
            f.write_str("\"")?;
        }
        f.write_str("}")
    }
}

/// Reads back what [`LabelSet`] writes; stops at what it does not write.
pub(super) fn parse(text: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut rest = text.trim_start_matches('{');
    while let Some((name, after)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut chars = after.chars();
        while let Some(c) = chars.next() {
            match c {
                '"' => break,
                '\\' => match chars.next() {
                    Some('n') => value.push('\n'),
                    Some('r') => value.push('\r'),
                    Some('t') => value.push('\t'),
                    Some('x') => {
                        let digits: String = chars.by_ref().take(2).collect();
                        value.extend(u8::from_str_radix(&digits, 16).map(char::from));
                    }
                    Some(c) => value.push(c),
                    None => break,
                },
                c => value.push(c),
            }
        }
        labels.insert(name.trim_start_matches([',', ' ']).to_string(), value);
        rest = chars.as_str();
    }
    labels
}

/// Bytes as text; those that are not UTF-8 become U+FFFD. Most text is, and is only borrowed.
#[inline]
pub fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    // Checking first is three times as fast as `from_utf8_lossy`, which looks for the places to mend.
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

/// The longest beginning of `text` that has at most `max` bytes and ends at a character's end.
pub fn cut(text: Cow<'_, str>, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return text;
    }
    let end = (0..=max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(..end).unwrap_or_default()),
        Cow::Owned(mut text) => {
            text.truncate(end);
            Cow::Owned(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(labels in proptest::collection::btree_map("[a-z_]{1,8}", "\\PC{1,20}|[\"\\\\\n\r\t\u{1}x,={}]{1,9}", 0..5)) {
            let mut set = LabelSet::default();
            for (name, value) in &labels {
                set.insert(name, value.as_bytes());
            }
            // U+FFFD is not kept.
            prop_assume!(!labels.values().any(|v| v.contains(char::REPLACEMENT_CHARACTER)));
            prop_assert_eq!(parse(&set.to_string()), labels);
        }

        #[test]
        fn reading_arbitrary_text_ends(text in ".{0,60}") {
            parse(&text);
        }
    }

    fn text(labels: &[(&str, &[u8])]) -> String {
        let mut set = LabelSet::default();
        for (name, value) in labels {
            set.insert(name, value);
        }
        set.to_string()
    }

    #[test]
    fn label_sets_are_written_as_loki_reads_them() {
        let long = "ü".repeat(LABEL_VALUE_MAX);
        for (labels, expected) in [
            (&[][..], "{}".to_string()),
            (&[("b", &b"2"[..]), ("a", b"1")], r#"{a="1", b="2"}"#.into()),
            (&[("a", b""), ("b", b"x")], r#"{b="x"}"#.into()),
            (&[("a", b"x"), ("a", b"")], "{}".into()),
            (&[("v", b"q\" b\\ n\n t\t r\r \x01\x7f")], r#"{v="q\" b\\ n\n t\t r\r \x01\x7f"}"#.into()),
            (&[("v", "ü✓".as_bytes())], r#"{v="ü✓"}"#.into()),
            (&[("v", b"a\xffb")], r#"{v="a?b"}"#.into()),
            (&[("v", "a\u{fffd}b".as_bytes())], r#"{v="a?b"}"#.into()),
            (&[("v", long.as_bytes())], format!("{{v=\"{}\"}}", "ü".repeat(LABEL_VALUE_MAX / 2))),
        ] {
            assert_eq!(text(labels), expected);
        }
    }

    #[test]
    fn a_set_is_a_sorted_map_that_knows_what_was_cut() {
        let mut set = LabelSet::default();
        for name in ["m", "a", "z", "m"] {
            set.insert(name, name.as_bytes());
        }
        assert_eq!(set.iter().collect::<Vec<_>>(), [("a", "a"), ("m", "m"), ("z", "z")]);
        assert_eq!((set.get("m"), set.get("n"), set.len()), (Some("m"), None, 3));
        let mut other = set.clone();
        other.insert("b", &[b'x'; LABEL_VALUE_MAX + 1]);
        assert_eq!((other.cut(), other.get("b").map(str::len)), (1, Some(LABEL_VALUE_MAX)));
        assert_ne!(other, set);
        assert_eq!(other.remove("b").map(|value| value.len()), Some(LABEL_VALUE_MAX));
        assert_eq!(other, set);
        other.retain(|name, _| name > "a");
        assert_eq!(other.to_string(), r#"{m="m", z="z"}"#);
    }
}
