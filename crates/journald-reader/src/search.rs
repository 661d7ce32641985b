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
use super::object::{self, Hashing, u64_at};
use super::step::Position;

/// Bytes that may be hashed for what proves to be no entry and no payload (a quarter of a second, about).
const WASTED_MAX: u64 = 128 << 20;

/// A search that goes on.
pub(super) struct Search {
    /// The next place to look at.
    at: Position,
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
        let at = Position::from(self.header.objects_start).max(Position::from(self.place.offset).over(0));
        self.search = Some(Search { at, reason, waited: None, wasted: 0 });
        self.bound();
    }

    /// The next entry that the search finds; `None` at the end.
    #[cold]
    pub(super) fn search_on(&mut self) -> Result<Option<Cursor>, Fault> {
        while let Some(from) = self.search.as_ref().map(|search| search.at) {
            let (step, at) = self.look_from(from)?;
            let (found, next) = match step {
                Step::Entry(entry, size) => match self.confirm(&entry, at, size)? {
                    true => (Some(entry), at.over(size)),
                    false => (None, at.over(0)),
                },
                Step::Over(len) => (None, at.over(len)),
                // The same place again, the next time somebody asks.
                Step::Wait | Step::End => (None, at),
            };
            if let Some(search) = &mut self.search {
                search.at = next;
            }
            if let Some(entry) = found {
                self.place = Spot { offset: at.offset(), seqnum: entry.seqnum };
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
    fn look_from(&mut self, mut at: Position) -> Result<(Step, Position), Fault> {
        loop {
            match self.look_at(at.offset())? {
                Step::Over(len) => at = at.over(len),
                step => return Ok((step, at)),
            }
        }
    }

    /// Whether an entry's number is its own. Numbers are under no hash: when some are missing before it, the next entry
    /// must not have one of them.
    fn confirm(&mut self, entry: &Cursor, at: Position, size: u64) -> Result<bool, Fault> {
        if entry.seqnum - 1 == self.place.seqnum {
            return Ok(true);
        }
        if let (Step::Entry(next, _), _) = self.look_from(at.over(size))?
            && next.seqnum <= entry.seqnum
        {
            return Ok(false);
        }
        // Whoever has changed the file meanwhile has made another entry of it.
        let again = self.visit(at.offset());
        if again.as_ref().is_ok_and(|again| again == entry) {
            return Ok(self.verify(at.offset(), entry).is_ok());
        }
        match again {
            Err(fault @ Fault::Io(_)) => Err(fault),
            _ => Ok(false),
        }
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
            _ => self.verify_data(at).and_then(|size| self.trust_size(at, size)).map(Step::Over),
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

    /// The size of the sound payload at a place. Where payloads cannot be proved, an object must follow.
    fn trust_size(&mut self, at: u64, size: u64) -> Result<u64, Fault> {
        if self.header.hashing != Hashing::Unknown {
            return Ok(size);
        }
        let next = Position::from(at).over(size).offset();
        let head = if next > self.last_place() { 0 } else { u64_at(self.show_behind(next, 8)?, 0) };
        // Type, flags and zeros; zeros alone where nothing is written any more.
        match head & !0x07ff == 0 && head & 0xff <= object::TYPE_MAX {
            true => Ok(size),
            false => Err(Fault::Damaged { what: "an object that none follows", offset: at }),
        }
    }

    /// The last place where an object can begin. Behind the last object of a file that grows nothing is written yet.
    fn last_place(&self) -> u64 {
        let last = self.header.objects_end.saturating_sub(object::ENTRY_SIZE_MIN as u64);
        match self.grows() && self.header.tail_object >= self.place.offset {
            true => self.header.tail_object.min(last),
            false => last,
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
            let end = Position::from(at).over(size).offset();
            let fresh = self.grows() && (at == last || end == last);
            let now = (at, self.header.n_entries);
            if let Some(search) = self.search.as_mut().filter(|_| fresh)
                && search.waited.is_none_or(|waited| waited.0 != at || waited == now)
            {
                search.waited = Some(now);
                return Ok(Step::Wait);
            }
        }
        let entry = seen?;
        // The size was read before the entry was: it must be that of what was read.
        let whole =
            size == (object::ENTRY_SIZE_MIN + self.items.len() * self.header.entry_item_size()) as u64;
        let ordered = self.items.is_sorted() && self.items.last().is_some_and(|last| *last < at);
        let early = self.came_early(&entry);
        if !whole
            || !ordered
            || early
            || entry.seqnum <= self.place.seqnum
            || !self.header.has_published(&entry)
        {
            return Err(Fault::Damaged { what: "no entry", offset: at });
        }
        self.verify(at, &entry)?;
        Ok(Step::Entry(entry, size))
    }
}

/// Whether an object that the search is after may begin with this word: type, flags and zeros.
fn is_interesting(word: &[u8; 8]) -> bool {
    let word = u64::from_le_bytes(*word);
    word == u64::from(object::TYPE_ENTRY) || word & !0x0700 == u64::from(object::TYPE_DATA)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test stops at the first surprise

    use std::os::unix::fs::FileExt;
    use std::path::Path;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::scan::FileId;

    #[test]
    fn a_size_that_is_another_after_it_was_checked_holds_up_no_search() {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo/journal/system.journal");
        for (size, name) in [(0u64, "nothing"), (1, "less than a head"), (u64::MAX - 3, "everything")] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a@1.journal~");
            std::fs::copy(&demo, &path).unwrap();
            let (send, ended) = mpsc::channel();
            std::thread::spawn(move || {
                let id = FileId::of(&std::fs::metadata(&path).unwrap());
                let mut file = JournalFile::open(&path, id).unwrap();
                let mut objects = Vec::new();
                while let Some(_entry) = file.next().unwrap() {
                    objects.push(file.place.offset);
                    objects.extend(&file.items);
                }
                // Every payload is remembered as sound; then the sizes of all change.
                let writer = std::fs::File::options().write(true).open(&path).unwrap();
                for object in &objects {
                    writer.write_all_at(&size.to_le_bytes(), object + 8).unwrap();
                }
                file.place = Spot::default();
                file.ahead.forget();
                file.begin_search(Reason::Array, &Fault::Damaged { what: "a test", offset: 0 });
                let mut found = 0;
                while file.search_on().unwrap().is_some() {
                    found += 1;
                }
                send.send(found).unwrap();
            });
            let found = ended.recv_timeout(Duration::from_secs(20));
            assert_eq!(found, Ok(0), "{name}");
        }
    }
}
