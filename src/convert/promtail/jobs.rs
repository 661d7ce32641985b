//! Several scrape configs that read the journal become one reading. Each entry belongs to the first job whose `matches` it
//! fits; a label that only relabelling sees says which, and what a job does is done to its entries alone.

use std::collections::BTreeMap;

use super::*;
use crate::journal::names::field_name;
use crate::shape::names::label_name;

/// Label of relabelling that holds the number of an entry's job.
const MEMBER: &str = "__scrape";
/// Label that tells the jobs' entries apart for their stages, where no label of theirs does; it is dropped behind them.
const TOLD_APART: &str = "scrape_job";
/// Where Promtail looks when `path` is not written.
const DEFAULT_PATHS: [&str; 2] = ["/var/log/journal", "/run/log/journal"];

/// Fields and the values that they may have: all fields must fit.
type Match = BTreeMap<String, Vec<String>>;

/// A scrape config that reads the journal.
#[derive(Clone)]
pub(super) struct Job<'n> {
    pub node: &'n Node,
    journal: &'n Node,
    /// Any of them; none: it reads everything.
    matches: Vec<Match>,
}

/// `A=1 B=2 + C=3` as alternatives; `None` when it is not such a list.
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

/// Alternatives as `journal.match` has them.
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

    fn name(&self) -> &'n str {
        get_text(self.node, "job_name").unwrap_or("?")
    }

    /// Labels, fixed for all of its entries.
    fn labels(&self) -> Vec<(&'n str, &'n Node)> {
        get(self.journal, "labels").map(|labels| entries(labels).collect()).unwrap_or_default()
    }

    fn list(&self, key: &str) -> &'n [Node] {
        get(self.node, key).map(items).unwrap_or_default()
    }

    fn json(&self) -> bool {
        get_text(self.journal, "json") == Some("true")
    }

    /// Whether only where it reads tells it from another: then entries need not be told apart.
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

/// A node without its places, to be compared.
fn kinds(node: &Node) -> String {
    let mut written = Writer::default();
    written.item(0, node);
    written.finish()
}

