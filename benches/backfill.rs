//! The main job, whole: the built program ships a journal of a million entries to a Loki that answers
//! 204. Shown are entries per second of processor time (user and system, all threads, from start to
//! exit), peak resident memory, and how soon after its start the program sends. The best of several runs counts: neighbours on a shared machine can
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
//! | `JOURNAL_SHIP_BENCH_PROFILE` | a file that perf records the program in | unset |

#[path = "support/bench.rs"]
mod bench;
#[path = "support/ship.rs"]
mod ship;
mod support;
#[path = "support/table.rs"]
mod table;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use support::Error;
use support::generate::{self, BenchJournal};
use table::{Row, flag, journalctl, megabytes, number, plain_read, table};

/// What the program promises at least, in entries per second of processor time.
const RATE_MIN: f64 = 300_000.0;
/// What the program promises at most, in bytes of peak resident memory.
const PEAK_MAX: u64 = 32_000_000;

fn main() -> ExitCode {
    bench::main("backfill", run)
}

fn run() -> Result<ExitCode, Error> {
    let entries = number("JOURNAL_SHIP_BENCH_ENTRIES", 1_000_000)?;
    let runs = number("JOURNAL_SHIP_BENCH_RUNS", 5)?.max(1);
    let binary = bench::program();
    let journal = generate::prepare(&bench::journals()?, entries)?;
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
    let ships = (0..runs).map(|run| ship(&binary, &journal, run)).collect::<Result<Vec<_>, _>>()?;
    let (mut ships, mut firsts): (Vec<_>, Vec<_>) = ships.into_iter().unzip();
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
    firsts.sort_unstable();
    let first = |n: usize| firsts.get(n).map_or(0.0, |first| first.as_secs_f64() * 1000.0);
    writeln!(
        out,
        "from the start of the program to its first request: best {:.0} ms, median {:.0} ms",
        first(0),
        first(firsts.len() / 2)
    )?;
    Ok(if kept || !flag("JOURNAL_SHIP_BENCH_CHECK") { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn ship(binary: &Path, journal: &BenchJournal, run: u64) -> Result<(Row, Duration), Error> {
    let (usage, sent, first) = ship::ship(binary, journal, 1, "")?;
    let name = format!("journal-ship, run {}", run + 1);
    Ok((Row { name, entries: journal.entries, usage, sent: Some(sent) }, first))
}
