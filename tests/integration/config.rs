//! Configuration files, faulty and good: each faulty one with its whole message, each good one with what
//! was built from it, and the reference held against the table of keys.
//!
//! `BLESS=1 cargo test --test integration config` rewrites the pinned messages; read the difference before keeping it.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use journal_ship::config::{
    Access, Alertmanager, Alerts, Auth, Backoff, Batch, Config, Destination, FILE_MAX, FieldRule,
    HeaderSource, Http, Journal, KEYS, Labels, Line, Queries, Tls,
};
use journald_reader::{Match, Namespaces, Scope};
use proptest::prelude::*;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/config");

/// Environment variables that the files in `tests/data/config` see.
fn env(name: &str) -> Option<String> {
    match name {
        "LOKI_HOST" => Some("loki.example.org".into()),
        "LOKI_LOGIN" => Some("http://ada:hunter2@loki".into()),
        "TENANT" => Some("team-a".into()),
        "BAD_WAIT" => Some("5 minutes".into()),
        "EMPTY" => Some(String::new()),
        "CREDENTIALS_DIRECTORY" => Some("/run/credentials/journal-ship.service".into()),
        _ => None,
    }
}

fn no_env(_: &str) -> Option<String> {
    None
}

fn files(extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(DATA).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    files.sort();
    files
}

fn parse(source: &str) -> Config {
    match Config::parse(source, "test.yaml", &env) {
        Ok(config) => config,
        Err(diagnostics) => panic!("{diagnostics}"),
    }
}

fn message(source: &str) -> String {
    Config::parse(source, "test.yaml", &env).expect_err(source).to_string()
}

#[test]
fn faulty_files_get_the_pinned_messages() {
    let bless = std::env::var_os("BLESS").is_some();
    let faulty = files("yaml");
    assert!(faulty.len() >= 40, "only {} faulty files", faulty.len());
    let mut wrong = Vec::new();
    for path in faulty {
        let source = fs::read_to_string(&path).unwrap();
        let origin = path.file_name().unwrap().to_str().unwrap();
        let rendered = match Config::examine_text(&source, origin, &env) {
            Ok((_, warnings)) if origin.starts_with("warn-") => warnings.render(false),
            Ok(_) => panic!("{origin} is taken, but it is there as a faulty file"),
            Err(diagnostics) => diagnostics.render(false),
        };
        assert!(!rendered.contains("hunter2"), "{origin} repeats a secret:\n{rendered}");
        let pinned = path.with_extension("stderr");
        if bless {
            fs::write(&pinned, &rendered).unwrap();
        } else if fs::read_to_string(&pinned).unwrap_or_default() != rendered {
            wrong.push(format!("{}:\n{rendered}", pinned.display()));
        }
    }
    assert!(wrong.is_empty(), "not the pinned message (BLESS=1 rewrites them):\n{}", wrong.join("\n"));
}

#[test]
fn every_pinned_message_has_its_file() {
    for pinned in files("stderr") {
        assert!(pinned.with_extension("yaml").exists(), "{} has no file", pinned.display());
    }
}

#[test]
fn nothing_written_is_the_builtin_configuration() {
    let builtin = Config::builtin(&no_env);
    for source in [
        "",
        "# only a comment\n",
        "---\n",
        "{}",
        "journal:\n  paths:\nlabels:\n  static:\nloki:\n",
        "loki: []",
        "\u{feff}",
    ] {
        assert_eq!(Config::parse(source, "test.yaml", &no_env), Ok(builtin.clone()), "{source:?}");
    }
    let rule = FieldRule::new;
    assert_eq!(
        builtin,
        Config {
            journal: Journal {
                scope: Scope::default(),
                backfill: Duration::from_secs(604_800),
                start_cursor: None
            },
            labels: Labels {
                fixed: vec![("job".into(), "systemd-journal".into())],
                fields: vec![
                    rule("host", &["_HOSTNAME"]),
                    rule("level", &["PRIORITY"]),
                    rule("service_name", &["_SYSTEMD_UNIT", "_TRANSPORT"]),
                    rule("unit", &["_SYSTEMD_UNIT"]),
                    rule("user_unit", &["_SYSTEMD_USER_UNIT"]),
                ],
                relabel: vec![],
                max_streams: 5000,
            },
            structured_metadata: vec![rule("identifier", &["SYSLOG_IDENTIFIER"]), rule("pid", &["_PID"])],
            stages: Vec::new(),
            retention: None,
            query: Queries::builtin(&|_| None),
            http: Http { listen: Some("127.0.0.1:9194".parse().unwrap()), hosts: Vec::new() },
            line: Line::Message,
            loki: vec![],
            alerts: Alerts::default(),
            log_level: log::LevelFilter::Info,
            state_directory: "/var/lib/journal-ship".into(),
        }
    );
}

