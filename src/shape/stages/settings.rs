//! What the settings of every stage can tell, and how a list of stages is read.

use super::{May, Setup, Stage, StageSettings};
use crate::yaml::{Checker, Finding, Kind, Section, Value};
use logql::Selector;

/// Where the value of a label that a stage makes comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    /// The configuration fixes it.
    Fixed,
    /// The stage finds it in the entry.
    Found,
}

/// The settings of a stage, as they are read. The stage is built from them, and they tell in advance what it can do.
pub(crate) trait AboutStage {
    /// The stage, ready to run.
    fn build(&self, setup: &Setup) -> Box<dyn Stage>;

    /// The labels that it makes.
    fn labels(&self) -> Vec<(&str, Made)> {
        Vec::new()
    }

    /// The names of the structured metadata that it makes.
    fn metadata(&self) -> Vec<&str> {
        Vec::new()
    }

    /// The names of its metrics on /metrics.
    fn metrics(&self) -> Vec<String> {
        Vec::new()
    }

    /// The stages inside it, and the selector of the entries for these stages.
    fn inner(&self) -> Option<(&Selector, &[StageSettings])> {
        None
    }

    /// Warns of names in the stage that no entry has. Then adds to `may` the names that entries may have after it.
    fn lint(_written: &Value<'_>, _may: &mut May<'_>)
    where
        Self: Sized,
    {
    }
}

/// Reads a list of stages. Each is a map with one key, the name of the stage.
pub(crate) fn read(checker: &Checker<'_>, value: &Value<'_>) -> Option<Vec<StageSettings>> {
    checker.each(value, "a list of stages", |item| stage(checker, item))
}

fn stage(checker: &Checker<'_>, item: &Value<'_>) -> Option<StageSettings> {
    let section = Section::open(checker, item, "stages[]")?;
    let mut entries = section.entries();
    let (Some((name, value)), None) = (entries.next(), entries.next()) else {
        // The reader has reported an unknown key already.
        if matches!(&item.node.kind, Kind::Map(written) if written.len() == 1) {
            return None;
        }
        checker.note(
            Finding::at(item.place(), format!("`{}` is not one stage", item.path))
                .label("expected a map with one key: the name of a stage")
                .help("begin each stage with `- `"),
        );
        return None;
    };
    StageSettings::read(name, checker, value)
}
