//! Loki's limits, as they are unless its configuration changes them (grafana/loki, `pkg/validation/limits.go`): what goes
//! beyond one of them is refused, mostly with everything that is pushed with it.

pub use logql::label_set::LABEL_VALUE_MAX;

/// Label names that one stream may carry, [`UNCOUNTED`] aside (count; `max_label_names_per_series`).
pub const LABEL_NAMES_MAX: usize = 15;
/// Longest name of a label (bytes; `max_label_name_length`).
pub const LABEL_NAME_MAX: usize = 1024;
/// The label that Loki adds by itself where it is missing, and so does not count.
pub const UNCOUNTED: &str = "service_name";
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
