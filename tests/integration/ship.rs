//! The main job, end to end: what was written to a real journald is in Loki, once each and in order, whatever
//! happens to the agent on the way. journalctl says what has to arrive.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::agent::{Agent, PATIENCE, assert_arrived};
use crate::support::journald::{Bulk, Journald, Transport, wait_until};
use crate::support::loki::{Answer, Loki};
use crate::support::or_skip;

/// Sends entries of every kind through all three sockets: binary, multi-line, identical ones in a row.
fn send(journald: &Journald, entries: u64, seed: u64) {
    let mut senders = [
        (Transport::Native, "web.service"),
        (Transport::Stream, "worker@1.service"),
        (Transport::Syslog, "mail.service"),
    ]
    .map(|(transport, unit)| journald.spawn_bulk(&Bulk::new(transport, entries / 3, seed).unit(unit)));
    for sender in &mut senders {
        assert!(sender.wait().success());
    }
    journald.sync();
}

fn wait_stored(loki: &Loki, entries: usize, agent: &Agent) {
    if let Err(why) = loki.wait_for(|s| s.stored().len() >= entries, PATIENCE * 2) {
        panic!("{} of {entries} entries arrived: {why}\n{}", loki.stored().len(), agent.log());
    }
}

#[test]
fn twenty_thousand_entries_through_all_sockets_arrive_once_each() {
    let journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    let mut agent = Agent::new(&journald.dir(), &loki.url(), "");
    agent.start();
    send(&journald, 12_000, 1);
    journald.rotate();
    send(&journald, 9_000, 2);
    let entries = journald.entries();
    assert!(entries.len() >= 21_000, "{} entries", entries.len());
    wait_stored(&loki, entries.len(), &agent);
    agent.stop();
    assert_arrived(&entries, &loki.stored());
    assert_eq!(loki.received_entries(), entries.len() as u64, "nothing was sent twice");
}

#[test]
fn nothing_is_lost_or_doubled_when_the_agent_is_killed_ten_times() {
    let journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    // Small batches, so that there are many moments to die in.
    let mut agent = Agent::new(&journald.dir(), &loki.url(), "");
    let config = std::fs::read_to_string(agent.config()).unwrap();
    std::fs::write(agent.config(), config.replace("max_wait: 50ms", "max_wait: 50ms, max_bytes: 16KiB"))
        .unwrap();
    let writers: Vec<_> = [(Transport::Native, "a.service"), (Transport::Syslog, "b.service")]
        .into_iter()
        .map(|(transport, unit)| {
            journald.spawn_bulk(&Bulk::new(transport, 10_000, 3).unit(unit).per_second(4_000))
        })
        .collect();
    for round in 0..10 {
        let before = loki.stored().len();
        agent.start();
        if round == 4 {
            loki.answer_next(1, Answer::CloseBeforeAnswer);
        }
        loki.wait_for(|s| s.stored().len() > before + 100, PATIENCE)
            .unwrap_or_else(|why| panic!("round {round}: {why}\n{}", agent.log()));
        agent.end(Signal::KILL);
        if round % 3 == 0 {
            journald.rotate();
        }
    }
    for mut writer in writers {
        assert!(writer.wait().success());
    }
    journald.sync();
    agent.start();
    let entries = journald.entries();
    assert!(entries.len() >= 20_000, "{} entries", entries.len());
    wait_stored(&loki, entries.len(), &agent);
    agent.stop();
    assert_arrived(&entries, &loki.stored());
}

#[test]
fn a_stop_sends_what_was_read_and_a_start_goes_on_behind_it() {
    let journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    let mut agent = Agent::new(&journald.dir(), &loki.url(), "");
    for round in 0..4 {
        send(&journald, 300, round);
        if round == 2 {
            journald.rotate();
        }
        agent.start();
        let entries = journald.entries();
        wait_stored(&loki, entries.len(), &agent);
        agent.stop();
        let last = agent.checkpoint()["cursor"].as_str().expect("a cursor").to_string();
        assert_eq!(last, entries.last().unwrap().cursor, "the checkpoint is at the journal's end");
        let after = journald.journalctl(&["--after-cursor", &last, "--output=export"]);
        assert!(after.is_empty(), "journalctl goes on at our cursor");
    }
    let entries = journald.entries();
    assert_arrived(&entries, &loki.stored());
    assert_eq!(loki.received_entries(), entries.len() as u64, "nothing was sent twice");
}

