//! A pool's job as work for devices: which (extranonce2, ntime, nonce) is tried by whom.
//!
//! A *row* is one header with its nonce open: an extranonce2 and an ntime. Devices draw rows from one shared counter, so
//! no two try the same; each then walks its row's nonces slice by slice. The time is rolled only once every extranonce2
//! has been drawn, and no further than pools allow.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lode_kinds::hash::{self, Nonces, Scan};
use lode_protocol::header::{NTIME_ROLL_MAX, Roll};
use lode_protocol::{Algorithm, Difficulty, Target, Template};

/// Bits of the extranonce2 that are counted through. More than any miner reaches, and with all rolled times below 2^64.
const COUNTED_BITS_MAX: u32 = 48;
/// Hits that a slice is expected to bring at most, however easy the target: bounds what a slice can return.
const HITS_PER_SLICE_MAX: u128 = 4096;

/// A job's place in the order of all jobs of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Serial {
    /// The session that brought it.
    pub session: u64,
    /// Its number within the session.
    pub notify: u64,
}

/// What a `mining.notify` asks for, with all that held when it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its place among all jobs.
    pub serial: Serial,
    /// What a submit names it by.
    pub id: String,
    /// What the header is hashed with.
    pub algorithm: Algorithm,
    /// The header's fields.
    pub template: Template,
    /// The connection's part of the coinbase.
    pub extranonce1: Vec<u8>,
    /// Bytes of our part.
    pub extranonce2_bytes: usize,
    /// The difficulty of its shares.
    pub difficulty: Difficulty,
    /// Whether everything before is dropped.
    pub clean: bool,
}

impl Job {
    fn counted_bits(&self) -> u32 {
        u32::try_from(self.extranonce2_bytes).unwrap_or(u32::MAX).saturating_mul(8).min(COUNTED_BITS_MAX)
    }

    fn has_space_of(&self, other: &Job) -> bool {
        self.algorithm == other.algorithm
            && self.template == other.template
            && self.extranonce1 == other.extranonce1
            && self.extranonce2_bytes == other.extranonce2_bytes
    }
}

/// A job with the counter that its rows are drawn from.
#[derive(Debug)]
pub struct Search {
    job: Arc<Job>,
    start: u64,
    drawn: Arc<AtomicU64>,
}

impl Search {
    /// Begins a job at the extranonce2 `start`, which should be random: rigs that share an extranonce1 then differ.
    #[must_use]
    pub fn new(job: Arc<Job>, start: u64) -> Search {
        Search { job, start, drawn: Arc::new(AtomicU64::new(0)) }
    }

    /// Begins `job` after this one; where only the job's name or difficulty changed, nothing is tried twice.
    #[must_use]
    pub fn then(&self, job: Arc<Job>, start: u64) -> Search {
        if job.has_space_of(&self.job) {
            Search { job, start: self.start, drawn: Arc::clone(&self.drawn) }
        } else {
            Search::new(job, start)
        }
    }

    /// The job.
    #[must_use]
    pub fn job(&self) -> &Arc<Job> {
        &self.job
    }

    /// Draws the next row; `None` once all are drawn.
    fn draw(&self) -> Option<Row> {
        let values = 1u64 << self.job.counted_bits();
        let rows = values * (u64::from(NTIME_ROLL_MAX) + 1);
        let more = |drawn: u64| (drawn < rows).then_some(drawn + 1);
        let number = self.drawn.try_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        let value = self.start.wrapping_add(number) & (values - 1);
        let rolled_s = u32::try_from(number / values).expect("rows end at NTIME_ROLL_MAX");
        Some(Row::new(&self.job, value, rolled_s))
    }
}

/// One header with its nonce open.
#[derive(Debug, Clone)]
struct Row {
    extranonce2: Vec<u8>,
    ntime: u32,
    scan: Scan,
    rest: Nonces,
}

