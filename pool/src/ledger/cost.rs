//! The cost map of a range job: the work of each element, fixed before the first of them is issued.
//!
//! A table of cells, each the work of one element: a section (all are of one length) is a repetition of periods, and
//! a period is cut into runs of elements that share a cell. Prefix sums make the work of any interval a matter of a
//! few additions. Pure.

use super::codec::{CodecError, Reader, Writer};

/// Most cells of a table.
pub const CELLS_MAX: usize = 8192;
/// Most elements of a job.
pub const ELEMENTS_MAX: u64 = 1 << 40;
/// Most work of one element: seven bytes of the table's encoding, so that the largest table fits an entry.
pub const ELEMENT_WORK_MAX: u64 = (1 << 49) - 1;

/// Why a table is not a cost map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CostError {
    /// No element, too many, or not a whole number of sections.
    #[error("{elements} elements are not whole sections of {section}, of at most {ELEMENTS_MAX} in all")]
    Elements {
        /// Elements of the job.
        elements: u64,
        /// Elements of a section.
        section: u64,
    },
    /// A period that is empty or longer than its section, or a run that is empty or longer than its period.
    #[error("runs of {run} do not cut a period of {period} within a section of {section}")]
    Runs {
        /// Elements of a section.
        section: u64,
        /// Elements of a period.
        period: u64,
        /// Elements of a run.
        run: u64,
    },
    /// The table has not one cell for each run of each section, or more than [`CELLS_MAX`].
    #[error("the table has {found} cells where {wanted} are wanted, of at most {CELLS_MAX}")]
    Cells {
        /// What it has.
        found: usize,
        /// What the lengths want.
        wanted: u64,
    },
    /// An element without work, or with too much.
    #[error("an element has work {0}, which is not from 1 to {ELEMENT_WORK_MAX}")]
    Work(u64),
}

/// The work of each element of a range job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostMap {
    elements: u64,
    section: u64,
    period: u64,
    run: u64,
    table: Vec<u64>,
    /// Work of a period before each cell of it, for each section.
    within: Vec<u128>,
    /// Work of one whole period of each section.
    periods: Vec<u128>,
    /// Work before each section, and of all of them.
    before: Vec<u128>,
}

impl CostMap {
    /// A map of `elements` in sections, periods and runs of so many elements each; `table[cell]` is the work of one
    /// element of that cell.
    ///
    /// # Errors
    /// The lengths do not divide as they must, the table is not of their size, or a cell is out of range.
    pub fn new(elements: u64, section: u64, period: u64, run: u64, table: Vec<u64>) -> Result<CostMap, CostError> {
        if !(1..=ELEMENTS_MAX).contains(&elements) || section == 0 || !elements.is_multiple_of(section) {
            return Err(CostError::Elements { elements, section });
        }
        if !(1..=section).contains(&period) || !(1..=period).contains(&run) {
            return Err(CostError::Runs { section, period, run });
        }
        // Neither factor passes 2^40.
        let wanted = u128::from(elements / section) * u128::from(period.div_ceil(run));
        if table.len() > CELLS_MAX || table.len() as u128 != wanted {
            return Err(CostError::Cells { found: table.len(), wanted: u64::try_from(wanted).unwrap_or(u64::MAX) });
        }
        if let Some(&work) = table.iter().find(|work| !(1..=ELEMENT_WORK_MAX).contains(*work)) {
            return Err(CostError::Work(work));
        }
        let mut map = CostMap {
            elements,
            section,
            period,
            run,
            within: Vec::with_capacity(table.len()),
            periods: Vec::new(),
            before: vec![0],
            table,
        };
        map.add_up();
        Ok(map)
    }

    /// Makes the prefix sums. No sum passes 2^89: so many elements, so much work each.
    fn add_up(&mut self) {
        let mut all = 0;
        for cells in self.table.chunks(self.cells_per_section()) {
            let mut sum = 0;
            let mut left = self.period;
            for &work in cells {
                self.within.push(sum);
                let run = left.min(self.run);
                sum += u128::from(work) * u128::from(run);
                left -= run;
            }
            self.periods.push(sum);
        }
        for section in 0..self.periods.len() {
            all += self.within_section(section, self.section);
            self.before.push(all);
        }
    }

