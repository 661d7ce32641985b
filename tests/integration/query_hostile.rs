//! Hostile clients of the read API: what they ask and how they behave ends with an error, while entries go on to Loki and
//! memory stays below its bound.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::query_api::{Asked, TOKEN, escaped, exchange};
use crate::query_hangup::thread_of_a_query;
use crate::support::agent::PATIENCE;
use crate::support::fixtures::ExportEntry;
use crate::support::journald::wait_until;
use crate::support::or_skip;

/// What the agent takes at rest and while it ships (KiB), as a debug build.
const AT_REST: u64 = 48 << 10;
/// What a query may take (KiB): the documented 50 MB.
const QUERY: u64 = 50_000_000 / 1024;
/// When the entries of [`bulky`] begin (microseconds since 1970).
const BASE: u64 = 1_795_240_800_000_000;
/// What an agent may still do for a query whose client has gone or whose time is over, and for those who ask meanwhile (hundredths of a
/// second of processor time).
const WORK_MAX: u64 = 300;
/// How soon somebody is answered beside connections that say nothing: these are waited for ten seconds.
const SOON: Duration = Duration::from_secs(8);

/// Entries with long lines: 4 KiB each, 24 MB in all.
pub(crate) fn bulky() -> Vec<ExportEntry> {
    let entry = |n: u64| {
        let words: String = (0..512)
            .map(|k| format!("{:07x} ", (n * 512 + k).wrapping_mul(2_654_435_761) & 0xfff_ffff))
            .collect();
        ExportEntry::new(BASE + n * 1_000_000)
            .message(words)
            .field("_PID", n.to_string())
            .field("_SYSTEMD_UNIT", "bulky.service")
            .field("_HOSTNAME", "h")
    };
    (0..6000).map(entry).collect()
}

/// The form of a query over all of [`bulky`].
pub(crate) fn form(query: &str, more: &str) -> String {
    format!("query={}&start={}&end={}&{more}", escaped(query), BASE / 1_000_000, BASE / 1_000_000 + 6000)
}

pub(crate) const RANGE: &str = "/loki/api/v1/query_range";

