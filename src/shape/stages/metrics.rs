//! `metrics`: counts entries and measures extracted values; Prometheus finds them at `/metrics`.
//!
//! As in Promtail, the labels of an entry are the labels of its series, and names begin with `promtail_custom_` unless
//! `prefix` says otherwise. So dashboards go on working. If several stages use one name, it is one metric, which must have
//! one kind.

use std::sync::Arc;
use std::time::Duration;

use super::{AboutStage, Context, Flow, Item, May, Setup, Stage, Value, may};
use crate::observe::metrics::{Family, Kind, OWN, SeriesLabels, is_own};
use crate::yaml::key::key;
use crate::yaml::{self, Checker, Finding, Key, Section, quoted};
use logql::label_set::{LabelSet, identifier};

const PREFIX: &str = "promtail_custom_";
/// The default bounds of a histogram, as in the client library of Prometheus.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The keys of the stage.
pub(super) const KEYS: &[Key] = &[
    key("stages[].metrics", "map of metrics", "required"),
    key("stages[].metrics.*", "section", ""),
    key("stages[].metrics.*.type", "`Counter`, `Gauge` or `Histogram`", "required"),
    key("stages[].metrics.*.description", "string", "\"\""),
    key("stages[].metrics.*.source", "string", "the metric's name"),
    key("stages[].metrics.*.prefix", "string", "promtail_custom_"),
    key("stages[].metrics.*.max_idle_duration", "duration", "5m"),
    key("stages[].metrics.*.config", "section", ""),
    key("stages[].metrics.*.config.value", "string", "null"),
    key("stages[].metrics.*.config.action", "what to do", "required"),
    key("stages[].metrics.*.config.match_all", "`true` or `false`", "false"),
    key("stages[].metrics.*.config.count_entry_bytes", "`true` or `false`", "false"),
    key("stages[].metrics.*.config.buckets", "list of numbers", "[]"),
];

/// `stages[].metrics`
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The metrics, in the order of their names.
    pub metrics: Vec<MetricSettings>,
}

/// One metric.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricSettings {
    /// Its name, with the prefix.
    pub name: String,
    /// Its help text.
    pub description: String,
    /// The extracted value that it looks at.
    pub source: String,
    /// Series that did not change for so long are forgotten.
    pub max_idle: Duration,
    /// If this is set, only entries with this value of the source count.
    pub value: Option<String>,
    /// What it does.
    pub action: Action,
}

/// `type`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Counter,
    Gauge,
    Histogram,
}

const TYPES: [(&str, Type); 3] =
    [("Counter", Type::Counter), ("Gauge", Type::Gauge), ("Histogram", Type::Histogram)];

/// What a metric does with an entry.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// A counter of entries.
    Count {
        /// Whether all entries count. Otherwise, only those that have the source.
        all: bool,
    },
    /// A counter of the source's values.
    Sum,
    /// A counter of the bytes of all lines.
    Bytes,
    /// A gauge.
    Gauge(GaugeAction),
    /// A histogram of the source's values, with these bounds.
    Observe(Vec<f64>),
}

/// What a gauge does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GaugeAction {
    /// Takes the source's value.
    Set,
    /// Goes up by one.
    Inc,
    /// Goes down by one.
    Dec,
    /// Goes up by the source's value.
    Add,
    /// Goes down by the source's value.
    Sub,
}

/// Reads it.
pub(super) fn read(checker: &Checker<'_>, value: &yaml::Value<'_>) -> Option<Settings> {
    let mut metrics = Vec::new();
    for entry in checker.entries(value, "a map: name to metric")? {
        metrics.push(metric(checker, entry.name, &entry.value)?);
    }
    metrics.sort_by(|a: &MetricSettings, b| a.name.cmp(&b.name));
    Some(Settings { metrics })
}

