//! Journal files with chosen times, boots and fields, and what the real journalctl reads from any journal.
//!
//! Files are written by systemd-journal-remote from the journal export format (systemd's
//! docs/JOURNAL_EXPORT_FORMATS.md), so their bytes are journald's own. Chosen: realtime, monotonic and boot
//! of each entry, in any order, and the fields. Not chosen: sequence numbers (1, 2, …), the ids of the file,
//! and the machine id of its header (this machine's). Past about 60 MB it goes on in a second file.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Unavailable;

const JOURNAL_REMOTE: &str = "/lib/systemd/systemd-journal-remote";

/// The boot of entries that name none.
pub const BOOT: u128 = 0xb007_b007_b007_b007_b007_b007_b007_b007;

/// One entry to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportEntry {
    /// Microseconds since 1970.
    pub realtime: u64,
    /// Microseconds since the boot.
    pub monotonic: u64,
    pub boot_id: u128,
    pub fields: Vec<(String, Vec<u8>)>,
}

impl ExportEntry {
    /// An entry at `realtime` microseconds, of [`BOOT`], which began at 0: monotonic is the same.
    pub fn new(realtime: u64) -> Self {
        Self { realtime, monotonic: realtime, boot_id: BOOT, fields: Vec::new() }
    }

    /// Of another boot, `monotonic` microseconds into it.
    pub fn boot(mut self, boot_id: u128, monotonic: u64) -> Self {
        (self.boot_id, self.monotonic) = (boot_id, monotonic);
        self
    }

    /// One more field; names may repeat.
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// `MESSAGE`.
    pub fn message(self, value: impl AsRef<[u8]>) -> Self {
        self.field("MESSAGE", value)
    }
}

/// The time of the first of [`mixed`] (microseconds since 1970).
pub const BASE: u64 = 1_700_000_000_000_000;

/// Entries with values from common to rare, several of a microsecond, over a clock that jumps back.
pub fn mixed(count: u64) -> Vec<ExportEntry> {
    let long = "long ".repeat(200);
    (0..count)
        .map(|n| {
            let jump = if n % 97 > 60 { 3 } else { 0 };
            let ahead = if n % 200 == 151 { 1000 } else { 0 };
            let entry = ExportEntry::new(BASE + n / 5 - jump + ahead)
                .boot(7, 1_000_000 + n)
                .message(format!("message {n}"))
                .field("A", (n % 3).to_string())
                .field("B", (n % 7).to_string())
                .field("C", (n * n % 50).to_string())
                .field("D", (n / 40 % 9).to_string());
            // Equal in time on both sides of one that is not, and neighbours.
            let apart = n % 200 == 150 || n % 200 == 152;
            let entry = if apart || n % 60 == 7 || n % 60 == 8 { entry.field("RARE", "1") } else { entry };
            let entry = if n % 151 == 3 { entry.field("RARE", "2").field("EMPTY", "") } else { entry };
            let entry = if n % 11 == 0 { entry.field("C", "first").field("C", "second") } else { entry };
            if n % 90 == 5 { entry.field("LONG", &long) } else { entry }
        })
        .collect()
}

/// Writes entries in the journal export format.
pub fn write_export(to: &mut impl Write, entries: &[ExportEntry]) -> std::io::Result<()> {
    for entry in entries {
        writeln!(to, "__REALTIME_TIMESTAMP={}", entry.realtime)?;
        writeln!(to, "__MONOTONIC_TIMESTAMP={}", entry.monotonic)?;
        writeln!(to, "_BOOT_ID={:032x}", entry.boot_id)?;
        for (name, value) in &entry.fields {
            let text = std::str::from_utf8(value).is_ok_and(|text| !text.contains(|c| c < ' ' && c != '\t'));
            if text {
                write!(to, "{name}=")?;
            } else {
                writeln!(to, "{name}")?;
                to.write_all(&(value.len() as u64).to_le_bytes())?;
            }
            to.write_all(value)?;
            writeln!(to)?;
        }
        writeln!(to)?;
    }
    Ok(())
}

