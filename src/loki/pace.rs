//! The pace: how fast Loki takes entries. It is found with few refused requests.
//!
//! There is no bound until Loki answers 429. Then the rate is a little below the limit that the answer names, or what went
//! through lately. Each further refusal lowers the rate by a tenth. While nothing is refused, the rate grows; near a rate that
//! was refused before, it grows slowly. So a backlog is sent near the limit with few refused requests, even if many hosts
//! share one limit. If nothing was refused for a long time, the bound is dropped, because limits are raised and other hosts
//! stop.
//!
//! All functions take the time as an argument, so that tests can go through hours in a moment.

use std::time::{Duration, Instant};

/// The share of a named limit that is used: the last hundredths cost more in refusals than they bring.
const TARGET: f64 = 0.98;
/// The share of a rate that is left after a refusal.
const DECREASE: f64 = 0.9;
/// The least share of a rate that is left after a refusal, whatever went through since the last one.
const DECREASE_MAX: f64 = 0.5;
/// The growth of a rate with each request that is taken: well below the rate that was refused last, and near it. With these,
/// about one in forty requests meets the limit.
const GROWTH: f64 = 0.01;
const GROWTH_NEAR: f64 = 0.001;
/// Above this share of the rate that was refused last, a rate is near it.
const NEAR: f64 = 0.97;
/// After this time without a refusal, the bound is dropped.
const FORGET: Duration = Duration::from_secs(600);
/// The lowest rate (bytes a second) unless a lower limit is named: below it, pauses double instead.
const RATE_MIN: f64 = 65_536.0;
/// A pause between requests that was not caused by the rate counts for at most this long. If it is longer, there was nothing
/// to send.
const IDLE: Duration = Duration::from_millis(100);

/// The pace of one tenant.
#[derive(Debug)]
pub(super) struct Pace {
    bound: Option<Bound>,
    /// What was taken since the last refusal (bytes), and the time it took, without idle times (seconds).
    taken: f64,
    busy: f64,
    /// When the last request was sent or answered.
    last: Instant,
    /// Whether the next request waits because of the rate.
    waiting: bool,
}

/// A rate that must not be exceeded.
#[derive(Debug)]
struct Bound {
    /// The rate (bytes a second).
    rate: f64,
    /// The limit that Loki named (bytes a second).
    named: Option<f64>,
    /// The rate that was refused last (bytes a second).
    refused: f64,
    refused_at: Instant,
    /// What may be sent now (bytes). Below zero, the next request waits.
    room: f64,
    /// When `room` and `rate` were computed last.
    at: Instant,
}

impl Bound {
    fn refill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        // Nothing is saved up: Loki has a bucket of its own, and ours must not be larger.
        self.room = (self.room + seconds * self.rate).min(0.0);
    }

    fn grow(&mut self) {
        let growth = if self.rate < self.refused * NEAR { GROWTH } else { GROWTH_NEAR };
        self.rate *= 1.0 + growth;
        if let Some(named) = self.named {
            self.rate = self.rate.min(named * TARGET);
        }
    }
}

impl Pace {
    pub(super) fn new(now: Instant) -> Pace {
        Pace { bound: None, taken: 0.0, busy: 0.0, last: now, waiting: false }
    }

    /// How long to wait before the next request.
    pub(super) fn wait(&mut self, now: Instant) -> Duration {
        if self.bound.as_ref().is_some_and(|b| now.saturating_duration_since(b.refused_at) > FORGET) {
            self.bound = None;
        }
        let Some(bound) = &mut self.bound else { return Duration::ZERO };
        bound.refill(now);
        let wait = Duration::try_from_secs_f64(-bound.room / bound.rate).unwrap_or_default();
        self.waiting |= !wait.is_zero();
        wait
    }

    /// Notes that a request of so many bytes is on its way.
    pub(super) fn sent(&mut self, bytes: usize, now: Instant) {
        let gap = now.saturating_duration_since(self.last);
        self.busy += if std::mem::take(&mut self.waiting) { gap } else { gap.min(IDLE) }.as_secs_f64();
        self.last = now;
        if let Some(bound) = &mut self.bound {
            bound.refill(now);
            bound.room -= bytes as f64;
        }
    }

    /// Notes that the last request, of so many bytes, was taken.
    pub(super) fn taken(&mut self, bytes: usize, now: Instant) {
        self.answered(now);
        self.taken += bytes as f64;
        if let Some(bound) = &mut self.bound {
            bound.grow();
        }
    }

    fn answered(&mut self, now: Instant) {
        self.busy += now.saturating_duration_since(self.last).as_secs_f64();
        self.last = now;
    }

    /// Notes that the last request, of so many bytes, was refused, perhaps with the limit (bytes a second).
    pub(super) fn refused(&mut self, bytes: usize, limit: Option<u64>, now: Instant) {
        let named = limit.map(|limit| limit as f64);
        self.answered(now);
        let measured = (self.taken > 0.0).then(|| self.taken / self.busy.max(0.001));
        (self.taken, self.busy) = (0.0, 0.0);
        let (rate, refused) = match (&self.bound, named, measured) {
            // What went through before may have been a saved burst. The named limit counts more.
            (None, Some(named), _) => (named * TARGET, named),
            (None, None, Some(measured)) => (measured, measured),
            // Nothing shows what Loki would take. Others may use up all of it.
            (None, None, None) => return,
            (Some(bound), ..) => {
                // What went through counts, but one slow answer must not count much. If nothing went through, that counts
                // most.
                let lowest = bound.rate * DECREASE_MAX;
                ((bound.rate * DECREASE).min(measured.unwrap_or(0.0).max(lowest)), bound.rate)
            }
        };
        let rate = rate.max(RATE_MIN).min(named.map_or(f64::MAX, |named| named * TARGET));
        // An empty bucket needs this time.
        self.bound = Some(Bound { rate, named, refused, refused_at: now, room: -(bytes as f64), at: now });
    }

