//! The reader alone: what it costs to read a journal of a million entries, all fields of them or what shipping wants, beside
//! libsystemd, journalctl and a plain read of the same bytes; and what many files cost over few. Shown are entries per second
//! of processor time (user and system) of a process of its own, and its peak resident memory, of which a process that reads
//! nothing is a part. The best of several runs counts: neighbours on a shared machine can only add to processor time.
//!
//! `cargo bench --bench reader`, steered by environment variables:
//!
//! | variable | meaning | default |
//! | --- | --- | --- |
//! | `JOURNAL_SHIP_BENCH_ENTRIES` | entries in the journal | 1000000 |
//! | `JOURNAL_SHIP_BENCH_RUNS` | runs of each kind; the best counts | 5 |
//! | `JOURNAL_SHIP_BENCH_CHECK` | `1`: fail when many files cost more than is wanted | unset |
//! | `JOURNAL_SHIP_BENCH_COMPARE` | `1`: libsystemd (with a C compiler and its headers) and journalctl, too | unset |

#[path = "support/scatter.rs"]
mod scatter;
#[allow(dead_code)] // what a program sends
mod support;
#[path = "support/table.rs"]
mod table;

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use journald_reader::{Keys, Scope, Start, Tail, Waker};

use support::Error;
use support::generate::{self, BenchJournal};
use table::{Row, compare, flag, journalctl, megabytes, number, plain_read, table};

/// What entries in two hundred files may cost, by what they cost in few.
const RATIO_MAX: f64 = 1.5;
/// Entries of the comparison between many files and few, and the many files.
const SCATTERED: (u64, u64) = (400_000, 200);
/// Entries that stand in files by turns, each in another file than the one before, as where journals of many hosts are gathered.
const BY_TURNS: u64 = 200_000;
/// So many files take turns, and so many times what one file costs they may cost.
const TURNS: [(u64, f64); 4] = [(2, 1.2), (10, 1.5), (50, 2.0), (200, 4.0)];
/// What a process that measures is told to do: one of the words below, and a folder.
const JOB: &str = "JOURNAL_SHIP_BENCH_JOB";

/// libsystemd from C, all fields, nothing done with them.
const ALL_FIELDS_C: &str = r#"
#include <stdio.h>
#include <systemd/sd-journal.h>

int main(int argc, char **argv) {
    sd_journal *journal;
    const void *data;
    size_t length;
    unsigned long entries = 0, bytes = 0;

    if (argc != 2 || sd_journal_open_directory(&journal, argv[1], 0) < 0)
        return 1;
    SD_JOURNAL_FOREACH(journal) {
        entries++;
        SD_JOURNAL_FOREACH_DATA(journal, data, length)
            bytes += length;
    }
    printf("%lu entries, %lu bytes\n", entries, bytes);
}
"#;

