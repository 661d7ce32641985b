//! The unit, and what the built program tells systemd.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::agent::{Agent, PATIENCE, PROGRAM};
use crate::support::journald::{Bulk, Journald, Transport};
use crate::support::loki::{Answer, Loki};
use crate::support::{Unavailable, or_skip};

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config");
/// Exposure that `systemd-analyze security` may find, in tenths.
const EXPOSURE_MAX: u32 = 12;

fn analyze(args: &[&str]) -> Result<(bool, String), Unavailable> {
    let out = Command::new("systemd-analyze")
        .args(args)
        .output()
        .map_err(|error| Unavailable(format!("systemd-analyze: {error}")))?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    Ok((out.status.success(), text))
}

#[test]
fn the_units_are_right_and_have_no_right_that_they_do_not_need() {
    let home = tempfile::tempdir().unwrap();
    // Memory is taken back before the program is ended, nothing goes to swap or into a core, and the host comes first.
    let memory = ["MemoryHigh=192M", "MemoryMax=256M", "MemorySwapMax=0", "LimitCORE=0"];
    for (name, weight) in [("journal-ship", "CPUWeight=25"), ("journal-ship-verify", "CPUWeight=10")] {
        // The program is not installed here.
        let unit = fs::read_to_string(format!("{CONFIG}/{name}.service"))
            .unwrap()
            .replace("ExecStart=/usr/bin/journal-ship", &format!("ExecStart={PROGRAM}"));
        assert!(unit.contains(PROGRAM));
        for line in memory.iter().chain([&weight]) {
            assert!(unit.lines().any(|other| other == *line), "{name}: {line}");
        }
        let path = home.path().join(format!("{name}.service"));
        fs::write(&path, unit).unwrap();
        let path = path.to_str().unwrap();
        let (_, text) = or_skip!(analyze(&["verify", "--man=no", path]));
        let about_it: Vec<_> = text.lines().filter(|line| line.contains("journal-ship")).collect();
        assert!(about_it.is_empty(), "{about_it:?}");
        let threshold = format!("--threshold={EXPOSURE_MAX}");
        let (fine, text) = or_skip!(analyze(&["security", "--offline=true", &threshold, path]));
        assert!(fine, "{text}");
    }
    let timer = home.path().join("journal-ship-verify.timer");
    fs::copy(format!("{CONFIG}/journal-ship-verify.timer"), &timer).unwrap();
    let (fine, text) = or_skip!(analyze(&["verify", "--man=no", timer.to_str().unwrap()]));
    assert!(fine && !text.contains("journal-ship-verify.timer"), "{text}");
}

