//! Scalars of the configuration that several sections know: flags, numbers, expressions.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::check::{Checker, Value};
use super::diagnostic::{Finding, Lint, Span, quoted};
use super::node::Kind;
use super::refusal::Refusal;
use super::units::{self, UnitError};
use logql::go::re2::Re2;
use logql::{Expr, ParseError, Selector};

/// Units of durations in Go (`time.ParseDuration`) and in Prometheus, in nanoseconds. They agree where both
/// have one. The micro sign and the letter mu both stand for micro.
const DURATION_UNITS: &[(&str, f64)] = &[
    ("ns", 1.0),
    ("us", 1e3),
    ("\u{b5}s", 1e3),
    ("\u{3bc}s", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 6e10),
    ("h", 3.6e12),
    ("d", 8.64e13),
    ("w", 6.048e14),
    ("y", 3.1536e16),
];

/// Units of sizes as Promtail reads them (github.com/c2h5oh/datasize), each 1024 of the one before; and the
/// unmistakable names. Letter case does not matter.
const SIZE_UNITS: &[(&[&str], u32)] = &[
    (&["", "b", "byte"], 0),
    (&["k", "kb", "kib", "kilo", "kilobyte", "kilobytes"], 10),
    (&["m", "mb", "mib", "mega", "megabyte", "megabytes"], 20),
    (&["g", "gb", "gib", "giga", "gigabyte", "gigabytes"], 30),
    (&["t", "tb", "tib", "tera", "terabyte", "terabytes"], 40),
    (&["p", "pb", "pib", "peta", "petabyte", "petabytes"], 50),
    (&["e", "eb", "eib"], 60),
];

/// Longest duration (nanoseconds): what Go holds.
const MAX_DURATION_NS: f64 = i64::MAX as f64;

/// What is expected where a path is.
const PATH: &str = "an absolute path";

/// Paths are absolute: a service starts in `/`, a person who checks the file elsewhere.
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
                let what = format!("{} is no number that fits", quoted(&text));
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
                let what = format!("{} is no whole number that fits", quoted(&text));
                self.refuse(value.place(), &value.path, Refusal::new(what, bounds));
                None
            }
        }
    }

    /// A text as it is written: `$` keeps the meaning that it has in expressions, templates and
    /// replacements, so environment variables are not expanded. A number or flag is its own text.
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

    /// A duration within bounds, as Go writes it (`1.5h`, `100ms`) or Prometheus (`7d`); never negative.
    pub(crate) fn go_duration(
        &self,
        value: &Value<'_>,
        range: &RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let kind = ("a duration", "`100ms`, `1.5h` or `7d`");
        self.measure(value, kind, range, go_duration, |duration| units::format_duration(*duration))
    }

    /// A size in bytes within bounds, as Promtail writes it: `8kb` is 8192 bytes.
    pub(crate) fn go_size(&self, value: &Value<'_>, range: &RangeInclusive<u64>) -> Option<u64> {
        let kind = ("a size", "`512`, `8kb` (8192 bytes) or `1MiB`");
        self.measure(value, kind, range, go_size, |size| units::format_size(*size))
    }

    /// A regular expression in Go's syntax; `compile` says how it is to match.
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

    /// A LogQL selector, also one that chooses all streams.
    pub(crate) fn selector(&self, value: &Value<'_>) -> Option<Selector> {
        self.logql(value, "a LogQL selector in quotes", Selector::parse_any)
    }

    /// A LogQL metric query.
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

    /// The place of a part of a text in the file; the whole scalar when it is spelled otherwise there
    /// (escapes, folded lines) or no part is named.
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

/// The place of a part of a text in a block (`|`), whose lines are indented; not behind the end of its line.
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

