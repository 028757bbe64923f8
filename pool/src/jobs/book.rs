//! The job book: one task that owns the open jobs and says which connection works on which.
//!
//! A connection registers and watches its assignment. Jobs come in when the ledger has opened them
//! and go when the ledger has closed them; deadlines and cancellations are kept here, and what is
//! due is asked of the ledger, which decides.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use lode_protocol::Difficulty;
use lode_protocol::ids::JobId;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::assign::{ConnectionId, Hand, Offer, place, rebalance};
use super::search::Search;
use crate::clock::Clock;
use crate::ledger::entry::{Millis, Outcome};
use crate::ledger::plan::Command;
use crate::ledger::writer::Ledger;

/// Calls that may wait for the book.
const QUEUE_MAX: usize = 1024;
/// Most search jobs open at once.
pub const OPEN_JOBS_MAX: usize = 256;
/// How often deadlines are looked at while a job is open.
const TICK: Duration = Duration::from_millis(250);

/// What a connection works on now.
pub type Watch = watch::Receiver<Option<Arc<Search>>>;

enum Call {
    Join { power: Difficulty, reply: oneshot::Sender<(ConnectionId, Watch)> },
    Leave(ConnectionId),
    Power(ConnectionId, Difficulty),
    Open(Box<Search>),
    CancelAt(JobId, Millis),
}

/// A handle to the book; clones share it.
#[derive(Debug, Clone)]
pub struct Book {
    calls: mpsc::Sender<Call>,
    open: watch::Receiver<usize>,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Call")
    }
}

impl Book {
    /// Starts the book's task. `closed` names jobs that the ledger has closed; it is unbounded, and
    /// never longer than the jobs that are open.
    pub fn start(
        ledger: Ledger,
        clock: Clock,
        closed: mpsc::UnboundedReceiver<JobId>,
        shutdown: CancellationToken,
    ) -> (Book, impl Future<Output = ()> + Send) {
        let (calls, inbox) = mpsc::channel(QUEUE_MAX);
        let (open_sender, open) = watch::channel(0);
        let keeper = Keeper {
            ledger,
            clock,
            jobs: BTreeMap::new(),
            hands: HashMap::new(),
            seats: HashMap::new(),
            next_connection: 0,
            open: open_sender,
        };
        (Book { calls, open }, keeper.run(inbox, closed, shutdown))
    }

    async fn call(&self, call: Call) {
        if self.calls.send(call).await.is_err() {
            // The book ends only with the pool.
            tracing::trace!("the book is closed");
        }
    }

    /// Registers a connection of about this speed.
    pub async fn join(&self, power: Difficulty) -> Option<(ConnectionId, Watch)> {
        let (reply, answer) = oneshot::channel();
        self.call(Call::Join { power, reply }).await;
        answer.await.ok()
    }

    /// Removes a connection.
    pub async fn leave(&self, id: ConnectionId) {
        self.call(Call::Leave(id)).await;
    }

    /// Tells a connection's speed by its difficulty.
    pub async fn power(&self, id: ConnectionId, power: Difficulty) {
        self.call(Call::Power(id, power)).await;
    }

    /// Offers a job that the ledger has opened.
    pub async fn open(&self, search: Search) {
        self.call(Call::Open(Box::new(search))).await;
    }

    /// Tells when a job's cancellation takes effect.
    pub async fn cancel_at(&self, job: JobId, at: Millis) {
        self.call(Call::CancelAt(job, at)).await;
    }

    /// How many jobs are open.
    #[must_use]
    pub fn open_jobs(&self) -> usize {
        *self.open.borrow()
    }
}

struct Entry {
    search: Arc<Search>,
    cancel_at: Option<Millis>,
    /// The ledger was asked to close it.
    closing: bool,
}

struct Keeper {
    ledger: Ledger,
    clock: Clock,
    jobs: BTreeMap<JobId, Entry>,
    hands: HashMap<ConnectionId, Hand<JobId>>,
    seats: HashMap<ConnectionId, watch::Sender<Option<Arc<Search>>>>,
    next_connection: ConnectionId,
    open: watch::Sender<usize>,
}

#[expect(clippy::cast_precision_loss, reason = "weighs connections against one another")]
fn power_of(difficulty: Difficulty) -> f64 {
    difficulty.steps() as f64
}

impl Keeper {
    async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Call>,
        mut closed: mpsc::UnboundedReceiver<JobId>,
        shutdown: CancellationToken,
    ) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                Some(job) = closed.recv() => self.closed(job),
                call = inbox.recv() => match call {
                    Some(call) => self.answer(call),
                    None => return,
                },
                _ = tick.tick(), if !self.jobs.is_empty() => self.close_due(),
            }
        }
    }

    fn answer(&mut self, call: Call) {
        match call {
            Call::Join { power, reply } => self.join(power, reply),
            Call::Leave(id) => {
                self.hands.remove(&id);
                self.seats.remove(&id);
            }
            Call::Power(id, power) => {
                if let Some(hand) = self.hands.get_mut(&id) {
                    hand.power = power_of(power);
                }
            }
            Call::Open(search) => {
                let entry = Entry { search: Arc::new(*search), cancel_at: None, closing: false };
                self.jobs.insert(entry.search.job, entry);
                self.changed();
            }
            Call::CancelAt(job, at) => {
                if let Some(entry) = self.jobs.get_mut(&job) {
                    entry.cancel_at = Some(at);
                }
            }
        }
    }

    fn join(&mut self, power: Difficulty, reply: oneshot::Sender<(ConnectionId, Watch)>) {
        let id = self.next_connection;
        self.next_connection += 1;
        let power = power_of(power);
        let job = place(&self.offers(), &self.hands, power);
        let (seat, watch) = watch::channel(job.map(|job| self.jobs[&job].search.clone()));
        if reply.send((id, watch)).is_ok() {
            self.hands.insert(id, Hand { power, job });
            self.seats.insert(id, seat);
        }
    }

    /// Jobs to work on: fillers only where there is nothing else.
    fn offers(&self) -> BTreeMap<JobId, Offer> {
        let only_fillers = self.jobs.values().all(|entry| entry.search.filler);
        let offered = self.jobs.iter().filter(|(_, entry)| only_fillers || !entry.search.filler);
        offered.map(|(&job, entry)| (job, Offer { price: entry.search.price })).collect()
    }

    fn closed(&mut self, job: JobId) {
        if let Some(entry) = self.jobs.remove(&job) {
            entry.search.end();
            self.changed();
        }
    }

    fn changed(&mut self) {
        for (id, job) in rebalance(&self.offers(), &self.hands) {
            if let (Some(hand), Some(seat)) = (self.hands.get_mut(&id), self.seats.get(&id)) {
                hand.job = job;
                seat.send_replace(job.map(|job| self.jobs[&job].search.clone()));
            }
        }
        self.open.send_replace(self.jobs.len());
    }

    /// Asks the ledger to close what is due.
    fn close_due(&mut self) {
        let now = self.clock.now();
        for (&job, entry) in self.jobs.iter_mut().filter(|(_, entry)| !entry.closing) {
            let outcome = if entry.cancel_at.is_some_and(|at| at <= now) {
                Outcome::Cancelled
            } else if entry.search.deadline_at <= now {
                Outcome::Expired
            } else {
                continue;
            };
            entry.closing = true;
            let ledger = self.ledger.clone();
            // Its end comes back through `closed`, as for a job that a share has closed.
            tokio::spawn(async move {
                if let Err(error) = ledger.enter(Command::Close { job, outcome }).await {
                    tracing::error!(%job, %error, "a job that is due could not be closed");
                }
            });
        }
    }
}
