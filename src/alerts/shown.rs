//! What is shown of rules: a line for each to everybody, and their alerts to those who may ask the journal.

use serde_json::{Value, json};

use super::run::{Outcome, RunningRule};
use super::state::State;
use logql::label_set::LabelSet;

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

/// The rules by groups with their alerts, in Prometheus' shape (prometheus, `web/api/v1/api.go`, `RuleDiscovery`).
pub(crate) fn groups(rules: &[RunningRule]) -> Value {
    let labels = |set: &LabelSet| set.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let rule = |rule: &RunningRule| {
        let mut shown = json!({
            "name": rule.name,
            "query": rule.expr,
            "health": if rule.error.is_some() { "err" } else { "ok" },
            "lastError": rule.error.as_ref().map(ToString::to_string).unwrap_or_default(),
            "type": "recording",
        });
        let Some(object) = shown.as_object_mut().filter(|_| matches!(rule.outcome, Outcome::Alerts(_)))
        else {
            return shown;
        };
        let is = |state: State| rule.count(state) > 0;
        let state = if is(State::Firing) {
            "firing"
        } else if is(State::Pending) {
            "pending"
        } else {
            "inactive"
        };
        let alerts = rule.alerts().filter(|alert| matches!(alert.state, State::Firing | State::Pending));
        let alerts = alerts.map(|alert| {
            json!({
                "labels": Value::Object(labels(&alert.labels)),
                "annotations": alert.annotations.as_ref(),
                "state": if alert.state == State::Firing { "firing" } else { "pending" },
                "activeAt": time(alert.active_at),
                "value": alert.value.to_string(),
            })
        });
        let alerts: Vec<_> = alerts.collect();
        object.insert("type".into(), "alerting".into());
        object.insert("state".into(), state.into());
        object.insert("alerts".into(), alerts.into());
        object.insert("labels".into(), json!({}));
        object.insert("annotations".into(), json!({}));
        shown
    };
    let mut groups: Vec<Value> = Vec::new();
    for one in rules {
        let known = groups.iter_mut().find(|group| group.get("name").is_some_and(|name| *name == *one.group));
        let shown = rule(one);
        match known.and_then(|group| group.get_mut("rules")?.as_array_mut()) {
            Some(rules) => rules.push(shown),
            None => groups.push(json!({
                "name": one.group,
                "file": "",
                "interval": one.interval as f64 / 1e9,
                "rules": [shown],
            })),
        }
    }
    groups.into()
}
