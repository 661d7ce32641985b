//! Guesses the layout that was meant by a doubtful one: translates the forms of other languages, and takes a translation
//! that is not doubtful itself.

use super::doubt::{ZONES, doubt, is_pattern};
use super::layout::{MONTHS, WEEKDAYS};

/// Names that other programs, and Go itself, have for layouts; in lower case, only letters and digits.
const ALIASES: [(&str, &str); 22] = [
    ("iso8601", "RFC3339"),
    ("isodate", "RFC3339"),
    ("iso", "RFC3339"),
    ("isolocaldatetime", "2006-01-02T15:04:05"),
    ("rfc5424", "RFC3339Nano"),
    ("rfc3164", "Jan _2 15:04:05"),
    ("syslog", "Jan _2 15:04:05"),
    ("epoch", "Unix"),
    ("unixtime", "Unix"),
    ("unixtimestamp", "Unix"),
    ("unixmilli", "UnixMs"),
    ("unixmillis", "UnixMs"),
    ("epochmillis", "UnixMs"),
    ("unixmicro", "UnixUs"),
    ("unixnano", "UnixNs"),
    ("kitchen", "3:04PM"),
    ("stamp", "Jan _2 15:04:05"),
    ("stampmilli", "Jan _2 15:04:05.000"),
    ("stampmicro", "Jan _2 15:04:05.000000"),
    ("stampnano", "Jan _2 15:04:05.000000000"),
    ("datetime", "2006-01-02 15:04:05"),
    ("timeonly", "15:04:05"),
];

/// Directives of strftime(3).
const STRFTIME: [(char, &str); 25] = [
    ('Y', "2006"),
    ('y', "06"),
    ('m', "01"),
    ('d', "02"),
    ('e', "_2"),
    ('H', "15"),
    ('k', "15"),
    ('I', "03"),
    ('l', "3"),
    ('M', "04"),
    ('S', "05"),
    ('f', "000000"),
    ('L', "000"),
    ('N', "000000000"),
    ('p', "PM"),
    ('P', "pm"),
    ('z', "-0700"),
    ('Z', "MST"),
    ('b', "Jan"),
    ('B', "January"),
    ('a', "Mon"),
    ('A', "Monday"),
    ('j', "002"),
    ('T', "15:04:05"),
    ('F', "2006-01-02"),
];

/// Letters of Java's patterns with how often they stand; a longer run is taken as the longest of it here.
const JAVA: [(char, usize, &str); 26] = [
    ('y', 4, "2006"),
    ('y', 2, "06"),
    ('Y', 4, "2006"),
    ('Y', 2, "06"),
    ('M', 4, "January"),
    ('M', 3, "Jan"),
    ('M', 2, "01"),
    ('M', 1, "1"),
    ('d', 2, "02"),
    ('d', 1, "2"),
    ('D', 2, "02"),
    ('H', 2, "15"),
    ('H', 1, "15"),
    ('h', 2, "03"),
    ('h', 1, "3"),
    ('m', 2, "04"),
    ('m', 1, "4"),
    ('s', 2, "05"),
    ('s', 1, "5"),
    ('a', 1, "PM"),
    ('A', 1, "PM"),
    ('Z', 1, "-0700"),
    ('X', 3, "Z07:00"),
    ('z', 1, "MST"),
    ('E', 4, "Monday"),
    ('E', 1, "Mon"),
];

/// Letters of PHP's `date()`.
const PHP: [(char, &str); 19] = [
    ('Y', "2006"),
    ('y', "06"),
    ('m', "01"),
    ('n', "1"),
    ('d', "02"),
    ('j', "2"),
    ('H', "15"),
    ('G', "15"),
    ('h', "03"),
    ('g', "3"),
    ('i', "04"),
    ('s', "05"),
    ('u', "000000"),
    ('v', "000"),
    ('A', "PM"),
    ('a', "pm"),
    ('M', "Jan"),
    ('O', "-0700"),
    ('P', "-07:00"),
];

/// The layout that was probably meant by a doubtful one: one of the `names`, or another layout.
pub fn meant<'n>(layout: &str, names: impl Iterator<Item = &'n str> + Clone) -> Option<String> {
    let plain = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
    };
    let asked = plain(layout);
    if layout.trim() == "%s" {
        return Some("Unix".to_owned());
    }
    if let Some(name) = names.clone().find(|name| plain(name) == asked) {
        return Some(name.to_owned());
    }
    if let Some((_, meant)) = ALIASES.iter().find(|(alias, _)| *alias == asked) {
        return Some((*meant).to_owned());
    }
    if layout.chars().all(|c| c.is_ascii_alphanumeric())
        && layout.starts_with(|c: char| c.is_ascii_alphabetic())
        && let Some(near) = crate::nearest::nearest(layout, names)
    {
        return Some(near.to_owned());
    }
    let ways = [of_strftime, of_java, of_php, of_example];
    let translated = ways.iter().filter_map(|translate| translate(layout));
    translated.filter(|candidate| candidate != layout).find(|candidate| doubt(candidate).is_none())
}

