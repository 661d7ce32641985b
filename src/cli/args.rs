//! The arguments, as a person writes them: commands, options, and their help.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::habits::HabitArgs;
use super::look::Color;
use super::man::Page;
use super::query::{QueryArgs, SpanArgs};
use super::verify::VerifyArgs;
use crate::config::DEFAULT_CONFIG_FILE;

/// Ships the systemd journal to Grafana Loki.
#[derive(Debug, Parser)]
#[command(name = "journal-ship", version, args_conflicts_with_subcommands = false, args_override_self = true)]
pub(super) struct Cli {
    /// Configuration file
    #[arg(long, value_name = "FILE", global = true)]
    pub(super) config: Option<PathBuf>,

    /// Show what would be pushed and what would alert; push nothing, alert nobody, write no state
    #[arg(long)]
    pub(super) dry_run: bool,

    #[command(flatten)]
    pub(super) dry: DryRunArgs,

    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Options of --dry-run")]
pub(super) struct DryRunArgs {
    /// Only entries with these values of journal fields, as _PID=1; `+` stands between alternatives. Rules see no others
    #[arg(value_name = "FIELD=VALUE")]
    pub(super) words: Vec<String>,

    /// Begin at this time, as journalctl takes it: "2026-11-01 10:00", "1h ago", 30d, -2h, yesterday, "10:00 UTC"
    #[arg(
        short = 'S',
        long,
        value_name = "WHEN",
        overrides_with = "since",
        requires = "dry_run",
        allow_hyphen_values = true
    )]
    pub(super) since: Option<String>,

    /// End at this time
    #[arg(
        short = 'U',
        long,
        value_name = "WHEN",
        overrides_with = "until",
        requires = "dry_run",
        allow_hyphen_values = true
    )]
    pub(super) until: Option<String>,

    /// What is still unshipped: from the checkpoint of each destination to the end of the journal
    #[arg(long, requires = "dry_run", conflicts_with_all = ["since", "follow", "path", "words"])]
    pub(super) pending: bool,

    /// Only the last N entries, or all; 10 if no number follows
    #[arg(short = 'n', long, value_name = "N", overrides_with = "lines", num_args = 0..=1, default_missing_value = "10", requires = "dry_run", allow_negative_numbers = true, value_parser = super::lines)]
    pub(super) lines: Option<u64>,

    /// Go on with new entries
    #[arg(short, long, requires = "dry_run")]
    pub(super) follow: bool,

    /// The newest entry first, of the last 1,000 or those of -n
    #[arg(short, long, requires = "dry_run", conflicts_with_all = ["follow", "summary"])]
    pub(super) reverse: bool,

    /// Read these folders or files instead of this machine's journal; matches may follow
    #[arg(long, value_name = "DIR_OR_FILE", requires = "dry_run", num_args = 1..)]
    pub(super) path: Vec<PathBuf>,

    /// How to show an entry
    #[arg(short, long, value_name = "FORM", requires = "dry_run", default_value = "short")]
    pub(super) output: Form,

    /// When to use colours
    #[arg(long, value_name = "WHEN", requires = "dry_run", default_value = "auto")]
    pub(super) color: Color,

    /// No entries; streams, entries, bytes, what is dropped and why, label values, retention classes, alerts that would
    /// have fired
    #[arg(long, requires = "dry_run", conflicts_with = "follow")]
    pub(super) summary: bool,

    #[command(flatten)]
    pub(super) habits: HabitArgs,

    /// Compare order, cursors and times with libsystemd's
    #[cfg(feature = "sd-journal")]
    #[arg(long, value_name = "READER", requires = "dry_run", default_value = "native")]
    pub(super) reader: ReaderName,
}

#[cfg(feature = "sd-journal")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ReaderName {
    /// Only this program's own reader
    Native,
    /// Also libsystemd's, which must agree entry by entry on order, cursors and times
    SdJournal,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Form {
    /// On a terminal: local time, unit, line, levels as colours, labels once for each stream; else as labels
    Short,
    /// Time, {labels}, line
    Labels,
    /// One JSON object a line: timestamp, labels, metadata, line, tenant
    Json,
    /// As short, with the field that each label comes from, and each step that changed, dropped, held or sampled an entry
    Explain,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Validate the configuration and rule files; no network, no state
    Check {
        /// Do not check values with environment variables that are not set here
        #[arg(long)]
        allow_unset: bool,

        /// Also try it on this machine's journal: warn of selectors, fields, layouts, stages and rules that match nothing in it
        #[arg(long)]
        journal: bool,

        /// Try it on entries since this time; without it, on the newest ones
        #[arg(
            short = 'S',
            long,
            value_name = "WHEN",
            overrides_with = "since",
            requires = "journal",
            allow_hyphen_values = true
        )]
        since: Option<String>,

        /// Try it on these folders or files instead of this machine's journal
        #[arg(long, value_name = "DIR_OR_FILE", requires = "journal", num_args = 1..)]
        path: Vec<PathBuf>,
    },
    /// Show the configuration that is in force, or its schema for editors
    Config {
        #[command(subcommand)]
        what: ConfigCommand,
    },
    /// Ask the journal in LogQL: lines, or values; no Loki, no daemon and no configuration is needed
    Query(Box<QueryArgs>),
    /// Print the labels that the journal's entries have, or the values of one
    Labels {
        /// The label whose values are wanted
        name: Option<String>,

        #[command(flatten)]
        span: SpanArgs,
    },
    /// Print the streams that a selector chooses, and how many entries each has
    Series {
        /// As '{unit="ssh.service"}'
        selector: String,

        #[command(flatten)]
        span: SpanArgs,
    },
    /// Compare the journal with what is in Loki; name what is missing, and send it again
    Verify(Box<VerifyArgs>),
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
    /// Print a man page
    Man {
        /// Which page
        #[arg(default_value = "journal-ship")]
        page: Page,
    },
    /// Try alert rules
    Rules {
        #[command(subcommand)]
        what: Rules,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Rules {
    /// Run unit tests of rule files; the status is 1 if one fails
    Test {
        /// Files of tests, each with the rule files it is about
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print every key with its value, and where that comes from: a line of the file, the environment, or the default
    Show,
    /// Print the JSON Schema of the configuration
    Schema,
}

#[derive(Debug, Subcommand)]
pub(super) enum From {
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

impl Cli {
    /// The configuration file that is named, or the usual one.
    pub(super) fn file(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new(DEFAULT_CONFIG_FILE))
    }

    /// The same; `None` if none is named and the usual one is not there. Then the built-in defaults are what one gets.
    pub(super) fn installed(&self) -> Option<&Path> {
        (self.config.is_some() || Path::new(DEFAULT_CONFIG_FILE).exists()).then(|| self.file())
    }
}

impl Command {
    /// The command as a message names it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Command::Check { .. } => "`check`",
            Command::Config { .. } => "`config`",
            Command::Query(_) => "`query`",
            Command::Labels { .. } => "`labels`",
            Command::Series { .. } => "`series`",
            Command::Verify(_) => "`verify`",
            Command::Convert { .. } => "`convert`",
            Command::Retention { .. } => "`retention`",
            Command::Rules { .. } => "`rules`",
            Command::Completions { .. } | Command::Man { .. } => "`completions` and `man`",
        }
    }
}
