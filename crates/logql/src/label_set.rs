//! Label sets in the form that Loki takes: `{a="b", c="d"}`, names sorted, values quoted as in Go.
//!
//! Loki reads it as a PromQL selector (grafana/loki, `pkg/logql/syntax`, `ParseLabels`): a raw line break or
//! a byte that is not UTF-8 inside the quotes refuses the whole request, and so does U+FFFD, which its lexer
//! takes for the sign of such a byte. So a label set never holds any of them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};

/// Longest value of a label (bytes; grafana/loki, `pkg/validation/limits.go`, `max_label_value_length`).
/// A longer one would have its stream refused; it is cut.
pub const LABEL_VALUE_MAX: usize = 2048;

/// Labels that are looked for one after the other (count): streams have fewer. A query may make thousands of a line.
const LINEAR_MAX: usize = 32;

/// Most that all names and values of a set take (bytes): half of what the places in its text can count. Lines are far shorter.
const TEXT_MAX: usize = 1 << 31;

/// The nearest name that a label may have in Loki and in Prometheus: `[a-zA-Z_][a-zA-Z0-9_]*`. A name that fits is only borrowed.
pub fn identifier(name: &str) -> Cow<'_, str> {
    let digit = name.starts_with(|c: char| c.is_ascii_digit());
    if !name.is_empty() && !digit && name.chars().all(|c| plain(c) == c) {
        return Cow::Borrowed(name);
    }
    let first = (digit || name.is_empty()).then_some('_');
    Cow::Owned(first.into_iter().chain(name.chars().map(plain)).collect())
}

/// `_` for a character that the name of a label cannot hold.
pub(crate) fn plain(c: char) -> char {
    if c.is_ascii_alphanumeric() { c } else { '_' }
}

/// Names and values of one stream, sorted by name.
///
/// All names and values stand in one text, so a set takes two allocations, however many labels it has: thousands of sets
/// are kept, and a set is copied whenever a stage changes it.
#[derive(Debug, Clone, Default)]
pub struct LabelSet {
    text: String,
    /// Of each label, where its name and its value end in the text.
    ends: Vec<(u32, u32)>,
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
        self.put(name, &value);
    }

    /// Adds a label that is not a stream's, or replaces its value, which stays as it is: Loki bounds what a query extracts as
    /// little as structured metadata. An empty value removes the label.
    pub fn insert_whole(&mut self, name: &str, value: &str) {
        match value.is_empty() {
            true => drop(self.remove(name)),
            false => self.put(name, value),
        }
    }

    fn put(&mut self, name: &str, value: &str) {
        let at = match self.find(name) {
            Ok(at) => {
                self.take(at);
                at
            }
            Err(at) => at,
        };
        // Places in the text are 32 bits wide.
        let room = (TEXT_MAX - self.text.len().min(TEXT_MAX)).saturating_sub(name.len());
        let value = cut(Cow::Borrowed(value), room);
        if self.text.is_empty() {
            // A set of one label, as most series have, takes no more than that.
            self.text.reserve_exact(name.len() + value.len());
        }
        let start = self.start(at);
        self.text.insert_str(start, &value);
        self.text.insert_str(start, name);
        let name_end = start + name.len();
        self.ends.insert(at, (name_end as u32, (name_end + value.len()) as u32));
        let more = (name.len() + value.len()) as u32;
        for (name_end, value_end) in self.ends.iter_mut().skip(at + 1) {
            *name_end += more;
            *value_end += more;
        }
    }

    /// Makes room for more labels, whose names and values have so many bytes together.
    pub(crate) fn reserve(&mut self, labels: usize, bytes: usize) {
        self.text.reserve(bytes);
        self.ends.reserve(labels);
    }

    /// Where a label begins in the text.
    fn start(&self, at: usize) -> usize {
        let before = at.checked_sub(1).and_then(|before| self.ends.get(before));
        before.map_or(0, |(_, end)| *end as usize)
    }

    fn label(&self, at: usize) -> Option<(&str, &str)> {
        let (name_end, value_end) = self.ends.get(at)?;
        let (name_end, value_end) = (*name_end as usize, *value_end as usize);
        Some((self.text.get(self.start(at)..name_end)?, self.text.get(name_end..value_end)?))
    }

    /// Takes out the label at this place.
    fn take(&mut self, at: usize) {
        let start = self.start(at);
        if at < self.ends.len() {
            let (_, end) = self.ends.remove(at);
            self.text.replace_range(start..end as usize, "");
            let less = end - start as u32;
            for (name_end, value_end) in self.ends.iter_mut().skip(at) {
                *name_end -= less;
                *value_end -= less;
            }
        }
    }

    /// Where a label is, or would be.
    fn find(&self, name: &str) -> Result<usize, usize> {
        if self.ends.len() > LINEAR_MAX {
            return self.search(name);
        }
        // There are few, and they are usually added in their order.
        for (at, (other, _)) in self.iter().enumerate() {
            match other.cmp(name) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => return Ok(at),
                std::cmp::Ordering::Greater => return Err(at),
            }
        }
        Err(self.ends.len())
    }

    /// As [`LabelSet::find`], of many.
    fn search(&self, name: &str) -> Result<usize, usize> {
        let (mut from, mut to) = (0, self.ends.len());
        while from < to {
            let middle = from + (to - from) / 2;
            match self.label(middle).map_or("", |(name, _)| name).cmp(name) {
                std::cmp::Ordering::Less => from = middle + 1,
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Greater => to = middle,
            }
        }
        Err(from)
    }

    /// The value of a label.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.label(self.find(name).ok()?).map(|(_, value)| value)
    }

    /// Takes a label away and returns its value.
    pub fn remove(&mut self, name: &str) -> Option<String> {
        let at = self.find(name).ok()?;
        let value = self.label(at)?.1.to_owned();
        self.take(at);
        Some(value)
    }

    /// Keeps the labels that `keep` wants.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        let mut at = 0;
        while let Some((name, value)) = self.label(at) {
            match keep(name, value) {
                true => at += 1,
                false => self.take(at),
            }
        }
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut start = 0;
        self.ends.iter().map(move |(name_end, value_end)| {
            let name = self.text.get(start..*name_end as usize).unwrap_or_default();
            start = *value_end as usize;
            (name, self.text.get(*name_end as usize..start).unwrap_or_default())
        })
    }

    /// Those of its labels that have one of these names.
    pub(crate) fn only(&self, names: &[String]) -> LabelSet {
        let mut only = LabelSet::default();
        for name in names {
            only.insert_whole(name, self.get(name).unwrap_or_default());
        }
        only
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no labels.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many values were too long when they were inserted.
    pub fn cut(&self) -> u32 {
        self.cut
    }

    /// The memory that the set takes (bytes, about).
    pub fn memory(&self) -> usize {
        const ALLOCATIONS: usize = 2 * 16;
        size_of::<LabelSet>()
            + self.text.capacity()
            + size_of::<(u32, u32)>() * self.ends.capacity()
            + ALLOCATIONS
    }

    /// What its text and its ends have allocated (bytes).
    pub fn allocated(&self) -> (usize, usize) {
        (self.text.capacity(), self.ends.capacity() * size_of::<(u32, u32)>())
    }

    /// Frees the memory that the set does not need, before it is kept for long.
    pub fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}

