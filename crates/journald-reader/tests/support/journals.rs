//! Journals at random: a short history of machines, boots, clocks, rotations and copies, written as files by
//! systemd-journal-remote and then given the numbers, names and states that journald would have given them.
//!
//! A [`World`] prints as the list of its events, so a failure shows the history that led to it, and proptest
//! shrinks it by leaving events out. What is drawn beside the events: the format of each file, whether the
//! files lie in the folder itself or in one named by machine id, and whether the runtime journal has a folder of
//! its own.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use journald_reader::{Cursor, Id128};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestCaseResult, TestRng, TestRunner};

use super::Unavailable;
use super::fixtures::{
    ExportEntry, ExportedEntry, Format, build_journal, journalctl, parse_export, recorded, recorded_names,
};

/// Files of one journal at most: writing one takes about 30 ms.
const FILES_MAX: usize = 14;
/// When the histories begin (microseconds since 1970): 8 s into most of the recorded files, so that these interleave.
const EPOCH: u64 = 1_794_902_408_000_000;
/// Seeds that have shown faults: equal entries of one instant after a restart, and a copy at a clock that was set back, which
/// kept others from their turn.
const FOUND: [u64; 2] = [1_385_715_557, 2_794_432_239];
/// How long a property is tested unless `JOURNAL_CASES` says how often.
const TIME: Duration = Duration::from_secs(15);
/// How often it is tested at most then.
const CASES: u64 = 50;

/// A sequence of entries that is written to one file after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    /// journald's `system.journal`.
    System,
    /// A user's, which shares the counter of `System`.
    User(u16),
    /// What journald keeps in /run: it has a counter of its own, though the numbers are counted on from `System`.
    Runtime,
    /// What something else wrote (systemd-journal-remote): its own counter, from 1.
    Other(u8),
}

/// What the fields of an entry are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Plain,
    /// Equal to the others of the event.
    Same,
    /// No field but the boot.
    Bare,
    NoMessage,
    Empty,
    Repeated,
    Lines,
    NotUtf8,
    /// Every byte there is, this many times.
    Binary(u8),
    /// A text of this length, which compresses.
    Text(u32),
    /// Random bytes, which do not.
    Random(u32),
    /// This many fields.
    Many(u16),
    LongestName,
}

/// What happens to one of the machines.
#[derive(Debug, Clone)]
pub enum Event {
    /// Entries are written, `step` microseconds apart (0: within one); each also to another stream if so.
    Log { machine: usize, to: Stream, count: u8, step: u64, shape: Shape, also: Option<Stream> },
    /// The stream's file is archived, or left unclean by a crash.
    Rotate { machine: usize, stream: Stream, unclean: bool },
    /// A new boot: the clock has moved by so much (microseconds); the counter may begin anew.
    Boot { machine: usize, clock: i64, renew: bool },
    /// The clock moves.
    Clock { machine: usize, by: i64 },
    /// A file of another systemd lies beside the others.
    Recorded(prop::sample::Index),
    /// One of the files lies there a second time.
    Backup(prop::sample::Index),
}

/// A journal to be.
#[derive(Debug, Clone)]
pub struct World {
    pub events: Vec<Event>,
    /// Where a test stops, asks or begins.
    pub places: Vec<prop::sample::Index>,
    pub format: usize,
    pub flat: bool,
    pub runtime_apart: bool,
}

/// Journals of which nothing is asked but that journald could have written them.
pub fn worlds() -> impl Strategy<Value = World> {
    any::<bool>().prop_flat_map(|steady| {
        let events = prop::collection::vec(event(steady), 1..32);
        let places = prop::collection::vec(any::<prop::sample::Index>(), 3);
        let (flat, runtime_apart) = (any::<bool>(), any::<bool>());
        (events, places, 0..Format::ALL.len(), flat, runtime_apart).prop_map(
            |(events, places, format, flat, runtime_apart)| World {
                events,
                places,
                format,
                flat,
                runtime_apart,
            },
        )
    })
}

