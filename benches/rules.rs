//! What watching rules costs: fifty typical alert rules look at a million entries of fifty units, as the units of the
//! other benchmarks write them. Shown are processor time for each entry, and memory for each series.
//!
//! `cargo bench --bench rules`, steered by environment variables:
//!
//! | variable | meaning | default |
//! | --- | --- | --- |
//! | `JOURNAL_SHIP_BENCH_ENTRIES` | entries | 1000000 |
//! | `JOURNAL_SHIP_BENCH_RUNS` | runs; the best counts | 5 |
//! | `JOURNAL_SHIP_BENCH_CHECK` | `1`: fail above one microsecond for each entry | unset |

#[path = "support/messages.rs"]
mod messages;
#[path = "support/random.rs"]
mod random;
#[path = "support/units.rs"]
#[allow(dead_code)] // what makes journal entries of them
mod units;

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use journal_ship::alerts::engine::Engine;
use journal_ship::alerts::file;
use journal_ship::alerts::run::Rules;
use journal_ship::alerts::state::Outside;
use logql::label_set::LabelSet;
use random::Random;
use rustix::time::{ClockId, clock_gettime};
use units::UNITS;

/// What fifty rules may cost at most for each entry.
const COST_MAX: Duration = Duration::from_micros(1);
/// Different lines that are kept at hand (count).
const LINES: usize = 100_000;
const SECOND: i64 = 1_000_000_000;
const START: i64 = 1_767_571_200 * SECOND;
/// Two days, as in the journal of the other benchmarks.
const SPAN: i64 = 2 * 86_400 * SECOND;

/// A unit's rules, as people write them.
const KINDS: [&str; 5] = [
    r#"sum by (host) (count_over_time({unit="UNIT"} |~ "(?i)error|failed|timeout" [5m])) > 100000"#,
    r#"sum by (unit) (rate({unit="UNIT", level=~"error|crit"}[10m])) > 1000"#,
    r#"sum by (host) (count_over_time({unit="UNIT"} |= "panic" != "test" [15m])) > 0"#,
    r#"absent_over_time({unit="UNIT"}[30m])"#,
    r#"sum by (status) (count_over_time({unit="UNIT"} |= "HTTP/1.1\" 5" | regexp "HTTP/1.1\" (?P<status>\\d+)" [5m])) > 100000"#,
];
/// How many of each kind (count).
const OF_KIND: usize = 7;

