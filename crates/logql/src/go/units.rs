//! Durations, sizes and numbers as Go programs read them: `1h30m`, `1.5h`, `12MB`, `5KiB`, `0x1p4`.

/// Nanoseconds of Prometheus's units, from large to small.
const PROMETHEUS: [(&str, i64); 7] = [
    ("y", 365 * 24 * 3_600_000_000_000),
    ("w", 7 * 24 * 3_600_000_000_000),
    ("d", 24 * 3_600_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
];

/// Nanoseconds of Go's units.
const GO: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("\u{b5}s", 1e3),
    ("\u{3bc}s", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// A duration in nanoseconds: Prometheus's, else Go's (grafana/loki, `pkg/logql/syntax/lex.go`).
pub(crate) fn duration(text: &str) -> Option<i64> {
    prometheus_duration(text).or_else(|| go_duration(text))
}

/// Whole numbers, each unit at most once, from large to small (`model.ParseDuration` of
/// github.com/prometheus/common).
pub(crate) fn prometheus_duration(text: &str) -> Option<i64> {
    if text == "0" {
        return Some(0);
    }
    let mut units = PROMETHEUS.iter();
    let (mut sum, mut rest) = (0_i64, text);
    loop {
        let (number, after) = split(rest, |c| c.is_ascii_digit());
        let (unit, after) = split(after, |c| !c.is_ascii_digit());
        let (_, nanoseconds) = units.find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(number.parse::<i64>().ok()?.checked_mul(*nanoseconds)?)?;
        rest = after;
        if rest.is_empty() {
            return Some(sum);
        }
    }
}

/// Numbers with fractions, units in any order, a sign before it all (Go's `time.ParseDuration`).
pub(crate) fn go_duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut sum = 0_i64;
    loop {
        let (number, after) = split(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split(after, |c| !c.is_ascii_digit() && c != '.');
        let (_, nanoseconds) = GO.iter().find(|(name, _)| *name == unit)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let whole = if whole.is_empty() { 0 } else { whole.parse::<i64>().ok()? };
        sum = sum.checked_add(whole.checked_mul(*nanoseconds as i64)?)?;
        let fraction: f64 = format!("0.{fraction}0").parse().ok()?;
        sum = sum.checked_add((fraction * nanoseconds) as i64)?;
        rest = after;
        if rest.is_empty() {
            return Some(sign * sum);
        }
    }
}

/// A size in bytes, its unit in any case (github.com/dustin/go-humanize, `ParseBytes`).
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = split(text, |c| c.is_ascii_digit() || c == '.');
    let number: f64 = number.parse().ok()?;
    let unit = unit.trim().to_ascii_lowercase();
    let (large, small) = unit.split_at_checked(1).unwrap_or((&unit, ""));
    let power = |base: f64| "kmgtpe".find(large).map(|index| base.powi(index as i32 + 1));
    let factor = match (large, small) {
        ("" | "b", "") => 1.0,
        (_, "" | "b") => power(1000.0)?,
        (_, "i" | "ib") => power(1024.0)?,
        _ => return None,
    };
    let bytes = number * factor;
    (bytes < u64::MAX as f64).then_some(bytes as u64)
}

/// A number as Go's `strconv.ParseFloat` takes it: `1e3`, `0x1p4`, `1_000`, `Inf`, `NaN`; not one too large.
pub(crate) fn number(text: &str) -> Option<f64> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if unsigned.starts_with(['-', '+']) {
        return None;
    }
    let lower = plain_digits(&unsigned.to_ascii_lowercase())?;
    if let Some(digits) = lower.strip_prefix("0x") {
        // Not without an exponent.
        let (mantissa, exponent) = digits.split_once('p')?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: String = whole.chars().chain(fraction.chars()).collect();
        let digits = Some(digits.as_str()).filter(|digits| !digits.starts_with('+'))?;
        let value = u64::from_str_radix(digits, 16).ok()? as f64;
        let exponent: i32 = exponent.parse().ok()?;
        let below = i32::try_from(fraction.len()).ok()?.saturating_mul(4);
        let value = sign * value * 2_f64.powi(exponent.saturating_sub(below));
        return value.is_finite().then_some(value);
    }
    match lower.as_str() {
        "inf" | "infinity" => return Some(sign * f64::INFINITY),
        "nan" => return Some(f64::NAN),
        _ => {}
    }
    let value: f64 = lower.parse().ok()?;
    value.is_finite().then_some(sign * value)
}

