//! Start, stop and change of the running agent: signals, new configurations, several destinations, lost entries.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::agent::{Agent, PATIENCE, assert_arrived};
use crate::support::journald::{Bulk, Journald, Transport, wait_until};
use crate::support::loki::{Answer, Loki, Stored};
use crate::support::or_skip;

fn bulk(entries: u64, seed: u64) -> Bulk {
    Bulk::new(Transport::Native, entries, seed).unit("web.service")
}

fn wait_stored(loki: &Loki, entries: usize, agent: &Agent) {
    loki.wait_for(|s| s.stored().len() >= entries, PATIENCE)
        .unwrap_or_else(|why| panic!("{why}\n{}", agent.log()));
}

/// What is stored, as if the label `round` had never been.
fn without_round(loki: &Loki) -> Vec<Stored> {
    let mut stored = loki.stored();
    for entry in &mut stored {
        std::sync::Arc::make_mut(&mut entry.labels).remove("round");
    }
    stored
}

#[test]
fn a_new_configuration_is_taken_without_losing_an_entry() {
    let journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    let mut agent =
        Agent::new(&journald.dir(), &loki.url(), "labels: {static: {job: systemd-journal, round: r0}}");
    agent.start();
    wait_until("it runs", || agent.log().contains("shipping to loki"));
    let mut writer = journald.spawn_bulk(&bulk(12_000, 1).per_second(4_000));
    for round in 1..=6 {
        let before = loki.stored().len();
        agent.reconfigure(&format!("round: r{}", round - 1), &format!("round: r{round}"));
        agent.signal(Signal::HUP);
        let named = format!("r{round}");
        loki.wait_for(
            |s| s.stored().iter().skip(before).any(|e| e.labels.get("round") == Some(&named)),
            PATIENCE,
        )
        .unwrap_or_else(|why| panic!("round {round}: {why}\n{}", agent.log()));
    }
    assert!(writer.wait().success());
    journald.sync();
    let entries = journald.entries();
    wait_stored(&loki, entries.len(), &agent);
    agent.stop();
    assert_arrived(&entries, &without_round(&loki));
    assert_eq!(agent.log().matches("the new configuration is taken").count(), 6, "{}", agent.log());
}

