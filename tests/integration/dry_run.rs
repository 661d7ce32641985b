//! The dry run as a person meets it: what is shown, and of which entries.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::cli::as_nobody;
use crate::support::agent::{Expected, expected, output, program};
use crate::support::fixtures::{ExportEntry, Format, build_journal, journalctl_export};
use crate::support::journald::{Bulk, Journald, Transport};
use crate::support::or_skip;

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A dry run of a path, as JSON records.
pub(crate) fn records(path: &Path, more: &[&str]) -> Vec<Value> {
    let mut args = vec!["--dry-run", "-o", "json", "--path", path.to_str().unwrap()];
    args.extend(more);
    let out = output(&args);
    assert!(out.status.success(), "{args:?}: {}", text(&out.stderr));
    text(&out.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

pub(crate) fn lines(records: &[Value]) -> Vec<String> {
    records.iter().map(|r| r["line"].as_str().unwrap().to_string()).collect()
}

/// Ten entries, a second apart, from 2026-11-01 10:00:00 UTC on; names `0` to `9`.
pub(crate) fn ten(dir: &Path) -> Option<()> {
    const START: u64 = 1_793_527_200_000_000;
    let entries: Vec<_> = (0..10)
        .map(|n| {
            ExportEntry::new(START + n * 1_000_000)
                .field("_HOSTNAME", "web1")
                .field("_SYSTEMD_UNIT", "sshd.service")
                .field("PRIORITY", "6")
                .field("_PID", "42")
                .message(n.to_string())
        })
        .collect();
    build_journal(&dir.join("system.journal"), &entries, Format::default()).ok()
}

macro_rules! ten_or_skip {
    ($dir:expr) => {
        or_skip!(ten($dir).ok_or(crate::support::Unavailable("no systemd-journal-remote".into())))
    };
}

#[test]
fn a_dry_run_shows_the_very_records_that_would_be_pushed() {
    let journald = or_skip!(Journald::start());
    for transport in [Transport::Native, Transport::Stream, Transport::Syslog] {
        journald.send(&Bulk::new(transport, 200, 5).unit("web.service"));
    }
    let pairs = |value: &Value| -> BTreeMap<String, String> {
        let pairs = value.as_object().unwrap().iter();
        pairs.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_string())).collect()
    };
    let got: Vec<Expected> = records(&journald.dir(), &[])
        .iter()
        .map(|r| {
            let time: jiff::Timestamp = r["timestamp"].as_str().unwrap().parse().unwrap();
            let line = r["line"].as_str().unwrap().to_string();
            (time.as_microsecond() as u64, pairs(&r["labels"]), pairs(&r["metadata"]), line)
        })
        .collect();
    let want: Vec<Expected> = journald.entries().iter().map(expected).collect();
    for (got, want) in got.iter().zip(&want) {
        assert_eq!(got, want);
    }
    assert_eq!(got.len(), want.len());
}

#[test]
fn the_whole_entry_as_json_has_every_field() {
    let journald = or_skip!(Journald::start());
    journald.send(&Bulk::new(Transport::Native, 300, 7).unit("web.service"));
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("config.yaml");
    fs::write(&config, "line: json\n").unwrap();
    let records = records(&journald.dir(), &["--config", config.to_str().unwrap()]);
    let entries = journald.entries();
    assert_eq!(records.len(), entries.len());
    for (record, entry) in records.iter().zip(&entries) {
        let line: Value = serde_json::from_str(record["line"].as_str().unwrap()).expect("a line of JSON");
        let mut got = BTreeMap::<String, Vec<String>>::new();
        for (name, value) in line.as_object().unwrap() {
            let one = |v: &Value| v.as_str().unwrap().to_string();
            let values =
                value.as_array().map_or_else(|| vec![one(value)], |all| all.iter().map(one).collect());
            got.insert(name.clone(), values);
        }
        got.remove("_BOOT_ID");
        got.values_mut().for_each(|values| values.sort());
        let mut want = BTreeMap::<String, Vec<String>>::new();
        for (name, value) in &entry.fields {
            want.entry(name.clone()).or_default().push(text(value));
        }
        want.values_mut().for_each(|values| values.sort());
        if !want.values().flatten().any(|value| value.len() > 200_000) {
            assert_eq!(got, want, "{}", entry.cursor);
        }
    }
}

