//! The promise under faults: whatever happens between the journal and Loki, to the agent or around it, in the end the
//! double holds what `journalctl` has, once each and in order.
//!
//! Random choices come from a seed that is printed; `FAULTS_SEED=N` repeats them. `FAULTS_LONG=1` makes the long run
//! two minutes of 20,000 entries a second.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;

use crate::support::agent::{Agent, PATIENCE, assert_arrived};
use crate::support::fixtures::{ExportEntry, Format, build_journal, journalctl_export};
use crate::support::journald::{Bulk, Journald, Transport, wait_until};
use crate::support::loki::{Answer, Loki};
use crate::support::network::Network;
use crate::support::proxy::{Fault, Proxy};
use crate::support::{Unavailable, or_skip};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Random numbers (SplitMix64) from a seed that is told.
struct Chance(u64);

impl Chance {
    fn new(test: &str) -> Chance {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        let seed = std::env::var("FAULTS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(now);
        println!("{test}: FAULTS_SEED={seed}");
        Chance(seed)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

fn bulk(transport: Transport, entries: u64, seed: u64) -> Bulk {
    Bulk::new(transport, entries, seed).unit("web.service")
}

/// An agent that has small batches and little patience.
fn agent(journald: &Path, url: &str) -> Agent {
    let agent = Agent::new(journald, url, "");
    agent.reconfigure("max_wait: 50ms}", "max_wait: 20ms, max_bytes: 32KiB}\n    timeout: 1s");
    agent
}

/// All of the journal is in Loki, once each and in order; the agent is stopped.
fn check(journald: &Journald, loki: &Loki, agent: &mut Agent) {
    journald.sync();
    let entries = journald.entries();
    if let Err(why) = loki.wait_for(|s| s.stored().len() >= entries.len(), PATIENCE * 2) {
        panic!("{} of {} entries arrived: {why}\n{}", loki.stored().len(), entries.len(), agent.log());
    }
    agent.stop();
    assert_arrived(&entries, &loki.stored());
}

#[test]
fn killed_fifty_times_at_random_moments() {
    let mut chance = Chance::new("killed_fifty_times_at_random_moments");
    let journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    let mut agent = agent(&journald.dir(), &loki.url());
    let mut writer = journald.spawn_bulk(&bulk(Transport::Native, 20_000, 1).per_second(2_000));
    for _ in 0..50 {
        agent.start();
        std::thread::sleep(Duration::from_millis(chance.below(200)));
        agent.end(Signal::KILL);
    }
    assert!(writer.wait().success());
    agent.start();
    check(&journald, &loki, &mut agent);
}

#[test]
fn each_fault_of_a_connection_alone() {
    let journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    let proxy = Proxy::start(LOCAL, &loki.url());
    let mut agent = agent(&journald.dir(), &proxy.url());
    agent.start();
    for (seed, fault) in Fault::ALL.into_iter().enumerate() {
        proxy.next([fault, fault, Fault::None, fault]);
        journald.send(&bulk(Transport::Native, 600, seed as u64));
        wait_until("the faults were met", || proxy.pending() == 0);
    }
    check(&journald, &loki, &mut agent);
}

/// Statuses that mean "later", and what else a gateway may say.
const LATER: [u16; 6] = [408, 429, 500, 502, 503, 504];

#[test]
fn each_status_alone() {
    let journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    let mut agent = agent(&journald.dir(), &loki.url());
    agent.start();
    let later = LATER.into_iter().flat_map(|status| {
        let text = format!("status {status}");
        [Answer::Status(status, text.clone()), Answer::StoreThenStatus(status, text)]
    });
    let others = [
        Answer::Status(413, "too large".to_owned()),
        Answer::Status(400, "proto: illegal tag".to_owned()),
        Answer::RetryAfter(429, "1".to_owned()),
        Answer::RetryAfter(503, "0".to_owned()),
        Answer::CloseBeforeAnswer,
        Answer::Reset,
        Answer::Stall(Duration::from_millis(1500)),
    ];
    for (seed, answer) in later.chain(others).enumerate() {
        loki.answer_next(2, answer.clone());
        journald.send(&bulk(Transport::Native, 200, seed as u64));
        loki.wait_for(|s| s.pending_answers() == 0, PATIENCE)
            .unwrap_or_else(|why| panic!("{answer:?}: {why}\n{}", agent.log()));
    }
    check(&journald, &loki, &mut agent);
}

#[test]
fn what_a_person_must_mend_is_waited_for() {
    let journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    let mut agent = agent(&journald.dir(), &loki.url());
    agent.start();
    // Each is tried again after ten seconds.
    for (status, text) in [(401, "no credentials"), (404, "404 page not found")] {
        loki.answer_next(1, Answer::Status(status, text.to_owned()));
        journald.send(&bulk(Transport::Native, 200, u64::from(status)));
        loki.wait_for(|s| s.pending_answers() == 0, PATIENCE).unwrap();
    }
    check(&journald, &loki, &mut agent);
    assert_eq!(agent.log().matches("needs attention").count(), 1, "{}", agent.log());
}

#[test]
fn random_faults_beside_a_writer_kills_stops_and_reloads() {
    let mut chance = Chance::new("random_faults_beside_a_writer_kills_stops_and_reloads");
    let long = std::env::var_os("FAULTS_LONG").is_some();
    let (seconds, rate) = if long { (120, 20_000) } else { (20, 2_500) };
    let journald = or_skip!(
        Journald::builder().drop_in("SystemMaxUse=8G\nSystemMaxFileSize=16M\nSystemMaxFiles=10000").start()
    );
    let loki = Loki::builder().ignore_age(true).start();
    let proxy = Proxy::start(LOCAL, &loki.url());
    let mut agent = agent(&journald.dir(), &proxy.url());
    agent.start();
    wait_until("it runs", || agent.log().contains("shipping to loki"));
    let writers = [Transport::Native, Transport::Syslog];
    let mut writers = writers.map(|transport| {
        journald.spawn_bulk(&bulk(transport, seconds * rate / 2, 1).per_second(rate as u32 / 2))
    });
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut starts = 1;
    while Instant::now() < end {
        match chance.below(11) {
            0..=3 => {
                let count = 1 + chance.below(4);
                let faults: Vec<Fault> = (0..count).map(|_| chance.of(&Fault::ALL)).collect();
                proxy.next(faults);
            }
            4..=5 => {
                let (status, store) = (chance.of(&LATER), chance.below(2) == 0);
                let text = "for a while".to_owned();
                let answer =
                    if store { Answer::StoreThenStatus(status, text) } else { Answer::Status(status, text) };
                loki.answer_next(1 + chance.below(3) as usize, answer);
            }
            6 => {
                wait_until("it runs", || agent.log().matches("shipping to loki").count() == starts);
                agent.end(Signal::KILL);
                agent.start();
                starts += 1;
            }
            7 => {
                // Before that a signal is the end, and not a stop.
                wait_until("it runs", || agent.log().matches("shipping to loki").count() == starts);
                agent.stop();
                agent.start();
                starts += 1;
            }
            8 => {
                agent.signal(Signal::STOP);
                std::thread::sleep(Duration::from_millis(chance.below(1500)));
                agent.signal(Signal::CONT);
            }
            9 => journald.rotate(),
            _ => {
                loki.refuse_connections(true);
                std::thread::sleep(Duration::from_millis(chance.below(800)));
                loki.refuse_connections(false);
            }
        }
        std::thread::sleep(Duration::from_millis(chance.below(300)));
    }
    for writer in &mut writers {
        assert!(writer.wait().success());
    }
    check(&journald, &loki, &mut agent);
}

#[test]
fn the_network_is_cut_and_healed() {
    let journald = or_skip!(Journald::start());
    let network = or_skip!(Network::new());
    let cable = or_skip!(network.join(None));
    let loki = Loki::builder().ignore_age(true).start();
    let proxy = Proxy::start(cable.ends.0, &loki.url());
    let mut agent = agent(&journald.dir(), &proxy.url());
    agent.starter = network.starter();
    agent.start();
    let mut writer = journald.spawn_bulk(&bulk(Transport::Native, 16_000, 1).per_second(2_000));
    for _ in 0..3 {
        let before = loki.stored().len();
        loki.wait_for(|s| s.stored().len() > before + 200, PATIENCE)
            .unwrap_or_else(|why| panic!("{why}\n{}", agent.log()));
        cable.plugged(false);
        std::thread::sleep(Duration::from_millis(1500));
        cable.plugged(true);
    }
    assert!(writer.wait().success());
    check(&journald, &loki, &mut agent);
}

/// A small file system of the test's own, unmounted with this.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Result<SmallDisk, Unavailable> {
        fs::create_dir_all(at).unwrap();
        let out =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(at).output().unwrap();
        match out.status.success() {
            true => Ok(SmallDisk(at.to_owned())),
            false => Err(Unavailable(format!("mount: {}", String::from_utf8_lossy(&out.stderr)))),
        }
    }

    fn writable(&self, writable: bool) {
        let options = format!("remount,{}", if writable { "rw" } else { "ro" });
        // It is busy while a file is open for writing.
        wait_until("it is mounted anew", || {
            Command::new("mount")
                .args(["-o", &options])
                .arg(&self.0)
                .stderr(Stdio::null())
                .status()
                .unwrap()
                .success()
        });
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_or_read_only_disk_stops_no_shipping_and_is_told() {
    let journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    let mut agent = agent(&journald.dir(), &loki.url());
    let state = agent.home.path().join("state");
    let disk = or_skip!(SmallDisk::mount(&state));
    // A file that is open for writing keeps a disk from becoming read-only.
    agent.start();
    journald.send(&bulk(Transport::Native, 600, 1));
    let stored = |count: usize| {
        loki.wait_for(|s| s.stored().len() >= count, PATIENCE).unwrap();
    };
    stored(journald.entries().len());
    let filler = state.join("filler");
    // Whatever room there is.
    let _ = fs::write(&filler, vec![0; 1 << 20]);
    journald.send(&bulk(Transport::Native, 600, 2));
    stored(journald.entries().len());
    wait_until("the log tells of it", || agent.log().contains("cannot be saved"));
    fs::remove_file(&filler).unwrap();
    wait_until("it is saved although nothing new came", || agent.log().contains("can be saved again"));
    let last = journald.entries().last().unwrap().cursor.clone();
    wait_until("the checkpoint is at the last entry", || agent.checkpoint()["cursor"] == last.as_str());
    check(&journald, &loki, &mut agent);
    assert_eq!(agent.log().matches("cannot be saved").count(), 1, "{}", agent.log());
    // A start where state cannot be kept is refused with the reason.
    disk.writable(false);
    agent.start();
    wait_until("it says why", || agent.log().contains("cannot keep state"));
}

#[test]
fn clocks_that_jump_an_hour_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let start = 1_700_000_000_000_000u64;
    const HOUR: i64 = 3_600_000_000;
    let mut entries = Vec::new();
    let mut jump = 0;
    for n in 0..900u64 {
        jump = match n {
            300 => HOUR,
            600 => 0,
            _ => jump,
        };
        let realtime = (start + n * 10_000).checked_add_signed(jump).unwrap();
        entries.push(
            ExportEntry::new(realtime)
                .boot(7, 1_000_000 + n * 10_000)
                .field("_SYSTEMD_UNIT", "web.service")
                .message(format!("entry {n}")),
        );
    }
    let journal = folder.path().join("system.journal");
    or_skip!(build_journal(&journal, &entries, Format::default()));
    let loki = Loki::builder().ignore_age(true).start();
    let mut agent = agent(&journal, &loki.url());
    agent.start();
    loki.wait_for(|s| s.stored().len() >= 900, PATIENCE)
        .unwrap_or_else(|why| panic!("{why}\n{}", agent.log()));
    agent.stop();
    let mut lines: Vec<String> = loki.stored().iter().map(|entry| entry.line.clone()).collect();
    let mut wanted: Vec<String> =
        or_skip!(journalctl_export(&[&journal])).iter().map(|e| e.text("MESSAGE")).collect();
    lines.sort();
    wanted.sort();
    assert_eq!(lines, wanted);
}

#[test]
fn journald_ends_and_starts_again() {
    let mut journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    let mut agent = agent(&journald.dir(), &loki.url());
    agent.start();
    for round in 0..6 {
        journald.send(&bulk(Transport::Native, 400, round));
        match round % 3 {
            0 => journald.stop(),
            // As a crash, which leaves the file as it is.
            1 => journald.kill(),
            _ => journald.reboot(),
        }
        if round % 3 != 2 {
            journald.start_again();
        }
        journald.send(&bulk(Transport::Syslog, 100, round));
    }
    check(&journald, &loki, &mut agent);
}

#[test]
fn stopped_for_a_while_it_goes_on_where_it_was() {
    let journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    let mut agent = agent(&journald.dir(), &loki.url());
    agent.start();
    let seconds = if std::env::var_os("FAULTS_LONG").is_some() { 60 } else { 4 };
    let mut writer = journald.spawn_bulk(&bulk(Transport::Native, 8_000, 1).per_second(2_000));
    loki.wait_for(|s| s.stored().len() > 500, PATIENCE).unwrap();
    agent.signal(Signal::STOP);
    std::thread::sleep(Duration::from_secs(seconds));
    journald.rotate();
    agent.signal(Signal::CONT);
    assert!(writer.wait().success());
    check(&journald, &loki, &mut agent);
}
