//! What the ingester keeps: the streams of each tenant, and what is refused or folded on the way in
//! (`pkg/ingester/instance.go`, `pkg/ingester/stream.go`).
//!
//! Loki folds an entry that equals another of its stream in time, line and structured metadata only while the
//! other is the stream's last one or in its head block (`pkg/chunkenc/unordered.go`). One that equals an entry of a
//! block that is closed is stored again: a log query shows it once, for it folds when it merges blocks
//! (`pkg/iter/entry_iterator.go`), and a metric query counts it twice. So an entry here is stored once, with the
//! number of its copies. Two things are left out: automatic sharding of fast streams, which a query does not show,
//! and streams that end by being idle.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::Options;
use super::labels::Labels;
use super::limits::{self, BLOCK_SIZE, MAX_LISTED_ENTRIES, OUT_OF_ORDER_WINDOW_NS, Rate, TokenBucket};
use super::push::Refusal;

/// Stream labels whose value becomes `detected_level`, and metadata names likewise
/// (`DefaultAllowedLevelFields` in `pkg/validation/limits.go`), the first present wins.
const LEVEL_FIELDS: [&str; 14] = [
    "level",
    "LEVEL",
    "Level",
    "log.level",
    "severity",
    "SEVERITY",
    "Severity",
    "SeverityText",
    "lvl",
    "LVL",
    "Lvl",
    "severity_text",
    "Severity_Text",
    "SEVERITY_TEXT",
];

/// An entry as Loki holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    pub tenant: Arc<str>,
    /// Stream labels, `service_name` included.
    pub labels: Arc<BTreeMap<String, String>>,
    pub timestamp_ns: i64,
    pub line: String,
    /// Structured metadata sorted by name, without `detected_level`.
    pub metadata: Vec<(String, String)>,
    /// Place in the order of arrival, from zero, over all streams and tenants.
    pub arrival: u64,
    /// How often it is stored: what `count_over_time` counts.
    pub copies: u64,
}

impl Stored {
    /// The labels a query shows: stream labels, then structured metadata (the last value of a name counts, and a
    /// name that is a stream label's gets `_extracted`), then `detected_level`.
    ///
    /// Of Loki's level detection only labels and metadata are emulated; a line is never searched.
    pub fn queried_labels(&self) -> BTreeMap<String, String> {
        let mut all = (*self.labels).clone();
        for (name, value) in &self.metadata {
            let name =
                if self.labels.contains_key(name) { format!("{name}_extracted") } else { name.clone() };
            all.insert(name, value.clone());
        }
        let level = LEVEL_FIELDS.iter().find_map(|&field| {
            let from_metadata =
                || self.metadata.iter().find(|(name, _)| name == field).map(|(_, value)| value);
            self.labels.get(field).or_else(from_metadata)
        });
        let level = level.map_or("unknown", |level| normal_level(level)).to_owned();
        all.entry("detected_level".to_owned()).or_insert(level);
        all
    }
}

/// `normalizeLogLevel` in `pkg/distributor/field_detection.go`.
fn normal_level(level: &str) -> &str {
    const NAMES: [(&str, &str); 14] = [
        ("trace", "trace"),
        ("trc", "trace"),
        ("debug", "debug"),
        ("dbg", "debug"),
        ("info", "info"),
        ("inf", "info"),
        ("information", "info"),
        ("warn", "warn"),
        ("wrn", "warn"),
        ("warning", "warn"),
        ("error", "error"),
        ("err", "error"),
        ("critical", "critical"),
        ("fatal", "fatal"),
    ];
    NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(level)).map_or(level, |(_, normal)| normal)
}

/// An entry that passed the distributor.
#[derive(PartialEq)]
pub struct Entry {
    pub timestamp_ns: i64,
    pub line: String,
    pub metadata: Vec<(String, String)>,
    /// Bytes that count against rates: the line as sent and the metadata as stored.
    pub size: usize,
}

impl Entry {
    fn equals(&self, stored: &Stored) -> bool {
        self.timestamp_ns == stored.timestamp_ns
            && self.line == stored.line
            && self.metadata == stored.metadata
    }

