//! Functions of numbers, as the sprig library has them: whole numbers of 64 bits, and decimals. What is no number is zero
//! (github.com/spf13/cast).

use super::builtin::{WRONG_NUMBER, exactly, int};
use super::decimal::Decimal;
use super::{Function, Value};
use crate::go::units;

/// Their names, for a hint when one is misspelled.
pub(super) const NAMES: &[&str] = &[
    "int", "int64", "float64", "atoi", "add", "sub", "mul", "div", "mod", "max", "min", "addf", "subf",
    "mulf", "divf", "maxf", "minf", "ceil", "floor", "round",
];

const BY_ZERO: &str = "runtime error: integer divide by zero";

/// The function of this name.
pub(super) fn function(name: &str) -> Option<Function> {
    Some(match name {
        "int" | "int64" => |args| {
            let [value] = exactly(args)?;
            Ok(Value::Int(whole(value)))
        },
        // Go's own, which knows no base.
        "atoi" => |args| {
            let [value] = exactly(args)?;
            Ok(Value::Int(super::builtin::text(value)?.parse().unwrap_or(0)))
        },
        "float64" => |args| {
            let [value] = exactly(args)?;
            Ok(Value::Float(float(value)))
        },
        "add" => |args| Ok(Value::Int(args.iter().map(whole).fold(0, i64::wrapping_add))),
        "mul" => |args| fold(args, i64::wrapping_mul),
        "max" => |args| fold(args, i64::max),
        "min" => |args| fold(args, i64::min),
        "sub" => |args| two(args, |a, b| Some(a.wrapping_sub(b))),
        "div" => |args| two(args, |a, b| (b != 0).then(|| a.wrapping_div(b))),
        "mod" => |args| two(args, |a, b| (b != 0).then(|| a.wrapping_rem(b))),
        "addf" => |args| decimals(Some(0.0), args, Decimal::add),
        "subf" => |args| decimals(None, args, Decimal::sub),
        "mulf" => |args| decimals(None, args, Decimal::mul),
        "divf" => |args| decimals(None, args, Decimal::div),
        "maxf" => |args| extreme(args, f64::INFINITY, f64::max),
        "minf" => |args| extreme(args, f64::NEG_INFINITY, f64::min),
        "ceil" => |args| one(args, f64::ceil),
        "floor" => |args| one(args, f64::floor),
        "round" => |args| {
            let (value, places, up_from) = match args {
                [value, places] => (value, places, 0.5),
                [value, places, Value::Float(from)] => (value, places, *from),
                [value, places, Value::Int(from)] => (value, places, *from as f64),
                [_, _, other] => return Err(format!("wants a number, got {}", other.kind())),
                _ => return Err(at_least(2, args)),
            };
            let scale = 10_f64.powf(int(places)? as f64);
            let scaled = float(value) * scale;
            let rounded = if scaled.fract() >= up_from { scaled.ceil() } else { scaled.floor() };
            Ok(Value::Float(rounded / scale))
        },
        _ => return None,
    })
}

fn at_least(count: usize, args: &[Value]) -> String {
    format!("{WRONG_NUMBER}: want at least {count} got {}", args.len())
}

fn fold(args: &[Value], make: fn(i64, i64) -> i64) -> Result<Value, String> {
    args.iter().map(whole).reduce(make).map(Value::Int).ok_or_else(|| at_least(1, args))
}

fn two(args: &[Value], make: fn(i64, i64) -> Option<i64>) -> Result<Value, String> {
    let [a, b] = exactly(args)?;
    make(whole(a), whole(b)).map(Value::Int).ok_or_else(|| BY_ZERO.into())
}

fn one(args: &[Value], make: fn(f64) -> f64) -> Result<Value, String> {
    let [value] = exactly(args)?;
    Ok(Value::Float(make(float(value))))
}

/// The largest or smallest number: `end`, if one is that; else one that is not a number, if there is one.
fn extreme(args: &[Value], end: f64, choose: fn(f64, f64) -> f64) -> Result<Value, String> {
    let chosen = args.iter().map(float).reduce(|a, b| match a.is_nan() || b.is_nan() {
        true if a == end || b == end => end,
        true => f64::NAN,
        false => choose(a, b),
    });
    chosen.map(Value::Float).ok_or_else(|| at_least(1, args))
}

/// Decimals, so that 0.1 and 0.2 are 0.3.
fn decimals(
    first: Option<f64>,
    args: &[Value],
    make: fn(Decimal, Decimal) -> Result<Decimal, String>,
) -> Result<Value, String> {
    let mut numbers = first.into_iter().chain(args.iter().map(float)).map(Decimal::new);
    let first = numbers.next().ok_or_else(|| at_least(1, args))??;
    let result = numbers.try_fold(first, |sum, number| make(sum, number?))?;
    Ok(Value::Float(result.float()))
}

/// A whole number. Of a text: decimal, with a fraction that is cut off, or as Go writes one (`0x1F`, `0b1`, `017`, `1_000`).
fn whole(value: &Value) -> i64 {
    match value {
        Value::Int(number) => *number,
        // What does not fit is the smallest number, as on the machines that Loki runs on.
        Value::Float(number) if (-9.3e18..9.3e18).contains(number) && *number as i64 != i64::MAX => {
            *number as i64
        }
        Value::Float(_) => i64::MIN,
        Value::Bool(flag) => i64::from(*flag),
        Value::Text(text) => whole_of_text(text).unwrap_or(0),
        _ => 0,
    }
}

