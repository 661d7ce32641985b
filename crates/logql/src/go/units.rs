//! Durations and sizes as text, in every grammar that is met: Prometheus' durations (`1d12h`), Go's (`1.5h`), sizes as
//! a configuration writes them (`1MiB`), as Promtail does (`8kb`), and as LogQL does (`1.5GB`).

use std::time::Duration;

use thiserror::Error;

pub use super::number::number;
pub(crate) use super::number::number_or_why;

/// Units of a duration in nanoseconds. Prometheus' stand from large to small; a year is 365 days, a week 7. The micro sign
/// and the letter mu both stand for micro.
const DURATION_UNITS: [(&str, i64); 11] = [
    ("y", 365 * 86_400_000_000_000),
    ("w", 7 * 86_400_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ns", 1),
];
/// Prometheus' units: from years to milliseconds.
const PROMETHEUS: &[(&str, i64)] = DURATION_UNITS.split_at(7).0;
/// Go's units: from hours to nanoseconds.
const GO: &[(&str, i64)] = DURATION_UNITS.split_at(3).1;

/// Units of a size in bytes, from large to small.
const SIZE_UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

/// Units of sizes as Promtail reads them (github.com/c2h5oh/datasize), each 1024 of the one before; and the
/// unmistakable names. Letter case does not matter.
const PROMTAIL_SIZE_UNITS: &[(&[&str], u32)] = &[
    (&["", "b", "byte"], 0),
    (&["k", "kb", "kib", "kilo", "kilobyte", "kilobytes"], 10),
    (&["m", "mb", "mib", "mega", "megabyte", "megabytes"], 20),
    (&["g", "gb", "gib", "giga", "gigabyte", "gigabytes"], 30),
    (&["t", "tb", "tib", "tera", "terabyte", "terabytes"], 40),
    (&["p", "pb", "pib", "peta", "petabyte", "petabytes"], 50),
    (&["e", "eb", "eib"], 60),
];

/// Why a text is not a duration or a size; the caller shows the text itself.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UnitError {
    /// No text at all.
    #[error("it is empty")]
    Empty,
    /// A digit was expected.
    #[error("a whole number is expected before each unit")]
    NoNumber,
    /// `1.5h`
    #[error("fractions are not taken: write `1h30m` for `1.5h`, `1536KiB` for `1.5MiB`")]
    Fraction,
    /// `10` as a duration.
    #[error("the unit is missing: `{0}s` is seconds, `{0}ms` milliseconds, `{0}m` minutes")]
    NoUnit(String),
    /// `5min`
    #[error("`{found}` is not a unit; the units are {units}")]
    BadUnit {
        /// What stands where a unit is expected.
        found: String,
        /// The units that are known.
        units: &'static str,
    },
    /// `1m1h`, `1h1h`
    #[error("each unit stands once, from large to small: y w d h m s ms")]
    Order,
    /// More than can be counted.
    #[error("it is too large")]
    TooLarge,
}

/// A duration in nanoseconds: Prometheus' grammar, else Go's (grafana/loki, `pkg/logql/syntax/lex.go`).
pub(crate) fn duration(text: &str) -> Option<i64> {
    prometheus_duration(text).or_else(|| go_duration(text))
}

/// A duration of Prometheus in nanoseconds, if the text is one.
pub(crate) fn prometheus_duration(text: &str) -> Option<i64> {
    prometheus(text).ok()
}

/// A duration of Go in nanoseconds, if the text is one: a sign may stand before it (Go's `time.ParseDuration`).
pub fn go_duration(text: &str) -> Option<i64> {
    signed_go(text).ok()
}

/// As [`go_duration`]. For a text that is not a valid duration, says why, in Go's words.
pub(crate) fn go_duration_or_why(text: &str) -> Result<i64, String> {
    signed_go(text).map_err(|error| match error {
        UnitError::NoUnit(_) => format!("time: missing unit in duration {}", quoted(text)),
        UnitError::BadUnit { found, .. } => {
            format!("time: unknown unit {} in duration {}", quoted(&found), quoted(text))
        }
        _ => format!("time: invalid duration {}", quoted(text)),
    })
}

fn signed_go(text: &str) -> Result<i64, UnitError> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    Ok(sign * go(rest, GO)?)
}

/// A text as Go's package `time` quotes it: whatever is not ASCII, byte by byte.
fn quoted(text: &str) -> String {
    let shown = text.bytes().map(|byte| match byte {
        b'"' | b'\\' => format!("\\{}", char::from(byte)),
        b' '..=0x7f => char::from(byte).to_string(),
        byte => format!("\\x{byte:02x}"),
    });
    format!("\"{}\"", shown.collect::<String>())
}

/// A duration in seconds, as Go's `Duration.Seconds` gives it.
pub(crate) fn seconds(nanoseconds: i64) -> f64 {
    const SECOND: i64 = 1_000_000_000;
    (nanoseconds / SECOND) as f64 + (nanoseconds % SECOND) as f64 / 1e9
}

