//! The functions of templates in LogQL (`line_format`, `label_format`): those of grafana/loki, `pkg/logql/log/fmt.go`,
//! and those of the sprig library that Loki admits. Functions that read a clock or make times are left out: a query gives
//! the same result for the same entries.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::builtin::{exactly, int, text};
use super::{Function, Value, numbers, promtail};
use crate::go::re2::Re2;
use crate::go::units;

/// Functions that are the same in Promtail.
const SHARED: [&str; 28] = [
    "ToLower",
    "ToUpper",
    "Replace",
    "Trim",
    "TrimLeft",
    "TrimRight",
    "TrimPrefix",
    "TrimSuffix",
    "TrimSpace",
    "regexReplaceAll",
    "regexReplaceAllLiteral",
    "lower",
    "upper",
    "title",
    "trunc",
    "substr",
    "contains",
    "hasPrefix",
    "hasSuffix",
    "indent",
    "nindent",
    "replace",
    "repeat",
    "trim",
    "trimAll",
    "trimSuffix",
    "trimPrefix",
    "default",
];
/// Functions of numbers that Loki does not admit.
const NOT_HERE: [&str; 2] = ["int64", "atoi"];

/// Widest that a text is made (characters).
const WIDTH_MAX: i64 = 1 << 16;

/// The function of this name.
pub(crate) fn function(name: &str) -> Option<Function> {
    if SHARED.contains(&name) {
        return promtail::function(name);
    }
    if let Some(function) = numbers::function(name).filter(|_| !NOT_HERE.contains(&name)) {
        return Some(function);
    }
    Some(match name {
        "__line__" => |_| Err("`__line__` has no value here".into()),
        "count" => |args| {
            let [regex, subject] = exactly(args)?;
            let regex = Re2::new(text(regex)?).map_err(|error| error.message)?;
            Ok(Value::Int(regex.find_iter(text(subject)?).count() as i64))
        },
        "urlencode" => |args| {
            let [subject] = exactly(args)?;
            Ok(url_encode(text(subject)?).into())
        },
        "urldecode" => |args| {
            let [subject] = exactly(args)?;
            Ok(url_decode(text(subject)?)?.into())
        },
        "bytes" => |args| {
            let [subject] = exactly(args)?;
            Ok(Value::Float(units::bytes_or_why(text(subject)?)? as f64))
        },
        "duration" | "duration_seconds" => |args| {
            let [subject] = exactly(args)?;
            Ok(Value::Float(units::seconds(units::go_duration_or_why(text(subject)?)?)))
        },
        "alignLeft" => |args| align(args, false),
        "alignRight" => |args| align(args, true),
        "b64enc" => |args| {
            let [subject] = exactly(args)?;
            Ok(STANDARD.encode(text(subject)?).into())
        },
        "b64dec" => |args| {
            let [subject] = exactly(args)?;
            let mut subject = text(subject)?.to_owned();
            if subject.len() % 4 > 1 {
                subject.push_str(if subject.len() % 4 == 2 { "==" } else { "=" });
            }
            Ok(match STANDARD.decode(subject) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(error) => error.to_string(),
            }
            .into())
        },
        _ => return None,
    })
}

/// As many characters as are wanted: cut, or filled up with spaces.
fn align(args: &[Value], right: bool) -> Result<Value, String> {
    let [width, subject] = exactly(args)?;
    let (width, subject) = (int(width)?, text(subject)?);
    if width > WIDTH_MAX {
        return Err(format!("{width} characters are too many"));
    }
    let has = subject.chars().count();
    let Ok(width) = usize::try_from(width) else { return Ok(subject.into()) };
    let fill = " ".repeat(width.saturating_sub(has));
    let cut = has.saturating_sub(width);
    Ok(match right {
        true => fill + &subject.chars().skip(cut).collect::<String>(),
        false => subject.chars().take(width).collect::<String>() + &fill,
    }
    .into())
}

/// As Go's `url.QueryEscape`.
fn url_encode(subject: &str) -> String {
    let mut out = String::with_capacity(subject.len());
    for byte in subject.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// As Go's `url.QueryUnescape`.
fn url_decode(subject: &str) -> Result<String, String> {
    let mut out = Vec::with_capacity(subject.len());
    let mut rest = subject.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (digits, after) = rest.split_at_checked(2).ok_or("an escape breaks off")?;
                rest = after;
                let digits = std::str::from_utf8(digits).map_err(|_| "an escape is not a number")?;
                u8::from_str_radix(digits, 16).map_err(|_| "an escape is not a number")?
            }
            byte => *byte,
        });
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::super::Template;
    use super::*;

    #[test]
    fn functions() {
        for (template, expected) in [
            ("{{ .a }}{{ .nosuch }}", "x y"),
            ("{{ urlencode .a }}{{ urldecode \"a%20b+c\" }}", "x+ya b c"),
            ("{{ b64enc .a }} {{ b64dec \"eCB5\" }} {{ b64dec \"eA\" }}", "eCB5 x y x"),
            (
                "[{{ alignLeft 5 .a }}] [{{ alignRight 5 .a }}] [{{ alignLeft 2 .a }}] [{{ alignRight 2 .a }}]",
                "[x y  ] [  x y] [x ] [ y]",
            ),
            ("{{ count \"[xy]\" .a }} {{ bytes \"2kB\" }} {{ duration \"1m30s\" }}", "2 2000 90"),
            (
                "{{ round 2.567 1 }} {{ ceil 1.2 }} {{ floor \"1.8\" }} {{ addf 1.5 2 }} {{ maxf 1 2.5 }}",
                "2.6 2 1 3.5 2.5",
            ),
            ("{{ default \"none\" .nosuch }} {{ __line__ | len }}", "none 4"),
        ] {
            let data = Value::Map(std::sync::Arc::new([("a".to_owned(), Value::from("x y"))].into()));
            let template = Template::with_empty(template, function).unwrap();
            assert_eq!(template.fill(&data, &[("__line__", "line".into())]).unwrap(), expected);
        }
        assert!(Template::with_empty("{{ now }}", function).is_err());
    }
}
