//! What stands before a Loki, and what a Loki says that is full or refuses: whatever the answer, nothing is lost, nothing
//! comes twice, and nobody is stormed.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use crate::support::agent::{Agent, PATIENCE, assert_arrived};
use crate::support::fixtures::{ExportEntry, Format, build_journal, journalctl_export};
use crate::support::journald::wait_until;
use crate::support::loki::by_hand::{gzip, now_ns};
use crate::support::loki::{Loki, Stored};
use crate::support::or_skip;
use crate::support::proxy::{Fault, Proxy};
use crate::support::pushing::{Counts, Given, Pushing, batch, destination, plain};
use journal_ship::config::Backoff;
use journal_ship::loki::batch::{Batch, Sealed};
use journal_ship::loki::encode::Metadata;
use journal_ship::shape::labels::Stream;

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// An answer as bytes: the status line, the headers, the body with its length.
fn answer(status: &str, headers: &str, body: &[u8]) -> &'static [u8] {
    let head =
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    Vec::leak([head.as_bytes(), body].concat())
}

const ENVOY: &[u8] =
    b"upstream connect error or disconnect/reset before headers. reset reason: connection failure";
const NGINX: &[u8] =
    b"<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body>nginx</body></html>";
/// Loki's words, of a stream that nobody here sends.
const OF_OTHERS: &[u8] = b"entry for stream '{x=\"1\"}' has timestamp too new: 2026-11-28T10:00:00Z";

