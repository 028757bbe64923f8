//! x86's SHA instructions: four nonces in flight at once, so that each one's latency hides behind the others.
//!
//! `sha256rnds2` does two rounds on a state held as (a, b, e, f) and (c, d, g, h), highest lane first. Rounds 0 and 1 of the
//! header's block are fixed; the second hash stops after round 61, whose lowest lane is the `e` of round 60.
#![allow(unsafe_code)] // CPU intrinsics

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_and_si128, _mm_castps_si128, _mm_castsi128_ps, _mm_cmpeq_epi32,
    _mm_insert_epi32, _mm_movemask_ps, _mm_set1_epi32, _mm_setr_epi32, _mm_setzero_si128, _mm_sha256msg1_epu32,
    _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi32, _mm_shuffle_ps, _mm_unpacklo_epi32,
    _mm_unpacklo_epi64,
};

use super::in_groups;
use crate::hash::Nonces;
use crate::hash::sha256d::Prepared;
use crate::hash::sha256d::reference::{INITIAL, K, small_sigma0, small_sigma1};

/// Nonces in flight.
const STREAMS: usize = 4;

pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("sha") && is_x86_feature_detected!("avx")
}

pub(super) fn candidates(fixed: &Prepared, nonces: Nonces, on_candidate: &mut dyn FnMut(u32)) {
    assert!(is_available());
    // SAFETY: the CPU has SHA and AVX (which includes SSE4.1), as just asserted.
    unsafe { candidates_sha(fixed, nonces, on_candidate) }
}

/// One register for each nonce in flight.
type Streams = [__m128i; STREAMS];

/// Four 32-bit words in a register, the first in the lowest lane.
#[inline]
#[target_feature(enable = "sha,avx")]
fn register(words: [u32; 4]) -> __m128i {
    let [w0, w1, w2, w3] = words.map(u32::cast_signed);
    _mm_setr_epi32(w0, w1, w2, w3)
}

/// Round constants `4 * group` to `4 * group + 3`, plus constant message words.
#[inline]
#[target_feature(enable = "sha,avx")]
fn constants(group: usize, words: [u32; 4]) -> __m128i {
    register(std::array::from_fn(|lane| K[4 * group + lane].wrapping_add(words[lane])))
}

/// The working variables of every stream.
struct State {
    abef: Streams,
    cdgh: Streams,
}

impl State {
    /// Four rounds; `kw(stream)` is the rounds' constants plus message words.
    #[inline]
    #[target_feature(enable = "sha,avx")]
    fn rounds(&mut self, kw: Streams) {
        for ((abef, cdgh), kw) in self.abef.iter_mut().zip(&mut self.cdgh).zip(kw) {
            *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, kw);
            *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32::<0x0e>(kw));
        }
    }
}

/// Each stream's register plus the same one.
#[inline]
#[target_feature(enable = "sha,avx")]
fn plus(streams: &Streams, same: __m128i) -> Streams {
    let mut sums = *streams;
    for sum in &mut sums {
        *sum = _mm_add_epi32(*sum, same);
    }
    sums
}

/// The schedule's next four words after `w[0..16]`, held four to a register, oldest first.
#[inline]
#[target_feature(enable = "sha,avx")]
fn next(oldest: &Streams, old: &Streams, young: &Streams, youngest: &Streams) -> Streams {
    let mut words = *oldest;
    for (stream, word) in words.iter_mut().enumerate() {
        let sum = _mm_sha256msg1_epu32(*word, old[stream]);
        let sum = _mm_add_epi32(sum, _mm_alignr_epi8::<4>(youngest[stream], young[stream]));
        *word = _mm_sha256msg2_epu32(sum, youngest[stream]);
    }
    words
}

