//! `json`: extracts values from JSON with JMESPath expressions.

use std::sync::Arc;

use super::{AboutStage, Context, Flow, Item, May, Setup, Stage, Value, may, source};
use crate::yaml::key::key;
use crate::yaml::{Checker, Finding, Key, Kind, Section, Value as Written};
use logql::jmespath::{Expression, Json};

/// The reason that is counted when `drop_malformed` drops a line that is not JSON.
const MALFORMED: &str = "json_malformed";

/// The keys of the stage.
pub(super) const KEYS: &[Key] = &[
    key("stages[].json", "section", ""),
    key("stages[].json.expressions", "map of JMESPath expressions", "required"),
    key("stages[].json.source", "string", "null"),
    key("stages[].json.drop_malformed", "`true` or `false`", "false"),
];

/// `stages[].json`
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    expressions: Vec<(String, Expression)>,
    source: Option<String>,
    drop_malformed: bool,
}

/// Reads it.
pub(super) fn read(checker: &Checker<'_>, value: &Written<'_>) -> Option<Settings> {
    let section = Section::open(checker, value, "stages[].json")?;
    let mut settings = Settings { expressions: Vec::new(), source: None, drop_malformed: false };
    if let Some(written) = source::required(checker, value, &section, "expressions") {
        settings.expressions = expressions(checker, written).unwrap_or_default();
    }
    section.read("source", &mut settings.source, |value| source::optional(checker, value));
    section.read("drop_malformed", &mut settings.drop_malformed, |value| checker.flag(value));
    Some(settings)
}

/// Reads names and expressions. Without an expression, the name is the expression.
fn expressions(checker: &Checker<'_>, value: &Written<'_>) -> Option<Vec<(String, Expression)>> {
    let entries = checker.entries(value, "a map: name to JMESPath expression")?;
    if entries.is_empty() {
        let title = format!("`{}` is empty", value.path);
        checker.note(Finding::at(value.place(), title).label("expected at least one `name: expression`"));
    }
    let mut expressions = Vec::with_capacity(entries.len());
    for entry in &entries {
        let written = match &entry.value.node.kind {
            Kind::Null => Some(entry.name.to_owned()),
            _ => checker.raw(&entry.value, "a JMESPath expression"),
        };
        let Some(text) = written.map(|text| if text.is_empty() { entry.name.to_owned() } else { text })
        else {
            continue;
        };
        match Expression::new(&text) {
            Ok(expression) => expressions.push((entry.name.to_owned(), expression)),
            Err(error) => {
                let place = checker.inside(&entry.value, &text, Some(error.at));
                let title = format!("`{}`: not a JMESPath expression", entry.value.path);
                let finding = Finding::at(place, title).label(error.what);
                checker.note(match error.help {
                    Some(help) => finding.help(help),
                    None => finding.note("the syntax: https://jmespath.org/specification.html"),
                });
            }
        }
    }
    Some(expressions)
}

impl AboutStage for Settings {
    fn build(&self, _setup: &Setup) -> Box<dyn Stage> {
        Box::new(JsonStage { settings: self.clone(), malformed: MALFORMED.into() })
    }

    fn lint(written: &Written<'_>, may: &mut May<'_>) {
        may.have_source(written);
        may.gain(may::get(written, "expressions").iter().flat_map(may::names));
    }
}

#[derive(Debug)]
struct JsonStage {
    settings: Settings,
    malformed: Arc<str>,
}

impl Stage for JsonStage {
    fn name(&self) -> &'static str {
        "json"
    }

    fn run(&mut self, item: &mut Item, context: &mut Context) -> Flow {
        let source = self.settings.source.as_deref();
        let Some(text) = source::text("json", source, &item.line, &item.extracted, context) else {
            return Flow::Next;
        };
        let value = match Json::parse(&text) {
            Ok(value @ (Json::Map(_) | Json::Null)) => value,
            _ if self.settings.drop_malformed => return Flow::Drop(self.malformed.clone()),
            Ok(_) => {
                context.fail("json", || "not a JSON object".to_owned());
                return Flow::Next;
            }
            Err(error) => {
                context.fail("json", || format!("not JSON: {error}"));
                return Flow::Next;
            }
        };
        for (name, expression) in &self.settings.expressions {
            match expression.search(&value) {
                Ok(answer) => item.extracted.set(name, extracted(answer)),
                Err(error) => context.fail("json", || format!("`{name}`: {error}")),
            }
        }
        Flow::Next
    }
}

