//! Durations and sizes as text: `1d12h`, `500ms`, `1MiB`.
//!
//! Durations are Prometheus's (`model.ParseDuration` of github.com/prometheus/common): whole numbers, the
//! units y w d h m s ms, each at most once and from large to small. A year is 365 days, a week 7.

use std::time::Duration;

use thiserror::Error;

/// Units of a duration, from large to small, in milliseconds.
const DURATION_UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Longest duration that can be written, in milliseconds: what Prometheus holds in 63 bits of nanoseconds.
const MAX_DURATION_MS: u64 = (i64::MAX / 1_000_000) as u64;

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

/// Why a text is no duration or size; the text itself is for the caller to show.
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
    #[error("`{found}` is no unit; the units are {units}")]
    BadUnit {
        /// What stands where a unit is expected.
        found: String,
        /// The units there are.
        units: &'static str,
    },
    /// `1m1h`, `1h1h`
    #[error("each unit stands once, from large to small: y w d h m s ms")]
    Order,
    /// More than can be counted.
    #[error("it is too large")]
    TooLarge,
}

/// Reads a duration.
///
/// # Errors
///
/// [`UnitError`]: the grammar above is not met, or more than 292 years.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    if text.is_empty() {
        return Err(UnitError::Empty);
    }
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut units = DURATION_UNITS.iter();
    let mut total_ms: u64 = 0;
    while !rest.is_empty() {
        let (number, unit, after) = number_and_unit(rest)?;
        if unit.is_empty() {
            return Err(UnitError::NoUnit(digits(rest).to_owned()));
        }
        if !DURATION_UNITS.iter().any(|(name, _)| *name == unit) {
            return Err(UnitError::BadUnit { found: unit.to_owned(), units: "y w d h m s ms" });
        }
        let Some((_, factor)) = units.by_ref().find(|(name, _)| *name == unit) else {
            return Err(UnitError::Order);
        };
        let part = number.checked_mul(*factor).ok_or(UnitError::TooLarge)?;
        total_ms = total_ms.checked_add(part).ok_or(UnitError::TooLarge)?;
        rest = after;
    }
    if total_ms > MAX_DURATION_MS {
        return Err(UnitError::TooLarge);
    }
    Ok(Duration::from_millis(total_ms))
}

/// Writes a duration so that [`parse_duration`] gives it back, in whole milliseconds. As Prometheus does,
/// years and weeks stand only where they come out even: `8d`, not `1w1d`.
pub fn format_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0".to_owned();
    }
    let mut text = String::new();
    for (name, factor) in DURATION_UNITS {
        let calendar = matches!(name, "y" | "w");
        let count = rest / factor;
        if count > 0 && !(calendar && rest % factor != 0) {
            text.push_str(&format!("{count}{name}"));
            rest %= factor;
        }
    }
    text
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: u64 = 3_600_000;

    #[test]
    fn durations_are_read_as_prometheus_reads_them() {
        let good = [
            ("0", 0),
            ("0s", 0),
            ("1ms", 1),
            ("500ms", 500),
            ("10s", 10_000),
            ("1m", 60_000),
            ("1h30m", HOUR + HOUR / 2),
            ("1d12h", 36 * HOUR),
            ("7d", 7 * 24 * HOUR),
            ("2w", 14 * 24 * HOUR),
            ("1y", 365 * 24 * HOUR),
            ("1y2w3d4h5m6s7ms", (365 + 14 + 3) * 24 * HOUR + 4 * HOUR + 5 * 60_000 + 6_007),
            ("90m", HOUR + HOUR / 2),
            ("007s", 7_000),
            ("292y", 292 * 365 * 24 * HOUR),
        ];
        for (text, ms) in good {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn durations_that_prometheus_refuses_are_refused() {
        let bad_unit = |found: &str| UnitError::BadUnit { found: found.into(), units: "y w d h m s ms" };
        let bad = [
            ("", UnitError::Empty),
            ("1.5h", UnitError::Fraction),
            ("1,5h", UnitError::Fraction),
            ("10", UnitError::NoUnit("10".into())),
            ("1h30", UnitError::NoUnit("30".into())),
            ("h", UnitError::NoNumber),
            ("-1h", UnitError::NoNumber),
            ("+1h", UnitError::NoNumber),
            (" 1h", UnitError::NoNumber),
            ("1m1h", UnitError::Order),
            ("1h1h", UnitError::Order),
            ("1ms1s", UnitError::Order),
            ("5min", bad_unit("min")),
            ("1h 30m", bad_unit("h ")),
            ("1H", bad_unit("H")),
            ("1us", bad_unit("us")),
            ("5µs", bad_unit("µs")),
            ("300y", UnitError::TooLarge),
            ("99999999999999999999s", UnitError::TooLarge),
            ("18446744073709551615y", UnitError::TooLarge),
        ];
        for (text, error) in bad {
            assert_eq!(parse_duration(text), Err(error), "{text}");
        }
    }

    #[test]
    fn durations_are_written_briefly() {
        for (ms, text) in [
            (0, "0"),
            (1_500, "1s500ms"),
            (60_000, "1m"),
            (90 * 60_000, "1h30m"),
            (36 * HOUR, "1d12h"),
            (7 * 24 * HOUR, "1w"),
            (8 * 24 * HOUR, "8d"),
            (365 * 24 * HOUR, "1y"),
        ] {
            assert_eq!(format_duration(Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("1B", 1),
            ("1KiB", 1024),
            ("1KB", 1000),
            ("1MiB", 1 << 20),
            ("3MB", 3_000_000),
            ("2GiB", 2 << 30),
            ("2GB", 2_000_000_000),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        let bad_unit =
            |found: &str| UnitError::BadUnit { found: found.into(), units: "KiB MiB GiB, KB MB GB and B" };
        for (text, error) in [
            ("", UnitError::Empty),
            ("MiB", UnitError::NoNumber),
            ("-1", UnitError::NoNumber),
            ("1.5MiB", UnitError::Fraction),
            ("1 MiB", bad_unit("MiB")),
            ("1mib", bad_unit("mib")),
            ("1M", bad_unit("M")),
            ("1MiB2", bad_unit("MiB2")),
            ("99999999999GiB", UnitError::TooLarge),
        ] {
            assert_eq!(parse_size(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn durations_survive_writing_and_reading(ms in 0..=MAX_DURATION_MS) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn sizes_survive_writing_and_reading(bytes: u64, shift in 0_u32..40) {
            let bytes = (bytes >> 20) << (shift / 2);
            prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }

        #[test]
        fn any_text_gets_an_answer(text in "\\PC{0,20}|[0-9ywdhms.KMGiB ]{0,20}") {
            let _ = (parse_duration(&text), parse_size(&text));
        }
    }
}
