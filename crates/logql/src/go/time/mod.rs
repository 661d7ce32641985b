//! Times in Go's layouts: a layout is the reference time `Mon Jan 2 15:04:05 MST 2006` written the way that the
//! times are (Go's `time/format.go`).
//!
//! Reading is as forgiving as Go's: numbers without their leading zeros where the layout has none, fractions of a
//! second after the seconds even if the layout does not have them.
//!
//! Go's library is followed in what it makes of zones, too (`parse` in `time/format.go`, `Date` in `time/time.go`,
//! `lookupName` in `time/zoneinfo.go`): a time that a change of the clocks skips or repeats, a name such as `CET`.

mod doubt;
mod meant;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

pub use doubt::doubt;
pub use meant::meant;

/// Changes of a zone's clocks that a zone's name is looked for in, before and after a time (count): some 30
/// years of summer times.
const CHANGES_MAX: usize = 64;
const SECOND: i128 = 1_000_000_000;

/// An element of a layout; a number with it is its least count of digits.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Element {
    Literal(String),
    LongMonth,
    Month,
    NumMonth(usize),
    LongWeekday,
    Weekday,
    Day(usize),
    /// `_2`: a space may stand for the leading zero.
    UnderDay,
    YearDay,
    UnderYearDay,
    /// One digit will do, whatever the layout has.
    Hour24,
    Hour12(usize),
    Minute(usize),
    Second(usize),
    LongYear,
    Year,
    /// `PM` or `pm`, as the times have it.
    Pm {
        upper: bool,
    },
    ZoneName,
    /// `Z07:00`: the letter Z is UTC.
    Zone {
        z: bool,
        colon: bool,
        seconds: bool,
        short: bool,
    },
    /// `.000` or `,000`: exactly so many digits; `.999`: any number, also none.
    Fraction {
        digits: usize,
        exact: bool,
    },
}

/// A layout, ready to read times: its elements, each as it is written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout(Vec<(Element, Box<str>)>);

/// Why a text is no time in a layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` does not fit the time format: expected {wanted} at `{rest}`")]
pub struct LayoutError {
    text: String,
    wanted: String,
    rest: String,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// What is read of a time.
#[derive(Debug, Default)]
struct Parts {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    year_day: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    nanos: i64,
    pm: Option<bool>,
    /// `UTC` or `Z` stands there.
    utc: bool,
    /// Seconds east of Greenwich.
    offset: Option<i64>,
    /// A zone's name; what it means depends on the zone where the time is from.
    zone: Option<String>,
}

impl Layout {
    /// Reads a layout; any text is one.
    pub fn new(layout: &str) -> Layout {
        let mut elements = Vec::new();
        let mut literal = String::new();
        let mut rest = layout;
        let end = |literal: &mut String, elements: &mut Vec<_>| {
            if !literal.is_empty() {
                let text = std::mem::take(literal);
                elements.push((Element::Literal(text.clone()), text.into()));
            }
        };
        while let Some(c) = rest.chars().next() {
            let len = match element(rest) {
                Some((found, len)) => {
                    end(&mut literal, &mut elements);
                    elements.push((found, rest.get(..len).unwrap_or_default().into()));
                    len
                }
                None => {
                    literal.push(c);
                    c.len_utf8()
                }
            };
            rest = rest.get(len..).unwrap_or_default();
        }
        end(&mut literal, &mut elements);
        Layout(elements)
    }

