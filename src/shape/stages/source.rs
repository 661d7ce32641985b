//! Sources: a stage takes its text from the line or from an extracted value. This also reads the names of values from the
//! configuration.

use std::borrow::Cow;

use super::{Context, Extracted};
use crate::yaml::{Checker, Finding, Kind, Refusal, Section, Value};

/// The text that a stage works on: the line, or the value that `source` names. If the value is missing, a failure is counted.
pub(super) fn text<'l>(
    stage: &'static str,
    source: Option<&str>,
    line: &'l str,
    extracted: &Extracted,
    context: &mut Context,
) -> Option<Cow<'l, str>> {
    let Some(source) = source else { return Some(Cow::Borrowed(line)) };
    let text = extracted.text(source).map(|text| Cow::Owned(text.into_owned()));
    if text.is_none() {
        context.fail(stage, || missing(source));
    }
    text
}

/// The reason for the failure when a value is missing.
pub(super) fn missing(source: &str) -> String {
    format!("there is no value `{source}`")
}

fn not_empty(name: &str) -> Result<(), Refusal> {
    if name.is_empty() {
        return Err(Refusal::new("the name is empty", "expected the name of an extracted value"));
    }
    Ok(())
}

/// Checks the name of an extracted value for `template`, `replace` and `timestamp`.
pub(super) fn source(checker: &Checker<'_>, value: &Value<'_>) -> Option<String> {
    checker.checked(value, "the name of a value", |text| match text.is_empty() {
        true => Err(Refusal::new("the name of a value is empty", "expected a name, or no such key")),
        false => Ok(()),
    })
}

/// Reads the name of an extracted value or a label.
pub(super) fn name(checker: &Checker<'_>, value: &Value<'_>) -> Option<String> {
    checker.checked(value, "a string, the name of an extracted value", not_empty)
}

/// The same. A key without a value (`source:`) counts as not written.
pub(super) fn optional(checker: &Checker<'_>, value: &Value<'_>) -> Option<Option<String>> {
    if value.node.kind == Kind::Null { None } else { name(checker, value).map(Some) }
}

/// Reads a list with at least one name.
pub(super) fn names(checker: &Checker<'_>, value: &Value<'_>) -> Option<Vec<String>> {
    const EXPECTED: &str = "a list of names";
    if matches!(value.node.kind, Kind::Str(_)) {
        return name(checker, value).map(|name| vec![name]);
    }
    let items = checker.list(value, EXPECTED)?;
    if items.is_empty() {
        checker.note(
            Finding::at(value.place(), format!("`{}` is an empty list", value.path))
                .label("expected at least one name"),
        );
        return None;
    }
    // All names are read first, so that a mistake in one name does not hide mistakes in others.
    let names: Vec<_> = items.iter().map(|item| name(checker, item)).collect();
    names.into_iter().collect()
}

/// Reads a map from new names, which `rule` checks, to the names of values. If an entry has no value, both names are the same.
pub(super) fn renames(
    checker: &Checker<'_>,
    value: &Value<'_>,
    rule: impl Fn(&str) -> Result<(), Refusal>,
) -> Option<Vec<(String, String)>> {
    let mut names = Vec::new();
    for entry in checker.entries(value, "a map: new name to the name of an extracted value")? {
        if let Err(refusal) = not_empty(entry.name).and_then(|()| rule(entry.name)) {
            checker.refuse(entry.value.key.clone(), "", refusal);
        }
        let source = match &entry.value.node.kind {
            Kind::Null => Some(entry.name.to_owned()),
            Kind::Str(text) if text.is_empty() => Some(entry.name.to_owned()),
            _ => name(checker, &entry.value),
        };
        names.push((entry.name.to_owned(), source.unwrap_or_default()));
    }
    Some(names)
}

/// Reads a key that a section must have.
pub(super) fn required<'s, 't>(
    checker: &Checker<'_>,
    owner: &Value<'t>,
    section: &'s Section<'t>,
    name: &str,
) -> Option<&'s Value<'t>> {
    let value = section.get(name);
    if value.is_none() && !section.is_meant(name) {
        checker.note(
            Finding::at(owner.place(), format!("`{}` has no `{name}`", owner.path))
                .label(format!("expected `{name}`")),
        );
    }
    value
}
