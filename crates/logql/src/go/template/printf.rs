//! `printf` as Go has it (`fmt`): the verbs that log lines and annotations use.

use super::stray;
use super::value::{VALUE_MAX, Value};
use crate::go::float;
use crate::go::quote::Quoted;

/// Widest and most precise that a verb may be (count).
const WIDTH_MAX: usize = 10_000;

#[derive(Debug, Default, Clone, Copy)]
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
    let mut reader =
        Reader { rest: format, arguments, next: 0, reordered: false, good: true, indexed: false };
    while let Some((plain, rest)) = reader.rest.split_once('%') {
        out.push_str(plain);
        if out.len() > VALUE_MAX {
            break;
        }
        reader.rest = rest;
        reader.one(&mut out);
    }
    if out.len() > VALUE_MAX {
        return Err(format!("the result has more than {VALUE_MAX} bytes"));
    }
    out.push_str(reader.rest);
    let extra = arguments.get(reader.next..).filter(|extra| !extra.is_empty() && !reader.reordered);
    if let Some(extra) = extra {
        let shown = extra.iter().map(|value| match value {
            Value::Nil => "<nil>".to_owned(),
            value => format!("{}={value}", value.kind()),
        });
        out.push_str(&format!("%!(EXTRA {})", shown.collect::<Vec<_>>().join(", ")));
    }
    Ok(out)
}

/// Reads a format.
struct Reader<'f> {
    rest: &'f str,
    arguments: &'f [Value],
    /// The argument that comes next (from 0).
    next: usize,
    /// An index was given.
    reordered: bool,
    /// The index of this verb is one.
    good: bool,
    /// An index was just read.
    indexed: bool,
}

impl Reader<'_> {
    fn eat(&mut self, c: char) -> bool {
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Writes what stands behind a percent sign.
    fn one(&mut self, out: &mut String) {
        let mut spec = Spec::default();
        (self.good, self.indexed) = (true, false);
        loop {
            match self.rest.bytes().next() {
                Some(b'-') => spec.minus = true,
                Some(b'+') => spec.plus = true,
                Some(b' ') => spec.space = true,
                Some(b'#') => spec.sharp = true,
                Some(b'0') => spec.zero = true,
                _ => break,
            }
            self.rest = self.rest.get(1..).unwrap_or_default();
        }
        self.index();
        if self.eat('*') {
            match self.starred() {
                Some(width) => {
                    spec.width = width.unsigned_abs() as usize;
                    spec.minus |= width < 0;
                }
                None => out.push_str("%!(BADWIDTH)"),
            }
        } else if let Some(width) = self.number() {
            spec.width = width;
            self.good &= !self.indexed;
        }
        if self.eat('.') {
            self.good &= !self.indexed;
            self.index();
            if self.eat('*') {
                spec.precision = self.starred().and_then(|precision| usize::try_from(precision).ok());
                if spec.precision.is_none() {
                    out.push_str("%!(BADPREC)");
                }
            } else {
                spec.precision = Some(self.number().unwrap_or(0));
            }
        }
        if !self.indexed {
            self.index();
        }
        let mut chars = self.rest.chars();
        let verb = chars.next();
        self.rest = chars.as_str();
        let argument = self.arguments.get(self.next);
        let shown = match (verb, argument) {
            (None, _) => "%!(NOVERB)".to_owned(),
            (Some('%'), _) => "%".to_owned(),
            (Some(verb), _) if !self.good => format!("%!{verb}(BADINDEX)"),
            (Some(verb), None) => format!("%!{verb}(MISSING)"),
            (Some(verb), Some(value)) => {
                self.next += 1;
                one(verb, &spec, value)
            }
        };
        out.push_str(&shown);
    }

    /// `[2]`: which argument comes next.
    fn index(&mut self) {
        self.indexed = false;
        let Some(inside) = self.rest.strip_prefix('[') else { return };
        self.reordered = true;
        let Some((number, rest)) = inside.split_once(']') else {
            (self.good, self.rest) = (false, inside);
            return;
        };
        self.rest = rest;
        match number.parse::<usize>().ok().and_then(|number| number.checked_sub(1)) {
            Some(number) if number < self.arguments.len() => (self.next, self.indexed) = (number, true),
            _ => self.good = false,
        }
    }

    fn number(&mut self) -> Option<usize> {
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.rest.split_at_checked(digits).filter(|_| digits > 0)?;
        self.rest = rest;
        Some(number.parse().unwrap_or(WIDTH_MAX).min(WIDTH_MAX))
    }

    /// A width or a precision that is an argument.
    fn starred(&mut self) -> Option<i64> {
        let number = self.arguments.get(self.next);
        self.next = (self.next + 1).min(self.arguments.len());
        self.indexed = false;
        match number {
            Some(Value::Int(number)) if number.unsigned_abs() <= WIDTH_MAX as u64 => Some(*number),
            _ => None,
        }
    }
}

