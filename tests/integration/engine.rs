//! The rule engine over the tables of queries: what it keeps of entries comes to what looking at each entry comes to, however
//! often a query was evaluated before, and so wherever its windows are cut. What the queries should come to is tested with
//! the language.

use journal_ship::alerts::engine::{Engine, Evaluation};
use logql::Expr;

use crate::support::logql::table::{SECOND, of_the_file, pairs_of_equals, shown, written};
use crate::support::logql::{Given, Slow};

/// The value of a query at 60 s, from an engine that evaluates it this often (nanoseconds).
fn by_the_engine(expr: &Expr, interval: i64, entries: &[Given]) -> Vec<String> {
    let mut engine = Engine::new(100);
    engine.watch(expr.clone(), interval);
    let mut value = Vec::new();
    let mut take = |evaluation: Evaluation| {
        if evaluation.time == 60 * SECOND {
            value = shown(evaluation.result);
        }
    };
    engine.advance(-1, &mut take);
    for Given { time, labels, metadata, line } in entries {
        engine.advance(time - 1, &mut take);
        let metadata = metadata.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        engine.observe(*time, labels, line, metadata);
    }
    engine.advance(60 * SECOND, &mut take);
    value
}

fn check<'q>(queries: impl IntoIterator<Item = &'q String>, entries: &[Given]) {
    let mut count = 0;
    for query in queries {
        let expr = Expr::parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        let slowly = shown(Slow::new(&expr, entries).value_at(60 * SECOND));
        for interval in [60 * SECOND, 20 * SECOND, 7_500_000_000, SECOND] {
            let value = by_the_engine(&expr, interval, entries);
            assert_eq!(value, slowly, "{query}, evaluated every {} s", interval as f64 / 1e9);
        }
        count += 1;
    }
    assert!(count >= 60, "{count} queries");
}

#[test]
fn queries_come_to_the_same_in_the_engine() {
    let (entries, rows) = written();
    check(rows.iter().map(|(query, _)| query), &entries);
}

#[test]
fn queries_of_the_file_come_to_the_same_in_the_engine() {
    let (entries, rows) = of_the_file();
    check(rows.iter().map(|(query, _)| query), &entries);
}

#[test]
fn queries_with_a_stage_that_does_nothing_come_to_the_same_in_the_engine() {
    let (entries, pairs) = pairs_of_equals();
    check(pairs.iter().flatten(), &entries);
}
