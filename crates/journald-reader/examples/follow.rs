//! Prints what journald writes, and goes on after a restart where it stopped: the cursor of the last entry is kept in a
//! file.
//!
//! ```sh
//! cargo run --example follow -- CURSOR-FILE                 # this machine's journal
//! cargo run --example follow -- CURSOR-FILE /some/folder    # folders or files
//! ```
//!
//! The cursor is written when all entries that are there were printed. If the program is killed before that, the entries
//! since then are printed again; none is left out. A program that reads files of several writers at once and must not
//! read any entry twice keeps `Tail::resume` instead of a cursor.

use std::env;
use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use journald_reader::{Cursor, Keys, Scope, Start, Tail, Waker};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let cursor_file = arguments.next().ok_or("usage: follow CURSOR-FILE [FOLDER or FILE]...")?;
    let start = match read_cursor(&cursor_file)? {
        Some(cursor) => Start::After(cursor),
        None => Start::Oldest,
    };
    let mut keys = Keys::default();
    let unit = keys.add("_SYSTEMD_UNIT");
    let message = keys.add("MESSAGE");
    let mut tail = Tail::open(&Scope::of(arguments.collect::<Vec<_>>()), keys, start, Waker::new()?)?;
    loop {
        let mut last = None;
        let mut out = io::stdout().lock();
        while let Some(entry) = tail.next_entry() {
            // An entry need not have a field. Values are bytes, and senders choose them: they are escaped for the terminal.
            let [unit, message] = [unit, message].map(|key| entry.value(key).unwrap_or(b"-"));
            writeln!(
                out,
                "{} {}: {}",
                entry.cursor().realtime,
                unit.escape_ascii(),
                String::from_utf8_lossy(message).escape_debug()
            )?;
            last = Some(*entry.cursor());
        }
        out.flush()?;
        if let Some(cursor) = last {
            write_cursor(&cursor_file, &cursor)?;
        }
        // Sleeps until journald writes; no timer runs.
        tail.wait(None)?;
    }
}

/// The cursor in a file; `None` when there is no file yet.
fn read_cursor(path: &Path) -> Result<Option<Cursor>, Box<dyn Error>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().parse()?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Replaces the file as a whole, so that it never holds a part of a cursor.
fn write_cursor(path: &Path, cursor: &Cursor) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = fs::File::create(&new)?;
    writeln!(file, "{cursor}")?;
    file.sync_all()?;
    fs::rename(&new, path)
}
