//! The journal as the agent reads it: the section `journal:`, and what is known of journal fields.

pub mod fields;
pub(crate) mod follow;
pub(crate) mod lint;
pub(crate) mod names;
pub(crate) mod section;
pub(crate) mod sender;
pub(crate) mod unreadable;
pub(crate) mod values;

pub use section::Journal;
