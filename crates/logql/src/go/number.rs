//! Numbers (float64) as Go's `strconv` reads them.

use super::quote::Quoted;

/// A number as Go's `strconv.ParseFloat` takes it: `1e3`, `0x1p4`, `1_000`, `Inf`, `NaN`; not one too large.
pub fn number(text: &str) -> Option<f64> {
    read_number(text).ok()
}

/// As [`number`]. For a text that is not a valid number, says why, in Go's words.
pub(crate) fn number_or_why(text: &str) -> Result<f64, String> {
    read_number(text).map_err(|why| format!("strconv.ParseFloat: parsing {}: {why}", Quoted(text)))
}

fn read_number(text: &str) -> Result<f64, &'static str> {
    const SYNTAX: &str = "invalid syntax";
    const RANGE: &str = "value out of range";
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if unsigned.starts_with(['-', '+']) {
        return Err(SYNTAX);
    }
    let lower = plain_digits(&unsigned.to_ascii_lowercase()).ok_or(SYNTAX)?;
    let finite = |value: f64| if value.is_finite() { Ok(sign * value) } else { Err(RANGE) };
    if let Some(digits) = lower.strip_prefix("0x") {
        // Not without an exponent.
        let (mantissa, exponent) = digits.split_once('p').ok_or(SYNTAX)?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: String = whole.chars().chain(fraction.chars()).collect();
        let digits = Some(digits.as_str()).filter(|digits| !digits.starts_with('+')).ok_or(SYNTAX)?;
        let value = u64::from_str_radix(digits, 16).map_err(|_| SYNTAX)? as f64;
        let exponent: i32 = exponent.parse().map_err(|_| SYNTAX)?;
        let below = i32::try_from(fraction.len()).map_err(|_| SYNTAX)?.saturating_mul(4);
        return finite(value * 2_f64.powi(exponent.saturating_sub(below)));
    }
    match lower.as_str() {
        "inf" | "infinity" => Ok(sign * f64::INFINITY),
        "nan" => Ok(f64::NAN),
        lower => finite(lower.parse().map_err(|_| SYNTAX)?),
    }
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
