//! Dates and times of day: `2026-11-01 10:00:30.5`, `2026-11-01T10:00`, `10:00`, `Nov 1 10:00:30`, days by name, a weekday
//! before them.

use jiff::ToSpan;
use jiff::civil::{Date, DateTime, Time};
use logql::go::time::MONTHS;

use super::span::split_digits;
use super::{MICROS_PER_SECOND, WhenError};

/// Weekdays, Monday first as jiff counts them.
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Two-digit years below this are of this century (strptime(3), `%y`).
const CENTURY_PIVOT: i16 = 69;

/// The forms, in the order in which systemd tries them: the letters are conversions of strptime(3), a space is any number
/// of them, and everything else stands for itself.
const FORMS: [&str; 11] = [
    "y-m-d H:M:S",
    "Y-m-d H:M:S",
    "Y-m-dTH:M:S",
    "b d H:M:S",
    "y-m-d H:M",
    "Y-m-d H:M",
    "Y-m-dTH:M",
    "y-m-d",
    "Y-m-d",
    "H:M:S",
    "H:M",
];

/// A date and a time of day, as a clock shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    /// With seconds up to 59.
    pub at: DateTime,
    /// What comes on top (microseconds): leap seconds, and a fraction that rounds up to the next second.
    pub later: u64,
}

/// Reads a date and a time of day; what the text leaves out is taken from `now`. `None`: the text has none of the forms.
pub(super) fn parse(text: &str, now: DateTime) -> Result<Option<Shown>, WhenError> {
    let whole = || text.to_owned();
    if let Some(days) = day_name(text) {
        let date = now.date().checked_add(days.days()).map_err(|_| WhenError::OutOfRange(whole()))?;
        return Ok(Some(Shown { at: date.to_datetime(Time::midnight()), later: 0 }));
    }
    let (weekday, rest) = split_weekday(text);
    let Some((fields, fraction)) = FORMS.iter().find_map(|form| scan_whole(form, rest, now)) else {
        return match shape_of_time(rest) {
            true => Err(WhenError::NoSuchTime(whole())),
            false => Ok(None),
        };
    };
    let Fields { year, month, day, hour, minute, second } = fields;
    let date = Date::new(year, month, day).map_err(|_| WhenError::NoSuchTime(whole()))?;
    let time = Time::new(hour, minute, second.min(59), 0).map_err(|_| WhenError::NoSuchTime(whole()))?;
    if let Some((index, written)) = weekday
        && i32::from(date.weekday().to_monday_zero_offset()) != index
    {
        let actual = usize::try_from(date.weekday().to_monday_zero_offset()).ok();
        let actual = actual.and_then(|day| WEEKDAYS.get(day)).copied().unwrap_or_default().to_owned();
        return Err(WhenError::Weekday { date: date.to_string(), written: written.to_owned(), actual });
    }
    let leap = u64::try_from(second.saturating_sub(59)).unwrap_or(0);
    Ok(Some(Shown { at: date.to_datetime(time), later: leap * MICROS_PER_SECOND + fraction }))
}

