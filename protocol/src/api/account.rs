//! Accounts: who is paid, for what, and what their rigs do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::pool::WorkWindows;
use super::{Amount, JobState};
use crate::algorithm::Algorithm;
use crate::difficulty::Work;
use crate::ids::{AccountName, AssetName, JobId, WorkerName};

/// Most rigs of an account that are shown at once.
pub const WORKERS_SHOWN_MAX: usize = 500;

/// What an account has of one asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BalanceView {
    /// Earned so far in jobs that are still open, and not payable yet: what a search would pay if it closed unsolved now,
    /// and what a range job will pay for units that are still to be audited.
    pub pending: Amount,
    /// Payable.
    pub matured: Amount,
    /// Paid out.
    pub paid: Amount,
}

/// One rig.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerView {
    /// Its name.
    pub name: WorkerName,
    /// Whether it is connected.
    pub online: bool,
    /// When it last had a share accepted, or null.
    pub last_share: Option<String>,
    /// What it hashes with; null when it is not connected.
    pub algorithm: Option<Algorithm>,
    /// Its present share difficulty as its algorithm writes it; null when it is not connected.
    pub difficulty: Option<f64>,
    /// Shares accepted, ever.
    pub accepted: u64,
    /// Shares rejected since the pool started, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Work proven, ever.
    pub work: Work,
}

/// An account, as anyone may see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccountView {
    /// Its name.
    pub account: AccountName,
    /// Balances by asset.
    pub balances: BTreeMap<AssetName, BalanceView>,
    /// Work proven in the last 1m, 15m, 1h, 24h, and all.
    pub work: WorkWindows,
    /// Its rigs, at most [`WORKERS_SHOWN_MAX`] of them.
    pub workers: Vec<WorkerView>,
    /// How many there are.
    pub workers_total: u64,
}

/// Where one job's earning stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EarningState {
    /// The job is open; the amount is what a search would pay if it closed unsolved now, and of a range job what it paid so
    /// far and will pay for units that are still to be audited.
    Pending,
    /// Payable or paid out.
    Matured,
}

/// What an account earned with one job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EarningView {
    /// The job.
    pub job: JobId,
    /// Its name.
    pub name: String,
    /// Where the job is.
    pub job_state: JobState,
    /// In which asset.
    pub asset: AssetName,
    /// Work that the account proved.
    pub work: Work,
    /// Work that all proved.
    pub work_total: Work,
    /// The account's part of it, in millionths, for people.
    pub share_ppm: u32,
    /// Amount.
    pub amount: Amount,
    /// The part of it that is not payable yet.
    pub pending: Amount,
    /// Whether it is settled.
    pub state: EarningState,
    /// When the job closed, or null.
    pub closed_at: Option<String>,
}

/// One payout of an account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PayoutView {
    /// In which asset.
    pub asset: AssetName,
    /// Amount.
    pub amount: Amount,
    /// When.
    pub at: String,
    /// The operator's reference.
    pub reference: String,
}

/// A row of the leader board.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeaderView {
    /// Who.
    pub account: AccountName,
    /// Work proven, ever.
    pub work: Work,
    /// Shares accepted, ever.
    pub shares: u64,
}
