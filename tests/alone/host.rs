//! The package on a whole host: real systemd starts the unit with all its hardening, and what real services write arrives.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::support::agent::assert_arrived;
use crate::support::alertmanager::Alertmanager;
use crate::support::host::{Host, OUTSIDE};
use crate::support::journald::wait_until;
use crate::support::loki::Loki;
use crate::support::package::Packages;
use crate::support::{Unavailable, or_skip};

const UNIT: &str = "journal-ship.service";
/// What a stop may take.
const STOP_MAX: Duration = Duration::from_secs(5);

/// Debian's package of the program that is tested, built once.
fn package() -> Result<&'static Path, Unavailable> {
    static PACKAGE: OnceLock<Result<(Packages, PathBuf), Unavailable>> = OnceLock::new();
    let build = || {
        let packages = Packages::new();
        packages.deb().map(|deb| (packages, deb))
    };
    PACKAGE.get_or_init(build).as_ref().map(|(_, deb)| deb.as_path()).map_err(Clone::clone)
}

/// A host with the package installed as a person would.
fn installed(hostname: &str) -> Result<Host, Unavailable> {
    let package = package()?;
    let host = Host::boot(hostname)?;
    fs::copy(package, host.shared("journal-ship.deb")).unwrap();
    host.ok(&["dpkg", "--install", "/shared/journal-ship.deb"]);
    Ok(host)
}

/// Lets the host reach a Loki and says so in its configuration.
fn configure(host: &Host, more: &str) {
    let config = format!(
        "loki:\n  - url: http://{OUTSIDE}:3100\n    batch: {{max_wait: 50ms}}\n    backoff: {{min: 10ms, max: 200ms}}\n{more}\n"
    );
    host.write("/etc/journal-ship/config.yaml", &config);
}

fn port(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").parse().unwrap()
}

/// Everything in the journal of the host has arrived, each entry once and as it has to be.
fn assert_all_arrived(host: &Host, loki: &Loki) {
    wait_until("as many entries arrived as there are", || {
        loki.stored().len() >= host.entries().len() // each look writes nothing
    });
    assert_arrived(&host.entries(), &loki.stored());
}

fn main_pid(host: &Host) -> String {
    host.property(UNIT, "MainPID")
}

/// The last words of the agent in its journal.
fn said(host: &Host, part: &str) -> bool {
    host.ok(&["journalctl", "--no-pager", "--unit", UNIT]).contains(part)
}

