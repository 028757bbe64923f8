//! One search: a header with its nonce left open, the target, and ranges of nonces.

use super::reference::{INITIAL, compress, sha256, words};

/// The length of a block header.
pub const HEADER_BYTES: usize = 80;

/// A header whose nonce is open, and the target that its hash must not exceed.
///
/// The nonce is the number whose little-endian bytes stand in bytes 76 to 79 of the header. Hashes and targets are
/// big-endian, as people read them: a header's hash is its SHA-256d digest in reversed byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    midstate: [u32; 8],
    tail: [u32; 3],
    target: [u8; 32],
}

impl Scan {
    /// The search over the nonces of `header`; the nonce bytes that it holds do not matter.
    #[must_use]
    pub fn new(header: &[u8; HEADER_BYTES], target_be: [u8; 32]) -> Self {
        let (first, rest) = header
            .split_first_chunk::<64>()
            .expect("64 is less than 80");
        let mut midstate = INITIAL;
        compress(&mut midstate, &words(first));
        let (tail, _) = rest.as_chunks::<4>();
        let tail = [tail[0], tail[1], tail[2]].map(u32::from_be_bytes);
        Self {
            midstate,
            tail,
            target: target_be,
        }
    }

    /// SHA-256's state after the first 64 bytes of the header.
    #[must_use]
    pub const fn midstate(&self) -> &[u32; 8] {
        &self.midstate
    }

    /// Bytes 64 to 75 of the header as big-endian words: all of its second block before the nonce.
    #[must_use]
    pub const fn tail(&self) -> &[u32; 3] {
        &self.tail
    }

    /// The greatest hash that is a hit, big-endian.
    #[must_use]
    pub const fn target(&self) -> &[u8; 32] {
        &self.target
    }

    /// The hash of the header with this nonce, big-endian.
    #[must_use]
    pub fn header_hash(&self, nonce: u32) -> [u8; 32] {
        let mut block = [0; 16];
        block[..3].copy_from_slice(&self.tail);
        block[3] = nonce.swap_bytes();
        block[4] = 0x8000_0000;
        block[15] = 640; // the header's length in bits
        let mut state = self.midstate;
        compress(&mut state, &block);
        let mut inner = [0; 32];
        for (bytes, word) in inner.as_chunks_mut::<4>().0.iter_mut().zip(state) {
            *bytes = word.to_be_bytes();
        }
        let mut hash = sha256(&inner);
        hash.reverse();
        hash
    }

    /// Whether the header with this nonce is a hit.
    #[must_use]
    pub fn meets(&self, nonce: u32) -> bool {
        self.header_hash(nonce) <= self.target
    }
}

/// A range of nonces. It never reaches past the last nonce, 2^32 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonces {
    start: u32,
    count: u64,
}

/// A range that would reach past the last nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{count} nonces from {start} reach past the last nonce, 4294967295")]
pub struct NonceRangeError {
    /// Where the range would start.
    pub start: u32,
    /// How many nonces it would hold.
    pub count: u64,
}

impl Nonces {
    /// Every nonce there is.
    pub const ALL: Self = Self {
        start: 0,
        count: 1 << 32,
    };

    /// `count` nonces from `start` on.
    ///
    /// # Errors
    /// When they would reach past the last nonce.
    pub const fn new(start: u32, count: u64) -> Result<Self, NonceRangeError> {
        if count > (1 << 32) - start as u64 {
            return Err(NonceRangeError { start, count });
        }
        Ok(Self { start, count })
    }

    /// The first nonce, if there is any.
    #[must_use]
    pub const fn start(self) -> u32 {
        self.start
    }

    /// How many nonces there are.
    #[must_use]
    pub const fn count(self) -> u64 {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.count == 0
    }

    /// The first `count` nonces (or all, if there are fewer) and the rest.
    #[must_use]
    pub fn split_at(self, count: u64) -> (Self, Self) {
        let count = count.min(self.count);
        // An empty rest may begin at 2^32, which is no nonce; where an empty range starts does not matter.
        let middle = u32::try_from(u64::from(self.start) + count).unwrap_or(self.start);
        (
            Self {
                start: self.start,
                count,
            },
            Self {
                start: middle,
                count: self.count - count,
            },
        )
    }

    /// The range cut in order into pieces of `size` nonces, the last one smaller if need be.
    ///
    /// # Panics
    /// When `size` is zero.
    pub fn pieces(self, size: u64) -> impl Iterator<Item = Self> {
        assert!(size > 0, "pieces of no nonces never cover a range");
        let mut rest = self;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let (piece, after) = rest.split_at(size);
            rest = after;
            Some(piece)
        })
    }

    /// Whether `nonce` lies in the range.
    #[must_use]
    pub const fn contains(self, nonce: u32) -> bool {
        nonce >= self.start && ((nonce - self.start) as u64) < self.count
    }

    /// Each nonce, in order.
    pub fn iter(self) -> impl Iterator<Item = u32> {
        (self.start..=u32::MAX)
            .zip(0..self.count)
            .map(|(nonce, _)| nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::reference::sha256d;
    use crate::hash::testing::{GENESIS_NONCE, Random, genesis};

    #[test]
    fn header_hash_is_the_reversed_digest_of_the_header() {
        let mut random = Random::seeded(2);
        for _ in 0..20 {
            let mut header = random.header();
            let nonce = 0x0102_0304;
            let scan = Scan::new(&header, [0; 32]);
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
        assert_eq!(
            hex,
            "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
        );
        assert!(genesis().meets(GENESIS_NONCE));
        assert!(!genesis().meets(GENESIS_NONCE + 1));
    }

    #[test]
    fn a_hash_equal_to_the_target_meets_it() {
        let header = [7; 80];
        let hash = Scan::new(&header, [0; 32]).header_hash(9);
        assert!(Scan::new(&header, hash).meets(9));
        let mut less = hash;
        less[31] -= 1; // this hash does not end in zero, or the test would fail here
        assert!(!Scan::new(&header, less).meets(9));
    }

    #[test]
    fn ranges_end_at_the_last_nonce() {
        assert_eq!(
            Nonces::new(u32::MAX, 1).unwrap().iter().collect::<Vec<_>>(),
            [u32::MAX]
        );
        assert!(Nonces::new(0, 1 << 32).is_ok());
        assert_eq!(
            Nonces::new(1, 1 << 32),
            Err(NonceRangeError {
                start: 1,
                count: 1 << 32
            })
        );
        assert!(Nonces::new(u32::MAX, u64::MAX).is_err());
        assert!(Nonces::new(u32::MAX, 0).unwrap().iter().next().is_none());
    }

    #[test]
    fn pieces_cover_the_range_once_and_in_order() {
        let range = Nonces::new(u32::MAX - 9, 10).unwrap();
        for size in 1..12 {
            let nonces: Vec<u32> = range.pieces(size).flat_map(Nonces::iter).collect();
            assert_eq!(nonces, range.iter().collect::<Vec<_>>(), "size {size}");
        }
        assert!(range.contains(u32::MAX) && !range.contains(u32::MAX - 10));
    }
}
