//! A directory of blobs, each under its digest's name: bounded, the longest unused go first.
//!
//! Several miners may share it. A blob appears under its name whole or not at all; what is arriving lies beside it as a
//! [`Part`], which one miner at a time has locked, and counts as a blob does. A file that is damaged is removed. A
//! directory that fails is named in the log and never breaks the work: blobs are then only had again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use lode_protocol::Digest;
use tracing::warn;

use super::part::Part;

/// What a blob's file that is arriving is called, after its digest.
pub(super) const PART: &str = ".part";
/// What arrived is kept so long for somebody to go on with it.
const PART_KEPT: Duration = Duration::from_secs(86_400);

/// The directory; or nothing, where there is no place for one.
#[derive(Debug, Clone)]
pub struct Cache {
    directory: Option<PathBuf>,
    /// Most bytes of all blobs and parts together.
    bytes_max: u64,
    clock: fn() -> SystemTime,
}

/// A file of a blob or a part. In the order of what it is worth: parts before blobs, the longest unused first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    is_whole: bool,
    used: SystemTime,
    bytes: u64,
    path: PathBuf,
}

impl Cache {
    /// The cache in `directory`, which is made with the first blob, of at most `bytes_max` bytes.
    #[must_use]
    pub fn at(directory: PathBuf, bytes_max: u64, clock: fn() -> SystemTime) -> Cache {
        Cache { directory: Some(directory), bytes_max, clock }
    }

    /// No cache: nothing is found, nothing kept.
    #[must_use]
    pub fn none() -> Cache {
        Cache { directory: None, bytes_max: 0, clock: || SystemTime::UNIX_EPOCH }
    }

    /// Reads a blob, if it is there and whole, and notes that it was used.
    #[must_use]
    pub fn get(&self, digest: &Digest) -> Option<Vec<u8>> {
        let path = self.directory.as_ref()?.join(digest.to_string());
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                warn!("{}: {error}", path.display());
                return None;
            }
        };
        if blake3::hash(&bytes).as_bytes() != &digest.0 {
            warn!("{} is damaged and is removed", path.display());
            remove(&path);
            return None;
        }
        if let Err(error) = fs::File::open(&path).and_then(|file| file.set_modified((self.clock)())) {
            warn!("{}: {error}", path.display());
        }
        Some(bytes)
    }

    /// Takes hold of what has arrived of a blob of `bytes` bytes, be it nothing; `None` while another miner has.
    pub(super) fn part(&self, digest: &Digest, bytes: u64) -> Option<Part> {
        match self.directory.as_ref().filter(|_| bytes <= self.bytes_max) {
            None => Some(Part::in_memory(*digest, bytes)),
            Some(directory) => Part::in_file(directory, *digest, bytes),
        }
    }

    /// Gives room for `bytes` bytes more by removing first the parts that nobody has, then blobs, of both those that were
    /// not used for the longest time. A part that somebody has stays.
    pub fn make_room(&self, bytes: u64) {
        let Some(directory) = &self.directory else { return };
        let mut files = self.look(directory);
        files.sort_unstable();
        let mut all: u64 = files.iter().map(|kept| kept.bytes).sum();
        for kept in files {
            if all.saturating_add(bytes) <= self.bytes_max {
                return;
            }
            let gone = if kept.is_whole { remove(&kept.path) } else { Part::remove_unlocked(&kept.path) };
            all -= if gone { kept.bytes } else { 0 };
        }
    }

    /// The blobs and parts that are here; removes forgotten parts on the way.
    fn look(&self, directory: &Path) -> Vec<Kept> {
        let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
        let forgotten = (self.clock)().checked_sub(PART_KEPT);
        let mut files = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(metadata) = entry.metadata() else { continue }; // another has removed it
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let (digest, is_whole) = name.strip_suffix(PART).map_or((&name[..], true), |digest| (digest, false));
            if digest.parse::<Digest>().is_err() {
                continue;
            }
            let is_forgotten = !is_whole && forgotten.is_some_and(|forgotten| used < forgotten);
            if !(is_forgotten && Part::remove_unlocked(&entry.path())) {
                files.push(Kept { is_whole, used, bytes: metadata.len(), path: entry.path() });
            }
        }
        files
    }
}

