//! Entries that are lost: how many, and why.

use std::fmt;
use std::ops::AddAssign;

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

    fn add(&mut self, reason: Reason, count: u64) {
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

/// What was lost of a file, and which losses were not told yet.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    losses: Losses,
    /// Fields that were left out of entries which were handed on.
    fields: u64,
    known: Known,
    news: Vec<News>,
}

/// The kinds of loss that were told of a file: each reason, and that fields are left out.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Known(u16);

const _: () = assert!(Reason::ALL.len() < u16::BITS as usize);

impl Known {
    /// Adds what is told; true when it is new.
    pub(crate) fn learn(&mut self, loss: Loss) -> bool {
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
pub(crate) enum Loss {
    /// Entries.
    Entries(Reason),
    /// Fields of entries that are handed on without.
    Fields,
}

/// The first loss of a kind.
#[derive(Debug)]
pub(crate) struct News {
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
    /// Enters a loss; `what` is told the first time. With a count of zero, the number will be known at the end.
    pub(crate) fn lose(&mut self, reason: Reason, count: u64, what: &dyn fmt::Display) {
        self.losses.add(reason, count);
        self.learn(Loss::Entries(reason), what);
    }

    /// Enters fields that were left out.
    pub(crate) fn leave_out(&mut self, count: u64, what: &dyn fmt::Display) {
        self.fields = self.fields.saturating_add(count);
        self.learn(Loss::Fields, what);
    }

    /// Enters more of a loss that was entered before.
    pub(crate) fn add(&mut self, reason: Reason, count: u64) {
        self.losses.add(reason, count);
    }

    /// How many entries were lost.
    pub(crate) fn losses(&self) -> Losses {
        self.losses
    }

    /// How many fields were left out of entries that were handed on.
    pub(crate) fn fields(&self) -> u64 {
        self.fields
    }

    fn learn(&mut self, loss: Loss, what: &dyn fmt::Display) {
        if self.known.learn(loss) {
            self.news.push(News { loss, what: what.to_string() });
        }
    }

    /// Whether there is something that was not told yet.
    #[inline]
    pub(crate) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// What was not told yet.
    pub(crate) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }
}
