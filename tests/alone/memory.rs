//! Memory is bounded by the configuration, not by what is logged: streams without number, fields of 16 MiB and a
//! Loki that does not answer cost less than 8 MB for each destination, and rules stay within theirs whoever writes.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::support::agent::{Agent, PATIENCE};
use crate::support::fixtures::{ExportEntry, Format, build_journal};
use crate::support::journald::wait_until;
use crate::support::loki::Loki;
use crate::support::or_skip;

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
    let _lock = crate::alone();
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
        Ok::<_, crate::support::Unavailable>((folder, entries.len() as u64))
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

/// Lines that every rule here takes for something new: a name of 2,000 bytes.
const NAMES: u64 = 3000;
/// What agent and back-test may take at their peak (KiB).
const RULES_KIB: u64 = 64_000_000 / 1024;

/// Rules that tell apart whatever a line says, over long windows.
const RULES: &str = r#"
groups:
  - name: g
    rules:
      - {alert: A, expr: 'sum by (n) (count_over_time({job="t"} | pattern "<n> <v>" [1d])) > 0', annotations: {a: '{{ $labels.n }}', b: '{{ $labels.n }}'}}
      - {alert: B, expr: 'sum by (n) (sum_over_time({job="t"} | pattern "<n> <v>" | unwrap v [6h])) > 0', keep_firing_for: 1d}
      - {alert: C, expr: 'quantile_over_time(0.9, {job="t"} | pattern "<n> <v>" | unwrap v [1d]) by (n) > 0'}
      - {alert: D, expr: 'count_over_time({job="t"} | logfmt | pattern "<n> <v>" [5m]) > 0'}
      - {alert: E, expr: 'sum by (n) (count_over_time({job="t"} | regexp "(?P<n>.*)" [1d])) > 0'}
      - {record: 'r:r', expr: 'sum by (n) (count_over_time({job="t"} | pattern "<n> <v>" [1d]))'}
"#;

/// Names without number and without end in the windows, alerts, history and saved state of rules.
#[test]
fn rules_take_no_more_than_their_memory_whoever_writes() {
    let _lock = crate::alone();
    let home = tempfile::tempdir().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
    let begin = now - 10 * 60_000_000;
    let line = |n: u64| {
        let name = format!("{n:x>2000}");
        let entry =
            ExportEntry::new(begin + n * 50_000).field("_HOSTNAME", "h").field("_TRANSPORT", "journal");
        entry.field("SYSLOG_IDENTIFIER", "app").message(format!("{name} {n}"))
    };
    let entries: Vec<_> = (0..NAMES).map(line).collect();
    let journal = home.path().join("journal");
    std::fs::create_dir(&journal).unwrap();
    or_skip!(build_journal(&journal.join("x.journal"), &entries, Format::default()));
    let rules = home.path().join("rules.yaml");
    std::fs::write(&rules, RULES).unwrap();
    let more = format!(
        "labels: {{static: {{job: t}}}}\nstructured_metadata: {{}}\nalerts:\n  rule_files: [{}]\n  alertmanagers: [{{url: 'http://127.0.0.1:1'}}]\n",
        rules.display()
    );
    let loki = Loki::builder().ignore_age(true).start();
    let mut agent = Agent::new(&journal, &loki.url(), &more);

    let mut dry = crate::support::agent::program(&["--dry-run", "--summary", "--config"])
        .arg(agent.config())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut back_test = 0;
    while dry.try_wait().unwrap().is_none() {
        back_test = back_test.max(crate::support::agent::peak_kib_of(dry.id()).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(dry.wait().unwrap().success());

    agent.start();
    let state = agent.home.path().join("state/alerts.state");
    // Every minute there is an evaluation, and all that was there is looked at before anything is told.
    let told = |agent: &Agent, times: usize| {
        let until = Instant::now() + PATIENCE * 4;
        while agent.log().matches("is over its limit").count() < times || !state.exists() {
            assert!(Instant::now() < until, "{}", agent.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    told(&agent, 1);
    let following = agent.peak_kib();
    agent.stop();
    // A start with all of that on disk.
    agent.start();
    told(&agent, 2);
    let again = agent.peak_kib();
    agent.stop();
    let what = format!("back-test {back_test} KiB, agent {following} KiB, started again {again} KiB");
    println!("{what}");
    assert!([back_test, following, again].into_iter().max() <= Some(RULES_KIB), "{what}");
    assert!(back_test > 0);
}
