//! The labels of one entry on its way through a pipeline: those of its stream, its structured metadata, and what
//! stages have extracted (grafana/loki, `pkg/logql/log/labels.go`, `parser_hints.go`).

use std::borrow::Cow;

use super::added::{Added, Label};
use super::lines::Categories;
use crate::expr::Grouping;
use crate::label_set::{LABEL_VALUE_MAX, LabelSet, cut};

/// The label that says which stage failed.
pub const ERROR: &str = "__error__";
/// The label that says why.
pub const DETAILS: &str = "__error_details__";
/// This label is set with an error that the query asks for: the error does not end the query.
pub const PRESERVE: &str = "__preserve_error__";
/// Stands behind the name of an extracted label if the stream or the metadata have a label of that name.
pub(super) const DUPLICATE: &str = "_extracted";
/// Most that the labels which stages add to one entry take together (bytes): sixteen times the longest line. A path or a group can take the
/// whole line each, and a template can double what another made: what is over this is cut.
const ADDED_MAX: usize = 4 << 20;

/// The labels that a query needs of an entry: parsers extract no others, and stop when they have them all. This
/// also decides about errors: a mistake behind the last wanted value is not found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Hints {
    /// The query needs no label.
    pub(super) nothing: bool,
    /// The query needs these labels; empty: all labels.
    pub(super) required: Vec<String>,
}

impl Hints {
    /// Of the labels that stages and groupings name.
    pub(super) fn of<'n>(names: impl Iterator<Item = &'n str>) -> Hints {
        let mut required: Vec<String> = Vec::new();
        // A label may be called so because of a clash, which parsers do not know of yet.
        for name in names.flat_map(|name| [Some(name), name.strip_suffix(DUPLICATE)]).flatten() {
            if !required.iter().any(|known| known == name) {
                required.push(name.to_owned());
            }
        }
        Hints { nothing: required.is_empty(), required }
    }

    fn preserves_errors(&self) -> bool {
        self.required.iter().any(|name| name == ERROR)
    }
}

/// The labels of an entry.
pub(super) struct Row<'a> {
    stream: &'a LabelSet,
    /// When the entry was written (nanoseconds since 1970).
    time: i64,
    hints: &'a Hints,
    added: Added,
    deleted: Vec<String>,
    error: &'static str,
    details: String,
}

impl<'a> Row<'a> {
    /// When the entry was written (nanoseconds since 1970).
    pub(super) fn time(&self) -> i64 {
        self.time
    }

