//! Doubt: whether what a file says can be believed, what is done when it cannot, and what is lost.
//!
//! Where something does not fit, the file is in doubt from then on: entries are proved by their hashes (`proof`, `payload`),
//! their numbers are judged by those around them (`number`), those that stand in the file twice are known again
//! (`repeat`), and what the arrays do not show is searched for (`search`). What is not found is counted (`loss`). Nothing
//! here goes to another place of the file, except that a search goes forward, from a little before the fault.

pub(crate) mod loss;
mod number;
pub(crate) mod payload;
pub(crate) mod proof;
mod repeat;
mod search;

use crate::bytes::Bytes;
use crate::cursor::{Cursor, Id128};
use crate::entries::arrays::Arrays;
use crate::entries::chain::Chain;
use crate::entries::visited::{Spot, Visited};
use crate::format::fault::Fault;
use crate::format::object::Header;
use crate::select::Way;
use loss::{Ledger, News, Reason};
use number::judge_number;
use proof::{Around, Proof};
use repeat::{Early, LOOKED_BACK, is_ahead, is_copied, is_from_before, is_overtaken, is_overtaken_twice};
use search::{Found, Search, Tools};

/// What is doubted of one file, and what was lost of it.
pub(crate) struct Doubt {
    /// Hashes are checked, because something looked wrong.
    proof: Option<Box<Proof>>,
    /// The arrays are not trusted any more.
    search: Option<Search>,
    /// Entries that were handed on before their place was reached.
    early: Early,
    /// The highest number that an entry can have, before as many as were visited are added.
    number_max: u64,
    /// How many entries were taken when a file that grows was looked at twice.
    looked_twice: Option<u64>,
    /// Nothing more can be read.
    dead: bool,
    /// What could not be read.
    ledger: Ledger,
}

/// What an entry's number says.
pub(crate) enum Trust {
    /// It fits, and so do the hashes if they were looked at.
    Deserved,
    /// It is another entry's number, or no number at all.
    Lies,
    /// Others are missing before it.
    Skips,
}

impl Doubt {
    /// Doubts nothing yet.
    pub(crate) fn new(header: &Header) -> Doubt {
        let mut doubt = Doubt {
            proof: None,
            search: None,
            early: Early::default(),
            number_max: 0,
            looked_twice: None,
            dead: false,
            ledger: Ledger::default(),
        };
        doubt.bound(header);
        doubt
    }

    /// Numbers of entries rise by one at least, and the last one is in the header: that bounds each.
    pub(crate) fn bound(&mut self, header: &Header) {
        self.number_max = match (header.tail_seqnum(), &self.search) {
            (None, _) => u64::MAX >> 1,
            (Some(tail), None) => tail - header.n_entries,
            // A search does not know how many entries it has missed.
            (Some(tail), Some(_)) => tail,
        };
    }

    /// From now on entries are verified before they are handed on.
    pub(crate) fn arise(&mut self, bytes: &Bytes) -> &mut Proof {
        self.proof.get_or_insert_with(|| Box::new(Proof::new(bytes.header().hashing)))
    }

    /// Whether hashes are looked at.
    #[inline]
    pub(crate) fn exists(&self) -> bool {
        self.proof.is_some()
    }

    /// What was bad may have been written by now.
    pub(crate) fn forget_flaws(&mut self) {
        if let Some(proof) = &mut self.proof {
            proof.payloads().forget_flaws();
        }
    }

    /// Whether a file that grows should be looked at again after a fault, because that was not done at this place yet.
    pub(crate) fn look_twice(&mut self, arrays: &Arrays) -> bool {
        self.looked_twice.replace(arrays.taken()) != Some(arrays.taken())
    }

    /// At the end of what the header counts: why there should be more, if the header itself says so. While a file is written
    /// to, its header may be behind for a moment.
    pub(crate) fn hidden(&self, bytes: &Bytes, visited: &Visited) -> Result<Option<Fault>, Fault> {
        let (header, spot) = (bytes.header(), visited.spot());
        let what = match header.n_entries {
            0 if header.entry_array_offset != 0 || header.head_seqnum != 0 => {
                "a header that counts no entries"
            }
            // Also where reading began behind all that the arrays name, which may be too little: only the number of the entry
            // before is known then.
            1.. if spot.seqnum > 0 && header.tail_seqnum().is_some_and(|tail| tail > spot.seqnum) => {
                "a header that counts fewer entries than it has given numbers"
            }
            _ => return Ok(None),
        };
        match bytes.is_written_to()? {
            true => Ok(None),
            false => Ok(Some(Fault::Damaged { what, offset: 0 })),
        }
    }

