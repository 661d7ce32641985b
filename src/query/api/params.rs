//! Parameters of requests, as Loki reads them (grafana/loki, `pkg/loghttp/params.go`).

use std::num::{IntErrorKind, ParseIntError};
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::query::{Direction, POINTS_MAX, QueryError};
use logql::go::time::Layout;
use logql::go::units;

/// Lines of an answer unless `limit` says otherwise (count).
const LIMIT: usize = 100;
/// A span begins so long before its end unless the request says otherwise.
const SINCE: Duration = Duration::from_secs(3600);
/// Values of a series about (count), unless `step` says otherwise.
const STEPS: i64 = 250;
const SECOND: i64 = 1_000_000_000;
/// Go's `time.RFC3339Nano`.
const RFC_3339: &str = "2006-01-02T15:04:05.999999999Z07:00";

/// Stands in a parameter for a byte that is no UTF-8. It is no character (Unicode, 23.7): nobody asks for it.
pub(super) const NO_UTF8: char = '\u{ffff}';

/// A request that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) text: String,
}

impl Refused {
    /// It asks for what cannot be.
    pub(super) fn new(text: impl Into<String>) -> Refused {
        Refused { status: 400, text: text.into() }
    }
}

/// The parameters of a request: names and values, of which a name may have several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(pub Vec<(String, String)>);

impl Params {
    /// Those of the query of an address, and of a form, whose values come first (Go, `http.Request.ParseForm`).
    ///
    /// # Errors
    /// What Go says of an escape that is none, and of a semicolon.
    pub fn read(query: &str, form: &[u8]) -> Result<Params, String> {
        let parts = [form, query.as_bytes()].into_iter().flat_map(|text| text.split(|byte| *byte == b'&'));
        let pair = |part: &[u8]| {
            if part.contains(&b';') {
                return Err("invalid semicolon separator in query".to_owned());
            }
            let mut sides = part.splitn(2, |byte| *byte == b'=').map(|side| unescape(side, true));
            let mut side = || sides.next().unwrap_or_else(|| Ok(String::new()));
            Ok((side()?, side()?))
        };
        parts.filter(|part| !part.is_empty()).map(pair).collect::<Result<_, _>>().map(Params)
    }

    /// The first value of a name; empty if there is none.
    pub fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// All values of a name.
    pub fn all<'p>(&'p self, name: &'p str) -> impl Iterator<Item = &'p str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What a part of an address stands for, with [`NO_UTF8`] for bytes that are no text; in its query, `plus`, a plus sign is a space (Go, `url.QueryUnescape`,
/// `url.PathUnescape`).
///
/// # Errors
/// What Go says of an escape that is none.
pub(super) fn unescape(text: &[u8], plus: bool) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        bytes.push(match first {
            b'+' if plus => b' ',
            b'%' => {
                let shown = || String::from_utf8_lossy(behind.get(..2).unwrap_or(behind));
                let byte = behind.get(..2).and_then(hexadecimal);
                rest = behind.get(2..).unwrap_or_default();
                byte.ok_or_else(|| format!("invalid URL escape {:?}", format!("%{}", shown())))?
            }
            byte => *byte,
        });
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| NO_UTF8));
    }
    Ok(text)
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    let digits =
        str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u8::from_str_radix(digits, 16).ok()
}

/// The span of a request (nanoseconds since 1970).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) start: i64,
    pub(super) end: i64,
}

/// A whole number as Go reads it, or what it says of another text (`strconv.ParseInt`, `strconv.Atoi`).
fn whole(function: &str, text: &str) -> Result<i64, String> {
    text.parse().map_err(|error: ParseIntError| {
        let why = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        format!("strconv.{function}: parsing {text:?}: {why}")
    })
}

/// A time: seconds with a point, seconds of up to ten digits, nanoseconds, or RFC 3339. Of another text, what Loki says of it.
pub(super) fn time(text: &str, default: i64) -> Result<i64, String> {
    if text.is_empty() {
        return Ok(default);
    }
    if text.contains('.')
        && let Some(seconds) = units::number(text)
    {
        // Loki rounds to milliseconds.
        let (whole, part) = (seconds.trunc(), (seconds.fract() * 1000.0).round());
        return Ok((whole as i64).saturating_mul(SECOND).saturating_add(part as i64 * 1_000_000));
    }
    match whole("ParseInt", text) {
        Ok(number) if text.len() <= 10 => Ok(number.saturating_mul(SECOND)),
        Ok(number) => Ok(number),
        Err(error) => Layout::new(RFC_3339).parse(text, &TimeZone::UTC, default).map_err(|_| error),
    }
}

