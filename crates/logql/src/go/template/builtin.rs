//! The functions that every template has (Go's `text/template/funcs.go`).

use std::cmp::Ordering;
use std::ops::Range;

use super::printf::printf;
use super::{Function, Value, stray};

/// Their names, for a hint when one is misspelled.
pub(super) const NAMES: &[&str] = &[
    "and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len", "index", "slice", "print", "println",
    "printf", "html", "js", "urlquery",
];

pub(super) fn function(name: &str) -> Option<Function> {
    Some(match name {
        "not" => |args| {
            let [value] = exactly(args)?;
            Ok((!value.truth()).into())
        },
        "eq" => |args| {
            let (first, others) = args.split_first().ok_or("wants at least two arguments")?;
            if others.is_empty() {
                return Err("missing argument for comparison".into());
            }
            for other in others {
                if equal(first, other)? {
                    return Ok(true.into());
                }
            }
            Ok(false.into())
        },
        "ne" => |args| {
            let [a, b] = exactly(args)?;
            Ok((!equal(a, b)?).into())
        },
        "lt" => |args| ordered(args, Ordering::is_lt),
        "le" => |args| ordered(args, Ordering::is_le),
        "gt" => |args| ordered(args, Ordering::is_gt),
        "ge" => |args| ordered(args, Ordering::is_ge),
        "len" => |args| {
            let [value] = exactly(args)?;
            let len = match value {
                Value::Text(text) => stray::bytes(text).len(),
                Value::List(items) => items.len(),
                Value::Map(entries) | Value::Object(entries) => entries.len(),
                other => return Err(format!("len of type {}", other.kind())),
            };
            Ok(Value::Int(len as i64))
        },
        "index" => index,
        "slice" => slice,
        "print" => |args| Ok(print(args, false).into()),
        "println" => |args| Ok((print(args, true) + "\n").into()),
        "printf" => |args| {
            let (format, values) = args.split_first().ok_or("wants a format")?;
            Ok(printf(text(format)?, values)?.into())
        },
        "html" => |args| Ok(escape(&print(args, false), html).into()),
        "js" => |args| Ok(escape(&print(args, false), js).into()),
        "urlquery" => |args| Ok(urlquery(&print(args, false)).into()),
        _ => return None,
    })
}

/// An error that begins so names the function behind it, as Go does.
pub(super) const WRONG_NUMBER: &str = "wrong number of args";

/// Exactly so many arguments.
pub(super) fn exactly<const N: usize>(args: &[Value]) -> Result<&[Value; N], String> {
    args.try_into().map_err(|_| format!("{WRONG_NUMBER}: want {N} got {}", args.len()))
}

/// An argument that must be text.
pub(super) fn text(value: &Value) -> Result<&str, String> {
    match value {
        Value::Text(text) => Ok(text),
        other => Err(format!("wants a string, got {}", other.kind())),
    }
}

/// An argument that must be a whole number.
pub(super) fn int(value: &Value) -> Result<i64, String> {
    match value {
        Value::Int(number) => Ok(*number),
        other => Err(format!("wants a whole number, got {}", other.kind())),
    }
}

fn equal(a: &Value, b: &Value) -> Result<bool, String> {
    match (a, b) {
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Nil, _) | (_, Value::Nil) => Ok(false),
        (Value::List(_) | Value::Map(_) | Value::Object(_), _)
        | (_, Value::List(_) | Value::Map(_) | Value::Object(_)) => {
            Err("lists and maps cannot be compared".into())
        }
        (a, b) if a.kind() != b.kind() => {
            Err(format!("incompatible types for comparison: {} and {}", a.kind(), b.kind()))
        }
        (a, b) => Ok(a == b),
    }
}

fn ordered(args: &[Value], holds: fn(Ordering) -> bool) -> Result<Value, String> {
    let [a, b] = exactly(args)?;
    let order = match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (a, b) => return Err(format!("incompatible types for comparison: {} and {}", a.kind(), b.kind())),
    };
    Ok(order.is_some_and(holds).into())
}

