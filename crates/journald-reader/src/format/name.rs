//! Names of fields: a payload is `NAME=value`.

use memchr::memchr;

/// Longest field name that journald writes (bytes; systemd, `FIELD_NAME_MAX` in `journal-importer`/`journald-native`
/// is 64). A longer one is damage.
pub(crate) const NAME_MAX: usize = 64;

/// Whether a payload begins with `NAME=`.
pub(crate) fn has_name(payload: &[u8]) -> bool {
    memchr(b'=', payload.get(..payload.len().min(NAME_MAX + 1)).unwrap_or_default()).is_some_and(|n| n > 0)
}

/// Whether journald accepts this as the name of a field (systemd, `journal_field_valid`).
pub(crate) fn is_name(name: &[u8]) -> bool {
    (1..=NAME_MAX).contains(&name.len())
        && !name.first().is_some_and(u8::is_ascii_digit)
        && name.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_begins_with_a_name() {
        for (payload, named) in
            [("A=", true), ("MESSAGE=x=y", true), ("=x", false), ("", false), ("AAAA", false)]
        {
            assert_eq!(has_name(payload.as_bytes()), named, "{payload}");
        }
        assert!(!has_name(format!("{}=x", "N".repeat(NAME_MAX + 1)).as_bytes()));
    }
}
