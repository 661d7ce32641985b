//! The checker: reads typed values from nodes. It notes every mistake, and goes on after it.
//!
//! A reader opens a section ([`Section::open`](super::Section::open) reports unknown and duplicate keys), starts with the
//! defaults, and replaces them by what is written with [`Section::read`](super::Section::read). If a value cannot be read, the
//! mistake is noted and the default stays. So reading goes on and finds the next mistake. The result counts only if
//! [`Checker::finish`] finds no mistake.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::diagnostic::{Diagnostics, Finding, Span, quoted, short};
use super::expand::{BadReference, Environment, Unset, Why, conceal, expand};
use super::foreign::Document;
use super::key::{Key, enumerate, has_default};
use super::node::{Kind, Node};
use super::refusal::Refusal;
use super::units;
use logql::nearest::nearest;

/// The name of a document in messages, unless [`Checker::about`] sets another one.
const THE_CONFIGURATION: &str = "the configuration";

/// One run of checks over one source, and what it has noted.
pub(crate) struct Checker<'a> {
    pub(super) keys: &'static [Key],
    pub(super) source: &'a str,
    env: &'a Environment<'a>,
    unset: Unset,
    /// The name of the document in messages.
    what: &'static str,
    findings: RefCell<Vec<Finding>>,
    noted: RefCell<HashSet<(Option<Span>, String)>>,
    claims: RefCell<HashMap<String, (String, Span)>>,
    secrets: RefCell<Vec<Span>>,
    /// Variables that were expanded, with their values.
    expanded: RefCell<Vec<(String, String)>>,
    /// Findings in files that this one names.
    others: RefCell<Vec<Diagnostics>>,
}

/// A value, with its path in messages.
#[derive(Clone)]
pub(crate) struct Value<'t> {
    /// As in `loki[0].batch.max_bytes`.
    pub(crate) path: String,
    pub(crate) node: &'t Node,
    /// The place of its key. For an item of a list, it is the item itself.
    pub(crate) key: Span,
}

impl Value<'_> {
    /// The place for a message: the value, or its key if there is no value.
    pub(crate) fn place(&self) -> Span {
        if self.node.kind == Kind::Null { self.key.clone() } else { self.node.span.clone() }
    }
}

