//! A unit of range work on its way through the devices.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use lode_kinds::Kind;
use lode_kinds::range::Task;
use lode_protocol::Work;
use lode_protocol::ids::{JobId, UnitId};
use tokio_util::sync::CancellationToken;

/// The unit.
pub struct Unit {
    /// What the pool calls it.
    pub id: UnitId,
    /// The job that it is of.
    pub job: JobId,
    /// What computes it; units of one section share theirs.
    pub task: Arc<Task>,
    /// Which elements of the section.
    pub elements: Range<u64>,
    /// What it is worth.
    pub work: Work,
    /// Cancelled once nobody wants it any more.
    pub dropped: CancellationToken,
}

impl Unit {
    /// How many elements it has.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.elements.end.saturating_sub(self.elements.start)
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.task.kind()
    }

    /// Bytes of its result; `None` where that is more than can be addressed.
    #[must_use]
    pub fn result_bytes(&self) -> Option<usize> {
        usize::try_from(self.count()).ok()?.checked_mul(self.task.element_bytes())
    }
}

impl fmt::Debug for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unit").field("id", &self.id).field("elements", &self.elements).finish_non_exhaustive()
    }
}

/// How far a device is with a unit, for whoever shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// What the pool calls the unit.
    pub unit: UnitId,
    /// Its job.
    pub job: JobId,
    /// Its kind.
    pub kind: Kind,
    /// Elements that are computed.
    pub done: u64,
    /// Elements in all.
    pub count: u64,
}

impl Progress {
    /// Before its first element.
    #[must_use]
    pub fn of(unit: &Unit) -> Progress {
        Progress { unit: unit.id.clone(), job: unit.job, kind: unit.kind(), done: 0, count: unit.count() }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Progress { job, kind, done, count, .. } = self;
        write!(f, "{job} {kind}: {done} of {count} elements")
    }
}