#[test]
fn a_short_record_is_time_labels_line() {
    let dir = tempfile::tempdir().unwrap();
    ten_or_skip!(dir.path());
    let path = dir.path().to_str().unwrap();
    let out = output(&["--dry-run", "-n", "1", "--since", "2026-11-01", "--path", path]);
    assert_eq!(
        text(&out.stdout),
        "2026-11-01T10:00:09.000000+00:00 {host=\"web1\", job=\"systemd-journal\", level=\"info\", \
         service_name=\"sshd.service\", unit=\"sshd.service\"} 9\n"
    );
    assert_eq!(text(&out.stderr), "journal-ship: 1 entry would be pushed; nothing was\n");
}

/// As on a terminal: labels once for each stream, then time, unit and line.
#[test]
fn a_person_sees_labels_once_and_levels_as_colours() {
    let dir = tempfile::tempdir().unwrap();
    ten_or_skip!(dir.path());
    let path = dir.path().to_str().unwrap();
    let labels = r#"{host="web1", job="systemd-journal", level="info", service_name="sshd.service", unit="sshd.service"}"#;
    let stable =
        format!("2026-11-01T10:00:08.000000+00:00 {labels} 8\n2026-11-01T10:00:09.000000+00:00 {labels} 9\n");
    let person = format!(
        "\u{1b}[2m── {labels}\u{1b}[0m\n\u{1b}[2m2026-11-01 10:00:08.000\u{1b}[0m  sshd.service  8\n\
         \u{1b}[2m2026-11-01 10:00:09.000\u{1b}[0m  sshd.service  9\n"
    );
    for what in [&["--dry-run"][..], &["query"]] {
        for (form, expected) in [
            (&[][..], &stable),
            (&["--color", "never"], &stable),
            (&["-o", "labels", "--color", "always"], &stable),
            (&["--color", "always"], &person),
        ] {
            let out = output(&[what, &["-n", "2", "--since", "2026-11-01", "--path", path], form].concat());
            assert_eq!(text(&out.stdout), *expected, "{what:?} {form:?} {}", text(&out.stderr));
        }
    }
}

/// Options that choose entries do nothing to the daemon, and a word that is no command is none.
#[test]
fn what_chooses_entries_goes_with_the_dry_run() {
    for (args, message) in [
        (&["-u", "ssh"][..], "journalctl's options go with --dry-run, or with `query`"),
        (&["-q"], "journalctl's options go with --dry-run, or with `query`"),
        (&["--dry-run", "-n", "few"], "write a whole number, as 100, or all"),
        (&["chek"], "unrecognized subcommand 'chek'"),
        (&["chek"], "a similar subcommand exists: 'check'"),
        (&["_PID=1"], "unrecognized subcommand '_PID=1'"),
        (&["--dry-run", "nonsense"], "LogQL goes with `query`"),
        (&["--dry-run", "{unit=\"ssh.service\"}"], "LogQL goes with `query`"),
        (&["--dry-run", "-p", "9"], "is not a priority"),
        (&["--dry-run", "-g", "("], "--grep: "),
        (&["--dry-run", "-r", "-f"], "cannot be used with"),
    ] {
        let out = output(args);
        assert_eq!(out.status.code(), Some(2), "{args:?}");
        assert!(text(&out.stderr).contains(message), "{args:?}: {}", text(&out.stderr));
    }
}

