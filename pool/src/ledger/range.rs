//! What has been done of a range job: which elements, by whom, and in which batches. Pure, and without money.

use std::collections::BTreeMap;

use super::entry::Millis;

/// Most duplicates of one unit that are kept.
pub const DUPLICATES_MAX: usize = 8;

/// How a unit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its elements are done by it; it is not checked yet.
    Done,
    /// Its elements are done by it, and its batch has matured.
    Matured,
    /// Another unit has done its elements; the pool had issued them twice.
    Duplicate,
    /// A duplicate that is paid.
    Paid,
    /// Its batch is void.
    Void,
}

/// A delivered unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Number of the key that delivered it.
    pub key: u32,
    /// Number of the rig that did.
    pub worker: u32,
    /// Its first element, as the job counts them.
    pub first: u64,
    /// Its elements.
    pub count: u32,
    /// Their work.
    pub work: u128,
    /// Digest of its result.
    pub digest: [u8; 32],
    /// When it came.
    pub at: Millis,
    /// How it counts.
    pub standing: Standing,
    /// The batch that it is in, once that is closed.
    pub batch: Option<u64>,
}

impl Unit {
    /// Its elements, result and nothing else: what a batch's root is made of.
    #[must_use]
    pub fn triple(&self) -> (u64, u32, [u8; 32]) {
        (self.first, self.count, self.digest)
    }

    fn end(&self) -> u64 {
        self.first + u64::from(self.count)
    }
}

/// What is done of an interval of elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Nothing.
    Free,
    /// All of it, by this unit, which has no other elements.
    Done(usize),
    /// Some of it, or all together with others.
    Taken,
}

/// What a void leaves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Undone {
    /// Units that count no more, without duplicates: their elements are to be done again, but for those promoted.
    pub undone: Vec<usize>,
    /// Duplicates of the void batch, which count no more.
    pub duplicates: Vec<usize>,
    /// Duplicates of other batches that are their elements' results from now on.
    pub promoted: Vec<usize>,
}

/// The state of a range job. Units are named by their number, in the order of the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Range {
    units: Vec<Unit>,
    /// The unit that has done the elements from each first one.
    done: BTreeMap<u64, usize>,
    /// Duplicates that count, by their first element, in the order of the log.
    duplicates: BTreeMap<u64, Vec<usize>>,
    /// Units of each key that are in no closed batch.
    open: BTreeMap<u32, Vec<usize>>,
    /// Closed batches without a verdict.
    unresolved: BTreeMap<u64, Vec<usize>>,
}

impl Range {
    /// A unit by its number.
    #[must_use]
    pub fn unit(&self, index: usize) -> &Unit {
        &self.units[index]
    }

    /// Units that have done their elements, in the order of the elements.
    pub fn done(&self) -> impl Iterator<Item = &Unit> {
        self.done.values().map(|index| &self.units[*index])
    }

    /// Units of each key that are in no closed batch.
    pub fn open(&self) -> impl Iterator<Item = (u32, impl Iterator<Item = &Unit>)> {
        self.open.iter().map(|(key, units)| (*key, units.iter().map(|index| &self.units[*index])))
    }

    /// Units of one key that are in no closed batch.
    pub fn open_of(&self, key: u32) -> impl Iterator<Item = &Unit> {
        self.open.get(&key).into_iter().flatten().map(|index| &self.units[*index])
    }

    /// How many units of a key are in no closed batch.
    #[must_use]
    pub fn open_units(&self, key: u32) -> usize {
        self.open.get(&key).map_or(0, Vec::len)
    }

    /// Closed batches without a verdict.
    pub fn unresolved(&self) -> impl Iterator<Item = u64> {
        self.unresolved.keys().copied()
    }

    /// How many of those there are.
    #[must_use]
    pub fn unresolved_count(&self) -> usize {
        self.unresolved.len()
    }

    /// Units of a closed batch without a verdict.
    pub fn batch(&self, batch: u64) -> impl Iterator<Item = &Unit> {
        self.unresolved.get(&batch).into_iter().flatten().map(|index| &self.units[*index])
    }

    /// What is done of `count` elements from `first`.
    #[must_use]
    pub fn place(&self, first: u64, count: u32) -> Place {
        let end = first + u64::from(count);
        let Some((_, &index)) = self.done.range(..end).next_back() else { return Place::Free };
        let unit = &self.units[index];
        if (unit.first, unit.count) == (first, count) {
            Place::Done(index)
        } else if unit.end() > first {
            Place::Taken
        } else {
            Place::Free
        }
    }

