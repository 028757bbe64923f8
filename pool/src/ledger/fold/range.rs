//! The fold of what only range jobs have: units, batches and their verdicts, secrets, and settling as batches mature.

use std::collections::BTreeMap;

use lode_protocol::ids::{AccountName, JobId};

use super::{Broken, Key, State, minus, plus};
use crate::ledger::batch::{Batch, Cause, Verdict, Void, root};
use crate::ledger::entry::{Entry, Millis, Outcome, RangeTerms};
use crate::ledger::events::{BatchInfo, Event, MaturedInfo, UnitInfo, VoidInfo};
use crate::ledger::payout::{Earned, duplicate_pay, earned, largest_remainder};
use crate::ledger::range::{Place, Range, Standing, Unit};
use crate::ledger::records::Job;
use crate::ledger::secrets::DrawnVoid;

impl State {
    /// Adds an entry that came with range jobs.
    pub(super) fn apply_range(&mut self, entry: &Entry) -> Result<(), Broken> {
        match entry {
            Entry::KeySeen { index, key } => {
                if !self.keys.add(*index, *key) {
                    return Err(Broken::Repeated(format!("key number {index}")));
                }
                self.dirty.insert(Key::Miner(*key));
                Ok(())
            }
            Entry::Unit { job, worker, key, first, count, work, at, digest, duplicate } => {
                self.advance(*at)?;
                let standing = if *duplicate { Standing::Duplicate } else { Standing::Done };
                let (first, count, digest) = (*first, *count, *digest);
                let (key, worker, work, at, batch) = (*key, *worker, *work, *at, None);
                self.unit(*job, Unit { key, worker, first, count, work, digest, at, standing, batch })
            }
            Entry::BatchClosed { batch, job, key, root, units, at } => {
                self.advance(*at)?;
                self.batch_closed(*batch, *job, *key, *root, *units, *at)
            }
            Entry::BatchMatured { batch, at } => {
                self.advance(*at)?;
                self.batch_matured(*batch, *at)
            }
            Entry::BatchVoided { batch, void, at } => {
                self.advance(*at)?;
                self.batch_voided(*batch, *void, *at)
            }
            Entry::SecretCommitted { number, hash, at } => {
                self.advance(*at)?;
                if !self.secrets.commit(*number, *hash, *at) {
                    return Err(Broken::Repeated(format!("secret number {number}")));
                }
                self.dirty.insert(Key::Secret(*number));
                Ok(())
            }
            Entry::SecretRevealed { number, secret, at } => {
                self.advance(*at)?;
                let found = self.secrets.check(secret).map_err(|source| Broken::Secret { number: *number, source })?;
                if found != *number {
                    return Err(Broken::Unknown(format!("secret {number} of this hash")));
                }
                self.secrets.reveal(*number, *secret);
                self.dirty.insert(Key::Secret(*number));
                Ok(())
            }
            Entry::JobEnding { job, outcome, at } => {
                self.advance(*at)?;
                self.job_ending(*job, *outcome, *at)
            }
            Entry::FeePaid { job, account, amount } => self.fee_paid(*job, account, *amount),
            _ => unreachable!("apply has taken every other entry"),
        }
    }

    /// An open range job and its terms.
    ///
    /// # Errors
    /// There is none of this number.
    pub(crate) fn open_range(&self, job: JobId) -> Result<(&Job, &RangeTerms), Broken> {
        let open = self.open_job(job)?;
        let terms = open.terms.range().ok_or(Broken::Terms { job, what: "is not a range of elements" })?;
        Ok((open, terms))
    }

    fn range_mut(&mut self, job: JobId) -> &mut Range {
        &mut self.jobs.get_mut(&job).expect("open_range found it").range
    }

    fn account_of(&self, worker: u32) -> &AccountName {
        &self.workers[worker as usize].account
    }

