//! What becomes of an entry: its labels, its stages, its line, and whether it is kept.

pub mod explain;
pub mod known;
pub mod labels;
pub mod limits;
pub mod line;
pub(crate) mod names;
pub mod retention;
pub mod sample;
pub mod shown;
pub mod stages;
pub mod trust;

use labels::{FieldRule, Labels};
use line::Line;
use retention::Retention;
use stages::StageSettings;

/// The sections that say what becomes of an entry.
#[derive(Debug, Clone, Copy)]
pub struct Sections<'c> {
    /// `labels`
    pub labels: &'c Labels,
    /// `structured_metadata`
    pub metadata: &'c [FieldRule],
    /// `line`
    pub line: Line,
    /// `stages`
    pub stages: &'c [StageSettings],
    /// `retention`
    pub retention: Option<&'c Retention>,
}
