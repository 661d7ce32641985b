//! Functions of times in LogQL (grafana/loki, `pkg/logql/log/fmt.go`; sprig, `date.go`), as a Loki in UTC has them. None reads
//! the clock: the same entry always gives the same result.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

use super::builtin::{WRONG_NUMBER, exactly, text};
use super::{Function, Value};
use crate::go::quote::Quoted;
use crate::go::time::Layout;

/// Nanoseconds of a second.
const SECOND: i128 = 1_000_000_000;
/// The beginning of the year 1, which Go calls the zero time (seconds since 1970).
const YEAR_1: i64 = -62_135_596_800;

/// The function of this name.
pub(super) fn function(name: &str) -> Option<Function> {
    Some(match name {
        "__timestamp__" => |_| Err("`__timestamp__` has no value here".into()),
        "date" => |args| {
            let [layout, time] = exactly(args)?;
            let time = match time {
                Value::Time(time) => time.timestamp().to_zoned_datetime(TimeZone::UTC),
                Value::Int(seconds) => of_nanoseconds(i128::from(*seconds) * SECOND)?,
                // Loki takes the time now.
                other => return Err(format!("wants a time, got {}", other.kind())),
            };
            Ok(Layout::new(text(layout)?).write(&time).into())
        },
        "toDate" => |args| {
            let [layout, subject] = exactly(args)?;
            read(text(layout)?, &TimeZone::UTC, text(subject)?)
        },
        "toDateInZone" => |args| {
            let [layout, zone, subject] = exactly(args)?;
            let zone = TimeZone::get(text(zone)?).unwrap_or(TimeZone::UTC);
            read(text(layout)?, &zone, text(subject)?)
        },
        "unixEpoch" => |args| since_1970(args, SECOND),
        "unixEpochMillis" => |args| since_1970(args, 1_000_000),
        "unixEpochNanos" => |args| since_1970(args, 1),
        "unixToTime" => |args| {
            let [subject] = exactly(args)?;
            Ok(unix_to_time(text(subject)?)?.into())
        },
        _ => return None,
    })
}

/// The method of a time of this name (Go's `time`): a function whose first argument is the time. Months and days of the week are
/// their names here, and numbers in Go that are shown so.
pub(super) fn method(name: &str) -> Option<Function> {
    Some(match name {
        "Year" => |args| number(args, |time| time.year()),
        "YearDay" => |args| number(args, |time| time.day_of_year()),
        "Day" => |args| number(args, |time| time.day()),
        "Hour" => |args| number(args, |time| time.hour()),
        "Minute" => |args| number(args, |time| time.minute()),
        "Second" => |args| number(args, |time| time.second()),
        "Nanosecond" => |args| number(args, |time| time.subsec_nanosecond()),
        "Unix" => |args| number(args, |time| units_since_1970(time, SECOND)),
        "UnixMilli" => |args| number(args, |time| units_since_1970(time, 1_000_000)),
        "UnixMicro" => |args| number(args, |time| units_since_1970(time, 1_000)),
        "UnixNano" => |args| number(args, |time| units_since_1970(time, 1)),
        "Month" => |args| written(args, "January"),
        "Weekday" => |args| written(args, "Monday"),
        "String" => |args| written(args, WHOLE),
        "UTC" => |args| Ok(alone(args)?.timestamp().to_zoned_datetime(TimeZone::UTC).into()),
        "IsZero" => |args| Ok((units_since_1970(alone(args)?, SECOND) == YEAR_1).into()),
        "Format" => |args| {
            let [Value::Time(time), layout] = args else { return Err(of_method(1, args)) };
            Ok(Layout::new(text(layout)?).write(time).into())
        },
        _ => return None,
    })
}

/// The time whose method was called without arguments.
fn alone(args: &[Value]) -> Result<&ZonedDateTime, String> {
    match args {
        [Value::Time(time)] => Ok(time),
        _ => Err(of_method(0, args)),
    }
}

fn number<N: Into<i64>>(args: &[Value], of: fn(&ZonedDateTime) -> N) -> Result<Value, String> {
    Ok(Value::Int(of(alone(args)?).into()))
}

/// A method was called with another number of arguments than it wants.
fn of_method(wants: usize, args: &[Value]) -> String {
    format!("{WRONG_NUMBER}: want {wants} got {}", args.len().saturating_sub(1))
}

fn written(args: &[Value], layout: &str) -> Result<Value, String> {
    Ok(Layout::new(layout).write(alone(args)?).into())
}

/// As Go writes a time.
pub(super) const WHOLE: &str = "2006-01-02 15:04:05.999999999 -0700 MST";

/// A time of an entry (nanoseconds since 1970), in UTC.
pub(crate) fn value(nanoseconds: i64) -> Value {
    of_nanoseconds(nanoseconds.into()).map_or(Value::Nil, Value::from)
}

