//! What the rest of the pool hears of range jobs, once it is on disk. Keys are themselves here, not numbers.

use lode_protocol::ids::{AccountName, JobId};

use super::entry::{Millis, Outcome};

/// First element, count and result's digest of a unit.
pub type Triple = (u64, u32, [u8; 32]);

/// A unit that was entered, or that counts from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitInfo {
    /// The job.
    pub job: JobId,
    /// Whose.
    pub key: [u8; 32],
    /// Its first element, as the job counts them.
    pub first: u64,
    /// Its elements.
    pub count: u32,
    /// Digest of its result.
    pub digest: [u8; 32],
    /// Whether another unit has done the same elements.
    pub duplicate: bool,
    /// When it came.
    pub at: Millis,
}

/// A batch that closed and waits for its verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchInfo {
    /// Its number.
    pub batch: u64,
    /// The job.
    pub job: JobId,
    /// Whose.
    pub key: [u8; 32],
    /// Over its units.
    pub root: [u8; 32],
    /// Number of the secret that it is drawn from with.
    pub secret: u64,
    /// Its units, in the order of the root.
    pub units: Vec<Triple>,
    /// Whether all of them are to be checked.
    pub all: bool,
}

/// A batch that matured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaturedInfo {
    /// Its number.
    pub batch: u64,
    /// The job.
    pub job: JobId,
    /// Its units that count, without duplicates.
    pub units: Vec<Triple>,
}

/// A batch that is void.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoidInfo {
    /// Its number.
    pub batch: u64,
    /// The job.
    pub job: JobId,
    /// Whose; it is banned.
    pub key: [u8; 32],
    /// First element and count of each unit whose elements are to be done again.
    pub reopened: Vec<(u64, u32)>,
    /// Duplicates by other keys that are their elements' results from now on.
    pub promoted: Vec<UnitInfo>,
    /// Work that was taken back from accounts.
    pub taken: Vec<(AccountName, u128)>,
}

/// Something that happened to a range job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A unit was entered.
    Unit(UnitInfo),
    /// A batch waits for its verdict.
    BatchClosed(BatchInfo),
    /// A batch is payable.
    Matured(MaturedInfo),
    /// A batch counts for nothing.
    Voided(VoidInfo),
    /// A job takes no units any more.
    Ending(JobId, Outcome),
}
