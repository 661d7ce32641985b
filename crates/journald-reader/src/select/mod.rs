//! Which of a file's entries are handed on, and how they are found.
//!
//! With a filter, entries that it does not want are passed over. There are two ways to find the others: to read on and test
//! each entry; or, where they are few, to walk along the entry arrays of the values that they have, up to the entry that
//! was the newest when that was decided. The ordinal of an entry counts wanted entries only, so both ways give the same.

pub(crate) mod filter;
pub(crate) mod lookup;
pub(crate) mod walk;

use std::sync::Arc;

use crate::bytes::Bytes;
use crate::cursor::{Cursor, Id128};
use crate::entries::arrays::Arrays;
use crate::entries::chain::Chain;
use crate::entries::visited::Visited;
use crate::format::fault::Fault;
use crate::format::object::ENTRY_SIZE_MIN;
use filter::{Filter, Wanted};
use walk::Walk;

/// Which entries of one file are wanted, and what was passed over on the way to them.
#[derive(Debug)]
pub(crate) struct Selection {
    /// Which entries are wanted; none: all.
    wanted: Option<Box<Wanted>>,
    /// Whether it was decided how they are found.
    planned: bool,
    /// While wanted entries are looked up instead of read through.
    walk: Option<Box<Walk>>,
    /// The entry visited last does not stand directly behind the one visited before.
    jumped: bool,
    /// The microsecond of the entry visited last, and how many wanted ones of it stand together up to there.
    run: (u64, u64),
    /// The boot of the entry visited last.
    boot: Id128,
    /// The place of the entry visited last among these.
    ordinal: u64,
    /// The entry passed over last, because it is not wanted or lies before the start.
    passed: Option<Cursor>,
    /// Entries passed over because they are not wanted (count).
    unwanted: u64,
}

/// How the entry visited last was reached.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    /// Entries are looked up: the next one does not stand in the file's own arrays.
    pub walks: bool,
    /// Entries between this one and the one before may have been passed over.
    pub leaps: bool,
    /// When the entry before was written (realtime, microseconds); zero at the beginning.
    pub time: u64,
    /// In which boot; zeros at the beginning.
    pub boot: Id128,
}

impl Selection {
    /// Without a filter, all entries are wanted.
    pub(crate) fn new(filter: Option<&Arc<Filter>>) -> Selection {
        Selection {
            wanted: filter.map(|filter| Box::new(Wanted::new(filter.clone()))),
            planned: false,
            walk: None,
            jumped: false,
            run: (0, 0),
            boot: Id128::default(),
            ordinal: 0,
            passed: None,
            unwanted: 0,
        }
    }

    /// Whether there is a filter.
    #[inline]
    pub(crate) fn is_filtered(&self) -> bool {
        self.wanted.is_some()
    }

    /// Looks up where the wanted values stand. `items`: where the DATA objects of the entry at hand stand.
    pub(crate) fn look_up(&mut self, bytes: &mut Bytes, items: &[u64]) -> Result<(), Fault> {
        match &mut self.wanted {
            Some(wanted) => wanted.look_up(bytes, items),
            None => Ok(()),
        }
    }

    /// Looks up where the wanted values stand, and decides from a new place on how to find the entries that have them.
    pub(crate) fn prepare(
        &mut self,
        bytes: &mut Bytes,
        arrays: &Arrays,
        visited: &Visited,
    ) -> Result<(), Fault> {
        self.look_up(bytes, visited.items())?;
        if !self.planned {
            let plan = self.wanted.as_deref().map(|wanted| Walk::plan(bytes, wanted, arrays.number_next()));
            self.walk = plan.transpose()?.flatten().map(Box::new);
            bytes.windows_mut().set_sparse(self.walk.as_ref().map(|_| 0));
            self.planned = true;
        }
        Ok(())
    }

    /// The offsets of all entries that may be wanted, if to look them up is cheaper than to read all entries.
    pub(crate) fn walk_through(&self, bytes: &mut Bytes) -> Result<Option<Vec<u64>>, Fault> {
        match &self.wanted {
            Some(wanted) => Walk::through(bytes, wanted),
            None => Ok(None),
        }
    }

