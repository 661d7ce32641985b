//! `--dry-run`: what would be pushed is shown, and a sentence says what it comes to.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;

use jiff::Timestamp;

use super::answer::{fail, invalid, quiet_pipe, say, usage};
#[cfg(feature = "sd-journal")]
use super::args::ReaderName;
use super::args::{Cli, DryRunArgs, Form};
use super::habits::{pattern, places, wanted};
use super::wait::Bar;
use super::{environment, environment_of_unit, load, time};
use crate::config::Config;
use crate::dry_run;
use crate::journal::Journal;
use crate::loki::checkpoint::CheckpointError;
use crate::os::log::{Reader, init};
use crate::os::when::{Realtime, local_zone};
use crate::query::{Progress, habits};
use crate::shape::shown::Look;
use logql::go::re2::Re2;

/// Entries that are shown backward unless `-n` says otherwise (count).
const LINES: u64 = 1000;

/// Shows what would be pushed.
pub(super) fn run(cli: &Cli) -> ExitCode {
    let config = match cli.installed() {
        None => Config::builtin(&environment),
        Some(_) => match load(cli, &environment_of_unit) {
            Ok(config) => config,
            Err(diagnostics) => return invalid(&diagnostics),
        },
    };
    init(Reader::Person, config.log_level.min(::log::LevelFilter::Warn));
    let time = |name: &str, text: &Option<String>| text.as_deref().map(|text| time(name, text)).transpose();
    let (since, until) = match (time("--since", &cli.dry.since), time("--until", &cli.dry.until)) {
        (Ok(since), Ok(until)) => (since, until),
        (Err(error), _) | (_, Err(error)) => return usage(&error),
    };
    if until.is_some_and(|until| since.is_some_and(|since| since > until)) {
        return usage("--since is after --until: no entry can be between them");
    }
    let options = match options(&cli.dry, &config.journal, since, until) {
        Ok(options) => options,
        Err(status) => return status,
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let mut bar = Bar::new();
    // A bar between entries would disturb both.
    let quiet = cli.dry.habits.quiet;
    let alone = !quiet && (cli.dry.summary || !io::stdout().is_terminal());
    let tell = |said: &str| {
        if !quiet {
            say(said);
        }
    };
    let mut progress = |progress: &Progress| {
        if alone {
            bar.show(progress)
        }
    };
    let result = if cli.dry.pending {
        pending(&config, &options, &tell, &mut progress, &mut out)
    } else {
        dry_run::run(&config, &options, &mut progress, &mut out)
            .map(|shown| {
                pushed(&shown, &config.journal, cli.dry.path.is_empty()) + &already(&config, &options)
            })
            .map_err(Failed::Run)
    };
    bar.clear();
    let result = result.and_then(|said| Ok((said, out.flush().map_err(dry_run::DryRunError::Output)?)));
    match result {
        Ok((said, ())) => {
            tell(&said);
            ExitCode::SUCCESS
        }
        Err(Failed::Run(dry_run::DryRunError::Output(error))) => quiet_pipe(Err(error)),
        Err(Failed::Run(error)) => fail(&error),
        Err(Failed::Checkpoint(error)) => {
            say(&format!(
                "error: what was shipped is not known: {error}; run this as root, or as the agent's user"
            ));
            ExitCode::FAILURE
        }
    }
}

/// Why there is nothing to say.
enum Failed {
    Run(dry_run::DryRunError),
    Checkpoint(CheckpointError),
}

impl From<dry_run::DryRunError> for Failed {
    fn from(error: dry_run::DryRunError) -> Failed {
        Failed::Run(error)
    }
}

/// Shows what is unshipped, one destination after the other. What comes back is said of the last one.
fn pending(
    config: &Config,
    options: &dry_run::Options,
    tell: &dyn Fn(&str),
    progress: &mut dyn FnMut(&Progress),
    out: &mut impl Write,
) -> Result<String, Failed> {
    let mut said = "there is no destination: nothing is pending".to_owned();
    for (number, pending) in dry_run::pending(config).map_err(Failed::Checkpoint)?.into_iter().enumerate() {
        if number > 0 {
            out.flush().map_err(dry_run::DryRunError::Output)?;
            tell(&said);
        }
        let (name, acknowledged) = (pending.name.clone(), pending.acknowledged);
        let options = dry_run::Options { pending: Some(pending), ..options.clone() };
        let shown = dry_run::run(config, &options, progress, out)?;
        let since = match acknowledged {
            Some(time) => format!("acknowledged up to an entry of {}", local(time)),
            None => "nothing was shipped yet".to_owned(),
        };
        said = format!("loki `{name}`: {since}; pending: {}", pushed(&shown, &config.journal, true));
    }
    Ok(said)
}

/// A time in the zone of this machine, to the second.
fn local(time: Realtime) -> String {
    Timestamp::from(time).to_zoned_datetime(local_zone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// That the agent goes on behind its checkpoint, where there is one that can be read, and it was not said where to begin.
fn already(config: &Config, options: &dry_run::Options) -> String {
    if !options.own || options.since.is_some() || options.lines.is_some() {
        return String::new();
    }
    let begun = dry_run::pending(config).ok().and_then(|all| all.into_iter().next());
    match begun.and_then(|pending| Some((pending.name, pending.acknowledged?))) {
        Some((name, time)) => {
            format!("; loki `{name}` has all up to {} already: --pending shows what is left", local(time))
        }
        None if config.journal.start_cursor.is_some() => {
            "; a first start would begin behind journal.start_cursor: --pending shows the entries from there"
                .to_owned()
        }
        None => String::new(),
    }
}

/// What the arguments ask for. `since` and `until` are in microseconds since 1970.
fn options(
    dry: &DryRunArgs,
    journal: &Journal,
    since: Option<u64>,
    until: Option<u64>,
) -> Result<dry_run::Options, ExitCode> {
    let mut words = dry.words.clone();
    let boot = dry.habits.boot(&mut words);
    let paths = places(&dry.path, &mut words)?;
    let mut scope = journal.scope_at(&paths);
    if habits::fields(&words).is_err() {
        return Err(usage(&format!(
            "{:?} is not a list of matches of fields, as _PID=1; LogQL goes with `query`",
            words.join(" ")
        )));
    }
    scope.matches = wanted(&dry.habits, boot, &words, &scope)?;
    let grep = dry.habits.grep.as_deref().map(|grep| Re2::new(&pattern(grep)));
    let grep = grep.transpose().map_err(|error| usage(&format!("--grep: {}", error.message)))?;
    let last = dry.reverse || dry.habits.pager_end;
    // Forward, all entries are shown as they are read.
    let lines = dry.lines.or(last.then_some(LINES)).filter(|lines| dry.reverse || *lines < u64::MAX);
    Ok(dry_run::Options {
        scope,
        own: paths.is_empty(),
        grep,
        since,
        until,
        pending: None,
        lines,
        reverse: dry.reverse,
        follow: dry.follow,
        output: match dry.output {
            Form::Short => dry_run::Output::Short(dry.color.look()),
            Form::Labels => dry_run::Output::Short(Look::Stable),
            Form::Json => dry_run::Output::Json,
            Form::Explain => dry_run::Output::Explain(dry.color.look()),
        },
        summary: dry.summary,
        only_try: false,
        deadline: None,
        #[cfg(feature = "sd-journal")]
        compare: dry.reader == ReaderName::SdJournal,
    })
}

/// What would have been pushed and what not, in one sentence. `own`: it was this machine's journal.
fn pushed(shown: &dry_run::Shown, journal: &Journal, own: bool) -> String {
    let damaged = match shown.damaged {
        0 => String::new(),
        n => format!("; {n} damaged ones were skipped"),
    };
    let fields = match shown.fields_damaged {
        0 => String::new(),
        1 => "; 1 damaged field was left out".into(),
        n => format!("; {n} damaged fields were left out"),
    };
    let dropped = match shown.dropped {
        0 => String::new(),
        n => format!("; {n} would be dropped"),
    };
    let alerts = match shown.alerts {
        None => String::new(),
        Some(1) => "; 1 alert would have fired".into(),
        Some(n) => format!("; {n} alerts would have fired"),
    };
    let older = match shown.older {
        0 => String::new(),
        n if own && shown.older_sent => {
            format!("; {n} of them older than {}, which --since switches off", journal.backfill_shown())
        }
        n if own => format!("; {n} older than {}, not sent", journal.backfill_shown()),
        n => format!("; {n} older than {}, which a first start leaves out", journal.backfill_shown()),
    };
    // Of another journal it is known that it is old.
    let too_old = match shown.too_old {
        0 => String::new(),
        _ if !own => String::new(),
        n => format!(
            "; {n} of them older than a week, which Loki refuses by default (reject_old_samples_max_age)"
        ),
    };
    let entries = if shown.entries == 1 { "entry" } else { "entries" };
    format!(
        "{} {entries} would be pushed; nothing was{older}{too_old}{dropped}{damaged}{fields}{alerts}",
        shown.entries
    )
}
