//! The journal of the other benchmarks, in many files.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::support::Error;
use super::support::generate::{BenchJournal, VERSION, journal_remote};
use super::support::host::Host;

/// The same entries in `files` files, all of which hold entries of the whole time if they were written `by_turns`, or
/// each its part of it; made if they are not there.
pub(crate) fn scatter(root: &Path, entries: u64, files: u64, by_turns: bool) -> Result<BenchJournal, Error> {
    let home =
        root.join(format!("v{VERSION}-{entries}-in-{files}{}", if by_turns { "-by-turns" } else { "" }));
    let folder = home.join("journal");
    let mut host = Host::new(entries);
    if home.exists() {
        // What it holds is counted again.
        (0..entries).for_each(|_| _ = host.next_entry());
    } else {
        let draft = root.join(format!("draft-{}", std::process::id()));
        fs::create_dir_all(draft.join("journal"))?;
        let exports = (0..files).map(|n| draft.join(format!("{n}.export"))).collect::<Vec<_>>();
        let mut texts = vec![Vec::new(); exports.len()];
        for n in 0..entries {
            let file = if by_turns { n % files } else { n * files / entries };
            if let Some(text) = usize::try_from(file).ok().and_then(|file| texts.get_mut(file)) {
                text.extend_from_slice(host.next_entry());
            }
        }
        for (n, (path, text)) in exports.iter().zip(&texts).enumerate() {
            fs::write(path, text)?;
            let status = Command::new(journal_remote()?)
                .arg("-o")
                .arg(draft.join(format!("journal/part{n:03}.journal")))
                .arg(path)
                .env("SYSTEMD_LOG_LEVEL", "err")
                .status()?;
            if !status.success() {
                return Err(format!("systemd-journal-remote ended with {status}").into());
            }
            fs::remove_file(path)?;
        }
        fs::rename(&draft, &home)?;
    }
    Ok(BenchJournal { folder, entries, fields: host.fields, message_bytes: host.message_bytes })
}
