//! Open range jobs: from their opening, through the units that come in, to their end.

use std::collections::{HashMap, HashSet};

use lode_protocol::Digest;

use super::super::again_at;
use super::super::files::Done;
use super::super::restore::promise_room;
use super::super::results::Results;
use super::audits::claim_of;
use super::*;
use crate::blobs::{BlobError, Owner};
use crate::jobs::range::RangeJob;
use crate::ledger::entry::{AuditPolicy, Millis, Outcome as Ending};
use crate::ledger::events::{UnitInfo, VoidInfo};
use crate::ledger::fold::Job;

/// Bytes of results that close the batch of a key that is not trusted yet: they are on the disk until its verdict.
const UNCHECKED_BYTES_MAX: u64 = 64 << 20;

/// Whether a job can be worked on.
#[derive(Debug)]
pub(super) enum State {
    /// Its files are being read.
    Loading,
    /// It has all its files.
    Ready(Arc<JobFiles>),
    /// They are gone: it ends at its deadline.
    Lost,
}

/// The open batch of a key.
#[derive(Debug)]
pub(super) struct Gathering {
    /// When its first unit came.
    pub(super) since: Millis,
    /// Its units.
    pub(super) claims: Vec<Claim>,
}

/// An open range job.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) state: State,
    pub(super) record: Job,
    pub(super) policy: AuditPolicy,
    pub(super) elements: u64,
    /// Units that have done their elements.
    pub(super) done: Done,
    /// Open batches by key.
    pub(super) gathering: HashMap<[u8; 32], Gathering>,
    /// Digests of the results of closed batches without a verdict.
    batches: HashMap<u64, Vec<Digest>>,
    /// Keys of which the last batch was not checked whole.
    trusted: HashSet<[u8; 32]>,
    /// Elements of which the batches have matured.
    pub(super) matured: u64,
    /// When its assembly may begin; `None` while it is under way or done.
    pub(super) assemble_at: Option<Millis>,
    /// Its file, once it is assembled.
    pub(super) finished: Option<Finished>,
    pub(super) preview: pictures::Preview,
}

impl Open {
    /// From the ledger's record; `None` for a search.
    pub(super) fn new(job: &Job) -> Option<Open> {
        let range = job.terms.range()?;
        Some(Open {
            state: State::Loading,
            policy: range.policy,
            elements: range.cost.elements(),
            done: Done::new(),
            gathering: HashMap::new(),
            batches: HashMap::new(),
            trusted: HashSet::new(),
            matured: job.elements_matured,
            assemble_at: Some(0),
            finished: None,
            preview: pictures::Preview::default(),
            record: job.clone(),
        })
    }

    /// Its files, if they are here.
    pub(super) fn files(&self) -> Option<Arc<JobFiles>> {
        match &self.state {
            State::Ready(files) => Some(files.clone()),
            State::Loading | State::Lost => None,
        }
    }

    /// Notes a unit that the ledger has, but for what its result is.
    pub(super) fn gather(&mut self, unit: &UnitInfo) {
        let at = unit.at;
        let gathering = self.gathering.entry(unit.key).or_insert(Gathering { since: at, claims: Vec::new() });
        gathering.claims.push(claim_of(unit));
    }

    /// Whether a key has delivered as much as may wait for its first verdicts.
    fn is_full(&self, key: &[u8; 32]) -> bool {
        let element_bytes = self.record.terms.range().map_or(0, |range| u64::from(range.element_bytes));
        let elements =
            self.gathering.get(key).map_or(0, |gathering| gathering.claims.iter().map(|claim| claim.count).sum());
        !self.trusted.contains(key) && element_bytes.saturating_mul(elements) > UNCHECKED_BYTES_MAX
    }

    /// What the hall issues.
    fn offer(&self, files: &JobFiles) -> RangeJob {
        let terms = &self.record.terms;
        let cost = terms.range().expect("it is a range job").cost.clone();
        #[expect(clippy::cast_precision_loss, reason = "weighs jobs against one another; no money is made of it")]
        let price = terms.budget as f64 / terms.work_quoted.max(1) as f64;
        RangeJob {
            job: terms.job,
            kind: terms.kind.clone(),
            sections: files.sections.clone(),
            cost,
            element_bytes: files.element_bytes,
            asset: terms.asset.clone(),
            price,
            deadline_at: terms.deadline_at,
            cancel_at: self.record.cancel_at,
            done: self.done.values().map(|claim| (claim.first, claim.count)).collect(),
        }
    }
}

