//! `detected_level`: metadata that Loki adds to each entry that has none when it takes it in, so that queries find it
//! (grafana/loki, `pkg/distributor/field_detection.go`; the defaults of `pkg/validation/limits.go`). Rules look at
//! entries before Loki does, and must see the same level.

use crate::go::logfmt::Pairs;
use crate::label_set::LabelSet;

use super::json::{self, Json};

/// Its name.
pub const DETECTED_LEVEL: &str = "detected_level";

/// Labels, metadata and keys of lines that hold the level. The first one of this list that is present counts.
const FIELDS: [&str; 14] = [
    "level",
    "LEVEL",
    "Level",
    "log.level",
    "severity",
    "SEVERITY",
    "Severity",
    "SeverityText",
    "lvl",
    "LVL",
    "Lvl",
    "severity_text",
    "Severity_Text",
    "SEVERITY_TEXT",
];
/// Values in any case, and the level that they mean.
const NAMES: [(&str, &str); 14] = [
    ("trace", "trace"),
    ("trc", "trace"),
    ("debug", "debug"),
    ("dbg", "debug"),
    ("info", "info"),
    ("inf", "info"),
    ("information", "info"),
    ("warn", "warn"),
    ("wrn", "warn"),
    ("warning", "warn"),
    ("error", "error"),
    ("err", "error"),
    ("critical", "critical"),
    ("fatal", "fatal"),
];
/// Words that a line is searched for, where nothing else says it.
const WORDS: [(&str, &str); 9] = [
    ("trace", "trace"),
    ("debug", "debug"),
    ("fatal", "fatal"),
    ("critical", "critical"),
    ("error", "error"),
    ("err", "error"),
    ("warning", "warn"),
    ("warn", "warn"),
    ("info", "info"),
];
/// How deep nested objects are searched (count).
const DEPTH_MAX: usize = 2;

/// The level of an entry.
pub fn detected_level<'a>(
    labels: &'a LabelSet,
    metadata: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    line: &str,
) -> &'a str {
    let given = |value: &'a str| named(value).unwrap_or(value);
    if let Some((_, level)) = metadata.clone().find(|(name, _)| *name == DETECTED_LEVEL) {
        return given(level);
    }
    let of_metadata = |field: &&str| metadata.clone().find(|(name, _)| name == field).map(|(_, value)| value);
    let said =
        FIELDS.iter().find_map(|field| labels.get(field)).or_else(|| FIELDS.iter().find_map(of_metadata));
    said.map_or_else(|| of_line(line), given)
}

/// What a level is called as `detected_level`, if it is one.
pub fn level_name(value: &str) -> Option<&'static str> {
    named(value)
}

fn named(value: &str) -> Option<&'static str> {
    NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(value)).map(|(_, level)| *level)
}

fn of_line(line: &str) -> &'static str {
    let trimmed = line.trim();
    let named = match () {
        () if trimmed.starts_with('{') && trimmed.ends_with('}') => of_json(line, 0).flatten(),
        () if line.contains('=') => of_logfmt(line),
        () => None,
    };
    named.unwrap_or_else(|| of_words(line))
}

/// What the first of [`FIELDS`] in an object says: a level, or `None` within where its text is not the name of one. Keys of nested objects
/// count where they stand.
fn of_json(text: &str, depth: usize) -> Option<Option<&'static str>> {
    if depth >= DEPTH_MAX {
        return None;
    }
    let mut found = None;
    // Keys before a mistake count, keys behind it do not.
    let _ = json::each(text, &mut |name, value| {
        match value {
            Json::Text(text) if FIELDS.contains(&name.as_ref()) => found = Some(named(text)),
            Json::Object(object) => found = of_json(object, depth + 1),
            _ => {}
        }
        Ok(found.is_none())
    });
    found
}

fn of_logfmt(line: &str) -> Option<&'static str> {
    let mut best: Option<(usize, Option<&'static str>)> = None;
    for (key, value) in Pairs::new(line, true).map_while(Result::ok) {
        let place = FIELDS.iter().position(|field| field.eq_ignore_ascii_case(key));
        if let Some(place) = place.filter(|place| best.is_none_or(|(other, _)| *place < other)) {
            best = Some((place, named(&value)));
            if place == 0 {
                break;
            }
        }
    }
    best.and_then(|(_, level)| level)
}

fn of_words(line: &str) -> &'static str {
    let lower = line.to_lowercase();
    let place = |word: &str| {
        lower.match_indices(word).map(|(at, _)| at).find(|at| {
            let bytes = lower.as_bytes();
            let before = at.checked_sub(1).and_then(|at| bytes.get(at));
            let after = bytes.get(at + word.len());
            before.is_none_or(|byte| b" \t\n[({\"'=|".contains(byte))
                && after.is_none_or(|byte| b" \t\n[](){}:,!\"'=|".contains(byte))
        })
    };
    let found = WORDS.iter().filter_map(|(word, level)| Some((place(word)?, *level)));
    // Of words at one place the first in the table counts.
    found.min_by_key(|(at, _)| *at).map_or("unknown", |(_, level)| level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_says_it_does() {
        for (labels, metadata, line, level) in [
            ("level=warning", "", "error", "warn"),
            ("level=notice", "", "error", "notice"),
            ("severity=ERR level=dbg", "", "", "debug"),
            ("", "severity=Information", "error", "info"),
            ("", "lvl=fatal level=trc", "", "trace"),
            ("level=error", "detected_level=WRN", "", "warn"),
            ("", "", r#"{"msg": "info", "level": "CRITICAL"}"#, "critical"),
            ("", "", r#"{"log": {"lvl": "err"}, "level": "info"}"#, "error"),
            ("", "", r#"{"a": {"b": {"level": "trc"}}}"#, "unknown"),
            ("", "", r#"{"a": {"level": "bogus"}, "level": "inf"}"#, "unknown"),
            ("", "", r#"{"a": {"level": ""}, "level": "wrn"}"#, "unknown"),
            ("", "", r#"{"a": {"b": ""}, "level": "wrn"}"#, "warn"),
            ("", "", r#"{"level": 3, "msg": "a warning"}"#, "warn"),
            ("", "", r#"{"level": "odd", "x": "debug"}"#, "debug"),
            ("", "", "msg=hello level=warn", "warn"),
            ("", "", "Severity=err LEVEL=info", "info"),
            ("", "", "level=odd msg=fatal", "fatal"),
            ("", "", "a=b misc:error", "unknown"),
            ("", "", "Failed: ERROR: no", "error"),
            ("", "", "[warn] then error", "warn"),
            ("", "", "terror and information", "unknown"),
            ("", "", "errors, err.", "unknown"),
            ("", "", "", "unknown"),
        ] {
            let pairs = |text: &'static str| {
                text.split(' ').filter_map(|pair| pair.split_once('=')).collect::<Vec<_>>()
            };
            let mut set = LabelSet::default();
            pairs(labels).iter().for_each(|(name, value)| set.insert(name, value.as_bytes()));
            let metadata = pairs(metadata);
            let found = detected_level(&set, metadata.iter().copied(), line);
            assert_eq!(found, level, "{labels:?} {metadata:?} {line:?}");
        }
    }
}