    /// Whether the entry last visited can be the next one after the last that was handed on.
    #[inline]
    pub(crate) fn judge(
        &mut self,
        bytes: &mut Bytes,
        arrays: &Arrays,
        visited: &mut Visited,
        way: Way,
        offset: u64,
        entry: &Cursor,
    ) -> Result<Trust, Fault> {
        let fits = self.has_fitting_number(arrays, visited, way, entry)
            && visited.is_behind_its_fields(offset)
            && entry.realtime >= way.time
            && (entry.boot_id == way.boot || way.boot == Id128::default())
            && (entry.seqnum == visited.spot().seqnum + 1 || !is_overtaken(bytes, arrays, way, entry));
        match self.proof.is_none() && fits {
            true => Ok(Trust::Deserved),
            false => self.trust(bytes, arrays, visited, way, offset, entry),
        }
    }

    /// Whether the entry last visited has a number between that of the last one and what the header leaves it.
    #[inline]
    fn has_fitting_number(&self, arrays: &Arrays, visited: &Visited, way: Way, entry: &Cursor) -> bool {
        // By how many numbers a walk leaps is not known.
        entry.seqnum > visited.spot().seqnum
            && (way.leaps || entry.seqnum <= self.number_max.saturating_add(arrays.number_next()))
    }

    #[cold]
    fn trust(
        &mut self,
        bytes: &mut Bytes,
        arrays: &Arrays,
        visited: &mut Visited,
        way: Way,
        offset: u64,
        entry: &Cursor,
    ) -> Result<Trust, Fault> {
        let fits = self.has_fitting_number(arrays, visited, way, entry);
        if !fits {
            self.arise(bytes);
        }
        if (fits && !visited.is_behind_its_fields(offset))
            || (self.may_be_copied(bytes, arrays, visited, way, entry)
                && is_copied(bytes, visited.items(), offset, entry)? == Some(true))
            || (fits && is_from_before(bytes, arrays, way.time, entry)?)
        {
            self.arise(bytes);
            return Ok(Trust::Lies);
        }
        if !fits {
            let spot = Spot { offset, seqnum: entry.seqnum };
            match judge_number(bytes, arrays, visited, way, spot)? {
                Trust::Deserved => {
                    if self.early.recall(bytes, arrays.number_visited(), spot)?.is_none() {
                        return Ok(Trust::Lies);
                    }
                }
                other => return Ok(other),
            }
        } else if is_overtaken(bytes, arrays, way, entry) {
            self.arise(bytes);
            if is_overtaken_twice(bytes, arrays, entry)? {
                return Ok(Trust::Lies);
            }
        }
        // The clock was set back, or the machine has started again.
        if self.proof.is_none() {
            return Ok(Trust::Deserved);
        }
        if self.early.contains(entry) {
            return Ok(Trust::Lies);
        }
        self.verify(bytes, arrays, visited, offset, entry)?;
        Ok(Trust::Deserved)
    }

    /// Whether the entry last visited may have come from another place: it is older than the one before it, or of another
    /// boot and newer than the one behind it. In a file in doubt, also where numbers are missing before it.
    fn may_be_copied(
        &self,
        bytes: &Bytes,
        arrays: &Arrays,
        visited: &Visited,
        way: Way,
        entry: &Cursor,
    ) -> bool {
        entry.realtime < way.time
            || (entry.boot_id != way.boot && is_ahead(bytes, arrays, way, entry))
            || (self.proof.is_some() && entry.seqnum != visited.spot().seqnum + 1)
    }

    /// The entry at this place, which stands where an entry should, is not handed on.
    pub(crate) fn refuse(&mut self, bytes: &Bytes, offset: u64, reason: Reason, fault: &Fault) {
        self.early.refuse(offset);
        self.lose(bytes, reason, 1, fault);
    }

    /// Checks the entry last visited, which stands at `offset`, by its hashes. If fields are damaged and the entry is not,
    /// they are left out of it.
    ///
    /// # Errors
    /// What is not as journald wrote it.
    pub(crate) fn verify(
        &mut self,
        bytes: &mut Bytes,
        arrays: &Arrays,
        visited: &mut Visited,
        offset: u64,
        entry: &Cursor,
    ) -> Result<(), Fault> {
        let around = Around { next: arrays.number_next(), searching: self.search.is_some() };
        self.arise(bytes).verify(bytes, visited, around, offset, entry)
    }

    /// Before a search: when an array leads back to an entry that stands before the last one, an earlier item has led too
    /// far. The entries between were not read yet. `offsets` come next in the arrays, after `count` entries.
    pub(crate) fn go_back(&mut self, bytes: &mut Bytes, visited: &mut Visited, offsets: &[u64], count: u64) {
        let last = visited.spot().offset;
        let leads_back = |offset: &&u64| **offset <= last && bytes.entry_at(**offset).is_ok();
        if let Some(offset) = offsets.iter().find(leads_back).copied()
            && let Ok((entry, _)) = bytes.entry_at(offset)
            && let Ok(Some(before)) = self.early.recall(bytes, count, Spot { offset, seqnum: entry.seqnum })
        {
            visited.arrive(before);
        }
    }

