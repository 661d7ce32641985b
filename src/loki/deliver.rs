//! Delivering a parcel: each batch, or its parts, is sent until Loki has answered for good.
//!
//! An entry is let go for two reasons only: Loki names it, or a trial finds it guilty. A batch that fails again and again with
//! other words is taken apart, with a pause after each failure. In the end an entry is alone. It is guilty if it fails in
//! several runs of attempts, while Loki takes another entry before the first run, between the runs, and after the last run.
//! A server that fails now and then, for a while, always, or every second time, either takes the entry or fails with the
//! other one, too. Then nothing is let go, and everything is tried again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::answer::{Reason, Verdict};
use super::behind;
use super::learned::BATCH_MIN;
use super::part::{Failure, HOLD_MIN, Part, SUSPECTS_MAX};
use super::push::{Answer, Parcel, Pusher};
use super::remainder::{Remainder, remainder};
use super::split;
use crate::loki::batch::Sealed;
use crate::observe::health::Kind;
use journald_reader::Resume;

/// A batch is halved at most so often while nothing shows that Loki works (count). Smaller requests do not help then.
const BLIND_HALVES: u32 = 3;
/// The most parts that wait (count). Then no more of the journal is read to find the cause.
const STUCK_MAX: usize = 16;
/// After so many answers 429 in a row, a request may be larger than the bucket of the limit (count).
const SLOWER_MAX: u32 = 6;
/// After so many refusals by name in a row, what is left is halved (count). Each refusal names at least one stream.
const ROUNDS_MAX: u32 = 4;
/// How often an entry is tried in each run of a trial (count). The lengths differ, so that no server that fails every n-th
/// time fails in step with them.
const TRIAL: [u32; 4] = [2, 4, 3, 1];

/// The end of the attempts to send the same bytes.
enum End {
    /// All of it is stored.
    Taken(Part),
    /// All of it is stored or refused.
    Settled,
    /// These must be sent instead, the last one first.
    Instead(Vec<Part>),
    /// It failed again and again.
    Stuck(Part),
    /// There is no room for one of its streams.
    Crowded(Sealed),
}

/// The result of a trial.
enum Shown {
    /// The entry failed while the other one was taken.
    Guilty,
    /// The entry was taken.
    Taken,
    /// The trial has shown nothing.
    Nothing,
}

/// A parcel on its way.
pub(super) struct Delivery<'a> {
    pusher: &'a mut Pusher,
    resume: Resume,
    /// What must be sent. The last one is sent next.
    parts: Vec<Part>,
    /// The parts that fail again and again.
    stuck: Vec<Part>,
    /// Entries of streams without room. They go to other streams after everything else.
    crowded: Vec<Sealed>,
    /// The same, while no other stream is known to exist in Loki.
    waiting: Vec<Sealed>,
    /// The part that Loki took last, by tenant. It is kept while something is wrong.
    good: HashMap<Option<Arc<str>>, Sealed>,
}

