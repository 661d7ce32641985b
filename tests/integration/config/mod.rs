//! Configuration files that are faulty: each with its whole message; limits, and whatever bytes there may be.
//!
//! `BLESS=1 cargo test --test integration config` rewrites the pinned messages; read the difference before keeping it.

mod built;
mod reference;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use journal_ship::config::{Config, FILE_MAX, Line};
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
