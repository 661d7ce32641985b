//! journalctl's habits: its options as matches of the journal (systemd, `src/journal/journalctl-filter.c`,
//! `src/shared/logs-show.c`).

use std::collections::BTreeMap;
use std::path::Path;

use journald_reader::Match;

/// The message that systemd-coredump writes about a unit (systemd, `sd-messages.h`, `SD_MESSAGE_COREDUMP`).
const COREDUMP: &str = "fc2e22bc6ee647b6b90729ab34a250b1";
/// Endings of the names of units (systemd, `src/basic/unit-def.c`).
const SUFFIXES: [&str; 11] = [
    ".service",
    ".mount",
    ".swap",
    ".socket",
    ".target",
    ".device",
    ".automount",
    ".timer",
    ".path",
    ".slice",
    ".scope",
];
/// Severities as journalctl takes them (syslog(3), `prioritynames`), beside their numbers.
const PRIORITIES: [(&str, u8); 11] = [
    ("emerg", 0),
    ("panic", 0),
    ("alert", 1),
    ("crit", 2),
    ("err", 3),
    ("error", 3),
    ("warning", 4),
    ("warn", 4),
    ("notice", 5),
    ("info", 6),
    ("debug", 7),
];

/// Conditions of which an entry must meet one.
pub type AnyOf = Vec<Match>;

fn one(fields: &[(&str, &str)]) -> Match {
    fields.iter().map(|(field, value)| ((*field).to_owned(), vec![(*value).to_owned()])).collect()
}

/// The full name of a unit, as journalctl completes it (systemd, `unit_name_mangle`): `.service` is added where no ending of a
/// unit's name is there, and what a name cannot hold is escaped. A pattern gets no ending: `s*` also means timers and scopes. A path
/// is the unit of its device or mount.
pub fn unit_name(name: &str, is_pattern: bool) -> String {
    if let Some(unit) = (!is_pattern).then(|| unit_of_path(name)).flatten() {
        return unit;
    }
    let plain =
        |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c) || (is_pattern && "*?[]!".contains(c));
    let escaped = name.chars().fold(String::new(), |mut text, c| {
        match c {
            '/' => text.push('-'),
            c if plain(c) => text.push(c),
            c => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    text.push_str(&format!("\\x{byte:02x}"));
                }
            }
        }
        text
    });
    let has_ending = SUFFIXES.iter().any(|suffix| escaped.len() > suffix.len() && escaped.ends_with(suffix));
    match is_pattern || has_ending {
        true => escaped,
        false => escaped + ".service",
    }
}

/// The unit of an absolute path: a device below `/dev` or `/sys`, a mount elsewhere (systemd, `unit_name_from_path`). `None`: this is
/// none, or it goes up.
fn unit_of_path(path: &str) -> Option<String> {
    let steps: Vec<&str> =
        path.strip_prefix('/')?.split('/').filter(|step| !step.is_empty() && *step != ".").collect();
    if steps.contains(&"..") {
        return None;
    }
    let escape = |(at, byte): (usize, u8)| match byte {
        b'/' => "-".to_owned(),
        b'.' if at > 0 => ".".to_owned(),
        b':' | b'_' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("\\x{byte:02x}"),
    };
    let ending = if matches!(steps.as_slice(), ["dev" | "sys", _, ..]) { ".device" } else { ".mount" };
    let name: String = match steps.is_empty() {
        true => "-".to_owned(),
        false => steps.join("/").bytes().enumerate().map(escape).collect(),
    };
    Some(name + ending)
}

/// Whether a name stands for several (systemd, `string_is_glob`).
pub fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

/// The fields that hold names of units: what a pattern is tried on (`SYSTEM_UNITS`).
pub const UNIT_FIELDS: [&str; 5] =
    ["_SYSTEMD_UNIT", "UNIT", "OBJECT_SYSTEMD_UNIT", "COREDUMP_UNIT", "_SYSTEMD_SLICE"];

/// What a unit has written, what systemd has written about it, and what other programs have (`add_matches_for_unit`).
pub fn unit(name: &str) -> AnyOf {
    let mut any = vec![
        one(&[("_SYSTEMD_UNIT", name)]),
        one(&[("_PID", "1"), ("UNIT", name)]),
        one(&[("_UID", "0"), ("OBJECT_SYSTEMD_UNIT", name)]),
        one(&[("MESSAGE_ID", COREDUMP), ("_UID", "0"), ("COREDUMP_UNIT", name)]),
    ];
    if name.ends_with(".slice") {
        any.push(one(&[("_SYSTEMD_SLICE", name)]));
    }
    any
}

/// One severity and all worse ones, or `FROM..TO`. All of them together ask for nothing: an entry without a severity is there, too.
///
/// # Errors
/// What is not a severity.
pub fn priority(text: &str) -> Result<AnyOf, String> {
    let number = |word: &str| {
        let named =
            PRIORITIES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, number)| *number);
        named.or_else(|| word.parse().ok().filter(|number| *number <= 7)).ok_or_else(|| {
            format!("{word:?} is not a priority; use 0 to 7, or emerg, alert, crit, err, warning, notice, info, debug")
        })
    };
    let (from, to) = match text.split_once("..") {
        Some((from, to)) => (number(from)?, number(to)?),
        None => (0, number(text)?),
    };
    if (from.min(to), from.max(to)) == (0, 7) {
        return Ok(Vec::new());
    }
    let values = (from.min(to)..=from.max(to)).map(|number| number.to_string()).collect();
    Ok(vec![Match::from([("PRIORITY".to_owned(), values)])])
}

/// Entries whose field has one of these values.
pub fn field(field: &str, values: &[String]) -> AnyOf {
    vec![Match::from([(field.to_owned(), values.to_vec())])]
}

