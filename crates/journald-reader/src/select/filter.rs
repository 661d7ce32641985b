//! The filter: which entries are wanted, told by the DATA objects that they name.
//!
//! Within a file, equal offsets are equal `FIELD=value`. So the place of each wanted value is looked up once in the file's
//! hash table. From then on an entry is tested by comparing numbers, and no field of it is read. A value that no entry had
//! yet is looked up again when values have come.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::lookup::{self, Data};
use crate::bytes::{Bytes, hashing};
use crate::format::fault::Fault;
use crate::scope::Match;

/// DATA objects of one file whose answer is remembered when they have to be read to be compared (count).
const COMPARED_MAX: usize = 64 << 10;
/// So few places are each looked for among the items of an entry (count); of more, each item is looked for among the places.
const PLACES_FEW: usize = 4;

/// What is wanted, in any file.
#[derive(Debug)]
pub(crate) struct Filter {
    /// Each `FIELD=value` once.
    terms: Vec<Vec<u8>>,
    /// Any of the matches, all of its fields, any of the field's terms.
    matches: Vec<Vec<Vec<usize>>>,
}

impl Filter {
    /// `None` when everything is wanted.
    pub(crate) fn new(matches: &[Match]) -> Option<Arc<Filter>> {
        let term = |field: &str, value: &str| [field.as_bytes(), b"=", value.as_bytes()].concat();
        let all = matches.iter().flatten().flat_map(|(field, values)| values.iter().map(move |v| (field, v)));
        let distinct: BTreeSet<Vec<u8>> = all.map(|(field, value)| term(field, value)).collect();
        let terms: Vec<Vec<u8>> = distinct.into_iter().collect();
        let number = |field: &str, value: &str| terms.binary_search(&term(field, value)).ok();
        let one = |one: &Match| {
            one.iter()
                .map(|(field, values)| values.iter().filter_map(|v| number(field, v)).collect())
                .collect()
        };
        let matches: Vec<_> = matches.iter().map(one).collect();
        (!matches.is_empty()).then(|| Arc::new(Filter { terms, matches }))
    }

    /// Whether an entry with these terms is wanted.
    fn accepts(&self, has: &[bool]) -> bool {
        let has = |term: &usize| has.get(*term).copied().unwrap_or(false);
        self.matches.iter().any(|all| all.iter().all(|any| any.iter().any(has)))
    }

    /// Terms such that every wanted entry has at least one of them: of each match, the terms of the field that costs least.
    /// Returns the cost first.
    fn cheapest(&self, cost: impl Fn(usize) -> u64) -> (u64, Vec<usize>) {
        let sum = |any: &&Vec<usize>| any.iter().map(|t| cost(*t)).fold(0, u64::saturating_add);
        let fields = self.matches.iter().filter_map(|all| all.iter().min_by_key(sum));
        let terms: BTreeSet<usize> = fields.flatten().copied().collect();
        (terms.iter().map(|t| cost(*t)).fold(0, u64::saturating_add), terms.into_iter().collect())
    }
}

/// A filter in one file.
#[derive(Debug)]
pub(crate) struct Wanted {
    filter: Arc<Filter>,
    /// The DATA object of each term, where it has one.
    found: Vec<Option<Data>>,
    /// Their offsets, in order, and the terms.
    places: Vec<(u64, usize)>,
    /// Values in the file when they were looked for.
    asked: Option<u64>,
    /// The hash table cannot be trusted: what DATA objects were found to be when they were read and compared.
    compared: Option<HashMap<u64, Option<usize>>>,
    /// Which terms the entry at hand has, and whether it has any.
    has: Vec<bool>,
    has_any: bool,
}

impl Wanted {
    pub(crate) fn new(filter: Arc<Filter>) -> Wanted {
        let count = filter.terms.len();
        Wanted {
            filter,
            found: vec![None; count],
            places: Vec::new(),
            asked: None,
            compared: None,
            has: vec![false; count],
            has_any: false,
        }
    }

    /// Asks the hash table for the values that are looked for and were not there yet. `items`: where the DATA objects of
    /// the entry at hand stand.
    pub(crate) fn look_up(&mut self, bytes: &mut Bytes, items: &[u64]) -> Result<(), Fault> {
        let values = bytes.header().values();
        let mut answers = Vec::new();
        for (term, payload) in self.unanswered(values) {
            let found = match lookup::find_data(bytes, &payload) {
                // With a wrong key nothing would be found.
                Ok(None) if hashing::settle(bytes, items) => lookup::find_data(bytes, &payload),
                found => found,
            };
            match found {
                Ok(found) => answers.push((term, found)),
                // The hash table is damaged: from now on DATA objects are read and compared.
                Err(Fault::Damaged { .. }) => drop(self.compared.get_or_insert_default()),
                Err(fault) => return Err(fault),
            }
        }
        self.answer(values, answers);
        Ok(())
    }

    /// Whether an entry of these DATA objects is wanted.
    pub(crate) fn wants(&mut self, bytes: &mut Bytes, items: &[u64]) -> bool {
        self.test(items, |offset, terms| {
            bytes.check_place(offset, bytes.header().data_payload() as u64).ok()?;
            // A damaged object holds none of them.
            terms.iter().position(|term| lookup::holds(bytes, offset, term).unwrap_or(false))
        })
    }

