//! Which parts of a configuration may be credentials, so that no message shows them.
//!
//! Credentials do not belong in the file. If there is one, a message is about it, and messages go to logs and tickets. So
//! everything that looks like a credential is blanked: the value of a key whose name says so, and a URL with a user or with
//! parameters. It is better to blank too much than too little.

use super::diagnostic::Span;
use super::node::{Kind, Node};

/// A key with one of these parts in its name, in lower case, is suspected.
const SUSPECT: [&str; 8] =
    ["passw", "secret", "token", "credential", "authorization", "cookie", "_key", "-key"];

/// The suffix of keys that name a file with a secret. That is how it should be.
const FILE_SUFFIX: &str = "_file";
/// The key of a header that names such a file.
const FILE: &str = "file";

/// The scalars of a document that may be credentials.
pub(crate) fn in_document(root: &Node) -> Vec<Span> {
    let mut found = Vec::new();
    collect(root, false, &mut found);
    found
}

fn collect(node: &Node, suspect: bool, found: &mut Vec<Span>) {
    match &node.kind {
        Kind::Seq(items) => items.iter().for_each(|item| collect(item, suspect, found)),
        Kind::Map(entries) => {
            for (key, value) in entries {
                let named = matches!(&key.kind, Kind::Str(name) if is_suspect(name));
                let path = matches!(&key.kind, Kind::Str(name) if name == FILE);
                collect(value, (suspect || named) && !path, found);
            }
        }
        Kind::Str(text) if suspect || is_suspect_url(text) => found.push(node.span.clone()),
        _ if suspect => found.push(node.span.clone()),
        _ => {}
    }
}

/// The parts of a text with broken syntax that may be credentials: the rest of a line after a suspected key, or from a URL
/// with a user or with parameters.
pub(crate) fn in_text(source: &str) -> Vec<Span> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in source.split_inclusive('\n') {
        let keyed = line.match_indices(':').find(|(colon, _)| {
            let before = line.get(..*colon).unwrap_or_default();
            let key = before.rsplit(['{', ',', '[', ' ', '\t']).next().unwrap_or_default();
            is_suspect(key.trim_matches(['"', '\'']))
        });
        let url = line.find("://").filter(|_| is_suspect_url(line));
        if let Some(from) = keyed.map(|(colon, _)| colon + 1).into_iter().chain(url).min() {
            found.push(start + from..start + line.len());
        }
        start += line.len();
    }
    found
}

pub(crate) fn is_suspect(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SUSPECT.iter().any(|part| key.contains(part)) && !key.ends_with(FILE_SUFFIX)
}

/// Whether a URL in a text may hold a credential: a user, or parameters, of which one may be a key.
pub(crate) fn is_suspect_url(text: &str) -> bool {
    has_user(text) || has_parameters(text)
}

/// `http://host/path?name=value`. Only what begins as an address of the web does: a regular expression has `?`, too.
fn has_parameters(text: &str) -> bool {
    let urls = ["http://", "https://"].into_iter().flat_map(|scheme| text.split(scheme).skip(1));
    urls.filter_map(|rest| rest.split([' ', '\t', '"', '\'']).next()?.split_once('?'))
        .any(|(_, query)| query.contains('='))
}

/// `scheme://user@host`, `scheme://user:password@host`
pub(crate) fn has_user(text: &str) -> bool {
    text.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.contains('@')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_credential_is_found_in_a_document() {
        let source = "a: {password: p1, X-Api-Key: k1, password_file: /f}\nTOKENS: [t1, {x: t2}]\n\
                      url: http://u:p2@h/x\nother: http://h/a@b\nkeyed: https://h/?key=k2\nregex: https?://h\nnumber: {secret: 12}\nheaders: {X-Token: {file: /f}}\n";
        let root = super::super::node::document(source).unwrap();
        let found: Vec<&str> = in_document(&root).into_iter().map(|span| &source[span]).collect();
        assert_eq!(found, ["p1", "k1", "t1", "t2", "http://u:p2@h/x", "https://h/?key=k2", "12"]);
    }

    #[test]
    fn what_looks_like_a_credential_is_found_in_broken_text() {
        let source = "a: [\n  {user: u, \"password\": p1, x: y}\nurl: http://u@h\nb: http://h?k=1\npassword_file: /f\ntoken: t\r\n";
        let found: Vec<&str> = in_text(source).into_iter().map(|span| source[span].trim()).collect();
        assert_eq!(found, ["p1, x: y}", "://u@h", "://h?k=1", "t"]);
    }
}
