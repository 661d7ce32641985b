//! `--dry-run --summary`: what a person sees of a whole journal.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::agent::{output, program};
use crate::support::fixtures::{ExportEntry, Format, build_journal};
use crate::support::or_skip;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `BLESS=1` writes `tests/data/summary/demo.txt` anew.
#[test]
fn the_summary_of_the_demonstration_is_as_recorded() {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("config.yaml");
    let written = format!(
        "retention:\n  default: 4000d\n  rules:\n    - {{selector: '{{unit=\"nginx.service\"}} |= \"healthz\"', drop: true}}\n    \
         - {{selector: '{{unit=\"nginx.service\"}}', keep: 5000d}}\nalerts: {{rule_files: [{ROOT}/demo/rules.yaml]}}\n"
    );
    fs::write(&config, written).unwrap();
    let journal = format!("{ROOT}/demo/journal");
    let args = ["--dry-run", "--summary", "--config", config.to_str().unwrap(), "--path", &journal];
    let out = output(&args);
    let recorded = Path::new(ROOT).join("tests/data/summary/demo.txt");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&recorded, &out.stdout).unwrap();
    }
    assert_eq!(text(&out.stdout), fs::read_to_string(&recorded).unwrap(), "{}", text(&out.stderr));
    // All times are in the zone of the machine.
    let shown = text(&program(&args).env("TZ", "Asia/Kolkata").output().unwrap().stdout);
    assert!(shown.contains("from 2026-11-06 15:30:00 to 2026-11-08 08:28:16 (IST)\n"), "{shown}");
    assert!(shown.contains("        2026-11-06 16:51:00 for 1h  {"), "{shown}");
    assert!(!shown.contains('Z') || !shown.contains("11:21:00"), "{shown}");
}

#[test]
fn what_explodes_and_what_loki_would_refuse_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let now = jiff::Timestamp::now().as_microsecond() as u64;
    let entry = |n: u64, unit: &str, message: String| {
        ExportEntry::new(now - 600_000_000 + n * 1_000_000).message(message).field("_SYSTEMD_UNIT", unit)
    };
    let mut entries: Vec<_> =
        (0..120).map(|n| entry(n, &format!("session-{n}.scope"), format!("m{n}"))).collect();
    entries.push(entry(121, "a.service", "x".repeat(300 << 10)));
    let burst = (0..80).map(|_| entry(122, "loud.service", "y".repeat(250 << 10)));
    entries.extend(burst);
    or_skip!(build_journal(&dir.path().join("a.journal"), &entries, Format::default()));
    let config = dir.path().join("config.yaml");
    fs::write(&config, "labels: {fields: {unit: _SYSTEMD_UNIT, n: MESSAGE}}\n").unwrap();
    let args = ["--dry-run", "--summary", "--config", config.to_str().unwrap(), "--path"];
    let args = [&args[..], &[dir.path().to_str().unwrap()]].concat();
    let out = output(&args);
    let shown = text(&out.stdout);
    for part in [
        "what a day has (~) is extrapolated from 2m2s only\n",
        "warning: unit takes 122 values, and each is a stream of its own\n",
        "    as a.service, loud.service, session-0.scope, …\n",
        "    all sessions as one: /usr/share/journal-ship/recipes/session-scopes.yaml\n",
        "warning: n takes 122 values",
        "    take it out of the labels, and write `structured_metadata: {n: MESSAGE}` to keep it with each line\n",
        "\nLoki's default limits that would be hit\n",
        "    max_line_size (256KB): lines that are longer: 1; they are cut, with a mark\n",
        "    per_stream_rate_limit (3MB a second, 15MB at once): streams that write more at times: 1; ",
        "    ingestion_rate_mb (4MB a second, 6MB at once): ",
    ] {
        assert!(shown.contains(part), "no {part:?} in\n{shown}");
    }
    assert!(!shown.contains("reject_old_samples_max_age"), "{shown}");
    let report: Value =
        serde_json::from_slice(&output(&[&args[..], &["-o", "json"]].concat()).stdout).unwrap();
    assert_eq!(report["many_values"][1]["label"], "unit");
    assert_eq!(report["loki_limits"][0]["limit"], "max_line_size");
    assert_eq!(report["streams"][0]["over_time"].as_array().unwrap().len(), 24);
    fs::create_dir(dir.path().join("short")).unwrap();
    let short = dir.path().join("short/a.journal");
    or_skip!(build_journal(
        &short,
        &[entry(0, "a", "x".into()), entry(30, "a", "y".into())],
        Format::default()
    ));
    let shown = text(&output(&["--dry-run", "--summary", "--path", short.to_str().unwrap()]).stdout);
    assert!(shown.contains("; - a day\n") && shown.contains("too short to say what a day has\n"), "{shown}");
}