    fn unit(&mut self, job: JobId, unit: Unit) -> Result<(), Broken> {
        let (open, terms) = self.open_range(job)?;
        if let Some(what) = misfit(open, terms, &unit) {
            return Err(Broken::Terms { job, what });
        }
        let key = self.keys.get(unit.key).ok_or_else(|| Broken::Unknown(format!("key {}", unit.key)))?;
        if key.banned {
            return Err(Broken::Terms { job, what: "gets a unit of a banned key" });
        }
        let of = match (open.range.place(unit.first, unit.count), unit.standing) {
            (Place::Free, Standing::Done) => None,
            (Place::Done(of), Standing::Duplicate) if open.range.takes_duplicate(of, unit.key) => Some(of),
            _ => return Err(Broken::Repeated(format!("elements from {} of {job}", unit.first))),
        };
        let account = self.delivered(job, unit.worker, unit.work, unit.at)?;
        if of.is_none() {
            self.counts(job, &account, &unit)?;
        }
        let key = self.keys.get_mut(unit.key).expect("looked up above");
        key.delivered();
        self.dirty.insert(Key::Miner(key.key));
        let info = self.unit_info(job, &unit);
        self.events.push(Event::Unit(info));
        self.range_mut(job).add(unit);
        if let Some(of) = of {
            self.pay_duplicates(job, &[of], 0);
        }
        Ok(())
    }

    fn unit_info(&self, job: JobId, unit: &Unit) -> UnitInfo {
        let key = self.keys.get(unit.key).expect("a unit's key is known").key;
        let duplicate = matches!(unit.standing, Standing::Duplicate | Standing::Paid);
        UnitInfo { job, key, first: unit.first, count: unit.count, digest: unit.digest, duplicate, at: unit.at }
    }

    /// Adds what a unit has done to the sums of its job and to its account's part.
    fn counts(&mut self, job: JobId, account: &AccountName, unit: &Unit) -> Result<(), Broken> {
        let found = self.jobs.get_mut(&job).expect("open_range found it");
        found.work = plus(found.work, unit.work)?;
        found.elements_done += u64::from(unit.count);
        let round = found.rounds.entry(unit.worker).or_default();
        round.work = plus(round.work, unit.work)?;
        let earning = self.earnings.get_mut(&(account.clone(), job)).expect("delivered made it");
        earning.work = plus(earning.work, unit.work)?;
        let keys = [Key::Job(job), Key::Round(job, unit.worker), Key::Earning(account.clone(), job)];
        self.dirty.extend(keys);
        Ok(())
    }

    /// Takes that back.
    fn counts_no_more(&mut self, job: JobId, account: &AccountName, unit: &Unit) -> Result<(), Broken> {
        let place = || format!("work of {job}");
        let found = self.jobs.get_mut(&job).expect("open_range found it");
        found.work = minus(found.work, unit.work, place)?;
        found.elements_done -= u64::from(unit.count);
        let round = found.rounds.entry(unit.worker).or_default();
        round.work = minus(round.work, unit.work, place)?;
        let earning = self.earnings.get_mut(&(account.clone(), job)).expect("the unit made it");
        earning.work = minus(earning.work, unit.work, place)?;
        let keys = [Key::Job(job), Key::Round(job, unit.worker), Key::Earning(account.clone(), job)];
        self.dirty.extend(keys);
        Ok(())
    }

    /// The entry that closes the open batch of a key, as number `batch`.
    pub(crate) fn closing(&self, batch: u64, job: JobId, key: u32, at: Millis) -> Option<Entry> {
        self.closing_after(batch, job, (key, &self.keys.get(key)?.key), None, at)
    }

    /// The same where one more unit of the key is planned and not applied yet; its number may be so too.
    pub(crate) fn closing_after(
        &self,
        batch: u64,
        job: JobId,
        (key, bytes): (u32, &[u8; 32]),
        unit: Option<(u64, u32, [u8; 32])>,
        at: Millis,
    ) -> Option<Entry> {
        let range = &self.jobs.get(&job)?.range;
        let units: Vec<_> = range.open_of(key).map(Unit::triple).chain(unit).collect();
        if units.is_empty() {
            return None;
        }
        let count = u32::try_from(units.len()).expect("bounded by the policy");
        let root = root(job, bytes, units);
        Some(Entry::BatchClosed { batch, job, key, root, units: count, at })
    }

