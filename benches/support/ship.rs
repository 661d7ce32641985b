//! One run of the built program over the bench journal, from its start until every entry has arrived.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
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
const SHUTDOWN: Duration = Duration::from_secs(30);

/// Runs the program until every entry has arrived, ends it, and makes sure that all came once and whole.
/// `more` is added to its configuration.
pub(crate) fn ship(binary: &Path, journal: &BenchJournal, more: &str) -> Result<(Usage, Counts), Error> {
    let sink = Sink::start()?;
    let home = tempfile::tempdir()?;
    let config = home.path().join("config.yaml");
    fs::write(
        &config,
        format!(
            "journal: {{paths: [{:?}], backfill: 10y}}\nloki: [{{name: sink, url: {:?}}}]\nstate_directory: {:?}\nhttp: {{listen: null}}\n{more}",
            journal.folder,
            sink.url(),
            home.path().join("state"),
        ),
    )?;
    let started = Instant::now();
    let mut process = Process::start(Command::new(binary).arg("--config").arg(&config).stdin(Stdio::null()))?;
    let mut last = started;
    loop {
        let arrived = sink.wait(QUIET);
        if !process.sample()? {
            return Err(format!("{} ended by itself, after {:?}", binary.display(), sink.counts()).into());
        }
        if arrived {
            last = Instant::now();
        } else if sink.counts().entries >= journal.entries {
            break;
        } else if last.elapsed() > STALL {
            return Err(format!("nothing arrived for {STALL:?}, after {:?}", sink.counts()).into());
        }
    }
    process.terminate()?;
    let (mut usage, status) = process.finish(SHUTDOWN)?;
    usage.wall = last - started;
    let sent = sink.counts();
    if !status.success() {
        return Err(format!("{} ended with {status}", binary.display()).into());
    }
    if (sent.entries, sent.line_bytes, sent.bad_requests) != (journal.entries, journal.message_bytes, 0) {
        return Err(format!("{journal:?} was to be sent, but this arrived: {sent:?}").into());
    }
    Ok((usage, sent))
}
