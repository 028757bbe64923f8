//! Sponsors' specs, kept as they came in files named by their digest, outside the public ledger.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use lode_kinds::range::Section;
use lode_protocol::api::{HashRules, HashSpec};
use lode_protocol::{RateCard, hex};
use serde_json::Value;

use crate::ledger::entry::Terms;
use crate::ledger::journal::sync_dir;

/// Why a spec is not there.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The disk failed, or the file is missing.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// How.
        source: io::Error,
    },
    /// The file is not what its name says.
    #[error("{0} does not have the digest that it is named by")]
    Digest(PathBuf),
    /// The file does not read as a spec.
    #[error("{0} does not read as a spec")]
    Malformed(PathBuf),
    /// The file is of another algorithm than the job.
    #[error("{0} is of another algorithm than its job")]
    Algorithm(PathBuf),
}

/// A range job's spec, and the sections that it was prepared into.
#[derive(Debug, Clone, PartialEq)]
pub struct RangeSpec {
    /// What the sponsor asked for.
    pub spec: Value,
    /// What that was made into.
    pub sections: Vec<Section>,
}

/// The directory of specs.
#[derive(Debug, Clone)]
pub struct Specs {
    dir: PathBuf,
}

impl Specs {
    /// The specs of a data directory.
    #[must_use]
    pub fn at(data: &Path) -> Specs {
        Specs { dir: data.join("specs") }
    }

    fn path(&self, digest: &[u8; 32]) -> PathBuf {
        self.dir.join(format!("{}.json", hex::encode(digest)))
    }

    /// Keeps `spec`; on stable storage when this returns. Gives its digest.
    ///
    /// # Errors
    /// The disk fails.
    pub fn keep(&self, spec: &Value) -> Result<[u8; 32], SpecError> {
        let bytes = spec.to_string();
        let digest = *blake3::hash(bytes.as_bytes()).as_bytes();
        let path = self.path(&digest);
        let write = || -> io::Result<()> {
            fs::create_dir_all(&self.dir)?;
            // A name of its own: another request may be keeping the same spec.
            let part = path.with_extension(format!("{:016x}.part", rand::random::<u64>()));
            let mut file = fs::File::create(&part)?;
            file.write_all(bytes.as_bytes())?;
            file.sync_all()?;
            fs::rename(&part, &path)?;
            sync_dir(&self.dir)?;
            self.dir.parent().map_or(Ok(()), sync_dir)
        };
        write().map_err(|source| SpecError::Io { path: path.clone(), source })?;
        Ok(digest)
    }

    /// Keeps a range job's sections as its spec; on stable storage when this returns. Gives their digest.
    ///
    /// # Errors
    /// The disk fails.
    pub fn keep_sections(&self, sections: &[Section]) -> Result<[u8; 32], SpecError> {
        self.keep(&serde_json::to_value(sections).expect("sections are plain data"))
    }

    /// What is kept under a digest.
    fn read(&self, digest: &[u8; 32]) -> Result<Value, SpecError> {
        let path = self.path(digest);
        let bytes = fs::read(&path).map_err(|source| SpecError::Io { path: path.clone(), source })?;
        if blake3::hash(&bytes).as_bytes() != digest {
            return Err(SpecError::Digest(path));
        }
        serde_json::from_slice(&bytes).map_err(|_| SpecError::Malformed(path))
    }

    /// The spec of a range job, and its sections, which are kept under `prepared`.
    ///
    /// # Errors
    /// One of them is missing or damaged.
    pub fn range_spec(&self, spec: &[u8; 32], prepared: &[u8; 32]) -> Result<RangeSpec, SpecError> {
        let (spec, sections) = (self.read(spec)?, self.read(prepared)?);
        let sections = serde_json::from_value(sections).map_err(|_| SpecError::Malformed(self.path(prepared)))?;
        Ok(RangeSpec { spec, sections })
    }

    /// The spec of a hash job, read by the rate card that the job opened under.
    ///
    /// # Errors
    /// It is missing, damaged, or not what the job was opened for.
    pub fn hash_spec(&self, terms: &Terms) -> Result<HashSpec, SpecError> {
        let digest = &terms.spec;
        let (path, spec) = (self.path(digest), self.read(digest)?);
        let read = move || -> Option<HashSpec> {
            let bytes = usize::try_from(spec.get("extranonce_bytes")?.as_u64()?).ok()?;
            let rate_card = RateCard::of_version(terms.rate_card)?;
            let rules = HashRules { extranonce_bytes: bytes, algorithms: &lode_protocol::Algorithm::ALL, rate_card };
            HashSpec::from_json(spec, &rules).ok()
        };
        match read() {
            None => Err(SpecError::Malformed(path)),
            Some(spec) if Some(spec.rate.algorithm()) != terms.algorithm() => Err(SpecError::Algorithm(path)),
            Some(spec) => Ok(spec),
        }
    }
}
