//! Stages that can never do their work: they look at a value that no stage before them extracts, or at entries that there
//! are not. What is told is certain; a name that only an entry can give ends the search.

use std::collections::BTreeSet;

use super::template::fields;
use crate::alerts::KnownLabels;
use crate::config::{Checker, Finding, Kind, Value, quoted};
use logql::go::re2::Re2;
use logql::nearest::nearest;

/// What an entry may have when it comes to a stage.
#[derive(Debug, Clone)]
struct May<'k> {
    /// Names of values; labels are among them from the beginning, and anew in each `match`.
    values: BTreeSet<String>,
    labels: BTreeSet<String>,
    known: &'k KnownLabels,
}

/// Warns of stages that can never do their work, in the list of stages `value`, which has been read without mistakes.
pub(crate) fn lint(checker: &Checker<'_>, value: &Value<'_>, known: &KnownLabels) {
    let labels: BTreeSet<String> = known.before_stages().map(str::to_owned).collect();
    of_list(checker, value, &mut May { values: labels.clone(), labels, known });
}

fn of_list(checker: &Checker<'_>, value: &Value<'_>, may: &mut May<'_>) {
    let Kind::Seq(items) = &value.node.kind else { return };
    for (index, node) in items.iter().enumerate() {
        let item = Value { path: format!("{}[{index}]", value.path), node, key: node.used.clone() };
        for (name, body) in map(&item) {
            of_stage(checker, name, &body, may);
        }
    }
}

fn of_stage(checker: &Checker<'_>, name: &str, body: &Value<'_>, may: &mut May<'_>) {
    let source = |may: &May<'_>| {
        if let Some(source) = get(body, "source") {
            may.value(checker, &source, text(&source));
        }
    };
    match name {
        "json" | "logfmt" => {
            source(may);
            let key = if name == "json" { "expressions" } else { "mapping" };
            for (name, _) in get(body, key).iter().flat_map(|names| map(names)) {
                may.values.insert(name.to_owned());
            }
        }
        "regex" | "replace" => {
            source(may);
            let expression = get(body, "expression");
            if let Some(regex) = expression.and_then(|value| Re2::new(text(&value)?).ok()) {
                may.values.extend(regex.capture_names().flatten().map(str::to_owned));
            }
            if let Some(template) = get(body, "replace") {
                may.template(checker, &template, &["Value"]);
            }
        }
        "template" => {
            if let Some(template) = get(body, "template") {
                may.template(checker, &template, &["Value", "Entry"]);
            }
            may.values.extend(get(body, "source").and_then(|value| text(&value).map(str::to_owned)));
        }
        "timestamp" | "output" => source(may),
        "drop" => list(body, "source").iter().for_each(|source| may.value(checker, source, text(source))),
        "tenant" => {
            source(may);
            if let Some(label) = get(body, "label") {
                may.label(checker, &label, text(&label));
            }
        }
        "limit" => {
            if let Some(label) = get(body, "by_label_name").filter(|label| text(label) != Some("")) {
                may.label(checker, &label, text(&label));
            }
        }
        "pack" => list(body, "labels").iter().for_each(|name| may.either(checker, name, text(name))),
        "labels" => {
            for (name, source) in map(body) {
                may.value(checker, &source, text(&source).filter(|text| !text.is_empty()).or(Some(name)));
                may.labels.insert(name.to_owned());
            }
        }
        "structured_metadata" => {
            for (name, source) in map(body) {
                may.either(checker, &source, text(&source).filter(|text| !text.is_empty()).or(Some(name)));
            }
        }
        "static_labels" => may.labels.extend(map(body).map(|(name, _)| name.to_owned())),
        "metrics" => {
            for (name, metric) in map(body) {
                let all = get(&metric, "config").and_then(|config| get(&config, "match_all"));
                if all.is_none_or(|all| all.node.kind != Kind::Bool(true)) {
                    let source = get(&metric, "source").unwrap_or(metric);
                    may.value(checker, &source, text(&source).or(Some(name)));
                }
            }
        }
        "match" => {
            if let Some(written) = get(body, "selector") {
                selector(checker, &written, may.known);
            }
            if let Some(inner) = get(body, "stages") {
                may.values.extend(may.labels.iter().cloned());
                of_list(checker, &inner, may);
            }
        }
        _ => {}
    }
}

