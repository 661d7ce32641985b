//! libsystemd as the oracle for order, cursors and times, through the crate sd-journal (feature of that name).
#![cfg(feature = "sd-journal")]

use journald_reader::{Cursor, Scope, SecondReader, Start};
use proptest::prelude::*;
use sd_journal::{CursorMovement, Journal};

use crate::support::journals::for_many_worlds;
use crate::support::merge::{assert_same_order, cursors, is_252};
use crate::support::or_skip;
use crate::support::reading::read;

#[test]
fn both_readers_agree_on_journals_drawn_at_random() {
    or_skip!(is_252());
    for_many_worlds(|world| {
        let Ok(journals) = world.write() else { return Ok(()) };
        let files: Vec<_> = journals.files.iter().map(|(path, _)| path.clone()).collect();
        // It opens one folder, or files.
        let paths = if journals.folders.len() == 1 { &journals.folders } else { &files };
        let second = SecondReader::open(&Scope::of(paths.as_slice())).unwrap();
        let shown: Vec<Cursor> = std::iter::from_fn(|| second.next_cursor().unwrap()).collect();
        let read: Vec<_> = read(paths, Start::Oldest).into_iter().map(|(entry, _)| entry).collect();
        assert_same_order(&journals.cursors(), &cursors(&read), &shown)?;
        // It says what the cursors say: the times, too.
        let library = Journal::open_files(files.as_slice()).unwrap();
        library.seek_head().unwrap();
        for cursor in &shown {
            prop_assert!(!matches!(library.next().unwrap(), CursorMovement::EoF));
            let realtime = library.get_realtime().unwrap().and_utc().timestamp_micros();
            let (monotonic, boot) = library.get_monotonic().unwrap();
            prop_assert_eq!(realtime as u64, cursor.realtime);
            prop_assert_eq!(monotonic.num_microseconds(), Some(cursor.monotonic.cast_signed()));
            prop_assert_eq!(boot.to_string().replace('-', ""), cursor.boot_id.to_string());
        }
        Ok(())
    });
}