/// `steady`: clocks only move on.
fn event(steady: bool) -> impl Strategy<Value = Event> {
    const SECOND: i64 = 1_000_000;
    let machine = || prop_oneof![4 => Just(0usize), 1 => Just(1), 1 => Just(2)];
    let stream = || {
        prop_oneof![
            6 => Just(Stream::System),
            2 => Just(Stream::User(1000)),
            1 => Just(Stream::User(1001)),
            2 => Just(Stream::Runtime),
            2 => (0..2u8).prop_map(Stream::Other),
        ]
    };
    let step = prop_oneof![2 => Just(0u64), 2 => Just(1), 3 => Just(1_000), 3 => 1..3_000_000u64];
    let also = prop_oneof![4 => Just(None), 1 => stream().prop_map(Some)];
    let clock = move || {
        let ahead = prop::sample::select(vec![0, 1, 1_000, SECOND, 3600 * SECOND]);
        let back = prop::sample::select(vec![-1, -1_000, -SECOND, -3600 * SECOND]);
        if steady { ahead.boxed() } else { prop_oneof![ahead, back].boxed() }
    };
    prop_oneof![
        24 => (machine(), stream(), 1..9u8, step, shape(), also)
            .prop_map(|(machine, to, count, step, shape, also)| Event::Log { machine, to, count, step, shape, also }),
        4 => (machine(), stream(), any::<bool>())
            .prop_map(|(machine, stream, unclean)| Event::Rotate { machine, stream, unclean }),
        3 => (machine(), clock(), prop::bool::weighted(0.3))
            .prop_map(|(machine, clock, renew)| Event::Boot { machine, clock, renew }),
        3 => (machine(), clock()).prop_map(|(machine, by)| Event::Clock { machine, by }),
        1 => any::<prop::sample::Index>().prop_map(Event::Recorded),
        1 => any::<prop::sample::Index>().prop_map(Event::Backup),
    ]
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        200 => Just(Shape::Plain),
        80 => Just(Shape::Same),
        20 => Just(Shape::Bare),
        20 => Just(Shape::NoMessage),
        20 => Just(Shape::Empty),
        20 => Just(Shape::Repeated),
        20 => Just(Shape::Lines),
        20 => Just(Shape::NotUtf8),
        20 => (1..20u8).prop_map(Shape::Binary),
        // Around the 512 bytes from which on journald compresses, and at block borders.
        20 => (480..540u32).prop_map(Shape::Text),
        20 => (1..100_000u32).prop_map(Shape::Text),
        20 => (1..10_000u32).prop_map(Shape::Random),
        // With 250 names a file is full, and another is begun.
        10 => (2..200u16).prop_map(Shape::Many),
        10 => Just(Shape::LongestName),
        2 => (1u32 << 20..16 << 20).prop_map(Shape::Text),
        1 => (1u32 << 20..16 << 20).prop_map(Shape::Random),
        1 => Just(Shape::Random(16 << 20)),
    ]
}

impl Shape {
    /// Large ones come once at a time: a file holds 100 MiB or so.
    fn is_large(self) -> bool {
        matches!(self, Shape::Text(len) | Shape::Random(len) if len >= 1 << 20)
    }

    fn fill(self, entry: ExportEntry, n: u64, first: u64) -> ExportEntry {
        let numbered = |entry: ExportEntry| {
            entry.field("N", n.to_string()).field("_SYSTEMD_UNIT", format!("unit{}.service", n % 5))
        };
        match self {
            Shape::Plain => {
                numbered(entry.message(format!("message {n}"))).field("PRIORITY", (n % 8).to_string())
            }
            Shape::Same => entry.message(format!("same since {first}")),
            Shape::Bare => entry,
            Shape::NoMessage => numbered(entry),
            Shape::Empty => numbered(entry.message("").field("EMPTY", "").field("A", "")),
            Shape::Repeated => {
                ["a", "b", "", "a"].iter().fold(numbered(entry.message("x")), |e, v| e.field("TAG", v))
            }
            Shape::Lines => numbered(entry.message(format!("several\nlines\n\n{n}\n"))),
            Shape::NotUtf8 => numbered(entry.message(b"not \xff\xfe\0 UTF-8")),
            Shape::Binary(times) => {
                numbered(entry.field("BLOB", (0..=255u8).collect::<Vec<_>>().repeat(usize::from(times))))
            }
            Shape::Text(len) => {
                let sentence = format!("entry {n} says it again and again ");
                let text: String = sentence.chars().cycle().take(len as usize).collect();
                numbered(entry.message(text))
            }
            Shape::Random(len) => {
                let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
                let bytes = std::iter::repeat_with(|| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state.to_le_bytes()
                });
                let value: Vec<u8> = bytes.take(len as usize / 8 + 1).flatten().take(len as usize).collect();
                numbered(entry.field("RANDOM", value))
            }
            Shape::Many(count) => {
                (0..count).fold(numbered(entry), |e, i| e.field(&format!("FIELD_{i}"), (i % 7).to_string()))
            }
            Shape::LongestName => numbered(entry.field(&"LONGEST_NAME_THERE_CAN_BE_".repeat(3)[..64], "x")),
        }
    }
}

