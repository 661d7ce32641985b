//! What is converted: other files than Promtail's configuration are called by their names, its parts and relatives are converted, and it
//! may come from standard input.

use std::fs;

use super::convert::{JOB, converted};
use crate::support::agent::{output, program};

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
