//! Open range jobs, the hands that work on them, and who holds which unit: what the hall's task decides, with no
//! ledger and no clock. What hands are told goes into their bounded channels; one that does not take it is out.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use lode_protocol::Work;
use lode_protocol::ids::{AssetName, JobId, UnitId};
use lode_protocol::method::ReleaseReason;
use lode_protocol::method::assign::{Assign, TTL_S_MAX};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::mpsc;

use super::doubts::Doubts;
use super::fair::Fair;
use super::units::{Ask, Begin, End, Key, Lease, LeaseId, Pace, Units};
use super::{Impossible, RESULT_BYTES_MAX, RangeJob, assign, unit_id};
use crate::jobs::assign::ConnectionId;
use crate::ledger::cost::CostMap;
use crate::ledger::entry::{Millis, Outcome};

/// Most that a hand may not have taken yet: an assignment and a revocation for twice the units that it may hold.
pub const TOLD_MAX: usize = 256;
/// How long a hand that gave back all its units gets none.
const REST_MS: Millis = 30_000;
/// How long a hand gets no unit of a job that it failed at.
const FAILED_MS: Millis = 60_000;
/// Most inputs that a hand is known to have.
const INPUTS_KNOWN_MAX: usize = 1024;
/// Units done last of which one may be done once more as a canary.
const SAMPLES_MAX: usize = 64;

/// What a hand is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// It has a unit.
    Assign(Box<Assigned>),
    /// A unit is no longer its.
    Revoke {
        /// Which.
        unit: UnitId,
        /// Why.
        reason: &'static str,
    },
    /// What it said was impossible is not.
    Offence,
    /// Its key is banned.
    Banned,
}

/// A unit, for its hand.
#[derive(Debug, Clone, PartialEq)]
pub struct Assigned {
    /// The lease.
    pub lease: LeaseId,
    /// What goes on the wire.
    pub assign: Assign,
    /// Bytes of its result.
    pub result_bytes: u64,
}

/// Who wants units.
#[derive(Debug)]
pub struct Hand {
    /// Whose key results will be held against.
    pub key: Key,
    /// Kinds of work that it does.
    pub kinds: Vec<String>,
    /// How many units it wants to hold at once.
    pub slots: u32,
    /// Work of a unit that it should get.
    pub want: u128,
    /// How it is told.
    pub told: mpsc::Sender<Told>,
}

/// A hand and what is known of it.
#[derive(Debug)]
struct Seat {
    hand: Hand,
    /// A result of it counted, since the last of its leases ran out.
    proven: bool,
    /// What it holds; `true` for what another was first with, and it may know.
    held: BTreeMap<LeaseId, (JobId, bool)>,
    /// The element that it had last.
    near: Option<(JobId, u64)>,
    /// Jobs that it gets no unit of, until then.
    declined: BTreeMap<JobId, Millis>,
    rests_until: Millis,
    inputs: HashSet<[u8; 32]>,
    banned: bool,
    /// It did not take what it was told.
    gone: bool,
}

impl Seat {
    fn has_room(&self) -> bool {
        let slots = if self.proven { self.hand.slots as usize } else { 1 };
        let held = self.held.values().filter(|(_, late)| !late).count();
        !self.banned && !self.gone && held < slots && self.held.len() < 2 * slots
    }

    fn tell(&mut self, told: Told) {
        // Full or closed, its connection is stuck or over.
        self.gone |= self.hand.told.try_send(told).is_err();
    }
}

/// An open job.
#[derive(Debug)]
struct Table {
    job: Arc<RangeJob>,
    units: Units<Arc<CostMap>>,
    cancel_at: Option<Millis>,
    /// No more units are issued.
    ended: bool,
    doubts: Doubts,
    /// Units done last, and by whom.
    samples: VecDeque<(u64, u64, Key)>,
}

/// A result that may be entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The job.
    pub job: JobId,
    /// Its kind.
    pub kind: String,
    /// Whose key.
    pub key: Key,
    /// First element, counted through the whole job.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// What they are worth.
    pub work: Work,
    /// The pool has another result of these very elements.
    pub duplicate: bool,
}

