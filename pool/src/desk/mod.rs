//! The desk of range jobs: what happens to them before their elements are issued and after they are delivered.
//!
//! It [prepares](prepare) jobs for quotes and submissions, [audits](audit) the batches that the ledger closes and has
//! them mature or voided, [keeps the secrets](secrets) that audits are drawn with, and [assembles](assemble) finished
//! jobs. Which element is issued to whom is the hall's to decide, and what all of it is worth the ledger's.
//!
//! Computing is done by [crews](crew) of low priority; the keeper decides what they do.

pub mod assemble;
pub mod audit;
pub mod crew;
pub mod files;
mod keeper;
pub mod prepare;
pub mod restore;
pub mod results;
mod rotation;
pub mod secrets;
#[cfg(test)]
pub(crate) mod tests;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use lode_dashboard::port::PortError;
use lode_protocol::ids::JobId;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::blobs::Blobs;
use crate::clock::Clock;
use crate::jobs::range::Impossible;
use crate::jobs::range::hall::Hall;
use crate::ledger::entry::{AuditPolicy, Millis};
use crate::ledger::events;
use crate::ledger::fold::Job;
use crate::ledger::secrets::Secret;
use crate::ledger::writer::{Ledger, Restored, RestoredRange};
use crate::specs::Specs;

use assemble::{AssembleError, Finished, Shelf};
use files::JobFiles;
use keeper::Keeper;
use prepare::Preparer;
use secrets::{SecretFileError, Vault};

/// Calls that may wait for the keeper.
const CALLS_MAX: usize = 256;

/// How results are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Units of a batch that are drawn.
    pub units: u32,
    /// Units that close a batch.
    pub batch_units: u32,
    /// Milliseconds after its first unit that close a batch.
    pub batch_ms: u64,
    /// Clean batches of a key before its units are drawn and not all taken.
    pub clean_batches: u32,
    /// One done unit in so many is issued again, to compare; 0 for none.
    pub canary: u32,
    /// Milliseconds that a secret is drawn with.
    pub secret_period_ms: u64,
}

impl Default for Options {
    fn default() -> Options {
        let AuditPolicy { units, batch_units, batch_ms, clean_batches, .. } = AuditPolicy::usual(1);
        Options { units, batch_units, batch_ms, clean_batches, canary: 256, secret_period_ms: 86_400_000 }
    }
}

impl Options {
    /// The policy of a job of which so many parts are drawn in each unit.
    #[must_use]
    pub fn policy(&self, parts: u32) -> AuditPolicy {
        let Options { units, batch_units, batch_ms, clean_batches, .. } = *self;
        AuditPolicy { units, parts, batch_units, batch_ms, clean_batches }
    }
}

/// What the ledger tells the desk once it is on disk.
#[derive(Debug, Clone)]
pub enum Event {
    /// Something happened to a range job.
    Range(events::Event),
    /// A job ended, of either shape.
    Closed(JobId),
}

/// What is asked of the keeper.
#[derive(Debug)]
enum Call {
    /// A range job is open and has all its files.
    Open { job: Box<Job>, files: Arc<JobFiles>, opened: oneshot::Sender<()> },
    /// A picture of what there is of an open job; none where the job is not open.
    Preview { job: JobId, reply: oneshot::Sender<Option<Result<Option<Bytes>, String>>> },
}

/// A handle to the desk; clones share it.
#[derive(Debug, Clone)]
pub struct Desk {
    /// Prepares jobs.
    pub preparer: Preparer,
    shelf: Shelf,
    calls: mpsc::Sender<Call>,
}

/// What the desk works with.
#[derive(Debug)]
pub struct Surroundings {
    /// Who decides what is worth what.
    pub ledger: Ledger,
    /// Who decides what is issued.
    pub hall: Hall,
    /// Units that workers say are impossible.
    pub impossible: mpsc::Receiver<Impossible>,
    /// What the ledger tells.
    pub events: mpsc::UnboundedReceiver<Event>,
    /// Inputs and results.
    pub blobs: Blobs,
    /// What sponsors asked for.
    pub specs: Specs,
    /// The time.
    pub clock: Clock,
}

