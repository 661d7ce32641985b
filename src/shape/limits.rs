//! Loki's limits, as they are unless its configuration changes them (grafana/loki, `pkg/validation/limits.go`): what goes
//! beyond one of them is refused, mostly with everything that is pushed with it.

use std::time::Duration;

pub use logql::label_set::LABEL_VALUE_MAX;

/// Label names that one stream may carry, [`SERVICE_NAME`] aside (count; `max_label_names_per_series`).
pub const LABEL_NAMES_MAX: usize = 15;
/// Longest name of a label (bytes; `max_label_name_length`).
pub const LABEL_NAME_MAX: usize = 1024;
/// The label that Loki adds by itself where it is missing, and so does not count.
pub const SERVICE_NAME: &str = "service_name";
/// Names of structured metadata that one entry may have (count; `max_structured_metadata_entries_count`).
pub const METADATA_NAMES_MAX: usize = 128;
/// Longest that names and values of an entry's structured metadata are together (bytes; `max_structured_metadata_size`).
pub const METADATA_MAX: usize = 64 << 10;
/// Active streams of a tenant (count; `max_global_streams_per_user`).
pub const STREAMS_MAX: usize = 5000;
/// Longest tenant (bytes; grafana/dskit, `MaxTenantIDLength`).
pub const TENANT_MAX: usize = 150;
/// Longest line that Loki takes (bytes; `max_line_size`), and the default of `loki[].max_line_bytes`. A longer line is cut,
/// because Loki would drop it whole.
pub const LINE_MAX: usize = 256 << 10;
/// How far an entry may be behind the newest of its stream (nanoseconds): half of `max_chunk_age`, which is two hours
/// (`pkg/ingester/stream.go`, `validateEntries`).
pub const BEHIND_MAX: u64 = 3_600_000_000_000;
/// What a stream may take in a second (bytes; `per_stream_rate_limit`).
pub const STREAM_RATE: u64 = 3 << 20;
/// What a stream may take at once (bytes; `per_stream_rate_limit_burst`).
pub const STREAM_BURST: u64 = 15 << 20;
/// After so long without an entry Loki closes the chunk of a stream, and then forgets the stream
/// (`pkg/ingester/ingester.go`, `chunk_idle_period`).
pub const IDLE_MAX: Duration = Duration::from_secs(30 * 60);
/// A block of a chunk (bytes; `ingester.chunks-block-size`). An entry that comes again is folded while the first one is in
/// the block that is being filled.
pub const BLOCK_SIZE: usize = 256 << 10;
/// Shortest time that the compactor keeps anything (`pkg/compactor/retention`, `minRetentionPeriod`).
pub const RETENTION_MIN: Duration = Duration::from_secs(24 * 3600);
