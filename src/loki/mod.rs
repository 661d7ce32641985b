//! Grafana Loki's push API: the body, the client, and how far Loki has acknowledged.

pub mod checkpoint;
pub mod encode;
#[allow(missing_docs)] // generated
pub mod proto;
pub mod push;
