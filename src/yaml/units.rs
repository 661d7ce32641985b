//! Durations and sizes as the configuration writes them.

pub use logql::go::units::{
    UnitError, format_days, format_duration, format_size, parse_duration, parse_go_duration,
    parse_promtail_size, parse_size,
};
