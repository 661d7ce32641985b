//! The states of one alert rule: which alerts fire, since when, and which of them Alertmanager must be told
//! (github.com/prometheus/prometheus, `rules/alerting.go`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::failure::RuleError;
use super::memory::{self, heap};
use logql::go::template::{Template, Value, prometheus};
use logql::label_set::LabelSet;
use logql::vectors::{EvalError, Vector};

/// For how long Alertmanager is told of a resolved alert (nanoseconds). So a server that was away learns of it, too.
const TOLD_AFTER: i64 = 15 * 60 * 1_000_000_000;
/// After so many evaluations or resends without a notice, a server takes an alert for resolved (count).
const SILENT_MAX: i64 = 4;
/// The variables of templates.
pub const VARIABLES: [&str; 4] = ["$labels", "$value", "$externalLabels", "$externalURL"];

/// What an alert rule says beside its expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// `alertname`
    pub name: String,
    /// How long a series must be there before it fires (nanoseconds).
    pub hold: i64,
    /// How long it goes on firing after the series is gone (nanoseconds).
    pub keep_firing: i64,
    /// Labels that are added.
    pub labels: Vec<(String, Template)>,
    /// What is told about it.
    pub annotations: Vec<(String, Template)>,
    /// The most alerts; 0: any number.
    pub limit: usize,
}

/// What templates know from outside of the rule.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outside {
    /// Labels of all alerts, unless a rule sets them.
    pub labels: LabelSet,
    /// Where people find more: Grafana.
    pub url: Arc<str>,
    /// What Grafana calls Loki.
    pub datasource: String,
}

/// The state of one alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It is resolved. Alertmanager is told for a while.
    Inactive,
    /// Its series exists, but not for long enough.
    Pending,
    /// It fires.
    Firing,
}

/// One alert: a series of a rule that exists, or existed lately. Times in nanoseconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub struct Active {
    /// All its labels, `alertname` among them.
    pub labels: Arc<LabelSet>,
    /// What is told about it.
    pub annotations: Arc<BTreeMap<String, String>>,
    /// Its state.
    pub state: State,
    /// The last value of its series.
    pub value: f64,
    /// Since when the series exists.
    pub active_at: i64,
    /// Since when it fires.
    pub fired_at: Option<i64>,
    /// Since when it is resolved.
    pub resolved_at: Option<i64>,
    /// Since when its series is gone, while it goes on firing.
    pub(super) kept_since: Option<i64>,
    /// When Alertmanager was told last.
    pub(super) sent_at: Option<i64>,
}

/// What is told to Alertmanager about one alert. Times in nanoseconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// All its labels.
    pub labels: Arc<LabelSet>,
    /// What is told about it. Several servers are told the same.
    pub annotations: Arc<BTreeMap<String, String>>,
    /// Where people find more, if that is known.
    pub link: Option<Arc<str>>,
    /// Since when it fires.
    pub starts_at: i64,
    /// Until when the server shall take it for firing, or when it was resolved.
    pub ends_at: i64,
    /// Whether it is resolved.
    pub resolved: bool,
}

impl Notice {
    /// What the notice takes while it waits (bytes).
    pub fn bytes(&self) -> usize {
        const PLACES: usize = 2;
        let place = PLACES * size_of::<(Arc<LabelSet>, Notice)>();
        place + memory::label_set(&self.labels) + memory::text_map(&self.annotations)
    }
}

/// The alerts of a rule.
#[derive(Debug)]
pub struct States {
    alert: Alert,
    outside: Arc<Outside>,
    active: BTreeMap<String, Active>,
    /// When the rule was evaluated last.
    evaluated_at: Option<i64>,
    /// When the expression had a value last. Notices are made only after an evaluation with a value.
    known_at: Option<i64>,
    failed_templates: u64,
    /// The error of the last template that failed.
    template_error: Option<String>,
    /// What the alerts take (bytes).
    bytes: usize,
}

/// What an alert takes (bytes), without its place in the map.
fn bytes(key: &str, alert: &Active) -> usize {
    heap(key.len()) + memory::label_set(&alert.labels) + memory::text_map(&alert.annotations)
}

impl States {
    /// A rule without alerts.
    pub fn new(alert: Alert, outside: Arc<Outside>) -> States {
        States {
            alert,
            outside,
            active: BTreeMap::new(),
            evaluated_at: None,
            known_at: None,
            failed_templates: 0,
            bytes: 0,
            template_error: None,
        }
    }

    /// Sets the labels and links of the rule.
    pub(super) fn set_outside(&mut self, outside: Arc<Outside>) {
        self.outside = outside;
    }

    /// The alerts, sorted by their labels.
    pub fn active(&self) -> impl Iterator<Item = &Active> {
        self.active.values()
    }

