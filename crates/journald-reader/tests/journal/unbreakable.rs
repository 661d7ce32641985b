//! What the reader survives, case by case: for each kind of damage, every entry that it does not touch comes out, once
//! and as it was written, and what does not come out is counted under a reason.

use std::fs;
use std::os::unix::fs::FileExt;

use journald_reader::{Reason, Start};
use rustix::fs::FallocateFlags;

use crate::support::fixtures::{ExportEntry, Format, build_journal, recorded};
use crate::support::layout::{TYPE_DATA, number, put};
use crate::support::or_skip;
use crate::support::sound::{ENTRIES, Sound, drain, next, open, plain, read};

#[test]
fn entries_are_found_without_any_array() {
    for sound in or_skip!(Sound::all()) {
        let arrays = sound.layout.arrays.clone();
        assert!(arrays.len() >= 3, "{arrays:?}");
        for (n, array) in arrays.iter().copied().enumerate() {
            let size = number(&sound.bytes, array + 8) as usize;
            let case = |what: &str, damage: &dyn Fn(&mut Vec<u8>)| {
                sound.damaged(&format!("array {n}: {what}"), &[], Reason::Array, |bytes| damage(bytes));
            };
            case("zeroed", &|b| b[array..array + size].fill(0));
            case("its page zeroed, as far as it is arrays", &|b| b[array + 8..array + size].fill(0));
            case("another type", &|b| b[array] = 5);
            case("a size of nothing", &|b| put(b, array + 8, 0));
            case("a size behind the end", &|b| put(b, array + 8, 1 << 40));
            case("fewer items", &|b| put(b, array + 8, 24 + 8));
            case("the next one is itself", &|b| put(b, array + 16, array as u64));
            case("the next one is the first", &|b| put(b, array + 16, arrays[0] as u64));
            case("the next one is behind the end", &|b| put(b, array + 16, 1 << 40));
            case("the next one is before the beginning", &|b| put(b, array + 16, u64::MAX - 7));
            case("the next one is no array", &|b| put(b, array + 16, sound.layout.entries[190] as u64));
            case("no next one", &|b| put(b, array + 16, 0));
            case("items of zero", &|b| b[array + 24..array + size].fill(0));
            case("an item twice", &|b| b.copy_within(array + 24..array + 32, array + 32));
            case("an item somewhere", &|b| b[array + 25] ^= 0x21);
            case("an item at a payload", &|b| {
                let data = sound.layout.data_of(&sound.bytes, sound.layout.entries[150])[0] as u64;
                let item = data.to_le_bytes();
                let len = if sound.layout.compact { 4 } else { 8 };
                b[array + 24..array + 24 + len].copy_from_slice(&item[..len]);
            });
        }
        sound.damaged("no first array", &[], Reason::Array, |b| put(b, 176, 0));
        sound.damaged("fewer entries in the header, but they are there", &[], Reason::Array, |b| {
            put(b, 176, 1 << 30);
        });
    }
}

#[test]
fn an_entry_that_is_none_is_passed_over() {
    for sound in or_skip!(Sound::all()) {
        for index in [0, 1, 77, ENTRIES as usize - 1] {
            let entry = sound.layout.entries[index];
            let case = |what: &str, damage: &dyn Fn(&mut Vec<u8>)| {
                sound.damaged(&format!("entry {index}: {what}"), &[index], Reason::Entry, |b| damage(b));
            };
            case("another type", &|b| b[entry] = 6);
            case("no type", &|b| b[entry] = 0);
            case("a size of nothing", &|b| put(b, entry + 8, 0));
            case("a size that is too small", &|b| put(b, entry + 8, 63));
            case("a size behind the end", &|b| put(b, entry + 8, u64::MAX - 7));
            case("no items", &|b| put(b, entry + 8, 64));
            case("zeroed", &|b| b[entry..entry + 72].fill(0));
            case("no number", &|b| put(b, entry + 16, 0));
            case("a time that cannot be", &|b| b[entry + 31] = 0x7f);
            case("no boot", &|b| b[entry + 40..entry + 56].fill(0));
        }
    }
}

