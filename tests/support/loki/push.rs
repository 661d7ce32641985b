//! The way of a push through Loki: decompress, decode, parse labels (`pkg/loghttp/push/push.go`), validate
//! and limit (`pkg/distributor`), hand to the ingester. The order of the checks is Loki's, because it decides
//! what is stored of a request that is refused.

use std::io::Read as _;
use std::time::{SystemTime, UNIX_EPOCH};

use hyper::HeaderMap;

use super::labels::{self, Labels};
use super::limits::{self, MAX_AGE, MAX_LEAD};
use super::store::{Entry, Tenant};
use super::{State, wire};

/// An answer other than 204, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    pub status: u16,
    pub text: String,
}

impl Refusal {
    pub fn new(status: u16, text: impl Into<String>) -> Self {
        Refusal { status, text: text.into() }
    }
}

/// Labels that `service_name` is taken from, the first present wins (`discover_service_name`).
const SERVICE_NAME_SOURCES: [&str; 13] = [
    "service",
    "app",
    "application",
    "app_name",
    "name",
    "app_kubernetes_io_name",
    "container",
    "container_name",
    "k8s_container_name",
    "component",
    "workload",
    "job",
    "k8s_job_name",
];

const SERVICE_NAME: &str = "service_name";

/// A stream of a request, its labels parsed and complete.
struct Stream<Entry> {
    labels: Labels,
    /// The labels as Loki writes them.
    text: String,
    entries: Vec<Entry>,
}

/// Takes one push. A refusal of some entries or streams leaves the others stored.
pub fn push(state: &mut State, tenant: &str, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
    let body = decompress(headers, body)?;
    let bad_request = |text: String| Refusal::new(400, text);
    let mut streams = Vec::new();
    for stream in wire::decode(&body).map_err(bad_request)? {
        if stream.labels.len() > limits::MAX_LABEL_TEXT {
            return Err(Refusal::new(
                413,
                "request body too large: stream labels size exceeds limit of 17 MB",
            ));
        }
        let (labels, text) = complete_labels(stream.labels)
            .map_err(|error| bad_request(format!("couldn't parse labels: {error}")))?;
        streams.push(Stream { labels, text, entries: stream.entries });
    }
    if streams.is_empty() {
        return Err(Refusal::new(422, "error at least one valid stream is required for ingestion"));
    }
    state.received_entries += streams.iter().map(|stream| stream.entries.len() as u64).sum::<u64>();

    let (accepted, invalid) = validate(streams, state.options.ignore_age)?;
    let State { options, tenants, log, .. } = state;
    let tenant =
        tenants.entry(tenant.to_owned()).or_insert_with_key(|name| Tenant::new(name, options.tenant_rate));
    let lines: usize = accepted.iter().map(|stream| stream.entries.len()).sum();
    let size: usize = accepted.iter().flat_map(|stream| &stream.entries).map(|entry| entry.size).sum();
    if !options.ignore_age && !tenant.bucket.take(size) {
        let (name, limit) = (&tenant.name, options.tenant_rate.per_second);
        return Err(Refusal::new(
            429,
            format!(
                "ingestion rate limit exceeded for user {name} (limit: {limit} bytes/sec) while attempting to \
                 ingest '{lines}' lines totaling '{size}' bytes, reduce log volume or contact your Loki \
                 administrator to see if the limit can be increased"
            ),
        ));
    }

    // The ingester answers for the last stream alone: a later success hides an earlier refusal. Its refusal
    // in turn hides the validation's.
    let mut ingested = Ok(());
    for stream in accepted {
        ingested = tenant.push(stream.labels, &stream.text, stream.entries, options, log);
    }
    ingested?;
    invalid.map_or(Ok(()), |text| Err(Refusal::new(400, text)))
}

/// Undoes `Content-Encoding`, then snappy's block format, which Loki expects with every encoding.
fn decompress(headers: &HeaderMap, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let too_large = |what: &str, size: usize, limit: usize| {
        Refusal::new(413, format!("request body too large: {what} too large than max ({size} vs {limit})"))
    };
    if body.len() > limits::MAX_BODY {
        return Err(too_large("message size", body.len(), limits::MAX_BODY));
    }
    if header("content-type").starts_with("application/json") {
        return Err(Refusal::new(400, "this double of Loki reads protobuf only"));
    }
    let mut inflated = Vec::new();
    let body = match header("content-encoding") {
        "" | "snappy" => body,
        "gzip" => {
            let read = flate2::read::GzDecoder::new(body).read_to_end(&mut inflated);
            read.map_err(|error| Refusal::new(400, format!("gzip: {error}")))?;
            &inflated
        }
        "deflate" => {
            let read = flate2::read::DeflateDecoder::new(body).read_to_end(&mut inflated);
            read.map_err(|error| Refusal::new(400, format!("flate: {error}")))?;
            &inflated
        }
        other => {
            let text = format!("Content-Encoding {} not supported", labels::quote(other));
            return Err(Refusal::new(400, text));
        }
    };
    let corrupt = |_| Refusal::new(400, "snappy: corrupt input");
    let size = snap::raw::decompress_len(body).map_err(corrupt)?;
    if size > limits::MAX_DECOMPRESSED {
        return Err(too_large("decompressed message size", size, limits::MAX_DECOMPRESSED));
    }
    snap::raw::Decoder::new().decompress_vec(body).map_err(corrupt)
}

