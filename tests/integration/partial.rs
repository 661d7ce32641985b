//! Lines of containers that stand in the journal as several entries: what they become, and what a crash or a forger does
//! to them.

use rustix::process::Signal;
use serde_json::Value;

use crate::support::Unavailable;
use crate::support::agent::{Agent, output};
use crate::support::fixtures::{ExportEntry, Format, build_journal};
use crate::support::journald::{Journald, wait_until};
use crate::support::loki::Loki;
use crate::support::or_skip;

/// 2026-11-25 09:46:40, in microseconds.
const START: u64 = 1_795_600_000_000_000;

/// An entry of Docker's: milliseconds after the start, container, text, more fields as `NAME=value`.
type Row<'a> = (u64, &'a str, &'a str, &'a [&'a str]);

const MORE: &str = "CONTAINER_PARTIAL_MESSAGE=true";

fn entries(rows: &[Row<'_>]) -> Vec<ExportEntry> {
    let entry = |&(ms, container, text, more): &Row<'_>| {
        let named = |name: &str| more.iter().any(|field| field.starts_with(name));
        let mut entry =
            ExportEntry::new(START + ms * 1000).message(text).field("CONTAINER_ID_FULL", container);
        for (name, value) in [("_PID", "700"), ("_UID", "0"), ("PRIORITY", "6")] {
            if !named(&format!("{name}=")) {
                entry = entry.field(name, value);
            }
        }
        more.iter().fold(entry, |entry, field| {
            let (name, value) = field.split_once('=').unwrap();
            entry.field(name, value)
        })
    };
    rows.iter().map(entry).collect()
}

/// What a dry run with a configuration shows of entries: time (microseconds after the start) and line.
fn shown(entries: &[ExportEntry], config: &str) -> Result<Vec<(u64, String)>, Unavailable> {
    let folder = tempfile::tempdir().unwrap();
    build_journal(&folder.path().join("system.journal"), entries, Format::default())?;
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, config).unwrap();
    let args = [
        "--dry-run",
        "-o",
        "json",
        "--config",
        path.to_str().unwrap(),
        "--path",
        folder.path().to_str().unwrap(),
    ];
    let result = output(&args);
    assert!(result.status.success(), "{result:?}");
    let record = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap();
        let time: jiff::Timestamp = record["timestamp"].as_str().unwrap().parse().unwrap();
        let time = u64::try_from(time.as_microsecond()).unwrap() - START;
        (time, record["line"].as_str().unwrap().to_owned())
    };
    Ok(String::from_utf8(result.stdout).unwrap().lines().map(record).collect())
}

/// What it is, entries, and the times (microseconds after the start) and lines that are shown of them.
type Case<'a> = (&'a str, &'a [Row<'a>], &'a [(u64, &'a str)]);

