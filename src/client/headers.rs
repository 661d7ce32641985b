//! The rules for request headers of the configuration.

use http::{HeaderName, HeaderValue};

use crate::yaml::{Refusal, quoted};

/// Headers that the configuration cannot set, each with what to do instead.
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

/// Headers that hold credentials. Their values must come from files.
const CREDENTIAL_HEADERS: &[&str] = &["authorization", "proxy-authorization", "cookie"];

/// Checks the name of a request header (RFC 9110, section 5.1), whose value stands here or comes from a file.
pub(super) fn header_name(name: &str, from_file: bool) -> Result<(), Refusal> {
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Err(Refusal::new(
            format!("{} is not a valid name of a header", quoted(name)),
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

/// Checks the value of a request header: visible ASCII, spaces and tabs. The refusal does not repeat it, as it may be
/// secret.
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
    use crate::yaml::check_rule as check;

    #[test]
    fn headers() {
        check(
            |name| header_name(name, true),
            &["X-Custom", "Authorization", "cookie"],
            &[("a b", "is not a valid name of a header"), ("X-Scope-OrgID", "`tenant`"), ("Host", "`url`")],
        );
        check(
            |name| header_name(name, false),
            &["X-Custom", "user-agent"],
            &[
                ("", "is not a valid name of a header"),
                ("a b", "is not a valid name of a header"),
                ("é", "is not a valid name of a header"),
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