/// A file that is being written.
struct Draft {
    machine: usize,
    stream: Stream,
    counter: [u8; 16],
    numbers: Vec<u64>,
    entries: Vec<ExportEntry>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Active,
    Archived,
    Unclean,
}

struct Machine {
    boot: u128,
    monotonic: u64,
    clock: u64,
    epoch: u8,
    seqnum: u64,
    others: BTreeMap<Stream, u64>,
    open: BTreeMap<Stream, usize>,
}

fn machine_id(machine: usize) -> u128 {
    0x1dea_0000_0000_4000_8000_0000_0000_0000 + machine as u128
}

#[derive(Default)]
struct Writer {
    machines: Vec<Machine>,
    files: Vec<Draft>,
    entries: u64,
    boots: u128,
    recorded: Vec<prop::sample::Index>,
    backups: Vec<prop::sample::Index>,
    large: bool,
}

impl Writer {
    fn machine(&mut self, index: usize) -> &mut Machine {
        while self.machines.len() <= index {
            self.boots += 1;
            self.machines.push(Machine {
                boot: 0xb007 << 64 | self.boots,
                monotonic: 5_000_000,
                // Machines differ by a little, so that their entries interleave.
                clock: EPOCH + 300 * self.machines.len() as u64,
                epoch: 0,
                seqnum: 0,
                others: BTreeMap::new(),
                open: BTreeMap::new(),
            });
        }
        &mut self.machines[index]
    }

    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Log { machine, to, count, step, shape, also } => {
                let large = shape.is_large();
                if large && std::mem::replace(&mut self.large, true) {
                    return;
                }
                let first = self.entries + 1;
                for _ in 0..if large { 1 } else { count } {
                    self.entries += 1;
                    let n = self.entries;
                    let state = self.machine(machine);
                    state.monotonic += step;
                    state.clock += step;
                    let entry = ExportEntry::new(state.clock).boot(state.boot, state.monotonic);
                    let entry = shape.fill(entry, n, first);
                    self.put(machine, to, entry.clone());
                    if let Some(also) = also.filter(|also| *also != to) {
                        self.put(machine, also, entry);
                    }
                }
            }
            Event::Rotate { machine, stream, unclean } => {
                self.close(machine, stream, if unclean { State::Unclean } else { State::Archived });
            }
            Event::Boot { machine, clock, renew } => {
                self.machine(machine);
                self.boots += 1;
                let boot = 0xb007 << 64 | self.boots;
                let state = self.machine(machine);
                (state.boot, state.monotonic) = (boot, 1_000_000);
                state.clock = state.clock.saturating_add_signed(clock);
                if renew {
                    state.epoch += 1;
                    state.seqnum = 0;
                    for stream in state.open.keys().copied().collect::<Vec<_>>() {
                        self.close(machine, stream, State::Archived);
                    }
                }
            }
            Event::Clock { machine, by } => {
                let state = self.machine(machine);
                state.clock = state.clock.saturating_add_signed(by);
            }
            Event::Recorded(which) => self.recorded.push(which),
            Event::Backup(which) => self.backups.push(which),
        }
    }

    fn close(&mut self, machine: usize, stream: Stream, state: State) {
        if let Some(file) = self.machine(machine).open.remove(&stream) {
            self.files[file].state = state;
        }
    }

    fn put(&mut self, machine: usize, stream: Stream, entry: ExportEntry) {
        let next = self.files.len();
        let state = self.machine(machine);
        if !state.open.contains_key(&stream) && next >= FILES_MAX {
            return;
        }
        let number = match stream {
            Stream::System | Stream::User(_) | Stream::Runtime => &mut state.seqnum,
            Stream::Other(_) => state.others.entry(stream).or_insert(0),
        };
        *number += 1;
        let number = *number;
        let kind = match stream {
            Stream::System | Stream::User(_) => 0,
            Stream::Runtime => 1,
            Stream::Other(n) => 2 + n,
        };
        let file = *state.open.entry(stream).or_insert(next);
        if file == next {
            let mut counter = [0xc0; 16];
            counter[..3].copy_from_slice(&[machine as u8, state.epoch, kind]);
            let (numbers, entries) = (Vec::new(), Vec::new());
            self.files.push(Draft { machine, stream, counter, numbers, entries, state: State::Active });
        }
        let file = &mut self.files[file];
        file.numbers.push(number);
        file.entries.push(entry);
    }
}

