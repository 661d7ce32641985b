//! journald's files: found, read, merged and followed.
//!
//! The way in is a [`Tail`]: it yields one [`Entry`](crate::entry::Entry) after another, in journalctl's
//! order, each once, and can say at any time how far it is ([`Resume`]). A consumer asks for fields by
//! [`Key`], and reading costs only what was asked for.
//!
//! From the outside in: `scan` finds files, `tail` merges and follows them, `file` reads one, `seek` finds
//! places in it, `load` reads its fields, `fields` remembers what they say, `object` knows the layout. Where something looks wrong, `verify` checks
//! hashes, `search` finds entries without arrays, and `loss` counts what is not found.

mod cursor;
mod decompress;
mod error;
mod fields;
mod file;
mod handle;
mod hash;
mod load;
mod loss;
mod lz4;
mod object;
mod resume;
mod scan;
mod search;
#[cfg(feature = "sd-journal")]
mod second;
mod seek;
mod tail;
mod verify;
mod watch;
mod window;

pub use cursor::{Cursor, CursorError, Id128};
pub use error::{OpenError, Problem};
pub use fields::{Fields, Key, Keys, NameRule};
pub use loss::{Losses, Reason};
pub use resume::{Resume, Start};
#[cfg(feature = "sd-journal")]
pub use second::{SecondError, SecondReader};
pub use tail::{Counts, Tail};
pub use watch::Waker;
