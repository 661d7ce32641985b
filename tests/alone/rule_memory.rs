//! What rules count as their memory is what the process takes: measured in a process of its own, in which nothing else takes
//! any meanwhile.

use std::process::Command;
use std::sync::Arc;

use journal_ship::alerts::engine::Engine;
use logql::Expr;
use logql::label_set::LabelSet;

const SECOND: i64 = 1_000_000_000;
const START: i64 = 1_764_000_000 * SECOND;
/// How far what is counted may be from what is taken, either way.
const TOLERANCE: f64 = 1.3;

/// Resident memory (bytes).
fn resident() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * rustix::param::page_size() as f64
}

/// Set in the process that measures.
const MEASURES: &str = "RULE_MEMORY_MEASURES";
/// The test below, as this program names it.
const NAME: &str = "rule_memory::what_is_counted_is_what_is_taken_and_no_more_than_there_may_be";

#[test]
fn what_is_counted_is_what_is_taken_and_no_more_than_there_may_be() {
    if std::env::var_os(MEASURES).is_some() {
        return measure();
    }
    let _lock = crate::alone();
    // This program again, with this test and nothing else.
    let mut again = Command::new(std::env::current_exe().unwrap());
    let out = again.args(["--exact", NAME, "--nocapture"]).env(MEASURES, "1").output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    // Indented: what it says of itself is not the result of this program.
    let shown = said.replace('\n', "\n    ");
    assert!(out.status.success() && said.contains("test result: ok. 1 passed"), "{shown}");
}

fn measure() {
    let mut unit = LabelSet::default();
    unit.insert("unit", b"u");
    let unit = Arc::new(unit);
    let quantile = r#"quantile_over_time(0.9, {unit="u"} | pattern "<n> <v>" | unwrap v [1h]) by (n)"#;
    let count = r#"sum by (n) (count_over_time({unit="u"} | pattern "<n> <_>" [1h]))"#;
    // The query, series, buckets of each, samples in each bucket, the length of names.
    let rows = [
        (count, 10_000, 1, 1, 8),
        (count, 10_000, 15, 1, 8),
        (count, 1000, 60, 2, 30),
        (count, 5000, 2, 1, 1500),
        (quantile, 1000, 10, 5, 8),
    ];
    let new = |query: &str, most: usize| {
        let mut engine = Engine::new(20_000);
        engine.limit_memory(most);
        engine.watch(Expr::parse(query).unwrap(), 60 * SECOND);
        engine.advance(START - 1, |_| {});
        engine
    };
    // Once beforehand, so that all code that runs has run.
    for (query, ..) in rows {
        let mut engine = new(query, 1 << 20);
        engine.observe(START, &unit, "1 1", std::iter::empty());
        engine.advance(START + 60 * SECOND, |_| {});
    }
    let mut all = Vec::new();
    for (query, series, buckets, samples, name) in rows {
        let mut engine = new(query, 1 << 30);
        let before = resident();
        for minute in 0..buckets {
            for n in 0..series {
                for sample in 0..samples {
                    let time = START + minute * 60 * SECOND + n + sample;
                    engine.observe(time, &unit, &format!("{n:0name$} {sample}"), std::iter::empty());
                }
            }
        }
        let (taken, counted) = (resident() - before, engine.bytes() as f64);
        let ratio = taken / counted;
        println!("{series} series of {buckets} buckets: {counted} bytes counted, {taken} taken: {ratio:.2}");
        assert!((1.0 / TOLERANCE..TOLERANCE).contains(&ratio), "{query}: {counted} counted, {taken} taken");
        assert_eq!(engine.series() as i64, series);
        // Kept: memory that is free again would not show in the next round.
        all.push(engine);
    }
    for ((query, series, _, _, name), held) in rows.into_iter().zip(all) {
        let most = held.bytes() / 4;
        let mut engine = new(query, most);
        for n in 0..series * 2 {
            engine.observe(START + n, &unit, &format!("{n:0name$} 1"), std::iter::empty());
            assert!(engine.bytes() <= most);
        }
        assert!(engine.series() > 0);
    }
}
