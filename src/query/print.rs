//! Answers for a person, and for other programs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::Time;
use super::answer::{Answer, Line, Series};
use super::response::{self, Data};
use crate::os::text::{self, Block, write_json};
use crate::shape::shown::{self, Clock, Look, Person};
use logql::label_set::LabelSet;

/// In which form an answer is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Lines as the dry run shows them; a table of values.
    Short(Look),
    /// Lines as objects, one a line; of values Loki's response.
    Json,
    /// Only the text of lines; of values as [`Form::Short`].
    Raw,
    /// Comma-separated values (RFC 4180), with names in the first line.
    Csv,
}

/// Blocks of a small chart, the lowest first.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Widest chart of a series (columns).
const CHART_MAX: usize = 60;

/// Shows answers.
pub struct Printer {
    form: Form,
    zone: TimeZone,
    clock: Clock,
    /// The time and the labels of the line that was shown last.
    said: String,
    labels: String,
    /// A chart is shown for each series.
    charts: bool,
    named: bool,
    /// Who reads lines, where that is a person.
    person: Option<Person>,
}

impl Printer {
    /// `charts`: whether whoever reads sees more in a picture than in numbers alone, as on a terminal.
    pub fn new(form: Form, zone: TimeZone, charts: bool) -> Printer {
        let person = match form {
            Form::Short(Look::Person { colours }) => Some(Person::new(zone.clone(), colours)),
            _ => None,
        };
        let clock = Clock::new(zone.clone());
        Printer {
            form,
            zone,
            clock,
            said: String::new(),
            labels: String::new(),
            charts,
            named: false,
            person,
        }
    }

    /// Shows a whole answer to what was asked about this time; lines come in the order in which they are given.
    ///
    /// # Errors
    /// When `out` cannot be written to.
    pub fn show(&mut self, answer: &Answer, asked: Time, out: &mut impl Write) -> io::Result<()> {
        match (answer, self.form) {
            (Answer::Lines(lines), _) => lines.iter().try_for_each(|line| self.line(line, out)),
            (answer, Form::Json) => {
                write_json(&mut *out, &response::success(Data { answer, flags: &[], stats: None }))?;
                writeln!(out)
            }
            (Answer::Scalar(time, value), _) => {
                let series = [Series { labels: Default::default(), points: vec![(*time, *value)] }];
                self.at_once(&series, out)
            }
            (Answer::Vector(time, vector), _) => {
                let one = |sample: &logql::vectors::Sample| Series {
                    labels: sample.labels.clone(),
                    points: vec![(*time, sample.value)],
                };
                self.at_once(&vector.iter().map(one).collect::<Vec<_>>(), out)
            }
            (Answer::Matrix(series), _) => self.over_time(series, asked, out),
        }
    }

    /// Shows a line.
    ///
    /// # Errors
    /// When `out` cannot be written to.
    pub fn line(&mut self, line: &Line, out: &mut impl Write) -> io::Result<()> {
        match self.form {
            Form::Short(_) => {
                let time = Timestamp::from_nanosecond(i128::from(line.time)).unwrap_or_default();
                let labels = own(line);
                let (said, text) = (&mut self.said, &mut self.labels);
                said.clear();
                text.clear();
                // Nothing can be refused here.
                let _ = write!(text, "{labels}");
                match &mut self.person {
                    Some(person) => person.show(out, time, text, |name| labels.get(name), &line.text),
                    None => {
                        self.clock.say(time, said);
                        shown::stable(out, said, text, &line.text)
                    }
                }
            }
            Form::Raw => writeln!(out, "{}", Block { text: &line.text, indent: "" }),
            Form::Json => {
                write_json(&mut *out, &Record::of(line))?;
                writeln!(out)
            }
            Form::Csv => {
                if !std::mem::replace(&mut self.named, true) {
                    out.write_all(b"time,labels,line\r\n")?;
                }
                let labels = line.labels.all().to_string();
                row(out, &[&self.time(line.time, 9), &labels, &line.text])
            }
        }
    }

