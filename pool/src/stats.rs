//! Work within the last minutes and hours, by account. Kept in memory in small buckets of time,
//! filled from the ledger at the start; a statistic, never a figure of record.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use lode_protocol::api::WorkWindows;
use lode_protocol::ids::AccountName;
use lode_protocol::{Algorithm, Work};

use crate::ledger::entry::{Effort, Millis};

const FINE_MS: u64 = 5_000;
const FINE_KEPT_MS: u64 = 15 * 60_000;
const COARSE_MS: u64 = 60_000;
/// Shares older than this are in no window.
pub const KEPT_MS: u64 = 24 * 3_600_000;

/// Sums of work in buckets of one length, oldest first.
#[derive(Debug, Default)]
struct Buckets(VecDeque<(u64, u128)>);

impl Buckets {
    fn add(&mut self, index: u64, work: u128, kept: u64) {
        match self.0.back_mut() {
            Some((last, sum)) if *last >= index => *sum = sum.saturating_add(work),
            _ => self.0.push_back((index, work)),
        }
        while self.0.front().is_some_and(|(first, _)| first + kept < index) {
            self.0.pop_front();
        }
    }

    fn since(&self, index: u64) -> Work {
        let recent = self.0.iter().rev().take_while(|(at, _)| *at >= index);
        Work(recent.fold(0, |sum, (_, work)| sum.saturating_add(*work)))
    }
}

#[derive(Debug, Default)]
struct Series {
    fine: Buckets,
    coarse: Buckets,
}

impl Series {
    fn add(&mut self, work: u128, at: Millis) {
        self.fine.add(at / FINE_MS, work, FINE_KEPT_MS / FINE_MS);
        self.coarse.add(at / COARSE_MS, work, KEPT_MS / COARSE_MS);
    }

    fn windows(&self, all: Work, now: Millis) -> WorkWindows {
        let fine = |ms: u64| self.fine.since((now.saturating_sub(ms) / FINE_MS) + 1);
        let coarse = |ms: u64| self.coarse.since((now.saturating_sub(ms) / COARSE_MS) + 1);
        WorkWindows { m1: fine(60_000), m15: fine(FINE_KEPT_MS), h1: coarse(3_600_000), h24: coarse(KEPT_MS), all }
    }
}

#[derive(Debug, Default)]
struct Inner {
    pool: Series,
    algorithms: BTreeMap<Algorithm, Series>,
    /// Of range jobs, by their kind.
    kinds: BTreeMap<String, Series>,
    accounts: HashMap<AccountName, Series>,
    totals: BTreeMap<AccountName, (u128, u64)>,
    all: u128,
}

/// The statistics. The mutex is held for a few lines that never wait.
#[derive(Debug, Default)]
pub struct Stats {
    inner: Mutex<Inner>,
}

impl Stats {
    /// Counts a share.
    pub fn share(&self, account: &AccountName, effort: Effort<'_>, work: u128, at: Millis) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.all = inner.all.saturating_add(work);
        inner.pool.add(work, at);
        match effort {
            Effort::Hashes(algorithm) => inner.algorithms.entry(algorithm).or_default().add(work, at),
            Effort::Elements(kind) => match inner.kinds.get_mut(kind) {
                Some(series) => series.add(work, at),
                None => inner.kinds.entry(kind.to_owned()).or_default().add(work, at),
            },
        }
        let total = inner.totals.entry(account.clone()).or_default();
        *total = (total.0.saturating_add(work), total.1 + 1);
        inner.accounts.entry(account.clone()).or_default().add(work, at);
    }

    /// Takes work back from an account, as its batch is void. What was done within a window stays in it.
    pub fn take_back(&self, account: &AccountName, work: u128) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.all = inner.all.saturating_sub(work);
        if let Some(total) = inner.totals.get_mut(account) {
            total.0 = total.0.saturating_sub(work);
        }
    }

    /// The pool's windows.
    #[must_use]
    pub fn pool(&self, now: Millis) -> WorkWindows {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.pool.windows(Work(inner.all), now)
    }

    /// An account's windows.
    #[must_use]
    pub fn account(&self, account: &AccountName, now: Millis) -> WorkWindows {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let all = Work(inner.totals.get(account).map_or(0, |total| total.0));
        inner.accounts.get(account).map_or_else(WorkWindows::default, |series| series.windows(all, now))
    }

    /// Accounts that ever proved work.
    #[must_use]
    pub fn accounts(&self) -> u64 {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).totals.len() as u64
    }

    /// Accounts by work, most first: account, work, shares.
    #[must_use]
    pub fn leaders(&self) -> Vec<(AccountName, u128, u64)> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows: Vec<_> =
            inner.totals.iter().map(|(name, &(work, shares))| (name.clone(), work, shares)).collect();
        drop(inner);
        rows.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        rows
    }

    /// Work per second of the pool's miners of this effort, by the last minute or, where that is empty, quarter hour.
    #[must_use]
    pub fn rate(&self, effort: Effort<'_>, now: Millis) -> Option<u128> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let series = match effort {
            Effort::Hashes(algorithm) => inner.algorithms.get(&algorithm),
            Effort::Elements(kind) => inner.kinds.get(kind),
        };
        let windows = series?.windows(Work::default(), now);
        drop(inner);
        let minute = windows.m1.0 / 60;
        let rate = if minute > 0 { minute } else { windows.m15.0 / 900 };
        (rate > 0).then_some(rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_hold_what_is_within_them() {
        let stats = Stats::default();
        let alice: AccountName = "alice".parse().unwrap();
        let start: u64 = 1_790_000_000_000;
        let scrypt = Effort::Hashes(Algorithm::Scrypt);
        for (age_s, work) in [(90_000, 1), (80_000, 10), (3_000, 100), (600, 1_000), (10, 10_000)] {
            stats.share(&alice, scrypt, work, start - age_s * 1000);
        }
        let windows = stats.account(&alice, start);
        assert_eq!(windows.m1, Work(10_000));
        assert_eq!(windows.m15, Work(11_000));
        assert_eq!(windows.h1, Work(11_100));
        assert_eq!(windows.h24, Work(11_110));
        assert_eq!(windows.all, Work(11_111));
        assert_eq!(stats.pool(start), windows);
        assert_eq!(stats.rate(scrypt, start), Some(10_000 / 60));
        for other in [Effort::Hashes(Algorithm::Sha256d), Effort::Elements("render")] {
            assert_eq!(stats.rate(other, start), None);
        }
        assert_eq!(stats.pool(start + 120_000).m1, Work(0));
        stats.take_back(&alice, 10_000);
        assert_eq!((stats.pool(start).all, stats.leaders()[0].1), (Work(1_111), 1_111));
    }

    #[test]
    fn memory_per_account_is_bounded() {
        let stats = Stats::default();
        let alice: AccountName = "alice".parse().unwrap();
        for second in 0..200_000u64 {
            stats.share(&alice, Effort::Elements("render"), 1, second * 1000);
        }
        let inner = stats.inner.lock().unwrap();
        let series = &inner.accounts[&alice];
        assert!(series.fine.0.len() <= 182 && series.coarse.0.len() <= 1442);
    }
}
