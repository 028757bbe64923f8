//! How fast a device is, and how much to give it at a time.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lode_kinds::Kind;
use lode_kinds::hash::{Algorithm, Nonces, Scan};
use lode_kinds::range::Task;
use lode_kinds::render::{BLOCK_PIXELS, build, samples};
use serde::Serialize;
use serde_json::json;

use crate::backend::{Device, DeviceError};

/// Hashes a second.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct HashRate(f64);

impl HashRate {
    /// The rate of `hashes` done in `elapsed`.
    #[must_use]
    pub fn new(hashes: u64, elapsed: Duration) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a rate is an estimate")]
        let hashes = hashes as f64;
        Self(hashes / elapsed.as_secs_f64().max(1e-9))
    }

    /// Hashes a second.
    #[must_use]
    pub const fn per_second(self) -> f64 {
        self.0
    }
}

impl fmt::Display for HashRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1e12, "TH/s"), (1e9, "GH/s"), (1e6, "MH/s"), (1e3, "kH/s")];
        let (size, unit) = units.into_iter().find(|(size, _)| self.0 >= *size).unwrap_or((1.0, "H/s"));
        write!(f, "{:.2} {unit}", self.0 / size)
    }
}

/// Hashes for `length` after a warm-up (the first few slices), and answers the rate.
///
/// # Errors
/// When the device fails.
pub fn rate(device: &mut dyn Device, algorithm: Algorithm, length: Duration) -> Result<HashRate, DeviceError> {
    // A target that no hash meets.
    let scan = Scan::new(algorithm, &[0x5a; 80], [0; 32]);
    let mut pace = Pace::new(algorithm);
    let mut hits = Vec::new();
    let mut next = Nonces::ALL;
    let mut started = None;
    let mut hashes = 0;
    loop {
        let (slice, rest) = next.split_at(pace.next_count());
        next = if rest.is_empty() { Nonces::ALL } else { rest };
        let begin = Instant::now();
        device.scan(&scan, slice, &mut hits)?;
        let end = Instant::now();
        pace.record(slice.count(), end - begin);
        if pace.is_settled() {
            let started = *started.get_or_insert(begin);
            hashes += slice.count();
            if end - started >= length {
                return Ok(HashRate::new(hashes, end - started));
            }
        }
    }
}

/// Renders the Cornell box for `length` after a warm-up (the first few slices), and answers the paths a second: 128 by 128
/// pixels again and again, with four paths each, of at most eight segments.
///
/// # Errors
/// When the device fails.
pub fn paths_a_second(device: &mut dyn Device, length: Duration) -> Result<f64, DeviceError> {
    const SAMPLES: u32 = 4;
    let scene = build(&samples::cornell_box()).expect("a made scene can be built");
    let section = json!({
        "width": 128, "height": 128, "samples": 1 << 16, "pass_samples": SAMPLES, "max_depth": 8, "seed": 0,
        "albedo": false, "normal": false, "depth": false,
    });
    let task = Arc::new(Task::parse(Kind::Render, &section, vec![scene]).expect("a made section is a task"));
    device.load(&task)?;
    let mut pace = Pace::of_elements();
    let mut bytes = Vec::new();
    let (mut next, mut elements) = (0_u64, 0_u64);
    let mut started = None;
    loop {
        let count = pace.next_count().min(task.elements());
        let first = if next + count > task.elements() { 0 } else { next };
        next = first + count;
        bytes.clear();
        let begin = Instant::now();
        device.run(first..next, &mut bytes)?;
        let end = Instant::now();
        pace.record(count, end - begin);
        if pace.is_settled() {
            let started = *started.get_or_insert(begin);
            elements += count;
            if end - started >= length {
                #[expect(clippy::cast_precision_loss, reason = "a rate is an estimate")]
                let paths = elements as f64 * f64::from(SAMPLES * BLOCK_PIXELS);
                return Ok(paths / (end - started).as_secs_f64().max(1e-9));
            }
        }
    }
}

/// How many nonces, or elements of a task, to give a device at a time, so that it answers about every 100 ms: long enough
/// to be worth a launch, short enough to turn to new work. It only computes; the caller measures.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    count: u64,
    /// The fewest that are worth a launch.
    least: u64,
    settled: bool,
}

impl Pace {
    /// What a slice should take.
    pub const TARGET: Duration = Duration::from_millis(100);
    /// What a slice takes at least, once settled (unless the device is faster than all nonces together).
    pub const SLICE_MIN: Duration = Duration::from_millis(50);
    /// What a slice takes at most, once settled.
    pub const SLICE_MAX: Duration = Duration::from_millis(200);

    const COUNT_MIN: u64 = 1 << 4;
    const COUNT_MAX: u64 = 1 << 32;
    /// Growth at one step: a first measure is mostly overhead, and must not be trusted too far.
    const GROWTH_MAX: u64 = 16;

