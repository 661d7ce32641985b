//! What a rule says that will hardly be meant: nothing is wrong with it, but on a host it does not do what one may
//! think. `check` tells; nothing depends on it.

use std::collections::BTreeMap;

use super::trust::Origins;
use crate::config::{FieldRule, Labels, RelabelAction, nearest, units};
use crate::logql::MatchOp;
use crate::logql::expr::{Expr, Grouping, LogQuery, RangeAggregation, VectorOp};
use crate::stages::StageConfig;
use crate::stages::match_::Action;

/// As far back as a window may look without a word (nanoseconds): journald's defaults keep some weeks on a quiet host
/// and some days on a busy one.
const REACH_MAX: i64 = 7 * 24 * 3600 * 1_000_000_000;
/// What the field PRIORITY makes, and nothing where it is missing.
const LEVELS: [&str; 9] = ["emerg", "alert", "crit", "error", "warning", "notice", "info", "debug", ""];

/// Something to tell about a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lint {
    /// What it is.
    pub title: String,
    /// What comes of it.
    pub label: String,
    /// What to do.
    pub help: String,
}

/// The labels that entries may have when rules see them.
#[derive(Debug, Default)]
pub struct KnownLabels {
    /// The values that a label may have; `None`: any.
    values: BTreeMap<String, Option<Vec<String>>>,
    /// Relabelling makes names that nobody can foretell.
    open: bool,
    /// The label that tells hosts apart.
    host: Option<String>,
    /// Who decides them.
    origins: Origins,
}

impl KnownLabels {
    /// Those of a configuration.
    pub fn new(labels: &Labels, metadata: &[FieldRule], stages: &[StageConfig]) -> KnownLabels {
        let origins = Origins::new(labels, metadata, stages);
        let mut known = KnownLabels { origins, ..KnownLabels::default() };
        for (name, value) in &labels.fixed {
            known.values.insert(name.clone(), Some(vec![value.clone()]));
        }
        for rule in &labels.fields {
            let only = |field: &str| rule.sources.iter().all(|source| source == field);
            let levels = only("PRIORITY").then(|| LEVELS.map(str::to_owned).to_vec());
            known.values.insert(rule.name.clone(), levels);
            if only("_HOSTNAME") {
                known.host = Some(rule.name.clone());
            }
        }
        for rule in &labels.relabel {
            match &rule.action {
                RelabelAction::Replace { target, .. } if target.contains('$') => known.open = true,
                RelabelAction::LabelMap { .. } => known.open = true,
                RelabelAction::Replace { target, .. }
                | RelabelAction::HashMod { target, .. }
                | RelabelAction::Lowercase { target }
                | RelabelAction::Uppercase { target } => {
                    known.values.insert(target.clone(), None);
                }
                _ => {}
            }
        }
        known.staged(stages);
        known
    }

    /// With the labels that stages set.
    fn staged(&mut self, stages: &[StageConfig]) {
        for stage in stages {
            match stage {
                StageConfig::Labels(config) => self.values.extend(config.names().map(any)),
                StageConfig::StaticLabels(config) => self.values.extend(config.names().map(any)),
                StageConfig::Match(config) => {
                    if let Action::Keep(stages) = &config.action {
                        self.staged(stages);
                    }
                }
                _ => {}
            }
        }
    }

    /// What there is to tell about an alert that trusts what a sender decides.
    pub fn untrusted(&self, expr: &Expr, critical: bool) -> Vec<Lint> {
        self.origins.of_alert(expr, critical)
    }

    /// What there is to tell about an expression.
    pub fn lint(&self, expr: &Expr) -> Vec<Lint> {
        let mut lints = Vec::new();
        let mut reach = 0;
        expr.ranges(&mut |range, _| {
            lints.extend(self.of_nobody(&range.query));
            reach = reach.max(range.range.saturating_add(range.offset));
        });
        if reach > REACH_MAX {
            let length = |nanoseconds: i64| {
                units::format_duration(std::time::Duration::from_nanos(nanoseconds.unsigned_abs()))
            };
            lints.push(Lint {
                title: format!("this looks {} back", length(reach)),
                label: "longer than the journal usually holds".to_owned(),
                help: format!(
                    "after a start, entries that journald has deleted are missing in it: look at most {} back, or evaluate \
                     it in Loki's ruler",
                    length(REACH_MAX)
                ),
            });
        }
        if let Some(host) = self.host.as_deref().filter(|host| !keeps(expr, host)) {
            lints.push(Lint {
                title: format!("the label `{host}` is aggregated away"),
                label: "each host sees its own entries only: this is no sum over the fleet".to_owned(),
                help: format!("add `by ({host})` to say so, or put the rule into Loki's ruler"),
            });
        }
        lints
    }

    /// Whether its selector asks for what no entry has.
    fn of_nobody(&self, query: &LogQuery) -> Option<Lint> {
        let matcher = query.matchers.iter().find(|matcher| match self.values.get(matcher.name()) {
            Some(None) => false,
            Some(Some(values)) => !values.iter().any(|value| matcher.matches(value)),
            None => !self.open && !matcher.matches(""),
        })?;
        let name = matcher.name();
        let names = || self.values.keys().map(String::as_str);
        let help = match self.values.get(name) {
            Some(Some(values)) => {
                let all: Vec<_> = values.iter().map(|value| format!("`{value}`")).collect();
                let near = match matcher.op() {
                    MatchOp::Equal => nearest(matcher.value(), values.iter().map(String::as_str)),
                    _ => None,
                };
                match near.filter(|near| !near.is_empty()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("`{name}` is one of {}", all.join(", ")),
                }
            }
            _ => match nearest(name, names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    let all: Vec<_> = names().map(|name| format!("`{name}`")).collect();
                    format!("there are {}, from `labels` and the stages", all.join(", "))
                }
            },
        };
        Some(Lint {
            title: format!("no entry has {matcher}"),
            label: "this selects nothing".to_owned(),
            help,
        })
    }
}

