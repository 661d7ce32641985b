//! The tree of a template.

use std::ops::Range;

use super::{Function, Value};

/// A part of a template.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Text(String),
    Show(Pipeline),
    If { condition: Pipeline, then: Vec<Node>, other: Vec<Node> },
    With { value: Pipeline, then: Vec<Node>, other: Vec<Node> },
    Range { value: Pipeline, body: Vec<Node>, other: Vec<Node> },
    Break,
    Continue,
}

/// Commands, each given the result of the one before as its last argument.
#[derive(Debug, Clone)]
pub(super) struct Pipeline {
    pub(super) variables: Vec<String>,
    /// `:=`, not `=`
    pub(super) declares: bool,
    pub(super) commands: Vec<Command>,
    pub(super) at: Range<usize>,
}

/// Words: a function and its arguments, or one value.
#[derive(Debug, Clone)]
pub(super) struct Command {
    pub(super) words: Vec<Word>,
    pub(super) at: Range<usize>,
}

#[derive(Debug, Clone)]
pub(super) enum Word {
    Dot,
    Nil,
    Constant(Value),
    Function(Callee, String),
    /// Of the dot.
    Fields(Vec<String>),
    Variable(String, Vec<String>),
    Nested(Box<Pipeline>, Vec<String>),
}

/// What a function's name stands for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Callee {
    /// Evaluates its arguments only as far as it must.
    And,
    Or,
    Call(Function),
}

/// The keys of the dot that nodes look at, each once.
pub(super) fn fields<'n>(nodes: &'n [Node], found: &mut Vec<&'n str>) {
    fn of_pipeline<'n>(pipeline: &'n Pipeline, found: &mut Vec<&'n str>) {
        for word in pipeline.commands.iter().flat_map(|command| &command.words) {
            match word {
                Word::Fields(names) => {
                    if let Some(name) = names.first()
                        && !found.contains(&name.as_str())
                    {
                        found.push(name);
                    }
                }
                Word::Nested(inner, _) => of_pipeline(inner, found),
                _ => {}
            }
        }
    }
    for node in nodes {
        match node {
            Node::Text(_) | Node::Break | Node::Continue => {}
            Node::Show(pipeline) => of_pipeline(pipeline, found),
            Node::If { condition: pipeline, then: first, other }
            | Node::With { value: pipeline, then: first, other }
            | Node::Range { value: pipeline, body: first, other } => {
                of_pipeline(pipeline, found);
                fields(first, found);
                fields(other, found);
            }
        }
    }
}
