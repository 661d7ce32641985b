//! Converting Promtail's configurations: what comes out is pinned, it passes `check`, nothing of what went in is lost in
//! silence, and no secret gets out.
//!
//! `BLESS=1 cargo test --test integration convert` rewrites the pinned files; read the difference before keeping it.

use std::fs;
use std::path::{Path, PathBuf};

use journal_ship::config::Config;
use journal_ship::convert::promtail;
use serde_json::Value;

use crate::support::agent::{Agent, output};
use crate::support::journald::{Journald, wait_until};
use crate::support::loki::Loki;
use crate::support::or_skip;

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/promtail");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        path.extension().is_some_and(|end| end == "yaml") && !path.to_str().unwrap().contains(".converted")
    });
    paths.sort();
    paths
}

/// Keys and scalars of a document.
fn leaves(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                out.push(key.clone());
                leaves(value, out);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| leaves(item, out)),
        Value::String(text) => out.push(text.clone()),
        Value::Number(number) => out.push(number.to_string()),
        Value::Bool(_) | Value::Null => {}
    }
}

/// Keys that ours have other names for, and what has no meaning any more.
const RENAMED: [&str; 30] = [
    "clients",
    "client",
    "scrape_configs",
    "journal",
    "job_name",
    "pipeline_stages",
    "tenant_id",
    "batchwait",
    "batchsize",
    "backoff_config",
    "min_period",
    "max_period",
    "external_labels",
    "server",
    "positions",
    "filename",
    "http_listen_address",
    "http_listen_port",
    "grpc_listen_port",
    "disable",
    "readline_rate_enabled",
    "readline_rate",
    "readline_burst",
    "readline_rate_drop",
    "json",
    "non_indexed_labels",
    "limits_config",
    "path",
    "max_age",
    "x-labels",
];

/// Numbers without meaning, and durations that are written another way.
const WITHOUT_MEANING: [&str; 8] =
    ["0", "20", "100", "/tmp/positions.yaml", "/var/cache/promtail/positions.yaml", "1.5h", "24h", "hunter2"];

/// Each key and value of Promtail's configuration is in ours, or in the notes.
fn assert_nothing_is_lost(path: &Path, yaml: &str, notes: &str) {
    let name = path.file_name().unwrap().to_str().unwrap();
    let input: Value = serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let mut all = Vec::new();
    leaves(&input, &mut all);
    let plain = |text: &str| {
        let text = text.replace("''", "'").replace(":-", ":").replace("u:hunter2@", "");
        text.replace("ada:hunter2@", "").replace("ada%40x:hunter2@", "")
    };
    let (yaml, notes) = (plain(yaml), plain(notes));
    let all: Vec<String> = all.iter().map(|leaf| plain(leaf)).collect();
    for leaf in all
        .iter()
        .filter(|leaf| !RENAMED.contains(&leaf.as_str()) && !WITHOUT_MEANING.contains(&leaf.as_str()))
    {
        let job = leaf == "journal" || leaf == "systemd" || leaf == "my journal";
        assert!(
            job || yaml.contains(leaf) || notes.contains(leaf),
            "{name}: {leaf:?} is lost\n{yaml}\n{notes}"
        );
    }
}

#[test]
fn what_comes_out_is_pinned_and_valid_and_nothing_is_lost() {
    let bless = std::env::var_os("BLESS").is_some();
    let fixtures = fixtures();
    assert!(fixtures.len() >= 10, "{fixtures:?}");
    for path in fixtures {
        let name = path.file_name().unwrap().to_str().unwrap();
        let result = output(&["convert", "promtail", path.to_str().unwrap()]);
        assert_eq!(result.status.code(), Some(0), "{name}: {result:?}");
        let (yaml, notes) =
            (String::from_utf8(result.stdout).unwrap(), String::from_utf8(result.stderr).unwrap());
        for (end, text) in [("converted.yaml", &yaml), ("notes", &notes)] {
            let pinned = path.with_extension(end);
            if bless {
                fs::write(&pinned, text).unwrap();
            }
            assert_eq!(&fs::read_to_string(&pinned).unwrap_or_default(), text, "{}", pinned.display());
        }
        assert!(!yaml.contains("hunter2") && !notes.contains("hunter2"), "{name} tells a secret");

        let folder = tempfile::tempdir().unwrap();
        let converted = folder.path().join("config.yaml");
        fs::write(&converted, &yaml).unwrap();
        let result = output(&["check", "--config", converted.to_str().unwrap()]);
        assert_eq!(result.status.code(), Some(0), "{name}: {}", String::from_utf8_lossy(&result.stderr));

        assert_nothing_is_lost(&path, &yaml, &notes);
    }
}