    /// Those that an entry comes with.
    pub(super) fn new<'m>(
        stream: &'a LabelSet,
        time: i64,
        hints: &'a Hints,
        metadata: impl Iterator<Item = (&'m str, &'m str)>,
    ) -> Row<'a> {
        let mut row = Row {
            stream,
            time,
            hints,
            added: Added::default(),
            deleted: Vec::new(),
            error: "",
            details: String::new(),
        };
        for (name, value) in metadata {
            let name = match row.stream.get(name) {
                Some(_) => format!("{name}{DUPLICATE}"),
                None => name.to_owned(),
            };
            row.insert(&name, value.to_owned(), false);
        }
        row
    }

    fn insert(&mut self, name: &str, mut value: String, parsed: bool) {
        // Short ones cannot be so many.
        if value.len() > LABEL_VALUE_MAX {
            let others = self.added.iter().filter(|added| added.name != name);
            let taken: usize = others.map(|added| added.value.len()).sum();
            value = cut(value.into(), ADDED_MAX.saturating_sub(taken)).into_owned();
            // A text that was cut, or that a template has made, has room behind it.
            value.shrink_to_fit();
        }
        self.added.insert(name, value, parsed);
    }

    /// The value of a label that is there, even if it is empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        if let Some(label) = self.added.get(name) {
            return Some(&label.value);
        }
        if self.deleted.iter().any(|deleted| deleted == name) {
            return None;
        }
        self.stream.get(name)
    }

    /// The value that a filter of texts sees.
    pub(super) fn text(&self, name: &str) -> &str {
        if name == ERROR { self.error } else { self.get(name).unwrap_or_default() }
    }

    /// Sets a label.
    pub(super) fn set(&mut self, name: &str, value: String) {
        self.insert(name, value, true);
    }

    /// Takes a label away.
    pub(super) fn delete(&mut self, name: &str) {
        self.added.remove(name);
        self.deleted.push(name.to_owned());
    }

    /// Whether parsers have nothing to do any more.
    pub(super) fn is_complete(&self) -> bool {
        let required = &self.hints.required;
        self.hints.nothing
            || (!required.is_empty() && required.iter().all(|name| self.added.was_extracted(name)))
    }

    /// Whether all that is required was extracted.
    pub(super) fn has_all(&self) -> bool {
        !self.hints.nothing && self.is_complete()
    }

    /// Whether something below this name is wanted.
    pub(super) fn wants_below(&self, prefix: &str) -> bool {
        self.hints.required.is_empty() || self.hints.required.iter().any(|name| name.starts_with(prefix))
    }

    /// The name that an extracted value gets.
    pub(super) fn free_name<'n>(&self, name: &'n str) -> Cow<'n, str> {
        let metadata = || self.added.get(name).is_some_and(|label| !label.parsed);
        match self.stream.get(name).is_some() || metadata() {
            true => Cow::Owned(format!("{name}{DUPLICATE}")),
            false => Cow::Borrowed(name),
        }
    }

    /// Whether a value of this name is wanted and not known yet: the first one counts.
    pub(super) fn wants(&self, name: &str) -> bool {
        let required = &self.hints.required;
        (required.is_empty() || required.iter().any(|wanted| wanted == name))
            && !self.added.was_extracted(name)
    }

    /// Sets a value that a parser has found, if it is wanted. A line cannot set the labels that say how the query went.
    pub(super) fn extract(&mut self, name: &str, value: impl FnOnce() -> String) {
        if [ERROR, DETAILS, PRESERVE].contains(&name) {
            return;
        }
        let name = self.free_name(name);
        if self.wants(&name) {
            self.set(&name, value());
        }
    }

    /// A stage has failed.
    pub(super) fn fail(&mut self, error: &'static str, details: impl Into<String>) {
        self.error = error;
        self.details = details.into();
    }

    /// As [`Row::fail`], if no stage has before.
    pub(super) fn fail_first(&mut self, error: &'static str, details: impl Into<String>) {
        if self.error.is_empty() {
            self.fail(error, details);
        }
    }

    /// A parser has failed. A query that asks for errors gets them.
    pub(super) fn fail_parser(&mut self, error: &'static str, details: impl Into<String>) {
        self.fail(error, details);
        if self.hints.preserves_errors() {
            self.set(PRESERVE, "true".to_owned());
        }
    }

    /// Whether a stage has failed.
    pub(super) fn has_failed(&self) -> bool {
        !self.error.is_empty()
    }

    /// The failure and why it was.
    pub(super) fn failure(&self) -> (&str, &str) {
        (self.error, &self.details)
    }

    /// Forgets the failure.
    pub(super) fn forget_error(&mut self) {
        self.error = "";
    }

    /// Forgets why it was.
    pub(super) fn forget_details(&mut self) {
        self.details.clear();
    }

    /// All labels by where they come from, failures among what stages have set.
    pub(super) fn categories(&self) -> Categories {
        let mut labels = Categories { stream: self.stream.clone(), ..Categories::default() };
        for name in self.deleted.iter().chain(self.added.iter().map(|label| &label.name)) {
            labels.stream.remove(name);
        }
        for (category, which) in [(&mut labels.metadata, false), (&mut labels.parsed, true)] {
            let own = self.added.iter().filter(|label| label.parsed == which);
            let bytes = own.clone().map(|label| label.name.len() + label.value.len());
            category.reserve(own.clone().count(), bytes.sum());
        }
        for Label { name, value, parsed, .. } in self.added.sorted() {
            let category = if *parsed { &mut labels.parsed } else { &mut labels.metadata };
            category.insert_whole(name, value);
        }
        labels.parsed.insert_whole(ERROR, self.error);
        labels.parsed.insert_whole(DETAILS, &self.details);
        labels
    }

    /// The labels that name a series.
    pub(super) fn grouped(&self, groups: &Grouping) -> LabelSet {
        if groups.without {
            return groups.group(&self.labels());
        }
        let mut labels = LabelSet::default();
        // In Loki a name that was taken away is out of `by`, even where a stage has set it again.
        for name in groups.labels.iter().filter(|name| !self.deleted.contains(name)) {
            labels.insert_whole(name, self.get(name).unwrap_or_default());
        }
        labels
    }

    /// All labels, failures among them.
    pub(super) fn labels(&self) -> LabelSet {
        let mut labels = self.stream.clone();
        for name in &self.deleted {
            labels.remove(name);
        }
        for Label { name, value, .. } in self.added.sorted() {
            labels.insert_whole(name, value);
        }
        labels.insert_whole(ERROR, self.error);
        labels.insert_whole(DETAILS, &self.details);
        labels
    }
}