/// What may be done with a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// It is entered; then [`Floor::end`].
    Enter(Claim),
    /// When the result of the same elements that is being entered now has its answer.
    Wait(JobId),
    /// It is of no unit that the hand holds; `true` where its job has ended.
    Unknown,
}

/// Jobs and hands.
#[derive(Debug)]
pub struct Floor {
    share_ms: u64,
    /// Work of a new hand's share: none is reckoned to be slower.
    least_work: u128,
    /// One unit in so many is a canary; none where it is 0.
    canary: u32,
    jobs: BTreeMap<JobId, Table>,
    seats: HashMap<ConnectionId, Seat>,
    /// Hands that may take more.
    idle: BTreeSet<ConnectionId>,
    /// Slots by kind.
    slots: BTreeMap<String, u64>,
    /// What there is to pay canaries from.
    funds: BTreeMap<AssetName, u128>,
    fair: Fair,
    next_lease: LeaseId,
    run: u32,
    random: SmallRng,
}

impl Floor {
    /// Without jobs and hands. `chance` tells this run of the pool from others.
    #[must_use]
    pub fn new(share_ms: u64, least_work: u128, canary: u32, chance: u64) -> Floor {
        let mut random = SmallRng::seed_from_u64(chance);
        Floor {
            share_ms,
            least_work,
            canary,
            jobs: BTreeMap::new(),
            seats: HashMap::new(),
            idle: BTreeSet::new(),
            slots: BTreeMap::new(),
            funds: BTreeMap::new(),
            fair: Fair::default(),
            next_lease: 0,
            run: random.random(),
            random,
        }
    }

    /// What canaries may be paid from.
    pub fn fund(&mut self, asset: AssetName, amount: u128) {
        self.funds.insert(asset, amount);
    }

    /// What open jobs are paid in.
    #[must_use]
    pub fn assets(&self) -> BTreeSet<AssetName> {
        self.jobs.values().map(|table| table.job.asset.clone()).collect()
    }

    /// Open jobs.
    #[must_use]
    pub fn jobs(&self) -> usize {
        self.jobs.len()
    }

    /// Units that are leased.
    #[must_use]
    pub fn leased(&self) -> usize {
        self.jobs.values().map(|table| table.units.leased()).sum()
    }

    /// A job opens; where no miner could be told of it, only its deadline is kept.
    pub fn open(&mut self, job: RangeJob, now: Millis) {
        let fault = job.fault();
        if let Some(fault) = &fault {
            tracing::error!(job = %job.job, fault, "no unit of this job can be issued");
        }
        let mut units = Units::new(job.cost.elements(), job.cost.section(), job.cost.clone());
        for &(first, count) in &job.done {
            units.done(first, count);
        }
        self.fair.add(job.job, job.price);
        let (id, cancel_at, ended) = (job.job, job.cancel_at, fault.is_some());
        let (doubts, samples) = (Doubts::default(), VecDeque::new());
        self.jobs.insert(id, Table { job: Arc::new(job), units, cancel_at, ended, doubts, samples });
        self.fill_all(now);
    }

    /// A job takes no more results. It is kept for its deadline's sake until [`Floor::close`].
    pub fn stop(&mut self, job: JobId, now: Millis) {
        let Some(table) = self.jobs.get_mut(&job) else { return };
        table.ended = true;
        let held = |seat: &Seat| seat.held.iter().filter(|(_, of)| of.0 == job).map(|(&id, _)| id).collect::<Vec<_>>();
        let leases: Vec<_> =
            self.seats.iter().flat_map(|(&id, seat)| held(seat).into_iter().map(move |l| (id, l))).collect();
        for (connection, lease) in leases {
            // One that is being entered ends with its answer.
            if self.jobs.get_mut(&job).is_some_and(|table| table.units.release(lease).is_some()) {
                self.revoke(connection, job, lease, "the job has ended");
            }
        }
        self.fill_all(now);
    }

