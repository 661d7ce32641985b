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
#[path = "support/watched.rs"]
mod watched;

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use journal_ship::alerts::engine::Engine;
use journal_ship::alerts::run::Rules;
use journal_ship::alerts::state::Outside;
use logql::label_set::LabelSet;
use rustix::time::{ClockId, clock_gettime};

/// What fifty rules may cost at most for each entry.
const COST_MAX: Duration = Duration::from_micros(1);
/// Different lines that are kept at hand (count).
const LINES: usize = 100_000;
const SECOND: i64 = 1_000_000_000;
const START: i64 = 1_767_571_200 * SECOND;
/// Two days, as in the journal of the other benchmarks.
const SPAN: i64 = 2 * 86_400 * SECOND;

fn main() -> ExitCode {
    let number = |name: &str, default: u64| {
        env::var(name).ok().and_then(|text| text.parse().ok()).filter(|n| *n > 0).unwrap_or(default)
    };
    let (entries, runs) =
        (number("JOURNAL_SHIP_BENCH_ENTRIES", 1_000_000), number("JOURNAL_SHIP_BENCH_RUNS", 5));
    let groups = match watched::groups() {
        Ok(groups) => groups,
        Err(why) => {
            let _ = writeln!(io::stderr(), "rules: {why}");
            return ExitCode::FAILURE;
        }
    };
    let count: usize = groups.iter().map(|group| group.rules.len()).sum();
    let given = watched::entries(LINES);
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
