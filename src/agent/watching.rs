//! Watching for alerts: a thread with its own tail shows entries to the rules, also while shipping stands still.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::AgentError;
use crate::alerts::Watcher;
use crate::alerts::alertmanager::Outboxes;
use crate::alerts::memory::of_alerts;
use crate::alerts::run::{DURATIONS, Outcome, Rules};
use crate::alerts::saved::StateFile;
use crate::alerts::shown::{groups, status};
use crate::alerts::state::State;
use crate::alerts::watch::{clock, nanoseconds};
use crate::config::Config;
use crate::journal::follow::{Follower, HELD_EVERY, Rest, Step, WatchError, follow};
use crate::observe::http::Served;
use crate::observe::metrics::{Family, Histogram, Kind, Registry};
use crate::os::systemd::{Pulse, Pulses};
use journald_reader::{Entry, Keys, Start, Tail, Waker};

/// While alerts do not change, the time of the last evaluation is saved this often. After a crash, evaluations go on from
/// there.
const SAVE_EVERY: Duration = Duration::from_secs(10);
/// The same while there are no alerts.
const SAVE_QUIET_EVERY: Duration = Duration::from_secs(600);

/// The log says at most this often that rules leave more and more out.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// The most rules that such a line names (count).
const NAMED_MAX: usize = 5;

/// The state of the thread.
pub(super) struct Watching {
    config: Config,
    waker: Waker,
    watcher: Watcher,
    file: StateFile,
    /// The digest of what was saved last, and when that was.
    saved: Option<(u64, Instant)>,
    /// When the log mentioned rules over their limit last, and how much had been left out until then.
    told: Option<(Instant, u64)>,
    outboxes: Outboxes,
    metrics: Metrics,
    served: Arc<Served>,
    stop: Arc<AtomicBool>,
    /// Whether all entries from before the start have been looked at.
    caught_up: bool,
    pulse: Pulse,
}

/// Makes the rules, and a tail that begins where they need it.
fn begin(config: &Config, file: &mut StateFile, waker: Waker) -> Result<(Watcher, Tail), AgentError> {
    let mut keys = Keys::default();
    let mut watcher = Watcher::new(&config.alerts, config, Some(&host()), &mut keys);
    let start = watcher.begin(&file.load());
    let tail = Tail::open(&config.journal.scope, keys, Start::Realtime(start), waker)?;
    Ok((watcher, tail))
}

/// The name of this host, as journald writes it.
pub(crate) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

impl Watching {
    /// Opens everything; `None` when there are no rules.
    pub(super) fn open(
        config: &Config,
        outboxes: Outboxes,
        registry: &Arc<Registry>,
        served: &Arc<Served>,
        stop: Arc<AtomicBool>,
        waker: Waker,
        pulses: &mut Pulses,
    ) -> Result<Option<(Watching, Tail)>, AgentError> {
        served.set_rules(None);
        served.set_groups(Vec::new());
        if config.alerts.rules() == 0 {
            return Ok(None);
        }
        let mut file = StateFile::new(&config.state_directory, of_alerts(config.alerts.max_memory));
        let (watcher, tail) = begin(config, &mut file, waker.clone())?;
        let watching = Watching {
            config: config.clone(),
            waker,
            watcher,
            file,
            saved: None,
            told: None,
            outboxes,
            metrics: Metrics::new(registry),
            served: served.clone(),
            stop,
            caught_up: false,
            pulse: pulses.add("alert rules".to_owned()),
        };
        Ok(Some((watching, tail)))
    }

    /// Starts the thread, which holds `ends` until its end.
    pub(super) fn start(
        mut self,
        tail: Tail,
        ends: oneshot::Sender<()>,
    ) -> std::io::Result<JoinHandle<Result<(), WatchError>>> {
        let files = self.config.alerts.files.len();
        log::info!(
            "evaluating {} alert rules from {files} file{}, telling {} Alertmanager{}",
            self.config.alerts.rules(),
            if files == 1 { "" } else { "s" },
            self.config.alerts.alertmanagers.len(),
            if self.config.alerts.alertmanagers.len() == 1 { "" } else { "s" },
        );
        thread::Builder::new().name("tail rules".into()).spawn(move || {
            let result = self.run(tail);
            // Otherwise a stop would wait for tasks that wait for news.
            self.outboxes.close();
            drop(ends);
            result
        })
    }

