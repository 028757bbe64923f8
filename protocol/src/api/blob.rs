//! Blobs: scenes, models and inputs, named by the digest of their bytes.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The answer to an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobView {
    /// What it is named by.
    pub digest: Digest,
    /// How many bytes it has.
    pub bytes: u64,
}
