//! The parts of a time, and the time that they make in a zone.

use jiff::civil::{Date, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan, ZonedDateTime};

/// Clock changes that are searched for a zone's name, before and after a time (count): some 30 years of summer times.
const CHANGES_MAX: usize = 64;
/// Nanoseconds of a second.
const SECOND: i128 = 1_000_000_000;
/// Seconds of an hour.
const HOUR: i64 = 3600;

/// The parts of a time, as far as the text has them.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) year: Option<i64>,
    pub(super) month: Option<i64>,
    pub(super) day: Option<i64>,
    pub(super) year_day: Option<i64>,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
    pub(super) nanos: i64,
    pub(super) pm: Option<bool>,
    /// The zone is `UTC` or `Z`.
    pub(super) utc: bool,
    /// Seconds east of Greenwich.
    pub(super) offset: Option<i64>,
    /// The name of a zone. Its meaning depends on the zone of the machine that wrote the time.
    pub(super) zone: Option<String>,
}

impl Parts {
    /// The time (nanoseconds since 1970), or `None` if it does not exist; see [`Layout::parse`](super::Layout::parse).
    pub(super) fn resolve(self, zone: &TimeZone, near: i64) -> Option<i64> {
        let at = |date: Date| i64::try_from(self.at(date, zone)?.0.as_nanosecond()).ok();
        if let Some(year) = self.year {
            return at(self.date(i16::try_from(year).ok()?)?);
        }
        let day = Timestamp::from_nanosecond(near.into()).ok()?.to_zoned_datetime(TimeZone::UTC).date();
        let dates = self.dates_near(day);
        // If two are equally near, the earlier one: an entry reports the past.
        dates.into_iter().filter_map(at).min_by_key(|time| time.abs_diff(near))
    }

    /// The time, where nothing is near: what is missing is the beginning of the year 0. It is in the zone that the text has, or
    /// in this one.
    pub(super) fn resolve_from_0(self, zone: &TimeZone) -> Option<ZonedDateTime> {
        let date = self.date(i16::try_from(self.year.unwrap_or(0)).ok()?)?;
        let (time, offset) = self.at(date, zone)?;
        let shown = match (self.utc, offset_at(zone, time) == offset) {
            (true, _) => TimeZone::UTC,
            (_, true) => zone.clone(),
            _ => TimeZone::fixed(Offset::from_seconds(i32::try_from(offset).ok()?).ok()?),
        };
        Some(time.to_zoned_datetime(shown))
    }

    /// The time on a date, and the offset that it is written with (seconds).
    fn at(&self, date: Date, zone: &TimeZone) -> Option<(Timestamp, i64)> {
        let hour = match self.pm {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let nanos = i32::try_from(self.nanos).ok()?;
        let time = Time::new(small(hour)?, small(self.minute)?, small(self.second)?, nanos).ok()?;
        let as_utc = TimeZone::UTC.to_timestamp(date.to_datetime(time)).ok()?;
        let offset = match (self.utc, self.offset, self.zone.as_deref()) {
            (true, ..) => 0,
            (_, Some(offset), _) => offset,
            // A name that the zone does not know is UTC, unless it holds an offset (`GMT+3`).
            (_, _, Some(name)) => offset_by_name(zone, name, as_utc)
                .or_else(|| Some(signed_hours(name.strip_prefix("GMT")?)?.0 * HOUR))
                .unwrap_or(0),
            _ => offset_at(zone, before(as_utc, offset_at(zone, as_utc))?),
        };
        Some((before(as_utc, offset)?, offset))
    }

    /// The possible dates of a time without a year, near `day`.
    fn dates_near(&self, day: Date) -> Vec<Date> {
        match (self.month, self.day, self.year_day) {
            // The days of two zones begin up to 26 hours apart.
            (None, None, None) => (-2..=2).filter_map(|days| day.checked_add(days.days()).ok()).collect(),
            (None, Some(of_month), None) => {
                let month = |months: i64| day.with().day(1).build().ok()?.checked_add(months.months()).ok();
                let of_month = |date: Date| date.with().day(small(of_month)?).build().ok();
                (-1..=1).filter_map(month).filter_map(of_month).collect()
            }
            _ => (day.year() - 1..=day.year() + 1).filter_map(|year| self.date(year)).collect(),
        }
    }

    /// The date in this year, or `None` if this year has no such date.
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

/// A number as the crate `jiff` takes it.
fn small(n: i64) -> Option<i8> {
    i8::try_from(n).ok()
}

/// A zone's offset at a time (seconds).
fn offset_at(zone: &TimeZone, at: Timestamp) -> i64 {
    zone.to_offset(at).seconds().into()
}

/// A time so many seconds before another.
fn before(at: Timestamp, seconds: i64) -> Option<Timestamp> {
    Timestamp::from_nanosecond(at.as_nanosecond() - i128::from(seconds) * SECOND).ok()
}

/// The offset of a zone's name, such as `CET` (seconds): the offset at the local time `as_utc` if the zone has this name
/// then; else the last offset before, or the next one after, that has this name.
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

/// Reads hours with their sign, up to 23; with the length of the text that they take (bytes).
pub(super) fn signed_hours(text: &str) -> Option<(i64, usize)> {
    let sign = match text.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let digits = text.bytes().skip(1).take_while(u8::is_ascii_digit).count();
    let hours: i64 = text.get(1..=digits)?.parse().ok()?;
    (hours <= 23).then_some((sign * hours, digits + 1))
}