    fn run(&mut self, mut tail: Tail) -> Result<(), WatchError> {
        let (stop, pulse) = (self.stop.clone(), self.pulse.clone());
        follow(&mut tail, self, &stop, &pulse)?;
        if self.caught_up {
            self.file.save(self.watcher.rules().saved());
        }
        Ok(())
    }

    /// Tells and saves what evaluations gave. Nobody is told before all entries from before the start have been looked at:
    /// until then, states only become again what they were.
    fn evaluated(&mut self) {
        if !self.caught_up {
            return;
        }
        let resend = nanoseconds(self.config.alerts.resend_delay);
        self.outboxes.put(&self.watcher.rules_mut().notices(clock(), resend));
        let rules = self.watcher.rules();
        let saved = rules.saved();
        let every = if saved.has_alerts() { SAVE_EVERY } else { SAVE_QUIET_EVERY };
        let digest = saved.digest();
        if !self.saved.is_some_and(|(last, at)| last == digest && at.elapsed() < every) {
            if !self.file.save(saved) {
                self.metrics.unsaved.add(Vec::new(), 1.0);
            }
            self.saved = Some((digest, Instant::now()));
        }
        self.metrics.publish(rules, self.watcher.ahead());
        self.served.set_rules(Some(status(rules.rules())));
        self.served.set_groups(groups(rules.rules()));
        self.tell_over();
    }

    /// Mentions rules over their limit in the log: when that begins, and at most once a minute while more is left out.
    fn tell_over(&mut self) {
        let rules = self.watcher.rules().rules();
        let over: Vec<_> = rules.iter().filter_map(|rule| Some((rule, rule.over.as_ref()?))).collect();
        let refused = over.iter().map(|(rule, _)| rule.refused).sum();
        match self.told {
            _ if over.is_empty() => {
                if self.told.take().is_some() {
                    log::info!("no alert rule is over its limit any more");
                }
                return;
            }
            Some((at, before)) if at.elapsed() < TELL_EVERY || before == refused => return,
            _ => self.told = Some((Instant::now(), refused)),
        }
        let named = over.iter().take(NAMED_MAX).map(|(rule, over)| {
            format!("`{}` (group `{}`): {over}, {} left out", rule.name, rule.group, rule.refused)
        });
        let named = named.collect::<Vec<_>>().join("; ");
        let more = over.len().saturating_sub(NAMED_MAX);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        log::warn!(
            "an alert rule is over its limit, and goes on for the series that it has: {named}{more}; alerts may be missing"
        );
    }
}

impl Follower for Watching {
    type Error = WatchError;

    fn entry(&mut self, entry: &Entry<'_>) -> Result<Step, WatchError> {
        if self.watcher.entry(entry) {
            self.evaluated();
        }
        Ok(Step::Next)
    }

    fn idle(&mut self, tail: &mut Tail) -> Result<Rest, WatchError> {
        if self.watcher.quiet() || !self.caught_up {
            self.caught_up = true;
            self.evaluated();
        }
        if self.watcher.is_ahead() {
            log::warn!("the clock was set back: alert rules begin again at the present time");
            match begin(&self.config, &mut self.file, self.waker.clone()) {
                Ok((watcher, anew)) => {
                    (self.watcher, *tail, self.caught_up) = (watcher, anew, false);
                    return Ok(Rest::Read);
                }
                // The rules go on as they are.
                Err(error) => log::error!("alert rules cannot begin anew: {error}"),
            }
        }
        let now = Instant::now();
        let due = self.watcher.due().and_then(|due| now.checked_add(due));
        let held = self.watcher.holds().then(|| now + HELD_EVERY);
        Ok(Rest::Wait(due.into_iter().chain(held).min()))
    }
}

/// The metrics of rules.
struct Metrics {
    registry: Arc<Registry>,
    evaluations: Arc<Family>,
    durations: Arc<Family>,
    failures: Arc<Family>,
    templates: Arc<Family>,
    alerts: Arc<Family>,
    series: Arc<Family>,
    refused: Arc<Family>,
    over: Arc<Family>,
    memory: Arc<Family>,
    evaluated: Arc<Family>,
    ahead: Arc<Family>,
    unsaved: Arc<Family>,
}

