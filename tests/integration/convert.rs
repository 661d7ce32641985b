//! Converting Promtail's configurations: what comes out is pinned, it passes `check`, nothing of what went in is lost in
//! silence, and no secret gets out.
//!
//! `BLESS=1 cargo test --test integration convert` rewrites the pinned files; read the difference before keeping it.

use std::fs;
use std::path::{Path, PathBuf};

use journal_ship::config::Config;
use journal_ship::convert::promtail;
use serde_json::Value;

use proptest::prelude::*;

use crate::support::agent::{Agent, output, program};
use crate::support::fixtures::{ExportEntry, Format, build_journal};
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
fn converted(source: &str) -> (String, Option<String>) {
    let converted =
        promtail(source, "promtail.yaml", None).unwrap_or_else(|error| panic!("{source}: {error}"));
    let refused = Config::parse(&converted.yaml, "converted", &|_| Some("x".to_owned())).err();
    let said = format!("{}\n{}", converted.yaml, converted.notes.join("\n"));
    (said, refused.map(|error| error.to_string()))
}

const JOB: &str = "scrape_configs: [{job_name: journal, journal: {labels: {job: j}}}]";

fn with_client(inside: &str) -> String {
    format!("clients: [{{url: 'http://loki/loki/api/v1/push', {inside}}}]\n{JOB}\n")
}

