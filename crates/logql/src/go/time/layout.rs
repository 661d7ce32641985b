//! Layouts, taken apart into their elements.

/// The months by their English names, January first.
pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// An element of a layout. A number with it is the least count of its digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Element {
    Literal(String),
    LongMonth,
    Month,
    NumMonth(usize),
    LongWeekday,
    Weekday,
    Day(usize),
    /// `_2`: a space may stand for the leading zero.
    UnderDay,
    YearDay,
    UnderYearDay,
    /// `15`; a time may have one digit.
    Hour24,
    Hour12(usize),
    Minute(usize),
    Second(usize),
    LongYear,
    Year,
    /// `PM` if `upper`, else `pm`; a time is read only in the same letters.
    Pm {
        upper: bool,
    },
    ZoneName,
    /// `Z07:00`, `-0700`
    Zone(ZoneForm),
    /// `.000` or `,000`: exactly so many digits. `.999`: any number of digits, also none.
    Fraction {
        digits: usize,
        exact: bool,
    },
}

/// How an offset from UTC is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ZoneForm {
    /// The letter `Z` stands for UTC.
    pub(super) z: bool,
    /// Colons separate hours, minutes and seconds.
    pub(super) colon: bool,
    /// The offset has seconds.
    pub(super) seconds: bool,
    /// The offset has hours only.
    pub(super) short: bool,
}

/// An element, and the text that stands for it in the layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) element: Element,
    pub(super) written: Box<str>,
}

/// A layout, ready to read times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    pub(super) parts: Vec<Part>,
}

impl Layout {
    /// Reads a layout. Every text is a layout.
    pub fn new(layout: &str) -> Layout {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = layout;
        let end = |literal: &mut String, parts: &mut Vec<Part>| {
            if !literal.is_empty() {
                let text = std::mem::take(literal);
                parts.push(Part { element: Element::Literal(text.clone()), written: text.into() });
            }
        };
        while let Some(c) = rest.chars().next() {
            let len = match element(rest) {
                Some((element, len)) => {
                    end(&mut literal, &mut parts);
                    parts.push(Part { element, written: rest.get(..len).unwrap_or_default().into() });
                    len
                }
                None => {
                    literal.push(c);
                    c.len_utf8()
                }
            };
            rest = rest.get(len..).unwrap_or_default();
        }
        end(&mut literal, &mut parts);
        Layout { parts }
    }

    /// Whether the first element from `index` on that is not a literal is a fraction of a second.
    pub(super) fn has_fraction_next(&self, index: usize) -> bool {
        let mut rest = self.parts.iter().skip(index).map(|part| &part.element);
        let next = rest.find(|element| !matches!(element, Element::Literal(_)));
        matches!(next, Some(Element::Fraction { .. }))
    }
}

/// The element that a layout begins with, and its length (bytes).
fn element(layout: &str) -> Option<(Element, usize)> {
    use Element::*;
    if let Some(inner) = layout.strip_prefix(['.', ',']) {
        let digit = inner.chars().next().filter(|c| matches!(c, '0' | '9'))?;
        let digits = inner.chars().take_while(|c| *c == digit).count();
        // `.000` is a fraction only where no further digit follows.
        let follows = inner.get(digits..).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        return (!follows).then_some((Fraction { digits, exact: digit == '0' }, digits + 1));
    }
    // The underscore before a year is a literal.
    if layout.starts_with("_2006") {
        return None;
    }
    let zone = |z, colon, seconds, short| Zone(ZoneForm { z, colon, seconds, short });
    let table = [
        ("January", LongMonth),
        ("Jan", Month),
        ("Monday", LongWeekday),
        ("Mon", Weekday),
        ("MST", ZoneName),
        ("2006", LongYear),
        ("002", YearDay),
        ("__2", UnderYearDay),
        ("_2", UnderDay),
        ("01", NumMonth(2)),
        ("02", Day(2)),
        ("03", Hour12(2)),
        ("04", Minute(2)),
        ("05", Second(2)),
        ("06", Year),
        ("15", Hour24),
        ("PM", Pm { upper: true }),
        ("pm", Pm { upper: false }),
        ("-07:00:00", zone(false, true, true, false)),
        ("-070000", zone(false, false, true, false)),
        ("-07:00", zone(false, true, false, false)),
        ("-0700", zone(false, false, false, false)),
        ("-07", zone(false, false, false, true)),
        ("Z07:00:00", zone(true, true, true, false)),
        ("Z070000", zone(true, false, true, false)),
        ("Z07:00", zone(true, true, false, false)),
        ("Z0700", zone(true, false, false, false)),
        ("Z07", zone(true, false, false, true)),
        ("1", NumMonth(1)),
        ("2", Day(1)),
        ("3", Hour12(1)),
        ("4", Minute(1)),
        ("5", Second(1)),
    ];
    let (text, element) = table.into_iter().find(|(text, _)| layout.starts_with(text))?;
    // "Janet" is not a month, and "Monet" is not a day.
    let word = matches!(element, Month | Weekday);
    let follows = layout.get(text.len()..).and_then(|rest| rest.chars().next());
    let goes_on = word && follows.is_some_and(|c| c.is_ascii_lowercase());
    (!goes_on).then_some((element, text.len()))
}
