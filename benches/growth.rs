//! What cost grows with: the built program ships journals of more and more entries, files and streams, and to more and more
//! destinations. Each row is the best of several runs, by processor time (user and system, all threads, from start to exit).
//! `docs/plots/growth-*.svg` are written anew; where cost is in proportion, or does not grow, a line is straight.
//!
//! `cargo bench --bench growth`, steered by environment variables:
//!
//! | variable | meaning | default |
//! | --- | --- | --- |
//! | `JOURNAL_SHIP_BENCH_ENTRIES` | entries of the largest journal; ten million take 7 GB of disk | 10000000 |
//! | `JOURNAL_SHIP_BENCH_RUNS` | runs of each row; the best counts | 3 |
//! | `JOURNAL_SHIP_BENCH_ONLY` | one of `entries`, `files`, `streams`, `destinations` | all |
//! | `JOURNAL_SHIP_BENCH_BINARY` | another build of the program | the one just built |

#[path = "support/bench.rs"]
mod bench;
#[path = "support/plot.rs"]
mod plot;
#[path = "support/scatter.rs"]
mod scatter;
#[path = "support/ship.rs"]
mod ship;
mod support;

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use plot::{Panel, svg};
use support::Error;
use support::generate::{self, BenchJournal};
use support::random::Random;

/// Entries of the journals with more files, streams and destinations (count).
const ENTRIES: u64 = 200_000;
const FILES: [u64; 6] = [1, 10, 50, 100, 200, 500];
const STREAMS: [u64; 5] = [1, 500, 1_000, 2_500, 5_000];
const DESTINATIONS: [u64; 4] = [1, 2, 5, 10];
/// Time of the first entry of the journals with many streams: 2026-01-05 00:00:00 UTC (microseconds).
const START: u64 = 1_767_571_200_000_000;

