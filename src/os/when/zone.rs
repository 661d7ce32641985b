//! Time zones: the local zone, zones by name, abbreviation and offset, and the moment at which a clock in a zone shows a
//! time.

use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::span::split_digits;

/// Where the zone database is.
const ZONEINFO: &str = "/usr/share/zoneinfo";
/// What says which zone this machine is in.
const LOCALTIME: &str = "/etc/localtime";
/// The rules for daylight saving time that glibc takes if `TZ` names such a time without rules.
const DEFAULT_RULE: &str = ",M3.2.0,M11.1.0";
/// The largest offset (seconds): systemd refuses more than a day.
const OFFSET_MAX: i64 = 86_400;

/// The local time zone: the environment variable `TZ` if it is set, else the zone of this machine.
pub fn local() -> TimeZone {
    match std::env::var("TZ") {
        Ok(value) => of_variable(&value),
        // To look the name up reads all folders of the zone database, which takes longer than many an answer.
        Err(_) => of_file(Path::new(LOCALTIME)).unwrap_or_else(TimeZone::system),
    }
}

/// The zone of a file that links to one of the zone database, as systemd has [`LOCALTIME`] (localtime(5)).
fn of_file(link: &Path) -> Option<TimeZone> {
    let target = std::fs::read_link(link).ok()?;
    let name = target.to_str()?.split_once("zoneinfo/")?.1;
    TimeZone::tzif(name, &std::fs::read(link).ok()?).ok()
}

/// What `TZ` means (tzset(3)): a file of the zone database, by name or path, with or without a colon before it; or a rule
/// in the form of POSIX (`CET-1CEST,M3.5.0,M10.5.0/3`). Everything else means UTC.
pub(super) fn of_variable(value: &str) -> TimeZone {
    let name = value.strip_prefix(':').unwrap_or(value);
    if let Some(zone) = by_file(name) {
        return zone;
    }
    let rule = |rule: &str| TimeZone::posix(rule).ok().filter(|_| !value.starts_with(':'));
    rule(value).or_else(|| rule(&format!("{value}{DEFAULT_RULE}"))).unwrap_or(TimeZone::UTC)
}

/// Reads a file of the zone database, by its name in the database or by its path.
fn by_file(name: &str) -> Option<TimeZone> {
    let within = name.strip_prefix(ZONEINFO).map(|name| name.trim_start_matches('/')).unwrap_or(name);
    if let Some(zone) = named(within) {
        return Some(zone);
    }
    let path = Path::new(name);
    let data = path.is_absolute().then(|| std::fs::read(path).ok()).flatten()?;
    TimeZone::tzif(name, &data).ok()
}

/// Finds a zone by its exact name in the zone database: `Europe/Berlin`, `CET`.
pub(super) fn named(name: &str) -> Option<TimeZone> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-+_/".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        return None;
    }
    let zone = TimeZone::get(name).ok()?;
    // The look-up ignores letter case, so the names are compared here. `UTC` comes back without a name.
    (zone.iana_name().is_none_or(|known| known == name)).then_some(zone)
}

/// Reads an offset (seconds east of Greenwich): `+05:30`, `-0800`, `+01`, `Z` (strptime(3), `%z`).
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

/// Which of a zone's two abbreviations a text is (tzset(3), `tzname`). `false`: that of standard time; `true`: that of
/// daylight saving time. If both are the same, it is standard time.
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
/// As glibc, it guesses a moment, beginning with the offset of UTC, and corrects the guess by what the clock shows then. So
/// an hour that comes twice in autumn is the second one in zones east of Greenwich, and the first one west of it. An hour
/// that is skipped in spring is read by the offset that makes it daylight saving time.
pub(super) fn moment(civil: i64, dst: Option<bool>, zone: &TimeZone) -> Option<i64> {
    /// The most guesses (count): enough for the rules of all zones.
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
        // The guesses alternate between two moments: the clock skips this time.
        let skipped = guess == last_but_one && guess != last;
        if skipped && dst.map_or(last_dst <= is_dst, |wanted| wanted != is_dst) {
            return Some(guess);
        }
        (last_but_one, last, last_dst) = (last, guess, is_dst);
        guess = guess.checked_add(civil - shown)?;
    }
    None
}

/// The moment by the offset of the nearest period with, or without, daylight saving time.
fn neighbour(civil: i64, dst: bool, from: i64, clock: impl Fn(i64) -> Option<(i64, bool)>) -> Option<i64> {
    /// Shorter than any period with or without daylight saving time (seconds; glibc, `__mktime_internal`).
    const STRIDE: i64 = 601_200;
    /// Half of the longest such period (seconds; glibc, as above).
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_zone_of_a_link_is_the_one_of_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let link = |name: &str, target: &str| {
            let path = dir.path().join(name);
            symlink(target, &path).unwrap();
            of_file(&path)
        };
        for name in ["Etc/UTC", "Europe/Berlin", "Asia/Kolkata"] {
            let Some(by_name) = named(name) else { return };
            for (number, second) in [0, 1_700_000_000, 1_720_000_000].into_iter().enumerate() {
                let linked =
                    link(&format!("{}{number}", name.replace('/', "-")), &format!("{ZONEINFO}/{name}"))
                        .unwrap();
                let time = Timestamp::from_second(second).unwrap();
                assert_eq!(
                    linked.to_offset_info(time).offset(),
                    by_name.to_offset_info(time).offset(),
                    "{name}"
                );
                assert_eq!(linked.iana_name(), Some(name));
            }
        }
        assert!(link("gone", &format!("{ZONEINFO}/Nowhere/At_All")).is_none());
        let other = dir.path().join("other");
        std::fs::write(&other, "no zone").unwrap();
        assert!(link("elsewhere", other.to_str().unwrap()).is_none());
        assert!(of_file(&other).is_none(), "no link");
    }
}
