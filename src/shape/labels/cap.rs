//! Streams: which label sets are streams of this process, and how many of them may be active.
//!
//! Loki keeps memory for every active stream, and refuses new ones past its limit. A label that takes many
//! values (a process id, a client's address) would fill it within minutes and shut out the streams of all
//! others. So there are at most `labels.max_streams` active ones here; the entries of further label sets are
//! folded into one overflow stream, and the labels that it does not carry become their structured metadata. Nor can one
//! sender take all places for its own streams ([`super::share`]).
//!
//! A stream is active while the time of its last entry is within [`IDLE`] of the entry at hand: event
//! time, so that catching up and following are one. An idle stream gives its place away when it is needed.

use std::collections::HashMap;
use std::sync::Arc;

use super::limits::{Changes, Fitted, Limits, Moved, metadata_name};
use super::share::{Owner, Shares};
use crate::shape::limits::{IDLE_MAX, SERVICE_NAME};
use logql::label_set::{LabelSet, parse};

/// After so long without an entry a stream is idle (nanoseconds): twice the time after which Loki closes its chunk, and then
/// forgets the stream.
const IDLE: u64 = 2 * IDLE_MAX.as_nanos() as u64;
/// Idle streams are looked for at most once in so long (nanoseconds): an idle stream may keep its place for
/// that much longer, and a full table costs next to nothing.
const SWEEP_EVERY: u64 = 60_000_000_000;
/// Overflow streams (count). One is usual; a host or job that takes many values makes more, and past
/// this number these labels are folded too.
const OVERFLOW_MAX: usize = 48;
/// Of the active streams, so many are kept for overflow streams (count), one of each retention class among them; but
/// not more than an eighth. Loki counts them too, and when it takes no further stream, this is where entries go.
const RESERVED: usize = 64;
/// Labels that an overflow stream keeps, beside that of the retention class.
const OVERFLOW_KEEPS: [&str; 2] = ["host", "job"];
/// The label that says that a stream is an overflow stream.
const OVERFLOW: &str = "overflow";
/// The label that says what a stream is of, and its value in overflow streams: without one Loki would invent it.
const SERVICE: (&str, &str) = (SERVICE_NAME, "overflow");
/// What label sets that are remembered may take together for each active stream that there may be (bytes). One of
/// five labels has about that: if fewer were remembered than are active, they would be forgotten and made in turns.
const REMEMBERED_BYTES: usize = 450;
/// The least of that (bytes).
const REMEMBERED_BYTES_MIN: usize = 1 << 20;
/// What a label set that is remembered takes besides itself (bytes), near enough: its place in the tables.
const KNOWN_BYTES: usize = 100;
/// The place of a label set that has no stream of its own.
const NOWHERE: u32 = u32::MAX;

/// A stream: its number for this process, and its label set as Loki takes it.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Unique as long as the process runs; never given to another label set.
    pub id: u32,
    /// `{a="b", c="d"}`
    pub labels: Arc<str>,
}

/// Where an entry goes.
#[derive(Debug)]
pub struct Resolved<'a> {
    /// Its stream.
    pub stream: &'a Stream,
    /// Labels that the stream does not carry: they belong into the entry's structured metadata.
    pub moved: &'a [(String, String)],
    /// What was done to its labels.
    pub changes: &'a Changes,
}

/// A label set that is remembered, so that its work is done once.
struct Known {
    set: Arc<LabelSet>,
    /// The label set made fit, as text.
    labels: Arc<str>,
    /// What made it fit; most label sets fit as they are.
    altered: Option<Box<Altered>>,
    /// Index of its stream in `active`.
    place: u32,
    /// Where its entries go when it gets no place.
    folded: Option<Box<Folded>>,
}

struct Altered {
    moved: Moved,
    changes: Changes,
}

static UNALTERED: Altered = Altered {
    moved: Moved::new(),
    changes: Changes { sanitized: 0, cut: 0, over_limit: 0, without_label: 0, folded: 0 },
};

