//! Rule files: groups of alert and recording rules, as Loki's ruler reads them (grafana/loki, `pkg/ruler`; the format
//! is that of Prometheus, `model/rulefmt`). What Loki ignores of it (`keep_firing_for`, `query_offset`, `labels` of
//! a group) is done here.

use std::cell::RefCell;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use super::lint::{self, series, templates};
use super::state::{self, Alert};
use crate::observe::metrics::{OWN, is_own};
use crate::shape::known::KnownLabels;
use crate::shape::names;
use crate::yaml::key::key;
use crate::yaml::{
    Checker, Diagnostics, Document, Finding, Key, Kind, Refusal, Section, Value, document, quoted,
};
use logql::Expr;
use logql::go::template::Template;

/// How often a group may be evaluated. Logs are not made for evaluations more often than every second.
const INTERVAL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
/// The limits of all other durations.
const DURATION: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(365 * 24 * 3600);

/// The keys of rule files: those of Loki's ruler (`pkg/ruler`, and `model/rulefmt` of Prometheus).
const KEYS: &[Key] = &[
    key("groups", "list of sections", "required"),
    key("groups[].name", "string", "required"),
    key("groups[].interval", "duration", "null"),
    key("groups[].limit", "whole number", "0"),
    key("groups[].query_offset", "duration", "0s"),
    key("groups[].labels", "map of strings", "{}"),
    key("groups[].rules", "list of sections", "[]"),
    key("groups[].rules[].alert", "string", "null"),
    key("groups[].rules[].record", "string", "null"),
    key("groups[].rules[].expr", "LogQL expression", "required"),
    key("groups[].rules[].for", "duration", "0s"),
    key("groups[].rules[].keep_firing_for", "duration", "0s"),
    key("groups[].rules[].labels", "map of templates", "{}"),
    key("groups[].rules[].annotations", "map of templates", "{}"),
];

/// A group of rules, evaluated together. Durations in nanoseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Unique in its file.
    pub name: String,
    /// How often it is evaluated. `None`: as often as `evaluation_interval` says.
    pub interval: Option<i64>,
    /// The most alerts, or series, that one of its rules may have; 0: any number.
    pub limit: usize,
    /// Evaluations look only at entries that are at least so old.
    pub query_offset: i64,
    /// Its rules, in their order.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// What is evaluated.
    pub expr: Expr,
    /// What becomes of the result.
    pub kind: RuleKind,
}

/// What becomes of a rule's result.
#[derive(Debug, Clone, PartialEq)]
pub enum RuleKind {
    /// Each series is an alert.
    Alert(Alert),
    /// Each series is a gauge of this name, with these labels besides its own.
    Record(String, Vec<(String, String)>),
}

/// What is around the rules. With it, there are warnings about rules that will not do what a person may expect.
#[derive(Debug, Default)]
pub struct Around {
    /// The labels that entries may have.
    pub labels: KnownLabels,
    /// The names of external labels.
    pub external: Vec<String>,
    /// The names of the metrics of stages on /metrics.
    pub metrics: BTreeSet<String>,
    /// The recording rules so far: name and labels, and the file and place where one was first.
    recorded: RefCell<HashMap<Recorded, (String, Range<usize>)>>,
}

/// The name and the labels of a recording rule.
type Recorded = (String, Vec<(String, String)>);

impl Around {
    /// Surroundings without recording rules.
    pub fn new(labels: KnownLabels, external: Vec<String>, metrics: BTreeSet<String>) -> Around {
        Around { labels, external, metrics, ..Around::default() }
    }
}

/// What each part of a file is read with.
#[derive(Clone, Copy)]
struct Reading<'r> {
    checker: &'r Checker<'r>,
    around: Option<&'r Around>,
    /// The file.
    origin: &'r str,
}

/// Reads a rule file; `origin` names it in messages.
///
/// # Errors
/// All mistakes, each at its place.
pub fn parse(
    source: &str,
    origin: &str,
    around: Option<&Around>,
) -> Result<(Vec<Group>, Diagnostics), Diagnostics> {
    let root = document(source, origin)?;
    let environment = |_: &str| None;
    let checker = Checker::new(KEYS, source, Vec::new(), &environment).about("the rule file");
    let value = Value { path: String::new(), key: root.span.clone(), node: &root };
    let foreign = Document::of(&root).filter(|document| *document != Document::Rules);
    let groups = match foreign {
        Some(document) => {
            checker.note_foreign(document, origin);
            None
        }
        None => groups(Reading { checker: &checker, around, origin }, &value),
    };
    checker.finish(origin, groups.unwrap_or_default())
}

