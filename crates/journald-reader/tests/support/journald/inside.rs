//! A process inside a box: entered with nsenter(1), known by its pid outside.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus};

use rustix::process::{Pid, Signal, kill_process};

use super::wait_until;

/// Joins the box's cgroup tree, then becomes the command. The cgroup namespace is left as it is: from
/// inside it, a move across its border is refused where cgroup2 is mounted with nsdelegate.
const ENTER: &str = r#"C=/sys/fs/cgroup$0; mkdir -p "$C" && echo 0 >"$C/cgroup.procs" && exec "$@""#;

pub(super) fn command<S: AsRef<OsStr>>(init: u32, cgroup: &str, argv: &[S]) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--target", &init.to_string(), "--mount", "--uts", "--ipc", "--pid", "--"]);
    command.args(["sh", "-c", ENTER, cgroup]).args(argv);
    command.current_dir("/").env("TZ", "UTC").env("LC_ALL", "C.UTF-8").env("SYSTEMD_COLORS", "0");
    command
}

/// A running process; dropping it kills it.
#[derive(Debug)]
pub struct Inside {
    /// nsenter, which waits for the process and passes its status on.
    nsenter: Child,
    pid: Option<Pid>,
    talk: Option<(ChildStdin, BufReader<ChildStdout>)>,
}

impl Inside {
    pub(super) fn spawn(command: &mut Command) -> Self {
        let mut nsenter = command.spawn().expect("nsenter starts");
        let children = format!("/proc/{0}/task/{0}/children", nsenter.id());
        let mut pid = None;
        wait_until("the process is inside", || {
            let list = std::fs::read_to_string(&children).unwrap_or_default();
            pid = list.split_whitespace().next().and_then(|pid| Pid::from_raw(pid.parse().ok()?));
            pid.is_some() || matches!(nsenter.try_wait(), Ok(Some(_)))
        });
        let talk = nsenter.stdin.take().zip(nsenter.stdout.take().map(BufReader::new));
        Self { nsenter, pid, talk }
    }

    /// Sends a signal to the process itself, unless it has ended.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid {
            let _ = kill_process(pid, signal);
        }
        // nsenter stops when its child does, and could then not see it end.
        if matches!(signal, Signal::CONT | Signal::KILL) {
            let _ = kill_process(Pid::from_child(&self.nsenter), Signal::CONT);
        }
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> bool {
        let ended = matches!(self.nsenter.try_wait(), Ok(Some(_)));
        if ended {
            self.pid = None; // the number may be another's from now on
        }
        ended
    }

    /// Waits for its end; a process ended by a signal shows as status 128 + signal or as that signal.
    pub fn wait(&mut self) -> ExitStatus {
        let status = self.nsenter.wait().expect("nsenter can be waited for");
        self.pid = None;
        status
    }

    /// One frame in, one line back: the protocol of `send.py serve`.
    pub(super) fn ask(&mut self, payload: &[u8]) {
        let (stdin, stdout) = self.talk.as_mut().expect("spawned with pipes");
        stdin.write_all(&u32::try_from(payload.len()).unwrap().to_le_bytes()).unwrap();
        stdin.write_all(payload).unwrap();
        let mut answer = String::new();
        stdout.read_line(&mut answer).unwrap();
        assert_eq!(answer, "ok\n", "the sender ended");
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if !self.ended() {
            self.signal(Signal::KILL);
            let _ = self.nsenter.wait();
        }
    }
}