fn metric(checker: &Checker<'_>, name: &str, value: &yaml::Value<'_>) -> Option<MetricSettings> {
    const IDLE: std::ops::RangeInclusive<Duration> =
        Duration::from_secs(1)..=Duration::from_secs(365 * 24 * 3600);
    let section = Section::open(checker, value, "stages[].metrics.*")?;
    let kind = section.required(checker, value, "type", |value| checker.choice(value, &TYPES));
    let (mut description, mut source, mut prefix) = (String::new(), name.to_owned(), String::new());
    let mut max_idle = Duration::from_secs(5 * 60);
    section.read("description", &mut description, |value| checker.text(value, "a string"));
    section.read("source", &mut source, |value| checker.text(value, "the name of a value"));
    section.read("prefix", &mut prefix, |value| checker.text(value, "a string"));
    section.read("max_idle_duration", &mut max_idle, |value| checker.go_duration(value, &IDLE));
    // As in Promtail, an empty prefix means the default.
    let whole = format!("{}{name}", if prefix.is_empty() { PREFIX } else { &prefix });
    let valid = |c: char| c == '_' || c == ':' || c.is_ascii_alphanumeric();
    if !whole.chars().all(valid) || whole.starts_with(|c: char| c.is_ascii_digit()) {
        checker.note(
            Finding::at(value.key.clone(), format!("{} is not a valid name of a metric", quoted(&whole)))
                .label("expected letters, digits, `_` and `:`, no digit first"),
        );
        return None;
    }
    if is_own(&whole) {
        checker.note(
            Finding::at(
                value.key.clone(),
                format!("{} is reserved for journal-ship's own metrics", quoted(&whole)),
            )
            .label(format!(
                "expected another name than `{OWN}…`, and than those of the process (`process_…`)"
            )),
        );
        return None;
    }
    let empty = yaml::Node::map(Vec::new());
    let absent = yaml::Value { path: format!("{}.config", value.path), node: &empty, key: value.key.clone() };
    let written = section.get("config").unwrap_or(&absent);
    let (only, action) = action(checker, written, kind?)?;
    let clash = exposed(&whole, &action).into_iter().find_map(|(name, meaning)| {
        checker.claim(&name, &meaning, value.key.clone()).err().map(|first| (name, meaning, first))
    });
    if let Some((name, meaning, (first, at))) = clash {
        checker.note(
            Finding::at(value.key.clone(), format!("the metric {} has two meanings", quoted(&name)))
                .label(format!("here it is {meaning}"))
                .related(at, format!("here it is {first}"))
                .help("rename one of them, or give it a `prefix`"),
        );
        return None;
    }
    Some(MetricSettings { name: whole, description, source, max_idle, value: only, action })
}

/// The names of a metric in the text for Prometheus, each with its meaning there.
fn exposed(name: &str, action: &Action) -> Vec<(String, String)> {
    let one = |kind: &str| vec![(name.to_owned(), kind.to_owned())];
    match action {
        Action::Count { .. } | Action::Sum | Action::Bytes => one("a counter"),
        Action::Gauge(_) => one("a gauge"),
        Action::Observe(bounds) => {
            let parts = ["_bucket", "_sum", "_count"];
            let part =
                |suffix| (format!("{name}{suffix}"), format!("a part of the histogram {}", quoted(name)));
            let mut names = one(&format!("a histogram with the buckets {bounds:?}"));
            names.extend(parts.into_iter().map(part));
            names
        }
    }
}

fn action(checker: &Checker<'_>, written: &yaml::Value<'_>, kind: Type) -> Option<(Option<String>, Action)> {
    let section = Section::open(checker, written, "stages[].metrics.*.config")?;
    let (mut only, mut all, mut bytes) = (None, false, false);
    section.read("value", &mut only, |value| checker.raw(value, "a string").map(Some));
    section.read("match_all", &mut all, |value| checker.flag(value));
    section.read("count_entry_bytes", &mut bytes, |value| checker.flag(value));
    let mut buckets = Vec::new();
    section.read("buckets", &mut buckets, |value| {
        checker.each(value, "a list of numbers", |item| checker.number(item, &(f64::MIN..=f64::MAX)))
    });
    let refuse = |name: &str, why: &str| {
        let place = section.get(name).map_or(written.key.clone(), |value| value.key.clone());
        checker.note(Finding::at(place, format!("`{}`: `{name}` does not go here", written.path)).label(why));
        None
    };
    if kind != Type::Histogram && !buckets.is_empty() {
        return refuse("buckets", "only a histogram has buckets");
    }
    if let Some(name) = [("match_all", all), ("count_entry_bytes", bytes)].into_iter().find(|(_, set)| *set)
        && kind != Type::Counter
    {
        return refuse(name.0, "only a counter counts all entries");
    }
    let action = match kind {
        Type::Counter => {
            let sums = section.required(checker, written, "action", |value| {
                checker.choice(value, &[("inc", false), ("add", true)])
            })?;
            match (all, bytes, sums) {
                (true, ..) if only.is_some() => {
                    return refuse("match_all", "with `value` not all entries match");
                }
                (false, true, _) => {
                    return refuse("count_entry_bytes", "expected `match_all: true` beside it");
                }
                (true, true, false) => {
                    return refuse("count_entry_bytes", "expected `action: add` beside it");
                }
                (true, true, true) => Action::Bytes,
                (true, false, true) => {
                    return refuse("match_all", "there is no value to add; expected `action: inc`");
                }
                (_, false, true) => Action::Sum,
                (all, false, false) => Action::Count { all },
            }
        }
        Type::Gauge => Action::Gauge(section.required(checker, written, "action", |value| {
            use GaugeAction::{Add, Dec, Inc, Set, Sub};
            checker.choice(value, &[("set", Set), ("inc", Inc), ("dec", Dec), ("add", Add), ("sub", Sub)])
        })?),
        Type::Histogram => {
            if buckets.is_empty() {
                buckets = BUCKETS.to_vec();
            }
            buckets.sort_by(f64::total_cmp);
            buckets.dedup();
            Action::Observe(buckets)
        }
    };
    Some((only, action))
}

