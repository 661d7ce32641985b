//! The functions of Promtail's templates: its own, and those of the sprig library that make text of text. Functions that
//! read a clock, the environment, the network or random numbers are left out: the same entry always becomes the same line.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest;

use super::builtin::{exactly, int, text};
use super::value::{VALUE_MAX, Value};
use super::{Function, numbers, stray};
use crate::go::quote::Quoted;
use crate::go::re2::{self, Re2, Room};

/// Longest text that a function makes (bytes).
const TEXT_MAX: i64 = 1 << 20;
/// Most spaces that a line is indented by (count).
const INDENT_MAX: i64 = 1000;

/// Their names, for a hint when one is misspelled.
pub(super) const NAMES: &[&str] = &[
    "ToLower",
    "ToUpper",
    "Replace",
    "Trim",
    "TrimLeft",
    "TrimRight",
    "TrimPrefix",
    "TrimSuffix",
    "TrimSpace",
    "Hash",
    "Sha2Hash",
    "regexReplaceAll",
    "regexReplaceAllLiteral",
    "lower",
    "upper",
    "title",
    "trim",
    "trimAll",
    "trimPrefix",
    "trimSuffix",
    "nospace",
    "repeat",
    "substr",
    "trunc",
    "contains",
    "hasPrefix",
    "hasSuffix",
    "quote",
    "squote",
    "cat",
    "indent",
    "nindent",
    "replace",
    "join",
    "splitList",
    "default",
    "empty",
    "coalesce",
    "ternary",
    "toString",
    "list",
    "first",
    "last",
    "has",
    "regexMatch",
    "regexFind",
    "sha256sum",
    "b64enc",
];

/// The function of this name.
pub fn function(name: &str) -> Option<Function> {
    let groups = [of_texts, of_parts, of_matches, of_lists, of_values, numbers::function];
    groups.iter().find_map(|group| group(name))
}

/// Functions that make another text of a text.
fn of_texts(name: &str) -> Option<Function> {
    Some(match name {
        "ToLower" | "lower" => |args| map(args, to_lower),
        "ToUpper" | "upper" => |args| map(args, to_upper),
        "TrimSpace" | "trim" => |args| map(args, |text| text.trim().to_owned()),
        "nospace" => |args| map(args, |text| text.split_whitespace().collect()),
        "title" => |args| map(args, title),
        "toString" => |args| {
            let [value] = exactly(args)?;
            Ok(value.to_string().into())
        },
        "Replace" => |args| {
            let [subject, old, new, count] = exactly(args)?;
            let (subject, old, new) = (text(subject)?, text(old)?, text(new)?);
            fits(subject.matches(old).count(), new)?;
            Ok(match usize::try_from(int(count)?) {
                Ok(count) => subject.replacen(old, new, count),
                Err(_) => subject.replace(old, new),
            }
            .into())
        },
        // sprig's take the text last, Promtail's own take it first.
        "replace" => |args| {
            let [old, new, subject] = exactly(args)?;
            let (subject, old, new) = (text(subject)?, text(old)?, text(new)?);
            fits(subject.matches(old).count(), new)?;
            Ok(subject.replace(old, new).into())
        },
        "Hash" => |args| pair(args, |salt, input| hex(&sha3::Sha3_256::digest(format!("{salt}{input}")))),
        "Sha2Hash" => |args| pair(args, |salt, input| hex(&sha2::Sha256::digest(format!("{salt}{input}")))),
        "sha256sum" => |args| map(args, |input| hex(&sha2::Sha256::digest(input))),
        "b64enc" => |args| map(args, |input| STANDARD.encode(stray::bytes(input))),
        "quote" => |args| Ok(each(args, |value| Quoted(stray::bytes(&value.to_string())).to_string()).into()),
        "squote" => |args| Ok(each(args, |value| format!("'{value}'")).into()),
        "cat" => |args| Ok(each(args, |value| value.to_string()).into()),
        "indent" => |args| indent(args, ""),
        "nindent" => |args| indent(args, "\n"),
        _ => return None,
    })
}

