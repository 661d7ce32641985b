//! Diagnostics: everything that is wrong with a configuration, each mistake shown at its place in the
//! source with what was expected and what to do.
//!
//! Checks produce [`Finding`]s; the findings of one file become a [`Diagnostics`], and those of several
//! files can be joined, so that one run reports them all. Text that may be a credential is blanked before
//! it is kept: a diagnostic never repeats a secret.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::os::text::{Block, Line, is_unsafe, without_codes};

/// A byte range of the source.
pub(crate) type Span = Range<usize>;

/// The most findings of one file that are shown (count). Further ones are counted: one wrong anchor can cause thousands.
const SHOWN_MAX: usize = 100;

/// The most source that is shown for one finding (bytes). The renderer goes through all of it.
const SNIPPET_MAX: usize = 16 << 10;

/// The longest source line that is shown (columns). A longer one is cut around the place.
const RENDER_WIDTH: usize = 140;

/// All that is wrong with one or several configuration files.
///
/// `Display` is the plain rendering; [`Diagnostics::render`] has colour too.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnostics {
    files: Vec<FileFindings>,
}

#[derive(Debug, Clone, PartialEq)]
struct FileFindings {
    origin: String,
    source: String,
    findings: Vec<Finding>,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finding {
    pub(crate) warning: bool,
    title: String,
    pub(crate) place: Option<Span>,
    pub(crate) label: String,
    related: Vec<(Span, String)>,
    notes: Vec<String>,
    helps: Vec<String>,
}

impl Finding {
    /// A mistake at a place of the source.
    pub(crate) fn at(place: Span, title: impl Into<String>) -> Self {
        Self { place: Some(place), ..Self::nowhere(title) }
    }

    /// A mistake of the file as a whole.
    pub(crate) fn nowhere(title: impl Into<String>) -> Self {
        Self {
            warning: false,
            title: title.into(),
            place: None,
            label: String::new(),
            related: Vec::new(),
            notes: Vec::new(),
            helps: Vec::new(),
        }
    }

    /// Makes it a warning: nothing is wrong, but something may not be as a person expects.
    pub(crate) fn warning(mut self) -> Self {
        self.warning = true;
        self
    }

    /// Text beside the carets: what was expected.
    pub(crate) fn label(mut self, text: impl Into<String>) -> Self {
        self.label = text.into();
        self
    }

    /// Adds a second place that belongs to it.
    pub(crate) fn related(mut self, place: Span, text: impl Into<String>) -> Self {
        self.related.push((place, text.into()));
        self
    }

    /// Why it is so.
    pub(crate) fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// What to do.
    pub(crate) fn help(mut self, text: impl Into<String>) -> Self {
        self.helps.push(text.into());
        self
    }
}

impl Diagnostics {
    /// The findings of one file, in the order of their places; `secrets` are blanked.
    pub(crate) fn new(origin: &str, source: &str, secrets: Vec<Span>, mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| finding.place.as_ref().map_or(0, |place| place.start));
        findings.iter_mut().flat_map(Finding::texts).for_each(make_safe);
        let source = blank(source, secrets);
        Self { files: vec![FileFindings { origin: Line(origin).to_string(), source, findings }] }
    }

    /// Whether nothing was found.
    pub(crate) fn none() -> Self {
        Self { files: Vec::new() }
    }

    /// Adds the findings of other files.
    pub fn append(&mut self, mut other: Self) {
        self.files.append(&mut other.files);
    }

    /// What is wrong, without places.
    pub(crate) fn titles(&self) -> impl Iterator<Item = &str> {
        let findings = self.files.iter().flat_map(|file| &file.findings);
        findings.filter(|finding| !finding.warning).map(|finding| finding.title.as_str())
    }

    /// The number of mistakes, without warnings.
    pub fn count(&self) -> usize {
        self.findings(false)
    }

    fn findings(&self, warnings: bool) -> usize {
        self.files
            .iter()
            .flat_map(|file| &file.findings)
            .filter(|finding| finding.warning == warnings)
            .count()
    }

