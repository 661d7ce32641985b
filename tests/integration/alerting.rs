//! Alerts end to end: a real journald, the built program, a real Alertmanager.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::agent::Agent;
use crate::support::alertmanager::{Alertmanager, Webhook, free_port, http};
use crate::support::journald::{Journald, wait_until};
use crate::support::loki::Loki;
use crate::support::or_skip;

const LABELS: &str = "labels: {static: {job: t}, fields: {app: SYSLOG_IDENTIFIER, host: _HOSTNAME}}\n";

/// An agent with these rules; `servers` are items of `alerts.alertmanagers`, `more` further lines of its section.
fn alerting(journald: &Journald, loki: &str, servers: &[String], more: &str, rules: &str) -> Agent {
    let servers: String = servers.iter().map(|server| format!("    - {server}\n")).collect();
    let config = format!(
        "{LABELS}alerts:\n  rule_files: [RULES]\n  resend_delay: 1s\n  evaluation_interval: 1s\n{more}  \
         alertmanagers:\n{servers}"
    );
    let agent = Agent::new(&journald.dir(), loki, &config);
    let path = agent.home.path().join("rules.yaml");
    fs::write(&path, rules).unwrap();
    agent.reconfigure("RULES", &path.display().to_string());
    agent
}

fn log(journald: &Journald, app: &str, line: &str) {
    journald.send_native(&[("SYSLOG_IDENTIFIER", app.as_bytes()), ("MESSAGE", line.as_bytes())]);
}

fn rules(rules: &[&str]) -> String {
    let rules: String = rules.iter().map(|rule| format!("      - {rule}\n")).collect();
    format!("groups:\n  - name: g\n    rules:\n{rules}")
}

const BOOM: &str = r#"{alert: Boom, expr: 'sum by (app, host) (count_over_time({job="t"} |= "boom" [8s])) > 0', labels: {severity: page}, annotations: {summary: '{{ $labels.app }} on {{ $labels.host }}: {{ $value }}'}}"#;

#[test]
fn alerts_fire_grouped_are_silenced_and_resolve_while_loki_is_away() {
    let journald = or_skip!(Journald::builder().hostname("web-7").start());
    let webhook = Webhook::start();
    let server = or_skip!(Alertmanager::start(Some(&webhook)));
    server.silence("app", "quiet");
    let loki = Loki::start();
    loki.refuse_connections(true);
    let more = "  external_url: https://grafana.example.org/g\n  external_labels: {fleet: f1}\n";
    // An entry that retention drops is one that rules see.
    let drops = "retention: {rules: [{selector: '{app=\"quiet\"}', drop: true}]}\n";
    let url = format!("url: {}", server.url());
    let mut agent = alerting(&journald, &loki.url(), &[url], more, &rules(&[BOOM]));
    let config = fs::read_to_string(agent.config()).unwrap();
    fs::write(agent.config(), format!("{config}{drops}")).unwrap();
    agent.start();
    wait_until("it runs", || agent.log().contains("evaluating 1 alert rules from 1 file, telling 1 Alert"));
    for app in ["a", "b", "quiet"] {
        log(&journald, app, "boom");
    }
    wait_until("all three fire", || server.alerts().len() == 3);
    let alert = server.alert("Boom", &[("app", "a")]).unwrap();
    let labels = serde_json::json!({"alertname": "Boom", "app": "a", "fleet": "f1", "host": "web-7", "severity": "page"});
    assert_eq!(alert["labels"], labels);
    assert_eq!(alert["annotations"]["summary"], "a on web-7: 1");
    let link = alert["generatorURL"].as_str().unwrap();
    assert!(link.starts_with("https://grafana.example.org/g/explore?left=%7B%22"), "{link}");
    // It opens the time at which the alert fired, whenever that is done.
    let left = url::Url::parse(link).unwrap().query_pairs().next().unwrap().1.into_owned();
    let range = &serde_json::from_str::<Value>(&left).unwrap()["range"];
    let starts: jiff::Timestamp = alert["startsAt"].as_str().unwrap().parse().unwrap();
    let at = |name: &str| range[name].as_str().unwrap().parse::<i64>().unwrap() - starts.as_millisecond();
    assert_eq!((at("from"), at("to")), (-3_600_000, 900_000), "{range}");
    assert_eq!(server.alert("Boom", &[("app", "quiet")]).unwrap()["status"]["state"], "suppressed");
    let tells_of_both = |n: &Value| n["status"] == "firing" && n["alerts"].as_array().unwrap().len() == 2;
    wait_until("one notification tells of both", || webhook.notifications().iter().any(tells_of_both));
    // One of them may be over an evaluation before the other.
    let resolved = || -> Vec<Value> {
        let notifications = webhook.notifications();
        let alerts = notifications.iter().flat_map(|n| n["alerts"].as_array().unwrap());
        alerts.filter(|alert| alert["status"] == "resolved").cloned().collect()
    };
    let is_resolved = |app: &str| resolved().iter().any(|alert| alert["labels"]["app"] == app);
    wait_until("both are resolved", || is_resolved("a") && is_resolved("b"));
    for alert in resolved() {
        assert!(alert["endsAt"].as_str() > alert["startsAt"].as_str(), "{alert}");
        assert_ne!(alert["labels"]["app"], "quiet");
    }
    assert!(loki.stored().is_empty() && agent.log().contains("loki `main`"), "{}", agent.log());
    agent.stop();
}

