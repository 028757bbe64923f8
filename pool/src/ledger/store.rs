//! The fold on disk, for questions: the one file that names sled.
//!
//! Every group's changed records go in as one batch together with the position they bring the store
//! to, so the store is always the fold of some prefix of the journal. It is never the only copy:
//! sled 0.34.7 does not survive every power cut, so a store that does not open, is behind, or
//! differs is moved aside and written anew from the fold.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lode_protocol::ids::{AccountName, AssetName, JobId, SponsorName};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::batch::{Batch, Verdict};
use super::cost::CostMap;
use super::entry::Shape;
use super::fold::{Account, AssetTotals, Earning, Job, Key, Sponsor, State, Worker};
use super::journal::Position;
use super::keys::MinerKey;
use super::secrets::Secret;

/// Version of the records' encoding; another one is rebuilt.
const STORE_VERSION: &[u8] = b"4";
const POSITION_KEY: &[u8] = b"m/position";
const VERSION_KEY: &[u8] = b"m/version";

/// Why the store does not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// sled failed.
    #[error("the store failed: {0}")]
    Sled(#[from] sled::Error),
    /// sled panicked.
    #[error("the store is broken: {0}")]
    Panicked(String),
    /// A directory could not be moved or synced.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// How.
        source: std::io::Error,
    },
    /// A range job's record has no cost map beside it.
    #[error("the store has no cost map of {0}")]
    NoCost(JobId),
    /// The store has entries that the journal has lost.
    #[error(
        "the store has seen {store} entries and the journal ends after {journal}: acknowledged entries are missing \
         from the journal; restore it from a copy, or remove the store's directory to accept the loss"
    )]
    Ahead {
        /// Entries that the store has.
        store: u64,
        /// Entries that the journal has.
        journal: u64,
    },
}

/// What happened to the store at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// It agreed with the journal.
    Agreed,
    /// It was brought up to the journal's end, from this many entries.
    Behind(u64),
    /// It was written anew, for this reason.
    Rebuilt(String),
}

/// A handle to the store; clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    db: sled::Db,
    path: PathBuf,
}

fn key_bytes(key: &Key) -> Vec<u8> {
    let mut bytes;
    match key {
        Key::Asset(asset) => bytes = [b"f/", asset.as_str().as_bytes()].concat(),
        Key::Sponsor(sponsor) => bytes = [b"s/", sponsor.as_str().as_bytes()].concat(),
        Key::Account(account) => bytes = [b"a/", account.as_str().as_bytes()].concat(),
        Key::Worker(index) => bytes = [&b"w/"[..], &index.to_be_bytes()].concat(),
        // Apart from the account's record, which is written with each share and must stay small.
        Key::Rig(account, index) => {
            bytes = named_prefix(b"k/", account);
            bytes.extend_from_slice(&index.to_be_bytes());
        }
        Key::Job(job) => bytes = [&b"j/"[..], &job.0.to_be_bytes()].concat(),
        Key::Round(job, worker) => bytes = [&b"r/"[..], &job.0.to_be_bytes(), &worker.to_be_bytes()].concat(),
        Key::Earning(account, job) => {
            bytes = named_prefix(b"e/", account);
            bytes.extend_from_slice(&job.0.to_be_bytes());
        }
        // Apart from the job's record, which is written with each unit and must stay small.
        Key::Cost(job) => bytes = [&b"c/"[..], &job.0.to_be_bytes()].concat(),
        Key::Batch(job, batch) => bytes = [&b"b/"[..], &job.0.to_be_bytes(), &batch.to_be_bytes()].concat(),
        Key::Void(job, batch) => bytes = [&b"v/"[..], &job.0.to_be_bytes(), &batch.to_be_bytes()].concat(),
        Key::Miner(key) => bytes = [&b"x/"[..], key].concat(),
        Key::Secret(number) => bytes = [&b"h/"[..], &number.to_be_bytes()].concat(),
    }
    bytes
}

/// Names have no zero byte, so one account's keys never begin another's.
fn named_prefix(kind: &[u8], account: &AccountName) -> Vec<u8> {
    [kind, account.as_str().as_bytes(), b"\0"].concat()
}

fn json(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).expect("records are plain data with text keys")
}