/// What a stranger wrote drives no terminal, hides nothing, and looks like no entry, step or alert of its own.
#[test]
fn a_stranger_s_text_is_shown_safely_in_every_form() {
    let dir = tempfile::tempdir().unwrap();
    let forged = "2026-11-25T09:46:41.000000+00:00 {unit=\"sshd.service\"} Accepted password for root";
    let message =
        format!("a\x1b[31mred\n{forged}\n    retention: dropped\tc\u{202e}\u{200b}\u{2028}\u{9b}\u{7f}");
    let entry = ExportEntry::new(1_700_000_000_000_000)
        .message(&message)
        .field("_SYSTEMD_UNIT", "x\u{202e}\u{9b}y\n.service".as_bytes())
        .field("SYSLOG_IDENTIFIER", "i\u{202e}\n\u{85}".as_bytes());
    or_skip!(build_journal(&dir.path().join("a.journal"), &[entry], Format::default()));
    let config = dir.path().join("config.yaml");
    let rules = dir.path().join("rules.yaml");
    std::fs::write(&rules, "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: count_over_time({job=~\".+\"}[5m]) > 0\n    annotations: {text: '{{ $labels.unit }}'}\n").unwrap();
    std::fs::write(
        &config,
        format!("alerts: {{rule_files: [{}]}}\nretention: {{default: 5000d}}\n", rules.display()),
    )
    .unwrap();
    for form in [
        &["-o", "short"][..],
        &["-o", "explain"],
        &["-o", "json"],
        &["--summary"],
        &["--summary", "-o", "json"],
    ] {
        let mut args =
            vec!["--dry-run", "--config", config.to_str().unwrap(), "--path", dir.path().to_str().unwrap()];
        args.extend(form);
        args.extend(["--until", "2023-11-14 22:20 UTC"]);
        let out = output(&args);
        assert!(out.status.success(), "{}", text(&out.stderr));
        let shown = text(&out.stdout);
        assert!(!shown.contains(|c: char| c.is_control() && !"\n\t".contains(c)), "{form:?}: {shown:?}");
        assert!(!shown.contains(['\u{202e}', '\u{200b}', '\u{2028}']), "{form:?}: {shown:?}");
        if form.contains(&"json") {
            let values = serde_json::Deserializer::from_str(&shown).into_iter::<serde_json::Value>();
            let values: Vec<_> = values.collect::<Result<_, _>>().unwrap();
            if form.len() == 2 {
                assert_eq!(values[0]["line"], *message);
                assert_eq!(values[0]["metadata"]["identifier"], "i\u{202e}\n\u{85}");
            }
        } else {
            let part = if form.contains(&"--summary") { "alerts that would have fired" } else { forged };
            assert!(shown.contains(part), "{form:?}: {shown}");
            // Only what begins a line is an entry; of the steps under it, four spaces.
            let begin = |line: &&str| {
                line.starts_with("20") || (line.starts_with("    ") && !line.starts_with("        "))
            };
            for line in shown.lines().filter(begin) {
                assert!(!line.contains("Accepted") && !line.starts_with("    retention: dropped"), "{shown}");
            }
        }
    }
    let out = output(&["--dry-run", "--path", dir.path().to_str().unwrap(), "-n", "1"]);
    let expected = format!(
        " a\\u{{1b}}[31mred\n        {forged}\n            retention: dropped\tc\\u{{202e}}\\u{{200b}}\\u{{2028}}\\u{{9b}}\\u{{7f}}\n"
    );
    assert!(text(&out.stdout).ends_with(&expected), "{}", text(&out.stdout));
}

#[test]
fn times_and_numbers_choose_what_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    ten_or_skip!(dir.path());
    for (args, want) in [
        (&[][..], "0123456789"),
        (&["-n", "3"], "789"),
        (&["-n", "0"], ""),
        (&["-n", "99"], "0123456789"),
        (&["--since", "2026-11-01 10:00:07"], "789"),
        (&["--until", "2026-11-01 10:00:02"], "012"),
        (&["--since", "2026-11-01 10:00:03", "--until", "2026-11-01 10:00:05"], "345"),
        (&["--until", "2026-11-01 10:00:05", "-n", "2"], "45"),
        (&["--since", "2026-11-01 10:00:08", "-n", "5"], "89"),
        (&["--since", "@1793527209"], "9"),
    ] {
        assert_eq!(lines(&records(dir.path(), args)).concat(), want, "{args:?}");
    }
}

