//! The elements of one range job: which are open, which are leased and to whom, which are done. Pure.
//!
//! A *piece* is a run of elements of one section that was cut for a lease; pieces never overlap, so
//! no element is leased twice but as a duplicate, which is another lease of the same piece. The first
//! result that counts makes a piece done. A lease that ends without one puts its elements back,
//! unless another lease of the piece still has them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use super::intervals::Intervals;
use crate::jobs::assign::ConnectionId;
use crate::ledger::entry::Millis;

/// Bytes of a miner's public key.
pub type Key = [u8; 32];
/// A lease's number within this run of the pool.
pub type LeaseId = u64;

/// No lease ends before this.
pub const TTL_LEAST_MS: Millis = 30_000;
/// A worker may take so many times as long as its share interval says.
const TTL_TIMES: u64 = 4;
/// Nothing is expected to take longer than this without its transfer: what is known of a worker's speed is a guess, and
/// a lease that never ends would keep its job from ending.
const EXPECTED_MOST_MS: Millis = 150_000;
/// No transfer is waited for longer than this.
const TRANSFER_MOST_MS: Millis = 600_000;
/// Transfer slower than this counts as a worker that does not answer.
const TRANSFER_BYTES_PER_S: u64 = 256 << 10;
/// Near its end a job is cut into units of so much less than a share, and no less.
const TAIL_PARTS: u128 = 32;
/// How long a result may still come in, as a duplicate, after another came first.
pub const LATE_MS: Millis = 10_000;
/// Most leases of one piece.
const LEASES_OF_PIECE_MAX: usize = 2;
/// Most overdue leases that are looked at for one that may be duplicated.
const OVERDUE_SEEN_MAX: usize = 16;

/// What elements are worth.
pub trait Cost {
    /// Work of `count` elements from `first` on.
    fn work(&self, first: u64, count: u64) -> u128;

    /// The largest count from 1 to `most` of elements from `first` whose work is at most `work`; 1 where even one has
    /// more.
    fn count_within(&self, first: u64, most: u64, work: u128) -> u64;
}

/// How fast whoever asks is, by its last shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Work of a share that it is to send.
    pub work: u128,
    /// Nobody's time is reckoned by less: the share of one that is silent falls to almost nothing.
    pub least: u128,
    /// How long such a share takes from lease to result, with all that it holds.
    pub ms: u64,
    /// Bytes of inputs that it has to fetch first.
    pub input_bytes: u64,
    /// Bytes of an element's result.
    pub element_bytes: u64,
}

impl Pace {
    /// How long so much work takes.
    fn expected_ms(&self, work: u128) -> u64 {
        let ms = work.saturating_mul(self.ms.into()) / self.work.max(self.least).max(1);
        u64::try_from(ms).unwrap_or(u64::MAX).min(EXPECTED_MOST_MS)
    }

    /// How long it may take, with transfer.
    fn ttl_ms(&self, work: u128, count: u64) -> u64 {
        let bytes = count.saturating_mul(self.element_bytes).saturating_add(self.input_bytes);
        let transfer = (bytes.saturating_mul(1000) / TRANSFER_BYTES_PER_S).min(TRANSFER_MOST_MS);
        (self.expected_ms(work) * TTL_TIMES).max(TTL_LEAST_MS) + transfer
    }
}

/// Someone asks for a unit.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The number that its lease gets.
    pub lease: LeaseId,
    /// Whose key results will be held against.
    pub key: Key,
    /// Where it is to be sent.
    pub connection: ConnectionId,
    /// Its speed.
    pub pace: Pace,
    /// Most elements that it gets.
    pub count_max: u64,
    /// No result of it is known: it gets one element.
    pub unproven: bool,
    /// An element of the section that it has at hand.
    pub near: Option<u64>,
    /// Units that all who may work on this job hold at once.
    pub slots: u64,
    /// The time.
    pub now: Millis,
}

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// First element, counted through the whole job.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// What they are worth.
    pub work: u128,
    /// Whose key.
    pub key: Key,
    /// Where it was sent.
    pub connection: ConnectionId,
    /// When it ends.
    pub expires: Millis,
    /// When it is overdue, so that an idle worker may try the same.
    overdue: Millis,
    /// Its result is being entered: it can neither end nor be duplicated.
    entering: Option<Entering>,
}

/// How a result is being entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entering {
    duplicate: bool,
}

impl Lease {
    fn range(&self) -> Range<u64> {
        self.first..self.first + self.count
    }
}

/// What may be done with a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// It may be entered: then call [`Units::end`].
    Enter {
        /// First element.
        first: u64,
        /// How many.
        count: u64,
        /// What they are worth.
        work: u128,
        /// Another result of these was first.
        duplicate: bool,
    },
    /// Another result of the same elements is being entered.
    Wait,
    /// There is no such lease any more.
    Unknown,
}

/// What came of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It counts.
    Accepted,
    /// It does not.
    Refused,
    /// It does not, since its elements are done by what the ledger has.
    DoneBefore,
}

/// Elements that were cut together.
#[derive(Debug)]
struct Piece {
    end: u64,
    done: bool,
    /// Its result was voided while the answer to it was on the way.
    voided: bool,
    leases: Vec<LeaseId>,
}

