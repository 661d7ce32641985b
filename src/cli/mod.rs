//! The command line: arguments become one call, and its result an exit status.

mod answer;
mod args;
mod check;
mod completions;
mod convert;
mod dry_run;
mod habits;
mod look;
mod man;
mod query;
mod verify;
mod wait;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser};
use jiff::Timestamp;

use crate::agent;
use crate::alerts::unit_test;
use crate::config::{self, Config, DEFAULT_CONFIG_FILE};
use crate::os::log::{Reader, init};
use crate::os::text::Block;
use crate::os::{descriptors, systemd, when};
use crate::shape::retention::LokiConfig;
use crate::yaml::{Diagnostics, Environment, Unset};
use logql::go::units;

use answer::{fail, invalid, print, quiet_pipe, say, usage};
use args::{Cli, Command, ConfigCommand, From, Rules};

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to standard output with status 0, mistakes to standard error with 2. When nobody
            // listens there is nothing left to say.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    descriptors::raise_limit();
    match &cli.command {
        Some(command) if cli.dry_run => usage(&format!("--dry-run does not go with {}", command.name())),
        Some(command) => call(&cli, command),
        None if cli.dry_run => dry_run::run(&cli),
        None => match cli.dry.words.first() {
            Some(word) => unknown(word),
            None if cli.dry.habits.any() => usage("journalctl's options go with --dry-run, or with `query`"),
            None => run(&cli),
        },
    }
}

/// A word that is no command: the error that says so, and perhaps which one was meant.
fn unknown(word: &str) -> ExitCode {
    let cli = Cli::command();
    let only_commands =
        clap::Command::new(env!("CARGO_PKG_NAME")).subcommands(cli.get_subcommands().cloned());
    match only_commands.try_get_matches_from([env!("CARGO_PKG_NAME"), word]) {
        Err(error) => {
            let _ = error.print();
            ExitCode::from(2)
        }
        Ok(_) => usage(&format!("{word:?} is not a command")),
    }
}

/// Does what a command says.
fn call(cli: &Cli, command: &Command) -> ExitCode {
    match command {
        Command::Check { allow_unset, journal, since, path } => {
            let unset = if *allow_unset { Unset::Unknown } else { Unset::Mistake };
            check::check(cli, unset, journal.then_some((since.as_deref(), path)))
        }
        Command::Config { what: ConfigCommand::Show } => show_config(cli),
        Command::Config { what: ConfigCommand::Schema } => print(&config::schema()),
        Command::Query(args) => query::query(cli, args),
        Command::Labels { name, span } => query::labels(cli, name.as_deref(), span),
        Command::Series { selector, span } => query::series(cli, selector, span),
        Command::Verify(args) => verify::run(cli, args),
        Command::Convert { from: From::Promtail { file, positions, output, force } } => {
            convert::promtail(file, positions.as_deref(), output.as_deref(), *force)
        }
        Command::Retention { json } => retention(cli, *json),
        Command::Rules { what: Rules::Test { files } } => test_rules(files),
        Command::Completions { shell } => print(&completions::of(*shell)),
        Command::Man { page } => print(&man::page(*page)),
    }
}

fn run(cli: &Cli) -> ExitCode {
    let load = || {
        let config = load(cli, &environment)?;
        config.require_destinations(&cli.file().display().to_string())?;
        Ok::<_, Diagnostics>(config)
    };
    let config = match load() {
        Ok(config) => config,
        Err(diagnostics) => return invalid(&diagnostics),
    };
    let reader = init(Reader::Journal, config.log_level);
    match agent::run(config, &|| load().map_err(|diagnostics| diagnostics.to_string())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error has it in any case, the journal when the log goes there; and once where both are the same.
            if reader == Reader::Journal {
                ::log::error!("{}", systemd::line(&error.to_string()));
                if systemd_journal_logger::connected_to_journal() {
                    return ExitCode::FAILURE;
                }
            }
            fail(&error)
        }
    }
}