/// Parses labels and adds `service_name`.
fn complete_labels(text: &[u8]) -> Result<(Labels, String), String> {
    let mut labels = labels::parse(text)?;
    let find = |wanted: &str| labels.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
    if find(SERVICE_NAME).is_none() {
        let discovered = SERVICE_NAME_SOURCES.into_iter().find_map(find);
        let value = discovered.unwrap_or_else(|| "unknown_service".to_owned());
        let at = labels.partition_point(|(name, _)| name.as_str() < SERVICE_NAME);
        labels.insert(at, (SERVICE_NAME.to_owned(), value));
    }
    // Loki parses its own text again, and its parser refuses U+FFFD, which its writer does not escape: a label
    // value can hold one in no spelling.
    let text = labels::to_text(&labels);
    if text.contains(char::REPLACEMENT_CHARACTER) {
        labels::parse(text.as_bytes())?;
    }
    Ok((labels, text))
}

/// The distributor's checks: what may go on, by stream, and the text of all that may not.
fn validate(
    streams: Vec<Stream<wire::Entry<'_>>>,
    ignore_age: bool,
) -> Result<(Vec<Stream<Entry>>, Option<String>), Refusal> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let oldest_ns = now.saturating_sub(MAX_AGE).as_nanos() as i64;
    let newest_ns = (now + MAX_LEAD).as_nanos() as i64;
    let ages = (!ignore_age).then_some((oldest_ns, newest_ns));

    let mut accepted = Vec::new();
    let mut invalid = Vec::new();
    for stream in streams.into_iter().filter(|stream| !stream.entries.is_empty()) {
        if let Err(text) = check_labels(&stream) {
            invalid.push(text);
            continue;
        }
        let mut entries = Vec::with_capacity(stream.entries.len());
        for entry in &stream.entries {
            if let Err(text) = check_entry(&stream.text, entry, ages) {
                invalid.push(text);
                continue;
            }
            // Not a validation error: it ends the whole request, and nothing of it is stored.
            let metadata = sanitize_metadata(&entry.metadata).map_err(|text| Refusal::new(500, text))?;
            let sizes = metadata.iter().map(|(name, value)| pair_size(name.as_bytes(), value.as_bytes()));
            let size = entry.line.len() + sizes.sum::<usize>();
            let line = labels::lossy(entry.line);
            entries.push(Entry { timestamp_ns: entry.timestamp_ns, line, metadata, size });
        }
        if !entries.is_empty() {
            accepted.push(Stream { labels: stream.labels, text: stream.text, entries });
        }
    }
    Ok((accepted, grouped(invalid)))
}

/// `ValidateLabels` in `pkg/distributor/validator.go`.
fn check_labels<Entry>(stream: &Stream<Entry>) -> Result<(), String> {
    // `service_name` is always there and does not count.
    let names = stream.labels.len() - 1;
    let text = &stream.text;
    if names > limits::MAX_LABEL_NAMES {
        let limit = limits::MAX_LABEL_NAMES;
        return Err(format!("entry for stream '{text}' has {names} label names; limit {limit}"));
    }
    let mut last = "";
    for (name, value) in &stream.labels {
        if name.len() > limits::MAX_LABEL_NAME {
            return Err(format!("stream '{text}' has label name too long: '{name}'"));
        }
        if value.len() > limits::MAX_LABEL_VALUE {
            return Err(format!("stream '{text}' has label value too long: '{value}'"));
        }
        if name == last {
            return Err(format!("stream '{text}' has duplicate label name: '{name}'"));
        }
        last = name;
    }
    Ok(())
}