/// The two properties of a file that a writer may choose since systemd 246 and 252. Default: both, as journald.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Hash tables keyed with siphash24 instead of Jenkins' hash.
    pub keyed: bool,
    /// 32-bit offsets in entries and entry arrays.
    pub compact: bool,
}

impl Format {
    /// Every combination, for tests that must hold in each.
    pub const ALL: [Self; 4] = [
        Self { keyed: false, compact: false },
        Self { keyed: false, compact: true },
        Self { keyed: true, compact: false },
        Self { keyed: true, compact: true },
    ];
}

impl Default for Format {
    fn default() -> Self {
        Self { keyed: true, compact: true }
    }
}

/// Writes a journal file (its name must end in `.journal`; it is extended if it exists) of these entries.
/// `Err` where systemd-journal-remote is not installed. Takes about 20 ms, and 25 µs an entry; 8 MiB on disk.
pub fn build_journal(path: &Path, entries: &[ExportEntry], format: Format) -> Result<(), Unavailable> {
    let mut export = Vec::new();
    write_export(&mut export, entries).expect("memory can be written");
    build_journal_from_export(path, &export, format)
}

/// As [`build_journal`], from bytes in export format.
pub fn build_journal_from_export(path: &Path, export: &[u8], format: Format) -> Result<(), Unavailable> {
    if !Path::new(JOURNAL_REMOTE).exists() {
        return Err(Unavailable(format!("{JOURNAL_REMOTE} is missing (package systemd-journal-remote)")));
    }
    let flag = |on: bool| if on { "1" } else { "0" };
    let mut remote = Command::new(JOURNAL_REMOTE)
        .arg("--output")
        .arg(path)
        .arg("-")
        .env("SYSTEMD_JOURNAL_KEYED_HASH", flag(format.keyed))
        .env("SYSTEMD_JOURNAL_COMPACT", flag(format.compact))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("systemd-journal-remote starts");
    let written = remote.stdin.take().expect("piped").write_all(export);
    let output = remote.wait_with_output().expect("systemd-journal-remote ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && written.is_ok(), "systemd-journal-remote: {written:?}: {stderr}");
    Ok(())
}

/// One entry as journalctl prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedEntry {
    pub cursor: String,
    /// Microseconds since 1970.
    pub realtime: u64,
    /// Microseconds since the boot.
    pub monotonic: u64,
    pub boot_id: u128,
    /// All fields but those of the address (`__…` and `_BOOT_ID`), in the order of the output.
    pub fields: Vec<(String, Vec<u8>)>,
}

impl ExportedEntry {
    /// The first value of a field.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_slice())
    }

    /// Every value of a field.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.fields.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_slice())
    }

    /// The first value of a field as text; empty where it is absent.
    pub fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(self.get(name).unwrap_or_default()).into_owned()
    }

    /// The fields sorted: an entry has no order of its own, journald sorts by offset.
    pub fn sorted_fields(&self) -> Vec<(String, Vec<u8>)> {
        let mut fields = self.fields.clone();
        fields.sort();
        fields
    }
}

/// What `journalctl -o export` says about files and folders (each a path), merged and in its order.
/// `Err` where journalctl is not installed. Give an entry's files at once, so that order and folding of
/// duplicates are journalctl's.
pub fn journalctl_export<P: AsRef<Path>>(paths: &[P]) -> Result<Vec<ExportedEntry>, Unavailable> {
    Ok(parse_export(&journalctl(paths, &["--all", "--output=export"])?))
}

