//! One machine for a small fleet: hosts upload their journals with the real systemd-journal-upload, the real
//! systemd-journal-remote gathers them, and an agent with no Loki answers and alerts over all of them.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::query_api::{Reply, escaped, exchange};
use crate::support::agent::Agent;
use crate::support::alertmanager::Alertmanager;
use crate::support::fixtures::{ExportEntry, write_export};
use crate::support::journald::{Bulk, Inside, Journald, Transport, wait_until};
use crate::support::network::{Cable, Network};
use crate::support::{Unavailable, or_skip};

const REMOTE: &str = "/lib/systemd/systemd-journal-remote";
const UPLOAD: &str = "/lib/systemd/systemd-journal-upload";
/// The port that systemd gives to journals (systemd-journal-remote.service(8)).
const PORT: u16 = 19532;
const RANGE: &str = "/loki/api/v1/query_range";

/// A program of the test's own; it is killed with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// systemd-journal-remote in a network of its own, and the folder that it writes to.
struct Gathering {
    network: Network,
    folder: tempfile::TempDir,
    _remote: Running,
}

impl Gathering {
    fn start() -> Result<Gathering, Unavailable> {
        for program in [REMOTE, UPLOAD] {
            if !Path::new(program).exists() {
                return Err(Unavailable(format!("{program} is missing (package systemd-journal-remote)")));
            }
        }
        let (network, folder) = (Network::new()?, tempfile::tempdir().unwrap());
        let starter = network.starter();
        let remote = Command::new(&starter[0])
            .args(&starter[1..])
            .args([REMOTE, "--split-mode=host", &format!("--listen-http={PORT}"), "--output"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pid = remote.id();
        let gathering = Gathering { network, folder, _remote: Running(remote) };
        let port = format!(":{PORT:04X} ");
        wait_until("it listens", || {
            let sockets = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/net/{file}"));
            ["tcp", "tcp6"].iter().any(|file| sockets(file).is_ok_and(|text| text.contains(&port)))
        });
        Ok(gathering)
    }

    fn files(&self) -> usize {
        std::fs::read_dir(self.folder.path()).unwrap().count()
    }
}

/// A host with a journal, and a network from which it uploads.
struct Host {
    journald: Journald,
    network: Network,
    cable: Cable,
}

impl Host {
    fn start(name: &str, gathering: &Gathering) -> Result<Host, Unavailable> {
        let journald = Journald::builder().hostname(name).start()?;
        let network = Network::new()?;
        let cable = network.join(Some(&gathering.network))?;
        Ok(Host { journald, network, cable })
    }

    /// systemd-journal-upload, which goes on where the last one stopped.
    fn upload(&self) -> Inside {
        let url = format!("--url=http://{}:{PORT}", self.cable.ends.0);
        self.journald.spawn_in(&self.network.starter(), &[UPLOAD, &url, "--save-state=/run/upload-state"])
    }

    /// Writes a line as a service, which goes on until the line is in the journal: journald looks up its unit then.
    fn write(&self, unit: &str, line: &str) {
        const WRITE: &str = r#"(echo "$0"; until journalctl -q --no-pager -o cat -t web | grep -qxF "$0"; do sleep 0.05; done) | systemd-cat -t web"#;
        assert!(self.journald.as_unit(unit, &["sh", "-c", WRITE, line]).status.success());
    }

    /// How many entries of a unit its own journal has.
    fn count(&self, unit: &str) -> u64 {
        self.journald.sync();
        self.journald.entries().iter().filter(|entry| entry.text("_SYSTEMD_UNIT") == unit).count() as u64
    }
}

/// An agent that ships nothing, and answers and alerts over the journals in a folder.
struct Asked {
    agent: Agent,
    socket: PathBuf,
}

impl Asked {
    /// `more` are further lines of its configuration.
    fn start(folder: &Path, more: &str) -> Asked {
        let mut agent = Agent::new(folder, "http://unused", "");
        let (socket, state) = (agent.home.path().join("q.sock"), agent.home.path().join("state"));
        let config = format!(
            "loki: []\njournal: {{paths: [{folder:?}]}}\nstate_directory: {state:?}\nhttp: {{listen: null}}\n\
             query: {{socket: {socket:?}}}\n{more}\n"
        );
        std::fs::write(agent.config(), config).unwrap();
        agent.start();
        wait_until("the socket is there", || socket.exists());
        Asked { agent, socket }
    }

    fn get(&self, target: &str) -> Value {
        let stream = std::os::unix::net::UnixStream::connect(&self.socket).unwrap();
        let Reply { status, body, .. } = exchange(stream, "GET", target, "", b"");
        assert_eq!(status, 200, "{target}: {body}\n{}", self.agent.log());
        serde_json::from_str(&body).unwrap()
    }

    /// The values of a query now, by host.
    fn values(&self, query: &str) -> BTreeMap<String, u64> {
        let answer = self.get(&format!("/loki/api/v1/query?query={}", escaped(query)));
        let one = |row: &Value| {
            let value: f64 = row["value"][1].as_str().unwrap().parse().unwrap();
            (row["metric"]["host"].as_str().unwrap_or_default().to_owned(), value as u64)
        };
        answer["data"]["result"].as_array().unwrap().iter().map(one).collect()
    }

    /// The lines of a query with their times, in the order of time.
    fn lines(&self, query: &str) -> Vec<(String, String)> {
        let target = format!("{RANGE}?query={}&limit=5000&direction=forward", escaped(query));
        let answer = self.get(&target);
        let streams = answer["data"]["result"].as_array().unwrap().iter();
        let values = streams.flat_map(|stream| stream["values"].as_array().unwrap());
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut lines: Vec<_> = values.map(|pair| (text(&pair[0]), text(&pair[1]))).collect();
        lines.sort();
        lines
    }
}

/// The section `alerts` with these rules.
fn alerts(home: &Path, server: &Alertmanager, rules: &[&str]) -> String {
    let file = home.join("rules.yaml");
    let rules: String = rules.iter().map(|rule| format!("      - {rule}\n")).collect();
    std::fs::write(&file, format!("groups:\n  - name: fleet\n    rules:\n{rules}")).unwrap();
    format!(
        "alerts: {{rule_files: [{file:?}], alertmanagers: [{{url: '{}'}}], evaluation_interval: 1s}}",
        server.url()
    )
}

const BOOM: &str =
    r#"{alert: Boom, expr: 'sum by (host) (count_over_time({unit="web.service"} |= "boom" [5m])) > 0'}"#;
const SEVERAL: &str = r#"{alert: SeveralHosts, expr: 'count(sum by (host) (count_over_time({unit="web.service"} |= "boom" [5m])) > 0) > 1'}"#;

#[test]
fn two_hosts_upload_to_a_third_that_answers_and_alerts() {
    let gathering = or_skip!(Gathering::start());
    let server = or_skip!(Alertmanager::start(None));
    let hosts = [or_skip!(Host::start("oak", &gathering)), or_skip!(Host::start("elm", &gathering))];
    let mut uploads: Vec<Inside> = hosts.iter().map(Host::upload).collect();
    let home = tempfile::tempdir().unwrap();
    let mut asked = Asked::start(gathering.folder.path(), &alerts(home.path(), &server, &[BOOM, SEVERAL]));

    // Both write while both files grow.
    let bulk = |seed| Bulk::new(Transport::Native, 3000, seed).unit("bulk.service").per_second(1500);
    let mut writers: Vec<Inside> =
        hosts.iter().zip(1..).map(|(host, seed)| host.journald.spawn_bulk(&bulk(seed))).collect();
    hosts[0].write("web.service", "boom on oak");
    wait_until("the first alert is told", || server.alert("Boom", &[("host", "oak")]).is_some());
    assert!(server.alert("Boom", &[("host", "elm")]).is_none());
    assert!(server.alert("SeveralHosts", &[]).is_none());
    for writer in &mut writers {
        assert!(writer.wait().success());
    }

    // One is cut off for a moment; what it writes meanwhile comes later.
    hosts[1].cable.plugged(false);
    hosts[1].write("web.service", "boom while cut off");
    hosts[1].cable.plugged(true);
    wait_until("the second alert is told", || {
        // Without a network it ends, and systemd starts it again (`Restart=`).
        if uploads[1].ended() {
            uploads[1] = hosts[1].upload();
        }
        server.alert("Boom", &[("host", "elm")]).is_some()
    });
    wait_until("and the one of the fleet", || server.alert("SeveralHosts", &[]).is_some());

    let named = ["oak", "elm"].into_iter().zip(&hosts);
    let expected: BTreeMap<String, u64> =
        named.map(|(name, host)| (name.to_owned(), host.count("bulk.service"))).collect();
    let query = r#"sum by (host) (count_over_time({unit="bulk.service"}[1h]))"#;
    let there =
        |values: &BTreeMap<String, u64>| values["oak"] == expected["oak"] && values["elm"] >= expected["elm"];
    wait_until("all of it is there", || there(&asked.values(query)));
    let names = asked.get("/loki/api/v1/label/host/values");
    assert_eq!(names["data"], serde_json::json!(["elm", "oak"]));
    // The host that was cut off may have sent an entry twice: what was not confirmed is sent again.
    let lines = |query: &str| {
        let mut lines: Vec<_> = asked.lines(query).into_iter().map(|(_, line)| line).collect();
        lines.dedup();
        lines
    };
    assert_eq!(lines(r#"{host="oak"} |= "boom""#), ["boom on oak"]);
    assert_eq!(lines(r#"{host="elm"} |= "boom""#), ["boom while cut off"]);
    assert_eq!(lines(r#"{unit="web.service"}"#), ["boom on oak", "boom while cut off"]);
    assert_eq!(gathering.files(), 2, "a file for each host");

    // It ends in the midst, and goes on: nothing is missing.
    let before = asked.values(query)["elm"];
    let mut writer = hosts[1].journald.spawn_bulk(&bulk(3));
    wait_until("it uploads", || asked.values(query)["elm"] > before + 500);
    uploads.pop();
    assert!(writer.wait().success());
    hosts[1].write("web.service", "last");
    uploads.push(hosts[1].upload());
    wait_until("the last line is there", || {
        !lines(r#"{host="elm", unit="web.service"} |= "last""#).is_empty()
    });
    let (of_host, of_journal) = (asked.values(query)["elm"], hosts[1].count("bulk.service"));
    assert!(of_host >= of_journal);
    println!("{of_journal} entries, and {} of them twice", of_host - of_journal);
    asked.agent.stop();
}

/// A journal of a host that grows as systemd-journal-remote writes it.
struct Growing {
    remote: Running,
}

impl Growing {
    fn start(folder: &Path, name: &str) -> Growing {
        let remote = Command::new(REMOTE)
            .arg("--output")
            .arg(folder.join(format!("remote-{name}.journal")))
            .arg("-")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Growing { remote: Running(remote) }
    }

    fn write(&mut self, entries: &[ExportEntry]) {
        write_export(self.remote.0.stdin.as_mut().unwrap(), entries).unwrap();
        self.remote.0.stdin.as_mut().unwrap().flush().unwrap();
    }
}

#[test]
fn tens_of_files_that_grow_by_turns_are_one_journal() {
    const HOSTS: usize = 30;
    const TURNS: usize = 40;
    if !Path::new(REMOTE).exists() {
        let why = Unavailable(format!("{REMOTE} is missing (package systemd-journal-remote)"));
        return crate::support::skipped("tens_of_files_that_grow_by_turns_are_one_journal", &why);
    }
    let server = or_skip!(Alertmanager::start(None));
    let folder = tempfile::tempdir().unwrap();
    let home = tempfile::tempdir().unwrap();
    let name = |host: usize| format!("host{host:02}");
    let mut files: Vec<Growing> = (0..HOSTS).map(|host| Growing::start(folder.path(), &name(host))).collect();
    let many = format!(
        r#"{{alert: All, expr: 'count(sum by (host) (count_over_time({{unit="web.service"}}[5m])) >= {TURNS}) == {HOSTS}'}}"#
    );
    let mut asked = Asked::start(folder.path(), &alerts(home.path(), &server, &[&many]));
    for turn in 0..TURNS {
        // Another host begins each turn; all write at about the same time.
        for step in 0..HOSTS {
            let host = (turn + step * 7) % HOSTS;
            let now = jiff::Timestamp::now().as_microsecond() as u64;
            let entry = ExportEntry::new(now)
                .boot(host as u128 + 1, now)
                .message(format!("{turn:02} {}", name(host)))
                .field("_HOSTNAME", name(host))
                .field("_SYSTEMD_UNIT", "web.service");
            files[host].write(&[entry]);
        }
    }
    wait_until("the rule has seen all of them", || server.alert("All", &[]).is_some());
    let counts = asked.values(r#"sum by (host) (count_over_time({unit="web.service"}[1h]))"#);
    let expected: BTreeMap<_, _> = (0..HOSTS).map(|host| (name(host), TURNS as u64)).collect();
    assert_eq!(counts, expected);
    // Each line once, and each host's in its order.
    let lines = asked.lines(r#"{unit="web.service"}"#);
    assert_eq!(lines.len(), HOSTS * TURNS);
    for host in 0..HOSTS {
        let of_host: Vec<_> = lines.iter().filter(|(_, line)| line.ends_with(&name(host))).collect();
        let in_order = (0..TURNS).map(|turn| format!("{turn:02} {}", name(host)));
        assert!(of_host.iter().map(|(_, line)| line).eq(in_order.collect::<Vec<_>>().iter()), "{of_host:?}");
    }
    asked.agent.stop();
}
