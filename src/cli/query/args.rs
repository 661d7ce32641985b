//! The arguments of `query`, `labels` and `series`, with their help.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(in crate::cli) struct QueryArgs {
    /// LogQL, as '{unit="ssh.service"} |= "Failed"' or 'sum by (unit) (count_over_time({job=~".+"}[1h]))', and matches of
    /// journal fields, as _PID=1; without LogQL, everything
    #[arg(value_name = "LOGQL|FIELD=VALUE")]
    pub(super) words: Vec<String>,

    /// Begin at this time, as journalctl takes it: "2026-11-01 10:00", "1h ago", 30d, -2h, yesterday. A metric query is
    /// answered over time then
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    pub(super) since: Option<String>,

    /// End at this time
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    pub(super) until: Option<String>,

    /// Of metric queries: answer over time, one value in so long, as 5m
    #[arg(long, value_name = "DURATION")]
    pub(super) step: Option<String>,

    /// The last N lines
    #[arg(short = 'n', long, value_name = "N")]
    pub(super) lines: Option<usize>,

    /// Go on with new lines
    #[arg(short, long, conflicts_with_all = ["until", "reverse"])]
    pub(super) follow: bool,

    /// The newest line first
    #[arg(short, long)]
    pub(super) reverse: bool,

    /// How to show the answer
    #[arg(short, long, value_name = "FORM", default_value = "short")]
    pub(super) output: Output,

    #[command(flatten)]
    pub(super) place: Place,

    /// Only what is about this unit, as journalctl takes it: "ssh", "nginx.service", "podman-*"
    #[arg(short, long, value_name = "UNIT")]
    pub(super) unit: Vec<String>,

    /// Only this priority and worse ones, or a range: err, 4, warning..err
    #[arg(short, long, value_name = "PRIORITY")]
    pub(super) priority: Option<String>,

    /// Only messages that match this regular expression; capitals matter if there are any in it
    #[arg(short, long, value_name = "PATTERN")]
    pub(super) grep: Option<String>,

    /// Only this SYSLOG_IDENTIFIER
    #[arg(short = 't', long, value_name = "IDENTIFIER")]
    pub(super) identifier: Vec<String>,

    /// Only the kernel's messages, of this boot unless -b names another
    #[arg(short = 'k', long)]
    pub(super) dmesg: bool,

    /// Only this boot: an id, or an offset, 0 for the last one, -1 for the one before
    #[arg(short, long, value_name = "ID|OFFSET", num_args = 0..=1, default_missing_value = "0", allow_negative_numbers = true)]
    pub(super) boot: Option<String>,

    /// Show the boots that the journal knows, and nothing else
    #[arg(long)]
    pub(super) list_boots: bool,
}

/// Where the journal is.
#[derive(Debug, Args)]
pub(in crate::cli) struct Place {
    /// Read this folder or file instead of this machine's journal; may be given several times
    #[arg(long, value_name = "DIR_OR_FILE")]
    pub(super) path: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct SpanArgs {
    /// Begin at this time; the default is a day ago
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    pub(super) since: Option<String>,

    /// End at this time
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    pub(super) until: Option<String>,

    #[command(flatten)]
    pub(super) place: Place,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Output {
    /// Time, {labels}, line; a table of values
    Short,
    /// One object a line; of metric queries, Loki's response
    Json,
    /// Only the lines
    Raw,
    /// Comma-separated values
    Csv,
}
