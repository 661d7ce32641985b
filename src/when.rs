//! A point in time as a person writes it: the forms that journalctl's `--since` and `--until` take.
//!
//! The grammar is systemd.time(7), "Parsing Timestamps" (`parse_timestamp` in `src/basic/time-util.c`):
//! dates and times with a weekday before or a zone behind, `now` and days by name, `@` with seconds since
//! the epoch, and distances from now (`-2h`, `1h 30min ago`). Two things differ on purpose: a date that
//! does not exist (`2023-02-30`) is refused where systemd counts on into March, and RFC 3339 is taken by
//! every version.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, ZonedDateTime};
use thiserror::Error;

const MICROS_PER_SECOND: u64 = 1_000_000;

/// Units of a distance in microseconds, as in `parse_time` of systemd; a month is 30.4375 days, a year
/// 365.25. Letter case tells `m` from `M`.
const UNITS: &[(&[&str], u64)] = &[
    (&["usec", "us", "µs", "μs"], 1),
    (&["msec", "ms"], 1_000),
    (&["seconds", "second", "sec", "s"], MICROS_PER_SECOND),
    (&["minutes", "minute", "min", "m"], 60 * MICROS_PER_SECOND),
    (&["hours", "hour", "hr", "h"], 3_600 * MICROS_PER_SECOND),
    (&["days", "day", "d"], 86_400 * MICROS_PER_SECOND),
    (&["weeks", "week", "w"], 7 * 86_400 * MICROS_PER_SECOND),
    (&["months", "month", "M"], 2_629_800 * MICROS_PER_SECOND),
    (&["years", "year", "y"], 31_557_600 * MICROS_PER_SECOND),
];

/// Weekdays, Monday first as jiff counts them.
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Two-digit years below this are of this century (strptime(3), `%y`).
const CENTURY_PIVOT: i16 = 69;

/// Why a text is no point in time.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WhenError {
    /// None of the forms.
    #[error(
        "`{0}` is no time: write for instance `2026-11-01 10:00`, `10:00`, `yesterday`, `1h ago`, `-30min` or \
         `@1793523600`"
    )]
    Unknown(String),
    /// A distance whose unit is not known.
    #[error("`{0}` is no unit of time: the units are us ms s min h d w month y")]
    Unit(String),
    /// A date or time of day that does not exist.
    #[error("`{0}` does not exist in the calendar or on the clock")]
    NoSuchTime(String),
    /// The weekday before a date is another one.
    #[error("{date} is a {actual}, not a {written}")]
    Weekday {
        /// The date as read.
        date: String,
        /// The weekday as written.
        written: String,
        /// Its real weekday.
        actual: String,
    },
    /// A zone that the zone database does not have.
    #[error("`{0}` is no time zone here: write `UTC` or a name such as `Europe/Berlin`")]
    Zone(String),
    /// Before 1970, or further away than time stamps reach.
    #[error("`{0}` is outside the time that a journal can hold (from 1970 on)")]
    OutOfRange(String),
}

/// Reads a point in time: microseconds since the epoch, as journald's realtime stamps count them.
///
/// `now` is what relative forms count from, `zone` holds where none is written.
///
/// # Errors
///
/// [`WhenError`], whose text says what to write.
pub fn parse(text: &str, now: Timestamp, zone: &TimeZone) -> Result<u64, WhenError> {
    let unknown = || WhenError::Unknown(text.to_owned());
    let out_of_range = || WhenError::OutOfRange(text.to_owned());
    let trimmed = text.trim();
    let now_us = u64::try_from(now.as_microsecond()).map_err(|_| out_of_range())?;

    if trimmed == "now" {
        return Ok(now_us);
    }
    if let Some(seconds) = trimmed.strip_prefix('@') {
        let number = seconds.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        return if number { distance(seconds, text) } else { Err(unknown()) };
    }
    let (past, future) = (trimmed.strip_prefix('-'), trimmed.strip_prefix('+'));
    if let Some(ahead) = future.or(trimmed.strip_suffix(" left")) {
        return now_us.checked_add(distance(ahead, text)?).ok_or_else(out_of_range);
    }
    if let Some(behind) = past.or(trimmed.strip_suffix(" ago")) {
        return now_us.checked_sub(distance(behind, text)?).ok_or_else(out_of_range);
    }
    if let Some(moment) = rfc3339(trimmed) {
        return u64::try_from(moment.as_microsecond()).map_err(|_| out_of_range());
    }
    let (rest, zone) = split_zone(trimmed, zone)?;
    let civil = civil(rest, text, &now.to_zoned_datetime(zone.clone()))?;
    let moment = civil.to_zoned_datetime(zone).map_err(|_| out_of_range())?.timestamp();
    u64::try_from(moment.as_microsecond()).map_err(|_| out_of_range())
}