/// Removes a file; that another did so first is as good. Whether it is gone.
pub(super) fn remove(path: &Path) -> bool {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            warn!("{}: {error}", path.display());
            false
        }
        Ok(()) | Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::super::part::tests::digest_of;
    use super::*;

    fn day(number: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(number * 86_400)
    }

    fn cache(directory: &Path, bytes_max: u64) -> Cache {
        Cache::at(directory.to_owned(), bytes_max, || day(1000))
    }

    /// Keeps a blob as a download does.
    fn keep(cache: &Cache, content: &[u8]) {
        let mut part = cache.part(&digest_of(content), content.len() as u64).unwrap();
        part.write(content).unwrap();
        assert_eq!(part.finish().unwrap(), content);
    }

    fn names(directory: &Path) -> usize {
        fs::read_dir(directory).unwrap().count()
    }

    #[test]
    fn what_was_kept_is_got_and_what_is_damaged_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let cache = cache(&directory.path().join("deep/er"), 1000);
        let digest = digest_of(b"content");
        assert_eq!(cache.get(&digest), None);
        keep(&cache, b"content");
        assert_eq!(cache.get(&digest).as_deref(), Some(&b"content"[..]));
        let path = directory.path().join("deep/er").join(digest.to_string());
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), day(1000));
        fs::write(&path, b"contend").unwrap();
        assert_eq!(cache.get(&digest), None);
        assert!(!path.exists());
        keep(&Cache::none(), b"content");
        assert_eq!(Cache::none().get(&digest), None);
    }

    #[test]
    fn the_longest_unused_go_first_and_only_as_many_as_must() {
        let directory = tempfile::tempdir().unwrap();
        let cache = cache(directory.path(), 30);
        let blobs = [*b"0123456789", *b"1123456789", *b"2123456789"];
        for (number, blob) in blobs.iter().enumerate() {
            keep(&cache, blob);
            let file = fs::File::open(directory.path().join(digest_of(blob).to_string())).unwrap();
            file.set_modified(day(number as u64)).unwrap();
        }
        assert!(cache.get(&digest_of(&blobs[0])).is_some(), "which makes it the last used");
        cache.make_room(1);
        assert_eq!(blobs.map(|blob| cache.get(&digest_of(&blob)).is_some()), [true, false, true]);
        cache.make_room(10);
        assert_eq!(names(directory.path()), 2);
        cache.make_room(u64::MAX);
        assert_eq!(names(directory.path()), 0);
    }

    #[test]
    fn parts_are_kept_for_a_day_unless_somebody_has_them() {
        let directory = tempfile::tempdir().unwrap();
        let cache = cache(directory.path(), 1000);
        let begin = |content: &[u8], at| {
            let mut part = cache.part(&digest_of(content), 100).unwrap();
            part.write(content).unwrap();
            let path = directory.path().join(format!("{}{PART}", digest_of(content)));
            fs::File::open(path).unwrap().set_modified(at).unwrap();
            part
        };
        drop(begin(b"old", day(998)));
        drop(begin(b"young", day(1000)));
        let held = begin(b"held", day(998));
        fs::write(directory.path().join("a file of somebody else"), "").unwrap();
        cache.make_room(0);
        assert_eq!(names(directory.path()), 3);
        drop(held);
        cache.make_room(0);
        assert_eq!(names(directory.path()), 2);
    }

    #[test]
    fn parts_count_and_go_before_blobs_the_oldest_first_but_for_those_that_somebody_has() {
        let directory = tempfile::tempdir().unwrap();
        let cache = cache(directory.path(), 50);
        keep(&cache, b"0123456789");
        let path = |content: &[u8]| directory.path().join(format!("{}{PART}", digest_of(content)));
        let begin = |content: &[u8; 10], seconds| {
            let mut part = cache.part(&digest_of(content), 11).unwrap();
            part.write(content).unwrap();
            let file = fs::File::open(path(content)).unwrap();
            file.set_modified(day(1000) + Duration::from_secs(seconds)).unwrap();
            part
        };
        let parts = [*b"1123456789", *b"2123456789", *b"3123456789"];
        let held = begin(&parts[0], 1);
        drop(begin(&parts[1], 3));
        drop(begin(&parts[2], 2));
        let here = || (parts.map(|part| path(&part).exists()), cache.get(&digest_of(b"0123456789")).is_some());
        cache.make_room(10);
        assert_eq!(here(), ([true, true, true], true), "50 bytes are within the bound");
        cache.make_room(11);
        assert_eq!(here(), ([true, true, false], true), "the older of those that nobody has");
        cache.make_room(30);
        assert_eq!(here(), ([true, false, false], true), "before the blob, which is older");
        cache.make_room(31);
        assert_eq!(here(), ([true, false, false], false));
        cache.make_room(50);
        assert_eq!(here(), ([true, false, false], false), "somebody has it");
        drop(held);
        cache.make_room(50);
        assert_eq!(names(directory.path()), 0);
    }

    #[test]
    fn a_blob_above_the_bound_and_a_directory_that_cannot_be_are_no_obstacle() {
        let directory = tempfile::tempdir().unwrap();
        keep(&cache(directory.path(), 3), b"four");
        assert_eq!(names(directory.path()), 0);
        let file = directory.path().join("file");
        fs::write(&file, "in the way").unwrap();
        let broken = cache(&file.join("below"), 1000);
        keep(&broken, b"four");
        assert_eq!(broken.get(&digest_of(b"four")), None);
        broken.make_room(1);
    }
}