/// The record of `key` in `state`; `None` where it has none.
fn record(state: &State, key: &Key) -> Option<Vec<u8>> {
    match key {
        Key::Asset(asset) => state.assets.get(asset).map(json),
        Key::Sponsor(sponsor) => state.sponsors.get(sponsor).map(json),
        Key::Account(account) => state.accounts.get(account).map(json),
        Key::Worker(index) => state.workers.get(*index as usize).map(json),
        Key::Rig(account, index) => {
            let rig = state.workers.get(*index as usize);
            rig.filter(|rig| rig.account == *account).map(|_| Vec::new())
        }
        Key::Job(job) => state.jobs.get(job).map(json),
        Key::Round(job, worker) => {
            let open = state.jobs.get(job).and_then(|job| job.rounds.get(worker));
            open.or_else(|| state.closed_rounds.get(&(*job, *worker))).map(json)
        }
        Key::Earning(account, job) => state.earnings.get(&(account.clone(), *job)).map(json),
        Key::Cost(job) => state.jobs.get(job).and_then(|job| job.terms.range()).map(|range| range.cost.to_bytes()),
        Key::Batch(job, batch) => batch_of(state, *job, *batch).map(json),
        Key::Void(job, batch) => {
            let found = batch_of(state, *job, *batch);
            found.filter(|batch| matches!(batch.verdict, Verdict::Voided { .. })).map(|_| Vec::new())
        }
        Key::Miner(key) => state.keys.find(key).map(json),
        Key::Secret(number) => state.secrets.get(*number).map(json),
    }
}

fn batch_of(state: &State, job: JobId, batch: u64) -> Option<&Batch> {
    state.batches.get(usize::try_from(batch).ok()?).filter(|found| found.job == job)
}

/// Every key that `state` has a record of.
fn all_keys(state: &State) -> impl Iterator<Item = Key> {
    let workers = (0..)
        .zip(&state.workers)
        .flat_map(|(index, worker)| [Key::Worker(index), Key::Rig(worker.account.clone(), index)]);
    let open_rounds = state.jobs.iter().flat_map(|(&id, job)| job.rounds.keys().map(move |&w| Key::Round(id, w)));
    let costs = state.jobs.iter().filter(|(_, job)| job.terms.range().is_some()).map(|(&id, _)| Key::Cost(id));
    let voids = state.batches.iter().filter(|batch| matches!(batch.verdict, Verdict::Voided { .. }));
    workers
        .chain(costs)
        .chain(state.batches.iter().map(|batch| Key::Batch(batch.job, batch.batch)))
        .chain(voids.map(|batch| Key::Void(batch.job, batch.batch)))
        .chain(state.keys.all().iter().map(|key| Key::Miner(key.key)))
        .chain(state.secrets.all().iter().map(|secret| Key::Secret(secret.number)))
        .chain(open_rounds)
        .chain(state.closed_rounds.keys().map(|&(job, worker)| Key::Round(job, worker)))
        .chain(state.assets.keys().cloned().map(Key::Asset))
        .chain(state.sponsors.keys().cloned().map(Key::Sponsor))
        .chain(state.accounts.keys().cloned().map(Key::Account))
        .chain(state.jobs.keys().copied().map(Key::Job))
        .chain(state.earnings.keys().map(|(account, job)| Key::Earning(account.clone(), *job)))
}

fn position_bytes(position: Position) -> Vec<u8> {
    [&position.seq.to_be_bytes()[..], &position.head].concat()
}

/// sled's own settings, and why: its background flusher publishes file lengths past writes that are
/// still under way, which a power cut turns into a hole that it cannot read; so it is off, and
/// [`Store::checkpoint`] flushes instead.
fn open_sled(path: &Path) -> Result<sled::Db, StoreError> {
    guarded(|| Ok(sled::Config::new().path(path).flush_every_ms(None).cache_capacity(64 << 20).open()?))
}

/// Runs `work` on a store that may be broken, which sled answers by a panic in places.
fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("sled panicked");
            Err(StoreError::Panicked(text.chars().take(200).collect()))
        }
    }
}

/// Moves a store that cannot be used out of the way, keeping one such copy for a post-mortem.
fn move_aside(path: &Path) -> Result<(), StoreError> {
    let aside = path.with_extension("broken");
    let io = |source| StoreError::Io { path: path.to_owned(), source };
    if aside.exists() {
        std::fs::remove_dir_all(&aside).map_err(io)?;
    }
    if path.exists() {
        std::fs::rename(path, &aside).map_err(io)?;
    }
    Ok(())
}

