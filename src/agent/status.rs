//! How destinations are, for the status page.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::families::Metrics;
use super::metrics::Totals;
use crate::observe::http::Served;
use crate::observe::metrics::Family;
use crate::observe::status::{Answer, Destination};

/// A rate is that of so long.
const WINDOW: Duration = Duration::from_secs(60);
/// It forgets in such steps.
const STEP: Duration = Duration::from_secs(5);
/// The number of steps.
const STEPS: u64 = WINDOW.as_secs() / STEP.as_secs();

/// Entries a second over the last minute.
#[derive(Debug)]
pub(super) struct Rate {
    begun: Instant,
    /// The number of a step, and what was counted in it.
    steps: [(u64, u64); STEPS as usize],
}

impl Rate {
    /// Nothing was counted yet.
    pub(super) fn new(begun: Instant) -> Rate {
        Rate { begun, steps: [(0, 0); STEPS as usize] }
    }

    fn step(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.begun).as_secs() / STEP.as_secs()
    }

    /// Counts.
    pub(super) fn add(&mut self, now: Instant, count: u64) {
        let step = self.step(now);
        let place = usize::try_from(step % STEPS).unwrap_or(0);
        if let Some((known, sum)) = self.steps.get_mut(place) {
            if *known != step {
                (*known, *sum) = (step, 0);
            }
            *sum += count;
        }
    }

    /// The count in a second.
    pub(super) fn per_second(&self, now: Instant) -> f64 {
        let step = self.step(now);
        let lately = self.steps.iter().filter(|(known, _)| step - (*known).min(step) < STEPS);
        let sum: u64 = lately.map(|(_, sum)| sum).sum();
        // Right after the start, a minute has not passed yet.
        let since = now.saturating_duration_since(self.begun).clamp(STEP, WINDOW);
        sum as f64 / since.as_secs_f64()
    }
}

/// From now on, the status page shows these destinations.
pub(super) fn show(served: &Served, metrics: Metrics, totals: Arc<Totals>) {
    served.set_destinations(move || destinations(&metrics, &totals, Instant::now(), Timestamp::now()));
}

/// The values of a metric of a destination, by the value of another label.
fn by(family: &Family, destination: &str, label: &str) -> BTreeMap<String, u64> {
    let of = |labels: &[(String, String)], name: &str| {
        labels.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    let values = family.values().into_iter().filter(|(labels, value)| {
        *value > 0.0 && of(labels, "destination").is_some_and(|name| name == destination)
    });
    values.map(|(labels, value)| (of(&labels, label).unwrap_or_default(), value as u64)).collect()
}

fn destinations(metrics: &Metrics, totals: &Totals, now: Instant, time: Timestamp) -> Vec<Destination> {
    let places = totals.places();
    let one = |(name, place): (&String, &super::metrics::Place)| {
        let sum = |family: &Family| by(family, name, "").into_values().sum::<u64>();
        Destination {
            name: name.clone(),
            lag_seconds: place.lag(time).as_secs_f64(),
            up_to: place.done.map(|done| done.to_string()),
            entries_per_second: place.rate.per_second(now),
            entries_acknowledged: sum(&metrics.acknowledged),
            bytes_sent: sum(&metrics.bytes),
            streams: sum(&metrics.streams),
            rate_bound_bytes: sum(&metrics.bound),
            requests: by(&metrics.requests, name, "status"),
            last_answer: place.answered.map(|answered| Answer {
                status: answered.status,
                seconds_ago: now.saturating_duration_since(answered.at).as_secs_f64(),
                took_seconds: answered.took.as_secs_f64(),
            }),
            dropped: by(&metrics.dropped, name, "reason"),
            refused: by(&metrics.refused, name, "reason"),
            damaged: by(&metrics.journal.damaged, name, "reason"),
            folded: sum(&metrics.folded),
            lost: sum(&metrics.journal.lost),
            files_growing: place.files.growing,
            files_finished: place.files.finished,
        }
    };
    places.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_last_minute() {
        let begun = Instant::now();
        let mut rate = Rate::new(begun);
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        assert_eq!(rate.per_second(at(0)), 0.0);
        rate.add(at(1), 100);
        assert_eq!(rate.per_second(at(1)), 20.0);
        assert_eq!(rate.per_second(at(10)), 10.0);
        rate.add(at(30), 200);
        assert_eq!(rate.per_second(at(30)), 10.0);
        // The first hundred are a minute ago.
        assert_eq!(rate.per_second(at(61)), 200.0 / 60.0);
        assert_eq!(rate.per_second(at(200)), 0.0);
        rate.add(at(200), 60);
        assert_eq!(rate.per_second(at(200)), 1.0);
    }
}
