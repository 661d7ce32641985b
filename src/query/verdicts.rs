//! What the line filters of a query said of messages. journald stores a message that recurs once in a file, and so it is looked
//! at once.

use std::borrow::Cow;

use super::slices::GOLDEN;
use crate::shape::line::Liner;
use journald_reader::Entry;

/// Messages that are remembered (count): 32 KiB, which stay in the processor's cache beside what the reader remembers.
const REMEMBERED: usize = 2 << 10;

/// Whether messages pass the line filters that a query begins with.
pub(super) struct Verdicts {
    /// By the identity of the message, each in one place; empty where the query has no such filter.
    places: Box<[(u64, bool)]>,
    /// What identities mean now.
    generation: u32,
}

impl Verdicts {
    /// `filters`: whether the query begins with line filters at all.
    pub(super) fn new(filters: bool) -> Verdicts {
        let places = if filters { vec![(0, false); REMEMBERED] } else { Vec::new() };
        Verdicts { places: places.into_boxed_slice(), generation: 0 }
    }

    /// The line of an entry, if it passes; `passes` is asked for messages that are not remembered.
    #[inline]
    pub(super) fn line<'a>(
        &mut self,
        liner: &'a mut Liner,
        entry: &Entry<'a>,
        passes: impl FnOnce(&str) -> bool,
    ) -> Option<Cow<'a, str>> {
        if self.places.is_empty() {
            return Some(liner.line(entry));
        }
        if entry.generation() != self.generation {
            self.generation = entry.generation();
            self.places.fill((0, false));
        }
        let identity = liner.identity(entry);
        let place = (identity.wrapping_mul(GOLDEN) >> 40) as usize & (REMEMBERED - 1);
        let place = self.places.get_mut(place).filter(|_| identity != 0);
        let known = place.as_ref().filter(|place| place.0 == identity).map(|place| place.1);
        if known == Some(false) {
            return None;
        }
        let line = liner.line(entry);
        let passes = known.unwrap_or_else(|| passes(&line));
        if let Some(place) = place {
            *place = (identity, passes);
        }
        passes.then_some(line)
    }
}
