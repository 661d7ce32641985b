//! What becomes of an entry: its labels, its stages, its line, and whether it is kept.

pub mod labels;
pub mod line;
pub mod retention;
pub mod sample;
pub mod stages;
