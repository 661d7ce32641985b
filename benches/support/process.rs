//! One program, run to its end, and what it cost: the processor time of all its threads and its peak
//! resident memory, as the kernel accounts them.
//!
//! Source: proc_pid_stat(5), proc_pid_status(5). A process that has ended keeps its times readable until
//! it is waited for, so they include its very last instruction.

use std::fs;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::Error;

/// Unit of the times in `/proc/PID/stat`: Linux shows a hundredth of a second on every architecture that
/// runs systemd and Rust, whatever its own tick is.
const TICK: Duration = Duration::from_millis(10);
/// A program that is waited for is looked at again after a fiftieth of the time that it has run, so its time is known to 2 %: but not
/// sooner and not later than this. The kernel keeps the peak of its memory, so only a peak in the last moment before the end can be
/// missed.
const SAMPLE: [Duration; 2] = [Duration::from_micros(200), Duration::from_millis(10)];
const SAMPLE_SHARE: u32 = 50;

/// A program under measurement. It is killed when this is dropped before its end.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    started: Instant,
    usage: Usage,
}

/// What a program cost.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Usage {
    /// From its start until it was last looked at.
    pub(crate) wall: Duration,
    /// User and system time of all threads.
    pub(crate) cpu: Duration,
    /// Peak resident memory, in bytes.
    pub(crate) peak_bytes: u64,
}

impl Process {
    /// Starts `command`.
    pub(crate) fn start(command: &mut Command) -> Result<Self, Error> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().map_err(|error| format!("{name}: {error}"))?;
        Ok(Self { name, child, started: Instant::now(), usage: Usage::default() })
    }

    /// Looks at the program: what it has cost so far, or nothing when it has ended.
    pub(crate) fn sample(&mut self) -> Result<Option<Usage>, Error> {
        let folder = format!("/proc/{}", self.child.id());
        let stat = fs::read_to_string(format!("{folder}/stat"))?;
        // The second field is the program's name in parentheses, and may itself hold spaces and ")".
        let rest = stat.rsplit_once(") ").map(|(_, rest)| rest).ok_or("/proc/PID/stat has no name")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<u32>().ok());
        let (state, user, system) = match (fields.first(), ticks(11), ticks(12)) {
            (Some(state), Some(user), Some(system)) => (*state, user, system),
            _ => return Err(format!("{folder}/stat: cannot make out {stat:?}").into()),
        };
        self.usage.cpu = TICK * (user + system);
        self.usage.wall = self.started.elapsed();
        let status = fs::read_to_string(format!("{folder}/status"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        if let Some(kibibytes) = peak.and_then(|text| text.parse::<u64>().ok()) {
            self.usage.peak_bytes = kibibytes * 1024;
        }
        Ok((state != "Z").then_some(self.usage))
    }

    /// What it was started as.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks the program to end.
    pub(crate) fn terminate(&self) -> Result<(), Error> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::TERM)?)
    }

    /// Waits for the program's own end, at most `patience`.
    pub(crate) fn finish(mut self, patience: Duration) -> Result<(Usage, ExitStatus), Error> {
        let deadline = Instant::now() + patience;
        while self.sample()?.is_some() {
            if Instant::now() > deadline {
                return Err(format!("{} is still running after {patience:?}", self.name).into());
            }
            let [soonest, latest] = SAMPLE;
            std::thread::sleep((self.usage.wall / SAMPLE_SHARE).clamp(soonest, latest));
        }
        let status = self.child.wait()?;
        Ok((self.usage, status))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both do nothing when it has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
