//! SSE2: four lanes in a register.
#![allow(unsafe_code)] // CPU intrinsics

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_and_si128, _mm_or_si128, _mm_set1_epi32, _mm_setr_epi32, _mm_slli_epi32,
    _mm_srli_epi32, _mm_xor_si128,
};

use super::Lanes;

/// FourSse2 lanes. To be made and used only in functions that have the target feature AVX2.
#[derive(Clone, Copy)]
pub(in crate::hash) struct FourSse2(__m128i);

impl FourSse2 {
    /// The register.
    #[inline(always)]
    pub(in crate::hash) fn register(self) -> __m128i {
        self.0
    }
}

// SAFETY, for every block below: every x86-64 CPU has SSE2, and the intrinsics work on registers alone.
impl Lanes for FourSse2 {
    const COUNT: usize = 4;

    #[inline(always)]
    fn from_fn(value: impl Fn(usize) -> u32) -> Self {
        let n = |lane| value(lane).cast_signed();
        // SAFETY: see above.
        Self(unsafe { _mm_setr_epi32(n(0), n(1), n(2), n(3)) })
    }
    #[inline(always)]
    fn lane(self, lane: usize) -> u32 {
        // SAFETY: both are 16 bytes in which every pattern is a value.
        let lanes: [u32; 4] = unsafe { std::mem::transmute(self.0) };
        lanes[lane]
    }
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
    fn compress(state: &[Self; 8], block: &[Self; 16]) -> [Self; 8] {
        // SAFETY: see above.
        unsafe { compress(state, block) }
    }
}

#[target_feature(enable = "sse2")]
fn compress(state: &[FourSse2; 8], block: &[FourSse2; 16]) -> [FourSse2; 8] {
    super::compress(state, block)
}
