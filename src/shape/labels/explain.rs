//! Where the labels of an entry come from, for a person: fixed ones, journal fields, and what rules for relabelling changed.

use logql::label_set::{LabelSet, lossy};

use super::{FieldLookup, Labeler};
use crate::shape::explain::value;
use journald_reader::Entry;

/// What gave an entry its labels.
pub(crate) struct Origins {
    /// A line for each label, and for each change by a rule.
    pub(crate) steps: Vec<String>,
    /// The labels after all rules, or when a rule dropped the entry.
    pub(crate) set: LabelSet,
    /// A rule dropped the entry; the last step says which one.
    pub(crate) dropped: bool,
}

impl Labeler {
    /// Says where the labels of an entry come from. They are made anew, nothing is counted.
    pub(crate) fn explain(&self, entry: &Entry<'_>) -> Origins {
        let mut set = LabelSet::default();
        let mut steps = Vec::new();
        for (index, (name, text)) in self.fixed.iter().enumerate() {
            set.insert(name, text.as_bytes());
            let section = if index < self.of_all { "labels.static" } else { "loki[].labels" };
            steps.push(format!("{name} <- {section}"));
        }
        for lookup in &self.lookups {
            if let Some(label) = lookup.value(entry) {
                set.insert(&lookup.name, label);
            }
            steps.extend(lookup.explain(entry));
        }
        let mut dropped = false;
        if let Some(relabeler) = &self.relabeler {
            (set, dropped) = relabeler.explain(entry, &set, &mut steps);
        }
        Origins { steps, set, dropped }
    }
}

impl FieldLookup {
    /// `level <- PRIORITY=6`; `None` if no field has a value.
    pub(crate) fn explain(&self, entry: &Entry<'_>) -> Option<String> {
        let source = self.source(entry)?;
        let text = lossy(entry.value(source.key)?);
        Some(format!("{} <- {}={}", self.name, source.field, value(&text)))
    }
}
