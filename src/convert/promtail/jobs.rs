//! Several scrape configs that read the journal become one reading. This says which of them can be joined, and what is read
//! for all of them. `apart` keeps what each of them does to its own entries.

use std::collections::BTreeMap;

use super::*;
use crate::journal::names::field_name;

/// The folders that Promtail reads if `path` is not written.
const DEFAULT_PATHS: [&str; 2] = ["/var/log/journal", "/run/log/journal"];

/// Fields and the values that they may have: all fields must fit.
pub(super) type Match = BTreeMap<String, Vec<String>>;

/// A scrape config that reads the journal.
#[derive(Clone)]
pub(super) struct Job<'n> {
    pub node: &'n Node,
    journal: &'n Node,
    /// It reads entries that fit any of these. An empty list: it reads all entries.
    pub(super) matches: Vec<Match>,
}

/// Reads `A=1 B=2 + C=3` as alternatives. `None`: it is not such a list.
pub(super) fn alternatives(matches: &str) -> Option<Vec<Match>> {
    let mut all = vec![Match::new()];
    for term in matches.split_whitespace() {
        if term == "+" {
            all.push(Match::new());
            continue;
        }
        let (field, value) = term.split_once('=')?;
        field_name(field).ok()?;
        all.last_mut()?.entry(field.to_owned()).or_default().push(value.to_owned());
    }
    (!all.iter().any(Match::is_empty)).then_some(all)
}

/// Alternatives in the form of `journal.match`.
pub(super) fn match_line(alternatives: &[Match]) -> String {
    let values = |values: &Vec<String>| match &values[..] {
        [value] => quoted(&variables(value)),
        values => {
            let values: Vec<String> = values.iter().map(|value| quoted(&variables(value))).collect();
            format!("[{}]", values.join(", "))
        }
    };
    let maps: Vec<String> = (alternatives.iter())
        .map(|fields| {
            let fields: Vec<String> =
                fields.iter().map(|(field, of)| format!("{field}: {}", values(of))).collect();
            format!("{{{}}}", fields.join(", "))
        })
        .collect();
    format!("match: [{}]", maps.join(", "))
}

impl<'n> Job<'n> {
    /// A scrape config, if it reads the journal.
    fn new(node: &'n Node) -> Option<Job<'n>> {
        let journal = get(node, "journal")?;
        let matches = get_text(journal, "matches").and_then(alternatives).unwrap_or_default();
        Some(Job { node, journal, matches })
    }

    fn path(&self) -> Option<&'n str> {
        get_text(self.journal, "path").filter(|path| !path.is_empty())
    }

    pub(super) fn name(&self) -> &'n str {
        get_text(self.node, "job_name").unwrap_or("?")
    }

    /// The fixed labels of all its entries.
    pub(super) fn labels(&self) -> Vec<(&'n str, &'n Node)> {
        get(self.journal, "labels").map(|labels| entries(labels).collect()).unwrap_or_default()
    }

    pub(super) fn list(&self, key: &str) -> &'n [Node] {
        get(self.node, key).map(items).unwrap_or_default()
    }

    fn json(&self) -> bool {
        get_text(self.journal, "json") == Some("true")
    }

    /// Whether it does the same as another job, perhaps in other folders. Then the entries need not be told apart.
    fn does_as(&self, other: &Job<'_>) -> bool {
        let plain = |job: &Job<'_>| {
            let labels: Vec<_> =
                job.labels().iter().map(|(name, value)| ((*name).to_owned(), kinds(value))).collect();
            let lists: Vec<_> = ["relabel_configs", "pipeline_stages"]
                .map(|key| job.list(key).iter().map(kinds).collect())
                .into();
            (labels, lists, job.matches.clone(), job.json())
        };
        let (ours, theirs): ((_, Vec<Vec<String>>, _, _), _) = (plain(self), plain(other));
        ours == theirs
    }
}

/// A node as text, without places, to compare it.
fn kinds(node: &Node) -> String {
    let mut written = Writer::default();
    written.item(0, node);
    written.finish()
}

