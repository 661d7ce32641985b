//! What the words of a query are: LogQL, or matches of fields.

use std::process::ExitCode;

use crate::cli::answer::usage;
use crate::cli::habits::pattern;
use crate::query::habits;
use logql::Query;

/// LogQL, if there is any, and matches.
pub(super) fn split(words: &[String]) -> Result<(Option<String>, Vec<String>), String> {
    let is_logql = |word: &&String| {
        let is_match = *word == "+" || habits::fields(std::slice::from_ref(*word)).is_ok();
        !is_match && (word.contains(['{', '(']) || Query::parse(word).is_ok())
    };
    let mut queries = words.iter().filter(is_logql);
    let query = queries.next().cloned();
    if queries.next().is_some() {
        return Err(
            "one query at a time: put LogQL in quotes, as '{unit=\"ssh.service\"} |= \"Failed\"'".to_owned()
        );
    }
    let others = words.iter().filter(|word| !is_logql(word)).cloned().collect();
    Ok((query, others))
}

/// Adds a filter of messages to a query in front.
pub(super) fn grep(query: &mut Query, grep: &str) -> Result<(), ExitCode> {
    let Query::Logs(query) = query else {
        return Err(usage(
            "--grep goes with log queries; a metric query has filters of its own: |~ `pattern`",
        ));
    };
    let filter = logql::LineFilter::regex(&pattern(grep))
        .map_err(|error| usage(&format!("--grep: {}", error.message)))?;
    query.stages.insert(0, logql::stage::Stage::Line(filter));
    Ok(())
}
