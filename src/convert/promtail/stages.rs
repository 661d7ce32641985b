//! `pipeline_stages`, and the limits that Promtail applies after them.

use super::variables::plain;
use super::*;
use crate::config::KEYS;

/// Stages that make no sense for a journal.
const STAGES_WITHOUT: [&str; 5] = ["docker", "cri", "eventlogmessage", "windowsevent", "geoip"];

/// Stages whose keys are names that the user chooses. In them, a key without a value has a meaning.
const OWN_NAMES: [&str; 4] = ["labels", "static_labels", "structured_metadata", "metrics"];

impl Conversion {
    pub(super) fn stages(&mut self, stages: Option<&Node>, limits: Option<&Node>) {
        let stages = stages.map(items).unwrap_or_default();
        if stages.is_empty() && limits.is_none() {
            return;
        }
        let start = self.out.mark();
        self.out.line(0, "stages:");
        let mut count = self.stage_list(1, stages);
        count += limits.map_or(0, |limits| self.limits(limits));
        if count == 0 {
            self.out.replace(start, 0, "stages: []");
        }
    }

    /// Writes the limits for all lines, after the stages as in Promtail. Returns how many stages it writes.
    fn limits(&mut self, limits: &Node) -> usize {
        let mut count = 0;
        let is = |name: &str| get_text(limits, name) == Some("true");
        let of = |name: &str, default: &str| get_text(limits, name).unwrap_or(default).to_owned();
        for (key, value) in written(limits) {
            match key {
                // With the labels.
                "max_streams" => {}
                "readline_rate_enabled" if is(key) => {
                    self.keep_text(1, key, value);
                    let (rate, burst) = (of("readline_rate", "10000"), of("readline_burst", "10000"));
                    let drop = of("readline_rate_drop", "true");
                    let (rate, burst, drop) = (number(&rate), number(&burst), number(&drop));
                    let line = format!("- limit: {{rate: {rate}, burst: {burst}, drop: {drop}}}");
                    let stage =
                        self.offer(1, "stages:\n {}", &line, ("limits_config", key, &Node::text("rate")));
                    count += usize::from(stage);
                    if drop == "true" {
                        self.note("limits_config.readline_rate: counted by the time of the entries, not the clock's");
                    }
                }
                "readline_rate" | "readline_burst" | "readline_rate_drop" if is("readline_rate_enabled") => {
                    self.keep_text(1, key, value);
                }
                key if key.starts_with("readline_") => {
                    self.leave(1, "limits_config", key, "not enabled, so it limited nothing", value);
                }
                "max_line_size" if text(value) == Some("0") => {
                    self.leave(
                        1,
                        "limits_config",
                        key,
                        "0 was no limit; here lines are cut at 256 KiB",
                        value,
                    );
                }
                "max_line_size" if is("max_line_size_truncate") => {
                    let why = "lines are cut at 256 KiB, with a mark; another size cannot be set";
                    self.leave(1, "limits_config", key, why, value);
                }
                "max_line_size" => {
                    let size = scalar(&variables(text(value).unwrap_or_default()));
                    let line = format!("- drop: {{longer_than: {size}, drop_counter_reason: line_too_long}}");
                    let from = ("limits_config", key, value);
                    count += usize::from(self.offer(1, "stages:\n {}", &line, from));
                }
                "max_line_size_truncate" => self.keep_text(1, key, value),
                _ => self.leave(1, "limits_config", key, "no such key in Promtail 3.6", value),
            }
        }
        count
    }

    /// Returns how many of them are in the result.
    fn stage_list(&mut self, depth: usize, stages: &[Node]) -> usize {
        let mut count = 0;
        for stage in stages {
            let mut written = entries(stage);
            let (Some((name, value)), None) = (written.next(), written.next()) else {
                self.leave_item(depth, "a stage", "not a map with one key, its name", stage);
                continue;
            };
            let why = match name {
                name if STAGES_WITHOUT.contains(&name) => Some("has no sense for journal entries".to_owned()),
                "non_indexed_labels" => {
                    self.tell(depth, "stage non_indexed_labels: its name is structured_metadata now");
                    self.stage(depth, "structured_metadata", value)
                }
                name if !KEYS.iter().any(|key| key.path.strip_prefix("stages[].") == Some(name)) => {
                    Some("no such stage in Promtail 3.6".to_owned())
                }
                "match" if get(value, "stages").is_some() => self.nested(depth, value),
                name => self.stage(depth, name, value),
            };
            match why {
                Some(why) => self.leave_item(depth, &format!("stage {name}"), &why, stage),
                None => count += 1,
            }
        }
        count
    }

    /// Writes a stage, or returns the reason why not.
    fn stage(&mut self, depth: usize, name: &str, value: &Node) -> Option<String> {
        let schema = format!("stages[].{name}");
        let value = plain(value, !OWN_NAMES.contains(&name), &schema);
        let stage = Node::map(vec![(Node::text(name), value.clone())]);
        let mut ours = Writer::default();
        ours.line(0, "stages:");
        ours.item(1, &stage);
        let why = refusal(&ours.finish());
        if why.is_none() {
            self.tell_of_variables(depth, &format!("stage {name}"), &schema, &value);
            self.out.item(depth, &stage);
        }
        why
    }

    /// Writes a `match` with the stages in it, or returns the reason why not.
    fn nested(&mut self, depth: usize, value: &Node) -> Option<String> {
        let mut head = Vec::new();
        if let Kind::Map(entries) = &value.kind {
            head = entries.iter().filter(|(key, _)| text(key) != Some("stages")).cloned().collect();
        }
        let head = plain(&Node::map(head), true, "stages[].match");
        let mut alone = Writer::default();
        alone.line(0, "stages:");
        alone.line(1, "- match:");
        alone.line(3, "stages: []");
        alone.value(3, &head);
        if let Some(why) = refusal(&alone.finish()) {
            return Some(why);
        }
        self.tell_of_variables(depth, "stage match", "stages[].match", &head);
        self.out.line(depth, "- match:");
        self.out.value(depth + 2, &head);
        let start = self.out.mark();
        self.out.line(depth + 2, "stages:");
        let inner = get(value, "stages").map(items).unwrap_or_default();
        if self.stage_list(depth + 3, inner) == 0 {
            self.out.replace(start, depth + 2, "stages: []");
        }
        None
    }
}

/// A number or a flag as it is. A variable in its place is a text.
fn number(word: &str) -> String {
    if word.contains("${") { scalar(&variables(word)) } else { word.to_owned() }
}
