//! What LogQL, Promtail's stages and Prometheus' annotations take over from Go: its regular expressions, templates,
//! layouts of times, quoted strings, and logfmt.

pub mod logfmt;
pub mod quote;
pub mod re2;
pub mod template;
pub mod time;