    /// The terms to look for in a file that holds so many values now (any two numbers differ when values have come).
    fn unanswered(&self, values: u64) -> Vec<(usize, Vec<u8>)> {
        if self.asked == Some(values) || self.compared.is_some() {
            return Vec::new();
        }
        let terms = self.filter.terms.iter().zip(&self.found).enumerate();
        terms.filter(|(_, (_, found))| found.is_none()).map(|(n, (term, _))| (n, term.clone())).collect()
    }

    /// Takes what the hash table says of the terms asked for.
    fn answer(&mut self, values: u64, answers: Vec<(usize, Option<Data>)>) {
        self.asked = Some(values);
        for (term, data) in answers {
            if let (Some(found), Some(data)) = (self.found.get_mut(term), data) {
                *found = Some(data);
                self.places.push((data.offset, term));
            }
        }
        self.places.sort_unstable();
    }

    /// Whether an entry of any of [`Wanted::candidates`] is wanted: nothing else is asked of it.
    pub(crate) fn is_of_one_field(&self) -> bool {
        self.filter.matches.iter().all(|all| all.len() == 1)
    }

    /// The DATA objects whose entries are all that can be wanted, and how many these are at most; `None` when that cannot
    /// be known.
    pub(crate) fn candidates(&self) -> Option<(u64, Vec<Data>)> {
        if self.compared.is_some() || self.asked.is_none() {
            return None;
        }
        let data = |term: usize| self.found.get(term).copied().flatten();
        let (cost, terms) = self.filter.cheapest(|term| data(term).map_or(0, |data| data.entries));
        Some((cost, terms.into_iter().filter_map(data).collect()))
    }

    /// Whether an entry of these DATA objects is wanted. `compare` reads an object and says which of the terms it is.
    fn test(&mut self, items: &[u64], mut compare: impl FnMut(u64, &[Vec<u8>]) -> Option<usize>) -> bool {
        let Wanted { filter, places, compared, has, has_any, .. } = self;
        // Most entries have none, and filling nothing takes as long as everything else here.
        if std::mem::take(has_any) {
            has.fill(false);
        }
        let mut mark = |term: usize| {
            if let Some(has) = has.get_mut(term) {
                (*has, *has_any) = (true, true);
            }
        };
        match compared {
            None if places.len() <= PLACES_FEW => {
                places.iter().filter(|(offset, _)| items.contains(offset)).for_each(|(_, term)| mark(*term));
            }
            None => {
                let place = |item| places.binary_search_by_key(item, |(offset, _)| *offset).ok();
                let found = items.iter().filter_map(|item| places.get(place(item)?));
                found.for_each(|(_, term)| mark(*term));
            }
            Some(compared) => {
                for item in items {
                    if compared.len() >= COMPARED_MAX {
                        compared.clear();
                    }
                    let term = compared.entry(*item).or_insert_with(|| compare(*item, &filter.terms));
                    term.iter().for_each(|term| mark(*term));
                }
            }
        }
        filter.accepts(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Match {
        let mut one = Match::new();
        for term in text.split_whitespace() {
            let (field, value) = term.split_once('=').unwrap();
            one.entry(field.into()).or_default().push(value.into());
        }
        one
    }

    #[test]
    fn any_match_all_fields_any_value() {
        assert!(Filter::new(&[]).is_none());
        let matches = [of("A=1 A=2 B=3"), of("C=4")];
        let filter = Filter::new(&matches).unwrap();
        let names: Vec<&[u8]> = filter.terms.iter().map(Vec::as_slice).collect();
        assert_eq!(names, [b"A=1", b"A=2", b"B=3", b"C=4"]);
        for (entry, wanted) in [
            ("", false),
            ("A=1", false),
            ("A=1 B=3", true),
            ("A=2 B=3", true),
            ("A=1 A=2", false),
            ("A=3 B=3", false),
            ("C=4", true),
            ("A=9 C=5 C=4", true),
            ("B=3 C=5", false),
        ] {
            let has: Vec<bool> =
                names.iter().map(|t| entry.split(' ').any(|field| field.as_bytes() == *t)).collect();
            assert_eq!(filter.accepts(&has), wanted, "{entry}");
        }
    }

    #[test]
    fn the_field_with_the_fewest_entries_leads_to_the_others() {
        let filter = Filter::new(&[of("A=1 A=2 B=3"), of("C=4 D=5"), of("A=1")]).unwrap();
        // A=1, A=2, B=3, C=4, D=5
        for (costs, cost, terms) in [
            ([10, 10, 25, 7, 8], 27, vec![0, 1, 3]),
            ([10, 10, 5, 9, 8], 23, vec![0, 2, 4]),
            ([0, 0, 5, 0, 8], 0, vec![0, 1, 3]),
            ([u64::MAX, 1, u64::MAX, 0, 0], u64::MAX, vec![0, 1, 3]),
        ] {
            assert_eq!(filter.cheapest(|term| costs[term]), (cost, terms));
        }
    }
}