    /// A table of values at one time.
    fn at_once(&mut self, series: &[Series], out: &mut impl Write) -> io::Result<()> {
        if self.form == Form::Csv {
            return self.csv(series, out);
        }
        let rows: Vec<_> = series
            .iter()
            .filter_map(|series| Some((response::number(series.points.first()?.1), name(&series.labels))))
            .collect();
        let width = rows.iter().map(|(value, _)| value.len()).max().unwrap_or(0);
        rows.iter().try_for_each(|(value, name)| writeln!(out, "{value:>width$}  {}", text::Line(name)))
    }

    /// Each series, with a line for each time.
    fn over_time(&mut self, series: &[Series], asked: Time, out: &mut impl Write) -> io::Result<()> {
        if self.form == Form::Csv {
            return self.csv(series, out);
        }
        for series in series {
            writeln!(out, "{}", text::Line(&name(&series.labels)))?;
            if self.charts {
                writeln!(out, "    {}", chart(&series.points, asked))?;
            }
            let value = |point: &(i64, f64)| response::number(point.1);
            let width = series.points.iter().map(|point| value(point).len()).max().unwrap_or(0);
            for point in &series.points {
                writeln!(out, "    {}  {:>width$}", self.time(point.0, 0), value(point))?;
            }
        }
        Ok(())
    }

    fn csv(&self, series: &[Series], out: &mut impl Write) -> io::Result<()> {
        let mut names: Vec<&str> =
            series.iter().flat_map(|series| series.labels.iter().map(|(name, _)| name)).collect();
        names.sort_unstable();
        names.dedup();
        row(out, &["time"].into_iter().chain(names.iter().copied()).chain(["value"]).collect::<Vec<_>>())?;
        for series in series {
            for (time, value) in &series.points {
                let (time, value) = (self.time(*time, 3), response::number(*value));
                let labels = names.iter().map(|name| series.labels.get(name).unwrap_or_default());
                row(
                    out,
                    &[time.as_str()].into_iter().chain(labels).chain([value.as_str()]).collect::<Vec<_>>(),
                )?;
            }
        }
        Ok(())
    }

    /// A time in the reader's zone, with so many digits behind the second (0, 3 or 9).
    fn time(&self, time: i64, digits: u8) -> String {
        let time = Timestamp::from_nanosecond(i128::from(time)).unwrap_or_default();
        let form = match digits {
            0 => "%Y-%m-%dT%H:%M:%S%:z",
            3 => "%Y-%m-%dT%H:%M:%S%.3f%:z",
            _ => "%Y-%m-%dT%H:%M:%S%.9f%:z",
        };
        time.to_zoned_datetime(self.zone.clone()).strftime(form).to_string()
    }
}

/// The labels that are shown before a line: those of its stream, and what stages have made.
fn own(line: &Line) -> Cow<'_, LabelSet> {
    let mut labels = Cow::Borrowed(&line.labels.stream);
    for (name, value) in line.labels.parsed.iter() {
        labels.to_mut().insert_whole(name, value);
    }
    labels
}

/// The name of a series.
fn name(labels: &LabelSet) -> String {
    labels.to_string()
}

/// One line of the form json; the order of the fields is part of the form.
#[derive(Serialize)]
struct Record<'a> {
    timestamp: String,
    labels: BTreeMap<String, String>,
    metadata: BTreeMap<&'a str, &'a str>,
    line: &'a str,
}

impl Record<'_> {
    fn of(line: &Line) -> Record<'_> {
        let time = Timestamp::from_nanosecond(i128::from(line.time)).unwrap_or_default();
        Record {
            timestamp: time.strftime("%Y-%m-%dT%H:%M:%S%.9fZ").to_string(),
            labels: own(line).iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            metadata: line.labels.metadata.iter().collect(),
            line: &line.text,
        }
    }
}

