//! Warnings about labels: rules for relabelling that look at a label that no entry has, and labels that make a stream of each
//! entry.

use std::collections::BTreeSet;

use super::rules::{Relabel, RelabelAction};
use super::section::{FieldRule, Labels};
use crate::journal::fields::is_written_by_journald;
use crate::journal::lint::{doubt, sources};
use crate::journal::values::{Shape, has_many_values, of_field};
use crate::yaml::{Checker, Finding, Kind, Node, Section, Value, quoted};
use logql::nearest::nearest;
use logql::{MatchOp, Matcher};

/// The beginning of the name of a journal field in relabelling.
const PREFIX: &str = "__journal_";
/// The label of relabelling with the priority as a word.
const KEYWORD: &str = "__journal_priority_keyword";

/// Warns of parts of the section `labels` (read as `labels`) that ask for what no entry has. Entries also have the labels in
/// `destinations`.
pub(crate) fn lint(checker: &Checker<'_>, value: &Value<'_>, labels: &Labels, destinations: &[&str]) {
    let Some(section) = Section::open(checker, value, "labels") else { return };
    if let Some(value) = section.get("fields") {
        sources(checker, value);
        many(checker, value);
    }
    relabelling(checker, &section, labels, destinations);
}

/// Warns of labels with a value for each process or entry: each value makes a stream.
fn many(checker: &Checker<'_>, value: &Value<'_>) {
    let Kind::Map(entries) = &value.node.kind else { return };
    for (key, node) in entries {
        let nodes = match &node.kind {
            Kind::Seq(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let source = nodes.iter().find_map(|node| match &node.kind {
            Kind::Str(name) if has_many_values(name) => Some((name, node)),
            _ => None,
        });
        if let (Some((name, node)), Kind::Str(label)) = (source, &key.kind) {
            let title = format!("the label `{label}` has another value for each process or entry");
            let finding = Finding::at(node.span.clone(), title).label("each value is a stream of its own");
            checker.warn(
                finding.help(format!(
                    "keep it with each line instead: `structured_metadata: {{{label}: {name}}}`"
                )),
            );
        }
    }
}

/// Warns of rules for relabelling that look at a label that no entry has, and says which label such a rule removes. `written`
/// is the section `labels`, and `labels` is what was read from it.
fn relabelling(checker: &Checker<'_>, written: &Section<'_>, labels: &Labels, destinations: &[&str]) {
    let Some(Kind::Seq(items)) = written.get("relabel_configs").map(|value| &value.node.kind) else { return };
    let mut names: BTreeSet<String> = labels.fixed.iter().map(|(name, _)| name.clone()).collect();
    names.extend(labels.fields.iter().map(|rule| rule.name.clone()));
    names.extend(destinations.iter().map(|name| (*name).to_owned()));
    let mut open = false;
    for (item, rule) in items.iter().zip(&labels.relabel) {
        let mut nothing = !rule.source_labels.is_empty();
        for (node, name) in source_labels(item).into_iter().zip(&rule.source_labels) {
            let found = source(name, &names, open);
            nothing &= found.is_some();
            let Some((title, meant)) = found else { continue };
            let finding = Finding::at(node.span.clone(), title).label("this is empty in every entry");
            let finding = match lost(rule, labels) {
                Some(label) if rule.source_labels.len() == 1 => finding.note(format!(
                    "the rule removes the label `{label}`, which entries would have without the rule: an empty value removes a label"
                )),
                _ => finding,
            };
            checker.warn(match meant {
                Some(meant) => finding.help(format!("did you mean `{meant}`?")),
                None => finding.help("journal fields are `__journal_` and their names in small letters: `__journal__systemd_unit`"),
            });
        }
        groups(checker, item, &rule.action);
        if let ([name], Some(regex)) = (rule.source_labels.as_slice(), regex(&rule.action))
            && !nothing
        {
            values(checker, item, name, regex, &labels.fields);
        }
        match &rule.action {
            RelabelAction::LabelMap { .. } => open = true,
            RelabelAction::Replace { target, .. } if target.contains('$') => open = true,
            RelabelAction::Replace { target, .. }
            | RelabelAction::HashMod { target, .. }
            | RelabelAction::Lowercase { target }
            | RelabelAction::Uppercase { target } => _ = names.insert(target.clone()),
            _ => {}
        }
    }
}

/// Warns of a replacement with groups that the expression does not have, or in the form of another language.
fn groups(checker: &Checker<'_>, item: &Node, action: &RelabelAction) {
    let RelabelAction::Replace { regex, replacement, .. } = action else { return };
    let Kind::Map(entries) = &item.kind else { return };
    let at = |key: &str| {
        entries.iter().find(|(name, _)| name.kind == Kind::Str(key.to_owned())).map(|(_, node)| node)
    };
    let Some(node) = at("replacement").or_else(|| at("regex")) else { return };
    if let Some(group) = logql::go::re2::missing_group(regex, replacement) {
        let title = format!("`{group}` is not a group of the expression {}", quoted(regex.source()));
        checker.warn(Finding::at(node.span.clone(), title).label("it is empty, and an empty value removes a label").help(
            "put what is to be taken in parentheses, or write a `replacement` without `$`; without one it is `$1`",
        ));
    }
    let digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    if replacement.split('\\').skip(1).any(digit) || replacement.contains("{{") {
        let title = format!("{} is taken as it is written", quoted(replacement));
        checker.warn(
            Finding::at(node.span.clone(), title)
                .label("this is not a reference to a group")
                .help("groups are `$1`, `${1}` and `${name}`"),
        );
    }
}

fn source_labels(item: &Node) -> Vec<&Node> {
    let Kind::Map(entries) = &item.kind else { return Vec::new() };
    let found = entries.iter().find(|(key, _)| key.kind == Kind::Str("source_labels".to_owned()));
    match found.map(|(_, node)| &node.kind) {
        Some(Kind::Seq(items)) => items.iter().collect(),
        _ => Vec::new(),
    }
}

/// The warning about a source that is always empty.
fn source(name: &str, names: &BTreeSet<String>, open: bool) -> Option<(String, Option<String>)> {
    if name == KEYWORD {
        return None;
    }
    let Some(field) = name.strip_prefix(PREFIX) else {
        if open || names.contains(name) {
            return None;
        }
        let meant = match name.to_ascii_uppercase() {
            upper if is_written_by_journald(&upper) => {
                Some(format!("{PREFIX}{}", upper.to_ascii_lowercase()))
            }
            _ => nearest(name, names.iter().map(String::as_str)).map(str::to_owned),
        };
        return Some((format!("there is no label {} here", quoted(name)), meant));
    };
    let upper = field.to_ascii_uppercase();
    if upper.trim_start_matches('_') == "PRIORITY_KEYWORD" {
        return Some((format!("journald writes no field `{upper}`"), Some(KEYWORD.to_owned())));
    }
    let among_labels = |field: &str| format!("{PREFIX}{}", field.to_ascii_lowercase());
    if field != field.to_ascii_lowercase() {
        let title = format!("{} is written with capital letters", quoted(name));
        return Some((title, Some(among_labels(&upper))));
    }
    doubt(&upper).map(|(title, meant)| (title, meant.map(|meant| among_labels(&meant))))
}

/// The label that a rule removes when its source is empty, if entries have it without the rule.
fn lost<'l>(rule: &'l Relabel, labels: &Labels) -> Option<&'l str> {
    let RelabelAction::Replace { regex, target, replacement } = &rule.action else { return None };
    let empty = logql::go::re2::expand(&regex.captures("")?, replacement).is_empty();
    let there = labels.fixed.iter().any(|(name, _)| name == target)
        || labels.fields.iter().any(|rule| rule.name == *target);
    (empty && there).then_some(target)
}

