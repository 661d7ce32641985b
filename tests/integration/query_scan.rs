//! Queries beside a plain scan: what the index and the narrowing of a query pass over, no query wants. Every entry of a drawn
//! journal is read, labelled as the documentation says, and compared with what the selector says.
//!
//! Times are compared to the microsecond: which of the entries of one microsecond are counted depends on the matches.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use journal_ship::config::Config;
use journal_ship::query::answer::Line;
use journal_ship::query::journal::Journal;
use journal_ship::query::{Answer, Direction, Limits, Question, Run, Threads, Time, ask};
use journal_ship::shape::Sections;
use journald_reader::{Scope, Start};
use logql::Query;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use crate::support::agent::{Mapping, expected_with};
use crate::support::fixtures::{Format, build_journal, mixed};
use crate::support::journals::{for_many, worlds};
use crate::support::or_skip;
use crate::support::reading::read;

/// Labels of every kind: of one field, of the first of several, of a field that repeats, is empty or nowhere.
const FIELDS: Mapping<'static> = &[
    ("unit", &["_SYSTEMD_UNIT"]),
    ("level", &["PRIORITY"]),
    ("service_name", &["_SYSTEMD_UNIT", "_TRANSPORT"]),
    ("n", &["N"]),
    ("tag", &["TAG"]),
    ("empty", &["EMPTY"]),
    ("one", &["FIELD_1"]),
    ("a", &["A"]),
    ("b", &["B"]),
    ("c", &["C"]),
    ("rare", &["RARE", "A"]),
    ("only", &["RARE"]),
    ("nowhere", &["NOWHERE"]),
];
/// Lines are compared up to here (bytes): far behind, they are cut.
const COMPARED: usize = 4096;

/// Time (microseconds since 1970), labels, line.
type Row = (u64, BTreeMap<String, String>, String);

fn config() -> Config {
    let one = |(name, fields): &(&str, &[&str])| format!("    {name}: [{}]\n", fields.join(", "));
    let fields: String = FIELDS.iter().map(one).collect();
    Config::parse(&format!("labels:\n  fields:\n{fields}"), "test", &|_| None).unwrap()
}

fn begin(text: &str) -> String {
    text.chars().take(COMPARED).collect()
}

/// All entries, each read and labelled here.
fn scanned(paths: &[PathBuf]) -> Vec<Row> {
    let one = |(entry, _): (_, u64)| {
        let (time, labels, _, line) = expected_with(&entry, FIELDS);
        (time, labels, begin(&line))
    };
    read(paths, Start::Oldest).into_iter().map(one).collect()
}

/// A condition on a label.
#[derive(Debug, Clone)]
struct Matcher {
    name: &'static str,
    op: &'static str,
    /// Of regular expressions, alternatives.
    values: Vec<&'static str>,
}

impl Matcher {
    fn text(&self) -> String {
        format!("{}{}{:?}", self.name, self.op, self.values.join("|"))
    }

    fn takes(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(self.name).map_or("", String::as_str);
        let is = |wanted: &&str| match *wanted {
            ".+" => !value.is_empty(),
            "unit[12].*" => value.starts_with("unit1") || value.starts_with("unit2"),
            wanted => value == wanted,
        };
        let any = if self.op.contains('~') { self.values.iter().any(is) } else { value == self.values[0] };
        any != self.op.starts_with('!')
    }
}

