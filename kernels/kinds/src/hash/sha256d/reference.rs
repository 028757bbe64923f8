//! SHA-256 (FIPS 180-4) as the standard writes it, and SHA-256d: the definition that every faster path and every device
//! must agree with. It is written to be read, not to be fast.

/// The initial state (FIPS 180-4, 5.3.3).
pub const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The round constants (FIPS 180-4, 4.2.2).
#[rustfmt::skip]
pub const K: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

/// SHA-256 of SHA-256 of `data`.
#[must_use]
pub fn sha256d(data: &[u8]) -> [u8; 32] {
    sha256(&sha256(data))
}

/// SHA-256 of `data`.
#[must_use]
pub fn sha256(data: &[u8]) -> [u8; 32] {
    let mut padded = data.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    let bits = data.len() as u64 * 8;
    padded.extend_from_slice(&bits.to_be_bytes());

    let mut state = INITIAL;
    for block in padded.as_chunks::<64>().0 {
        compress(&mut state, &words(block));
    }
    let mut digest = [0; 32];
    for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    digest
}

/// A block's bytes as its sixteen big-endian words.
#[must_use]
pub fn words(block: &[u8; 64]) -> [u32; 16] {
    let mut words = [0; 16];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    words
}

/// Takes one block into the state.
pub fn compress(state: &mut [u32; 8], block: &[u32; 16]) {
    let mut w = [0; 64];
    w[..16].copy_from_slice(block);
    for t in 16..64 {
        w[t] = (small_sigma1(w[t - 2]).wrapping_add(w[t - 7]))
            .wrapping_add(small_sigma0(w[t - 15]))
            .wrapping_add(w[t - 16]);
    }
    let mut working = *state;
    for t in 0..64 {
        round(&mut working, K[t].wrapping_add(w[t]));
    }
    for (word, worked) in state.iter_mut().zip(working) {
        *word = word.wrapping_add(worked);
    }
}

/// One round; `kw` is the round's constant plus its message word.
pub fn round(state: &mut [u32; 8], kw: u32) {
    let [a, b, c, d, e, f, g, h] = *state;
    let choice = (e & f) ^ (!e & g);
    let majority = (a & b) ^ (a & c) ^ (b & c);
    let t1 = h.wrapping_add(big_sigma1(e)).wrapping_add(choice).wrapping_add(kw);
    let t2 = big_sigma0(a).wrapping_add(majority);
    *state = [t1.wrapping_add(t2), a, b, c, d.wrapping_add(t1), e, f, g];
}

const fn big_sigma0(x: u32) -> u32 {
    x.rotate_right(2) ^ x.rotate_right(13) ^ x.rotate_right(22)
}

const fn big_sigma1(x: u32) -> u32 {
    x.rotate_right(6) ^ x.rotate_right(11) ^ x.rotate_right(25)
}

/// The message schedule's function of the word fifteen places back.
#[must_use]
pub const fn small_sigma0(x: u32) -> u32 {
    x.rotate_right(7) ^ x.rotate_right(18) ^ (x >> 3)
}

/// The message schedule's function of the word two places back.
#[must_use]
pub const fn small_sigma1(x: u32) -> u32 {
    x.rotate_right(17) ^ x.rotate_right(19) ^ (x >> 10)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::hash::testing::Random;

    #[test]
    fn agrees_with_an_independent_implementation_at_every_length_around_two_blocks() {
        let mut random = Random::seeded(1);
        for length in 0..200 {
            let data: Vec<u8> = (0..length).map(|_| random.byte()).collect();
            let once = Sha256::digest(&data);
            assert_eq!(sha256(&data)[..], once[..], "length {length}");
            assert_eq!(sha256d(&data)[..], Sha256::digest(once)[..], "length {length}");
        }
    }
}
