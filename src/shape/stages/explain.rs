//! What stages did to an item, for a person: steps, which the item carries with it, and its end.

use std::sync::Arc;

use super::{Context, Flow, Item};
use crate::shape::explain::{Explained, Fate, changes, names, value};

impl Context {
    /// From now on says what happens to each entry.
    pub(crate) fn start_explaining(&mut self) {
        self.explain = Some(Vec::new());
    }

    /// Whether there is someone to explain to.
    pub(crate) fn explains(&self) -> bool {
        self.explain.is_some()
    }

    /// Gives an item the steps that were said of it.
    pub(crate) fn settle(&mut self, item: &mut Item) {
        if let Some(steps) = &mut self.explain {
            item.steps.append(steps);
        }
    }

    /// Says that an item came to its end, if there is someone to explain to.
    pub(crate) fn end(&mut self, fate: Fate, mut item: Item) {
        if !self.explains() {
            return;
        }
        self.settle(&mut item);
        let Item { timestamp_ns, labels, line, steps, .. } = item;
        self.explained.push(Explained { fate, timestamp_ns, labels, line, steps });
    }

    /// Says what the stage with this path did to an item.
    pub(super) fn explain_stage(&mut self, path: &Arc<str>, mut before: Item, after: &mut Item, flow: &Flow) {
        let (fate, step) = match flow {
            Flow::Drop(reason) => (Fate::Dropped, format!("dropped ({reason})")),
            Flow::Held => (Fate::Held, "held until its block ends".into()),
            Flow::Next if before.cursor != after.cursor => match after.parts.contains(&before.cursor) {
                true => (Fate::Held, "joined to the block that goes on now".into()),
                false => (Fate::Held, "held until its block ends; the block before it goes on".into()),
            },
            Flow::Next => {
                self.settle(after);
                let steps = differences(&before, after);
                return after.steps.extend(steps.into_iter().map(|step| format!("{path}: {step}")));
            }
        };
        // What the stage has said itself comes first.
        self.settle(&mut before);
        before.steps.push(format!("{path}: {step}"));
        self.end(fate, before);
        if *flow == Flow::Next {
            joined(path, after);
        }
    }
}

/// Says of how many lines a block was made.
pub(super) fn joined(path: &str, item: &mut Item) {
    let lines = item.parts.len();
    if lines > 1 {
        item.steps.push(format!("{path}: {lines} lines joined"));
    }
}

/// What a stage changed.
fn differences(before: &Item, after: &Item) -> Vec<String> {
    let mut steps = changes(&names(&before.labels), &names(&after.labels));
    for pair in &after.metadata {
        if !before.metadata.contains(pair) {
            steps.push(format!("metadata {}={}", pair.0, value(&pair.1)));
        }
    }
    let mut extracted: Vec<_> = after.extracted.iter().collect();
    extracted.sort_by_key(|(name, _)| *name);
    for (name, new) in extracted {
        if before.extracted.get(name).as_deref() != Some(&*new) {
            steps.push(match new.text() {
                Some(text) => format!("extracted {name}={}", value(&text)),
                None => format!("extracted {name}: null"),
            });
        }
    }
    if before.line != after.line {
        steps.push(format!("line: {:?}", after.line));
    }
    if before.timestamp_ns != after.timestamp_ns {
        let time = jiff::Timestamp::from_nanosecond(after.timestamp_ns.into()).unwrap_or_default();
        steps.push(format!("time: {time}"));
    }
    if before.tenant != after.tenant {
        steps.push(format!("tenant: {}", value(after.tenant.as_deref().unwrap_or_default())));
    }
    steps
}