fn one(verb: char, spec: &Spec, value: &Value) -> String {
    let inside = |value: &Value| match value {
        Value::Nil => "<nil>".to_owned(),
        value => one(verb, spec, value),
    };
    match (verb, value) {
        ('T', Value::Nil) | ('v', Value::Nil) => pad(spec, "", "<nil>".into(), false),
        (verb, Value::Nil) => format!("%!{verb}(<nil>)"),
        ('T', value) => pad(spec, "", value.kind().into(), false),
        ('v', value) if spec.sharp => pad(spec, "", syntax(value), false),
        (verb, Value::Text(text)) => of_text(verb, spec, text),
        (verb, Value::Int(number)) => of_int(verb, spec, *number),
        (verb, Value::Float(number)) => of_float(verb, spec, *number),
        ('v' | 't', Value::Bool(flag)) => pad(spec, "", flag.to_string(), false),
        (_, Value::List(items)) => format!("[{}]", spaced(items.iter().map(inside))),
        (_, Value::Map(entries) | Value::Object(entries)) => {
            let shown =
                |(key, value): (&String, &Value)| format!("{}:{}", of_text(verb, spec, key), inside(value));
            format!("map[{}]", spaced(entries.iter().map(shown)))
        }
        (verb, Value::Time(_)) => of_text(verb, spec, &value.to_string()),
        (verb, value) => bad(verb, value),
    }
}

/// Texts with spaces between them. What is too long is refused later.
fn spaced(texts: impl Iterator<Item = String>) -> String {
    let mut out = String::new();
    for (number, text) in texts.enumerate() {
        out.push_str(if number > 0 { " " } else { "" });
        out.push_str(&text);
        if out.len() > VALUE_MAX {
            break;
        }
    }
    out
}

fn bad(verb: char, value: &Value) -> String {
    format!("%!{verb}({}={value})", value.kind())
}

/// A value as Go's source has it.
fn syntax(value: &Value) -> String {
    let listed = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>().join(", ");
    match value {
        Value::Nil => "interface {}(nil)".into(),
        Value::Text(text) => Quoted(stray::bytes(text)).to_string(),
        Value::List(items) => {
            format!("{}{{{}}}", value.kind(), listed(&mut items.iter().map(syntax)))
        }
        Value::Map(entries) | Value::Object(entries) => {
            let mut entries =
                entries.iter().map(|(key, value)| format!("{}:{}", Quoted(stray::bytes(key)), syntax(value)));
            format!("{}{{{}}}", value.kind(), listed(&mut entries))
        }
        value => value.to_string(),
    }
}

fn of_text(verb: char, spec: &Spec, text: &str) -> String {
    let most = spec.precision.unwrap_or(usize::MAX);
    let cut = || text.chars().take(most).collect::<String>();
    let hex = |digit: fn(u8) -> String, mark: &str| {
        let between = if spec.space { " " } else { "" };
        let mark = if spec.sharp && !text.is_empty() { mark } else { "" };
        let mark_each = if spec.space { mark } else { "" };
        let digits: Vec<_> =
            stray::bytes(text).iter().take(most).map(|byte| format!("{mark_each}{}", digit(*byte))).collect();
        format!("{}{}", if spec.space { "" } else { mark }, digits.join(between))
    };
    let shown = match verb {
        'v' | 's' => cut(),
        'q' => {
            let cut = cut();
            let plain = |c: char| c == '\t' || !(c < ' ' || c == '`' || c == '\u{7f}' || c == '\u{feff}');
            match spec.sharp && cut.chars().all(plain) {
                true => format!("`{cut}`"),
                false => quoted(spec, Quoted(stray::bytes(&cut))),
            }
        }
        'x' => hex(|byte| format!("{byte:02x}"), "0x"),
        'X' => hex(|byte| format!("{byte:02X}"), "0X"),
        verb => return bad(verb, &text.into()),
    };
    pad(spec, "", shown, false)
}

