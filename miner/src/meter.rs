//! The devices' rates over time, for everyone who shows them.

use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

use crate::fleet::Member;
use crate::link::now;
use crate::rate::{Rate, WINDOWS};

/// How often counts are sampled.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// The rates.
#[derive(Debug)]
pub struct Meter {
    members: Vec<Member>,
    /// One a device, in the fleet's order. Held for sums over them.
    rates: Mutex<Vec<Rate>>,
}

impl Meter {
    /// Of these devices, which begin now.
    #[must_use]
    pub fn new(members: Vec<Member>, now: Instant) -> Meter {
        let rates = vec![Rate::new(now); members.len()];
        Meter { members, rates: Mutex::new(rates) }
    }

    /// Samples until dropped.
    pub async fn keep_up(&self) -> Infallible {
        let mut tick = interval(SAMPLE_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.sample(now());
        }
    }

    /// Takes the counts as they are at `now`.
    pub fn sample(&self, now: Instant) {
        for (rate, member) in self.lock().iter_mut().zip(&self.members) {
            rate.record(now, member.gauge.hashes.get());
        }
    }

    /// A device's rates over [`WINDOWS`], as last sampled, in hashes a second.
    #[must_use]
    pub fn device(&self, place: usize) -> [f64; WINDOWS.len()] {
        self.lock().get(place).map_or([0.0; WINDOWS.len()], |rate| WINDOWS.map(|window| rate.over(window)))
    }

    /// All devices' rates together.
    #[must_use]
    pub fn total(&self) -> [f64; WINDOWS.len()] {
        let rates = self.lock();
        WINDOWS.map(|window| rates.iter().map(|rate| rate.over(window)).sum())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Rate>> {
        // Nothing panics while holding it.
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
