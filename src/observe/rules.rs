//! Rules and their alerts as the API of queries shows them, in the shape of Prometheus' API (prometheus, `web/api/v1/api.go`,
//! `RuleDiscovery`; grafana/loki, `pkg/ruler/base/api.go`). What is written in a rule file is kept once, and what alerts say is
//! shared with their states: nothing of it is copied until somebody asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use logql::go::float::exponential;
use logql::label_set::LabelSet;

/// The namespace of all rules, and the file of their groups: with Loki, that is a rule file, or what a person has named.
pub const NAMESPACE: &str = "journal-ship";
/// The kind of a rule that makes alerts.
pub const ALERTING: &str = "alerting";
/// The kind of a rule that makes a metric.
pub const RECORDING: &str = "recording";
/// The state of an alert that fires.
pub const FIRING: &str = "firing";
/// The state of an alert whose series is not there for long enough.
pub const PENDING: &str = "pending";
/// When what was never evaluated was evaluated last: the time that Go writes for none.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// A group of rules.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleGroup {
    /// Its name.
    pub name: String,
    /// [`NAMESPACE`].
    pub file: &'static str,
    /// Its rules, in their order.
    pub rules: Vec<ShownRule>,
    /// How often it is evaluated (seconds).
    pub interval: f64,
    /// The most alerts or series of a rule (count); 0: any number.
    pub limit: usize,
    /// How long the last evaluations of its rules took together (seconds).
    pub evaluation_time: f64,
    /// When one of its rules was evaluated last.
    pub last_evaluation: Evaluated,
}

/// A rule as it is now.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownRule {
    /// What its file says.
    #[serde(flatten, serialize_with = "shared")]
    pub written: Arc<Written>,
    /// `ok`, `err`, or `unknown` before the first evaluation.
    pub health: &'static str,
    /// Why the last evaluation failed; empty: it did not.
    pub last_error: String,
    /// How long the last evaluation took (seconds).
    pub evaluation_time: f64,
    /// When it was evaluated last.
    pub last_evaluation: Evaluated,
    /// What only an alert has.
    #[serde(flatten)]
    pub alerting: Option<Alerting>,
}

/// What a rule file says of a rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Written {
    /// `alerting` or `recording`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The name of the alert, or of the metric.
    pub name: String,
    /// The expression.
    pub query: String,
    /// Labels that are added, as they are written.
    pub labels: BTreeMap<String, String>,
    /// What only an alert has.
    #[serde(flatten)]
    pub alert: Option<WrittenAlert>,
}

/// What a rule file says of an alert alone.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WrittenAlert {
    /// `for` (seconds).
    pub duration: f64,
    /// `keep_firing_for` (seconds).
    pub keep_firing_for: f64,
    /// What is told about it, as it is written.
    pub annotations: BTreeMap<String, String>,
}

/// The alerts of a rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alerting {
    /// `firing`, `pending`, or `inactive`: the first of these that one of its alerts is.
    pub state: &'static str,
    /// Those that are pending or fire.
    pub alerts: Vec<ShownAlert>,
}

/// An alert that is pending or fires.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownAlert {
    /// All its labels, `alertname` among them.
    #[serde(serialize_with = "set")]
    pub labels: Arc<LabelSet>,
    /// What is told about it.
    #[serde(serialize_with = "texts")]
    pub annotations: Arc<BTreeMap<String, String>>,
    /// `firing` or `pending`.
    pub state: &'static str,
    /// Since when its series exists.
    pub active_at: Evaluated,
    /// Since when its series is gone, while it goes on firing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_firing_since: Option<Evaluated>,
    /// The last value of its series.
    #[serde(serialize_with = "value")]
    pub value: f64,
}

/// The time of an evaluation (nanoseconds since 1970), if there was one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Evaluated(pub Option<i64>);

impl Serialize for Evaluated {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0.and_then(|time| Timestamp::from_nanosecond(i128::from(time)).ok()) {
            Some(time) => to.collect_str(&time),
            None => to.serialize_str(NEVER),
        }
    }
}

fn shared<S: Serializer>(written: &Arc<Written>, to: S) -> Result<S::Ok, S::Error> {
    written.as_ref().serialize(to)
}

fn set<S: Serializer>(labels: &Arc<LabelSet>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(labels.iter())
}

fn texts<S: Serializer>(texts: &Arc<BTreeMap<String, String>>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(texts.iter())
}

/// A value as text, with an exponent: numbers of JSON know no infinity.
#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn value<S: Serializer>(number: &f64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&exponential(*number))
}
