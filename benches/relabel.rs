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

#[path = "support/ship.rs"]
mod ship;
mod support;

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use support::Error;
use support::generate;
use support::process::Usage;

/// What rules may cost at most: processor time with them, by processor time without.
const RATIO_MAX: f64 = 1.10;

/// Ten rules as people write them: names made shorter, instances folded, noise dropped, keywords, shards.
/// The journal has nothing that they drop, so that all entries must arrive.
const RULES: &str = r"
labels:
  relabel_configs:
    - {source_labels: [__journal__systemd_unit], regex: '([^@]+@).+(\.[a-z]+)', target_label: unit, replacement: '$1$2'}
    - {source_labels: [__journal__systemd_unit], regex: 'session-.+\.scope', target_label: unit, replacement: session.scope}
    - {source_labels: [__journal_coredump_unit], regex: '(.+)', target_label: unit}
    - {source_labels: [__journal_container_name], regex: '(.+)', target_label: service_name}
    - {source_labels: [unit, __journal__transport], regex: ';(.+)', target_label: unit}
    - {source_labels: [__journal_priority_keyword], target_label: level, action: uppercase}
    - {source_labels: [__journal_syslog_identifier], regex: 'no-such-program|nor-this', action: drop}
    - {source_labels: [__journal__hostname, __journal__systemd_unit], target_label: shard, modulus: 8, action: hashmod}
    - {regex: '__journal_(_systemd_slice|_transport)', replacement: 'j$1', action: labelmap}
    - {regex: 'j_transport', action: labeldrop}
";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            // Nothing is left to be done when standard error is closed too.
            let _ = writeln!(io::stderr(), "relabel: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, Error> {
    // `cargo test --all-targets` runs benchmarks too, unoptimised and without this argument.
    if env::args().all(|argument| argument != "--bench") {
        writeln!(io::stderr(), "nothing measured: run this with `cargo bench --bench relabel`")?;
        return Ok(ExitCode::SUCCESS);
    }
    let entries = number("JOURNAL_SHIP_BENCH_ENTRIES", 1_000_000)?;
    let runs = number("JOURNAL_SHIP_BENCH_RUNS", 5)?.max(1);
    let binary = env::var_os("JOURNAL_SHIP_BENCH_BINARY")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_journal-ship")), PathBuf::from);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().ok_or("the target folder has no path")?;
    let journal = generate::prepare(&target.join("bench-journal"), entries)?;

    let mut out = io::stdout().lock();
    writeln!(out, "{}: {entries} entries\n", journal.folder.display())?;
    writeln!(out, "{:<16} {:>8} {:>14} {:>8} {:>8}", "", "CPU s", "entries/CPU s", "peak MB", "sent MB")?;
    let kinds = [("without rules", ""), ("ten rules", RULES)];
    let mut best = [f64::INFINITY; 2];
    // Once for the page cache.
    ship::ship(&binary, &journal, "")?;
    for _ in 0..runs {
        for ((name, rules), best) in kinds.iter().zip(&mut best) {
            let (usage, sent) = ship::ship(&binary, &journal, rules)?;
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
