//! The job book: one task that owns the open jobs and says which connection works on which.
//!
//! A connection registers and watches its assignment. Jobs come in when the ledger has opened them
//! and go when the ledger has closed them; deadlines and cancellations are kept here, and what is
//! due is asked of the ledger, which decides.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use lode_protocol::ids::JobId;
use lode_protocol::{Algorithm, Difficulty};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
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
/// How long an ending that was asked of the ledger may take before it is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// What a connection works on now.
pub type Watch = watch::Receiver<Option<Arc<Search>>>;

enum Call {
    Join { algorithm: Algorithm, power: Difficulty, reply: oneshot::Sender<(ConnectionId, Watch)> },
    Leave(ConnectionId),
    Power(ConnectionId, Difficulty),
    Open(Box<Search>),
    Keep(JobId, Millis),
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
            hands: BTreeMap::new(),
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

    /// Registers a connection of this algorithm and about this speed.
    pub async fn join(&self, algorithm: Algorithm, power: Difficulty) -> Option<(ConnectionId, Watch)> {
        let (reply, answer) = oneshot::channel();
        self.call(Call::Join { algorithm, power, reply }).await;
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

    /// Keeps the deadline of an open job that cannot be worked on, so that its escrow is not held for ever.
    pub async fn keep(&self, job: JobId, deadline_at: Millis) {
        self.call(Call::Keep(job, deadline_at)).await;
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
    /// What connections work on; `None` where this pool cannot serve it.
    search: Option<Arc<Search>>,
    deadline_at: Millis,
    cancel_at: Option<Millis>,
    /// When the ledger was last asked to close it.
    asked: Option<Instant>,
}

/// A connection's place in the book.
struct Seat {
    algorithm: Algorithm,
    work: watch::Sender<Option<Arc<Search>>>,
}

/// Connections by what they hash with: a job is for one algorithm's only.
type Hands = BTreeMap<Algorithm, HashMap<ConnectionId, Hand<JobId>>>;

struct Keeper {
    ledger: Ledger,
    clock: Clock,
    jobs: BTreeMap<JobId, Entry>,
    hands: Hands,
    seats: HashMap<ConnectionId, Seat>,
    next_connection: ConnectionId,
    open: watch::Sender<usize>,
}

#[expect(clippy::cast_precision_loss, reason = "weighs connections against one another")]
fn power_of(difficulty: Difficulty) -> f64 {
    difficulty.hashes().0 as f64
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
            Call::Join { algorithm, power, reply } => self.join(algorithm, power, reply),
            Call::Leave(id) => self.leave(id),
            Call::Power(id, power) => {
                let hands = self.seats.get(&id).and_then(|seat| self.hands.get_mut(&seat.algorithm));
                if let Some(hand) = hands.and_then(|hands| hands.get_mut(&id)) {
                    hand.power = power_of(power);
                }
            }
            Call::Open(search) => {
                let (job, deadline_at) = (search.job, search.deadline_at);
                let search = Some(Arc::new(*search));
                self.jobs.insert(job, Entry { search, deadline_at, cancel_at: None, asked: None });
                self.changed();
            }
            Call::Keep(job, deadline_at) => {
                self.jobs.insert(job, Entry { search: None, deadline_at, cancel_at: None, asked: None });
                self.changed();
            }
            Call::CancelAt(job, at) => {
                if let Some(entry) = self.jobs.get_mut(&job) {
                    entry.cancel_at = Some(at);
                }
            }
        }
    }

    fn join(&mut self, algorithm: Algorithm, power: Difficulty, reply: oneshot::Sender<(ConnectionId, Watch)>) {
        let id = self.next_connection;
        self.next_connection += 1;
        let power = power_of(power);
        let offers = self.offers(algorithm);
        let hands = self.hands.entry(algorithm).or_default();
        let job = place(&offers, hands, power);
        hands.insert(id, Hand { power, job });
        let (work, watch) = watch::channel(self.search_of(job));
        self.seats.insert(id, Seat { algorithm, work });
        if reply.send((id, watch)).is_err() {
            self.leave(id);
        }
    }

    fn leave(&mut self, id: ConnectionId) {
        let Some(hands) = self.seats.remove(&id).and_then(|seat| self.hands.get_mut(&seat.algorithm)) else { return };
        let Some(job) = hands.remove(&id).and_then(|hand| hand.job) else { return };
        // A job's last connection: others may have one to spare. As long as a job has any, the next
        // connection that joins makes up for one that left.
        if self.jobs.contains_key(&job) && !hands.values().any(|hand| hand.job == Some(job)) {
            self.changed();
        }
    }

    fn search_of(&self, job: Option<JobId>) -> Option<Arc<Search>> {
        self.jobs.get(&job?)?.search.clone()
    }

    /// Jobs of an algorithm to work on: fillers only where there is nothing else.
    fn offers(&self, algorithm: Algorithm) -> BTreeMap<JobId, Offer> {
        let searches = || self.jobs.values().filter_map(|entry| entry.search.as_ref());
        let served = || searches().filter(|search| search.algorithm() == algorithm);
        let only_fillers = served().all(|search| search.filler);
        let offered = served().filter(|search| only_fillers || !search.filler);
        offered.map(|search| (search.job, Offer { price: search.price })).collect()
    }

    fn closed(&mut self, job: JobId) {
        if let Some(entry) = self.jobs.remove(&job) {
            if let Some(search) = entry.search {
                search.end();
            }
            self.changed();
        }
    }

    fn changed(&mut self) {
        for algorithm in Algorithm::ALL {
            let offers = self.offers(algorithm);
            let Some(hands) = self.hands.get_mut(&algorithm) else { continue };
            for (id, job) in rebalance(&offers, hands) {
                if let (Some(hand), Some(seat)) = (hands.get_mut(&id), self.seats.get(&id)) {
                    hand.job = job;
                    let search = job.and_then(|job| self.jobs.get(&job)).and_then(|entry| entry.search.clone());
                    seat.work.send_replace(search);
                }
            }
        }
        self.open.send_replace(self.jobs.len());
    }

    /// Asks the ledger to close what is due.
    fn close_due(&mut self) {
        let now = self.clock.now();
        let waits = |entry: &Entry| entry.asked.is_some_and(|at| at.elapsed() < ASK_AGAIN);
        for (&job, entry) in self.jobs.iter_mut().filter(|(_, entry)| !waits(entry)) {
            let outcome = if entry.cancel_at.is_some_and(|at| at <= now) {
                Outcome::Cancelled
            } else if entry.deadline_at <= now {
                Outcome::Expired
            } else {
                continue;
            };
            entry.asked = Some(Instant::now());
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