    /// Reads a time (nanoseconds since 1970). What has no zone of its own is in `zone`. What the layout leaves out of the
    /// date is taken from `near` (nanoseconds since 1970): the year, the month or the day that brings the time nearest
    /// to it.
    ///
    /// # Errors
    /// The text is not written so, or is no time (a thirteenth month).
    pub fn parse(&self, text: &str, zone: &TimeZone, near: i64) -> Result<i64, LayoutError> {
        let mut parts = Parts::default();
        let mut rest = text;
        let fail =
            |wanted: String, rest: &str| LayoutError { text: text.to_owned(), wanted, rest: rest.to_owned() };
        for (index, (element, written)) in self.0.iter().enumerate() {
            rest = read(element, rest, &mut parts).ok_or_else(|| fail(format!("`{written}`"), rest))?;
            // Go takes a fraction behind the seconds that the layout has not.
            if matches!(element, Element::Second(_)) && !self.has_fraction_next(index + 1) {
                rest = fraction(rest, &mut parts).unwrap_or(rest);
            }
        }
        if !rest.is_empty() {
            return Err(fail("the end".into(), rest));
        }
        parts.resolve(zone, near).ok_or_else(|| fail("a time that exists".into(), text))
    }

    /// Whether the first element from there on that is no literal is a fraction.
    fn has_fraction_next(&self, from: usize) -> bool {
        let mut rest = self.0.iter().skip(from).map(|(element, _)| element);
        let next = rest.find(|element| !matches!(element, Element::Literal(_)));
        matches!(next, Some(Element::Fraction { .. }))
    }
}

/// The element that a layout begins with, and its length.
fn element(layout: &str) -> Option<(Element, usize)> {
    use Element::*;
    if let Some(inner) = layout.strip_prefix(['.', ',']) {
        let digit = inner.chars().next().filter(|c| matches!(c, '0' | '9'))?;
        let digits = inner.chars().take_while(|c| *c == digit).count();
        // `.000` is a fraction only where no further digit follows.
        let follows = inner.get(digits..).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        return (!follows).then_some((Fraction { digits, exact: digit == '0' }, digits + 1));
    }
    // The underscore before a year is a literal.
    if layout.starts_with("_2006") {
        return None;
    }
    let zone = |z, colon, seconds, short| Zone { z, colon, seconds, short };
    let table = [
        ("January", LongMonth),
        ("Jan", Month),
        ("Monday", LongWeekday),
        ("Mon", Weekday),
        ("MST", ZoneName),
        ("2006", LongYear),
        ("002", YearDay),
        ("__2", UnderYearDay),
        ("_2", UnderDay),
        ("01", NumMonth(2)),
        ("02", Day(2)),
        ("03", Hour12(2)),
        ("04", Minute(2)),
        ("05", Second(2)),
        ("06", Year),
        ("15", Hour24),
        ("PM", Pm { upper: true }),
        ("pm", Pm { upper: false }),
        ("-07:00:00", zone(false, true, true, false)),
        ("-070000", zone(false, false, true, false)),
        ("-07:00", zone(false, true, false, false)),
        ("-0700", zone(false, false, false, false)),
        ("-07", zone(false, false, false, true)),
        ("Z07:00:00", zone(true, true, true, false)),
        ("Z070000", zone(true, false, true, false)),
        ("Z07:00", zone(true, true, false, false)),
        ("Z0700", zone(true, false, false, false)),
        ("Z07", zone(true, false, false, true)),
        ("1", NumMonth(1)),
        ("2", Day(1)),
        ("3", Hour12(1)),
        ("4", Minute(1)),
        ("5", Second(1)),
    ];
    let (text, element) = table.into_iter().find(|(text, _)| layout.starts_with(text))?;
    // "Janet" is no month, "Monet" no day.
    let word = matches!(element, Month | Weekday);
    let follows = layout.get(text.len()..).and_then(|rest| rest.chars().next());
    let goes_on = word && follows.is_some_and(|c| c.is_ascii_lowercase());
    (!goes_on).then_some((element, text.len()))
}

/// Reads an element; what is behind it.
fn read<'t>(element: &Element, text: &'t str, parts: &mut Parts) -> Option<&'t str> {
    let below = |limit: i64| move |(n, _): &(i64, &str)| *n < limit;
    let (place, found) = match element {
        Element::Literal(wanted) => return literal(wanted, text),
        Element::LongWeekday => return name(text, &WEEKDAYS, usize::MAX).map(|(_, rest)| rest),
        Element::Weekday => return name(text, &WEEKDAYS, 3).map(|(_, rest)| rest),
        Element::LongMonth => (&mut parts.month, name(text, &MONTHS, usize::MAX)),
        Element::Month => (&mut parts.month, name(text, &MONTHS, 3)),
        Element::NumMonth(digits) => (&mut parts.month, number(text, *digits, 2)),
        Element::Day(digits) => (&mut parts.day, number(text, *digits, 2)),
        Element::UnderDay => (&mut parts.day, number(text.strip_prefix(' ').unwrap_or(text), 1, 2)),
        Element::YearDay => (&mut parts.year_day, number(text, 3, 3)),
        Element::UnderYearDay => {
            let one = |text: &'t str| text.strip_prefix(' ').unwrap_or(text);
            (&mut parts.year_day, number(one(one(text)), 1, 3))
        }
        Element::LongYear => (&mut parts.year, number(text, 4, 4)),
        Element::Year => {
            // Unix begins in 1970 (Go: from 69 on the last century).
            let century = |n: i64| if n >= 69 { 1900 + n } else { 2000 + n };
            (&mut parts.year, number(text, 2, 2).map(|(n, rest)| (century(n), rest)))
        }
        Element::Hour24 => return set(&mut parts.hour, number(text, 1, 2).filter(below(24))),
        Element::Hour12(digits) => return set(&mut parts.hour, number(text, *digits, 2).filter(below(13))),
        Element::Minute(digits) => return set(&mut parts.minute, number(text, *digits, 2).filter(below(60))),
        Element::Second(digits) => return set(&mut parts.second, number(text, *digits, 2).filter(below(60))),
        Element::Pm { upper } => {
            let (half, rest) = text.split_at_checked(2)?;
            parts.pm = Some(match (half, upper) {
                ("PM", true) | ("pm", false) => true,
                ("AM", true) | ("am", false) => false,
                _ => return None,
            });
            return Some(rest);
        }
        Element::ZoneName => return zone_name(text, parts),
        Element::Zone { z, colon, seconds, short } => {
            return offset(text, (*z, *colon, *seconds, *short), parts);
        }
        Element::Fraction { exact: false, .. } => return Some(fraction(text, parts).unwrap_or(text)),
        Element::Fraction { digits, exact: true } => {
            let inner = text.strip_prefix(['.', ','])?;
            let found = inner.get(..*digits).filter(|d| d.chars().all(|c| c.is_ascii_digit()))?;
            parts.nanos = nanos(found)?;
            return inner.get(*digits..);
        }
    };
    let (n, rest) = found?;
    // Months are counted from one, names from zero.
    let names = matches!(element, Element::LongMonth | Element::Month);
    *place = Some(n + i64::from(names));
    Some(rest)
}

