//! Counts the instructions that each stage of the way spends on an entry. On a shared machine, time varies from run to run and
//! instructions hardly do. So a change that costs something is seen on any machine, CI's too.
//!
//! Each job runs in a process of its own under valgrind, over fewer entries and over more. The difference is what entries cost
//! once everything is warm, without the start of the program. A stage is what its job costs over the job before it. Its figure
//! is compared with the one in `benches/instructions.txt`.
//!
//! `./test --instructions` runs this, `BLESS=1 ./test --instructions` records the figures anew. It needs valgrind and
//! systemd-journal-remote.

#[path = "support/jobs.rs"]
mod jobs;
#[allow(dead_code)] // what other benches use
mod support;
#[path = "support/watched.rs"]
mod watched;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use support::generate;
use support::{Error, messages, random, units};

/// Entries of the two runs of a job (counts): the first is enough to warm up every cache on the way.
const ENTRIES: (u64, u64) = (10_000, 30_000);
/// Growth that is told, and growth that fails (per cent of the recorded figure).
const GROWTH_TOLD: f64 = 5.0;
const GROWTH_MAX: f64 = 15.0;
/// Instructions for an entry that mean nothing: cheap stages are differences of much larger numbers.
const NOISE: f64 = 25.0;
/// How often a stage is counted again that seems to have grown too much (count). Tables of hashes have seeds drawn at random, so a few
/// instructions differ from run to run; the least of several counts is what the code costs.
const AGAIN: usize = 3;
/// What a process that is counted is told to do: the name of a job, a count and a folder.
const JOB: &str = "JOURNAL_SHIP_BENCH_JOB";

/// The stages: name, job, and the job without the stage.
const STAGES: [(&str, &str, Option<&str>); 10] = [
    ("reader, all fields", "all", None),
    ("reader, label set and message", "read", None),
    ("labels and line", "shape", Some("read")),
    ("ten relabel rules", "relabel", Some("shape")),
    ("json and labels for a unit", "stages", Some("shape")),
    ("five retention rules", "retention", Some("shape")),
    ("batch, protobuf and snappy", "batch", Some("shape")),
    ("snappy alone", "again", Some("unpack")),
    ("alert rules", "rules", None),
    ("query of lines", "query", None),
];