    /// A job is over.
    pub fn close(&mut self, job: JobId, now: Millis) -> Option<Arc<RangeJob>> {
        self.stop(job, now);
        let table = self.jobs.remove(&job)?;
        self.fair.remove(job);
        for seat in self.seats.values_mut() {
            seat.declined.remove(&job);
            seat.held.retain(|_, (of, _)| *of != job);
        }
        self.fill_all(now);
        Some(table.job)
    }

    /// Elements are to be done again.
    pub fn reopen(&mut self, job: JobId, first: u64, count: u64, now: Millis) {
        let Some(table) = self.jobs.get_mut(&job) else { return };
        table.samples.retain(|&(start, length, _)| start + length <= first || first + count <= start);
        for (id, lease) in table.units.reopen(first, count) {
            self.revoke(lease.connection, job, id, "its elements are cut anew");
        }
        self.fill_all(now);
    }

    /// When a job's cancellation takes effect.
    pub fn cancel_at(&mut self, job: JobId, at: Millis) {
        if let Some(table) = self.jobs.get_mut(&job) {
            table.cancel_at = Some(at);
        }
    }

    /// Jobs whose end is due, and how they end.
    #[must_use]
    pub fn due(&self, now: Millis) -> Vec<(JobId, Outcome)> {
        let due = |(&job, table): (&JobId, &Table)| {
            let cancelled = table.cancel_at.is_some_and(|at| at <= now).then_some(Outcome::Cancelled);
            let expired = (table.job.deadline_at <= now).then_some(Outcome::Expired);
            cancelled.or(expired).map(|outcome| (job, outcome))
        };
        self.jobs.iter().filter_map(due).collect()
    }

    /// A hand wants units.
    pub fn join(&mut self, id: ConnectionId, hand: Hand, now: Millis) {
        for kind in &hand.kinds {
            *self.slots.entry(kind.clone()).or_default() += u64::from(hand.slots);
        }
        let seat = Seat {
            hand,
            proven: false,
            held: BTreeMap::new(),
            near: None,
            declined: BTreeMap::new(),
            rests_until: 0,
            inputs: HashSet::new(),
            banned: false,
            gone: false,
        };
        self.seats.insert(id, seat);
        self.fill(id, now, false);
    }

    /// A hand is gone: what it holds goes to others, but for what is being entered.
    pub fn leave(&mut self, id: ConnectionId, now: Millis) {
        self.vacate(id);
        self.fill_all(now);
    }

    fn vacate(&mut self, id: ConnectionId) {
        let Some(seat) = self.seats.remove(&id) else { return };
        self.idle.remove(&id);
        for kind in &seat.hand.kinds {
            if let Some(slots) = self.slots.get_mut(kind) {
                *slots -= u64::from(seat.hand.slots);
            }
            if self.slots.get(kind) == Some(&0) {
                self.slots.remove(kind);
            }
        }
        for (lease, (job, _)) in seat.held {
            if let Some(table) = self.jobs.get_mut(&job) {
                table.units.release(lease);
            }
        }
    }

    /// A hand's units should be worth so much.
    pub fn want(&mut self, id: ConnectionId, work: u128) {
        if let Some(seat) = self.seats.get_mut(&id) {
            seat.hand.want = work;
        }
    }

    /// A key is banned: what it holds goes to others.
    pub fn ban(&mut self, key: Key, now: Millis) {
        let of_key = self.seats.iter().filter(|(_, seat)| seat.hand.key == key && !seat.banned);
        let hands: Vec<ConnectionId> = of_key.map(|(&id, _)| id).collect();
        for id in hands {
            self.drop_all(id, "its key is banned");
            if let Some(seat) = self.seats.get_mut(&id) {
                seat.banned = true;
                seat.tell(Told::Banned);
            }
            self.idle.remove(&id);
        }
        self.fill_all(now);
    }

