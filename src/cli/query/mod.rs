//! `query`, `labels` and `series`: the journal is asked, and its answer shown.

mod args;
mod gaps;
mod nothing;
mod wanted;

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use jiff::Timestamp;

use self::args::{From, Output};
pub(super) use self::args::{QueryArgs, SpanArgs};
use self::gaps::gaps;
use self::nothing::{nothing, nothing_at_all};
use self::wanted::{grep, split};
use super::answer::{fail, invalid, quiet_pipe, say, usage};
use super::args::Cli;
use super::habits::wanted;
use super::wait::{Bar, interrupt};
use super::{duration, environment, environment_of_unit, load, time};
use crate::config::{Config, DEFAULT_CONFIG_FILE};
use crate::os::log::{Reader, init};
use crate::os::text::Line;
use crate::os::when;
use crate::query::answer::Answer;
use crate::query::journal::Journal;
use crate::query::live;
use crate::query::print::{Form, Printer};
use crate::query::streams::{Streams, is_any};
use crate::query::{Direction, Limits, Progress, QueryError, Question, Run, Threads, Time, ask, boots};
use crate::shape::Sections;
use crate::shape::shown::Look;
use journald_reader::Scope;
use logql::{LogQuery, ParseError, Query};

/// Lines that are shown unless `-n` says otherwise (count).
const LINES: usize = 1000;
/// Threads that read for a question (count): each has a pipeline and a reader of its own, some 4 MB.
const THREADS_MAX: usize = 8;
/// What is written at once (bytes): half of what a pipe of Linux holds, so that its reader is woken up seldom.
const OUTPUT: usize = 32 << 10;
/// The status of a command that SIGINT ended, as a shell has it (128 and the signal's number).
const INTERRUPTED: u8 = 130;
/// Values of a series over time, about (count), unless `--step` says otherwise.
const STEPS: i64 = 30;
/// Steps that people think in (seconds).
const STEPS_OF: [i64; 18] =
    [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];
/// Nanoseconds: entries of the last microsecond of a span count.
const MICROSECOND: i64 = 1000;
/// What `series` wants.
const SELECTOR: &str = "a selector is expected, as '{unit=\"ssh.service\"}', and nothing behind it";
/// All entries.
const EVERYTHING: &str = r#"{job=~".+"}"#;

/// Answers a query.
pub(super) fn query(cli: &Cli, args: &QueryArgs) -> ExitCode {
    match asked(cli, args) {
        Ok(status) | Err(status) => status,
    }
}

fn asked(cli: &Cli, args: &QueryArgs) -> Result<ExitCode, ExitCode> {
    let config = config(cli)?;
    let mut scope = config.journal.scope_at(&args.place.path);
    if args.list_boots {
        return Ok(list_boots(&scope));
    }
    let mut words = args.words.clone();
    let boot = args.habits.boot(&mut words);
    let (text, matches) = split(&words).map_err(|error| usage(&error))?;
    let mut query = parse(text.as_deref().unwrap_or(EVERYTHING))?;
    let wanted = wanted(&args.habits, boot, &matches, &scope)?;
    scope.matches = wanted;
    if let Some(pattern) = &args.habits.grep {
        grep(&mut query, pattern)?;
    }
    let now = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
    // Who follows may wait for the beginning.
    let last = (!args.follow).then_some(now);
    let (since, until) = span(args.since.as_deref(), args.until.as_deref(), last)?;
    let end = until.unwrap_or(now);
    let time = match &query {
        Query::Logs(_) => {
            Time::Span { start: since.unwrap_or(0), end: end.saturating_add(MICROSECOND), step: 1 }
        }
        Query::Metric(_) => over_time(args.step.as_deref(), since, end)?,
    };
    if args.follow && matches!(query, Query::Metric(_)) {
        return Err(usage("--follow goes with log queries"));
    }
    if args.follow && args.direction == From::Forward {
        return Err(usage(
            "--follow goes on behind the last lines, and --direction forward asks for the first",
        ));
    }
    let question = Question {
        query,
        time,
        limit: args.lines.map_or(LINES, |lines| usize::try_from(lines).unwrap_or(usize::MAX)),
        direction: match args.direction {
            From::Forward => Direction::Forward,
            From::Backward => Direction::Backward,
        },
    };
    let journal = Journal::new(scope.clone(), Sections::from(&config), config.loki.first());
    Ok(answer(&question, (&journal, &scope), args))
}

