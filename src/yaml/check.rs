//! The checker: from nodes as written to typed values, every mistake noted and none of them final.
//!
//! A reader of a section opens it ([`Section::open`](super::Section::open) reports unknown and duplicate keys), starts from the
//! section's default, and overlays what is written with [`Section::read`](super::Section::read). A value that cannot be read is
//! noted and leaves the default standing, so reading goes on and finds the next mistake; the result
//! counts only if [`Checker::finish`] finds that nothing was noted.

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

/// What a document is called unless [`Checker::about`] says otherwise.
const THE_CONFIGURATION: &str = "the configuration";

/// What one run of checks has noted about one source.
pub(crate) struct Checker<'a> {
    pub(super) keys: &'static [Key],
    pub(super) source: &'a str,
    env: &'a Environment<'a>,
    unset: Unset,
    /// What the document is called in messages.
    what: &'static str,
    findings: RefCell<Vec<Finding>>,
    noted: RefCell<HashSet<(Option<Span>, String)>>,
    claims: RefCell<HashMap<String, (String, Span)>>,
    secrets: RefCell<Vec<Span>>,
    /// Variables that were expanded, with their values.
    expanded: RefCell<Vec<(String, String)>>,
    /// What was found in files that this one names.
    others: RefCell<Vec<Diagnostics>>,
}

/// A value together with the name it is known by in messages.
#[derive(Clone)]
pub(crate) struct Value<'t> {
    /// As in `loki[0].batch.max_bytes`.
    pub(crate) path: String,
    pub(crate) node: &'t Node,
    /// Where its key stands; for an item of a list, the item itself.
    pub(crate) key: Span,
}

impl Value<'_> {
    /// Where to point: at the value, or at the key of a value left out.
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

    /// Calls the document something else than the configuration.
    pub(crate) fn about(mut self, what: &'static str) -> Self {
        self.what = what;
        self
    }

    /// Notes that the document is of another kind.
    pub(crate) fn note_foreign(&self, document: Document) {
        let wanted = match self.what {
            THE_CONFIGURATION => "journal-ship's configuration".to_owned(),
            what => what.replacen("the ", "a ", 1),
        };
        let title = format!("this is {}, where {wanted} is expected", document.name());
        self.note(Finding::nowhere(title).help(document.advice()));
    }

    /// What a value is called in a message.
    pub(super) fn name(&self, value: &Value<'_>) -> String {
        if value.path.is_empty() { self.what.to_owned() } else { format!("`{}`", value.path) }
    }

    /// Takes variables without a value as told.
    pub(crate) fn unset(mut self, unset: Unset) -> Self {
        self.unset = unset;
        self
    }

    /// Whether variables without a value are mistakes: then the document is checked where it is used.
    pub(crate) fn is_at_home(&self) -> bool {
        self.unset == Unset::Mistake
    }

    /// Adds what was found in another file.
    pub(crate) fn attach(&self, found: Diagnostics) {
        self.others.borrow_mut().push(found);
    }

    /// Notes a mistake; once, though aliases may lead to the same place again.
    pub(crate) fn note(&self, finding: Finding) {
        if self.noted.borrow_mut().insert((finding.place.clone(), finding.label.clone())) {
            self.findings.borrow_mut().push(finding);
        }
    }

    /// Notes a warning: the document is valid, but does not do what its author may expect.
    pub(crate) fn warn(&self, finding: Finding) {
        self.note(finding.warning());
    }

    /// Whether no mistake was noted so far: only then is known what was meant.
    pub(crate) fn is_clean(&self) -> bool {
        self.findings.borrow().iter().all(|finding| finding.warning)
            && self.others.borrow().iter().all(|other| other.count() == 0)
    }

    /// Records what a name means, for names that must mean the same everywhere in the document. An error holds another meaning
    /// that the name had first, and its place.
    pub(crate) fn claim(&self, name: &str, meaning: &str, place: Span) -> Result<(), (String, Span)> {
        let mut claims = self.claims.borrow_mut();
        let (first, at) = claims.entry(name.to_owned()).or_insert_with(|| (meaning.to_owned(), place));
        if first == meaning { Ok(()) } else { Err((first.clone(), at.clone())) }
    }

    /// Keeps a place out of every message: it may hold a credential.
    pub(crate) fn hide(&self, place: Span) {
        self.secrets.borrow_mut().push(place);
    }

    /// `built` with the warnings, if no mistake was noted on the way.
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

    /// The text of a string, environment variables expanded.
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

    /// The value of an environment variable, which is remembered: it may be a secret.
    fn variable(&self, name: &str) -> Option<String> {
        let value = (self.env)(name)?;
        self.expanded.borrow_mut().push((name.to_owned(), value.clone()));
        Some(value)
    }

    /// Notes each bad reference where it stands in the scalar's source; from the first that is spelled
    /// otherwise there (escapes, folded lines), at the whole scalar.
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

    /// A string that `rule` accepts.
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

    /// A scalar with a unit, which may look like a number to YAML (`0`, `4096`).
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

    /// A duration within bounds.
    pub(crate) fn duration(&self, value: &Value<'_>, range: &RangeInclusive<Duration>) -> Option<Duration> {
        let kind = ("a duration", "`500ms`, `10s` or `1h30m`");
        self.measure(value, kind, range, units::parse_duration, |duration| units::format_duration(*duration))
    }

    /// A size in bytes within bounds.
    pub(crate) fn size(&self, value: &Value<'_>, range: &RangeInclusive<u64>) -> Option<u64> {
        let kind = ("a size", "`64KiB`, `1MiB` or `1MB`");
        self.measure(value, kind, range, units::parse_size, |size| units::format_size(*size))
    }

    /// One of a few words, in whatever case: Promtail and Prometheus take capitals, too.
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

    /// Reads every item of a list; a mistake in one item does not hide those in the others. An empty
    /// key (`paths:`) counts as not written.
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

    /// The entries of a map; duplicate keys are noted and left out.
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