    /// A result came for a lease of this hand.
    pub fn begin(&mut self, id: ConnectionId, lease: LeaseId) -> Start {
        let held = self.seats.get(&id).and_then(|seat| Some((seat, seat.held.get(&lease)?.0)));
        let Some((seat, job)) = held else { return Start::Unknown };
        let Some(table) = self.jobs.get_mut(&job) else { return Start::Unknown };
        match table.units.begin(lease) {
            Begin::Unknown => Start::Unknown,
            Begin::Wait => Start::Wait(job),
            Begin::Enter { first, count, work, duplicate } => {
                let (kind, key, work) = (table.job.kind.clone(), seat.hand.key, Work(work));
                Start::Enter(Claim { job, kind, key, first, count, work, duplicate })
            }
        }
    }

    /// What came of a result.
    pub fn end(&mut self, id: ConnectionId, lease: LeaseId, claim: &Claim, end: End, now: Millis) {
        let late = match self.jobs.get_mut(&claim.job) {
            Some(table) => {
                if end == End::Accepted && !claim.duplicate {
                    table.samples.truncate(SAMPLES_MAX - 1);
                    table.samples.push_front((claim.first, claim.count, claim.key));
                }
                table.units.end(lease, end, now)
            }
            None => Vec::new(),
        };
        if let Some(seat) = self.seats.get_mut(&id) {
            seat.held.remove(&lease);
            seat.proven |= end == End::Accepted;
        }
        for lease in late {
            let table = self.jobs.get(&claim.job).expect("it has the lease");
            let Some(connection) = table.units.find(lease).map(|lease| lease.connection) else { continue };
            let unit = unit_id(claim.job, self.run, lease);
            if let Some(seat) = self.seats.get_mut(&connection) {
                seat.held.insert(lease, (claim.job, true));
                seat.tell(Told::Revoke { unit, reason: "another result came first" });
            }
            self.fill(connection, now, false);
        }
        self.fill(id, now, false);
        self.fill_all(now);
    }

    /// A hand gives a unit back. Where it says that it is impossible, and another said so of the same, they are given.
    pub fn release(
        &mut self,
        id: ConnectionId,
        lease: LeaseId,
        reason: ReleaseReason,
        now: Millis,
    ) -> Result<Option<Impossible>, Unheld> {
        let seat = self.seats.get_mut(&id).ok_or(Unheld)?;
        let (job, _) = *seat.held.get(&lease).ok_or(Unheld)?;
        let table = self.jobs.get_mut(&job).ok_or(Unheld)?;
        let Lease { first, count, key, .. } = table.units.release(lease).ok_or(Unheld)?;
        seat.held.remove(&lease);
        self.idle.insert(id);
        let mut impossible = None;
        match reason {
            ReleaseReason::Stopping => seat.rests_until = now.saturating_add(REST_MS),
            ReleaseReason::Failed => drop(seat.declined.insert(job, now.saturating_add(FAILED_MS))),
            ReleaseReason::Unsupported | ReleaseReason::Memory => drop(seat.declined.insert(job, Millis::MAX)),
            ReleaseReason::Impossible => {
                seat.declined.insert(job, Millis::MAX);
                let other = table.doubts.note(first, count, key);
                impossible = other.map(|(first, count, other)| Impossible { job, first, count, keys: [other, key] });
            }
        }
        self.fill_all(now);
        Ok(impossible)
    }

    /// The pool has computed elements that were said to be impossible.
    pub fn judged(&mut self, job: JobId, first: u64, count: u64, possible: bool) {
        let Some(table) = self.jobs.get_mut(&job) else { return };
        let keys = table.doubts.settle(first, count);
        for seat in self.seats.values_mut().filter(|seat| possible && keys.contains(&seat.hand.key)) {
            seat.tell(Told::Offence);
        }
    }

