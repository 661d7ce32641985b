//! Files whose header is damaged: each is read.

use std::fs;

use journald_reader::Start;

use crate::support::layout::put;
use crate::support::or_skip;
use crate::support::sound::{Read, Sound, drain, open, read};

/// Whether both are the same entries; the counter's id stood in the header.
fn same(entries: &[Read], sound: &[Read]) -> bool {
    entries.len() == sound.len()
        && entries.iter().zip(sound).all(|(entry, sound)| {
            let (a, b) = (entry.0, sound.0);
            (a.seqnum, a.boot_id, a.monotonic, a.realtime, a.xor_hash)
                == (b.seqnum, b.boot_id, b.monotonic, b.realtime, b.xor_hash)
                && entry.1 == sound.1
        })
}

type Damage<'a> = &'a dyn Fn(&mut Vec<u8>);

#[test]
fn a_file_is_read_whatever_has_become_of_its_header() {
    for sound in or_skip!(Sound::all()) {
        let cases: [(&str, Damage); 12] = [
            ("zeros", &|b| b[..272].fill(0)),
            ("a page of zeros", &|b| b[..4096].fill(0)),
            ("other bytes", &|b| b[..272].fill(b'x')),
            ("a bit of the signature", &|b| b[3] ^= 1),
            ("no signature", &|b| b[..8].fill(0)),
            ("no sizes", &|b| b[88..104].fill(0)),
            ("a size of nothing", &|b| put(b, 88, 0)),
            ("an arena of nothing", &|b| put(b, 96, 0)),
            ("an arena of everything", &|b| put(b, 96, u64::MAX)),
            ("no entries", &|b| put(b, 152, 0)),
            ("fewer entries", &|b| put(b, 152, 120)),
            ("no tail", &|b| put(b, 136, 0)),
        ];
        for (what, damage) in cases {
            let mut bytes = sound.bytes.clone();
            damage(&mut bytes);
            for name in ["a@1.journal", "a@0005f.journal~"] {
                let path = sound.folder.path().join(name);
                fs::write(&path, &bytes).unwrap();
                let (entries, losses) = read(&path);
                let what = format!("{}: {what}: {} entries, {losses:?}", path.display(), entries.len());
                assert!(same(&entries, &sound.entries), "{what}");
                assert_eq!(losses.total(), 0, "{what}");
                fs::remove_file(path).unwrap();
            }
        }
    }
}

#[test]
fn nothing_comes_twice_when_a_header_is_damaged_between_two_starts() {
    for sound in or_skip!(Sound::all()) {
        let cases: [(&str, Damage); 3] = [
            ("another id", &|b| b[24..40].fill(9)),
            ("a bit of the id", &|b| b[30] ^= 2),
            ("zeros", &|b| b[..272].fill(0)),
        ];
        fs::remove_file(&sound.path).unwrap();
        for (what, damage) in cases {
            for (before, after) in [
                ("a.journal", "a.journal"),
                ("a.journal", "a@0005f.journal~"),
                ("a@1.journal", "a@1.journal"),
            ] {
                let (old, new) = (sound.folder.path().join(before), sound.folder.path().join(after));
                let mut bytes = sound.bytes.clone();
                bytes[16] = if before == "a.journal" { 1 } else { 2 };
                fs::write(&old, &bytes).unwrap();
                let mut tail = open(sound.folder.path(), Start::Oldest);
                for _ in 0..120 {
                    tail.next_entry().unwrap();
                }
                let resume = tail.resume();
                drop(tail);
                damage(&mut bytes);
                fs::remove_file(&old).unwrap();
                fs::write(&new, &bytes).unwrap();
                let rest = drain(&mut open(sound.folder.path(), Start::Resume(Box::new(resume))));
                let case = format!("{what}: {before} becomes {after}: {} entries", rest.len());
                assert!(same(&rest, &sound.entries[120..]), "{case}");
                fs::remove_file(&new).unwrap();
            }
        }
    }
}