    /// For a device of which nothing is known: the first slice is little work even for one slow core.
    #[must_use]
    pub const fn new(algorithm: Algorithm) -> Self {
        let count = match algorithm {
            Algorithm::Sha256d => 1 << 12,
            Algorithm::Scrypt => 1 << 6,
        };
        Self { count, least: Self::COUNT_MIN, settled: false }
    }

    /// For the elements of a task, of which nothing is known: one may be much work.
    #[must_use]
    pub const fn of_elements() -> Self {
        Self { count: 1, least: 1, settled: false }
    }

    /// How many nonces the next slice should have.
    #[must_use]
    pub const fn next_count(&self) -> u64 {
        self.count
    }

    /// Whether the last slice took about as long as it should, so that the next will too.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.settled
    }

    /// Learns from a slice of `count` nonces that took `elapsed`.
    pub fn record(&mut self, count: u64, elapsed: Duration) {
        if count == 0 {
            return;
        }
        let in_bounds = (Self::SLICE_MIN..=Self::SLICE_MAX).contains(&elapsed);
        let ideal = u128::from(count) * Self::TARGET.as_nanos() / elapsed.as_nanos().max(1);
        let ideal = u64::try_from(ideal).unwrap_or(u64::MAX);
        // Once settled, move half the way: one slice that the system delayed says little.
        let aim = if in_bounds && self.settled { self.count.midpoint(ideal) } else { ideal };
        let most = self.count.saturating_mul(Self::GROWTH_MAX).min(Self::COUNT_MAX);
        self.count = aim.clamp(self.least, most);
        let at_most = count >= Self::COUNT_MAX && elapsed <= Self::SLICE_MAX;
        let at_least = count <= self.least && elapsed >= Self::SLICE_MIN;
        self.settled = in_bounds || at_most || at_least;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a pace against a device of this rate whose launches cost `overhead`; answers the slices' lengths.
    fn slices(per_second: u64, overhead: Duration, steps: usize) -> Vec<Duration> {
        let mut pace = Pace::new(Algorithm::Sha256d);
        let mut lengths = Vec::new();
        for _ in 0..steps {
            let count = pace.next_count();
            let nanos = u128::from(count) * 1_000_000_000 / u128::from(per_second);
            let elapsed = overhead + Duration::from_nanos(u64::try_from(nanos).unwrap());
            pace.record(count, elapsed);
            lengths.push(elapsed);
        }
        lengths
    }

    #[test]
    fn settles_between_the_bounds_for_slow_and_fast_devices() {
        for per_second in [3_000, 50_000, 2_000_000, 56_000_000, 1_000_000_000, 10_000_000_000] {
            for overhead in [Duration::ZERO, Duration::from_micros(30), Duration::from_millis(2)] {
                for length in slices(per_second, overhead, 40).split_off(6) {
                    let bounds = Pace::SLICE_MIN..=Pace::SLICE_MAX;
                    assert!(bounds.contains(&length), "{per_second} H/s, {overhead:?}: {length:?}");
                }
            }
        }
    }

    #[test]
    fn a_device_faster_than_all_nonces_gets_them_all() {
        let mut pace = Pace::new(Algorithm::Sha256d);
        for _ in 0..10 {
            pace.record(pace.next_count(), Duration::from_millis(1));
        }
        assert_eq!(pace.next_count(), 1 << 32);
        assert!(pace.is_settled());
    }

    #[test]
    fn a_device_that_slows_down_gets_less_at_once() {
        let mut pace = Pace::new(Algorithm::Sha256d);
        for _ in 0..10 {
            pace.record(pace.next_count(), Duration::from_nanos(pace.next_count() / 10));
        }
        let before = pace.next_count();
        pace.record(before, Duration::from_secs(1));
        assert_eq!(pace.next_count(), before / 10);
        pace.record(0, Duration::ZERO);
        assert_eq!(pace.next_count(), before / 10);
    }

    #[test]
    fn elements_begin_with_one_and_slow_ones_stay_there() {
        let mut pace = Pace::of_elements();
        assert_eq!(pace.next_count(), 1);
        pace.record(1, Duration::from_secs(3));
        assert_eq!((pace.next_count(), pace.is_settled()), (1, true));
        pace.record(1, Duration::from_millis(10));
        assert_eq!(pace.next_count(), 10);
    }

    #[test]
    fn rates_read_well() {
        let rate = |hashes| HashRate::new(hashes, Duration::from_secs(1)).to_string();
        assert_eq!(rate(12), "12.00 H/s");
        assert_eq!(rate(56_100_000), "56.10 MH/s");
        assert_eq!(rate(9_990_000_000), "9.99 GH/s");
    }
}
