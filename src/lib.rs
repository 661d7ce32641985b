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
//! Each destination has a tail, a pipeline, a batch and a pusher of its own; [`agent`] starts and stops them, [`dry_run`]
//! takes the same way and shows what comes out of it.
//!
//! The modules below are rooms. A room imports only rooms that stand before it in this list; the test `house` holds every
//! import to it. Unit tests of a room may also read a whole configuration, as a user writes it.
//!
//! - [`os`]: the system around: times as people write them, text that is safe to show, small files, the log, systemd
//! - [`yaml`]: documents with places, and messages with carets; it knows no key of a section
//! - [`client`]: HTTP to one server; how a server is reached (`basic_auth`, `tls`, …)
//! - [`observe`]: metrics, readiness, the listener; the section `http:`
//! - [`journal`]: what is known of journal fields; the section `journal:`
//! - [`shape`]: labels, stages, line and retention, and their sections; Loki's limits
//! - [`loki`]: batches, the push API, checkpoints; the section `loki:`
//! - [`pipeline`]: the way of an entry from a tail to a batch
//! - [`alerts`]: rules, states, Alertmanager; the section `alerts:` and the formats of rule files and their tests
//! - [`query`]: LogQL asked of the journal, with no Loki; the journal compared with what is in Loki
//! - [`config`]: one field a section, and what only several sections together can tell
//! - [`convert`]: configurations of other programs to ours
//! - [`agent`]: the threads and tasks of the daemon
//! - [`dry_run`]: the same way, shown to a person
//! - [`cli`]: arguments to a command

pub mod agent;
pub mod alerts;
pub mod cli;
pub mod client;
pub mod config;
pub mod convert;
pub mod dry_run;
pub mod journal;
pub mod loki;
pub mod observe;
pub mod os;
pub mod pipeline;
pub mod query;
pub mod shape;
pub mod yaml;
