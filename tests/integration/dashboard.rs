//! Grafana's dashboards: every query in them is one that its source understands, and what it asks for is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::prometheus::{PROMETHEUS, Prometheus, assert_tidy, there};
use crate::support::agent::Agent;
use crate::support::alertmanager::{free_port, http};
use crate::support::journald::wait_until;
use crate::support::loki::Loki;
use crate::support::{or_skip, root};

/// What Grafana puts in place of variables of its own, for the demonstration's two days.
const OWN: [(&str, &str); 3] = [("$__rate_interval", "5m"), ("$__range", "3d"), ("$__auto", "1h")];
/// The time around the demonstration's journal: `start`, `end` (seconds since 1970).
const DEMO: (u64, u64) = (1_793_923_200, 1_794_182_400);
/// Panels that are empty as long as all is well.
const EMPTY: [&str; 5] =
    ["Alerts about agents", "Alerts now", "Not sent, by reason", "Warnings of agents", "Alerts"];

/// A query of a panel, with the values of its variables.
#[derive(Debug)]
struct Query {
    panel: String,
    source: String,
    text: String,
    instant: bool,
}

/// The dashboards, by the names of their files.
fn dashboards() -> Vec<(PathBuf, Value)> {
    let files = fs::read_dir(root().join("config/grafana")).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        let value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        (path, value)
    };
    files.map(read).collect()
}

/// The values of a dashboard's variables when a person has chosen nothing: all, or the first.
fn variables(dashboard: &Value) -> Vec<(String, String)> {
    let list = dashboard["templating"]["list"].as_array().unwrap();
    let mut values: Vec<_> = list
        .iter()
        .map(|variable| {
            let name = variable["name"].as_str().unwrap();
            let all = variable["allValue"].as_str().map(str::to_owned);
            let first = if name == "host" { "oak" } else { "" };
            (format!("${name}"), all.unwrap_or(first.to_owned()))
        })
        .collect();
    values.extend(OWN.map(|(name, value)| (name.to_owned(), value.to_owned())));
    // The longer name first: one may begin another.
    values.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    values
}

fn queries(dashboard: &Value) -> Vec<Query> {
    let values = variables(dashboard);
    let firm = regex::Regex::new(r#"\{[^}]*(=~"\.\+"|="[^"]+")"#).unwrap();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(panel["datasource"], target["datasource"], "{panel}");
            let mut text = target["expr"].as_str().unwrap().to_owned();
            for (name, value) in &values {
                text = text.replace(name, value);
            }
            assert!(!text.contains('$'), "{text} has a variable that the dashboard does not have");
            // Loki refuses a query all of whose matchers take an empty value.
            assert!(panel["datasource"]["type"] != "loki" || firm.is_match(&text), "Loki refuses {text}");
            queries.push(Query {
                panel: panel["title"].as_str().unwrap().to_owned(),
                source: panel["datasource"]["type"].as_str().unwrap().to_owned(),
                text,
                instant: target["queryType"] == "instant",
            });
        }
    }
    queries
}

#[test]
fn they_belong_together_and_are_described() {
    let (mut names, mut titles) = (BTreeSet::new(), BTreeSet::new());
    let guide = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for (path, dashboard) in dashboards() {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert_eq!(dashboard["uid"], name, "links go by it");
        assert_eq!(dashboard["links"][0]["tags"][0], "journal-ship", "{name} leads to the others");
        assert!(guide.contains(&format!("`{name}.json`")), "{name} is not in docs/operations.md");
        assert!(names.insert(name) && titles.insert(dashboard["title"].to_string()), "{titles:?}");
        // Sources are chosen, so that a data source may have any name.
        for panel in dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row") {
            let uid = panel["datasource"]["uid"].as_str().unwrap();
            assert!(["${loki}", "${prometheus}"].contains(&uid), "{panel}");
            let name = uid.trim_matches(['$', '{', '}']);
            let chosen = dashboard["templating"]["list"].as_array().unwrap();
            assert!(chosen.iter().any(|one| one["name"] == name && one["type"] == "datasource"), "{name}");
        }
        let ids: BTreeSet<_> =
            dashboard["panels"].as_array().unwrap().iter().map(|p| p["id"].to_string()).collect();
        assert_eq!(ids.len(), dashboard["panels"].as_array().unwrap().len(), "numbers of panels");
    }
    assert_eq!(names.len(), 3);
    assert!(readme.contains("config/grafana"));
}