/// Two sets are equal when they name the same stream, whatever happened to their values before.
impl PartialEq for LabelSet {
    fn eq(&self, other: &LabelSet) -> bool {
        self.text == other.text && self.ends == other.ends
    }
}

impl Eq for LabelSet {}

impl Hash for LabelSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
        self.ends.hash(state);
    }
}

impl fmt::Display for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (name, value)) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            [comma, name, "=\""].into_iter().try_for_each(|part| f.write_str(part))?;
            // Most values can stand as they are.
            let stands = |byte: u8| (byte >= b' ') & (byte != b'"') & (byte != b'\\') & (byte != 0x7f);
            if value.bytes().fold(true, |all, byte| all & stands(byte)) {
                f.write_str(value)?;
            } else {
                value.chars().try_for_each(|c| write_quoted(c, f))?;
            }
            f.write_str("\"")?;
        }
        f.write_str("}")
    }
}

/// Writes a character of a value as it stands between quotes.
fn write_quoted(c: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match c {
        '"' => f.write_str("\\\""),
        '\\' => f.write_str("\\\\"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        c if c.is_ascii_control() => write!(f, "\\x{:02x}", u32::from(c)),
        c => fmt::Write::write_char(f, c),
    }
}

/// Reads the text of a [`LabelSet`] back. Reading stops at text that a set does not write.
pub fn parse(text: &str) -> BTreeMap<String, String> {
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
    // Checking first is three times as fast as `from_utf8_lossy`, which searches for places to mend.
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

        /// It does what a map from the standard library does.
        #[test]
        fn a_set_is_a_map(steps in proptest::collection::vec(("[a-h]{1,2}", "[x-zü]{0,3}", 0..40u8), 0..120)) {
            let (mut set, mut map) = (LabelSet::default(), BTreeMap::new());
            for (name, value, what) in steps {
                match what {
                    0 => prop_assert_eq!(set.remove(&name), map.remove(&name)),
                    1 => {
                        set.retain(|other, _| *other >= *name);
                        map.retain(|other: &String, _| *other >= name);
                    }
                    _ => {
                        set.insert(&name, value.as_bytes());
                        match value.is_empty() {
                            true => map.remove(&name),
                            false => map.insert(name.clone(), value),
                        };
                    }
                }
                prop_assert_eq!(set.get(&name), map.get(&name).map(String::as_str));
                prop_assert!(set.iter().eq(map.iter().map(|(n, v)| (n.as_str(), v.as_str()))));
                let mut anew = LabelSet::default();
                map.iter().rev().for_each(|(name, value)| anew.insert(name, value.as_bytes()));
                prop_assert_eq!(&anew, &set);
            }
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
    fn what_is_not_a_streams_stays_whole() {
        let long = "x\u{fffd}".repeat(LABEL_VALUE_MAX);
        let mut set = LabelSet::default();
        set.insert_whole("b", &long);
        assert_eq!(set.allocated().0, "b".len() + long.len(), "no more than one label takes");
        set.insert_whole("a", "1");
        set.insert_whole("a", "");
        assert_eq!((set.get("b"), set.len(), set.cut()), (Some(long.as_str()), 1, 0));
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
