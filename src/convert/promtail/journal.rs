//! The scrape job that reads the journal: where it reads, and what labels entries get.

use super::variables::plain;
use super::*;
use journald_reader::Cursor;

/// Promtail's `journalDefaultMaxAgeTime`; our default is a week.
pub(super) const DEFAULT_AGE: &str = "7h";

impl Conversion {
    pub(super) fn journal(&mut self, job: &Node, limits: Option<&Node>, positions: Option<&str>) {
        let Some(journal) = get(job, "journal") else { return };
        let name = get_text(job, "job_name").unwrap_or_default();
        if let Some(value) = get(job, "job_name") {
            self.keep_text(0, "job_name", value);
        }
        const AROUND: &str = "journal: {{}}";
        self.out.line(0, "journal:");
        if let Some(value) = get(journal, "path").filter(|path| text(path) != Some("")) {
            let path = variables(text(value).unwrap_or_default());
            self.offer(1, AROUND, &format!("paths: [{}]", quoted(&path)), ("journal", "path", value));
        }
        match get(journal, "max_age").filter(|age| text(age) != Some("")) {
            Some(age) => {
                let line = format!("backfill: {}", duration(text(age).unwrap_or_default()));
                self.offer(1, AROUND, &line, ("journal", "max_age", age));
            }
            None => self.out.line(1, &format!("backfill: {DEFAULT_AGE}")),
        }
        if let Some(matches) = get(journal, "matches").filter(|matches| text(matches) != Some("")) {
            self.matches(matches);
        }
        if let Some(cursor) = positions.and_then(|positions| self.cursor(positions, name)) {
            self.out.line(1, &format!("start_cursor: '{cursor}'"));
        }
        for (key, value) in written(journal) {
            match key {
                "path" if text(value) == Some("") => self.keep_text(1, key, value),
                "path" | "max_age" | "matches" | "labels" | "json" => {}
                _ => self.leave(1, "journal", key, "no such key in Promtail 3.6", value),
            }
        }
        self.labels(job, journal, limits);
        self.out.line(0, "structured_metadata: {}");
        let json = get(journal, "json").and_then(text);
        match json {
            Some("true") => self.out.line(0, "line: json # json: true"),
            Some(other) => self.out.line(0, &format!("line: message # json: {}", scalar(other))),
            None => {}
        }
        for (key, value) in written(job) {
            if !["job_name", "journal", "relabel_configs", "pipeline_stages"].contains(&key) {
                self.leave(0, "scrape_configs", key, "has no counterpart for a journal", value);
            }
        }
        if json != Some("true") {
            self.note(
                "an entry without MESSAGE was dropped by Promtail; journal-ship sends it with an empty line",
            );
        }
    }

    fn labels(&mut self, job: &Node, journal: &Node, limits: Option<&Node>) {
        const AROUND: &str = "labels: {{}}";
        self.out.line(0, "labels:");
        let rules = get(job, "relabel_configs").map(items).unwrap_or_default();
        let name = get_text(job, "job_name").filter(|name| !name.is_empty()).unwrap_or("journal");
        let start_of_labels = self.out.mark();
        let mut count = 0;
        match get(journal, "labels").filter(|labels| entries(labels).next().is_some()) {
            // Names for relabelling only are refused, because nothing makes them here.
            Some(labels) => count += self.strings(1, "static", AROUND, "journal.labels", labels),
            None if rules.is_empty() => {
                count += 1;
                self.tell(
                    1,
                    "static: Promtail set no label, and dropped every entry; the job's name is one now",
                );
                self.out.line(1, &format!("static: {{job: {}}}", quoted(name)));
            }
            None => self.out.line(1, "static: {}"),
        }
        self.out.line(1, "fields: {}");
        if !rules.is_empty() {
            let rules = rules.iter().enumerate();
            let rules =
                rules.map(|(index, rule)| (rule.clone(), rule.clone(), format!("relabel_configs[{index}]")));
            count += self.rules(rules.collect());
        }
        if count == 0 {
            self.name_as_label(start_of_labels, name);
        }
        self.max_streams(limits);
    }

