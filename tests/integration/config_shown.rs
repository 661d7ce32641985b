//! `config show` and `config schema`: what is in force and where it comes from, and what editors are told.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::agent::{output, program};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

const WRITTEN: &str = r#"journal:
  backfill: 3d
labels:
  static: {job: journal, level: none}
  relabel_configs:
    - {source_labels: [unit], regex: '(.+)\.service', target_label: unit}
stages:
  - match: {selector: '{unit="a"}', stages: [{labels: {x: }}]}
retention:
  rules:
    - {selector: '{unit="ssh"}', keep: 90d}
loki:
  - url: ${LOKI:-http://loki:3100}
    tenant: ${TENANT}
    headers: {X-Api-Key: abcdef, X-Team: "${TEAM_TOKEN}", X-File: {file: /run/key}}
alerts:
  alertmanagers: [{url: "http://am:9093/?key=abcdef"}]
  external_labels: {site: "${SITE:-lab}"}
"#;

const SHOWN: &str = r#"journal:
  paths: []                                    # default
  namespaces: []                               # default
  match: []                                    # default
  backfill: 3d                                 # FILE:2
  start_cursor: null                           # default
labels:
  static:
    job: journal                               # FILE:4
    level: none                                # FILE:4
  fields:
    host: _HOSTNAME                            # default
    unit: _SYSTEMD_UNIT                        # default
    user_unit: _SYSTEMD_USER_UNIT              # default
    service_name: [_SYSTEMD_UNIT, _TRANSPORT]  # default
  relabel_configs:
    - source_labels: [unit]                    # FILE:6
      separator: ';'                           # default
      regex: '(.+)\.service'                   # FILE:6
      target_label: unit                       # FILE:6
      replacement: '$1'                        # default
      action: replace                          # default
  max_streams: 5000                            # default
structured_metadata:
  pid: _PID                                    # default
  identifier: SYSLOG_IDENTIFIER                # default
line: message                                  # default
stages:
  - match:
      selector: '{unit="a"}'                   # FILE:8
      stages:
        - labels:
            x: null                            # FILE:8
retention:
  label: retention                             # default
  default: 31d                                 # default
  rules:
    - selector: '{unit="ssh"}'                 # FILE:11
      keep: 90d                                # FILE:11
      drop: false                              # default
loki:
  - name: main                                 # default
    url: https://loki.example:3100             # FILE:13, environment LOKI
    tenant: '${TENANT}'                        # FILE:14, TENANT is not set here
    headers:
      X-Api-Key: '********'                    # FILE:15
      X-Team: '********'                       # FILE:15, environment TEAM_TOKEN
      X-File:
        file: /run/key                         # FILE:15
    batch:
      max_bytes: 1MiB                          # default
      max_wait: 1s                             # default
    max_line_bytes: 256KiB                     # default
    timeout: 10s                               # default
    backoff:
      min: 500ms                               # default
      max: 1m                                  # default
alerts:
  rule_files: []                               # default
  alertmanagers:
    - url: '********'                          # FILE:17
      timeout: 10s                             # default
  external_labels:
    site: lab                                  # FILE:18
  external_url: null                           # default
"#;

#[test]
fn every_key_is_shown_with_its_value_and_its_origin() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.yaml");
    fs::write(&file, WRITTEN).unwrap();
    let name = file.to_str().unwrap();
    let mut command = program(&["config", "show", "--config", name]);
    command.env("LOKI", "https://loki.example:3100").env("TEAM_TOKEN", "hunter2");
    let out = command.output().unwrap();
    let shown = text(&out.stdout).replace(name, "FILE");
    assert!(shown.starts_with(SHOWN), "{shown}\n{}", text(&out.stderr));
    assert!(
        shown.contains("\nlog_level: info  ") && shown.contains("state_directory: /var/lib/journal-ship")
    );
    for secret in ["abcdef", "hunter2"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    // What is shown is a configuration again, and says the same.
    let again = dir.path().join("again.yaml");
    let own =
        text(&output(&["config", "show", "--config", root("config/config.yaml").to_str().unwrap()]).stdout);
    fs::write(&again, &own).unwrap();
    let second = text(&output(&["config", "show", "--config", again.to_str().unwrap()]).stdout);
    let values = |shown: &str| -> Value { serde_saphyr::from_str(shown).unwrap() };
    assert_eq!(values(&own), values(&second));
}

/// A `${` that is a text is shown so that it is read as one again. Where no variables are expanded, it is shown as written.
#[test]
fn a_dollar_that_is_no_variable_is_none_when_it_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.yaml");
    let show = || {
        let mut command = program(&["config", "show", "--config", file.to_str().unwrap()]);
        let out = command.env("HELD", "c${HELD}d").env_remove("NOWHERE").output().unwrap();
        assert!(out.status.success(), "{out:?}");
        text(&out.stdout)
    };
    fs::write(
        &file,
        "labels:\n  static: {a: 'a$${HOME}b', b: '$$${HOME}', c: '${HELD}', d: '${NOWHERE} $${HOME}'}\n  relabel_configs:\n    \
         - {source_labels: [a], separator: '$${', regex: '$${x}', target_label: 'z${1}', replacement: '$${1}${2}'}\n\
         stages:\n  - drop: {source: '$${x}', value: '$${y}'}\n  - timestamp: {source: a, format: '$${z}'}\n  \
         - metrics: {m: {type: Counter, config: {value: '$${w}', action: inc}}}\n",
    )
    .unwrap();
    let first = show();
    for line in [
        "    a: 'a$${HOME}b' ",
        "    b: '$$${HOME}' ",
        "    c: 'c$${HELD}d' ",
        "    d: '${NOWHERE} $${HOME}' ",
        "      separator: '$${' ",
        "      regex: '$${x}' ",
        "      target_label: 'z${1}' ",
        "      replacement: '$${1}${2}' ",
        "      value: '$${y}' ",
        "      format: '$${z}' ",
        "          value: '$${w}' ",
    ] {
        assert!(first.contains(&format!("\n{line}")), "{line}\n{first}");
    }
    fs::write(&file, &first).unwrap();
    let second = show();
    let values = |shown: &str| -> Value { serde_saphyr::from_str(shown).unwrap() };
    assert_eq!(values(&first), values(&second));
}

