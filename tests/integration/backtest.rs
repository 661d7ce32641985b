//! The dry run over the past: which alerts would have fired, on a journal with chosen times.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::agent::output;
use crate::support::fixtures::{ExportEntry, Format, build_journal};
use crate::support::or_skip;

const MINUTE: u64 = 60_000_000;
/// 2026-01-01 00:00:00 UTC, in microseconds.
const START: u64 = 1_767_225_600_000_000;

const RULES: &str = r#"
groups:
  - name: g
    interval: 1m
    rules:
      - alert: Boom
        expr: sum by (app) (count_over_time({app=~".+"} |= "boom" [5m])) > 1
        for: 2m
        annotations: {summary: '{{ $value }} of {{ $labels.app }}'}
      - alert: Silence
        expr: absent_over_time({app="heart"}[10m])
      - alert: Failing
        expr: sum by (app) (count_over_time({app="a"} | json [5m])) > 0
      - alert: Never
        expr: count_over_time({app="nobody"}[5m]) > 0
"#;

struct Past {
    home: tempfile::TempDir,
}

impl Past {
    /// `entries`: minute, application, line.
    fn new(entries: &[(f64, &str, &str)]) -> Result<Past, crate::support::Unavailable> {
        Past::with_rules(entries, RULES)
    }

