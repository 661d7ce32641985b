//! The reference held against the table of keys, and the shipped file against the defaults.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use journal_ship::config::{Config, Destination, KEYS};

use super::{env, message, no_env};

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
        "loki[].basic_auth"
        | "loki[].query_access.basic_auth"
        | "alerts.alertmanagers[].basic_auth"
        | "query.basic_auth" => &[("username", "a"), ("password_file", "/dev/null")],
        "loki[]" if ["tls", "basic_auth", "headers", "query_access"].contains(&name) => {
            &[("url", "'https://x'")]
        }
        "loki[]" => &[("url", "'http://x'")],
        "query" if name == "tls" => &[("listen", "'127.0.0.1:1'"), ("token_file", "/run/credentials/t")],
        "query.tls" => &[("cert_file", "/run/credentials/c"), ("key_file", "/run/credentials/k")],
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
