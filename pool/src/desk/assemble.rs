//! From a job's results to its sponsor's file, and to the picture of what there is.
//!
//! ```text
//! DIR/results/<job>.json   name, type and digest of the file, which itself is a blob of the job
//! DIR/results/<job>.png    the picture that the job's page shows once it has ended
//! DIR/results/<random>.part  what is being assembled; cleared at start
//! ```
//!
//! Assembly is a pure function of the results, so one that was cut off is simply done again, and gives the same bytes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use lode_kinds::range;
use lode_protocol::Digest;
use lode_protocol::ids::JobId;
use serde::{Deserialize, Serialize};

use super::files::JobFiles;
use super::results::Results;
use crate::blobs::tree::PIECE_BYTES;
use crate::blobs::{BlobError, Blobs, Delivery, Owner, Quota};
use crate::private;

/// What a finished job's file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finished {
    /// Its name.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// Its blob.
    pub digest: Digest,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// The results cannot be put together; they may be unreadable.
    #[error("{0}")]
    Kind(String),
    /// The file cannot be kept.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The disk fails.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// How.
        source: io::Error,
    },
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> AssembleError {
    let path = path.to_owned();
    move |source| AssembleError::Io { path, source }
}

/// The directory of results.
#[derive(Debug, Clone)]
pub struct Shelf {
    dir: PathBuf,
    blobs: Blobs,
}

impl Shelf {
    /// The results of a data directory; what was half made is removed.
    ///
    /// # Errors
    /// The disk fails.
    pub fn open(data: &Path, blobs: Blobs) -> Result<Shelf, AssembleError> {
        let dir = data.join("results");
        private::make_dir(&dir).map_err(io_error(&dir))?;
        for item in fs::read_dir(&dir).map_err(io_error(&dir))? {
            let path = item.map_err(io_error(&dir))?.path();
            if path.extension().is_some_and(|extension| extension == "part") {
                fs::remove_file(&path).map_err(io_error(&path))?;
            }
        }
        Ok(Shelf { dir, blobs })
    }

    /// A name for something that is half made.
    fn part_path(&self) -> PathBuf {
        self.dir.join(format!("{:032x}.part", rand::random::<u128>()))
    }

    /// Gives a file its name, whole or not at all.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), AssembleError> {
        let path = self.dir.join(name);
        private::write_by_way_of(&self.part_path(), &path, bytes).map_err(io_error(&path))
    }

    /// Puts a job's results together into a blob of the job's; all of them are there. On stable storage when this
    /// returns, and nothing else depends on when it was cut off.
    ///
    /// # Errors
    /// A result cannot be read, there is no room, or the disk fails.
    pub fn assemble(&self, files: &JobFiles, results: &mut Results) -> Result<Finished, AssembleError> {
        let path = self.part_path();
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let mut file = file.map_err(io_error(&path))?;
        let made = self.assemble_into(files, results, &mut file);
        // It has served whatever came of it; one that stays is cleared at the next start.
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(file = %path.display(), %error, "an assembled file could not be removed");
        }
        let finished = made?;
        let text = serde_json::to_vec(&finished).expect("plain data");
        self.write(&format!("{}.json", files.job), &text)?;
        Ok(finished)
    }

    fn assemble_into(
        &self,
        files: &JobFiles,
        results: &mut Results,
        file: &mut File,
    ) -> Result<Finished, AssembleError> {
        let mut read = |element| results.element(element).map_err(|fault| fault.to_string());
        let made = range::assemble(files.kind, &files.spec, &mut read, file).map_err(AssembleError::Kind)?;
        let io = io_error(&self.dir);
        let bytes = file.seek(io::SeekFrom::End(0)).and_then(|bytes| file.rewind().map(|()| bytes)).map_err(io)?;
        let owner = Owner::Job(files.job);
        let mut upload =
            self.blobs.begin_within(&owner, Quota::FILE, Delivery::Once { expected: None }, Some(bytes))?;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match file.read(&mut piece).map_err(io_error(&self.dir))? {
                0 => break,
                read => upload.write(&piece[..read])?,
            }
        }
        let digest = upload.finish()?.digest;
        Ok(Finished { name: made.name, media_type: made.media_type.to_owned(), digest })
    }

    /// The picture of what results there are; `None` where the kind has none.
    ///
    /// # Errors
    /// A result cannot be read.
    pub fn preview(&self, files: &JobFiles, results: &mut Results) -> Result<Option<Bytes>, AssembleError> {
        let mut read = |element| results.element(element).map_err(|fault| fault.to_string());
        let made = range::preview(files.kind, &files.spec, &mut read).map_err(AssembleError::Kind)?;
        Ok(made.map(Bytes::from))
    }

    /// Keeps a job's last picture, for when its results are gone.
    ///
    /// # Errors
    /// The disk fails.
    pub fn keep_preview(&self, job: JobId, picture: &[u8]) -> Result<(), AssembleError> {
        self.write(&format!("{job}.png"), picture)
    }

    /// A job's last picture, if one was kept.
    ///
    /// # Errors
    /// The disk fails.
    pub fn kept_preview(&self, job: JobId) -> Result<Option<Bytes>, AssembleError> {
        let path = self.dir.join(format!("{job}.png"));
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error(&path)(error)),
            Ok(bytes) => Ok(Some(bytes.into())),
        }
    }

    /// What a job's file is, if it was assembled.
    ///
    /// # Errors
    /// The disk fails, or what is there does not read.
    pub fn finished(&self, job: JobId) -> Result<Option<Finished>, AssembleError> {
        let path = self.dir.join(format!("{job}.json"));
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error(&path)(error)),
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| io_error(&path)(error.into())),
        }
    }
}