fn of_strftime(layout: &str) -> Option<String> {
    let (before, directives) = layout.split_once('%')?;
    let mut meant = before.to_owned();
    for directive in directives.split('%') {
        let plain = directive.trim_start_matches(['-', '_', '^', '#', 'E', ':', '.']);
        let digits: usize = plain.chars().take_while(char::is_ascii_digit).count();
        let width: usize = plain.get(..digits)?.parse().unwrap_or(0);
        let mut rest = plain.get(digits..)?.chars();
        let letter = rest.next()?;
        match (letter, width) {
            ('N' | 'f' | 'L', 1..=9) => meant.push_str(&"0".repeat(width)),
            ('D', _) => meant.push_str("01/02/06"),
            ('R', _) => meant.push_str("15:04"),
            ('n' | 't', _) => meant.push(' '),
            _ => meant.push_str(STRFTIME.iter().find(|(other, _)| *other == letter)?.1),
        }
        meant.push_str(rest.as_str());
    }
    Some(meant)
}

fn of_java(layout: &str) -> Option<String> {
    let words = || layout.split(|c: char| !c.is_alphabetic());
    if !words().any(is_pattern) {
        return None;
    }
    let mut meant = String::new();
    let (mut rest, mut quoted) = (layout, false);
    while let Some(letter) = rest.chars().next() {
        let after = rest.trim_start_matches(letter);
        let run = rest.len() - after.len();
        let written = rest.get(..run)?;
        rest = after;
        match letter {
            '\'' => quoted = !quoted,
            'S' | 'f' | 'n' if !quoted => meant.push_str(&"0".repeat(run)),
            _ if quoted || letter == 'T' || !letter.is_ascii_alphabetic() => meant.push_str(written),
            _ => {
                let fits = |(other, count, _): &&(char, usize, &str)| *other == letter && *count <= run;
                match JAVA.iter().find(fits) {
                    Some((.., go)) => meant.push_str(go),
                    None => meant.push_str(written),
                }
            }
        }
    }
    Some(meant)
}

fn of_php(layout: &str) -> Option<String> {
    let mut meant = String::new();
    for letter in layout.chars() {
        match PHP.iter().find(|(other, _)| *other == letter) {
            Some((_, go)) => meant.push_str(go),
            None if letter.is_alphanumeric() && letter != 'T' => return None,
            None => meant.push(letter),
        }
    }
    Some(meant)
}

/// A time that was copied from a log, or a reference time with a wrong digit.
fn of_example(layout: &str) -> Option<String> {
    let pieces = pieces(layout);
    let (mut meant, mut index) = (String::new(), 0);
    let (mut year, mut day, mut month, mut time) = (false, false, false, false);
    let twelve = pieces.iter().any(|piece| matches!(*piece, "AM" | "PM" | "am" | "pm"));
    let number =
        |at: usize| pieces.get(at).copied().filter(|piece| piece.starts_with(|c: char| c.is_ascii_digit()));
    while let Some(piece) = pieces.get(index).copied() {
        index += 1;
        let next = pieces.get(index).copied();
        let Some(digits) = number(index - 1) else {
            let sign = matches!(piece, "+" | "-") && time;
            match (sign, number(index).map(str::len), pieces.get(index + 1).copied(), number(index + 2)) {
                (true, Some(4), ..) => (meant.push_str("-0700"), index += 1).1,
                (true, Some(2), Some(":"), Some(_)) => (meant.push_str("-07:00"), index += 3).1,
                _ => meant.push_str(&of_word(piece, &mut month)),
            }
            continue;
        };
        match (digits.len(), next) {
            (1 | 2, Some(":")) if !time && number(index + 1).is_some() => {
                time = true;
                meant.push_str(match (twelve, digits.len()) {
                    (false, _) => "15:04",
                    (true, 1) => "3:04",
                    (true, _) => "03:04",
                });
                index += 2;
                if let (Some(":"), Some(_)) = (pieces.get(index).copied(), number(index + 1)) {
                    meant.push_str(":05");
                    index += 2;
                    if let (Some(point @ ("." | ",")), Some(fraction)) =
                        (pieces.get(index).copied(), number(index + 1))
                    {
                        meant.push_str(point);
                        meant.push_str(&"0".repeat(fraction.len()));
                        index += 2;
                    }
                }
            }
            (14, _) => meant.push_str("20060102150405"),
            (8, _) => (meant.push_str("20060102"), year = true, day = true, month = true).0,
            (6, _) => (meant.push_str("150405"), time = true).0,
            (4, _) if !year => (meant.push_str("2006"), year = true).0,
            (length @ (1 | 2), _) => {
                // Behind the year the month comes first; else `.` tells a day that does, and a number above 12 (not a month).
                let first_is_day = !year && (next == Some(".") || digits.parse().is_ok_and(|n: u8| n > 12));
                let part = match (month, day) {
                    (true, false) => (day = true, ["2", "02"]).1,
                    (false, false) if first_is_day => (day = true, ["2", "02"]).1,
                    (false, _) => (month = true, ["1", "01"]).1,
                    (true, true) if !year => (year = true, ["06", "06"]).1,
                    (true, true) => return None,
                };
                meant.push_str(part.get(length - 1)?);
            }
            _ => return None,
        }
    }
    Some(meant)
}

