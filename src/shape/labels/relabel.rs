//! Relabelling: the rules of Prometheus, applied to the labels and the journal fields of an entry.
//!
//! A field has the name that Promtail gives it: `__journal_` and its name in small letters. `PRIORITY` also exists as a
//! keyword. Names that begin with `__` are for the rules only, and are removed afterwards. Rules do what they do in Prometheus
//! (prometheus/prometheus, `model/relabel/relabel.go`), with one difference: if a replacement makes an invalid name, the name
//! is made valid and not refused.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use md5::{Digest, Md5};

use super::priority_keyword;
use super::rules::{Relabel, RelabelAction as Action};
use crate::shape::explain::{Names, changes};
use crate::shape::limits::LINE_MAX;
use journald_reader::Entry;
use journald_reader::{Key, Keys};
use logql::go::re2;
use logql::label_set::{LabelSet, cut, lossy};

/// The beginning of the name of a journal field among labels.
const PREFIX: &str = "__journal_";
/// The field that also exists as a keyword, and the name of the keyword.
const PRIORITY: (&str, &str) = ("PRIORITY", "__journal_priority_keyword");
/// The beginning of names that only rules see.
const INTERNAL: &str = "__";
/// The longest text that a rule makes (bytes): as long as the longest field that is read. It stops rules that double a text
/// again and again.
const TEXT_MAX: usize = LINE_MAX;

/// The rules, and the journal fields that they need.
pub(super) struct Relabeler {
    rules: Arc<[Relabel]>,
    keys: Vec<(Key, String)>,
    maps: bool,
    /// Which rules have met anything, if a configuration is tried.
    met: Option<RefCell<Vec<bool>>>,
}

impl Relabeler {
    /// Adds the fields that rules name to `keys`. A `labelmap` can make a label of any field; then the reader is asked for the
    /// fields whose value can reach a label or a decision.
    pub(super) fn new(rules: &[Relabel], keys: &mut Keys) -> Relabeler {
        let rules: Arc<[Relabel]> = rules.into();
        let mut fields: Vec<String> = rules.iter().flat_map(reads).filter_map(field_of).collect();
        fields.sort();
        fields.dedup();
        let named = fields.iter().map(|field| (keys.add(field), field.clone())).collect();
        let maps = rules.iter().any(|rule| matches!(rule.action, Action::LabelMap { .. }));
        if maps {
            let rules = rules.clone();
            keys.add_matching(Arc::new(move |name| {
                let name = lossy(name);
                fields.iter().all(|field| *field != name) && matters(&rules, &name)
            }));
        }
        Relabeler { rules, keys: named, maps, met: None }
    }

    /// The fields that the result depends on, without those that only [`Entry::matching`] gives.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        self.keys.iter().map(|(key, _)| *key)
    }

    /// Whether the result also depends on [`Entry::matching`].
    pub(super) fn maps(&self) -> bool {
        self.maps
    }

    /// The labels of an entry after all rules, or the number of the rule that drops it.
    pub(super) fn run(&self, entry: &Entry<'_>, so_far: &LabelSet) -> Result<LabelSet, usize> {
        let mut labels = self.begin(entry, so_far);
        match &self.met {
            None => labels.apply(&self.rules)?,
            Some(met) => {
                for (index, rule) in self.rules.iter().enumerate() {
                    if let Some(met) = met.borrow_mut().get_mut(index) {
                        *met |= labels.meets(rule);
                    }
                    if !labels.apply_one(rule) {
                        return Err(index);
                    }
                }
            }
        }
        Ok(labels.into_set())
    }

    /// The same, and says what each rule changes. If one drops the entry, which comes back too, the labels
    /// are those that came to it.
    pub(super) fn explain(
        &self,
        entry: &Entry<'_>,
        so_far: &LabelSet,
        steps: &mut Vec<String>,
    ) -> (LabelSet, bool) {
        let mut labels = self.begin(entry, so_far);
        for (index, rule) in self.rules.iter().enumerate() {
            let before = labels.clone();
            if !labels.apply_one(rule) {
                steps.push(format!("labels.relabel_configs[{index}]: dropped"));
                return (before.into_set(), true);
            }
            let changes = changes(&before.names(), &labels.names());
            steps.extend(changes.iter().map(|change| format!("labels.relabel_configs[{index}]: {change}")));
        }
        (labels.into_set(), false)
    }

    /// The labels before the first rule: those that an entry has so far, and its fields.
    fn begin<'a>(&'a self, entry: &'a Entry<'a>, so_far: &'a LabelSet) -> Labels<'a> {
        let mut labels = Labels::default();
        for (name, value) in so_far.iter() {
            labels.begin(name, value.into());
        }
        for (key, field) in &self.keys {
            if let Some(value) = entry.value(*key) {
                labels.begin_field(field, value);
            }
        }
        if self.maps {
            for (name, value) in entry.matching() {
                labels.begin_field(&lossy(name), value);
            }
        }
        labels
    }

    /// From now on, remembers which rules meet anything.
    pub(super) fn watch(&mut self) {
        self.met = Some(RefCell::new(vec![false; self.rules.len()]));
    }

    /// For each rule, whether it has met anything since then.
    pub(super) fn met(&self) -> Vec<bool> {
        self.met.as_ref().map(|met| met.borrow().clone()).unwrap_or_default()
    }
}

