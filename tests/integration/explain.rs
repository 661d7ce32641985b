//! `--dry-run -o explain`: where each label comes from, what each step changed, and what became of the entry.

use std::fs;

use crate::support::agent::{output, program};
use crate::support::fixtures::{ExportEntry, Format, build_journal};
use crate::support::or_skip;

/// 2026-11-01T10:00:00Z (microseconds since 1970).
const START: u64 = 1_793_527_200_000_000;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn entry(second: u64, unit: &str, priority: &str, message: &str) -> ExportEntry {
    ExportEntry::new(START + second * 1_000_000)
        .message(message)
        .field("_HOSTNAME", "oak")
        .field("_SYSTEMD_UNIT", unit)
        .field("PRIORITY", priority)
        .field("_PID", "812")
}

const CONFIG: &str = r#"
labels:
  static: {job: journal}
  fields: {level: PRIORITY, unit: _SYSTEMD_UNIT}
  relabel_configs:
    - {source_labels: [unit], regex: '(.+)\.service', target_label: unit, replacement: $1}
    - {source_labels: [__journal__hostname, unit], separator: /, target_label: where}
    - {source_labels: [unit], regex: backup, action: drop}
structured_metadata: {pid: _PID}
stages:
  - match:
      selector: '{unit="shop"}'
      stages:
        - multiline: {firstline: '^\S'}
  - match:
      selector: '{unit="nginx"}'
      stages:
        - regex: {expression: '"(?P<method>\w+) (?P<path>\S+)"'}
        - labels: {method: }
        - labeldrop: [where]
  - match: {selector: '{unit="cron"}', action: drop, drop_counter_reason: noise}
retention:
  default: 5000d
  rules:
    - {selector: '{unit="ssh"}', drop: true}
"#;

const STABLE: &str = r#"2026-11-01T10:00:00.000000+00:00 {job="journal", level="info", method="GET", retention="5000d", unit="nginx"} "GET /a"
    job <- labels.static
    level <- PRIORITY=6
    unit <- _SYSTEMD_UNIT=nginx.service
    labels.relabel_configs[0]: unit: nginx.service -> nginx
    labels.relabel_configs[1]: where=oak/nginx added
    metadata pid <- _PID=812
    stages[1].match: selected by {unit="nginx"}
    stages[1].match.stages[0].regex: extracted method=GET
    stages[1].match.stages[0].regex: extracted path=/a
    stages[1].match.stages[1].labels: method=GET added
    stages[1].match.stages[2].labeldrop: where=oak/nginx removed
    retention default: keep 5000d
    stream {job="journal", level="info", method="GET", retention="5000d", unit="nginx"}: 8 bytes, and 6 of metadata
2026-11-01T10:00:01.000000+00:00 not sent {job="journal", level="notice", unit="backup", where="oak/backup"} saved
    job <- labels.static
    level <- PRIORITY=5
    unit <- _SYSTEMD_UNIT=backup.service
    labels.relabel_configs[0]: unit: backup.service -> backup
    labels.relabel_configs[1]: where=oak/backup added
    labels.relabel_configs[2]: dropped
2026-11-01T10:00:02.000000+00:00 not sent {job="journal", level="info", unit="cron", where="oak/cron"} ran
    job <- labels.static
    level <- PRIORITY=6
    unit <- _SYSTEMD_UNIT=cron.service
    labels.relabel_configs[0]: unit: cron.service -> cron
    labels.relabel_configs[1]: where=oak/cron added
    metadata pid <- _PID=812
    stages[2].match: selected by {unit="cron"}
    stages[2].match: dropped (noise)
2026-11-01T10:00:03.000000+00:00 not sent {job="journal", level="info", unit="ssh", where="oak/ssh"} Accepted
    job <- labels.static
    level <- PRIORITY=6
    unit <- _SYSTEMD_UNIT=ssh.service
    labels.relabel_configs[0]: unit: ssh.service -> ssh
    labels.relabel_configs[1]: where=oak/ssh added
    metadata pid <- _PID=812
    retention rule 1 {unit="ssh"}: dropped
2026-11-01T10:00:04.000000+00:00 held {job="journal", level="error", unit="shop", where="oak/shop"} Traceback
    job <- labels.static
    level <- PRIORITY=3
    unit <- _SYSTEMD_UNIT=shop.service
    labels.relabel_configs[0]: unit: shop.service -> shop
    labels.relabel_configs[1]: where=oak/shop added
    metadata pid <- _PID=812
    stages[0].match: selected by {unit="shop"}
    stages[0].match.stages[0].multiline: held until its block ends
2026-11-01T10:00:05.000000+00:00 held {job="journal", level="error", unit="shop", where="oak/shop"}   at line 3
    job <- labels.static
    level <- PRIORITY=3
    unit <- _SYSTEMD_UNIT=shop.service
    labels.relabel_configs[0]: unit: shop.service -> shop
    labels.relabel_configs[1]: where=oak/shop added
    metadata pid <- _PID=812
    stages[0].match: selected by {unit="shop"}
    stages[0].match.stages[0].multiline: held until its block ends
