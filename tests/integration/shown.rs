//! The dry run against journalctl: it shows the same entries, whatever journal is drawn.

use std::path::Path;

use proptest::prelude::*;

use crate::support::agent::{PROGRAM, program};
use crate::support::journald::{Bulk, Journald, Transport};
use crate::support::journals::for_many_worlds;
use crate::support::merge::{is_252, merge, once};
use crate::support::or_skip;

/// The times (microseconds since 1970) of what `--dry-run` shows, and the configuration that it shows all with.
fn dry_run(home: &Path, command: impl FnOnce(&[&str]) -> std::process::Command, more: &[&str]) -> Vec<u64> {
    let config = home.join("config.yaml");
    std::fs::write(&config, "line: json\n").unwrap();
    let args = ["--config", config.to_str().unwrap(), "--dry-run", "--output", "json"];
    let output = command(&[&args, more].concat()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let times = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| {
        let record: serde_json::Value = serde_json::from_slice(line).unwrap();
        let time: jiff::Timestamp = record["timestamp"].as_str().unwrap().parse().unwrap();
        time.as_microsecond() as u64
    });
    times.collect()
}

#[test]
fn the_program_shows_what_journalctl_shows_of_since_until_and_lines() {
    or_skip!(is_252());
    for_many_worlds(|world| {
        let Ok(journals) = world.write() else { return Ok(()) };
        let whole = merge(&journals.cursors());
        let all = once(&whole.shown);
        let clear = whole.determined && whole.lost.is_empty() && all.is_sorted_by_key(|c| c.realtime);
        if all.is_empty() || !clear || all.len() != whole.shown.len() {
            return Ok(());
        }
        let times: Vec<u64> = journals.journalctl(&[]).iter().map(|entry| entry.realtime).collect();
        let at = |place: usize| {
            let time = times[world.places[place].index(times.len())];
            format!("@{}.{:06}", time / 1_000_000, time % 1_000_000)
        };
        let (first, second) = (at(0).min(at(1)), at(0).max(at(1)));
        let lines = (1 + world.places[2].index(times.len())).to_string();
        let mut paths = vec!["--path"];
        paths.extend(journals.folders.iter().map(|folder| folder.to_str().unwrap()));
        // With copies within an instant, journalctl counts some twice when it goes back so many lines.
        let at_once = all.windows(2).any(|pair| pair[0].realtime == pair[1].realtime);
        for args in [&["--since", &first, "--until", &second][..], &["--lines", &lines]] {
            let got = dry_run(journals.home.path(), |args| program(args), &[args, &paths].concat());
            let joined: Vec<String> = args.chunks(2).map(|arg| arg.join("=")).collect();
            let joined: Vec<&str> = joined.iter().map(String::as_str).collect();
            let want: Vec<u64> = match at_once && args[0] == "--lines" {
                true => times[times.len() - lines.parse::<usize>().unwrap()..].to_vec(),
                false => journals.journalctl(&joined).iter().map(|entry| entry.realtime).collect(),
            };
            prop_assert_eq!(got, want, "{:?}", args);
        }
        Ok(())
    });
}

/// journald may write to /run while /var has what was written before, and moves the one to the other.
#[test]
fn the_runtime_journal_beside_the_persistent_one_is_read_as_journalctl_reads_it() {
    let journald = or_skip!(Journald::builder().volatile().start());
    let config = tempfile::tempdir().unwrap();
    let compare = |what: &str| {
        let inside = |args: &[&str]| journald.command(&[&[PROGRAM], args].concat());
        let got = dry_run(config.path(), inside, &[]);
        let want: Vec<u64> = journald.entries().iter().map(|entry| entry.realtime).collect();
        assert_eq!(got, want, "{what}");
    };
    for seed in 0..3 {
        journald.send(&Bulk::new(Transport::Native, 40, seed).unit("a.service"));
        compare("in /run");
        journald.flush();
        journald.send(&Bulk::new(Transport::Syslog, 40, seed).unit("b.service"));
        compare("in /var");
        journald.journalctl(&["--relinquish-var"]);
    }
    journald.send(&Bulk::new(Transport::Native, 40, 9).unit("a.service"));
    compare("in both");
}
