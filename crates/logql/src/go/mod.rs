//! What LogQL, Promtail's stages and Prometheus' annotations take over from Go: regular expressions, templates, time
//! layouts, quoted strings, durations and sizes, JSON and logfmt.
//!
//! A module imports only modules that stand before it here.

pub mod float;

pub(crate) mod quote;

mod number;

pub mod units;

pub mod json;
pub mod logfmt;

pub mod re2;

pub mod time;

pub mod template;
