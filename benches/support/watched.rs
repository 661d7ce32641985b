//! Entries as alert rules and queries see them, and common rules that look at them.

use std::sync::Arc;

use journal_ship::alerts::file::{self, Group};
use logql::label_set::LabelSet;

use super::messages;
use super::random::Random;
use super::units::UNITS;

/// A unit's rules, as people write them.
const KINDS: [&str; 5] = [
    r#"sum by (host) (count_over_time({unit="UNIT"} |~ "(?i)error|failed|timeout" [5m])) > 100000"#,
    r#"sum by (unit) (rate({unit="UNIT", level=~"error|crit"}[10m])) > 1000"#,
    r#"sum by (host) (count_over_time({unit="UNIT"} |= "panic" != "test" [15m])) > 0"#,
    r#"absent_over_time({unit="UNIT"}[30m])"#,
    r#"sum by (status) (count_over_time({unit="UNIT"} |= "HTTP/1.1\" 5" | regexp "HTTP/1.1\" (?P<status>\\d+)" [5m])) > 100000"#,
];
/// How many of each kind (count).
const OF_KIND: usize = 7;

/// The rules that are shipped, and the common ones.
pub(crate) fn groups() -> Result<Vec<Group>, String> {
    let (groups, _) = file::parse(&text(), "rules", None).map_err(|why| why.render(false))?;
    Ok(groups)
}

/// They as a file.
pub(crate) fn text() -> String {
    let mut rules = String::from(include_str!("../../config/rules/host.yaml"));
    rules.push_str("  - name: own\n    rules:\n");
    for (kind, expr) in KINDS.iter().enumerate() {
        for unit in UNITS.iter().step_by(7).take(OF_KIND) {
            let expr = expr.replace("UNIT", unit.name);
            rules.push_str(&format!("      - {{alert: A{kind}, expr: '{expr}'}}\n"));
        }
    }
    rules
}

/// An entry as rules see it: labels, structured metadata, line.
pub(crate) type Given = (Arc<LabelSet>, Vec<(&'static str, String)>, String);

/// So many entries, the same ones each time.
pub(crate) fn entries(count: usize) -> Vec<Given> {
    let mut random = Random::new(1);
    let levels = ["info", "info", "info", "info", "notice", "warning", "error"];
    let mut sets: Vec<Vec<Arc<LabelSet>>> = Vec::new();
    for unit in &UNITS {
        let set = |level: &&str| {
            let mut set = LabelSet::default();
            let pairs = [("host", "app-03.example.net"), ("job", "systemd-journal"), ("level", level)];
            for (name, value) in pairs.into_iter().chain([("service_name", unit.name), ("unit", unit.name)]) {
                set.insert(name, value.as_bytes());
            }
            Arc::new(set)
        };
        // Equal sets are one, as the labeler has it.
        let mut of_unit: Vec<Arc<LabelSet>> = Vec::new();
        for level in &levels {
            let new = set(level);
            let known = of_unit.iter().find(|known| **known == new).cloned();
            of_unit.push(known.unwrap_or(new));
        }
        sets.push(of_unit);
    }
    let mut line = String::new();
    let mut entry = || {
        // The first units write most.
        let index = (random.below(50) * random.below(50) / 50) as usize;
        let unit = &UNITS[index];
        line.clear();
        messages::write(&mut line, &mut random, unit.style, unit.comm, "00");
        let labels = sets[index][random.below(levels.len() as u64) as usize].clone();
        let metadata =
            vec![("pid", (1000 + random.below(8)).to_string()), ("identifier", unit.comm.to_owned())];
        (labels, metadata, line.clone())
    };
    (0..count).map(|_| entry()).collect()
}
