//! The store: its directories, its index, and the one way by which a file gets its final name.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _};
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lode_protocol::Digest;
use lode_protocol::ids::SponsorName;

use super::index::Index;
use super::reading::Reading;
use super::tree::{PIECE_BYTES, Tree, TreeHasher};
use super::upload::{Delivery, Upload};
use super::{BlobError, Limits, io_error};
use crate::clock::Clock;
use crate::ledger::journal::sync_dir;

/// The blobs of a data directory.
#[derive(Debug, Clone)]
pub struct Blobs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    limits: Limits,
    clock: Clock,
    /// Held for a few lines that never wait.
    index: Mutex<Index>,
    /// Held while a file gets its names, so that an owner's name is not taken back under another upload.
    naming: Mutex<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a directory that only the pool reads, unless it is there; its name is on stable storage.
fn make_dir(dir: &Path) -> Result<(), BlobError> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(io_error(dir)(error)),
        Ok(()) => dir.parent().map_or(Ok(()), sync_dir).map_err(io_error(dir)),
    }
}

/// The names in a directory.
fn names(dir: &Path) -> Result<Vec<(String, PathBuf)>, BlobError> {
    let mut found = Vec::new();
    for item in fs::read_dir(dir).map_err(io_error(dir))? {
        let path = item.map_err(io_error(dir))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        found.push((name, path));
    }
    Ok(found)
}

/// Notes the blobs of one directory, whose names begin with `prefix`.
fn scan_shelf(index: &mut Index, prefix: &str, shelf: &Path) -> Result<(), BlobError> {
    for (name, path) in names(shelf)? {
        match name.parse::<Digest>() {
            Ok(digest) if name.starts_with(prefix) => {
                index.found(digest, fs::metadata(&path).map_err(io_error(&path))?.len());
            }
            _ => tracing::warn!(file = %path.display(), "this is no blob; it is left alone"),
        }
    }
    Ok(())
}

/// Notes what one sponsor uploaded.
fn scan_owner(index: &mut Index, sponsor: &SponsorName, dir: &Path) -> Result<(), BlobError> {
    for (name, path) in names(dir)? {
        match name.parse::<Digest>() {
            Ok(digest) if index.found_owner(sponsor, digest) => {}
            Ok(digest) => {
                tracing::warn!(%digest, %sponsor, "its upload was never finished, or the blob was removed");
                fs::remove_file(&path).map_err(io_error(&path))?;
            }
            Err(_) => tracing::warn!(file = %path.display(), "this is no blob's name; it is left alone"),
        }
    }
    Ok(())
}

impl Blobs {
    /// Opens the blobs of a data directory, and clears what was still arriving.
    ///
    /// # Errors
    /// The disk fails.
    pub fn open(data: &Path, limits: Limits, clock: Clock) -> Result<Blobs, BlobError> {
        let dir = data.join("blobs");
        let (parts, owners) = (dir.join("part"), dir.join("owners"));
        for dir in [&dir, &parts, &owners] {
            make_dir(dir)?;
        }
        for (_, path) in names(&parts)? {
            fs::remove_file(&path).map_err(io_error(&path))?;
        }
        let mut index = Index::default();
        for (name, shelf) in names(&dir)?.iter().filter(|(name, _)| name.len() == 2) {
            scan_shelf(&mut index, name, shelf)?;
        }
        for (name, path) in names(&owners)? {
            match name.parse() {
                Ok(sponsor) => scan_owner(&mut index, &sponsor, &path)?,
                Err(_) => tracing::warn!(dir = %path.display(), "this is no sponsor's name; it is left alone"),
            }
        }
        let (count, charged) = index.totals();
        tracing::info!(blobs = count, bytes = charged, "the blobs are open");
        let index = Mutex::new(index);
        Ok(Blobs(Arc::new(Inner { dir, limits, clock, index, naming: Mutex::new(()) })))
    }

    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        lock(&self.0.index)
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// A name for something that arrives.
    pub(super) fn part_path(&self) -> PathBuf {
        self.0.dir.join("part").join(format!("{:032x}", rand::random::<u128>()))
    }

    fn shelf(&self, digest: &Digest) -> PathBuf {
        self.0.dir.join(&digest.to_string()[..2])
    }