/// An entry of a map whose keys are chosen by the user.
pub(crate) struct Entry<'t> {
    pub(crate) name: &'t str,
    pub(crate) value: Value<'t>,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(
        keys: &'static [Key],
        source: &'a str,
        secrets: Vec<Span>,
        env: &'a Environment<'a>,
    ) -> Self {
        Self {
            keys,
            source,
            env,
            unset: Unset::Mistake,
            what: THE_CONFIGURATION,
            findings: RefCell::default(),
            noted: RefCell::default(),
            claims: RefCell::default(),
            secrets: RefCell::new(secrets),
            expanded: RefCell::default(),
            others: RefCell::default(),
        }
    }

    /// Sets the name of the document in messages.
    pub(crate) fn about(mut self, what: &'static str) -> Self {
        self.what = what;
        self
    }

    /// Notes that the document, a file of this name, is of another kind.
    pub(crate) fn note_foreign(&self, document: Document, file: &str) {
        let wanted = match self.what {
            THE_CONFIGURATION => "journal-ship's configuration".to_owned(),
            what => what.replacen("the ", "a ", 1),
        };
        let title = format!("this is {}, where {wanted} is expected", document.name());
        self.note(Finding::nowhere(title).help(document.advice(file)));
    }

    /// The name of a value in a message.
    pub(super) fn name(&self, value: &Value<'_>) -> String {
        if value.path.is_empty() { self.what.to_owned() } else { format!("`{}`", value.path) }
    }

    /// Sets what variables without a value mean.
    pub(crate) fn unset(mut self, unset: Unset) -> Self {
        self.unset = unset;
        self
    }

    /// Whether variables without a value are mistakes. If they are, the document is checked on the machine that uses it.
    pub(crate) fn is_at_home(&self) -> bool {
        self.unset == Unset::Mistake
    }

    /// Adds what was found in another file.
    pub(crate) fn attach(&self, found: Diagnostics) {
        self.others.borrow_mut().push(found);
    }

    /// Notes a mistake. It is noted once, even if aliases lead to the same place again.
    pub(crate) fn note(&self, finding: Finding) {
        if self.noted.borrow_mut().insert((finding.place.clone(), finding.label.clone())) {
            self.findings.borrow_mut().push(finding);
        }
    }

    /// Notes a warning: the document is valid, but may not do what its author expects.
    pub(crate) fn warn(&self, finding: Finding) {
        self.note(finding.warning());
    }

    /// Whether no mistake was noted so far. Only then it is known what was meant.
    pub(crate) fn is_clean(&self) -> bool {
        self.findings.borrow().iter().all(|finding| finding.warning)
            && self.others.borrow().iter().all(|other| other.count() == 0)
    }

    /// Records what a name means. A name must mean the same everywhere in the document. The error is the first meaning of the
    /// name, if it is another one, and its place.
    pub(crate) fn claim(&self, name: &str, meaning: &str, place: Span) -> Result<(), (String, Span)> {
        let mut claims = self.claims.borrow_mut();
        let (first, at) = claims.entry(name.to_owned()).or_insert_with(|| (meaning.to_owned(), place));
        if first == meaning { Ok(()) } else { Err((first.clone(), at.clone())) }
    }

    /// Hides a place in all messages, because it may hold a credential.
    pub(crate) fn hide(&self, place: Span) {
        self.secrets.borrow_mut().push(place);
    }

    /// Returns `built` and the warnings, if no mistake was noted.
    pub(crate) fn finish<T>(self, origin: &str, built: T) -> Result<(T, Diagnostics), Diagnostics> {
        let mut findings = self.findings.into_inner();
        let expanded = self.expanded.into_inner();
        findings.iter_mut().flat_map(Finding::texts).for_each(|text| conceal(text, &expanded));
        let mut diagnostics = Diagnostics::new(origin, self.source, self.secrets.into_inner(), findings);
        self.others.into_inner().into_iter().for_each(|other| diagnostics.append(other));
        if diagnostics.titles().next().is_some() { Err(diagnostics) } else { Ok((built, diagnostics)) }
    }

    pub(crate) fn wrong_kind(&self, value: &Value<'_>, expected: &str) {
        let title = match value.node.kind {
            Kind::Null => format!("{} has no value", self.name(value)),
            _ => format!("{} cannot be {}", self.name(value), value.node.kind.name()),
        };
        let finding = Finding::at(value.place(), title).label(format!("expected {expected}"));
        self.note(match &value.node.kind {
            Kind::Null if has_default(self.keys, &value.path) => {
                finding.help("remove the key to take the default")
            }
            _ => finding,
        });
    }

    pub(crate) fn refuse(&self, place: Span, path: &str, refusal: Refusal) {
        let title = if path.is_empty() { refusal.what } else { format!("`{path}`: {}", refusal.what) };
        let finding = Finding::at(place, title).label(refusal.expected);
        self.note(match refusal.help {
            Some(help) => finding.help(help),
            None => finding,
        });
    }

    /// The text of a string, with environment variables expanded.
    pub(crate) fn text(&self, value: &Value<'_>, expected: &str) -> Option<String> {
        match &value.node.kind {
            Kind::Str(text) => match expand(text, &|name| self.variable(name)) {
                Ok(text) => Some(text.into_owned()),
                Err(errors) => {
                    self.note_references(value, text, errors);
                    None
                }
            },
            _ => {
                self.wrong_kind(value, expected);
                None
            }
        }
    }

    /// The value of an environment variable. It is remembered, because it may be a secret.
    fn variable(&self, name: &str) -> Option<String> {
        let value = (self.env)(name)?;
        self.expanded.borrow_mut().push((name.to_owned(), value.clone()));
        Some(value)
    }

    /// Notes each bad reference at its place in the source. If the source writes the text in another way (escapes, folded
    /// lines), the place is the whole scalar.
    fn note_references(&self, value: &Value<'_>, text: &str, errors: Vec<BadReference>) {
        let scalar = value.node.span.clone();
        let mut from = Some(scalar.start);
        for error in errors {
            let reference = text.get(error.at).unwrap_or_default();
            let found = from.and_then(|from| {
                let start = from + self.source.get(from..scalar.end)?.find(reference)?;
                Some(start..start + reference.len())
            });
            from = found.as_ref().map(|found| found.end);
            let title = format!("{}: {}", self.name(value), error.why);
            let finding = Finding::at(found.unwrap_or(scalar.clone()), title);
            match (&error.why, self.unset) {
                (Why::Unset(_), Unset::Unknown) => self.warn(finding.label("not checked")),
                _ => self.note(finding.label(error.why.expected()).help(error.why.help())),
            }
        }
    }

    /// Reads a string that `rule` accepts.
    pub(crate) fn checked(
        &self,
        value: &Value<'_>,
        expected: &str,
        rule: impl Fn(&str) -> Result<(), Refusal>,
    ) -> Option<String> {
        if matches!(value.node.kind, Kind::Bool(_) | Kind::Int(_) | Kind::Float(_)) {
            let written = self.source.get(value.node.span.clone()).unwrap_or_default();
            if rule(written).is_ok() {
                let title = format!("{} cannot be {}", self.name(value), value.node.kind.name());
                let finding = Finding::at(value.place(), title).label(format!("expected {expected}"));
                self.note(finding.help(format!("in quotes it is a string: '{written}'")));
                return None;
            }
        }
        let text = self.text(value, expected)?;
        match rule(&text) {
            Ok(()) => Some(text),
            Err(refusal) => {
                self.refuse(value.place(), &value.path, refusal);
                None
            }
        }
    }

    /// Reads a scalar with a unit. To YAML, it may look like a number (`0`, `4096`).
    pub(crate) fn measure<T: PartialOrd>(
        &self,
        value: &Value<'_>,
        (kind, examples): (&str, &str),
        range: &RangeInclusive<T>,
        parse: impl Fn(&str) -> Result<T, units::UnitError>,
        format: impl Fn(&T) -> String,
    ) -> Option<T> {
        let expected = format!("{kind} such as {examples}");
        let text = match &value.node.kind {
            Kind::Int(text) | Kind::Float(text) => text.clone(),
            _ => self.text(value, &expected)?,
        };
        let title = |what: &str| format!("{}: {} is {what}", self.name(value), quoted(&text));
        match parse(&text) {
            Ok(measure) if range.contains(&measure) => Some(measure),
            Ok(measure) => {
                let (least, most) = (range.start(), range.end());
                let side = if measure < *least { "too small" } else { "too large" };
                let bounds = format!("expected {} to {}", format(least), format(most));
                self.note(Finding::at(value.place(), title(side)).label(bounds));
                None
            }
            Err(error) => {
                let finding = Finding::at(value.place(), title(&format!("not {kind}")));
                self.note(finding.label(format!("expected {expected}")).note(error.to_string()));
                None
            }
        }
    }

    /// Reads a duration within limits.
    pub(crate) fn duration(&self, value: &Value<'_>, range: &RangeInclusive<Duration>) -> Option<Duration> {
        let kind = ("a duration", "`500ms`, `10s` or `1h30m`");
        self.measure(value, kind, range, units::parse_duration, |duration| units::format_duration(*duration))
    }

    /// Reads a size within limits (bytes).
    pub(crate) fn size(&self, value: &Value<'_>, range: &RangeInclusive<u64>) -> Option<u64> {
        let kind = ("a size", "`64KiB`, `1MiB` or `1MB`");
        self.measure(value, kind, range, units::parse_size, |size| units::format_size(*size))
    }

    /// Reads one of a few words. Letter case does not matter, as in Promtail and Prometheus.
    pub(crate) fn choice<T: Copy>(&self, value: &Value<'_>, choices: &[(&str, T)]) -> Option<T> {
        let words = || choices.iter().map(|(word, _)| *word);
        let expected = format!("one of {}", enumerate(words()));
        let text = self.text(value, &expected)?;
        if let Some((_, choice)) = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(&text)) {
            return Some(*choice);
        }
        let title = format!("{} cannot be {}", self.name(value), quoted(&text));
        let finding = Finding::at(value.place(), title).label(format!("expected {expected}"));
        self.note(match nearest(&text, words()) {
            Some(word) => finding.help(format!("did you mean `{word}`?")),
            None => finding,
        });
        None
    }

    /// The items of a list.
    pub(crate) fn list<'t>(&self, value: &Value<'t>, expected: &str) -> Option<Vec<Value<'t>>> {
        match &value.node.kind {
            Kind::Seq(items) => Some(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, node)| Value {
                        path: format!("{}[{index}]", value.path),
                        node,
                        key: node.used.clone(),
                    })
                    .collect(),
            ),
            _ => {
                self.wrong_kind(value, expected);
                None
            }
        }
    }

    /// Reads every item of a list. A mistake in one item does not hide mistakes in others. A key without a value (`paths:`)
    /// counts as not written.
    pub(crate) fn each<'t, T>(
        &self,
        value: &Value<'t>,
        expected: &str,
        read: impl FnMut(&Value<'t>) -> Option<T>,
    ) -> Option<Vec<T>> {
        if value.node.kind == Kind::Null {
            return None;
        }
        let read: Vec<Option<T>> = self.list(value, expected)?.iter().map(read).collect();
        read.into_iter().collect()
    }

    /// The entries of a map. Duplicate keys are noted and left out.
    pub(crate) fn entries<'t>(&self, value: &Value<'t>, expected: &str) -> Option<Vec<Entry<'t>>> {
        let Kind::Map(written) = &value.node.kind else {
            self.wrong_kind(value, expected);
            return None;
        };
        let mut entries: Vec<Entry<'t>> = Vec::with_capacity(written.len());
        let mut seen = HashMap::new();
        for (key, node) in written {
            let Kind::Str(name) = &key.kind else {
                let title = format!("a key cannot be {}", key.kind.name());
                let finding = Finding::at(key.span.clone(), title).label("expected a name");
                self.note(match key.kind {
                    Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) => finding.help("put it in quotes"),
                    _ => finding,
                });
                continue;
            };
            if let Some(first) = seen.insert(name.as_str(), key.span.clone()) {
                self.note(
                    Finding::at(key.span.clone(), format!("the key {} stands twice", quoted(name)))
                        .label("remove one of them")
                        .related(first.clone(), "first here"),
                );
                seen.insert(name, first);
                continue;
            }
            let dot = if value.path.is_empty() { "" } else { "." };
            let path = format!("{}{dot}{}", value.path, short(name));
            entries.push(Entry { name, value: Value { path, node, key: key.span.clone() } });
        }
        Some(entries)
    }
}
