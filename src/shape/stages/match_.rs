//! `match`: does something only for entries that a LogQL selector selects: further stages, or dropping.

use std::sync::Arc;

use super::chain::Chain;
use super::{AboutStage, Context, Flow, Item, May, Setup, Stage, StageSettings, may};
use crate::yaml::key::key;
use crate::yaml::{Checker, Finding, Key, Section, Value};
use journald_reader::Cursor;
use logql::Selector;
use logql::label_set::LabelSet;

/// The keys of the stage.
pub(super) const KEYS: &[Key] = &[
    key("stages[].match", "section", ""),
    key("stages[].match.selector", "LogQL selector", "required"),
    key("stages[].match.pipeline_name", "string", "null"),
    key("stages[].match.action", "`keep` or `drop`", "keep"),
    key("stages[].match.drop_counter_reason", "string", "match_stage"),
    key("stages[].match.stages", "list of stages", "[]"),
];

/// `stages[].match`
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Which entries the stage is for.
    pub selector: Selector,
    /// What happens to these entries.
    pub action: Action,
}

/// What happens to the entries selected.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// They go through these stages, too.
    Keep(Vec<StageSettings>),
    /// They end here, for this reason.
    Drop(Arc<str>),
}

/// Reads it.
pub(super) fn read(checker: &Checker<'_>, value: &Value<'_>) -> Option<Settings> {
    let section = Section::open(checker, value, "stages[].match")?;
    let selector = section.required(checker, value, "selector", |value| checker.selector(value));
    let (mut drop, mut reason) = (false, "match_stage".to_owned());
    section.read("action", &mut drop, |value| checker.choice(value, &[("keep", false), ("drop", true)]));
    section.read("drop_counter_reason", &mut reason, |value| checker.text(value, "a string"));
    // Promtail uses the name in its metrics only. Here it means nothing.
    section.read("pipeline_name", &mut String::new(), |value| checker.text(value, "a string"));
    let stages = section.get("stages").map(|value| super::read(checker, value));
    match (&stages, drop) {
        (None, false) => {
            checker.note(
                Finding::at(value.key.clone(), format!("`{}` does nothing", value.path))
                    .label("expected `stages`, or `action: drop`"),
            );
            return None;
        }
        (Some(_), true) => {
            let place = section.get("stages").map_or(value.key.clone(), |value| value.key.clone());
            checker.note(
                Finding::at(place, format!("`{}` drops what it selects", value.path))
                    .label("no entry would get into these stages")
                    .help("remove `stages`, or `action: drop`"),
            );
            return None;
        }
        _ => {}
    }
    let action = if drop { Action::Drop(reason.into()) } else { Action::Keep(stages.flatten()?) };
    Some(Settings { selector: selector?, action })
}

impl AboutStage for Settings {
    fn build(&self, setup: &Setup) -> Box<dyn Stage> {
        let action = match &self.action {
            Action::Keep(stages) => {
                let inner = Setup { path: format!("{}.match.stages", setup.path), ..setup.clone() };
                Selected::Chain(Chain::new(stages, &inner))
            }
            Action::Drop(reason) => Selected::Drop(reason.clone()),
        };
        let path = format!("{}.match", setup.path);
        Box::new(Match { path, selector: self.selector.clone(), action })
    }

    fn inner(&self) -> Option<(&Selector, &[StageSettings])> {
        match &self.action {
            Action::Keep(stages) => Some((&self.selector, stages)),
            Action::Drop(_) => None,
        }
    }

    fn lint(written: &Value<'_>, may: &mut May<'_>) {
        if let Some(selector) = may::get(written, "selector") {
            may.select(&selector);
        }
        if let Some(inner) = may::get(written, "stages") {
            may.enter();
            super::lint::of_list(&inner, may);
        }
    }
}

#[derive(Debug)]
struct Match {
    path: String,
    selector: Selector,
    action: Selected,
}

#[derive(Debug)]
enum Selected {
    Chain(Chain),
    Drop(Arc<str>),
}

impl Stage for Match {
    fn name(&self) -> &'static str {
        "match"
    }

    fn passes(&self, labels: &LabelSet) -> bool {
        !self.selector.matches_labels(labels)
    }

    fn run(&mut self, item: &mut Item, context: &mut Context) -> Flow {
        if !self.selector.matches_labels(&item.labels) || !self.selector.matches_line(&item.line) {
            context.passed_by = true;
            return Flow::Next;
        }
        context.explain(|| format!("{}: selected by {}", self.path, self.selector));
        match &mut self.action {
            Selected::Drop(reason) => Flow::Drop(reason.clone()),
            Selected::Chain(chain) => {
                context.settle(item);
                let labels = item.labels.clone();
                item.extracted.enter(&labels);
                let flow = chain.run(item, context);
                (context.passed_by, context.inside) = (false, true);
                flow
            }
        }
    }

    fn release(&mut self, context: &mut Context) -> Option<Item> {
        match &mut self.action {
            Selected::Chain(chain) => chain.release(context),
            Selected::Drop(_) => None,
        }
    }

    fn held(&self, out: &mut Vec<Cursor>) {
        if let Selected::Chain(chain) = &self.action {
            chain.held(out);
        }
    }
}
