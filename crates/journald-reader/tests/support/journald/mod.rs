//! A real systemd-journald of the test's own, in a box of namespaces, that dies with its guard.
//!
//! journald has its own machine id, boot id, host name, sockets and folders; any number run side by side.
//! The journal it writes is an ordinary folder outside ([`Journald::dir`]), which is what the agent reads;
//! senders and `journalctl` run inside ([`Journald::run`]), in cgroups named like units if the test wants
//! `_SYSTEMD_UNIT`. Needs root; where it cannot run, [`Journald::start`] says why.

mod bulk;
mod inside;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use super::Unavailable;
use super::fixtures::{ExportedEntry, parse_export};
pub use bulk::{Bulk, Transport};
pub use inside::Inside;

/// How long a part of the box may take to come up or to end before the test fails: far more than the 0.1 s
/// it takes, because many tests share few cores.
pub const BOX_SECONDS_MAX: u64 = 30;

fn support(file: &str) -> String {
    super::root().join("crates/journald-reader/tests/support/journald").join(file).display().to_string()
}
const JOURNALD: &str = "/lib/systemd/systemd-journald";
/// Where real journald runs; its own entries carry the unit of that name.
const JOURNALD_CGROUP: &str = "/system.slice/systemd-journald.service";

/// Rate limits, forwarding and free-space rules would make a test depend on the machine.
const BASE_CONF: &str = "[Journal]\nStorage=auto\nReadKMsg=no\nAudit=\nRateLimitIntervalSec=0\n\
    ForwardToWall=no\nForwardToSyslog=no\nForwardToConsole=no\nSystemKeepFree=1M\nRuntimeKeepFree=1M\n";

/// How the box is to be; see [`Journald::builder`].
#[derive(Debug, Clone)]
pub struct Builder {
    drop_ins: Vec<String>,
    hostname: String,
    env: Vec<(String, String)>,
    volatile: bool,
}

impl Builder {
    /// Lines for `[Journal]` of journald.conf(5), such as `SystemMaxFileSize=512K`; later ones win.
    pub fn drop_in(mut self, lines: &str) -> Self {
        self.drop_ins.push(lines.to_owned());
        self
    }

    /// `_HOSTNAME` of every entry; `testhost` otherwise.
    pub fn hostname(mut self, name: &str) -> Self {
        name.clone_into(&mut self.hostname);
        self
    }

    /// A variable of journald's environment, such as `SYSTEMD_JOURNAL_COMPACT`.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts as in early boot: entries go to [`Journald::run_dir`] until [`Journald::flush`].
    pub fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// Builds the box and waits until journald listens. `Err` where the machine cannot do it; anything
    /// else that fails is a bug and panics.
    pub fn start(self) -> Result<Journald, Unavailable> {
        if !rustix::process::geteuid().is_root() {
            return Err(Unavailable("a private systemd-journald needs root".to_owned()));
        }
        for program in [
            JOURNALD,
            "/usr/bin/nsenter",
            "/usr/bin/unshare",
            "/usr/bin/setpriv",
            "/usr/bin/python3",
            "/etc/machine-id",
        ] {
            if !Path::new(program).exists() {
                return Err(Unavailable(format!("{program} is missing")));
            }
        }
        let home =
            tempfile::Builder::new().prefix("journal-ship-test-").tempdir().expect("a temporary folder");
        let at = |name: &str| home.path().join(name);
        for name in ["log", "run/journal", "run/journald.conf.d", "dev", "cgroup"] {
            std::fs::create_dir_all(at(name)).unwrap();
        }
        let machine_id = random_id().replace('-', "");
        std::fs::write(at("machine-id"), format!("{machine_id}\n")).unwrap();
        std::fs::write(at("boot-id"), format!("{}\n", random_id())).unwrap();
        std::fs::create_dir(at("log").join(&machine_id)).unwrap();
        std::fs::write(at("run/journald.conf.d/10-test.conf"), BASE_CONF).unwrap();
        for (i, lines) in self.drop_ins.iter().enumerate() {
            let name = format!("run/journald.conf.d/{}-test.conf", 20 + i);
            std::fs::write(at(&name), format!("[Journal]\n{lines}\n")).unwrap();
        }
        if !self.volatile {
            std::fs::write(at("run/journal/flushed"), "").unwrap();
        }

        let mut holder = Command::new("unshare")
            .args(["--mount", "sh", &support("box.sh"), "host"])
            .env("BOX", home.path())
            .env("BOX_HOSTNAME", &self.hostname)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(at("box.stderr")).unwrap())
            .spawn()
            .expect("unshare starts");
        let mut answer = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut answer).expect("the box answers");
        let mut it = Journald {
            keep_alive: holder.stdin.take(),
            holder,
            init: 0,
            machine_id,
            env: self.env,
            daemon: None,
            sender: Mutex::new(None),
            home,
        };
        match answer.trim().split_once(' ') {
            Some(("ready", pid)) => it.init = pid.parse().expect("the pid of the box"),
            _ => {
                let stderr = std::fs::read_to_string(it.home.path().join("box.stderr")).unwrap_or_default();
                let why = answer.trim().trim_start_matches("unavailable ").to_owned();
                return Err(Unavailable(format!("no box for journald: {why} {stderr}")));
            }
        }
        it.start_daemon();
        Ok(it)
    }
}

