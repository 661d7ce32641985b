//! The functions of JMESPath.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
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

/// An item of a list, and the key by which it is compared.
struct Keyed<'t> {
    key: Json<'t>,
    item: Json<'t>,
}

/// The function that is called, for its name in errors.
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

    /// The items in the order of their keys, which are all numbers or all strings. Items with equal keys keep their order.
    fn sorted<'t>(self, mut items: Vec<Keyed<'t>>) -> Result<Vec<Json<'t>>, EvalError> {
        let numbers = matches!(items.first(), Some(Keyed { key: Json::Number(_), .. }));
        let fits = |key: &Json<'_>| match key {
            Json::Number(_) => numbers,
            Json::Text(_) => !numbers,
            _ => false,
        };
        if let Some(odd) = items.iter().find(|item| !fits(&item.key)) {
            return self.refuse("only numbers or only strings", &odd.key);
        }
        items.sort_by(|a, b| match (&a.key, &b.key) {
            (Json::Number(a), Json::Number(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
            (Json::Text(a), Json::Text(b)) => a.cmp(b),
            _ => Ordering::Equal,
        });
        Ok(items.into_iter().map(|keyed| keyed.item).collect())
    }

    /// The greatest item or the least one; of equal items the first.
    fn best<'t>(self, mut items: Vec<Keyed<'t>>, greatest: bool) -> Result<Json<'t>, EvalError> {
        // Sorting keeps the order of equal items: reversed, the first of the greatest items comes last.
        if greatest {
            items.reverse();
        }
        let mut sorted = self.sorted(items)?;
        let best = if greatest { sorted.pop() } else { sorted.into_iter().next() };
        Ok(best.unwrap_or(Json::Null))
    }
}

/// The sum of numbers. (The sum of Rust's library is -0 if there are none.)
fn sum(numbers: &[f64]) -> f64 {
    numbers.iter().fold(0.0, |sum, number| sum + number)
}

/// The arguments of a call, with what is needed to evaluate them.
struct Arguments<'n, 'v, 't> {
    call: Call,
    nodes: &'n [Node],
    value: &'v Json<'t>,
}

impl<'t> Arguments<'_, '_, 't> {
    /// The value of an argument; `null` if there is none.
    fn get(&self, index: usize) -> Result<Json<'t>, EvalError> {
        self.nodes.get(index).map_or(Ok(Json::Null), |node| eval(node, self.value))
    }

    fn number(&self) -> Result<f64, EvalError> {
        self.call.number(&self.get(0)?)
    }

    fn numbers(&self) -> Result<Vec<f64>, EvalError> {
        self.call.numbers(&self.get(0)?)
    }

    /// The items of the list that is the first argument, each with itself as its key.
    fn items(&self) -> Result<Vec<Keyed<'t>>, EvalError> {
        let list = self.get(0)?;
        Ok(self
            .call
            .list(&list)?
            .iter()
            .map(|item| Keyed { key: item.clone(), item: item.clone() })
            .collect())
    }

    /// The items of that list, each with what the second argument, an expression, answers about it.
    fn keyed(&self) -> Result<Vec<Keyed<'t>>, EvalError> {
        let list = self.get(0)?;
        let key = self.nodes.get(1).unwrap_or(&Node::Current);
        let keyed = |item: &Json<'t>| Ok(Keyed { key: eval(key, item)?, item: item.clone() });
        self.call.list(&list)?.iter().map(keyed).collect()
    }
}

/// Calls a function. An argument that is a reference to an expression is evaluated for each item, not before.
pub(super) fn call<'t>(function: Function, nodes: &[Node], value: &Json<'t>) -> Result<Json<'t>, EvalError> {
    use Function::*;
    let arguments = Arguments { call: Call(function), nodes, value };
    match function {
        Abs | Avg | Ceil | Floor | Sum | Length | ToNumber => of_numbers(function, &arguments),
        Contains | StartsWith | EndsWith | Join | Reverse | ToString | Type => of_texts(function, &arguments),
        Keys | Values | Merge => of_objects(function, &arguments),
        Map | Max | MaxBy | Min | MinBy | Sort | SortBy | ToArray | NotNull => of_lists(function, &arguments),
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of JSON are float64, and no log has 2^53 items")]
fn of_numbers<'t>(function: Function, arguments: &Arguments<'_, '_, 't>) -> Result<Json<'t>, EvalError> {
    use Function::*;
    Ok(Json::Number(match function {
        Abs => arguments.number()?.abs(),
        Ceil => arguments.number()?.ceil(),
        Floor => arguments.number()?.floor(),
        Sum => sum(&arguments.numbers()?),
        Avg => match arguments.numbers()? {
            numbers if numbers.is_empty() => return Ok(Json::Null),
            numbers => sum(&numbers) / numbers.len() as f64,
        },
        Length => match &arguments.get(0)? {
            Json::Text(text) => text.chars().count() as f64,
            Json::List(items) => items.len() as f64,
            Json::Map(entries) => entries.len() as f64,
            other => return arguments.call.refuse("a string, an array or an object", other),
        },
        // `to_number`
        _ => match &arguments.get(0)? {
            Json::Text(text) => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => number,
                _ => return Ok(Json::Null),
            },
            Json::Number(number) => *number,
            _ => return Ok(Json::Null),
        },
    }))
}

