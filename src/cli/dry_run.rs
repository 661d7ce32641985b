//! `--dry-run`: what would be pushed is shown, and a sentence says what it comes to.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use super::answer::{fail, invalid, quiet_pipe, say, usage};
#[cfg(feature = "sd-journal")]
use super::args::ReaderName;
use super::args::{Cli, DryRunArgs, Form};
use super::{environment, environment_of_unit, load, time};
use crate::config::{Config, DEFAULT_CONFIG_FILE};
use crate::dry_run;
use crate::os::log::{Reader, init};

/// Shows what would be pushed.
pub(super) fn run(cli: &Cli) -> ExitCode {
    // Without a file that was asked for or installed, the built-in defaults are what one gets.
    let config = if cli.config.is_none() && !Path::new(DEFAULT_CONFIG_FILE).exists() {
        Config::builtin(&environment)
    } else {
        match load(cli, &environment_of_unit) {
            Ok(config) => config,
            Err(diagnostics) => return invalid(&diagnostics),
        }
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
    let options = options(&cli.dry, since, until);
    let mut out = BufWriter::new(io::stdout().lock());
    let result = dry_run::run(&config, &options, &mut out)
        .and_then(|shown| Ok((shown, out.flush().map_err(dry_run::DryRunError::Output)?)));
    match result {
        Ok((shown, ())) => {
            say(&pushed(&shown, &config, cli.dry.path.is_empty()));
            ExitCode::SUCCESS
        }
        Err(dry_run::DryRunError::Output(error)) => quiet_pipe(Err(error)),
        Err(error) => fail(&error),
    }
}

/// What the arguments ask for. `since` and `until` are in microseconds since 1970.
fn options(dry: &DryRunArgs, since: Option<u64>, until: Option<u64>) -> dry_run::Options {
    dry_run::Options {
        paths: dry.path.clone(),
        since,
        until,
        lines: dry.lines,
        follow: dry.follow,
        output: match dry.output {
            Form::Short => dry_run::Output::Short,
            Form::Json => dry_run::Output::Json,
            Form::Explain => dry_run::Output::Explain,
        },
        summary: dry.summary,
        only_try: false,
        deadline: None,
        #[cfg(feature = "sd-journal")]
        compare: dry.reader == ReaderName::SdJournal,
    }
}

/// What would have been pushed and what not, in one sentence. `own`: it was this machine's journal.
fn pushed(shown: &dry_run::Shown, config: &Config, own: bool) -> String {
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
        n if own => format!("; {n} older than {}, not sent", dry_run::backfill(config)),
        n => format!("; {n} older than {}, which a first start leaves out", dry_run::backfill(config)),
    };
    let entries = if shown.entries == 1 { "entry" } else { "entries" };
    format!(
        "{} {entries} would be pushed; nothing was{older}{dropped}{damaged}{fields}{alerts}",
        shown.entries
    )
}
