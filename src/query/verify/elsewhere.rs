//! Entries that are not in their stream because Loki had no room for it: the agent sent them to an overflow stream, or to
//! another stream of the host, and wrote `overflow="true"` beside them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::ask::{Asking, Line, Told};
use super::compare::{Difference, Known, Lost};
use super::expected::{Expected, Streams};
use super::interval::SECOND;
use super::{Interval, VerifyError};
use crate::shape::labels::{OVERFLOW, OVERFLOW_KEEPS};
use logql::{MatchOp, Matcher};

/// What is asked about: a tenant and a log query.
type Question<'s> = (Option<&'s Arc<str>>, String);

/// Tells entries that are in an overflow stream from entries that are missing.
///
/// # Errors
/// Loki cannot be asked.
pub(super) fn find(
    asking: &mut Asking<'_>,
    streams: &Streams,
    expected: &Expected,
    found: &mut Vec<Difference>,
) -> Result<(), VerifyError> {
    let mut any: HashMap<Question<'_>, bool> = HashMap::new();
    let mut further = Vec::new();
    let lacking = |difference: &&mut Difference| difference.missing > 0 && difference.known.is_none();
    let spans = found.iter().filter(|d| d.missing > 0).map(|d| d.within);
    let Some(whole) =
        spans.reduce(|a, b| Interval { after: a.after.min(b.after), until: a.until.max(b.until) })
    else {
        return Ok(());
    };
    for difference in found.iter_mut().filter(lacking) {
        let Some((name, labels)) = streams.get(difference.stream) else { continue };
        let Some(query) = query(labels) else { continue };
        let tenant = name.tenant.as_ref();
        let question = (tenant, query);
        let there = match any.get(&question) {
            Some(there) => *there,
            None => {
                let there = has_any(asking, &question, whole)?;
                any.insert(question.clone(), there);
                there
            }
        };
        if !there {
            continue;
        }
        let mut others: HashSet<(i64, u64)> = HashSet::new();
        let mut take = |line: Line| _ = others.insert((line.time, streams.hash(&line.text)));
        asking.lines(tenant, &question.1, difference.within, &mut take)?;
        let rows = expected.rows(difference.stream, difference.within).iter();
        let lost: Vec<_> = rows
            .map(|row| (row.time, row.hash))
            .filter(|(time, hash)| difference.lacks(*time, *hash))
            .collect();
        let (elsewhere, lost): (HashSet<_>, HashSet<_>) =
            lost.into_iter().partition(|entry| others.contains(entry));
        if elsewhere.is_empty() {
            continue;
        }
        further.push(Difference {
            journal: 0,
            counted: 0,
            missing: elsewhere.len() as u64,
            twice: 0,
            altered: 0,
            more: 0,
            known: Some(Known::Overflow),
            lost: Lost::These(elsewhere),
            ..*difference
        });
        difference.missing = lost.len() as u64;
        difference.lost = Lost::These(lost);
    }
    found.append(&mut further);
    Ok(())
}

/// The query for what the overflow streams have that entries of a stream may be in. `None`: it is such a stream itself.
fn query(labels: &BTreeMap<String, String>) -> Option<String> {
    if labels.contains_key(OVERFLOW) {
        return None;
    }
    let kept = OVERFLOW_KEEPS.iter().filter_map(|name| Some((*name, labels.get(*name)?)));
    let matchers: Vec<String> = kept
        .filter_map(|(name, value)| Some(Matcher::new(name, MatchOp::Equal, value).ok()?.to_string()))
        .collect();
    let selector = if matchers.is_empty() { format!("{OVERFLOW}=\"true\"") } else { matchers.join(", ") };
    Some(format!("{{{selector}}} | {OVERFLOW}=\"true\""))
}

/// Whether an overflow stream has anything within an interval.
fn has_any(asking: &mut Asking<'_>, question: &Question<'_>, within: Interval) -> Result<bool, VerifyError> {
    asking.go_on()?;
    let (tenant, query) = question;
    let length = within.until - within.after;
    let query = format!("sum(count_over_time({query} [{}s]))", length / SECOND);
    match asking.values(*tenant, &query, within, length)? {
        Told::Answer(series) => {
            Ok(series.iter().any(|(_, values)| values.iter().any(|(_, count)| *count > 0)))
        }
        // It may be: the lines will say.
        Told::TooMuch => Ok(true),
    }
}
