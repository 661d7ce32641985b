//! Shares: how the places for active streams are divided among those who write to the journal.
//!
//! If a label comes from the wrong field, a sender can make a new stream with each entry. So a place belongs to the sender
//! whose entry took it, and a sender gets another place only while it has fewer places than are free. A sender that wants all
//! places gets half of them, the next one gets half of the rest, and some always remain for senders with few. (The rule is
//! that of dynamic thresholds in switches: Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet
//! switches", 1998.)
//!
//! A sender is recognised by what the system says of it, its unit and its user id, never by what it writes. All sessions and
//! user managers of a person are one sender. All instances of a template unit are one sender, too, because everyone who
//! connects makes an instance.

use std::collections::HashMap;
use std::hash::BuildHasher;

use journald_reader::{Entry, Keys};

use crate::journal::sender::{MAPPED_UID_MIN, SenderFields};

/// The sender that took a place, as a hash, so that nothing the sender wrote is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Owner(u64);

#[cfg(test)]
impl Owner {
    /// One for each name.
    pub(super) fn of_test(name: &str) -> Owner {
        Owner(foldhash::fast::FixedState::default().hash_one(name))
    }
}

/// Tells owners by the fields of an entry.
pub(super) struct Owners {
    fields: SenderFields,
    /// Seeded, and of the better quality: senders choose uids and connections, if not the text.
    hasher: foldhash::quality::RandomState,
}

impl Owners {
    /// The fields are added to `keys`.
    pub(super) fn new(keys: &mut Keys) -> Owners {
        Owners { fields: SenderFields::new(keys), hasher: foldhash::quality::RandomState::default() }
    }

    /// Who wrote an entry.
    pub(super) fn of(&self, entry: &Entry<'_>) -> Owner {
        let sender = self.fields.of(entry);
        let [unit, uid, person] = [sender.unit, sender.uid, sender.person].map(Option::unwrap_or_default);
        self.by(unit, uid, person)
    }

    /// By the unit, the user id and the person whose session or manager it is; an empty text stands for a missing field.
    fn by(&self, unit: &[u8], uid: &[u8], person: &[u8]) -> Owner {
        Owner(self.hasher.hash_one(match person {
            [] => (template(unit), one_uid(uid)),
            person => (&b""[..], person),
        }))
    }
}

/// The template of an instance, `sshd@` of `sshd@1.service`; any other unit itself.
fn template(unit: &[u8]) -> &[u8] {
    let end = unit.iter().position(|c| *c == b'@').map_or(unit.len(), |at| at + 1);
    unit.get(..end).unwrap_or(unit)
}

/// A user id, or nothing for those that one process can change among.
fn one_uid(uid: &[u8]) -> &[u8] {
    let number = std::str::from_utf8(uid).ok().and_then(|text| text.parse::<u64>().ok());
    if number.is_some_and(|number| number < u64::from(MAPPED_UID_MIN)) { uid } else { b"mapped" }
}

/// How many places each owner has.
#[derive(Debug, Default)]
pub(super) struct Shares {
    held: HashMap<Owner, usize, foldhash::fast::RandomState>,
}

impl Shares {
    /// How many an owner has.
    pub(super) fn held(&self, owner: Owner) -> usize {
        self.held.get(&owner).copied().unwrap_or(0)
    }

    /// Whether an owner may take one more of so many that are free.
    pub(super) fn may_take(&self, owner: Owner, free: usize) -> bool {
        self.held(owner) < free
    }

    /// An owner takes one.
    pub(super) fn take(&mut self, owner: Owner) {
        *self.held.entry(owner).or_default() += 1;
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.held.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn senders_are_told_by_what_they_cannot_choose() {
        let owners = Owners::new(&mut Keys::default());
        let by = |who: [&str; 3]| owners.by(who[0].as_bytes(), who[1].as_bytes(), who[2].as_bytes());
        for (a, b, same) in [
            (["nginx.service", "0", ""], ["nginx.service", "0", ""], true),
            (["nginx.service", "0", ""], ["nginx.service", "33", ""], false),
            (["nginx.service", "33", ""], ["php-fpm.service", "33", ""], false),
            // Everyone who connects makes an instance.
            (["sshd@1-a:22-b:1.service", "0", ""], ["sshd@2-a:22-c:9.service", "0", ""], true),
            (["sshd@1.service", "0", ""], ["sshd.service", "0", ""], false),
            // A person, in however many sessions, units and user ids, and after the process has ended.
            (["session-1.scope", "1000", "1000"], ["session-2.scope", "1000", "1000"], true),
            (["session-1.scope", "1000", "1000"], ["user@1000.service", "1000", "1000"], true),
            (["session-1.scope", "1000", "1000"], ["session-1.scope", "100007", "1000"], true),
            (["session-1.scope", "1000", "1000"], ["", "1000", ""], true),
            (["session-1.scope", "1000", "1000"], ["session-3.scope", "1001", "1001"], false),
            (["", "1000", ""], ["", "1001", ""], false),
            (["", "0", ""], ["", "1000", ""], false),
            // A container, or subordinate ids.
            (["machine-web.scope", "524288", ""], ["machine-web.scope", "524999", ""], true),
            (["machine-web.scope", "524288", ""], ["machine-db.scope", "524288", ""], false),
            (["", "100000", ""], ["", "165535", ""], true),
            (["", "100000", ""], ["", "1000", ""], false),
            // The kernel has no user id.
            (["", "", ""], ["", "0", ""], false),
            (["", "", ""], ["", "1000", ""], false),
            // A service that lends its name.
            (["cron.service", "1000", ""], ["cron.service", "0", ""], false),
        ] {
            assert_eq!(by(a) == by(b), same, "{a:?} {b:?}");
        }
    }

    proptest! {
        /// Whatever comes in whatever order: there are never more than there is room for, a sender gets half of it at
        /// most, and each further sender can halve what is left, not more: who has fewer than that gets a place.
        #[test]
        fn nobody_takes_all(wishes in prop::collection::vec(0..6u64, 1..600), places in 1..200usize) {
            let mut shares = Shares::default();
            let mut taken = 0;
            let senders = 6;
            for owner in wishes.iter().map(|n| Owner(*n)) {
                let held = shares.held(owner);
                let may = shares.may_take(owner, places - taken);
                if may {
                    shares.take(owner);
                    taken += 1;
                }
                prop_assert!(taken <= places);
                prop_assert!(shares.held(owner) <= places.div_ceil(2), "half");
                if (held + 1) << senders < places + 1 {
                    prop_assert!(may, "{held} of {places}, {taken} taken");
                }
            }
        }
    }
}
