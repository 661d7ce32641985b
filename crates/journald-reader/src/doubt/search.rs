//! Entries found without arrays: where those that should name them are damaged, the file itself is looked through.
//!
//! Objects are aligned to eight bytes, and new ones are appended, so the bytes behind the last entry that was handed
//! on are looked at word by word. Sizes are not followed, since a wrong size would lead past entries; only what its
//! hash proves to be a payload is passed over whole, so that no sender can hide a forged entry in a payload. An
//! ENTRY counts when its number is above the last one and not above what the header has published, its items
//! stand before it, and its hashes agree.
//!
//! The search goes forward only, in the forward window, and the work that it spends on places where nothing stands is
//! bounded. Once it has begun it goes on to the file's end: arrays are not read again, so no entry comes twice.

use super::loss::Reason;
use super::proof::{Around, Proof};
use super::repeat::{Early, LOOKED_AHEAD, is_copied};
use crate::bytes::Bytes;
use crate::cursor::Cursor;
use crate::entries::visited::{Spot, Visited};
use crate::format::fault::Fault;
use crate::format::object::{self, Hashing, u64_at};
use crate::format::step::Position;

/// Bytes that may be hashed for what proves to be neither entry nor payload (a quarter of a second, about).
const WASTED_MAX: u64 = 128 << 20;

/// A search that goes on.
pub(crate) struct Search {
    /// The next place to look at.
    at: Position,
    /// Why it began: the reason that entries which it does not find are lost for.
    reason: Reason,
    /// Where an entry was waited for that was being written, and how many entries there were then.
    waited: Option<(u64, u64)>,
    /// Bytes that were hashed in vain.
    wasted: u64,
}

/// What a search has come to.
pub(crate) enum Found {
    /// An entry, which stands here.
    Entry(Cursor, Spot),
    /// An entry that is being written: the same place is looked at again next time.
    Wait,
    /// The file's end.
    End,
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

/// What a search reads with, and what it asks.
pub(crate) struct Tools<'a> {
    pub bytes: &'a mut Bytes,
    pub visited: &'a mut Visited,
    pub proof: &'a mut Proof,
    pub early: &'a Early,
    /// The number of the next entry in the arrays, counted from zero.
    pub next: u64,
}

impl Search {
    /// A search that begins behind the last entry that was handed on.
    pub(crate) fn new(bytes: &Bytes, visited: &Visited, reason: Reason) -> Search {
        let start = Position::from(bytes.header().objects_start);
        let at = start.max(Position::from(visited.spot().offset).over(0));
        Search { at, reason, waited: None, wasted: 0 }
    }

    /// The reason that entries which are not found are lost for.
    pub(crate) fn reason(&self) -> Reason {
        self.reason
    }

    /// The next entry.
    pub(crate) fn next(&mut self, tools: &mut Tools<'_>) -> Result<Found, Fault> {
        loop {
            let (step, at) = self.look_from(tools, self.at)?;
            let (found, next) = match step {
                Step::Entry(entry, size) => match self.confirm(tools, &entry, at, size)? {
                    true => (Some(entry), at.over(size)),
                    false => (None, at.over(0)),
                },
                Step::Over(len) => (None, at.over(len)),
                // The same place is looked at again next time.
                Step::Wait | Step::End => (None, at),
            };
            self.at = next;
            if let Some(entry) = found {
                return Ok(Found::Entry(entry, Spot { offset: at.offset(), seqnum: entry.seqnum }));
            }
            match step {
                Step::End => return Ok(Found::End),
                Step::Wait => return Ok(Found::Wait),
                Step::Entry(..) | Step::Over(_) => {}
            }
        }
    }

    /// Looks at one place after another until something stands there, and says where.
    fn look_from(&mut self, tools: &mut Tools<'_>, mut at: Position) -> Result<(Step, Position), Fault> {
        loop {
            match self.look_at(tools, at.offset())? {
                Step::Over(len) => at = at.over(len),
                step => return Ok((step, at)),
            }
        }
    }

    /// Whether an entry stands at its own place with its own number, which is under no hash. When numbers are missing before
    /// it or fields are left out, the lists of its fields tell. Where they do not, the next entry must not have a number up to its own, unless
    /// that entry is less whole: parts of two entries may stand there.
    fn confirm(
        &mut self,
        tools: &mut Tools<'_>,
        entry: &Cursor,
        at: Position,
        size: u64,
    ) -> Result<bool, Fault> {
        let left_out = tools.visited.left_out();
        if entry.seqnum - 1 == tools.visited.spot().seqnum && left_out == 0 {
            return Ok(true);
        }
        if is_copied(tools.bytes, tools.visited.items(), at.offset(), entry)? == Some(true) {
            return Ok(false);
        }
        let mut from = at.over(size);
        for _ in 0..LOOKED_AHEAD {
            let (Step::Entry(next, size), found) = self.look_from(tools, from)? else { break };
            let copied = is_copied(tools.bytes, tools.visited.items(), found.offset(), &next)?;
            let below = next.seqnum <= entry.seqnum && tools.visited.left_out() <= left_out;
            match copied {
                Some(true) => {}
                _ if below => return Ok(false),
                // It stands at its own place.
                Some(false) => break,
                None => {}
            }
            from = found.over(size);
        }
        // If the file was changed meanwhile, another entry may stand here.
        let again = tools.visited.visit(tools.bytes, at.offset());
        if again.as_ref().is_ok_and(|again| again == entry) {
            return Ok(tools.verify(at.offset(), entry).is_ok());
        }
        match again {
            Err(fault @ Fault::Io(_)) => Err(fault),
            _ => Ok(false),
        }
    }