/// The jobs that become one reading, in the order in which they decide, and the other jobs, each with the reason.
pub(super) fn merge<'n>(jobs: &[&'n Node]) -> (Vec<Job<'n>>, Vec<(&'n Node, String)>) {
    let (mut merged, mut left): (Vec<Job<'n>>, Vec<_>) = (Vec::new(), Vec::new());
    for job in jobs.iter().filter_map(|node| Job::new(node)) {
        let everything = merged.iter().find(|other| other.matches.is_empty());
        let reason = match (merged.first(), everything) {
            _ if merged.iter().any(|other| other.does_as(&job)) => None,
            (Some(first), _) if first.json() != job.json() => Some("its `json` is another".to_owned()),
            (_, Some(other)) if job.matches.is_empty() => Some(format!(
                "it reads all entries, as {} does, and does something else with them; journal-ship reads each once",
                printable(other.name())
            )),
            _ => None,
        };
        match reason {
            Some(why) => left.push((
                job.node,
                format!(
                    "a second reading of the journal: {why}; join them by hand, or run a second journal-ship"
                ),
            )),
            None => merged.push(job),
        }
    }
    merged.sort_by_key(|job| job.matches.is_empty());
    (merged, left)
}

impl Conversion {
    /// Writes several jobs as one. Returns the stages of all of them.
    pub(super) fn journals(
        &mut self,
        jobs: &[Job<'_>],
        limits: Option<&Node>,
        positions: Option<&str>,
    ) -> Node {
        let names: Vec<String> = jobs.iter().map(|job| printable(job.name())).collect();
        self.tell(0, &format!("{}: several readings of the journal, which are one here", names.join(", ")));
        self.out.line(0, "journal:");
        self.joined_paths(jobs);
        self.joined_age(jobs);
        let matches: Vec<Match> = jobs.iter().flat_map(|job| job.matches.clone()).collect();
        let whole = jobs.iter().any(|job| job.matches.is_empty());
        if !whole {
            let line = match_line(&matches);
            self.offer(1, "journal: {{}}", &line, ("journal", "matches", &Node::text("")));
        }
        for job in jobs {
            if let Some(matches) = get(job.journal, "matches") {
                if job.matches.is_empty() && text(matches) != Some("") {
                    self.leave(
                        1,
                        "journal",
                        "matches",
                        "is not a list of FIELD=value: all entries are read",
                        matches,
                    );
                } else {
                    self.keep_text(1, "matches", matches);
                }
            }
            for (key, value) in written(job.journal) {
                if !["path", "max_age", "matches", "labels", "json"].contains(&key) {
                    self.leave(1, "journal", key, "no such key in Promtail 3.6", value);
                }
            }
        }
        if positions.is_some() {
            let cursors: Vec<_> = jobs
                .iter()
                .map(|job| positions.and_then(|positions| self.cursor(positions, job.name())))
                .collect();
            let oldest = cursors.iter().flatten().min_by_key(|cursor| cursor.realtime);
            if let Some(cursor) = oldest.filter(|_| cursors.iter().all(Option::is_some)) {
                self.out.line(1, &format!("start_cursor: '{cursor}'"));
                self.note("the first start goes on behind the oldest of the jobs' cursors: entries after it may come again");
            }
        }
        if jobs.iter().any(|job| !job.matches.is_empty()) {
            self.note(
                "an entry that several jobs read was sent by each of them; it is sent once now, as the first one in the list \
                 has it",
            );
        }
        let apart = !jobs.iter().skip(1).all(|job| jobs.first().is_some_and(|first| first.does_as(job)));
        let told_by = self.joined_labels(jobs, limits, apart);
        self.out.line(0, "structured_metadata: {}");
        if jobs.first().is_some_and(Job::json) {
            self.out.line(0, "line: json # json: true");
        } else {
            self.note(
                "an entry without MESSAGE was dropped by Promtail; journal-ship sends it with an empty line",
            );
        }
        for job in jobs {
            for (key, value) in written(job.node) {
                if !["job_name", "journal", "relabel_configs", "pipeline_stages"].contains(&key) {
                    self.leave(0, "scrape_configs", key, "has no counterpart for a journal", value);
                }
            }
        }
        apart::stages_of(jobs, told_by.as_deref())
    }

    fn joined_paths(&mut self, jobs: &[Job<'_>]) {
        if jobs.iter().all(|job| job.path().is_none()) {
            return;
        }
        let mut paths: Vec<String> = Vec::new();
        for job in jobs {
            let of_job = job.path().map_or(DEFAULT_PATHS.to_vec(), |path| vec![path]);
            for path in of_job.into_iter().map(variables) {
                let fits = refusal(&format!("journal: {{paths: [{}]}}", quoted(&path))).is_none();
                if !fits && let Some(value) = get(job.journal, "path") {
                    self.leave(1, "journal", "path", "is not an absolute path", value);
                } else if !paths.contains(&path) {
                    paths.push(path);
                }
            }
        }
        let alike = |job: &Job<'_>| job.path() == jobs.first().and_then(Job::path);
        if !jobs.iter().all(alike) && jobs.iter().any(|job| !job.matches.is_empty()) {
            self.note("journal.path: all jobs read all of these places now; `matches` alone tells their entries apart");
        }
        let paths: Vec<String> = paths.iter().map(|path| quoted(path)).collect();
        if !paths.is_empty() {
            self.out.line(1, &format!("paths: [{}]", paths.join(", ")));
        }
    }

    /// Writes the longest `max_age` of all jobs. A job without it has Promtail's default.
    fn joined_age(&mut self, jobs: &[Job<'_>]) {
        let mut longest: Option<(std::time::Duration, String)> = None;
        for job in jobs {
            let age = get_text(job.journal, "max_age").filter(|age| !age.is_empty());
            let word = age.unwrap_or(journal::DEFAULT_AGE);
            let line = duration(word);
            let fits = refusal(&format!("journal: {{backfill: {line}}}")).is_none();
            let length = yaml::units::parse_go_duration(word).ok().filter(|_| fits);
            if let (None, Some(value)) = (length, get(job.journal, "max_age")) {
                self.leave(1, "journal", "max_age", "is not a duration", value);
            }
            if let Some(length) = length
                && longest.as_ref().is_none_or(|(known, _)| *known < length)
            {
                longest = Some((length, if age.is_some() { line } else { word.to_owned() }));
            }
        }
        let line = longest.map_or(journal::DEFAULT_AGE.to_owned(), |(_, line)| line);
        self.out.line(1, &format!("backfill: {line}"));
    }
}
