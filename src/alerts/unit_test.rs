//! Unit tests of rules: lines that a person makes up, and the expected results. The format is that of promtool
//! (github.com/prometheus/prometheus, `cmd/promtool/unittest.go`), with lines in place of series.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::engine::Engine;
use super::failure::RuleError;
use super::file::{self, Group};
use super::run::Rules;
use super::state::Outside;
use crate::journal::fields;
use crate::shape::names;
use crate::yaml::key::key;
use crate::yaml::{
    Checker, Diagnostics, Document, Environment, Finding, Key, Section, Value, document, units,
};
use logql::label_set::LabelSet;
use logql::{Expr, MatchOp, Selector};

/// When a test begins (nanoseconds since 1970). It is a multiple of every interval.
const START: i64 = 0;
/// Longest time in a test.
const TIME: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(366 * 24 * 3600);
/// Lines that one test may have (count).
const LINES_MAX: u64 = 1_000_000;
/// Series that an expression may have (count).
const SERIES_MAX: usize = 10_000;
/// How far a value may be from the expected one, relative to it.
const PRECISION: f64 = 1e-9;

/// The keys of a file of tests.
const KEYS: &[Key] = &[
    key("rule_files", "list of paths", "[]"),
    key("evaluation_interval", "duration", "1m"),
    key("external_labels", "map of strings", "{}"),
    key("external_url", "string", "\"\""),
    key("tests", "list of sections", "required"),
    key("tests[].name", "string", "\"\""),
    key("tests[].input", "list of sections", "[]"),
    key("tests[].input[].labels", "label set", "required"),
    key("tests[].input[].metadata", "map of strings", "{}"),
    key("tests[].input[].lines", "list of sections", "required"),
    key("tests[].input[].lines[].at", "duration", "0s"),
    key("tests[].input[].lines[].line", "string", "required"),
    key("tests[].input[].lines[].repeat", "whole number", "1"),
    key("tests[].input[].lines[].every", "duration", "1s"),
    key("tests[].alert_rule_test", "list of sections", "[]"),
    key("tests[].alert_rule_test[].eval_time", "duration", "required"),
    key("tests[].alert_rule_test[].alertname", "string", "required"),
    key("tests[].alert_rule_test[].exp_alerts", "list of sections", "[]"),
    key("tests[].alert_rule_test[].exp_alerts[].exp_labels", "map of strings", "{}"),
    key("tests[].alert_rule_test[].exp_alerts[].exp_annotations", "map of strings", "{}"),
    key("tests[].logql_expr_test", "list of sections", "[]"),
    key("tests[].logql_expr_test[].expr", "LogQL expression", "required"),
    key("tests[].logql_expr_test[].eval_time", "duration", "required"),
    key("tests[].logql_expr_test[].exp_samples", "list of sections", "[]"),
    key("tests[].logql_expr_test[].exp_samples[].labels", "label set", "{}"),
    key("tests[].logql_expr_test[].exp_samples[].value", "number", "required"),
];

#[derive(Debug, Default)]
struct File {
    rule_files: Vec<String>,
    interval: i64,
    outside: Outside,
    tests: Vec<Test>,
}

#[derive(Debug)]
struct Test {
    name: String,
    lines: Vec<Line>,
    alerts: Vec<ExpectedAlerts>,
    values: Vec<ExpectedValue>,
}

/// A made-up line, `at` nanoseconds after the beginning.
#[derive(Debug)]
struct Line {
    at: i64,
    labels: Arc<LabelSet>,
    metadata: Arc<Vec<(String, String)>>,
    line: Arc<str>,
}

type Pairs = Vec<(String, String)>;

#[derive(Debug)]
struct ExpectedAlerts {
    at: i64,
    name: String,
    alerts: Vec<(Pairs, Pairs)>,
}

#[derive(Debug)]
struct ExpectedValue {
    at: i64,
    expr: Expr,
    samples: Vec<(LabelSet, f64)>,
}

/// The results of the tests of a file.
#[derive(Debug, Default)]
pub struct Report {
    /// Expectations that were met.
    pub passed: usize,
    /// Expectations that were not met: texts with what was expected and what came.
    pub failed: Vec<String>,
}

/// Why tests could not run.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// A file cannot be read.
    #[error("{0} cannot be read: {1}{hint}", hint = hint(.1))]
    Unreadable(String, std::io::Error),
    /// A file has mistakes.
    #[error("{}", .0.render(false))]
    Invalid(Diagnostics),
}

/// What to do about a file that cannot be read. It stands behind the reason.
pub(crate) fn hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::NotFound => "; is the name right?",
        std::io::ErrorKind::IsADirectory => "; name a file in it",
        std::io::ErrorKind::PermissionDenied => "; the user that runs this needs read permission for it",
        std::io::ErrorKind::InvalidData => "; it must be text in UTF-8",
        _ => "",
    }
}

