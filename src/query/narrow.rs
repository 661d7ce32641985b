//! Narrowing: what a query asks of labels becomes, where it can, matches of journal fields. The reader has an index of
//! them, so the entries of other units cost nothing.
//!
//! A match never leaves out an entry that the query wants; the query looks at what comes all the same.

use journald_reader::Match;
use logql::expr::LogQuery;
use logql::{Expr, MatchOp, Matcher};

use crate::shape::Sections;
use crate::shape::labels::{FieldRule, keyword_priority};
use crate::shape::limits::LABEL_VALUE_MAX;

/// Most values that a match may have (count): more cost more to look up than they spare.
const VALUES_MAX: usize = 64;

/// What gives entries their labels.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'c> {
    /// What the configuration says for all destinations.
    pub sections: Sections<'c>,
    /// The labels that a destination adds: they win over others of the same name.
    pub added: &'c [(String, String)],
}

/// What an entry must match so that a query of these labels can want it; none: it can want any.
pub fn of_query(query: &LogQuery, shape: &Shape<'_>) -> Match {
    let mut narrowed = Match::new();
    let Sections { labels, stages, .. } = shape.sections;
    // Stages and rules may set any label.
    if !stages.is_empty() || !labels.relabel.is_empty() {
        return narrowed;
    }
    let fixed = |name: &str| labels.fixed.iter().chain(shape.added).any(|(fixed, _)| fixed == name);
    for matcher in query.matchers.iter().filter(|matcher| !fixed(matcher.name())) {
        let rule = labels.fields.iter().find(|rule| rule.name == matcher.name());
        if let Some((field, values)) = rule.and_then(|rule| fields(rule, matcher)) {
            narrowed.entry(field.to_owned()).or_insert(values);
        }
    }
    narrowed
}

/// Whether a query shows, as far as can be told before, each entry that matches [`of_query`].
pub fn chooses_all(query: &LogQuery, shape: &Shape<'_>) -> bool {
    let Sections { labels, stages, retention, .. } = shape.sections;
    let has_value = |name: &str, matcher: &Matcher| {
        let fixed = shape.added.iter().chain(&labels.fixed).find(|(fixed, _)| fixed == name);
        fixed.map(|(_, value)| matcher.matches(value))
    };
    let narrowed = of_query(query, shape).len();
    let others = query.matchers.iter().map(|matcher| has_value(matcher.name(), matcher));
    let plain = query.stages.is_empty() && stages.is_empty() && labels.relabel.is_empty();
    plain
        && retention.is_none()
        && others.clone().filter(Option::is_none).count() == narrowed
        && others.flatten().all(|matches| matches)
}

/// As [`of_query`], for each range of a metric query: an entry must match one of them. None: the query can want any entry.
pub fn of_expr(expr: &Expr, shape: &Shape<'_>) -> Vec<Match> {
    let mut all = Vec::new();
    let mut any = false;
    expr.ranges(&mut |range, _| {
        let narrowed = of_query(&range.query, shape);
        any |= narrowed.is_empty();
        if !all.contains(&narrowed) {
            all.push(narrowed);
        }
    });
    if any { Vec::new() } else { all }
}

/// The field that a label is made of and nothing else is, and the values that a matcher takes; `None` where the index does
/// not help.
fn fields<'r>(rule: &'r FieldRule, matcher: &Matcher) -> Option<(&'r str, Vec<String>)> {
    let [field] = rule.sources.as_slice() else { return None };
    let wanted: Vec<String> = match matcher.op() {
        MatchOp::Equal => vec![matcher.value().to_owned()],
        MatchOp::Regex => matcher.alternatives()?,
        MatchOp::NotEqual | MatchOp::NotRegex => return None,
    };
    // What is no UTF-8 is shown otherwise than it is written, and what is long is cut.
    let plain = |value: &String| {
        !value.is_empty() && value.len() < LABEL_VALUE_MAX && !value.contains(char::REPLACEMENT_CHARACTER)
    };
    if wanted.len() > VALUES_MAX || !wanted.iter().all(plain) {
        return None;
    }
    let values = match field.as_str() {
        "PRIORITY" => wanted.iter().filter_map(|word| keyword_priority(word)).collect(),
        _ => wanted,
    };
    (!values.is_empty()).then_some((field.as_str(), values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use logql::Query;

    #[test]
    fn what_matches_and_labels_leave_open_is_not_chosen_for_sure() {
        let added = [("host".to_owned(), "oak".to_owned())];
        let config = |text: &str| Config::parse(text, "test", &|_| None).unwrap();
        let chooses_all = |config: &Config, query: &str| {
            let Ok(Query::Logs(query)) = Query::parse(query) else { panic!("{query}") };
            super::chooses_all(&query, &Shape { sections: Sections::from(config), added: &added })
        };
        let plain = config("labels:\n  fields:\n    unit: [_SYSTEMD_UNIT]\n    tag: [TAG, OTHER]\n");
        for (query, all) in [
            (r#"{job=~".+"}"#, true),
            (r#"{job="systemd-journal", unit="a.service"}"#, true),
            (r#"{unit=~"a|b", host!="elm"}"#, true),
            (r#"{job="other"}"#, false),
            (r#"{host="elm"}"#, false),
            // The index does not know these.
            (r#"{job=~".+", unit!="a"}"#, false),
            (r#"{unit=~".+"}"#, false),
            (r#"{tag="a"}"#, false),
            (r#"{nowhere="a"}"#, false),
            // One match for two conditions.
            (r#"{unit="a", unit="b"}"#, false),
            (r#"{job=~".+"} |= "a""#, false),
        ] {
            assert_eq!(chooses_all(&plain, query), all, "{query}");
        }
        let retention = config("retention:\n  rules:\n    - {selector: '{unit=\"b\"}', drop: true}\n");
        assert!(!chooses_all(&retention, r#"{job=~".+"}"#));
    }
}