fn set<'t>(place: &mut i64, found: Option<(i64, &'t str)>) -> Option<&'t str> {
    let (n, rest) = found?;
    *place = n;
    Some(rest)
}

/// Go lets any run of spaces stand for any other.
fn literal<'t>(wanted: &str, text: &'t str) -> Option<&'t str> {
    let (mut wanted, mut rest) = (wanted, text);
    while let Some(c) = wanted.chars().next() {
        wanted = wanted.get(c.len_utf8()..).unwrap_or_default();
        if c == ' ' {
            wanted = wanted.trim_start_matches(' ');
            let trimmed = rest.trim_start_matches(' ');
            if trimmed.len() == rest.len() && !rest.is_empty() {
                return None;
            }
            rest = trimmed;
        } else {
            rest = rest.strip_prefix(c)?;
        }
    }
    Some(rest)
}

/// A name of a list, whole or its first letters, in any case; its index.
fn name<'t>(text: &'t str, names: &[&str], letters: usize) -> Option<(i64, &'t str)> {
    names.iter().enumerate().find_map(|(index, name)| {
        let name = name.get(..letters.min(name.len()))?;
        let (found, rest) = text.split_at_checked(name.len())?;
        found.eq_ignore_ascii_case(name).then_some((index as i64, rest))
    })
}

