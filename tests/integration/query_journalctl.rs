//! `query` beside journalctl: its options choose the same entries here as there, in the same order, and counts of entries are
//! the same. journalctl shows entries without a message as blobs; so times and messages are compared, from its export.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::Value;

use crate::support::agent::output;
use crate::support::fixtures::{ExportEntry, ExportedEntry, Format, build_journal, journalctl, parse_export};
use crate::support::journals::{for_many, worlds};
use crate::support::merge::{is_252, merge};
use crate::support::{Unavailable, or_skip};

/// The times of the entries of [`machine`] begin here (microseconds since 1970): no entry is at a full hour.
const BASE: u64 = 1_795_240_800_000_123;
const HOUR: u64 = 3_600_000_000;
/// Messages are compared up to here (bytes): Loki's limit cuts them far behind.
const COMPARED: usize = 4096;

/// What entries are counted by.
type Key<'k> = &'k dyn Fn(&ExportedEntry) -> String;
/// When (microseconds since 1970), and the message.
type Shown = (u64, String);

fn begin(text: &str) -> String {
    text.chars().take(COMPARED).collect()
}

/// What the program shows; nothing where it says that it has found nothing, or that no unit fits a pattern.
fn asked(paths: &[PathBuf], args: &[&str]) -> String {
    let paths = paths.iter().map(|path| path.to_str().unwrap());
    let args: Vec<&str> = ["query", "-o", "json"]
        .into_iter()
        .chain(args.iter().copied())
        .chain(paths.flat_map(|path| ["--path", path]))
        .collect();
    let out = output(&args);
    let stderr = String::from_utf8_lossy(&out.stderr);
    let nothing = out.status.code() == Some(1) && stderr.contains("nothing found");
    let no_unit = out.status.code() == Some(2) && stderr.contains("no unit in this journal is called");
    assert!(out.status.success() || nothing || no_unit, "{args:?}: {}: {stderr}", out.status);
    String::from_utf8(out.stdout).unwrap()
}

fn ours(paths: &[PathBuf], args: &[&str]) -> Vec<Shown> {
    let args = [&["-n", "1000000"], args].concat();
    asked(paths, &args).lines().map(shown).collect()
}

/// What the dry run shows.
fn tried(paths: &[PathBuf], args: &[&str]) -> Vec<Shown> {
    let paths = paths.iter().map(|path| path.to_str().unwrap());
    let args: Vec<&str> = ["--dry-run", "-n", "1000000", "-o", "json"]
        .into_iter()
        .chain(args.iter().copied())
        .chain(["--path"])
        .chain(paths)
        .collect();
    let out = output(&args);
    let stderr = String::from_utf8_lossy(&out.stderr);
    let no_unit = out.status.code() == Some(2) && stderr.contains("no unit in this journal is called");
    assert!(out.status.success() || no_unit, "{args:?}: {}: {stderr}", out.status);
    String::from_utf8(out.stdout).unwrap().lines().map(shown).collect()
}

fn shown(line: &str) -> Shown {
    let record: Value = serde_json::from_str(line).unwrap();
    let time: jiff::Timestamp = record["timestamp"].as_str().unwrap().parse().unwrap();
    (u64::try_from(time.as_microsecond()).unwrap(), begin(record["line"].as_str().unwrap()))
}

fn export(paths: &[PathBuf], args: &[&str]) -> Vec<ExportedEntry> {
    let args = [&["--all", "--output=export"], args].concat();
    parse_export(&journalctl(paths, &args).unwrap())
}

fn theirs(paths: &[PathBuf], args: &[&str]) -> Vec<Shown> {
    export(paths, args).iter().map(|entry| (entry.realtime, begin(&entry.text("MESSAGE")))).collect()
}

/// Boots, the oldest first.
fn our_boots(paths: &[PathBuf]) -> Vec<String> {
    boots(&asked(paths, &["--list-boots"]))
}

fn their_boots(paths: &[PathBuf]) -> Vec<String> {
    boots(&String::from_utf8(journalctl(paths, &["--list-boots"]).unwrap()).unwrap())
}

/// Offset and id of each line.
fn boots(text: &str) -> Vec<String> {
    let one = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    text.lines().filter(|line| !line.trim_start().starts_with("IDX")).map(one).collect()
}

/// The id of the second boot of [`machine`], and as an offset from the third.
const BOOT_1: &str = "000000000000b0070000000000000001";
const BOOT_1_BEFORE: &str = "000000000000b0070000000000000002-1";

fn boot(n: u64) -> u128 {
    0xb007 << 64 | u128::from(n)
}