/// Every key that has a value other than its default.
const EVERYTHING: &str = r#"
journal:
  paths: [/var/log/journal, "/srv/${TENANT}/x.journal"]
  namespaces: [web, db.2]
  match:
    - {PRIORITY: [3, 2.50, "0x1"], _SYSTEMD_UNIT: "${TENANT}.service"}
    - {_TRANSPORT: kernel, EMPTY: ""}
  backfill: 1d12h
labels:
  static: {job: journal, env: prod}
  fields:
    unit: _SYSTEMD_UNIT
    app: [CONTAINER_NAME, SYSLOG_IDENTIFIER]
structured_metadata: {}
line: json
loki:
  - url: http://${LOKI_HOST}:3100/
    tenant: ${TENANT}
    basic_auth: {username: ada, password_file: "/run/${TENANT}/password"}
    tls: {}
    proxy_url: http://proxy:3128
    max_line_bytes: 64KiB
    headers: {X-Two: "2", X-One: "${UNSET:-1}"}
    labels: {env: test}
    batch: {max_bytes: 65536, max_wait: 250ms}
    timeout: 1m30s
    backoff: {min: 1s, max: 1s}
  - name: archive
    url: https://archive/prefix/loki/api/v1/push
    bearer_token_file: /run/token
    tls: {ca_file: /ca.pem, cert_file: /cert.pem, key_file: /key.pem, server_name: loki.example.org}
alerts:
  alertmanagers:
    - url: http://am:9093/
    - {url: "https://h/alertmanager", bearer_token_file: /run/token, timeout: 3s}
  external_labels: {zone: "${TENANT}", cluster: a}
  external_url: https://grafana.example.org/g
  datasource_uid: P8E8
  evaluation_interval: 30s
  resend_delay: 5m
  max_series: 500
  max_memory: 64MiB
log_level: debug
state_directory: /tmp/state
"#;

fn journal_of_everything() -> Journal {
    Journal {
        scope: Scope {
            paths: vec!["/var/log/journal".into(), "/srv/team-a/x.journal".into()],
            namespaces: Namespaces::Named(vec!["web".into(), "db.2".into()]),
            matches: vec![
                Match::from([
                    ("PRIORITY".into(), vec!["3".into(), "2.50".into(), "0x1".into()]),
                    ("_SYSTEMD_UNIT".into(), vec!["team-a.service".into()]),
                ]),
                Match::from([
                    ("_TRANSPORT".into(), vec!["kernel".into()]),
                    ("EMPTY".into(), vec![String::new()]),
                ]),
            ],
        },
        backfill: Duration::from_secs(36 * 3600),
        start_cursor: None,
    }
}

fn labels_of_everything() -> Labels {
    Labels {
        relabel: Vec::new(),
        max_streams: 5000,
        fixed: vec![("env".into(), "prod".into()), ("job".into(), "journal".into())],
        fields: vec![
            FieldRule::new("app", &["CONTAINER_NAME", "SYSLOG_IDENTIFIER"]),
            FieldRule::new("unit", &["_SYSTEMD_UNIT"]),
        ],
    }
}

fn destinations_of_everything() -> Vec<Destination> {
    let mut main = Destination::new("main", "http://loki.example.org:3100/loki/api/v1/push");
    main.tenant = Some("team-a".into());
    main.access = Access {
        auth: Some(Auth::Basic { username: "ada".into(), password_file: "/run/team-a/password".into() }),
        tls: Tls::default(),
        proxy: Some("http://proxy:3128".into()),
        headers: Vec::new(),
    };
    main.max_line_bytes = 64 << 10;
    let mut archive = Destination::new("archive", "https://archive/prefix/loki/api/v1/push");
    archive.access = Access {
        auth: Some(Auth::Bearer { token_file: "/run/token".into() }),
        tls: Tls {
            ca_file: Some("/ca.pem".into()),
            cert_file: Some("/cert.pem".into()),
            key_file: Some("/key.pem".into()),
            server_name: Some("loki.example.org".into()),
        },
        proxy: None,
        headers: Vec::new(),
    };
    main.access.headers =
        [("X-Two", "2"), ("X-One", "1")].map(|(n, v)| (n.into(), HeaderSource::Text(v.into()))).to_vec();
    main.labels = vec![("env".into(), "test".into())];
    main.batch = Batch { max_bytes: 65536, max_wait: Duration::from_millis(250) };
    main.timeout = Duration::from_secs(90);
    main.backoff = Backoff { min: Duration::from_secs(1), max: Duration::from_secs(1) };
    vec![main, archive]
}