    /// What its file says of it.
    pub(super) fn alert(&self) -> &Alert {
        &self.alert
    }

    /// How long a series must be there before it fires (nanoseconds).
    pub(super) fn hold(&self) -> i64 {
        self.alert.hold
    }

    /// The last time that the expression was evaluated (nanoseconds since 1970).
    pub fn evaluated_at(&self) -> Option<i64> {
        self.evaluated_at
    }

    /// What the alerts take (bytes).
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Goes on with states that were saved at a time (nanoseconds since 1970). Evaluations up to it were made. `room` limits
    /// how many states are taken (bytes).
    pub(super) fn restore(&mut self, alerts: Vec<Active>, evaluated_at: i64, room: usize) {
        self.active = alerts.into_iter().map(|alert| (alert.labels.to_string(), alert)).collect();
        self.fit(&BTreeMap::new(), room);
        (self.evaluated_at, self.known_at) = (Some(evaluated_at), Some(evaluated_at));
    }

    /// How many templates have failed so far. Their errors stand in place of the text.
    pub fn failed_templates(&self) -> u64 {
        self.failed_templates
    }

    /// The error of the last template that failed.
    pub fn template_error(&self) -> Option<&str> {
        self.template_error.as_deref()
    }

    /// Takes the value of the expression at a time (nanoseconds since 1970). Alerts may take `room` bytes. If there are more
    /// series, the last ones are left out. Returns how many are left out.
    ///
    /// # Errors
    /// The states stay as they are. Only if the limit is exceeded, all are removed.
    pub fn update(
        &mut self,
        time: i64,
        result: Result<Vector, EvalError>,
        room: usize,
    ) -> Result<usize, RuleError> {
        if self.evaluated_at.is_some_and(|last| time <= last) {
            return Ok(0);
        }
        self.evaluated_at = Some(time);
        let (seen, refused) = self.alerts_of(time, result?, room)?;
        for (key, new) in &seen {
            match self.active.get_mut(key) {
                Some(known) if known.state != State::Inactive => {
                    known.value = new.value;
                    known.annotations.clone_from(&new.annotations);
                }
                _ => _ = self.active.insert(key.clone(), new.clone()),
            }
        }
        self.move_on(time, &seen);
        let there = |alert: &&Active| alert.state != State::Inactive;
        let count = self.active.values().filter(there).count() + refused;
        if self.alert.limit > 0 && count > self.alert.limit {
            self.active.clear();
            self.bytes = 0;
            return Err(RuleError::Limit(count, self.alert.limit));
        }
        self.fit(&seen, room);
        self.known_at = Some(time);
        Ok(refused)
    }

    /// The alerts of series, by their labels, and how many have no room.
    fn alerts_of(
        &mut self,
        time: i64,
        vector: Vector,
        room: usize,
    ) -> Result<(BTreeMap<String, Active>, usize), RuleError> {
        prometheus::set_within(time, &self.outside.url);
        let mut seen: BTreeMap<String, Active> = BTreeMap::new();
        let (mut taken, count) = (0, vector.len());
        for sample in vector {
            let given = self.given(&sample.labels, sample.value);
            let mut failed = Vec::new();
            let mut labels = (*sample.labels).clone();
            for (name, value) in self.outside.labels.iter() {
                if labels.get(name).is_none() {
                    labels.insert(name, value.as_bytes());
                }
            }
            for (name, template) in &self.alert.labels {
                let value = fill((name, template), &given, &mut failed);
                labels.insert(name, value.as_bytes());
            }
            labels.insert("alertname", self.alert.name.as_bytes());
            labels.shrink();
            let annotation = |(name, template): &(String, Template), failed: &mut Vec<String>| {
                (name.clone(), memory::kept(fill((name, template), &given, failed)))
            };
            let annotations: BTreeMap<_, _> =
                self.alert.annotations.iter().map(|pair| annotation(pair, &mut failed)).collect();
            self.failed_templates += failed.len() as u64;
            if let Some(error) = failed.pop() {
                self.template_error = Some(error);
            }
            let active = Active {
                annotations: Arc::new(annotations),
                state: State::Pending,
                value: sample.value,
                active_at: time,
                fired_at: None,
                resolved_at: None,
                kept_since: None,
                sent_at: None,
                labels: Arc::new(labels),
            };
            let key = active.labels.to_string();
            if seen.contains_key(&key) {
                return Err(RuleError::SameLabels(key));
            }
            taken += bytes(&key, &active);
            if taken + memory::tree::<String, Active>(seen.len() + 1) > room {
                break;
            }
            seen.insert(key, active);
        }
        let refused = count - seen.len();
        Ok((seen, refused))
    }

