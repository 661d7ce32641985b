//! What a template uses: its functions, and the keys of its data and variables, each with its place.

use std::ops::Range;

use super::tree::{Command, Node, Pipeline, Word};
use super::{Template, Value};

/// Something that a template uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use<'t> {
    /// A function of this name.
    Function(&'t str),
    /// A key, and keys in it: of a variable (with its `$`), or of the data of the whole template (`$`).
    Keys(&'t str, Vec<&'t str>),
}

impl Template {
    /// All functions and keys that the template uses, each with its place, or that of its command (bytes). Keys of the dot inside
    /// of `range` and `with` are left out.
    pub fn uses(&self) -> Vec<(Use<'_>, Range<usize>)> {
        let mut found = Vec::new();
        of_nodes(&self.nodes, true, &mut found);
        for (used, at) in &mut found {
            // The place of the words inside of the command, if they stand there.
            let words = match used {
                Use::Function(name) => (*name).to_owned(),
                Use::Keys("$", keys) => format!(".{}", keys.first().copied().unwrap_or_default()),
                Use::Keys(name, keys) => format!("{name}.{}", keys.first().copied().unwrap_or_default()),
            };
            let inside = self.source.get(at.clone()).unwrap_or_default();
            if let Some(start) = inside.find(&words) {
                *at = at.start + start..at.start + start + words.len();
            }
        }
        found
    }
}

type Found<'t> = Vec<(Use<'t>, Range<usize>)>;

fn of_nodes<'t>(nodes: &'t [Node], root: bool, found: &mut Found<'t>) {
    for node in nodes {
        match node {
            Node::Text(_) | Node::Break | Node::Continue => {}
            Node::Show(pipeline) => of_pipeline(pipeline, root, found),
            Node::If { condition, then, other } => {
                of_pipeline(condition, root, found);
                of_nodes(then, root, found);
                of_nodes(other, root, found);
            }
            Node::With { value, then: inner, other } | Node::Range { value, body: inner, other } => {
                of_pipeline(value, root, found);
                of_nodes(inner, false, found);
                of_nodes(other, root, found);
            }
        }
    }
}

fn of_pipeline<'t>(pipeline: &'t Pipeline, root: bool, found: &mut Found<'t>) {
    for command in &pipeline.commands {
        of_command(command, root, found);
    }
}

fn of_command<'t>(command: &'t Command, root: bool, found: &mut Found<'t>) {
    let mut words = command.words.iter();
    let mut first = words.next();
    let mut more = Vec::new();
    if let Some(Word::Function(_, name)) = first {
        found.push((Use::Function(name), command.at.clone()));
        // `index $labels "unit"` is `$labels.unit`.
        if name == "index" {
            first = words.next();
            more.extend(words.clone().map_while(|word| match word {
                Word::Constant(Value::Text(text)) => Some(&**text),
                _ => None,
            }));
        } else {
            first = None;
        }
    }
    for word in first.into_iter().chain(words) {
        let more = std::mem::take(&mut more);
        let keys = |fields: &'t [String]| -> Vec<&'t str> {
            fields.iter().map(String::as_str).chain(more.iter().copied()).collect()
        };
        let used = match word {
            Word::Dot if root => Use::Keys("$", keys(&[])),
            Word::Fields(fields) if root => Use::Keys("$", keys(fields)),
            Word::Variable(name, fields) => Use::Keys(name, keys(fields)),
            Word::Nested(inner, _) => {
                of_pipeline(inner, root, found);
                continue;
            }
            _ => continue,
        };
        if !matches!(&used, Use::Keys(_, keys) if keys.is_empty()) {
            found.push((used, command.at.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go::template::prometheus;

    #[test]
    fn functions_and_keys_are_found() {
        let keys = |name, keys: &[&'static str]| Use::Keys(name, keys.to_vec());
        for (source, expected) in [
            ("{{ $labels.unit }}", vec![(keys("$labels", &["unit"]), "$labels.unit")]),
            ("a {{.Labels.unit}}", vec![(keys("$", &["Labels", "unit"]), ".Labels")]),
            ("{{ $.Labels.unit }}", vec![(keys("$", &["Labels", "unit"]), ".Labels")]),
            (
                "{{ index $labels \"unit\" }}",
                vec![
                    (Use::Function("index"), "index"),
                    (keys("$labels", &["unit"]), "index $labels \"unit\""),
                ],
            ),
            (
                "{{ with .Labels.a }}{{ .b }}{{ $labels.c }}{{ else }}{{ .Value }}{{ end }}",
                vec![
                    (keys("$", &["Labels", "a"]), ".Labels"),
                    (keys("$labels", &["c"]), "$labels.c"),
                    (keys("$", &["Value"]), ".Value"),
                ],
            ),
            (
                "{{ range query \"up\" }}{{ .x }}{{ end }}{{ (humanize $value) | title }}",
                vec![
                    (Use::Function("query"), "query"),
                    (Use::Function("humanize"), "humanize"),
                    (Use::Function("title"), "title"),
                ],
            ),
        ] {
            let template =
                Template::with_variables(source, prometheus::function, &["$labels", "$value"]).unwrap();
            let found: Vec<_> = template.uses().into_iter().map(|(used, at)| (used, &source[at])).collect();
            assert_eq!(found, expected, "{source}");
        }
    }
}
