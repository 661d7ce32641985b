//! journald's files: found, read, merged and followed.
//!
//! Begin with a [`Tail`]: it yields one [`Entry`] after another, in journalctl's order, each once, and can say at any
//! time how far it is ([`Resume`]). A consumer asks for fields by [`Key`], and reading costs only what was asked for.
//! Files are read, never written, with positioned reads into small windows. Nothing is mapped, so a file may be truncated
//! or deleted while it is read.
//!
//! ```
//! use journald_reader::{Keys, Scope, Start, Tail, Waker};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut keys = Keys::default();
//! let message = keys.add("MESSAGE");
//! let unit = keys.add("_SYSTEMD_UNIT");
//! // A scope without paths is this machine's own journal.
//! let mut tail = Tail::open(&Scope::of(&["../../demo/journal".into()]), keys, Start::Oldest, Waker::new()?)?;
//! let mut read = 0;
//! while let Some(entry) = tail.next_entry() {
//!     // Values are bytes; an entry need not have a field, and may have it several times.
//!     if let (Some(unit), Some(message)) = (entry.value(unit), entry.value(message)) {
//!         println!("{} {}: {}", entry.cursor().realtime, unit.escape_ascii(), message.escape_ascii());
//!     }
//!     read += 1;
//! }
//! assert!(read > 0 && tail.counts().damaged.total() == 0);
//! // At the end: `tail.wait(None)` sleeps until there may be more, and this is kept for the next start.
//! let resume = tail.resume();
//! # assert!(resume.cursor.is_some());
//! # Ok(())
//! # }
//! ```
//!
//! `examples/json.rs` prints a journal as `journalctl -o json` does; `examples/follow.rs` follows one from a cursor.
//!
//! # What is promised
//!
//! **Lifetime.** An entry borrows from its tail and is valid until the next call on the tail; copy what you need longer.
//! A [`Cursor`] is plain data and names the entry forever.
//!
//! **Order.** Entries come in journalctl's order ([`Cursor::order`]): by number among entries of one counter, else by
//! monotonic time within a boot, else by wall clock. At each step, the next entry is the one that comes before the next
//! entries of all other files. Entries of one file stay in its order, and entries of one counter go by number, whatever the
//! clocks say. Where clocks have jumped and files of several counters are read, the relation can form a ring in which no
//! entry comes first. Then one of them comes first all the same; journalctl skips some of them. While a tail follows, an
//! entry that becomes visible late comes when it is seen.
//!
//! **Once.** An entry that is in several files comes once, as long as the copies meet in that order, or are the next
//! entries of their files when it is read. Nothing is left out silently. [`Counts`] says how many entries could not be
//! read, how many damaged fields were left out, how many entries came from two files, and how many numbers were missing.
//! [`Start::Resume`] goes on behind what was read, without loss or repetition, also when files were rotated or deleted
//! meanwhile.
//!
//! **Times.** [`Cursor::realtime`] is in microseconds since 1970 by journald's clock, not the sender's.
//! [`Entry::timestamp_ns`] is in nanoseconds, and differs between entries of one microsecond.
//!
//! **Errors.** [`Tail::open`] fails when nothing can be read. The error says why for each place, and what to do
//! ([`OpenError`], [`Problem`]). If only some of several files cannot be read, each of them is logged once. From then on a
//! tail does not fail because of what is in a file: damage is skipped entry by entry and counted. Only [`Tail::wait`] and
//! [`Tail::poll`] return errors, when the system's notification fails.
//!
//! **Cost.** Memory is bounded, whatever the files hold. While nothing is
//! written, a waiting tail uses no processor time.
//!
//! # The files
//!
//! A file is a header and then objects, each at a multiple of eight bytes and beginning with its type, flags and
//! size. Every number is little-endian. Before the end, only counts and links are ever rewritten, so a file can be read
//! while it grows. Source: systemd, `src/libsystemd/sd-journal/journal-def.h` and
//! <https://systemd.io/JOURNAL_FILE_FORMAT/>.
//!
//! ```text
//!  header  LPKSHHRH, flags: keyed hashes, compact layout, compressions; state: offline, online, archived
//!    │     file id, machine id, seqnum id: the counter of this file's numbers; counts
//!    │
//!    ├─ entry_array_offset ─▶ ENTRY_ARRAY ─ next ─▶ ENTRY_ARRAY ─ next ─▶ …    all entries, oldest first;
//!    │                          │  │  │                                        each array twice its forerunner
//!    │                          ▼  ▼  ▼
//!    │                          ENTRY   number, realtime, monotonic, boot id, xor of the fields' hashes
//!    │                          │  │  │
//!    │                          ▼  ▼  ▼
//!    ├─ data_hash_table ──────▶ DATA   "FIELD=value", once per file, perhaps compressed (xz, lz4, zstd);
//!    │                          │      the first entry that has it, and an ENTRY_ARRAY of the others
//!    │                          ▼
//!    └─ field_hash_table ─────▶ FIELD  "FIELD", and all its DATA
//! ```
//!
//! The compact layout (systemd 252) has offsets of 32 instead of 64 bits in ENTRY and ENTRY_ARRAY, and ENTRY
//! no hashes. This reader uses the hash table only to look up values (`Scope::matches`), and does not use FIELD.
//!
//! journald writes to `system.journal` and `user-UID.journal`. At rotation it renames them to
//! `system@COUNTER-NUMBER-TIME.journal`, and after a crash to `system@TIME-RANDOM.journal~`. They lie in a folder named by
//! machine id in `/var/log/journal`, or in `/run/log/journal` as long as the former cannot be written to.
//!
//! # Inside
//!
//! The rooms of this crate, in the order in which they may import: a room imports only rooms that stand before it.
//!
//! - `cursor`: the name of an entry, and the order of entries
//! - `format`: the layout, hashes, compression; reads no file
//! - `scope`: what is wanted: places, namespaces, matches
//! - `scan`: finds files
//! - `error`: why nothing can be read, and what to do
//! - `keys`: the names of the fields that are wanted
//! - `fields`: the fields of the entry at hand, and those that come again
//! - `entry`: an entry as it is handed on
//! - `resume`: how far a tail has read
//! - `watch`: waits for changes
//! - `bytes`: one file: descriptor, header, windows, checks
//! - `entries`: the place in its entry arrays; the only room that can seek
//! - `select`: which entries are wanted, and the way to them
//! - `doubt`: proves entries by their hashes, searches, counts what is lost
//! - `file`: puts the parts of a file together
//! - `tail`: merges files, and follows them
//! - `second`: libsystemd's reader, for comparison

mod bytes;
mod cursor;
mod doubt;
mod entries;
mod entry;
mod error;
mod fields;
mod file;
mod format;
mod keys;
mod resume;
mod scan;
mod scope;
#[cfg(feature = "sd-journal")]
mod second;
mod select;
mod tail;
mod watch;

pub use cursor::{Cursor, CursorError, Id128};
pub use doubt::loss::{Losses, Reason};
pub use entry::Entry;
pub use error::{OpenError, Problem};
pub use fields::Fields;
pub use keys::{Key, Keys, NameRule};
pub use resume::{ById, Resume, Start};
pub use scope::{Match, Namespaces, Scope};
pub use scope::{NAMESPACE_MAX, is_namespace};
#[cfg(feature = "sd-journal")]
pub use second::{SecondError, SecondReader};
pub use tail::{Counts, Files, Tail};
pub use watch::Waker;
