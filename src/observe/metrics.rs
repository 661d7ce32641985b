//! Metrics: what this process counts, in Prometheus's text format (version 0.0.4,
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>).
//!
//! A family has a name, a kind and a help text, and a series for each label set. Code that counts often counts for itself and
//! sets the sum now and then. The text is made when someone scrapes.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Names and values of a series' labels.
pub type SeriesLabels = Vec<(String, String)>;

/// How often a full family looks for idle series (nanoseconds). A look goes over all series.
const SWEEP_EVERY: i64 = 1_000_000_000;

/// The beginning of the names of this program's own metrics.
pub const OWN: &str = "journalship_";

/// Whether a metric is this program's own, or one of its process. Nothing else may have its name.
pub fn is_own(name: &str) -> bool {
    name.starts_with(OWN) || super::process::NAMES.contains(&name)
}

/// Series that one family may have (count): a label with a value for each entry must not fill the memory.
pub const SERIES_MAX: usize = 10_000;

/// What kind of number a family has.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It counts the values up to each of these bounds, which are sorted.
    Histogram(Vec<f64>),
}

/// A number of one series.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Number(f64),
    Histogram(Histogram),
}

/// How many values there were up to each of some bounds. Code that measures often keeps one of its own, and shows it now and
/// then with [`At::show`].
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Of each bound, the values up to it (count).
    counts: Vec<u64>,
    sum: f64,
    count: u64,
}

impl Histogram {
    /// No values yet, for so many bounds.
    pub fn new(bounds: &[f64]) -> Histogram {
        Histogram { counts: vec![0; bounds.len()], sum: 0.0, count: 0 }
    }

    /// Adds a value. The bounds are those that it was made for.
    pub fn observe(&mut self, bounds: &[f64], observed: f64) {
        self.sum += observed;
        self.count += 1;
        for (bucket, bound) in self.counts.iter_mut().zip(bounds) {
            *bucket += u64::from(observed <= *bound);
        }
    }

    /// Adds the values of another one for the same bounds.
    pub fn add(&mut self, other: &Histogram) {
        self.sum += other.sum;
        self.count += other.count;
        self.counts.iter_mut().zip(&other.counts).for_each(|(bucket, more)| *bucket += more);
    }
}

#[derive(Debug)]
struct Series {
    value: Value,
    /// When it was changed last (nanoseconds since 1970).
    changed: i64,
}

/// The series of a family.
#[derive(Debug, Default)]
struct All {
    series: BTreeMap<SeriesLabels, Series>,
    /// When a full family looked for idle series last (nanoseconds since 1970).
    swept: Option<i64>,
}

impl All {
    /// Forgets series that did not change for so long (nanoseconds).
    fn forget(&mut self, idle: Option<i64>, now: i64) {
        if let Some(idle) = idle {
            self.series.retain(|_, series| now.saturating_sub(series.changed) <= idle);
        }
    }
}

/// One family of series.
#[derive(Debug)]
pub struct Family {
    name: String,
    help: String,
    kind: Kind,
    /// Recording rules set it; nothing else may change it.
    recorded: bool,
    /// Series that did not change for so long are forgotten (nanoseconds).
    idle: Option<i64>,
    all: Mutex<All>,
    /// Changes that found no room.
    refused: std::sync::atomic::AtomicU64,
}

impl Family {
    fn lock(&self) -> MutexGuard<'_, All> {
        // A panic elsewhere cannot leave half of a number here.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the series of these labels; false when there are too many series for a new one.
    fn change(&self, labels: SeriesLabels, now: i64, change: impl FnOnce(&mut Value)) -> bool {
        let mut all = self.lock();
        if all.series.len() >= SERIES_MAX && !all.series.contains_key(&labels) {
            // Perhaps nobody scrapes. So idle series must make room here, too.
            if all.swept.is_none_or(|swept| now.saturating_sub(swept) >= SWEEP_EVERY) {
                all.swept = Some(now);
                all.forget(self.idle, now);
            }
            if all.series.len() >= SERIES_MAX {
                self.refused.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                return false;
            }
        }
        let empty = || match &self.kind {
            Kind::Histogram(bounds) => Value::Histogram(Histogram::new(bounds)),
            _ => Value::Number(0.0),
        };
        let series = all.series.entry(labels).or_insert_with(|| Series { value: empty(), changed: now });
        series.changed = now;
        change(&mut series.value);
        true
    }

