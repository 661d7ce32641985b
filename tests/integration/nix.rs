//! The NixOS module and the flake, as far as they can be tried without nixpkgs: by the language itself, by a stand-in of the
//! module system (tests/nix/module-system.nix says so), and by builds that run the built program.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::agent::PROGRAM;
use crate::support::{Unavailable, or_skip};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const HOSTS: [&str; 4] = ["monitor", "web1", "db1", "nas"];

/// A store of the test's own.
struct Nix {
    home: tempfile::TempDir,
}

impl Nix {
    fn new() -> Result<Nix, Unavailable> {
        if !Path::new("/usr/bin/nix-instantiate").exists() {
            return Err(Unavailable("nix-instantiate is missing (Debian package nix-bin)".to_owned()));
        }
        let home = tempfile::tempdir().unwrap();
        for name in ["store", "var", "log", "etc", "program/bin", "loki/bin"] {
            fs::create_dir_all(home.path().join(name)).unwrap();
        }
        let settings = "sandbox = false\nbuild-users-group =\nexperimental-features = nix-command flakes\nflake-registry =\n";
        fs::write(home.path().join("etc/nix.conf"), settings).unwrap();
        symlink(PROGRAM, home.path().join("program/bin/journal-ship")).unwrap();
        // It is asked to verify; whether what it gets is right is looked at here.
        let loki = home.path().join("loki/bin/loki");
        fs::write(&loki, "#!/bin/sh\ntest \"$1\" = -verify-config\n").unwrap();
        assert!(Command::new("chmod").arg("+x").arg(&loki).status().unwrap().success());
        Ok(Nix { home })
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let at = |name: &str| self.home.path().join(name);
        Command::new(program)
            .args(arguments)
            .current_dir(ROOT)
            .env("NIX_STORE_DIR", at("store"))
            .env("NIX_STATE_DIR", at("var"))
            .env("NIX_LOG_DIR", at("log"))
            .env("NIX_CONF_DIR", at("etc"))
            .env("HOME", self.home.path())
            .output()
            .unwrap()
    }

    /// An expression about a host with these modules: `(import tests/nix/evaluate.nix { … }).WHAT`.
    fn expression(&self, modules: &str, what: &str) -> String {
        let home = self.home.path().display();
        format!(
            "(import {ROOT}/tests/nix/evaluate.nix {{ program = \"{home}/program\"; loki = \"{home}/loki\"; \
             modules = [ {modules} ]; }}).{what}"
        )
    }

    fn evaluate(&self, modules: &str, what: &str) -> Result<Value, String> {
        let expression = self.expression(modules, what);
        let out = self.run("nix-instantiate", &["--eval", "--strict", "--json", "--expr", &expression]);
        let errors = String::from_utf8_lossy(&out.stderr).into_owned();
        if out.status.success() { Ok(serde_json::from_slice(&out.stdout).unwrap()) } else { Err(errors) }
    }

    /// What the module says about a host with this as the content of `services.journalship`.
    fn report(&self, journalship: &str) -> Result<Value, String> {
        self.evaluate(&host(journalship), "report")
    }

    fn build(&self, modules: &str, what: &str) -> Result<PathBuf, String> {
        let expression = self.expression(modules, what);
        let out = self.run("nix-build", &["--no-out-link", "--expr", &expression]);
        let errors = String::from_utf8_lossy(&out.stderr).into_owned();
        if out.status.success() {
            Ok(PathBuf::from(String::from_utf8(out.stdout).unwrap().trim()))
        } else {
            Err(errors)
        }
    }
}

fn host(journalship: &str) -> String {
    format!("{{ networking.hostName = \"web1\"; services.journalship = {{ {journalship} }}; }}")
}

/// What a flake makes of a host: its modules.
fn of_flake(flake: &Path, host: &str) -> String {
    let flake = flake.display();
    format!(
        "{{ imports = ((import {flake}).outputs {{ \
           nixpkgs.lib = (import {ROOT}/tests/nix/module-system.nix).lib // {{ nixosSystem = system: system.modules; }}; \
           agenix.nixosModules.default = {{ }}; journal-ship.nixosModules.default = {{ }}; \
         }}).nixosConfigurations.{host}; }}"
    )
}