#[test]
fn every_server_is_told_and_one_that_is_down_when_it_is_back() {
    let journald = or_skip!(Journald::start());
    let first = or_skip!(Alertmanager::start(None));
    let mut second = or_skip!(Alertmanager::prepare(None, "/deep/am", &[]));
    let loki = Loki::builder().ignore_age(true).start();
    let servers = [format!("url: {}", first.url()), format!("url: {}/deep/am", second.url())];
    let long = BOOM.replace("[8s]", "[1h]");
    let mut agent = alerting(&journald, &loki.url(), &servers, "", &rules(&[&long]));
    agent.start();
    log(&journald, "a", "boom");
    wait_until("the first is told", || first.alert("Boom", &[]).is_some());
    assert!(agent.log().contains("does not take alerts"), "{}", agent.log());
    second.start_again();
    wait_until("the second is told", || second.alert("Boom", &[]).is_some());
    wait_until("that is in the log", || agent.log().contains("takes alerts again"));
    let starts = |server: &Alertmanager| server.alert("Boom", &[]).unwrap()["startsAt"].clone();
    assert_eq!(starts(&first), starts(&second));
    agent.stop();
}

#[test]
fn a_restart_keeps_what_is_pending_and_what_fires() {
    let journald = or_skip!(Journald::start());
    let webhook = Webhook::start();
    let server = or_skip!(Alertmanager::start(Some(&webhook)));
    let loki = Loki::start();
    loki.refuse_connections(true);
    let slow = BOOM.replace("[8s]", "[1h]").replace("labels:", "for: 5s, labels:");
    let url = format!("url: {}", server.url());
    let mut agent = alerting(&journald, &loki.url(), &[url], "", &rules(&[&slow]));
    // While it is away Alertmanager must not take the alert for resolved: that is after four of these.
    agent.reconfigure("resend_delay: 1s", "resend_delay: 10s");
    let state = agent.home.path().join("state/alerts.state");
    let saved = || -> Option<Value> {
        let saved: Value = serde_json::from_slice(&fs::read(&state).ok()?).unwrap();
        Some(saved["rules"].get(0)?["alerts"][0].clone())
    };
    agent.start();
    log(&journald, "a", "boom");
    wait_until("it is pending", || saved().is_some_and(|alert| alert["state"] == "pending"));
    let active_at = saved().unwrap()["active_at"].as_i64().unwrap();
    assert_eq!(agent.end(Signal::KILL).code(), None);
    agent.start();
    wait_until("it fires", || server.alert("Boom", &[]).is_some());
    let starts = |server: &Alertmanager| {
        let text = server.alert("Boom", &[]).unwrap()["startsAt"].as_str().unwrap().to_owned();
        i64::try_from(text.parse::<jiff::Timestamp>().unwrap().as_nanosecond()).unwrap()
    };
    let fired = starts(&server);
    assert_eq!(fired, active_at + 5_000_000_000, "it was not pending anew");
    let ends = || server.alert("Boom", &[]).unwrap()["endsAt"].as_str().unwrap().to_owned();
    for kill in [true, false] {
        match kill {
            true => assert_eq!(agent.end(Signal::KILL).code(), None),
            false => agent.stop(),
        }
        let before = ends();
        agent.start();
        wait_until("it is told again", || ends() > before);
        assert_eq!(starts(&server), fired);
    }
    assert!(webhook.notifications().iter().all(|n| n["status"] == "firing"), "nothing was resolved");
    agent.stop();
}

