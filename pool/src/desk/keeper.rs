//! The desk's one task: it owns what is known of open range jobs, and says what is recomputed, entered and assembled.
//!
//! Everything comes to it as a message: what the ledger has written, what the crews have computed, what others ask. It
//! never waits for any of them. What it asks of the ledger comes back as the ledger's own event; an ask that is not
//! answered so is made again.

mod audits;
mod jobs;
mod pictures;
mod restored;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use lode_protocol::ids::JobId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::assemble::{AssembleError, Finished, Shelf};
use super::audit::{ATTEMPT_MOST, Auditor, Difference};
use super::crew::{Crew, CrewError, half_the_cores};
use super::files::{Claim, FileFault, JobFiles, Tasks};
use super::prepare::Preparer;
use super::rotation::Rotation;
use super::secrets::Secret;
use super::{Call, Event, Files, Left, Options, Surroundings};
use crate::blobs::Blobs;
use crate::clock::Clock;
use crate::jobs::range::Impossible;
use crate::jobs::range::hall::Hall;
use crate::ledger::draw::commitment;
use crate::ledger::events::{BatchInfo, Event as Happened};
use crate::ledger::plan::{Command, Done as Answer};
use crate::ledger::writer::{Ledger, LedgerError};
use crate::specs::Specs;
use audits::{Audits, Judgement};
use jobs::Open;
use pictures::Picture;

/// How often what is due is looked at.
const TICK: Duration = Duration::from_millis(250);
/// How long what was asked of the ledger may take before it is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// Assemblies and pictures that may wait.
const MAKING_MAX: usize = 1024;

/// What is asked of the ledger, each at a time once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Ask {
    CloseBatch(JobId, [u8; 32]),
    Resolve(u64),
    Finish(JobId),
    End(JobId),
    Commit,
    Reveal(u64),
}

/// What comes back from what the keeper has started.
enum Outcome {
    Answered(Ask, Result<Answer, LedgerError>),
    Loaded(JobId, Result<Arc<JobFiles>, String>),
    Reloaded(JobId, Result<Arc<JobFiles>, String>),
    Audited(Box<BatchInfo>, Result<Result<Option<Difference>, FileFault>, CrewError>),
    Compared(JobId, Vec<(Claim, Judgement)>),
    Assembled(JobId, Result<Result<Finished, AssembleError>, CrewError>),
    Pictured(JobId, Duration, Result<Result<Picture, AssembleError>, CrewError>),
    Attempted(Impossible, Result<Result<(), FileFault>, CrewError>),
}

/// The keeper.
pub(super) struct Keeper {
    ledger: Ledger,
    hall: Hall,
    blobs: Blobs,
    specs: Specs,
    clock: Clock,
    preparer: Preparer,
    shelf: Shelf,
    tasks: Tasks,
    auditor: Auditor,
    /// Recomputes.
    checkers: Crew,
    /// Assembles and makes pictures.
    makers: Crew,
    /// Tries what is said to be impossible, which nothing else waits for.
    triers: Crew,
    events: mpsc::UnboundedReceiver<Event>,
    impossible: mpsc::Receiver<Impossible>,
    outcomes: mpsc::UnboundedReceiver<Outcome>,
    /// Unbounded, and never longer than what the keeper has started.
    back: mpsc::UnboundedSender<Outcome>,
    rotation: Rotation,
    jobs: BTreeMap<JobId, Open>,
    audits: Audits,
    asked: HashMap<Ask, Instant>,
}

