//! What options become, and what is said of those that are wrong.

use std::fs;

use serde_json::Value;

use super::{Nix, host, strings};
use crate::support::or_skip;

#[test]
fn short_options_become_settings() {
    let nix = or_skip!(Nix::new());
    for (given, settings) in [
        (
            "loki.url = \"http://l:3100\";",
            r#"{"loki": [{"name": "main", "url": "http://l:3100"}], "http": {"listen": "127.0.0.1:9194"},
                "labels": {"static": {"job": "systemd-journal", "host": "web1"}, "fields": null},
                "alerts": {"rule_files": [], "alertmanagers": []}}"#,
        ),
        (
            "loki = { url = \"https://l\"; tenant = \"t\"; username = \"u\"; passwordFile = \"/run/p\"; };",
            r#"{"loki": [{"name": "main", "url": "https://l", "tenant": "t",
                "basic_auth": {"username": "u", "password_file": "${CREDENTIALS_DIRECTORY}/loki-password"}}]}"#,
        ),
        (
            "loki = { url = \"https://l\"; tokenFile = \"/run/t\"; };",
            r#"{"loki": [{"name": "main", "url": "https://l", "bearer_token_file": "${CREDENTIALS_DIRECTORY}/loki-token"}]}"#,
        ),
        // Both ways at once, and keys that the module has never heard of.
        (
            "loki.url = \"http://l\"; settings = { loki = [ { name = \"b\"; url = \"http://b\"; timeout = \"1m\"; } ]; \
             line = \"json\"; };",
            r#"{"line": "json", "loki": [{"name": "b", "url": "http://b", "timeout": "1m"}, {"name": "main", "url": "http://l"}]}"#,
        ),
        (
            "loki.url = \"http://l\"; settings.labels.static = { job = \"mine\"; a = \"b\"; };",
            r#"{"labels": {"static": {"job": "mine", "a": "b", "host": "web1"}, "fields": null}}"#,
        ),
        (
            "loki.url = \"http://l\"; settings.labels.fields = { host = \"_HOSTNAME\"; };",
            r#"{"labels": {"static": {"job": "systemd-journal"}, "fields": {"host": "_HOSTNAME"}}}"#,
        ),
        (
            "loki.url = \"http://l\"; interfaces = [ \"tailscale0\" ];",
            r#"{"http": {"listen": "0.0.0.0:9194"}}"#,
        ),
        (
            "loki.url = \"http://l\"; interfaces = [ \"t\" ]; settings.http.listen = \"100.64.0.1:9194\";",
            r#"{"http": {"listen": "100.64.0.1:9194"}}"#,
        ),
        ("loki.url = \"http://l\"; openFirewall = true;", r#"{"http": {"listen": "0.0.0.0:9194"}}"#),
        ("loki.url = \"http://l\"; settings.http.listen = null;", r#"{"http": {"listen": null}}"#),
    ] {
        let report =
            nix.report(&format!("enable = true; {given}")).unwrap_or_else(|error| panic!("{given}\n{error}"));
        assert_eq!(report["failed"], serde_json::json!([]), "{given}");
        let expected: Value = serde_json::from_str(settings).unwrap();
        let ours = report["settings"].as_object().unwrap();
        for (key, value) in expected.as_object().unwrap() {
            // In a list of both the order is the module system's.
            let sorted = |value: &Value| {
                let mut items = value.as_array().cloned().unwrap_or_default();
                items.sort_by_key(Value::to_string);
                items
            };
            assert!(
                ours.get(key) == Some(value) || (value.is_array() && sorted(&ours[key]) == sorted(value)),
                "{given}: {key} is {}",
                ours[key]
            );
        }
    }
    // Nothing is there before it is enabled.
    let report = nix.report("").unwrap();
    assert_eq!((&report["etc"], &report["service"]), (&serde_json::json!([]), &serde_json::json!([])));
}