/// Warns of a selector that selects nothing.
pub(crate) fn selector(checker: &Checker<'_>, value: &Value<'_>, known: &KnownLabels) {
    let Some(parsed) = checker.selector(value) else { return };
    if let Some(lint) = known.of_nobody(parsed.matchers()) {
        let written = text(value).unwrap_or_default();
        let part = lint.part.and_then(|part| {
            let start = written.find(&part)?;
            Some(start..start + part.len())
        });
        let place = checker.inside(value, written, part);
        checker.warn(Finding::at(place, lint.title).label(lint.label).help(lint.help));
    }
}

impl May<'_> {
    /// `name` is to be a value here.
    fn value(&self, checker: &Checker<'_>, at: &Value<'_>, name: Option<&str>) {
        self.one_of(checker, at, name, &self.values, "no stage before this one extracts");
    }

    fn label(&self, checker: &Checker<'_>, at: &Value<'_>, name: Option<&str>) {
        self.one_of(checker, at, name, &self.labels, "no entry has the label");
    }

    fn either(&self, checker: &Checker<'_>, at: &Value<'_>, name: Option<&str>) {
        let all = self.values.union(&self.labels).cloned().collect();
        self.one_of(
            checker,
            at,
            name,
            &all,
            "no stage before this one extracts, and no entry has as a label,",
        );
    }

    fn one_of(
        &self,
        checker: &Checker<'_>,
        at: &Value<'_>,
        name: Option<&str>,
        there: &BTreeSet<String>,
        why: &str,
    ) {
        // What a variable holds is not known here.
        let Some(name) = name.filter(|name| !name.contains("${")) else { return };
        if self.known.is_open() || there.contains(name) {
            return;
        }
        let finding = Finding::at(at.place(), format!("{why} {}", quoted(name)));
        checker.warn(match nearest(name, there.iter().map(String::as_str)) {
            Some(near) => finding.label("this does nothing").help(format!("did you mean `{near}`?")),
            None => finding.label("this does nothing").help(
                "values come from stages before it: `regex`, `json`, `logfmt`, `template`; labels are values, too",
            ),
        });
    }

    /// The keys that a template asks for; `given` are there besides values.
    fn template(&self, checker: &Checker<'_>, at: &Value<'_>, given: &[&str]) {
        let Some(text) = text(at) else { return };
        for (name, place) in fields(text) {
            if self.known.is_open() || given.contains(&&*name) || self.values.contains(&name) {
                continue;
            }
            let names = self.values.iter().map(String::as_str).chain(given.iter().copied());
            let title = format!("no stage before this one extracts {}", quoted(&name));
            let finding = Finding::at(checker.inside(at, text, Some(place)), title).label("nothing is here");
            checker.warn(match nearest(&name, names) {
                Some(near) => finding.help(format!("did you mean `.{near}`?")),
                None => finding.help("a template sees values and labels by their names"),
            });
        }
    }
}

fn text<'t>(value: &Value<'t>) -> Option<&'t str> {
    match &value.node.kind {
        Kind::Str(text) => Some(text),
        _ => None,
    }
}

/// The entries of a map.
fn map<'t>(value: &Value<'t>) -> impl Iterator<Item = (&'t str, Value<'t>)> + use<'t> {
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

/// A key that is written, with a value.
fn get<'t>(value: &Value<'t>, name: &str) -> Option<Value<'t>> {
    map(value)
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
        .filter(|value| value.node.kind != Kind::Null)
}

