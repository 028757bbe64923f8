//! SSE2, which every x86-64 CPU has: a register holds a row of one hash; three registers a group.
#![allow(unsafe_code)] // CPU intrinsics

use std::arch::x86_64::{
    __m128i, _MM_HINT_T0, _mm_add_epi32, _mm_cvtsi128_si32, _mm_loadu_si128, _mm_prefetch, _mm_shuffle_epi32,
    _mm_slli_epi32, _mm_srli_epi32, _mm_storeu_si128, _mm_xor_si128,
};

use super::romix::{Block, Row};
use super::walk;
use crate::hash::Nonces;
use crate::hash::lanes::Four;
use crate::hash::scrypt::Prepared;

pub(super) fn candidates(fixed: &Prepared, nonces: Nonces, on_candidate: &mut dyn FnMut(u32)) {
    walk::<Four, One, 3, 6>(fixed, nonces, on_candidate);
}

/// A row of one hash.
#[derive(Clone, Copy)]
struct One(__m128i);

// SAFETY, for every block below: x86-64 includes SSE2; the intrinsics work on registers, or on memory that a reference to
// four words stands for.
impl Row for One {
    const HASHES: usize = 1;

    #[inline(always)]
    fn load<'a>(row: impl Fn(usize) -> &'a [u32; 4]) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm_loadu_si128(std::ptr::from_ref(row(0)).cast()) })
    }
    #[inline(always)]
    fn store<'a>(self, mut rows: impl Iterator<Item = &'a mut [u32; 4]>) {
        let row = rows.next().expect("one hash has one row");
        // SAFETY: see above.
        unsafe { _mm_storeu_si128(std::ptr::from_mut(row).cast(), self.0) };
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
    fn xor_rotated<const LEFT: i32, const RIGHT: i32>(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe {
            let half = _mm_xor_si128(self.0, _mm_slli_epi32::<LEFT>(other.0));
            _mm_xor_si128(half, _mm_srli_epi32::<RIGHT>(other.0))
        })
    }
    #[inline(always)]
    fn turn_1(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm_shuffle_epi32::<0b00_11_10_01>(self.0) })
    }
    #[inline(always)]
    fn turn_2(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm_shuffle_epi32::<0b01_00_11_10>(self.0) })
    }
    #[inline(always)]
    fn turn_3(self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm_shuffle_epi32::<0b10_01_00_11>(self.0) })
    }
    #[inline(always)]
    fn first_lane(self, _hash: usize) -> u32 {
        // SAFETY: see above.
        unsafe { _mm_cvtsi128_si32(self.0) }.cast_unsigned()
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
