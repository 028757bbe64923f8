//! The offline audit of range work: voids and results against what the data directory still has of them.
//!
//! A void's part is computed again from the job's spec, sections and inputs. Inputs that a job's end removed are made
//! again from the sponsor's blobs where those are there: preparing is deterministic. Nothing here is written.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use lode_kinds::Kind;
use lode_kinds::range::{Section, Store, Task, prepare};
use lode_protocol::hex;
use lode_protocol::ids::JobId;

use super::batch::Void;
use super::draw::commitment;
use super::entry::{RangeTerms, Terms};
use crate::specs::Specs;

/// Why range work is not what the data directory makes of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RecheckError {
    /// The part that a batch was voided by is not what the void says it must be.
    #[error("batch {batch} of {job} is void by part {part} of element {element}, which is not what its void says")]
    Expected {
        /// The job.
        job: JobId,
        /// The batch.
        batch: u64,
        /// The element, as the job counts them.
        element: u64,
        /// The part.
        part: u32,
    },
    /// The result that a batch was voided by does not have there what the void says it has.
    #[error("batch {batch} of {job} is void by a result that does not have what its void found in it")]
    Found {
        /// The job.
        job: JobId,
        /// The batch.
        batch: u64,
    },
    /// A job's sections are not those of its terms.
    #[error("the sections of {0} are not the elements of its terms")]
    Sections(JobId),
}

/// What is in memory instead of a blob, by its digest.
type Made = HashMap<[u8; 32], Vec<u8>>;

/// The files of a data directory that an audit reads.
#[derive(Debug)]
pub(super) struct Files {
    specs: Specs,
    blobs: PathBuf,
    audit: PathBuf,
    /// What was made of a job's blobs again, by digest; of the job that was last looked at.
    made: Option<(JobId, Made)>,
}

/// Reads the sponsor's blobs, and keeps in memory what is made of them.
struct Again<'a> {
    blobs: &'a Path,
    made: Made,
}

impl Store for Again<'_> {
    fn open(&mut self, digest: &[u8; 32]) -> Result<Option<Vec<u8>>, String> {
        Ok(blob(self.blobs, digest))
    }

    fn keep(&mut self, bytes: Vec<u8>) -> Result<[u8; 32], String> {
        let digest = *blake3::hash(&bytes).as_bytes();
        self.made.insert(digest, bytes);
        Ok(digest)
    }
}

/// A blob, if it is there and is what its name says.
fn blob(dir: &Path, digest: &[u8; 32]) -> Option<Vec<u8>> {
    let name = hex::encode(digest);
    let bytes = fs::read(dir.join(&name[..2]).join(name)).ok()?;
    (blake3::hash(&bytes).as_bytes() == digest).then_some(bytes)
}

impl Files {
    /// Those under `data`.
    pub(super) fn at(data: &Path) -> Files {
        Files { specs: Specs::at(data), blobs: data.join("blobs"), audit: data.join("audit"), made: None }
    }

    /// The secret of this hash, if the operator's copy of it is here.
    pub(super) fn secret(&self, hash: &[u8; 32]) -> Option<[u8; 32]> {
        let text = fs::read_to_string(self.audit.join(hex::encode(hash))).ok()?;
        hex::decode_array(text.trim()).ok().filter(|secret| commitment(secret) == *hash)
    }

    /// Whether a result is here and is what its digest says.
    pub(super) fn has(&self, digest: &[u8; 32]) -> bool {
        blob(&self.blobs, digest).is_some()
    }

    /// Computes the part that a batch was voided by again, and looks it up in the unit's result. False where what that
    /// takes is not here.
    ///
    /// # Errors
    /// One of them is not what the void says.
    pub(super) fn recheck(
        &mut self,
        terms: &Terms,
        batch: u64,
        void: &Void,
        digest: &[u8; 32],
    ) -> Result<bool, RecheckError> {
        let (job, Some(range)) = (terms.job, terms.range()) else { return Ok(false) };
        let Some((task, first)) = self.task(terms, range, void.element)? else { return Ok(false) };
        let Void { element, part, .. } = *void;
        if part >= task.parts() || element - first >= task.elements() {
            return Err(RecheckError::Sections(job));
        }
        let hash = |bytes: &[u8]| *blake3::hash(bytes).as_bytes();
        if hash(&task.part(element - first, part)) != void.expected {
            return Err(RecheckError::Expected { job, batch, element, part });
        }
        if let Some(result) = blob(&self.blobs, digest) {
            let place = usize::try_from(element - void.first).unwrap_or(usize::MAX);
            let start = place.saturating_mul(task.element_bytes());
            let within = task.part_range(part);
            let found = result.get(start.saturating_add(within.start)..start.saturating_add(within.end));
            if found.map(hash) != Some(void.found) {
                return Err(RecheckError::Found { job, batch });
            }
        }
        Ok(true)
    }

    /// The task that has an element, and its first element.
    fn task(&mut self, terms: &Terms, range: &RangeTerms, element: u64) -> Result<Option<(Task, u64)>, RecheckError> {
        let Ok(kind) = terms.kind.parse::<Kind>() else { return Ok(None) };
        let Ok(spec) = self.specs.range_spec(&terms.spec, &range.prepared) else { return Ok(None) };
        let (length, elements) = (range.cost.section(), range.cost.elements());
        let fits = spec.sections.len() as u64 == elements / length;
        if !fits || spec.sections.iter().any(|section| section.elements != length) {
            return Err(RecheckError::Sections(terms.job));
        }
        let place = usize::try_from(element / length).expect("there are as many sections");
        let section = &spec.sections[place];
        let mut inputs = self.inputs(terms.job, section);
        if inputs.is_none() && self.made.as_ref().is_none_or(|(job, _)| *job != terms.job) {
            let mut again = Again { blobs: &self.blobs, made: HashMap::new() };
            let prepared = prepare(kind, &spec.spec, &mut again).ok();
            if prepared.is_some_and(|prepared| prepared.sections == spec.sections) {
                self.made = Some((terms.job, again.made));
                inputs = self.inputs(terms.job, section);
            }
        }
        let Some(inputs) = inputs else { return Ok(None) };
        let task = Task::parse(kind, &section.spec, inputs).map_err(|_| RecheckError::Sections(terms.job))?;
        Ok(Some((task, element / length * length)))
    }

    /// The inputs of a section, if all are here.
    fn inputs(&self, job: JobId, section: &Section) -> Option<Vec<Vec<u8>>> {
        let made = self.made.as_ref().filter(|(of, _)| *of == job).map(|(_, made)| made);
        let digests = section.inputs.iter().map(|input| &input.digest);
        let input = |digest| made.and_then(|made| made.get(digest).cloned()).or_else(|| blob(&self.blobs, digest));
        digests.map(input).collect()
    }
}
