//! The records that the fold keeps: what the entries add up to, one noun each. The store writes them as they are.

use std::collections::BTreeMap;

use lode_protocol::ids::{AccountName, AssetName, JobId, SponsorName};
use serde::{Deserialize, Serialize};

use super::entry::{Millis, Outcome, ShareProof, Terms};
use super::range::Range;

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
    /// The part of it that has matured; of a search nothing, and all once it is closed.
    pub matured_work: u128,
    /// Amount: of a range job what has matured so far, of a search what it came to once it was closed.
    pub amount: Option<u128>,
    /// Got from the pool's fees, for duplicates that the pool had issued.
    pub duplicates: u128,
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
    /// Work proven; that of a void batch is taken back.
    pub work: u128,
    /// Shares accepted.
    pub shares: u64,
    /// Elements of a range job that are done.
    pub elements_done: u64,
    /// Those of them whose batch has matured.
    pub elements_matured: u64,
    /// Their work.
    pub matured_work: u128,
    /// Batches that were found clean.
    pub matured_batches: u64,
    /// Batches that were found void.
    pub voids: u64,
    /// Paid to workers so far.
    pub paid: u128,
    /// Paid to the pool so far.
    pub fees: u128,
    /// How a range job ends, once it takes no units any more.
    pub ending: Option<Outcome>,
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
    /// Units of a range job; empty once closed.
    #[serde(skip)]
    pub range: Range,
}

/// The pool's own money of one asset, and the total that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AssetTotals {
    /// Deposited by all sponsors.
    pub deposited: u128,
    /// Fees earned, less what went out for duplicates.
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
    /// The cost map of a range job.
    Cost(JobId),
    /// A closed batch of a job.
    Batch(JobId, u64),
    /// That a batch of a job is void.
    Void(JobId, u64),
    /// A miner's key.
    Miner([u8; 32]),
    /// A secret of draws.
    Secret(u64),
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
            range: Range::default(),
            ..*self
        }
    }

    /// A job between its escrow and its opening, which follow one another in one group.
    pub(super) fn in_escrow(job: JobId, sponsor: &SponsorName, asset: &AssetName, amount: u128) -> Job {
        let terms = Terms::unopened(job, sponsor, asset, amount);
        Job {
            terms,
            escrow: amount,
            work: 0,
            shares: 0,
            elements_done: 0,
            elements_matured: 0,
            matured_work: 0,
            matured_batches: 0,
            voids: 0,
            paid: 0,
            fees: 0,
            ending: None,
            cancel_at: None,
            closed: None,
            solution: None,
            accounts: 0,
            rounds: BTreeMap::new(),
            hashes: Vec::new(),
            range: Range::default(),
        }
    }
}
