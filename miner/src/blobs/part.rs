//! A blob that is arriving: its bytes so far, hashed as they come, and beside them a file to go on with after a break.
//!
//! The file is locked as long as the part lives, so that two miners never write the same one. The system takes the lock
//! off a miner that ends, however it ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use lode_protocol::Digest;
use tracing::warn;

use super::cache::{PART, remove};

/// The bytes are not those of the digest, or are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes that came are not those of the digest")]
pub struct Wrong;

/// The blob.
#[derive(Debug)]
pub(super) struct Part {
    digest: Digest,
    /// How many bytes it has in all.
    all: u64,
    bytes: Vec<u8>,
    hasher: blake3::Hasher,
    /// Where they are kept too, if anywhere.
    file: Option<(File, PathBuf)>,
}

impl Part {
    pub(super) fn in_memory(digest: Digest, all: u64) -> Part {
        Part { digest, all, bytes: Vec::new(), hasher: blake3::Hasher::new(), file: None }
    }

    /// With what has arrived already; `None` while another has the file.
    pub(super) fn in_file(directory: &Path, digest: Digest, all: u64) -> Option<Part> {
        let mut part = Part::in_memory(digest, all);
        let path = directory.join(format!("{digest}{PART}"));
        match fs::create_dir_all(directory).and_then(|()| open(&path)) {
            Ok(None) => return None,
            Ok(Some(file)) => part.take_up(file, path),
            Err(error) => warn!("{}: {error}; the blob is not kept", path.display()),
        }
        Some(part)
    }

    fn take_up(&mut self, mut file: File, path: PathBuf) {
        let arrived = file.metadata().and_then(|metadata| {
            if metadata.len() <= self.all {
                file.read_to_end(&mut self.bytes)?;
            }
            Ok(())
        });
        if let Err(error) = arrived {
            warn!("{}: {error}", path.display());
            self.bytes.clear();
        }
        self.hasher.update(&self.bytes);
        self.file = Some((file, path));
        if self.bytes.is_empty() {
            self.restart();
        }
    }

    /// How many bytes are here.
    #[must_use]
    pub(super) fn arrived(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// How many there are in all.
    #[must_use]
    pub(super) fn all(&self) -> u64 {
        self.all
    }

    /// How many more bytes its file will have.
    #[must_use]
    pub(super) fn room(&self) -> u64 {
        if self.file.is_some() { self.all.saturating_sub(self.arrived()) } else { 0 }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// More than there are.
    pub(super) fn write(&mut self, piece: &[u8]) -> Result<(), Wrong> {
        if self.arrived() + piece.len() as u64 > self.all {
            return Err(Wrong);
        }
        self.bytes.extend_from_slice(piece);
        self.hasher.update(piece);
        if let Some((file, path)) = &mut self.file
            && let Err(error) = file.write_all(piece)
        {
            warn!("{}: {error}; the blob is not kept", path.display());
            remove(path);
            self.file = None;
        }
        Ok(())
    }

    /// Forgets all that arrived.
    pub(super) fn restart(&mut self) {
        self.bytes.clear();
        self.hasher.reset();
        if let Some((file, path)) = &mut self.file
            && let Err(error) = file.set_len(0).and_then(|()| io::Seek::rewind(file))
        {
            warn!("{}: {error}; the blob is not kept", path.display());
            remove(path);
            self.file = None;
        }
    }

    /// The blob's bytes, now that all are here; its file gets its own name.
    ///
    /// # Errors
    /// They are not those of the digest; nothing is kept of them.
    pub(super) fn finish(self) -> Result<Vec<u8>, Wrong> {
        let right = self.arrived() == self.all && self.hasher.finalize().as_bytes() == &self.digest.0;
        if let Some((_locked, path)) = &self.file {
            let done = if right { fs::rename(path, path.with_extension("")) } else { fs::remove_file(path) };
            if let Err(error) = done {
                warn!("{}: {error}", path.display());
            }
        }
        if right { Ok(self.bytes) } else { Err(Wrong) }
    }

    /// Removes a part's file unless somebody has it. Whether it is gone.
    pub(super) fn remove_unlocked(path: &Path) -> bool {
        match OpenOptions::new().read(true).open(path) {
            Ok(file) => file.try_lock().is_ok() && remove(path),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }
}

/// Opens and locks a part's file.
fn open(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
        Ok(()) => {}
    }
    // Between opening and locking, whoever had it may have finished it: then this is a part no more.
    match fs::metadata(path) {
        Ok(there) if there.ino() == file.metadata()?.ino() => Ok(Some(file)),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn digest_of(content: &[u8]) -> Digest {
        Digest(*blake3::hash(content).as_bytes())
    }

    #[test]
    fn it_goes_on_after_a_break_and_has_one_owner() {
        let directory = tempfile::tempdir().unwrap();
        let digest = digest_of(b"0123456789");
        let open = || Part::in_file(directory.path(), digest, 10);
        let mut part = open().unwrap();
        part.write(b"0123").unwrap();
        assert!(open().is_none(), "another has it");
        drop(part);
        let mut part = open().unwrap();
        assert_eq!((part.arrived(), part.room()), (4, 6));
        assert_eq!(Part::in_memory(digest, 10).room(), 0, "it has no file");
        part.write(b"456789").unwrap();
        assert_eq!(part.write(b"x"), Err(Wrong));
        assert_eq!(part.finish().unwrap(), b"0123456789");
        assert_eq!(fs::read(directory.path().join(digest.to_string())).unwrap(), b"0123456789");
    }

    #[test]
    fn wrong_bytes_leave_nothing_and_a_restart_forgets() {
        let directory = tempfile::tempdir().unwrap();
        let digest = digest_of(b"right");
        let open = || Part::in_file(directory.path(), digest, 5).unwrap();
        let mut part = open();
        part.write(b"wrong").unwrap();
        assert_eq!(part.finish(), Err(Wrong));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        let mut part = open();
        part.write(b"wro").unwrap();
        assert_eq!(open_again(part, &open).finish(), Err(Wrong), "too few");
        let mut part = open();
        part.write(b"wrong").unwrap();
        part.restart();
        part.write(b"right").unwrap();
        assert_eq!(part.finish().unwrap(), b"right");
    }

    fn open_again(part: Part, open: &dyn Fn() -> Part) -> Part {
        drop(part);
        open()
    }

    #[test]
    fn a_part_longer_than_its_blob_is_begun_anew() {
        let directory = tempfile::tempdir().unwrap();
        let digest = digest_of(b"right");
        fs::write(directory.path().join(format!("{digest}{PART}")), "much too long").unwrap();
        let mut part = Part::in_file(directory.path(), digest, 5).unwrap();
        assert_eq!((part.arrived(), part.all(), part.room()), (0, 5, 5));
        part.write(b"right").unwrap();
        part.finish().unwrap();
        assert_eq!(fs::read(directory.path().join(digest.to_string())).unwrap(), b"right");
    }
}