/// A time of a parameter, which the error names.
fn named_time(params: &Params, name: &str, default: i64) -> Result<i64, Refused> {
    time(params.get(name), default)
        .map_err(|error| Refused::new(format!("could not parse '{name}' parameter: {error}")))
}

/// `start`, `end` and `since`.
pub(super) fn bounds(params: &Params, now: i64) -> Result<Bounds, Refused> {
    let since = match params.get("since") {
        "" => SINCE,
        text => units::parse_duration(text).map_err(|_| {
            Refused::new(format!("could not parse 'since' parameter: not a valid duration string: {text:?}"))
        })?,
    };
    let end = named_time(params, "end", now)?;
    let since = i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
    let start = named_time(params, "start", end.min(now).saturating_sub(since))?;
    Ok(Bounds { start, end })
}

/// As [`bounds`], where Loki refuses an end before the start.
pub(super) fn ordered(params: &Params, now: i64) -> Result<Bounds, Refused> {
    let bounds = bounds(params, now)?;
    if bounds.end < bounds.start {
        return Err(Refused::new("end timestamp must not be before or equal to start time"));
    }
    Ok(bounds)
}

/// Bounds of which Loki finds out behind its frontend that the end is before the start: it takes that for
/// a limit of its own (`pkg/querier/limits/validation.go`).
pub(super) fn in_reach(bounds: Bounds) -> Result<Bounds, Refused> {
    if bounds.end < bounds.start {
        return Err(Refused::new(
            "this data is no longer available, it is past now - max_query_lookback (0s)",
        ));
    }
    Ok(bounds)
}

/// A number of lines or the like (count), of the first of these names that has a value.
pub(super) fn count(params: &Params, names: &[&str], default: usize) -> Result<usize, Refused> {
    let given = names.iter().map(|name| (name, params.get(name))).find(|(_, text)| !text.is_empty());
    let Some((name, text)) = given else { return Ok(default) };
    let number = whole("Atoi", text).map_err(Refused::new)?;
    if number <= 0 {
        return Err(Refused::new("limit must be a positive value"));
    }
    // Loki keeps it in 32 bits.
    u32::try_from(number)
        .ok()
        .and_then(|number| usize::try_from(number).ok())
        .ok_or_else(|| out_of_range(name, number))
}

/// `limit`
pub(super) fn limit(params: &Params) -> Result<usize, Refused> {
    count(params, &["limit"], LIMIT)
}

/// Refuses more lines than an answer may have. Loki asks this of log queries only (`pkg/querier/queryrange/roundtrip.go`).
pub(super) fn entries(limit: usize, most: usize) -> Result<(), Refused> {
    if limit > most {
        return Err(Refused::new(format!(
            "max entries limit per query exceeded, limit > max_entries_limit_per_query ({limit} > {most})"
        )));
    }
    Ok(())
}

/// `delay_for` (seconds)
pub(super) fn delay(params: &Params) -> Result<u32, Refused> {
    let text = params.get("delay_for");
    if text.is_empty() {
        return Ok(0);
    }
    let number = whole("Atoi", text).map_err(Refused::new)?;
    u32::try_from(number).map_err(|_| out_of_range("delay_for", number))
}

fn out_of_range(name: &str, number: i64) -> Refused {
    Refused::new(format!("{name} value {number} is out of range [0, {}]", u32::MAX))
}

/// `direction`
pub(super) fn direction(params: &Params) -> Result<Direction, Refused> {
    match params.get("direction") {
        "" => Ok(Direction::Backward),
        text if text.eq_ignore_ascii_case("forward") => Ok(Direction::Forward),
        text if text.eq_ignore_ascii_case("backward") => Ok(Direction::Backward),
        text => Err(Refused::new(format!("invalid direction '{text}'"))),
    }
}