impl Keeper {
    /// Takes a job that has just been opened.
    pub(super) async fn open(&mut self, job: &Job, files: Arc<JobFiles>) {
        let id = job.terms.job;
        if let Some(open) = Open::new(job) {
            self.jobs.entry(id).or_insert(open);
            self.loaded(id, Ok(files)).await;
        }
        // A cancellation that was quicker closed it before it was here, and its end was not heard of it.
        match self.ledger.store().job(id) {
            Ok(Some(now)) if now.closed.is_some() => self.closed(id).await,
            Ok(_) => {}
            Err(error) => tracing::error!(job = %id, %error, "the ledger's store cannot be read"),
        }
    }

    /// A job's files are here, or are gone.
    pub(super) async fn loaded(&mut self, job: JobId, files: Result<Arc<JobFiles>, String>) {
        let Some(open) = self.jobs.get_mut(&job) else { return };
        match files {
            Ok(files) => {
                promise_room(&self.blobs, &files);
                open.state = State::Ready(files.clone());
                let offer = open.offer(&files);
                let is_issued = open.record.ending.is_none();
                self.compare_all(job);
                if is_issued {
                    self.hall.open(offer).await;
                }
            }
            Err(error) => {
                tracing::error!(%job, error, "its spec or its inputs are gone; it is not served, and ends at its deadline");
                open.state = State::Lost;
            }
        }
    }

    /// A job's files were read again, with all digests checked, since batches of it could not be audited.
    pub(super) async fn reloaded(&mut self, job: JobId, files: Result<Arc<JobFiles>, String>) {
        let Some(open) = self.jobs.get_mut(&job) else { return };
        // What was made of the old ones may be what is wrong.
        self.tasks.forget(job);
        match files {
            Ok(files) => open.state = State::Ready(files),
            Err(error) => self.lose(job, &error).await,
        }
    }

    /// Serves a job no more: it ends at its deadline.
    pub(super) async fn lose(&mut self, job: JobId, why: &str) {
        let Some(open) = self.jobs.get_mut(&job) else { return };
        tracing::error!(%job, why, "it cannot be checked; it is not served any more, and ends at its deadline");
        open.state = State::Lost;
        self.hall.stop(job).await;
    }

    /// A unit is in the ledger.
    pub(super) fn unit(&mut self, unit: &UnitInfo) {
        let Some(open) = self.jobs.get_mut(&unit.job) else { return };
        open.gather(unit);
        if unit.duplicate {
            self.compare_with_done(unit.job, claim_of(unit));
        } else {
            open.done.insert(unit.first, claim_of(unit));
        }
        let (job, key) = (unit.job, unit.key);
        if self.jobs.get(&job).is_some_and(|open| open.is_full(&key)) {
            self.ask(Ask::CloseBatch(job, key), Command::CloseBatch { job, key });
        }
    }

    /// Notes what a batch that waits for its verdict is made of.
    pub(super) fn note_batch(&mut self, batch: &BatchInfo) {
        let Some(open) = self.jobs.get_mut(&batch.job) else { return };
        open.batches.insert(batch.batch, batch.units.iter().map(|(_, _, digest)| Digest(*digest)).collect());
        if batch.all {
            open.trusted.remove(&batch.key);
        } else {
            open.trusted.insert(batch.key);
        }
    }

    /// Gives up results that count for nothing, unless another unit has the same.
    fn unclaim(&self, job: JobId, digests: Vec<Digest>) {
        let blobs = self.blobs.clone();
        // Files are removed, which may block.
        tokio::task::spawn_blocking(move || {
            if let Err(error) = digests.iter().try_for_each(|digest| blobs.unclaim(job, digest)) {
                tracing::warn!(%job, %error, "results of a void batch stay until their job ends");
            }
        });
    }

