//! What stages add to the labels of an entry. A line of JSON has a few keys. An attacker writes lines with tens of thousands.

use std::collections::HashMap;

/// Names that are looked for one after the other (count); more are looked up.
const LINEAR_MAX: usize = 32;

/// A label that stages have added, or that has come as structured metadata.
pub(super) struct Label {
    pub(super) name: String,
    pub(super) value: String,
    /// By a stage; else it is structured metadata.
    pub(super) parsed: bool,
    /// A stage has taken it away again.
    gone: bool,
    /// A stage has set it once: parsers have nothing to do for it any more.
    extracted: bool,
}

/// Labels by name.
#[derive(Default)]
pub(super) struct Added {
    labels: Vec<Label>,
    /// Where the names are, once there are many.
    places: HashMap<String, usize>,
}

impl Added {
    fn place(&self, name: &str) -> Option<usize> {
        match self.labels.len() > LINEAR_MAX {
            true => self.places.get(name).copied(),
            false => self.labels.iter().position(|label| label.name == name),
        }
    }

    fn find(&self, name: &str) -> Option<&Label> {
        self.labels.get(self.place(name)?)
    }

    /// The label of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Label> {
        self.find(name).filter(|label| !label.gone)
    }

    /// All labels.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Label> + Clone {
        self.labels.iter().filter(|label| !label.gone)
    }

    /// All labels by name: so they come into a set at its end.
    pub(super) fn sorted(&self) -> Vec<&Label> {
        let mut labels: Vec<&Label> = self.iter().collect();
        labels.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        labels
    }

    /// Whether a stage has ever set a label of this name.
    pub(super) fn was_extracted(&self, name: &str) -> bool {
        self.find(name).is_some_and(|label| label.extracted)
    }

    /// Adds a label, or replaces its value. Structured metadata does not replace what a stage has set.
    pub(super) fn insert(&mut self, name: &str, value: String, parsed: bool) {
        let Some(label) = self.place(name).and_then(|at| self.labels.get_mut(at)) else {
            self.push(name, value, parsed);
            return;
        };
        if label.gone || parsed || !label.parsed {
            (label.value, label.parsed, label.gone) = (value, parsed, false);
        }
        label.extracted |= parsed;
    }

    fn push(&mut self, name: &str, value: String, parsed: bool) {
        let at = self.labels.len();
        self.labels.push(Label { name: name.to_owned(), value, parsed, gone: false, extracted: parsed });
        if at == LINEAR_MAX {
            let places = self.labels.iter().enumerate().map(|(at, label)| (label.name.clone(), at));
            self.places = places.collect();
        } else if at > LINEAR_MAX {
            self.places.insert(name.to_owned(), at);
        }
    }

    /// Takes a label away.
    pub(super) fn remove(&mut self, name: &str) {
        if let Some(label) = self.place(name).and_then(|at| self.labels.get_mut(at)) {
            label.gone = true;
            label.value = String::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// It does what a map does, however many there are.
        #[test]
        fn labels_are_a_map(steps in prop::collection::vec((0..60_u8, 0..9_u8), 0..200)) {
            let (mut added, mut map) = (Added::default(), BTreeMap::new());
            let mut extracted = [false; 60];
            for (step, (number, what)) in steps.into_iter().enumerate() {
                let name = format!("n{number:02}");
                match what {
                    0 => {
                        added.remove(&name);
                        map.remove(&name);
                    }
                    1 => {
                        added.insert(&name, step.to_string(), false);
                        let held = map.entry(name.clone()).or_insert_with(|| (step.to_string(), false));
                        if !held.1 {
                            *held = (step.to_string(), false);
                        }
                    }
                    _ => {
                        added.insert(&name, step.to_string(), true);
                        map.insert(name.clone(), (step.to_string(), true));
                        extracted[usize::from(number)] = true;
                    }
                }
                prop_assert_eq!(added.get(&name).map(|label| label.value.as_str()), map.get(&name).map(|held| held.0.as_str()));
                prop_assert_eq!(added.was_extracted(&name), extracted[usize::from(number)]);
            }
            let all = added.sorted().into_iter().map(|label| (label.name.clone(), (label.value.clone(), label.parsed)));
            prop_assert!(all.eq(map));
        }
    }
}
