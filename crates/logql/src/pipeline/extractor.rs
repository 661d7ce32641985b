//! From an entry to a sample.

use std::borrow::Cow;

use super::row::{DUPLICATE, Hints, Row};
use crate::expr::{Conversion, Grouping, LogQuery, RangeAggregation, RangeOp};
use crate::go::units;
use crate::label_set::LabelSet;
use crate::stage::{Format, Stage};

/// The error of an `unwrap` whose label is not a number.
const SAMPLE_ERROR: &str = "SampleExtractionErr";

/// What a range aggregation takes from an entry: the labels of its series and a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Extractor {
    query: LogQuery,
    hints: Hints,
    groups: Grouping,
    /// The series has no labels.
    single: bool,
    bytes: bool,
    /// The line filters that the query begins with (count).
    leading: usize,
    /// There is nothing behind them, and the labels of the series are some of the entry's.
    plain: bool,
    /// The journal fields that it names ([`FIELD`]): of those that an entry has, it sees these alone.
    fields: Vec<String>,
}

/// How a journal field's name begins in a rule: `__journal__exe` is `_EXE`. Loki knows no such names.
pub const FIELD: &str = "__journal_";

impl Extractor {
    /// The extractor of a range aggregation. `outer`: the grouping of a `sum` right around it, if the sum may be made
    /// here.
    pub fn new(range: &RangeAggregation, outer: Option<&Grouping>) -> Extractor {
        let given = outer.or(range.grouping.as_ref());
        let is_single = |grouping: &Grouping| !grouping.without && grouping.labels.is_empty();
        let single = given.is_some_and(is_single) || range.op == RangeOp::AbsentOverTime;
        let mut groups = given.cloned().unwrap_or(Grouping { without: true, labels: Vec::new() });
        let bytes = matches!(range.op, RangeOp::BytesOverTime | RangeOp::BytesRate);
        let mut query = range.query.clone();
        if !bytes {
            query.drop_idle_formats();
        }
        if let Some(unwrap) = &query.unwrap
            && (groups.without || groups.labels.is_empty())
        {
            groups.without = true;
            groups.labels.push(unwrap.label.clone());
        }
        let hints = match single || !(groups.without || groups.labels.is_empty()) {
            true => {
                let unwrapped = query.unwrap.iter().map(|unwrap| unwrap.label.as_str());
                Hints::of(
                    query.required_labels().chain(groups.labels.iter().map(String::as_str)).chain(unwrapped),
                )
            }
            // All labels make the series.
            false => Hints::default(),
        };
        let leading = query.leading();
        let own = |name: &String| !name.starts_with("__") && !name.ends_with(DUPLICATE);
        let plain = leading == query.stages.len()
            && query.unwrap.is_none()
            && (single || !groups.without && groups.labels.iter().all(own));
        let fields = range.fields().chain(groups.labels.iter().map(String::as_str).filter(is_field));
        let fields = fields.map(str::to_owned).collect();
        Extractor { query, hints, groups, single, bytes, leading, plain, fields }
    }

    /// Whether a stream is chosen.
    pub fn matches(&self, stream: &LabelSet) -> bool {
        self.query.matches(stream)
    }

    /// Whether the query begins with line filters, so that [`Extractor::may_extract`] can say no.
    pub fn filters_lines(&self) -> bool {
        self.leading > 0
    }

    /// Whether a line passes the line filters that the query begins with.
    #[inline]
    pub fn may_extract(&self, line: &str) -> bool {
        self.query.may_show(line)
    }

