//! Makes the pictures of the documents (`docs/screenshots/make`). Without `SCREENSHOTS`, the folder that they go to, it does nothing:
//! what the pages show is looked at elsewhere.

use std::path::{Path, PathBuf};

use crate::query_api::escaped;
use crate::support::agent::Agent;
use crate::support::alertmanager::{free_port, http};
use crate::support::browser::Browser;
use crate::support::fixtures::{ExportEntry, Format, build_journal};
use crate::support::journald::wait_until;
use crate::support::loki::{Answer, Loki};
use crate::support::or_skip;

const RULES: &str = r#"
groups:
- name: shop
  interval: 30s
  rules:
  - {alert: ShopAnswersWithErrors, expr: 'sum(count_over_time({unit="shop.service"} | json | status >= 500 [30m])) > 10', for: 5m}
  - {alert: PasswordGuessing, expr: 'sum(count_over_time({unit="ssh.service"} |= "Failed password" [1h])) > 20', for: 8h}
  - {alert: BackupFailed, expr: 'count_over_time({unit="backup.service", level="error"}[1d]) > 0'}
  - {record: 'unit:lines:rate5m', expr: 'sum by (unit) (rate({unit=~".+"}[5m]))'}
"#;

/// Numbers that look as if by chance and are the same each time (Knuth's multiplicative hash).
fn drawn(seed: u64, below: u64) -> u64 {
    (seed.wrapping_add(7).wrapping_mul(2_654_435_761) >> 7) % below
}

/// Entry number `n` of a small server.
fn entry(n: u64, time: u64) -> ExportEntry {
    let (a, b, c) = (drawn(n, 97), drawn(n * 3 + 1, 250), drawn(n * 7 + 2, 1000));
    let (unit, priority, text) = match a {
        0..=37 => {
            let path = ["/", "/cart", "/api/items?page=2", "/static/app.js"][(c % 4) as usize];
            let status = if c > 960 { 404 } else { 200 };
            ("nginx", 6, format!("198.51.100.{b} \"GET {path} HTTP/2.0\" {status} {}", 200 + c * 9))
        }
        38..=66 => {
            let (level, what, status) = match c {
                0..=59 => (3, "payment failed", 502),
                60..=139 => (4, "payment retried", 200),
                _ => (6, "order placed", 201),
            };
            (
                "shop",
                level,
                format!(
                    r#"{{"msg":"{what}","order":{},"status":{status},"took":"{}ms"}}"#,
                    4000 + n,
                    3 + c % 300
                ),
            )
        }
        67..=81 if c < 600 => (
            "ssh",
            6,
            format!(
                "Failed password for invalid user admin from 203.0.113.{b} port {} ssh2",
                20_000 + c * 31
            ),
        ),
        67..=81 => {
            ("ssh", 5, format!("Accepted publickey for ada from 198.51.100.7 port {} ssh2", 40_000 + c))
        }
        82..=92 => {
            ("postgresql", 7, format!("checkpoint complete: wrote {} buffers ({}.{} %)", c, c % 9, b % 10))
        }
        93..=95 => ("backup", 6, format!("copied {c} files, {b} MB")),
        _ => ("postgresql", 2, "could not write to file: No space left on device".to_owned()),
    };
    ExportEntry::new(time)
        .message(text)
        .field("PRIORITY", priority.to_string())
        .field("SYSLOG_IDENTIFIER", unit)
        .field("_SYSTEMD_UNIT", format!("{unit}.service"))
        .field("_HOSTNAME", "oak")
        .field("_PID", (800 + a).to_string())
}

/// Six hours up to now, with a busier last hour.
fn journal(folder: &Path) -> Result<(), crate::support::Unavailable> {
    let now = u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap();
    let mut entries: Vec<_> = (0..9000)
        .map(|n| {
            let far = drawn(n * 11, 1_000_000) as f64 / 1e6;
            let back = far.powf(1.4) * (1.0 + 0.12 * (far * 40.0).sin()) * 6.0 * 3.6e9;
            entry(n, now - back as u64 - 1)
        })
        .collect();
    entries.sort_by_key(|entry| entry.realtime);
    build_journal(&folder.join("a.journal"), &entries, Format::default())
}