/// Runs the tests of a file. Names of rule files are relative to its folder.
///
/// # Errors
/// A file cannot be read, or has mistakes.
pub fn run(path: &Path) -> Result<Report, TestError> {
    let read = |path: &Path| {
        std::fs::read_to_string(path)
            .map_err(|error| TestError::Unreadable(path.display().to_string(), error))
    };
    let tests = parse(&read(path)?, &path.display().to_string()).map_err(TestError::Invalid)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut groups = Vec::new();
    for name in &tests.rule_files {
        let path = folder.join(name);
        let (of_file, _) =
            file::parse(&read(&path)?, &path.display().to_string(), None).map_err(TestError::Invalid)?;
        groups.extend(of_file);
    }
    let mut report = Report::default();
    for test in &tests.tests {
        test_alerts(test, &tests, &groups, &mut report);
        test.values.iter().for_each(|expected| test_value(test, expected, tests.interval, &mut report));
    }
    Ok(report)
}

fn test_alerts(test: &Test, file: &File, groups: &[Group], report: &mut Report) {
    let mut expected: Vec<&ExpectedAlerts> = test.alerts.iter().collect();
    expected.sort_by_key(|expected| expected.at);
    let mut rules = Rules::new(groups, file.outside.clone(), file.interval, SERIES_MAX);
    rules.advance(START - 1);
    let mut lines = test.lines.iter().peekable();
    for ExpectedAlerts { at, name, alerts } in expected {
        while let Some(line) = lines.next_if(|line| line.at <= *at) {
            rules.advance(START.saturating_add(line.at) - 1);
            let metadata = line.metadata.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            rules.observe(START.saturating_add(line.at), &line.labels, &line.line, metadata);
        }
        rules.advance(START + at);
        let wanted = alerts.iter().map(|(labels, annotations)| {
            shown(set(labels), annotations.iter().map(|(name, text)| (name.as_str(), text.as_str())))
        });
        let there = rules.firing().filter(|(_, alert)| alert.labels.get("alertname") == Some(name));
        let there = there.map(|(_, alert)| {
            let annotations = alert.annotations.iter().map(|(name, text)| (name.as_str(), text.as_str()));
            shown((*alert.labels).clone(), annotations)
        });
        let mut what = format!("{}: alert {name} at {}", test.name, time(*at));
        for error in rules.rules().iter().filter_map(|rule| rule.error.as_ref()) {
            what.push_str(&format!(" (a rule has failed: {error})"));
        }
        report.compare(&what, wanted.collect(), there.collect());
    }
}

/// An alert as text: its labels without its name, and its annotations.
fn shown<'a>(mut labels: LabelSet, annotations: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    labels.remove("alertname");
    let mut annotations: Vec<String> = annotations.map(|(name, text)| format!("{name}={text:?}")).collect();
    annotations.sort_unstable();
    format!("{labels} {}", annotations.join(" ")).trim_end().to_owned()
}

fn test_value(test: &Test, expected: &ExpectedValue, interval: i64, report: &mut Report) {
    let ExpectedValue { at, expr, samples } = expected;
    let mut engine = Engine::new(SERIES_MAX);
    // It is evaluated at that time only.
    engine.watch(expr.clone(), if *at > 0 { *at } else { interval });
    let (mut value, mut failed) = (Vec::new(), None);
    engine.advance(START - 1, |_| {});
    for line in test.lines.iter().filter(|line| line.at <= *at) {
        let metadata = line.metadata.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        engine.observe(START.saturating_add(line.at), &line.labels, &line.line, metadata);
    }
    engine.advance(START + at, |evaluation| {
        if evaluation.time == START + at {
            match evaluation.result {
                Ok(vector) => value = vector,
                Err(error) => failed = Some(RuleError::from(error)),
            }
        }
    });
    let mut what = format!("{}: {expr} at {}", test.name, time(*at));
    if let Some(error) = failed {
        what.push_str(&format!(" (it has failed: {error})"));
    }
    let there: BTreeMap<String, f64> =
        value.into_iter().map(|sample| (sample.labels.to_string(), sample.value)).collect();
    let shown = |(labels, value): (&String, &f64)| format!("{labels} {value}");
    // A value that is near enough counts as the expected one.
    let near = |(labels, wanted): &(LabelSet, f64)| {
        let labels = labels.to_string();
        let value = there.get(&labels).filter(|value| {
            (*value - wanted).abs() <= PRECISION * wanted.abs() || (value.is_nan() && wanted.is_nan())
        });
        shown((&labels, value.unwrap_or(wanted)))
    };
    report.compare(&what, samples.iter().map(near).collect(), there.iter().map(shown).collect());
}