    /// Bytes that it takes in a head block (`unorderedHeadBlock.Append`).
    fn block_size(&self) -> usize {
        self.line.len() + self.metadata.len() * 2 * 4
    }

    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.timestamp_ns, &self.line, &self.metadata).hash(&mut hasher);
        hasher.finish()
    }
}

/// All that was stored, in order of arrival, how much was folded, and what the ingester discarded.
#[derive(Default)]
pub struct Log {
    pub stored: Vec<Stored>,
    pub folded: u64,
    /// `loki_discarded_samples_total` by reason, whatever was answered.
    pub discarded: BTreeMap<&'static str, u64>,
}

impl Log {
    fn discard(&mut self, reason: &'static str, entries: usize) {
        if entries > 0 {
            *self.discarded.entry(reason).or_default() += entries as u64;
        }
    }
}

/// One tenant's streams, by label text.
pub struct Tenant {
    pub name: Arc<str>,
    pub bucket: TokenBucket,
    streams: HashMap<String, Stream>,
}

impl Tenant {
    pub fn new(name: &str, rate: Rate) -> Self {
        Tenant { name: name.into(), bucket: TokenBucket::new(rate), streams: HashMap::new() }
    }

    /// Stores one stream of a request, unless it would be one too many.
    pub fn push(
        &mut self,
        labels: Labels,
        text: &str,
        entries: Vec<Entry>,
        options: &Options,
        log: &mut Log,
    ) -> Result<(), Refusal> {
        if !self.streams.contains_key(text) {
            if self.streams.len() >= options.streams_limit {
                log.discard("stream_limit", entries.len());
                return Err(Refusal::new(
                    429,
                    format!(
                        "maximum active stream limit exceeded when trying to create stream {text}, reduce the \
                         number of active streams (reduce labels or reduce label values), or contact your Loki \
                         administrator to see if the limit can be increased, user: '{}'",
                        self.name
                    ),
                ));
            }
            self.streams.insert(text.to_owned(), Stream::new(labels, options.stream_rate));
        }
        match self.streams.get_mut(text) {
            Some(stream) => stream.push(&self.name, text, entries, options, log),
            None => Ok(()),
        }
    }
}

struct Stream {
    labels: Arc<BTreeMap<String, String>>,
    bucket: TokenBucket,
    newest_ns: Option<i64>,
    /// Index in the log of the entry pushed last, or of the one it was folded into.
    last: Option<usize>,
    /// Index in the log by content hash; on a collision the next free hash.
    seen: HashMap<u64, usize>,
    head: Head,
}

/// The block that is being filled: indices in the log, and bytes before compression.
#[derive(Default)]
struct Head {
    entries: HashSet<usize>,
    size: usize,
}

impl Stream {
    fn new(labels: Labels, rate: Rate) -> Self {
        Stream {
            labels: Arc::new(labels.into_iter().collect()),
            bucket: TokenBucket::new(rate),
            newest_ns: None,
            last: None,
            seen: HashMap::new(),
            head: Head::default(),
        }
    }

