//! Fleets: with Loki, and with the journal as the engine of the server.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{HOSTS, Nix, ROOT, host, of_flake, of_fleet, strings};
use crate::support::{Unavailable, or_skip};

#[test]
fn the_fleet_of_the_documentation_is_right() {
    let nix = or_skip!(Nix::new());
    for host in HOSTS {
        let modules = of_fleet(host);
        let report = nix.evaluate(&modules, "report").unwrap();
        assert_eq!(report["failed"], serde_json::json!([]), "{host}");
        assert_eq!(report["warnings"], serde_json::json!([]), "{host}");
        let agent = nix.build(&modules, "agent").unwrap_or_else(|error| panic!("{host}: {error}"));
        let config: Value = serde_json::from_str(&fs::read_to_string(agent).unwrap()).unwrap();
        assert_eq!(config["labels"]["static"]["host"], host);
        let opened = report["firewall"].as_object().unwrap();
        assert_eq!(opened.keys().collect::<Vec<_>>(), ["tailscale0"], "{host}");
        let ports = opened["tailscale0"]["allowedTCPPorts"].as_array().unwrap();
        let mut ports: Vec<u64> = ports.iter().map(|port| port.as_u64().unwrap()).collect();
        ports.sort_unstable();
        assert_eq!(ports, if host == "monitor" { vec![3100, 9093, 9194] } else { vec![9194] }, "{host}");
        let service = strings(&report["service"]);
        let credential = "LoadCredential=archive-password:/run/agenix/archive-password";
        assert_eq!(service.contains(&credential), host == "nas");
    }
    // The host with Loki.
    let report = nix.evaluate(&of_fleet("monitor"), "report").unwrap();
    assert_eq!(report["loki"], true);
    let source = &report["grafana"]["datasources"]["settings"]["datasources"][0];
    assert_eq!((&source["uid"], &source["url"]), (&"loki".into(), &"http://127.0.0.1:3100".into()));
    assert_eq!(report["prometheusRules"], serde_json::json!(["journal-ship.rules.yaml"]));
    let jobs = report["scrapeConfigs"].as_array().unwrap();
    assert_eq!(
        jobs[1]["static_configs"][0]["targets"],
        serde_json::json!(["web1:9194", "db1:9194", "nas:9194"])
    );
}