fn groups(reading: Reading<'_>, root: &Value<'_>) -> Option<Vec<Group>> {
    let checker = reading.checker;
    let section = Section::open(checker, root, "")?;
    let mut names = HashSet::new();
    section.required(checker, root, "groups", |value| {
        checker.each(value, "a list of groups", |item| {
            let group = group(reading, item)?;
            if !names.insert(group.name.clone()) {
                let title = format!("there are two groups {}", quoted(&group.name));
                checker.note(Finding::at(item.key.clone(), title).label("expected another `name`"));
            }
            Some(group)
        })
    })
}

fn group(reading: Reading<'_>, item: &Value<'_>) -> Option<Group> {
    let checker = reading.checker;
    let section = Section::open(checker, item, "groups[]")?;
    let name = section.required(checker, item, "name", |value| named(checker, value, "the name of a group"));
    let (mut interval, mut limit, mut query_offset) = (None, 0, 0);
    section.read("interval", &mut interval, |value| nanoseconds(checker, value, &INTERVAL).map(Some));
    section.read("limit", &mut limit, |value| checker.integer(value, &(0..=1_000_000)));
    section.read("query_offset", &mut query_offset, |value| nanoseconds(checker, value, &DURATION));
    let mut labels = Vec::new();
    section.read("labels", &mut labels, |value| templates(checker, value, true));
    let mut rules = Vec::new();
    section.read("rules", &mut rules, |value| {
        checker.each(value, "a list of rules", |item| rule(reading, item, &labels, limit as usize))
    });
    Some(Group { name: name?, interval, limit: limit as usize, query_offset, rules })
}

/// `of_group` are the labels of its group, which its own override.
fn rule(
    reading: Reading<'_>,
    item: &Value<'_>,
    of_group: &[(String, Template)],
    limit: usize,
) -> Option<Rule> {
    let checker = reading.checker;
    let section = Section::open(checker, item, "groups[].rules[]")?;
    let recorded = section.get("record").is_some();
    let expr = section.required(checker, item, "expr", |value| expression(reading, value, recorded));
    let name = |key: &str, what: &str| section.get(key).map(|value| named(checker, value, what));
    let (alert, record) = (name("alert", "the name of an alert"), name("record", "the name of a metric"));
    let (mut hold, mut keep_firing) = (0, 0);
    section.read("for", &mut hold, |value| nanoseconds(checker, value, &DURATION));
    section.read("keep_firing_for", &mut keep_firing, |value| nanoseconds(checker, value, &DURATION));
    let (mut labels, mut annotations) = (of_group.to_vec(), Vec::new());
    let mut own = Vec::new();
    section.read("labels", &mut own, |value| templates(checker, value, true));
    labels.retain(|(name, _)| own.iter().all(|(other, _)| other != name));
    labels.extend(own);
    section.read("annotations", &mut annotations, |value| templates(checker, value, false));
    if let (Some(around), Some(value), Some(expr), Some(_)) =
        (reading.around, section.get("expr"), &expr, &alert)
    {
        let critical = labels.iter().any(|(name, text)| name == "severity" && text.source() == "critical");
        let told = around.labels.origins().of_alert(expr, critical);
        told.into_iter().for_each(|lint| checker.tell(value, &text(checker, value), lint));
    }
    let kind = match (alert, record) {
        (Some(_), Some(_)) => {
            let title = format!("`{}` is an alert and a recording rule", item.path);
            checker
                .note(Finding::at(item.key.clone(), title).label("expected `alert` or `record`, not both"));
            return None;
        }
        (None, None) => {
            let title = format!("`{}` has no name", item.path);
            checker.note(Finding::at(item.key.clone(), title).label("expected `alert: …` or `record: …`"));
            return None;
        }
        (Some(name), None) => {
            RuleKind::Alert(Alert { name: name?, hold, keep_firing, labels, annotations, limit })
        }
        (None, Some(name)) => {
            for key in ["for", "keep_firing_for", "annotations"] {
                if let Some(value) = section.get(key) {
                    let title = format!("a recording rule has no `{key}`");
                    checker.note(Finding::at(value.key.clone(), title).label("only alerts have"));
                }
            }
            let name = name?;
            let place = section.get("record").map_or(item.key.clone(), Value::place);
            let valid = name.chars().all(|c| c == '_' || c == ':' || c.is_ascii_alphanumeric())
                && !name.starts_with(|c: char| c.is_ascii_digit());
            if !valid {
                let title = format!("{} is not a valid name of a metric", quoted(&name));
                checker
                    .note(Finding::at(place.clone(), title).label("expected letters, digits, `_` and `:`"));
            }
            let fixed = |(name, template): (String, Template)| (name, template.source().to_owned());
            let labels: Vec<_> = labels.into_iter().map(fixed).collect();
            taken(reading, &name, &labels, place);
            RuleKind::Record(name, labels)
        }
    };
    let expr = expr?;
    for key in ["labels", "annotations"] {
        if let (Some(value), Some(around)) = (section.get(key), reading.around) {
            told(checker, value, &expr, recorded, around);
        }
    }
    Some(Rule { expr, kind })
}

