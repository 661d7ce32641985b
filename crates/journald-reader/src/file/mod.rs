//! One journal file, read forward: entries in the order of its entry arrays.
//!
//! A [`JournalFile`] puts the parts of a file together; each part owns its fields:
//!
//! ```text
//!  Bytes      handle, header, windows, checks      reads bytes at any offset
//!  Arrays     the place in the entry arrays        `go_to` is the only way to another place
//!  Visited    the entry visited last               its fields' places, its number
//!  Selection  which entries are wanted             tests, walks, may leave a walk by `go_to`
//!  Doubt      what is not believed, what is lost   proves, searches forward, counts losses
//! ```
//!
//! What a part may do is in the signatures: loading fields takes `&Visited` and `&mut Bytes`, so it cannot seek; only
//! what takes `&mut Arrays` can. Everything a file says is checked before it is used: type, size, place, number, time.

pub(crate) mod backward;
mod load;

use std::path::Path;
use std::sync::Arc;

use crate::bytes::Bytes;
use crate::cursor::{Cursor, Id128};
use crate::doubt::loss::{Ledger, News, Reason};
use crate::doubt::{Doubt, Trust};
use crate::entries::arrays::{Arrays, Part};
use crate::entries::chain::Chain;
use crate::entries::place::{Place, Side};
use crate::entries::visited::{Spot, Visited};
use crate::fields::Fields;
use crate::format::decompress::Decompressor;
use crate::format::fault::Fault;
use crate::format::object::Header;
use crate::scan::FileId;
use crate::select::Selection;
use crate::select::filter::Filter;
use crate::select::lookup;
use load::Loader;

/// An open journal file and the place that has been reached in it.
pub(crate) struct JournalFile {
    bytes: Bytes,
    arrays: Arrays,
    visited: Visited,
    selection: Selection,
    doubt: Doubt,
}

impl JournalFile {
    /// Opens a file, known under this name, and reads its header. All of its entries are wanted.
    pub(crate) fn open(path: &Path, id: FileId) -> Result<JournalFile, Fault> {
        let bytes = Bytes::open(path, id)?;
        let header = *bytes.header();
        let mut file = JournalFile {
            bytes,
            arrays: Arrays::default(),
            visited: Visited::default(),
            selection: Selection::new(None),
            doubt: Doubt::new(&header),
        };
        file.named(path);
        if let Some(what) = header.trouble {
            let fault = Fault::Damaged { what, offset: 0 };
            match header.lost {
                true => file.doubt.begin_search(&file.bytes, &file.visited, Reason::Header, &fault),
                false => drop(file.lose(Reason::Header, 0, &fault)),
            }
        }
        Ok(file)
    }

    /// The same file, of which only some entries are wanted.
    pub(crate) fn filtered(mut self, filter: Option<&Arc<Filter>>) -> JournalFile {
        self.selection = Selection::new(filter);
        self
    }

    /// The file has this name (now). A file that journald has put aside as unclean, or that its writer has left open for
    /// good, is in doubt.
    pub(crate) fn named(&mut self, path: &Path) {
        self.bytes.rename(path);
        if self.bytes.is_unclean() {
            self.doubt.arise(&self.bytes);
        }
    }

    /// The file itself: whether it is open, linked, still growing.
    #[inline]
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The header at the last look.
    #[inline]
    pub(crate) fn header(&self) -> &Header {
        self.bytes.header()
    }

    /// The entries of this file, whose header is lost, belong to this counter.
    pub(crate) fn set_counter(&mut self, id: Id128) {
        self.bytes.set_counter(id);
    }

    /// Looks at the header again; true when there are more entries than at the last look.
    pub(crate) fn refresh(&mut self) -> Result<bool, Fault> {
        let growth = self.bytes.refresh()?;
        self.doubt.bound(self.bytes.header());
        // A search looks at objects that are not in the arrays yet.
        if growth.entries || (self.doubt.searches() && growth.objects) {
            self.forget();
        }
        Ok(growth.entries)
    }

    /// The bytes in the windows are old.
    fn forget(&mut self) {
        self.bytes.windows_mut().forget();
        self.doubt.forget_flaws();
    }

    /// Gives the windows' memory back: the end has been reached and nothing may come for long.
    pub(crate) fn rest(&mut self) {
        self.bytes.windows_mut().rest();
    }

