//! Whose turn it is: the next entries of many files, the least first.
//!
//! Entries of one counter go by number, so the files of a counter form a lane, a heap by number. The first
//! entries of the lanes meet in a tournament by [`Cursor::order`]. That relation is not transitive when clocks have jumped;
//! then any of the entries that it puts in a ring may win, but within a counter the lowest number always goes first,
//! whatever the clocks say. A turn costs the logarithm of the number of files, and the turn does not change while the
//! entries of one file stay below all others. Copies of an entry that other files have as their next one are passed over
//! together with it: otherwise an entry of another boot may come between, when the clock was set back.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::super::cursor::{Cursor, Id128};

/// The next entry of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// It was read.
    Seen(Cursor),
    /// The file's header says that it has this number, or a higher one if not every entry is wanted; nothing else was
    /// read yet.
    Expected(u64),
}

impl Head {
    /// Its number, or a lower one.
    pub(super) fn seqnum(&self) -> u64 {
        self.rank().0
    }

    fn rank(&self) -> (u64, u64) {
        match self {
            Head::Seen(cursor) => (cursor.seqnum, cursor.realtime),
            Head::Expected(seqnum) => (*seqnum, 0),
        }
    }
}

/// A source that waits for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Waiting {
    head: Head,
    source: usize,
}

impl Ord for Waiting {
    fn cmp(&self, other: &Waiting) -> Ordering {
        (self.head.rank(), self.source).cmp(&(other.head.rank(), other.source))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Waiting) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[derive(Debug)]
struct Lane {
    counter: Id128,
    waiting: BinaryHeap<Reverse<Waiting>>,
}

/// All sources that have a next entry, but for the one whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Merge {
    lanes: Vec<Lane>,
    /// The first entry of each lane that takes part in the tournament.
    firsts: Vec<Option<Cursor>>,
    /// The tournament, by numbers of lanes: node `n` has the lesser of nodes `2n` and `2n + 1`, and the lanes' own places are its
    /// last half.
    tree: Vec<Option<u32>>,
    /// The lane of the source whose turn it is.
    held: Option<usize>,
    /// Lanes whose first entry has to be read before it is known whose turn it is.
    unseen: Vec<usize>,
    limit: Option<Cursor>,
    limit_seqnum: u64,
    /// Clocks were set back, so the next entries may be in a ring, and a copy need not be the least of them.
    rings: bool,
}

impl Merge {
    /// It is no source's turn yet. `heads`: sources by number, with their counters and next entries. `rings`: clocks were set
    /// back.
    pub(super) fn new(heads: impl Iterator<Item = (usize, Id128, Head)>, rings: bool) -> Merge {
        let mut merge = Merge { rings, ..Merge::default() };
        for (source, counter, head) in heads {
            let lane = match merge.lanes.iter().position(|lane| lane.counter == counter) {
                Some(lane) => lane,
                None => {
                    merge.lanes.push(Lane { counter, waiting: BinaryHeap::new() });
                    merge.lanes.len() - 1
                }
            };
            if let Some(lane) = merge.lanes.get_mut(lane) {
                lane.waiting.push(Reverse(Waiting { head, source }));
            }
        }
        merge.firsts = vec![None; merge.lanes.len()];
        merge.tree = vec![None; 2 * merge.lanes.len().next_power_of_two()];
        for lane in 0..merge.lanes.len() {
            merge.settle(lane);
        }
        merge
    }

    /// Whether an entry of the source whose turn it is comes before all others', as far as that can be told at once.
    #[inline]
    pub(super) fn allows(&self, head: &Cursor) -> bool {
        head.seqnum < self.limit_seqnum && self.limit.is_none_or(|limit| head.order(&limit).is_le())
    }

    /// The turn is over: the source waits with its next entry, if there is one.
    pub(super) fn give_back(&mut self, source: usize, head: Option<Cursor>) {
        let Some(held) = self.held.take() else { return };
        if let (Some(lane), Some(head)) = (self.lanes.get_mut(held), head) {
            lane.waiting.push(Reverse(Waiting { head: Head::Seen(head), source }));
        }
        self.settle(held);
    }

