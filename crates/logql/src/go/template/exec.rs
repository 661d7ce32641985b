//! Filling a template in.

use std::ops::Range;

use super::builtin::WRONG_NUMBER;
use super::tree::{Callee, Command, Node, Pipeline, Word};
use super::value::{VALUE_MAX, Value};
use super::{Function, Missing, TemplateError, stray, times};
use crate::go::quote::Quoted;

/// Longest output (bytes): a log line is cut at a quarter of it.
const OUTPUT_MAX: usize = 1 << 20;
/// Most actions and rounds of a `range` (count).
const STEPS_MAX: usize = 100_000;
/// Most that all functions of a template are given (bytes): it ends within seconds.
const WORK_MAX: usize = 256 << 20;
/// Deepest nesting of lists and maps (count): they are walked by recursion.
const VALUE_DEPTH_MAX: usize = 32;

pub(super) fn run(
    nodes: &[Node],
    data: &Value,
    variables: &[(&str, Value)],
    missing: Missing,
) -> Result<String, TemplateError> {
    let mut state = State { out: String::new(), variables: Vec::new(), steps: 0, work: 0, missing };
    let own = |value: &Value| stray::own_value(value).unwrap_or_else(|| value.clone());
    let data = own(data);
    state.variables.push(("$".to_owned(), data.clone()));
    state.variables.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), own(value))));
    state.nodes(nodes, &data)?;
    Ok(stray::shown(state.out))
}

/// The place in `$x.a.b` or `.a.b` that Go tells (bytes): that of the second name.
fn second(variable: &str, fields: &[String]) -> usize {
    let first = fields.first().filter(|_| variable.is_empty() && fields.len() > 1);
    variable.len() + first.map_or(0, |first| first.len() + 1)
}

fn no_argument(name: &str) -> String {
    format!("{WRONG_NUMBER} for {name}: want at least 1 got 0")
}

struct State {
    out: String,
    variables: Vec<(String, Value)>,
    steps: usize,
    work: usize,
    missing: Missing,
}

/// How a list of nodes ended.
#[derive(PartialEq, Eq)]
enum End {
    Through,
    Break,
    Continue,
}

impl State {
    fn step(&mut self, at: &Range<usize>) -> Result<(), TemplateError> {
        self.steps += 1;
        if self.steps > STEPS_MAX || self.out.len() > OUTPUT_MAX {
            let what = format!("the template goes over {STEPS_MAX} steps or {OUTPUT_MAX} bytes");
            return Err(TemplateError::new(at.clone(), what));
        }
        Ok(())
    }

    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<End, TemplateError> {
        for node in nodes {
            let known = self.variables.len();
            let end = match node {
                Node::Text(text) => {
                    self.out.push_str(&stray::own(text));
                    End::Through
                }
                Node::Show(pipeline) => {
                    let value = self.pipeline(pipeline, dot)?;
                    if pipeline.variables.is_empty() {
                        self.out.push_str(&value.to_string());
                    }
                    continue;
                }
                Node::If { condition, then, other } => {
                    let branch = if self.pipeline(condition, dot)?.truth() { then } else { other };
                    self.nodes(branch, dot)?
                }
                Node::With { value, then, other } => {
                    let value = self.pipeline(value, dot)?;
                    if value.truth() { self.nodes(then, &value)? } else { self.nodes(other, dot)? }
                }
                Node::Range { value, body, other } => {
                    self.range(value, body, other, dot)?;
                    End::Through
                }
                Node::Break => End::Break,
                Node::Continue => End::Continue,
            };
            // Variables of a block end with it.
            self.variables.truncate(known);
            if end != End::Through {
                return Ok(end);
            }
        }
        Ok(End::Through)
    }

