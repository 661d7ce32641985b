//! What alerts did in a part of the past: when each fired, and for how long.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::memory::{heap, label_set, text_map};
use super::run::RunningRule;
use super::state::{Active, State};
use logql::label_set::LabelSet;

/// The most that remembered alerts may take (bytes). That is thousands. Further alerts are only counted.
const FIRED_MAX: usize = 4 << 20;

/// What an alert did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Began,
    Ended,
}

/// An alert that fired. Times in nanoseconds since 1970.
#[derive(Debug, Clone)]
pub struct Fired {
    /// The number of its rule, in the order of all rules.
    pub rule: usize,
    /// The group of its rule.
    pub group: String,
    /// Its name.
    pub name: String,
    /// All its labels.
    pub labels: Arc<LabelSet>,
    /// The annotations that would have been told first.
    pub annotations: Arc<BTreeMap<String, String>>,
    /// The value that it fired with.
    pub value: f64,
    /// When it began.
    pub from: i64,
    /// When it ended, if it did.
    pub until: Option<i64>,
}

/// The alerts that fired since a time.
#[derive(Debug, Default)]
pub struct History {
    since: i64,
    fired: Vec<Fired>,
    /// The places of the alerts that fire now, by rule and labels.
    open: HashMap<usize, HashMap<Arc<LabelSet>, usize>>,
    /// What happened since the last call: the place of an alert, and whether it began or ended.
    news: Vec<(usize, Change)>,
    left_out: u64,
    /// What the alerts take (bytes).
    bytes: usize,
}

impl History {
    /// A history of alerts that fire at this time (nanoseconds since 1970) or later.
    pub(super) fn new(since: i64) -> History {
        History { since, ..History::default() }
    }

    /// Notes an evaluation of the rule with this number.
    pub(super) fn look(&mut self, number: usize, rule: &RunningRule, time: i64) {
        if time < self.since {
            return;
        }
        let firing = |alert: &&Active| alert.state == State::Firing;
        let History { open, fired, news, bytes, left_out, .. } = self;
        let open = open.entry(number).or_default();
        for alert in rule.alerts().filter(firing) {
            if open.contains_key(&alert.labels) {
                continue;
            }
            let takes = heap(size_of::<Fired>()) + label_set(&alert.labels) + text_map(&alert.annotations);
            if *bytes + takes > FIRED_MAX {
                *left_out += 1;
                continue;
            }
            *bytes += takes;
            open.insert(alert.labels.clone(), fired.len());
            news.push((fired.len(), Change::Began));
            fired.push(Fired {
                rule: number,
                group: rule.group.clone(),
                name: rule.name.clone(),
                labels: alert.labels.clone(),
                annotations: alert.annotations.clone(),
                value: alert.value,
                from: alert.fired_at.unwrap_or(time),
                until: None,
            });
        }
        if !open.is_empty() {
            let there: HashSet<&LabelSet> =
                rule.alerts().filter(firing).map(|alert| &*alert.labels).collect();
            open.retain(|labels, place| {
                let goes_on = there.contains(&**labels);
                if let Some(fired) = fired.get_mut(*place).filter(|_| !goes_on) {
                    fired.until = Some(time);
                    news.push((*place, Change::Ended));
                }
                goes_on
            });
        }
    }

    /// The alerts that fired, in the order in which they began.
    pub fn fired(&self) -> &[Fired] {
        &self.fired
    }

    /// Evaluations at which an alert fired that is not remembered (count).
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// What began or ended since the last call, in this order. An alert that did both is there twice; in the first place it
    /// has not ended yet.
    pub fn news(&mut self) -> Vec<Fired> {
        let news = std::mem::take(&mut self.news);
        let shown = |(place, change): (usize, Change)| {
            let mut fired = self.fired.get(place).cloned()?;
            if change == Change::Began {
                fired.until = None;
            }
            Some(fired)
        };
        news.into_iter().filter_map(shown).collect()
    }
}
