//! The tree of a YAML document as it is written. Every node has its place, duplicate keys are kept, and nothing is
//! interpreted beyond the types of YAML.
//!
//! serde-saphyr parses the document; no other file uses it. Every node is accepted, so its errors about types cannot happen
//! here. What can fail is the syntax, or a limit.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{AliasLimits, DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Error, Location, Spanned};

use super::diagnostic::{Finding, Span};

/// The most collections inside collections (count). Documents need six. The limit protects the stack.
const DEPTH_MAX: usize = 32;
/// The most nodes of a document (count): more than any real configuration has, and few enough for memory.
const NODES_MAX: usize = 20_000;
/// The most nodes that aliases (`*name`) may add (count). Anchors save typing; nobody writes large documents with them.
const ALIASED_NODES_MAX: usize = 5_000;

/// One node of the document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Where it is written.
    pub(crate) span: Span,
    /// Where it is used: at the alias for a node that comes through one, else where it is written.
    pub(crate) used: Span,
    pub(crate) kind: Kind,
}

/// What a node is, by YAML's core schema.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    /// A number as it was written: `0x10`, `1e3` and `1.10` mean nothing to us as numbers yet.
    Int(String),
    Float(String),
    Str(String),
    Seq(Vec<Node>),
    /// Keys in the order written, duplicates included.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// A text without a place.
    pub(crate) fn text(text: &str) -> Node {
        Node { span: 0..0, used: 0..0, kind: Kind::Str(text.to_owned()) }
    }

    /// The keys of a map that are texts.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        let entries = match &self.kind {
            Kind::Map(entries) => entries.as_slice(),
            _ => &[],
        };
        entries.iter().filter_map(|(key, _)| match &key.kind {
            Kind::Str(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The text of a string.
    pub(crate) fn text_of(&self) -> Option<&str> {
        match &self.kind {
            Kind::Str(text) => Some(text),
            _ => None,
        }
    }

    /// A map without a place.
    pub(crate) fn map(entries: Vec<(Node, Node)>) -> Node {
        Node { span: 0..0, used: 0..0, kind: Kind::Map(entries) }
    }
}

impl Node {
    /// The place of a path such as `stages[0].match.selector`: its value, or the value of the last part of it that is written.
    /// `None`: not even its second part is written.
    pub(crate) fn place(&self, path: &str) -> Option<Span> {
        let mut node = self;
        let mut rest = path;
        let mut steps = 0;
        while !rest.is_empty() {
            let next = match (&node.kind, rest.strip_prefix('[')) {
                (Kind::Seq(items), Some(index)) => {
                    let (index, after) = index.split_once(']')?;
                    rest = after;
                    items.get(index.parse::<usize>().ok()?)
                }
                (Kind::Map(entries), None) => {
                    let path = rest.trim_start_matches('.');
                    let end = path.find(['.', '[']).unwrap_or(path.len());
                    let (name, after) = path.split_at(end);
                    rest = after;
                    entries
                        .iter()
                        .find(|(key, _)| key.kind == Kind::Str(name.to_owned()))
                        .map(|(_, node)| node)
                }
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
            steps += 1;
        }
        (steps >= 2).then(|| node.used.clone())
    }
}

impl Kind {
    /// The kind in a message: "found a list".
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "a number",
            Self::Float(_) => "a number with a fraction",
            Self::Str(_) => "a string",
            Self::Seq(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// The most that all texts take together (bytes): four times the largest file. Texts that aliases repeat count each time.
const TEXT_MAX: usize = 4 * super::file::FILE_MAX;

/// The one document of `source`; an empty one is `Null`.
///
/// # Errors
///
/// The syntax is broken, there are several documents, or a limit is exceeded. The error has its place.
pub(crate) fn document(source: &str) -> Result<Node, Box<Finding>> {
    let mut alias_limits = AliasLimits::default();
    alias_limits.max_total_replayed_events = ALIASED_NODES_MAX;
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX + 1,
            max_nodes: NODES_MAX,
            max_total_scalar_bytes: TEXT_MAX,
        },
        alias_limits: alias_limits,
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options::<Spanned<Raw>>(source, options)
        .map(|raw| node(raw, source))
        .map_err(|error| Box::new(syntax_finding(&error, source)))
}

fn node(raw: Spanned<Raw>, source: &str) -> Node {
    let span = byte_span(&raw.defined, source);
    let used = byte_span(&raw.referenced, source);
    let written = || source.get(span.clone()).unwrap_or_default().to_owned();
    let kind = match raw.value {
        Raw::Null => Kind::Null,
        Raw::Bool(value) => Kind::Bool(value),
        Raw::Int => Kind::Int(written()),
        Raw::Float => Kind::Float(written()),
        Raw::Str(text) => Kind::Str(text),
        Raw::Seq(items) => Kind::Seq(items.into_iter().map(|item| node(item, source)).collect()),
        Raw::Map(entries) => Kind::Map(
            entries.into_iter().map(|(key, value)| (node(key, source), node(value, source))).collect(),
        ),
    };
    let last = match &kind {
        Kind::Seq(items) => items.last(),
        Kind::Map(entries) => entries.last().map(|(_, value)| value),
        _ => None,
    };
    // An item that comes through an alias or a merge has its place elsewhere.
    let end =
        last.map_or(span.end, |last| if last.used == last.span { last.span.end } else { last.used.end });
    let end = end.max(span.end);
    let whole = span.start..closing_bracket(source, &span, end);
    let used = if used == span { whole.clone() } else { used };
    Node { span: whole, used, kind }
}

/// The place of a collection. The parser gives only its first character. It ends after its last item, and after its closing
/// bracket.
fn closing_bracket(source: &str, opening: &Span, end: usize) -> usize {
    let bracket = match source.get(opening.clone()) {
        Some("[") => ']',
        Some("{") => '}',
        _ => return end,
    };
    let rest = source.get(end..).unwrap_or_default();
    let gap = rest.len() - rest.trim_start_matches([' ', ',', '\n', '\r']).len();
    if rest.get(gap..).is_some_and(|rest| rest.starts_with(bracket)) { end + gap + 1 } else { end }
}

fn byte_span(location: &Location, source: &str) -> Span {
    let span = location.span();
    let to_usize = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    match (span.byte_offset(), span.byte_len()) {
        (Some(start), Some(len)) => to_usize(start)..to_usize(start).saturating_add(to_usize(len)),
        // Errors count in characters only.
        _ => {
            let byte_at =
                |at: u64| source.char_indices().nth(to_usize(at)).map_or(source.len(), |(byte, _)| byte);
            byte_at(span.offset())..byte_at(span.offset().saturating_add(span.len()))
        }
    }
}

fn syntax_finding(error: &Error, source: &str) -> Finding {
    let error = error.without_snippet();
    let place = error.location().map_or(0..0, |location| byte_span(&location, source));
    let at = |title: String| Finding::at(place.clone(), title);
    match error {
        Error::MultipleDocuments { .. } => at("a second YAML document".to_owned())
            .label("a configuration is one document")
            .help("remove the `---` line, or keep each configuration in a file of its own"),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => too_large(place),
        _ => {
            let message = message_of(error);
            // The scanner looks ahead and meets its own limit before the parser meets ours.
            // And what breaks a limit through an alias comes as a mistake of the alias.
            if message.contains("limit exceeded") || message.starts_with("budget breached") {
                return too_large(place);
            }
            let finding = at(format!("YAML syntax: {message}"));
            match syntax_help(&message, source, &place) {
                Some(help) => finding.help(help),
                None => finding,
            }
        }
    }
}

fn too_large(place: Span) -> Finding {
    Finding::at(place, "the document is nested too deeply or has too many values").note(format!(
        "limits: {DEPTH_MAX} levels, {NODES_MAX} values, {ALIASED_NODES_MAX} of them through aliases, \
         {} of text with what aliases repeat",
        super::units::format_size(TEXT_MAX as u64)
    ))
}

/// The message without the place that the library puts at its end.
fn message_of(error: &Error) -> String {
    let text = error.render();
    match text.rfind(" at line ") {
        Some(end) => text.get(..end).unwrap_or(&text).to_owned(),
        None => text,
    }
}

/// What to do about the three mistakes that people make in YAML.
fn syntax_help(message: &str, source: &str, place: &Span) -> Option<&'static str> {
    let line_start = source.get(..place.start)?.rfind('\n').map_or(0, |newline| newline + 1);
    let indentation = source.get(line_start..)?;
    let indentation = indentation.get(..indentation.len() - indentation.trim_start().len())?;
    if indentation.contains('\t') || message.contains("tab") {
        Some("YAML indents with spaces, never with tabs")
    } else if message.contains("mapping values are not allowed") {
        Some("put a text that contains `: ` in quotes; or the indentation of this line is off")
    } else if message.starts_with("unexpected character") {
        Some("put a text that begins with this character in quotes")
    } else {
        None
    }
}

/// What serde-saphyr delivers, before places are byte ranges.
enum Raw {
    Null,
    Bool(bool),
    Int,
    Float,
    Str(String),
    Seq(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Int)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Int)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Raw, E> {
        Ok(Raw::Int)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Raw, E> {
        Ok(Raw::Int)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Float)
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Str(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Raw, E> {
        Ok(Raw::Str(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::Seq(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}
