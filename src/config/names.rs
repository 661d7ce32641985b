//! The rules for names and texts that leave this machine: what Loki, journald and HTTP accept.
//!
//! Each function looks at one text and says what is wrong with it. Facts about Loki are from
//! `pkg/validation/limits.go` and `pkg/distributor` of grafana/loki, about tenants from `tenant/tenant.go` of
//! grafana/dskit, about fields from `src/libsystemd/sd-journal/journal-file.c` of systemd
//! (`journal_field_valid`).

use reqwest::header::{HeaderName, HeaderValue};

use super::diagnostic::quoted;
use logql::nearest::nearest;

/// Why a text is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// What is wrong: the title of the message.
    pub(super) what: String,
    /// What was expected there: beside the carets.
    pub(super) expected: String,
    /// What to do, if there is more to say.
    pub(super) help: Option<String>,
}

impl Refusal {
    pub(crate) fn new(what: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { what: what.into(), expected: expected.into(), help: None }
    }

    pub(crate) fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }
}

/// Longest label name, in bytes: Loki's `max_label_name_length`.
const MAX_LABEL_NAME_BYTES: usize = 1024;
/// Longest label value, in bytes: Loki's `max_label_value_length`.
const MAX_LABEL_VALUE_BYTES: usize = 2048;
/// Longest name of a journal field, in bytes.
const MAX_FIELD_BYTES: usize = 64;
/// Longest name of a destination, in bytes: it becomes a file name with a suffix.
const MAX_DESTINATION_BYTES: usize = 64;
/// Longest tenant, in bytes: dskit's `MaxTenantIDLength`.
const MAX_TENANT_BYTES: usize = 150;

/// The prefix under which Promtail offers journal fields to relabelling.
const PROMTAIL_PREFIX: &str = "__journal_";