/// `Err` where a journal cannot be written.
fn check(cases: &[Case<'_>]) -> Result<(), Unavailable> {
    for (what, rows, expected) in cases {
        let shown = shown(&entries(rows), "loki: []\n")?;
        let expected: Vec<_> = expected.iter().map(|(time, line)| (*time, (*line).to_owned())).collect();
        assert_eq!(shown, expected, "{what}");
    }
    Ok(())
}

#[test]
fn pieces_become_the_line_that_they_were_cut_from() {
    let (error, error_more) = (["PRIORITY=3"], ["PRIORITY=3", MORE]);
    or_skip!(check(&[
        (
            "one line",
            &[(0, "a", "first ", &[MORE][..]), (1, "a", "second", &[])][..],
            &[(0, "first second")][..],
        ),
        (
            "three pieces, others between them",
            &[
                (0, "a", "1", &[MORE]),
                (1, "b", "b", &[]),
                (2, "a", "2", &[MORE]),
                (3, "a", "3", &[]),
                (4, "a", "4", &[]),
            ],
            &[(1000, "b"), (0, "123"), (4000, "4")],
        ),
        (
            "two containers at once",
            &[(0, "a", "a1", &[MORE]), (1, "b", "b1", &[MORE]), (2, "a", "a2", &[]), (3, "b", "b2", &[])],
            &[(0, "a1a2"), (1000, "b1b2")],
        ),
        (
            "both outputs of one container",
            &[
                (0, "a", "o1", &[MORE]),
                (1, "a", "e1", &error_more),
                (2, "a", "e2", &error),
                (3, "a", "o2", &[]),
            ],
            &[(1000, "e1e2"), (0, "o1o2")],
        ),
        ("an empty last piece", &[(0, "a", "1", &[MORE]), (1, "a", "", &[])], &[(0, "1")]),
        (
            "it is not marked",
            &[(0, "a", "1", &["CONTAINER_PARTIAL_MESSAGE=false"]), (1, "a", "2", &[])],
            &[(0, "1"), (1000, "2")],
        ),
        ("a pause", &[(0, "a", "1", &[MORE]), (5001, "a", "2", &[])], &[(0, "1"), (5_001_000, "2")]),
        ("a short pause", &[(0, "a", "1", &[MORE]), (5000, "a", "2", &[])], &[(0, "12")]),
        ("no container", &[(0, "", "1", &[MORE]), (1, "", "2", &[])], &[(0, "1"), (1000, "2")]),
    ]));
}

/// Newer versions of Docker name a line, and number its pieces.
#[test]
fn pieces_with_names_become_the_lines_that_they_name() {
    let id = ["CONTAINER_PARTIAL_ID=x", "CONTAINER_PARTIAL_LAST=false", MORE];
    let ordinal = |n: &'static str| [id[0], id[1], id[2], n];
    let (one, two, three) = (
        ordinal("CONTAINER_PARTIAL_ORDINAL=1"),
        ordinal("CONTAINER_PARTIAL_ORDINAL=2"),
        ordinal("CONTAINER_PARTIAL_ORDINAL=3"),
    );
    let last = ["CONTAINER_PARTIAL_ID=x", "CONTAINER_PARTIAL_LAST=true", "CONTAINER_PARTIAL_ORDINAL=3"];
    let other = ["CONTAINER_PARTIAL_ID=y", MORE];
    let other_last = ["CONTAINER_PARTIAL_ID=y", "CONTAINER_PARTIAL_LAST=true"];
    or_skip!(check(&[
        (
            "with the names that newer versions give",
            &[(0, "a", "1", &one), (1, "a", "2", &two), (1, "a", "plain", &[]), (2, "a", "3", &last)],
            &[(1000, "plain"), (0, "123")],
        ),
        (
            "two lines at once, by their names",
            &[
                (0, "a", "1", &one),
                (1, "a", "y1", &other),
                (2, "a", "2", &two),
                (3, "a", "y2", &other_last),
                (4, "a", "3", &last),
            ],
            &[(1000, "y1y2"), (0, "123")],
        ),
        ("a piece is missing", &[(0, "a", "1", &one), (1, "a", "3", &last)], &[(0, "1"), (1000, "3")]),
        (
            "a piece comes twice",
            &[(0, "a", "1", &one), (1, "a", "1", &one), (2, "a", "2", &two)],
            &[(0, "1"), (1000, "12")],
        ),
        ("only the last is there", &[(0, "a", "3", &last)], &[(0, "3")]),
        (
            "the last never comes",
            &[(0, "a", "1", &one), (1, "a", "2", &two), (2, "b", "b", &[])],
            &[(2000, "b"), (0, "12")],
        ),
        ("the third of three", &[(0, "a", "2", &three), (1, "a", "3", &last)], &[(0, "2"), (1000, "3")]),
    ]));
}

#[test]
fn a_piece_that_another_user_or_process_wrote_is_of_no_line_of_a_container() {
    let (uid, pid) = (["_UID=1000"], ["_PID=701"]);
    or_skip!(check(&[
        (
            "another user",
            &[(0, "a", "1", &[MORE]), (1, "a", "forged", &uid), (2, "a", "2", &[])],
            &[(1000, "forged"), (0, "12")],
        ),
        (
            "another process",
            &[(0, "a", "1", &[MORE]), (1, "a", "forged", &pid), (2, "a", "2", &[])],
            &[(1000, "forged"), (0, "12")],
        ),
    ]));
}

#[test]
fn stages_and_rules_see_the_whole_line() {
    let rows: &[Row<'_>] = &[(0, "a", r#"{"msg":"first "#, &[MORE]), (1, "a", r#"half"}"#, &[])];
    let config = "stages: [{json: {expressions: {msg: }}}, {output: {source: msg}}]\n";
    assert_eq!(or_skip!(shown(&entries(rows), config)), [(0, "first half".to_owned())]);
    let config =
        "stages: [{match: {selector: '{job=\"systemd-journal\"} |= \"first half\"', action: drop}}]\n";
    assert_eq!(or_skip!(shown(&entries(rows), config)), []);
    // Whole entries cannot be joined.
    assert_eq!(or_skip!(shown(&entries(rows), "line: json\n")).len(), 2);
}

#[test]
fn a_character_that_was_cut_in_two_is_whole_again() {
    let text = "x€y".as_bytes();
    let mut entries = entries(&[(0, "a", "", &[MORE]), (1, "a", "", &[])]);
    for (entry, text) in entries.iter_mut().zip([&text[..2], &text[2..]]) {
        entry.fields.iter_mut().find(|(name, _)| name == "MESSAGE").unwrap().1 = text.to_vec();
    }
    assert_eq!(or_skip!(shown(&entries, "")), [(0, "x€y".to_owned())]);
}

#[test]
fn lines_and_what_is_held_are_bounded() {
    // No longer than Loki takes, and nothing is lost: 20 pieces of 16 KiB.
    let piece = "p".repeat(16 << 10);
    let mut rows: Vec<Row<'_>> = (0..20).map(|ms| (ms, "a", piece.as_str(), &[MORE][..])).collect();
    rows.push((20, "a", "end", &[]));
    let shown_lines = or_skip!(shown(&entries(&rows), ""));
    let lengths: Vec<usize> = shown_lines.iter().map(|(_, line)| line.len()).collect();
    assert_eq!(lengths, [16 * piece.len(), 4 * piece.len() + 3]);
    // A line of tiny pieces ends at some time, however long they come.
    let rows: Vec<Row<'_>> = (0..300).map(|n| (n * 100, "a", "x", &[MORE][..])).collect();
    let lengths: Vec<usize> =
        or_skip!(shown(&entries(&rows), "")).iter().map(|(_, line)| line.len()).collect();
    assert_eq!(lengths, [128, 128, 44]);
    let rows: Vec<Row<'_>> = (0..40).map(|n| (n * 3000, "a", "x", &[MORE][..])).collect();
    let lengths: Vec<usize> =
        or_skip!(shown(&entries(&rows), "")).iter().map(|(_, line)| line.len()).collect();
    assert_eq!(lengths, [21, 19]);
    // A user who opens lines without end makes room for himself only.
    let names: Vec<String> = (0..4000).map(|n| format!("forged{n}")).collect();
    let forged: &[&str] = &["_UID=1000", "_PID=4711", MORE];
    let mut rows: Vec<Row<'_>> = vec![(0, "a", "honest ", &[MORE])];
    rows.extend(names.iter().map(|name| (1, name.as_str(), "f", forged)));
    rows.push((2, "a", "line", &[]));
    let shown_lines = or_skip!(shown(&entries(&rows), ""));
    assert_eq!(shown_lines.len(), 4001);
    assert!(shown_lines.contains(&(0, "honest line".to_owned())));
}

#[test]
fn a_line_comes_once_and_whole_whatever_kills_the_agent() {
    const LINES: usize = 60;
    let journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    let mut agent =
        Agent::new(&journald.dir(), &loki.url(), "labels: {static: {job: t}, fields: {c: CONTAINER_NAME}}\n");
    let send = |container: &str, text: &str, partial: bool| {
        let mut fields = vec![("MESSAGE", text.as_bytes()), ("CONTAINER_NAME", container.as_bytes())];
        fields.extend(partial.then_some(("CONTAINER_PARTIAL_MESSAGE", &b"true"[..])));
        journald.send_native(&fields);
    };
    let mut expected = Vec::new();
    for round in 0..6 {
        agent.start();
        for number in round * LINES / 6..(round + 1) * LINES / 6 {
            let container = ["a", "b"][number % 2];
            let pieces = 1 + number % 4;
            for piece in 0..pieces {
                send(container, &format!("{number:03}.{piece} "), true);
                send("plain", &format!("plain {number:03}.{piece}"), false);
                expected.push(format!("plain {number:03}.{piece}"));
            }
            // The last piece of the round's last line comes when the agent is gone.
            if number + 1 < (round + 1) * LINES / 6 {
                send(container, "end", false);
            }
            expected
                .push((0..pieces).map(|piece| format!("{number:03}.{piece} ")).collect::<String>() + "end");
        }
        let plain = format!("plain {:03}.0", (round + 1) * LINES / 6 - 1);
        wait_until("the others of this round arrive", || {
            loki.stored().iter().any(|entry| entry.line == plain)
        });
        agent.end(if round % 2 == 0 { Signal::KILL } else { Signal::TERM });
        send(["a", "b"][((round + 1) * LINES / 6 - 1) % 2], "end", false);
    }
    agent.start();
    let ours = || -> Vec<String> {
        let stored = loki.stored();
        stored.iter().filter(|entry| entry.labels.contains_key("c")).map(|entry| entry.line.clone()).collect()
    };
    wait_until("all lines arrive", || ours().len() >= expected.len());
    agent.stop();
    let mut lines = ours();
    lines.sort();
    expected.sort();
    assert_eq!(lines, expected);
    assert!(agent.checkpoint().get("held").is_none(), "nothing is held any more: {}", agent.checkpoint());
}

/// A line whose end never comes is sent all the same, when the journal is quiet.
#[test]
fn what_stays_partial_is_sent_after_a_while() {
    let journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    let mut agent = Agent::new(&journald.dir(), &loki.url(), "");
    agent.start();
    journald.send_native(&[
        ("MESSAGE", b"half a line"),
        ("CONTAINER_NAME", b"web"),
        ("CONTAINER_PARTIAL_MESSAGE", b"true"),
    ]);
    wait_until("it arrives", || loki.stored().iter().any(|entry| entry.line == "half a line"));
    agent.stop();
}

/// Writes pieces of lines of as many containers, each with a long identifier, which is structured metadata.
const FORGES: &str = r#"
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect("/run/systemd/journal/socket")
for n in range(int(sys.argv[1])):
    s.send(b"CONTAINER_PARTIAL_MESSAGE=true\nMESSAGE=x\nCONTAINER_ID=%d\nSYSLOG_IDENTIFIER=%s\n" % (n, b"i" * 150000))
"#;

#[test]
fn what_pieces_bring_with_them_is_bounded_too() {
    let journald = or_skip!(Journald::start());
    let sent = journald.run(&["python3", "-c", FORGES, "1200"]);
    assert!(sent.status.success(), "{sent:?}");
    journald.sync();
    let loki = Loki::builder().ignore_age(true).start();
    let drops = "stages: [{drop: {expression: '.*'}}]\n";
    let mut agent = Agent::new(&journald.dir(), &loki.url(), drops);
    agent.start();
    wait_until("pieces are held, and all has been read", || !held(&agent).is_empty());
    let peak = agent.peak_kib() >> 10;
    assert!(peak < 100, "{peak} MiB");
    agent.stop();
}

/// journald moves the runtime journal to the persistent one while the agent is away: what it held is another file's then.
#[test]
fn what_was_held_is_found_where_journald_has_moved_it() {
    let journald = or_skip!(Journald::builder().volatile().start());
    let loki = Loki::builder().ignore_age(true).start();
    let agent = Agent::new(&journald.dir(), &loki.url(), "");
    // Inside the box the default paths are this journald's, and it knows which of them is the runtime one.
    let config = std::fs::read_to_string(agent.config()).unwrap();
    let (_, rest) = config.split_once('\n').unwrap();
    std::fs::write(agent.config(), format!("journal: {{backfill: 1d}}\n{rest}")).unwrap();
    let config = agent.config();
    let start = || journald.spawn(&[crate::support::agent::PROGRAM, "--config", config.to_str().unwrap()]);
    for _ in 0..2 {
        journald.send_native(&[
            ("MESSAGE", b"half a line"),
            ("CONTAINER_NAME", b"web"),
            ("CONTAINER_PARTIAL_MESSAGE", b"true"),
        ]);
    }
    let mut inside = start();
    wait_until("both pieces are held", || held(&agent).len() == 2);
    inside.signal(Signal::KILL);
    inside.wait();
    journald.flush();
    let mut inside = start();
    wait_until("they arrive", || loki.stored().iter().any(|entry| entry.line == "half a linehalf a line"));
    inside.signal(Signal::TERM);
    assert!(inside.wait().success());
}

/// The cursors in the checkpoint of what is held.
fn held(agent: &Agent) -> Vec<Value> {
    let checkpoint = std::fs::read(agent.home.path().join("state/main.json")).unwrap_or_default();
    let checkpoint: Value = serde_json::from_slice(&checkpoint).unwrap_or_default();
    checkpoint["held"].as_array().cloned().unwrap_or_default()
}