    /// Whether a key may deliver a duplicate of what unit `of` has done: it is another's, and there is none of it yet.
    #[must_use]
    pub fn takes_duplicate(&self, of: usize, key: u32) -> bool {
        let unit = &self.units[of];
        let others = self.duplicates.get(&unit.first).map_or(&[][..], Vec::as_slice);
        unit.key != key && others.len() < DUPLICATES_MAX && others.iter().all(|other| self.units[*other].key != key)
    }

    /// Whether another key ever delivered another result for exactly these elements.
    #[must_use]
    pub fn is_contested(&self, first: u64, count: u32, key: u32, digest: &[u8; 32]) -> bool {
        let same = self.units.iter().filter(|unit| (unit.first, unit.count) == (first, count));
        same.into_iter().any(|unit| unit.key != key && unit.digest != *digest)
    }

    /// Adds a unit whose elements are free, or a duplicate. Its number.
    pub(super) fn add(&mut self, unit: Unit) -> usize {
        let index = self.units.len();
        if unit.standing == Standing::Duplicate {
            self.duplicates.entry(unit.first).or_default().push(index);
        } else {
            self.done.insert(unit.first, index);
        }
        self.open.entry(unit.key).or_default().push(index);
        self.units.push(unit);
        index
    }

    /// Closes the open batch of a key, under a number.
    pub(super) fn close(&mut self, key: u32, batch: u64) {
        let units = self.open.remove(&key).unwrap_or_default();
        for &index in &units {
            self.units[index].batch = Some(batch);
        }
        self.unresolved.insert(batch, units);
    }

    /// Takes a batch as clean: the units that mature with it.
    pub(super) fn mature(&mut self, batch: u64) -> Vec<usize> {
        let units = self.unresolved.remove(&batch).unwrap_or_default();
        let done: Vec<usize> =
            units.into_iter().filter(|index| self.units[*index].standing == Standing::Done).collect();
        for &index in &done {
            self.units[index].standing = Standing::Matured;
        }
        done
    }

    /// Takes a batch as void. `has_matured` says whether another batch has.
    pub(super) fn void(&mut self, batch: u64, has_matured: impl Fn(u64) -> bool) -> Undone {
        let mut left = Undone::default();
        for index in self.unresolved.remove(&batch).unwrap_or_default() {
            let first = self.units[index].first;
            match self.units[index].standing {
                Standing::Done => {
                    self.done.remove(&first);
                    left.undone.push(index);
                }
                Standing::Duplicate => {
                    self.forget_duplicate(first, index);
                    left.duplicates.push(index);
                }
                // A paid duplicate equals what has matured: it is right, whatever else is in its batch.
                Standing::Paid | Standing::Matured | Standing::Void => continue,
            }
            self.units[index].standing = Standing::Void;
        }
        for &index in &left.undone {
            let (first, count) = (self.units[index].first, self.units[index].count);
            let Some(&heir) = self.duplicates.get(&first).and_then(|waiting| waiting.first()) else { continue };
            debug_assert_eq!(self.units[heir].count, count, "a duplicate has exactly its original's elements");
            self.forget_duplicate(first, heir);
            let matured = self.units[heir].batch.is_some_and(&has_matured);
            self.units[heir].standing = if matured { Standing::Matured } else { Standing::Done };
            self.done.insert(first, heir);
            left.promoted.push(heir);
        }
        left
    }

    fn forget_duplicate(&mut self, first: u64, index: usize) {
        if let Some(waiting) = self.duplicates.get_mut(&first) {
            waiting.retain(|other| *other != index);
            if waiting.is_empty() {
                self.duplicates.remove(&first);
            }
        }
    }

    /// Unpaid duplicates whose result is that of the matured unit `of`.
    pub(super) fn equal_duplicates(&self, of: usize) -> Vec<usize> {
        let unit = &self.units[of];
        let waiting = self.duplicates.get(&unit.first).into_iter().flatten().copied();
        let equal = |index: &usize| {
            let other = &self.units[*index];
            other.standing == Standing::Duplicate && other.digest == unit.digest
        };
        waiting.filter(equal).collect()
    }

    /// Marks a duplicate as paid. It stays among the duplicates, so that its key cannot deliver another.
    pub(super) fn paid(&mut self, index: usize) {
        self.units[index].standing = Standing::Paid;
    }
}