/// A number of seconds, or a duration with units (nanoseconds).
fn duration(text: &str) -> Result<i64, Refused> {
    let wrong = || Refused::new(format!("cannot parse {text:?} to a valid duration"));
    if let Some(seconds) = units::number(text) {
        let nanoseconds = seconds * SECOND as f64;
        if !nanoseconds.is_finite() || nanoseconds.abs() > i64::MAX as f64 {
            return Err(Refused::new(format!(
                "cannot parse {text:?} to a valid duration. It overflows int64"
            )));
        }
        return Ok(nanoseconds as i64);
    }
    let duration = units::parse_duration(text).map_err(|_| wrong())?;
    i64::try_from(duration.as_nanos()).map_err(|_| wrong())
}

/// `step` (nanoseconds)
pub(super) fn step(params: &Params, start: i64, end: i64) -> Result<i64, Refused> {
    let span = end.saturating_sub(start);
    let step = match params.get("step") {
        "" => (span / SECOND / STEPS).max(1).saturating_mul(SECOND),
        text => duration(text)?,
    };
    if step <= 0 {
        return Err(Refused::new(
            "zero or negative query resolution step widths are not accepted. Try a positive integer",
        ));
    }
    if span / step > POINTS_MAX {
        return Err(QueryError::Points.into());
    }
    Ok(step)
}

/// What Loki reads of a request for a span, be it for lines, values or sizes (`pkg/loghttp/query.go`, `ParseRangeQuery`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) limit: usize,
    pub(super) direction: Direction,
    /// In nanoseconds.
    pub(super) step: i64,
    /// In nanoseconds; zero: none.
    pub(super) interval: i64,
}

/// What Loki reads of a request for one time (`ParseInstantQuery`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instant {
    pub(super) limit: usize,
    pub(super) time: i64,
    pub(super) direction: Direction,
}

/// Reads a request for one time.
pub(super) fn instant(params: &Params, now: i64) -> Result<Instant, Refused> {
    let limit = limit(params)?;
    let time = time(params.get("time"), now).map_err(Refused::new)?;
    let direction = direction(params)?;
    Ok(Instant { limit, time, direction })
}

/// Reads a request for a span.
pub(super) fn range(params: &Params, now: i64) -> Result<Range, Refused> {
    let Bounds { start, end } = ordered(params, now)?;
    let limit = limit(params)?;
    let direction = direction(params)?;
    let step = step(params, start, end)?;
    let interval = interval(params)?;
    Ok(Range { start, end, limit, direction, step, interval })
}