/// The elements of a job.
#[derive(Debug)]
pub struct Units<C> {
    cost: C,
    elements: u64,
    section: u64,
    /// Neither done nor leased.
    open: Intervals,
    /// What these are worth.
    open_work: u128,
    /// By first element. One that is done is here as long as it has leases.
    pieces: BTreeMap<u64, Piece>,
    leases: HashMap<LeaseId, Lease>,
    /// Those whose time is up while their elements are open.
    lapsed: HashMap<LeaseId, Lease>,
    /// By when they end, without those being entered.
    by_end: BTreeSet<(Millis, LeaseId)>,
    /// By when they are overdue: the only leases of pieces that are not done.
    alone: BTreeSet<(Millis, LeaseId)>,
}

impl<C: Cost> Units<C> {
    /// `elements` of which none is done, in sections of `section` each; the last may be shorter.
    #[must_use]
    pub fn new(elements: u64, section: u64, cost: C) -> Units<C> {
        let open_work = cost.work(0, elements);
        Units {
            cost,
            elements,
            section: section.max(1),
            open: Intervals::of(0..elements),
            open_work,
            pieces: BTreeMap::new(),
            leases: HashMap::new(),
            lapsed: HashMap::new(),
            by_end: BTreeSet::new(),
            alone: BTreeSet::new(),
        }
    }

    /// Whether anything is open.
    #[must_use]
    pub fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Whether a lease is overdue that nobody has a duplicate of.
    #[must_use]
    pub fn is_overdue(&self, now: Millis) -> bool {
        self.alone.first().is_some_and(|(overdue, _)| *overdue <= now)
    }

    /// How many leases there are.
    #[must_use]
    pub fn leased(&self) -> usize {
        self.leases.len()
    }

    /// A lease.
    #[must_use]
    pub fn find(&self, lease: LeaseId) -> Option<&Lease> {
        self.leases.get(&lease)
    }

    fn in_job(&self, first: u64, count: u64) -> Range<u64> {
        first.min(self.elements)..first.saturating_add(count).min(self.elements)
    }

    fn work_of(&self, range: &Range<u64>) -> u128 {
        self.cost.work(range.start, range.end - range.start)
    }

    fn take(&mut self, range: &Range<u64>) {
        for part in self.open.within(range) {
            self.open_work -= self.work_of(&part);
        }
        self.open.remove(range);
    }

    /// Opens what is neither open nor within a piece that is not done.
    fn put_back(&mut self, range: Range<u64>) {
        self.take(&range);
        self.open_work += self.work_of(&range);
        self.open.insert(range);
    }

    /// Pieces that overlap a range.
    fn pieces_within(&self, range: &Range<u64>) -> Vec<u64> {
        let touching = self.pieces.range(..range.end).rev().take_while(|(_, piece)| piece.end > range.start);
        touching.map(|(&first, _)| first).collect()
    }

    /// Notes elements that are done, e.g. before this run of the pool.
    pub fn done(&mut self, first: u64, count: u64) {
        let range = self.in_job(first, count);
        self.take(&range);
    }

    /// Leases open elements.
    pub fn lease(&mut self, ask: &Ask) -> Option<&Lease> {
        let range = self.cut(ask)?;
        self.take(&range);
        self.pieces.insert(range.start, Piece { end: range.end, done: false, voided: false, leases: Vec::new() });
        Some(self.grant(ask, range))
    }

    /// Leases what another key holds and is overdue with.
    pub fn duplicate(&mut self, ask: &Ask) -> Option<&Lease> {
        let overdue = self.alone.range(..=(ask.now, LeaseId::MAX)).take(OVERDUE_SEEN_MAX);
        let other = |lease: &&Lease| lease.key != ask.key && lease.count <= ask.count_max;
        let range = overdue.filter_map(|(_, id)| self.leases.get(id)).find(other).map(Lease::range)?;
        Some(self.grant(ask, range))
    }

    /// Leases elements that are done once more, to hold the two results against each other; `None` where they are not
    /// all done, or leased already.
    pub fn repeat(&mut self, ask: &Ask, first: u64, count: u64) -> Option<&Lease> {
        let range = self.in_job(first, count);
        let free = self.open.within(&range).is_empty() && self.pieces_within(&range).is_empty();
        if !free || range.is_empty() || range.end - range.start != count || count > ask.count_max {
            return None;
        }
        self.pieces.insert(first, Piece { end: range.end, done: true, voided: false, leases: Vec::new() });
        Some(self.grant(ask, range))
    }