/// A number, in lower case, without the `_` that separate its digits.
fn plain_digits(text: &str) -> Option<String> {
    let hex = text.starts_with("0x");
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_digit(if hex { 16 } else { 10 }));
    let mut before = None;
    let mut chars = text.chars().enumerate().peekable();
    let mut plain = String::with_capacity(text.len());
    while let Some((index, c)) = chars.next() {
        match c {
            '_' if !is_digit(before) || !is_digit(chars.peek().map(|(_, next)| *next)) => return None,
            '_' => {}
            c => plain.push(c),
        }
        // The prefix of the base counts as a digit.
        before = if hex && index == 1 { Some('0') } else { Some(c) };
    }
    Some(plain)
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        const SECOND: i64 = 1_000_000_000;
        for (text, expected) in [
            ("5m", Some(300 * SECOND)),
            ("1h30m", Some(5400 * SECOND)),
            ("1d12h", Some(129_600 * SECOND)),
            ("2w", Some(1_209_600 * SECOND)),
            ("1y", Some(31_536_000 * SECOND)),
            ("0", Some(0)),
            ("500ms", Some(SECOND / 2)),
            // Go's.
            ("1.5h", Some(5400 * SECOND)),
            (".5s", Some(SECOND / 2)),
            ("1.s", Some(SECOND)),
            ("30m1h", Some(5400 * SECOND)),
            ("-5s", Some(-5 * SECOND)),
            ("3us2ns", Some(3002)),
            ("3µs", Some(3000)),
            ("-0", Some(0)),
            ("", None),
            ("5", None),
            ("m", None),
            ("5x", None),
            ("1.5d", None),
            ("1.2.3s", None),
            (".s", None),
            ("400y", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(duration(text), expected, "{text}");
        }
        assert_eq!(prometheus_duration("1.5h"), None);
        assert_eq!(prometheus_duration("30m1h"), None);
        assert_eq!(prometheus_duration("1m1m"), None);
    }

    #[test]
    fn numbers() {
        for (text, expected) in [
            ("-1.5e3", Some(-1500.0)),
            ("1_23.50_0_0e+1_2", Some(1.235e14)),
            ("0x_1_0p0", Some(16.0)),
            ("1__0", None),
            ("_1", None),
            ("1_", None),
            ("1_.5", None),
            ("0x10", None),
            ("0x1_0p0", Some(16.0)),
            ("0x1.8p1", Some(3.0)),
            ("-0x1p-2", Some(-0.25)),
            ("0x1p-2147483648", Some(0.0)),
            ("0x0.8p-2147483648", Some(0.0)),
            ("0x1p2147483647", None),
            ("0x+1", None),
            ("0x", None),
            ("1e999", None),
            ("+Inf", Some(f64::INFINITY)),
            ("--1", None),
            ("", None),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("5B", Some(5)),
            ("12MB", Some(12_000_000)),
            ("1.5KiB", Some(1536)),
            ("900kB", Some(900_000)),
            ("2Gi", Some(2 << 30)),
            ("1PiB", Some(1 << 50)),
            ("1k", Some(1000)),
            ("2EB", Some(2_000_000_000_000_000_000)),
            ("17EiB", None),
            ("5é", None),
            ("5i", None),
            ("", None),
            ("B", None),
            ("1XB", None),
            ("1.2.3B", None),
            ("99999PB", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
