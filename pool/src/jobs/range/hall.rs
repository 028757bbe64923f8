//! The hall: one task that owns the open range jobs and the hands that work on them.
//!
//! A connection joins, is told of its units, and submits results; what counts is for the ledger to say. Jobs come in
//! when the ledger has opened them and go when it has closed them; their ends by deadline or cancellation are asked of
//! it here.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use lode_dashboard::metrics as names;
use lode_protocol::ids::{AssetName, JobId, UserName};
use lode_protocol::method::ReleaseReason;
use lode_protocol::{Digest, Work};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::floor::{Claim, Floor, Hand, Start, Unheld};
use super::units::{End, Key, LeaseId};
use super::{Impossible, RangeJob};
use crate::clock::Clock;
use crate::jobs::assign::ConnectionId;
use crate::ledger::entry::{Millis, Outcome};

/// Calls that may wait for the hall.
const QUEUE_MAX: usize = 1024;
/// Reports of impossible elements that may wait for whoever computes them; more are forgotten, to come again.
const IMPOSSIBLE_MAX: usize = 64;
/// How often leases and deadlines are looked at.
const TICK: Duration = Duration::from_millis(250);
/// How often the funds of canaries are looked at.
const FUNDS_EVERY: Duration = Duration::from_secs(10);
/// How long an ending that was asked of the ledger may take before it is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// Settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Wanted time between two units of a worker.
    pub share_ms: u64,
    /// Work of a new worker's share. Leases are timed as if none were slower.
    pub least_work: u128,
    /// One unit in so many is a canary, of elements that another key has done; none where it is 0.
    pub canary: u32,
}

/// Why a result does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// These elements are done.
    Duplicate,
    /// The job has ended, or the unit is not held any more.
    Stale,
    /// The key is banned.
    Banned,
    /// The ledger takes nothing, or not this.
    Other(String),
}

/// What the hall asks of the ledger.
pub trait Log: Clone + Send + Sync + 'static {
    /// Enters a result; it is durable when this answers.
    fn unit(&self, claim: Claim, user: UserName, digest: Digest) -> impl Future<Output = Result<(), Refused>> + Send;
    /// Ends a job whose time has come: no results of it are taken from then on. Whether it is so.
    fn end(&self, job: JobId, outcome: Outcome) -> impl Future<Output = bool> + Send;
    /// What is in the fee account of an asset.
    fn fees(&self, asset: &AssetName) -> u128;
}

/// What came of a submitted unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// It counts.
    Accepted {
        /// What it is worth.
        work: Work,
    },
    /// It does not.
    Refused(Refused),
}

/// A unit's result.
#[derive(Debug)]
struct Submission {
    connection: ConnectionId,
    lease: LeaseId,
    user: UserName,
    digest: Digest,
    reply: oneshot::Sender<Submitted>,
}

#[derive(Debug)]
enum Call {
    Open(Box<RangeJob>),
    Close(JobId),
    Reopen(JobId, u64, u64),
    CancelAt(JobId, Millis),
    Ban(Key),
    Judged(JobId, u64, u64, bool),
    Join(ConnectionId, Hand),
    Leave(ConnectionId),
    Want(ConnectionId, u128),
    Submit(Submission),
    Entered(Submission, Claim, Result<(), Refused>),
    Release(ConnectionId, LeaseId, ReleaseReason, oneshot::Sender<Result<(), Unheld>>),
    Ended(JobId),
}

/// What can be asked without waiting for the task.
#[derive(Debug, Default)]
struct Board {
    /// Inputs of open jobs, and of how many sections each is one. The lock is held for lines that never wait.
    inputs: RwLock<HashMap<Digest, usize>>,
    /// Open jobs, under a lock of the same sort.
    jobs: RwLock<HashSet<JobId>>,
}

impl Board {
    fn open(&self, job: &RangeJob) {
        self.jobs.write().unwrap_or_else(PoisonError::into_inner).insert(job.job);
        let mut inputs = self.inputs.write().unwrap_or_else(PoisonError::into_inner);
        for input in job.sections.iter().flat_map(|section| &section.inputs) {
            *inputs.entry(Digest(input.digest)).or_default() += 1;
        }
    }

    fn close(&self, job: &RangeJob) {
        self.jobs.write().unwrap_or_else(PoisonError::into_inner).remove(&job.job);
        let mut inputs = self.inputs.write().unwrap_or_else(PoisonError::into_inner);
        for input in job.sections.iter().flat_map(|section| &section.inputs) {
            let digest = Digest(input.digest);
            let left = inputs.get_mut(&digest).map(|count| {
                *count -= 1;
                *count
            });
            if left == Some(0) {
                inputs.remove(&digest);
            }
        }
    }
}

/// A handle to the hall; clones share it.
#[derive(Debug, Clone)]
pub struct Hall {
    calls: mpsc::Sender<Call>,
    board: Arc<Board>,
}

