//! The rig's key file: 32 secret bytes, as they are or in hex, that pools know this rig's range work by.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use lode_protocol::hex;
use tracing::warn;

/// Bytes of a secret.
pub const SECRET_BYTES: usize = 32;
/// Most bytes that are read of the file: hex with blanks around it.
const FILE_BYTES_MAX: u64 = 256;
/// Whoever is not the owner has no business with it.
const OTHERS: u32 = 0o077;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {error}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// The file cannot be made.
    #[error("{path} cannot be made: {error}")]
    Make {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// The file holds something else.
    #[error("{path} holds no key; taken are {SECRET_BYTES} bytes, or {} hex digits", 2 * SECRET_BYTES)]
    Content {
        /// Which file.
        path: PathBuf,
    },
}

/// Reads the secret in the file at `path`. Where there is none, `fresh` is written there, for the owner's eyes only, and
/// given back; of several that begin at once, one writes and all have its secret.
///
/// # Errors
/// The file can be neither read nor made, or holds no key.
pub fn load_or_make(path: &Path, fresh: [u8; SECRET_BYTES]) -> Result<[u8; SECRET_BYTES], KeyFileError> {
    match load(path) {
        Err(KeyFileError::Read { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
            make(path, &fresh).map_err(|error| KeyFileError::Make { path: path.to_owned(), error })?;
            load(path)
        }
        loaded => loaded,
    }
}

fn load(path: &Path) -> Result<[u8; SECRET_BYTES], KeyFileError> {
    let read = || {
        let file = fs::File::open(path)?;
        let mode = file.metadata()?.permissions().mode();
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok((mode, bytes))
    };
    let (mode, bytes) = read().map_err(|error| KeyFileError::Read { path: path.to_owned(), error })?;
    if mode & OTHERS != 0 {
        let path = path.display();
        warn!("others may read or change {path}, and so work in this rig's name: chmod 600 {path}");
    }
    secret(&bytes).ok_or_else(|| KeyFileError::Content { path: path.to_owned() })
}

fn secret(bytes: &[u8]) -> Option<[u8; SECRET_BYTES]> {
    if let Ok(raw) = bytes.try_into() {
        return Some(raw);
    }
    hex::decode_array(std::str::from_utf8(bytes).ok()?.trim()).ok()
}

/// Whole under a name of its own first, so that nobody ever reads half a key; then linked, which fails where another was
/// faster: its key holds.
fn make(path: &Path, secret: &[u8; SECRET_BYTES]) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let name = path.file_name().ok_or_else(|| io::Error::other("it has no name"))?.to_string_lossy();
    let part = directory.join(format!(".{name}.{:016x}", rand::random::<u64>()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)
        .and_then(|mut file| {
            file.write_all(format!("{}\n", hex::encode(secret)).as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| match fs::hard_link(&part, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        });
    fs::remove_file(&part).ok(); // what is left of it harms nobody
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 32] = *b"\xff 32 bytes that are not in hex\n\0";

    #[test]
    fn it_is_made_once_and_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/er/key");
        assert_eq!(load_or_make(&path, SECRET).unwrap(), SECRET);
        assert_eq!(load_or_make(&path, [1; 32]).unwrap(), SECRET, "the first key stays");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&path).unwrap(), hex::encode(&SECRET) + "\n");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing else is left there");
    }

    #[test]
    fn many_that_begin_at_once_have_one_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let keys: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8)
                .map(|n| {
                    scope.spawn({
                        let path = &path;
                        move || load_or_make(path, [n; 32])
                    })
                })
                .collect();
            starts.into_iter().map(|start| start.join().unwrap().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn raw_and_hex_are_read_and_all_else_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let text = hex::encode(&SECRET);
        for good in [&SECRET[..], text.as_bytes(), format!(" {}\r\n", text.to_uppercase()).as_bytes()] {
            fs::write(&path, good).unwrap();
            assert_eq!(load_or_make(&path, [1; 32]).unwrap(), SECRET);
        }
        for bad in ["", "key", &text[1..], &format!("{text}00"), &"x".repeat(9999)] {
            fs::write(&path, bad).unwrap();
            let error = load_or_make(&path, [1; 32]).unwrap_err().to_string();
            assert!(error.contains("key holds no key") && error.contains("64 hex digits"), "{error}");
        }
        let error = load_or_make(&path.join("below"), [1; 32]).unwrap_err().to_string();
        assert!(error.contains("key/below cannot be read"), "{error}");
        fs::remove_file(&path).unwrap();
        let error = load_or_make(&path.join(".."), [1; 32]).unwrap_err().to_string();
        assert!(error.contains("cannot be"), "{error}");
    }
}