    /// Changes series at this time (nanoseconds since 1970), by which idle ones are forgotten.
    pub fn at(&self, now: i64) -> At<'_> {
        At { family: self, now }
    }

    /// The same for a family whose series are never forgotten: no time is needed.
    pub fn always(&self) -> At<'_> {
        self.at(0)
    }

    /// Adds to a counter or gauge whose series are never forgotten; false when there are too many series for a new one.
    pub fn add(&self, labels: SeriesLabels, amount: f64) -> bool {
        self.always().add(labels, amount)
    }

    /// Sets a counter or gauge whose series are never forgotten; false when there are too many series for a new one.
    pub fn set(&self, labels: SeriesLabels, amount: f64) -> bool {
        self.always().set(labels, amount)
    }

    /// The series of a counter or gauge, with their values.
    pub fn values(&self) -> Vec<(SeriesLabels, f64)> {
        let number = |series: &Series| match series.value {
            Value::Number(value) => Some(value),
            Value::Histogram(_) => None,
        };
        let all = self.lock();
        all.series.iter().filter_map(|(labels, series)| Some((labels.clone(), number(series)?))).collect()
    }

    /// Replaces all series of a counter or gauge.
    pub fn replace(&self, series: Vec<(SeriesLabels, f64)>) {
        self.lock().series.clear();
        for (labels, value) in series {
            self.set(labels, value);
        }
    }

    fn write(&self, now: i64, out: &mut String) {
        let mut all = self.lock();
        all.forget(self.idle, now);
        if all.series.is_empty() {
            return;
        }
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let help = self.help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a string does not fail.
        let _ = writeln!(out, "# HELP {} {help}\n# TYPE {} {kind}", self.name, self.name);
        for (labels, series) in &all.series {
            match (&series.value, &self.kind) {
                (Value::Histogram(Histogram { counts, sum, count }), Kind::Histogram(bounds)) => {
                    let bounds = bounds.iter().map(|bound| number(*bound)).zip(counts.iter().copied());
                    for (bound, below) in bounds.chain([("+Inf".to_owned(), *count)]) {
                        let name = format!("{}_bucket", self.name);
                        line(out, &name, labels, Some(("le", &bound)), below as f64);
                    }
                    line(out, &format!("{}_sum", self.name), labels, None, *sum);
                    line(out, &format!("{}_count", self.name), labels, None, *count as f64);
                }
                (Value::Number(value), _) => line(out, &self.name, labels, None, *value),
                _ => {}
            }
        }
    }
}

/// A family at a time (nanoseconds since 1970). A change is false when there are too many series for a new one.
#[derive(Debug, Clone, Copy)]
pub struct At<'f> {
    family: &'f Family,
    now: i64,
}

impl At<'_> {
    /// Adds to a counter or gauge.
    pub fn add(self, labels: SeriesLabels, amount: f64) -> bool {
        self.family.change(labels, self.now, |value| {
            if let Value::Number(number) = value {
                *number += amount;
            }
        })
    }

    /// Sets a counter or gauge.
    pub fn set(self, labels: SeriesLabels, amount: f64) -> bool {
        self.family.change(labels, self.now, |value| *value = Value::Number(amount))
    }

    /// Adds a value to a histogram.
    pub fn observe(self, labels: SeriesLabels, observed: f64) -> bool {
        let Kind::Histogram(bounds) = &self.family.kind else { return false };
        self.family.change(labels, self.now, |value| {
            if let Value::Histogram(histogram) = value {
                histogram.observe(bounds, observed);
            }
        })
    }

    /// Sets a histogram whose bounds are those of the family.
    pub fn show(self, labels: SeriesLabels, histogram: Histogram) -> bool {
        self.family.change(labels, self.now, |value| *value = Value::Histogram(histogram))
    }
}

fn line(out: &mut String, name: &str, labels: &SeriesLabels, more: Option<(&str, &str)>, value: f64) {
    out.push_str(name);
    let labels = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(more);
    let mut open = false;
    for (name, value) in labels {
        out.push(if open { ',' } else { '{' });
        open = true;
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(out, "{name}=\"{value}\"");
    }
    out.push_str(if open { "} " } else { " " });
    out.push_str(&number(value));
    out.push('\n');
}