/// A word of an example: a name becomes the reference time's.
fn of_word(word: &str, month: &mut bool) -> String {
    let is = |name: &&str| word.eq_ignore_ascii_case(name);
    let short = |name: &&str| name.get(..3).is_some_and(|short| word.eq_ignore_ascii_case(short));
    let meant = match () {
        () if MONTHS.iter().any(short) => (*month = true, "Jan").1,
        () if MONTHS.iter().any(is) => (*month = true, "January").1,
        () if WEEKDAYS.iter().any(short) => "Mon",
        () if WEEKDAYS.iter().any(is) => "Monday",
        () if matches!(word, "AM" | "PM") => "PM",
        () if matches!(word, "am" | "pm") => "pm",
        () if ZONES.contains(&word) => "MST",
        () if word == "Z" => "Z07:00",
        () => word,
    };
    meant.to_owned()
}

/// Runs of digits, runs of letters, and every other character by itself.
fn pieces(text: &str) -> Vec<&str> {
    let kind = |c: char| (c.is_ascii_digit(), c.is_alphabetic());
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match kind(first) {
            (false, false) => first.len_utf8(),
            of_first => rest.find(|c| kind(c) != of_first).unwrap_or(rest.len()),
        };
        let (piece, after) = rest.split_at(length);
        pieces.push(piece);
        rest = after;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAMES: [&str; 4] = ["RFC3339", "RFC1123", "Unix", "UnixMs"];

    #[test]
    fn the_likely_layout_is_found() {
        for (layout, expected) in [
            ("%Y-%m-%d %H:%M:%S", "2006-01-02 15:04:05"),
            ("%d/%b/%Y:%H:%M:%S %z", "02/Jan/2006:15:04:05 -0700"),
            ("%FT%T.%3N%z", "2006-01-02T15:04:05.000-0700"),
            ("%s", "Unix"),
            ("yyyy-MM-dd HH:mm:ss,SSS", "2006-01-02 15:04:05,000"),
            ("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "2006-01-02T15:04:05.000Z07:00"),
            ("dd/MMM/yyyy:HH:mm:ss Z", "02/Jan/2006:15:04:05 -0700"),
            ("YYYY-MM-DDTHH:mm:ss", "2006-01-02T15:04:05"),
            ("yyyyMMddHHmmss", "20060102150405"),
            ("2006-01-02 HH:mm:ss", "2006-01-02 15:04:05"),
            ("hh:mm:ss a", "03:04:05 PM"),
            ("Y-m-d H:i:s", "2006-01-02 15:04:05"),
            ("2021-12-23 18:40:25", "2006-01-02 15:04:05"),
            ("23.12.2021 18:40:25", "02.01.2006 15:04:05"),
            ("23/Dec/2021:18:40:25 +0100", "02/Jan/2006:15:04:05 -0700"),
            ("2021-12-23T18:40:25.123456Z", "2006-01-02T15:04:05.000000Z07:00"),
            ("Thu Dec 23 18:40:25 2021", "Mon Jan 02 15:04:05 2006"),
            ("12/23/21 6:40:25 AM", "01/02/06 3:04:05 PM"),
            ("2006-01-02 15:04:00", "2006-01-02 15:04:05"),
            ("2006-01-02 15:05:04", "2006-01-02 15:04:05"),
            ("2006-02-01 15:04:05", "2006-01-02 15:04:05"),
            ("2006-01-02 03:04:05", "2006-01-02 15:04:05"),
            ("2006-01-02T15:04:05+00:00", "2006-01-02T15:04:05-07:00"),
            ("2006-01-02 15:04:05 CEST", "2006-01-02 15:04:05 MST"),
            ("rfc3339", "RFC3339"),
            ("RFC3399", "RFC3339"),
            ("ISO8601", "RFC3339"),
            ("unix_ms", "UnixMs"),
            ("Kitchen", "3:04PM"),
            ("nothing of a time", ""),
        ] {
            let found = meant(layout, NAMES.into_iter()).unwrap_or_default();
            assert_eq!(found, expected, "{layout}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_an_answer_that_is_without_doubt(layout in "[%A-Za-z0-9 .,:/'+-]{0,30}|\\PC{0,20}") {
            if let Some(meant) = meant(&layout, NAMES.into_iter()) {
                prop_assert!(NAMES.contains(&&*meant) || meant.starts_with("Unix") || meant.starts_with("RFC") || doubt(&meant).is_none());
            }
        }
    }
}