/// A list of names, or one name.
fn list<'t>(value: &Value<'t>, name: &str) -> Vec<Value<'t>> {
    let Some(value) = get(value, name) else { return Vec::new() };
    match &value.node.kind {
        Kind::Seq(items) => items
            .iter()
            .map(|node| Value { path: value.path.clone(), node, key: node.used.clone() })
            .collect(),
        _ => vec![value],
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn warnings(stages: &str) -> Vec<String> {
        let source = format!("stages:\n{stages}\n");
        let (_, found) =
            Config::examine_text(&source, "f", &|_| None).unwrap_or_else(|error| panic!("{stages}\n{error}"));
        let text = found.render(false);
        text.lines().filter_map(|line| line.strip_prefix("warning: ")).map(str::to_owned).collect()
    }

    #[test]
    fn what_nobody_extracts_is_told() {
        for (stages, told) in [
            ("- timestamp: {source: ts, format: RFC3339}", &["no stage before this one extracts `ts`"][..]),
            ("- output: {source: msg}", &["`msg`"]),
            ("- json: {expressions: {msg: }}\n- output: {source: mgs}", &["`mgs`"]),
            ("- json: {expressions: {msg: }}\n- output: {source: msg}", &[]),
            ("- output: {source: msg}\n- json: {expressions: {msg: }}", &["`msg`"]),
            ("- regex: {expression: '(?P<a>x)'}\n- labels: {a: , b: a, c: }", &["`c`"]),
            (
                "- logfmt: {mapping: {a: }}\n- json: {source: b, expressions: {c: }}\n- tenant: {source: a}",
                &["`b`"],
            ),
            ("- tenant: {source: unit}", &[]),
            ("- tenant: {label: team}", &["no entry has the label `team`"]),
            ("- static_labels: {team: x}\n- tenant: {label: team}", &[]),
            ("- static_labels: {team: x}\n- tenant: {source: team}", &["`team`"]),
            (
                "- static_labels: {team: x}\n- match: {selector: '{team=\"x\"}', stages: [{tenant: {source: team}}]}",
                &[],
            ),
            (
                "- match: {selector: '{unit=\"a.service\"}', stages: [{json: {expressions: {x: }}}]}\n- output: {source: x}",
                &[],
            ),
            ("- template: {source: x, template: '{{ .Value }}{{ .Entry }}'}\n- output: {source: x}", &[]),
            ("- template: {source: x, template: '{{ .unit }} {{ .usr }}'}", &["`usr`"]),
            ("- replace: {expression: '(a)', replace: '{{ .Value }}{{ .Entry }}'}", &["`Entry`"]),
            ("- drop: {source: [unit, level2]}", &["`level2`"]),
            ("- limit: {rate: 1, burst: 1, drop: true, by_label_name: uint}", &["`uint`"]),
            ("- metrics: {m: {type: Counter, config: {action: inc}}}", &["`m`"]),
            ("- metrics: {m: {type: Counter, config: {match_all: true, action: inc}}}", &[]),
            ("- metrics: {m: {type: Counter, source: unit, config: {action: inc}}}", &[]),
            ("- structured_metadata: {unit: , x: y}", &["`y`"]),
            ("- pack: {labels: [unit, z]}", &["`z`"]),
            ("- match: {selector: '{unit=\"nginx\"}', action: drop}", &["no entry has unit=\"nginx\""]),
            ("- match: {selector: '{level=\"err\"}', action: drop}", &["no entry has level=\"err\""]),
            ("- match: {selector: '{untt=\"a.service\"}', action: drop}", &["no entry has untt="]),
            ("- match: {selector: '{unit=~\"nginx.*\"}', action: drop}", &[]),
            ("- match: {selector: '{}', action: drop}", &[]),
        ] {
            let found = warnings(stages);
            assert_eq!(found.len(), told.len(), "{stages}: {found:?}");
            for (found, told) in found.iter().zip(told) {
                assert!(found.contains(told), "{stages}: {found}");
            }
        }
    }
}