#[test]
fn while_loki_is_away_nothing_is_lost_memory_is_flat_and_the_log_is_quiet() {
    let journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    let mut agent = Agent::new(&journald.dir(), &loki.url(), "");
    send(&journald, 300, 1);
    agent.start();
    wait_stored(&loki, journald.entries().len(), &agent);
    let idle = agent.peak_kib();
    loki.refuse_connections(true);
    send(&journald, 15_000, 2);
    let down = Instant::now();
    let config = agent.log().lines().count();
    // Long enough for dozens of attempts at pauses of 0.2 s.
    while down.elapsed() < Duration::from_secs(5) {
        send(&journald, 600, 3);
    }
    let peak = agent.peak_kib();
    assert!(peak < idle + 8 * 1024, "peak memory {peak} KiB after an outage, {idle} KiB before");
    assert!(agent.log().lines().count() <= config + 1, "{}", agent.log());
    loki.refuse_connections(false);
    let entries = journald.entries();
    wait_stored(&loki, entries.len(), &agent);
    agent.stop();
    assert_arrived(&entries, &loki.stored());
    assert!(agent.log().contains("takes entries again"), "{}", agent.log());
}

#[test]
fn a_stop_while_loki_is_away_ends_in_time_and_the_next_start_sends() {
    let journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    let mut agent = Agent::new(&journald.dir(), &loki.url(), "");
    loki.refuse_connections(true);
    send(&journald, 3_000, 1);
    agent.start();
    agent_log_contains(&agent, "does not take entries");
    let order = Instant::now();
    agent.stop();
    assert!(order.elapsed() < Duration::from_secs(10), "stopped after {:?}", order.elapsed());
    loki.refuse_connections(false);
    agent.start();
    let entries = journald.entries();
    wait_stored(&loki, entries.len(), &agent);
    agent.stop();
    assert_arrived(&entries, &loki.stored());
}

#[test]
fn answers_that_mean_later_are_followed_by_the_same_bytes() {
    let journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    let mut agent = Agent::new(&journald.dir(), &loki.url(), "");
    loki.answer_next(2, Answer::Status(429, "ingestion rate limit exceeded".into()));
    loki.answer_next(1, Answer::StoreThenStatus(503, "upstream".into()));
    loki.answer_next(1, Answer::Reset);
    loki.answer_next(1, Answer::CloseBeforeAnswer);
    send(&journald, 300, 1);
    agent.start();
    let entries = journald.entries();
    wait_stored(&loki, entries.len(), &agent);
    loki.wait_for(|s| s.pending_answers() == 0, PATIENCE).unwrap();
    agent.stop();
    assert_arrived(&entries, &loki.stored());
    let requests = loki.received_requests();
    assert!(requests[..5].iter().all(|r| r.body == requests[0].body), "the first body was repeated");
    assert_eq!(requests[0].header("content-type"), "application/x-protobuf");
    assert!(requests[0].header("user-agent").starts_with("journal-ship/"));
}

#[test]
fn entries_that_journald_moves_from_the_runtime_to_the_persistent_journal_are_sent_once() {
    let journald = or_skip!(Journald::builder().volatile().start());
    let loki = Loki::builder().ignore_age(true).start();
    let agent = Agent::new(&journald.dir(), &loki.url(), "");
    // Inside the box the default paths are this journald's, and it knows which of them is the runtime one.
    let config = std::fs::read_to_string(agent.config()).unwrap();
    let (_, rest) = config.split_once('\n').unwrap();
    std::fs::write(agent.config(), format!("journal: {{backfill: 1d}}\n{rest}")).unwrap();
    journald.send(&Bulk::new(Transport::Native, 60, 1).unit("a.service"));
    let config = agent.config();
    let mut inside = journald.spawn(&[crate::support::agent::PROGRAM, "--config", config.to_str().unwrap()]);
    let stored = |n: usize| {
        loki.wait_for(|s| s.stored().len() >= n, PATIENCE)
            .unwrap_or_else(|why| panic!("{} of {n}: {why}", loki.stored().len()));
    };
    stored(60);
    journald.flush();
    journald.send(&Bulk::new(Transport::Native, 60, 2).unit("a.service"));
    journald.rotate();
    journald.send(&Bulk::new(Transport::Native, 60, 3).unit("a.service"));
    let mine = |message: &str| !message.contains("shipping to loki");
    let entries: Vec<_> = journald.entries().into_iter().filter(|e| mine(&e.text("MESSAGE"))).collect();
    let cursor = entries.last().unwrap().realtime;
    let arrived =
        loki.wait_for(|s| s.stored().iter().any(|e| e.timestamp_ns as u64 / 1000 == cursor), PATIENCE);
    arrived.unwrap_or_else(|why| {
        panic!(
            "{why}\n{}",
            String::from_utf8_lossy(&journald.journalctl(&[
                "-o",
                "short-monotonic",
                "-t",
                "journal-ship",
                "-t",
                "systemd-journald"
            ]))
        )
    });
    inside.signal(Signal::TERM);
    assert!(inside.wait().success());
    let stored: Vec<_> = loki.stored().into_iter().filter(|s| mine(&s.line)).collect();
    assert_arrived(&entries, &stored);
    assert_eq!(loki.folded(), 0, "nothing was sent twice");
}

