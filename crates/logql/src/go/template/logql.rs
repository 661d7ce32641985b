//! The functions of templates in LogQL (`line_format`, `label_format`): those of grafana/loki, `pkg/logql/log/fmt.go`,
//! and those of the sprig library that Loki admits. `now` is left out: a query gives the same result for the same entries.

use super::builtin::{exactly, int, text};
use super::{Function, Value, base64, numbers, promtail, stray, times};
use crate::go::json::Json;
use crate::go::quote::Quoted;
use crate::go::units;

/// Functions that are the same in Promtail.
const SHARED: [&str; 29] = [
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
    "b64enc",
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
    if let Some(function) = times::function(name) {
        return Some(function);
    }
    Some(match name {
        "fromJson" => |args| {
            let [subject] = exactly(args)?;
            let subject = stray::shown(text(subject)?.to_owned());
            Ok(Json::parse(&subject).map_or(Value::Nil, Value::from))
        },
        "__line__" => |_| Err("`__line__` has no value here".into()),
        "count" => |args| {
            let [regex, subject] = exactly(args)?;
            let regex = promtail::compile(text(regex)?)?;
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
        "b64dec" => |args| {
            let [subject] = exactly(args)?;
            let mut subject = text(subject)?.to_owned();
            if subject.len() % 4 > 1 {
                subject.push_str(if subject.len() % 4 == 2 { "==" } else { "=" });
            }
            Ok(match base64::decode(&subject) {
                Ok(bytes) => stray::text(&bytes),
                Err(at) => format!("illegal base64 data at input byte {at}"),
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
    for byte in stray::bytes(subject).iter().copied() {
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
    let subject = stray::bytes(subject);
    let mut rest = &*subject;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = rest.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
                let number = digits.and_then(|digits| std::str::from_utf8(digits).ok());
                let Some(Ok(byte)) = number.map(|number| u8::from_str_radix(number, 16)) else {
                    let shown = String::from_utf8_lossy(rest.get(..2).unwrap_or(rest));
                    return Err(format!("invalid URL escape {}", Quoted(format!("%{shown}"))));
                };
                rest = rest.get(2..).unwrap_or_default();
                byte
            }
            byte => *byte,
        });
    }
    Ok(stray::text(&out))
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

    /// In Go's words (`text/template/exec.go`).
    #[test]
    fn only_functions_have_arguments() {
        for (source, expected) in [
            (
                r#"{{.a Replace "a"}}"#,
                "line:1:2: executing \"line\" at <.a>: a is not a method but has arguments",
            ),
            (
                r#"{{ "x" | .a }}"#,
                "line:1:9: executing \"line\" at <.a>: a is not a method but has arguments",
            ),
            ("{{.a.b 1}}", "line:1:4: executing \"line\" at <.a.b>: can't evaluate field b in type string"),
            ("{{$.a 1}}", "line:1:3: executing \"line\" at <$.a>: a is not a method but has arguments"),
            ("{{$ 1}}", "line:1:2: executing \"line\" at <$>: can't give argument to non-function $"),
            (
                r#"{{"x" 1}}"#,
                "line:1:2: executing \"line\" at <\"x\">: can't give argument to non-function \"x\"",
            ),
            ("{{. 1}}", "line:1:2: executing \"line\" at <.>: can't give argument to non-function ."),
        ] {
            let data = Value::Map(std::sync::Arc::new([("a".to_owned(), Value::from("x y"))].into()));
            let template = Template::with_empty(source, function).unwrap();
            let error = template.fill(&data, &[]).unwrap_err();
            assert_eq!(error.as_go(source, "line"), format!("template: {expected}"), "{source}");
        }
        for source in ["{{ .a | 1 }}", r#"{{ .a | "x" }}"#, "{{ .a | . }}"] {
            assert!(Template::with_empty(source, function).is_err(), "{source}");
        }
    }
}
