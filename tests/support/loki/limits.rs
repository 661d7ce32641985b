//! Loki's default limits (`pkg/validation/limits.go`, `pkg/distributor/distributor.go`,
//! `pkg/ingester/ingester.go`), its token bucket and its way to write times and sizes.

use std::time::{Duration, Instant};

/// Bytes of a request's body as sent (`distributor.max-recv-msg-size`).
pub const MAX_BODY: usize = 100 << 20;
/// Bytes of a request's body once decompressed (`distributor.max-decompressed-size`).
pub const MAX_DECOMPRESSED: usize = 5000 << 20;
/// Bytes of one stream's label text; Prometheus' parser cannot take more.
pub const MAX_LABEL_TEXT: usize = 1 << 24;
/// Bytes of a line.
pub const MAX_LINE: usize = 256 << 10;
/// Label names of a stream, `service_name` not counted.
pub const MAX_LABEL_NAMES: usize = 15;
/// Bytes of a label name.
pub const MAX_LABEL_NAME: usize = 1024;
/// Bytes of a label value.
pub const MAX_LABEL_VALUE: usize = 2048;
/// Age past which an entry is refused (`reject_old_samples_max_age`).
pub const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// How far in the future an entry may be (`creation_grace_period`).
pub const MAX_LEAD: Duration = Duration::from_secs(10 * 60);
/// Bytes of names and values of one entry's structured metadata.
pub const MAX_METADATA_SIZE: usize = 64 << 10;
/// Names in one entry's structured metadata.
pub const MAX_METADATA_COUNT: usize = 128;
/// Active streams of a tenant (`max_global_streams_per_user`).
pub const MAX_STREAMS: usize = 5000;
/// How far behind its stream's newest entry an entry may be, in nanoseconds: half of
/// `ingester.max-chunk-age`, which is two hours.
pub const OUT_OF_ORDER_WINDOW_NS: i64 = 3600 * 1_000_000_000;
/// Bytes before compression after which a head block is closed (`ingester.chunks-block-size`).
pub const BLOCK_SIZE: usize = 256 << 10;
/// Refused entries that an answer lists by name (`ingester.max-ignored-stream-errors`).
pub const MAX_LISTED_ENTRIES: usize = 10;
/// Bytes of a tenant's name (dskit, `tenant/tenant.go`).
pub const MAX_TENANT: usize = 150;

/// Bytes per second and burst in bytes of a tenant: 4 MB/s, 6 MB.
pub const TENANT_RATE: Rate = Rate { per_second: 4 << 20, burst: 6 << 20 };
/// Bytes per second and burst in bytes of a stream: 3 MB/s, 15 MB.
pub const STREAM_RATE: Rate = Rate { per_second: 3 << 20, burst: 15 << 20 };

/// A rate limit.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Bytes a second.
    pub per_second: usize,
    /// Bytes at once.
    pub burst: usize,
}

/// Go's `rate.Limiter`: a bucket that starts full and gains tokens with time.
pub struct TokenBucket {
    rate: Rate,
    tokens: f64,
    filled: Instant,
}

impl TokenBucket {
    pub fn new(rate: Rate) -> Self {
        TokenBucket { rate, tokens: rate.burst as f64, filled: Instant::now() }
    }

    /// Takes `bytes` tokens, or none if there are fewer.
    pub fn take(&mut self, bytes: usize) -> bool {
        let now = Instant::now();
        let gained = (now - self.filled).as_secs_f64() * self.rate.per_second as f64;
        self.tokens = (self.tokens + gained).min(self.rate.burst as f64);
        self.filled = now;
        let enough = bytes as f64 <= self.tokens;
        if enough {
            self.tokens -= bytes as f64;
        }
        enough
    }
}

/// Go's `time.RFC3339`: whole seconds.
pub fn rfc3339(ns: i64) -> String {
    timestamp(ns).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Go's `Time.String` of a UTC time: nanoseconds without trailing zeros.
pub fn go_time(ns: i64) -> String {
    let time = timestamp(ns).strftime("%Y-%m-%d %H:%M:%S");
    match ns.rem_euclid(1_000_000_000) {
        0 => format!("{time} +0000 UTC"),
        nanos => format!("{time}.{} +0000 UTC", format!("{nanos:09}").trim_end_matches('0')),
    }
}

fn timestamp(ns: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_nanosecond(ns.into()).expect("64 bits of nanoseconds are within jiff's years")
}

/// c2h5oh/datasize: the largest unit that divides the size.
pub fn byte_size(bytes: usize) -> String {
    [(1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")]
        .into_iter()
        .find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit))
        .map_or_else(|| format!("{bytes}B"), |(unit, name)| format!("{}{name}", bytes / unit))
}
