//! Plain Rust: four nonces a step in arrays, which compilers turn into whatever vectors the target always has.

use super::in_groups;
use super::lanes::{Lanes, last_state_word};
use crate::hash::Nonces;
use crate::hash::sha256d::Prepared;

const WIDTH: u32 = 4;

#[derive(Clone, Copy)]
struct Four([u32; WIDTH as usize]);

impl Four {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(u32, u32) -> u32) -> Self {
        let (Self(x), Self(y)) = (self, other);
        Self([f(x[0], y[0]), f(x[1], y[1]), f(x[2], y[2]), f(x[3], y[3])])
    }
}

impl Lanes for Four {
    #[inline(always)]
    fn splat(value: u32) -> Self {
        Self([value; WIDTH as usize])
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
    fn and(self, other: Self) -> Self {
        self.zip(other, |x, y| x & y)
    }
    #[inline(always)]
    fn shift_right<const N: i32>(self) -> Self {
        self.zip(self, |x, _| x >> N)
    }
    #[inline(always)]
    fn rotate_right<const RIGHT: i32, const LEFT: i32>(self) -> Self {
        self.zip(self, |x, _| (x >> RIGHT) | (x << LEFT))
    }
}

pub(super) fn candidates(fixed: &Prepared, nonces: Nonces, on_candidate: &mut dyn FnMut(u32)) {
    in_groups::<WIDTH>(nonces, on_candidate, |first| {
        let nonce = [0, 1, 2, 3].map(|lane| first.wrapping_add(lane).swap_bytes());
        let Four(words) = last_state_word(fixed, Four(nonce));
        let mut bits = 0;
        for (lane, word) in words.into_iter().enumerate() {
            bits |= u32::from(fixed.passes(word)) << lane;
        }
        bits
    });
}
