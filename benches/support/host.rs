//! The host whose journal it is: fifty units that log over two days and two boots, each entry with the fields that journald
//! itself gives it.

use std::fmt::Write as _;

use super::messages;
use super::random::Random;
use super::units::{KERNEL, Source, UNITS, Unit};

/// Time of the first entry: 2026-01-05 00:00:00 UTC, in microseconds.
pub(crate) const START: u64 = 1_767_571_200_000_000;
/// Time that the whole journal spans, in microseconds, near enough.
const SPAN: u64 = 2 * 86_400_000_000;
/// Share of entries that follow the one before within a burst, in per cent.
const BURST: u64 = 60;
/// Longest time between two entries of a burst, in microseconds.
const BURST_GAP: u64 = 400;
/// Entries of a unit between two restarts, on average.
const RESTART: u64 = 20_000;
/// Lines that a short-lived process writes, on average.
const SHORT_LIFE: u64 = 5;
const MACHINE_ID: &str = "8c2f0d9be5a94d5c9f7e2b6a1d3c4e5f";
const HOSTNAME: &str = "app-03.example.net";

/// The host while it logs.
pub(crate) struct Host {
    random: Random,
    /// Mean time between two entries that are in no burst, in microseconds.
    pause: u64,
    realtime: u64,
    /// Entries still to come in this boot; the journal is cut into two.
    left_in_boot: u64,
    boot: Boot,
    services: Vec<Service>,
    clock: Clock,
    message: String,
    text: String,
    entry: Vec<u8>,
    written: u64,
    /// Fields of all entries so far.
    pub(crate) fields: u64,
    /// Length of all messages so far.
    pub(crate) message_bytes: u64,
}

struct Boot {
    id: String,
    start: u64,
    next_pid: u64,
}

/// A unit as it runs now.
struct Service {
    unit: Unit,
    invocation: String,
    workers: Vec<Worker>,
}

struct Worker {
    pid: u64,
    /// `_STREAM_ID` of its standard output.
    stream: String,
}

/// The second of the entry as clients write it; made anew only when the second changes.
#[derive(Default)]
struct Clock {
    second: u64,
    /// RFC 3339.
    long: String,
    /// RFC 3164.
    syslog: String,
}

impl Clock {
    fn set(&mut self, realtime: u64) {
        let second = realtime / 1_000_000;
        if second == self.second {
            return;
        }
        self.second = second;
        let time = i64::try_from(second).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
        if let Some(time) = time {
            self.long = time.to_string();
            self.syslog = time.strftime("%b %e %H:%M:%S ").to_string();
        }
    }
}

impl Host {
    pub(crate) fn new(entries: u64) -> Self {
        let mut random = Random::new(0x6a6f_7572_6e61_6c00);
        let pause = SPAN / entries.max(1) * 100 / (100 - BURST);
        let mut boot = Boot { id: id128(&mut random), start: START - 10_000_000, next_pid: 400 };
        let services = UNITS.iter().map(|unit| Service::start(*unit, &mut boot, &mut random)).collect();
        Self {
            random,
            pause,
            realtime: START,
            left_in_boot: entries / 2,
            boot,
            services,
            clock: Clock::default(),
            message: String::new(),
            text: String::new(),
            entry: Vec::new(),
            written: 0,
            fields: 0,
            message_bytes: 0,
        }
    }

