//! Numbers (float64) as Go's `strconv` and `fmt` write them.

/// The shortest text that reads back as the same number, as Go's `%v` writes it: with an exponent from 1e6 on and
/// below 1e-4 (Go, `strconv/ftoa.go`).
pub(crate) fn shortest(number: f64) -> String {
    match number {
        n if n.is_nan() => "NaN".into(),
        f64::INFINITY => "+Inf".into(),
        f64::NEG_INFINITY => "-Inf".into(),
        n if n == 0.0 || (1e-4..1e6).contains(&n.abs()) => n.to_string(),
        n => with_exponent(&format!("{n:e}")),
    }
}

/// The shortest text with an exponent that reads back as the same number, as `strconv.FormatFloat(number, 'e', -1, 64)` writes it.
pub fn exponential(number: f64) -> String {
    if number.is_finite() { with_exponent(&format!("{number:e}")) } else { shortest(number) }
}

/// A number with so many significant digits (at least one), without zeros at the end, as `%.4g` writes it in C.
pub(crate) fn significant(number: f64, digits: usize) -> String {
    if number == 0.0 || !number.is_finite() {
        return shortest(number);
    }
    let digits = digits.max(1);
    let scientific = format!("{number:.*e}", digits - 1);
    let power: i64 = scientific.split_once('e').and_then(|(_, power)| power.parse().ok()).unwrap_or(0);
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if power < -4 || power >= digits as i64 {
        let (mantissa, power) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        return with_exponent(&format!("{}e{power}", trim(mantissa)));
    }
    let decimals = usize::try_from(digits as i64 - 1 - power).unwrap_or(0);
    trim(&format!("{number:.decimals$}"))
}

/// Rewrites Rust's exponent (`1e-7`) as Go's, which has a sign and at least two digits (`1e-07`).
pub(crate) fn with_exponent(text: &str) -> String {
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        for (number, short, four) in [
            (0.0, "0", "0"),
            (-0.0, "-0", "-0"),
            (-1.5, "-1.5", "-1.5"),
            (1234.5, "1234.5", "1234"),
            (999_999.0, "999999", "1e+06"),
            (1e6, "1e+06", "1e+06"),
            (-123_456.7, "-123456.7", "-1.235e+05"),
            (0.0001, "0.0001", "0.0001"),
            (0.000_012_345, "1.2345e-05", "1.234e-05"),
            (f64::INFINITY, "+Inf", "+Inf"),
            (f64::NAN, "NaN", "NaN"),
        ] {
            assert_eq!((shortest(number).as_str(), significant(number, 4).as_str()), (short, four));
        }
        let exponents = [0.0, 1.0, -12.5, 1e100, 2.5e-7, f64::NEG_INFINITY, f64::NAN].map(exponential);
        assert_eq!(exponents, ["0e+00", "1e+00", "-1.25e+01", "1e+100", "2.5e-07", "-Inf", "NaN"]);
    }
}
