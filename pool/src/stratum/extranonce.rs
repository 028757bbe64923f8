//! Extranonce1: a search space of its own for each connection.
//!
//! Values count up from a random start. One that is in use, or that a session which may still resume
//! has, is never given to another connection. A session's id carries its value and a keyed hash of
//! it, so that a session can resume after a restart of the pool too.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use lode_protocol::hex;

use crate::clock::Clock;
use crate::ledger::entry::Millis;

/// How long a session may be away and still get its search space back.
pub const RESUME_MS: u64 = 10 * 60 * 1000;
/// Most sessions that are remembered for it; never more than a quarter of all values.
const PARKED_MAX: usize = 100_000;

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    live: HashSet<u64>,
    /// Until when a value is kept for its session.
    parked: HashMap<u64, Millis>,
    /// The same by time, so that the oldest is found.
    by_time: BTreeMap<(Millis, u64), ()>,
}

/// The allocator. Its mutex is held for a few lines that never wait.
#[derive(Debug)]
pub struct Extranonces {
    bytes: usize,
    prefix: Vec<u8>,
    key: [u8; 32],
    inner: Mutex<Inner>,
}

/// A search space, given back when dropped.
#[derive(Debug)]
pub struct Lease {
    value: u64,
    /// The bytes of extranonce1.
    pub extranonce1: Vec<u8>,
    /// What the session resumes by.
    pub session: String,
    /// Whether it is a session's of before.
    pub resumed: bool,
    owner: Arc<Extranonces>,
    clock: Clock,
}

impl Extranonces {
    /// Spaces of `bytes` bytes, counted from `start` (its last eight bytes; what is before them stays
    /// as it is). `key` makes the sessions' ids.
    #[must_use]
    pub fn new(start: &[u8], key: [u8; 32]) -> Extranonces {
        let counted = start.len().min(8);
        let (prefix, counter) = start.split_at(start.len() - counted);
        let next = counter.iter().fold(0u64, |value, &byte| value << 8 | u64::from(byte));
        let inner = Mutex::new(Inner { next, ..Inner::default() });
        Extranonces { bytes: start.len(), prefix: prefix.to_vec(), key, inner }
    }

    /// Bytes of extranonce1.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many values there are, as a mask of the counter.
    fn mask(&self) -> u64 {
        if self.bytes >= 8 { u64::MAX } else { (1 << (8 * self.bytes)) - 1 }
    }

    fn session_id(&self, value: u64) -> String {
        let mac = blake3::keyed_hash(&self.key, &value.to_be_bytes());
        format!("{value:016x}{}", hex::encode(&mac.as_bytes()[..8]))
    }

    /// The value of a session's id, if it is one of ours.
    fn value_of(&self, session: &str) -> Option<u64> {
        let value = u64::from_be_bytes(hex::decode_array(session.get(..16)?).ok()?);
        let ours = value & !self.mask() == 0;
        (ours && self.session_id(value) == session).then_some(value)
    }

    /// A search space: that of `session` if it may have it back, otherwise one of its own. `None`
    /// when all are in use.
    pub fn lease(self: &Arc<Self>, session: Option<&str>, clock: &Clock) -> Option<Lease> {
        let wanted = session.and_then(|session| self.value_of(session));
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.expire(clock.now(), PARKED_MAX.min(usize::try_from(self.mask() / 4).unwrap_or(PARKED_MAX)));
        let wanted = wanted.filter(|value| !inner.live.contains(value));
        let resumed = wanted.is_some();
        let value = match wanted {
            Some(value) => value,
            None => inner.fresh(self.mask())?,
        };
        inner.unpark(value);
        inner.live.insert(value);
        drop(inner);
        let counter = value.to_be_bytes();
        let extranonce1 = [&self.prefix[..], &counter[8 - self.bytes.min(8)..]].concat();
        let (owner, clock) = (self.clone(), clock.clone());
        Some(Lease { value, extranonce1, session: self.session_id(value), resumed, owner, clock })
    }
}

