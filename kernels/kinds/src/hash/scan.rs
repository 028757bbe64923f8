//! One search: a header with its nonce left open, the algorithm and the target.

use super::Algorithm;

/// The length of a block header.
pub const HEADER_BYTES: usize = 80;
/// Where the nonce stands in it.
const NONCE_AT: usize = 76;

/// A header whose nonce is open, and the target that its hash must not exceed.
///
/// The nonce is the number whose little-endian bytes stand in bytes 76 to 79 of the header. Hashes and targets are
/// big-endian, as people read them: a header's hash is its digest in reversed byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    algorithm: Algorithm,
    header: [u8; HEADER_BYTES],
    target: [u8; 32],
}

impl Scan {
    /// The search over the nonces of `header`; the nonce bytes that it holds do not matter.
    #[must_use]
    pub fn new(algorithm: Algorithm, header: &[u8; HEADER_BYTES], target_be: [u8; 32]) -> Self {
        let mut header = *header;
        header[NONCE_AT..].fill(0);
        Self { algorithm, header, target: target_be }
    }

    /// What is hashed with.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The header, with a nonce of zero.
    #[must_use]
    pub const fn open_header(&self) -> &[u8; HEADER_BYTES] {
        &self.header
    }

    /// The header with this nonce.
    #[must_use]
    pub fn header(&self, nonce: u32) -> [u8; HEADER_BYTES] {
        let mut header = self.header;
        header[NONCE_AT..].copy_from_slice(&nonce.to_le_bytes());
        header
    }

    /// The greatest hash that is a hit, big-endian.
    #[must_use]
    pub const fn target(&self) -> &[u8; 32] {
        &self.target
    }

    /// The hash of the header with this nonce, big-endian.
    #[must_use]
    pub fn header_hash(&self, nonce: u32) -> [u8; 32] {
        self.algorithm.hash(&self.header(nonce))
    }

    /// Whether the header with this nonce is a hit.
    #[must_use]
    pub fn meets(&self, nonce: u32) -> bool {
        self.header_hash(nonce) <= self.target
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::sha256d::reference::sha256d;
    use crate::hash::testing::{GENESIS_NONCE, Random, genesis};

    #[test]
    fn header_hash_is_the_reversed_digest_of_the_header() {
        let mut random = Random::seeded(2);
        for _ in 0..20 {
            let mut header = random.header();
            let nonce = 0x0102_0304;
            let scan = Scan::new(Algorithm::Sha256d, &header, [0; 32]);
            header[76..].copy_from_slice(&[4, 3, 2, 1]);
            let mut expected = sha256d(&header);
            expected.reverse();
            assert_eq!(scan.header_hash(nonce), expected);
        }
    }

    #[test]
    fn genesis_block_meets_its_target() {
        let hash = genesis().header_hash(GENESIS_NONCE);
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f");
        assert!(genesis().meets(GENESIS_NONCE));
        assert!(!genesis().meets(GENESIS_NONCE + 1));
    }

    #[test]
    fn a_hash_equal_to_the_target_meets_it() {
        let header = [7; 80];
        let hash = Scan::new(Algorithm::Sha256d, &header, [0; 32]).header_hash(9);
        assert!(Scan::new(Algorithm::Sha256d, &header, hash).meets(9));
        let mut less = hash;
        less[31] -= 1; // this hash does not end in zero, or the test would fail here
        assert!(!Scan::new(Algorithm::Sha256d, &header, less).meets(9));
    }
}
