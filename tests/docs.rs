//! The documents against the code: what can be seen from outside is described.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test stops at the first surprise

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