fn main() -> ExitCode {
    let result = match env::var(JOB) {
        Ok(job) => read(&job),
        Err(_) => run(),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            // Nothing is left to be done when standard error is closed too.
            let _ = writeln!(io::stderr(), "reader: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Reads a journal, as told.
fn read(job: &str) -> Result<ExitCode, Error> {
    // As the program does, so that two hundred files stay open.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    let (what, folder) = job.split_once(' ').ok_or("a job is a word and a folder")?;
    let mut keys = Keys::default();
    match what {
        "nothing" => {
            // So long that its memory is seen.
            std::thread::sleep(Duration::from_millis(100));
            return Ok(ExitCode::SUCCESS);
        }
        "all" => keys.add_all(),
        _ => {
            for name in [
                "MESSAGE",
                "_HOSTNAME",
                "_SYSTEMD_UNIT",
                "_SYSTEMD_USER_UNIT",
                "SYSLOG_IDENTIFIER",
                "PRIORITY",
                "_TRANSPORT",
            ] {
                keys.add(name);
            }
        }
    }
    let mut tail = Tail::open(&Scope::of([PathBuf::from(folder)]), keys, Start::Oldest, Waker::new()?)?;
    let (mut entries, mut bytes) = (0u64, 0);
    while let Some(entry) = tail.next_entry() {
        entries += 1;
        bytes += entry.fields().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    }
    writeln!(io::stdout(), "{entries} entries, {bytes} bytes, {:?}", tail.counts())?;
    Ok(ExitCode::SUCCESS)
}

fn run() -> Result<ExitCode, Error> {
    // `cargo test --all-targets` runs benchmarks too, unoptimised and without this argument.
    if env::args().all(|argument| argument != "--bench") {
        writeln!(io::stderr(), "nothing measured: run this with `cargo bench --bench reader`")?;
        return Ok(ExitCode::SUCCESS);
    }
    let entries = number("JOURNAL_SHIP_BENCH_ENTRIES", 1_000_000)?;
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().ok_or("the target folder has no path")?;
    let root = target.join("bench-journal");
    let journal = generate::prepare(&root, entries)?;

    // First of all, for it brings the files into the page cache: all others find them there.
    let mut rows = vec![plain_read(&journal)?];
    rows.push(best("nothing: the process itself", "nothing", &journal)?);
    rows.push(best("all fields", "all", &journal)?);
    rows.push(best("label set and MESSAGE", "labels", &journal)?);
    if flag("JOURNAL_SHIP_BENCH_COMPARE") {
        rows.push(libsystemd(target, &journal)?);
        rows.push(journalctl(&journal, "export")?);
        rows.push(journalctl(&journal, "json")?);
    }
    let (entries, files) = SCATTERED;
    let few = best("few files", "all", &generate::prepare(&root, entries)?)?;
    let name = format!("{files} files, one after the other");
    let many = best(&name, "all", &scatter::scatter(&root, entries, files, false)?)?;
    let ratio = few.rate() / many.rate();
    rows.extend([few, many]);

    let mut out = io::stdout().lock();
    let ours = rows.get(2).map_or(0.0, Row::rate);
    table(&mut out, rows.iter(), ours)?;
    let peak = |row: usize| rows.get(row).map_or(0, |row| row.usage.peak_bytes);
    let own = peak(2).max(peak(3)).saturating_sub(peak(1));
    let mut kept = ratio <= RATIO_MAX;
    writeln!(
        out,
        "\nmemory of the reader itself: {:.1} MB; an entry in {files} files costs {ratio:.2} of one in few, at most {RATIO_MAX} wanted: \
         {}\n",
        megabytes(own),
        if kept { "kept" } else { "missed" },
    )?;

    let one = best("one file", "all", &scatter::scatter(&root, BY_TURNS, 1, true)?)?;
    let mut turns = Vec::new();
    for (files, _) in TURNS {
        let name = format!("{files} files by turns");
        turns.push(best(&name, "all", &scatter::scatter(&root, BY_TURNS, files, true)?)?);
    }
    table(&mut out, [&one].into_iter().chain(&turns), one.rate())?;
    for ((files, most), row) in TURNS.iter().zip(&turns) {
        let ratio = one.rate() / row.rate();
        kept &= ratio <= *most;
        writeln!(out, "{files} files by turns cost {ratio:.2} times one file, at most {most} wanted")?;
    }
    Ok(if kept || !flag("JOURNAL_SHIP_BENCH_CHECK") { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The best run of this program at a job.
fn best(name: &str, job: &str, journal: &BenchJournal) -> Result<Row, Error> {
    let program = env::current_exe()?;
    let runs = number("JOURNAL_SHIP_BENCH_RUNS", 5)?.max(1);
    let job = format!("{job} {}", journal.folder.display());
    let rows = (0..runs).map(|_| compare(name, Command::new(&program).env(JOB, &job), journal));
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    rows.into_iter().max_by(|a, b| a.rate().total_cmp(&b.rate())).ok_or_else(|| "no run".into())
}

fn libsystemd(target: &Path, journal: &BenchJournal) -> Result<Row, Error> {
    let (source, program) = (target.join("all-fields.c"), target.join("all-fields"));
    fs::write(&source, ALL_FIELDS_C)?;
    let status =
        Command::new("cc").arg("-O2").arg(&source).arg("-o").arg(&program).arg("-lsystemd").status()?;
    if !status.success() {
        return Err("libsystemd's reader does not compile: is libsystemd-dev there?".into());
    }
    compare("libsystemd from C, all fields", Command::new(program).arg(&journal.folder), journal)
}