#[test]
fn everything_is_installed_and_a_configuration_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let install = |systemd: &str| {
        let mut command = Command::new("make");
        command.current_dir(env!("CARGO_MANIFEST_DIR")).arg("install").arg("PREFIX=/usr");
        command.arg(format!("SYSTEMD={systemd}"));
        command.arg(format!("BINARY={PROGRAM}")).arg(format!("DESTDIR={}", home.path().display())).output()
    };
    let out = or_skip!(install("252").map_err(|error| Unavailable(format!("make: {error}"))));
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let read = |name: &str| {
        fs::read_to_string(home.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    for (name, part) in [
        ("usr/lib/systemd/system/journal-ship.service", "ExecStart=/usr/bin/journal-ship\n"),
        (
            "usr/lib/systemd/system/journal-ship-verify.service",
            "ExecStart=/usr/bin/journal-ship verify --allow-twice\n",
        ),
        ("usr/lib/systemd/system/journal-ship-verify.timer", "OnCalendar="),
        ("etc/journal-ship/config.yaml", "$schema=/usr/share/journal-ship/config.schema.json\n"),
        ("usr/share/journal-ship/rules/host.yaml", "groups:"),
        ("usr/share/journal-ship/recipes/unit-instances.yaml", "relabel_configs:"),
        ("usr/share/doc/journal-ship/docs/rules.md", "# Alert rules"),
        ("usr/share/man/man8/journal-ship.8", ".TH \"JOURNAL\\-SHIP\" \"8\""),
        ("usr/share/man/man5/journal-ship.yaml.5", ".TH \"JOURNAL\\-SHIP.YAML\" \"5\""),
        ("usr/share/journal-ship/config.schema.json", "json-schema.org"),
        ("usr/share/bash-completion/completions/journal-ship", "--dry-run"),
        ("usr/share/zsh/site-functions/_journal-ship", "#compdef journal-ship"),
        ("usr/share/fish/vendor_completions.d/journal-ship.fish", "complete -c journal-ship"),
    ] {
        assert!(read(name).contains(part), "no {part:?} in {name}");
    }
    let binary = home.path().join("usr/bin/journal-ship");
    let config = home.path().join("etc/journal-ship/config.yaml");
    let checked = Command::new(&binary).arg("check").arg("--config").arg(&config).output().unwrap();
    assert!(checked.status.success(), "what is installed is valid: {checked:?}");
    fs::write(&config, "loki: [{url: http://mine}]\n").unwrap();
    let notifies = || {
        let unit = read("usr/lib/systemd/system/journal-ship.service");
        let lines = unit.lines().filter(|line| line.starts_with("Type=") || line.starts_with("ExecReload="));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(notifies(), ["Type=notify", "ExecReload=/bin/sh -c 'kill -HUP $MAINPID'"]);
    assert!(install("253").unwrap().status.success());
    assert_eq!(read("etc/journal-ship/config.yaml"), "loki: [{url: http://mine}]\n");
    assert_eq!(notifies(), ["Type=notify-reload"]);
}

/// The messages of the program to its manager.
struct Messages(UnixDatagram);

impl Messages {
    fn listen(path: &Path) -> Messages {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        Messages(socket)
    }

    /// Those that came until now are of no interest.
    fn forget(&self) {
        self.0.set_nonblocking(true).unwrap();
        while self.0.recv(&mut [0; 4096]).is_ok() {}
        self.0.set_nonblocking(false).unwrap();
    }

    /// Waits for one that has this in it.
    fn wait_for(&self, part: &str, agent: &Agent) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut last = String::new();
        let mut buffer = [0; 4096];
        while Instant::now() < deadline {
            let Ok(length) = self.0.recv(&mut buffer) else { continue };
            let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if message.contains(part) {
                return message;
            }
            last = message;
        }
        panic!("no {part:?}, the last was {last:?}\n{}", agent.log());
    }
}

#[test]
fn systemd_is_told_of_readiness_reload_life_and_stop() {
    let journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    let mut agent = Agent::new(&journald.dir(), &loki.url(), "");
    let socket = agent.home.path().join("notify");
    let messages = Messages::listen(&socket);
    // It lives as long as the test.
    let socket: &'static str = Box::leak(socket.to_str().unwrap().to_owned().into_boxed_str());
    agent.environment = vec![("NOTIFY_SOCKET", socket), ("WATCHDOG_USEC", "200000")];
    journald.send(&Bulk::new(Transport::Native, 100, 1));
    agent.start();
    let ready = messages.wait_for("READY=1", &agent);
    assert!(ready.contains("STATUS=0 entries acknowledged"), "{ready}");
    // Life, with how far it is.
    messages.wait_for("; main up to 20", &agent);
    let before = Instant::now();
    for _ in 0..5 {
        messages.wait_for("WATCHDOG=1", &agent);
    }
    assert!(before.elapsed() >= Duration::from_millis(300), "{:?}", before.elapsed());
    // An outage is a reason to wait, not to die.
    loki.refuse_connections(true);
    journald.send(&Bulk::new(Transport::Native, 100, 2));
    let message = messages.wait_for("; loki main: retrying: ", &agent);
    assert!(message.contains("STATUS=10") && message.contains("; main up to 20"), "{message}");
    let message = messages.wait_for("WATCHDOG=1", &agent);
    assert!(message.contains("s behind; loki main: retrying: "), "{message}");
    loki.refuse_connections(false);
    loki.wait_for(|state| state.stored().len() >= 200, PATIENCE).unwrap();
    messages.forget();
    let told = messages.wait_for("WATCHDOG=1\nSTATUS=20", &agent);
    assert!(!told.contains("behind"), "{told}");
    // And so is an answer that is long in coming.
    loki.answer_next(1, Answer::Stall(Duration::from_secs(6)));
    journald.send(&Bulk::new(Transport::Native, 100, 3));
    let waits = || loki.received_requests().last().is_some_and(|request| request.status.is_none());
    loki.wait_for(|state| state.pending_answers() == 0, PATIENCE).unwrap();
    messages.forget();
    for _ in 0..4 {
        messages.wait_for("WATCHDOG=1", &agent);
    }
    assert!(waits(), "it has answered already");
    agent.reconfigure("{max_wait: 50ms}", "{max_wait: 60ms}");
    agent.signal(Signal::HUP);
    assert!(messages.wait_for("RELOADING=1", &agent).contains("MONOTONIC_USEC="));
    messages.wait_for("READY=1", &agent);
    agent.signal(Signal::TERM);
    messages.wait_for("STOPPING=1", &agent);
    agent.end(Signal::TERM);
}

#[test]
fn a_start_that_fails_tells_why() {
    let home = tempfile::tempdir().unwrap();
    let loki = Loki::start();
    let mut agent = Agent::new(&home.path().join("no-journal-here"), &loki.url(), "");
    let socket = agent.home.path().join("notify");
    let messages = Messages::listen(&socket);
    let socket: &'static str = Box::leak(socket.to_str().unwrap().to_owned().into_boxed_str());
    agent.environment = vec![("NOTIFY_SOCKET", socket)];
    agent.start();
    let told = messages.wait_for("STATUS=", &agent);
    assert!(told.contains("no-journal-here") && !told.contains("READY"), "{told}");
    assert_eq!(agent.end(Signal::CONT).code(), Some(1));
}