    /// Whether each entry that [`Selection::walk_through`] names is wanted, but for the newest one.
    pub(crate) fn walks_only_to_wanted(&self) -> bool {
        self.wanted.as_deref().is_some_and(Wanted::is_of_one_field)
    }

    /// How many entries can be wanted at most, as far as the index tells of it.
    pub(crate) fn wanted_at_most(&self) -> Option<u64> {
        // The lists of values may not name the newest entry yet.
        self.wanted.as_deref()?.candidates().map(|(count, _)| count.saturating_add(1))
    }

    /// Reading begins behind this entry, which is the last of so many wanted ones of its microsecond that stand together.
    pub(crate) fn begin_behind(&mut self, bytes: &mut Bytes, passed: Option<Cursor>, together: u64) {
        self.passed = passed;
        self.run = (passed.map_or(0, |cursor| cursor.realtime), together);
        self.boot = passed.map_or(Id128::default(), |cursor| cursor.boot_id);
        (self.planned, self.walk, self.jumped) = (false, None, false);
        bytes.windows_mut().set_sparse(None);
    }

    /// The entry visited last is passed over.
    pub(crate) fn pass(&mut self, entry: Cursor) {
        self.passed = Some(entry);
    }

    /// The entry passed over last on the way to the one last visited, or to the end.
    pub(crate) fn passed(&self) -> Option<Cursor> {
        self.passed
    }

    /// The place of the entry last visited among the wanted ones of its microsecond that stand with it, from zero.
    #[inline]
    pub(crate) fn ordinal(&self) -> u64 {
        self.ordinal
    }

    /// Entries passed over because they are not wanted (count).
    pub(crate) fn unwanted(&self) -> u64 {
        self.unwanted
    }

    /// How the entry visited last was reached.
    #[inline]
    pub(crate) fn way(&self) -> Way {
        let walks = self.walk.is_some();
        Way { walks, leaps: walks || self.jumped, time: self.run.0, boot: self.boot }
    }

    /// Whether the entry just visited is wanted; it gets its place in its microsecond.
    #[inline]
    pub(crate) fn admit(
        &mut self,
        bytes: &mut Bytes,
        visited: &Visited,
        cursor: &Cursor,
        offset: u64,
    ) -> Result<bool, Fault> {
        let wanted = match &mut self.wanted {
            Some(wanted) => wanted.wants(bytes, visited.items()),
            None => true,
        };
        if self.run.0 != cursor.realtime {
            self.run = (cursor.realtime, 0);
        } else if self.jumped && wanted && self.run.1 > 0 {
            // Entries of other times may stand between, when the clock has jumped back.
            match self.count_before(bytes, offset, cursor.realtime) {
                Ok(count) => self.run.1 = count,
                Err(fault @ Fault::Io(_)) => return Err(fault),
                // The count goes on from the entries that were seen.
                Err(_) => {}
            }
        }
        (self.jumped, self.boot) = (false, cursor.boot_id);
        if wanted {
            self.ordinal = self.run.1;
            self.run.1 += 1;
        }
        match &mut self.walk {
            Some(walk) if wanted => walk.count_wanted(),
            Some(_) => {}
            None => self.unwanted += u64::from(!wanted),
        }
        Ok(wanted)
    }

    /// How many wanted entries of the microsecond stand directly before the entry at an offset.
    fn count_before(&mut self, bytes: &mut Bytes, offset: u64, realtime: u64) -> Result<u64, Fault> {
        let chain = Chain::read(bytes)?;
        let number = chain.number_at(bytes, offset)?;
        self.count_together(bytes, &chain, number, realtime)
    }

