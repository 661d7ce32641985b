//! Groups of rules at work. The value of an expression goes to its rule.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::engine::{Engine, Evaluation};
use super::failure::RuleError;
use super::file::{Group, Rule, RuleKind};
use super::link::Link;
use super::memory::{self, MEMORY_MAX};
use super::origin::Origin;
use super::over::{self, Over};
use super::saved::{Saved, SavedRule};
use super::shown;
use super::state::{Active, Notice, Outside, State, States};
use crate::observe::metrics::Histogram;
use crate::observe::rules::Written;
use logql::label_set::LabelSet;
use logql::vectors::Vector;

/// At a start, states older than this are dropped (nanoseconds). Nobody waits for an alert of last week, and all entries
/// since then would have to be read.
pub(super) const CATCH_UP_MAX: i64 = 7 * 24 * 3600 * 1_000_000_000;

/// Bounds of the histogram of evaluations' durations (seconds): from a usual one to one that delays all others.
pub const DURATIONS: [f64; 5] = [0.0001, 0.001, 0.01, 0.1, 1.0];

/// All rules and their states.
#[derive(Debug)]
pub struct Rules {
    engine: Engine,
    rules: Vec<RunningRule>,
    /// The built-in alert about rules over their limit.
    own: RunningRule,
    /// The most that alerts and recorded series of all rules may take together (bytes). A rule may take what the others leave,
    /// but at least its share. So the sum is never more than twice as much.
    results_max: usize,
}

/// A rule and its state.
#[derive(Debug)]
pub struct RunningRule {
    /// The name of its group.
    pub group: String,
    /// The number of its group, from 0: groups of two files may have one name.
    pub(super) group_number: usize,
    /// Its own name.
    pub name: String,
    /// Its expression.
    pub expr: String,
    /// How often it is evaluated (nanoseconds).
    pub interval: i64,
    /// The most series of a metric, or alerts (count); 0: any number.
    pub(super) limit: usize,
    /// What its file says, to be shown.
    pub(super) written: Arc<Written>,
    /// What its series become.
    pub outcome: Outcome,
    /// Evaluations that were made (count).
    pub evaluations: u64,
    /// Evaluations that have failed (count).
    pub failures: u64,
    /// Why the last evaluation has failed.
    pub error: Option<RuleError>,
    /// Why one of its evaluations failed last, if one did.
    pub last_error: Option<String>,
    /// What the rule had too little of at the last evaluation, if anything.
    pub over: Option<Over>,
    /// Samples, series and alerts that had no room (count).
    pub refused: u64,
    /// The part of these that were alerts and recorded series (count).
    refused_results: u64,
    /// When it was evaluated last (nanoseconds since 1970), and how long that took.
    pub(super) evaluated: Option<(i64, Duration)>,
    /// How long evaluations took (seconds), by [`DURATIONS`].
    pub durations: Histogram,
    /// What its alerts or recorded series take (bytes).
    bytes: usize,
    /// The link for people to find more.
    link: Option<Link>,
}

/// What the series of a rule become.
#[derive(Debug)]
pub enum Outcome {
    /// Alerts.
    Alerts(States),
    /// A metric: its name, and its series at the last evaluation.
    Metric(String, Vec<(String, String)>, Vector),
}

impl RunningRule {
    /// A rule before its first evaluation.
    pub(super) fn new(
        group: &str,
        name: &str,
        expr: &str,
        interval: i64,
        limit: usize,
        outcome: Outcome,
    ) -> RunningRule {
        RunningRule {
            written: Arc::new(shown::written(name, expr, &outcome)),
            evaluated: None,
            group: group.to_owned(),
            group_number: 0,
            name: name.to_owned(),
            expr: expr.to_owned(),
            interval,
            limit,
            outcome,
            evaluations: 0,
            failures: 0,
            error: None,
            last_error: None,
            over: None,
            refused: 0,
            refused_results: 0,
            durations: Histogram::new(&DURATIONS),
            bytes: 0,
            link: None,
        }
    }