/// Three boots of a machine over five hours, in three files: services, what systemd and other programs say of them, a slice, a
/// user's manager, the kernel, and senders with odd names.
fn machine(folder: &Path) -> Result<PathBuf, Unavailable> {
    const COUNT: u64 = 900;
    let entry = |n: u64| {
        let (boot_number, into) = (n / 350, n % 350);
        let time = BASE + n * 5 * HOUR / COUNT;
        let entry = ExportEntry::new(time).boot(boot(boot_number), 1_000_000 + into * 20_000_000);
        let unit = ["web.service", "web-2.service", "db.service", "a.mount", "jobs.slice"][(n % 5) as usize];
        let words = ["Failed password for root", "failed to start", "Listening on [::]:80", "ok"];
        let entry =
            entry.message(format!("{} {n}", words[(n / 3 % 4) as usize])).field("_HOSTNAME", "testhost");
        let entry = match n % 12 {
            11 => entry,
            _ => entry.field("PRIORITY", (n * 7 % 9 % 8).to_string()),
        };
        match n % 12 {
            0 => entry.field("_TRANSPORT", "kernel").field("SYSLOG_IDENTIFIER", "kernel"),
            1 => entry.field("_PID", "1").field("_SYSTEMD_UNIT", "init.scope").field("UNIT", unit),
            // Somebody else says it: it is not about the unit.
            2 => entry.field("_PID", "7").field("_SYSTEMD_UNIT", "eve.service").field("UNIT", unit),
            3 => entry.field("_UID", "0").field("OBJECT_SYSTEMD_UNIT", unit).field("_TRANSPORT", "syslog"),
            4 => entry.field("_UID", "1000").field("OBJECT_SYSTEMD_UNIT", unit),
            5 => entry
                .field("MESSAGE_ID", "fc2e22bc6ee647b6b90729ab34a250b1")
                .field("_UID", "0")
                .field("COREDUMP_UNIT", unit),
            6 => entry.field("_SYSTEMD_SLICE", "jobs.slice").field("_SYSTEMD_UNIT", "run-1.service"),
            7 => entry.field("_SYSTEMD_UNIT", "user@1000.service").field("_SYSTEMD_USER_UNIT", unit),
            8 => entry.field("_SYSTEMD_UNIT", "odd\\x20name.service").field("SYSLOG_IDENTIFIER", "odd name"),
            _ => entry
                .field("_SYSTEMD_UNIT", unit)
                .field("SYSLOG_IDENTIFIER", unit.split('.').next().unwrap())
                .field("_PID", (n % 3).to_string())
                .field("_TRANSPORT", "stdout"),
        }
    };
    for (name, from, to) in [("a", 0, 300), ("b", 300, 700), ("system", 700, COUNT)] {
        let entries: Vec<_> = (from..to).map(entry).collect();
        build_journal(&folder.join(format!("{name}.journal")), &entries, Format::default())?;
    }
    Ok(folder.to_path_buf())
}

fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/journal")
}