/// A number of `least` to `most` digits.
fn number(text: &str, least: usize, most: usize) -> Option<(i64, &str)> {
    let digits = text.chars().take(most).take_while(char::is_ascii_digit).count();
    let (number, rest) = text.split_at_checked(digits)?;
    (digits >= least).then_some((number.parse().ok()?, rest))
}

/// A fraction of a second, of any length; digits behind the nanosecond mean nothing.
fn fraction<'t>(text: &'t str, parts: &mut Parts) -> Option<&'t str> {
    let inner = text.strip_prefix(['.', ','])?;
    let digits = inner.chars().take_while(char::is_ascii_digit).count();
    if digits == 0 {
        return None;
    }
    parts.nanos = nanos(inner.get(..digits)?)?;
    inner.get(digits..)
}

fn nanos(digits: &str) -> Option<i64> {
    let digits = digits.get(..digits.len().min(9))?;
    format!("{digits:0<9}").parse().ok()
}

/// The name of a zone: three letters, four or five that end in T, `GMT+3`, or `+03` (Go's `parseTimeZone`).
fn zone_name<'t>(text: &'t str, parts: &mut Parts) -> Option<&'t str> {
    if let Some(rest) = text.strip_prefix("UTC") {
        parts.utc = true;
        return Some(rest);
    }
    let letters = text.bytes().take(6).take_while(u8::is_ascii_uppercase).count();
    let ends_in_t = |count: usize| text.as_bytes().get(count - 1) == Some(&b'T');
    let len = if text.starts_with("ChST") || text.starts_with("MeST") {
        4
    } else if let Some(rest) = text.strip_prefix("GMT") {
        3 + signed_hours(rest).map_or(0, |(_, len)| len)
    } else if text.starts_with(['+', '-']) {
        signed_hours(text)?.1
    } else {
        match letters {
            3 => 3,
            4 if ends_in_t(4) || text.starts_with("WITA") => 4,
            5 if ends_in_t(5) => 5,
            _ => return None,
        }
    };
    let (name, rest) = text.split_at_checked(len)?;
    parts.zone = Some(name.to_owned());
    Some(rest)
}

/// Hours with their sign, up to 23, and how long that is.
fn signed_hours(text: &str) -> Option<(i64, usize)> {
    let sign = match text.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let digits = text.bytes().skip(1).take_while(u8::is_ascii_digit).count();
    let hours: i64 = text.get(1..=digits)?.parse().ok()?;
    (hours <= 23).then_some((sign * hours, digits + 1))
}

fn offset<'t>(
    text: &'t str,
    (z, colon, seconds, short): (bool, bool, bool, bool),
    parts: &mut Parts,
) -> Option<&'t str> {
    if z && let Some(rest) = text.strip_prefix('Z') {
        parts.utc = true;
        return Some(rest);
    }
    let sign = match text.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let separator = |rest: &'t str| if colon { rest.strip_prefix(':') } else { Some(rest) };
    let (hours, mut rest) = number(text.get(1..)?, 2, 2)?;
    let (mut minutes, mut secs) = (0, 0);
    if !short {
        (minutes, rest) = number(separator(rest)?, 2, 2)?;
    }
    if seconds {
        (secs, rest) = number(separator(rest)?, 2, 2)?;
    }
    if hours > 24 || minutes > 60 || secs > 60 {
        return None;
    }
    parts.offset = Some(sign * (hours * 3600 + minutes * 60 + secs));
    Some(rest)
}

