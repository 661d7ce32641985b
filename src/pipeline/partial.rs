//! Partial messages: a long line of a container stands in the journal as several entries, and becomes one line again.
//!
//! Docker's journald driver cuts lines at 16 KiB (github.com/moby/moby, `daemon/logger/journald/journald.go`), podman's
//! conmon at 8 KiB. All pieces but the last have `CONTAINER_PARTIAL_MESSAGE=true`. Newer ones of Docker number them
//! (`CONTAINER_PARTIAL_ORDINAL`, from 1), and give all pieces of a line, the last too, a `CONTAINER_PARTIAL_ID`. Where there
//! is none, the line ends with the container's next entry of the same `PRIORITY`, which tells its two outputs apart.
//!
//! Anybody can write such fields. So pieces are joined only if the same process wrote them, by the fields that journald
//! itself adds, and what is held is bounded in time, in pieces and in bytes: whoever holds most gives way first, so a sender
//! that forges pieces fills a share of its own. A line that is not whole by then goes on as it is; nothing is lost.
//!
//! What is held is in no batch yet: its cursors stand in the checkpoint, and a restart reads these entries again.

use std::collections::{HashMap, VecDeque};

use crate::shape::line::Line;
use crate::shape::stages::Item;
use journald_reader::Entry;
use journald_reader::{Cursor, Key, Keys};
use logql::label_set::lossy;

/// Longest pause between two pieces of a line (microseconds): they are written as soon as the container's output fills a
/// buffer, so a longer one is that of a program that waits in the middle of its line, or has ended there.
const PAUSE_MAX: u64 = 5_000_000;
/// Longest time from the first piece to the last (microseconds), however often there is a new one.
const AGE_MAX: u64 = 60_000_000;
/// A piece so far ahead of the clock (microseconds) was written before the clock was set back: that time is not waited for.
const AHEAD_MAX: u64 = 3_600_000_000;
/// Pieces of one line (count): 256 KiB, the longest line that Loki takes, are 32 of podman's.
const PIECES_MAX: usize = 128;
/// What a piece costs beside its text (bytes): its cursor here and in the checkpoint, its share of the line's labels.
const PIECE_COST: usize = 4 << 10;
/// All that is held (bytes, with [`PIECE_COST`] and the metadata of first pieces, which a sender chooses): thirty lines of
/// the longest length, or two thousand pieces.
const HELD_MAX: usize = 8 << 20;
/// Longest name of a container or a line (bytes): Docker's are 64.
const NAME_MAX: usize = 256;

/// Joins the pieces of lines.
pub(super) struct Partials {
    fields: Fields,
    open: HashMap<Box<[u8]>, Join>,
    /// What all lines that are open cost (bytes).
    cost: usize,
    /// Lines that are whole, or go on as they are, in this order.
    done: VecDeque<Item>,
    /// Longest line (bytes).
    max: usize,
    /// Lines are made of messages.
    enabled: bool,
}

struct Fields {
    message: Key,
    partial: Key,
    id: Key,
    ordinal: Key,
    last: Key,
    /// What names a container, the surest first.
    container: [Key; 3],
    priority: Key,
    pid: Key,
    uid: Key,
    unit: Key,
}

/// A line of which pieces are still to come.
struct Join {
    /// The first piece's item, without its line.
    item: Item,
    text: Vec<u8>,
    held: Vec<Cursor>,
    ordinal: Option<u32>,
    /// Who sent it.
    sender: Box<[u8]>,
}

/// What an entry says of itself as a piece.
struct Piece<'a> {
    key: Box<[u8]>,
    sender: &'a [u8],
    text: &'a [u8],
    /// There are more.
    partial: bool,
    ordinal: Option<u32>,
}

impl Join {
    fn cost(&self) -> usize {
        let metadata = self.item.metadata.iter().map(|(name, value)| name.len() + value.len());
        self.text.len() + self.held.len() * PIECE_COST + metadata.sum::<usize>()
    }

    fn first(&self) -> u64 {
        self.item.cursor.realtime
    }

    fn last(&self) -> u64 {
        self.held.last().map_or(self.first(), |cursor| cursor.realtime)
    }

    /// Whether a piece, written then, goes on with this line.
    fn takes(&self, piece: &Piece<'_>, realtime: u64, max: usize) -> bool {
        let numbered = match (self.ordinal, piece.ordinal) {
            (Some(last), Some(next)) => last.checked_add(1) == Some(next),
            _ => true,
        };
        numbered
            && realtime.saturating_sub(self.last()) <= PAUSE_MAX
            && realtime.saturating_sub(self.first()) <= AGE_MAX
            && self.held.len() < PIECES_MAX
            && self.text.len() + piece.text.len() <= max
    }

    /// The line, of all pieces so far.
    fn finish(mut self) -> Item {
        self.item.line = lossy(&self.text).into_owned();
        self.item.parts = self.held;
        self.item
    }
}

impl Partials {
    /// Asks the reader for the fields that it needs. A line that is the whole entry as JSON is never joined.
    pub(super) fn new(line: Line, max: usize, keys: &mut Keys) -> Partials {
        let mut add = |name| keys.add(name);
        let fields = Fields {
            message: add("MESSAGE"),
            partial: add("CONTAINER_PARTIAL_MESSAGE"),
            id: add("CONTAINER_PARTIAL_ID"),
            ordinal: add("CONTAINER_PARTIAL_ORDINAL"),
            last: add("CONTAINER_PARTIAL_LAST"),
            container: [add("CONTAINER_ID_FULL"), add("CONTAINER_ID"), add("CONTAINER_NAME")],
            priority: add("PRIORITY"),
            pid: add("_PID"),
            uid: add("_UID"),
            unit: add("_SYSTEMD_UNIT"),
        };
        let enabled = line == Line::Message;
        Partials { fields, open: HashMap::new(), cost: 0, done: VecDeque::new(), max, enabled }
    }