    /// Looks at a place, and over what is of no interest behind it.
    fn look_at(&mut self, tools: &mut Tools<'_>, at: u64) -> Result<Step, Fault> {
        let last = tools.last_place();
        if at > last {
            return Ok(Step::End);
        }
        match tools.bytes.show_ahead(at, 16) {
            Ok(()) => {}
            Err(Fault::Damaged { .. }) => return Ok(Step::End),
            Err(fault) => return Err(fault),
        }
        let (words, _) = tools.bytes.windows().ahead_from(at).as_chunks::<8>();
        let over = words.iter().position(is_interesting).unwrap_or(words.len()) as u64;
        if over > 0 {
            // Where nothing is written yet, the next object may come to stand.
            return Ok(Step::Over((over * 8).min(last + 8 - at)));
        }
        let head = tools.bytes.windows().ahead(at, 16).unwrap_or_default();
        let (kind, size) = (head.first().copied().unwrap_or(0), u64_at(head, 8));
        if self.wasted > WASTED_MAX {
            return Ok(Step::Over(8));
        }
        let before = tools.proof.payloads().hashed();
        let result = match kind {
            object::TYPE_ENTRY => self.look_at_entry(tools, at, size),
            _ => tools.payload_size(at).map(Step::Over),
        };
        match result {
            Ok(step) => Ok(step),
            Err(Fault::Io(error)) => Err(Fault::Io(error)),
            Err(_) => {
                let spent = tools.proof.payloads().hashed() - before;
                self.wasted += spent + object::ENTRY_SIZE_MIN as u64;
                Ok(Step::Over(8))
            }
        }
    }

    fn look_at_entry(&mut self, tools: &mut Tools<'_>, at: u64, size: u64) -> Result<Step, Fault> {
        let seen = tools.visited.visit(tools.bytes, at);
        let header = *tools.bytes.header();
        if !seen.as_ref().is_ok_and(|entry| header.has_published(entry)) {
            // An entry is finished when it is the last object, or the arrays are just getting longer for it.
            let end = Position::from(at).over(size).offset();
            let fresh = tools.bytes.grows() && (at == header.tail_object || end == header.tail_object);
            let now = (at, header.n_entries);
            if fresh && self.waited.is_none_or(|waited| waited.0 != at || waited == now) {
                self.waited = Some(now);
                return Ok(Step::Wait);
            }
        }
        let entry = seen?;
        // The size was read before the entry was: it must be the size of what was read.
        let items = tools.visited.items();
        let whole = size == (object::ENTRY_SIZE_MIN + items.len() * header.entry_item_size()) as u64;
        let ordered = items.is_sorted() && items.last().is_some_and(|last| *last < at);
        if !whole
            || !ordered
            || tools.early.contains(&entry)
            || entry.seqnum <= tools.visited.spot().seqnum
            || !header.has_published(&entry)
        {
            return Err(Fault::Damaged { what: "no entry", offset: at });
        }
        tools.verify(at, &entry)?;
        Ok(Step::Entry(entry, size))
    }
}

impl Tools<'_> {
    /// Checks the entry last visited by its hashes.
    fn verify(&mut self, at: u64, entry: &Cursor) -> Result<(), Fault> {
        let around = Around { next: self.next, searching: true };
        self.proof.verify(self.bytes, self.visited, around, at, entry)
    }

    /// The size of the sound payload at a place (bytes). Where payloads cannot be proved, an object must follow.
    fn payload_size(&mut self, at: u64) -> Result<u64, Fault> {
        let size = self.proof.payloads().verify(self.bytes, at)?;
        if self.bytes.header().hashing != Hashing::Unknown {
            return Ok(size);
        }
        let next = Position::from(at).over(size).offset();
        let head = if next > self.last_place() { 0 } else { u64_at(self.bytes.show_behind(next, 8)?, 0) };
        // Type, flags and zeros; zeros alone where nothing is written any more.
        match head & !0x07ff == 0 && head & 0xff <= object::TYPE_MAX {
            true => Ok(size),
            false => Err(Fault::Damaged { what: "an object that none follows", offset: at }),
        }
    }

    /// The last place where an object can begin. Behind the last object of a file that grows nothing is written yet.
    fn last_place(&self) -> u64 {
        let header = self.bytes.header();
        let last = header.objects_end.saturating_sub(object::ENTRY_SIZE_MIN as u64);
        match self.bytes.grows() && header.tail_object >= self.visited.spot().offset {
            true => header.tail_object.min(last),
            false => last,
        }
    }
}

/// Whether an object that the search is after may begin with this word: type, flags and zeros.
fn is_interesting(word: &[u8; 8]) -> bool {
    let word = u64::from_le_bytes(*word);
    word == u64::from(object::TYPE_ENTRY) || word & !0x0700 == u64::from(object::TYPE_DATA)
}
