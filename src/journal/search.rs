//! Entries found without arrays: where those that should name them are damaged, the file itself is looked through.
//!
//! Objects are aligned to eight bytes, and new ones are appended, so what lies behind the last entry that was handed
//! on is looked at word by word. Sizes are not followed, since one that lies would lead past entries; only what its
//! hash proves to be a payload is passed over whole, so that nobody can put an entry of his own into one. An
//! ENTRY counts when its number is above the last one and not above what the header has published, its items
//! stand before it, and its hashes agree.
//!
//! The search goes forward only, in the forward window, and what it spends on things that prove to be nothing is
//! bounded. Once it has begun it goes on to the file's end: arrays are not read again, so no entry comes twice.

use super::cursor::Cursor;
use super::file::{Fault, JournalFile, Spot};
use super::loss::Reason;
use super::object::{self, u64_at};

/// Bytes that may be hashed for what proves to be no entry and no payload (a quarter of a second, about).
const WASTED_MAX: u64 = 128 << 20;

/// A search that goes on.
pub(super) struct Search {
    /// The next place to look at.
    at: u64,
    /// Why it began: the reason that entries which it does not find are lost for.
    reason: Reason,
    /// Where an entry was waited for that was being written, and how many entries there were then.
    waited: Option<(u64, u64)>,
    /// Bytes that were hashed in vain.
    wasted: u64,
}

/// What stands at a place.
#[derive(Clone, Copy)]
enum Step {
    /// An entry to be handed on; so long.
    Entry(Cursor, u64),
    /// Nothing of interest for so many bytes.
    Over(u64),
    /// An entry that is being written.
    Wait,
    /// The file's end.
    End,
}

impl JournalFile {
    /// Goes on without arrays, from the last entry that was handed on.
    pub(super) fn begin_search(&mut self, reason: Reason, fault: &Fault) {
        let reason = self.lose(reason, 0, fault);
        let at = self.header.objects_start.max(self.place.offset + 8).next_multiple_of(8);
        self.search = Some(Search { at, reason, waited: None, wasted: 0 });
        self.bound();
    }

    /// The next entry that the search finds; `None` at the end.
    #[cold]
    pub(super) fn search_on(&mut self) -> Result<Option<Cursor>, Fault> {
        while let Some(from) = self.search.as_ref().map(|search| search.at) {
            let (step, at) = self.look_from(from)?;
            let (found, on) = match step {
                Step::Entry(entry, size) => match self.confirm(&entry, at, size)? {
                    true => (Some(entry), size.next_multiple_of(8)),
                    false => (None, 8),
                },
                _ => (None, 0),
            };
            if let Some(search) = &mut self.search {
                search.at = at + on;
            }
            if let Some(entry) = found {
                self.place = Spot { offset: at, seqnum: entry.seqnum };
                self.visited += 1;
                return Ok(Some(entry));
            }
            match step {
                Step::End => {
                    self.settle();
                    break;
                }
                Step::Wait => break,
                Step::Entry(..) | Step::Over(_) => {}
            }
        }
        Ok(None)
    }

    /// Looks at one place after another until there is something, and says where.
    fn look_from(&mut self, mut at: u64) -> Result<(Step, u64), Fault> {
        loop {
            match self.look_at(at)? {
                Step::Over(len) => at = end_of(at, len),
                step => return Ok((step, at)),
            }
        }
    }

    /// Whether an entry's number is its own. Numbers are under no hash: when some are missing before it, the next entry
    /// must not have one of them.
    fn confirm(&mut self, entry: &Cursor, at: u64, size: u64) -> Result<bool, Fault> {
        if entry.seqnum - 1 == self.place.seqnum {
            return Ok(true);
        }
        if let (Step::Entry(next, _), _) = self.look_from(at + size.next_multiple_of(8))?
            && next.seqnum <= entry.seqnum
        {
            return Ok(false);
        }
        self.visit(at)?;
        Ok(true)
    }

