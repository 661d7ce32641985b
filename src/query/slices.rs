//! A span that is read to its beginning, in slices side by side: each thread takes the newest slice that nobody has taken. When
//! the slices up to one have found enough, the older ones are left.
//!
//! Where a slice begins is looked for in each file by time, so times must not go back in it by more than an hour. Each slice is
//! read an hour beyond its end; where that is not what the next one has read, a clock was set back, and the span must be read in one
//! piece.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::journal::Journal;
use super::{Progress, QueryError, Run};
use journald_reader::{Cursor, Match};

/// Slices for each thread (count): entries are not spread evenly over time, so one slice takes longer than another.
const SLICES_PER_THREAD: u64 = 2;
/// So long behind its end a slice is read, to see whether the next one has read the same there (microseconds). The reader finds
/// places where clocks were set back by no more.
const BEHIND: u64 = 3_600_000_000;
/// The shortest slice (microseconds): each reads [`BEHIND`] further than its end.
const SLICE_MIN: u64 = 4 * BEHIND;
/// The caller learns so often how far the threads are.
const TOLD_EVERY: Duration = Duration::from_millis(100);

/// Spreads the bits of a number (2^64 by the golden ratio).
pub(super) const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// How many threads read for one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threads {
    /// The most threads (count).
    pub most: usize,
    /// A thread reads no less than this at once (microseconds).
    pub slice: u64,
}

impl Threads {
    /// One thread: the caller's.
    pub const ONE: Threads = Threads { most: 1, slice: SLICE_MIN };

    /// As many as there are processors, but no more than `most`.
    pub fn available(most: usize) -> Threads {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Threads { most: processors.min(most), ..Threads::ONE }
    }
}

/// The slices of a span (microseconds since 1970, both ends inclusive), the newest first. Empty when it is not worth it.
///
/// # Errors
/// When nothing can be read.
pub(super) fn cut(
    journal: &Journal<'_>,
    (from, to): (u64, u64),
    matches: &[Match],
    threads: Threads,
) -> Result<Vec<(u64, u64)>, QueryError> {
    if threads.most < 2 {
        return Ok(Vec::new());
    }
    // The journal may begin long after the span does.
    let extent = journal.extent((from, to), matches)?;
    Ok(extent.map(|extent| cut_between((from, to), extent, threads)).unwrap_or_default())
}

/// As [`cut`], for a journal whose entries were written from `first` to `last`.
fn cut_between((from, to): (u64, u64), (first, last): (u64, u64), threads: Threads) -> Vec<(u64, u64)> {
    let length = last.saturating_sub(first);
    let count = (length / threads.slice.max(1)).min(threads.most as u64 * SLICES_PER_THREAD);
    if count < 2 {
        return Vec::new();
    }
    let (mut slices, mut end) = (Vec::new(), to);
    for begin in (1..count).rev().map(|number| first + length / count * number) {
        slices.push((begin, end));
        end = begin.saturating_sub(1);
    }
    slices.push((from, end));
    slices
}

/// What was read near the beginning of a span, and where the next one begins: two spans have read the same where they meet. If not, a
/// clock was set back there, and an entry may be in neither.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Edges {
    /// An entry from more than [`BEHIND`] before the beginning was read: [`Start::Span`](journald_reader::Start::Span) has no such entry
    /// unless a clock was set back by more.
    early: bool,
    /// A sum of the entries of the first hour, and of those of the first hour of the next span.
    first: u64,
    behind: u64,
}

impl Edges {
    /// Takes an entry into account; the next span begins directly behind `to`.
    #[inline]
    pub(super) fn see(&mut self, (from, to): (u64, u64), entry: &Cursor) {
        let number = (entry.seqnum.wrapping_mul(GOLDEN) ^ entry.realtime).wrapping_mul(GOLDEN);
        if entry.realtime > to && entry.realtime - to <= BEHIND {
            self.behind = self.behind.wrapping_add(number);
        }
        match entry.realtime.checked_sub(from) {
            Some(since) if since < BEHIND => self.first = self.first.wrapping_add(number),
            Some(_) => {}
            None => self.early |= from - entry.realtime > BEHIND,
        }
    }

    /// Whether the span that begins where this one ends has read the same there.
    fn meet(&self, next: &Edges) -> bool {
        self.behind == next.first && !next.early
    }
}

/// What the threads share.
struct Shared {
    /// The next slice that nobody has taken.
    next: AtomicUsize,
    /// Slices from this one on are not needed any more.
    needed: AtomicUsize,
    stop: AtomicBool,
    /// Entries that were read (count), and time that was (microseconds).
    entries: AtomicU64,
    passed: AtomicU64,
}

/// What became of a slice.
type Done<T> = (usize, Result<(T, Progress), QueryError>);

