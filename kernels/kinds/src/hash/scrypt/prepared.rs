//! What of a header does not depend on the nonce, as the fast paths and the device kernels take it.
//!
//! The header is both the key and the salt of both PBKDF2 steps. It is longer than a block, so the key is its hash, of
//! which the first block's part is fixed; everything after it depends on the nonce.

use crate::hash::Scan;
use crate::hash::sha256d::reference::{INITIAL, compress, words};

/// A scan's constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Bytes 0 to 63 of the header as big-endian words: its first block.
    pub head: [u32; 16],
    /// Bytes 64 to 75 of the header as big-endian words: all of its second block before the nonce.
    pub tail: [u32; 3],
    /// SHA-256's state after the header's first block.
    pub midstate: [u32; 8],
    /// The target's most significant 32 bits. A hash can be a hit only if its own are no more.
    pub top: u32,
}

impl Prepared {
    /// Works out the constants of `scan`.
    #[must_use]
    pub fn new(scan: &Scan) -> Self {
        let (first, rest) = scan.open_header().split_first_chunk::<64>().expect("64 is less than 80");
        let head = words(first);
        let mut midstate = INITIAL;
        compress(&mut midstate, &head);
        let (tail, _) = rest.as_chunks::<4>();
        let tail = [tail[0], tail[1], tail[2]].map(u32::from_be_bytes);
        Self { head, tail, midstate, top: Self::top_word(scan.target()) }
    }

    /// Whether the hash with these most significant 32 bits can be a hit.
    #[must_use]
    pub const fn passes(&self, top_word: u32) -> bool {
        top_word <= self.top
    }

    /// The most significant 32 bits of a number that is written big-endian.
    #[must_use]
    pub const fn top_word(number: &[u8; 32]) -> u32 {
        u32::from_be_bytes([number[0], number[1], number[2], number[3]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Algorithm;
    use crate::hash::testing::Random;

    #[test]
    fn every_hit_passes() {
        let mut random = Random::seeded(41);
        for nonce in 0..8 {
            let header = random.header();
            let hash = Scan::new(Algorithm::Scrypt, &header, [0; 32]).header_hash(nonce);
            let top = Prepared::top_word(&hash);
            let prepared = Prepared::new(&Scan::new(Algorithm::Scrypt, &header, hash));
            assert!(prepared.passes(top) && !prepared.passes(top + 1), "no random hash begins with 32 ones");
        }
    }
}
