//! The entries of the ledger.
//!
//! An entry's cause is within it (a deposit's reference, a share's header hash, a unit's elements, a
//! job's id), so that the fold can tell a repetition from something new.
//! Times are milliseconds since 1970, UTC.

use lode_protocol::header::HeaderHash;
use lode_protocol::ids::{AccountName, AssetName, JobId, SponsorName, UserName};
use serde::{Deserialize, Serialize};

pub use super::batch::{Cause, Void};
pub use super::encoding::{ENTRY_BYTES_MAX, ENTRY_VERSION};
pub use super::terms::{AUDIT_PARTS_MAX, AuditPolicy, Effort, IdempotencyDigest, RangeTerms, Scheme, Shape, Terms};

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = u64;

/// What a share chose within its template; with the job's spec, the header follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareProof {
    /// The connection's part of the coinbase.
    pub extranonce1: Vec<u8>,
    /// The miner's part.
    pub extranonce2: Vec<u8>,
    /// Header time.
    pub ntime: u32,
    /// Header nonce.
    pub nonce: u32,
    /// Header version.
    pub version: u32,
}

/// Why a job closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// A share met the job's target.
    Solved,
    /// Its sponsor ended it and the notice has passed.
    Cancelled,
    /// Its deadline passed.
    Expired,
    /// The work that the budget buys was proven without a solution.
    Exhausted,
    /// Every element of a range job is done and matured.
    Completed {
        /// Digest of the assembled result.
        result: [u8; 32],
    },
    /// The pool's own computation fails on a range job's input.
    Quarantined,
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// The first entry of every ledger.
    PoolOpened {
        /// Random; tells this pool's ledger from every other.
        pool: [u8; 16],
        /// When.
        at: Millis,
    },
    /// A sponsor came to be.
    SponsorCreated {
        /// Its name.
        sponsor: SponsorName,
        /// When.
        at: Millis,
    },
    /// Money came in from outside, for a sponsor.
    Deposit {
        /// For whom.
        sponsor: SponsorName,
        /// What.
        asset: AssetName,
        /// How much.
        amount: u128,
        /// What it came by; counted once for each sponsor.
        reference: String,
        /// When.
        at: Millis,
    },
    /// A job's budget went from its sponsor into escrow. [`Entry::JobOpened`] follows at once.
    Escrow {
        /// The job.
        job: JobId,
        /// Whose money.
        sponsor: SponsorName,
        /// What.
        asset: AssetName,
        /// How much.
        amount: u128,
    },
    /// A job opened with these terms.
    JobOpened(Box<Terms>),
    /// A rig was seen for the first time and got a number.
    WorkerSeen {
        /// Its number, counted from 0.
        index: u32,
        /// Whose rig.
        user: UserName,
    },
    /// Proven work.
    Share {
        /// The job.
        job: JobId,
        /// The rig's number.
        worker: u32,
        /// Work that it proves: the expected hashes of the difficulty that it was issued with, at the rate of the job's
        /// terms.
        work: u128,
        /// When it was accepted.
        at: Millis,
        /// Hash of its header.
        hash: HeaderHash,
        /// What the header follows from.
        proof: ShareProof,
    },
    /// A sponsor asked for the end of its job.
    CancelRequested {
        /// The job.
        job: JobId,
        /// When it was asked.
        at: Millis,
        /// When it takes effect.
        effective_at: Millis,
    },
    /// A job closed. What its terms make of the escrow follows at once: payouts, fee, refund.
    JobClosed {
        /// The job.
        job: JobId,
        /// Why.
        outcome: Outcome,
        /// When.
        at: Millis,
    },
    /// Escrow to an account.
    Payout {
        /// The job.
        job: JobId,
        /// Who earned it.
        account: AccountName,
        /// How much.
        amount: u128,
    },
    /// Escrow to the pool.
    Fee {
        /// The job.
        job: JobId,
        /// How much.
        amount: u128,
    },
    /// Escrow back to the sponsor.
    Refund {
        /// The job.
        job: JobId,
        /// How much.
        amount: u128,
    },
    /// A miner's key was seen for the first time and got a number.
    KeySeen {
        /// Its number, counted from 0.
        index: u32,
        /// The public key.
        key: [u8; 32],
    },
    /// A unit of a range job was delivered.
    Unit {
        /// The job.
        job: JobId,
        /// The rig's number.
        worker: u32,
        /// Number of the key that delivered it.
        key: u32,
        /// Its first element, as the job counts them.
        first: u64,
        /// Its elements.
        count: u32,
        /// Their work by the job's cost map.
        work: u128,
        /// When it was accepted.
        at: Millis,
        /// Digest of its result.
        digest: [u8; 32],
        /// Whether another unit has done the same elements, which the pool had issued twice.
        duplicate: bool,
    },
    /// Units of one key and job are to be checked together.
    BatchClosed {
        /// Its number within the pool, counted from 0.
        batch: u64,
        /// The job.
        job: JobId,
        /// The key's number.
        key: u32,
        /// Over all units of the key and job that are in no batch yet.
        root: [u8; 32],
        /// How many those are.
        units: u32,
        /// When.
        at: Millis,
    },
    /// All that was recomputed of a batch was equal. What its work earns follows at once.
    BatchMatured {
        /// The batch.
        batch: u64,
        /// When.
        at: Millis,
    },
    /// A part of a batch was recomputed and differs: nothing of the batch counts.
    BatchVoided {
        /// The batch.
        batch: u64,
        /// The part.
        void: Void,
        /// When.
        at: Millis,
    },
    /// The hash of the secret that batches are drawn from with, from here on.
    SecretCommitted {
        /// Its number, counted from 0.
        number: u64,
        /// The hash.
        hash: [u8; 32],
        /// When.
        at: Millis,
    },
    /// A secret whose batches all have their verdict.
    SecretRevealed {
        /// Its number.
        number: u64,
        /// The secret.
        secret: [u8; 32],
        /// When.
        at: Millis,
    },
    /// A range job takes no units any more; it closes once its batches have their verdicts.
    JobEnding {
        /// The job.
        job: JobId,
        /// Why.
        outcome: Outcome,
        /// When.
        at: Millis,
    },
    /// The pool's fees to an account, for a duplicate that the pool had issued and that equals what matured.
    FeePaid {
        /// The job.
        job: JobId,
        /// Whose duplicate.
        account: AccountName,
        /// How much.
        amount: u128,
    },
}

