//! Reading `labels` and `structured_metadata`: which journal fields become what in Loki, and that every
//! entry ends with labels that Loki takes.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;

use super::check::{Checker, Section, Value};
use super::diagnostic::{Finding, Span, quoted};
use super::names::{self, Refusal};
use super::node::Kind;
use super::{Destination, FieldRule, Labels, relabel};

/// Label names that one stream may carry: Loki's `max_label_names_per_series`.
const MAX_LABEL_NAMES: usize = 15;
/// The label that Loki does not count among them, for it adds it by itself.
const UNCOUNTED_LABEL: &str = "service_name";
/// Names of structured metadata that one entry may carry: Loki's `max_structured_metadata_entries_count`.
const MAX_METADATA_NAMES: usize = 128;

/// Below, there is no stream; above, they take more memory here than anyone means to give (each about 1 KiB).
const MAX_STREAMS: RangeInclusive<u64> = 1..=1_000_000;

/// Reads `labels`. What is written wins over a default of the same name.
pub(super) fn labels(checker: &Checker<'_>, value: &Value<'_>) -> Option<Labels> {
    let section = Section::open(checker, value, "labels")?;
    let mut labels = Labels::default();
    section.read("static", &mut labels.fixed, |value| fixed(checker, value));
    section.read("fields", &mut labels.fields, |value| field_rules(checker, value, names::label_name));
    section.read("relabel_configs", &mut labels.relabel, |value| relabel::rules(checker, value));
    section.read("max_streams", &mut labels.max_streams, |value| {
        checker.integer(value, &MAX_STREAMS).and_then(|max| usize::try_from(max).ok())
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
pub(super) fn fixed(checker: &Checker<'_>, value: &Value<'_>) -> Option<Vec<(String, String)>> {
    let mut labels = Vec::new();
    if value.node.kind == Kind::Null {
        return None;
    }
    for entry in checker.entries(value, "a map: label to text")? {
        named(checker, &entry.value, entry.name, names::label_name);
        let text = checker.checked(&entry.value, "a string", names::label_value);
        // Kept with a mistake in it too: it counts for the checks of whole label sets.
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

/// A journal field, or a list of them of which the first present one is taken.
fn sources(checker: &Checker<'_>, value: &Value<'_>) -> Option<Vec<String>> {
    const EXPECTED: &str = "a journal field, or a list of them";
    if !matches!(value.node.kind, Kind::Seq(_)) {
        return checker.checked(value, EXPECTED, names::field_name).map(|field| vec![field]);
    }
    let fields =
        checker.each(value, EXPECTED, |item| checker.checked(item, "a journal field", names::field_name))?;
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

/// No label is both fixed and from a field.
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
pub(super) fn metadata(checker: &Checker<'_>, value: &Value<'_>) -> Option<Vec<FieldRule>> {
    let rules = field_rules(checker, value, names::metadata_name)?;
    if rules.len() > MAX_METADATA_NAMES {
        checker.note(
            Finding::at(value.key.clone(), format!("{} names of structured metadata", rules.len()))
                .label(format!("expected at most {MAX_METADATA_NAMES}: Loki refuses entries with more")),
        );
    }
    Some(rules)
}

/// Every entry ends with at least one label, and with no more than Loki takes, at every destination: unless
/// rules may change them, then only an entry shows. `places` has the value of each destination, in their order.
pub(super) fn label_sets(
    checker: &Checker<'_>,
    labels: &Labels,
    labels_place: Option<Span>,
    destinations: &[(Destination, Span)],
) {
    if !labels.relabel.is_empty() {
        return;
    }
    let shared: BTreeSet<&str> = labels
        .fixed
        .iter()
        .map(|(name, _)| name.as_str())
        .chain(labels.fields.iter().map(|rule| rule.name.as_str()))
        .collect();

    if labels.fixed.is_empty() {
        let without = destinations.iter().find(|(destination, _)| destination.labels.is_empty());
        let place = without.map(|(_, place)| place.clone());
        if without.is_some() || destinations.is_empty() {
            let title = "an entry could end without any label";
            let finding = match labels_place.clone().or(place) {
                Some(place) => Finding::at(place, title),
                None => Finding::nowhere(title),
            };
            checker.note(
                finding
                    .label("no label here is certain")
                    .note(
                        "a journal field can be missing in an entry, and Loki refuses entries without labels",
                    )
                    .help("add a fixed one: `static: {job: systemd-journal}`"),
            );
        }
    }

    if let Some(count) = too_many(shared.iter().copied()) {
        if let Some(place) = labels_place {
            checker.note(too_many_finding(place, count));
        }
        return;
    }
    for (destination, place) in destinations {
        let own = destination.labels.iter().map(|(name, _)| name.as_str());
        if let Some(count) = too_many(own.chain(shared.iter().copied()).collect::<BTreeSet<_>>()) {
            let finding = too_many_finding(place.clone(), count);
            checker.note(match &labels_place {
                Some(labels) => finding.related(labels.clone(), "together with these"),
                None => finding.note("the default `labels` count too"),
            });
        }
    }
}

fn too_many<'n>(names: impl IntoIterator<Item = &'n str>) -> Option<usize> {
    let count = names.into_iter().filter(|name| *name != UNCOUNTED_LABEL).count();
    (count > MAX_LABEL_NAMES).then_some(count)
}

fn too_many_finding(place: Span, count: usize) -> Finding {
    Finding::at(place, format!("{count} label names"))
        .label(format!("expected at most {MAX_LABEL_NAMES}, `{UNCOUNTED_LABEL}` not counted"))
        .note("Loki refuses every entry whose stream has more")
        .help("`structured_metadata` takes what need not select a stream")
}
