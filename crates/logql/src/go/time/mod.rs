//! Times in Go's layouts: a layout is the reference time `Mon Jan 2 15:04:05 MST 2006`, written in the way in which the
//! times are written (Go's `time/format.go`).
//!
//! Reading is as forgiving as Go's: numbers without leading zeros where the layout has none, and a fraction of a
//! second behind the seconds even if the layout has none.
//!
//! Zones mean what they mean in Go (`parse` in `time/format.go`, `Date` in `time/time.go`, `lookupName` in
//! `time/zoneinfo.go`): this decides about a time that a change of the clocks skips or repeats, and about a zone's name
//! such as `CET`.

mod layout;
mod parts;
mod read;
mod write;

mod doubt;
mod meant;

pub use doubt::doubt;
pub use layout::{Layout, MONTHS};
pub use meant::meant;
pub use read::LayoutError;

#[cfg(test)]
mod tests;
