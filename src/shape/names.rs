//! The rules for names and texts that Loki takes.
//!
//! Each function checks one text and says what is wrong with it. The rules are those of grafana/loki
//! (`pkg/validation/limits.go`, `pkg/distributor`) and, for tenants, of grafana/dskit (`tenant/tenant.go`).

use std::borrow::Cow;

use super::limits::{LABEL_NAME_MAX, LABEL_VALUE_MAX, TENANT_MAX};
use crate::yaml::{Refusal, quoted};
use logql::label_set::identifier;

/// The nearest name that Loki takes, if the text has a letter or a digit.
fn as_identifier(name: &str) -> Option<Cow<'_, str>> {
    Some(identifier(name)).filter(|plain| plain.chars().any(|c| c != '_'))
}

/// Checks the name of a label: `[a-zA-Z_][a-zA-Z0-9_]*`, not beginning with `__`.
pub(crate) fn label_name(name: &str) -> Result<(), Refusal> {
    let refused = |what: String| Err(Refusal::new(what, "expected letters, digits and `_`"));
    if identifier(name) != name {
        let refusal = Refusal::new(
            format!("{} is not a valid label name", quoted(name)),
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
    if name.len() > LABEL_NAME_MAX {
        return refused(format!("the label's name is longer than {LABEL_NAME_MAX} bytes"));
    }
    Ok(())
}

/// Checks the fixed value of a label: not empty, at most 2048 bytes.
pub(crate) fn label_value(value: &str) -> Result<(), Refusal> {
    if value.is_empty() {
        return Err(Refusal::new("the value of a label is empty", "expected a text")
            .help("Loki removes a label without a value: remove it here"));
    }
    if value.len() > LABEL_VALUE_MAX {
        let len = value.len();
        return Err(Refusal::new(
            format!("the value of a label has {len} bytes"),
            format!("expected at most {LABEL_VALUE_MAX} bytes"),
        )
        .help("Loki refuses every entry that carries it"));
    }
    Ok(())
}

/// Checks the name of structured metadata: the rule for labels, and not only underscores.
pub(crate) fn metadata_name(name: &str) -> Result<(), Refusal> {
    let Some(plain) = as_identifier(name) else {
        return Err(Refusal::new(
            format!("{} is not a valid name of structured metadata", quoted(name)),
            "expected a name with a letter or a digit",
        )
        .help("Loki answers 500 to every push that holds such a name"));
    };
    if plain != name {
        return Err(Refusal::new(
            format!("{} is not a valid name of structured metadata", quoted(name)),
            "expected letters, digits and `_`, no digit first",
        )
        .help(format!("Loki would store another name: write {}", quoted(&plain))));
    }
    if name.len() > LABEL_NAME_MAX {
        return Err(Refusal::new(
            format!("the name is longer than {LABEL_NAME_MAX} bytes"),
            "expected a shorter name",
        ));
    }
    Ok(())
}

/// Checks a tenant: what Loki takes in `X-Scope-OrgID`.
pub(crate) fn tenant(name: &str) -> Result<(), Refusal> {
    let valid = (1..=TENANT_MAX).contains(&name.len())
        && !matches!(name, "." | "..")
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "!-_.*'()".contains(c));
    if valid {
        return Ok(());
    }
    let refusal = Refusal::new(
        format!("{} is not a valid tenant", quoted(name)),
        format!("expected 1 to {TENANT_MAX} of letters, digits and `!-_.*'()`"),
    );
    Err(if name.contains('|') {
        refusal.help("several tenants joined by `|` can be queried, not pushed to")
    } else {
        refusal
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::check_rule as check;

    #[test]
    fn label_names() {
        let long = "a".repeat(1025);
        check(
            label_name,
            &["a", "_", "_a", "A9_", "service_name"],
            &[
                ("", "is not a valid label name"),
                ("9a", "`_9a`"),
                ("a-b", "`a_b`"),
                ("é", "is not a valid"),
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
    fn tenants() {
        let long = "t".repeat(151);
        check(
            tenant,
            &["fake", "team-a_1.x!*'()", &long[..150]],
            &[
                ("", "is not a valid tenant"),
                ("..", "is not a valid tenant"),
                ("a|b", "queried"),
                ("a b", "is not a valid tenant"),
                (&long, "150"),
            ],
        );
    }
}
