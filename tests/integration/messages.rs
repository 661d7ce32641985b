//! Every message that a person can meet, as it stands in the code: recorded in one list, so that a new one is read as a
//! person would read it, and held to the rules for messages.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The macros and functions whose first text is a message: of an error, of the log, to a caller, or about a configuration.
const TAKERS: [&str; 13] = [
    "#[error(",
    "log::error!(",
    "log::warn!(",
    "log::info!(",
    "say(",
    "usage(",
    "Finding::at(",
    "Finding::nowhere(",
    ".label(",
    ".help(",
    ".note(",
    "Refusal::new(",
    "AccessError(",
];
/// Texts with fewer words are names, not messages (count).
const WORDS_MIN: usize = 3;

/// All sources of the agent and the languages, in order.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs")
            && !["tests.rs", "testing.rs"].contains(&path.file_name().unwrap().to_str().unwrap())
        {
            found.push(path);
        }
    }
}

/// The text of a literal that begins behind the quote at the beginning, and what stands behind it.
fn literal(code: &str) -> (String, &str) {
    let mut text = String::new();
    let mut chars = code.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (text, &code[at + 1..]),
            '\\' => match chars.next() {
                Some((at, '\n')) => {
                    // The line goes on behind the blanks of the next one.
                    let rest = code[at + 1..].trim_start();
                    let (more, after) = literal(rest);
                    text.push_str(&more);
                    return (text, after);
                }
                Some((_, 'n')) => text.push_str("\\n"),
                Some((_, other)) => text.push(other),
                None => break,
            },
            c => text.push(c),
        }
    }
    (text, "")
}

/// The literals in a call, up to the end of its brackets.
fn literals(code: &str) -> Vec<String> {
    let (mut rest, mut depth, mut found) = (code, 1, Vec::new());
    while let Some(at) = rest.find(['"', '(', ')', '\'']) {
        let after = &rest[at + 1..];
        rest = match &rest[at..=at] {
            "(" => {
                depth += 1;
                after
            }
            ")" => {
                depth -= 1;
                if depth == 0 {
                    break;
                }
                after
            }
            // A character: '(' or '"'.
            "'" if after.get(1..2) == Some("'") => &after[2..],
            "'" => after,
            _ => {
                let (text, after) = literal(after);
                found.push(text);
                after
            }
        };
    }
    found
}

/// The messages of a source, each once.
fn messages(code: &str) -> BTreeSet<String> {
    let code = code.split("#[cfg(test)]\nmod tests").next().unwrap();
    let code: String = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect();
    let mut found = BTreeSet::new();
    for taker in TAKERS {
        for (at, _) in code.match_indices(taker) {
            // `say(` is not the end of `essay(`.
            let own = taker.starts_with(['.', '#'])
                || !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            if own {
                let texts = literals(&code[at + taker.len()..]).into_iter();
                found.extend(texts.filter(|text| text.split_whitespace().count() >= WORDS_MIN));
            }
        }
    }
    found
}

/// What is wrong with a message, if anything is.
fn wrong(message: &str) -> Option<&'static str> {
    // Grafana knows it by these words of Loki (grafana/loki, `pkg/querier/queryrange/roundtrip.go`).
    if message.starts_with("log queries are not supported as an instant query type") {
        return None;
    }
    let last = message.trim_end_matches(['`', '"']);
    let lower = message.to_lowercase();
    [
        (last.ends_with('.') && !last.ends_with(".."), "a message ends without a full stop"),
        (message.contains("{:?}") && lower.contains("error"), "an error is shown by Debug"),
        (lower.contains("failed to "), "say what cannot be done"),
        (lower.contains("unable to"), "say what cannot be done"),
        (lower.contains("invalid argument"), "say which one, and what is expected"),
        (lower.contains("unexpected error"), "say what happened"),
        (lower.contains("please"), "say what to do"),
        (last.ends_with('!') || message.contains("! "), "nobody needs to be shouted at"),
        (message.contains("  ") && !message.contains("\\n"), "two blanks"),
    ]
    .into_iter()
    .find_map(|(is, what)| is.then_some(what))
}

/// `BLESS=1` writes `tests/data/messages.txt` anew: read what is new in it as the person who will meet it.
#[test]
fn every_message_is_recorded_and_keeps_the_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "crates/journald-reader/src", "crates/logql/src"] {
        sources(&root.join(folder), &mut files);
    }
    let mut list = String::new();
    let mut faults = Vec::new();
    for path in &files {
        let messages = messages(&fs::read_to_string(path).unwrap());
        if messages.is_empty() {
            continue;
        }
        let name = path.strip_prefix(root).unwrap().display().to_string();
        list.push_str(&format!("{name}\n"));
        for message in messages {
            faults.extend(wrong(&message).map(|what| format!("{name}: {message:?}: {what}")));
            list.push_str(&format!("    {message}\n"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(list.lines().count() > 400, "{}", list.lines().count());
    let recorded = root.join("tests/data/messages.txt");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&recorded, &list).unwrap();
    }
    let known = fs::read_to_string(&recorded).unwrap();
    let new: Vec<&str> = list.lines().filter(|line| !known.lines().any(|known| known == *line)).collect();
    assert!(known == list, "read these, then BLESS=1 records them; new: {new:#?}");
}

#[test]
fn messages_are_found_in_code() {
    let code = "fn f() {\n    // say(\"not a message at all\")\n    say(&format!(\"one {x} \\\n          two: {}\", (a(')'), \"in here too: yes\")));\n\
                essay(\"this is no message\");\n}\n#[cfg(test)]\nmod tests {\n    say(\"nor is this one here\");\n}\n";
    assert_eq!(messages(code).into_iter().collect::<Vec<_>>(), ["in here too: yes", "one {x} two: {}"]);
    assert_eq!(wrong("it cannot be read."), Some("a message ends without a full stop"));
    assert_eq!(wrong("the file cannot be read: {error}"), None);
}