    fn range(
        &mut self,
        pipeline: &Pipeline,
        body: &[Node],
        other: &[Node],
        dot: &Value,
    ) -> Result<(), TemplateError> {
        let value = self.commands(pipeline, dot)?;
        let rounds: Vec<(Value, Value)> = match &value {
            Value::Nil => Vec::new(),
            Value::List(items) => {
                items.iter().enumerate().map(|(n, item)| (Value::Int(n as i64), item.clone())).collect()
            }
            Value::Map(entries) | Value::Object(entries) => {
                entries.iter().map(|(k, v)| (k.as_str().into(), v.clone())).collect()
            }
            Value::Int(count) => {
                let count = (*count).clamp(0, STEPS_MAX as i64 + 1);
                (0..count).map(|n| (Value::Int(n), Value::Int(n))).collect()
            }
            other => {
                let what = format!("range cannot go over a {}", other.kind());
                return Err(TemplateError::new(pipeline.at.clone(), what));
            }
        };
        if rounds.is_empty() {
            self.nodes(other, dot)?;
        }
        let known = self.variables.len();
        for (key, item) in rounds {
            self.step(&pipeline.at)?;
            let names: &[String] = &pipeline.variables;
            let values = if names.len() == 2 { vec![key, item.clone()] } else { vec![item.clone()] };
            for (name, value) in names.iter().zip(values) {
                self.assign(name, value, pipeline.declares);
            }
            let end = self.nodes(body, &item)?;
            self.variables.truncate(known);
            if end == End::Break {
                break;
            }
        }
        Ok(())
    }