impl Hall {
    /// Starts the hall's task. What it gives last are the elements that two keys found impossible.
    pub fn start<L: Log>(
        ledger: L,
        clock: Clock,
        options: Options,
        shutdown: CancellationToken,
    ) -> (Hall, impl Future<Output = ()> + Send, mpsc::Receiver<Impossible>) {
        let (calls, inbox) = mpsc::channel(QUEUE_MAX);
        let (impossible, reports) = mpsc::channel(IMPOSSIBLE_MAX);
        let board = Arc::<Board>::default();
        let keeper = Keeper {
            ledger,
            clock,
            floor: Floor::new(options.share_ms, options.least_work, options.canary, rand::random()),
            waiting: BTreeMap::new(),
            asked: BTreeMap::new(),
            impossible,
            board: board.clone(),
            // The task must not keep its own inbox open.
            calls: calls.downgrade(),
        };
        (Hall { calls, board }, keeper.run(inbox, shutdown), reports)
    }

    async fn call(&self, call: Call) {
        if self.calls.send(call).await.is_err() {
            // The hall ends only with the pool.
            tracing::trace!("the hall is closed");
        }
    }

    /// Offers a job that the ledger has opened.
    pub async fn open(&self, job: RangeJob) {
        self.call(Call::Open(Box::new(job))).await;
    }

    /// A job ends: nothing of it is issued any more.
    pub async fn stop(&self, job: JobId) {
        self.call(Call::Ended(job)).await;
    }

    /// A job is over: nothing of it is issued or taken any more.
    pub async fn close(&self, job: JobId) {
        self.call(Call::Close(job)).await;
    }

    /// Elements whose results were voided are to be done again.
    pub async fn reopen(&self, job: JobId, first: u64, count: u64) {
        self.call(Call::Reopen(job, first, count)).await;
    }

    /// Tells when a job's cancellation takes effect.
    pub async fn cancel_at(&self, job: JobId, at: Millis) {
        self.call(Call::CancelAt(job, at)).await;
    }

    /// A key is banned: it gets no more units, and those that it holds go to others.
    pub async fn ban(&self, key: Key) {
        self.call(Call::Ban(key)).await;
    }

    /// The pool has computed elements that it was told were impossible.
    pub async fn judged(&self, job: JobId, first: u64, count: u64, possible: bool) {
        self.call(Call::Judged(job, first, count, possible)).await;
    }