    /// From now on lines are no longer than this (bytes).
    pub(super) fn fit(&mut self, max: usize) {
        self.max = self.max.min(max);
    }

    /// Whether an entry may be a piece. That it is not costs a look-up of one field, as long as no line is open.
    #[inline]
    pub(super) fn concern(&self, entry: &Entry<'_>) -> bool {
        let Fields { partial, container, .. } = &self.fields;
        self.enabled
            && (entry.identity(*partial) != 0
                || (!self.open.is_empty() && container.iter().any(|key| entry.identity(*key) != 0)))
    }

    /// Takes an entry and its item. What is whole then comes out of [`Partials::next_done`]; whether the item is held comes
    /// back.
    pub(super) fn take(&mut self, entry: &Entry<'_>, item: Item) -> bool {
        match self.piece(entry) {
            Some(piece) => self.take_piece(piece, item),
            None => {
                self.done.push_back(item);
                false
            }
        }
    }

    fn take_piece(&mut self, piece: Piece<'_>, item: Item) -> bool {
        let realtime = item.cursor.realtime;
        let join = match self.remove(&piece.key) {
            Some(mut join) if join.takes(&piece, realtime, self.max) => {
                join.text.extend_from_slice(piece.text);
                join.held.push(item.cursor);
                join.ordinal = piece.ordinal;
                join
            }
            other => {
                self.done.extend(other.map(Join::finish));
                if !piece.partial || piece.text.len() > self.max {
                    self.done.push_back(item);
                    return false;
                }
                let item = Item { line: String::new(), ..item };
                Join {
                    text: piece.text.to_vec(),
                    held: vec![item.cursor],
                    ordinal: piece.ordinal,
                    sender: piece.sender.into(),
                    item,
                }
            }
        };
        if !piece.partial {
            self.done.push_back(join.finish());
            return false;
        }
        self.cost += join.cost();
        self.open.insert(piece.key, join);
        while self.cost > HELD_MAX
            && let Some(largest) = self.largest()
        {
            let join = self.remove(&largest);
            self.done.extend(join.map(Join::finish));
        }
        true
    }

    /// The next line that is done.
    pub(super) fn next_done(&mut self) -> Option<Item> {
        self.done.pop_front()
    }

    /// Whether no line is open.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Lets go of lines whose time is over when it is `now` (microseconds since 1970), of all at the end of time. They come
    /// out of [`Partials::next_done`], the oldest first.
    pub(super) fn release(&mut self, now: u64) {
        let over = |join: &Join| {
            join.last().saturating_add(PAUSE_MAX) < now
                || join.first().saturating_add(AGE_MAX) < now
                || join.last() > now.saturating_add(AHEAD_MAX)
        };
        let mut over: Vec<_> = (self.open.iter())
            .filter(|(_, join)| over(join))
            .map(|(key, join)| (join.first(), join.item.cursor.seqnum, key.clone()))
            .collect();
        over.sort_unstable();
        for (.., key) in over {
            let join = self.remove(&key);
            self.done.extend(join.map(Join::finish));
        }
    }

    /// The entries that are held.
    pub(super) fn held(&self, out: &mut Vec<Cursor>) {
        self.open.values().for_each(|join| out.extend_from_slice(&join.held));
    }

    fn remove(&mut self, key: &[u8]) -> Option<Join> {
        let join = self.open.remove(key)?;
        self.cost = self.cost.saturating_sub(join.cost());
        Some(join)
    }

    /// The largest line of whoever holds most.
    fn largest(&self) -> Option<Box<[u8]>> {
        let mut by_sender: HashMap<&[u8], usize> = HashMap::new();
        for join in self.open.values() {
            *by_sender.entry(&join.sender).or_default() += join.cost();
        }
        let most = by_sender.into_iter().max_by_key(|(sender, cost)| (*cost, *sender))?.0;
        let of_most = self.open.iter().filter(|(_, join)| *join.sender == *most);
        // Sequence numbers decide between equal ones, so that it is the same one whenever this is read.
        of_most.max_by_key(|(_, join)| (join.cost(), join.item.cursor.seqnum)).map(|(key, _)| key.clone())
    }

    /// What an entry says of itself; `None` where it names no container, or has names that are none.
    fn piece<'a>(&self, entry: &Entry<'a>) -> Option<Piece<'a>> {
        let Fields { message, partial, id, ordinal, last, container, priority, pid, uid, unit } =
            &self.fields;
        let value = |key: &Key| entry.value(*key).unwrap_or_default();
        let number = |key: &Key| std::str::from_utf8(value(key)).ok()?.parse().ok();
        let container = container.iter().map(value).find(|name| !name.is_empty())?;
        // A process is known by its number while it lives, and belongs to one user. Who reads this journal's entries from
        // elsewhere may have no numbers.
        let process = if value(pid).is_empty() { value(unit) } else { value(pid) };
        let cursor = entry.cursor();
        let parts = [container, value(id), value(priority), process, value(uid)];
        let mut key = Vec::new();
        key.extend_from_slice(&cursor.seqnum_id.0);
        key.extend_from_slice(&cursor.boot_id.0);
        for part in parts {
            if part.len() > NAME_MAX {
                return None;
            }
            key.extend_from_slice(&u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes());
            key.extend_from_slice(part);
        }
        Some(Piece {
            key: key.into(),
            sender: value(uid),
            text: value(message),
            partial: value(partial) == b"true" && value(last) != b"true",
            ordinal: number(ordinal),
        })
    }
}
