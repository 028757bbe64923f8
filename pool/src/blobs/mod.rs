//! Blobs, of sponsors and of jobs: files named by the digest of what they hold, outside the public ledger.
//!
//! ```text
//! DIR/blobs/ab/<digest>               a whole blob; nothing is ever at this name but all of it
//! DIR/blobs/owners/<sponsor>/<digest> empty: this sponsor uploaded it, may read it, and is charged for it
//! DIR/blobs/jobs/<job>/<digest>       empty: this job needs it, e.g. as an input or as a result
//! DIR/blobs/part/<random>             what is still arriving; cleared at start
//! ```
//!
//! An upload is answered once its file, both names and their directories are on stable storage. The
//! same content of two owners is one file; each sponsor is charged for it in full, so that neither
//! learns of the other. What the last owner gives up is removed.
//!
//! Whatever a crash leaves is put right by the next start: a name without a blob (the owner's name is
//! made first, and removed first) and a blob that is nobody's. Such are also the blobs of *guests*:
//! owners in memory, for results that a miner has not submitted yet and inputs of jobs not yet open.
//!
//! Everything here is plain blocking I/O; [`port`] calls it from threads that may block.

mod index;
mod owner;
pub mod port;
mod reading;
mod store;
pub mod tree;
mod upload;

use std::io;
use std::path::PathBuf;

use lode_protocol::Digest;

pub(crate) use index::charge;
pub use owner::{Guest, Owner, Queue, Quota};
pub use reading::Reading;
pub use store::Blobs;
pub use upload::{Delivery, Stored, Upload};

/// What blobs may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of one blob.
    pub blob_bytes: u64,
    /// Most bytes of one sponsor's blobs and uploads.
    pub sponsor_bytes: u64,
    /// Most bytes of all blobs and uploads.
    pub total_bytes: u64,
    /// Most uploads of sponsors at a time.
    pub uploads: usize,
    /// Most uploads of one sponsor at a time.
    pub uploads_per_sponsor: usize,
    /// Most uploads of results at a time, beside those of sponsors.
    pub result_uploads: usize,
}

/// Why a blob is not taken or not given.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// No blob of this name, or not this reader's.
    #[error("there is no blob {0}")]
    Unknown(Digest),
    /// The file is not what its name says.
    #[error("blob {0} is damaged on the pool's disk; upload it again")]
    Damaged(Digest),
    /// More than one blob may have.
    #[error("a blob has at most {0} bytes")]
    TooLarge(u64),
    /// No room is left to this owner, or to all.
    #[error("{0}")]
    Full(String),
    /// The disk has no room.
    #[error("the pool's disk is full")]
    DiskFull,
    /// Too many at a time.
    #[error("{0}; try again when one has ended")]
    Busy(String),
    /// This blob is being uploaded by the same owner.
    #[error("an upload of {0} is under way; it ends when its connection does")]
    UnderWay(Digest),
    /// An upload cannot go on from there.
    #[error("the upload cannot go on at byte {offset}: {arrived} bytes of it have arrived")]
    Offset {
        /// Where it was to go on.
        offset: u64,
        /// How much is here.
        arrived: u64,
    },
    /// The content is not what was expected.
    #[error("the digest of what arrived is {found} where {expected} was expected")]
    Digest {
        /// The digest asked for.
        expected: Digest,
        /// That of the bytes.
        found: Digest,
    },
    /// The disk fails.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// How.
        source: io::Error,
    },
}

/// An error of the file system at `path`.
fn io_error(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> BlobError {
    let path = path.into();
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => BlobError::DiskFull,
        _ => BlobError::Io { path, source },
    }
}

#[cfg(test)]
mod tests;
