//! A whole host of the test's own: real systemd as PID 1, real journald, packages installed as a person would.
//!
//! It is this machine's root under an overlay that is thrown away, so what the tests install for themselves is there. A boot
//! takes two seconds. [`Host::serve`] lets it reach a server of the test, and nothing else.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::Unavailable;
use super::fixtures::{ExportedEntry, parse_export};
use super::journald::wait_until;

/// Where the host finds the servers of the test.
pub const OUTSIDE: &str = "10.77.0.1";
const SUPPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/host");

/// A running host; dropping it ends every process of it.
pub struct Host {
    home: tempfile::TempDir,
    /// The host lives while this pipe is open.
    keep_alive: Option<ChildStdin>,
    holder: Child,
    /// The box around it, as seen from outside.
    outer: u32,
}

impl Host {
    /// Boots it, and waits until it has booted.
    pub fn boot(hostname: &str) -> Result<Host, Unavailable> {
        if !rustix::process::geteuid().is_root() {
            return Err(Unavailable("a host of its own needs root".to_owned()));
        }
        for program in ["/usr/bin/systemd-nspawn", "/usr/bin/nsenter", "/usr/bin/unshare", "/usr/sbin/ip"] {
            if !Path::new(program).exists() {
                return Err(Unavailable(format!("{program} is missing")));
            }
        }
        let home = tempfile::Builder::new().prefix("journal-ship-host-").tempdir().unwrap();
        for name in ["cgroup", "shared"] {
            fs::create_dir(home.path().join(name)).unwrap();
        }
        let mut holder = Command::new("unshare")
            .args(["--mount", "sh", &format!("{SUPPORT}/box.sh"), "host"])
            .env("BOX", home.path())
            .env("BOX_HOSTNAME", hostname)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(home.path().join("box.stderr")).unwrap())
            .spawn()
            .expect("unshare starts");
        let mut answer = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut answer).unwrap();
        let mut host = Host { keep_alive: holder.stdin.take(), holder, outer: 0, home };
        match answer.trim().split_once(' ') {
            Some(("ready", pid)) => host.outer = pid.parse().unwrap(),
            _ => {
                let errors = fs::read_to_string(host.home.path().join("box.stderr")).unwrap_or_default();
                return Err(Unavailable(format!("no host can be booted: {} {errors}", answer.trim())));
            }
        }
        host.wait_for_boot();
        Ok(host)
    }

    fn wait_for_boot(&self) {
        let booted = || {
            let Some(out) = self.try_run(&["systemctl", "is-system-running"]) else { return false };
            matches!(String::from_utf8_lossy(&out.stdout).trim(), "running" | "degraded")
        };
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while !booted() {
            assert!(std::time::Instant::now() < deadline, "no boot: {}", self.console());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What systemd-nspawn and the console said.
    pub fn console(&self) -> String {
        fs::read_to_string(self.home.path().join("console.log")).unwrap_or_default()
    }

    /// PID 1, as seen from outside.
    fn init(&self) -> Option<u32> {
        let mut below = children(self.outer);
        below.extend(below.clone().into_iter().flat_map(children));
        let nspawn = below.into_iter().find(|pid| name(*pid) == "systemd-nspawn")?;
        // Between them stands a process for a moment.
        let mut candidates = children(nspawn);
        candidates.extend(candidates.clone().into_iter().flat_map(children));
        candidates.into_iter().find(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
            numbers.split_whitespace().next_back() == Some("1") && name(*pid) == "systemd"
        })
    }

    fn try_run(&self, argv: &[&str]) -> Option<Output> {
        let init = self.init()?;
        let mut command = Command::new("nsenter");
        command.args(["--target", &init.to_string(), "--mount", "--uts", "--ipc", "--pid", "--net", "--"]);
        // A process of no unit would be in a cgroup that is not the host's.
        let enter =
            "mkdir -p /sys/fs/cgroup/visitor && echo 0 >/sys/fs/cgroup/visitor/cgroup.procs && exec \"$@\"";
        command.args(["sh", "-c", enter, "sh"]).args(argv).current_dir("/").stdin(Stdio::null());
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC");
        command.output().ok()
    }

    /// Runs a command on it, as root; any exit status is returned.
    pub fn run(&self, argv: &[&str]) -> Output {
        self.try_run(argv).unwrap_or_else(|| panic!("the host is not up: {}", self.console()))
    }

    /// As [`Host::run`], and it succeeds: what it said.
    pub fn ok(&self, argv: &[&str]) -> String {
        let out = self.run(argv);
        let errors = String::from_utf8_lossy(&out.stderr);
        if !out.status.success() {
            let log = self.run(&["journalctl", "--no-pager", "--lines", "30"]).stdout;
            let (said, log) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&log));
            panic!("{argv:?}: {}\n{errors}{said}\nits journal:\n{log}", out.status);
        }
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// Writes a file on it.
    pub fn write(&self, path: &str, text: &str) {
        let shared = self.shared("written");
        fs::write(&shared, text).unwrap();
        self.ok(&["install", "-D", "-m", "644", "/shared/written", path]);
    }

    /// A path that is `/shared/NAME` there.
    pub fn shared(&self, name: &str) -> PathBuf {
        self.home.path().join("shared").join(name)
    }

    /// A property of a unit, as `systemctl show` has it.
    pub fn property(&self, unit: &str, property: &str) -> String {
        self.ok(&["systemctl", "show", "--value", "--property", property, unit]).trim().to_owned()
    }

    /// Every entry of its journal.
    pub fn entries(&self) -> Vec<ExportedEntry> {
        self.ok(&["journalctl", "--sync"]);
        let out = self.run(&["journalctl", "--no-pager", "--quiet", "--all", "--output=export"]);
        assert!(out.status.success());
        parse_export(&out.stdout)
    }

    /// Reboots it, and waits until it has booted.
    pub fn reboot(&self) {
        let before = self.init();
        let _ = self.try_run(&["systemctl", "reboot"]);
        wait_until("it goes down", || self.init() != before);
        self.wait_for_boot();
    }

    /// From now on `OUTSIDE:port` is a server of the test.
    pub fn serve(&self, port: u16, target: SocketAddr) {
        let netns = fs::File::open(format!("/proc/{}/ns/net", self.outer)).unwrap();
        let (sender, accepted) = std::sync::mpsc::channel();
        // A network namespace is a thread's: one thread listens there, another connects to the server from here.
        let there = std::thread::spawn(move || {
            move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            TcpListener::bind((OUTSIDE, port)).unwrap()
        });
        let listener = there.join().unwrap();
        // Both end with the process: nobody connects any more when the host has ended.
        std::thread::spawn(move || listener.incoming().flatten().try_for_each(|stream| sender.send(stream)));
        std::thread::spawn(move || {
            for stream in accepted {
                // Refused where the server refuses.
                if let Ok(server) = TcpStream::connect(target) {
                    pass(stream.try_clone().unwrap(), server.try_clone().unwrap());
                    pass(server, stream);
                }
            }
        });
    }
}

/// Passes on what comes, until it ends.
fn pass(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.keep_alive.take());
        let _ = self.holder.wait();
    }
}

fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn name(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}
