//! docs/fleet.md and docs/start.md on a whole host: what they show for Debian is done as it stands there.

use std::fs;

use crate::support::agent::PROGRAM;
use crate::support::host::Host;
use crate::support::journald::wait_until;
use crate::support::{Unavailable, or_skip};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const REMOTE: &str = "/var/log/journal/remote";

/// The scripts of a document, for a server that is this host itself.
fn scripts(document: &str) -> Vec<String> {
    let document = fs::read_to_string(format!("{ROOT}/docs/{document}")).unwrap();
    let mut scripts = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        let Some(indent) = line.strip_suffix("```sh") else { continue };
        let script: Vec<&str> = lines
            .by_ref()
            .take_while(|line| !line.trim_start().starts_with("```"))
            .map(|line| line.strip_prefix(indent).unwrap_or(line))
            .collect();
        scripts.push(script.join("\n").replace("100.64.0.1", "127.0.0.1"));
    }
    scripts
}

/// A host with the program, its unit and an empty folder for the configuration.
fn boot() -> Result<Host, Unavailable> {
    let host = Host::boot("monitor")?;
    fs::copy(PROGRAM, host.shared("journal-ship")).unwrap();
    host.ok(&["install", "-m", "755", "/shared/journal-ship", "/usr/bin/journal-ship"]);
    let unit = fs::read_to_string(format!("{ROOT}/config/journal-ship.service")).unwrap();
    host.write("/etc/systemd/system/journal-ship.service", &unit);
    host.ok(&["mkdir", "-p", "/etc/journal-ship"]);
    Ok(host)
}

/// Grafana is not here: what it would read and ask is.
#[test]
fn grafana_asks_the_agent_as_the_first_steps_say() {
    let _lock = crate::together();
    let host = or_skip!(boot());
    let scripts = scripts("start.md");
    let [agent, grafana] = scripts.as_slice() else { panic!("{scripts:?}") };
    host.ok(&["sh", "-euc", agent]);
    assert_eq!(host.property("journal-ship", "ActiveState"), "active");
    host.ok(&["groupadd", "--system", "grafana"]);
    let unit = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n";
    host.write("/etc/systemd/system/grafana-server.service", unit);
    let folder = "/etc/grafana/provisioning";
    host.ok(&[
        "sh",
        "-c",
        &format!("mkdir -p {folder}/datasources {folder}/dashboards; systemctl daemon-reload"),
    ]);
    host.ok(&["sh", "-euc", grafana]);

    let source = format!("{folder}/datasources/journal-ship.yaml");
    assert_eq!(host.ok(&["stat", "--format=%a %U %G", &source]).trim(), "640 root grafana");
    let source = host.ok(&["cat", &source]);
    let of = |key: &str| {
        let (_, value) = source.split_once(&format!("{key}: ")).unwrap_or_else(|| panic!("{key}: {source}"));
        value.split(['\n', '}']).next().unwrap().trim_matches('"').to_owned()
    };
    let (user, password) = (of("basicAuthUser"), of("basicAuthPassword"));
    host.ok(&["systemd-run", "--wait", "--unit", "web", "echo", "from a service"]);
    let ask = |password: &str| {
        let url = format!("{}/loki/api/v1/query_range", of("url"));
        let credentials = format!("{user}:{password}");
        let query = "query={unit=\"web.service\"}";
        let ask = ["curl", "-sG", "-u", &credentials, &url, "--data-urlencode", query];
        String::from_utf8_lossy(&host.run(&ask).stdout).into_owned()
    };
    wait_until("Grafana gets the line", || ask(&password).contains("from a service"));
    assert!(!ask("guessed").contains("from a service"));
}

#[test]
fn a_fleet_is_set_up_on_debian_as_the_document_says() {
    let _lock = crate::together();
    let host = or_skip!(boot());
    let scripts = scripts("fleet.md");
    let [server, upload, vacuum] = scripts.as_slice() else { panic!("{scripts:?}") };
    host.ok(&["sh", "-euc", server]);
    assert!(host.ok(&["journal-ship", "check"]).contains("no destination: nothing is shipped"));
    host.ok(&["sh", "-euc", upload]);
    host.ok(&["systemd-run", "--wait", "--unit", "web", "echo", "from a service"]);

    // What was gathered, and only that, through the agent.
    host.ok(&["sed", "-i", "s,paths: .*,paths: [/var/log/journal/remote],", "/etc/journal-ship/config.yaml"]);
    host.ok(&["systemctl", "restart", "journal-ship"]);
    let ask = "curl -sG --unix-socket /run/journal-ship/query.sock http://localhost/loki/api/v1/query_range \
               --data-urlencode 'query={host=\"monitor\", unit=\"web.service\"}'";
    wait_until("what was written is gathered", || {
        String::from_utf8_lossy(&host.run(&["sh", "-c", ask]).stdout).contains("from a service")
    });
    let labels = host.ok(&["journal-ship", "labels", "host", "--path", REMOTE]);
    assert!(labels.contains("monitor"), "{labels}");
    let log = host.ok(&["journalctl", "--no-pager", "-o", "cat", "-u", "journal-ship"]);
    assert!(!log.to_lowercase().contains("permission denied"), "{log}");
    // A stranger reads nothing of it.
    let stranger = ["runuser", "-u", "nobody", "--", "sh", "-c", "cat /var/log/journal/remote/*"];
    assert!(!host.run(&stranger).status.success());

    // The server goes away, the uploader ends, and both come back.
    host.ok(&["systemctl", "stop", "systemd-journal-remote.socket", "systemd-journal-remote.service"]);
    host.ok(&["systemd-run", "--wait", "--unit", "while-away", "echo", "while away"]);
    let restarts = || host.property("systemd-journal-upload", "NRestarts");
    wait_until("the uploader ends", || restarts() != "0");
    host.ok(&["systemctl", "start", "systemd-journal-remote.socket"]);
    let ask = ask.replace("web.service", "while-away.service");
    wait_until("what was written meanwhile comes", || {
        String::from_utf8_lossy(&host.run(&["sh", "-c", &ask]).stdout).contains("while away")
    });

    host.ok(&["sh", "-euc", vacuum]);
    host.ok(&["systemctl", "start", "journal-remote-vacuum.service"]);
    assert_eq!(host.property("journal-remote-vacuum.timer", "ActiveState"), "active");
}
