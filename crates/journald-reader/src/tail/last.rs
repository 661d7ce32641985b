//! The last entries of a journal, found from its end.

use std::path::PathBuf;
use std::sync::Arc;

use super::super::cursor::Cursor;
use super::super::entries::place::Place;
use super::super::file::JournalFile;
use super::super::file::backward::Backward;
use super::super::format::fault::Fault;
use super::super::scan::{FileId, Found};
use super::super::select::filter::Filter;
use super::Tail;
use super::copies::{add, equal_entries};

/// A file that is read backward.
struct Candidate {
    path: PathBuf,
    id: FileId,
    file: JournalFile,
    place: Option<Place>,
    backward: Option<Backward>,
    /// All entries, where they cannot be read backward: a file without a header has no arrays.
    all: Vec<Cursor>,
    /// The next entry, and its time; while it was not read, the latest time it may have (realtime, microseconds). `None`:
    /// no entry is left.
    head: Option<Cursor>,
    latest: Option<u64>,
}

impl Candidate {
    fn open(found: &Found, filter: Option<&Arc<Filter>>, until: Option<u64>) -> Result<Candidate, Fault> {
        let mut file = JournalFile::open(&found.path, found.id)?.filtered(filter);
        let (path, id) = (found.path.clone(), found.id);
        let mut all = Vec::new();
        if file.header().lost {
            while let Some(cursor) = file.next()? {
                all.push(cursor);
            }
            all.retain(|cursor| until.is_none_or(|until| cursor.realtime <= until));
            let latest = all.last().map(|last| last.realtime);
            return Ok(Candidate { path, id, file, place: None, backward: None, all, head: None, latest });
        }
        let (place, latest) = match until {
            Some(until) if file.header().head_realtime > until => (None, None),
            Some(until) if file.header().tail_realtime > until => {
                (Some(Place::Realtime(until.saturating_add(1))), Some(until))
            }
            _ => (None, Some(file.header().tail_realtime).filter(|time| *time > 0)),
        };
        file.bytes().close();
        Ok(Candidate { path, id, file, place, backward: None, all, head: None, latest })
    }

    /// The entries that are equal to this one and come behind the head: they were counted.
    fn counted(&self, entry: &Cursor) -> Vec<Cursor> {
        let first = match (&self.head, &self.backward) {
            (Some(head), _) => head.seqnum.saturating_add(1),
            (None, Some(_)) => 0,
            // Nothing was read, or there is nothing to find entries by.
            (None, None) => return Vec::new(),
        };
        equal_entries(&self.path, self.id, first..=u64::MAX, entry).unwrap_or_default()
    }

    /// Goes to the entry before.
    fn step(&mut self) {
        if self.file.header().lost {
            self.head = self.all.pop();
        } else {
            if self.backward.is_none() {
                self.backward = self.file.backward(self.place).ok();
            }
            self.head = self.backward.as_mut().and_then(|backward| self.file.previous(backward));
        }
        self.latest = self.head.map(|head| head.realtime);
        self.file.bytes().close();
    }
}

impl Tail {
    /// The time from which on the last `count` entries that are in scope were written (realtime, microseconds). Entries
    /// after `until` do not count. For a count of zero this is `u64::MAX`: no entry is wanted. `None` when there is no entry.
    ///
    /// Reads the headers of all files, and the entries of few.
    pub fn time_of_last(&mut self, count: u64, until: Option<u64>) -> Option<u64> {
        self.back(count, until).0
    }

    /// As [`Tail::time_of_last`], but `None` where there are fewer than `count` entries: then all of them are among the last.
    pub fn time_of_nth_last(&mut self, count: u64, until: Option<u64>) -> Option<u64> {
        let (time, left) = self.back(count, until);
        time.filter(|_| left == 0)
    }

    /// The time that was reached, and how many entries are missing.
    fn back(&mut self, count: u64, until: Option<u64>) -> (Option<u64>, u64) {
        let mut time = (count == 0).then_some(u64::MAX);
        let found = self.roots.scan().files;
        let mut candidates: Vec<Candidate> = found
            .iter()
            .filter_map(|found| Candidate::open(found, self.filter.as_ref(), until).ok())
            .collect();
        // The lowest time that was reached, its entries that were counted, and their copies.
        let mut lowest = u64::MAX;
        let mut counted: Vec<Cursor> = Vec::new();
        let mut left = count;
        let latest = |(_, candidate): &(usize, &mut Candidate)| (candidate.latest, candidate.head.is_some());
        while left > 0
            && let Some((index, candidate)) = candidates.iter_mut().enumerate().max_by_key(latest)
            && candidate.latest.is_some()
        {
            let head = candidate.head.take();
            candidate.step();
            let Some(head) = head else { continue };
            if head.realtime < lowest {
                lowest = head.realtime;
                counted.clear();
            }
            let is_copy = if head.realtime == lowest {
                let is_copy = head.is_copy(&counted);
                counted.push(head);
                is_copy
            } else {
                // The clock was set back; the turn of its copy may have been long before.
                let mut counted = Vec::new();
                for (other, candidate) in candidates.iter().enumerate() {
                    let mut equal = candidate.counted(&head);
                    equal.retain(|equal| other != index || *equal != head);
                    add(&mut counted, equal);
                }
                head.is_copy(&counted)
            };
            if !is_copy {
                time = Some(head.realtime);
                left -= 1;
            }
        }
        candidates.iter().for_each(|candidate| self.counts.read(candidate.file.bytes()));
        (time, left)
    }
}
