//! Stages and retention in the running agent: what reaches Loki, and what a crash, a drop or a tenant does to it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use rustix::process::Signal;

use crate::support::agent::Agent;
use crate::support::journald::{Journald, wait_until};
use crate::support::loki::{Loki, Stored};
use crate::support::or_skip;

/// Lines of a native entry, one entry each.
fn write(journald: &Journald, identifier: &str, lines: &[String]) {
    for line in lines {
        journald.send_native(&[("MESSAGE", line.as_bytes()), ("SYSLOG_IDENTIFIER", identifier.as_bytes())]);
    }
}

fn lines(stored: &[Stored]) -> Vec<String> {
    let mut lines: Vec<String> = stored.iter().map(|entry| entry.line.clone()).collect();
    lines.sort();
    lines
}

const LABELS: &str =
    "labels: {static: {job: t}, fields: {app: SYSLOG_IDENTIFIER}}\nstructured_metadata: {}\n";

#[test]
fn blocks_of_lines_are_whole_and_come_once_whatever_kills_the_agent() {
    const BLOCKS: usize = 120;
    let journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    let more = format!(
        "{LABELS}stages:\n  - match:\n      selector: '{{app=~\"a|b|c\"}}'\n      stages:\n        \
         - multiline: {{firstline: '^E', max_wait_time: 2s}}\n  - drop: {{source: app, expression: '^(systemd|journal).*'}}"
    );
    let mut agent = Agent::new(&journald.dir(), &loki.url(), &more);
    let mut expected = Vec::new();
    for round in 0..6 {
        agent.start();
        for block in 0..BLOCKS / 6 {
            let number = round * (BLOCKS / 6) + block;
            let app = ["a", "b", "c"][number % 3];
            let block: Vec<String> = std::iter::once(format!("E{number:03}"))
                .chain((0..number % 4).map(|n| format!(" at {n}")))
                .collect();
            write(&journald, app, &block);
            // Between the lines of a block stand those of others, which are sent at once.
            write(&journald, "plain", &[format!("plain {number:03}")]);
            expected.push(block.join("\n"));
            expected.push(format!("plain {number:03}"));
        }
        let plain = format!("plain {:03}", round * (BLOCKS / 6));
        wait_until("something of this round arrives", || {
            loki.stored().iter().any(|entry| entry.line == plain)
        });
        agent.end(if round % 2 == 0 { Signal::KILL } else { Signal::TERM });
    }
    agent.start();
    let ours = |stored: &Stored| stored.labels.get("app").is_some_and(|app| app.len() == 1 || app == "plain");
    wait_until("all blocks arrive", || {
        loki.stored().iter().filter(|entry| ours(entry)).count() >= expected.len()
    });
    agent.stop();
    expected.sort();
    let stored: Vec<Stored> = loki.stored().into_iter().filter(ours).collect();
    assert_eq!(lines(&stored), expected);
    assert!(agent.checkpoint().get("held").is_none(), "nothing is held any more: {}", agent.checkpoint());
}

#[test]
fn an_entry_goes_to_the_tenant_that_a_stage_names() {
    let journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    let more = format!(
        "{LABELS}stages:\n  - regex: {{expression: '^tenant=(?P<t>\\S+)'}}\n  - tenant: {{source: t}}\n"
    );
    let mut agent = Agent::new(&journald.dir(), &loki.url(), &more);
    let texts: Vec<String> = (0..30)
        .map(|n| if n % 3 == 0 { format!("no {n}") } else { format!("tenant=t{} {n}", n % 3) })
        .collect();
    write(&journald, "app", &texts);
    agent.start();
    let ours = |entry: &Stored| entry.labels.get("app").is_some_and(|app| app == "app");
    wait_until("all arrive", || loki.stored().iter().filter(|entry| ours(entry)).count() == texts.len());
    agent.stop();
    let mut by_tenant: BTreeMap<String, usize> = BTreeMap::new();
    for entry in loki.stored().iter().filter(|entry| ours(entry)) {
        let named = entry.line.strip_prefix("tenant=").and_then(|rest| rest.split(' ').next());
        assert_eq!(&*entry.tenant, named.unwrap_or(&by_default(&loki)), "{}", entry.line);
        *by_tenant.entry(entry.tenant.to_string()).or_default() += 1;
    }
    assert_eq!(by_tenant.values().copied().collect::<Vec<_>>(), [10, 10, 10], "{by_tenant:?}");
}

/// The tenant of a request without the header.
fn by_default(loki: &Loki) -> String {
    let plain = loki.stored().into_iter().find(|entry| entry.line.starts_with("no ")).unwrap();
    plain.tenant.to_string()
}

#[test]
fn the_checkpoint_moves_past_entries_that_are_dropped() {
    let journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    let more = format!("{LABELS}stages:\n  - drop: {{expression: '.*'}}\n");
    let mut agent = Agent::new(&journald.dir(), &loki.url(), &more);
    let texts: Vec<String> = (0..50).map(|n| format!("noise {n}")).collect();
    write(&journald, "app", &texts);
    let last = journald.entries().last().unwrap().cursor.clone();
    agent.start();
    let file = agent.home.path().join("state/main.json");
    wait_until("the checkpoint is at the last entry", || {
        file.exists() && agent.checkpoint()["cursor"] == last.as_str()
    });
    agent.stop();
    assert_eq!(loki.stored().len(), 0);
}

#[test]
fn metrics_are_served() {
    let journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    // A port that is free now.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let more = format!(
        "{LABELS}stages:\n  - metrics:\n      seen:\n        type: Counter\n        config: {{match_all: true, action: inc}}\n  \
         - drop: {{expression: noise, drop_counter_reason: too_loud}}\n"
    );
    let mut agent = Agent::new(&journald.dir(), &loki.url(), &more);
    let config = std::fs::read_to_string(agent.config()).unwrap();
    let config = config.replace("http: {listen: null}", &format!("http: {{listen: '127.0.0.1:{port}'}}"));
    std::fs::write(agent.config(), config).unwrap();
    write(&journald, "app", &["one".into(), "noise".into(), "two".into()]);
    agent.start();
    let get = |path: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    };
    wait_until("the metrics tell of all", || {
        get("/metrics").is_some_and(|text| {
            text.contains("promtail_custom_seen{app=\"app\",job=\"t\"} 3\n")
                && text.contains(
                    "journalship_entries_dropped_total{destination=\"main\",reason=\"too_loud\"} 1\n",
                )
                && text.contains("journalship_entries_acknowledged_total{destination=\"main\"}")
        })
    });
    assert!(get("/healthz").unwrap().ends_with("ok\n"));
    assert!(get("/nothing").unwrap().starts_with("HTTP/1.1 404"));
    // A second agent, with a state of its own, cannot have the port.
    let second = Agent::new(&journald.dir(), &loki.url(), "");
    let taken = std::fs::read_to_string(second.config()).unwrap();
    let taken = taken.replace("http: {listen: null}", &format!("http: {{listen: '127.0.0.1:{port}'}}"));
    std::fs::write(second.config(), taken).unwrap();
    let config = second.config();
    let out = crate::support::agent::output(&["--config".as_ref(), config.as_os_str()]);
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("http.listen"), "{out:?}");
    agent.stop();
}