impl Row {
    fn new(job: &Job, value: u64, rolled_s: u32) -> Row {
        let mut extranonce2 = value.to_le_bytes().to_vec();
        extranonce2.resize(job.extranonce2_bytes, 0);
        let ntime = job.template.ntime.wrapping_add(rolled_s);
        let roll = Roll {
            extranonce1: &job.extranonce1,
            extranonce2: &extranonce2,
            ntime,
            nonce: 0,
            version: job.template.version,
        };
        let target = Target::from_difficulty(job.difficulty).to_be_bytes();
        let scan = Scan::new(device_algorithm(job.algorithm), &job.template.header(&roll), target);
        Row { extranonce2, ntime, scan, rest: Nonces::ALL }
    }
}

/// The devices' name for an algorithm of the wire.
#[must_use]
pub fn device_algorithm(algorithm: Algorithm) -> hash::Algorithm {
    match algorithm {
        Algorithm::Sha256d => hash::Algorithm::Sha256d,
        Algorithm::Scrypt => hash::Algorithm::Scrypt,
    }
}

/// Nonces of one header, for one call of a device.
#[derive(Debug, Clone)]
pub struct Slice {
    /// The header and its target.
    pub scan: Scan,
    /// Which nonces.
    pub nonces: Nonces,
    extranonce2: Vec<u8>,
    ntime: u32,
}

/// A share that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Which device found it, by its place in the fleet.
    pub device: usize,
    /// For which job.
    pub job: Arc<Job>,
    /// Our part of the coinbase.
    pub extranonce2: Vec<u8>,
    /// Header time.
    pub ntime: u32,
    /// Header nonce.
    pub nonce: u32,
}

/// One device's way through a search.
#[derive(Debug)]
pub struct Cursor {
    search: Arc<Search>,
    row: Option<Row>,
}

impl Cursor {
    /// Begins before the first row.
    #[must_use]
    pub fn new(search: Arc<Search>) -> Cursor {
        Cursor { search, row: None }
    }

    /// The next nonces to try, at most `count`; `None` once the job is exhausted.
    pub fn next(&mut self, count: u64) -> Option<Slice> {
        if self.row.as_ref().is_none_or(|row| row.rest.is_empty()) {
            self.row = self.search.draw();
        }
        let row = self.row.as_mut()?;
        let (nonces, rest) = row.rest.split_at(count.clamp(1, self.search.job.slice_max()));
        row.rest = rest;
        Some(Slice { scan: row.scan, nonces, extranonce2: row.extranonce2.clone(), ntime: row.ntime })
    }

    /// The share that a hit within `slice` is.
    #[must_use]
    pub fn share(&self, device: usize, slice: &Slice, nonce: u32) -> Share {
        let (extranonce2, ntime) = (slice.extranonce2.clone(), slice.ntime);
        Share { device, job: Arc::clone(&self.search.job), extranonce2, ntime, nonce }
    }
}