    fn cells_per_section(&self) -> usize {
        usize::try_from(self.period.div_ceil(self.run)).expect("the table has so many cells")
    }

    /// Work of a section's first `count` elements.
    fn within_section(&self, section: usize, count: u64) -> u128 {
        let (periods, rest) = (count / self.period, count % self.period);
        let whole = self.periods[section] * u128::from(periods);
        if rest == 0 {
            return whole;
        }
        let run = usize::try_from(rest / self.run).expect("the table has so many cells");
        let cell = section * self.cells_per_section() + run;
        // A rest that ends with the period's last run is a whole period, so the cell is this section's.
        whole + self.within[cell] + u128::from(self.table[cell]) * u128::from(rest % self.run)
    }

    /// Work of all elements before `element`; that of all where there are no more.
    fn work_before(&self, element: u64) -> u128 {
        if element >= self.elements {
            return self.total();
        }
        let section = usize::try_from(element / self.section).expect("there are at most as many sections as cells");
        self.before[section] + self.within_section(section, element % self.section)
    }

    /// Work of `count` elements from `first`; elements past the end have none.
    #[must_use]
    pub fn work(&self, first: u64, count: u64) -> u128 {
        self.work_before(first.saturating_add(count)) - self.work_before(first)
    }

    /// Work of all elements.
    #[must_use]
    pub fn total(&self) -> u128 {
        self.before.last().copied().unwrap_or(0)
    }

    /// Elements of the job.
    #[must_use]
    pub fn elements(&self) -> u64 {
        self.elements
    }

    /// Elements of each section.
    #[must_use]
    pub fn section(&self) -> u64 {
        self.section
    }

