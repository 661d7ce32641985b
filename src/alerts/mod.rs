//! Alert rules: LogQL expressions that are evaluated on the host, on the same entries that are shipped.
//!
//! ```text
//!     entry -> engine: sources -> windows of buckets -> evaluation at each tick -> alert states
//! ```
//!
//! [`engine`] looks at each entry once for all expressions that want the same of it, [`state`] says what fires, [`run`] joins
//! them for the groups of rule files ([`mod@file`]), and [`unit_test`] tries rules on lines that a person makes up.

pub mod alertmanager;
mod bucket;
pub mod engine;
pub mod failure;
mod fields;
pub mod file;
pub mod history;
mod link;
pub(crate) mod lint;
pub mod memory;
mod origin;
pub mod over;
mod pieces;
pub mod run;
pub mod saved;
pub(crate) mod section;
pub(crate) mod shown;
pub mod state;
pub mod unit_test;
pub mod watch;
mod window;

pub use section::{Alertmanager, Alerts, RuleFile};
pub use watch::Watcher;
pub use window::Crowded;
