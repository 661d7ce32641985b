//! The stages of a pipeline, between the selector and the range of a query (grafana/loki, `pkg/logql/syntax/ast.go` and
//! `pkg/logql/log`).

use std::fmt::{self, Display};

use crate::ast::Matcher;
use crate::filter::LineFilter;
use crate::go::quote::Quoted;
use crate::go::re2::Re2;
use crate::go::template::Template;
use crate::go::units;
use crate::ip::IpRange;
use crate::pattern::Captures;
use crate::written::{Duration, Humanized, Number};

/// One stage of a pipeline.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// `|= "text"`
    Line(LineFilter),
    /// `| level="error" and code >= 500`
    Filter(LabelFilter),
    /// `| json`. The names and paths of the values to extract; empty: all values.
    Json(Vec<(String, JsonPath)>),
    /// `| logfmt`, or with what it is to extract: names and keys.
    Logfmt {
        /// `--strict`: the first mistake is an error and ends the reading.
        strict: bool,
        /// `--keep-empty`: keys without a value count.
        keep_empty: bool,
        /// The names and keys of the values to extract; empty: all values.
        fields: Vec<(String, LogfmtKey)>,
    },
    /// `` | regexp `(?P<name>re)` ``
    Regexp(Re2),
    /// `| pattern "<ip> <_>"`
    Pattern(Captures),
    /// `| unpack`
    Unpack,
    /// `| line_format "{{.name}}"`
    LineFormat(Template),
    /// `| label_format a=b, c="{{.d}}"`
    LabelFormat(Vec<(String, Format)>),
    /// `| decolorize`
    Decolorize,
    /// `| drop a, b="c"`
    Drop(Vec<Named>),
    /// `| keep a, b="c"`
    Keep(Vec<Named>),
}

/// The new value of a label.
#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    /// The value of another label, which is removed.
    Rename(String),
    /// The text that a template makes.
    Template(Template),
}

/// A label by its name, or only if a value matches.
#[derive(Debug, Clone, PartialEq)]
pub enum Named {
    /// Whatever its value is.
    Label(String),
    /// If it has such a value.
    Matching(Matcher),
}

/// A place in a JSON document (`pkg/logql/log/jsonexpr`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath {
    /// As it is written.
    pub source: String,
    /// Keys, and indices of lists.
    pub steps: Vec<JsonStep>,
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JsonStep {
    /// Of an object.
    Key(String),
    /// Of a list.
    Index(usize),
}

/// A key of logfmt (`pkg/logql/log/logfmt`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogfmtKey {
    /// As it is written.
    pub source: String,
    /// The key.
    pub key: String,
}

/// A filter of labels.
#[derive(Debug, Clone, PartialEq)]
pub enum LabelFilter {
    /// `unit=~"a.*"`
    Text(Matcher),
    /// `code >= 500`
    Number(String, Comparison, f64),
    /// `took > 5s` (nanoseconds)
    Duration(String, Comparison, i64),
    /// `size > 5MB`
    Bytes(String, Comparison, u64),
    /// `addr = ip("10.0.0.0/8")`: the label, whether the operator is `=`, the text, and the addresses that it means.
    Ip(String, bool, String, IpRange),
    /// Both filters pass.
    And(Box<[LabelFilter; 2]>),
    /// One of the filters passes.
    Or(Box<[LabelFilter; 2]>),
}

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // as their names say
pub enum Comparison {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Comparison {
    const ALL: [(Comparison, &'static str); 6] = [
        (Comparison::Equal, "="),
        (Comparison::NotEqual, "!="),
        (Comparison::Greater, ">"),
        (Comparison::GreaterOrEqual, ">="),
        (Comparison::Less, "<"),
        (Comparison::LessOrEqual, "<="),
    ];

    pub(crate) fn of(symbol: &str) -> Option<Comparison> {
        let symbol = if symbol == "==" { "=" } else { symbol };
        Comparison::ALL.iter().find(|(_, known)| *known == symbol).map(|(comparison, _)| *comparison)
    }

    fn symbol(self) -> &'static str {
        Comparison::ALL.iter().find(|(known, _)| *known == self).map_or("", |(_, symbol)| symbol)
    }

    /// As Loki writes it in `String`.
    fn of_loki(self) -> &'static str {
        if self == Comparison::Equal { "==" } else { self.symbol() }
    }

    /// Whether it holds between two values. With NaN only `!=` holds.
    pub(crate) fn holds<T: PartialOrd>(self, left: &T, right: &T) -> bool {
        match self {
            Comparison::Equal => left == right,
            Comparison::NotEqual => left != right,
            Comparison::Greater => left > right,
            Comparison::GreaterOrEqual => left >= right,
            Comparison::Less => left < right,
            Comparison::LessOrEqual => left <= right,
        }
    }
}