/// Jobs that become one reading, those that decide first in front, and others with the reason why not.
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
    /// Writes several jobs as one. What their stages become comes back.
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
        stages_of(jobs, told_by.as_deref())
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

    /// The longest of all; one that is not written is Promtail's.
    fn joined_age(&mut self, jobs: &[Job<'_>]) {
        let mut longest: Option<(std::time::Duration, String)> = None;
        for job in jobs {
            let age = get_text(job.journal, "max_age").filter(|age| !age.is_empty());
            let word = age.unwrap_or(journal::MAX_AGE);
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
        let line = longest.map_or(journal::MAX_AGE.to_owned(), |(_, line)| line);
        self.out.line(1, &format!("backfill: {line}"));
    }

    /// Writes labels and the rules that make them. The label that tells jobs apart for stages comes back, if it is needed.
    fn joined_labels(&mut self, jobs: &[Job<'_>], limits: Option<&Node>, apart: bool) -> Option<String> {
        let mut rules: Vec<(Node, Node, String)> = Vec::new();
        let mut lost: Vec<(Node, String, String)> = Vec::new();
        if apart {
            for (number, job) in jobs.iter().enumerate().rev() {
                for rule in members(number, job) {
                    rules.push((rule.clone(), rule, "matches".to_owned()));
                }
            }
            for (number, job) in jobs.iter().enumerate() {
                let own = own_labels(job);
                for (name, value) in &own {
                    if value.contains("${") {
                        lost.push((
                            Node::text(value),
                            name.clone(),
                            "variables have no place in relabelling".to_owned(),
                        ));
                    } else {
                        let rule = only(number, name, &value.replace('$', "$$"));
                        rules.push((rule.clone(), rule, format!("labels.{name}")));
                    }
                }
                for (index, rule) in job.list("relabel_configs").iter().enumerate() {
                    let place = format!("{} relabel_configs[{index}]", job.name());
                    match conditional(rule, number, jobs.len(), index) {
                        Ok(made) => {
                            rules.extend(made.into_iter().map(|made| (made, rule.clone(), place.clone())))
                        }
                        Err(why) => lost.push((rule.clone(), place, why)),
                    }
                }
            }
        } else if let Some(first) = jobs.first() {
            let list = first.list("relabel_configs").iter().enumerate();
            rules.extend(
                list.map(|(index, rule)| (rule.clone(), rule.clone(), format!("relabel_configs[{index}]"))),
            );
        }
        let staged = apart && jobs.iter().any(|job| !job.list("pipeline_stages").is_empty());
        if staged {
            for number in 0..jobs.len() {
                let rule = only(number, TOLD_APART, &name_of(number));
                rules.push((rule.clone(), rule, TOLD_APART.to_owned()));
            }
        }
        self.out.line(0, "labels:");
        let start_of_labels = self.out.mark();
        let mut count = 0;
        match jobs.first().filter(|_| !apart) {
            Some(first) => {
                count +=
                    self.strings(1, "static", "labels: {{}}", "journal.labels", &as_map(&own_labels(first)));
            }
            None => self.out.line(1, "static: {}"),
        }
        self.out.line(1, "fields: {}");
        count += self.rules(rules);
        if count == 0 {
            self.name_as_label(start_of_labels, jobs.first().map_or("journal", Job::name));
        }
        for (value, place, why) in lost {
            self.leave_item(
                1,
                &place,
                &format!("cannot be done to the entries of one job alone: {why}"),
                &value,
            );
        }
        self.max_streams(limits);
        staged.then(|| TOLD_APART.to_owned())
    }
}

/// The labels of a job; where Promtail would have dropped all of its entries for want of one, its name.
fn own_labels(job: &Job<'_>) -> Vec<(String, String)> {
    let labels: Vec<_> = (job.labels().into_iter())
        .map(|(name, value)| (name.to_owned(), variables(text(value).unwrap_or_default())))
        .collect();
    match labels.is_empty() && job.list("relabel_configs").is_empty() {
        true => vec![("job".to_owned(), job.name().to_owned())],
        false => labels,
    }
}

fn as_map(labels: &[(String, String)]) -> Node {
    Node::map(labels.iter().map(|(name, value)| (Node::text(name), Node::text(value))).collect())
}

/// What stands for a job. None is the beginning of another.
fn name_of(number: usize) -> String {
    format!("{}:", number + 1)
}

fn sequence(items: Vec<Node>) -> Node {
    Node { kind: Kind::Seq(items), ..Node::text("") }
}

fn texts(items: &[String]) -> Node {
    sequence(items.iter().map(|item| Node::text(item)).collect())
}

/// `text` as a regular expression.
fn literal(text: &str) -> String {
    text.chars().flat_map(|c| r"\.+*?()|[]{}^$".contains(c).then_some('\\').into_iter().chain([c])).collect()
}

/// Rules that say of an entry that it is this job's.
fn members(number: usize, job: &Job<'_>) -> Vec<Node> {
    let set = |more: Vec<(Node, Node)>| {
        let mut rule = more;
        rule.push((Node::text("target_label"), Node::text(MEMBER)));
        rule.push((Node::text("replacement"), Node::text(&name_of(number))));
        Node::map(rule)
    };
    if job.matches.is_empty() {
        return vec![set(Vec::new())];
    }
    let of_match = |fields: &Match| {
        let sources: Vec<String> =
            fields.keys().map(|field| format!("__journal_{}", field.to_ascii_lowercase())).collect();
        let values = |values: &Vec<String>| {
            let values: Vec<String> = values.iter().map(|value| literal(value)).collect();
            if values.len() == 1 { values.concat() } else { format!("(?:{})", values.join("|")) }
        };
        let regex: Vec<String> = fields.values().map(values).collect();
        set(vec![
            (Node::text("source_labels"), texts(&sources)),
            (Node::text("regex"), Node::text(&regex.join(";"))),
        ])
    };
    job.matches.iter().map(of_match).collect()
}

/// A rule that sets a label of the entries of one job.
fn only(number: usize, label: &str, replacement: &str) -> Node {
    Node::map(vec![
        (Node::text("source_labels"), texts(&[MEMBER.to_owned()])),
        (Node::text("regex"), Node::text(&name_of(number))),
        (Node::text("target_label"), Node::text(label)),
        (Node::text("replacement"), Node::text(replacement)),
    ])
}

/// A rule as one, or several, for the entries of one job alone.
fn conditional(rule: &Node, number: usize, jobs: usize, index: usize) -> Result<Vec<Node>, String> {
    let action = get_text(rule, "action").unwrap_or("replace").to_ascii_lowercase();
    let sources: Vec<String> = get(rule, "source_labels")
        .map(items)
        .unwrap_or_default()
        .iter()
        .filter_map(text)
        .map(str::to_owned)
        .collect();
    let between = get_text(rule, "separator").unwrap_or(";");
    let regex = get_text(rule, "regex").unwrap_or("(.*)");
    let me = name_of(number);
    let own = |name: &str| (Node::text(name), get(rule, name).cloned().unwrap_or(Node::text("")));
    let with_member: Vec<String> =
        std::iter::once(MEMBER.to_owned()).chain(sources.iter().cloned()).collect();
    let separator = if sources.is_empty() { "" } else { between };
    let mine = format!("{me}{}(?:{regex})", literal(separator));
    let build = |action: &str, regex: String, more: Vec<(Node, Node)>| {
        let mut made = vec![(Node::text("source_labels"), texts(&with_member))];
        if separator != ";" && !separator.is_empty() {
            made.push((Node::text("separator"), Node::text(separator)));
        }
        made.push((Node::text("regex"), Node::text(&regex)));
        if action != "replace" {
            made.push((Node::text("action"), Node::text(action)));
        }
        made.extend(more);
        Node::map(made)
    };
    if sources.len() > 1 && separator.is_empty() {
        return Err("its separator is empty".to_owned());
    }
    match action.as_str() {
        "replace" => {
            let more =
                ["target_label", "replacement"].into_iter().filter(|name| get(rule, name).is_some()).map(own);
            Ok(vec![build("replace", mine, more.collect())])
        }
        "drop" => Ok(vec![build("drop", mine, Vec::new())]),
        "keep" => {
            let others: Vec<String> = (0..jobs).filter(|other| *other != number).map(name_of).collect();
            Ok(vec![build("keep", format!("{mine}|(?:{})(?s:.*)", others.join("|")), Vec::new())])
        }
        // Made for all entries under a name of its own, taken over for these.
        "lowercase" | "uppercase" | "hashmod" => {
            let Kind::Map(entries) = &rule.kind else { return Err("it is not a map".to_owned()) };
            let scratch = format!("{MEMBER}_{number}_{index}");
            let target = get_text(rule, "target_label").ok_or("it has no `target_label`")?;
            let made = entries.iter().map(|(key, value)| match text(key) {
                Some("target_label") => (key.clone(), Node::text(&scratch)),
                _ => (key.clone(), value.clone()),
            });
            let taken = Node::map(vec![
                (Node::text("source_labels"), texts(&[MEMBER.to_owned(), scratch.clone()])),
                (Node::text("regex"), Node::text(&format!("{me};((?s:.*))"))),
                (Node::text("target_label"), Node::text(target)),
            ]);
            Ok(vec![Node::map(made.collect()), taken])
        }
        "labeldrop" => {
            let name = |name: &str| label_name(name).is_ok();
            match regex.split('|').all(name) {
                true => Ok(regex.split('|').map(|label| only(number, label, "")).collect()),
                false => Err("`labeldrop` looks at names, whatever the entry".to_owned()),
            }
        }
        other => Err(format!("`{}` looks at all entries alike", printable(other))),
    }
}

/// The stages of all jobs, each behind a `match` for its entries.
fn stages_of(jobs: &[Job<'_>], told_by: Option<&str>) -> Node {
    let Some(label) = told_by else {
        return sequence(jobs.first().map(|job| job.list("pipeline_stages").to_vec()).unwrap_or_default());
    };
    let stage = |name: &str, value: Node| Node::map(vec![(Node::text(name), value)]);
    let mut stages = Vec::new();
    for (number, job) in jobs.iter().enumerate() {
        let own = job.list("pipeline_stages");
        if !own.is_empty() {
            let selector = format!("{{{label}=\"{}\"}}", name_of(number));
            let of_job = vec![
                (Node::text("selector"), Node::text(&selector)),
                (Node::text("stages"), sequence(own.to_vec())),
            ];
            stages.push(stage("match", Node::map(of_job)));
        }
    }
    stages.push(stage("labeldrop", texts(&[label.to_owned()])));
    sequence(stages)
}