fn alerts_of_everything() -> Alerts {
    Alerts {
        files: Vec::new(),
        alertmanagers: vec![
            Alertmanager {
                url: "http://am:9093/api/v2/alerts".into(),
                access: Access::default(),
                timeout: Duration::from_secs(10),
            },
            Alertmanager {
                url: "https://h/alertmanager/api/v2/alerts".into(),
                access: Access {
                    auth: Some(Auth::Bearer { token_file: "/run/token".into() }),
                    ..Access::default()
                },
                timeout: Duration::from_secs(3),
            },
        ],
        external_labels: vec![("cluster".into(), "a".into()), ("zone".into(), "team-a".into())],
        external_url: Some("https://grafana.example.org/g".into()),
        datasource_uid: "P8E8".into(),
        evaluation_interval: Duration::from_secs(30),
        resend_delay: Duration::from_secs(300),
        max_series: 500,
        max_memory: 64 << 20,
    }
}

#[test]
fn everything_written_is_built() {
    let config = parse(EVERYTHING);
    assert_eq!(
        config,
        Config {
            stages: Vec::new(),
            retention: None,
            query: Queries::builtin(&|_| None),
            http: Http { listen: Some("127.0.0.1:9194".parse().unwrap()), hosts: Vec::new() },
            journal: journal_of_everything(),
            labels: labels_of_everything(),
            structured_metadata: vec![],
            line: Line::Json,
            loki: destinations_of_everything(),
            alerts: alerts_of_everything(),
            log_level: log::LevelFilter::Debug,
            state_directory: "/tmp/state".into(),
        }
    );
}

#[test]
fn all_namespaces_are_a_star_alone_or_in_a_list() {
    for written in ["'*'", "['*']", "[web, '*']"] {
        let config = parse(&format!("journal: {{namespaces: {written}}}"));
        assert_eq!(config.journal.scope.namespaces, Namespaces::All, "{written}");
    }
    let config = parse("journal: {namespaces: web}");
    assert_eq!(config.journal.scope.namespaces, Namespaces::Named(vec!["web".into()]));
}

#[test]
fn a_match_has_a_thousand_values_at_most() {
    let source = |count: usize| {
        let values: Vec<String> = (0..count).map(|n| n.to_string()).collect();
        format!("journal: {{match: [{{A: [{}]}}, {{B: x}}]}}", values.join(", "))
    };
    assert_eq!(parse(&source(999)).journal.scope.matches.len(), 2);
    assert!(message(&source(1000)).contains("1001 values"));
}

#[test]
fn what_is_written_wins_over_a_default_of_the_same_name() {
    let labels = parse("labels: {static: {host: web1}}").labels;
    assert_eq!(labels.fixed, [("host".into(), "web1".into())]);
    assert_eq!(
        labels.fields.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(),
        ["level", "service_name", "unit", "user_unit"]
    );
    // The default fixed label makes room too, and then nothing is certain.
    assert!(message("labels: {fields: {job: SYSLOG_IDENTIFIER}}").contains("without any label"));
    // A destination's label may be the certain one, and wins over the others.
    let config = parse("labels: {static: {}}\nloki: [{url: http://x, labels: {host: web1}}]");
    assert_eq!(config.loki[0].labels, [("host".into(), "web1".into())]);
}

#[test]
fn fifteen_labels_are_taken_beside_service_name() {
    let labels = |count: usize| -> String { (0..count).map(|n| format!("l{n}: x, ")).collect() };
    let source = |count| format!("labels: {{static: {{{}}}, fields: {{service_name: A}}}}", labels(count));
    assert_eq!(parse(&source(15)).labels.fixed.len(), 15);
    assert!(message(&source(16)).contains("16 label names"));
    let with_destination =
        |name: &str| format!("{}\nloki: [{{url: http://x, labels: {{{name}: x}}}}]", source(15));
    parse(&with_destination("l3"));
    assert!(message(&with_destination("other")).contains("16 label names"));
}

