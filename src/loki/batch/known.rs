//! What is known of each stream that Loki has, so that no acknowledgement hides a refusal.
//!
//! Loki's ingester takes the streams of a request in the order of the body and answers for the last one alone: if
//! that is taken the answer is 204, whatever became of the others (grafana/loki, `pkg/ingester/instance.go`, `Push`).
//! So an answer vouches for one stream. Streams for which an answer has vouched lately share requests; any other goes
//! in requests of its own, and so does one with an entry that Loki may find too far behind.
//!
//! Nothing of it is kept on disk: after a start each stream goes alone once.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::shape::limits::{BEHIND_MAX, STREAM_BURST, STREAM_RATE};

/// So long after an answer vouched for a stream, Loki has it. Loki forgets a stream that is idle for half an hour
/// ([`IDLE_MAX`](crate::shape::limits::IDLE_MAX)), and a request may wait for [`STALE_AFTER`].
const VOUCHED_FOR: Duration = Duration::from_secs(20 * 60);
/// So long after it was laid out, a request of several streams must be looked at again before it is sent.
pub(crate) const STALE_AFTER: Duration = Duration::from_secs(10 * 60);
/// Bounds of what may be learned of [`BEHIND_MAX`] (nanoseconds): a minute and a week.
const WINDOWS: (u64, u64) = (60_000_000_000, 7 * 24 * 3_600_000_000_000);
/// Answers tell times in whole seconds (nanoseconds).
const SECOND: u64 = 1_000_000_000;
/// The bound of a stream when nothing is known of it.
pub(super) const UNKNOWN: u64 = u64::MAX;
/// The least number of streams that are remembered (count).
const STREAMS_MIN: usize = 1024;

/// The streams of one tenant. The batch asks it when it is laid out; the pusher tells it what was answered.
#[derive(Debug)]
pub struct Known(Mutex<Streams>);

/// See [`Known`].
#[derive(Debug)]
pub(super) struct Streams {
    by_id: HashMap<u32, Stream, foldhash::fast::RandomState>,
    max: usize,
    /// Times of streams count from here.
    start: Instant,
    window: u64,
    /// Counts the portions that were laid out.
    stamp: u64,
}

#[derive(Debug)]
struct Stream {
    /// No entry that Loki had before ours is newer (nanoseconds since 1970).
    before: u64,
    /// The newest entry that was laid out (nanoseconds since 1970).
    newest: u64,
    /// The last portion that was laid out.
    stamp: u64,
    /// When an answer vouched for it last.
    vouched: Option<NonZeroU32>,
    /// When its rate limit will let a whole burst through if nothing more is sent, as far as we know (microseconds).
    /// At first it lets nothing through: what was sent before the start is not known.
    rested: u64,
}

impl Stream {
    /// No entry of it in Loki will be newer once all that was laid out is there.
    fn bound(&self) -> u64 {
        self.before.max(self.newest)
    }

    fn vouch(&mut self, now: Duration) {
        self.vouched = NonZeroU32::new(u32::try_from(now.as_secs()).unwrap_or(u32::MAX).max(1));
    }

    fn is_sure(&self, now: Duration) -> bool {
        self.vouched.is_some_and(|at| now.as_secs() < u64::from(at.get()) + VOUCHED_FOR.as_secs())
    }
}

/// The last stream of a request: the one for which its answer vouches.
#[derive(Debug, Clone)]
pub(super) struct Last {
    pub id: u32,
    pub stamp: u64,
    /// Times of its oldest and newest entry in the request (nanoseconds since 1970).
    pub oldest: u64,
    pub newest: u64,
}

/// What a pusher gives back for the answer to a request.
#[derive(Debug, Clone)]
pub struct Receipt {
    pub(super) known: Arc<Known>,
    pub(super) last: Last,
}

impl Receipt {
    /// Loki has taken the request: it has the last stream.
    pub fn stored(&self) {
        self.known.lock().stored(&self.last, Instant::now());
    }

    /// Loki has refused entries of the last stream that are older than this (nanoseconds since 1970, in whole seconds).
    pub fn too_far_behind(&self, acceptable: u64) {
        self.known.lock().behind(&self.last, acceptable, Instant::now());
    }
}