    /// The next entry in the journal export format, with the blank line that ends it.
    pub(crate) fn next_entry(&mut self) -> &[u8] {
        self.pass_time();
        self.entry.clear();
        let (realtime, monotonic) = (self.realtime, self.realtime - self.boot.start);
        self.stamp("__REALTIME_TIMESTAMP", realtime);
        self.stamp("__MONOTONIC_TIMESTAMP", monotonic);

        let index = self.service();
        let (unit, pid, stream, invocation) = match index.and_then(|index| self.services.get_mut(index)) {
            Some(service) => {
                let worker = service.speak(&mut self.boot, &mut self.random);
                (service.unit, worker.0, worker.1, service.invocation.clone())
            }
            None => (KERNEL, 0, String::new(), String::new()),
        };
        let mut message = std::mem::take(&mut self.message);
        messages::write(&mut message, &mut self.random, unit.style, unit.comm, &self.clock.long);
        self.message_bytes += message.len() as u64;
        match unit.source {
            Source::Stdout => self.stdout(&unit, &message, &stream),
            Source::Syslog => self.syslog(&unit, &message, pid),
            Source::Native => self.native(&unit, &message, pid),
            Source::Docker => self.docker(&message),
            Source::Systemd => self.systemd(&unit, &message, pid),
            Source::Kernel => self.kernel(&message),
        }
        self.message = message;
        if unit.source != Source::Kernel {
            self.trusted(&unit, pid, &invocation);
        }
        match unit.source {
            Source::Stdout => {}
            Source::Kernel => self.number("_SOURCE_MONOTONIC_TIMESTAMP", monotonic - 40),
            _ => self.number("_SOURCE_REALTIME_TIMESTAMP", realtime - 40),
        }
        let boot = std::mem::take(&mut self.boot.id);
        self.field("_BOOT_ID", &boot);
        self.boot.id = boot;
        self.field("_MACHINE_ID", MACHINE_ID);
        self.field("_HOSTNAME", HOSTNAME);
        self.field("_RUNTIME_SCOPE", "system");
        self.entry.push(b'\n');
        self.written += 1;
        &self.entry
    }

    /// Moves the clock on, and past a reboot when it is time for it.
    fn pass_time(&mut self) {
        let gap = if self.random.percent(BURST) { BURST_GAP } else { 2 * self.pause };
        self.realtime += 1 + self.random.below(gap);
        if self.left_in_boot == 0 {
            self.left_in_boot = u64::MAX;
            self.boot = Boot { id: id128(&mut self.random), start: self.realtime, next_pid: 400 };
            self.realtime += 10_000_000;
            let (boot, random) = (&mut self.boot, &mut self.random);
            self.services
                .iter_mut()
                .for_each(|service| *service = Service::start(service.unit, boot, random));
        }
        self.left_in_boot -= 1;
        self.clock.set(self.realtime);
    }

    /// The service that speaks: by Zipf's law, the one of rank n as often as 1/n; none is the kernel.
    fn service(&mut self) -> Option<usize> {
        const SCALE: u64 = 1 << 20;
        if self.random.percent(2) {
            return None;
        }
        let weight = |index: usize| SCALE / (index as u64 + 1);
        let mut ticket = self.random.below((0..UNITS.len()).map(weight).sum());
        (0..UNITS.len()).find(|index| match ticket.checked_sub(weight(*index)) {
            Some(rest) => {
                ticket = rest;
                false
            }
            None => true,
        })
    }

    fn stdout(&mut self, unit: &Unit, message: &str, stream: &str) {
        self.field("_TRANSPORT", "stdout");
        self.field("_STREAM_ID", stream);
        self.priority();
        self.field("SYSLOG_FACILITY", "3");
        self.field("SYSLOG_IDENTIFIER", unit.comm);
        self.field("MESSAGE", message);
    }

    fn syslog(&mut self, unit: &Unit, message: &str, pid: u64) {
        self.field("_TRANSPORT", "syslog");
        self.priority();
        self.field("SYSLOG_FACILITY", if unit.short_lived { "10" } else { "3" });
        self.field("SYSLOG_IDENTIFIER", unit.comm);
        self.number("SYSLOG_PID", pid);
        let time = std::mem::take(&mut self.clock.syslog);
        self.field("SYSLOG_TIMESTAMP", &time);
        self.clock.syslog = time;
        self.field("MESSAGE", message);
    }

