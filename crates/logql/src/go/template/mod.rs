//! Templates in the language of Go's `text/template`: text with actions in `{{ }}`.
//!
//! The language is here; the caller provides the functions and the data. Meaning is
//! Go's (`text/template/exec.go`, `funcs.go`): a missing key prints `<no value>`, a function that gets an argument of
//! the wrong type ends the template with an error. Templates of other templates (`define`, `template`, `block`) are
//! not supported, and say so. Whatever a template does, it ends: its output, its steps and its depth are bounded.

mod base64;
mod builtin;
mod decimal;
mod exec;
mod lexer;
mod numbers;
mod parser;
mod printf;
mod stray;
mod times;
mod tokens;
mod tree;
mod uses;
mod value;

pub(crate) mod logql;
pub mod prometheus;
pub mod promtail;

use std::ops::Range;

pub(crate) use times::value as time_value;
pub use uses::Use;
pub use value::Value;

use tree::Node;

/// A function of templates. Its error says what is wrong with the arguments, and ends the template.
pub type Function = fn(&[Value]) -> Result<Value, String>;

/// Looks a function up by its name; the built-in ones are there in any case.
pub type Functions = fn(&str) -> Option<Function>;

/// Why a text is not a valid template, or why filling a template in failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// What is wrong.
    pub message: String,
    /// Where in the template (bytes).
    pub at: Range<usize>,
    /// What Go shows of that place, and the place in it that it tells (bytes); the whole place unless given.
    shown: Option<(String, usize)>,
}

impl TemplateError {
    fn new(at: Range<usize>, message: impl Into<String>) -> TemplateError {
        TemplateError { message: message.into(), at, shown: None }
    }

    /// Of some words at a place.
    fn of(at: &Range<usize>, words: &str, offset: usize, message: String) -> TemplateError {
        TemplateError { message, at: at.clone(), shown: Some((words.to_owned(), offset)) }
    }

    /// The error of filling in a template of this source and name, in Go's words (`text/template`): with the line, the byte in
    /// it, and what stands there.
    pub(crate) fn as_go(&self, source: &str, name: &str) -> String {
        let inside = source.get(self.at.clone()).unwrap_or_default();
        let (shown, within) = match &self.shown {
            Some((words, offset)) => (words.as_str(), inside.find(words.as_str()).unwrap_or(0) + offset),
            None => (inside.trim(), inside.len() - inside.trim_start().len()),
        };
        let before = source.get(..self.at.start + within).unwrap_or_default();
        let line = 1 + before.matches('\n').count();
        let byte = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
        let Self { message, .. } = self;
        format!("template: {name}:{line}:{byte}: executing {name:?} at <{shown}>: {message}")
    }
}

/// A template, ready to be filled in.
#[derive(Debug, Clone)]
pub struct Template {
    source: String,
    nodes: Vec<Node>,
    /// The value of a missing key.
    missing: Missing,
}

/// The value of a missing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// Nothing, which prints as `<no value>`.
    Nothing,
    /// The empty text (Go's `missingkey=zero` on maps of texts).
    Empty,
}

impl PartialEq for Template {
    fn eq(&self, other: &Template) -> bool {
        self.source == other.source
    }
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// The text is not a valid template, or calls an unknown function.
    pub fn new(source: &str, functions: Functions) -> Result<Template, TemplateError> {
        let nodes = parser::parse(source, functions, &[], false)?;
        Ok(Template { source: source.to_owned(), nodes, missing: Missing::Nothing })
    }

    /// A template of which only the text counts.
    pub(crate) fn unread(source: &str) -> Template {
        Template { source: source.to_owned(), nodes: Vec::new(), missing: Missing::Empty }
    }

    /// Reads a template of LogQL: missing keys are empty texts, and arguments of what is no function fail when it is filled in.
    ///
    /// # Errors
    /// As [`Template::new`].
    pub(crate) fn with_empty(source: &str, functions: Functions) -> Result<Template, TemplateError> {
        let nodes = parser::parse(source, functions, &[], true)?;
        Ok(Template { source: source.to_owned(), nodes, missing: Missing::Empty })
    }

    /// Reads a template in which missing keys are empty texts, with variables (and their `$`) that [`Template::fill`] will be
    /// given.
    ///
    /// # Errors
    /// As [`Template::new`].
    pub fn with_variables(
        source: &str,
        functions: Functions,
        variables: &[&str],
    ) -> Result<Template, TemplateError> {
        let nodes = parser::parse(source, functions, variables, false)?;
        Ok(Template { source: source.to_owned(), nodes, missing: Missing::Empty })
    }

    /// The keys of the dot that it looks at, each once: `{{.a}}`.
    pub fn fields(&self) -> Vec<&str> {
        let mut fields = Vec::new();
        tree::fields(&self.nodes, &mut fields);
        fields
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text of a template without actions; `None` if there is an action.
    pub fn constant(&self) -> Option<&str> {
        match self.nodes.as_slice() {
            [] => Some(""),
            [Node::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The key, if the template is one key of the dot and nothing else: `{{.a}}`.
    pub(crate) fn single_key(&self) -> Option<&str> {
        let [Node::Show(pipeline)] = self.nodes.as_slice() else { return None };
        match (pipeline.commands.as_slice(), pipeline.variables.is_empty()) {
            ([command], true) => match command.words.as_slice() {
                [tree::Word::Fields(names)] if names.len() == 1 => names.first().map(String::as_str),
                _ => None,
            },
            _ => None,
        }
    }

    /// Fills it in. `data` is the dot, `variables` are those it begins with (with their `$`); a function whose name is
    /// among them gives that value.
    ///
    /// # Errors
    /// A function refused its arguments, or the template went over a bound.
    pub fn fill(&self, data: &Value, variables: &[(&str, Value)]) -> Result<String, TemplateError> {
        exec::run(&self.nodes, data, variables, self.missing)
    }
}

#[cfg(test)]
mod tests;