/// `2026-11-01T10:00:00Z`, `…+01:00`.
fn rfc3339(text: &str) -> Option<Timestamp> {
    let separated = text.as_bytes().get(10).is_some_and(|byte| matches!(byte, b'T' | b't'));
    if separated && !text.contains('[') { text.parse().ok() } else { None }
}

/// Takes a zone off the end: a word that begins with a letter, behind a date, a time or a day by name.
fn split_zone<'t>(text: &'t str, zone: &TimeZone) -> Result<(&'t str, TimeZone), WhenError> {
    let Some((rest, last)) = text.rsplit_once(' ') else { return Ok((text, zone.clone())) };
    let is_time = rest.contains([':', '-']) || day_name(rest).is_some();
    if !is_time || !last.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Ok((text, zone.clone()));
    }
    let zone = match last {
        "UTC" => TimeZone::UTC,
        name => TimeZone::get(name).map_err(|_| WhenError::Zone(name.to_owned()))?,
    };
    Ok((rest.trim_end(), zone))
}

/// Days by name, as days from today.
fn day_name(text: &str) -> Option<i32> {
    match text {
        "yesterday" => Some(-1),
        "today" => Some(0),
        "tomorrow" => Some(1),
        _ => None,
    }
}

/// `[WEEKDAY ]DATE[ TIME]`, `TIME` or a day by name, in the zone of `now`.
fn civil(text: &str, whole: &str, now: &ZonedDateTime) -> Result<DateTime, WhenError> {
    let unknown = || WhenError::Unknown(whole.to_owned());
    if let Some(days) = day_name(text) {
        let date = now.date().checked_add(days.days());
        return Ok(date.map_err(|_| WhenError::OutOfRange(whole.to_owned()))?.to_datetime(Time::midnight()));
    }
    let (weekday, rest) = split_weekday(text);
    let mut words = rest.split_ascii_whitespace();
    let (first, second) = (words.next().ok_or_else(unknown)?, words.next());
    if words.next().is_some() {
        return Err(unknown());
    }
    let (date, time) = match (first.contains('-'), second) {
        (true, Some(second)) => (date(first, whole)?, time(second, whole)?),
        (true, None) => (date(first, whole)?, Time::midnight()),
        (false, None) => (now.date(), time(first, whole)?),
        (false, Some(_)) => return Err(unknown()),
    };
    match weekday {
        Some((index, written)) if i32::from(date.weekday().to_monday_zero_offset()) != index => {
            let actual = usize::try_from(date.weekday().to_monday_zero_offset()).ok();
            let actual = actual.and_then(|day| WEEKDAYS.get(day)).copied().unwrap_or_default();
            Err(WhenError::Weekday {
                date: date.to_string(),
                written: written.to_owned(),
                actual: actual.to_owned(),
            })
        }
        _ => Ok(date.to_datetime(time)),
    }
}

/// Takes `Fri ` or `Friday ` off the front: its index, as written, and the rest.
fn split_weekday(text: &str) -> (Option<(i32, &str)>, &str) {
    let Some((word, rest)) = text.split_once(' ') else { return (None, text) };
    let is = |day: &str| {
        word.eq_ignore_ascii_case(day) || day.get(..3).is_some_and(|short| word.eq_ignore_ascii_case(short))
    };
    match (0..).zip(WEEKDAYS).find(|(_, day)| is(day)) {
        Some((index, _)) => (Some((index, word)), rest),
        None => (None, text),
    }
}