    /// Its turn begins: of the memory for the windows of all files that are read by turns it takes about this much (bytes),
    /// and more only if the turn is a long one.
    pub(crate) fn begin_turn(&mut self, share: usize) {
        self.bytes.windows_mut().begin_turn(share);
    }

    /// Its turn is over: gives back what it has taken beyond its share (bytes).
    pub(crate) fn end_turn(&mut self, share: usize) {
        self.bytes.windows_mut().end_turn(share);
    }

    /// Visits the next wanted entry that can be trusted, and returns its cursor; [`JournalFile::load`] gives its fields.
    /// `None` at the end. Damaged entries are skipped, and counted as soon as their number is known.
    pub(crate) fn next(&mut self) -> Result<Option<Cursor>, Fault> {
        if self.selection.is_filtered() {
            self.selection.prepare(&mut self.bytes, &self.arrays, &self.visited)?;
        }
        loop {
            if self.doubt.is_dead() {
                return Ok(None);
            }
            if self.doubt.searches() {
                match self.search_on()? {
                    Some((cursor, true)) => return Ok(Some(cursor)),
                    Some((cursor, false)) => self.pass(cursor),
                    None => return Ok(None),
                }
                continue;
            }
            let (at, fault) = match self.next_offset() {
                Ok(Some(offset)) => match self.step_to(offset) {
                    Ok(Some(cursor)) => return Ok(Some(cursor)),
                    Ok(None) => continue,
                    Err(fault) => (Some(offset), fault),
                },
                Ok(None) => match self.doubt.hidden(&self.bytes, &self.visited)? {
                    None => return Ok(None),
                    Some(fault) => {
                        self.doubt.begin_search(&self.bytes, &self.visited, Reason::Header, &fault);
                        continue;
                    }
                },
                Err(fault) => (None, fault),
            };
            self.go_on_after(fault, at)?;
        }
    }

    /// The next entry that a search finds, and whether it is wanted.
    fn search_on(&mut self) -> Result<Option<(Cursor, bool)>, Fault> {
        let JournalFile { bytes, arrays, visited, selection, doubt } = self;
        let Some(cursor) = doubt.search_on(bytes, arrays, visited)? else { return Ok(None) };
        let wanted = selection.admit(bytes, visited, &cursor, visited.spot().offset)?;
        Ok(Some((cursor, wanted)))
    }

    /// Where the next entry stands: an entry that was kept, one that is looked up, or the next one in the arrays.
    #[inline]
    fn next_offset(&mut self) -> Result<Option<u64>, Fault> {
        let JournalFile { bytes, arrays, visited, selection, doubt } = self;
        if let Some(kept) = arrays.take_kept() {
            return Ok(Some(kept));
        }
        if let Some(offset) = selection.next_walked(bytes, arrays, visited)? {
            return Ok(Some(offset));
        }
        loop {
            if let Some(offset) = arrays.take() {
                return Ok(Some(offset));
            }
            match arrays.read_on(bytes)? {
                Part::Offsets => {}
                Part::End => return Ok(None),
                Part::Disordered(offsets, fault) => {
                    doubt.go_back(bytes, visited, &offsets, arrays.taken());
                    return Err(fault);
                }
            }
        }
    }

    /// Visits the entry at an offset; `None` when it is passed over.
    ///
    /// # Errors
    /// When nothing says that the next entry stands where the arrays have it.
    #[inline]
    fn step_to(&mut self, offset: u64) -> Result<Option<Cursor>, Fault> {
        let JournalFile { bytes, arrays, visited, selection, doubt } = self;
        let cursor = match visited.visit(bytes, offset) {
            Ok(cursor) => cursor,
            Err(fault) => {
                if !selection.way().walks {
                    doubt.go_back(bytes, visited, &[offset], arrays.number_visited());
                }
                return Err(fault);
            }
        };
        match doubt.judge(bytes, arrays, visited, selection.way(), offset, &cursor) {
            Ok(Trust::Deserved) => {
                let wanted = selection.admit(bytes, visited, &cursor, offset)?;
                visited.arrive(Spot { offset, seqnum: cursor.seqnum });
                if wanted {
                    return Ok(Some(cursor));
                }
                selection.pass(cursor);
                Ok(None)
            }
            Ok(Trust::Skips) => {
                Err(Fault::Damaged { what: "entries that the arrays leave out before that", offset })
            }
            // It stands where an entry should, and so will the next.
            Ok(Trust::Lies) => {
                let fault = Fault::Damaged { what: "an entry out of the order of numbers", offset };
                doubt.refuse(bytes, offset, Reason::Entry, &fault);
                Ok(None)
            }
            Err(fault @ Fault::Io(_)) => Err(fault),
            Err(fault) => {
                doubt.refuse(bytes, offset, Reason::Field, &fault);
                Ok(None)
            }
        }
    }

