//! Sections: maps whose keys a table knows.

use super::check::{Checker, Entry, Value};
use super::diagnostic::{Finding, quoted};
use super::key::{Key, enumerate, names_in, null_is_default, sections_with};
use super::node::Kind;
use logql::nearest::nearest;

/// A section: a map whose keys the table of keys knows.
pub(crate) struct Section<'t> {
    keys: &'static [Key],
    schema: String,
    entries: Vec<Entry<'t>>,
    /// Names that were probably meant by unknown keys.
    meant: Vec<&'static str>,
}

impl<'t> Section<'t> {
    /// Opens the section that the table of keys calls `schema`. An empty section holds nothing.
    pub(crate) fn open(checker: &Checker<'_>, value: &Value<'t>, schema: &str) -> Option<Self> {
        if value.node.kind == Kind::Null {
            let schema = schema.to_owned();
            return Some(Self { keys: checker.keys, schema, entries: Vec::new(), meant: Vec::new() });
        }
        let names = || names_in(checker.keys, schema);
        let mut entries = checker.entries(value, &format!("a map with {}", enumerate(names())))?;
        let mut meant = Vec::new();
        entries.retain(|entry| {
            let known = names().any(|name| name == entry.name);
            if !known {
                meant.extend(nearest(entry.name, names()));
                checker.note(unknown_key(checker.keys, entry, schema));
            }
            known
        });
        Some(Self { keys: checker.keys, schema: schema.to_owned(), entries, meant })
    }

    /// Whether an unknown key probably means this one. Then it is not missing as well: one slip is one mistake.
    pub(crate) fn is_meant(&self, name: &str) -> bool {
        self.meant.contains(&name)
    }

    /// The value of a key, if it is written.
    pub(crate) fn get(&self, name: &str) -> Option<&Value<'t>> {
        self.entries.iter().find(|entry| entry.name == name).map(|entry| &entry.value)
    }

    /// All keys that are written, with their values.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'t str, &Value<'t>)> {
        self.entries.iter().map(|entry| (entry.name, &entry.value))
    }

    /// Reads a key without a default. If it is missing, that is noted.
    pub(crate) fn required<T>(
        &self,
        checker: &Checker<'_>,
        section: &Value<'_>,
        name: &str,
        read: impl FnOnce(&Value<'t>) -> Option<T>,
    ) -> Option<T> {
        match self.get(name) {
            Some(value) => read(value),
            None if self.is_meant(name) => None,
            None => {
                let title = format!("{} has no `{name}`", checker.name(section));
                checker.note(Finding::at(section.key.clone(), title).label(format!("expected `{name}: …`")));
                None
            }
        }
    }

    /// Replaces `target` by what is written, if it can be read. `null` counts as not written if it is the default.
    pub(crate) fn read<T>(&self, name: &str, target: &mut T, read: impl FnOnce(&Value<'t>) -> Option<T>) {
        let unset = |value: &&Value<'t>| {
            value.node.kind == Kind::Null && null_is_default(self.keys, &self.schema, name)
        };
        if let Some(value) = self.get(name).filter(|value| !unset(value)).and_then(read) {
            *target = value;
        }
    }
}

fn unknown_key(keys: &'static [Key], entry: &Entry<'_>, schema: &str) -> Finding {
    let finding = Finding::at(entry.value.key.clone(), format!("unknown key {}", quoted(entry.name)));
    if let Some(name) = nearest(entry.name, names_in(keys, schema)) {
        return finding.label(format!("did you mean `{name}`?"));
    }
    let elsewhere: Vec<String> = sections_with(keys, entry.name)
        .map(|section| if section.is_empty() { "the top".to_owned() } else { format!("`{section}`") })
        .collect();
    let finding = finding.label(format!("expected one of {}", enumerate(names_in(keys, schema))));
    if elsewhere.is_empty() {
        return finding;
    }
    let elsewhere = elsewhere.join(" or ");
    finding.help(format!("`{}` belongs to {elsewhere}: is the indentation right?", entry.name))
}