    /// Some time passed.
    pub fn tick(&mut self, now: Millis) {
        let mut expired = Vec::new();
        for (&job, table) in &mut self.jobs {
            expired.extend(table.units.expire(now).into_iter().map(|(id, lease)| (job, id, lease)));
        }
        for (job, id, lease) in expired {
            let connection = lease.connection;
            let late = self.seats.get(&connection).and_then(|seat| seat.held.get(&id)).is_some_and(|held| held.1);
            if let Some(seat) = self.seats.get_mut(&connection).filter(|_| !late) {
                // It may be gone without having said so: from here on it holds one element up, not all that it wants.
                seat.proven = false;
                // It keeps the unit in place of another until somebody else takes the elements.
                if self.jobs.get_mut(&job).is_some_and(|table| table.units.lapse(id, &lease)) {
                    continue;
                }
            }
            self.revoke(connection, job, id, "its time is up");
        }
        let gone: Vec<ConnectionId> = self.seats.iter().filter(|(_, seat)| seat.gone).map(|(&id, _)| id).collect();
        for id in gone {
            self.vacate(id);
        }
        self.fill_idle(now, true);
        let mut overtaken = Vec::new();
        for (&job, table) in &mut self.jobs {
            overtaken.extend(table.units.overtaken().into_iter().map(|(id, lease)| (job, id, lease.connection)));
        }
        for (job, lease, connection) in overtaken {
            self.revoke(connection, job, lease, "its time is up");
        }
    }

    /// Ends a hand's lease that the units have ended.
    fn revoke(&mut self, connection: ConnectionId, job: JobId, lease: LeaseId, reason: &'static str) {
        let unit = unit_id(job, self.run, lease);
        if let Some(seat) = self.seats.get_mut(&connection)
            && let Some((_, late)) = seat.held.remove(&lease)
        {
            if !late {
                seat.tell(Told::Revoke { unit, reason });
            }
            self.idle.insert(connection);
        }
    }

    fn drop_all(&mut self, id: ConnectionId, reason: &'static str) {
        let held: Vec<(LeaseId, JobId)> =
            self.seats.get(&id).map(|seat| seat.held.iter().map(|(&id, of)| (id, of.0)).collect()).unwrap_or_default();
        for (lease, job) in held {
            if self.jobs.get_mut(&job).is_some_and(|table| table.units.release(lease).is_some()) {
                self.revoke(id, job, lease, reason);
            }
        }
    }

    /// Gives units to all who have room for them.
    fn fill_all(&mut self, now: Millis) {
        if self.jobs.values().any(|table| !table.ended && table.units.has_open()) {
            self.fill_idle(now, false);
        }
    }

    fn fill_idle(&mut self, now: Millis, duplicates: bool) {
        let idle: Vec<ConnectionId> = self.idle.iter().copied().collect();
        for id in idle {
            self.fill(id, now, duplicates);
        }
    }

    /// Gives a hand as many units as it has room for.
    fn fill(&mut self, id: ConnectionId, now: Millis, duplicates: bool) {
        while self.seats.get(&id).is_some_and(Seat::has_room) {
            if self.lease_one(id, now, duplicates).is_none() {
                self.idle.insert(id);
                return;
            }
        }
        self.idle.remove(&id);
    }

    /// Jobs that have a unit for this hand, perhaps.
    fn choices(&self, seat: &Seat, now: Millis) -> Vec<JobId> {
        let declines = |job: &JobId| seat.declined.get(job).is_some_and(|&until| now < until);
        let may = |(job, table): &(&JobId, &Table)| {
            !table.ended && !declines(job) && seat.hand.kinds.contains(&table.job.kind)
        };
        let open: Vec<JobId> = self.jobs.iter().filter(may).map(|(&job, _)| job).collect();
        self.fair.order(&open, seat.near.map(|(job, _)| job), seat.hand.want)
    }

    fn lease_one(&mut self, id: ConnectionId, now: Millis, duplicates: bool) -> Option<()> {
        let seat = &self.seats[&id];
        if now < seat.rests_until {
            return None;
        }
        let (choices, proven) = (self.choices(seat, now), seat.proven);
        let open: Vec<JobId> = choices.iter().copied().filter(|job| self.jobs[job].units.has_open()).collect();
        let canary = proven && self.canary > 0 && !open.is_empty() && self.random.random_range(0..self.canary) == 0;
        if canary && let Some(issued) = open.iter().find_map(|&job| self.repeat(id, job, now)) {
            return Some(issued);
        }
        let opened = open.into_iter().find_map(|job| self.issue(id, job, now, |units, ask| units.lease(ask).cloned()));
        // A worker of which nothing is known gets no duplicate.
        if opened.is_some() || !duplicates || !proven {
            return opened;
        }
        let overdue: Vec<JobId> = choices.into_iter().filter(|job| self.jobs[job].units.is_overdue(now)).collect();
        overdue.into_iter().find_map(|job| self.issue(id, job, now, |units, ask| units.duplicate(ask).cloned()))
    }

