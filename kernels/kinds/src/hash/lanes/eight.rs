//! AVX2: eight lanes in a register.
#![allow(unsafe_code)] // CPU intrinsics

use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_and_si256, _mm256_or_si256, _mm256_set1_epi32, _mm256_setr_epi32,
    _mm256_slli_epi32, _mm256_srli_epi32, _mm256_xor_si256,
};

use super::Lanes;

/// Eight lanes. To be made and used only in functions that have the target feature AVX2.
#[derive(Clone, Copy)]
pub(in crate::hash) struct Eight(__m256i);

impl Eight {
    /// The register.
    #[inline(always)]
    pub(in crate::hash) fn register(self) -> __m256i {
        self.0
    }
}

// SAFETY, for every block below: this type is used only in functions with AVX2, which run only on a CPU that has it, and
// the intrinsics work on registers alone.
impl Lanes for Eight {
    const COUNT: usize = 8;

    #[inline(always)]
    fn from_fn(value: impl Fn(usize) -> u32) -> Self {
        let n = |lane| value(lane).cast_signed();
        // SAFETY: see above.
        Self(unsafe { _mm256_setr_epi32(n(0), n(1), n(2), n(3), n(4), n(5), n(6), n(7)) })
    }
    #[inline(always)]
    fn lane(self, lane: usize) -> u32 {
        // SAFETY: both are 32 bytes in which every pattern is a value.
        let lanes: [u32; 8] = unsafe { std::mem::transmute(self.0) };
        lanes[lane]
    }
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
    fn compress(state: &[Self; 8], block: &[Self; 16]) -> [Self; 8] {
        // SAFETY: see above.
        unsafe { compress(state, block) }
    }
}

#[target_feature(enable = "avx2")]
fn compress(state: &[Eight; 8], block: &[Eight; 16]) -> [Eight; 8] {
    super::compress(state, block)
}
