//! JSON values as text.

use std::fmt::Write;

use super::Json;
use crate::go::float;

impl Json<'_> {
    /// Appends the value as JSON text to `out`. A number that JSON cannot write (infinite, not a number) becomes `null`.
    pub fn write(&self, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Json::Number(number) => write_number(out, *number),
            Json::Text(text) => write_text(out, text),
            Json::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Json::Map(entries) => {
                out.push('{');
                for (index, (name, value)) in entries.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_text(out, name);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// Writes a number: without an exponent from 1e-6 to below 1e21, else with an exponent of at least two digits.
fn write_number(out: &mut String, number: f64) {
    let size = number.abs();
    if !number.is_finite() {
        out.push_str("null");
    } else if size == 0.0 || (1e-6..1e21).contains(&size) {
        // Writing into a string cannot fail.
        let _ = write!(out, "{number}");
    } else {
        out.push_str(&float::with_exponent(&format!("{number:e}")));
    }
}

/// Appends a text as a JSON string to `out`. As in Go, `<`, `>`, `&` and the line separators of JavaScript are escaped too.
pub fn write_text(out: &mut String, text: &str) {
    let special = |c: char| c < ' ' || matches!(c, '"' | '\\' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}');
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(special) {
        let (plain, after) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = after.chars();
        match chars.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            // Writing into a string cannot fail.
            Some(c) => drop(write!(out, "\\u{:04x}", u32::from(c))),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out.push('"');
}
