//! What a benchmark of the whole program stands on: a large journal that is the same everywhere, a Loki
//! that only counts, and the cost of a process as the kernel accounts it.

pub(crate) mod generate;
pub(crate) mod host;
pub(crate) mod messages;
pub(crate) mod process;
pub(crate) mod random;
pub(crate) mod sink;
pub(crate) mod units;

/// Errors end a benchmark; what matters is the text.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
