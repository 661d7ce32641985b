//! Journal fields, and who decides their values.
//!
//! journald adds fields of its own to every entry. Their names begin with `_`, no client can send such a name
//! (systemd, `src/libsystemd/sd-journal/journal-file.c`, `journal_field_valid`), and there is a closed list of them
//! (`man/systemd.journal-fields.xml`, `src/journal/journald-manager.c`, `journald-kmsg.c`, `journald-stream.c` and
//! `journald-audit.c`). Although journald writes such a field, a user may decide its value: a process chooses its own name, and
//! a user names the units of their own manager. `docs/fields.md` shows this table to people.

use logql::pipeline::FIELD;

/// How far the value of a field can be trusted against an ordinary local user. The worst is last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// The kernel, the system's manager or journald decides: an ordinary user cannot choose the value.
    System,
    /// journald writes what it sees, and a user decides what it sees: the name and program of a process, the names of
    /// the units of a user's own manager.
    User,
    /// The sender writes it, whoever that is.
    Sender,
}

use Trust::{System, User};

/// Every field that journald writes by itself, by name.
pub const WRITTEN_BY_JOURNALD: &[(&str, Trust)] = &[
    ("_AUDIT_ID", System),
    ("_AUDIT_LOGINUID", System),
    ("_AUDIT_SESSION", System),
    ("_AUDIT_TYPE", System),
    ("_AUDIT_TYPE_NAME", System),
    ("_BOOT_ID", System),
    ("_CAP_EFFECTIVE", User),
    ("_CMDLINE", User),
    ("_COMM", User),
    ("_EGID", System),
    ("_EUID", System),
    ("_EXE", User),
    ("_FSGID", System),
    ("_FSUID", System),
    ("_GID", System),
    ("_HOSTNAME", System),
    ("_KERNEL_DEVICE", System),
    ("_KERNEL_SUBSYSTEM", System),
    ("_LINE_BREAK", System),
    ("_MACHINE_ID", System),
    ("_NAMESPACE", System),
    ("_PID", System),
    ("_PPID", System),
    ("_RUNTIME_SCOPE", System),
    ("_SELINUX_CONTEXT", System),
    ("_SOURCE_BOOTTIME_TIMESTAMP", System),
    ("_SOURCE_MONOTONIC_TIMESTAMP", System),
    ("_SOURCE_REALTIME_TIMESTAMP", System),
    ("_STREAM_ID", System),
    ("_SYSTEMD_CGROUP", User),
    ("_SYSTEMD_INVOCATION_ID", User),
    ("_SYSTEMD_OWNER_UID", System),
    ("_SYSTEMD_SESSION", System),
    ("_SYSTEMD_SLICE", System),
    ("_SYSTEMD_UNIT", System),
    ("_SYSTEMD_USER_SLICE", User),
    ("_SYSTEMD_USER_UNIT", User),
    ("_TRANSPORT", System),
    ("_TTY", System),
    ("_UDEV_DEVLINK", System),
    ("_UDEV_DEVNODE", System),
    ("_UDEV_SYSNAME", System),
    ("_UID", System),
];

/// What a record of the kernel's audit has beyond the fields that journald knows: `_AUDIT_FIELD_` and its name there.
/// Paths are among the values.
const AUDIT_PREFIX: &str = "_AUDIT_FIELD_";

/// Whether journald itself writes a field of this name. A journal of journald has no other fields that begin with `_`.
pub fn is_written_by_journald(name: &str) -> bool {
    find(name).is_some() || name.len() > AUDIT_PREFIX.len() && name.starts_with(AUDIT_PREFIX)
}

/// The journal field with this name in an expression, if there can be one.
pub(crate) fn field_of(name: &str) -> Option<String> {
    let field = name.strip_prefix(FIELD)?;
    let field = field.bytes().all(|c| !c.is_ascii_uppercase()).then(|| field.to_ascii_uppercase())?;
    is_written_by_journald(&field).then_some(field)
}

/// How far a field can be trusted.
pub fn trust(name: &str) -> Trust {
    match find(name) {
        Some(trust) => trust,
        None if is_written_by_journald(name) => User,
        // journald does not write this name, so the program that wrote the journal decided the value.
        None => Trust::Sender,
    }
}

fn find(name: &str) -> Option<Trust> {
    let at = WRITTEN_BY_JOURNALD.binary_search_by(|(known, _)| (*known).cmp(name)).ok()?;
    WRITTEN_BY_JOURNALD.get(at).map(|(_, trust)| *trust)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The document says the same of each.
    #[test]
    fn every_field_is_described() {
        let document = include_str!("../../docs/fields.md");
        for (name, trust) in WRITTEN_BY_JOURNALD {
            let kind = if *trust == System { "| system |" } else { "| user |" };
            let mut rows = document.lines().filter(|line| line.contains(&format!("`{name}`")));
            assert!(rows.any(|row| row.starts_with("| `") && row.contains(kind)), "{name} {kind}");
        }
    }

    #[test]
    fn names_are_found() {
        assert!(WRITTEN_BY_JOURNALD.is_sorted_by(|a, b| a.0 < b.0));
        for (name, written, expected) in [
            ("_SYSTEMD_UNIT", true, System),
            ("_UID", true, System),
            ("_AUDIT_ID", true, System),
            ("_SYSTEMD_USER_UNIT", true, User),
            ("_COMM", true, User),
            ("_AUDIT_FIELD_PATH", true, User),
            ("_AUDIT_FIELD_", false, Trust::Sender),
            ("_SYSTEMD_UNITS", false, Trust::Sender),
            ("SYSLOG_IDENTIFIER", false, Trust::Sender),
            ("PRIORITY", false, Trust::Sender),
            ("UID", false, Trust::Sender),
            ("", false, Trust::Sender),
        ] {
            assert_eq!((is_written_by_journald(name), trust(name)), (written, expected), "{name}");
        }
    }
}
