//! What only the operator may read: the admin token, sponsors' keys (as hashes) and the key of
//! session ids. Files of mode 0600, replaced whole and synced; outside the public ledger.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use lode_protocol::hex;
use lode_protocol::ids::SponsorName;

use crate::private;

/// Prefix by which a sponsor's key is known when it turns up somewhere it should not.
const KEY_PREFIX: &str = "lode-sponsor-";

/// Why the secrets cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The disk failed.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// How.
        source: io::Error,
    },
    /// A file that is not of its form.
    #[error("{path}, line {line}: {what}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Where.
        line: usize,
        /// What it should be.
        what: &'static str,
    },
}

/// The pool's secrets. The mutex is held for a few lines that never wait, but for the file's write
/// when a sponsor is added, which only the operator asks for.
#[derive(Debug)]
pub struct Secrets {
    dir: PathBuf,
    admin: blake3::Hash,
    /// Key of session ids.
    pub session_key: [u8; 32],
    sponsors: Mutex<HashMap<blake3::Hash, SponsorName>>,
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> SecretError {
    let path = path.to_owned();
    |source| SecretError::Io { path, source }
}

/// Reads a file's first line, or makes it with 32 random bytes in hex.
fn read_or_make(path: &Path) -> Result<String, SecretError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().next().unwrap_or_default().trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let secret = hex::encode(&rand::random::<[u8; 32]>());
            private::write(path, format!("{secret}\n").as_bytes()).map_err(io_error(path))?;
            Ok(secret)
        }
        Err(error) => Err(io_error(path)(error)),
    }
}

fn read_sponsors(path: &Path) -> Result<HashMap<blake3::Hash, SponsorName>, SecretError> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        read => read.map_err(io_error(path))?,
    };
    let mut sponsors = HashMap::new();
    for (index, line) in text.lines().enumerate() {
        let parse = || {
            let (hash, name) = line.split_once(' ')?;
            Some((blake3::Hash::from_hex(hash).ok()?, name.parse().ok()?))
        };
        let what = "must be the hash of a key, a space and a sponsor's name";
        let malformed = || SecretError::Malformed { path: path.to_owned(), line: index + 1, what };
        let (hash, name) = parse().ok_or_else(malformed)?;
        sponsors.insert(hash, name);
    }
    Ok(sponsors)
}

impl Secrets {
    /// Reads the secrets of a data directory, making those that are not there.
    ///
    /// # Errors
    /// The disk fails, or a file is not of its form.
    pub fn open(data: &Path) -> Result<Secrets, SecretError> {
        let token = data.join("admin.token");
        let admin = read_or_make(&token)?;
        if admin.len() < 16 {
            let what = "an admin token has at least 16 characters; remove the file to have one made";
            return Err(SecretError::Malformed { path: token, line: 1, what });
        }
        let session = read_or_make(&data.join("session.key"))?;
        let sponsors = Mutex::new(read_sponsors(&data.join("sponsor.keys"))?);
        let session_key = *blake3::hash(session.as_bytes()).as_bytes();
        Ok(Secrets { dir: data.to_owned(), admin: blake3::hash(admin.as_bytes()), session_key, sponsors })
    }

    /// Makes and keeps the key of `sponsor`; on stable storage when this returns. `None` if it has
    /// one.
    ///
    /// # Errors
    /// The disk fails.
    pub fn add_sponsor(&self, sponsor: &SponsorName) -> Result<Option<String>, SecretError> {
        let key = format!("{KEY_PREFIX}{}", hex::encode(&rand::random::<[u8; 32]>()));
        let mut sponsors = self.sponsors.lock().unwrap_or_else(PoisonError::into_inner);
        if sponsors.values().any(|known| known == sponsor) {
            return Ok(None);
        }
        let mut next = sponsors.clone();
        next.insert(blake3::hash(key.as_bytes()), sponsor.clone());
        let mut lines: Vec<String> = next.iter().map(|(hash, name)| format!("{} {name}\n", hash.to_hex())).collect();
        lines.sort();
        let path = self.dir.join("sponsor.keys");
        private::write(&path, lines.concat().as_bytes()).map_err(io_error(&path))?;
        *sponsors = next;
        Ok(Some(key))
    }

    /// Whose key this is. What is compared are hashes, so time tells nothing of a key.
    #[must_use]
    pub fn sponsor_of_key(&self, key: &str) -> Option<SponsorName> {
        let hash = blake3::hash(key.as_bytes());
        self.sponsors.lock().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned()
    }

    /// Whether this is the admin token, compared in constant time.
    #[must_use]
    pub fn is_admin_token(&self, token: &str) -> bool {
        // blake3::Hash compares in constant time.
        blake3::hash(token.as_bytes()) == self.admin
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn secrets_survive_and_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let acme: SponsorName = "acme".parse().unwrap();
        let first = Secrets::open(dir.path()).unwrap();
        let key = first.add_sponsor(&acme).unwrap().unwrap();
        let other = first.add_sponsor(&"other".parse().unwrap()).unwrap().unwrap();
        assert_eq!(first.add_sponsor(&acme).unwrap(), None, "one key a sponsor");
        let again = Secrets::open(dir.path()).unwrap();
        assert_eq!(again.session_key, first.session_key);
        assert_eq!(again.sponsor_of_key(&key), Some(acme));
        assert_ne!(again.sponsor_of_key(&other), again.sponsor_of_key(&key));
        assert_eq!(again.sponsor_of_key("guess"), None);
        let token = fs::read_to_string(dir.path().join("admin.token")).unwrap();
        assert!(again.is_admin_token(token.trim()) && !again.is_admin_token(""));
        for item in fs::read_dir(dir.path()).unwrap() {
            let path = item.unwrap().path();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{path:?}");
            let text = fs::read_to_string(path).unwrap();
            assert!(!text.contains(&key), "a key is kept as a hash only");
        }
    }

    #[test]
    fn a_damaged_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("sponsor.keys"), "nonsense\n").unwrap();
        assert!(Secrets::open(dir.path()).unwrap_err().to_string().contains("line 1"));
        fs::remove_file(dir.path().join("sponsor.keys")).unwrap();
        fs::write(dir.path().join("admin.token"), "").unwrap();
        assert!(Secrets::open(dir.path()).is_err());
    }
}
