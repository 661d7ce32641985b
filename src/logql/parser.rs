//! From tokens to a selector.

use memchr::memmem::Finder;

use super::ParseError;
use super::lexer::{Kind, Token, tokens};
use super::selector::{LineFilter, LineOp, LineValue, MatchOp, Matcher, Search, Selector};
use crate::re2::{Re2, Re2Error};

/// Longest selector (bytes): far more than a person writes.
const TEXT_MAX: usize = 64 << 10;
/// What is understood where a selector is wanted.
const SUPPORTED: &str =
    "label matchers and line filters, as in `{unit=\"nginx.service\"} |= \"GET\" !~ \"5..\"`";

pub(super) fn selector(text: &str) -> Result<Selector, ParseError> {
    if text.len() > TEXT_MAX {
        return Err(ParseError::new(0..text.len(), format!("the selector is longer than {TEXT_MAX} bytes")));
    }
    let mut parser = Parser { text, tokens: tokens(text)?, at: 0 };
    let selector = parser.selector()?;
    parser.end()?;
    Ok(selector)
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    at: usize,
}

impl Parser<'_> {
    /// The next token; the end again and again.
    fn peek(&self) -> Token {
        let end = Token { kind: Kind::End, span: self.text.len()..self.text.len() };
        self.tokens.get(self.at).cloned().unwrap_or(end)
    }

    fn next(&mut self) -> Token {
        let token = self.peek();
        self.at += 1;
        token
    }

    /// Takes the next token if it is this sign.
    fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek().kind, Kind::Sign(found) if found == sign);
        self.at += usize::from(found);
        found
    }

    fn unexpected(&self, token: &Token, expected: &str) -> ParseError {
        let written = self.text.get(token.span.clone()).unwrap_or_default();
        let what = match token.kind {
            Kind::End => "the selector ends here".to_owned(),
            _ => format!("`{written}` does not belong here"),
        };
        ParseError::new(token.span.clone(), what).expected(format!("expected {expected}"))
    }

    fn unsupported(&self, token: &Token) -> ParseError {
        let written = self.text.get(token.span.clone()).unwrap_or_default();
        ParseError::new(token.span.clone(), format!("`{written}` is not supported here"))
            .expected(format!("only {SUPPORTED}"))
    }

    fn selector(&mut self) -> Result<Selector, ParseError> {
        let open = self.next();
        if open.kind != Kind::Sign("{") {
            let call = matches!(open.kind, Kind::Name(_))
                && matches!(self.peek().kind, Kind::Sign("(") | Kind::Name(_));
            return Err(match call {
                true => self.unsupported(&open),
                false => self.unexpected(&open, "a selector in braces"),
            });
        }
        let mut matchers = Vec::new();
        while !self.sign("}") {
            matchers.push(self.matcher()?);
            if !self.sign(",") && self.peek().kind != Kind::Sign("}") {
                return Err(self.unexpected(&self.peek(), "`,` or `}`"));
            }
        }
        if matchers.is_empty() {
            let end = self.tokens.get(self.at - 1).map_or(open.span.end, |close| close.span.end);
            return Err(ParseError::new(open.span.start..end, "there is no label matcher")
                .expected("expected at least one, as in `{unit=~\".+\"}`"));
        }
        let mut filters = Vec::new();
        while let Some(op) = self.line_op() {
            filters.push(self.filter(op)?);
        }
        Ok(Selector { matchers, filters })
    }

    fn matcher(&mut self) -> Result<Matcher, ParseError> {
        let name = self.next();
        let Kind::Name(label) = name.kind else {
            return Err(self.unexpected(&name, "the name of a label"));
        };
        let sign = self.next();
        let op = match sign.kind {
            Kind::Sign("=") => MatchOp::Equal,
            Kind::Sign("!=") => MatchOp::NotEqual,
            Kind::Sign("=~") => MatchOp::Regex,
            Kind::Sign("!~") => MatchOp::NotRegex,
            _ => return Err(self.unexpected(&sign, "`=`, `!=`, `=~` or `!~`")),
        };
        let token = self.next();
        let Kind::Text(value) = &token.kind else {
            return Err(self.unexpected(&token, "a value in quotes"));
        };
        let regex = match op {
            MatchOp::Regex | MatchOp::NotRegex => Some(self.regex(&token, value, Re2::whole)?),
            MatchOp::Equal | MatchOp::NotEqual => None,
        };
        Ok(Matcher { name: label, op, value: value.clone(), regex })
    }

    fn line_op(&mut self) -> Option<LineOp> {
        let op = match self.peek().kind {
            Kind::Sign("|=") => LineOp::Contains,
            Kind::Sign("!=") => LineOp::ContainsNot,
            Kind::Sign("|~") => LineOp::Matches,
            Kind::Sign("!~") => LineOp::MatchesNot,
            _ => return None,
        };
        self.at += 1;
        Some(op)
    }

    fn filter(&mut self, op: LineOp) -> Result<LineFilter, ParseError> {
        let mut values = vec![self.line_value(op)?];
        while matches!(&self.peek().kind, Kind::Name(name) if name.eq_ignore_ascii_case("or")) {
            self.at += 1;
            values.push(self.line_value(op)?);
        }
        Ok(LineFilter { op, values })
    }

    fn line_value(&mut self, op: LineOp) -> Result<LineValue, ParseError> {
        let token = self.next();
        let Kind::Text(text) = &token.kind else {
            return Err(match &token.kind {
                Kind::Name(name) if name == "ip" => self.unsupported(&token),
                _ => self.unexpected(&token, "a text in quotes"),
            });
        };
        let search = match op {
            LineOp::Contains | LineOp::ContainsNot => literal(text),
            LineOp::Matches | LineOp::MatchesNot => {
                let regex = self.regex(&token, text, Re2::new)?;
                // Most expressions in filters are plain words, which are found faster as such.
                let plain =
                    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || " _-/:=,".contains(c));
                if plain { literal(text) } else { Search::Regex(regex) }
            }
        };
        Ok(LineValue { text: text.clone(), search })
    }

    fn regex(
        &self,
        token: &Token,
        text: &str,
        compile: impl Fn(&str) -> Result<Re2, Re2Error>,
    ) -> Result<Re2, ParseError> {
        compile(text).map_err(|error| {
            // Inside the quotes places are the same only where no escape stands.
            let inner = token.span.start + 1..token.span.end.saturating_sub(1);
            let same = self.text.get(inner.clone()) == Some(text);
            let span = match error.at.filter(|_| same) {
                Some(at) => inner.start + at.start..inner.start + at.end,
                None => token.span.clone(),
            };
            ParseError::new(span, format!("not a regular expression: {}", error.message))
        })
    }

    fn end(&self) -> Result<(), ParseError> {
        let token = self.peek();
        match token.kind {
            Kind::End => Ok(()),
            Kind::Sign("|" | "|>" | "!>" | "[") => Err(self.unsupported(&token)),
            _ => Err(self.unexpected(&token, "`|=`, `!=`, `|~`, `!~` or the end")),
        }
    }
}

fn literal(text: &str) -> Search {
    Search::Text(Box::new(Finder::new(text.as_bytes()).into_owned()))
}
