//! A realistic journal of any length: the entries that fifty units of one host write over two days and
//! two boots, with the fields that journald itself gives them, stored by systemd's own code.
//!
//! The entries are written in the journal export format to `systemd-journal-remote`, which appends them
//! with the same functions as journald and rotates as journald does. They depend on nothing but the seed
//! and the count. Facts: systemd, docs/JOURNAL_EXPORT_FORMATS.md, man/systemd.journal-fields.xml,
//! src/journal/journald-server.c (which fields each transport carries).

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Error;
use super::host::Host;

/// Raised when the same count would give another journal than before.
pub(crate) const VERSION: u32 = 1;
/// Where systemd's packages put the program.
const JOURNAL_REMOTE: [&str; 2] =
    ["/usr/lib/systemd/systemd-journal-remote", "/lib/systemd/systemd-journal-remote"];

/// A journal that is ready to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BenchJournal {
    /// The folder that holds its files, and nothing else.
    pub(crate) folder: PathBuf,
    pub(crate) entries: u64,
    /// Fields of all entries together, without the timestamps and the cursor.
    pub(crate) fields: u64,
    /// Length of the values of `MESSAGE`, all together.
    pub(crate) message_bytes: u64,
}

/// The journal of `entries` entries under `root`; made if it is not there.
pub(crate) fn prepare(root: &Path, entries: u64) -> Result<BenchJournal, Error> {
    let home = root.join(format!("v{VERSION}-{entries}"));
    let stamp = home.join("stamp");
    if let Ok(text) = fs::read_to_string(&stamp) {
        let mut numbers = text.split_whitespace().map(str::parse);
        if let (Some(Ok(fields)), Some(Ok(message_bytes))) = (numbers.next(), numbers.next()) {
            return Ok(BenchJournal { folder: home.join("journal"), entries, fields, message_bytes });
        }
    }
    // Made aside and moved into place, so that a run that was interrupted leaves nothing that looks whole.
    let draft = root.join(format!("draft-{}", std::process::id()));
    let folder = draft.join("journal");
    fs::create_dir_all(&folder)?;
    let (fields, message_bytes) = store(&folder, entries)?;
    let stored = count(&folder)?;
    if stored != entries {
        return Err(
            format!("{}: {stored} entries are stored, {entries} were written", folder.display()).into()
        );
    }
    fs::write(draft.join("stamp"), format!("{fields} {message_bytes}\n"))?;
    if home.exists() {
        fs::remove_dir_all(&home)?;
    }
    fs::rename(&draft, &home)?;
    Ok(BenchJournal { folder: home.join("journal"), entries, fields, message_bytes })
}

/// The program that writes journals.
pub(crate) fn journal_remote() -> Result<&'static str, Error> {
    JOURNAL_REMOTE.into_iter().find(|path| Path::new(path).exists()).ok_or_else(|| {
        format!("{} is missing; install the package systemd-journal-remote", JOURNAL_REMOTE[0]).into()
    })
}

/// Writes the journal; the number of fields and the bytes of all messages.
fn store(folder: &Path, entries: u64) -> Result<(u64, u64), Error> {
    let mut host = Host::new(entries);
    write(folder, |out| (0..entries).try_for_each(|_| out.write_all(host.next_entry())))?;
    Ok((host.fields, host.message_bytes))
}

/// Has systemd-journal-remote store what `entries` writes in the journal export format.
pub(crate) fn write(
    folder: &Path,
    entries: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), Error> {
    let program = journal_remote()?;
    let mut remote = Command::new(program)
        .arg("-o")
        .arg(folder.join("system.journal"))
        .arg("-")
        // Without it, each rotation is told.
        .env("SYSTEMD_LOG_LEVEL", "err")
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    let stdin = remote.stdin.take().ok_or("systemd-journal-remote has no standard input")?;
    let mut out = BufWriter::with_capacity(256 * 1024, stdin);
    let written = entries(&mut out).and_then(|()| out.flush());
    drop(out);
    let status = remote.wait()?;
    written.map_err(|error| format!("{program}: {error}"))?;
    if !status.success() {
        return Err(format!("{program} ended with {status}").into());
    }
    Ok(())
}

/// The entries that the files in `folder` hold, as journalctl reads their headers.
fn count(folder: &Path) -> Result<u64, Error> {
    let output = Command::new("journalctl").arg("--header").arg("-D").arg(folder).output()?;
    let headers = String::from_utf8_lossy(&output.stdout);
    let counts = headers.lines().filter_map(|line| line.strip_prefix("Entry objects:"));
    let counts = counts.map(|count| count.trim().parse::<u64>());
    Ok(counts.sum::<Result<u64, _>>()?)
}
