//! Plain Rust: four lanes in an array, which compilers turn into whatever vectors the target always has.

use super::Lanes;

/// Four lanes.
#[derive(Clone, Copy)]
pub(in crate::hash) struct Four([u32; 4]);

impl Four {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(u32, u32) -> u32) -> Self {
        let (Self(x), Self(y)) = (self, other);
        Self([f(x[0], y[0]), f(x[1], y[1]), f(x[2], y[2]), f(x[3], y[3])])
    }
}

impl Lanes for Four {
    const COUNT: usize = 4;

    #[inline(always)]
    fn from_fn(value: impl Fn(usize) -> u32) -> Self {
        Self([value(0), value(1), value(2), value(3)])
    }
    #[inline(always)]
    fn lane(self, lane: usize) -> u32 {
        self.0[lane]
    }
    #[inline(always)]
    fn splat(value: u32) -> Self {
        Self([value; 4])
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
    fn compress(state: &[Self; 8], block: &[Self; 16]) -> [Self; 8] {
        super::compress(state, block)
    }
}