impl Entry {
    /// The entry's name, for people.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Entry::PoolOpened { .. } => "pool opened",
            Entry::SponsorCreated { .. } => "sponsor created",
            Entry::Deposit { .. } => "deposit",
            Entry::Escrow { .. } => "escrow",
            Entry::JobOpened(_) => "job opened",
            Entry::WorkerSeen { .. } => "worker seen",
            Entry::Share { .. } => "share",
            Entry::CancelRequested { .. } => "cancel requested",
            Entry::JobClosed { .. } => "job closed",
            Entry::Payout { .. } => "payout",
            Entry::Fee { .. } => "fee",
            Entry::Refund { .. } => "refund",
            Entry::KeySeen { .. } => "key seen",
            Entry::Unit { .. } => "unit",
            Entry::BatchClosed { .. } => "batch closed",
            Entry::BatchMatured { .. } => "batch matured",
            Entry::BatchVoided { .. } => "batch voided",
            Entry::SecretCommitted { .. } => "secret committed",
            Entry::SecretRevealed { .. } => "secret revealed",
            Entry::JobEnding { .. } => "job ending",
            Entry::FeePaid { .. } => "fee paid",
        }
    }

    /// Whether it moves money, which only what the terms require does.
    #[must_use]
    pub(super) fn pays(&self) -> bool {
        matches!(self, Entry::Payout { .. } | Entry::Fee { .. } | Entry::Refund { .. } | Entry::FeePaid { .. })
    }
}