/// Why there is no desk.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The secrets.
    #[error("a secret: {0}")]
    Secrets(#[from] SecretFileError),
    /// The results.
    #[error("the results: {0}")]
    Results(#[from] AssembleError),
}

/// What the ledger's last life left of range jobs.
#[derive(Debug, Default)]
pub struct Left {
    /// Open jobs, of both shapes.
    pub jobs: Vec<Job>,
    /// What is done of those that are ranges.
    pub ranges: Vec<RestoredRange>,
    /// Secrets of draws.
    pub secrets: Vec<Secret>,
}

impl Left {
    /// Takes what the desk needs of what was restored.
    #[must_use]
    pub fn take(restored: &mut Restored) -> Left {
        let (ranges, secrets) = (std::mem::take(&mut restored.ranges), std::mem::take(&mut restored.secrets));
        Left { jobs: restored.open_jobs.clone(), ranges, secrets }
    }
}

/// The desk's files, open.
#[derive(Debug)]
pub struct Files {
    vault: Vault,
    shelf: Shelf,
}

impl Files {
    /// Opens what the desk keeps under a data directory.
    ///
    /// # Errors
    /// The disk fails.
    pub fn open(data: &Path, blobs: Blobs) -> Result<Files, DeskError> {
        Ok(Files { vault: Vault::open(data)?, shelf: Shelf::open(data, blobs)? })
    }
}

impl Desk {
    /// Starts the desk, and takes up what the ledger's last life left: the keeper's task is the second.
    pub fn start(
        with: Surroundings,
        files: Files,
        options: Options,
        left: Left,
        shutdown: CancellationToken,
    ) -> (Desk, impl Future<Output = ()> + Send + use<>) {
        let preparer = Preparer::start(with.blobs.clone(), with.clock.clone());
        let (calls, inbox) = mpsc::channel(CALLS_MAX);
        let shelf = files.shelf.clone();
        let keeper = Keeper::new(with, files, options, preparer.clone(), left);
        (Desk { preparer, shelf, calls }, keeper.run(inbox, shutdown))
    }

    async fn call(&self, call: Call) {
        if self.calls.send(call).await.is_err() {
            // The keeper ends only with the pool.
            tracing::trace!("the desk is closed");
        }
    }

    /// Takes a job that the ledger has opened and whose files are the job's own; offers it when this returns.
    pub async fn open(&self, job: Job, files: Arc<JobFiles>) {
        let (opened, is_open) = oneshot::channel();
        self.call(Call::Open { job: Box::new(job), files, opened }).await;
        if is_open.await.is_err() {
            tracing::trace!("the desk closed before it took a job");
        }
    }

    /// A picture of what there is of a job; `None` where there is none yet or its kind has none.
    ///
    /// # Errors
    /// Its results cannot be read.
    pub async fn preview(&self, job: JobId) -> Result<Option<Bytes>, PortError> {
        let (reply, answer) = oneshot::channel();
        self.call(Call::Preview { job, reply }).await;
        match answer.await {
            Ok(Some(picture)) => picture.map_err(PortError::Storage),
            _ => self.on_shelf(move |shelf| shelf.kept_preview(job)).await,
        }
    }

    /// What a finished job's file is.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn finished(&self, job: JobId) -> Result<Option<Finished>, PortError> {
        self.on_shelf(move |shelf| shelf.finished(job)).await
    }

    async fn on_shelf<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Shelf) -> Result<T, AssembleError> + Send + 'static,
    ) -> Result<T, PortError> {
        let shelf = self.shelf.clone();
        let found = tokio::task::spawn_blocking(move || read(&shelf)).await;
        found.map_err(|error| PortError::Storage(error.to_string()))?.map_err(|error| {
            tracing::error!(%error, "a result could not be read");
            PortError::Storage("the pool's disk does not give this result; its log says why".into())
        })
    }
}

/// When something that failed is tried again.
fn again_at(now: Millis) -> Millis {
    const AGAIN_MS: Millis = 30_000;
    now.saturating_add(AGAIN_MS)
}