    fn batch_closed(
        &mut self,
        batch: u64,
        job: JobId,
        key: u32,
        root: [u8; 32],
        units: u32,
        at: Millis,
    ) -> Result<(), Broken> {
        let fault = |what| Broken::Audit { batch, what };
        if usize::try_from(batch) != Ok(self.batches.len()) {
            return Err(fault("is not the next number"));
        }
        let (open, terms) = self.open_range(job)?;
        let policy = terms.policy;
        let closing = self.closing(batch, job, key, at).ok_or(fault("has no units"))?;
        if closing != (Entry::BatchClosed { batch, job, key, root, units, at }) {
            return Err(fault("is closed with another root or count than its units have"));
        }
        let secret = self.secrets.current().ok_or(fault("closes before a secret is committed"))?.number;
        let in_it = || open.range.open_of(key);
        let work = in_it().filter(|unit| unit.standing == Standing::Done).map(|unit| unit.work).sum();
        let triples = in_it().map(Unit::triple).collect();
        let known = self.keys.get(key).expect("closing found it");
        let all = known.banned || known.is_new(policy.clean_batches);
        let key_bytes = known.key;
        self.batches.push(Batch {
            batch,
            job,
            key,
            root,
            units,
            work,
            closed_at: at,
            all,
            secret,
            verdict: Verdict::Unresolved,
        });
        self.secrets.closed(secret);
        self.range_mut(job).close(key, batch);
        self.dirty.insert(Key::Batch(job, batch));
        self.events.push(Event::BatchClosed(BatchInfo {
            batch,
            job,
            key: key_bytes,
            root,
            secret,
            units: triples,
            all,
        }));
        Ok(())
    }

    /// What is known of an unresolved batch, for whoever checks it.
    #[must_use]
    pub fn batch_info(&self, batch: u64) -> Option<BatchInfo> {
        let found = self.unresolved(batch).ok()?;
        let units = self.jobs.get(&found.job)?.range.batch(batch).map(Unit::triple).collect();
        let key = self.keys.get(found.key)?.key;
        let Batch { job, root, secret, all, .. } = *found;
        Some(BatchInfo { batch, job, key, root, secret, units, all })
    }

    /// A batch that waits for its verdict.
    ///
    /// # Errors
    /// It has one, or never closed.
    pub(crate) fn unresolved(&self, batch: u64) -> Result<&Batch, Broken> {
        let found = usize::try_from(batch).ok().and_then(|place| self.batches.get(place));
        match found {
            None => Err(Broken::Unknown(format!("batch {batch}"))),
            Some(found) if found.verdict == Verdict::Unresolved => Ok(found),
            Some(_) => Err(Broken::Audit { batch, what: "has a verdict" }),
        }
    }

    /// Gives a batch its verdict: its job, its key's number, its secret's.
    fn resolve(&mut self, batch: u64, verdict: Verdict) -> (JobId, u32, u64) {
        let place = usize::try_from(batch).expect("unresolved found it");
        let found = &mut self.batches[place];
        found.verdict = verdict;
        let (job, key, secret) = (found.job, found.key, found.secret);
        self.secrets.resolved(secret);
        self.dirty.insert(Key::Batch(job, batch));
        (job, key, secret)
    }

    fn batch_matured(&mut self, batch: u64, at: Millis) -> Result<(), Broken> {
        let job = self.unresolved(batch)?.job;
        self.open_range(job)?;
        let (job, key, _) = self.resolve(batch, Verdict::Matured { at });
        let key = self.keys.get_mut(key).expect("a batch's key is known");
        key.was_clean();
        self.dirty.insert(Key::Miner(key.key));
        self.jobs.get_mut(&job).expect("open_range found it").matured_batches += 1;
        let units = self.range_mut(job).mature(batch);
        let triples = units.iter().map(|index| self.jobs[&job].range.unit(*index).triple()).collect();
        self.events.push(Event::Matured(MaturedInfo { batch, job, units: triples }));
        self.pay_matured(job, &units)
    }