/// The number of series or streams in an answer, of Loki's or Prometheus' API.
fn results(port: u16, path: &str, parameters: &[(&str, String)]) -> usize {
    let mut encoded = url::form_urlencoded::Serializer::new(String::new());
    parameters.iter().for_each(|(name, value)| _ = encoded.append_pair(name, value));
    let asked = http(port, "GET", &format!("{path}?{}", encoded.finish()), "");
    // A Prometheus that starts does not listen yet, or is not ready.
    let Some((status, body)) = asked.filter(|(status, _)| *status != 503) else { return 0 };
    assert_eq!(status, 200, "{parameters:?}: {body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    answer["data"]["result"].as_array().unwrap().len()
}

#[test]
fn every_panel_is_answered() {
    or_skip!(there(PROMETHEUS));
    let loki = Loki::builder().ignore_age(true).start();
    let (metrics, asked) = (free_port(), free_port());
    // The alert fires on the demonstration's host; nobody is there to be told.
    let more = format!(
        "query: {{listen: '127.0.0.1:{asked}', unauthenticated: true}}\n\
         alerts: {{rule_files: ['{}'], alertmanagers: [{{url: 'http://127.0.0.1:9'}}], evaluation_interval: 1s}}",
        root().join("demo/rules.yaml").display()
    );
    let mut agent = Agent::new(&root().join("demo/journal"), &loki.url(), &more);
    agent.reconfigure("http: {listen: null}", &format!("http: {{listen: '127.0.0.1:{metrics}'}}"));
    agent.start();
    wait_until("everything is stored", || {
        let text = http(metrics, "GET", "/metrics", "").map(|(_, text)| text).unwrap_or_default();
        text.contains("journalship_lag_seconds{destination=\"main\"} 0\n")
            && text.contains("journalship_rule_evaluation_duration_seconds_count")
            && text.contains("journalship_journal_files{destination=\"main\",state=\"")
    });
    assert_tidy(&http(metrics, "GET", "/metrics", "").unwrap().1);
    let prometheus = Prometheus::start(metrics);
    let mut empty = BTreeSet::new();
    for query in dashboards().iter().flat_map(|(_, dashboard)| queries(dashboard)) {
        let (text, expected) = (query.text.clone(), !EMPTY.contains(&query.panel.as_str()));
        let found = if query.source == "prometheus" {
            let mut found = 0;
            let look = || {
                found = results(prometheus.port(), "/api/v1/query", &[("query", text.clone())]);
                found > 0 || !expected
            };
            wait_until(&format!("{query:?}"), look);
            found
        } else if query.instant {
            let at = ("time", DEMO.1.to_string());
            results(asked, "/loki/api/v1/query", &[("query", text), at])
        } else {
            let (start, end) = (("start", DEMO.0.to_string()), ("end", DEMO.1.to_string()));
            results(
                asked,
                "/loki/api/v1/query_range",
                &[("query", text), start, end, ("step", "3600".into())],
            )
        };
        assert!(found > 0 || !expected, "{query:?} finds nothing");
        if found == 0 {
            empty.insert(query.panel);
        }
    }
    agent.stop();
    let unneeded: Vec<_> = EMPTY.iter().filter(|panel| !empty.contains(**panel)).collect();
    assert!(unneeded.is_empty(), "these are not empty: {unneeded:?}");
}
