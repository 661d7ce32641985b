//! Questions to a journal of a million entries: the built program, and the pipeline of journalctl that answers the same.
//!
//! `cargo bench --bench query`, steered by environment variables:
//!
//! | variable | meaning | default |
//! | --- | --- | --- |
//! | `JOURNAL_SHIP_BENCH_ENTRIES` | entries in the journal | 1000000 |
//! | `JOURNAL_SHIP_BENCH_RUNS` | runs of each question; the best counts | 3 |
//! | `JOURNAL_SHIP_BENCH_CHECK` | `1`: fail where it is less than ten times as fast as journalctl, or takes more than 32 MB | unset |
//! | `JOURNAL_SHIP_BENCH_BINARY` | another build of the program | the one just built |

#[path = "support/bench.rs"]
mod bench;
#[allow(dead_code)] // what a program sends
mod support;
#[allow(dead_code)] // tables of what programs send
#[path = "support/table.rs"]
mod table;

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode};

use support::Error;
use support::generate::{self, BenchJournal};
use support::process::Usage;
use table::{compare, flag, megabytes, number};

/// How many times as fast as journalctl each answer has to be.
const TIMES_MIN: f64 = 10.0;
/// Peak resident memory of a question (bytes).
const PEAK_MAX: u64 = 32_000_000;

/// A question, and a shell's way to the same answer with journalctl; `$J` is journalctl with its journal.
struct Asked {
    name: &'static str,
    arguments: &'static [&'static str],
    shell: &'static str,
}

const QUESTIONS: [Asked; 6] = [
    Asked {
        name: "one unit, lines with a word",
        arguments: &[r#"{unit="payments.service"} |= "connection""#, "-n", "100000000"],
        shell: "$J -o short-iso-precise _SYSTEMD_UNIT=payments.service | grep -F connection",
    },
    Asked {
        name: "the last 1,000 lines of a rare unit",
        arguments: &[r#"{unit="fstrim.service"}"#, "-n", "1000"],
        shell: "$J -o short-iso-precise -n 1000 _SYSTEMD_UNIT=fstrim.service",
    },
    Asked {
        name: "the last 1,000 lines of all",
        arguments: &["-n", "1000"],
        shell: "$J -o short-iso-precise -n 1000",
    },
    Asked {
        name: "entries of everything by level",
        arguments: &[r#"sum by (level) (count_over_time({job=~".+"}[1000d]))"#],
        shell: r#"$J -o json --output-fields=PRIORITY | grep -o '"PRIORITY":"."' | sort | uniq -c"#,
    },
    Asked {
        name: "a regular expression on every line",
        arguments: &[r#"{job=~".+"} |~ "(?i)(closed|started) in [0-9]{3}""#, "-n", "1000"],
        shell: "$J -o cat | grep -E -i '(closed|started) in [0-9]{3}' | tail -n 1000",
    },
    Asked {
        name: "the five busiest units",
        arguments: &[r#"topk(5, sum by (unit) (count_over_time({job=~".+"}[1000d])))"#],
        shell: r#"$J -o json --output-fields=_SYSTEMD_UNIT | grep -o '"_SYSTEMD_UNIT":"[^"]*"' | sort | uniq -c | sort -rn | head -5"#,
    },
];

fn main() -> ExitCode {
    bench::main("query", run)
}

fn run() -> Result<ExitCode, Error> {
    let entries = number("JOURNAL_SHIP_BENCH_ENTRIES", 1_000_000)?;
    let runs = number("JOURNAL_SHIP_BENCH_RUNS", 3)?.max(1);
    let binary = bench::program();
    let journal = generate::prepare(&bench::journals()?, entries)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}: {entries} entries\n", journal.folder.display())?;
    writeln!(
        out,
        "{:<36} {:>9} {:>9} {:>9} {:>13} {:>7}",
        "", "wall s", "CPU s", "peak MB", "journalctl s", "times"
    )?;
    table::plain_read(&journal)?;
    let mut kept = true;
    for asked in &QUESTIONS {
        let own = (0..runs).map(|_| ask(&binary, &journal, asked)).collect::<Result<Vec<_>, _>>()?;
        let own = own.into_iter().min_by_key(|usage| usage.wall).unwrap_or_default();
        let other = shell(&journal, asked)?;
        let times = other.wall.as_secs_f64() / own.wall.as_secs_f64().max(0.001);
        kept &= times >= TIMES_MIN && own.peak_bytes <= PEAK_MAX;
        writeln!(
            out,
            "{:<36} {:>9.3} {:>9.2} {:>9.1} {:>13.2} {:>7.1}",
            asked.name,
            own.wall.as_secs_f64(),
            own.cpu.as_secs_f64(),
            megabytes(own.peak_bytes),
            other.wall.as_secs_f64(),
            times,
        )?;
    }
    writeln!(
        out,
        "\nat least {TIMES_MIN} times as fast, in at most {:.0} MB: {}",
        megabytes(PEAK_MAX),
        if kept { "kept" } else { "missed" },
    )?;
    Ok(if kept || !flag("JOURNAL_SHIP_BENCH_CHECK") { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn ask(binary: &Path, journal: &BenchJournal, asked: &Asked) -> Result<Usage, Error> {
    let mut command = Command::new(binary);
    command.arg("query").args(asked.arguments).arg("--path").arg(&journal.folder);
    command.stderr(std::process::Stdio::null());
    Ok(compare(asked.name, &mut command, journal)?.usage)
}

fn shell(journal: &BenchJournal, asked: &Asked) -> Result<Usage, Error> {
    let mut command = Command::new("sh");
    let pipeline =
        asked.shell.replace("$J", &format!("journalctl -q --no-pager -D '{}'", journal.folder.display()));
    Ok(compare(asked.name, command.arg("-c").arg(pipeline), journal)?.usage)
}
