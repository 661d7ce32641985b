//! Relabelling: Prometheus's rules, run over an entry's labels and its journal fields.
//!
//! A field is seen under the name that Promtail gives it: `__journal_` and its name in small letters; its
//! `PRIORITY` also as a keyword. Names that begin with `__` are only for the rules, they are gone afterwards.
//! What a rule does is what Prometheus does (prometheus/prometheus, `model/relabel/relabel.go`), but that
//! a name which only the replacement of a text can give is made valid in the end, not refused.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use md5::{Digest, Md5};

use super::priority_keyword;
use super::rules::{Relabel, RelabelAction as Action};
use crate::shape::limits::LINE_MAX;
use journald_reader::Entry;
use journald_reader::{Key, Keys};
use logql::go::re2;
use logql::label_set::{LabelSet, cut, lossy};

/// How a journal field's name begins among labels.
const PREFIX: &str = "__journal_";
/// The field that is there as a keyword too, and the name of that.
const PRIORITY: (&str, &str) = ("PRIORITY", "__journal_priority_keyword");
/// How names begin that only rules see.
const INTERNAL: &str = "__";
/// Longest text that a rule makes (bytes): as long as the longest field that is read. A rule that puts its
/// source twice into its target, over and over, ends there.
const TEXT_MAX: usize = LINE_MAX;

/// The rules, and the journal fields that they need.
pub(super) struct Relabeler {
    rules: Arc<[Relabel]>,
    keys: Vec<(Key, String)>,
    maps: bool,
    /// When a configuration is tried: which rules have met anything.
    met: Option<RefCell<Vec<bool>>>,
}

impl Relabeler {
    /// Registers the fields that rules name with the reader. A `labelmap` can make a label of any field: then
    /// the reader is asked for those whose value can reach a label or a decision.
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

    /// The fields whose values the result depends on, without those that only [`Entry::matching`] has.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        self.keys.iter().map(|(key, _)| *key)
    }

    /// Whether the result depends on [`Entry::matching`] too.
    pub(super) fn maps(&self) -> bool {
        self.maps
    }

    /// The labels of an entry after all rules, or the number of the rule that drops it.
    pub(super) fn run(&self, entry: &Entry<'_>, so_far: &LabelSet) -> Result<LabelSet, usize> {
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

    /// From now on remembers which rules meet anything.
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

/// The journal field that has this name among labels; journald knows capital letters only.
fn field_of(label: &str) -> Option<String> {
    if label == PRIORITY.1 {
        return Some(PRIORITY.0.to_owned());
    }
    let field = label.strip_prefix(PREFIX).filter(|field| !field.is_empty())?;
    (!field.contains(|c: char| c.is_ascii_uppercase())).then(|| field.to_ascii_uppercase())
}

/// The names that a journal field has among labels.
fn names_of(field: &str) -> impl Iterator<Item = String> {
    let keyword = (field == PRIORITY.0).then(|| PRIORITY.1.to_owned());
    [format!("{PREFIX}{}", field.to_ascii_lowercase())].into_iter().chain(keyword)
}

/// Whether the value of a field can make a difference: some rule reads it, under any name that `labelmap`
/// gives it on the way, or it ends as a label.
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
/// `labelmap` goes through them in the order that Prometheus's `labels.Builder` has: first those from the
/// beginning that no rule has set, by name, then the others as they were first set. It matters when two
/// labels are mapped to one.
#[derive(Debug, Default)]
struct Labels<'a> {
    /// Name -> when it was set by a rule (0: from the beginning), and the value.
    labels: BTreeMap<Cow<'a, str>, (u32, Cow<'a, str>)>,
    set: u32,
}

impl<'a> Labels<'a> {
    /// Adds what is there before the first rule; the first of a name stays.
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

    fn get(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", |(_, value)| value)
    }

    /// An empty value removes the label.
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

    /// Applies rules; the number of the rule that drops the entry, if one does.
    fn apply(&mut self, rules: &'a [Relabel]) -> Result<(), usize> {
        match rules.iter().position(|rule| !self.apply_one(rule)) {
            Some(rule) => Err(rule),
            None => Ok(()),
        }
    }

