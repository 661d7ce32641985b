//! Finds the labels that the series of an expression can have, and warns of parts of it that ask for other labels.

use std::collections::BTreeSet;

use crate::journal::fields::field_of;
use crate::shape::known::KnownLabels;
use crate::yaml::{Lint, quoted};
use logql::MatchOp;
use logql::expr::{
    BinaryOp, BinaryOperation, Cardinality, Expr, Grouping, LogQuery, RangeAggregation, RangeOp, VectorOp,
};
use logql::nearest::nearest;
use logql::pipeline::{DETECTED_LEVEL, FIELD, level_name};
use logql::stage::{Format, LabelFilter, Named, Stage};

/// Loki adds this to the name of an extracted label if the entry has a label of that name.
const DUPLICATE: &str = "_extracted";

/// Names of labels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    names: BTreeSet<String>,
    /// Whether there may be any other labels, because a parser takes them out of lines.
    open: bool,
}

impl Names {
    /// Whether there can be a label of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        // Any rule may name a field that journald writes.
        self.open || self.names.contains(name) || name.starts_with("__error") || field_of(name).is_some()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The warning about a name that is not among them.
    pub(super) fn help(&self, name: &str) -> String {
        match nearest(name, self.iter()) {
            _ if name.starts_with(FIELD) => {
                "a rule may name a field that journald itself writes, as `__journal__exe`; docs/fields.md lists them".to_owned()
            }
            Some(near) => format!("did you mean `{near}`?"),
            None if self.names.is_empty() => "its series have no labels".to_owned(),
            None => {
                let all: Vec<_> = self.iter().map(|name| format!("`{name}`")).collect();
                format!("there are {}", all.join(", "))
            }
        }
    }

    fn group(mut self, grouping: &Grouping) -> Names {
        let listed = |name: &str| grouping.labels.iter().any(|label| label == name);
        if grouping.without {
            self.names.retain(|name| !listed(name));
            return self;
        }
        let names = grouping.labels.iter().filter(|label| self.has(label)).cloned().collect();
        Names { names, open: false }
    }
}

/// The labels that the series of an expression can have.
pub(crate) fn of(expr: &Expr, known: &KnownLabels) -> Names {
    match expr {
        Expr::Number(_) | Expr::Vector(_) => Names::default(),
        Expr::Range(range) => match &range.grouping {
            Some(grouping) => of_range(range, known).group(grouping),
            None => of_range(range, known),
        },
        Expr::Aggregate(aggregation) => {
            let inner = of(&aggregation.inner, known);
            match chooses(aggregation.op) {
                true => inner,
                false => inner.group(&aggregation.grouping),
            }
        }
        Expr::Binary(binary) => of_binary(binary, known),
        Expr::LabelReplace(replace) => {
            let mut names = of(&replace.inner, known);
            names.names.insert(replace.to.clone());
            names
        }
    }
}

/// Whether an aggregation only chooses among series, or sorts them.
pub(super) fn chooses(op: VectorOp) -> bool {
    matches!(op, VectorOp::Bottomk | VectorOp::Topk | VectorOp::Sort | VectorOp::SortDesc)
}

fn of_binary(binary: &BinaryOperation, known: &KnownLabels) -> Names {
    let (left, right) = (of(&binary.left, known), of(&binary.right, known));
    let scalar = |expr: &Expr| matches!(expr, Expr::Number(_));
    match () {
        () if binary.op == BinaryOp::Or => Names {
            open: left.open || right.open,
            names: left.names.into_iter().chain(right.names).collect(),
        },
        () if binary.op.is_set() || scalar(&binary.right) => left,
        () if scalar(&binary.left) => right,
        () => {
            let matching = &binary.matching;
            let (mut many, one) = match matching.cardinality {
                Cardinality::OneToMany => (right, left),
                _ => (left, right),
            };
            if matching.cardinality != Cardinality::OneToOne {
                many.names.extend(matching.include.iter().filter(|name| one.has(name)).cloned());
                return many;
            }
            many.group(&Grouping { without: !matching.on, labels: matching.labels.clone() })
        }
    }
}

/// The labels before any grouping.
pub(super) fn of_range(range: &RangeAggregation, known: &KnownLabels) -> Names {
    if range.op == RangeOp::AbsentOverTime {
        let equal = range.query.matchers.iter().filter(|matcher| matcher.op() == MatchOp::Equal);
        return Names { names: equal.map(|matcher| matcher.name().to_owned()).collect(), open: false };
    }
    let mut names = begin(known);
    range.query.stages.iter().for_each(|stage| after(stage, &mut names));
    if let Some(unwrap) = &range.query.unwrap {
        names.names.remove(&unwrap.label);
    }
    names
}

/// The labels and metadata of an entry.
fn begin(known: &KnownLabels) -> Names {
    let mut names: BTreeSet<String> = known.names().chain(known.metadata()).map(str::to_owned).collect();
    names.insert(DETECTED_LEVEL.to_owned());
    Names { names, open: known.is_open() }
}