    /// Closes the open batch that a result is in, if it is in any.
    pub(super) fn close_batch_of(&mut self, job: JobId, claim: &Claim) {
        let Some(open) = self.jobs.get(&job) else { return };
        let found = open.gathering.iter().find(|(_, gathering)| gathering.claims.contains(claim));
        if let Some(key) = found.map(|(key, _)| *key) {
            self.ask(Ask::CloseBatch(job, key), Command::CloseBatch { job, key });
        }
    }

    /// Closes batches whose time is up.
    pub(super) fn close_old_batches(&mut self, now: Millis) {
        let mut old = Vec::new();
        for (&job, open) in &self.jobs {
            let late = |gathering: &Gathering| now.saturating_sub(gathering.since) >= open.policy.batch_ms;
            old.extend(open.gathering.iter().filter(|(_, gathering)| late(gathering)).map(|(key, _)| (job, *key)));
        }
        for (job, key) in old {
            self.ask(Ask::CloseBatch(job, key), Command::CloseBatch { job, key });
        }
    }

    /// A job takes no units any more; it closes by itself once its batches have their verdicts.
    pub(super) async fn ending(&mut self, job: JobId, outcome: Ending) {
        self.hall.stop(job).await;
        if let Some(open) = self.jobs.get_mut(&job) {
            open.record.ending = Some(outcome);
        }
        self.asked.remove(&Ask::End(job));
    }

    /// A batch is clean.
    pub(super) fn matured(&mut self, batch: u64, job: JobId) {
        self.audits.resolved(batch);
        self.asked.remove(&Ask::Resolve(batch));
        if let Some(open) = self.jobs.get_mut(&job) {
            open.batches.remove(&batch);
        }
        self.look_up_matured(job);
        self.finish_what_is_done(self.clock.now());
    }

    fn look_up_matured(&mut self, job: JobId) {
        let Some(open) = self.jobs.get_mut(&job) else { return };
        match self.ledger.store().job(job) {
            Ok(Some(record)) => open.matured = record.elements_matured,
            Ok(None) => {}
            Err(error) => tracing::error!(%job, %error, "the ledger's store cannot be read"),
        }
    }

    /// A batch is void: its elements are done again, and its key gets no more.
    pub(super) async fn voided(&mut self, void: VoidInfo) {
        self.audits.resolved(void.batch);
        self.asked.remove(&Ask::Resolve(void.batch));
        self.hall.ban(void.key).await;
        let Some(open) = self.jobs.get_mut(&void.job) else { return };
        let results = open.batches.remove(&void.batch).unwrap_or_default();
        for (first, _) in &void.reopened {
            open.done.remove(first);
        }
        for unit in &void.promoted {
            open.done.insert(unit.first, claim_of(unit));
        }
        for (first, count) in void.reopened {
            self.hall.reopen(void.job, first, u64::from(count)).await;
        }
        self.unclaim(void.job, results);
        self.look_up_matured(void.job);
    }

    /// Assembles jobs of which all has matured, and enters their ends.
    pub(super) fn finish_what_is_done(&mut self, now: Millis) {
        let done = |open: &Open| open.matured == open.elements && open.record.ending.is_none();
        let due: Vec<JobId> = self.jobs.iter().filter(|(_, open)| done(open)).map(|(job, _)| *job).collect();
        for job in due {
            let open = &self.jobs[&job];
            match &open.finished {
                Some(finished) => {
                    let result = finished.digest.0;
                    self.ask(Ask::Finish(job), Command::Finish { job, result });
                }
                None if open.assemble_at.is_some_and(|at| at <= now) => self.assemble(job),
                None => {}
            }
        }
    }

    fn assemble(&mut self, job: JobId) {
        let Some(open) = self.jobs.get_mut(&job) else { return };
        let Some(files) = open.files() else { return };
        open.assemble_at = None;
        let (shelf, auditor, done) = (self.shelf.clone(), self.auditor.clone(), open.done.clone());
        let made = self.makers.hand(move || {
            let mut results = Results::new(files.clone(), auditor, done);
            let finished = shelf.assemble(&files, &mut results)?;
            if let Some(picture) = shelf.preview(&files, &mut results)? {
                shelf.keep_preview(job, &picture)?;
            }
            Ok(finished)
        });
        self.comes_back(made, move |made| Outcome::Assembled(job, made));
    }

