//! What Grafana's Logs Drilldown asks before all else: how much may be asked (grafana/loki, `pkg/loki/config_handler.go`,
//! `pkg/validation/limits.go`).

use serde_json::{Value, json};

use crate::query::Limits;
use logql::go::units;

/// Units of sizes (github.com/c2h5oh/datasize): each is 1024 of the one before it.
const UNITS: [&str; 7] = ["B", "KB", "MB", "GB", "TB", "PB", "EB"];

/// The limits that there are here, with Loki's names; zero is none.
pub(super) fn limits(limits: &Limits) -> Value {
    json!({
        "limits": {
            "max_entries_limit_per_query": limits.entries,
            "max_query_bytes_read": size(limits.bytes_read.unwrap_or(0)),
            "max_query_length": limits.span.map_or_else(|| "0s".to_owned(), units::format_duration),
            "max_query_series": limits.series,
            "retention_period": "0s",
            "volume_enabled": true,
        },
        "pattern_ingester_enabled": false,
        "version": env!("CARGO_PKG_VERSION"),
    })
}

/// A size in the largest unit that it is a multiple of.
fn size(bytes: u64) -> String {
    let place = if bytes == 0 { 0 } else { (bytes.trailing_zeros() / 10) as usize };
    format!("{}{}", bytes >> (10 * place), UNITS.get(place).unwrap_or(&"B"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_in_whole_units() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (2048, "2KB"),
            (1 << 30, "1GB"),
            ((1 << 30) + 1024, "1048577KB"),
            (3 << 60, "3EB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }
}
