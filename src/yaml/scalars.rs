//! Scalars of the configuration that several sections know: flags, numbers, expressions.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::check::{Checker, Value};
use super::diagnostic::{Finding, Lint, Span, quoted};
use super::node::Kind;
use super::refusal::Refusal;
use super::units;
use logql::go::re2::Re2;
use logql::{Expr, ParseError, Selector};

/// What is expected in place of a wrong path.
const PATH: &str = "an absolute path";

/// The advice for relative paths. A service starts in `/`, but a person who checks the file is in another folder.
pub(crate) fn absolute(path: &str) -> Result<(), Refusal> {
    if path.contains('\0') {
        return Err(Refusal::new("a path holds no NUL", "expected an absolute path"));
    }
    if path.starts_with('/') {
        return Ok(());
    }
    let refusal =
        Refusal::new(format!("{} is not absolute", quoted(path)), "expected a path that begins with `/`");
    Err(if path.starts_with('~') {
        refusal.help("`~` is the shell's; write the path in full, or `${HOME}/…`")
    } else {
        refusal
            .help("a relative path would mean another place for the service than for whoever checks the file")
    })
}

impl Checker<'_> {
    /// An absolute path.
    pub(crate) fn path(&self, value: &Value<'_>) -> Option<PathBuf> {
        self.checked(value, PATH, absolute).map(PathBuf::from)
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, value: &Value<'_>) -> Option<bool> {
        match value.node.kind {
            Kind::Bool(flag) => Some(flag),
            _ => {
                self.wrong_kind(value, "`true` or `false`");
                None
            }
        }
    }

    /// A number within bounds.
    pub(crate) fn number(&self, value: &Value<'_>, range: &RangeInclusive<f64>) -> Option<f64> {
        let bounds = format!("expected a number, {} to {}", range.start(), range.end());
        let text = match &value.node.kind {
            Kind::Int(text) | Kind::Float(text) => text.clone(),
            _ => self.text(value, "a number")?,
        };
        match text.parse::<f64>() {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                let what = format!("{} is not a number that fits", quoted(&text));
                self.refuse(value.place(), &value.path, Refusal::new(what, bounds));
                None
            }
        }
    }

    /// A whole number within bounds.
    pub(crate) fn integer(&self, value: &Value<'_>, range: &RangeInclusive<u64>) -> Option<u64> {
        let bounds = format!("expected a whole number, {} to {}", range.start(), range.end());
        let text = match &value.node.kind {
            Kind::Int(text) | Kind::Float(text) => text.clone(),
            _ => self.text(value, "a whole number")?,
        };
        match text.parse::<u64>() {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                let what = format!("{} is not a whole number that fits", quoted(&text));
                self.refuse(value.place(), &value.path, Refusal::new(what, bounds));
                None
            }
        }
    }

    /// Reads a text as it is written. Environment variables are not expanded, because `$` has a meaning in expressions,
    /// templates and replacements. A number or a flag counts as its text.
    pub(crate) fn raw(&self, value: &Value<'_>, expected: &str) -> Option<String> {
        match &value.node.kind {
            Kind::Str(text) | Kind::Int(text) | Kind::Float(text) => Some(text.clone()),
            Kind::Bool(flag) => Some(flag.to_string()),
            _ => {
                self.wrong_kind(value, expected);
                None
            }
        }
    }

    /// Reads a duration within limits, in the form of Go (`1.5h`, `100ms`) or Prometheus (`7d`). It is never negative.
    pub(crate) fn go_duration(
        &self,
        value: &Value<'_>,
        range: &RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let kind = ("a duration", "`100ms`, `1.5h` or `7d`");
        self.measure(value, kind, range, units::parse_go_duration, |duration| {
            units::format_duration(*duration)
        })
    }

    /// Reads a size within limits (bytes), in the form of Promtail: `8kb` is 8192 bytes.
    pub(crate) fn go_size(&self, value: &Value<'_>, range: &RangeInclusive<u64>) -> Option<u64> {
        let kind = ("a size", "`512`, `8kb` (8192 bytes) or `1MiB`");
        self.measure(value, kind, range, units::parse_promtail_size, |size| units::format_size(*size))
    }

    /// Reads a regular expression in the syntax of Go. `compile` says how it matches.
    pub(crate) fn regex(
        &self,
        value: &Value<'_>,
        compile: impl Fn(&str) -> Result<Re2, logql::go::re2::Re2Error>,
    ) -> Option<Re2> {
        let text = self.raw(value, "a regular expression")?;
        match compile(&text) {
            Ok(regex) => Some(regex),
            Err(error) => {
                let place = self.inside(value, &text, error.at);
                self.note(
                    Finding::at(place, format!("`{}`: not a regular expression", value.path))
                        .label(error.message)
                        .note("the syntax is Go's: https://github.com/google/re2/wiki/Syntax"),
                );
                None
            }
        }
    }

    /// Reads a LogQL selector. It may select all streams.
    pub(crate) fn selector(&self, value: &Value<'_>) -> Option<Selector> {
        self.logql(value, "a LogQL selector in quotes", Selector::parse_any)
    }

    /// Reads a LogQL metric query.
    pub(crate) fn expression(&self, value: &Value<'_>) -> Option<Expr> {
        self.logql(value, "a LogQL expression", Expr::parse)
    }

    fn logql<T>(
        &self,
        value: &Value<'_>,
        expected: &str,
        parse: impl Fn(&str) -> Result<T, ParseError>,
    ) -> Option<T> {
        let text = self.raw(value, expected)?;
        match parse(&text) {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                let place = self.inside(value, &text, Some(error.span));
                let finding = Finding::at(place, format!("`{}`: {}", value.path, error.message));
                self.note(match &*error.expected {
                    "" => finding.label("here"),
                    expected => finding.label(format!("expected {expected}")),
                });
                None
            }
        }
    }

    /// Warns of a text, at the part of it that the warning is about.
    pub(crate) fn tell(&self, value: &Value<'_>, text: &str, lint: Lint) {
        let part = lint.part.as_ref().and_then(|part| {
            let start = text.find(part)?;
            Some(start..start + part.len())
        });
        let place = self.inside(value, text, part);
        self.warn(lint.at(place));
    }

    /// The place of a part of a text in the file. It is the whole scalar if the file writes the text in another way (escapes,
    /// folded lines), or if no part is named.
    pub(crate) fn inside(&self, value: &Value<'_>, text: &str, part: Option<Span>) -> Span {
        let scalar = value.place();
        let found = part.and_then(|part| {
            let source = self.source.get(scalar.clone())?;
            let end = part.end.max(part.start + 1);
            let place = match source.find(text) {
                Some(start) => start + part.start..start + end,
                None => in_block(source, text, part.start..end)?,
            };
            Some(scalar.start + place.start..scalar.start + place.end)
        });
        found.filter(|place| place.end <= scalar.end).unwrap_or(scalar)
    }
}

/// The place of a part of a text in a block (`|`), whose lines are indented. It does not go beyond the end of its line.
fn in_block(source: &str, text: &str, part: Span) -> Option<Span> {
    let mut written = source.split_inclusive('\n');
    let (mut at, mut before) = (0, 0);
    for line in text.split('\n') {
        let found = written.next()?;
        let indent = found.trim_end_matches('\n').strip_suffix(line)?;
        if !indent.trim_start().is_empty() {
            return None;
        }
        if part.start <= before + line.len() {
            let start = at + indent.len() + part.start - before;
            let end = (start + part.len()).min(at + indent.len() + line.len()).max(start + 1);
            return Some(start..end);
        }
        at += found.len();
        before += line.len() + 1;
    }
    None
}
