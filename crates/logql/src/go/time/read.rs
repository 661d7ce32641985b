//! Times, read by the elements of a layout.

use jiff::ZonedDateTime;
use jiff::tz::TimeZone;

use super::layout::{Element, Layout, MONTHS, Part, WEEKDAYS, ZoneForm};
use super::parts::{Parts, signed_hours};

/// Why a text is not a time in a layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` does not fit the time format: expected {wanted} at `{rest}`")]
pub struct LayoutError {
    text: String,
    wanted: String,
    rest: String,
}

impl Layout {
    /// Reads a time (nanoseconds since 1970). A time without a zone is in `zone`. If the layout has no year, no month or no
    /// day, the missing part is chosen so that the time is nearest to `near` (nanoseconds since 1970).
    ///
    /// # Errors
    /// The text does not fit the layout, or the time does not exist (a thirteenth month).
    pub fn parse(&self, text: &str, zone: &TimeZone, near: i64) -> Result<i64, LayoutError> {
        let parts = self.parts_of(text)?;
        parts.resolve(zone, near).ok_or_else(|| fail(text, "a time that exists".into(), text))
    }

    /// Reads a time as Go does: a time without a zone is in `zone`, and what the layout lacks is the beginning of the year 0.
    ///
    /// # Errors
    /// As [`Layout::parse`].
    pub(crate) fn read(&self, text: &str, zone: &TimeZone) -> Result<ZonedDateTime, LayoutError> {
        let parts = self.parts_of(text)?;
        parts.resolve_from_0(zone).ok_or_else(|| fail(text, "a time that exists".into(), text))
    }

    fn parts_of(&self, text: &str) -> Result<Parts, LayoutError> {
        let mut parts = Parts::default();
        let mut rest = text;
        for (index, Part { element, written }) in self.parts.iter().enumerate() {
            rest = read(element, rest, &mut parts).ok_or_else(|| fail(text, format!("`{written}`"), rest))?;
            // Go takes a fraction behind the seconds even if the layout has none.
            if matches!(element, Element::Second(_)) && !self.has_fraction_next(index + 1) {
                rest = fraction(rest, &mut parts).unwrap_or(rest);
            }
        }
        if !rest.is_empty() {
            return Err(fail(text, "the end".into(), rest));
        }
        Ok(parts)
    }
}

fn fail(text: &str, wanted: String, rest: &str) -> LayoutError {
    LayoutError { text: text.to_owned(), wanted, rest: rest.to_owned() }
}

/// Reads one element into `parts`, and returns the text behind it.
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
        Element::Zone(form) => return offset(text, *form, parts),
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

/// Stores a number, and returns the text behind it.
fn set<'t>(place: &mut i64, found: Option<(i64, &'t str)>) -> Option<&'t str> {
    let (n, rest) = found?;
    *place = n;
    Some(rest)
}

/// Reads a fixed text. As in Go, any run of spaces stands for any other run.
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

/// Reads a name of a list in upper or lower case, by its first `letters`; its index.
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

/// Reads a fraction of a second of any length. Digits behind the nanosecond are ignored.
fn fraction<'t>(text: &'t str, parts: &mut Parts) -> Option<&'t str> {
    let inner = text.strip_prefix(['.', ','])?;
    let digits = inner.chars().take_while(char::is_ascii_digit).count();
    if digits == 0 {
        return None;
    }
    parts.nanos = nanos(inner.get(..digits)?)?;
    inner.get(digits..)
}

/// The nanoseconds of a fraction's digits.
fn nanos(digits: &str) -> Option<i64> {
    let digits = digits.get(..digits.len().min(9))?;
    format!("{digits:0<9}").parse().ok()
}

/// Reads the name of a zone: three letters, four or five that end in T, `GMT+3`, or `+03` (Go's `parseTimeZone`).
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

/// An offset from UTC; the text behind it.
fn offset<'t>(text: &'t str, form: ZoneForm, parts: &mut Parts) -> Option<&'t str> {
    let ZoneForm { z, colon, seconds, short } = form;
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