/// Options that both take, with the least number of entries that must be found in the journal of [`machine`].
const OPTIONS: &[(&[&str], usize)] = &[
    (&[], 900),
    (&["-r"], 900),
    (&["-u", "web"], 90),
    (&["-u", "web.service"], 90),
    (&["-u", "web", "-u", "db.service"], 180),
    (&["-u", "web*"], 180),
    (&["-u", "web-[0-9].service"], 90),
    (&["-u", "[jr]*"], 100),
    (&["-u", "*.slice"], 100),
    (&["-u", "*mount", "-r"], 50),
    (&["-u", "?b.service", "-u", "nothing"], 90),
    (&["-u", "a.mount"], 50),
    (&["-u", "/a"], 50),
    (&["-u", "//./a/"], 50),
    (&["-u", "/dev/a"], 0),
    (&["-u", "jobs.slice"], 100),
    (&["-u", "odd name"], 50),
    (&["-u", "user@1000"], 50),
    (&["-u", "no-such-unit"], 0),
    (&["-p", "err"], 200),
    (&["-p", "3"], 200),
    (&["-p", "warning..err"], 100),
    (&["-p", "err..warning"], 100),
    (&["-p", "emerg..emerg"], 50),
    // All of them: entries without a priority, too.
    (&["-p", "debug"], 900),
    (&["-p", "debug..emerg"], 900),
    (&["-p", "info"], 500),
    (&["-p", "err", "-p", "debug"], 900),
    (&["-p", "debug", "-p", "err"], 200),
    (&["-p", "debug..info", "-p", "err"], 200),
    (&["-n", "all"], 900),
    (&["-n", "5", "-n", "all"], 900),
    (&["-n"], 10),
    (&["-q"], 900),
    (&["--no-pager", "-e"], 200),
    (&["-e", "-b", "-1"], 300),
    (&["-S", "@1795244400"], 700),
    (&["-S", "@1795244400", "-U", "@1795248000", "-S", "@1795246200"], 80),
    (&["-t", "web"], 30),
    (&["-t", "web", "-t", "kernel"], 80),
    (&["-t", "odd name"], 50),
    (&["-t", "nobody"], 0),
    (&["-k"], 10),
    (&["-k", "-b", "-1"], 10),
    (&["-b", "all"], 900),
    (&["-b", "all", "-u", "web"], 90),
    (&["-b", "0"], 150),
    (&["-b", "-1"], 300),
    (&["-b", "1"], 300),
    (&["-b", "2"], 300),
    (&["-b", "-2", "-u", "web", "-p", "err", "-r"], 1),
    (&["-b", BOOT_1], 300),
    (&["-b", BOOT_1_BEFORE], 300),
    (&["-g", "failed"], 400),
    (&["-g", "Failed"], 200),
    (&["-g", "failed (password|to start).*[0-4]$"], 100),
    (&["-g", "^listening on \\[::\\]"], 200),
    (&["-g", "Failed", "-u", "web", "-r"], 10),
    (&["_SYSTEMD_UNIT=web.service"], 10),
    (&["_SYSTEMD_UNIT=web.service", "_SYSTEMD_UNIT=db.service"], 20),
    (&["_SYSTEMD_UNIT=web.service", "_PID=1"], 3),
    (
        &["_SYSTEMD_UNIT=web.service", "_PID=1", "+", "UNIT=web.service", "_PID=1", "+", "_TRANSPORT=kernel"],
        80,
    ),
    (&["_TRANSPORT=kernel", "+", "PRIORITY=0", "PRIORITY=1"], 100),
    (&["SYSLOG_IDENTIFIER=odd name"], 50),
    (&["_PID=4711"], 0),
    (&["-p", "err", "_TRANSPORT=kernel", "+", "_PID=1"], 20),
    (&["-u", "web", "_PID=1", "+", "_PID=2"], 5),
    (&["-u", "web", "-t", "web", "-b", "-1"], 5),
    (&["-p", "err", "PRIORITY=3"], 50),
    (&["-b", "-1", "_PID=1", "+", "_TRANSPORT=kernel"], 30),
    (&["-k", "-p", "err"], 1),
    (&["-b", "_PID=1"], 10),
    (&["-b", "-u", "web"], 10),
    (&["-b"], 150),
];

/// Differences between two lists, as a text; none: they are equal.
fn difference(ours: &[Shown], theirs: &[Shown]) -> Option<String> {
    if ours == theirs {
        return None;
    }
    let at = ours.iter().zip(theirs).take_while(|(ours, theirs)| ours == theirs).count();
    let (our, their) = (ours.get(at), theirs.get(at));
    Some(format!(
        "{} entries, journalctl {}; at {at} {our:?}, journalctl {their:?}",
        ours.len(),
        theirs.len()
    ))
}

#[test]
fn journalctls_options_choose_the_same_entries_in_the_same_order() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [or_skip!(machine(dir.path()))];
    let mut wrong = Vec::new();
    for (args, least) in OPTIONS {
        let (ours, theirs) = (ours(&paths, args), theirs(&paths, args));
        if let Some(how) = difference(&ours, &theirs) {
            wrong.push(format!("{args:?}: {how}"));
        }
        if let Some(how) = difference(&tried(&paths, args), &theirs) {
            wrong.push(format!("--dry-run {args:?}: {how}"));
        }
        if ours.len() < *least || (*least == 0 && !ours.is_empty()) {
            wrong.push(format!("{args:?}: {} entries, not at least {least}", ours.len()));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), OPTIONS.len(), wrong.join("\n"));
}

#[test]
fn spans_are_journalctls() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [or_skip!(machine(dir.path()))];
    let all = theirs(&paths, &[]);
    let at = |index: usize| format!("@{}.{:06}", all[index].0 / 1_000_000, all[index].0 % 1_000_000);
    for (from, to) in [(0, 899), (299, 301), (300, 300), (349, 350), (640, 700)] {
        let (since, until) = (format!("--since={}", at(from)), format!("--until={}", at(to)));
        for args in [vec![&*since], vec![&*until], vec![&*since, &*until], vec![&*since, &*until, "-r"]] {
            assert_eq!(difference(&ours(&paths, &args), &theirs(&paths, &args)), None, "{args:?}");
        }
        // The last lines of a span: journalctl 252 counts them from the journal's end, not from the span's.
        let args = [&*until, "-n", "17", "-p", "warning"];
        let ours: Vec<_> = asked(&paths, &args).lines().map(shown).collect();
        let theirs = theirs(&paths, &[&*until, "-p", "warning"]);
        assert_eq!(difference(&ours, &theirs[theirs.len().saturating_sub(17)..]), None, "{args:?}");
    }
}