    /// Makes due what units earn that have just matured, and what duplicates of them do.
    fn pay_matured(&mut self, job: JobId, units: &[usize]) -> Result<(), Broken> {
        let mut work: BTreeMap<AccountName, u128> = BTreeMap::new();
        let mut elements = 0;
        for &index in units {
            let unit = self.jobs[&job].range.unit(index);
            elements += u64::from(unit.count);
            *work.entry(self.account_of(unit.worker).clone()).or_default() += unit.work;
        }
        let found = self.jobs.get_mut(&job).expect("open_range found it");
        let before = earned(&found.terms, found.matured_work);
        found.matured_work = plus(found.matured_work, work.values().sum())?;
        found.elements_matured += elements;
        let after = earned(&found.terms, found.matured_work);
        self.dirty.insert(Key::Job(job));
        for (account, &work) in &work {
            let key = (account.clone(), job);
            let earning = self.earnings.get_mut(&key).expect("the unit made it");
            earning.matured_work = plus(earning.matured_work, work)?;
            self.dirty.insert(Key::Earning(key.0, job));
        }
        let Earned { pay, fee } = after.since(before);
        let parts = largest_remainder(pay, &work).into_iter().filter(|(_, amount)| *amount > 0);
        self.due.extend(parts.map(|(account, amount)| Entry::Payout { job, account, amount }));
        self.due.extend((fee > 0).then_some(Entry::Fee { job, amount: fee }));
        self.pay_duplicates(job, units, fee);
        Ok(())
    }

    /// Makes due what the equal duplicates of matured units get from the pool's fees, to which `due_fee` is added first:
    /// at most what this job has brought the pool, so that nobody can send duplicates after the fees of other jobs.
    fn pay_duplicates(&mut self, job: JobId, of: &[usize], due_fee: u128) {
        let terms = &self.jobs[&job].terms;
        let fees = self.assets.get(&terms.asset).map_or(0, |totals| totals.fees);
        let own = self.jobs[&job].fees.saturating_sub(self.jobs[&job].range.duplicates_paid);
        let mut left = fees.min(own).saturating_add(due_fee);
        let matured = of.iter().filter(|index| self.jobs[&job].range.unit(**index).standing == Standing::Matured);
        let equal: Vec<usize> = matured.flat_map(|index| self.jobs[&job].range.equal_duplicates(*index)).collect();
        for index in equal {
            let unit = self.jobs[&job].range.unit(index);
            let amount = duplicate_pay(&self.jobs[&job].terms, unit.work).min(left);
            let account = self.account_of(unit.worker).clone();
            left -= amount;
            self.due.extend((amount > 0).then_some(Entry::FeePaid { job, account, amount }));
            self.range_mut(job).paid(index);
        }
    }

    fn fee_paid(&mut self, job: JobId, account: &AccountName, amount: u128) -> Result<(), Broken> {
        let asset = self.jobs.get(&job).ok_or_else(|| Broken::Unknown(format!("job {job}")))?.terms.asset.clone();
        let totals = self.totals(&asset);
        totals.fees = minus(totals.fees, amount, || format!("the pool's fees in {asset}"))?;
        let paid = &mut self.range_mut(job).duplicates_paid;
        *paid = plus(*paid, amount)?;
        let earning = self.matured(job, account, asset, amount)?;
        earning.duplicates = plus(earning.duplicates, amount)?;
        Ok(())
    }

