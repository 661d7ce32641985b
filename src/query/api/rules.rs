//! Rules and alerts in the shape of Prometheus' API, as Grafana's list of alerts asks, and rules as YAML (grafana/loki,
//! `pkg/ruler/base/api.go`).

use std::time::Duration;

use serde_json::{Value, json};

use super::{JSON_BARE, Reply, YAML};
use logql::go::units;

/// The namespace of all rules: that of Loki is a rule file, or what a person has named.
const NAMESPACE: &str = "journal-ship";

/// Answers a request for rules or alerts; `groups` are those of the agent. `None`: the path is another one.
pub fn answer(path: &str, groups: &Value) -> Option<Reply> {
    let data = match path {
        "/loki/api/v1/rules" => {
            let groups = groups.as_array().filter(|groups| !groups.is_empty());
            return Some(match groups {
                Some(groups) => Reply { status: 200, content_type: YAML, body: yaml(groups) },
                None => Reply::text(404, "no rule groups found\n"),
            });
        }
        "/prometheus/api/v1/rules" => json!({"groups": groups}),
        "/prometheus/api/v1/alerts" => {
            let rules =
                groups.as_array().into_iter().flatten().filter_map(|group| group.get("rules")?.as_array());
            let alerts = rules.flatten().filter_map(|rule| rule.get("alerts")?.as_array()).flatten();
            json!({"alerts": alerts.collect::<Vec<_>>()})
        }
        _ => return None,
    };
    let body = json!({"status": "success", "data": data, "errorType": "", "error": ""});
    Some(Reply { status: 200, content_type: JSON_BARE, body: body.to_string() })
}

/// Groups with the names and expressions of their rules, as YAML: texts as JSON has them.
fn yaml(groups: &[Value]) -> String {
    let mut text = format!("{NAMESPACE}:\n");
    for group in groups {
        let seconds =
            group["interval"].as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let interval = units::format_duration(seconds.unwrap_or_default());
        text += &format!("  - name: {}\n    interval: {interval}\n    rules:\n", group["name"]);
        for rule in group["rules"].as_array().into_iter().flatten() {
            let kind = if rule["type"] == "recording" { "record" } else { "alert" };
            text += &format!("      - {kind}: {}\n        expr: {}\n", rule["name"], rule["query"]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_yaml() {
        let groups = json!([{"name": "a: b", "interval": 90.0, "rules": [
            {"name": "x", "query": "sum(rate({a=\"b\"} |= `\\` [1m])) > 1", "type": "alerting"},
            {"name": "y:z", "query": "vector(1)", "type": "recording"},
        ]}]);
        let reply = answer("/loki/api/v1/rules", &groups).unwrap();
        assert_eq!((reply.status, reply.content_type), (200, "application/yaml"));
        let read: Value =
            serde_saphyr::from_str(&reply.body).unwrap_or_else(|error| panic!("{error}: {}", reply.body));
        let rules = json!([
            {"alert": "x", "expr": "sum(rate({a=\"b\"} |= `\\` [1m])) > 1"},
            {"record": "y:z", "expr": "vector(1)"},
        ]);
        assert_eq!(read, json!({"journal-ship": [{"name": "a: b", "interval": "1m30s", "rules": rules}]}));
        let none = answer("/loki/api/v1/rules", &json!([])).unwrap();
        assert_eq!(none, Reply::text(404, "no rule groups found\n"));
    }

    #[test]
    fn alerts_are_those_of_all_rules() {
        let groups = json!([
            {"name": "a", "rules": [{"name": "x", "alerts": [1, 2]}, {"name": "r"}]},
            {"name": "b", "rules": [{"name": "y", "alerts": [3]}]},
        ]);
        let read = |path: &str, groups: &Value| {
            answer(path, groups)
                .map(|reply| serde_json::from_str::<Value>(&reply.body).unwrap()["data"].clone())
        };
        assert_eq!(read("/prometheus/api/v1/rules", &groups), Some(json!({"groups": groups})));
        assert_eq!(read("/prometheus/api/v1/alerts", &groups), Some(json!({"alerts": [1, 2, 3]})));
        assert_eq!(read("/prometheus/api/v1/alerts", &json!([])), Some(json!({"alerts": []})));
        assert_eq!(read("/prometheus/api/v1/x", &groups), None);
    }
}