/// The labels that a rule reads.
fn reads(rule: &Relabel) -> impl Iterator<Item = &str> {
    let target = match &rule.action {
        Action::KeepEqual { target } | Action::DropEqual { target } => Some(target),
        _ => None,
    };
    rule.source_labels.iter().chain(target).map(String::as_str)
}

/// The journal field with this name among labels. Its letters are capitals.
fn field_of(label: &str) -> Option<String> {
    if label == PRIORITY.1 {
        return Some(PRIORITY.0.to_owned());
    }
    let field = label.strip_prefix(PREFIX).filter(|field| !field.is_empty())?;
    (!field.contains(|c: char| c.is_ascii_uppercase())).then(|| field.to_ascii_uppercase())
}

/// The names of a journal field among labels.
fn names_of(field: &str) -> impl Iterator<Item = String> {
    let keyword = (field == PRIORITY.0).then(|| PRIORITY.1.to_owned());
    [format!("{PREFIX}{}", field.to_ascii_lowercase())].into_iter().chain(keyword)
}

/// Whether the value of a field can make a difference: a rule reads it, perhaps under a name that `labelmap` gives it, or it
/// becomes a label.
fn matters(rules: &[Relabel], field: &str) -> bool {
    let mut names: Vec<String> = names_of(field).collect();
    for rule in rules {
        if reads(rule).any(|read| names.iter().any(|name| name == read)) {
            return true;
        }
        match &rule.action {
            Action::LabelMap { regex, replacement } => {
                let mapped: Vec<String> = names
                    .iter()
                    .filter_map(|name| Some(re2::expand(&regex.captures(name)?, replacement)))
                    .filter(|name| !names.contains(name))
                    .collect();
                names.extend(mapped);
            }
            Action::LabelDrop { regex } => names.retain(|name| !regex.is_match(name)),
            Action::LabelKeep { regex } => names.retain(|name| regex.is_match(name)),
            _ => {}
        }
    }
    names.iter().any(|name| !name.starts_with(INTERNAL))
}

/// Labels while rules are applied to them.
///
/// `labelmap` goes through them in the order of Prometheus's `labels.Builder`: first the labels from the beginning that no
/// rule has set, by name; then the others in the order in which they were first set. The order matters if two labels are
/// mapped to one.
#[derive(Debug, Default, Clone)]
struct Labels<'a> {
    /// By name: the number of the first change by a rule (0: no rule has set it), and the value.
    labels: BTreeMap<Cow<'a, str>, (u32, Cow<'a, str>)>,
    set: u32,
}

impl<'a> Labels<'a> {
    /// Adds a label before the first rule. If the name exists already, the first value stays.
    fn begin(&mut self, name: impl Into<Cow<'a, str>>, value: Cow<'a, str>) {
        if !value.is_empty() {
            self.labels.entry(name.into()).or_insert((0, value));
        }
    }

    fn begin_field(&mut self, field: &str, value: &'a [u8]) {
        if let Some(keyword) = (field == PRIORITY.0).then(|| priority_keyword(value)).flatten() {
            self.begin(PRIORITY.1, keyword.into());
        }
        self.begin(format!("{PREFIX}{}", field.to_ascii_lowercase()), lossy(value));
    }