#[test]
fn an_unknown_option_and_a_wrong_type_are_refused_by_the_name_of_the_option() {
    let nix = or_skip!(Nix::new());
    for (given, part) in [
        ("url = \"x\";", "The option `services.journalship.url' does not exist"),
        ("loki.urls = \"x\";", "The option `services.journalship.loki.urls' does not exist"),
        ("retention.rule = [ ];", "The option `services.journalship.retention.rule' does not exist"),
        ("loki.url = 3100;", "`services.journalship.loki.url' is not of type"),
        ("alertmanagers = \"http://am\";", "`services.journalship.alertmanagers' is not of type"),
        ("settings.loki = { url = \"x\"; };", "`services.journalship.settings.loki' is not of type"),
        (
            "settings.loki = [ { name = \"a\"; } ];",
            "`services.journalship.settings.loki.0.url' was accessed but has no value",
        ),
        ("credentials.a = ./secret;", "`services.journalship.credentials.a' is not of type"),
        ("retention.rules = [ { keep = \"1d\"; } ];", "selector' was accessed but has no value"),
        ("retention.rules = [ { selector = \"{}\"; sample = \"half\"; } ];", "sample' is not of type"),
        ("server.engine = \"sql\";", "`services.journalship.server.engine' is not of type"),
        ("server.port = 70000;", "`services.journalship.server.port' is not of type"),
    ] {
        let text = format!("enable = true; checkConfig = false; {given}");
        let error =
            nix.evaluate(&host(&text), "everything").err().unwrap_or_else(|| panic!("{given} is taken"));
        assert!(error.contains(part), "{given}: {error}");
    }
}

/// What `services.journalship` and the rest of a system are, and a part of the errors and of the warnings that come of it.
type Said<'a> = (&'a str, &'a str, &'a str, &'a str);

