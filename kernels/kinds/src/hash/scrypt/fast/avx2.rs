//! AVX2: a register holds a row each of two hashes; three registers a group.
#![allow(unsafe_code)] // CPU intrinsics

use std::arch::x86_64::{
    __m128i, __m256i, _MM_HINT_T0, _mm_loadu_si128, _mm_prefetch, _mm_storeu_si128, _mm256_add_epi32,
    _mm256_castsi256_si128, _mm256_extract_epi32, _mm256_extracti128_si256, _mm256_or_si256, _mm256_set_m128i,
    _mm256_shuffle_epi32, _mm256_slli_epi32, _mm256_srli_epi32, _mm256_xor_si256,
};

use super::romix::{Block, Row};
use super::walk;
use crate::hash::Nonces;
use crate::hash::lanes::Eight;
use crate::hash::scrypt::Prepared;

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
    walk::<Eight, Two, 3, 12>(fixed, nonces, on_candidate);
}

/// A row of two hashes. Made and used only under [`candidates_avx2`].
#[derive(Clone, Copy)]
struct Two(__m256i);

// SAFETY, for every block below: this type lives only inside `candidates_avx2`, which runs only on a CPU with AVX2; the
// intrinsics work on registers, or on memory that a reference to four words stands for.
impl Row for Two {
    const HASHES: usize = 2;

    #[inline(always)]
    fn load<'a>(row: impl Fn(usize) -> &'a [u32; 4]) -> Self {
        let [low, high] = [row(0), row(1)].map(|row| std::ptr::from_ref(row).cast::<__m128i>());
        // SAFETY: see above.
        Self(unsafe { _mm256_set_m128i(_mm_loadu_si128(high), _mm_loadu_si128(low)) })
    }
    #[inline(always)]
    fn store<'a>(self, rows: impl Iterator<Item = &'a mut [u32; 4]>) {
        // SAFETY: see above.
        let halves = unsafe { [_mm256_castsi256_si128(self.0), _mm256_extracti128_si256::<1>(self.0)] };
        for (row, half) in rows.zip(halves) {
            // SAFETY: see above.
            unsafe { _mm_storeu_si128(std::ptr::from_mut(row).cast(), half) };
        }
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
    fn rotate_left<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_or_si256(_mm256_slli_epi32::<LEFT>(self.0), _mm256_srli_epi32::<RIGHT>(self.0)) })
    }
    #[inline(always)]
    fn turn_1(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_shuffle_epi32::<0b00_11_10_01>(self.0) })
    }
    #[inline(always)]
    fn turn_2(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_shuffle_epi32::<0b01_00_11_10>(self.0) })
    }
    #[inline(always)]
    fn turn_3(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm256_shuffle_epi32::<0b10_01_00_11>(self.0) })
    }
    #[inline(always)]
    fn first_lane(self, hash: usize) -> u32 {
        // SAFETY: see above.
        let lane =
            unsafe { if hash == 0 { _mm256_extract_epi32::<0>(self.0) } else { _mm256_extract_epi32::<4>(self.0) } };
        lane.cast_unsigned()
    }
    #[inline(always)]
    fn prefetch(block: &Block) {
        let line = std::ptr::from_ref(block).cast::<i8>();
        // SAFETY: a prefetch touches no memory that counts; the block has two cache lines.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(line);
            _mm_prefetch::<_MM_HINT_T0>(line.add(64));
        }
    }
}
