//! Grafana's dashboard: every query in it is one that its source understands, and asks for what there is.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use logql::{Expr, Selector};
use serde_json::Value;

use crate::support::{Unavailable, or_skip};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const PROMTOOL: &str = "/usr/bin/promtool";

/// What Grafana puts in place of its variables.
const VARIABLES: [(&str, &str); 8] = [
    ("$__rate_interval", "5m"),
    ("$__range", "6h"),
    ("$__auto", "5m"),
    ("$instance", ".*"),
    ("$search", "timeout"),
    ("$host", "web1|db1"),
    ("$unit", ".*"),
    ("$level", ".*"),
];

/// The queries of panels with a source of this kind.
fn queries(dashboard: &Value, source: &str) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .filter(|panel| panel["datasource"]["type"] == source)
        .flat_map(|panel| panel["targets"].as_array().unwrap());
    targets
        .map(|target| {
            let mut query = target["expr"].as_str().unwrap().to_owned();
            for (variable, value) in VARIABLES {
                query = query.replace(variable, value);
            }
            assert!(!query.contains('$'), "{query}");
            query
        })
        .collect()
}

#[test]
fn its_queries_are_understood() {
    let text = fs::read_to_string(format!("{ROOT}/config/grafana/journal-ship.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let logs = queries(&dashboard, "loki");
    assert!(logs.len() >= 2);
    for query in logs {
        let understood = if query.starts_with('{') {
            Selector::parse(&query).map(|_| ())
        } else {
            Expr::parse(&query).map(|_| ())
        };
        assert!(understood.is_ok(), "{query}: {understood:?}");
    }

    let numbers = queries(&dashboard, "prometheus");
    assert!(numbers.len() >= 10);
    let operations = fs::read_to_string(format!("{ROOT}/docs/operations.md")).unwrap();
    let metric = regex::Regex::new(r"journalship_\w+").unwrap();
    let named: BTreeSet<&str> =
        numbers.iter().flat_map(|query| metric.find_iter(query)).map(|found| found.as_str()).collect();
    assert!(named.len() >= 10, "{named:?}");
    for name in named {
        assert!(operations.contains(&format!("`{name}`")), "{name} is not in docs/operations.md");
    }

    // As rules, Prometheus itself reads them.
    let rules: Vec<Value> = numbers
        .iter()
        .enumerate()
        .map(|(number, query)| serde_json::json!({"record": format!("query_{number}"), "expr": query}))
        .collect();
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("rules.yaml");
    let file = serde_json::json!({"groups": [{"name": "dashboard", "rules": rules}]});
    fs::write(&path, file.to_string()).unwrap();
    or_skip!(if Path::new(PROMTOOL).exists() {
        Ok(())
    } else {
        Err(Unavailable(format!("{PROMTOOL} is missing (Debian package prometheus)")))
    });
    let out = Command::new(PROMTOOL).args(["check", "rules"]).arg(&path).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
