//! Journal fields that no entry has, and values that a field never has.
//!
//! Fields with `_` first are a closed list ([`super::fields`]); any other name may come from some program.

use super::fields::{WRITTEN_BY_JOURNALD, is_written_by_journald};
use super::names::WELL_KNOWN_FIELDS;
use super::values::{Shape, of_field};
use crate::yaml::{Checker, Finding, Kind, Section, Span, Value, quoted};
use logql::nearest::nearest;
use logql::{MatchOp, Matcher};

/// Fields of journald whose `_` was probably forgotten: hardly any program writes a field of the name without it.
const PLAIN: [&str; 16] = [
    "HOSTNAME",
    "MACHINE_ID",
    "BOOT_ID",
    "TRANSPORT",
    "COMM",
    "EXE",
    "CMDLINE",
    "PID",
    "UID",
    "GID",
    "SYSTEMD_UNIT",
    "SYSTEMD_USER_UNIT",
    "SYSTEMD_SLICE",
    "SYSTEMD_CGROUP",
    "SYSTEMD_INVOCATION_ID",
    "SYSTEMD_OWNER_UID",
];

/// The warning about a field that no entry has, and the field that was probably meant.
pub(crate) fn doubt(field: &str) -> Option<(String, Option<String>)> {
    if PLAIN.contains(&field) {
        return Some((format!("journald writes no field `{field}`"), Some(format!("_{field}"))));
    }
    if !field.starts_with('_') || is_written_by_journald(field) {
        return None;
    }
    let known = WRITTEN_BY_JOURNALD.iter().map(|(name, _)| *name).chain(WELL_KNOWN_FIELDS.iter().copied());
    // `_PRIORITY` means PRIORITY, and not the nearest name with `_`.
    let plain = field.trim_start_matches('_');
    let meant = match WELL_KNOWN_FIELDS.contains(&plain) {
        true => Some(plain),
        false => nearest(field, known),
    };
    Some((format!("journald writes no field `{field}`"), meant.map(str::to_owned)))
}

/// Warns of a journal field that no entry has, where it stands.
fn field(checker: &Checker<'_>, place: Span, name: &str) {
    if let Some((title, meant)) = doubt(name) {
        let finding = Finding::at(place, title).label("no entry has this");
        checker.warn(match meant {
            Some(meant) => finding.help(format!("did you mean `{meant}`?")),
            None => {
                finding.help("fields that begin with `_` are journald's alone: `man systemd.journal-fields`")
            }
        });
    }
}

/// Warns of fields in a map of names to fields: `labels.fields`, `structured_metadata`.
pub(crate) fn sources(checker: &Checker<'_>, value: &Value<'_>) {
    let Kind::Map(entries) = &value.node.kind else { return };
    for (_, node) in entries {
        let nodes = match &node.kind {
            Kind::Seq(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        for node in nodes {
            if let Kind::Str(name) = &node.kind {
                field(checker, node.span.clone(), name);
            }
        }
    }
}

/// Warns of fields and values in the section `journal` that no entry has.
pub(crate) fn journal(checker: &Checker<'_>, value: &Value<'_>) {
    if let Some(value) =
        Section::open(checker, value, "journal").as_ref().and_then(|section| section.get("match"))
    {
        matches(checker, value);
    }
}

/// Warns of fields and values in `journal.match` that no entry has.
fn matches(checker: &Checker<'_>, value: &Value<'_>) {
    let Kind::Seq(maps) = &value.node.kind else { return };
    for (key, node) in maps.iter().flat_map(|map| match &map.kind {
        Kind::Map(entries) => entries.as_slice(),
        _ => &[],
    }) {
        let Kind::Str(name) = &key.kind else { continue };
        field(checker, key.span.clone(), name);
        let shape = match name.as_str() {
            // journald writes a digit.
            "PRIORITY" => Some(Shape::Words((0..8).map(|digit| digit.to_string()).collect())),
            name => of_field(name),
        };
        let nodes = match &node.kind {
            Kind::Seq(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        for node in nodes {
            let (Kind::Str(text), Some(shape)) = (&node.kind, &shape) else { continue };
            let Ok(matcher) = Matcher::new(name, MatchOp::Equal, text) else { continue };
            if !text.contains("${") && !shape.may_match(&matcher) {
                let title = format!("no entry has {name}={}", quoted(text));
                let finding = Finding::at(node.span.clone(), title).label("this matches nothing");
                checker.warn(finding.help(shape.help(name, &matcher)));
            }
        }
    }
}