    /// How many wanted entries of the microsecond stand directly before the entry of a number.
    pub(crate) fn count_together(
        &mut self,
        bytes: &mut Bytes,
        chain: &Chain,
        number: u64,
        realtime: u64,
    ) -> Result<u64, Fault> {
        let mut count = 0;
        for number in (0..number).rev() {
            let glance = chain.offset_at(bytes, number).and_then(|offset| self.glance(bytes, offset));
            match glance {
                Ok((cursor, _)) if cursor.realtime != realtime => break,
                Ok((_, wanted)) => count += u64::from(wanted),
                // A damaged entry is passed over, as in reading on.
                Err(Fault::Damaged { .. }) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(count)
    }

    /// An entry that is not the one visited: its cursor, and whether it is wanted.
    pub(crate) fn glance(&mut self, bytes: &mut Bytes, offset: u64) -> Result<(Cursor, bool), Fault> {
        let Some(wanted) = &mut self.wanted else { return Ok((bytes.entry_at(offset)?.0, true)) };
        let (cursor, items) = bytes.entry_with_items(offset)?;
        Ok((cursor, wanted.wants(bytes, &items)))
    }

    /// The next entry by the values that it has; `None` when reading goes on entry by entry.
    #[inline]
    pub(crate) fn next_walked(
        &mut self,
        bytes: &mut Bytes,
        arrays: &mut Arrays,
        visited: &mut Visited,
    ) -> Result<Option<u64>, Fault> {
        match self.walk.take() {
            None => Ok(None),
            Some(walk) => self.walk_on(walk, bytes, arrays, visited),
        }
    }

    fn walk_on(
        &mut self,
        mut walk: Box<Walk>,
        bytes: &mut Bytes,
        arrays: &mut Arrays,
        visited: &mut Visited,
    ) -> Result<Option<u64>, Fault> {
        self.jumped = true;
        let end = match walk.next(bytes) {
            Ok(None) => Ok(walk.last()),
            // What the values say of their entries is damaged; the entries may not be.
            Err(Fault::Damaged { .. }) => walk.chain().number_at(bytes, walk.reached()),
            next => {
                if let Ok(Some(offset)) = next
                    && bytes.windows().ahead(offset, ENTRY_SIZE_MIN).is_none()
                {
                    bytes.windows_mut().set_sparse(Some(walk.near(offset)));
                }
                self.walk = Some(walk);
                return next;
            }
        };
        match end.and_then(|number| self.leave(&walk, number, bytes, arrays, visited)) {
            Ok(()) => Ok(None),
            Err(fault) => {
                self.walk = Some(walk);
                Err(fault)
            }
        }
    }

    /// Reads on entry by entry, at this number.
    fn leave(
        &mut self,
        walk: &Walk,
        number: u64,
        bytes: &mut Bytes,
        arrays: &mut Arrays,
        visited: &mut Visited,
    ) -> Result<(), Fault> {
        let before = number.checked_sub(1).and_then(|before| walk.chain().cursor_at(bytes, before).ok());
        arrays.go_to(bytes, visited, walk.chain(), number, before.map(|before| before.seqnum))?;
        self.unwanted += walk.passed_over(number);
        bytes.windows_mut().set_sparse(None);
        Ok(())
    }

    /// Something was damaged; false when nothing was being walked. The values may name wrong entries while the file's own
    /// arrays are right: reading goes on by these, at `at` or where the walk is.
    ///
    /// # Errors
    /// When the arrays are damaged, too; the walk is over then. When the file cannot be read, the walk goes on.
    pub(crate) fn give_up_walk(
        &mut self,
        at: Option<u64>,
        bytes: &mut Bytes,
        arrays: &mut Arrays,
        visited: &mut Visited,
    ) -> Result<bool, Fault> {
        let Some(walk) = self.walk.take() else { return Ok(false) };
        let number = walk.chain().number_at(bytes, at.unwrap_or(walk.reached()));
        let left = number.and_then(|number| self.leave(&walk, number, bytes, arrays, visited));
        match left {
            Err(Fault::Io(_)) => self.walk = Some(walk),
            _ => bytes.windows_mut().set_sparse(None),
        }
        left.map(|()| true)
    }
}