    /// The elements for an ask: of the section at hand if it has any open, otherwise of the first that has; as many as
    /// are worth a share, the rest of the section divided evenly; and near the job's end so few that all who work on
    /// it end at about the same time.
    fn cut(&self, ask: &Ask) -> Option<Range<u64>> {
        let section_of = |element: u64| element - element % self.section;
        let near = ask.near.map(section_of);
        let here = near.and_then(|start| self.open.first_from(start).filter(|open| open.start < start + self.section));
        let open = here.or_else(|| self.open.first_from(0))?;
        let end = open.end.min(section_of(open.start) + self.section);
        let most = (end - open.start).min(ask.count_max).max(1);
        if ask.unproven {
            return Some(open.start..open.start + 1);
        }
        let tail = self.open_work / (2 * u128::from(ask.slots.max(1)));
        let want = ask.pace.work.min(tail.max(ask.pace.work / TAIL_PARTS)).max(1);
        let all = self.cost.work(open.start, most);
        let part = all.div_ceil(all.div_ceil(want).max(1));
        Some(open.start..open.start + self.cost.count_within(open.start, most, part))
    }

    fn grant(&mut self, ask: &Ask, range: Range<u64>) -> &Lease {
        let work = self.work_of(&range);
        let count = range.end - range.start;
        let expires = ask.now.saturating_add(ask.pace.ttl_ms(work, count));
        let overdue = ask.now.saturating_add(ask.pace.expected_ms(work) / 2);
        let piece = self.pieces.get_mut(&range.start).expect("a lease is of a piece");
        for other in &piece.leases {
            let overdue = self.leases[other].overdue;
            self.alone.remove(&(overdue, *other));
        }
        piece.leases.push(ask.lease);
        assert!(piece.leases.len() <= LEASES_OF_PIECE_MAX, "only a lone lease is duplicated");
        if !piece.done && piece.leases.len() == 1 {
            self.alone.insert((overdue, ask.lease));
        }
        self.by_end.insert((expires, ask.lease));
        let (first, key, connection) = (range.start, ask.key, ask.connection);
        let lease = Lease { first, count, work, key, connection, expires, overdue, entering: None };
        self.leases.entry(ask.lease).insert_entry(lease).into_mut()
    }

    /// A result came for a lease.
    pub fn begin(&mut self, lease: LeaseId) -> Begin {
        self.take_up(lease);
        let Some(found) = self.leases.get(&lease) else { return Begin::Unknown };
        let piece = &self.pieces[&found.first];
        if piece.leases.iter().any(|id| self.leases[id].entering.is_some()) {
            return Begin::Wait;
        }
        let (first, count, work, duplicate) = (found.first, found.count, found.work, piece.done);
        self.by_end.remove(&(found.expires, lease));
        self.alone.remove(&(found.overdue, lease));
        self.leases.entry(lease).and_modify(|lease| lease.entering = Some(Entering { duplicate }));
        Begin::Enter { first, count, work, duplicate }
    }

    /// What came of a result that [`Units::begin`] let in. Gives the leases of the same elements that are of no use
    /// any more, which end soon.
    pub fn end(&mut self, lease: LeaseId, end: End, now: Millis) -> Vec<LeaseId> {
        let Some(found) = self.leases.get(&lease) else { return Vec::new() };
        let first = found.first;
        let duplicate = found.entering.is_some_and(|entering| entering.duplicate);
        let piece = self.pieces.get_mut(&first).expect("a lease is of a piece");
        let voided = std::mem::take(&mut piece.voided);
        let came_first = end != End::Refused && !duplicate && !voided && !piece.done;
        piece.done |= came_first;
        self.remove(lease);
        if !came_first {
            return Vec::new();
        }
        let late = self.pieces.get(&first).map(|piece| piece.leases.clone()).unwrap_or_default();
        for &id in &late {
            let other = self.leases.get_mut(&id).expect("a piece knows its leases");
            let expires = other.expires.min(now.saturating_add(LATE_MS));
            self.alone.remove(&(other.overdue, id));
            self.by_end.remove(&(other.expires, id));
            other.expires = expires;
            self.by_end.insert((expires, id));
        }
        late
    }

    /// Ends a lease without a result; nothing happens to one whose result is being entered.
    pub fn release(&mut self, lease: LeaseId) -> Option<Lease> {
        if let Some(lapsed) = self.lapsed.remove(&lease) {
            return Some(lapsed);
        }
        let found = self.leases.get(&lease).filter(|lease| lease.entering.is_none())?.clone();
        self.remove(lease);
        Some(found)
    }

    /// Ends the leases whose time is up.
    pub fn expire(&mut self, now: Millis) -> Vec<(LeaseId, Lease)> {
        let late: Vec<LeaseId> = self.by_end.range(..=(now, LeaseId::MAX)).map(|&(_, id)| id).collect();
        late.into_iter().filter_map(|id| self.release(id).map(|lease| (id, lease))).collect()
    }

    /// Keeps a lease that [`Units::expire`] gave, so that a result of it still counts until another takes its elements.
    /// Whether it is kept.
    pub fn lapse(&mut self, id: LeaseId, lease: &Lease) -> bool {
        let is_kept = self.is_open(&lease.range());
        if is_kept {
            self.lapsed.insert(id, lease.clone());
        }
        is_kept
    }

    /// Ends the lapsed leases of which others have taken elements.
    pub fn overtaken(&mut self) -> Vec<(LeaseId, Lease)> {
        let taken = self.lapsed.iter().filter(|(_, lease)| !self.is_open(&lease.range())).map(|(&id, _)| id);
        let mut taken: Vec<LeaseId> = taken.collect();
        taken.sort_unstable();
        taken.into_iter().filter_map(|id| Some((id, self.lapsed.remove(&id)?))).collect()
    }

