//! What Loki acknowledged it has: nothing is refused behind a 204, and what is sent again after an answer was lost is
//! counted once. Batches as a reader makes them, pushed by the library to the double, over loopback. Each test also
//! sends the same as one request for each batch, which shows what the layout is for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::support::agent::PATIENCE;
use crate::support::loki::by_hand::now_ns;
use crate::support::loki::{Answer, BLOCK_SIZE, Loki, Rate};
use crate::support::pushing::{Counts, Pushing, batch, plain};
use journal_ship::loki::batch::{Batches, PORTION};
use journal_ship::loki::encode::Metadata;
use journal_ship::loki::proto::PushRequest;
use journal_ship::shape::labels::Stream;

const HOUR: u64 = 3_600_000_000_000;

/// A reader's side: it makes batches, and its pusher sends them.
struct Sender {
    batches: Batches,
    streams: Vec<String>,
    pushing: Pushing,
    entries: u64,
}

impl Sender {
    /// As the agent does it after a start, or with a request for each batch.
    fn start(loki: &Loki, laid_out: bool) -> Sender {
        let batches = if laid_out { Batches::new(5000) } else { Batches::ordered() };
        Sender { batches, streams: Vec::new(), pushing: Pushing::start(&loki.url()), entries: 0 }
    }

    fn push(&mut self, labels: &str, time: u64, line: &str) {
        let id = self.streams.iter().position(|known| known == labels).unwrap_or_else(|| {
            self.streams.push(labels.to_owned());
            self.streams.len() - 1
        });
        let stream = Stream { id: id as u32, labels: labels.into() };
        self.batches.push(None, &stream, time, line, &Metadata::default());
        self.entries += 1;
    }

    fn send(&mut self) {
        self.pushing.send(self.batches.seal());
    }

