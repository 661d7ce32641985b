//! What `labeldrop` and `labelallow` share: labels that are named, and go or stay.

use std::sync::Arc;

use logql::label_set::LabelSet;

use super::{AboutStage, Context, Flow, Item, Setup, Stage, source};
use crate::yaml::{Checker, Value};

/// What becomes of the labels that are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// They are taken away.
    Go,
    /// They stay, and all others are taken away.
    Stay,
}

/// `stages[].labeldrop`, `stages[].labelallow`
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    named: Named,
    labels: Vec<String>,
}

/// Reads one of them.
pub(super) fn read(named: Named, checker: &Checker<'_>, value: &Value<'_>) -> Option<Settings> {
    Some(Settings { named, labels: source::names(checker, value)? })
}

impl Settings {
    fn takes_away(&self, name: &str) -> bool {
        self.labels.iter().any(|other| other == name) == (self.named == Named::Go)
    }

    fn changes(&self, labels: &LabelSet) -> bool {
        labels.iter().any(|(name, _)| self.takes_away(name))
    }
}

impl AboutStage for Settings {
    fn build(&self, _setup: &Setup) -> Box<dyn Stage> {
        Box::new(self.clone())
    }
}

impl Stage for Settings {
    fn name(&self) -> &'static str {
        match self.named {
            Named::Go => "labeldrop",
            Named::Stay => "labelallow",
        }
    }

    fn run(&mut self, item: &mut Item, _context: &mut Context) -> Flow {
        // Usually there is nothing to take away, and the labels are shared with other entries.
        if self.changes(&item.labels) {
            Arc::make_mut(&mut item.labels).retain(|name, _| !self.takes_away(name));
        }
        Flow::Next
    }
}
