//! Directories and files that only the pool's own user reads, on stable storage once they are made.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::ledger::journal::sync_dir;

/// Makes a directory, unless it is there.
///
/// # Errors
/// The disk fails.
pub(crate) fn make_dir(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => dir.parent().map_or(Ok(()), sync_dir),
    }
}

/// Writes a file, whole or not at all. While it is written its extension is `part`.
///
/// # Errors
/// The disk fails.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let part = path.with_extension("part");
    match fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    write_by_way_of(&part, path, bytes)
}

/// The same under a name of the caller's while it is written, at which nothing is.
///
/// # Errors
/// The disk fails.
pub(crate) fn write_by_way_of(part: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(part, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}