/// A label that may have any value.
fn any(name: &str) -> (String, Option<Vec<String>>) {
    (name.to_owned(), None)
}

/// Whether the series of an expression have a label, if those of its ranges have it.
fn keeps(expr: &Expr, label: &str) -> bool {
    let kept = |grouping: &Grouping| grouping.labels.iter().any(|name| name == label) != grouping.without;
    match expr {
        Expr::Number(_) | Expr::Vector(_) => true,
        Expr::Range(RangeAggregation { grouping, .. }) => grouping.as_ref().is_none_or(kept),
        Expr::Aggregate(aggregation) => {
            use VectorOp::{Bottomk, Sort, SortDesc, Topk};
            let chooses = matches!(aggregation.op, Bottomk | Topk | Sort | SortDesc);
            (chooses || kept(&aggregation.grouping)) && keeps(&aggregation.inner, label)
        }
        Expr::Binary(binary) => keeps(&binary.left, label) && keeps(&binary.right, label),
        Expr::LabelReplace(replace) => replace.to == label || keeps(&replace.inner, label),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn lints(config: &str, expr: &str) -> Vec<String> {
        let config = Config::parse(config, "c", &|_| None).unwrap();
        let known = KnownLabels::new(&config.labels, &config.structured_metadata, &config.stages);
        let lints = known.lint(&Expr::parse(expr).unwrap());
        lints.into_iter().map(|lint| format!("{}: {}: {}", lint.title, lint.label, lint.help)).collect()
    }

    #[test]
    fn what_is_told() {
        let relabelled = "labels: {relabel_configs: [{source_labels: [unit], target_label: team}]}";
        let mapped = "labels: {relabel_configs: [{regex: __journal_(.*), action: labelmap}]}";
        let staged = "stages: [{match: {selector: '{unit=\"a\"}', stages: [{static_labels: {team: x}}]}}, {labels: {zone: }}]";
        let fixed = "labels: {static: {job: web}}";
        for (config, expr, told) in [
            ("", r#"sum by (host) (count_over_time({unit="a"}[5m])) > 1"#, &[][..]),
            ("", r#"count_over_time({unit="a"}[5m])"#, &[]),
            ("", r#"topk(3, count_over_time({unit="a"}[5m]))"#, &[]),
            ("", r#"sum without (unit) (count_over_time({unit="a"}[5m]))"#, &[]),
            ("", r#"absent_over_time({unit="a"}[5m])"#, &[]),
            ("", r#"max by (host) (rate({unit="a"}[5m])) / 5 > vector(1)"#, &[]),
            ("", r#"sum(count_over_time({unit="a"}[5m]))"#, &["`host` is aggregated away"]),
            ("", r#"sum by (unit) (count_over_time({unit="a"}[5m]))"#, &["by (host)"]),
            ("", r#"sum without (host) (count_over_time({unit="a"}[5m]))"#, &["aggregated away"]),
            ("", r#"avg_over_time({unit="a"} | unwrap x [5m]) by (unit)"#, &["aggregated away"]),
            ("labels: {fields: {unit: _SYSTEMD_UNIT}}", r#"sum(rate({unit="a"}[5m]))"#, &[]),
            (
                "",
                r#"rate({unti="a"}[5m])"#,
                &[r#"no entry has unti="a": this selects nothing: did you mean `unit`?"#],
            ),
            (
                "",
                r#"rate({app="a"}[5m])"#,
                &["there are `host`, `job`, `level`, `service_name`, `unit`, `user_unit`"],
            ),
            ("", r#"rate({unit="a", app!="a"}[5m])"#, &[]),
            ("", r#"rate({level="err"}[5m])"#, &["did you mean `error`?"]),
            ("", r#"rate({level=~"err|error"}[5m])"#, &[]),
            ("", r#"rate({job="x"}[5m])"#, &["`job` is one of `systemd-journal`"]),
            (fixed, r#"rate({job="web"}[5m])"#, &[]),
            ("", r#"rate({team="x"}[5m])"#, &["no entry has team="]),
            (relabelled, r#"rate({team="x"}[5m])"#, &[]),
            (mapped, r#"rate({anything="x"}[5m])"#, &[]),
            (staged, r#"rate({team="y", zone="z"}[5m])"#, &[]),
            ("", r#"rate({unit="a"}[8d])"#, &["this looks 8d back: longer than the journal usually holds"]),
            ("", r#"rate({unit="a"}[1h] offset 1w)"#, &["7d1h back"]),
        ] {
            let lints = lints(config, expr);
            assert_eq!(lints.len(), told.len(), "{expr}: {lints:?}");
            for (lint, told) in lints.iter().zip(told) {
                assert!(lint.contains(told), "{expr}: {lint}");
            }
        }
    }
}
