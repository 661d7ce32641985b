//! Pipelines at work: what the stages of a query make of the line and the labels of an entry (grafana/loki,
//! `pkg/logql/log`).

mod added;
mod json;
mod level;
mod paths;
mod row;

mod filter;
mod format;
mod parse;

mod run;

mod extractor;
mod lines;

pub use extractor::{Extractor, FIELD};
pub use level::{DETECTED_LEVEL, detected_level, level_name};
pub use lines::{Categories, Shown};
pub use row::{DETAILS, ERROR, PRESERVE};
