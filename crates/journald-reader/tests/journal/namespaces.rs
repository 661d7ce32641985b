//! Journal namespaces: which are read, as `journalctl --namespace` reads them, and that one that appears is noticed.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use journald_reader::{Keys, Namespaces, Scope, Start, Tail, Waker};

use crate::support::fixtures::{
    ExportEntry, ExportedEntry, Format, build_journal, journalctl_export, parse_export,
};
use crate::support::journald::Journald;
use crate::support::or_skip;

fn open(scope: &Scope, start: Start) -> Tail {
    Tail::open(scope, Keys::default(), start, Waker::new().unwrap()).unwrap()
}

fn drain(tail: &mut Tail) -> Vec<String> {
    std::iter::from_fn(|| tail.next_entry().map(|entry| entry.cursor().to_string())).collect()
}

fn cursors(entries: &[ExportedEntry]) -> Vec<String> {
    entries.iter().map(|entry| entry.cursor.clone()).collect()
}

fn named(names: &[&str]) -> Namespaces {
    Namespaces::Named(names.iter().map(|&name| name.into()).collect())
}

/// Sends an entry to a namespace and waits until it is in its journal.
fn log(journald: &Journald, namespace: &str, message: &str) {
    let socket = format!("/run/systemd/journal.{namespace}/dev-log");
    assert!(journald.run(&["logger", "--socket", &socket, message]).status.success());
    journald.journalctl(&[&format!("--namespace={namespace}"), "--sync"]);
}

#[test]
fn namespaces_are_read_as_journalctl_reads_them() {
    let journald = or_skip!(Journald::start());
    let _running = [journald.start_namespace("shop"), journald.start_namespace("web.2")];
    for round in ["one", "two"] {
        journald.send_native(&[("MESSAGE", round.as_bytes())]);
        log(&journald, "shop", round);
        log(&journald, "web.2", round);
        journald.journalctl(&["--namespace=shop", "--rotate"]);
    }
    journald.sync();
    let scope = |namespaces| Scope { namespaces, ..Scope::of([journald.dir()]) };
    let journalctl = |args: &[&str]| {
        cursors(&parse_export(&journald.journalctl(&[&["--all", "--output=export"], args].concat())))
    };
    for (namespaces, theirs) in [
        (named(&[]), journalctl(&[])),
        (named(&["shop"]), journalctl(&["--namespace=+shop"])),
        (named(&["shop", "web.2", "none"]), journalctl(&["--namespace=*"])),
        (Namespaces::All, journalctl(&["--namespace=*"])),
    ] {
        assert_eq!(drain(&mut open(&scope(namespaces.clone()), Start::Oldest)), theirs, "{namespaces:?}");
    }
    // Without a word about namespaces a folder is what `journalctl --directory` makes of it, and a namespace's own
    // folder is read when it is named.
    let directory = or_skip!(journalctl_export(&[journald.dir()]));
    assert_eq!(drain(&mut open(&scope(named(&[])), Start::Oldest)), cursors(&directory));
    let folder = journald.dir().join(format!("{}.shop", journald.machine_id()));
    let shop = journalctl(&["--namespace=shop"]);
    assert_eq!(drain(&mut open(&Scope::of([folder]), Start::Oldest)), shop);
    assert!(shop.len() >= 2 && journalctl(&["--namespace=*"]).len() >= shop.len() + 4);
}

#[test]
fn a_namespace_that_appears_is_noticed() {
    let journald = or_skip!(Journald::start());
    journald.send_native(&[("MESSAGE", b"before")]);
    journald.sync();
    let scope = |namespaces| Scope { namespaces, ..Scope::of([journald.dir()]) };
    let mut tails = [Namespaces::All, named(&["late"]), named(&["other"])]
        .map(|namespaces| open(&scope(namespaces), Start::Oldest));
    tails.iter_mut().for_each(|tail| assert!(!drain(tail).is_empty()));
    let _running = journald.start_namespace("late");
    log(&journald, "late", "hello");
    let theirs = parse_export(&journald.journalctl(&["--namespace=late", "--output=export"]));
    let last = theirs.iter().find(|entry| entry.text("MESSAGE") == "hello").unwrap().cursor.clone();
    let deadline = Instant::now() + Duration::from_secs(20);
    let [all, late, other] = &mut tails;
    for tail in [all, late] {
        while !drain(tail).contains(&last) {
            assert!(Instant::now() < deadline, "the namespace was not noticed");
            tail.wait(Some(deadline)).unwrap();
        }
    }
    other.poll().unwrap();
    assert!(!drain(other).contains(&last));
}

#[test]
fn what_the_runtime_journal_told_hides_copies_of_its_own_namespace_only() {
    const MACHINE: &str = "0123456789abcdef0123456789abcdef";
    let in_run = tempfile::tempdir_in("/run");
    let runtime = or_skip!(in_run.map_err(|error| crate::support::Unavailable(format!("/run: {error}"))));
    let persistent = tempfile::tempdir().unwrap();
    let file = |folder: &tempfile::TempDir, namespace: &str| -> PathBuf {
        let folder = folder.path().join(format!("{MACHINE}{namespace}"));
        std::fs::create_dir_all(&folder).unwrap();
        folder.join("system.journal")
    };
    let entry = |n: u64| ExportEntry::new(1_700_000_000_000_000 + n).message(format!("message {n}"));
    or_skip!(build_journal(&file(&runtime, ""), &[entry(1), entry(5)], Format::default()));
    let mut scope = Scope {
        namespaces: Namespaces::All,
        ..Scope::of([runtime.path().to_owned(), persistent.path().to_owned()])
    };
    let mut tail = open(&scope, Start::Oldest);
    assert_eq!(drain(&mut tail).len(), 2);
    or_skip!(build_journal(&file(&persistent, ".web"), &[entry(2), entry(3)], Format::default()));
    or_skip!(build_journal(&file(&persistent, ""), &[entry(1)], Format::default()));
    let start = || Start::Resume(Box::new(tail.resume()));
    assert_eq!(drain(&mut open(&scope, start())).len(), 2);
    scope.namespaces = named(&[]);
    assert_eq!(drain(&mut open(&scope, start())), [""; 0]);
    tail.poll().unwrap();
    assert_eq!(drain(&mut tail).len(), 2);
}
