//! Who wrote an entry, by what the system says of it (systemd.journal-fields(7), "Trusted Journal Fields"). No sender can
//! choose these fields.

use journald_reader::{Entry, Key, Keys};

/// User ids from here on are handed out by the thousands, to containers and as subordinate ids (systemd,
/// `docs/UIDS-GIDS.md`). One process can have all of them, so they tell no senders apart.
pub(crate) const MAPPED_UID_MIN: u32 = 1 << 16;

/// The fields that tell who wrote an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SenderFields {
    person: Key,
    unit: Key,
    uid: Key,
}

/// What the system says of a sender. `None`: the entry does not have the field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender<'e> {
    /// The user that the session or the user manager belongs to (`_SYSTEMD_OWNER_UID`).
    pub(crate) person: Option<&'e [u8]>,
    /// The unit of the system (`_SYSTEMD_UNIT`).
    pub(crate) unit: Option<&'e [u8]>,
    /// The user id (`_UID`).
    pub(crate) uid: Option<&'e [u8]>,
}

impl SenderFields {
    /// The fields are added to `keys`.
    pub(crate) fn new(keys: &mut Keys) -> SenderFields {
        SenderFields {
            person: keys.add("_SYSTEMD_OWNER_UID"),
            unit: keys.add("_SYSTEMD_UNIT"),
            uid: keys.add("_UID"),
        }
    }

    /// Who wrote an entry.
    pub(crate) fn of<'e>(&self, entry: &'e Entry<'_>) -> Sender<'e> {
        Sender { person: entry.value(self.person), unit: entry.value(self.unit), uid: entry.value(self.uid) }
    }
}
