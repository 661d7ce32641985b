//! The stages of a pipeline.

use std::ops::Range;

use super::{ParseError, Parsed, Parser, Rules};
use crate::ast::{MatchOp, Matcher};
use crate::expr::{Conversion, LogQuery, Unwrap};
use crate::go::re2::Re2;
use crate::go::template::{Template, logql};
use crate::go::units;
use crate::ip::IpRange;
use crate::lexer::{Lexer, Token};
use crate::pattern::Captures;
use crate::stage::{Comparison, Format, JsonPath, LabelFilter, LogfmtKey, Named, Stage};

const STAGES: &str = "a parser (`json`, `logfmt`, `regexp`, `pattern`, `unpack`), `line_format`, `label_format`, \
                      `decolorize`, `drop`, `keep`, `unwrap` or a label filter";
const OPERATORS: &str = "`=`, `!=`, `=~`, `!~`, `>`, `>=`, `<` or `<=`";
/// What is nested here, for messages.
const FILTERS: &str = "label filters";

/// Stages of a query that read or change an entry (count). One of them takes up to ten milliseconds for the longest line; whether the time of
/// a query is over is looked at between entries.
const STAGES_MAX: usize = 256;

/// How tightly words join label filters: a comma, or no word at all.
const LOOSEST: u8 = 0;
/// `or`
const OR: u8 = 1;
/// `and`
const AND: u8 = 2;

impl<'s> Parser<'s> {
    /// Reads the stages that follow, and adds them to a query. `unwrap` is the last stage.
    pub(super) fn pipeline(&mut self, query: &mut LogQuery) -> Parsed {
        loop {
            if query.unwrap.is_none() {
                let filters = self.line_filters()?;
                query.stages.extend(filters.into_iter().map(Stage::Line));
            }
            if !self.at("|") {
                return Ok(());
            }
            let start = self.span.start;
            self.advance()?;
            if self.token == Token::Keyword("unwrap") {
                if query.unwrap.is_some() {
                    return Err(ParseError::new("a second `unwrap`", start..self.span.end));
                }
                self.advance()?;
                query.unwrap = Some(self.unwrap()?);
                continue;
            }
            let filter = matches!(self.token, Token::Identifier(_) | Token::Symbol("("));
            match &mut query.unwrap {
                Some(unwrap) if filter => unwrap.filters.push(self.label_filter(LOOSEST, 0)?),
                Some(_) => {
                    let what = self.unexpected("a label filter or the range behind `unwrap`");
                    return Err(what);
                }
                None if filter => query.stages.push(Stage::Filter(self.label_filter(LOOSEST, 0)?)),
                None => {
                    let working = query
                        .stages
                        .iter()
                        .filter(|stage| !matches!(stage, Stage::Line(_) | Stage::Filter(_)));
                    if working.count() >= STAGES_MAX {
                        let message = format!("more than {STAGES_MAX} stages besides filters");
                        return Err(ParseError::new(message, start..self.span.end));
                    }
                    let start = (self.lexer.clone(), self.token.clone(), self.span.clone());
                    let stage = self.stage();
                    query.stages.push(stage.map_err(|error| self.of_stage(error, start))?);
                }
            }
        }
    }

    /// Reads the `unwrap` that may follow. No stage may.
    pub(super) fn only_unwrap(&mut self, query: &mut LogQuery) -> Parsed {
        let start = (self.lexer.clone(), self.token.clone(), self.span.clone());
        self.pipeline(query)?;
        if !query.stages.is_empty() {
            (self.lexer, self.token, self.span) = start;
            return Err(
                self.unexpected("`)`: stages stand within the brackets of a query, or behind its range")
            );
        }
        Ok(())
    }