#[test]
fn installed_it_ships_alerts_reloads_and_is_watched() {
    let _lock = crate::together();
    let host = or_skip!(installed("web1"));
    let alertmanager = or_skip!(Alertmanager::start(None));
    let loki = Loki::builder().ignore_age(true).start();
    host.serve(3100, port(&loki.url()));
    host.serve(9093, SocketAddr::from(([127, 0, 0, 1], alertmanager.port)));
    // At once, with the configuration that came with it.
    assert_eq!(host.property(UNIT, "ActiveState"), "active");
    assert_eq!(host.property(UNIT, "UnitFileState"), "enabled");
    // The service reads its configuration, and no stranger does.
    let access = host.ok(&["stat", "--format=%a %U %G", "/etc/journal-ship/config.yaml"]);
    assert_eq!(access.trim(), "640 root systemd-journal");
    let first = main_pid(&host);

    // A reload takes the true configuration.
    let rules = "groups: [{name: g, interval: 1s, rules: [{alert: Boom, \
                 expr: 'sum by (unit) (count_over_time({job=\"systemd-journal\"} |= \"boom\" [1h])) > 0'}]}]\n";
    host.write("/etc/journal-ship/rules/own.yaml", rules);
    let alerts = format!(
        "alerts: {{rule_files: ['/etc/journal-ship/rules/*.yaml'], alertmanagers: [{{url: 'http://{OUTSIDE}:9093'}}]}}"
    );
    configure(&host, &alerts);
    host.ok(&["systemctl", "reload", UNIT]);
    wait_until("entries arrive", || !loki.stored().is_empty());
    assert_eq!(main_pid(&host), first, "a reload is no restart");

    // Services of all kinds: as root, as a user made for the moment, apart in namespaces.
    host.ok(&["systemd-run", "--wait", "--unit", "plain", "echo", "from a service"]);
    let apart = ["-p", "DynamicUser=yes", "-p", "PrivateUsers=yes", "-p", "ProtectSystem=strict"];
    let mut command = vec!["systemd-run", "--wait", "--unit", "apart"];
    command.extend(apart);
    command.extend(["sh", "-c", "echo apart; echo boom"]);
    host.ok(&command);
    assert_all_arrived(&host, &loki);
    wait_until("the alert is there", || alertmanager.alert("Boom", &[("unit", "apart.service")]).is_some());
    assert_eq!(alertmanager.alert("Boom", &[]).unwrap()["labels"]["host"], "web1");

    // A configuration with a mistake is not taken, and the old one goes on.
    configure(&host, "lables: {}");
    host.ok(&["systemctl", "reload", UNIT]);
    wait_until("the log says so", || said(&host, "unknown key `lables`"));
    configure(&host, &alerts);
    host.ok(&["systemd-run", "--wait", "echo", "still there"]);
    assert_all_arrived(&host, &loki);

    // Of a stopped process systemd hears nothing.
    host.write(
        "/etc/systemd/system/journal-ship.service.d/watch.conf",
        "[Service]\nWatchdogSec=1s\nRestartSec=100ms\n",
    );
    host.ok(&["systemctl", "daemon-reload"]);
    host.ok(&["systemctl", "restart", UNIT]);
    let watched = main_pid(&host);
    host.ok(&["sh", "-c", &format!("kill -STOP {watched}")]);
    host.ok(&["systemd-run", "--wait", "echo", "while it hangs"]);
    wait_until("systemd starts it anew", || {
        host.property(UNIT, "ActiveState") == "active" && ![&watched, "0"].contains(&&*main_pid(&host))
    });
    assert_eq!(host.property(UNIT, "NRestarts"), "1");
    assert_all_arrived(&host, &loki);
    // And one that is healthy is left alone, for longer than systemd waits for the one that hangs.
    let micros = |property: &str| host.property(UNIT, property).parse::<u64>().unwrap();
    wait_until("it has lived for three times as long", || {
        micros("WatchdogTimestampMonotonic") > micros("ActiveEnterTimestampMonotonic") + 3_000_000
    });
    assert_eq!(host.property(UNIT, "NRestarts"), "1");

    // A stop in the middle of work.
    host.ok(&[
        "systemd-run",
        "--unit",
        "busy",
        "sh",
        "-c",
        "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo line $i; done",
    ]);
    wait_until("it is at work", || loki.stored().iter().any(|stored| stored.line == "line 500"));
    let begun = Instant::now();
    host.ok(&["systemctl", "stop", UNIT]);
    assert!(begun.elapsed() < STOP_MAX, "{:?}", begun.elapsed());
    assert_eq!(host.property(UNIT, "Result"), "success");
    wait_until("the writer ends", || host.property("busy.service", "ActiveState") != "active");
    host.ok(&["systemctl", "start", UNIT]);
    assert_all_arrived(&host, &loki);

    // Gone without a trace.
    host.ok(&["dpkg", "--purge", "journal-ship"]);
    assert_eq!(host.property(UNIT, "LoadState"), "not-found");
    for path in ["/usr/bin/journal-ship", "/etc/journal-ship/config.yaml", "/var/lib/private/journal-ship"] {
        assert!(!host.run(&["test", "-e", path]).status.success(), "{path} is still there");
    }
}

