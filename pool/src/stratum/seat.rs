//! A connection's place in the hall: what it is told there, and how its results get from its uploads into the ledger.

use std::sync::Arc;
use std::time::Duration;

use lode_protocol::ids::UserName;
use lode_protocol::method::ReleaseReason;
use lode_protocol::method::configure::LodeWork;
use lode_protocol::rpc::Id;
use lode_protocol::{Digest, Rejection, Work};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

use super::Shared;
use super::passes::{LINGER_MS, Pass};
use super::ranges::Held;
use crate::jobs::assign::ConnectionId;
use crate::jobs::range::floor::{Hand, TOLD_MAX, Told};
use crate::jobs::range::hall::{Refused, Submitted};

/// The place.
#[derive(Debug)]
pub(super) struct Seat {
    id: ConnectionId,
    shared: Arc<Shared>,
    asked: LodeWork,
    pub(super) pass: Arc<Pass>,
    /// Once it has joined.
    told: Option<mpsc::Receiver<Told>>,
}

/// A unit whose answer is owed.
#[derive(Debug)]
pub(super) struct OwedUnit {
    pub(super) id: Id,
    pub(super) user: UserName,
    pub(super) held: Held,
    pub(super) since: Instant,
    pub(super) outcome: JoinHandle<UnitOutcome>,
}

/// What became of a unit.
#[derive(Debug)]
pub(super) enum UnitOutcome {
    /// Its result could not be kept; the unit is still held.
    NotKept(String),
    /// The hall has answered.
    Submitted(Submitted),
}

impl UnitOutcome {
    /// As an answer.
    pub(super) fn result(&self) -> Result<Work, Rejection> {
        match self {
            UnitOutcome::NotKept(why) => Err(Rejection::Other(why.clone())),
            UnitOutcome::Submitted(Submitted::Accepted { work }) => Ok(*work),
            UnitOutcome::Submitted(Submitted::Refused(refused)) => Err(match refused {
                Refused::Duplicate => Rejection::Duplicate,
                Refused::Stale => Rejection::Stale,
                Refused::Banned => Rejection::Banned,
                Refused::Other(why) => Rejection::Other(why.clone()),
            }),
        }
    }
}

impl Seat {
    /// For a connection whose key is proven.
    pub(super) fn new(shared: Arc<Shared>, id: ConnectionId, asked: LodeWork) -> Seat {
        let pass = Arc::new(Pass::new(shared.blobs.guest(), asked.slots));
        Seat { id, shared, asked, pass, told: None }
    }

    /// Asks the hall for units worth `want`.
    pub(super) async fn join(&mut self, want: Work) {
        let (told, receiver) = mpsc::channel(TOLD_MAX);
        self.told = Some(receiver);
        let LodeWork { key, kinds, slots } = self.asked.clone();
        self.shared.presence.takes(&kinds);
        self.shared.hall.join(self.id, Hand { key: key.0, kinds, slots, want: want.0, told }).await;
    }

    /// What the hall tells next; `None` where it has given this connection up.
    pub(super) async fn next_told(seat: &mut Option<Seat>) -> Option<Told> {
        match seat.as_mut().and_then(|seat| seat.told.as_mut()) {
            Some(told) => told.recv().await,
            None => std::future::pending().await,
        }
    }

    /// The units should be worth so much.
    pub(super) async fn want(&self, work: Work) {
        self.shared.hall.want(self.id, work).await;
    }

    /// A kind of work that it does, as a label.
    pub(super) fn kind(&self) -> &str {
        self.asked.kinds.first().map_or("", String::as_str)
    }

    /// Keeps a result for its job and has it entered: so every result that the ledger names is there.
    pub(super) fn submit(&self, user: UserName, held: &Held, digest: Digest) -> JoinHandle<UnitOutcome> {
        let (shared, id, job, lease) = (self.shared.clone(), self.id, held.job, held.lease);
        tokio::spawn(async move {
            let blobs = shared.blobs.clone();
            let kept = spawn_blocking(move || blobs.claim(job, &digest)).await;
            match kept.map(|kept| kept.map_err(|error| error.to_string())) {
                Ok(Ok(())) => {}
                Ok(Err(why)) => return UnitOutcome::NotKept(why),
                Err(_) => return UnitOutcome::NotKept("the pool stops".into()),
            }
            let submitted = shared.hall.submit(id, lease, user, digest).await;
            let is_over = match &submitted {
                Submitted::Accepted { .. } => false,
                Submitted::Refused(Refused::Duplicate | Refused::Stale | Refused::Banned) => true,
                // It may be in the ledger all the same; what the job had may have been cleared away before this was
                // added to it.
                Submitted::Refused(Refused::Other(_)) => !shared.hall.is_open(job),
            };
            if is_over {
                let blobs = shared.blobs.clone();
                let released = spawn_blocking(move || blobs.unclaim(job, &digest)).await;
                if let Ok(Err(error)) = released {
                    tracing::warn!(%job, %digest, %error, "a result that was refused stays until its job ends");
                }
            }
            UnitOutcome::Submitted(submitted)
        })
    }

    /// Gives a unit back.
    pub(super) async fn release(&self, held: &Held, reason: ReleaseReason) -> Result<(), Rejection> {
        self.shared.hall.release(self.id, held.lease, reason).await.map_err(|_| Rejection::Stale)
    }

    /// The connection is over; what is in transfer may end.
    pub(super) async fn leave(self) {
        let Seat { id, shared, asked, pass, told } = self;
        if told.is_some() {
            shared.presence.leaves(&asked.kinds);
            shared.hall.leave(id).await;
        }
        shared.passes.end(&pass, shared.clock.now());
        let (passes, clock) = (shared.passes.clone(), shared.clock.clone());
        // Holds nothing of the pool that has to be closed before it stops.
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(LINGER_MS)).await;
            // Removes files, on a thread that may.
            if let Err(error) = spawn_blocking(move || passes.purge(clock.now())).await {
                tracing::debug!(%error, "the pool stops");
            }
        });
    }
}
