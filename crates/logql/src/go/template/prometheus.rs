//! The functions of templates in alert rules (github.com/prometheus/prometheus, `template/template.go`). A template sees
//! `$labels`, `$value`, `$externalLabels` and `$externalURL`.

use std::cell::RefCell;
use std::sync::Arc;

use super::builtin::{exactly, text};
use super::{Function, Value, promtail, times};
use crate::go::float;
use crate::go::units;

/// What functions know besides their arguments.
struct Within {
    /// The time of the evaluation (seconds since 1970).
    now: f64,
    /// The address that links in alerts lead to.
    url: Arc<str>,
}

thread_local! {
    static WITHIN: RefCell<Within> = RefCell::new(Within { now: 0.0, url: "".into() });
}

/// Sets the time (nanoseconds since 1970) and the address of links for the templates that this thread fills in from now on.
pub fn set_within(time: i64, url: &Arc<str>) {
    WITHIN.with_borrow_mut(|within| *within = Within { now: time as f64 / 1e9, url: url.clone() });
}

/// The function of this name.
pub fn function(name: &str) -> Option<Function> {
    Some(match name {
        "title" => return promtail::function(name),
        "toUpper" => return promtail::function("upper"),
        "toLower" => return promtail::function("lower"),
        "safeHtml" => |args| {
            let [value] = exactly(args)?;
            Ok(value.clone())
        },
        "match" => return promtail::function("regexMatch"),
        "reReplaceAll" => |args| {
            let [regex, with, subject] = exactly(args)?;
            let regex = promtail::compile(text(regex)?)?;
            promtail::replace_all(&regex, text(subject)?, text(with)?)
        },
        "stripPort" => |args| {
            let [address] = exactly(args)?;
            Ok(host(text(address)?).0.into())
        },
        "stripDomain" => |args| {
            let [address] = exactly(args)?;
            let (host, port) = host(text(address)?);
            let short = match host.parse::<std::net::IpAddr>() {
                Ok(_) => host,
                Err(_) => host.split('.').next().unwrap_or(host),
            };
            Ok(port.map_or(short.to_owned(), |port| format!("{short}:{port}")).into())
        },
        "humanize" => |args| Ok(scaled(number(args)?, 1000.0).into()),
        "humanize1024" => |args| Ok(scaled(number(args)?, 1024.0).into()),
        "humanizePercentage" => {
            |args| Ok(format!("{}%", float::significant(number(args)? * 100.0, 4)).into())
        }
        "humanizeDuration" => |args| Ok(duration(number(args)?).into()),
        "humanizeTimestamp" => |args| Ok(time(number(args)?)?.to_string().into()),
        "parseDuration" => |args| {
            let [value] = exactly(args)?;
            let nanoseconds = units::prometheus_duration(text(value)?).ok_or("not a duration")?;
            Ok(Value::Float(nanoseconds as f64 / 1e9))
        },
        "urlQueryEscape" => return super::logql::function("urlencode"),
        "graphLink" => |args| link(args, 0),
        "tableLink" => |args| link(args, 1),
        "query" => {
            |_| Err("`query` has no meaning here: a rule sees the series of its own expression".into())
        }
        "first" => return promtail::function("first"),
        "value" | "label" | "strvalue" | "sortByLabel" => {
            |_| Err("this works on results of `query`, which has no meaning here".into())
        }
        "now" => |_| Ok(Value::Float(WITHIN.with_borrow(|within| within.now))),
        "toTime" => |args| time(number(args)?),
        // A value of its own in Go, with methods; here it is the text that it shows.
        "toDuration" => |args| Ok(units::format_go_duration((number(args)? * 1e9) as i64).into()),
        "externalURL" => |_| Ok(WITHIN.with_borrow(|within| Value::Text(within.url.clone()))),
        "pathPrefix" => |_| {
            let path = WITHIN.with_borrow(|within| {
                within.url.parse::<url::Url>().map(|url| url.path().trim_end_matches('/').to_owned())
            });
            Ok(path.unwrap_or_default().into())
        },
        "args" => |args| {
            let named = args.iter().enumerate().map(|(n, value)| (format!("arg{n}"), value.clone()));
            Ok(Value::Map(Arc::new(named.collect())))
        },
        _ => return None,
    })
}

