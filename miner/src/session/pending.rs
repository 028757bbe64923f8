//! Requests that the pool has not answered yet, by their ids.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lode_protocol::Difficulty;
use lode_protocol::ids::UnitId;
use lode_protocol::rpc::Id;

/// Most submits without an answer; the next ones wait for room.
pub const SUBMITS_MAX: usize = 512;
/// How long an answer may take before its request is given up.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    /// `mining.configure`
    Configure,
    /// `mining.subscribe`
    Subscribe,
    /// `mining.authorize`
    Authorize,
    /// Anything whose answer changes nothing.
    Courtesy,
    /// `mining.submit`
    Submit {
        /// Which device found the share.
        device: usize,
        /// The share's difficulty.
        difficulty: Difficulty,
    },
    /// `work.prove`
    Prove,
    /// `work.submit`
    Unit(UnitId),
}

/// The table. Each request has an id of its own.
#[derive(Debug, Default)]
pub(super) struct Pending {
    next: u64,
    asks: BTreeMap<u64, (Ask, Instant)>,
    submits: usize,
}

impl Pending {
    /// Notes a request that is sent `now`; answers its id.
    pub(super) fn add(&mut self, ask: Ask, now: Instant) -> Id {
        self.next += 1;
        self.submits += usize::from(matches!(ask, Ask::Submit { .. }));
        self.asks.insert(self.next, (ask, now));
        Id::from(self.next)
    }

    /// Whether a submit may be sent.
    #[must_use]
    pub(super) fn has_room(&self) -> bool {
        self.submits < SUBMITS_MAX
    }

    /// Submits without an answer.
    #[must_use]
    pub(super) fn submits(&self) -> usize {
        self.submits
    }

    /// Takes out the request with this id. Some pools answer with the number as text.
    pub(super) fn take(&mut self, id: &Id) -> Option<(Ask, Instant)> {
        let number = match id {
            Id::Number(number) => number.as_u64()?,
            Id::Text(text) => text.parse().ok()?,
            Id::Null => return None,
        };
        self.remove(number)
    }

    /// Takes out one request that has waited for [`ANSWER_TIMEOUT`].
    pub(super) fn take_expired(&mut self, now: Instant) -> Option<(Ask, Instant)> {
        // Ids grow with time, so the first is the oldest.
        let (&number, (_, sent)) = self.asks.first_key_value()?;
        (now.saturating_duration_since(*sent) >= ANSWER_TIMEOUT).then(|| self.remove(number)).flatten()
    }

    /// Takes out one request.
    pub(super) fn take_any(&mut self) -> Option<(Ask, Instant)> {
        let (&number, _) = self.asks.first_key_value()?;
        self.remove(number)
    }

    fn remove(&mut self, number: u64) -> Option<(Ask, Instant)> {
        let taken = self.asks.remove(&number)?;
        self.submits -= usize::from(matches!(taken.0, Ask::Submit { .. }));
        Some(taken)
    }
}
