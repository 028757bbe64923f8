//! Range jobs: elements 0..N, each done once, leased out in units.

mod doubts;
mod fair;
pub mod floor;
pub mod hall;
mod intervals;
mod log;
#[cfg(test)]
mod tests;
pub mod units;

use std::sync::Arc;

use lode_kinds::range::Section;
use lode_protocol::ids::{AssetName, JobId};
use lode_protocol::method::assign::{Assign, AssignInput};
use lode_protocol::{Digest, Work};

use crate::ledger::cost::CostMap;
use crate::ledger::entry::Millis;
use units::{Cost, Key, LeaseId};

/// Most bytes of a unit's result.
pub const RESULT_BYTES_MAX: u64 = 16 << 20;

impl Cost for Arc<CostMap> {
    fn work(&self, first: u64, count: u64) -> u128 {
        CostMap::work(self, first, count)
    }

    fn count_within(&self, first: u64, most: u64, work: u128) -> u64 {
        CostMap::count_within(self, first, most, work)
    }
}

/// An open range job.
#[derive(Debug, Clone)]
pub struct RangeJob {
    /// The job.
    pub job: JobId,
    /// Its kind of work.
    pub kind: String,
    /// Its sections, all of as many elements.
    pub sections: Arc<[Section]>,
    /// What its elements are worth.
    pub cost: Arc<CostMap>,
    /// Bytes of an element's result.
    pub element_bytes: u64,
    /// What it is paid in.
    pub asset: AssetName,
    /// Price per work: what is paid in all, over all work.
    pub price: f64,
    /// When it expires.
    pub deadline_at: Millis,
    /// When a cancellation takes effect.
    pub cancel_at: Option<Millis>,
    /// Elements that are done: first, and how many.
    pub done: Vec<(u64, u64)>,
}

impl RangeJob {
    /// Why no miner could be assigned elements of it, if so.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let section = self.cost.section();
        if self.sections.iter().any(|found| found.elements != section)
            || self.sections.len() as u64 * section != self.cost.elements()
        {
            return Some("its sections are not those of its cost map".into());
        }
        if !(1..=RESULT_BYTES_MAX).contains(&self.element_bytes) {
            return Some(format!(
                "an element has {} bytes where at most {RESULT_BYTES_MAX} are taken",
                self.element_bytes
            ));
        }
        let fault = |section: &Section| assign(self, section, 0, unit_id(self.job, u32::MAX, LeaseId::MAX)).fault();
        self.sections.iter().find_map(fault)
    }
}

/// What a miner is told of elements of a section, but for which and for how long.
fn assign(job: &RangeJob, section: &Section, number: u64, unit: lode_protocol::ids::UnitId) -> Assign {
    let inputs = section.inputs.iter().map(|input| AssignInput { digest: Digest(input.digest), bytes: input.bytes });
    Assign {
        unit,
        job: job.job,
        section: number,
        kind: job.kind.clone(),
        spec: section.spec.clone(),
        inputs: inputs.collect(),
        first: 0,
        count: 1,
        work: Work(1),
        ttl_s: 1,
    }
}

/// A unit's name: no lease of another run of the pool has the same.
fn unit_id(job: JobId, run: u32, lease: LeaseId) -> lode_protocol::ids::UnitId {
    format!("{job}-{run:08x}-{lease:x}").parse().expect("letters, digits and dashes, fewer than 64")
}

/// Elements that two keys released as impossible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impossible {
    /// The job.
    pub job: JobId,
    /// The first of the elements, counted through the whole job.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// Who says so.
    pub keys: [Key; 2],
}