    /// The labels and the value that an entry of a matching stream gives; `None` if the entry does not pass. If a stage failed, the
    /// labels say so. `time`: when the entry was written (nanoseconds since 1970).
    pub fn extract<'m>(
        &self,
        stream: &LabelSet,
        (time, line): (i64, &str),
        metadata: impl Iterator<Item = (&'m str, &'m str)>,
    ) -> Option<(LabelSet, f64)> {
        // Most entries end here.
        if !self.may_extract(line) {
            return None;
        }
        if self.plain {
            let value = if self.bytes { line.len() as f64 } else { 1.0 };
            return Some((self.plain_labels(stream, metadata), value));
        }
        // A field that another query names must not tell series apart here.
        let seen =
            |(name, _): &(&str, &str)| !is_field(name) || self.fields.iter().any(|field| field == name);
        let mut row = Row::new(stream, time, &self.hints, metadata.filter(seen));
        let stages = self.query.stages.get(self.leading..)?;
        let line = stages.iter().try_fold(Cow::Borrowed(line), |line, stage| stage.run(line, &mut row))?;
        let mut value = if self.bytes { line.len() as f64 } else { 1.0 };
        if let Some(unwrap) = &self.query.unwrap {
            let text = row.get(&unwrap.label).filter(|text| !text.is_empty())?;
            match unwrap.conversion.convert(text) {
                Ok(converted) => value = converted,
                Err(why) => {
                    value = 0.0;
                    row.fail(SAMPLE_ERROR, why);
                }
            }
            if !unwrap.filters.iter().all(|filter| filter.passes(&mut row)) {
                return None;
            }
        }
        let labels = match () {
            () if row.has_failed() => row.labels(),
            () if self.single => LabelSet::default(),
            () => row.grouped(&self.groups),
        };
        Some((labels, value))
    }

    /// The labels of the series where no stage makes any.
    fn plain_labels<'m>(
        &self,
        stream: &LabelSet,
        metadata: impl Iterator<Item = (&'m str, &'m str)>,
    ) -> LabelSet {
        let mut labels = LabelSet::default();
        if self.single {
            return labels;
        }
        let grouped = |name: &str| self.groups.labels.iter().any(|label| label == name);
        for (name, value) in stream.iter().filter(|(name, _)| grouped(name)) {
            labels.insert_whole(name, value);
        }
        // Metadata of a name that the stream has is called otherwise.
        for (name, value) in metadata.filter(|(name, _)| grouped(name) && stream.get(name).is_none()) {
            labels.insert_whole(name, value);
        }
        labels
    }
}

fn is_field(name: &&str) -> bool {
    name.starts_with(FIELD)
}

impl RangeAggregation {
    /// The journal fields that it names ([`FIELD`]).
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        let grouped = self.grouping.iter().flat_map(|grouping| &grouping.labels).map(String::as_str);
        self.query.required_labels().chain(grouped).filter(is_field)
    }
}

impl Conversion {
    fn convert(self, text: &str) -> Result<f64, String> {
        match self {
            Conversion::Number => units::number_or_why(text),
            Conversion::Bytes => units::bytes_or_why(text).map(|bytes| bytes as f64),
            Conversion::Duration | Conversion::DurationSeconds => {
                units::go_duration_or_why(text).map(units::seconds)
            }
        }
    }
}

impl LogQuery {
    /// Drops each `line_format` whose line nothing looks at: no parser or filter of lines stands behind it. It cannot fail then,
    /// and needs no labels (grafana/loki, `pkg/logql/optimize.go`).
    fn drop_idle_formats(&mut self) {
        let looks = |stage: &Stage| match stage {
            Stage::Line(_) | Stage::Json(_) | Stage::Logfmt { .. } | Stage::Regexp(_) => true,
            Stage::Pattern(_) | Stage::Unpack => true,
            Stage::Filter(_) | Stage::Decolorize | Stage::LineFormat(_) => false,
            Stage::LabelFormat(_) | Stage::Drop(_) | Stage::Keep(_) => false,
        };
        let idle = self.stages.iter().rposition(looks).map_or(0, |last| last + 1);
        let mut at = 0..;
        self.stages.retain(|stage| at.next() < Some(idle) || !matches!(stage, Stage::LineFormat(_)));
    }

    /// The labels that its stages name.
    fn required_labels(&self) -> impl Iterator<Item = &str> {
        let mut names = Vec::new();
        for stage in &self.stages {
            match stage {
                Stage::Filter(filter) => filter.names(&mut names),
                Stage::LineFormat(template) => names.extend(template.fields()),
                Stage::LabelFormat(formats) => {
                    for (_, format) in formats {
                        match format {
                            Format::Rename(from) => names.push(from),
                            Format::Template(template) => names.extend(template.fields()),
                        }
                    }
                }
                _ => {}
            }
        }
        if let Some(unwrap) = &self.unwrap {
            unwrap.filters.iter().for_each(|filter| filter.names(&mut names));
        }
        names.into_iter()
    }

    /// Whether a stream is chosen.
    pub fn matches(&self, stream: &LabelSet) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(stream.get(matcher.name()).unwrap_or_default()))
    }
}
