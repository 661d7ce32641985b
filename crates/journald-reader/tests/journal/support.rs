//! The support that the agent's tests have, too, but for what needs the built agent.
#![allow(dead_code, unreachable_pub, unused_imports, unused_macros, missing_docs)]

#[path = "../../../../tests/support/fixtures.rs"]
pub mod fixtures;
#[path = "../../../../tests/support/journald/mod.rs"]
pub mod journald;
#[path = "../../../../tests/support/journals.rs"]
pub mod journals;
#[path = "../../../../tests/support/layout.rs"]
pub mod layout;
#[path = "../../../../tests/support/merge.rs"]
pub mod merge;
#[path = "../../../../tests/support/random.rs"]
pub mod random;
#[path = "../../../../tests/support/reading.rs"]
pub mod reading;
#[path = "../../../../tests/support/sound.rs"]
pub mod sound;
#[path = "../../../../tests/support/unavailable.rs"]
pub mod unavailable;

pub(crate) use unavailable::or_skip;
pub use unavailable::{Unavailable, root, skipped};