fn of_fleet(host: &str) -> String {
    of_flake(&Path::new(ROOT).join("demo/fleet/flake.nix"), host)
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect()
}

#[test]
fn everything_is_nix() {
    let nix = or_skip!(Nix::new());
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from(ROOT)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() && entry.file_name() != "target" && entry.file_name() != ".git" {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "nix") {
                files.push(path);
            }
        }
    }
    assert!(files.len() >= 15, "{files:?}");
    for file in files {
        let out = nix.run("nix-instantiate", &["--parse", file.to_str().unwrap()]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
}

#[test]
fn every_option_is_described() {
    let nix = or_skip!(Nix::new());
    let guide = fs::read_to_string(format!("{ROOT}/docs/nixos.md")).unwrap();
    let options = nix.evaluate("", "options").unwrap();
    let rows: Vec<String> = options
        .as_array()
        .unwrap()
        .iter()
        .map(|option| {
            let text = |key: &str| option[key].as_str().unwrap_or_else(|| panic!("{option} has no {key}"));
            let words: Vec<&str> = text("description").split_whitespace().collect();
            assert!(words.len() > 2, "{option}");
            assert!(option["hasExample"] == true || text("type") == "boolean", "{option} has no example");
            let default = option["default"].as_str().unwrap_or("to be set");
            format!("| `{}` | {} | {default} | {} |", text("name"), text("type"), words.join(" "))
        })
        .collect();
    let (_, table) = guide.split_once("## Options\n").unwrap();
    let table = table.split("\n## ").next().unwrap();
    let shown: Vec<&str> = table.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(shown, rows, "docs/nixos.md shows the options as they are");
}

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
    let credentials = "credentials = { b = \"/run/agenix/b\"; }; environmentFile = \"/run/env\"; extraFlags = [ \"-x y\" ];";
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
        started[0].ends_with("/program/bin/journal-ship --config /etc/journal-ship/config.yaml '-x y'"),
        "{started:?}"
    );
    theirs.remove("ExecStart").unwrap();
    assert_eq!(ours, theirs);
    assert_eq!(strings(&report["wantedBy"]), ["multi-user.target"]);
    assert_eq!(report["reloadTriggers"], 1);
}

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
        ("server.port = 70000;", "`services.journalship.server.port' is not of type"),
    ] {
        let text = format!("enable = true; checkConfig = false; {given}");
        let error =
            nix.evaluate(&host(&text), "everything").err().unwrap_or_else(|| panic!("{given} is taken"));
        assert!(error.contains(part), "{given}: {error}");
    }
}

