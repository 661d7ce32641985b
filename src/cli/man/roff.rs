//! Text as man(7) takes it (groff_man(7)): escapes, paragraphs, tags, and Markdown of this project's documents.
//!
//! The Markdown is what the documents use: headings, paragraphs, lists, tables, blocks of code, and marks within a line.
//! Whatever else there is stays as it is written.

/// The longest line (bytes), unless a word is longer: mandoc(1) takes longer ones for a mistake.
const WIDTH: usize = 78;
/// Where the documents are installed.
const DOCUMENTS: &str = "/usr/share/doc/journal-ship/docs";

/// A page that grows.
#[derive(Debug, Default)]
pub(super) struct Roff {
    out: String,
}

impl Roff {
    /// Begins a page: its name, its section, and what it is about.
    pub(super) fn page(name: &str, section: &str, about: &str) -> Roff {
        let mut roff = Roff::default();
        let (version, upper) = (env!("CARGO_PKG_VERSION"), name.to_uppercase());
        roff.request(&format!(".TH \"{}\" \"{section}\" \"\" \"journal-ship {version}\"", escape(&upper)));
        roff.section("NAME");
        roff.request(&format!("{} \\- {}", escape(name), escape(about)));
        roff
    }

    pub(super) fn request(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }

    pub(super) fn section(&mut self, title: &str) {
        self.request(&format!(".SH \"{}\"", escape(title)));
    }

    pub(super) fn subsection(&mut self, title: &str) {
        self.request(&format!(".SS \"{}\"", escape(title)));
    }

    /// A term, and what it is.
    pub(super) fn tagged(&mut self, tag: &str, text: &str) {
        self.request(".TP");
        self.request(&format!("\\fB{}\\fR", escape(tag)));
        self.text(text);
    }

    /// A line of text with the marks of Markdown.
    pub(super) fn text(&mut self, text: &str) {
        let text = inline(text);
        let mut line = String::new();
        for word in text.split(' ') {
            if !line.is_empty() && line.len() + 1 + word.len() > WIDTH {
                self.request(&line);
                line.clear();
            }
            match line.is_empty() {
                // A line that begins so would be a request.
                true if word.starts_with(['.', '\'']) => line.push_str("\\&"),
                true => {}
                false => line.push(' '),
            }
            line.push_str(word);
        }
        self.request(&line);
    }

    /// Markdown: each heading of the second level is a section, each of the third a subsection. The first one is left out.
    pub(super) fn markdown(&mut self, text: &str) {
        let mut lines = text.lines().peekable();
        let mut paragraph = String::new();
        while let Some(line) = lines.next() {
            let begins = |line: &str| {
                line.is_empty()
                    || line.starts_with(['#', '|'])
                    || line.starts_with("```")
                    || line.starts_with("- ")
            };
            if begins(line) || line.starts_with("    ") {
                self.paragraph(&mut paragraph);
            }
            if let Some(title) = line.strip_prefix("### ") {
                self.subsection(&title.replace('`', ""));
            } else if let Some(title) = line.strip_prefix("## ") {
                self.section(&title.to_uppercase());
            } else if line.starts_with("# ") || line.is_empty() {
            } else if line.starts_with("```") {
                let code = std::iter::from_fn(|| lines.next_if(|line| !line.starts_with("```")));
                self.code(code);
                lines.next();
            } else if let Some(first) = line.strip_prefix("    ") {
                let more = std::iter::from_fn(|| lines.next_if(|line| line.starts_with("    ")));
                self.code([first].into_iter().chain(more.map(|line| line.get(4..).unwrap_or_default())));
            } else if line.starts_with('|') {
                self.row(line);
            } else if let Some(item) = line.strip_prefix("- ") {
                let mut item = item.to_owned();
                while let Some(more) = lines.next_if(|line| line.starts_with("  ")) {
                    item.push(' ');
                    item.push_str(more.trim_start());
                }
                self.request(".IP \\(bu 2");
                self.text(&item);
            } else {
                if !paragraph.is_empty() {
                    paragraph.push(' ');
                }
                paragraph.push_str(line);
            }
        }
        self.paragraph(&mut paragraph);
    }

    /// Whether a heading stands before what comes next.
    fn at_heading(&self) -> bool {
        self.out.lines().next_back().is_some_and(|line| line.starts_with(".S"))
    }

