//! journal-ship: journald's entries to Grafana Loki.
pub mod config;
pub mod loki;
