//! What queries cost shipping: the built program ships a journal of a million entries alone, and while clients ask its API for
//! everything without a pause. Shown is the time until the last entry has arrived; the best of several runs counts.
//!
//! `cargo bench --bench beside`, steered by environment variables:
//!
//! | variable | meaning | default |
//! | --- | --- | --- |
//! | `JOURNAL_SHIP_BENCH_ENTRIES` | entries in the journal | 1000000 |
//! | `JOURNAL_SHIP_BENCH_RUNS` | runs of each kind, in turns; the best counts | 3 |
//! | `JOURNAL_SHIP_BENCH_CHECK` | `1`: fail where queries delay shipping by more than half, or take more than 32 MB | unset |
//! | `JOURNAL_SHIP_BENCH_BINARY` | another build of the program | the one just built |

#[path = "support/bench.rs"]
mod bench;
#[path = "support/ship.rs"]
mod ship;
#[allow(dead_code)] // what other benchmarks measure
mod support;
#[allow(dead_code)] // tables of what programs send
#[path = "support/table.rs"]
mod table;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use support::Error;
use support::generate::{self, BenchJournal};
use support::host::START;
use support::process::Usage;
use table::{flag, megabytes, number};

/// Clients that ask without a pause (count): twice as many as an agent answers at a time.
const CLIENTS: usize = 4;
/// What they ask for, from the beginning of the journal (microseconds): all of it.
const SPAN: u64 = 3 * 86_400_000_000;
/// Before a client tries again whom it could not reach.
const AGAIN: Duration = Duration::from_millis(20);
/// The longest that shipping may take beside queries, to alone.
const RATIO_MAX: f64 = 1.5;
/// The most that queries may add to the peak of resident memory (bytes).
const ADDED_MAX: u64 = 32_000_000;

fn main() -> ExitCode {
    bench::main("beside", run)
}

fn run() -> Result<ExitCode, Error> {
    let entries = number("JOURNAL_SHIP_BENCH_ENTRIES", 1_000_000)?;
    let runs = number("JOURNAL_SHIP_BENCH_RUNS", 3)?.max(1);
    let binary = bench::program();
    let journal = generate::prepare(&bench::journals()?, entries)?;
    table::plain_read(&journal)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}: {entries} entries\n", journal.folder.display())?;
    let (mut alone, mut beside, mut answers) = (Vec::new(), Vec::new(), 0);
    for _ in 0..runs {
        alone.push(ship_with(&binary, &journal, 0)?.0);
        let (usage, answered) = ship_with(&binary, &journal, CLIENTS)?;
        beside.push(usage);
        answers += answered;
    }
    let best =
        |usages: &[Usage]| usages.iter().map(|usage| usage.wall.as_secs_f64()).fold(f64::MAX, f64::min);
    let peak = |usages: &[Usage]| usages.iter().map(|usage| usage.peak_bytes).max().unwrap_or(0);
    let (ratio, added) =
        (best(&beside) / best(&alone).max(0.001), peak(&beside).saturating_sub(peak(&alone)));
    for (name, usages) in [("alone", &alone), ("beside queries", &beside)] {
        writeln!(out, "{name:<16} {:>7.2} s {:>7.1} MB", best(usages), megabytes(peak(usages)))?;
    }
    let kept = ratio <= RATIO_MAX && added <= ADDED_MAX && answers > 0;
    writeln!(
        out,
        "\n{answers} answers of everything; {ratio:.2} times the time; at most {RATIO_MAX}, and {:.0} MB: {}",
        megabytes(ADDED_MAX),
        if kept { "kept" } else { "missed" },
    )?;
    Ok(if kept || !flag("JOURNAL_SHIP_BENCH_CHECK") { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Ships the journal while so many clients ask; also how many answers they got.
fn ship_with(binary: &Path, journal: &BenchJournal, clients: usize) -> Result<(Usage, u64), Error> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let query = format!("query: {{socket: null, listen: '127.0.0.1:{port}', unauthenticated: true}}");
    let (over, answers) = (AtomicBool::new(false), AtomicU64::new(0));
    let shipped: Result<Usage, Error> = thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    match ask(port) {
                        Ok(true) => drop(answers.fetch_add(1, Relaxed)),
                        _ => thread::sleep(AGAIN),
                    }
                }
            });
        }
        let shipped = ship::ship(binary, journal, 1, &query);
        over.store(true, Relaxed);
        shipped.map(|(usage, ..)| usage)
    });
    Ok((shipped?, answers.into_inner()))
}

/// Asks for a word that no line has, so that all are read; true when the answer came whole.
fn ask(port: u16) -> io::Result<bool> {
    const QUERY: &str = "%7Bjob%3D~%22.%2B%22%7D%20%7C%3D%20%22nowhere%20to%20be%20found%22";
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    write!(
        stream,
        "GET /loki/api/v1/query_range?query={QUERY}&start={START}000&end={}000&limit=100 HTTP/1.1\r\n\
         Host: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n",
        START + SPAN
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200"))
}