    pub(super) fn assembled(&mut self, job: JobId, made: Result<Result<Finished, AssembleError>, CrewError>) {
        let now = self.clock.now();
        let Some(open) = self.jobs.get_mut(&job) else { return };
        let fault = match made {
            Ok(Ok(finished)) => {
                open.finished = Some(finished);
                return self.finish_what_is_done(now);
            }
            Ok(Err(fault)) => fault.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::error!(%job, fault, "its file could not be assembled; it is tried again");
        open.assemble_at = Some(again_at(now));
    }

    /// Ends jobs whose files are gone, when their time has come.
    pub(super) fn end_what_is_lost(&mut self, now: Millis) {
        let lost = |open: &Open| matches!(open.state, State::Lost);
        let lost: Vec<JobId> = self.jobs.iter().filter(|(_, open)| lost(open)).map(|(job, _)| *job).collect();
        for job in lost {
            let open = &self.jobs[&job];
            let record = &open.record;
            let outcome = match record.cancel_at {
                Some(at) if at <= now => Ending::Cancelled,
                _ if record.terms.deadline_at <= now => Ending::Expired,
                _ => continue,
            };
            // What has no verdict cannot get one any more, and only a quarantine ends a job with such.
            let done: u64 = open.done.values().map(|claim| claim.count).sum();
            let stuck = self.audits.has(job) || !open.gathering.is_empty() || done == open.elements;
            let outcome = if stuck { Ending::Quarantined } else { outcome };
            self.ask(Ask::End(job), Command::End { job, outcome });
        }
    }

    /// Stops a job that cannot be computed; asked of one that is stopped so already, it gives up what cannot be audited
    /// and closes the job.
    pub(super) fn quarantine(&mut self, job: JobId) {
        self.ask(Ask::End(job), Command::End { job, outcome: Ending::Quarantined });
    }

    /// A job is over: its results and inputs are not needed any more.
    pub(super) async fn closed(&mut self, job: JobId) {
        let Some(open) = self.jobs.remove(&job) else { return };
        self.hall.close(job).await;
        self.audits.forget(job);
        self.tasks.forget(job);
        for ask in [Ask::Finish(job), Ask::End(job)] {
            self.asked.remove(&ask);
        }
        self.asked.retain(|ask, _| !matches!(ask, Ask::CloseBatch(of, _) if *of == job));
        self.clear(job, Some(open));
    }

    /// Gives up a closed job's blobs but for its file; `open` is what is left to make a last picture of.
    pub(super) fn clear(&mut self, job: JobId, open: Option<Open>) {
        let file = match self.ledger.store().job(job) {
            Ok(Some(record)) => match record.closed.map(|closed| closed.outcome) {
                Some(Ending::Completed { result }) => Some(Digest(result)),
                Some(_) => None,
                None => return,
            },
            Ok(None) => return,
            Err(error) => return tracing::error!(%job, %error, "the ledger's store cannot be read"),
        };
        let (shelf, blobs, auditor) = (self.shelf.clone(), self.blobs.clone(), self.auditor.clone());
        let cleared = self.makers.hand(move || {
            if let Some(open) = open.filter(|open| open.finished.is_none() && !open.done.is_empty())
                && let Some(files) = open.files()
            {
                let mut results = Results::new(files.clone(), auditor, open.done);
                let kept = shelf.preview(&files, &mut results).and_then(|picture| match picture {
                    Some(picture) => shelf.keep_preview(job, &picture),
                    None => Ok(()),
                });
                if let Err(error) = kept {
                    tracing::warn!(%job, %error, "it has no last picture");
                }
            }
            if let Err(error) = give_up(&blobs, job, file) {
                tracing::warn!(%job, %error, "what it needed stays until the next start");
            }
        });
        if let Err(error) = cleared {
            tracing::warn!(%job, %error, "what it needed stays until the next start");
        }
    }
}

/// Gives up what a closed job has, but for its file.
fn give_up(blobs: &Blobs, job: JobId, file: Option<Digest>) -> Result<(), BlobError> {
    let owner = Owner::Job(job);
    blobs.forget_promise(job);
    let not_needed = blobs.blobs_of(&owner).into_iter().filter(|digest| Some(*digest) != file);
    not_needed.into_iter().try_for_each(|digest| blobs.release(&owner, &digest))
}
