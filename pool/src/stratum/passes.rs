//! Passes: what a miner moves inputs and results with over HTTP, by a token that lasts as long as its connection and a
//! little longer, so that a transfer can end.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lode_protocol::{Digest, hex};

use crate::blobs::{Guest, Owner, Queue, Quota, Stored};
use crate::ledger::entry::Millis;

/// How long a token outlives its connection.
pub const LINGER_MS: Millis = 60_000;
/// Most tokens at a time.
pub const PASSES_MAX: usize = 65_536;
/// Most uploads of a connection at a time.
const UPLOADS_MAX: usize = 4;

/// One connection's.
#[derive(Debug)]
pub struct Pass {
    guest: Guest,
    /// Units that it holds at most.
    slots: u32,
    /// Bytes of the largest result that it may upload now, and of the largest ever.
    largest: AtomicU64,
    largest_ever: AtomicU64,
    /// What it uploaded last, newest last: twice as many as it holds units, since a unit may be revoked whose result
    /// is here. The mutex is held for lines that never wait.
    results: Mutex<VecDeque<(Digest, u64)>>,
    /// When its connection ended; 0 while it is here.
    ended_at: AtomicU64,
}

impl Pass {
    /// For whoever holds at most `slots` units.
    #[must_use]
    pub fn new(guest: Guest, slots: u32) -> Pass {
        Pass {
            guest,
            slots: slots.max(1),
            largest: AtomicU64::new(0),
            largest_ever: AtomicU64::new(0),
            results: Mutex::default(),
            ended_at: AtomicU64::new(0),
        }
    }

    /// Who its uploads are of until they are submitted.
    #[must_use]
    pub fn owner(&self) -> Owner {
        self.guest.owner()
    }

    /// Says how many bytes the largest result of the units held has.
    pub fn hold(&self, bytes: u64) {
        self.largest.store(bytes, Ordering::Relaxed);
        self.largest_ever.fetch_max(bytes, Ordering::Relaxed);
    }

    /// What may be uploaded; nothing where no unit is held.
    #[must_use]
    pub fn quota(&self) -> Option<Quota> {
        let blob_bytes = self.largest.load(Ordering::Relaxed);
        let count = u64::from(self.slots) * 2 + UPLOADS_MAX as u64;
        let bytes = crate::blobs::charge(self.largest_ever.load(Ordering::Relaxed)).saturating_mul(count);
        let (uploads, queue) = (UPLOADS_MAX, Queue::Results);
        (blob_bytes > 0).then_some(Quota { blob_bytes, bytes, uploads, queue })
    }

    fn results(&self) -> MutexGuard<'_, VecDeque<(Digest, u64)>> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a result that is here, and gives up the oldest of too many. Blocks on the disk.
    pub fn arrived(&self, stored: &Stored) {
        let mut results = self.results();
        results.retain(|(digest, _)| *digest != stored.digest);
        results.push_back((stored.digest, stored.bytes));
        let oldest = if results.len() > 2 * self.slots as usize { results.pop_front() } else { None };
        drop(results);
        if let Some((digest, _)) = oldest
            && let Err(error) = self.guest.release(&digest)
        {
            tracing::warn!(%digest, %error, "a result that nobody submitted stays until its connection ends");
        }
    }

    /// Whether a result of so many bytes was uploaded.
    #[must_use]
    pub fn has(&self, digest: &Digest, bytes: u64) -> bool {
        self.results().contains(&(*digest, bytes))
    }

    fn is_over(&self, now: Millis) -> bool {
        let ended_at = self.ended_at.load(Ordering::Relaxed);
        ended_at != 0 && now >= ended_at.saturating_add(LINGER_MS)
    }
}

/// All passes, by the digest of their token: a look-up takes no time that tells of tokens near to it.
#[derive(Debug, Default)]
pub struct Passes {
    /// Held for lines that never wait.
    passes: Mutex<HashMap<[u8; 32], Arc<Pass>>>,
}

fn name(token: &str) -> [u8; 32] {
    *blake3::hash(token.as_bytes()).as_bytes()
}

