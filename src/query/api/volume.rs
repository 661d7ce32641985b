//! How much there is: entries and bytes by label. Loki estimates this from the sizes of its chunks; here every entry is
//! counted, so numbers are exact and smaller.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};

use super::params::{self, Bounds, Refused};
use super::{Request, chosen, parse_logs, response};
use crate::query::Run;
use crate::query::journal::Journal;
use crate::query::response::success;
use crate::query::streams::Streams;
use logql::label_set::LabelSet;
use logql::{LogQuery, MatchOp};

/// Series of a volume unless `limit` says otherwise (count): Loki's `seriesLimit`.
const SERIES: usize = 100;
/// A millisecond (nanoseconds).
const MILLISECOND: i64 = 1_000_000;

/// `index/stats`. A stream here is what one chunk would be of there.
pub(super) fn stats(request: &Request, journal: &Journal<'_>, run: &mut Run<'_>) -> Result<Value, Refused> {
    let query = parse_logs(request.params.get("query"))?;
    let (streams, _) = chosen(&[query], request, journal, run)?;
    let (mut entries, mut bytes, mut count) = (0, 0, 0);
    for (_, size) in streams.iter() {
        (entries, bytes, count) = (entries + size.entries, bytes + size.bytes, count + 1);
    }
    Ok(json!({"streams": count, "chunks": count, "bytes": bytes, "entries": entries}))
}

/// `index/volume`
pub(super) fn volume(request: &Request, journal: &Journal<'_>, run: &mut Run<'_>) -> Result<Value, Refused> {
    let wanted = Wanted::read(request)?;
    let (streams, bounds) = chosen(std::slice::from_ref(&wanted.query), request, journal, run)?;
    let result: Vec<_> = wanted
        .largest(&streams)
        .into_iter()
        .map(|(labels, bytes)| {
            let value = (response::seconds(bounds.end), bytes.to_string());
            json!({"metric": response::labels(&labels), "value": value})
        })
        .collect();
    Ok(success(json!({"resultType": "vector", "result": result})))
}

/// `index/volume_range`. A value stands at the last millisecond of its step.
pub(super) fn volume_range(
    request: &Request,
    journal: &Journal<'_>,
    run: &mut Run<'_>,
) -> Result<Value, Refused> {
    let wanted = Wanted::read(request)?;
    let Bounds { start, end } = params::bounds(&request.params, request.now)?;
    let step = params::step(&request.params, start, end)?;
    let mut series: BTreeMap<String, (LabelSet, u64, Vec<Value>)> = BTreeMap::new();
    let mut from = start;
    // A span of many steps is read in many pieces.
    while from < end && !run.stop.load(Relaxed) {
        let to = from.saturating_add(step).min(end);
        let (streams, _) = Streams::find(std::slice::from_ref(&wanted.query), (from, to), journal, run)?;
        let at = if to < end { to.saturating_sub(MILLISECOND) } else { end };
        for (labels, bytes) in wanted.by_labels(&streams) {
            let one = series.entry(labels.to_string()).or_insert_with(|| (labels, 0, Vec::new()));
            one.1 += bytes;
            one.2.push(json!([response::seconds(at), bytes.to_string()]));
        }
        from = to;
    }
    let mut series: Vec<_> = series.into_values().collect();
    series.sort_by_key(|(_, bytes, _)| std::cmp::Reverse(*bytes));
    series.truncate(wanted.limit);
    let one = |(labels, _, values): (LabelSet, u64, Vec<Value>)| json!({"metric": response::labels(&labels), "values": values});
    let result: Vec<_> = series.into_iter().map(one).collect();
    Ok(success(json!({"resultType": "matrix", "result": result})))
}

/// What a volume is asked of.
struct Wanted {
    query: LogQuery,
    /// By these labels.
    targets: Vec<String>,
    /// A series for each label, not for each set of values.
    by_label: bool,
    limit: usize,
}

impl Wanted {
    fn read(request: &Request) -> Result<Wanted, Refused> {
        let query = parse_logs(request.params.get("query"))?;
        let by_label = match request.params.get("aggregateBy") {
            "" | "series" => false,
            "labels" => true,
            _ => return Err(Refused::new("invalid aggregation option")),
        };
        let given = request.params.get("targetLabels").split(',').map(str::trim);
        let mut targets: Vec<String> = given.filter(|name| !name.is_empty()).map(str::to_owned).collect();
        if targets.is_empty() && !by_label {
            let named = |matcher: &&logql::Matcher| matches!(matcher.op(), MatchOp::Equal | MatchOp::Regex);
            targets = query.matchers.iter().filter(named).map(|matcher| matcher.name().to_owned()).collect();
        }
        let limit = match request.params.get("limit") {
            "" => SERIES,
            _ => params::limit(&request.params)?,
        };
        Ok(Wanted { query, targets, by_label, limit })
    }

    /// Bytes by the labels that are wanted.
    fn by_labels(&self, streams: &Streams) -> Vec<(LabelSet, u64)> {
        let mut all: BTreeMap<String, (LabelSet, u64)> = BTreeMap::new();
        let mut count = |set: LabelSet, bytes: u64| {
            all.entry(set.to_string()).or_insert_with(|| (set, 0)).1 += bytes;
        };
        for (labels, size) in streams.iter() {
            let wanted =
                |name: &str| self.targets.is_empty() || self.targets.iter().any(|target| target == name);
            if self.by_label {
                for (name, _) in labels.iter().filter(|(name, _)| wanted(name)) {
                    let mut set = LabelSet::default();
                    set.insert(name, b"");
                    count(set, size.bytes);
                }
                continue;
            }
            let mut set = labels.clone();
            set.retain(|name, _| wanted(name));
            if !set.is_empty() {
                count(set, size.bytes);
            }
        }
        all.into_values().collect()
    }

    fn largest(&self, streams: &Streams) -> Vec<(LabelSet, u64)> {
        let mut all = self.by_labels(streams);
        all.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        all.truncate(self.limit);
        all
    }
}