    /// The whole text for a person, lines ended by `\n`; with `colour`, ANSI escapes for a terminal.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.term_width(RENDER_WIDTH);
        let mut text = String::new();
        for file in &self.files {
            for finding in file.findings.iter().take(SHOWN_MAX) {
                text.push_str(&renderer.render(&[finding.group(file)]));
                text.push_str("\n\n");
            }
            let hidden = file.findings.len().saturating_sub(SHOWN_MAX);
            if hidden > 0 {
                text.push_str(&format!("{hidden} more of {} are not shown\n\n", file.origin));
            }
        }
        let counted = |count: usize, what: &str| match count {
            0 => None,
            1 => Some(format!("1 {what}")),
            count => Some(format!("{count} {what}s")),
        };
        let counts = [counted(self.findings(false), "error"), counted(self.findings(true), "warning")];
        let counts: Vec<String> = counts.into_iter().flatten().collect();
        if counts.is_empty() {
            return text;
        }
        let origins: Vec<&str> = self.files.iter().map(|file| file.origin.as_str()).collect();
        text.push_str(&format!("{} in {}\n", counts.join(", "), origins.join(", ")));
        text
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

/// Escapes what could mislead a person. Line ends and tabs stay.
fn make_safe(text: &mut String) {
    if let Cow::Owned(without) = without_codes(text) {
        *text = without;
    }
    if text.contains(is_unsafe) {
        *text = Block { text, indent: "" }.to_string();
    }
}

impl Finding {
    /// Everything that it says.
    pub(super) fn texts(&mut self) -> impl Iterator<Item = &mut String> {
        let related = self.related.iter_mut().map(|(_, text)| text);
        let own = [&mut self.title, &mut self.label].into_iter();
        own.chain(related).chain(&mut self.notes).chain(&mut self.helps)
    }

    fn group<'a>(&'a self, file: &'a FileFindings) -> Group<'a> {
        let level = if self.warning { Level::WARNING } else { Level::ERROR };
        let title = level.primary_title(&self.title);
        let source = file.source.as_str();
        let group = match &self.place {
            None => title.element(Origin::path(&file.origin)),
            Some(place) => match self.snippet(place, &self.related, file) {
                Some(snippet) => title.element(snippet),
                // The places are too far apart for one picture, so the others are given in words.
                None => {
                    let elsewhere = self.related.iter().map(|(span, text)| {
                        Level::NOTE.message(format!("{text}: line {}", line_number(source, span.start)))
                    });
                    match self.snippet(place, &[], file) {
                        Some(snippet) => title.element(snippet),
                        None => title.element(origin(file, place)).element(Level::NOTE.message(&self.label)),
                    }
                    .elements(elsewhere)
                }
            },
        };
        let notes = self.notes.iter().map(|note| Level::NOTE.message(note));
        let helps = self.helps.iter().map(|help| Level::HELP.message(help));
        group.elements(notes).elements(helps)
    }

    /// The lines from the first place to the last one, unless they are longer than [`SNIPPET_MAX`]. This bounds the work of the
    /// renderer. Its line numbers start with the first of these lines.
    fn snippet<'a>(
        &'a self,
        place: &Span,
        related: &'a [(Span, String)],
        file: &'a FileFindings,
    ) -> Option<Snippet<'a, Annotation<'a>>> {
        let source = file.source.as_str();
        let place = first_line(source, place);
        let related: Vec<(Span, &str)> =
            related.iter().map(|(span, text)| (first_line(source, span), text.as_str())).collect();
        let starts = related.iter().map(|(span, _)| span.start);
        let ends = related.iter().map(|(span, _)| span.end);
        let start = line_start(source, starts.fold(place.start, usize::min));
        let end = line_end(source, ends.fold(place.end, usize::max));
        if end - start > SNIPPET_MAX {
            return None;
        }
        let shift = |span: &Span| span.start.saturating_sub(start)..span.end.saturating_sub(start);

        let primary = AnnotationKind::Primary.span(shift(&place)).label(&self.label);
        let snippet = Snippet::source(source.get(start..end).unwrap_or_default())
            .line_start(line_number(source, start))
            .path(&file.origin)
            .annotation(primary)
            .annotations(
                related.iter().map(|(span, text)| AnnotationKind::Context.span(shift(span)).label(*text)),
            );
        Some(snippet)
    }
}

