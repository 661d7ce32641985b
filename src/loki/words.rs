//! The words with which Loki refuses entries: a closed list of sentences, and which entries each sentence is about.
//!
//! Only a text that begins with one of these sentences comes from Loki. The "bad request" of a proxy does not, nor does a
//! request that a proxy quotes. A value of a label may look like a sentence, but label sets are parsed. Source: grafana/loki,
//! `pkg/validation/validate.go` (the distributor), `errorForFailedEntries` in `pkg/ingester/stream.go` (the ingester),
//! `GroupedErrors` in `pkg/util/errors` ("7 errors like: …; 2 errors like: …").

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::answer::Reason;

/// Labels by name.
pub(super) type Labels = BTreeMap<String, String>;

/// What a sentence of Loki says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub reason: Reason,
    /// How many entries are refused, if the sentence says it.
    pub entries: u64,
    /// The limit, if the sentence says it.
    pub limit: Option<u64>,
    /// The stream whose entries are meant. `None`: the sentence does not say it.
    pub stream: Option<Labels>,
    pub which: Which,
}

/// Which entries of a stream are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Which {
    /// All entries.
    All,
    /// The sentence does not say it in a known form.
    Unsaid,
    /// The oldest entry of this second (since 1970).
    OldestOf(i64),
    /// The newest entry of this second (since 1970).
    NewestOf(i64),
    /// Entries with a line of so many bytes.
    Line(u64),
    /// Entries with structured metadata of so many bytes.
    MetadataBytes(u64),
    /// Entries with so many names of structured metadata.
    MetadataNames(u64),
    /// Some entries over a rate limit. Loki will take them later.
    Limited,
    /// Of the `of` entries that came through to the ingester: those at these times, and those before this time (nanoseconds
    /// since 1970).
    Behind { of: Option<u64>, at: Vec<i128>, before: Option<i128> },
}

/// The beginning of the reason for an entry that is not refused for good (`pkg/validation/limits.go`,
/// `StreamRateLimitErrorMsg`).
const LIMITED: &str = "Per stream rate limit exceeded";
/// The text before the words of an ingester if they were not unwrapped (google.golang.org/grpc).
const GRPC: &str = "rpc error: code = Code(400) desc = ";

/// The beginnings of sentences.
const BEGINNINGS: [&str; 8] = [
    "entry for stream '",
    "max entry size '",
    "stream '",
    "missing required labels ",
    "error at least one label pair is required per stream",
    "entry with timestamp ",
    "user '",
    "total ignored: ",
];
/// After so many texts that begin like a sentence and do not go on like one, the rest is not read (count): each may be as long
/// as the answer. Entries that the rest names are sent again.
const BROKEN_MAX: usize = 32;

/// The refusals of a text, in their order.
pub(super) fn refusals(text: &str) -> Vec<Refusal> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    rest = rest.strip_prefix(GRPC).unwrap_or(rest);
    if sentence(rest).is_none() {
        return found;
    }
    // Text between the sentences (advice, separators) is skipped.
    let (mut boundary, mut broken) = (true, 0);
    while let Some(c) = rest.chars().next() {
        if boundary && begins(rest) {
            if let Some((refusal, after)) = sentence(rest) {
                found.push(refusal);
                rest = after;
                continue;
            }
            broken += 1;
            if broken > BROKEN_MAX {
                break;
            }
        }
        boundary = !c.is_alphanumeric();
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    found
}

/// The labels of the stream that could not be made ("maximum active stream limit exceeded …").
pub(super) fn stream_refused(text: &str) -> Option<Labels> {
    let (_, rest) = text.split_once("when trying to create stream ")?;
    Text(rest).stream()
}

/// Whether a text begins like a sentence.
fn begins(text: &str) -> bool {
    let mut rest = Text(text);
    let _ = rest.counted();
    BEGINNINGS.iter().any(|words| rest.peek(words).is_some())
}

/// The sentence at the beginning of a text, and the rest of the text.
fn sentence(text: &str) -> Option<(Refusal, &str)> {
    let mut rest = Text(text);
    let entries = rest.counted().unwrap_or(1);
    let mut list = rest;
    if let Some(refusal) = ingester(&mut list) {
        return Some((refusal, list.0));
    }
    let (reason, limit, stream, which) = distributor(&mut rest)?;
    Some((Refusal { reason, entries, limit, stream, which }, rest.0))
}