/// Runs journalctl outside any box over files and at most one folder. Panics when it fails.
pub fn journalctl<P: AsRef<Path>>(paths: &[P], args: &[&str]) -> Result<Vec<u8>, Unavailable> {
    let mut command = Command::new("journalctl");
    for path in paths {
        let path = path.as_ref();
        command.arg(if path.is_dir() { "--directory" } else { "--file" }).arg(path);
    }
    command.args(["--no-pager", "--quiet"]).args(args).env("TZ", "UTC").env("SYSTEMD_COLORS", "0");
    let output = match command.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) => return Err(Unavailable(format!("journalctl: {error} (package systemd)"))),
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    // "No entries" is an answer, though an old journalctl calls it a failure.
    assert!(output.status.success() || stderr.is_empty(), "{command:?}: {}: {stderr}", output.status);
    Ok(output.stdout)
}

/// Reads the journal export format. Panics on what is not in it: the writer is journalctl.
pub fn parse_export(mut bytes: &[u8]) -> Vec<ExportedEntry> {
    let mut entries = Vec::new();
    let mut fields: Vec<(String, Vec<u8>)> = Vec::new();
    while !bytes.is_empty() {
        let line = take_line(&mut bytes);
        if line.is_empty() {
            entries.extend(exported(std::mem::take(&mut fields)));
            continue;
        }
        let (name, value) = match line.iter().position(|&byte| byte == b'=') {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => {
                let (size, rest) =
                    bytes.split_first_chunk::<8>().expect("a size after a binary field's name");
                let size = usize::try_from(u64::from_le_bytes(*size)).expect("a size that fits");
                let value = &rest[..size];
                assert_eq!(rest.get(size), Some(&b'\n'), "a newline after a binary value");
                bytes = &rest[size + 1..];
                (line, value)
            }
        };
        fields.push((String::from_utf8(name.to_vec()).expect("a field name"), value.to_vec()));
    }
    entries.extend(exported(fields));
    entries
}

fn take_line<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let end = bytes.iter().position(|&byte| byte == b'\n').expect("a newline");
    let line = &bytes[..end];
    *bytes = &bytes[end + 1..];
    line
}

fn exported(mut fields: Vec<(String, Vec<u8>)>) -> Option<ExportedEntry> {
    if fields.is_empty() {
        return None;
    }
    let mut address = |name: &str| {
        let at =
            fields.iter().position(|(n, _)| n == name).unwrap_or_else(|| panic!("an entry without {name}"));
        String::from_utf8(fields.remove(at).1).expect("ASCII")
    };
    let cursor = address("__CURSOR");
    let realtime = address("__REALTIME_TIMESTAMP").parse().expect("microseconds");
    let monotonic = address("__MONOTONIC_TIMESTAMP").parse().expect("microseconds");
    let boot_id = u128::from_str_radix(&address("_BOOT_ID"), 16).expect("a boot id");
    fields.retain(|(name, _)| !name.starts_with("__")); // systemd 254 adds __SEQNUM and __SEQNUM_ID
    Some(ExportedEntry { cursor, realtime, monotonic, boot_id, fields })
}

/// A file of `tests/data/journals` made by another systemd than this machine's; see its README.
#[derive(Debug)]
pub struct Recorded {
    /// The journal file, unpacked into the folder that was given.
    pub path: PathBuf,
    /// What the journalctl of that systemd read from it.
    pub expected: Vec<ExportedEntry>,
}

/// Names of the recorded journals: each is a file, and its `.export` is beside it.
pub fn recorded_names() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(recorded_dir())
        .expect("tests/data/journals")
        .filter_map(|entry| entry.expect("a name").file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".export.gz").map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// Unpacks the journal `name` (such as `lz4.journal`) into `folder`.
pub fn recorded(name: &str, folder: &Path) -> Recorded {
    let path = folder.join(name);
    std::fs::write(&path, gunzip(&recorded_dir().join(format!("{name}.gz")))).expect("a journal file");
    let expected = parse_export(&gunzip(&recorded_dir().join(format!("{name}.export.gz"))));
    Recorded { path, expected }
}

fn recorded_dir() -> PathBuf {
    super::root().join("tests/data/journals")
}

/// A gzip'ed file's content.
pub fn gunzip(path: &Path) -> Vec<u8> {
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).expect("gzip");
    bytes
}
