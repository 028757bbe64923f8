//! The fold: what the entries add up to. Pure; the same entries give the same state everywhere.
//!
//! [`State::apply`] checks each entry against everything before it, moves money from one place to
//! another so that every entry sums to zero, and executes the terms: the payouts, fees and refunds
//! that must follow are computed here, and any other entry in their place is an error, as is money
//! that moves where nothing is due. What only range jobs have is in `range`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use lode_protocol::header::HeaderHash;
use lode_protocol::ids::{AccountName, AssetName, JobId, SponsorName, UserName};
use lode_protocol::{Difficulty, Target, Work};

mod range;

pub(super) use range::is_within;

use super::batch::Batch;
use super::entry::{Entry, IdempotencyDigest, Millis, Outcome, Terms};
use super::events::Event;
use super::keys::Keys;
use super::payout::settle;
use super::range::Range;
pub use super::records::{
    Account, AssetTotals, Closed, Earning, Job, Key, Round, Solution, Sponsor, SponsorMoney, Worker,
};
use super::secrets::{RevealError, Secrets};

/// Why an entry cannot follow the ones before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The first entry opens the pool, and no other does.
    #[error("the pool is opened by the first entry and by no other")]
    Opening,
    /// An audit is not what the log before it makes of it.
    #[error("batch {batch} {what}")]
    Audit {
        /// The batch.
        batch: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A secret is not what its commitment and draws make of it.
    #[error("secret {number}: {source}")]
    Secret {
        /// Its number.
        number: u64,
        /// What is wrong.
        source: RevealError,
    },
    /// Something is named that never came to be.
    #[error("there is no {0}")]
    Unknown(String),
    /// Its cause was counted before.
    #[error("{0} was counted before")]
    Repeated(String),
    /// Money is moved that is not there.
    #[error("{place} has {have} and {want} is taken from it")]
    Overdrawn {
        /// Where from.
        place: String,
        /// What is there.
        have: u128,
        /// What is taken.
        want: u128,
    },
    /// A sum passes 128 bits.
    #[error("a sum passes 128 bits")]
    Overflow,
    /// It is at odds with the job's terms or state.
    #[error("{job} {what}")]
    Terms {
        /// The job.
        job: JobId,
        /// What is wrong.
        what: &'static str,
    },
    /// The terms require another entry here.
    #[error("{wanted} must come here and {found} does")]
    NotDue {
        /// What the terms require.
        wanted: String,
        /// What is there.
        found: String,
    },
    /// Time runs backwards.
    #[error("its time {at} is before {last}")]
    Backwards {
        /// Its time.
        at: Millis,
        /// The time before it.
        last: Millis,
    },
    /// A share that does not prove the work it claims.
    #[error("share {hash} does not prove the work {work} that it claims")]
    Unproven {
        /// Its hash.
        hash: HeaderHash,
        /// What it claims.
        work: u128,
    },
}

/// The sum of all entries so far.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// The pool's id; `None` before the first entry.
    pub pool: Option<[u8; 16]>,
    /// Time of the last timed entry.
    pub last_at: Millis,
    /// Totals by asset.
    pub assets: BTreeMap<AssetName, AssetTotals>,
    /// Sponsors by name.
    pub sponsors: BTreeMap<SponsorName, Sponsor>,
    /// Accounts by name.
    pub accounts: BTreeMap<AccountName, Account>,
    /// Rigs by number.
    pub workers: Vec<Worker>,
    /// Jobs by id.
    pub jobs: BTreeMap<JobId, Job>,
    /// Earnings by account and job.
    pub earnings: BTreeMap<(AccountName, JobId), Earning>,
    /// Rigs' parts in closed jobs, kept for the record.
    pub closed_rounds: BTreeMap<(JobId, u32), Round>,
    /// Hashes of the shares of all open jobs: a header counts once, whichever of them it is for.
    seen: HashSet<[u8; 32]>,
    worker_numbers: HashMap<UserName, u32>,
    /// Deposits by their cause, and what each was of.
    deposits: HashMap<[u8; 16], (AssetName, u128)>,
    idempotency: HashMap<[u8; 16], (JobId, [u8; 32])>,
    /// Closed batches, by number.
    pub batches: Vec<Batch>,
    /// Miners' keys.
    pub keys: Keys,
    /// Secrets of draws.
    pub secrets: Secrets,
    /// Entries that the terms require next, in order.
    due: VecDeque<Entry>,
    /// The share just applied, which a `Solved` right after it refers to.
    last_share: Option<(JobId, Solution)>,
    dirty: BTreeSet<Key>,
    events: Vec<Event>,
}