    /// The largest count from 1 to `most` of elements from `first` whose work is at most `work`; 1 where even one
    /// element has more.
    #[must_use]
    pub fn count_within(&self, first: u64, most: u64, work: u128) -> u64 {
        let limit = self.work_before(first).saturating_add(work);
        let (mut low, mut high) = (1, most.max(1));
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if self.work_before(first.saturating_add(middle)) <= limit {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        low
    }

    /// The element, of `count` from `first`, in which `point` of their work lies: 0 in the first, all but the last of it in the
    /// last. With points drawn evenly, elements are drawn by their work.
    #[must_use]
    pub fn element_at(&self, first: u64, count: u64, point: u128) -> u64 {
        let at = self.work_before(first).saturating_add(point);
        // The first element that ends beyond the point.
        let (mut low, mut high) = (first, first.saturating_add(count.max(1) - 1));
        while low < high {
            let middle = low + (high - low) / 2;
            if self.work_before(middle + 1) > at {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    /// What a record without its map reads as until the map is put in; no job has it.
    pub(super) fn absent() -> std::sync::Arc<CostMap> {
        std::sync::Arc::new(CostMap::new(1, 1, 1, 1, vec![1]).expect("one element of work 1"))
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::default();
        self.encode(&mut w);
        w.0
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<CostMap, CodecError> {
        let mut r = Reader(bytes);
        let map = CostMap::decode(&mut r)?;
        r.finish()?;
        Ok(map)
    }

    pub(super) fn encode(&self, w: &mut Writer) {
        for length in [self.elements, self.section, self.period, self.run] {
            w.integer(length);
        }
        // Their number follows from the lengths.
        for &work in &self.table {
            w.integer(work);
        }
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<CostMap, CodecError> {
        let malformed = |_: CostError| CodecError::Malformed("cost map");
        let elements: u64 = r.integer("elements")?;
        let (section, period, run): (u64, u64, u64) = (r.integer("section")?, r.integer("period")?, r.integer("run")?);
        if section == 0 || run == 0 {
            return Err(CodecError::Malformed("cost map"));
        }
        let cells = u128::from(elements / section) * u128::from(period.div_ceil(run));
        let cells = usize::try_from(cells).ok().filter(|cells| *cells <= CELLS_MAX);
        let cells = cells.ok_or(CodecError::Malformed("cost map"))?;
        let table = (0..cells).map(|_| r.integer("work of a cell")).collect::<Result<_, _>>()?;
        CostMap::new(elements, section, period, run, table).map_err(malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Lengths and a table that fit them, small enough to add up one by one.
    fn maps() -> impl Strategy<Value = CostMap> {
        (1u64..6, 1u64..60).prop_flat_map(|(sections, section)| {
            (1..=section).prop_flat_map(move |period| {
                (1..=period).prop_flat_map(move |run| {
                    let cells = usize::try_from(sections * period.div_ceil(run)).unwrap();
                    let work = prop_oneof![1u64..100, Just(ELEMENT_WORK_MAX)];
                    prop::collection::vec(work, cells)
                        .prop_map(move |table| CostMap::new(sections * section, section, period, run, table).unwrap())
                })
            })
        })
    }

    /// The cell of an element, as the definition has it.
    fn cell(map: &CostMap, element: u64) -> u64 {
        let within = element % map.section % map.period / map.run;
        map.table[usize::try_from(element / map.section * map.period.div_ceil(map.run) + within).unwrap()]
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let map = |elements, section, period, run, cells| {
            CostMap::new(elements, section, period, run, vec![1; cells]).map(|_| ())
        };
        assert_eq!(map(8192, 1, 1, 1, 8192), Ok(()));
        assert_eq!(map(8193, 1, 1, 1, 8193), Err(CostError::Cells { found: 8193, wanted: 8193 }));
        assert_eq!(map(ELEMENTS_MAX, ELEMENTS_MAX, 1, 1, 1), Ok(()));
        assert!(matches!(map(ELEMENTS_MAX + 1, ELEMENTS_MAX + 1, 1, 1, 1), Err(CostError::Elements { .. })));
        for (elements, section) in [(0, 1), (1, 0), (3, 2)] {
            assert_eq!(map(elements, section, 1, 1, 1), Err(CostError::Elements { elements, section }));
        }
        for (period, run) in [(0, 1), (5, 1), (2, 0), (2, 3)] {
            assert_eq!(map(8, 4, period, run, 1), Err(CostError::Runs { section: 4, period, run }));
        }
        assert_eq!(map(8, 4, 3, 2, 3), Err(CostError::Cells { found: 3, wanted: 4 }));
        for work in [0, ELEMENT_WORK_MAX + 1] {
            assert_eq!(CostMap::new(1, 1, 1, 1, vec![work]), Err(CostError::Work(work)));
        }
    }

    #[test]
    fn the_largest_table_fits_an_entry() {
        let map = CostMap::new(8192, 1, 1, 1, vec![ELEMENT_WORK_MAX; CELLS_MAX]).unwrap();
        let bytes = map.to_bytes();
        // What is left is for the rest of the terms, which has less than 2 KiB.
        assert!(bytes.len() + 2048 < super::super::entry::ENTRY_BYTES_MAX, "{} bytes", bytes.len());
    }

    proptest! {
        #[test]
        fn work_is_the_sum_over_the_elements(map in maps(), first in 0u64..400, count in 0u64..400) {
            let sum: u128 = (first..first + count).filter(|i| *i < map.elements).map(|i| u128::from(cell(&map, i))).sum();
            prop_assert_eq!(map.work(first, count), sum);
            prop_assert_eq!(map.total(), (0..map.elements).map(|i| u128::from(cell(&map, i))).sum::<u128>());
        }

        #[test]
        fn a_count_is_the_largest_whose_work_fits(map in maps(), first in 0u64..300, most in 1u64..100, work in 0u128..5000) {
            let first = first % map.elements;
            let most = most.min(map.elements - first);
            let count = map.count_within(first, most, work);
            prop_assert!((1..=most).contains(&count));
            prop_assert!(count == 1 || map.work(first, count) <= work);
            prop_assert!(count == most || map.work(first, count + 1) > work);
        }

        #[test]
        fn what_is_written_reads_as_the_same(map in maps()) {
            let bytes = map.to_bytes();
            prop_assert_eq!(CostMap::from_bytes(&bytes).unwrap(), map);
            for end in 0..bytes.len() {
                prop_assert!(CostMap::from_bytes(&bytes[..end]).is_err());
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(map) = CostMap::from_bytes(&bytes) {
                prop_assert!(map.total() >= u128::from(map.elements()));
            }
        }
    }
}