    /// Has a hand do once more what another key has done.
    fn repeat(&mut self, id: ConnectionId, job: JobId, now: Millis) -> Option<()> {
        let key = self.seats[&id].hand.key;
        let table = &self.jobs[&job];
        let others: Vec<_> = table.samples.iter().filter(|sample| sample.2 != key).copied().collect();
        if others.is_empty() {
            return None;
        }
        let (first, count, _) = others[self.random.random_range(0..others.len())];
        let funds = self.funds.get(&table.job.asset).copied().unwrap_or(0);
        #[expect(clippy::cast_precision_loss, reason = "an estimate; what is paid is for the ledger to say")]
        let affordable = table.job.cost.work(first, count) as f64 * table.job.price <= funds as f64;
        if !affordable {
            return None;
        }
        self.issue(id, job, now, |units, ask| units.repeat(ask, first, count).cloned())
    }

    /// Leases in one of the ways, and tells.
    fn issue(
        &mut self,
        id: ConnectionId,
        job: JobId,
        now: Millis,
        lease: impl FnOnce(&mut Units<Arc<CostMap>>, &Ask) -> Option<Lease>,
    ) -> Option<()> {
        let table = self.jobs.get_mut(&job)?;
        let seat = self.seats.get_mut(&id)?;
        let slots = if seat.proven { seat.hand.slots } else { 1 };
        let near = seat.near.filter(|(of, _)| *of == job).map(|(_, element)| element);
        // Which section it will be is not known yet; most jobs' sections have as large inputs.
        let next = near.map_or(0, |element| element / table.job.cost.section());
        let section = &table.job.sections[usize::try_from(next).ok()?];
        let missing = section.inputs.iter().filter(|input| !seat.inputs.contains(&input.digest));
        let input_bytes = missing.map(|input| input.bytes).sum();
        let element_bytes = table.job.element_bytes;
        let ms = self.share_ms.saturating_mul(slots.into());
        let ask = Ask {
            lease: self.next_lease,
            key: seat.hand.key,
            connection: id,
            pace: Pace { work: seat.hand.want, least: self.least_work, ms, input_bytes, element_bytes },
            count_max: (RESULT_BYTES_MAX / element_bytes).clamp(1, u32::MAX.into()),
            unproven: !seat.proven,
            near,
            slots: self.slots.get(&table.job.kind).copied().unwrap_or(1),
            now,
        };
        let lease = lease(&mut table.units, &ask)?;
        let number = lease.first / table.job.cost.section();
        let section = &table.job.sections[usize::try_from(number).ok()?];
        let unit = unit_id(job, self.run, self.next_lease);
        let mut assign = assign(&table.job, section, number, unit);
        assign.first = lease.first % table.job.cost.section();
        assign.count = u32::try_from(lease.count).ok()?;
        assign.work = Work(lease.work);
        assign.ttl_s = (lease.expires.saturating_sub(now) / 1000).clamp(1, TTL_S_MAX);
        self.fair.issued(job, lease.work);
        if seat.inputs.len() > INPUTS_KNOWN_MAX {
            seat.inputs.clear();
        }
        seat.inputs.extend(section.inputs.iter().map(|input| input.digest));
        seat.near = Some((job, lease.first));
        seat.held.insert(self.next_lease, (job, false));
        let result_bytes = lease.count * element_bytes;
        seat.tell(Told::Assign(Box::new(Assigned { lease: self.next_lease, assign, result_bytes })));
        self.next_lease += 1;
        Some(())
    }
}

/// The hand does not hold this unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this unit is not held")]
pub struct Unheld;
