//! The offline audit: replays a ledger from its first byte and checks every figure.
//!
//! The journal's frames, checksums and hash chain; every entry against all before it; the terms of
//! every closed job, executed again; for jobs whose spec is at hand, every share's header, hash and
//! target; the roots of all batches and the draws of voids whose secret is told or at hand; the parts
//! that batches were voided by, where what computes them is at hand; and money, which must balance.
//! (The store is compared with the fold whenever a pool opens it.)

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use lode_protocol::api::HashSpec;
use lode_protocol::header::HeaderHash;
use lode_protocol::ids::{AccountName, AssetName, JobId};
use serde::Serialize;

use super::batch::Void;
use super::entry::{Entry, Outcome, Terms};
use super::fold::{Broken, State};
use super::journal::{self, JournalError};
use super::recheck::{Files, RecheckError};
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
    /// Units of range jobs, among the shares.
    pub units: u64,
    /// Batches closed, their roots computed again from their units.
    pub batches: u64,
    /// Batches that matured.
    pub batches_matured: u64,
    /// Batches that were found void.
    pub batches_voided: u64,
    /// Those of them whose part was computed again.
    pub voids_recomputed: u64,
    /// Those of them that were drawn again, as their secret is told or at hand.
    pub draws_recomputed: u64,
    /// Results of completed jobs that are at hand and have the digest that they were closed with.
    pub results_checked: u64,
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
    #[error(transparent)]
    Recheck(#[from] RecheckError),
    #[error("batch {batch} is void by a part that secret {secret} does not draw")]
    NotDrawn { batch: u64, secret: u64 },
    #[error("{job} is closed as solved by {hash}, which does not meet its target")]
    Unsolved { job: JobId, hash: HeaderHash },
}

struct Audit {
    state: State,
    specs: Specs,
    files: Files,
    open: HashMap<JobId, HashSpec>,
    last_hash: Option<HeaderHash>,
    report: Report,
}

