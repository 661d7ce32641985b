//! A chain: stages in the order in which they are written, and the way of an item through them.

use std::sync::Arc;

use super::{Context, Flow, Item, Setup, Stage, StageSettings, explain};
use journald_reader::Cursor;
use logql::label_set::LabelSet;

/// Stages, one after the other.
#[derive(Debug, Default)]
pub struct Chain {
    stages: Vec<Box<dyn Stage>>,
    /// The path of each stage in the configuration.
    paths: Vec<Arc<str>>,
}

impl Chain {
    /// Builds the stages of a configuration.
    pub fn new(configs: &[StageSettings], setup: &Setup) -> Chain {
        let list = if setup.path.is_empty() { "stages" } else { &setup.path };
        let mut chain = Chain::default();
        for (index, config) in configs.iter().enumerate() {
            let path = format!("{list}[{index}]");
            let stage = config.settings().build(&Setup { path: path.clone(), ..setup.clone() });
            chain.paths.push(format!("{path}.{}", stage.name()).into());
            chain.stages.push(stage);
        }
        chain
    }

    /// Whether it has no stages.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// Whether no stage does anything with entries of these labels.
    pub fn passes(&self, labels: &LabelSet) -> bool {
        self.stages.iter().all(|stage| stage.passes(labels))
    }

    /// Takes an item through all stages. After [`Flow::Next`], `item` is what comes out. That may be an item that was held
    /// before.
    pub fn run(&mut self, item: &mut Item, context: &mut Context) -> Flow {
        self.run_from(0, item, context)
    }

    fn run_from(&mut self, first: usize, item: &mut Item, context: &mut Context) -> Flow {
        for (stage, path) in self.stages.iter_mut().zip(&self.paths).skip(first) {
            let explains = context.explain.is_some();
            let before = (explains || context.is_tried(path)).then(|| item.clone());
            if explains {
                context.at = Some(path.clone());
            }
            let failed = context.failed.get(stage.name()).copied();
            (context.passed_by, context.inside) = (false, false);
            let flow = stage.run(item, context);
            let inside = std::mem::take(&mut context.inside);
            if let Some(before) = &before {
                let failed = context.failed.get(stage.name()).copied() != failed;
                let worked = match stage.name() {
                    "match" => !context.passed_by,
                    _ => flow != Flow::Next || changed(before, item),
                };
                context.tally(path, worked, failed);
            }
            if let (Flow::Drop(reason), false) = (&flow, inside) {
                context.drop(reason);
            }
            if let (Some(before), true, false) = (before, explains, inside) {
                context.explain_stage(path, before, item, &flow);
            }
            if flow != Flow::Next {
                return flow;
            }
        }
        Flow::Next
    }

    /// The next item that need not be held any longer, after it went through the rest of the stages. Call this until it
    /// returns nothing.
    pub fn release(&mut self, context: &mut Context) -> Option<Item> {
        for index in 0..self.stages.len() {
            while let Some(mut item) = self.stages.get_mut(index).and_then(|stage| stage.release(context)) {
                // Those inside a `match` have said it already.
                let own = self.stages.get(index).is_some_and(|stage| stage.name() != "match");
                if let (true, true, Some(path)) = (context.explains(), own, self.paths.get(index)) {
                    explain::joined(path, &mut item);
                }
                if self.run_from(index + 1, &mut item, context) == Flow::Next {
                    return Some(item);
                }
            }
        }
        None
    }

    /// The cursors of the entries that stages hold.
    pub fn held(&self, out: &mut Vec<Cursor>) {
        self.stages.iter().for_each(|stage| stage.held(out));
    }
}

/// Whether a stage changed anything.
fn changed(before: &Item, after: &Item) -> bool {
    let values = |item: &Item| {
        let mut values: Vec<_> = item.extracted.iter().map(|(n, v)| (n.to_owned(), v.into_owned())).collect();
        values.sort_by(|a, b| a.0.cmp(&b.0));
        values
    };
    before.line != after.line
        || before.labels != after.labels
        || before.metadata != after.metadata
        || before.timestamp_ns != after.timestamp_ns
        || before.tenant != after.tenant
        || values(before) != values(after)
}

impl Context {
    /// Whether a configuration is tried, and this stage has not worked on any item yet. Later items do not matter then.
    fn is_tried(&self, path: &Arc<str>) -> bool {
        self.trial.as_ref().is_some_and(|trial| trial.get(path).is_none_or(|tally| tally.worked == 0))
    }

    /// Counts what a stage did with an item, if a configuration is tried.
    fn tally(&mut self, path: &Arc<str>, worked: bool, failed: bool) {
        let Some(trial) = &mut self.trial else { return };
        let tally = trial.entry(path.clone()).or_default();
        tally.reached += 1;
        tally.worked += u64::from(worked && !failed);
        tally.failed += u64::from(failed);
        if failed && tally.why.is_none() {
            tally.why = self.why.take();
        }
    }

    /// Counts an item that ends here.
    pub(super) fn drop(&mut self, reason: &Arc<str>) {
        match self.dropped.get_mut(reason) {
            Some(count) => *count += 1,
            None => {
                self.dropped.insert(reason.clone(), 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{item, parse};
    use super::*;

    #[test]
    fn what_all_stages_pass_by_is_told_by_labels_alone() {
        let one = "{match: {selector: '{unit=\"a\"} |= \"x\"', stages: [{static_labels: {b: c}}]}}";
        let other = "{match: {selector: '{unit=~\"b.*\"}', action: drop}}";
        for (stages, unit, passes) in [
            (String::from("[]"), "a", true),
            (format!("[{one}]"), "a", false),
            (format!("[{one}]"), "b", true),
            (format!("[{one}, {other}]"), "b", false),
            (format!("[{one}, {other}]"), "c", true),
            // A stage behind them is for every entry.
            (format!("[{one}, {{decolorize: }}]"), "c", false),
        ] {
            let mut chain = Chain::new(&parse(&stages).unwrap(), &Setup::default());
            let mut item = item("x", &[("unit", unit)]);
            assert_eq!(chain.passes(&item.labels), passes, "{stages} {unit}");
            let before = item.clone();
            let flow = chain.run(&mut item, &mut Context::default());
            assert!(!passes || (flow == Flow::Next && !changed(&before, &item)), "{stages} {unit}");
        }
    }
}
