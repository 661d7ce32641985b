//! A batch or a part of one on its way: how often it failed, and what to send in its place.

use std::time::Duration;

use super::split;
use crate::loki::batch::Sealed;
use crate::loki::batch::known::STALE_AFTER;

/// The shortest pause after an answer whose cause a person must mend (credentials, address).
pub(super) const HOLD_MIN: Duration = Duration::from_secs(10);
/// After so many failures in a row, something in the batch may be the cause (count).
pub(super) const SUSPECTS_MAX: u32 = 10;
/// The same for a part of such a batch, and for a batch that may be too large.
const PART_SUSPECTS_MAX: u32 = 3;
/// The same for a batch that is forbidden (403). It is tried as slowly as with wrong credentials.
const FORBIDDEN_MAX: u32 = 3;
/// After an unclear outcome, a part larger than this is halved before it is sent again (bytes before compression). Loki may
/// have stored it, and may store it again without folding it. So little is sent until there is an answer.
const UNCLEAR_MIN: usize = 4 << 10;

/// A batch or a part of one on its way.
pub(super) struct Part {
    pub(super) sealed: Sealed,
    /// How often it was halved to come to this part.
    pub(super) halved: u32,
    /// Failures in a row that the part itself may cause (count).
    pub(super) suspects: u32,
    /// Answers 429 in a row.
    pub(super) slower: u32,
    /// Refusals by name in a row.
    pub(super) rounds: u32,
    /// Whether it was tried once more after Loki had taken others.
    pub(super) again: bool,
    /// The size of the smallest batch or part that was too large and that held this part (bytes).
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

    /// A part with other bytes, and the state of this one.
    pub(super) fn of(&self, sealed: Sealed) -> Part {
        Part { halved: self.halved, too_large: self.too_large, ..Part::new(sealed) }
    }

    /// How often it may fail in a row, in the way it failed last, before it is stuck; and the shortest pause between attempts.
    pub(super) fn patience(&self) -> (u32, Duration) {
        match (self.halved, self.failure.status) {
            (0, Some(403)) => (FORBIDDEN_MAX, HOLD_MIN),
            (_, Some(413)) => (PART_SUSPECTS_MAX, Duration::ZERO),
            (0, _) => (SUSPECTS_MAX, Duration::ZERO),
            _ => (PART_SUSPECTS_MAX, Duration::ZERO),
        }
    }

    /// Its halves, the last one first, to find what is wrong in it. `None`: it is a single entry.
    pub(super) fn halves(&self) -> Option<Vec<Part>> {
        self.split(self.halved + 1)
    }

    /// What to send if Loki may have stored it, the last one first. `None`: the same again.
    pub(super) fn less(&self) -> Option<Vec<Part>> {
        (self.sealed.plain_bytes > UNCLEAR_MIN).then(|| self.split(self.halved)).flatten()
    }

    fn split(&self, halved: u32) -> Option<Vec<Part>> {
        let (first, second) = split::halves(&self.sealed)?;
        Some([second, first].map(|half| Part { halved, ..self.of(half) }).into())
    }

    /// Each of its streams alone, the last one first, if it has waited so long that Loki may have forgotten one of them.
    /// `None`: it can go as it is.
    pub(super) fn apart(&self) -> Option<Vec<Part>> {
        self.sealed.laid.filter(|laid| laid.elapsed() >= STALE_AFTER)?;
        let alone = split::apart(&self.sealed)?;
        Some(alone.into_iter().rev().map(|sealed| self.of(sealed)).collect())
    }
}
