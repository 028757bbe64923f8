//! What a range job is made of, and the bytes of its results: read from specs and blobs, never from a miner.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use lode_kinds::Kind;
use lode_kinds::range::{Section, Task, TaskError};
use lode_protocol::Digest;
use lode_protocol::ids::JobId;
use serde_json::Value;

use crate::blobs::{BlobError, Blobs};

/// Memory that the kept tasks take together, but for the last one used.
const TASK_BYTES_MAX: u64 = 512 << 20;

/// A range job as it was prepared.
#[derive(Debug, Clone)]
pub struct JobFiles {
    /// The job.
    pub job: JobId,
    /// Its kind.
    pub kind: Kind,
    /// What its sponsor asked for.
    pub spec: Value,
    /// What that was made into; all sections have as many elements.
    pub sections: Arc<[Section]>,
    /// Bytes of each element.
    pub element_bytes: u64,
}

impl JobFiles {
    /// Elements of each section.
    #[must_use]
    pub fn section_elements(&self) -> u64 {
        self.sections.first().map_or(1, |section| section.elements.max(1))
    }

    /// Elements of the job.
    #[must_use]
    pub fn elements(&self) -> u64 {
        self.sections.iter().map(|section| section.elements).sum()
    }
}

/// Bytes that a job's results take, and as many again for its file.
#[must_use]
pub fn room_needed(elements: u64, element_bytes: u64) -> u64 {
    elements.saturating_mul(element_bytes).saturating_mul(2)
}

/// Why something cannot be computed or compared: the pool's own fault, never a miner's.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// A blob is gone or damaged, or the disk fails.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// What was prepared reads as no task.
    #[error("section {section} of {job} is no task: {source}")]
    Task {
        /// The job.
        job: JobId,
        /// Which of its sections.
        section: u64,
        /// How.
        source: TaskError,
    },
    /// There is no such section, element or part.
    #[error("{job} has no element {element}")]
    Element {
        /// The job.
        job: JobId,
        /// What was asked for.
        element: u64,
    },
    /// A result is of another size than its elements.
    #[error("a result of {job} from element {first} has another size than its elements")]
    Size {
        /// The job.
        job: JobId,
        /// The result's first element.
        first: u64,
    },
}

/// Tasks by job and section, the newest last; as many as fit.
type Held = VecDeque<(JobId, u64, Arc<Task>)>;

/// Tasks that are ready to compute, kept while there is room: an animation has one a frame, and each has its scene.
#[derive(Debug, Clone)]
pub struct Tasks {
    blobs: Blobs,
    /// Held for a few lines that never wait.
    held: Arc<Mutex<Held>>,
}

impl Tasks {
    /// None yet; inputs are read from `blobs`.
    #[must_use]
    pub fn new(blobs: Blobs) -> Tasks {
        Tasks { blobs, held: Arc::default() }
    }

    /// The task of a section.
    ///
    /// # Errors
    /// There is no such section, its inputs cannot be read, or they are no task.
    pub fn of(&self, files: &JobFiles, section: u64) -> Result<Arc<Task>, FileFault> {
        if let Some(task) = self.take_up(files.job, section) {
            return Ok(task);
        }
        let absent =
            || FileFault::Element { job: files.job, element: section.saturating_mul(files.section_elements()) };
        let found = usize::try_from(section).ok().and_then(|at| files.sections.get(at)).ok_or_else(absent)?;
        let inputs = found.inputs.iter().map(|input| self.blobs.load(&Digest(input.digest)));
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        let task = Task::parse(files.kind, &found.spec, inputs);
        let task = Arc::new(task.map_err(|source| FileFault::Task { job: files.job, section, source })?);
        self.keep(files.job, section, task.clone());
        Ok(task)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_up(&self, job: JobId, section: u64) -> Option<Arc<Task>> {
        let mut held = self.held();
        let place = held.iter().position(|(of, at, _)| (*of, *at) == (job, section))?;
        let found = held.remove(place)?;
        let task = found.2.clone();
        held.push_back(found);
        Some(task)
    }

    fn keep(&self, job: JobId, section: u64, task: Arc<Task>) {
        let mut held = self.held();
        held.retain(|(of, at, _)| (*of, *at) != (job, section));
        held.push_back((job, section, task));
        let mut bytes: u64 = held.iter().map(|(_, _, task)| task.memory_bytes()).sum();
        while bytes > TASK_BYTES_MAX && held.len() > 1 {
            bytes -= held.pop_front().map_or(0, |(_, _, task)| task.memory_bytes());
        }
    }

    /// Forgets a job's tasks.
    pub fn forget(&self, job: JobId) {
        self.held().retain(|(of, _, _)| *of != job);
    }
}

/// A unit's place in its job and the digest of its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claim {
    /// Its first element, job-wide.
    pub first: u64,
    /// How many elements.
    pub count: u64,
    /// Digest of its result.
    pub digest: [u8; 32],
}

impl Claim {
    /// Its elements.
    #[must_use]
    pub fn elements(&self) -> Range<u64> {
        self.first..self.first + self.count
    }

    /// Bytes of its result within `range`.
    ///
    /// # Errors
    /// The result is gone, damaged or of another size, or the disk fails.
    pub fn read(&self, files: &JobFiles, blobs: &Blobs, range: Range<u64>) -> Result<Vec<u8>, FileFault> {
        let digest = Digest(self.digest);
        if blobs.bytes(&digest)? != self.count * files.element_bytes || range.end > self.count * files.element_bytes {
            return Err(FileFault::Size { job: files.job, first: self.first });
        }
        let mut reading = blobs.read(&digest, range)?;
        let mut bytes = Vec::new();
        while let Some(piece) = reading.next_bytes()? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }
}

/// Units that are done, by their first elements; no two have an element in common.
pub type Done = BTreeMap<u64, Claim>;
