//! Rules and alerts in the shape of Prometheus' API, as Grafana's list of alerts asks, and rules as YAML (grafana/loki,
//! `pkg/ruler/base/api.go`).

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::params;
use super::{JSON_BARE, Reply, Request, YAML};
use crate::observe::rules::{ALERTING, NAMESPACE, RECORDING, RuleGroup, ShownAlert, Written};
use logql::go::units;

const YAML_RULES: &str = "/loki/api/v1/rules";
const RULES: &str = "/prometheus/api/v1/rules";
const ALERTS: &str = "/prometheus/api/v1/alerts";

/// Whether this path is one of rules or alerts.
pub fn has(path: &str) -> bool {
    [RULES, ALERTS].contains(&path) || Place::read(path).is_some()
}

/// Whose rules are asked for as YAML.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// Those of all namespaces.
    All,
    /// Those of one.
    Namespace(String),
    /// Those of a group of a namespace.
    Group(String, String),
}

impl Place {
    /// Reads a path; `None`: it is another one.
    fn read(path: &str) -> Option<Place> {
        let rest = path.strip_prefix(YAML_RULES)?;
        if rest.is_empty() {
            return Some(Place::All);
        }
        let names = rest.strip_prefix('/')?.split('/');
        let names: Option<Vec<String>> = names.map(name).collect();
        match <[String; 1]>::try_from(names?) {
            Ok([namespace]) => Some(Place::Namespace(namespace)),
            Err(names) => {
                <[String; 2]>::try_from(names).ok().map(|[namespace, group]| Place::Group(namespace, group))
            }
        }
    }
}

/// A name in a path, without its escapes.
fn name(part: &str) -> Option<String> {
    params::unescape(part.as_bytes(), false).ok().filter(|name| !name.is_empty())
}

/// Answers a request for rules or alerts; `groups` are those of the agent. `None`: the path is another one.
pub fn answer(request: &Request, groups: &[RuleGroup]) -> Option<Reply> {
    if let Some(place) = Place::read(&request.path) {
        return Some(written(&place, groups));
    }
    match request.path.as_str() {
        RULES => Some(match chosen(request, groups) {
            Ok(groups) => success(&Groups { groups }),
            Err(kind) => refused(&format!("not supported value {}", json!(kind))),
        }),
        ALERTS => {
            let alerting =
                groups.iter().flat_map(|group| &group.rules).filter_map(|rule| rule.alerting.as_ref());
            Some(success(&Alerts { alerts: alerting.flat_map(|alerting| &alerting.alerts).collect() }))
        }
        _ => None,
    }
}

#[derive(Serialize)]
struct Groups {
    groups: Vec<RuleGroup>,
}

#[derive(Serialize)]
struct Alerts<'g> {
    alerts: Vec<&'g ShownAlert>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a, T> {
    status: &'static str,
    data: &'a T,
    error_type: &'static str,
    error: &'a str,
}

fn success(data: &impl Serialize) -> Reply {
    reply(200, &Answer { status: "success", data, error_type: "", error: "" })
}

fn refused(error: &str) -> Reply {
    reply(400, &Answer { status: "error", data: &Value::Null, error_type: "bad_data", error })
}

fn reply(status: u16, answer: &impl Serialize) -> Reply {
    match serde_json::to_string(answer) {
        Ok(body) => Reply { status, content_type: JSON_BARE, body },
        Err(error) => Reply::text(500, format!("the answer cannot be written as JSON: {error}\n")),
    }
}