fn whole_of_text(text: &str) -> Option<i64> {
    let mut text = text;
    if let Some((whole, fraction)) = text.split_once('.') {
        let digits = whole.strip_prefix(['-', '+']).unwrap_or(whole);
        if !digits.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        if digits.is_empty() {
            return Some(0);
        }
        text = whole;
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let prefixed = |prefix: &str, radix: u32| Some((radix, lower.strip_prefix(prefix)?));
    let with_prefix = prefixed("0x", 16).or_else(|| prefixed("0o", 8)).or_else(|| prefixed("0b", 2));
    let (radix, digits) = match with_prefix {
        Some(found) => found,
        None if lower.len() > 1 && lower.starts_with('0') => (8, lower.get(1..)?),
        None => (10, lower.as_str()),
    };
    // `_` stands between digits, and the prefix counts as one.
    let inside = if radix == 10 { digits } else { digits.strip_prefix('_').unwrap_or(digits) };
    if inside.split('_').any(|part| part.is_empty() || !part.chars().all(|c| c.is_digit(radix))) {
        return None;
    }
    let digits: String = inside.chars().filter(|c| *c != '_').collect();
    i64::from_str_radix(&format!("{}{digits}", if negative { "-" } else { "" }), radix).ok()
}

/// A number. A text is read as Go reads one (`1e3`, `0x1p4`).
fn float(value: &Value) -> f64 {
    match value {
        Value::Int(number) => *number as f64,
        Value::Float(number) => *number,
        Value::Bool(flag) => f64::from(u8::from(*flag)),
        Value::Text(text) => units::number(text).unwrap_or(0.0),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Template, logql};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_values_have_a_result(bits in any::<[u64; 3]>(), text in "\\PC{0,9}|[-+0-9_.xobeE]{0,9}") {
            let mut values: Vec<_> = bits.iter().map(|bits| Value::Float(f64::from_bits(*bits))).collect();
            values.extend([Value::Int(bits[0] as i64), Value::from(&*text)]);
            for function in NAMES.iter().filter_map(|name| function(name)) {
                for count in 0..=values.len() {
                    let _ = function(&values[values.len() - count..]);
                }
            }
        }

        /// As the numbers themselves, where these are exact.
        #[test]
        fn decimals_of_whole_numbers_are_exact(a in -1_000_000_000_i32..1_000_000_000, b in -100_000_i32..100_000) {
            let value = |name: &str| {
                let args = [Value::Int(a.into()), Value::Int(b.into())];
                function(name).unwrap()(&args).map(|value| float(&value))
            };
            let (a, b) = (f64::from(a), f64::from(b));
            prop_assert_eq!(value("addf"), Ok(a + b));
            prop_assert_eq!(value("subf"), Ok(a - b));
            prop_assert_eq!(value("mulf"), Ok(a * b));
            if b != 0.0 {
                prop_assert!((value("divf").unwrap() - a / b).abs() <= 1e-15 + (a / b).abs() * 1e-15);
            }
        }
    }

    #[test]
    fn numbers_are_sprigs() {
        for (call, expected) in [
            ("addf 0.1 0.2", "0.3"),
            ("addf", "0"),
            ("add", "0"),
            ("addf 1 \"2.5\" true", "4.5"),
            ("subf 1 0.9", "0.1"),
            ("mulf 1.1 1.1", "1.21"),
            ("mulf 0.1 3", "0.3"),
            ("divf 1 3", "0.3333333333333333"),
            ("divf 2 3", "0.6666666666666667"),
            ("divf -1 3000", "-0.0003333333333333"),
            ("divf 1e300 1e-300", "!error calling divf: the number is too large"),
            ("divf 6 4 3", "0.5"),
            ("divf 1 0", "!error calling divf: decimal division by 0"),
            ("addf 1e300 1e-300", "1e+300"),
            ("addf 1 \"Inf\"", "!error calling addf: Cannot create a Decimal from +Inf"),
            ("subf", "!wrong number of args for subf: want at least 1 got 0"),
            ("add \"1795246200000000001\" 1", "1795246200000000002"),
            ("add 9223372036854775807 1", "-9223372036854775808"),
            ("mul 3 \"0x10\" 2.9", "96"),
            ("int \"08\"", "0"),
            ("int \"010\"", "8"),
            ("int \"1e3\"", "0"),
            ("int \"0x1F\"", "31"),
            ("int \"-0b1_01\"", "-5"),
            ("int \"1_000\"", "1000"),
            ("int \"1__0\"", "0"),
            ("int \"-12.7\"", "-12"),
            ("int \"-.7\"", "0"),
            ("int \" 1\"", "0"),
            ("int \"12.7s\"", "0"),
            ("int 1e30", "-9223372036854775808"),
            ("int \"9223372036854775808\"", "0"),
            ("float64 \"1e3\"", "1000"),
            ("float64 \" 1\"", "0"),
            ("float64 \"1e999\"", "0"),
            ("div 7 -2", "-3"),
            ("div 1 0", "!error calling div: runtime error: integer divide by zero"),
            ("mod 7 \"x\"", "!error calling mod: runtime error: integer divide by zero"),
            ("div -9223372036854775808 -1", "-9223372036854775808"),
            ("max 1 \"5\" 3", "5"),
            ("maxf 1 \"NaN\"", "NaN"),
            ("minf 1 \"-Inf\" \"NaN\"", "-Inf"),
            ("round 2.567 1", "2.6"),
            ("round 2.51 1 0.5", "2.5"),
            ("round 2.51 1 0", "2.6"),
            ("round -2.55 1", "-2.6"),
            ("round 125 -1", "130"),
            ("ceil \"1.2\"", "2"),
        ] {
            let template = Template::with_empty(&format!("{{{{ {call} }}}}"), logql::function).unwrap();
            let got = template.fill(&Value::Nil, &[]).unwrap_or_else(|error| format!("!{error}"));
            assert_eq!(got, expected, "{call}");
        }
    }
}