    /// What the header promises and was not found is lost.
    fn settle(&mut self) {
        let lost = self.header.promised().saturating_sub(self.visited);
        self.visited += lost;
        if let Some(search) = &self.search {
            self.ledger.losses.add(search.reason, lost);
        }
    }

    /// Looks at a place, and over what is of no interest behind it.
    fn look_at(&mut self, at: u64) -> Result<Step, Fault> {
        let last = self.last_place();
        if at > last {
            return Ok(Step::End);
        }
        match self.show_ahead(at, 16) {
            Ok(()) => {}
            Err(Fault::Damaged { .. }) => return Ok(Step::End),
            Err(fault) => return Err(fault),
        }
        let (words, _) = self.ahead.from(at).as_chunks::<8>();
        let over = words.iter().position(is_interesting).unwrap_or(words.len()) as u64;
        if over > 0 {
            // Where nothing is written yet, the next object may come to stand.
            return Ok(Step::Over((over * 8).min(last + 8 - at)));
        }
        let head = self.ahead.get(at, 16).unwrap_or_default();
        let (kind, size) = (head.first().copied().unwrap_or(0), u64_at(head, 8));
        if self.search.as_ref().is_none_or(|search| search.wasted > WASTED_MAX) {
            return Ok(Step::Over(8));
        }
        let before = self.hashed();
        let result = match kind {
            object::TYPE_ENTRY => self.look_at_entry(at, size),
            _ => self.verify_data(at).map(|_| Step::Over(size)),
        };
        match result {
            Ok(step) => Ok(step),
            Err(Fault::Io(error)) => Err(Fault::Io(error)),
            Err(_) => {
                let spent = self.hashed() - before + object::ENTRY_SIZE_MIN as u64;
                if let Some(search) = &mut self.search {
                    search.wasted += spent;
                }
                Ok(Step::Over(8))
            }
        }
    }

    /// The last place where an object can begin. Behind the last object of a file that grows nothing is written yet.
    fn last_place(&self) -> u64 {
        match self.grows() && self.header.tail_object >= self.place.offset {
            true => self.header.tail_object,
            false => self.header.objects_end.saturating_sub(object::ENTRY_SIZE_MIN as u64),
        }
    }

    /// What was hashed so far (bytes).
    fn hashed(&self) -> u64 {
        self.doubt.as_ref().map_or(0, |doubt| doubt.hashed)
    }

    fn look_at_entry(&mut self, at: u64, size: u64) -> Result<Step, Fault> {
        let seen = self.visit(at);
        if !seen.as_ref().is_ok_and(|entry| self.header.has_published(entry)) {
            // An entry is finished when it is the last object, or the arrays are just getting longer for it.
            let last = self.header.tail_object;
            let fresh = self.grows() && (at == last || end_of(at, size) == last);
            let now = (at, self.header.n_entries);
            if let Some(search) = self.search.as_mut().filter(|_| fresh)
                && search.waited.is_none_or(|waited| waited.0 != at || waited == now)
            {
                search.waited = Some(now);
                return Ok(Step::Wait);
            }
        }
        let entry = seen?;
        let whole =
            (size - object::ENTRY_SIZE_MIN as u64).is_multiple_of(self.header.entry_item_size() as u64);
        let ordered = self.items.is_sorted() && self.items.last().is_some_and(|last| *last < at);
        if !whole || !ordered || entry.seqnum <= self.place.seqnum || !self.header.has_published(&entry) {
            return Err(Fault::Damaged { what: "no entry", offset: at });
        }
        self.verify(at, &entry)?;
        Ok(Step::Entry(entry, size))
    }
}

/// Where the next object can begin behind one of this size, which may be a lie.
fn end_of(at: u64, size: u64) -> u64 {
    at.saturating_add(size).checked_next_multiple_of(8).unwrap_or(u64::MAX)
}

/// Whether an object that the search is after may begin with this word: type, flags and zeros.
fn is_interesting(word: &[u8; 8]) -> bool {
    let word = u64::from_le_bytes(*word);
    word == u64::from(object::TYPE_ENTRY) || word & !0x0700 == u64::from(object::TYPE_DATA)
}
