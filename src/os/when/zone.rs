//! Time zones: the local one, those by name, by abbreviation and by offset, and which moment a time of the clock is.

use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::span::split_digits;

/// Where the zone database is.
const ZONEINFO: &str = "/usr/share/zoneinfo";
/// When daylight saving time begins and ends where `TZ` has it without saying when: what glibc takes then.
const DEFAULT_RULE: &str = ",M3.2.0,M11.1.0";
/// Largest offset (seconds): systemd refuses more than a day.
const OFFSET_MAX: i64 = 86_400;

/// The local time zone: that of the environment variable `TZ`, else that of this machine.
pub fn local() -> TimeZone {
    match std::env::var("TZ") {
        Ok(value) => of_variable(&value),
        Err(_) => TimeZone::system(),
    }
}

/// What `TZ` means (tzset(3)): the name or path of a file of the zone database, a colon before it or not, or a rule in
/// POSIX's form (`CET-1CEST,M3.5.0,M10.5.0/3`); UTC where it is none of them.
pub(super) fn of_variable(value: &str) -> TimeZone {
    let name = value.strip_prefix(':').unwrap_or(value);
    if let Some(zone) = by_file(name) {
        return zone;
    }
    let rule = |rule: &str| TimeZone::posix(rule).ok().filter(|_| !value.starts_with(':'));
    rule(value).or_else(|| rule(&format!("{value}{DEFAULT_RULE}"))).unwrap_or(TimeZone::UTC)
}

/// A file of the zone database, by its name in there or its path.
fn by_file(name: &str) -> Option<TimeZone> {
    let within = name.strip_prefix(ZONEINFO).map(|name| name.trim_start_matches('/')).unwrap_or(name);
    if let Some(zone) = named(within) {
        return Some(zone);
    }
    let path = Path::new(name);
    let data = path.is_absolute().then(|| std::fs::read(path).ok()).flatten()?;
    TimeZone::tzif(name, &data).ok()
}

/// A zone by its name in the zone database, as it is spelt there: `Europe/Berlin`, `CET`.
pub(super) fn named(name: &str) -> Option<TimeZone> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-+_/".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        return None;
    }
    let zone = TimeZone::get(name).ok()?;
    // The database is asked without regard to letter case; `UTC` has no name of its own.
    (zone.iana_name().is_none_or(|known| known == name)).then_some(zone)
}

/// The offset that a text is, in seconds east of Greenwich: `+05:30`, `-0800`, `+01`, `Z` (strptime(3), `%z`).
pub(super) fn offset(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let sign = match text.as_bytes().first() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return None,
    };
    let (first, rest) = split_digits(text.get(1..)?);
    let digits = match (first.len(), rest.strip_prefix(':').map(split_digits)) {
        (2, Some((minutes, ""))) if minutes.len() == 2 => format!("{first}{minutes}"),
        (2, None) if rest.is_empty() => format!("{first}00"),
        (4, None) if rest.is_empty() => first.to_owned(),
        _ => return None,
    };
    let (hours, minutes) = digits.split_at(2);
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    let offset = hours * 3600 + minutes * 60;
    (minutes < 60 && offset <= OFFSET_MAX).then_some(sign * offset)
}

/// Which of a zone's two abbreviations a text is: `false` its standard time's, `true` its daylight saving time's (tzset(3),
/// `tzname`). A zone without one has the same name twice, and the first counts.
pub(super) fn abbreviation(zone: &TimeZone, text: &str, now: Timestamp) -> Option<bool> {
    let info = zone.to_offset_info(now);
    let here = (info.dst().is_dst(), info.abbreviation().to_owned());
    let next = zone.following(now).take(2).map(|t| (t.dst().is_dst(), t.abbreviation().to_owned()));
    let before = zone.preceding(now).map(|t| (t.dst().is_dst(), t.abbreviation().to_owned()));
    let all: Vec<(bool, String)> = std::iter::once(here).chain(next).chain(before).collect();
    [false, true].into_iter().find(|dst| {
        all.iter().find(|(is_dst, _)| is_dst == dst).is_some_and(|(_, abbreviation)| abbreviation == text)
    })
}

/// The moment (seconds since 1970) at which a clock in this zone shows `civil` (as many seconds as UTC's clock had shown
/// since 1970), as mktime(3) of glibc finds it. `dst` says which of two is meant, if that is known.
///
/// It guesses, and corrects the guess by what the clock shows then, beginning with UTC's offset. So, of two such moments
/// in autumn, it is the second in zones east of Greenwich and the first in those west of it; an hour that is skipped in
/// spring is read by the offset that makes it daylight saving time.
pub(super) fn moment(civil: i64, dst: Option<bool>, zone: &TimeZone) -> Option<i64> {
    /// Guesses: enough for any rules that zones have.
    const GUESSES: usize = 6;
    let clock = |moment: i64| {
        let info = zone.to_offset_info(Timestamp::from_second(moment).ok()?);
        Some((moment.checked_add(i64::from(info.offset().seconds()))?, info.dst().is_dst()))
    };
    let (mut guess, mut last, mut last_but_one) = (civil, civil, civil);
    let mut last_dst = false;
    for _ in 0..GUESSES {
        let (shown, is_dst) = clock(guess)?;
        if shown == civil {
            return match dst {
                Some(wanted) if wanted != is_dst => neighbour(civil, wanted, guess, clock),
                _ => Some(guess),
            };
        }
        // It goes to and fro between two guesses: the clock skips this time.
        let skipped = guess == last_but_one && guess != last;
        if skipped && dst.map_or(last_dst <= is_dst, |wanted| wanted != is_dst) {
            return Some(guess);
        }
        (last_but_one, last, last_dst) = (last, guess, is_dst);
        guess = guess.checked_add(civil - shown)?;
    }
    None
}

/// The moment by the offset of the nearest time that is, or is not, daylight saving time.
fn neighbour(civil: i64, dst: bool, from: i64, clock: impl Fn(i64) -> Option<(i64, bool)>) -> Option<i64> {
    /// Shorter than any time with or without daylight saving (seconds; glibc, `__mktime_internal`).
    const STRIDE: i64 = 601_200;
    /// Half of the longest (seconds; as above).
    const FAR: i64 = 536_454_000 / 2 + STRIDE;
    let mut distance = STRIDE;
    while distance < FAR {
        for probe in [from - distance, from + distance] {
            let (shown, is_dst) = clock(probe)?;
            if is_dst == dst {
                return Some(probe + (civil - shown));
            }
        }
        distance += STRIDE;
    }
    None
}
