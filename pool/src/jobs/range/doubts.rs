//! Elements that miners released as impossible. One key's word is nothing; when a second key says it of the same
//! elements, the pool computes some of them itself, for one such report of a job at a time. Pure.

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
pub(super) struct Doubts {
    releases: VecDeque<Doubt>,
    /// A report was given that has not been settled.
    reported: bool,
}

impl Doubts {
    /// Notes a release; gives the elements that another key released as well, and that key, unless what was given before
    /// is not settled yet.
    pub(super) fn note(&mut self, first: u64, count: u64, key: Key) -> Option<(u64, u64, Key)> {
        let doubt = Doubt { first, count, key };
        let both = |other: &Doubt| {
            let (start, end) = (first.max(other.first), doubt.end().min(other.end()));
            (other.key != key && start < end).then(|| (start, end - start, other.key))
        };
        let found = self.releases.iter().find_map(both).filter(|_| !self.reported);
        self.reported |= found.is_some();
        if !self.releases.contains(&doubt) {
            if self.releases.len() >= DOUBTS_MAX {
                self.releases.pop_front();
            }
            self.releases.push_back(doubt);
        }
        found
    }

    /// These elements were judged: takes out what was said of them, and gives who said it of no others.
    pub(super) fn settle(&mut self, first: u64, count: u64) -> Vec<Key> {
        self.reported = false;
        let end = first.saturating_add(count);
        let of_these = |doubt: &Doubt| doubt.first < end && first < doubt.end();
        let only_these = |doubt: &Doubt| first <= doubt.first && doubt.end() <= end;
        let mut keys: Vec<Key> =
            self.releases.iter().filter(|doubt| only_these(doubt)).map(|doubt| doubt.key).collect();
        self.releases.retain(|doubt| !of_these(doubt));
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
        assert_eq!(doubts.note(15, 10, B), None, "it is being tried");
        assert_eq!(doubts.note(30, 1, A), None);
        assert_eq!(doubts.note(30, 1, B), None, "one at a time");
        assert_eq!(doubts.settle(15, 5), [] as [Key; 0], "both spoke of others too");
        assert_eq!(doubts.note(15, 5, B), None, "it is judged");
        assert_eq!(doubts.note(30, 1, B), Some((30, 1, A)), "what was said meanwhile is not forgotten");
        assert_eq!(doubts.settle(30, 1), [A, B]);
        assert_eq!(doubts.settle(100, 5), [] as [Key; 0]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut doubts = Doubts::default();
        for first in 0..10 * DOUBTS_MAX as u64 {
            doubts.note(first, 1, A);
        }
        assert_eq!(doubts.releases.len(), DOUBTS_MAX);
        assert_eq!((doubts.note(0, 1, B), doubts.note(10 * DOUBTS_MAX as u64 - 1, 1, B).is_some()), (None, true));
    }
}