impl Shown {
    /// The seconds since 1970 if the clock is in UTC, without what comes on top.
    pub(super) fn seconds(&self) -> i64 {
        let epoch = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
        self.at.duration_since(epoch).as_secs()
    }
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

/// Takes a weekday (`Fri `, `Friday `) off the front. Returns its index, its name as written, and the rest.
fn split_weekday(text: &str) -> (Option<(i32, &str)>, &str) {
    let Some((word, rest)) = text.split_once(' ') else { return (None, text) };
    match (0..).zip(WEEKDAYS).find(|(_, day)| is_name(word, day)) {
        Some((index, _)) => (Some((index, word)), rest),
        None => (None, text),
    }
}

/// Whether a word is a name, in full or its first three letters. Letter case does not matter.
fn is_name(word: &str, name: &str) -> bool {
    let short = name.get(..3);
    word.eq_ignore_ascii_case(name) || short.is_some_and(|short| word.eq_ignore_ascii_case(short))
}

#[derive(Debug, Clone, Copy)]
struct Fields {
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    /// Up to 61.
    second: i8,
}

/// Reads the whole text by one form, and its fraction of a second (microseconds). Units that the form leaves out are taken
/// from now if they are larger than those of the form, and are zero if they are smaller.
fn scan_whole(form: &str, text: &str, now: DateTime) -> Option<(Fields, u64)> {
    let mut fields =
        Fields { year: now.year(), month: now.month(), day: now.day(), hour: 0, minute: 0, second: 0 };
    match scan(form, text, &mut fields)? {
        "" => Some((fields, 0)),
        rest if form.ends_with('S') => Some((fields, fraction(rest.strip_prefix('.')?)?)),
        _ => None,
    }
}

/// Scans a text as strptime(3) of glibc does. Returns the rest of the text.
fn scan<'t>(form: &str, text: &'t str, fields: &mut Fields) -> Option<&'t str> {
    let mut rest = text;
    for part in form.chars() {
        let (value, after) = match part {
            ' ' => (0, rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b')),
            'b' => month(rest)?,
            'y' => number(rest, 0..=99, 2)?,
            'Y' => number(rest, 0..=9999, 4)?,
            'm' => number(rest, 1..=12, 2)?,
            'd' => number(rest, 1..=31, 2)?,
            'H' => number(rest, 0..=23, 2)?,
            'M' => number(rest, 0..=59, 2)?,
            'S' => number(rest, 0..=61, 2)?,
            literal => (0, rest.strip_prefix(literal)?),
        };
        let small = i8::try_from(value).unwrap_or(0);
        match part {
            'y' => fields.year = if value < CENTURY_PIVOT { 2000 + value } else { 1900 + value },
            'Y' => fields.year = value,
            'b' | 'm' => fields.month = small,
            'd' => fields.day = small,
            'H' => fields.hour = small,
            'M' => fields.minute = small,
            'S' => fields.second = small,
            _ => {}
        }
        rest = after;
    }
    Some(rest)
}

/// Reads a number in a range: at most so many digits, and no digit more than the range allows.
fn number(text: &str, range: std::ops::RangeInclusive<i16>, digits: usize) -> Option<(i16, &str)> {
    let text = text.trim_start_matches(' ');
    let (all, _) = split_digits(text);
    let (mut value, mut length) = (0, 0);
    for digit in all.bytes().take(digits) {
        if length > 0 && value * 10 > *range.end() {
            break;
        }
        value = value * 10 + i16::from(digit - b'0');
        length += 1;
    }
    (length > 0 && range.contains(&value)).then(|| (value, text.split_at(length).1))
}

/// Reads the name of a month, in full or its first three letters.
fn month(text: &str) -> Option<(i16, &str)> {
    let starts = |name: &str| text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    (1..).zip(MONTHS).find_map(|(number, name)| {
        let name = [name, name.get(..3)?].into_iter().find(|name| starts(name))?;
        Some((number, text.split_at(name.len()).1))
    })
}

/// A fraction of a second in microseconds. The seventh digit decides the rounding.
fn fraction(digits: &str) -> Option<u64> {
    const DIGITS: usize = 6;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (kept, rest) = digits.split_at(digits.len().min(DIGITS));
    let micros: u64 = format!("{kept:0<DIGITS$}").parse().ok()?;
    Some(micros + u64::from(rest.starts_with(['5', '6', '7', '8', '9'])))
}

/// Whether a text looks like a date, a time of day or both. If it cannot be read then, its numbers are wrong.
fn shape_of_time(text: &str) -> bool {
    let parts = |word: &str, between: char, lengths: &[usize]| {
        let parts: Vec<&str> = word.split(between).collect();
        (2..=3).contains(&parts.len())
            && parts.iter().zip(lengths).all(|(part, most)| {
                (1..=*most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
            })
    };
    let date = |word: &str| parts(word, '-', &[4, 2, 2]) && word.split('-').count() == 3;
    let time = |word: &str| {
        let (clock, fraction) = word.split_once('.').unwrap_or((word, "0"));
        let seconds = clock.split(':').count() == 3 || clock == word;
        parts(clock, ':', &[2, 2, 2])
            && seconds
            && split_digits(fraction).1.is_empty()
            && !fraction.is_empty()
    };
    let words: Vec<&str> = match text.split_once('T') {
        Some((date, time)) => vec![date, time],
        None => text.split_ascii_whitespace().collect(),
    };
    match words.as_slice() {
        [word] => date(word) || time(word),
        [first, second] => date(first) && time(second),
        _ => false,
    }
}