2026-11-01T10:00:04.000000+00:00 {job="journal", level="error", retention="5000d", unit="shop", where="oak/shop"} Traceback
          at line 3
    job <- labels.static
    level <- PRIORITY=3
    unit <- _SYSTEMD_UNIT=shop.service
    labels.relabel_configs[0]: unit: shop.service -> shop
    labels.relabel_configs[1]: where=oak/shop added
    metadata pid <- _PID=812
    stages[0].match: selected by {unit="shop"}
    stages[0].match.stages[0].multiline: 2 lines joined
    retention default: keep 5000d
    stream {job="journal", level="error", retention="5000d", unit="shop", where="oak/shop"}: 21 bytes, and 6 of metadata
"#;

#[test]
fn each_entry_shows_where_its_labels_come_from_and_what_changed() {
    let dir = tempfile::tempdir().unwrap();
    let entries = [
        entry(0, "nginx.service", "6", "\"GET /a\""),
        entry(1, "backup.service", "5", "saved"),
        entry(2, "cron.service", "6", "ran"),
        entry(3, "ssh.service", "6", "Accepted"),
        entry(4, "shop.service", "3", "Traceback"),
        entry(5, "shop.service", "3", "  at line 3"),
    ];
    or_skip!(build_journal(&dir.path().join("a.journal"), &entries, Format::default()));
    let (config, journal) = (dir.path().join("config.yaml"), dir.path().to_str().unwrap());
    fs::write(&config, CONFIG).unwrap();
    let args = ["--dry-run", "-o", "explain", "--config", config.to_str().unwrap(), "--path", journal];
    let out = output(&args);
    assert_eq!(text(&out.stdout), STABLE, "{}", text(&out.stderr));
    // A block is one entry of those that are pushed, and each entry that is dropped counts once.
    assert!(text(&out.stderr).contains("2 entries would be pushed; nothing was"), "{}", text(&out.stderr));
    assert!(text(&out.stderr).contains("; 3 would be dropped"), "{}", text(&out.stderr));
}

/// For a person: what is not sent is dim, and what ended it is not.
#[test]
fn a_person_sees_what_is_not_sent_dimmed() {
    let dir = tempfile::tempdir().unwrap();
    let entries = [entry(0, "nginx.service", "4", "slow"), entry(2, "cron.service", "6", "ran\ntwice")];
    or_skip!(build_journal(&dir.path().join("a.journal"), &entries, Format::default()));
    let (config, journal) = (dir.path().join("config.yaml"), dir.path().to_str().unwrap());
    fs::write(
        &config,
        "labels: {static: {job: j}, fields: {level: PRIORITY, unit: _SYSTEMD_UNIT}}\nstructured_metadata: {}\n\
         stages: [{drop: {expression: twice}}]\n",
    )
    .unwrap();
    let args = ["--dry-run", "-o", "explain", "--config", config.to_str().unwrap(), "--path", journal];
    let out = program(&[&args[..], &["--color", "always"]].concat()).output().unwrap();
    let (dim, yellow, reset) = ("\u{1b}[2m", "\u{1b}[33m", "\u{1b}[0m");
    let expected = format!(
        "{dim}2026-11-01 10:00:00.000{reset}  nginx.service  {yellow}slow{reset}\n    job <- labels.static\n    level <- PRIORITY=4\n    \
         unit <- _SYSTEMD_UNIT=nginx.service\n    stream {{job=\"j\", level=\"warning\", unit=\"nginx.service\"}}: 4 bytes, and 0 of metadata\n\
         {dim}2026-11-01 10:00:02.000  cron.service   not sent: ran\n{}twice{reset}\n\
         {dim}    job <- labels.static{reset}\n{dim}    level <- PRIORITY=6{reset}\n{dim}    unit <- _SYSTEMD_UNIT=cron.service{reset}\n\
         {dim}    labels {{job=\"j\", level=\"info\", unit=\"cron.service\"}}{reset}\n    stages[0].drop: dropped (drop_stage)\n",
        " ".repeat(40)
    );
    assert_eq!(text(&out.stdout), expected, "{}", text(&out.stderr));
}

/// With no configuration at all, each label has its field.
#[test]
fn the_built_in_defaults_are_explained_too() {
    let dir = tempfile::tempdir().unwrap();
    or_skip!(build_journal(
        &dir.path().join("a.journal"),
        &[entry(0, "a.service", "6", "x")],
        Format::default()
    ));
    let out = output(&["--dry-run", "-o", "explain", "--path", dir.path().to_str().unwrap()]);
    let expected = r#"2026-11-01T10:00:00.000000+00:00 {host="oak", job="systemd-journal", level="info", service_name="a.service", unit="a.service"} x
    job <- labels.static
    host <- _HOSTNAME=oak
    level <- PRIORITY=6
    service_name <- _SYSTEMD_UNIT=a.service
    unit <- _SYSTEMD_UNIT=a.service
    metadata pid <- _PID=812
    stream {host="oak", job="systemd-journal", level="info", service_name="a.service", unit="a.service"}: 1 byte, and 6 of metadata
"#;
    assert_eq!(text(&out.stdout), expected);
}