#[test]
fn after_a_reboot_it_catches_up_once_there_is_a_network() {
    let _lock = crate::together();
    let host = or_skip!(installed("db1"));
    let loki = Loki::builder().ignore_age(true).start();
    loki.refuse_connections(true);
    host.serve(3100, port(&loki.url()));
    configure(&host, "");
    host.ok(&["systemctl", "restart", UNIT]);
    host.ok(&["systemd-run", "--wait", "echo", "before the reboot"]);
    host.ok(&["systemctl", "disable", "network.service"]);
    host.ok(&["rm", "-f", "/etc/systemd/system/multi-user.target.wants/network.service"]);
    host.reboot();
    assert_eq!(host.property(UNIT, "ActiveState"), "active", "{}", host.console());
    assert_eq!(host.property("network.service", "ActiveState"), "inactive");
    wait_until("it waits for Loki", || host.property(UNIT, "StatusText").contains("loki main: retrying: "));
    loki.refuse_connections(false);
    assert_eq!(loki.stored().len(), 0);
    host.ok(&["systemctl", "start", "network.service"]);
    assert_all_arrived(&host, &loki);
    assert_eq!(loki.stored().iter().filter(|stored| stored.line == "before the reboot").count(), 1);
    let boots: BTreeSet<u128> = host.entries().iter().map(|entry| entry.boot_id).collect();
    assert_eq!(boots.len(), 2);
}

/// The journal answers a member of its group, and nobody else. The agent lives on: its filter of system calls lets a query have
/// a lower priority.
fn assert_queries_are_for_the_group(host: &Host) {
    const SOCKET: &str = "/run/journal-ship/query.sock";
    const ASK: &str = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); \
        s.sendall(b'GET /loki/api/v1/label/unit/values HTTP/1.0\\r\\n\\r\\n'); print(s.makefile().read())";
    let before = host.property(UNIT, "MainPID");
    host.ok(&["useradd", "--groups", "systemd-journal", "member"]);
    host.ok(&["useradd", "stranger"]);
    let ask = |user: &str| {
        let out = host.run(&["runuser", "-u", user, "--", "/usr/bin/python3", "-c", ASK, SOCKET]);
        String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
    };
    let answer = ask("member");
    assert!(answer.contains("\"init.scope\""), "{answer}");
    let answer = ask("stranger");
    assert!(answer.contains("PermissionError"), "{answer}");
    assert_eq!(host.ok(&["stat", "--format", "%A %G", SOCKET]).trim(), "srw-rw---- systemd-journal");
    assert_eq!(host.property(UNIT, "MainPID"), before);
}

#[test]
fn what_it_may_not_have_it_says_and_what_it_has_others_may_not() {
    let _lock = crate::together();
    let host = or_skip!(installed("nas"));
    let loki = Loki::builder().ignore_age(true).start();
    host.serve(3100, port(&loki.url()));

    // A credential that only root can read.
    host.write("/root/password", "correct horse\n");
    host.ok(&["chmod", "400", "/root/password"]);
    host.write(
        "/etc/systemd/system/journal-ship.service.d/secret.conf",
        "[Service]\nLoadCredential=loki:/root/password\nRestartSec=100ms\n",
    );
    let authorized = "basic_auth: {username: nas, password_file: '${CREDENTIALS_DIRECTORY}/loki'}";
    configure(&host, &format!("    {authorized}"));
    host.ok(&["systemctl", "daemon-reload"]);
    host.ok(&["systemctl", "restart", UNIT]);
    assert_all_arrived(&host, &loki);
    // base64 of "nas:correct horse"
    assert_eq!(
        loki.received_requests().last().unwrap().header("authorization"),
        "Basic bmFzOmNvcnJlY3QgaG9yc2U="
    );
    let nobody = |command: &str| host.run(&["runuser", "-u", "nobody", "--", "sh", "-c", command]);
    for path in [
        "/run/credentials/journal-ship.service/loki",
        "/var/lib/private/journal-ship/main.json",
        "/root/password",
    ] {
        assert!(host.run(&["test", "-e", path]).status.success(), "{path} is there");
        assert!(!nobody(&format!("cat {path}")).status.success(), "{path} is open to everyone");
    }
    for place in
        ["journalctl --no-pager", "systemctl show journal-ship", "cat /proc/$(pidof journal-ship)/environ"]
    {
        assert!(!host.ok(&["sh", "-c", place]).contains("correct horse"), "{place}");
    }

    assert_queries_are_for_the_group(&host);

    // A person without rights is told what to do, and can look at the configuration.
    let out = nobody("journal-ship --dry-run -n 3");
    let errors = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(1), "{errors}");
    assert!(errors.contains("usermod -aG systemd-journal"), "{errors}");
    let out = nobody("journal-ship check");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    // With them: what is shown is what was shipped, in spite of the credential that only the service has.
    let shown = host.ok(&["journal-ship", "--dry-run", "-n", "3", "-o", "json"]);
    assert_eq!(shown.lines().count(), 3);

    // Without the group the start fails, and says why in one line.
    host.write("/etc/systemd/system/journal-ship.service.d/group.conf", "[Service]\nGroup=\nRestart=no\n");
    host.ok(&["systemctl", "daemon-reload"]);
    assert!(!host.run(&["systemctl", "restart", UNIT]).status.success());
    assert_eq!(host.property(UNIT, "Result"), "exit-code");
    let log = host.ok(&["journalctl", "--no-pager", "--output=cat", "--unit", UNIT, "--priority", "err"]);
    let reasons: Vec<&str> = log.lines().filter(|line| line.contains("permission denied")).collect();
    assert_eq!(reasons.len(), 1, "{log}");
    assert!(reasons[0].contains("SupplementaryGroups=systemd-journal"), "{}", reasons[0]);
    let status = String::from_utf8_lossy(&host.run(&["systemctl", "status", UNIT]).stdout).into_owned();
    assert!(status.contains("permission denied"), "{status}");

    // An invalid configuration is not tried again.
    host.ok(&["rm", "/etc/systemd/system/journal-ship.service.d/group.conf"]);
    host.ok(&["systemctl", "daemon-reload"]);
    configure(&host, "lables: {}");
    assert!(!host.run(&["systemctl", "restart", UNIT]).status.success());
    assert_eq!(host.property(UNIT, "ExecMainStatus"), "78");
    assert_eq!(host.property(UNIT, "ActiveState"), "failed");
    assert_eq!(host.property(UNIT, "NRestarts"), "0");
}

