//! The store: its directories, its index, and the one way by which a file gets its final name.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lode_protocol::Digest;
use lode_protocol::ids::{JobId, SponsorName};

use super::index::Index;
use super::owner::{Guest, Owner, Quota};
use super::reading::Reading;
use super::tree::{PIECE_BYTES, Tree, TreeHasher};
use super::upload::{Delivery, Stored, Upload};
use super::{BlobError, Limits, io_error};
use crate::clock::Clock;
use crate::ledger::journal::sync_dir;
use crate::private;

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
    /// Held while a file gets or loses a name, so that none is taken back under another upload.
    naming: Mutex<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a directory that only the pool reads, unless it is there; its name is on stable storage.
fn make_dir(dir: &Path) -> Result<(), BlobError> {
    private::make_dir(dir).map_err(io_error(dir))
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

/// Notes what one owner has.
fn scan_owner(index: &mut Index, owner: &Owner, dir: &Path) -> Result<(), BlobError> {
    for (name, path) in names(dir)? {
        match name.parse::<Digest>() {
            Ok(digest) if index.found_owner(owner, digest) => {}
            Ok(digest) => {
                tracing::warn!(%digest, ?owner, "its upload was never finished, or the blob was removed");
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
        let (parts, owners, jobs) = (dir.join("part"), dir.join("owners"), dir.join("jobs"));
        for dir in [&dir, &parts, &owners, &jobs] {
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
                Ok(sponsor) => scan_owner(&mut index, &Owner::Sponsor(sponsor), &path)?,
                Err(_) => tracing::warn!(dir = %path.display(), "this is no sponsor's name; it is left alone"),
            }
        }
        for (name, path) in names(&jobs)? {
            match name.parse() {
                Ok(job) => scan_owner(&mut index, &Owner::Job(job), &path)?,
                Err(_) => tracing::warn!(dir = %path.display(), "this is no job's id; it is left alone"),
            }
        }
        let orphans = index.take_orphans();
        let (count, charged) = index.totals();
        tracing::info!(blobs = count, bytes = charged, removed = orphans.len(), "the blobs are open");
        let index = Mutex::new(index);
        let blobs = Blobs(Arc::new(Inner { dir, limits, clock, index, naming: Mutex::new(()) }));
        for digest in orphans {
            blobs.remove(&digest)?;
        }
        Ok(blobs)
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

    /// Whether this owner has it.
    #[must_use]
    pub fn owns(&self, owner: &Owner, digest: &Digest) -> bool {
        self.index().owns(owner, digest)
    }

    /// Jobs that have blobs.
    #[must_use]
    pub fn jobs(&self) -> Vec<JobId> {
        let job = |owner: &Owner| if let Owner::Job(job) = owner { Some(*job) } else { None };
        self.index().owners().filter_map(job).collect()
    }

    /// The blobs that this owner has.
    #[must_use]
    pub fn blobs_of(&self, owner: &Owner) -> Vec<Digest> {
        self.index().blobs_of(owner)
    }

    /// Bytes that there is room for.
    #[must_use]
    pub fn room(&self) -> u64 {
        self.0.limits.total_bytes.saturating_sub(self.index().totals().1)
    }

    /// Bytes that all blobs may have.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.0.limits.total_bytes
    }

    /// Keeps room for a job until it has so many bytes in all, its inputs among them, or is over.
    pub fn promise(&self, job: JobId, bytes: u64) {
        self.index().promise(&Owner::Job(job), bytes);
    }

    /// Keeps no room for a job any more.
    pub fn forget_promise(&self, job: JobId) {
        self.index().forget_promise(&Owner::Job(job));
    }

    /// Keeps room for a job that has no name yet, while the guest that is given is here.
    ///
    /// # Errors
    /// The room that is neither taken nor kept for others, which is less.
    pub fn reserve(&self, bytes: u64) -> Result<Guest, u64> {
        let guest = self.guest();
        let mut index = self.index();
        let free = index.free(&self.0.limits);
        if bytes > free {
            drop(index);
            return Err(free);
        }
        index.promise(&guest.owner(), bytes);
        drop(index);
        Ok(guest)
    }

    /// Lets in an owner that lasts as long as what is given.
    #[must_use]
    pub fn guest(&self) -> Guest {
        let number = self.index().new_guest();
        Guest { blobs: self.clone(), number }
    }

    /// Lets in a guest whose blobs count among a sponsor's.
    #[must_use]
    pub fn guest_of(&self, sponsor: &SponsorName) -> Guest {
        let guest = self.guest();
        self.index().charge_to(guest.number, Owner::Sponsor(sponsor.clone()));
        guest
    }

    /// How many bytes a blob has.
    ///
    /// # Errors
    /// There is none, or it is known to be damaged.
    pub fn bytes(&self, digest: &Digest) -> Result<u64, BlobError> {
        self.index().find(digest).map(|(bytes, _)| bytes)
    }

    /// How much of this owner's interrupted upload is here.
    #[must_use]
    pub fn arrived(&self, owner: &Owner, digest: &Digest) -> u64 {
        self.index().arrived(&(owner.clone(), *digest))
    }

    /// Begins an upload; `announced` is how many bytes are to come, where that is known.
    ///
    /// # Errors
    /// Too large, no room, too many at a time, an offset that has not arrived, or the disk fails.
    pub fn begin(&self, owner: &Owner, delivery: Delivery, announced: Option<u64>) -> Result<Upload, BlobError> {
        self.begin_within(owner, Quota::of(owner, &self.0.limits), delivery, announced)
    }

    /// Begins an upload of an owner that may have so much.
    ///
    /// # Errors
    /// As [`Blobs::begin`].
    pub fn begin_within(
        &self,
        owner: &Owner,
        quota: Quota,
        delivery: Delivery,
        announced: Option<u64>,
    ) -> Result<Upload, BlobError> {
        let late = self.index().expire(self.0.clock.now());
        for path in late {
            fs::remove_file(&path).map_err(io_error(&path))?;
        }
        Upload::begin(self.clone(), owner, quota, delivery, announced)
    }

    /// Keeps bytes that are here already.
    ///
    /// # Errors
    /// No room, or the disk fails.
    pub fn put(&self, owner: &Owner, bytes: &[u8]) -> Result<Stored, BlobError> {
        let mut upload = self.begin(owner, Delivery::Once { expected: None }, Some(bytes.len() as u64))?;
        upload.write(bytes)?;
        upload.finish()
    }

    /// A whole blob, for what is known to fit in memory.
    ///
    /// # Errors
    /// There is none, its file is damaged, or the disk fails.
    pub fn load(&self, digest: &Digest) -> Result<Vec<u8>, BlobError> {
        let bytes = self.bytes(digest)?;
        let mut reading = self.read(digest, 0..bytes)?;
        let mut whole = Vec::with_capacity(usize::try_from(bytes).unwrap_or(0));
        while let Some(piece) = reading.next_bytes()? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }

    /// Makes a blob that is here this owner's too. On stable storage when this returns; whether it is new to it.
    ///
    /// # Errors
    /// There is none, the owner is a guest that has left, or the disk fails.
    pub fn adopt(&self, owner: &Owner, digest: &Digest) -> Result<bool, BlobError> {
        let turn = lock(&self.0.naming);
        let new = self.adopt_in_turn(owner, digest);
        drop(turn);
        new
    }

    /// Makes a blob that is here the result of one more unit of a job. On stable storage when this returns.
    ///
    /// # Errors
    /// There is none, or the disk fails.
    pub fn claim(&self, job: JobId, digest: &Digest) -> Result<(), BlobError> {
        let turn = lock(&self.0.naming);
        let new = self.adopt_in_turn(&Owner::Job(job), digest)?;
        self.index().claim(job, *digest, new);
        drop(turn);
        Ok(())
    }

    /// Takes a blob from a job as the result of one of its units; it stays while another unit, or the job, needs it.
    ///
    /// # Errors
    /// The disk fails.
    pub fn unclaim(&self, job: JobId, digest: &Digest) -> Result<(), BlobError> {
        let turn = lock(&self.0.naming);
        let last = self.index().unclaim(job, *digest);
        let mark = if last { self.unname_in_turn(&Owner::Job(job), digest)? } else { None };
        drop(turn);
        sync_mark(mark)
    }

    /// [`Blobs::adopt`] for whoever has the turn to name.
    fn adopt_in_turn(&self, owner: &Owner, digest: &Digest) -> Result<bool, BlobError> {
        self.bytes(digest)?;
        if self.owns(owner, digest) {
            return Ok(false);
        }
        if !self.index().is_here(owner) {
            return Err(BlobError::Unknown(*digest));
        }
        if let Some(mark) = self.mark(owner, digest)
            && let Err(error) = make_mark(&mark)
        {
            take_back(&mark);
            return Err(error);
        }
        self.index().found_owner(owner, *digest);
        Ok(true)
    }

    /// Takes a blob from this owner, and removes it where it was the last.
    ///
    /// # Errors
    /// The disk fails.
    pub fn release(&self, owner: &Owner, digest: &Digest) -> Result<(), BlobError> {
        let mark = self.unname(owner, digest)?;
        sync_mark(mark)
    }

    /// Takes all blobs from this owner, as [`Blobs::release`] does.
    ///
    /// # Errors
    /// The disk fails; what was taken until then is.
    pub fn release_all(&self, owner: &Owner) -> Result<(), BlobError> {
        let digests = self.index().blobs_of(owner);
        for digest in &digests {
            self.unname(owner, digest)?;
        }
        let Some(dir) = self.marks(owner).filter(|dir| dir.exists()) else { return Ok(()) };
        sync_dir(&dir).map_err(io_error(&dir))?;
        let turn = lock(&self.0.naming);
        match fs::remove_dir(&dir) {
            // Something came in the meantime, or lies there that is not ours.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            removed => removed.map_err(io_error(&dir))?,
        }
        drop(turn);
        Ok(())
    }

    /// Sees a guest out.
    pub(super) fn leave(&self, number: u64) -> Result<(), BlobError> {
        let turn = lock(&self.0.naming);
        let parts = self.index().lose_guest(number);
        drop(turn);
        for path in parts {
            fs::remove_file(&path).map_err(io_error(&path))?;
        }
        self.release_all(&Owner::Guest(number))
    }

    /// Takes an owner's name away, and the blob with the last; gives the name if it was there.
    fn unname(&self, owner: &Owner, digest: &Digest) -> Result<Option<PathBuf>, BlobError> {
        let turn = lock(&self.0.naming);
        let mark = self.unname_in_turn(owner, digest);
        drop(turn);
        mark
    }

    fn unname_in_turn(&self, owner: &Owner, digest: &Digest) -> Result<Option<PathBuf>, BlobError> {
        if !self.owns(owner, digest) {
            return Ok(None);
        }
        let mark = self.mark(owner, digest);
        if let Some(mark) = &mark {
            remove_file(mark)?;
        }
        if self.index().lose_owner(owner, digest) {
            self.remove(digest)?;
        }
        Ok(mark)
    }

    /// Removes a blob's file; a crash may bring it back, as nobody's.
    fn remove(&self, digest: &Digest) -> Result<(), BlobError> {
        remove_file(&self.path(digest))
    }

    /// Where an owner's names are; a guest has none on the disk.
    fn marks(&self, owner: &Owner) -> Option<PathBuf> {
        match owner {
            Owner::Sponsor(sponsor) => Some(self.0.dir.join("owners").join(sponsor.as_str())),
            Owner::Job(job) => Some(self.0.dir.join("jobs").join(job.to_string())),
            Owner::Guest(_) => None,
        }
    }

    fn mark(&self, owner: &Owner, digest: &Digest) -> Option<PathBuf> {
        self.marks(owner).map(|dir| dir.join(digest.to_string()))
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

    /// Gives the synced file at `part` its final name, with `owner` as an owner. On stable storage when
    /// this returns; whether it is new to the owner.
    pub(super) fn publish(
        &self,
        owner: &Owner,
        part: &Path,
        (digest, tree): (Digest, Tree),
        reserved: u64,
    ) -> Result<bool, BlobError> {
        let turn = lock(&self.0.naming);
        if !self.index().is_here(owner) {
            return Err(BlobError::Unknown(digest));
        }
        let mark = self.mark(owner, &digest).filter(|_| !self.owns(owner, &digest));
        let named = self.name(part, &digest, mark.as_ref());
        if let (Err(_), Some(mark)) = (&named, &mark) {
            take_back(mark);
        }
        named?;
        let new = self.index().settle(owner, digest, tree, reserved);
        drop(turn);
        Ok(new)
    }

    fn name(&self, part: &Path, digest: &Digest, mark: Option<&PathBuf>) -> Result<(), BlobError> {
        if let Some(mark) = mark {
            make_mark(mark)?;
        }
        let shelf = self.shelf(digest);
        make_dir(&shelf)?;
        // Over what may be there already: that is the same, unless it was damaged, and then this mends it.
        fs::rename(part, self.path(digest)).map_err(io_error(part))?;
        sync_dir(&shelf).map_err(io_error(&shelf))
    }
}

/// Makes an owner's name; it is on stable storage when this returns.
fn make_mark(mark: &Path) -> Result<(), BlobError> {
    let owner = mark.parent().expect("a mark is in a directory");
    make_dir(owner)?;
    File::create(mark).and_then(|file| file.sync_all()).map_err(io_error(mark))?;
    sync_dir(owner).map_err(io_error(owner))
}

/// Sees to it that a name that was removed stays so.
fn sync_mark(mark: Option<PathBuf>) -> Result<(), BlobError> {
    let Some(mark) = mark else { return Ok(()) };
    let dir = mark.parent().expect("a mark is in a directory");
    sync_dir(dir).map_err(io_error(dir))
}

/// Takes an owner's name back whose blob did not come to be.
fn take_back(mark: &Path) {
    if let Err(error) = remove_file(mark) {
        tracing::warn!(file = %mark.display(), %error, "an owner's name without a blob stays until the next start");
    }
}

/// Removes a file that may be gone already.
fn remove_file(path: &Path) -> Result<(), BlobError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(path)(error)),
        _ => Ok(()),
    }
}
