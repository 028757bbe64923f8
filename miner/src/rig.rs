//! A running rig, as those who show it see it.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use crate::fleet::Member;
use crate::meter::Meter;
use crate::status::Status;

/// The rig.
#[derive(Debug, Clone)]
pub struct Rig {
    /// The user name that it logs in with.
    pub user: String,
    /// Its devices.
    pub members: Vec<Member>,
    /// Their rates.
    pub meter: Arc<Meter>,
    /// Where it stands with its pool.
    pub status: watch::Receiver<Status>,
    /// When it began.
    pub began: Instant,
}