/// Functions that cut, trim, repeat or search a text.
fn of_parts(name: &str) -> Option<Function> {
    Some(match name {
        "Trim" => |args| pair(args, |subject, set| subject.trim_matches(|c| set.contains(c)).to_owned()),
        "TrimLeft" => {
            |args| pair(args, |subject, set| subject.trim_start_matches(|c| set.contains(c)).to_owned())
        }
        "TrimRight" => {
            |args| pair(args, |subject, set| subject.trim_end_matches(|c| set.contains(c)).to_owned())
        }
        "TrimPrefix" => {
            |args| pair(args, |subject, prefix| subject.strip_prefix(prefix).unwrap_or(subject).to_owned())
        }
        "TrimSuffix" => {
            |args| pair(args, |subject, suffix| subject.strip_suffix(suffix).unwrap_or(subject).to_owned())
        }
        "trimAll" => |args| pair(args, |set, subject| subject.trim_matches(|c| set.contains(c)).to_owned()),
        "trimPrefix" => {
            |args| pair(args, |prefix, subject| subject.strip_prefix(prefix).unwrap_or(subject).to_owned())
        }
        "trimSuffix" => {
            |args| pair(args, |suffix, subject| subject.strip_suffix(suffix).unwrap_or(subject).to_owned())
        }
        "contains" => |args| test(args, |part, subject| subject.contains(part)),
        "hasPrefix" => |args| test(args, |prefix, subject| subject.starts_with(prefix)),
        "hasSuffix" => |args| test(args, |suffix, subject| subject.ends_with(suffix)),
        "repeat" => |args| {
            let [count, subject] = exactly(args)?;
            let (count, subject) = (int(count)?, text(subject)?);
            match count.checked_mul(subject.len() as i64) {
                Some(len) if count >= 0 && len <= TEXT_MAX => Ok(subject.repeat(count as usize).into()),
                _ if count < 0 => Err("strings: negative Repeat count".into()),
                _ => Err(format!("{count} times is too much")),
            }
        },
        "substr" => |args| {
            let [start, end, subject] = exactly(args)?;
            let (start, end, subject) = (int(start)?, int(end)?, text(subject)?);
            Ok(substring(start, end, subject)?.into())
        },
        "trunc" => |args| {
            let [count, subject] = exactly(args)?;
            let (count, subject) = (int(count)?, text(subject)?);
            let whole = stray::bytes(subject).len() as i64;
            Ok(match count {
                count if count < 0 && whole.saturating_add(count) > 0 => part(subject, whole + count, whole),
                count if count >= 0 && whole > count => part(subject, 0, count),
                _ => subject.to_owned(),
            }
            .into())
        },
        _ => return None,
    })
}

/// Functions of regular expressions.
fn of_matches(name: &str) -> Option<Function> {
    Some(match name {
        "regexReplaceAll" => |args| {
            let [regex, subject, with] = exactly(args)?;
            replace_all(&compile(text(regex)?)?, text(subject)?, text(with)?)
        },
        "regexReplaceAllLiteral" => |args| {
            let [regex, subject, with] = exactly(args)?;
            let (regex, subject, with) = (compile(text(regex)?)?, text(subject)?, text(with)?);
            fits(regex.find_iter(subject).count(), with)?;
            Ok(regex.replace_all(subject, regex::NoExpand(with)).into_owned().into())
        },
        "regexMatch" => |args| {
            let [regex, subject] = exactly(args)?;
            Ok(compile(text(regex)?)?.is_match(text(subject)?).into())
        },
        "regexFind" => |args| {
            let [regex, subject] = exactly(args)?;
            let found = compile(text(regex)?)?.find(text(subject)?).map(|found| found.as_str());
            Ok(found.unwrap_or_default().into())
        },
        _ => return None,
    })
}