/// Fields that a person is likely to mean when something near is written.
pub(super) const WELL_KNOWN_FIELDS: &[&str] = &[
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

fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `name` with what Loki does not take replaced by `_`, if that leaves a usable name.
fn as_identifier(name: &str) -> Option<String> {
    let mut plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if plain.starts_with(|c: char| c.is_ascii_digit()) {
        plain.insert(0, '_');
    }
    plain.chars().any(|c| c != '_').then_some(plain)
}

/// The name of a label: `[a-zA-Z_][a-zA-Z0-9_]*`, not beginning with `__`.
pub(crate) fn label_name(name: &str) -> Result<(), Refusal> {
    let refused = |what: String| Err(Refusal::new(what, "expected letters, digits and `_`"));
    if !is_identifier(name) {
        let refusal = Refusal::new(
            format!("{} is no name of a label", quoted(name)),
            "expected letters, digits and `_`, no digit first",
        );
        return Err(match as_identifier(name) {
            Some(plain) => refusal.help(format!("did you mean {}?", quoted(&plain))),
            None => refusal,
        });
    }
    if name.starts_with("__") {
        return Err(Refusal::new(
            format!("the label {} is reserved", quoted(name)),
            "expected a name that does not begin with `__`",
        )
        .help("Loki and Prometheus keep names that begin with `__` for themselves"));
    }
    if name.len() > MAX_LABEL_NAME_BYTES {
        return refused(format!("the label's name is longer than {MAX_LABEL_NAME_BYTES} bytes"));
    }
    Ok(())
}

/// The fixed value of a label: not empty, at most 2048 bytes.
pub(crate) fn label_value(value: &str) -> Result<(), Refusal> {
    if value.is_empty() {
        return Err(Refusal::new("the value of a label is empty", "expected a text")
            .help("Loki removes a label without a value: remove it here"));
    }
    if value.len() > MAX_LABEL_VALUE_BYTES {
        let len = value.len();
        return Err(Refusal::new(
            format!("the value of a label has {len} bytes"),
            format!("expected at most {MAX_LABEL_VALUE_BYTES} bytes"),
        )
        .help("Loki refuses every entry that carries it"));
    }
    Ok(())
}

/// The name of structured metadata: as a label's, and not only underscores.
pub(crate) fn metadata_name(name: &str) -> Result<(), Refusal> {
    let Some(plain) = as_identifier(name) else {
        return Err(Refusal::new(
            format!("{} is no name of structured metadata", quoted(name)),
            "expected a name with a letter or a digit",
        )
        .help("Loki answers 500 to every push that holds such a name"));
    };
    if plain != name {
        return Err(Refusal::new(
            format!("{} is no name of structured metadata", quoted(name)),
            "expected letters, digits and `_`, no digit first",
        )
        .help(format!("Loki would store another name: write {}", quoted(&plain))));
    }
    if name.len() > MAX_LABEL_NAME_BYTES {
        return Err(Refusal::new(
            format!("the name is longer than {MAX_LABEL_NAME_BYTES} bytes"),
            "expected a shorter name",
        ));
    }
    Ok(())
}

/// The name of a journal field: `[A-Z0-9_]{1,64}`, no digit first.
pub(crate) fn field_name(name: &str) -> Result<(), Refusal> {
    let valid = !name.is_empty()
        && name.len() <= MAX_FIELD_BYTES
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    if valid && name.starts_with("__") {
        return Err(Refusal::new(
            format!("{} is no field that an entry carries", quoted(name)),
            "expected a field such as `_SYSTEMD_UNIT`",
        )
        .help("names that begin with `__` are an entry's address: journalctl adds them when it prints"));
    }
    if valid {
        return Ok(());
    }
    let refusal = Refusal::new(
        format!("{} is no name of a journal field", quoted(name)),
        "expected capital letters, digits and `_`, such as `_SYSTEMD_UNIT`",
    );
    if name.len() > MAX_FIELD_BYTES {
        return Err(refusal.help(format!("journald takes names of at most {MAX_FIELD_BYTES} characters")));
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

/// The name of a destination: `[A-Za-z0-9_.-]{1,64}`, no dot first, for it names a file.
pub(super) fn destination_name(name: &str) -> Result<(), Refusal> {
    let valid = (1..=MAX_DESTINATION_BYTES).contains(&name.len())
        && !name.starts_with('.')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if valid {
        return Ok(());
    }
    Err(Refusal::new(
        format!("{} is no name of a destination", quoted(name)),
        format!("expected 1 to {MAX_DESTINATION_BYTES} of letters, digits, `_`, `-` and `.`, no `.` first"),
    )
    .help("the name is also the name of the checkpoint's file"))
}

/// A tenant: what Loki takes in `X-Scope-OrgID`.
pub(crate) fn tenant(name: &str) -> Result<(), Refusal> {
    let valid = (1..=MAX_TENANT_BYTES).contains(&name.len())
        && !matches!(name, "." | "..")
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "!-_.*'()".contains(c));
    if valid {
        return Ok(());
    }
    let refusal = Refusal::new(
        format!("{} is no tenant", quoted(name)),
        format!("expected 1 to {MAX_TENANT_BYTES} of letters, digits and `!-_.*'()`"),
    );
    Err(if name.contains('|') {
        refusal.help("several tenants joined by `|` can be queried, not pushed to")
    } else {
        refusal
    })
}

/// Headers that are not for the configuration, each with what to do instead.
const RESERVED_HEADERS: &[(&str, &str)] = &[
    ("x-scope-orgid", "write the tenant as `tenant`"),
    ("content-type", "journal-ship sets it: the body is always snappy-compressed protobuf"),
    ("content-encoding", "journal-ship sets it: the body is always snappy-compressed protobuf"),
    ("content-length", "journal-ship sets it from the body"),
    ("transfer-encoding", "journal-ship sends bodies of known length"),
    ("connection", "journal-ship keeps connections open by itself"),
    ("host", "the host is taken from `url`"),
    ("accept-encoding", "journal-ship sets it: it reads answers as they are"),
];

/// Headers that hold credentials: their values come from files.
const CREDENTIAL_HEADERS: &[&str] = &["authorization", "proxy-authorization", "cookie"];

/// The name of a request header (RFC 9110, section 5.1) that may be set, with a value here or in a file.
pub(super) fn header_name(name: &str, from_file: bool) -> Result<(), Refusal> {
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Err(Refusal::new(
            format!("{} is no name of a header", quoted(name)),
            "expected letters, digits and `-`",
        ));
    }
    if !from_file && CREDENTIAL_HEADERS.iter().any(|header| name.eq_ignore_ascii_case(header)) {
        return Err(Refusal::new(
            format!("the header {} cannot be written here", quoted(name)),
            "expected `{file: PATH}`",
        )
        .help(
            "credentials do not belong in this file, which is often readable by everyone and in version control: write \
             them into a file of their own, and its path as `{file: /path}`; or see `basic_auth` and `bearer_token_file`",
        ));
    }
    match RESERVED_HEADERS.iter().find(|(reserved, _)| name.eq_ignore_ascii_case(reserved)) {
        Some((_, instead)) => {
            Err(Refusal::new(format!("the header {} cannot be set here", quoted(name)), "remove this header")
                .help(*instead))
        }
        None => Ok(()),
    }
}

/// The value of a request header: visible ASCII, spaces and tabs. It is not repeated: it may be secret.
pub(super) fn header_value(value: &str) -> Result<(), Refusal> {
    let visible = HeaderValue::from_str(value).is_ok_and(|value| value.to_str().is_ok());
    if visible && value.trim() == value {
        return Ok(());
    }
    Err(Refusal::new(
        "the value of a header holds a character that HTTP does not take",
        "expected visible ASCII characters, no line break, no space at either end",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rule = fn(&str) -> Result<(), Refusal>;

    /// Names that pass, and names that do not with a part of the answer.
    #[track_caller]
    fn check(rule: Rule, good: &[&str], bad: &[(&str, &str)]) {
        for name in good {
            assert_eq!(rule(name), Ok(()), "{name}");
        }
        for (name, part) in bad {
            let text = format!("{:?}", rule(name).expect_err(name));
            assert!(text.contains(part), "{name}: {text}");
        }
    }

    #[test]
    fn label_names() {
        let long = "a".repeat(1025);
        check(
            label_name,
            &["a", "_", "_a", "A9_", "service_name"],
            &[
                ("", "is no name of a label"),
                ("9a", "`_9a`"),
                ("a-b", "`a_b`"),
                ("é", "is no name"),
                ("__name__", "reserved"),
                ("__", "reserved"),
                (&long, "longer than 1024"),
            ],
        );
    }

    #[test]
    fn label_values() {
        let (fits, long) = ("é".repeat(1024), format!("x{}", "é".repeat(1024)));
        check(label_value, &["x", " ", &fits], &[("", "is empty"), (&long, "has 2049 bytes")]);
    }

    #[test]
    fn metadata_names() {
        check(
            metadata_name,
            &["pid", "_x", "a__b"],
            &[
                ("", "500"),
                ("_", "500"),
                ("___", "500"),
                ("..", "500"),
                ("é", "500"),
                ("user.id", "`user_id`"),
                ("1st", "`_1st`"),
            ],
        );
    }

    #[test]
    fn field_names() {
        let long = "A".repeat(65);
        check(
            field_name,
            &["MESSAGE", "_PID", "A1_", &long[..64]],
            &[
                ("", "is no name of a journal field"),
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

    #[test]
    fn destination_names() {
        let long = "a".repeat(65);
        check(
            destination_name,
            &["main", "a.b-c_D9", "-", &long[..64]],
            &[
                ("", "checkpoint"),
                (".", "checkpoint"),
                ("..", "checkpoint"),
                ("a/b", "checkpoint"),
                (&long, "64"),
            ],
        );
    }

    #[test]
    fn tenants() {
        let long = "t".repeat(151);
        check(
            tenant,
            &["fake", "team-a_1.x!*'()", &long[..150]],
            &[
                ("", "no tenant"),
                ("..", "no tenant"),
                ("a|b", "queried"),
                ("a b", "no tenant"),
                (&long, "150"),
            ],
        );
    }

    #[test]
    fn headers() {
        check(
            |name| header_name(name, true),
            &["X-Custom", "Authorization", "cookie"],
            &[("a b", "no name of a header"), ("X-Scope-OrgID", "`tenant`"), ("Host", "`url`")],
        );
        check(
            |name| header_name(name, false),
            &["X-Custom", "user-agent"],
            &[
                ("", "no name of a header"),
                ("a b", "no name of a header"),
                ("é", "no name of a header"),
                ("X-Scope-OrgID", "`tenant`"),
                ("CONTENT-TYPE", "protobuf"),
                ("Authorization", "credentials"),
            ],
        );
        check(
            header_value,
            &["", "a b", "~"],
            &[("a\nb", "line break"), (" a", "space"), ("é", "ASCII"), ("\u{7f}", "ASCII")],
        );
    }
}
