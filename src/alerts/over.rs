//! Over the limit: a rule has more series or alerts than there is room for. It goes on with those that it has. A built-in
//! alert says so, and goes where all alerts go.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::run::{Outcome, RunningRule};
use super::state::{Alert, Outside, States, template};
use super::window::Crowded;
use logql::label_set::LabelSet;
use logql::vectors::Sample;

/// The alert's name.
pub const ALERT: &str = "JournalShipRuleOverLimit";
/// The group that it is shown in.
pub const GROUP: &str = "journal-ship";
const LABELS: [(&str, &str); 1] = [("severity", "warning")];
const ANNOTATIONS: [(&str, &str); 2] = [
    (
        "summary",
        "The rule {{ $labels.rule }} (group {{ $labels.group }}) on {{ $externalLabels.host }} is over a limit \
         ({{ $labels.reason }}): alerts of it may be missing",
    ),
    (
        "action",
        "`journalctl -u journal-ship -g \"over its limit\"` says how much was left out. Does somebody write names without \
         number, to hide something? Else let the rule tell fewer series apart, or raise the limit (docs/rules.md).",
    ),
];

/// What a rule has too little of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Over {
    /// Room for series in its windows.
    Windows(Crowded),
    /// Room for alerts, or for series of a metric.
    Results,
    /// More alerts, or series of a metric, than the limit of its group: so many, and the limit.
    Group(usize, usize),
}

impl Over {
    /// The value of the label `reason` of the alert.
    pub fn reason(&self) -> &'static str {
        match self {
            Over::Windows(Crowded::Series(_)) => "series",
            Over::Windows(Crowded::Memory) => "memory",
            Over::Results => "memory for alerts",
            Over::Group(..) => "its group",
        }
    }
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Over::Windows(Crowded::Series(max)) => write!(f, "more than {max} series (`alerts.max_series`)"),
            Over::Windows(Crowded::Memory) => write!(f, "no room for all series (`alerts.max_memory`)"),
            Over::Results => write!(f, "no room for all alerts (`alerts.max_memory`)"),
            Over::Group(count, limit) => {
                write!(f, "{count} alerts or series, and the group's limit is {limit}: it has none now")
            }
        }
    }
}

/// The rule of the built-in alert. It has no expression: [`evaluate`] makes its series.
pub(super) fn rule(outside: &Arc<Outside>, interval: i64) -> RunningRule {
    let filled = |pairs: &[(&str, &str)]| {
        let pair = |(name, text): &(&str, &str)| Some(((*name).to_owned(), template(text).ok()?));
        pairs.iter().filter_map(pair).collect()
    };
    let alert = Alert {
        name: ALERT.to_owned(),
        hold: 0,
        keep_firing: 0,
        labels: filled(&LABELS),
        annotations: filled(&ANNOTATIONS),
        limit: 0,
    };
    RunningRule::new(GROUP, ALERT, "", interval, 0, Outcome::Alerts(States::new(alert, outside.clone())))
}

/// Evaluates the built-in alert at a time (nanoseconds since 1970), by the rules that are over their limit. Returns whether
/// there is something to tell.
pub(super) fn evaluate(own: &mut RunningRule, rules: &[RunningRule], time: i64, room: usize) -> bool {
    if own.alerts().next().is_none() && rules.iter().all(|rule| rule.over.is_none()) {
        return false;
    }
    let mut seen = BTreeSet::new();
    let over = rules.iter().filter_map(|rule| Some((rule, rule.over.as_ref()?)));
    // Rules of the same name count as one.
    let over: Vec<_> =
        over.filter(|(rule, over)| seen.insert((&rule.group, &rule.name, over.reason()))).collect();
    let sample = |(rule, over): (&RunningRule, &Over)| {
        let mut labels = LabelSet::default();
        for (name, value) in [("group", rule.group.as_str()), ("rule", &rule.name), ("reason", over.reason())]
        {
            labels.insert(name, value.as_bytes());
        }
        let value = match over {
            Over::Group(count, _) => *count as f64,
            _ => rule.refused as f64,
        };
        Sample { labels: Arc::new(labels), value }
    };
    let vector = over.into_iter().map(sample).collect();
    if let Outcome::Alerts(states) = &mut own.outcome {
        own.error = states.update(time, Ok(vector), room).err();
        own.evaluations += 1;
    }
    true
}
