//! AVX2: eight nonces side by side.
#![allow(unsafe_code)] // CPU intrinsics

use std::arch::x86_64::{_mm256_castsi256_ps, _mm256_cmpeq_epi32, _mm256_movemask_ps, _mm256_setzero_si256};

use super::in_groups;
use super::unrolled::last_state_word;
use crate::hash::Nonces;
use crate::hash::lanes::{Eight, Lanes, nonce_words};
use crate::hash::sha256d::Prepared;

pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx2")
}

pub(super) fn candidates(fixed: &Prepared, nonces: Nonces, on_candidate: &mut dyn FnMut(u32)) {
    assert!(is_available());
    // SAFETY: the CPU has AVX2, as just asserted.
    unsafe { candidates_avx2(fixed, nonces, on_candidate) }
}

#[target_feature(enable = "avx2")]
fn candidates_avx2(fixed: &Prepared, nonces: Nonces, on_candidate: &mut dyn FnMut(u32)) {
    in_groups::<8>(nonces, on_candidate, |first| {
        let words = last_state_word::<Eight>(fixed, nonce_words(first)).and(Eight::splat(fixed.filter)).register();
        let passing = _mm256_cmpeq_epi32(words, _mm256_setzero_si256());
        _mm256_movemask_ps(_mm256_castsi256_ps(passing)).cast_unsigned()
    });
}
