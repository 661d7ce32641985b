//! The recipes in `config/recipes`: each does to real journal files what its comment says.
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::agent::output;
use crate::support::fixtures::{ExportEntry, Format, build_journal};
use crate::support::or_skip;

type Fields = &'static [(&'static str, &'static str)];

/// A journal entry, and labels and metadata that it has with the recipe; null: it has no such one.
struct Row {
    fields: Fields,
    labels: Value,
    metadata: Value,
}

fn row(fields: Fields, labels: Value, metadata: Value) -> Row {
    Row { fields, labels, metadata }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/recipes")
}

/// The journal entries that a recipe is tried on.
#[allow(clippy::too_many_lines)] // one table: a recipe, and the entries that show what it does
fn rows(recipe: &str) -> Vec<Row> {
    match recipe {
        "unit-instances" => vec![
            row(
                &[("_SYSTEMD_UNIT", "foo@bar.service")],
                json!({"unit": "foo@.service", "service_name": "foo@.service", "job": "systemd-journal", "host": "h"}),
                json!({"instance": "foo@bar.service"}),
            ),
            row(
                &[("_SYSTEMD_UNIT", "sshd@17-10.0.0.1:22-10.0.0.2:50112.service"), ("_PID", "7")],
                json!({"unit": "sshd@.service", "service_name": "sshd@.service"}),
                json!({"instance": "sshd@17-10.0.0.1:22-10.0.0.2:50112.service", "pid": "7"}),
            ),
            row(
                &[("_SYSTEMD_UNIT", "user@1000.service"), ("_SYSTEMD_USER_UNIT", "app-x@a@b.c.slice")],
                json!({"unit": "user@.service", "user_unit": "app-x@.slice"}),
                json!({"instance": "user@1000.service"}),
            ),
            row(
                &[("_SYSTEMD_UNIT", "sshd.service")],
                json!({"unit": "sshd.service", "service_name": "sshd.service"}),
                json!({}),
            ),
            row(&[("_SYSTEMD_UNIT", "foo@.service")], json!({"unit": "foo@.service"}), json!({})),
            row(
                &[("SYSLOG_IDENTIFIER", "me@home.service"), ("_TRANSPORT", "syslog")],
                json!({"unit": null, "service_name": "syslog"}),
                json!({"identifier": "me@home.service", "instance": null}),
            ),
        ],
        "session-scopes" => vec![
            row(
                &[("_SYSTEMD_UNIT", "session-42.scope"), ("_SYSTEMD_SESSION", "42")],
                json!({"unit": "session.scope", "service_name": "session.scope"}),
                json!({"session": "42"}),
            ),
            row(
                &[("_SYSTEMD_UNIT", "session-c1.scope")],
                json!({"unit": "session.scope"}),
                json!({"session": null}),
            ),
            row(&[("_SYSTEMD_UNIT", "session-x.scope")], json!({"unit": "session-x.scope"}), json!({})),
            row(&[("_SYSTEMD_UNIT", "my-session-1.scope")], json!({"unit": "my-session-1.scope"}), json!({})),
        ],
        "coredumps" => vec![
            row(
                &[
                    ("_SYSTEMD_UNIT", "systemd-coredump@3-811-0.service"),
                    ("COREDUMP_UNIT", "nginx.service"),
                    ("COREDUMP_PID", "811"),
                    ("COREDUMP_EXE", "/usr/sbin/nginx"),
                    ("COREDUMP_SIGNAL_NAME", "SIGSEGV"),
                ],
                json!({"unit": "nginx.service", "service_name": "nginx.service"}),
                json!({"coredump_pid": "811", "coredump_exe": "/usr/sbin/nginx", "coredump_signal": "SIGSEGV"}),
            ),
            row(
                &[
                    ("_SYSTEMD_UNIT", "systemd-coredump@4-812-0.service"),
                    ("COREDUMP_UNIT", "user@1000.service"),
                    ("COREDUMP_USER_UNIT", "firefox.service"),
                ],
                json!({"unit": "user@1000.service", "user_unit": "firefox.service", "service_name": "user@1000.service"}),
                json!({}),
            ),
            row(
                // A user says that somebody else has crashed.
                &[
                    ("_SYSTEMD_UNIT", "session-4.scope"),
                    ("COREDUMP_UNIT", "init.scope"),
                    ("COREDUMP_USER_UNIT", "x.service"),
                ],
                json!({"unit": "session-4.scope", "user_unit": null, "service_name": "session-4.scope"}),
                json!({}),
            ),
            row(
                &[("_SYSTEMD_UNIT", "nginx.service")],
                json!({"unit": "nginx.service"}),
                json!({"coredump_pid": null}),
            ),
        ],
        "containers" => vec![
            row(
                &[
                    ("_SYSTEMD_UNIT", "docker.service"),
                    ("CONTAINER_NAME", "web"),
                    ("CONTAINER_ID", "0123456789ab"),
                    ("SYSLOG_IDENTIFIER", "0123456789ab"),
                ],
                json!({"container": "web", "service_name": "web", "unit": "docker.service"}),
                json!({"container_id": "0123456789ab"}),
            ),
            row(
                &[("_SYSTEMD_UNIT", "docker.service"), ("SYSLOG_IDENTIFIER", "dockerd")],
                json!({"container": null, "service_name": "docker.service"}),
                json!({"container_id": null}),
            ),
            row(
                &[("_SYSTEMD_UNIT", "libpod-conmon-1.scope"), ("CONTAINER_NAME", "db"), ("_UID", "0")],
                json!({"container": "db", "service_name": "db", "unit": "libpod-conmon-1.scope"}),
                json!({}),
            ),
            row(
                // A user has a container of the kernel's name, or says so.
                &[("_SYSTEMD_UNIT", "user@1000.service"), ("CONTAINER_NAME", "kernel"), ("_UID", "1000")],
                json!({"container": null, "service_name": "user@1000.service"}),
                json!({}),
            ),
            row(
                &[("_TRANSPORT", "journal"), ("CONTAINER_NAME", "kernel"), ("_UID", "1000")],
                json!({"container": null, "service_name": "journal"}),
                json!({}),
            ),
        ],
        "kernel-and-audit" => vec![
            row(
                &[("_TRANSPORT", "kernel"), ("SYSLOG_IDENTIFIER", "kernel"), ("PRIORITY", "4")],
                json!({"unit": "kernel", "service_name": "kernel", "level": "warning"}),
                json!({}),
            ),
            row(
                &[("_TRANSPORT", "audit"), ("_AUDIT_TYPE", "1300"), ("SYSLOG_IDENTIFIER", "auditd")],
                json!({"unit": "audit", "service_name": "audit"}),
                json!({}),
            ),
            row(
                &[("_TRANSPORT", "audit"), ("_SYSTEMD_UNIT", "cron.service")],
                json!({"unit": "cron.service", "service_name": "cron.service"}),
                json!({}),
            ),
            row(
                &[("_TRANSPORT", "syslog"), ("SYSLOG_IDENTIFIER", "su")],
                json!({"unit": null, "service_name": "syslog"}),
                json!({}),
            ),
        ],
        other => panic!("{other}.yaml is not tested"),
    }
}

