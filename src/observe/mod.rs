//! What is seen from outside: metrics, readiness, and the listener that answers for them.

pub mod health;
pub mod http;
pub mod metrics;
pub(crate) mod page;
pub mod process;
pub mod rules;
pub(crate) mod section;
pub mod status;

pub use section::Http;
