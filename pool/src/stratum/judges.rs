//! Where hashes are made that take too long for a connection's task, scrypt's: on threads of their own, a few at a
//! time. A connection has one judged at a time and waits in line with the others, so one that floods the pool with
//! shares holds up none but itself.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::share::{Claim, Verdict};

/// The places at which shares are judged.
#[derive(Debug)]
pub struct Judges {
    places: Semaphore,
}

/// A connection's turn among its own shares, which are judged in their order.
#[derive(Debug, Clone)]
pub struct Turn(Arc<Semaphore>);

impl Default for Turn {
    fn default() -> Turn {
        Turn(Arc::new(Semaphore::new(1)))
    }
}

impl Default for Judges {
    /// Half of this machine's cores, so that answers keep coming while all places are taken.
    fn default() -> Judges {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Judges::new(cores / 2)
    }
}

impl Judges {
    /// So many places, one at least.
    #[must_use]
    pub fn new(places: usize) -> Judges {
        Judges { places: Semaphore::new(places.max(1)) }
    }

    /// Judges a share once it is its turn; `None` where by then it is no longer `wanted`.
    pub async fn judge(&self, turn: &Turn, claim: Claim, wanted: impl FnOnce() -> bool) -> Option<Verdict> {
        let _turn = turn.0.acquire().await.ok()?;
        let _place = self.places.acquire().await.ok()?;
        if !wanted() {
            return None;
        }
        tokio::task::spawn_blocking(move || claim.judge()).await.ok()
    }
}