    /// Applies a rule; false if it drops the entry.
    fn apply_one(&mut self, rule: &'a Relabel) -> bool {
        match &rule.action {
            Action::Replace { regex, target, replacement } => {
                let source = self.source(rule);
                let Some(captures) = regex.captures(&source) else { return true };
                let name = re2::expand(&captures, target);
                // Without a name there is no label to set.
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

    /// Whether a rule is about these labels: its expression matches its source, or the name of a label.
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

    /// What is left for Loki.
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

/// A letter in the other case if that is one letter too: Go's `strings.ToLower` and `ToUpper` know no others.
fn single(mut mapped: impl ExactSizeIterator<Item = char>, letter: char) -> char {
    if mapped.len() == 1 { mapped.next().unwrap_or(letter) } else { letter }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn rules(yaml: &str) -> Vec<Relabel> {
        let source = format!("labels: {{relabel_configs: [{yaml}]}}");
        Config::parse(&source, "f", &|_| None).unwrap_or_else(|error| panic!("{error}")).labels.relabel
    }

    /// The labels of `{unit="u.service", job="j"}` and some journal fields after rules, as text.
    fn relabel(yaml: &str, fields: &[(&str, &str)]) -> Result<String, usize> {
        let rules = rules(yaml);
        let mut labels = Labels::default();
        labels.begin("unit", "u.service".into());
        labels.begin("job", "j".into());
        for (name, value) in fields {
            labels.begin_field(name, value.as_bytes());
        }
        labels.apply(&rules)?;
        Ok(labels.into_set().to_string())
    }

    #[test]
    #[allow(clippy::too_many_lines, reason = "one table of rules and what they make of one label set")]
    fn each_action_does_what_it_does_in_prometheus() {
        let fields = [("PRIORITY", "3"), ("_HOSTNAME", "Web"), ("_PID", "42"), ("EMPTY", "")];
        let ok = |labels: &str| Ok(format!("{{{labels}}}"));
        for (yaml, expected) in [
            ("", ok(r#"job="j", unit="u.service""#)),
            // replace
            (
                "{source_labels: [unit], regex: '(.+)\\.service', target_label: u}",
                ok(r#"job="j", u="u", unit="u.service""#),
            ),
            (
                "{source_labels: [unit], regex: 'u', target_label: unit, replacement: x}",
                ok(r#"job="j", unit="u.service""#),
            ),
            ("{source_labels: [none], target_label: unit}", ok(r#"job="j""#)),
            ("{source_labels: [none], regex: (.+), target_label: unit}", ok(r#"job="j", unit="u.service""#)),
            ("{target_label: new, replacement: v}", ok(r#"job="j", new="v", unit="u.service""#)),
            ("{source_labels: [job], target_label: job, replacement: ''}", ok(r#"unit="u.service""#)),
            (
                "{source_labels: [job, none, unit], separator: '-', target_label: job}",
                ok(r#"job="j--u.service", unit="u.service""#),
            ),
            (
                "{source_labels: [unit], regex: '(?P<a>.)(.*)', target_label: job, replacement: '$a|${2}|$3|$2x|$$|$'}",
                ok(r#"job="u|.service|||$|$", unit="u.service""#),
            ),
            (
                "{source_labels: [__journal__hostname], target_label: 'x_$1', replacement: y}",
                ok(r#"job="j", unit="u.service", x_Web="y""#),
            ),
            (
                "{source_labels: [none], target_label: '$1', replacement: y}",
                ok(r#"job="j", unit="u.service""#),
            ),
            // keep, drop, the equal ones
            (
                "{source_labels: [job], regex: j, action: keep}, {target_label: unit, replacement: ''}",
                ok(r#"job="j""#),
            ),
            ("{target_label: a}, {source_labels: [job], regex: '', action: keep}", Err(1)),
            ("{source_labels: [job], regex: '', action: drop}", ok(r#"job="j", unit="u.service""#)),
            ("{source_labels: [job], regex: '[a-z]', action: drop}", Err(0)),
            ("{source_labels: [__journal_priority], regex: '3', action: drop}", Err(0)),
            (
                "{source_labels: [job], target_label: job, action: keepequal}",
                ok(r#"job="j", unit="u.service""#),
            ),
            ("{source_labels: [job], target_label: unit, action: keepequal}", Err(0)),
            ("{source_labels: [none], target_label: __journal_none, action: dropequal}", Err(0)),
            (
                "{source_labels: [job], target_label: unit, action: dropequal}",
                ok(r#"job="j", unit="u.service""#),
            ),
            // md5("j") ends in 4a0446b6bab05515, md5("") in e9800998ecf8427e.
            (
                "{source_labels: [job], target_label: job, modulus: 1000, action: hashmod}",
                ok(r#"job="373", unit="u.service""#),
            ),
            (
                "{target_label: job, modulus: 18446744073709551615, action: hashmod}",
                ok(r#"job="16825458760271544958", unit="u.service""#),
            ),
            // letters
            (
                "{source_labels: [unit, job], target_label: job, action: uppercase}",
                ok(r#"job="U.SERVICE;J", unit="u.service""#),
            ),
            (
                "{target_label: job, replacement: 'STRAßE'}, {source_labels: [job], target_label: unit, action: lowercase}, {source_labels: [job], target_label: job, action: uppercase}",
                ok(r#"job="STRAßE", unit="straße""#),
            ),
            // names
            (
                "{regex: __journal__(.+), action: labelmap}",
                ok(r#"hostname="Web", job="j", pid="42", unit="u.service""#),
            ),
            (
                "{regex: __journal_(priority.*), action: labelmap}",
                ok(r#"job="j", priority="3", priority_keyword="error", unit="u.service""#),
            ),
            (
                "{regex: (job), replacement: my_$1, action: labelmap}",
                ok(r#"job="j", my_job="j", unit="u.service""#),
            ),
            ("{regex: j.*, action: labeldrop}", ok(r#"unit="u.service""#)),
            ("{regex: j, action: labeldrop}", ok(r#"job="j", unit="u.service""#)),
            ("{regex: j.*, action: labelkeep}", ok(r#"job="j""#)),
            ("{regex: none, action: labelkeep}", ok("")),
            // Two names to one: by name what was there from the beginning, then in the order of being set.
            (
                "{regex: job|unit, replacement: x, action: labelmap}",
                ok(r#"job="j", unit="u.service", x="u.service""#),
            ),
            (
                "{target_label: job, replacement: last}, {regex: job|unit, replacement: x, action: labelmap}",
                ok(r#"job="last", unit="u.service", x="last""#),
            ),
            (
                "{target_label: z, replacement: '1'}, {target_label: a, replacement: '2'}, {target_label: z, replacement: '3'}, {regex: a|z, replacement: x, action: labelmap}",
                ok(r#"a="2", job="j", unit="u.service", x="2", z="3""#),
            ),
            // Labels for the rules only.
            (
                "{source_labels: [job], target_label: __tmp}, {source_labels: [__tmp], target_label: unit}",
                ok(r#"job="j", unit="j""#),
            ),
            (
                "{source_labels: [__journal_empty], regex: (.+), target_label: unit}",
                ok(r#"job="j", unit="u.service""#),
            ),
        ] {
            assert_eq!(relabel(yaml, &fields), expected, "{yaml}");
        }
    }

    #[test]
    fn values_that_rules_blow_up_end_somewhere() {
        let doubles =
            "{source_labels: [unit], target_label: unit, replacement: '$1$1$1$1$1$1$1$1'},".repeat(40);
        let labels = relabel(&doubles, &[]).unwrap();
        assert!(labels.len() <= logql::label_set::LABEL_VALUE_MAX + 100);
    }

    #[test]
    fn only_fields_that_can_make_a_difference_are_wanted() {
        for (yaml, wanted, unwanted) in [
            ("{action: labelmap, regex: '__journal__(.+)'}", &["_PID", "__X"][..], &["PID", "PRIORITY"][..]),
            ("{action: labelmap, regex: '(job)'}", &[], &["JOB", "_PID"]),
            ("{action: labelmap, regex: '__journal_priority_(.+)'}", &["PRIORITY", "PRIORITY_X"], &["_PID"]),
            // What is taken away again was not needed.
            (
                "{action: labelmap, regex: '__journal_(.+)'}, {action: labelkeep, regex: '_pid|uid'}",
                &["_PID", "UID"],
                &["MESSAGE", "_UID"],
            ),
            (
                "{action: labelmap, regex: '__journal_(.+)'}, {action: labeldrop, regex: 'message|.*source.*'}",
                &["_PID"],
                &["MESSAGE", "_SOURCE_REALTIME_TIMESTAMP"],
            ),
            // Unless a rule looks at it first, under whatever name.
            (
                "{action: labelmap, regex: '__journal_(m.+)'}, {action: labelmap, regex: '(m.*)', replacement: 'x_$1'},
                 {source_labels: [x_message], regex: 'a.*', action: drop}, {action: labeldrop, regex: '.*message'}",
                &["MESSAGE", "MX"],
                &["_PID"],
            ),
            (
                "{action: labelmap, regex: '__journal_(.+)', replacement: '__$1'},
                 {source_labels: [a], target_label: __b, action: keepequal}",
                &["B"],
                &["A", "C"],
            ),
            ("{action: labeldrop, regex: '__journal_a'}, {action: labelmap, regex: '__journal_(.)'}", &["B"], &["A"]),
        ] {
            let rules = rules(yaml);
            for field in wanted {
                assert!(matters(&rules, field), "{field}: {yaml}");
            }
            for field in unwanted {
                assert!(!matters(&rules, field), "{field}: {yaml}");
            }
        }
    }

    #[test]
    fn labels_name_journal_fields() {
        for (label, field) in [
            ("__journal__systemd_unit", Some("_SYSTEMD_UNIT")),
            ("__journal_message", Some("MESSAGE")),
            ("__journal_priority", Some("PRIORITY")),
            ("__journal_priority_keyword", Some("PRIORITY")),
            ("__journal_MESSAGE", None),
            ("__journal_", None),
            ("unit", None),
        ] {
            assert_eq!(field_of(label).as_deref(), field, "{label}");
        }
    }
}