    /// Open range jobs.
    #[must_use]
    pub fn open_jobs(&self) -> usize {
        self.board.jobs.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether a range job is open.
    #[must_use]
    pub fn is_open(&self, job: JobId) -> bool {
        self.board.jobs.read().unwrap_or_else(PoisonError::into_inner).contains(&job)
    }

    /// Whether this is an input of an open job, which any miner may read.
    #[must_use]
    pub fn may_read(&self, digest: &Digest) -> bool {
        self.board.inputs.read().unwrap_or_else(PoisonError::into_inner).contains_key(digest)
    }

    /// A connection wants units.
    pub async fn join(&self, id: ConnectionId, hand: Hand) {
        self.call(Call::Join(id, hand)).await;
    }

    /// A connection is over.
    pub async fn leave(&self, id: ConnectionId) {
        self.call(Call::Leave(id)).await;
    }

    /// A connection's units should be worth so much.
    pub async fn want(&self, id: ConnectionId, work: Work) {
        self.call(Call::Want(id, work.0)).await;
    }

    /// A result, which is kept already; answers once it is in the ledger or will not be.
    pub async fn submit(&self, connection: ConnectionId, lease: LeaseId, user: UserName, digest: Digest) -> Submitted {
        let (reply, answer) = oneshot::channel();
        self.call(Call::Submit(Submission { connection, lease, user, digest, reply })).await;
        answer.await.unwrap_or_else(|_| Submitted::Refused(Refused::Other("the pool stops".into())))
    }

    /// A connection gives a unit back.
    ///
    /// # Errors
    /// It does not hold it.
    pub async fn release(&self, id: ConnectionId, lease: LeaseId, reason: ReleaseReason) -> Result<(), Unheld> {
        let (reply, answer) = oneshot::channel();
        self.call(Call::Release(id, lease, reason, reply)).await;
        answer.await.unwrap_or(Err(Unheld))
    }
}

struct Keeper<L> {
    ledger: L,
    clock: Clock,
    floor: Floor,
    /// Results of elements of which another result is being entered.
    waiting: BTreeMap<JobId, Vec<Submission>>,
    /// When the ledger was last asked to end a job.
    asked: BTreeMap<JobId, Instant>,
    impossible: mpsc::Sender<Impossible>,
    board: Arc<Board>,
    calls: mpsc::WeakSender<Call>,
}

impl<L: Log> Keeper<L> {
    async fn run(mut self, mut inbox: mpsc::Receiver<Call>, shutdown: CancellationToken) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut funds_at = Instant::now();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                call = inbox.recv() => match call {
                    Some(call) => self.answer(call),
                    None => return,
                },
                _ = tick.tick(), if self.floor.jobs() > 0 => {
                    self.end_due();
                    if Instant::now() >= funds_at {
                        funds_at = Instant::now() + FUNDS_EVERY;
                        for asset in self.floor.assets() {
                            let fees = self.ledger.fees(&asset);
                            self.floor.fund(asset, fees);
                        }
                    }
                    self.floor.tick(self.clock.now());
                }
            }
            #[expect(clippy::cast_precision_loss, reason = "a gauge for people")]
            metrics::gauge!(names::UNITS_LEASED).set(self.floor.leased() as f64);
        }
    }

    fn answer(&mut self, call: Call) {
        let now = self.clock.now();
        match call {
            Call::Open(job) => {
                if self.board.jobs.read().unwrap_or_else(PoisonError::into_inner).contains(&job.job) {
                    return tracing::error!(job = %job.job, "it is open already");
                }
                self.board.open(&job);
                self.floor.open(*job, now);
            }
            Call::Close(job) => self.close(job, now),
            Call::Reopen(job, first, count) => self.floor.reopen(job, first, count, now),
            Call::CancelAt(job, at) => self.floor.cancel_at(job, at),
            Call::Ban(key) => self.floor.ban(key, now),
            Call::Judged(job, first, count, possible) => self.floor.judged(job, first, count, possible),
            Call::Join(id, hand) => self.floor.join(id, hand, now),
            Call::Leave(id) => self.floor.leave(id, now),
            Call::Want(id, work) => self.floor.want(id, work),
            Call::Submit(submission) => self.submit(submission),
            Call::Entered(submission, claim, result) => self.entered(submission, &claim, result, now),
            Call::Release(id, lease, reason, reply) => {
                let released = self.floor.release(id, lease, reason, now);
                if let Ok(Some(impossible)) = &released
                    && self.impossible.try_send(impossible.clone()).is_err()
                {
                    let Impossible { job, first, count, .. } = *impossible;
                    tracing::warn!(%job, "too many reports of impossible elements wait already");
                    self.floor.judged(job, first, count, false);
                }
                tell(reply, released.map(drop));
            }
            Call::Ended(job) => self.floor.stop(job, now),
        }
    }

    fn close(&mut self, job: JobId, now: Millis) {
        self.asked.remove(&job);
        let Some(closed) = self.floor.close(job, now) else { return };
        self.board.close(&closed);
        for submission in self.waiting.remove(&job).unwrap_or_default() {
            tell(submission.reply, Submitted::Refused(Refused::Stale));
        }
    }

    fn submit(&mut self, submission: Submission) {
        match self.floor.begin(submission.connection, submission.lease) {
            Start::Unknown => tell(submission.reply, Submitted::Refused(Refused::Stale)),
            Start::Wait(job) => self.waiting.entry(job).or_default().push(submission),
            Start::Enter(claim) => {
                let (ledger, calls) = (self.ledger.clone(), self.calls.clone());
                tokio::spawn(async move {
                    let result = ledger.unit(claim.clone(), submission.user.clone(), submission.digest).await;
                    if let Some(calls) = calls.upgrade()
                        && let Err(error) = calls.send(Call::Entered(submission, claim, result)).await
                    {
                        // The pool stops; whoever waits is told so by the end of its channel.
                        tracing::trace!(%error, "the hall is closed");
                    }
                });
            }
        }
    }

    fn entered(&mut self, submission: Submission, claim: &Claim, result: Result<(), Refused>, now: Millis) {
        let end = match &result {
            Ok(()) => End::Accepted,
            Err(Refused::Duplicate) => End::DoneBefore,
            Err(_) => End::Refused,
        };
        if result == Err(Refused::Banned) {
            self.floor.ban(claim.key, now);
        }
        self.floor.end(submission.connection, submission.lease, claim, end, now);
        let submitted = match result {
            Ok(()) => Submitted::Accepted { work: claim.work },
            Err(refused) => Submitted::Refused(refused),
        };
        tell(submission.reply, submitted);
        for waiting in self.waiting.remove(&claim.job).unwrap_or_default() {
            self.submit(waiting);
        }
    }

    /// Asks the ledger to end what is due.
    fn end_due(&mut self) {
        for (job, outcome) in self.floor.due(self.clock.now()) {
            if self.asked.get(&job).is_some_and(|at| at.elapsed() < ASK_AGAIN) {
                continue;
            }
            self.asked.insert(job, Instant::now());
            let (ledger, calls) = (self.ledger.clone(), self.calls.clone());
            tokio::spawn(async move {
                if ledger.end(job, outcome).await
                    && let Some(calls) = calls.upgrade()
                    && let Err(error) = calls.send(Call::Ended(job)).await
                {
                    tracing::trace!(%error, "the hall is closed");
                }
            });
        }
    }
}

fn tell<T>(reply: oneshot::Sender<T>, answer: T) {
    if reply.send(answer).is_err() {
        // Whoever asked has gone, e.g. a closed connection.
        tracing::trace!("an answer of the hall found nobody");
    }
}
