//! From the tokens of LogQL to selectors and queries (grafana/loki, `pkg/logql/syntax/syntax.y`).

mod extract;
mod lines;
mod metric;
mod pipeline;

use std::ops::Range;
use std::str::FromStr;

use crate::ast::{MatchOp, Matcher, Selector};
use crate::error::ParseError;
use crate::expr::{Expr, LogQuery};
use crate::go::re2::{Re2Error, Room};
use crate::lexer::{Lexer, Token};
use crate::query::Query;

/// Longest text (bytes), as in Loki (`pkg/logql/syntax/parser.go`, `maxInputSize`).
const TEXT_MAX: usize = 128 << 10;

/// Height of the highest tree of queries, or of label filters (count). Trees are walked by recursion, and `a + b + c …` makes
/// a tree that is deep on the left.
const HEIGHT_MAX: usize = 64;
/// Brackets and operands inside each other in the text that make one level of a tree (count): a printed `(a ^ (b ^ c))`
/// has two.
const LEVEL: usize = 2;
/// How deep brackets and operands may be nested (count).
const DEPTH_MAX: usize = LEVEL * (HEIGHT_MAX + 1);

/// What the regular expressions of one query may take when they are compiled, and as much again while they search (bytes). A query
/// that people write has ten, which take a twelfth.
const EXPRESSIONS_MAX: usize = 16 << 20;

/// What a selector may hold, for messages.
const SUPPORTED: &str = "only label matchers and line filters, as `{unit=\"sshd.service\"} |= \"text\"`";

const FILTERS: &str = "a line filter (`|=`, `!=`, `|~`, `!~`, `|>`, `!>`) or the end";

/// How strict to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rules {
    /// As Loki reads queries.
    Loki,
    /// No matcher is needed, and a label may have any name.
    Any,
    /// As Loki reads queries that it does not run: what only running them shows is not looked at.
    Form,
}

impl Selector {
    /// Reads a selector as Loki does: at least one matcher must ask for a label that is not empty, and labels
    /// that are called like words of the language cannot be written.
    ///
    /// # Errors
    /// The first mistake; also if the text is LogQL but not a selector.
    pub fn parse(text: &str) -> Result<Selector, ParseError> {
        begin(text, Rules::Loki)?.selector()
    }

    /// Reads a selector that may choose all streams, and name any label, as the stage `match` of Promtail
    /// (`clients/pkg/logentry/logql`); `{}` too, which Promtail does not take.
    ///
    /// # Errors
    /// As [`Selector::parse`].
    pub fn parse_any(text: &str) -> Result<Selector, ParseError> {
        begin(text, Rules::Any)?.selector()
    }
}

impl FromStr for Selector {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Selector, ParseError> {
        Selector::parse(text)
    }
}

impl Expr {
    /// Reads a metric query as Loki does.
    ///
    /// # Errors
    /// The first mistake; also if the text is LogQL but not a metric query.
    pub fn parse(text: &str) -> Result<Expr, ParseError> {
        begin(text, Rules::Loki)?.metric()
    }
}

impl Query {
    /// Reads a query as Loki does: for lines or for values.
    ///
    /// # Errors
    /// The first mistake.
    pub fn parse(text: &str) -> Result<Query, ParseError> {
        Query::read(text, Rules::Loki)
    }

    /// Reads a query to write it again, as Loki does: what it finds when it runs a query may be wrong, such as regular expressions of
    /// line filters, templates, paths and addresses. Such a query is for [`Query::pretty`] alone.
    ///
    /// # Errors
    /// The first mistake that is left.
    pub fn parse_form(text: &str) -> Result<Query, ParseError> {
        Query::read(text, Rules::Form)
    }

    fn read(text: &str, rules: Rules) -> Result<Query, ParseError> {
        let mut parser = begin(text, rules)?;
        // Both may stand in brackets.
        let mut ahead = parser.lexer.clone();
        let mut token = parser.token.clone();
        while token == Token::Symbol("(") {
            token = ahead.next_token()?.0;
        }
        match token {
            Token::Symbol("{") => Ok(Query::Logs(parser.logs()?)),
            _ => Ok(Query::Metric(parser.metric()?)),
        }
    }
}

impl FromStr for Query {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Query, ParseError> {
        Query::parse(text)
    }
}

impl FromStr for Expr {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Expr, ParseError> {
        Expr::parse(text)
    }
}

/// What Loki says of a selector that would choose a stream without any label (`pkg/logql/syntax/parser.go`).
const UNBOUNDED: &str = "queries require at least one regexp or equality matcher that does not have an empty-compatible value. \
                         For instance, app=~\".*\" does not meet this requirement, but app=~\".+\" will";