/// The groups and rules that a request asks for, as Loki reads it: `type`, `rule_name`, `rule_group` and `file`.
///
/// # Errors
/// A type that there is not.
fn chosen(request: &Request, groups: &[RuleGroup]) -> Result<Vec<RuleGroup>, String> {
    let params = &request.params;
    let kind = match params.get("type").to_lowercase().as_str() {
        "" => None,
        "alert" => Some(ALERTING),
        "record" => Some(RECORDING),
        other => return Err(other.to_owned()),
    };
    let asked = |name: &str, value: &str| {
        let mut all = params.all(name).peekable();
        all.peek().is_none() || all.any(|asked| asked == value)
    };
    let wanted = |rule: &Written| kind.is_none_or(|kind| rule.kind == kind) && asked("rule_name", &rule.name);
    let groups = groups.iter().filter(|group| asked("rule_group", &group.name) && asked("file", group.file));
    let groups = groups.map(|group| RuleGroup {
        rules: group.rules.iter().filter(|rule| wanted(&rule.written)).cloned().collect(),
        ..group.clone()
    });
    Ok(groups.filter(|group| !group.rules.is_empty()).collect())
}

/// Rules as they are written, or 404 in Loki's words.
fn written(place: &Place, groups: &[RuleGroup]) -> Reply {
    let body = match place {
        Place::Group(namespace, wanted) => {
            let group = groups.iter().find(|group| namespace == NAMESPACE && group.name == *wanted);
            let Some(group) = group else { return Reply::text(404, "group does not exist\n") };
            let mut text = String::new();
            put_group(&mut text, group, ["", ""]);
            text
        }
        Place::Namespace(namespace) if namespace != NAMESPACE => String::new(),
        Place::All | Place::Namespace(_) => {
            let mut text = String::new();
            groups.iter().for_each(|group| put_group(&mut text, group, ["  - ", "    "]));
            text
        }
    };
    match (body.is_empty(), place) {
        (true, _) => Reply::text(404, "no rule groups found\n"),
        (false, Place::Group(..)) => Reply { status: 200, content_type: YAML, body },
        (false, _) => Reply { status: 200, content_type: YAML, body: format!("{NAMESPACE}:\n{body}") },
    }
}

