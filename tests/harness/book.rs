//! What a ledger says of range work, counted anew from its entries and by nothing of the pool's own fold.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use lode_pool::ledger::entry::Entry;

use crate::ledger;

/// A finished unit.
#[derive(Debug, Clone)]
struct Done {
    account: String,
    first: u64,
    count: u64,
    work: u128,
    duplicate: bool,
}

/// What matured of one job.
#[derive(Debug, Default)]
pub struct RangeBook {
    /// Work by account, of units that were not issued twice.
    pub work: BTreeMap<String, u128>,
    /// How many such units, by account.
    pub units: BTreeMap<String, usize>,
    /// Amounts by account, duplicates' pay not included.
    pub paid: BTreeMap<String, u128>,
    /// Batches that matured.
    pub matured: usize,
    /// Batches that were voided.
    pub voided: usize,
    intervals: Vec<(u64, u64)>,
}

impl RangeBook {
    /// Reads a data directory's journal.
    ///
    /// # Panics
    /// The journal is damaged, or tells of batches or workers that it has not told of before.
    #[must_use]
    pub fn of(data: &Path, wanted: &str) -> RangeBook {
        let mut book = RangeBook::default();
        let mut accounts: HashMap<u32, String> = HashMap::new();
        let mut open: HashMap<u32, Vec<Done>> = HashMap::new();
        let mut batches: HashMap<u64, Vec<Done>> = HashMap::new();
        let mut matured: Vec<Done> = Vec::new();
        for entry in ledger::entries(data) {
            match entry {
                Entry::WorkerSeen { index, user } => {
                    accounts.insert(index, user.account.to_string());
                }
                Entry::Unit { job, worker, key, first, count, work, duplicate, .. } if job.to_string() == wanted => {
                    let account = accounts[&worker].clone();
                    let done = Done { account, first, count: u64::from(count), work, duplicate };
                    open.entry(key).or_default().push(done);
                }
                Entry::BatchClosed { batch, job, key, units, .. } if job.to_string() == wanted => {
                    let all = open.entry(key).or_default();
                    let units = usize::try_from(units).expect("a small batch");
                    assert!((1..=all.len()).contains(&units), "batch {batch} has units that nobody did");
                    batches.insert(batch, all.drain(..units).collect());
                }
                Entry::BatchMatured { batch, .. } => {
                    if let Some(units) = batches.remove(&batch) {
                        book.matured += 1;
                        matured.extend(units);
                    }
                }
                Entry::BatchVoided { batch, .. } => book.voided += usize::from(batches.remove(&batch).is_some()),
                Entry::Payout { job, account, amount } if job.to_string() == wanted => {
                    *book.paid.entry(account.to_string()).or_default() += amount;
                }
                _ => {}
            }
        }
        book.count(matured);
        book
    }

    /// Counts what matured. A duplicate counts where the original of it was voided, else only its account is paid for it.
    fn count(&mut self, mut matured: Vec<Done>) {
        matured.sort_by_key(|unit| (unit.first, unit.count, unit.duplicate));
        let mut last = None;
        for unit in matured {
            let interval = (unit.first, unit.count);
            if unit.duplicate && last == Some(interval) {
                continue;
            }
            last = Some(interval);
            self.intervals.push(interval);
            *self.units.entry(unit.account.clone()).or_default() += 1;
            *self.work.entry(unit.account).or_default() += unit.work;
        }
    }

    /// The elements that matured, in order; one that is paid twice comes twice.
    pub fn elements(&self) -> impl Iterator<Item = u64> + '_ {
        self.intervals.iter().flat_map(|(first, count)| *first..first + count)
    }

    /// Work of all accounts.
    #[must_use]
    pub fn total_work(&self) -> u128 {
        self.work.values().sum()
    }

    /// That each account has got its part of `pot` by its work out of `total`, but for what rounding leaves over in a batch.
    ///
    /// # Panics
    /// One has got another amount.
    pub fn check_pay(&self, pot: u128, total: u128) {
        let accounts: Vec<&String> = self.work.keys().collect();
        assert_eq!(accounts, self.paid.keys().collect::<Vec<_>>(), "who worked is paid, and nobody else");
        for (account, work) in &self.work {
            let (due, paid) = (pot * work / total, self.paid[account]);
            assert!(paid.abs_diff(due) <= 1 + self.matured as u128, "{account} was paid {paid}, due is {due}");
        }
    }
}