#[test]
fn a_number_out_of_order_is_the_lie_of_one_entry() {
    for sound in or_skip!(Sound::all()) {
        for (index, value) in [(50, 1), (50, 500), (50, 1 << 60), (50, 52), (0, 9), (199, 1 << 40), (199, 3)]
        {
            let entry = sound.layout.entries[index];
            sound.damaged(&format!("entry {index} has number {value}"), &[index], Reason::Entry, |b| {
                put(b, entry + 16, value);
            });
        }
        // Without arrays, too.
        for (index, value) in [(50, 1), (50, 500), (50, 52), (50, 150), (0, 9), (199, 1 << 40), (199, 3)] {
            let entry = sound.layout.entries[index];
            sound.damaged(
                &format!("entry {index} has number {value}, no arrays"),
                &[index],
                Reason::Array,
                |b| {
                    put(b, entry + 16, value);
                    put(b, 176, 0);
                },
            );
        }
        // The header lies, and not the entries.
        for (at, value) in [(160, 3), (160, 1 << 60), (168, 150), (168, 0), (152, u64::MAX)] {
            sound.damaged(&format!("header: {at} is {value}"), &[], Reason::Entry, |b| put(b, at, value));
        }
    }
}

#[test]
fn a_payload_that_is_none_is_left_out_of_the_entries_that_have_it() {
    for sound in or_skip!(Sound::all()) {
        let own = [0, 60, ENTRIES as usize - 1].map(|index| {
            let data = sound.layout.own_data(&sound.bytes, sound.layout.entries[index]);
            *data.last().unwrap()
        });
        let shared = sound.shared_data();
        assert!(shared.len() >= 7, "{shared:?}");
        for data in own.into_iter().chain(shared.into_iter().take(4)) {
            let payload = data + sound.layout.payload();
            let len = number(&sound.bytes, data + 8) as usize - sound.layout.payload();
            let case = |what: &str, damage: &dyn Fn(&mut Vec<u8>)| {
                sound.without(&format!("data at {data}: {what}"), &sound.path, data, |b| damage(b));
            };
            case("another type", &|b| b[data] = 3);
            case("a size of nothing", &|b| put(b, data + 8, 0));
            case("a size behind the end", &|b| put(b, data + 8, 1 << 33));
            case("no name", &|b| {
                b[payload..payload + 6.min(len)].fill(b'A');
                b[payload..payload + len].iter_mut().filter(|b| **b == b'=').for_each(|b| *b = b'-');
            });
        }
    }
}

#[test]
fn one_flipped_bit_of_a_field_costs_that_field_and_no_entry() {
    for sound in or_skip!(Sound::all()) {
        // As journald names what it finds unclean.
        let path = sound.folder.path().join("a@0005f.journal~");
        let own = sound.layout.own_data(&sound.bytes, sound.layout.entries[100]);
        for data in sound.shared_data().into_iter().chain(own) {
            let payload = data + sound.layout.payload();
            let end = data + number(&sound.bytes, data + 8) as usize;
            for (at, bit) in [(payload, 5), (end - 1, 0), (data, 1), (data + 9, 3)] {
                let what = format!("bit {bit} of byte {at} of the object at {data}");
                sound.without(&what, &path, data, |bytes| bytes[at] ^= 1 << bit);
            }
            // The hash is damaged, and not what it is of.
            sound.damaged("a hash", &[], Reason::Hash, |bytes| bytes[data + 18] ^= 4);
            let mut bytes = sound.bytes.clone();
            bytes[data + 18] ^= 4;
            fs::write(&path, bytes).unwrap();
            let (entries, losses) = read(&path);
            assert!(entries == sound.entries && losses.total() == 0, "{losses:?}");
        }
    }
}

#[test]
fn a_field_that_is_gone_altogether_costs_no_entry_that_shares_it() {
    for sound in or_skip!(Sound::all()) {
        let path = sound.folder.path().join("a@0005f.journal~");
        for data in sound.shared_data() {
            let end = data + number(&sound.bytes, data + 8) as usize;
            sound.without("zeros", &path, data, |bytes| bytes[data..end].fill(0));
            sound.without("zeros in a clean file", &sound.path, data, |bytes| bytes[data..end].fill(0));
        }
    }
}