impl Store {
    /// Opens the store at `path` and makes it equal to `state`, the fold of the journal up to `end`.
    ///
    /// # Errors
    /// The disk fails, or the store has seen more than the journal has.
    pub fn open(path: &Path, state: &State, end: Position) -> Result<(Store, Opened), StoreError> {
        let fault = match open_sled(path) {
            Err(error) => error.to_string(),
            Ok(db) => {
                let store = Store { db, path: path.to_owned() };
                match guarded(|| store.agree(state, end)) {
                    Ok(Opened::Rebuilt(reason)) => reason,
                    Ok(opened) => return Ok((store, opened)),
                    Err(error @ StoreError::Ahead { .. }) => return Err(error),
                    Err(error) => error.to_string(),
                }
            }
        };
        move_aside(path)?;
        let store = Store { db: open_sled(path)?, path: path.to_owned() };
        store.write_all(state, end)?;
        Ok((store, Opened::Rebuilt(fault)))
    }

    /// Brings a store that is behind up to `state`. One that then still differs was behind on another
    /// ledger, or has been damaged, and must be rebuilt.
    fn agree(&self, state: &State, end: Position) -> Result<Opened, StoreError> {
        let found = self.compare(state, end)?;
        if matches!(found, Opened::Behind(_)) {
            self.write_all(state, end)?;
            if let Some(reason) = self.difference(state)? {
                return Ok(Opened::Rebuilt(reason));
            }
        }
        Ok(found)
    }

