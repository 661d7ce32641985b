//! The stages of an entry's way, each as a program of its own, so that its instructions can be counted.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use journal_ship::alerts::run::Rules;
use journal_ship::alerts::state::Outside;
use journal_ship::config::Config;
use journal_ship::loki::batch::known::Receipt;
use journal_ship::loki::batch::{Batches, Sealed};
use journal_ship::loki::encode::Metadata;
use journal_ship::pipeline::{Pipeline, Take};
use journal_ship::shape::labels::Stream;
use journal_ship::shape::stages::Setup;
use journald_reader::{Entry, Keys, Scope, Start, Tail, Waker};
use logql::Query;

use super::support::Error;
use super::watched;

/// Ten rules for relabelling.
const RELABEL: &str = include_str!("ten_rules.yaml");
/// Stages for the unit that writes most.
const STAGES: &str = include_str!("stages.yaml");
/// Rules that look at labels, and one that looks at lines. They keep everything: the journal is an old one.
const RETENTION: &str = include_str!("retention.yaml");
/// A query that most lines do not pass.
const QUERY: &str = r#"{unit=~".+"} |~ "(?i)error|timeout" != "debug" | logfmt | took > 10"#;
/// Lines for rules and for the query, which come again and again (count).
const LINES: usize = 5_000;
/// Bytes of a batch before compression: the default of `loki[].batch.max_bytes`.
const BATCH: usize = 1 << 20;
/// Streams that may be active (count): the default of `labels.max_streams`.
const STREAMS: usize = 5000;
const SECOND: i64 = 1_000_000_000;
/// Time of the first entry that rules see (nanoseconds since 1970), and from one to the next.
const BEGIN: i64 = 1_767_571_200 * SECOND;
const STEP: i64 = SECOND / 10;

/// Does a job over so many entries of the journal in `folder`.
pub(crate) fn run(name: &str, count: u64, folder: &Path) -> Result<(), Error> {
    match name {
        "all" => {
            let mut keys = Keys::default();
            keys.add_all();
            read(folder, keys, count, |entry| {
                _ = black_box(entry.fields().map(|(_, value)| value.len()).sum::<usize>())
            })
        }
        "read" => {
            let (_, mut keys) = pipeline("")?;
            let message = keys.add("MESSAGE");
            read(folder, keys, count, |entry| _ = black_box(entry.value(message).map(<[u8]>::len)))
        }
        "shape" => shape(folder, "", count),
        "relabel" => shape(folder, RELABEL, count),
        "stages" => shape(folder, STAGES, count),
        "retention" => shape(folder, RETENTION, count),
        "batch" => batch(folder, count, |_| Ok(())),
        "unpack" => batch(folder, count, |sealed| unpack(sealed).map(drop)),
        "again" => batch(folder, count, |sealed| {
            black_box(snap::raw::Encoder::new().compress_vec(&unpack(sealed)?)?);
            Ok(())
        }),
        "rules" => rules(count),
        "query" => query(count),
        _ => Err(format!("there is no job {name}").into()),
    }
}

/// Hands on so many entries, the oldest first.
fn read(folder: &Path, keys: Keys, count: u64, mut each: impl FnMut(&Entry<'_>)) -> Result<(), Error> {
    let mut tail = Tail::open(&Scope::of([folder.to_owned()]), keys, Start::Oldest, Waker::new()?)?;
    for n in 0..count {
        let entry = tail.next_entry().ok_or_else(|| format!("the journal has {n} entries, not {count}"))?;
        each(&entry);
    }
    Ok(())
}

/// The pipeline of a configuration, and the fields that it needs.
fn pipeline(config: &str) -> Result<(Pipeline, Keys), Error> {
    let config = Config::parse(config, "bench", &|_| None).map_err(|why| why.render(false))?;
    let mut keys = Keys::default();
    let pipeline = Pipeline::new(&config, None, &Setup::default(), &mut keys);
    Ok((pipeline, keys))
}

/// The end of the way, where nothing becomes of entries.
struct Nowhere;

impl Take for Nowhere {
    fn push(&mut self, tenant: Option<&str>, stream: &Stream, time: u64, line: &str, metadata: &Metadata) {
        black_box((tenant, stream, time, line, metadata));
    }
}

fn shape(folder: &Path, config: &str, count: u64) -> Result<(), Error> {
    let (mut pipeline, keys) = pipeline(config)?;
    read(folder, keys, count, |entry| pipeline.append(entry, &mut Nowhere))
}

/// As for a destination whose Loki takes everything.
fn batch(folder: &Path, count: u64, mut each: impl FnMut(&Sealed) -> Result<(), Error>) -> Result<(), Error> {
    let (mut pipeline, keys) = pipeline("")?;
    let mut batches = Batches::new(STREAMS);
    let mut result = Ok(());
    read(folder, keys, count, |entry| {
        pipeline.append(entry, &mut batches);
        if batches.are_full(BATCH) && result.is_ok() {
            result = batches.seal().iter().try_for_each(|sealed| {
                sealed.receipt.iter().for_each(Receipt::stored);
                each(sealed)
            });
        }
    })?;
    result
}

fn unpack(sealed: &Sealed) -> Result<Vec<u8>, Error> {
    Ok(snap::raw::Decoder::new().decompress_vec(&sealed.body)?)
}

fn rules(count: u64) -> Result<(), Error> {
    let mut rules = Rules::new(&watched::groups()?, Outside::default(), 60 * SECOND, 10_000);
    let given = watched::entries(LINES);
    rules.advance(BEGIN - 1);
    for (n, (labels, metadata, line)) in (0..i64::try_from(count)?).zip(given.iter().cycle()) {
        let time = BEGIN + STEP * n;
        rules.advance(time - 1);
        rules.observe(time, labels, line, metadata.iter().map(|(name, value)| (*name, value.as_str())));
    }
    Ok(())
}

fn query(count: u64) -> Result<(), Error> {
    let Query::Logs(query) = Query::parse(QUERY).map_err(|why| why.to_string())? else {
        return Err("the query is one for values".into());
    };
    let given = watched::entries(LINES);
    for (_, (labels, metadata, line)) in (0..count).zip(given.iter().cycle()) {
        let metadata = metadata.iter().map(|(name, value)| (*name, value.as_str()));
        black_box(query.show(&Arc::clone(labels), (BEGIN, line), metadata));
    }
    Ok(())
}
