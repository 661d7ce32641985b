//! Numbers, durations and sizes as LogQL writes them. With `{:#}` they are as Loki's own `String` methods write them.

use std::fmt;

use crate::go::float::shortest;
use crate::go::units;

/// A number as LogQL writes it. LogQL has no word for a value that is not a number or is infinite: such a value is written
/// as a calculation that gives it. With `{:#}`: as Go's `fmt.Sprint` does (grafana/loki, `pkg/logql/syntax/ast.go`,
/// `LiteralExpr`).
pub(crate) struct Number(pub f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            value if f.alternate() => f.write_str(&shortest(value)),
            value if value.is_nan() => f.write_str("(0 / 0)"),
            value if value.is_infinite() => write!(f, "({}1e308 * 10)", if value < 0.0 { "-" } else { "" }),
            value if value != 0.0 && !(1e-5..1e21).contains(&value.abs()) => write!(f, "{value:e}"),
            value => write!(f, "{value}"),
        }
    }
}

/// A duration (nanoseconds) in Prometheus's units, or in Go's where Prometheus's are too coarse. With `{:#}`: with years and
/// weeks where they come out even, as Prometheus's `model.Duration` does.
pub(crate) struct Duration(pub i64);

/// A millisecond (nanoseconds).
const MILLISECOND: u64 = 1_000_000;

impl Duration {
    /// Whether Prometheus's units can tell it.
    fn is_prometheus(&self) -> bool {
        self.0 > 0 && self.0.unsigned_abs().is_multiple_of(MILLISECOND)
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() && self.is_prometheus() {
            let duration = std::time::Duration::from_nanos(self.0.unsigned_abs());
            return f.write_str(&units::format_duration(duration));
        }
        let sign = if self.0 < 0 { "-" } else { "" };
        let mut rest = self.0.unsigned_abs();
        if rest == 0 {
            return f.write_str("0s");
        }
        f.write_str(sign)?;
        if !rest.is_multiple_of(MILLISECOND) {
            return write!(f, "{rest}ns");
        }
        // Only Go's form takes a sign, and Go has no unit for days.
        let units: &[(&str, u64)] = match sign {
            "" => &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)],
            _ => &[("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)],
        };
        for (unit, milliseconds) in units {
            let size = milliseconds * MILLISECOND;
            if rest >= size {
                write!(f, "{}{unit}", rest / size)?;
                rest %= size;
            }
        }
        Ok(())
    }
}

/// A size (bytes) as go-humanize writes it, without the space (github.com/dustin/go-humanize, `bytes.go`): of a size of ten units
/// or more the fraction is lost.
pub(crate) struct Humanized(pub u64);

impl fmt::Display for Humanized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
        if self.0 < 10 {
            return write!(f, "{}B", self.0);
        }
        let (mut unit, mut factor) = ("B", 1.0);
        for larger in UNITS.iter().skip(1) {
            if self.0 as f64 / factor < 1000.0 {
                break;
            }
            (unit, factor) = (larger, factor * 1000.0);
        }
        let value = (self.0 as f64 / factor * 10.0 + 0.5).floor() / 10.0;
        write!(f, "{value:.*}{unit}", usize::from(value < 10.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lokis_spellings() {
        for (bytes, expected) in [
            (0, "0B"),
            (9, "9B"),
            (10, "10B"),
            (999, "999B"),
            (1000, "1.0kB"),
            (1050, "1.1kB"),
            (9949, "9.9kB"),
            (9951, "10kB"),
            (999_449, "999kB"),
            (999_999, "1000kB"),
            (1 << 20, "1.0MB"),
            (10_000_000_000, "10GB"),
            (1_500_000_000_000, "1.5TB"),
            (u64::MAX, "18EB"),
        ] {
            assert_eq!(Humanized(bytes).to_string(), expected, "{bytes}");
        }
        for (number, own, loki) in [
            (5.0, "5", "5"),
            (1e6, "1000000", "1e+06"),
            (1e-7, "1e-7", "1e-07"),
            (-0.0, "-0", "-0"),
            (f64::NAN, "(0 / 0)", "NaN"),
            (f64::NEG_INFINITY, "(-1e308 * 10)", "-Inf"),
        ] {
            assert_eq!(Number(number).to_string(), own);
            assert_eq!(format!("{:#}", Number(number)), loki);
        }
        const MINUTE: i64 = 60_000_000_000;
        for (duration, own, loki) in [
            (90 * MINUTE, "1h30m", "1h30m"),
            (7 * 24 * 60 * MINUTE, "7d", "1w"),
            (8 * 24 * 60 * MINUTE, "8d", "8d"),
            (365 * 24 * 60 * MINUTE, "365d", "1y"),
            (-5 * MINUTE, "-5m", "-5m"),
            (1500, "1500ns", "1500ns"),
            (0, "0s", "0s"),
        ] {
            assert_eq!(Duration(duration).to_string(), own);
            assert_eq!(format!("{:#}", Duration(duration)), loki);
        }
    }
}