impl Passes {
    fn passes(&self) -> MutexGuard<'_, HashMap<[u8; 32], Arc<Pass>>> {
        self.passes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token for this pass; none where there are too many.
    #[must_use]
    pub fn issue(&self, pass: Arc<Pass>, now: Millis) -> Option<String> {
        self.purge(now);
        let token = hex::encode(&rand::random::<[u8; 32]>());
        let mut passes = self.passes();
        if passes.len() >= PASSES_MAX {
            return None;
        }
        passes.insert(name(&token), pass);
        Some(token)
    }

    /// The pass of a token.
    #[must_use]
    pub fn find(&self, token: &str, now: Millis) -> Option<Arc<Pass>> {
        self.passes().get(&name(token)).filter(|pass| !pass.is_over(now)).cloned()
    }

    /// Its connection has ended.
    pub fn end(&self, pass: &Pass, now: Millis) {
        pass.ended_at.store(now.max(1), Ordering::Relaxed);
    }

    /// Its key is banned: the token is worth nothing from now on.
    pub fn cancel(&self, pass: &Arc<Pass>) {
        self.passes().retain(|_, known| !Arc::ptr_eq(known, pass));
    }

    /// Forgets those whose time is up, with what they left.
    pub fn purge(&self, now: Millis) {
        let over: Vec<Arc<Pass>> =
            self.passes().extract_if(|_, pass| pass.is_over(now)).map(|(_, pass)| pass).collect();
        // Dropped here, without the lock: files may be removed.
        drop(over);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::{Blobs, Limits};
    use crate::clock::Clock;

    fn blobs(dir: &std::path::Path) -> Blobs {
        let (blob_bytes, sponsor_bytes, total_bytes) = (1 << 20, 1 << 20, 1 << 20);
        let (uploads, uploads_per_sponsor, result_uploads) = (1, 1, 4);
        let limits = Limits { blob_bytes, sponsor_bytes, total_bytes, uploads, uploads_per_sponsor, result_uploads };
        Blobs::open(dir, limits, Clock::new(|| 1)).unwrap()
    }

    #[test]
    fn a_token_lasts_a_little_longer_than_its_connection() {
        let dir = tempfile::tempdir().unwrap();
        let passes = Passes::default();
        let pass = Arc::new(Pass::new(blobs(dir.path()).guest(), 2));
        let token = passes.issue(pass.clone(), 0).unwrap();
        assert_eq!(token.len(), 64);
        assert!(Arc::ptr_eq(&passes.find(&token, 1 << 40).unwrap(), &pass));
        assert!(passes.find(&token[1..], 0).is_none() && passes.find("", 0).is_none());
        passes.end(&pass, 100);
        assert!(passes.find(&token, 99 + LINGER_MS).is_some() && passes.find(&token, 100 + LINGER_MS).is_none());
        passes.purge(100 + LINGER_MS);
        assert_eq!(passes.passes().len(), 0);
        let other = passes.issue(pass.clone(), 0).unwrap();
        passes.cancel(&pass);
        assert!(passes.find(&other, 0).is_none());
    }

    #[test]
    fn results_are_known_by_digest_and_size_and_the_oldest_are_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = blobs(dir.path());
        let pass = Pass::new(blobs.guest(), 2);
        assert_eq!(pass.quota(), None, "it holds nothing");
        pass.hold(100);
        let quota = pass.quota().unwrap();
        assert_eq!((quota.blob_bytes, quota.uploads), (100, UPLOADS_MAX));
        let stored: Vec<Stored> = (0u8..5).map(|byte| blobs.put(&pass.owner(), &[byte; 100]).unwrap()).collect();
        for result in &stored[..4] {
            pass.arrived(result);
        }
        pass.arrived(&stored[0]);
        pass.arrived(&stored[4]);
        let there: Vec<bool> = stored.iter().map(|result| blobs.owns(&pass.owner(), &result.digest)).collect();
        assert_eq!(there, [true, false, true, true, true], "the one that came again is not the oldest");
        assert!(
            pass.has(&stored[0].digest, 100) && !pass.has(&stored[0].digest, 99) && !pass.has(&stored[1].digest, 100)
        );
        pass.hold(0);
        assert_eq!(pass.quota(), None);
    }
}