#[test]
fn with_its_positions_the_first_start_goes_on_where_promtail_stopped() {
    let journald = or_skip!(Journald::start());
    let loki = Loki::builder().ignore_age(true).start();
    let send =
        |text: &str| journald.send_native(&[("MESSAGE", text.as_bytes()), ("SYSLOG_IDENTIFIER", b"t")]);
    for n in 0..20 {
        send(&format!("before {n}"));
    }
    journald.sync();
    let entries = journald.entries();
    let cursor = &entries.iter().rev().find(|entry| entry.text("MESSAGE") == "before 14").unwrap().cursor;
    let folder = tempfile::tempdir().unwrap();
    let (theirs, positions) = (folder.path().join("promtail.yaml"), folder.path().join("positions.yaml"));
    let text =
        "clients: [{url: URL}]\nscrape_configs: [{job_name: j, journal: {path: PATH, labels: {job: j}}}]\n";
    let text = text.replace("URL", &loki.url()).replace("PATH", journald.dir().to_str().unwrap());
    fs::write(&theirs, text).unwrap();
    fs::write(&positions, format!("positions:\n  cursor-j: \"{cursor}\"\n")).unwrap();
    let args = ["convert", "promtail", theirs.to_str().unwrap(), "--positions", positions.to_str().unwrap()];
    let result = output(&args);
    assert!(result.status.success(), "{result:?}");
    let mut agent = Agent::new(&journald.dir(), &loki.url(), "");
    let state = agent.home.path().join("state");
    let config = String::from_utf8(result.stdout).unwrap();
    fs::write(agent.config(), format!("{config}state_directory: {state:?}\nhttp: {{listen: null}}\n"))
        .unwrap();
    agent.start();
    send("last");
    wait_until("the last arrives", || loki.stored().iter().any(|entry| entry.line == "last"));
    agent.stop();
    let stored = loki.stored();
    let lines: Vec<&str> =
        stored.iter().map(|s| s.line.as_str()).filter(|line| line.starts_with("before")).collect();
    assert_eq!(lines, ["before 15", "before 16", "before 17", "before 18", "before 19"]);
}

/// Converted by the library, and what `check` says against it.
pub(super) fn converted(source: &str) -> (String, Option<String>) {
    let converted =
        promtail(source, "promtail.yaml", None).unwrap_or_else(|error| panic!("{source}: {error}"));
    let refused = Config::parse(&converted.yaml, "converted", &|_| Some("x".to_owned())).err();
    let said = format!("{}\n{}", converted.yaml, converted.notes.join("\n"));
    (said, refused.map(|error| error.to_string()))
}

pub(super) const JOB: &str = "scrape_configs: [{job_name: journal, journal: {labels: {job: j}}}]";

pub(super) fn with_client(inside: &str) -> String {
    format!("clients: [{{url: 'http://loki/loki/api/v1/push', {inside}}}]\n{JOB}\n")
}

pub(super) fn with_stage(stage: &str) -> String {
    format!(
        "scrape_configs: [{{job_name: j, journal: {{labels: {{job: j}}}}, pipeline_stages: [{stage}]}}]\n"
    )
}

#[test]
fn wherever_a_secret_is_written_it_is_not_copied() {
    for source in [
        with_client("basic_auth: {username: u, password: \"hunter2\\nhunter3\"}"),
        with_client("bearer_token: hunter2"),
        with_client("authorization: {type: Bearer, credentials: hunter2}"),
        with_client("authorization: hunter2"),
        with_client("oauth2: {client_secret: hunter2}"),
        with_client("headers: {Authorization: Bearer hunter2, X-Api-Key: hunter3, Cookie: hunter4}"),
        with_client("proxy_url: 'http://u:hunter2@p'"),
        with_client("proxy_connect_header: {Proxy-Authorization: [hunter2]}"),
        "clients: [{url: 'http://u:hunter2@${HOST:loki}/loki/api/v1/push'}]".to_owned(),
        "clients: [{url: 'ftp://u:hunter2@loki'}]".to_owned(),
        "scrape_configs: [{job_name: c, consul_sd_configs: [{token: hunter2}]}]".to_owned(),
        "clients: []\npassword: |\n  hunter2\n  hunter3\n".to_owned(),
        "clients: []\nsecrets: [hunter2, {a: hunter3}]".to_owned(),
    ] {
        let (said, refused) = converted(&source);
        assert!(!said.contains("hunter"), "{source}\n{said}");
        assert_eq!(refused, None, "{source}\n{said}");
    }
}