/// Functions of lists.
fn of_lists(name: &str) -> Option<Function> {
    Some(match name {
        "join" => |args| {
            let [separator, items] = exactly(args)?;
            let separator = text(separator)?;
            if let Value::List(items) = items {
                fits(items.len(), separator)?;
            }
            Ok(match items {
                Value::List(items) => items.iter().map(Value::to_string).collect::<Vec<_>>().join(separator),
                other => other.to_string(),
            }
            .into())
        },
        "splitList" => |args| {
            let [separator, subject] = exactly(args)?;
            let (separator, subject) = (text(separator)?, text(subject)?);
            Ok(match separator.is_empty() {
                true => Value::list(subject.chars().map(|c| c.to_string().into())),
                false => Value::list(subject.split(separator).map(Value::from)),
            })
        },
        "list" => |args| Ok(Value::list(args.iter().cloned())),
        "first" => |args| item(args, |items| items.first()),
        "last" => |args| item(args, |items| items.last()),
        "has" => |args| {
            let [value, items] = exactly(args)?;
            match items {
                Value::List(items) => Ok(items.contains(value).into()),
                other => Err(format!("wants a list, got {}", other.kind())),
            }
        },
        _ => return None,
    })
}

/// Functions that choose between values.
fn of_values(name: &str) -> Option<Function> {
    Some(match name {
        "default" => |args| match args {
            [default] => Ok(default.clone()),
            [default, value] => Ok(if value.truth() { value.clone() } else { default.clone() }),
            _ => Err("wants a default and a value".into()),
        },
        "empty" => |args| {
            let [value] = exactly(args)?;
            Ok((!value.truth()).into())
        },
        "coalesce" => |args| Ok(args.iter().find(|value| value.truth()).cloned().unwrap_or(Value::Nil)),
        "ternary" => |args| {
            let [then, other, condition] = exactly(args)?;
            match condition {
                Value::Bool(flag) => Ok(if *flag { then } else { other }.clone()),
                other => Err(format!("wants a bool, got {}", other.kind())),
            }
        },
        _ => return None,
    })
}

/// Refuses a result of so many copies of a text if it is too large.
fn fits(times: usize, text: &str) -> Result<(), String> {
    match times.saturating_mul(text.len()) > VALUE_MAX {
        true => Err(format!("the result has more than {VALUE_MAX} bytes")),
        false => Ok(()),
    }
}

