//! The functions of JMESPath.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::eval::{EvalError, eval};
use super::parser::Node;
use crate::go::json::Json;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Abs,
    Avg,
    Ceil,
    Contains,
    EndsWith,
    Floor,
    Join,
    Keys,
    Length,
    Map,
    Max,
    MaxBy,
    Merge,
    Min,
    MinBy,
    NotNull,
    Reverse,
    Sort,
    SortBy,
    StartsWith,
    Sum,
    ToArray,
    ToNumber,
    ToString,
    Type,
    Values,
}

/// How a function is called.
pub(super) struct Signature {
    pub(super) function: Function,
    pub(super) name: &'static str,
    pub(super) usage: &'static str,
    /// How many arguments it takes.
    pub(super) arguments: RangeInclusive<usize>,
    /// Which of them is an expression to be asked of each item.
    pub(super) reference: Option<usize>,
}

const fn takes(function: Function, name: &'static str, usage: &'static str, arguments: usize) -> Signature {
    Signature { function, name, usage, arguments: arguments..=arguments, reference: None }
}

const fn any(function: Function, name: &'static str, usage: &'static str) -> Signature {
    Signature { function, name, usage, arguments: 1..=usize::MAX, reference: None }
}

const fn by(function: Function, name: &'static str, usage: &'static str, reference: usize) -> Signature {
    Signature { function, name, usage, arguments: 2..=2, reference: Some(reference) }
}

const SIGNATURES: &[Signature] = &[
    takes(Function::Abs, "abs", "abs(number)", 1),
    takes(Function::Avg, "avg", "avg(numbers)", 1),
    takes(Function::Ceil, "ceil", "ceil(number)", 1),
    takes(Function::Contains, "contains", "contains(list or text, value)", 2),
    takes(Function::EndsWith, "ends_with", "ends_with(text, end)", 2),
    takes(Function::Floor, "floor", "floor(number)", 1),
    takes(Function::Join, "join", "join(separator, texts)", 2),
    takes(Function::Keys, "keys", "keys(map)", 1),
    takes(Function::Length, "length", "length(value)", 1),
    by(Function::Map, "map", "map(&expression, list)", 0),
    takes(Function::Max, "max", "max(list)", 1),
    by(Function::MaxBy, "max_by", "max_by(list, &expression)", 1),
    any(Function::Merge, "merge", "merge(map, …)"),
    takes(Function::Min, "min", "min(list)", 1),
    by(Function::MinBy, "min_by", "min_by(list, &expression)", 1),
    any(Function::NotNull, "not_null", "not_null(value, …)"),
    takes(Function::Reverse, "reverse", "reverse(list or text)", 1),
    takes(Function::Sort, "sort", "sort(list)", 1),
    by(Function::SortBy, "sort_by", "sort_by(list, &expression)", 1),
    takes(Function::StartsWith, "starts_with", "starts_with(text, beginning)", 2),
    takes(Function::Sum, "sum", "sum(numbers)", 1),
    takes(Function::ToArray, "to_array", "to_array(value)", 1),
    takes(Function::ToNumber, "to_number", "to_number(value)", 1),
    takes(Function::ToString, "to_string", "to_string(value)", 1),
    takes(Function::Type, "type", "type(value)", 1),
    takes(Function::Values, "values", "values(map)", 1),
];

/// The function of that name.
pub(super) fn signature(name: &str) -> Option<&'static Signature> {
    SIGNATURES.iter().find(|signature| signature.name == name)
}

fn type_name(value: &Json<'_>) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::Text(_) => "string",
        Json::List(_) => "array",
        Json::Map(_) => "object",
    }
}

/// A call on its way, for its name in errors.
#[derive(Clone, Copy)]
struct Call(Function);

impl Call {
    fn refuse<T>(self, expected: &'static str, found: &Json<'_>) -> Result<T, EvalError> {
        let signature = SIGNATURES.iter().find(|signature| signature.function == self.0);
        let function = signature.map_or("", |signature| signature.name);
        Err(EvalError { function, expected, found: type_name(found) })
    }

    fn number(self, value: &Json<'_>) -> Result<f64, EvalError> {
        match value {
            Json::Number(number) => Ok(*number),
            other => self.refuse("a number", other),
        }
    }

    fn text<'v>(self, value: &'v Json<'_>) -> Result<&'v str, EvalError> {
        match value {
            Json::Text(text) => Ok(text),
            other => self.refuse("a string", other),
        }
    }

    fn list<'v, 't>(self, value: &'v Json<'t>) -> Result<&'v [Json<'t>], EvalError> {
        match value {
            Json::List(items) => Ok(items),
            other => self.refuse("an array", other),
        }
    }

    fn numbers(self, value: &Json<'_>) -> Result<Vec<f64>, EvalError> {
        self.list(value)?.iter().map(|item| self.number(item)).collect()
    }

    /// The items in the order of their keys, which are all numbers or all strings; equal ones as they were.
    fn sorted<'t>(self, mut keyed: Vec<(Json<'t>, Json<'t>)>) -> Result<Vec<Json<'t>>, EvalError> {
        let one_type = |key: &Json<'_>| match keyed.first() {
            Some((Json::Number(_), _)) => matches!(key, Json::Number(_)),
            _ => matches!(key, Json::Text(_)),
        };
        if let Some((odd, _)) = keyed.iter().find(|(key, _)| !one_type(key)) {
            return self.refuse("only numbers or only strings", odd);
        }
        keyed.sort_by(|(a, _), (b, _)| match (a, b) {
            (Json::Number(a), Json::Number(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
            (Json::Text(a), Json::Text(b)) => a.cmp(b),
            _ => Ordering::Equal,
        });
        Ok(keyed.into_iter().map(|(_, item)| item).collect())
    }

    /// The first of the greatest items, or of the least.
    fn best<'t>(self, keyed: Vec<(Json<'t>, Json<'t>)>, greatest: bool) -> Result<Json<'t>, EvalError> {
        // Sorting keeps the order of equal items: the first of the greatest is the last once reversed.
        let mut keyed = keyed;
        if greatest {
            keyed.reverse();
        }
        let mut sorted = self.sorted(keyed)?;
        let best = if greatest { sorted.pop() } else { sorted.into_iter().next() };
        Ok(best.unwrap_or(Json::Null))
    }
}