/// What the module itself looks at: errors and warnings.
fn assert_said(nix: &Nix, rows: &[Said<'_>]) {
    let newer = "let newer = storage: { lib, ... }: { \
                   options.services.journald.settings.Journal = lib.mkOption { \
                     type = lib.types.attrsOf lib.types.str; \
                     default = if storage == null then { } else { Storage = storage; }; \
                   }; \
                   config.services.journald.storage = lib.mkForce (throw \"looked for where it was\"); \
                 }; in";
    let to_loki = "loki.url = \"http://l\";";
    for (given, system, failed, warned) in rows {
        let store = nix.home.path().join("store");
        let text = given.replace("STORE", store.to_str().unwrap()).replace("LOKI", to_loki);
        let modules = format!(
            "{} ({newer} {{ {system} }})",
            host(&format!("enable = true; checkConfig = false; {text}"))
        );
        let report = nix.evaluate(&modules, "report").unwrap_or_else(|error| panic!("{given}: {error}"));
        for (what, part) in [("failed", failed), ("warnings", warned)] {
            let said = strings(&report[what]).join("\n");
            assert!(
                if part.is_empty() { said.is_empty() } else { said.contains(part) },
                "{given}: {what}: {said}"
            );
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused_or_warned_of_by_the_name_of_the_option() {
    let nix = or_skip!(Nix::new());
    let rows = [
        ("", "", "has nowhere to send to. Set services.journalship.loki.url", ""),
        ("alertmanagers = [ \"http://am\" ];", "", "", ""),
        ("settings.query.socket = \"/run/journal-ship/query.sock\";", "", "", ""),
        ("LOKI credentials.a = \"/run/agenix/a\";", "", "", ""),
        ("LOKI credentials.a = \"STORE/x-secret\";", "", "services.journalship.credentials.a is", ""),
        ("LOKI credentials.a = \"secret\";", "", "services.journalship.credentials.a is", ""),
        ("LOKI environmentFile = \"STORE/x\";", "", "services.journalship.environmentFile is in", ""),
        ("LOKI loki.passwordFile = \"/p\";", "", "needs services.journalship.loki.username", ""),
        (
            "LOKI loki.username = \"u\"; loki.passwordFile = \"/p\"; loki.tokenFile = \"/t\";",
            "",
            "only one can be set",
            "",
        ),
        (
            "loki.tenant = \"t\"; settings.loki = [ { url = \"http://l\"; } ];",
            "",
            "belong to services.journalship.loki.url",
            "",
        ),
        ("LOKI rules.a.rules = [ ];", "", "", "nobody is told of alerts"),
        ("LOKI", "services.journald.storage = \"volatile\";", "", "Set it to \"persistent\""),
        // Later versions of NixOS have it elsewhere, and end with an error when it is looked for here.
        ("LOKI", "imports = [ (newer \"volatile\") ];", "", "Set it to \"persistent\""),
        ("LOKI", "imports = [ (newer null) ];", "", ""),
        (
            "LOKI interfaces = [ \"a\" ];",
            "networking.firewall.enable = false;",
            "",
            "services.journalship.interfaces opens the metrics to everyone",
        ),
        (
            "LOKI openFirewall = true;",
            "networking.firewall.enable = false;",
            "",
            "services.journalship.openFirewall opens the metrics to everyone",
        ),
        (
            "server.enable = true; server.interfaces = [ \"a\" ];",
            "networking.firewall.enable = false;",
            "",
            "opens the server to everyone",
        ),
        ("server.enable = true; server.hosts = [ \"a\" ];", "", "", "services.prometheus.enable is off"),
        (
            "server.enable = true; server.hosts = [ \"a\" ];",
            "services.prometheus.enable = true;",
            "",
            "Set services.journalship.server.interfaces",
        ),
    ];
    assert_said(&nix, &rows);
}

#[test]
fn what_is_missing_for_a_fleet_without_loki_is_said() {
    let nix = or_skip!(Nix::new());
    let rows = [
        ("upload.url = \"http://monitor:19532\";", "", "", ""),
        ("upload = { url = \"https://m\"; keyFile = \"/k\"; };", "", "upload.certFile and .keyFile", ""),
        ("server = { enable = true; engine = \"journal\"; };", "", "", ""),
        (
            "server = { enable = true; engine = \"journal\"; };",
            "services.grafana.enable = true;",
            "services.journalship.server.journal.tokenFile",
            "",
        ),
        (
            "server = { enable = true; engine = \"journal\"; journal.keyFile = \"/k\"; };",
            "",
            ".keyFile and .caFile all have to be set",
            "",
        ),
        (
            "server = { enable = true; engine = \"journal\"; hosts = [ \"a\" ]; };",
            "services.prometheus.enable = true;",
            "",
            "Set services.journalship.server.interfaces",
        ),
    ];
    assert_said(&nix, &rows);
}

#[test]
fn a_configuration_with_a_mistake_is_not_built() {
    let nix = or_skip!(Nix::new());
    let good = "enable = true; loki.url = \"http://l\"; alertmanagers = [ \"http://am\" ]; environmentFile = \"/run/env\"; \
                rules.a.rules = [ { alert = \"A\"; expr = \"count_over_time({host=\\\"web1\\\"}[5m]) > 0\"; } ]; \
                retention.rules = [ { selector = \"{level=\\\"debug\\\"}\"; keep = \"2d\"; } ]; \
                settings.loki = [ { name = \"b\"; url = \"http://\\${ARCHIVE}\"; } ];";
    let built = nix.build(&host(good), "agent").unwrap();
    let config: Value = serde_json::from_str(&fs::read_to_string(built).unwrap()).unwrap();
    assert_eq!(config["retention"]["rules"][0]["keep"], "2d");
    assert_eq!(config["alerts"]["rule_files"].as_array().unwrap().len(), 2);
    for (bad, part) in [
        ("settings.lables = { };", "unknown key `lables`"),
        ("settings.journal.backfill = \"1.5h\";", "`journal.backfill`"),
        ("rules.b.rules = [ { alert = \"B\"; expr = \"rate({\"; } ];", "journal-ship-rules.yaml"),
        ("settings.stages = [ { regexp = { }; } ];", "regexp"),
    ] {
        let error = nix.build(&host(&format!("{good} {bad}")), "agent").unwrap_err();
        assert!(error.contains(part), "{bad}: {error}");
        // Unless that is wanted.
        nix.evaluate(&host(&format!("{good} {bad} checkConfig = false;")), "agent").unwrap();
    }
}

#[test]
fn the_metrics_are_open_where_it_is_said() {
    let nix = or_skip!(Nix::new());
    for (given, everywhere, interfaces) in [
        ("", serde_json::json!([]), serde_json::json!({})),
        ("openFirewall = true;", serde_json::json!([9194]), serde_json::json!({})),
        (
            "interfaces = [ \"lan0\" ];",
            serde_json::json!([]),
            serde_json::json!({"lan0": {"allowedTCPPorts": [9194]}}),
        ),
    ] {
        let report = nix.report(&format!("enable = true; loki.url = \"http://l\"; {given}")).unwrap();
        assert_eq!((&report["firewallPorts"], &report["firewall"]), (&everywhere, &interfaces), "{given}");
    }
}
