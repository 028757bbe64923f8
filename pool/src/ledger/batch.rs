//! Batches: the units of one key and job that are checked together, and what came of it.

use lode_protocol::ids::JobId;
use serde::{Deserialize, Serialize};

use super::entry::Millis;

/// The digest that a batch's units have together: over its job and key and, in the order of the log, the first
/// element, the count and the result's digest of each. Integers least byte first.
#[must_use]
pub fn root(job: JobId, key: &[u8; 32], units: impl IntoIterator<Item = (u64, u32, [u8; 32])>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("lode batch v1");
    hasher.update(&job.0.to_le_bytes()).update(key);
    for (first, count, digest) in units {
        hasher.update(&first.to_le_bytes()).update(&count.to_le_bytes()).update(&digest);
    }
    *hasher.finalize().as_bytes()
}

/// A closed batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Its number within the pool.
    pub batch: u64,
    /// Of which job.
    pub job: JobId,
    /// Whose, by the key's number.
    pub key: u32,
    /// Over its units.
    pub root: [u8; 32],
    /// Units in it, duplicates among them.
    pub units: u32,
    /// Work of its units, without duplicates.
    pub work: u128,
    /// When it closed.
    pub closed_at: Millis,
    /// Whether all of its units are checked, as its key is new.
    pub all: bool,
    /// The secret that it is drawn from with.
    pub secret: u64,
    /// What came of it.
    pub verdict: Verdict,
}

/// What came of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is being checked.
    Unresolved,
    /// All that was recomputed of it was equal: its work is payable.
    Matured {
        /// When.
        at: Millis,
    },
    /// Something in it was wrong: nothing of it counts.
    Voided {
        /// What.
        void: Box<Void>,
        /// When.
        at: Millis,
    },
    /// Its job ended before it could be checked.
    Dropped,
}

/// What shows that a batch is void.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Void {
    /// The unit's first element.
    pub first: u64,
    /// The unit's elements.
    pub count: u32,
    /// The element that is wrong, as the job counts them.
    pub element: u64,
    /// The part of it.
    pub part: u32,
    /// BLAKE3 of what the part's bytes must be.
    pub expected: [u8; 32],
    /// BLAKE3 of what they were.
    pub found: [u8; 32],
    /// Why it was looked at.
    pub cause: Cause,
}

/// Why a part was recomputed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// It was drawn.
    Drawn,
    /// Another key's result for the same elements differs.
    Mismatch,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_of_its_job_key_and_units_in_order() {
        let units = [(0, 2, [1; 32]), (2, 1, [2; 32])];
        let whole = root(JobId(1), &[9; 32], units);
        assert_eq!(whole, root(JobId(1), &[9; 32], units));
        let others = [
            root(JobId(2), &[9; 32], units),
            root(JobId(1), &[8; 32], units),
            root(JobId(1), &[9; 32], [units[1], units[0]]),
            root(JobId(1), &[9; 32], [units[0]]),
            root(JobId(1), &[9; 32], [units[0], (2, 2, [2; 32])]),
            root(JobId(1), &[9; 32], [units[0], (2, 1, [3; 32])]),
        ];
        assert!(others.iter().all(|other| *other != whole));
    }
}
