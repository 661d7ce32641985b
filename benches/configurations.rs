//! What a configuration adds: the built program ships a journal of a million entries with its defaults, with rules for
//! relabelling, with retention, and with all of it and stages; and it only looks at the same journal (`--dry-run`), also with
//! 57 alert rules. Compared is processor time (user and system, all threads, from start to exit). What does not depend on a line
//! is remembered for each label set, so in steady state most of it should cost nothing. Runs alternate, and the best of each
//! kind counts: neighbours on a shared machine can only add to processor time.
//!
//! `cargo bench --bench configurations`, steered by environment variables:
//!
//! | variable | meaning | default |
//! | --- | --- | --- |
//! | `JOURNAL_SHIP_BENCH_ENTRIES` | entries in the journal | 1000000 |
//! | `JOURNAL_SHIP_BENCH_RUNS` | runs of each kind; the best counts | 5 |
//! | `JOURNAL_SHIP_BENCH_CHECK` | `1`: fail when ten rules cost more than 10 %, or retention more than 15 % | unset |
//! | `JOURNAL_SHIP_BENCH_BINARY` | another build of the program | the one just built |

#[path = "support/bench.rs"]
mod bench;
#[path = "support/ship.rs"]
mod ship;
mod support;
#[path = "support/table.rs"]
#[allow(dead_code)] // other programs are not compared
mod table;
#[path = "support/watched.rs"]
#[allow(dead_code)] // the rules alone are wanted, not lines for them
mod watched;

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode};

use support::Error;
use support::generate::{self, BenchJournal};
use support::{messages, random, units};
use table::{Row, compare, flag, number, table};

/// Rules for relabelling that drop nothing of this journal, so that all entries must arrive.
const RELABEL: &str = include_str!("support/ten_rules.yaml");
const STAGES: &str = include_str!("support/stages.yaml");
const RETENTION: &str = include_str!("support/retention.yaml");
/// What the ten rules, and the rules of retention, may cost at most: processor time with them, by processor time without.
const RATIOS_MAX: [(usize, f64); 2] = [(1, 1.10), (2, 1.15)];

fn main() -> ExitCode {
    bench::main("configurations", run)
}

fn run() -> Result<ExitCode, Error> {
    let entries = number("JOURNAL_SHIP_BENCH_ENTRIES", 1_000_000)?;
    let runs = number("JOURNAL_SHIP_BENCH_RUNS", 5)?.max(1);
    let binary = bench::program();
    let journal = generate::prepare(&bench::journals()?, entries)?;
    let home = tempfile::tempdir()?;
    let rules = home.path().join("rules.yaml");
    fs::write(&rules, watched::text())?;

    let all = format!("{RELABEL}{STAGES}{RETENTION}");
    let shipped = [
        ("defaults", ""),
        ("ten relabel rules", RELABEL),
        ("five retention rules", RETENTION),
        ("all of it, json and labels", &all),
    ];
    let alerts = format!(
        "alerts: {{rule_files: [{:?}], alertmanagers: [{{url: \"http://127.0.0.1:9\"}}]}}\n",
        rules.display().to_string()
    );
    let looked = [
        ("--dry-run -o json", "", vec!["-o", "json"]),
        ("--dry-run --summary", "", vec!["--summary"]),
        ("--summary, 57 alert rules", &alerts, vec!["--summary"]),
    ];
    // Once for the page cache.
    ship::ship(&binary, &journal, 1, "")?;
    let mut rows: Vec<Row> = Vec::new();
    for run in 0..runs {
        let mut row = 0;
        let mut keep = |new: Row| {
            match rows.get_mut(row) {
                None => rows.push(new),
                Some(best) if new.rate() > best.rate() => *best = new,
                Some(_) => {}
            }
            row += 1;
        };
        writeln!(io::stderr(), "run {} of {runs}", run + 1)?;
        for (name, more) in shipped {
            let (usage, sent, _) = ship::ship(&binary, &journal, 1, more)?;
            keep(Row { name: name.to_owned(), entries, usage, sent: Some(sent) });
        }
        for (name, more, options) in &looked {
            keep(look(name, &binary, &journal, home.path(), more, options)?);
        }
    }
    let best = rows.first().map_or(0.0, Row::rate);
    let mut out = io::stdout().lock();
    table(&mut out, rows.iter(), best)?;
    let mut kept = true;
    for (row, most) in RATIOS_MAX {
        let Some(row) = rows.get(row) else { continue };
        let ratio = best / row.rate();
        kept &= ratio <= most;
        writeln!(out, "{}: {ratio:.3} times the defaults, at most {most} wanted", row.name)?;
    }
    Ok(if kept || !flag("JOURNAL_SHIP_BENCH_CHECK") { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A dry run of the whole journal.
fn look(
    name: &str,
    binary: &Path,
    journal: &BenchJournal,
    home: &Path,
    more: &str,
    options: &[&str],
) -> Result<Row, Error> {
    let config = home.join("config.yaml");
    let folder = &journal.folder;
    let text = format!(
        "journal: {{paths: [{folder:?}], backfill: 10y}}\nloki: [{{url: \"http://127.0.0.1:9\"}}]\nhttp: {{listen: null}}\n{more}"
    );
    fs::write(&config, text)?;
    let mut command = Command::new(binary);
    command.arg("--config").arg(&config).arg("--dry-run").args(options).stderr(std::process::Stdio::null());
    compare(name, &mut command, journal)
}
