//! Doubtful layouts, which read no time or not the time that was meant: layouts of other languages (`%Y-%m-%d`, `yyyy-MM-dd`),
//! a time that was copied from a log instead of Go's reference time, and misspelt parts of that.
//!
//! A layout is a picture of the reference time, so each part of the time stands in it once, in its place, and nothing
//! else in it looks like a part. A layout that breaks this rule is doubtful; [`meant`](mod@super::meant) guesses what was meant.

use super::layout::{Element, Layout, MONTHS, WEEKDAYS};

/// Abbreviations of zones that people copy into a layout, where they would be fixed text. `UTC`, `GMT` and `Z` are left out: as
/// fixed text they mean what they say.
pub(super) const ZONES: [&str; 20] = [
    "CET", "CEST", "EST", "EDT", "CST", "CDT", "MDT", "PST", "PDT", "BST", "IST", "JST", "KST", "MSK", "EET",
    "EEST", "WET", "WEST", "AEST", "AEDT",
];

/// The parts of a time that a layout may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Year,
    Month,
    Day,
    YearDay,
    Hour,
    Minute,
    Second,
    Fraction,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Part::Year => "year",
            Part::Month => "month",
            Part::Day => "day",
            Part::YearDay => "day of the year",
            Part::Hour => "hour",
            Part::Minute => "minute",
            Part::Second => "second",
            Part::Fraction => "fraction of a second",
        }
    }

    fn of(element: &Element) -> Option<Part> {
        Some(match element {
            Element::LongYear | Element::Year => Part::Year,
            Element::LongMonth | Element::Month | Element::NumMonth(_) => Part::Month,
            Element::Day(_) | Element::UnderDay => Part::Day,
            Element::YearDay | Element::UnderYearDay => Part::YearDay,
            Element::Hour24 | Element::Hour12(_) => Part::Hour,
            Element::Minute(_) => Part::Minute,
            Element::Second(_) => Part::Second,
            Element::Fraction { .. } => Part::Fraction,
            // A zone may stand twice: `-0700 MST`.
            Element::Literal(_)
            | Element::LongWeekday
            | Element::Weekday
            | Element::Pm { .. }
            | Element::ZoneName
            | Element::Zone(_) => return None,
        })
    }
}

/// The reason, in words, why a layout will probably not read the times that it is for; `None` if there is no doubt.
pub fn doubt(layout: &str) -> Option<String> {
    let name = layout.starts_with(|c: char| c.is_ascii_alphabetic())
        && layout.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !is_pattern(layout);
    broken(layout).map(|why| match name {
        true => "it is neither the name of a format nor a layout".to_owned(),
        false => why,
    })
}

/// The first mistake in a layout, in words.
fn broken(layout: &str) -> Option<String> {
    let elements = Layout::new(layout).parts;
    if let Some(directive) = strftime(layout) {
        return Some(format!("`{directive}` is strftime's way of writing, but fixed text in Go"));
    }
    let literals = elements.iter().filter_map(|part| match &part.element {
        Element::Literal(text) => Some(text.as_str()),
        _ => None,
    });
    if let Some(why) = literals.clone().find_map(of_literal) {
        return Some(why);
    }
    let parts: Vec<(Part, &str)> =
        elements.iter().filter_map(|part| Some((Part::of(&part.element)?, &*part.written))).collect();
    let at = |part: Part| parts.iter().position(|(other, _)| *other == part);
    for (index, (part, written)) in parts.iter().enumerate() {
        if let Some((_, first)) = parts.iter().take(index).find(|(other, _)| other == part) {
            return Some(format!("the {} stands twice in it: `{first}` and `{written}`", part.name()));
        }
    }
    let digits = |text: &'_ str| -> Option<String> {
        let digits = text.split(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty())?;
        Some(format!("`{digits}` is not a part of Go's reference time, so it is fixed text"))
    };
    if let Some(why) = literals.clone().find_map(digits) {
        return Some(why);
    }
    let has = |part: Part| at(part).is_some();
    let day = has(Part::YearDay) || has(Part::Month) && has(Part::Day);
    let time = has(Part::Hour) && has(Part::Minute);
    if !day && !time {
        return Some("it has neither a day nor a time of day".to_owned());
    }
    for (part, before) in
        [(Part::Minute, Part::Hour), (Part::Second, Part::Minute), (Part::Fraction, Part::Second)]
    {
        match (at(part), at(before)) {
            (Some(_), None) => return Some(format!("it has a {} and no {}", part.name(), before.name())),
            (Some(here), Some(there)) if here < there => {
                return Some(format!("the {} stands before the {}", part.name(), before.name()));
            }
            _ => {}
        }
    }
    if let (Some(year), Some(month), Some(of_month)) = (at(Part::Year), at(Part::Month), at(Part::Day))
        && year < of_month
        && of_month < month
    {
        return Some("the day stands between the year and the month".to_owned());
    }
    let twelve = elements.iter().find(|part| matches!(part.element, Element::Hour12(_)));
    let half = elements.iter().any(|part| matches!(part.element, Element::Pm { .. }));
    let hour = &twelve.filter(|_| !half)?.written;
    Some(format!("`{hour}` is an hour of twelve, and the layout has no `PM`"))
}

/// The first directive of strftime: `%Y`, `%-d`, `%3N`.
fn strftime(layout: &str) -> Option<&str> {
    layout.match_indices('%').find_map(|(start, _)| {
        let rest = layout.get(start + 1..)?;
        let flags = rest.len()
            - rest.trim_start_matches(|c: char| "-_0^#:E.".contains(c) || c.is_ascii_digit()).len();
        let letter = rest.get(flags..)?.chars().next().filter(char::is_ascii_alphabetic)?;
        layout.get(start..start + 1 + flags + letter.len_utf8())
    })
}

