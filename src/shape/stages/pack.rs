//! `pack`: packs the line and labels into one JSON line, which LogQL's `unpack` takes apart.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{AboutStage, Context, Flow, Item, May, Setup, Stage, may, source};
use crate::yaml::key::key;
use crate::yaml::{Checker, Finding, Key, Kind, Section, Value};
use logql::go::json::write_text;

/// The key of the line itself.
const ENTRY: &str = "_entry";

/// The keys of the stage.
pub(super) const KEYS: &[Key] = &[
    key("stages[].pack", "section", ""),
    key("stages[].pack.labels", "list of strings", "[]"),
    key("stages[].pack.ingest_timestamp", "`true` or `false`", "true"),
];

/// `stages[].pack`
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The names of the extracted values and labels that are packed.
    labels: Vec<String>,
    /// Whether the entry gets the time of packing.
    ingest_timestamp: bool,
}

/// Reads it.
pub(super) fn read(checker: &Checker<'_>, value: &Value<'_>) -> Option<Settings> {
    let section = Section::open(checker, value, "stages[].pack")?;
    let mut settings = Settings { labels: Vec::new(), ingest_timestamp: true };
    section.read("labels", &mut settings.labels, |value| match &value.node.kind {
        Kind::Null => None,
        Kind::Seq(items) if items.is_empty() => None,
        _ => source::names(checker, value),
    });
    if let Some(labels) = section.get("labels")
        && settings.labels.iter().any(|name| name == ENTRY)
    {
        let title = format!("`{}` cannot hold `{ENTRY}`", labels.path);
        checker.note(Finding::at(labels.place(), title).label("this name is reserved for the line"));
    }
    section.read("ingest_timestamp", &mut settings.ingest_timestamp, |value| match value.node.kind {
        Kind::Null => None,
        _ => checker.flag(value),
    });
    Some(settings)
}

impl AboutStage for Settings {
    fn build(&self, _setup: &Setup) -> Box<dyn Stage> {
        Box::new(Pack { settings: self.clone(), last_ns: i64::MIN })
    }

    fn lint(written: &Value<'_>, may: &mut May<'_>) {
        may::list(written, "labels").iter().for_each(|name| may.have_either(name, may::text(name)));
    }
}

#[derive(Debug)]
struct Pack {
    settings: Settings,
    /// The latest time that an entry got.
    last_ns: i64,
}

impl Stage for Pack {
    fn name(&self) -> &'static str {
        "pack"
    }

    fn run(&mut self, item: &mut Item, context: &mut Context) -> Flow {
        let mut packed: BTreeMap<&str, Cow<'_, str>> = BTreeMap::new();
        for name in &self.settings.labels {
            if let Some(text) = item.extracted.text(name) {
                packed.insert(name, text);
            }
        }
        let mut line = String::with_capacity(item.line.len() + 64);
        line.push('{');
        for (name, text) in &packed {
            write_text(&mut line, name);
            line.push(':');
            write_text(&mut line, text);
            line.push(',');
        }
        write_text(&mut line, ENTRY);
        line.push(':');
        write_text(&mut line, &item.line);
        line.push('}');
        item.line = line;

        for name in packed.into_keys() {
            if item.labels.get(name).is_some() {
                Arc::make_mut(&mut item.labels).remove(name);
            }
        }
        if self.settings.ingest_timestamp {
            // The clock is read once for many items, but Loki folds equal lines of one time.
            self.last_ns = context.now_ns.max(self.last_ns.saturating_add(1));
            item.timestamp_ns = self.last_ns;
        }
        Flow::Next
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{build, item, refused, run};
    use super::*;
    use crate::shape::stages::Value as Extracted;

    #[test]
    fn the_line_and_labels_are_packed() {
        let labels = [("unit", "sshd.service"), ("level", "info")];
        let line = "Connection closed by 198.51.100.7 port 42778 [preauth]";
        for (stages, line, packed, left) in [
            // pack of the recordings.
            (
                r"[{regex: {expression: 'port (?P<port>\d+)'}}, {labels: {port: }}, {pack: {labels: [port, level], ingest_timestamp: false}}]",
                line,
                r#"{"level":"info","port":"42778","_entry":"Connection closed by 198.51.100.7 port 42778 [preauth]"}"#,
                r#"{unit="sshd.service"}"#,
            ),
            ("[{pack: }]", "x", r#"{"_entry":"x"}"#, r#"{level="info", unit="sshd.service"}"#),
            (
                "[{pack: {labels: [nul, nosuch]}}]",
                "x",
                r#"{"_entry":"x"}"#,
                r#"{level="info", unit="sshd.service"}"#,
            ),
            (
                "[{pack: {labels: [n, unit, n]}}]",
                "a<b>&\"\\\n\u{1}é\u{2028}",
                r#"{"n":"0.5","unit":"sshd.service","_entry":"a\u003cb\u003e\u0026\"\\\n\u0001é\u2028"}"#,
                r#"{level="info"}"#,
            ),
            // The value is that of the beginning; the label goes all the same.
            (
                "[{static_labels: {level: debug}}, {pack: {labels: level}}]",
                "x",
                r#"{"level":"info","_entry":"x"}"#,
                r#"{unit="sshd.service"}"#,
            ),
        ] {
            let mut item = item(line, &labels);
            item.extracted.set("n", Extracted::Number(0.5));
            item.extracted.set("nul", Extracted::Null);
            assert_eq!(run(stages, &mut item).0, Flow::Next);
            assert_eq!((item.line.as_str(), item.labels.to_string().as_str()), (packed, left), "{stages}");
        }
    }

    #[test]
    fn times_are_those_of_packing_and_never_equal() {
        for (stages, times) in [
            ("[{pack: }]", [100, 101, 200, 201]),
            ("[{pack: {ingest_timestamp: true}}]", [100, 101, 200, 201]),
            ("[{pack: {ingest_timestamp: false}}]", [7, 7, 7, 7]),
        ] {
            let mut stages = build(stages);
            let mut context = Context::default();
            let found = [100, 100, 200, 150].map(|now_ns| {
                context.now_ns = now_ns;
                let mut item = Item { timestamp_ns: 7, ..item("x", &[]) };
                assert_eq!(stages[0].run(&mut item, &mut context), Flow::Next);
                item.timestamp_ns
            });
            assert_eq!(found, times);
        }
    }

    #[test]
    fn mistakes_are_shown_at_their_place() {
        refused(&[
            ("[{pack: {labels: {a: b}}}]", &["cannot be a map"]),
            ("[{pack: {labels: ['']}}]", &["the name is empty"]),
            ("[{pack: {labels: [a, _entry]}}]", &["cannot hold `_entry`"]),
            ("[{pack: {ingest_timestamp: no}}]", &["expected `true` or `false`"]),
        ]);
    }
}
