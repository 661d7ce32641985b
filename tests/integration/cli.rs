//! The command line as a person meets it: what is shown, what is said, and the exit status.
use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::support::agent::{COUNTS, Expected, expected, output, program};
use crate::support::fixtures::{ExportEntry, Format, build_journal, journalctl_export};
use crate::support::journald::{Bulk, Journald, Transport, wait_until};
use crate::support::or_skip;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A dry run of a path, as JSON records.
fn records(path: &Path, more: &[&str]) -> Vec<Value> {
    let mut args = vec!["--dry-run", "-o", "json", "--path", path.to_str().unwrap()];
    args.extend(more);
    let out = output(&args);
    assert!(out.status.success(), "{args:?}: {}", text(&out.stderr));
    text(&out.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn lines(records: &[Value]) -> Vec<String> {
    records.iter().map(|r| r["line"].as_str().unwrap().to_string()).collect()
}

/// Ten entries, a second apart, from 2026-11-01 10:00:00 UTC on; names `0` to `9`.
fn ten(dir: &Path) -> Option<()> {
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
fn output_that_cannot_be_written_is_a_failure_that_names_it() {
    for args in [&["--dry-run", "--path", "demo/journal"][..], &["check", "--config", "config/config.yaml"]] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let out = program(args).current_dir(env!("CARGO_MANIFEST_DIR")).stdout(full).output().unwrap();
        assert_eq!(out.status.code(), Some(1));
        assert!(text(&out.stderr).contains("standard output cannot be written"), "{}", text(&out.stderr));
    }
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
fn a_journal_that_may_not_be_read_names_path_group_and_remedy() {
    let journald = or_skip!(Journald::start());
    journald.send_native(&[("MESSAGE", b"secret")]);
    journald.sync();
    let files = journald.files_dir();
    for path in [journald.dir(), files.clone()] {
        for ancestor in path.ancestors().take_while(|a| a.starts_with("/tmp/") && *a != Path::new("/tmp")) {
            fs::set_permissions(ancestor, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    let file = files.join("system.journal");
    // A group that every system has; journald's own is made by its package.
    let adm = fs::read_to_string("/etc/group").unwrap();
    let gid = adm.lines().find_map(|l| l.strip_prefix("adm:x:")?.split(':').next()?.parse().ok()).unwrap();
    std::os::unix::fs::chown(&file, None, Some(gid)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();

    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let config = home.path().join("config.yaml");
    let yaml = format!(
        "journal: {{paths: [{:?}]}}\nloki: [{{url: 'http://127.0.0.1:9'}}]\nstate_directory: {:?}\n",
        journald.dir(),
        home.path().join("state")
    );
    fs::write(&config, yaml).unwrap();
    for args in [
        &["--dry-run", "--path", journald.dir().to_str().unwrap()][..],
        &["--config", config.to_str().unwrap()],
    ] {
        let out = as_nobody(args, home.path());
        let stderr = text(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{stderr}");
        for part in [
            &format!("{}: permission denied; it is readable for group `adm`", file.display()),
            "SupplementaryGroups=adm",
            "usermod -aG adm",
        ] {
            assert!(stderr.contains(part), "no {part:?} in:\n{stderr}");
        }
        assert_eq!(stderr.matches("permission denied").count(), 1, "{stderr}");
    }
}

/// The program as an ordinary user, in a folder of its own.
fn as_nobody(args: &[&str], home: &Path) -> Output {
    let mut command = program(args);
    // Copied, because the folder of the build need not be open to others.
    let binary =
        home.parent().unwrap().join(format!("journal-ship-{}", home.file_name().unwrap().to_string_lossy()));
    fs::copy(command.get_program(), &binary).unwrap();
    command = {
        let mut copy = std::process::Command::new(&binary);
        // Nobody may write counts of lines where the others do.
        copy.args(args).env_clear().env("TZ", "UTC").env(COUNTS, "/dev/null").stdin(Stdio::null());
        copy
    };
    command.uid(65534).gid(65534).current_dir(home);
    // A process that another test is just starting may still have the copy open for writing.
    let mut out = command.output();
    wait_until("the copy can be started", || {
        let busy = out.as_ref().is_err_and(|e| e.kind() == ErrorKind::ExecutableFileBusy);
        if busy {
            out = command.output();
        }
        !busy
    });
    fs::remove_file(binary).unwrap();
    out.unwrap()
}

#[test]
fn exit_statuses_and_words_are_as_documented() {
    let home = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = home.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let good = file("good.yaml", "loki: [{url: 'http://loki:3100'}]\n");
    let bad = file("bad.yaml", "lokki: []\njournal: {backfil: 1d}\n");
    let none = file("none.yaml", "line: json\n");
    let rules = file("rules.yaml", "groups: [{name: a, rules: [{alert: A, expr: 'vector(1)'}]}]\n");
    let tests = file("tests.yaml", "rule_files: [rules.yaml]\ntests: []\n");
    let manifest = file(
        "manifest.yaml",
        "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nspec: {groups: []}\n",
    );
    let theirs = file("promtail.yaml", "clients: []\nscrape_configs: [{job_name: j, journal: {}}]\n");
    let empty = home.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let empty = empty.display().to_string();
    let state = file(
        "state.yaml",
        "journal: {paths: [/etc]}\nloki: [{url: 'http://loki:3100'}]\nstate_directory: /proc/nowhere\n",
    );
    for (args, status, parts) in [
        (&["check", "--config", &good][..], 0, &["valid; 1 destination"][..]),
        (&["--config", &good, "check"], 0, &["valid"]),
        (&["check", "--config", &none], 0, &["no destination"]),
        (&["check", "--config", &bad], 78, &["lokki", "did you mean `loki`", "backfil", "bad.yaml:1:1", "^"]),
        (&["check", "--config", "/nowhere.yaml"], 78, &["/nowhere.yaml"]),
        (&["--config", &bad], 78, &["lokki"]),
        (&["--dry-run", "--config", &bad], 78, &["lokki"]),
        (&["--config", &none], 78, &["there is no destination", "url: http://loki:3100"]),
        (&["--config", &state], 1, &["cannot keep state in /proc/nowhere"]),
        (&["--since", "1h ago"], 2, &["--dry-run"]),
        (&["--dry-run", "--since", "whenever"], 2, &["--since", "whenever"]),
        (&["--dry-run", "--since", "now", "--until", "-1h"], 2, &["--since is after --until"]),
        (&["--dry-run", "-o", "xml"], 2, &["xml"]),
        (&["--dryrun"], 2, &["--dry-run"]),
        (&["--dry-run", "check"], 2, &["check"]),
        (&["--dry-run", "--path", "/nowhere"], 1, &["/nowhere: no such file"]),
        (
            &["--dry-run", "--path", "/proc/self/fdinfo"],
            1,
            &["no journal can be read", "not named *.journal", "--path FOLDER"],
        ),
        (&["--dry-run", "--path", &empty], 1, &["an empty folder", "is it running here?"]),
        (
            &["check", "--config", &rules],
            78,
            &["this is a rule file, where journal-ship's", "alerts.rule_files"],
        ),
        (&["--config", &rules], 78, &["this is a rule file"]),
        (
            &["rules", "test", &rules],
            78,
            &["this is a rule file, not a file of tests", "rule_files: [THIS_FILE]"],
        ),
        (&["check", "--config", &tests], 78, &["journal-ship rules test FILE"]),
        (&["check", "--config", &manifest], 78, &["PrometheusRule", "take what is under `spec`"]),
        (&["rules", "test", &manifest], 78, &["PrometheusRule", "take what is under `spec`"]),
        (&["check", "--config", &theirs], 78, &["Promtail's configuration", "journal-ship convert promtail"]),
        (&["rules", "test", &theirs], 78, &["Promtail's configuration", "where a file of tests is expected"]),
        (&["convert", "promtail", &good], 1, &["journal-ship's own configuration", "check --config"]),
        (&["convert", "promtail", &empty], 1, &["name a file in it"]),
        (&["rules", "test", &empty], 1, &["name a file in it"]),
        (&["rules", "test", "/nowhere.yaml"], 1, &["/nowhere.yaml cannot be read", "is the name right?"]),
        (&["--version"], 0, &[env!("CARGO_PKG_VERSION")]),
        (&["--help"], 0, &["--dry-run", "check", "--since"]),
    ] {
        let out = output(args);
        let words = text(&out.stdout) + &text(&out.stderr);
        assert_eq!(out.status.code(), Some(status), "{args:?}: {words}");
        for part in parts {
            assert!(words.contains(part), "{args:?}: no {part:?} in:\n{words}");
        }
        if status != 0 {
            assert_eq!(text(&out.stdout), "", "{args:?}: errors go to standard error");
        }
    }
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
fn what_only_the_service_knows_need_not_be_checked() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("config.yaml");
    let check = |config: &str, more: &[&str]| {
        fs::write(&path, config).unwrap();
        let mut args = vec!["check", "--config", path.to_str().unwrap()];
        args.extend(more);
        let out = output(&args);
        (out.status.code(), text(&out.stdout), text(&out.stderr))
    };
    let config =
        "loki: [{url: \"http://${LOKI_HOST}:3100\", tenant: \"${TENANT}\"}]\nlog_level: \"${LEVEL}\"\n";
    let (status, _, errors) = check(config, &[]);
    assert_eq!(status, Some(78));
    for name in ["LOKI_HOST", "TENANT", "LEVEL"] {
        assert!(
            errors.contains(&format!("error: `{}", if name == "LEVEL" { "log_level" } else { "loki[0]" }))
        );
        assert!(errors.contains(&format!("the environment variable `{name}` is not set")), "{errors}");
    }
    let (status, said, warnings) = check(config, &["--allow-unset"]);
    assert_eq!(status, Some(0), "{warnings}");
    assert!(said.ends_with("valid; 1 destination\n"), "{said}");
    assert_eq!(warnings.matches("warning: `").count(), 3, "{warnings}");
    assert!(warnings.contains("^^^^^^^^ not checked") && !warnings.contains("error"), "{warnings}");
    // Everything else is.
    let (status, _, errors) = check(&format!("{config}line: \"${{X\"\nlables: {{}}\n"), &["--allow-unset"]);
    assert_eq!(status, Some(78));
    assert!(errors.contains("`${` without `}`") && errors.contains("unknown key `lables`"), "{errors}");
    // Where systemd puts credentials is known.
    let config = "loki: [{url: http://loki:3100, bearer_token_file: \"${CREDENTIALS_DIRECTORY}/token\"}]\n";
    assert_eq!(check(config, &[]).0, Some(0));
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
        (&["--since", "1d"], 5, "5 entries would be pushed; nothing was\n"),
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
    assert!(explained.contains(" not sent\n    older than journal.backfill (1h)\n"), "{explained}");
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
            "retention.rules[0].selector",
            "groups[0].rules[0].expr",
        ],
        "{stderr}"
    );
    assert!(stderr.contains("^ this failed on all 10 entries that came to it: `0` does not fit"), "{stderr}");
    assert!(
        said.contains("tried on 10 entries of the journal, 2026-11-01T10:00:00Z to 2026-11-01T10:00:09Z; met nothing: 10"),
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