impl Altered {
    /// What it takes in memory (bytes), near enough.
    fn memory(&self) -> usize {
        const ALLOCATIONS: usize = 2 * 16;
        let pair = |(name, value): &(String, String)| {
            name.len() + value.len() + size_of::<(String, String)>() + ALLOCATIONS
        };
        size_of::<Altered>() + self.moved.iter().map(pair).sum::<usize>()
    }
}

struct Folded {
    stream: Stream,
    altered: Altered,
}

struct Active {
    stream: Stream,
    /// Time of its last entry (nanoseconds since 1970).
    last: i64,
    /// Whose entry was its first.
    owner: Owner,
}

/// All streams of one destination.
pub struct Streams {
    limits: Limits,
    retention: Option<String>,
    /// How many may be active, overflow streams among them.
    max: usize,
    known: Vec<Known>,
    /// Label set -> index into `known`. Senders choose the text, so this hash is keyed, as are all here.
    by_set: HashMap<Arc<LabelSet>, u32>,
    known_bytes: usize,
    /// Changes when indices into `known` begin again at 0.
    epoch: u32,
    active: Vec<Active>,
    /// Label set as text -> index into `active`.
    by_labels: HashMap<Arc<str>, u32>,
    shares: Shares,
    overflow: HashMap<Arc<str>, Stream>,
    next_id: u32,
    swept: Option<i64>,
    told: bool,
    totals: Changes,
}

impl Streams {
    /// None yet, and never more than `max` active ones. `retention` is the label of the retention class.
    pub(super) fn new(limits: Limits, max: usize, retention: Option<&str>) -> Streams {
        Streams {
            limits,
            retention: retention.map(str::to_owned),
            max: max.clamp(1, NOWHERE as usize),
            known: Vec::new(),
            by_set: HashMap::new(),
            known_bytes: 0,
            epoch: 0,
            active: Vec::new(),
            by_labels: HashMap::new(),
            shares: Shares::default(),
            overflow: HashMap::new(),
            next_id: 0,
            swept: None,
            told: false,
            totals: Changes::default(),
        }
    }