fn with_stage(stage: &str) -> String {
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

/// What is no Promtail configuration is said to be what it is, with what to do; status 1.
#[test]
fn other_inputs_are_called_by_their_names() {
    let folder = tempfile::tempdir().unwrap();
    for (source, what, help) in [
        ("", "it is empty", "scrape_configs"),
        (" \n# a comment\n", "it is empty", "scrape_configs"),
        ("{}", "it is empty", "/etc/promtail"),
        ("[]", "an empty list", "scrape_configs"),
        (
            "loki.source.journal \"read\" {\n  forward_to = [loki.write.local.receiver]\n}\n",
            "Alloy",
            "loki.source.journal",
        ),
        ("logging {\n  level = \"info\"\n}\n", "Alloy", "labels.relabel_configs"),
        (
            "// a comment\nloki.write \"x\" {\n  endpoint {\n    url = \"http://l\"\n  }\n}\n",
            "Alloy",
            "loki.write",
        ),
        (
            "global: {scrape_interval: 15s}\nscrape_configs: [{job_name: p, static_configs: [{targets: [a]}]}]",
            "Prometheus",
            "alerts.rule_files",
        ),
        ("rule_files: [a]\nscrape_configs: [{job_name: p}]", "Prometheus", "alerts.rule_files"),
        ("labels: {static: {job: x}}\nloki: [{url: 'http://l'}]", "journal-ship's own", "check --config"),
        ("journal: {backfill: 1d}\n", "journal-ship's own", "check --config"),
        ("loki: [{url: 'http://l'}]", "journal-ship's own", "check --config"),
        ("apiVersion: v1\nkind: ConfigMap\ndata: {promtail.yaml: 'clients: []'}", "Kubernetes", "`data`"),
        ("groups: [{name: a, rules: []}]", "a rule file", "alerts.rule_files"),
        (
            "auth_enabled: false\nserver: {http_listen_port: 3100}\nschema_config: {}",
            "Loki's configuration",
            "where Loki is",
        ),
        ("services: {promtail: {image: x}}", "Docker Compose", "its Promtail reads"),
        ("config: {clients: [{url: x}]}", "Helm", "helm template"),
        ("positions: {cursor-journal: 's=1', /var/log/x: '17'}", "positions file", "--positions"),
        ("[{json: {expressions: {a: b}}}, {drop: {expression: x}}]", "a list of stages", "`stages`"),
        ("[1, 2]", "a list of something else", "scrape_configs"),
        ("password: hunter2\nsecrets: [hunter3]", "a file with `password`", "scrape_configs"),
        ("just words", "a string", "scrape_configs"),
        ("a: 1\nb: 2", "a file with `a`, `b`", "scrape_configs"),
        ("logs: {configs: []}", "Grafana Agent's", "scrape_configs"),
    ] {
        let path = folder.path().join("input");
        fs::write(&path, source).unwrap();
        let result = output(&["convert", "promtail", path.to_str().unwrap()]);
        let said = String::from_utf8(result.stderr).unwrap();
        assert_eq!(result.status.code(), Some(1), "{source}: {said}");
        assert!(result.stdout.is_empty(), "{source}");
        assert!(said.contains(what) && said.contains(help), "{source}: {said}");
        assert!(!said.contains("hunter"), "{source}: {said}");
    }
}

/// Parts of Promtail's configuration, and Grafana Agent's, are converted as the whole would be.
#[test]
fn parts_and_relatives_are_converted() {
    let whole = "clients: [{url: 'http://l:3100/loki/api/v1/push'}]\n\
                 scrape_configs: [{job_name: j, journal: {labels: {job: j}}, pipeline_stages: [{drop: {expression: x}}]}]";
    let (client, job) = whole.split_once("\n").unwrap();
    let (client, job) = (
        client.strip_prefix("clients: ").unwrap(),
        job.trim_start().strip_prefix("scrape_configs: ").unwrap(),
    );
    let indented = |text: &str| text.to_owned();
    let expected = converted(whole).0;
    let expected = expected.split("\nan entry without").next().unwrap();
    for (source, note) in [
        (format!("logs: {{configs: [{{name: d, clients: {client}, scrape_configs: {job}}}]}}"), ""),
        (format!("loki: {{configs: [{{name: d, clients: {client}, scrape_configs: {job}}}]}}"), ""),
        (
            format!(
                "server: {{log_level: warn}}\nlogs: {{global: {{clients: {client}}}, configs: [{{name: d, scrape_configs: {job}}}]}}"
            ),
            "server: left out; it is Grafana Agent's",
        ),
        (
            format!(
                "logs: {{configs: [{{name: files, clients: {client}, scrape_configs: [{{job_name: f}}]}}, {{name: d, clients: {client}, \
                 scrape_configs: {job}}}]}}"
            ),
            "files: left out; it does not read the journal",
        ),
    ] {
        let (said, refused) = converted(&indented(&source));
        assert_eq!(refused, None, "{source}\n{said}");
        assert!(said.starts_with(expected) && said.contains(note), "{source}\n{said}\n--\n{expected}");
    }
    let without = |source: &str| {
        converted(source).0.replace(
            "loki:\n  - url: 'http://l:3100/loki/api/v1/push'\n",
            "# clients: there are none; write where Loki is under `loki`\n",
        )
    };
    let expected = without(whole);
    let expected = expected.split("\nan entry without").next().unwrap().trim_end();
    for source in [job.to_owned(), job.trim_start_matches('[').trim_end_matches(']').to_owned() + "]}"] {
        let source = if source.starts_with('[') {
            source
        } else {
            "job_name: j\njournal: {labels: {job: j}}\npipeline_stages: [{drop: {expression: x}}]".into()
        };
        let (said, refused) = converted(&source);
        assert_eq!(refused, None, "{source}\n{said}");
        assert!(said.starts_with(expected), "{source}\n{said}\n--\n{expected}");
    }
}

#[test]
fn standard_input_and_a_file_to_write() {
    let folder = tempfile::tempdir().unwrap();
    let (theirs, ours) = (folder.path().join("promtail.yaml"), folder.path().join("config.yaml"));
    fs::write(&theirs, JOB).unwrap();
    let (theirs, ours) = (theirs.to_str().unwrap(), ours.to_str().unwrap());
    let expected = output(&["convert", "promtail", theirs]).stdout;
    let mut child = program(&["convert", "promtail", "-"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), JOB.as_bytes()).unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, expected);
    for (args, status, said) in [
        (&["convert", "promtail", theirs, "-o", ours][..], 0, "next: journal-ship check --config"),
        (&["convert", "promtail", theirs, "-o", ours], 1, "--force"),
        (&["convert", "promtail", theirs, "-o", ours, "--force"], 0, "is written"),
        (&["convert", "promtail", theirs, "-o", theirs, "--force"], 1, "the file that is converted"),
        (&["convert", "promtail", theirs, "-o", "/nowhere/config.yaml"], 1, "is not written"),
        (&["convert", "promtail", "/nowhere/promtail.yaml"], 1, "cannot be read"),
        (&["convert", "promtail", theirs, "--force"], 2, "--output"),
        (&["convert", "promtail", "-", "--positions", "-"], 2, "only one"),
    ] {
        let result = output(args);
        let text = String::from_utf8(result.stderr).unwrap();
        assert_eq!(result.status.code(), Some(status), "{args:?}: {text}");
        assert!(text.contains(said), "{args:?}: {text}");
        assert!(result.stdout.is_empty(), "{args:?}");
        assert_eq!(fs::read_to_string(theirs).unwrap(), JOB);
    }
    assert_eq!(fs::read(ours).unwrap(), expected);
}

/// What a dry run over a folder makes of Promtail's configuration: labels and line, by time.
fn dry_run(folder: &Path, source: &str) -> Vec<(String, String, String)> {
    let path = folder.join("converted.yaml");
    let (yaml, refused) = converted(source);
    assert_eq!(refused, None, "{source}\n{yaml}");
    let yaml = promtail(source, "promtail.yaml", None).unwrap().yaml;
    fs::write(&path, &yaml).unwrap();
    let args =
        ["--dry-run", "-o", "json", "--config", path.to_str().unwrap(), "--path", folder.to_str().unwrap()];
    let result = output(&args);
    assert!(result.status.success(), "{yaml}\n{result:?}");
    let record = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap();
        (record["timestamp"].to_string(), record["labels"].to_string(), record["line"].to_string())
    };
    let mut records: Vec<_> = String::from_utf8(result.stdout).unwrap().lines().map(record).collect();
    records.sort();
    records
}

