//! The log line, and the key `line:`: an entry's message, or the whole entry as JSON.

use std::borrow::Cow;

use crate::yaml::key::key;
use crate::yaml::{self, Checker, Value};
use journald_reader::Entry;
use journald_reader::{Key, Keys};
use logql::label_set::{cut, lossy};

/// The mark at the end of a line that was cut.
pub const CUT_MARK: &str = " [cut by journal-ship]";

/// The key `line`.
pub(crate) const KEYS: &[yaml::Key] = &[key("line", "`message` or `json`", "message")];

const LINES: [(&str, Line); 2] = [("message", Line::Message), ("json", Line::Json)];

/// `line:`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Line {
    /// The field `MESSAGE`.
    #[default]
    Message,
    /// All fields of the entry as one JSON object.
    Json,
}

/// Reads `line`.
pub(crate) fn read(checker: &Checker<'_>, value: &Value<'_>) -> Option<Line> {
    checker.choice(value, &LINES)
}

/// Makes lines of entries.
pub struct Liner {
    message: Key,
    format: Line,
    /// The longest line (bytes).
    max: usize,
    buffer: Vec<u8>,
}

impl Liner {
    /// Adds the fields that the format needs to `keys`.
    pub fn new(format: Line, max: usize, keys: &mut Keys) -> Liner {
        // With one byte more than fits, it shows that the value is longer.
        keys.cut_values(max + 1);
        if format == Line::Json {
            keys.add_all();
        }
        Liner { message: keys.add("MESSAGE"), format, max, buffer: Vec::new() }
    }

    /// Sets the longest line (bytes).
    pub fn fit(&mut self, max: usize) {
        self.max = self.max.min(max);
    }

    /// A number that stands for the line, as [`Entry::identity`] does for a value; zero where there is none.
    #[inline]
    pub fn identity(&self, entry: &Entry<'_>) -> u64 {
        match self.format {
            Line::Message => entry.identity(self.message),
            Line::Json => 0,
        }
    }

    /// The line of an entry. It is empty if the entry has no message. Bytes that are not UTF-8 become U+FFFD.
    #[inline]
    pub fn line<'a>(&'a mut self, entry: &Entry<'a>) -> Cow<'a, str> {
        match self.format {
            Line::Message => {
                let line = lossy(entry.value(self.message).unwrap_or_default());
                if line.len() <= self.max { line } else { Cow::Owned(shorten(line, self.max)) }
            }
            Line::Json => {
                self.write_json(entry);
                lossy(&self.buffer)
            }
        }
    }

    /// The entry as one JSON object. A field is a string, or an array of strings if it occurs several times. Fields that do
    /// not fit into the line are cut, and the last ones are left out.
    fn write_json(&mut self, entry: &Entry<'_>) {
        const KEY_ROOM: usize = 128;
        let max = self.max;
        let out = &mut self.buffer;
        out.clear();
        out.push(b'{');
        let fields: Vec<_> = entry.fields().collect();
        for (index, (name, value)) in fields.iter().enumerate() {
            if fields[..index].iter().any(|(n, _)| n == name) {
                continue;
            }
            if out.len() + 2 * KEY_ROOM > max {
                break;
            }
            if out.len() > 1 {
                out.push(b',');
            }
            write_json_string(out, name, KEY_ROOM);
            out.push(b':');
            let repeated: Vec<_> = fields[index + 1..].iter().filter(|(n, _)| n == name).collect();
            if repeated.is_empty() {
                write_json_string(out, value, max.saturating_sub(out.len() + KEY_ROOM));
                continue;
            }
            out.push(b'[');
            write_json_string(out, value, max.saturating_sub(out.len() + KEY_ROOM));
            for (_, value) in repeated {
                if out.len() + KEY_ROOM > max {
                    break;
                }
                out.push(b',');
                write_json_string(out, value, max.saturating_sub(out.len() + KEY_ROOM));
            }
            out.push(b']');
        }
        out.push(b'}');
    }
}

/// Cuts a line to `max` bytes if it is longer. A stage may have made it longer.
pub fn fit(line: &mut String, max: usize) {
    if line.len() > max {
        *line = shorten(Cow::Owned(std::mem::take(line)), max);
    }
}

/// Cuts a line so that it fits with the mark.
fn shorten(line: Cow<'_, str>, max: usize) -> String {
    let mut line = cut(line, max.saturating_sub(CUT_MARK.len())).into_owned();
    line.push_str(CUT_MARK);
    line
}

/// Appends a JSON string of about `room` bytes at most. The value is cut before it is escaped, and escapes make it at most six
/// times as long.
fn write_json_string(out: &mut Vec<u8>, bytes: &[u8], room: usize) {
    let text = lossy(bytes);
    let start = out.len();
    let mut keep = text.len();
    loop {
        let piece = cut(Cow::Borrowed(text.as_ref()), keep);
        // Writing to memory does not fail.
        let _ = serde_json::to_writer(&mut *out, piece.as_ref());
        let written = out.len() - start;
        if written <= room + 2 || keep == 0 {
            return;
        }
        out.truncate(start);
        keep = (piece.len() * room / written).min(piece.len().saturating_sub(1));
    }
}