#[test]
fn following_shows_new_entries_until_nobody_listens() {
    let journald = or_skip!(Journald::start());
    journald.send_native(&[("MESSAGE", b"first"), ("SYSLOG_IDENTIFIER", b"t")]);
    journald.sync();
    let dir = journald.dir();
    let mut child = program(&["--dry-run", "-f", "-n", "1", "--path", dir.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut shown = String::new();
    let mut wait_for = |part: &str| {
        while !shown.contains(part) {
            let mut buffer = [0; 4096];
            let n = out.read(&mut buffer).unwrap();
            assert!(n > 0, "the dry run ended after {shown}");
            shown.push_str(&text(&buffer[..n]));
        }
    };
    wait_for("first");
    journald.send_native(&[("MESSAGE", b"second"), ("SYSLOG_IDENTIFIER", b"t")]);
    wait_for("second");
    drop(out);
    journald.send_native(&[("MESSAGE", b"third"), ("SYSLOG_IDENTIFIER", b"t")]);
    let result = child.wait_with_output().unwrap();
    assert!(result.status.success(), "a closed pipe is a quiet end: {:?}", result.status);
    assert_eq!(text(&result.stderr), "");
}

#[test]
fn a_dry_run_leaves_nothing_behind_and_needs_no_rights() {
    let dir = tempfile::tempdir().unwrap();
    ten_or_skip!(dir.path());
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(dir.path().join("system.journal"), fs::Permissions::from_mode(0o644)).unwrap();
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let out = as_nobody(&["--dry-run", "--path", dir.path().to_str().unwrap()], home.path());
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert_eq!(text(&out.stdout).lines().count(), 10);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "a file stayed");
}

#[test]
fn times_beyond_what_nanoseconds_can_tell_are_the_last_that_they_can() {
    let dir = tempfile::tempdir().unwrap();
    // The latest time that journald takes.
    let entry = |text: &str| ExportEntry::new((1 << 55) - 1).message(text);
    let entries = [entry("a"), entry("b")];
    or_skip!(build_journal(&dir.path().join("a.journal"), &entries, Format::default()));
    for record in records(dir.path(), &[]) {
        assert_eq!(record["timestamp"], "2554-07-21T23:34:33.709551615Z");
    }
}

#[test]
fn lines_longer_than_loki_takes_are_cut_with_a_mark() {
    let dir = tempfile::tempdir().unwrap();
    let long = "é".repeat(200_000);
    let entries = [
        ExportEntry::new(1_700_000_000_000_000).message(&long),
        ExportEntry::new(1_700_000_000_000_001).message("x".repeat(256 << 10)),
        ExportEntry::new(1_700_000_000_000_002).message(vec![0xff; 200_000]),
    ];
    or_skip!(build_journal(&dir.path().join("a.journal"), &entries, Format::default()));
    let lines = lines(&records(dir.path(), &[]));
    assert!(lines[0].len() <= 256 << 10 && lines[0].len() > (256 << 10) - 4, "{}", lines[0].len());
    assert!(lines[0].starts_with(&long[..200_000]) && lines[0].ends_with(" [cut by journal-ship]"));
    assert_eq!(lines[1], "x".repeat(256 << 10), "a line that just fits is left alone");
    assert!(lines[2].len() <= 256 << 10 && lines[2].ends_with(" [cut by journal-ship]"));
    assert_eq!(journalctl_export(&[dir.path()]).unwrap().len(), 3);
}

#[test]
fn a_dry_run_ends_an_hour_behind_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    const MINUTE: u64 = 60_000_000;
    const START: u64 = 1_700_000_000_000_000;
    for (minutes, shown) in [
        // A clock that was set back by less than an hour hides nothing.
        (&[0, 30, 1, 64, 2][..], vec!["0", "1", "2"]),
        // Nobody looks for what is behind that.
        (&[0, 66, 1][..], vec!["0"]),
    ] {
        let _ = fs::remove_file(&path);
        let entry = |(n, minute): (usize, &u64)| {
            ExportEntry::new(START + minute * MINUTE).boot(0xb0, n as u64).message(minute.to_string())
        };
        let entries: Vec<_> = minutes.iter().enumerate().map(entry).collect();
        or_skip!(build_journal(&path, &entries, Format::default()));
        let until = format!("@{}", (START + 5 * MINUTE) / 1_000_000);
        assert_eq!(lines(&records(&path, &["--until", &until])), shown, "{minutes:?}");
    }
}