/// Several readings of the journal, as one, do with each entry what each of them alone did with its entries.
#[test]
fn several_readings_of_the_journal_become_one() {
    let folder = tempfile::tempdir().unwrap();
    let entries: Vec<ExportEntry> = (0..48_u64)
        .map(|n| {
            ExportEntry::new(1_795_600_000_000_000 + n * 1000)
                .message(format!("line {n} secret=x{n}"))
                .field("_COMM", ["sshd", "cron", "audit.d", "Bash"][n as usize % 4])
                .field("PRIORITY", (n % 8).to_string())
                .field("_TRANSPORT", ["journal", "audit", "kernel"][n as usize % 3])
                .field("_HOSTNAME", "Host")
        })
        .collect();
    or_skip!(build_journal(&folder.path().join("system.journal"), &entries, Format::default()));
    let plain = "{source_labels: [__journal__comm], target_label: comm}";
    for (jobs, notes) in [
        (
            &[
                "journal: {matches: _COMM=sshd, labels: {job: ssh}}",
                "journal: {matches: _COMM=cron, labels: {job: cron}}",
            ][..],
            &[][..],
        ),
        (
            &[
                "journal: {matches: _COMM=sshd _COMM=cron PRIORITY=3 + _TRANSPORT=audit PRIORITY=1, labels: {job: a, env: p$1}}",
                "journal: {matches: _COMM=audit.d, labels: {job: b}}",
            ],
            &[],
        ),
        // Relabelling of each is its own.
        (
            &[
                &format!(
                    "journal: {{matches: _COMM=sshd, labels: {{job: a}}}}\n    relabel_configs: [{plain}, {{action: keep, source_labels: [__journal_priority], regex: '[0-3]'}}]"
                ),
                "journal: {matches: _COMM=cron, labels: {job: b}}\n    relabel_configs: [{action: drop, source_labels: [__journal__transport, __journal_priority], separator: '@', regex: 'audit@1'}, {target_label: x, replacement: y}]",
                "journal: {matches: _COMM=Bash}\n    relabel_configs: [{source_labels: [__journal__comm], target_label: job}, {action: lowercase, source_labels: [job], target_label: low}, {action: hashmod, source_labels: [__journal_priority], modulus: 3, target_label: shard}]",
            ],
            &[],
        ),
        (
            &[
                "journal: {matches: _COMM=sshd, labels: {job: a, env: x, zone: y}}\n    relabel_configs: [{action: labeldrop, regex: env|zone}, {action: labelmap, regex: nothing_(.+)}]",
                "journal: {matches: _COMM=cron, labels: {job: b, env: x}}",
            ],
            &["`labelmap` looks at all entries alike"],
        ),
        // Stages, too; and a job without a label gets its name.
        (
            &[
                "journal: {matches: _COMM=sshd, labels: {job: a}}\n    pipeline_stages: [{drop: {expression: 'line 4 '}}, {replace: {expression: 'secret=(\\S+)', replace: '***'}}]",
                "journal: {matches: _COMM=cron, labels: {job: b}}",
                "journal: {matches: _COMM=Bash}\n    pipeline_stages: [{regex: {expression: '(?P<n>[0-9]+)'}}, {labels: {n: }}]",
            ],
            &["the job's name is one now"][..0],
        ),
    ] {
        let config = |jobs: &[String]| format!("scrape_configs:\n{}", jobs.concat());
        let jobs: Vec<String> =
            jobs.iter().enumerate().map(|(n, job)| format!("  - job_name: job{n}\n    {job}\n")).collect();
        let mut alone: Vec<_> =
            jobs.iter().flat_map(|job| dry_run(folder.path(), &config(std::slice::from_ref(job)))).collect();
        alone.sort();
        assert!(!alone.is_empty());
        assert_eq!(dry_run(folder.path(), &config(&jobs)), alone, "{}", converted(&config(&jobs)).0);
        let said = converted(&config(&jobs)).0;
        assert!(notes.iter().all(|note| said.contains(note)), "{said}");
    }
}

