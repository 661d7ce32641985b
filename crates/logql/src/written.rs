//! Numbers and durations as LogQL writes them.

use std::fmt;

/// A number as LogQL writes it. LogQL has no word for a value that is not a number or is infinite: such a value is written
/// as a calculation that gives it.
pub(crate) struct Number(pub f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            value if value.is_nan() => f.write_str("(0 / 0)"),
            value if value.is_infinite() => write!(f, "({}1e308 * 10)", if value < 0.0 { "-" } else { "" }),
            value if value != 0.0 && !(1e-5..1e21).contains(&value.abs()) => write!(f, "{value:e}"),
            value => write!(f, "{value}"),
        }
    }
}

/// A duration (nanoseconds) in Prometheus's units, or in Go's where Prometheus's are too coarse.
pub(crate) struct Duration(pub i64);

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MILLISECOND: u64 = 1_000_000;
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
