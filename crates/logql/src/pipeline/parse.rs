//! The parsers `json`, `logfmt` and `unpack`.

use std::borrow::Cow;

use super::json::{self, Json, Step};
use super::row::Row;
use crate::go::logfmt::Pairs;
use crate::stage::{JsonPath, JsonStep};

const JSON_ERROR: &str = "JSONParserErr";
const LOGFMT_ERROR: &str = "LogfmtParserErr";
/// The key under which Promtail's `pack` puts the line.
const PACKED: &str = "_entry";

pub(super) fn json_all(line: &str, row: &mut Row<'_>) {
    let read = json::flatten(line, &mut |step| match step {
        Step::Into(prefix) => row.wants_below(prefix),
        Step::Value(name, value) => {
            row.extract(name, || json::shown(value));
            !row.has_all()
        }
    });
    if let Err(why) = read {
        row.fail_parser(JSON_ERROR, why);
    }
}

pub(super) fn json_paths(paths: &[(String, JsonPath)], line: &str, row: &mut Row<'_>) {
    if line.is_empty() {
        return;
    }
    if !line.starts_with(['"', '{', '[']) {
        return row.fail_parser(JSON_ERROR, "");
    }
    for (name, path) in paths {
        let found = path.find(line);
        let name = match found {
            Some(_) => row.free_name(name).into_owned(),
            None if row.get(name).is_some() => continue,
            None => name.clone(),
        };
        row.set(&name, found.map(json::shown).unwrap_or_default());
    }
}

impl JsonPath {
    /// The value at this place. What breaks off has what stands before that.
    fn find<'t>(&self, text: &'t str) -> Option<Json<'t>> {
        let (last, before) = self.steps.split_last()?;
        // Only what is looked into has to be whole.
        let mut at = text;
        for step in before {
            at = match step.of(at)? {
                Json::Object(all) | Json::List(all) => all,
                _ => return None,
            };
        }
        last.of(at)
    }
}

impl JsonStep {
    fn of<'t>(&self, text: &'t str) -> Option<Json<'t>> {
        let mut found = None;
        match self {
            JsonStep::Key(key) => {
                let _ = json::each(text, &mut |name, value| {
                    if name == key.as_str() {
                        found = Some(value);
                    }
                    Ok(found.is_none())
                });
            }
            JsonStep::Index(index) => {
                let mut rest = text.trim_start().strip_prefix('[')?;
                for _ in 0..*index {
                    rest = json::value(rest).ok()?.1.trim_start().strip_prefix(',')?;
                }
                found = json::value(rest).ok().map(|(value, _)| value);
            }
        }
        found
    }
}

pub(super) fn logfmt_all(line: &str, strict: bool, keep_empty: bool, row: &mut Row<'_>) {
    let mut name = String::new();
    for pair in Pairs::new(line, !strict) {
        let (key, value) = match pair {
            Ok(pair) => pair,
            Err(why) if strict => return row.fail_parser(LOGFMT_ERROR, why.to_string()),
            Err(_) => continue,
        };
        if value.is_empty() && !keep_empty {
            continue;
        }
        name.clear();
        json::push_sanitized(&mut name, key);
        row.extract(&name, || json::printable(&value));
        if row.has_all() {
            return;
        }
    }
}

pub(super) fn logfmt_fields(fields: &[(String, String)], line: &str, strict: bool, row: &mut Row<'_>) {
    for (name, _) in fields {
        if row.free_name(name) == name.as_str() {
            row.set(name, String::new());
        }
    }
    let mut sanitized = String::new();
    for pair in Pairs::new(line, !strict) {
        let (key, value) = match pair {
            Ok(pair) => pair,
            Err(why) if strict => return row.fail_parser(LOGFMT_ERROR, why.to_string()),
            Err(_) => continue,
        };
        sanitized.clear();
        json::push_sanitized(&mut sanitized, key);
        let wanted = fields.iter().find(|(_, key)| *key == sanitized);
        let wanted = wanted.or_else(|| fields.iter().find(|(name, _)| *name == sanitized));
        let Some((name, _)) = wanted else { continue };
        let name = row.free_name(name).into_owned();
        row.set(
            &name,
            if value.contains(char::REPLACEMENT_CHARACTER) { String::new() } else { value.into_owned() },
        );
        if row.has_all() {
            return;
        }
    }
}

pub(super) fn unpack<'l>(line: Cow<'l, str>, row: &mut Row<'_>) -> Cow<'l, str> {
    if line.is_empty() || row.is_complete() {
        return line;
    }
    if !line.starts_with('{') {
        row.fail_parser(JSON_ERROR, "expecting json object(6), but it is not");
        return line;
    }
    let (mut entry, mut found) = (None, Vec::new());
    let read = json::each(&line, &mut |key, value| {
        if let Json::Text(inside) = value {
            match &*key == PACKED {
                true => entry = json::unescape(inside).map(Cow::into_owned),
                false => found.push((key.into_owned(), json::shown(value))),
            }
        }
        Ok(true)
    });
    if let Err(why) = read {
        row.fail_parser(JSON_ERROR, why);
        return line;
    }
    let Some(entry) = entry else { return line };
    for (key, value) in found {
        let mut name = String::new();
        json::push_sanitized(&mut name, &key);
        row.extract(&name, || value);
    }
    Cow::Owned(entry)
}
