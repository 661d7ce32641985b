//! The last entries of a journal, found from its end.

use std::sync::Arc;

use super::super::cursor::Cursor;
use super::super::entries::place::Place;
use super::super::file::JournalFile;
use super::super::file::backward::Backward;
use super::super::format::fault::Fault;
use super::super::scan::Found;
use super::super::select::filter::Filter;
use super::Tail;

/// A file that is read backward.
struct Candidate {
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
        let mut all = Vec::new();
        if file.header().lost {
            while let Some(cursor) = file.next()? {
                all.push(cursor);
            }
            all.retain(|cursor| until.is_none_or(|until| cursor.realtime <= until));
            let latest = all.last().map(|last| last.realtime);
            return Ok(Candidate { file, place: None, backward: None, all, head: None, latest });
        }
        let (place, latest) = match until {
            Some(until) if file.header().head_realtime > until => (None, None),
            Some(until) if file.header().tail_realtime > until => {
                (Some(Place::Realtime(until.saturating_add(1))), Some(until))
            }
            _ => (None, Some(file.header().tail_realtime).filter(|time| *time > 0)),
        };
        file.bytes().close();
        Ok(Candidate { file, place, backward: None, all, head: None, latest })
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
        // The entries of one microsecond that were counted, and their copies.
        let mut counted: Vec<Cursor> = Vec::new();
        let mut left = count;
        while left > 0
            && let Some(candidate) =
                candidates.iter_mut().max_by_key(|candidate| (candidate.latest, candidate.head.is_some()))
            && candidate.latest.is_some()
        {
            let head = candidate.head.take();
            candidate.step();
            let Some(head) = head else { continue };
            counted.retain(|other| other.realtime == head.realtime);
            if !head.is_copy(&counted) {
                time = Some(head.realtime);
                left -= 1;
            }
            counted.push(head);
        }
        self.counts.reads += candidates.iter().map(|candidate| candidate.file.bytes().reads()).sum::<u64>();
        (time, left)
    }
}
