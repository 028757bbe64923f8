//! What takes long to make is kept between runs: compiled kernels and what tuning found.
//!
//! An entry is a file named by the digest of all that it follows from, and holds the digest of its content. A file that is
//! damaged is named in the log, counts as absent and is written anew: the cache can slow a start down, never break it.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Longest entry that is read: a compiled kernel is far below it.
const ENTRY_BYTES_MAX: u64 = 64 << 20;
const DIGEST_BYTES: usize = 32;

/// A directory of entries; or nothing, where there is no place for one.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    directory: Option<PathBuf>,
}

impl Cache {
    /// No cache: nothing is found, nothing kept.
    #[must_use]
    pub const fn none() -> Self {
        Self { directory: None }
    }

    /// The cache in `directory`, which is made when the first entry is kept.
    #[must_use]
    pub const fn at(directory: PathBuf) -> Self {
        Self { directory: Some(directory) }
    }

    /// The user's: `$LODE_CACHE_DIR`, or `lode` in `$XDG_CACHE_HOME` or `$HOME/.cache`.
    #[must_use]
    pub fn of_user() -> Self {
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let own = absolute("LODE_CACHE_DIR");
        let shared = || absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
        Self { directory: own.or_else(|| Some(shared()?.join("lode"))) }
    }

    /// Whether there is a place for entries.
    #[must_use]
    pub const fn is_some(&self) -> bool {
        self.directory.is_some()
    }

    /// The entry that follows from `key`, if it is there and whole.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Vec<u8>> {
        let path = self.path(key)?;
        match read(&path) {
            Ok(content) => Some(content),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!("{}: {error}; it is made anew", path.display());
                None
            }
        }
    }

    /// Keeps `content` for `key`. A disk that refuses is named in the log.
    pub fn put(&self, key: &Key, content: &[u8]) {
        let Some(path) = self.path(key) else { return };
        if let Err(error) = write(&path, content) {
            tracing::warn!("{}: {error}; it will be made again", path.display());
        }
    }

    fn path(&self, key: &Key) -> Option<PathBuf> {
        Some(self.directory.as_ref()?.join(format!("{}-{}", key.what, key.hasher.finalize().to_hex())))
    }
}

/// What an entry follows from. Anything that would change the entry must be in it.
#[derive(Clone, Debug)]
pub struct Key {
    what: &'static str,
    hasher: blake3::Hasher,
}

impl Key {
    /// The key of a kind of entries, whose name begins the file's; the program's version is part of it.
    #[must_use]
    pub fn new(what: &'static str) -> Self {
        Self { what, hasher: blake3::Hasher::new() }.with(env!("CARGO_PKG_VERSION"))
    }

    /// With one thing more; order counts, and no two sequences of things are the same key.
    #[must_use]
    pub fn with(mut self, thing: impl AsRef<[u8]>) -> Self {
        let thing = thing.as_ref();
        self.hasher.update(&(thing.len() as u64).to_le_bytes()).update(thing);
        self
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let length = fs::metadata(path)?.len();
    if length > ENTRY_BYTES_MAX {
        return Err(io::Error::other(format!("a cache file of {length} bytes, above {ENTRY_BYTES_MAX}")));
    }
    let bytes = fs::read(path)?;
    let Some((digest, content)) = bytes.split_at_checked(DIGEST_BYTES) else {
        return Err(io::Error::other("a damaged cache file: too short"));
    };
    if blake3::hash(content).as_bytes() != digest {
        return Err(io::Error::other("a damaged cache file: its content does not have its digest"));
    }
    Ok(content.to_vec())
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().ok_or_else(|| io::Error::other("no directory"))?;
    fs::create_dir_all(directory)?;
    // Under a name of its own first: another process may be reading, or writing the same.
    let part = path.with_extension(format!("{}.part", std::process::id()));
    let mut file = fs::File::create(&part)?;
    let written = file.write_all(blake3::hash(content).as_bytes()).and_then(|()| file.write_all(content));
    written.and_then(|()| fs::rename(&part, path)).inspect_err(|_| {
        fs::remove_file(&part).ok(); // nothing more can be done about it
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_got_by_the_same_key_only() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path().join("deep/er"));
        let key = Key::new("thing").with("a").with("bc");
        assert_eq!(cache.get(&key), None);
        cache.put(&key, b"content");
        assert_eq!(cache.get(&key).as_deref(), Some(&b"content"[..]));
        assert_eq!(cache.get(&Key::new("thing").with("ab").with("c")), None);
        assert_eq!(cache.get(&Key::new("other").with("a").with("bc")), None);
        Cache::none().put(&key, b"content");
        assert_eq!(Cache::none().get(&key), None);
    }

    #[test]
    fn a_damaged_file_counts_as_absent_and_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path().to_owned());
        let key = Key::new("thing");
        cache.put(&key, b"content");
        let path = cache.path(&key).unwrap();
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[DIGEST_BYTES] ^= 1;
        for damaged in [&flipped[..], &whole[..whole.len() - 1], &whole[..5], &[]] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(cache.get(&key), None);
        }
        cache.put(&key, b"content");
        assert_eq!(cache.get(&key).as_deref(), Some(&b"content"[..]));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no part is left behind");
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_no_obstacle() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "in the way").unwrap();
        let cache = Cache::at(file.join("cache"));
        cache.put(&Key::new("thing"), b"content");
        assert_eq!(cache.get(&Key::new("thing")), None);
    }
}
