//! What several programs cost on the same journal, side by side.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::support::Error;
use super::support::generate::BenchJournal;
use super::support::process::{Process, Usage};
use super::support::sink::Counts;

/// Longest time for a program that is compared with; `journalctl -o json` takes a minute or two.
const COMPARISON: Duration = Duration::from_secs(900);

/// One line of the table.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) entries: u64,
    pub(crate) usage: Usage,
    /// What it pushed, if that is what it does.
    pub(crate) sent: Option<Counts>,
}

impl Row {
    /// Entries per second of processor time.
    pub(crate) fn rate(&self) -> f64 {
        self.entries as f64 / self.usage.cpu.as_secs_f64().max(0.01)
    }
}

/// What it costs to read the files and do nothing with them.
pub(crate) fn plain_read(journal: &BenchJournal) -> Result<Row, Error> {
    let files = fs::read_dir(&journal.folder)?;
    let files = files.map(|file| file.map(|file| file.path())).collect::<Result<Vec<_>, _>>()?;
    compare("cat", Command::new("cat").args(files), journal)
}

/// journalctl on the same files, with its output thrown away.
pub(crate) fn journalctl(journal: &BenchJournal, output: &str) -> Result<Row, Error> {
    let mut command = Command::new("journalctl");
    command.arg("-D").arg(&journal.folder).args(["-q", "--no-pager", "-o", output]);
    compare(&format!("journalctl -o {output}"), &mut command, journal)
}

/// Runs another program on the journal, with its output thrown away.
pub(crate) fn compare(name: &str, command: &mut Command, journal: &BenchJournal) -> Result<Row, Error> {
    let process = Process::start(command.stdin(Stdio::null()).stdout(Stdio::null()))?;
    let (usage, status) = process.finish(COMPARISON)?;
    if !status.success() {
        return Err(format!("{name} ended with {status}").into());
    }
    Ok(Row { name: name.to_owned(), entries: journal.entries, usage, sent: None })
}

/// Prints the rows; the last column is how many times slower than `best` each one is.
pub(crate) fn table<'a>(
    out: &mut impl Write,
    rows: impl Iterator<Item = &'a Row>,
    best: f64,
) -> io::Result<()> {
    writeln!(
        out,
        "\n{:<32} {:>9} {:>8} {:>8} {:>14} {:>8} {:>8} {:>9} {:>8}",
        "", "entries", "wall s", "CPU s", "entries/CPU s", "peak MB", "sent MB", "requests", "ratio"
    )?;
    for row in rows {
        let (sent, requests) = row.sent.map_or_else(Default::default, |sent| {
            (format!("{:.1}", megabytes(sent.body_bytes)), sent.requests.to_string())
        });
        writeln!(
            out,
            "{:<32} {:>9} {:>8.2} {:>8.2} {:>14.0} {:>8.1} {:>8} {:>9} {:>8.2}",
            row.name,
            row.entries,
            row.usage.wall.as_secs_f64(),
            row.usage.cpu.as_secs_f64(),
            row.rate(),
            megabytes(row.usage.peak_bytes),
            sent,
            requests,
            best / row.rate(),
        )?;
    }
    Ok(())
}

/// 10⁶ bytes.
pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Whether an environment variable says `1`.
pub(crate) fn flag(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| value == "1")
}

/// A number from an environment variable.
pub(crate) fn number(name: &str, default: u64) -> Result<u64, Error> {
    match env::var(name) {
        Ok(text) => {
            text.parse().map_err(|error| format!("{name}={text}: {error}; write a whole number").into())
        }
        Err(_) => Ok(default),
    }
}