#[test]
fn readings_that_cannot_be_one_are_named() {
    for (jobs, part) in [
        // All entries twice: the first job's is what stands.
        (
            "[{job_name: a, journal: {labels: {job: a}}}, {job_name: b, journal: {labels: {job: b}}}]",
            "it reads all entries, as a does",
        ),
        (
            "[{job_name: a, journal: {labels: {job: a}}}, {job_name: b, journal: {json: true, matches: _PID=1}}]",
            "its `json` is another",
        ),
        // The same from two places.
        (
            "[{job_name: a, journal: {path: /a, labels: {job: a}}}, {job_name: b, journal: {path: /b, labels: {job: a}}}]",
            "paths: ['/a', '/b']",
        ),
        (
            "[{job_name: a, journal: {labels: {job: a}}}, {job_name: b, journal: {matches: _PID=1, labels: {job: b}}}]",
            "regex: '1'\n      target_label: __scrape\n      replacement: '1:'",
        ),
        (
            "[{job_name: a, journal: {max_age: 30h, matches: _PID=1}}, {job_name: b, journal: {matches: _PID=2}}]",
            "backfill: 1d6h",
        ),
        (
            "[{job_name: a, journal: {matches: _PID=1, labels: {job: '${HOST}'}}}, {job_name: b, journal: {matches: _PID=2}}]",
            "variables have no place in relabelling",
        ),
        (
            "[{job_name: a, journal: {path: /a, matches: _COMM=sshd}}, {job_name: b, journal: {path: /b, matches: _PID=2}}]",
            "all jobs read all of these places",
        ),
    ] {
        let (said, refused) = converted(&format!("scrape_configs: {jobs}"));
        assert!(said.contains(part), "{jobs}\n{said}");
        assert_eq!(refused, None, "{jobs}\n{said}");
    }
}

/// A scrape config of words that have a meaning, in places where they may have none.
fn job() -> impl Strategy<Value = String> {
    let rule = prop_oneof![
        Just("{source_labels: [__journal__comm], target_label: comm}".to_owned()),
        "\\{action: (keep|drop|Replace|lowercase|labelmap|labeldrop|labelkeep|hashmod|keepequal|bad), source_labels: \\[__journal_(a|priority)\\], regex: '(a|\\(|[(]b|c[)]|[$]1)', target_label: (x|y|__z|9)\\}",
        "\\{(action: labeldrop, regex: (a|a\\|b|a[.]b)|action: drop|separator: ''|replacement: '[$][{]X[}]'|modulus: 0)\\}",
        Just("nonsense".to_owned()),
    ];
    let stage = prop_oneof![
        Just("{drop: {expression: a}}".to_owned()),
        Just("{match: {selector: '{job=\"a\"}', stages: [{output: {source: x}}]}}".to_owned()),
        Just("{docker: {}}".to_owned()),
        "\\{(static_labels: \\{(a|bad-a): '[$][{]X(|:b|:-)[}]'|drop: \\{(expression: '[$][{]X(:a|:[(])[}]'|longer_than: '[$][{]_L:(1kb|x)[}]')|tenant: \\{value: '[$][{]X(:a|:/)[}]')\\}\\}",
        Just("{regex: {expression: '('}}".to_owned()),
    ];
    let journal = "(matches: (_COMM=[$][{]X(|:b)[}]|_COMM=a|_COMM=a b|A=1 [+] B=2|[+]|a=1|PRIORITY=1 PRIORITY=2), )?(path: (/a|b|''), )?(max_age: (1h|x|''), )?(json: (true|false), )?(labels: \\{(job: a|job: '[$][{]X[}]'|__a: b|bad-name: c|bad-name: '[$][{]X[}]'|ok: '[$][{]X:a[}]'|a: ''|)\\}, )?";
    let list = |item: BoxedStrategy<String>| {
        proptest::collection::vec(item, 0..4).prop_map(|items| items.join(", "))
    };
    (journal, list(rule.boxed()), list(stage.boxed())).prop_map(|(journal, rules, stages)| {
        format!(
            "{{job_name: j, journal: {{{journal}}}, relabel_configs: [{rules}], pipeline_stages: [{stages}]}}"
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Whatever is converted, `check` accepts it.
    #[test]
    fn what_comes_out_is_valid(jobs in proptest::collection::vec(job(), 0..4), list in any::<bool>()) {
        let jobs = jobs.join(", ");
        let source = if list { format!("[{jobs}]") } else { format!("scrape_configs: [{jobs}]") };
        if let Ok(converted) = promtail(&source, "promtail.yaml", None) {
            // One variable is set, and of others the defaults count.
            let env = |name: &str| (name == "X").then(|| "x".to_owned());
            let refused = Config::parse(&converted.yaml, "converted", &env).err();
            prop_assert!(refused.is_none(), "{}\n{}\n{}", source, converted.yaml, refused.unwrap());
        }
    }

    /// Any text gets an answer.
    #[test]
    fn any_text_is_converted_or_refused(text in "[-a-z_:{}\\[\\]\"' \n.,0-9]{0,80}") {
        if let Ok(converted) = promtail(&text, "promtail.yaml", None) {
            prop_assert!(Config::parse(&converted.yaml, "converted", &|_| Some("x".to_owned())).is_ok());
        }
    }
}
