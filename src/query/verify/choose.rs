//! Which question tells many streams apart: groups of streams with the same label names, small enough for one answer.
//!
//! `sum by (names) (count_over_time({selector}[step]))` gives a value for each stream of a group. The names are those of the
//! group's labels, and the selector excludes streams that have other names of ours: where a name is not a label, a query takes
//! it from structured metadata, and one stream would become many series.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::expected::Streams;
use crate::shape::limits::SERVICE_NAME;
use logql::{MatchOp, Matcher};

/// The most streams in a question (count): less than half of Loki's limit for series (`max_query_series`, 500), because
/// others may have streams that the same selector chooses.
const STREAMS_MAX: usize = 200;
/// The longest selector (bytes), unless a single stream needs a longer one. Proxies take addresses of 8 KiB, in which many characters
/// count thrice.
const SELECTOR_MAX: usize = 2048;

/// Streams that are asked about together.
#[derive(Debug, Clone)]
pub(super) struct Group<'s> {
    pub(super) tenant: Option<&'s Arc<str>>,
    /// The names of their labels.
    pub(super) names: Vec<&'s str>,
    /// Names that only other streams have.
    absent: Vec<&'s str>,
    /// The values of their labels, with the number of each stream.
    pub(super) streams: Vec<(Vec<&'s str>, u32)>,
}

/// Puts streams into groups.
pub(super) fn groups<'s>(streams: &'s Streams, wanted: &[u32]) -> Vec<Group<'s>> {
    let all: BTreeSet<&str> =
        streams.iter().flat_map(|(_, labels)| labels.keys().map(String::as_str)).collect();
    let mut groups: BTreeMap<(Option<&Arc<str>>, Vec<&str>), Group<'_>> = BTreeMap::new();
    for number in wanted {
        let Some((name, labels)) = streams.get(*number) else { continue };
        let names: Vec<&str> = labels.keys().map(String::as_str).collect();
        let tenant = name.tenant.as_ref();
        let group = groups.entry((tenant, names.clone())).or_insert_with(|| Group {
            tenant,
            // Loki adds this one where it is missing.
            absent: all
                .iter()
                .filter(|name| !labels.contains_key(**name) && **name != SERVICE_NAME)
                .copied()
                .collect(),
            names,
            streams: Vec::new(),
        });
        group.streams.push((labels.values().map(String::as_str).collect(), *number));
    }
    groups.into_values().flat_map(Group::fit).collect()
}

impl<'s> Group<'s> {
    /// The group of one stream.
    pub(super) fn of(streams: &'s Streams, number: u32) -> Option<Group<'s>> {
        groups(streams, &[number]).pop()
    }

    /// The stream that has these labels.
    pub(super) fn stream(&self, labels: &BTreeMap<String, String>) -> Option<u32> {
        let values = self.names.iter().map(|name| labels.get(*name).map_or("", String::as_str));
        let at = self.streams.iter().position(|(known, _)| known.iter().copied().eq(values.clone()))?;
        self.streams.get(at).map(|(_, number)| *number)
    }

    /// `{a="1", b=~"2|3", c=""}`
    pub(super) fn selector(&self) -> String {
        let mut matchers: Vec<String> = Vec::new();
        let mut put = |name: &str, op, value: &str| {
            // Values are escaped, so they are valid expressions.
            matchers.extend(Matcher::new(name, op, value).ok().map(|matcher| matcher.to_string()));
        };
        for (at, name) in self.names.iter().enumerate() {
            let values = self.values(at);
            match values.first() {
                Some(only) if values.len() == 1 => put(name, MatchOp::Equal, only),
                _ => {
                    let escaped: Vec<String> = values.into_iter().map(regex::escape).collect();
                    put(name, MatchOp::Regex, &escaped.join("|"));
                }
            }
        }
        self.absent.iter().for_each(|name| put(name, MatchOp::Equal, ""));
        format!("{{{}}}", matchers.join(", "))
    }

    /// The question how many entries each stream has in each step of so many seconds.
    pub(super) fn counts(&self, seconds: i64) -> String {
        format!("sum by ({}) (count_over_time({}[{seconds}s]))", self.names.join(", "), self.selector())
    }

    /// The different values of a label.
    fn values(&self, at: usize) -> BTreeSet<&'s str> {
        self.streams.iter().filter_map(|(values, _)| values.get(at).copied()).collect()
    }

