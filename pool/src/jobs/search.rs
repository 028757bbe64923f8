//! A search job as connections work on it.

use std::sync::atomic::{AtomicBool, Ordering};

use lode_protocol::api::HashSpec;
use lode_protocol::ids::JobId;
use lode_protocol::method::NotifyParts;
use lode_protocol::{Algorithm, Difficulty, HeaderHash, Work};

use crate::ledger::entry::Millis;
use crate::ledger::fold::Job;

/// Shares that one job may come to, each with its work at least a `2^-24`th of what the budget
/// buys: this bounds what is remembered against repetition.
pub const SHARES_MAX: u128 = 1 << 24;

/// An open search job.
#[derive(Debug)]
pub struct Search {
    /// The job.
    pub job: JobId,
    /// What its jobs on the wire begin with; unique within this run of the pool.
    pub serial: u32,
    /// Its template and target.
    pub spec: HashSpec,
    /// Its notify line, but for the job's id on the wire and the clean flag.
    pub notify: NotifyParts,
    /// Price per work that is paid in any case: budget per work quoted.
    pub price: f64,
    /// Whether it only fills the time between other jobs.
    pub filler: bool,
    /// No share below this.
    pub least: Difficulty,
    /// No share above this: what solves the job must be a share.
    pub most: Difficulty,
    /// When it expires.
    pub deadline_at: Millis,
    /// Set once the ledger has closed it, for everyone who still holds it.
    over: AtomicBool,
}

impl Search {
    /// From the ledger's record and the sponsor's spec.
    #[must_use]
    pub fn new(job: &Job, spec: HashSpec, serial: u32, filler: bool) -> Search {
        let target = HeaderHash::from_be_bytes(spec.target.to_be_bytes());
        // Rounded down, so that a hash that just meets the target is a share.
        let most = Difficulty::of_hash(&target).for_wire();
        let least = spec.rate.hashes_up(Work(job.terms.work_quoted.div_ceil(SHARES_MAX)));
        let least = Difficulty::from_hashes(least).min(most);
        #[expect(clippy::cast_precision_loss, reason = "weighs jobs against one another; no money is made of it")]
        let price = job.terms.budget as f64 / job.terms.work_quoted.max(1) as f64;
        let notify = NotifyParts::new(&spec.template);
        let (job, deadline_at, over) = (job.terms.job, job.terms.deadline_at, AtomicBool::new(false));
        Search { job, serial, notify, price, filler, least, most, deadline_at, over, spec }
    }

    /// What is hashed with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.spec.rate.algorithm()
    }

    /// Whether the ledger has closed it, so that no share of it counts any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Says that the ledger has closed it.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// The difficulty to issue where vardiff wants `wanted`.
    #[must_use]
    pub fn difficulty(&self, wanted: Difficulty) -> Difficulty {
        wanted.clamp(self.least, self.most).for_wire()
    }
}
