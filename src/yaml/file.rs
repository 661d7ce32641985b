//! Reading a document from a file.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::diagnostic::{Diagnostics, Finding};
use super::node::{self, Node};
use super::secrets;

/// The largest document (bytes): a hundred times as long as a long one. A larger file is probably the wrong one.
pub const FILE_MAX: usize = 1 << 20;

/// The bytes of a file, at most one more than [`FILE_MAX`]. So a larger file is recognised, whatever its metadata says.
///
/// # Errors
/// The system refuses it.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a document; `origin` and `what` name it in messages.
///
/// # Errors
/// It is not UTF-8.
pub(crate) fn text(bytes: Vec<u8>, origin: &str, what: &str) -> Result<String, Diagnostics> {
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let source = String::from_utf8_lossy(error.as_bytes());
        let finding = Finding::at(good..good + 1, format!("{what} is not UTF-8"))
            .label("this byte is part of no character")
            .help("save the file as UTF-8");
        Diagnostics::new(origin, &source, secrets::in_text(&source), vec![finding])
    })
}

/// The tree of a YAML document of any program; `origin` names it in messages.
///
/// # Errors
/// It is not valid YAML, or is larger than [`FILE_MAX`] allows.
pub(crate) fn document(source: &str, origin: &str) -> Result<Node, Diagnostics> {
    node::document(source)
        .map_err(|finding| Diagnostics::new(origin, source, secrets::in_text(source), vec![*finding]))
}