    /// If no label and no rule is left, the name of the job becomes a label. It replaces the empty `static` that was written
    /// at `mark`.
    pub(super) fn name_as_label(&mut self, mark: usize, name: &str) {
        self.note(&format!("labels: none is left; the job's name is one now: job={}", printable(name)));
        self.out.replace(mark, 1, &format!("static: {{job: {}}}", quoted(name)));
    }

    /// Writes the rules that our relabelling takes, and returns their number. Other rules become comments, in their original
    /// form.
    pub(super) fn rules(&mut self, rules: Vec<(Node, Node, String)>) -> usize {
        if rules.is_empty() {
            return 0;
        }
        let start = self.out.mark();
        self.out.line(1, "relabel_configs:");
        let mut count = 0;
        for (rule, from, place) in rules {
            count += usize::from(self.rule(&place, &rule, &from));
        }
        if count == 0 {
            // A list with comments only is not a list in YAML.
            self.out.replace(start, 1, "relabel_configs: []");
        }
        count
    }

    pub(super) fn max_streams(&mut self, limits: Option<&Node>) {
        const AROUND: &str = "labels: {{}}";
        if let Some(max) = limits.and_then(|limits| get(limits, "max_streams")) {
            match text(max) {
                Some("0") => {
                    self.leave(1, "limits_config", "max_streams", "0 was no limit; here it is 5000", max)
                }
                word => {
                    let line = format!("max_streams: {}", scalar_number(word.unwrap_or_default()));
                    if self.offer(1, AROUND, &line, ("limits_config", "max_streams", max)) {
                        self.note(
                            "limits_config.max_streams: Promtail dropped the entries of further streams; \
                             journal-ship sends them in one overflow stream",
                        );
                    }
                }
            }
        }
    }

    /// Writes a rule if our relabelling takes it. Otherwise its original form becomes a comment.
    fn rule(&mut self, place: &str, rule: &Node, from: &Node) -> bool {
        const SCHEMA: &str = "labels.relabel_configs[]";
        let kept = plain(rule, true, SCHEMA);
        let mut ours = Writer::default();
        ours.line(0, "labels:");
        ours.line(1, "relabel_configs:");
        ours.item(2, &kept);
        let ours = ours.finish();
        match refusal(&ours) {
            None => {
                self.tell_of_variables(2, place, SCHEMA, &kept);
                self.out.item(2, &kept);
                true
            }
            Some(why) => {
                self.leave_item(2, place, &why.replace("labels.relabel_configs[0].", ""), from);
                false
            }
        }
    }

    /// Writes journal matches. An entry must fit one of the alternatives: all of its fields, each with one of its values.
    fn matches(&mut self, matches: &Node) {
        match text(matches).and_then(jobs::alternatives) {
            Some(alternatives) => {
                let line = jobs::match_line(&alternatives);
                self.offer(1, "journal: {{}}", &line, ("journal", "matches", matches));
            }
            None => {
                let why = "is not a list of FIELD=value, with `+` between alternatives: all entries are read";
                self.leave(1, "journal", "matches", why, matches);
            }
        }
    }

    /// The cursor of this job in the positions file of Promtail, if it has one.
    pub(super) fn cursor(&mut self, positions: &str, job: &str) -> Option<Cursor> {
        let found = yaml::document(positions, "positions").ok().and_then(|root| {
            let positions = get(&root, "positions")?;
            get_text(positions, &format!("cursor-{job}"))?.parse().ok()
        });
        if found.is_none() {
            self.note(&format!(
                "the positions file has no cursor of the job {}: `backfill` says where to begin",
                printable(job)
            ));
        }
        found
    }
}

/// A number as it is. Anything else becomes a text, which our checks look at.
fn scalar_number(word: &str) -> String {
    if word.bytes().all(|byte| byte.is_ascii_digit()) && !word.is_empty() {
        word.to_owned()
    } else {
        scalar(&variables(word))
    }
}
