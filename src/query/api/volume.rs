//! How much there is: entries and bytes by label. Loki estimates this from the sizes of its chunks; here every entry is
//! counted, so numbers are exact and smaller.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::params::{self, Bounds, Range, Refused};
use super::{Request, chosen, matchers, response, success_of};
use crate::query::Run;
use crate::query::journal::Journal;
use crate::query::streams::Streams;
use logql::label_set::LabelSet;
use logql::{LogQuery, MatchOp};

/// Series of a volume unless `limit` says otherwise (count): Loki's `seriesLimit`.
const SERIES: usize = 100;
/// A millisecond (nanoseconds).
const MILLISECOND: i64 = 1_000_000;

/// `index/stats`. A stream here is what one chunk would be of there.
pub(super) fn stats(request: &Request, journal: &Journal<'_>, run: &mut Run<'_>) -> Result<Value, Refused> {
    let Range { start, end, .. } = params::range(&request.params, request.now)?;
    let query = matchers(request.params.get("query"))?;
    let streams = chosen(&[query], Bounds { start, end }, journal, run)?;
    let (mut entries, mut bytes, mut count) = (0, 0, 0);
    for (_, size) in streams.iter() {
        (entries, bytes, count) = (entries + size.entries, bytes + size.bytes, count + 1);
    }
    Ok(json!({"streams": count, "chunks": count, "bytes": bytes, "entries": entries}))
}

/// `index/volume`
pub(super) fn volume(request: &Request, journal: &Journal<'_>, run: &mut Run<'_>) -> Result<Value, Refused> {
    let wanted = Wanted::read(request)?;
    let bounds = params::ordered(&request.params, request.now)?;
    let streams = chosen(&wanted.selectors, bounds, journal, run)?;
    let result: Vec<_> = wanted
        .largest(&streams)
        .into_iter()
        .map(|(metric, bytes)| {
            json!({"metric": metric, "value": (response::seconds(bounds.end), bytes.to_string())})
        })
        .collect();
    Ok(success_of(json!({"resultType": "vector", "result": result})))
}

/// `index/volume_range`. A value stands at the last millisecond of its step.
pub(super) fn volume_range(
    request: &Request,
    journal: &Journal<'_>,
    run: &mut Run<'_>,
) -> Result<Value, Refused> {
    let wanted = Wanted::read(request)?;
    let Bounds { start, end } = params::ordered(&request.params, request.now)?;
    let step = params::step(&request.params, start, end)?;
    let (streams, _) = Streams::find_by(step, &wanted.selectors, (start, end), journal, run)?;
    let mut series: BTreeMap<String, (Value, BTreeMap<i64, u64>)> = BTreeMap::new();
    for (labels, sizes) in streams.steps() {
        for metric in wanted.names(labels) {
            let (_, steps) = series.entry(metric.to_string()).or_insert_with(|| (metric, BTreeMap::new()));
            for (number, size) in sizes {
                *steps.entry(*number).or_default() += size.bytes;
            }
        }
    }
    let mut series: Vec<_> = series.into_values().collect();
    series.sort_by_key(|(_, steps)| std::cmp::Reverse(steps.values().sum::<u64>()));
    series.truncate(wanted.limit);
    let one = |(metric, steps): (Value, BTreeMap<i64, u64>)| {
        let values = steps.into_iter().map(|(number, bytes)| {
            let next = start.saturating_add(step.saturating_mul(number.saturating_add(1)));
            json!([
                response::seconds(if next < end { next.saturating_sub(MILLISECOND) } else { end }),
                bytes.to_string()
            ])
        });
        json!({"metric": metric, "values": values.collect::<Vec<_>>()})
    };
    let result: Vec<_> = series.into_iter().map(one).collect();
    Ok(success_of(json!({"resultType": "matrix", "result": result})))
}

/// What a volume is asked of.
struct Wanted {
    /// Which streams; none for `{}`, which stands for all (grafana/loki, `pkg/storage/stores/index/seriesvolume`, `MatchAny`).
    selectors: Vec<LogQuery>,
    /// By these labels.
    targets: Vec<String>,
    /// A series for each label, not for each set of values.
    by_label: bool,
    limit: usize,
}

impl Wanted {
    fn read(request: &Request) -> Result<Wanted, Refused> {
        let limit = match request.params.get("limit") {
            // As if there were none.
            "0" => SERIES,
            _ => params::count(&request.params, &["limit"], SERIES)?,
        };
        let selectors = match request.params.get("query") {
            "{}" => Vec::new(),
            text => vec![matchers(text)?],
        };
        let by_label = match request.params.get("aggregateBy") {
            "" | "series" => false,
            "labels" => true,
            _ => return Err(Refused::new("invalid aggregation option")),
        };
        let given = request.params.get("targetLabels").split(',').map(str::trim);
        let mut targets: Vec<String> = given.filter(|name| !name.is_empty()).map(str::to_owned).collect();
        if targets.is_empty() && !by_label {
            let named = |matcher: &&logql::Matcher| matches!(matcher.op(), MatchOp::Equal | MatchOp::Regex);
            let all = selectors.iter().flat_map(|query| &query.matchers);
            targets = all.filter(named).map(|matcher| matcher.name().to_owned()).collect();
        }
        Ok(Wanted { selectors, targets, by_label, limit })
    }

    /// The series that a stream counts for.
    fn names(&self, labels: &LabelSet) -> Vec<Value> {
        let wanted = |name: &str| self.targets.is_empty() || self.targets.iter().any(|target| target == name);
        if self.by_label {
            return labels
                .iter()
                .filter(|(name, _)| wanted(name))
                .map(|(name, _)| json!({name: ""}))
                .collect();
        }
        let mut set = labels.clone();
        set.retain(|name, _| wanted(name));
        if set.is_empty() { Vec::new() } else { vec![response::labels(&set)] }
    }

    fn largest(&self, streams: &Streams) -> Vec<(Value, u64)> {
        let mut all: BTreeMap<String, (Value, u64)> = BTreeMap::new();
        for (labels, size) in streams.iter() {
            for metric in self.names(labels) {
                all.entry(metric.to_string()).or_insert_with(|| (metric, 0)).1 += size.bytes;
            }
        }
        let mut all: Vec<_> = all.into_values().collect();
        all.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        all.truncate(self.limit);
        all
    }
}
