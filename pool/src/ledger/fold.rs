//! The fold: what the entries add up to. Pure; the same entries give the same state everywhere.
//!
//! [`State::apply`] checks each entry against everything before it, moves money from one place to
//! another so that every entry sums to zero, and executes the terms of a closed job: the payouts,
//! fee and refund that must follow are computed here, and any other entry in their place is an error.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use lode_protocol::header::HeaderHash;
use lode_protocol::ids::{AccountName, AssetName, JobId, SponsorName, UserName};
use lode_protocol::{Difficulty, Target, Work};
use serde::{Deserialize, Serialize};

use super::entry::{Entry, IdempotencyDigest, Millis, Outcome, ShareProof, Terms};
use super::payout::settle;

/// Why an entry cannot follow the ones before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The first entry opens the pool, and no other does.
    #[error("the pool is opened by the first entry and by no other")]
    Opening,
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

/// A sponsor's money of one asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SponsorMoney {
    /// Deposited in all.
    pub deposited: u128,
    /// Free to use.
    pub balance: u128,
    /// Held for open jobs.
    pub escrow: u128,
    /// Went to workers and fees.
    pub spent: u128,
}

/// A sponsor.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sponsor {
    /// Money by asset.
    pub assets: BTreeMap<AssetName, SponsorMoney>,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Account {
    /// Payable by asset.
    pub matured: BTreeMap<AssetName, u128>,
    /// Work proven, ever.
    pub work: u128,
    /// Shares accepted, ever.
    pub shares: u64,
}

/// A rig.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Whose.
    pub account: AccountName,
    /// Its name.
    pub name: String,
    /// Work proven, ever.
    pub work: u128,
    /// Shares accepted, ever.
    pub shares: u64,
    /// When the last one was.
    pub last_share_at: Millis,
}

/// What one rig did for one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Round {
    /// Work proven.
    pub work: u128,
    /// Shares accepted.
    pub shares: u64,
}

/// What one account gets from one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Earning {
    /// Work proven.
    pub work: u128,
    /// Amount, once the job is closed.
    pub amount: Option<u128>,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Why.
    pub outcome: Outcome,
    /// When.
    pub at: Millis,
    /// To workers.
    pub paid: u128,
    /// To the pool.
    pub fee: u128,
    /// Back to the sponsor.
    pub refunded: u128,
}

/// A share that met its job's target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Solution {
    /// Its hash, in the order in which it is compared.
    pub hash: [u8; 32],
    /// What its header follows from.
    pub proof: ShareProof,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Fixed when it opened.
    pub terms: Terms,
    /// What is still in escrow.
    pub escrow: u128,
    /// Work proven.
    pub work: u128,
    /// Shares accepted.
    pub shares: u64,
    /// When a cancellation takes effect.
    pub cancel_at: Option<Millis>,
    /// How it ended.
    pub closed: Option<Closed>,
    /// What solved it.
    pub solution: Option<Solution>,
    /// Accounts that have proven work.
    pub accounts: u64,
    /// Work by rig; empty once closed.
    #[serde(skip)]
    pub rounds: BTreeMap<u32, Round>,
    /// Hashes of its shares; empty once closed.
    #[serde(skip)]
    pub hashes: Vec<[u8; 32]>,
}

/// The pool's own money of one asset, and the total that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AssetTotals {
    /// Deposited by all sponsors.
    pub deposited: u128,
    /// Fees earned.
    pub fees: u128,
}