#[test]
fn the_state_directory_is_systemds_unless_written() {
    for (given, expected) in [
        (None, "/var/lib/journal-ship"),
        (Some(""), "/var/lib/journal-ship"),
        (Some("relative"), "/var/lib/journal-ship"),
        (Some("/var/lib/private/a"), "/var/lib/private/a"),
        (Some("/var/lib/a:/var/lib/b"), "/var/lib/a"),
    ] {
        let env = |name: &str| given.filter(|_| name == "STATE_DIRECTORY").map(str::to_owned);
        assert_eq!(Config::builtin(&env).state_directory, Path::new(expected), "{given:?}");
        let written = Config::parse("state_directory: /x", "f", &env).unwrap();
        assert_eq!(written.state_directory, Path::new("/x"));
    }
}

#[test]
fn anchors_and_merge_keys_save_typing() {
    let config = parse(
        "loki:\n\
         - &first\n  url: http://a\n  batch: &b {max_wait: 2s}\n\
         - <<: *first\n  name: second\n  batch:\n    <<: *b\n    max_bytes: 1MB\n",
    );
    let [first, second] = &config.loki[..] else { panic!("{config:?}") };
    assert_eq!((first.name.as_str(), second.name.as_str()), ("main", "second"));
    assert_eq!(first.url, second.url);
    assert_eq!(second.batch, Batch { max_bytes: 1_000_000, max_wait: Duration::from_secs(2) });
}

#[test]
fn a_long_map_may_be_repeated_by_aliases() {
    let map: Vec<String> = (0..8).map(|n| format!("label{n}: {}", "v".repeat(60))).collect();
    let mut source = format!("loki:\n  - {{url: http://a, labels: &l {{{}}}}}\n", map.join(", "));
    for n in 0..20 {
        source.push_str(&format!("  - {{name: n{n}, url: http://a, labels: *l}}\n"));
    }
    assert_eq!(parse(&format!("labels: {{static: {{}}, fields: {{}}}}\n{source}")).loki.len(), 21);
}

#[test]
fn running_needs_a_destination_and_a_dry_run_does_not() {
    let error = Config::builtin(&no_env).require_destinations("/etc/x.yaml").unwrap_err().to_string();
    assert!(error.contains("/etc/x.yaml") && error.contains("- url: http://loki:3100"), "{error}");
    parse("loki: [{url: http://x}]").require_destinations("x").unwrap();
}

