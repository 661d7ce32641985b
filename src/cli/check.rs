//! `check`: says whether the configuration is valid. With `--journal`, it also says which parts of it meet nothing in a
//! journal.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::answer::{fail, invalid, print, show, usage};
use super::args::Cli;
use super::habits::no_matches;
use super::{environment_of_unit, time};
use crate::config::Config;
use crate::dry_run;
use crate::os::when::Realtime;
use crate::shape::shown::Look;
use crate::yaml::{self, Unset};

/// Entries that a configuration is tried on unless `--since` says otherwise (count): a busy host writes as many in hours.
const TRIED_ENTRIES: u64 = 200_000;
/// The longest time that a configuration is tried (seconds).
const TRIED_SECONDS: u64 = 30;

/// Checks the configuration and says what it comes to. `journal` says on which journal the configuration is tried: since
/// when, and where.
pub(super) fn check(cli: &Cli, unset: Unset, journal: Option<(Option<&str>, &Vec<PathBuf>)>) -> ExitCode {
    if let Some(Err(status)) = journal.map(|(_, paths)| no_matches(paths)) {
        return status;
    }
    match Config::examine(cli.file(), &environment_of_unit, unset) {
        Ok((config, warnings)) => {
            show(&warnings);
            let count = config.loki.len();
            let where_to = match count {
                0 if config.require_destinations("").is_ok() => "no destination: nothing is shipped".into(),
                0 => "no destination (enough for a dry run)".into(),
                1 => "1 destination".into(),
                n => format!("{n} destinations"),
            };
            let rules = match (config.alerts.rules(), config.alerts.files.len()) {
                (0, 0) => String::new(),
                (rules, 1) => format!("; rules: {rules} in 1 file"),
                (rules, files) => format!("; rules: {rules} in {files} files"),
            };
            let line = format!("{}: valid; {where_to}{rules}\n", cli.file().display());
            let status = print(&line);
            match journal {
                Some((since, paths)) if status == ExitCode::SUCCESS => try_on(cli, &config, since, paths),
                _ => status,
            }
        }
        Err(diagnostics) => invalid(&diagnostics),
    }
}

/// Tries a configuration on a journal, and says which parts of it met nothing.
fn try_on(cli: &Cli, config: &Config, since: Option<&str>, paths: &[PathBuf]) -> ExitCode {
    let since = match since.map(|text| time("--since", text)).transpose() {
        Ok(since) => since,
        Err(error) => return usage(&error),
    };
    let deadline = Duration::from_secs(TRIED_SECONDS);
    let options = dry_run::Options {
        scope: config.journal.scope_at(paths),
        own: paths.is_empty(),
        grep: None,
        since,
        until: None,
        pending: None,
        lines: since.is_none().then_some(TRIED_ENTRIES),
        reverse: false,
        follow: false,
        output: dry_run::Output::Short(Look::Stable),
        summary: true,
        only_try: true,
        deadline: Instant::now().checked_add(deadline),
        #[cfg(feature = "sd-journal")]
        compare: false,
    };
    let shown = match dry_run::run(config, &options, &mut |_| {}, &mut io::sink()) {
        Ok(shown) => shown,
        Err(error) => return fail(&error),
    };
    if shown.read > 0 {
        show(&yaml::point(cli.file(), &shown.unmet));
    }
    let late = options.deadline.is_some_and(|deadline| Instant::now() >= deadline);
    print(&tried(&shown, late))
}

/// What the configuration was tried on, and how much of it met nothing. `late`: the time for it was up.
fn tried(shown: &dry_run::Shown, late: bool) -> String {
    let Some((first, last)) = shown.span else {
        return "not tried on the journal: it has no entry since then\n".to_owned();
    };
    let entries = if shown.read == 1 { "entry" } else { "entries" };
    let late = match late {
        true => format!(", as many as can be read in {TRIED_SECONDS} seconds"),
        false => String::new(),
    };
    let mut text = format!(
        "tried on {} {entries} of the journal, {} to {}{late}; met nothing: {}\n",
        shown.read,
        Realtime(first),
        Realtime(last),
        shown.unmet.len(),
    );
    let rare: Vec<&str> = shown.unmet.iter().filter_map(|unmet| unmet.rare.as_deref()).collect();
    if !rare.is_empty() && shown.read > 0 {
        let rare = rare.join(", ");
        text.push_str(&format!(
            "rules without an entry, as is usual where they look for what is rare: {rare}\n"
        ));
    }
    text
}