/// Takes a picture.
fn take(browser: &mut Browser, name: &str) {
    let folder = PathBuf::from(std::env::var_os("SCREENSHOTS").unwrap());
    // What a click has begun is drawn in the next frames.
    browser.value("new Promise((done) => setTimeout(done, 300))");
    std::fs::write(folder.join(name), browser.picture()).unwrap();
}

#[test]
fn screenshots() {
    if std::env::var_os("SCREENSHOTS").is_none() {
        return;
    }
    let mut browser = or_skip!(Browser::start());
    let folder = tempfile::tempdir().unwrap();
    or_skip!(journal(folder.path()));
    let rules = folder.path().join("rules.yaml");
    std::fs::write(&rules, RULES).unwrap();
    let (good, slow) = (Loki::builder().ignore_age(true).start(), Loki::builder().ignore_age(true).start());
    slow.answer_next(100_000, Answer::Status(503, "empty ring".to_owned()));
    let (page, api) = (free_port(), free_port());
    let more = format!(
        "alerts: {{rule_files: [{rules:?}], alertmanagers: []}}\n\
         retention: {{rules: [{{selector: '{{level=\"debug\"}}', drop: true}}]}}\n\
         query: {{socket: null, listen: '127.0.0.1:{api}', unauthenticated: true}}"
    );
    let mut agent = Agent::new(folder.path(), &good.url(), &more);
    agent.reconfigure("http: {listen: null}", &format!("http: {{listen: '127.0.0.1:{page}'}}"));
    agent.reconfigure(
        "state_directory",
        &format!("  - {{name: archive, url: '{}'}}\nstate_directory", slow.url()),
    );
    agent.reconfigure("  - url:", "  - name: main\n    url:");
    agent.start();
    wait_until("all is shipped, and alerts fire", || {
        let status = http(page, "GET", "/status", "").map(|(_, text)| text).unwrap_or_default();
        status.contains("\"lag_seconds\": 0.0") && status.contains("\"pending\": 1")
    });
    let explore = |browser: &mut Browser, query: &str| {
        browser.go("about:blank");
        browser.go(&format!("http://127.0.0.1:{api}/#q={}&range=6h", escaped(query)));
        browser.wait("document.querySelector('#busy')?.hidden && document.querySelector('#about').innerText.length > 1");
        browser.value("document.fonts.ready.then(() => 1)");
    };
    for (dark, name) in [(false, "light"), (true, "dark")] {
        browser.dark(dark);
        browser.size(1280, 760, false);
        let query = if dark { r#"{job=~".+"}"# } else { r#"{unit="shop.service"} | json"# };
        explore(&mut browser, query);
        if !dark {
            browser.press("j");
            browser.press("j");
            browser.press("j");
            browser.press("Enter");
        }
        take(&mut browser, &format!("explorer-{name}.png"));
        browser.size(1100, 860, false);
        browser.go(&format!("http://127.0.0.1:{page}/"));
        browser.wait("document.querySelectorAll('#destinations article').length === 2");
        take(&mut browser, &format!("status-{name}.png"));
    }
    browser.dark(false);
    browser.size(1280, 620, false);
    explore(&mut browser, r#"sum by (unit) (count_over_time({job=~".+"}[10m]))"#);
    take(&mut browser, "explorer-values.png");
    browser.dark(true);
    browser.size(400, 780, true);
    explore(&mut browser, r#"{unit="shop.service"} |= "payment""#);
    take(&mut browser, "explorer-phone.png");
    browser.go(&format!("http://127.0.0.1:{page}/"));
    browser.wait("document.querySelectorAll('#destinations article').length === 2");
    take(&mut browser, "status-phone.png");
    assert_eq!(browser.complaints(), [""; 0]);
    agent.stop();
}
