//! A batch or a part of one on its way: how often it failed, and what to send in its place.

use std::time::Duration;

use super::split;
use crate::loki::batch::Sealed;
use crate::loki::batch::known::STALE_AFTER;

/// Shortest pause after an answer that a person must mend (credentials, address).
pub(super) const HOLD_MIN: Duration = Duration::from_secs(10);
/// Failures in a row after which something in the batch may be to blame (count).
pub(super) const SUSPECTS_MAX: u32 = 10;
/// The same for a part of such a batch, and for a batch that may be too large.
const PART_SUSPECTS_MAX: u32 = 3;
/// The same for a batch that is forbidden (403): it is tried as slowly as with credentials that are not right.
const FORBIDDEN_MAX: u32 = 3;
/// After an outcome that is not clear, what is larger is halved before it is sent again (bytes before compression): what
/// was stored unseen is stored again where Loki does not fold it, and so the least of it is sent until there is an answer.
const UNCLEAR_MIN: usize = 4 << 10;

/// A batch or a part of one on its way.
pub(super) struct Part {
    pub(super) sealed: Sealed,
    /// How often it was halved to come to this part.
    pub(super) halved: u32,
    /// Failures in a row that may be its own.
    pub(super) suspects: u32,
    /// Answers 429 in a row.
    pub(super) slower: u32,
    /// Refusals by name in a row.
    pub(super) rounds: u32,
    /// It was tried once more after Loki had taken others.
    pub(super) again: bool,
    /// Bytes of the smallest batch or part that was too large and that this is a part of.
    pub(super) too_large: Option<usize>,
    /// The last failure.
    pub(super) failure: Failure,
}

/// How sending failed.
#[derive(Debug, Default)]
pub(super) struct Failure {
    /// The words of the answer, for the log.
    pub(super) words: String,
    /// Its status. `None`: there was no answer.
    pub(super) status: Option<u16>,
}

impl Part {
    pub(super) fn new(sealed: Sealed) -> Part {
        Part {
            sealed,
            halved: 0,
            suspects: 0,
            slower: 0,
            rounds: 0,
            again: false,
            too_large: None,
            failure: Failure::default(),
        }
    }

    /// The same state for other bytes.
    pub(super) fn of(&self, sealed: Sealed) -> Part {
        Part { halved: self.halved, too_large: self.too_large, ..Part::new(sealed) }
    }

    /// How often it may fail in a row as it last did before it is stuck, and the shortest pause between.
    pub(super) fn patience(&self) -> (u32, Duration) {
        match (self.halved, self.failure.status) {
            (0, Some(403)) => (FORBIDDEN_MAX, HOLD_MIN),
            (_, Some(413)) => (PART_SUSPECTS_MAX, Duration::ZERO),
            (0, _) => (SUSPECTS_MAX, Duration::ZERO),
            _ => (PART_SUSPECTS_MAX, Duration::ZERO),
        }
    }

    /// Its halves, the last one first, to find what is wrong in it; `None` when it is a single entry.
    pub(super) fn halves(&self) -> Option<Vec<Part>> {
        self.split(self.halved + 1)
    }

    /// What to send after it may have been stored unseen, the last one first; `None`: the same.
    pub(super) fn less(&self) -> Option<Vec<Part>> {
        (self.sealed.plain_bytes > UNCLEAR_MIN).then(|| self.split(self.halved)).flatten()
    }

    fn split(&self, halved: u32) -> Option<Vec<Part>> {
        let (first, second) = split::halves(&self.sealed)?;
        Some([second, first].map(|half| Part { halved, ..self.of(half) }).into())
    }

    /// Each of its streams alone, the last one first, when it has waited so long that Loki may have forgotten one of
    /// them; `None`: it can go as it is.
    pub(super) fn apart(&self) -> Option<Vec<Part>> {
        self.sealed.laid.filter(|laid| laid.elapsed() >= STALE_AFTER)?;
        let alone = split::apart(&self.sealed)?;
        Some(alone.into_iter().rev().map(|sealed| self.of(sealed)).collect())
    }
}
