//! Groups of rules at work: each evaluation of an expression goes to its rule.

use std::sync::Arc;

use super::engine::{Engine, Evaluation};
use super::file::{Group, Rule, RuleKind};
use super::state::{Active, Outside, RuleError, State, States};
use crate::labels::LabelSet;
use crate::logql::vectors::{Sample, Vector};

/// All rules, and where they stand.
#[derive(Debug)]
pub struct Rules {
    engine: Engine,
    rules: Vec<Running>,
}

/// A rule and where it stands.
#[derive(Debug)]
pub struct Running {
    /// The name of its group.
    pub group: String,
    /// How often it is evaluated (nanoseconds).
    pub interval: i64,
    /// What it makes of its series.
    pub outcome: Outcome,
    /// Why its last evaluation has failed.
    pub error: Option<RuleError>,
}

/// What a rule makes of its series.
#[derive(Debug)]
pub enum Outcome {
    /// Alerts.
    Alerts(States),
    /// A metric: its name, and its series at the last evaluation.
    Metric(String, Vec<(String, String)>, Vector),
}

impl Rules {
    /// Of these groups; those without an interval have `interval` (nanoseconds). A range aggregation has at most
    /// `series_max` series.
    pub fn new(groups: Vec<Group>, outside: Outside, interval: i64, series_max: usize) -> Rules {
        let mut engine = Engine::new(series_max);
        let outside = Arc::new(outside);
        let mut rules = Vec::new();
        for Group { name, interval: own, query_offset, rules: of_group, .. } in groups {
            let interval = own.unwrap_or(interval);
            for Rule { mut expr, kind } in of_group {
                expr.shift(query_offset);
                engine.watch(expr, interval);
                let outcome = match kind {
                    RuleKind::Alert(alert) => Outcome::Alerts(States::new(alert, outside.clone())),
                    RuleKind::Record(name, labels) => Outcome::Metric(name, labels, Vec::new()),
                };
                rules.push(Running { group: name.clone(), interval, outcome, error: None });
            }
        }
        Rules { engine, rules }
    }

    /// The rules, in the order of their groups.
    pub fn rules(&self) -> &[Running] {
        &self.rules
    }

    /// How long before an evaluation an entry may lie that counts for it (nanoseconds).
    pub fn reach(&self) -> i64 {
        self.engine.reach()
    }

    /// The alerts that fire, with the name of their group.
    pub fn firing(&self) -> impl Iterator<Item = (&str, &Active)> {
        self.rules.iter().flat_map(|rule| {
            let states = match &rule.outcome {
                Outcome::Alerts(states) => Some(states),
                Outcome::Metric(..) => None,
            };
            let firing = states.into_iter().flat_map(States::active).filter(|a| a.state == State::Firing);
            firing.map(|alert| (rule.group.as_str(), alert))
        })
    }

    /// Looks at an entry of a stream; `time` in nanoseconds since 1970. Evaluate up to it first.
    pub fn observe<'m>(
        &mut self,
        time: i64,
        labels: &Arc<LabelSet>,
        line: &str,
        metadata: impl Iterator<Item = (&'m str, &'m str)> + Clone,
    ) {
        self.engine.observe(time, labels, line, metadata);
    }

    /// Makes all evaluations up to a time (nanoseconds since 1970), as [`Engine::advance`].
    pub fn advance(&mut self, to: i64) {
        let Rules { engine, rules } = self;
        engine.advance(to, |Evaluation { number, time, result }| {
            let Some(rule) = rules.get_mut(number) else { return };
            rule.error = match &mut rule.outcome {
                Outcome::Alerts(states) => states.update(time, result).err(),
                Outcome::Metric(_, labels, series) => match result {
                    Ok(vector) => {
                        *series = vector.into_iter().map(|sample| labelled(sample, labels)).collect();
                        None
                    }
                    Err(error) => Some(error.into()),
                },
            };
        });
    }
}

fn labelled(mut sample: Sample, labels: &[(String, String)]) -> Sample {
    let set = Arc::make_mut(&mut sample.labels);
    labels.iter().for_each(|(name, value)| set.insert(name, value.as_bytes()));
    sample
}