/// Reads a sentence of the distributor. It is about one entry, or one stream.
fn distributor(text: &mut Text<'_>) -> Option<(Reason, Option<u64>, Option<Labels>, Which)> {
    if text.word("entry for stream '").is_some() {
        let stream = text.stream()?;
        text.word("'")?;
        if text.word(" has timestamp too old: ").is_some() {
            let second = text.second(", oldest acceptable timestamp is: ");
            return Some((Reason::TooOld, None, Some(stream), second.map_or(Which::Unsaid, Which::OldestOf)));
        }
        if text.word(" has timestamp too new: ").is_some() {
            let second = text.second("");
            return Some((Reason::TooNew, None, Some(stream), second.map_or(Which::Unsaid, Which::NewestOf)));
        }
        text.word(" has ")?;
        text.number()?;
        text.word(" label names; limit ")?;
        return Some((Reason::Labels, None, Some(stream), Which::All));
    }
    if text.word("max entry size '").is_some() {
        let limit = text.number()?;
        text.word("' bytes exceeded for stream '")?;
        let stream = text.stream()?;
        text.word("' while adding an entry with length '")?;
        let length = text.number().map_or(Which::Unsaid, Which::Line);
        return Some((Reason::LineTooLong, Some(limit), Some(stream), length));
    }
    if text.word("stream '").is_some() {
        let stream = text.stream()?;
        text.word("'")?;
        if text.word(" has label value too long: '").is_some() {
            // The value follows unquoted, and a sender may have made a sentence of it.
            let value =
                stream.values().filter(|value| text.peek(value).is_some()).max_by_key(|value| value.len());
            value.and_then(|value| text.word(value));
            return Some((Reason::Labels, None, Some(stream), Which::All));
        }
        let labels = [" has label name too long: '", " has duplicate label name: '"];
        if labels.iter().any(|words| text.word(words).is_some()) {
            return Some((Reason::Labels, None, Some(stream), Which::All));
        }
        if text.word(" has structured metadata too large: '").is_some() {
            let bytes = text.number()?;
            text.word("' bytes, limit: '")?;
            return Some((
                Reason::MetadataTooLarge,
                text.number(),
                Some(stream),
                Which::MetadataBytes(bytes),
            ));
        }
        if text.word(" has too many structured metadata labels: '").is_some() {
            let names = text.number()?;
            text.word("', limit: '")?;
            return Some((Reason::TooMuchMetadata, text.number(), Some(stream), Which::MetadataNames(names)));
        }
        text.word(" includes structured metadata, but this feature is disallowed")?;
        return Some((Reason::MetadataDisallowed, None, Some(stream), Which::Unsaid));
    }
    if text.word("missing required labels ").is_some() {
        text.until(" for stream ")?;
        return Some((Reason::Labels, None, Some(text.stream()?), Which::All));
    }
    text.word("error at least one label pair is required per stream")?;
    Some((Reason::Labels, None, None, Which::All))
}

/// Reads the list of the ingester. It names at most ten entries of a stream, and then says how many they are. A list that is
/// cut off before that is not used.
fn ingester(text: &mut Text<'_>) -> Option<Refusal> {
    let (mut at, mut before, mut stream, mut limited) = (Vec::new(), None, None, false);
    while text.word("entry with timestamp ").is_some() {
        at.extend(text.until(" ignored, reason: '").map(go_time)?);
        // Loki before 3.0 names the stream for each entry. A reason may hold quotes.
        let ends = |rest: &str| rest.starts_with("',\n") || rest.starts_with("' for stream: ");
        let mut quotes = text.0.match_indices('\'').map(|(at, _)| at);
        let end = quotes.find(|at| text.0.get(*at..).is_some_and(ends))?;
        let reason = text.0.get(..end)?;
        text.0 = text.0.get(reason.len()..)?;
        limited |= reason.starts_with(LIMITED);
        if let Some((_, oldest)) = reason.rsplit_once("oldest acceptable timestamp is: ") {
            let oldest = Text(oldest).second("");
            before = before.max(oldest.map(|second| i128::from(second) * 1_000_000_000));
        }
        text.word("'")?;
        if text.word(" for stream: ").is_some() {
            stream = text.stream();
        }
        text.word(",")?;
        text.0 = text.0.trim_start_matches('\n');
    }
    // Loki before 3.0 does not name the tenant.
    if text.word("user '").is_some() {
        text.until("', ")?;
    }
    text.word("total ignored: ")?;
    let entries = text.number()?;
    text.word(" out of ")?;
    let of = text.number();
    if text.word(" for stream: ").is_some() {
        stream = text.stream();
    }
    let which = if limited { Which::Limited } else { Which::Behind { of, at, before } };
    Some(Refusal { reason: Reason::TooFarBehind, entries, limit: None, stream, which })
}