/// Numbers with units, one after the other and added up.
pub(crate) fn go_duration(text: &str) -> Result<Duration, UnitError> {
    const UNITS: &str = "ns us ms s m h d w y";
    if text.is_empty() {
        return Err(UnitError::Empty);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    let mut total = 0.0;
    loop {
        let (number, after) = split(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split(after, |c| !c.is_ascii_digit() && c != '.');
        let count: f64 = number.parse().map_err(|_| UnitError::NoNumber)?;
        let (_, factor) = DURATION_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(|| {
            if unit.is_empty() {
                UnitError::NoUnit(number.to_owned())
            } else {
                UnitError::BadUnit { found: unit.to_owned(), units: UNITS }
            }
        })?;
        total += count * factor;
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    if total >= MAX_DURATION_NS {
        return Err(UnitError::TooLarge);
    }
    // Exact up to 104 days; above, the nearest number of nanoseconds that float64 has.
    Ok(Duration::from_nanos(total.round() as u64))
}

fn go_size(text: &str) -> Result<u64, UnitError> {
    if text.is_empty() {
        return Err(UnitError::Empty);
    }
    let (number, unit) = split(text, |c| c.is_ascii_digit());
    if number.is_empty() {
        return Err(UnitError::NoNumber);
    }
    let written = unit.trim();
    if written.starts_with('.') {
        return Err(UnitError::Fraction);
    }
    let unit = written.to_ascii_lowercase();
    let (_, shift) = SIZE_UNITS
        .iter()
        .find(|(names, _)| names.contains(&unit.as_str()))
        .ok_or_else(|| UnitError::BadUnit { found: written.to_owned(), units: "b kb mb gb tb pb eb" })?;
    let number: u64 = number.parse().map_err(|_| UnitError::TooLarge)?;
    number.checked_mul(1 << shift).ok_or(UnitError::TooLarge)
}

/// The beginning whose characters belong together, and the rest.
fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_as_in_go_and_in_prometheus() {
        const SECOND: u64 = 1_000_000_000;
        for (text, ns) in [
            ("0", 0),
            ("0s", 0),
            ("100ms", SECOND / 10),
            ("1.5h", 5400 * SECOND),
            ("1h30m", 5400 * SECOND),
            ("30m1h", 5400 * SECOND),
            (".5s", SECOND / 2),
            ("1.s", SECOND),
            ("+5m", 300 * SECOND),
            ("1ns", 1),
            ("3us", 3000),
            ("3\u{b5}s", 3000),
            ("3\u{3bc}s", 3000),
            ("24h", 86_400 * SECOND),
            ("7d", 7 * 86_400 * SECOND),
            ("1w1d", 8 * 86_400 * SECOND),
            ("1y", 365 * 86_400 * SECOND),
            ("0.1s", SECOND / 10),
        ] {
            assert_eq!(go_duration(text), Ok(Duration::from_nanos(ns)), "{text}");
        }
        let bad = |found: &str| UnitError::BadUnit { found: found.into(), units: "ns us ms s m h d w y" };
        for (text, error) in [
            ("", UnitError::Empty),
            ("24", UnitError::NoUnit("24".into())),
            ("1h30", UnitError::NoUnit("30".into())),
            ("h", UnitError::NoNumber),
            ("-1h", UnitError::NoNumber),
            ("+", UnitError::NoNumber),
            (".h", UnitError::NoNumber),
            ("1..5h", UnitError::NoNumber),
            ("1H", bad("H")),
            ("5min", bad("min")),
            ("1 h", bad(" h")),
            ("293y", UnitError::TooLarge),
            ("99999999999999999999999h", UnitError::TooLarge),
        ] {
            assert_eq!(go_duration(text), Err(error), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_as_promtail_reads_them() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("120b", 120),
            ("8kb", 8192),
            ("8KB", 8192),
            ("8Kb", 8192),
            ("8 kb", 8192),
            ("8KiB", 8192),
            ("2k", 2048),
            ("1mega", 1 << 20),
            ("3GB", 3 << 30),
            ("1eb", 1 << 60),
        ] {
            assert_eq!(go_size(text), Ok(bytes), "{text}");
        }
        let bad = |found: &str| UnitError::BadUnit { found: found.into(), units: "b kb mb gb tb pb eb" };
        for (text, error) in [
            ("", UnitError::Empty),
            ("kb", UnitError::NoNumber),
            ("-1", UnitError::NoNumber),
            ("1.5kb", UnitError::Fraction),
            ("1kbit", bad("kbit")),
            ("1kb2", bad("kb2")),
            ("16eb", UnitError::TooLarge),
            ("99999999999999999999", UnitError::TooLarge),
        ] {
            assert_eq!(go_size(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_gets_an_answer(text in "\\PC{0,20}|[0-9a-z.+ -]{0,12}") {
            let _ = (go_duration(&text), go_size(&text));
        }
    }
}