#[test]
fn what_our_checks_refuse_stays_as_a_comment() {
    for (source, part) in [
        (with_client("headers: {X-Scope-OrgID: t}"), "# X-Scope-OrgID: t"),
        (with_client("external_labels: {bad-name: x}"), "# bad-name: x"),
        (with_client("batchwait: 0s"), "# batchwait: '0s'"),
        (with_client("batchsize: 1000000000"), "# batchsize: 1000000000"),
        (with_client("batchwait: '${W:-10m}'"), "# batchwait: '${W:-10m}'"),
        (with_client("batchsize: '${S:100}'"), "# batchsize: '${S:100}'"),
        (
            with_client("external_labels: {bad-name: '${HOSTNAME}', ok: '${HOSTNAME}'}"),
            "# bad-name: '${HOSTNAME}'",
        ),
        (with_stage("{static_labels: {bad-x: '${ENV:-prod}'}}"), "#     bad-x: '${ENV:-prod}'"),
        (JOB.replace("{job: j}", "{job: j, x.y: '${HOSTNAME}'}"), "# x.y: '${HOSTNAME}'"),
        (JOB.replace("labels:", "max_age: '${AGE:-x}', labels:"), "# max_age: '${AGE:-x}'"),
        (with_client("backoff_config: {min_period: 10m}"), "#   min_period: '10m'"),
        (with_client("backoff_config: {wobble: 3}"), "# wobble: 3"),
        (with_client("name: a b"), "name: 'a-b' # name: 'a b'"),
        (with_client("timeout: 1.5s"), "timeout: 1s500ms # timeout: '1.5s'"),
        (with_stage("{regex: {expression: abc}}"), "#     expression: abc"),
        (with_stage("{frobnicate: {a: 1}}"), "#     a: 1"),
        (with_stage("{output: {source: x, wobble: 3}}"), "#     wobble: 3"),
        (with_stage("{match: {selector: '{a=', stages: [{output: {source: x}}]}}"), "#     selector: '{a='"),
        (with_stage("{json: {expressions: {a: }, source: , drop_malformed: }}"), "  - json:"),
        (
            format!("server: {{http_listen_address: localhost, http_listen_port: 9080}}\n{JOB}"),
            "'127.0.0.1:9080'",
        ),
        (format!("server: {{http_listen_address: '::1', http_listen_port: 9080}}\n{JOB}"), "'[::1]:9080'"),
        (format!("server: {{disable: true, http_listen_port: 9080}}\n{JOB}"), "http: {listen: null}"),
        (format!("positions: {{filename: /p}}\n{JOB}"), "#   filename: /p"),
        (format!("limits_config: {{max_line_size: 64kb}}\n{JOB}"), "longer_than: '64kb'"),
        (JOB.replace("{job: j}", "{job: j, nothing: ''}"), "# nothing: ''"),
        (JOB.replace("labels:", "path: relative, labels:"), "# path: relative"),
        (
            JOB.replace("labels:", "matches: _PID=1 _PID=2 PRIORITY=3, labels:"),
            "match: [{PRIORITY: '3', _PID: ['1', '2']}] # matches: ",
        ),
    ] {
        let (said, refused) = converted(&source);
        assert!(said.contains(part), "{source}\n{said}");
        assert_eq!(refused, None, "{source}\n{said}");
    }
}