/// Reads slices, the newest first, until `enough` is found in the newest ones. `read` reads one; `found` counts what it has.
/// Returns what was made of the slices that count, the newest first; `None` where they do not meet, and where no thread starts.
///
/// # Errors
/// Those of `read`, of the newest slice that has any.
pub(super) fn read<T: Send>(
    slices: &[(u64, u64)],
    threads: Threads,
    enough: usize,
    run: &mut Run<'_>,
    read: impl Fn((u64, u64), &mut Run<'_>) -> Result<(T, Progress), QueryError> + Sync,
    found: impl Fn(&T) -> usize,
) -> Result<Option<(Vec<T>, Progress)>, QueryError> {
    let span = (slices.last().map_or(0, |slice| slice.0), slices.first().map_or(0, |slice| slice.1));
    let shared = Shared {
        next: AtomicUsize::new(0),
        needed: AtomicUsize::new(slices.len()),
        stop: AtomicBool::new(false),
        entries: AtomicU64::new(0),
        passed: AtomicU64::new(0),
    };
    let (send, receive) = mpsc::channel::<Done<T>>();
    let (deadline, limits) = (run.deadline, run.limits);
    let mut done: Vec<Option<Result<(T, Progress), QueryError>>> = slices.iter().map(|_| None).collect();
    let mut started = 0;
    thread::scope(|scope| {
        for _ in 0..threads.most.min(slices.len()) {
            let (send, shared, read) = (send.clone(), &shared, &read);
            let work = move || {
                while let Some((number, slice)) = shared.take(slices) {
                    let stop = AtomicBool::new(false);
                    let mut last = Progress { at: slice.0, ..Progress::default() };
                    let mut progress = |now: &Progress| {
                        shared.entries.fetch_add(now.entries.saturating_sub(last.entries), Relaxed);
                        shared.passed.fetch_add(now.at.saturating_sub(last.at.max(slice.0)), Relaxed);
                        last = *now;
                        stop.fetch_or(shared.is_over(number), Relaxed);
                    };
                    let read = read(
                        slice,
                        &mut Run { stop: &stop, deadline, limits, bytes_read: 0, progress: &mut progress },
                    );
                    // Nobody listens any more only when the caller has given up.
                    let _ = send.send((number, read));
                }
            };
            // The system may have no room for another thread: those that started read all slices.
            started += usize::from(thread::Builder::new().spawn_scoped(scope, work).is_ok());
        }
        drop(send);
        loop {
            match receive.recv_timeout(TOLD_EVERY) {
                Ok((number, read)) => {
                    if let Some(place) = done.get_mut(number) {
                        *place = Some(read);
                    }
                    shared.needed.store(needed(&done, enough, &found), Relaxed);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
            shared.stop.fetch_or(run.stop.load(Relaxed), Relaxed);
            let (entries, passed) = (shared.entries.load(Relaxed), shared.passed.load(Relaxed));
            (run.progress)(&Progress {
                span,
                entries,
                at: span.0.saturating_add(passed),
                ..Progress::default()
            });
        }
    });
    if started == 0 {
        return Ok(None);
    }
    let mut progress = Progress { span, at: span.1, ..Progress::default() };
    let mut parts = Vec::with_capacity(done.len());
    let mut later: Option<Edges> = None;
    for part in done.into_iter().take(shared.needed.load(Relaxed)).flatten() {
        let (part, of_part) = part?;
        // What was stopped has no end that could be compared.
        if later.is_some_and(|later| !of_part.edges.meet(&later)) && !run.stop.load(Relaxed) {
            return Ok(None);
        }
        later = Some(of_part.edges);
        progress.entries += of_part.entries;
        progress.chosen += of_part.chosen;
        parts.push(part);
    }
    Ok(Some((parts, progress)))
}

/// How many slices are needed, as far as is known: up to the one with which the newest ones have found enough, or up to the
/// first that failed.
fn needed<T>(
    done: &[Option<Result<(T, Progress), QueryError>>],
    enough: usize,
    found: impl Fn(&T) -> usize,
) -> usize {
    let mut sum = 0;
    for (number, part) in done.iter().enumerate() {
        match part {
            Some(Ok((part, _))) => sum += found(part),
            Some(Err(_)) => return number + 1,
            None => break,
        }
        if sum >= enough {
            return number + 1;
        }
    }
    done.len()
}

impl Shared {
    /// The next slice, if it is needed.
    fn take(&self, slices: &[(u64, u64)]) -> Option<(usize, (u64, u64))> {
        let number = self.next.fetch_add(1, Relaxed);
        let slice = *slices.get(number)?;
        (!self.is_over(number)).then_some((number, slice))
    }

    /// Whether nobody needs a slice any more.
    fn is_over(&self, number: usize) -> bool {
        self.stop.load(Relaxed) || number >= self.needed.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Limits;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn slices_are_the_span_in_parts(times in prop::collection::vec(0..u64::MAX / 2, 4), most in 2..9usize, slice in 0..1u64 << 40) {
            let mut times = times;
            times.sort_unstable();
            let (span, extent) = ((times[0], times[3]), (times[1], times[2]));
            let slices = cut_between(span, extent, Threads { most, slice });
            if slices.is_empty() {
                prop_assert!((extent.1 - extent.0) / slice.max(1) < 2);
                return Ok(());
            }
            prop_assert!(slices.len() <= most * SLICES_PER_THREAD as usize);
            prop_assert_eq!((slices.last().unwrap().0, slices[0].1), span);
            prop_assert!(slices.windows(2).all(|pair| pair[0].0 == pair[1].1 + 1), "{:?}", slices);
            prop_assert!(slices.iter().all(|(from, to)| from <= to), "{:?}", slices);
        }
    }

    /// Reads slices of one hour, newest first; a slice has as many lines as `lines` says, or fails.
    fn read_hours(lines: &[Result<usize, ()>], enough: usize, most: usize) -> Result<Vec<usize>, ()> {
        let slices: Vec<_> = (0..lines.len() as u64).rev().map(|hour| (hour * 10, hour * 10 + 9)).collect();
        let (stop, begun) = (AtomicBool::new(false), AtomicUsize::new(0));
        let mut run = Run {
            stop: &stop,
            deadline: None,
            limits: Limits::default(),
            bytes_read: 0,
            progress: &mut |_| {},
        };
        let threads = Threads { most, slice: 1 };
        let hour = |(from, _): (u64, u64), run: &mut Run<'_>| {
            begun.fetch_add(1, Relaxed);
            (run.progress)(&Progress { entries: 1, at: from + 9, ..Progress::default() });
            let number = lines.len() - 1 - from as usize / 10;
            let found = lines[number].map_err(|()| QueryError::Deadline)?;
            Ok((found, Progress { entries: 1, ..Progress::default() }))
        };
        let found = super::read(&slices, threads, enough, &mut run, hour, |found| *found);
        found.map(|found| found.unwrap().0).map_err(drop)
    }

    #[test]
    fn the_newest_slices_that_have_enough_are_the_answer() {
        for most in [2, 3] {
            let all = [Ok(1), Ok(0), Ok(2), Ok(5), Ok(1), Ok(1), Ok(1), Ok(1)];
            assert_eq!(read_hours(&all, 3, most), Ok(vec![1, 0, 2]), "{most}");
            assert_eq!(read_hours(&all, 100, most), Ok(vec![1, 0, 2, 5, 1, 1, 1, 1]), "{most}");
            // What fails behind them does not matter; what fails before does.
            assert_eq!(read_hours(&[Ok(1), Ok(2), Err(()), Ok(9)], 3, most), Ok(vec![1, 2]), "{most}");
            assert_eq!(read_hours(&[Ok(1), Err(()), Ok(9)], 3, most), Err(()), "{most}");
        }
    }

    #[test]
    fn slices_that_nobody_needs_are_not_read() {
        let slices: Vec<_> = (0..100u64).rev().map(|hour| (hour * 10, hour * 10 + 9)).collect();
        let (stop, begun) = (AtomicBool::new(false), AtomicUsize::new(0));
        let mut run = Run {
            stop: &stop,
            deadline: None,
            limits: Limits::default(),
            bytes_read: 0,
            progress: &mut |_| {},
        };
        let newest = slices[0];
        let hour = |slice, run: &mut Run<'_>| {
            begun.fetch_add(1, Relaxed);
            // The others take as long as they are wanted.
            while slice != newest && !run.stop.load(Relaxed) {
                (run.progress)(&Progress::default());
                thread::yield_now();
            }
            Ok((9, Progress::default()))
        };
        let found = super::read(&slices, Threads { most: 2, slice: 1 }, 9, &mut run, hour, |found| *found);
        assert_eq!(found.unwrap().unwrap().0, [9]);
        let begun = begun.into_inner();
        assert!(begun <= 3, "each of two threads reads one, and one of them the newest before: {begun}");
    }

    #[test]
    fn slices_that_do_not_meet_are_no_answer() {
        let edges = |first, behind, early| Edges { first, behind, early };
        // The newest, the one before it, and so on.
        for (of_slices, meet) in [
            ([edges(7, 0, false), edges(5, 7, false), edges(0, 5, false)], true),
            // An entry of the hour is missing in one of them.
            ([edges(7, 0, false), edges(5, 6, false), edges(0, 5, false)], false),
            ([edges(7, 0, false), edges(5, 7, false), edges(0, 4, false)], false),
            // The clock was set back behind the beginning.
            ([edges(7, 0, true), edges(5, 7, false), edges(0, 5, false)], false),
            // Before the oldest slice there is nothing to lose.
            ([edges(7, 0, false), edges(5, 7, false), edges(0, 5, true)], true),
        ] {
            let stop = AtomicBool::new(false);
            let mut run = Run {
                stop: &stop,
                deadline: None,
                limits: Limits::default(),
                bytes_read: 0,
                progress: &mut |_| {},
            };
            let slices = [(20, 29), (10, 19), (0, 9)];
            let read = |slice: (u64, u64), _: &mut Run<'_>| {
                let edges = of_slices[2 - slice.0 as usize / 10];
                Ok((1, Progress { edges, ..Progress::default() }))
            };
            let found =
                super::read(&slices, Threads { most: 2, slice: 1 }, 9, &mut run, read, |found| *found);
            assert_eq!(found.unwrap().is_some(), meet, "{of_slices:?}");
        }
    }
}
