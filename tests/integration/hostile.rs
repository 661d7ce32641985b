//! Hostile senders: what an ordinary user can do with the journal to others, tried with a real journald.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::support::agent::output;
use crate::support::journald::Journald;
use crate::support::or_skip;

/// Sends what standard input has, a JSON list of entries with fields and times, in the way that is asked for: all from one
/// process, or each from a process that ends at once.
const SENDER: &str = r#"
import json, os, socket, sys
entries = json.load(sys.stdin)
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect("/run/systemd/journal/socket")
def send(fields):
    s.send(b"".join(k.encode() + b"=" + v.encode() + b"\n" for k, v in fields.items()))
for fields in entries:
    if sys.argv[1] == "fork":
        pid = os.fork()
        if pid == 0:
            send(fields)
            os._exit(0)
        os.waitpid(pid, 0)
    else:
        send(fields)
"#;

/// Sends entries as a user, in a cgroup, and waits until they are in the journal.
fn send(journald: &Journald, uid: u32, cgroup: &str, how: &str, entries: &Value) {
    let uid = uid.to_string();
    // What a process may do is the user's: setpriv leaves nothing of root.
    let join = format!(
        "mkdir -p /sys/fs/cgroup{cgroup} && echo 0 >/sys/fs/cgroup{cgroup}/cgroup.procs && exec setpriv --reuid {uid} \
         --regid {uid} --clear-groups --inh-caps=-all --bounding-set=-all /usr/bin/python3 -c \"$0\" {how}"
    );
    let mut command = journald.command(&["sh", "-c", &join, SENDER]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    serde_json::to_writer(child.stdin.take().unwrap(), entries).unwrap();
    assert!(child.wait().unwrap().success());
    journald.sync();
}

/// The dry run of a configuration: its records.
fn records(journald: &Journald, config: &str) -> Vec<Value> {
    let text = dry_run(journald, config, &["-o", "json"]);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn dry_run(journald: &Journald, config: &str, more: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.yaml");
    std::fs::write(&path, config).unwrap();
    let (config, journal) = (path.to_str().unwrap(), journald.dir());
    let args = ["--dry-run", "--config", config, "--path", journal.to_str().unwrap()];
    let out = output(&[&args[..], more].concat());
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

const EVE: u32 = 12_345;
const SESSION: &str = "/user.slice/user-12345.slice/session-4.scope";

/// What the shipped rules look for, by the names of those that it is about.
fn lies() -> Vec<Value> {
    let lines = [
        "Out of memory: Killed process 4711 (postgres) total-vm:1kB",
        "I/O error, dev sda, sector 2 op 0x0:(READ) flags 0x0",
        "EXT4-fs error (device sda1): ext4_find_entry:1455: inode #2",
        "BUG: kernel NULL pointer dereference, address: 0000000000000008",
        "Kernel panic - not syncing: Fatal exception",
        "restic-backups-home.service: Failed with result 'exit-code'.",
        "eid=187 class=data pool='tank' priority=3 err=28",
        "pam_unix(sudo:auth): authentication failure; logname=ada uid=1000 euid=0 tty=/dev/pts/0 ruser=ada rhost=  user=ada",
        "     ada : user NOT in sudoers ; TTY=pts/1 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/ls",
        "x509: certificate has expired or is not yet valid",
        "warning: the following units failed: nginx.service",
        "loki `main` refused 3 entries for good (too_old)",
        "12 entries are missing from loki `main`; 4719 entries in 12 streams compared",
    ];
    let names = ["kernel", "systemd", "sudo", "zfs-zed"];
    let entry = |line: &str, name: &str| {
        serde_json::json!({"MESSAGE": line, "SYSLOG_IDENTIFIER": name, "PRIORITY": "2", "UNIT": "init.scope",
            "SYSLOG_FACILITY": "0", "CONTAINER_NAME": "kernel", "COREDUMP_UNIT": "init.scope", "SYSTEMD_UNIT": "init.scope"})
    };
    lines.iter().flat_map(|line| names.map(|name| entry(line, name))).collect()
}

#[test]
fn nobody_is_taken_for_the_kernel_or_for_a_service() {
    let journald = or_skip!(Journald::start());
    let lies = Value::from(lies());
    // Processes that ended before journald looked have no unit; a user's own manager has any units.
    send(&journald, EVE, "/", "fork", &lies);
    send(&journald, EVE, SESSION, "fork", &lies);
    let own = "/user.slice/user-12345.slice/user@12345.service";
    for unit in ["init.scope", "app.slice/sshd.service", "app.slice/zfs-zed.service"] {
        send(&journald, EVE, &format!("{own}/{unit}"), "one", &lies);
    }
    let records = records(&journald, "structured_metadata: {uid: _UID, exe: _EXE}\n");
    let by_eve: Vec<_> = records.iter().filter(|r| r["metadata"]["uid"] == "12345").collect();
    assert_eq!(by_eve.len(), lies.as_array().unwrap().len() * 5);
    let values = |label: &str| -> BTreeSet<&str> {
        by_eve.iter().map(|record| record["labels"][label].as_str().unwrap_or_default()).collect()
    };
    assert!(
        values("user_unit").is_superset(&["init.scope", "sshd.service"].into()),
        "{:?}",
        values("user_unit")
    );
    let (unit, service) = (values("unit"), values("service_name"));
    assert!(unit.is_subset(&["", "session-4.scope", "user@12345.service"].into()), "{unit:?}");
    let mut allowed = unit;
    allowed.insert("journal");
    assert!(service.is_subset(&allowed) && !service.contains(""), "{service:?}");

    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/rules/host.yaml");
    let config = format!("alerts: {{rule_files: [{rules:?}]}}\n");
    let summary: Value =
        serde_json::from_str(&dry_run(&journald, &config, &["--summary", "-o", "json"])).unwrap();
    assert_eq!(summary["alerts"], serde_json::json!([]), "{summary}");
}

#[test]
fn a_program_that_a_process_becomes_is_all_that_it_can_lie_about() {
    let journald = or_skip!(Journald::start());
    // It hangs for a while.
    journald.signal(rustix::process::Signal::STOP);
    // It says something, and is another program when journald asks.
    let script = "import socket,os\ns=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\ns.connect('/run/systemd/journal/socket')\n\
                  s.send(b'MESSAGE=lie\\n_EXE=/usr/bin/sudo\\n_UID=0\\n_COMM=sudo\\nSYSLOG_IDENTIFIER=sudo\\n')\n\
                  os.execv('/bin/sleep',['sudo','60'])";
    let id = EVE.to_string();
    let become_eve = ["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"];
    let mut liar = journald.spawn(&[&become_eve[..], &["/usr/bin/python3", "-c", script]].concat());
    // Whatever it has sent is in the socket when it sleeps.
    crate::support::journald::wait_until("it is another program", || {
        let names = journald.run(&["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"]);
        String::from_utf8_lossy(&names.stdout).contains("sudo 60")
    });
    journald.signal(rustix::process::Signal::CONT);
    journald.sync();
    assert!(!liar.ended());
    let entry = journald.entries().into_iter().find(|entry| entry.text("MESSAGE") == "lie").unwrap();
    // `/bin` may be a link.
    assert!(entry.text("_EXE").ends_with("bin/sleep"), "{}", entry.text("_EXE"));
    assert!(entry.text("_CMDLINE").starts_with("sudo 60"), "{}", entry.text("_CMDLINE"));
    assert_eq!((entry.text("_UID"), entry.text("_TRANSPORT")), (id.clone(), "journal".into()));
}

#[test]
fn invented_values_leave_the_labels_of_others_alone() {
    let journald = or_skip!(Journald::start());
    let flood = |field: &'static str| -> Value {
        let entry =
            |n| serde_json::json!({"MESSAGE": "flood", field: format!("{n}"), "PRIORITY": format!("{n}")});
        (0..5000).map(entry).collect()
    };
    send(&journald, EVE, SESSION, "one", &flood("SYSLOG_IDENTIFIER"));
    send(&journald, EVE, "/user.slice/user-12345.slice/session-5.scope", "one", &flood("APP"));
    let honest: Value = (0..200)
        .map(|n| serde_json::json!({"MESSAGE": "honest", "PRIORITY": "4", "SYSLOG_IDENTIFIER": format!("p{n}")}))
        .collect();
    send(&journald, 0, "/system.slice/nginx.service", "one", &honest);
    send(&journald, 33, "/", "one", &honest);

    // The default labels.
    let defaults = records(&journald, "");
    let levels: BTreeSet<_> =
        defaults.iter().map(|record| record["labels"]["level"].as_str().unwrap_or_default()).collect();
    assert!(levels.len() <= 9, "{levels:?}");
    assert!(defaults.iter().all(|record| record["labels"]["overflow"].is_null()));

    // A label that senders choose, as people have it. Behind a stage, too.
    let app = "labels: {fields: {app: [APP, SYSLOG_IDENTIFIER], unit: _SYSTEMD_UNIT, level: PRIORITY}}\n";
    for config in [app.to_owned(), format!("{app}stages: [{{decolorize: {{}}}}]\nretention: {{}}\n")] {
        let records = records(&journald, &config);
        let of = |line: &str| records.iter().filter(|record| record["line"] == line).collect::<Vec<_>>();
        let folded =
            |records: &[&Value]| records.iter().filter(|r| r["labels"]["overflow"] == "true").count();
        let (floods, honest) = (of("flood"), of("honest"));
        assert_eq!((floods.len(), honest.len()), (10_000, 400));
        assert_eq!(folded(&honest), 0, "{config}");
        assert!(honest.iter().all(|record| record["labels"]["level"] == "warning"));
        assert_eq!(honest.iter().filter(|r| r["labels"]["unit"] == "nginx.service").count(), 200);
        // One person in two sessions has one share: half of 4936, some of it with both fields' values.
        assert!(folded(&floods) >= 7000, "{}", folded(&floods));
    }
}
