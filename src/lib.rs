//! journal-ship: journald's entries to Grafana Loki.
//!
//! ```text
//!     journald's files                                                      Loki
//!         |                                                                   ^
//!         v                                                                   | POST, snappy protobuf
//!     journal::Tail -> entry::Entry -> labels -> stages -> retention -> batch -> loki::push
//!         |                            (pipeline takes it through)            |
//!         +---- resumes here <------------- loki::checkpoint <----------- acknowledged
//! ```
//!
//! The modules below stand in the order of that way. Each destination has a tail, a pipeline, a batch and
//! a pusher of its own; [`agent`] starts and stops them, [`dry_run`] takes the same way and shows what
//! comes out of it.

pub mod cli;
pub mod config;
pub mod convert;
pub mod when;

pub mod journal;

pub mod entry;
pub mod journal_fields;

pub mod go_time;
pub(crate) mod jmespath;
pub mod labels;
pub mod line;
pub mod logql;
pub mod re2;
pub mod retention;
pub mod sample;
pub mod stages;
pub mod template;

pub mod pipeline;
pub mod rules;

pub mod batch;

pub mod client;
mod disk;
pub mod health;
pub mod loki;

pub mod alertmanager;

pub mod agent;
pub mod dry_run;
pub mod http;
pub mod log;
pub mod metrics;
pub mod systemd;
