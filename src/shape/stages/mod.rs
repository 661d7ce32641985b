//! Stages: what a user lets happen to an entry between its labels and its batch, with the names of Promtail.
//!
//! An [`Item`] goes through a [`Chain`] of stages in the order in which they are written. A stage changes it, drops it, or
//! holds it (`multiline`). If a stage cannot do its work on an item (a line that is not JSON, a time that does not parse), it
//! passes the item on and counts a failure. The item is not lost.
//!
//! Stages do what those of Promtail 3.6.9 do (grafana/loki, `clients/pkg/logentry/stages`). `docs/migration.md` lists the
//! differences.

mod by_name;
mod chain;
mod explain;
mod generations;
mod item;
pub(crate) mod lint;
mod may;
mod settings;
mod source;
#[cfg(test)]
mod testing;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use journald_reader::Cursor;
use logql::label_set::LabelSet;

pub use chain::Chain;
pub use item::{Extracted, Item, Value};
use may::May;
pub(crate) use settings::{AboutStage, Made, read};

use crate::shape::explain::Explained;
use crate::yaml::key::{count, joined, key};
use crate::yaml::{self, Checker, Key};

/// Makes of a line for each stage: its module, its variant in [`StageSettings`], its keys in [`KEYS`], and how it is read.
macro_rules! stages {
    ($($(#[$about:meta])* $Stage:ident $module:ident $name:literal;)*) => {
        $($(#[$about])* pub mod $module;)*

        /// One item of `stages`, checked.
        #[derive(Debug, Clone, PartialEq)]
        pub enum StageSettings {
            $($(#[$about])* $Stage($module::Settings),)*
        }

        impl StageSettings {
            /// Reads the stage of this name; `None` if there is a mistake in it, or no such stage.
            fn read(name: &str, checker: &Checker<'_>, written: &yaml::Value<'_>) -> Option<Self> {
                match name {
                    $($name => $module::read(checker, written).map(Self::$Stage),)*
                    _ => None,
                }
            }

            /// Warns of what the stage of this name asks for and no entry has; notes what entries have after it.
            fn lint(name: &str, written: &yaml::Value<'_>, may: &mut May<'_>) {
                match name {
                    $($name => <$module::Settings as AboutStage>::lint(written, may),)*
                    _ => {}
                }
            }

            /// What the stage says of itself.
            pub(crate) fn settings(&self) -> &dyn AboutStage {
                match self {
                    $(Self::$Stage(settings) => settings,)*
                }
            }
        }

        const PARTS: &[&[Key]] = &[&[key("stages", "list of stages", "[]")], $($module::KEYS),*];
        /// The keys of `stages`.
        pub(crate) const KEYS: &[Key] = &joined::<{ count(PARTS) }>(PARTS);
    };
}

// Every stage, in the order of the reference. A new one is its file and a line here.
stages! {
    /// `match`: does something only for entries that a selector selects.
    Match match_ "match";
    /// `drop`: ends entries that meet all its conditions.
    Drop drop "drop";
    /// `json`: extracts values from JSON with JMESPath expressions.
    Json json "json";
    /// `logfmt`: extracts values from `key=value` lines.
    Logfmt logfmt "logfmt";
    /// `regex`: extracts the named groups of a regular expression.
    Regex regex "regex";
    /// `replace`: replaces what a regular expression finds.
    Replace replace "replace";
    /// `template`: makes a value by a Go template.
    Template template "template";
    /// `timestamp`: takes the time of an entry from an extracted value.
    Timestamp timestamp "timestamp";
    /// `output`: makes an extracted value the line.
    Output output "output";
    /// `labels`: makes labels of extracted values.
    Labels labels "labels";
    /// `labeldrop`: takes labels away.
    Labeldrop labeldrop "labeldrop";
    /// `labelallow`: keeps only the labels named.
    Labelallow labelallow "labelallow";
    /// `static_labels`: adds labels with fixed values.
    StaticLabels static_labels "static_labels";
    /// `structured_metadata`: makes structured metadata of extracted values.
    StructuredMetadata structured_metadata "structured_metadata";
    /// `tenant`: chooses the tenant of an entry.
    Tenant tenant "tenant";
    /// `limit`: lets so many entries through in a second.
    Limit limit "limit";
    /// `sampling`: keeps a share of the entries.
    Sampling sampling "sampling";
    /// `multiline`: joins the lines of one block.
    Multiline multiline "multiline";
    /// `pack`: packs the line and labels into one JSON line.
    Pack pack "pack";
    /// `decolorize`: removes ANSI colour sequences from the line.
    Decolorize decolorize "decolorize";
    /// `metrics`: counts entries and measures extracted values, for /metrics.
    Metrics metrics "metrics";
}

/// What becomes of an item after a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flow {
    /// It goes on.
    Next,
    /// It ends here, for this reason: what `drop_counter_reason` says, or the stage's own.
    Drop(Arc<str>),
    /// The stage keeps it for now and will release it itself. The item left behind is empty.
    Held,
}

/// What stages count, and what they may ask.
#[derive(Debug, Default)]
pub struct Context {
    /// The wall clock (nanoseconds since 1970), read once a batch or so.
    pub now_ns: i64,
    /// Items dropped, by reason.
    pub dropped: BTreeMap<Arc<str>, u64>,
    /// Failures of stages, by the stage's name.
    pub failed: BTreeMap<&'static str, u64>,
    /// Whether the run only shows what would happen: stages that would wait do not.
    pub dry: bool,
    /// Set by a stage that wants reading to go on only then.
    pub wait_until: Option<std::time::Instant>,
    /// When a configuration is tried: what each stage did, by its path in the configuration.
    pub trial: Option<BTreeMap<Arc<str>, Tally>>,
    /// Why the last failure was, when someone wants to know.
    pub why: Option<String>,
    /// Set by `match`: the item was not for it.
    pub passed_by: bool,
    /// Set by `match`: the item went through stages of its own, which have counted and explained what they did.
    pub inside: bool,
    /// When there is someone to explain to: what happened to the item at hand and is not among its steps yet.
    pub explain: Option<Vec<String>>,
    /// The path of the stage at work, if there is someone to explain to.
    pub at: Option<Arc<str>>,
    /// What happened to entries, each as it came to its end.
    pub explained: Vec<Explained>,
}

/// What a stage did while a configuration is tried, up to the first item that it could do its work on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Items that came to it.
    pub reached: u64,
    /// Those that it could do its work on, or that its selector selects.
    pub worked: u64,
    /// Those that it failed on.
    pub failed: u64,
    /// Why, the first time.
    pub why: Option<String>,
}

impl Context {
    /// Says what happened to an item, if there is someone to explain to.
    pub(crate) fn explain(&mut self, what: impl FnOnce() -> String) {
        if let Some(steps) = &mut self.explain {
            steps.push(what());
        }
    }

    /// Counts that a stage could not do its work; `why` is asked only when there is someone to tell.
    pub fn fail(&mut self, stage: &'static str, why: impl FnOnce() -> String) {
        *self.failed.entry(stage).or_default() += 1;
        if self.trial.is_none() && self.explain.is_none() {
            return;
        }
        let why = why();
        if let Some(steps) = &mut self.explain {
            steps.push(format!("{}: failed: {why}", self.at.as_deref().unwrap_or(stage)));
        }
        self.why = Some(why);
    }
}

/// A stage, built and running. It belongs to one destination and one thread.
pub trait Stage: Send + Debug {
    /// Its name in the configuration.
    fn name(&self) -> &'static str;

    /// Whether it does nothing with entries of these labels, whatever else they are. Then an entry need not become an item.
    fn passes(&self, _labels: &LabelSet) -> bool {
        false
    }

    /// Does its work on an item.
    fn run(&mut self, item: &mut Item, context: &mut Context) -> Flow;

    /// Releases what was held until its time was over; called when the journal is quiet. Each released
    /// item goes on behind this stage.
    fn release(&mut self, _context: &mut Context) -> Option<Item> {
        None
    }

    /// Adds the cursors of all entries that are held.
    fn held(&self, _out: &mut Vec<Cursor>) {}
}

/// What stages are built with.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Nothing will be sent, so stages do not wait.
    pub dry: bool,
    /// Where the stage `metrics` registers what it measures.
    pub metrics: Arc<crate::observe::metrics::Registry>,
    /// The path of a stage, or of a list of them, in the configuration; empty: `stages`.
    pub path: String,
}