/// Replaces all matches by what a template of groups (`$1`) makes of each.
pub(super) fn replace_all(regex: &Re2, subject: &str, with: &str) -> Result<Value, String> {
    fits(regex.find_iter(subject).count(), with)?;
    // Matches do not overlap: a group takes at most the subject, all matches together.
    fits(with.matches('$').count(), subject)?;
    let replaced = regex.replace_all(subject, |captures: &regex::Captures<'_>| re2::expand(captures, with));
    Ok(replaced.into_owned().into())
}

fn map(args: &[Value], make: fn(&str) -> String) -> Result<Value, String> {
    let [subject] = exactly(args)?;
    Ok(make(text(subject)?).into())
}

fn pair(args: &[Value], make: fn(&str, &str) -> String) -> Result<Value, String> {
    let [a, b] = exactly(args)?;
    Ok(make(text(a)?, text(b)?).into())
}

fn test(args: &[Value], holds: fn(&str, &str) -> bool) -> Result<Value, String> {
    let [a, b] = exactly(args)?;
    Ok(holds(text(a)?, text(b)?).into())
}

fn each(args: &[Value], make: fn(&Value) -> String) -> String {
    let present = args.iter().filter(|value| **value != Value::Nil);
    present.map(make).collect::<Vec<_>>().join(" ")
}

fn item(args: &[Value], pick: fn(&[Value]) -> Option<&Value>) -> Result<Value, String> {
    let [items] = exactly(args)?;
    match items {
        Value::List(items) => Ok(pick(items).cloned().unwrap_or(Value::Nil)),
        other => Err(format!("wants a list, got {}", other.kind())),
    }
}

/// Some bytes, counted as sprig counts them: a start below zero is the beginning, an end below zero or behind the text is its
/// end, but not with such a start.
fn substring(start: i64, end: i64, subject: &str) -> Result<String, String> {
    const OUT: &str = "runtime error: slice bounds out of range";
    let whole = stray::bytes(subject).len() as i64;
    match (start, end) {
        (..0, ..0) => Err(format!("{OUT} [:{end}]")),
        (..0, _) if end > whole => Err(format!("{OUT} [:{end}] with length {whole}")),
        (..0, _) => Ok(part(subject, 0, end)),
        _ => {
            let end = if end < 0 || end > whole { whole } else { end };
            if start > end { Err(format!("{OUT} [{start}:{end}]")) } else { Ok(part(subject, start, end)) }
        }
    }
}

fn to_upper(text: &str) -> String {
    // Most text is, and it is much faster.
    match text.is_ascii() {
        true => text.to_ascii_uppercase(),
        false => text.chars().map(upper).collect(),
    }
}

fn to_lower(text: &str) -> String {
    match text.is_ascii() {
        true => text.to_ascii_lowercase(),
        false => text.chars().map(lower).collect(),
    }
}

/// A character in upper case, if that is one character, as Go has it.
fn upper(c: char) -> char {
    let mut all = c.to_uppercase();
    match (all.next(), all.next()) {
        (Some(one), None) => one,
        // Greek letters with iota below have one that titles begin with.
        _ => match u32::from(c) {
            0x1f80..=0x1f87 | 0x1f90..=0x1f97 | 0x1fa0..=0x1fa7 => char::from_u32(u32::from(c) + 8),
            0x1fb3 | 0x1fc3 | 0x1ff3 => char::from_u32(u32::from(c) + 9),
            _ => None,
        }
        .unwrap_or(c),
    }
}

/// A character in lower case, whatever stands around it, as Go has it.
fn lower(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

/// Bytes of a text, also in the middle of characters.
fn part(text: &str, start: i64, end: i64) -> String {
    let bytes = stray::bytes(text);
    let place = |n: i64| usize::try_from(n).unwrap_or(0).min(bytes.len());
    stray::text(bytes.get(place(start)..place(end)).unwrap_or_default())
}

fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut begins = true;
    for c in text.chars() {
        out.push(if begins { upper(c) } else { c });
        begins = match c.is_ascii() {
            true => !(c == '_' || c.is_ascii_alphanumeric()),
            false => c.is_whitespace(),
        };
    }
    out
}

fn indent(args: &[Value], before: &str) -> Result<Value, String> {
    let [count, subject] = exactly(args)?;
    let (count, subject) = (int(count)?, text(subject)?);
    let lines = subject.matches('\n').count() as i64 + 1;
    if !(0..=INDENT_MAX).contains(&count) || count * lines > TEXT_MAX {
        return Err(format!("{count} spaces are too many"));
    }
    let spaces = " ".repeat(count as usize);
    Ok(format!("{before}{spaces}{}", subject.replace('\n', &format!("\n{spaces}"))).into())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing to a string does not fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Compiles an expression, or takes one compiled before: most templates have theirs written in them.
pub(super) fn compile(source: &str) -> Result<Re2, String> {
    use std::cell::RefCell;
    use std::collections::HashMap;
    /// What the expressions take that are kept compiled (bytes), in each thread.
    const KEPT_MAX: usize = 4 << 20;
    thread_local!(static KEPT: RefCell<(HashMap<String, Re2>, Room)> =
        RefCell::new((HashMap::new(), Room::new(KEPT_MAX))));
    KEPT.with_borrow_mut(|(kept, room)| {
        if let Some(regex) = kept.get(source) {
            return Ok(regex.clone());
        }
        let regex = Re2::new_in(source, room).or_else(|_| {
            kept.clear();
            *room = Room::new(KEPT_MAX);
            Re2::new_in(source, room)
        });
        let regex = regex.map_err(|error| format!("not a regular expression: {}", error.message))?;
        kept.insert(source.to_owned(), regex.clone());
        Ok(regex)
    })
}
