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

use super::limits::{Changes, Fitted, Limits, Moved};
use super::overflow::{OVERFLOW, least, lost, overflowing};
use super::share::{Owner, Shares};
use crate::shape::limits::IDLE_MAX;
use logql::label_set::LabelSet;

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
/// What label sets that are remembered may take together for each active stream that there may be (bytes). One of
/// five labels has about that: if fewer were remembered than are active, they would be forgotten and made in turns.
const REMEMBERED_BYTES: usize = 450;
/// The least of that (bytes).
const REMEMBERED_BYTES_MIN: usize = 1 << 20;
/// What a label set that is remembered takes besides itself (bytes), near enough: its place in the tables.
const KNOWN_BYTES: usize = 120;
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
    /// Label set -> index into `known`. Senders choose the text, so this hash is keyed, as are all here, and of the better
    /// quality.
    by_set: HashMap<Arc<LabelSet>, u32, foldhash::quality::RandomState>,
    /// The same by the addresses of the label sets in `known`, which are their own as long as they stand there: an item that
    /// has such a label set needs no look at its text.
    by_address: HashMap<usize, u32, foldhash::fast::RandomState>,
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
            by_set: HashMap::default(),
            by_address: HashMap::default(),
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

    /// Changes when numbers of label sets get other meanings: forget all of them then.
    #[inline]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The label set of a number.
    #[inline]
    pub fn set(&self, index: u32) -> &Arc<LabelSet> {
        &self.known[index as usize].set
    }

    /// The number of a label set, valid for this [`Streams::epoch`]. Numbers begin at 0 and leave none out.
    pub fn intern(&mut self, set: &Arc<LabelSet>) -> u32 {
        if let Some(index) = self.by_address.get(&address(set)) {
            return *index;
        }
        if let Some(index) = self.by_set.get(&**set) {
            return *index;
        }
        if self.known_bytes >= REMEMBERED_BYTES_MIN.max(self.max.saturating_mul(REMEMBERED_BYTES)) {
            self.known.clear();
            self.by_set.clear();
            self.by_address.clear();
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
        self.by_address.insert(address(set), index);
        index
    }

    /// The stream of an entry whose label set has this number. Whose entry it is is asked only for a new stream.
    #[inline]
    pub fn at(&mut self, index: u32, time: i64, owner: impl FnOnce() -> Owner) -> Resolved<'_> {
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
            least(&mut set, retention);
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

/// Where a label set stands in memory.
fn address(set: &Arc<LabelSet>) -> usize {
    Arc::as_ptr(set) as usize
}

#[cfg(test)]
mod tests;
