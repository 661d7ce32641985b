//! The default limits of Loki (grafana/loki, `pkg/validation/limits.go`). Loki refuses what exceeds one of them, mostly with
//! everything in the same request.

use std::time::Duration;

pub use logql::label_set::LABEL_VALUE_MAX;

/// The most labels of a stream, without [`SERVICE_NAME`] (count; `max_label_names_per_series`).
pub const LABEL_NAMES_MAX: usize = 15;
/// The longest name of a label (bytes; `max_label_name_length`).
pub const LABEL_NAME_MAX: usize = 1024;
/// The label that Loki adds itself if it is missing. So it does not count.
pub const SERVICE_NAME: &str = "service_name";
/// The most names of structured metadata of an entry (count; `max_structured_metadata_entries_count`).
pub const METADATA_NAMES_MAX: usize = 128;
/// The most that all names and values of the structured metadata of an entry take (bytes; `max_structured_metadata_size`).
pub const METADATA_MAX: usize = 64 << 10;
/// The most active streams of a tenant (count; `max_global_streams_per_user`).
pub const STREAMS_MAX: usize = 5000;
/// The longest tenant (bytes; grafana/dskit, `MaxTenantIDLength`).
pub const TENANT_MAX: usize = 150;
/// The longest line that Loki takes (bytes; `max_line_size`). It is the default of `loki[].max_line_bytes`. A longer line is
/// cut, because Loki would drop it as a whole.
pub const LINE_MAX: usize = 256 << 10;
/// How far an entry may be behind the newest of its stream (nanoseconds): half of `max_chunk_age`, which is two hours
/// (`pkg/ingester/stream.go`, `validateEntries`).
pub const BEHIND_MAX: u64 = 3_600_000_000_000;
/// How old an entry may be when it is sent (`reject_old_samples_max_age`).
pub const AGE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// The most that a stream takes in a second (bytes; `per_stream_rate_limit`).
pub const STREAM_RATE: u64 = 3 << 20;
/// The most that a stream takes at once (bytes; `per_stream_rate_limit_burst`).
pub const STREAM_BURST: u64 = 15 << 20;
/// After so long without an entry Loki closes the chunk of a stream, and then forgets the stream
/// (`pkg/ingester/ingester.go`, `chunk_idle_period`).
pub const IDLE_MAX: Duration = Duration::from_secs(30 * 60);
/// The size of a block of a chunk (bytes; `ingester.chunks-block-size`). Loki folds an entry that comes again only while the
/// first one is in the block that is being filled.
pub const BLOCK_SIZE: usize = 256 << 10;
/// The shortest time for which the compactor keeps anything (`pkg/compactor/retention`, `minRetentionPeriod`).
pub const RETENTION_MIN: Duration = Duration::from_secs(24 * 3600);
/// The most that a tenant may send in a second (bytes; `ingestion_rate_mb`).
pub const INGESTION_RATE: u64 = 4 << 20;
/// The most that a tenant may send at once (bytes; `ingestion_burst_size_mb`).
pub const INGESTION_BURST: u64 = 6 << 20;