/// Prometheus' page of an expression; Grafana has another.
fn link(args: &[Value], tab: u8) -> Result<Value, String> {
    let [expr] = exactly(args)?;
    let escape = super::logql::function("urlencode").ok_or("`urlencode` is missing")?;
    let Value::Text(expr) = escape(std::slice::from_ref(expr))? else { return Err("wants text".into()) };
    Ok(format!("/graph?g0.expr={expr}&g0.tab={tab}").into())
}

/// A number, or a text that is one.
fn number(args: &[Value]) -> Result<f64, String> {
    let [value] = exactly(args)?;
    match value {
        Value::Int(number) => Ok(*number as f64),
        Value::Float(number) => Ok(*number),
        Value::Text(text) => units::number(text).ok_or_else(|| format!("{text:?} is not a number")),
        other => Err(format!("wants a number, got {}", other.kind())),
    }
}

fn host(address: &str) -> (&str, Option<&str>) {
    if let Some(inside) = address.strip_prefix('[')
        && let Some((host, rest)) = inside.split_once(']')
    {
        return (host, rest.strip_prefix(':'));
    }
    match address.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, Some(port)),
        _ => (address, None),
    }
}

fn scaled(value: f64, base: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return float::significant(value, 4);
    }
    let decimal = base == 1000.0;
    let up: &[&str] = if decimal {
        &["k", "M", "G", "T", "P", "E", "Z", "Y"]
    } else {
        &["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"]
    };
    let down = ["m", "u", "n", "p", "f", "a", "z", "y"];
    let (mut value, mut prefix) = (value, "");
    if value.abs() >= 1.0 {
        for next in up {
            if value.abs() < base {
                break;
            }
            prefix = next;
            value /= base;
        }
    } else if decimal {
        for next in down {
            if value.abs() >= 1.0 {
                break;
            }
            prefix = next;
            value *= base;
        }
    }
    format!("{}{prefix}", float::significant(value, 4))
}

fn duration(value: f64) -> String {
    if !value.is_finite() {
        return float::significant(value, 4);
    }
    if value == 0.0 {
        return "0s".to_owned();
    }
    if value.abs() >= 1.0 {
        let sign = if value < 0.0 { "-" } else { "" };
        let whole = value.abs() as i64;
        let (seconds, minutes, hours, days) =
            (whole % 60, whole / 60 % 60, whole / 3600 % 24, whole / 86_400);
        return match (days, hours, minutes) {
            (0, 0, 0) => format!("{sign}{}s", float::significant(value.abs(), 4)),
            (0, 0, _) => format!("{sign}{minutes}m {seconds}s"),
            (0, ..) => format!("{sign}{hours}h {minutes}m {seconds}s"),
            _ => format!("{sign}{days}d {hours}h {minutes}m {seconds}s"),
        };
    }
    let (mut value, mut prefix) = (value, "");
    for next in ["m", "u", "n", "p", "f", "a", "z", "y"] {
        if value.abs() >= 1.0 {
            break;
        }
        prefix = next;
        value *= 1000.0;
    }
    format!("{}{prefix}s", float::significant(value, 4))
}

/// A time (seconds since 1970) in UTC. Infinite numbers and NaN stay numbers, as text.
fn time(seconds: f64) -> Result<Value, String> {
    if !seconds.is_finite() {
        return Ok(float::significant(seconds, 4).into());
    }
    times::of_nanoseconds((seconds * 1e9) as i128).map(Value::from)
}

#[cfg(test)]
mod tests {
    use super::super::Template;
    use super::*;

