//! Which journal is asked, as long as a configuration is in force.

use super::journal::Journal;
use crate::loki::Destination;
use crate::shape::Sections;
use crate::shape::labels::{FieldRule, Labels};
use crate::shape::line::Line;
use crate::shape::retention::Retention;
use crate::shape::stages::StageSettings;
use journald_reader::Scope;

/// A journal, and the sections that give its entries their labels, held.
#[derive(Debug, Clone)]
pub struct Source {
    scope: Scope,
    labels: Labels,
    metadata: Vec<FieldRule>,
    line: Line,
    stages: Vec<StageSettings>,
    retention: Option<Retention>,
    destination: Option<Destination>,
}

impl Source {
    /// The journal of a scope. Answers are what this destination would get.
    pub fn new(scope: &Scope, sections: Sections<'_>, destination: Option<&Destination>) -> Source {
        Source {
            scope: scope.clone(),
            labels: sections.labels.clone(),
            metadata: sections.metadata.to_vec(),
            line: sections.line,
            stages: sections.stages.to_vec(),
            retention: sections.retention.cloned(),
            destination: destination.cloned(),
        }
    }

    /// The journal, to be asked.
    pub fn journal(&self) -> Journal<'_> {
        let sections = Sections {
            labels: &self.labels,
            metadata: &self.metadata,
            line: self.line,
            stages: &self.stages,
            retention: self.retention.as_ref(),
        };
        Journal::new(self.scope.clone(), sections, self.destination.as_ref())
    }
}
