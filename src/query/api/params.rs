//! Parameters of requests, as Loki reads them (grafana/loki, `pkg/loghttp/params.go`).

use std::time::Duration;

use jiff::Timestamp;

use crate::query::{Direction, POINTS_MAX, QueryError};
use logql::go::units;

/// Lines of an answer unless `limit` says otherwise (count).
const LIMIT: usize = 100;
/// A span begins so long before its end unless the request says otherwise.
const SINCE: Duration = Duration::from_secs(3600);
/// Values of a series about (count), unless `step` says otherwise.
const STEPS: i64 = 250;
const SECOND: i64 = 1_000_000_000;

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
    pub fn read(query: &str, form: &[u8]) -> Params {
        let pairs = url::form_urlencoded::parse(form).chain(url::form_urlencoded::parse(query.as_bytes()));
        Params(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
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

/// The span of a request (nanoseconds since 1970).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) start: i64,
    pub(super) end: i64,
}

/// A time: seconds with a point, seconds of up to ten digits, nanoseconds, or RFC 3339.
pub(super) fn time(text: &str, name: &str, default: i64) -> Result<i64, Refused> {
    if text.is_empty() {
        return Ok(default);
    }
    if text.contains('.')
        && let Ok(seconds) = text.parse::<f64>()
    {
        // Loki rounds to milliseconds.
        let (whole, part) = (seconds.trunc(), (seconds.fract() * 1000.0).round());
        return Ok((whole as i64).saturating_mul(SECOND).saturating_add(part as i64 * 1_000_000));
    }
    if let Ok(number) = text.parse::<i64>() {
        return Ok(if text.len() <= 10 { number.saturating_mul(SECOND) } else { number });
    }
    let time = text.parse::<Timestamp>().ok().and_then(|time| i64::try_from(time.as_nanosecond()).ok());
    time.ok_or_else(|| {
        Refused::new(format!(
            "could not parse '{name}' parameter: strconv.ParseInt: parsing {text:?}: invalid syntax"
        ))
    })
}

/// `start`, `end` and `since`.
pub(super) fn bounds(params: &Params, now: i64) -> Result<Bounds, Refused> {
    let since = match params.get("since") {
        "" => SINCE,
        text => units::parse_duration(text).map_err(|_| {
            Refused::new(format!("could not parse 'since' parameter: not a valid duration string: {text:?}"))
        })?,
    };
    let end = time(params.get("end"), "end", now)?;
    let since = i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
    let start = time(params.get("start"), "start", end.min(now).saturating_sub(since))?;
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

/// A number of lines or the like (count), of the first of these names that has a value.
pub(super) fn count(params: &Params, names: &[&str], default: usize) -> Result<usize, Refused> {
    let given = names.iter().map(|name| (name, params.get(name))).find(|(_, text)| !text.is_empty());
    let Some((name, text)) = given else { return Ok(default) };
    let number: i64 =
        text.parse().map_err(|_| Refused::new(format!("strconv.Atoi: parsing {text:?}: invalid syntax")))?;
    if number <= 0 {
        return Err(Refused::new("limit must be a positive value"));
    }
    // Loki keeps it in 32 bits.
    u32::try_from(number)
        .ok()
        .and_then(|number| usize::try_from(number).ok())
        .ok_or_else(|| Refused::new(format!("{name} value {number} is out of range [0, {}]", u32::MAX)))
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
    if let Ok(seconds) = text.parse::<f64>() {
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
            ("99999999999999999999", Err(())),
            ("yesterday", Err(())),
            ("1.x", Err(())),
        ] {
            assert_eq!(time(text, "start", now).map_err(drop), expected, "{text}");
        }
        let error = time("yesterday", "start", now).unwrap_err();
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
        assert_eq!(limit("x"), Err("strconv.Atoi: parsing \"x\": invalid syntax".to_owned()));
        assert_eq!(entries(5000, 5000), Ok(()));
        assert_eq!(
            entries(5001, 5000).map_err(|refused| refused.text),
            Err("max entries limit per query exceeded, limit > max_entries_limit_per_query (5001 > 5000)"
                .to_owned())
        );
    }
}
