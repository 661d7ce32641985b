//! `verify`: the journal is compared with what is in Loki, and what is missing is sent again if a person wants it.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::answer::{fail, invalid, quiet_pipe, say, usage};
use super::args::Cli;
use super::habits::no_matches;
use super::wait::{Bar, interrupt};
use super::{duration, environment_of_unit, load, time};
use crate::config::{Config, Destination};
use crate::loki::checkpoint::Checkpoint;
use crate::os::log::{Reader, init};
use crate::os::when;
use crate::query::verify::repair::{Mended, repair};
use crate::query::verify::{Interval, ROWS_MAX, Report, Run, Shipped, Source, VerifyError, Work, verify};
use crate::shape::Sections;

/// The exit status when the comparison could not be made.
const EXIT_UNKNOWN: u8 = 2;

/// What to think of before sending again.
const LATE: &str = "what was sent late, as after an outage, shows only once Loki has written it to its store, within two hours: sent \
                    again before, it is there twice";

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The destination: its name in the configuration, or its URL; without it, all of them, one after the other
    #[arg(long, value_name = "NAME|URL")]
    destination: Option<String>,

    /// Begin at this time, as journalctl takes it: "2026-11-01 10:00", "1h ago", 30d; without it, at the beginning of yesterday
    #[arg(short = 'S', long, value_name = "WHEN", overrides_with = "since", allow_hyphen_values = true)]
    since: Option<String>,

    /// End at this time; without it, now, or at the end of yesterday if --since is not given either
    #[arg(short = 'U', long, value_name = "WHEN", overrides_with = "until", allow_hyphen_values = true)]
    until: Option<String>,

    /// Compare these folders or files instead of this machine's journal; all of their entries must be in Loki
    #[arg(long, value_name = "DIR_OR_FILE", num_args = 1..)]
    path: Vec<PathBuf>,

    /// How to show what was found
    #[arg(short, long, value_name = "FORM", default_value = "short")]
    output: Form,

    /// Send again what is missing, and nothing else, and compare once more; asks first
    #[arg(long)]
    repair: bool,

    /// Do not ask
    #[arg(long, requires = "repair")]
    yes: bool,

    /// Exit with status 0 although metric queries count entries twice: nothing is missing then, and nothing can be mended
    #[arg(long)]
    allow_twice: bool,

    /// Give up after this time
    #[arg(long, value_name = "DURATION", default_value = "1h", allow_hyphen_values = true)]
    timeout: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// What differs, and a sentence
    Short,
    /// One JSON object for each destination
    Json,
}

/// What all destinations have in common.
struct Asked<'a> {
    config: &'a Config,
    args: &'a VerifyArgs,
    span: Interval,
    timeout: Duration,
    stop: &'a AtomicBool,
}

/// Compares, and sends again.
pub(super) fn run(cli: &Cli, args: &VerifyArgs) -> ExitCode {
    match asked(cli, args) {
        Ok(status) | Err(status) => status,
    }
}

fn asked(cli: &Cli, args: &VerifyArgs) -> Result<ExitCode, ExitCode> {
    no_matches(&args.path)?;
    let terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
    if args.repair && !args.yes && !terminal {
        return Err(usage("--repair asks before it sends, and there is no terminal to ask on: add --yes"));
    }
    let config = load(cli, &environment_of_unit).map_err(|diagnostics| invalid(&diagnostics))?;
    init(Reader::Person, config.log_level.min(::log::LevelFilter::Warn));
    let destinations = destinations(&config, args.destination.as_deref())?;
    let timeout = duration("--timeout", &args.timeout, "10m or 1h").map_err(|error| usage(&error))?;
    let stop = interrupt().map_err(|error| fail(&error))?;
    let asked = Asked { config: &config, args, span: span(args)?, timeout, stop: &stop };
    let mut status = ExitCode::SUCCESS;
    for destination in destinations {
        match asked.one(destination) {
            Ok(Some(true)) => {}
            Ok(Some(false)) => status = ExitCode::FAILURE,
            // Nobody reads it any more.
            Ok(None) => return Ok(status),
            Err(reason) => {
                say(&format!("error: loki `{}`: {reason}", destination.name));
                return Err(ExitCode::from(EXIT_UNKNOWN));
            }
        }
    }
    Ok(status)
}

/// The destinations that are meant.
fn destinations<'c>(config: &'c Config, meant: Option<&str>) -> Result<Vec<&'c Destination>, ExitCode> {
    let named = |destination: &&Destination| {
        meant.is_none_or(|meant| {
            let bare = |url: &str| url.trim_end_matches('/').to_owned();
            destination.name == meant
                || bare(&destination.url) == bare(meant)
                || bare(&destination.query_url()) == bare(meant)
        })
    };
    let found: Vec<_> = config.loki.iter().filter(named).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let names: Vec<_> = config.loki.iter().map(|destination| format!("`{}`", destination.name)).collect();
    Err(usage(&match (names.is_empty(), meant) {
        (true, _) => {
            "the configuration has no destination (`loki`): there is nothing to compare with".to_owned()
        }
        (false, meant) => format!(
            "--destination: no destination has the name or URL {:?}; there is {}",
            meant.unwrap_or_default(),
            names.join(", ")
        ),
    }))
}

