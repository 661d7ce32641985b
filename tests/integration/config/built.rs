//! Good configurations, each with what was built from it.

use std::path::Path;
use std::time::Duration;

use journal_ship::config::{
    Access, Alertmanager, Alerts, Auth, Backoff, Batch, Config, Destination, FieldRule, HeaderSource, Http,
    Journal, Labels, Line, Queries, Tls,
};
use journald_reader::{Match, Namespaces, Scope};

use super::{message, no_env, parse};

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