impl Report {
    fn compare(&mut self, what: &str, mut wanted: Vec<String>, mut there: Vec<String>) {
        wanted.sort_unstable();
        there.sort_unstable();
        if wanted == there {
            self.passed += 1;
            return;
        }
        let mut shown = what.to_owned();
        for line in &wanted {
            let mark = if there.contains(line) { "  as expected   " } else { "  missing       " };
            shown.push_str(&format!("\n{mark}{line}"));
        }
        for line in there.iter().filter(|line| !wanted.contains(line)) {
            shown.push_str(&format!("\n  not expected  {line}"));
        }
        if there.is_empty() {
            shown.push_str("\n  there is none");
        }
        self.failed.push(shown);
    }
}

fn time(nanoseconds: i64) -> String {
    units::format_duration(Duration::from_nanos(nanoseconds.unsigned_abs()))
}

fn parse(source: &str, origin: &str) -> Result<File, Diagnostics> {
    let root = document(source, origin)?;
    let environment: &Environment<'_> = &|_: &str| None;
    let checker = Checker::new(KEYS, source, Vec::new(), environment).about("the file of tests");
    let value = Value { path: String::new(), key: root.span.clone(), node: &root };
    let file = match Document::of(&root).filter(|document| *document != Document::Tests) {
        // A file may name rule files before it has tests.
        Some(Document::Prometheus) if root.keys().all(|key| key != "scrape_configs") => {
            read_file(&checker, &value)
        }
        Some(Document::Rules) => {
            let finding = Finding::nowhere("this is a rule file, not a file of tests for one");
            let help = format!(
                "write a file with `rule_files: [{}]` and `tests: […]` beside it (docs/rules.md, \"Unit tests\"); whether \
                 the rules are valid says `journal-ship check` of the configuration that names them",
                std::path::Path::new(origin).file_name().unwrap_or_default().to_string_lossy()
            );
            checker.note(finding.help(help));
            None
        }
        Some(document) => {
            checker.note_foreign(document, origin);
            None
        }
        None => read_file(&checker, &value),
    };
    checker.finish(origin, file.unwrap_or_default()).map(|(file, _)| file)
}

fn read_file(checker: &Checker<'_>, root: &Value<'_>) -> Option<File> {
    let section = Section::open(checker, root, "")?;
    let mut file = File { interval: 60_000_000_000, ..File::default() };
    section.read("rule_files", &mut file.rule_files, |value| {
        checker.each(value, "a list of paths", |item| checker.raw(item, "a path"))
    });
    section.read("evaluation_interval", &mut file.interval, |value| {
        let range = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
        i64::try_from(checker.duration(value, &range)?.as_nanos()).ok()
    });
    section.read("external_labels", &mut file.outside.labels, |value| Some(set(&pairs(checker, value)?)));
    section.read("external_url", &mut file.outside.url, |value| checker.raw(value, "a URL").map(Into::into));
    let mut number = 0;
    file.tests = section.required(checker, root, "tests", |value| {
        checker.each(value, "a list of tests", |item| {
            number += 1;
            test(checker, item, number)
        })
    })?;
    Some(file)
}

fn test(checker: &Checker<'_>, item: &Value<'_>, number: usize) -> Option<Test> {
    let section = Section::open(checker, item, "tests[]")?;
    let mut test =
        Test { name: format!("test {number}"), lines: Vec::new(), alerts: Vec::new(), values: Vec::new() };
    section.read("name", &mut test.name, |value| checker.raw(value, "a name"));
    section.read("input", &mut test.lines, |value| {
        let left = Cell::new(LINES_MAX);
        let inputs = checker.each(value, "a list of inputs", |item| input(checker, item, &left))?;
        let mut lines: Vec<Line> = inputs.into_iter().flatten().collect();
        lines.sort_by_key(|line| line.at);
        Some(lines)
    });
    section.read("alert_rule_test", &mut test.alerts, |value| {
        checker.each(value, "a list of expected alerts", |item| {
            let section = Section::open(checker, item, "tests[].alert_rule_test[]")?;
            let at = section.required(checker, item, "eval_time", |value| nanoseconds(checker, value));
            let name = section
                .required(checker, item, "alertname", |value| checker.raw(value, "the name of an alert"));
            let mut alerts = Vec::new();
            section.read("exp_alerts", &mut alerts, |value| {
                checker.each(value, "a list of alerts", |item| {
                    let schema = "tests[].alert_rule_test[].exp_alerts[]";
                    let section = Section::open(checker, item, schema)?;
                    let (mut labels, mut annotations) = (Pairs::new(), Pairs::new());
                    section.read("exp_labels", &mut labels, |value| pairs(checker, value));
                    section.read("exp_annotations", &mut annotations, |value| pairs(checker, value));
                    Some((labels, annotations))
                })
            });
            Some(ExpectedAlerts { at: at?, name: name?, alerts })
        })
    });
    section.read("logql_expr_test", &mut test.values, |value| {
        checker.each(value, "a list of expected values", |item| {
            let section = Section::open(checker, item, "tests[].logql_expr_test[]")?;
            let expr = section.required(checker, item, "expr", |value| checker.expression(value));
            let at = section.required(checker, item, "eval_time", |value| nanoseconds(checker, value));
            let mut samples = Vec::new();
            section.read("exp_samples", &mut samples, |value| {
                checker.each(value, "a list of samples", |item| {
                    let schema = "tests[].logql_expr_test[].exp_samples[]";
                    let section = Section::open(checker, item, schema)?;
                    let mut labels = LabelSet::default();
                    section.read("labels", &mut labels, |value| label_set(checker, value));
                    let value = section.required(checker, item, "value", |value| {
                        checker.number(value, &(f64::MIN..=f64::MAX))
                    });
                    Some((labels, value?))
                })
            });
            Some(ExpectedValue { at: at?, expr: expr?, samples })
        })
    });
    Some(test)
}

