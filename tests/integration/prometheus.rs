//! A real Prometheus scrapes a real agent, and the alerts that come with it fire.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::agent::Agent;
use crate::support::alertmanager::{free_port, http};
use crate::support::fixtures::{ExportEntry, Format, build_journal};
use crate::support::journald::wait_until;
use crate::support::loki::{Answer, Loki};
use crate::support::{Unavailable, or_skip};

pub(crate) const PROMETHEUS: &str = "/usr/bin/prometheus";
const PROMTOOL: &str = "/usr/bin/promtool";
const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/prometheus/journal-ship.rules.yaml");

pub(crate) fn there(program: &str) -> Result<(), Unavailable> {
    match Path::new(program).exists() {
        true => Ok(()),
        false => Err(Unavailable(format!("{program} is missing (Debian package prometheus)"))),
    }
}

#[test]
fn each_alert_fires_on_what_it_names_and_none_while_all_is_well() {
    or_skip!(there(PROMTOOL));
    let tests = Path::new(RULES).with_file_name("journal-ship.test.yaml");
    let out = Command::new(PROMTOOL).args(["test", "rules"]).arg(&tests).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    let (rules, tests) = (fs::read_to_string(RULES).unwrap(), fs::read_to_string(tests).unwrap());
    let operations = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md")).unwrap();
    for name in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(tests.contains(&format!("  - name: {name}\n")), "{name} has no test");
        assert!(operations.contains(&format!("| `{name}` |")), "{name} is not in docs/operations.md");
    }
    let metric = regex::Regex::new(r"journalship_\w+").unwrap();
    for metric in metric.find_iter(&rules) {
        assert!(
            operations.contains(&format!("`{}`", metric.as_str())),
            "{} is not a metric",
            metric.as_str()
        );
    }
}

/// What an agent shows is what Prometheus' own linter takes.
pub(crate) fn assert_tidy(metrics: &str) {
    let mut linter = Command::new(PROMTOOL)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut linter.stdin.take().unwrap(), metrics.as_bytes()).unwrap();
    let out = linter.wait_with_output().unwrap();
    let words = [out.stdout, out.stderr].concat();
    assert!(out.status.success() && words.is_empty(), "{}", String::from_utf8_lossy(&words));
}

/// A Prometheus that scrapes one agent, five times a second.
pub(crate) struct Prometheus {
    home: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl Prometheus {
    pub(crate) fn start(agent: u16) -> Prometheus {
        let home = tempfile::tempdir().unwrap();
        // Nobody waits for minutes here.
        let waiting = regex::Regex::new(r"(?m)^( +for:) .*$").unwrap();
        let rules = fs::read_to_string(RULES).unwrap();
        fs::write(home.path().join("rules.yaml"), waiting.replace_all(&rules, "$1 0s").as_bytes()).unwrap();
        let config = format!(
            "global: {{scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}}\n\
             rule_files: [rules.yaml]\nscrape_configs:\n- job_name: journal-ship\n  static_configs: \
             [{{targets: ['127.0.0.1:{agent}']}}]\n"
        );
        let path = home.path().join("prometheus.yml");
        fs::write(&path, config).unwrap();
        let port = free_port();
        let child = Command::new(PROMETHEUS)
            .arg(format!("--config.file={}", path.display()))
            .arg(format!("--storage.tsdb.path={}", home.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Prometheus { home, port, child }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The names of the alerts that fire.
    fn firing(&self) -> Vec<String> {
        let Some((200, body)) = http(self.port, "GET", "/api/v1/alerts", "") else { return Vec::new() };
        let Ok(answer) = serde_json::from_str::<Value>(&body) else { return Vec::new() };
        let alerts = answer["data"]["alerts"].as_array().cloned().unwrap_or_default();
        let fires = |alert: &&Value| alert["state"] == "firing";
        let name = |alert: &Value| alert["labels"]["alertname"].as_str().unwrap_or_default().to_owned();
        alerts.iter().filter(fires).map(name).collect()
    }

    fn until_fires(&self, name: &str) {
        assert!(self.home.path().exists());
        wait_until(name, || self.firing().iter().any(|other| other == name));
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_real_prometheus_tells_that_a_person_is_needed_and_that_an_agent_is_gone() {
    or_skip!(there(PROMETHEUS));
    let dir = tempfile::tempdir().unwrap();
    let entries: Vec<_> =
        (0..5).map(|n| ExportEntry::new(1_795_240_800_000_000 + n).message(n.to_string())).collect();
    or_skip!(build_journal(&dir.path().join("a.journal"), &entries, Format::default()));
    let loki = Loki::start();
    loki.answer_next(10_000, Answer::Status(401, "no credentials".to_owned()));
    let port = free_port();
    let mut agent = Agent::new(dir.path(), &loki.url(), "");
    agent.reconfigure("http: {listen: null}", &format!("http: {{listen: '127.0.0.1:{port}'}}"));
    agent.start();
    let metrics = || http(port, "GET", "/metrics", "").map(|(_, text)| text).unwrap_or_default();
    wait_until("attention is needed", || {
        metrics().contains("journalship_server_needs_attention{server=\"loki main\"} 1\n")
    });
    // It is stuck, not idle.
    let lag = metrics();
    let lag =
        lag.lines().find_map(|line| line.strip_prefix("journalship_lag_seconds{destination=\"main\"} "));
    assert!(lag.unwrap().parse::<f64>().unwrap() > 0.0, "{lag:?}");
    let prometheus = Prometheus::start(port);
    for name in ["JournalShipNeedsAttention", "JournalShipServerFailing"] {
        prometheus.until_fires(name);
    }
    let firing = prometheus.firing();
    assert!(!firing.iter().any(|name| name == "JournalShipDown"), "{firing:?}");
    assert_tidy(&metrics());
    agent.stop();
    prometheus.until_fires("JournalShipDown");
}

/// When everything is stored, an agent is not behind, however old the last entry is.
#[test]
fn an_idle_agent_is_not_behind() {
    let dir = tempfile::tempdir().unwrap();
    let entries: Vec<_> =
        (0..5).map(|n| ExportEntry::new(1_795_240_800_000_000 + n).message(n.to_string())).collect();
    or_skip!(build_journal(&dir.path().join("a.journal"), &entries, Format::default()));
    let loki = Loki::builder().ignore_age(true).start();
    let port = free_port();
    let mut agent = Agent::new(dir.path(), &loki.url(), "");
    agent.reconfigure("http: {listen: null}", &format!("http: {{listen: '127.0.0.1:{port}'}}"));
    agent.start();
    let metrics = || http(port, "GET", "/metrics", "").map(|(_, text)| text).unwrap_or_default();
    for part in [
        "journalship_entries_acknowledged_total{destination=\"main\"} 5\n",
        "journalship_lag_seconds{destination=\"main\"} 0\n",
        "journalship_server_failing{server=\"loki main\"} 0\n",
        "journalship_push_entries_count{destination=\"main\"} 1\n",
        "journalship_push_duration_seconds_count{destination=\"main\"} 1\n",
    ] {
        wait_until(part, || metrics().contains(part));
    }
    agent.stop();
}
