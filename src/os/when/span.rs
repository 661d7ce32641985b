//! A distance in time: `1h 30min`, `1.5h`, `90` (systemd.time(7), "Parsing Time Spans").

use super::{MICROS_PER_SECOND, WhenError};

/// Units of a distance in microseconds (systemd, `parse_time` in `src/basic/time-util.c`); a month is 30.4375 days, a
/// year 365.25. Letter case tells `m` from `M`.
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

/// What systemd skips between numbers and units.
pub(super) const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// Reads a distance in microseconds; a number without a unit is seconds, and several are added up. `whole` is the text
/// that messages name.
pub(super) fn parse(text: &str, whole: &str) -> Result<u64, WhenError> {
    let unknown = || WhenError::Unknown(whole.to_owned());
    let out_of_range = || WhenError::OutOfRange(whole.to_owned());
    let mut rest = text.trim_matches(SPACE);
    if rest.is_empty() {
        return Err(unknown());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        // A sign is allowed before digits only.
        let signed = rest.strip_prefix('+').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        rest = signed.unwrap_or(rest);
        let (integer, after) = split_digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => split_digits(after),
            None => ("", after),
        };
        let pointed = integer.len() + fraction.len() < rest.len() - after.len();
        if (fraction.is_empty() && (pointed || integer.is_empty())) || after.starts_with('.') {
            return Err(unknown());
        }
        let behind = after.trim_start_matches(SPACE);
        let end = behind.find(|c: char| !c.is_alphabetic()).unwrap_or(behind.len());
        let (unit, next) = behind.split_at(end);
        if unit.is_empty() && !after.is_empty() && after == behind {
            return Err(unknown());
        }
        let factor = if unit.is_empty() { MICROS_PER_SECOND } else { factor(unit)? };
        // systemd reads the number as a signed one of 64 bits.
        let count: i64 = if integer.is_empty() { 0 } else { integer.parse().map_err(|_| out_of_range())? };
        let whole_units = u64::try_from(count).ok().and_then(|count| count.checked_mul(factor));
        total = whole_units
            .and_then(|units| total.checked_add(units))
            .and_then(|total| total.checked_add(part_of(fraction, factor)))
            .ok_or_else(out_of_range)?;
        rest = next.trim_start_matches(SPACE);
    }
    Ok(total)
}

/// The fraction `0.digits` of `factor`. Each digit is rounded down by itself, as systemd does it.
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
    let known = UNITS.iter().find(|(names, _)| names.contains(&unit));
    known.map(|(_, factor)| *factor).ok_or_else(|| WhenError::Unit(unit.to_owned()))
}

pub(super) fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}