/// A first start begins at `journal.backfill`; a person who says when, or names another journal, sees it all.
#[test]
fn entries_that_a_first_start_leaves_out_are_not_shown_as_sent() {
    let dir = tempfile::tempdir().unwrap();
    let now = jiff::Timestamp::now().as_microsecond() as u64;
    let entry =
        |minutes_ago: u64| ExportEntry::new(now - minutes_ago * 60_000_000).message(minutes_ago.to_string());
    let entries: Vec<_> = [180, 170, 160, 10, 5].into_iter().map(entry).collect();
    or_skip!(build_journal(&dir.path().join("a.journal"), &entries, Format::default()));
    let config = dir.path().join("config.yaml");
    fs::write(&config, format!("journal: {{paths: [{:?}], backfill: 1h}}\n", dir.path())).unwrap();
    let journal = dir.path().to_str().unwrap();
    for (more, shown, said) in [
        (
            &[][..],
            2,
            "2 entries would be pushed; nothing was; 3 older than journal.backfill (1h), not sent\n",
        ),
        (&["-n", "4"], 2, "2 entries would be pushed; nothing was; 2 older than"),
        (
            &["--since", "1d"],
            5,
            "5 entries would be pushed; nothing was; 3 of them older than journal.backfill (1h), which --since switches off\n",
        ),
        (
            &["--path", journal],
            5,
            "5 entries would be pushed; nothing was; 3 older than journal.backfill (1h), which a first start leaves out\n",
        ),
    ] {
        let args = [&["--dry-run", "-o", "json", "--config", config.to_str().unwrap()], more].concat();
        let out = output(&args);
        assert_eq!(text(&out.stdout).lines().count(), shown, "{more:?}: {}", text(&out.stdout));
        assert!(text(&out.stderr).contains(said), "{more:?}: {}", text(&out.stderr));
    }
    let args = ["--dry-run", "--config", config.to_str().unwrap()];
    let summary = text(&output(&[&args[..], &["--summary"]].concat()).stdout);
    assert!(summary.contains("not sent: 3\n           3  older than journal.backfill (1h)\n"), "{summary}");
    let explained = text(&output(&[&args[..], &["-o", "explain"]].concat()).stdout);
    assert!(
        explained.contains("} 160\n    job <- labels.static\n    older than journal.backfill (1h)\n"),
        "{explained}"
    );
}

const TRIED: &str = r#"
labels:
  fields: {unit: _SYSTEMD_UNIT, pod: K8S_POD_NAME, level: PRIORITY}
  relabel_configs:
    - {source_labels: [unit], regex: 'absent[.]service', action: drop}
    - {source_labels: [unit], regex: 'sshd[.]service', target_label: team, replacement: ops}
structured_metadata: {pid: _PID, container: CONTAINER_NAME}
stages:
  - match: {selector: '{unit="nginx.service"}', stages: [{json: {expressions: {a: }}}]}
  - match: {selector: '{unit="sshd.service"}', stages: [{drop: {expression: nothing-like-it}}]}
  - regex: {expression: '^(?P<n>\d+)'}
  - timestamp: {source: n, format: '2006-01-02 15:04:05'}
  - replace: {expression: '(secret)', replace: '***'}
  - multiline: {firstline: '^never'}
retention:
  rules:
    - {selector: '{unit="cron.service"}', keep: 90d}
    - {selector: '{unit="sshd.service"}', keep: 90d}
alerts:
  rule_files: [RULES]
"#;

const TRIED_RULES: &str = r#"
groups:
  - name: g
    rules:
      - alert: NoStream
        expr: sum by (unit) (count_over_time({unit="mysql.service"}[5m])) > 0
      - alert: NoLine
        expr: sum by (unit) (count_over_time({unit="sshd.service"} |= "rare" [5m])) > 0
      - alert: Some
        expr: sum by (unit) (count_over_time({unit="sshd.service"}[5m])) > 0
"#;

