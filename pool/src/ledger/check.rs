//! The offline audit: replays a ledger from its first byte and checks every figure.
//!
//! The journal's frames, checksums and hash chain; every entry against all before it; the terms of
//! every closed job, executed again; for jobs whose spec is at hand, every share's header, hash and
//! target; and money, which must balance. (The store is compared with the fold whenever a pool opens it.)

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use lode_protocol::api::HashSpec;
use lode_protocol::header::HeaderHash;
use lode_protocol::ids::{AccountName, AssetName, JobId};
use serde::Serialize;

use super::entry::{Entry, Terms};
use super::fold::{Broken, State};
use super::journal::{self, JournalError};
use super::writer::journal_dir;
use crate::share::{hash_of, header_of_proof};
use crate::specs::{SpecError, Specs};

/// Sums of one account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AccountSums {
    /// Work proven.
    pub work: String,
    /// Shares accepted.
    pub shares: u64,
    /// Payable by asset.
    pub matured: BTreeMap<AssetName, String>,
}

/// Sums of one asset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AssetSums {
    /// Came in.
    pub deposited: String,
    /// Free balances of sponsors.
    pub sponsors: String,
    /// Held for open jobs.
    pub escrow: String,
    /// Payable to accounts.
    pub matured: String,
    /// Fees of the pool.
    pub fees: String,
}

/// What an audit found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether everything holds.
    pub ok: bool,
    /// What does not, if anything: the first fault, with the entry it is in.
    pub fault: Option<String>,
    /// Entries read.
    pub entries: u64,
    /// Hash of the chain at the end.
    pub head: String,
    /// Shares in all.
    pub shares: u64,
    /// Shares whose header was computed again from the job's spec.
    pub shares_recomputed: u64,
    /// Jobs opened.
    pub jobs: u64,
    /// Jobs closed, their terms executed again.
    pub jobs_settled: u64,
    /// A crash left an unfinished group at the end; the next start cuts it. Nothing in it was acknowledged.
    pub unfinished_group: bool,
    /// Sums by account.
    pub accounts: BTreeMap<AccountName, AccountSums>,
    /// Sums by asset.
    pub assets: BTreeMap<AssetName, AssetSums>,
}

/// Why a share is not what its job's spec makes of it.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Fold(#[from] Broken),
    #[error("share {hash} of {job}: its proof gives a header that hashes to {found}")]
    Header { job: JobId, hash: HeaderHash, found: HeaderHash },
    #[error("{0} opened with another algorithm than its spec's")]
    Algorithm(JobId),
    #[error("{job} is closed as solved by {hash}, which does not meet its target")]
    Unsolved { job: JobId, hash: HeaderHash },
}

struct Audit<'a> {
    state: State,
    specs: &'a Specs,
    open: HashMap<JobId, HashSpec>,
    last_hash: Option<HeaderHash>,
    report: Report,
}

/// Audits the ledger under `data`.
///
/// # Errors
/// The files cannot be read at all; a ledger that is at fault is a [`Report`].
pub fn audit(data: &Path) -> Result<Report, JournalError> {
    let specs = Specs::at(data);
    let report = Report::default();
    let mut audit = Audit { state: State::default(), specs: &specs, open: HashMap::new(), last_hash: None, report };
    let scanned = journal::scan(&journal_dir(data), |seq, entry| audit.entry(seq, &entry));
    match scanned {
        Err(error @ JournalError::Damaged { .. }) => audit.report.fault = Some(error.to_string()),
        Err(error) => return Err(error),
        Ok(scan) => {
            audit.report.entries = scan.end.seq;
            audit.report.head = lode_protocol::hex::encode(&scan.end.head);
            audit.report.unfinished_group = scan.torn.is_some();
            if audit.state.pool != scan.pool {
                audit.report.fault = Some("the segments are of another pool than their first entry".into());
            }
        }
    }
    Ok(audit.finish())
}

impl Audit<'_> {
    fn entry(&mut self, seq: u64, entry: &Entry) -> Result<(), Fault> {
        self.report.entries = seq;
        self.state.apply(entry)?;
        self.state.take_events();
        match entry {
            Entry::JobOpened(terms) => self.opened(terms)?,
            Entry::Share { job, hash, proof, .. } => {
                self.report.shares += 1;
                self.last_hash = Some(*hash);
                if let Some(spec) = self.open.get(job) {
                    let found = hash_of(spec.rate.algorithm(), &header_of_proof(spec, proof));
                    if found != *hash {
                        return Err(Fault::Header { job: *job, hash: *hash, found });
                    }
                    self.report.shares_recomputed += 1;
                }
            }
            Entry::JobClosed { job, outcome, .. } => {
                self.report.jobs_settled += 1;
                let spec = self.open.remove(job);
                if let (super::entry::Outcome::Solved, Some(spec), Some(hash)) = (outcome, spec, self.last_hash)
                    && !spec.target.is_met_by(&hash)
                {
                    return Err(Fault::Unsolved { job: *job, hash });
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn opened(&mut self, terms: &Terms) -> Result<(), Fault> {
        self.report.jobs += 1;
        // Without its spec a job's shares are checked by their hashes alone; the counts show it.
        match self.specs.hash_spec(terms) {
            Ok(spec) => drop(self.open.insert(terms.job, spec)),
            Err(SpecError::Algorithm(_)) => return Err(Fault::Algorithm(terms.job)),
            Err(_) => {}
        }
        Ok(())
    }

    fn finish(mut self) -> Report {
        if self.report.fault.is_none() {
            self.report.fault = self.unbalanced();
        }
        self.sum_accounts();
        self.sum_assets();
        self.report.ok = self.report.fault.is_none();
        self.report
    }

    fn unbalanced(&self) -> Option<String> {
        let sheet = self.state.balance_sheet();
        let off = sheet.iter().find(|(_, (came_in, held))| came_in != held);
        off.map(|(asset, (came_in, held))| format!("{asset}: {came_in} came in and {held} is held"))
    }

    fn sum_accounts(&mut self) {
        for (name, account) in &self.state.accounts {
            let matured = account.matured.iter().map(|(asset, amount)| (asset.clone(), amount.to_string())).collect();
            let sums = AccountSums { work: account.work.to_string(), shares: account.shares, matured };
            self.report.accounts.insert(name.clone(), sums);
        }
    }

    fn sum_assets(&mut self) {
        for (asset, totals) in &self.state.assets {
            let sponsors: u128 =
                self.state.sponsors.values().filter_map(|s| s.assets.get(asset)).map(|money| money.balance).sum();
            let jobs = self.state.jobs.values().filter(|job| job.terms.asset == *asset);
            let escrow: u128 = jobs.map(|job| job.escrow).sum();
            let matured: u128 = self.state.accounts.values().filter_map(|account| account.matured.get(asset)).sum();
            let sums = AssetSums {
                deposited: totals.deposited.to_string(),
                sponsors: sponsors.to_string(),
                escrow: escrow.to_string(),
                matured: matured.to_string(),
                fees: totals.fees.to_string(),
            };
            self.report.assets.insert(asset.clone(), sums);
        }
    }
}
