//! Entries that are lost: how many, and why.

use std::fmt;
use std::ops::AddAssign;

use super::file::{Fault, JournalFile, read_header};
use super::verify::LEFT_OUT;

/// Why entries could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The file's header cannot be what journald wrote, and entries were not found otherwise.
    Header,
    /// An ENTRY that cannot be what journald wrote.
    Entry,
    /// An array that names entries cannot be what journald wrote, and they were not found otherwise.
    Array,
    /// A DATA object that an entry refers to cannot be what journald wrote.
    Field,
    /// A compressed payload does not unpack, or is too large to be checked.
    Unpack,
    /// Hashes do not agree with what they are of.
    Hash,
    /// The file's content is gone: deleted with its blocks, overwritten by another file.
    Deleted,
    /// The system refuses to read.
    Unreadable,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Reason; 8] = [
        Reason::Header,
        Reason::Entry,
        Reason::Array,
        Reason::Field,
        Reason::Unpack,
        Reason::Hash,
        Reason::Deleted,
        Reason::Unreadable,
    ];

    /// The value of the label `reason`.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Header => "damaged_header",
            Reason::Entry => "damaged_entry",
            Reason::Array => "damaged_array",
            Reason::Field => "damaged_field",
            Reason::Unpack => "unpack",
            Reason::Hash => "hash",
            Reason::Deleted => "deleted",
            Reason::Unreadable => "unreadable",
        }
    }

    /// What it means for the rest of the file.
    fn meaning(self) -> &'static str {
        match self {
            Reason::Header => {
                "what stands behind it is read, and entries are taken only when their hashes agree"
            }
            Reason::Entry | Reason::Array => {
                "the file is searched for the entries behind, and takes only those whose hashes agree"
            }
            Reason::Field | Reason::Unpack | Reason::Hash => {
                "entries with it are skipped, and the others are taken only when their hashes agree"
            }
            Reason::Deleted => "what was not read yet is lost",
            Reason::Unreadable => "the rest of this file is skipped",
        }
    }
}

/// How many entries were lost, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Losses([u64; Reason::ALL.len()]);

impl Losses {
    /// How many for this reason.
    pub fn of(&self, reason: Reason) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or(0)
    }

    /// How many in all.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(super) fn add(&mut self, reason: Reason, count: u64) {
        if let Some(n) = self.0.get_mut(reason as usize) {
            *n = n.saturating_add(count);
        }
    }
}

impl AddAssign for Losses {
    fn add_assign(&mut self, other: Losses) {
        Reason::ALL.into_iter().for_each(|reason| self.add(reason, other.of(reason)));
    }
}

/// What a file has lost, and what of it nobody has been told.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub losses: Losses,
    /// Fields that were left out of entries which were handed on.
    pub fields: u64,
    known: Known,
    news: Vec<News>,
}

/// What has been told of a file: each reason, and that fields are left out.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Known(u16);

const _: () = assert!(Reason::ALL.len() < u16::BITS as usize);

impl Known {
    /// Adds what is told; true when it is new.
    pub(super) fn learn(&mut self, loss: Loss) -> bool {
        let before = self.0;
        self.0 |= match loss {
            Loss::Entries(reason) => 1 << reason as u8,
            Loss::Fields => 1 << Reason::ALL.len(),
        };
        self.0 != before
    }
}

/// What is lost of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// Entries.
    Entries(Reason),
    /// Fields of entries that are handed on without.
    Fields,
}

/// The first loss of a kind.
#[derive(Debug)]
pub(super) struct News {
    pub loss: Loss,
    what: String,
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.loss {
            Loss::Entries(reason) => write!(f, "{} ({}); {}", self.what, reason.name(), reason.meaning()),
            Loss::Fields => write!(
                f,
                "{}; entries with this field are handed on without it, and the others are taken only when their hashes \
                 agree",
                self.what
            ),
        }
    }
}

impl Ledger {
    /// Enters a loss; `what` is told the first time. A count of zero: how many, the end will tell.
    pub(super) fn lose(&mut self, reason: Reason, count: u64, what: &dyn fmt::Display) {
        self.losses.add(reason, count);
        self.learn(Loss::Entries(reason), what);
    }

    /// Enters fields that were left out.
    fn leave_out(&mut self, count: u64, what: &dyn fmt::Display) {
        self.fields = self.fields.saturating_add(count);
        self.learn(Loss::Fields, what);
    }

    fn learn(&mut self, loss: Loss, what: &dyn fmt::Display) {
        if self.known.learn(loss) {
            self.news.push(News { loss, what: what.to_string() });
        }
    }

    /// Whether there are news.
    #[inline]
    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// The news, once.
    pub(super) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }
}

impl JournalFile {
    /// Whether this file's content is no longer there: journald frees the blocks of what it deletes, too, and a copy
    /// may be written over it.
    pub(super) fn is_gone(&self) -> bool {
        // Where there was no header before, none can be missing, and the objects take long to be looked through.
        if self.header.lost {
            return false;
        }
        match read_header(&self.file) {
            Ok(header) => !header.is_same_file(&self.header),
            Err(fault) => matches!(fault, Fault::Unborn(_)),
        }
    }

    /// Counts the fields that were left out of the entry last handed on.
    pub(super) fn count_left_out(&mut self) {
        let count = self.items.iter().filter(|item| **item == LEFT_OUT).count();
        if count > 0
            && let Some(fault) = self.why_left_out()
        {
            self.ledger.leave_out(count as u64, &fault);
        }
    }

    /// Enters a loss of so many entries under the reason that the fault itself tells, or this one, and returns that.
    /// From now on the file is in doubt.
    pub(super) fn lose(&mut self, reason: Reason, count: u64, fault: &Fault) -> Reason {
        self.distrust();
        let reason = match fault {
            _ if self.is_gone() => Reason::Deleted,
            Fault::Packed { .. } => Reason::Unpack,
            Fault::Hash { .. } => Reason::Hash,
            Fault::Io(_) => Reason::Unreadable,
            _ => reason,
        };
        self.ledger.lose(reason, count, fault);
        reason
    }

    /// Counts the rest of the file as lost and reads no more of it.
    pub(super) fn give_up(&mut self, fault: &Fault) {
        self.unread(0);
        let rest = self.header.promised().saturating_sub(self.visited);
        self.lose(Reason::Array, rest, fault);
        self.visited += rest;
        self.dead = true;
    }

    /// Reads no more of the file and counts nothing: it was deleted, and the numbers of other files tell of the gap.
    pub(super) fn let_go(&mut self) {
        self.unread(0);
        self.visited = self.header.n_entries;
        self.dead = true;
    }

    /// Counts what the header promises and nothing has shown as lost: the file is read to its end and will not grow.
    pub(super) fn close_account(&mut self) {
        let rest = self.header.promised().saturating_sub(self.visited);
        if rest > 0 {
            let fault = Fault::Damaged { what: "the arrays end early", offset: self.items_at };
            self.lose(Reason::Array, rest, &fault);
            self.visited += rest;
        }
    }
}
