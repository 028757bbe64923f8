//! AVX2: eight nonces side by side.
#![allow(unsafe_code)] // CPU intrinsics

use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_and_si256, _mm256_castsi256_ps, _mm256_cmpeq_epi32, _mm256_movemask_ps,
    _mm256_or_si256, _mm256_set1_epi32, _mm256_setr_epi32, _mm256_setzero_si256, _mm256_slli_epi32, _mm256_srli_epi32,
    _mm256_xor_si256,
};

use super::in_groups;
use super::lanes::{Lanes, last_state_word};
use crate::hash::Nonces;
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
        let n = |lane: u32| first.wrapping_add(lane).swap_bytes().cast_signed();
        let nonce = Eight(_mm256_setr_epi32(n(0), n(1), n(2), n(3), n(4), n(5), n(6), n(7)));
        let Eight(words) = last_state_word(fixed, nonce).and(Eight::splat(fixed.filter));
        let passing = _mm256_cmpeq_epi32(words, _mm256_setzero_si256());
        _mm256_movemask_ps(_mm256_castsi256_ps(passing)).cast_unsigned()
    });
}

/// Made and used only under [`candidates_avx2`].
#[derive(Clone, Copy)]
struct Eight(__m256i);

// SAFETY, for every block below: this type lives only inside `candidates_avx2`, which runs only on a CPU with AVX2, and
// the intrinsics work on registers alone.
impl Lanes for Eight {
    #[inline(always)]
    fn splat(value: u32) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_set1_epi32(value.cast_signed()) })
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_add_epi32(self.0, other.0) })
    }
    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_xor_si256(self.0, other.0) })
    }
    #[inline(always)]
    fn and(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_and_si256(self.0, other.0) })
    }
    #[inline(always)]
    fn shift_right<const N: i32>(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_srli_epi32::<N>(self.0) })
    }
    #[inline(always)]
    fn rotate_right<const RIGHT: i32, const LEFT: i32>(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_or_si256(_mm256_srli_epi32::<RIGHT>(self.0), _mm256_slli_epi32::<LEFT>(self.0)) })
    }
}