/// A journal that was written, and what is in each of its files.
pub struct Journals {
    pub home: tempfile::TempDir,
    /// The folders to read: one, or the persistent and the runtime one.
    pub folders: Vec<PathBuf>,
    /// Each file with its entries, in the order in which libsystemd opens them.
    pub files: Vec<(PathBuf, Vec<Cursor>)>,
}

impl World {
    /// Writes it. `Err` where systemd-journal-remote is not installed.
    pub fn write(&self) -> Result<Journals, Unavailable> {
        let mut writer = Writer::default();
        for event in &self.events {
            writer.happen(event);
        }
        let home = tempfile::tempdir().expect("a temporary folder");
        let persistent = home.path().join("persistent");
        fs::create_dir(&persistent).unwrap();
        let mut folders = vec![persistent.clone()];
        let mut paths = Vec::new();
        for (index, file) in writer.files.iter().enumerate() {
            let mut folder = persistent.clone();
            if file.stream == Stream::Runtime && self.runtime_apart {
                folder = home.path().join("runtime");
                if !folders.contains(&folder) {
                    folders.push(folder.clone());
                }
            }
            if file.machine > 0 || !self.flat {
                folder.push(format!("{:032x}", machine_id(file.machine)));
            }
            fs::create_dir_all(&folder).unwrap();
            let written = folder.join(format!("new{index}.journal"));
            let format = Format::ALL[(self.format + index) % Format::ALL.len()];
            build_journal(&written, &file.entries, format)?;
            file.finish(&written);
            let path = folder.join(file.name(index));
            fs::rename(&written, &path).unwrap();
            paths.push(path);
        }
        let names = recorded_names();
        for (index, which) in writer.recorded.iter().take(2).enumerate() {
            let folder = home.path().join(format!("unpacked{index}"));
            fs::create_dir(&folder).unwrap();
            let name = which.get(&names);
            let recorded = recorded(name, &folder);
            let path = persistent.join(format!("recorded{index}-{name}"));
            fs::rename(recorded.path, &path).unwrap();
            paths.push(path);
        }
        for (index, which) in writer.backups.iter().take(2).enumerate() {
            if !paths.is_empty() {
                let original = which.get(&paths);
                let end = if original.extension().is_some_and(|e| e == "journal~") {
                    "journal~"
                } else {
                    "journal"
                };
                fs::copy(original, persistent.join(format!("backup{index}.{end}"))).unwrap();
            }
        }
        let files = folders.iter().flat_map(|folder| files_below(folder)).map(|path| {
            let cursors = cursors_of(&fs::read(&path).unwrap());
            (path, cursors)
        });
        let files = files.collect();
        Ok(Journals { home, folders, files })
    }
}

impl Draft {
    fn name(&self, index: usize) -> String {
        let stream = match self.stream {
            Stream::System => "system".into(),
            Stream::User(id) => format!("user-{id}"),
            Stream::Runtime => "runtime".into(),
            Stream::Other(n) => format!("other{n}"),
        };
        let counter = Id128(self.counter);
        match self.state {
            State::Active => format!("{stream}.journal"),
            State::Archived => {
                format!(
                    "{stream}@{counter}-{:016x}-{:016x}.journal",
                    self.numbers[0], self.entries[0].realtime
                )
            }
            State::Unclean => format!("{stream}@{:016x}-{index:016x}.journal~", self.entries[0].realtime),
        }
    }

    /// Gives the file its counter, numbers, machine and state. No hash covers any of these.
    fn finish(&self, path: &Path) {
        let file = fs::File::options().read(true).write(true).open(path).unwrap();
        let bytes = fs::read(path).unwrap();
        let write = |value: &[u8], at: usize| file.write_all_at(value, at as u64).unwrap();
        write(
            &[match self.state {
                State::Active => 0,
                State::Unclean => 1,
                State::Archived => 2,
            }],
            16,
        );
        write(&machine_id(self.machine).to_be_bytes(), 40);
        write(&self.counter, 72);
        write(&self.numbers[self.numbers.len() - 1].to_le_bytes(), 160);
        write(&self.numbers[0].to_le_bytes(), 168);
        let entries = entries_of(&bytes);
        assert_eq!(entries.len(), self.numbers.len(), "entries that systemd-journal-remote wrote");
        for (entry, number) in entries.into_iter().zip(&self.numbers) {
            write(&number.to_le_bytes(), entry + 16);
        }
    }
}