    fn paragraph(&mut self, text: &mut String) {
        if !text.is_empty() {
            if !self.at_heading() {
                self.request(".PP");
            }
            self.text(text);
            text.clear();
        }
    }

    fn code<'l>(&mut self, lines: impl IntoIterator<Item = &'l str>) {
        if !self.at_heading() {
            self.request(".PP");
        }
        self.request(".RS 4\n.nf");
        for line in lines {
            let line = escape(line);
            let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
            self.request(&format!("{guard}{line}"));
        }
        self.request(".fi\n.RE");
    }

    /// A row of a table: its first cell is a term. The heads of tables are left out. Of keys, the type and the default stand
    /// behind what they are.
    fn row(&mut self, line: &str) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let head = ["key", "exit status", "signal", "option"];
        match cells.as_slice() {
            [first, ..] if first.starts_with("---") || head.contains(first) => {}
            [key, kind, default, text] => {
                let default = match *default {
                    "" => String::new(),
                    "required" => "; required".to_owned(),
                    default => format!("; default {default}"),
                };
                self.tagged(&key.replace('`', ""), &format!("{text} ({kind}{default})"));
            }
            [first, rest @ ..] => self.tagged(&first.replace('`', ""), &rest.join(" ")),
            [] => {}
        }
    }

    pub(super) fn finish(self) -> String {
        self.out
    }
}

/// A text in which nothing means anything to man.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '\'' => out.push_str("\\(aq"),
            '"' => out.push_str("\\(dq"),
            '`' => out.push_str("\\(ga"),
            '^' => out.push_str("\\(ha"),
            '~' => out.push_str("\\(ti"),
            c => out.push(c),
        }
    }
    out
}

/// A line with the marks of Markdown as fonts: code and strong text bold, of a link its text.
fn inline(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['`', '*', '[', '<']) {
        out.push_str(&escape(rest.get(..at).unwrap_or_default()));
        rest = rest.get(at..).unwrap_or_default();
        let marked = |open: &str, close: &str| {
            let inside = rest.strip_prefix(open)?;
            let (inside, after) = inside.split_once(close)?;
            (!inside.is_empty()).then_some((inside, after))
        };
        if let Some((code, after)) = marked("`` ", " ``").or_else(|| marked("`", "`")) {
            out.push_str(&format!("\\fB{}\\fR", escape(code)));
            rest = after;
        } else if let Some((strong, after)) = marked("**", "**") {
            out.push_str(&format!("\\fB{}\\fR", escape(&strong.replace('`', ""))));
            rest = after;
        } else if let Some((link, after)) = marked("[", "](").filter(|(link, _)| !link.contains(['[', ']'])) {
            let (target, after) = after.split_once(')').unwrap_or(("", after));
            if link == target && target.ends_with(".md") {
                out.push_str(&escape(&format!("{DOCUMENTS}/{link}")));
            } else {
                out.push_str(&inline(link));
            }
            if target.starts_with("http") {
                out.push_str(&format!(" ({})", escape(target)));
            }
            rest = after;
        } else if let Some((address, after)) = marked("<http", ">") {
            out.push_str(&escape(&format!("http{address}")));
            rest = after;
        } else {
            let first = rest.chars().next().map_or(0, char::len_utf8);
            out.push_str(&escape(rest.get(..first).unwrap_or_default()));
            rest = rest.get(first..).unwrap_or_default();
        }
    }
    out.push_str(&escape(rest));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_requests() {
        let mut roff = Roff::default();
        roff.markdown(
            "# Title\n\nOne `a-b` and **strong\\**,\n.two [link](x.md) <https://h/>.\n\n## Keys\n\n| key | type | default | what it is |\n\
             | --- | --- | --- | --- |\n| `a.b` | string | `x` | the value |\n\n- item\n  more\n\n```yaml\n.x: '1'\n```\n",
        );
        assert_eq!(
            roff.finish(),
            ".PP\nOne \\fBa\\-b\\fR and \\fBstrong\\e\\fR, .two link https://h/.\n.SH \"KEYS\"\n.TP\n\\fBa.b\\fR\n\
             the value (string; default \\fBx\\fR)\n.IP \\(bu 2\nitem more\n.PP\n.RS 4\n.nf\n\\&.x: \\(aq1\\(aq\n.fi\n.RE\n"
        );
    }
}
