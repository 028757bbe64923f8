//! Elements that miners released as impossible. One key's word is nothing; when a second key says it of the same
//! elements, the pool computes them itself. Pure.

use std::collections::VecDeque;

use super::units::Key;

/// Most releases that are remembered of a job; the oldest is forgotten first.
const DOUBTS_MAX: usize = 256;

/// One release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Doubt {
    first: u64,
    count: u64,
    key: Key,
}

impl Doubt {
    fn end(&self) -> u64 {
        self.first.saturating_add(self.count)
    }
}

/// The releases of a job that are not judged yet.
#[derive(Debug, Default)]
pub(super) struct Doubts(VecDeque<Doubt>);

impl Doubts {
    /// Notes a release; gives the elements that another key released as well, and that key.
    pub(super) fn note(&mut self, first: u64, count: u64, key: Key) -> Option<(u64, u64, Key)> {
        let doubt = Doubt { first, count, key };
        let both = |other: &Doubt| {
            let (start, end) = (first.max(other.first), doubt.end().min(other.end()));
            (other.key != key && start < end).then(|| (start, end - start, other.key))
        };
        let found = self.0.iter().find_map(both);
        if !self.0.contains(&doubt) {
            if self.0.len() >= DOUBTS_MAX {
                self.0.pop_front();
            }
            self.0.push_back(doubt);
        }
        found
    }

    /// These elements were judged: takes out what was said of them, and gives who said it.
    pub(super) fn settle(&mut self, first: u64, count: u64) -> Vec<Key> {
        let end = first.saturating_add(count);
        let of_these = |doubt: &Doubt| doubt.first < end && first < doubt.end();
        let mut keys: Vec<Key> = self.0.iter().filter(|doubt| of_these(doubt)).map(|doubt| doubt.key).collect();
        self.0.retain(|doubt| !of_these(doubt));
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Key = [1; 32];
    const B: Key = [2; 32];

    #[test]
    fn two_keys_must_say_so_of_the_same_elements() {
        let mut doubts = Doubts::default();
        assert_eq!(doubts.note(10, 10, A), None);
        assert_eq!(doubts.note(10, 10, A), None, "the same key again");
        assert_eq!(doubts.note(20, 5, B), None, "other elements");
        assert_eq!(doubts.note(15, 10, B), Some((15, 5, A)));
        assert_eq!(doubts.settle(15, 5), [A, B]);
        assert_eq!(doubts.note(15, 5, B), None, "it is judged");
        assert_eq!(doubts.settle(100, 5), [] as [Key; 0]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut doubts = Doubts::default();
        for first in 0..10 * DOUBTS_MAX as u64 {
            doubts.note(first, 1, A);
        }
        assert_eq!(doubts.0.len(), DOUBTS_MAX);
        assert_eq!((doubts.note(0, 1, B), doubts.note(10 * DOUBTS_MAX as u64 - 1, 1, B).is_some()), (None, true));
    }
}
