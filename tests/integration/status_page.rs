//! The status page in a real browser, and `/status`, which it reads: what a person needs, and nothing of log lines.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::agent::Agent;
use crate::support::alertmanager::{free_port, http};
use crate::support::browser::Browser;
use crate::support::fixtures::{ExportEntry, Format, build_journal};
use crate::support::journald::wait_until;
use crate::support::loki::{Answer, Loki};
use crate::support::or_skip;

/// In every line, and in the name of every unit. It must be in nothing that anybody may ask.
const SECRET: &str = "hunter2";

const RULES: &str = r#"
groups:
- name: shop
  interval: 1s
  rules:
  - {alert: Fires, expr: 'sum by (unit) (count_over_time({unit=~".+"}[1h])) > 1', labels: {who: '{{ $labels.unit }}'}}
  - {alert: Waits, expr: 'sum(count_over_time({unit=~".+"}[1h])) > 1', for: 1h}
  - {alert: Rests, expr: 'sum(count_over_time({unit="none"}[1h])) > 1'}
"#;

/// An agent with rules, a port for the page, and two destinations. The test tells the second one what to answer.
fn started(good: &Loki, bad: &Loki, journal: &std::path::Path, port: u16) -> Agent {
    let rules = journal.join("rules.yaml");
    std::fs::write(&rules, RULES).unwrap();
    let more = format!(
        "alerts: {{rule_files: [{rules:?}], alertmanagers: [], max_series: 100}}\n\
         retention: {{rules: [{{selector: '{{level=\"debug\"}}', drop: true}}]}}"
    );
    let agent = Agent::new(journal, &good.url(), &more);
    agent.reconfigure("http: {listen: null}", &format!("http: {{listen: '127.0.0.1:{port}'}}"));
    agent.reconfigure(
        "state_directory",
        &format!("  - {{name: other, url: '{}', batch: {{max_wait: 50ms}}}}\nstate_directory", bad.url()),
    );
    agent.reconfigure("  - url:", "  - name: main\n    url:");
    agent
}

fn entries() -> Vec<ExportEntry> {
    let now = u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap();
    let entry = |n: u64| {
        ExportEntry::new(now - 60_000_000 + n * 1000)
            .message(format!("{SECRET} {n}"))
            .field("PRIORITY", if n < 7 { "7" } else { "6" })
            .field("_SYSTEMD_UNIT", format!("{SECRET}.service"))
            .field("_HOSTNAME", "oak")
    };
    (0..50).map(entry).collect()
}

