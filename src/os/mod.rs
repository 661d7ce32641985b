//! The system around this program: times as people write them, text that is safe to show, small files, the log, systemd.

pub(crate) mod descriptors;
pub(crate) mod disk;
pub mod log;
pub mod systemd;
pub mod text;
pub mod when;
