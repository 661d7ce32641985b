//! The sections `labels:` and `structured_metadata:`: which journal fields become labels and metadata in Loki.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::rules::{self, Relabel};
use crate::journal::names::field_name;
use crate::shape::limits::{METADATA_NAMES_MAX, STREAMS_MAX};
use crate::shape::names;
use crate::yaml::key::{count, joined, key};
use crate::yaml::{Checker, Finding, Key, Kind, Refusal, Section, Span, Value, quoted};

/// The limits of `max_streams`. Below, there is no stream; above, streams take too much memory (about 1 KiB each).
const STREAMS: RangeInclusive<u64> = 1..=1_000_000;

/// The default of `labels.fields`.
const FIELDS: &str = "{host: _HOSTNAME, unit: _SYSTEMD_UNIT, user_unit: _SYSTEMD_USER_UNIT, service_name: \
     [_SYSTEMD_UNIT, _TRANSPORT], level: PRIORITY}";

/// The keys of `labels` before those of its rules.
const BEFORE_RULES: &[Key] = &[
    key("labels", "section", ""),
    key("labels.static", "map of strings", "{job: systemd-journal}"),
    key("labels.fields", "map of journal fields", FIELDS),
];
const PARTS: &[&[Key]] = &[BEFORE_RULES, rules::KEYS, &[key("labels.max_streams", "whole number", "5000")]];
/// The keys of `labels`.
pub(crate) const KEYS: &[Key] = &joined::<{ count(PARTS) }>(PARTS);
/// The key `structured_metadata`.
pub(crate) const METADATA_KEYS: &[Key] =
    &[key("structured_metadata", "map of journal fields", "{pid: _PID, identifier: SYSLOG_IDENTIFIER}")];

/// `labels:`
#[derive(Debug, Clone, PartialEq)]
pub struct Labels {
    /// Labels with a fixed value, sorted by name.
    pub fixed: Vec<(String, String)>,
    /// Labels taken from journal fields, sorted by name.
    pub fields: Vec<FieldRule>,
    /// Rules that change these labels, in the order in which they are applied.
    pub relabel: Vec<Relabel>,
    /// The most active streams. The entries of further streams go to an overflow stream.
    pub max_streams: usize,
}

impl Default for Labels {
    fn default() -> Self {
        // No sender decides these fields, because selectors use `unit` and `service_name`. The names of a user's own units
        // have another label, so that they are never taken for units of the system.
        Self {
            fixed: vec![("job".to_owned(), "systemd-journal".to_owned())],
            fields: vec![
                FieldRule::new("host", &["_HOSTNAME"]),
                FieldRule::new("level", &["PRIORITY"]),
                FieldRule::new("service_name", &["_SYSTEMD_UNIT", "_TRANSPORT"]),
                FieldRule::new("unit", &["_SYSTEMD_UNIT"]),
                FieldRule::new("user_unit", &["_SYSTEMD_USER_UNIT"]),
            ],
            relabel: Vec::new(),
            // As many as Loki takes from a tenant (`max_global_streams_per_user`).
            max_streams: STREAMS_MAX,
        }
    }
}

/// The name of a label or of metadata, and the journal fields that its value may come from.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldRule {
    /// Name in Loki.
    pub name: String,
    /// The journal fields. The first one with a value that is not empty counts. `PRIORITY` gives the keyword (`error` for
    /// `err`), not the digit. If it is not one of the eight digits, it counts as missing.
    pub sources: Vec<String>,
}

impl FieldRule {
    /// A rule from its parts, which are not checked.
    pub fn new(name: &str, sources: &[&str]) -> Self {
        Self { name: name.to_owned(), sources: sources.iter().map(|&source| source.to_owned()).collect() }
    }
}

/// The default of `structured_metadata`.
pub(crate) fn default_metadata() -> Vec<FieldRule> {
    vec![FieldRule::new("identifier", &["SYSLOG_IDENTIFIER"]), FieldRule::new("pid", &["_PID"])]
}

/// Reads `labels`. A label that is written replaces a default of the same name.
pub(crate) fn read(checker: &Checker<'_>, value: &Value<'_>) -> Option<Labels> {
    let section = Section::open(checker, value, "labels")?;
    let mut labels = Labels::default();
    section.read("static", &mut labels.fixed, |value| fixed(checker, value));
    section.read("fields", &mut labels.fields, |value| field_rules(checker, value, names::label_name));
    section.read("relabel_configs", &mut labels.relabel, |value| rules::read(checker, value));
    section.read("max_streams", &mut labels.max_streams, |value| {
        checker.integer(value, &STREAMS).and_then(|max| usize::try_from(max).ok())
    });

    match (section.get("static"), section.get("fields")) {
        (Some(fixed), Some(fields)) => one_origin(checker, fixed, fields),
        (Some(_), None) => labels.fields.retain(|rule| !has(&labels.fixed, &rule.name)),
        (None, Some(_)) => labels.fixed.retain(|(name, _)| !labels.fields.iter().any(|r| r.name == *name)),
        (None, None) => {}
    }
    Some(labels)
}