/// A text in quotes; with `+`, other characters than ASCII are escapes (Go's `strconv.QuoteToASCII`).
fn quoted(spec: &Spec, text: Quoted<impl AsRef<[u8]>>) -> String {
    let text = text.to_string();
    if !spec.plus || text.is_ascii() {
        return text;
    }
    let escaped = |c: char| match u32::from(c) {
        0..=0x7f => c.to_string(),
        number @ 0..=0xffff => format!(r"\u{number:04x}"),
        number => format!(r"\U{number:08x}"),
    };
    text.chars().map(escaped).collect()
}

fn of_int(verb: char, spec: &Spec, number: i64) -> String {
    let size = number.unsigned_abs();
    let mark = |mark: &'static str| if spec.sharp { mark } else { "" };
    let (mark, digits) = match verb {
        'v' | 'd' => ("", size.to_string()),
        'b' => (mark("0b"), format!("{size:b}")),
        'o' => (mark("0"), format!("{size:o}")),
        'O' => ("0o", format!("{size:o}")),
        'x' => (mark("0x"), format!("{size:x}")),
        'X' => (mark("0X"), format!("{size:X}")),
        'c' | 'q' => {
            let c = u32::try_from(number).ok().and_then(char::from_u32);
            let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
            let shown = match (verb, c) {
                ('c', c) => c.to_string(),
                (_, '\'') => r"'\''".to_owned(),
                (_, '"') => "'\"'".to_owned(),
                (_, c) => {
                    let quoted = quoted(spec, Quoted(c.encode_utf8(&mut [0; 4])));
                    format!("'{}'", quoted.get(1..quoted.len() - 1).unwrap_or_default())
                }
            };
            return pad(spec, "", shown, false);
        }
        'U' => return pad(spec, "", format!("U+{number:04X}"), false),
        verb => return bad(verb, &Value::Int(number)),
    };
    // The precision is the least count of digits, and nothing else is filled with zeros then.
    let digits = match spec.precision {
        Some(0) if number == 0 => return pad(spec, "", String::new(), false),
        Some(least) => format!("{digits:0>least$}"),
        None => digits,
    };
    let spec = Spec { zero: spec.zero && spec.precision.is_none(), ..*spec };
    signed(&spec, number < 0, mark, digits)
}

fn of_float(verb: char, spec: &Spec, number: f64) -> String {
    let (size, digits) = (number.abs(), spec.precision);
    let text = match verb {
        'v' | 'g' | 'G' => match digits {
            None => float::shortest(size),
            Some(digits) => float::significant(size, digits.max(1)),
        },
        'f' | 'F' => format!("{size:.*}", digits.unwrap_or(6)),
        'e' | 'E' => float::with_exponent(&format!("{size:.*e}", digits.unwrap_or(6))),
        verb => return bad(verb, &Value::Float(number)),
    };
    let text = if matches!(verb, 'E' | 'G') { text.replace('e', "E") } else { text };
    padded(spec, number, text)
}

fn padded(spec: &Spec, number: f64, text: String) -> String {
    match number.is_finite() {
        true => signed(spec, number.is_sign_negative() && number != 0.0, "", text),
        false => pad(spec, "", float::shortest(number), false),
    }
}

/// A number with its sign, and the mark of its base.
fn signed(spec: &Spec, negative: bool, mark: &str, digits: String) -> String {
    let sign = match (negative, spec.plus, spec.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    };
    pad(spec, &format!("{sign}{mark}"), digits, true)
}