#[test]
fn a_file_whose_id_or_kind_of_hash_is_damaged_is_read_all_the_same() {
    for sound in or_skip!(Sound::all()) {
        let unclean = sound.folder.path().join("a@0005f.journal~");
        type Damage<'a> = &'a dyn Fn(&mut Vec<u8>);
        let cases: [(&str, Damage); 4] = [
            ("a bit of the id", &|bytes| bytes[29] ^= 0x10),
            ("the id", &|bytes| bytes[24..40].fill(7)),
            ("no id", &|bytes| bytes[24..40].fill(0)),
            ("the flag of keyed hashes", &|bytes| bytes[12] ^= 4),
        ];
        for (what, damage) in cases {
            let mut bytes = sound.bytes.clone();
            damage(&mut bytes);
            for (path, arrays) in [(&unclean, true), (&sound.path, true), (&unclean, false)] {
                if !arrays {
                    put(&mut bytes, 176, 0);
                }
                fs::write(path, &bytes).unwrap();
                let (entries, losses) = read(path);
                assert!(
                    entries == sound.entries && losses.total() == 0,
                    "{}: {what}, arrays: {arrays}: {} entries, {losses:?}",
                    path.display(),
                    entries.len()
                );
            }
        }
    }
}

#[test]
fn in_a_file_in_doubt_every_byte_that_an_entry_has_is_checked() {
    for sound in or_skip!(Sound::all()) {
        // As journald names what it finds unclean.
        let path = sound.folder.path().join("a@0005f.journal~");
        for index in [0, 100, ENTRIES as usize - 1] {
            let entry = sound.layout.entries[index];
            for at in [entry + 56, entry + 63] {
                let mut bytes = sound.bytes.clone();
                bytes[at] ^= 0x10;
                fs::write(&path, &bytes).unwrap();
                let (entries, losses) = read(&path);
                let expected = sound.entries.iter().enumerate().filter(|(n, _)| *n != index).map(|(_, e)| e);
                assert!(entries.iter().eq(expected), "entry {index}, byte {at}: {losses:?}");
                assert_eq!((losses.total(), losses.of(Reason::Hash)), (1, 1), "byte {at}: {losses:?}");
            }
        }
        // So is one whose writer died, and one in which anything was damaged before.
        for crashed in [true, false] {
            let data = *sound.layout.own_data(&sound.bytes, sound.layout.entries[100]).last().unwrap();
            let mut bytes = sound.bytes.clone();
            bytes[data + sound.layout.payload() + 9] ^= 0x10;
            match crashed {
                true => bytes[16] = 1,
                false => bytes[sound.layout.entries[40]] = 0,
            }
            fs::write(&sound.path, &bytes).unwrap();
            let (entries, losses) = read(&sound.path);
            assert_eq!(losses.total(), if crashed { 0 } else { 1 }, "{losses:?}");
            let altered = entries.iter().filter(|entry| !sound.entries.contains(entry)).count();
            assert_eq!(altered, 1, "one is without its message");
        }
    }
}

#[test]
fn fields_given_twice_are_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    for (n, format) in Format::ALL.into_iter().enumerate() {
        let path = folder.path().join(format!("{n}.journal"));
        let entries: Vec<ExportEntry> = (0..20)
            .map(|n| {
                let entry = ExportEntry::new(1_700_000_000_000_000 + n).message("m").field("A", "1");
                entry.field("A", "1").field("B", n.to_string()).field("B", n.to_string())
            })
            .collect();
        or_skip!(build_journal(&path, &entries, format));
        let unclean = folder.path().join(format!("{n}@1.journal~"));
        fs::rename(&path, &unclean).unwrap();
        let (entries, losses) = read(&unclean);
        assert_eq!((entries.len(), losses.total()), (20, 0), "{format:?}: {losses:?}");
    }
}

#[test]
fn recorded_journals_pass_every_check() {
    let folder = tempfile::tempdir().unwrap();
    for name in crate::support::fixtures::recorded_names() {
        let recorded = recorded(&name, folder.path());
        let unclean = folder.path().join(format!("{}@1.journal~", name.split('.').next().unwrap()));
        fs::rename(&recorded.path, &unclean).unwrap();
        let (entries, losses) = read(&unclean);
        assert_eq!((entries.len(), losses.total()), (recorded.expected.len(), 0), "{name}: {losses:?}");
        // And without any array.
        let mut bytes = fs::read(&unclean).unwrap();
        put(&mut bytes, 176, 0);
        fs::write(&unclean, bytes).unwrap();
        let (found, losses) = read(&unclean);
        assert!(found == entries, "{name}: {} of {}, {losses:?}", found.len(), entries.len());
    }
}

