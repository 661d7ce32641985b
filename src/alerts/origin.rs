//! Origins: who made a series. When there is no room for all series of a rule, each origin has a share, so that one sender
//! cannot crowd out what others write.
//!
//! An origin is something that a sender cannot choose (systemd.journal-fields(7), "Trusted Journal Fields"): the user that a
//! session or a user manager belongs to, else the unit of the system. All instances of a template are one origin, because
//! everyone who connects makes an instance.

use std::hash::BuildHasher;

use crate::journal::sender::{MAPPED_UID_MIN, SenderFields};
use journald_reader::{Entry, Keys};
use logql::label_set::LabelSet;

/// Who made a series, as a number. Origins with the same number share their room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Origin(u64);

/// Tells origins by the fields of an entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sender(SenderFields);

impl Sender {
    /// The fields are added to `keys`.
    pub(super) fn new(keys: &mut Keys) -> Sender {
        Sender(SenderFields::new(keys))
    }

    /// Who wrote an entry.
    pub(super) fn origin(self, entry: &Entry<'_>) -> Origin {
        fn text(value: Option<&[u8]>) -> Option<&str> {
            std::str::from_utf8(value?).ok()
        }
        let sender = self.0.of(entry);
        Origin::of(text(sender.person), text(sender.unit), text(sender.uid))
    }
}

impl Origin {
    /// The origin by the fields `_SYSTEMD_OWNER_UID`, `_SYSTEMD_UNIT` and `_UID`. What root writes in the session of a user
    /// (sudo) has another origin than what the user writes.
    fn of(owner: Option<&str>, unit: Option<&str>, uid: Option<&str>) -> Origin {
        let root = uid == Some("0");
        if let Some(owner) = owner {
            return Origin::from(("user", owner, root));
        }
        if let Some(unit) = unit {
            return Origin::from(("unit", template(unit), root));
        }
        match uid.map(|uid| (uid, uid.parse())) {
            // Containers, and ranges that a user may take numbers from.
            Some((_, Ok(MAPPED_UID_MIN..))) => Origin::from(("user", "", false)),
            Some((uid, _)) => Origin::from(("user", uid, root)),
            // The kernel, journald itself.
            None => Origin::from(("host", "", true)),
        }
    }

    /// The origin by the labels of the stream, if the entry is not at hand.
    pub(super) fn of_stream(labels: &LabelSet) -> Origin {
        match labels.get("unit").or(labels.get("service_name")) {
            Some(unit) => Origin::from(("stream", template(unit), false)),
            None => Origin::default(),
        }
    }

    fn from(parts: (&str, &str, bool)) -> Origin {
        // The seed stays the same while the program runs, so that equal senders have equal numbers.
        static SEED: std::sync::OnceLock<foldhash::quality::RandomState> = std::sync::OnceLock::new();
        Origin(SEED.get_or_init(foldhash::quality::RandomState::default).hash_one(parts))
    }
}

/// `sshd@7-198.51.100.7:22.service` is `sshd@.service`, and `session-12.scope` is `session-.scope`.
fn template(unit: &str) -> &str {
    let name = unit.split_once('@').map_or(unit, |(name, _)| name);
    name.trim_end_matches(".scope").trim_end_matches(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_what_a_sender_cannot_choose() {
        let of = Origin::of;
        for (one, other, same) in [
            // A user's sessions, services and processes that ended early.
            (
                of(Some("1000"), Some("session-3.scope"), Some("1000")),
                of(Some("1000"), Some("user@1000.service"), Some("1000")),
                true,
            ),
            (of(Some("1000"), Some("session-3.scope"), Some("1000")), of(None, None, Some("1000")), true),
            // Numbers that a user may take.
            (of(Some("1000"), None, Some("100007")), of(Some("1000"), None, Some("100008")), true),
            (of(None, None, Some("100007")), of(None, None, Some("165000")), true),
            (of(Some("1000"), None, Some("1000")), of(Some("1001"), None, Some("1001")), false),
            // sudo in a session.
            (of(Some("1000"), None, Some("1000")), of(Some("1000"), None, Some("0")), false),
            (
                of(None, Some("sshd@1-10.0.0.1:22.service"), Some("0")),
                of(None, Some("sshd@2-10.0.0.2:22.service"), Some("0")),
                true,
            ),
            (
                of(None, Some("session-1.scope"), Some("0")),
                of(None, Some("session-2.scope"), Some("0")),
                true,
            ),
            (of(None, Some("a.service"), Some("0")), of(None, Some("b.service"), Some("0")), false),
            (of(None, None, None), of(None, None, Some("0")), false),
        ] {
            assert_eq!(one == other, same);
        }
    }
}
