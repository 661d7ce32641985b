//! Grafana Loki as the agent sees it: the push API.
#[rustfmt::skip]
#[allow(missing_docs)]
pub mod proto;