/// `ValidateEntry` in `pkg/distributor/validator.go`; `ages` are the oldest and the newest time acceptable.
fn check_entry(stream: &str, entry: &wire::Entry<'_>, ages: Option<(i64, i64)>) -> Result<(), String> {
    let ns = entry.timestamp_ns;
    if let Some((oldest_ns, newest_ns)) = ages {
        if ns < oldest_ns {
            let (time, oldest) = (limits::rfc3339(ns), limits::rfc3339(oldest_ns));
            return Err(format!(
                "entry for stream '{stream}' has timestamp too old: {time}, oldest acceptable timestamp is: {oldest}"
            ));
        }
        if ns > newest_ns {
            let time = limits::rfc3339(ns);
            return Err(format!("entry for stream '{stream}' has timestamp too new: {time}"));
        }
    }
    let (size, limit) = (entry.line.len(), limits::MAX_LINE);
    if size > limit {
        return Err(format!(
            "max entry size '{limit}' bytes exceeded for stream '{stream}' while adding an entry with length '{size}' \
             bytes"
        ));
    }
    let advice = |option| {
        format!("Please see `limits_config.{option}` or contact your Loki administrator to increase it")
    };
    let size: usize = entry.metadata.iter().map(|(name, value)| pair_size(name, value)).sum();
    if size > limits::MAX_METADATA_SIZE {
        let (limit, advice) = (limits::MAX_METADATA_SIZE, advice("max_structured_metadata_size"));
        return Err(format!(
            "stream '{stream}' has structured metadata too large: '{size}' bytes, limit: '{limit}' bytes. {advice}"
        ));
    }
    let (count, limit) = (entry.metadata.len(), limits::MAX_METADATA_COUNT);
    if count > limit {
        let advice = advice("max_structured_metadata_entries_count");
        return Err(format!(
            "stream '{stream}' has too many structured metadata labels: '{count}', limit: '{limit}'. {advice}"
        ));
    }
    Ok(())
}

/// Bytes of a metadata pair that count; Loki's own `detected_level` is free.
fn pair_size(name: &[u8], value: &[u8]) -> usize {
    if name == b"detected_level" { 0 } else { name.len() + value.len() }
}

/// The distributor's rewriting of structured metadata, as its label builder does it: names made of letters,
/// digits and single underscores, broken characters of values made spaces, empty values removed. The result
/// is sorted by name; a name sent twice stays twice unless it was rewritten.
fn sanitize_metadata(sent: &[(&[u8], &[u8])]) -> Result<Vec<(String, String)>, String> {
    let mut base: Vec<_> =
        sent.iter().map(|(name, value)| (labels::lossy(name), labels::lossy(value))).collect();
    let mut removed: Vec<String> = Vec::new();
    let mut set: Vec<(String, String)> = Vec::new();
    for (name, value) in &base {
        let normal = sanitize_name(name)?;
        if normal != *name {
            set.retain(|(other, _)| other != name);
            removed.push(name.clone());
        } else if !value.contains(char::REPLACEMENT_CHARACTER) {
            continue;
        }
        set.retain(|(other, _)| *other != normal);
        set.push((normal, value.replace(char::REPLACEMENT_CHARACTER, " ")));
    }
    base.retain(|(name, value)| {
        !value.is_empty() && !removed.contains(name) && set.iter().all(|(other, _)| other != name)
    });
    base.extend(set.into_iter().filter(|(_, value)| !value.is_empty()));
    base.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(base)
}

/// prometheus/otlptranslator's `LabelNamer.Build`.
fn sanitize_name(name: &str) -> Result<String, String> {
    if name.is_empty() {
        return Err("label name is empty".to_owned());
    }
    let reserved = name.len() >= 4 && name.starts_with("__") && name.ends_with("__");
    let inner = if reserved { &name[2..name.len() - 2] } else { name };
    let mut normal = String::with_capacity(name.len());
    for c in inner.chars() {
        if c.is_ascii_alphanumeric() {
            normal.push(c);
        } else if !normal.ends_with('_') {
            normal.push('_');
        }
    }
    if reserved {
        normal = format!("__{normal}__");
    } else if normal.starts_with(|c: char| c.is_ascii_digit()) {
        normal.insert_str(0, "key_");
    }
    if normal.bytes().all(|byte| byte == b'_') {
        let (name, normal) = (labels::quote(name), labels::quote(&normal));
        return Err(format!("normalization for label name {name} resulted in invalid name {normal}"));
    }
    Ok(normal)
}

/// `GroupedErrors` in `pkg/util/errors`: each text once, with its number if there is more than one error.
fn grouped(errors: Vec<String>) -> Option<String> {
    let several = errors.len() > 1;
    let mut groups: Vec<(String, usize)> = Vec::new();
    for error in errors {
        match groups.iter_mut().find(|(text, _)| *text == error) {
            Some((_, count)) => *count += 1,
            None => groups.push((error, 1)),
        }
    }
    let texts = groups.into_iter().map(
        |(text, count)| {
            if several { format!("{count} errors like: {text}") } else { text }
        },
    );
    texts.reduce(|all, text| format!("{all}; {text}"))
}