#[test]
fn a_file_cut_anywhere_shows_all_that_is_left() {
    for sound in or_skip!(Sound::all()) {
        let mut cuts: Vec<usize> = (0..6).map(|n| 4096 * n + 4096).collect();
        // Each kind of object: before it, in its header, in its fixed part, in its body, before its last byte.
        for kind in 1..=6 {
            let of_kind: Vec<_> = sound.layout.objects.iter().filter(|o| o.1 == kind).collect();
            for (at, _, size) in of_kind.iter().skip(of_kind.len() / 2).take(1) {
                cuts.extend([
                    *at,
                    at + 1,
                    at + 8,
                    at + 15,
                    at + 16,
                    at + 60,
                    at + size / 2,
                    at + size - 1,
                    at + size,
                ]);
            }
        }
        for cut in cuts {
            let whole = |entry: usize| {
                let mut objects = sound.layout.data_of(&sound.bytes, entry);
                objects.push(entry);
                objects.iter().all(|at| at + number(&sound.bytes, at + 8) as usize <= cut)
            };
            let lost: Vec<usize> =
                (0..sound.entries.len()).filter(|n| !whole(sound.layout.entries[*n])).collect();
            let mut bytes = sound.bytes.clone();
            bytes.truncate(cut);
            fs::write(&sound.path, &bytes).unwrap();
            let (entries, losses) = read(&sound.path);
            let expected =
                sound.entries.iter().enumerate().filter(|(n, _)| !lost.contains(n)).map(|(_, e)| e);
            assert!(
                entries.iter().eq(expected),
                "cut to {cut}: {} and {} lost: {losses:?}",
                entries.len(),
                lost.len()
            );
            assert_eq!(losses.total(), lost.len() as u64, "cut to {cut}: {losses:?}");
        }
    }
}

#[test]
fn nobody_can_put_an_entry_into_a_payload() {
    // Hashes without a key are the same in every file.
    let format = Format { keyed: false, compact: false };
    let sound = or_skip!(Sound::build(format));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    // The bytes of an entry, with the number that comes next, in a message: behind `MESSAGE=` they are aligned.
    let entry = sound.layout.entries[20];
    let size = number(&sound.bytes, entry + 8) as usize;
    let mut fake = sound.bytes[entry..entry + size].to_vec();
    put(&mut fake, 16, 31);
    let mut entries = plain(0..30);
    entries.push(ExportEntry::new(1_700_000_001_000_000).message(fake));
    entries.extend(plain(31..60));
    or_skip!(build_journal(&path, &entries, format));
    let archived = folder.path().join("a@1.journal");
    fs::rename(path, &archived).unwrap();
    let taken = Sound::take(folder, archived);
    assert_eq!(taken.layout.entries[20], entry, "the fields of the entry are where they were");
    taken.damaged("without arrays", &[], Reason::Array, |b| put(b, 176, 0));
}

#[test]
fn a_file_full_of_lies_is_read_in_bounded_time() {
    /// A size whose lowest bytes read `A=`: a payload needs a name.
    const SIZE: u64 = 0x20_3d41;
    let sound = or_skip!(Sound::build(Format::default()));
    let mut bytes = sound.bytes.clone();
    let first = sound.layout.entries[1];
    let end = bytes.len();
    // Every other word could begin a payload of two megabytes.
    for at in (first..end - 16).step_by(16) {
        put(&mut bytes, at, u64::from(TYPE_DATA));
        put(&mut bytes, at + 8, SIZE);
    }
    fs::write(&sound.path, &bytes).unwrap();
    let (entries, losses) = read(&sound.path);
    assert_eq!(entries.len(), 1);
    assert_eq!(losses.total(), ENTRIES - 1, "{losses:?}");
}

