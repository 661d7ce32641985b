//! Prints a journal as `journalctl -o json` does: an object a line, with the fields of the entry and where it stands.
//!
//! ```sh
//! cargo run --example json                                       # this machine's journal
//! cargo run --example json -- /var/log/journal/ID/system.journal # folders or files
//! ```
//!
//! What is not text is an array of bytes, a name that an entry has several times is a list, and a field of 4 KiB or more
//! is `null`. The order of the names in an object means nothing.

use std::env;
use std::error::Error;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use journald_reader::{Entry, Keys, Scope, Start, Tail, Waker};

/// A field of this length, name and value, is not printed (bytes; systemd, `JSON_THRESHOLD` in `logs-show.c`).
const FIELD_MAX: usize = 4096;

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let mut keys = Keys::default();
    keys.add_all();
    // Longer values are not printed, so they need not be read.
    keys.cut_values(FIELD_MAX);
    let mut tail = Tail::open(&Scope::of(paths), keys, Start::Oldest, Waker::new()?)?;
    let mut out = BufWriter::new(io::stdout().lock());
    while let Some(entry) = tail.next_entry() {
        print(&mut out, &entry)?;
    }
    out.flush()?;
    let damaged = tail.counts().damaged.total();
    if damaged > 0 {
        writeln!(io::stderr(), "{damaged} entries are damaged and were not printed")?;
    }
    Ok(())
}

/// Prints an entry.
fn print(out: &mut impl Write, entry: &Entry<'_>) -> io::Result<()> {
    let cursor = entry.cursor();
    write!(out, r#"{{"__CURSOR":"{cursor}","__REALTIME_TIMESTAMP":"{}""#, cursor.realtime)?;
    write!(out, r#","__MONOTONIC_TIMESTAMP":"{}","_BOOT_ID":"{}""#, cursor.monotonic, cursor.boot_id)?;
    let fields: Vec<(&[u8], &[u8])> = entry.fields().filter(|(name, _)| *name != b"_BOOT_ID").collect();
    for (index, (name, _)) in fields.iter().enumerate() {
        // A name that stands in an entry several times is printed once, with all of its values.
        if fields.iter().take(index).any(|(before, _)| before == name) {
            continue;
        }
        let values: Vec<&[u8]> =
            fields.iter().skip(index).filter(|(other, _)| other == name).map(|(_, value)| *value).collect();
        write!(out, ",")?;
        print_text(out, &String::from_utf8_lossy(name))?;
        write!(out, ":")?;
        match values.as_slice() {
            [value] => print_value(out, name, value)?,
            _ => print_list(out, &values, |out, value| print_value(out, name, value))?,
        }
    }
    writeln!(out, "}}")
}

fn print_value(out: &mut impl Write, name: &[u8], value: &[u8]) -> io::Result<()> {
    if name.len() + 1 + value.len() >= FIELD_MAX {
        return write!(out, "null");
    }
    match std::str::from_utf8(value) {
        Ok(text) if text.chars().all(is_printable) => print_text(out, text),
        _ => print_list(out, value, |out, byte| write!(out, "{byte}")),
    }
}

fn print_list<W: Write, T>(
    out: &mut W,
    items: &[T],
    print: impl Fn(&mut W, &T) -> io::Result<()>,
) -> io::Result<()> {
    write!(out, "[")?;
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            write!(out, ",")?;
        }
        print(out, item)?;
    }
    write!(out, "]")
}

fn print_text(out: &mut impl Write, text: &str) -> io::Result<()> {
    write!(out, "\"")?;
    for c in text.chars() {
        match c {
            '"' => write!(out, "\\\"")?,
            '\\' => write!(out, "\\\\")?,
            '\n' => write!(out, "\\n")?,
            '\t' => write!(out, "\\t")?,
            c if c < ' ' => write!(out, "\\u{:04x}", u32::from(c))?,
            c => write!(out, "{c}")?,
        }
    }
    write!(out, "\"")
}

/// Whether systemd takes a character for text: neither a control character, except tab and newline, nor one that Unicode
/// has set aside (`utf8_is_printable`, `unichar_is_valid`).
fn is_printable(c: char) -> bool {
    let number = u32::from(c);
    let set_aside = (0xfdd0..=0xfdef).contains(&number) || number & 0xfffe == 0xfffe;
    matches!(c, '\t' | '\n') || !(c.is_control() || set_aside)
}
