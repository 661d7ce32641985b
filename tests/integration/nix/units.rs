//! The units against those of other systems.

use std::collections::BTreeMap;
use std::fs;

use super::{Nix, ROOT, host, strings};
use crate::support::or_skip;

/// The lines of `[Service]`, with the words for true and false made one.
fn service<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeMap<String, Vec<String>> {
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, value) in lines.filter_map(|line| line.split_once('=')) {
        let value = match value {
            "yes" => "true",
            other => other,
        };
        let values = if key == "RestrictAddressFamilies" { value.split(' ').collect() } else { vec![value] };
        keys.entry(key.to_owned()).or_default().extend(values.into_iter().map(str::to_owned));
    }
    keys
}

#[test]
fn the_unit_is_the_one_of_other_systems() {
    let nix = or_skip!(Nix::new());
    let credentials = "credentials = { b = \"/run/agenix/b\"; }; environmentFile = \"/run/env\"; extraFlags = [ \"-x y\" \"50%\" ];";
    let report = nix
        .report(&format!("enable = true; loki.url = \"http://l\"; checkConfig = false; {credentials}"))
        .unwrap();
    let mut ours = service(strings(&report["service"]).into_iter());
    let unit = fs::read_to_string(format!("{ROOT}/config/journal-ship.service")).unwrap();
    let (_, section) = unit.split_once("[Service]").unwrap();
    let mut theirs =
        service(section.split("[Install]").next().unwrap().lines().filter(|l| !l.starts_with('#')));
    // The rest differs for a reason.
    for (key, here, there) in [
        ("Type", Some("notify-reload"), Some("notify")), // NixOS has a systemd that knows it,
        ("ExecReload", None, Some("/bin/sh -c 'kill -HUP $MAINPID'")), // so that this is not needed
        ("LoadCredential", Some("b:/run/agenix/b"), None),
        ("EnvironmentFile", Some("/run/env"), None),
    ] {
        let value = |values: Option<Vec<String>>| values.map(|values| values.join(" "));
        assert_eq!(value(ours.remove(key)).as_deref(), here, "{key}");
        assert_eq!(value(theirs.remove(key)).as_deref(), there, "{key}");
    }
    let started = ours.remove("ExecStart").unwrap();
    assert!(
        started[0].ends_with(
            "/program/bin/journal-ship\" \"--config\" \"/etc/journal-ship/config.yaml\" \"-x y\" \"50%%\""
        ),
        "{started:?}"
    );
    theirs.remove("ExecStart").unwrap();
    assert_eq!(ours, theirs);
    assert_eq!(strings(&report["wantedBy"]), ["multi-user.target"]);
    assert_eq!(report["reloadTriggers"], 1);
}

#[test]
fn the_comparison_of_each_day_is_the_one_of_other_systems() {
    let nix = or_skip!(Nix::new());
    let host = "enable = true; loki.url = \"http://l\"; checkConfig = false;";
    let report = nix.report(host).unwrap();
    assert!(strings(&report["verify"]).is_empty() && strings(&report["timer"]).is_empty(), "{report}");
    let report = nix.report(&format!("{host} verify.enable = true;")).unwrap();
    for (file, section, values) in [
        ("journal-ship-verify.service", "[Service]", &report["verify"]),
        ("journal-ship-verify.timer", "[Timer]", &report["timer"]),
    ] {
        let ours = strings(values).into_iter().map(|line| match line.split_once("/bin/") {
            Some((_, command)) => {
                let command = command.replace('"', "").replace("--config /etc/journal-ship/config.yaml ", "");
                format!("ExecStart=/usr/bin/{command}")
            }
            None => line.to_owned(),
        });
        let ours: Vec<String> = ours.collect();
        let unit = fs::read_to_string(format!("{ROOT}/config/{file}")).unwrap();
        let (_, lines) = unit.split_once(section).unwrap();
        let theirs = lines.split("[Install]").next().unwrap().lines().filter(|l| !l.starts_with('#'));
        assert_eq!(service(ours.iter().map(String::as_str)), service(theirs), "{file}");
    }
}

#[test]
fn a_host_raises_its_limits_without_force() {
    let nix = or_skip!(Nix::new());
    let raised = "systemd.services.journal-ship.serviceConfig = { MemoryMax = \"1G\"; TasksMax = 256; WatchdogSec = \"5min\"; };";
    let agent = host("enable = true; loki.url = \"http://l\";");
    let report = nix.evaluate(&format!("{agent} {{ {raised} }}"), "report").unwrap();
    let service = strings(&report["service"]);
    for line in ["MemoryMax=1G", "TasksMax=256", "WatchdogSec=5min", "MemoryHigh=192M"] {
        assert!(service.contains(&line), "{line}: {service:?}");
    }
}