/// Which record an entry changed; the store writes these.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// An asset's totals.
    Asset(AssetName),
    /// A sponsor.
    Sponsor(SponsorName),
    /// An account.
    Account(AccountName),
    /// A rig.
    Worker(u32),
    /// That a rig is an account's.
    Rig(AccountName, u32),
    /// A job.
    Job(JobId),
    /// A rig's part in a job.
    Round(JobId, u32),
    /// An account's part in a job.
    Earning(AccountName, JobId),
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
    /// Entries that the terms require next, in order.
    due: VecDeque<Entry>,
    /// The share just applied, which a `Solved` right after it refers to.
    last_share: Option<(JobId, Solution)>,
    dirty: BTreeSet<Key>,
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
        if let Some(wanted) = self.due.pop_front()
            && wanted != *entry
        {
            return Err(Broken::NotDue { wanted: format!("{wanted:?}"), found: format!("{entry:?}") });
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
        if !proves(&open.terms, Work(work), &hash) {
            return Err(Broken::Unproven { hash, work });
        }
        let found = self.jobs.get_mut(&job).expect("open_job found it");
        let rig = usize::try_from(worker).ok().and_then(|index| self.workers.get_mut(index));
        let rig = rig.ok_or_else(|| Broken::Unknown(format!("worker {worker}")))?;
        if !self.seen.insert(hash.to_be_bytes()) {
            return Err(Broken::Repeated(format!("share {hash}")));
        }
        found.hashes.push(hash.to_be_bytes());
        found.work = plus(found.work, work)?;
        found.shares += 1;
        let round = found.rounds.entry(worker).or_default();
        round.work = plus(round.work, work)?;
        round.shares += 1;
        rig.work = plus(rig.work, work)?;
        rig.shares += 1;
        rig.last_share_at = at;
        let name = rig.account.clone();
        let account = self.accounts.get_mut(&name).expect("each rig's account exists");
        account.work = plus(account.work, work)?;
        account.shares += 1;
        let earning = self.earnings.entry((name.clone(), job)).or_insert_with(|| {
            found.accounts += 1;
            Earning::default()
        });
        earning.work = plus(earning.work, work)?;
        self.dirty.extend([
            Key::Job(job),
            Key::Worker(worker),
            Key::Round(job, worker),
            Key::Account(name.clone()),
            Key::Earning(name, job),
        ]);
        Ok(())
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
        let fault = match outcome {
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
        found.closed = Some(Closed { outcome, at, paid: 0, fee: 0, refunded: 0 });
        if outcome == Outcome::Solved {
            found.solution = last_share.map(|(_, solution)| solution);
        }
        for hash in std::mem::take(&mut found.hashes) {
            self.seen.remove(&hash);
        }
        let rounds = std::mem::take(&mut found.rounds);
        self.closed_rounds.extend(rounds.into_iter().map(|(worker, round)| ((job, worker), round)));
        for account in work.into_keys() {
            let key = (account, job);
            self.earnings.get_mut(&key).expect("each account with work has an earning").amount = Some(0);
            self.dirty.insert(Key::Earning(key.0, job));
        }
        let payouts = settlement.payouts.into_iter();
        self.due.extend(payouts.map(|(account, amount)| Entry::Payout { job, account, amount }));
        self.due.extend((settlement.fee > 0).then_some(Entry::Fee { job, amount: settlement.fee }));
        self.due.extend((settlement.refund > 0).then_some(Entry::Refund { job, amount: settlement.refund }));
        self.dirty.insert(Key::Job(job));
        Ok(())
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

    /// Takes `amount` out of the escrow of a closed job; `spent` is false for a refund.
    fn release(&mut self, job: JobId, amount: u128, spent: bool) -> Result<Terms, Broken> {
        let found = self.jobs.get_mut(&job).ok_or_else(|| Broken::Unknown(format!("job {job}")))?;
        if found.closed.is_none() {
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

    fn closed_mut(&mut self, job: JobId) -> &mut Closed {
        let found = self.jobs.get_mut(&job).expect("release found it");
        found.closed.as_mut().expect("release found it closed")
    }

    fn payout(&mut self, job: JobId, account: &AccountName, amount: u128) -> Result<(), Broken> {
        let terms = self.release(job, amount, true)?;
        let paid = &mut self.closed_mut(job).paid;
        *paid = plus(*paid, amount)?;
        let found = self.accounts.get_mut(account).ok_or_else(|| Broken::Unknown(format!("account {account}")))?;
        let matured = found.matured.entry(terms.asset).or_default();
        *matured = plus(*matured, amount)?;
        let earning = self.earnings.get_mut(&(account.clone(), job));
        earning.ok_or_else(|| Broken::Unknown(format!("work of {account} in {job}")))?.amount = Some(amount);
        self.dirty.extend([Key::Account(account.clone()), Key::Earning(account.clone(), job)]);
        Ok(())
    }

    fn fee(&mut self, job: JobId, amount: u128) -> Result<(), Broken> {
        let terms = self.release(job, amount, true)?;
        let fee = &mut self.closed_mut(job).fee;
        *fee = plus(*fee, amount)?;
        let totals = self.totals(&terms.asset);
        totals.fees = plus(totals.fees, amount)?;
        Ok(())
    }

    fn refund(&mut self, job: JobId, amount: u128) -> Result<(), Broken> {
        self.release(job, amount, false)?;
        let refunded = &mut self.closed_mut(job).refunded;
        *refunded = plus(*refunded, amount)?;
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

impl Job {
    /// A copy without what is kept of its shares, which may be large.
    #[must_use]
    pub fn without_shares(&self) -> Job {
        Job {
            terms: self.terms.clone(),
            closed: self.closed.clone(),
            solution: self.solution.clone(),
            rounds: BTreeMap::new(),
            hashes: Vec::new(),
            ..*self
        }
    }

    /// A job between its escrow and its opening, which follow one another in one group.
    fn in_escrow(job: JobId, sponsor: &SponsorName, asset: &AssetName, amount: u128) -> Job {
        let terms = Terms::unopened(job, sponsor, asset, amount);
        Job {
            terms,
            escrow: amount,
            work: 0,
            shares: 0,
            cancel_at: None,
            closed: None,
            solution: None,
            accounts: 0,
            rounds: BTreeMap::new(),
            hashes: Vec::new(),
        }
    }
}