    fn native(&mut self, unit: &Unit, message: &str, pid: u64) {
        self.field("_TRANSPORT", "journal");
        self.priority();
        self.field("MESSAGE", message);
        self.code("src/", "rs");
        self.field("SYSLOG_IDENTIFIER", unit.comm);
        self.number("TID", pid);
        let component = self.random.pick(&["http", "store", "queue", "auth"]);
        self.field("TARGET", &format!("{}::{component}", unit.comm));
        let request = self.random.next();
        self.field("F_REQUEST_ID", &format!("{request:016x}"));
        let tenant = self.random.below(200);
        self.field("F_TENANT", &format!("tenant-{tenant:03}"));
    }

    fn docker(&mut self, message: &str) {
        let container = self.random.below(12);
        let id = id128(&mut Random::new(container)) + &id128(&mut Random::new(container + 100));
        let name = format!("shop-worker-{container}");
        self.field("_TRANSPORT", "journal");
        self.field("PRIORITY", if self.random.clone().percent(20) { "3" } else { "6" });
        self.field("MESSAGE", message);
        self.field("CONTAINER_ID", id.get(..12).unwrap_or_default());
        self.field("CONTAINER_ID_FULL", &id);
        self.field("CONTAINER_NAME", &name);
        self.field("CONTAINER_TAG", &name);
        self.field("IMAGE_NAME", "registry.example.net/shop/worker:4.12.3");
        self.field("SYSLOG_IDENTIFIER", &name);
        let time =
            format!("{}.{:09}Z", self.clock.long.trim_end_matches('Z'), self.realtime % 1_000_000 * 1_000);
        self.field("SYSLOG_TIMESTAMP", &time);
    }

    fn systemd(&mut self, unit: &Unit, message: &str, pid: u64) {
        self.field("_TRANSPORT", "journal");
        self.priority();
        self.field("MESSAGE", message);
        self.field("SYSLOG_FACILITY", "3");
        self.field("SYSLOG_IDENTIFIER", unit.comm);
        self.number("TID", pid);
        self.code("src/core/", "c");
        if unit.name == "init.scope" {
            let index = usize::try_from(self.random.below(UNITS.len() as u64)).unwrap_or(0);
            let about = self.services.get(index).map(|about| (about.unit.name, about.invocation.clone()));
            let (name, invocation) = about.unwrap_or_default();
            self.field("MESSAGE_ID", "39f53479d3a045ac8e11786248231fbf");
            self.field("UNIT", name);
            self.field("INVOCATION_ID", &invocation);
            let job = 500 + self.written / 40;
            self.number("JOB_ID", job);
            self.field("JOB_TYPE", "start");
            self.field("JOB_RESULT", "done");
        }
    }

    fn kernel(&mut self, message: &str) {
        self.field("_TRANSPORT", "kernel");
        self.priority();
        self.field("SYSLOG_FACILITY", "0");
        self.field("SYSLOG_IDENTIFIER", "kernel");
        self.field("_KERNEL_SUBSYSTEM", "pci");
        let device = self.random.below(24);
        self.field("_KERNEL_DEVICE", &format!("+pci:0000:00:{device:02x}.0"));
        self.field("_UDEV_SYSNAME", &format!("0000:00:{device:02x}.0"));
        self.field("MESSAGE", message);
    }

