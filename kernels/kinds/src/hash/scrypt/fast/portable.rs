//! Plain Rust: a row of one hash in an array, two rows a group.

use super::romix::{Block, Row};
use super::walk;
use crate::hash::Nonces;
use crate::hash::lanes::Four;
use crate::hash::scrypt::Prepared;

pub(super) fn candidates(fixed: &Prepared, nonces: Nonces, on_candidate: &mut dyn FnMut(u32)) {
    walk::<Four, One, 2, 4>(fixed, nonces, on_candidate);
}

/// A row of one hash.
#[derive(Clone, Copy)]
struct One([u32; 4]);

impl One {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(u32, u32) -> u32) -> Self {
        let (Self(x), Self(y)) = (self, other);
        Self([f(x[0], y[0]), f(x[1], y[1]), f(x[2], y[2]), f(x[3], y[3])])
    }
}

impl Row for One {
    const HASHES: usize = 1;

    #[inline(always)]
    fn load<'a>(row: impl Fn(usize) -> &'a [u32; 4]) -> Self {
        Self(*row(0))
    }
    #[inline(always)]
    fn store<'a>(self, mut rows: impl Iterator<Item = &'a mut [u32; 4]>) {
        *rows.next().expect("one hash has one row") = self.0;
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, u32::wrapping_add)
    }
    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        self.zip(other, |x, y| x ^ y)
    }
    #[inline(always)]
    fn xor_rotated<const LEFT: i32, const RIGHT: i32>(self, other: Self) -> Self {
        self.zip(other, |x, y| x ^ (y << LEFT | y >> RIGHT))
    }
    #[inline(always)]
    fn turn_1(self) -> Self {
        let [a, b, c, d] = self.0;
        Self([b, c, d, a])
    }
    #[inline(always)]
    fn turn_2(self) -> Self {
        let [a, b, c, d] = self.0;
        Self([c, d, a, b])
    }
    #[inline(always)]
    fn turn_3(self) -> Self {
        let [a, b, c, d] = self.0;
        Self([d, a, b, c])
    }
    #[inline(always)]
    fn first_lane(self, _hash: usize) -> u32 {
        self.0[0]
    }
    #[inline(always)]
    fn prefetch(_block: &Block) {}
}
