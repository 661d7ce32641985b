//! Entries that are too far behind for Loki: reads the time before which it refuses them out of its words.
//!
//! `entry too far behind, entry timestamp is: 2026-11-28T10:00:00Z, oldest acceptable timestamp is: 2026-11-28T11:00:00Z`
//! (grafana/loki, `pkg/chunkenc/interface.go`, `ErrTooFarBehind`; whole seconds).

use jiff::Timestamp;

/// The time before which entries are refused (nanoseconds since 1970), if the words say it.
pub(super) fn acceptable(words: &str) -> Option<u64> {
    let (_, tail) = words.split_once("entry too far behind")?;
    let (_, tail) = tail.split_once("oldest acceptable timestamp is: ")?;
    let end = tail.find(|c: char| !c.is_ascii_alphanumeric() && !"-:.+".contains(c)).unwrap_or(tail.len());
    let time: Timestamp = tail.get(..end)?.parse().ok()?;
    u64::try_from(time.as_nanosecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_read_where_it_stands() {
        let loki = "HTTP 400 entry with timestamp 2026-11-28 10:00:00.5 +0000 UTC ignored, reason: 'entry too far behind, \
                    entry timestamp is: 2026-11-28T10:00:00Z, oldest acceptable timestamp is: 2026-11-28T11:00:00Z',";
        for (words, seconds) in [
            (loki, Some(1_795_863_600)),
            (
                "entry for stream '{a=\"1\"}' has timestamp too old: x, oldest acceptable timestamp is: 2026-11-28T11:00:00Z",
                None,
            ),
            ("entry too far behind, oldest acceptable timestamp is: soon", None),
            ("entry too far behind, oldest acceptable timestamp is: 1900-01-01T00:00:00Z", None),
            ("entry too far behind", None),
        ] {
            assert_eq!(acceptable(words), seconds.map(|s: u64| s * 1_000_000_000), "{words}");
        }
    }
}
