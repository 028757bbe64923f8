//! SSE2, which every x86-64 CPU has: four nonces side by side.
#![allow(unsafe_code)] // CPU intrinsics

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_and_si128, _mm_castsi128_ps, _mm_cmpeq_epi32, _mm_movemask_ps, _mm_or_si128,
    _mm_set1_epi32, _mm_setr_epi32, _mm_setzero_si128, _mm_slli_epi32, _mm_srli_epi32, _mm_xor_si128,
};

use super::in_groups;
use super::lanes::{Lanes, last_state_word};
use crate::hash::Nonces;
use crate::hash::sha256d::Prepared;

pub(super) fn candidates(fixed: &Prepared, nonces: Nonces, on_candidate: &mut dyn FnMut(u32)) {
    // SAFETY: every x86-64 CPU has SSE2.
    unsafe { candidates_sse2(fixed, nonces, on_candidate) }
}

#[target_feature(enable = "sse2")]
fn candidates_sse2(fixed: &Prepared, nonces: Nonces, on_candidate: &mut dyn FnMut(u32)) {
    in_groups::<4>(nonces, on_candidate, |first| {
        let n = |lane: u32| first.wrapping_add(lane).swap_bytes().cast_signed();
        let nonce = Four(_mm_setr_epi32(n(0), n(1), n(2), n(3)));
        let Four(words) = last_state_word(fixed, nonce).and(Four::splat(fixed.filter));
        let passing = _mm_cmpeq_epi32(words, _mm_setzero_si128());
        _mm_movemask_ps(_mm_castsi128_ps(passing)).cast_unsigned()
    });
}

#[derive(Clone, Copy)]
struct Four(__m128i);

// SAFETY, for every block below: every x86-64 CPU has SSE2, and the intrinsics work on registers alone.
impl Lanes for Four {
    #[inline(always)]
    fn splat(value: u32) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm_set1_epi32(value.cast_signed()) })
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm_add_epi32(self.0, other.0) })
    }
    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm_xor_si128(self.0, other.0) })
    }
    #[inline(always)]
    fn and(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm_and_si128(self.0, other.0) })
    }
    #[inline(always)]
    fn shift_right<const N: i32>(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm_srli_epi32::<N>(self.0) })
    }
    #[inline(always)]
    fn rotate_right<const RIGHT: i32, const LEFT: i32>(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm_or_si128(_mm_srli_epi32::<RIGHT>(self.0), _mm_slli_epi32::<LEFT>(self.0)) })
    }
}
