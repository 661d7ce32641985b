//! Grafana Loki's push API: the body, the client, and how far Loki has acknowledged.

mod answer;
pub mod batch;
mod behind;
pub mod checkpoint;
mod crowd;
mod deliver;
pub mod encode;
pub mod learned;
mod pace;
mod part;
#[allow(missing_docs)] // generated
pub mod proto;
pub mod push;
mod remainder;
pub(crate) mod section;
mod split;
mod words;

pub(crate) use answer::{is_barred, refusals};
pub use section::{Batch, Destination};