#[test]
fn a_start_behind_broken_arrays_doubles_and_skips_nothing() {
    for sound in or_skip!(Sound::all()) {
        let mut tail = open(&sound.path, Start::Oldest);
        for _ in 0..120 {
            next(&mut tail).unwrap();
        }
        let resume = tail.resume();
        let mut bytes = sound.bytes.clone();
        let array = sound.layout.arrays[1];
        bytes[array..array + 24].fill(0);
        fs::write(&sound.path, &bytes).unwrap();
        for start in [
            Start::Resume(Box::new(resume)),
            Start::After(sound.entries[119].0),
            Start::Realtime(sound.entries[120].0.realtime),
        ] {
            let rest = drain(&mut open(&sound.path, start));
            assert!(rest == sound.entries[120..], "{} entries", rest.len());
        }
    }
}

#[test]
fn a_file_that_is_vacuumed_while_it_is_read_ends_there() {
    for whole in [true, false] {
        let sound = or_skip!(Sound::build(Format::default()));
        let mut tail = open(&sound.path, Start::Oldest);
        let first = next(&mut tail).unwrap();
        // journald unlinks a file and frees its blocks.
        let file = fs::File::options().write(true).open(&sound.path).unwrap();
        let (from, len) = match whole {
            true => (0, sound.bytes.len() as u64),
            false => (4096 * (sound.layout.entries[120] as u64 / 4096), 8192),
        };
        let overlaps = |at: usize| {
            let end = at as u64 + number(&sound.bytes, at + 8);
            (at as u64) < from + len && from < end
        };
        fs::remove_file(&sound.path).unwrap();
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(&file, flags, from, len) {
            Err(rustix::io::Errno::OPNOTSUPP) => file.write_all_at(&vec![0; len as usize], from).unwrap(),
            result => result.unwrap(),
        }
        tail.poll().unwrap();
        let rest = drain(&mut tail);
        let losses = tail.counts().damaged;
        assert_eq!(1 + rest.len() as u64 + losses.total(), ENTRIES, "{losses:?}");
        assert_eq!(first, sound.entries[0]);
        // Only an entry with a field in the hole may come without fields: that one, and those that nothing proves then.
        for (cursor, fields) in &rest {
            let index = sound.entries.iter().position(|entry| entry.0 == *cursor).unwrap();
            let written = &sound.entries[index].1;
            let data = sound.layout.data_of(&sound.bytes, sound.layout.entries[index]);
            match data.into_iter().any(&overlaps) {
                true => assert!(fields.iter().all(|field| written.contains(field))),
                false => assert_eq!(fields, written),
            }
        }
        match whole {
            true => assert!(losses.of(Reason::Deleted) == losses.total() && losses.total() > 0, "{losses:?}"),
            false => assert!(rest.last() == sound.entries.last() && losses.total() < 100, "{losses:?}"),
        }
    }
}

#[test]
fn a_file_that_is_overwritten_by_another_gives_no_entry_of_it_under_a_wrong_name() {
    let sound = or_skip!(Sound::build(Format::default()));
    let other = or_skip!(Sound::build(Format { keyed: true, compact: false }));
    let mut tail = open(&sound.path, Start::Oldest);
    next(&mut tail).unwrap();
    // In place, as `cp` does.
    fs::write(&sound.path, &other.bytes).unwrap();
    tail.poll().unwrap();
    let rest = drain(&mut tail);
    assert!(rest.iter().all(|entry| sound.entries.contains(entry)));
    assert_eq!(1 + rest.len() as u64 + tail.counts().damaged.total(), ENTRIES);
}

#[test]
fn a_size_at_the_end_of_all_numbers_is_survived_in_a_file_that_grows() {
    let sound = or_skip!(Sound::build(Format::default()));
    let path = sound.folder.path().join("live.journal");
    let mut bytes = sound.bytes.clone();
    bytes[16] = 1;
    put(&mut bytes, 176, 0);
    put(&mut bytes, sound.layout.entries[50] + 8, u64::MAX - 3);
    fs::write(&path, bytes).unwrap();
    let (entries, losses) = read(&path);
    assert_eq!((entries.len() as u64, losses.total()), (ENTRIES - 1, 1), "{losses:?}");
}

