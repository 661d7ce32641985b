//! Pipelines at work: what becomes of the line and the labels of an entry (grafana/loki, `pkg/logql/log`).

mod filter;
mod json;
mod level;
mod row;

use std::borrow::Cow;
use std::sync::Arc;

pub use level::{DETECTED_LEVEL, detected_level, level_name};
pub use row::{DETAILS, ERROR, Hints, PRESERVE, Row};

use self::json::{Json, Step};
use crate::ansi;
use crate::expr::{Conversion, Grouping, LogQuery, RangeAggregation, RangeOp};
use crate::go::logfmt::Pairs;
use crate::go::template::{Template, Value};
use crate::go::units;
use crate::label_set::LabelSet;
use crate::stage::{Format, JsonPath, JsonStep, Named, Stage};

const JSON_ERROR: &str = "JSONParserErr";
const LOGFMT_ERROR: &str = "LogfmtParserErr";
const TEMPLATE_ERROR: &str = "TemplateFormatErr";
const SAMPLE_ERROR: &str = "SampleExtractionErr";
/// The line in what Promtail's `pack` makes.
const PACKED: &str = "_entry";

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
    /// Of a range aggregation. `outer` is the grouping of a `sum` right around it, if that may be done here.
    pub fn new(range: &RangeAggregation, outer: Option<&Grouping>) -> Extractor {
        let given = outer.or(range.grouping.as_ref());
        let is_single = |grouping: &Grouping| !grouping.without && grouping.labels.is_empty();
        let single = given.is_some_and(is_single) || range.op == RangeOp::AbsentOverTime;
        let mut groups = given.cloned().unwrap_or(Grouping { without: true, labels: Vec::new() });
        let query = &range.query;
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
        let bytes = matches!(range.op, RangeOp::BytesOverTime | RangeOp::BytesRate);
        let leading = query.stages.iter().take_while(|stage| matches!(stage, Stage::Line(_))).count();
        let own = |name: &String| !name.starts_with("__") && !name.ends_with(row::DUPLICATE);
        let plain = leading == query.stages.len()
            && query.unwrap.is_none()
            && (single || !groups.without && groups.labels.iter().all(own));
        let fields = range.fields().chain(groups.labels.iter().map(String::as_str).filter(is_field));
        let fields = fields.map(str::to_owned).collect();
        Extractor { query: query.clone(), hints, groups, single, bytes, leading, plain, fields }
    }

    /// Whether a stream is chosen.
    pub fn matches(&self, stream: &LabelSet) -> bool {
        self.query.matches(stream)
    }

    /// What an entry of a stream that matches gives, if it passes. Failures are among the labels.
    pub fn extract<'m>(
        &self,
        stream: &LabelSet,
        line: &str,
        metadata: impl Iterator<Item = (&'m str, &'m str)>,
    ) -> Option<(LabelSet, f64)> {
        // Most entries end here.
        let (filters, stages) = self.query.stages.split_at_checked(self.leading)?;
        if !filters.iter().all(|filter| matches!(filter, Stage::Line(filter) if filter.matches(line))) {
            return None;
        }
        if self.plain {
            let value = if self.bytes { line.len() as f64 } else { 1.0 };
            return Some((self.plain_labels(stream, metadata), value));
        }
        // A field that another query names must not tell series apart here.
        let seen =
            |(name, _): &(&str, &str)| !is_field(name) || self.fields.iter().any(|field| field == name);
        let mut row = Row::new(stream, &self.hints, metadata.filter(seen));
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
            () => self.groups.group(&row.labels()),
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
            labels.insert(name, value.as_bytes());
        }
        // Metadata of a name that the stream has is called otherwise.
        for (name, value) in metadata.filter(|(name, _)| grouped(name) && stream.get(name).is_none()) {
            labels.insert(name, value.as_bytes());
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
            Conversion::Number => units::number(text)
                .ok_or_else(|| format!("strconv.ParseFloat: parsing {text:?}: invalid syntax")),
            Conversion::Bytes => {
                units::bytes(text).map(|bytes| bytes as f64).ok_or_else(|| format!("{text:?} is no size"))
            }
            Conversion::Duration | Conversion::DurationSeconds => units::go_duration(text)
                .map(|nanoseconds| nanoseconds as f64 / 1e9)
                .ok_or_else(|| format!("time: invalid duration {text:?}")),
        }
    }
}

