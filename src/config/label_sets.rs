//! Checks of labels that need several sections: each entry has at least one label at every destination, and no more than Loki
//! takes.

use std::collections::BTreeSet;

use super::{Destination, Labels};
use crate::shape::limits::{LABEL_NAMES_MAX, SERVICE_NAME};
use crate::yaml::{Checker, Finding, Span};

/// Checks that every entry has at least one label at every destination, and no more than Loki takes. If rules may change
/// labels, this cannot be checked. `places` has the value of each destination, in their order.
pub(super) fn check(
    checker: &Checker<'_>,
    labels: &Labels,
    labels_place: Option<Span>,
    destinations: &[(Destination, Span)],
) {
    if !labels.relabel.is_empty() {
        return;
    }
    let shared: BTreeSet<&str> = labels
        .fixed
        .iter()
        .map(|(name, _)| name.as_str())
        .chain(labels.fields.iter().map(|rule| rule.name.as_str()))
        .collect();

    if labels.fixed.is_empty() {
        let without = destinations.iter().find(|(destination, _)| destination.labels.is_empty());
        let place = without.map(|(_, place)| place.clone());
        if without.is_some() || destinations.is_empty() {
            let title = "an entry could end without any label";
            let finding = match labels_place.clone().or(place) {
                Some(place) => Finding::at(place, title),
                None => Finding::nowhere(title),
            };
            checker.note(
                finding
                    .label("an entry may lack every label here")
                    .note(
                        "a journal field can be missing in an entry, and Loki refuses entries without labels",
                    )
                    .help("add a fixed one: `static: {job: systemd-journal}`"),
            );
        }
    }

    if let Some(count) = too_many(shared.iter().copied()) {
        if let Some(place) = labels_place {
            checker.note(too_many_finding(place, count));
        }
        return;
    }
    for (destination, place) in destinations {
        let own = destination.labels.iter().map(|(name, _)| name.as_str());
        if let Some(count) = too_many(own.chain(shared.iter().copied()).collect::<BTreeSet<_>>()) {
            let finding = too_many_finding(place.clone(), count);
            checker.note(match &labels_place {
                Some(labels) => finding.related(labels.clone(), "together with these"),
                None => finding.note("the default `labels` count too"),
            });
        }
    }
}

fn too_many<'n>(names: impl IntoIterator<Item = &'n str>) -> Option<usize> {
    let count = names.into_iter().filter(|name| *name != SERVICE_NAME).count();
    (count > LABEL_NAMES_MAX).then_some(count)
}

fn too_many_finding(place: Span, count: usize) -> Finding {
    Finding::at(place, format!("{count} label names"))
        .label(format!("expected at most {LABEL_NAMES_MAX}, `{SERVICE_NAME}` not counted"))
        .note("Loki refuses every entry whose stream has more")
        .help("move labels that need not select a stream to `structured_metadata`")
}