/// `FIELD=VALUE …`, with `+` between alternatives. Several values of one field are alternatives, too.
///
/// # Errors
/// What is not a match.
pub fn fields(words: &[String]) -> Result<AnyOf, String> {
    let mut any = vec![Match::new()];
    for word in words {
        if word == "+" {
            any.push(Match::new());
            continue;
        }
        let (name, value) = word.split_once('=').filter(|(name, _)| is_field(name)).ok_or_else(|| {
            let place = Path::new(word).exists();
            let place = if place { "; --path stands in front of each folder or file" } else { "" };
            format!("{word:?} is neither LogQL, as '{{unit=\"ssh.service\"}}', nor a match, as _PID=1{place}")
        })?;
        if let Some(last) = any.last_mut() {
            last.entry(name.to_owned()).or_default().push(value.to_owned());
        }
    }
    if any.len() > 1 && any.iter().any(BTreeMap::is_empty) {
        return Err("`+` stands between matches, as _PID=1 + _PID=2".to_owned());
    }
    any.retain(|one| !one.is_empty());
    Ok(any)
}

/// Whether this can be the name of a field (systemd, `journal_field_valid`).
fn is_field(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// The entries that meet all of several conditions. A field that two conditions name must have a value that both take.
/// `None`: no entry can.
pub fn all_of(conditions: &[AnyOf]) -> Option<AnyOf> {
    let mut all = vec![Match::new()];
    for any in conditions.iter().filter(|any| !any.is_empty()) {
        all = all.iter().flat_map(|left| any.iter().filter_map(|right| both(left, right))).collect();
    }
    all.dedup();
    match all.as_slice() {
        [] => None,
        [one] if one.is_empty() => Some(Vec::new()),
        _ => Some(all),
    }
}

/// Both of two conditions, unless they name a field without a common value.
pub fn both(left: &Match, right: &Match) -> Option<Match> {
    let mut both = left.clone();
    for (field, values) in right {
        match both.get_mut(field) {
            None => drop(both.insert(field.clone(), values.clone())),
            Some(known) => known.retain(|value| values.contains(value)),
        }
    }
    both.values().all(|values| !values.is_empty()).then_some(both)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_units_are_completed() {
        for (name, full) in [
            ("ssh", "ssh.service"),
            ("ssh.service", "ssh.service"),
            ("a.b", "a.b.service"),
            ("dev-sda.device", "dev-sda.device"),
            (".service", ".service.service"),
            ("/home", "home.mount"),
            ("/", "-.mount"),
            ("//var/./lib/a-b/", "var-lib-a\\x2db.mount"),
            ("/.snap é", "\\x2esnap\\x20\\xc3\\xa9.mount"),
            ("/dev/disk/by-label", "dev-disk-by\\x2dlabel.device"),
            ("/dev", "dev.mount"),
            ("/a/../b", "-a-..-b.service"),
            ("home/x", "home-x.service"),
            ("a b", "a\\x20b.service"),
            ("foo@bar", "foo@bar.service"),
        ] {
            assert_eq!(unit_name(name, false), full, "{name}");
        }
        assert_eq!(unit_name("s*h?", true), "s*h?");
        assert_eq!(unit_name("a b*.timer", true), "a\\x20b*.timer");
    }

    #[test]
    fn priorities_are_ranges() {
        let values = |text| {
            let [one] = priority(text)?.try_into().map_err(|_| "several".to_owned())?;
            Ok::<_, String>(one.get("PRIORITY").cloned().unwrap_or_default().join(""))
        };
        for (text, expected) in
            [("err", "0123"), ("3", "0123"), ("warning..err", "34"), ("0..0", "0"), ("INFO", "0123456")]
        {
            assert_eq!(values(text).as_deref(), Ok(expected), "{text}");
        }
        for text in ["debug", "7", "0..7", "DEBUG..emerg"] {
            assert_eq!(priority(text), Ok(Vec::new()), "{text}");
        }
        for text in ["", "8", "loud", "1..x", "-1", "256"] {
            assert!(values(text).is_err(), "{text}");
        }
    }

    #[test]
    fn matches_are_read_as_journalctl_does() {
        let read = |words: &[&str]| fields(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
        let expected = vec![
            Match::from([("A".into(), vec!["1".into(), "2".into()]), ("B".into(), vec!["x=y".into()])]),
            one(&[("_C", "")]),
        ];
        assert_eq!(read(&["A=1", "A=2", "B=x=y", "+", "_C="]), Ok(expected));
        assert_eq!(read(&[]), Ok(Vec::new()));
        for words in [
            &["a=1"][..],
            &["A"],
            &["=1"],
            &["1A=1"],
            &["A=1", "+"],
            &["+", "A=1"],
            &["A=1", "+", "+", "B=1"],
        ] {
            assert!(read(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn conditions_are_joined() {
        let a = vec![one(&[("A", "1")]), one(&[("B", "1")])];
        let b = vec![Match::from([("A".into(), vec!["1".into(), "2".into()])])];
        let expected = vec![
            one(&[("A", "1")]),
            Match::from([("A".into(), vec!["1".into(), "2".into()]), ("B".into(), vec!["1".into()])]),
        ];
        assert_eq!(all_of(&[a.clone(), b]), Some(expected));
        assert_eq!(all_of(&[a, vec![one(&[("A", "3")])]]), Some(vec![one(&[("A", "3"), ("B", "1")])]));
        assert_eq!(all_of(&[vec![one(&[("A", "1")])], vec![one(&[("A", "3")])]]), None);
        assert_eq!(all_of(&[Vec::new(), Vec::new()]), Some(Vec::new()));
    }
}
