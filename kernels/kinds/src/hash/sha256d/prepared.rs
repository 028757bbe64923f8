//! What of SHA-256d of a header does not depend on the nonce, worked out once a header instead of once a hash.
//!
//! The header's second block holds, as words: 0..=2 the tail, 3 the nonce (its bytes swapped), 4 the padding's first bit,
//! 5..=14 zero, 15 the length 640. So rounds 0 to 2 are fixed, round 3 is fixed but for one addition, the schedule's words
//! 16 and 17 are fixed, and several later ones partly.
//!
//! In the second hash the last state word is known early: it is the `e` that round 60 makes, three rounds before the end.
//! It holds the hash's most significant bytes, so most nonces are decided there.

use super::reference::{INITIAL, K, compress, round, small_sigma0, small_sigma1, words};
use crate::hash::Scan;

/// A scan's constants, as the fast paths and the device kernels take them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Bytes 64 to 75 of the header as big-endian words: all of its second block before the nonce.
    pub tail: [u32; 3],
    /// The state that the first block leaves, added after the second block's rounds.
    pub midstate: [u32; 8],
    /// The state after round 3, where `a` (word 0) and `e` (word 4) still lack the nonce word as a summand.
    pub after_round_3: [u32; 8],
    /// Schedule word 16.
    pub w16: u32,
    /// Schedule word 17.
    pub w17: u32,
    /// Schedule word 18 without the small sigma 0 of the nonce word.
    pub w18: u32,
    /// Schedule word 19 without the nonce word.
    pub w19: u32,
    /// The fixed part of schedule word 31.
    pub w31: u32,
    /// The fixed part of schedule word 32.
    pub w32: u32,
    /// A hash can be a hit only if its last state word has none of these bits: they are the target's leading zeros.
    /// For a target with a zero top word this decides that word exactly; for easier targets it never misses.
    pub filter: u32,
}

impl Prepared {
    /// Works out the constants of `scan`.
    #[must_use]
    pub fn new(scan: &Scan) -> Self {
        let (first, rest) = scan.open_header().split_first_chunk::<64>().expect("64 is less than 80");
        let mut midstate = INITIAL;
        compress(&mut midstate, &words(first));
        let (tail, _) = rest.as_chunks::<4>();
        let tail = [tail[0], tail[1], tail[2]].map(u32::from_be_bytes);
        let [w0, w1, w2] = tail;
        let mut state = midstate;
        for (k, w) in K.iter().zip([w0, w1, w2, 0]) {
            round(&mut state, k.wrapping_add(w));
        }
        let w16 = small_sigma0(w1).wrapping_add(w0);
        let w17 = small_sigma1(640).wrapping_add(small_sigma0(w2)).wrapping_add(w1);
        Self {
            tail,
            midstate,
            after_round_3: state,
            w16,
            w17,
            w18: small_sigma1(w16).wrapping_add(w2),
            w19: small_sigma1(w17).wrapping_add(small_sigma0(0x8000_0000)),
            w31: small_sigma0(w16).wrapping_add(640),
            w32: small_sigma0(w17).wrapping_add(w16),
            filter: filter(scan.target()),
        }
    }

    /// How many words [`Self::device_words`] gives.
    pub const DEVICE_WORDS: usize = 33;

    /// The constants as the device kernel takes them, in the order of its struct `Job`.
    ///
    /// Sums that a CPU's compiler makes once for many nonces are made here, for a device's compiler makes them again for
    /// each. The last three words are the factors by which the kernel adds and shifts in the multiplier.
    #[must_use]
    pub fn device_words(&self) -> [u32; Self::DEVICE_WORDS] {
        let [.., after_f, after_g, after_h] = self.after_round_3;
        let sums = [
            after_h.wrapping_add(K[4]).wrapping_add(0x8000_0000),
            after_g.wrapping_add(K[5]),
            after_f.wrapping_add(K[6]),
            K[16].wrapping_add(self.w16),
            K[17].wrapping_add(self.w17),
            self.midstate[0].wrapping_add(K[63]),
            self.midstate[4].wrapping_sub(self.midstate[0]),
        ];
        let mut words = [0; Self::DEVICE_WORDS];
        let parts: [&[u32]; 5] = [
            &self.midstate,
            &self.after_round_3,
            &[self.w16, self.w17, self.w18, self.w19, self.w31, self.w32, self.filter],
            &sums,
            &[1, 1 << 22, 1 << 29],
        ];
        for (word, part) in words.iter_mut().zip(parts.into_iter().flatten()) {
            *word = *part;
        }
        words
    }

    /// Whether the hash with this last state word can be a hit.
    #[must_use]
    pub const fn passes(&self, last_state_word: u32) -> bool {
        last_state_word & self.filter == 0
    }

    /// The last state word of the second hash: the four most significant bytes of `hash`, which is big-endian.
    #[must_use]
    pub const fn last_state_word(hash: &[u8; 32]) -> u32 {
        u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]])
    }

    /// What `e` after round 60 of the second hash still lacks to be the last state word.
    pub const LAST: u32 = INITIAL[7];
}

fn filter(target: &[u8; 32]) -> u32 {
    let top = u32::from_be_bytes([target[0], target[1], target[2], target[3]]);
    let leading_zeros = u32::MAX.checked_shr(top.leading_zeros());
    // The state's words are stored big-endian in the digest, which is then read backwards.
    (!leading_zeros.unwrap_or(0)).swap_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_is_the_targets_leading_zeros() {
        let with_top = |top: u32| {
            let mut target = [0xff; 32];
            target[..4].copy_from_slice(&top.to_be_bytes());
            filter(&target)
        };
        assert_eq!(with_top(u32::MAX), 0);
        assert_eq!(with_top(0x7fff_ffff), 0x0000_0080);
        assert_eq!(with_top(0x0000_8000), 0x0000_ffff);
        assert_eq!(with_top(1), 0xfeff_ffff);
        assert_eq!(with_top(0), u32::MAX);
    }
}
