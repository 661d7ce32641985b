//! What is in force: every key with its value, and where the value comes from.
//!
//! The form is YAML that this program reads again, with a comment behind each value: the line of the file, an environment
//! variable, or `default`. What may be a credential is shown as stars.

use std::path::Path;

use super::load::source;
use super::{Config, Environment, KEYS, Key, Unset, expands};
use crate::os::text::Line;
use crate::yaml::secrets::{is_suspect, is_suspect_url};
use crate::yaml::write::{inline, scalar};
use crate::yaml::{Diagnostics, Expanded, Kind, Node, Span, document, escaped, expanded, secrets};

/// What stands for a value that may be a credential.
const STARS: &str = "'********'";
/// Comments stand behind the longest line, but not further right than this (columns).
const COMMENTS_AT_MOST: usize = 56;
/// Sections that mean something only where they are written, and what it means that they are not.
const ONLY_WRITTEN: [(&str, &str); 1] = [("retention", "nothing is dropped, and no label tells a class")];

/// The configuration in a file as it is in force; without one, the built-in defaults.
///
/// # Errors
///
/// The file cannot be read, or has mistakes. Values with variables that are not set here are shown as written.
pub fn show(file: Option<&Path>, env: &Environment<'_>) -> Result<String, Diagnostics> {
    let Some(path) = file else {
        let root = Node::map(Vec::new());
        return Ok(Shown::new("", "", &root, &Config::builtin(env), env).text(&root));
    };
    let (source, origin) = (source(path)?, path.display().to_string());
    let (config, _) = Config::examine_source(&source, &origin, env, Unset::Unknown)?;
    let root = document(&source, &origin)?;
    Ok(Shown::new(&source, &origin, &root, &config, env).text(&root))
}

/// Where a part stands: how deep, and which of its defaults are worth a line.
#[derive(Clone, Copy)]
struct At {
    depth: usize,
    defaults: Defaults,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Defaults {
    /// All.
    Shown,
    /// Those that say something: not `null`.
    Telling,
    /// None, as in stages.
    Hidden,
}

impl At {
    fn deeper(self) -> At {
        At { depth: self.depth + 1, ..self }
    }
}

/// The lines so far.
struct Shown<'s> {
    source: &'s str,
    origin: &'s str,
    env: &'s Environment<'s>,
    config: &'s Config,
    secrets: Vec<Span>,
    /// Lines with their comments.
    lines: Vec<(String, String)>,
}