/// The span that is asked about.
fn span(args: &VerifyArgs) -> Result<Interval, ExitCode> {
    let read = |name: &str, text: &str| time(name, text).map_err(|error| usage(&error));
    let now = u64::try_from(Timestamp::now().as_microsecond()).unwrap_or(0);
    let (since, until) = match (&args.since, &args.until) {
        (None, None) => (read("--since", "yesterday")?, read("--until", "today")?.saturating_sub(1)),
        (Some(since), None) => (read("--since", since)?, now),
        (None, Some(until)) => (read("--since", "yesterday")?, read("--until", until)?),
        (Some(since), Some(until)) => (read("--since", since)?, read("--until", until)?),
    };
    // What is still to be written is nowhere.
    let until = until.min(now);
    match since <= until {
        true => Ok(Interval::around(since, until)),
        false => Err(usage("--since is after --until, or after now: no entry can be between them")),
    }
}

impl Asked<'_> {
    /// Compares one destination. Whether everything is there; `None`: nobody reads what is shown.
    fn one(&self, destination: &Destination) -> Result<Option<bool>, String> {
        let mut scope = self.config.journal.scope.clone();
        let mut shipped = Shipped::ALL;
        if self.args.path.is_empty() {
            shipped = self.shipped(destination)?;
        } else {
            scope.paths.clone_from(&self.args.path);
        }
        let source = Source { scope, sections: Sections::from(self.config), destination };
        let mut report = self.compare(&source, &shipped)?;
        let mut mended = None;
        if self.args.repair && report.missing() > 0 {
            if self.args.output == Form::Short {
                say(report.text(&when::local_zone()).trim_end());
                say(LATE);
            }
            if self.args.yes || confirmed(&report) {
                let sent = self.working(|run| repair(&source, &report, run))?;
                say(sent.text().trim_end());
                report = self.compare(&source, &shipped)?;
                advise(&sent, &report);
                mended = Some(sent);
            }
        }
        let text = match self.args.output {
            Form::Short => report.text(&when::local_zone()),
            Form::Json => report.json(mended.as_ref()),
        };
        let shown = io::stdout().lock().write_all(text.as_bytes());
        if self.args.output == Form::Short && !self.args.repair && report.missing() > 0 {
            say("--repair sends again what is missing, and nothing else; it asks first");
        }
        match shown {
            Ok(()) => Ok(Some(report.missing() == 0 && (self.args.allow_twice || report.twice() == 0))),
            error => {
                quiet_pipe(error);
                Ok(None)
            }
        }
    }

    /// What the agent has sent of the journal.
    fn shipped(&self, destination: &Destination) -> Result<Shipped, String> {
        let checkpoint = Checkpoint::new(&self.config.state_directory, &destination.name);
        match checkpoint.load() {
            Ok(Some(resume)) => Ok(Shipped::of(&resume, self.config.journal.backfill)),
            Ok(None) => {
                say(&format!(
                    "{} does not exist, so the agent has sent nothing from here yet: every entry is expected to be in Loki",
                    checkpoint.path().display()
                ));
                Ok(Shipped::ALL)
            }
            Err(error) => {
                Err(format!("what was sent is not known: {error}; run this as root, or as the agent's user"))
            }
        }
    }

    fn compare(&self, source: &Source<'_>, shipped: &Shipped) -> Result<Report, String> {
        self.working(|run| verify(source, self.span, shipped, run))
    }

    /// Does something that takes long, with a bar.
    fn working<T>(&self, work: impl FnOnce(&mut Run<'_>) -> Result<T, VerifyError>) -> Result<T, String> {
        let mut bar = Bar::new();
        let mut progress = |work: Work| match work {
            Work::Reading(progress) => bar.show(&progress),
            Work::Asking(requests) => bar.tell(format!("asking Loki, {requests} requests so far")),
            Work::Sending(entries) => bar.tell(format!("sending again, {entries} entries so far")),
        };
        let deadline = Instant::now() + self.timeout;
        let done = work(&mut Run { stop: self.stop, deadline, entries: ROWS_MAX, progress: &mut progress });
        bar.clear();
        done.map_err(|error| error.to_string())
    }
}

/// Whether a person wants it.
fn confirmed(report: &Report) -> bool {
    let mut error = io::stderr().lock();
    let question =
        format!("Send {} entries again to loki `{}`? [y/N] ", report.missing(), report.destination);
    let asked = error.write_all(question.as_bytes()).and_then(|()| error.flush());
    let mut answer = String::new();
    asked.is_ok()
        && io::stdin().lock().read_line(&mut answer).is_ok()
        && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// What to do if entries do not show although Loki has acknowledged them.
fn advise(sent: &Mended, report: &Report) {
    if report.missing() > 0 && sent.acknowledged > 0 {
        say(
            "Loki has acknowledged entries that its queries do not show. It shows what is older than some hours only after it has \
             written it to its store (query_ingesters_within): verify again in two hours, before another --repair",
        );
    }
}