/// The cause of a deposit: its sponsor and reference.
fn deposit_cause(sponsor: &SponsorName, reference: &str) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_derive_key("lode ledger deposit v1");
    hasher.update(sponsor.as_str().as_bytes()).update(b"\n").update(reference.as_bytes());
    *hasher.finalize().as_bytes().first_chunk().expect("32 bytes have 16")
}

impl State {
    /// Checks `entry` and adds it.
    ///
    /// # Errors
    /// It cannot follow what came before. The state is then of no further use.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), Broken> {
        match self.due.pop_front() {
            Some(wanted) if wanted != *entry => {
                return Err(Broken::NotDue { wanted: format!("{wanted:?}"), found: format!("{entry:?}") });
            }
            None if entry.pays() => {
                return Err(Broken::NotDue { wanted: "no payment".into(), found: format!("{entry:?}") });
            }
            _ => {}
        }
        if self.pool.is_none() != matches!(entry, Entry::PoolOpened { .. }) {
            return Err(Broken::Opening);
        }
        let last_share = self.last_share.take();
        match entry {
            Entry::PoolOpened { pool, at } => {
                self.pool = Some(*pool);
                self.advance(*at)
            }
            Entry::SponsorCreated { sponsor, at } => self.sponsor_created(sponsor, *at),
            Entry::Deposit { sponsor, asset, amount, reference, at } => {
                self.advance(*at)?;
                self.deposit(sponsor, asset, *amount, reference)
            }
            Entry::Escrow { job, sponsor, asset, amount } => self.escrow(*job, sponsor, asset, *amount),
            Entry::JobOpened(terms) => self.job_opened(terms),
            Entry::WorkerSeen { index, user } => self.worker_seen(*index, user),
            Entry::Share { job, worker, work, at, hash, proof } => {
                self.advance(*at)?;
                self.share(*job, *worker, *work, *at, *hash)?;
                self.last_share = Some((*job, Solution { hash: hash.to_be_bytes(), proof: proof.clone() }));
                Ok(())
            }
            Entry::CancelRequested { job, at, effective_at } => {
                self.advance(*at)?;
                self.cancel_requested(*job, *at, *effective_at)
            }
            Entry::JobClosed { job, outcome, at } => {
                self.advance(*at)?;
                self.job_closed(*job, *outcome, *at, last_share)
            }
            Entry::Payout { job, account, amount } => self.payout(*job, account, *amount),
            Entry::Fee { job, amount } => self.fee(*job, *amount),
            Entry::Refund { job, amount } => self.refund(*job, *amount),
            _ => self.apply_range(entry),
        }
    }

    /// Entries that the terms require next.
    #[must_use]
    pub fn due(&self) -> &VecDeque<Entry> {
        &self.due
    }

    /// Takes the keys of the records changed since the last call.
    pub fn take_dirty(&mut self) -> BTreeSet<Key> {
        std::mem::take(&mut self.dirty)
    }

    /// Takes what the rest of the pool is to hear since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Whether a share of an open job has this hash.
    #[must_use]
    pub fn has_share(&self, hash: &HeaderHash) -> bool {
        self.seen.contains(&hash.to_be_bytes())
    }

    /// The number of a rig that was seen before.
    #[must_use]
    pub fn worker_number(&self, user: &UserName) -> Option<u32> {
        self.worker_numbers.get(user).copied()
    }

    /// The deposit that is counted under this reference.
    #[must_use]
    pub fn deposit_of(&self, sponsor: &SponsorName, reference: &str) -> Option<&(AssetName, u128)> {
        self.deposits.get(&deposit_cause(sponsor, reference))
    }

    /// The job that an idempotency key made, and the digest of its request.
    #[must_use]
    pub fn job_of_idempotency(&self, key: &[u8; 16]) -> Option<(JobId, [u8; 32])> {
        self.idempotency.get(key).copied()
    }

    /// The id of the next job.
    #[must_use]
    pub fn next_job(&self) -> JobId {
        JobId(self.jobs.last_key_value().map_or(1, |(id, _)| id.0 + 1))
    }

    /// A job that is open.
    ///
    /// # Errors
    /// It is closed or never was.
    pub fn open_job(&self, job: JobId) -> Result<&Job, Broken> {
        let found = self.jobs.get(&job).ok_or_else(|| Broken::Unknown(format!("job {job}")))?;
        if found.closed.is_some() {
            return Err(Broken::Terms { job, what: "is closed" });
        }
        Ok(found)
    }

    /// Checks that nothing is owed: no entry is due.
    ///
    /// # Errors
    /// The log ends where the terms require more.
    pub fn check_complete(&self) -> Result<(), Broken> {
        match self.due.front() {
            None => Ok(()),
            Some(wanted) => Err(Broken::NotDue { wanted: format!("{wanted:?}"), found: "the end".into() }),
        }
    }

    /// For each asset: what came in, and where it is now (sponsors, escrow, accounts, fees). The
    /// two are equal in every state.
    #[must_use]
    pub fn balance_sheet(&self) -> BTreeMap<AssetName, (u128, u128)> {
        let mut sheet: BTreeMap<AssetName, (u128, u128)> = BTreeMap::new();
        for (asset, totals) in &self.assets {
            sheet.insert(asset.clone(), (totals.deposited, totals.fees));
        }
        let mut held = |asset: &AssetName, amount: u128| sheet.entry(asset.clone()).or_default().1 += amount;
        for sponsor in self.sponsors.values() {
            sponsor.assets.iter().for_each(|(asset, money)| held(asset, money.balance));
        }
        self.jobs.values().for_each(|job| held(&job.terms.asset, job.escrow));
        for account in self.accounts.values() {
            account.matured.iter().for_each(|(asset, &amount)| held(asset, amount));
        }
        sheet
    }

    fn advance(&mut self, at: Millis) -> Result<(), Broken> {
        if at < self.last_at {
            return Err(Broken::Backwards { at, last: self.last_at });
        }
        self.last_at = at;
        Ok(())
    }

    fn sponsor_created(&mut self, sponsor: &SponsorName, at: Millis) -> Result<(), Broken> {
        self.advance(at)?;
        if self.sponsors.insert(sponsor.clone(), Sponsor::default()).is_some() {
            return Err(Broken::Repeated(format!("sponsor {sponsor}")));
        }
        self.dirty.insert(Key::Sponsor(sponsor.clone()));
        Ok(())
    }

    fn money(&mut self, sponsor: &SponsorName, asset: &AssetName) -> Result<&mut SponsorMoney, Broken> {
        let found = self.sponsors.get_mut(sponsor).ok_or_else(|| Broken::Unknown(format!("sponsor {sponsor}")))?;
        self.dirty.insert(Key::Sponsor(sponsor.clone()));
        Ok(found.assets.entry(asset.clone()).or_default())
    }

    fn totals(&mut self, asset: &AssetName) -> &mut AssetTotals {
        self.dirty.insert(Key::Asset(asset.clone()));
        self.assets.entry(asset.clone()).or_default()
    }

    fn deposit(
        &mut self,
        sponsor: &SponsorName,
        asset: &AssetName,
        amount: u128,
        reference: &str,
    ) -> Result<(), Broken> {
        if self.deposits.insert(deposit_cause(sponsor, reference), (asset.clone(), amount)).is_some() {
            return Err(Broken::Repeated(format!("deposit {reference:?}")));
        }
        let totals = self.totals(asset);
        totals.deposited = plus(totals.deposited, amount)?;
        let money = self.money(sponsor, asset)?;
        money.deposited = plus(money.deposited, amount)?;
        money.balance = plus(money.balance, amount)?;
        Ok(())
    }

    fn escrow(&mut self, job: JobId, sponsor: &SponsorName, asset: &AssetName, amount: u128) -> Result<(), Broken> {
        if job != self.next_job() {
            return Err(Broken::Terms { job, what: "is not the next number" });
        }
        let money = self.money(sponsor, asset)?;
        money.balance = minus(money.balance, amount, || format!("sponsor {sponsor}"))?;
        money.escrow = plus(money.escrow, amount)?;
        // The escrow is held by the job from here on; the opening that follows must agree with it.
        self.jobs.insert(job, Job::in_escrow(job, sponsor, asset, amount));
        self.dirty.insert(Key::Job(job));
        Ok(())
    }

    fn job_opened(&mut self, terms: &Terms) -> Result<(), Broken> {
        let job = terms.job;
        let held = self.jobs.get(&job).ok_or_else(|| Broken::Unknown(format!("escrow of {job}")))?;
        let agrees = held.terms.is_unopened()
            && held.escrow == terms.budget
            && held.terms.sponsor == terms.sponsor
            && held.terms.asset == terms.asset;
        if !agrees {
            return Err(Broken::Terms { job, what: "opens with other terms than its escrow" });
        }
        if let Some(what) = terms.fault() {
            return Err(Broken::Terms { job, what });
        }
        self.advance(terms.opened_at)?;
        if let Some(IdempotencyDigest { key, body }) = terms.idempotency
            && self.idempotency.insert(key, (job, body)).is_some()
        {
            return Err(Broken::Repeated(format!("idempotency key of {job}")));
        }
        self.jobs.get_mut(&job).expect("looked up above").terms = terms.clone();
        self.dirty.insert(Key::Job(job));
        if terms.range().is_some() {
            self.dirty.insert(Key::Cost(job));
        }
        Ok(())
    }

    fn worker_seen(&mut self, index: u32, user: &UserName) -> Result<(), Broken> {
        if usize::try_from(index) != Ok(self.workers.len()) {
            return Err(Broken::Unknown(format!("worker number {index} at this point")));
        }
        if self.worker_numbers.insert(user.clone(), index).is_some() {
            return Err(Broken::Repeated(format!("worker {user}")));
        }
        let (account, name) = (user.account.clone(), user.worker.to_string());
        self.accounts.entry(account.clone()).or_default();
        self.dirty.extend([Key::Account(account.clone()), Key::Rig(account.clone(), index), Key::Worker(index)]);
        self.workers.push(Worker { account, name, work: 0, shares: 0, last_share_at: 0 });
        Ok(())
    }

    fn share(&mut self, job: JobId, worker: u32, work: u128, at: Millis, hash: HeaderHash) -> Result<(), Broken> {
        let open = self.open_job(job)?;
        if open.terms.is_unopened() {
            return Err(Broken::Terms { job, what: "is not open yet" });
        }
        if open.terms.range().is_some() {
            return Err(Broken::Terms { job, what: "takes units and no hashes" });
        }
        if !proves(&open.terms, Work(work), &hash) {
            return Err(Broken::Unproven { hash, work });
        }
        if usize::try_from(worker).ok().is_none_or(|index| index >= self.workers.len()) {
            return Err(Broken::Unknown(format!("worker {worker}")));
        }
        let found = self.jobs.get_mut(&job).expect("open_job found it");
        if !self.seen.insert(hash.to_be_bytes()) {
            return Err(Broken::Repeated(format!("share {hash}")));
        }
        found.hashes.push(hash.to_be_bytes());
        found.work = plus(found.work, work)?;
        let round = found.rounds.entry(worker).or_default();
        round.work = plus(round.work, work)?;
        let account = self.delivered(job, worker, work, at)?;
        let earning = self.earnings.get_mut(&(account, job)).expect("delivered made it");
        earning.work = plus(earning.work, work)?;
        Ok(())
    }

    /// Counts a share of whatever shape for its rig and account, which is given back. The job's own sums are the
    /// caller's.
    fn delivered(&mut self, job: JobId, worker: u32, work: u128, at: Millis) -> Result<AccountName, Broken> {
        let found = self.jobs.get_mut(&job).ok_or_else(|| Broken::Unknown(format!("job {job}")))?;
        let rig = usize::try_from(worker).ok().and_then(|index| self.workers.get_mut(index));
        let rig = rig.ok_or_else(|| Broken::Unknown(format!("worker {worker}")))?;
        found.shares += 1;
        found.rounds.entry(worker).or_default().shares += 1;
        rig.work = plus(rig.work, work)?;
        rig.shares += 1;
        rig.last_share_at = at;
        let name = rig.account.clone();
        let account = self.accounts.get_mut(&name).expect("each rig's account exists");
        account.work = plus(account.work, work)?;
        account.shares += 1;
        self.earnings.entry((name.clone(), job)).or_insert_with(|| {
            found.accounts += 1;
            Earning::default()
        });
        self.dirty.extend([
            Key::Job(job),
            Key::Worker(worker),
            Key::Round(job, worker),
            Key::Account(name.clone()),
            Key::Earning(name.clone(), job),
        ]);
        Ok(name)
    }

    fn cancel_requested(&mut self, job: JobId, at: Millis, effective_at: Millis) -> Result<(), Broken> {
        if self.open_job(job)?.cancel_at.is_some() {
            return Err(Broken::Repeated(format!("cancellation of {job}")));
        }
        if effective_at < at {
            return Err(Broken::Terms { job, what: "is cancelled before it was asked" });
        }
        self.jobs.get_mut(&job).expect("open_job found it").cancel_at = Some(effective_at);
        self.dirty.insert(Key::Job(job));
        Ok(())
    }

    fn job_closed(
        &mut self,
        job: JobId,
        outcome: Outcome,
        at: Millis,
        last_share: Option<(JobId, Solution)>,
    ) -> Result<(), Broken> {
        let open = self.open_job(job)?;
        if open.terms.range().is_some() {
            return self.range_closed(job, outcome, at);
        }
        let fault = match outcome {
            Outcome::Completed { .. } | Outcome::Quarantined => Some("ends as only a range job can"),
            Outcome::Solved => {
                last_share.as_ref().is_none_or(|(of, _)| *of != job).then_some("is solved without a share")
            }
            Outcome::Cancelled => {
                open.cancel_at.is_none_or(|from| at < from).then_some("is cancelled before its notice ended")
            }
            Outcome::Expired => (at < open.terms.deadline_at).then_some("expires before its deadline"),
            Outcome::Exhausted => (open.work < open.terms.work_quoted).then_some("has work left"),
        };
        if let Some(what) = fault {
            return Err(Broken::Terms { job, what });
        }
        let work = self.work_by_account(job);
        let settlement = settle(&self.jobs[&job].terms, outcome, &work);
        let found = self.jobs.get_mut(&job).expect("open_job found it");
        if outcome == Outcome::Solved {
            found.solution = last_share.map(|(_, solution)| solution);
        }
        self.close(job, outcome, at);
        let payouts = settlement.payouts.into_iter();
        self.due.extend(payouts.map(|(account, amount)| Entry::Payout { job, account, amount }));
        self.due.extend((settlement.fee > 0).then_some(Entry::Fee { job, amount: settlement.fee }));
        self.due.extend((settlement.refund > 0).then_some(Entry::Refund { job, amount: settlement.refund }));
        Ok(())
    }

    /// Marks a job as closed and lets go of what only an open one needs.
    fn close(&mut self, job: JobId, outcome: Outcome, at: Millis) {
        let found = self.jobs.get_mut(&job).expect("whoever closes a job has found it");
        found.closed = Some(Closed { outcome, at, paid: found.paid, fee: found.fees, refunded: 0 });
        found.range = Range::default();
        for hash in std::mem::take(&mut found.hashes) {
            self.seen.remove(&hash);
        }
        let is_range = found.terms.range().is_some();
        let rounds = std::mem::take(&mut found.rounds);
        for (worker, round) in rounds {
            let key = (self.workers[worker as usize].account.clone(), job);
            let earning = self.earnings.get_mut(&key).expect("each account with a share has an earning");
            earning.amount.get_or_insert(0);
            if !is_range {
                earning.matured_work = earning.work;
            }
            self.dirty.insert(Key::Earning(key.0, job));
            self.closed_rounds.insert((job, worker), round);
        }
        self.dirty.insert(Key::Job(job));
    }

    /// Work of each account within an open job.
    #[must_use]
    pub fn work_by_account(&self, job: JobId) -> BTreeMap<AccountName, u128> {
        let mut work = BTreeMap::new();
        for (&worker, round) in self.jobs.get(&job).map(|job| &job.rounds).into_iter().flatten() {
            let account = &self.workers[worker as usize].account;
            *work.entry(account.clone()).or_insert(0) += round.work;
        }
        work
    }

    /// Takes `amount` out of the escrow of a closed job or, but for a refund, of an open range job. `spent` is false for
    /// a refund.
    fn release(&mut self, job: JobId, amount: u128, spent: bool) -> Result<Terms, Broken> {
        let found = self.jobs.get_mut(&job).ok_or_else(|| Broken::Unknown(format!("job {job}")))?;
        if found.closed.is_none() && (found.terms.range().is_none() || !spent) {
            return Err(Broken::Terms { job, what: "pays while it is open" });
        }
        found.escrow = minus(found.escrow, amount, || format!("escrow of {job}"))?;
        let terms = found.terms.clone();
        self.dirty.insert(Key::Job(job));
        let money = self.money(&terms.sponsor, &terms.asset)?;
        money.escrow = minus(money.escrow, amount, || format!("escrow of sponsor {}", terms.sponsor))?;
        let place = if spent { &mut money.spent } else { &mut money.balance };
        *place = plus(*place, amount)?;
        Ok(terms)
    }

    fn payout(&mut self, job: JobId, account: &AccountName, amount: u128) -> Result<(), Broken> {
        let terms = self.release(job, amount, true)?;
        let found = self.jobs.get_mut(&job).expect("release found it");
        found.paid = plus(found.paid, amount)?;
        if let Some(closed) = &mut found.closed {
            closed.paid = found.paid;
        }
        let earning = self.matured(job, account, terms.asset, amount)?;
        earning.amount = Some(plus(earning.amount.unwrap_or(0), amount)?);
        Ok(())
    }

    /// Makes `amount` payable to an account that has a part in `job`, which is given back.
    fn matured(
        &mut self,
        job: JobId,
        account: &AccountName,
        asset: AssetName,
        amount: u128,
    ) -> Result<&mut Earning, Broken> {
        let found = self.accounts.get_mut(account).ok_or_else(|| Broken::Unknown(format!("account {account}")))?;
        let matured = found.matured.entry(asset).or_default();
        *matured = plus(*matured, amount)?;
        self.dirty.extend([Key::Account(account.clone()), Key::Earning(account.clone(), job)]);
        let earning = self.earnings.get_mut(&(account.clone(), job));
        earning.ok_or_else(|| Broken::Unknown(format!("work of {account} in {job}")))
    }

    fn fee(&mut self, job: JobId, amount: u128) -> Result<(), Broken> {
        let terms = self.release(job, amount, true)?;
        let found = self.jobs.get_mut(&job).expect("release found it");
        found.fees = plus(found.fees, amount)?;
        if let Some(closed) = &mut found.closed {
            closed.fee = found.fees;
        }
        let totals = self.totals(&terms.asset);
        totals.fees = plus(totals.fees, amount)?;
        Ok(())
    }

    fn refund(&mut self, job: JobId, amount: u128) -> Result<(), Broken> {
        self.release(job, amount, false)?;
        let found = self.jobs.get_mut(&job).expect("release found it");
        if let Some(closed) = &mut found.closed {
            closed.refunded = plus(closed.refunded, amount)?;
        }
        Ok(())
    }
}

/// Whether `hash` meets the target of exactly the hashes that `work` is under these terms.
fn proves(terms: &Terms, work: Work, hash: &HeaderHash) -> bool {
    let Some(hashes) = terms.rate().and_then(|rate| rate.hashes(work)) else { return false };
    let difficulty = Difficulty::from_hashes(hashes);
    difficulty.hashes() == hashes && Target::from_difficulty(difficulty).is_met_by(hash)
}

fn plus(have: u128, more: u128) -> Result<u128, Broken> {
    have.checked_add(more).ok_or(Broken::Overflow)
}

fn minus(have: u128, want: u128, place: impl FnOnce() -> String) -> Result<u128, Broken> {
    have.checked_sub(want).ok_or_else(|| Broken::Overdrawn { place: place(), have, want })
}
