//! Commands of range jobs.

use lode_protocol::ids::{JobId, UserName};

use super::{Done, Refusal};
use crate::ledger::batch::{Verdict, Void};
use crate::ledger::entry::{Entry, Millis, Outcome, RangeTerms};
use crate::ledger::fold::{Broken, Job, State, is_within};
use crate::ledger::range::Place;

type Plan = Result<(Vec<Entry>, Done), Refusal>;

/// A unit as it was delivered; its result is on disk under its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitClaim {
    /// The job.
    pub job: JobId,
    /// Who is credited.
    pub user: UserName,
    /// The miner's key, proven on its connection.
    pub key: [u8; 32],
    /// Its first element, as the job counts them.
    pub first: u64,
    /// Its elements.
    pub count: u32,
    /// Digest of its result.
    pub digest: [u8; 32],
    /// Whether the pool issued these very elements to another key as well. The first to deliver has done them; only
    /// what comes after is entered as a duplicate.
    pub duplicate: bool,
}

fn open_range(state: &State, job: JobId) -> Result<(&Job, &RangeTerms), Refusal> {
    match state.open_range(job) {
        Ok(found) => Ok(found),
        Err(Broken::Unknown(_)) => Err(Refusal::NoJob(job)),
        Err(_) if super::is_range(state, job) => Err(Refusal::Closed(job)),
        Err(_) => Err(Refusal::NoElements(job)),
    }
}

pub(super) fn unit(state: &State, claim: &UnitClaim, now: Millis) -> Plan {
    let UnitClaim { job, ref user, key, first, count, digest, .. } = *claim;
    let (open, terms) = state.open_range(job).map_err(|_| Refusal::Stale)?;
    if open.ending.is_some() {
        return Err(Refusal::Stale);
    }
    if state.keys.find(&key).is_some_and(|known| known.banned) {
        return Err(Refusal::Banned);
    }
    if !is_within(terms, first, count) {
        return Err(Refusal::NoElements(job));
    }
    if state.secrets.current().is_none() {
        return Err(Refusal::NoSecret);
    }
    let mut entries = Vec::with_capacity(4);
    let number = state.keys.number(&key).unwrap_or_else(|| {
        let index = state.keys.next();
        entries.push(Entry::KeySeen { index, key });
        index
    });
    let duplicate = match open.range.place(first, count) {
        Place::Free => false,
        Place::Done(of) if claim.duplicate && open.range.takes_duplicate(of, number) => true,
        Place::Done(_) | Place::Taken => return Err(Refusal::Duplicate),
    };
    let worker = state.worker_number(user).unwrap_or_else(|| {
        let index = u32::try_from(state.workers.len()).expect("fewer than 2^32 rigs were ever seen");
        entries.push(Entry::WorkerSeen { index, user: user.clone() });
        index
    });
    let work = terms.cost.work(first, u64::from(count));
    entries.push(Entry::Unit { job, worker, key: number, first, count, work, at: now, digest, duplicate });
    // What this unit makes full or complete closes with it.
    let all_done = !duplicate && open.elements_done + u64::from(count) == terms.cost.elements();
    let mut batch = state.batches.len() as u64;
    if all_done {
        for (other, _) in open.range.open().filter(|(key, _)| *key != number) {
            entries.extend(state.closing(batch, job, other, now));
            batch += 1;
        }
    }
    if all_done || open.range.open_units(number) + 1 >= terms.policy.batch_units as usize {
        entries.extend(state.closing_after(batch, job, (number, &claim.key), Some((first, count, digest)), now));
    }
    Ok((entries, Done::Entered))
}

pub(super) fn close_batch(state: &State, job: JobId, key: &[u8; 32], now: Millis) -> Plan {
    open_range(state, job)?;
    let batch = state.batches.len() as u64;
    let entry = state.keys.number(key).and_then(|number| state.closing(batch, job, number, now));
    Ok(entry.map_or((Vec::new(), Done::Repeated), |entry| (vec![entry], Done::BatchClosed(batch))))
}

/// The entry that closes an ending job with the verdict on `batch`, if that is the last that it waits for.
fn closes_with(state: &State, job: JobId, now: Millis) -> Option<Entry> {
    let (open, _) = state.open_range(job).ok()?;
    let outcome = open.ending?;
    let last = open.range.unresolved_count() == 1 && open.range.open().next().is_none();
    last.then_some(Entry::JobClosed { job, outcome, at: now })
}