impl LogQuery {
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

impl Stage {
    fn run<'l>(&self, line: Cow<'l, str>, row: &mut Row<'_>) -> Option<Cow<'l, str>> {
        let passes = match self {
            Stage::Line(filter) => filter.matches(&line),
            Stage::Filter(filter) => filter.passes(row),
            Stage::Decolorize => {
                return Some(match ansi::strip(&line) {
                    Cow::Borrowed(_) => line,
                    Cow::Owned(plain) => Cow::Owned(plain),
                });
            }
            Stage::LineFormat(template) => return Some(line_format(template, line, row)),
            Stage::Unpack => return Some(unpack(line, row)),
            Stage::LabelFormat(formats) => {
                label_format(formats, &line, row);
                true
            }
            Stage::Drop(labels) => {
                labels.iter().for_each(|label| drop_label(label, row));
                true
            }
            Stage::Keep(labels) => {
                keep_labels(labels, row);
                true
            }
            _ if row.is_complete() && !matches!(self, Stage::Regexp(_)) => true,
            Stage::Json(paths) if paths.is_empty() => {
                json_all(&line, row);
                true
            }
            Stage::Json(paths) => {
                json_paths(paths, &line, row);
                true
            }
            Stage::Logfmt { strict, keep_empty, fields } if fields.is_empty() => {
                logfmt_all(&line, *strict, *keep_empty, row);
                true
            }
            Stage::Logfmt { strict, fields, .. } => {
                logfmt_fields(fields, &line, *strict, row);
                true
            }
            Stage::Regexp(regex) => {
                if let Some(captures) = regex.captures(&line) {
                    for (index, name) in regex.capture_names().enumerate() {
                        let Some(name) = name else { continue };
                        row.extract(name, || {
                            captures.get(index).map_or("", |group| group.as_str()).to_owned()
                        });
                    }
                }
                true
            }
            Stage::Pattern(pattern) => {
                pattern.captures(&line, |name, value| row.extract(name, || value.to_owned()));
                true
            }
        };
        passes.then_some(line)
    }
}

fn json_all(line: &str, row: &mut Row<'_>) {
    let read = json::flatten(line, &mut |step| match step {
        Step::Into(prefix) => row.wants_below(prefix),
        Step::Value(name, value) => {
            row.extract(name, || json::shown(value));
            !row.has_all()
        }
    });
    if let Err(why) = read {
        row.fail_parser(JSON_ERROR, why);
    }
}

fn json_paths(paths: &[(String, JsonPath)], line: &str, row: &mut Row<'_>) {
    if line.is_empty() {
        return;
    }
    if !line.starts_with(['"', '{', '[']) {
        return row.fail_parser(JSON_ERROR, "");
    }
    for (name, path) in paths {
        let found = path.find(line);
        let name = match found {
            Some(_) => row.free_name(name).into_owned(),
            None if row.get(name).is_some() => continue,
            None => name.clone(),
        };
        row.set(&name, found.map(json::shown).unwrap_or_default());
    }
}

impl JsonPath {
    /// The value at this place. What breaks off has what stands before that.
    fn find<'t>(&self, text: &'t str) -> Option<Json<'t>> {
        let (last, before) = self.steps.split_last()?;
        // Only what is looked into has to be whole.
        let mut at = text;
        for step in before {
            at = match step.of(at)? {
                Json::Object(all) | Json::List(all) => all,
                _ => return None,
            };
        }
        last.of(at)
    }
}

impl JsonStep {
    fn of<'t>(&self, text: &'t str) -> Option<Json<'t>> {
        let mut found = None;
        match self {
            JsonStep::Key(key) => {
                let _ = json::each(text, &mut |name, value| {
                    if name == key.as_str() {
                        found = Some(value);
                    }
                    Ok(found.is_none())
                });
            }
            JsonStep::Index(index) => {
                let mut rest = text.trim_start().strip_prefix('[')?;
                for _ in 0..*index {
                    rest = json::value(rest).ok()?.1.trim_start().strip_prefix(',')?;
                }
                found = json::value(rest).ok().map(|(value, _)| value);
            }
        }
        found
    }
}

fn logfmt_all(line: &str, strict: bool, keep_empty: bool, row: &mut Row<'_>) {
    let mut name = String::new();
    for pair in Pairs::new(line, !strict) {
        let (key, value) = match pair {
            Ok(pair) => pair,
            Err(why) if strict => return row.fail_parser(LOGFMT_ERROR, why.to_string()),
            Err(_) => continue,
        };
        if value.is_empty() && !keep_empty {
            continue;
        }
        name.clear();
        json::push_sanitized(&mut name, key);
        row.extract(&name, || json::printable(&value));
        if row.has_all() {
            return;
        }
    }
}