    /// What journald itself says of the sender.
    fn trusted(&mut self, unit: &Unit, pid: u64, invocation: &str) {
        let user = unit.name.strip_prefix("user@").is_some();
        self.number("_PID", pid);
        self.number("_UID", u64::from(unit.uid));
        self.number("_GID", u64::from(unit.uid));
        self.field("_COMM", unit.comm);
        self.field("_EXE", unit.cmdline.split(' ').next().unwrap_or_default());
        self.field("_CMDLINE", unit.cmdline);
        self.field("_CAP_EFFECTIVE", if unit.uid == 0 { "1ffffffffff" } else { "0" });
        // With the newline, as AppArmor hands it to journald on Debian and Ubuntu.
        self.field("_SELINUX_CONTEXT", "unconfined\n");
        let (cgroup, slice) = match unit.name {
            "init.scope" => ("/init.scope".to_owned(), "-.slice"),
            name if user => (
                format!("/user.slice/user-1000.slice/{name}/session.slice/org.gnome.Shell@wayland.service"),
                "user-1000.slice",
            ),
            name => (format!("/system.slice/{name}"), "system.slice"),
        };
        self.field("_SYSTEMD_CGROUP", &cgroup);
        if user {
            self.field("_AUDIT_LOGINUID", "1000");
            self.field("_AUDIT_SESSION", "3");
            self.field("_SYSTEMD_OWNER_UID", "1000");
            self.field("_SYSTEMD_USER_UNIT", "org.gnome.Shell@wayland.service");
            self.field("_SYSTEMD_USER_SLICE", "session.slice");
        }
        self.field("_SYSTEMD_UNIT", unit.name);
        self.field("_SYSTEMD_SLICE", slice);
        self.field("_SYSTEMD_INVOCATION_ID", invocation);
    }

    fn priority(&mut self) {
        let priority = match self.random.below(100) {
            0..80 => "6",
            80..86 => "5",
            86..92 => "4",
            92..96 => "3",
            _ => "7",
        };
        self.field("PRIORITY", priority);
    }

    /// The place in the source: one of some sixty, as a program has log calls.
    fn code(&mut self, folder: &str, suffix: &str) {
        let line = self.random.below(60) * 37 + 11;
        let module = self.random.pick(&["main", "server", "manager", "unit", "job"]);
        self.field("CODE_FILE", &format!("{folder}{module}.{suffix}"));
        self.number("CODE_LINE", line);
        self.field("CODE_FUNC", &format!("{module}_handle"));
    }

    fn number(&mut self, name: &str, value: u64) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        let _ = write!(text, "{value}");
        self.field(name, &text);
        self.text = text;
    }

    fn field(&mut self, name: &str, value: &str) {
        self.fields += 1;
        push(&mut self.entry, name, value);
    }

    /// A timestamp or cursor: part of the entry, but no field of it.
    fn stamp(&mut self, name: &str, value: u64) {
        push(&mut self.entry, name, &value.to_string());
    }
}

impl Service {
    fn start(unit: Unit, boot: &mut Boot, random: &mut Random) -> Self {
        let workers = (0..unit.workers).map(|_| Worker::start(unit, boot, random)).collect();
        Self { unit, invocation: id128(random), workers }
    }

    /// Process id and stream of the one that writes the next line; now and then it is a new one.
    fn speak(&mut self, boot: &mut Boot, random: &mut Random) -> (u64, String) {
        if random.below(RESTART) == 0 {
            *self = Self::start(self.unit, boot, random);
        }
        let index = usize::try_from(random.below(self.workers.len() as u64)).unwrap_or(0);
        match self.workers.get_mut(index) {
            Some(worker) => {
                if self.unit.short_lived && random.below(SHORT_LIFE) == 0 {
                    *worker = Worker::start(self.unit, boot, random);
                }
                (worker.pid, worker.stream.clone())
            }
            None => (0, String::new()),
        }
    }
}

impl Worker {
    fn start(unit: Unit, boot: &mut Boot, random: &mut Random) -> Self {
        boot.next_pid += random.within(1, 20);
        let pid = if unit.name == "init.scope" { 1 } else { boot.next_pid };
        Self { pid, stream: id128(random) }
    }
}

fn id128(random: &mut Random) -> String {
    format!("{:016x}{:016x}", random.next(), random.next())
}

/// One field in the export format: as text where it is one line of it, else with its length in front.
fn push(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend_from_slice(name.as_bytes());
    if value.bytes().any(|byte| byte < b' ' && byte != b'\t') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}
