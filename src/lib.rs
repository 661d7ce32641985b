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

pub mod os;

pub mod yaml;

pub mod journal;

pub mod shape;

pub mod pipeline;

pub mod client;
pub mod observe;

pub mod loki;

pub mod alerts;

pub mod config;
pub mod convert;

pub mod agent;
pub mod dry_run;

pub mod cli;