fn status(port: u16) -> Value {
    let text = http(port, "GET", "/status", "").map(|(_, text)| text).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

#[test]
fn it_shows_what_a_person_needs_and_nothing_of_lines() {
    let mut browser = or_skip!(Browser::start());
    let journal = tempfile::tempdir().unwrap();
    or_skip!(build_journal(&journal.path().join("a.journal"), &entries(), Format::default()));
    let (good, bad, port) = (Loki::start(), Loki::start(), free_port());
    bad.answer_next(1000, Answer::Status(401, "<script>alert(1)</script>\u{202e}".to_owned()));
    let mut agent = started(&good, &bad, journal.path(), port);
    agent.start();
    wait_until("all is shipped, and rules are evaluated", || {
        let status = status(port);
        status["destinations"][0]["entries_acknowledged"] == 43
            && status["destinations"][1]["last_answer"]["status"] == 401
            && status["alerts"] == json!({"pending": 1, "firing": 1})
    });
    let status = status(port);
    // Older than the page: scripts read them.
    assert_eq!((&status["ready"], &status["servers"]["loki main"]), (&json!(false), &json!("ok")));
    let main = &status["destinations"][0];
    for (key, value) in [
        ("name", json!("main")),
        ("dropped", json!({"retention_rule_1_drop": 7})),
        ("refused", json!({})),
        ("streams", json!(1)),
        ("lost", json!(0)),
        ("files_growing", json!(1)),
    ] {
        assert_eq!(main[key], value, "{key}: {main}");
    }
    assert!(
        main["entries_per_second"].as_f64().unwrap() > 0.0 && main["requests"]["204"].as_u64().unwrap() > 0
    );
    assert!(main["up_to"].is_string() && main["bytes_sent"].as_u64().unwrap() > 0, "{main}");
    let rule =
        |name: &str| status["rules"].as_array().unwrap().iter().find(|rule| rule["name"] == name).unwrap();
    assert_eq!((&rule("Fires")["value"], &rule("Fires")["state"]), (&json!(50.0), &json!("firing")));
    assert!(rule("Fires")["firing_since"].is_string() && rule("Waits")["fires_at"].is_string());
    assert_eq!((&rule("Rests")["value"], &rule("Rests")["fires_at"]), (&Value::Null, &Value::Null));

    browser.size(1100, 900, false);
    browser.go(&format!("http://127.0.0.1:{port}/"));
    browser.wait("document.querySelectorAll('#destinations article').length === 2");
    let page = browser.text("body");
    for part in [
        "needs attention, 1 firing",
        "main",
        "43 entries",
        "7 not sent",
        "HTTP 401",
        "<script>alert(1)</script>",
        "Mend the credentials",
        "Fires",
        "Waits",
        "1 pending, fires in",
        "loki other",
        "running for",
    ] {
        assert!(page.contains(part), "no {part:?} in {page}");
    }
    let style = "document.querySelectorAll('script').length";
    assert_eq!(browser.value(style), 1, "text became a script");
    // What was opened stays open when the page asks again.
    browser.click("#destinations summary");
    let before = browser.value("document.querySelector('#facts dd').textContent");
    browser.wait(&format!("document.querySelector('#facts dd').textContent !== {before}"));
    assert_eq!(browser.value("document.querySelector('#destinations details').open"), true);
    assert!(browser.text("#destinations details").contains("not sent: retention_rule_1_drop"));
    for dark in [false, true] {
        for (width, phone) in [(400, true), (320, true), (1400, false)] {
            browser.dark(dark);
            browser.size(width, 800, phone);
            assert_eq!(browser.overflow(), 0, "{width} pixels, dark: {dark}");
        }
        let ground = browser.value("getComputedStyle(document.body).backgroundColor");
        assert_eq!(ground, if dark { "rgb(18, 21, 26)" } else { "rgb(244, 246, 249)" });
    }
    for path in ["/", "/status", "/ready", "/metrics"] {
        let (_, text) = http(port, "GET", path, "").unwrap();
        assert!(!text.contains(SECRET), "{path} shows what is in lines: {text}");
    }
    assert!(!browser.text("body").contains(SECRET));
    assert_eq!(browser.complaints(), [""; 0]);
    agent.stop();
}

#[test]
fn it_says_when_a_configuration_is_refused_and_when_nobody_answers() {
    let mut browser = or_skip!(Browser::start());
    let journal = tempfile::tempdir().unwrap();
    or_skip!(build_journal(&journal.path().join("a.journal"), &entries(), Format::default()));
    let (good, port) = (Loki::start(), free_port());
    let mut agent = started(&good, &good, journal.path(), port);
    agent.start();
    wait_until("all is shipped", || status(port)["destinations"][1]["entries_acknowledged"] == 43);
    browser.go(&format!("http://127.0.0.1:{port}/"));
    browser.wait("document.querySelectorAll('#destinations article').length === 2");
    let config = std::fs::read_to_string(agent.config()).unwrap();
    agent.reconfigure("alerts:", "alertz:");
    agent.signal(Signal::HUP);
    browser.wait("document.querySelector('#state').textContent.includes('configuration refused')");
    assert!(browser.text("#facts").contains("a newer one was refused at"));
    // The old one goes on, and is no trouble any more.
    std::fs::write(agent.config(), config).unwrap();
    agent.signal(Signal::HUP);
    browser.wait("!document.querySelector('#state').textContent.includes('refused')");
    assert_eq!(browser.complaints(), [""; 0]);
    agent.stop();
    browser.wait("!document.querySelector('#silent').hidden");
    assert!(browser.text("#silent").contains("does the agent run?"), "{}", browser.text("#silent"));
    assert!(browser.text("#destinations").contains("main"), "what was known stays");
    // That nobody listens is the browser's own complaint.
    assert!(browser.complaints().iter().all(|one| one.contains("ERR_CONNECTION")));
}