/// A row of comma-separated values (RFC 4180).
fn row(out: &mut impl Write, values: &[&str]) -> io::Result<()> {
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            out.write_all(b",")?;
        }
        match value.contains(['"', ',', '\n', '\r']) {
            true => write!(out, "\"{}\"", value.replace('"', "\"\""))?,
            false => out.write_all(value.as_bytes())?,
        }
    }
    out.write_all(b"\r\n")
}

/// Values as a row of blocks, from zero or the least to the greatest, and a blank where there is none. A column stands for the
/// same time in all charts of an answer. Of more times than there are columns, the greatest value of each column.
fn chart(points: &[(i64, f64)], asked: Time) -> String {
    let (first, last, step) = match asked {
        // The ends are multiples of the step, as where the answer is made.
        Time::Span { start, end, step } => {
            let (start, end, step) = (start.max(0), end.max(0), step.max(1));
            (start.div_euclid(step).saturating_mul(step), end, step)
        }
        Time::At(time) => (time, time, 1),
    };
    let times = last.saturating_sub(first).saturating_add(step - 1).div_euclid(step).saturating_add(1);
    let each = usize::try_from(times).unwrap_or(usize::MAX).div_ceil(CHART_MAX).max(1);
    let column = |time: i64| {
        usize::try_from(time.saturating_sub(first).div_euclid(step)).map_or(0, |at| at / each).min(CHART_MAX)
    };
    let finite = points.iter().filter(|point| point.1.is_finite());
    let (least, most) = finite
        .clone()
        .fold((0.0_f64, f64::MIN), |(least, most), point| (least.min(point.1), most.max(point.1)));
    let mut columns: Vec<Option<f64>> = Vec::new();
    for (time, value) in finite {
        let at = column(*time);
        columns.resize(columns.len().max(at + 1), None);
        if let Some(greatest) = columns.get_mut(at) {
            *greatest = Some(greatest.map_or(*value, |greatest| greatest.max(*value)));
        }
    }
    let bar = |value: Option<f64>| match value {
        None => ' ',
        Some(_) if most <= least => BARS[0],
        Some(value) => {
            let level = ((value - least) / (most - least) * (BARS.len() - 1) as f64).round() as usize;
            BARS.get(level).copied().unwrap_or(' ')
        }
    };
    columns.into_iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use logql::pipeline::Categories;

    const STABLE: Form = Form::Short(Look::Stable);

    fn set(labels: &[(&str, &str)]) -> LabelSet {
        let mut set = LabelSet::default();
        labels.iter().for_each(|(name, value)| set.insert(name, value.as_bytes()));
        set
    }

    /// From the beginning of 1970 to its fifth minute, one value a minute.
    const MINUTES: Time = Time::Span { start: 0, end: 5 * MINUTE, step: MINUTE };
    const MINUTE: i64 = 60_000_000_000;

    fn shown(form: Form, answer: &Answer) -> String {
        let mut out = Vec::new();
        Printer::new(form, TimeZone::UTC, true).show(answer, MINUTES, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_forge_nothing() {
        let labels = Categories {
            stream: set(&[("unit", "a.service\u{202e}")]),
            metadata: set(&[("pid", "7")]),
            parsed: set(&[("code", "200")]),
        };
        let text = "first, \"x\"\n2026-01-01T00:00:00 {unit=\"sshd.service\"} second\u{1b}[2J".to_owned();
        let lines = Answer::Lines(vec![Line { time: 1_764_000_000_000_001_002, text, labels }]);
        for (form, expected) in [
            (
                STABLE,
                "2025-11-24T16:00:00.000001+00:00 {code=\"200\", unit=\"a.service\\u{202e}\"} first, \"x\"\n        \
                 2026-01-01T00:00:00 {unit=\"sshd.service\"} second\\u{1b}[2J\n",
            ),
            (Form::Raw, "first, \"x\"\n2026-01-01T00:00:00 {unit=\"sshd.service\"} second\\u{1b}[2J\n"),
            (
                Form::Json,
                "{\"timestamp\":\"2025-11-24T16:00:00.000001002Z\",\"labels\":{\"code\":\"200\",\"unit\":\"a.service\\u202e\"},\
                 \"metadata\":{\"pid\":\"7\"},\"line\":\"first, \\\"x\\\"\\n2026-01-01T00:00:00 {unit=\\\"sshd.service\\\"} \
                 second\\u001b[2J\"}\n",
            ),
        ] {
            assert_eq!(shown(form, &lines), expected);
        }
    }

    fn series(unit: &str, points: &[(i64, f64)]) -> Series {
        Series {
            labels: Arc::new(set(&[("unit", unit)])),
            points: points.iter().map(|(time, value)| (time * 1_000_000_000, *value)).collect(),
        }
    }

    #[test]
    fn values_are_tables_charts_and_rows() {
        let sample =
            |unit: &str, value| logql::vectors::Sample { labels: Arc::new(set(&[("unit", unit)])), value };
        let at_once = Answer::Vector(MINUTE, vec![sample("a", 1.5), sample("b,\"", f64::NAN)]);
        assert_eq!(shown(STABLE, &at_once), "1.5  {unit=\"a\"}\nNaN  {unit=\"b,\\\"\"}\n");
        assert_eq!(
            shown(Form::Csv, &at_once),
            "time,unit,value\r\n1970-01-01T00:01:00.000+00:00,a,1.5\r\n1970-01-01T00:01:00.000+00:00,\"b,\"\"\",NaN\r\n"
        );
        let many = Answer::Matrix(vec![series("a", &[(60, 0.0), (120, 10.0), (180, 5.0)])]);
        assert_eq!(
            shown(STABLE, &many),
            "{unit=\"a\"}\n     ▁█▅\n    1970-01-01T00:01:00+00:00   0\n    1970-01-01T00:02:00+00:00  10\n    \
             1970-01-01T00:03:00+00:00   5\n"
        );
        assert_eq!(
            shown(Form::Json, &many),
            "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[{\"metric\":{\"unit\":\"a\"},\
             \"values\":[[60,\"0\"],[120,\"10\"],[180,\"5\"]]}]}}\n"
        );
    }

    /// A value without its time says nothing of what was over time, however few values there are.
    #[test]
    fn one_value_over_time_has_its_time() {
        let one = Answer::Matrix(vec![series("a", &[(60, 1.0)]), series("b", &[(240, 2.0)])]);
        assert_eq!(
            shown(STABLE, &one),
            "{unit=\"a\"}\n     █\n    1970-01-01T00:01:00+00:00  1\n{unit=\"b\"}\n        █\n    \
             1970-01-01T00:04:00+00:00  2\n"
        );
    }

    #[test]
    fn columns_of_a_chart_stand_for_the_same_times() {
        let points = |times: &[i64]| times.iter().map(|time| (time * MINUTE, 1.0)).collect::<Vec<_>>();
        for (times, end, expected) in [
            (&[0, 1, 5][..], 5, "██   █"),
            (&[3], 5, "   █"),
            // Two times a column.
            (&[2, 119], 119, " █                                                         █"),
            (&[], 5, ""),
        ] {
            // The first time is the multiple of the step before the start.
            let asked = Time::Span { start: 1, end: end * MINUTE, step: MINUTE };
            assert_eq!(chart(&points(times), asked), expected, "{times:?}");
        }
        let levels: Vec<_> = (0..3).map(|at| (at * MINUTE, [0.0, f64::NAN, 8.0][at as usize])).collect();
        assert_eq!(chart(&levels, MINUTES), "▁ █");
        assert_eq!(chart(&[(0, f64::NAN), (MINUTE, -1.0)], MINUTES), " ▁");
    }
}
