//! The bounds of queries that the configuration names: each refuses what is over it, in Loki's words, and lets through what is not.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::query_api::{Asked, escaped};
use crate::query_hangup::thread_of_a_query;
use crate::query_hostile::{RANGE, begin, long_metric};
use crate::support::agent::PATIENCE;
use crate::support::journald::wait_until;
use crate::support::or_skip;

const LABELS: &str = "/loki/api/v1/labels";
/// Longer than a moment, and than what a query once waited (one second).
const WAITED: Duration = Duration::from_millis(1500);
/// Queries that may wait for a place (count), as docs/query.md says.
const WAITING_MAX: usize = 32;
/// The two hours of the recorded journal.
const SPAN: &str = "start=1795240800&end=1795248000";
const ALL: &str = r#"{job=~".+"}"#;

/// Asks for a path with a query, and gives the status and the text.
fn ask(asked: &Asked, path: &str, query: &str, more: &str) -> (u16, String) {
    let reply = asked.get(&format!("/loki/api/v1/{path}?query={}&{more}", escaped(query)));
    (reply.status, reply.body)
}

#[test]
fn each_bound_refuses_what_is_over_it_in_lokis_words() {
    let bounds = "limits: {span: 2h, entries: 200, series: 3}";
    let asked = or_skip!(Asked::start(bounds));
    let longer = "start=1795240799.999&end=1795248000";
    let length =
        |length: &str| format!("the query time range exceeds the limit (query length: {length}, limit: 2h)");
    let hour = "start=1795244400&end=1795248000";
    let (count, ranges) =
        (r#"sum(count_over_time({unit="sshd.service"}[5m]))"#, r#"sum(rate({unit="sshd.service"}[3h]))"#);
    let by_unit = r#"sum by (unit) (count_over_time({job=~".+", level="error"}[1h]))"#;
    for (path, query, more, words) in [
        ("query_range", r#"{unit="sshd.service"}"#, longer.to_owned(), length("2h0m0.001s")),
        ("query_range", count, longer.to_owned(), length("2h0m0.001s")),
        ("query", ranges, "time=1795248000".to_owned(), length("3h0m0s")),
        ("series", "", format!("match[]={}&start=0&end=1795248000", escaped(ALL)), length("498680h0m0s")),
        ("labels", ALL, longer.to_owned(), length("2h0m0.001s")),
        ("label/unit/values", ALL, longer.to_owned(), length("2h0m0.001s")),
        ("index/stats", ALL, longer.to_owned(), length("2h0m0.001s")),
        ("index/volume", ALL, longer.to_owned(), length("2h0m0.001s")),
        ("index/volume_range", ALL, longer.to_owned(), length("2h0m0.001s")),
        ("detected_labels", ALL, longer.to_owned(), length("2h0m0.001s")),
        ("detected_fields", ALL, longer.to_owned(), length("2h0m0.001s")),
        (
            "query_range",
            r#"{unit="sshd.service"}"#,
            format!("{hour}&limit=201"),
            "max entries limit per query exceeded, limit > max_entries_limit_per_query (201 > 200)".to_owned(),
        ),
        (
            "query",
            by_unit,
            "time=1795248000".to_owned(),
            "maximum number of series (3) reached for a single query; consider reducing query cardinality by adding more \
             specific stream selectors, reducing the time range, or aggregating results with functions like sum(), count() \
             or topk()"
                .to_owned(),
        ),
    ] {
        let (status, text) = ask(&asked, path, query, &more);
        assert_eq!((status, &text), (400, &words), "{path} {query} {more}");
    }
    let asked = or_skip!(Asked::start("limits: {bytes_read: 1MiB}"));
    let (status, text) = ask(&asked, "query", "sum(count_over_time({job=~\".+\"}[2h]))", "time=1795248000");
    assert_eq!(status, 400, "{text}");
    let (before, rest) = text.split_once("(query: ").unwrap();
    assert_eq!(before, "the query would read too many bytes ");
    assert!(
        rest.ends_with(
            " MiB, limit: 1.0 MiB); consider adding more specific stream selectors or reduce the time range of the query"
        ),
        "{text}"
    );
    // Reading ends soon after.
    let read: f64 = rest.split(' ').next().unwrap().parse().unwrap();
    assert!((1.0..2.0).contains(&read), "{text}");
    assert!(!asked.agent.log().contains("panicked"), "{}", asked.agent.log());
}

#[test]
fn what_is_not_over_a_bound_is_answered() {
    let bounds = "limits: {span: 2h, entries: 200, series: 3, bytes_read: 64MiB}";
    let asked = or_skip!(Asked::start(bounds));
    for (path, query, more) in [
        ("query_range", ALL, format!("{SPAN}&limit=200")),
        ("query_range", r#"sum(count_over_time({job=~".+"}[2h]))"#, format!("{SPAN}&limit=5001")),
        ("query", r#"topk(3, sum by (unit) (rate({job=~".+"}[2h])))"#, "time=1795248000".to_owned()),
        ("index/stats", ALL, SPAN.to_owned()),
        ("detected_fields", ALL, SPAN.to_owned()),
    ] {
        let (status, text) = ask(&asked, path, query, &more);
        assert_eq!(status, 200, "{path} {query} {more}: {text}");
    }
    // Without the section, spans and bytes have no bound.
    let asked = or_skip!(Asked::start(""));
    let (status, text) =
        ask(&asked, "query", r#"sum(count_over_time({job=~".+"}[20000d]))"#, "time=1795248000");
    assert_eq!(status, 200, "{text}");
    let (status, text) = ask(&asked, "query_range", ALL, "start=0&end=1795248000&limit=5000");
    assert_eq!(status, 200, "{text}");
}

/// A dashboard asks for many panels at once: each is answered when its turn comes.
#[test]
fn queries_wait_for_a_place_and_leave_with_their_clients() {
    let asked = or_skip!(Asked::start("concurrent: 1"));
    let statuses = |stream: &mut UnixStream| {
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        String::from_utf8_lossy(&head[9..]).into_owned()
    };
    let busy = begin(&asked, RANGE, &long_metric());
    wait_until("the query runs", || thread_of_a_query(asked.agent.pid()).is_some());
    let mut waiting: Vec<UnixStream> = (0..WAITING_MAX).map(|_| begin(&asked, LABELS, "")).collect();
    // One more than may wait.
    let mut refused = None;
    wait_until("somebody is refused", || {
        let reply = asked.get(LABELS);
        let is = reply.status == 429;
        refused = Some(reply);
        is
    });
    assert_eq!(refused.unwrap().body, "too many outstanding requests");
    assert_eq!(asked.get("/ready").status, 200, "it needs no place");
    // Whose clients have gone wait no longer.
    drop(waiting.split_off(1));
    let mut late = begin(&asked, LABELS, "");
    late.set_read_timeout(Some(WAITED)).unwrap();
    let nothing = (&late).read(&mut [0; 1]).map_err(|error| error.kind());
    assert_eq!(nothing.err(), Some(std::io::ErrorKind::WouldBlock), "it waits");
    late.set_read_timeout(Some(PATIENCE)).unwrap();
    drop(busy);
    assert_eq!((statuses(&mut waiting[0]), statuses(&mut late)), ("200".to_owned(), "200".to_owned()));
}