/// A running journald and the box around it. Dropping it ends every process in the box and removes its files.
#[derive(Debug)]
pub struct Journald {
    /// The box lives while this pipe is open.
    keep_alive: Option<ChildStdin>,
    /// The process outside that owns the box and removes its cgroups.
    holder: Child,
    /// PID 1 of the box, as seen from outside.
    init: u32,
    machine_id: String,
    env: Vec<(String, String)>,
    daemon: Option<Inside>,
    sender: Mutex<Option<Inside>>,
    home: TempDir,
}

impl Journald {
    /// A persistent journal on defaults.
    pub fn start() -> Result<Self, Unavailable> {
        Self::builder().start()
    }

    pub fn builder() -> Builder {
        Builder { drop_ins: Vec::new(), hostname: "testhost".to_owned(), env: Vec::new(), volatile: false }
    }

    /// What is `/var/log/journal` inside: the folder that holds `<machine id>/`.
    pub fn dir(&self) -> PathBuf {
        self.home.path().join("log")
    }

    /// What is `/run/log/journal` inside; absent unless [`Builder::volatile`]. It is a tmpfs of the box's
    /// own, as on a real machine (journald refuses to flush from a disk), so the way in is the box's root.
    pub fn run_dir(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root/run/log/journal", self.init))
    }

    /// The folder journald writes to: `dir()/<machine id>`.
    pub fn files_dir(&self) -> PathBuf {
        self.dir().join(&self.machine_id)
    }

    pub fn machine_id(&self) -> &str {
        &self.machine_id
    }

    /// The journal files there are, active and archived, sorted by name.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(self.files_dir()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    /// A command that will run inside, in cgroup `/`; for stdin, stdout and environment of the test's choice.
    pub fn command<S: AsRef<OsStr>>(&self, argv: &[S]) -> Command {
        inside::command(self.init, "/", argv)
    }

    /// As [`Journald::command`], in the cgroup of `unit` (`web.service`): its entries get `_SYSTEMD_UNIT`,
    /// and journald's rate limit applies to them.
    pub fn command_as<S: AsRef<OsStr>>(&self, unit: &str, argv: &[S]) -> Command {
        inside::command(self.init, &format!("/system.slice/{unit}"), argv)
    }

    /// Runs a command inside to its end; any exit status is returned.
    pub fn run<S: AsRef<OsStr>>(&self, argv: &[S]) -> Output {
        self.command(argv).stdin(Stdio::null()).output().expect("nsenter starts")
    }

    /// Runs a command inside, in the cgroup of `unit`.
    pub fn as_unit<S: AsRef<OsStr>>(&self, unit: &str, argv: &[S]) -> Output {
        self.command_as(unit, argv).stdin(Stdio::null()).output().expect("nsenter starts")
    }