fn begin(text: &str, rules: Rules) -> Result<Parser<'_>, ParseError> {
    if text.len() >= TEXT_MAX {
        let message = format!("this is too long: Loki takes less than {} KiB", TEXT_MAX >> 10);
        let words = format!("input size too long ({} > {TEXT_MAX})", text.len());
        return Err(ParseError::new(message, 0..text.len()).placeless(words));
    }
    let mut parser = Parser {
        source: text,
        lexer: Lexer::new(text),
        token: Token::End,
        span: 0..0,
        rules,
        room: Room::new(EXPRESSIONS_MAX),
    };
    parser.advance()?;
    Ok(parser)
}

struct Parser<'s> {
    source: &'s str,
    lexer: Lexer<'s>,
    /// The token at hand.
    token: Token,
    span: Range<usize>,
    rules: Rules,
    room: Room,
}

type Parsed<T = ()> = Result<T, ParseError>;

impl Parser<'_> {
    fn advance(&mut self) -> Parsed<(Token, Range<usize>)> {
        let (token, span) = self.lexer.next_token()?;
        Ok((std::mem::replace(&mut self.token, token), std::mem::replace(&mut self.span, span)))
    }

    fn at(&self, symbol: &str) -> bool {
        matches!(self.token, Token::Symbol(found) if found == symbol)
    }

    /// Passes a symbol if it is at hand.
    fn eat(&mut self, symbol: &str) -> Parsed<bool> {
        let found = self.at(symbol);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expect(&mut self, symbol: &str) -> Parsed {
        self.expect_one_of(symbol, format!("`{symbol}`"))
    }

    /// Passes a symbol. If something else is at hand, `expected` names all that may be. What is wrong behind the symbol keeps its
    /// own words.
    fn expect_one_of(&mut self, symbol: &str, expected: impl Into<String>) -> Parsed {
        if self.eat(symbol)? { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    /// Refuses a tree that is too high. `what` names its nodes.
    fn height(&self, height: usize, what: &str) -> Parsed {
        match height > HEIGHT_MAX {
            true => Err(ParseError::new(
                format!("more than {HEIGHT_MAX} {what} nested or joined in a row"),
                self.span.clone(),
            )),
            false => Ok(()),
        }
    }

    /// Refuses brackets that are too deep.
    fn depth(&self, depth: usize, what: &str) -> Parsed {
        self.height(if depth > DEPTH_MAX { depth } else { 0 }, what)
    }

    /// What Loki finds when it runs a query. If it is only written again, `unread` takes the place of what is wrong.
    fn when_run<T>(&self, read: Parsed<T>, unread: impl FnOnce() -> T) -> Parsed<T> {
        match (read, self.rules) {
            (Err(_), Rules::Form) => Ok(unread()),
            (read, _) => read,
        }
    }

    /// The error for a token at hand that is not the `expected` one.
    fn unexpected(&self, expected: impl Into<String>) -> ParseError {
        let found = match self.token {
            Token::End => "end".to_owned(),
            _ => format!("`{}`", self.shown()),
        };
        ParseError::new(format!("unexpected {found}"), self.span.clone()).expected(expected)
    }

    /// The token at hand as it is written, shortened if it is long.
    fn shown(&self) -> String {
        const SHOWN_MAX: usize = 40;
        let written = self.source.get(self.span.clone()).unwrap_or_default();
        if written.chars().count() <= SHOWN_MAX {
            return written.to_owned();
        }
        let beginning: String = written.chars().take(SHOWN_MAX).collect();
        format!("{beginning}…")
    }

    fn unsupported(&self, what: String, span: Range<usize>) -> ParseError {
        ParseError::new(format!("{what} is not supported here"), span).expected(SUPPORTED)
    }

    /// The whole text.
    fn selector(&mut self) -> Parsed<Selector> {
        let mut brackets = 0_usize;
        while self.eat("(")? {
            brackets += 1;
        }
        match &self.token {
            Token::Function(name) => {
                return Err(self.unsupported(format!("`{name}`, a metric query,"), self.span.clone()));
            }
            Token::Number(_) => return Err(self.unsupported("a number".to_owned(), self.span.clone())),
            _ => {}
        }
        let matchers = self.stream_selector()?;
        let filters = self.filters()?;
        for _ in 0..brackets {
            self.not_a_range()?;
            self.expect(")")?;
        }
        self.not_a_range()?;
        match self.token {
            Token::End => Ok(Selector { matchers, filters }),
            _ if brackets > 0 => Err(self.unexpected("the end")),
            _ => Err(self.unexpected(FILTERS)),
        }
    }

    /// The whole text: a log query.
    fn logs(&mut self) -> Parsed<LogQuery> {
        let mut brackets = 0_usize;
        while self.eat("(")? {
            brackets += 1;
        }
        let mut query = LogQuery { matchers: self.stream_selector()?, stages: Vec::new(), unwrap: None };
        let start = self.span.start;
        self.pipeline(&mut query)?;
        if query.unwrap.is_some() {
            let message = "`unwrap` makes values of lines, which only a metric query has";
            let expected = "a range and a function around it, as `sum_over_time({…} | unwrap x [5m])`";
            return Err(ParseError::new(message, start..self.span.start).expected(expected));
        }
        for _ in 0..brackets {
            self.expect(")")?;
        }
        match self.token {
            Token::End => Ok(query),
            Token::Range(_) => {
                let message = format!("the range `{}` is for metric queries", self.shown());
                Err(ParseError::new(message, self.span.clone())
                    .expected("a function around it, as `count_over_time({…}[5m])`"))
            }
            _ if brackets > 0 => Err(self.unexpected("the end: stages stand within the brackets")),
            _ => Err(self.unexpected("`|`, a line filter or the end")),
        }
    }

    /// `{unit="a"}`
    fn stream_selector(&mut self) -> Parsed<Vec<Matcher>> {
        let start = self.span.start;
        self.expect_one_of("{", "a selector, as `{unit=\"sshd.service\"}`")?;
        let matchers = self.matchers()?;
        let end = self.span.end;
        self.expect_one_of("}", "`,` or `}`")?;
        let selector = Selector { matchers, filters: Vec::new() };
        if self.rules != Rules::Any && !selector.is_bounded() {
            let expected =
                "at least one matcher that does, as `app=~\".+\"`, but not `app=~\".*\"` or `app!=\"x\"`";
            return Err(ParseError::new("no matcher here asks for a label that is not empty", start..end)
                .expected(expected)
                .placeless(UNBOUNDED));
        }
        Ok(selector.matchers)
    }

    fn not_a_range(&self) -> Parsed {
        match self.token {
            Token::Range(_) => Err(self
                .unsupported(format!("`{}`, a range of a metric query,", self.shown()), self.span.clone())),
            _ => Ok(()),
        }
    }

    /// What stands between the braces.
    fn matchers(&mut self) -> Parsed<Vec<Matcher>> {
        let mut matchers = Vec::new();
        if self.at("}") {
            return Ok(matchers);
        }
        loop {
            matchers.push(self.matcher()?);
            if !self.eat(",")? {
                return Ok(matchers);
            }
        }
    }

    fn matcher(&mut self) -> Parsed<Matcher> {
        let name = match &self.token {
            Token::Identifier(name) => name.clone(),
            Token::Keyword(_) | Token::Function(_) if self.rules == Rules::Any => {
                self.source.get(self.span.clone()).unwrap_or_default().to_owned()
            }
            Token::Keyword(word) => {
                let message =
                    format!("`{word}` is a word of LogQL, and Loki does not take it as the name of a label");
                return Err(ParseError::new(message, self.span.clone()).expected("another name"));
            }
            _ => return Err(self.unexpected("the name of a label")),
        };
        self.advance()?;
        let op = match self.token {
            Token::Symbol(symbol) => MatchOp::of(symbol),
            _ => None,
        };
        let Some(op) = op else {
            return Err(self.unexpected("`=`, `!=`, `=~` or `!~`"));
        };
        self.advance()?;
        let (value, span) = self.text()?;
        Matcher::new_in(&name, op, &value, &mut self.room)
            .map_err(|error| self.bad_regex(error, &value, span))
    }

    /// A string, and its place.
    fn text(&mut self) -> Parsed<(String, Range<usize>)> {
        match self.token {
            Token::Text(_) => {}
            Token::Identifier(_) | Token::Number(_) | Token::Keyword(_) => {
                return Err(self.unexpected(format!("a string: `\"{}\"`", self.shown())));
            }
            _ => return Err(self.unexpected("a string in double quotes or backquotes")),
        }
        match self.advance()? {
            (Token::Text(text), span) => Ok((text, span)),
            (_, span) => Err(ParseError::new("not a string", span)),
        }
    }

    /// A mistake in a regular expression, in the string where it is written; at the whole string if there are
    /// escapes in it.
    fn bad_regex(&self, error: Re2Error, value: &str, string: Range<usize>) -> ParseError {
        let inside = string.start + 1..string.end - 1;
        let plain = self.source.get(inside.clone()) == Some(value);
        let span = match error.at {
            Some(at) if plain => inside.start + at.start..inside.start + at.end,
            _ => string,
        };
        ParseError::new(format!("not a regular expression: {}", error.message), span)
    }
}

#[cfg(test)]
mod tests;
