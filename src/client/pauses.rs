//! Pauses between attempts.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// How long pauses between attempts are: `loki[].backoff`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The first pause. Each further pause is twice as long.
    pub min: Duration,
    /// The longest pause.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { min: Duration::from_millis(500), max: Duration::from_secs(60) }
    }
}

/// Pauses between attempts. Each is twice as long as the one before, with a random part, so that many hosts do not try at
/// the same time.
#[derive(Debug)]
pub(crate) struct Pauses {
    limits: Backoff,
    next: Duration,
}

impl Pauses {
    /// Pauses between these limits.
    pub(crate) fn new(limits: Backoff) -> Pauses {
        Pauses { limits, next: limits.min }
    }

    /// The shortest pause.
    pub(crate) fn shortest(&self) -> Duration {
        self.limits.min
    }

    /// How long the next pause is at most.
    pub(crate) fn coming(&self) -> Duration {
        self.next
    }

    /// Makes the next pause the shortest again.
    pub(crate) fn reset(&mut self) {
        self.next = self.limits.min;
    }

    /// The next pause: a random time between half of it and all of it.
    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.limits.max);
        // The system seeds each state. That is random enough here.
        let chance = RandomState::new().build_hasher().finish() as u32;
        pause / 2 + pause.mul_f64(0.5 * f64::from(chance) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit_with_jitter() {
        let second = Duration::from_secs(1);
        let mut pauses = Pauses::new(Backoff { min: second, max: second * 5 });
        for whole in [1, 2, 4, 5, 5] {
            let pause = pauses.next();
            assert!(pause >= second * whole / 2 && pause <= second * whole, "{pause:?} of {whole} s");
        }
        pauses.reset();
        assert!(pauses.next() <= second);
    }
}
