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

impl Pipeline {
    /// One word.
    pub(super) fn of(word: Word, at: Range<usize>) -> Pipeline {
        let commands = vec![Command { words: vec![word], at: at.clone() }];
        Pipeline { variables: Vec::new(), declares: false, commands, at }
    }
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

impl Word {
    /// What is asked for its last name, and that name: of `.a.b`, `.a` and `b`. `None` for a word without names.
    pub(super) fn last_name(&self) -> Option<(Word, &str)> {
        let (Word::Fields(fields) | Word::Variable(_, fields) | Word::Nested(_, fields)) = self else {
            return None;
        };
        let (last, above) = fields.split_last()?;
        let above = match self {
            Word::Variable(name, _) => Word::Variable(name.clone(), above.to_vec()),
            Word::Nested(pipeline, _) => Word::Nested(pipeline.clone(), above.to_vec()),
            _ if above.is_empty() => Word::Dot,
            _ => Word::Fields(above.to_vec()),
        };
        Some((above, last))
    }
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
