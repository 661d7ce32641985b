//! The journal as the agent reads it.

pub mod fields;
