//! A set of numbers as few intervals: disjoint, none empty, none touching another.

use std::collections::BTreeMap;
use std::ops::Range;

/// The set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Intervals {
    /// End by start.
    ends: BTreeMap<u64, u64>,
}

impl Intervals {
    /// All numbers of a range.
    pub(super) fn of(range: Range<u64>) -> Intervals {
        let mut all = Intervals::default();
        all.insert(range);
        all
    }

    /// Adds a range, of which some may be there already.
    pub(super) fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        // What overlaps or touches becomes part of the new one; the last of them begins at or before its end.
        while let Some((&from, &to)) = self.ends.range(..=end).next_back().filter(|(_, to)| **to >= start) {
            (start, end) = (start.min(from), end.max(to));
            self.ends.remove(&from);
        }
        self.ends.insert(start, end);
    }

    /// Takes a range out, of which some may not be there.
    pub(super) fn remove(&mut self, range: &Range<u64>) {
        if range.is_empty() {
            return;
        }
        while let Some((&from, &to)) = self.ends.range(..range.end).next_back().filter(|(_, to)| **to > range.start) {
            self.ends.remove(&from);
            if from < range.start {
                self.ends.insert(from, range.start);
            }
            if to > range.end {
                self.ends.insert(range.end, to);
            }
        }
    }

    /// The parts of a range that are in the set.
    pub(super) fn within(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let Range { start, end } = *range;
        let before = self.ends.range(..=start).next_back();
        let after = self.ends.range(start.saturating_add(1)..end.max(start.saturating_add(1)));
        let parts = before.into_iter().chain(after).map(|(&from, &to)| from.max(start)..to.min(end));
        parts.filter(|part| !part.is_empty()).collect()
    }

    /// The first interval, or what of it lies at or behind `from`.
    pub(super) fn first_from(&self, from: u64) -> Option<Range<u64>> {
        let around = self.ends.range(..=from).next_back().filter(|(_, to)| **to > from).map(|(_, &to)| from..to);
        around.or_else(|| self.ends.range(from..).next().map(|(&start, &end)| start..end))
    }

    /// Whether it has no numbers.
    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn numbers(set: &Intervals) -> BTreeSet<u64> {
        set.ends.iter().flat_map(|(&start, &end)| start..end).collect()
    }

    proptest! {
        #[test]
        fn it_is_the_set_of_what_was_put_in_and_not_taken_out(
            steps in prop::collection::vec((any::<bool>(), 0u64..60, 0u64..20), 0..60),
            from in 0u64..80,
            count in 0u64..30,
        ) {
            let mut set = Intervals::default();
            let mut model = BTreeSet::new();
            for (put, start, count) in steps {
                let range = start..start + count;
                if put {
                    set.insert(range.clone());
                    model.extend(range);
                } else {
                    set.remove(&range);
                    model.retain(|number| !range.contains(number));
                }
                prop_assert_eq!(&numbers(&set), &model);
                let apart = set.ends.iter().zip(set.ends.iter().skip(1)).all(|((_, &to), (&next, _))| to < next);
                prop_assert!(apart && set.ends.iter().all(|(start, end)| start < end));
            }
            let parts: BTreeSet<u64> = set.within(&(from..from + count)).into_iter().flatten().collect();
            prop_assert_eq!(parts, model.iter().copied().filter(|at| (from..from + count).contains(at)).collect());
            let first = set.first_from(from).map(|range| range.start);
            prop_assert_eq!(first, model.range(from..).next().copied());
            prop_assert_eq!(set.is_empty(), model.is_empty());
        }
    }
}