#[test]
fn what_is_over_when_it_starts_is_told_nobody_and_what_is_not_is_told() {
    let journald = or_skip!(Journald::start());
    let webhook = Webhook::start();
    let server = or_skip!(Alertmanager::start(Some(&webhook)));
    let loki = Loki::builder().ignore_age(true).start();
    log(&journald, "a", "boom");
    journald.sync();
    std::thread::sleep(std::time::Duration::from_millis(1100)); // the evaluations of a second are over
    let gone = r#"{alert: Gone, expr: 'absent_over_time({app="a"}[1h])'}"#;
    let long = BOOM.replace("[8s]", "[1h]");
    let url = format!("url: {}", server.url());
    let mut agent = alerting(&journald, &loki.url(), &[url], "", &rules(&[gone, &long]));
    agent.start();
    wait_until("what goes on is told", || server.alert("Boom", &[]).is_some());
    wait_until("and notified", || !webhook.notifications().is_empty());
    assert!(server.alert("Gone", &[]).is_none(), "the window began before the start");
    agent.stop();
}

#[test]
fn a_wrong_path_and_a_wrong_password_are_said_plainly() {
    // bcrypt of "hunter2"
    const USERS: &str =
        "basic_auth_users: {ada: $2b$04$JQwB6aW31EJYj/s2PcaAmO2U9U01cAz0DQ1sU7gvmnqquctgkCIAO}\n";
    let journald = or_skip!(Journald::start());
    let mut prefixed = or_skip!(Alertmanager::prepare(None, "/am", &[]));
    let mut locked = or_skip!(Alertmanager::prepare(None, "", &[]));
    prefixed.start_again();
    let tls = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls");
    let web =
        format!("{USERS}tls_server_config: {{cert_file: {tls}/server.pem, key_file: {tls}/server.key}}\n");
    let web = locked.file("web.yml", &web);
    locked.argument(format!("--web.config.file={}", web.display()));
    locked.start_again();
    let password = locked.file("password", "wrong\n");
    let loki = Loki::builder().ignore_age(true).start();
    let secure = format!(
        "{{url: 'https://127.0.0.1:{}', tls: {{ca_file: {tls}/ca.pem}}, basic_auth: {{username: ada, password_file: {}}}}}",
        locked.port,
        password.display()
    );
    let port = free_port();
    let mut agent = alerting(
        &journald,
        &loki.url(),
        &[format!("url: {}", prefixed.url()), secure],
        "",
        &rules(&[&BOOM.replace("[8s]", "[1h]")]),
    );
    agent.reconfigure("http: {listen: null}", &format!("http: {{listen: '127.0.0.1:{port}'}}"));
    agent.start();
    wait_until("both are told of", || {
        agent.log().contains("path prefix") && agent.log().contains("HTTP 401")
    });
    let text = agent.log();
    assert!(text.contains("needs attention: HTTP 404") && !text.contains("wrong\n"), "{text}");
    let (status, ready) = http(port, "GET", "/ready", "").unwrap();
    assert!(
        status == 503 && ready.starts_with("not ready\n") && ready.contains("\nalertmanager http"),
        "{ready}"
    );
    // Both are mended without a restart of the agent.
    fs::write(&password, "hunter2\n").unwrap();
    agent.reconfigure(&prefixed.url(), &format!("{}/am", prefixed.url()));
    agent.signal(Signal::HUP);
    log(&journald, "a", "boom");
    wait_until("the first is told", || prefixed.alert("Boom", &[]).is_some());
    wait_until("both are well", || http(port, "GET", "/ready", "").is_some_and(|(status, _)| status == 200));
    agent.stop();
}

