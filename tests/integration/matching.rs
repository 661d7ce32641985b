//! `journal.match`: the agent ships what matches, and Promtail's matches choose the same entries when converted.

use crate::support::agent::{Agent, PATIENCE, assert_arrived, output};
use crate::support::fixtures::{Format, build_journal, journalctl, mixed, parse_export};
use crate::support::journald::{Bulk, Journald, Transport, wait_until};
use crate::support::loki::Loki;
use crate::support::or_skip;

#[test]
fn the_agent_ships_what_matches_and_its_checkpoint_passes_the_rest() {
    let journald = or_skip!(Journald::start());
    let send = |unit: &str, seed| journald.send(&Bulk::new(Transport::Native, 300, seed).unit(unit));
    send("web.service", 1);
    send("worker.service", 2);
    let loki = Loki::builder().ignore_age(true).start();
    let mut agent = Agent::new(&journald.dir(), &loki.url(), "");
    let wanted = || {
        let mut entries = journald.entries();
        entries.retain(|entry| entry.text("_SYSTEMD_UNIT") == "web.service");
        entries
    };
    agent.reconfigure("backfill: 50y", "backfill: 50y, match: [{_SYSTEMD_UNIT: web.service}]");
    let mut starts = 0;
    let mut start_and_stop = |agent: &mut Agent| {
        agent.start();
        starts += 1;
        wait_until("the agent ships", || agent.log().matches("shipping to loki").count() == starts);
        let count = wanted().len();
        loki.wait_for(|s| s.stored().len() >= count, PATIENCE)
            .unwrap_or_else(|why| panic!("{why}\n{}", agent.log()));
        agent.stop();
        let last = journald.entries().last().unwrap().cursor.clone();
        let files = agent.checkpoint()["files"].clone();
        assert!(files.as_object().unwrap().values().any(|cursor| *cursor == last), "{files}, not {last}");
    };
    start_and_stop(&mut agent);
    send("worker.service", 3);
    // Nothing is sent this time.
    start_and_stop(&mut agent);
    send("web.service", 4);
    start_and_stop(&mut agent);
    assert_eq!(wanted().len(), 600);
    assert_arrived(&wanted(), &loki.stored());
    assert_eq!(loki.received_entries(), 600);
}

#[test]
fn promtails_matches_choose_the_same_entries_when_converted() {
    let dir = tempfile::tempdir().unwrap();
    let (path, config) = (dir.path().join("a.journal"), dir.path().join("config.yaml"));
    or_skip!(build_journal(&path, &mixed(600), Format::default()));
    for text in ["RARE=1", "A=1 A=2 B=3", "A=0 RARE=1 RARE=2"] {
        let promtail = format!(
            "clients: [{{url: 'http://l/loki/api/v1/push'}}]\nscrape_configs:\n\
             - {{job_name: j, journal: {{matches: '{text}', labels: {{job: j}}}}}}\n"
        );
        std::fs::write(&config, promtail).unwrap();
        let converted = output(&["convert", "promtail", config.to_str().unwrap()]);
        std::fs::write(&config, &converted.stdout).unwrap();
        let args = [
            "--dry-run",
            "-o",
            "json",
            "--config",
            config.to_str().unwrap(),
            "--path",
            path.to_str().unwrap(),
        ];
        let shown = output(&args);
        let lines: Vec<String> = String::from_utf8(shown.stdout)
            .unwrap()
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["line"].as_str().unwrap().into()
            })
            .collect();
        let args: Vec<&str> = ["--all", "--output=export"].into_iter().chain(text.split(' ')).collect();
        let theirs = parse_export(&journalctl(&[&path], &args).unwrap());
        assert_eq!(lines, theirs.iter().map(|entry| entry.text("MESSAGE")).collect::<Vec<_>>(), "{text}");
        assert!(!lines.is_empty());
    }
}