/// `interval` (nanoseconds); zero: none.
fn interval(params: &Params) -> Result<i64, Refused> {
    match params.get("interval") {
        "" => Ok(0),
        text => match duration(text)? {
            interval if interval < 0 => Err(Refused::new("interval must be >= 0")),
            interval => Ok(interval),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        Params(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn addresses_are_read_as_go_reads_them() {
        let read = |query: &str, form: &[u8]| {
            let params = Params::read(query, form)?;
            Ok::<_, String>(
                params.0.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
            )
        };
        assert_eq!(
            read("a=1+2%2B3&&b&=c&d=e=f%c3%A9", b"a=x%20y"),
            Ok(["a=x y", "a=1 2+3", "b=", "=c", "d=e=f\u{e9}"].map(str::to_owned).to_vec())
        );
        assert_eq!(read("a=%ffx%e2%98", b""), Ok(vec!["a=\u{ffff}x\u{ffff}\u{ffff}".to_owned()]));
        for (query, words) in [
            ("query=vector(1)%zz", "invalid URL escape \"%zz\""),
            ("a%+1=b", "invalid URL escape \"%+1\""),
            ("a=b%4", "invalid URL escape \"%4\""),
            ("a=b%", "invalid URL escape \"%\""),
            ("a=b;c=d", "invalid semicolon separator in query"),
        ] {
            assert_eq!(read(query, b""), Err(words.to_owned()), "{query}");
            assert_eq!(read("", query.as_bytes()), Err(words.to_owned()), "{query}");
        }
    }

    #[test]
    fn times_have_many_spellings() {
        let now = 7;
        for (text, expected) in [
            ("", Ok(now)),
            ("1795240800", Ok(1_795_240_800 * SECOND)),
            ("1795240800.5", Ok(1_795_240_800 * SECOND + 500_000_000)),
            ("1795240800.0006", Ok(1_795_240_800 * SECOND + 1_000_000)),
            ("1795240800000000000", Ok(1_795_240_800 * SECOND)),
            ("2026-11-21T06:00:00Z", Ok(1_795_240_800 * SECOND)),
            ("2026-11-21T07:00:00+01:00", Ok(1_795_240_800 * SECOND)),
            ("2026-11-21T06:00:00.000000001Z", Ok(1_795_240_800 * SECOND + 1)),
            ("2026-11-21T06:00:00.25+00:00", Ok(1_795_240_800 * SECOND + 250_000_000)),
            ("2026-11-21T6:00:00Z", Ok(1_795_240_800 * SECOND)),
            ("99999999999999999999", Err("value out of range")),
            ("yesterday", Err("invalid syntax")),
            ("1.x", Err("invalid syntax")),
            ("1e400.", Err("invalid syntax")),
            ("2026-11-21 06:00:00Z", Err("invalid syntax")),
            ("2026-11-21t06:00:00z", Err("invalid syntax")),
            ("20261121T060000Z", Err("invalid syntax")),
            ("2026-11-21T06:00:00", Err("invalid syntax")),
            ("2026-11-21T06:00Z", Err("invalid syntax")),
            ("2026-11-21T06:00:60Z", Err("invalid syntax")),
            ("2026-02-29T06:00:00Z", Err("invalid syntax")),
            ("2026-11-21T06:00:00+01", Err("invalid syntax")),
            ("2026-11-21T06:00:00Z[UTC]", Err("invalid syntax")),
        ] {
            let expected = expected.map_err(|why| format!("strconv.ParseInt: parsing {text:?}: {why}"));
            assert_eq!(time(text, now), expected, "{text}");
        }
        let error = bounds(&params(&[("start", "yesterday")]), now).unwrap_err();
        assert_eq!(
            error.text,
            "could not parse 'start' parameter: strconv.ParseInt: parsing \"yesterday\": invalid syntax"
        );
    }

    #[test]
    fn spans_end_now_and_last_an_hour() {
        let now = 100_000 * SECOND;
        for (pairs, start, end) in [
            (&[][..], 96_400, 100_000),
            (&[("since", "10m")], 99_400, 100_000),
            (&[("end", "50000")], 46_400, 50_000),
            // An end that has not come yet is no beginning.
            (&[("end", "200000"), ("since", "10m")], 99_400, 200_000),
            (&[("start", "1"), ("since", "10m")], 1, 100_000),
        ] {
            let bounds = bounds(&params(pairs), now);
            assert_eq!(bounds, Ok(Bounds { start: start * SECOND, end: end * SECOND }), "{pairs:?}");
        }
        assert!(bounds(&params(&[("since", "bad")]), now).is_err());
    }

    #[test]
    fn numbers_that_cannot_be_are_refused_in_lokis_words() {
        let step = |text: &str| step(&params(&[("step", text)]), 0, 100 * SECOND);
        assert_eq!(step(""), Ok(SECOND));
        assert_eq!(step("0.5"), Ok(SECOND / 2));
        assert_eq!(step("900000ms"), Ok(900 * SECOND));
        for (text, words) in [
            ("-1", "zero or negative query resolution step widths are not accepted. Try a positive integer"),
            ("0", "zero or negative query resolution step widths are not accepted. Try a positive integer"),
            ("abc", "cannot parse \"abc\" to a valid duration"),
            ("1e300", "cannot parse \"1e300\" to a valid duration. It overflows int64"),
            (
                "0.001",
                "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter",
            ),
        ] {
            assert_eq!(step(text).map_err(|refused| refused.text), Err(words.to_owned()), "{text}");
        }
        let limit = |text: &str| limit(&params(&[("limit", text)])).map_err(|refused| refused.text);
        assert_eq!((limit(""), limit("7"), limit("6000")), (Ok(100), Ok(7), Ok(6000)));
        assert_eq!(
            limit("4294967296"),
            Err("limit value 4294967296 is out of range [0, 4294967295]".to_owned())
        );
        assert_eq!(limit("0"), Err("limit must be a positive value".to_owned()));
        assert_eq!(
            limit("99999999999999999999"),
            Err("strconv.Atoi: parsing \"99999999999999999999\": value out of range".to_owned())
        );
        assert_eq!(limit("x"), Err("strconv.Atoi: parsing \"x\": invalid syntax".to_owned()));
        assert_eq!(entries(5000, 5000), Ok(()));
        assert_eq!(
            entries(5001, 5000).map_err(|refused| refused.text),
            Err("max entries limit per query exceeded, limit > max_entries_limit_per_query (5001 > 5000)"
                .to_owned())
        );
    }
}
