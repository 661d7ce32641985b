//! What a question may ask for and what an answer may have, with Loki's words for what is too much (grafana/loki,
//! `pkg/querier/queryrange/limits.go`, `pkg/util/validation/validate.go`).

use std::fmt;
use std::time::Duration;

use super::{QueryError, Threads};
use logql::go::units;

/// Most lines of an answer of the API (count): Loki's `max_entries_limit_per_query`.
pub const ENTRIES_MAX: usize = 5000;
/// Most series that a query of the API may have (count): Loki's `max_query_series`.
pub const SERIES_MAX: usize = 500;
/// What the lines of an answer of the API may take (bytes).
pub const LINES_MAX: usize = 8 << 20;
/// A millisecond (nanoseconds): Loki measures spans in whole ones.
const MILLISECOND: i64 = 1_000_000;

/// What a question may ask for, and what its answer may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The time from the start to the end of a question, and each range of a metric query. `None`: any.
    pub span: Option<Duration>,
    /// Lines that may be asked for (count).
    pub entries: usize,
    /// Series (count).
    pub series: usize,
    /// Lines with their labels (bytes).
    pub bytes: usize,
    /// What is read from journal files (bytes). `None`: any.
    pub bytes_read: Option<u64>,
    /// Threads that read for it.
    pub threads: Threads,
}

impl Default for Limits {
    /// Those of the API.
    fn default() -> Self {
        Limits {
            span: None,
            entries: ENTRIES_MAX,
            series: SERIES_MAX,
            bytes: LINES_MAX,
            bytes_read: None,
            threads: Threads::ONE,
        }
    }
}

impl Limits {
    /// Refuses a span that is too long (nanoseconds since 1970).
    pub(super) fn span(&self, (start, end): (i64, i64)) -> Result<(), QueryError> {
        let [start, end] = [start, end].map(|time| time.div_euclid(MILLISECOND));
        self.length(end.saturating_sub(start).saturating_mul(MILLISECOND))
    }

    /// Refuses a length of time that is too long (nanoseconds).
    pub(super) fn length(&self, length: i64) -> Result<(), QueryError> {
        match self.span {
            Some(limit) if i128::from(length) > i128::try_from(limit.as_nanos()).unwrap_or(i128::MAX) => {
                Err(QueryError::Span(GoDuration(length), PrometheusDuration(limit)))
            }
            _ => Ok(()),
        }
    }

    /// Refuses to read on after so many bytes.
    pub(super) fn read(&self, bytes: u64) -> Result<(), QueryError> {
        match self.bytes_read {
            Some(limit) if bytes > limit => Err(QueryError::Read(Binary(bytes), Binary(limit))),
            _ => Ok(()),
        }
    }
}

/// A length of time (nanoseconds), as Go writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoDuration(i64);

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&units::format_go_duration(self.0))
    }
}

/// A length of time, as Prometheus writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrometheusDuration(Duration);

impl fmt::Display for PrometheusDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&units::format_duration(self.0))
    }
}

/// A number of bytes in binary units (github.com/dustin/go-humanize, `IBytes`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binary(u64);

impl fmt::Display for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (digits, unit) = scaled(self.0, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]);
        write!(f, "{digits} {unit}")
    }
}

/// A number of bytes in decimal units, as LogQL takes it (github.com/dustin/go-humanize, `Bytes`, without its space).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal(pub u64);

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (digits, unit) = scaled(self.0, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB", "EB"]);
        write!(f, "{digits}{unit}")
    }
}

/// A number of bytes in the largest unit of which there is one, each `base` times the one before it.
fn scaled<'u>(bytes: u64, base: f64, units: &[&'u str; 7]) -> (String, &'u str) {
    let place = if bytes < 10 { 0.0 } else { ((bytes as f64).ln() / base.ln()).floor() };
    let tenths = (bytes as f64 / base.powf(place) * 10.0 + 0.5).floor() / 10.0;
    let digits = usize::from(tenths < 10.0 && bytes >= 10);
    (format!("{tenths:.digits$}"), units.get(place as usize).unwrap_or(&"B"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_as_loki_writes_them() {
        for (bytes, text) in [
            (0, "0 B"),
            (9, "9 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1 << 20, "1.0 MiB"),
            (12_345_678, "12 MiB"),
            (10_380_902, "9.9 MiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(Binary(bytes).to_string(), text, "{bytes}");
        }
        for (bytes, text) in [
            (9, "9B"),
            (10, "10B"),
            (999, "999B"),
            (1000, "1.0kB"),
            (10_000, "10kB"),
            (4 << 20, "4.2MB"),
            (1_000_000_000, "1.0GB"),
            (2_000_000_000, "2.0GB"),
        ] {
            assert_eq!(Decimal(bytes).to_string(), text, "{bytes}");
        }
    }

    #[test]
    fn spans_are_measured_in_milliseconds_and_told_as_loki_tells_them() {
        let limits = Limits { span: Some(Duration::from_secs(30 * 86_400)), ..Limits::default() };
        let month = 30 * 86_400_000 * MILLISECOND;
        assert!(limits.span((0, month)).is_ok());
        assert!(limits.span((0, month + MILLISECOND - 1)).is_ok());
        assert!(limits.span((month, 0)).is_ok());
        let told = |span| limits.span(span).map_err(|error| error.to_string());
        let words = |length| {
            Err(format!("the query time range exceeds the limit (query length: {length}, limit: 30d)"))
        };
        assert_eq!(told((0, month + MILLISECOND)), words("720h0m0.001s"));
        assert_eq!(told((0, month * 2)), words("1440h0m0s"));
        assert!(told((i64::MIN, i64::MAX)).is_err());
        assert!(Limits::default().span((i64::MIN, i64::MAX)).is_ok());
    }
}
