//! The rule for names of journal fields (systemd, `src/libsystemd/sd-journal/journal-file.c`, `journal_field_valid`).

use crate::yaml::{Refusal, quoted};
use logql::nearest::nearest;

/// Longest name of a journal field, in bytes.
const FIELD_NAME_MAX: usize = 64;

/// The prefix under which Promtail offers journal fields to relabelling.
const PROMTAIL_PREFIX: &str = "__journal_";

/// Fields that a person is likely to mean when something near is written.
pub(crate) const WELL_KNOWN_FIELDS: &[&str] = &[
    "MESSAGE",
    "PRIORITY",
    "SYSLOG_IDENTIFIER",
    "SYSLOG_FACILITY",
    "_HOSTNAME",
    "_PID",
    "_UID",
    "_COMM",
    "_EXE",
    "_CMDLINE",
    "_BOOT_ID",
    "_MACHINE_ID",
    "_TRANSPORT",
    "_SYSTEMD_UNIT",
    "_SYSTEMD_USER_UNIT",
    "_SYSTEMD_SLICE",
    "_SYSTEMD_CGROUP",
    "CONTAINER_NAME",
];

/// The name of a journal field: `[A-Z0-9_]{1,64}`, no digit first.
pub(crate) fn field_name(name: &str) -> Result<(), Refusal> {
    let valid = !name.is_empty()
        && name.len() <= FIELD_NAME_MAX
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    if valid && name.starts_with("__") {
        return Err(Refusal::new(
            format!("{} is not a field of an entry", quoted(name)),
            "expected a field such as `_SYSTEMD_UNIT`",
        )
        .help("names that begin with `__` are an entry's address: journalctl adds them when it prints"));
    }
    if valid {
        return Ok(());
    }
    let refusal = Refusal::new(
        format!("{} is not a valid name of a journal field", quoted(name)),
        "expected capital letters, digits and `_`, such as `_SYSTEMD_UNIT`",
    );
    if name.len() > FIELD_NAME_MAX {
        return Err(refusal.help(format!("journald takes names of at most {FIELD_NAME_MAX} characters")));
    }
    // `__journal__systemd_unit` as Promtail has it, `systemd_unit`, `_systemd_unit`.
    let upper = name.strip_prefix(PROMTAIL_PREFIX).unwrap_or(name).to_ascii_uppercase();
    let upper = upper.replace(['-', '.'], "_");
    let meant = match nearest(&upper, WELL_KNOWN_FIELDS.iter().copied()) {
        Some(known) => Some(known),
        None if upper != name && field_name(&upper).is_ok() => Some(upper.as_str()),
        None => None,
    };
    Err(match meant {
        Some(meant) => refusal.help(format!("did you mean `{meant}`?")),
        None => refusal,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::check_rule as check;

    #[test]
    fn field_names() {
        let long = "A".repeat(65);
        check(
            field_name,
            &["MESSAGE", "_PID", "A1_", &long[..64]],
            &[
                ("", "is not a valid name of a journal field"),
                ("_systemd_unit", "did you mean `_SYSTEMD_UNIT`"),
                ("systemd_unit", "did you mean `_SYSTEMD_UNIT`"),
                ("__journal__systemd_unit", "did you mean `_SYSTEMD_UNIT`"),
                ("__journal_priority", "did you mean `PRIORITY`"),
                ("my_field", "did you mean `MY_FIELD`"),
                ("MY-FIELD", "did you mean `MY_FIELD`"),
                ("1A", "expected capital"),
                ("é", "expected capital"),
                ("__REALTIME_TIMESTAMP", "address"),
                (&long, "at most 64"),
            ],
        );
    }
}