/// The labels after a stage of a query.
fn after(stage: &Stage, names: &mut Names) {
    let mut add = |name: &str| {
        names.names.insert(format!("{name}{DUPLICATE}"));
        names.names.insert(name.to_owned());
    };
    match stage {
        Stage::Json(fields) if !fields.is_empty() => fields.iter().for_each(|(name, _)| add(name)),
        Stage::Logfmt { fields, .. } if !fields.is_empty() => fields.iter().for_each(|(name, _)| add(name)),
        Stage::Json(_) | Stage::Logfmt { .. } | Stage::Unpack => names.open = true,
        Stage::Regexp(regex) => regex.capture_names().flatten().for_each(add),
        Stage::Pattern(pattern) => pattern.names().for_each(add),
        Stage::LabelFormat(formats) => {
            for (name, format) in formats {
                if let Format::Rename(from) = format {
                    names.names.remove(from);
                }
                names.names.insert(name.clone());
            }
        }
        Stage::Drop(labels) => {
            for label in labels {
                if let Named::Label(name) = label {
                    names.names.remove(name);
                }
            }
        }
        Stage::Keep(labels) => {
            let kept = labels.iter().map(|label| match label {
                Named::Label(name) => name.as_str(),
                Named::Matching(matcher) => matcher.name(),
            });
            let kept = kept.filter(|name| names.has(name)).map(str::to_owned).collect();
            *names = Names { names: kept, open: false };
        }
        Stage::Line(_) | Stage::Filter(_) | Stage::LineFormat(_) | Stage::Decolorize => {}
    }
}

/// Warns of groupings by a label that no series has, and of label filters that no entry passes.
pub(super) fn lint(expr: &Expr, known: &KnownLabels, lints: &mut Vec<Lint>) {
    let mut grouped = |grouping: &Grouping, names: &Names| {
        for label in grouping.labels.iter().filter(|label| !grouping.without && !names.has(label)) {
            lints.push(Lint {
                title: format!("no series has the label `{label}`"),
                label: "grouping by it tells nothing apart".to_owned(),
                help: names.help(label),
                part: Some(label.clone()),
            });
        }
    };
    match expr {
        Expr::Number(_) | Expr::Vector(_) => {}
        Expr::Range(range) => {
            if let Some(grouping) = &range.grouping {
                grouped(grouping, &of_range(range, known));
            }
            of_filters(&range.query, known, lints);
        }
        Expr::Aggregate(aggregation) => {
            grouped(&aggregation.grouping, &of(&aggregation.inner, known));
            lint(&aggregation.inner, known, lints);
        }
        Expr::Binary(binary) => {
            lint(&binary.left, known, lints);
            lint(&binary.right, known, lints);
        }
        Expr::LabelReplace(replace) => {
            if let Some(group) = logql::go::re2::missing_group(&replace.regex, &replace.replacement) {
                lints.push(Lint {
                    title: format!(
                        "`{group}` is not a group of the expression: {}",
                        quoted(replace.regex.source())
                    ),
                    label: format!("where it matches, the label `{}` is taken away", replace.to),
                    help: "put what is to be taken in parentheses".to_owned(),
                    part: Some(group),
                });
            }
            lint(&replace.inner, known, lints);
        }
    }
}

fn of_filters(query: &LogQuery, known: &KnownLabels, lints: &mut Vec<Lint>) {
    let mut names = begin(known);
    let mut levels = true;
    for stage in &query.stages {
        match stage {
            Stage::Filter(filter) => of_filter(filter, &names, levels, lints),
            Stage::LabelFormat(_) => levels = false,
            _ => {}
        }
        after(stage, &mut names);
    }
    if let Some(unwrap) = query.unwrap.as_ref().filter(|unwrap| !names.has(&unwrap.label)) {
        lints.push(Lint {
            title: format!("no entry has the label `{}` here", unwrap.label),
            label: "there is nothing to unwrap".to_owned(),
            help: format!("{}, or a parser before it, as `| json` or `| logfmt`", names.help(&unwrap.label)),
            part: Some(unwrap.label.clone()),
        });
    }
}

fn of_filter(filter: &LabelFilter, names: &Names, levels: bool, lints: &mut Vec<Lint>) {
    let name = match filter {
        LabelFilter::Text(matcher) => {
            let level = level_name(matcher.value());
            if levels
                && matcher.name() == DETECTED_LEVEL
                && matcher.op() == MatchOp::Equal
                && let Some(level) = level.filter(|level| *level != matcher.value())
            {
                lints.push(Lint {
                    title: format!("no entry has {matcher}"),
                    label: "this selects nothing".to_owned(),
                    help: format!("Loki calls it `{level}`"),
                    part: Some(matcher.to_string()),
                });
            }
            Some(matcher.name()).filter(|_| !matcher.matches(""))
        }
        LabelFilter::Number(name, ..)
        | LabelFilter::Duration(name, ..)
        | LabelFilter::Bytes(name, ..)
        | LabelFilter::Ip(name, true, ..) => Some(name.as_str()),
        LabelFilter::Ip(..) | LabelFilter::Or(_) => None,
        LabelFilter::And(both) => {
            both.iter().for_each(|filter| of_filter(filter, names, levels, lints));
            None
        }
    };
    if let Some(name) = name.filter(|name| !names.has(name)) {
        lints.push(Lint {
            title: format!("no entry has the label `{name}` here"),
            label: "nothing passes this filter".to_owned(),
            help: format!("{}, or a parser before it, as `| json` or `| logfmt`", names.help(name)),
            part: Some(name.to_owned()),
        });
    }
}
