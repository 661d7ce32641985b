//! `printf` as Go has it (`fmt`): the verbs that log lines and annotations use.

use super::value::{VALUE_MAX, Value};
use crate::go::float;
use crate::go::quote::Quoted;

/// Widest and most precise that a verb may be (count).
const WIDTH_MAX: usize = 10_000;

#[derive(Default)]
struct Spec {
    minus: bool,
    plus: bool,
    space: bool,
    zero: bool,
    sharp: bool,
    width: usize,
    precision: Option<usize>,
}

/// Fills a format in. What does not fit shows in the result as in Go: `%!d(string=x)`.
///
/// # Errors
/// The result is too long.
pub(super) fn printf(format: &str, arguments: &[Value]) -> Result<String, String> {
    let mut out = String::new();
    let mut arguments = arguments.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if out.len() > VALUE_MAX {
            return Err(format!("the result has more than {VALUE_MAX} bytes"));
        }
        let mut spec = Spec::default();
        while let Some(flag) = chars.next_if(|c| matches!(c, '-' | '+' | ' ' | '0' | '#')) {
            match flag {
                '-' => spec.minus = true,
                '+' => spec.plus = true,
                ' ' => spec.space = true,
                '#' => spec.sharp = true,
                _ => spec.zero = true,
            }
        }
        let number = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
            let mut digits = String::new();
            digits.extend(std::iter::from_fn(|| chars.next_if(char::is_ascii_digit)));
            digits.parse::<usize>().unwrap_or(0).min(WIDTH_MAX)
        };
        spec.width = number(&mut chars);
        if chars.next_if_eq(&'.').is_some() {
            spec.precision = Some(number(&mut chars));
        }
        match chars.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb) => match arguments.next() {
                None => out.push_str(&format!("%!{verb}(MISSING)")),
                Some(value) => out.push_str(&one(verb, &spec, value)),
            },
        }
    }
    let extra: Vec<_> = arguments.map(|value| format!("{}={value}", value.kind())).collect();
    if !extra.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    Ok(out)
}

fn one(verb: char, spec: &Spec, value: &Value) -> String {
    let cut = |text: &str| match spec.precision {
        Some(most) => text.chars().take(most).collect(),
        None => text.to_owned(),
    };
    let digits = spec.precision;
    let text = match (verb, value) {
        ('v' | 's', Value::Text(text)) => cut(text),
        ('s', value @ (Value::List(_) | Value::Map(_) | Value::Object(_) | Value::Time(_) | Value::Nil)) => {
            cut(&value.to_string())
        }
        ('v', Value::Int(number)) => return signed(spec, *number < 0, number.unsigned_abs().to_string()),
        ('v', Value::Float(number)) => return padded(spec, *number, float::shortest(number.abs())),
        ('v', value) => value.to_string(),
        ('q', Value::Text(text)) => Quoted(&cut(text)).to_string(),
        ('t', Value::Bool(flag)) => flag.to_string(),
        ('d', Value::Int(number)) => return signed(spec, *number < 0, number.unsigned_abs().to_string()),
        ('x', Value::Int(number)) => {
            return signed(spec, *number < 0, format!("{:x}", number.unsigned_abs()));
        }
        ('X', Value::Int(number)) => {
            return signed(spec, *number < 0, format!("{:X}", number.unsigned_abs()));
        }
        ('o', Value::Int(number)) => {
            return signed(spec, *number < 0, format!("{:o}", number.unsigned_abs()));
        }
        ('b', Value::Int(number)) => {
            return signed(spec, *number < 0, format!("{:b}", number.unsigned_abs()));
        }
        ('c', Value::Int(number)) => u32::try_from(*number)
            .ok()
            .and_then(char::from_u32)
            .unwrap_or(char::REPLACEMENT_CHARACTER)
            .to_string(),
        ('x', Value::Text(text)) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
        ('X', Value::Text(text)) => text.bytes().map(|byte| format!("{byte:02X}")).collect(),
        ('f' | 'F', Value::Float(number)) => {
            return padded(spec, *number, format!("{:.*}", digits.unwrap_or(6), number.abs()));
        }
        ('e', Value::Float(number)) => {
            return padded(
                spec,
                *number,
                float::with_exponent(&format!("{:.*e}", digits.unwrap_or(6), number.abs())),
            );
        }
        ('g', Value::Float(number)) => {
            let text = match digits {
                None => float::shortest(number.abs()),
                Some(digits) => float::significant(number.abs(), digits.max(1)),
            };
            return padded(spec, *number, text);
        }
        (verb, Value::Nil) => format!("%!{verb}(<nil>)"),
        (verb, value) => format!("%!{verb}({}={value})", value.kind()),
    };
    pad(spec, "", text, false)
}

fn padded(spec: &Spec, number: f64, text: String) -> String {
    match number.is_finite() {
        true => signed(spec, number.is_sign_negative() && number != 0.0, text),
        false => pad(spec, "", float::shortest(number), false),
    }
}

fn signed(spec: &Spec, negative: bool, digits: String) -> String {
    let sign = match (negative, spec.plus, spec.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    };
    pad(spec, sign, digits, true)
}

fn pad(spec: &Spec, sign: &str, text: String, number: bool) -> String {
    let missing = spec.width.saturating_sub(sign.len() + text.chars().count());
    match (spec.minus, spec.zero && number) {
        (true, _) => format!("{sign}{text}{}", " ".repeat(missing)),
        (false, true) => format!("{sign}{}{text}", "0".repeat(missing)),
        (false, false) => format!("{}{sign}{text}", " ".repeat(missing)),
    }
}
