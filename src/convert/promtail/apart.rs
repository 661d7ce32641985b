//! Each entry belongs to the first job whose `matches` it fits. A label that only relabelling sees says which job that is, so
//! what a job does is done to its entries alone.

use super::jobs::{Job, Match};
use super::*;
use crate::shape::names::label_name;

/// The label that says to relabelling which job an entry belongs to.
const MEMBER: &str = "__scrape";
/// The label by which stages tell the entries of the jobs apart. It is dropped after the stages.
const TOLD_APART: &str = "scrape_job";

impl Conversion {
    /// Writes labels and the rules that make them. Returns the label that tells jobs apart for stages, if it is needed.
    pub(super) fn joined_labels(
        &mut self,
        jobs: &[Job<'_>],
        limits: Option<&Node>,
        apart: bool,
    ) -> Option<String> {
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
        if apart {
            // What is compared in rules is not expanded. In `journal.match` it is.
            for job in jobs {
                let values = || job.matches.iter().flat_map(Match::values).flatten();
                let names: Vec<&str> = values().flat_map(|value| variables::names(value)).collect();
                if !names.is_empty() {
                    let place = format!("{} matches, in relabel_configs", job.name());
                    self.tell(0, &variables::unexpanded(&place, &names));
                }
            }
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

/// The labels of a job. If it has none, Promtail would drop all of its entries; then its name becomes a label.
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

/// The value that stands for a job. No such value is the beginning of another one.
fn name_of(number: usize) -> String {
    format!("{}:", number + 1)
}

fn sequence(items: Vec<Node>) -> Node {
    Node { kind: Kind::Seq(items), ..Node::text("") }
}

fn texts(items: &[String]) -> Node {
    sequence(items.iter().map(|item| Node::text(item)).collect())
}

/// A regular expression that matches exactly `text`.
fn literal(text: &str) -> String {
    text.chars().flat_map(|c| r"\.+*?()|[]{}^$".contains(c).then_some('\\').into_iter().chain([c])).collect()
}

/// Rules that mark the entries of a job.
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

/// The rules that do what `rule` does, but only to the entries of one job.
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
        // The value is made for all entries under another name, and taken over for the entries of this job.
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

/// The stages of all jobs. Those of each job stand in a `match` for its entries.
pub(super) fn stages_of(jobs: &[Job<'_>], told_by: Option<&str>) -> Node {
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
