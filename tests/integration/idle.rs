//! While nothing happens, the agent sleeps.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use crate::support::agent::Agent;
use crate::support::journald::{Bulk, Journald, Transport, wait_until};
use crate::support::loki::Loki;
use crate::support::or_skip;

/// Wake-ups of all threads of the agent in [`QUIET`] (count).
const WAKEUPS_MAX: u64 = 8;
const QUIET: Duration = Duration::from_secs(10);

/// Voluntary context switches so far, by thread.
fn switches(pid: u32) -> HashMap<String, u64> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let counted = threads.filter_map(|thread| {
        let status = fs::read_to_string(thread.path().join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        Some((thread.file_name().into_string().ok()?, line.trim().parse().ok()?))
    });
    counted.collect()
}

/// Wake-ups since then: also a thread's end is one, and its beginning.
fn wakeups_since(before: &HashMap<String, u64>, pid: u32) -> u64 {
    let now = switches(pid);
    let ended = before.keys().filter(|thread| !now.contains_key(*thread)).count() as u64;
    let woken = now.iter().map(|(thread, count)| before.get(thread).map_or(1, |before| count - before));
    ended + woken.sum::<u64>()
}

#[test]
fn while_nothing_happens_the_agent_sleeps() {
    let journald = or_skip!(Journald::start());
    journald.send(&Bulk::new(Transport::Native, 1000, 0).unit("a.service"));
    let loki = Loki::builder().ignore_age(true).start();
    let mut agent = Agent::new(&journald.dir(), &loki.url(), "");
    // With systemd's watchdog, which wants to hear twice in two minutes.
    let socket = agent.home.path().join("notify");
    let _listener = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    let socket: &'static str = Box::leak(socket.display().to_string().into_boxed_str());
    agent.environment.extend([("NOTIFY_SOCKET", socket), ("WATCHDOG_USEC", "120000000")]);
    agent.start();
    let all = journald.entries().len();
    wait_until("everything has arrived", || loki.stored().len() >= all);
    // What it does after that (the checkpoint, the last look at files that were written to) is over when a second goes by
    // without a wake-up.
    wait_until("it sleeps", || {
        let before = switches(agent.pid());
        std::thread::sleep(Duration::from_secs(1));
        wakeups_since(&before, agent.pid()) == 0
    });
    let before = switches(agent.pid());
    std::thread::sleep(QUIET); // what is looked at is that nothing happens
    let woken = wakeups_since(&before, agent.pid());
    assert!(woken <= WAKEUPS_MAX, "{woken} wake-ups in {QUIET:?}");
    agent.stop();
}
