//! How much there is: entries and bytes by label. Loki estimates this from the sizes of its chunks; here every entry is
//! counted, so numbers are exact and smaller.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Value, json};

use super::params::{self, Bounds, Params, Range, Refused};
use super::{Begun, Reply, Request, chosen, matchers, response};
use crate::query::Run;
use crate::query::journal::Journal;
use crate::query::response::Stats;
use crate::query::streams::Streams;
use logql::LogQuery;
use logql::label_set::LabelSet;

/// A millisecond (nanoseconds).
const MILLISECOND: i64 = 1_000_000;

/// `index/stats`. A stream here is what one chunk would be of there.
pub(super) fn stats(request: &Request, journal: &Journal<'_>, run: &mut Run<'_>) -> Result<Reply, Refused> {
    let Range { start, end, .. } = params::range(&request.params, request.now)?;
    let query = matchers(request.params.get("query"))?;
    let streams = chosen(&[query], Bounds { start, end }, journal, run)?;
    let (mut entries, mut bytes, mut count) = (0, 0, 0);
    for (_, size) in streams.iter() {
        (entries, bytes, count) = (entries + size.entries, bytes + size.bytes, count + 1);
    }
    Reply::json(&Sizes { streams: count, chunks: count, bytes, entries })
}

/// How much there is (grafana/loki, `pkg/logproto/indexgateway.proto`, `IndexStatsResponse`).
#[derive(Serialize)]
struct Sizes {
    streams: u64,
    chunks: u64,
    bytes: u64,
    entries: u64,
}

/// Volumes, in the shape of the answer to a metric query.
#[derive(Serialize)]
struct Volumes {
    #[serde(rename = "resultType")]
    kind: &'static str,
    result: Vec<Value>,
    stats: Stats,
}

/// `index/volume`
pub(super) fn volume(request: &Request, journal: &Journal<'_>, run: &mut Run<'_>) -> Result<Reply, Refused> {
    let params = with_limit(&request.params);
    let limit = params::instant(&params, request.now)?.limit;
    let by_label = by_label(&params)?;
    let bounds = params::ordered(&params, request.now)?;
    Wanted::read(&params, limit, by_label)?.answer(i64::MAX, bounds, journal, run)
}

/// `index/volume_range`. A step ends at a multiple of its length; its value stands at its last millisecond.
pub(super) fn volume_range(
    request: &Request,
    journal: &Journal<'_>,
    run: &mut Run<'_>,
) -> Result<Reply, Refused> {
    let params = with_limit(&request.params);
    params::limit(&params)?;
    let Range { start, end, limit, step, .. } = params::range(&params, request.now)?;
    let by_label = by_label(&params)?;
    let step = match step / MILLISECOND {
        // There is one, as in `index/volume`.
        0 => i64::MAX,
        step => step * MILLISECOND,
    };
    Wanted::read(&params, limit, by_label)?.answer(step, Bounds { start, end }, journal, run)
}

/// The parameters, without a limit of zero: it counts as none (`pkg/loghttp/query.go`, `volumeLimit`).
fn with_limit(params: &Params) -> Params {
    let mut params = params.clone();
    if params.get("limit").parse() == Ok(0) {
        params.0.retain(|(name, _)| name != "limit");
    }
    params
}

/// Whether each label has a series, and not each set of values.
fn by_label(params: &Params) -> Result<bool, Refused> {
    match params.get("aggregateBy") {
        "" | "series" => Ok(false),
        "labels" => Ok(true),
        _ => Err(Refused::new("invalid aggregation option")),
    }
}

/// What a volume is asked of.
struct Wanted {
    /// Which streams; none for `{}`, which stands for all (grafana/loki, `pkg/storage/stores/index/seriesvolume`, `MatchAny`).
    selectors: Vec<LogQuery>,
    /// By these labels.
    targets: Vec<String>,
    /// A stream counts only if it has all of these labels: those that were named and that the selector says nothing of
    /// (`pkg/util/series_volume.go`).
    required: Vec<String>,
    by_label: bool,
    limit: usize,
}