/// What the module itself looks at: errors and warnings.
#[test]
fn what_makes_no_sense_is_refused_or_warned_of_by_the_name_of_the_option() {
    let nix = or_skip!(Nix::new());
    let newer = "let newer = storage: { lib, ... }: { \
                   options.services.journald.settings.Journal = lib.mkOption { \
                     type = lib.types.attrsOf lib.types.str; \
                     default = if storage == null then { } else { Storage = storage; }; \
                   }; \
                   config.services.journald.storage = lib.mkForce (throw \"looked for where it was\"); \
                 }; in";
    // The second text is for the rest of the system.
    let to_loki = "loki.url = \"http://l\";";
    for (given, system, failed, warned) in [
        ("", "", "has nowhere to send to. Set services.journalship.loki.url", ""),
        ("alertmanagers = [ \"http://am\" ];", "", "", ""),
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
            "opens the metrics to everyone",
        ),
        (
            "server.enable = true; server.interfaces = [ \"a\" ];",
            "networking.firewall.enable = false;",
            "",
            "opens Loki to everyone",
        ),
        ("server.enable = true; server.hosts = [ \"a\" ];", "", "", "services.prometheus.enable is off"),
        (
            "server.enable = true; server.hosts = [ \"a\" ];",
            "services.prometheus.enable = true;",
            "",
            "Set services.journalship.server.interfaces",
        ),
    ] {
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
fn what_the_documentation_shows_works() {
    let nix = or_skip!(Nix::new());
    let guide = fs::read_to_string(format!("{ROOT}/docs/nixos.md")).unwrap();
    let mut shown: Vec<&str> =
        guide.split("```nix\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    for name in
        ["flake.nix", "logging.nix", "hosts/monitor.nix", "hosts/web1.nix", "hosts/db1.nix", "hosts/nas.nix"]
    {
        let text = fs::read_to_string(format!("{ROOT}/demo/fleet/{name}")).unwrap();
        let before = shown.len();
        shown.retain(|block| *block != text);
        assert_eq!(shown.len(), before - 1, "docs/nixos.md does not show demo/fleet/{name} as it is");
    }
    assert!(shown.len() >= 2, "{shown:?}");
    for block in shown {
        let modules = if block.contains("outputs =") {
            fs::write(nix.home.path().join("flake.nix"), block).unwrap();
            fs::write(nix.home.path().join("configuration.nix"), "{ networking.hostName = \"web1\"; }")
                .unwrap();
            of_flake(&nix.home.path().join("flake.nix"), "web1")
        } else {
            let converted = nix.home.path().join("journal-ship.json");
            fs::write(&converted, r#"{"loki": [{"url": "http://l"}], "journal": {"backfill": "1d"}}"#)
                .unwrap();
            let block = block.replace("./journal-ship.json", converted.to_str().unwrap());
            format!(
                "({{ config, ... }}: {{ services.journalship.enable = true; age.secrets.loki-password.file = ./secret; \
                 {block} }})"
            )
        };
        let report = nix.evaluate(&modules, "report").unwrap_or_else(|error| panic!("{block}\n{error}"));
        assert_eq!(report["failed"], serde_json::json!([]), "{block}");
        assert_eq!(report["warnings"], serde_json::json!([]), "{block}");
        nix.build(&modules, "agent").unwrap_or_else(|error| panic!("{block}\n{error}"));
    }
}

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
    let jobs = report["scrapeConfigs"].as_array().unwrap();
    assert_eq!(
        jobs[1]["static_configs"][0]["targets"],
        serde_json::json!(["web1:9194", "db1:9194", "nas:9194"])
    );
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

#[test]
fn the_flake_shows_what_it_has() {
    let nix = or_skip!(Nix::new());
    // Not all of the project: a flake at a path is copied, with everything that was built.
    let flake = nix.home.path().join("flake");
    let nixpkgs = nix.home.path().join("nixpkgs");
    let copy = |from: &str, to: &Path| {
        fs::create_dir_all(to).unwrap();
        assert!(
            Command::new("cp").arg("-r").arg(format!("{ROOT}/{from}")).arg(to).status().unwrap().success()
        );
    };
    for name in ["flake.nix", "module.nix", "config", "demo", "Cargo.toml"] {
        copy(name, &flake);
    }
    copy("tests/nix", &flake.join("tests"));
    copy("tests/nix/nixpkgs/flake.nix", &nixpkgs);
    copy("tests/nix/module-system.nix", &nixpkgs);
    let (flake, nixpkgs) = (format!("path:{}", flake.display()), format!("path:{}", nixpkgs.display()));
    let arguments = [
        "--offline",
        "flake",
        "show",
        "--json",
        "--no-write-lock-file",
        &flake,
        "--override-input",
        "nixpkgs",
        &nixpkgs,
    ];
    let out = nix.run("nix", &arguments);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let shown: Value = serde_json::from_slice(&out.stdout).unwrap();
    for system in ["x86_64-linux", "aarch64-linux"] {
        let names = |kind: &str| -> Vec<&str> {
            shown[kind][system].as_object().unwrap().keys().map(String::as_str).collect()
        };
        assert_eq!(names("packages"), ["default", "static"]);
        assert_eq!(names("apps"), ["default"]);
        assert_eq!(names("devShells"), ["default"]);
        let checks =
            ["clippy", "fleet-db1", "fleet-monitor", "fleet-nas", "fleet-web1", "fmt", "package", "vm"];
        assert_eq!(names("checks"), checks);
        assert!(shown["formatter"][system].is_object());
    }
    assert_eq!(shown["nixosModules"]["default"]["type"], "nixos-module");
    assert_eq!(shown["overlays"]["default"]["type"], "nixpkgs-overlay");
}