/// `2026-11-01`, `26-11-1`
fn date(text: &str, whole: &str) -> Result<Date, WhenError> {
    let unknown = || WhenError::Unknown(whole.to_owned());
    let mut parts = text.split('-');
    let (Some(year), Some(month), Some(day), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(unknown());
    };
    let year: i16 = match (year.len(), number(year, 4).ok_or_else(unknown)?) {
        (1 | 2, short) if short < CENTURY_PIVOT => 2000 + short,
        (1 | 2, short) => 1900 + short,
        (_, full) => full,
    };
    let month = number(month, 2).ok_or_else(unknown)?;
    let day = number(day, 2).ok_or_else(unknown)?;
    Date::new(year, month, day).map_err(|_| WhenError::NoSuchTime(text.to_owned()))
}

/// `10:00`, `10:00:30`, `10:00:30.25`; the seventh digit of a fraction rounds.
fn time(text: &str, whole: &str) -> Result<Time, WhenError> {
    let unknown = || WhenError::Unknown(whole.to_owned());
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (text, None),
    };
    let mut parts = clock.split(':');
    let (Some(hour), Some(minute), second, None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(unknown());
    };
    if fraction.is_some() && second.is_none() {
        return Err(unknown());
    }
    let part = |digits: &str| number(digits, 2).ok_or_else(unknown);
    let (hour, minute, second) = (part(hour)?, part(minute)?, part(second.unwrap_or("0"))?);
    let nanos = match fraction {
        Some(digits) => nanoseconds(digits).ok_or_else(unknown)?,
        None => 0,
    };
    Time::new(hour, minute, second, nanos).map_err(|_| WhenError::NoSuchTime(text.to_owned()))
}

/// A fraction of a second in whole microseconds, rounded but never up to the next second.
fn nanoseconds(digits: &str) -> Option<i32> {
    const MAX_DIGITS: usize = 7;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let kept = digits.get(..MAX_DIGITS).unwrap_or(digits);
    let missing = u32::try_from(MAX_DIGITS - kept.len()).ok()?;
    let tenths_of_micros = kept.parse::<i32>().ok()? * 10_i32.pow(missing);
    Some(((tenths_of_micros + 5) / 10).min(999_999) * 1_000)
}

/// An unsigned number of at most `max_digits` digits and no sign.
fn number<T: std::str::FromStr>(text: &str, max_digits: usize) -> Option<T> {
    let digits = (1..=max_digits).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// `1h 30min`, `1.5h`, `90`: microseconds. A number without a unit is seconds.
fn distance(text: &str, whole: &str) -> Result<u64, WhenError> {
    let unknown = || WhenError::Unknown(whole.to_owned());
    let out_of_range = || WhenError::OutOfRange(whole.to_owned());
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(unknown());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (integer, after) = split_digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => split_digits(after),
            None => ("", after),
        };
        let pointed = integer.len() + fraction.len() < rest.len() - after.len();
        if (fraction.is_empty() && (pointed || integer.is_empty())) || after.starts_with('.') {
            return Err(unknown());
        }
        let after = after.trim_start();
        let end = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let factor = if unit.is_empty() { MICROS_PER_SECOND } else { factor(unit)? };
        let count: u64 = if integer.is_empty() { 0 } else { integer.parse().map_err(|_| out_of_range())? };
        let whole_units = count.checked_mul(factor).ok_or_else(out_of_range)?;
        total = total
            .checked_add(whole_units)
            .and_then(|total| total.checked_add(part_of(fraction, factor)))
            .ok_or_else(out_of_range)?;
        rest = after.trim_start();
    }
    Ok(total)
}

