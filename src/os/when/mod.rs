//! A point in time as a person writes it: the forms that journalctl's `--since` and `--until` take.
//!
//! The grammar is systemd.time(7), "Parsing Timestamps" (`parse_timestamp` in `src/basic/time-util.c` of systemd's main
//! branch): dates and times with a weekday before or a zone behind them, `now` and days by name, `@` with seconds since
//! the epoch, and distances from now (`-2h`, `1h 30min ago`). A zone is `UTC`, an offset (`+05:30`, `-0800`), a name of
//! the zone database, or one of the two abbreviations that the local zone has (`CET`, `CEST`).
//!
//! Differences on purpose: a date that does not exist (`2023-02-30`) is refused where systemd counts on into March; blanks
//! around the text, RFC 3339 in small letters and an offset without colon directly behind a time (`10:00:00+0100`, as
//! `date +%FT%T%z` prints it) are taken.

mod clock;
mod span;
#[cfg(test)]
mod tests;
mod zone;

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use thiserror::Error;

pub use zone::local as local_zone;

const MICROS_PER_SECOND: u64 = 1_000_000;

/// The last time that systemd takes (microseconds since 1970; `USEC_TIMESTAMP_FORMATTABLE_MAX`): the end of 9999-12-30.
const LATEST: u64 = 253_402_214_400 * MICROS_PER_SECOND - 1;

/// The first year that systemd looks at: in some zones 1970 began in it.
const FIRST_YEAR: i16 = 1969;

/// A time as journald counts it (microseconds since 1970).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Realtime(pub u64);

impl From<Realtime> for Timestamp {
    /// The same time, or 1970 if it is beyond the year 9999.
    fn from(time: Realtime) -> Timestamp {
        let micros = i64::try_from(time.0).unwrap_or(i64::MAX);
        Timestamp::from_microsecond(micros).unwrap_or_default()
    }
}

/// To the second, in UTC: `2026-11-01T10:00:30Z`.
impl fmt::Display for Realtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Timestamp::from(*self).strftime("%Y-%m-%dT%H:%M:%SZ"))
    }
}

/// Why a text is not a point in time.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WhenError {
    /// The text has none of the forms.
    #[error(
        "`{0}` is not a time: write for instance `2026-11-01 10:00`, `10:00`, `yesterday`, `1h ago`, `-30min` or \
         `@1793523600`"
    )]
    Unknown(String),
    /// A distance whose unit is not known.
    #[error("`{0}` is not a unit of time: write us, ms, s, min, h, d, w, month or y")]
    Unit(String),
    /// A date or time of day that does not exist.
    #[error("`{0}` does not exist in the calendar or on the clock: write a date and time that do")]
    NoSuchTime(String),
    /// The weekday before a date is another one.
    #[error("{date} is a {actual}, not a {written}: correct one of them, or leave the weekday out")]
    Weekday {
        /// The date as read.
        date: String,
        /// The weekday as written.
        written: String,
        /// Its real weekday.
        actual: String,
    },
    /// A zone that the zone database does not have.
    #[error(
        "`{0}` is not a time zone known here: write `UTC`, an offset such as `+01:00`, or a name such as `Europe/Berlin`"
    )]
    Zone(String),
    /// Before 1970, or further away than time stamps reach.
    #[error(
        "`{0}` is outside the time that a journal can hold: write one from 1970 to the end of 9999-12-30"
    )]
    OutOfRange(String),
}

/// Reads a point in time: microseconds since the epoch, as journald's realtime stamps count them.
///
/// Relative forms count from `now`. A text without a zone is in `zone`.
///
/// # Errors
///
/// [`WhenError`], whose text says what to write.
pub fn parse(text: &str, now: Timestamp, zone: &TimeZone) -> Result<u64, WhenError> {
    let reader = When { text: text.trim(), now };
    match reader.any(zone) {
        // In small letters, or with a fraction behind a comma.
        Err(error) => match reader.text.as_bytes().get(10) {
            Some(b'T' | b't') if !reader.text.contains('[') => {
                let moment: Option<Timestamp> = reader.text.parse().ok();
                let micros = moment.and_then(|moment| u64::try_from(moment.as_microsecond()).ok());
                micros.ok_or(error)
            }
            _ => Err(error),
        },
        micros => micros,
    }
}

/// A text to be read.
struct When<'t> {
    text: &'t str,
    now: Timestamp,
}

