//! The CPU's fast path: the same nonces as the reference, found on one thread with the best instructions this CPU has.
//!
//! A path looks only at the most significant word of each hash ([`Prepared::passes`]) and hands the nonces that pass to
//! [`Scan::meets`], which decides.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod pbkdf2;
mod portable;
mod romix;
#[cfg(target_arch = "x86_64")]
mod sse2;

use std::fmt;

use self::romix::{Block, Row, Table};
use super::Prepared;
use super::reference::{BLOCK_WORDS, N};
use crate::hash::lanes::{Lanes, nonce_words};
use crate::hash::{Nonces, Scan};

/// A way to hash on this CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// AVX2, two hashes in a register.
    Avx2,
    /// SSE2, one hash in a register.
    Sse2,
    /// Plain Rust.
    Portable,
}

impl Path {
    /// The paths that this CPU can take, fastest first. The last one can be taken everywhere.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let every = [Self::Avx2, Self::Sse2, Self::Portable];
        every.into_iter().filter(|path| path.is_available()).collect()
    }

    /// The fastest path that this CPU can take.
    #[must_use]
    pub fn best() -> Self {
        let mut every = [Self::Avx2, Self::Sse2].into_iter();
        every.find(|path| path.is_available()).unwrap_or(Self::Portable)
    }

    /// Whether this CPU can take it.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::is_available(),
            #[cfg(target_arch = "x86_64")]
            Self::Sse2 => true,
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Sse2 => false,
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
            Self::Avx2 => avx2::candidates(&prepared, nonces, &mut on_candidate),
            #[cfg(target_arch = "x86_64")]
            Self::Sse2 => sse2::candidates(&prepared, nonces, &mut on_candidate),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Sse2 => unreachable!("not available, as asserted"),
            Self::Portable => portable::candidates(&prepared, nonces, &mut on_candidate),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Avx2 => "avx2",
            Self::Sse2 => "sse2",
            Self::Portable => "portable",
        })
    }
}

/// Walks a range. `HASHES` nonces are mixed at once, and twice as many, a multiple of the lanes, are prepared at once; those
/// past the end of the range are computed with the last ones (they wrap) and dropped.
#[inline(always)]
fn walk<L: Lanes, R: Row, const REGISTERS: usize, const HASHES: usize>(
    fixed: &Prepared,
    nonces: Nonces,
    on_candidate: &mut dyn FnMut(u32),
) {
    const GROUPS: usize = 2;
    const { assert!((GROUPS * HASHES).is_multiple_of(L::COUNT)) };
    let mut table = vec![[Block::ZERO; HASHES]; N + 1];
    let table: &mut Table<HASHES> = table.as_mut_slice().try_into().expect("made with N + 1 entries");
    let mut blocks = [[Block::ZERO; HASHES]; GROUPS];
    let mut keys = Vec::with_capacity(GROUPS * HASHES / L::COUNT);
    for piece in nonces.pieces((GROUPS * HASHES) as u64) {
        keys.clear();
        let mut first = piece.start();
        for blocks in blocks.as_flattened_mut().chunks_mut(L::COUNT) {
            let (key, words) = pbkdf2::begin::<L>(fixed, nonce_words(first));
            keys.push(key);
            for (lane, block) in blocks.iter_mut().enumerate() {
                for (index, word) in words.iter().enumerate() {
                    *block.word_mut(index) = word.lane(lane);
                }
            }
            first = first.wrapping_add(u32::try_from(L::COUNT).expect("no word has 2^32 lanes"));
        }
        let needed = piece.count().div_ceil(HASHES as u64);
        for (_, blocks) in (0..needed).zip(&mut blocks) {
            romix::mix::<R, REGISTERS, HASHES>(blocks, table);
        }
        let mut numbers = piece.iter();
        for (blocks, key) in blocks.as_flattened().chunks(L::COUNT).zip(&keys) {
            let mut mixed = [L::splat(0); BLOCK_WORDS];
            for (index, word) in mixed.iter_mut().enumerate() {
                *word = L::from_fn(|lane| blocks[lane].word(index));
            }
            let tops = pbkdf2::top_words::<L>(key, &mixed);
            for (lane, nonce) in (0..L::COUNT).zip(&mut numbers) {
                if fixed.passes(tops.lane(lane)) {
                    on_candidate(nonce);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Algorithm;
    use crate::hash::testing::{Random, litecoin_genesis};

    fn found(path: Path, scan: &Scan, nonces: Nonces) -> Vec<u32> {
        let mut hits = Vec::new();
        path.scan(scan, nonces, &mut hits);
        hits
    }

    /// The one test body for every path: what it finds is what the reference finds.
    fn agrees(path: Path) {
        let seed = 33;
        let mut random = Random::seeded(seed);
        for (zero_bits, count) in [(0, 49), (1, 11), (2, 24), (3, 25), (4, 73), (5, 12), (6, 13), (33, 7), (256, 1)] {
            let scan = match zero_bits {
                0 => Scan::new(Algorithm::Scrypt, &random.header(), [0xff; 32]),
                _ => Scan::new(Algorithm::Scrypt, &random.header(), random.target(zero_bits)),
            };
            let last = u32::MAX - u32::try_from(count - 1).unwrap();
            for start in [0, 0x1234_5678, last] {
                let nonces = Nonces::new(start, count).unwrap();
                let expected: Vec<u32> = nonces.iter().filter(|nonce| scan.meets(*nonce)).collect();
                let found = found(path, &scan, nonces);
                assert_eq!(found, expected, "{path}, seed {seed}, {zero_bits} zero bits, {nonces:?}");
            }
        }
        let (genesis, nonce) = litecoin_genesis();
        assert!(found(path, &genesis, Nonces::new(nonce, 0).unwrap()).is_empty());
        let around = Nonces::new(nonce - 100, 150).unwrap();
        assert_eq!(found(path, &genesis, around), [nonce], "{path}");
    }

    #[test]
    fn every_path_agrees_with_the_reference() {
        for path in Path::available() {
            agrees(path);
        }
    }

    #[test]
    fn a_hash_equal_to_the_target_is_found() {
        let mut random = Random::seeded(34);
        let header = random.header();
        let hash = Scan::new(Algorithm::Scrypt, &header, [0; 32]).header_hash(9);
        let scan = Scan::new(Algorithm::Scrypt, &header, hash);
        for path in Path::available() {
            assert!(found(path, &scan, Nonces::new(5, 9).unwrap()).contains(&9), "{path}");
        }
    }

    #[test]
    fn the_best_path_is_the_first_available() {
        assert_eq!(Path::available().first(), Some(&Path::best()));
    }
}