    /// Takes the value of its expression. Its alerts, or recorded series, may take `room` bytes.
    fn take(&mut self, evaluation: Evaluation, room: usize) {
        let begun = Instant::now();
        let Evaluation { time, result, crowded, refused, took, .. } = evaluation;
        let outcome = match &mut self.outcome {
            Outcome::Alerts(states) => states.update(time, result, room),
            Outcome::Metric(_, labels, series) => {
                let recorded = result.map_err(RuleError::from);
                let recorded = recorded.and_then(|vector| record(vector, labels, self.limit, room));
                // When the expression fails, the series of a metric are no longer known.
                let (new, outcome) = match recorded {
                    Ok((new, refused)) => (new, Ok(refused)),
                    Err(error) => (Vec::new(), Err(error)),
                };
                *series = new;
                outcome
            }
        };
        self.bytes = match &self.outcome {
            Outcome::Alerts(states) => states.bytes(),
            Outcome::Metric(_, _, series) => series.iter().map(|sample| recorded_bytes(&sample.labels)).sum(),
        };
        let (left_out, error) = match outcome {
            Ok(left_out) => (left_out, None),
            Err(error) => (0, Some(error)),
        };
        self.over = match (&error, crowded) {
            (Some(RuleError::Limit(count, limit)), _) => Some(Over::Group(*count, *limit)),
            (_, Some(crowded)) => Some(Over::Windows(crowded)),
            _ => (left_out > 0).then_some(Over::Results),
        };
        self.refused_results += left_out as u64;
        self.refused = refused + self.refused_results;
        self.evaluations += 1;
        self.failures += u64::from(error.is_some());
        if let Some(error) = &error {
            self.last_error = Some(error.to_string());
        }
        self.error = error;
        let took = took + begun.elapsed();
        self.evaluated = Some((time, took));
        self.durations.observe(&DURATIONS, took.as_secs_f64());
    }

    /// Its alerts; a metric has none.
    pub fn alerts(&self) -> impl Iterator<Item = &Active> {
        let states = match &self.outcome {
            Outcome::Alerts(states) => Some(states),
            Outcome::Metric(..) => None,
        };
        states.into_iter().flat_map(States::active)
    }

    /// How many alerts are in a state.
    pub fn count(&self, state: State) -> usize {
        self.alerts().filter(|alert| alert.state == state).count()
    }
}

