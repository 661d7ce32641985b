//! A chain: stages in the order in which they are written, and the way of an item through them.

use std::sync::Arc;

use super::{Context, Flow, Item, Setup, Stage, StageSettings};
use journald_reader::Cursor;

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

    /// Takes an item through all stages. After [`Flow::Next`], `item` is what comes out. That may be an item that was held
    /// before.
    pub fn run(&mut self, item: &mut Item, context: &mut Context) -> Flow {
        self.run_from(0, item, context)
    }

    fn run_from(&mut self, first: usize, item: &mut Item, context: &mut Context) -> Flow {
        for (stage, path) in self.stages.iter_mut().zip(&self.paths).skip(first) {
            let before = (context.explain.is_some() || context.is_tried(path)).then(|| item.clone());
            let failed = context.failed.get(stage.name()).copied();
            context.passed_by = false;
            let flow = stage.run(item, context);
            if let Some(before) = &before {
                let failed = context.failed.get(stage.name()).copied() != failed;
                let worked = match stage.name() {
                    "match" => !context.passed_by,
                    _ => flow != Flow::Next || changed(before, item),
                };
                context.tally(path, worked, failed);
            }
            if let Flow::Drop(reason) = &flow {
                context.drop(reason);
            }
            if let (Some(before), Some(steps)) = (before, &mut context.explain) {
                explain(stage.name(), &before, item, &flow, steps);
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

/// Explains what a stage did.
fn explain(stage: &str, before: &Item, after: &Item, flow: &Flow, steps: &mut Vec<String>) {
    let mut say = |what: String| steps.push(format!("{stage}: {what}"));
    match flow {
        Flow::Drop(reason) => return say(format!("dropped ({reason})")),
        Flow::Held => return say("held until its block ends".into()),
        Flow::Next if before.cursor != after.cursor => {
            return say(format!("held; the block that began at {} goes on", after.cursor));
        }
        Flow::Next => {}
    }
    for (name, value) in after.labels.iter() {
        match before.labels.get(name) {
            Some(old) if old == value => {}
            Some(old) => say(format!("label {name}: {old:?} becomes {value:?}")),
            None => say(format!("label {name}={value:?}")),
        }
    }
    for (name, value) in before.labels.iter() {
        if after.labels.get(name).is_none() {
            say(format!("label {name}={value:?} removed"));
        }
    }
    for pair in &after.metadata {
        if !before.metadata.contains(pair) {
            say(format!("metadata {}={:?}", pair.0, pair.1));
        }
    }
    for (name, value) in after.extracted.iter() {
        if before.extracted.get(name).as_deref() != Some(&*value) {
            say(format!("extracted {name}={:?}", value.text().unwrap_or("null".into())));
        }
    }
    if before.line != after.line {
        say(format!("line: {:?}", after.line));
    }
    if before.timestamp_ns != after.timestamp_ns {
        let time = jiff::Timestamp::from_nanosecond(after.timestamp_ns.into()).unwrap_or_default();
        say(format!("time: {time}"));
    }
    if before.tenant != after.tenant {
        say(format!("tenant: {:?}", after.tenant.as_deref().unwrap_or_default()));
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
