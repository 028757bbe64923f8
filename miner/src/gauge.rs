//! What is counted of a device: written by its thread and the session's task, read by the screen.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use lode_protocol::Work;

use crate::health::Health;
use crate::unit::Progress;

/// A count that several threads read.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds `more`. 2^64 of anything here takes centuries.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Replaces the count by a total that is kept elsewhere.
    pub fn set(&self, total: u64) {
        self.0.store(total, Ordering::Relaxed);
    }

    /// The count.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a device is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DeviceState {
    /// Showing that it computes rightly.
    #[default]
    Testing,
    /// Waiting for work.
    Idle,
    /// Searching, or computing a unit.
    Mining,
    /// Set aside, for this reason.
    Failed(String),
    /// Ended with the program.
    Stopped,
}

/// A device's figures.
#[derive(Debug, Default)]
pub struct Gauge {
    /// Hashes tried.
    pub hashes: Count,
    /// Elements of units computed.
    pub elements: Count,
    /// Hits and units of the device that its host refuted.
    pub hardware_errors: Count,
    /// Shares that the pool counted.
    pub accepted: Count,
    /// Shares that the pool refused.
    pub rejected: Count,
    /// Shares that the pool never answered.
    pub unanswered: Count,
    /// Shares that were not submitted, because their job was over.
    pub stale: Count,
    /// Units that the pool counted; they are among the shares accepted.
    pub units: Count,
    /// What they were worth. Held for one addition or copy.
    work: Mutex<Work>,
    /// The unit in hand. Held for one assignment or clone.
    progress: Mutex<Option<Progress>>,
    /// Held for one assignment or clone.
    state: Mutex<DeviceState>,
    /// Held for one copy.
    health: Mutex<Health>,
}

impl Gauge {
    /// What the device is doing.
    #[must_use]
    pub fn state(&self) -> DeviceState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what the device is doing.
    pub fn set_state(&self, state: DeviceState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// The unit in hand.
    #[must_use]
    pub fn progress(&self) -> Option<Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes which unit is in hand and how far it is.
    pub fn set_progress(&self, progress: Option<Progress>) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = progress;
    }

    /// What the units that the pool counted were worth.
    #[must_use]
    pub fn work(&self) -> Work {
        *self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a unit that the pool counted.
    pub fn count_unit(&self, worth: Work) {
        self.units.add(1);
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        *work = work.saturating_add(worth);
    }

    /// How the device was doing when it was last read.
    #[must_use]
    pub fn health(&self) -> Health {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how the device is doing.
    pub fn set_health(&self, health: Health) {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }
}
