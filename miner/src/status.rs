//! Where the miner stands with its pool, for whoever shows it.

use std::time::Instant;

use lode_protocol::{Algorithm, Difficulty};

/// The present.
#[derive(Debug, Clone)]
pub struct Status {
    /// What the connection is doing.
    pub phase: Phase,
    /// The pool in use or being tried.
    pub pool: String,
    /// Its place among the pools, from 1, and how many there are.
    pub place: (usize, usize),
    /// Difficulty of shares, and who writes it so.
    pub difficulty: Option<(Difficulty, Algorithm)>,
    /// The job's id, and since when it is searched.
    pub job: Option<(String, Instant)>,
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
    pub fn new(pool: String, pools: usize) -> Status {
        let (difficulty, job, message) = (None, None, None);
        Status { phase: Phase::Connecting, pool, place: (1, pools), difficulty, job, message }
    }

    /// Not logged in: nothing that the pool said holds any longer.
    pub fn disconnected(&mut self, phase: Phase) {
        (self.phase, self.difficulty, self.job) = (phase, None, None);
    }
}