/// Writes lines `invented-N : not allowed` to the journal.
const INVENTS: &str = r#"
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect("/run/systemd/journal/socket")
for n in range(int(sys.argv[1])):
    s.send(b"SYSLOG_IDENTIFIER=sudo\nMESSAGE=invented-%d : not allowed\n" % n)
"#;

/// An ordinary user writes more names than a rule can tell apart, then the true event comes.
#[test]
fn invented_names_do_not_hide_the_true_alert() {
    let journald = or_skip!(Journald::builder().hostname("web-7").start());
    let server = or_skip!(Alertmanager::start(None));
    let loki = Loki::builder().ignore_age(true).start();
    let rule = r#"{alert: NotAllowed, expr: 'sum by (who) (count_over_time({job="t"} | pattern "<who> : not allowed" | who != "" [1h])) > 0'}"#;
    let url = format!("url: {}", server.url());
    let mut agent = alerting(&journald, &loki.url(), &[url], "  max_series: 1000\n", &rules(&[rule]));
    agent.reconfigure("evaluation_interval: 1s", "evaluation_interval: 5s");
    let port = free_port();
    agent.reconfigure("http: {listen: null}", &format!("http: {{listen: '127.0.0.1:{port}'}}"));
    agent.start();
    let user = [
        "setpriv",
        "--reuid=1000",
        "--regid=1000",
        "--clear-groups",
        "/usr/bin/python3",
        "-c",
        INVENTS,
        "12000",
    ];
    let sent = journald.run(&user);
    assert!(sent.status.success(), "{sent:?}");
    journald.sync();
    wait_until("the rule is over its limit", || {
        server.alert("JournalShipRuleOverLimit", &[("rule", "NotAllowed")]).is_some()
    });
    log(&journald, "sudo", "mallory : not allowed");
    wait_until("the true alert fires", || server.alert("NotAllowed", &[("who", "mallory")]).is_some());
    wait_until("the eldest stay", || server.alert("NotAllowed", &[("who", "invented-0")]).is_some());
    assert!(server.alert("NotAllowed", &[("who", "invented-11999")]).is_none());
    let told = server.alert("JournalShipRuleOverLimit", &[]).unwrap();
    let labels = serde_json::json!({
        "alertname": "JournalShipRuleOverLimit", "group": "g", "rule": "NotAllowed", "reason": "series",
        "severity": "warning", "host": told["labels"]["host"],
    });
    assert_eq!(told["labels"], labels);
    wait_until("all that is left out is counted", || {
        let (_, text) = http(port, "GET", "/status", "").unwrap_or_default();
        let status: Value = serde_json::from_str(&text).unwrap_or_default();
        // Alerts that gave way with their series count, too.
        status["rules"][0]["left_out"].as_u64().is_some_and(|left_out| left_out >= 11_001)
    });
    let log = agent.log();
    // How many names have come until then depends on the machine.
    let told = log.split("`NotAllowed` (group `g`): more than 1000 series (`alerts.max_series`), ").nth(1);
    let left_out = told.and_then(|told| told.split_once(" left out")).unwrap_or_else(|| panic!("{log}")).0;
    assert!(left_out.parse::<u64>().unwrap() > 0, "{log}");
    assert_eq!(log.matches("is over its limit").count(), 1, "at most once a minute: {log}");
    // What the user wrote is in a file of their own; nothing of it was lost.
    assert!(!log.contains("are missing"), "{log}");
    agent.stop();
}