impl<'a> Delivery<'a> {
    pub(super) fn new(pusher: &'a mut Pusher, parcel: Parcel) -> Delivery<'a> {
        let mut delivery = Delivery {
            pusher,
            resume: Resume::default(),
            parts: Vec::new(),
            stuck: Vec::new(),
            crowded: Vec::new(),
            waiting: Vec::new(),
            good: HashMap::new(),
        };
        delivery.take(parcel);
        delivery
    }

    /// Delivers the parcel. If later parcels are needed to find out whether Loki or an entry is the cause, they are delivered,
    /// too. Returns how far that is in the journal.
    pub(super) async fn run(mut self, later: &mut mpsc::Receiver<Parcel>) -> Resume {
        loop {
            while let Some(part) = self.parts.pop() {
                let end = match self.pusher.crowd.is_hopeless(&part.sealed) {
                    true => End::Crowded(part.sealed),
                    false => self.pusher.settle(part).await,
                };
                match end {
                    End::Settled => {}
                    End::Taken(part) => self.taken(part),
                    End::Instead(instead) => self.parts.extend(instead),
                    End::Stuck(part) => self.stuck.push(part),
                    End::Crowded(sealed) => {
                        let parts = self.set_aside(sealed);
                        self.parts.extend(parts.into_iter().rev());
                    }
                }
            }
            if !self.crowded.is_empty() {
                self.crowded.sort_by(|a, b| a.tenant.cmp(&b.tenant));
                let crowded = std::mem::take(&mut self.crowded);
                let tenants = crowded.chunk_by(|a, b| a.tenant == b.tenant);
                tenants.filter_map(split::joined).for_each(|sealed| self.lay_out(sealed));
                continue;
            }
            if self.stuck.is_empty() && self.waiting.is_empty() {
                return self.resume;
            }
            if !self.unstick().await {
                self.look_further(later).await;
            }
        }
    }

    fn take(&mut self, parcel: Parcel) {
        self.resume = parcel.resume;
        let parts: Vec<Part> = parcel.batches.into_iter().flat_map(|batch| self.set_aside(batch)).collect();
        self.parts.extend(parts.into_iter().rev());
    }

    /// Lays out a batch by the way that each of its streams can go.
    fn lay_out(&mut self, sealed: Sealed) {
        let ways = self.pusher.crowd.lay_out(sealed, false, Instant::now());
        self.pusher.folded(ways.folded);
        self.parts.extend(ways.parts.into_iter().rev().map(Part::new));
        self.waiting.extend(ways.waiting);
    }

    /// Sets entries of streams without room aside. Returns the rest, in the order in which it should be sent.
    fn set_aside(&mut self, sealed: Sealed) -> Vec<Part> {
        let ways = self.pusher.crowd.lay_out(sealed, true, Instant::now());
        self.crowded.extend(ways.waiting);
        ways.parts.into_iter().map(Part::new).collect()
    }

    /// Notes that Loki has taken a part. What waits may have a place now.
    fn taken(&mut self, part: Part) {
        if part.halved > 0 || !self.stuck.is_empty() {
            // It is kept only while it is of use.
            self.good.insert(part.sealed.tenant.clone(), part.sealed);
        }
        self.crowded.append(&mut self.waiting);
    }

    /// Takes apart what is stuck, or makes a trial of it. `false`: that changed nothing.
    async fn unstick(&mut self) -> bool {
        let mut moved = false;
        for part in std::mem::take(&mut self.stuck).into_iter().rev() {
            let good = self.good.get(&part.sealed.tenant);
            if good.is_some() && !part.again {
                // Perhaps Loki works again just now.
                self.parts.push(Part { again: true, suspects: SUSPECTS_MAX, ..part });
                moved = true;
                continue;
            }
            let good = good.and_then(split::last);
            let large = part.too_large.is_some() && part.sealed.plain_bytes > BATCH_MIN;
            let blind = large || part.halved < BLIND_HALVES;
            if let Some(halves) = part.halves() {
                let works = match &good {
                    _ if blind => true,
                    Some(good) => self.pusher.takes(good).await,
                    None => false,
                };
                if works {
                    self.parts.extend(halves);
                    moved = true;
                    continue;
                }
            } else if let Some(good) = good {
                let shown = self.pusher.try_apart(&part.sealed, &good).await;
                moved |= !matches!(shown, Shown::Nothing);
                match shown {
                    Shown::Taken => continue,
                    Shown::Guilty => {
                        let Failure { words, status } = &part.failure;
                        let refused = BTreeMap::from([(Reason::of_failure(*status), part.sealed.entries)]);
                        self.pusher.refused(&refused, words);
                        continue;
                    }
                    Shown::Nothing => {}
                }
            }
            self.stuck.push(part);
        }
        self.stuck.reverse();
        moved
    }

    /// Goes on with later entries of the journal, or with the same entries after a pause. They may show more, or there may be
    /// room by then.
    async fn look_further(&mut self, later: &mut mpsc::Receiver<Parcel>) {
        if self.stuck.len() + self.waiting.len() < STUCK_MAX
            && let Ok(parcel) = later.try_recv()
        {
            return self.take(parcel);
        }
        let pause = self.pusher.pauses.next();
        if !self.waiting.is_empty() {
            let words = "it has no room for a new stream (max_global_streams_per_user), and is not known to have any of this \
                         host: make room, or raise the limit";
            self.pusher.health.trouble(Kind::Hold, words, pause);
        }
        self.pusher.sleep(pause).await;
        self.parts.extend(self.stuck.drain(..).rev().map(|part| Part { suspects: 0, again: false, ..part }));
        if !self.waiting.is_empty() {
            self.pusher.crowd.try_again();
            std::mem::take(&mut self.waiting).into_iter().for_each(|sealed| self.lay_out(sealed));
        }
    }
}

impl Pusher {
    /// Sends a part until an answer decides on it.
    async fn settle(&mut self, mut part: Part) -> End {
        loop {
            if let Some(alone) = part.apart() {
                return End::Instead(alone);
            }
            self.keep_pace(&part.sealed).await;
            let Answer { mut verdict, words, status, unclear } = self.attempt(&part.sealed).await;
            if let Verdict::Refused(refusals) = &verdict {
                match remainder(&part.sealed, refusals) {
                    Some(left) => {
                        self.learn(refusals);
                        return self.refused_by_name(part, left, &words);
                    }
                    // The words name other streams, so they are about another request.
                    None => verdict = Verdict::Suspect(Kind::Hold),
                }
            }
            let suspect = matches!(verdict, Verdict::Suspect(_) | Verdict::TooLarge { own: false });
            part.suspects = if suspect { part.suspects + 1 } else { 0 };
            part.slower = if matches!(verdict, Verdict::Slower(..)) { part.slower + 1 } else { 0 };
            if matches!(verdict, Verdict::TooLarge { .. }) {
                let bytes = part.sealed.plain_bytes;
                part.too_large = Some(part.too_large.map_or(bytes, |whole| whole.min(bytes)));
            }
            part.failure = Failure { words, status };
            let unclear = unclear && matches!(verdict, Verdict::Retry(_));
            let words = part.failure.words.as_str();
            let (kind, pause) = match verdict {
                Verdict::Stored => {
                    self.stored(&part.sealed);
                    // If it is taken as it is later, it was not too large.
                    if let Some(bytes) = part.too_large.filter(|bytes| *bytes > part.sealed.plain_bytes) {
                        self.learned.too_large(bytes);
                    }
                    return End::Taken(part);
                }
                Verdict::Refused(_) => (Kind::Hold, self.pauses.next()),
                // The labels of a stream are those of all its entries.
                Verdict::BadLabels | Verdict::Blocked if part.sealed.streams.len() <= 1 => {
                    let reason = if verdict == Verdict::Blocked { Reason::Blocked } else { Reason::Labels };
                    return self.let_go(&part, reason);
                }
                Verdict::BadLabels | Verdict::Blocked => return self.in_halves(&part).await,
                Verdict::TooLarge { own: true } if part.sealed.entries == 1 => {
                    return self.let_go(&part, Reason::TooLarge);
                }
                Verdict::TooLarge { own: true } => return self.in_halves(&part).await,
                Verdict::Slower(asked, limit) => match self.slow_down(&part, asked, limit) {
                    Ok(pause) => (Kind::Slower, pause),
                    Err(halves) => return End::Instead(halves),
                },
                Verdict::Suspect(_) | Verdict::TooLarge { own: false } => {
                    let kind =
                        if verdict == Verdict::Suspect(Kind::Retry) { Kind::Retry } else { Kind::Hold };
                    let (most, least) = part.patience();
                    if part.suspects >= most {
                        return self.stuck(part, kind).await;
                    }
                    (kind, self.pauses.next().max(least))
                }
                Verdict::Crowded(named, asked) => {
                    self.crowd.refused(&part.sealed, named.as_ref(), Instant::now());
                    let pause = self.pauses.next().max(asked.unwrap_or_default());
                    self.sleep(pause).await;
                    return End::Crowded(part.sealed);
                }
                // There is a pause even after `Retry-After: 0`.
                Verdict::Retry(Some(asked)) => (Kind::Retry, asked.max(self.pauses.shortest())),
                Verdict::Retry(None) => (Kind::Retry, self.pauses.next()),
                Verdict::Hold => (Kind::Hold, self.pauses.next().max(HOLD_MIN)),
            };
            let rest = self.pace(&part.sealed.tenant).wait(Instant::now());
            self.health.trouble(kind, words, pause.max(rest));
            self.sleep(pause).await;
            if unclear && let Some(less) = part.less() {
                return End::Instead(less);
            }
        }
    }