fn has(labels: &[(String, String)], name: &str) -> bool {
    labels.iter().any(|(other, _)| other == name)
}

/// Labels with fixed values: `labels.static`, `loki[].labels`.
pub(crate) fn fixed(checker: &Checker<'_>, value: &Value<'_>) -> Option<Vec<(String, String)>> {
    let mut labels = Vec::new();
    if value.node.kind == Kind::Null {
        return None;
    }
    for entry in checker.entries(value, "a map: label to text")? {
        named(checker, &entry.value, entry.name, names::label_name);
        let text = checker.checked(&entry.value, "a string", names::label_value);
        // It is kept even if it has a mistake, because it counts in the checks of whole label sets.
        labels.push((entry.name.to_owned(), text.unwrap_or_default()));
    }
    labels.sort();
    Some(labels)
}

/// Names and the journal fields they come from: `labels.fields`, `structured_metadata`.
fn field_rules(
    checker: &Checker<'_>,
    value: &Value<'_>,
    rule: fn(&str) -> Result<(), Refusal>,
) -> Option<Vec<FieldRule>> {
    let mut rules = Vec::new();
    if value.node.kind == Kind::Null {
        return None;
    }
    for entry in checker.entries(value, "a map: name to journal field")? {
        named(checker, &entry.value, entry.name, rule);
        let sources = sources(checker, &entry.value).unwrap_or_default();
        rules.push(FieldRule { name: entry.name.to_owned(), sources });
    }
    rules.sort_by(|a, b| a.name.cmp(&b.name));
    Some(rules)
}

fn named(checker: &Checker<'_>, value: &Value<'_>, name: &str, rule: fn(&str) -> Result<(), Refusal>) {
    if let Err(refusal) = rule(name) {
        checker.refuse(value.key.clone(), "", refusal);
    }
}

/// Reads a journal field, or a list of fields. The first field that exists is taken.
fn sources(checker: &Checker<'_>, value: &Value<'_>) -> Option<Vec<String>> {
    const EXPECTED: &str = "a journal field, or a list of them";
    if !matches!(value.node.kind, Kind::Seq(_)) {
        return checker.checked(value, EXPECTED, field_name).map(|field| vec![field]);
    }
    let fields =
        checker.each(value, EXPECTED, |item| checker.checked(item, "a journal field", field_name))?;
    if fields.is_empty() {
        checker.note(
            Finding::at(value.place(), format!("`{}` is an empty list", value.path))
                .label("expected at least one journal field")
                .help("remove the key: without a field it can never have a value"),
        );
        return None;
    }
    Some(fields)
}

/// Refuses a label that is both fixed and from a field.
fn one_origin(checker: &Checker<'_>, fixed: &Value<'_>, fields: &Value<'_>) {
    let fixed: HashMap<&str, &Span> = keys(fixed).collect();
    for (name, place) in keys(fields) {
        if let Some(first) = fixed.get(name) {
            checker.note(
                Finding::at(place.clone(), format!("the label {} has two origins", quoted(name)))
                    .label("taken from a journal field here")
                    .related((*first).clone(), "fixed here")
                    .help("remove one of them, or give it another name"),
            );
        }
    }
}

/// The names of a map and where they stand.
fn keys<'t>(value: &Value<'t>) -> impl Iterator<Item = (&'t str, &'t Span)> {
    let entries = match &value.node.kind {
        Kind::Map(entries) => entries.as_slice(),
        _ => &[],
    };
    entries.iter().filter_map(|(key, _)| match &key.kind {
        Kind::Str(name) => Some((name.as_str(), &key.span)),
        _ => None,
    })
}

/// Reads `structured_metadata`.
pub(crate) fn metadata(checker: &Checker<'_>, value: &Value<'_>) -> Option<Vec<FieldRule>> {
    let rules = field_rules(checker, value, names::metadata_name)?;
    if rules.len() > METADATA_NAMES_MAX {
        checker.note(
            Finding::at(value.key.clone(), format!("{} names of structured metadata", rules.len()))
                .label(format!("expected at most {METADATA_NAMES_MAX}: Loki refuses entries with more")),
        );
    }
    Some(rules)
}