pub(super) fn mature(state: &State, batch: u64, now: Millis) -> Plan {
    let found = match state.unresolved(batch) {
        Ok(found) => found,
        Err(_) if state.has_matured(batch) => return Ok((Vec::new(), Done::Repeated)),
        Err(_) => return Err(Refusal::Resolved(batch)),
    };
    let mut entries = vec![Entry::BatchMatured { batch, at: now }];
    entries.extend(closes_with(state, found.job, now));
    Ok((entries, Done::Entered))
}

pub(super) fn void(state: &State, batch: u64, void: &Void, now: Millis) -> Plan {
    let unresolved = state.unresolved(batch).map_err(|_| Refusal::Resolved(batch))?;
    if let Some(what) = state.void_fault(unresolved, void) {
        return Err(Refusal::Evidence { batch, what });
    }
    let mut entries = vec![Entry::BatchVoided { batch, void: *void, at: now }];
    entries.extend(closes_with(state, unresolved.job, now));
    Ok((entries, Done::Entered))
}

pub(super) fn commit(state: &State, hash: &[u8; 32], now: Millis) -> Plan {
    if state.secrets.has(hash) {
        return Ok((Vec::new(), Done::Repeated));
    }
    let number = state.secrets.all().len() as u64;
    Ok((vec![Entry::SecretCommitted { number, hash: *hash, at: now }], Done::Committed(number)))
}

pub(super) fn reveal(state: &State, secret: &[u8; 32], now: Millis) -> Plan {
    if state.secrets.all().iter().any(|known| known.revealed == Some(*secret)) {
        return Ok((Vec::new(), Done::Repeated));
    }
    let number = state.secrets.check(secret)?;
    Ok((vec![Entry::SecretRevealed { number, secret: *secret, at: now }], Done::Entered))
}

pub(super) fn end(state: &State, job: JobId, outcome: Outcome, now: Millis) -> Plan {
    let (open, terms) = match open_range(state, job) {
        Err(Refusal::Closed(_)) => return Ok((Vec::new(), Done::Repeated)),
        found => found?,
    };
    if open.ending == Some(outcome) {
        // Asked again: what cannot be checked is given up, but only where the job itself is at fault.
        return Ok(match outcome {
            Outcome::Quarantined => (vec![Entry::JobClosed { job, outcome, at: now }], Done::Entered),
            _ => (Vec::new(), Done::Repeated),
        });
    }
    let early = matches!(outcome, Outcome::Cancelled | Outcome::Expired);
    if early && open.ending.is_some() {
        return Ok((Vec::new(), Done::Repeated));
    }
    if early && open.elements_done == terms.cost.elements() {
        return Err(Refusal::Finishing(job));
    }
    if early && !super::is_due(state, job, outcome, now) {
        return Err(Refusal::NotDue(job));
    }
    if let Some(what) = State::ending_fault(open, terms, outcome, now) {
        return Err(Refusal::CannotEnd { job, what });
    }
    let mut entries = vec![Entry::JobEnding { job, outcome, at: now }];
    let numbers = open.range.open().map(|(key, _)| key);
    entries.extend(
        (state.batches.len() as u64..).zip(numbers).filter_map(|(batch, key)| state.closing(batch, job, key, now)),
    );
    if entries.len() == 1 && open.range.unresolved_count() == 0 {
        entries.push(Entry::JobClosed { job, outcome, at: now });
    }
    Ok((entries, Done::Entered))
}

pub(super) fn finish(state: &State, job: JobId, result: [u8; 32], now: Millis) -> Plan {
    let outcome = Outcome::Completed { result };
    let (open, terms) = match open_range(state, job) {
        Err(Refusal::Closed(_)) if state.jobs[&job].closed.as_ref().is_some_and(|closed| closed.outcome == outcome) => {
            return Ok((Vec::new(), Done::Repeated));
        }
        found => found?,
    };
    if open.ending.is_some() || open.elements_matured != terms.cost.elements() {
        return Err(Refusal::Unfinished(job));
    }
    Ok((vec![Entry::JobClosed { job, outcome, at: now }], Done::Entered))
}

impl State {
    fn has_matured(&self, batch: u64) -> bool {
        let found = usize::try_from(batch).ok().and_then(|place| self.batches.get(place));
        found.is_some_and(|found| matches!(found.verdict, Verdict::Matured { .. }))
    }
}
