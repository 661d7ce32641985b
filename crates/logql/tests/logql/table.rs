//! What queries come to, each looked at entry by entry.

use logql::Expr;

use crate::support::table::{Row, SECOND, of_the_file, pairs_of_equals, shown, written};
use crate::support::{Given, Slow};

/// The value of a query at 60 s.
fn value_of(query: &str, entries: &[Given]) -> Vec<String> {
    let expr = Expr::parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
    shown(Slow::new(&expr, entries).value_at(60 * SECOND))
}

fn check(rows: &[Row], entries: &[Given]) {
    let mut wrong = Vec::new();
    for (query, expected) in rows {
        let got = value_of(query, entries);
        if got != *expected {
            wrong.push(format!("{query}\n    expected {expected:?}\n    got      {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} rows\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn queries_come_to_what_they_should() {
    let (entries, rows) = written();
    assert!(rows.len() >= 90, "{} rows", rows.len());
    check(&rows, &entries);
}

#[test]
fn queries_of_the_file_come_to_what_they_should() {
    let (entries, rows) = of_the_file();
    assert!(rows.len() >= 170, "{} rows", rows.len());
    check(&rows, &entries);
}

#[test]
fn a_stage_that_does_nothing_changes_nothing() {
    let (entries, pairs) = pairs_of_equals();
    for [plain, staged] in &pairs {
        assert_eq!(value_of(plain, &entries), value_of(staged, &entries), "{plain}");
    }
}
