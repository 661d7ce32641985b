//! Which values and labels an entry may have when it comes to a stage, by the stages before it.

use std::collections::BTreeSet;

use super::template::fields;
use crate::shape::known::KnownLabels;
use crate::yaml::{Checker, Finding, Kind, Value, quoted};
use logql::go::re2::Re2;
use logql::nearest::nearest;

/// The names that an entry may have when it comes to a stage. A warning is given for a stage that asks for another name.
pub(crate) struct May<'k> {
    checker: &'k Checker<'k>,
    /// The names of values. Labels are added to them at the beginning, and at the beginning of each `match`.
    values: BTreeSet<String>,
    labels: BTreeSet<String>,
    known: &'k KnownLabels,
}

impl<'k> May<'k> {
    /// The state before the first stage.
    pub(super) fn new(checker: &'k Checker<'k>, known: &'k KnownLabels) -> May<'k> {
        let labels: BTreeSet<String> = known.before_stages().map(str::to_owned).collect();
        May { checker, values: labels.clone(), labels, known }
    }

    /// From here on, entries may have values of these names.
    pub(super) fn gain<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) {
        self.values.extend(names.into_iter().map(str::to_owned));
    }

    /// From here on, entries may have values with the names of the groups in `expression`.
    pub(super) fn gain_groups(&mut self, written: &Value<'_>) {
        let expression = get(written, "expression");
        if let Some(regex) = expression.and_then(|value| Re2::new(text(&value)?).ok()) {
            self.gain(regex.capture_names().flatten());
        }
    }

    /// From here on, entries may have a label of this name.
    pub(super) fn gain_label(&mut self, name: &str) {
        self.labels.insert(name.to_owned());
    }

    /// At the beginning of a `match`, all labels are values again.
    pub(super) fn enter(&mut self) {
        self.values.extend(self.labels.iter().cloned());
    }

    /// Warns of a selector that selects nothing.
    pub(super) fn select(&self, written: &Value<'_>) {
        self.known.check_selector(self.checker, written);
    }

    /// Warns if `source` is written and is not a value here.
    pub(super) fn have_source(&self, written: &Value<'_>) {
        if let Some(source) = get(written, "source") {
            self.have_value(&source, text(&source));
        }
    }

    /// Warns if `name` is not a value here.
    pub(super) fn have_value(&self, at: &Value<'_>, name: Option<&str>) {
        self.one_of(at, name, &self.values, "no stage before this one extracts");
    }

    /// Warns if `name` is not a label here.
    pub(super) fn have_label(&self, at: &Value<'_>, name: Option<&str>) {
        self.one_of(at, name, &self.labels, "no entry has the label");
    }

    /// Warns if `name` is neither a value nor a label here.
    pub(super) fn have_either(&self, at: &Value<'_>, name: Option<&str>) {
        let all = self.values.union(&self.labels).cloned().collect();
        let why = "no stage before this one extracts, and no entry has as a label,";
        self.one_of(at, name, &all, why);
    }

    fn one_of(&self, at: &Value<'_>, name: Option<&str>, there: &BTreeSet<String>, why: &str) {
        // The value of an environment variable is not known here.
        let Some(name) = name.filter(|name| !name.contains("${")) else { return };
        if self.known.is_open() || there.contains(name) {
            return;
        }
        let finding = Finding::at(at.place(), format!("{why} {}", quoted(name)));
        self.checker.warn(match nearest(name, there.iter().map(String::as_str)) {
            Some(near) => finding.label("this does nothing").help(format!("did you mean `{near}`?")),
            None => finding.label("this does nothing").help(
                "values come from stages before it: `regex`, `json`, `logfmt`, `template`; labels are values, too",
            ),
        });
    }

    /// Warns of keys that a template asks for and no entry has. It always has those in `given`.
    pub(super) fn have_keys(&self, at: &Value<'_>, given: &[&str]) {
        let Some(text) = text(at) else { return };
        for (name, place) in fields(text) {
            if self.known.is_open() || given.contains(&&*name) || self.values.contains(&name) {
                continue;
            }
            let names = self.values.iter().map(String::as_str).chain(given.iter().copied());
            let title = format!("no stage before this one extracts {}", quoted(&name));
            let finding =
                Finding::at(self.checker.inside(at, text, Some(place)), title).label("nothing is here");
            self.checker.warn(match nearest(&name, names) {
                Some(near) => finding.help(format!("did you mean `.{near}`?")),
                None => finding.help("a template sees values and labels by their names"),
            });
        }
    }
}

/// The text of a node, as it is written.
pub(super) fn text<'t>(value: &Value<'t>) -> Option<&'t str> {
    match &value.node.kind {
        Kind::Str(text) => Some(text),
        _ => None,
    }
}

/// The entries of a map.
pub(super) fn map<'t>(value: &Value<'t>) -> impl Iterator<Item = (&'t str, Value<'t>)> + use<'t> {
    let path = value.path.clone();
    let entries = match &value.node.kind {
        Kind::Map(entries) => entries.as_slice(),
        _ => &[],
    };
    entries.iter().filter_map(move |(key, node)| match &key.kind {
        Kind::Str(name) => {
            Some((name.as_str(), Value { path: format!("{path}.{name}"), node, key: key.span.clone() }))
        }
        _ => None,
    })
}

/// The value of a key, if both are written.
pub(super) fn get<'t>(value: &Value<'t>, name: &str) -> Option<Value<'t>> {
    map(value)
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
        .filter(|value| value.node.kind != Kind::Null)
}

/// A list of names, or one name.
pub(super) fn list<'t>(value: &Value<'t>, name: &str) -> Vec<Value<'t>> {
    let Some(value) = get(value, name) else { return Vec::new() };
    match &value.node.kind {
        Kind::Seq(items) => items
            .iter()
            .map(|node| Value { path: value.path.clone(), node, key: node.used.clone() })
            .collect(),
        _ => vec![value],
    }
}

/// The names of the entries of a map.
pub(super) fn names<'t>(value: &Value<'t>) -> impl Iterator<Item = &'t str> + use<'t> {
    map(value).map(|(name, _)| name)
}