impl Inner {
    fn unpark(&mut self, value: u64) {
        if let Some(until) = self.parked.remove(&value) {
            self.by_time.remove(&(until, value));
        }
    }

    fn expire(&mut self, now: Millis, parked_max: usize) {
        while let Some((&(until, value), ())) = self.by_time.first_key_value() {
            if until > now && self.parked.len() <= parked_max {
                break;
            }
            self.by_time.pop_first();
            self.parked.remove(&value);
        }
    }

    fn fresh(&mut self, mask: u64) -> Option<u64> {
        // One more look than there are values taken always finds a free one, if there is any.
        for _ in 0..=self.live.len() + self.parked.len() {
            let value = self.next & mask;
            self.next = self.next.wrapping_add(1);
            if !self.live.contains(&value) && !self.parked.contains_key(&value) {
                return Some(value);
            }
        }
        None
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let now = self.clock.now();
        let mut inner = self.owner.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.live.remove(&self.value);
        inner.parked.insert(self.value, now + RESUME_MS);
        inner.by_time.insert((now + RESUME_MS, self.value), ());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn of(start: &[u8]) -> Arc<Extranonces> {
        Arc::new(Extranonces::new(start, [1; 32]))
    }

    fn at(now: Millis) -> Clock {
        Clock::new(move || now)
    }

    #[test]
    fn each_connection_has_its_own_and_a_closed_one_is_kept_for_its_session() {
        let all = of(&[0xff, 0xff]);
        let first = all.lease(None, &at(0)).unwrap();
        let second = all.lease(None, &at(0)).unwrap();
        assert_eq!((&first.extranonce1[..], &second.extranonce1[..]), (&[0xff, 0xff][..], &[0, 0][..]));
        let session = first.session.clone();
        drop(first);
        assert_eq!(all.lease(None, &at(1)).unwrap().extranonce1, [0, 1]);
        assert_eq!(all.lease(Some(&session), &at(2)).unwrap().extranonce1, [0xff, 0xff]);
    }

    #[test]
    fn a_session_that_is_still_open_is_not_given_twice() {
        let all = of(&[0, 7]);
        let first = all.lease(None, &at(0)).unwrap();
        assert_ne!(all.lease(Some(&first.session), &at(0)).unwrap().extranonce1, first.extranonce1);
    }

    #[test]
    fn sessions_resume_across_a_restart_and_cannot_be_made_up() {
        let session = of(&[0, 7]).lease(None, &at(0)).unwrap().session.clone();
        assert_eq!(of(&[0x55, 0x55]).lease(Some(&session), &at(0)).unwrap().extranonce1, [0, 7]);
        let forged = session.replace("0000000000000007", "0000000000000009");
        assert_eq!(of(&[0x55, 0x55]).lease(Some(&forged), &at(0)).unwrap().extranonce1, [0x55, 0x55]);
        assert_eq!(of(&[0x55, 0x55]).lease(Some("é"), &at(0)).unwrap().extranonce1, [0x55, 0x55]);
    }

    #[test]
    fn all_in_use_is_none_and_time_frees_them() {
        let all = of(&[0]);
        let time = Arc::new(AtomicU64::new(0));
        let clock = Clock::new({
            let time = time.clone();
            move || time.load(Ordering::Relaxed)
        });
        let leases: Vec<Lease> = (0..256).map(|_| all.lease(None, &clock).unwrap()).collect();
        assert!(all.lease(None, &clock).is_none());
        drop(leases);
        let again: Vec<Lease> = std::iter::from_fn(|| all.lease(None, &clock)).collect();
        assert_eq!(again.len(), 256 - 256 / 4 + 1, "a quarter is kept for the sessions of before");
        time.store(RESUME_MS, Ordering::Relaxed);
        assert!(all.lease(None, &clock).is_some());
    }

    #[test]
    fn long_ones_keep_their_prefix() {
        let mut start = [0; 24];
        start[23] = 1;
        let all = of(&start);
        assert_eq!(all.lease(None, &at(0)).unwrap().extranonce1, start);
    }
}
