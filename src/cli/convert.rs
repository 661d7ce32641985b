//! `convert`: the configuration of another program is read, converted and written.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use super::answer::{print, say, show, usage};
use crate::alerts::unit_test;
use crate::convert;

/// Stands for standard input or output.
const STANDARD: &str = "-";

pub(super) fn promtail(
    file: &Path,
    positions: Option<&Path>,
    output: Option<&Path>,
    force: bool,
) -> ExitCode {
    let read = |path: &Path| {
        let (name, text) = match path.to_str() {
            Some(STANDARD) => ("standard input".to_owned(), io::read_to_string(io::stdin().lock())),
            _ => (path.display().to_string(), std::fs::read_to_string(path)),
        };
        text.map(|text| (text, name.clone())).map_err(|error| {
            say(&format!("error: {name} cannot be read: {error}{}", unit_test::hint(&error)));
            ExitCode::FAILURE
        })
    };
    if file == Path::new(STANDARD) && positions == Some(file) {
        return usage("only one of the configuration and --positions can be standard input");
    }
    let texts = read(file).and_then(|source| Ok((source, positions.map(read).transpose()?)));
    let ((source, origin), positions) = match texts {
        Ok(texts) => texts,
        Err(status) => return status,
    };
    let positions = positions.as_ref().map(|(text, _)| text.as_str());
    let converted = match convert::promtail(&source, &origin, positions) {
        Ok(converted) => converted,
        Err(diagnostics) => {
            show(&diagnostics);
            return ExitCode::FAILURE;
        }
    };
    converted.notes.iter().for_each(|note| say(&format!("note: {note}")));
    match output.filter(|path| *path != Path::new(STANDARD)) {
        None => print(&converted.yaml),
        Some(path) => match write_converted(path, file, &converted.yaml, force) {
            Ok(()) => {
                let path = path.display();
                say(&format!("{path} is written; next: journal-ship check --config {path}"));
                ExitCode::SUCCESS
            }
            Err(error) => {
                say(&format!("error: {} is not written: {error}", path.display()));
                ExitCode::FAILURE
            }
        },
    }
}

/// Writes what was converted into a file that is not there yet, or, if told to, over one that is; never over its source.
fn write_converted(path: &Path, source: &Path, text: &str, force: bool) -> io::Result<()> {
    let same = |path: &Path| std::fs::canonicalize(path).ok();
    if same(path).is_some() && same(path) == same(source) {
        return Err(io::Error::other("it is the file that is converted; name another one"));
    }
    if !force {
        let file = std::fs::File::create_new(path);
        let mut file = file.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                io::Error::other("it is there already; name another one, or overwrite it with --force")
            }
            _ => error,
        })?;
        return file.write_all(text.as_bytes());
    }
    std::fs::write(path, text)
}