/// What a front end may say that is not Loki's.
fn foreign() -> Vec<(&'static str, &'static [u8])> {
    let plain = "Content-Type: text/plain\r\n";
    let json = "Content-Type: application/json\r\n";
    let page = "Content-Type: text/html\r\n";
    let packed = "Content-Type: text/plain; charset=utf-8\r\nContent-Encoding: gzip\r\n";
    vec![
        ("envoy", answer("400 Bad Request", plain, ENVOY)),
        ("nginx", answer("413 Request Entity Too Large", page, NGINX)),
        ("413 in plain text", answer("413 Payload Too Large", plain, b"too large")),
        ("422 json", answer("422 Unprocessable Entity", json, br#"{"errors":[{"message":"no healthy upstream"}]}"#)),
        ("400 json", answer("400 Bad Request", json, br#"{"message":"failure to get a peer from the ring-balancer"}"#)),
        ("400 page", answer("400 Bad Request", page, b"<html>400</html>")),
        ("400 without a type", answer("400 Bad Request", "", b"Client sent an HTTP request to an HTTPS server.")),
        ("400 without words", answer("400 Bad Request", plain, b"")),
        ("400 of other entries", answer("400 Bad Request", plain, OF_OTHERS)),
        ("409", answer("409 Conflict", page, b"Request blocked")),
        ("411", answer("411 Length Required", page, b"")),
        ("415", answer("415 Unsupported Media Type", json, b"{}")),
        ("451", answer("451 Unavailable For Legal Reasons", plain, b"no")),
        ("packed", answer("400 Bad Request", packed, &gzip(b"max entry size '10' bytes exceeded for stream '{a=\"1\"}' while adding an entry with length '6' bytes"))),
        ("broken chunks", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhe"),
        ("broken length", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nok"),
        ("chunks that are none", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n"),
        ("a refusal that breaks off", b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 900\r\nConnection: close\r\n\r\nentry for stream '{a=\"1\"}' has timestamp too new: 2026-11-28T10:00:00Z"),
    ]
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

fn stored(loki: &Loki) -> Vec<String> {
    sorted(loki.stored().iter().map(|entry| entry.line.clone()).collect())
}

fn lines(entries: &[Given<'_>]) -> Vec<String> {
    sorted(entries.iter().map(|(_, line, _)| line.clone()).collect())
}

/// Says `fault` for a while from the first request on, then lets everything pass.
fn for_a_while(proxy: &Proxy, fault: Fault, time: Duration) {
    let mut end = None;
    proxy.rule(move |_| {
        let end = *end.get_or_insert_with(|| Instant::now() + time);
        if Instant::now() < end { fault } else { Fault::None }
    });
}

#[test]
fn no_answer_of_another_server_loses_an_entry() {
    for (name, says) in foreign() {
        for fault in [Fault::Says(says), Fault::PassesAndSays(says)] {
            let loki = Loki::start();
            let proxy = Proxy::start(LOCAL, &loki.url());
            for_a_while(&proxy, fault, Duration::from_millis(400));
            let entries = plain(60);
            let mut pushing = Pushing::start(&proxy.url());
            pushing.send(vec![batch(&entries)]);
            let counts = pushing.finish();
            assert_eq!((counts.acknowledged, &counts.refused), (60, &BTreeMap::new()), "{name}");
            assert_eq!(stored(&loki), lines(&entries), "{name}");
            // Pauses of up to 20 ms and at least half of that, after the first few; and the parts afterwards.
            assert!(proxy.requests() <= 90, "{name}: {} requests", proxy.requests());
        }
    }
}

#[test]
fn a_page_is_no_acknowledgement_whatever_its_head_says() {
    for (kind, body) in [
        ("Content-Type: text/html\r\n", &b"<form>"[..]),
        ("Content-Type: text/plain\r\n", b"<!DOCTYPE html><title>Sign in</title>"),
        ("", b"<html>"),
    ] {
        let loki = Loki::start();
        let proxy = Proxy::start(LOCAL, &loki.url());
        proxy.next([Fault::Says(answer("200 OK", kind, body))]);
        let mut pushing = Pushing::start(&proxy.url());
        pushing.send(vec![batch(&plain(3))]);
        wait_until("readiness is red", || !pushing.readiness.report().is_ready());
        let report = pushing.readiness.report().to_string();
        assert!(report.contains("needs attention: HTTP 200 a page for people"), "{report}");
        assert_eq!((pushing.done(), loki.stored().len()), (0, 0));
        pushing.task.abort();
    }
}

#[test]
fn a_server_that_fails_in_any_rhythm_loses_nothing() {
    let envoy = answer("400 Bad Request", "Content-Type: text/plain\r\n", ENVOY);
    // Of so many requests the first so many fail.
    for (period, failing) in [(2, 1), (3, 2), (4, 3), (5, 4), (7, 5)] {
        let loki = Loki::start();
        let proxy = Proxy::start(LOCAL, &loki.url());
        let mut count = 0;
        proxy.rule(move |_| {
            count += 1;
            if count % period < failing { Fault::Says(envoy) } else { Fault::None }
        });
        let mut pushing = Pushing::start(&proxy.url());
        let mut all = Vec::new();
        for n in 0..10 {
            let entries: Vec<Given<'_>> =
                plain(20).into_iter().map(|(l, line, m)| (l, format!("{n} {line}"), m)).collect();
            pushing.send(vec![batch(&entries)]);
            all.extend(entries);
        }
        let counts = pushing.finish();
        assert_eq!((counts.acknowledged, counts.refused), (200, BTreeMap::new()), "{failing} of {period}");
        assert_eq!(stored(&loki), lines(&all), "{failing} of {period}");
    }
}

/// What a gateway does that does not like some lines.
fn filtered(says: &'static [u8], entries: &[Given<'_>], word: &'static [u8]) -> (Loki, Counts, usize) {
    let loki = Loki::start();
    let proxy = Proxy::start(LOCAL, &loki.url());
    proxy.rule(move |request| {
        let at = request.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let plain = snap::raw::Decoder::new().decompress_vec(&request[at..]).unwrap();
        let found = plain.windows(word.len()).any(|part| part == word);
        if found { Fault::Says(says) } else { Fault::None }
    });
    let mut pushing = Pushing::start(&proxy.url());
    pushing.send(vec![batch(entries)]);
    let counts = pushing.finish();
    let requests = proxy.requests();
    (loki, counts, requests)
}

#[test]
fn an_entry_that_a_gateway_never_takes_blocks_nothing_and_is_let_go_alone() {
    let json = "Content-Type: application/json\r\n";
    for (says, reason) in [
        (answer("400 Bad Request", json, br#"{"message":"attack"}"#), "unparsable"),
        (answer("403 Forbidden", "Content-Type: text/html\r\n", b"Request blocked"), "unparsable"),
        (answer("413 Payload Too Large", "Content-Type: text/html\r\n", NGINX), "too_large"),
        (answer("500 Internal Server Error", "Content-Type: text/plain\r\n", b"panic"), "server_error"),
    ] {
        let mut entries = plain(60);
        entries.insert(33, (r#"{b="2"}"#, "../../etc/passwd".to_owned(), Vec::new()));
        let (loki, counts, requests) = filtered(says, &entries, b"../../etc/passwd");
        entries.remove(33);
        assert_eq!((counts.acknowledged, counts.refused), (60, BTreeMap::from([(reason, 1)])));
        assert_eq!(stored(&loki), lines(&entries), "{reason}");
        assert!(requests <= 100, "{reason}: {requests} requests");
    }
}

#[test]
fn a_size_that_a_proxy_takes_is_found() {
    let nginx = answer("413 Request Entity Too Large", "Content-Type: text/html\r\n", NGINX);
    let loki = Loki::start();
    let proxy = Proxy::start(LOCAL, &loki.url());
    proxy.rule(move |request| if request.len() > 12_000 { Fault::Says(nginx) } else { Fault::None });
    let entries: Vec<Given<'_>> =
        (0..2000).map(|n| (r#"{a="1"}"#, format!("{n} {:x}", n * 7_919_u64 * 104_729), Vec::new())).collect();
    let sealed = batch(&entries);
    let size = sealed.plain_bytes;
    let mut pushing = Pushing::start(&proxy.url());
    pushing.send(vec![sealed]);
    let learned = pushing.learned.clone();
    let counts = pushing.finish();
    assert_eq!((counts.acknowledged, counts.refused), (2000, BTreeMap::new()));
    assert_eq!(stored(&loki), lines(&entries));
    assert!(learned.batch() <= size / 2 && learned.batch() >= 4096, "{} of {size}", learned.batch());
}

#[test]
fn a_proxy_that_fails_for_a_while_teaches_no_size() {
    let nginx = answer("413 Request Entity Too Large", "Content-Type: text/html\r\n", NGINX);
    let loki = Loki::start();
    let proxy = Proxy::start(LOCAL, &loki.url());
    proxy.next([Fault::Says(nginx), Fault::Says(nginx)]);
    let mut pushing = Pushing::start(&proxy.url());
    pushing.send(vec![batch(&plain(500))]);
    let learned = pushing.learned.clone();
    pushing.finish();
    assert_eq!(learned.batch(), usize::MAX);
}

#[test]
fn nobody_is_stormed() {
    for (name, says) in foreign() {
        let loki = Loki::start();
        let proxy = Proxy::start(LOCAL, &loki.url());
        proxy.rule(move |_| Fault::Says(says));
        let mut destination = destination(&proxy.url());
        let min = Duration::from_millis(50);
        destination.backoff = Backoff { min, max: min * 4 };
        let mut pushing = Pushing::to(&destination);
        let start = Instant::now();
        for _ in 0..3 {
            pushing.send(vec![batch(&plain(400))]);
        }
        std::thread::sleep(Duration::from_secs(2));
        // After each failure there is a pause of at least half of the shortest.
        let most = start.elapsed().as_millis() / (min.as_millis() / 2) + 1;
        let requests = proxy.requests() as u128;
        assert!((3..=most).contains(&requests), "{name}: {requests} requests, {most} at most");
        assert_eq!(pushing.done(), 0, "{name}");
        pushing.task.abort();
    }
}

/// A batch of streams `{s="…"}`, with entries at these times.
fn at_times(entries: &[(u32, u64)]) -> Sealed {
    let mut batch = Batch::default();
    for (n, (id, time)) in entries.iter().enumerate() {
        let stream = Stream { id: *id, labels: format!("{{s=\"{id}\"}}").into() };
        batch.push(&stream, *time, &format!("line {n}"), &Metadata::default());
    }
    batch.seal()
}

#[test]
fn a_refusal_does_not_hide_others() {
    let now = u64::try_from(now_ns()).unwrap();
    let hour = 3_600_000_000_000;
    let day = 24 * hour;
    let many = |stream: u32, count: u64, time: u64| (0..count).map(move |n| (stream, time + n * 1_000_000));
    type Case = (&'static str, Vec<(u32, u64)>, &'static [(&'static str, u64)], u64);
    let cases: [Case; 4] = [
        (
            "too old and too far behind in one stream",
            [(1, now)]
                .into_iter()
                .chain(many(1, 10, now - 8 * day))
                .chain(many(1, 5, now - 2 * hour))
                .collect(),
            &[("too_far_behind", 5), ("too_old", 10)],
            1,
        ),
        (
            "more than are listed",
            [(1, now)]
                .into_iter()
                .chain(many(1, 30, now - 8 * day))
                .chain(many(1, 25, now - 2 * hour))
                .collect(),
            &[("too_far_behind", 25), ("too_old", 30)],
            1,
        ),
        (
            "in two streams",
            [(1, now), (2, now)]
                .into_iter()
                .chain(many(1, 10, now + day))
                .chain(many(2, 5, now - 2 * hour))
                .collect(),
            &[("too_far_behind", 5), ("too_new", 10)],
            2,
        ),
        (
            "three kinds",
            [(1, now), (2, now)]
                .into_iter()
                .chain(many(1, 3, now - 8 * day))
                .chain(many(2, 7, now - 2 * hour))
                .chain(many(2, 2, now + day))
                .collect(),
            &[("too_far_behind", 7), ("too_new", 2), ("too_old", 3)],
            2,
        ),
    ];
    for (name, entries, refused, acknowledged) in cases {
        let loki = Loki::start();
        let mut pushing = Pushing::start(&loki.url());
        pushing.send(vec![at_times(&entries)]);
        let counts = pushing.finish();
        assert_eq!(counts.refused, refused.iter().copied().collect(), "{name}");
        assert_eq!(counts.acknowledged, acknowledged, "{name}");
        assert_eq!(loki.stored().len() as u64, acknowledged, "{name}");
        assert!(loki.received_requests().len() <= 4, "{name}: {} requests", loki.received_requests().len());
    }
}

fn of_host(host: &str, unit: &str) -> String {
    format!("{{host=\"{host}\", service_name=\"{unit}\", unit=\"{unit}\"}}")
}

fn in_stream<'a>(stored: &'a [Stored], unit: &str) -> Vec<&'a Stored> {
    stored.iter().filter(|entry| entry.labels.get("unit").is_some_and(|known| known == unit)).collect()
}

#[test]
fn a_full_tenant_stops_nobody() {
    // Streams of another host, and of this one; there is no room for the overflow stream.
    let (away, known, new) = (of_host("away", "new"), of_host("h", "known"), of_host("h", "new"));
    let loki = Loki::builder().streams_limit(2).start();
    let mut pushing = Pushing::start(&loki.url());
    let entry = |labels, line: &str| (labels, line.to_owned(), Vec::new());
    pushing.send(vec![batch(&[entry(&*away, "0"), entry(&*known, "1")])]);
    // The new one last, as the real Loki would hide its refusal otherwise.
    pushing.send(vec![batch(&[
        entry(&*known, "2"),
        entry(&*known, "3"),
        entry(&*new, "4"),
        entry(&*new, "5"),
    ])]);
    loki.wait_for(|state| state.stored().len() == 6, PATIENCE).unwrap();
    let report = pushing.readiness.report();
    assert!(report.is_ready() && report.to_string().contains("no room for further streams"), "{report:?}");
    let before = loki.received_requests().len();
    assert!(before <= 6, "{before} requests");
    // Known from then on: no request is lost on finding out.
    pushing.send(vec![batch(&[entry(&*new, "6"), entry(&*known, "7")])]);
    let counts = pushing.finish();
    // One of the streams that Loki has, and one of what goes elsewhere, for it may be too far behind there.
    assert_eq!(loki.received_requests().len(), before + 2);
    assert_eq!((counts.acknowledged, counts.refused, counts.folded), (8, BTreeMap::new(), 3));
    let stored = loki.stored();
    let here = in_stream(&stored, "known");
    assert_eq!(
        sorted(here.iter().map(|entry| entry.line.clone()).collect()),
        ["1", "2", "3", "4", "5", "6", "7"]
    );
    for entry in here.iter().filter(|entry| "456".contains(&*entry.line)) {
        let pairs: BTreeMap<_, _> = entry.metadata.iter().cloned().collect();
        assert_eq!((&*pairs["unit"], &*pairs["overflow"], &*pairs["service_name"]), ("new", "true", "new"));
    }
}

#[test]
fn what_goes_to_another_stream_hides_no_refusal() {
    let now = u64::try_from(now_ns()).unwrap();
    let behind = now - 2 * 3_600_000_000_000;
    let loki = Loki::builder().streams_limit(2).start();
    let mut pushing = Pushing::start(&loki.url());
    // There is no room for the third: its entries go to the first.
    for stream in 1..=3 {
        pushing.send(vec![at_times(&[(stream, now)])]);
    }
    pushing.send(vec![at_times(&[(3, behind), (1, now + 1), (2, now + 2)])]);
    let counts = pushing.finish();
    assert_eq!(counts.refused, BTreeMap::from([("too_far_behind", 1)]));
    assert_eq!((counts.acknowledged, counts.folded, loki.stored().len()), (5, 2, 5));
}

#[test]
fn while_nothing_is_known_a_new_stream_waits_and_others_go_on() {
    let (known, new) = (of_host("h", "known"), of_host("h", "new"));
    let loki = Loki::builder().streams_limit(1).start();
    let entry = |labels, line: &str| (labels, line.to_owned(), Vec::new());
    // Another process has made it.
    let mut other = Pushing::start(&loki.url());
    other.send(vec![batch(&[entry(&*known, "0")])]);
    other.finish();
    let mut pushing = Pushing::start(&loki.url());
    pushing.send(vec![batch(&[entry(&*new, "1")])]);
    wait_until("readiness is red", || !pushing.readiness.report().is_ready());
    let report = pushing.readiness.report().to_string();
    assert!(report.contains("needs attention: it has no room for a new stream"), "{report}");
    assert_eq!((pushing.done(), loki.stored().len()), (0, 1), "nothing is acknowledged");
    pushing.send(vec![batch(&[entry(&*known, "2")])]);
    let readiness = pushing.readiness.clone();
    let counts = pushing.finish();
    assert_eq!((counts.acknowledged, counts.refused, counts.folded), (2, BTreeMap::new(), 1));
    assert_eq!(stored(&loki), ["0", "1", "2"]);
    assert!(readiness.report().is_ready());
}

#[test]
fn many_new_streams_in_a_full_tenant_are_not_all_tried() {
    let loki = Loki::builder().streams_limit(3).start();
    let texts: Vec<String> = (0..300).map(|n| of_host("h", &format!("u{n}"))).collect();
    let mut pushing = Pushing::start(&loki.url());
    for round in 0..3 {
        let entries: Vec<Given<'_>> =
            texts.iter().map(|labels| (labels.as_str(), format!("{round}"), Vec::new())).collect();
        pushing.send(vec![batch(&entries)]);
    }
    let counts = pushing.finish();
    assert_eq!((counts.acknowledged, counts.refused), (900, BTreeMap::new()));
    assert_eq!(loki.stored().len(), 900);
    assert!(loki.received_requests().len() < 160, "{} requests", loki.received_requests().len());
}

#[test]
fn the_agent_behind_a_proxy_that_fails_for_two_seconds() {
    let now = u64::try_from(now_ns()).unwrap() / 1000;
    let entries: Vec<ExportEntry> = (0..4000)
        .map(|n| {
            ExportEntry::new(now - 3_600_000_000 + n * 1000)
                .field("_HOSTNAME", "h")
                .field("_SYSTEMD_UNIT", format!("u{}.service", n % 7))
                .message(format!("message {n}"))
        })
        .collect();
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("a.journal");
    or_skip!(build_journal(&file, &entries, Format::default()));
    let want = or_skip!(journalctl_export(&[&file]));
    for (name, says) in foreign().into_iter().filter(|(name, _)| {
        ["envoy", "nginx", "422 json", "400 json", "packed", "broken chunks"].contains(name)
    }) {
        let loki = Loki::start();
        let proxy = Proxy::start(LOCAL, &loki.url());
        let mut agent = Agent::new(&file, &proxy.url(), "");
        for_a_while(&proxy, Fault::Says(says), Duration::from_secs(2));
        agent.start();
        loki.wait_for(|state| state.stored().len() >= 4000, PATIENCE)
            .unwrap_or_else(|why| panic!("{name}: {why}\n{}", agent.log()));
        agent.stop();
        assert_arrived(&want, &loki.stored());
        assert!(agent.log().contains("4000 entries acknowledged, 0 refused"), "{name}: {}", agent.log());
        // With pauses of 10 to 200 ms.
        assert!(proxy.requests() < 60, "{name}: {} requests", proxy.requests());
    }
}