/// The place in numbers only.
fn origin<'a>(file: &'a FileFindings, place: &Span) -> Origin<'a> {
    let at = first_line(&file.source, place).start;
    let before = file.source.get(line_start(&file.source, at)..at).unwrap_or_default();
    Origin::path(&file.origin).line(line_number(&file.source, at)).char_column(before.chars().count() + 1)
}

/// Lines are counted from 1.
fn line_number(source: &str, at: usize) -> usize {
    source.get(..at).unwrap_or_default().matches('\n').count() + 1
}

/// The part of `span` on its first line, inside of the source and on character boundaries. Carets under one line are enough,
/// and the renderer would panic at other places.
fn first_line(source: &str, span: &Span) -> Span {
    let start = floor_boundary(source, span.start);
    let end = floor_boundary(source, span.end).min(line_end(source, start));
    start..end.max(start)
}

/// The character boundary at or before `at`.
fn floor_boundary(source: &str, at: usize) -> usize {
    let at = at.min(source.len());
    (0..=at).rev().find(|&at| source.is_char_boundary(at)).unwrap_or(0)
}

fn line_start(source: &str, at: usize) -> usize {
    source.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1)
}

/// Where the line around `at` ends, its `\n` or `\r\n` not included.
fn line_end(source: &str, at: usize) -> usize {
    let rest = source.get(at..).unwrap_or_default();
    let line = rest.find('\n').map_or(rest, |newline| rest.get(..newline).unwrap_or_default());
    at + line.strip_suffix('\r').unwrap_or(line).len()
}

/// `source` with the bytes of `secrets` replaced by stars and nothing in it that misleads, all offsets and line breaks
/// kept.
fn blank(source: &str, mut secrets: Vec<Span>) -> String {
    secrets.sort_by_key(|secret| secret.start);
    let mut text = String::with_capacity(source.len());
    let mut secrets = secrets.into_iter();
    // Everything up to here is hidden. Ranges may overlap.
    let mut hidden_to = 0;
    let mut next = secrets.next();
    for (at, character) in source.char_indices() {
        while let Some(secret) = next.take_if(|secret| secret.start <= at) {
            hidden_to = secret.end.max(hidden_to);
            next = secrets.next();
        }
        if at < hidden_to && !matches!(character, '\n' | '\r') {
            text.extend(std::iter::repeat_n('*', character.len_utf8()));
        } else {
            text.push(shown(character));
        }
    }
    text
}

/// The character to show for one of the source. If it could mislead a person, it is replaced by one with the same number of
/// bytes, so that places stay right. The renderer itself shows the controls of ASCII as their symbols.
fn shown(character: char) -> char {
    match (is_unsafe(character), character.len_utf8()) {
        (true, 2) => '¤',
        (true, 3) => char::REPLACEMENT_CHARACTER,
        (true, 4) => '🔲',
        _ => character,
    }
}

/// A text in backticks, for a message. A long one is cut, and control characters are escaped.
pub(crate) fn quoted(text: &str) -> String {
    if text.is_empty() { "an empty string".to_owned() } else { format!("`{}`", short(text)) }
}

/// A text for a message. A long one is cut, and control characters are escaped.
pub(crate) fn short(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let mut short: String = text.chars().take(CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    Line(&short).to_string()
}

/// A warning about a part of a text. The place of the part is found later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lint {
    /// What is wrong.
    pub title: String,
    /// What follows from it.
    pub label: String,
    /// What to do.
    pub help: String,
    /// The part that it is about, as it is probably written.
    pub part: Option<String>,
}