#[test]
fn files_that_cannot_be_read_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("large.yaml"), "#".repeat(FILE_MAX + 1)).unwrap();
    fs::write(path("fits.yaml"), "#".repeat(FILE_MAX)).unwrap();
    fs::write(path("latin1.yaml"), b"line: json\nlabels: {static: {a: \xe9}}\n").unwrap();
    fs::write(path("good.yaml"), "line: json\n").unwrap();
    for (name, parts) in [
        ("missing.yaml", ["cannot be read", "missing.yaml", "--config"]),
        ("", ["cannot be read", "directory", "config.yaml"]),
        ("large.yaml", ["larger than 1MiB", "large.yaml", "right file"]),
        ("latin1.yaml", ["not UTF-8", "latin1.yaml:2:22", "save the file as UTF-8"]),
    ] {
        let error = Config::load(&path(name), &no_env).expect_err(name).to_string();
        for part in parts {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
    assert_eq!(Config::load(&path("good.yaml"), &no_env).unwrap().line, Line::Json);
    assert_eq!(Config::load(&path("fits.yaml"), &no_env).unwrap(), Config::builtin(&no_env));
}

#[test]
fn limits_end_bombs_quickly() {
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let item = format!("*a{}", level - 1);
        laughs.push_str(&format!("a{level}: &a{level} [{}]\n", [item.as_str(); 9].join(", ")));
    }
    assert!(message(&laughs).contains("has too many values"), "{}", message(&laughs));
    let list = |count: usize, item: &dyn Fn(usize) -> String| (0..count).map(item).collect::<String>();
    for bomb in [
        "[".repeat(100_000),
        "{a: ".repeat(50_000),
        "- ".repeat(50_000),
        "? ".repeat(50_000),
        "a:\n".to_owned() + &(1..2000).map(|n| format!("{}a:\n", " ".repeat(n))).collect::<String>(),
        "[],".repeat(300_000),
        format!("[{}]", "[],".repeat(300_000)),
        format!("labels: {{static: {{{}}}}}", "a: x, ".repeat(9_000)),
        laughs,
        "&a [*a]".to_owned(),
        format!("url: \"{}\"", "${".repeat(400_000)),
        format!("line: \"{}\"", "${A}".repeat(200_000)),
        format!("line: \"{}\"", list(60_000, &|n| format!("${{A{n}}}"))),
        format!("line: \"{}\"", list(60_000, &|n| format!("\\x24{{A{n}}}"))),
        format!("{}: x", "k".repeat(900_000)),
        format!("? \"{}\"\n: x", "k".repeat(900_000)),
        format!(
            "labels: {{static: {{{}}}, fields: {{{}}}}}",
            list(4_000, &|n| format!("a{n}: x, ")),
            list(4_000, &|n| format!("a{n}: X, "))
        ),
        format!("loki: [{{headers: {{{}}}}}]", list(9_000, &|n| format!("h{n}: x, "))),
        format!("loki: [{}]", list(3_500, &|n| format!("{{name: n{n}, url: x}}, "))),
    ] {
        let start: String = bomb.chars().take(40).collect();
        let started = Instant::now();
        let text = Config::parse(&bomb, "bomb", &no_env).expect_err("a bomb").to_string();
        assert!(started.elapsed() < Duration::from_secs(20), "{:?} for {start}", started.elapsed());
        assert!(text.len() < 200_000, "{} bytes for {start}", text.len());
    }
}

#[test]
fn defaults_written_out_change_nothing() {
    let taken = |key: &&journal_ship::config::Key| {
        // The name of the metric itself, and those of which one must be there.
        let special = [
            "stages[].metrics.*.source",
            "stages[].match.stages",
            "stages[].match.action",
            "stages[].drop.longer_than",
            "stages[].tenant.label",
            "stages[].tenant.source",
            "stages[].tenant.value",
        ];
        !key.default.is_empty() && key.default != "required" && !special.contains(&key.path)
    };
    for key in KEYS.iter().filter(taken) {
        let quoted =
            if key.default.starts_with('$') { format!("'{}'", key.default) } else { key.default.into() };
        let source = nested(key.path, Some(&quoted));
        let config = Config::parse(&source, "f", &no_env).unwrap_or_else(|error| panic!("{source}\n{error}"));
        let without = nested(key.path, None);
        let expected =
            Config::parse(&without, "f", &no_env).unwrap_or_else(|error| panic!("{without}\n{error}"));
        assert_eq!(config, expected, "{source}");
    }
}

/// What else must stand in a section of that path so that it is whole.
fn beside(section: &str, name: &str) -> &'static [(&'static str, &'static str)] {
    match section {
        "loki[].basic_auth" | "alerts.alertmanagers[].basic_auth" => {
            &[("username", "a"), ("password_file", "/dev/null")]
        }
        "loki[]" if ["tls", "basic_auth", "headers"].contains(&name) => &[("url", "'https://x'")],
        "loki[]" => &[("url", "'http://x'")],
        "alerts" => &[("rule_files", "[]")],
        "alerts.alertmanagers[]" if ["tls", "basic_auth"].contains(&name) => &[("url", "'https://x'")],
        "alerts.alertmanagers[]" => &[("url", "'http://x'")],
        "labels.relabel_configs[]" if name == "action" => &[("target_label", "x")],
        "labels.relabel_configs[]" => &[("action", "keep")],
        "retention.rules[]" if name == "keep" => &[("selector", "'{a=\"b\"}'"), ("sample", "0.5")],
        "retention.rules[]" => &[("selector", "'{a=\"b\"}'"), ("keep", "90d")],
        "stages[].match" => &[("selector", "'{a=\"b\"}'"), ("stages", "[]")],
        "stages[].drop" if matches!(name, "value" | "separator") => &[("source", "a")],
        "stages[].drop" => &[("longer_than", "1")],
        "stages[].json" => &[("expressions", "{a: b}")],
        "stages[].logfmt" => &[("mapping", "{a: b}")],
        "stages[].regex" => &[("expression", "(?P<a>b)")],
        "stages[].replace" => &[("expression", "(a)")],
        "stages[].template" => &[("source", "a"), ("template", "b")],
        "stages[].timestamp" => &[("source", "a"), ("format", "Unix")],
        "stages[].output" => &[("source", "a")],
        "stages[].tenant" if matches!(name, "label" | "source") => &[],
        "stages[].tenant" => &[("value", "a")],
        "stages[].limit" => &[("rate", "1"), ("burst", "1")],
        "stages[].sampling" => &[("rate", "1")],
        "stages[].multiline" => &[("firstline", "a")],
        "stages[].metrics.*" => &[("type", "Counter"), ("config", "{action: inc}")],
        "stages[].metrics.*.config" => &[("action", "inc")],
        _ => &[],
    }
}