impl<'s> Shown<'s> {
    fn new(
        source: &'s str,
        origin: &'s str,
        root: &Node,
        config: &'s Config,
        env: &'s Environment<'s>,
    ) -> Shown<'s> {
        Shown { source, origin, env, config, secrets: secrets::in_document(root), lines: Vec::new() }
    }

    /// All of it as text.
    fn text(mut self, root: &Node) -> String {
        self.section("", Some(root), At { depth: 0, defaults: Defaults::Shown });
        let width = |(line, _): &(String, String)| line.chars().count();
        let widths = self.lines.iter().filter(|(_, comment)| !comment.is_empty()).map(width);
        let column = widths.filter(|width| *width <= COMMENTS_AT_MOST).max().unwrap_or(0);
        let mut out = String::new();
        for (line, comment) in &self.lines {
            match comment.is_empty() {
                true => out.push_str(line),
                false => out.push_str(&format!("{line:column$}  # {}", Line(comment))),
            }
            out.push('\n');
        }
        out
    }

    fn line(&mut self, depth: usize, text: &str, comment: impl Into<String>) {
        self.lines.push((format!("{}{text}", "  ".repeat(depth)), comment.into()));
    }

    /// The keys of a section in the order of the reference: what is written, else what its defaults are.
    fn section(&mut self, schema: &str, written: Option<&Node>, at: At) {
        for key in KEYS {
            let (parent, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
            if parent != schema {
                continue;
            }
            match written.and_then(|node| child(node, name)).filter(|node| !counts_as_default(key, node)) {
                Some(node) => self.written(key, name, node, at),
                None => self.default(key, name, at),
            }
        }
    }

    fn written(&mut self, key: &Key, name: &str, node: &Node, at: At) {
        match (&node.kind, key.kind) {
            (Kind::Map(_) | Kind::Null, "section") => {
                self.line(at.depth, &format!("{name}:"), "");
                self.section(key.path, Some(node), at.deeper());
            }
            (Kind::Seq(items), "list of sections" | "list of stages") if !items.is_empty() => {
                let (schema, defaults) = match key.kind {
                    // Stages inside a stage have the keys of stages.
                    "list of stages" => ("stages[]".to_owned(), Defaults::Hidden),
                    _ => (format!("{}[]", key.path), at.defaults.max(Defaults::Telling)),
                };
                self.line(at.depth, &format!("{name}:"), "");
                for item in items {
                    self.item(&schema, item, At { depth: at.depth + 1, defaults });
                }
            }
            _ => self.value(name, node, expands(key), at.depth),
        }
    }

    /// An item of a list of sections; the dash stands before its first line.
    fn item(&mut self, schema: &str, item: &Node, at: At) {
        let first = self.lines.len();
        self.section(schema, Some(item), at.deeper());
        self.dash(first, at.depth);
    }

    fn dash(&mut self, first: usize, depth: usize) {
        if let Some((line, _)) = self.lines.get_mut(first)
            && line.len() >= depth * 2 + 2
        {
            line.replace_range(depth * 2..depth * 2 + 2, "- ");
        }
    }

    /// A value as it is written, with its name. `expands`: environment variables in it are replaced.
    fn value(&mut self, name: &str, node: &Node, expands: bool, depth: usize) {
        let name = scalar(name);
        match &node.kind {
            Kind::Map(entries) if !entries.is_empty() => {
                self.line(depth, &format!("{name}:"), "");
                for (key, value) in entries {
                    if let Kind::Str(key) = &key.kind {
                        self.value(key, value, expands, depth + 1);
                    }
                }
            }
            Kind::Seq(items) if items.iter().any(|item| matches!(item.kind, Kind::Map(_) | Kind::Seq(_))) => {
                self.line(depth, &format!("{name}:"), "");
                for item in items {
                    let first = self.lines.len();
                    if let Kind::Map(entries) = &item.kind {
                        for (key, value) in entries {
                            if let Kind::Str(key) = &key.kind {
                                self.value(key, value, expands, depth + 2);
                            }
                        }
                    }
                    self.dash(first, depth + 1);
                }
            }
            Kind::Seq(items) => {
                let (texts, comments): (Vec<_>, Vec<_>) =
                    items.iter().map(|item| self.scalar(item, expands)).unzip();
                let comment = comments.into_iter().max_by_key(String::len);
                let comment = comment.unwrap_or_else(|| self.place(&node.used));
                self.line(depth, &format!("{name}: [{}]", texts.join(", ")), comment);
            }
            _ => {
                let (text, comment) = self.scalar(node, expands);
                self.line(depth, &format!("{name}: {text}"), comment);
            }
        }
    }

    /// A scalar, and where it comes from.
    fn scalar(&self, node: &Node, expands: bool) -> (String, String) {
        let place = self.place(&node.used);
        let hidden = self.secrets.contains(&node.span);
        let Kind::Str(text) = &node.kind else {
            let text = if hidden { STARS.to_owned() } else { inline(node).unwrap_or_default() };
            return (text, place);
        };
        let Expanded { text, variables, unset } = match expands {
            true => expanded(text, self.env),
            false => Expanded { text: text.clone(), variables: Vec::new(), unset: None },
        };
        let hidden = hidden || is_suspect_url(&text) || variables.iter().any(|name| is_suspect(name));
        // What is left of `${` after expansion is a text, and reading it again must not take it for a variable.
        let again = if expands && unset.is_none() { escaped(&text) } else { text };
        let mut comment = place;
        if !variables.is_empty() {
            comment.push_str(&format!(", environment {}", variables.join(", ")));
        }
        if let Some(unset) = unset {
            comment.push_str(&format!(", {unset} is not set here"));
        }
        (if hidden { STARS.to_owned() } else { plain(&again) }, comment)
    }

    /// A key that is not written.
    fn default(&mut self, key: &Key, name: &str, at: At) {
        if at.defaults == Defaults::Hidden || key.default == "required" || name == "*" {
            return;
        }
        if let Some((_, means)) = ONLY_WRITTEN.iter().find(|(path, _)| *path == key.path) {
            return self.line(at.depth, &format!("#~ {name}:"), format!("not written: {means}"));
        }
        if key.kind == "section" && key.default.is_empty() {
            let first = self.lines.len();
            self.line(at.depth, &format!("{name}:"), "");
            self.section(key.path, None, at.deeper());
            if self.lines.len() == first + 1 {
                self.lines.truncate(first);
            }
            return;
        }
        if at.defaults == Defaults::Telling && matches!(key.default, "null" | "{}" | "[]" | "\"\"") {
            return;
        }
        let of_config = match key.path {
            "query.socket" => Some(self.config.query.socket.as_deref()),
            "state_directory" => Some(Some(self.config.state_directory.as_path())),
            _ => None,
        };
        if let Some(path) = of_config {
            let text = path.map_or("null".into(), |path| plain(&escaped(&path.display().to_string())));
            let comment = match key.path {
                "query.socket" if path.is_some() => "default, environment RUNTIME_DIRECTORY",
                "query.socket" => "default; where systemd sets RUNTIME_DIRECTORY: query.sock in it",
                _ if (self.env)("STATE_DIRECTORY").is_some() => "default, environment STATE_DIRECTORY",
                _ => "default",
            };
            return self.line(at.depth, &format!("{name}: {text}"), comment);
        }
        let Expanded { text, variables, .. } = expanded(key.default, self.env);
        let mut comment = "default".to_owned();
        if !variables.is_empty() {
            comment = format!("default, environment {}", variables.join(", "));
        }
        // A default with a variable in it is a text, and others are YAML.
        match document(&text, "default").ok().filter(|_| text == key.default) {
            Some(node) => self.default_value(key, name, &node, at.depth, &comment),
            None => self.line(at.depth, &format!("{name}: {}", plain(&escaped(&text))), comment),
        }
    }

    /// A default, those of a map that are in force: one label has one origin, and what is written counts.
    fn default_value(&mut self, key: &Key, name: &str, node: &Node, depth: usize, comment: &str) {
        let Kind::Map(entries) = &node.kind else {
            let text = match &node.kind {
                Kind::Seq(items) if items.is_empty() => "[]".to_owned(),
                Kind::Str(text) => plain(text),
                _ => inline(node).unwrap_or_default(),
            };
            return self.line(depth, &format!("{name}: {text}"), comment);
        };
        let labels = &self.config.labels;
        let in_force = |label: &str| match key.path {
            "labels.static" => labels.fixed.iter().any(|(name, _)| name == label),
            "labels.fields" => labels.fields.iter().any(|rule| rule.name == label),
            _ => true,
        };
        let kept: Vec<_> = entries.iter().filter(|(key, _)| key.text_of().is_none_or(in_force)).collect();
        if kept.is_empty() {
            return self.line(depth, &format!("{name}: {{}}"), comment);
        }
        self.line(depth, &format!("{name}:"), "");
        for (key, value) in kept {
            let (key, value) = (key.text_of().unwrap_or_default(), inline(value).unwrap_or_default());
            self.line(depth + 1, &format!("{}: {value}", scalar(key)), comment);
        }
    }

    /// `config.yaml:12`
    fn place(&self, span: &Span) -> String {
        let before = self.source.get(..span.start).unwrap_or_default();
        format!("{}:{}", self.origin, before.matches('\n').count() + 1)
    }
}

