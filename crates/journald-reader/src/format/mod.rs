//! The format on disk: where each number of a file stands, how payloads are hashed and compressed, and why bytes cannot
//! be what journald wrote. Nothing here reads a file.

pub(crate) mod decompress;
pub(crate) mod fault;
pub(crate) mod hash;
mod lz4;
pub(crate) mod name;
pub(crate) mod object;
pub(crate) mod step;
