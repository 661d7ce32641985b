use super::*;
use crate::config::Config;
use crate::query::{Limits, Question, ask as ask_any};
use crate::shape::Sections;
use journald_reader::Scope;
use std::time::Duration;

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/demo/journal");
/// The whole journal of the demonstration, from here.
const NOW: Time = Time::At(2_000_000_000_000_000_000);
/// Everything in it, by unit.
const BY_UNIT: &str = r#"sum by (unit) (count_over_time({job=~".+"}[20000d]))"#;

/// What bounds a question, beside its time.
struct Bounds {
    config: &'static str,
    series: usize,
    deadline: Option<Duration>,
    stopped: bool,
}

const FREE: Bounds = Bounds { config: "loki: []", series: 500, deadline: None, stopped: false };

fn ask_within(query: &str, time: Time, bounds: &Bounds) -> Result<(Answer, Progress), QueryError> {
    let config = Config::parse(bounds.config, "test", &|_| None).unwrap_or_else(|error| panic!("{error}"));
    let journal = Journal::new(Scope::of([DEMO.into()]), Sections::from(&config), None);
    let stop = AtomicBool::new(bounds.stopped);
    let mut run = Run {
        stop: &stop,
        deadline: bounds.deadline.map(|after| Instant::now() + after),
        limits: Limits { series: bounds.series, ..Limits::default() },
        bytes_read: 0,
        progress: &mut |_| {},
    };
    let query = logql::Query::parse(query).unwrap();
    let question = Question { query, time, limit: 10, direction: crate::query::Direction::Backward };
    ask_any(&question, &journal, &mut run)
}

/// The times of the values of the first series.
fn times(answer: Answer) -> Vec<i64> {
    let Answer::Matrix(series) = answer else { panic!("{answer:?}") };
    series.first().map(|series| series.points.iter().map(|(time, _)| *time).collect()).unwrap_or_default()
}

#[test]
fn both_ends_move_outwards_to_multiples_of_the_step() {
    for (start, end, expected) in [
        (0, 20, &[0, 10, 20][..]),
        (7, 20, &[0, 10, 20]),
        (10, 21, &[10, 20, 30]),
        (19, 29, &[10, 20, 30]),
        (-5, 0, &[0]),
    ] {
        let (answer, _) = ask_within("vector(1)", Time::Span { start, end, step: 10 }, &FREE).unwrap();
        assert_eq!(times(answer), expected, "{start} to {end}");
    }
}

#[test]
fn a_query_of_no_entries_reads_none() {
    const STEP: i64 = 2_000_000_000_000_000;
    let span = Time::Span { start: 0, end: 1000 * STEP, step: STEP };
    let (answer, progress) = ask_within("vector(1)", span, &FREE).unwrap();
    assert_eq!((times(answer).len(), progress), (1001, Progress::default()));
}

#[test]
fn the_points_of_a_series_are_limited() {
    for (end, allowed) in [(POINTS_MAX * 10, true), (POINTS_MAX * 10 + 1, false), (i64::MAX, false)] {
        match ask_within("vector(1)", Time::Span { start: 0, end, step: 10 }, &FREE) {
            Ok((answer, _)) => assert_eq!((times(answer).len() as i64, allowed), (POINTS_MAX + 1, true)),
            Err(error) => assert!(matches!(error, QueryError::Points) && !allowed, "{end}: {error}"),
        }
    }
}

#[test]
fn the_series_of_an_answer_are_limited() {
    let (answer, progress) = ask_within(BY_UNIT, NOW, &FREE).unwrap();
    let Answer::Vector(_, vector) = answer else { panic!("{answer:?}") };
    let count = vector.len();
    assert!(count > 3, "{count}");
    let sum: f64 = vector.iter().map(|sample| sample.value).sum();
    assert_eq!((sum, progress.chosen), (progress.entries as f64, progress.entries), "each is counted once");
    for (series, allowed) in [(count, true), (count - 1, false), (0, false)] {
        match ask_within(BY_UNIT, NOW, &Bounds { series, ..FREE }) {
            Ok(_) => assert!(allowed, "{series}"),
            Err(error) => {
                assert!(matches!(error, QueryError::Series(n) if n == series) && !allowed, "{error}")
            }
        }
    }
}

