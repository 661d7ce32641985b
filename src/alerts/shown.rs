//! What is shown of rules: a line for each to everybody, and their alerts to those who may ask the journal.

use serde_json::{Value, json};

use super::run::{Outcome, RunningRule};
use super::state::State;
use crate::observe::rules::{
    ALERTING, Alerting, Evaluated, FIRING, NAMESPACE, PENDING, RECORDING, RuleGroup, ShownAlert, ShownRule,
    Written, WrittenAlert,
};
use logql::go::template::Template;

/// A time as JSON has it (nanoseconds since 1970).
fn time(nanoseconds: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or_default().to_string()
}

/// What /status says of the rules. It has no labels of series, because not everyone who can connect may see them: counts, the
/// highest value of the series that are pending or fire, and times.
pub(crate) fn status(rules: &[RunningRule]) -> Value {
    let rules = rules.iter().map(|rule| {
        let (pending, firing) = (rule.count(State::Pending), rule.count(State::Firing));
        let state = match (&rule.error, firing, pending) {
            (Some(_), ..) => "failed",
            (None, 1.., _) => "firing",
            (None, 0, 1..) => "pending",
            (None, 0, 0) => "ok",
        };
        let is = |state: State| rule.alerts().filter(move |alert| alert.state == state);
        let values: Vec<f64> = match &rule.outcome {
            Outcome::Alerts(_) => rule
                .alerts()
                .filter(|alert| alert.state != State::Inactive)
                .map(|alert| alert.value)
                .collect(),
            Outcome::Metric(_, _, vector) => vector.iter().map(|sample| sample.value).collect(),
        };
        let (hold, evaluated) = match &rule.outcome {
            Outcome::Alerts(states) => (states.hold(), states.evaluated_at()),
            Outcome::Metric(..) => (0, None),
        };
        let fires = is(State::Pending).map(|alert| alert.active_at.saturating_add(hold)).min();
        let fired = is(State::Firing).filter_map(|alert| alert.fired_at).min();
        json!({
            "group": rule.group,
            "name": rule.name,
            "type": match rule.outcome { Outcome::Alerts(_) => "alert", Outcome::Metric(..) => "record" },
            "state": state,
            "error": rule.error.as_ref().map(|error| error.kind()),
            "over_limit": rule.over.as_ref().map(ToString::to_string),
            "left_out": rule.refused,
            "pending": pending,
            "firing": firing,
            "evaluations": rule.evaluations,
            "failures": rule.failures,
            "series": values.len(),
            // What is not a number is `null`.
            "value": values.into_iter().reduce(f64::max),
            "interval_seconds": rule.interval as f64 / 1e9,
            "evaluated_at": evaluated.map(time),
            "fires_at": fires.map(time),
            "firing_since": fired.map(time),
        })
    });
    rules.collect()
}

/// What a rule file says of a rule, to be shown.
pub(super) fn written(name: &str, expr: &str, outcome: &Outcome) -> Written {
    let seconds = |nanoseconds: i64| nanoseconds as f64 / 1e9;
    let texts = |templates: &[(String, Template)]| {
        templates.iter().map(|(name, text)| (name.clone(), text.source().to_owned())).collect()
    };
    let (kind, labels, alert) = match outcome {
        Outcome::Alerts(states) => {
            let alert = states.alert();
            let (duration, keep_firing_for) = (seconds(alert.hold), seconds(alert.keep_firing));
            let own = WrittenAlert { duration, keep_firing_for, annotations: texts(&alert.annotations) };
            (ALERTING, texts(&alert.labels), Some(own))
        }
        Outcome::Metric(_, labels, _) => (RECORDING, labels.iter().cloned().collect(), None),
    };
    Written { kind, name: name.to_owned(), query: expr.to_owned(), labels, alert }
}

/// The rules by groups with their alerts. The rules of a group stand together.
pub(crate) fn groups(rules: &[RunningRule]) -> Vec<RuleGroup> {
    let of_one = rules.chunk_by(|one, other| one.group_number == other.group_number);
    let group = |rules: &[RunningRule]| {
        let first = rules.first()?;
        let shown: Vec<_> = rules.iter().map(shown).collect();
        Some(RuleGroup {
            name: first.group.clone(),
            file: NAMESPACE,
            interval: first.interval as f64 / 1e9,
            limit: first.limit,
            evaluation_time: shown.iter().map(|rule| rule.evaluation_time).sum(),
            last_evaluation: shown.iter().map(|rule| rule.last_evaluation).max().unwrap_or_default(),
            rules: shown,
        })
    };
    of_one.filter_map(group).collect()
}

fn shown(rule: &RunningRule) -> ShownRule {
    let has = |state: State| rule.count(state) > 0;
    let state = match (has(State::Firing), has(State::Pending)) {
        (true, _) => FIRING,
        (_, true) => PENDING,
        _ => "inactive",
    };
    let alerts = rule.alerts().filter(|alert| alert.state != State::Inactive).map(|alert| ShownAlert {
        labels: alert.labels.clone(),
        annotations: alert.annotations.clone(),
        state: if alert.state == State::Firing { FIRING } else { PENDING },
        active_at: Evaluated(Some(alert.active_at)),
        keep_firing_since: alert.kept_since.map(|since| Evaluated(Some(since))),
        value: alert.value,
    });
    let is_alert = matches!(rule.outcome, Outcome::Alerts(_));
    let alerting = is_alert.then(|| Alerting { state, alerts: alerts.collect() });
    let (evaluated, took) = rule.evaluated.unzip();
    ShownRule {
        written: rule.written.clone(),
        health: match (&rule.error, evaluated) {
            (Some(_), _) => "err",
            (None, Some(_)) => "ok",
            (None, None) => "unknown",
        },
        last_error: rule.error.as_ref().map(ToString::to_string).unwrap_or_default(),
        evaluation_time: took.unwrap_or_default().as_secs_f64(),
        last_evaluation: Evaluated(evaluated),
        alerting,
    }
}