/// Rust's own sum begins at -0.
fn sum(numbers: &[f64]) -> f64 {
    numbers.iter().fold(0.0, |sum, number| sum + number)
}

/// Each item with itself as its key.
fn by_itself<'t>(items: &[Json<'t>]) -> Vec<(Json<'t>, Json<'t>)> {
    items.iter().map(|item| (item.clone(), item.clone())).collect()
}

/// Calls a function. Where its signature names a reference, that argument is not evaluated before.
#[expect(clippy::cast_precision_loss, reason = "numbers of JSON are float64, and no log has 2^53 items")]
pub(super) fn call<'t>(
    function: Function,
    arguments: &[Node],
    value: &Json<'t>,
) -> Result<Json<'t>, EvalError> {
    use Function::*;

    let call = Call(function);
    let argument = |index: usize| arguments.get(index).map_or(Ok(Json::Null), |node| eval(node, value));
    let keyed = || -> Result<Vec<_>, EvalError> {
        let list = argument(0)?;
        let key = arguments.get(1).unwrap_or(&Node::Current);
        call.list(&list)?.iter().map(|item| Ok((eval(key, item)?, item.clone()))).collect()
    };
    let first = match function {
        Map | MaxBy | MinBy | SortBy | NotNull | Merge => Json::Null,
        _ => argument(0)?,
    };
    Ok(match function {
        Abs => Json::Number(call.number(&first)?.abs()),
        Ceil => Json::Number(call.number(&first)?.ceil()),
        Floor => Json::Number(call.number(&first)?.floor()),
        Sum => Json::Number(sum(&call.numbers(&first)?)),
        Avg => match call.numbers(&first)? {
            numbers if numbers.is_empty() => Json::Null,
            numbers => Json::Number(sum(&numbers) / numbers.len() as f64),
        },
        Contains => match (&first, argument(1)?) {
            (Json::Text(text), Json::Text(part)) => Json::Bool(text.contains(&*part)),
            (Json::Text(_), _) => Json::Bool(false),
            (list, item) => Json::Bool(call.list(list)?.contains(&item)),
        },
        StartsWith => Json::Bool(call.text(&first)?.starts_with(call.text(&argument(1)?)?)),
        EndsWith => Json::Bool(call.text(&first)?.ends_with(call.text(&argument(1)?)?)),
        Join => {
            let (separator, list) = (call.text(&first)?, argument(1)?);
            let texts: Vec<&str> =
                call.list(&list)?.iter().map(|item| call.text(item)).collect::<Result<_, _>>()?;
            Json::Text(texts.join(separator).into())
        }
        Keys => match &first {
            Json::Map(entries) => Json::list(entries.keys().cloned().map(Json::Text).collect()),
            other => return call.refuse("an object", other),
        },
        Values => match &first {
            Json::Map(entries) => Json::list(entries.values().cloned().collect()),
            other => return call.refuse("an object", other),
        },
        Length => Json::Number(match &first {
            Json::Text(text) => text.chars().count() as f64,
            Json::List(items) => items.len() as f64,
            Json::Map(entries) => entries.len() as f64,
            other => return call.refuse("a string, an array or an object", other),
        }),
        Max => call.best(by_itself(call.list(&first)?), true)?,
        Min => call.best(by_itself(call.list(&first)?), false)?,
        Sort => Json::list(call.sorted(by_itself(call.list(&first)?))?),
        MaxBy => call.best(keyed()?, true)?,
        MinBy => call.best(keyed()?, false)?,
        SortBy => Json::list(call.sorted(keyed()?)?),
        Map => {
            let (each, list) = (arguments.first().unwrap_or(&Node::Current), argument(1)?);
            Json::list(call.list(&list)?.iter().map(|item| eval(each, item)).collect::<Result<_, _>>()?)
        }
        Merge => {
            let mut merged = std::collections::BTreeMap::new();
            for node in arguments {
                match eval(node, value)? {
                    Json::Map(entries) => {
                        merged.extend(entries.iter().map(|(name, value)| (name.clone(), value.clone())));
                    }
                    other => return call.refuse("objects", &other),
                }
            }
            Json::Map(Arc::new(merged))
        }
        NotNull => {
            for node in arguments {
                match eval(node, value)? {
                    Json::Null => {}
                    found => return Ok(found),
                }
            }
            Json::Null
        }
        Reverse => match &first {
            Json::Text(text) => Json::Text(text.chars().rev().collect::<String>().into()),
            list => Json::list(call.list(list)?.iter().rev().cloned().collect()),
        },
        ToArray => match first {
            list @ Json::List(_) => list,
            other => Json::list(vec![other]),
        },
        ToNumber => match &first {
            Json::Text(text) => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Json::Number(number),
                _ => Json::Null,
            },
            Json::Number(number) => Json::Number(*number),
            _ => Json::Null,
        },
        ToString => match first {
            text @ Json::Text(_) => text,
            other => {
                let mut text = String::new();
                other.write(&mut text);
                Json::Text(text.into())
            }
        },
        Type => Json::Text(Cow::Borrowed(type_name(&first))),
    })
}