pub(super) fn of_nanoseconds(nanoseconds: i128) -> Result<ZonedDateTime, String> {
    let time = Timestamp::from_nanosecond(nanoseconds).map_err(|_| "the time is out of range")?;
    Ok(time.to_zoned_datetime(TimeZone::UTC))
}

/// Reads a time. A text that is not a valid time gives the beginning of the year 1, as in Go.
fn read(layout: &str, zone: &TimeZone, subject: &str) -> Result<Value, String> {
    match Layout::new(layout).read(subject, zone) {
        Ok(time) => Ok(time.into()),
        Err(_) => of_nanoseconds(i128::from(YEAR_1) * SECOND).map(Value::from),
    }
}

/// So many `units` (nanoseconds), as text. As in Go, 64 bits of the number count.
fn since_1970(args: &[Value], unit: i128) -> Result<Value, String> {
    let [value] = exactly(args)?;
    match value {
        Value::Time(time) => Ok(units_since_1970(time, unit).to_string().into()),
        other => Err(format!("wants a time, got {}", other.kind())),
    }
}

fn units_since_1970(time: &ZonedDateTime, unit: i128) -> i64 {
    time.timestamp().as_nanosecond().div_euclid(unit) as i64
}

/// A time of so many days, seconds, milliseconds, microseconds or nanoseconds since 1970: the number of its digits tells.
fn unix_to_time(subject: &str) -> Result<ZonedDateTime, String> {
    let number: i64 = subject.parse().map_err(|error: std::num::ParseIntError| {
        let why = match error.kind() {
            std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        format!("unable to parse time '{subject}': strconv.ParseInt: parsing {}: {why}", Quoted(subject))
    })?;
    of_nanoseconds(match subject.len() {
        5 => i128::from(number) * 86_400 * SECOND,
        10 => i128::from(number) * SECOND,
        13 => number.wrapping_mul(1_000_000).into(),
        16 => number.wrapping_mul(1_000).into(),
        19 => number.into(),
        _ => return Err(format!("unable to parse time '{subject}': %!w(<nil>)")),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Template, logql};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_layout_and_time_have_a_result(layout in "\\PC{0,20}|[0-9JanMoPpmSTZ:,.+ _-]{0,20}", text in "\\PC{0,20}", time in any::<i64>()) {
            let time = value(time);
            for args in [[layout.as_str().into(), time.clone()], [layout.as_str().into(), text.as_str().into()]] {
                for name in ["date", "toDate"] {
                    let _ = function(name).map(|function| function(&args));
                }
            }
        }

        /// What was written is read back.
        #[test]
        fn a_time_comes_back(time in any::<i64>()) {
            let layout: Value = "2006-01-02T15:04:05.999999999Z07:00".into();
            let call = |name: &str, args: &[Value]| function(name).unwrap()(args).unwrap();
            let written = call("date", &[layout.clone(), value(time)]);
            prop_assert_eq!(call("toDate", &[layout, written]), value(time));
        }
    }

    /// Calls in a template, and what comes of each.
    fn filled_in(rows: &[(&str, &str)]) {
        for (call, expected) in rows {
            let filled = Template::with_empty(&format!("{{{{ {call} }}}}"), logql::function);
            let data = Value::Map(std::sync::Arc::default());
            let time = [("__timestamp__", value(1_656_353_124_120_000_000))];
            let filled = filled.and_then(|template| template.fill(&data, &time));
            assert_eq!(filled.unwrap_or_else(|error| format!("!{error}")), *expected, "{call}");
        }
    }

    #[test]
    fn times_are_gos() {
        filled_in(&[
            ("__timestamp__", "2022-06-27 18:05:24.12 +0000 UTC"),
            ("__timestamp__ | date \"2006-01-02\"", "2022-06-27"),
            ("__timestamp__ | unixEpoch", "1656353124"),
            (
                "sub (unixEpoch (toDate \"2006-01-02\" \"2021-11-02\")) (unixEpoch (toDate \"2006-01-02\" \"2021-11-01\"))",
                "86400",
            ),
            (
                "\"2023-03-10T01:32:40.340485723Z\" | toDateInZone \"2006-01-02T15:04:05.999999999Z\" \"UTC\" | unixEpochMillis",
                "1678411960340",
            ),
            (
                "\"2023-03-10T01:32:40.340485723Z\" | toDateInZone \"2006-01-02T15:04:05.999999999Z\" \"UTC\" | unixEpochNanos",
                "1678411960340485723",
            ),
            (
                "toDateInZone \"2006-01-02 15:04\" \"Europe/Berlin\" \"2024-07-01 12:00\"",
                "2024-07-01 12:00:00 +0200 CEST",
            ),
            (
                "toDateInZone \"2006-01-02 15:04\" \"Europe/Berlin\" \"2024-07-01 12:00\" | date \"15:04 MST\"",
                "10:00 UTC",
            ),
            (
                "toDateInZone \"2006-01-02 15:04\" \"No/Where\" \"2024-07-01 12:00\"",
                "2024-07-01 12:00:00 +0000 UTC",
            ),
            (
                "toDate \"2006-01-02T15:04:05Z07:00\" \"2024-07-01T12:00:00+05:30\"",
                "2024-07-01 12:00:00 +0530 +0530",
            ),
            ("toDate \"15:04\" \"12:30\"", "0000-01-01 12:30:00 +0000 UTC"),
            ("toDate \"2006-01-02\" \"never\"", "0001-01-01 00:00:00 +0000 UTC"),
            ("toDate \"2006-01-02\" \"never\" | unixEpoch", "-62135596800"),
            ("toDate \"2006-01-02\" \"never\" | unixEpochNanos", "-6795364578871345152"),
            ("unixToTime \"19503\"", "2023-05-26 00:00:00 +0000 UTC"),
            ("unixToTime \"1679577215\"", "2023-03-23 13:13:35 +0000 UTC"),
            ("unixToTime \"1257894000000\"", "2009-11-10 23:00:00 +0000 UTC"),
            ("unixToTime \"1673798889902000\"", "2023-01-15 16:08:09.902 +0000 UTC"),
            ("unixToTime \"1000000000000000000\" | unixEpochNanos", "1000000000000000000"),
            (
                "unixToTime \"abc\"",
                "!error calling unixToTime: unable to parse time 'abc': strconv.ParseInt: parsing \"abc\": invalid syntax",
            ),
            ("unixToTime \"464\"", "!error calling unixToTime: unable to parse time '464': %!w(<nil>)"),
            (
                "date \"Mon Jan _2 3:04:05PM 2006 .000 ,999 002 -07 Z07:00:00\" 86461",
                "Fri Jan  2 12:01:01AM 1970 .000  002 +00 Z",
            ),
            ("date \"Monday, January 06 pm Z0700\" 0", "Thursday, January 70 am Z"),
            ("date \"2006\" \"1\"", "!error calling date: wants a time, got string"),
            ("unixEpoch 1", "!error calling unixEpoch: wants a time, got int"),
            (
                "if __timestamp__ }}{{ printf \"%s %v\" (fromJson \"[1]\") __timestamp__ }}{{ end",
                "[%!s(float64=1)] 2022-06-27 18:05:24.12 +0000 UTC",
            ),
            // Objects.
            ("(fromJson \"{\\\"a\\\": {\\\"b\\\": [1e6, null, \\\"x\\\"]}}\").a", "map[b:[1e+06 <nil> x]]"),
            ("(fromJson \"{\\\"a\\\": \\\"x\\\"}\").b", "<no value>"),
            ("index (fromJson \"{\\\"a\\\": \\\"x\\\"}\") \"b\"", "<no value>"),
            (
                "range $k, $v := fromJson \"{\\\"a\\\": 1, \\\"b\\\": true}\" }}{{ $k }}={{ $v }};{{ end",
                "a=1;b=true;",
            ),
            ("fromJson \"{\" ", "<no value>"),
            ("len (fromJson \"{\\\"a\\\": 1}\")", "1"),
            ("index . \"nosuch\"", ""),
            ("now", "!there is no function `now`; did you mean `not`?"),
        ]);
    }

    #[test]
    fn times_have_methods() {
        filled_in(&[
            ("__timestamp__.Year", "2022"),
            ("(__timestamp__).Format \"15:04\"", "18:05"),
            ("__timestamp__.Format \"Jan _2\"", "Jun 27"),
            ("\"2006\" | __timestamp__.Format", "2022"),
            (
                "$t := unixToTime \"1700000000\" }}{{ $t.Month }} {{ $t.Day }} {{ $t.YearDay }} {{ $t.Weekday }} {{ $t.Format \"3PM\"",
                "November 14 318 Tuesday 10PM",
            ),
            ("(unixToTime \"1673798889902000\").UnixMilli", "1673798889902"),
            ("(toDateInZone \"2006-01-02 15\" \"Europe/Berlin\" \"2024-07-01 12\").UTC.Hour", "10"),
            ("(toDate \"2006\" \"never\").IsZero", "true"),
            ("eq __timestamp__.Second 24", "true"),
            ("__timestamp__.Format", "!wrong number of args for Format: want 1 got 0"),
            ("__timestamp__.Year 1", "!wrong number of args for Year: want 0 got 1"),
            ("__timestamp__.Era", "!can't evaluate field Era in type time.Time"),
            ("(lower \"a\").Format \"x\"", "!can't evaluate field Format in type string"),
        ]);
    }
}
