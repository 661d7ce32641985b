//! Patterns of lines: `"<_> Invalid user <_> from <_>"` (grafana/loki, `pkg/logql/log/pattern`).

/// A pattern without names, for line filters: texts in their order, and places where any text may stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// Texts; `None` is `<_>`, some text that is not empty.
    parts: Vec<Option<String>>,
}

impl Pattern {
    /// Reads a pattern for a line filter.
    ///
    /// # Errors
    /// The reason why the text is not a valid pattern.
    pub(crate) fn parse(text: &str) -> Result<Pattern, String> {
        let mut parts: Vec<Option<String>> = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if let Some(name) = capture(rest) {
                if name != "_" {
                    return Err(format!(
                        "`<{name}>` has a name, which a line filter has no use for: write `<_>`"
                    ));
                }
                if parts.last().is_some_and(Option::is_none) {
                    return Err(
                        "`<_><_>` does not say where the first ends: put text between them".to_owned()
                    );
                }
                parts.push(None);
                rest = rest.get(name.len() + 2..).unwrap_or_default();
            } else {
                match parts.last_mut() {
                    Some(Some(text)) => text.push(c),
                    _ => parts.push(Some(c.to_string())),
                }
                rest = rest.get(c.len_utf8()..).unwrap_or_default();
            }
        }
        Ok(Pattern { parts })
    }

    /// Whether a line fits this pattern. As in Loki, text at the beginning of a pattern is searched for too,
    /// and text at the end must end the line where it is first found.
    pub(crate) fn matches(&self, line: &str) -> bool {
        let Some(last) = self.parts.last() else {
            return line.is_empty();
        };
        if line.is_empty() {
            return false;
        }
        let mut rest = line;
        for (index, text) in self.parts.iter().enumerate() {
            let Some(text) = text else { continue };
            match memchr::memmem::find(rest.as_bytes(), text.as_bytes()) {
                Some(0) if index > 0 => return false,
                Some(found) => rest = rest.get(found + text.len()..).unwrap_or_default(),
                None => return false,
            }
        }
        last.is_none() != rest.is_empty()
    }
}

/// A pattern with captures, for the stage `pattern`: `<ip> - <user> <_>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captures {
    source: String,
    /// The text that a line must begin with.
    head: String,
    /// The captures, in their order.
    captures: Vec<Capture>,
}

/// A capture, and the text behind it, which ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Capture {
    /// `None`: `<_>`.
    name: Option<String>,
    behind: String,
}

impl Captures {
    /// Reads a pattern.
    ///
    /// # Errors
    /// The reason why the text is not a valid pattern.
    pub(crate) fn parse(text: &str) -> Result<Captures, String> {
        let mut pattern = Captures { source: text.to_owned(), head: String::new(), captures: Vec::new() };
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if let Some(name) = capture(rest) {
                if pattern.captures.last().is_some_and(|last| last.behind.is_empty()) {
                    return Err(
                        "between two captures there must be text that tells where the first ends".to_owned()
                    );
                }
                let known = |other: &Capture| other.name.as_deref() == Some(name);
                if name != "_" && pattern.captures.iter().any(known) {
                    return Err(format!("two captures have the name `<{name}>`"));
                }
                let name_given = (name != "_").then(|| name.to_owned());
                pattern.captures.push(Capture { name: name_given, behind: String::new() });
                rest = rest.get(name.len() + 2..).unwrap_or_default();
            } else {
                let behind = pattern.captures.last_mut().map(|last| &mut last.behind);
                behind.unwrap_or(&mut pattern.head).push(c);
                rest = rest.get(c.len_utf8()..).unwrap_or_default();
            }
        }
        match pattern.captures.iter().any(|capture| capture.name.is_some()) {
            true => Ok(pattern),
            false => Err("the pattern has no capture with a name, such as `<ip>`".to_owned()),
        }
    }

    /// As it is written.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// The names of its captures.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.captures.iter().filter_map(|capture| capture.name.as_deref())
    }

    /// Calls `found` with the name and the text of each capture. If the line ends early, the last capture gets the rest of it.
    pub(crate) fn captures(&self, line: &str, mut found: impl FnMut(&str, &str)) {
        let Some(mut rest) = line.strip_prefix(self.head.as_str()).filter(|_| !line.is_empty()) else {
            return;
        };
        for Capture { name, behind } in &self.captures {
            let end = if behind.is_empty() {
                None
            } else {
                memchr::memmem::find(rest.as_bytes(), behind.as_bytes())
            };
            let (caught, after) = match end {
                Some(end) => (rest.get(..end), rest.get(end + behind.len()..)),
                None => (Some(rest), None),
            };
            if let (Some(name), Some(caught)) = (name, caught) {
                found(name, caught);
            }
            match after {
                Some(after) => rest = after,
                None => return,
            }
        }
    }
}

/// The name of the capture that a text begins with.
fn capture(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix('<')?.split_once('>')?;
    let known = !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    (known && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines() {
        for (pattern, line, expected) in [
            ("", "", true),
            ("", "a", false),
            ("a", "", false),
            ("a", "a", true),
            ("a", "ab", false),
            ("<_>", "a", true),
            ("<_>", "", false),
            ("<_> user <_>", "Invalid user pi", true),
            ("<_> user <_>", "Invalid user ", false),
            ("<_> user <_>", " user pi", false),
            ("<_>é", "caf\u{e9}", true),
            // Loki's own ways.
            ("foo <_>", "a foo b", true),
            ("foo", "a foo", true),
            ("<_>a", "xaya", false),
            ("<_> a<_>b", "x ab", false),
            ("<<_>>", "<x>", true),
            ("< a> <_", "< a> <_", true),
            ("<1>", "<1>", true),
            ("<>", "<>", true),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().matches(line), expected, "{pattern} on {line}");
        }
    }

    #[test]
    fn refused() {
        for (pattern, why) in
            [("<ip> <_>", "`<ip>` has a name"), ("<_><_>", "put text between"), ("a <__>", "name")]
        {
            let error = Pattern::parse(pattern).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_and_line_will_do(text in "([<_>a ]|\\PC)*", line in any::<String>()) {
            if let Ok(pattern) = Pattern::parse(&text) {
                pattern.matches(&line);
            }
        }
    }
}