    /// A source whose next entry has to be read and given to [`Merge::see`] before [`Merge::take`].
    pub(super) fn unseen(&self) -> Option<usize> {
        let lane = self.lanes.get(*self.unseen.last()?)?;
        lane.waiting.peek().map(|Reverse(waiting)| waiting.source)
    }

    /// Takes the next entry of the source that [`Merge::unseen`] has named, if there is one.
    pub(super) fn see(&mut self, head: Option<Cursor>) {
        if let Some(number) = self.unseen.pop() {
            self.replace(number, head);
        }
    }

    /// Whether another source may have a copy of this entry as its next one. The entry is of the source whose turn it is.
    #[inline]
    pub(super) fn meets(&self, head: &Cursor) -> bool {
        head.seqnum == self.limit_seqnum
            || self.limit.is_some_and(|limit| limit.same_content(head))
            || (self.rings && self.lane_with(head).is_some())
    }

    /// A clock was set back. From now on, copies are looked for among the first entries of all lanes.
    pub(super) fn expect_rings(&mut self) {
        self.rings = true;
    }

    /// Whether clocks were set back.
    pub(super) fn expects_rings(&self) -> bool {
        self.rings
    }

    /// A lane whose first entry is equal to this one. Looks at all lanes; a host has few of them.
    fn lane_with(&self, head: &Cursor) -> Option<usize> {
        let same = |first: &Option<Cursor>| first.is_some_and(|first| first.same_content(head));
        self.firsts.iter().position(same)
    }

    /// A source that may have a copy of this entry as its next one, with its lane: see [`Merge::meets`].
    pub(super) fn copy_of(&self, head: &Cursor) -> Option<(usize, usize, Head)> {
        let own = self.held.and_then(|held| self.first(held));
        let own = own.filter(|(_, _, next)| next.seqnum() == head.seqnum);
        let other = || {
            if self.rings {
                return self.first(self.lane_with(head)?);
            }
            let (number, least) = self.least()?;
            if least.same_content(head) { self.first(number) } else { None }
        };
        own.or_else(other)
    }

    /// The first source of a lane, with its lane and its next entry.
    fn first(&self, number: usize) -> Option<(usize, usize, Head)> {
        let Reverse(waiting) = self.lanes.get(number)?.waiting.peek()?;
        Some((number, waiting.source, waiting.head))
    }

    /// The next entry of the first source of a lane is now this one, if it has any.
    pub(super) fn replace(&mut self, number: usize, head: Option<Cursor>) {
        let Some(lane) = self.lanes.get_mut(number) else { return };
        if let Some(Reverse(Waiting { source, .. })) = lane.waiting.pop()
            && let Some(head) = head
        {
            lane.waiting.push(Reverse(Waiting { head: Head::Seen(head), source }));
        }
        if self.held == Some(number) {
            self.limit_seqnum = lane.waiting.peek().map_or(u64::MAX, |Reverse(next)| next.head.seqnum());
        } else {
            self.settle(number);
            self.limit = self.least_waiting();
        }
    }

    /// The least next entry in the tournament, and its lane.
    fn least(&self) -> Option<(usize, Cursor)> {
        let number = (*self.tree.get(1)?)? as usize;
        Some((number, (*self.firsts.get(number)?)?))
    }

    fn least_waiting(&self) -> Option<Cursor> {
        self.least().map(|(_, head)| head)
    }

    /// The source with the least entry, whose turn it is from now on.
    pub(super) fn take(&mut self) -> Option<(usize, Cursor)> {
        let (number, head) = self.least()?;
        let lane = self.lanes.get_mut(number)?;
        let Reverse(Waiting { source, .. }) = lane.waiting.pop()?;
        self.limit_seqnum = lane.waiting.peek().map_or(u64::MAX, |Reverse(next)| next.head.rank().0);
        self.held = Some(number);
        self.place(number, None);
        self.limit = self.least_waiting();
        Some((source, head))
    }

    /// Makes a lane take part with its first entry.
    fn settle(&mut self, number: usize) {
        let first = self.lanes.get(number).and_then(|lane| lane.waiting.peek());
        let head = match first {
            Some(Reverse(Waiting { head: Head::Seen(cursor), .. })) => Some(*cursor),
            Some(Reverse(Waiting { head: Head::Expected(_), .. })) => {
                self.unseen.push(number);
                None
            }
            None => None,
        };
        self.place(number, head);
    }

