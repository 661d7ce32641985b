//! Retention rules by the built program: what they keep, drop, sample and let expire, and what Loki is told.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::support::agent::output;

/// Writes a configuration and runs a command with it.
fn run(config: &str, args: &[&str]) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, config).unwrap();
    let args: Vec<&str> = args.iter().copied().chain(["--config", path.to_str().unwrap()]).collect();
    let out = output(&args);
    let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(0), "{stderr}");
    (String::from_utf8(out.stdout).unwrap(), stderr)
}

/// Ages do not matter for this one: its times are longer than any journal's.
const RULES: &str = r#"
retention:
  default: 90y
  rules:
    - {selector: '{unit="nginx.service"} |= "/healthz"', drop: true}
    - {selector: '{unit="nginx.service"}', keep: 80y, sample: 0.25}
    - {selector: '{unit="ssh.service"} |~ "(?i)failed"', keep: 95y}
    - {selector: '{unit="cron.service"}', keep: 2h}
"#;

fn demo() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/journal").to_str().unwrap().to_owned()
}

fn records(config: &str) -> Vec<Value> {
    let (stdout, _) = run(config, &["--dry-run", "-o", "json", "--path", &demo()]);
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn rules_keep_drop_sample_and_let_expire() {
    let text = |record: &Value, name: &str| record["labels"][name].as_str().unwrap_or_default().to_owned();
    let all = records("{}");
    let kept = records(RULES);
    let unit = |records: &[Value], unit: &str| records.iter().filter(|r| text(r, "unit") == unit).count();
    assert!(kept.iter().all(|record| !record["line"].as_str().unwrap().contains("/healthz")));
    assert_eq!((unit(&kept, "cron.service"), unit(&all, "cron.service") > 0), (0, true), "older than 2 h");
    assert_eq!(unit(&kept, "ssh.service"), unit(&all, "ssh.service"));
    let health =
        |r: &&Value| text(r, "unit") == "nginx.service" && r["line"].as_str().unwrap().contains("/healthz");
    let nginx = unit(&all, "nginx.service") - all.iter().filter(health).count();
    let share = unit(&kept, "nginx.service") as f64 / nginx as f64;
    assert!((0.12..0.4).contains(&share), "{share} of {nginx}");
    let mut classes: BTreeMap<String, usize> = BTreeMap::new();
    for record in &kept {
        let failed = record["line"].as_str().unwrap().to_lowercase().contains("failed");
        let expected = match text(record, "unit").as_str() {
            "nginx.service" => "29200d",
            "ssh.service" if failed => "34675d",
            _ => "32850d",
        };
        assert_eq!(text(record, "retention"), expected, "{record}");
        *classes.entry(text(record, "retention")).or_default() += 1;
    }
    assert_eq!(classes.len(), 3, "{classes:?}");
    assert_eq!(kept, records(RULES), "the same entries every time");
}

#[test]
fn the_summary_counts_by_rule() {
    let (stdout, stderr) = run(RULES, &["--dry-run", "--summary", "--path", &demo()]);
    let row = |part: &str| {
        stdout.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}\n{stdout}"))
    };
    let numbers = |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
    let total = records(RULES).len();
    assert!(stdout.starts_with(&format!("{total} entries in ")), "{stdout}");
    assert!(stderr.contains(&format!("{total} entries would be pushed; nothing was; ")), "{stderr}");
    let dropped =
        numbers(row("retention rule 1 {unit=\"nginx.service\"} |= \"/healthz\": dropped"))[0].clone();
    let by_rule = stdout.lines().rfind(|line| line.contains("retention rule 1 ")).unwrap();
    assert!(by_rule.trim_start().starts_with('-') && numbers(by_rule).contains(&dropped), "{by_rule}");
    assert!(
        row("retention rule 4 {unit=\"cron.service\"}: too old")
            .trim_start()
            .starts_with(|c: char| c.is_ascii_digit())
    );
    for name in ["host", "job", "level", "retention", "service_name", "unit"] {
        assert!(stdout.lines().any(|line| line.ends_with(&format!("  {name}"))), "{name}\n{stdout}");
    }
}

