//! The evaluation of an expression.

use std::sync::Arc;

use super::functions;
use super::lexer::Comparison;
use super::parser::{Node, Slice};
use crate::go::json::Json;

/// A function was given a value that it does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the function `{function}` takes {expected}, not {found}")]
pub struct EvalError {
    pub(super) function: &'static str,
    pub(super) expected: &'static str,
    pub(super) found: &'static str,
}

/// Evaluates an expression. The recursion is as deep as the tree, which the number of tokens bounds.
pub(super) fn eval<'t>(node: &Node, value: &Json<'t>) -> Result<Json<'t>, EvalError> {
    Ok(match node {
        Node::Current => value.clone(),
        Node::Literal(literal) => literal.clone(),
        Node::Field(name) => match value {
            Json::Map(entries) => entries.get(name.as_str()).cloned().unwrap_or(Json::Null),
            _ => Json::Null,
        },
        Node::Index(index) => match value {
            Json::List(items) => at(items, *index).cloned().unwrap_or(Json::Null),
            _ => Json::Null,
        },
        Node::Slice(slice) => match value {
            Json::List(items) => Json::list(sliced(items, *slice)),
            _ => Json::Null,
        },
        Node::Then(first, second) => eval(second, &eval(first, value)?)?,
        Node::Or(first, second) => match eval(first, value)? {
            answer if holds(&answer) => answer,
            _ => eval(second, value)?,
        },
        Node::And(first, second) => match eval(first, value)? {
            answer if holds(&answer) => eval(second, value)?,
            answer => answer,
        },
        Node::Not(operand) => Json::Bool(!holds(&eval(operand, value)?)),
        Node::Compare(comparison, left, right) => {
            compare(*comparison, &eval(left, value)?, &eval(right, value)?)
        }
        Node::List(_) | Node::Map(_) if *value == Json::Null => Json::Null,
        Node::List(nodes) => {
            Json::list(nodes.iter().map(|node| eval(node, value)).collect::<Result<_, _>>()?)
        }
        Node::Map(entries) => {
            let pairs = entries.iter().map(|(name, node)| Ok((name.clone().into(), eval(node, value)?)));
            Json::Map(Arc::new(pairs.collect::<Result<_, _>>()?))
        }
        Node::Flatten(list) => match eval(list, value)? {
            Json::List(items) => Json::list(flattened(&items)),
            _ => Json::Null,
        },
        Node::Each(list, each) => match eval(list, value)? {
            Json::List(items) => projected(items.iter(), each)?,
            _ => Json::Null,
        },
        Node::EachValue(map, each) => match eval(map, value)? {
            Json::Map(entries) => projected(entries.values(), each)?,
            _ => Json::Null,
        },
        Node::Filter { list, condition, each } => match eval(list, value)? {
            Json::List(items) => {
                let mut kept = Vec::new();
                for item in items.iter() {
                    if holds(&eval(condition, item)?) {
                        kept.push(item);
                    }
                }
                projected(kept.into_iter(), each)?
            }
            _ => Json::Null,
        },
        Node::Call(function, arguments) => functions::call(*function, arguments, value)?,
    })
}

/// Whether a value counts as true: it is not null, false or empty. Numbers always do.
fn holds(value: &Json<'_>) -> bool {
    match value {
        Json::Null => false,
        Json::Bool(value) => *value,
        Json::Number(_) => true,
        Json::Text(text) => !text.is_empty(),
        Json::List(items) => !items.is_empty(),
        Json::Map(entries) => !entries.is_empty(),
    }
}

/// Only numbers have an order.
fn compare<'t>(comparison: Comparison, left: &Json<'t>, right: &Json<'t>) -> Json<'t> {
    Json::Bool(match (comparison, left, right) {
        (Comparison::Equal, _, _) => left == right,
        (Comparison::Unequal, _, _) => left != right,
        (Comparison::Less, Json::Number(a), Json::Number(b)) => a < b,
        (Comparison::AtMost, Json::Number(a), Json::Number(b)) => a <= b,
        (Comparison::Greater, Json::Number(a), Json::Number(b)) => a > b,
        (Comparison::AtLeast, Json::Number(a), Json::Number(b)) => a >= b,
        _ => return Json::Null,
    })
}

/// The item of that index; negative ones count from the end.
fn at<'i, 't>(items: &'i [Json<'t>], index: i64) -> Option<&'i Json<'t>> {
    let index = if index < 0 { index.saturating_add(length(items)) } else { index };
    items.get(usize::try_from(index).ok()?)
}

fn length(items: &[Json<'_>]) -> i64 {
    i64::try_from(items.len()).unwrap_or(i64::MAX)
}

/// Python's slices.
fn sliced<'t>(items: &[Json<'t>], slice: Slice) -> Vec<Json<'t>> {
    let length = length(items);
    let forward = slice.step > 0;
    let (low, high) = if forward { (0, length) } else { (-1, length - 1) };
    let bound = |index: i64| {
        let index = if index < 0 { index.saturating_add(length) } else { index };
        index.clamp(low, high)
    };
    let mut index = slice.start.map_or(if forward { low } else { high }, bound);
    let stop = slice.stop.map_or(if forward { high } else { low }, bound);
    let mut taken = Vec::new();
    while if forward { index < stop } else { index > stop } {
        taken.extend(usize::try_from(index).ok().and_then(|index| items.get(index)).cloned());
        index = index.saturating_add(slice.step);
    }
    taken
}

/// Items that are lists give way to their own items.
fn flattened<'t>(items: &[Json<'t>]) -> Vec<Json<'t>> {
    let mut flat = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Json::List(inner) => flat.extend(inner.iter().cloned()),
            _ => flat.push(item.clone()),
        }
    }
    flat
}

/// The answers about each item, but for nulls.
fn projected<'i, 't: 'i>(
    items: impl Iterator<Item = &'i Json<'t>>,
    each: &Node,
) -> Result<Json<'t>, EvalError> {
    let mut answers = Vec::with_capacity(items.size_hint().0);
    for item in items {
        match eval(each, item)? {
            Json::Null => {}
            answer => answers.push(answer),
        }
    }
    Ok(Json::list(answers))
}