#[test]
fn the_demonstrations_journal_is_journalctls() {
    let paths = [demo()];
    let known: Vec<String> = ["_SYSTEMD_UNIT", "SYSLOG_IDENTIFIER"]
        .map(|field| {
            let out = journalctl(&paths, &["-F", field]).unwrap();
            String::from_utf8(out).unwrap().lines().next().unwrap_or_default().to_owned()
        })
        .into();
    let [unit, identifier] = known.as_slice() else { panic!() };
    for args in [
        &[][..],
        &["-r"],
        &["-u", unit],
        &["-t", identifier],
        &["-p", "warning"],
        &["-k"],
        &["-b"],
        &["-b", "-1"],
        &["-g", "failed"],
        &["-u", "s*", "-p", "info", "-b", "-1", "-r"],
    ] {
        assert_eq!(difference(&ours(&paths, args), &theirs(&paths, args)), None, "{args:?}");
    }
    assert_eq!(our_boots(&paths), their_boots(&paths));
}

#[test]
fn boots_are_journalctls() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [or_skip!(machine(dir.path()))];
    let ours = our_boots(&paths);
    assert_eq!(ours, their_boots(&paths));
    assert_eq!(ours, [0, 1, 2].map(|n| format!("{} {:032x}", n as i64 - 2, boot(n))));
}

/// Series of an answer: the value of one label, and the points.
fn series(paths: &[PathBuf], query: &str, label: &str, args: &[&str]) -> BTreeMap<String, Vec<(u64, u64)>> {
    let answer = asked(paths, &[&[query], args].concat());
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let point =
        |pair: &Value| (pair[0].as_f64().unwrap() as u64, pair[1].as_str().unwrap().parse::<u64>().unwrap());
    let one = |row: &Value| {
        let points = row["values"].as_array().map(|all| all.iter().map(point).collect());
        let name = row["metric"][label].as_str().unwrap_or_default().to_owned();
        (name, points.unwrap_or_else(|| vec![point(&row["value"])]))
    };
    answer["data"]["result"].as_array().unwrap().iter().map(one).collect()
}

fn count<K: Ord>(entries: &[ExportedEntry], key: impl Fn(&ExportedEntry) -> K) -> BTreeMap<K, u64> {
    let mut counts = BTreeMap::new();
    entries.iter().for_each(|entry| *counts.entry(key(entry)).or_default() += 1);
    counts
}

#[test]
fn counts_by_unit_priority_boot_and_hour_are_journalctls() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal");
    std::fs::create_dir(&journal).unwrap();
    let config = dir.path().join("config.yaml");
    let labels = "labels: {fields: {unit: _SYSTEMD_UNIT, level: PRIORITY, boot: _BOOT_ID}}\n";
    std::fs::write(&config, labels).unwrap();
    for paths in [[or_skip!(machine(&journal))], [demo()]] {
        let all = export(&paths, &[]);
        let last = all.iter().map(|entry| entry.realtime).max().unwrap() / 1_000_000 + 1;
        let config = config.to_str().unwrap();
        let until = format!("--until=@{last}");
        let levels = ["emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"];
        let by: [(&str, Key<'_>); 3] = [
            ("unit", &|entry| entry.text("_SYSTEMD_UNIT")),
            ("level", &|entry| {
                let level = entry.text("PRIORITY").parse::<usize>();
                level.map_or(String::new(), |level| levels[level].to_owned())
            }),
            ("boot", &|entry| format!("{:032x}", entry.boot_id)),
        ];
        for (label, key) in by {
            let query = format!(r#"sum by ({label}) (count_over_time({{job=~".+"}}[30d]))"#);
            let ours = series(&paths, &query, label, &["--config", config, &until]);
            let ours: BTreeMap<_, _> = ours.into_iter().map(|(name, points)| (name, points[0].1)).collect();
            assert_eq!(ours, count(&all, key), "{label}");
            assert!(ours.len() > 1, "{ours:?}");
        }
        // A value is of the hour that ends with it.
        let (first, last) = (all[0].realtime / HOUR, last * 1_000_000 / HOUR + 1);
        let span = [format!("--since=@{}", first * 3600), format!("--until=@{}", last * 3600)];
        let query = r#"sum by (unit) (count_over_time({job=~".+"}[1h]))"#;
        let ours = series(&paths, query, "unit", &[&span[0], &span[1], "--step", "1h", "--config", config]);
        let ours: BTreeMap<_, _> = ours
            .into_iter()
            .flat_map(|(unit, points)| points.into_iter().map(move |(time, n)| ((unit.clone(), time), n)))
            .collect();
        let hours =
            |entry: &ExportedEntry| (entry.text("_SYSTEMD_UNIT"), entry.realtime.div_ceil(HOUR) * 3600);
        assert_eq!(ours, count(&all, hours));
        assert!(ours.len() > 10, "{ours:?}");
    }
}

/// Options for any journal that is drawn.
fn options() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::select(vec![
        vec!["-u", "unit1"],
        vec!["-u", "unit?.service"],
        vec!["-u", "unit[0-2]", "-r"],
        vec!["-u", "unit3", "-p", "warning"],
        vec!["-p", "err"],
        vec!["-p", "info..warning", "-r"],
        vec!["-g", "message 1"],
        vec!["-g", "same since"],
        vec!["-g", "SAME"],
        vec!["-t", "nobody"],
        vec!["N=1", "N=2", "N=7"],
        vec!["_SYSTEMD_UNIT=unit1.service", "PRIORITY=3", "+", "TAG=a", "+", "EMPTY="],
        vec!["TAG=a", "TAG=b"],
        vec!["TAG=a", "+", "TAG="],
        vec!["FIELD_1=1", "_SYSTEMD_UNIT=unit2.service"],
    ])
}