    /// Starts a command inside; it is killed when the guard is dropped.
    pub fn spawn<S: AsRef<OsStr>>(&self, argv: &[S]) -> Inside {
        Inside::spawn(self.command(argv).stdin(Stdio::null()))
    }

    /// Starts a command inside with the network of `starter`, a command that enters it.
    pub fn spawn_in<S: AsRef<OsStr>>(&self, starter: &[String], argv: &[S]) -> Inside {
        let inside = self.command(argv);
        let mut command = Command::new(&starter[0]);
        command.args(&starter[1..]).arg(inside.get_program()).args(inside.get_args());
        for (name, value) in inside.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        Inside::spawn(command.current_dir("/").stdin(Stdio::null()))
    }

    /// journalctl inside: this journal and no other. Panics when it fails.
    pub fn journalctl(&self, args: &[&str]) -> Vec<u8> {
        let mut argv = vec!["journalctl", "--no-pager", "--quiet"];
        argv.extend(args);
        succeeded(&argv, self.run(&argv))
    }

    /// Every entry, in journalctl's order, all fields whole: what a reader has to find.
    pub fn entries(&self) -> Vec<ExportedEntry> {
        parse_export(&self.journalctl(&["--all", "--output=export"]))
    }

    /// Returns when all that was sent before is in the journal.
    pub fn sync(&self) {
        self.journalctl(&["--sync"]);
    }

    /// Archives the active file and begins a new one.
    pub fn rotate(&self) {
        self.journalctl(&["--rotate"]);
    }

    /// Moves a volatile journal to disk, as systemd-journal-flush.service does at boot.
    pub fn flush(&self) {
        self.journalctl(&["--flush"]);
    }

    /// Sends one entry through the native socket and waits until journald has it in its queue; fields may
    /// repeat, be empty, binary or large (past 100 kB it goes through a memfd).
    pub fn send_native(&self, fields: &[(&str, &[u8])]) {
        let mut payload = Vec::new();
        for (name, value) in fields {
            payload.extend(name.as_bytes());
            if value.contains(&b'\n') {
                payload.push(b'\n');
                payload.extend((value.len() as u64).to_le_bytes());
            } else {
                payload.push(b'=');
            }
            payload.extend(*value);
            payload.push(b'\n');
        }
        let mut sender = self.sender.lock().unwrap();
        let sender = sender.get_or_insert_with(|| {
            let argv = ["python3", &support("send.py"), "serve"];
            Inside::spawn(self.command(&argv).stdin(Stdio::piped()).stdout(Stdio::piped()))
        });
        sender.ask(&payload);
    }

    /// Sends many entries and waits until they are in the journal.
    pub fn send(&self, bulk: &Bulk) {
        let argv = bulk.argv();
        succeeded(&argv, bulk.command(self).output().expect("nsenter starts"));
        self.sync();
    }

    /// Begins to send many entries.
    pub fn spawn_bulk(&self, bulk: &Bulk) -> Inside {
        Inside::spawn(&mut bulk.command(self))
    }

    /// Ends journald as a shutdown does: the active file is left offline.
    pub fn stop(&mut self) {
        self.end_daemon(Signal::TERM);
    }

    /// Ends journald as a crash does. If it wrote since its last [`Journald::sync`] the active file is left
    /// online, and the next start renames it `.journal~`.
    pub fn kill(&mut self) {
        self.end_daemon(Signal::KILL);
    }

    /// Starts journald after [`Journald::stop`] or [`Journald::kill`].
    pub fn start_again(&mut self) {
        assert!(self.daemon.is_none(), "journald is running");
        self.start_daemon();
    }

    /// Stops journald and starts it under a new boot id. The monotonic clock goes on, unlike at a real boot.
    pub fn reboot(&mut self) {
        if self.daemon.is_some() {
            self.stop();
        }
        // In place: the file is bound over /proc/sys/kernel/random/boot_id.
        std::fs::write(self.home.path().join("boot-id"), format!("{}\n", random_id())).unwrap();
        self.start_daemon();
    }

    /// Sends journald a signal: `STOP` and `CONT` make it hang for a while.
    pub fn signal(&self, signal: Signal) {
        self.daemon.as_ref().expect("journald runs").signal(signal);
    }