    /// An error in a stage that begins there. If the stage can be read without being run, Loki names it in the error (grafana/loki,
    /// `pkg/logqlmodel/error.go`, `NewStageError`).
    fn of_stage(&mut self, error: ParseError, start: (Lexer<'s>, Token, Range<usize>)) -> ParseError {
        (self.lexer, self.token, self.span) = start;
        let rules = std::mem::replace(&mut self.rules, Rules::Form);
        let stage = self.stage().ok().map(|stage| format!("{stage:#}"));
        self.rules = rules;
        ParseError { stage, ..error }
    }

    /// What follows `| unwrap`.
    fn unwrap(&mut self) -> Parsed<Unwrap> {
        let conversion = match self.token {
            Token::Function("bytes") => Some(Conversion::Bytes),
            Token::Function("duration") => Some(Conversion::Duration),
            Token::Function("duration_seconds") => Some(Conversion::DurationSeconds),
            _ => None,
        };
        if conversion.is_some() {
            self.advance()?;
            self.expect("(")?;
        }
        let (label, _) = self.name("the name of a label, or `duration(…)` or `bytes(…)` of one")?;
        if conversion.is_some() {
            self.expect(")")?;
        }
        Ok(Unwrap { label, conversion: conversion.unwrap_or(Conversion::Number), filters: Vec::new() })
    }

    /// Reads a stage other than a filter.
    fn stage(&mut self) -> Parsed<Stage> {
        let Token::Keyword(word) = self.token else {
            return Err(self.unexpected(STAGES));
        };
        let stage = match word {
            "json" | "logfmt" | "regexp" | "pattern" | "unpack" | "line_format" | "label_format"
            | "decolorize" | "drop" | "keep" => word,
            _ => return Err(self.unexpected(STAGES)),
        };
        self.advance()?;
        Ok(match stage {
            "json" => Stage::Json(self.extractions(JsonPath::parse, JsonPath::unread)?),
            "logfmt" => self.logfmt()?,
            "regexp" => {
                let (text, span) = self.text()?;
                Stage::Regexp(self.captures(&text, span)?)
            }
            "pattern" => {
                let (text, span) = self.text()?;
                Stage::Pattern(Captures::parse(&text).map_err(|why| ParseError::new(why, span))?)
            }
            "unpack" => Stage::Unpack,
            "line_format" => Stage::LineFormat(self.template()?),
            "label_format" => self.label_format()?,
            "decolorize" => Stage::Decolorize,
            "drop" => Stage::Drop(self.named()?),
            _ => Stage::Keep(self.named()?),
        })
    }

    fn logfmt(&mut self) -> Parsed<Stage> {
        let (mut strict, mut keep_empty) = (false, false);
        while let Token::Flag(flag) = self.token {
            match flag {
                "--strict" => strict = true,
                _ => keep_empty = true,
            }
            self.advance()?;
        }
        let fields = self.extractions(LogfmtKey::parse, LogfmtKey::unread)?;
        Ok(Stage::Logfmt { strict, keep_empty, fields })
    }

    /// `a, b="c"`, or nothing.
    fn extractions<T>(
        &mut self,
        read: impl Fn(&str) -> Result<T, String>,
        unread: impl Fn(&str) -> T,
    ) -> Parsed<Vec<(String, T)>> {
        let mut extractions = Vec::new();
        while matches!(self.token, Token::Identifier(_)) {
            let (name, place) = self.name("a name")?;
            let source = if self.eat("=")? { Some(self.text()?) } else { None };
            let (source, span) = source.unwrap_or_else(|| (name.clone(), place));
            let what = read(&source).map_err(|why| ParseError::new(why, span));
            extractions.push((name, self.when_run(what, || unread(&source))?));
            if !self.eat(",")? {
                break;
            }
            if !matches!(self.token, Token::Identifier(_)) {
                return Err(self.unexpected("another name"));
            }
        }
        Ok(extractions)
    }

    /// Compiles a regular expression whose named groups become labels.
    fn captures(&mut self, text: &str, span: Range<usize>) -> Parsed<Re2> {
        let regex =
            Re2::new_in(text, &mut self.room).map_err(|error| self.bad_regex(error, text, span.clone()))?;
        let mut names: Vec<&str> = regex.capture_names().flatten().collect();
        if names.is_empty() {
            let expected = "at least one group with a name, as `(?P<name>[a-z]+)`";
            return Err(ParseError::new("the regular expression has no named group", span).expected(expected));
        }
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair.first() == pair.last()) {
            let name = twice.first().copied().unwrap_or_default();
            return Err(ParseError::new(format!("two groups have the name `{name}`"), span));
        }
        Ok(regex)
    }

    fn template(&mut self) -> Parsed<Template> {
        let (text, span) = self.text()?;
        let inside = span.start + 1..span.end - 1;
        let plain = self.source.get(inside.clone()) == Some(text.as_str());
        let read = Template::with_empty(&text, logql::function).map_err(|error| {
            let at = error.at;
            let at = if plain { inside.start + at.start..inside.start + at.end } else { span };
            ParseError::new(error.message, at)
        });
        self.when_run(read, || Template::unread(&text))
    }

    fn label_format(&mut self) -> Parsed<Stage> {
        let mut formats: Vec<(String, Format)> = Vec::new();
        loop {
            let (name, span) = self.name("the name of the label to set")?;
            if name == "__error__" || formats.iter().any(|(known, _)| *known == name) {
                let why = match name.as_str() {
                    "__error__" => "`__error__` cannot be set".to_owned(),
                    _ => format!("`{name}` is set twice in one `label_format`"),
                };
                self.when_run(Err(ParseError::new(why, span)), || ())?;
            }
            self.expect("=")?;
            let format = match &self.token {
                Token::Identifier(from) => {
                    let from = from.clone();
                    self.advance()?;
                    Format::Rename(from)
                }
                Token::Text(_) => Format::Template(self.template()?),
                _ => return Err(self.unexpected("another label, or a template as a string")),
            };
            formats.push((name, format));
            if !self.eat(",")? {
                return Ok(Stage::LabelFormat(formats));
            }
        }
    }

    /// `a, b="c"`
    fn named(&mut self) -> Parsed<Vec<Named>> {
        let mut named = Vec::new();
        loop {
            let (name, _) = self.name("the name of a label")?;
            named.push(match self.match_op() {
                Some(op) => Named::Matching(self.match_value(&name, op)?),
                None => Named::Label(name),
            });
            if !self.eat(",")? {
                return Ok(named);
            }
        }
    }