impl Known {
    /// Nothing yet, of a tenant with at most `max` active streams here.
    pub(super) fn new(max: usize) -> Known {
        Known(Mutex::new(Streams {
            by_id: HashMap::default(),
            max: max.saturating_mul(2).max(STREAMS_MIN),
            start: Instant::now(),
            window: BEHIND_MAX,
            stamp: 0,
        }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Streams> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Streams {
    fn since_start(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.start)
    }

    /// How far behind its stream's newest an entry may be (nanoseconds).
    pub(super) fn window(&self) -> u64 {
        self.window
    }

    /// Whether Loki has a stream, and the time which no entry of it in Loki passes, or [`UNKNOWN`].
    pub(super) fn standing(&self, id: u32, now: Instant) -> (bool, u64) {
        let now = self.since_start(now);
        self.by_id.get(&id).map_or((false, UNKNOWN), |stream| (stream.is_sure(now), stream.bound()))
    }

    /// A portion of a stream with this newest entry and so many bytes is laid out. Returns its number, and how long the
    /// stream must rest until its rate limit lets a whole burst through (microseconds).
    pub(super) fn book(&mut self, id: u32, newest: u64, bytes: usize, now: Instant) -> (u64, u64) {
        const MICROS: u64 = 1_000_000;
        let now = self.since_start(now);
        if self.by_id.len() >= self.max && !self.by_id.contains_key(&id) {
            self.by_id.retain(|_, stream| stream.is_sure(now));
            if self.by_id.len() >= self.max {
                self.by_id.clear();
            }
        }
        self.stamp += 1;
        let micros = u64::try_from(now.as_micros()).unwrap_or(u64::MAX / 2);
        let stream = self.by_id.entry(id).or_insert(Stream {
            before: UNKNOWN,
            newest: 0,
            stamp: 0,
            vouched: None,
            rested: micros + STREAM_BURST * MICROS / STREAM_RATE,
        });
        stream.rested = stream.rested.max(micros) + bytes as u64 * MICROS / STREAM_RATE;
        stream.newest = stream.newest.max(newest);
        stream.stamp = self.stamp;
        (self.stamp, stream.rested - micros)
    }

    fn stored(&mut self, last: &Last, now: Instant) {
        let window = self.window;
        let now = self.since_start(now);
        let Some(stream) = self.by_id.get_mut(&last.id) else { return };
        stream.vouch(now);
        // Its oldest entry was within the window.
        let most = last.oldest.saturating_add(window);
        if stream.stamp == last.stamp {
            stream.before = stream.bound().min(most);
            stream.newest = last.newest;
        } else if stream.before == UNKNOWN {
            stream.before = most;
        }
    }

    fn behind(&mut self, last: &Last, acceptable: u64, now: Instant) {
        let now = self.since_start(now);
        let Some(stream) = self.by_id.get_mut(&last.id) else { return };
        stream.vouch(now);
        if stream.stamp != last.stamp {
            return;
        }
        if stream.before <= stream.newest {
            // The newest in Loki is ours, so the distance is the window.
            let window = stream.newest.saturating_sub(acceptable + SECOND).clamp(WINDOWS.0, WINDOWS.1);
            if window.abs_diff(self.window) > 2 * SECOND {
                self.window = window;
            }
        } else {
            stream.before = acceptable.saturating_add(self.window + SECOND);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = BEHIND_MAX;
    const NOON: u64 = 1_764_000_000 * SECOND;

    fn last(stamp: u64, oldest: u64, newest: u64) -> Last {
        Last { id: 1, stamp, oldest, newest }
    }

    #[test]
    fn loki_has_a_stream_for_a_while_after_an_answer_vouched_for_it() {
        let (start, known) = (Instant::now(), Known::new(0));
        let mut streams = known.lock();
        assert_eq!(streams.standing(1, start), (false, UNKNOWN));
        let (stamp, _) = streams.book(1, NOON, 10, start);
        assert_eq!(streams.standing(1, start), (false, UNKNOWN));
        let answered = start + Duration::from_secs(100);
        streams.stored(&last(stamp, NOON, NOON), answered);
        assert_eq!(streams.standing(1, answered), (true, NOON + HOUR));
        assert!(streams.standing(1, answered + Duration::from_secs(19 * 60)).0);
        assert!(streams.standing(1, answered + VOUCHED_FOR - Duration::from_secs(2)).0);
        assert!(!streams.standing(1, answered + VOUCHED_FOR + Duration::from_secs(2)).0);
        assert!(VOUCHED_FOR + STALE_AFTER <= Duration::from_secs(30 * 60));
    }

    #[test]
    fn the_bound_is_what_loki_can_have() {
        let (now, known) = (Instant::now(), Known::new(0));
        let mut streams = known.lock();
        let mut send = |oldest: u64, newest: u64, taken: bool| {
            let (stamp, _) = streams.book(1, newest, 10, now);
            if taken {
                streams.stored(&last(stamp, oldest, newest), now);
            }
            streams.standing(1, now).1
        };
        // Whatever came before the start was at most an hour newer.
        assert_eq!(send(NOON, NOON + 1, true), NOON + HOUR);
        assert_eq!(send(NOON + 1, NOON + 2, true), NOON + HOUR);
        // Then our own are the newest.
        assert_eq!(send(NOON + 2 * HOUR, NOON + 2 * HOUR + 5, true), NOON + 2 * HOUR + 5);
        // A clock that was a day ahead, refused; and what is taken afterwards shows that it was.
        assert_eq!(send(NOON + 24 * HOUR, NOON + 24 * HOUR, false), NOON + 24 * HOUR);
        assert_eq!(send(NOON + 2 * HOUR, NOON + 2 * HOUR + 6, true), NOON + 3 * HOUR);
    }

    #[test]
    fn an_answer_to_an_earlier_portion_leaves_the_later_one_alone() {
        let (now, known) = (Instant::now(), Known::new(0));
        let mut streams = known.lock();
        let [first, second, third] = [NOON, NOON + 5 * HOUR, NOON + 5 * HOUR + 1]
            .map(|time| last(streams.book(1, time, 10, now).0, time, time));
        streams.stored(&first, now);
        assert_eq!(streams.standing(1, now), (true, NOON + 5 * HOUR + 1));
        // What was known already is not forgotten for what was further off.
        streams.stored(&second, now);
        assert_eq!(streams.standing(1, now), (true, NOON + 5 * HOUR + 1));
        streams.behind(&second, NOON + 9 * HOUR, now);
        assert_eq!((streams.standing(1, now).1, streams.window()), (NOON + 5 * HOUR + 1, HOUR));
        streams.stored(&third, now);
        assert_eq!(streams.standing(1, now), (true, NOON + 5 * HOUR + 1));
    }

    #[test]
    fn a_receipt_tells_what_was_answered() {
        let known = Arc::new(Known::new(0));
        let receipt = |id| {
            let (stamp, _) = known.lock().book(id, NOON, 10, Instant::now());
            Receipt { known: known.clone(), last: Last { id, ..last(stamp, NOON, NOON) } }
        };
        receipt(1).stored();
        receipt(2).too_far_behind(NOON + HOUR);
        receipt(3);
        let standing = [1, 2, 3].map(|id| known.lock().standing(id, Instant::now()));
        assert_eq!(standing, [(true, NOON + HOUR), (true, NOON + 2 * HOUR + SECOND), (false, UNKNOWN)]);
    }

    #[test]
    fn a_stream_rests_until_its_rate_limit_lets_a_burst_through() {
        const SECONDS: u64 = 1_000_000;
        let (start, known) = (Instant::now(), Known::new(0));
        let mut streams = known.lock();
        let (rate, burst) = (STREAM_RATE as usize, STREAM_BURST / STREAM_RATE);
        for (after, bytes, rest) in [
            // What was sent before the start is not known.
            (10, 0, burst * SECONDS),
            (10, 2 * rate, (burst + 2) * SECONDS),
            (11, 0, (burst + 1) * SECONDS),
            (100, 0, 0),
            (100, rate / 2, SECONDS / 2),
        ] {
            let (_, rests) = streams.book(1, NOON, bytes, start + Duration::from_secs(after));
            assert_eq!(rests, rest, "{bytes} bytes after {after} s");
        }
    }

    #[test]
    fn the_window_is_learned() {
        let (now, known) = (Instant::now(), Known::new(0));
        let mut streams = known.lock();
        let mut send = |time: u64| {
            let (stamp, _) = streams.book(1, time, 10, now);
            streams.stored(&last(stamp, time, time), now);
            stamp
        };
        send(NOON);
        send(NOON + 2 * HOUR);
        let (stamp, _) = streams.book(1, NOON + HOUR, 10, now);
        let of_one = last(stamp, NOON, NOON);
        streams.behind(&of_one, NOON + HOUR, now);
        assert_eq!(streams.window(), HOUR, "it is as we thought");
        streams.behind(&of_one, NOON + 3 * HOUR / 2, now);
        assert_eq!(streams.window(), HOUR / 2 - SECOND);
        // Of a stream that was there before the start, the answer tells the newest.
        let (stamp, _) = streams.book(2, NOON, 10, now);
        streams.behind(&Last { id: 2, ..last(stamp, NOON, NOON) }, NOON + HOUR, now);
        assert_eq!(streams.standing(2, now), (true, NOON + 3 * HOUR / 2));
        // Two seconds more or less are no news, and neither is it when an answer says something absurd.
        let newest = NOON + 2 * HOUR;
        for (behind, window) in [
            (HOUR, HOUR),
            (HOUR + 2 * SECOND, HOUR),
            (HOUR - 2 * SECOND, HOUR),
            (HOUR + 3 * SECOND, HOUR + 3 * SECOND),
            (1, 60 * SECOND),
            (100 * 24 * HOUR, 7 * 24 * HOUR),
        ] {
            streams.behind(&of_one, newest - behind - SECOND, now);
            assert_eq!(streams.window(), window, "{behind}");
        }
    }

    #[test]
    fn any_number_of_streams_takes_bounded_memory() {
        let (now, known) = (Instant::now(), Known::new(10));
        let mut streams = known.lock();
        for id in 0..10 * STREAMS_MIN as u32 {
            streams.book(id, NOON, 10, now);
            assert!(streams.by_id.len() <= STREAMS_MIN);
        }
        // Those that Loki has are forgotten last, but even they are.
        let mut book = |id: u32, stored: bool| {
            let (stamp, _) = streams.book(id, NOON, 10, now);
            if stored {
                streams.stored(&Last { id, ..last(stamp, NOON, NOON) }, now);
            }
            (streams.standing(0, now).0, streams.by_id.len())
        };
        for id in 0..3 * STREAMS_MIN as u32 {
            assert!(book(id, id < 10).0, "{id}");
        }
        for id in 0..3 * STREAMS_MIN as u32 {
            assert!(book(id, true).1 <= STREAMS_MIN, "{id}");
        }
    }
}
