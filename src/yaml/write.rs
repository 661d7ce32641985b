//! Writing YAML: lines at a depth, values as they were read, comments.

use super::{Kind, Node};
use crate::os::text::{Line, is_unsafe, write_json};

/// A YAML text that grows line by line.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    text: String,
}

impl Writer {
    /// One line at a depth (levels of two spaces).
    pub(crate) fn line(&mut self, depth: usize, line: &str) {
        self.text.push_str(&"  ".repeat(depth));
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// A comment, each line of it.
    pub(crate) fn comment(&mut self, depth: usize, comment: &str) {
        for line in comment.lines() {
            self.line(depth, format!("# {}", Line(line)).trim_end());
        }
    }

    /// `key: value`, the value in block style.
    pub(crate) fn entry(&mut self, depth: usize, key: &str, value: &Node) {
        let key = scalar(key);
        match inline(value) {
            Some(value) => self.line(depth, &format!("{key}: {value}")),
            None => {
                self.line(depth, &format!("{key}:"));
                self.value(depth + 1, value);
            }
        }
    }

    /// The items of a collection.
    pub(crate) fn value(&mut self, depth: usize, value: &Node) {
        match &value.kind {
            Kind::Map(entries) => {
                for (key, value) in entries {
                    self.entry(depth, text(key).unwrap_or_default(), value);
                }
            }
            Kind::Seq(items) => items.iter().for_each(|item| self.item(depth, item)),
            _ => {}
        }
    }

    /// `- value`
    pub(crate) fn item(&mut self, depth: usize, value: &Node) {
        if let Some(value) = inline(value) {
            return self.line(depth, &format!("- {value}"));
        }
        let start = self.text.len();
        self.value(depth + 1, value);
        // The dash takes the place of the last two spaces before the first line.
        let dash = start + depth * 2;
        if self.text.get(dash..dash + 2) == Some("  ") {
            self.text.replace_range(dash..dash + 2, "- ");
        }
    }

    /// Where the next line begins.
    pub(crate) fn mark(&self) -> usize {
        self.text.len()
    }

    /// Puts a line in place of the one that was written at `mark`.
    pub(crate) fn replace(&mut self, mark: usize, depth: usize, line: &str) {
        let end =
            self.text.get(mark..).and_then(|rest| rest.find('\n')).map_or(self.text.len(), |at| mark + at);
        self.text.replace_range(mark..end, &format!("{}{line}", "  ".repeat(depth)));
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }
}

/// The text of a scalar, whatever its type.
pub(crate) fn text(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Str(text) | Kind::Int(text) | Kind::Float(text) => Some(text),
        Kind::Bool(true) => Some("true"),
        Kind::Bool(false) => Some("false"),
        _ => None,
    }
}

/// What fits on one line: scalars, empty collections, lists of scalars.
pub(crate) fn inline(node: &Node) -> Option<String> {
    match &node.kind {
        Kind::Null => Some("null".into()),
        Kind::Bool(flag) => Some(flag.to_string()),
        Kind::Int(number) | Kind::Float(number) => Some(number.clone()),
        Kind::Str(text) => Some(scalar(text)),
        Kind::Map(entries) if entries.is_empty() => Some("{}".into()),
        Kind::Seq(items) => {
            let scalars = items.iter().all(|item| !matches!(item.kind, Kind::Map(_) | Kind::Seq(_)));
            let items: Option<Vec<_>> = items.iter().map(inline).collect();
            items.filter(|_| scalars).map(|items| format!("[{}]", items.join(", ")))
        }
        Kind::Map(_) => None,
    }
}

/// A text as a YAML scalar. It is quoted if YAML would otherwise read something else.
pub(crate) fn scalar(text: &str) -> String {
    let plain = !text.is_empty()
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./@".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_ascii_lowercase().as_str());
    if plain {
        text.to_owned()
    } else if text.contains(is_unsafe) {
        // A string in JSON is a string in YAML, too.
        let mut quoted = Vec::new();
        // Every text can be written as JSON, and writing to memory does not fail.
        let _ = write_json(&mut quoted, &text);
        String::from_utf8_lossy(&quoted).into_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}