    /// The stream of an entry with these labels at this time (nanoseconds since 1970), written by nobody in particular.
    pub fn resolve(&mut self, set: &Arc<LabelSet>, time: i64) -> Resolved<'_> {
        self.resolve_for(set, time, Owner::default())
    }

    /// As [`Streams::resolve`]; a place for a new stream comes from the share of `owner`.
    pub fn resolve_for(&mut self, set: &Arc<LabelSet>, time: i64, owner: Owner) -> Resolved<'_> {
        let index = self.intern(set);
        self.at(index, time, || owner)
    }

    /// The one copy of a label set that is remembered of all equal ones.
    pub fn canonical(&mut self, set: &Arc<LabelSet>) -> Arc<LabelSet> {
        let index = self.intern(set);
        self.set(index).clone()
    }

    /// What was done to the labels of all entries so far.
    pub fn totals(&self) -> &Changes {
        &self.totals
    }

    /// How many streams there are, idle ones included as long as nobody needs their place.
    pub fn active(&self) -> usize {
        self.active.len()
    }

    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(super) fn set(&self, index: u32) -> &Arc<LabelSet> {
        &self.known[index as usize].set
    }

    /// The number of a label set, valid for this [`Streams::epoch`].
    pub(super) fn intern(&mut self, set: &Arc<LabelSet>) -> u32 {
        if let Some(index) = self.by_set.get(&**set) {
            return *index;
        }
        if self.known_bytes >= REMEMBERED_BYTES_MIN.max(self.max.saturating_mul(REMEMBERED_BYTES)) {
            self.known.clear();
            self.by_set.clear();
            self.known_bytes = 0;
            self.epoch = self.epoch.wrapping_add(1);
        }
        let Fitted { set: fitted, moved, changes } = self.limits.fit(set);
        let labels: Arc<str> = fitted.to_string().into();
        let altered = (changes != Changes::default()).then(|| Box::new(Altered { moved, changes }));
        self.known_bytes += KNOWN_BYTES + set.memory() + labels.len();
        self.known_bytes += altered.as_deref().map_or(0, Altered::memory);
        let index = self.known.len() as u32;
        self.known.push(Known { set: set.clone(), labels, altered, place: NOWHERE, folded: None });
        self.by_set.insert(set.clone(), index);
        index
    }

    /// The stream of an entry whose label set has this number. Whose entry it is is asked only for a new stream.
    #[inline]
    pub(super) fn at(&mut self, index: u32, time: i64, owner: impl FnOnce() -> Owner) -> Resolved<'_> {
        // Numbers are forgotten with their label sets, and places with their streams.
        let known = &self.known[index as usize];
        let Some(active) = self.active.get_mut(known.place as usize) else {
            return self.at_new_place(index, time, owner());
        };
        active.last = time;
        self.resolved(index)
    }

    #[inline]
    fn resolved(&mut self, index: u32) -> Resolved<'_> {
        let known = &self.known[index as usize];
        let altered = match &known.altered {
            None => &UNALTERED,
            Some(altered) => {
                self.totals += altered.changes;
                altered
            }
        };
        let stream = &self.active[known.place as usize].stream;
        Resolved { stream, moved: &altered.moved, changes: &altered.changes }
    }

    #[cold]
    fn at_new_place(&mut self, index: u32, time: i64, owner: Owner) -> Resolved<'_> {
        let labels = &self.known[index as usize].labels;
        let place = match self.by_labels.get(labels) {
            Some(place) => *place,
            None => {
                let labels = labels.clone();
                // A sweep may free places.
                let room = self.may_take(owner) || (self.sweep(time) && self.may_take(owner));
                if !room {
                    return self.fold(index, owner);
                }
                let place = self.active.len() as u32;
                let stream = self.new_stream(&labels);
                self.active.push(Active { stream, last: time, owner });
                self.shares.take(owner);
                self.by_labels.insert(labels, place);
                place
            }
        };
        self.active[place as usize].last = time;
        self.known[index as usize].place = place;
        self.resolved(index)
    }

    /// How many streams may be active, overflow streams not counted.
    fn places(&self) -> usize {
        self.max - RESERVED.min(self.max / 8)
    }

    /// Whether there is a place for one more stream of an owner.
    fn may_take(&self, owner: Owner) -> bool {
        self.shares.may_take(owner, self.places().saturating_sub(self.active.len()))
    }

    fn new_stream(&mut self, labels: &Arc<str>) -> Stream {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        Stream { id, labels: labels.clone() }
    }

    /// Forgets idle streams; false if no stream is idle. Times are compared in both directions, for a clock
    /// that was wrong may have given streams a last entry that lies far ahead.
    fn sweep(&mut self, now: i64) -> bool {
        if self.swept.is_some_and(|swept| swept.abs_diff(now) < SWEEP_EVERY) {
            return false;
        }
        self.swept = Some(now);
        let before = self.active.len();
        self.active.retain(|active| active.last.abs_diff(now) <= IDLE);
        if self.active.len() == before {
            return false;
        }
        self.by_labels.clear();
        self.shares.clear();
        for (place, active) in self.active.iter().enumerate() {
            self.by_labels.insert(active.stream.labels.clone(), place as u32);
            self.shares.take(active.owner);
        }
        for known in &mut self.known {
            known.place = NOWHERE;
        }
        true
    }

    /// Sends an entry to an overflow stream.
    fn fold(&mut self, index: u32, owner: Owner) -> Resolved<'_> {
        if !self.told {
            self.told = true;
            log::warn!(
                "there are {} active streams of {} (labels.max_streams), {} of them by one unit and user, who gets no \
                 more: entries of further ones now go to a stream with {OVERFLOW}=\"true\", their labels to structured \
                 metadata; `journal-ship --dry-run --summary` shows which label takes so many values",
                self.active.len(),
                self.max,
                self.shares.held(owner),
            );
        }
        let folded = match self.known[index as usize].folded.take() {
            Some(folded) => folded,
            None => {
                let folded = self.folded(index);
                self.known_bytes += size_of::<Stream>() + folded.altered.memory();
                Box::new(folded)
            }
        };
        self.totals += folded.altered.changes;
        let Folded { stream, altered } = &**self.known[index as usize].folded.insert(folded);
        Resolved { stream, moved: &altered.moved, changes: &altered.changes }
    }

    /// The overflow stream for a label set.
    fn folded(&mut self, index: u32) -> Folded {
        let known = &self.known[index as usize];
        let all = self.limits.fit(&known.set).set.into_owned();
        let Altered { moved, changes } = known.altered.as_deref().unwrap_or(&UNALTERED);
        let (mut moved, changes) = (moved.clone(), Changes { folded: 1, ..*changes });
        let retention = self.retention.as_deref();
        let mut set = overflowing(&all, retention);
        let mut labels: Arc<str> = set.to_string().into();
        if self.overflow.len() >= OVERFLOW_MAX && !self.overflow.contains_key(&labels) {
            set.retain(|name, _| [OVERFLOW, SERVICE.0].contains(&name) || Some(name) == retention);
            labels = set.to_string().into();
        }
        moved.extend(lost(&all, &set));
        let stream = match self.overflow.get(&labels) {
            Some(stream) => stream.clone(),
            None => {
                let stream = self.new_stream(&labels);
                self.overflow.insert(labels, stream.clone());
                stream
            }
        };
        Folded { stream, altered: Altered { moved, changes } }
    }
}