    /// Finds a way to go on after a fault in the entry at an offset, or in the arrays.
    ///
    /// # Errors
    /// When the file cannot be read: it may be found again.
    #[cold]
    fn go_on_after(&mut self, fault: Fault, at: Option<u64>) -> Result<(), Fault> {
        let JournalFile { bytes, arrays, visited, selection, doubt } = self;
        if let Fault::Io(_) = fault {
            arrays.keep(at);
            return Err(fault);
        }
        match selection.give_up_walk(at, bytes, arrays, visited) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(fault @ Fault::Io(_)) => return Err(fault),
            Err(fault) => {
                doubt.begin_search(bytes, visited, Reason::Array, &fault);
                return Ok(());
            }
        }
        arrays.unread(bytes, u64::from(at.is_some()));
        if bytes.grows() && doubt.look_twice(arrays) {
            // Another processor may see what journald writes in another order: the same again, with fresh bytes.
            // A header that cannot be read is noticed below.
            self.refresh().ok();
            self.forget();
            return Ok(());
        }
        doubt.look_back(bytes, arrays, visited);
        let reason = if at.is_some() { Reason::Entry } else { Reason::Array };
        doubt.begin_search(bytes, visited, reason, &fault);
        Ok(())
    }

    /// The entry last visited is passed over.
    pub(crate) fn pass(&mut self, entry: Cursor) {
        self.selection.pass(entry);
    }

    /// The entry passed over last on the way to the one last visited, or to the end.
    pub(crate) fn passed(&self) -> Option<Cursor> {
        self.selection.passed()
    }

    /// Entries passed over because they are not wanted (count).
    pub(crate) fn unwanted(&self) -> u64 {
        self.selection.unwanted()
    }

    /// The place of the entry last visited among the wanted ones of its microsecond that stand with it, from zero.
    #[inline]
    pub(crate) fn ordinal(&self) -> u64 {
        self.selection.ordinal()
    }

    /// Adds the fields of the entry last handed on. `tag` names this file among the reader's.
    ///
    /// A damaged field is left out and counted, and the file is in doubt from now on.
    ///
    /// # Errors
    /// When it is the entry that is damaged: it is counted as lost. Or when the file is no longer where it was: nothing is
    /// counted yet.
    pub(crate) fn load(
        &mut self,
        tag: u16,
        fields: &mut Fields,
        unpack: &mut Decompressor,
    ) -> Result<(), Fault> {
        let loaded = match self.load_once(tag, fields, unpack) {
            Err(fault) if !matches!(fault, Fault::Io(_)) => {
                self.verify_again(fault).and_then(|()| self.load_once(tag, fields, unpack))
            }
            loaded => loaded,
        };
        match &loaded {
            Ok(()) => self.doubt.count_left_out(&self.visited),
            // A file that was renamed may be found again.
            Err(fault) if fault.is_moved() => {}
            Err(fault) => drop(self.doubt.lose(&self.bytes, Reason::Field, 1, fault)),
        }
        loaded
    }

    fn load_once(&mut self, tag: u16, fields: &mut Fields, unpack: &mut Decompressor) -> Result<(), Fault> {
        let JournalFile { bytes, visited, doubt, .. } = self;
        Loader { bytes, visited, in_doubt: doubt.exists(), fields, unpack }.load(tag)
    }

    /// Something in the entry last visited is damaged: finds out whether the entry can be handed on without it.
    #[cold]
    fn verify_again(&mut self, fault: Fault) -> Result<(), Fault> {
        let JournalFile { bytes, arrays, visited, doubt, .. } = self;
        doubt.arise(bytes);
        let Spot { offset, seqnum } = visited.spot();
        let entry = visited.read(bytes, offset)?;
        // If the file was changed meanwhile, another entry may stand here.
        if entry.seqnum != seqnum {
            return Err(fault);
        }
        doubt.verify(bytes, arrays, visited, offset, &entry)
    }

    /// How all entries of this file lie to a place; needs few reads. `still`: nothing is written to the file.
    pub(crate) fn side(&mut self, place: Place, still: bool) -> Result<Side, Fault> {
        place.side(&mut self.bytes, still)
    }

    /// Goes to a place, so that [`JournalFile::next`] gives the first entry behind it; entries must be in the order that
    /// the place speaks of, as journald writes them.
    ///
    /// The entry just before that place has been passed then; those of its microsecond that stand with it are counted,
    /// so that places in a microsecond do not depend on where reading began.
    pub(crate) fn seek(&mut self, place: Place) -> Result<(), Fault> {
        let JournalFile { bytes, arrays, visited, selection, .. } = self;
        selection.look_up(bytes, visited.items())?;
        let chain = Chain::read(bytes)?;
        let target = chain.find(bytes, place)?;
        let last = target.checked_sub(1).and_then(|number| chain.cursor_at(bytes, number).ok());
        arrays.go_to(bytes, visited, &chain, target, last.map(|last| last.seqnum))?;
        let together = match last {
            Some(last) => selection.count_together(bytes, &chain, target, last.realtime)?,
            None => 0,
        };
        selection.begin_behind(bytes, last, together);
        Ok(())
    }

    /// Whether an entry stands in this file, as far as its arrays tell.
    pub(crate) fn holds_entry(&mut self, entry: &Cursor) -> Result<bool, Fault> {
        Chain::read(&self.bytes)?.holds(&mut self.bytes, entry)
    }

    /// The entries of this file that are equal to this one, of whatever counter, as far as its arrays tell.
    pub(crate) fn equal_entries(&mut self, entry: &Cursor) -> Result<Vec<Cursor>, Fault> {
        lookup::equal_entries(&mut self.bytes, entry)
    }

    /// The latest time of a boot (monotonic, microseconds) among its entries up to this number; `None` if it has none.
    pub(crate) fn latest_of_boot(&mut self, boot: Id128, number: u64) -> Result<Option<u64>, Fault> {
        lookup::latest_of_boot(&mut self.bytes, boot, number)
    }

    /// How many of its entries can be wanted at most, as far as its index tells.
    pub(crate) fn wanted_at_most(&mut self) -> Result<u64, Fault> {
        self.selection.look_up(&mut self.bytes, self.visited.items())?;
        Ok(self.selection.wanted_at_most().unwrap_or(self.bytes.header().n_entries))
    }

    /// Whether hashes are looked at, because something looked wrong.
    #[inline]
    pub(crate) fn in_doubt(&self) -> bool {
        self.doubt.exists()
    }

    /// Enters a loss of so many entries under the reason that the fault itself tells, or this one, and returns that.
    /// From now on the file is in doubt.
    pub(crate) fn lose(&mut self, reason: Reason, count: u64, fault: &Fault) -> Reason {
        self.doubt.lose(&self.bytes, reason, count, fault)
    }

    /// What could not be read.
    #[inline]
    pub(crate) fn ledger(&self) -> &Ledger {
        self.doubt.ledger()
    }

    /// The first loss of each kind that was not told yet.
    pub(crate) fn take_news(&mut self) -> Vec<News> {
        self.doubt.take_news()
    }

    /// Counts the rest of the file as lost and reads no more of it.
    pub(crate) fn give_up(&mut self, fault: &Fault) {
        self.doubt.give_up(&self.bytes, &mut self.arrays, fault);
    }

    /// Reads no more of the file and counts nothing: it was deleted, and the numbers of other files tell of the gap.
    pub(crate) fn let_go(&mut self) {
        self.doubt.let_go(&self.bytes, &mut self.arrays);
    }

    /// Counts what the header promises and nothing has shown as lost: the file is read to its end and will not grow.
    pub(crate) fn close_account(&mut self) {
        self.doubt.close_account(&self.bytes, &mut self.arrays);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test stops at the first surprise

    use std::os::unix::fs::FileExt;
    use std::path::Path;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

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
                    objects.push(file.visited.spot().offset);
                    objects.extend(file.visited.items());
                }
                // Every payload is remembered as sound; then the sizes of all change.
                let writer = std::fs::File::options().write(true).open(&path).unwrap();
                for object in &objects {
                    writer.write_all_at(&size.to_le_bytes(), object + 8).unwrap();
                }
                file.visited.arrive(Spot::default());
                file.bytes.windows_mut().forget();
                let fault = Fault::Damaged { what: "a test", offset: 0 };
                file.doubt.begin_search(&file.bytes, &file.visited, Reason::Array, &fault);
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
