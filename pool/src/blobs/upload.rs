//! One upload: bytes go to a file of no name that anyone asks for, and are hashed as they come.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::mem;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use lode_protocol::Digest;

use super::index::{Part, PartKey, charge};
use super::owner::{Owner, Quota};
use super::store::Blobs;
use super::tree::{PIECE_BYTES, TreeHasher};
use super::{BlobError, io_error};

/// How a blob comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// At once; nothing is kept of it if it breaks off.
    Once {
        /// What its digest must be.
        expected: Option<Digest>,
    },
    /// So that what arrived is kept for a while if it breaks off.
    Resumable {
        /// What its digest must be.
        digest: Digest,
        /// The byte at which it goes on; what arrived behind it is replaced.
        offset: u64,
    },
}

/// What came of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The blob's name.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
    /// Whether it is new to this owner.
    pub new: bool,
}

/// An upload under way. Dropped before [`Upload::finish`], it leaves nothing behind, or, where it is
/// resumable and nothing went wrong on this side, what arrived.
#[derive(Debug)]
pub struct Upload {
    blobs: Blobs,
    owner: Owner,
    quota: Quota,
    expected: Option<Digest>,
    /// Where it is resumable.
    key: Option<PartKey>,
    file: Option<File>,
    path: PathBuf,
    hasher: TreeHasher,
    /// The room that it holds.
    reserved: u64,
    /// Nothing is to be kept of it.
    spent: bool,
}

impl Upload {
    /// Begins one; see [`Blobs::begin_within`].
    pub(super) fn begin(
        blobs: Blobs,
        owner: &Owner,
        quota: Quota,
        delivery: Delivery,
        announced: Option<u64>,
    ) -> Result<Upload, BlobError> {
        let (expected, key, offset) = match delivery {
            Delivery::Once { expected } => (expected, None, 0),
            Delivery::Resumable { digest, offset } => (Some(digest), Some((owner.clone(), digest)), offset),
        };
        let total = offset.saturating_add(announced.unwrap_or(0));
        if total > quota.blob_bytes {
            return Err(BlobError::TooLarge(quota.blob_bytes));
        }
        let part = enter(&blobs, owner, &quota, key.as_ref(), offset)?;
        let (path, reserved) = match &part {
            Some(part) => (part.path.clone(), part.charged),
            None => (blobs.part_path(), 0),
        };
        let hasher = TreeHasher::default();
        // From here on, dropping it undoes it.
        let owner = owner.clone();
        let mut upload = Upload { blobs, owner, quota, expected, key, file: None, path, hasher, reserved, spent: true };
        upload.file = Some(open(&upload.path).map_err(io_error(&upload.path))?);
        upload.rehash(offset).map_err(io_error(&upload.path))?;
        upload.reserve(total)?;
        upload.spent = false;
        Ok(upload)
    }

    fn file(&mut self) -> &mut File {
        self.file.as_mut().expect("it is open until the upload ends")
    }

    /// Takes up the first `offset` bytes again, and cuts off what is behind them.
    fn rehash(&mut self, offset: u64) -> io::Result<()> {
        let mut bytes = vec![0; PIECE_BYTES];
        while self.hasher.bytes() < offset {
            let left = usize::try_from(offset - self.hasher.bytes()).unwrap_or(usize::MAX).min(PIECE_BYTES);
            self.file().read_exact(&mut bytes[..left])?;
            self.hasher.update(&bytes[..left]);
        }
        self.file().set_len(offset)?;
        self.file().seek(io::SeekFrom::Start(offset)).map(drop)
    }

    /// Sees to it that there is room for `bytes` in all.
    fn reserve(&mut self, bytes: u64) -> Result<(), BlobError> {
        if bytes > self.quota.blob_bytes {
            return Err(BlobError::TooLarge(self.quota.blob_bytes));
        }
        let more = charge(bytes).saturating_sub(self.reserved);
        if more > 0 {
            self.blobs.index().reserve(&self.owner, more, &self.quota, self.blobs.limits())?;
            self.reserved += more;
        }
        Ok(())
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// Too many, no room, or the disk fails.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        let spent = mem::replace(&mut self.spent, true);
        self.reserve(self.hasher.bytes().saturating_add(bytes.len() as u64))?;
        self.file().write_all(bytes).map_err(io_error(&self.path))?;
        self.hasher.update(bytes);
        self.spent = spent;
        Ok(())
    }

    /// Ends it; the blob is on stable storage when this returns.
    ///
    /// # Errors
    /// The digest is not the expected one, or the disk fails.
    pub fn finish(mut self) -> Result<Stored, BlobError> {
        self.spent = true;
        let (digest, tree) = mem::take(&mut self.hasher).finish();
        if let Some(expected) = self.expected
            && expected != digest
        {
            return Err(BlobError::Digest { expected, found: digest });
        }
        self.file().sync_all().map_err(io_error(&self.path))?;
        let bytes = tree.bytes();
        let new = self.blobs.publish(&self.owner, &self.path, (digest, tree), self.reserved)?;
        // The room is the blob's now, and the file has its own name.
        self.reserved = 0;
        self.file = None;
        Ok(Stored { digest, bytes, new })
    }

    fn remove(&mut self) {
        if self.file.take().is_some()
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(file = %self.path.display(), %error, "what arrived of an upload stays until the next start");
        }
    }
}

/// Counts an upload, and takes what waits of it.
fn enter(
    blobs: &Blobs,
    owner: &Owner,
    quota: &Quota,
    key: Option<&PartKey>,
    offset: u64,
) -> Result<Option<Part>, BlobError> {
    let mut index = blobs.index();
    index.enter(owner, quota, blobs.limits())?;
    let part = key.map_or(Ok(None), |key| index.take_part(key, offset));
    if part.is_err() {
        index.leave(owner, quota);
    }
    part
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

impl Drop for Upload {
    fn drop(&mut self) {
        let arrived = self.hasher.bytes();
        let wanted = !self.spent && arrived > 0 && self.key.is_some();
        if !wanted {
            self.remove();
        }
        let now = self.blobs.clock().now();
        let blobs = self.blobs.clone();
        let mut index = blobs.index();
        // A guest may have left in the meantime.
        let keep = wanted && index.is_here(&self.owner);
        let charged = if keep { charge(arrived) } else { 0 };
        index.leave(&self.owner, &self.quota);
        index.release(&self.owner, self.reserved - charged);
        match self.key.take() {
            Some(key) if keep => {
                index.keep_part(key, Part { path: mem::take(&mut self.path), bytes: arrived, charged, since: now });
            }
            Some(key) => index.drop_part(&key),
            None => {}
        }
        drop(index);
        if wanted && !keep {
            self.remove();
        }
    }
}

#[cfg(test)]
impl Upload {
    /// Puts another file in the place of its own, such as one that is full.
    pub(super) fn replace_file(&mut self, file: File) {
        self.file = Some(file);
    }
}
