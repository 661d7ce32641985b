//! From pieces to a tree.

use std::ops::Range;

use super::lexer::{Piece, Placed, Token, pieces};
use super::tokens::Tokens;
use super::tree::{Callee, Command, Node, Pipeline, Word};
use super::{Functions, TemplateError, Value, builtin, numbers, promtail, stray};
use crate::nearest::nearest;

/// Longest template (bytes).
const SOURCE_MAX: usize = 64 << 10;
/// Deepest nesting of actions and parentheses (count): the tree is walked by recursion.
const DEPTH_MAX: usize = 64;

/// `given` are the variables that there are from the beginning, besides `$`. `late`: arguments of what is no function are found out when
/// the template is filled in, as in Go.
pub(super) fn parse(
    source: &str,
    functions: Functions,
    given: &[&str],
    late: bool,
) -> Result<Vec<Node>, TemplateError> {
    if source.len() > SOURCE_MAX {
        return Err(TemplateError::new(
            0..source.len(),
            format!("the template is longer than {SOURCE_MAX} bytes"),
        ));
    }
    let mut parser = Parser {
        pieces: pieces(source)?.into_iter(),
        functions,
        late,
        depth: 0,
        ranges: 0,
        given: 1 + given.len(),
        variables: ["$"].iter().chain(given).map(|name| (*name).to_owned()).collect(),
    };
    let (nodes, end) = parser.list()?;
    match end {
        None => Ok(nodes),
        Some((keyword, at)) => {
            Err(TemplateError::new(at, format!("`{keyword}` without its `if`, `range` or `with`")))
        }
    }
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    functions: Functions,
    late: bool,
    depth: usize,
    ranges: usize,
    /// So many of the variables are there from the beginning (count).
    given: usize,
    variables: Vec<String>,
}

/// What ended a list: `end`, `else`, or `else if` and `else with` with the rest of their action.
type Ending = Option<(String, Range<usize>)>;

impl Parser {
    fn list(&mut self) -> Result<(Vec<Node>, Ending), TemplateError> {
        let (nodes, ending, _) = self.list_to_else()?;
        Ok((nodes, ending))
    }