impl Lint {
    /// The warning with its place.
    pub(crate) fn at(self, place: Span) -> Finding {
        Finding::at(place, self.title).label(self.label).help(self.help)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(source: &str, findings: Vec<Finding>) -> String {
        Diagnostics::new("f.yaml", source, Vec::new(), findings).render(false)
    }

    #[test]
    fn places_outside_the_source_or_inside_a_character_are_survived() {
        for (start, end) in [(0, 0), (0, 99), (99, 100), (1, 2), (2, 1), (3, 4)] {
            let span = start..end;
            assert!(rendered("é\n\u{1F600}x", vec![Finding::at(span, "t").label("l")]).contains("f.yaml"));
        }
        assert!(rendered("", vec![Finding::at(5..9, "t")]).contains("f.yaml:1:1"));
    }

    #[test]
    fn findings_come_in_the_order_of_the_file_and_are_capped() {
        let text = rendered("a\nb\n", vec![Finding::at(2..3, "second"), Finding::at(0..1, "first")]);
        assert!(text.find("first") < text.find("second"), "{text}");
        let many = (0..SHOWN_MAX + 7).map(|_| Finding::at(0..1, "again")).collect();
        let text = rendered("a\n", many);
        assert!(text.contains("7 more of f.yaml are not shown"), "{text}");
        assert!(text.ends_with("107 errors in f.yaml\n"), "{text}");
    }

    #[test]
    fn far_places_and_long_lines_are_given_in_numbers() {
        let filler = "# filler\n".repeat(3000);
        let source = format!("first: 1\n{filler}first: 2\n");
        let second = source.len() - 9..source.len() - 4;
        let text =
            rendered(&source, vec![Finding::at(second, "twice").label("l").related(0..5, "first here")]);
        assert!(text.contains("f.yaml:3002:1") && text.contains("first here: line 1"), "{text}");
        let long = format!("a\n{} b", "é".repeat(20_000));
        let text = rendered(&long, vec![Finding::at(40_003..40_004, "t").label("the label")]);
        assert!(text.contains("f.yaml:2:20002") && text.contains("the label"), "{text}");
        assert!(text.len() < 500, "{text}");
    }

    #[test]
    fn secrets_are_blanked_wherever_their_line_is_shown() {
        let source = "key: hunter2 # x\n";
        let secrets = vec![5..12, 6..8];
        let finding = Finding::at(0..3, "t");
        let text = Diagnostics::new("f", source, secrets, vec![finding]).render(true);
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("key: ******* # x"), "{text}");
    }

    #[test]
    fn several_files_are_reported_together() {
        let mut all = Diagnostics::new("a.yaml", "x", Vec::new(), vec![Finding::at(0..1, "one")]);
        all.append(Diagnostics::new("b.yaml", "y", Vec::new(), vec![Finding::nowhere("two")]));
        assert_eq!(all.count(), 2);
        assert!(all.to_string().ends_with("2 errors in a.yaml, b.yaml\n"), "{all}");
    }

    #[test]
    fn colour_is_only_on_request() {
        let all = Diagnostics::new("a.yaml", "x", Vec::new(), vec![Finding::at(0..1, "one")]);
        assert!(!all.render(false).contains('\u{1b}'));
        assert!(all.render(true).contains('\u{1b}'));
    }

    #[test]
    fn control_characters_reach_no_terminal() {
        assert_eq!(quoted("a\u{1b}[31m\n"), "`a\\u{1b}[31m\\n`");
        let all =
            Diagnostics::new("a\u{1b}.yaml", "\u{7}x", Vec::new(), vec![Finding::at(0..1, "one\u{1b}")]);
        assert!(!all.render(false).contains(['\u{1b}', '\u{7}']));
        let source = "a: \u{202e}\u{9b}\u{e0041}é # x\n";
        let at = source.find('x').unwrap();
        let finding =
            Finding::at(at..at + 1, "one\u{200b}").label("l\u{85}").note("n\u{2028}").help("a\nh\u{61c}");
        let text = Diagnostics::new("f", source, Vec::new(), vec![finding]).render(false);
        assert!(!text.contains(|c| is_unsafe(c) && c != '\n'), "{text:?}");
        assert!(text.contains("a: \u{fffd}¤🔲é # x") && text.contains("f:1:11"), "{text}");
    }
}
