//! The journal as the agent reads it.

pub mod fields;
pub(crate) mod follow;