#[test]
fn without_a_file_the_defaults_are_shown_and_a_faulty_one_is_refused() {
    if !Path::new("/etc/journal-ship/config.yaml").exists() {
        let mut command = program(&["config", "show"]);
        let out = command
            .env("STATE_DIRECTORY", "/srv/state")
            .env("RUNTIME_DIRECTORY", "/run/js")
            .output()
            .unwrap();
        let shown = text(&out.stdout);
        for line in [
            "# There is no /etc/journal-ship/config.yaml: these are the built-in defaults.\n",
            "# not written: nothing is dropped, and no label tells a class\n",
            "state_directory: /srv/state                    # default, environment STATE_DIRECTORY\n",
            "  socket: /run/js/query.sock                   # default, environment RUNTIME_DIRECTORY\n",
        ] {
            assert!(shown.contains(line), "{line}\n{shown}");
        }
    }
    let faulty = root("tests/data/config/unknown-keys.yaml");
    let out = output(&["config", "show", "--config", faulty.to_str().unwrap()]);
    assert_eq!((out.status.code(), text(&out.stdout).as_str()), (Some(78), ""));
    assert!(text(&out.stderr).contains("unknown key"));
}

/// `BLESS=1` writes the copy anew.
#[test]
fn the_shipped_schema_is_the_one_of_the_code() {
    let path = root("config/config.schema.json");
    let made = text(&output(&["config", "schema"]).stdout);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &made).unwrap();
    }
    assert_eq!(fs::read_to_string(path).unwrap(), made, "BLESS=1 writes config/config.schema.json anew");
    let first = fs::read_to_string(root("config/config.yaml")).unwrap();
    assert!(
        first.starts_with("# yaml-language-server: $schema=/usr/share/journal-ship/config.schema.json\n")
    );
}