#[test]
fn every_recipe_does_what_it_says() {
    let names: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names.len(), 5, "{names:?}");
    for name in names {
        let rows = rows(&name);
        let dir = tempfile::tempdir().unwrap();
        let journal = dir.path().join("system.journal");
        let entries: Vec<_> = rows
            .iter()
            .zip(0..)
            .map(|(row, n)| {
                let entry = ExportEntry::new(1_793_527_200_000_000 + n)
                    .field("_HOSTNAME", "h")
                    .message(n.to_string());
                row.fields.iter().fold(entry, |entry, (name, value)| entry.field(name, value))
            })
            .collect();
        or_skip!(build_journal(&journal, &entries, Format::default()));
        let recipe = folder().join(format!("{name}.yaml"));
        let args =
            ["--dry-run".as_ref(), "-o".as_ref(), "json".as_ref(), "--config".as_ref(), recipe.as_os_str()];
        let out = output(&[&args[..], &["--path".as_ref(), journal.as_os_str()]].concat());
        assert!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stderr));
        let text = String::from_utf8(out.stdout).unwrap();
        let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(records.len(), rows.len(), "{name}");
        for (row, record) in rows.iter().zip(&records) {
            for (part, expected) in [("labels", &row.labels), ("metadata", &row.metadata)] {
                for (key, value) in expected.as_object().unwrap() {
                    assert_eq!(
                        record[part].get(key).unwrap_or(&Value::Null),
                        value,
                        "{name}: {key} of {record}"
                    );
                }
            }
        }
    }
}

#[test]
fn recipes_pass_the_check_with_a_destination() {
    for file in fs::read_dir(folder()).unwrap() {
        let path = file.unwrap().path();
        let source = fs::read_to_string(&path).unwrap();
        assert!(source.starts_with("# "), "{} says what it does", path.display());
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config.yaml");
        fs::write(&config, format!("{source}\nloki: [{{url: 'http://loki:3100'}}]\n")).unwrap();
        let out = output(&["check".as_ref(), "--config".as_ref(), config.as_os_str()]);
        assert!(out.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&out.stderr));
    }
}