fn main() -> ExitCode {
    let number = |name: &str, default: u64| {
        env::var(name).ok().and_then(|text| text.parse().ok()).filter(|n| *n > 0).unwrap_or(default)
    };
    let (entries, runs) =
        (number("JOURNAL_SHIP_BENCH_ENTRIES", 1_000_000), number("JOURNAL_SHIP_BENCH_RUNS", 5));
    let shipped = include_str!("../config/rules/host.yaml");
    let mut own = String::from("groups:\n  - name: own\n    rules:\n");
    for (kind, expr) in KINDS.iter().enumerate() {
        for unit in UNITS.iter().step_by(7).take(OF_KIND) {
            let expr = expr.replace("UNIT", unit.name);
            own.push_str(&format!("      - {{alert: A{kind}, expr: '{expr}'}}\n"));
        }
    }
    let mut groups = Vec::new();
    for text in [shipped, &own] {
        match file::parse(text, "rules", None) {
            Ok((of_file, _)) => groups.extend(of_file),
            Err(why) => {
                let _ = writeln!(io::stderr(), "rules: {}", why.render(false));
                return ExitCode::FAILURE;
            }
        }
    }
    let count: usize = groups.iter().map(|group| group.rules.len()).sum();
    let given = given();
    let cpu = || clock_gettime(ClockId::ProcessCPUTime);
    let mut best = Duration::MAX;
    for _ in 0..runs {
        let mut rules = Rules::new(&groups, Outside::default(), 60 * SECOND, 10_000);
        rules.advance(START - 1);
        let begin = cpu();
        for n in 0..entries as i64 {
            let time = START + SPAN / entries as i64 * n;
            if let Some((labels, metadata, line)) = given.get(n as usize % LINES) {
                rules.advance(time - 1);
                rules.observe(
                    time,
                    labels,
                    line,
                    metadata.iter().map(|(name, value)| (*name, value.as_str())),
                );
            }
        }
        let end = cpu();
        let nanoseconds = (end.tv_sec - begin.tv_sec) * SECOND + end.tv_nsec - begin.tv_nsec;
        best = best.min(Duration::from_nanos(nanoseconds.unsigned_abs()));
    }
    let each = best.as_nanos() as f64 / entries as f64;
    let kept = each <= COST_MAX.as_nanos() as f64;
    let mut out = io::stdout().lock();
    let _ = writeln!(
        out,
        "{count} rules over {entries} entries, evaluated every minute of two days: {each:.0} ns of processor time \
         for each entry, at most {} wanted: {}",
        COST_MAX.as_nanos(),
        if kept { "kept" } else { "missed" }
    );
    let check = env::var_os("JOURNAL_SHIP_BENCH_CHECK").is_some_and(|check| check == "1");
    for buckets in [1, 15] {
        let _ = writeln!(
            out,
            "a series of {buckets} bucket{} takes {:.0} bytes",
            if buckets == 1 { "" } else { "s" },
            series_bytes(buckets)
        );
    }
    if kept || !check { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Resident memory (bytes) of a series with samples in so many buckets of a minute, as 10,000 of them take it.
fn series_bytes(buckets: i64) -> f64 {
    const SERIES: i64 = 10_000;
    let resident = || {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).unwrap_or(0.0);
        pages * rustix::param::page_size() as f64
    };
    let Ok(expr) = r#"sum by (n) (count_over_time({unit="u"} | pattern "<n> <_>" [15m]))"#.parse() else {
        return f64::NAN;
    };
    let mut engine = Engine::new(SERIES as usize);
    engine.watch(expr, 60 * SECOND);
    engine.advance(START - 1, |_| {});
    let mut labels = LabelSet::default();
    labels.insert("unit", b"u");
    let labels = Arc::new(labels);
    let before = resident();
    for minute in 0..buckets {
        for n in 0..SERIES {
            let time = START + minute * 60 * SECOND + n;
            engine.observe(time, &labels, &format!("{n:08} x"), std::iter::empty());
        }
    }
    (resident() - before) / SERIES as f64
}

type Given = (Arc<LabelSet>, Vec<(&'static str, String)>, String);

/// Entries as rules see them.
fn given() -> Vec<Given> {
    let mut random = Random::new(1);
    let levels = ["info", "info", "info", "info", "notice", "warning", "error"];
    let mut sets: Vec<Vec<Arc<LabelSet>>> = Vec::new();
    for unit in &UNITS {
        let set = |level: &&str| {
            let mut set = LabelSet::default();
            let pairs = [("host", "app-03.example.net"), ("job", "systemd-journal"), ("level", level)];
            for (name, value) in pairs.into_iter().chain([("service_name", unit.name), ("unit", unit.name)]) {
                set.insert(name, value.as_bytes());
            }
            Arc::new(set)
        };
        // Equal sets are one, as the labeler has it.
        let mut of_unit: Vec<Arc<LabelSet>> = Vec::new();
        for level in &levels {
            let new = set(level);
            let known = of_unit.iter().find(|known| **known == new).cloned();
            of_unit.push(known.unwrap_or(new));
        }
        sets.push(of_unit);
    }
    let mut line = String::new();
    let mut entry = || {
        // The first units write most.
        let index = (random.below(50) * random.below(50) / 50) as usize;
        let unit = &UNITS[index];
        line.clear();
        messages::write(&mut line, &mut random, unit.style, unit.comm, "00");
        let labels = sets[index][random.below(levels.len() as u64) as usize].clone();
        let metadata =
            vec![("pid", (1000 + random.below(8)).to_string()), ("identifier", unit.comm.to_owned())];
        (labels, metadata, line.clone())
    };
    (0..LINES).map(|_| entry()).collect()
}