/// Reads a duration of Prometheus (`model.ParseDuration` of github.com/prometheus/common).
///
/// # Errors
///
/// [`UnitError`]: the text is not in that grammar, or is longer than 292 years.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    prometheus(text).map(|nanoseconds| Duration::from_nanos(nanoseconds.unsigned_abs()))
}

/// Reads a duration as Go writes it, never negative, with Prometheus' days, weeks and years besides.
///
/// # Errors
///
/// [`UnitError`]: the text is not in that grammar, or is longer than 292 years.
pub fn parse_go_duration(text: &str) -> Result<Duration, UnitError> {
    if text.is_empty() {
        return Err(UnitError::Empty);
    }
    let nanoseconds = go(text.strip_prefix('+').unwrap_or(text), &DURATION_UNITS)?;
    Ok(Duration::from_nanos(nanoseconds.unsigned_abs()))
}

/// Whole numbers, each unit at most once, from large to small.
fn prometheus(text: &str) -> Result<i64, UnitError> {
    const NAMES: &str = "y w d h m s ms";
    if text.is_empty() {
        return Err(UnitError::Empty);
    }
    if text == "0" {
        return Ok(0);
    }
    let mut rest = text;
    let mut units = PROMETHEUS.iter();
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let (number, unit, after) = number_and_unit(rest)?;
        if unit.is_empty() {
            return Err(UnitError::NoUnit(digits(rest).to_owned()));
        }
        if !PROMETHEUS.iter().any(|(name, _)| *name == unit) {
            return Err(UnitError::BadUnit { found: unit.to_owned(), units: NAMES });
        }
        let Some((_, nanoseconds)) = units.find(|(name, _)| *name == unit) else {
            return Err(UnitError::Order);
        };
        let number = i64::try_from(number).map_err(|_| UnitError::TooLarge)?;
        let part = number.checked_mul(*nanoseconds).ok_or(UnitError::TooLarge)?;
        total = total.checked_add(part).ok_or(UnitError::TooLarge)?;
        rest = after;
    }
    Ok(total)
}

/// Numbers with fractions, units in any order, all added up; a sign has been taken away.
fn go(text: &str, units: &[(&str, i64)]) -> Result<i64, UnitError> {
    const NAMES: &str = "ns us ms s m h d w y";
    if text == "0" {
        return Ok(0);
    }
    let (mut sum, mut rest) = (0_i64, text);
    loop {
        let (whole, after) = split(rest, |c| c.is_ascii_digit());
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => split(after, |c| c.is_ascii_digit()),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(UnitError::NoNumber);
        }
        let number = rest.get(..rest.len() - after.len()).unwrap_or_default();
        let (unit, after) = split(after, |c| !c.is_ascii_digit() && c != '.');
        let whole = match whole {
            "" => 0,
            whole => whole.parse::<i64>().map_err(|_| UnitError::TooLarge)?,
        };
        let Some((_, nanoseconds)) = units.iter().find(|(name, _)| *name == unit) else {
            return Err(match unit {
                "" => UnitError::NoUnit(number.to_owned()),
                unit => UnitError::BadUnit { found: unit.to_owned(), units: NAMES },
            });
        };
        let whole = whole.checked_mul(*nanoseconds).ok_or(UnitError::TooLarge)?;
        let fraction = fraction_of(fraction, *nanoseconds);
        sum = sum.checked_add(whole).and_then(|sum| sum.checked_add(fraction)).ok_or(UnitError::TooLarge)?;
        rest = after;
        if rest.is_empty() {
            return Ok(sum);
        }
    }
}

/// The digits behind a point, of a unit (nanoseconds). Digits that 64 bits cannot hold do not count.
fn fraction_of(digits: &str, unit: i64) -> i64 {
    let (mut number, mut scale) = (0_i64, 1.0);
    for digit in digits.bytes() {
        let more = number.checked_mul(10).and_then(|number| number.checked_add((digit - b'0').into()));
        let Some(more) = more else { break };
        number = more;
        scale *= 10.0;
    }
    (number as f64 * (unit as f64 / scale)) as i64
}

/// Writes a duration so that [`parse_duration`] gives it back, in whole milliseconds. As Prometheus does,
/// years and weeks stand only where they come out even: `8d`, not `1w1d`.
pub fn format_duration(duration: Duration) -> String {
    const MILLISECOND: i64 = 1_000_000;
    let mut rest = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    if rest == 0 {
        return "0".to_owned();
    }
    let mut text = String::new();
    for (name, nanoseconds) in PROMETHEUS {
        let factor = nanoseconds / MILLISECOND;
        let calendar = matches!(*name, "y" | "w");
        let count = rest / factor;
        if count > 0 && !(calendar && rest % factor != 0) {
            text.push_str(&format!("{count}{name}"));
            rest %= factor;
        }
    }
    text
}

