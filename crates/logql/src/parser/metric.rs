//! Metric queries.

use std::ops::Range;

use super::{LEVEL, ParseError, Parsed, Parser};
use crate::expr::{
    BinaryOp, BinaryOperation, Cardinality, Expr, Grouping, LabelReplace, LogQuery, Matching,
    RangeAggregation, RangeOp, VectorAggregation, VectorOp,
};
use crate::go::re2::Re2;
use crate::lexer::Token;
use crate::vectors::arithmetic;

/// What is nested here, for messages.
const QUERIES: &str = "queries";

const QUERY: &str =
    "a metric query, as `sum by (unit) (count_over_time({unit=~\".+\"} |= \"error\" [5m])) > 10`";

/// A log query with its range.
struct Ranged {
    query: LogQuery,
    /// How far back it looks (nanoseconds).
    range: i64,
    /// How long before the evaluation the range ends (nanoseconds).
    offset: i64,
}

impl Parser<'_> {
    /// The whole text.
    pub(super) fn metric(&mut self) -> Parsed<Expr> {
        let expr = self.binary(0, 0)?;
        match self.token {
            Token::End => Ok(expr),
            _ => Err(self.unexpected("an operator or the end")),
        }
    }

    /// Queries joined by operators that bind at least so tightly.
    fn binary(&mut self, tightness: u8, depth: usize) -> Parsed<Expr> {
        self.depth(depth, QUERIES)?;
        let start = self.span.start;
        let mut left = self.primary(depth)?;
        loop {
            let written = match self.token {
                Token::Symbol(word) | Token::Keyword(word) => word,
                _ => return Ok(left),
            };
            let Some((op, _, binds)) = BinaryOp::ALL.into_iter().find(|(_, symbol, _)| *symbol == written)
            else {
                return Ok(left);
            };
            if binds < tightness {
                return Ok(left);
            }
            let end = self.span.start;
            self.advance()?;
            let (bool, matching) = self.modifiers()?;
            let place = self.span.clone();
            // `^` binds to the right.
            let next = if op == BinaryOp::Pow { binds } else { binds + 1 };
            let right = self.binary(next, depth + 1)?;
            left = match (left, right) {
                (Expr::Number(_), _) if op.is_set() => return Err(of_sets(op, start..end)),
                (_, Expr::Number(_)) if op.is_set() => return Err(of_sets(op, place)),
                (Expr::Number(left), Expr::Number(right)) => Expr::Number(arithmetic(op, left, right)),
                (left, right) => Expr::Binary(Box::new(BinaryOperation { op, bool, matching, left, right })),
            };
            self.height(left.height(), QUERIES)?;
        }
    }

    /// `bool on (a) group_left (b)`
    fn modifiers(&mut self) -> Parsed<(bool, Matching)> {
        let mut matching = Matching::default();
        let bool = self.eat_word("bool")?;
        matching.on = self.token == Token::Keyword("on");
        if !matching.on && self.token != Token::Keyword("ignoring") {
            return Ok((bool, matching));
        }
        self.advance()?;
        matching.labels = self.label_list()?;
        matching.cardinality = match self.token {
            Token::Keyword("group_left") => Cardinality::ManyToOne,
            Token::Keyword("group_right") => Cardinality::OneToMany,
            _ => return Ok((bool, matching)),
        };
        self.advance()?;
        // What stands in brackets behind it may be the other query.
        let mut ahead = self.lexer.clone();
        let names =
            self.at("(") && matches!(ahead.next_token()?.0, Token::Identifier(_) | Token::Symbol(")"));
        if names {
            matching.include = self.label_list()?;
        }
        Ok((bool, matching))
    }

    fn primary(&mut self, depth: usize) -> Parsed<Expr> {
        match self.token {
            Token::Number(_) => Ok(Expr::Number(self.literal()?)),
            Token::Symbol("+" | "-") => Ok(Expr::Number(self.literal()?)),
            Token::Symbol("(") => {
                self.advance()?;
                let inner = self.binary(0, depth + 1)?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Symbol("{") => {
                let start = self.span.start;
                let mut end = self.span.end;
                // The log query ends where it is no longer valid.
                if self.log_query_or_range().is_ok() {
                    end = self.source.get(..self.span.start).map_or(end, |text| text.trim_end().len());
                }
                let message = "a log query: it has lines, not values to compare";
                Err(ParseError::new(message, start..end).expected(QUERY))
            }
            Token::Function("vector") => {
                self.advance()?;
                self.expect("(")?;
                if !matches!(self.token, Token::Number(_)) {
                    return Err(self.unexpected("a number without a sign"));
                }
                let value = self.literal()?;
                self.expect(")")?;
                Ok(Expr::Vector(value))
            }
            Token::Function("label_replace") => self.label_replace(depth),
            Token::Function(name) => {
                if let Some((op, _)) = RangeOp::ALL.into_iter().find(|(_, known)| *known == name) {
                    return self.range_aggregation(op, depth);
                }
                if let Some((op, _)) = VectorOp::ALL.into_iter().find(|(_, known)| *known == name) {
                    return self.vector_aggregation(op, depth);
                }
                if name == "approx_topk" {
                    let message = "`approx_topk` is not supported: it is for queries that Loki splits";
                    return Err(
                        ParseError::new(message, self.span.clone()).expected("`topk`, which is exact")
                    );
                }
                Err(self.unexpected(QUERY))
            }
            _ => Err(self.unexpected(QUERY)),
        }
    }

    fn range_aggregation(&mut self, op: RangeOp, depth: usize) -> Parsed<Expr> {
        let (_, name) = self.advance()?;
        self.expect("(")?;
        let place = self.span.clone();
        let number = self.source.get(place.clone()).unwrap_or_default();
        let parameter = match self.token {
            Token::Number(_) => {
                let value = self.literal()?;
                self.expect(",")?;
                Some(value)
            }
            _ => None,
        };
        let Ranged { query, range, offset } = self.log_range(depth)?;
        self.expect(")")?;
        let at = self.span.clone();
        let grouping = self.grouping()?;
        let written = op.name();
        match (op, parameter) {
            (RangeOp::QuantileOverTime, None) => {
                return Err(ParseError::new(format!("`{written}` lacks its first argument"), place)
                    .expected("a quantile from 0 to 1 and a comma")
                    .placeless(format!("parameter required for operation {written}")));
            }
            (RangeOp::QuantileOverTime, _) | (_, None) => {}
            _ => {
                let words = format!("parameter {number} not supported for operation {written}");
                return Err(ParseError::new(format!("`{written}` takes no number"), place).placeless(words));
            }
        }
        use RangeOp::{
            AbsentOverTime, AvgOverTime, BytesOverTime, BytesRate, CountOverTime, FirstOverTime,
            LastOverTime, MaxOverTime, MinOverTime, QuantileOverTime, Rate, StddevOverTime, StdvarOverTime,
        };
        let groups = matches!(
            op,
            AvgOverTime
                | StddevOverTime
                | StdvarOverTime
                | QuantileOverTime
                | MaxOverTime
                | MinOverTime
                | FirstOverTime
                | LastOverTime
        );
        if grouping.is_some() && !groups {
            return Err(ParseError::new(format!("`{written}` takes no grouping"), at)
                .expected(format!("`sum by (…) ({written}(…))`"))
                .placeless(format!("grouping not allowed for {written} aggregation")));
        }
        let of_lines = matches!(op, CountOverTime | BytesOverTime | BytesRate);
        if query.unwrap.is_some() && of_lines {
            return Err(ParseError::new(
                format!("`{written}` counts lines, but the query has an `unwrap`"),
                name,
            )
            .expected("`sum_over_time` or another function of values")
            .placeless(format!("invalid aggregation {written} with unwrap")));
        }
        if query.unwrap.is_none() && !of_lines && !matches!(op, Rate | AbsentOverTime) {
            return Err(ParseError::new(
                format!("`{written}` needs values, but the query has no `unwrap`"),
                name,
            )
            .expected("`| unwrap label` before the range, or `count_over_time`")
            .placeless(format!("invalid aggregation {written} without unwrap")));
        }
        Ok(Expr::Range(RangeAggregation { op, parameter, query, range, offset, grouping }))
    }

    /// A log query with its range, before or behind its pipeline. Around the query may be brackets, around both any number of them
    /// (grafana/loki, `pkg/logql/syntax/syntax.y`, `logRangeExpr`).
    fn log_range(&mut self, depth: usize) -> Parsed<Ranged> {
        self.depth(depth, "brackets")?;
        if !self.eat("(")? {
            let (query, range, offset) = self.log_query_or_range()?;
            return self.ranged(query, range, offset);
        }
        if self.at("(") {
            let ranged = self.log_range(depth + 1)?;
            self.expect(")")?;
            return Ok(ranged);
        }
        let (mut query, mut range, mut offset) = self.log_query_or_range()?;
        self.expect(")")?;
        if range.is_none() {
            (range, offset) = self.range()?;
            if range.is_some() && query.stages.is_empty() && query.unwrap.is_none() {
                self.only_unwrap(&mut query)?;
            }
        }
        self.ranged(query, range, offset)
    }

    fn ranged(&mut self, query: LogQuery, range: Option<i64>, offset: i64) -> Parsed<Ranged> {
        match range {
            Some(range) => Ok(Ranged { query, range, offset }),
            None => Err(self.unexpected("a range, as `[5m]`")),
        }
    }

    fn log_query_or_range(&mut self) -> Parsed<(LogQuery, Option<i64>, i64)> {
        let matchers = self.stream_selector()?;
        let mut query = LogQuery { matchers, stages: Vec::new(), unwrap: None };
        let (mut range, mut offset) = self.range()?;
        self.pipeline(&mut query)?;
        if range.is_none() {
            (range, offset) = self.range()?;
        }
        Ok((query, range, offset))
    }

    /// `[5m] offset 1h`, or nothing.
    fn range(&mut self) -> Parsed<(Option<i64>, i64)> {
        let Token::Range(range) = self.token else {
            return Ok((None, 0));
        };
        if range <= 0 {
            self.when_run(Err(ParseError::new("the range is empty", self.span.clone())), || ())?;
        }
        self.advance()?;
        if !self.eat_word("offset")? {
            return Ok((Some(range), 0));
        }
        let Token::Duration(offset) = self.token else {
            return Err(self.unexpected("a duration, as `1h`"));
        };
        self.advance()?;
        Ok((Some(range), offset))
    }

    fn vector_aggregation(&mut self, op: VectorOp, depth: usize) -> Parsed<Expr> {
        let (_, name) = self.advance()?;
        let mut grouping = self.grouping()?;
        self.expect("(")?;
        let place = self.span.clone();
        let chooses = matches!(op, VectorOp::Topk | VectorOp::Bottomk);
        let text = self.source.get(place.clone()).unwrap_or_default();
        let number = matches!(self.token, Token::Number(_)) && {
            let mut ahead = self.lexer.clone();
            ahead.next_token()?.0 == Token::Symbol(",")
        };
        let written = op.name();
        let mut parameter = None;
        if number {
            self.advance()?;
            self.expect(",")?;
            if !chooses {
                return Err(ParseError::new(format!("`{written}` takes no number"), place)
                    .placeless(format!("unsupported parameter for operation {written}({text},")));
            }
            // As Go's `strconv.Atoi`: neither 1e2 nor 0x10.
            let count = match text.parse::<i64>() {
                Ok(count) if count > 0 => Ok(usize::try_from(count).unwrap_or(usize::MAX)),
                Ok(_) => Err(format!("invalid parameter (must be greater than 0) {written}({text}")),
                Err(_) => Err(format!("invalid parameter {written}({text},")),
            };
            parameter = Some(count.map_err(|words| {
                ParseError::new("not a number of series", place.clone())
                    .expected("a whole number from 1, in digits alone")
                    .placeless(words)
            })?);
        }
        let inner = Box::new(self.binary(0, depth + LEVEL)?);
        self.expect(")")?;
        let at = self.span.clone();
        if let Some(behind) = self.grouping()? {
            if grouping.is_some() {
                return Err(ParseError::new(format!("a second grouping of `{written}`"), at));
            }
            grouping = Some(behind);
        }
        if chooses && parameter.is_none() {
            return Err(ParseError::new(format!("`{written}` lacks its first argument"), place)
                .expected("a number of series and a comma")
                .placeless(format!("parameter required for operation {written}")));
        }
        if matches!(*inner, Expr::Number(_)) {
            let message = format!("`{written}` works on series, and this is a number");
            return Err(ParseError::new(message, name).expected("`vector(…)`"));
        }
        self.height(1 + inner.height(), QUERIES)?;
        let grouping = grouping.unwrap_or_default();
        if matches!(op, VectorOp::Sort | VectorOp::SortDesc) && !grouping.labels.is_empty() {
            return Err(ParseError::new(format!("`{written}` takes no grouping"), name)
                .placeless("sort and sort_desc doesn't allow grouping by "));
        }
        Ok(Expr::Aggregate(VectorAggregation { op, parameter, grouping, inner }))
    }

    fn label_replace(&mut self, depth: usize) -> Parsed<Expr> {
        self.advance()?;
        self.expect("(")?;
        let inner = self.binary(0, depth + LEVEL)?;
        self.height(1 + inner.height(), QUERIES)?;
        let mut arguments: Vec<(String, Range<usize>)> = Vec::with_capacity(4);
        for _ in 0..4 {
            self.expect(",")?;
            arguments.push(self.text()?);
        }
        self.expect(")")?;
        let [to, replacement, from, regex] = arguments.as_slice() else {
            return Err(self.unexpected("four strings"));
        };
        let compiled = Re2::whole_in(&regex.0, &mut self.room);
        let compiled = compiled.map_err(|error| self.bad_regex(error, &regex.0, regex.1.clone()))?;
        Ok(Expr::LabelReplace(Box::new(LabelReplace {
            inner,
            to: to.0.clone(),
            replacement: replacement.0.clone(),
            from: from.0.clone(),
            regex: compiled,
        })))
    }

    /// `by (a, b)` or `without (a)`, or nothing.
    fn grouping(&mut self) -> Parsed<Option<Grouping>> {
        let without = match self.token {
            Token::Keyword("by") => false,
            Token::Keyword("without") => true,
            _ => return Ok(None),
        };
        self.advance()?;
        Ok(Some(Grouping { without, labels: self.label_list()? }))
    }

    /// `(a, b)`
    fn label_list(&mut self) -> Parsed<Vec<String>> {
        self.expect("(")?;
        let mut labels = Vec::new();
        if self.eat(")")? {
            return Ok(labels);
        }
        loop {
            labels.push(self.name("the name of a label")?.0);
            if self.eat(")")? {
                return Ok(labels);
            }
            self.expect_one_of(",", "`,` or `)`")?;
        }
    }

    fn eat_word(&mut self, word: &'static str) -> Parsed<bool> {
        let found = self.token == Token::Keyword(word);
        if found {
            self.advance()?;
        }
        Ok(found)
    }
}

fn of_sets(op: BinaryOp, span: Range<usize>) -> ParseError {
    let message = format!("`{}` works on series, and this is a number", op.symbol());
    ParseError::new(message, span).expected("`vector(…)`")
}