    fn with_rules(entries: &[(f64, &str, &str)], rules: &str) -> Result<Past, crate::support::Unavailable> {
        let home = tempfile::tempdir().unwrap();
        let entry = |(minute, app, line): &(f64, &str, &str)| {
            ExportEntry::new(START.saturating_add_signed((minute * MINUTE as f64) as i64))
                .message(line)
                .field("SYSLOG_IDENTIFIER", app)
                .field("_HOSTNAME", "web7")
                .field("PRIORITY", "6")
        };
        let entries: Vec<_> = entries.iter().map(entry).collect();
        fs::create_dir(home.path().join("journal")).unwrap();
        build_journal(&home.path().join("journal/a.journal"), &entries, Format::default())?;
        fs::write(home.path().join("rules.yaml"), rules).unwrap();
        let config = format!(
            "labels: {{static: {{job: t}}, fields: {{app: SYSLOG_IDENTIFIER}}}}\nalerts: {{rule_files: [{}]}}\n",
            home.path().join("rules.yaml").display()
        );
        fs::write(home.path().join("config.yaml"), config).unwrap();
        Ok(Past { home })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn run(&self, args: &[&str]) -> (String, String) {
        let (config, journal) = (self.path("config.yaml"), self.path("journal"));
        let fixed = ["--dry-run", "--config", config.to_str().unwrap(), "--path", journal.to_str().unwrap()];
        let out = output(&[&fixed[..], args].concat());
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        assert_eq!(out.status.code(), Some(0), "{}", text(out.stderr));
        (text(out.stdout), text(out.stderr))
    }
}

/// Three of application a in minutes 3 to 4, and two of b in minute 100: alone they make one alert each. A heart beats
/// until minute 30 and from 60 to 110.
fn past() -> Result<Past, crate::support::Unavailable> {
    let mut entries = vec![
        (3.1, "a", "boom"),
        (3.2, "a", "boom"),
        (4.0, "a", "boom"),
        (20.5, "a", "one boom is not enough"),
        (100.5, "b", "boom"),
        (100.6, "b", "boom"),
    ];
    entries.extend((0..=110).filter(|n| *n <= 30 || *n >= 60).map(|n| (f64::from(n), "heart", "beat")));
    entries.sort_by(|a, b| a.0.total_cmp(&b.0));
    Past::new(&entries)
}

#[test]
fn one_of_something_is_told_as_one() {
    let past = or_skip!(Past::with_rules(&[(1.0, "a", "boom")], RULES));
    let (stdout, _) = past.run(&["--summary", "--until", "2026-01-01 00:02:00"]);
    for part in ["1 entry in 1 stream, ", "\n1 of them is older than ", "  over time   "] {
        assert!(stdout.contains(part), "no {part:?} in {stdout}");
    }
}

/// Alerts stand between the entries by their time in both directions.
#[test]
fn the_newest_first_has_alerts_in_their_places() {
    let past = or_skip!(past());
    for lines in ["30", "10", "1000"] {
        let shown = |more: &[&str]| {
            let (stdout, _) =
                past.run(&[&["-n", lines, "-o", "json", "--until", "2026-01-01 01:50:00"], more].concat());
            stdout.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let forward = shown(&[]);
        let mut backward = shown(&["-r"]);
        let alerts = || forward.iter().filter(|line| line.starts_with("{\"alert\""));
        assert!(alerts().count() >= 2, "{lines}: {forward:?}");
        backward.reverse();
        assert_eq!(backward, forward, "{lines}");
    }
}

#[test]
fn the_summary_tells_when_alerts_would_have_fired() {
    let past = or_skip!(past());
    let (stdout, stderr) = past.run(&["--summary", "--until", "2026-01-01 01:50:00", "-o", "json"]);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let alerts: Vec<_> = report["alerts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| {
            let text = |name: &str| a[name].as_str().unwrap_or("-").to_owned();
            format!("{} {} {} to {}", text("name"), a["labels"]["app"], text("from"), text("until"))
        })
        .collect();
    // At 4:00 there are three, for 2 minutes at 6:00; at 8:00 those before 3:00 + 5 minutes are over.
    assert_eq!(
        alerts,
        [
            "Boom \"a\" 2026-01-01T00:06:00Z to 2026-01-01T00:09:00Z",
            "Silence \"heart\" 2026-01-01T00:40:00Z to 2026-01-01T01:00:00Z",
            "Boom \"b\" 2026-01-01T01:43:00Z to 2026-01-01T01:46:00Z",
        ]
    );
    assert_eq!(report["alerts"][0]["annotations"]["summary"], "3 of a");
    let rule = |name: &str| {
        report["rules"].as_array().unwrap().iter().find(|rule| rule["name"] == name).unwrap().clone()
    };
    assert_eq!(rule("Never")["failures"], 0);
    assert!(rule("Failing")["failures"].as_u64() > Some(0), "{report}");
    assert!(stderr.contains("; 3 alerts would have fired"), "{stderr}");

    let (stdout, _) = past.run(&["--summary", "--until", "2026-01-01 01:50:00"]);
    for part in [
        "alerts that would have fired: 3\n",
        "    Boom (group g): 2 times\n        2026-01-01 00:06:00 for 3m  {app=\"a\"",
        "    Silence (group g): once\n",
        "           1  rule without an alert and without a failure\n",
        "failed: Failing (group g), ",
    ] {
        assert!(stdout.contains(part), "no {part:?} in\n{stdout}");
    }
}

#[test]
fn what_is_pending_or_fires_at_the_beginning_is_known() {
    let past = or_skip!(past());
    // How long they have fired shows only as far back as `for` needs: that they do, shows.
    for (since, fired) in [
        ("2026-01-01 00:07:30", "Boom 2026-01-01T00:07:00Z"),
        ("2026-01-01 01:45:00", "Boom 2026-01-01T01:45:00Z"),
        // Pending since 4:00.
        ("2026-01-01 00:05:30", "Boom 2026-01-01T00:06:00Z"),
    ] {
        let args = ["--since", since, "--until", "2026-01-01 01:50:00", "--summary", "-o", "json"];
        let report: Value = serde_json::from_str(&past.run(&args).0).unwrap();
        let first = &report["alerts"][0];
        let shown = format!("{} {}", first["name"].as_str().unwrap(), first["from"].as_str().unwrap());
        assert_eq!(shown, fired, "since {since}");
        assert!(
            report["first"].as_str().unwrap() >= "2026-01-01T00:05:30Z",
            "only what was asked for is shown"
        );
    }
}

#[test]
fn alerts_stand_between_the_entries() {
    let past = or_skip!(past());
    let args = ["--since", "2026-01-01 00:05:30", "--until", "2026-01-01 00:10:00"];
    let (stdout, _) = past.run(&args);
    let lines: Vec<_> = stdout.lines().collect();
    let at = |part: &str| {
        lines.iter().position(|line| line.contains(part)).unwrap_or_else(|| panic!("{part} {stdout}"))
    };
    assert!(at("alert Boom fires {") > at("00:06:00"), "{stdout}");
    assert_eq!(lines[at("alert Boom fires {") + 1], "    summary: 3 of a");
    assert!(at("alert Boom is over") > at("00:09:00"), "{stdout}");

    let (stdout, _) = past.run(&[&args[..], &["-o", "json"]].concat());
    let records: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let alerts: Vec<_> = records.iter().filter_map(|record| record.get("alert")).collect();
    assert_eq!((alerts.len(), alerts[0]["until"].is_null()), (2, true));
    assert_eq!(records.iter().filter(|record| record.get("line").is_some()).count(), 5);

    // The last entries, and what alerts did among them.
    let (stdout, _) = past.run(&["-n", "3", "--until", "2026-01-01 00:09:00"]);
    assert_eq!(stdout.lines().filter(|line| line.contains(" beat")).count(), 3, "{stdout}");
}

#[test]
fn a_duration_alone_is_one_ago() {
    let past = or_skip!(past());
    // All of it is older than a day, and younger than a century.
    assert!(!past.run(&["--since", "1d"]).0.contains(" beat"));
    assert!(past.run(&["--since", "50y", "--summary"]).0.contains("alerts that would have fired: "));
    let out = output(&["--dry-run", "--since", "30x"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("`30x` is not a time"), "{out:?}");
}

/// What begins and ends between two entries is told as both, in that order.
#[test]
fn an_alert_between_two_entries_fires_and_is_over() {
    let past = or_skip!(Past::new(&[(3.1, "a", "boom"), (3.2, "a", "boom"), (90.0, "a", "late")]));
    let until = ["--until", "2026-01-01 01:40:00"];
    let (stdout, _) = past.run(&until);
    let told: Vec<_> = stdout
        .lines()
        .filter_map(|line| line.split_once(" alert Boom "))
        .map(|(time, what)| format!("{} {}", &time[11..16], what.split(" {").next().unwrap()))
        .collect();
    assert_eq!(told, ["00:06 fires", "00:09 is over"], "{stdout}");

    let (stdout, _) = past.run(&[&until[..], &["-o", "json"]].concat());
    let records = stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let alerts: Vec<_> = records.filter_map(|record| record.get("alert").cloned()).collect();
    let boom: Vec<_> = alerts
        .iter()
        .filter(|a| a["name"] == "Boom")
        .map(|a| a["until"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(boom, [None, Some("2026-01-01T00:09:00Z".to_owned())]);
}

const COUNTED: &str = r#"
groups:
  - name: g
    rules:
      - alert: FiresAndFails
        expr: sum by (app) (count_over_time({app="j"} | json [5m])) > 0
      - alert: Same
        expr: sum by (app) (count_over_time({app="a"}[5m])) > 0
      - alert: Same
        expr: sum by (app) (count_over_time({app="nobody"}[5m])) > 0
      - alert: Quiet
        expr: sum by (app) (count_over_time({app="no one"}[5m])) > 0
      - record: metric
        expr: sum by (app) (count_over_time({app="a"}[5m]))
"#;

#[test]
fn a_rule_is_quiet_that_did_neither_fire_nor_fail() {
    let entries = [(3.0, "j", r#"{"x": 1}"#), (4.0, "a", "a"), (20.0, "j", "not JSON"), (30.0, "a", "b")];
    let past = or_skip!(Past::with_rules(&entries, COUNTED));
    let (stdout, _) = past.run(&["--summary", "--until", "2026-01-01 01:00:00"]);
    for part in [
        "    FiresAndFails (group g): once\n",
        "    Same (group g): 2 times\n",
        "\n           3  rules without an alert and without a failure\n",
        "failed: FiresAndFails (group g), ",
    ] {
        assert!(stdout.contains(part), "no {part:?} in\n{stdout}");
    }
}

const TOLD: &str = r#"
groups:
  - name: g
    rules:
      - alert: OfAll
        expr: sum(count_over_time({app="a"}[5m])) > 0
        annotations: {where: '{{ $externalLabels.host }}', bad: '{{ humanize "x" }}'}
"#;

/// A journal may come from another machine.
#[test]
fn alerts_are_of_the_host_that_the_entries_are_of() {
    let past = or_skip!(Past::with_rules(&[(3.0, "a", "a"), (9.0, "b", "b")], TOLD));
    let (stdout, _) = past.run(&["--summary", "-o", "json", "--until", "2026-01-01 01:00:00"]);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let alert = &report["alerts"][0];
    assert_eq!((&alert["labels"]["host"], &alert["annotations"]["where"]), (&"web7".into(), &"web7".into()));
    assert_eq!(report["rules"][0]["template_failures"], 5);
    // What the configuration says wins.
    let config = past.path("config.yaml");
    let text =
        fs::read_to_string(&config).unwrap().replace("alerts: {", "alerts: {external_labels: {host: mine}, ");
    fs::write(&config, text).unwrap();
    let (stdout, _) = past.run(&["--summary", "--until", "2026-01-01 01:00:00"]);
    assert!(stdout.contains("{host=\"mine\"} = 1"), "{stdout}");
    assert!(stdout.contains("templates failed: OfAll (group g), 5 times: `bad`: "), "{stdout}");
}

/// The alerts of a report: name, beginning and end.
fn alerts(stdout: &str) -> Vec<String> {
    let report: Value = serde_json::from_str(stdout).unwrap();
    let of = |alert: &Value| {
        let text = |name: &str| alert[name].as_str().unwrap_or("-").to_owned();
        format!("{} {} to {}", text("name"), text("from"), text("until"))
    };
    report["alerts"].as_array().unwrap().iter().map(of).collect()
}

/// A stage holds the last line of a stream until its time is over, and that is the entries' time.
#[test]
fn a_line_that_a_stage_holds_counts_when_its_time_is_over() {
    const RULE: &str = "groups: [{name: g, interval: 1m, rules: [{alert: Error, \
                        expr: 'count_over_time({app=\"a\"} |= \"ERROR\" [5m]) > 0'}]}]";
    let past =
        or_skip!(Past::with_rules(&[(1.5, "a", "ERROR"), (1.51, "a", "at x"), (30.0, "b", "fine")], RULE));
    let config = fs::read_to_string(past.path("config.yaml")).unwrap();
    let stage = "stages: [{multiline: {firstline: '^ERROR', max_wait_time: 3s}}]\n";
    fs::write(past.path("config.yaml"), config + stage).unwrap();
    let (stdout, _) = past.run(&["--summary", "-o", "json", "--until", "2026-01-01 00:30:00"]);
    assert_eq!(alerts(&stdout), ["Error 2026-01-01T00:02:00Z to 2026-01-01T00:07:00Z"]);
}

/// Machines without a clock write their first entries in 1970.
#[test]
fn years_without_entries_are_not_evaluated_one_second_after_the_other() {
    const RULE: &str = "groups: [{name: g, interval: 1s, rules: [{alert: There, for: 1m, \
                        expr: 'count_over_time({app=\"a\"}[5m]) > 0'}, \
                        {alert: Silence, expr: 'absent_over_time({app=\"a\"}[10m])'}]}]";
    // In November 1970, and 55 years later.
    let past = or_skip!(Past::with_rules(&[(-29e6, "a", "early"), (0.0, "a", "x"), (2.0, "a", "x")], RULE));
    let (stdout, _) = past.run(&["--summary", "-o", "json", "--until", "2026-01-01 00:30:00"]);
    let expected = [
        "There 1970-11-12T02:41:00Z to 1970-11-12T02:45:00Z",
        "Silence 1970-11-12T02:50:00Z to 2026-01-01T00:00:00Z",
        "There 2026-01-01T00:01:00Z to 2026-01-01T00:07:00Z",
        "Silence 2026-01-01T00:12:00Z to -",
    ];
    assert_eq!(alerts(&stdout), expected);
}
