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

/// Files that keep a descriptor while they are read backward (count): those read last.
const OPEN_MAX: usize = 16;

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

    /// How many entries can be counted in it at most; `None` when that cannot be known.
    fn at_most(&mut self) -> Option<u64> {
        let most = match self.latest {
            None => Some(0),
            Some(_) if self.file.header().lost => Some(self.all.len() as u64),
            Some(_) => self.file.wanted_at_most().ok(),
        };
        self.file.bytes().close();
        most
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

    /// Begins at the end, unless it has begun.
    fn begin(&mut self) {
        if self.backward.is_none() {
            self.backward = self.file.backward(self.place).ok();
        }
    }

    /// Goes to the entry before.
    fn step(&mut self) {
        if self.file.header().lost {
            self.head = self.all.pop();
        } else {
            self.begin();
            self.head = self.backward.as_mut().and_then(|backward| self.file.previous(backward));
        }
        self.latest = self.head.map(|head| head.realtime);
    }
}

impl Tail {
    /// The time from which on the last `count` entries that are in scope were written (realtime, microseconds). Entries
    /// after `until` do not count. For a count of zero this is `u64::MAX`: no entry is wanted. `None` when there is no entry.
    ///
    /// Reads the headers of all files, and the entries of few.
    pub fn time_of_last(&mut self, count: u64, until: Option<u64>) -> Option<u64> {
        let candidates = self.candidates(until);
        self.back(count, candidates).0
    }

    /// As [`Tail::time_of_last`], but `None` where there are fewer than `count` entries: then all of them are among the last.
    pub fn time_of_nth_last(&mut self, count: u64, until: Option<u64>) -> Option<u64> {
        let mut candidates = self.candidates(until);
        let (time, left) = match are_fewer(count, &mut candidates) {
            true => self.close(candidates, None),
            false => self.back(count, candidates),
        };
        time.filter(|_| left == 0)
    }

    /// As [`Tail::time_of_nth_last`], with fewer reads, and not exact. Where files did not take turns, their arrays tell how many
    /// entries were written after a time, and these are not read. The time may be too late if some of them are damaged, stand in
    /// two files, or a clock was set back; then a caller that has found too few asks for more. It may be too early by one entry
    /// for each file.
    pub fn time_of_about_last(&mut self, count: u64, until: Option<u64>) -> Option<u64> {
        let mut candidates = self.candidates(until);
        let (time, left) = match are_fewer(count, &mut candidates) {
            true => self.close(candidates, None),
            false => match of_files_in_turn(count, &mut candidates) {
                Some(time) => self.close(candidates, Some(time)),
                None => self.back(count, candidates),
            },
        };
        time.filter(|_| left == 0)
    }

    /// Ends reading backward where entries were not looked at: the time, and how many entries are missing, at least.
    fn close(&mut self, candidates: Vec<Candidate>, time: Option<u64>) -> (Option<u64>, u64) {
        candidates.iter().for_each(|candidate| self.counts.read(candidate.file.bytes()));
        (time, u64::from(time.is_none()))
    }

    /// The files, to be read backward. Entries after `until` do not count.
    fn candidates(&self, until: Option<u64>) -> Vec<Candidate> {
        let open = |found: &Found| Candidate::open(found, self.filter.as_ref(), until).ok();
        self.roots.scan().files.iter().filter_map(open).collect()
    }

    /// The time that was reached, and how many entries are missing.
    fn back(&mut self, count: u64, mut candidates: Vec<Candidate>) -> (Option<u64>, u64) {
        let mut time = (count == 0).then_some(u64::MAX);
        // The lowest time that was reached, its entries that were counted, and their copies.
        let mut lowest = u64::MAX;
        let mut counted: Vec<Cursor> = Vec::new();
        let mut left = count;
        // Files that may have a descriptor, that of the current one last.
        let mut open: Vec<usize> = Vec::new();
        let latest = |(_, candidate): &(usize, &mut Candidate)| (candidate.latest, candidate.head.is_some());
        while left > 0
            && let Some((index, candidate)) = candidates.iter_mut().enumerate().max_by_key(latest)
            && candidate.latest.is_some()
        {
            let head = candidate.head.take();
            candidate.step();
            if open.last() != Some(&index) {
                open.retain(|other| *other != index);
                open.push(index);
                if open.len() > OPEN_MAX {
                    let closed = candidates.get(open.remove(0));
                    closed.into_iter().for_each(|candidate| candidate.file.bytes().close());
                }
            }
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

/// Whether there are fewer than `count` entries: of a rare value the index tells how few have it, and none has to be read.
fn are_fewer(count: u64, candidates: &mut [Candidate]) -> bool {
    let mut most = 0_u64;
    for candidate in candidates {
        match candidate.at_most() {
            Some(more) => most = most.saturating_add(more),
            None => return false,
        }
        if most >= count {
            return false;
        }
    }
    most < count
}

/// The time from which on the last `count` entries were written, where files did not take turns: all entries of one are newer than
/// those of the next. Then no entry but one has to be looked at. `None` where they did, and where there are fewer.
fn of_files_in_turn(count: u64, candidates: &mut [Candidate]) -> Option<u64> {
    let mut rest: Vec<&mut Candidate> = candidates.iter_mut().filter(|file| file.latest.is_some()).collect();
    rest.sort_by_key(|candidate| candidate.latest);
    let mut left = count;
    while let Some(Candidate { file, backward, place, .. }) = rest.pop() {
        if file.header().lost {
            return None;
        }
        let begun = file.backward(*place).ok()?;
        let wanted = file.wanted_left(&begun)?;
        let first = match wanted < left {
            true => file.header().head_realtime,
            false => file.first_of_last(&begun, left)?.realtime,
        };
        *backward = Some(begun);
        file.bytes().close();
        if rest.last().and_then(|other| other.latest).is_some_and(|other| other >= first) {
            return None;
        }
        if wanted >= left {
            return Some(first);
        }
        left -= wanted;
    }
    None
}
