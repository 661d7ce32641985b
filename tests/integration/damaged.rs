//! What the program says of damaged journal files: each is named once, with what was seen and what was done.

use std::fs;
use std::path::Path;

use crate::support::agent::program;
use crate::support::fixtures::Format;
use crate::support::layout::put;
use crate::support::or_skip;
use crate::support::sound::{ENTRIES, Sound};

/// What the dry run says of a folder: how many entries it shows, and its log.
fn dry_run(path: &Path) -> (usize, String) {
    let out = program(&["--dry-run", "-o", "json", "--path"]).arg(path).output().unwrap();
    let lines = String::from_utf8(out.stdout).unwrap().lines().count();
    (lines, String::from_utf8(out.stderr).unwrap())
}

type Damage<'a> = &'a dyn Fn(&mut Vec<u8>);

#[test]
fn a_header_that_is_damaged_is_said_once() {
    let sound = or_skip!(Sound::build(Format::default()));
    let cases: [(Damage, &[&str]); 4] = [
        (&|b| b[..4096].fill(0), &["a header of zeros", "(damaged_header)", "what stands behind it is read"]),
        (&|b| b[0] = b'X', &["does not begin with LPKSHHRH", "(damaged_header)"]),
        (&|b| put(b, 152, 0), &["a header that counts no entries", "(damaged_header)"]),
        (&|b| put(b, 88, 0), &["a header whose sizes cannot be", "(damaged_header)"]),
    ];
    for (damage, parts) in cases {
        let mut bytes = sound.bytes.clone();
        damage(&mut bytes);
        fs::write(&sound.path, bytes).unwrap();
        let (shown, log) = dry_run(sound.folder.path());
        assert_eq!(shown as u64, ENTRIES, "{log}");
        let name = sound.path.display().to_string();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(&name)).collect();
        assert_eq!(lines.len(), 1, "{log}");
        assert!(parts.iter().all(|part| lines[0].contains(part)), "{log}");
    }
}

#[test]
fn a_file_that_is_passed_over_is_said_with_what_was_seen() {
    let sound = or_skip!(Sound::build(Format::default()));
    let path = sound.folder.path().join("b.journal");
    let mut unknown = sound.bytes.clone();
    unknown[12] |= 0x40;
    for (bytes, part) in [
        (vec![], "it is empty"),
        (vec![0; 100], "its 100 bytes are zeros"),
        (vec![0; 1 << 20], "its 1048576 bytes are zeros"),
        (sound.bytes[..200].to_vec(), "it has 200 bytes, a header has 208"),
        (b"no journal at all\n".repeat(1000), "its first bytes are not LPKSHHRH"),
        (unknown, "0x40 are unknown"),
    ] {
        fs::write(&path, &bytes).unwrap();
        let (shown, log) = dry_run(sound.folder.path());
        assert_eq!(shown as u64, ENTRIES, "the other file is read");
        let lines: Vec<&str> = log.lines().filter(|line| line.contains("b.journal")).collect();
        assert_eq!(lines.len(), 1, "{part}: {log}");
        assert!(lines[0].contains(part), "{part}: {log}");
    }
}

#[test]
fn the_log_tells_of_each_file_and_cause_once() {
    let sound = or_skip!(Sound::build(Format::default()));
    let mut bytes = sound.bytes.clone();
    for index in [10, 50, 51, 90] {
        bytes[sound.layout.entries[index]] = 0;
    }
    fs::write(&sound.path, &bytes).unwrap();
    let out = program(&["--dry-run", "--summary", "--path"]).arg(&sound.path).output().unwrap();
    let log = String::from_utf8(out.stderr).unwrap();
    let name = sound.path.display().to_string();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(&name)).collect();
    assert_eq!(lines.len(), 1, "{log}");
    for part in ["at offset 0x", "(damaged_entry)", "the file is searched"] {
        assert!(lines[0].contains(part), "no {part:?} in {log}");
    }
    assert!(log.contains("4 damaged"), "{log}");
}