impl Metrics {
    fn new(registry: &Arc<Registry>) -> Metrics {
        Metrics {
            registry: registry.clone(),
            evaluations: registry.counter("journalship_rule_evaluations_total", "Evaluations of rules."),
            failures: registry
                .counter("journalship_rule_failures_total", "Evaluations of rules that failed."),
            durations: registry.family(
                "journalship_rule_evaluation_duration_seconds",
                "How long evaluations of rules took.",
                Kind::Histogram(DURATIONS.to_vec()),
                None,
            ),
            templates: registry.counter(
                "journalship_rule_template_failures_total",
                "Templates of labels and annotations that failed; the text of the error stands in their place.",
            ),
            alerts: registry.gauge("journalship_alerts", "Alerts of rules, by state."),
            series: registry.gauge("journalship_rule_series", "Series that the windows of all rules hold."),
            refused: registry.counter(
                "journalship_rule_series_refused_total",
                "Samples that a rule left out because their series had no room, series that gave way to others, and \
                 alerts without room.",
            ),
            over: registry.gauge(
                "journalship_rule_over_limit",
                "1 while a rule has more series or alerts than there is room for, or than its group allows, else 0.",
            ),
            memory: registry.gauge(
                "journalship_rule_memory_bytes",
                "What windows, alerts and recorded series of all rules take; at most about `alerts.max_memory`.",
            ),
            evaluated: registry.gauge(
                "journalship_rules_evaluated_timestamp_seconds",
                "When rules were evaluated last.",
            ),
            ahead: registry.counter(
                "journalship_rule_entries_ahead_total",
                "Entries that rules did not look at because they were written under a clock that was ahead.",
            ),
            unsaved: registry.counter(
                "journalship_alert_state_failures_total",
                "Attempts to save the states of alerts that failed.",
            ),
        }
    }

    fn publish(&self, all: &Rules, ahead: u64) {
        // Rules of the same name and group are one series.
        let mut sums: BTreeMap<(&str, &str), [u64; 7]> = BTreeMap::new();
        let mut durations: BTreeMap<(&str, &str), Histogram> = BTreeMap::new();
        let mut recorded: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for rule in all.rules().iter().chain([all.own()]) {
            let failed_templates = match &rule.outcome {
                Outcome::Alerts(states) => states.failed_templates(),
                Outcome::Metric(name, _, vector) => {
                    let series = recorded.entry(name).or_default();
                    series.extend(vector.iter().map(|sample| {
                        let labels = sample.labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned()));
                        (labels.collect(), sample.value)
                    }));
                    0
                }
            };
            let counts = [rule.count(State::Pending), rule.count(State::Firing)].map(|count| count as u64);
            let over = u64::from(rule.over.is_some());
            let new =
                [rule.evaluations, rule.failures, failed_templates, counts[0], counts[1], rule.refused, over];
            let name = (rule.group.as_str(), rule.name.as_str());
            durations.entry(name).or_insert_with(|| Histogram::new(&DURATIONS)).add(&rule.durations);
            let sum = sums.entry(name).or_default();
            sum.iter_mut().zip(new).for_each(|(sum, new)| *sum += new);
        }
        for ((group, name), [evaluations, failures, templates, pending, firing, refused, over]) in sums {
            let labels =
                || vec![("group".to_owned(), group.to_owned()), ("rule".to_owned(), name.to_owned())];
            self.evaluations.set(labels(), evaluations as f64);
            self.failures.set(labels(), failures as f64);
            self.templates.set(labels(), templates as f64);
            self.refused.set(labels(), refused as f64);
            self.over.set(labels(), over.min(1) as f64);
            for (state, count) in [("pending", pending), ("firing", firing)] {
                let mut labels = labels();
                labels.push(("state".to_owned(), state.to_owned()));
                self.alerts.set(labels, count as f64);
            }
            if let Some(durations) = durations.remove(&(group, name)) {
                self.durations.always().show(labels(), durations);
            }
        }
        for (name, series) in recorded {
            self.registry.recorded(name).replace(series);
        }
        self.series.set(Vec::new(), all.series() as f64);
        self.memory.set(Vec::new(), all.bytes() as f64);
        self.ahead.set(Vec::new(), ahead as f64);
        self.evaluated.set(Vec::new(), clock() as f64 / 1e9);
    }
}
