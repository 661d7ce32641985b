//! Trying a configuration on a journal: finds what the configuration names and this journal does not have. That may be
//! right, for example if a service is not installed here. So it is not reported as a mistake.

use crate::alerts::file::RuleKind;
use crate::alerts::{Alerts, Watcher};
use crate::config::Config;
use crate::pipeline::Pipeline;
use crate::shape::Sections;
use crate::shape::labels::{FieldLookup, FieldRule, Relabel, RelabelAction};
use crate::yaml::Unmet;
use journald_reader::{Entry, Keys};

/// Looks at each entry for the fields that labels and metadata are made of.
pub(super) struct Trial {
    fields: Vec<(String, FieldLookup, bool)>,
}

impl Trial {
    /// Looks for the fields that the configuration names. Fields of the defaults do not count, because not every journal has
    /// them.
    pub(super) fn new(sections: Sections<'_>, keys: &mut Keys) -> Trial {
        let default = Config::builtin(&|_| None);
        let of_default = default.labels.fields.iter().chain(&default.structured_metadata);
        let own = |rule: &&FieldRule| of_default.clone().all(|other| other != *rule);
        let labels = sections.labels.fields.iter().filter(own).map(|rule| ("labels.fields", rule));
        let metadata = sections.metadata.iter().filter(own).map(|rule| ("structured_metadata", rule));
        let fields = labels
            .chain(metadata)
            .map(|(section, rule)| (format!("{section}.{}", rule.name), FieldLookup::new(rule, keys), false));
        Trial { fields: fields.collect() }
    }

    pub(super) fn entry(&mut self, entry: &Entry<'_>) {
        for (_, lookup, found) in self.fields.iter_mut().filter(|(.., found)| !found) {
            *found = lookup.value(entry).is_some();
        }
    }

    /// The parts of the configuration that met nothing in the entries so far.
    pub(super) fn unmet(
        &self,
        sections: Sections<'_>,
        alerts: &Alerts,
        pipeline: &Pipeline,
        watcher: Option<&Watcher>,
    ) -> Vec<Unmet> {
        let mut unmet: Vec<Unmet> = self
            .fields
            .iter()
            .filter(|(.., found)| !found)
            .map(|(path, ..)| Unmet::new(path, "no entry has this field"))
            .collect();
        relabelling(&sections.labels.relabel, pipeline, &mut unmet);
        stages(pipeline, &mut unmet);
        for (index, counts) in pipeline.counts().retention.iter().enumerate() {
            // The last one is the default.
            let of_rule = sections.retention.is_some_and(|retention| index < retention.rules.len());
            if of_rule && counts.kept + counts.dropped + counts.sampled + counts.expired == 0 {
                unmet.push(Unmet::new(
                    format!("retention.rules[{index}].selector"),
                    "this rule decides on no entry",
                ));
            }
        }
        if let Some(watcher) = watcher {
            rules(alerts, watcher, &mut unmet);
        }
        unmet
    }
}

/// Rules for relabelling that met nothing.
fn relabelling(rules: &[Relabel], pipeline: &Pipeline, unmet: &mut Vec<Unmet>) {
    for (index, (rule, met)) in rules.iter().zip(pipeline.rules_met()).enumerate() {
        let what = match &rule.action {
            _ if met => continue,
            RelabelAction::Keep { .. } | RelabelAction::KeepEqual { .. } => {
                "this drops every entry that comes to it"
            }
            RelabelAction::LabelMap { .. }
            | RelabelAction::LabelDrop { .. }
            | RelabelAction::LabelKeep { .. } => "no label has such a name",
            _ => "this matches no entry",
        };
        unmet.push(Unmet::new(format!("labels.relabel_configs[{index}]"), what));
    }
}

/// Stages that failed on everything, or had nothing to do.
fn stages(pipeline: &Pipeline, unmet: &mut Vec<Unmet>) {
    for (path, tally) in pipeline.stages_tried().filter(|(_, tally)| tally.reached > 0) {
        let name = path.rsplit('.').next().unwrap_or_default();
        let all = match tally.reached {
            1 => "the one entry".to_owned(),
            n => format!("all {n} entries"),
        };
        if tally.failed == tally.reached {
            let key = match name {
                "timestamp" => ".format",
                "regex" | "replace" => ".expression",
                _ => "",
            };
            let why = tally.why.as_deref().unwrap_or_default();
            unmet.push(Unmet::new(
                format!("{path}{key}"),
                format!("this failed on {all} that came to it: {why}"),
            ));
        } else if tally.worked == 0 {
            let (key, what) = match name {
                "match" => (".selector", "this selects no entry"),
                "drop" => ("", "this drops no entry"),
                "multiline" => (".firstline", "no line begins a block"),
                "replace" => (".expression", "this replaces nothing"),
                "labels" | "structured_metadata" => ("", "no entry has these values"),
                "labeldrop" => ("", "no entry has these labels"),
                _ => continue,
            };
            unmet.push(Unmet::new(format!("{path}{key}"), what));
        }
    }
}

/// Rules for alerts that met nothing.
fn rules(alerts: &Alerts, watcher: &Watcher, unmet: &mut Vec<Unmet>) {
    let mut number = 0;
    for file in &alerts.files {
        for (group, of_group) in file.groups.iter().enumerate() {
            for (index, rule) in of_group.rules.iter().enumerate() {
                let (streams, entries) = watcher.rules().met(number);
                number += 1;
                if entries {
                    continue;
                }
                let name = match &rule.kind {
                    RuleKind::Alert(alert) => &alert.name,
                    RuleKind::Record(name, _) => name,
                };
                unmet.push(Unmet {
                    file: Some(file.path.display().to_string()),
                    path: format!("groups[{group}].rules[{index}].expr"),
                    what: match streams {
                        true => format!("no entry is what `{name}` looks for"),
                        false => format!("no stream is selected by `{name}`, or by a part of it"),
                    },
                    rare: streams.then(|| name.clone()),
                });
            }
        }
    }
}