fn main() -> ExitCode {
    let result = match env::var(JOB) {
        Ok(job) => run_job(&job),
        Err(_) => run(),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            // Nothing is left to be done when standard error is closed too.
            let _ = writeln!(io::stderr(), "instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run_job(job: &str) -> Result<ExitCode, Error> {
    let mut words = job.splitn(3, ' ');
    let (Some(name), Some(count), Some(folder)) = (words.next(), words.next(), words.next()) else {
        return Err("a job is a name, a count and a folder".into());
    };
    jobs::run(name, count.parse()?, Path::new(folder))?;
    Ok(ExitCode::SUCCESS)
}

fn run() -> Result<ExitCode, Error> {
    // `cargo test --all-targets` runs benchmarks too, unoptimised and without this argument.
    if env::args().all(|argument| argument != "--bench") {
        writeln!(io::stderr(), "nothing measured: run this with `./test --instructions`")?;
        return Ok(ExitCode::SUCCESS);
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().ok_or("the target folder has no path")?;
    let journal = generate::prepare(&target.join("bench-journal"), ENTRIES.1)?;
    let mut counts = Counts { folder: journal.folder, least: BTreeMap::new() };
    for job in STAGES.iter().flat_map(|(_, job, without)| [Some(*job), *without]).flatten() {
        if !counts.least.contains_key(job) {
            counts.count(job)?;
        }
    }

    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.txt");
    if env::var_os("BLESS").is_some_and(|bless| bless == "1") {
        record(&file, &counts.measured())?;
    }
    let recorded = Recorded::read(&file)?;
    for _ in 0..AGAIN {
        for ((name, job, without), (_, now)) in STAGES.iter().zip(counts.measured()) {
            if recorded.figures.get(*name).is_some_and(|before| has_grown(now, *before)) {
                [Some(*job), *without].into_iter().flatten().try_for_each(|job| counts.count(job))?;
            }
        }
    }
    let measured = counts.measured();
    compare(&measured, &recorded, &mut io::stdout().lock())
}

/// The least instructions of each job, over fewer entries and over more.
struct Counts {
    folder: PathBuf,
    least: BTreeMap<&'static str, (u64, u64)>,
}

impl Counts {
    /// Counts a job, perhaps again.
    fn count(&mut self, job: &'static str) -> Result<(), Error> {
        let less = count(job, ENTRIES.0, &self.folder)?;
        let more = count(job, ENTRIES.1, &self.folder)?;
        let least = self.least.entry(job).or_insert((less, more));
        *least = (least.0.min(less), least.1.min(more));
        Ok(())
    }

    /// What each stage costs for an entry.
    fn measured(&self) -> [(&'static str, f64); 10] {
        let cost = |job: &str| {
            let (less, more) = self.least.get(job).copied().unwrap_or_default();
            more.saturating_sub(less) as f64 / (ENTRIES.1 - ENTRIES.0) as f64
        };
        STAGES.map(|(name, job, without)| (name, cost(job) - without.map_or(0.0, cost)))
    }
}

/// Whether a figure has grown so much that it fails.
fn has_grown(now: f64, before: f64) -> bool {
    now - before > NOISE && 100.0 * (now - before) / before.max(1.0) > GROWTH_MAX
}

/// The instructions of a job over so many entries.
fn count(job: &str, entries: u64, folder: &Path) -> Result<u64, Error> {
    let output = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .env(JOB, format!("{job} {entries} {}", folder.display()))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("valgrind: {error}; install the package valgrind"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("the job {job} ended with {}:\n{told}", output.status).into());
    }
    // ==17== I   refs:      1,234,567
    let line = told.lines().find(|line| line.contains("refs:")).ok_or("valgrind counted nothing")?;
    let digits: String =
        line.rsplit(':').next().unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    Ok(digits.parse()?)
}

/// The figures that are compared with.
struct Recorded {
    /// Architecture and compiler.
    built: String,
    figures: BTreeMap<String, f64>,
}

impl Recorded {
    /// Reads the file. Comments begin with `#`; the figures are for what `built:` says.
    fn read(file: &PathBuf) -> Result<Recorded, Error> {
        let text = fs::read_to_string(file).map_err(|error| {
            format!("{}: {error}; `BLESS=1 ./test --instructions` writes it", file.display())
        })?;
        let mut recorded = Recorded { built: String::new(), figures: BTreeMap::new() };
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.split_once(": ").ok_or_else(|| format!("{}: {line}", file.display()))?;
            match name {
                "built" => recorded.built = value.to_owned(),
                _ => _ = recorded.figures.insert(name.to_owned(), value.parse()?),
            }
        }
        Ok(recorded)
    }
}

/// What instructions depend on besides the code.
fn built() -> Result<String, Error> {
    let version = Command::new("rustc").arg("--version").output()?.stdout;
    let version = String::from_utf8_lossy(&version);
    let version = version.split(" (").next().unwrap_or_default().trim().to_owned();
    Ok(format!("{}, {version}", env::consts::ARCH))
}

fn record(file: &PathBuf, measured: &[(&str, f64)]) -> Result<(), Error> {
    let mut text = format!(
        "# Instructions for an entry, by stage; see benches/instructions.rs. `BLESS=1 ./test --instructions` writes this file.\n\
         # More than {GROWTH_MAX} % over a figure fails CI: who records a higher one says why in the commit.\nbuilt: {}\n",
        built()?
    );
    for (name, figure) in measured {
        text.push_str(&format!("{name}: {figure:.0}\n"));
    }
    Ok(fs::write(file, text)?)
}

/// Shows measured figures beside recorded ones; a failure if one has grown too much.
fn compare(measured: &[(&str, f64)], recorded: &Recorded, out: &mut impl Write) -> Result<ExitCode, Error> {
    // Another processor takes other instructions for the same.
    let same = recorded.built.split(',').next() == Some(env::consts::ARCH);
    if !same {
        writeln!(out, "NOTE instructions were recorded with {}: nothing fails here", recorded.built)?;
    }
    writeln!(out, "{:<32} {:>8} {:>9} {:>7}", "instructions for an entry", "now", "recorded", "growth")?;
    let (mut told, mut failed) = (Vec::new(), Vec::new());
    for (name, now) in measured {
        let Some(before) = recorded.figures.get(*name) else {
            writeln!(out, "{name:<32} {now:>8.0} {:>9}", "none")?;
            failed.push(*name);
            continue;
        };
        let growth = 100.0 * (now - before) / before.max(1.0);
        writeln!(out, "{name:<32} {now:>8.0} {before:>9.0} {growth:>+6.1}%")?;
        if has_grown(*now, *before) {
            failed.push(name);
        } else if (now - before).abs() > NOISE && growth.abs() > GROWTH_TOLD {
            told.push(*name);
        }
    }
    let how = "`BLESS=1 ./test --instructions` records the figures; say why in the commit";
    if !told.is_empty() {
        writeln!(out, "NOTE instructions changed by more than {GROWTH_TOLD} %: {}; {how}", told.join(", "))?;
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(
        out,
        "more than {GROWTH_MAX} % over the figure, or without one: {}; recorded with {}, built with {}; {how}",
        failed.join(", "),
        recorded.built,
        built()?
    )?;
    Ok(if same { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
