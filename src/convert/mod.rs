//! Converting the configuration of another program into ours.
//!
//! Nothing is lost in silence: what has no counterpart becomes a comment at its place in the result, and a note
//! for whoever converts.

mod promtail;
mod yaml;

pub use promtail::{Converted, promtail};