/// The text of an expression as it is written.
fn text(checker: &Checker<'_>, value: &Value<'_>) -> String {
    checker.raw(value, "a LogQL expression").unwrap_or_default()
}

fn expression(reading: Reading<'_>, value: &Value<'_>, recorded: bool) -> Option<Expr> {
    let Reading { checker, around, .. } = reading;
    let expr = checker.expression(value)?;
    for lint in around.into_iter().flat_map(|around| lint::of_expression(&around.labels, &expr, recorded)) {
        checker.tell(value, &text(checker, value), lint);
    }
    Some(expr)
}

/// Warns of templates that will give an empty text, or stand where templates are not filled in.
fn told(checker: &Checker<'_>, value: &Value<'_>, expr: &Expr, recorded: bool, around: &Around) {
    if value.node.kind == Kind::Null {
        return;
    }
    let series = series::of(expr, &around.labels);
    let external: Vec<&str> = around.external.iter().map(String::as_str).collect();
    for entry in checker.entries(value, "a map of names and templates").unwrap_or_default() {
        let Some(text) = checker.raw(&entry.value, "a template") else { continue };
        let Ok(template) = state::template(&text) else { continue };
        if recorded {
            if template.constant().is_none() {
                let finding =
                    Finding::at(entry.value.place(), "labels of a recording rule are not templates");
                checker.warn(
                    finding
                        .label("this text is used as it is written")
                        .help("`label_replace(…)` in the expression makes labels of others"),
                );
            }
            continue;
        }
        for lint in templates::lint(&template, &series, &external) {
            let place = checker.inside(&entry.value, &text, Some(lint.at));
            checker.warn(Finding::at(place, lint.title).label(lint.label).help(lint.help));
        }
    }
}

/// Refuses the name of a metric that exists already, and warns of a second rule with the same series.
fn taken(reading: Reading<'_>, name: &str, labels: &[(String, String)], place: Range<usize>) {
    let Reading { checker, around, origin } = reading;
    if is_own(name) {
        checker.note(
            Finding::at(place, format!("{} is reserved for journal-ship's own metrics", quoted(name))).label(
                format!("expected another name than `{OWN}…`, and than those of the process (`process_…`)"),
            ),
        );
        return;
    }
    let Some(around) = around else { return };
    if around.metrics.contains(name) {
        checker.note(
            Finding::at(place, format!("{} is a metric of a stage `metrics`", quoted(name)))
                .label("expected another name"),
        );
        return;
    }
    let mut labels = labels.to_vec();
    labels.sort();
    match around.recorded.borrow_mut().entry((name.to_owned(), labels)) {
        Entry::Vacant(first) => _ = first.insert((origin.to_owned(), place)),
        Entry::Occupied(first) => {
            let title = format!("two recording rules are called {} and have the same labels", quoted(name));
            let finding = Finding::at(place, title)
                .label("where both have a series, only one of them is shown")
                .help("give one of them another name, or a label of its own");
            let (file, at) = first.get();
            checker.warn(match file == origin {
                true => finding.related(at.clone(), "the other one"),
                false => finding.note(format!("the other one is in {file}")),
            });
        }
    }
}

fn named(checker: &Checker<'_>, value: &Value<'_>, what: &str) -> Option<String> {
    let name = checker.raw(value, what)?;
    if name.trim().is_empty() {
        checker.refuse(value.place(), &value.path, Refusal::new("it is empty", format!("expected {what}")));
        return None;
    }
    Some(name)
}

fn nanoseconds(checker: &Checker<'_>, value: &Value<'_>, range: &RangeInclusive<Duration>) -> Option<i64> {
    i64::try_from(checker.duration(value, range)?.as_nanos()).ok()
}

/// Reads a map from names to templates. `labels`: the names must be valid names of labels.
fn templates(checker: &Checker<'_>, value: &Value<'_>, labels: bool) -> Option<Vec<(String, Template)>> {
    if value.node.kind == Kind::Null {
        return Some(Vec::new());
    }
    let mut templates = Vec::new();
    for entry in checker.entries(value, "a map of names and templates")? {
        if let Err(refusal) = names::label_name(entry.name) {
            checker.refuse(entry.value.key.clone(), &entry.value.path, refusal);
            continue;
        }
        if labels && entry.name == "alertname" {
            let finding = Finding::at(entry.value.key.clone(), "`alertname` is the name of the alert");
            checker.note(finding.label("expected another label, or `alert: …`"));
            continue;
        }
        let Some(text) = checker.raw(&entry.value, "a template") else { continue };
        match state::template(&text) {
            Ok(template) => templates.push((entry.name.to_owned(), template)),
            Err(error) => {
                let place = checker.inside(&entry.value, &text, Some(error.at));
                checker.note(
                    Finding::at(place, format!("`{}`: {}", entry.value.path, error.message)).label("here"),
                );
            }
        }
    }
    Some(templates)
}

#[cfg(test)]
mod tests;