#[test]
fn an_entry_that_is_being_written_is_no_damage() {
    for sound in or_skip!(Sound::all()) {
        for without_arrays in [false, true] {
            let path = sound.folder.path().join(format!("live-{without_arrays}.journal"));
            let write = |n: usize, state: usize| {
                let mut bytes = sound.growing(n, state);
                if without_arrays {
                    put(&mut bytes, 176, 0);
                }
                // In place, as journald does.
                match path.exists() {
                    true => {
                        fs::File::options().write(true).open(&path).unwrap().write_all_at(&bytes, 0).unwrap()
                    }
                    false => fs::write(&path, &bytes).unwrap(),
                }
            };
            write(100, 0);
            let mut tail = open(&path, Start::Oldest);
            assert_eq!(drain(&mut tail).len(), 100);
            for n in 100..110 {
                for (state, count) in [(0, 0), (1, 0), (2, 0), (3, 1)] {
                    write(n, state);
                    tail.poll().unwrap();
                    let entries = drain(&mut tail);
                    assert!(
                        entries == sound.entries[n..n + count],
                        "entry {n}, state {state}, without arrays: {without_arrays}: {:?}",
                        tail.counts()
                    );
                    assert_eq!(
                        tail.counts().damaged.total(),
                        0,
                        "entry {n}, state {state}: {:?}",
                        tail.counts()
                    );
                }
            }
        }
    }
}

#[test]
fn large_fields_pass_every_check_and_may_be_damaged() {
    const LARGE: usize = 16 << 20;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    // One that compresses, and one that does not.
    let mut state = 1u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(LARGE)
    .collect();
    let mut entries = plain(0..5);
    entries.push(ExportEntry::new(1_700_000_000_005_000).message("a").field("BIG", vec![b'x'; LARGE]));
    entries.push(ExportEntry::new(1_700_000_000_006_000).message("b").field("BIG", &noise));
    entries.extend(plain(7..10));
    or_skip!(build_journal(&path, &entries, Format::default()));
    let archived = folder.path().join("a@1.journal");
    fs::rename(path, &archived).unwrap();
    let sound = Sound::take(folder, archived);
    assert_eq!(sound.entries.len(), 10);
    sound.damaged("without arrays", &[], Reason::Array, |b| put(b, 176, 0));
    let noisy = *sound.layout.own_data(&sound.bytes, sound.layout.entries[6]).last().unwrap();
    for lost in [false, true] {
        let unclean = sound.folder.path().join("a@2.journal~");
        let mut bytes = sound.bytes.clone();
        bytes[noisy + LARGE / 2] ^= u8::from(lost);
        fs::write(&unclean, bytes).unwrap();
        let (entries, losses) = read(&unclean);
        assert_eq!((entries.len(), losses.total()), (10, 0), "{losses:?}");
        let altered = entries.iter().zip(&sound.entries).filter(|(entry, sound)| entry != sound).count();
        assert_eq!(altered, usize::from(lost), "the field that is damaged is left out");
        fs::remove_file(unclean).unwrap();
    }
}

#[test]
fn payloads_that_claim_too_much_are_left_out() {
    for name in ["lz4.journal", "zstd-compact.journal", "xz.journal"] {
        let folder = tempfile::tempdir().unwrap();
        let path = recorded(name, folder.path()).path;
        let sound = Sound::take(folder, path);
        let packed = |(at, kind, _): &&(usize, u8, usize)| *kind == TYPE_DATA && sound.bytes[at + 1] != 0;
        let (data, ..) = *sound.layout.objects.iter().find(packed).unwrap();
        let payload = data + sound.layout.payload();
        sound.without(&format!("{name} claims all"), &sound.path, data, |b| match name {
            "lz4.journal" => put(b, payload, 1 << 40),
            "xz.journal" => b[payload + 6] ^= 0xff,
            // The frame's header: a size of eight bytes.
            _ => {
                b[payload + 4] |= 0xc0;
                put(b, payload + 5, 1 << 40);
            }
        });
        // What unpacks as ever, but would reach over the next entries.
        sound.without(&format!("{name} is too long"), &sound.path, data, |b| {
            let size = number(b, data + 8);
            put(b, data + 8, size + 1024);
            put(b, 176, 0);
        });
    }
}