impl Rules {
    /// The rules of these groups. A group without an interval has `interval` (nanoseconds). A range aggregation has at most
    /// `series_max` series.
    pub fn new<'g>(
        groups: impl IntoIterator<Item = &'g Group>,
        outside: Outside,
        interval: i64,
        series_max: usize,
    ) -> Rules {
        let mut engine = Engine::new(series_max);
        let outside = Arc::new(outside);
        let mut rules = Vec::new();
        for (group_number, group) in groups.into_iter().enumerate() {
            let Group { name: group, interval: own, limit, query_offset, rules: of_group } = group;
            let interval = own.unwrap_or(interval);
            for Rule { expr, kind } in of_group {
                let (mut shifted, text) = (expr.clone(), expr.to_string());
                shifted.shift(*query_offset);
                engine.watch(shifted, interval);
                let (name, outcome) = match kind.clone() {
                    RuleKind::Alert(alert) => {
                        (alert.name.clone(), Outcome::Alerts(States::new(alert, outside.clone())))
                    }
                    RuleKind::Record(name, labels) => {
                        (name.clone(), Outcome::Metric(name, labels, Vec::new()))
                    }
                };
                let mut rule = RunningRule::new(group, &name, &text, interval, *limit, outcome);
                rule.link = Link::new(&outside, expr);
                rule.group_number = group_number;
                rules.push(rule);
            }
        }
        let shortest = rules.iter().map(|rule| rule.interval).min().unwrap_or(interval);
        let own = over::rule(&outside, shortest);
        Rules { engine, rules, own, results_max: memory::of_results(MEMORY_MAX) }
    }

    /// Sets the most that windows, alerts and recorded series of all rules may take (bytes), instead of [`MEMORY_MAX`].
    pub fn limit_memory(&mut self, bytes: usize) {
        self.engine.limit_memory(memory::of_windows(bytes));
        self.results_max = memory::of_results(bytes);
    }

    /// What windows, alerts and recorded series take (bytes).
    pub fn bytes(&self) -> usize {
        self.engine.bytes() + self.rules.iter().chain([&self.own]).map(|rule| rule.bytes).sum::<usize>()
    }

    /// Sets the labels and links of all rules.
    pub fn set_outside(&mut self, outside: &Outside) {
        let outside = Arc::new(outside.clone());
        for rule in self.rules.iter_mut().chain([&mut self.own]) {
            if let Outcome::Alerts(states) = &mut rule.outcome {
                states.set_outside(outside.clone());
            }
        }
    }

    /// The rules, in the order of their groups.
    pub fn rules(&self) -> &[RunningRule] {
        &self.rules
    }

    /// The built-in rule about rules over their limit ([`over::ALERT`]).
    pub fn own(&self) -> &RunningRule {
        &self.own
    }

    /// Whether the rule with this number has met streams that it selects, and entries that it looks for ([`Engine::met`]).
    pub fn met(&self, number: usize) -> (bool, bool) {
        self.engine.met(number)
    }

    /// How far before an evaluation an entry may lie and still count for it (nanoseconds).
    pub fn reach(&self) -> i64 {
        self.engine.reach()
    }

    /// The number of series in all windows.
    pub fn series(&self) -> usize {
        self.engine.series()
    }

    /// The time of the next evaluation (nanoseconds since 1970), if it is known.
    pub fn next(&self) -> Option<i64> {
        self.engine.next()
    }

    /// When evaluations must begin so that at the time `now` all states are as if evaluations had never stopped (all in
    /// nanoseconds). Saved states go on where they were left. For other alerts, it is early enough to see whether they have
    /// been there for long enough to fire.
    pub fn begin(&mut self, now: i64, saved: &Saved) -> i64 {
        let mut begin = now;
        let share = self.results_max / self.rules.len().max(1);
        let mut taken = vec![false; saved.rules.len()];
        for rule in &mut self.rules {
            let Outcome::Alerts(states) = &mut rule.outcome else { continue };
            let known = saved.rules.iter().enumerate().find(|(index, saved)| {
                let SavedRule { group, rule: name, expr, evaluated_at, .. } = saved;
                let fits = *group == rule.group && *name == rule.name && *expr == rule.expr;
                // States that were saved while the clock was ahead are of no use either.
                fits && (now - CATCH_UP_MAX..=now).contains(evaluated_at) && taken.get(*index) == Some(&false)
            });
            match known {
                Some((index, saved)) => {
                    if let Some(taken) = taken.get_mut(index) {
                        *taken = true;
                    }
                    states.restore(saved.active(), saved.evaluated_at, share);
                    rule.bytes = states.bytes();
                    begin = begin.min(saved.evaluated_at);
                }
                None => begin = begin.min(now.saturating_sub(states.hold()).saturating_sub(rule.interval)),
            }
        }
        begin
    }

    /// What to keep for [`Rules::begin`].
    pub fn saved(&self) -> Saved {
        let rules = self.rules.iter().filter_map(|rule| {
            let Outcome::Alerts(states) = &rule.outcome else { return None };
            SavedRule::new(&rule.group, &rule.name, &rule.expr, states)
        });
        Saved { rules: rules.collect() }
    }

    /// The alerts that fire, with the name of their group.
    pub fn firing(&self) -> impl Iterator<Item = (&str, &Active)> {
        self.rules.iter().chain([&self.own]).flat_map(|rule| {
            let firing = rule.alerts().filter(|alert| alert.state == State::Firing);
            firing.map(|alert| (rule.group.as_str(), alert))
        })
    }

    /// The notices to send, as [`States::notices`]; `now` and `resend` in nanoseconds.
    pub fn notices(&mut self, now: i64, resend: i64) -> Vec<Notice> {
        let mut all = Vec::new();
        for rule in self.rules.iter_mut().chain([&mut self.own]) {
            let Outcome::Alerts(states) = &mut rule.outcome else { continue };
            let notices = states.notices(now, rule.interval, resend);
            let link = |notice: &Notice| rule.link.as_ref().map(|link| link.at(notice.starts_at));
            all.extend(notices.into_iter().map(|notice| Notice { link: link(&notice), ..notice }));
        }
        all
    }

    /// Whether any rule looks at the entries of a stream.
    pub fn wants(&mut self, labels: &Arc<LabelSet>) -> bool {
        self.engine.wants(labels)
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

    /// As [`Rules::observe`]. `origin` says who wrote the entry; it is called only for a new series.
    pub(super) fn observe_from<'m>(
        &mut self,
        time: i64,
        labels: &Arc<LabelSet>,
        line: &str,
        metadata: impl Iterator<Item = (&'m str, &'m str)> + Clone,
        origin: impl Fn() -> Origin,
    ) {
        self.engine.observe_from(time, labels, line, metadata, origin);
    }

    /// Skips evaluations that are too old for states to be kept: the clock was wrong until now.
    pub fn skip_to(&mut self, now: i64) {
        self.engine.skip(now.saturating_sub(CATCH_UP_MAX));
    }

    /// Makes all evaluations up to a time (nanoseconds since 1970), as [`Engine::advance`].
    pub fn advance(&mut self, to: i64) {
        self.advance_shown(to, |_, _, _| {});
    }

    /// As [`Rules::advance`]. `show` gets each rule, with its number, after each of its evaluations.
    pub fn advance_shown(&mut self, to: i64, mut show: impl FnMut(usize, &RunningRule, i64)) {
        let Rules { engine, rules, own, results_max } = self;
        let share = *results_max / rules.len().max(1);
        let mut all: usize = rules.iter().map(|rule| rule.bytes).sum();
        let mut tell = |rules: &[RunningRule], time: i64, show: &mut dyn FnMut(usize, &RunningRule, i64)| {
            if over::evaluate(own, rules, time, share) {
                show(rules.len(), own, time);
            }
        };
        let mut last = None;
        engine.advance(to, |evaluation| {
            let (number, time) = (evaluation.number, evaluation.time);
            // All rules are evaluated for a time before the built-in alert looks at them.
            if let Some(before) = last.replace(time).filter(|before| *before < time) {
                tell(rules, before, &mut show);
            }
            let Some(rule) = rules.get_mut(number) else { return };
            all -= rule.bytes;
            rule.take(evaluation, share.max(results_max.saturating_sub(all)));
            all += rule.bytes;
            show(number, rule, time);
        });
        if let Some(last) = last {
            tell(rules, last, &mut show);
        }
    }
}

/// The series of a recording rule, with its labels, and the number of series without room. `room` is in bytes.
fn record(
    mut vector: Vector,
    labels: &[(String, String)],
    limit: usize,
    room: usize,
) -> Result<(Vector, usize), RuleError> {
    if limit > 0 && vector.len() > limit {
        return Err(RuleError::Limit(vector.len(), limit));
    }
    let count = vector.len();
    let mut taken = 0;
    let fits = vector.iter().take_while(|sample| {
        taken += recorded_bytes(&sample.labels);
        taken <= room
    });
    let fits = fits.count();
    vector.truncate(fits);
    let mut seen = HashSet::new();
    for sample in &mut vector {
        let set = Arc::make_mut(&mut sample.labels);
        labels.iter().for_each(|(name, value)| set.insert(name, value.as_bytes()));
        if !seen.insert(sample.labels.clone()) {
            return Err(RuleError::SameLabels(sample.labels.to_string()));
        }
    }
    Ok((vector, count - fits))
}

/// What a recorded series takes (bytes): in the rule, and again as names and values for /metrics.
fn recorded_bytes(labels: &LabelSet) -> usize {
    const APART: usize = 3;
    memory::label_set(labels) * (1 + APART)
}

#[cfg(test)]
mod tests;
