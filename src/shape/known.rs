//! The labels that entries may have after labels and stages, and the values of these labels, as far as the configuration
//! tells. With this, selectors that select nothing are found.

use std::collections::BTreeMap;

use super::Sections;
use super::labels::RelabelAction;
use super::stages::StageSettings;
use super::trust::Origins;
use crate::journal::values::{Shape, has_many_values, of_field};
use crate::yaml::{Checker, Kind, Lint, Value};
use logql::Matcher;
use logql::nearest::nearest;

/// The values of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Values {
    /// What the values look like. An empty list: they may be anything.
    shapes: Vec<Shape>,
    /// Whether every entry has the label.
    always: bool,
}

/// The labels and the metadata that entries may have when rules see them.
#[derive(Debug, Default)]
pub struct KnownLabels {
    values: BTreeMap<String, Values>,
    before_stages: Vec<String>,
    metadata: Vec<String>,
    /// Labels with a value for each process or entry.
    many: Vec<String>,
    /// Whether relabelling may make labels of any name.
    open: bool,
    /// The label that tells hosts apart, if there is one.
    host: Option<String>,
    /// Who decides the values of the labels.
    origins: Origins,
}

impl KnownLabels {
    /// The labels of a configuration.
    pub fn new<'c>(sections: impl Into<Sections<'c>>) -> KnownLabels {
        let sections = sections.into();
        let Sections { labels, metadata, stages, .. } = sections;
        let origins = Origins::new(sections);
        let mut known = KnownLabels { origins, ..KnownLabels::default() };
        let always = labels.relabel.is_empty() && stages.is_empty();
        for (name, value) in &labels.fixed {
            let shapes = vec![Shape::Words(vec![value.clone()])];
            known.values.insert(name.clone(), Values { shapes, always });
        }
        for rule in &labels.fields {
            let shapes: Option<Vec<Shape>> = rule.sources.iter().map(|field| of_field(field)).collect();
            known
                .values
                .insert(rule.name.clone(), Values { shapes: shapes.unwrap_or_default(), always: false });
            if rule.sources.iter().any(|source| has_many_values(source)) {
                known.many.push(rule.name.clone());
            }
            if rule.sources.iter().all(|source| source == "_HOSTNAME") {
                known.host = Some(rule.name.clone());
            }
        }
        for rule in &labels.relabel {
            match &rule.action {
                RelabelAction::Replace { target, .. } if target.contains('$') => known.open = true,
                RelabelAction::LabelMap { .. } => known.open = true,
                RelabelAction::Replace { target, .. }
                | RelabelAction::HashMod { target, .. }
                | RelabelAction::Lowercase { target }
                | RelabelAction::Uppercase { target } => known.add(target),
                _ => {}
            }
        }
        known.metadata = metadata.iter().map(|rule| rule.name.clone()).collect();
        known.before_stages = known.values.keys().cloned().collect();
        known.staged(stages);
        known
    }

    /// Nothing is known: there may be any labels.
    pub(crate) fn any() -> KnownLabels {
        KnownLabels { open: true, ..KnownLabels::default() }
    }

    /// Adds labels that exist from the beginning and may have any value.
    pub(crate) fn with<'n>(mut self, names: impl IntoIterator<Item = &'n str>) -> KnownLabels {
        for name in names {
            self.add(name);
            self.before_stages.push(name.to_owned());
        }
        self
    }

    fn add(&mut self, name: &str) {
        self.values.insert(name.to_owned(), Values { shapes: Vec::new(), always: false });
    }

    /// Adds the labels and metadata that stages set.
    fn staged(&mut self, stages: &[StageSettings]) {
        for stage in stages.iter().map(StageSettings::settings) {
            stage.labels().iter().for_each(|(name, _)| self.add(name));
            self.metadata.extend(stage.metadata().into_iter().map(str::to_owned));
            if let Some((_, inner)) = stage.inner() {
                self.staged(inner);
            }
        }
    }

    /// Who decides the values of the labels.
    pub(crate) fn origins(&self) -> &Origins {
        &self.origins
    }

    /// The names of the labels that entries may have before the first stage.
    pub(crate) fn before_stages(&self) -> impl Iterator<Item = &str> {
        self.before_stages.iter().map(String::as_str)
    }

    /// The names of the labels.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// The names of the metadata.
    pub(crate) fn metadata(&self) -> impl Iterator<Item = &str> {
        self.metadata.iter().map(String::as_str)
    }

    /// The names that split series which belong together: metadata, and labels with a value for each process or entry.
    pub(crate) fn splitting(&self) -> impl Iterator<Item = &str> {
        self.metadata.iter().chain(&self.many).map(String::as_str)
    }

    /// Whether there may be labels of other names.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// The label that tells hosts apart.
    pub(crate) fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// Whether a selector asks for something that no entry has.
    pub(crate) fn of_nobody(&self, matchers: &[Matcher]) -> Option<Lint> {
        let matcher = matchers.iter().find(|matcher| {
            let absent = matcher.matches("");
            match self.values.get(matcher.name()) {
                Some(Values { shapes, always }) => {
                    let may = shapes.is_empty() || shapes.iter().any(|shape| shape.may_match(matcher));
                    !may && (!absent || *always)
                }
                None => !self.open && !absent,
            }
        })?;
        let name = matcher.name();
        let help = match self.values.get(name) {
            Some(values) => {
                let helps = values.shapes.iter().map(|shape| shape.help(name, matcher));
                let helps: Vec<_> = helps.collect();
                let meant = helps.iter().find(|help| help.starts_with("did you mean"));
                meant.cloned().unwrap_or_else(|| helps.join("; or "))
            }
            None if self.metadata().any(|other| other == name) => {
                format!(
                    "`{name}` is structured metadata, which selects no stream: in a rule write `| {matcher}` behind the selector"
                )
            }
            None => match nearest(name, self.names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    let all: Vec<_> = self.names().map(|name| format!("`{name}`")).collect();
                    format!("there are {}, from `labels` and the stages", all.join(", "))
                }
            },
        };
        Some(Lint {
            title: format!("no entry has {matcher}"),
            label: "this selects nothing".to_owned(),
            help,
            part: Some(matcher.to_string()),
        })
    }

    /// Warns of a selector that selects nothing.
    pub(crate) fn check_selector(&self, checker: &Checker<'_>, value: &Value<'_>) {
        let Some(parsed) = checker.selector(value) else { return };
        if let Some(lint) = self.of_nobody(parsed.matchers()) {
            let written = match &value.node.kind {
                Kind::Str(text) => text,
                _ => "",
            };
            checker.tell(value, written, lint);
        }
    }
}