    /// Notes that everything in a request is stored.
    fn stored(&mut self, sealed: &Sealed) {
        self.taken(sealed);
        self.crowd.taken(sealed, Instant::now());
        if let Some(receipt) = &sealed.receipt {
            receipt.stored();
        }
        self.tally.acknowledged(sealed.entries);
    }

    /// Counts the entries that Loki refuses by name. The others are sent once more.
    fn refused_by_name(&mut self, part: Part, left: Remainder, words: &str) -> End {
        let sealed = &part.sealed;
        self.taken(sealed);
        // With several streams, the words may be about another stream than the last one.
        if sealed.laid.is_none()
            && let Some((receipt, acceptable)) = sealed.receipt.as_ref().zip(behind::acceptable(words))
        {
            receipt.too_far_behind(acceptable);
        }
        if let Some(fitted) = split::fit(sealed, &self.learned.limits()) {
            return End::Instead(vec![part.of(fitted)]);
        }
        self.refused(&left.refused, words);
        self.tally.acknowledged(left.stored);
        let Some(rest) = left.rest else { return End::Settled };
        let rest = Part { rounds: part.rounds + 1, ..part.of(rest) };
        let halves = (rest.rounds >= ROUNDS_MAX).then(|| rest.halves()).flatten();
        End::Instead(halves.unwrap_or_else(|| vec![rest]))
    }