/// A log query that looks at each line for long.
pub(crate) fn long_logs() -> String {
    let filters: String = (1..=100).map(|n| format!(r#" |~ "^.*[0-9a-f ]{{{n}}}$""#)).collect();
    form(&format!(r#"{{job=~".+"}}{filters} | pid="none""#), "limit=10")
}

/// A metric query of the recorded journal that makes many evaluations, all after the last entry.
pub(crate) fn long_metric() -> String {
    let one = |n| format!(r#"quantile_over_time(0.{n}, {{job=~".+"}} | unwrap pid [2h]) by (job)"#);
    let query = (10..30).map(one).collect::<Vec<_>>().join(" + ");
    format!("query={}&start=1795248000&end=1795249000&step=100ms", escaped(&query))
}

/// Processor time that a process has used (ticks of 10 ms; proc(5), `stat`).
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit(") ").next().unwrap().split(' ');
    fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
}

/// Sends a request, and does not wait for the reply.
pub(crate) fn begin(asked: &Asked, path: &str, form: &str) -> UnixStream {
    let mut stream = asked.unix();
    let kind = "application/x-www-form-urlencoded";
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        form.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(form.as_bytes())).unwrap();
    stream
}

#[test]
fn queries_that_are_too_large_are_refused() {
    let mut asked = or_skip!(Asked::start(""));
    let nested = |open: &str, inner: &str, close: &str, times: usize| {
        open.repeat(times) + inner + &close.repeat(times)
    };
    let rate = r#"rate({a="b"}[1m])"#;
    for query in [
        r#"{job=~".+"} |~ "((a{1000}){1000}){1000}""#.to_owned(),
        format!(r#"{{job=~".+"}} |~ "{}""#, nested("(", "a", ")", 20_000)),
        format!(r#"{{job=~"{}"}}"#, nested("(", "a", "){1,99}", 200)),
        format!(r#"{{job=~".+"}} | {}"#, nested("(", "a=1", ")", 20_000)),
        nested("(", rate, ")", 50_000),
        nested("sum(", rate, ")", 20_000),
        nested("sum by (a) (", &format!("topk(1, {rate})"), ")", 5_000),
        format!("{}1", "-".repeat(100_000)),
        format!("{}1", "2 ^ ".repeat(30_000)),
        nested("{", "", "}", 100_000),
        "{a=\"".to_owned() + &"\\".repeat(120_000),
        format!(r#"{{job=~".+"}} | json x="{}""#, nested("a[", "0", "]", 20_000)),
        format!(r#"{{job=~".+"}} | line_format "{}""#, nested("{{if .a}}", "x", "{{end}}", 10_000)),
        format!(r#"{{job=~".+"}} | line_format `{{{{ {} }}}}`"#, nested("(print ", "1", ")", 10_000)),
    ] {
        let begun = Instant::now();
        let reply = asked.post(RANGE, format!("query={}", escaped(&query)).as_bytes());
        let shown: String = query.chars().take(60).collect();
        assert!([400, 413].contains(&reply.status), "{shown}: {} {:.300}", reply.status, reply.body);
        assert!(reply.body.len() < 4096, "{shown}: an error of {} bytes", reply.body.len());
        assert!(begun.elapsed() < PATIENCE / 4, "{shown}: {:?}", begun.elapsed());
    }
    asked.assert_ships(AT_REST + QUERY);
}

#[test]
fn numbers_at_their_limits_are_answered_or_refused() {
    let mut asked = or_skip!(Asked::start(""));
    let least = i64::MIN.to_string();
    let most = i64::MAX.to_string();
    let times = [
        &*least,
        &*most,
        "-1",
        "0",
        "1",
        "1795248000",
        "1e400",
        "9223372036854775.9",
        "-9999-01-01T00:00:00Z",
    ];
    let steps = ["", "0.000000001", "1", "292y", "9223372036", "1e-300", "NaN", "-1"];
    let selector = escaped(r#"{unit=~"haproxy.*"}"#);
    let counted = escaped(r#"sum(count_over_time({unit=~"haproxy.*"}[292y] offset 292y))"#);
    let mut targets = Vec::new();
    for (n, time) in times.iter().enumerate() {
        targets.push(format!("query?query={counted}&time={time}"));
        for end in times {
            let step = steps[n % steps.len()];
            targets.push(format!("query_range?query={selector}&start={time}&end={end}&limit=5"));
            targets.push(format!("query_range?query={counted}&start={time}&end={end}&step={step}"));
            targets.push(format!("index/volume_range?query={selector}&start={time}&end={end}&step={step}"));
        }
        for path in ["labels", "series", "index/stats", "index/volume", "detected_fields"] {
            targets.push(format!("{path}?query={selector}&match[]={selector}&start={time}&end={most}"));
            targets.push(format!("{path}?query={selector}&match[]={selector}&start={least}&end={time}"));
        }
    }
    // Beside each other's ends, where a step leads beyond what a number holds.
    for (start, end) in [(i64::MIN, i64::MIN + 10), (i64::MAX - 10, i64::MAX)] {
        for path in ["query_range", "index/volume_range"] {
            targets.push(format!("{path}?query={selector}&start={start}&end={end}&step=0.000000001"));
            targets.push(format!("query_range?query={counted}&start={start}&end={end}&step=0.000000001"));
        }
    }
    for target in targets {
        let reply = asked.get(&format!("/loki/api/v1/{target}"));
        assert!([200, 400].contains(&reply.status), "{target}: {reply:?}\n{}", asked.agent.log());
    }
    asked.assert_ships(AT_REST + QUERY);
}

#[test]
fn requests_without_end_are_cut_off() {
    let mut asked = or_skip!(Asked::start(""));
    let long = "x".repeat(10 << 20);
    // The server may close the connection before all is written; then there may be no reply to read.
    let statuses = |method: &str, target: &str, headers: &str, body: &str| {
        let mut stream = asked.unix();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        );
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
        let mut bytes = Vec::new();
        let _ = stream.take(4096).read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        text.split(' ').nth(1).map(str::to_owned)
    };
    let target = format!("{RANGE}?query={long}");
    let close = "Connection: close\r\n";
    let header = format!("{close}X: {long}\r\n");
    let form = format!("{close}Content-Type: application/x-www-form-urlencoded\r\n");
    for (what, status, refused) in [
        ("a long address", statuses("GET", &target, close, ""), ["414", "431"]),
        ("a long header", statuses("GET", "/ready", &header, ""), ["431", "400"]),
        ("a long form", statuses("POST", RANGE, &form, &long), ["413", "413"]),
    ] {
        assert!(status.as_deref().is_none_or(|status| refused.contains(&status)), "{what}: {status:?}");
    }
    assert_eq!(asked.get("/ready").status, 200);
    asked.assert_ships(AT_REST);
}

#[test]
fn connections_without_number_keep_nobody_from_shipping() {
    let mut asked = or_skip!(Asked::start(""));
    // They ask at once, and each is answered when its turn comes.
    let mut streams: Vec<UnixStream> = (0..500).map(|_| asked.unix()).collect();
    let request = "GET /loki/api/v1/labels HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    streams.iter_mut().for_each(|stream| stream.write_all(request.as_bytes()).unwrap());
    let mut counts = std::collections::BTreeMap::new();
    for stream in &mut streams {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        *counts.entry(text.split(' ').nth(1).unwrap_or_default().to_owned()).or_insert(0) += 1;
    }
    assert!(counts.keys().all(|status| status == "200" || status == "429"), "{counts:?}");
    assert!(counts["200"] >= 4, "{counts:?}");
    asked.assert_ships(AT_REST + 4 * QUERY);

    // They say nothing.
    let silent: Vec<_> = (0..500).map(|_| asked.tcp()).collect();
    asked.assert_ships(AT_REST + 4 * QUERY);
    // The socket is not the port.
    assert_eq!(asked.get("/ready").status, 200);
    drop(silent);
    // Who asks at the port is answered before the silent ones have lost their patience.
    let silent: Vec<_> = (0..100).map(|_| asked.tcp()).collect();
    let begun = Instant::now();
    let token = format!("Authorization: Bearer {TOKEN}\r\n");
    let reply = exchange(asked.tcp(), "GET", "/ready", &token, b"");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert_eq!(reply.status, 200, "{}", reply.body);
    drop(silent);
}

#[test]
fn a_query_without_its_client_ends_and_gives_its_place() {
    let bulky = or_skip!(Asked::over(&bulky(), "concurrent: 1"));
    let recorded = or_skip!(Asked::start("concurrent: 1"));
    for (asked, path, query) in [(&bulky, RANGE, long_logs()), (&recorded, RANGE, long_metric())] {
        let before = ticks(asked.agent.pid());
        let stream = begin(asked, path, &query);
        // Long enough to have read all entries of the recorded journal.
        wait_until(path, || ticks(asked.agent.pid()) > before + 150);
        assert!(thread_of_a_query(asked.agent.pid()).is_some(), "it runs");
        assert_eq!(asked.get("/ready").status, 200, "it needs no place");
        drop(stream);
        let before = ticks(asked.agent.pid());
        assert_eq!(asked.get("/loki/api/v1/labels").status, 200, "the place is free");
        let spent = ticks(asked.agent.pid()) - before;
        assert!(spent < WORK_MAX, "{path}: {spent} hundredths of a second");
    }
}

#[test]
fn a_query_that_takes_too_long_is_told_so() {
    let bulky = or_skip!(Asked::over(&bulky(), "timeout: 1s"));
    let recorded = or_skip!(Asked::start("timeout: 1s"));
    for (mut asked, query) in [(bulky, long_logs()), (recorded, long_metric())] {
        let before = ticks(asked.agent.pid());
        let reply = asked.post(RANGE, query.as_bytes());
        assert_eq!((reply.status, reply.body.as_str()), (504, "the query timed out: shorten its span"));
        let spent = ticks(asked.agent.pid()) - before;
        assert!(spent < WORK_MAX, "{spent} hundredths of a second");
        asked.assert_ships(AT_REST + 2 * QUERY);
    }
}

#[test]
fn an_answer_is_bounded() {
    let mut asked = or_skip!(Asked::over(&bulky(), ""));
    // Lines of 4 KiB.
    let reply = asked.post(RANGE, form(r#"{job=~".+"}"#, "limit=5000").as_bytes());
    assert_eq!(reply.status, 400, "{:.300}", reply.body);
    assert!(reply.body.contains("the lines of the answer take more than 8 MiB"), "{}", reply.body);
    let reply = asked.post(RANGE, form(r#"{job=~".+"}"#, "limit=1500").as_bytes());
    assert_eq!(reply.status, 200, "{:.300}", reply.body);
    assert!(reply.body.len() > 6_000_000, "{}", reply.body.len());
    // As many series as entries.
    let reply = asked.post(RANGE, form(r#"sum(count_over_time({job=~".+"}[2h]))"#, "step=1h").as_bytes());
    assert_eq!(reply.status, 200, "{:.300}", reply.body);
    let reply =
        asked.post(RANGE, form(r#"sum by (pid) (count_over_time({job=~".+"}[2h]))"#, "step=1h").as_bytes());
    assert_eq!(reply.status, 400, "{:.300}", reply.body);
    assert!(reply.body.contains("maximum number of series (500) reached"), "{}", reply.body);
    asked.assert_ships(AT_REST + 2 * QUERY);
}

/// Answers of 6 MB to clients that do not read them.
#[test]
fn slow_readers_hold_no_more_memory_than_queries_may() {
    let mut asked = or_skip!(Asked::over(&bulky(), "concurrent: 2"));
    let query = form(r#"{job=~".+"}"#, "limit=1500");
    let mut slow = Vec::new();
    for n in 0..16 {
        let mut stream = begin(&asked, RANGE, &query);
        if n < 2 {
            // Its first bytes, so that the answer is there.
            stream.read_exact(&mut [0; 16]).unwrap();
        }
        slow.push(stream);
    }
    // The places are held until these are read, so all others wait.
    for stream in &mut slow[2..4] {
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let nothing = stream.read(&mut [0; 16]).map_err(|error| error.kind());
        assert_eq!(nothing, Err(std::io::ErrorKind::WouldBlock));
    }
    asked.assert_ships(AT_REST + 2 * 2 * QUERY);
}