    /// Whether all of them are open.
    fn is_open(&self, range: &Range<u64>) -> bool {
        self.open.within(range) == std::slice::from_ref(range)
    }

    /// Makes a lapsed lease one that holds its elements, if they are still open.
    fn take_up(&mut self, id: LeaseId) {
        let Some(range) = self.lapsed.get(&id).map(Lease::range).filter(|range| self.is_open(range)) else { return };
        let Some(lease) = self.lapsed.remove(&id) else { return };
        self.take(&range);
        self.pieces.insert(range.start, Piece { end: range.end, done: false, voided: false, leases: vec![id] });
        self.leases.insert(id, lease);
    }

    /// Puts elements back whose results do not count after all. Gives the leases that ended by it.
    pub fn reopen(&mut self, first: u64, count: u64) -> Vec<(LeaseId, Lease)> {
        let range = self.in_job(first, count);
        let mut back = Intervals::of(range.clone());
        let mut ended = Vec::new();
        for start in self.pieces_within(&range) {
            let piece = self.pieces.get_mut(&start).expect("it was just found");
            let elements = start..piece.end;
            if !piece.done {
                // What is voided was entered, and its answer is on the way.
                piece.voided |= piece.leases.iter().any(|id| self.leases[id].entering.is_some());
                back.remove(&elements);
            } else if range.start <= elements.start && elements.end <= range.end {
                // Whoever does it once more does it first now.
                piece.done = false;
                back.remove(&elements);
                self.note_alone(start);
            } else {
                for id in self.pieces.remove(&start).expect("it was just found").leases {
                    ended.extend(self.forget(id).map(|lease| (id, lease)));
                }
            }
        }
        for part in back.within(&range) {
            self.put_back(part);
        }
        ended
    }

    fn forget(&mut self, lease: LeaseId) -> Option<Lease> {
        let found = self.leases.remove(&lease)?;
        self.by_end.remove(&(found.expires, lease));
        self.alone.remove(&(found.overdue, lease));
        Some(found)
    }

    fn remove(&mut self, lease: LeaseId) {
        let Some(found) = self.forget(lease) else { return };
        let piece = self.pieces.get_mut(&found.first).expect("a lease is of a piece");
        piece.leases.retain(|id| *id != lease);
        if !piece.leases.is_empty() {
            return self.note_alone(found.first);
        }
        let done = piece.done;
        self.pieces.remove(&found.first);
        if !done {
            self.put_back(found.range());
        }
    }

