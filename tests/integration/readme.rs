//! The README's commands, in their order, in a folder of their own: each does what it promises.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::agent::{PROGRAM, clean_environment};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// How the README calls the program.
const CALL: &str = "cargo run --release --";

/// Commands that ask this machine's own journal, which may be empty here or closed to us, that go on for ever, or that need a
/// Loki; their beginnings.
const NOT_HERE: &[&str] = &[
    "cargo run --release -- query 'sum by (unit) (count_over_time({job=~\".+\"}[1h]))' --since -6h",
    "cargo run --release -- query -u ssh -p warning --since yesterday",
    "cargo run --release -- --dry-run --since \"1h ago\"",
    "cargo run --release -- --dry-run -n 10 -f -o json",
    "cargo run --release -- --config config.yaml",
];

/// What a command must show, on standard output or standard error; its beginning.
const SHOWS: &[(&str, &str)] = &[
    ("cargo run --release -- query '{unit=\"ssh.service\"}", "Failed password for invalid user"),
    ("cargo run --release -- --dry-run --path demo/journal -n 20", "20 entries would be pushed"),
    ("cargo run --release -- check --config config.yaml", "config.yaml: valid; 1 destination"),
    ("cargo run --release -- check --config converted.yaml", "converted.yaml: valid; 1 destination"),
    ("cargo run --release -- --dry-run --summary --config converted.yaml", "not sent: 130"),
    ("cargo run --release -- --dry-run --summary --config rules.yaml", "ShopFails (group demo): 8 times"),
];

/// The commands of the README: its indented lines that call the program, or make a file for it.
fn commands(readme: &str) -> Vec<&str> {
    let indented = readme.lines().filter_map(|line| line.strip_prefix("    "));
    indented.filter(|line| line.starts_with(CALL) || line.starts_with("printf ")).collect()
}

#[test]
fn its_commands_do_what_it_says() {
    let readme = std::fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let home = tempfile::tempdir().unwrap();
    for name in ["demo", "config"] {
        symlink(Path::new(ROOT).join(name), home.path().join(name)).unwrap();
    }
    let mut met = BTreeSet::new();
    for command in commands(&readme) {
        if let Some(skipped) = NOT_HERE.iter().find(|skipped| command == **skipped) {
            met.insert(*skipped);
            continue;
        }
        let mut shell = Command::new("bash");
        clean_environment(shell.args(["-euc", &command.replace(CALL, PROGRAM)]))
            .env("PATH", "/usr/bin:/bin")
            .current_dir(home.path())
            .stdin(Stdio::null());
        let out = shell.output().unwrap();
        let shown = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
        assert!(out.status.success(), "{command}: {}\n{shown}", out.status);
        for (beginning, words) in SHOWS.iter().filter(|(beginning, _)| command.starts_with(beginning)) {
            assert!(shown.contains(words), "{command} does not show {words:?}:\n{shown}");
            met.insert(beginning);
        }
    }
    let expected = NOT_HERE.iter().chain(SHOWS.iter().map(|(beginning, _)| beginning));
    let unmet: Vec<_> = expected.filter(|one| !met.contains(*one)).collect();
    assert!(unmet.is_empty(), "not in the README any more: {unmet:#?}");
}
