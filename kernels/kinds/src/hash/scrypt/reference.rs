//! scrypt with N = 1024, r = 1, p = 1, written as its definitions read: RFC 7914, with PBKDF2 of RFC 8018 and HMAC of
//! RFC 2104.

use crate::hash::sha256d::reference::sha256;

/// Blocks of the scratch table.
pub const N: usize = 1024;
/// Words of a block, with r = 1: two halves that Salsa20/8 mixes.
pub const BLOCK_WORDS: usize = 32;

/// A block: 128 bytes as little-endian words.
pub type Block = [u32; BLOCK_WORDS];

/// scrypt of `data`, which is both password and salt, to 32 bytes.
#[must_use]
pub fn scrypt(data: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 4 * BLOCK_WORDS];
    for (index, part) in (1..).zip(bytes.as_chunks_mut::<32>().0) {
        *part = pbkdf2(data, data, index);
    }
    let mut block = block_from(&bytes);
    mix(&mut block);
    for (bytes, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(block) {
        *bytes = word.to_le_bytes();
    }
    pbkdf2(data, &bytes, 1)
}

fn block_from(bytes: &[u8; 4 * BLOCK_WORDS]) -> Block {
    let mut block = [0; BLOCK_WORDS];
    for (word, bytes) in block.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    block
}

/// ROMix: fills a table with the block's successors, then mixes with entries that the block itself picks.
pub fn mix(block: &mut Block) {
    let mut table = Vec::with_capacity(N);
    for _ in 0..N {
        table.push(*block);
        block_mix(block);
    }
    for _ in 0..N {
        let picked = &table[block[16] as usize % N];
        for (word, other) in block.iter_mut().zip(picked) {
            *word ^= other;
        }
        block_mix(block);
    }
}

/// BlockMix with r = 1: each half is xored with the other and goes through Salsa20/8.
pub fn block_mix(block: &mut Block) {
    let (first, second) = block.split_at_mut(BLOCK_WORDS / 2);
    salsa20_8(first, second);
    salsa20_8(second, first);
}

/// `block` becomes Salsa20/8 of `block ^ other`.
fn salsa20_8(block: &mut [u32], other: &[u32]) {
    for (word, other) in block.iter_mut().zip(other) {
        *word ^= other;
    }
    let mut x = [0; 16];
    x.copy_from_slice(block);
    for _ in 0..4 {
        for [a, b, c, d] in [[0, 4, 8, 12], [5, 9, 13, 1], [10, 14, 2, 6], [15, 3, 7, 11]] {
            quarter_round(&mut x, a, b, c, d);
        }
        for [a, b, c, d] in [[0, 1, 2, 3], [5, 6, 7, 4], [10, 11, 8, 9], [15, 12, 13, 14]] {
            quarter_round(&mut x, a, b, c, d);
        }
    }
    for (word, mixed) in block.iter_mut().zip(x) {
        *word = word.wrapping_add(mixed);
    }
}

const fn quarter_round(x: &mut [u32; 16], a: usize, b: usize, c: usize, d: usize) {
    x[b] ^= x[a].wrapping_add(x[d]).rotate_left(7);
    x[c] ^= x[b].wrapping_add(x[a]).rotate_left(9);
    x[d] ^= x[c].wrapping_add(x[b]).rotate_left(13);
    x[a] ^= x[d].wrapping_add(x[c]).rotate_left(18);
}

/// Block `index` (from 1) of PBKDF2-HMAC-SHA-256 with one iteration.
fn pbkdf2(password: &[u8], salt: &[u8], index: u32) -> [u8; 32] {
    let message: Vec<u8> = salt.iter().copied().chain(index.to_be_bytes()).collect();
    hmac(password, &message)
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut padded = [0; 64];
    if key.len() > padded.len() {
        padded[..32].copy_from_slice(&sha256(key));
    } else {
        padded[..key.len()].copy_from_slice(key);
    }
    let with =
        |byte: u8, tail: &[u8]| -> Vec<u8> { padded.iter().map(|k| k ^ byte).chain(tail.iter().copied()).collect() };
    let inner = sha256(&with(0x36, message));
    sha256(&with(0x5c, &inner))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::testing::{Random, hex};

    /// The header of Litecoin's first block, and its proof of work.
    #[test]
    fn litecoins_genesis_block() {
        let mut header = [0; 80];
        header[0] = 1;
        hex(
            "d9ced4ed1130f7b7faad9be25323ffafa33232a17c3edf6cfd97bee6bafbdd97b9aa8e4ef0ff0f1ecd513f7c",
            &mut header[36..],
        );
        let mut expected = [0; 32];
        hex("0000050c34a64b415b6b15b37f2216634b5b1669cb9a2e38d76f7213b0671e00", &mut expected);
        expected.reverse();
        assert_eq!(scrypt(&header), expected);
    }

    #[test]
    fn agrees_with_an_independent_implementation() {
        let params = scrypt_crate::Params::new(10, 1, 1, 32).unwrap();
        let mut random = Random::seeded(31);
        for _ in 0..20 {
            let header = random.header();
            let mut expected = [0; 32];
            scrypt_crate::scrypt(&header, &header, &params, &mut expected).unwrap();
            assert_eq!(scrypt(&header), expected);
        }
    }
}