/// What a value breaks, as an editor would say it; the keywords that the schema uses.
fn breaks(schema: &Value, value: &Value, root: &Value, at: &str) -> Vec<String> {
    let known = [
        "type",
        "properties",
        "additionalProperties",
        "required",
        "items",
        "anyOf",
        "enum",
        "pattern",
        "$ref",
        "description",
        "default",
        "minProperties",
        "maxProperties",
        "$schema",
        "title",
        "definitions",
    ];
    let schema_map = schema.as_object().unwrap();
    assert!(schema_map.keys().all(|key| known.contains(&key.as_str())), "{schema_map:?}");
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return breaks(root.pointer(reference.trim_start_matches('#')).unwrap(), value, root, at);
    }
    let mut found = Vec::new();
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is = |want: &str| want == kind || (want == "number" && kind == "integer");
    match schema.get("type") {
        Some(Value::String(want)) if !is(want) => found.push(format!("{at}: {kind}, not {want}")),
        Some(Value::Array(wanted)) if !wanted.iter().any(|want| is(want.as_str().unwrap())) => {
            found.push(format!("{at}: {kind}, not {wanted:?}"));
        }
        _ => {}
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array)
        && !words.contains(value)
    {
        found.push(format!("{at}: not of {words:?}"));
    }
    if let (Some(pattern), Some(text)) = (schema.get("pattern").and_then(Value::as_str), value.as_str())
        && !regex::Regex::new(pattern).unwrap().is_match(text)
    {
        found.push(format!("{at}: {text} is not {pattern}"));
    }
    if let Some(ways) = schema.get("anyOf").and_then(Value::as_array)
        && ways.iter().all(|way| !breaks(way, value, root, at).is_empty())
    {
        found.push(format!("{at}: none of {ways:?}"));
    }
    found.extend(breaks_inside(schema, value, root, at));
    found
}

/// The same of the parts of a list or a map.
fn breaks_inside(schema: &Value, value: &Value, root: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        if let Some(items) = schema.get("items") {
            found.extend(breaks(items, item, root, &format!("{at}[{index}]")));
        }
    }
    let Some(map) = value.as_object() else { return found };
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        if !map.contains_key(name.as_str().unwrap()) {
            found.push(format!("{at}: no {name}"));
        }
    }
    let most = schema.get("maxProperties").and_then(Value::as_u64);
    if most.is_some_and(|most| map.len() as u64 > most) {
        found.push(format!("{at}: too many"));
    }
    for (name, value) in map {
        let at = format!("{at}.{name}");
        match (schema.pointer(&format!("/properties/{name}")), schema.get("additionalProperties")) {
            (Some(property), _) | (None, Some(property @ Value::Object(_))) => {
                found.extend(breaks(property, value, root, &at));
            }
            (None, Some(Value::Bool(false))) => found.push(format!("{at}: unknown")),
            _ => {}
        }
    }
    found
}

/// The schema takes every configuration that the program takes, and refuses names and types that it refuses.
#[test]
fn the_schema_takes_what_the_program_takes() {
    let schema: Value = serde_json::from_slice(&output(&["config", "schema"]).stdout).unwrap();
    let broken = |path: &Path| {
        let value: Value = serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        breaks(&schema, &value, &schema, "")
    };
    let mut taken = 0;
    for folder in ["tests/data/config", "tests/data/promtail", "config", "config/recipes"] {
        for entry in fs::read_dir(root(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let valid = name.starts_with("warn-")
                || name.ends_with(".converted.yaml")
                || folder.starts_with("config");
            if !name.ends_with(".yaml") || !valid {
                continue;
            }
            let broken = broken(&path);
            assert!(broken.is_empty(), "{}: {broken:?}", path.display());
            taken += 1;
        }
    }
    assert!(taken > 20, "{taken}");
    for (name, part) in [
        ("unknown-keys", ": unknown"),
        ("wrong-types", ", not "),
        ("choices", ": none of "),
        ("stages-unknown", ": unknown"),
        ("stages-missing", ": no "),
    ] {
        let broken = broken(&root(&format!("tests/data/config/{name}.yaml")));
        assert!(broken.iter().any(|found| found.contains(part)), "{name}: {broken:?}");
    }
    // Each key has its text from the reference.
    fn undescribed(schema: &Value, at: &str, found: &mut Vec<String>) {
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let at = format!("{at}.{name}");
            if property.get("description").is_none() {
                found.push(at.clone());
            }
            undescribed(property, &at, found);
            undescribed(&property["items"], &format!("{at}[]"), found);
        }
    }
    let mut found = Vec::new();
    undescribed(&schema, "", &mut found);
    undescribed(&schema["definitions"]["stage"], "stages[]", &mut found);
    assert!(found.is_empty(), "{found:?}");
}
