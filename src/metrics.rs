//! Metrics: what this process counts, in Prometheus's text format.

/// All metrics of the process.
#[derive(Debug, Default)]
pub struct Registry {}