    /// How this store stands to `state`: equal, behind, or in need of being rebuilt.
    fn compare(&self, state: &State, end: Position) -> Result<Opened, StoreError> {
        let Some(found) = self.db.get(POSITION_KEY)? else {
            let empty = self.db.is_empty();
            let why = if empty { "it is empty" } else { "it has no position" };
            return Ok(if empty && end.seq <= 1 { Opened::Behind(0) } else { Opened::Rebuilt(why.into()) });
        };
        if self.db.get(VERSION_KEY)?.as_deref() != Some(STORE_VERSION) {
            return Ok(Opened::Rebuilt("it is of another version".into()));
        }
        let Some(seq) = found.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)) else {
            return Ok(Opened::Rebuilt("its position is malformed".into()));
        };
        if seq > end.seq {
            return Err(StoreError::Ahead { store: seq, journal: end.seq });
        }
        if seq < end.seq {
            return Ok(Opened::Behind(seq));
        }
        if found != position_bytes(end) {
            return Ok(Opened::Rebuilt("its head is not the journal's".into()));
        }
        Ok(self.difference(state)?.map_or(Opened::Agreed, Opened::Rebuilt))
    }

    /// The first record that differs from `state`, in words.
    ///
    /// # Errors
    /// sled fails.
    pub fn difference(&self, state: &State) -> Result<Option<String>, StoreError> {
        let mut expected = BTreeSet::new();
        for key in all_keys(state) {
            let bytes = key_bytes(&key);
            if self.db.get(&bytes)?.as_deref() != record(state, &key).as_deref() {
                return Ok(Some(format!("its record of {key:?} differs")));
            }
            expected.insert(bytes);
        }
        for item in self.db.iter() {
            let (key, _) = item?;
            if !key.starts_with(b"m/") && !expected.contains(&*key) {
                return Ok(Some(format!("it has a record {:?} too many", String::from_utf8_lossy(&key))));
            }
        }
        Ok(None)
    }

    fn write_all(&self, state: &State, end: Position) -> Result<(), StoreError> {
        /// Records of a batch while rebuilding.
        const CHUNK: usize = 4096;
        let keys: Vec<Key> = all_keys(state).collect();
        for chunk in keys.chunks(CHUNK) {
            let mut batch = sled::Batch::default();
            for key in chunk {
                batch.insert(key_bytes(key), record(state, key).expect("all_keys names records that are there"));
            }
            self.db.apply_batch(batch)?;
        }
        let mut batch = sled::Batch::default();
        batch.insert(VERSION_KEY, STORE_VERSION);
        batch.insert(POSITION_KEY, position_bytes(end));
        self.db.apply_batch(batch)?;
        self.checkpoint()
    }

    /// Writes the records of `keys` and the position they bring the store to, all or nothing.
    ///
    /// # Errors
    /// sled fails.
    pub fn apply(&self, state: &State, keys: &BTreeSet<Key>, end: Position) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for key in keys {
            match record(state, key) {
                Some(record) => batch.insert(key_bytes(key), record),
                None => batch.remove(key_bytes(key)),
            }
        }
        batch.insert(VERSION_KEY, STORE_VERSION);
        batch.insert(POSITION_KEY, position_bytes(end));
        Ok(self.db.apply_batch(batch)?)
    }

    /// Brings what was applied to stable storage. sled's own flush does not wait for the disk.
    ///
    /// # Errors
    /// The disk fails.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        self.db.flush()?;
        let file = self.path.join("db");
        std::fs::File::open(&file)
            .and_then(|file| file.sync_data())
            .map_err(|source| StoreError::Io { path: file, source })
    }

    fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, StoreError> {
        Ok(self.db.get(key_bytes(key))?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// A sponsor.
    ///
    /// # Errors
    /// sled fails.
    pub fn sponsor(&self, sponsor: &SponsorName) -> Result<Option<Sponsor>, StoreError> {
        self.get(&Key::Sponsor(sponsor.clone()))
    }

    /// An account.
    ///
    /// # Errors
    /// sled fails.
    pub fn account(&self, account: &AccountName) -> Result<Option<Account>, StoreError> {
        self.get(&Key::Account(account.clone()))
    }

    /// At most `most` of an account's rigs, and how many there are.
    ///
    /// # Errors
    /// sled fails.
    pub fn workers(&self, account: &AccountName, most: usize) -> Result<(Vec<Worker>, usize), StoreError> {
        let prefix = named_prefix(b"k/", account);
        let mut workers = Vec::new();
        let mut count = 0;
        for key in self.db.scan_prefix(&prefix).keys() {
            count += 1;
            if count > most {
                continue;
            }
            if let Some(index) = key?.get(prefix.len()..).and_then(|index| index.first_chunk()) {
                workers.extend(self.get(&Key::Worker(u32::from_be_bytes(*index)))?);
            }
        }
        Ok((workers, count))
    }

    /// A job.
    ///
    /// # Errors
    /// sled fails.
    pub fn job(&self, job: JobId) -> Result<Option<Job>, StoreError> {
        self.get(&Key::Job(job))?.map(|job| self.with_cost(job)).transpose()
    }

    /// Puts the cost map of a range job into its terms, which are kept without.
    fn with_cost(&self, mut job: Job) -> Result<Job, StoreError> {
        let id = job.terms.job;
        if let Shape::Range(range) = &mut job.terms.shape {
            let bytes = self.db.get(key_bytes(&Key::Cost(id)))?;
            let cost = bytes.and_then(|bytes| CostMap::from_bytes(&bytes).ok()).ok_or(StoreError::NoCost(id))?;
            range.cost = Arc::new(cost);
        }
        Ok(job)
    }

    /// Jobs with an id below `before`, newest first.
    ///
    /// # Errors
    /// sled fails.
    pub fn jobs_before(&self, before: JobId, most: usize) -> Result<Vec<Job>, StoreError> {
        let range = self.db.range(key_bytes(&Key::Job(JobId(0)))..key_bytes(&Key::Job(before)));
        records(range.rev().take(most))?.into_iter().map(|job| self.with_cost(job)).collect()
    }

    /// Closed batches of a job with a number below `before`, newest first.
    ///
    /// # Errors
    /// sled fails.
    pub fn batches_before(&self, job: JobId, before: u64, most: usize) -> Result<Vec<Batch>, StoreError> {
        let range = self.db.range(key_bytes(&Key::Batch(job, 0))..key_bytes(&Key::Batch(job, before)));
        records(range.rev().take(most))
    }

    /// Those of them that are void.
    ///
    /// # Errors
    /// sled fails.
    pub fn voids_before(&self, job: JobId, before: u64, most: usize) -> Result<Vec<Batch>, StoreError> {
        let first = key_bytes(&Key::Void(job, 0));
        let numbers = first.len() - size_of::<u64>();
        let mut rows = Vec::new();
        for key in self.db.range(first..key_bytes(&Key::Void(job, before))).keys().rev().take(most) {
            if let Some(batch) = key?.get(numbers..).and_then(|batch| batch.first_chunk()) {
                rows.extend(self.get(&Key::Batch(job, u64::from_be_bytes(*batch)))?);
            }
        }
        Ok(rows)
    }

    /// What the pool has of an asset: its fees, less what went out for duplicates.
    ///
    /// # Errors
    /// sled fails.
    pub fn fees(&self, asset: &AssetName) -> Result<u128, StoreError> {
        let totals: Option<AssetTotals> = self.get(&Key::Asset(asset.clone()))?;
        Ok(totals.map_or(0, |totals| totals.fees))
    }

    /// A miner's key.
    ///
    /// # Errors
    /// sled fails.
    pub fn miner_key(&self, key: &[u8; 32]) -> Result<Option<MinerKey>, StoreError> {
        self.get(&Key::Miner(*key))
    }

    /// Secrets of draws with a number below `before`, newest first.
    ///
    /// # Errors
    /// sled fails.
    pub fn secrets_before(&self, before: u64, most: usize) -> Result<Vec<Secret>, StoreError> {
        let range = self.db.range(key_bytes(&Key::Secret(0))..key_bytes(&Key::Secret(before)));
        records(range.rev().take(most))
    }

    /// An account's earnings in jobs with an id below `before`, newest first.
    ///
    /// # Errors
    /// sled fails.
    pub fn earnings_before(
        &self,
        account: &AccountName,
        before: JobId,
        most: usize,
    ) -> Result<Vec<(JobId, Earning)>, StoreError> {
        let first = named_prefix(b"e/", account);
        let prefix = first.len();
        let range = self.db.range(first..key_bytes(&Key::Earning(account.clone(), before)));
        let mut rows = Vec::new();
        for item in range.rev().take(most) {
            let (key, value) = item?;
            let job = key.get(prefix..).and_then(|id| id.first_chunk()).map(|id| JobId(u64::from_be_bytes(*id)));
            if let (Some(job), Ok(earning)) = (job, serde_json::from_slice(&value)) {
                rows.push((job, earning));
            }
        }
        Ok(rows)
    }
}

fn records<T: DeserializeOwned>(
    items: impl Iterator<Item = sled::Result<(sled::IVec, sled::IVec)>>,
) -> Result<Vec<T>, StoreError> {
    let mut rows = Vec::new();
    for item in items {
        let (_, value) = item?;
        rows.extend(serde_json::from_slice(&value).ok());
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::entry::Entry;

    /// A ledger in which these accounts have a rig each.
    fn state(accounts: &[&str]) -> State {
        let mut state = State::default();
        state.apply(&Entry::PoolOpened { pool: [1; 16], at: 1 }).unwrap();
        for (index, account) in (0..).zip(accounts) {
            let user = format!("{account}.rig").parse().unwrap();
            state.apply(&Entry::WorkerSeen { index, user }).unwrap();
        }
        state
    }

    fn end(seq: u64) -> Position {
        Position { seq, head: [seq.to_be_bytes()[7]; 32] }
    }

    #[test]
    fn an_accounts_record_is_small_however_many_rigs_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let mut state = state(&[]);
        for index in 0..10_000 {
            let user = format!("alice.r{index}").parse().unwrap();
            state.apply(&Entry::WorkerSeen { index, user }).unwrap();
        }
        let user = "alice2.rig".parse().unwrap();
        state.apply(&Entry::WorkerSeen { index: 10_000, user }).unwrap();
        let (store, _) = Store::open(&dir.path().join("store"), &state, end(9)).unwrap();
        let alice: AccountName = "alice".parse().unwrap();
        assert_eq!(store.workers(&alice, 20_000).unwrap(), (state.workers[..10_000].to_vec(), 10_000));
        assert_eq!(store.workers(&alice, 3).unwrap(), (state.workers[..3].to_vec(), 10_000));
        // It is written with every share of the account.
        assert!(record(&state, &Key::Account(alice)).unwrap().len() < 200);
    }

    #[test]
    fn a_store_that_is_behind_catches_up_and_one_of_another_ledger_is_rebuilt() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        let open = |accounts: &[&str], seq| Store::open(&path, &state(accounts), end(seq)).unwrap();
        let bob: AccountName = "bob".parse().unwrap();
        assert_eq!(open(&["alice"], 2).1, Opened::Rebuilt("it is empty".into()));
        assert_eq!(open(&["alice"], 2).1, Opened::Agreed);
        assert_eq!(open(&["alice", "bob"], 3).1, Opened::Behind(2));
        let (store, opened) = open(&["alice", "carol", "dora"], 4);
        assert!(matches!(opened, Opened::Rebuilt(_)), "{opened:?}");
        assert_eq!(store.account(&bob).unwrap(), None);
        drop(store);
        assert!(matches!(Store::open(&path, &state(&[]), end(1)), Err(StoreError::Ahead { store: 4, journal: 1 })));
    }
}