    /// Notes the only lease of a piece that is not done, as one that may be duplicated.
    fn note_alone(&mut self, first: u64) {
        let piece = &self.pieces[&first];
        if let ([id], false) = (&piece.leases[..], piece.done)
            && self.leases[id].entering.is_none()
        {
            self.alone.insert((self.leases[id].overdue, *id));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Elements are worth 10 to 16, by their place.
    struct Uneven;

    impl Cost for Uneven {
        fn work(&self, first: u64, count: u64) -> u128 {
            (first..first + count).map(|element| 10 + u128::from(element * 5 % 7)).sum()
        }

        fn count_within(&self, first: u64, most: u64, work: u128) -> u64 {
            (1..=most).rev().find(|&count| self.work(first, count) <= work).unwrap_or(1)
        }
    }

    fn ask(lease: LeaseId, key: u8, work: u128, now: Millis) -> Ask {
        Ask {
            lease,
            key: [key; 32],
            connection: key.into(),
            pace: Pace { work, least: 1, ms: 1000, input_bytes: 0, element_bytes: 1 },
            count_max: 1000,
            unproven: false,
            near: None,
            slots: 1,
            now,
        }
    }

    fn units(elements: u64, section: u64) -> Units<Uneven> {
        Units::new(elements, section, Uneven)
    }

    #[test]
    fn units_are_worth_a_share_and_end_with_their_section() {
        let mut units = units(10_000, 1_000);
        let mut next = 0;
        for id in 0..50 {
            let lease = units.lease(&ask(id, 1, 2_000, 0)).unwrap();
            assert_eq!(lease.first, next);
            assert_eq!(lease.first / 1_000, (lease.first + lease.count - 1) / 1_000, "within a section");
            // A section is worth 13,000 and is divided into seven equal parts.
            assert!((1_800..=2_000).contains(&lease.work), "{lease:?}");
            next += lease.count;
        }
    }

    #[test]
    fn the_first_unit_of_a_key_is_one_element_whatever_it_asks_for() {
        let mut units = units(1_000, 1_000);
        let first = Ask { unproven: true, ..ask(0, 1, 1 << 60, 0) };
        assert_eq!(units.lease(&first).unwrap().count, 1);
        assert!(units.lease(&ask(1, 2, 1 << 60, 0)).unwrap().count > 1);
    }

    #[test]
    fn the_tail_is_cut_finer_down_to_a_part_of_a_share() {
        let mut units = units(1_000, 1_000);
        let mut sizes = Vec::new();
        while let Some(lease) = units.lease(&Ask { slots: 4, ..ask(sizes.len() as u64, 1, 2_000, 0) }) {
            sizes.push(lease.work);
        }
        let least = 2_000 / TAIL_PARTS;
        // 13,000 in all: the first at most an eighth of it, each as much as is left of all before.
        assert!(sizes[0] <= 13_000 / 8 && sizes[0] > 13_000 / 8 / 2);
        assert!(sizes.iter().zip(&sizes[1..]).all(|(one, next)| *next <= (*one).max(least) + 32), "{sizes:?}");
        assert!(sizes.iter().rev().skip(1).all(|work| *work >= least / 4), "{sizes:?}");
        assert!(*sizes.last().unwrap() <= least);
    }

    #[test]
    fn a_worker_stays_in_its_section_while_there_is_something_to_do() {
        let mut units = units(300, 100);
        let near = |id, at| Ask { near: Some(at), count_max: 60, ..ask(id, 1, 1 << 60, 0) };
        let lease =
            |units: &mut Units<Uneven>, id, at| units.lease(&near(id, at)).map(|lease| (lease.first, lease.count));
        assert_eq!(lease(&mut units, 1, 150), Some((100, 60)));
        assert_eq!(lease(&mut units, 2, 150), Some((160, 40)));
        assert_eq!(lease(&mut units, 3, 150), Some((0, 60)), "else the first section that has any");
    }

    #[test]
    fn a_lease_lasts_four_times_what_is_expected_and_its_transfer() {
        let mut units = units(100_000, 100_000);
        let all = |id| Ask { count_max: 100, ..ask(id, 1, 1_000, 7) };
        assert_eq!(units.lease(&all(1)).unwrap().expires, 7 + TTL_LEAST_MS);
        let slow = Pace { work: 1_000, least: 1, ms: 20_000, input_bytes: 1 << 20, element_bytes: 1 << 10 };
        let lease = units.lease(&Ask { pace: slow, ..all(2) }).unwrap();
        let expected = u64::try_from(lease.work).unwrap() * 20;
        let transfer = (lease.count * 1024 + (1 << 20)) * 1000 / TRANSFER_BYTES_PER_S;
        assert_eq!(lease.expires, 7 + 4 * expected + transfer);
    }

    #[test]
    fn no_lease_lasts_for_ever_however_slow_its_worker_seems() {
        let mut units = units(100_000, 100_000);
        let silent = Pace { work: 1, least: 1, ms: u64::MAX, input_bytes: u64::MAX, element_bytes: 1 << 40 };
        let lease = units.lease(&Ask { pace: silent, ..ask(1, 1, 1, 0) }).unwrap();
        assert_eq!(lease.expires, 4 * EXPECTED_MOST_MS + TRANSFER_MOST_MS);
        assert_eq!(lease.overdue, EXPECTED_MOST_MS / 2);
        let by_least = Pace { work: 1, least: 10, ms: 20_000, input_bytes: 0, element_bytes: 1 };
        let lease = units.lease(&Ask { pace: by_least, ..ask(2, 1, 1, 0) }).unwrap();
        assert_eq!(lease.expires, u64::try_from(lease.work).unwrap() * 8_000);
    }

    #[test]
    fn what_expires_or_is_released_is_leased_again() {
        let mut units = units(10, 10);
        let all = Ask { count_max: 10, slots: 1, ..ask(1, 1, 1 << 60, 0) };
        let first = units.lease(&all).unwrap().clone();
        assert_eq!(units.expire(first.expires - 1), []);
        assert_eq!(units.expire(first.expires), [(1, first.clone())]);
        assert_eq!(units.begin(1), Begin::Unknown);
        assert_eq!(units.lease(&Ask { lease: 2, key: [2; 32], ..all }).map(Lease::range), Some(first.range()));
        assert!(units.release(2).is_some() && units.release(2).is_none() && units.has_open());
    }

    #[test]
    fn a_result_that_is_late_counts_while_nobody_else_has_its_elements() {
        for end in [End::Accepted, End::Refused] {
            let mut units = units(10, 10);
            let all = |id| Ask { count_max: 10, ..ask(id, 1, 1 << 60, 0) };
            units.lease(&all(1)).unwrap();
            for (id, lease) in units.expire(Millis::MAX) {
                assert!(units.lapse(id, &lease));
            }
            assert_eq!((units.has_open(), units.leased(), units.overtaken()), (true, 0, Vec::new()));
            assert!(matches!(units.begin(1), Begin::Enter { first: 0, duplicate: false, .. }));
            assert!(!units.has_open() && units.lease(&all(2)).is_none());
            units.end(1, end, 0);
            assert_eq!((units.has_open(), units.begin(1)), (end == End::Refused, Begin::Unknown));
        }
        let mut units = units(10, 10);
        let lease = units.lease(&ask(1, 1, 1 << 60, 0)).unwrap().clone();
        units.expire(Millis::MAX);
        assert!(units.lapse(1, &lease));
        // One element is enough.
        units.lease(&Ask { unproven: true, ..ask(2, 2, 1, 0) }).unwrap();
        assert_eq!(units.begin(1), Begin::Unknown);
        assert_eq!(units.overtaken(), [(1, lease)]);
        assert!(units.overtaken().is_empty() && units.release(1).is_none());
    }

    #[test]
    fn an_overdue_unit_is_tried_by_another_key_and_the_first_result_counts() {
        let mut units = units(40, 40);
        let ask = |id, key, now| ask(id, key, 100, now);
        let mut all = Vec::new();
        for id in 0.. {
            let Some(lease) = units.lease(&ask(id, 1, 0)) else { break };
            all.push(lease.clone());
        }
        assert!(!units.has_open());
        let overdue = all[0].overdue;
        assert!(units.duplicate(&ask(10, 2, overdue - 1)).is_none_or(|lease| lease.first != all[0].first));
        units.release(10);
        assert_eq!(units.duplicate(&ask(11, 1, u64::MAX / 2)), None, "never the same key");
        let double = units.duplicate(&ask(12, 2, u64::MAX / 2)).unwrap().clone();
        let first = all.iter().position(|lease| lease.first == double.first).unwrap() as u64;
        assert_eq!(double.work, all[usize::try_from(first).unwrap()].work);
        // The duplicate is first.
        assert!(matches!(units.begin(12), Begin::Enter { duplicate: false, .. }));
        assert_eq!(units.begin(first), Begin::Wait);
        assert_eq!(units.end(12, End::Accepted, 50), [first]);
        assert_eq!(units.find(first).unwrap().expires, 50 + LATE_MS);
        assert!(matches!(units.begin(first), Begin::Enter { duplicate: true, .. }));
        assert!(units.end(first, End::Accepted, 60).is_empty());
        assert_eq!((units.begin(first), units.has_open()), (Begin::Unknown, false));
    }

    #[test]
    fn done_elements_can_be_leased_once_more_and_become_the_first_when_voided() {
        let mut units = units(100, 100);
        let ask = |id| Ask { count_max: 10, ..ask(id, 1, 1 << 60, 0) };
        let lease = units.lease(&ask(1)).unwrap().clone();
        assert_eq!(units.repeat(&ask(2), lease.first, lease.count), None, "not done");
        units.begin(1);
        units.end(1, End::Accepted, 0);
        assert_eq!(units.repeat(&ask(2), lease.first, lease.count + 1), None, "not all done");
        assert_eq!(units.repeat(&ask(2), lease.first, lease.count).unwrap().range(), lease.range());
        assert!(matches!(units.begin(2), Begin::Enter { duplicate: true, .. }));
        // Voided while the duplicate is on its way: it counts neither as a duplicate nor as the first.
        assert_eq!(units.reopen(lease.first, lease.count), []);
        assert!(units.end(2, End::Accepted, 0).is_empty());
        assert_eq!(units.lease(&ask(3)).map(Lease::range), Some(lease.range()));
        units.begin(3);
        units.end(3, End::Accepted, 0);
        units.repeat(&ask(4), lease.first, lease.count).unwrap();
        assert_eq!(units.reopen(lease.first, lease.count), []);
        assert!(matches!(units.begin(4), Begin::Enter { duplicate: false, .. }));
        units.end(4, End::Accepted, 0);
        // A part of it ends the lease and opens just that part.
        units.repeat(&ask(5), lease.first, lease.count).unwrap();
        let ended = units.reopen(lease.first, 3);
        assert_eq!((ended.len(), ended[0].0), (1, 5));
        assert_eq!(units.lease(&ask(6)).map(Lease::range), Some(lease.first..lease.first + 3));
    }

    #[test]
    fn a_result_that_is_voided_before_its_answer_is_here_is_not_done() {
        let mut units = units(10, 10);
        let lease = units.lease(&ask(1, 1, 1 << 60, 0)).unwrap().clone();
        units.begin(1);
        units.reopen(0, 10);
        units.end(1, End::Accepted, 0);
        assert_eq!(units.lease(&ask(2, 2, 1 << 60, 0)).map(Lease::range), Some(lease.range()));
    }

    #[test]
    fn work_that_the_ledger_has_already_is_done() {
        let mut units = units(10, 10);
        units.done(0, 4);
        let lease = units.lease(&ask(1, 1, 1, 0)).unwrap().clone();
        assert_eq!((lease.first, lease.count), (4, 1));
        units.begin(1);
        units.end(1, End::DoneBefore, 0);
        assert_eq!(units.lease(&ask(2, 1, 1, 0)).unwrap().first, 5);
    }

    /// Where an element is, in a model that is plain.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum At {
        Open,
        Leased(LeaseId),
        Done,
    }

    #[derive(Debug, Clone)]
    enum Step {
        Lease { key: u8, work: u128, unproven: bool, near: Option<u64>, slots: u64 },
        Duplicate(u8),
        Repeat(u8, prop::sample::Index),
        Begin(prop::sample::Index),
        End(prop::sample::Index, u8),
        Release(prop::sample::Index),
        Wait(u64),
        Reopen(prop::sample::Index),
        ReopenAny(u64, u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        use prop::sample::Index;
        let lease = (0u8..4, 1u128..400, prop::bool::weighted(0.1), prop::option::of(0u64..240), 1u64..6);
        let step = prop_oneof![
            6 => lease.prop_map(|(key, work, unproven, near, slots)| Step::Lease { key, work, unproven, near, slots }),
            3 => (0u8..4).prop_map(Step::Duplicate),
            2 => (0u8..4, any::<Index>()).prop_map(|(key, index)| Step::Repeat(key, index)),
            6 => any::<Index>().prop_map(Step::Begin),
            6 => (any::<Index>(), 0u8..8).prop_map(|(index, end)| Step::End(index, end)),
            2 => any::<Index>().prop_map(Step::Release),
            3 => prop_oneof![Just(600u64), Just(15_000)].prop_map(Step::Wait),
            2 => any::<Index>().prop_map(Step::Reopen),
            1 => (0u64..240, 0u64..40).prop_map(|(first, count)| Step::ReopenAny(first, count)),
        ];
        prop::collection::vec(step, 1..200)
    }

    const ELEMENTS: u64 = 230;
    const SECTION: u64 = 48;

    /// The units beside a model of them.
    struct Play {
        units: Units<Uneven>,
        at: Vec<At>,
        /// Leases with the key they went to; `true` where entering.
        held: BTreeMap<LeaseId, (Range<u64>, u8, Option<Begin>)>,
        /// Units that counted.
        counted: Vec<Range<u64>>,
        now: Millis,
        next: LeaseId,
    }

    impl Play {
        fn slice(&mut self, range: &Range<u64>) -> &mut [At] {
            &mut self.at[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]
        }

        fn others(&self, range: &Range<u64>, but: LeaseId) -> Option<LeaseId> {
            self.held.iter().find(|(id, (held, ..))| **id != but && held == range).map(|(&id, _)| id)
        }

        /// A lease ended with nothing to show.
        fn gone(&mut self, id: LeaseId) {
            let (range, ..) = self.held.remove(&id).unwrap();
            let other = self.others(&range, id);
            for at in self.slice(&range) {
                if *at == At::Leased(range.start) {
                    *at = if other.is_some() { At::Leased(range.start) } else { At::Open };
                }
            }
        }

        fn step(&mut self, step: &Step) {
            let (id, now) = (self.next, self.now);
            self.next += 1;
            match step {
                Step::Lease { key, work, unproven, near, slots } => {
                    let open = self.units.open_work;
                    let (unproven, near, slots) = (*unproven, *near, *slots);
                    let ask = Ask { unproven, near, slots, ..ask(id, *key, *work, now) };
                    let found = self.units.lease(&ask).cloned();
                    assert_eq!(found.is_some(), self.at.contains(&At::Open));
                    let Some(lease) = found else { return };
                    let range = lease.range();
                    assert!(range.end <= ELEMENTS && range.start / SECTION == (range.end - 1) / SECTION);
                    assert!(self.slice(&range).iter().all(|at| *at == At::Open), "{lease:?} is not open");
                    let tail = (open / (2 * u128::from(slots))).max(work / TAIL_PARTS);
                    assert!(lease.count == 1 || (!unproven && lease.work <= *work && lease.work <= tail), "{lease:?}");
                    self.slice(&range).fill(At::Leased(range.start));
                    self.held.insert(id, (range, *key, None));
                }
                Step::Duplicate(key) => {
                    let Some(lease) = self.units.duplicate(&ask(id, *key, 1, now)).cloned() else { return };
                    let range = lease.range();
                    let holders: Vec<_> = self.held.values().filter(|(held, ..)| *held == range).cloned().collect();
                    assert_eq!(holders.len(), 1);
                    assert!(holders[0].1 != *key && holders[0].2.is_none(), "to the same key, or too late");
                    assert!(self.slice(&range).iter().all(|at| *at == At::Leased(range.start)));
                    self.held.insert(id, (range, *key, None));
                }
                Step::Repeat(key, index) => {
                    if self.counted.is_empty() {
                        return;
                    }
                    let range = index.get(&self.counted).clone();
                    let found = self.units.repeat(&ask(id, *key, 1, now), range.start, range.end - range.start);
                    let found = found.is_some();
                    let overlaps = |held: &Range<u64>| held.start < range.end && range.start < held.end;
                    let taken = self.held.values().any(|(held, ..)| overlaps(held));
                    let done = self.slice(&range).iter().all(|at| *at == At::Done);
                    assert_eq!(found, done && !taken);
                    if found {
                        self.held.insert(id, (range, *key, None));
                    }
                }
                Step::Begin(index) => {
                    let Some(id) = self.pick(*index) else { return };
                    let (range, _, entering) = self.held[&id].clone();
                    let begun = self.units.begin(id);
                    let same = |(held, _, begun): &&(Range<u64>, u8, Option<Begin>)| *held == range && begun.is_some();
                    if entering.is_some() || self.held.values().any(|held| same(&held)) {
                        assert_eq!(begun, Begin::Wait);
                        return;
                    }
                    let Begin::Enter { first, count, duplicate, .. } = begun else { panic!("{begun:?}") };
                    assert_eq!(first..first + count, range);
                    assert_eq!(duplicate, self.slice(&range)[0] == At::Done);
                    self.held.get_mut(&id).unwrap().2 = Some(begun);
                }
                Step::End(index, end) => {
                    let entering = |(_, (_, _, begun)): &(&LeaseId, &(Range<u64>, u8, Option<Begin>))| begun.is_some();
                    let ids: Vec<LeaseId> = self.held.iter().filter(entering).map(|(&id, _)| id).collect();
                    if ids.is_empty() {
                        return;
                    }
                    let id = *index.get(&ids);
                    let refused = *end == 0;
                    self.units.end(id, if refused { End::Refused } else { End::Accepted }, now);
                    let (range, _, begun) = self.held[&id].clone();
                    let Some(Begin::Enter { duplicate, .. }) = begun else { panic!("it began") };
                    let leased = self.slice(&range).iter().all(|at| *at == At::Leased(range.start));
                    if !refused && !duplicate && leased {
                        self.held.remove(&id);
                        self.slice(&range).fill(At::Done);
                        self.counted.push(range);
                    } else {
                        self.gone(id);
                    }
                }
                Step::Release(index) => {
                    let Some(id) = self.pick(*index) else { return };
                    let released = self.units.release(id).is_some();
                    assert_eq!(released, self.held[&id].2.is_none());
                    if released {
                        self.gone(id);
                    }
                }
                Step::Wait(ms) => {
                    self.now += ms;
                    for (id, lease) in self.units.expire(self.now) {
                        assert!(lease.expires <= self.now && self.held[&id].2.is_none());
                        self.gone(id);
                    }
                }
                Step::Reopen(index) => {
                    if !self.counted.is_empty() {
                        let range = self.counted.swap_remove(index.index(self.counted.len()));
                        // A void comes once its unit was answered.
                        if self.slice(&range).iter().all(|at| *at == At::Done) {
                            self.reopen(&range);
                        }
                    }
                }
                Step::ReopenAny(first, count) => {
                    let range = (*first).min(ELEMENTS)..(first + count).min(ELEMENTS);
                    let entering = |held: &(Range<u64>, u8, Option<Begin>)| held.2.is_some();
                    if !self.held.values().any(entering) {
                        self.reopen(&range);
                    }
                }
            }
        }

        fn reopen(&mut self, range: &Range<u64>) {
            for (id, _) in self.units.reopen(range.start, range.end - range.start) {
                let (held, ..) = self.held.remove(&id).unwrap();
                let inside = range.start <= held.start && held.end <= range.end;
                assert!(!inside, "it could have gone on as the first");
            }
            let held: BTreeMap<u64, u64> = self.held.values().map(|(held, ..)| (held.start, held.end)).collect();
            for element in range.clone() {
                let piece = held.range(..=element).next_back().filter(|(_, end)| **end > element);
                let at = &mut self.at[usize::try_from(element).unwrap()];
                *at = if *at == At::Done { piece.map_or(At::Open, |(&start, _)| At::Leased(start)) } else { *at };
            }
        }

        fn pick(&self, index: prop::sample::Index) -> Option<LeaseId> {
            let ids: Vec<LeaseId> = self.held.keys().copied().collect();
            (!ids.is_empty()).then(|| *index.get(&ids))
        }

        fn check(&self) {
            let open: Vec<u64> = (0..ELEMENTS).filter(|&e| self.at[usize::try_from(e).unwrap()] == At::Open).collect();
            let found: Vec<u64> = self.units.open.within(&(0..ELEMENTS)).into_iter().flatten().collect();
            assert_eq!(found, open);
            assert_eq!(self.units.open_work, open.iter().map(|&element| Uneven.work(element, 1)).sum::<u128>());
            assert_eq!(self.units.leases.len(), self.held.len());
            assert_eq!(self.units.pieces.values().map(|piece| piece.leases.len()).sum::<usize>(), self.held.len());
            let idle = self.held.values().filter(|(_, _, begun)| begun.is_none()).count();
            assert_eq!(self.units.by_end.len(), idle);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn no_element_is_lost_or_leased_twice_whatever_happens(steps in steps()) {
            let mut play = Play {
                units: units(ELEMENTS, SECTION),
                at: vec![At::Open; usize::try_from(ELEMENTS).unwrap()],
                held: BTreeMap::new(),
                counted: Vec::new(),
                now: 0,
                next: 1,
            };
            for step in &steps {
                play.step(step);
                play.check();
            }
            // Whatever happened, workers that go on finish the job.
            for id in 10_000.. {
                let entering: Vec<LeaseId> = play.held.iter().filter(|(_, held)| held.2.is_some()).map(|(&id, _)| id).collect();
                entering.iter().for_each(|id| { play.units.end(*id, End::Accepted, play.now); play.held.remove(id); });
                play.now += 1_000_000;
                play.units.expire(play.now);
                let Some(lease) = play.units.lease(&ask(id, 9, 500, play.now)).cloned() else { break };
                let begun = play.units.begin(id);
                let first = matches!(begun, Begin::Enter { duplicate: false, first, .. } if first == lease.first);
                prop_assert!(first);
                play.units.end(id, End::Accepted, play.now);
            }
            prop_assert!(!play.units.has_open() && play.units.leased() == 0);
        }
    }
}
