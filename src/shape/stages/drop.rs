//! `drop`: ends entries that meet all its conditions.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::{AboutStage, Context, Flow, Item, May, Setup, Stage, may, source};
use crate::yaml::key::key;
use crate::yaml::{Checker, Finding, Key, Kind, Section, Value};
use logql::go::re2::Re2;

/// The default of `drop_counter_reason`.
const REASON: &str = "drop_stage";
/// The default of `separator`, which stands between several values.
const SEPARATOR: &str = ";";
/// The limits of `older_than`: the longest age is older than any entry, and fits into nanoseconds.
const OLDER_THAN: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(100 * 365 * 24 * 3600);
/// Any number of bytes.
const LONGER_THAN: RangeInclusive<u64> = 0..=u64::MAX;

/// The keys of the stage.
pub(super) const KEYS: &[Key] = &[
    key("stages[].drop", "section", ""),
    key("stages[].drop.source", "string or list of strings", "null"),
    key("stages[].drop.separator", "string", "\";\""),
    key("stages[].drop.expression", "regular expression", "null"),
    key("stages[].drop.value", "string", "null"),
    key("stages[].drop.older_than", "duration", "null"),
    key("stages[].drop.longer_than", "size", "null"),
    key("stages[].drop.drop_counter_reason", "string", "drop_stage"),
];

/// `stages[].drop`
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The extracted values to look at. Without any, it is the line.
    sources: Vec<String>,
    separator: String,
    /// What is looked for. Without it, an entry must only have all sources.
    test: Option<Test>,
    older_than: Option<Duration>,
    /// Bytes.
    longer_than: Option<u64>,
    reason: Arc<str>,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    /// The expression matches somewhere in the text.
    Expression(Re2),
    /// The text is this value.
    Value(String),
}

/// Reads it.
pub(super) fn read(checker: &Checker<'_>, value: &Value<'_>) -> Option<Settings> {
    let section = Section::open(checker, value, "stages[].drop")?;
    // A key without a value counts as not written.
    let get = |name| section.get(name).filter(|value| value.node.kind != Kind::Null);
    let expected = "expected at least one of `source`, `expression`, `older_than` and `longer_than`";
    match (get("source"), get("value"), get("expression")) {
        (_, Some(fixed), Some(expression)) => checker.note(
            Finding::at(fixed.key.clone(), format!("`{}` looks for two things", value.path))
                .label("expected either `value` or `expression`")
                .related(expression.key.clone(), "the other one"),
        ),
        (None, Some(fixed), None) => checker.note(
            Finding::at(fixed.key.clone(), format!("`{}` has no `source`", value.path))
                .label("expected `source` beside it: the name of the value to compare with")
                .help("for a part of the line, write `expression`"),
        ),
        // One of them was meant.
        (None, None, None)
            if ["source", "expression", "older_than", "longer_than"]
                .iter()
                .any(|name| section.is_meant(name)) => {}
        (None, None, None) if get("older_than").is_none() && get("longer_than").is_none() => checker
            .note(Finding::at(value.place(), format!("`{}` has no condition", value.path)).label(expected)),
        _ => {}
    }
    let test = match (get("value"), get("expression")) {
        (Some(fixed), _) => text(checker, fixed).map(Test::Value),
        (None, Some(expression)) => checker.regex(expression, Re2::new).map(Test::Expression),
        (None, None) => None,
    };
    let reason = get("drop_counter_reason").and_then(|value| text(checker, value));
    Some(Settings {
        sources: get("source").and_then(|value| source::names(checker, value)).unwrap_or_default(),
        separator: get("separator")
            .and_then(|value| text(checker, value))
            .unwrap_or_else(|| SEPARATOR.to_owned()),
        test,
        older_than: get("older_than").and_then(|value| checker.go_duration(value, &OLDER_THAN)),
        longer_than: get("longer_than").and_then(|value| checker.go_size(value, &LONGER_THAN)),
        reason: reason.filter(|reason| !reason.is_empty()).map_or(REASON.into(), Arc::from),
    })
}

/// A text. It may look like a number or like `true`.
fn text(checker: &Checker<'_>, value: &Value<'_>) -> Option<String> {
    match value.node.kind {
        Kind::Int(_) | Kind::Float(_) | Kind::Bool(_) => checker.raw(value, "a string"),
        _ => checker.text(value, "a string"),
    }
}

impl AboutStage for Settings {
    fn build(&self, _setup: &Setup) -> Box<dyn Stage> {
        Box::new(self.clone())
    }

    fn lint(written: &Value<'_>, may: &mut May<'_>) {
        may::list(written, "source").iter().for_each(|source| may.have_value(source, may::text(source)));
    }
}

impl Settings {
    fn holds(&self, item: &Item, now_ns: i64) -> bool {
        if let Some(bytes) = self.longer_than
            && item.line.len() as u64 <= bytes
        {
            return false;
        }
        if let Some(age) = self.older_than {
            let age_ns = i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
            if item.timestamp_ns >= now_ns.saturating_sub(age_ns) {
                return false;
            }
        }
        let Some(test) = &self.test else {
            return self.sources.iter().all(|source| item.extracted.contains(source));
        };
        if self.sources.is_empty() {
            return test.holds(&item.line);
        }
        // Missing values are left out. A value without text (null) meets no condition.
        let mut texts = Vec::with_capacity(self.sources.len());
        for source in self.sources.iter().filter(|source| item.extracted.contains(source)) {
            match item.extracted.text(source) {
                Some(text) => texts.push(text),
                None => return false,
            }
        }
        match texts.as_slice() {
            [text] => test.holds(text),
            texts => test.holds(&texts.join(&*self.separator)),
        }
    }
}

