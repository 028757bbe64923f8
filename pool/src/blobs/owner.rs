//! Whose blobs are: who may read them, and how much each may have.

use lode_protocol::Digest;
use lode_protocol::ids::{JobId, SponsorName};

use super::Limits;
use super::store::Blobs;

/// An owner of blobs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A sponsor, who uploaded them.
    Sponsor(SponsorName),
    /// A job, which needs them.
    Job(JobId),
    /// Whoever is here for a while; see [`Guest`].
    Guest(u64),
}

/// What an owner may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Most bytes of one blob.
    pub blob_bytes: u64,
    /// Most bytes of all its blobs and uploads.
    pub bytes: u64,
    /// Most uploads at a time.
    pub uploads: usize,
    /// Among which uploads it counts.
    pub queue: Queue,
}

/// Uploads that are bounded together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Those of sponsors.
    Sponsors,
    /// Those of miners.
    Results,
    /// The pool's own, which are as many as it makes.
    Own,
    /// The files of jobs that are done: what they are made of goes after them, so they may pass the room for all.
    Owed,
}

impl Quota {
    /// What the pool keeps itself: bounded by the room for all blobs only.
    pub const OWN: Quota = Quota { blob_bytes: u64::MAX, bytes: u64::MAX, uploads: usize::MAX, queue: Queue::Own };

    /// The file of a job, which nothing may keep from being assembled.
    pub const FILE: Quota = Quota { queue: Queue::Owed, ..Quota::OWN };

    /// What a sponsor may have.
    #[must_use]
    pub fn of_sponsor(limits: &Limits) -> Quota {
        let (blob_bytes, bytes, uploads) = (limits.blob_bytes, limits.sponsor_bytes, limits.uploads_per_sponsor);
        Quota { blob_bytes, bytes, uploads, queue: Queue::Sponsors }
    }

    /// What this owner may have unless something else is said.
    pub(super) fn of(owner: &Owner, limits: &Limits) -> Quota {
        match owner {
            Owner::Sponsor(_) => Quota::of_sponsor(limits),
            Owner::Job(_) | Owner::Guest(_) => Quota::OWN,
        }
    }
}

/// An owner in memory: what is its alone goes when this is dropped, and with the life of the pool.
#[derive(Debug)]
pub struct Guest {
    pub(super) blobs: Blobs,
    pub(super) number: u64,
}

impl Guest {
    /// The owner that it stands for.
    #[must_use]
    pub fn owner(&self) -> Owner {
        Owner::Guest(self.number)
    }

    /// Gives up one blob.
    ///
    /// # Errors
    /// The disk fails.
    pub fn release(&self, digest: &Digest) -> Result<(), super::BlobError> {
        self.blobs.release(&self.owner(), digest)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let (blobs, number) = (self.blobs.clone(), self.number);
        let leave = move || {
            if let Err(error) = blobs.leave(number) {
                tracing::warn!(%error, "what a guest left stays until the next start");
            }
        };
        // Files are removed, which may block.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(leave)),
            Err(_) => leave(),
        }
    }
}