#[test]
fn an_invalid_configuration_changes_nothing_and_is_explained() {
    let journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    let mut agent = Agent::new(&journald.dir(), &loki.url(), "");
    let good = fs::read_to_string(agent.config()).unwrap();
    agent.start();
    wait_until("it runs", || agent.log().contains("shipping to loki"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let other = Agent::new(&journald.dir(), &loki.url(), "");
    let mut holder = Agent::new(&journald.dir(), &loki.url(), "");
    holder.start();
    wait_until("the other runs", || holder.log().contains("shipping to loki"));
    drop(other);
    let held = holder.home.path().join("state");
    for (number, (config, part)) in [
        (good.replace("url:", "urll:"), "did you mean `url`?".to_owned()),
        ("loki: []".to_owned(), "there is no destination".to_owned()),
        (
            good.replace(
                "http: {listen: null}",
                &format!("http: {{listen: '{}'}}", taken.local_addr().unwrap()),
            ),
            "cannot listen".into(),
        ),
        (
            good.replace(&agent.home.path().join("state").display().to_string(), &held.display().to_string()),
            "another journal-ship runs".into(),
        ),
        (good.replace(&journald.dir().display().to_string(), "/nowhere/at/all"), "/nowhere/at/all".into()),
    ]
    .into_iter()
    .enumerate()
    {
        fs::write(agent.config(), config).unwrap();
        agent.signal(Signal::HUP);
        wait_until("the log explains it", || {
            agent.log().matches("the old one goes on").count() == number + 1
        });
        assert!(agent.log().contains(&part), "no {part:?} in {}", agent.log());
        let before = loki.stored().len();
        journald.send(&bulk(10, 2));
        loki.wait_for(|s| s.stored().len() > before, PATIENCE).unwrap();
    }
    fs::write(agent.config(), &good).unwrap();
    agent.signal(Signal::HUP);
    wait_until("the old one is known again", || agent.log().contains("the same as before"));
    agent.stop();
    holder.stop();
}

#[test]
fn a_storm_of_reloads_loses_nothing() {
    let journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    let mut agent =
        Agent::new(&journald.dir(), &loki.url(), "labels: {static: {job: systemd-journal, round: r0}}");
    agent.start();
    wait_until("it runs", || agent.log().contains("shipping to loki"));
    let mut writer = journald.spawn_bulk(&bulk(6_000, 3).per_second(2_000));
    let end = Instant::now() + Duration::from_secs(3);
    let mut round = 0;
    while Instant::now() < end {
        if round % 5 == 0 {
            agent.reconfigure(&format!("round: r{}", round / 5), &format!("round: r{}", round / 5 + 1));
        }
        agent.signal(Signal::HUP);
        std::thread::sleep(Duration::from_millis(7));
        round += 1;
    }
    assert!(writer.wait().success());
    journald.sync();
    let entries = journald.entries();
    wait_stored(&loki, entries.len(), &agent);
    agent.stop();
    assert_arrived(&entries, &without_round(&loki));
}

#[test]
fn a_second_order_to_stop_ends_it_at_once() {
    let journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    loki.answer_next(1, Answer::Stall(Duration::from_secs(30)));
    let mut agent = Agent::new(&journald.dir(), &loki.url(), "");
    agent.start();
    loki.wait_for(|s| !s.requests().is_empty(), PATIENCE).unwrap();
    let start = Instant::now();
    // Two that come before the first is taken are one, and nothing shows when that is: so there are more.
    for _ in 0..10 {
        agent.signal(Signal::TERM);
        std::thread::sleep(Duration::from_millis(50));
    }
    agent.stop();
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert!(agent.log().contains("stopped; 0 entries acknowledged"), "{}", agent.log());
}

#[test]
fn a_destination_that_is_down_delays_no_other() {
    let journald = or_skip!(Journald::start());
    let (main, archive) =
        (Loki::builder().ignore_age(true).start(), Loki::builder().ignore_age(true).start());
    archive.refuse_connections(true);
    let mut agent = Agent::new(&journald.dir(), &main.url(), "");
    let second = format!(
        "  - name: archive\n    url: {}\n    labels: {{copy: second}}\n    tenant: t2\n    backoff: {{min: 10ms, max: 200ms}}\n\
         state_directory",
        archive.url()
    );
    agent.reconfigure("state_directory", &second);
    agent.start();
    journald.send(&bulk(9_000, 4));
    journald.sync();
    let entries = journald.entries();
    wait_stored(&main, entries.len(), &agent);
    assert_eq!(archive.stored().len(), 0);
    archive.refuse_connections(false);
    wait_stored(&archive, entries.len(), &agent);
    agent.stop();
    assert_arrived(&entries, &main.stored());
    let mut stored = archive.stored();
    for entry in &mut stored {
        assert_eq!(&*entry.tenant, "t2");
        let copy = std::sync::Arc::make_mut(&mut entry.labels).remove("copy");
        assert_eq!(copy.as_deref(), Some("second"));
    }
    assert_arrived(&entries, &stored);
    for name in ["main.json", "archive.json"] {
        assert!(agent.home.path().join("state").join(name).exists());
    }
}

#[test]
fn what_is_deleted_before_it_was_shipped_is_counted_exactly() {
    let journald = or_skip!(Journald::builder().drop_in("SystemMaxFileSize=512K").start());
    let loki = Loki::builder().ignore_age(true).start();
    let mut agent = Agent::new(&journald.dir(), &loki.url(), "");
    agent.start();
    journald.send(&bulk(500, 5));
    journald.sync();
    wait_stored(&loki, journald.entries().len(), &agent);
    agent.stop();
    let shipped = journald.entries();
    // Away: several files are written and most of them deleted.
    for seed in 6..12 {
        journald.send(&bulk(800, seed));
        journald.rotate();
    }
    journald.sync();
    let written = journald.entries().len();
    journald.journalctl(&["--vacuum-files=2"]);
    let left = journald.entries();
    assert!(left.len() < written, "nothing was deleted");
    let missed: Vec<_> = left.iter().filter(|e| !shipped.iter().any(|s| s.cursor == e.cursor)).collect();
    agent.start();
    wait_stored(&loki, shipped.len() + missed.len(), &agent);
    // A moment later the gap is certain.
    wait_until("the log tells of it", || agent.log().contains("entries are missing"));
    agent.stop();
    let log = agent.log();
    let told: usize = log
        .lines()
        .filter_map(|line| {
            line.split("error: ").nth(1)?.split_once(" entries are missing")?.0.parse::<usize>().ok()
        })
        .sum();
    // journald counts from one, and every number is either in Loki or told.
    let last: journald_reader::Cursor = journald.entries().last().unwrap().cursor.parse().unwrap();
    assert_eq!(loki.stored().len() + told, usize::try_from(last.seqnum).unwrap(), "{log}");
}