fn regex(action: &RelabelAction) -> Option<&str> {
    match action {
        RelabelAction::Replace { regex, .. }
        | RelabelAction::Keep { regex }
        | RelabelAction::Drop { regex } => Some(regex.source()),
        _ => None,
    }
}

/// Warns of an expression that matches no value of its one source.
fn values(checker: &Checker<'_>, item: &Node, name: &str, regex: &str, fields: &[FieldRule]) {
    let of_label = |name: &str| -> Vec<Option<Shape>> {
        let rule = fields.iter().find(|rule| rule.name == name);
        rule.map(|rule| rule.sources.iter().map(|field| of_field(field)).collect()).unwrap_or_default()
    };
    let shapes = match name.strip_prefix(PREFIX) {
        _ if name == KEYWORD => vec![of_field("PRIORITY")],
        // A digit.
        Some("priority") => vec![Some(Shape::Words((0..8).map(|digit| digit.to_string()).collect()))],
        Some(field) => vec![of_field(&field.to_ascii_uppercase())],
        None => of_label(name),
    };
    let Some(shapes) = shapes.into_iter().collect::<Option<Vec<Shape>>>().filter(|shapes| !shapes.is_empty())
    else {
        return;
    };
    let Ok(matcher) = Matcher::new(name, MatchOp::Regex, regex) else { return };
    // An entry may lack it.
    if matcher.matches("") || shapes.iter().any(|shape| shape.may_match(&matcher)) {
        return;
    }
    let Kind::Map(entries) = &item.kind else { return };
    if let Some((_, node)) = entries.iter().find(|(key, _)| key.kind == Kind::Str("regex".to_owned())) {
        let title = format!("no value of `{name}` matches {}", quoted(regex));
        let helps: Vec<_> = shapes.iter().map(|shape| shape.help(name, &matcher)).collect();
        checker.warn(
            Finding::at(node.span.clone(), title).label("this rule does nothing").help(helps.join("; or ")),
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn warnings(source: &str) -> String {
        let read = Config::examine_text(source, "f", &|_| None);
        let (_, found) = read.unwrap_or_else(|error| panic!("{source}\n{error}"));
        found.render(false)
    }

    #[track_caller]
    fn told(rows: &[(&str, &[&str])]) {
        for (source, parts) in rows {
            let found = warnings(source);
            assert_eq!(found.is_empty(), parts.is_empty(), "{source}\n{found}");
            for part in *parts {
                assert!(found.contains(part), "{source}: no {part:?} in\n{found}");
            }
        }
    }

    #[test]
    fn fields_that_journald_never_writes_are_told() {
        told(&[
            ("labels: {fields: {unit: _SYSTEMD_UNIT, comm: _COMM, c: CONTAINER_NAME, k: K8S_POD}}", &[]),
            ("structured_metadata: {a: _AUDIT_FIELD_NAME, t: _SOURCE_REALTIME_TIMESTAMP}", &[]),
            (
                "labels: {fields: {unit: _SYSTEMD_UNT}}",
                &["journald writes no field `_SYSTEMD_UNT`", "did you mean `_SYSTEMD_UNIT`?", "f:1:25"],
            ),
            (
                "labels: {fields: {unit: SYSTEMD_UNIT}}",
                &["journald writes no field `SYSTEMD_UNIT`", "did you mean `_SYSTEMD_UNIT`?"],
            ),
            ("labels: {fields: {level: [_PRIORITY]}}", &["did you mean `PRIORITY`?"]),
            ("structured_metadata: {c: _CONTAINER_NAME}", &["did you mean `CONTAINER_NAME`?"]),
            ("structured_metadata: {c: _NOTHING_LIKE_IT}", &["`man systemd.journal-fields`"]),
            (
                "journal: {match: [{_SYSTEMD_UINT: [a.service]}]}",
                &["`_SYSTEMD_UINT`", "did you mean `_SYSTEMD_UNIT`?"],
            ),
            (
                "journal: {match: [{_SYSTEMD_UNIT: [nginx, a.service]}]}",
                &["no entry has _SYSTEMD_UNIT=`nginx`", "did you mean `nginx.service`?"],
            ),
            ("journal: {match: [{PRIORITY: [3, err]}]}", &["no entry has PRIORITY=`err`"]),
            ("journal: {match: [{PRIORITY: [3], _TRANSPORT: kernel, _UID: 0, _HOSTNAME: h}]}", &[]),
            ("journal: {match: [{_TRANSPORT: kmsg}]}", &["`_TRANSPORT` is one of"]),
        ]);
    }

    fn relabelling(rules: &str) -> String {
        format!("labels: {{relabel_configs: [{rules}]}}")
    }

    #[test]
    fn sources_of_relabelling_that_are_always_empty_are_told() {
        for (written, parts) in [
            ("{source_labels: [__journal__systemd_unit], target_label: u}", &[][..]),
            ("{source_labels: [__journal_priority_keyword], target_label: level}", &[]),
            ("{source_labels: [__journal_container_name], target_label: c}", &[]),
            ("{source_labels: [unit, level], target_label: c}", &[]),
            (
                "{source_labels: [__journal__hostname], target_label: __tmp}, {source_labels: [__tmp], target_label: c}",
                &[],
            ),
            (
                "{source_labels: [__journal__priority_keyword], target_label: level}",
                &[
                    "journald writes no field `_PRIORITY_KEYWORD`",
                    "did you mean `__journal_priority_keyword`?",
                    "removes the label `level`",
                ],
            ),
            (
                "{source_labels: [__journal__container_name], target_label: c}",
                &["did you mean `__journal_container_name`?"],
            ),
            (
                "{source_labels: [__journal_systemd_unit], target_label: unit}",
                &["did you mean `__journal__systemd_unit`?", "removes the label `unit`"],
            ),
            (
                "{source_labels: [__journal_hostname], target_label: host}",
                &["did you mean `__journal__hostname`?"],
            ),
            (
                "{source_labels: [__journal__HOSTNAME], target_label: h}",
                &["capital letters", "`__journal__hostname`"],
            ),
            (
                "{source_labels: [_hostname], target_label: h}",
                &["there is no label `_hostname` here", "`__journal__hostname`"],
            ),
            ("{source_labels: [uint], target_label: h}", &["did you mean `unit`?"]),
            (
                "{regex: '__journal_(.*)', action: labelmap}, {source_labels: [anything], target_label: h}",
                &[],
            ),
        ] {
            told(&[(&relabelling(written), parts)]);
        }
    }

    #[test]
    fn expressions_of_relabelling_that_match_nothing_are_told() {
        for (written, parts) in [
            (
                "{source_labels: [__journal__systemd_unit], regex: nginx, action: keep}",
                &["no value of `__journal__systemd_unit` matches `nginx`"][..],
            ),
            ("{source_labels: [unit], regex: 'nginx|sshd', action: drop}", &["no value of `unit` matches"]),
            ("{source_labels: [__journal__systemd_unit], regex: 'nginx.*', action: keep}", &[]),
            (
                "{source_labels: [__journal_priority], regex: 'err', action: keep}",
                &["`__journal_priority` is one of `0`"],
            ),
            (
                "{source_labels: [__journal_priority_keyword], regex: 'err|warn', action: keep}",
                &["no value of"],
            ),
            ("{source_labels: [__journal_priority], regex: '[0-3]', action: keep}", &[]),
            (
                "{source_labels: [unit], regex: 'nginx.service', target_label: app}",
                &["`$1` is not a group of the expression `nginx.service`"],
            ),
            (
                "{source_labels: [unit], regex: '(.*).service', target_label: app, replacement: '${2}'}",
                &["`${2}` is not a group"],
            ),
            (
                "{source_labels: [unit], regex: '(?P<n>.*).service', target_label: app, replacement: '${name}'}",
                &["`${name}` is not a group"],
            ),
            (
                "{source_labels: [unit], regex: '(.*).service', target_label: app, replacement: '\\\\1'}",
                &["is taken as it is written"],
            ),
            (
                "{source_labels: [unit], regex: '(?P<n>.*).service', target_label: app, replacement: '${n}-$1-$$x'}",
                &[],
            ),
            ("{source_labels: [unit], regex: 'nginx.service', target_label: app, replacement: web}", &[]),
        ] {
            told(&[(&relabelling(written), parts)]);
        }
    }
}