impl Keeper {
    pub(super) fn new(with: Surroundings, files: Files, options: Options, preparer: Preparer, left: Left) -> Keeper {
        let Surroundings { ledger, hall, impossible, events, blobs, specs, clock } = with;
        let tasks = Tasks::new(blobs.clone());
        let (back, outcomes) = mpsc::unbounded_channel();
        let secrets = left.secrets.iter().filter(|secret| secret.revealed.is_none());
        let secrets = secrets.map(|secret| (secret.number, secret.hash, secret.committed_at));
        let mut keeper = Keeper {
            rotation: Rotation::new(files.vault, options.secret_period_ms, secrets),
            shelf: files.shelf,
            auditor: Auditor::new(tasks.clone(), blobs.clone()),
            checkers: Crew::start("audit", half_the_cores(), half_the_cores()),
            makers: Crew::start("assemble", half_the_cores(), MAKING_MAX),
            triers: Crew::start("attempt", 1, MAKING_MAX),
            tasks,
            ledger,
            hall,
            blobs,
            specs,
            clock,
            preparer,
            events,
            impossible,
            outcomes,
            back,
            jobs: BTreeMap::new(),
            audits: Audits::default(),
            asked: HashMap::new(),
        };
        keeper.restore(left);
        keeper
    }

    pub(super) async fn run(mut self, mut calls: mpsc::Receiver<Call>, shutdown: CancellationToken) {
        self.have_a_secret().await;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                Some(event) = self.events.recv() => self.heard(event).await,
                Some(outcome) = self.outcomes.recv() => self.came_back(outcome).await,
                Some(found) = self.impossible.recv() => self.attempt(found).await,
                call = calls.recv() => match call {
                    Some(call) => self.answer(call).await,
                    None => return,
                },
                _ = tick.tick() => self.look(),
            }
            self.audit_next();
        }
    }

    async fn answer(&mut self, call: Call) {
        match call {
            Call::Open { job, files, opened } => {
                self.open(&job, files).await;
                if opened.send(()).is_err() {
                    tracing::trace!("whoever opened a job has gone");
                }
            }
            Call::Preview { job, reply } => self.preview(job, reply),
        }
    }

    async fn heard(&mut self, event: Event) {
        match event {
            Event::Range(Happened::Unit(unit)) => self.unit(&unit),
            Event::Range(Happened::BatchClosed(batch)) => {
                self.note_batch(&batch);
                self.batch_closed(batch);
            }
            Event::Range(Happened::Matured(matured)) => self.matured(matured.batch, matured.job),
            Event::Range(Happened::Voided(void)) => self.voided(void).await,
            Event::Range(Happened::Ending(job, outcome)) => self.ending(job, outcome).await,
            Event::Closed(job) => self.closed(job).await,
        }
    }

    async fn came_back(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Answered(ask, answer) => self.answered(ask, answer),
            Outcome::Loaded(job, files) => self.loaded(job, files).await,
            Outcome::Audited(batch, found) => self.audited(*batch, found).await,
            Outcome::Reloaded(job, files) => self.reloaded(job, files).await,
            Outcome::Compared(job, judged) => self.compared(job, judged),
            Outcome::Assembled(job, made) => self.assembled(job, made),
            Outcome::Pictured(job, took, made) => self.pictured(job, took, made),
            Outcome::Attempted(found, done) => self.attempted(found, done).await,
        }
    }

    /// What is due by the clock.
    fn look(&mut self) {
        let now = self.clock.now();
        self.keep_secrets();
        self.preparer.purge();
        self.close_old_batches(now);
        self.finish_what_is_done(now);
        self.end_what_is_lost(now);
        self.audits.take_up_again(now);
        self.resolve();
    }

    /// Asks something of the ledger, unless it has just been asked.
    fn ask(&mut self, ask: Ask, command: Command) {
        if self.asked.get(&ask).is_some_and(|at| at.elapsed() < ASK_AGAIN) {
            return;
        }
        self.asked.insert(ask, Instant::now());
        let (ledger, back) = (self.ledger.clone(), self.back.clone());
        tokio::spawn(async move {
            let answer = ledger.enter(command).await;
            send(&back, Outcome::Answered(ask, answer));
        });
    }

    fn answered(&mut self, ask: Ask, answer: Result<Answer, LedgerError>) {
        match (ask, answer) {
            (Ask::Commit, Ok(Answer::Committed(number))) => {
                self.rotation.committed(number, self.clock.now());
                self.asked.remove(&ask);
            }
            // It is that of a life of the pool that ended between its publication and the end of its file.
            (Ask::Commit, Ok(_)) => {
                self.rotation.spent();
                self.asked.remove(&ask);
            }
            (Ask::Reveal(number), Ok(_)) => self.rotation.published(number),
            // A batch under it has no verdict yet: it is asked again later.
            (Ask::Reveal(number), Err(LedgerError::Refused(error))) => {
                tracing::debug!(number, %error, "a secret is not published yet");
            }
            (Ask::CloseBatch(..), Ok(_)) => drop(self.asked.remove(&ask)),
            // What follows comes as an event.
            (_, Ok(_)) => {}
            (ask, Err(error)) => tracing::error!(?ask, %error, "the ledger does not do what an audit asks"),
        }
    }

    /// Commits a secret before anything is issued, if there is none: what is delivered without one could not be checked.
    async fn have_a_secret(&mut self) {
        while let Some(secret) = self.due_secret() {
            let answer = self.ledger.enter(Command::CommitSecret { hash: commitment(&secret) }).await;
            let is_down = matches!(answer, Err(LedgerError::Down(_)));
            self.answered(Ask::Commit, answer);
            if is_down {
                return;
            }
        }
    }

    /// The secret to commit now, if one is due.
    fn due_secret(&mut self) -> Option<Secret> {
        self.rotation.due(self.clock.now()).unwrap_or_else(|error| {
            tracing::error!(%error, "a secret for audits cannot be made");
            None
        })
    }

    /// Commits a secret where one is due, and publishes those that nothing is drawn with any more.
    fn keep_secrets(&mut self) {
        if let Some(secret) = self.due_secret() {
            self.ask(Ask::Commit, Command::CommitSecret { hash: commitment(&secret) });
        }
        let past: Vec<_> = self.rotation.past().collect();
        for (number, secret) in past {
            if !self.audits.uses(number) {
                self.ask(Ask::Reveal(number), Command::RevealSecret { secret });
            }
        }
    }

    /// Has what was handed to a crew come back as an outcome, also where it could not be handed over or panics.
    fn comes_back<T: Send + 'static>(
        &self,
        handed: Result<oneshot::Receiver<T>, CrewError>,
        outcome: impl FnOnce(Result<T, CrewError>) -> Outcome + Send + 'static,
    ) {
        let back = self.back.clone();
        tokio::spawn(async move {
            let done = match handed {
                Ok(computed) => computed.await.map_err(|_| CrewError::Panicked),
                Err(error) => Err(error),
            };
            send(&back, outcome(done));
        });
    }

    /// Tries what two keys say is impossible. The hall reports no more of this job until it is told what came of it.
    async fn attempt(&mut self, found: Impossible) {
        let (job, first, count) = (found.job, found.first, found.count);
        let Some(files) = self.jobs.get(&job).and_then(Open::files) else {
            return self.hall.judged(job, first, count, false).await;
        };
        let auditor = self.auditor.clone();
        let tried = self.triers.hand(move || auditor.attempt(&files, first, count));
        self.comes_back(tried, move |done| Outcome::Attempted(found, done));
    }

    async fn attempted(&mut self, found: Impossible, done: Result<Result<(), FileFault>, CrewError>) {
        let Impossible { job, first, count, .. } = found;
        // Where only some of them were tried, nobody is held to have lied of the rest.
        let refuted = matches!(done, Ok(Ok(()))) && count <= ATTEMPT_MOST;
        self.hall.judged(job, first, count, refuted).await;
        let (fault, is_jobs) = match done {
            Ok(Ok(())) => return,
            Ok(Err(fault)) => (fault.to_string(), matches!(fault, FileFault::Task { .. })),
            Err(error) => (error.to_string(), error == CrewError::Panicked),
        };
        if is_jobs {
            tracing::error!(%job, first, count, fault, "its elements cannot be computed here either; the job is stopped");
            self.quarantine(job);
        } else {
            // Nothing is said of the job by a disk that fails or a queue that is full.
            tracing::error!(%job, first, count, fault, "whether its elements can be computed could not be tried");
        }
    }
}

/// Sends to the keeper, which ends only with the pool.
fn send(back: &mpsc::UnboundedSender<Outcome>, outcome: Outcome) {
    if back.send(outcome).is_err() {
        tracing::trace!("the desk is closed");
    }
}
