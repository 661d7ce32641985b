//! Alert rules: LogQL expressions that are evaluated on the host, on the same entries that are shipped.
//!
//! ```text
//!     entry -> engine: sources -> windows of buckets -> evaluation at each tick -> alert states
//! ```
//!
//! [`engine`] looks at each entry once for all expressions that want the same of it, [`state`] says what fires.

mod bucket;
pub mod engine;
pub mod state;
mod window;
