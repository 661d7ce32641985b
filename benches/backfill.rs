//! The main job, whole: the built program ships a journal of a million entries to a Loki that answers
//! 204. Shown are entries per second of processor time (user and system, all threads, from start to
//! exit) and peak resident memory. The best of several runs counts: neighbours on a shared machine can
//! only add to processor time.
//!
//! `cargo bench --bench backfill`, steered by environment variables:
//!
//! | variable | meaning | default |
//! | --- | --- | --- |
//! | `JOURNAL_SHIP_BENCH_ENTRIES` | entries in the journal | 1000000 |
//! | `JOURNAL_SHIP_BENCH_RUNS` | runs; the best counts | 5 |
//! | `JOURNAL_SHIP_BENCH_CHECK` | `1`: fail below 300,000 entries per CPU second or above 32 MB | unset |
//! | `JOURNAL_SHIP_BENCH_COMPARE` | `1`: journalctl on the same files too | unset |
//! | `JOURNAL_SHIP_BENCH_BINARY` | another build of the program | the one just built |

#[path = "support/ship.rs"]
mod ship;
mod support;
#[path = "support/table.rs"]
mod table;

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use support::Error;
use support::generate::{self, BenchJournal};
use table::{Row, flag, journalctl, megabytes, number, plain_read, table};

/// What the program promises at least, in entries per second of processor time.
const RATE_MIN: f64 = 300_000.0;
/// What the program promises at most, in bytes of peak resident memory.
const PEAK_MAX: u64 = 32_000_000;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            // Nothing is left to be done when standard error is closed too.
            let _ = writeln!(io::stderr(), "backfill: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, Error> {
    // `cargo test --all-targets` runs benchmarks too, unoptimised and without this argument.
    if env::args().all(|argument| argument != "--bench") {
        writeln!(io::stderr(), "nothing measured: run this with `cargo bench --bench backfill`")?;
        return Ok(ExitCode::SUCCESS);
    }
    let entries = number("JOURNAL_SHIP_BENCH_ENTRIES", 1_000_000)?;
    let runs = number("JOURNAL_SHIP_BENCH_RUNS", 5)?.max(1);
    let binary = env::var_os("JOURNAL_SHIP_BENCH_BINARY")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_journal-ship")), PathBuf::from);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().ok_or("the target folder has no path")?;
    let journal = generate::prepare(&target.join("bench-journal"), entries)?;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{}: {entries} entries, {:.1} fields each, messages of {} bytes on average",
        journal.folder.display(),
        journal.fields as f64 / entries.max(1) as f64,
        journal.message_bytes / entries.max(1),
    )?;

    // First of all, for it brings the files into the page cache: all others find them there.
    let mut others = vec![plain_read(&journal)?];
    let mut ships = (0..runs).map(|run| ship(&binary, &journal, run)).collect::<Result<Vec<_>, _>>()?;
    if flag("JOURNAL_SHIP_BENCH_COMPARE") {
        others.push(journalctl(&journal, "export")?);
        others.push(journalctl(&journal, "json")?);
    }
    ships.sort_by(|a, b| b.rate().total_cmp(&a.rate()));
    let best = ships.first().map_or(0.0, Row::rate);
    let median = ships.get(ships.len() / 2).map_or(0.0, Row::rate);
    let peak = ships.iter().map(|row| row.usage.peak_bytes).max().unwrap_or(0);
    table(&mut out, ships.iter().chain(&others), best)?;
    let kept = best >= RATE_MIN && peak <= PEAK_MAX;
    writeln!(
        out,
        "\nentries per CPU second: best {best:.0}, median {median:.0}, at least {RATE_MIN:.0} wanted; \
         highest peak {:.1} MB, at most {:.1} wanted: {}",
        megabytes(peak),
        megabytes(PEAK_MAX),
        if kept { "kept" } else { "missed" },
    )?;
    Ok(if kept || !flag("JOURNAL_SHIP_BENCH_CHECK") { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn ship(binary: &Path, journal: &BenchJournal, run: u64) -> Result<Row, Error> {
    let (usage, sent) = ship::ship(binary, journal, "")?;
    let name = format!("journal-ship, run {}", run + 1);
    Ok(Row { name, entries: journal.entries, usage, sent: Some(sent) })
}
