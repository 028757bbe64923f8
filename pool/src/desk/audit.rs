//! Recomputes parts of results and compares the bytes.
//!
//! There is no tolerance: an element's bytes are the same wherever they are computed, so one difference is a proof,
//! and anyone can repeat it from the job's files and the two results.

use std::ops::Range;

use lode_kinds::range::Task;

use super::files::{Claim, FileFault, JobFiles, Tasks};
use crate::blobs::{BlobError, Blobs, Owner};

/// Most elements that are computed to see whether elements can be.
pub const ATTEMPT_MOST: u64 = 4;

/// A part to be recomputed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The element, job-wide.
    pub element: u64,
    /// The part of it.
    pub part: u32,
}

/// A part that is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// The unit.
    pub claim: Claim,
    /// The part.
    pub part: Part,
    /// BLAKE3 of the part as it should be.
    pub expected: [u8; 32],
    /// BLAKE3 of the part as it is.
    pub found: [u8; 32],
}

/// Compares results with what this pool computes.
#[derive(Debug, Clone)]
pub struct Auditor {
    tasks: Tasks,
    blobs: Blobs,
}

impl Auditor {
    /// One that reads results from `blobs`.
    #[must_use]
    pub fn new(tasks: Tasks, blobs: Blobs) -> Auditor {
        Auditor { tasks, blobs }
    }

    /// The task of an element, and the element's number within it.
    fn task_of(&self, files: &JobFiles, element: u64) -> Result<(std::sync::Arc<Task>, u64), FileFault> {
        let section = files.section_elements();
        let task = self.tasks.of(files, element / section)?;
        let within = element % section;
        let there = within < task.elements() && element < files.elements();
        if there { Ok((task, within)) } else { Err(FileFault::Element { job: files.job, element }) }
    }

    /// Bytes of a result. One that this pool's disk has lost is computed again, if it was right.
    ///
    /// # Errors
    /// It is gone and was not right, or the disk fails.
    pub fn result(&self, files: &JobFiles, claim: &Claim, range: Range<u64>) -> Result<Vec<u8>, FileFault> {
        match claim.read(files, &self.blobs, range.clone()) {
            // What a crash of the disk leaves may be of any length.
            Err(lost @ (FileFault::Size { .. } | FileFault::Blob(BlobError::Unknown(_) | BlobError::Damaged(_)))) => {
                match self.mend(files, claim)? {
                    true => claim.read(files, &self.blobs, range),
                    false => Err(lost),
                }
            }
            read => read,
        }
    }

    /// Computes a whole result and keeps it, if it is the one that was claimed.
    fn mend(&self, files: &JobFiles, claim: &Claim) -> Result<bool, FileFault> {
        let mut bytes = Vec::new();
        for element in claim.elements() {
            let (task, within) = self.task_of(files, element)?;
            bytes.extend(task.element(within));
        }
        let was_right = *blake3::hash(&bytes).as_bytes() == claim.digest;
        if was_right {
            self.blobs.put(&Owner::Job(files.job), &bytes)?;
            tracing::warn!(job = %files.job, first = claim.first, count = claim.count, "a lost result was computed again");
        }
        Ok(was_right)
    }

    /// Recomputes one part of a result; what differs, if it does.
    ///
    /// # Errors
    /// It cannot be computed or read, which is this pool's fault.
    pub fn compare(&self, files: &JobFiles, claim: &Claim, part: Part) -> Result<Option<Difference>, FileFault> {
        let (task, within) = self.task_of(files, part.element)?;
        if part.part >= task.parts() || !claim.elements().contains(&part.element) {
            return Err(FileFault::Element { job: files.job, element: part.element });
        }
        let range = task.part_range(part.part);
        let start = (part.element - claim.first) * files.element_bytes;
        let found = self.result(files, claim, start + range.start as u64..start + range.end as u64)?;
        let expected = task.part(within, part.part);
        let hash = |bytes: &[u8]| *blake3::hash(bytes).as_bytes();
        let differs = found != expected;
        let difference = || Difference { claim: *claim, part, expected: hash(&expected), found: hash(&found) };
        Ok(differs.then(difference))
    }

    /// The first difference among parts of results, in the order in which they were drawn.
    ///
    /// # Errors
    /// One of them cannot be computed or read.
    pub fn first_difference(
        &self,
        files: &JobFiles,
        picks: impl IntoIterator<Item = (Claim, Part)>,
    ) -> Result<Option<Difference>, FileFault> {
        for (claim, part) in picks {
            if let Some(difference) = self.compare(files, &claim, part)? {
                return Ok(Some(difference));
            }
        }
        Ok(None)
    }

    /// The first part at which two results of the same elements differ.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn where_two_differ(&self, files: &JobFiles, one: &Claim, other: &Claim) -> Result<Option<Part>, FileFault> {
        let size = files.element_bytes;
        for element in one.elements().filter(|element| other.elements().contains(element)) {
            let bytes = |claim: &Claim| {
                let start = (element - claim.first) * size;
                self.result(files, claim, start..start + size)
            };
            let (a, b) = (bytes(one)?, bytes(other)?);
            if a == b {
                continue;
            }
            let (task, _) = self.task_of(files, element)?;
            let part = (0..task.parts()).find(|part| a[task.part_range(*part)] != b[task.part_range(*part)]);
            if let Some(part) = part {
                return Ok(Some(Part { element, part }));
            }
        }
        Ok(None)
    }

    /// Computes elements whole, as somebody reported that it cannot be done: of more than [`ATTEMPT_MOST`] only so
    /// many, evenly spread from the first to the last, which says nothing of those between.
    ///
    /// # Errors
    /// It cannot be done here either.
    pub fn attempt(&self, files: &JobFiles, first: u64, count: u64) -> Result<(), FileFault> {
        for element in spread(first, count) {
            let (task, within) = self.task_of(files, element)?;
            let bytes = task.element(within);
            debug_assert_eq!(bytes.len() as u64, files.element_bytes, "all elements have as many bytes");
        }
        Ok(())
    }
}

/// At most [`ATTEMPT_MOST`] of elements, from the first to the last.
fn spread(first: u64, count: u64) -> impl Iterator<Item = u64> {
    let tried = count.min(ATTEMPT_MOST);
    // No product overflows: a unit's elements are counted with 32 bits.
    (0..tried).map(move |at| first + at * (count - 1) / tried.saturating_sub(1).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_elements_are_all_tried_and_of_many_some_from_end_to_end() {
        let tried = |first, count| spread(first, count).collect::<Vec<u64>>();
        assert_eq!((tried(7, 0), tried(7, 1), tried(7, 2)), (vec![], vec![7], vec![7, 8]));
        assert_eq!(tried(7, ATTEMPT_MOST), [7, 8, 9, 10]);
        assert_eq!(tried(100, 100), [100, 133, 166, 199]);
        assert_eq!(tried(0, u32::MAX.into()).last(), Some(&(u64::from(u32::MAX) - 1)));
    }
}