/// The same fleet without a Loki: one option is another.
#[test]
fn the_engine_of_a_fleet_is_one_option() {
    let nix = or_skip!(Nix::new());
    let fleet = nix.home.path().join("fleet");
    let from = format!("{ROOT}/demo/fleet");
    assert!(Command::new("cp").arg("-r").arg(from).arg(&fleet).status().unwrap().success());
    let common = fs::read_to_string(fleet.join("logging.nix")).unwrap();
    let changed = common.replace("server.engine = \"loki\"", "server.engine = \"journal\"");
    assert_ne!(common, changed);
    fs::write(fleet.join("logging.nix"), changed).unwrap();
    for host in HOSTS {
        let modules = of_flake(&fleet.join("flake.nix"), host);
        let report = nix.evaluate(&modules, "report").unwrap();
        for what in ["failed", "warnings"] {
            assert_eq!(report[what], serde_json::json!([]), "{host}");
        }
        let agent = nix.build(&modules, "agent").unwrap_or_else(|error| panic!("{host}: {error}"));
        let config: Value = serde_json::from_str(&fs::read_to_string(agent).unwrap()).unwrap();
        // A Loki that is written for itself stays.
        let elsewhere = if host == "nas" { 1 } else { 0 };
        assert_eq!(config["loki"].as_array().unwrap().len(), elsewhere, "{host}");
        assert_eq!(report["loki"], false, "{host}");
        assert_eq!(config["query"]["socket"], "/run/journal-ship/query.sock", "{host}");
        let upload = &report["journald"]["upload"];
        if host != "monitor" {
            assert_eq!(upload["settings"]["Upload"]["URL"], "http://monitor:19532", "{host}");
            assert_eq!(config["labels"]["static"]["host"], host);
            assert!(report["journald"]["remote"].is_null() && config["journal"].is_null(), "{host}");
            continue;
        }
        assert!(upload.is_null(), "{upload}");
        let remote = serde_json::json!({
            "enable": true, "listen": "http", "port": 19532, "output": "/var/log/journal/remote/",
            "settings": {"Remote": {"SplitMode": "host", "MaxUse": "20G"}},
        });
        assert_eq!(report["journald"]["remote"], remote);
        // Its agent reads all of them, and each entry says whose it is.
        let paths = serde_json::json!(["/var/log/journal", "/var/log/journal/remote"]);
        assert_eq!(config["journal"]["paths"], paths);
        assert!(config["labels"]["static"]["host"].is_null(), "{config}");
        assert_eq!(config["query"]["listen"], "127.0.0.1:9195");
        let service = strings(&report["service"]);
        for line in [
            "SupplementaryGroups=systemd-journal-remote",
            "LoadCredential=query-token:/run/agenix/query-token",
        ] {
            assert!(service.contains(&line), "{service:?}");
        }
        let rules = strings(&config["alerts"]["rule_files"]);
        assert!(
            rules.iter().any(|file| fs::read_to_string(file).unwrap().contains("HostsRestart")),
            "{rules:?}"
        );
        let source = &report["grafana"]["datasources"]["settings"]["datasources"][0];
        assert_eq!((&source["type"], &source["url"]), (&"loki".into(), &"http://127.0.0.1:9195".into()));
        let credential = "/run/credentials/grafana.service/query-token";
        assert_eq!(source["secureJsonData"]["basicAuthPassword"], format!("$__file{{{credential}}}"));
        let loaded = serde_json::json!(["query-token:/run/agenix/query-token"]);
        assert_eq!(report["grafanaUnit"]["LoadCredential"], loaded);
        let ports = report["firewall"]["tailscale0"]["allowedTCPPorts"].as_array().unwrap();
        let mut ports: Vec<u64> = ports.iter().map(|port| port.as_u64().unwrap()).collect();
        ports.sort_unstable();
        assert_eq!(ports, [9093, 9194, 19532]);
        assert_eq!(report["scrapeConfigs"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn journals_are_uploaded_with_certificates() {
    let nix = or_skip!(Nix::new());
    let files = "certFile = \"/c\"; keyFile = \"/k\"; caFile = \"/ca\";";
    let common = "server.engine = \"journal\"; server.host = \"monitor\";";
    let report = nix.report(&format!("enable = true; {common} upload = {{ {files} }};")).unwrap();
    let upload = &report["journald"]["upload"]["settings"]["Upload"];
    assert_eq!(upload["URL"], "https://monitor:19532");
    assert_eq!((&upload["ServerCertificateFile"], &upload["ServerKeyFile"]), (&"/c".into(), &"/k".into()));
    assert_eq!(upload["TrustedCertificateFile"], "/ca");
    let report = nix
        .report(&format!("enable = true; {common} server.enable = true; server.journal = {{ {files} }};"))
        .unwrap();
    assert_eq!(report["failed"], serde_json::json!([]));
    let remote = &report["journald"]["remote"];
    assert_eq!(remote["listen"], "https");
    assert_eq!(remote["settings"]["Remote"]["TrustedCertificateFile"], "/ca");
}

#[test]
fn loki_deletes_by_the_rules_of_the_agents() {
    let nix = or_skip!(Nix::new());
    if !Path::new("/usr/bin/jq").exists() {
        return crate::support::skipped(
            "loki_deletes_by_the_rules_of_the_agents",
            &Unavailable("jq is missing".to_owned()),
        );
    }
    let loki = |modules: &str| -> Value {
        let path = nix.build(modules, "loki").unwrap_or_else(|error| panic!("{error}"));
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    };
    let config = loki(&of_fleet("monitor"));
    let limits = &config["limits_config"];
    assert_eq!(limits["retention_period"], "31d");
    let streams: Vec<_> = limits["retention_stream"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stream| (stream["selector"].as_str().unwrap(), stream["period"].as_str().unwrap()))
        .collect();
    assert!(streams.contains(&("{retention=\"90d\"}", "90d")), "{streams:?}");
    assert_eq!(limits["reject_old_samples"], false);
    assert_eq!(config["compactor"]["retention_enabled"], true);
    assert_eq!(config["analytics"]["reporting_enabled"], false);
    assert_eq!(config["server"]["http_listen_address"], "0.0.0.0");
    assert_eq!(config["ruler"]["alertmanager_url"], "http://127.0.0.1:9093");
    let schema = &config["schema_config"]["configs"][0];
    assert_eq!(
        (&schema["store"], &schema["schema"], &schema["index"]["period"]),
        (&"tsdb".into(), &"v13".into(), &"24h".into())
    );
    let rules =
        Path::new(config["ruler"]["storage"]["local"]["directory"].as_str().unwrap()).join("fake/0.yaml");
    assert!(fs::read_to_string(rules).unwrap().contains("HostsRestart"));

    // Alone: no retention set, nobody else reaches it, and what is written for Loki wins.
    let config = loki(&host(
        "enable = true; server = { enable = true; settings.limits_config = { ingestion_rate_mb = 99; retention_period = \"7d\"; }; };",
    ));
    let limits = &config["limits_config"];
    assert_eq!((&limits["ingestion_rate_mb"], &limits["retention_period"]), (&99.into(), &"7d".into()));
    assert_eq!(limits["max_global_streams_per_user"], 50000);
    assert_eq!(config["server"]["http_listen_address"], "127.0.0.1");
    assert_eq!(config["ruler"].get("alertmanager_url"), None);
    // And its own agent knows where it is.
    let report = nix.report("enable = true; server.enable = true;").unwrap();
    assert_eq!(report["settings"]["loki"][0]["url"], "http://127.0.0.1:3100");
    // Its rules are checked, too.
    let bad = "server = { enable = true; rules.a.rules = [ { alert = \"A\"; expr = \"rate(\"; } ]; };";
    assert!(nix.build(&host(bad), "loki").unwrap_err().contains("loki-rules.yaml"));
}
