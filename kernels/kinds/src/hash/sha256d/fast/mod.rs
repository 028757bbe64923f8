//! The CPU's fast path: the same nonces as the reference, found on one thread with the best instructions this CPU has.
//!
//! A path looks only at the last state word of each hash ([`Prepared::passes`]) and hands the few nonces that pass to
//! [`Scan::meets`], which decides.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod portable;
#[cfg(target_arch = "x86_64")]
mod sha_ni;
#[cfg(target_arch = "x86_64")]
mod sse2;
mod unrolled;

use std::fmt;

use super::Prepared;
use crate::hash::{Nonces, Scan};

/// A way to hash on this CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// x86's SHA instructions, four nonces interleaved.
    ShaNi,
    /// AVX2, eight nonces side by side.
    Avx2,
    /// SSE2, four nonces side by side.
    Sse2,
    /// Plain Rust.
    Portable,
}

impl Path {
    /// The paths that this CPU can take, fastest first. The last one can be taken everywhere.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let every = [Self::ShaNi, Self::Avx2, Self::Sse2, Self::Portable];
        every.into_iter().filter(|path| path.is_available()).collect()
    }

    /// The fastest path that this CPU can take.
    #[must_use]
    pub fn best() -> Self {
        let mut every = [Self::ShaNi, Self::Avx2, Self::Sse2].into_iter();
        every.find(|path| path.is_available()).unwrap_or(Self::Portable)
    }

    /// Whether this CPU can take it.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::ShaNi => sha_ni::is_available(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::is_available(),
            #[cfg(target_arch = "x86_64")]
            Self::Sse2 => true,
            #[cfg(not(target_arch = "x86_64"))]
            Self::ShaNi | Self::Avx2 | Self::Sse2 => false,
            Self::Portable => true,
        }
    }

    /// Appends to `hits` the nonces of the range that are hits, in order.
    ///
    /// # Panics
    /// When this CPU cannot take the path.
    pub fn scan(self, scan: &Scan, nonces: Nonces, hits: &mut Vec<u32>) {
        assert!(self.is_available(), "this CPU cannot take the path {self}");
        let prepared = Prepared::new(scan);
        let mut on_candidate = |nonce: u32| {
            if scan.meets(nonce) {
                hits.push(nonce);
            }
        };
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::ShaNi => sha_ni::candidates(&prepared, nonces, &mut on_candidate),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::candidates(&prepared, nonces, &mut on_candidate),
            #[cfg(target_arch = "x86_64")]
            Self::Sse2 => sse2::candidates(&prepared, nonces, &mut on_candidate),
            #[cfg(not(target_arch = "x86_64"))]
            Self::ShaNi | Self::Avx2 | Self::Sse2 => unreachable!("not available, as asserted above"),
            Self::Portable => portable::candidates(&prepared, nonces, &mut on_candidate),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ShaNi => "sha-ni",
            Self::Avx2 => "avx2",
            Self::Sse2 => "sse2",
            Self::Portable => "portable",
        })
    }
}

/// Walks a range in groups of `WIDTH` nonces. `passing` answers with one bit for each nonce of the group that begins at its
/// argument; nonces past the end of the range are computed with the last group (they wrap) and dropped.
#[inline(always)]
fn in_groups<const WIDTH: u32>(nonces: Nonces, on_candidate: &mut dyn FnMut(u32), mut passing: impl FnMut(u32) -> u32) {
    let mut first = nonces.start();
    let mut left = nonces.count();
    while left > 0 {
        let mut bits = passing(first);
        while bits != 0 {
            let lane = bits.trailing_zeros();
            if u64::from(lane) < left {
                on_candidate(first.wrapping_add(lane));
            }
            bits &= bits - 1;
        }
        first = first.wrapping_add(WIDTH);
        left = left.saturating_sub(u64::from(WIDTH));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Algorithm;
    use crate::hash::testing::{GENESIS_NONCE, Random, genesis};

    fn found(path: Path, scan: &Scan, nonces: Nonces) -> Vec<u32> {
        let mut hits = Vec::new();
        path.scan(scan, nonces, &mut hits);
        hits
    }

    /// The one test body for every path: what it finds is what the reference finds.
    fn agrees(path: Path) {
        let seed = 3;
        let mut random = Random::seeded(seed);
        let counts = [0, 1, 3, 4, 5, 7, 8, 9, 1000];
        for zero_bits in [0, 1, 2, 4, 7, 8, 9, 12, 31, 32, 40, 255, 256] {
            let scan = match zero_bits {
                0 => Scan::new(Algorithm::Sha256d, &random.header(), [0xff; 32]),
                _ => Scan::new(Algorithm::Sha256d, &random.header(), random.target(zero_bits)),
            };
            for count in counts {
                let last = u32::MAX - u32::try_from(count).unwrap().saturating_sub(1);
                for start in [0, 0x1234_5678, last] {
                    let nonces = Nonces::new(start, count).unwrap();
                    let expected: Vec<u32> = nonces.iter().filter(|nonce| scan.meets(*nonce)).collect();
                    let found = found(path, &scan, nonces);
                    assert_eq!(found, expected, "{path}, seed {seed}, {zero_bits} zero bits, {nonces:?}");
                }
            }
        }
        let around = Nonces::new(GENESIS_NONCE - 1003, 5000).unwrap();
        assert_eq!(found(path, &genesis(), around), [GENESIS_NONCE], "{path}");
    }

    #[test]
    fn every_path_agrees_with_the_reference() {
        for path in Path::available() {
            agrees(path);
        }
    }

    #[test]
    fn a_long_scan_agrees_between_the_paths() {
        let mut random = Random::seeded(4);
        let scan = Scan::new(Algorithm::Sha256d, &random.header(), random.target(12));
        let nonces = Nonces::new(0x7fff_0000, 200_000).unwrap();
        let expected = found(Path::Portable, &scan, nonces);
        assert!(!expected.is_empty(), "the test needs hits");
        for path in Path::available() {
            assert_eq!(found(path, &scan, nonces), expected, "{path}");
        }
    }

    #[test]
    fn the_best_path_is_the_first_available() {
        assert_eq!(Path::available().first(), Some(&Path::best()));
    }
}