    /// Before a search: the arrays may have led past entries before the fault was met. Makes the search begin some entries
    /// before it, and remembers those that were handed on.
    pub(crate) fn look_back(&mut self, bytes: &mut Bytes, arrays: &Arrays, visited: &mut Visited) {
        let count = arrays.number_next();
        let begin = Chain::read(bytes).and_then(|chain| {
            let offset = chain.offset_at(bytes, count.saturating_sub(LOOKED_BACK))?;
            Ok(Spot { offset, seqnum: bytes.entry_at(offset)?.0.seqnum })
        });
        if let Ok(begin) = begin
            && let Ok(Some(before)) = self.early.recall(bytes, count, begin)
        {
            visited.arrive(before);
        }
    }

    /// Goes on without arrays, from the last entry that was handed on.
    pub(crate) fn begin_search(&mut self, bytes: &Bytes, visited: &Visited, reason: Reason, fault: &Fault) {
        let reason = self.lose(bytes, reason, 0, fault);
        self.search = Some(Search::new(bytes, visited, reason));
        self.bound(bytes.header());
    }

    /// Whether entries are searched for.
    #[inline]
    pub(crate) fn searches(&self) -> bool {
        self.search.is_some()
    }

    /// The next entry that the search finds; `None` at the end. What the header promises and was not found until then is
    /// lost.
    #[cold]
    pub(crate) fn search_on(
        &mut self,
        bytes: &mut Bytes,
        arrays: &mut Arrays,
        visited: &mut Visited,
    ) -> Result<Option<Cursor>, Fault> {
        self.arise(bytes);
        let (Some(search), Some(proof)) = (&mut self.search, &mut self.proof) else { return Ok(None) };
        let next = arrays.number_next();
        let mut tools = Tools { bytes, visited, proof, early: &self.early, next };
        match search.next(&mut tools)? {
            Found::Entry(entry, spot) => {
                visited.arrive(spot);
                arrays.count(1);
                Ok(Some(entry))
            }
            Found::Wait => Ok(None),
            Found::End => {
                let lost = bytes.header().promised().saturating_sub(arrays.taken());
                arrays.count(lost);
                self.ledger.add(search.reason(), lost);
                Ok(None)
            }
        }
    }

    /// Enters a loss of so many entries under the reason that the fault itself tells, or this one, and returns that.
    /// From now on the file is in doubt.
    pub(crate) fn lose(&mut self, bytes: &Bytes, reason: Reason, count: u64, fault: &Fault) -> Reason {
        self.arise(bytes);
        let reason = match fault {
            _ if bytes.is_gone() => Reason::Deleted,
            Fault::Packed { .. } => Reason::Unpack,
            Fault::Hash { .. } => Reason::Hash,
            Fault::Io(_) => Reason::Unreadable,
            _ => reason,
        };
        self.ledger.lose(reason, count, fault);
        reason
    }

    /// Counts the fields that were left out of the entry last handed on.
    pub(crate) fn count_left_out(&mut self, visited: &Visited) {
        let Some(proof) = &self.proof else { return };
        let count = visited.left_out();
        if count > 0
            && let Some(fault) = proof.why_left_out()
        {
            self.ledger.leave_out(count as u64, &fault);
        }
    }

    /// Counts the rest of the file as lost and reads no more of it.
    pub(crate) fn give_up(&mut self, bytes: &Bytes, arrays: &mut Arrays, fault: &Fault) {
        arrays.unread(bytes, 0);
        let rest = bytes.header().promised().saturating_sub(arrays.taken());
        self.lose(bytes, Reason::Array, rest, fault);
        arrays.count(rest);
        self.dead = true;
    }

    /// Reads no more of the file and counts nothing: it was deleted, and the numbers of other files tell of the gap.
    pub(crate) fn let_go(&mut self, bytes: &Bytes, arrays: &mut Arrays) {
        arrays.unread(bytes, 0);
        arrays.end(bytes);
        self.dead = true;
    }

    /// Counts what the header promises and nothing has shown as lost: the file is read to its end and will not grow.
    pub(crate) fn close_account(&mut self, bytes: &Bytes, arrays: &mut Arrays) {
        let rest = bytes.header().promised().saturating_sub(arrays.taken());
        if rest > 0 {
            let fault = Fault::Damaged { what: "the arrays end early", offset: arrays.items_at() };
            self.lose(bytes, Reason::Array, rest, &fault);
            arrays.count(rest);
        }
    }

    /// Whether nothing more can be read.
    #[inline]
    pub(crate) fn is_dead(&self) -> bool {
        self.dead
    }

    /// What could not be read.
    #[inline]
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The first loss of each kind that was not told yet.
    pub(crate) fn take_news(&mut self) -> Vec<News> {
        self.ledger.take_news()
    }
}