    /// Where a blob is.
    #[must_use]
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.shelf(digest).join(digest.to_string())
    }

    /// Whether this sponsor uploaded it.
    #[must_use]
    pub fn owns(&self, sponsor: &SponsorName, digest: &Digest) -> bool {
        self.index().owns(sponsor, digest)
    }

    /// How many bytes a blob has.
    ///
    /// # Errors
    /// There is none, or it is known to be damaged.
    pub fn bytes(&self, digest: &Digest) -> Result<u64, BlobError> {
        self.index().find(digest).map(|(bytes, _)| bytes)
    }

    /// How much of this sponsor's interrupted upload is here.
    #[must_use]
    pub fn arrived(&self, sponsor: &SponsorName, digest: &Digest) -> u64 {
        self.index().arrived(&(sponsor.clone(), *digest))
    }

    /// Begins an upload; `announced` is how many bytes are to come, where that is known.
    ///
    /// # Errors
    /// Too large, no room, too many at a time, an offset that has not arrived, or the disk fails.
    pub fn begin(
        &self,
        sponsor: &SponsorName,
        delivery: Delivery,
        announced: Option<u64>,
    ) -> Result<Upload, BlobError> {
        let late = self.index().expire(self.0.clock.now());
        for path in late {
            fs::remove_file(&path).map_err(io_error(&path))?;
        }
        Upload::begin(self.clone(), sponsor, delivery, announced)
    }

    /// Opens a blob for reading `range` of it.
    ///
    /// # Errors
    /// There is none, its file is damaged, or the disk fails.
    ///
    /// # Panics
    /// The range ends behind the blob.
    pub fn read(&self, digest: &Digest, range: Range<u64>) -> Result<Reading, BlobError> {
        let (_, cell) = self.index().find(digest)?;
        let path = self.path(digest);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(self.damaged(digest)),
            file => file.map_err(io_error(&path))?,
        };
        let mut tree = lock(&cell);
        let tree = match &*tree {
            Some(tree) => tree.clone(),
            None => tree.insert(Arc::new(self.check(digest, &file)?)).clone(),
        };
        assert!(range.end <= tree.bytes(), "byte {} of a blob of {} was asked for", range.end, tree.bytes());
        Ok(Reading::new(self.clone(), *digest, file, tree, range))
    }

    /// Reads a file whole and holds it against its name.
    fn check(&self, digest: &Digest, mut file: &File) -> Result<Tree, BlobError> {
        let mut hasher = TreeHasher::default();
        let mut bytes = vec![0; PIECE_BYTES];
        loop {
            match file.read(&mut bytes).map_err(io_error(self.path(digest)))? {
                0 => break,
                read => hasher.update(&bytes[..read]),
            }
        }
        let (found, tree) = hasher.finish();
        if found == *digest { Ok(tree) } else { Err(self.damaged(digest)) }
    }

    /// Notes and tells that a file is not what it should be.
    pub(super) fn damaged(&self, digest: &Digest) -> BlobError {
        let path = self.path(digest);
        tracing::error!(file = %path.display(), "this blob is missing or damaged; it is not given out until it is uploaded again");
        self.index().damaged(digest);
        BlobError::Damaged(*digest)
    }

    /// Gives the synced file at `part` its final name, with `sponsor` as an owner. On stable storage when
    /// this returns; whether it is new to the sponsor.
    pub(super) fn publish(
        &self,
        sponsor: &SponsorName,
        part: &Path,
        (digest, tree): (Digest, Tree),
        reserved: u64,
    ) -> Result<bool, BlobError> {
        let turn = lock(&self.0.naming);
        let mark = self.0.dir.join("owners").join(sponsor.as_str()).join(digest.to_string());
        let new = !self.owns(sponsor, &digest);
        let named = self.name(part, &digest, new.then_some(&mark));
        if let (Err(_), true) = (&named, new)
            && let Err(error) = fs::remove_file(&mark)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(file = %mark.display(), %error, "an owner's name without a blob stays until the next start");
        }
        named?;
        let new = self.index().settle(sponsor, digest, tree, reserved);
        drop(turn);
        Ok(new)
    }

    fn name(&self, part: &Path, digest: &Digest, mark: Option<&PathBuf>) -> Result<(), BlobError> {
        if let Some(mark) = mark {
            let owner = mark.parent().expect("an owner's name is in a directory");
            make_dir(owner)?;
            File::create(mark).and_then(|file| file.sync_all()).map_err(io_error(mark))?;
            sync_dir(owner).map_err(io_error(owner))?;
        }
        let shelf = self.shelf(digest);
        make_dir(&shelf)?;
        // Over what may be there already: that is the same, unless it was damaged, and then this mends it.
        fs::rename(part, self.path(digest)).map_err(io_error(part))?;
        sync_dir(&shelf).map_err(io_error(&shelf))
    }
}