fn of_texts<'t>(function: Function, arguments: &Arguments<'_, '_, 't>) -> Result<Json<'t>, EvalError> {
    use Function::*;
    let call = arguments.call;
    let first = arguments.get(0)?;
    Ok(match function {
        Contains => match (&first, arguments.get(1)?) {
            (Json::Text(text), Json::Text(part)) => Json::Bool(text.contains(&*part)),
            (Json::Text(_), _) => Json::Bool(false),
            (list, item) => Json::Bool(call.list(list)?.contains(&item)),
        },
        StartsWith => Json::Bool(call.text(&first)?.starts_with(call.text(&arguments.get(1)?)?)),
        EndsWith => Json::Bool(call.text(&first)?.ends_with(call.text(&arguments.get(1)?)?)),
        Join => {
            let (separator, list) = (call.text(&first)?, arguments.get(1)?);
            let texts: Vec<&str> =
                call.list(&list)?.iter().map(|item| call.text(item)).collect::<Result<_, _>>()?;
            Json::Text(texts.join(separator).into())
        }
        Reverse => match &first {
            Json::Text(text) => Json::Text(text.chars().rev().collect::<String>().into()),
            list => Json::list(call.list(list)?.iter().rev().cloned().collect()),
        },
        Type => Json::Text(Cow::Borrowed(type_name(&first))),
        // `to_string`
        _ => match first {
            text @ Json::Text(_) => text,
            other => {
                let mut text = String::new();
                other.write(&mut text);
                Json::Text(text.into())
            }
        },
    })
}

fn of_objects<'t>(function: Function, arguments: &Arguments<'_, '_, 't>) -> Result<Json<'t>, EvalError> {
    let call = arguments.call;
    if function == Function::Merge {
        let mut merged = BTreeMap::new();
        for node in arguments.nodes {
            match eval(node, arguments.value)? {
                Json::Map(entries) => {
                    merged.extend(entries.iter().map(|(name, value)| (name.clone(), value.clone())));
                }
                other => return call.refuse("objects", &other),
            }
        }
        return Ok(Json::Map(Arc::new(merged)));
    }
    match &arguments.get(0)? {
        Json::Map(entries) if function == Function::Keys => {
            Ok(Json::list(entries.keys().cloned().map(Json::Text).collect()))
        }
        Json::Map(entries) => Ok(Json::list(entries.values().cloned().collect())),
        other => call.refuse("an object", other),
    }
}

fn of_lists<'t>(function: Function, arguments: &Arguments<'_, '_, 't>) -> Result<Json<'t>, EvalError> {
    use Function::*;
    let call = arguments.call;
    Ok(match function {
        Max => call.best(arguments.items()?, true)?,
        Min => call.best(arguments.items()?, false)?,
        Sort => Json::list(call.sorted(arguments.items()?)?),
        MaxBy => call.best(arguments.keyed()?, true)?,
        MinBy => call.best(arguments.keyed()?, false)?,
        SortBy => Json::list(call.sorted(arguments.keyed()?)?),
        Map => {
            let (each, list) = (arguments.nodes.first().unwrap_or(&Node::Current), arguments.get(1)?);
            Json::list(call.list(&list)?.iter().map(|item| eval(each, item)).collect::<Result<_, _>>()?)
        }
        ToArray => match arguments.get(0)? {
            list @ Json::List(_) => list,
            other => Json::list(vec![other]),
        },
        // `not_null`
        _ => {
            for node in arguments.nodes {
                match eval(node, arguments.value)? {
                    Json::Null => {}
                    found => return Ok(found),
                }
            }
            Json::Null
        }
    })
}