impl Wanted {
    fn read(params: &Params, limit: usize, by_label: bool) -> Result<Wanted, Refused> {
        let selectors = match params.get("query") {
            "{}" => Vec::new(),
            text => vec![matchers(text)?],
        };
        let matched = || selectors.iter().flat_map(|query| &query.matchers).map(logql::Matcher::name);
        let given = params.get("targetLabels").split(',').map(str::trim);
        let mut targets: Vec<String> = given.filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let required =
            targets.iter().filter(|target| matched().all(|name| name != *target)).cloned().collect();
        if targets.is_empty() && !by_label {
            targets = matched().map(str::to_owned).collect();
        }
        Ok(Wanted { selectors, targets, required, by_label, limit })
    }

    /// The volumes of the steps of a span.
    fn answer(
        &self,
        step: i64,
        Bounds { start, end }: Bounds,
        journal: &Journal<'_>,
        run: &mut Run<'_>,
    ) -> Result<Reply, Refused> {
        let begun = Begun::now(run);
        let (streams, read) = Streams::find_by(step, &self.selectors, (start, end), journal, run)?;
        let mut known: IndexMap<String, Value, foldhash::quality::RandomState> = IndexMap::default();
        let mut steps: BTreeMap<i64, BTreeMap<usize, u64>> = BTreeMap::new();
        for (labels, sizes) in streams.steps() {
            for (name, metric) in self.names(labels) {
                let at = known.insert_full(name, metric).0;
                for (number, size) in sizes {
                    *steps.entry(*number).or_default().entry(at).or_default() += size.bytes;
                }
            }
        }
        let name = |at: usize| known.get_index(at).map(|(name, _)| name);
        let mut series: BTreeMap<usize, Vec<(i64, u64)>> = BTreeMap::new();
        for (number, all) in steps {
            let next = step.saturating_mul(number.saturating_add(1));
            let time = if next < end { next.saturating_sub(MILLISECOND) } else { end };
            let mut all: Vec<_> = all.into_iter().collect();
            // Each step has its own largest ones.
            all.sort_by_key(|(at, bytes)| (Reverse(*bytes), name(*at)));
            all.truncate(self.limit);
            for (at, bytes) in all {
                series.entry(at).or_default().push((time, bytes));
            }
        }
        let mut series: Vec<_> = series.into_iter().collect();
        // By the first value, whatever follows (`pkg/querier/queryrange/volume.go`, `toPrometheusData`).
        series.sort_by_key(|(at, values)| (values.first().map(|(_, bytes)| Reverse(*bytes)), name(*at)));
        let pair = |(time, bytes): &(i64, u64)| json!([response::seconds(*time), bytes.to_string()]);
        // Single values are a vector there, also of a span with many steps.
        let single = series.iter().all(|(_, values)| values.len() < 2);
        let one = |(at, values): (usize, Vec<(i64, u64)>)| {
            let metric = known.get_index(at).map(|(_, metric)| metric);
            match single {
                true => json!({"metric": metric, "value": values.first().map(pair)}),
                false => json!({"metric": metric, "values": values.iter().map(pair).collect::<Vec<_>>()}),
            }
        };
        let result: Vec<_> = series.into_iter().map(one).collect();
        let kind = if single { "vector" } else { "matrix" };
        let stats = begun.end(run, &read, result.len());
        Reply::json(&response::success(Volumes { kind, result, stats }))
    }

    /// The series that a stream counts for, with the names by which they are sorted.
    fn names(&self, labels: &LabelSet) -> Vec<(String, Value)> {
        if self.required.iter().any(|name| labels.get(name).is_none()) {
            return Vec::new();
        }
        let wanted = |name: &str| self.targets.is_empty() || self.targets.iter().any(|target| target == name);
        if self.by_label {
            let named = labels.iter().map(|(name, _)| name).filter(|name| wanted(name));
            return named.map(|name| (name.to_owned(), json!({name: ""}))).collect();
        }
        let mut set = labels.clone();
        set.retain(|name, _| wanted(name));
        vec![(set.to_string(), response::labels(&set))]
    }
}