fn matcher() -> impl Strategy<Value = Matcher> {
    const UNITS: &[&str] = &["unit0.service", "unit1.service", "unit4.service", "init.scope", ""];
    let of = |name: &'static str, values: &'static [&'static str]| (Just(name), Just(values));
    let names = prop_oneof![
        4 => of("unit", UNITS),
        3 => of("level", &["error", "debug", "info", "3", "emerg", "none", ""]),
        2 => of("service_name", &["unit2.service", "journal", "kernel", ""]),
        2 => of("n", &["1", "2", "3", "7", "20", ""]),
        2 => of("tag", &["a", "b", ""]),
        1 => of("empty", &["x", ""]),
        1 => of("one", &["1", "2", ""]),
        1 => of("a", &["0", "1", "2", ""]),
        2 => of("b", &["3", "6", "9", ""]),
        2 => of("c", &["first", "second", "0", "25", ""]),
        2 => of("rare", &["1", "2", "0", ""]),
        2 => of("only", &["1", "2", "3", ""]),
        1 => of("nowhere", &["x", ""]),
        1 => of("job", &["systemd-journal", "other"]),
    ];
    let op = prop::sample::select(vec!["=", "!=", "=~", "!~"]);
    (names, op, prop::collection::vec(any::<prop::sample::Index>(), 1..4), 0..8u8).prop_map(
        |((name, values), op, chosen, odd)| {
            let mut values: Vec<&str> = chosen.iter().map(|index| *index.get(values)).collect();
            if !op.contains('~') {
                values.truncate(1);
            }
            if op.contains('~') && odd == 0 {
                values.push(".+");
            }
            if op.contains('~') && odd == 1 && name == "unit" {
                values.push("unit[12].*");
            }
            Matcher { name, op, values }
        },
    )
}

/// What is asked of a journal.
#[derive(Debug, Clone)]
struct Asked {
    matchers: Vec<Matcher>,
    /// A part that the line must have.
    part: &'static str,
    limit: usize,
    places: Vec<prop::sample::Index>,
    whole: bool,
}

fn asked() -> impl Strategy<Value = Asked> {
    let part = prop::sample::select(vec!["", "", "", "message 1", "same", "1", "nowhere"]);
    let places = prop::collection::vec(any::<prop::sample::Index>(), 2);
    (prop::collection::vec(matcher(), 0..4), part, 1..40usize, places, any::<bool>())
        .prop_map(|(matchers, part, limit, places, whole)| Asked { matchers, part, limit, places, whole })
}

impl Asked {
    fn text(&self) -> String {
        let matchers: String = self.matchers.iter().map(|matcher| format!(", {}", matcher.text())).collect();
        let filter = if self.part.is_empty() { String::new() } else { format!(" |= {:?}", self.part) };
        format!("{{job=~\".+\"{matchers}}}{filter}")
    }

    fn takes(&self, (_, labels, line): &Row) -> bool {
        self.matchers.iter().all(|matcher| matcher.takes(labels)) && line.contains(self.part)
    }

    /// A span that is drawn (microseconds since 1970): from the first time, up to the other.
    fn span(&self, all: &[Row]) -> (u64, u64) {
        if self.whole || all.is_empty() {
            return (0, i64::MAX as u64 / 2000);
        }
        let [a, b] = [0, 1].map(|n| self.places[n].get(all).0);
        (a.min(b), a.max(b))
    }
}

fn run(question: &Question, paths: &[PathBuf], config: &Config) -> Result<Answer, String> {
    let journal = Journal::new(Scope::of(paths), Sections::from(config), None);
    let stop = AtomicBool::new(false);
    let ask = |threads| {
        let limits = Limits { series: 100_000, bytes: 1 << 30, threads, ..Limits::default() };
        let mut run = Run { stop: &stop, deadline: None, limits, bytes_read: 0, progress: &mut |_| {} };
        ask(question, &journal, &mut run).map(|(answer, _)| answer).map_err(|error| error.to_string())
    };
    // Several threads, and slices as short as can be, make no difference.
    let alone = ask(Threads::ONE);
    for slice in [1, 4 * 3_600_000_000] {
        assert!(ask(Threads { most: 3, slice }) == alone, "with threads: {question:?}");
    }
    alone
}

fn lines(question: &Question, paths: &[PathBuf], config: &Config) -> Vec<(i64, Row)> {
    let Ok(Answer::Lines(lines)) = run(question, paths, config) else { panic!("{question:?}") };
    let one = |line: Line| {
        let labels = line.labels.stream.iter().map(|(name, value)| (name.into(), value.into())).collect();
        (line.time, (line.time as u64 / 1000, labels, begin(&line.text)))
    };
    lines.into_iter().map(one).collect()
}

/// Compares the answers to what is asked with a scan: all lines, the first and the last few, and counts.
fn compare(asked: &Asked, paths: &[PathBuf], config: &Config, all: &[Row]) -> TestCaseResult {
    let (from, to) = asked.span(all);
    let text = asked.text();
    let mut want: Vec<Row> =
        all.iter().filter(|row| (from..=to).contains(&row.0) && asked.takes(row)).cloned().collect();
    want.sort();
    let time = Time::Span { start: from as i64 * 1000, end: (to as i64 + 1) * 1000, step: 1 };
    let query = Query::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    for direction in [Direction::Forward, Direction::Backward] {
        let ask = |limit| {
            let question = Question { query: query.clone(), time, limit, direction };
            lines(&question, paths, config)
        };
        let found = ask(1_000_000);
        let is_sorted = match direction {
            Direction::Forward => found.is_sorted_by_key(|line| line.0),
            Direction::Backward => found.is_sorted_by_key(|line| std::cmp::Reverse(line.0)),
        };
        prop_assert!(is_sorted, "{} {:?}: not in order", text, direction);
        let some: Vec<_> = found.iter().take(asked.limit).cloned().collect();
        let mut found: Vec<Row> = found.into_iter().map(|line| line.1).collect();
        found.sort();
        prop_assert_eq!(found.len(), want.len(), "{} {:?} {}..{}", text, direction, from, to);
        prop_assert_eq!(&found, &want, "{} {:?} {}..{}", text, direction, from, to);
        prop_assert_eq!(ask(asked.limit), some, "{} {:?} limit {}", text, direction, asked.limit);
    }
    counts(asked, paths, config, all, &want)
}

/// Entries by unit at the end of what is wanted, over all of it and what was before.
fn counts(asked: &Asked, paths: &[PathBuf], config: &Config, all: &[Row], want: &[Row]) -> TestCaseResult {
    let (Some(first), Some(last)) = (want.first(), want.last()) else { return Ok(()) };
    // A range is of milliseconds, and excludes its beginning: the last nanosecond of a microsecond.
    let milliseconds = (last.0 - first.0) / 1000 + 1;
    let begin = last.0.saturating_sub(milliseconds * 1000);
    let text = format!("sum by (unit) (count_over_time({} [{milliseconds}ms]))", asked.text());
    let query = Query::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let time = Time::At(last.0 as i64 * 1000 + 999);
    let question = Question { query, time, limit: 1, direction: Direction::Forward };
    let Answer::Vector(_, found) = run(&question, paths, config).unwrap() else { panic!("{text}") };
    let one = |sample: &logql::vectors::Sample| {
        (sample.labels.get("unit").unwrap_or_default().to_owned(), sample.value as usize)
    };
    let found: BTreeMap<String, usize> = found.iter().map(one).collect();
    let mut by_unit = BTreeMap::new();
    for (_, labels, _) in all.iter().filter(|row| row.0 > begin && row.0 <= last.0 && asked.takes(row)) {
        *by_unit.entry(labels.get("unit").cloned().unwrap_or_default()).or_default() += 1;
    }
    prop_assert_eq!(found, by_unit, "{}", text);
    steps(asked, paths, config, (first.0, last.0))
}

/// Values one after another: threads, each of which makes some of them, come to the same bit by bit. The steps are shorter than the
/// ranges, and longer.
fn steps(asked: &Asked, paths: &[PathBuf], config: &Config, (from, to): (u64, u64)) -> TestCaseResult {
    let (range, selector) = ((to - from) / 20_000 + 1, asked.text());
    for (count, whole) in [(40, true), (7, false)] {
        let text = match whole {
            true => format!("sum by (unit) (count_over_time({selector} [{range}ms]))"),
            false => format!("max by (unit) (rate({selector} [{range}ms] offset 1ms)) * 3"),
        };
        let query = Query::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let (start, end) = (from as i64 * 1000, to as i64 * 1000);
        let time = Time::Span { start, end, step: (end - start) / count + 1 };
        let question = Question { query, time, limit: 1, direction: Direction::Forward };
        prop_assert!(matches!(run(&question, paths, config), Ok(Answer::Matrix(_)) | Err(_)), "{}", text);
    }
    Ok(())
}

#[test]
fn a_query_of_any_journal_finds_what_a_scan_finds() {
    let config = config();
    for_many((worlds(), prop::collection::vec(asked(), 6)), 60, |(world, questions)| {
        let Ok(journals) = world.write() else { return Ok(()) };
        let all = scanned(&journals.folders);
        for mut asked in questions {
            // Only where times do not go back, one place divides a file.
            asked.whole |= !journals.is_sorted_by_realtime();
            compare(&asked, &journals.folders, &config, &all)?;
        }
        Ok(())
    });
}

/// Four files by turns, values from common to rare, several entries of a microsecond, and more of them than are looked at first.
fn large(folder: &Path) -> Result<PathBuf, crate::support::Unavailable> {
    for (index, format) in Format::ALL.into_iter().enumerate() {
        let part = mixed(12_000).into_iter().enumerate().filter(|(n, _)| n / 100 % 4 == index);
        // The clock only moves on.
        let part: Vec<_> = part
            .map(|(n, mut entry)| {
                entry.realtime = crate::support::fixtures::BASE + n as u64 / 5;
                entry
            })
            .collect();
        build_journal(&folder.join(format!("{index}.journal")), &part, format)?;
    }
    Ok(folder.to_path_buf())
}

#[test]
fn a_query_of_a_large_journal_finds_what_a_scan_finds() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [or_skip!(large(dir.path()))];
    let (config, all) = (config(), scanned(&paths));
    assert_eq!(all.len(), 12_000);
    for_many(asked(), 40, |asked| compare(&asked, &paths, &config, &all));
}