#[test]
fn entries_that_stages_have_made_are_counted_too() {
    let of = |config| match ask_within(r#"sum(count_over_time({job=~".+"}[20000d]))"#, NOW, &config) {
        Ok((Answer::Vector(_, vector), progress)) => (vector[0].value, progress.chosen),
        other => panic!("{other:?}"),
    };
    let plain = of(FREE);
    let staged = of(Bounds { config: "loki: []\nstages: [{static_labels: {team: web}}]", ..FREE });
    assert_eq!(plain, staged);
    assert_eq!(plain.0, plain.1 as f64);
    let (answer, progress) = ask_within(r#"count_over_time({job="nobody"}[20000d])"#, NOW, &FREE).unwrap();
    assert_eq!((answer, progress.chosen), (Answer::Vector(2_000_000_000_000_000_000, Vec::new()), 0));
}

#[test]
fn what_takes_too_long_is_no_answer_and_what_is_stopped_is_one() {
    let past = Bounds { deadline: Some(Duration::ZERO), ..FREE };
    assert!(matches!(ask_within(BY_UNIT, NOW, &past), Err(QueryError::Deadline)));
    for bounds in [
        Bounds { deadline: Some(Duration::from_secs(3600)), ..FREE },
        Bounds { deadline: Some(Duration::from_secs(3600)), stopped: true, ..FREE },
    ] {
        let (answer, _) = ask_within("vector(1)", NOW, &bounds).unwrap();
        assert!(matches!(answer, Answer::Vector(_, vector) if vector.len() == 1));
    }
    // Over time, a query that is stopped has the values up to there.
    let span = Time::Span { start: 0, end: 20, step: 10 };
    let (answer, _) = ask_within("vector(1)", span, &Bounds { stopped: true, ..FREE }).unwrap();
    assert!(times(answer).is_empty());
}

#[test]
fn series_are_sorted_unless_the_query_does() {
    let labels = |query: &str| match ask_within(query, NOW, &FREE) {
        Ok((Answer::Vector(_, vector), _)) => {
            vector.iter().map(|sample| (sample.labels.to_string(), sample.value)).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    let plain = labels(BY_UNIT);
    assert!(plain.is_sorted_by_key(|(labels, _)| labels.trim_end_matches('}').to_owned()), "{plain:?}");
    for sorts in ["sort_desc(BY)", "sort_desc(BY) + 1", "1 + sort_desc(BY)", "sort_desc(BY) * on (unit) BY"] {
        let sorted = labels(&sorts.replace("BY", BY_UNIT));
        assert!(sorted.is_sorted_by(|(_, a), (_, b)| a >= b), "{sorts}: {sorted:?}");
    }
    for (query, ordered) in [
        ("sort(vector(1))", true),
        ("sort_desc(vector(1))", true),
        ("topk(1, vector(1))", true),
        ("bottomk(1, vector(1))", true),
        ("sort(vector(1)) + 1", true),
        ("1 - sort_desc(vector(1))", true),
        (r#"label_replace(sort(vector(1)), "a", "b", "c", "d")"#, true),
        ("sum(sort(vector(1)))", true),
        ("vector(1) and sort(vector(2))", true),
        ("topk(1, vector(1)) + 1", false),
        ("sum(vector(1))", false),
        ("vector(1)", false),
    ] {
        assert_eq!(is_ordered(&Expr::parse(query).unwrap()), ordered, "{query}");
    }
}

/// The least range of a query (nanoseconds), and a tenth of it.
const RANGE: i64 = 10 * TENTH;
const TENTH: i64 = 100_000;

/// Values of a query at each range.
fn values<'r>(query: &str, series_max: usize, stop: &'r AtomicBool) -> Values<'r> {
    let mut engine = Engine::new(series_max);
    engine.limit_labels(MEMORY_MAX);
    engine.watch(Expr::parse(query).unwrap(), RANGE);
    Values {
        engine,
        stop,
        deadline: None,
        verdicts: Verdicts::new(false),
        late: 5 * TENTH,
        ahead: 0,
        made: i64::MIN,
        came_late: false,
        series_max: 500,
        points: 0,
        held: 0,
        part: None,
        border: None,
        last: i64::MAX,
        matrix: IndexMap::default(),
        vector: Vec::new(),
        failed: None,
        chosen: 0,
    }
}

#[test]
fn the_values_of_all_series_are_limited() {
    let stop = AtomicBool::new(false);
    let mut values = values("vector(1)", 10, &stop);
    values.advance(-1);
    values.points = TOTAL_MAX - 2;
    values.advance(15 * TENTH);
    assert_eq!((values.points, values.failed.is_none(), values.is_done()), (TOTAL_MAX, true, false));
    values.advance(100 * RANGE);
    assert!(matches!(values.failed, Some(QueryError::Total(TOTAL_MAX))) && values.is_done());
    assert_eq!(values.points, TOTAL_MAX + 1, "nothing is evaluated after that");
    // The first failure is the one that is told.
    values.failed = Some(QueryError::Memory);
    values.deadline = Some(Instant::now());
    values.advance(200 * RANGE);
    assert!(matches!(values.failed, Some(QueryError::Memory)));
}

#[test]
fn parts_have_the_memory_of_one_together() {
    let stop = AtomicBool::new(false);
    let mut labels = LabelSet::default();
    labels.insert("a", b"b");
    let labels = Arc::new(labels);
    // Mebibytes of series until it is done.
    let taken = |parts: usize| {
        let query = r#"sum by (l) (count_over_time({a="b"} | label_format l=`{{__line__}}` [1h]))"#;
        let shared = Shared::of(parts);
        let mut values = values(query, 1000, &stop);
        values.be_part(&shared);
        let mut number = 0;
        while number < 40 && !values.is_done() {
            number += 1;
            let line = format!("{number}{}", "x".repeat(1 << 20));
            values.observe(number * TENTH, &labels, &line, std::iter::empty());
        }
        assert!(values.engine.bytes() <= PARTS_MEMORY / parts);
        assert!(values.failed.is_none() && shared.is_given_up(), "one thread may have room for all");
        number
    };
    assert_eq!([taken(4), taken(1)], [2, 8]);
}

#[test]
fn what_fails_in_the_end_fails_at_once() {
    let stop = AtomicBool::new(false);
    let query = r#"sum by (l) (count_over_time({a="b"} | label_format l=`{{__line__}}` [1ms]))"#;
    let mut labels = LabelSet::default();
    labels.insert("a", b"b");
    let labels = Arc::new(labels);
    // Three series, where there is room for two, at times of which the last one is given.
    for (every, time, last, fails) in [
        (1, RANGE, 10 * RANGE, true),
        (1, 3, RANGE, true),
        // No evaluation comes any more.
        (1, 3, RANGE - 1, false),
        // The next evaluation does not look back so far, or it does.
        (10, 9 * RANGE, 10 * RANGE, false),
        (10, 9 * RANGE + 3, 10 * RANGE, true),
    ] {
        let mut values = values(query, 2, &stop);
        values.engine = Engine::new(2);
        values.engine.watch(Expr::parse(query).unwrap(), every * RANGE);
        values.advance(-1);
        values.advance(0);
        values.last = last;
        for number in (0..3).rev() {
            assert!(values.failed.is_none());
            values.observe(time - number, &labels, &number.to_string(), std::iter::empty());
        }
        let failed = matches!(values.failed, Some(QueryError::Memory));
        assert_eq!((failed, values.is_done()), (fails, fails), "every {every}, {time}, {last}");
        // It would have failed, or not, at the evaluation.
        values.failed = None;
        values.advance(last);
        assert_eq!(matches!(values.failed, Some(QueryError::Memory)), fails, "every {every}, {time}, {last}");
    }
}

#[test]
fn the_labels_of_all_series_are_limited() {
    let stop = AtomicBool::new(false);
    let mut values =
        values(r#"sum by (l) (count_over_time({a="b"} | label_format l=`{{__line__}}` [1ms]))"#, 10, &stop);
    values.advance(-1);
    let mut labels = LabelSet::default();
    labels.insert("a", b"b");
    let labels = Arc::new(labels);
    for number in 1..=20 {
        // A mebibyte, far more than a rule may have.
        let line = format!("{number}{}", "x".repeat(1 << 20));
        values.observe(number * RANGE, &labels, &line, std::iter::empty());
        values.advance(number * RANGE);
        let failed = matches!(values.failed, Some(QueryError::Memory));
        assert_eq!(
            (values.matrix.len() as i64, failed),
            (number.min(16), number >= 16),
            "{:?}",
            values.failed
        );
    }
}

#[test]
fn an_evaluation_waits_for_entries_that_come_late() {
    let stop = AtomicBool::new(false);
    let mut values = values(r#"count_over_time({a="b"}[1ms])"#, 1, &stop);
    values.advance(-1);
    let mut labels = LabelSet::default();
    labels.insert("a", b"b");
    let labels = Arc::new(labels);
    // 9 comes after 14, and still counts; then 16 ends what may come late for 10.
    let mut seen = Vec::new();
    for time in [8, 14, 9, 16] {
        values.observe(time * TENTH, &labels, "x", std::iter::empty());
        seen.push(values.vector.first().map(|sample| sample.value));
    }
    assert_eq!((seen, values.came_late), (vec![None, None, None, Some(2.0)], false));
    // What belongs to a value that was computed needs another reading.
    values.observe(10 * TENTH, &labels, "x", std::iter::empty());
    assert!(values.came_late && values.is_done());
    // A series that has no room is no answer that is too small.
    let mut others = LabelSet::default();
    others.insert("a", b"b");
    others.insert("c", b"d");
    values.observe(17 * TENTH, &Arc::new(others), "x", std::iter::empty());
    values.advance(20 * TENTH);
    assert!(matches!(values.failed, Some(QueryError::Memory)), "{:?}", values.failed);
}

#[test]
fn a_query_that_is_stopped_is_concluded_once() {
    let stop = AtomicBool::new(false);
    let mut values = values("vector(1)", 10, &stop);
    values.advance(-1);
    values.conclude(0);
    assert!(values.vector.is_empty(), "it goes on, so it will be evaluated");
    stop.store(true, Relaxed);
    values.advance(0);
    assert!(values.vector.is_empty(), "it is stopped");
    values.failed = Some(QueryError::Deadline);
    values.conclude(0);
    assert!(values.vector.is_empty(), "it failed");
    values.failed = None;
    values.conclude(0);
    assert_eq!((values.vector.len(), values.matrix.len()), (1, 1));
}
