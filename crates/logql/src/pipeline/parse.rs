//! The parsers `json`, `logfmt` and `unpack`.

use std::borrow::Cow;

use super::json::{self, Json, Step};
use super::row::Row;
use crate::go::logfmt::Pairs;
use crate::stage::{JsonPath, LogfmtKey};

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
    let steps: Vec<_> = paths.iter().map(|(_, path)| path.steps.as_slice()).collect();
    let mut found = 0;
    super::paths::each(line, &steps, &mut |number, value| match (
        number.and_then(|number| paths.get(number)),
        value,
    ) {
        (Some((name, _)), Ok(value)) => {
            let name = row.free_name(name).into_owned();
            row.set(&name, json::shown(value));
            found += 1;
        }
        (_, Err(why)) => row.fail_parser(JSON_ERROR, why),
        (None, Ok(_)) => {}
    });
    if found < paths.len() {
        for (name, _) in paths {
            if row.get(name).is_none() {
                row.set(name, String::new());
            }
        }
    }
}

pub(super) fn logfmt_all(line: &str, strict: bool, keep_empty: bool, row: &mut Row<'_>) {
    let mut name = String::new();
    for pair in Pairs::new(line, true) {
        let (key, value) = match pair {
            Ok(pair) => pair,
            Err(why) if strict => return row.fail_parser(LOGFMT_ERROR, why.as_loki()),
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

pub(super) fn logfmt_fields(fields: &[(String, LogfmtKey)], line: &str, strict: bool, row: &mut Row<'_>) {
    for (name, _) in fields {
        if row.free_name(name) == name.as_str() {
            row.set(name, String::new());
        }
    }
    let mut sanitized = String::new();
    for pair in Pairs::new(line, true) {
        let (key, value) = match pair {
            Ok(pair) => pair,
            Err(why) if strict => return row.fail_parser(LOGFMT_ERROR, why.as_loki()),
            Err(_) => continue,
        };
        sanitized.clear();
        json::push_sanitized(&mut sanitized, key);
        let wanted = fields.iter().find(|(_, key)| key.key == sanitized);
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
