//! The two PBKDF2 steps around the mixing, for several nonces side by side.
//!
//! Each is one iteration of HMAC-SHA-256 under the same key, the header's hash, so the key's two states are kept between.

use crate::hash::lanes::Lanes;
use crate::hash::scrypt::Prepared;
use crate::hash::scrypt::reference::BLOCK_WORDS;
use crate::hash::sha256d::reference::INITIAL;

type State<L> = [L; 8];

/// SHA-256's states after the key, on the inside and on the outside of an HMAC.
#[derive(Clone, Copy)]
pub(super) struct Key<L> {
    inner: State<L>,
    outer: State<L>,
}

/// The first step: the key of the headers with these nonce words (nonces with their bytes swapped), and the blocks to mix.
#[inline(always)]
pub(super) fn begin<L: Lanes>(fixed: &Prepared, nonce: L) -> (Key<L>, [L; BLOCK_WORDS]) {
    let mut end: [L; 16] = splat([0; 16]);
    for (word, tail) in end.iter_mut().zip(fixed.tail) {
        *word = L::splat(tail);
    }
    end[3] = nonce;
    end[4] = L::splat(PADDING);
    end[15] = L::splat(80 * 8);
    let hash = L::compress(&splat(fixed.midstate), &end);
    let key = Key { inner: padded(&hash, 0x3636_3636), outer: padded(&hash, 0x5c5c_5c5c) };

    let salted = L::compress(&key.inner, &splat(fixed.head));
    end[5] = L::splat(PADDING);
    end[15] = L::splat((64 + 80 + 4) * 8);
    let mut words: [L; BLOCK_WORDS] = splat([0; BLOCK_WORDS]);
    for (index, part) in (1..).zip(words.as_chunks_mut::<8>().0) {
        end[4] = L::splat(index);
        *part = outer(&key, &L::compress(&salted, &end));
        swap_bytes(part);
    }
    (key, words)
}

/// The second step: the most significant 32 bits of the hashes whose mixed blocks these are.
#[inline(always)]
pub(super) fn top_words<L: Lanes>(key: &Key<L>, mixed: &[L; BLOCK_WORDS]) -> L {
    let mut inner = key.inner;
    for block in mixed.as_chunks::<16>().0 {
        let mut block = *block;
        swap_bytes(&mut block);
        inner = L::compress(&inner, &block);
    }
    let mut end: [L; 16] = splat([0; 16]);
    end[0] = L::splat(1);
    end[1] = L::splat(PADDING);
    end[15] = L::splat((64 + 128 + 4) * 8);
    let digest = outer(key, &L::compress(&inner, &end));
    digest[7].swap_bytes()
}

/// The first bit of a message's padding.
const PADDING: u32 = 0x8000_0000;

/// The state after the key xored with a pad, whose four bytes these are.
#[inline(always)]
fn padded<L: Lanes>(key: &State<L>, pad: u32) -> State<L> {
    let mut block: [L; 16] = splat([pad; 16]);
    for (word, key) in block.iter_mut().zip(key) {
        *word = word.xor(*key);
    }
    L::compress(&splat(INITIAL), &block)
}

/// An HMAC of which `inner` is the inside's digest.
#[inline(always)]
fn outer<L: Lanes>(key: &Key<L>, inner: &State<L>) -> State<L> {
    let mut block: [L; 16] = splat([0; 16]);
    block[..8].copy_from_slice(inner);
    block[8] = L::splat(PADDING);
    block[15] = L::splat((64 + 32) * 8);
    L::compress(&key.outer, &block)
}

// Loops instead of `array::map`, whose closures are compiled without the caller's instruction set.

#[inline(always)]
fn splat<L: Lanes, const COUNT: usize>(words: [u32; COUNT]) -> [L; COUNT] {
    let mut lanes = [L::splat(0); COUNT];
    for (lane, word) in lanes.iter_mut().zip(words) {
        *lane = L::splat(word);
    }
    lanes
}

#[inline(always)]
fn swap_bytes<L: Lanes>(words: &mut [L]) {
    for word in words {
        *word = word.swap_bytes();
    }
}
