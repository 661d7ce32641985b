//! Grafana Loki's push API: the body, the client, and how far Loki has acknowledged.

mod answer;
mod behind;
pub mod checkpoint;
mod crowd;
pub mod encode;
pub mod learned;
mod pace;
#[allow(missing_docs)] // generated
pub mod proto;
pub mod push;
mod split;