/// With `{:#}`, as Loki's `String` does (grafana/loki, `pkg/logql/syntax/ast.go`).
impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stage::Line(filter) => write!(f, "{filter}"),
            Stage::Filter(filter) => {
                f.write_str("| ")?;
                filter.fmt(f)
            }
            Stage::Json(fields) => {
                f.write_str("| json")?;
                listed(f, fields, |f, (name, path)| write!(f, "{name}={}", Quoted(&path.source)))
            }
            Stage::Logfmt { strict, keep_empty, fields } => {
                f.write_str("| logfmt")?;
                let mut flags = [(*keep_empty, " --keep-empty"), (*strict, " --strict")];
                if f.alternate() {
                    flags.reverse();
                }
                flags.iter().filter(|(is, _)| *is).try_for_each(|(_, flag)| f.write_str(flag))?;
                listed(f, fields, |f, (name, key)| write!(f, "{name}={}", Quoted(&key.source)))
            }
            Stage::Regexp(regex) => write!(f, "| regexp {}", Quoted(regex.source())),
            Stage::Pattern(pattern) => write!(f, "| pattern {}", Quoted(pattern.source())),
            Stage::Unpack => f.write_str("| unpack"),
            Stage::LineFormat(template) => write!(f, "| line_format {}", Quoted(template.source())),
            Stage::LabelFormat(formats) => {
                f.write_str("| label_format")?;
                listed(f, formats, |f, (name, format)| match format {
                    Format::Rename(from) => write!(f, "{name}={from}"),
                    Format::Template(template) => write!(f, "{name}={}", Quoted(template.source())),
                })
            }
            Stage::Decolorize => f.write_str("| decolorize"),
            Stage::Drop(labels) | Stage::Keep(labels) => {
                f.write_str(if matches!(self, Stage::Drop(_)) { "| drop" } else { "| keep" })?;
                listed(f, labels, |f, label| match label {
                    Named::Label(name) => f.write_str(name),
                    Named::Matching(matcher) => matcher.fmt(f),
                })
            }
        }
    }
}

/// ` a,b`
fn listed<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    write: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        f.write_str(if index == 0 { " " } else { "," })?;
        write(f, item)?;
    }
    Ok(())
}

impl LabelFilter {
    /// How deep filters are nested (count).
    pub(crate) fn height(&self) -> usize {
        match self {
            LabelFilter::And(both) | LabelFilter::Or(both) => {
                1 + both.iter().map(LabelFilter::height).max().unwrap_or(0)
            }
            _ => 1,
        }
    }
}

/// `( a=1 , b=2 )`
fn joined(f: &mut fmt::Formatter<'_>, [left, right]: &[LabelFilter; 2], word: &str) -> fmt::Result {
    f.write_str("( ")?;
    left.fmt(f)?;
    write!(f, " {word} ")?;
    right.fmt(f)?;
    f.write_str(" )")
}

/// With `{:#}`, as Loki's `String` does (grafana/loki, `pkg/logql/log/label_filter.go`).
impl fmt::Display for LabelFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LabelFilter::Text(matcher) => match matcher.backquoted().filter(|_| f.alternate()) {
                Some(text) => f.write_str(&text),
                None => matcher.fmt(f),
            },
            LabelFilter::Number(name, op, value) if f.alternate() => {
                write!(f, "{name}{}{value}", op.of_loki())
            }
            LabelFilter::Duration(name, op, value) if f.alternate() => {
                write!(f, "{name}{}{}", op.of_loki(), units::format_go_duration(*value))
            }
            LabelFilter::Bytes(name, op, value) if f.alternate() => {
                write!(f, "{name}{}{}", op.of_loki(), Humanized(*value))
            }
            LabelFilter::Number(name, op, value) => write!(f, "{name}{}{}", op.symbol(), Number(*value)),
            LabelFilter::Duration(name, op, value) => write!(f, "{name}{}{}", op.symbol(), Duration(*value)),
            LabelFilter::Bytes(name, op, value) => write!(f, "{name}{}{value}B", op.symbol()),
            LabelFilter::Ip(name, is, text, _) => {
                write!(f, "{name}{}ip({})", if *is { "=" } else { "!=" }, Quoted(text))
            }
            LabelFilter::And(both) => joined(f, both, ","),
            LabelFilter::Or(both) => joined(f, both, "or"),
        }
    }
}
