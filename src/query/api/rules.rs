//! Rules and alerts in the shape of Prometheus' API, as Grafana's list of alerts asks (grafana/loki,
//! `pkg/ruler/base/api.go`).

use serde_json::{Value, json};

use super::{JSON_BARE, Reply};

/// Answers a request for rules or alerts; `groups` are those of the agent. `None`: the path is another one.
pub fn answer(path: &str, groups: &Value) -> Option<Reply> {
    let data = match path {
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

#[cfg(test)]
mod tests {
    use super::*;

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