impl Job {
    fn slice_max(&self) -> u64 {
        u64::try_from(self.difficulty.hashes().0.saturating_mul(HITS_PER_SLICE_MAX)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::HashSet;

    use lode_protocol::header::PrevHash;
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn job(extranonce2_bytes: usize) -> Job {
        let template = Template {
            version: 0x2000_0000,
            prev_hash: PrevHash::from_stratum_bytes([7; 32]),
            coinbase1: vec![1, 2],
            coinbase2: vec![3],
            merkle_branch: vec![[9; 32]],
            nbits: 0x1d00_ffff,
            ntime: 1_700_000_000,
        };
        Job {
            serial: Serial { session: 0, notify: 0 },
            id: "1".into(),
            algorithm: Algorithm::Sha256d,
            template,
            extranonce1: vec![8, 9],
            extranonce2_bytes,
            difficulty: Difficulty::one(Algorithm::Sha256d),
            clean: true,
        }
    }

    proptest! {
        /// Devices take slices of any size in any order; each row is walked from nonce 0 to its end without a gap, by
        /// one device, and no row comes twice.
        #[test]
        fn nothing_is_left_out_or_tried_twice(
            turns in prop::collection::vec((0usize..4, 1u64..=1 << 33), 1..400),
            bytes in 0usize..=9,
            start in any::<u64>(),
        ) {
            let search = Arc::new(Search::new(Arc::new(job(bytes)), start));
            let mut cursors: Vec<Cursor> = (0..4).map(|_| Cursor::new(Arc::clone(&search))).collect();
            let mut open: Vec<Option<(Vec<u8>, u32, u64)>> = vec![None; 4];
            let mut rows = HashSet::new();
            for (device, count) in turns {
                let slice = cursors[device].next(count).expect("rows for all of this test");
                let (begin, n) = (u64::from(slice.nonces.start()), slice.nonces.count());
                prop_assert!(n >= 1 && n <= count && slice.extranonce2.len() == bytes);
                let expected = match open[device].take() {
                    Some((extranonce2, ntime, at)) if at < 1 << 32 => (extranonce2, ntime, at),
                    _ => {
                        prop_assert!(rows.insert((slice.extranonce2.clone(), slice.ntime)), "a row came twice");
                        (slice.extranonce2.clone(), slice.ntime, 0)
                    }
                };
                prop_assert_eq!(&expected, &(slice.extranonce2, slice.ntime, begin));
                open[device] = Some((expected.0, expected.1, begin + n));
            }
        }
    }

    #[test]
    fn time_rolls_only_when_every_extranonce2_is_drawn_and_ends_at_the_bound() {
        let search = Search::new(Arc::new(job(1)), 250);
        let base = search.job.template.ntime;
        let at = |number: u64| {
            search.drawn.store(number, Ordering::Relaxed);
            search.draw().map(|row| (row.extranonce2[0], row.ntime - base))
        };
        assert_eq!([at(0), at(5), at(6), at(255)], [Some((250, 0)), Some((255, 0)), Some((0, 0)), Some((249, 0))]);
        assert_eq!([at(256), at(511), at(512)], [Some((250, 1)), Some((249, 1)), Some((250, 2))]);
        assert_eq!([at(256 * 7001 - 1), at(256 * 7001)], [Some((249, NTIME_ROLL_MAX)), None]);
        assert!(Cursor::new(Arc::new(search)).next(1).is_none());
    }

    #[test]
    fn a_renamed_job_goes_on_where_the_last_one_was() {
        let first = Search::new(Arc::new(job(4)), 5);
        first.draw().unwrap();
        let renamed = first.then(Arc::new(Job { id: "2".into(), difficulty: Difficulty::MIN, ..job(4) }), 900);
        assert_eq!(renamed.draw().unwrap().extranonce2, [6, 0, 0, 0]);
        let other = Job { extranonce1: vec![1], ..job(4) };
        assert_eq!(first.then(Arc::new(other), 900).draw().unwrap().extranonce2, 900u32.to_le_bytes());
    }

    #[test]
    fn an_easy_target_makes_short_slices() {
        let search = Search::new(Arc::new(Job { difficulty: Difficulty::MIN, ..job(4) }), 0);
        let slice = Cursor::new(Arc::new(search)).next(1 << 32).unwrap();
        assert_eq!(slice.nonces.count(), 4096);
    }

    #[test]
    fn the_scan_is_of_the_header_that_a_pool_rebuilds() {
        for algorithm in Algorithm::ALL {
            let search = Arc::new(Search::new(Arc::new(Job { algorithm, ..job(4) }), 77));
            let mut cursor = Cursor::new(Arc::clone(&search));
            let slice = cursor.next(10).unwrap();
            let share = cursor.share(0, &slice, 3);
            let roll = Roll {
                extranonce1: &share.job.extranonce1,
                extranonce2: &share.extranonce2,
                ntime: share.ntime,
                nonce: share.nonce,
                version: share.job.template.version,
            };
            let header = share.job.template.header(&roll);
            assert_eq!(slice.scan.header(3), header);
            assert_eq!(slice.scan.header_hash(3), device_algorithm(algorithm).hash(&header));
            assert_eq!(slice.scan.algorithm().name(), algorithm.name());
        }
    }
}
