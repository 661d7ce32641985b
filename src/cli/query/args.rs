//! The arguments of `query`, `labels` and `series`, with their help.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::habits::HabitArgs;
use crate::cli::lines;
use crate::cli::look::Color;

#[derive(Debug, Args)]
pub(in crate::cli) struct QueryArgs {
    /// LogQL, as '{unit="ssh.service"} |= "Failed"' or 'sum by (unit) (count_over_time({job=~".+"}[1h]))', and matches of
    /// journal fields, as _PID=1; without LogQL, everything
    #[arg(value_name = "LOGQL|FIELD=VALUE")]
    pub(super) words: Vec<String>,

    /// Begin at this time, as journalctl takes it: "2026-11-01 10:00", "1h ago", 30d, -2h, yesterday. A metric query is
    /// answered over time then
    #[arg(short = 'S', long, value_name = "WHEN", overrides_with = "since", allow_hyphen_values = true)]
    pub(super) since: Option<String>,

    /// End at this time
    #[arg(short = 'U', long, value_name = "WHEN", overrides_with = "until", allow_hyphen_values = true)]
    pub(super) until: Option<String>,

    /// Of metric queries: answer over time, one value in so long, as 5m
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub(super) step: Option<String>,

    /// The last N lines, or all; 10 if no number follows
    #[arg(short = 'n', long, value_name = "N", overrides_with = "lines", num_args = 0..=1, default_missing_value = "10", allow_negative_numbers = true, value_parser = lines)]
    pub(super) lines: Option<u64>,

    /// Which lines: the last ones of the time that is asked about, or the first ones
    #[arg(long, value_name = "DIRECTION", default_value = "backward", overrides_with = "direction")]
    pub(super) direction: From,

    /// Go on with new lines
    #[arg(short, long, conflicts_with_all = ["until", "reverse"])]
    pub(super) follow: bool,

    /// The newest line first
    #[arg(short, long)]
    pub(super) reverse: bool,

    /// How to show the answer
    #[arg(short, long, value_name = "FORM", default_value = "short")]
    pub(super) output: Output,

    /// When to use colours
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(super) color: Color,

    #[command(flatten)]
    pub(super) place: Place,

    #[command(flatten)]
    pub(super) habits: HabitArgs,

    /// Show the boots that the journal knows, and nothing else
    #[arg(long, conflicts_with_all = ["words", "since", "until", "unit", "priority", "grep", "identifier", "dmesg", "boot"])]
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
    #[arg(short = 'S', long, value_name = "WHEN", overrides_with = "since", allow_hyphen_values = true)]
    pub(super) since: Option<String>,

    /// End at this time
    #[arg(short = 'U', long, value_name = "WHEN", overrides_with = "until", allow_hyphen_values = true)]
    pub(super) until: Option<String>,

    #[command(flatten)]
    pub(super) place: Place,
}

/// From which end lines are counted, in the words of Loki's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum From {
    /// The first ones
    Forward,
    /// The last ones
    Backward,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Output {
    /// On a terminal: local time, unit, line, levels as colours, labels once for each stream; else as labels. A table of
    /// values
    Short,
    /// Time, {labels}, line
    Labels,
    /// One object a line; of metric queries, Loki's response
    Json,
    /// Only the lines
    Raw,
    /// Comma-separated values
    Csv,
}