impl Test {
    fn holds(&self, text: &str) -> bool {
        match self {
            Test::Expression(expression) => expression.is_match(text),
            Test::Value(value) => text == value,
        }
    }
}

impl Stage for Settings {
    fn name(&self) -> &'static str {
        "drop"
    }

    fn run(&mut self, item: &mut Item, context: &mut Context) -> Flow {
        if self.holds(item, context.now_ns) { Flow::Drop(self.reason.clone()) } else { Flow::Next }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{build, item, refused};
    use super::*;
    use crate::shape::stages::Value as Extracted;

    const HOUR_NS: i64 = 3_600_000_000_000;

    #[track_caller]
    fn check(rows: &[(&str, bool)]) {
        for (settings, drops) in rows {
            let mut item = item(r#"{"event": "sql"} oom at 12:00"#, &[("unit", "u")]);
            item.timestamp_ns = 100 * HOUR_NS;
            for (name, value) in [
                ("ev", "sql".into()),
                ("lvl", "info".into()),
                ("empty", "".into()),
                ("nul", Extracted::Null),
                ("code", Extracted::Number(503.0)),
                ("flag", Extracted::Bool(true)),
            ] {
                item.extracted.set(name, value);
            }
            let mut context = Context { now_ns: 102 * HOUR_NS, ..Context::default() };
            let flow = build(&format!("[{{drop: {settings}}}]"))[0].run(&mut item, &mut context);
            let expected = if *drops { Flow::Drop(REASON.into()) } else { Flow::Next };
            assert_eq!(flow, expected, "{settings}");
        }
    }

    #[test]
    fn by_line_length_and_age() {
        check(&[
            ("{expression: 'Connection closed|oom'}", true),
            ("{expression: '^oom'}", false),
            ("{expression: OOM}", false),
            ("{longer_than: 28}", true),
            ("{longer_than: 29}", false),
            ("{longer_than: 28b, expression: event}", true),
            ("{longer_than: 28b, expression: nothing}", false),
            ("{longer_than: 1kb, expression: event}", false),
            ("{older_than: 1h}", true),
            ("{older_than: 2h}", false),
            ("{older_than: 119.9m}", true),
            ("{older_than: 7d}", false),
            ("{older_than: 1h, longer_than: 1kb}", false),
            ("{expression: '', value: , source: }", true),
        ]);
    }

    #[test]
    fn by_extracted_values() {
        check(&[
            ("{source: ev}", true),
            ("{source: empty}", true),
            ("{source: nul}", true),
            ("{source: unit}", true),
            ("{source: nosuch}", false),
            ("{source: [ev, nosuch]}", false),
            ("{source: [ev, lvl], longer_than: 1kb}", false),
            ("{source: ev, value: sql}", true),
            ("{source: ev, value: sq}", false),
            ("{source: ev, value: 's.l'}", false),
            ("{source: ev, expression: '^s.l$'}", true),
            ("{source: code, expression: '^5'}", true),
            ("{source: code, value: 503}", true),
            ("{source: flag, value: true}", true),
            ("{source: nul, expression: ''}", false),
            ("{source: [ev, nul], expression: sql}", false),
            ("{source: nosuch, expression: ''}", true),
            ("{source: nosuch, value: x}", false),
            ("{source: [ev, lvl], value: 'sql;info'}", true),
            ("{source: [lvl, ev], value: 'sql;info'}", false),
            ("{source: [ev, nosuch, lvl], value: 'sql;info'}", true),
            ("{source: [ev, lvl], separator: '', value: sqlinfo}", true),
            ("{source: [ev, lvl], separator: '#', expression: 'l#i'}", true),
        ]);
    }

    #[test]
    fn the_reason_is_the_one_written() {
        for (settings, reason) in [
            ("{source: unit, drop_counter_reason: noise}", "noise"),
            ("{source: unit, drop_counter_reason: ''}", "drop_stage"),
            ("{source: unit, drop_counter_reason: }", "drop_stage"),
        ] {
            let mut item = item("x", &[("unit", "u")]);
            let flow = build(&format!("[{{drop: {settings}}}]"))[0].run(&mut item, &mut Context::default());
            assert_eq!(flow, Flow::Drop(reason.into()), "{settings}");
        }
    }

    #[test]
    fn mistakes_are_shown_at_their_place() {
        refused(&[
            ("[{drop: }]", &["`stages[0].drop` has no condition", "expected at least one of `source`"]),
            ("[{drop: {drop_counter_reason: x}}]", &["has no condition"]),
            ("[{drop: {value: x}}]", &["`stages[0].drop` has no `source`", "write `expression`"]),
            ("[{drop: {source: a, value: x, expression: y}}]", &["looks for two things", "the other one"]),
            ("[{drop: {source: []}}]", &["is an empty list"]),
            ("[{drop: {source: ''}}]", &["the name is empty"]),
            ("[{drop: {source: [a, {b: c}]}}]", &["cannot be a map"]),
            ("[{drop: {expression: '('}}]", &["not a regular expression"]),
            ("[{drop: {older_than: 24}}]", &["`24` is not a duration", "the unit is missing"]),
            ("[{drop: {older_than: -1h}}]", &["is not a duration"]),
            ("[{drop: {older_than: 200y}}]", &["too large"]),
            (
                "[{drop: {longer_than: 8kbit, older_than: 1x}}]",
                &["is not a size", "is not a duration", "2 errors"],
            ),
        ]);
    }
}
