//! Tells systemd how the agent is: readiness, reloading, a line of status and the watchdog (sd_notify(3)). Without
//! systemd, these calls do nothing.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

use crate::os::text::Line;

use rustix::time::{ClockId, clock_gettime};

/// The service manager. Without one, every call does nothing.
#[derive(Debug, Default)]
pub struct Manager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Manager {
    /// Finds the manager: `NOTIFY_SOCKET` names its socket, and `WATCHDOG_USEC` says how often it expects a sign of life.
    pub fn new(environment: impl Fn(&str) -> Option<String>) -> Manager {
        let Some(path) = environment("NOTIFY_SOCKET") else { return Manager::default() };
        let address = match path.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(&path),
        };
        let socket = address.and_then(|address| Ok((UnixDatagram::unbound()?, address)));
        let socket = socket.inspect_err(|error| {
            log::warn!("systemd cannot be told how the agent is: NOTIFY_SOCKET={path}: {error}");
        });
        // Without `WATCHDOG_PID`, or with our process id in it, the watchdog is meant for this process.
        let own = environment("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let period = environment("WATCHDOG_USEC").and_then(|period| period.parse().ok()).filter(|_| own);
        Manager { socket: socket.ok(), watchdog: period.map(Duration::from_micros) }
    }

    /// How often to give a sign of life: twice in the time after which systemd takes the agent for dead.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog.filter(|period| !period.is_zero()).map(|period| period / 2)
    }

    /// Says that the agent runs, with a line of status.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={}", line(status)));
    }

    /// Says that the agent reads its configuration again. [`Manager::ready`] ends that.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// Says that the agent stops.
    pub fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=stopping");
    }

    /// Gives a line of status: what the agent does, or why it does not run.
    pub fn status(&self, status: &str) {
        self.send(&format!("STATUS={}", line(status)));
    }

    /// Gives a sign of life, with a line of status.
    pub fn alive(&self, status: &str) {
        self.send(&format!("WATCHDOG=1\nSTATUS={}", line(status)));
    }

    fn send(&self, state: &str) {
        if let Some((socket, address)) = &self.socket {
            // If the manager does not listen, nobody misses the message.
            let _ = socket.send_to_addr(state.as_bytes(), address);
        }
    }
}

/// Makes one safe line of a text.
pub fn line(text: &str) -> String {
    text.lines().map(|line| Line(line.trim()).to_string()).collect::<Vec<_>>().join("; ")
}

/// The pulse of a thread or a task. Its owner beats it when it has done something, and lets it rest while it waits for
/// something that may take long. An owner that does neither is stuck.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<Beats>);

#[derive(Debug, Default)]
struct Beats {
    count: AtomicU64,
    /// Until when the owner may rest (milliseconds of the monotonic clock).
    excused: AtomicU64,
}

impl Pulse {
    /// Says that the owner has done something.
    pub fn beat(&self) {
        self.0.count.fetch_add(1, Relaxed);
    }

    /// Waits for something that may take any time, such as new entries or room in a channel.
    pub fn rest<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.0.excused.store(u64::MAX, Relaxed);
        let result = wait();
        self.wake();
        result
    }

    /// The same for a task. `longest` is the longest time that the waiting may take; `None`: any time.
    pub async fn rest_for<T>(&self, longest: Option<Duration>, wait: impl Future<Output = T>) -> T {
        let until = longest.map_or(u64::MAX, |longest| {
            u64::try_from(longest.as_millis())
                .map_or(u64::MAX, |longest| now_millis().saturating_add(longest))
        });
        self.0.excused.store(until, Relaxed);
        let result = wait.await;
        self.wake();
        result
    }

    fn wake(&self) {
        // In this order: who sees that the rest is over must see the beat, too.
        self.beat();
        self.0.excused.store(0, Release);
    }

    /// Whether the owner rests, or has done something since the last call with the same `last`.
    fn is_alive(&self, last: &mut u64) -> bool {
        let excused = self.0.excused.load(Acquire) >= now_millis();
        let count = self.0.count.load(Relaxed);
        std::mem::replace(last, count) != count || excused
    }
}

fn now_millis() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec * 1000 + now.tv_nsec / 1_000_000).unwrap_or(0)
}

/// The pulses of all threads and pushers.
#[derive(Debug, Default)]
pub struct Pulses(Vec<(String, Pulse, u64)>);

impl Pulses {
    /// Adds a pulse. `name` says whose it is.
    pub fn add(&mut self, name: String) -> Pulse {
        let pulse = Pulse::default();
        // No count equals this, so the first look finds the owner alive.
        self.0.push((name, pulse.clone(), u64::MAX));
        pulse
    }

    /// The names of the owners that are stuck: they have done nothing since the last call, and do not rest.
    pub fn stuck(&mut self) -> Vec<&str> {
        let stuck = self
            .0
            .iter_mut()
            .filter_map(|(name, pulse, last)| (!pulse.is_alive(last)).then_some(name.as_str()));
        stuck.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_neither_beats_nor_rests_is_stuck() {
        let mut pulses = Pulses::default();
        let pulse = pulses.add("a".into());
        assert!(pulses.stuck().is_empty(), "it has just begun");
        assert_eq!(pulses.stuck(), ["a"]);
        pulse.beat();
        assert!(pulses.stuck().is_empty());
        pulse.rest(|| {
            assert!(pulses.stuck().is_empty());
            assert!(pulses.stuck().is_empty(), "for as long as it takes");
        });
        assert!(pulses.stuck().is_empty(), "it got on since then");
        assert_eq!(pulses.stuck(), ["a"]);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_task_that_waits_longer_than_it_should_is_stuck() {
        let mut pulses = Pulses::default();
        let pulse = pulses.add("a".into());
        assert!(pulses.stuck().is_empty());
        let look = async { pulses.stuck().len() };
        assert_eq!(pulse.rest_for(Some(Duration::from_secs(60)), look).await, 0);
        let look = async { pulses.stuck().len() };
        assert_eq!(pulse.rest_for(None, look).await, 0, "it got on");
        let overdue = async {
            let mut looks = 0;
            while pulses.stuck().is_empty() {
                looks += 1;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            looks
        };
        assert!(pulse.rest_for(Some(Duration::from_millis(20)), overdue).await > 2);
        assert!(pulses.stuck().is_empty(), "at last it got on");
    }

    #[test]
    fn the_manager_is_told_through_its_socket() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("notify");
        let receiver = UnixDatagram::bind(&path).unwrap();
        let told = |environment: &[(&str, &str)], tell: &dyn Fn(&Manager)| {
            let manager = Manager::new(|name| {
                environment.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
            });
            tell(&manager);
            manager.watchdog()
        };
        let socket = ("NOTIFY_SOCKET", path.to_str().unwrap());
        assert_eq!(told(&[socket], &|manager| manager.ready("fine\nand more\rWATCHDOG=1")), None);
        let mut buffer = [0; 256];
        let length = receiver.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1\nSTATUS=fine; and more\\rWATCHDOG=1");
        let (pid, period) = (std::process::id().to_string(), ("WATCHDOG_USEC", "3000000"));
        let half = Some(Duration::from_millis(1500));
        assert_eq!(told(&[socket, period], &|_| {}), half);
        assert_eq!(told(&[socket, period, ("WATCHDOG_PID", &pid)], &|_| {}), half);
        assert_eq!(told(&[socket, period, ("WATCHDOG_PID", "1")], &|_| {}), None);
        told(&[], &|manager| manager.ready("nobody listens"));
        told(&[("NOTIFY_SOCKET", "@journal-ship-test-nobody")], &|manager| manager.stopping());
    }
}