/// A unit of its own compares, with the user of the agent's and its state, and takes neither from it.
#[test]
fn each_day_is_compared_beside_the_agent() {
    const VERIFY: &str = "journal-ship-verify.service";
    let _lock = crate::together();
    let host = or_skip!(installed("oak"));
    let loki = Loki::builder().ignore_age(true).start();
    host.serve(3100, port(&loki.url()));
    configure(&host, "");
    assert_eq!(host.property("journal-ship-verify.timer", "UnitFileState"), "disabled");
    // Yesterday there was no such host.
    host.write(
        &format!("/etc/systemd/system/{VERIFY}.d/today.conf"),
        "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=\nExecStart=/usr/bin/journal-ship verify --since today\n",
    );
    host.ok(&["systemctl", "daemon-reload"]);
    host.ok(&["systemctl", "restart", UNIT]);
    assert_all_arrived(&host, &loki);
    let agent = main_pid(&host);
    let compared = |host: &Host| {
        let started = host.run(&["systemctl", "start", VERIFY]).status.success();
        (started, host.ok(&["journalctl", "--no-pager", "--output=cat", "--unit", VERIFY]))
    };
    let (started, said) = compared(&host);
    assert!(started && said.contains(": all there"), "{said}");
    let state = "/var/lib/private/journal-ship/main.json";
    let owner = host.ok(&["stat", "--format=%U", &format!("/proc/{agent}")]);
    assert_eq!(host.ok(&["stat", "--format=%U", state]), owner);

    loki.swallow(|_, _, line| line == "a lost line");
    host.ok(&["systemd-run", "--wait", "--unit", "loser", "echo", "a lost line"]);
    host.ok(&["systemd-run", "--wait", "--unit", "winner", "echo", "another line"]);
    wait_until("it was sent", || loki.stored().iter().any(|stored| stored.line == "another line"));
    loki.swallow(|_, _, _| false);
    // The checkpoint follows what was acknowledged.
    wait_until("it is found", || compared(&host).1.contains("1 entry is missing from loki `main`"));
    assert_eq!(host.property(VERIFY, "ExecMainStatus"), "1");
    host.ok(&["journal-ship", "verify", "--since", "today", "--repair", "--yes"]);
    assert_eq!(loki.stored().iter().filter(|stored| stored.line == "a lost line").count(), 1);
    let (started, said) = compared(&host);
    assert!(started, "{said}");
    assert_eq!(main_pid(&host), agent);
    assert_all_arrived(&host, &loki);
}