    /// Counts a part that Loki itself refuses as a whole.
    fn let_go(&mut self, part: &Part, reason: Reason) -> End {
        self.recovered();
        self.refused(&BTreeMap::from([(reason, part.sealed.entries)]), &part.failure.words);
        End::Settled
    }

    /// Returns the halves of a part in which Loki refuses something, after a pause.
    async fn in_halves(&mut self, part: &Part) -> End {
        let pause = self.pauses.next();
        self.sleep(pause).await;
        End::Instead(part.halves().unwrap_or_default())
    }

    /// Notes that a part fails again and again.
    async fn stuck(&mut self, part: Part, kind: Kind) -> End {
        let pause = self.pauses.next();
        self.health.trouble(kind, &part.failure.words, pause);
        self.sleep(pause).await;
        End::Stuck(part)
    }

    /// What to do when Loki takes no more for now: the pause to make, or the halves of a part that may be too much at once.
    fn slow_down(
        &mut self,
        part: &Part,
        asked: Option<Duration>,
        limit: Option<u64>,
    ) -> Result<Duration, Vec<Part>> {
        let pace = self.pace(&part.sealed.tenant);
        pace.refused(part.sealed.payload_bytes, limit, Instant::now());
        let rate = pace.rate();
        self.tally.bounded(rate);
        if part.slower.is_multiple_of(SLOWER_MAX)
            && let Some(halves) = part.halves()
        {
            return Err(halves);
        }
        // The first refusal shows the limit. If there is another one, other senders use up the limit.
        let found = rate.is_some() && part.slower == 1;
        let pause = if found { Duration::ZERO } else { self.pauses.next() };
        let asked = asked.map(|asked| asked.max(self.pauses.shortest()));
        Ok(asked.map_or(pause, |asked| asked.max(pause)))
    }

    /// Whether Loki takes an entry that it has taken before.
    async fn takes(&mut self, good: &Sealed) -> bool {
        self.keep_pace(good).await;
        let Answer { verdict, words, .. } = self.attempt(good).await;
        let taken = verdict == Verdict::Stored;
        if taken {
            self.taken(good);
        } else {
            let pause = self.pauses.next();
            self.health.trouble(Kind::Retry, &words, pause);
            self.sleep(pause).await;
        }
        taken
    }

    /// Makes a trial: sends an entry that fails in turns with an entry that Loki takes.
    async fn try_apart(&mut self, suspect: &Sealed, good: &Sealed) -> Shown {
        for attempts in TRIAL {
            if !self.takes(good).await {
                return Shown::Nothing;
            }
            for _ in 0..attempts {
                let pause = self.pauses.next();
                self.sleep(pause).await;
                self.keep_pace(suspect).await;
                let fails = |verdict: &Verdict| match verdict {
                    Verdict::Suspect(_) | Verdict::TooLarge { own: false } => true,
                    Verdict::Refused(refusals) => remainder(suspect, refusals).is_none(),
                    _ => false,
                };
                match self.attempt(suspect).await.verdict {
                    Verdict::Stored => {
                        self.stored(suspect);
                        return Shown::Taken;
                    }
                    verdict if fails(&verdict) => {}
                    _ => return Shown::Nothing,
                }
            }
        }
        match self.takes(good).await {
            true => Shown::Guilty,
            false => Shown::Nothing,
        }
    }
}
