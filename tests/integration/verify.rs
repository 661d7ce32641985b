//! `verify` against a Loki that loses entries under 204 and counts entries twice: each hole is found, named and mended, and nothing
//! else is sent.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use journal_ship::config::Config;
use journal_ship::query::verify::{Interval, Run, Shipped, Source, VerifyError, verify};
use serde_json::{Value, json};

use crate::support::agent::{Agent, PATIENCE, program};
use crate::support::fixtures::{ExportEntry, Format, build_journal};
use crate::support::loki::by_hand::{PROTOBUF, now_ns, post};
use crate::support::loki::{Answer, Loki, Stored};
use crate::support::{Unavailable, or_skip};

const SECOND: u64 = 1_000_000;
const HOUR: u64 = 3600 * SECOND;

/// A journal that was shipped to a double, and what is there now.
struct Shop {
    journal: tempfile::TempDir,
    loki: Loki,
    agent: Agent,
    /// When the first entry was written (microseconds since 1970).
    begin: u64,
}

/// What a command said.
struct Said {
    status: i32,
    out: String,
    err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Said {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said { status: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {} {}", self.out, self.err))
    }

    #[track_caller]
    fn expect(&self, status: i32, parts: &[&str]) {
        let all = format!("{}\n{}", self.out, self.err);
        assert_eq!(self.status, status, "{all}");
        for part in parts {
            assert!(all.contains(part), "{part:?} is not in\n{all}");
        }
    }
}

/// The beginning of an hour, so many hours ago (microseconds since 1970).
fn hours_ago(hours: u64) -> u64 {
    let now = now_ns() as u64 / 1000;
    now / HOUR * HOUR - hours * HOUR
}

/// So many entries of three units, ten seconds apart, each a few milliseconds past a second.
fn entries(begin: u64, count: u64) -> Vec<ExportEntry> {
    let units = ["a.service", "b.service", "c.service"];
    (0..count)
        .map(|n| {
            ExportEntry::new(begin + n * 10 * SECOND + 7_001)
                .message(format!("line {n} \"quoted\" \u{e9}"))
                .field("_HOSTNAME", "oak")
                .field("_SYSTEMD_UNIT", units[n as usize % units.len()])
                .field("_PID", n.to_string())
                .field("PRIORITY", "6")
        })
        .collect()
}

type Labels = BTreeMap<String, String>;

impl Shop {
    /// Ships a journal; the double loses what `lose` says, by labels, time (nanoseconds since 1970) and line.
    fn open(
        entries: &[ExportEntry],
        loki: Loki,
        lose: impl Fn(&Labels, u64, &str) -> bool + Send + 'static,
        more: &str,
    ) -> Result<Shop, Unavailable> {
        let journal = tempfile::tempdir().unwrap();
        build_journal(&journal.path().join("a.journal"), entries, Format::default())?;
        loki.swallow(move |labels, time, line| lose(labels, time as u64, line));
        let mut agent = Agent::new(journal.path(), &loki.url(), "");
        if !more.is_empty() {
            agent.reconfigure("    batch:", &format!("    {more}\n    batch:"));
        }
        agent.start();
        let all = entries.len() as u64;
        loki.wait_for(|state| state.received_entries() >= all, PATIENCE)
            .unwrap_or_else(|why| panic!("{why}\n{}", agent.log()));
        agent.stop();
        loki.swallow(|_, _, _| false);
        Ok(Shop { journal, loki, agent, begin: entries[0].realtime })
    }

    fn usual(lose: impl Fn(&Labels, u64, &str) -> bool + Send + 'static) -> Result<Shop, Unavailable> {
        Shop::since(hours_ago(5), lose)
    }

    fn since(
        begin: u64,
        lose: impl Fn(&Labels, u64, &str) -> bool + Send + 'static,
    ) -> Result<Shop, Unavailable> {
        let loki = Loki::builder().ignore_age(true).start();
        Shop::open(&entries(begin, 900), loki, lose, "")
    }

    /// Verifies the whole journal.
    fn verify(&self, more: &[&str]) -> Said {
        let since = format!("@{}", self.begin / SECOND - 60);
        let config = self.agent.config();
        let mut args = vec!["verify", "--config", config.to_str().unwrap(), "--since", &since];
        args.extend(more);
        program(&args).output().unwrap().into()
    }

