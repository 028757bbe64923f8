//! The pool as a whole.

use serde::{Deserialize, Serialize};

use crate::algorithm::Algorithm;
use crate::difficulty::Work;

/// Work proven within the last minutes and hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WorkWindows {
    /// Last minute.
    #[serde(rename = "1m")]
    pub m1: Work,
    /// Last 15 minutes.
    #[serde(rename = "15m")]
    pub m15: Work,
    /// Last hour.
    #[serde(rename = "1h")]
    pub h1: Work,
    /// Last 24 hours.
    #[serde(rename = "24h")]
    pub h24: Work,
    /// Ever.
    pub all: Work,
}

/// A stratum listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerView {
    /// Hash algorithm.
    pub algorithm: Algorithm,
    /// Address it is bound to.
    pub address: String,
    /// Bytes of the pool's part of the extranonce.
    pub extranonce1_bytes: usize,
    /// Bytes of the miner's part.
    pub extranonce2_bytes: usize,
}

/// The ledger's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerView {
    /// Entries on disk.
    pub entries: u64,
    /// Hash of the chain of groups at its end.
    pub head: String,
    /// Whether entries are being written.
    pub writable: bool,
}

/// The pool, as anyone may see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PoolView {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// When it started.
    pub started_at: String,
    /// Where miners connect.
    pub listeners: Vec<ListenerView>,
    /// Connections now.
    pub connections: u64,
    /// Workers logged in now.
    pub workers: u64,
    /// Accounts that ever proved work.
    pub accounts: u64,
    /// Jobs that are open or running.
    pub jobs_open: u64,
    /// Jobs ever.
    pub jobs_total: u64,
    /// Work proven by all.
    pub work: WorkWindows,
    /// The fee of jobs to come, in basis points.
    pub fee_bps: u16,
    /// The ledger.
    pub ledger: LedgerView,
}
