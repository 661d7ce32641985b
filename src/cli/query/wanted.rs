//! What arguments ask for: LogQL, matches of fields, journalctl's options.

use std::process::ExitCode;

use super::args::QueryArgs;
use crate::cli::answer::{fail, usage};
use crate::query::habits::{self, AnyOf};
use crate::query::{QueryError, boots};
use journald_reader::{Match, Scope};
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

/// The matches that all options ask for together with those of the configuration.
pub(super) fn wanted(
    args: &QueryArgs,
    boot: Option<&str>,
    words: &[String],
    scope: &Scope,
) -> Result<Vec<Match>, ExitCode> {
    let wrong = |error: String| usage(&error);
    let failed = |error: QueryError| fail(&error);
    let mut conditions: Vec<AnyOf> = vec![scope.matches.clone(), habits::fields(words).map_err(wrong)?];
    if !args.unit.is_empty() {
        let units = unit_names(&args.unit, scope).map_err(failed)?;
        if units.is_empty() {
            let names = args.unit.join(", ");
            return Err(usage(&format!("no unit in this journal is called {names}")));
        }
        conditions.push(units.iter().flat_map(|name| habits::unit(name)).collect());
    }
    if let Some(priority) = &args.priority {
        conditions.push(habits::priority(priority).map_err(wrong)?);
    }
    if !args.identifier.is_empty() {
        conditions.push(habits::field("SYSLOG_IDENTIFIER", &args.identifier));
    }
    if args.dmesg {
        conditions.push(habits::field("_TRANSPORT", &["kernel".to_owned()]));
    }
    let boot = boot.or(args.dmesg.then_some("0"));
    if let Some(boot) = boot {
        let known = boots::boots(scope).map_err(failed)?;
        let id = boots::boot(&known, boot).map_err(|error| usage(&format!("--boot: {error}")))?;
        conditions.push(habits::field("_BOOT_ID", &[id.to_string()]));
    }
    habits::all_of(&conditions).ok_or_else(|| usage("no entry can meet all of these conditions at once"))
}

/// The full names of units; patterns are tried on all that the journal knows.
fn unit_names(names: &[String], scope: &Scope) -> Result<Vec<String>, QueryError> {
    let mut all = Vec::new();
    let mut known = None;
    for name in names {
        if !habits::is_pattern(name) {
            all.push(habits::unit_name(name, false));
            continue;
        }
        let known = match &mut known {
            Some(known) => known,
            none => none.insert(boots::values(scope, &habits::UNIT_FIELDS)?),
        };
        // What is no pattern after all matches itself.
        let full = habits::unit_name(name, true);
        match glob::Pattern::new(&full) {
            Ok(pattern) => all.extend(known.iter().filter(|unit| pattern.matches(unit)).cloned()),
            Err(_) => all.push(full),
        }
    }
    Ok(all)
}

/// Adds a filter of messages to a query, in front, as journalctl's `--grep`: capitals matter only if there are any.
pub(super) fn grep(query: &mut Query, pattern: &str) -> Result<(), ExitCode> {
    let Query::Logs(query) = query else {
        return Err(usage(
            "--grep goes with log queries; a metric query has filters of its own: |~ `pattern`",
        ));
    };
    let sensitive = pattern.chars().any(char::is_uppercase);
    let pattern = if sensitive { pattern.to_owned() } else { format!("(?i){pattern}") };
    let filter =
        logql::LineFilter::regex(&pattern).map_err(|error| usage(&format!("--grep: {}", error.message)))?;
    query.stages.insert(0, logql::stage::Stage::Line(filter));
    Ok(())
}