/// The newest entries are looked at first. Where too few of them pass, the lines are further back.
#[test]
fn a_query_looks_further_back_until_there_are_lines_enough() {
    let dir = tempfile::tempdir().unwrap();
    let (paths, config) = ([or_skip!(large(dir.path()))], config());
    let query = Query::parse(r#"{job=~".+"} |~ "^message (10|6000|11990)$""#).unwrap();
    let time = Time::Span { start: 0, end: i64::MAX / 2, step: 1 };
    let all = ["message 11990", "message 6000", "message 10"];
    for limit in 1..=4 {
        let question = Question { query: query.clone(), time, limit, direction: Direction::Backward };
        let found: Vec<_> = lines(&question, &paths, &config).into_iter().map(|(_, row)| row.2).collect();
        assert_eq!(found, all[..limit.min(3)], "{limit}");
    }
}

/// A clock that was set back within a file: a time is at several places of it, and none divides the file.
#[test]
fn threads_lose_nothing_where_a_clock_was_set_back() {
    const HOUR: u64 = 3_600_000_000;
    let dir = tempfile::tempdir().unwrap();
    // A day, and half a day back. One entry a minute.
    let entries = mixed(24 * 60 * 2).into_iter().enumerate().map(|(n, mut entry)| {
        let n = n as u64;
        let back = if n < 24 * 60 { 0 } else { 36 * HOUR };
        entry.realtime = crate::support::fixtures::BASE + 40 * HOUR + n * 60_000_000 - back;
        entry
    });
    let entries: Vec<_> = entries.collect();
    or_skip!(build_journal(&dir.path().join("a.journal"), &entries, Format::ALL[0]));
    let (paths, config) = ([dir.path().to_path_buf()], config());
    let query = Query::parse(r#"{job=~".+"}"#).unwrap();
    let time = Time::Span { start: 0, end: i64::MAX / 2, step: 1 };
    let question = Question { query, time, limit: 100_000, direction: Direction::Backward };
    // The helper asks alone, and with three threads in slices of any length.
    assert_eq!(lines(&question, &paths, &config).len(), entries.len());
}

/// What gathers the journals of other hosts goes on in a file when a clock is set back, which journald does not.
#[test]
fn a_clock_that_was_set_back_by_less_than_an_hour_loses_nothing() {
    const SECOND: u64 = 1_000_000;
    let dir = tempfile::tempdir().unwrap();
    // Of each host, three hours in one file, an entry every three seconds; two clocks are set back, and one boots again.
    for (host, steps) in [(0, [600, 2400]), (1, [3500, 0]), (2, [0, 900])] {
        let entries = mixed(3600).into_iter().enumerate().map(|(n, entry)| {
            let n = n as u64;
            let back = SECOND * ((n >= 1200) as u64 * steps[0] + (n >= 2400) as u64 * steps[1]);
            let boot = u128::from(host * 10 + 7 + u64::from(host == 2 && n >= 2000));
            let mut entry = entry.boot(boot, (n + 1) * 3 * SECOND);
            entry.realtime = crate::support::fixtures::BASE + (n * 3 + host) * SECOND - back + 7;
            entry
        });
        let entries: Vec<_> = entries.collect();
        let format = Format::ALL[host as usize];
        or_skip!(build_journal(&dir.path().join(format!("{host}.journal")), &entries, format));
    }
    let (paths, config) = ([dir.path().to_path_buf()], config());
    let all = scanned(&paths);
    assert_eq!(all.len(), 3 * 3600);
    for_many(asked(), 60, |asked| {
        compare(&asked, &paths, &config, &all)?;
        over_time(&asked, &paths, &config, &all)
    });
}

/// Counts of ten minutes each, one after the other: an entry that comes late counts where it belongs.
fn over_time(asked: &Asked, paths: &[PathBuf], config: &Config, all: &[Row]) -> TestCaseResult {
    const STEP: i64 = 600_000_000_000;
    let text = format!("sum(count_over_time({} [10m]))", asked.text());
    let query = Query::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let start = crate::support::fixtures::BASE as i64 * 1000 / STEP * STEP;
    let end = start + 24 * STEP;
    let time = Time::Span { start, end, step: STEP };
    let question = Question { query, time, limit: 1, direction: Direction::Forward };
    let Answer::Matrix(series) = run(&question, paths, config).unwrap() else { panic!("{text}") };
    let found: Vec<(i64, f64)> = series.into_iter().flat_map(|series| series.points).collect();
    let counted = (start..=end).step_by(STEP as usize).filter_map(|time| {
        let within = (time - STEP) / 1000..time / 1000;
        // The end belongs to a range, the beginning does not; no entry lies on one to the microsecond.
        let rows = all.iter().filter(|row| within.contains(&(row.0 as i64)) && asked.takes(row));
        Some((time, rows.count() as f64)).filter(|(_, count)| *count > 0.0)
    });
    prop_assert_eq!(found, counted.collect::<Vec<_>>(), "{}", text);
    Ok(())
}
