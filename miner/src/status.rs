//! Where the miner stands with its pool, for whoever shows it.

use std::time::Instant;

use lode_protocol::{Algorithm, Difficulty};

/// The present.
#[derive(Debug, Clone)]
pub struct Status {
    /// What the connection is doing, and since when.
    phase: (Phase, Instant),
    /// The pool in use or being tried.
    pub pool: String,
    /// Its place among the pools, from 1, and how many there are.
    pub place: (usize, usize),
    /// Difficulty of shares, and who writes it so.
    pub difficulty: Option<(Difficulty, Algorithm)>,
    /// The job's id, and since when it is searched.
    pub job: Option<(String, Instant)>,
    /// Units of range work that are held.
    pub units: usize,
    /// The pool's last words for people.
    pub message: Option<String>,
}

/// What the connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Trying a pool.
    Connecting,
    /// Waiting before the next try.
    Pausing,
    /// Logged in.
    Connected,
    /// Ending.
    Stopping,
}

impl Status {
    /// Before the first try.
    #[must_use]
    pub fn new(pool: String, pools: usize, now: Instant) -> Status {
        let (difficulty, job, message) = (None, None, None);
        Status { phase: (Phase::Connecting, now), pool, place: (1, pools), difficulty, job, units: 0, message }
    }

    /// Not logged in: nothing that the pool said holds any longer.
    pub fn disconnected(&mut self, phase: Phase, now: Instant) {
        self.enter(phase, now);
        (self.difficulty, self.job, self.units) = (None, None, 0);
    }

    /// Does something else from `now` on.
    pub fn enter(&mut self, phase: Phase, now: Instant) {
        if self.phase.0 != phase {
            self.phase = (phase, now);
        }
    }

    /// What the connection is doing.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase.0
    }

    /// Since when it does that.
    #[must_use]
    pub fn since(&self) -> Instant {
        self.phase.1
    }
}
