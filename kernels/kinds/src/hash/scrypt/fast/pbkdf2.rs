//! The two PBKDF2 steps around the mixing, for several nonces side by side.
//!
//! Each is one iteration of HMAC-SHA-256 under the same key, the header's hash, so the key's two states are kept between.

use crate::hash::lanes::{Lanes, big_sigma0, big_sigma1, small_sigma0, small_sigma1};
use crate::hash::scrypt::Prepared;
use crate::hash::scrypt::reference::BLOCK_WORDS;
use crate::hash::sha256d::reference::{INITIAL, K};

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
    let splat = |words: [u32; 8]| words.map(L::splat);
    let tail = fixed.tail.map(L::splat);
    let end = |index: u32, bits: u32| {
        let mut block = [L::splat(0); 16];
        block[..3].copy_from_slice(&tail);
        block[3] = nonce;
        block[4] = L::splat(index);
        block[15] = L::splat(bits);
        block
    };
    let hash = compress(&splat(fixed.midstate), &end(PADDING, 80 * 8));
    let pad = |byte: u32| {
        let mut block = [L::splat(byte * 0x0101_0101); 16];
        for (word, hash) in block.iter_mut().zip(hash) {
            *word = word.xor(hash);
        }
        compress(&splat(INITIAL), &block)
    };
    let key = Key { inner: pad(0x36), outer: pad(0x5c) };
    let salted = compress(&key.inner, &fixed.head.map(L::splat));
    let mut words = [L::splat(0); BLOCK_WORDS];
    for (index, part) in (1..).zip(words.as_chunks_mut::<8>().0) {
        let mut block = end(index, (64 + 80 + 4) * 8);
        block[5] = L::splat(PADDING);
        *part = outer(&key, &compress(&salted, &block)).map(L::swap_bytes);
    }
    (key, words)
}

/// The second step: the most significant 32 bits of the hashes whose mixed blocks these are.
#[inline(always)]
pub(super) fn top_words<L: Lanes>(key: &Key<L>, mixed: &[L; BLOCK_WORDS]) -> L {
    let mut inner = key.inner;
    for block in mixed.as_chunks::<16>().0 {
        inner = compress(&inner, &block.map(L::swap_bytes));
    }
    let mut block = [L::splat(0); 16];
    block[0] = L::splat(1);
    block[1] = L::splat(PADDING);
    block[15] = L::splat((64 + 128 + 4) * 8);
    let digest = outer(key, &compress(&inner, &block));
    digest[7].swap_bytes()
}

/// The first bit of a message's padding.
const PADDING: u32 = 0x8000_0000;

/// An HMAC of which `inner` is the inside's digest.
#[inline(always)]
fn outer<L: Lanes>(key: &Key<L>, inner: &State<L>) -> State<L> {
    let mut block = [L::splat(0); 16];
    block[..8].copy_from_slice(inner);
    block[8] = L::splat(PADDING);
    block[15] = L::splat((64 + 32) * 8);
    compress(&key.outer, &block)
}

/// The state after one more block.
#[inline(always)]
fn compress<L: Lanes>(state: &State<L>, block: &[L; 16]) -> State<L> {
    let mut w = *block;
    let mut v = *state;
    for (group, k) in K.as_chunks::<16>().0.iter().enumerate() {
        for t in 0..16 {
            if group > 0 {
                w[t] =
                    (w[t].add(small_sigma0(w[(t + 1) % 16]))).add(w[(t + 9) % 16].add(small_sigma1(w[(t + 14) % 16])));
            }
            let [a, b, c, d, e, f, g, h] = v;
            let choice = g.xor(e.and(f.xor(g)));
            let majority = b.xor(a.xor(b).and(b.xor(c)));
            let t1 = h.add(w[t]).add(L::splat(k[t])).add(choice).add(big_sigma1(e));
            v = [t1.add(big_sigma0(a)).add(majority), a, b, c, d.add(t1), e, f, g];
        }
    }
    std::array::from_fn(|word| state[word].add(v[word]))
}
