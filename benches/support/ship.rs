//! One run of the built program over the bench journal, from its start until every entry has arrived.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::support::Error;
use super::support::generate::BenchJournal;
use super::support::process::{Process, Usage};
use super::support::sink::{Counts, Sink};

/// Longest time without a new entry before the run is given up.
const STALL: Duration = Duration::from_secs(30);
/// Time without a request after which what has arrived is counted, and the program looked at.
const QUIET: Duration = Duration::from_millis(100);
/// Longest time for the program to end after it was asked to.
pub(crate) const SHUTDOWN: Duration = Duration::from_secs(30);

/// Runs the program until every entry has arrived at each of so many destinations, ends it, and makes sure that all came once
/// and whole. `more` is added to its configuration. Returned are what it cost, what it sent, and the time from its start to its
/// first request.
pub(crate) fn ship(
    binary: &Path,
    journal: &BenchJournal,
    destinations: u64,
    more: &str,
) -> Result<(Usage, Counts, Duration), Error> {
    ship_to(&Sink::start()?, binary, journal, destinations, more)
}

/// As [`ship`], to a sink that is there.
pub(crate) fn ship_to(
    sink: &Sink,
    binary: &Path,
    journal: &BenchJournal,
    destinations: u64,
    more: &str,
) -> Result<(Usage, Counts, Duration), Error> {
    let home = tempfile::tempdir()?;
    let config = home.path().join("config.yaml");
    let loki =
        (0..destinations).map(|n| format!("{{name: sink{n}, url: {:?}}}", sink.url())).collect::<Vec<_>>();
    let expected = destinations * journal.entries;
    fs::write(
        &config,
        format!(
            "journal: {{paths: [{:?}], backfill: 10y}}\nloki: [{}]\nstate_directory: {:?}\nhttp: {{listen: null}}\n{more}",
            journal.folder,
            loki.join(", "),
            home.path().join("state"),
        ),
    )?;
    let started = Instant::now();
    let mut process = Process::start(Command::new(binary).arg("--config").arg(&config).stdin(Stdio::null()))?;
    let mut profiler = profile(&process)?;
    let last = arrived(sink, &mut process, expected)?;
    process.terminate()?;
    let (mut usage, status) = process.finish(SHUTDOWN)?;
    usage.wall = last - started;
    if let Some(profiler) = &mut profiler {
        profiler.wait()?;
    }
    let sent = sink.counts();
    if !status.success() {
        return Err(format!("{} ended with {status}", binary.display()).into());
    }
    let bytes = destinations * journal.message_bytes;
    if (sent.entries, sent.line_bytes, sent.bad_requests) != (expected, bytes, 0) {
        return Err(
            format!("{destinations} times {journal:?} was to be sent, but this arrived: {sent:?}").into()
        );
    }
    let first = sink.first().map_or(Duration::MAX, |first| first - started);
    Ok((usage, sent, first))
}

/// Waits until so many entries have arrived, and says when the last request came.
pub(crate) fn arrived(sink: &Sink, process: &mut Process, expected: u64) -> Result<Instant, Error> {
    let mut last = Instant::now();
    loop {
        let arrived = sink.wait(QUIET);
        if process.sample()?.is_none() {
            return Err(format!("{} ended by itself, after {:?}", process.name(), sink.counts()).into());
        }
        if arrived {
            last = Instant::now();
        } else if sink.counts().entries >= expected {
            return Ok(last);
        } else if last.elapsed() > STALL {
            return Err(format!("nothing arrived for {STALL:?}, after {:?}", sink.counts()).into());
        }
    }
}

/// Has perf look on until the program ends, if `JOURNAL_SHIP_BENCH_PROFILE` names a file for what it sees.
fn profile(process: &Process) -> Result<Option<Child>, Error> {
    let Some(file) = env::var_os("JOURNAL_SHIP_BENCH_PROFILE") else { return Ok(None) };
    let perf = Command::new("perf")
        .args(["record", "-q", "-F", "2999", "-e", "cpu-clock", "--call-graph", "dwarf,16384", "-p"])
        .arg(process.id().to_string())
        .arg("-o")
        .arg(file)
        .spawn();
    Ok(Some(perf.map_err(|error| format!("perf: {error}"))?))
}