/// A number as Prometheus reads it.
fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".into(),
        f64::INFINITY => "+Inf".into(),
        f64::NEG_INFINITY => "-Inf".into(),
        value => value.to_string(),
    }
}

/// What is done before each scrape, at this time (nanoseconds since 1970).
type Collect = Box<dyn Fn(i64) + Send + Sync>;

/// All metrics of the process.
#[derive(Default)]
pub struct Registry {
    families: Mutex<BTreeMap<String, Arc<Family>>>,
    /// They set what is known only when someone asks.
    collectors: Mutex<Vec<Collect>>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("families", &self.families).finish_non_exhaustive()
    }
}

impl Registry {
    /// The family of this name. It is made if it does not exist. If a family of this name has another kind, or is recorded by
    /// rules, the result is a family that nobody scrapes; a configuration that would lead to this is refused.
    pub fn family(
        &self,
        name: &str,
        help: &str,
        kind: Kind,
        idle: Option<std::time::Duration>,
    ) -> Arc<Family> {
        self.find(name, help, kind, idle, false)
    }

    /// The counter of this name, whose series are never forgotten.
    pub fn counter(&self, name: &str, help: &str) -> Arc<Family> {
        self.family(name, help, Kind::Counter, None)
    }

    /// The gauge of this name, whose series are never forgotten.
    pub fn gauge(&self, name: &str, help: &str) -> Arc<Family> {
        self.family(name, help, Kind::Gauge, None)
    }

    /// The gauge of this name that recording rules set. If the name is in use for something else, the result is a gauge that
    /// nobody scrapes.
    pub fn recorded(&self, name: &str) -> Arc<Family> {
        self.find(name, "Of a recording rule.", Kind::Gauge, None, true)
    }

    fn find(
        &self,
        name: &str,
        help: &str,
        kind: Kind,
        idle: Option<std::time::Duration>,
        recorded: bool,
    ) -> Arc<Family> {
        let idle = idle.map(|idle| i64::try_from(idle.as_nanos()).unwrap_or(i64::MAX));
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |family: &&Arc<Family>| family.kind == kind && family.recorded == recorded;
        if let Some(family) = families.get(name).filter(same) {
            return family.clone();
        }
        let family = Arc::new(Family {
            name: name.to_owned(),
            help: help.to_owned(),
            kind,
            recorded,
            idle,
            all: Mutex::default(),
            refused: Default::default(),
        });
        // Rules cannot have a name of this program's own, even if it is not in use yet.
        if !(recorded && is_own(name)) {
            families.entry(name.to_owned()).or_insert_with(|| family.clone());
        }
        family
    }