impl Parts {
    fn resolve(self, zone: &TimeZone, near: i64) -> Option<i64> {
        let hour = match self.pm {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let nanos = i32::try_from(self.nanos).ok()?;
        let time = Time::new(small(hour)?, small(self.minute)?, small(self.second)?, nanos).ok()?;
        let at = |date: Date| {
            let as_utc = TimeZone::UTC.to_timestamp(date.to_datetime(time)).ok()?;
            let offset = match (self.utc, self.offset, self.zone.as_deref()) {
                (true, ..) => 0,
                (_, Some(offset), _) => offset,
                // A name that the zone does not know is one without an offset, unless it says so itself.
                (_, _, Some(name)) => offset_by_name(zone, name, as_utc)
                    .or_else(|| Some(signed_hours(name.strip_prefix("GMT")?)?.0 * 3600))
                    .unwrap_or(0),
                _ => offset_at(zone, before(as_utc, offset_at(zone, as_utc))?),
            };
            i64::try_from(as_utc.as_nanosecond() - i128::from(offset) * SECOND).ok()
        };
        if let Some(year) = self.year {
            return at(self.date(i16::try_from(year).ok()?)?);
        }
        let day = Timestamp::from_nanosecond(near.into()).ok()?.to_zoned_datetime(TimeZone::UTC).date();
        let dates = self.dates_near(day);
        // Of two that are equally far the earlier one: entries tell of what was.
        dates.into_iter().filter_map(at).min_by_key(|time| time.abs_diff(near))
    }

    /// The days that can be meant where there is no year, for a time near `day`.
    fn dates_near(&self, day: Date) -> Vec<Date> {
        match (self.month, self.day, self.year_day) {
            // A zone's day begins up to 26 hours before or after another one's.
            (None, None, None) => (-2..=2).filter_map(|days| day.checked_add(days.days()).ok()).collect(),
            (None, Some(of_month), None) => {
                let month = |months: i64| day.with().day(1).build().ok()?.checked_add(months.months()).ok();
                let of_month = |date: Date| date.with().day(small(of_month)?).build().ok();
                (-1..=1).filter_map(month).filter_map(of_month).collect()
            }
            _ => (day.year() - 1..=day.year() + 1).filter_map(|year| self.date(year)).collect(),
        }
    }

    /// The day; `None` when there is none such in this year.
    fn date(&self, year: i16) -> Option<Date> {
        let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
        let Some(year_day) = self.year_day else {
            return Date::new(year, small(month)?, small(day)?).ok();
        };
        let first = Date::new(year, 1, 1).ok()?;
        let date = first.with().day_of_year(i16::try_from(year_day).ok()?).build().ok()?;
        let agrees = |found: i8, read: Option<i64>| read.is_none_or(|read| read == i64::from(found));
        (agrees(date.month(), self.month) && agrees(date.day(), self.day)).then_some(date)
    }
}

fn small(n: i64) -> Option<i8> {
    i8::try_from(n).ok()
}

/// A zone's offset at a time (seconds).
fn offset_at(zone: &TimeZone, at: Timestamp) -> i64 {
    zone.to_offset(at).seconds().into()
}

fn before(at: Timestamp, seconds: i64) -> Option<Timestamp> {
    Timestamp::from_nanosecond(at.as_nanosecond() - i128::from(seconds) * SECOND).ok()
}

/// The offset that a zone means by a name (seconds): the one in effect at the local time `as_utc`, else the one
/// that it last had, or next has, under this name.
fn offset_by_name(zone: &TimeZone, name: &str, as_utc: Timestamp) -> Option<i64> {
    let now = zone.to_offset_info(as_utc);
    let now = (now.abbreviation() == name).then(|| i64::from(now.offset().seconds()));
    let past = zone.preceding(as_utc).take(CHANGES_MAX);
    let changes = past.chain(zone.following(as_utc).take(CHANGES_MAX));
    let named = changes.filter(|change| change.abbreviation() == name);
    let offsets = now.into_iter().chain(named.map(|change| change.offset().seconds().into()));
    let mut last = None;
    for offset in offsets {
        if last == Some(offset) {
            continue;
        }
        let info = zone.to_offset_info(before(as_utc, offset)?);
        if info.abbreviation() == name {
            return Some(info.offset().seconds().into());
        }
        last = last.or(Some(offset));
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn near() -> i64 {
        nanos_of("2026-11-21T07:00:00Z")
    }

    fn nanos_of(text: &str) -> i64 {
        i64::try_from(text.parse::<Timestamp>().unwrap().as_nanosecond()).unwrap()
    }

    #[test]
    fn times_are_read_as_go_reads_them() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let moscow = TimeZone::get("Europe/Moscow").unwrap();
        let sao_paulo = TimeZone::get("America/Sao_Paulo").unwrap();
        let utc = &TimeZone::UTC;
        for (layout, text, zone, expected) in [
            ("2006-01-02T15:04:05Z07:00", "2026-11-21T06:30:00Z", utc, "2026-11-21T06:30:00Z"),
            ("2006-01-02T15:04:05Z07:00", "2026-11-21T06:30:00.5+02:00", utc, "2026-11-21T04:30:00.5Z"),
            ("2006-01-02T15:04:05.999Z07:00", "2026-11-21T06:30:00.25Z", utc, "2026-11-21T06:30:00.25Z"),
            ("02/Jan/2006 15:04:05", "21/Nov/2026 07:08:09", &berlin, "2026-11-21T06:08:09Z"),
            ("02/Jan/2006:15:04:05 -0700", "1/Nov/2026:07:08:09 +0130", &berlin, ""),
            ("2/Jan/2006:15:04:05 -0700", "1/Nov/2026:07:08:09 +0130", &berlin, "2026-11-01T05:38:09Z"),
            ("Mon Jan _2 15:04:05 2006", "Sat Nov  7 07:08:09 2026", utc, "2026-11-07T07:08:09Z"),
            (
                "Mon, 02 Jan 2006 15:04:05 MST",
                "Sat, 21 Nov 2026 07:08:09 UTC",
                &berlin,
                "2026-11-21T07:08:09Z",
            ),
            ("02 Jan 06 15:04 MST", "21 Nov 26 07:08 CET", &berlin, "2026-11-21T06:08:00Z"),
            // The name says which, in the hour that comes twice and out of season.
            ("02 Jan 06 15:04 MST", "25 Oct 26 02:30 CEST", &berlin, "2026-10-25T00:30:00Z"),
            ("02 Jan 06 15:04 MST", "25 Oct 26 02:30 CET", &berlin, "2026-10-25T01:30:00Z"),
            ("02 Jan 06 15:04 MST", "21 Nov 26 07:08 CEST", &berlin, "2026-11-21T05:08:00Z"),
            ("02 Jan 06 15:04", "25 Oct 26 02:30", &berlin, "2026-10-25T01:30:00Z"),
            ("02 Jan 06 15:04", "29 Mar 26 02:30", &berlin, "2026-03-29T01:30:00Z"),
            // A name that was four hours and became three: at that time it was still four.
            ("02 Jan 06 15:04 MST", "26 Oct 14 00:30 MSK", &moscow, "2014-10-25T20:30:00Z"),
            ("02 Jan 06 15:04 MST", "21 Nov 26 07:08 MSK", &moscow, "2026-11-21T04:08:00Z"),
            // Names that the zone does not know.
            ("02 Jan 06 15:04 MST", "21 Nov 26 07:08 PST", &berlin, "2026-11-21T07:08:00Z"),
            ("02 Jan 06 15:04 MST", "21 Nov 26 07:08 GMT-02", &berlin, "2026-11-21T09:08:00Z"),
            ("02 Jan 06 15:04 MST", "21 Nov 26 07:08 +03", &berlin, "2026-11-21T07:08:00Z"),
            ("02 Jan 06 15:04 MST", "21 Nov 26 07:08 -03", &sao_paulo, "2026-11-21T10:08:00Z"),
            ("02 Jan 06 15:04 MST", "21 Nov 26 07:08 ABCD", &berlin, ""),
            ("02 Jan 06 15:04 MST", "21 Nov 26 07:08 Z", &berlin, ""),
            ("02 Jan 06 15:04 MST", "21 Nov 26 07:08 GMT+24", &berlin, ""),
            ("2006-01-02 15:04 -07", "2026-11-21 07:08 -05", utc, "2026-11-21T12:08:00Z"),
            ("2006-01-02 15:04 Z0700", "2026-11-21 07:08 Z", &berlin, "2026-11-21T07:08:00Z"),
            ("2006-01-02 15:04 -07:00:00", "2026-11-21 07:08 +01:02:03", utc, "2026-11-21T06:05:57Z"),
            ("2006-01-02 15:04 -0700", "2026-11-21 07:08 +2500", utc, ""),
            ("3:04PM 1/2/06", "7:08PM 1/2/26", utc, "2026-01-02T19:08:00Z"),
            ("03:04:05 pm 2006-01-02", "12:00:00 am 2026-01-02", utc, "2026-01-02T00:00:00Z"),
            ("03:04:05 pm 2006-01-02", "12:00:00 AM 2026-01-02", utc, ""),
            ("3:04PM 1/2/06", "7:08pm 1/2/26", utc, ""),
            ("2006-01-02 15:04", "2026-11-21 7:08", utc, "2026-11-21T07:08:00Z"),
            ("2006-01-02 15:04", "2026-11-21 24:08", utc, ""),
            ("2006-01-02 15:04", "2026-11-21 07:60", utc, ""),
            ("2006-002", "2026-032", utc, "2026-02-01T00:00:00Z"),
            ("2006-002", "2028-366", utc, "2028-12-31T00:00:00Z"),
            ("2006-002", "2026-366", utc, ""),
            ("2006-002", "2026-000", utc, ""),
            ("2006-002", "2026-32", utc, ""),
            ("2006 __2", "2026  32", utc, "2026-02-01T00:00:00Z"),
            ("2006 002 Jan", "2026 032 Feb", utc, "2026-02-01T00:00:00Z"),
            ("2006 002 Jan", "2026 032 Mar", utc, ""),
            ("2006-01-02 15:04:05,000", "2026-11-21 07:08:09,123", utc, "2026-11-21T07:08:09.123Z"),
            ("2006-01-02 15:04:05", "2026-11-21 07:08:09.123456789", utc, "2026-11-21T07:08:09.123456789Z"),
            ("Jan _2 15:04:05", "Nov 21 06:00:00", utc, "2026-11-21T06:00:00Z"),
            // The day, or the month, that is nearest.
            ("15:04:05", "06:59:59", utc, "2026-11-21T06:59:59Z"),
            ("15:04:05", "18:59:59", utc, "2026-11-21T18:59:59Z"),
            ("15:04:05", "19:00:00", utc, "2026-11-20T19:00:00Z"),
            ("15:04:05", "19:00:01", utc, "2026-11-20T19:00:01Z"),
            ("15:04:05", "08:00:00", &berlin, "2026-11-21T07:00:00Z"),
            ("15:04:05 -0700", "20:00:00 +1300", utc, "2026-11-21T07:00:00Z"),
            ("15:04:05 -0700", "20:00:00 -1200", utc, "2026-11-21T08:00:00Z"),
            ("3:04PM", "7:08AM", utc, "2026-11-21T07:08:00Z"),
            ("Mon 15:04:05", "Sat 07:00:00", utc, "2026-11-21T07:00:00Z"),
            ("02 15:04:05", "21 07:00:00", utc, "2026-11-21T07:00:00Z"),
            ("02 15:04:05", "31 07:00:00", utc, "2026-10-31T07:00:00Z"),
            ("02 15:04:05", "01 07:00:00", utc, "2026-12-01T07:00:00Z"),
            ("02 15:04:05", "32 07:00:00", utc, ""),
            ("Jan _2 15:04:05", "Jan  1 00:00:00", utc, "2027-01-01T00:00:00Z"),
            ("Jan _2 15:04:05", "Aug  1 00:00:00", utc, "2026-08-01T00:00:00Z"),
            (
                "Monday, 02-Jan-06 15:04:05 MST",
                "saturday, 21-nov-26 07:08:09 GMT+3",
                utc,
                "2026-11-21T04:08:09Z",
            ),
            ("2006-01-02", "2026-13-01", utc, ""),
            ("2006-01-02", "2026-02-30", utc, ""),
            ("2006-01-02", "2026-02-03x", utc, ""),
            ("2006-01-02", "", utc, ""),
            ("15:04:05.000", "07:08:09.12", utc, ""),
            ("2006-01-02 15:04:05 .000", "2026-11-21 07:08:09 .125", utc, "2026-11-21T07:08:09.125Z"),
            ("2006-01-02 15:04:05 .000", "2026-11-21 07:08:09.125", utc, ""),
            ("2006-01-02_15", "2026-11-21_07", utc, "2026-11-21T07:00:00Z"),
            ("Jan _2006", "Nov _2026", utc, "2026-11-01T00:00:00Z"),
            ("Janet 2006", "Janet 2026", utc, "2026-01-01T00:00:00Z"),
            ("Jan _2 15:04:05", "Feb 29 00:00:00", utc, ""),
        ] {
            let read = Layout::new(layout).parse(text, zone, near());
            let expected = (!expected.is_empty()).then(|| nanos_of(expected));
            assert_eq!(read.clone().ok(), expected, "{layout} {text}: {read:?}");
        }
    }

    #[test]
    fn an_error_names_the_part_of_the_layout() {
        let error = Layout::new("2006-01-02 15:04").parse("2026-11-x", &TimeZone::UTC, near()).unwrap_err();
        assert_eq!(error.to_string(), "`2026-11-x` does not fit the time format: expected `02` at `x`");
    }

    /// Around the turn of a day, a month and a year.
    #[test]
    fn what_a_layout_leaves_out_of_the_date_is_that_of_the_entry() {
        let utc = &TimeZone::UTC;
        for (near, layout, text, expected) in [
            ("2027-01-01T00:00:02Z", "15:04:05", "23:59:59", "2026-12-31T23:59:59Z"),
            ("2026-12-31T23:59:59Z", "15:04:05", "00:00:01", "2027-01-01T00:00:01Z"),
            ("2027-01-01T00:00:02Z", "02 15:04:05", "31 23:59:59", "2026-12-31T23:59:59Z"),
            ("2027-03-01T00:00:02Z", "02 15:04:05", "28 23:59:59", "2027-02-28T23:59:59Z"),
            ("2027-01-01T00:00:02Z", "Jan _2 15:04:05", "Dec 31 23:59:59", "2026-12-31T23:59:59Z"),
            ("2026-12-31T23:59:59Z", "Jan _2 15:04:05", "Jan  1 00:00:01", "2027-01-01T00:00:01Z"),
            ("2027-01-01T00:00:02Z", "002 15:04:05", "365 23:59:59", "2026-12-31T23:59:59Z"),
            ("2028-03-01T00:00:00Z", "Jan _2 15:04:05", "Feb 29 23:59:59", "2028-02-29T23:59:59Z"),
        ] {
            let read = Layout::new(layout).parse(text, utc, nanos_of(near));
            assert_eq!(read, Ok(nanos_of(expected)), "{layout} {text} near {near}");
        }
    }

    proptest! {
        #[test]
        fn any_layout_and_text_have_an_answer(layout in "[A-Za-z0-9 .,:/_+-]{0,30}", text in "\\PC{0,30}") {
            let _ = Layout::new(&layout).parse(&text, &TimeZone::UTC, near());
        }

        #[test]
        fn a_time_written_is_read_back(second in 0..4_000_000_000i64, nano in 0..1_000_000_000i64) {
            let stamp = Timestamp::new(second, nano as i32).unwrap();
            let text = stamp.to_zoned_datetime(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S%.9fZ").to_string();
            let read = Layout::new("2006-01-02T15:04:05.999999999Z07:00").parse(&text, &TimeZone::UTC, 0);
            prop_assert_eq!(read, Ok(second * 1_000_000_000 + nano));
        }
    }
}
