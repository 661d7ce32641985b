//! The commands that ask the journal, as a person calls them: what they print, say and end with.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::agent::{Agent, output, program};
use crate::support::fixtures::{ExportEntry, Format, build_journal};
use crate::support::journald::{Journald, wait_until};
use crate::support::loki::Loki;
use crate::support::or_skip;

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/demo/journal");

/// What a command printed on standard output and on standard error, and its status.
fn called(args: &[&str]) -> (String, String, Option<i32>) {
    let out = output(&[args, &["--path", DEMO]].concat());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&out.stdout), text(&out.stderr), out.status.code())
}

#[test]
fn answers_are_lines_tables_and_rows() {
    const SSH: &str = r#"{host="oak", job="systemd-journal", level="info", service_name="ssh.service", unit="ssh.service"}"#;
    let failed = "Failed password for invalid user admin from 203.0.113.10 port 30413 ssh2";
    for (args, expected) in [
        (
            &["query", r#"{unit="ssh.service"} |= "Failed""#, "-n", "1"][..],
            format!("2026-11-08T02:54:07.631980+00:00 {SSH} {failed}\n"),
        ),
        (&["query", r#"{unit="ssh.service"} |= "Failed""#, "-n", "1", "-o", "raw"], format!("{failed}\n")),
        // The same by journalctl's habits.
        (&["query", "-u", "ssh", "-g", "failed", "-n", "1", "-o", "raw"], format!("{failed}\n")),
        (&["query", "-u", "ss*", "-g", "Failed", "-n1", "-o", "raw"], format!("{failed}\n")),
        (
            &["query", "_SYSTEMD_UNIT=ssh.service", r#"{job=~".+"} |= "Failed""#, "-n", "1", "-o", "csv"],
            format!(
                "time,labels,line\r\n2026-11-08T02:54:07.631980000+00:00,\"{}\",{failed}\r\n",
                r#"{detected_level=""info"", host=""oak"", identifier=""sshd"", job=""systemd-journal"", level=""info"", pid=""7999"", service_name=""ssh.service"", unit=""ssh.service""}"#
            ),
        ),
        (
            &["query", r#"sum by (unit) (count_over_time({unit=~"ssh.service|cron.service"}[5y]))"#],
            " 29  {unit=\"cron.service\"}\n102  {unit=\"ssh.service\"}\n".to_owned(),
        ),
        (
            &["query", r#"sum(count_over_time({unit="ssh.service"}[1d]))"#, "--until", "2026-11-09 00:00", "-o", "json"],
            "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[{\"metric\":{},\"value\":[1794182400,\"6\"]}]}}\n"
                .to_owned(),
        ),
        (&["query", "2 * 3"], "6  {}\n".to_owned()),
        (
            &["labels"],
            "host\t1 value\njob\t1 value\nlevel\t4 values\nservice_name\t8 values\nunit\t7 values\n".to_owned(),
        ),
        (&["labels", "level"], "error\ninfo\nnotice\nwarning\n".to_owned()),
        (
            &["series", r#"{level="error"}"#],
            "{host=\"oak\", job=\"systemd-journal\", level=\"error\", service_name=\"shop.service\", unit=\"shop.service\"}\t11\n"
                .to_owned(),
        ),
        // All streams.
        (
            &["series", "{ }", "--since", "2026-11-08 02:40", "--until", "2026-11-08 02:56"],
            "{host=\"oak\", job=\"systemd-journal\", level=\"info\", service_name=\"nginx.service\", unit=\"nginx.service\"}\t4\n{host=\"oak\", job=\"systemd-journal\", level=\"info\", service_name=\"ssh.service\", unit=\"ssh.service\"}\t2\n"
                .to_owned(),
        ),
        (
            &["query", "--list-boots"],
            "  -1 a3f1c2d4e5f60718293a4b5c6d7e8f90 Fri 2026-11-06 10:00:00 UTC — Fri 2026-11-06 22:56:05 UTC\n   \
             0 b4e2d3c5f6a70819203b4c5d6e7f8091 Sat 2026-11-07 12:00:00 UTC — Sun 2026-11-08 02:58:16 UTC\n"
                .to_owned(),
        ),
    ] {
        let (out, error, status) = called(args);
        assert_eq!((out.as_str(), status), (expected.as_str(), Some(0)), "{args:?}: {error}");
    }
}

#[test]
fn the_last_lines_come_last_and_reversed_first() {
    let lines = |args: &[&str]| {
        let (out, _, status) = called(&[&["query", "-o", "json"], args].concat());
        assert_eq!(status, Some(0), "{args:?}");
        out.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let all = lines(&["-n", "100000"]);
    assert_eq!(all.len(), 533);
    let last = lines(&["-n", "7"]);
    assert_eq!(last, all[all.len() - 7..]);
    let mut reversed = lines(&["-n", "7", "-r"]);
    reversed.reverse();
    assert_eq!(reversed, last);
    // More are there than are shown, and it says so.
    let of_boot = lines(&["-b", "-1", "-n", "100000"]);
    let of_last = lines(&["-b", "-n", "100000"]);
    assert_eq!(of_boot.len() + of_last.len(), 533);
}

/// In the words of Loki's API, from which end lines are counted.
#[test]
fn the_first_lines_come_when_they_are_asked_for() {
    let times = |args: &[&str]| -> Vec<String> {
        let (out, error, status) =
            called(&[&["query", r#"{unit="ssh.service"}"#, "-o", "csv"], args].concat());
        assert_eq!((error.as_str(), status), ("", Some(0)), "{args:?}");
        out.lines().skip(1).filter_map(|line| Some(line.split_once(',')?.0.to_owned())).collect()
    };
    let all = times(&["-n", "all"]);
    assert!(all.len() > 100 && all.is_sorted());
    assert_eq!(times(&["-n", "3", "--direction", "forward"]), all[..3]);
    assert_eq!(times(&["-n", "3", "--direction", "backward"]), all[all.len() - 3..]);
    let mut first = all[..3].to_vec();
    first.reverse();
    assert_eq!(times(&["-n", "3", "--direction", "forward", "-r"]), first);
}

/// Of an option that comes again, as behind an alias of the shell, the last one counts; alternatives add up.
#[test]
fn the_last_of_an_option_counts() {
    let lines = |args: &[&str]| called(&[&["query"], args].concat());
    assert_eq!(
        lines(&["-n2", "-o", "json", "-n", "1", "-o", "raw", "-q", "-q"]),
        lines(&["-n", "1", "-o", "raw"])
    );
    let both = lines(&["-n", "all", "-u", "ssh", "-u", "cron"]).0.lines().count();
    let each = ["ssh", "cron"].map(|unit| lines(&["-n", "all", "-u", unit]).0.lines().count());
    assert_eq!(both, each[0] + each[1]);
    for spelling in ["@1794095647", "1794095647", "1794095647000000000"] {
        let (out, _, status) = lines(&["-S", spelling, "-o", "raw", "-n", "all"]);
        assert_eq!(
            (out.lines().count(), status),
            (lines(&["-S", "2026-11-07 23:54:07"]).0.lines().count(), Some(0)),
            "{spelling}"
        );
    }
}

/// `--grep` is RE2 wherever it stands.
#[test]
fn patterns_are_of_one_kind() {
    for (pattern, found) in [(r"\Qinvalid user\E", true), ("[[a]b]zz", false), ("user a{2,1}", false)] {
        let count = |command: &[&str]| {
            let (out, error, status) = called(&[command, &["-g", pattern, "-o", "json"]].concat());
            (out.lines().count(), if status == Some(2) { error.contains("--grep") } else { true })
        };
        let (asked, tried) = (count(&["query"]), count(&["--dry-run"]));
        assert_eq!((asked.0, asked.0 > 0, asked.1), (tried.0, found, tried.1), "{pattern}");
    }
}

/// What is called ends with a status, prints nothing, and says all of these parts.
type Told<'a> = (&'a [&'a str], i32, &'a [&'a str]);

fn told(rows: &[Told<'_>]) {
    for (args, status, parts) in rows {
        let (out, error, code) = called(args);
        assert_eq!((out.as_str(), code), ("", Some(*status)), "{args:?}: {error}");
        for part in *parts {
            assert!(error.contains(part), "{args:?}: no {part:?} in:\n{error}");
        }
    }
}

#[test]
fn what_cannot_be_answered_is_said() {
    told(&[
        (
            &["query", r#"{unit="x""#],
            2,
            &["unexpected end; expected `,` or `}`\n    {unit=\"x\"\n             ^"],
        ),
        (
            &["query", r#"{unit="nope.service"}"#],
            1,
            &["nothing found in ", "/demo/journal (1 file) up to ", "0 entries were read"],
        ),
        (
            &["query", r#"{unit="nope.service"}"#, "--since", "2026-11-07"],
            1,
            &["/demo/journal (1 file) from 2026-11-07 "],
        ),
        (
            &["query", r#"count_over_time({unit="ssh.service"}[1h])"#],
            1,
            &[
                "0 entries were read, 0 of them of streams that the query chooses; the last entry there is of 2026-11-08 ",
            ],
        ),
        (
            &["labels", "nope"],
            1,
            &["(1 file) up to ", ": 533 entries were read, none of them with the label nope\n"],
        ),
        (
            &["series", r#"{unit="nope"}"#],
            1,
            &["(1 file)", "read, none of them of a stream that the selector chooses\n"],
        ),
        (&["query", "--since", "tomorrow"], 2, &["--since is after now", "--until"]),
        (&["labels", "--since", "tomorrow"], 2, &["--since is after now"]),
        (&["query", r#"{unit!~".+"} | unwrap x"#], 2, &["no matcher here asks for a label"]),
        (&["query", r#"{unit="x"} | unwrap x"#], 2, &["only a metric query has"]),
        (&["query", r#"({unit="x"}) |= "y""#], 2, &["expected the end: stages stand within the brackets"]),
        (&["query", r#"{unit="x"}[5m]"#], 2, &["count_over_time({…}[5m])"]),
        (&["query", "unit"], 2, &["\"unit\" is neither LogQL", "nor a match, as _PID=1"]),
        (&["query", "{a=\"b\"}", "{c=\"d\"}"], 2, &["one query at a time"]),
    ]);
    let (_, error, status) = called(&["query", "-n", "3", "sum(", "--path", "/nowhere"]);
    assert_eq!(status, Some(2), "{error}");
}

#[test]
fn what_is_wrong_on_the_command_line_is_said() {
    told(&[
        (&["query", "-p", "loud"], 2, &["\"loud\" is not a priority"]),
        (&["query", "-b", "-7"], 2, &["names no boot in this journal, which has 2", "--list-boots"]),
        (&["query", "-u", "no*such"], 2, &["no unit in this journal is called no*such"]),
        (&["query", "-g", "("], 2, &["--grep"]),
        (&["query", "-g", "x", "sum(rate({a=\"b\"}[5m]))"], 2, &["--grep goes with log queries"]),
        (&["query", "-f", "sum(rate({a=\"b\"}[5m]))"], 2, &["--follow goes with log queries"]),
        (&["query", "-f", "-r"], 2, &["--reverse"]),
        (
            &["query", "-S", "3600"],
            2,
            &["--since: 3600 has no unit: write 3600s for so long ago, or @3600 for a time"],
        ),
        (&["query", DEMO], 2, &["nor a match, as _PID=1; --path stands in front of each folder or file"]),
        (&["series", "level"], 2, &["a selector is expected"]),
        (&["query", "-f", "--direction", "forward"], 2, &["--direction forward asks for the first"]),
        (&["query", "--direction", "sideways"], 2, &["possible values: forward, backward"]),
        (&["query", "--list-boots", "-u", "ssh"], 2, &["--list-boots", "--unit"]),
        (&["query", "--list-boots", "-S", "today"], 2, &["--list-boots", "--since"]),
        (&["query", "{a=\"b\"}", "--list-boots"], 2, &["--list-boots"]),
        (&["query", "--since", "now", "--until", "yesterday"], 2, &["--since is after --until"]),
        (&["query", "1", "--step", "soon"], 2, &["\"soon\" is not a duration, as 30s, 5m or 1h"]),
        (
            &["query", "1", "--step", "-5m"],
            2,
            &["\"-5m\" is not longer than nothing: write a duration, as 30s, 5m or 1h"],
        ),
        (&["query", "1", "--step", "0s"], 2, &["\"0s\" is not longer than nothing"]),
        (
            &["query", "-n", "-1"],
            2,
            &["invalid value '-1' for '--lines [<N>]': write a whole number, as 100, or all"],
        ),
        (
            &["query", "-n", "x"],
            2,
            &["invalid value 'x' for '--lines [<N>]': write a whole number, as 100, or all"],
        ),
        (
            &["--dry-run", "-n", "-1"],
            2,
            &["invalid value '-1' for '--lines [<N>]': write a whole number, as 100, or all"],
        ),
        (&["query", "--until", "9999-12-31"], 2, &["write one from 1970 to the end of 9999-12-30"]),
        (
            &["query", "count_over_time({a=\"b\"}[1.5h])"],
            2,
            &["not a valid duration; expected a duration such as `5m` or `1h30m`\n"],
        ),
        (
            &["query", "count_over_time({unit=\"ssh.service\"} | json [5y])"],
            1,
            &[
                "error: pipeline error: 'JSONParserErr' for series: '{__error__=\"JSONParserErr\"",
                "(e.g __error__=\"\")",
            ],
        ),
        (
            &["query", "vector(1)", "--step", "1s", "--since", "2026-01-01"],
            1,
            &["exceeded maximum resolution"],
        ),
        (&["query", "_UID=0", "_PID=x", "-p", "err", "PRIORITY=7"], 2, &["no entry can meet all"]),
        (&["series", "1"], 2, &["a selector is expected"]),
        (&["--dry-run", "query"], 2, &["--dry-run does not go with `query`"]),
    ]);
}

/// Where there is no journal, that is said, by whatever asks it; nothing was searched.
#[test]
fn an_empty_folder_is_no_journal_in_which_nothing_was_found() {
    let empty = tempfile::tempdir().unwrap();
    let empty = empty.path().to_str().unwrap();
    for args in
        [&["query"][..], &["labels"], &["series", "{a=\"b\"}"], &["query", "--list-boots"], &["--dry-run"]]
    {
        let out = output(&[args, &["--path", empty]].concat());
        let error = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(1), "{args:?}: {error}");
        assert!(error.contains("no journal can be read"), "{args:?}: {error}");
        assert!(error.contains(&format!("{empty}: an empty folder")), "{args:?}: {error}");
        assert!(!error.contains("nothing found"), "{args:?}: {error}");
    }
}

/// A query opens the journal several times, and meets the same each time.
#[test]
fn what_cannot_be_read_is_told_once() {
    for args in
        [&["query", "-n", "1"][..], &["query", "-u", "ss*", "-b"], &["labels"], &["--dry-run", "-n", "1"]]
    {
        let (out, error, status) = called(&[args, &["--path", "/nowhere"]].concat());
        assert_eq!((out.is_empty(), status), (false, Some(0)), "{args:?}: {error}");
        assert_eq!(error.matches("/nowhere: no such file or folder").count(), 1, "{args:?}: {error}");
    }
}

/// Values that lie further apart than they look back leave entries out, which nobody sees.
#[test]
fn a_step_longer_than_a_range_is_told() {
    const HOURS: &str =
        r#"sum(count_over_time({unit="ssh.service"}[1h])) / sum(count_over_time({unit=~".+"}[1d]))"#;
    let since = ["--since", "2026-11-06", "--until", "2026-11-08 03:00"];
    let said = |args: &[&str]| called(&[&["query", HOURS], &since[..], args].concat()).1;
    let told = "journal-ship: there is a value every 2h, of the 1h before it: entries between do not count. \
                --step 1h or a range of [2h] takes them in\n";
    assert_eq!(said(&["--step", "2h"]), told);
    assert!(said(&[]).contains("--step 1h or a range"), "the step that is chosen is two hours");
    for none in [&["--step", "1h"][..], &["--step", "2h", "-q"]] {
        assert_eq!(said(none), "", "{none:?}");
    }
    // One value looks at nothing between.
    assert_eq!(called(&["query", HOURS, "--until", "2026-11-08 03:00"]).1, "");
}

/// As journalctl has it: no line was wanted, so none is missing.
#[test]
fn no_line_wanted_is_no_line_missing() {
    assert_eq!(called(&["query", "-n", "0"]), (String::new(), String::new(), Some(0)));
}

#[test]
fn who_wants_it_quiet_hears_of_mistakes_only() {
    let none = r#"{unit="none"}"#;
    let (shown, said, status) = called(&["query", none]);
    assert!(shown.is_empty() && said.contains("nothing found") && status == Some(1), "{shown} {said}");
    assert_eq!(called(&["query", "-q", none]), (String::new(), String::new(), Some(1)));
    let (shown, said, status) = called(&["--dry-run", "-n", "2", "-q"]);
    assert_eq!((shown.lines().count(), said.as_str(), status), (2, "", Some(0)));
    assert!(called(&["query", "-q", "-p", "9"]).1.contains("is not a priority"));
}

/// More lines than are shown unless `-n` asks for them.
#[test]
fn the_end_is_a_thousand_lines_and_all_are_all() {
    let dir = tempfile::tempdir().unwrap();
    let entries: Vec<_> =
        (0..1100).map(|n| ExportEntry::new(1_795_240_800_000_000 + n).message("x")).collect();
    or_skip!(build_journal(&dir.path().join("a.journal"), &entries, Format::default()));
    for (args, lines, said) in [
        (&["query"][..], 1000, "these are the last 1000 lines"),
        (&["query", "-q"], 1000, ""),
        // Who asks for the end knows that there is more.
        (&["query", "-e", "--no-pager"], 1000, ""),
        (&["query", "-n"], 10, ""),
        (&["query", "-n", "all"], 1100, ""),
        (&["query", "-n", "all", "-r"], 1100, ""),
        (&["--dry-run", "-e"], 1000, "1000 entries would be pushed"),
        (&["--dry-run", "-n", "all", "-r", "-q"], 1100, ""),
        (&["--dry-run", "-n", "all", "-q"], 1100, ""),
    ] {
        let out = output(&[args, &["--path", dir.path().to_str().unwrap()]].concat());
        let (shown, error) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap());
        assert_eq!(shown.lines().count(), lines, "{args:?}: {error}");
        assert!(error.contains(said) && (error.is_empty() || !said.is_empty()), "{args:?}: {error}");
    }
}

/// A command that goes on, and the lines that it prints.
struct Following {
    child: Child,
    lines: Receiver<String>,
}

impl Following {
    fn start(args: &[&str]) -> Following {
        let mut child = program(args).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Following { child, lines }
    }

    fn next(&self) -> String {
        self.lines.recv_timeout(Duration::from_secs(30)).expect("a line comes")
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn new_lines_are_shown_as_they_come_until_ctrl_c() {
    let journald = or_skip!(Journald::start());
    let send =
        |text: &str| journald.send_native(&[("MESSAGE", text.as_bytes()), ("SYSLOG_IDENTIFIER", b"app")]);
    let last = || String::from_utf8(journald.journalctl(&["-t", "app", "-o", "cat", "-n", "1"])).unwrap();
    for text in ["first", "second", "third"] {
        send(text);
    }
    wait_until("the entries are there", || last().trim() == "third");
    let folder = journald.dir().display().to_string();
    let mut following =
        Following::start(&["query", "-f", "-n", "2", "-t", "app", "-o", "raw", "--path", &folder]);
    assert_eq!([following.next(), following.next()], ["second", "third"]);
    for text in ["fourth", "fifth"] {
        send(text);
    }
    assert_eq!([following.next(), following.next()], ["fourth", "fifth"]);
    journald.rotate();
    send("sixth");
    assert_eq!(following.next(), "sixth");
    kill_process(Pid::from_child(&following.child), Signal::INT).unwrap();
    let status = following.child.wait().unwrap();
    assert_eq!(status.code(), Some(0));
}

/// Ctrl-C ends a metric query with what it has, and nobody takes that for an answer.
#[test]
fn a_stopped_metric_query_is_no_answer() {
    let one = |n| format!(r#"quantile_over_time(0.{n}, {{job=~".+"}} | unwrap pid [5d]) by (job)"#);
    let long = (10..60).map(one).collect::<Vec<_>>().join(" + ");
    let span = ["--since", "2026-11-08 00:00", "--until", "2026-11-08 03:00", "--step", "1s", "--path", DEMO];
    for quiet in [&[][..], &["-q"]] {
        let args = [&["query", &long][..], &span, quiet].concat();
        let mut child = program(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        wait_until("it has evaluated for a while", || busy(pid) >= Duration::from_millis(200));
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        wait_until("it ends", || child.try_wait().unwrap().is_some());
        let out = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(130), "{quiet:?}: {said}");
        assert!(said.contains("stopped: these values are of a part of the entries, and no answer"), "{said}");
    }
}

/// The processor time of the first thread of a process that catches Ctrl-C; none before it does.
fn busy(pid: u32) -> Duration {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    // SIGINT is the second signal (proc(5), `SigCgt`).
    let catches = read("status")
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))
        .is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & 0b10 != 0));
    let spent = read("schedstat").split(' ').next().and_then(|spent| spent.parse().ok()).unwrap_or_default();
    if catches { Duration::from_nanos(spent) } else { Duration::ZERO }
}

/// No destination is needed where the configuration says how the journal can be asked.
#[test]
fn an_agent_without_a_loki_answers_queries() {
    let loki = Loki::builder().ignore_age(true).start();
    let mut agent = Agent::new(Path::new(DEMO), &loki.url(), "");
    let socket = agent.home.path().join("q.sock");
    let config = std::fs::read_to_string(agent.config()).unwrap();
    let (before, rest) = config.split_once("loki:").unwrap();
    let (_, after) = rest.split_once("state_directory").unwrap();
    let without = |query: &str| format!("{before}loki: []\n{query}state_directory{after}");
    std::fs::write(agent.config(), without("")).unwrap();
    let out = output(&["--config", agent.config().to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(78));
    std::fs::write(agent.config(), without(&format!("query: {{socket: {:?}}}\n", socket))).unwrap();
    let out = output(&["check", "--config", agent.config().to_str().unwrap()]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(text.contains("valid; no destination: nothing is shipped"), "{text}");
    agent.start();
    wait_until("the socket is there", || socket.exists());
    let out = std::process::Command::new("curl")
        .args(["-s", "--max-time", "20", "--unix-socket"])
        .arg(&socket)
        .arg("http://host/loki/api/v1/label/level/values?since=5y")
        .output();
    let Ok(out) = out else { return println!("SKIPPED: curl is not installed") };
    let body: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(
        body,
        serde_json::json!({"status": "success", "data": ["error", "info", "notice", "warning"]})
    );
    agent.stop();
    assert!(!socket.exists(), "it is taken away");
}