fn index(args: &[Value]) -> Result<Value, String> {
    let (first, path) = args.split_first().ok_or("wants a list or a map")?;
    path.iter().try_fold(first.clone(), |value, key| match &value {
        Value::Map(entries) | Value::Object(entries) => {
            Ok(entries.get(text(key)?).cloned().unwrap_or(Value::Nil))
        }
        Value::List(items) => {
            let number = int(key)?;
            let item = usize::try_from(number).ok().and_then(|number| items.get(number));
            item.cloned().ok_or_else(|| format!("index out of range: {number}"))
        }
        Value::Text(text) => {
            let number = int(key)?;
            let bytes = stray::bytes(text);
            let byte = usize::try_from(number).ok().and_then(|number| bytes.get(number));
            byte.map(|byte| Value::Int((*byte).into())).ok_or_else(|| format!("index out of range: {number}"))
        }
        other => Err(format!("a {} cannot be indexed", other.kind())),
    })
}

fn slice(args: &[Value]) -> Result<Value, String> {
    let (value, bounds) = args.split_first().ok_or("wants a list or a string")?;
    match value {
        // This may cut a character.
        Value::Text(text) => {
            let bytes = stray::bytes(text);
            let range = range(bounds, bytes.len())?;
            Ok(stray::text(bytes.get(range).unwrap_or_default()).into())
        }
        Value::List(items) => {
            let range = range(bounds, items.len())?;
            Ok(Value::list(items.get(range).unwrap_or_default().iter().cloned()))
        }
        other => Err(format!("a {} cannot be sliced", other.kind())),
    }
}

/// What `slice` takes of so many items, or what Go says of its bounds.
fn range(bounds: &[Value], len: usize) -> Result<Range<usize>, String> {
    let bound = |number: usize, default: usize| match bounds.get(number) {
        Some(bound) => {
            let bound = int(bound)?;
            let valid = usize::try_from(bound).ok().filter(|bound| *bound <= len);
            valid.ok_or_else(|| format!("index out of range: {bound}"))
        }
        None => Ok(default),
    };
    let (start, end) = (bound(0, 0)?, bound(1, len)?);
    if start > end { Err(format!("invalid slice index: {start} > {end}")) } else { Ok(start..end) }
}

/// Go's `Sprint`: a space between two operands where neither is text; `Sprintln`: always.
fn print(args: &[Value], always: bool) -> String {
    let mut out = String::new();
    for (index, value) in args.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| args.get(before));
        let is_text = |value: &Value| matches!(value, Value::Text(_));
        if before.is_some_and(|before| always || (!is_text(before) && !is_text(value))) {
            out.push(' ');
        }
        match value {
            Value::Nil => out.push_str("<nil>"),
            value => out.push_str(&value.to_string()),
        }
    }
    out
}

fn escape(text: &str, one: fn(char) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match one(c) {
            Some(escaped) => out.push_str(&escaped),
            None => out.push(c),
        }
    }
    out
}

fn html(c: char) -> Option<String> {
    Some(
        match c {
            '\0' => "\u{fffd}",
            '"' => "&#34;",
            '\'' => "&#39;",
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            _ => return None,
        }
        .into(),
    )
}

fn js(c: char) -> Option<String> {
    Some(match c {
        '\\' => "\\\\".into(),
        '\'' => "\\'".into(),
        '"' => "\\\"".into(),
        '<' => "\\u003C".into(),
        '>' => "\\u003E".into(),
        '&' => "\\u0026".into(),
        '=' => "\\u003D".into(),
        c if u32::from(c) < 0x20 => format!("\\u{:04X}", u32::from(c)),
        _ => return None,
    })
}

fn urlquery(text: &str) -> String {
    let mut out = String::new();
    for byte in stray::bytes(text).iter().copied() {
        match byte {
            b' ' => out.push('+'),
            b'-' | b'_' | b'.' | b'~' => out.push(byte.into()),
            byte if byte.is_ascii_alphanumeric() => out.push(byte.into()),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
