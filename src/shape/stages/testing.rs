//! What the tests of stages share: stages as read from YAML, and items to run them on.

use std::sync::Arc;

use super::{Context, Flow, Item, Setup, Stage, StageSettings, Value};
use logql::label_set::LabelSet;

/// The stages of a list in YAML's flow style, or the message that refuses it.
pub(super) fn parse(stages: &str) -> Result<Vec<StageSettings>, String> {
    let source = format!("stages: {stages}\n");
    match crate::config::Config::parse(&source, "test.yaml", &|_| None) {
        Ok(config) => Ok(config.stages),
        Err(errors) => Err(errors.to_string()),
    }
}

/// The same, built.
#[track_caller]
pub(super) fn build(stages: &str) -> Vec<Box<dyn Stage>> {
    match parse(stages) {
        Ok(stages) => stages.iter().map(|stage| stage.settings().build(&Setup::default())).collect(),
        Err(errors) => panic!("{stages}\n{errors}"),
    }
}

/// An item at the beginning of a pipeline.
pub(super) fn item(line: &str, labels: &[(&str, &str)]) -> Item {
    let mut set = LabelSet::default();
    for (name, value) in labels {
        set.insert(name, value.as_bytes());
    }
    let labels = Arc::new(set);
    let mut item = Item { line: line.to_owned(), labels: labels.clone(), ..Item::default() };
    item.extracted.restart(&labels);
    item
}

/// Runs stages over an item, one after the other.
#[track_caller]
pub(super) fn run(stages: &str, item: &mut Item) -> (Flow, Context) {
    let mut context = Context { explain: Some(Vec::new()), ..Context::default() };
    for stage in &mut build(stages) {
        match stage.run(item, &mut context) {
            Flow::Next => {}
            flow => return (flow, context),
        }
    }
    (Flow::Next, context)
}

/// The labels that an item with this line and these labels ends with, and what failed.
#[track_caller]
pub(super) fn labels_after(stages: &str, line: &str, labels: &[(&str, &str)]) -> (String, Vec<String>) {
    let mut item = item(line, labels);
    let (flow, context) = run(stages, &mut item);
    assert_eq!(flow, Flow::Next);
    (item.labels.to_string(), context.explain.unwrap_or_default())
}

/// The value of an item, as it would be shown.
pub(super) fn value(item: &Item, name: &str) -> Option<Value> {
    item.extracted.get(name).map(|value| value.into_owned())
}

/// Each list of stages is refused, with every part of the message.
#[track_caller]
pub(super) fn refused(rows: &[(&str, &[&str])]) {
    for (stages, parts) in rows {
        let message = parse(stages).expect_err(stages);
        for part in *parts {
            assert!(message.contains(part), "{stages}: no {part:?} in\n{message}");
        }
    }
}

/// One stage, running.
#[track_caller]
pub(super) fn one_stage(stage: &str) -> Box<dyn Stage> {
    build(&format!("[{{{stage}}}]")).remove(0)
}

/// What is said of a stage that is refused.
#[track_caller]
pub(super) fn refusal(stage: &str) -> String {
    parse(&format!("[{{{stage}}}]")).expect_err(stage)
}

/// A stage whose value is a list of names refuses everything else.
pub(super) fn takes_only_names(stage: &str) {
    let of = |value: &str| format!("[{{{stage}: {value}}}]");
    let no_value = format!("`stages[0].{stage}` has no value");
    refused(&[
        (&of(""), &[&no_value, "expected a list of names"]),
        (&of("[]"), &["is an empty list", "expected at least one name"]),
        (&of("{a: b}"), &["cannot be a map"]),
        (&of("['', 5]"), &["the name is empty", "in quotes it is a string: '5'", "2 errors"]),
    ]);
}
