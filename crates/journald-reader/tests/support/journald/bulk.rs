//! Many entries from a seed: plain, multi-line, not UTF-8, long, binary, and bursts of identical ones.

use std::process::{Command, Stdio};

use super::{Journald, support};

/// Which of journald's sockets an entry comes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// The native socket: any field, any bytes. `_TRANSPORT=journal`.
    Native,
    /// A service's standard output: one entry a line. `_TRANSPORT=stdout`.
    Stream,
    /// `/dev/log`: one entry a datagram, which may hold several lines. `_TRANSPORT=syslog`.
    Syslog,
}

/// What to send; the same seed sends the same entries. See `send.py` for their shapes.
#[derive(Debug, Clone)]
pub struct Bulk {
    transport: Transport,
    entries: u64,
    seed: u64,
    unit: Option<String>,
    per_second: Option<u32>,
}

impl Bulk {
    pub fn new(transport: Transport, entries: u64, seed: u64) -> Self {
        Self { transport, entries, seed, unit: None, per_second: None }
    }

    /// Sends from the cgroup of this unit, such as `web.service`.
    pub fn unit(mut self, unit: &str) -> Self {
        self.unit = Some(unit.to_owned());
        self
    }

    /// Sends at this pace instead of as fast as journald takes them (about 50,000 a second).
    pub fn per_second(mut self, entries: u32) -> Self {
        self.per_second = Some(entries);
        self
    }

    pub(super) fn argv(&self) -> Vec<String> {
        let kind = match self.transport {
            Transport::Native => "native",
            Transport::Stream => "stream",
            Transport::Syslog => "syslog",
        };
        let mut argv = vec!["python3".to_owned(), support("send.py"), kind.to_owned()];
        argv.extend([self.entries.to_string(), self.seed.to_string()]);
        argv.extend(self.per_second.map(|rate| rate.to_string()));
        argv
    }

    pub(super) fn command(&self, journald: &Journald) -> Command {
        let argv = self.argv();
        let mut command = match &self.unit {
            Some(unit) => journald.command_as(unit, &argv),
            None => journald.command(&argv),
        };
        command.stdin(Stdio::null());
        command
    }
}
