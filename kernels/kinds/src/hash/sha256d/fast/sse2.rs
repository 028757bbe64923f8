//! SSE2, which every x86-64 CPU has: four nonces side by side.
#![allow(unsafe_code)] // CPU intrinsics

use std::arch::x86_64::{_mm_castsi128_ps, _mm_cmpeq_epi32, _mm_movemask_ps, _mm_setzero_si128};

use super::in_groups;
use super::unrolled::last_state_word;
use crate::hash::Nonces;
use crate::hash::lanes::{FourSse2, Lanes, nonce_words};
use crate::hash::sha256d::Prepared;

pub(super) fn candidates(fixed: &Prepared, nonces: Nonces, on_candidate: &mut dyn FnMut(u32)) {
    // SAFETY: every x86-64 CPU has SSE2.
    unsafe { candidates_sse2(fixed, nonces, on_candidate) }
}

#[target_feature(enable = "sse2")]
fn candidates_sse2(fixed: &Prepared, nonces: Nonces, on_candidate: &mut dyn FnMut(u32)) {
    in_groups::<4>(nonces, on_candidate, |first| {
        let words =
            last_state_word::<FourSse2>(fixed, nonce_words(first)).and(FourSse2::splat(fixed.filter)).register();
        let passing = _mm_cmpeq_epi32(words, _mm_setzero_si128());
        _mm_movemask_ps(_mm_castsi128_ps(passing)).cast_unsigned()
    });
}