/// The fraction `0.digits` of `factor`, each digit cut off by itself as systemd does.
fn part_of(digits: &str, factor: u64) -> u64 {
    let mut unit = factor;
    let mut total = 0;
    for digit in digits.bytes() {
        unit /= 10;
        total += u64::from(digit.saturating_sub(b'0')) * unit;
    }
    total
}

fn factor(unit: &str) -> Result<u64, WhenError> {
    UNITS
        .iter()
        .find(|(names, _)| names.contains(&unit))
        .map(|(_, factor)| *factor)
        .ok_or_else(|| WhenError::Unit(unit.to_owned()))
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    /// Monday, in winter time.
    const NOW: &str = "2026-11-23T13:53:39.745791Z";
    const ZONE: &str = "Europe/Berlin";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn read(text: &str) -> Result<u64, WhenError> {
        parse(text, now(), &TimeZone::get(ZONE).unwrap())
    }

    /// Times that do not depend on now, and the moment they are in UTC.
    const ABSOLUTE: &[(&str, &str)] = &[
        ("2026-11-01 10:00", "2026-11-01T09:00:00Z"),
        ("2026-11-01  10:00", "2026-11-01T09:00:00Z"),
        ("2026-07-01 10:00", "2026-07-01T08:00:00Z"),
        ("2026-11-01 10:00:30", "2026-11-01T09:00:30Z"),
        ("2026-11-01 10:00:30.5", "2026-11-01T09:00:30.5Z"),
        ("2026-11-01 10:00:30.123456", "2026-11-01T09:00:30.123456Z"),
        ("2026-11-01 10:00:30.1234567", "2026-11-01T09:00:30.123457Z"),
        ("2026-11-01 10:00 UTC", "2026-11-01T10:00:00Z"),
        ("2026-11-01 10:00:30.25 UTC", "2026-11-01T10:00:30.25Z"),
        ("2026-11-01 UTC", "2026-11-01T00:00:00Z"),
        ("2026-11-01", "2026-10-31T23:00:00Z"),
        ("2026-3-1 9:5", "2026-03-01T08:05:00Z"),
        ("12-11-23", "2012-11-22T23:00:00Z"),
        ("70-01-02", "1970-01-01T23:00:00Z"),
        ("2024-02-29", "2024-02-28T23:00:00Z"),
        ("Fri 2012-11-23 11:12:13", "2012-11-23T10:12:13Z"),
        ("Fri 2012-11-23", "2012-11-22T23:00:00Z"),
        ("Friday 2012-11-23 11:12", "2012-11-23T10:12:00Z"),
        ("fri 2012-11-23 11:12:13 UTC", "2012-11-23T11:12:13Z"),
        // An hour that is skipped in spring is read as the hour after.
        ("2023-03-26 02:30", "2023-03-26T01:30:00Z"),
        ("@0", "1970-01-01T00:00:00Z"),
        ("@1395716396", "2014-03-25T02:59:56Z"),
        ("@1395716396.5", "2014-03-25T02:59:56.5Z"),
        ("@.5", "1970-01-01T00:00:00.5Z"),
        ("@1.1234567", "1970-01-01T00:00:01.123456Z"),
    ];

    /// Times that systemd takes only in later versions, only with its zone database at hand, or otherwise.
    const OURS: &[(&str, &str)] = &[
        ("2026-11-01 10:00 America/New_York", "2026-11-01T15:00:00Z"),
        ("2026-11-01 Asia/Kolkata", "2026-10-31T18:30:00Z"),
        ("10:00 Europe/London", "2026-11-23T10:00:00Z"),
        ("today Asia/Tokyo", "2026-11-22T15:00:00Z"),
        ("2012-11-23T11:12:13Z", "2012-11-23T11:12:13Z"),
        ("2012-11-23T11:12:13.5+01:00", "2012-11-23T10:12:13.5Z"),
        // An hour that comes twice in autumn is the first of the two.
        ("2023-10-29 02:30", "2023-10-29T00:30:00Z"),
        (" 2026-11-01 ", "2026-10-31T23:00:00Z"),
        ("@1 ", "1970-01-01T00:00:01Z"),
    ];

    /// Times that count from now, in a zone.
    const TODAY: &[(&str, &str)] = &[
        ("10:00", "2026-11-23T09:00:00Z"),
        ("23:59:59", "2026-11-23T22:59:59Z"),
        ("10:00:01.5 UTC", "2026-11-23T10:00:01.5Z"),
        ("today", "2026-11-22T23:00:00Z"),
        ("today UTC", "2026-11-23T00:00:00Z"),
        ("yesterday", "2026-11-21T23:00:00Z"),
        ("tomorrow", "2026-11-23T23:00:00Z"),
    ];

    const HOUR: i64 = 3_600_000_000;
    const DAY: i64 = 24 * HOUR;

    /// Distances from now, in microseconds.
    const RELATIVE: &[(&str, i64)] = &[
        ("now", 0),
        ("-2h", -2 * HOUR),
        ("- 2h", -2 * HOUR),
        ("-1h30min", -HOUR * 3 / 2),
        ("+3m", HOUR / 20),
        ("+1M", 2_629_800_000_000),
        ("+1month", 2_629_800_000_000),
        ("-1y", -31_557_600_000_000),
        ("1h ago", -HOUR),
        ("1.5h ago", -HOUR * 3 / 2),
        (".5h ago", -HOUR / 2),
        ("1h.5m ago", -HOUR - 30_000_000),
        ("5min30 ago", -330_000_000),
        ("90 ago", -90_000_000),
        ("1h 30min ago", -HOUR * 3 / 2),
        ("30min 1h ago", -HOUR * 3 / 2),
        ("2 hours 3 minutes 4 seconds ago", -2 * HOUR - HOUR / 20 - 4_000_000),
        ("3 days ago", -3 * DAY),
        ("1 week left", 7 * DAY),
        ("2w 1d left", 15 * DAY),
        ("5 msec ago", -5_000),
        ("500ms ago", -500_000),
        ("7 µs ago", -7),
        ("7us ago", -7),
        ("1usec ago", -1),
        ("1 hr 1 sec 1 min ago", -HOUR - 61_000_000),
        ("1 second ago", -1_000_000),
        ("2 years left", 2 * 31_557_600_000_000),
    ];

    fn micros(moment: &str) -> u64 {
        u64::try_from(moment.parse::<Timestamp>().unwrap().as_microsecond()).unwrap()
    }

    #[test]
    fn times_are_read() {
        for (text, moment) in ABSOLUTE.iter().chain(OURS).chain(TODAY) {
            assert_eq!(read(text), Ok(micros(moment)), "{text}");
        }
        for (text, distance) in RELATIVE {
            assert_eq!(read(text), Ok(micros(NOW).checked_add_signed(*distance).unwrap()), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_a_reason() {
        let unknown = |text: &str| WhenError::Unknown(text.to_owned());
        for text in [
            "",
            " ",
            "ago",
            " ago",
            "left",
            "+",
            "-",
            "@",
            "@x",
            "@-1",
            "@1 s",
            "@1..2",
            "@1.",
            "@.",
            "1.h ago",
            "1.5.5h ago",
            "1h,30m ago",
            "2h-1m ago",
            "infinity ago",
            "2 hours",
            "hour ago",
            "-2h ago",
            "+1h -2m",
            "1,5h ago",
            "2026-11",
            "2026-11-01 10",
            "2026-11-01 10:00:00:00",
            "2026-11-01 10:00.5",
            "2026-11-01 10:00:00.",
            "2026-11-01 10:00 11:00",
            "20260-11-01",
            "2026-011-01",
            "Fri today",
            "Fri",
            "10:00 2026-11-01",
            "TODAY",
            "2026-11-01T10:00",
            "+1é",
            "+1h UTC",
        ] {
            let error = read(text).expect_err(text);
            assert!(matches!(error, WhenError::Unknown(_) | WhenError::Unit(_)), "{text}: {error:?}");
        }
        let no_such = |text: &str| WhenError::NoSuchTime(text.to_owned());
        for (text, error) in [
            ("5 minits ago", WhenError::Unit("minits".into())),
            ("-1H", WhenError::Unit("H".into())),
            ("2023-02-30", no_such("2023-02-30")),
            ("2023-13-01", no_such("2023-13-01")),
            ("24:00", no_such("24:00")),
            ("10:60", no_such("10:60")),
            ("2026-11-01 10:00 Foo/Bar", WhenError::Zone("Foo/Bar".into())),
            ("1960-01-01", WhenError::OutOfRange("1960-01-01".into())),
            ("100 years ago", WhenError::OutOfRange("100 years ago".into())),
            ("@99999999999999999999", WhenError::OutOfRange("@99999999999999999999".into())),
            ("+999999999999y", WhenError::OutOfRange("+999999999999y".into())),
            ("nonsense", unknown("nonsense")),
        ] {
            assert_eq!(read(text), Err(error), "{text}");
        }
        let error = read("Thu 2012-11-23").unwrap_err().to_string();
        assert_eq!(error, "2012-11-23 is a Friday, not a Thu");
        assert!(unknown("x").to_string().contains("`1h ago`"));
    }

    /// What `systemd-analyze timestamp` makes of a text, in microseconds; `None` where it refuses.
    fn systemd(text: &str) -> std::io::Result<Option<u64>> {
        let mut command = Command::new("systemd-analyze");
        let output = command.args(["timestamp", "--", text]).env("TZ", ZONE).env("LC_ALL", "C").output()?;
        let output = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(output.lines().find_map(|line| line.trim().strip_prefix("UNIX seconds: @")).map(|seconds| {
            let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
            seconds.parse::<u64>().unwrap() * MICROS_PER_SECOND
                + format!("{fraction:0<6}").parse::<u64>().unwrap()
        }))
    }

    #[test]
    fn systemd_reads_the_same() {
        if let Err(error) = systemd("now") {
            println!("not compared with systemd: systemd-analyze cannot be run: {error}");
            return;
        }
        for (text, moment) in ABSOLUTE {
            assert_eq!(systemd(text).unwrap(), Some(micros(moment)), "{text}");
        }
        // What counts from now is compared with what we read just before and just after.
        let zone = TimeZone::get(ZONE).unwrap();
        for text in TODAY.iter().map(|(text, _)| text).chain(RELATIVE.iter().map(|(text, _)| text)) {
            let before = parse(text, Timestamp::now(), &zone).unwrap();
            let theirs = systemd(text).unwrap().unwrap_or_else(|| panic!("systemd refuses {text}"));
            let after = parse(text, Timestamp::now(), &zone).unwrap();
            assert!((before..=after).contains(&theirs), "{text}: {theirs} is not in {before}..={after}");
        }
        for text in
            ["", "ago", "+", "2 hours", "hour ago", "24:00", "Thu 2012-11-23", "Fri today", "TODAY", "@-1"]
        {
            assert_eq!(systemd(text).unwrap(), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_jiff_prints_is_read_back(micros in 0_i64..4_000_000_000_000_000) {
            let moment = Timestamp::from_microsecond(micros).unwrap();
            let zone = TimeZone::get(ZONE).unwrap();
            let expected = Ok(u64::try_from(micros).unwrap());
            prop_assert_eq!(parse(&moment.to_string(), now(), &zone), expected.clone());
            let utc = moment.strftime("%a %Y-%m-%d %H:%M:%S%.6f UTC").to_string();
            prop_assert_eq!(parse(&utc, now(), &zone), expected.clone());
            let seconds = format!("@{}.{:06}", micros / 1_000_000, micros % 1_000_000);
            prop_assert_eq!(parse(&seconds, now(), &zone), expected);
        }

        #[test]
        fn any_text_gets_an_answer(text in "\\PC{0,30}|[-+@:. 0-9a-zTZ]{0,30}|[-+]?[0-9.]{1,40}[a-z]{0,3}( ago| left)?") {
            let _ = read(&text);
        }
    }
}