    /// The lines of the entries that were pushed since so many requests had come, in order.
    fn pushed_since(&self, stored: usize) -> Vec<Stored> {
        self.loki.stored().split_off(stored)
    }

    /// The questions of the read API so far, and their answers.
    fn questions(&self) -> Vec<(String, Option<u16>)> {
        let requests = self.loki.received_requests().into_iter().filter(|request| request.method == "GET");
        requests.map(|request| (request.query, request.status)).collect()
    }
}

#[test]
fn what_is_all_there_is_said_to_be() {
    let shop = or_skip!(Shop::usual(|_, _, _| false));
    let said = shop.verify(&[]);
    said.expect(0, &["900 entries in 3 streams compared with loki `main`", ": all there"]);
    let requests = shop.questions().len();
    assert!(requests <= 8, "{requests} questions for three streams");
    // Another journal of the same entries: its folder is named.
    let path = shop.journal.path().to_str().unwrap();
    shop.verify(&["--path", path]).expect(0, &[": all there"]);
    let json = shop.verify(&["-o", "json"]).json();
    assert_eq!(
        (&json["all_there"], &json["entries"], &json["missing"]),
        (&json!(true), &json!(900), &json!(0))
    );
}

/// A hole in the middle of a stream, an interval of all streams, and a whole stream.
#[test]
fn each_hole_is_found_and_mended_and_nothing_else_is_sent() {
    let hour = hours_ago(5);
    let begin = hour + 7_001;
    let within = move |from: u64, to: u64, at: u64| {
        (begin + from * SECOND..begin + to * SECOND).contains(&(at / 1000))
    };
    type Lose = Box<dyn Fn(&Labels, u64, &str) -> bool + Send + 'static>;
    let cases: [(&str, Lose, usize, &[&str]); 4] = [
        ("one entry", Box::new(move |_, _, line| line.starts_with("line 457 ")), 1, &["1 entry is missing"]),
        (
            "a hole in a stream",
            Box::new(move |labels, at, _| labels["unit"] == "b.service" && within(3000, 3300, at)),
            10,
            &["10 entries are missing", "b.service"],
        ),
        ("an interval", Box::new(move |_, at, _| within(3000, 7000, at)), 400, &["400 entries are missing"]),
        (
            "a stream",
            Box::new(|labels, _, _| labels["unit"] == "c.service"),
            300,
            &["300 entries are missing", "c.service"],
        ),
    ];
    for (name, lose, missing, parts) in cases {
        let shop = or_skip!(Shop::since(hour, lose));
        let there = shop.loki.stored().len();
        assert_eq!(there, 900 - missing, "{name}");
        let said = shop.verify(&[]);
        said.expect(1, parts);
        assert!(!said.out.contains("a.service\"") || name == "an interval", "{name}: {}", said.out);
        assert_eq!(shop.loki.stored().len(), there, "{name}: nothing was sent");
        // Off a terminal nobody can be asked.
        shop.verify(&["--repair"]).expect(2, &["--yes"]);
        let before = shop.loki.received_entries();
        let said = shop.verify(&["--repair", "--yes", "-o", "json"]);
        said.expect(0, &[]);
        let json = said.json();
        assert_eq!(
            json["repaired"],
            json!({"sent": missing, "acknowledged": missing, "refused": {}}),
            "{name}"
        );
        assert_eq!(shop.loki.received_entries() - before, missing as u64, "{name}");
        let sent = shop.pushed_since(there);
        assert_eq!(sent.len(), missing, "{name}");
        // They are too far behind for their own streams: the label says so, and all else is as it was.
        for entry in &sent {
            assert!(entry.labels.contains_key("repaired"), "{name}: {entry:?}");
            assert_eq!(entry.labels["host"], "oak");
            let pid = entry.line.split(' ').nth(1).unwrap();
            assert_eq!(entry.metadata, [("pid".to_owned(), pid.to_owned())], "{name}");
        }
        shop.verify(&[]).expect(0, &[": all there"]);
        assert_eq!(shop.loki.stored().len(), 900, "{name}");
        assert_eq!(shop.loki.counted(), 900, "{name}: nothing is there twice");
    }
}

#[test]
fn what_is_young_goes_to_its_own_stream() {
    let begin = now_ns() as u64 / 1000 - 40 * 60 * SECOND;
    let loki = Loki::start();
    let shop = or_skip!(Shop::open(&entries(begin, 200), loki, |_, _, line| line.starts_with("line 5"), ""));
    let there = shop.loki.stored().len();
    shop.verify(&["--repair", "--yes"])
        .expect(0, &["11 entries were sent again, 11 acknowledged", ": all there"]);
    let sent = shop.pushed_since(there);
    assert_eq!(sent.len(), 11);
    assert!(sent.iter().all(|entry| !entry.labels.contains_key("repaired")), "{sent:?}");
}

/// More than a block, stored again after its answer was lost.
#[test]
fn what_a_metric_query_counts_twice_is_named() {
    let begin = hours_ago(3);
    let many: Vec<_> = (0..1200)
        .map(|n| {
            ExportEntry::new(begin + n * SECOND + 500)
                .message(format!("{n} {}", "x".repeat(900)))
                .field("_HOSTNAME", "oak")
                .field("_SYSTEMD_UNIT", "a.service")
        })
        .collect();
    let loki = Loki::builder().ignore_age(true).start();
    let shop = or_skip!(Shop::open(&many, loki, |_, _, line| line.starts_with("700 "), ""));
    let pushes = shop.loki.received_requests();
    let first = pushes.iter().find(|request| request.method == "POST").unwrap();
    let (status, words) = post(&shop.loki, "/loki/api/v1/push", PROTOBUF, &first.body).unwrap();
    assert_eq!(status, 204, "{words}");
    let twice = shop.loki.counted() - shop.loki.stored().len() as u64;
    assert!(twice > 0);
    // As many are missing as are counted twice, or not: each is named.
    let said = shop.verify(&["-o", "json"]);
    assert_eq!(said.status, 1);
    let json = said.json();
    assert_eq!((&json["counted_twice"], &json["missing"]), (&json!(twice), &json!(1)), "{json}");
    shop.verify(&["--repair", "--yes"]).expect(1, &["nothing is missing", "a metric query counts"]);
    shop.verify(&["--allow-twice"]).expect(0, &["nothing is missing", "a metric query counts"]);
}

#[test]
fn it_waits_when_loki_asks_for_it_and_gives_up_when_it_fails() {
    let shop = or_skip!(Shop::usual(|_, _, _| false));
    shop.loki.answer_next_read(2, Answer::RetryAfter(429, "1".into()));
    shop.loki.answer_next_read(1, Answer::Status(503, "no".into()));
    let begin = std::time::Instant::now();
    shop.verify(&[]).expect(0, &[": all there"]);
    assert!(begin.elapsed().as_secs() >= 2, "{:?}", begin.elapsed());
    for (answer, parts) in [
        (
            Answer::Status(401, "no org id".into()),
            &["401", "no credentials are configured", "query_access"][..],
        ),
        (Answer::Status(404, "404 page not found".into()), &["404", "query_url"]),
        (Answer::Status(400, "the query would not do".into()), &["400", "would not do"]),
        (Answer::Status(200, "<html>log in</html>".into()), &["query_url"]),
        (
            Answer::Status(200, r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#.into()),
            &["not an answer of Loki", "resultType", "matrix"],
        ),
    ] {
        shop.loki.answer_next_read(1, answer);
        shop.verify(&[]).expect(2, parts);
    }
    shop.loki.answer_next_read(9, Answer::Status(500, "broken".into()));
    shop.verify(&[]).expect(2, &["500", "broken"]);
    // It gives up after five.
    shop.loki.wait_for(|state| state.pending_read_answers() == 4, PATIENCE).unwrap();
    shop.loki.refuse_connections(true);
    shop.verify(&[]).expect(2, &["cannot be asked"]);
}

/// A question that is under way is no reason to go on.
#[test]
fn the_time_is_over_while_loki_thinks() {
    let shop = or_skip!(Shop::usual(|_, _, _| false));
    shop.loki.answer_next_read(1, Answer::Stall(PATIENCE));
    let begin = std::time::Instant::now();
    shop.verify(&["--timeout", "1s"]).expect(2, &["--timeout"]);
    assert!(begin.elapsed() < PATIENCE / 2, "{:?}", begin.elapsed());
}

#[test]
fn where_the_journal_has_nothing_there_is_nothing_to_compare() {
    let shop = or_skip!(Shop::usual(|_, _, _| false));
    let said = shop.verify(&["--since", "-2y", "--until", "-1y"]);
    said.expect(0, &["0 entries in 0 streams", "nothing to compare", "journal.paths"]);
    assert!(!said.out.contains("all there"), "{}", said.out);
}

#[test]
fn a_loki_without_any_of_it_may_be_the_wrong_one() {
    let shop = or_skip!(Shop::usual(|_, _, _| true));
    shop.verify(&[]).expect(1, &["900 entries are missing", "Loki has none of them: is `tenant` right"]);
}

/// The agent would wait for a person; here one waits.
#[test]
fn where_nothing_is_taken_repair_ends_and_says_why() {
    let shop = or_skip!(Shop::usual(|_, _, line| line.starts_with("line 5")));
    for (status, words, parts) in [
        (
            404,
            "404 page not found",
            &["nothing can be sent again", "takes no entries: HTTP 404", "is the url right"][..],
        ),
        (401, "no org id", &["nothing can be sent again", "takes no entries: HTTP 401", "bearer_token_file"]),
    ] {
        shop.loki.answer_next(1, Answer::Status(status, words.into()));
        let begin = Instant::now();
        shop.verify(&["--repair", "--yes"]).expect(2, parts);
        assert!(begin.elapsed() < PATIENCE, "{status}: {:?}", begin.elapsed());
    }
}

#[test]
fn loki_is_asked_where_and_as_the_configuration_says() {
    let other = Loki::start();
    let secret = tempfile::tempdir().unwrap();
    let token = secret.path().join("token");
    std::fs::write(&token, "hunter2\n").unwrap();
    let more = format!(
        "tenant: team\n    query_url: {}/loki/api/v1\n    query_access: {{bearer_token_file: {token:?}}}",
        other.url()
    );
    let loki = Loki::builder().ignore_age(true).require_tenant(true).start();
    let shop = or_skip!(Shop::open(&entries(hours_ago(4), 60), loki, |_, _, _| false, &more));
    // The other one has nothing.
    shop.verify(&[]).expect(1, &["60 entries are missing"]);
    assert!(shop.questions().is_empty());
    for request in other.received_requests() {
        assert_eq!(request.header("authorization"), "Bearer hunter2");
        assert_eq!(request.header("x-scope-orgid"), "team");
    }
    other.answer_next_read(1, Answer::Status(401, "who hunter2 is".into()));
    let said = shop.verify(&[]);
    said.expect(2, &["401", "check ", "/token"]);
    assert!(!said.err.contains("hunter2"), "{}", said.err);
    shop.agent.reconfigure(&format!("{}/loki/api/v1", other.url()), &shop.loki.url());
    shop.verify(&["--destination", "main"]).expect(0, &[": all there"]);
    shop.verify(&["--destination", &shop.loki.url()]).expect(0, &[": all there"]);
    shop.verify(&["--destination", "mian"]).expect(2, &["mian", "`main`"]);
}

#[test]
fn what_was_not_sent_yet_is_not_missing() {
    let shop = or_skip!(Shop::usual(|_, _, _| false));
    let more = entries(shop.begin + 9_001 * SECOND, 50);
    or_skip!(build_journal(&shop.journal.path().join("b.journal"), &more, Format::default()));
    let said = shop.verify(&[]);
    said.expect(
        0,
        &["900 entries", ": all there", "50 entries are not compared: Loki has not acknowledged them yet"],
    );
    shop.verify(&["--repair", "--yes"]).expect(0, &[": all there"]);
    assert_eq!(shop.loki.stored().len(), 900);
    // Without a checkpoint, all of it is expected.
    let state = shop.agent.home.path().join("state/main.json");
    let saved = std::fs::read(&state).unwrap();
    std::fs::remove_file(&state).unwrap();
    shop.verify(&[]).expect(1, &["does not exist", "50 entries are missing"]);
    std::fs::write(&state, &saved[..saved.len() / 2]).unwrap();
    shop.verify(&[]).expect(2, &["is not a checkpoint"]);
}

/// What Loki refused because it was too old when the agent first started, and what it would refuse now.
#[test]
fn what_is_too_old_for_loki_is_named_and_not_tried_for_ever() {
    let mut all = entries(hours_ago(8 * 24), 30);
    all.extend(entries(now_ns() as u64 / 1000 - 40 * 60 * SECOND, 30));
    let shop = or_skip!(Shop::open(&all, Loki::start(), |_, _, _| false, ""));
    assert_eq!(shop.loki.stored().len(), 30);
    let said = shop.verify(&[]);
    said.expect(
        0,
        &["30 entries are not in their stream: older than Loki took when the agent first started"],
    );
    assert_eq!(shop.verify(&["-o", "json"]).json()["known"], json!({"too_old": 30}));
    // Nothing is known of an agent that would have read this.
    let path = shop.journal.path().to_str().unwrap();
    let said = shop.verify(&["--path", path, "--repair", "--yes"]);
    said.expect(
        1,
        &["30 entries were sent again, 0 acknowledged, 30 refused (too_old)", "30 entries are missing"],
    );
}

/// The digits below the microsecond tell them apart, as when they were shipped.
#[test]
fn equal_lines_of_one_microsecond_are_told_apart() {
    let at = hours_ago(4) + 12_345_678;
    let entry = || ExportEntry::new(at).message("the same").field("_SYSTEMD_UNIT", "a.service");
    let all: Vec<_> = (0..20).map(|_| entry()).collect();
    let loki = Loki::builder().ignore_age(true).start();
    let shop = or_skip!(Shop::open(&all, loki, |_, at, _| at % 1000 == 7, ""));
    shop.verify(&["--repair", "--yes"])
        .expect(0, &["1 entry is missing", "1 entry was sent again", ": all there"]);
    let mut digits: Vec<i64> = shop.loki.stored().iter().map(|stored| stored.timestamp_ns % 1000).collect();
    digits.sort_unstable();
    assert_eq!(digits, (0..20).collect::<Vec<_>>());
}

/// Hundreds of streams: no question has more series than Loki gives.
#[test]
fn many_streams_are_asked_about_in_parts() {
    let begin = hours_ago(4);
    let many: Vec<_> = (0..1300_u64)
        .map(|n| {
            ExportEntry::new(begin + n * SECOND + 500)
                .message(format!("line {n}"))
                .field("_HOSTNAME", "oak")
                .field("_SYSTEMD_UNIT", format!("unit-{}.service", n % 10))
                .field("PRIORITY", (n / 10 % 8).to_string())
                .field("_SYSTEMD_USER_UNIT", format!("of-{}.service", n / 80 % 8))
        })
        .collect();
    let loki = Loki::builder().ignore_age(true).start();
    let lose = |_: &Labels, _: u64, line: &str| line == "line 77" || line == "line 1299";
    let shop = or_skip!(Shop::open(&many, loki, lose, ""));
    let said = shop.verify(&["-o", "json"]);
    let json = said.json();
    assert_eq!((&json["streams"], &json["missing"]), (&json!(640), &json!(2)), "{json}");
    let rows = json["differences"].as_array().unwrap();
    let mut units: Vec<_> = rows.iter().map(|row| row["stream"]["unit"].as_str().unwrap()).collect();
    units.sort_unstable();
    assert_eq!(units, ["unit-7.service", "unit-9.service"], "{json}");
    let questions = shop.questions();
    assert!(questions.iter().all(|(_, status)| *status == Some(200)), "{questions:?}");
    let longest = questions.iter().map(|(query, _)| query.len()).max().unwrap();
    assert!(longest < 8 << 10, "{longest}");
}

/// A Loki that gives little at once is asked for less, until it answers.
#[test]
fn a_loki_with_small_limits_is_asked_for_less() {
    let loki = Loki::builder().ignore_age(true).answer_limits(2, 7).start();
    let lose =
        |_: &Labels, _: u64, line: &str| line.starts_with("line 457 ") || line.starts_with("line 701 ");
    let shop = or_skip!(Shop::open(&entries(hours_ago(5), 900), loki, lose, ""));
    let json = shop.verify(&["-o", "json"]).json();
    assert_eq!((&json["missing"], &json["entries"]), (&json!(2), &json!(900)), "{json}");
    assert_eq!(json["differences"].as_array().unwrap().len(), 2, "{json}");
    shop.verify(&["--repair", "--yes"]).expect(0, &["2 entries were sent again", ": all there"]);
}

/// A full tenant: entries go to an overflow stream, or to a stream that Loki has.
#[test]
fn entries_in_an_overflow_stream_are_not_missing() {
    let loki = Loki::builder().ignore_age(true).streams_limit(2).start();
    let shop = or_skip!(Shop::open(&entries(hours_ago(5), 300), loki, |_, _, _| false, ""));
    let stored = shop.loki.stored();
    assert_eq!(stored.len(), 300, "all were taken");
    let said = shop.verify(&["-o", "json"]);
    let json = said.json();
    assert_eq!((&json["missing"], &json["all_there"]), (&json!(0), &json!(true)), "{json}");
    assert_eq!(json["known"]["overflow_stream"], json!(100), "{json}");
    assert_eq!(said.status, 0);
    shop.verify(&["--repair", "--yes"]).expect(0, &["in an overflow stream"]);
    assert_eq!(shop.loki.stored().len(), 300, "nothing was sent again");
}

/// With room for a few entries only, a span is compared in parts: what is found is the same.
#[test]
fn a_long_span_is_compared_in_parts() {
    let shop = or_skip!(Shop::usual(|labels, _, line| labels["unit"] == "b.service" && line.contains("7")));
    let config = Config::load(&shop.agent.config(), &|_| None).unwrap();
    let source = Source {
        scope: config.journal.scope.clone(),
        sections: (&config).into(),
        destination: &config.loki[0],
    };
    let span = Interval::around(shop.begin - 61 * SECOND, shop.begin + 9_500 * SECOND);
    let found = |entries: usize| {
        let stop = AtomicBool::new(false);
        let deadline = Instant::now() + PATIENCE;
        let mut run = Run { stop: &stop, deadline, entries, progress: &mut |_| {} };
        let report = verify(&source, span, &Shipped::ALL, &mut run)?;
        Ok::<_, VerifyError>((report.missing(), report.entries, report.streams, report.requests))
    };
    let (missing, entries, streams, few) = found(1 << 20).unwrap();
    let lost = 900 - shop.loki.stored().len() as u64;
    assert_eq!((missing, entries, streams), (lost, 900, 3));
    let (missing, entries, streams, many) = found(20).unwrap();
    assert_eq!((missing, entries, streams), (lost, 900, 3));
    assert!(many > few, "{many} {few}");
    // There is no room for an entry.
    let error = found(0).unwrap_err().to_string();
    assert!(error.contains("a single second has more entries"), "{error}");
}

#[test]
fn json_says_what_differs_where() {
    let shop = or_skip!(Shop::usual(|_, _, line| line.starts_with("line 457 ")));
    let mut json = shop.verify(&["-o", "json"]).json();
    let row = json["differences"][0].take();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(
        keys(&json),
        "all_there altered before_first counted_twice destination differences entries from known missing not_sent_yet \
         requests streams to"
    );
    assert_eq!(keys(&row), "altered counted_twice from journal loki missing only_in_loki stream to");
    assert_eq!((&row["missing"], &row["stream"]["unit"]), (&json!(1), &json!("b.service")), "{row}");
    let at =
        |name: &str| row[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_microsecond() as u64;
    let lost = shop.begin + 457 * 10 * SECOND;
    assert!(at("from") < lost && lost <= at("to"), "{row}");
    let length = at("to") - at("from");
    assert!(length <= HOUR, "{row}");
}

#[test]
fn mistakes_are_named() {
    let shop = or_skip!(Shop::usual(|_, _, _| false));
    for (args, part) in [
        (&["--timeout", "soon"][..], "--timeout"),
        (&["--until", "1970-01-02"], "--since is after --until"),
        (&["--until", "sometimes"], "--until"),
        (&["--yes"], "--repair"),
    ] {
        shop.verify(args).expect(2, &[part]);
    }
    let nowhere = Path::new("/nowhere/x.yaml");
    let said: Said = program(&["verify", "--config", nowhere.to_str().unwrap()]).output().unwrap().into();
    said.expect(78, &["/nowhere/x.yaml"]);
}
