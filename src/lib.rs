//! journal-ship: journald's entries to Grafana Loki.
pub mod agent;
pub mod batch;
pub mod cli;
pub mod config;
pub mod dry_run;
pub mod entry;
pub mod journal;
pub mod labels;
pub mod line;
pub mod log;
pub mod loki;
pub mod pipeline;
pub mod when;