    /// Divides a group until each part fits into a question.
    fn fit(self) -> Vec<Group<'s>> {
        if self.streams.len() <= STREAMS_MAX && self.selector().len() <= SELECTOR_MAX {
            return vec![self];
        }
        match self.clone().halves() {
            Some(halves) => halves.into_iter().flat_map(Group::fit).collect(),
            None => vec![self],
        }
    }

    /// Divides a group by the values of the label that has most, so that no selector chooses a stream of the other half. `None`:
    /// there is one stream only.
    pub(super) fn halves(mut self) -> Option<[Group<'s>; 2]> {
        let at = (0..self.names.len()).max_by_key(|at| self.values(*at).len())?;
        let value = |stream: &(Vec<&'s str>, u32)| stream.0.get(at).copied();
        self.streams.sort_by_key(value);
        let middle = self.streams.get(self.streams.len() / 2).and_then(value);
        let first = self.streams.partition_point(|stream| value(stream) < middle);
        let behind = self.streams.partition_point(|stream| value(stream) <= middle);
        let cut = if first > 0 { first } else { behind };
        let rest = self.streams.split_off(cut);
        let other = Group { streams: rest, ..self.clone() };
        (!self.streams.is_empty() && !other.streams.is_empty()).then_some([self, other])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use logql::Query;

    fn streams(labels: &[(Option<&str>, String)]) -> (Streams, Vec<u32>) {
        let mut streams = Streams::default();
        let numbers =
            labels.iter().filter_map(|(tenant, labels)| streams.number(*tenant, &Arc::from(labels.as_str())));
        let numbers = numbers.collect();
        (streams, numbers)
    }

    #[test]
    fn a_question_is_about_streams_of_the_same_names() {
        let labels = [
            (None, r#"{host="a", unit="x.service"}"#.to_owned()),
            (None, r#"{host="a", unit="y\\\"|"}"#.to_owned()),
            (None, r#"{host="a"}"#.to_owned()),
            (Some("t"), r#"{host="a", service_name="s"}"#.to_owned()),
        ];
        let (streams, numbers) = streams(&labels);
        let groups = groups(&streams, &numbers);
        let asked: Vec<_> =
            groups.iter().map(|group| (group.tenant.map(|t| &**t), group.counts(60))).collect();
        let count =
            |names: &str, selector: &str| format!("sum by ({names}) (count_over_time({selector}[60s]))");
        assert_eq!(
            asked,
            [
                (None, count("host", r#"{host="a", unit=""}"#)),
                (None, count("host, unit", r#"{host="a", unit=~"x\\.service|y\\\\\"\\|"}"#)),
                (Some("t"), count("host, service_name", r#"{host="a", service_name="s", unit=""}"#)),
            ]
        );
        for (_, text) in asked {
            Query::parse(&text).unwrap();
        }
        let of = |unit: &str| {
            let labels =
                [("host", "a"), ("unit", unit)].map(|(name, value)| (name.to_owned(), value.to_owned()));
            groups.iter().find(|group| group.names.len() == 2).unwrap().stream(&labels.into())
        };
        assert_eq!((of("x.service"), of("y\\\"|"), of("z")), (Some(0), Some(1), None));
    }

    #[test]
    fn no_half_of_a_group_asks_for_a_stream_of_the_other() {
        let labels: Vec<_> = (0..777)
            .map(|n| (None, format!(r#"{{a="{}", b="{}", c="{}"}}"#, n % 7, n / 7 % 3, n / 21)))
            .collect();
        let (streams, numbers) = streams(&labels);
        let groups = groups(&streams, &numbers);
        assert!(groups.len() > 3 && groups.iter().all(|group| group.streams.len() <= STREAMS_MAX));
        for group in &groups {
            let Ok(Query::Logs(query)) = Query::parse(&group.selector()) else {
                panic!("{}", group.selector())
            };
            for number in &numbers {
                let (_, labels) = streams.get(*number).unwrap();
                let chosen = query.matchers.iter().all(|m| m.matches(labels.get(m.name()).map_or("", |v| v)));
                assert_eq!(chosen, group.stream(labels) == Some(*number), "{labels:?} {}", group.selector());
            }
        }
        assert_eq!(groups.iter().map(|group| group.streams.len()).sum::<usize>(), 777);
        let one = Group::of(&streams, 5).unwrap();
        assert!(one.halves().is_none());
    }
}
