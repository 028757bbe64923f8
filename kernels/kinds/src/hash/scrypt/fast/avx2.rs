//! AVX2: a register holds a row each of two hashes; three registers a group.
#![allow(unsafe_code)] // CPU intrinsics

use std::arch::x86_64::{
    __m128i, __m256i, _MM_HINT_T0, _mm_loadu_si128, _mm_prefetch, _mm_storeu_si128, _mm256_add_epi32,
    _mm256_castsi256_si128, _mm256_extract_epi32, _mm256_extracti128_si256, _mm256_set_m128i, _mm256_xor_si256,
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
    fn xor_rotated<const LEFT: i32, const RIGHT: i32>(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { xor_rotated::<LEFT, RIGHT>(self.0, other.0) })
    }
    #[inline(always)]
    fn turn_1(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { turned::<0b00_11_10_01>(self.0) })
    }
    #[inline(always)]
    fn turn_2(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { turned::<0b01_00_11_10>(self.0) })
    }
    #[inline(always)]
    fn turn_3(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { turned::<0b10_01_00_11>(self.0) })
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

/// `x` xored with `other` rotated left. Compilers make one rotation of the two shifts and xor that; one after the other, the
/// second shift may wait a cycle for its port without holding anything up.
#[inline]
#[target_feature(enable = "avx2")]
fn xor_rotated<const LEFT: i32, const RIGHT: i32>(x: __m256i, other: __m256i) -> __m256i {
    let xored;
    // SAFETY: these instructions touch nothing but their registers, and the CPU has AVX2.
    unsafe {
        std::arch::asm!(
            "vpslld {left}, {other}, {by_left}",
            "vpsrld {right}, {other}, {by_right}",
            "vpxor {xored}, {x}, {left}",
            "vpxor {xored}, {xored}, {right}",
            x = in(ymm_reg) x,
            other = in(ymm_reg) other,
            left = out(ymm_reg) _,
            right = out(ymm_reg) _,
            xored = lateout(ymm_reg) xored,
            by_left = const LEFT,
            by_right = const RIGHT,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    xored
}

/// `x` with each hash's lanes in another order. Compilers take a shuffle of floats for some of these, whose result comes a
/// cycle late to an addition of integers.
#[inline]
#[target_feature(enable = "avx2")]
fn turned<const ORDER: i32>(x: __m256i) -> __m256i {
    let turned;
    // SAFETY: the instruction touches nothing but its registers, and the CPU has AVX2.
    unsafe {
        std::arch::asm!(
            "vpshufd {turned}, {x}, {order}",
            x = in(ymm_reg) x,
            turned = lateout(ymm_reg) turned,
            order = const ORDER,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    turned
}