#[test]
fn rules_are_seen_from_outside_and_reloaded() {
    let journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    let port = free_port();
    let record = r#"{record: 'app:lines:count', expr: 'sum by (app) (count_over_time({job="t"}[1h]))', labels: {from: rules}}"#;
    let failing = r#"{alert: Failing, expr: 'count_over_time({job="t"} | json [1h]) > 0'}"#;
    let many = r#"{alert: Many, expr: 'count_over_time({app="a"} | pattern "<n> <_>" [1h]) > 0'}"#;
    let broken = r#"{alert: Broken, expr: 'vector(1)', annotations: {a: '{{ humanize "x" }}'}}"#;
    let mut agent =
        alerting(&journald, &loki.url(), &[], "  max_series: 10\n", &rules(&[record, failing, many, broken]));
    agent.reconfigure("http: {listen: null}", &format!("http: {{listen: '127.0.0.1:{port}'}}"));
    agent.reconfigure("  alertmanagers:\n", "  alertmanagers: []\n");
    for n in 0..20 {
        log(&journald, "a", &format!("{n} lines"));
    }
    journald.sync();
    agent.start();
    let metrics = || http(port, "GET", "/metrics", "").map(|(_, text)| text).unwrap_or_default();
    wait_until("the recorded series is there", || {
        metrics().contains("app:lines:count{app=\"a\",from=\"rules\"} 20\n")
    });
    let state = |name: &str| {
        let (_, text) = http(port, "GET", "/status", "").unwrap();
        let status: Value = serde_json::from_str(&text).unwrap();
        status["rules"].as_array().unwrap().iter().find(|rule| rule["name"] == name).cloned()
    };
    assert_eq!(state("Failing").unwrap()["error"], "a stage of the query fails on entries: JSONParserErr");
    // It goes on for the series that it has.
    let many = state("Many").unwrap();
    assert_eq!(
        (&many["state"], &many["firing"], &many["error"]),
        (&"firing".into(), &10.into(), &Value::Null)
    );
    assert_eq!(
        (&many["over_limit"], &many["left_out"]),
        (&"more than 10 series (`alerts.max_series`)".into(), &10.into())
    );
    assert_eq!(
        (&state("Broken").unwrap()["state"], &state("Broken").unwrap()["firing"]),
        (&"firing".into(), &1.into())
    );
    let text = metrics();
    for line in [
        "journalship_rule_failures_total{group=\"g\",rule=\"Failing\"}",
        "journalship_rule_template_failures_total{group=\"g\",rule=\"Broken\"}",
        "journalship_alerts{group=\"g\",rule=\"Broken\",state=\"firing\"} 1\n",
        "journalship_rule_series_refused_total{group=\"g\",rule=\"Many\"} 10\n",
        "journalship_rule_over_limit{group=\"g\",rule=\"Many\"} 1\n",
        "journalship_rule_over_limit{group=\"g\",rule=\"Broken\"} 0\n",
        "journalship_alerts{group=\"journal-ship\",rule=\"JournalShipRuleOverLimit\",state=\"firing\"} 1\n",
    ] {
        assert!(text.contains(line), "no {line} in {text}");
    }
    let path = agent.home.path().join("rules.yaml");
    fs::write(&path, rules(&["{record: b:c, expr: 'vector(7)'}"])).unwrap();
    agent.signal(Signal::HUP);
    wait_until("the new rules count", || metrics().contains("b:c 7\n"));
    assert!(!metrics().contains("app:lines:count") && state("Failing").is_none());
    // Rules that are not right change nothing.
    fs::write(&path, "groups: [{name: x, rulez: []}]").unwrap();
    agent.signal(Signal::HUP);
    wait_until("that is explained", || agent.log().contains("did you mean `rules`?"));
    assert!(metrics().contains("b:c 7\n"));
    agent.stop();
}
