//! Converting the configuration of another program into ours.
//!
//! Nothing is lost in silence. What has no counterpart here becomes a comment at its place in the result, and a note for the
//! person who converts.

mod promtail;

pub use promtail::{Converted, promtail};