/// The text that is still to be read.
#[derive(Clone, Copy)]
struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    fn peek(&self, word: &str) -> Option<&'a str> {
        self.0.strip_prefix(word)
    }

    /// Skips a word, if it is here.
    fn word(&mut self, word: &str) -> Option<()> {
        self.0 = self.peek(word)?;
        Some(())
    }

    /// Takes the text before `end`, and skips `end`.
    fn until(&mut self, end: &str) -> Option<&'a str> {
        let (before, after) = self.0.split_once(end)?;
        self.0 = after;
        Some(before)
    }

    fn number(&mut self) -> Option<u64> {
        let end = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(end);
        let number = digits.parse().ok()?;
        self.0 = rest;
        Some(number)
    }

    /// Reads the number of "7 errors like: ".
    fn counted(&mut self) -> Option<u64> {
        let mut text = *self;
        let number = text.number()?;
        text.word(" errors like: ")?;
        *self = text;
        Some(number)
    }

    /// Reads a time in the form of RFC 3339 (whole seconds since 1970), and skips `end` after it, if it is here.
    fn second(&mut self, end: &str) -> Option<i64> {
        let length = self.0.find(|c: char| !c.is_ascii_alphanumeric() && !"-+:.".contains(c));
        let (time, rest) = self.0.split_at(length.unwrap_or(self.0.len()));
        let time: Timestamp = time.parse().ok()?;
        self.0 = rest.strip_prefix(end)?;
        Some(time.as_nanosecond().div_euclid(1_000_000_000) as i64)
    }

    /// Reads a label set as Loki writes it. Values are quoted as in Go, and may hold anything.
    fn stream(&mut self) -> Option<Labels> {
        let mut text = *self;
        text.word("{")?;
        let mut labels = Labels::new();
        while text.peek("}").is_none() {
            let name = text.until("=\"")?;
            if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return None;
            }
            let mut escaped = false;
            let end = text.0.find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            })?;
            let (value, rest) = text.0.split_at(end);
            labels.insert(name.to_owned(), unquote(value)?);
            text.0 = rest;
            text.word("\"")?;
            if text.word(", ").is_none() && text.peek("}").is_none() {
                return None;
            }
        }
        text.word("}")?;
        *self = text;
        Some(labels)
    }
}

/// Reads the text between the quotes of Go's `strconv.Quote`.
fn unquote(inside: &str) -> Option<String> {
    let mut text = String::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        let digits = |chars: &mut std::str::Chars<'_>, count: usize| {
            let hex: String = chars.by_ref().take(count).collect();
            u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32)
        };
        text.push(match chars.next()? {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'x' => digits(&mut chars, 2)?,
            'u' => digits(&mut chars, 4)?,
            'U' => digits(&mut chars, 8)?,
            other => other,
        });
    }
    Some(text)
}

/// Reads a time as Go's `Time.String` writes it (nanoseconds since 1970): "2026-11-28 10:00:00.5 +0000 UTC".
fn go_time(text: &str) -> Option<i128> {
    let mut parts = text.split(' ');
    let time = format!("{}T{}{}", parts.next()?, parts.next()?, parts.next()?);
    time.parse::<Timestamp>().ok().map(Timestamp::as_nanosecond)
}

#[cfg(test)]
mod tests;
