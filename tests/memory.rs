//! Memory is bounded by the configuration, not by what is logged: streams without number, fields of 16 MiB and a
//! Loki that does not answer cost less than 8 MB for each destination.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test stops at the first surprise

mod support;

use std::fmt::Write;
use std::path::Path;

use support::agent::{Agent, PATIENCE};
use support::fixtures::{ExportEntry, Format, build_journal};
use support::journald::wait_until;
use support::loki::Loki;
use support::or_skip;

/// More than may be active, and than are remembered.
const STREAMS: u64 = 20_000;
const BIG_FIELDS: u64 = 3;
const BIG: usize = 16 << 20;
/// What a destination may take besides what it takes idle (KiB): under each of these, and under all of them at once.
const EACH_KIB: u64 = 8_000_000 / 1024;
const ALL_KIB: u64 = 12_000_000 / 1024;

fn entry(n: u64) -> ExportEntry {
    ExportEntry::new(1_764_000_000_000_000 + n * 100)
        .field("_HOSTNAME", "h")
        .field("_TRANSPORT", "journal")
        .field("SYSLOG_IDENTIFIER", "app")
        .field("PRIORITY", (n % 8).to_string())
}

/// An agent with as many destinations, all at this Loki, each as a tenant of its own.
fn agent(journal: &Path, loki: &Loki, destinations: usize) -> Agent {
    let agent = Agent::new(journal, &loki.url(), "");
    let one = format!("  - url: {}\n", loki.url());
    let all = (0..destinations).fold(String::new(), |mut all, n| {
        let settings = "batch: {max_wait: 50ms}, backoff: {min: 10ms, max: 200ms}";
        let _ = writeln!(all, "  - {{name: d{n}, tenant: t{n}, url: {:?}, {settings}}}", loki.url());
        all
    });
    agent.reconfigure(
        &format!("{one}    batch: {{max_wait: 50ms}}\n    backoff: {{min: 10ms, max: 200ms}}\n"),
        &all,
    );
    agent
}

/// Ships everything after an outage, and returns the peak of resident memory (KiB).
fn peak(journal: &Path, entries: u64, destinations: usize) -> u64 {
    let loki = Loki::builder().ignore_age(true).start();
    loki.refuse_connections(true);
    let mut agent = agent(journal, &loki, destinations);
    agent.start();
    wait_until("every destination has met the outage", || {
        agent.log().matches("does not take entries").count() >= destinations
    });
    loki.refuse_connections(false);
    // Each stream takes a request of its own at first.
    let all = entries as usize * destinations;
    if let Err(why) = loki.wait_for(|state| state.stored().len() >= all, PATIENCE * 8) {
        panic!("{} of {all} entries arrived: {why}\n{}", loki.stored().len(), agent.log());
    }
    let peak = agent.peak_kib();
    agent.stop();
    peak
}

#[test]
fn streams_big_fields_and_an_outage_cost_at_most_eight_megabytes_a_destination() {
    let message =
        |n: u64| entry(n).message(format!("line number {n} of usual length, more or less, as they are"));
    let of_streams = |n: u64| message(n).field("_SYSTEMD_UNIT", format!("unit-{n}.service"));
    let big = |n: u64| {
        let value = vec![b'0' + (n % 10) as u8; BIG - 100];
        entry(n).field("DATA", &value).message(&value)
    };
    // One of them compressed, so that all code that runs has run.
    let few = (0..10).map(message).chain([entry(10).message("long".repeat(1000))]);
    let streams = (0..STREAMS).map(of_streams);
    let fields = (STREAMS..STREAMS + BIG_FIELDS).map(big);
    let home = tempfile::tempdir().unwrap();
    let journal = |name: &str, entries: Vec<ExportEntry>| {
        let folder = home.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        build_journal(&folder.join("x.journal"), &entries, Format::default())?;
        Ok::<_, support::Unavailable>((folder, entries.len() as u64))
    };
    let few = or_skip!(journal("few", few.collect()));
    let rows = [
        (1, EACH_KIB, or_skip!(journal("streams", streams.clone().collect()))),
        (1, EACH_KIB, or_skip!(journal("fields", fields.clone().collect()))),
        (10, ALL_KIB, or_skip!(journal("all", streams.chain(fields).collect()))),
    ];
    for (destinations, most, (folder, entries)) in rows {
        let idle = peak(&few.0, few.1, destinations);
        let peak = peak(&folder, entries, destinations);
        let what =
            format!("{}, {destinations} destinations: {idle} KiB idle, {peak} KiB at most", folder.display());
        println!("{what}");
        assert!(peak <= idle + most * destinations as u64, "{what}");
    }
}