/// The labels of the overflow stream for such entries; `retention` is the label of the retention class.
fn overflowing(all: &LabelSet, retention: Option<&str>) -> LabelSet {
    let mut set = all.clone();
    set.retain(|name, _| OVERFLOW_KEEPS.contains(&name) || Some(name) == retention);
    set.insert(OVERFLOW, b"true");
    set.insert(SERVICE.0, SERVICE.1.as_bytes());
    set
}

/// The labels that entries lose when they go to another stream, as their metadata.
fn lost<'a>(all: &'a LabelSet, set: &'a LabelSet) -> impl Iterator<Item = (String, String)> + 'a {
    let lost = all.iter().filter(|(name, value)| set.get(name) != Some(value));
    lost.map(|(name, value)| (metadata_name(name), value.to_owned()))
}

/// The overflow stream in place of one that is written as `labels`, and what its entries lose by that. `None` if that
/// is one already.
pub(crate) fn fold(labels: &str, retention: Option<&str>) -> Option<(String, Moved)> {
    let all = read(labels);
    let set = overflowing(&all, retention);
    (set != all).then(|| (set.to_string(), lost(&all, &set).collect()))
}

/// What the entries of the stream `labels` lose in the stream `other`, which is no overflow stream; that they are there
/// for want of room is added.
pub(crate) fn fold_into(labels: &str, other: &str) -> Moved {
    let mut all = read(labels);
    if all.get(OVERFLOW).is_none() {
        all.insert(OVERFLOW, b"true");
    }
    lost(&all, &read(other)).collect()
}

