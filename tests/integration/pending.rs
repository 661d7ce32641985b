//! `--dry-run --pending`: what is still unshipped, for each destination.

use std::fs;

use crate::support::agent::{Agent, PATIENCE, output};
use crate::support::journald::Journald;
use crate::support::loki::Loki;
use crate::support::or_skip;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn what_is_unshipped_is_shown_from_each_checkpoint_on() {
    let journald = or_skip!(Journald::start());
    let send = |names: &[&str]| {
        for name in names {
            journald.send_native(&[("MESSAGE", name.as_bytes()), ("SYSLOG_IDENTIFIER", b"pending-test")]);
        }
        journald.sync();
    };
    send(&["one", "two", "three"]);
    let loki = Loki::builder().ignore_age(true).start();
    let more = "stages: [{drop: {expression: nothing-of-it}}]";
    let mut agent = Agent::new(&journald.dir(), &loki.url(), more);
    agent.start();
    let there = |text: &str| loki.wait_for(|state| state.stored().iter().any(|s| s.line == text), PATIENCE);
    there("three").unwrap();
    assert!(agent.end(rustix::process::Signal::TERM).success(), "{}", agent.log());
    send(&["four", "nothing-of-it", "five"]);
    let config = agent.config();
    let run = |args: &[&str]| {
        let out = output(&[&["--dry-run", "--config", config.to_str().unwrap()], args].concat());
        assert!(out.status.success(), "{}", text(&out.stderr));
        (text(&out.stdout), text(&out.stderr))
    };
    let state = fs::read(agent.home.path().join("state/main.json")).unwrap();
    let lines = |shown: &str| -> Vec<String> {
        let parse = |line| -> serde_json::Value { serde_json::from_str(line).unwrap() };
        shown.lines().map(|line| parse(line)["line"].as_str().unwrap().to_owned()).collect()
    };
    let (shown, said) = run(&["--pending", "-o", "json"]);
    assert_eq!(lines(&shown), ["four", "five"]);
    assert!(said.contains("loki `main`: acknowledged up to an entry of 20"), "{said}");
    assert!(said.contains("; pending: 2 entries would be pushed; nothing was; 1 would be dropped"), "{said}");
    assert_eq!(lines(&run(&["--pending", "-o", "json", "-n", "1"]).0), ["five"]);
    assert!(run(&["--pending", "--summary"]).0.starts_with("2 entries in "));
    // Without it, the dry run says that there is a checkpoint.
    assert!(run(&[]).1.contains("; loki `main` has all up to 20"), "{}", run(&[]).1);
    assert_eq!(fs::read(agent.home.path().join("state/main.json")).unwrap(), state, "nothing is written");

    // A further destination has everything before it.
    agent.reconfigure("loki:\n", "loki:\n  - {name: new, url: 'http://localhost:1'}\n");
    agent.reconfigure("  - url: ", "  - name: main\n    url: ");
    let (shown, said) = run(&["--pending", "-o", "json"]);
    let lines = lines(&shown);
    let ours: Vec<&str> =
        lines.iter().map(String::as_str).filter(|l| "one two three four five".contains(l)).collect();
    assert_eq!(ours, ["one", "two", "three", "four", "five", "four", "five"], "{lines:?}");
    assert!(said.contains("loki `new`: nothing was shipped yet; pending: "), "{said}");

    // The file of the checkpoint holds something else.
    fs::write(agent.home.path().join("state/main.json"), "{").unwrap();
    let out = output(&["--dry-run", "--pending", "--config", config.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stderr).contains("what was shipped is not known: "), "{}", text(&out.stderr));
    for other in [&["--since", "1h"][..], &["-f"], &["--path", "/"]] {
        assert_eq!(output(&[&["--dry-run", "--pending"], other].concat()).status.code(), Some(2));
    }
}
