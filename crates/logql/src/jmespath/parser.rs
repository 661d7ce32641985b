//! From tokens to a tree, by binding powers (the grammar's are in the specification of JMESPath; the numbers
//! only order them).

use std::ops::Range;

use super::SyntaxError;
use super::functions::{self, Function};
use super::lexer::{Comparison, Token, tokens};
use crate::go::json::Json;

/// What to do with a value.
#[derive(Debug)]
pub(super) enum Node {
    /// `@`, or nothing
    Current,
    Field(String),
    Index(i64),
    Slice(Slice),
    Literal(Json<'static>),
    /// The second expression, applied to the answer of the first: `a.b`, `a[0]`, `a | b`.
    Then(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    And(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Compare(Comparison, Box<Node>, Box<Node>),
    /// `[a, b]`
    List(Vec<Node>),
    /// `{a: b}`
    Map(Vec<(String, Node)>),
    /// `a[]`
    Flatten(Box<Node>),
    /// Of each item of the list that the first answers what the second answers: `a[*].b`.
    Each(Box<Node>, Box<Node>),
    /// The same of each value of a map: `a.*.b`.
    EachValue(Box<Node>, Box<Node>),
    /// The same of those for which the condition holds: `a[?c].b`.
    Filter {
        list: Box<Node>,
        condition: Box<Node>,
        each: Box<Node>,
    },
    Call(Function, Vec<Node>),
}

/// `[start:stop:step]`
#[derive(Debug, Clone, Copy)]
pub(super) struct Slice {
    pub(super) start: Option<i64>,
    pub(super) stop: Option<i64>,
    /// Never zero.
    pub(super) step: i64,
}

const PIPE: u8 = 1;
const OR: u8 = 2;
const AND: u8 = 3;
const COMPARE: u8 = 5;
const FLATTEN: u8 = 9;
/// A token that binds less ends a projection.
const PROJECTION_END: u8 = 10;
const STAR: u8 = 20;
const FILTER: u8 = 21;
const DOT: u8 = 40;
const NOT: u8 = 45;
const BRACE: u8 = 50;
const BRACKET: u8 = 55;
const CALL: u8 = 60;

fn power(token: &Token) -> u8 {
    match token {
        Token::Pipe => PIPE,
        Token::Or => OR,
        Token::And => AND,
        Token::Compare(_) => COMPARE,
        Token::Flatten => FLATTEN,
        Token::Star => STAR,
        Token::Filter => FILTER,
        Token::Dot => DOT,
        Token::Not => NOT,
        Token::OpenBrace => BRACE,
        Token::OpenBracket => BRACKET,
        Token::Open => CALL,
        _ => 0,
    }
}

/// The tree of an expression.
pub(super) fn parse(source: &str) -> Result<Node, SyntaxError> {
    let mut parser = Parser { tokens: tokens(source)?, at: 0 };
    let node = parser.expression(0)?;
    match parser.token() {
        Token::End => Ok(node),
        _ => Err(parser.unexpected("the end of the expression")),
    }
}

struct Parser {
    tokens: Vec<(Token, Range<usize>)>,
    at: usize,
}

impl Parser {
    fn token(&self) -> &Token {
        self.peek(0)
    }

    fn peek(&self, ahead: usize) -> &Token {
        self.tokens.get(self.at + ahead).map_or(&Token::End, |(token, _)| token)
    }

    fn place(&self, at: usize) -> Range<usize> {
        self.tokens.get(at).or(self.tokens.last()).map_or(0..0, |(_, place)| place.clone())
    }

    fn unexpected(&self, expected: &str) -> SyntaxError {
        let what = match self.token() {
            Token::End => format!("the expression ends, expected {expected}"),
            _ => format!("expected {expected}"),
        };
        SyntaxError::new(what, self.place(self.at))
    }

    fn take(&mut self) -> Token {
        let token = self.token().clone();
        self.at += 1;
        token
    }

    /// Goes on if this token stands here.
    fn accept(&mut self, token: &Token) -> bool {
        let here = self.token() == token;
        self.at += usize::from(here);
        here
    }

    fn require(&mut self, token: &Token, name: &str) -> Result<(), SyntaxError> {
        if self.accept(token) { Ok(()) } else { Err(self.unexpected(name)) }
    }

    fn boxed(&mut self, least: u8) -> Result<Box<Node>, SyntaxError> {
        self.expression(least).map(Box::new)
    }

    /// An expression whose operators all bind more than `least`.
    fn expression(&mut self, least: u8) -> Result<Node, SyntaxError> {
        let mut node = self.first()?;
        while least < power(self.token()) {
            node = self.further(Box::new(node))?;
        }
        Ok(node)
    }

    /// What can begin an expression.
    fn first(&mut self) -> Result<Node, SyntaxError> {
        let start = self.at;
        Ok(match self.take() {
            Token::Name(name) if *self.token() == Token::Open => self.call(&name, start)?,
            Token::Quoted(_) if *self.token() == Token::Open => {
                return Err(SyntaxError::new("a function's name takes no quotes", self.place(start)));
            }
            Token::Name(name) | Token::Quoted(name) => Node::Field(name),
            Token::Literal(value) => Node::Literal(value),
            Token::At => Node::Current,
            Token::Star => Node::EachValue(Box::new(Node::Current), self.projected(STAR)?),
            Token::Flatten => {
                let list = Box::new(Node::Flatten(Box::new(Node::Current)));
                Node::Each(list, self.projected(FLATTEN)?)
            }
            Token::Filter => self.filter(Box::new(Node::Current))?,
            Token::OpenBracket => match (self.token(), self.peek(1)) {
                (Token::Number(_) | Token::Colon, _) | (Token::Star, Token::CloseBracket) => {
                    self.bracket(None)?
                }
                _ => self.list()?,
            },
            Token::OpenBrace => self.map()?,
            Token::Not => Node::Not(self.boxed(NOT)?),
            Token::Open => {
                let node = self.expression(0)?;
                self.require(&Token::Close, "`)`")?;
                node
            }
            Token::Reference => {
                let what = "`&` stands only before an argument of `map`, `sort_by`, `max_by` or `min_by`";
                return Err(SyntaxError::new(what, self.place(start)));
            }
            _ => {
                self.at = start;
                return Err(self.unexpected("a name, a literal or a function"));
            }
        })
    }

    /// What can follow an expression.
    fn further(&mut self, left: Box<Node>) -> Result<Node, SyntaxError> {
        let start = self.at;
        Ok(match self.take() {
            Token::Dot if self.accept(&Token::Star) => Node::EachValue(left, self.projected(DOT)?),
            Token::Dot => Node::Then(left, self.behind_dot(DOT)?),
            Token::Pipe => Node::Then(left, self.boxed(PIPE)?),
            Token::Or => Node::Or(left, self.boxed(OR)?),
            Token::And => Node::And(left, self.boxed(AND)?),
            Token::Compare(comparison) => Node::Compare(comparison, left, self.boxed(COMPARE)?),
            Token::Flatten => {
                let list = Box::new(Node::Flatten(left));
                Node::Each(list, self.projected(FLATTEN)?)
            }
            Token::Filter => self.filter(left)?,
            Token::OpenBracket => self.bracket(Some(left))?,
            _ => {
                self.at = start;
                return Err(self.unexpected("an operator or the end of the expression"));
            }
        })
    }

    /// `[` is behind us: an index, a slice or `*`.
    fn bracket(&mut self, left: Option<Box<Node>>) -> Result<Node, SyntaxError> {
        let then = |left: Option<Box<Node>>, node| match left {
            Some(left) => Node::Then(left, Box::new(node)),
            None => node,
        };
        if self.accept(&Token::Star) {
            self.require(&Token::CloseBracket, "`]`")?;
            return Ok(Node::Each(left.unwrap_or(Box::new(Node::Current)), self.projected(STAR)?));
        }
        if let (&Token::Number(index), Token::CloseBracket) = (self.token(), self.peek(1)) {
            self.at += 2;
            return Ok(then(left, Node::Index(index)));
        }
        if !matches!(self.token(), Token::Number(_) | Token::Colon) {
            let expected = "a number, `:` or `*`";
            return Err(self.unexpected(expected).help("several values are taken with `.[a, b]`"));
        }
        let slice = Node::Slice(self.slice()?);
        Ok(Node::Each(Box::new(then(left, slice)), self.projected(STAR)?))
    }

    fn slice(&mut self) -> Result<Slice, SyntaxError> {
        let start = self.number();
        self.require(&Token::Colon, "`]` or `:`")?;
        let stop = self.number();
        let step_at = self.at + 1;
        let step = if self.accept(&Token::Colon) { self.number().unwrap_or(1) } else { 1 };
        if step == 0 {
            return Err(SyntaxError::new("the step of a slice is never 0", self.place(step_at)));
        }
        self.require(&Token::CloseBracket, "`]`")?;
        Ok(Slice { start, stop, step })
    }

    fn number(&mut self) -> Option<i64> {
        let &Token::Number(number) = self.token() else { return None };
        self.at += 1;
        Some(number)
    }

    /// `[?` is behind us.
    fn filter(&mut self, list: Box<Node>) -> Result<Node, SyntaxError> {
        let condition = self.boxed(0)?;
        self.require(&Token::CloseBracket, "`]`")?;
        Ok(Node::Filter { list, condition, each: self.projected(FILTER)? })
    }

    /// What is asked of each item.
    fn projected(&mut self, least: u8) -> Result<Box<Node>, SyntaxError> {
        match self.token() {
            Token::OpenBracket | Token::Filter => self.boxed(least),
            Token::Dot => {
                self.at += 1;
                self.behind_dot(least)
            }
            token if power(token) < PROJECTION_END => Ok(Box::new(Node::Current)),
            _ => Err(self.unexpected("`.`, `[` or the end of the expression")),
        }
    }

    fn behind_dot(&mut self, least: u8) -> Result<Box<Node>, SyntaxError> {
        match self.token() {
            Token::Name(_) | Token::Quoted(_) | Token::Star => self.boxed(least),
            Token::OpenBracket => {
                self.at += 1;
                self.list().map(Box::new)
            }
            Token::OpenBrace => {
                self.at += 1;
                self.map().map(Box::new)
            }
            _ => Err(self.unexpected("a name, `*`, `[a, b]` or `{a: b}`")),
        }
    }

    /// `[` is behind us.
    fn list(&mut self) -> Result<Node, SyntaxError> {
        let mut items = vec![self.expression(0)?];
        while self.accept(&Token::Comma) {
            items.push(self.expression(0)?);
        }
        self.require(&Token::CloseBracket, "`,` or `]`")?;
        Ok(Node::List(items))
    }

    /// `{` is behind us.
    fn map(&mut self) -> Result<Node, SyntaxError> {
        let mut entries = Vec::new();
        loop {
            let (Token::Name(name) | Token::Quoted(name)) = self.token().clone() else {
                return Err(self.unexpected("a name"));
            };
            self.at += 1;
            self.require(&Token::Colon, "`:`")?;
            entries.push((name, self.expression(0)?));
            if !self.accept(&Token::Comma) {
                break;
            }
        }
        self.require(&Token::CloseBrace, "`,` or `}`")?;
        Ok(Node::Map(entries))
    }

    /// A call: its name at `start` is behind us.
    fn call(&mut self, name: &str, start: usize) -> Result<Node, SyntaxError> {
        let Some(signature) = functions::signature(name) else {
            let what = format!("there is no function `{name}`");
            return Err(SyntaxError::new(what, self.place(start)));
        };
        self.require(&Token::Open, "`(`")?;
        let mut arguments = Vec::new();
        while *self.token() != Token::Close {
            if !arguments.is_empty() {
                self.require(&Token::Comma, "`,` or `)`")?;
            }
            if signature.reference == Some(arguments.len()) {
                self.require(&Token::Reference, "an expression to be asked of each item: `&name`")?;
            }
            arguments.push(self.expression(0)?);
        }
        if !signature.arguments.contains(&arguments.len()) {
            let (count, expected) = (arguments.len(), signature.usage);
            let what = format!("`{name}` with {count} arguments, expected `{expected}`");
            return Err(SyntaxError::new(what, self.place(start)));
        }
        self.require(&Token::Close, "`)`")?;
        Ok(Node::Call(signature.function, arguments))
    }
}