/// `loki[].batch.max_bytes`, `1` -> `{loki: [{url: 'http://x', batch: {max_bytes: 1}}]}`; without a value only
/// what must stand beside the key.
fn nested(path: &str, value: Option<&str>) -> String {
    fn inner(section: &str, path: &str, value: Option<&str>) -> String {
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let within = if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
        let written = match rest {
            Some(rest) => Some(inner(&within, rest, value)),
            None => value.map(str::to_owned),
        };
        let written = written.map(|written| match name.strip_suffix("[]") {
            Some(name) => format!("{name}: [{written}]"),
            None => format!("{}: {written}", name.replace('*', "m")),
        });
        let others = beside(section, name).iter().filter(|(other, _)| *other != name);
        let others: Vec<_> =
            others.map(|(other, value)| format!("{other}: {value}")).chain(written).collect();
        format!("{{{}}}", others.join(", "))
    }
    inner("", path, value)
}

#[test]
fn every_key_is_read() {
    for key in KEYS.iter().filter(|key| !key.path.ends_with(".*")) {
        // Of the wrong kind for every key: a list in a map for scalars and lists, text for the others.
        let map = key.default.starts_with('{') || key.kind == "section" || key.kind.starts_with("map ");
        let error = message(&nested(key.path, Some(if map { "x" } else { "{k: [[]]}" })));
        let name = key.path.replace("[]", "[0]").replace('*', "m");
        assert!(error.contains(&format!("`{name}` cannot be")), "{}: {error}", key.path);
        assert!(error.ends_with("1 error in test.yaml\n"), "{}: {error}", key.path);
    }
}

#[test]
fn the_reference_has_every_key_with_its_type_and_default() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md")).unwrap();
    // Rows: | `key` | type | `default` | what it is |
    let rows: HashMap<&str, (&str, &str)> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            assert_eq!(cells.len(), 4, "{line}");
            (cells[0].trim_matches('`'), (cells[1], cells[2]))
        })
        .collect();
    for key in KEYS {
        let (kind, default) = rows.get(key.path).unwrap_or_else(|| panic!("{} is not described", key.path));
        assert_eq!(*kind, key.kind, "type of {}", key.path);
        let expected = match key.default {
            "" => String::new(),
            "required" => "required".to_owned(),
            default => format!("`{default}`"),
        };
        assert_eq!(*default, expected, "default of {}", key.path);
    }
    let known = |path: &str| KEYS.iter().any(|key| key.path == path);
    let unknown: Vec<_> = rows.keys().filter(|path| !known(path)).collect();
    assert!(unknown.is_empty(), "described, but no keys: {unknown:?}");
}

#[test]
fn the_examples_of_the_reference_are_taken() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md")).unwrap();
    let examples: Vec<&str> =
        text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 5, "{} examples", examples.len());
    for example in examples {
        if let Err(error) = Config::parse(example, "configuration.md", &env) {
            panic!("{error}");
        }
    }
}

#[test]
fn the_shipped_file_holds_the_defaults_and_a_destination() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/config.yaml");
    let shipped = Config::load(Path::new(path), &no_env).unwrap();
    let mut expected = Config::builtin(&no_env);
    expected.loki = vec![Destination::new("main", "http://localhost:3100/loki/api/v1/push")];
    assert_eq!(shipped, expected);

    // The same with every commented-out key written: they are the defaults too.
    let text = fs::read_to_string(path).unwrap();
    let all: String = text.lines().map(|line| line.replacen("#~", "", 1) + "\n").collect();
    assert_ne!(all, text);
    assert_eq!(Config::parse(&all, "all", &no_env), Ok(expected));
}