#[test]
fn any_journal_is_searched_as_journalctl_searches_it() {
    or_skip!(is_252());
    let compared = std::cell::Cell::new(0);
    let values = (worlds(), options());
    for_many(values, 40, |(world, args)| {
        let Ok(journals) = world.write() else { return Ok(()) };
        // Where journalctl itself is not determined, or loses entries, there is nothing to compare with.
        if !merge(&journals.cursors()).determined || journals.files.is_empty() {
            return Ok(());
        }
        let whole = journals.journalctl(&[]);
        let theirs = |args: &[&str]| -> Vec<Shown> {
            let of = |entry: &ExportedEntry| (entry.realtime, begin(&entry.text("MESSAGE")));
            let mut all: Vec<Shown> = journals.journalctl(args).iter().map(of).collect();
            all.sort();
            all
        };
        let ours = |args: &[&str]| {
            let mut all = ours(&journals.folders, args);
            all.sort();
            all
        };
        let everything = ours(&[]);
        if everything.len() != whole.len() {
            return Ok(());
        }
        prop_assert_eq!(difference(&everything, &theirs(&[])), None);
        // A pattern that no unit fits is an error of both.
        let pattern = args.iter().find_map(|arg| glob::Pattern::new(arg).ok().filter(|_| arg.contains('[')));
        let fits = |entry: &ExportedEntry| {
            pattern.as_ref().is_none_or(|pattern| pattern.matches(&entry.text("_SYSTEMD_UNIT")))
        };
        if !whole.iter().any(fits) {
            return Ok(());
        }
        prop_assert_eq!(difference(&ours(&args), &theirs(&args)), None, "{:?}", args);
        compared.set(compared.get() + 1);
        Ok(())
    });
    assert!(compared.get() > 3, "{} journals were compared", compared.get());
}

/// A machine without a clock that runs on: each boot begins at the time when its system was built.
#[test]
fn boots_are_in_the_order_of_their_numbers_where_clocks_begin_low() {
    let dir = tempfile::tempdir().unwrap();
    let entries: Vec<_> = (0..30)
        .map(|n| {
            let (boot_number, into) = (n / 10, n % 10);
            // The boot in the middle begins a little earlier than the others.
            let time = BASE + into * 60_000_000 - u64::from(boot_number == 1) * 1_000_000;
            ExportEntry::new(time)
                .boot(boot(boot_number), 1_000_000 + into * 60_000_000)
                .message(format!("line {n}"))
        })
        .collect();
    or_skip!(build_journal(&dir.path().join("a.journal"), &entries, Format::ALL[0]));
    let paths = [dir.path().to_path_buf()];
    assert_eq!(our_boots(&paths).len(), 3);
    assert_eq!(our_boots(&paths), their_boots(&paths));
    let mut last = ours(&paths, &["-b", "0"]);
    last.sort();
    let mut expected: Vec<Shown> = (20..30).map(|n| (entries[n].realtime, format!("line {n}"))).collect();
    expected.sort();
    assert_eq!(last, expected);
}