    /// Label filters joined by words that bind at least so tightly: [`OR`], [`AND`]. As in Loki's grammar, a comma or nothing
    /// between two filters means `and`, and joins all that follows ([`LOOSEST`]).
    fn label_filter(&mut self, tightness: u8, depth: usize) -> Parsed<LabelFilter> {
        self.depth(depth, FILTERS)?;
        let mut left = if self.eat("(")? {
            let inner = self.label_filter(LOOSEST, depth + 1)?;
            self.expect(")")?;
            inner
        } else {
            self.single_filter()?
        };
        loop {
            let (word, binds) = match self.token {
                Token::Keyword("or") => (true, OR),
                Token::Keyword("and") => (true, AND),
                Token::Symbol(",") => (true, LOOSEST),
                Token::Identifier(_) | Token::Symbol("(") => (false, LOOSEST),
                _ => return Ok(left),
            };
            if binds != LOOSEST && binds < tightness {
                return Ok(left);
            }
            if word {
                self.advance()?;
            }
            let next = if binds == LOOSEST { LOOSEST } else { binds + 1 };
            let both = Box::new([left, self.label_filter(next, depth + 1)?]);
            left = if binds == OR { LabelFilter::Or(both) } else { LabelFilter::And(both) };
            self.height(left.height(), FILTERS)?;
        }
    }

    fn single_filter(&mut self) -> Parsed<LabelFilter> {
        let (name, _) = self.name("the name of a label")?;
        let Token::Symbol(symbol) = self.token else {
            return Err(self.unexpected(OPERATORS));
        };
        if let Some(op @ (MatchOp::Regex | MatchOp::NotRegex)) = MatchOp::of(symbol) {
            return Ok(LabelFilter::Text(self.match_value(&name, op)?));
        }
        let Some(comparison) = Comparison::of(symbol) else {
            return Err(self.unexpected(OPERATORS));
        };
        let is = matches!(symbol, "=" | "!=");
        if is && let Some(op) = self.match_op() {
            let mut ahead = self.lexer.clone();
            match ahead.next_token()?.0 {
                Token::Text(_) => return Ok(LabelFilter::Text(self.match_value(&name, op)?)),
                Token::Function("ip") => {
                    self.advance()?;
                    self.advance()?;
                    self.expect("(")?;
                    let (text, span) = self.text()?;
                    self.expect(")")?;
                    let range = IpRange::parse(&text).ok_or_else(|| {
                        ParseError::new("not a valid address, network or range of addresses", span)
                            .expected("one such as `192.168.0.0/16`")
                    });
                    let range = self.when_run(range, IpRange::unread)?;
                    return Ok(LabelFilter::Ip(name, op == MatchOp::Equal, text, range));
                }
                _ => {}
            }
        }
        self.advance()?;
        let filter = match &self.token {
            Token::Duration(value) => LabelFilter::Duration(name, comparison, *value),
            Token::Bytes(value) => LabelFilter::Bytes(name, comparison, *value),
            Token::Number(_) | Token::Symbol("+" | "-") => {
                return Ok(LabelFilter::Number(name, comparison, self.literal()?));
            }
            Token::Text(_) => {
                return Err(self.unexpected(format!("a number, duration or size behind `{symbol}`")));
            }
            _ => return Err(self.unexpected("a string, number, duration or size")),
        };
        self.advance()?;
        Ok(filter)
    }

    /// A number with its sign.
    pub(super) fn literal(&mut self) -> Parsed<f64> {
        let negative = self.at("-");
        if negative || self.at("+") {
            self.advance()?;
        }
        let value = match &self.token {
            Token::Number(text) => units::number(text).ok_or_else(|| {
                // Go's scanner takes 0x1A and 0b1 for numbers, and its reader of fractions does not.
                let decimal = !text.get(1..).is_some_and(|rest| {
                    rest.starts_with(|c: char| c.is_ascii_alphabetic() && c != 'e' && c != 'E')
                });
                let message =
                    if decimal { "this number is out of range" } else { "numbers are decimal here" };
                ParseError::new(message, self.span.clone())
            })?,
            _ => return Err(self.unexpected("a number")),
        };
        self.advance()?;
        Ok(if negative { -value } else { value })
    }

    fn match_op(&self) -> Option<MatchOp> {
        match self.token {
            Token::Symbol(symbol) => MatchOp::of(symbol),
            _ => None,
        }
    }

    /// The operator at hand and the string behind it.
    fn match_value(&mut self, name: &str, op: MatchOp) -> Parsed<Matcher> {
        self.advance()?;
        let (value, span) = self.text()?;
        Matcher::new_in(name, op, &value, &mut self.room).map_err(|error| self.bad_regex(error, &value, span))
    }

    /// A name, and its place.
    pub(super) fn name(&mut self, expected: &str) -> Parsed<(String, Range<usize>)> {
        let Token::Identifier(name) = &self.token else {
            return Err(self.unexpected(expected));
        };
        let name = name.clone();
        let (_, span) = self.advance()?;
        Ok((name, span))
    }
}