    fn place(&mut self, number: usize, head: Option<Cursor>) {
        let Merge { firsts, tree, .. } = self;
        if let Some(first) = firsts.get_mut(number) {
            *first = head;
        }
        let first = |number: u32| firsts.get(number as usize).and_then(Option::as_ref);
        let mut node = tree.len() / 2 + number;
        let mut least = head.and_then(|_| u32::try_from(number).ok());
        loop {
            if let Some(place) = tree.get_mut(node) {
                *place = least;
            }
            if node <= 1 {
                return;
            }
            // Of two equal ones, that of the lower lane goes first.
            let other = tree.get(node ^ 1).copied().flatten();
            let (a, b) = if node & 1 == 0 { (least, other) } else { (other, least) };
            least = match (a.and_then(first), b.and_then(first)) {
                (Some(first), Some(second)) if second.order(first).is_lt() => b,
                (Some(_), _) => a,
                (None, _) => b,
            };
            node /= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Merges sources of cursors as a tail does; some are only expected at first.
    fn merge(sources: &[Vec<Cursor>], expected: bool) -> Vec<(usize, Cursor)> {
        let mut next = vec![0; sources.len()];
        let heads = sources.iter().enumerate().filter_map(|(index, source)| {
            let first = source.first()?;
            let head = if expected { Head::Expected(first.seqnum) } else { Head::Seen(*first) };
            Some((index, first.seqnum_id, head))
        });
        let mut merge = Merge::new(heads, false);
        let mut merged = Vec::new();
        loop {
            while let Some(source) = merge.unseen() {
                merge.see(sources[source].get(next[source]).copied());
            }
            let Some((source, head)) = merge.take() else { return merged };
            let mut head = Some(head);
            while let Some(cursor) = head {
                merged.push((source, cursor));
                next[source] += 1;
                head = sources[source].get(next[source]).copied();
                if head.is_some_and(|head| !merge.allows(&head)) {
                    break;
                }
            }
            merge.give_back(source, head);
        }
    }

    /// Sources of several counters on one clock, numbers and times ascending in each.
    fn sources() -> impl Strategy<Value = Vec<Vec<Cursor>>> {
        let steps = proptest::collection::vec((0..3u64, 0..4u64), 0..12);
        proptest::collection::vec((0..4u8, 0..20u64, steps), 1..12).prop_map(|drawn| {
            let source = |(counter, start, steps): (u8, u64, Vec<(u64, u64)>)| {
                let (mut seqnum, mut time) = (start + 1, start);
                let cursor = |(number, pause): (u64, u64)| {
                    seqnum += number + 1;
                    time += pause;
                    Cursor {
                        seqnum_id: Id128([counter; 16]),
                        seqnum,
                        monotonic: time,
                        realtime: time,
                        ..Cursor::default()
                    }
                };
                steps.into_iter().map(cursor).collect()
            };
            drawn.into_iter().map(source).collect()
        })
    }

    proptest! {
        #[test]
        fn every_entry_comes_once_and_the_least_of_all_heads_goes_first(sources in sources(), expected in any::<bool>()) {
            let merged = merge(&sources, expected);
            prop_assert_eq!(merged.len(), sources.iter().map(Vec::len).sum::<usize>());
            let mut next = vec![0; sources.len()];
            for (source, cursor) in merged {
                let heads = || sources.iter().zip(&next).filter_map(|(source, next)| source.get(*next));
                prop_assert_eq!(sources[source].get(next[source]), Some(&cursor));
                // Within a counter by number, whatever the times.
                prop_assert!(heads().all(|h| h.seqnum_id != cursor.seqnum_id || h.seqnum >= cursor.seqnum));
                // Among the first of the counters by the order.
                let first = |h: &&Cursor| heads().all(|o| o.seqnum_id != h.seqnum_id || o.seqnum >= h.seqnum);
                prop_assert!(heads().filter(first).all(|h| cursor.order(h).is_le()));
                next[source] += 1;
            }
        }
    }
}