/// What grows, whether it is shown by powers of ten, and lines of cases.
struct Question {
    across: &'static str,
    powers: bool,
    lines: Vec<(&'static str, Vec<Case>)>,
}

/// A point of a line.
struct Case {
    size: u64,
    journal: BenchJournal,
    destinations: u64,
}

fn main() -> ExitCode {
    bench::main("growth", run)
}

/// Makes the cases of a question, with their journals in a folder.
type Asking = fn(&Path) -> Result<Question, Error>;

fn run() -> Result<ExitCode, Error> {
    let runs = number("JOURNAL_SHIP_BENCH_RUNS", 3)?.max(1);
    let only = env::var("JOURNAL_SHIP_BENCH_ONLY").ok();
    let binary = bench::program();
    let root = bench::journals()?;
    let plots = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/plots");
    fs::create_dir_all(&plots)?;
    let mut out = io::stdout().lock();
    let questions: [(&str, Asking); 4] =
        [("entries", entries), ("files", files), ("streams", streams), ("destinations", destinations)];
    for (name, ask) in questions {
        if only.as_ref().is_none_or(|only| only == name) {
            let panels = answer(&ask(&root)?, &binary, runs, &mut out)?;
            fs::write(plots.join(format!("growth-{name}.svg")), svg(&panels))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs all cases of a question, prints them, and draws what they cost.
fn answer(question: &Question, binary: &Path, runs: u64, out: &mut impl Write) -> Result<[Panel; 2], Error> {
    let Question { across, powers, lines } = question;
    writeln!(
        out,
        "\n{:<28} {:>10} {:>8} {:>14} {:>8} {:>9}",
        "", across, "CPU s", "entries/CPU s", "peak MB", "requests"
    )?;
    let (mut costs, mut peaks) = (Vec::new(), Vec::new());
    for (line, cases) in lines {
        let (mut cost, mut peak) = (Vec::new(), Vec::new());
        for Case { size, journal, destinations } in cases {
            let ships = (0..runs).map(|_| ship::ship(binary, journal, *destinations, ""));
            let ships = ships.collect::<Result<Vec<_>, _>>()?;
            let (usage, sent, _) = ships.iter().min_by_key(|ship| ship.0.cpu).ok_or("no run")?;
            let seconds = usage.cpu.as_secs_f64().max(0.01);
            let megabytes = usage.peak_bytes as f64 / 1e6;
            writeln!(
                out,
                "{line:<28} {size:>10} {seconds:>8.2} {:>14.0} {megabytes:>8.1} {:>9}",
                sent.entries as f64 / seconds,
                sent.requests,
            )?;
            cost.push((*size as f64, seconds));
            peak.push((*size as f64, megabytes));
        }
        costs.push((*line, cost));
        peaks.push((*line, peak));
    }
    Ok([
        Panel { title: "processor time (s)", across, powers: *powers, lines: costs },
        Panel { title: "peak memory (MB)", across, powers: *powers, lines: peaks },
    ])
}

fn entries(root: &Path) -> Result<Question, Error> {
    let most = number("JOURNAL_SHIP_BENCH_ENTRIES", 10_000_000)?;
    let sizes = std::iter::successors(Some(10_000), |size| Some(size * 10)).take_while(|size| *size < most);
    let cases = sizes
        .chain([most])
        .map(|size| Ok(Case { size, journal: generate::prepare(root, size)?, destinations: 1 }));
    let lines = vec![("", cases.collect::<Result<Vec<_>, Error>>()?)];
    Ok(Question { across: "entries", powers: true, lines })
}

fn files(root: &Path) -> Result<Question, Error> {
    let line = |by_turns| {
        let cases = FILES.map(|size| {
            Ok(Case { size, journal: scatter::scatter(root, ENTRIES, size, by_turns)?, destinations: 1 })
        });
        cases.into_iter().collect::<Result<Vec<_>, Error>>()
    };
    let lines = vec![("one after the other", line(false)?), ("by turns", line(true)?)];
    Ok(Question { across: "files", powers: false, lines })
}

fn streams(root: &Path) -> Result<Question, Error> {
    let cases = STREAMS.map(|size| Ok(Case { size, journal: of_streams(root, size)?, destinations: 1 }));
    let lines = vec![("", cases.into_iter().collect::<Result<Vec<_>, Error>>()?)];
    Ok(Question { across: "streams", powers: false, lines })
}

fn destinations(root: &Path) -> Result<Question, Error> {
    let journal = generate::prepare(root, ENTRIES)?;
    let cases = DESTINATIONS.map(|size| Case { size, journal: journal.clone(), destinations: size });
    Ok(Question { across: "destinations", powers: false, lines: vec![("", cases.into())] })
}

/// A journal in which so many units take turns by chance; made if it is not there.
fn of_streams(root: &Path, streams: u64) -> Result<BenchJournal, Error> {
    let home = root.join(format!("v{}-{ENTRIES}-of-{streams}-streams", generate::VERSION));
    let (mut random, mut fields, mut message_bytes) = (Random::new(streams), 0, 0);
    let mut entry = |n: u64| {
        let message = format!("request {:016x} of client {:016x} was served", random.next(), random.next());
        let entry = [
            ("__REALTIME_TIMESTAMP", (START + 1_000 * n).to_string()),
            ("__MONOTONIC_TIMESTAMP", (1_000 + 1_000 * n).to_string()),
            ("_BOOT_ID", "5b1d3f7c9a2e4d68b0c1e2f3a4958677".to_owned()),
            ("_HOSTNAME", "many".to_owned()),
            ("_TRANSPORT", "stdout".to_owned()),
            ("_UID", "1000".to_owned()),
            ("_SYSTEMD_UNIT", format!("unit-{}.service", random.below(streams))),
            ("SYSLOG_IDENTIFIER", "unit".to_owned()),
            ("PRIORITY", "6".to_owned()),
            ("MESSAGE", message),
        ];
        fields += entry.len() as u64 - 2;
        message_bytes += entry.last().map_or(0, |(_, message)| message.len() as u64);
        entry.map(|(name, value)| format!("{name}={value}\n")).concat() + "\n"
    };
    if home.exists() {
        (0..ENTRIES).for_each(|n| _ = entry(n));
    } else {
        let draft = root.join(format!("draft-{}", std::process::id()));
        fs::create_dir_all(draft.join("journal"))?;
        generate::write(&draft.join("journal"), |out| {
            (0..ENTRIES).try_for_each(|n| out.write_all(entry(n).as_bytes()))
        })?;
        fs::rename(&draft, &home)?;
    }
    Ok(BenchJournal { folder: home.join("journal"), entries: ENTRIES, fields, message_bytes })
}

fn number(name: &str, default: u64) -> Result<u64, Error> {
    match env::var(name) {
        Ok(text) => {
            text.parse().map_err(|error| format!("{name}={text}: {error}; write a whole number").into())
        }
        Err(_) => Ok(default),
    }
}