    /// Starts a second journald for a journal namespace, `systemd-journald NAMESPACE`; its files are in
    /// `dir()/<machine id>.NAMESPACE`, its sockets in `/run/systemd/journal.NAMESPACE`.
    pub fn start_namespace(&self, namespace: &str) -> Inside {
        let run = self.home.path().join(format!("run/journal.{namespace}"));
        std::fs::create_dir_all(&run).unwrap();
        std::fs::create_dir_all(self.dir().join(format!("{}.{namespace}", self.machine_id))).unwrap();
        std::fs::write(run.join("flushed"), "").unwrap();
        let conf = self.home.path().join(format!("run/journald@{namespace}.conf.d"));
        std::fs::create_dir_all(&conf).unwrap();
        std::fs::write(conf.join("10-test.conf"), BASE_CONF).unwrap();
        let mut command = self.daemon_command(&format!("systemd-journald@{namespace}.service"), &[namespace]);
        let mut daemon = Inside::spawn(&mut command);
        self.wait_for(&mut daemon, &run, &["journalctl", &format!("--namespace={namespace}"), "--sync"]);
        daemon
    }

    fn daemon_command(&self, unit: &str, args: &[&str]) -> Command {
        // Without these capabilities it can neither switch nor record the machine's own audit messages.
        let mut argv = vec!["setpriv", "--bounding-set=-audit_control,-audit_read", JOURNALD];
        argv.extend(args);
        let mut command = inside::command(self.init, &format!("/system.slice/{unit}"), &argv);
        let log =
            std::fs::File::options().create(true).append(true).open(self.home.path().join("journald.stderr"));
        command.stdin(Stdio::null()).stderr(log.unwrap());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    fn start_daemon(&mut self) {
        let run = self.home.path().join("run/journal");
        let unit = Path::new(JOURNALD_CGROUP).file_name().and_then(OsStr::to_str).unwrap();
        let mut daemon = Inside::spawn(&mut self.daemon_command(unit, &[]));
        self.wait_for(&mut daemon, &run, &["systemd-cat", "true"]);
        self.daemon = Some(daemon);
    }

    /// Waits until journald answers. Which of its sockets it opens last depends on its version, and a probe
    /// must come from inside: at a client whose pid it cannot see it stops to accept any.
    fn wait_for(&self, daemon: &mut Inside, run: &Path, probe: &[&str]) {
        wait_until("journald listens", || {
            let log = self.home.path().join("journald.stderr");
            assert!(!daemon.ended(), "journald ended: {}", std::fs::read_to_string(log).unwrap());
            run.join("io.systemd.journal").exists() && self.run(probe).status.success()
        });
    }

    fn end_daemon(&mut self, signal: Signal) {
        let mut daemon = self.daemon.take().expect("journald runs");
        daemon.signal(signal);
        daemon.wait();
        // A dead daemon's socket must not be taken for the next one's.
        std::fs::remove_file(self.home.path().join("run/journal/io.systemd.journal")).unwrap();
    }
}

impl Drop for Journald {
    fn drop(&mut self) {
        // First, because a stopped one would hold up the end of the box.
        self.daemon = None;
        self.sender = Mutex::new(None);
        drop(self.keep_alive.take());
        let deadline = Instant::now() + Duration::from_secs(BOX_SECONDS_MAX);
        while matches!(self.holder.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                if let Some(init) = rustix::process::Pid::from_raw(self.init.cast_signed()) {
                    let _ = rustix::process::kill_process(init, Signal::KILL);
                }
                let _ = self.holder.wait();
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Polls a condition that no event announces; panics after [`BOX_SECONDS_MAX`].
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(BOX_SECONDS_MAX);
    while !condition() {
        assert!(Instant::now() < deadline, "not within {BOX_SECONDS_MAX} s: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn succeeded<S: std::fmt::Debug>(argv: &[S], output: Output) -> Vec<u8> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{argv:?}: {}: {stderr}", output.status);
    output.stdout
}

fn random_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap().trim().to_owned()
}