    fn list_to_else(&mut self) -> Result<(Vec<Node>, Ending, Vec<Placed>), TemplateError> {
        self.depth += 1;
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (tokens, at) = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(tokens, at) => (tokens, at),
            };
            if self.depth > DEPTH_MAX {
                return Err(TemplateError::new(at, format!("actions are nested more than {DEPTH_MAX} deep")));
            }
            let mut words = Tokens::new(tokens, at.clone());
            words.spaces();
            let keyword = match words.peek() {
                Some(Token::Word(word)) => word.clone(),
                _ => String::new(),
            };
            match keyword.as_str() {
                "end" => {
                    words.next += 1;
                    words.finish()?;
                    self.depth -= 1;
                    return Ok((nodes, Some((keyword, at)), Vec::new()));
                }
                "else" => {
                    words.next += 1;
                    words.spaces();
                    self.depth -= 1;
                    return Ok((nodes, Some((keyword, at)), words.rest()));
                }
                "if" | "with" | "range" => {
                    words.next += 1;
                    nodes.push(self.block(&keyword, words)?);
                }
                "break" | "continue" => {
                    words.next += 1;
                    words.finish()?;
                    if self.ranges == 0 {
                        return Err(TemplateError::new(at, format!("`{keyword}` outside of a `range`")));
                    }
                    nodes.push(if keyword == "break" { Node::Break } else { Node::Continue });
                }
                "define" | "template" | "block" => {
                    return Err(TemplateError::new(
                        at,
                        format!("`{keyword}` is not supported: a template is one piece"),
                    ));
                }
                _ => {
                    let pipeline = self.pipeline(&mut words, false)?;
                    words.finish()?;
                    if pipeline.commands.is_empty() {
                        return Err(TemplateError::new(at, "an action without a value"));
                    }
                    nodes.push(Node::Show(pipeline));
                }
            }
        }
        self.depth -= 1;
        Ok((nodes, None, Vec::new()))
    }

    /// The rest of `if`, `with` or `range`, to its `end`.
    fn block(&mut self, keyword: &str, mut words: Tokens) -> Result<Node, TemplateError> {
        let at = words.at.clone();
        let known = self.variables.len();
        let value = self.pipeline(&mut words, keyword == "range")?;
        words.finish()?;
        if value.commands.is_empty() {
            return Err(TemplateError::new(at, format!("`{keyword}` without a value")));
        }
        self.ranges += usize::from(keyword == "range");
        let (body, ending, rest) = self.list_to_else()?;
        self.ranges -= usize::from(keyword == "range");
        let missing = || TemplateError::new(at.clone(), format!("`{keyword}` without its `{{{{end}}}}`"));
        let (ending, ending_at) = ending.ok_or_else(missing)?;
        let mut other = Vec::new();
        if ending == "else" {
            let mut rest = Tokens::new(rest, ending_at);
            match rest.peek() {
                None => {
                    let (nodes, ending) = self.list()?;
                    match ending {
                        Some((word, _)) if word == "end" => other = nodes,
                        Some((_, at)) => return Err(TemplateError::new(at, "a second `else`")),
                        None => return Err(missing()),
                    }
                }
                // `else if` shares the one `end`.
                Some(Token::Word(word)) if word == keyword && keyword != "range" => {
                    rest.next += 1;
                    self.depth += 1;
                    if self.depth > DEPTH_MAX {
                        return Err(TemplateError::new(
                            at,
                            format!("more than {DEPTH_MAX} `else if` in a row"),
                        ));
                    }
                    other.push(self.block(keyword, rest)?);
                    self.depth -= 1;
                }
                Some(_) => {
                    return Err(TemplateError::new(
                        rest.at,
                        format!("expected `{{{{else}}}}` or `{{{{else {keyword} …}}}}`"),
                    ));
                }
            }
        }
        self.variables.truncate(known);
        Ok(match keyword {
            "if" => Node::If { condition: value, then: body, other },
            "with" => Node::With { value, then: body, other },
            _ => Node::Range { value, body, other },
        })
    }

    fn pipeline(&mut self, words: &mut Tokens, ranges: bool) -> Result<Pipeline, TemplateError> {
        words.spaces();
        let (variables, declares) = self.declared(words, ranges)?;
        let mut commands = Vec::new();
        loop {
            let command = self.command(words)?;
            if command.words.is_empty() {
                if !commands.is_empty() || !variables.is_empty() {
                    return Err(TemplateError::new(words.place(), "a value is missing here"));
                }
                break;
            }
            let may_follow = match command.words.first() {
                Some(Word::Function(..)) => true,
                Some(Word::Fields(_) | Word::Variable(..) | Word::Nested(..)) => self.late,
                _ => false,
            };
            if !commands.is_empty() && !may_follow {
                return Err(TemplateError::new(command.at, "only a function can stand behind `|`"));
            }
            commands.push(command);
            if !words.sign("|") {
                break;
            }
        }
        if declares {
            self.variables.extend(variables.iter().cloned());
        }
        Ok(Pipeline { variables, declares, commands, at: words.at.clone() })
    }

    /// `$a :=`, `$a =`, `$a, $b :=`
    fn declared(&mut self, words: &mut Tokens, ranges: bool) -> Result<(Vec<String>, bool), TemplateError> {
        let from = words.next;
        let mut variables = Vec::new();
        while let Some(Token::Variable(name)) = words.peek().cloned() {
            let place = words.place();
            words.next += 1;
            words.spaces();
            variables.push(name.clone());
            let declares = words.sign(":=");
            if declares || words.sign("=") {
                if variables.len() > if ranges { 2 } else { 1 } {
                    return Err(TemplateError::new(place, "too many variables"));
                }
                if let Some(unknown) =
                    variables.iter().find(|name| !declares && !self.variables.contains(name))
                {
                    return Err(TemplateError::new(place, format!("the variable {unknown} is not declared")));
                }
                words.spaces();
                return Ok((variables, declares));
            }
            if !words.sign(",") {
                break;
            }
            words.spaces();
        }
        words.next = from;
        Ok((Vec::new(), false))
    }

    fn command(&mut self, words: &mut Tokens) -> Result<Command, TemplateError> {
        let mut command = Command { words: Vec::new(), at: words.place() };
        loop {
            words.spaces();
            let place = words.place();
            let Some(token) = words.peek().cloned() else { break };
            let first = command.words.is_empty();
            words.next += 1;
            let word = match token {
                Token::Sign("|" | ")") => {
                    words.next -= 1;
                    break;
                }
                Token::Sign("(") => self.nested(words, place)?,
                Token::Sign(sign) => {
                    return Err(TemplateError::new(place, format!("`{sign}` does not belong here")));
                }
                Token::Dot => Word::Dot,
                Token::Field(name) => {
                    let mut fields = vec![name];
                    fields.extend(words.fields());
                    Word::Fields(fields)
                }
                Token::Variable(name) => {
                    if !self.variables.contains(&name) {
                        return Err(TemplateError::new(
                            place,
                            format!("the variable {name} is not declared"),
                        ));
                    }
                    Word::Variable(name, words.fields())
                }
                Token::Text(text) => Word::Constant((&*stray::own(&text)).into()),
                Token::Int(number) => Word::Constant(Value::Int(number)),
                Token::Float(number) => Word::Constant(Value::Float(number)),
                Token::Word(word) => match word.as_str() {
                    "true" => Word::Constant(true.into()),
                    "false" => Word::Constant(false.into()),
                    "nil" if first => return Err(TemplateError::new(place, "`nil` cannot stand alone")),
                    "nil" => Word::Nil,
                    _ => {
                        let at = place.start..words.end();
                        let function = Word::Function(self.callee(&word, &place)?, word);
                        match words.fields() {
                            fields if fields.is_empty() => function,
                            // `now.Year` is `(now).Year`.
                            fields => Word::Nested(Box::new(Pipeline::of(function, at)), fields),
                        }
                    }
                },
                Token::Space => continue,
            };
            command.at.end = words.end();
            command.words.push(word);
            // Two words want a space between them.
            if !matches!(words.peek(), None | Some(Token::Space | Token::Sign("|" | ")"))) {
                return Err(TemplateError::new(words.place(), "a space is missing before this"));
            }
        }
        if let [first, _, ..] = command.words.as_slice()
            && !matches!(first, Word::Function(..))
            && !self.may_be_method(first)
        {
            return Err(TemplateError::new(command.at, "only a function can have arguments"));
        }
        Ok(command)
    }

    /// What stands in parentheses, behind the first one, and the names behind them.
    fn nested(&mut self, words: &mut Tokens, place: Range<usize>) -> Result<Word, TemplateError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(TemplateError::new(
                place,
                format!("parentheses are nested more than {DEPTH_MAX} deep"),
            ));
        }
        let inner = self.pipeline(words, false)?;
        self.depth -= 1;
        words.spaces();
        if !words.sign(")") {
            return Err(TemplateError::new(place, "a `(` without its `)`"));
        }
        if inner.commands.is_empty() {
            return Err(TemplateError::new(place, "parentheses without a value"));
        }
        Ok(Word::Nested(Box::new(inner), words.fields()))
    }

    /// Whether only filling the template in shows that a word cannot have arguments. Where that is too late, what is made by a function
    /// may be a time, which has methods; what is given has none.
    fn may_be_method(&self, word: &Word) -> bool {
        match word {
            _ if self.late => true,
            Word::Nested(_, fields) => !fields.is_empty(),
            Word::Variable(name, fields) => {
                let known = self.variables.iter().rposition(|known| known == name);
                !fields.is_empty() && known.is_some_and(|at| at >= self.given)
            }
            _ => false,
        }
    }

    fn callee(&self, name: &str, place: &Range<usize>) -> Result<Callee, TemplateError> {
        match name {
            "and" => return Ok(Callee::And),
            "or" => return Ok(Callee::Or),
            _ => {}
        }
        if let Some(function) = (self.functions)(name).or_else(|| builtin::function(name)) {
            return Ok(Callee::Call(function));
        }
        let known = promtail::NAMES.iter().chain(numbers::NAMES).chain(builtin::NAMES).copied();
        let known = known.filter(|name| (self.functions)(name).or_else(|| builtin::function(name)).is_some());
        let hint = nearest(name, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        Err(TemplateError::new(place.clone(), format!("there is no function `{name}`{hint}")))
    }
}
