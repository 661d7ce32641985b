//! What relabelling costs: the built program ships a journal of a million entries, with and without ten
//! rules. Results are remembered by the identities of the fields that the rules read, so in steady state a
//! rule costs nothing; this shows whether that holds. Compared is processor time (user and system, all
//! threads, from start to exit). Runs alternate, and the best of each kind counts: neighbours on a shared
//! machine can only add to processor time.
//!
//! `cargo bench --bench relabel`, steered by environment variables:
//!
//! | variable | meaning | default |
//! | --- | --- | --- |
//! | `JOURNAL_SHIP_BENCH_ENTRIES` | entries in the journal | 1000000 |
//! | `JOURNAL_SHIP_BENCH_RUNS` | runs of each kind; the best counts | 5 |
//! | `JOURNAL_SHIP_BENCH_CHECK` | `1`: fail when rules cost more than 10 % | unset |
//! | `JOURNAL_SHIP_BENCH_BINARY` | another build of the program | the one just built |

#[path = "support/bench.rs"]
mod bench;
#[path = "support/ship.rs"]
mod ship;
mod support;

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use support::Error;
use support::generate;
use support::process::Usage;

/// What rules may cost at most: processor time with them, by processor time without.
const RATIO_MAX: f64 = 1.10;

/// They drop nothing of this journal, so that all entries must arrive.
const RULES: &str = include_str!("support/ten_rules.yaml");

fn main() -> ExitCode {
    bench::main("relabel", run)
}

fn run() -> Result<ExitCode, Error> {
    let entries = number("JOURNAL_SHIP_BENCH_ENTRIES", 1_000_000)?;
    let runs = number("JOURNAL_SHIP_BENCH_RUNS", 5)?.max(1);
    let binary = bench::program();
    let journal = generate::prepare(&bench::journals()?, entries)?;

    let mut out = io::stdout().lock();
    writeln!(out, "{}: {entries} entries\n", journal.folder.display())?;
    writeln!(out, "{:<16} {:>8} {:>14} {:>8} {:>8}", "", "CPU s", "entries/CPU s", "peak MB", "sent MB")?;
    let kinds = [("without rules", ""), ("ten rules", RULES)];
    let mut best = [f64::INFINITY; 2];
    // Once for the page cache.
    ship::ship(&binary, &journal, 1, "")?;
    for _ in 0..runs {
        for ((name, rules), best) in kinds.iter().zip(&mut best) {
            let (usage, sent, _) = ship::ship(&binary, &journal, 1, rules)?;
            let seconds = seconds(&usage);
            *best = best.min(seconds);
            writeln!(
                out,
                "{name:<16} {seconds:>8.2} {:>14.0} {:>8.1} {:>8.1}",
                entries as f64 / seconds,
                usage.peak_bytes as f64 / 1e6,
                sent.body_bytes as f64 / 1e6,
            )?;
        }
    }
    let [without, with] = best;
    let ratio = with / without;
    let kept = ratio <= RATIO_MAX;
    writeln!(
        out,
        "\nbest: {without:.2} s without, {with:.2} s with; ratio {ratio:.3}, at most {RATIO_MAX} wanted: {}",
        if kept { "kept" } else { "missed" },
    )?;
    let check = env::var_os("JOURNAL_SHIP_BENCH_CHECK").is_some_and(|value| value == "1");
    Ok(if kept || !check { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Processor time in seconds, never zero.
fn seconds(usage: &Usage) -> f64 {
    usage.cpu.as_secs_f64().max(0.01)
}

fn number(name: &str, default: u64) -> Result<u64, Error> {
    match env::var(name) {
        Ok(text) => {
            text.parse().map_err(|error| format!("{name}={text}: {error}; write a whole number").into())
        }
        Err(_) => Ok(default),
    }
}