    /// Why `void` cannot be the verdict of an unresolved batch, if so.
    pub(crate) fn void_fault(&self, batch: &Batch, void: &Void) -> Option<&'static str> {
        let Ok((open, terms)) = self.open_range(batch.job) else { return Some("is of a job that is closed") };
        let unit = open.range.batch(batch.batch).find(|unit| (unit.first, unit.count) == (void.first, void.count));
        let Some(unit) = unit else { return Some("does not have the unit that it is voided by") };
        let elements = unit.first..unit.first + u64::from(unit.count);
        if !elements.contains(&void.element) || void.part >= terms.parts_per_element {
            return Some("is voided by a part that its unit does not have");
        }
        if void.expected == void.found {
            return Some("is voided by a part that is right");
        }
        let contested = || open.range.is_contested(unit.first, unit.count, batch.key, &unit.digest);
        match void.cause {
            Cause::Mismatch if !contested() => Some("is voided by a mismatch with nothing"),
            Cause::Mismatch | Cause::Drawn => None,
        }
    }

    fn batch_voided(&mut self, batch: u64, void: Void, at: Millis) -> Result<(), Broken> {
        let found = self.unresolved(batch)?;
        if let Some(what) = self.void_fault(found, &void) {
            return Err(Broken::Audit { batch, what });
        }
        let (root, all, secret) = (found.root, found.all, found.secret);
        let (open, terms) = self.open_range(found.job)?;
        if void.cause == Cause::Drawn {
            let units = open.range.batch(batch).map(|unit| (unit.first, unit.count)).collect();
            let drawn = DrawnVoid { batch, root, units, all, terms: terms.clone(), void };
            self.secrets.voided(secret, drawn);
        }
        let (job, key, _) = self.resolve(batch, Verdict::Voided { void: Box::new(void), at });
        let key = self.keys.get_mut(key).expect("a batch's key is known");
        key.was_void();
        let key = key.key;
        self.dirty.extend([Key::Miner(key), Key::Void(job, batch)]);
        self.jobs.get_mut(&job).expect("open_range found it").voids += 1;
        self.undo(job, batch, key)
    }

    /// Takes back what the units of a void batch had done, and lets duplicates of them count instead.
    fn undo(&mut self, job: JobId, batch: u64, key: [u8; 32]) -> Result<(), Broken> {
        let (jobs, batches) = (&mut self.jobs, &self.batches);
        let has_matured = |other: u64| {
            let place = usize::try_from(other).expect("numbers of batches are places");
            matches!(batches[place].verdict, Verdict::Matured { .. })
        };
        let range = &mut jobs.get_mut(&job).expect("open_range found it").range;
        let left = range.void(batch, has_matured);
        let unit = |state: &State, index: usize| state.jobs[&job].range.unit(index).clone();
        let mut taken: BTreeMap<AccountName, u128> = BTreeMap::new();
        for &index in left.undone.iter().chain(&left.duplicates) {
            let unit = unit(self, index);
            let account = self.take_back(unit.worker, unit.work)?;
            *taken.entry(account).or_default() += unit.work;
        }
        let mut reopened = Vec::new();
        for &index in &left.undone {
            let unit = unit(self, index);
            let account = self.account_of(unit.worker).clone();
            self.counts_no_more(job, &account, &unit)?;
            reopened.push((unit.first, unit.count));
        }
        let mut promoted = Vec::new();
        for &index in &left.promoted {
            let unit = unit(self, index);
            let account = self.account_of(unit.worker).clone();
            self.counts(job, &account, &unit)?;
            reopened.retain(|(first, _)| *first != unit.first);
            promoted.push(self.unit_info(job, &unit));
        }
        let taken = taken.into_iter().collect();
        self.events.push(Event::Voided(VoidInfo { batch, job, key, reopened, promoted, taken }));
        let matured = |index: &usize| self.jobs[&job].range.unit(*index).standing == Standing::Matured;
        let matured: Vec<usize> = left.promoted.iter().copied().filter(matured).collect();
        self.pay_matured(job, &matured)
    }

    /// Takes back work that a rig and its account had proven; the account.
    fn take_back(&mut self, worker: u32, work: u128) -> Result<AccountName, Broken> {
        let rig = &mut self.workers[worker as usize];
        rig.work = minus(rig.work, work, || format!("work of worker {worker}"))?;
        let name = rig.account.clone();
        let account = self.accounts.get_mut(&name).expect("each rig's account exists");
        account.work = minus(account.work, work, || format!("work of {name}"))?;
        self.dirty.extend([Key::Worker(worker), Key::Account(name.clone())]);
        Ok(name)
    }

    /// Why a range job cannot begin to end so at `at`, if so.
    pub(crate) fn ending_fault(open: &Job, terms: &RangeTerms, outcome: Outcome, at: Millis) -> Option<&'static str> {
        let all_done = open.elements_done == terms.cost.elements();
        match outcome {
            Outcome::Quarantined => (open.ending == Some(Outcome::Quarantined)).then_some("is quarantined twice"),
            _ if open.ending.is_some() => Some("ends twice"),
            Outcome::Cancelled | Outcome::Expired if all_done => Some("ends early when all of it is done"),
            Outcome::Cancelled => {
                open.cancel_at.is_none_or(|from| at < from).then_some("is cancelled before its notice ended")
            }
            Outcome::Expired => (at < open.terms.deadline_at).then_some("expires before its deadline"),
            Outcome::Solved | Outcome::Exhausted | Outcome::Completed { .. } => Some("cannot end so"),
        }
    }

    fn job_ending(&mut self, job: JobId, outcome: Outcome, at: Millis) -> Result<(), Broken> {
        let (open, terms) = self.open_range(job)?;
        if let Some(what) = State::ending_fault(open, terms, outcome, at) {
            return Err(Broken::Terms { job, what });
        }
        self.jobs.get_mut(&job).expect("open_range found it").ending = Some(outcome);
        self.dirty.insert(Key::Job(job));
        self.events.push(Event::Ending(job, outcome));
        Ok(())
    }

    /// Closes a range job. What is matured is paid already, so the rest of the escrow goes back.
    pub(super) fn range_closed(&mut self, job: JobId, outcome: Outcome, at: Millis) -> Result<(), Broken> {
        let (open, terms) = self.open_range(job)?;
        let pending = open.range.unresolved_count() > 0 || open.range.open().next().is_some();
        let fault = match outcome {
            Outcome::Completed { .. } if open.ending.is_some() => Some("completes while it ends otherwise"),
            Outcome::Completed { .. } => {
                (open.elements_matured != terms.cost.elements()).then_some("completes before all of it matured")
            }
            _ if open.ending != Some(outcome) => Some("closes otherwise than it was to end"),
            Outcome::Quarantined => None,
            _ => pending.then_some("closes before its batches have their verdicts"),
        };
        if let Some(what) = fault {
            return Err(Broken::Terms { job, what });
        }
        let refund = open.escrow;
        let dropped: Vec<u64> = open.range.unresolved().collect();
        for batch in dropped {
            self.resolve(batch, Verdict::Dropped);
        }
        self.close(job, outcome, at);
        self.due.extend((refund > 0).then_some(Entry::Refund { job, amount: refund }));
        Ok(())
    }
}

/// What is wrong with a unit by the job's terms and state, if anything.
fn misfit(open: &Job, terms: &RangeTerms, unit: &Unit) -> Option<&'static str> {
    let cost = &terms.cost;
    if open.ending.is_some() {
        return Some("gets a unit while it ends");
    }
    if !is_within(terms, unit.first, unit.count) {
        return Some("gets a unit that is not within one of its sections");
    }
    if unit.work != cost.work(unit.first, u64::from(unit.count)) {
        return Some("gets a unit of other work than its elements have");
    }
    let full = open.range.open_units(unit.key) >= terms.policy.batch_units as usize;
    full.then_some("gets a unit for a batch that is full")
}

/// Whether these are elements of one section of the job.
pub(crate) fn is_within(terms: &RangeTerms, first: u64, count: u32) -> bool {
    let (elements, section) = (terms.cost.elements(), terms.cost.section());
    count > 0 && first < elements && first % section + u64::from(count) <= section
}