/// A text as a YAML scalar, without quotes where it means the same without them: `7d`, `http://loki:3100`.
fn plain(text: &str) -> String {
    let simple = |c: char| c.is_ascii_alphanumeric() || "_-./:@+".contains(c);
    let quoted = scalar(text);
    let words = text.chars().all(simple) && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/');
    let same = || document(text, "value").is_ok_and(|node| node.kind == Kind::Str(text.to_owned()));
    match quoted.starts_with('\'')
        && text.contains(|c: char| c.is_ascii_digit() || c == ':')
        && words
        && same()
    {
        true => text.to_owned(),
        false => quoted,
    }
}

impl Defaults {
    /// The one that shows less.
    fn max(self, other: Defaults) -> Defaults {
        if self == Defaults::Shown { other } else { self }
    }
}

/// The value of a key that is written.
fn child<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    let Kind::Map(entries) = &node.kind else { return None };
    entries.iter().find(|(key, _)| key.text_of() == Some(name)).map(|(_, value)| value)
}

/// A key without a value counts as not written, except for a section that means something by being there.
fn counts_as_default(key: &Key, node: &Node) -> bool {
    node.kind == Kind::Null && !ONLY_WRITTEN.iter().any(|(path, _)| *path == key.path)
        && !key.path.starts_with("stages[]")
        // `null` is a value of its own where another one is the default.
        && (key.kind == "section" || key.kind.starts_with("list") || key.kind.starts_with("map") || key.default == "null")
}