/// As [`next`], where the first two registers are constant and `sum` is what they contribute.
#[inline]
#[target_feature(enable = "sha,avx")]
fn next_after(sum: __m128i, young: &Streams, youngest: &Streams) -> Streams {
    let mut words = *youngest;
    for (word, young) in words.iter_mut().zip(young) {
        let with = _mm_add_epi32(sum, _mm_alignr_epi8::<4>(*word, *young));
        *word = _mm_sha256msg2_epu32(with, *word);
    }
    words
}

#[target_feature(enable = "sha,avx")]
fn candidates_sha(fixed: &Prepared, nonces: Nonces, on_candidate: &mut dyn FnMut(u32)) {
    let [a, b, c, d, e, f, g, h] = fixed.midstate;
    let middle = (register([f, e, b, a]), register([h, g, d, c]));
    let [t0, t1, t2] = fixed.tail;
    let open = register([t0, t1, t2, 0]);
    // Two rounds turn (c, d, g, h) into the new (a, b, e, f), and the old (a, b, e, f) is the new (c, d, g, h).
    let after_round_1 = _mm_sha256rnds2_epu32(middle.1, middle.0, _mm_add_epi32(open, constants(0, [0; 4])));
    let k2_k3 = register([K[2].wrapping_add(t2), K[3], 0, 0]);
    // The message words 4 to 15 of the header's block are padding.
    let padding = [[0x8000_0000, 0, 0, 0], [0; 4], [0, 0, 0, 640]];
    let w4 = register(padding[0]);
    // Words 16 to 19 less what msg1 makes of the first two registers; words 16 and 17 are known, so msg2 folds too.
    let with_16 = register([0, small_sigma1(640), small_sigma1(fixed.w16), small_sigma1(fixed.w17)]);
    let with_20 = register([0x8000_0000, 0, 640, fixed.w16]);
    let with_28 = register([0, 0, small_sigma0(640), fixed.w31]);

    let initial = {
        let [a, b, c, d, e, f, g, h] = INITIAL;
        (register([f, e, b, a]), register([h, g, d, c]))
    };
    let with_digest_24 = register([0x8000_0000, 0, 0, 0]);
    let second_w8 = register([0x8000_0000, 0, 0, 0]);
    let second_w12 = register([0, 0, 0, 256]);
    let last = _mm_set1_epi32(Prepared::LAST.cast_signed());
    let filter = _mm_set1_epi32(fixed.filter.cast_signed());

    in_groups::<4>(nonces, on_candidate, |first| {
        let mut w0 = [open; STREAMS];
        let mut kw = [k2_k3; STREAMS];
        for (lane, (w0, kw)) in (0..).zip(w0.iter_mut().zip(&mut kw)) {
            let nonce = first.wrapping_add(lane).swap_bytes();
            *w0 = _mm_insert_epi32::<3>(*w0, nonce.cast_signed());
            *kw = _mm_insert_epi32::<1>(*kw, K[3].wrapping_add(nonce).cast_signed());
        }

        // The header's second block.
        let mut state = State { abef: [after_round_1; STREAMS], cdgh: [middle.0; STREAMS] };
        for (cdgh, kw) in state.cdgh.iter_mut().zip(kw) {
            *cdgh = _mm_sha256rnds2_epu32(*cdgh, after_round_1, kw);
        }
        std::mem::swap(&mut state.abef, &mut state.cdgh);
        state.rounds([constants(1, padding[0]); STREAMS]);
        state.rounds([constants(2, padding[1]); STREAMS]);
        state.rounds([constants(3, padding[2]); STREAMS]);

        macro_rules! rounds {
            ($group:literal, $words:ident) => {
                state.rounds(plus(&$words, constants($group, [0; 4])));
            };
        }
        let mut w16 = w0;
        for word in &mut w16 {
            *word = _mm_add_epi32(_mm_sha256msg1_epu32(*word, w4), with_16);
        }
        rounds!(4, w16);
        let mut w20 = w16;
        for word in &mut w20 {
            *word = _mm_sha256msg2_epu32(with_20, *word);
        }
        rounds!(5, w20);
        let w24 = next_after(_mm_setzero_si128(), &w16, &w20);
        rounds!(6, w24);
        let w28 = next_after(with_28, &w20, &w24);
        rounds!(7, w28);
        let w32 = next(&w16, &w20, &w24, &w28);
        rounds!(8, w32);
        let w36 = next(&w20, &w24, &w28, &w32);
        rounds!(9, w36);
        let w40 = next(&w24, &w28, &w32, &w36);
        rounds!(10, w40);
        let w44 = next(&w28, &w32, &w36, &w40);
        rounds!(11, w44);
        let w48 = next(&w32, &w36, &w40, &w44);
        rounds!(12, w48);
        let w52 = next(&w36, &w40, &w44, &w48);
        rounds!(13, w52);
        let w56 = next(&w40, &w44, &w48, &w52);
        rounds!(14, w56);
        let w60 = next(&w44, &w48, &w52, &w56);
        rounds!(15, w60);

        // The second hash, of the first one's digest.
        let mut w0 = w60;
        let mut w4 = w60;
        for stream in 0..STREAMS {
            let abef = _mm_castsi128_ps(_mm_add_epi32(state.abef[stream], middle.0));
            let cdgh = _mm_castsi128_ps(_mm_add_epi32(state.cdgh[stream], middle.1));
            w0[stream] = _mm_castps_si128(_mm_shuffle_ps::<0b10_11_10_11>(abef, cdgh));
            w4[stream] = _mm_castps_si128(_mm_shuffle_ps::<0b00_01_00_01>(abef, cdgh));
        }
        state = State { abef: [initial.0; STREAMS], cdgh: [initial.1; STREAMS] };
        rounds!(0, w0);
        rounds!(1, w4);
        state.rounds([constants(2, [0x8000_0000, 0, 0, 0]); STREAMS]);
        state.rounds([constants(3, [0, 0, 0, 256]); STREAMS]);
        let mut w16 = w0;
        for (word, w4) in w16.iter_mut().zip(w4) {
            *word = _mm_sha256msg2_epu32(_mm_sha256msg1_epu32(*word, w4), second_w12);
        }
        rounds!(4, w16);
        let w20 = next(&w4, &[second_w8; STREAMS], &[second_w12; STREAMS], &w16);
        rounds!(5, w20);
        let w24 = next_after(with_digest_24, &w16, &w20);
        rounds!(6, w24);
        let w28 = next(&[second_w12; STREAMS], &w16, &w20, &w24);
        rounds!(7, w28);
        let w32 = next(&w16, &w20, &w24, &w28);
        rounds!(8, w32);
        let w36 = next(&w20, &w24, &w28, &w32);
        rounds!(9, w36);
        let w40 = next(&w24, &w28, &w32, &w36);
        rounds!(10, w40);
        let w44 = next(&w28, &w32, &w36, &w40);
        rounds!(11, w44);
        let w48 = next(&w32, &w36, &w40, &w44);
        rounds!(12, w48);
        let w52 = next(&w36, &w40, &w44, &w48);
        rounds!(13, w52);
        let w56 = next(&w40, &w44, &w48, &w52);
        rounds!(14, w56);
        let w60 = plus(&next(&w44, &w48, &w52, &w56), constants(15, [0; 4]));

        // After rounds 60 and 61 the lowest lane of (a, b, e, f) is the e of round 60.
        let mut e = state.cdgh;
        for (stream, e) in e.iter_mut().enumerate() {
            *e = _mm_sha256rnds2_epu32(*e, state.abef[stream], w60[stream]);
        }
        let e = _mm_unpacklo_epi64(_mm_unpacklo_epi32(e[0], e[1]), _mm_unpacklo_epi32(e[2], e[3]));
        let words = _mm_and_si128(_mm_add_epi32(e, last), filter);
        let passing = _mm_cmpeq_epi32(words, _mm_setzero_si128());
        _mm_movemask_ps(_mm_castsi128_ps(passing)).cast_unsigned()
    });
}