/// Made-up lines; `left` is how many more the test may have.
fn input(checker: &Checker<'_>, item: &Value<'_>, left: &Cell<u64>) -> Option<Vec<Line>> {
    let section = Section::open(checker, item, "tests[].input[]")?;
    let labels = section.required(checker, item, "labels", |value| label_set(checker, value)).map(Arc::new);
    let mut metadata = Pairs::new();
    section.read("metadata", &mut metadata, |value| pairs(checker, value));
    let metadata = Arc::new(metadata);
    let mut made = Vec::new();
    section.required(checker, item, "lines", |value| {
        checker.each(value, "a list of lines", |item| {
            let section = Section::open(checker, item, "tests[].input[].lines[]")?;
            let line: Arc<str> =
                section.required(checker, item, "line", |value| checker.raw(value, "a line"))?.into();
            let (mut at, mut repeat, mut every) = (0, 1, 1_000_000_000);
            section.read("at", &mut at, |value| nanoseconds(checker, value));
            section.read("repeat", &mut repeat, |value| checker.integer(value, &(1..=LINES_MAX)));
            section.read("every", &mut every, |value| nanoseconds(checker, value));
            let labels = labels.clone()?;
            let Some(less) = left.get().checked_sub(repeat) else {
                let finding =
                    Finding::at(item.key.clone(), format!("more than {LINES_MAX} lines in one test"));
                checker.note(finding.label("expected fewer: `repeat` is how often a line comes"));
                return None;
            };
            left.set(less);
            made.extend((0..repeat as i64).map(|n| Line {
                at: at.saturating_add(n.saturating_mul(every)),
                labels: labels.clone(),
                metadata: metadata.clone(),
                line: line.clone(),
            }));
            Some(())
        })
    })?;
    Some(made)
}

fn nanoseconds(checker: &Checker<'_>, value: &Value<'_>) -> Option<i64> {
    i64::try_from(checker.duration(value, &TIME)?.as_nanos()).ok()
}

fn pairs(checker: &Checker<'_>, value: &Value<'_>) -> Option<Pairs> {
    let mut pairs = Pairs::new();
    for entry in checker.entries(value, "a map of strings")? {
        let refused = names::label_name(entry.name).err();
        if let Some(refusal) = refused.filter(|_| fields::field_of(entry.name).is_none()) {
            checker.refuse(entry.value.key.clone(), &entry.value.path, refusal);
        } else if let Some(text) = checker.raw(&entry.value, "a string") {
            pairs.push((entry.name.to_owned(), text));
        }
    }
    Some(pairs)
}

fn set(pairs: &Pairs) -> LabelSet {
    let mut labels = LabelSet::default();
    pairs.iter().for_each(|(name, value)| labels.insert(name, value.as_bytes()));
    labels
}

/// `{a="b"}`
fn label_set(checker: &Checker<'_>, value: &Value<'_>) -> Option<LabelSet> {
    let text = checker.raw(value, "a label set, as `{unit=\"sshd.service\"}`")?;
    let selector = Selector::parse_any(&text);
    let plain = selector.ok().filter(|selector| {
        selector.filters().is_empty()
            && selector.matchers().iter().all(|matcher| matcher.op() == MatchOp::Equal)
    });
    let Some(selector) = plain else {
        let finding = Finding::at(value.place(), format!("`{}` is not a label set", value.path));
        checker.note(finding.label("expected one, as `{unit=\"sshd.service\", host=\"h1\"}`"));
        return None;
    };
    let mut labels = LabelSet::default();
    selector.matchers().iter().for_each(|matcher| labels.insert(matcher.name(), matcher.value().as_bytes()));
    Some(labels)
}