    /// The rate that must not be exceeded (bytes a second).
    pub(super) fn rate(&self) -> Option<f64> {
        self.bound.as_ref().map(|bound| bound.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Loki's bucket, as Go's `rate.Limiter`.
    struct Bucket {
        rate: f64,
        burst: f64,
        tokens: f64,
        at: Instant,
    }

    impl Bucket {
        fn take(&mut self, bytes: usize, now: Instant) -> bool {
            let seconds = (now - self.at).as_secs_f64();
            self.tokens = (self.tokens + seconds * self.rate).min(self.burst);
            self.at = now;
            let enough = self.tokens >= bytes as f64;
            if enough {
                self.tokens -= bytes as f64;
            }
            enough
        }
    }

    /// Senders with a backlog without end and one bucket: the share of its rate that they use, and of requests that
    /// are refused.
    fn simulate(senders: usize, named: bool, bucket: (f64, f64), minutes: u64) -> (f64, f64) {
        const TRIP: Duration = Duration::from_millis(15);
        let start = Instant::now();
        let mut bucket = Bucket { rate: bucket.0, burst: bucket.1, tokens: bucket.1, at: start };
        let mut paces: Vec<(Pace, Instant)> = (0..senders).map(|_| (Pace::new(start), start)).collect();
        let (mut requests, mut refused, mut bytes, mut seed) = (0u32, 0u32, 0f64, 1u64);
        let end = start + Duration::from_secs(minutes * 60);
        loop {
            let (pace, next) = paces.iter_mut().min_by_key(|(_, next)| *next).unwrap();
            if *next > end {
                break;
            }
            let now = *next;
            let wait = pace.wait(now);
            if wait > Duration::ZERO {
                *next = now + wait;
                continue;
            }
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let size = 600_000 + usize::try_from(seed >> 45).unwrap();
            requests += 1;
            pace.sent(size, now);
            if bucket.take(size, now) {
                bytes += size as f64;
                pace.taken(size, now + TRIP);
            } else {
                refused += 1;
                pace.refused(size, named.then_some(bucket.rate as u64), now + TRIP);
            }
            *next = now + TRIP;
        }
        let most = bucket.burst + bucket.rate * (end - start).as_secs_f64();
        (bytes / most, f64::from(refused) / f64::from(requests))
    }

    #[test]
    fn a_backlog_goes_near_the_limit_with_few_refusals() {
        const MIB: f64 = 1_048_576.0;
        for (senders, named, bucket) in [
            (1, true, (4.0 * MIB, 6.0 * MIB)),
            (1, false, (4.0 * MIB, 6.0 * MIB)),
            (1, true, (1.0 * MIB, 2.0 * MIB)),
            (1, false, (1.0 * MIB, 2.0 * MIB)),
            (1, false, (32.0 * MIB, 40.0 * MIB)),
            (3, true, (4.0 * MIB, 6.0 * MIB)),
            (3, false, (4.0 * MIB, 6.0 * MIB)),
            (10, true, (16.0 * MIB, 24.0 * MIB)),
        ] {
            for minutes in [5, 120] {
                let (share, refused) = simulate(senders, named, bucket, minutes);
                let what = format!(
                    "{senders} senders, named {named}, {bucket:?}, {minutes} min: {share:.3} {refused:.3}"
                );
                assert!(share > 0.9 && refused < 0.05, "{what}");
            }
        }
    }

    #[test]
    fn a_bound_is_forgotten() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert_eq!(pace.wait(start), Duration::ZERO);
        pace.refused(1000, Some(2000), start);
        let wait = pace.wait(start).as_secs_f64();
        assert!((0.5..0.52).contains(&wait), "{wait}");
        assert!(pace.rate().is_some());
        assert_eq!(pace.wait(start + FORGET + Duration::from_secs(1)), Duration::ZERO);
        assert!(pace.rate().is_none());
    }

    #[test]
    fn idle_times_do_not_count() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..100 {
            now += Duration::from_secs(60);
            pace.sent(10_000, now);
            now += Duration::from_millis(10);
            pace.taken(10_000, now);
        }
        pace.sent(10_000, now);
        pace.refused(10_000, None, now);
        // A request of 10 kB each 110 ms, and not each minute.
        assert!(pace.rate() > Some(90_000.0), "{:?}", pace.rate());
    }

    #[test]
    fn a_server_that_refuses_all_is_asked_ever_less() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.refused(1 << 20, None, start);
        assert_eq!(pace.wait(start), Duration::ZERO, "nothing is known yet");
        pace.taken(4 << 20, start + Duration::from_secs(1));
        let (mut now, mut last) = (start, Duration::ZERO);
        for _ in 0..50 {
            pace.refused(1 << 20, None, now);
            let wait = pace.wait(now);
            assert!(wait >= last && wait <= Duration::from_secs(17), "{wait:?} after {last:?}");
            (now, last) = (now + wait, wait);
        }
    }
}