    /// Changes the state of each alert, by the series that exist now.
    fn move_on(&mut self, time: i64, seen: &BTreeMap<String, Active>) {
        let (hold, keep) = (self.alert.hold, self.alert.keep_firing);
        self.active.retain(|key, alert| {
            if seen.contains_key(key) {
                alert.kept_since = None;
            } else {
                if alert.state == State::Firing && keep > 0 {
                    let since = *alert.kept_since.get_or_insert(time);
                    if time - since < keep {
                        return true;
                    }
                }
                let forgotten = alert.resolved_at.is_some_and(|resolved| time - resolved > TOLD_AFTER);
                if alert.state == State::Pending || forgotten {
                    return false;
                }
                if alert.state != State::Inactive {
                    alert.state = State::Inactive;
                    alert.resolved_at = Some(time);
                }
                return true;
            }
            if alert.state == State::Pending && time - alert.active_at >= hold {
                alert.state = State::Firing;
                alert.fired_at = Some(time);
            }
            true
        });
    }

    /// Updates what alerts take (bytes). If that is more than `room`, alerts whose series are gone are removed, first those
    /// that were resolved longest ago.
    fn fit(&mut self, seen: &BTreeMap<String, Active>, room: usize) {
        let mut taken: usize = self.active.iter().map(|(key, alert)| bytes(key, alert)).sum();
        let places = memory::tree::<String, Active>;
        if taken + places(self.active.len()) > room {
            let gone = self.active.iter().filter(|(key, _)| !seen.contains_key(*key));
            let mut gone: Vec<_> = gone
                .map(|(key, alert)| (alert.resolved_at.unwrap_or(i64::MAX), key.clone(), bytes(key, alert)))
                .collect();
            gone.sort_unstable();
            let mut gone = gone.into_iter();
            while taken + places(self.active.len()) > room
                && let Some((_, key, bytes)) = gone.next()
            {
                self.active.remove(&key);
                taken -= bytes;
            }
        }
        self.bytes = taken + places(self.active.len());
    }

    /// The notices after an evaluation: for what is new, and for what was told longer than `resend` ago. `now` is the wall
    /// clock, `interval` the time between evaluations; all in nanoseconds.
    pub fn notices(&mut self, now: i64, interval: i64, resend: i64) -> Vec<Notice> {
        let mut notices = Vec::new();
        // The time of the entries, as all times of states. It may be behind the wall clock.
        let Some(time) = self.known_at else { return notices };
        for alert in self.active.values_mut() {
            let Some(starts_at) = alert.fired_at.filter(|_| alert.state != State::Pending) else { continue };
            let news = match (alert.sent_at, alert.resolved_at) {
                (None, _) => true,
                (Some(sent), Some(resolved)) if resolved > sent => true,
                (Some(sent), _) => time - sent >= resend,
            };
            if !news {
                continue;
            }
            alert.sent_at = Some(time);
            notices.push(Notice {
                labels: alert.labels.clone(),
                annotations: alert.annotations.clone(),
                link: None,
                starts_at,
                ends_at: alert.resolved_at.unwrap_or(now + SILENT_MAX * interval.max(resend)),
                resolved: alert.resolved_at.is_some(),
            });
        }
        notices
    }

    fn given(&self, labels: &LabelSet, value: f64) -> [(&'static str, Value); 4] {
        let map = |labels: &LabelSet| {
            Value::Map(Arc::new(labels.iter().map(|(name, value)| (name.to_owned(), value.into())).collect()))
        };
        let [of_labels, of_value, of_external, of_url] = VARIABLES;
        [
            (of_labels, map(labels)),
            (of_value, Value::Float(value)),
            (of_external, map(&self.outside.labels)),
            (of_url, Value::Text(self.outside.url.clone())),
        ]
    }
}

/// Reads a template of a rule.
///
/// # Errors
/// The text is not a valid template.
pub fn template(source: &str) -> Result<Template, logql::go::template::TemplateError> {
    Template::with_variables(source, prometheus::function, &VARIABLES)
}

fn fill((name, template): (&str, &Template), given: &[(&str, Value)], failed: &mut Vec<String>) -> String {
    // The dot holds what it holds in Prometheus.
    let dot = given.iter().map(|(name, value)| {
        let name = match *name {
            "$labels" => "Labels",
            "$value" => "Value",
            "$externalLabels" => "ExternalLabels",
            _ => "ExternalURL",
        };
        (name.to_owned(), value.clone())
    });
    match template.fill(&Value::Map(Arc::new(dot.collect())), given) {
        Ok(text) => text,
        Err(error) => {
            failed.push(format!("`{name}`: {error}"));
            format!("<error expanding template: {error}>")
        }
    }
}

#[cfg(test)]
mod tests;
