//! Keys of miners, which trust is attached to: their numbers, how often their batches were clean, and bans.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// A key as the ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinerKey {
    /// The public key.
    pub key: [u8; 32],
    /// Batches of it that were found clean since the last that was not.
    pub clean_batches: u32,
    /// Batches that were found void.
    pub voids: u32,
    /// Units that it delivered, ever.
    pub units: u64,
    /// Whether it gets no work any more.
    pub banned: bool,
}

/// All keys that ever delivered a unit, by number.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    list: Vec<MinerKey>,
    numbers: HashMap<[u8; 32], u32>,
}

impl Keys {
    /// Gives a key its number, which is `index`; false where it has one, or `index` is not the next.
    pub(super) fn add(&mut self, index: u32, key: [u8; 32]) -> bool {
        if usize::try_from(index) != Ok(self.list.len()) || self.numbers.contains_key(&key) {
            return false;
        }
        self.numbers.insert(key, index);
        self.list.push(MinerKey { key, clean_batches: 0, voids: 0, units: 0, banned: false });
        true
    }

    /// The number that the next new key gets.
    pub(super) fn next(&self) -> u32 {
        u32::try_from(self.list.len()).expect("fewer than 2^32 keys were ever seen")
    }

    /// The number of a key that was seen before.
    #[must_use]
    pub fn number(&self, key: &[u8; 32]) -> Option<u32> {
        self.numbers.get(key).copied()
    }

    /// A key by its number.
    #[must_use]
    pub fn get(&self, index: u32) -> Option<&MinerKey> {
        self.list.get(index as usize)
    }

    /// A key by itself.
    #[must_use]
    pub fn find(&self, key: &[u8; 32]) -> Option<&MinerKey> {
        self.get(self.number(key)?)
    }

    /// All keys, by number.
    #[must_use]
    pub fn all(&self) -> &[MinerKey] {
        &self.list
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut MinerKey> {
        self.list.get_mut(index as usize)
    }
}

impl MinerKey {
    /// Whether all units of its next batch are checked.
    #[must_use]
    pub fn is_new(&self, clean_batches: u32) -> bool {
        self.clean_batches < clean_batches
    }

    pub(super) fn delivered(&mut self) {
        self.units += 1;
    }

    pub(super) fn was_clean(&mut self) {
        self.clean_batches = self.clean_batches.saturating_add(1);
    }

    pub(super) fn was_void(&mut self) {
        self.voids = self.voids.saturating_add(1);
        self.clean_batches = 0;
        self.banned = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_given_once_and_in_order() {
        let mut keys = Keys::default();
        assert!(!keys.add(1, [1; 32]));
        assert!(keys.add(0, [1; 32]) && !keys.add(1, [1; 32]) && keys.add(1, [2; 32]));
        assert_eq!((keys.number(&[2; 32]), keys.number(&[3; 32]), keys.next()), (Some(1), None, 2));
    }

    #[test]
    fn trust_is_earned_by_clean_batches_and_lost_by_one_void() {
        let mut keys = Keys::default();
        keys.add(0, [1; 32]);
        let key = keys.get_mut(0).unwrap();
        assert!(key.is_new(1) && !key.is_new(0));
        key.was_clean();
        assert!(!key.is_new(1) && key.is_new(2));
        key.was_void();
        assert!(key.banned && key.is_new(1));
        assert_eq!(keys.find(&[1; 32]).unwrap().voids, 1);
    }
}