/// A value as a stage extracts it. Lists and maps become text.
fn extracted(answer: Json<'_>) -> Value {
    match answer {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(value),
        Json::Number(number) => Value::Number(number),
        Json::Text(text) => Value::Text(text.into_owned()),
        Json::List(_) | Json::Map(_) => {
            let mut text = String::new();
            answer.write(&mut text);
            Value::Text(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{item, labels_after, refused, run, value};
    use super::*;

    const LINE: &str = r#"{"lvl": "info", "event": "http", "ms": 218.71, "code": 200, "req": {"ua": "curl/8", "path": "/v1/cart?a<b&c"}, "t": "1.25s", "null": null, "flag": false, "x.y": [1, "z", null]}"#;

    #[test]
    fn values_keep_their_types_and_lists_and_maps_become_text() {
        let stages = r#"[{json: {expressions: {a: ms, flag: , c: "null", code: "", e: nosuch, f: req, g: "\"x.y\"", h: "length(\"x.y\")", i: req.path}}}]"#;
        let mut item = item(LINE, &[]);
        let (flow, context) = run(stages, &mut item);
        assert_eq!((flow, context.explain), (Flow::Next, Some(vec![])));
        for (name, expected) in [
            ("a", Value::Number(218.71)),
            ("flag", Value::Bool(false)),
            ("c", Value::Null),
            ("code", Value::Number(200.0)),
            ("e", Value::Null),
            ("f", r#"{"path":"/v1/cart?a\u003cb\u0026c","ua":"curl/8"}"#.into()),
            ("g", r#"[1,"z",null]"#.into()),
            ("h", Value::Number(3.0)),
            ("i", "/v1/cart?a<b&c".into()),
        ] {
            assert_eq!(value(&item, name), Some(expected), "{name}");
        }
        assert_eq!(item.line, LINE);
    }

    #[test]
    fn values_become_labels_as_in_promtail() {
        // json_types and json_source of the recordings.
        let line = r#"{"lvl": "info", "ms": 218.71, "code": 200, "req": {"path": "/v1/cart", "ua": "curl/8"}, "null": null, "flag": false}"#;
        for (stages, expected) in [
            (
                "[{json: {expressions: {a: ms, b: flag, c: 'null', d: code, e: nosuch, f: req}}}, \
                 {labels: {b: , c: , d: , e: , f: }}]",
                r#"{b="false", d="200", f="{\"path\":\"/v1/cart\",\"ua\":\"curl/8\"}"}"#,
            ),
            (
                "[{json: {expressions: {r: req}}}, {json: {source: r, expressions: {p: path, a: ua}}}, \
                 {labels: {p: , agent: a}}]",
                r#"{agent="curl/8", p="/v1/cart"}"#,
            ),
        ] {
            assert_eq!(labels_after(stages, line, &[]), (expected.to_owned(), vec![]));
        }
    }

    #[test]
    fn what_is_no_json_passes_or_ends() {
        for (line, failed) in [
            ("panic: oh", "json: failed: not JSON: not a JSON value at byte 0"),
            ("", "json: failed: not JSON: the text ends at byte 0"),
            ("{\"a\":1", "json: failed: not JSON: `,` or `}` is missing at byte 6"),
            ("[1]", "json: failed: not a JSON object"),
            (
                "{\"a\":5}",
                "json: failed: `n`: the function `length` takes a string, an array or an object, not number",
            ),
        ] {
            let mut passing = item(line, &[]);
            let (flow, context) = run("[{json: {expressions: {n: length(a), a: }}}]", &mut passing);
            assert_eq!((flow, context.explain), (Flow::Next, Some(vec![failed.to_owned()])), "{line}");
            assert_eq!(context.failed.get("json"), Some(&1));
            assert_eq!(value(&passing, "n"), None);

            let (flow, context) =
                run("[{json: {expressions: {n: b}, drop_malformed: true}}]", &mut item(line, &[]));
            let ends = !line.contains(":5");
            assert_eq!(flow, if ends { Flow::Drop("json_malformed".into()) } else { Flow::Next }, "{line}");
            assert!(context.failed.is_empty());
        }
    }

    #[test]
    fn without_its_source_it_passes_the_item_on() {
        let stages = "[{json: {source: s, expressions: {a: }, drop_malformed: true}}]";
        let mut item = item("x", &[]);
        let (flow, context) = run(stages, &mut item);
        assert_eq!((flow, context.failed.get("json")), (Flow::Next, Some(&1)));
        item.extracted.set("s", Value::Null);
        assert_eq!(run(stages, &mut item).1.failed.get("json"), Some(&1));
        item.extracted.set("s", "null".into());
        assert!(run(stages, &mut item).1.failed.is_empty());
        assert_eq!(value(&item, "a"), Some(Value::Null));
    }

    #[test]
    fn mistakes_are_shown_at_their_place() {
        refused(&[
            ("[{json: }]", &["`stages[0].json` has no `expressions`"]),
            ("[{json: {expressions: }}]", &["`stages[0].json.expressions` has no value", "expected a map"]),
            ("[{json: {expressions: {}}}]", &["`stages[0].json.expressions` is empty"]),
            ("[{json: {expressions: [a]}}]", &["cannot be a list"]),
            ("[{json: {expressions: {a: [b]}}}]", &["expected a JMESPath expression"]),
            ("[{json: {expressions: {a: b, a: c}}}]", &["stands twice"]),
            ("[{json: {expressions: {a: }, source: ''}}]", &["the name is empty"]),
            ("[{json: {expressions: {a: }, source: 5}}]", &["in quotes it is a string: '5'"]),
            ("[{json: {expressions: {a: }, drop_malformed: 1}}]", &["expected `true` or `false`"]),
            ("[{json: {expression: {a: }}}]", &["did you mean `expressions`?", "1 error"]),
            (
                "[{json: {expressions: {a: grpc.x-y, b-c: , d: 'nope(x)'}}}]",
                &[
                    "test.yaml:1:41",
                    "^ `-` is not a valid whole number",
                    "stands in double quotes: '\"a-b\"'",
                    "`stages[0].json.expressions.b-c`: not a JMESPath expression",
                    "^^^^ there is no function `nope`",
                    "3 errors",
                ],
            ),
        ]);
    }
}