/// Variables that only the machine of the agent has leave the rest valid, and what depends on them is kept.
#[test]
fn variables_without_a_value_are_no_reason_to_leave_a_setting_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    for (source, part) in [
        ("clients: [{url: '${URL}', tls_config: {ca_file: /ca}}]".to_owned(), "      ca_file: '/ca'\n"),
        (
            "clients: [{url: '${URL:http://h}', tls_config: {ca_file: /ca}}]".to_owned(),
            "    #   ca_file: /ca\n",
        ),
        ("clients: [{url: 'http://${HOST:a b}:3100'}]".to_owned(), "loki: []\n"),
        (with_client("timeout: '${T}', batchwait: '${W:-2s}'"), "    timeout: '${T}'\n"),
        (
            format!(
                "limits_config: {{readline_rate_enabled: true, readline_rate: '${{R:5}}', max_streams: '${{M:99}}'}}\n{JOB}"
            ),
            "{rate: '${R:-5}', burst: 10000, drop: true}",
        ),
        (format!("limits_config: {{max_line_size: '${{L:64kb}}'}}\n{JOB}"), "{longer_than: '${L:-64kb}', "),
        (with_stage("{drop: {older_than: '${AGE}'}}"), "older_than: '${AGE}'"),
    ] {
        let (said, _) = converted(&source);
        assert!(said.contains(part), "{source}\n{said}");
        fs::write(&path, promtail(&source, "promtail.yaml", None).unwrap().yaml).unwrap();
        let result = output(&["check", "--allow-unset", "--config", path.to_str().unwrap()]);
        assert!(result.status.success(), "{said}\n{}", String::from_utf8_lossy(&result.stderr));
    }
}

/// Promtail expands the whole file. Where we expand nothing, the result and a note say which value must be written.
#[test]
fn a_variable_that_is_not_expanded_is_told() {
    const SET: &str = "they must be set for journal-ship, too";
    let rules = |rule: &str| {
        JOB.replace("labels: {job: j}}", &format!("labels: {{job: j}}}}, relabel_configs: [{rule}]"))
    };
    let told = |place: &str, name: &str| {
        format!(
            "{place}: journal-ship expands no variables here: write the value of ${{{name}}} in its place\n"
        )
    };
    for (source, expected) in [
        (with_stage("{drop: {expression: '${NOISE:-foo}'}}"), Some(told("stage drop.expression", "NOISE"))),
        (
            with_stage("{match: {selector: '{job=\"${JOB}\"}', stages: [{output: {source: x}}]}}"),
            Some(told("stage match.selector", "JOB")),
        ),
        (
            with_stage("{match: {selector: '{a=\"${A}\"}', action: drop}}"),
            Some(told("stage match.selector", "A")),
        ),
        (with_stage("{json: {expressions: {a: '\"${A}\"'}}}"), Some(told("stage json.expressions.a", "A"))),
        (
            with_stage("{replace: {expression: '(x)', replace: '${ENV:-prod}'}}"),
            Some(told("stage replace.replace", "ENV")),
        ),
        (
            rules("{source_labels: [job], regex: '${RX}', action: drop}"),
            Some(told("relabel_configs[0].regex", "RX")),
        ),
        (
            rules("{target_label: host, replacement: '${HOSTNAME}'}"),
            Some(told("relabel_configs[0].replacement", "HOSTNAME")),
        ),
        (
            rules("{source_labels: [job], regex: '(?P<n>.+)', target_label: x, replacement: '${n}${1}$1'}"),
            None,
        ),
        (with_stage("{template: {source: a, template: '${{ .Value }}'}}"), None),
        (
            JOB.replace(
                "labels: {job: j}}}",
                "matches: '_COMM=${U}', labels: {job: j}}}, {job_name: b, journal: {labels: {job: b}}}",
            ),
            Some(told("journal matches, in relabel_configs", "U")),
        ),
    ] {
        let (said, refused) = converted(&source);
        assert_eq!(refused, None, "{source}\n{said}");
        match expected {
            Some(note) => {
                assert_eq!(said.matches(note.trim_end()).count(), 2, "{source}\n{said}");
                assert!(said.contains(&format!("# {note}")), "{source}\n{said}");
            }
            None => assert!(!said.contains("expands no variables"), "{source}\n{said}"),
        }
        assert!(!said.contains(SET), "{source}\n{said}");
    }
    // Where it is expanded, in a form that we read.
    let (said, refused) = converted(&with_stage("{tenant: {value: '${TENANT:ours}'}}"));
    assert!(refused.is_none() && said.contains("value: '${TENANT:-ours}'") && said.contains(SET), "{said}");
}
