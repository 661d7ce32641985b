//! The documents against the code: what can be seen from outside is described.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What an expression finds in all of the code; its first group counts.
fn in_code(expression: &str) -> BTreeSet<String> {
    fn walk(folder: &Path, regex: &regex::Regex, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, regex, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                // Tests have names of their own.
                let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
                found.extend(regex.captures_iter(&text).map(|captures| captures[1].to_owned()));
            }
        }
    }
    let mut found = BTreeSet::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    walk(&source, &regex::Regex::new(expression).unwrap(), &mut found);
    found
}

#[test]
fn every_metric_and_every_reason_is_described() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let text = fs::read_to_string(path).unwrap();
    let metrics = in_code(r#""(journalship_\w+)""#);
    assert!(metrics.len() >= 8, "{metrics:?}");
    let reasons = in_code(r#""(\w+_stage|json_malformed)""#);
    assert!(reasons.len() >= 5, "{reasons:?}");
    let kinds = in_code(r#"\("(sanitized_name|cut_value|over_limit|without_label|folded)", "#);
    assert_eq!(kinds.len(), 5, "{kinds:?}");
    for name in metrics.iter().chain(&reasons).chain(&kinds) {
        assert!(text.contains(&format!("`{name}`")), "{name} is not in docs/operations.md");
    }
    // Each metric has a row: what it says, and what to do when it moves.
    for name in &metrics {
        let row = text.lines().find(|line| line.starts_with(&format!("| `{name}` | ")));
        let cells: Vec<&str> = row.unwrap_or_default().split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 6, "{name} has no row with what it says and when it moves: {cells:?}");
        assert!(cells[3].len() > 5 && cells[4].len() > 5 || *name == "journalship_build_info", "{cells:?}");
    }
}

/// What a package has in its folder `src`, folders with a slash.
fn modules(src: &Path) -> BTreeSet<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() { format!("{name}/") } else { name.trim_end_matches(".rs").to_owned() }
    };
    fs::read_dir(src).unwrap().map(name).filter(|name| name != "lib").collect()
}

/// The listing of rooms in `docs/architecture.md` names every room, and each file that it names in a room is there.
#[test]
fn the_listing_of_rooms_is_true() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/architecture.md")).unwrap();
    let quoted = regex::Regex::new("`([a-z_]+/?)`").unwrap();
    let first = regex::Regex::new("`([a-z_]+)(/|\\.rs)?`").unwrap();
    for package in ["", "crates/journald-reader/", "crates/logql/"] {
        let src = root.join(package).join("src");
        let (_, table) = text.split_once(&format!("in `{package}src/` | what lives there |\n")).unwrap();
        let mut listed = BTreeSet::new();
        for row in table.lines().skip(1).take_while(|line| line.starts_with('|')) {
            let (rooms, what) = row.trim_start_matches("| ").split_once(" | ").unwrap();
            let rooms: Vec<String> =
                first.captures_iter(rooms).map(|room| room[0].trim_matches('`').replace(".rs", "")).collect();
            for name in quoted.captures_iter(what).map(|captures| captures[1].to_owned()) {
                let within =
                    |folder: PathBuf| modules(&folder).iter().any(|m| *m == name || *m == format!("{name}/"));
                let here = rooms.iter().filter(|room| room.ends_with('/')).any(|room| within(src.join(room)));
                assert!(here || within(src.clone()), "`{name}` is not in {rooms:?} of {package}src");
            }
            listed.extend(rooms);
        }
        let there = modules(&src);
        // A file beside the folder of its parts is one room.
        let there: BTreeSet<_> =
            there.iter().filter(|name| !there.contains(&format!("{name}/"))).cloned().collect();
        assert_eq!(listed, there, "{package}src");
    }
    // Whatever path it names.
    let path = regex::Regex::new("`((?:src|crates|tests|docs|config|proto)/[^`* ]*)`").unwrap();
    let paths: Vec<String> = path.captures_iter(&text).map(|captures| captures[1].to_owned()).collect();
    assert!(paths.len() > 30, "{paths:?}");
    for path in paths {
        assert!(root.join(&path).exists(), "{path} is named in docs/architecture.md, but does not exist");
    }
}

/// What we ship and what we show does what it says: `check` has nothing to say about it. A block of rules is looked at as a rule
/// file; tests of rules are another format.
#[test]
fn shipped_and_documented_configurations_are_without_warnings() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let home = tempfile::tempdir().unwrap();
    let mut examples: Vec<(String, String)> = Vec::new();
    for folder in ["config", "config/recipes", "config/rules", "docs", "."] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let text = || fs::read_to_string(&path).unwrap();
            match path.extension().and_then(|end| end.to_str()) {
                Some("yaml") => examples.push((name, text())),
                Some("md") => {
                    for (number, block) in text().split("```yaml\n").skip(1).enumerate() {
                        let block = block.split("```").next().unwrap().to_owned();
                        examples.push((format!("{name}, block {}", number + 1), block));
                    }
                }
                _ => {}
            }
        }
    }
    assert!(examples.len() > 20, "{}", examples.len());
    for (name, text) in examples.iter().filter(|(_, text)| !text.contains("\ntests:\n")) {
        let mut config = text.clone();
        if text.contains("groups:\n") {
            let rules = home.path().join("rules.yaml");
            fs::write(&rules, text).unwrap();
            config =
                format!("alerts: {{rule_files: [{rules:?}], alertmanagers: [{{url: 'http://a:9093'}}]}}");
        }
        let read = journal_ship::config::Config::examine_text(&config, name, &|_| Some("/x".to_owned()));
        let (_, found) = read.unwrap_or_else(|error| panic!("{name}\n{error}"));
        let found = found.render(false);
        let told = found.lines().filter(|line| line.starts_with("warning: "));
        // Files that are not here.
        let here = |line: &&str| !line.contains("no file is named as") && !line.contains("does not exist");
        let told: Vec<_> = told.filter(here).collect();
        assert!(told.is_empty(), "{name}\n{found}");
    }
}
