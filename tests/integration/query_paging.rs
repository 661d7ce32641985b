//! Paging as logcli does it: each page begins where the last one ended, and what both have is shown once. Whichever way one
//! pages, each entry comes exactly once, also while entries come and files are rotated.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use journal_ship::config::Config;
use journal_ship::query::answer::Line;
use journal_ship::query::journal::Journal;
use journal_ship::query::{Answer, Direction, Limits, Question, Run, Time, ask};
use journal_ship::shape::Sections;
use journald_reader::Scope;
use logql::Query;

use crate::support::fixtures::{BASE, ExportedEntry, Format, build_journal, journalctl_export, mixed};
use crate::support::journald::{Bulk, Journald, Transport};
use crate::support::or_skip;

/// Lines of a page.
const LIMIT: usize = 7;
/// What the tests ask for.
const EVERYTHING: &str = r#"{job=~".+"}"#;
/// Farther in the future than any entry (nanoseconds since 1970).
const FUTURE: i64 = i64::MAX / 2;

/// Time (microseconds since 1970) and message.
type Shown = (u64, String);

fn sorted(entries: &[ExportedEntry]) -> Vec<Shown> {
    let mut all: Vec<_> = entries.iter().map(|entry| (entry.realtime, entry.text("MESSAGE"))).collect();
    all.sort();
    all
}

/// Pages through a journal.
struct Pages {
    config: Config,
    query: Query,
    paths: Vec<PathBuf>,
    direction: Direction,
    /// What is still to be asked for (nanoseconds since 1970, the end exclusive).
    span: (i64, i64),
    /// The lines of the page before that the next one has again.
    known: Vec<Line>,
    seen: Vec<Shown>,
}

impl Pages {
    fn new(path: &Path, query: &str, direction: Direction, end: i64) -> Pages {
        Pages {
            config: Config::parse("", "test", &|_| None).unwrap(),
            query: Query::parse(query).unwrap(),
            paths: vec![path.to_owned()],
            direction,
            span: (0, end),
            known: Vec::new(),
            seen: Vec::new(),
        }
    }

    fn ask(&self) -> Vec<Line> {
        let journal = Journal::new(Scope::of(self.paths.clone()), Sections::from(&self.config), None);
        let stop = AtomicBool::new(false);
        let mut run = Run {
            stop: &stop,
            deadline: None,
            limits: Limits::default(),
            bytes_read: 0,
            progress: &mut |_| {},
        };
        let time = Time::Span { start: self.span.0, end: self.span.1, step: 1 };
        let question = Question { query: self.query.clone(), time, limit: LIMIT, direction: self.direction };
        let (answer, _) = ask(&question, &journal, &mut run).unwrap();
        let Answer::Lines(lines) = answer else { panic!("{answer:?}") };
        lines
    }

    /// Takes the next page; false when it has nothing new.
    fn next(&mut self) -> bool {
        let page = self.ask();
        assert!(page.len() <= LIMIT);
        let mut known = std::mem::take(&mut self.known);
        let new = page.iter().filter(|line| match known.iter().position(|other| other == *line) {
            Some(at) => {
                known.swap_remove(at);
                false
            }
            None => true,
        });
        let before = self.seen.len();
        self.seen.extend(new.map(|line| (line.time as u64 / 1000, line.text.clone())));
        if let Some(last) = page.last().map(|line| line.time) {
            match self.direction {
                Direction::Forward => self.span.0 = last,
                Direction::Backward => self.span.1 = last + 1,
            }
            self.known = page.into_iter().filter(|line| line.time == last).collect();
            assert!(self.known.len() < LIMIT, "a page of one time");
        }
        self.seen.len() > before
    }

    fn all(mut self) -> Vec<Shown> {
        while self.next() {}
        self.seen
    }
}

#[test]
fn pages_hold_each_entry_once() {
    let dir = tempfile::tempdir().unwrap();
    // Two files by turns, five entries of each microsecond.
    for (index, format) in [Format::ALL[0], Format::ALL[3]].into_iter().enumerate() {
        let part = mixed(1500).into_iter().enumerate().filter(|(n, _)| n / 50 % 2 == index);
        let part: Vec<_> = part
            .map(|(n, mut entry)| {
                entry.realtime = BASE + n as u64 / 5;
                entry
            })
            .collect();
        or_skip!(build_journal(&dir.path().join(format!("{index}.journal")), &part, format));
    }
    let want = sorted(&journalctl_export(&[dir.path()]).unwrap());
    assert_eq!(want.len(), 1500);
    for query in [EVERYTHING, r#"{job=~".+"} |= "7""#] {
        let want: Vec<_> =
            want.iter().filter(|shown| query == EVERYTHING || shown.1.contains('7')).cloned().collect();
        for direction in [Direction::Forward, Direction::Backward] {
            let got = Pages::new(dir.path(), query, direction, FUTURE).all();
            match direction {
                Direction::Forward => assert!(got.is_sorted_by_key(|shown| shown.0)),
                Direction::Backward => assert!(got.is_sorted_by_key(|shown| std::cmp::Reverse(shown.0))),
            }
            let mut got = got;
            got.sort();
            assert_eq!(got, want, "{query} {direction:?}");
        }
    }
}

#[test]
fn pages_hold_each_entry_once_while_entries_come_and_files_are_rotated() {
    let journald = or_skip!(Journald::builder().drop_in("SystemMaxFileSize=512K").start());
    journald.send(&Bulk::new(Transport::Native, 300, 1).unit("web.service"));
    let before = journald.entries();
    let now = before.last().unwrap().realtime as i64 * 1000 + 1000;
    let mut sender =
        journald.spawn_bulk(&Bulk::new(Transport::Native, 900, 2).unit("web.service").per_second(300));
    let mut forward = Pages::new(&journald.dir(), EVERYTHING, Direction::Forward, FUTURE);
    let mut backward = Pages::new(&journald.dir(), EVERYTHING, Direction::Backward, now);
    let (mut pages, mut ended) = (0, false);
    loop {
        // Whether they ended before the page is what counts.
        let was_ended = std::mem::replace(&mut ended, sender.ended());
        if was_ended {
            journald.sync();
        }
        backward.next();
        let more = forward.next();
        pages += 1;
        if pages == 3 || (pages % 10 == 0 && !ended) {
            journald.rotate();
        }
        if was_ended && !more {
            break;
        }
    }
    let (want, then) = (sorted(&journald.entries()), sorted(&before));
    assert!(want.len() >= 1200 && journald.files().len() > 1, "{} {:?}", want.len(), journald.files());
    for (mut got, want) in [(forward.seen, want), (backward.all(), then)] {
        got.sort();
        let lost: Vec<_> = want.iter().filter(|shown| got.binary_search(shown).is_err()).take(3).collect();
        assert_eq!((got.len(), lost), (want.len(), Vec::new()));
        assert_eq!(got, want);
    }
}
