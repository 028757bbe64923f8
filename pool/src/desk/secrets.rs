//! The secrets that draws are made with: made before anything is drawn, kept where only the operator reads, published
//! when nothing is drawn with them any more.
//!
//! ```text
//! DIR/audit/<commitment>    the secret in hex; mode 0600
//! ```
//!
//! The file is on stable storage before its hash is committed to the ledger, so a committed secret is always here; one
//! that was never committed is used as the next. A file goes when its secret is published.

use std::path::{Path, PathBuf};
use std::{fs, io};

use lode_protocol::hex;

use crate::ledger::draw::commitment;
use crate::private;

/// A secret.
pub type Secret = [u8; 32];

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct SecretFileError {
    path: PathBuf,
    source: io::Error,
}

/// The directory of secrets.
#[derive(Debug, Clone)]
pub struct Vault {
    dir: PathBuf,
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> SecretFileError {
    let path = path.to_owned();
    move |source| SecretFileError { path, source }
}

impl Vault {
    /// The secrets of a data directory; what was half written is removed.
    ///
    /// # Errors
    /// The disk fails.
    pub fn open(data: &Path) -> Result<Vault, SecretFileError> {
        let dir = data.join("audit");
        private::make_dir(&dir).map_err(io_error(&dir))?;
        for item in fs::read_dir(&dir).map_err(io_error(&dir))? {
            let path = item.map_err(io_error(&dir))?.path();
            if path.extension().is_some_and(|extension| extension == "part") {
                fs::remove_file(&path).map_err(io_error(&path))?;
            }
        }
        Ok(Vault { dir })
    }

    fn path(&self, hash: &[u8; 32]) -> PathBuf {
        self.dir.join(hex::encode(hash))
    }

    /// Makes a secret and keeps it; on stable storage when this returns.
    ///
    /// # Errors
    /// The disk fails.
    pub fn make(&self) -> Result<Secret, SecretFileError> {
        let secret: Secret = rand::random();
        let path = self.path(&commitment(&secret));
        private::write(&path, format!("{}\n", hex::encode(&secret)).as_bytes()).map_err(io_error(&path))?;
        Ok(secret)
    }

    /// The secret of this hash; `None` where it is not here or is not what its name says.
    ///
    /// # Errors
    /// The disk fails.
    pub fn read(&self, hash: &[u8; 32]) -> Result<Option<Secret>, SecretFileError> {
        let path = self.path(hash);
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error(&path)(error)),
            Ok(text) => Ok(hex::decode_array::<32>(text.trim()).ok().filter(|secret| commitment(secret) == *hash)),
        }
    }

    /// A secret that none of `committed` is, if there is any: made by a life of the pool that ended before it was
    /// committed.
    ///
    /// # Errors
    /// The disk fails.
    pub fn unused(&self, committed: &dyn Fn(&[u8; 32]) -> bool) -> Result<Option<Secret>, SecretFileError> {
        for item in fs::read_dir(&self.dir).map_err(io_error(&self.dir))? {
            let name = item.map_err(io_error(&self.dir))?.file_name();
            let Some(hash) = name.to_str().and_then(|name| hex::decode_array::<32>(name).ok()) else { continue };
            if !committed(&hash)
                && let Some(secret) = self.read(&hash)?
            {
                return Ok(Some(secret));
            }
        }
        Ok(None)
    }

    /// Forgets a secret that is published.
    ///
    /// # Errors
    /// The disk fails.
    pub fn forget(&self, hash: &[u8; 32]) -> Result<(), SecretFileError> {
        let path = self.path(hash);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(&path)(error)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_kept_for_its_owner_alone_and_found_by_its_hash() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open(dir.path()).unwrap();
        let (one, other) = (vault.make().unwrap(), vault.make().unwrap());
        assert_ne!(one, other);
        let path = vault.path(&commitment(&one));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // Another life of the pool.
        fs::write(vault.dir.join("half.part"), b"x").unwrap();
        let vault = Vault::open(dir.path()).unwrap();
        assert_eq!(vault.read(&commitment(&one)).unwrap(), Some(one));
        assert_eq!(vault.unused(&|hash| *hash == commitment(&one)).unwrap(), Some(other));
        assert_eq!(vault.unused(&|_| true).unwrap(), None);
        vault.forget(&commitment(&other)).unwrap();
        vault.forget(&commitment(&other)).unwrap();
        assert_eq!(vault.read(&commitment(&other)).unwrap(), None);
        fs::write(&path, format!("{}\n", "00".repeat(32))).unwrap();
        assert_eq!(vault.read(&commitment(&one)).unwrap(), None, "it is not what its name says");
        assert_eq!(fs::read_dir(&vault.dir).unwrap().count(), 1);
    }
}
