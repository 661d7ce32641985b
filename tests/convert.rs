//! Converting Promtail's configurations: what comes out is pinned, it passes `check`, nothing of what went in is lost in
//! silence, and no secret gets out.
//!
//! `BLESS=1 cargo test --test convert` rewrites the pinned files; read the difference before keeping it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test stops at the first surprise

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use support::agent::{Agent, output};
use support::journald::{Journald, wait_until};
use support::loki::Loki;
use support::or_skip;

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/promtail");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        path.extension().is_some_and(|end| end == "yaml") && !path.to_str().unwrap().contains(".converted")
    });
    paths.sort();
    paths
}

/// Keys and scalars of a document.
fn leaves(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                out.push(key.clone());
                leaves(value, out);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| leaves(item, out)),
        Value::String(text) => out.push(text.clone()),
        Value::Number(number) => out.push(number.to_string()),
        Value::Bool(_) | Value::Null => {}
    }
}

#[test]
fn what_comes_out_is_pinned_and_valid_and_nothing_is_lost() {
    let bless = std::env::var_os("BLESS").is_some();
    let fixtures = fixtures();
    assert!(fixtures.len() >= 10, "{fixtures:?}");
    for path in fixtures {
        let name = path.file_name().unwrap().to_str().unwrap();
        let result = output(&["convert", "promtail", path.to_str().unwrap()]);
        assert_eq!(result.status.code(), Some(0), "{name}: {result:?}");
        let (yaml, notes) =
            (String::from_utf8(result.stdout).unwrap(), String::from_utf8(result.stderr).unwrap());
        for (end, text) in [("converted.yaml", &yaml), ("notes", &notes)] {
            let pinned = path.with_extension(end);
            if bless {
                fs::write(&pinned, text).unwrap();
            }
            assert_eq!(&fs::read_to_string(&pinned).unwrap_or_default(), text, "{}", pinned.display());
        }
        assert!(!yaml.contains("hunter2") && !notes.contains("hunter2"), "{name} tells a secret");

        let folder = tempfile::tempdir().unwrap();
        let converted = folder.path().join("config.yaml");
        fs::write(&converted, &yaml).unwrap();
        let result = output(&["check", "--config", converted.to_str().unwrap()]);
        assert_eq!(result.status.code(), Some(0), "{name}: {}", String::from_utf8_lossy(&result.stderr));

        // Keys that ours have other names for, and what has no meaning any more.
        let known = [
            "clients",
            "client",
            "scrape_configs",
            "journal",
            "job_name",
            "pipeline_stages",
            "tenant_id",
            "batchwait",
            "batchsize",
            "backoff_config",
            "min_period",
            "max_period",
            "external_labels",
            "server",
            "positions",
            "filename",
            "http_listen_address",
            "http_listen_port",
            "grpc_listen_port",
            "disable",
            "readline_rate_enabled",
            "readline_rate",
            "readline_burst",
            "readline_rate_drop",
            "json",
            "non_indexed_labels",
            "limits_config",
            "path",
            "max_age",
            "x-labels",
        ];
        // Numbers without meaning, and durations that are written another way.
        let values = [
            "0",
            "20",
            "100",
            "/tmp/positions.yaml",
            "/var/cache/promtail/positions.yaml",
            "1.5h",
            "24h",
            "hunter2",
        ];
        let input: Value = serde_saphyr::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let mut all = Vec::new();
        leaves(&input, &mut all);
        let plain = |text: &str| text.replace("''", "'").replace(":-", ":").replace("u:hunter2@", "");
        let (yaml, notes) = (plain(&yaml), plain(&notes));
        let all: Vec<String> = all.iter().map(|leaf| plain(leaf)).collect();
        for leaf in
            all.iter().filter(|leaf| !known.contains(&leaf.as_str()) && !values.contains(&leaf.as_str()))
        {
            let job = leaf == "journal" || leaf == "systemd" || leaf == "my journal";
            assert!(
                job || yaml.contains(leaf) || notes.contains(leaf),
                "{name}: {leaf:?} is lost\n{yaml}\n{notes}"
            );
        }
    }
}

#[test]
fn with_its_positions_the_first_start_goes_on_where_promtail_stopped() {
    let journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    let send =
        |text: &str| journald.send_native(&[("MESSAGE", text.as_bytes()), ("SYSLOG_IDENTIFIER", b"t")]);
    for n in 0..20 {
        send(&format!("before {n}"));
    }
    journald.sync();
    let entries = journald.entries();
    let cursor = &entries.iter().rev().find(|entry| entry.text("MESSAGE") == "before 14").unwrap().cursor;
    let folder = tempfile::tempdir().unwrap();
    let (theirs, positions) = (folder.path().join("promtail.yaml"), folder.path().join("positions.yaml"));
    let text =
        "clients: [{url: URL}]\nscrape_configs: [{job_name: j, journal: {path: PATH, labels: {job: j}}}]\n";
    let text = text.replace("URL", &loki.url()).replace("PATH", journald.dir().to_str().unwrap());
    fs::write(&theirs, text).unwrap();
    fs::write(&positions, format!("positions:\n  cursor-j: \"{cursor}\"\n")).unwrap();
    let args = ["convert", "promtail", theirs.to_str().unwrap(), "--positions", positions.to_str().unwrap()];
    let result = output(&args);
    assert!(result.status.success(), "{result:?}");
    let mut agent = Agent::new(&journald.dir(), &loki.url(), "");
    let state = agent.home.path().join("state");
    let config = String::from_utf8(result.stdout).unwrap();
    fs::write(agent.config(), format!("{config}state_directory: {state:?}\nhttp: {{listen: null}}\n"))
        .unwrap();
    agent.start();
    send("last");
    wait_until("the last arrives", || loki.stored().iter().any(|entry| entry.line == "last"));
    agent.stop();
    let stored = loki.stored();
    let lines: Vec<&str> =
        stored.iter().map(|s| s.line.as_str()).filter(|line| line.starts_with("before")).collect();
    assert_eq!(lines, ["before 15", "before 16", "before 17", "before 18", "before 19"]);
}