    fn wait(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.pushing.done() < self.pushing.parcels {
            assert!(Instant::now() < deadline, "{:?}", self.pushing.counter.0.lock().unwrap());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn finish(self) -> Counts {
        self.pushing.finish()
    }
}

fn now() -> u64 {
    u64::try_from(now_ns()).unwrap()
}

/// Whether what was counted as stored is stored.
fn is_true(loki: &Loki, counts: &Counts, entries: u64) -> bool {
    let refused: u64 = counts.refused.values().sum();
    assert_eq!(counts.acknowledged + refused, entries, "{counts:?}");
    counts.acknowledged == loki.stored().len() as u64
}

#[test]
fn a_stream_that_jumps_back_is_refused_in_the_open() {
    for laid_out in [true, false] {
        let loki = Loki::start();
        let (mut sender, now) = (Sender::start(&loki, laid_out), now());
        let (jumps, calm) = (r#"{a="jumps"}"#, r#"{a="calm"}"#);
        for n in 0..5 {
            sender.push(jumps, now + n, "in time");
            sender.push(calm, now + n, "in time");
        }
        sender.send();
        // The answer is not here yet.
        sender.push(jumps, now + 5 - 2 * HOUR, "behind");
        sender.push(calm, now + 5, "in time");
        sender.send();
        sender.wait();
        for n in 6..10 {
            sender.push(jumps, now + n - 2 * HOUR, "behind");
            sender.push(jumps, now + n, "in time");
            sender.push(calm, now + n, "in time");
        }
        sender.send();
        let entries = sender.entries;
        let counts = sender.finish();
        assert_eq!(loki.discarded(), BTreeMap::from([("too_far_behind", 5)]));
        assert_eq!(is_true(&loki, &counts, entries), laid_out, "{counts:?}");
        if laid_out {
            assert_eq!(counts.refused, BTreeMap::from([("too_far_behind", 5)]));
        }
    }
}

#[test]
fn after_a_start_the_newest_entry_that_loki_has_is_not_known() {
    for laid_out in [true, false] {
        let loki = Loki::start();
        let now = now();
        let (jumps, calm) = (r#"{a="jumps"}"#, r#"{a="calm"}"#);
        let mut before = Sender::start(&loki, laid_out);
        before.push(jumps, now, "in time");
        before.push(calm, now, "in time");
        before.send();
        before.finish();
        // The clock went back 50 minutes and later 20 more: only then Loki refuses.
        let mut sender = Sender::start(&loki, laid_out);
        for minutes in [50, 70] {
            for n in 1..4 {
                sender.push(jumps, now - minutes * HOUR / 60 + n, "back");
                sender.push(calm, now + n + minutes, "in time");
            }
            sender.send();
            sender.wait();
        }
        let entries = sender.entries;
        let counts = sender.finish();
        assert_eq!(loki.discarded(), BTreeMap::from([("too_far_behind", 3)]));
        let stored = loki.stored().len() as u64 - 2;
        assert_eq!(counts.acknowledged == stored, laid_out, "{counts:?}, {stored} of {entries}");
    }
}

#[test]
fn a_full_tenant_hides_no_stream_and_holds_none_back() {
    for laid_out in [true, false] {
        // Two streams that it has, and one place.
        let loki = Loki::builder().streams_limit(3).start();
        let now = now();
        let known = [r#"{host="h", unit="a"}"#, r#"{host="h", unit="b"}"#];
        let mut before = Sender::start(&loki, laid_out);
        for labels in known.iter().chain([&r#"{host="h", overflow="true"}"#]) {
            before.push(labels, now, "before");
        }
        before.send();
        before.finish();
        let mut sender = Sender::start(&loki, laid_out);
        for round in 1..4 {
            for new in ["x", "y"] {
                sender.push(
                    &format!(r#"{{host="h", unit="{new}"}}"#),
                    now + round,
                    &format!("{new} {round}"),
                );
            }
            for labels in known {
                sender.push(labels, now + round, &format!("{labels} {round}"));
            }
            sender.send();
        }
        let entries = sender.entries;
        let counts = sender.finish();
        let stored = loki.stored().len() as u64 - 3;
        assert_eq!((counts.acknowledged, &counts.refused), (entries, &BTreeMap::new()));
        assert_eq!(stored == entries, laid_out, "{stored} of {entries}: {counts:?}");
        // Those that Loki has come before the first new one.
        let order: Vec<_> = loki.stored().iter().skip(3).map(|entry| entry.line.clone()).collect();
        let first = order.iter().take(2).filter(|line| line.ends_with(" 1") && !line.starts_with(['x', 'y']));
        assert_eq!(first.count(), 2, "{order:?}");
    }
}

#[test]
fn a_stream_over_its_rate_is_not_hidden_by_calm_ones() {
    let line = "x".repeat(1000);
    for laid_out in [true, false] {
        let rate = Rate { per_second: 1 << 20, burst: 1 << 20 };
        let tenant = Rate { per_second: 1 << 30, burst: 1 << 30 };
        let loki = Loki::builder().sharding(false).stream_rate(rate).tenant_rate(tenant).start();
        let (mut sender, now) = (Sender::start(&loki, laid_out), now());
        let mut entry = 0;
        for _ in 0..4 {
            for n in 0..1000 {
                entry += 1;
                sender.push(r#"{a="busy"}"#, now + entry, &line);
                if n % 20 == 0 {
                    sender.push(&format!("{{a=\"calm {}\"}}", n % 7), now + entry, "calm");
                }
            }
            sender.send();
        }
        let entries = sender.entries;
        let counts = sender.finish();
        let true_ = is_true(&loki, &counts, entries);
        println!(
            "laid out {laid_out}: {} stored, {} counted of {entries}; discarded {:?}; {counts:?}",
            loki.stored().len(),
            loki.counted(),
            loki.discarded()
        );
        assert_eq!(true_, laid_out);
    }
}

/// Sends 1,200 entries of one stream, about 1 MB, while so many answers are lost from the `nth` request on. Returns how
/// many entries a log query shows, how many a metric query counts, and how many requests there were.
fn lose_answers(laid_out: bool, nth: usize, lost: usize) -> (u64, u64, usize) {
    let loki = Loki::start();
    let (mut sender, now) = (Sender::start(&loki, laid_out), now());
    loki.answer_next(nth, Answer::Stall(Duration::ZERO));
    loki.answer_next(lost, Answer::CloseBeforeAnswer);
    for n in 0..1200 {
        sender.push(r#"{a="busy"}"#, now + n, &format!("{n:0860}"));
    }
    sender.send();
    sender.finish();
    (loki.stored().len() as u64, loki.counted(), loki.received_requests().len())
}

#[test]
fn what_is_sent_again_after_a_lost_answer_is_counted_once() {
    let (stored, counted, _) = lose_answers(false, 0, 1);
    println!("as one request: {stored} by a log query, {counted} by count_over_time");
    assert!(stored == 1200 && counted > 2000);
    let (_, _, requests) = lose_answers(true, 0, 0);
    assert_eq!(requests, 17, "no portion is small for nothing");
    let most = (PORTION / 860) as u64 + 1;
    let mut twice = Vec::new();
    for lost in [1, 3] {
        for nth in 0..requests {
            let (stored, counted, _) = lose_answers(true, nth, lost);
            assert_eq!(stored, 1200, "request {nth}");
            twice.push(counted - 1200);
            assert!(counted - 1200 <= most, "request {nth}: {counted}");
        }
    }
    println!(
        "in {requests} requests, counted twice when the answers from the n-th on are lost (1, 3): {twice:?}"
    );
    // Only where a block was closed within the request.
    let whole = twice.iter().filter(|twice| **twice == 0).count();
    assert!(whole * 4 >= twice.len() * 2, "{twice:?}");
    assert_eq!(PORTION * 4, BLOCK_SIZE);
}

/// Entries and streams of each request that came in.
fn requests(loki: &Loki) -> Vec<(usize, usize)> {
    let of = |request: crate::support::loki::Received| {
        let plain = snap::raw::Decoder::new().decompress_vec(&request.body).unwrap();
        let streams = <PushRequest as prost::Message>::decode(plain.as_slice()).unwrap().streams;
        (streams.iter().map(|stream| stream.entries.len()).sum(), streams.len())
    };
    loki.received_requests().into_iter().map(of).collect()
}

#[test]
fn after_an_outcome_that_is_not_clear_the_least_is_sent_first() {
    for answer in [Answer::CloseBeforeAnswer, Answer::StoreThenStatus(504, "gave up".into())] {
        let loki = Loki::start();
        loki.answer_next(3, answer);
        let mut pushing = Pushing::start(&loki.url());
        let entries: Vec<_> = (0..800).map(|n| (r#"{a="1"}"#, format!("{n:080}"), Vec::new())).collect();
        pushing.send(vec![batch(&entries)]);
        let counts = pushing.finish();
        assert_eq!((counts.acknowledged, loki.stored().len()), (800, 800));
        let sizes: Vec<_> = requests(&loki).into_iter().map(|(entries, _)| entries).collect();
        assert_eq!(sizes, [800, 400, 200, 100, 100, 200, 400]);
        assert_eq!(loki.counted(), 800);
    }
    // What cannot have arrived is sent as it was.
    let loki = Loki::start();
    loki.refuse_connections(true);
    let mut pushing = Pushing::start(&loki.url());
    pushing.send(vec![batch(&plain(800))]);
    let deadline = Instant::now() + PATIENCE;
    while pushing.counter.0.lock().unwrap().statuses.get(&0).is_none_or(|count| *count < 3) {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(2));
    }
    loki.refuse_connections(false);
    pushing.finish();
    assert_eq!(requests(&loki), [(800, 2)]);
}

#[test]
fn a_request_that_had_to_wait_is_taken_apart() {
    let loki = Loki::start();
    let mut pushing = Pushing::start(&loki.url());
    for (minutes, streams) in [(0, 2), (5, 2), (11, 1)] {
        let mut sealed = batch(&plain(9));
        let Some(laid) = Instant::now().checked_sub(Duration::from_secs(minutes * 60)) else { return };
        sealed.laid = Some(laid);
        pushing.send(vec![sealed]);
        let deadline = Instant::now() + PATIENCE;
        while pushing.done() < pushing.parcels {
            assert!(Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(requests(&loki).last().unwrap().1, streams, "after {minutes} minutes");
    }
    assert_eq!(pushing.finish().acknowledged, 27);
}