fn pad(spec: &Spec, sign: &str, text: String, number: bool) -> String {
    let missing = spec.width.saturating_sub(sign.len() + text.chars().count());
    match (spec.minus, spec.zero && number) {
        (true, _) => format!("{sign}{text}{}", " ".repeat(missing)),
        (false, true) => format!("{sign}{}{text}", "0".repeat(missing)),
        (false, false) => format!("{}{sign}{text}", " ".repeat(missing)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fill;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_format_ends(format in "\\PC{0,20}|[%*.0-9\\[\\]+# vdsqxTUoc-]{0,20}", number in any::<i64>(), text in "\\PC{0,5}") {
            let values = [Value::Int(number), Value::from(&*text), Value::Float(f64::from_bits(number as u64)), Value::Nil];
            let list = Value::list(values.iter().cloned());
            for values in [&values[..], &[list], &[]] {
                let _ = printf(&format, values);
            }
        }
    }

    #[test]
    fn formats_are_gos() {
        for (call, expected) in [
            (r#""%[2]s %[1]s" "a" "b""#, "b a"),
            (r#""%[2]s" "a" "b""#, "b"),
            (r#""%[3]s %[x]d %[2" "a" "b""#, "%!s(BADINDEX) %!d(BADINDEX) %!(NOVERB)"),
            (r#""%[1]s %s" "a" "b""#, "a b"),
            (r#""%*d|%-*d|%.*f" 5 42 4 7 1 3.14159"#, "   42|7   |3.1"),
            (r#""%[2]*[1]d" 7 4"#, "   7"),
            (r#""%*d" "x" 5"#, "%!(BADWIDTH)5"),
            (r#""%*d|" -4 5"#, "5   |"),
            (r#""%T %T %T %T" 1 "x" 1.5 .nosuch"#, "int string float64 <nil>"),
            (r#""%q %q %q" 65 39 10"#, r"'A' '\'' '\n'"),
            (r#""%+q %+q %+q" "é\n😀" 233 "plain""#, r#""\u00e9\n\U0001f600" '\u00e9' "plain""#),
            (r#""%q %q" 1.5 .items"#, r#"%!q(float64=1.5) ["a" "b"]"#),
            (r#""%#v %#v %#v %#v" "a\"b" 5 true .items"#, r#""a\"b" 5 true []interface {}{"a", "b"}"#),
            (r#""%#x %#X %#o %O %#b" 255 255 8 8 5"#, "0xff 0XFF 010 0o10 0b101"),
            (r#""%x %X % x %#x %# x" "hi" "jk" "hi" "hi" "hi""#, "6869 6A6B 68 69 0x6869 0x68 0x69"),
            (r#""%#q %#q" "a\"b" "a`b""#, "`a\"b` \"a`b\""),
            (r#""%.3d|%05.3d|%+d|% d|%U|%c" 5 5 5 5 9731 9731"#, "005|  005|+5| 5|U+2603|☃"),
            (
                r#""%E %G %+.1f %6.2f|%-8.2f|%08.2f" 12345.678 1e-7 1.25 3.14159 2.5 -2.5"#,
                "1.234568E+04 1E-07 +1.2   3.14|2.50    |-0002.50",
            ),
            (r#""%v %s %d" .nosuch .nosuch .nosuch"#, "<nil> %!s(<nil>) %!d(<nil>)"),
            (r#""%d %t %s" "x" 1 true"#, "%!d(string=x) %!t(int=1) %!s(bool=true)"),
            (r#""%s %v" .deep .deep"#, "map[x:%!s(int=7)] map[x:7]"),
            (r#""%!" 1"#, "%!!(int=1)"),
            (r#""100%""#, "100%!(NOVERB)"),
            (r#""%s" "a" "b" .nosuch"#, "a%!(EXTRA string=b, <nil>)"),
            (r#""%5s|%-5s|%.2s|%5.1s|" "abc" "abc" "äöü" "xy""#, "  abc|abc  |äö|    x|"),
        ] {
            assert_eq!(fill(&format!("{{{{ printf {call} }}}}")).as_deref(), Ok(expected), "{call}");
        }
    }
}