/// Audits the ledger under `data`.
///
/// # Errors
/// The files cannot be read at all; a ledger that is at fault is a [`Report`].
pub fn audit(data: &Path) -> Result<Report, JournalError> {
    let mut audit = Audit {
        state: State::default(),
        specs: Specs::at(data),
        files: Files::at(data),
        open: HashMap::new(),
        last_hash: None,
        report: Report::default(),
    };
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

impl Audit {
    fn entry(&mut self, seq: u64, entry: &Entry) -> Result<(), Fault> {
        self.report.entries = seq;
        // What an entry resolves is in the state before it.
        self.resolves(entry)?;
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
                if let Outcome::Completed { result } = outcome {
                    self.report.results_checked += u64::from(self.files.has(result));
                }
                let spec = self.open.remove(job);
                if let (Outcome::Solved, Some(spec), Some(hash)) = (outcome, spec, self.last_hash)
                    && !spec.target.is_met_by(&hash)
                {
                    return Err(Fault::Unsolved { job: *job, hash });
                }
            }
            Entry::Unit { .. } => {
                self.report.shares += 1;
                self.report.units += 1;
            }
            Entry::BatchClosed { .. } => self.report.batches += 1,
            Entry::BatchMatured { .. } => self.report.batches_matured += 1,
            Entry::BatchVoided { .. } => self.report.batches_voided += 1,
            _ => {}
        }
        Ok(())
    }

    /// Looks at what a verdict or a secret resolves.
    fn resolves(&mut self, entry: &Entry) -> Result<(), Fault> {
        match *entry {
            Entry::SecretRevealed { number, .. } => {
                let drawn = self.state.secrets.undrawn().filter(|(of, _)| *of == number).count();
                // The fold draws each of them again.
                self.report.draws_recomputed += drawn as u64;
            }
            Entry::BatchVoided { batch, void, .. } => return self.void(batch, &void),
            _ => {}
        }
        Ok(())
    }

    fn void(&mut self, batch: u64, void: &Void) -> Result<(), Fault> {
        let Ok(found) = self.state.unresolved(batch) else { return Ok(()) };
        let Ok((job, _)) = self.state.open_range(found.job) else { return Ok(()) };
        if self.state.void_fault(found, void).is_some() {
            // The fold refuses it, in its own words.
            return Ok(());
        }
        let unit = job.range.batch(batch).find(|unit| (unit.first, unit.count) == (void.first, void.count));
        let Some(unit) = unit else { return Ok(()) };
        let recomputed = self.files.recheck(&job.terms, batch, void, &unit.digest)?;
        self.report.voids_recomputed += u64::from(recomputed);
        Ok(())
    }

    /// Draws again with secrets that are not told yet and whose copies are at hand.
    fn draw(&mut self) -> Result<(), Fault> {
        for (secret, void) in self.state.secrets.undrawn() {
            let hash = self.state.secrets.get(secret).map(|known| known.hash);
            let Some(bytes) = hash.and_then(|hash| self.files.secret(&hash)) else { continue };
            if !void.is_drawn_by(&bytes) {
                return Err(Fault::NotDrawn { batch: void.batch, secret });
            }
            self.report.draws_recomputed += 1;
        }
        Ok(())
    }

    fn opened(&mut self, terms: &Terms) -> Result<(), Fault> {
        self.report.jobs += 1;
        if terms.range().is_some() {
            return Ok(());
        }
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
            self.report.fault = self.draw().err().map(|fault| fault.to_string()).or_else(|| self.unbalanced());
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::fs;
    use std::path::PathBuf;

    use lode_protocol::hex;

    use super::*;
    use crate::desk::tests::{Reference, assert_done, closed, config, open, record, right, wrong};
    use crate::face::tests::until;
    use crate::ledger::draw::draw;
    use crate::ledger::entry::RangeTerms;
    use crate::ledger::journal::Journal;

    fn entries(data: &Path) -> Vec<Entry> {
        let mut entries = Vec::new();
        let read = journal::scan(&journal_dir(data), |_, entry| {
            entries.push(entry);
            Ok::<_, Infallible>(())
        });
        read.unwrap();
        entries
    }

    /// A data directory as `data` but for its journal, which has these entries.
    fn with_log(data: &Path, entries: &[Entry]) -> tempfile::TempDir {
        fn copy(from: &Path, to: &Path) {
            fs::create_dir_all(to).unwrap();
            for item in from.read_dir().unwrap() {
                let from = item.unwrap().path();
                let to = to.join(from.file_name().unwrap());
                if from.is_dir() {
                    copy(&from, &to);
                } else {
                    fs::copy(&from, &to).unwrap();
                }
            }
        }
        let dir = tempfile::tempdir().unwrap();
        for name in ["specs", "blobs", "audit"] {
            copy(&data.join(name), &dir.path().join(name));
        }
        let journal = journal_dir(dir.path());
        fs::create_dir_all(&journal).unwrap();
        let scan = journal::scan(&journal, |_, _| Ok::<_, Infallible>(())).unwrap();
        let Entry::PoolOpened { pool, .. } = entries[0] else { panic!("{:?} is first", entries[0]) };
        let encoded: Vec<Vec<u8>> = entries.iter().map(Entry::encode).collect();
        Journal::open(&journal, &scan, pool).unwrap().append(&encoded).unwrap();
        dir
    }

    fn fault(data: &Path) -> String {
        audit(data).unwrap().fault.expect("a fault")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn range_work_is_computed_and_drawn_again() {
        let reference = Reference::new();
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path();
        let house = open(data, &config());
        let face = &house.face;
        let sponsor = reference.sponsor(face).await;
        let job = reference.submit(face, &sponsor).await;
        for unit in [right(1, 0, 4), wrong(2, 4, 4), right(1, 8, 4)] {
            reference.deliver(face, job, unit).await.unwrap();
        }
        until("the verdict", || record(face, job).voids == 1).await;
        reference.deliver(face, job, right(3, 4, 4)).await.unwrap();
        closed(face, job).await;
        assert_done(&reference, face, &sponsor, job).await;
        house.stop().await;

        let report = audit(data).unwrap();
        assert!(report.ok, "{:?}", report.fault);
        assert_eq!((report.units, report.batches, report.batches_matured, report.batches_voided), (4, 3, 2, 1));
        // The inputs went with the job, and are made again of the sponsor's scene; the secret is the operator's copy.
        assert_eq!((report.voids_recomputed, report.draws_recomputed, report.results_checked), (1, 1, 1));

        let log = entries(data);
        let place = log.iter().position(|entry| matches!(entry, Entry::BatchVoided { .. })).unwrap();
        let changed = |change: &dyn Fn(&mut Entry)| {
            let mut log = log.clone();
            change(&mut log[place]);
            with_log(data, &log)
        };
        let same = changed(&|_| {});
        assert!(audit(same.path()).unwrap().ok);
        // A right result that is said to be wrong.
        let other = changed(&|entry| {
            let Entry::BatchVoided { void, .. } = entry else { unreachable!("a void is there") };
            void.expected[0] ^= 1;
        });
        assert!(fault(other.path()).contains("not what its void says"), "{}", fault(other.path()));
        // A part that is wrong and was not drawn: whom to void was chosen.
        let Entry::BatchVoided { batch, void: Void { first, count, .. }, .. } = log[place] else {
            unreachable!("a void is there")
        };
        let closing = log.iter().find_map(|entry| match entry {
            Entry::BatchClosed { batch: of, root, .. } if *of == batch => Some(*root),
            _ => None,
        });
        let secret = data.join("audit").read_dir().unwrap().map(|item| item.unwrap().path()).next().unwrap();
        let bytes = hex::decode_array(fs::read_to_string(&secret).unwrap().trim()).unwrap();
        let range = audit_terms(&log);
        let picks = draw(&bytes, &closing.unwrap(), &[(first, count)], true, &range);
        let spared = (0..range.parts_per_element).find(|part| picks.iter().all(|pick| pick.part != *part)).unwrap();
        let other = changed(&|entry| {
            let Entry::BatchVoided { void, .. } = entry else { unreachable!("a void is there") };
            void.part = spared;
        });
        let scene = |data: &Path| -> PathBuf {
            let name = reference.digest.to_string();
            data.join("blobs").join(&name[..2]).join(name)
        };
        fs::remove_file(scene(other.path())).unwrap();
        assert!(fault(other.path()).contains("does not draw"), "{}", fault(other.path()));
        // What takes files that are gone is not done, and the counts show it.
        fs::remove_file(scene(same.path())).unwrap();
        fs::remove_dir_all(same.path().join("audit")).unwrap();
        let report = audit(same.path()).unwrap();
        assert_eq!((report.ok, report.voids_recomputed, report.draws_recomputed), (true, 0, 0));
    }

    fn audit_terms(log: &[Entry]) -> RangeTerms {
        let opening = log.iter().find_map(|entry| match entry {
            Entry::JobOpened(terms) => terms.range().cloned(),
            _ => None,
        });
        opening.expect("a range job opened")
    }
}