/// Writes a group and its rules as YAML: texts as JSON has them, and what is empty left out. `indents`: what stands before its first
/// line, and before the others.
fn put_group(text: &mut String, group: &RuleGroup, [first, other]: [&str; 2]) {
    let duration =
        |seconds: f64| units::format_duration(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    let _ = writeln!(text, "{first}name: {}", json!(group.name));
    let _ = writeln!(text, "{other}interval: {}", duration(group.interval));
    if group.limit > 0 {
        let _ = writeln!(text, "{other}limit: {}", group.limit);
    }
    let _ = writeln!(text, "{other}rules:");
    for rule in group.rules.iter().map(|rule| &rule.written) {
        let kind = if rule.alert.is_some() { "alert" } else { "record" };
        let _ = writeln!(text, "{other}  - {kind}: {}", json!(rule.name));
        let _ = writeln!(text, "{other}    expr: {}", json!(rule.query));
        let alert = rule.alert.iter();
        let times = alert.flat_map(|a| [("for", a.duration), ("keep_firing_for", a.keep_firing_for)]);
        for (key, seconds) in times.filter(|(_, seconds)| *seconds > 0.0) {
            let _ = writeln!(text, "{other}    {key}: {}", duration(seconds));
        }
        let annotations = rule.alert.iter().map(|alert| ("annotations", &alert.annotations));
        let texts = std::iter::once(("labels", &rule.labels)).chain(annotations);
        for (key, texts) in texts.filter(|(_, texts)| !texts.is_empty()) {
            let _ = writeln!(text, "{other}    {key}: {}", json!(texts));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::file;
    use crate::alerts::run::Rules;
    use crate::alerts::shown;
    use crate::alerts::state::Outside;
    use crate::query::api::Params;
    use logql::label_set::LabelSet;
    use std::sync::Arc;

    const RULES: &str = r#"
groups:
  - name: "a: b"
    interval: 90s
    limit: 7
    labels: {team: ops}
    rules:
      - alert: Many
        expr: 'sum by (unit) (count_over_time({j="j"} |= `\` [1m])) > 1'
        for: 2m
        keep_firing_for: 10m
        labels: {severity: '{{ $value }}!'}
        annotations: {summary: "{{ $labels.unit }}: \"much\""}
      - alert: Quiet
        expr: 'count_over_time({j="k"}[1m]) > 1'
  - name: second
    rules:
      - {record: "x:y", expr: 'sum(count_over_time({j="j"}[1m]))', labels: {from: rules}}
"#;

    /// The rules above, before and after evaluations.
    fn groups(evaluated: bool) -> Vec<RuleGroup> {
        const SECOND: i64 = 1_000_000_000;
        let (groups, _) = file::parse(RULES, "f", None).unwrap_or_else(|error| panic!("{error}"));
        let mut rules = Rules::new(&groups, Outside::default(), 60 * SECOND, 100);
        rules.advance(-1);
        if evaluated {
            for second in [30, 60, 110, 120, 170, 171] {
                rules.advance(second * SECOND - 1);
                let mut set = LabelSet::default();
                [("j", "j"), ("unit", "a")]
                    .iter()
                    .for_each(|(name, value)| set.insert(name, value.as_bytes()));
                rules.observe(second * SECOND, &Arc::new(set), "\\", std::iter::empty());
            }
            rules.advance(180 * SECOND);
        }
        let mut groups = shown::groups(rules.rules());
        let durations = groups.iter_mut().flat_map(|group| {
            let rules = group.rules.iter_mut().map(|rule| &mut rule.evaluation_time);
            rules.chain([&mut group.evaluation_time])
        });
        durations.for_each(|duration| {
            assert_eq!(*duration > 0.0, evaluated);
            *duration = 0.5;
        });
        groups
    }

    fn asked(path: &str, params: &[(&str, &str)], groups: &[RuleGroup]) -> Reply {
        let params = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let request =
            Request { path: path.to_owned(), params: Params(params.collect()), ..Request::default() };
        answer(&request, groups).unwrap()
    }

    fn data(path: &str, params: &[(&str, &str)], groups: &[RuleGroup]) -> Value {
        serde_json::from_str::<Value>(&asked(path, params, groups).body).unwrap()["data"].clone()
    }

    #[test]
    fn rules_are_yaml() {
        let reply = asked("/loki/api/v1/rules", &[], &groups(false));
        assert_eq!((reply.status, reply.content_type), (200, "application/yaml"));
        let read: Value =
            serde_saphyr::from_str(&reply.body).unwrap_or_else(|error| panic!("{error}: {}", reply.body));
        let first = json!([
            {"alert": "Many", "expr": "(sum by (unit)(count_over_time({j=\"j\"} |= \"\\\\\"[1m])) > 1)", "for": "2m",
             "keep_firing_for": "10m", "labels": {"severity": "{{ $value }}!", "team": "ops"},
             "annotations": {"summary": "{{ $labels.unit }}: \"much\""}},
            {"alert": "Quiet", "expr": "(count_over_time({j=\"k\"}[1m]) > 1)", "labels": {"team": "ops"}},
        ]);
        let second = json!([
            {"record": "x:y", "expr": "sum(count_over_time({j=\"j\"}[1m]))", "labels": {"from": "rules"}},
        ]);
        let expected = json!({"journal-ship": [
            {"name": "a: b", "interval": "1m30s", "limit": 7, "rules": first},
            {"name": "second", "interval": "1m", "rules": second},
        ]});
        assert_eq!(read, expected);
        let all = groups(false);
        let read = |path: &str| {
            let reply = asked(&format!("/loki/api/v1/rules/{path}"), &[], &all);
            assert_eq!(reply.status, 200, "{path}: {}", reply.body);
            serde_saphyr::from_str::<Value>(&reply.body)
                .unwrap_or_else(|error| panic!("{error}: {}", reply.body))
        };
        assert_eq!(read("journal-ship"), expected);
        assert_eq!(read("journal-ship/a%3A%20b"), expected["journal-ship"][0]);
        assert_eq!(read("journal%2Dship/second"), expected["journal-ship"][1]);
        for (path, groups, said) in [
            ("", &[][..], "no rule groups found\n"),
            ("/journal-ship", &[], "no rule groups found\n"),
            ("/other", &all, "no rule groups found\n"),
            ("/journal-ship/third", &all, "group does not exist\n"),
            ("/other/second", &all, "group does not exist\n"),
        ] {
            assert_eq!(
                asked(&format!("/loki/api/v1/rules{path}"), &[], groups),
                Reply::text(404, said),
                "{path}"
            );
        }
        for path in [
            "/loki/api/v1/rules/",
            "/loki/api/v1/rules/a/b/c",
            "/loki/api/v1/rules//b",
            "/loki/api/v1/ruless",
        ] {
            assert!(!has(path), "{path}");
        }
    }

    #[test]
    fn rules_have_the_shape_of_prometheus() {
        let never = "0001-01-01T00:00:00Z";
        let many = json!({
            "name": "Many", "query": "(sum by (unit)(count_over_time({j=\"j\"} |= \"\\\\\"[1m])) > 1)", "type": "alerting",
            "duration": 120.0, "keepFiringFor": 600.0, "labels": {"severity": "{{ $value }}!", "team": "ops"},
            "annotations": {"summary": "{{ $labels.unit }}: \"much\""}, "health": "unknown", "lastError": "",
            "evaluationTime": 0.5, "lastEvaluation": never, "state": "inactive", "alerts": [],
        });
        let before = data("/prometheus/api/v1/rules", &[], &groups(false));
        assert_eq!(before["groups"][0]["rules"][0], many);
        let evaluated = groups(true);
        let after = data("/prometheus/api/v1/rules", &[], &evaluated);
        let [first, second] = [0, 1].map(|number| after["groups"][number].clone());
        let of = |group: &Value| {
            ["name", "file", "interval", "limit", "evaluationTime", "lastEvaluation"]
                .map(|key| group[key].clone())
        };
        let at = "1970-01-01T00:03:00Z";
        assert_eq!(json!(of(&first)), json!(["a: b", "journal-ship", 90.0, 7, 0.5, at]));
        assert_eq!(json!(of(&second)), json!(["second", "journal-ship", 60.0, 0, 0.5, at]));
        let alert = json!({
            "labels": {"alertname": "Many", "severity": "2!", "team": "ops", "unit": "a"},
            "annotations": {"summary": "a: \"much\""}, "state": "pending", "activeAt": at,
            "value": "2e+00",
        });
        let recorded = json!({
            "name": "x:y", "query": "sum(count_over_time({j=\"j\"}[1m]))", "type": "recording",
            "labels": {"from": "rules"}, "health": "ok", "lastError": "", "evaluationTime": 0.5, "lastEvaluation": at,
        });
        assert_eq!(second["rules"], json!([recorded]));
        assert_eq!(data("/prometheus/api/v1/alerts", &[], &evaluated), json!({"alerts": [alert]}));
        assert_eq!(first["rules"][0]["alerts"], json!([alert]));
        assert_eq!(first["rules"][0]["state"], "pending");
    }

    #[test]
    fn rules_are_chosen_as_with_loki() {
        let groups = groups(false);
        for (params, names) in [
            (&[("type", "alert")][..], &["Many", "Quiet"][..]),
            (&[("type", "Record")], &["x:y"]),
            (&[("rule_name", "Quiet"), ("rule_name", "x:y")], &["Quiet", "x:y"]),
            (&[("rule_group", "second"), ("file", "journal-ship")], &["x:y"]),
            (&[("file", "other")], &[]),
        ] {
            let found = data("/prometheus/api/v1/rules", params, &groups);
            let groups = found["groups"].as_array().unwrap();
            let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
            let found: Vec<_> = rules.map(|rule| rule["name"].as_str().unwrap()).collect();
            assert_eq!(found, names, "{params:?}");
        }
        let reply = asked("/prometheus/api/v1/rules", &[("type", "x")], &groups);
        let expected =
            r#"{"status":"error","data":null,"errorType":"bad_data","error":"not supported value \"x\""}"#;
        assert_eq!((reply.status, reply.body.as_str()), (400, expected));
        let other = Request { path: "/prometheus/api/v1/x".to_owned(), ..Request::default() };
        assert_eq!(answer(&other, &groups), None);
    }
}