#[test]
fn a_configuration_is_tried_on_a_journal() {
    let dir = tempfile::tempdir().unwrap();
    ten_or_skip!(dir.path());
    let (config, rules) = (dir.path().join("config.yaml"), dir.path().join("rules.yaml"));
    fs::write(&rules, TRIED_RULES).unwrap();
    fs::write(&config, TRIED.replace("RULES", rules.to_str().unwrap())).unwrap();
    let journal = dir.path().join("system.journal");
    let args =
        ["check", "--config", config.to_str().unwrap(), "--journal", "--path", journal.to_str().unwrap()];
    let out = output(&args);
    let (said, stderr) = (text(&out.stdout), text(&out.stderr));
    assert_eq!(out.status.code(), Some(0), "{stderr}");
    let told: Vec<_> = stderr
        .lines()
        .filter_map(|line| line.strip_prefix("warning: `")?.strip_suffix("` met nothing in this journal"))
        .collect();
    assert_eq!(
        told,
        [
            "labels.fields.pod",
            "labels.relabel_configs[0]",
            "structured_metadata.container",
            "stages[0].match.selector",
            "stages[1].match.stages[0].drop",
            "stages[3].timestamp.format",
            "stages[4].replace.expression",
            "stages[5].multiline.firstline",
            "retention.rules[0].selector",
            "groups[0].rules[0].expr",
        ],
        "{stderr}"
    );
    assert!(stderr.contains("^ this failed on all 10 entries that came to it: `0` does not fit"), "{stderr}");
    assert!(
        said.contains("tried on 10 entries of the journal, 2026-11-01T10:00:00Z to 2026-11-01T10:00:09Z; met nothing: 11"),
        "{said}"
    );
    assert!(
        said.contains("rules without an entry, as is usual where they look for what is rare: NoLine\n"),
        "{said}"
    );

    // The dry run says the same.
    let args =
        ["--dry-run", "--summary", "--config", config.to_str().unwrap(), "--path", journal.to_str().unwrap()];
    let summary = text(&output(&args).stdout);
    for path in told {
        assert!(summary.contains(&format!("{path}: ")), "no {path} in\n{summary}");
    }
    // Nothing to say, and nothing to read.
    fs::write(&config, "labels: {fields: {unit: _SYSTEMD_UNIT}}\n").unwrap();
    let args =
        ["check", "--config", config.to_str().unwrap(), "--journal", "--path", journal.to_str().unwrap()];
    let out = output(&args);
    assert_eq!(text(&out.stderr), "");
    assert!(text(&out.stdout).ends_with("; met nothing: 0\n"), "{}", text(&out.stdout));
    let out = output(&[&args[..], &["--since", "1h"]].concat());
    assert!(text(&out.stdout).ends_with("it has no entry since then\n"), "{}", text(&out.stdout));
    assert_eq!(output(&["check", "--path", "/"]).status.code(), Some(2));
}

/// `--path` takes all words up to the next option; a match among them was a place that is not there.
#[test]
fn matches_may_stand_behind_the_path() {
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/demo/journal");
    let shown = |args: &[&str]| {
        let out = output(&[&["--dry-run", "-o", "json"], args].concat());
        assert_eq!(out.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let (ssh, cron) = ("_SYSTEMD_UNIT=ssh.service", "_SYSTEMD_UNIT=cron.service");
    let behind = shown(&["--path", demo, ssh, "+", cron]);
    assert_eq!(behind, shown(&[ssh, "+", cron, "--path", demo]));
    assert!(behind.lines().count() > 100 && behind.lines().all(|line| line.contains(".service")));
    assert_ne!(behind, shown(&["--path", demo]));
    for (args, part) in [
        (&["--dry-run", "--path", ssh][..], "write the folder or file to read in front of the matches"),
        (&["verify", "--path", demo, ssh], "matches of fields go with --dry-run, or with `query`"),
        (
            &["check", "--journal", "--path", demo, ssh],
            "there is no file or folder _SYSTEMD_UNIT=ssh.service",
        ),
    ] {
        let out = output(args);
        let error = String::from_utf8(out.stderr).unwrap();
        assert!(out.status.code() == Some(2) && error.contains(part), "{args:?}: {error}");
    }
}