/// What a person may ask for: memory is theirs.
fn limits() -> Limits {
    Limits {
        span: None,
        entries: usize::MAX,
        series: 10_000,
        bytes: 1 << 30,
        bytes_read: None,
        threads: Threads::available(THREADS_MAX),
    }
}

/// Asks, and shows the answer.
fn answer(question: &Question, (journal, scope): (&Journal<'_>, &Scope), args: &QueryArgs) -> ExitCode {
    let stop = match interrupt() {
        Ok(stop) => stop,
        Err(error) => return fail(&error),
    };
    let form = match args.output {
        Output::Short => Form::Short(args.color.look()),
        Output::Labels => Form::Short(Look::Stable),
        Output::Json => Form::Json,
        Output::Raw => Form::Raw,
        Output::Csv => Form::Csv,
    };
    let mut printer = Printer::new(form, when::local_zone(), io::stdout().is_terminal());
    if args.follow {
        let mut run =
            Run { stop: &stop, deadline: None, limits: limits(), bytes_read: 0, progress: &mut |_| {} };
        return follow(question, journal, &mut run, &mut printer);
    }
    let mut bar = Bar::new();
    let mut progress = |progress: &Progress| {
        if !args.habits.quiet {
            bar.show(progress);
        }
    };
    let mut run =
        Run { stop: &stop, deadline: None, limits: limits(), bytes_read: 0, progress: &mut progress };
    let asked = ask(question, journal, &mut run);
    bar.clear();
    let (mut answer, read) = match asked {
        Ok(answer) => answer,
        Err(error) => return fail(&error),
    };
    let mut out = BufWriter::with_capacity(OUTPUT, io::stdout().lock());
    let found = match &mut answer {
        Answer::Lines(lines) => {
            // The newest one last, unless it is wanted first.
            if args.reverse != (question.direction == Direction::Backward) {
                lines.reverse();
            }
            let wanted = args.lines.is_some() || args.habits.pager_end || args.habits.quiet;
            if !wanted && lines.len() == question.limit {
                let which = if args.direction == From::Forward { "first" } else { "last" };
                say(&format!("these are the {which} {LINES} lines; -n N shows more"));
            }
            lines.len()
        }
        Answer::Vector(_, series) => series.len(),
        Answer::Matrix(series) => series.len(),
        Answer::Scalar(..) => 1,
    };
    if let Err(error) = printer.show(&answer, question.time, &mut out).and_then(|()| out.flush()) {
        return quiet_pipe(Err(error));
    }
    if stop.load(Relaxed) {
        if !matches!(answer, Answer::Lines(_)) {
            say("stopped: these values are of a part of the entries, and no answer");
            return ExitCode::from(INTERRUPTED);
        }
        if !args.habits.quiet {
            say("stopped: this is what was found until then");
        }
    }
    if let Some(gaps) = gaps(question).filter(|_| !args.habits.quiet) {
        say(&gaps);
    }
    // Who asks for no line gets what was asked for, as with journalctl.
    let none_wanted = matches!(answer, Answer::Lines(_)) && question.limit == 0;
    match found {
        0 if !none_wanted && args.habits.quiet => ExitCode::FAILURE,
        0 if !none_wanted => {
            nothing(scope, &read, &format!(", {} of them of streams that the query chooses", read.chosen))
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Shows the last lines and what comes, until it is interrupted.
fn follow(question: &Question, journal: &Journal<'_>, run: &mut Run<'_>, printer: &mut Printer) -> ExitCode {
    let (Query::Logs(query), Time::Span { start, end, .. }) = (&question.query, question.time) else {
        return usage("--follow goes with log queries");
    };
    let mut out = BufWriter::with_capacity(OUTPUT, io::stdout().lock());
    let shown = live::tail(query, (start, end), question.limit, journal, run, &mut |lines| {
        lines.iter().try_for_each(|line| printer.line(line, &mut out))?;
        out.flush()
    });
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(QueryError::Output(error)) => quiet_pipe(Err(error)),
        Err(error) => fail(&error),
    }
}

/// Shows all labels with the number of their values, or the values of one.
pub(super) fn labels(cli: &Cli, name: Option<&str>, span: &SpanArgs) -> ExitCode {
    let found = match streams(cli, &[], span) {
        Ok(found) => found,
        Err(status) => return status,
    };
    let streams = &found.streams;
    let text: String = match name {
        None => streams
            .labels()
            .iter()
            .map(|(name, values)| {
                let count =
                    if values.len() == 1 { "1 value".to_owned() } else { format!("{} values", values.len()) };
                format!("{}\t{count}\n", Line(name))
            })
            .collect(),
        Some(name) => streams.values(name).iter().map(|value| format!("{}\n", Line(value))).collect(),
    };
    let of_them = name.map_or(String::new(), |name| format!(", none of them with the label {name}"));
    found.listed(&text, &of_them)
}

/// Shows the streams that a selector chooses.
pub(super) fn series(cli: &Cli, selector: &str, span: &SpanArgs) -> ExitCode {
    let selectors = match is_any(selector) {
        true => Vec::new(),
        false if !selector.trim_start().starts_with(['{', '(']) => {
            return usage(SELECTOR);
        }
        false => match parse(selector) {
            Ok(Query::Logs(query)) if query.stages.is_empty() => vec![query],
            Ok(_) => {
                return usage(SELECTOR);
            }
            Err(status) => return status,
        },
    };
    match streams(cli, &selectors, span) {
        Ok(found) => {
            let mut all: Vec<String> = found
                .streams
                .iter()
                .map(|(labels, size)| format!("{}\t{}\n", Line(&labels.to_string()), size.entries))
                .collect();
            all.sort_unstable();
            found.listed(&all.concat(), ", none of them of a stream that the selector chooses")
        }
        Err(status) => status,
    }
}

/// The streams of a span, and where they were looked for.
struct Found {
    streams: Streams,
    read: Progress,
    scope: Scope,
    /// Only the last day was looked at, because nothing else was asked for.
    last_day: bool,
}

impl Found {
    /// Shows what was found. `of_them` says of the entries that were read what they are not, if that is nothing.
    fn listed(&self, text: &str, of_them: &str) -> ExitCode {
        if text.is_empty() {
            let further = if self.last_day { "; --since looks back further than a day" } else { "" };
            return nothing(&self.scope, &self.read, &format!("{of_them}{further}"));
        }
        quiet_pipe(io::stdout().lock().write_all(text.as_bytes()))
    }
}

fn streams(cli: &Cli, selectors: &[LogQuery], args: &SpanArgs) -> Result<Found, ExitCode> {
    /// How far back is looked unless `--since` says otherwise.
    const BACK: Duration = Duration::from_secs(86_400);
    let config = config(cli)?;
    let now = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
    let (since, until) = span(args.since.as_deref(), args.until.as_deref(), Some(now))?;
    let back = i64::try_from(BACK.as_nanos()).unwrap_or(i64::MAX);
    let end = until.unwrap_or(now).saturating_add(MICROSECOND);
    // Another journal than this machine's may be of any time.
    let begin = if args.place.path.is_empty() { end.saturating_sub(back) } else { 0 };
    let scope = config.journal.scope_at(&args.place.path);
    let journal = Journal::new(scope.clone(), Sections::from(&config), config.loki.first());
    let stop = AtomicBool::new(false);
    let mut run = Run { stop: &stop, deadline: None, limits: limits(), bytes_read: 0, progress: &mut |_| {} };
    let found = Streams::find(selectors, (since.unwrap_or(begin), end), &journal, &mut run);
    let (streams, read) = found.map_err(|error| fail(&error))?;
    let last_day = args.place.path.is_empty() && since.is_none();
    Ok(Found { streams, read, scope, last_day })
}

/// The configuration, which gives entries their labels. Without a file that was asked for or can be read, the built-in defaults
/// do.
fn config(cli: &Cli) -> Result<Config, ExitCode> {
    let installed = Path::new(DEFAULT_CONFIG_FILE);
    let readable = cli.config.is_some() || std::fs::File::open(installed).is_ok();
    let config = match readable {
        true => load(cli, &environment_of_unit).map_err(|diagnostics| invalid(&diagnostics))?,
        false => Config::builtin(&environment),
    };
    init(Reader::Person, config.log_level.min(::log::LevelFilter::Warn));
    if !readable && installed.exists() {
        say(&format!("{DEFAULT_CONFIG_FILE} cannot be read by this user: the default labels are used"));
    }
    Ok(config)
}

fn parse(text: &str) -> Result<Query, ExitCode> {
    Query::parse(text).map_err(|error| usage(&pointed(text, &error)))
}

/// A mistake in a query, and its place under it.
fn pointed(text: &str, error: &ParseError) -> String {
    let before = text.get(..error.span.start).unwrap_or_default();
    let line = before.matches('\n').count();
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
    let shown = text.lines().nth(line).unwrap_or_default();
    let marked = text.get(error.span.clone()).map_or(1, |text| text.chars().count().max(1));
    let marks = "^".repeat(marked.min(shown.chars().count().saturating_sub(column).max(1)));
    format!("{error}\n{shown}\n{}{marks}", " ".repeat(column))
}

/// The span that is asked about (nanoseconds since 1970). It ends at `last` where no end is named.
fn span(
    since: Option<&str>,
    until: Option<&str>,
    last: Option<i64>,
) -> Result<(Option<i64>, Option<i64>), ExitCode> {
    let read = |name: &str, text: Option<&str>| text.map(|text| time(name, text)).transpose();
    let (since, until) = match (read("--since", since), read("--until", until)) {
        (Ok(since), Ok(until)) => (since, until),
        (Err(error), _) | (_, Err(error)) => return Err(usage(&error)),
    };
    if until.is_some_and(|until| since.is_some_and(|since| since > until)) {
        return Err(usage("--since is after --until: no entry can be between them"));
    }
    let nanoseconds = |micros: u64| i64::try_from(micros).unwrap_or(i64::MAX).saturating_mul(1000);
    let (since, until) = (since.map(nanoseconds), until.map(nanoseconds));
    if until.is_none() && since.zip(last).is_some_and(|(since, last)| since > last) {
        return Err(usage("--since is after now, where the answer ends: name a later end with --until"));
    }
    Ok((since, until))
}

/// When a metric query is asked about: at the end, or over time if a beginning or a step is named.
fn over_time(step: Option<&str>, since: Option<i64>, end: i64) -> Result<Time, ExitCode> {
    const SECOND: i64 = 1_000_000_000;
    const DAY: i64 = 86_400 * SECOND;
    if step.is_none() && since.is_none() {
        return Ok(Time::At(end));
    }
    let start = since.unwrap_or_else(|| end.saturating_sub(DAY));
    let given = step.map(|step| {
        let duration = duration("--step", step, "30s, 5m or 1h").map_err(|error| usage(&error))?;
        Ok::<_, ExitCode>(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    });
    let about = end.saturating_sub(start) / STEPS / SECOND;
    let usual =
        || STEPS_OF.into_iter().find(|step| *step >= about).unwrap_or(about.max(1)).saturating_mul(SECOND);
    Ok(Time::Span { start, end, step: given.transpose()?.unwrap_or_else(usual) })
}

fn list_boots(scope: &Scope) -> ExitCode {
    let boots = match boots::boots(scope) {
        Ok(boots) => boots,
        Err(error) => return fail(&error),
    };
    let zone = when::local_zone();
    let time = |micros: u64| {
        let time = i64::try_from(micros).ok().and_then(|micros| Timestamp::from_microsecond(micros).ok());
        time.unwrap_or_default()
            .to_zoned_datetime(zone.clone())
            .strftime("%a %Y-%m-%d %H:%M:%S %Z")
            .to_string()
    };
    let last = boots.len() as i64 - 1;
    if boots.is_empty() {
        return nothing_at_all(scope);
    }
    let rows = (0_i64..).zip(&boots).map(|(at, boot)| {
        format!("{:>4} {} {} — {}\n", at - last, boot.id, time(boot.first), time(boot.last))
    });
    quiet_pipe(io::stdout().lock().write_all(rows.collect::<String>().as_bytes()))
}
