use super::*;
use crate::config::Config;
use crate::query::{Limits, Threads, Time};
use crate::shape::Sections;
use journald_reader::Scope;
use logql::Query;
use logql::pipeline::Categories;
use std::sync::atomic::AtomicBool;

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/demo/journal");
const ALL: &str = r#"{job=~".+"}"#;
const PLAIN: &str = "loki: []";
const STAGED: &str = "loki: []\nstages: [{static_labels: {team: web}}]";

fn query(text: &str) -> LogQuery {
    let Ok(Query::Logs(query)) = Query::parse(text) else { panic!("{text}") };
    query
}

struct Asked {
    config: &'static str,
    query: &'static str,
    span: (i64, i64),
    limit: usize,
    direction: Direction,
    limits: Limits,
}

fn asked() -> Asked {
    let (direction, limits) = (Direction::Forward, Limits::default());
    Asked { config: PLAIN, query: ALL, span: (0, i64::MAX), limit: 100_000, direction, limits }
}

impl Asked {
    fn found(&self) -> Result<(Vec<Line>, Progress), QueryError> {
        let config = Config::parse(self.config, "test", &|_| None).unwrap_or_else(|error| panic!("{error}"));
        let journal = Journal::new(Scope::of([DEMO.into()]), Sections::from(&config), None);
        let stop = AtomicBool::new(false);
        let mut run =
            Run { stop: &stop, deadline: None, limits: self.limits, bytes_read: 0, progress: &mut |_| {} };
        let (start, end) = self.span;
        let question = Question {
            query: Query::parse(self.query).unwrap(),
            time: Time::Span { start, end, step: 1 },
            limit: self.limit,
            direction: self.direction,
        };
        let (answer, progress) = crate::query::ask(&question, &journal, &mut run)?;
        let Answer::Lines(lines) = answer else { panic!("{answer:?}") };
        Ok((lines, progress))
    }

    fn answer(&self) -> Result<(Vec<(i64, String)>, Progress), QueryError> {
        let (lines, progress) = self.found()?;
        Ok((lines.into_iter().map(|line| (line.time, line.text)).collect(), progress))
    }

    fn lines(&self) -> Vec<(i64, String)> {
        self.answer().unwrap().0
    }
}

#[test]
fn a_limit_takes_lines_from_the_end_that_comes_first() {
    let all = asked().lines();
    assert!(all.len() > 200 && all.is_sorted_by_key(|(time, _)| *time), "{}", all.len());
    let mut newest = all.clone();
    newest.reverse();
    for config in [PLAIN, STAGED] {
        for limit in [0, 1, 2, 63, 64, 65, all.len() - 1, all.len(), all.len() + 1] {
            for (direction, expected) in [(Direction::Forward, &all), (Direction::Backward, &newest)] {
                for threads in [Threads::ONE, Threads { most: 3, slice: 1 }] {
                    let limits = Limits { threads, ..Limits::default() };
                    let found = Asked { config, limit, direction, limits, ..asked() }.lines();
                    let expected = &expected[..limit.min(expected.len())];
                    assert!(found == expected, "{config} {limit} {direction:?} {threads:?}: {}", found.len());
                }
            }
        }
    }
}

