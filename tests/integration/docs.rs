//! The documents against the code: what can be seen from outside is described.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

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