impl AboutStage for Settings {
    fn build(&self, setup: &Setup) -> Box<dyn Stage> {
        let family = |metric: &MetricSettings| {
            let kind = match &metric.action {
                Action::Count { .. } | Action::Sum | Action::Bytes => Kind::Counter,
                Action::Gauge(_) => Kind::Gauge,
                Action::Observe(bounds) => Kind::Histogram(bounds.clone()),
            };
            setup.metrics.family(&metric.name, &metric.description, kind, Some(metric.max_idle))
        };
        Box::new(Metrics { metrics: self.metrics.iter().map(|m| (m.clone(), family(m))).collect() })
    }

    fn metrics(&self) -> Vec<String> {
        let exposed = self.metrics.iter().flat_map(|metric| exposed(&metric.name, &metric.action));
        exposed.map(|(name, _)| name).collect()
    }

    fn lint(written: &yaml::Value<'_>, may: &mut May<'_>) {
        for (name, metric) in may::map(written) {
            let all = may::get(&metric, "config").and_then(|config| may::get(&config, "match_all"));
            if all.is_none_or(|all| all.node.kind != yaml::Kind::Bool(true)) {
                let source = may::get(&metric, "source").unwrap_or(metric);
                may.have_value(&source, may::text(&source).or(Some(name)));
            }
        }
    }
}

#[derive(Debug)]
struct Metrics {
    metrics: Vec<(MetricSettings, Arc<Family>)>,
}

/// The labels of a series: those of the entry, without internal ones, with names that Prometheus takes. If two names become
/// one, the first counts. A histogram uses `le` itself.
fn series_labels(labels: &LabelSet, histogram: bool) -> SeriesLabels {
    let mut series = SeriesLabels::new();
    for (name, value) in labels.iter() {
        let mut plain = identifier(name);
        if histogram && plain == "le" {
            plain = "exported_le".into();
        }
        if !plain.starts_with("__") && !series.iter().any(|(other, _)| *other == plain) {
            series.push((plain.into_owned(), value.to_owned()));
        }
    }
    series
}

/// A value as a number, as Promtail reads it. A duration becomes seconds.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Null => None,
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Value::Number(number) => Some(*number),
        Value::Text(text) => match text.parse() {
            Ok(number) => Some(number),
            // Durations of Go may have a sign.
            Err(_) => {
                let (sign, rest) = match text.strip_prefix('-') {
                    Some(rest) => (-1.0, rest),
                    None => (1.0, text.strip_prefix('+').unwrap_or(text)),
                };
                yaml::units::parse_go_duration(rest).ok().map(|duration| sign * duration.as_secs_f64())
            }
        },
    }
}

impl Stage for Metrics {
    fn name(&self) -> &'static str {
        "metrics"
    }

    fn run(&mut self, item: &mut Item, context: &mut Context) -> Flow {
        for (metric, family) in &self.metrics {
            let value = item.extracted.get(&metric.source);
            let histogram = matches!(metric.action, Action::Observe(_));
            let labels = || series_labels(&item.labels, histogram);
            let family = family.at(context.now_ns);
            match metric.action {
                Action::Count { all: true } => {
                    family.add(labels(), 1.0);
                    continue;
                }
                Action::Bytes => {
                    family.add(labels(), item.line.len() as f64);
                    continue;
                }
                _ => {}
            }
            let Some(value) = value else { continue };
            if metric.value.is_some() && value.text().as_deref() != metric.value.as_deref() {
                continue;
            }
            let change = match metric.action {
                Action::Count { .. } | Action::Gauge(GaugeAction::Inc) => Some(1.0),
                Action::Gauge(GaugeAction::Dec) => Some(-1.0),
                // A counter never decreases.
                Action::Sum => number(&value).filter(|number| *number >= 0.0),
                _ => number(&value),
            };
            let Some(change) = change else {
                context.fail("metrics", || format!("{}={value:?} is not a number to count", metric.source));
                continue;
            };
            match metric.action {
                Action::Gauge(GaugeAction::Set) => family.set(labels(), change),
                Action::Gauge(GaugeAction::Sub) => family.add(labels(), -change),
                Action::Observe(_) => family.observe(labels(), change),
                _ => family.add(labels(), change),
            };
        }
        Flow::Next
    }
}

#[cfg(test)]
mod tests;