fn logfmt_fields(fields: &[(String, String)], line: &str, strict: bool, row: &mut Row<'_>) {
    for (name, _) in fields {
        if row.free_name(name) == name.as_str() {
            row.set(name, String::new());
        }
    }
    let mut sanitized = String::new();
    for pair in Pairs::new(line, !strict) {
        let (key, value) = match pair {
            Ok(pair) => pair,
            Err(why) if strict => return row.fail_parser(LOGFMT_ERROR, why.to_string()),
            Err(_) => continue,
        };
        sanitized.clear();
        json::push_sanitized(&mut sanitized, key);
        let wanted = fields.iter().find(|(_, key)| *key == sanitized);
        let wanted = wanted.or_else(|| fields.iter().find(|(name, _)| *name == sanitized));
        let Some((name, _)) = wanted else { continue };
        let name = row.free_name(name).into_owned();
        row.set(
            &name,
            if value.contains(char::REPLACEMENT_CHARACTER) { String::new() } else { value.into_owned() },
        );
        if row.has_all() {
            return;
        }
    }
}

fn unpack<'l>(line: Cow<'l, str>, row: &mut Row<'_>) -> Cow<'l, str> {
    if line.is_empty() || row.is_complete() {
        return line;
    }
    if !line.starts_with('{') {
        row.fail_parser(JSON_ERROR, "expecting json object(6), but it is not");
        return line;
    }
    let (mut entry, mut found) = (None, Vec::new());
    let read = json::each(&line, &mut |key, value| {
        if let Json::Text(inside) = value {
            match &*key == PACKED {
                true => entry = json::unescape(inside).map(Cow::into_owned),
                false => found.push((key.into_owned(), json::shown(value))),
            }
        }
        Ok(true)
    });
    if let Err(why) = read {
        row.fail_parser(JSON_ERROR, why);
        return line;
    }
    let Some(entry) = entry else { return line };
    for (key, value) in found {
        let mut name = String::new();
        json::push_sanitized(&mut name, &key);
        row.extract(&name, || value);
    }
    Cow::Owned(entry)
}

/// The labels as a template sees them.
fn data(row: &Row<'_>) -> Value {
    let labels = row.labels();
    Value::Map(Arc::new(labels.iter().map(|(name, value)| (name.to_owned(), value.into())).collect()))
}

fn line_format<'l>(template: &Template, line: Cow<'l, str>, row: &mut Row<'_>) -> Cow<'l, str> {
    match template.fill(&data(row), &[("__line__", (&*line).into())]) {
        Ok(line) => Cow::Owned(line),
        Err(why) => {
            row.fail(TEMPLATE_ERROR, why.message);
            line
        }
    }
}

fn label_format(formats: &[(String, Format)], line: &str, row: &mut Row<'_>) {
    // As it is before the first template: they do not see each other's work.
    let mut seen: Option<Value> = None;
    for (name, format) in formats {
        match format {
            Format::Rename(from) => {
                if let Some(value) = row.get(from).map(str::to_owned) {
                    row.set(name, value);
                    row.delete(from);
                }
            }
            Format::Template(template) => {
                let seen = seen.get_or_insert_with(|| data(row));
                match template.fill(seen, &[("__line__", line.into())]) {
                    Ok(value) => row.set(name, value),
                    Err(why) => row.fail(TEMPLATE_ERROR, why.message),
                }
            }
        }
    }
}

fn drop_label(label: &Named, row: &mut Row<'_>) {
    let (name, matches) = match label {
        Named::Label(name) => (name.as_str(), true),
        Named::Matching(matcher) => {
            let value = match matcher.name() {
                DETAILS => row.failure().1,
                name => row.text(name),
            };
            (matcher.name(), matcher.matches(value))
        }
    };
    match name {
        _ if !matches => {}
        ERROR => row.forget_error(),
        DETAILS => row.forget_details(),
        name if row.get(name).is_some() => row.delete(name),
        _ => {}
    }
}

fn keep_labels(labels: &[Named], row: &mut Row<'_>) {
    let kept = |name: &str, value: &str| {
        labels.iter().any(|label| match label {
            Named::Label(kept) => kept == name,
            Named::Matching(matcher) => matcher.name() == name && matcher.matches(value),
        })
    };
    for (name, value) in row.labels().iter() {
        if ![ERROR, DETAILS, PRESERVE].contains(&name) && !kept(name, value) {
            row.delete(name);
        }
    }
}
