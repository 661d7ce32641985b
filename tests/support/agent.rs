//! The built program: started with a configuration in a folder of its own, and ended with its guard.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::fixtures::ExportedEntry;
use super::loki::Stored;

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The built binary.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_journal-ship");

/// The program with arguments, in a clean environment.
pub fn program<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Command {
    let mut command = Command::new(PROGRAM);
    clean_environment(command.args(args)).env("TZ", "UTC").stdin(Stdio::null());
    command
}

/// Names the file for the counts of lines, in a run that measures coverage.
pub const COUNTS: &str = "LLVM_PROFILE_FILE";

/// Takes all of the environment away but [`COUNTS`].
pub fn clean_environment(command: &mut Command) -> &mut Command {
    command.env_clear().envs(std::env::var_os(COUNTS).map(|file| (COUNTS, file)))
}

/// Runs the program to its end.
pub fn output<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Output {
    program(args).output().expect("the program starts")
}

/// A folder with a configuration and state, and the agent that uses them, running or not.
pub struct Agent {
    pub home: tempfile::TempDir,
    /// Environment variables that it starts with.
    pub environment: Vec<(&'static str, &'static str)>,
    /// A program that starts it, as nsenter(1), with its arguments; it becomes the agent.
    pub starter: Vec<String>,
    child: Option<Child>,
}

impl Agent {
    /// Writes a configuration that reads `journal` and pushes to `url`; `more` are further lines of it.
    pub fn new(journal: &Path, url: &str, more: &str) -> Agent {
        let home = tempfile::tempdir().unwrap();
        let config = format!(
            "journal: {{paths: [{:?}], backfill: 50y}}\nloki:\n  - url: {url}\n    \
             batch: {{max_wait: 50ms}}\n    backoff: {{min: 10ms, max: 200ms}}\n\
             state_directory: {:?}\nhttp: {{listen: null}}\n{more}\n",
            journal,
            home.path().join("state")
        );
        fs::write(home.path().join("config.yaml"), config).unwrap();
        Agent { home, environment: Vec::new(), starter: Vec::new(), child: None }
    }

    pub fn config(&self) -> PathBuf {
        self.home.path().join("config.yaml")
    }

    /// What the agent has written to standard error, over all its starts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    pub fn checkpoint(&self) -> serde_json::Value {
        let text = fs::read(self.home.path().join("state/main.json")).expect("a checkpoint");
        serde_json::from_slice(&text).expect("JSON")
    }

    pub fn start(&mut self) {
        assert!(self.child.is_none(), "the agent runs");
        let log = fs::File::options().create(true).append(true).open(self.home.path().join("log")).unwrap();
        let config = self.config();
        let mut command = match self.starter.split_first() {
            None => program::<&str>(&[]),
            Some((starter, arguments)) => {
                let mut command = Command::new(starter);
                clean_environment(command.args(arguments).arg(PROGRAM)).stdin(Stdio::null());
                command
            }
        };
        command.arg("--config").arg(config);
        let child = command.envs(self.environment.iter().copied()).stderr(log).spawn().unwrap();
        self.child = Some(child);
    }

    /// Sends a signal and waits for the end.
    pub fn end(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        let mut child = self.child.take().expect("the agent runs");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                panic!("the agent did not end; its log:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("the agent runs");
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// Writes the configuration anew, with one text in place of another.
    pub fn reconfigure(&self, from: &str, to: &str) {
        let config = fs::read_to_string(self.config()).unwrap();
        assert!(config.contains(from), "{from} is not in\n{config}");
        fs::write(self.config(), config.replace(from, to)).unwrap();
    }

    /// SIGTERM, and a good end.
    pub fn stop(&mut self) {
        let status = self.end(Signal::TERM);
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the agent runs").id()
    }

    /// Peak resident memory (KiB).
    pub fn peak_kib(&self) -> u64 {
        peak_kib_of(self.pid()).unwrap()
    }
}

/// Peak resident memory of a process (KiB); `None` when it is gone.
pub fn peak_kib_of(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// An entry as Loki has to have it: microsecond, labels, metadata, line.
pub type Expected = (u64, BTreeMap<String, String>, BTreeMap<String, String>, String);

/// Labels and the fields that they come from.
pub type Mapping<'m> = &'m [(&'m str, &'m [&'m str])];

/// The default of `labels.fields`.
pub const DEFAULT_FIELDS: Mapping<'static> = &[
    ("host", &["_HOSTNAME"]),
    ("level", &["PRIORITY"]),
    ("unit", &["_SYSTEMD_UNIT"]),
    ("user_unit", &["_SYSTEMD_USER_UNIT"]),
    ("service_name", &["_SYSTEMD_UNIT", "_TRANSPORT"]),
];

/// What becomes of an entry under the default labels and metadata, written anew from the documentation.
pub fn expected(entry: &ExportedEntry) -> Expected {
    expected_with(entry, DEFAULT_FIELDS)
}

/// As [`expected`], with these labels from fields.
pub fn expected_with(entry: &ExportedEntry, fields: Mapping<'_>) -> Expected {
    const LEVELS: [&str; 8] = ["emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"];
    let value = |name: &&str| match *name {
        "PRIORITY" => {
            let digit = ["0", "1", "2", "3", "4", "5", "6", "7"].iter().position(|d| *d == entry.text(name));
            digit.map_or_else(String::new, |digit| LEVELS[digit].to_owned())
        }
        name => entry.text(name),
    };
    let named = |pairs: Mapping<'_>| -> BTreeMap<String, String> {
        let first = |names: &[&str]| names.iter().map(value).find(|value| !value.is_empty());
        pairs.iter().filter_map(|(name, fields)| Some(((*name).to_owned(), first(fields)?))).collect()
    };
    let mut labels = named(fields);
    labels.insert("job".into(), "systemd-journal".into());
    let metadata = named(&[("pid", &["_PID"]), ("identifier", &["SYSLOG_IDENTIFIER"])]);
    (entry.realtime, labels, metadata, entry.text("MESSAGE"))
}

/// Fails unless the double holds exactly these entries, each once, in order per stream.
pub fn assert_arrived(entries: &[ExportedEntry], stored: &[Stored]) {
    let mut want: Vec<Expected> = entries.iter().map(expected).collect();
    let mut got: Vec<Expected> = stored
        .iter()
        .map(|s| {
            let metadata = s.metadata.iter().cloned().collect();
            ((s.timestamp_ns / 1000) as u64, (*s.labels).clone(), metadata, s.line.clone())
        })
        .collect();
    want.sort();
    got.sort();
    for (want, got) in want.iter().zip(&got) {
        assert_eq!(got, want, "the first entry that differs ({} arrived)", stored.len());
    }
    assert_eq!(got.len(), want.len(), "entries that arrived, and entries of the journal");

    let mut newest: BTreeMap<&BTreeMap<String, String>, i64> = BTreeMap::new();
    let mut sorted: Vec<&Stored> = stored.iter().collect();
    sorted.sort_by_key(|s| s.arrival);
    for entry in sorted {
        let last = newest.insert(&entry.labels, entry.timestamp_ns);
        assert!(last.is_none_or(|last| last < entry.timestamp_ns), "out of order or equal: {entry:?}");
    }
}
