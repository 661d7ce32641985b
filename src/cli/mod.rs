//! The command line: arguments become one call, and its result an exit status.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;

use crate::alerts::unit_test;
use crate::config::{Config, DEFAULT_CONFIG_FILE};
use crate::os::log::{Reader, init};
use crate::os::text::{Block, clip};
use crate::os::{systemd, when};
use crate::shape::retention::LokiConfig;
use crate::yaml::{self, Diagnostics, Environment, Unset};
use crate::{agent, dry_run};

/// Exit status when the configuration is invalid (sysexits.h, `EX_CONFIG`): a unit does not restart on it.
const EXIT_CONFIG: u8 = 78;
/// The longest message to the person who called (bytes).
const MESSAGE_MAX: usize = 16 << 10;

/// Ships the systemd journal to Grafana Loki.
#[derive(Debug, Parser)]
#[command(name = "journal-ship", version, args_conflicts_with_subcommands = false)]
struct Cli {
    /// Configuration file
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,

    /// Show what would be pushed and what would alert; push nothing, alert nobody, write no state
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    dry: DryRunArgs,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Options of --dry-run")]
struct DryRunArgs {
    /// Begin at this time, as journalctl takes it: "2026-11-01 10:00", "1h ago", 30d, -2h, yesterday, "10:00 UTC"
    #[arg(long, value_name = "WHEN", requires = "dry_run", allow_hyphen_values = true)]
    since: Option<String>,

    /// End at this time
    #[arg(long, value_name = "WHEN", requires = "dry_run", allow_hyphen_values = true)]
    until: Option<String>,

    /// Only the last N entries
    #[arg(short = 'n', long, value_name = "N", requires = "dry_run")]
    lines: Option<u64>,

    /// Go on with new entries
    #[arg(short, long, requires = "dry_run")]
    follow: bool,

    /// Read these folders or files instead of this machine's journal
    #[arg(long, value_name = "DIR_OR_FILE", requires = "dry_run", num_args = 1..)]
    path: Vec<PathBuf>,

    /// How to show an entry
    #[arg(short, long, value_name = "FORM", requires = "dry_run", default_value = "short")]
    output: Form,

    /// No entries; streams, entries, bytes, what is dropped and why, label values, retention classes, alerts that would
    /// have fired
    #[arg(long, requires = "dry_run", conflicts_with = "follow")]
    summary: bool,