    /// Before each scrape, `collect` sets metrics that are known only when someone asks. It gets the time (nanoseconds since
    /// 1970).
    pub fn on_scrape(&self, collect: impl Fn(i64) + Send + Sync + 'static) {
        self.collectors.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(collect));
    }

    /// All families as text; `now` (nanoseconds since 1970) tells which series are idle.
    pub fn text(&self, now: i64) -> String {
        for collect in self.collectors.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            collect(now);
        }
        let families: Vec<_> =
            self.families.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let mut out = String::new();
        families.iter().for_each(|family| family.write(now, &mut out));
        let refused =
            families.iter().map(|f| f.refused.load(std::sync::atomic::Ordering::Relaxed)).sum::<u64>();
        if refused > 0 {
            let name = "journalship_metric_series_refused_total";
            let _ = writeln!(
                out,
                "# HELP {name} Changes of metrics that would have made more series than there may be.\n\
                 # TYPE {name} counter\n{name} {refused}"
            );
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> SeriesLabels {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn text_is_prometheus_format() {
        let registry = Registry::default();
        let counter = registry.counter("b_total", "Two\nlines.");
        counter.add(labels(&[("unit", "a\"b\\c\nd")]), 2.0);
        counter.add(labels(&[("unit", "a\"b\\c\nd")]), 1.5);
        registry.gauge("a", "Gauge.").set(Vec::new(), -1.0);
        let histogram = registry.family("h", "H.", Kind::Histogram(vec![0.5, 2.0]), None);
        for value in [0.5, 1.0, 9.0] {
            histogram.at(0).observe(labels(&[("x", "y")]), value);
        }
        let mut own = Histogram::new(&[1.0]);
        [0.5, 2.0].into_iter().for_each(|value| own.observe(&[1.0], value));
        own.add(&own.clone());
        registry.family("i", "I.", Kind::Histogram(vec![1.0]), None).always().show(Vec::new(), own);
        registry.counter("empty", "Nothing.");
        assert_eq!(
            registry.text(0),
            "# HELP a Gauge.\n# TYPE a gauge\na -1\n\
             # HELP b_total Two\\nlines.\n# TYPE b_total counter\nb_total{unit=\"a\\\"b\\\\c\\nd\"} 3.5\n\
             # HELP h H.\n# TYPE h histogram\n\
             h_bucket{x=\"y\",le=\"0.5\"} 1\nh_bucket{x=\"y\",le=\"2\"} 2\nh_bucket{x=\"y\",le=\"+Inf\"} 3\n\
             h_sum{x=\"y\"} 10.5\nh_count{x=\"y\"} 3\n\
             # HELP i I.\n# TYPE i histogram\ni_bucket{le=\"1\"} 2\ni_bucket{le=\"+Inf\"} 4\ni_sum 5\ni_count 4\n"
        );
    }

    #[test]
    fn what_is_known_only_when_someone_asks_is_set_then() {
        let registry = Registry::default();
        let gauge = registry.gauge("now", "The time.");
        registry.on_scrape(move |now| _ = gauge.set(Vec::new(), now as f64));
        assert!(registry.text(7).ends_with("\nnow 7\n"));
        assert!(registry.text(8).ends_with("\nnow 8\n"));
    }

    #[test]
    fn idle_series_go_and_too_many_are_refused() {
        let registry = Registry::default();
        let idle = std::time::Duration::from_nanos(10);
        let family = registry.family("c", "C.", Kind::Counter, Some(idle));
        family.at(0).add(labels(&[("n", "old")]), 1.0);
        family.at(5).add(labels(&[("n", "new")]), 1.0);
        assert!(!registry.text(15).contains("old") && registry.text(15).contains("new"));
        for n in 0..SERIES_MAX + 5 {
            family.at(15).add(labels(&[("n", &n.to_string())]), 1.0);
        }
        assert!(registry.text(15).contains("journalship_metric_series_refused_total 6\n"));
    }

    #[test]
    fn rules_replace_no_metric_of_others() {
        let registry = Registry::default();
        let own = registry.gauge("journalship_streams", "Streams.");
        own.set(labels(&[("destination", "main")]), 3.0);
        registry.gauge("custom", "Of a stage.").set(Vec::new(), 1.0);
        let before = registry.text(0);
        for name in ["journalship_streams", "custom", "journalship_of_later", "process_open_fds"] {
            registry.recorded(name).replace(vec![(labels(&[("from", "a rule")]), 7.0)]);
            assert_eq!(registry.text(0), before, "{name}");
        }
        registry.recorded("rate:5m").replace(vec![(Vec::new(), 7.0)]);
        registry.gauge("rate:5m", "Of a stage.").set(Vec::new(), 1.0);
        assert!(registry.text(0).contains("rate:5m 7\n"), "{}", registry.text(0));
        registry.gauge("journalship_of_later", "Later.").set(Vec::new(), 5.0);
        assert!(registry.text(0).contains("journalship_of_later 5\n"), "{}", registry.text(0));
    }

    #[test]
    fn idle_series_make_room_though_nobody_scrapes() {
        const SECOND: i64 = 1_000_000_000;
        let registry = Registry::default();
        let family = registry.family("c", "C.", Kind::Counter, Some(std::time::Duration::from_secs(10)));
        for n in 0..SERIES_MAX {
            assert!(family.at(0).add(labels(&[("n", &n.to_string())]), 1.0));
        }
        let one_more = |seconds: i64| family.at(seconds * SECOND).add(labels(&[("n", "more")]), 1.0);
        assert!(!one_more(5), "all of them changed lately");
        assert!(one_more(11), "now they are idle");
    }
}
