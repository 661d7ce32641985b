use super::*;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;

fn near() -> i64 {
    nanos_of("2026-11-21T07:00:00Z")
}

fn nanos_of(text: &str) -> i64 {
    i64::try_from(text.parse::<Timestamp>().unwrap().as_nanosecond()).unwrap()
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table of cases")]
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
        ("Mon, 02 Jan 2006 15:04:05 MST", "Sat, 21 Nov 2026 07:08:09 UTC", &berlin, "2026-11-21T07:08:09Z"),
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
        ("Monday, 02-Jan-06 15:04:05 MST", "saturday, 21-nov-26 07:08:09 GMT+3", utc, "2026-11-21T04:08:09Z"),
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