    /// All of them, by name.
    fn names(&self) -> Names<'_> {
        self.labels.iter().map(|(name, (_, value))| (&**name, &**value)).collect()
    }

    fn get(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", |(_, value)| value)
    }

    /// Sets a label. An empty value removes it.
    fn set(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) {
        if value.is_empty() {
            self.labels.remove(&name);
            return;
        }
        let label = self.labels.entry(name).or_default();
        if label.0 == 0 {
            self.set += 1;
            label.0 = self.set;
        }
        label.1 = cut(value, TEXT_MAX);
    }

    /// Applies rules. The error is the number of the rule that drops the entry.
    fn apply(&mut self, rules: &'a [Relabel]) -> Result<(), usize> {
        match rules.iter().position(|rule| !self.apply_one(rule)) {
            Some(rule) => Err(rule),
            None => Ok(()),
        }
    }

    /// Applies a rule. `false`: it drops the entry.
    fn apply_one(&mut self, rule: &'a Relabel) -> bool {
        match &rule.action {
            Action::Replace { regex, target, replacement } => {
                let source = self.source(rule);
                let Some(captures) = regex.captures(&source) else { return true };
                let name = re2::expand(&captures, target);
                // Without a name, no label is set.
                if !name.is_empty() {
                    let value = re2::expand(&captures, replacement);
                    self.set(name.into(), value.into());
                }
            }
            Action::Keep { regex } => return regex.is_match(&self.source(rule)),
            Action::Drop { regex } => return !regex.is_match(&self.source(rule)),
            Action::KeepEqual { target } => return self.get(target) == self.source(rule),
            Action::DropEqual { target } => return self.get(target) != self.source(rule),
            Action::Lowercase { target } => {
                let value: String = self.source(rule).chars().map(|c| single(c.to_lowercase(), c)).collect();
                self.set(target.into(), value.into());
            }
            Action::Uppercase { target } => {
                let value: String = self.source(rule).chars().map(|c| single(c.to_uppercase(), c)).collect();
                self.set(target.into(), value.into());
            }
            Action::HashMod { target, modulus } => {
                let digest = Md5::digest(self.source(rule).as_bytes());
                let hash = digest.iter().skip(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte));
                self.set(target.into(), (hash % modulus).to_string().into());
            }
            Action::LabelMap { regex, replacement } => {
                let mut given: Vec<_> = self.labels.iter().filter(|(name, _)| regex.is_match(name)).collect();
                given.sort_by_key(|(_, (order, _))| *order);
                let mapped: Vec<_> = given
                    .into_iter()
                    .filter_map(|(name, (_, value))| {
                        Some((re2::expand(&regex.captures(name)?, replacement), value.clone()))
                    })
                    .collect();
                for (name, value) in mapped {
                    self.set(name.into(), value);
                }
            }
            Action::LabelDrop { regex } => self.labels.retain(|name, _| !regex.is_match(name)),
            Action::LabelKeep { regex } => self.labels.retain(|name, _| regex.is_match(name)),
        }
        true
    }

    /// Whether a rule meets these labels: its expression matches its source, or the name of a label.
    fn meets(&self, rule: &Relabel) -> bool {
        match &rule.action {
            Action::Replace { regex, .. } | Action::Keep { regex } | Action::Drop { regex } => {
                regex.is_match(&self.source(rule))
            }
            Action::LabelMap { regex, .. } | Action::LabelDrop { regex } | Action::LabelKeep { regex } => {
                self.labels.keys().any(|name| regex.is_match(name))
            }
            Action::KeepEqual { target } | Action::DropEqual { target } => {
                self.get(target) == self.source(rule)
            }
            Action::HashMod { .. } => true,
            Action::Lowercase { .. } | Action::Uppercase { .. } => !self.source(rule).is_empty(),
        }
    }

    /// The values of the source labels, joined.
    fn source(&self, rule: &Relabel) -> Cow<'_, str> {
        match rule.source_labels.as_slice() {
            [] => Cow::Borrowed(""),
            [one] => Cow::Borrowed(self.get(one)),
            several => {
                let values: Vec<&str> = several.iter().map(|name| self.get(name)).collect();
                Cow::Owned(values.join(&rule.separator))
            }
        }
    }

    /// The labels for Loki.
    fn into_set(self) -> LabelSet {
        let mut set = LabelSet::default();
        for (name, (_, value)) in &self.labels {
            if !name.starts_with(INTERNAL) {
                set.insert(name, value.as_bytes());
            }
        }
        set
    }
}

/// A letter in the other case, if that is a single letter. Go's `strings.ToLower` and `ToUpper` change no other letters.
fn single(mut mapped: impl ExactSizeIterator<Item = char>, letter: char) -> char {
    if mapped.len() == 1 { mapped.next().unwrap_or(letter) } else { letter }
}

#[cfg(test)]
mod tests;