    fn assign(&mut self, name: &str, value: Value, declares: bool) {
        if !declares && let Some((_, old)) = self.variables.iter_mut().rev().find(|(n, _)| n == name) {
            *old = value;
            return;
        }
        self.variables.push((name.to_owned(), value));
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, TemplateError> {
        let value = self.commands(pipeline, dot)?;
        for name in &pipeline.variables {
            self.assign(name, value.clone(), pipeline.declares);
        }
        Ok(value)
    }

    fn commands(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, TemplateError> {
        self.step(&pipeline.at)?;
        let mut value = None;
        for command in &pipeline.commands {
            value = Some(self.command(command, value.take(), dot)?);
        }
        Ok(value.unwrap_or(Value::Nil))
    }

    fn command(
        &mut self,
        command: &Command,
        last: Option<Value>,
        dot: &Value,
    ) -> Result<Value, TemplateError> {
        let Some((first, words)) = command.words.split_first() else { return Ok(Value::Nil) };
        let Word::Function(callee, name) = first else {
            return match words.is_empty() && last.is_none() {
                true => self.word(first, dot, command),
                false => self.method(first, words, last, dot, command),
            };
        };
        match callee {
            Callee::And | Callee::Or => {
                let stops_at = matches!(callee, Callee::Or);
                let mut value = None;
                for word in words {
                    let next = self.word(word, dot, command)?;
                    let stop = next.truth() == stops_at;
                    value = Some(next);
                    if stop {
                        return Ok(value.unwrap_or(Value::Nil));
                    }
                }
                last.or(value).ok_or_else(|| TemplateError::of(&command.at, name, 0, no_argument(name)))
            }
            Callee::Call(_) if self.given(name).is_some() => {
                Ok(self.given(name).cloned().unwrap_or(Value::Nil))
            }
            Callee::Call(function) => {
                let mut arguments = Vec::with_capacity(words.len() + 1);
                for word in words {
                    arguments.push(self.word(word, dot, command)?);
                }
                arguments.extend(last);
                self.call(*function, name, &arguments, &command.at)
            }
        }
    }

    /// Calls a method of a time with arguments: `$time.Format "15:04"`. Nothing else has methods.
    fn method(
        &mut self,
        first: &Word,
        words: &[Word],
        last: Option<Value>,
        dot: &Value,
        command: &Command,
    ) -> Result<Value, TemplateError> {
        let Some((above, name)) = first.last_name() else {
            return Err(self.no_function(first, dot, command));
        };
        let (Ok(time @ Value::Time(_)), Some(method)) =
            (self.word(&above, dot, command), times::method(name))
        else {
            return Err(self.no_function(first, dot, command));
        };
        let mut arguments = vec![time];
        for word in words {
            arguments.push(self.word(word, dot, command)?);
        }
        arguments.extend(last);
        self.call(method, name, &arguments, &command.at)
    }

    /// What Go says of arguments of what is no function (`text/template/exec.go`, `evalField`, `notAFunction`).
    fn no_function(&mut self, word: &Word, dot: &Value, command: &Command) -> TemplateError {
        let (shown, fields) = match word {
            Word::Fields(fields) => (String::new(), fields.as_slice()),
            Word::Nested(_, fields) if !fields.is_empty() => (String::new(), fields.as_slice()),
            Word::Variable(name, fields) => (name.clone(), fields.as_slice()),
            Word::Constant(Value::Text(text)) => (Quoted(stray::bytes(text)).to_string(), [].as_slice()),
            Word::Constant(value) => (value.to_string(), [].as_slice()),
            Word::Dot => (".".to_owned(), [].as_slice()),
            _ => return TemplateError::new(command.at.clone(), "can't give argument to non-function"),
        };
        let Some((above, last)) = word.last_name() else {
            let what = format!("can't give argument to non-function {shown}");
            return TemplateError::of(&command.at, &shown, 0, what);
        };
        if let Ok(Value::Map(_) | Value::Object(_)) = self.word(&above, dot, command) {
            let what = format!("{last} is not a method but has arguments");
            let words = fields.iter().fold(shown.clone(), |words, field| words + "." + field);
            return TemplateError::of(&command.at, &words, second(&shown, fields), what);
        }
        let what = || TemplateError::new(command.at.clone(), "can't give argument to non-function");
        self.word(word, dot, command).err().unwrap_or_else(what)
    }

    /// Calls a function, unless it is given too much.
    fn call(
        &mut self,
        function: Function,
        name: &str,
        arguments: &[Value],
        at: &Range<usize>,
    ) -> Result<Value, TemplateError> {
        let fail = |why: &str| match why.strip_prefix(WRONG_NUMBER) {
            Some(rest) => TemplateError::of(at, name, 0, format!("{WRONG_NUMBER} for {name}{rest}")),
            None => {
                let why = stray::shown(why.to_owned());
                TemplateError::new(at.clone(), format!("error calling {name}: {why}"))
            }
        };
        let weight = |value: &Value| value.weight(VALUE_DEPTH_MAX, VALUE_MAX);
        let given = arguments.iter().try_fold(0, |sum: usize, value| sum.checked_add(weight(value)?));
        self.work = self.work.saturating_add(given.unwrap_or(usize::MAX));
        if given.is_none_or(|given| given > VALUE_MAX) || self.work > WORK_MAX {
            return Err(fail("its arguments are too large or too deep"));
        }
        match (function(arguments).map_err(|why| fail(&why))?, arguments) {
            // A key that `index` does not find.
            (Value::Nil, [Value::Map(_), ..]) if name == "index" => Ok(self.missing()),
            (value, _) => Ok(value),
        }
    }

    /// The value of a missing key.
    fn missing(&self) -> Value {
        match self.missing {
            Missing::Nothing => Value::Nil,
            Missing::Empty => "".into(),
        }
    }

    /// The value of a function that is given as a variable.
    fn given(&self, name: &str) -> Option<&Value> {
        self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    fn word(&mut self, word: &Word, dot: &Value, command: &Command) -> Result<Value, TemplateError> {
        match word {
            Word::Dot => Ok(dot.clone()),
            Word::Nil => Ok(Value::Nil),
            Word::Constant(value) => Ok(value.clone()),
            Word::Fields(fields) => self.fields("", dot.clone(), fields, command),
            Word::Variable(name, fields) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                let value = found.map_or(Value::Nil, |(_, value)| value.clone());
                self.fields(name, value, fields, command)
            }
            Word::Nested(pipeline, fields) => {
                let value = self.pipeline(pipeline, dot)?;
                self.fields("", value, fields, command)
            }
            // A function without arguments.
            Word::Function(Callee::Call(_), name) if self.given(name).is_some() => {
                Ok(self.given(name).cloned().unwrap_or(Value::Nil))
            }
            Word::Function(Callee::Call(function), name) => self.call(*function, name, &[], &command.at),
            Word::Function(_, name) => Err(TemplateError::of(&command.at, name, 0, no_argument(name))),
        }
    }

    /// The fields of a value, each of the one before. `of` is the name of the variable, if it is one.
    fn fields(
        &mut self,
        of: &str,
        value: Value,
        fields: &[String],
        command: &Command,
    ) -> Result<Value, TemplateError> {
        fields.iter().try_fold(value, |value, name| match (value, times::method(name)) {
            (Value::Map(entries), _) => Ok(entries.get(name).cloned().unwrap_or_else(|| self.missing())),
            (Value::Object(entries), _) => Ok(entries.get(name).cloned().unwrap_or(Value::Nil)),
            (time @ Value::Time(_), Some(method)) => self.call(method, name, &[time], &command.at),
            (other, _) => {
                let what = format!("can't evaluate field {name} in type {}", other.kind());
                let words = fields.iter().fold(of.to_owned(), |words, field| words + "." + field);
                Err(TemplateError::of(&command.at, &words, second(of, fields), what))
            }
        })
    }
}