/// Something that looks like a configuration, then damaged.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let sources: Vec<Vec<u8>> = files("yaml").iter().map(|path| fs::read(path).unwrap()).collect();
    let piece = prop_oneof![
        Just(b"${".to_vec()),
        Just(b"&a ".to_vec()),
        Just(b"*a".to_vec()),
        Just(b"\t".to_vec()),
        Just(b"\r\n".to_vec()),
        Just("é\u{2028}\u{feff}".as_bytes().to_vec()),
        Just(b"!!".to_vec()),
        Just(b"<<: ".to_vec()),
        Just(b"[{".to_vec()),
        Just(b"'\"".to_vec()),
        Just(b"- |\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..8),
    ];
    (
        proptest::sample::select(sources),
        proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..12, piece), 1..6),
    )
        .prop_map(|(mut bytes, edits)| {
            for (at, cut, piece) in edits {
                let at = at.index(bytes.len() + 1);
                let end = (at + cut).min(bytes.len());
                bytes.splice(at..end, piece);
            }
            bytes
        })
}

/// Parsing gives a configuration or a message that can be rendered; both in bounded time.
fn survives(bytes: &[u8]) -> Result<(), TestCaseError> {
    let started = Instant::now();
    let source = String::from_utf8_lossy(bytes);
    if let Err(error) = Config::parse(&source, "fuzz", &env) {
        prop_assert!(error.count() > 0);
        prop_assert!(!error.render(false).is_empty() && error.render(true).contains("fuzz"));
    }
    prop_assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_get_an_answer(bytes in mutated()) {
        survives(&bytes)?;
    }

    #[test]
    fn any_bytes_get_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        survives(&bytes)?;
    }

    #[test]
    fn any_yaml_punctuation_gets_an_answer(text in "[-:?,\\[\\]{}#&*!|>'\"%@`~<= \n\tab1é$]{0,60}") {
        survives(text.as_bytes())?;
    }
}

#[test]
fn rule_files_are_found_by_pattern_and_checked_in_the_same_run() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().display();
    let rule = |name: &str, expr: &str| {
        let expr = format!("sum by (host) (count_over_time({expr}[5m])) > 1");
        format!("groups: [{{name: {name}, rules: [{{alert: A, expr: '{expr}'}}]}}]")
    };
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("b.yaml", &rule("b", r#"{unit="b.service"}"#));
    write("a.yaml", &rule("a", r#"{unit="a.service"}"#));
    write("c.txt", "no rules");
    let source =
        |patterns: &str| format!("alerts: {{rule_files: [{patterns}], alertmanagers: [{{url: http://a}}]}}");
    let examine = |patterns: &str| Config::examine_text(&source(patterns), "main.yaml", &env);

    let (config, warnings) = examine(&format!("'{home}/*.yaml', {home}/a.yaml")).unwrap();
    let files: Vec<_> = config.alerts.files.iter().map(|file| file.path.file_name().unwrap()).collect();
    assert_eq!(files, ["a.yaml", "b.yaml"], "sorted, and each once");
    assert_eq!((config.alerts.rules(), warnings.render(false).as_str()), (2, ""));

    write("b.yaml", &rule("b", r#"{unti="b.service"}"#));
    let warnings = examine(&format!("'{home}/?.yaml'")).unwrap().1.render(false);
    assert!(warnings.contains("b.yaml") && warnings.contains("did you mean `unit`?"), "{warnings}");

    write("a.yaml", "groups: [{nmae: a}]");
    write("b.yaml", &rule("b", "{unit=b}"));
    let mistakes = examine(&format!("'{home}/*.yaml', {home}/missing.yaml")).unwrap_err().render(false);
    for part in ["did you mean `name`?", "a.yaml", "b.yaml", "missing.yaml cannot be read", "main.yaml"] {
        assert!(mistakes.contains(part), "no {part} in {mistakes}");
    }

    // What a changed rule file makes of the configuration is another configuration.
    write("a.yaml", &rule("a", r#"{unit="a.service"}"#));
    let (before, _) = examine(&format!("{home}/a.yaml")).unwrap();
    write("a.yaml", &rule("a", r#"{unit="other.service"}"#));
    assert_ne!(examine(&format!("{home}/a.yaml")).unwrap().0, before);
}