impl Journals {
    /// What journalctl shows of it.
    pub fn journalctl(&self, args: &[&str]) -> Vec<ExportedEntry> {
        let files: Vec<PathBuf>;
        // It takes one folder, or files.
        let paths = match self.folders.as_slice() {
            [_] => &self.folders,
            _ => {
                files = self.files.iter().map(|(path, _)| path.clone()).collect();
                &files
            }
        };
        let args = [&["--all", "--output=export"], args].concat();
        parse_export(&journalctl(paths, &args).expect("journalctl"))
    }

    /// The entries of each file.
    pub fn cursors(&self) -> Vec<&[Cursor]> {
        self.files.iter().map(|(_, cursors)| cursors.as_slice()).collect()
    }

    /// Whether realtime never goes back within a file: only then does bisecting by it find one place.
    pub fn is_sorted_by_realtime(&self) -> bool {
        self.files.iter().all(|(_, cursors)| cursors.is_sorted_by_key(|c| c.realtime))
    }
}

/// The journal files of a folder, in the order in which libsystemd comes to know them: as readdir(3) gives them,
/// those of a machine's folder where that folder stands.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".journal") || name.ends_with(".journal~") {
            files.push(path);
        } else if path.is_dir() && name.parse::<Id128>().is_ok() {
            files.extend(files_below(&path));
        }
    }
    files
}

pub fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Where the ENTRY objects of a sound file are, in order.
pub fn entries_of(bytes: &[u8]) -> Vec<usize> {
    let (mut at, tail, mut found) = (number(bytes, 88), number(bytes, 136), Vec::new());
    while at <= tail {
        if bytes[at as usize] == 3 {
            found.push(at as usize);
        }
        at += number(bytes, at as usize + 8).next_multiple_of(8);
    }
    found
}

/// The cursors of a sound file's entries, read here and not by the reader that is tested.
pub fn cursors_of(bytes: &[u8]) -> Vec<Cursor> {
    let id = |at: usize| Id128(bytes[at..at + 16].try_into().unwrap());
    let cursor = |at: usize| Cursor {
        seqnum_id: id(72),
        seqnum: number(bytes, at + 16),
        realtime: number(bytes, at + 24),
        monotonic: number(bytes, at + 32),
        boot_id: id(at + 40),
        xor_hash: number(bytes, at + 56),
    };
    entries_of(bytes).into_iter().map(cursor).collect()
}

/// Tests a property of many worlds, for [`TIME`] or [`CASES`] cases.
pub fn for_many_worlds(test: impl Fn(&World) -> TestCaseResult) {
    for_many(worlds(), CASES, |world| test(&world));
}

/// Tests a property of many values. A failure names the seed that shows it again: `JOURNAL_SEED`, which with
/// `JOURNAL_CASES` is the first of so many cases, however long they take.
pub fn for_many<S: Strategy>(values: S, cases: u64, test: impl Fn(S::Value) -> TestCaseResult) {
    let variable = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().expect(name));
    let (seed, asked) = (variable("JOURNAL_SEED"), variable("JOURNAL_CASES"));
    // The same ones in every run, unless others are asked for.
    let first = seed.unwrap_or(0);
    let found = if seed.is_some() { &[][..] } else { &FOUND };
    let cases = asked.unwrap_or(if seed.is_some() { 1 } else { cases });
    let start = Instant::now();
    for seed in found.iter().copied().chain((0..cases).map(|n| first.wrapping_add(n))) {
        if asked.is_none() && start.elapsed() > TIME {
            return;
        }
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let config = ProptestConfig {
            cases: 1,
            failure_persistence: None,
            max_shrink_iters: 100,
            max_shrink_time: 20_000, // milliseconds
            ..ProptestConfig::default()
        };
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
        if let Err(error) = runner.run(&values, &test) {
            panic!("{error}\nagain with JOURNAL_SEED={seed}");
        }
    }
}