    /// Drops repetitions of the last entry and refuses what is too far behind. Over the stream's rate it takes nothing
    /// of all the rest, as `shard_streams.enabled` has it, which is the default; without, entry by entry.
    fn push(
        &mut self,
        tenant: &Arc<str>,
        text: &str,
        entries: Vec<Entry>,
        options: &Options,
        log: &mut Log,
    ) -> Result<(), Refusal> {
        let total = entries.len();
        let mut newest_ns = self.newest_ns;
        let mut accepted: Vec<Entry> = Vec::with_capacity(total);
        let (mut refused, mut over_rate) = (Vec::new(), 0);
        for entry in entries {
            let repeats_last = match (accepted.last(), self.last) {
                (Some(last), _) => *last == entry,
                (None, Some(last)) => entry.equals(&log.stored[last]),
                (None, None) => false,
            };
            if repeats_last {
                log.folded += 1;
                continue;
            }
            let over = !options.sharding && !options.ignore_age && !self.bucket.take(entry.size);
            if over {
                let text = over_stream_rate(text, entry.size, options.stream_rate);
                refused.push((entry.timestamp_ns, text));
                over_rate += 1;
                continue;
            }
            let oldest_ns = newest_ns.map(|newest| newest.saturating_sub(OUT_OF_ORDER_WINDOW_NS));
            if let Some(oldest_ns) = oldest_ns.filter(|&oldest| entry.timestamp_ns < oldest) {
                refused.push((entry.timestamp_ns, too_far_behind(entry.timestamp_ns, oldest_ns)));
                continue;
            }
            newest_ns = newest_ns.max(Some(entry.timestamp_ns));
            accepted.push(entry);
        }

        log.discard("too_far_behind", refused.len() - over_rate);
        let size = accepted.iter().map(|entry| entry.size).sum();
        if options.sharding && !options.ignore_age && !self.bucket.take(size) {
            let refused: Vec<_> = accepted
                .iter()
                .map(|entry| (entry.timestamp_ns, over_stream_rate(text, entry.size, options.stream_rate)))
                .collect();
            log.discard("per_stream_rate_limit", refused.len());
            return Err(Refusal::new(429, refused_entries(&refused, total, tenant, text)));
        }
        log.discard("per_stream_rate_limit", over_rate);
        self.newest_ns = newest_ns;
        let swallows = |entry: &Entry| {
            let swallow = options.swallow.as_ref();
            swallow.is_some_and(|which| which(&self.labels, entry.timestamp_ns, &entry.line))
        };
        accepted.retain(|entry| !swallows(entry));
        for entry in accepted {
            self.store(tenant, entry, log);
        }
        // The last refused entry decides on the status (`errorForFailedEntries`).
        let Some((_, last)) = refused.last() else { return Ok(()) };
        let status = if last.starts_with(OVER_STREAM_RATE) { 429 } else { 400 };
        Err(Refusal::new(status, refused_entries(&refused, total, tenant, text)))
    }

    fn store(&mut self, tenant: &Arc<str>, entry: Entry, log: &mut Log) {
        let mut hash = entry.hash();
        while let Some(&index) = self.seen.get(&hash) {
            if entry.equals(&log.stored[index]) {
                self.last = Some(index);
                match self.head.entries.contains(&index) {
                    true => log.folded += 1,
                    false => {
                        log.stored[index].copies += 1;
                        self.fill(index, entry.block_size());
                    }
                }
                return;
            }
            hash = hash.wrapping_add(1);
        }
        let index = log.stored.len();
        self.seen.insert(hash, index);
        self.last = Some(index);
        self.fill(index, entry.block_size());
        log.stored.push(Stored {
            tenant: tenant.clone(),
            labels: self.labels.clone(),
            timestamp_ns: entry.timestamp_ns,
            line: entry.line,
            metadata: entry.metadata,
            arrival: index as u64,
            copies: 1,
        });
    }

    /// An entry goes to the head block, which is closed once it is full (`MemChunk.Append`).
    fn fill(&mut self, index: usize, size: usize) {
        self.head.entries.insert(index);
        self.head.size += size;
        if self.head.size >= BLOCK_SIZE {
            self.head = Head::default();
        }
    }
}

fn too_far_behind(ns: i64, oldest_ns: i64) -> String {
    format!(
        "entry too far behind, entry timestamp is: {}, oldest acceptable timestamp is: {}",
        limits::rfc3339(ns),
        limits::rfc3339(oldest_ns)
    )
}

const OVER_STREAM_RATE: &str = "Per stream rate limit exceeded";

fn over_stream_rate(stream: &str, size: usize, rate: Rate) -> String {
    format!(
        "{OVER_STREAM_RATE} (limit: {}/sec) while attempting to ingest for stream '{stream}' totaling {}, \
         consider splitting a stream via additional labels or contact your Loki administrator to see if the limit \
         can be increased",
        limits::byte_size(rate.per_second),
        limits::byte_size(size)
    )
}

/// `errorForFailedEntries` in `pkg/ingester/stream.go`.
fn refused_entries(refused: &[(i64, String)], total: usize, tenant: &str, stream: &str) -> String {
    let mut text = String::new();
    for (ns, reason) in refused.iter().take(MAX_LISTED_ENTRIES) {
        text += &format!("entry with timestamp {} ignored, reason: '{reason}',\n", limits::go_time(*ns));
    }
    text + &format!("user '{tenant}', total ignored: {} out of {total} for stream: {stream}", refused.len())
}