/// The configuration, or all that is wrong with it.
fn load(cli: &Cli, environment: &Environment<'_>) -> Result<Config, Diagnostics> {
    Config::load(cli.file(), environment)
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The environment of a person who looks at a unit's configuration: credentials are where systemd would put them
/// (systemd.exec(5), `LoadCredential=`). None of them is read.
fn environment_of_unit(name: &str) -> Option<String> {
    const CREDENTIALS: (&str, &str) = ("CREDENTIALS_DIRECTORY", "/run/credentials/journal-ship.service");
    environment(name).or_else(|| (name == CREDENTIALS.0).then(|| CREDENTIALS.1.to_owned()))
}

/// A time that an option gives (microseconds since 1970).
fn time(name: &str, text: &str) -> Result<u64, String> {
    let (now, zone) = (Timestamp::now(), when::local_zone());
    let parse = |text: &str| when::parse(text, now, &zone);
    // A number alone is a time as Loki's API takes it, in seconds or nanoseconds, if it has the digits of one.
    if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        let micros = match text.len() {
            10 => parse(&format!("@{text}")).ok(),
            19 => text.parse::<u64>().ok().map(|nanoseconds| nanoseconds / 1000),
            _ => None,
        };
        let mistake =
            || format!("{name}: {text} has no unit: write {text}s for so long ago, or @{text} for a time");
        return micros.ok_or_else(mistake);
    }
    parse(text).or_else(|error| {
        // A duration alone is one ago: 30d.
        let ago = text.starts_with(|c: char| c.is_ascii_digit()).then(|| parse(&format!("-{text}")));
        ago.and_then(Result::ok).ok_or_else(|| format!("{name}: {error}"))
    })
}

/// A duration that an option gives; `as_is` shows some.
fn duration(name: &str, text: &str, as_is: &str) -> Result<Duration, String> {
    let unsigned = text.trim_start().trim_start_matches('-');
    match units::parse_duration(unsigned) {
        Ok(duration) if unsigned == text && !duration.is_zero() => Ok(duration),
        Ok(_) => Err(format!("{name}: {text:?} is not longer than nothing: write a duration, as {as_is}")),
        Err(_) => Err(format!("{name}: {text:?} is not a duration, as {as_is}")),
    }
}

/// A number of lines or entries that `-n` gives; `all` is more than there can be.
fn lines(text: &str) -> Result<u64, String> {
    match text {
        "all" => Ok(u64::MAX),
        text => text.parse().map_err(|_| "write a whole number, as 100, or all".to_owned()),
    }
}

/// Runs the tests of all files, also behind one that fails.
fn test_rules(files: &[PathBuf]) -> ExitCode {
    let mut status = ExitCode::SUCCESS;
    let mut out = String::new();
    for path in files {
        match unit_test::run(path) {
            Ok(report) => {
                for failure in &report.failed {
                    let failure = Block { text: failure, indent: "" };
                    out.push_str(&format!("FAILED {}: {failure}\n", path.display()));
                }
                let (passed, failed) = (report.passed, report.failed.len());
                out.push_str(&format!("{}: {passed} passed, {failed} failed\n", path.display()));
                if failed > 0 {
                    status = ExitCode::FAILURE;
                }
            }
            Err(unit_test::TestError::Invalid(diagnostics)) => status = invalid(&diagnostics),
            Err(error) => {
                say(&format!("error: {error}"));
                status = ExitCode::FAILURE;
            }
        }
    }
    match io::stdout().lock().write_all(out.as_bytes()) {
        Ok(()) => status,
        error => quiet_pipe(error),
    }
}

/// Prints what is in force. Without a file that was asked for or installed, that is the built-in defaults.
fn show_config(cli: &Cli) -> ExitCode {
    let file = cli.installed();
    match config::show(file, &environment_of_unit) {
        Ok(text) => match file {
            Some(_) => print(&text),
            None => print(&format!(
                "# There is no {DEFAULT_CONFIG_FILE}: these are the built-in defaults.\n{text}"
            )),
        },
        Err(diagnostics) => invalid(&diagnostics),
    }
}

fn retention(cli: &Cli, json: bool) -> ExitCode {
    match load(cli, &environment_of_unit) {
        Ok(Config { retention: Some(retention), .. }) => {
            let config = LokiConfig::new(&retention);
            let text = if json { config.json() } else { config.yaml() };
            print(&text)
        }
        Ok(_) => {
            say(&format!(
                "error: {}: there is no section `retention`, which says how long logs live: write one (man journal-ship.yaml)",
                cli.file().display()
            ));
            ExitCode::FAILURE
        }
        Err(diagnostics) => invalid(&diagnostics),
    }
}