    #[test]
    fn functions() {
        set_within(1_500_000_000_000_000_000, &"http://g/a/".into());
        for (template, expected) in [
            ("{{ $labels.unit }} {{ $value }} [{{ $labels.nosuch }}]", "sshd.service 1234.5 []"),
            (
                "{{ $value | humanize }} {{ humanize 0.0032 }} {{ humanize 0 }} {{ humanize -1500 }}",
                "1.234k 3.2m 0 -1.5k",
            ),
            ("{{ humanize1024 1048576 }} {{ humanize1024 1023 }}", "1Mi 1023"),
            ("{{ humanizePercentage 0.1234567 }} {{ humanizePercentage \"0.5\" }}", "12.35% 50%"),
            (
                "{{ humanizeDuration 0 }} {{ humanizeDuration 59.5 }} {{ humanizeDuration 3661 }}",
                "0s 59.5s 1h 1m 1s",
            ),
            (
                "{{ humanizeDuration 90061 }} {{ humanizeDuration 0.0023 }} {{ humanizeDuration -75 }}",
                "1d 1h 1m 1s 2.3ms -1m 15s",
            ),
            ("{{ humanizeTimestamp 1435065584.128 }}", "2015-06-23 13:19:44.128 +0000 UTC"),
            ("{{ parseDuration \"1h30m\" }}", "5400"),
            ("{{ title \"one two\" }} {{ toUpper \"x\" }} {{ toLower \"Y\" }}", "One Two X y"),
            ("{{ if match \"^ssh\" $labels.unit }}yes{{ end }}", "yes"),
            ("{{ reReplaceAll \"(.*)[.]service\" \"$1\" $labels.unit }}", "sshd"),
            (
                "{{ stripPort \"a.b:80\" }} {{ stripDomain \"a.b:80\" }} {{ stripPort \"[::1]:5\" }}",
                "a.b a:80 ::1",
            ),
            ("{{ range $name, $value := $labels }}{{ $name }}={{ $value }};{{ end }}", "unit=sshd.service;"),
            ("{{ with $labels.unit }}{{ . }}{{ end }} {{ printf \"%.1f\" $value }}", "sshd.service 1234.5"),
            ("{{ urlQueryEscape \"a b&c\" }}", "a+b%26c"),
            (
                "{{ graphLink \"a b\" }} {{ tableLink \"x\" }}",
                "/graph?g0.expr=a+b&g0.tab=0 /graph?g0.expr=x&g0.tab=1",
            ),
            ("{{ externalURL }} {{ pathPrefix }} {{ now }}", "http://g/a/ /a 1.5e+09"),
            ("{{ toTime 1435065584 }}", "2015-06-23 13:19:44 +0000 UTC"),
            ("{{ (toTime 1435065584).Format \"15:04\" }}", "13:19"),
            ("{{ $t := toTime 1435065584 }}{{ $t.Format \"15:04\" }}", "13:19"),
            (
                "{{ toDuration 5400.5 }} {{ toDuration -61 }} {{ toDuration 0.0125 }} {{ toDuration 0.0000015 }} {{ toDuration 0 }}",
                "1h30m0.5s -1m1s 12.5ms 1.5µs 0s",
            ),
        ] {
            let labels =
                Value::Map(std::sync::Arc::new([("unit".to_owned(), Value::from("sshd.service"))].into()));
            let template = Template::with_variables(template, function, &["$labels", "$value"]).unwrap();
            let filled = template.fill(&Value::Nil, &[("$labels", labels), ("$value", Value::Float(1234.5))]);
            assert_eq!(filled.unwrap(), expected);
        }
        for refused in ["{{ query \"up\" }}", "{{ humanize \"x\" }}", "{{ graphLink 1 }}"] {
            let template = Template::with_empty(refused, function).unwrap();
            assert!(template.fill(&Value::Nil, &[]).is_err(), "{refused}");
        }
    }
}