fn read(labels: &str) -> LabelSet {
    let mut set = LabelSet::default();
    parse(labels).iter().for_each(|(name, value)| set.insert(name, value.as_bytes()));
    set
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::labels::Labels;

    const HOUR: i64 = IDLE as i64;
    const MINUTE: i64 = SWEEP_EVERY as i64;

    fn streams(max: usize) -> Streams {
        Streams::new(Limits::new(&Labels::default(), &[], Some("retention")), max, Some("retention"))
    }

    /// By a sender of its own for each label set.
    fn resolve<'s>(streams: &'s mut Streams, set: &Arc<LabelSet>, time: i64) -> Resolved<'s> {
        streams.resolve_for(set, time, owner(&set.to_string()))
    }

    fn owner(name: &str) -> Owner {
        Owner::of_test(name)
    }

    fn set(labels: &[(&str, &str)]) -> Arc<LabelSet> {
        let mut set = LabelSet::default();
        for (name, value) in labels {
            set.insert(name, value.as_bytes());
        }
        Arc::new(set)
    }

    fn unit(n: usize) -> Arc<LabelSet> {
        set(&[
            ("host", "h"),
            ("job", "j"),
            ("level", "info"),
            ("retention", "7d"),
            ("unit", &format!("u{n}")),
        ])
    }

    const OVERFLOWING: &str =
        r#"{host="h", job="j", overflow="true", retention="7d", service_name="overflow"}"#;

    /// The text of the stream, and its number.
    fn text(resolved: &Resolved<'_>) -> (String, u32) {
        (resolved.stream.labels.to_string(), resolved.stream.id)
    }

    #[test]
    fn equal_labels_are_one_stream_and_keep_their_number() {
        let mut streams = streams(10);
        let (first, one) = text(&resolve(&mut streams, &unit(1), 0));
        assert_eq!(first, unit(1).to_string());
        let (_, two) = text(&resolve(&mut streams, &unit(2), 0));
        assert_ne!(one, two);
        assert_eq!(text(&resolve(&mut streams, &unit(1), 5 * HOUR)), (first, one));
        assert_eq!((streams.active(), *streams.totals()), (2, Changes::default()));
    }

    #[test]
    fn past_the_cap_entries_fold_with_their_labels_moved() {
        let mut streams = streams(3);
        for n in 0..3 {
            resolve(&mut streams, &unit(n), 0);
        }
        for n in [3, 4, 3] {
            let resolved = resolve(&mut streams, &unit(n), MINUTE);
            assert_eq!(&*resolved.stream.labels, OVERFLOWING);
            let moved: Vec<_> = resolved.moved.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            assert_eq!(moved, [("level", "info"), ("unit", &format!("u{n}"))]);
            assert_eq!(*resolved.changes, Changes { folded: 1, ..Changes::default() });
        }
        let ids: Vec<u32> = (0..5).map(|n| resolve(&mut streams, &unit(n), MINUTE).stream.id).collect();
        assert_eq!(ids, [0, 1, 2, 3, 3]);
        assert_eq!((streams.active(), streams.totals().folded), (3, 5));
    }

    #[test]
    fn idle_streams_give_their_place_away() {
        let mut streams = streams(2);
        resolve(&mut streams, &unit(0), 0);
        let (_, kept) = text(&resolve(&mut streams, &unit(1), MINUTE));
        // The first is idle an hour after its last entry, and not before.
        assert_eq!(text(&resolve(&mut streams, &unit(2), HOUR)).0, OVERFLOWING);
        assert_eq!(text(&resolve(&mut streams, &unit(2), HOUR + MINUTE)).0, unit(2).to_string());
        assert_eq!(text(&resolve(&mut streams, &unit(1), HOUR + MINUTE)), (unit(1).to_string(), kept));
        assert_eq!(streams.active(), 2);
        // A stream that comes back counts as new, and waits for a place like any other.
        assert_eq!(text(&resolve(&mut streams, &unit(0), HOUR + MINUTE)).0, OVERFLOWING);
        let (labels, id) = text(&resolve(&mut streams, &unit(0), 3 * HOUR));
        assert_eq!(labels, unit(0).to_string());
        assert!(id > kept + 1);
    }

    #[test]
    fn a_clock_that_was_wrong_does_not_take_places_for_ever() {
        for jump in [-1000 * HOUR, 1000 * HOUR] {
            let mut streams = streams(2);
            for n in 0..2 {
                resolve(&mut streams, &unit(n), jump);
            }
            for n in 2..4 {
                assert_eq!(text(&resolve(&mut streams, &unit(n), 0)).0, unit(n).to_string(), "{jump}");
            }
            assert_eq!(streams.active(), 2);
        }
        let mut streams = streams(1);
        for time in [i64::MIN, i64::MAX, 0, i64::MAX, i64::MIN] {
            assert_eq!(
                text(&resolve(&mut streams, &unit(time as usize % 7), time)).0,
                unit(time as usize % 7).to_string()
            );
        }
    }

    #[test]
    fn overflow_streams_are_few_and_always_valid() {
        let mut streams = streams(1);
        resolve(&mut streams, &unit(0), 0);
        let of_host =
            |n: usize| set(&[("host", &format!("h{n}")), ("overflow", "mine"), ("retention", "7d")]);
        let mut seen = std::collections::HashSet::new();
        for n in 0..10 * OVERFLOW_MAX {
            let resolved = resolve(&mut streams, &of_host(n), 0);
            let in_metadata = resolved.moved.contains(&("host".to_owned(), format!("h{n}")));
            assert_eq!(in_metadata, n >= OVERFLOW_MAX);
            assert!(resolved.moved.contains(&("overflow".to_owned(), "mine".to_owned())));
            seen.insert(resolved.stream.labels.clone());
        }
        assert_eq!(seen.len(), OVERFLOW_MAX + 1);
        assert!(seen.contains(r#"{overflow="true", retention="7d", service_name="overflow"}"#));
        assert_eq!(
            &*resolve(&mut streams, &set(&[("_", "x")]), 0).stream.labels,
            r#"{overflow="true", service_name="overflow"}"#
        );
        assert_eq!(
            resolve(&mut streams, &set(&[("_", "x")]), 0).moved,
            [("label_".to_owned(), "x".to_owned())]
        );
    }

    #[test]
    fn labels_are_made_to_fit_and_every_entry_counts() {
        let mut streams = streams(10);
        for _ in 0..3 {
            let resolved = resolve(&mut streams, &set(&[]), 0);
            assert_eq!(&*resolved.stream.labels, r#"{service_name="unknown_service"}"#);
            let resolved = resolve(&mut streams, &set(&[("a-b", "1"), ("a_b", "2")]), 0);
            assert_eq!(&*resolved.stream.labels, r#"{a_b="2"}"#);
            assert_eq!(resolved.moved, [("a_b".to_owned(), "1".to_owned())]);
        }
        // Another label set that becomes the same stream.
        assert_eq!(resolve(&mut streams, &set(&[("a_b", "2")]), 0).stream.id, 1);
        let expected = Changes { sanitized: 3, without_label: 3, ..Changes::default() };
        assert_eq!((streams.active(), *streams.totals()), (2, expected));
    }

    #[test]
    fn any_number_of_label_sets_takes_bounded_memory_and_active_streams_stay() {
        let mut streams = streams(5);
        for n in 0..5 {
            resolve(&mut streams, &unit(n), 0);
        }
        let before = streams.epoch();
        for n in 5..REMEMBERED_BYTES_MIN / 200 {
            assert_eq!(&*resolve(&mut streams, &unit(n), 0).stream.labels, OVERFLOWING);
            assert!(streams.known_bytes <= REMEMBERED_BYTES_MIN + 2000);
        }
        assert_ne!(streams.epoch(), before);
        let ids: Vec<u32> = (0..5).map(|n| resolve(&mut streams, &unit(n), 0).stream.id).collect();
        assert_eq!(ids, [0, 1, 2, 3, 4]);

        let long = "x".repeat(2000);
        for n in 0..2000 {
            resolve(&mut streams, &set(&[("host", "h"), ("job", &format!("{n}{long}"))]), 0);
            assert!(streams.known_bytes <= REMEMBERED_BYTES_MIN + 10_000);
        }
    }

    #[test]
    fn a_sender_fills_its_own_share_and_no_other() {
        let max = 5000;
        let mut streams = streams(max);
        let (flooder, places) = (owner("eve"), streams.places());
        let by_flooder = |streams: &mut Streams, from: usize| {
            let folded = |n| streams.resolve_for(&unit(n), 0, flooder).changes.folded;
            (from..from + 2 * max).map(folded).sum::<u64>()
        };
        // Half of them, also on the second try and when label sets were forgotten.
        assert_eq!(by_flooder(&mut streams, 0), (2 * max - places / 2) as u64);
        assert_eq!(by_flooder(&mut streams, 2 * max), 2 * max as u64);
        let honest: Vec<_> =
            (0..1000).map(|n| set(&[("host", "h"), ("unit", &format!("s{n}.service"))])).collect();
        for set in &honest {
            assert_eq!(&*resolve(&mut streams, set, 0).stream.labels, set.to_string());
        }
        // What it had is given back when it is idle.
        for set in &honest {
            resolve(&mut streams, set, 2 * HOUR);
        }
        assert_eq!(streams.resolve_for(&unit(9 * max), 2 * HOUR, flooder).changes.folded, 0);
        assert_eq!((streams.active(), streams.shares.held(flooder)), (1001, 1));
    }
}