#[test]
fn explaining_names_the_rule() {
    let args = ["--dry-run", "-o", "explain", "--path", &demo()];
    let (stdout, _) = run(&format!("{RULES}stages: [{{static_labels: {{team: web}}}}]\n"), &args);
    for part in [
        "    stages[0].static_labels: team=web added\n",
        " not sent {host=\"oak\", job=\"systemd-journal\", level=\"info\", service_name=\"nginx.service\", team=\"web\", \
         unit=\"nginx.service\"} 127.0.0.1 - - \"GET /healthz HTTP/1.1\" 200 2\n    job <- labels.static\n",
        "    retention rule 1 {unit=\"nginx.service\"} |= \"/healthz\": dropped\n",
        "    retention rule 2 {unit=\"nginx.service\"}: not in the sample\n",
        "    retention rule 3 {unit=\"ssh.service\"} |~ \"(?i)failed\": keep 34675d\n",
        "    retention rule 4 {unit=\"cron.service\"}: older than 2h, not sent\n",
        "    retention default: keep 32850d\n",
    ] {
        assert!(stdout.contains(part), "no {part:?}");
    }
}

#[test]
fn loki_is_told_what_to_do() {
    let head = "# For Loki's configuration file, from the retention rules of journal-ship.\n\
                # Index periods must be 24h, and the compactor must run.\n";
    let foot = "compactor:\n  retention_enabled: true\n  # Where requests to delete are kept: the name of your object \
                store.\n  delete_request_store: filesystem\n";
    let stream = |selector: &str, priority: usize, period: &str| {
        format!("    - selector: '{selector}'\n      priority: {priority}\n      period: {period}\n")
    };
    for (config, limits) in [
        (
            "retention: {}",
            format!(
                "  retention_period: 31d\n  retention_stream:\n{}",
                stream("{retention=\"31d\"}", 1, "31d")
            ),
        ),
        (
            "retention: {label: class, default: 7d, rules: [{selector: '{a=\"b\"}', keep: 2h}, {selector: '{a=\"c\"}', drop: true}, \
             {selector: '{d=\"e\"}', keep: 1w}]}",
            format!(
                "  retention_period: 7d\n  retention_stream:\n{}{}",
                stream("{class=\"2h\"}", 1, "1d"),
                stream("{class=\"7d\"}", 1, "7d")
            ),
        ),
        (
            "retention: {label: null, rules: [{selector: '{a=\"b\"}', keep: 90d}, {selector: '{a=\"c\"} |= \"x\"', keep: 60d}, \
             {selector: '{a=~\"d|e\"}', keep: 48h}]}",
            format!(
                "  retention_period: 31d\n  retention_stream:\n{}{}",
                stream("{a=\"b\"}", 2, "90d"),
                stream("{a=~\"d|e\"}", 1, "2d")
            ),
        ),
    ] {
        let (stdout, _) = run(config, &["retention"]);
        assert_eq!(stdout, format!("{head}limits_config:\n{limits}{foot}"), "{config}");
        let parsed: Value = serde_saphyr::from_str(&stdout).unwrap();
        assert_eq!(parsed["compactor"]["retention_enabled"], true);
        let (json, _) = run(config, &["retention", "--json"]);
        let json: Value = serde_json::from_str(&json).unwrap();
        // JSON is for merging: a list that is empty takes the place of one that is not.
        let none = json["limits_config"]["retention_stream"] == serde_json::json!([]);
        assert_eq!(none, parsed["limits_config"].get("retention_stream").is_none());
        if !none {
            assert_eq!(json, parsed);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, "{}").unwrap();
    let out = output(&["retention", "--config", path.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("there is no section `retention`"));
}