/// Says which word of a fixed text looks like a part of a time.
fn of_literal(text: &str) -> Option<String> {
    for word in text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()) {
        if is_pattern(word) {
            return Some(format!("`{word}` is Java's way of writing, but fixed text in Go"));
        }
        let is = |name: &str| word.eq_ignore_ascii_case(name);
        let named = |names: &[&str]| names.iter().any(|name| is(name) || name.get(..3).is_some_and(is));
        let instead = match () {
            () if named(&MONTHS) => "the name of a month is written `Jan` or `January`",
            () if named(&WEEKDAYS) => "the name of a day is written `Mon` or `Monday`",
            () if is("AM") || is("PM") => "the half of the day is written `PM` or `pm`",
            () if ZONES.contains(&word) => "a zone's name is written `MST`",
            () => continue,
        };
        return Some(format!("`{word}` is fixed text in it: {instead}"));
    }
    None
}

/// Whether a word is made of Java's letters (`java.time.format.DateTimeFormatter`), each at least twice: `yyyy`, `HHmmss`,
/// `DDTHH`.
pub(super) fn is_pattern(word: &str) -> bool {
    let mut runs = 0;
    let mut rest = word.trim_matches(['T', 'Z']);
    while let Some(letter) = rest.chars().next() {
        let after = rest.trim_start_matches(letter);
        let run = rest.len() - after.len();
        if letter != 'T' && (run < 2 || !"yYMdDHhmsSfnXxE".contains(letter)) {
            return false;
        }
        runs += usize::from(letter != 'T');
        rest = after;
    }
    runs > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_that_people_use_are_without_doubt() {
        for layout in [
            "Mon Jan _2 15:04:05 2006",
            "Monday, 02-Jan-06 15:04:05 MST",
            "Mon, 02 Jan 2006 15:04:05 -0700",
            "2006-01-02T15:04:05Z07:00",
            "2006-01-02T15:04:05.999999999Z07:00",
            "2006-01-02T15:04:05Z",
            "2006-01-02 15:04:05,000",
            "2006-01-02 15:04:05.000000 UTC",
            "2006/01/02 15:04:05",
            "02/Jan/2006:15:04:05 -0700",
            "02.01.2006 15:04",
            "1/2/06, 3:04:05 PM",
            "03:04:05 pm",
            "Jan _2 15:04:05",
            "15:04:05",
            "20060102150405",
            "20060102T150405Z",
            "060102 150405",
            "2006-002 15:04:05",
            "2006-01-02 15:04:05 -0700 MST",
            "[2006-01-02 at 15h04m05s]",
            "2006-01-02",
            "2006年01月02日 15:04:05",
            "Date: 2006-01-02 Time: 15:04:05",
            "Server/INFO 15:04:05",
            "02 15:04:05",
        ] {
            assert_eq!(doubt(layout), None, "{layout}");
        }
    }

    #[test]
    fn other_layouts_are_doubted() {
        for (layout, why) in [
            ("%Y-%m-%d %H:%M:%S", "`%Y` is strftime's"),
            ("%-d.%-m.%Y", "`%-d` is strftime's"),
            ("%d/Jan/2006 15:04:05", "`%d` is strftime's"),
            ("2006-01-02 15:04:05.%3N", "`%3N` is strftime's"),
            ("yyyy-MM-dd HH:mm:ss,SSS", "`yyyy` is Java's"),
            ("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "`yyyy` is Java's"),
            ("YYYY-MM-DDTHH:mm:ss", "`YYYY` is Java's"),
            ("yyyyMMddHHmmss", "`yyyyMMddHHmmss` is Java's"),
            ("2006-01-02 HH:mm:ss", "`HH` is Java's"),
            ("2006-01-02 15:04:05.SSS", "`SSS` is Java's"),
            ("Y-m-d H:i:s", "neither a day nor a time of day"),
            ("rfc3339", "neither the name of a format nor"),
            ("ISO8601", "neither the name of a format nor"),
            ("Stamp", "neither the name of a format nor"),
            ("2021-12-23 18:40:25", "the day stands twice"),
            ("2006-01-02 15:04:00", "`00` is not a part"),
            ("2006-01-02 14:04:05", "the month stands twice"),
            ("2006-01-02T15:04:05.123Z", "the month stands twice"),
            ("2006-01-02T15:04:05+00:00", "`00` is not a part"),
            ("2006-01-02T15:04:05+01:00", "the month stands twice"),
            ("2006-01-02 15:05:04", "the second stands before the minute"),
            ("2006-02-01 15:04:05", "the day stands between the year and the month"),
            ("2006-01-02 03:04:05", "`03` is an hour of twelve"),
            ("2006-01-02 04:05", "it has a minute and no hour"),
            ("2006-01-02 03:04 AM", "`AM` is fixed text"),
            ("Dec 2 15:04:05", "`Dec` is fixed text"),
            ("Tue Jan 2 15:04:05", "`Tue` is fixed text"),
            ("mon jan 2 15:04:05", "`mon` is fixed text"),
            ("2006-01-02 15:04:05 CEST", "a zone's name is written `MST`"),
            ("2006-01", "neither a day nor a time of day"),
        ] {
            let found = doubt(layout).unwrap_or_default();
            assert!(found.contains(why), "{layout}: {found}");
        }
    }
}