/// Writes a duration (nanoseconds) as Go's `Duration.String` does: `1h0m0.5s`.
pub fn format_go_duration(nanoseconds: i64) -> String {
    let (sign, left) = (if nanoseconds < 0 { "-" } else { "" }, nanoseconds.unsigned_abs());
    let fraction = |value: u64, unit: u64| {
        let text = format!("{}.{:0width$}", value / unit, value % unit, width = unit.ilog10() as usize);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    let text = match left {
        0 => "0s".to_owned(),
        1..1_000 => format!("{left}ns"),
        1_000..1_000_000 => fraction(left, 1_000) + "µs",
        1_000_000..1_000_000_000 => fraction(left, 1_000_000) + "ms",
        _ => {
            let (hours, minutes) = (left / 3_600_000_000_000, left / 60_000_000_000 % 60);
            let seconds = fraction(left % 60_000_000_000, 1_000_000_000);
            match (hours, minutes) {
                (0, 0) => format!("{seconds}s"),
                (0, _) => format!("{minutes}m{seconds}s"),
                _ => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    };
    format!("{sign}{text}")
}

/// Writes a duration as days where it comes out even, as people speak of retention: `90d`, `365d`.
pub fn format_days(duration: Duration) -> String {
    const DAY: u64 = 24 * 3600;
    match duration.as_secs() {
        seconds if seconds > 0 && seconds.is_multiple_of(DAY) && duration.subsec_nanos() == 0 => {
            format!("{}d", seconds / DAY)
        }
        _ => format_duration(duration),
    }
}

/// Reads a size in bytes: `1MiB`, `500KB`, `4096B`, `4096`.
///
/// # Errors
///
/// [`UnitError`]: no whole number, an unknown unit, or more than 64 bits hold.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    if text.is_empty() {
        return Err(UnitError::Empty);
    }
    let (number, unit, after) = number_and_unit(text)?;
    let unit = if unit.is_empty() { "B" } else { unit };
    let factor = SIZE_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    match factor {
        Some(factor) if after.is_empty() => number.checked_mul(factor).ok_or(UnitError::TooLarge),
        _ => Err(UnitError::BadUnit {
            found: format!("{unit}{after}").trim().to_owned(),
            units: "KiB MiB GiB, KB MB GB and B",
        }),
    }
}

/// Writes a size so that [`parse_size`] gives it back, in the largest binary unit that comes out even.
pub fn format_size(bytes: u64) -> String {
    let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.iter().find(|(_, factor)| bytes > 0 && bytes.is_multiple_of(*factor)) {
        Some((name, factor)) => format!("{}{name}", bytes / factor),
        None => format!("{bytes}B"),
    }
}

/// Reads a size in bytes as Promtail writes it: `8kb` is 8192 bytes.
///
/// # Errors
///
/// [`UnitError`]: no whole number, an unknown unit, or more than 64 bits hold.
pub fn parse_promtail_size(text: &str) -> Result<u64, UnitError> {
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
    let (_, shift) = PROMTAIL_SIZE_UNITS
        .iter()
        .find(|(names, _)| names.contains(&unit.as_str()))
        .ok_or_else(|| UnitError::BadUnit { found: written.to_owned(), units: "b kb mb gb tb pb eb" })?;
    let number: u64 = number.parse().map_err(|_| UnitError::TooLarge)?;
    number.checked_mul(1 << shift).ok_or(UnitError::TooLarge)
}

/// A size in bytes, its unit in any case, its number with commas wherever they are (github.com/dustin/go-humanize, `ParseBytes`).
pub fn bytes(text: &str) -> Option<u64> {
    bytes_or_why(text).ok()
}

/// As [`bytes`]. For a text that is not a valid size, says why, in the words of go-humanize.
pub(crate) fn bytes_or_why(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text, |c| c.is_ascii_digit() || c == '.' || c == ',');
    let number = number_or_why(&number.replace(',', ""))?;
    let unit = unit.trim().to_lowercase();
    let (large, small) = unit.split_at_checked(1).unwrap_or((&unit, ""));
    let power = |base: f64| "kmgtpe".find(large).map(|index| base.powi(index as i32 + 1));
    let factor = match (large, small) {
        ("" | "b", "") => Some(1.0),
        (_, "" | "b") => power(1000.0),
        (_, "i" | "ib") => power(1024.0),
        _ => None,
    };
    let bytes = number * factor.ok_or_else(|| format!("unhandled size name: {unit}"))?;
    match bytes < u64::MAX as f64 {
        true => Ok(bytes as u64),
        false => Err(format!("too large: {text}")),
    }
}

/// Splits `12h30m` into 12, `h` and `30m`.
fn number_and_unit(text: &str) -> Result<(u64, &str, &str), UnitError> {
    let number = digits(text);
    if number.is_empty() {
        return Err(UnitError::NoNumber);
    }
    let rest = text.get(number.len()..).unwrap_or_default();
    if let Some(fraction) = rest.strip_prefix(['.', ','])
        && fraction.starts_with(|c: char| c.is_ascii_digit())
    {
        return Err(UnitError::Fraction);
    }
    let unit = rest.split(|c: char| c.is_ascii_digit()).next().unwrap_or_default();
    let after = rest.get(unit.len()..).unwrap_or_default();
    let number = number.parse().map_err(|_| UnitError::TooLarge)?;
    Ok((number, unit, after))
}

fn digits(text: &str) -> &str {
    text.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default()
}

/// The beginning whose characters belong together, and the rest.
fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests;
