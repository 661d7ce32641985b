//! Another shipper on the same journal: it reads a million entries and sends them to the same Loki that answers 204, beside this
//! program. Compared are entries for each second of processor time, and peak resident memory.
//!
//! `JOURNAL_SHIP_BENCH_PEER='exec promtail -config.expand-env=true -config.file=benches/peers/promtail.yaml' cargo bench --bench peers`.
//! `sh` runs the command, which finds these in its environment:
//!
//! | variable | meaning |
//! | --- | --- |
//! | `JOURNAL` | the folder of the journal |
//! | `LOKI`, `LOKI_PORT` | base URL of the Loki, and its port on 127.0.0.1 |
//! | `STATE` | an empty folder for what the program wants to keep |
//!
//! It is steered by these:
//!
//! | variable | meaning | default |
//! | --- | --- | --- |
//! | `JOURNAL_SHIP_BENCH_PEER` | the command | none: there is nothing to compare |
//! | `JOURNAL_SHIP_BENCH_ENTRIES` | entries in the journal | 1000000 |
//! | `JOURNAL_SHIP_BENCH_RUNS` | runs of each, in turns; the best counts | 3 |
//! | `JOURNAL_SHIP_BENCH_BINARY` | another build of this program | the one just built |

#[path = "support/bench.rs"]
mod bench;
#[path = "support/ship.rs"]
mod ship;
mod support;
#[allow(dead_code)] // no other programs are compared
#[path = "support/table.rs"]
mod table;

use std::env;
use std::fs;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process_group};

use support::Error;
use support::generate::{self, BenchJournal};
use support::process::Process;
use support::sink::Sink;
use table::{Row, number, plain_read, table};

const COMMAND: &str = "JOURNAL_SHIP_BENCH_PEER";

fn main() -> ExitCode {
    bench::main("peers", run)
}

fn run() -> Result<ExitCode, Error> {
    let entries = number("JOURNAL_SHIP_BENCH_ENTRIES", 1_000_000)?;
    let runs = number("JOURNAL_SHIP_BENCH_RUNS", 3)?.max(1);
    let Ok(command) = env::var(COMMAND) else {
        return Err(format!("{COMMAND} names no command; see the head of benches/peers.rs").into());
    };
    let binary = bench::program();
    let journal = generate::prepare(&bench::journals()?, entries)?;
    // It brings the files into the page cache.
    plain_read(&journal)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for run in 0..runs {
        writeln!(io::stderr(), "run {} of {runs}", run + 1)?;
        theirs.push(peer(&command, &journal)?);
        let (usage, sent, _) = ship::ship(&binary, &journal, 1, "")?;
        ours.push(Row { name: "journal-ship".to_owned(), entries, usage, sent: Some(sent) });
    }
    let best = |rows: Vec<Row>| rows.into_iter().max_by(|a, b| a.rate().total_cmp(&b.rate()));
    let (ours, theirs) = (best(ours), best(theirs));
    let rate = ours.as_ref().map_or(0.0, Row::rate);
    table(&mut io::stdout().lock(), ours.iter().chain(&theirs), rate)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the other program until as many entries have arrived as the journal has.
fn peer(command: &str, journal: &BenchJournal) -> Result<Row, Error> {
    let sink = Sink::start()?;
    let state = tempfile::tempdir()?;
    let started = Instant::now();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", command])
        .env("JOURNAL", &journal.folder)
        .env("LOKI", sink.url())
        .env("LOKI_PORT", sink.port().to_string())
        .env("STATE", state.path())
        .stdin(Stdio::null())
        .process_group(0);
    let mut process = Process::start(&mut shell)?;
    let last = ship::arrived(&sink, &mut process, journal.entries)?;
    // A shell that stayed would be what is measured.
    let name = fs::read_to_string(format!("/proc/{}/comm", process.id()))?.trim().to_owned();
    if name == "sh" {
        if let Some(group) = i32::try_from(process.id()).ok().and_then(Pid::from_raw) {
            kill_process_group(group, Signal::TERM)?;
        }
        return Err(
            format!("`{command}` runs beside its shell; write `exec` before the program's name").into()
        );
    }
    process.terminate()?;
    let (mut usage, _) = process.finish(ship::SHUTDOWN)?;
    usage.wall = last - started;
    let sent = sink.counts();
    if sent.bad_requests > 0 {
        return Err(format!("{name} sent requests that are no push: {sent:?}").into());
    }
    Ok(Row { name, entries: sent.entries, usage, sent: Some(sent) })
}