#[test]
fn a_second_agent_on_the_same_state_is_refused() {
    let journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    send(&journald, 30, 1);
    let mut agent = Agent::new(&journald.dir(), &loki.url(), "");
    agent.start();
    wait_stored(&loki, journald.entries().len(), &agent);
    let config = agent.config();
    let second = crate::support::agent::output(&["--config".as_ref(), config.as_os_str()]);
    let stderr = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("another journal-ship"), "{stderr}");
    agent.stop();
}

#[test]
fn neither_missing_ca_certificates_nor_proxy_variables_stand_in_the_way_of_http() {
    let journal = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/journal");
    let loki = Loki::builder().ignore_age(true).start();
    let mut agent = Agent::new(&journal, &loki.url(), "");
    agent.environment = vec![
        ("SSL_CERT_FILE", "/nowhere"),
        ("SSL_CERT_DIR", "/nowhere"),
        ("HTTP_PROXY", "http://127.0.0.1:1"),
        ("http_proxy", "http://127.0.0.1:1"),
        ("ALL_PROXY", "http://127.0.0.1:1"),
    ];
    agent.start();
    wait_until("an entry arrives", || !loki.stored().is_empty());
    agent.stop();
}

#[test]
fn https_without_ca_certificates_says_what_is_missing_once() {
    let journal = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/journal");
    let mut agent = Agent::new(&journal, "https://127.0.0.1:1", "");
    agent.environment = vec![("SSL_CERT_FILE", "/nowhere"), ("SSL_CERT_DIR", "/nowhere")];
    agent.start();
    crate::support::journald::wait_until("the log says it", || agent.log().contains("ca-certificates"));
    agent.stop();
    assert_eq!(agent.log().matches("ca-certificates").count(), 1, "{}", agent.log());
}

#[test]
fn a_loki_that_fails_now_and_then_does_not_fill_the_log() {
    let journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    let mut agent = Agent::new(&journald.dir(), &loki.url(), "");
    agent.start();
    for round in 0..5 {
        loki.answer_next(1, Answer::Status(500, "now and then".into()));
        send(&journald, 3, round);
        wait_stored(&loki, journald.entries().len(), &agent);
    }
    agent.stop();
    for words in ["does not take entries", "takes entries again"] {
        assert_eq!(agent.log().matches(words).count(), 1, "{}", agent.log());
    }
}

#[test]
fn the_checkpoint_of_a_newer_version_is_left_alone() {
    let journal = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/journal");
    let agent = Agent::new(&journal, "http://127.0.0.1:1", "");
    let file = agent.home.path().join("state/main.json");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "{\"version\": 2}").unwrap();
    let out = crate::support::agent::output(&["--config".as_ref(), agent.config().as_os_str()]);
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("main.json has version 2"), "{stderr}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "{\"version\": 2}");
}

#[test]
fn a_gateway_that_asks_for_no_pause_is_not_hammered() {
    let journal = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/journal");
    let loki = Loki::builder().ignore_age(true).start();
    loki.answer_next(10, Answer::RetryAfter(429, "0".into()));
    let mut agent = Agent::new(&journal, &loki.url(), "");
    let config = std::fs::read_to_string(agent.config()).unwrap();
    std::fs::write(agent.config(), config.replace("min: 10ms", "min: 100ms")).unwrap();
    let begin = Instant::now();
    agent.start();
    wait_until("an entry arrives", || !loki.stored().is_empty());
    assert!(begin.elapsed() >= Duration::from_secs(1), "ten pauses of 0.1 s took {:?}", begin.elapsed());
    agent.stop();
}

/// What Go's TLS server, and so Loki's, says to a client that speaks plain http: it is not about the entries.
#[test]
fn http_to_a_port_that_wants_https_loses_nothing() {
    let journal = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/journal");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let port = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        // As much as Go reads before it knows.
        connection.read_exact(&mut [0; 5]).unwrap();
        let answer = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
        connection.write_all(answer.as_bytes()).unwrap();
        connection.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = connection.read_to_end(&mut Vec::new());
    });
    let mut agent = Agent::new(&journal, &format!("http://{address}"), "");
    agent.start();
    wait_until("the answer is in the log", || agent.log().contains("to an HTTPS server"));
    agent.stop();
    port.join().unwrap();
    assert!(agent.checkpoint()["cursor"].is_null(), "nothing was acknowledged:\n{}", agent.log());
}

fn agent_log_contains(agent: &Agent, part: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !agent.log().contains(part) {
        assert!(Instant::now() < deadline, "no `{part}` in the log:\n{}", agent.log());
        std::thread::sleep(Duration::from_millis(5));
    }
}