    /// Compare order, cursors and times with libsystemd's
    #[cfg(feature = "sd-journal")]
    #[arg(long, value_name = "READER", requires = "dry_run", default_value = "native")]
    reader: ReaderName,
}

#[cfg(feature = "sd-journal")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReaderName {
    /// Only this program's own reader
    Native,
    /// Also libsystemd's, which must agree entry by entry on order, cursors and times
    SdJournal,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    /// Time, {labels}, line
    Short,
    /// One JSON object a line: timestamp, labels, metadata, line, tenant
    Json,
    /// As short, with each step that changed, dropped, held or sampled an entry
    Explain,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Validate the configuration and rule files; no network, no state
    Check {
        /// Do not check values with environment variables that are not set here
        #[arg(long)]
        allow_unset: bool,

        /// Also try it on this machine's journal: warn of selectors, fields, layouts, stages and rules that match nothing in it
        #[arg(long)]
        journal: bool,

        /// Try it on entries since this time; without it, on the newest ones
        #[arg(long, value_name = "WHEN", requires = "journal", allow_hyphen_values = true)]
        since: Option<String>,

        /// Try it on these folders or files instead of this machine's journal
        #[arg(long, value_name = "DIR_OR_FILE", requires = "journal", num_args = 1..)]
        path: Vec<PathBuf>,
    },
    /// Convert the configuration of another program
    Convert {
        #[command(subcommand)]
        from: From,
    },
    /// Print what Loki's configuration needs for the retention rules, as YAML
    Retention {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the man page
    Man,
    /// Try alert rules
    Rules {
        #[command(subcommand)]
        what: Rules,
    },
}

#[derive(Debug, Subcommand)]
enum Rules {
    /// Run unit tests of rule files; the status is 1 if one fails
    Test {
        /// Files of tests, each with the rule files it is about
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
enum From {
    /// Promtail's configuration; ours goes to standard output, notes to standard error
    Promtail {
        /// Promtail's configuration file, a list of scrape configs, or Grafana Agent's with `logs`; `-` is standard input
        file: PathBuf,
        /// Promtail's positions file, to go on where it stopped
        #[arg(long, value_name = "FILE")]
        positions: Option<PathBuf>,
        /// Write here, not to standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Overwrite a file that is there already
        #[arg(long, requires = "output")]
        force: bool,
    },
}

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
    match &cli.command {
        Some(Command::Check { .. }) if cli.dry_run => usage("--dry-run does not go with `check`"),
        Some(Command::Check { allow_unset, journal, since, path }) => {
            let unset = if *allow_unset { Unset::Unknown } else { Unset::Mistake };
            check(&cli, unset, journal.then_some((since.as_deref(), path)))
        }
        Some(Command::Convert { .. }) if cli.dry_run => usage("--dry-run does not go with `convert`"),
        Some(Command::Convert { from: From::Promtail { file, positions, output, force } }) => {
            convert_promtail(file, positions.as_deref(), output.as_deref(), *force)
        }
        Some(Command::Retention { .. }) if cli.dry_run => usage("--dry-run does not go with `retention`"),
        Some(Command::Retention { json }) => retention(&cli, *json),
        Some(Command::Rules { .. }) if cli.dry_run => usage("--dry-run does not go with `rules`"),
        Some(Command::Rules { what: Rules::Test { files } }) => test_rules(files),
        Some(Command::Completions { .. } | Command::Man) if cli.dry_run => {
            usage("--dry-run does not go with `completions` and `man`")
        }
        Some(Command::Completions { shell }) => {
            let mut out = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), env!("CARGO_PKG_NAME"), &mut out);
            quiet_pipe(io::stdout().lock().write_all(&out))
        }
        Some(Command::Man) => {
            quiet_pipe(clap_mangen::Man::new(Cli::command()).render(&mut io::stdout().lock()))
        }
        None if cli.dry_run => dry_run(&cli),
        None => run(&cli),
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

/// The configuration, or all that is wrong with it.
fn load(cli: &Cli, environment: &Environment<'_>) -> Result<Config, Diagnostics> {
    Config::load(file(cli), environment)
}

fn file(cli: &Cli) -> &Path {
    cli.config.as_deref().unwrap_or(Path::new(DEFAULT_CONFIG_FILE))
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

fn run(cli: &Cli) -> ExitCode {
    let load = || {
        let config = load(cli, &environment)?;
        config.require_destinations(&file(cli).display().to_string())?;
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

/// Stands for standard input or output.
const STANDARD: &str = "-";

fn convert_promtail(file: &Path, positions: Option<&Path>, output: Option<&Path>, force: bool) -> ExitCode {
    let read = |path: &Path| {
        let (name, text) = match path.to_str() {
            Some(STANDARD) => ("standard input".to_owned(), io::read_to_string(io::stdin().lock())),
            _ => (path.display().to_string(), std::fs::read_to_string(path)),
        };
        text.map(|text| (text, name.clone())).map_err(|error| {
            say(&format!("error: {name} cannot be read: {error}{}", unit_test::hint(&error)));
            ExitCode::FAILURE
        })
    };
    if file == Path::new(STANDARD) && positions == Some(file) {
        return usage("only one of the configuration and --positions can be standard input");
    }
    let texts = read(file).and_then(|source| Ok((source, positions.map(read).transpose()?)));
    let ((source, origin), positions) = match texts {
        Ok(texts) => texts,
        Err(status) => return status,
    };
    let positions = positions.as_ref().map(|(text, _)| text.as_str());
    let converted = match crate::convert::promtail(&source, &origin, positions) {
        Ok(converted) => converted,
        Err(diagnostics) => {
            show(&diagnostics);
            return ExitCode::FAILURE;
        }
    };
    converted.notes.iter().for_each(|note| say(&format!("note: {note}")));
    match output.filter(|path| *path != Path::new(STANDARD)) {
        None => quiet_pipe(io::stdout().lock().write_all(converted.yaml.as_bytes())),
        Some(path) => match write_converted(path, file, &converted.yaml, force) {
            Ok(()) => {
                let path = path.display();
                say(&format!("{path} is written; next: journal-ship check --config {path}"));
                ExitCode::SUCCESS
            }
            Err(error) => {
                say(&format!("error: {} is not written: {error}", path.display()));
                ExitCode::FAILURE
            }
        },
    }
}

/// Writes what was converted into a file that is not there yet, or, if told to, over one that is; never over its source.
fn write_converted(path: &Path, source: &Path, text: &str, force: bool) -> io::Result<()> {
    let same = |path: &Path| std::fs::canonicalize(path).ok();
    if same(path).is_some() && same(path) == same(source) {
        return Err(io::Error::other("it is the file that is converted; name another one"));
    }
    if !force {
        let file = std::fs::File::create_new(path);
        let mut file = file.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                io::Error::other("it is there already; name another one, or overwrite it with --force")
            }
            _ => error,
        })?;
        return file.write_all(text.as_bytes());
    }
    std::fs::write(path, text)
}

fn retention(cli: &Cli, json: bool) -> ExitCode {
    match load(cli, &environment_of_unit) {
        Ok(Config { retention: Some(retention), .. }) => {
            let config = LokiConfig::new(&retention);
            let text = if json { config.json() } else { config.yaml() };
            quiet_pipe(io::stdout().lock().write_all(text.as_bytes()))
        }
        Ok(_) => {
            say(&format!("error: {}: there is no section `retention`", file(cli).display()));
            ExitCode::FAILURE
        }
        Err(diagnostics) => invalid(&diagnostics),
    }
}

/// `journal` says on which journal the configuration is tried: since when, and where.
fn check(cli: &Cli, unset: Unset, journal: Option<(Option<&str>, &Vec<PathBuf>)>) -> ExitCode {
    match Config::examine(file(cli), &environment_of_unit, unset) {
        Ok((config, warnings)) => {
            show(&warnings);
            let count = config.loki.len();
            let where_to = match count {
                0 => "no destination (enough for a dry run)".into(),
                1 => "1 destination".into(),
                n => format!("{n} destinations"),
            };
            let rules = match (config.alerts.rules(), config.alerts.files.len()) {
                (0, 0) => String::new(),
                (rules, 1) => format!("; rules: {rules} in 1 file"),
                (rules, files) => format!("; rules: {rules} in {files} files"),
            };
            let line = format!("{}: valid; {where_to}{rules}\n", file(cli).display());
            let status = quiet_pipe(io::stdout().lock().write_all(line.as_bytes()));
            match journal {
                Some((since, paths)) if status == ExitCode::SUCCESS => try_on(cli, &config, since, paths),
                _ => status,
            }
        }
        Err(diagnostics) => invalid(&diagnostics),
    }
}

/// Entries that a configuration is tried on unless `--since` says otherwise (count): a busy host writes as many in hours.
const TRIED_ENTRIES: u64 = 200_000;
/// Longest time that it takes (seconds), whatever is asked for.
const TRIED_SECONDS: u64 = 30;

/// Tries a configuration on a journal, and says what met nothing in it.
fn try_on(cli: &Cli, config: &Config, since: Option<&str>, paths: &[PathBuf]) -> ExitCode {
    let since = match since.map(|text| time("--since", text)).transpose() {
        Ok(since) => since,
        Err(error) => return usage(&error),
    };
    let deadline = Duration::from_secs(TRIED_SECONDS);
    let options = dry_run::Options {
        paths: paths.to_vec(),
        since,
        until: None,
        lines: since.is_none().then_some(TRIED_ENTRIES),
        follow: false,
        output: dry_run::Output::Short,
        summary: true,
        only_try: true,
        deadline: Instant::now().checked_add(deadline),
        #[cfg(feature = "sd-journal")]
        compare: false,
    };
    let shown = match dry_run::run(config, &options, &mut io::sink()) {
        Ok(shown) => shown,
        Err(error) => return fail(&error),
    };
    if shown.read > 0 {
        show(&yaml::point(file(cli), &shown.unmet));
    }
    let rare: Vec<&str> = shown.unmet.iter().filter_map(|unmet| unmet.rare.as_deref()).collect();
    let mut text = match shown.span {
        None => "not tried on the journal: it has no entry since then\n".to_owned(),
        Some((first, last)) => {
            let time = |micros| {
                let micros = i64::try_from(micros).unwrap_or(i64::MAX);
                Timestamp::from_microsecond(micros)
                    .unwrap_or_default()
                    .strftime("%Y-%m-%dT%H:%M:%SZ")
                    .to_string()
            };
            let late = options.deadline.is_some_and(|deadline| Instant::now() >= deadline);
            let entries = if shown.read == 1 { "entry" } else { "entries" };
            format!(
                "tried on {} {entries} of the journal, {} to {}{}; met nothing: {}\n",
                shown.read,
                time(first),
                time(last),
                if late {
                    format!(", as many as can be read in {TRIED_SECONDS} seconds")
                } else {
                    String::new()
                },
                shown.unmet.len(),
            )
        }
    };
    if !rare.is_empty() && shown.read > 0 {
        text.push_str(&format!(
            "rules without an entry, as is usual where they look for what is rare: {}\n",
            rare.join(", ")
        ));
    }
    quiet_pipe(io::stdout().lock().write_all(text.as_bytes()))
}

/// A time that an option gives (microseconds since 1970).
fn time(name: &str, text: &str) -> Result<u64, String> {
    let (now, zone) = (Timestamp::now(), when::local_zone());
    let parse = |text: &str| when::parse(text, now, &zone);
    parse(text).or_else(|error| {
        // A duration alone is one ago: 30d.
        let ago = text.starts_with(|c: char| c.is_ascii_digit()).then(|| parse(&format!("-{text}")));
        ago.and_then(Result::ok).ok_or_else(|| format!("{name}: {error}"))
    })
}

fn dry_run(cli: &Cli) -> ExitCode {
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
    let options = dry_run::Options {
        paths: cli.dry.path.clone(),
        since,
        until,
        lines: cli.dry.lines,
        follow: cli.dry.follow,
        output: match cli.dry.output {
            Form::Short => dry_run::Output::Short,
            Form::Json => dry_run::Output::Json,
            Form::Explain => dry_run::Output::Explain,
        },
        summary: cli.dry.summary,
        only_try: false,
        deadline: None,
        #[cfg(feature = "sd-journal")]
        compare: cli.dry.reader == ReaderName::SdJournal,
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let result = dry_run::run(&config, &options, &mut out)
        .and_then(|shown| Ok((shown, out.flush().map_err(dry_run::DryRunError::Output)?)));
    match result {
        Ok((shown, ())) => {
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
                n if cli.dry.path.is_empty() => {
                    format!("; {n} older than {}, not sent", dry_run::backfill(&config))
                }
                n => {
                    format!("; {n} older than {}, which a first start leaves out", dry_run::backfill(&config))
                }
            };
            let entries = if shown.entries == 1 { "entry" } else { "entries" };
            say(&format!(
                "{} {entries} would be pushed; nothing was{older}{dropped}{damaged}{fields}{alerts}",
                shown.entries
            ));
            ExitCode::SUCCESS
        }
        Err(dry_run::DryRunError::Output(error)) => quiet_pipe(Err(error)),
        Err(error) => fail(&error),
    }
}

/// Nobody reading any more is not a failure.
fn quiet_pipe(result: io::Result<()>) -> ExitCode {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            say(&format!("error: standard output cannot be written: {error}"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

fn invalid(diagnostics: &Diagnostics) -> ExitCode {
    show(diagnostics);
    ExitCode::from(EXIT_CONFIG)
}

fn show(diagnostics: &Diagnostics) {
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    // A closed standard error changes nothing about the status.
    let _ = io::stderr().write_all(diagnostics.render(colour).as_bytes());
}

fn usage(message: &str) -> ExitCode {
    say(&format!("error: {message}"));
    ExitCode::from(2)
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    say(&format!("error: {error}"));
    ExitCode::FAILURE
}

/// A word to the person who called. It may repeat what a file holds, so it is made safe and is bounded in length.
fn say(message: &str) {
    let text = clip(message, MESSAGE_MAX);
    let _ = writeln!(io::stderr(), "journal-ship: {}", Block { text: &text, indent: "    " });
}