#[test]
fn lines_are_of_the_span_and_of_chosen_streams() {
    let all = asked().lines();
    let (start, end) = (all[all.len() / 3].0, all[all.len() / 2].0);
    let inside: Vec<_> = all.iter().filter(|(time, _)| (start..end).contains(time)).cloned().collect();
    assert!(!inside.is_empty() && inside.len() < all.len());
    for config in [PLAIN, STAGED] {
        let span = Asked { config, span: (start, end), ..asked() };
        assert_eq!(span.lines(), inside, "{config}");
        let none = Asked { config, query: r#"{job="nobody"}"#, ..asked() };
        let (lines, progress) = none.answer().unwrap();
        assert_eq!((lines.len(), progress.chosen), (0, 0), "{config}");
        let some = Asked { config, query: r#"{job=~".+"} |= "GET""#, ..asked() };
        let expected: Vec<_> = all.iter().filter(|(_, line)| line.contains("GET")).cloned().collect();
        let (lines, progress) = some.answer().unwrap();
        assert_eq!((lines, progress.chosen), (expected, all.len() as u64), "{config}");
        for direction in [Direction::Forward, Direction::Backward] {
            let mut at_start: Vec<_> = all.iter().filter(|(time, _)| *time == start).cloned().collect();
            if direction == Direction::Backward {
                at_start.reverse();
            }
            let instant = Asked { config, span: (start, start + 1), direction, ..asked() };
            assert_eq!(instant.lines(), at_start, "{config} {direction:?}");
            let (_, progress) = Asked { config, span: (end, end), direction, ..asked() }.answer().unwrap();
            assert_eq!(progress.span, (end as u64 / 1000, end as u64 / 1000 - 1));
            for span in [(end, end), (i64::MAX - 1, i64::MAX), (0, 1)] {
                assert_eq!(Asked { config, span, direction, ..asked() }.lines(), [], "{config} {span:?}");
            }
        }
    }
}

#[test]
fn the_bytes_of_an_answer_are_limited() {
    let needed = |limit| {
        let (lines, _) = Asked { limit, ..asked() }.found().unwrap();
        lines.iter().map(memory).sum::<usize>()
    };
    let [all, three] = [100_000, 3].map(needed);
    assert!(three < all / 10);
    for (limit, bytes, allowed) in
        [(100_000, all, true), (100_000, all - 1, false), (100_000, three, false), (3, 2 * three, true)]
    {
        let limits = Limits { bytes, ..Limits::default() };
        for direction in [Direction::Forward, Direction::Backward] {
            match (Asked { limit, limits, direction, ..asked() }).answer() {
                Ok(_) => assert!(allowed, "{limit} {bytes}"),
                Err(error) => {
                    assert!(matches!(error, QueryError::Bytes(n) if n == bytes) && !allowed, "{error}");
                }
            }
        }
    }
}

fn line(time: i64, text: &str) -> Line {
    Line { time, text: text.to_owned(), labels: Categories::default() }
}

#[test]
fn lines_that_fall_out_take_nothing() {
    let of = query(ALL);
    let one = memory(&line(0, &"x".repeat(1000)));
    assert!((1000 + size_of::<Line>()..2000).contains(&one), "{one}");
    let mut labelled = line(0, &"x".repeat(1000));
    labelled.labels.parsed.insert("name", &[b'y'; 500]);
    labelled.labels.stream.insert("name", &[b'y'; 300]);
    assert!((one + 800..one + 4096).contains(&memory(&labelled)), "{}", memory(&labelled));
    for (bytes_max, limit, is_done) in [
        (2 * one, 2, [false, false, false]),
        (2 * one, 3, [false, false, true]),
        (2 * one - 1, 2, [false, true, true]),
        (one, 1, [false, false, false]),
    ] {
        for direction in [Direction::Forward, Direction::Backward] {
            let mut lines = Lines::of(&of, (0, 100), (limit, direction), bytes_max);
            let done = [0, 1, 2].map(|_| {
                lines.add(line(5, &"x".repeat(1000)));
                lines.is_done()
            });
            assert_eq!(done, is_done, "{limit} lines of {one} in {bytes_max}");
        }
    }
}

#[test]
fn what_cannot_be_in_the_answer_is_dropped_now_and_then() {
    let of = query(ALL);
    for (limit, most) in [(1, 64), (40, 80)] {
        let mut lines = Lines::of(&of, (0, 1000), (limit, Direction::Forward), usize::MAX);
        for n in 1..most {
            lines.add(line(n as i64, "x"));
            assert_eq!((lines.found.len(), lines.worst), (n, None), "{limit}");
        }
        lines.add(line(500, "x"));
        assert_eq!((lines.found.len(), lines.worst), (limit, Some(limit as i64)));
        assert_eq!(lines.bytes, limit * memory(&line(0, "x")));
        assert_eq!((lines.is_done(), lines.end()), (false, 0), "an earlier one may come");
        let mut late = Lines::of(&of, (0, 1 << 60), (1, Direction::Forward), usize::MAX);
        late.add(line(limit as i64 * 1_000_000, "x"));
        late.keep();
        assert_eq!((late.is_done(), late.end()), (false, limit as u64 * 1000));
        late.direction = Direction::Backward;
        assert_eq!(late.end(), u64::MAX);
        lines.clear();
        assert_eq!((lines.found.len(), lines.worst, lines.bytes, lines.number), (0, None, 0, 0));
    }
}

#[test]
fn a_line_counts_if_it_is_in_the_span_and_not_worse_than_all_others() {
    use Direction::{Backward, Forward};
    for (worst, direction, time, expected) in [
        (None, Forward, 9, false),
        (None, Forward, 10, true),
        (None, Forward, 19, true),
        (None, Backward, 20, false),
        // Of two at one time, the one that is read first comes first; backwards, the last.
        (Some(15), Forward, 14, true),
        (Some(15), Forward, 15, false),
        (Some(15), Forward, 16, false),
        (Some(15), Backward, 14, false),
        (Some(15), Backward, 15, true),
        (Some(15), Backward, 16, true),
        (Some(15), Backward, 20, false),
        (Some(15), Forward, 9, false),
    ] {
        assert_eq!(counts((10, 20), worst, direction)(time), expected, "{worst:?} {direction:?} {time}");
    }
}

#[test]
fn lines_at_one_time_are_in_the_order_of_reading() {
    let of = query(ALL);
    for (direction, expected) in [
        (Direction::Forward, ["early", "first", "second"]),
        (Direction::Backward, ["late", "third", "second"]),
    ] {
        let mut lines = Lines::of(&of, (0, 100), (3, direction), usize::MAX);
        for (time, text) in [(5, "first"), (5, "second"), (1, "early"), (5, "third"), (9, "late")] {
            lines.add(line(time, text));
        }
        let found: Vec<_> = lines.finish().into_iter().map(|line| line.text).collect();
        assert_eq!(found, expected, "{direction:?}");
    }
}

#[test]
fn there_is_enough_once_so_many_lines_were_written_since() {
    let of = query(ALL);
    let mut lines = Lines::of(&of, (0, 100_000), (2, Direction::Backward), usize::MAX);
    for (time, enough) in [(3000, false), (1000, false), (2000, true), (1999, true)] {
        lines.add(line(time, "x"));
        assert_eq!(lines.has_enough_since(2), enough, "{time}");
    }
}

#[test]
fn label_sets_that_are_remembered_are_limited() {
    let of = query(r#"{a="b"}"#);
    let mut chosen = Chosen::new(&of);
    let set = |value: &[u8]| {
        let mut set = LabelSet::default();
        set.insert("a", value);
        Arc::new(set)
    };
    let (wanted, other) = (set(b"b"), set(b"c"));
    for (set, expected) in [(&wanted, true), (&other, false), (&wanted, true), (&other, false)] {
        assert_eq!(chosen.has(set), expected);
    }
    assert_eq!((chosen.entries, chosen.streams.len()), (2, 2));
    for n in 2..STREAMS_MAX {
        chosen.has(&set(n.to_string().as_bytes()));
        assert_eq!(chosen.streams.len(), n + 1);
    }
    chosen.has(&set(b"more"));
    assert_eq!(chosen.streams.len(), 1);
}