impl When<'_> {
    /// Reads the text, with or without a zone at its end.
    fn any(&self, local: &TimeZone) -> Result<u64, WhenError> {
        if let Some(before) = self.text.strip_suffix('Z')
            && let Ok(micros) = self.at_offset(before, 0)
        {
            return Ok(micros);
        }
        if let Some((before, offset)) = welded_offset(self.text) {
            return self.at_offset(before, offset);
        }
        let Some((before, last)) = self.text.rsplit_once(' ') else { return self.anything(local) };
        if last == "UTC" {
            return self.at_offset(before, 0);
        }
        if let Some(offset) = zone::offset(last) {
            return self.at_offset(before, offset);
        }
        if let Some(zone) = zone::named(last) {
            let dst = zone::abbreviation(&zone, last, self.now);
            return self.in_zone(before, dst, &zone);
        }
        if let Some(dst) = zone::abbreviation(local, last, self.now) {
            return self.in_zone(before, Some(dst), local);
        }
        self.anything(local).map_err(|error| {
            let is_word = last.starts_with(|c: char| c.is_ascii_alphabetic());
            match is_word && self.in_zone(before, None, local).is_ok() {
                true => WhenError::Zone(last.to_owned()),
                false => error,
            }
        })
    }

    /// Reads a text without a zone. It may be relative.
    fn anything(&self, local: &TimeZone) -> Result<u64, WhenError> {
        let text = self.text;
        let now = u64::try_from(self.now.as_microsecond()).map_err(|_| self.out_of_range())?;
        let span = |span| span::parse(span, text);
        if text == "now" {
            return Ok(now);
        }
        if let Some(since) = text.strip_prefix('@') {
            return span(since);
        }
        let (past, future) = (text.strip_prefix('-'), text.strip_prefix('+'));
        if past.is_none()
            && let Some(ahead) = future.or(text.strip_suffix(" left"))
        {
            return self.bounded(now.checked_add(span(ahead)?));
        }
        if let Some(behind) = past.or(text.strip_suffix(" ago")) {
            return self.bounded(now.checked_sub(span(behind)?));
        }
        self.in_zone(text, None, local)
    }

    /// Reads a date and time at an offset from UTC (seconds; east is positive).
    fn at_offset(&self, text: &str, offset: i64) -> Result<u64, WhenError> {
        let shown = self.shown(text, &TimeZone::UTC)?;
        self.micros(shown.seconds().checked_sub(offset), shown.later)
    }

    /// Reads a date and time in a zone. `dst` says whether daylight saving time is meant, if the text says so.
    fn in_zone(&self, text: &str, dst: Option<bool>, zone: &TimeZone) -> Result<u64, WhenError> {
        let shown = self.shown(text, zone)?;
        self.micros(zone::moment(shown.seconds(), dst, zone), shown.later)
    }

    fn shown(&self, text: &str, zone: &TimeZone) -> Result<clock::Shown, WhenError> {
        let now = self.now.to_zoned_datetime(zone.clone()).datetime();
        let shown = clock::parse(text, now)?.ok_or_else(|| WhenError::Unknown(self.text.to_owned()))?;
        if shown.at.year() < FIRST_YEAR { Err(self.out_of_range()) } else { Ok(shown) }
    }

    fn micros(&self, seconds: Option<i64>, later: u64) -> Result<u64, WhenError> {
        let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
        self.bounded(seconds.and_then(|seconds| seconds.checked_mul(MICROS_PER_SECOND)?.checked_add(later)))
    }

    fn bounded(&self, micros: Option<u64>) -> Result<u64, WhenError> {
        micros.filter(|micros| *micros <= LATEST).ok_or_else(|| self.out_of_range())
    }

    fn out_of_range(&self) -> WhenError {
        WhenError::OutOfRange(self.text.to_owned())
    }
}

/// Takes an offset without a space before it off the end: `…+05:30`, and `…+0530` if a time of day is before it.
fn welded_offset(text: &str) -> Option<(&str, i64)> {
    let (before, _) = text.split_at(text.rfind(['+', '-'])?);
    let sign = text.get(before.len()..)?;
    let offset = zone::offset(sign)?;
    let welded = !before.is_empty() && !before.ends_with(' ');
    (welded && (sign.contains(':') || before.contains(':'))).then_some((before, offset))
}
