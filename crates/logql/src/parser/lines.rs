//! Line filters.

use super::{ParseError, Parsed, Parser};
use crate::filter::{BadOperand, FilterOp, LineFilter, Operand};
use crate::lexer::Token;

impl Parser<'_> {
    /// The line filters of a selector, and no stage behind them.
    pub(super) fn filters(&mut self) -> Parsed<Vec<LineFilter>> {
        let filters = self.line_filters()?;
        if self.at("|") { Err(self.no_stage()?) } else { Ok(filters) }
    }

    /// Reads the line filters that follow.
    pub(super) fn line_filters(&mut self) -> Parsed<Vec<LineFilter>> {
        let mut filters = Vec::new();
        loop {
            let op = match self.token {
                Token::Symbol(symbol) => FilterOp::of(symbol),
                _ => None,
            };
            let Some(op) = op else {
                return Ok(filters);
            };
            self.advance()?;
            let mut filter = self.filter(op)?;
            while self.token == Token::Keyword("or") {
                self.advance()?;
                let other = self.filter(op)?;
                if op.is_negative() {
                    // Not this or that: not this, and not that.
                    filters.push(std::mem::replace(&mut filter, other));
                } else {
                    filter.or(other);
                }
            }
            filters.push(filter);
        }
    }

    /// A filter with one operand.
    fn filter(&mut self, op: FilterOp) -> Parsed<LineFilter> {
        let start = self.span.start;
        let call = self.token == Token::Function("ip");
        if call {
            self.advance()?;
            self.expect("(")?;
        }
        let (text, mut span) = self.text()?;
        let operand = if call { Operand::Ip(text.clone()) } else { Operand::Text(text.clone()) };
        if call {
            if op != FilterOp::Contains && op != FilterOp::ContainsNot {
                span = start..self.span.end;
            }
            self.expect(")")?;
        }
        let read = LineFilter::new(op, operand.clone(), &mut self.room).map_err(|bad| match bad {
            BadOperand::Regex(error) => self.bad_regex(error, &text, span),
            BadOperand::Other(message) => ParseError::new(message, span),
        });
        self.when_run(read, || LineFilter::unread(op, operand))
    }

    /// The error for a `|` in a selector: a stage is only for queries, or there is no such stage.
    fn no_stage(&mut self) -> Parsed<ParseError> {
        let start = self.span.start;
        self.advance()?;
        let span = start..self.span.end;
        let what = match &self.token {
            Token::Keyword(
                word @ ("json" | "logfmt" | "regexp" | "pattern" | "unpack" | "line_format" | "label_format"
                | "decolorize" | "drop" | "keep" | "unwrap"),
            ) => format!("`| {word}`"),
            Token::Identifier(_) | Token::Symbol("(") => {
                format!("`| {}`, a filter of extracted labels,", self.shown())
            }
            _ => return Ok(self.unexpected("`|=` or `|~` and a string")),
        };
        Ok(self.unsupported(what, span))
    }
}
