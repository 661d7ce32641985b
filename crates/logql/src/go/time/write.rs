//! Times, written by the elements of a layout (Go's `time.Format`).

use std::fmt::Write;

use jiff::ZonedDateTime;

use super::layout::{Element, Layout, MONTHS, Part, WEEKDAYS, ZoneForm};

impl Layout {
    /// Writes a time.
    pub(crate) fn write(&self, time: &ZonedDateTime) -> String {
        let mut out = String::new();
        for part in &self.parts {
            // Writing to a string does not fail.
            let _ = write(&mut out, part, time);
        }
        out
    }
}

fn write(out: &mut String, Part { element, written }: &Part, time: &ZonedDateTime) -> std::fmt::Result {
    let month = || MONTHS.get(usize::from(time.month().unsigned_abs()) - 1).copied().unwrap_or_default();
    let weekday = || {
        let number = usize::from(time.weekday().to_sunday_zero_offset().unsigned_abs());
        WEEKDAYS.get(number).copied().unwrap_or_default()
    };
    let short = |name: &'static str| name.get(..3).unwrap_or(name);
    let twelve = match time.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    match element {
        Element::Literal(text) => out.write_str(text),
        Element::LongMonth => out.write_str(month()),
        Element::Month => out.write_str(short(month())),
        Element::NumMonth(digits) => write!(out, "{:0digits$}", time.month()),
        Element::LongWeekday => out.write_str(weekday()),
        Element::Weekday => out.write_str(short(weekday())),
        Element::Day(digits) => write!(out, "{:0digits$}", time.day()),
        Element::UnderDay => write!(out, "{:2}", time.day()),
        Element::YearDay => write!(out, "{:03}", time.day_of_year()),
        Element::UnderYearDay => write!(out, "{:3}", time.day_of_year()),
        Element::Hour24 => write!(out, "{:02}", time.hour()),
        Element::Hour12(digits) => write!(out, "{twelve:0digits$}"),
        Element::Minute(digits) => write!(out, "{:0digits$}", time.minute()),
        Element::Second(digits) => write!(out, "{:0digits$}", time.second()),
        Element::LongYear => write!(out, "{:04}", time.year()),
        Element::Year => write!(out, "{:02}", time.year().rem_euclid(100)),
        Element::Pm { upper } => out.write_str(match (time.hour() >= 12, upper) {
            (true, true) => "PM",
            (false, true) => "AM",
            (true, false) => "pm",
            (false, false) => "am",
        }),
        Element::ZoneName => match time.time_zone().iana_name() {
            Some(_) => {
                let info = time.time_zone().to_offset_info(time.timestamp());
                out.write_str(info.abbreviation())
            }
            // An offset without a name.
            None => offset(out, time, ZoneForm { z: false, colon: false, seconds: false, short: false }),
        },
        Element::Zone(form) => offset(out, time, *form),
        Element::Fraction { digits, exact } => {
            let all = format!("{:09}", time.subsec_nanosecond());
            let shown = all.get(..*digits).unwrap_or(&all);
            let shown = if *exact { shown } else { shown.trim_end_matches('0') };
            match shown.is_empty() {
                true => Ok(()),
                false => write!(out, "{}{shown}", written.get(..1).unwrap_or(".")),
            }
        }
    }
}

fn offset(out: &mut String, time: &ZonedDateTime, form: ZoneForm) -> std::fmt::Result {
    let east = time.offset().seconds();
    if form.z && east == 0 {
        return out.write_str("Z");
    }
    let (sign, east) = (if east < 0 { '-' } else { '+' }, east.unsigned_abs());
    let colon = if form.colon { ":" } else { "" };
    write!(out, "{sign}{:02}", east / 3600)?;
    if !form.short {
        write!(out, "{colon}{:02}", east / 60 % 60)?;
    }
    if form.seconds {
        write!(out, "{colon}{:02}", east % 60)?;
    }
    Ok(())
}
