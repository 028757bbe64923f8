//! Words of several 32-bit lanes, one lane a nonce, and SHA-256's functions over them.
//!
//! Everything is `inline(always)`: the caller's instruction set applies.

#[cfg(target_arch = "x86_64")]
mod eight;
mod four;
#[cfg(target_arch = "x86_64")]
mod sse2;

#[cfg(target_arch = "x86_64")]
pub(super) use eight::Eight;
pub(super) use four::Four;
#[cfg(target_arch = "x86_64")]
pub(super) use sse2::FourSse2;

use super::sha256d::reference::K;

/// A word of as many 32-bit lanes as the hardware works on at once.
pub(super) trait Lanes: Copy {
    /// How many lanes there are.
    const COUNT: usize;

    /// `value(lane)` in each lane.
    fn from_fn(value: impl Fn(usize) -> u32) -> Self;
    /// What a lane holds.
    fn lane(self, lane: usize) -> u32;
    /// The same value in every lane.
    fn splat(value: u32) -> Self;
    fn add(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    fn and(self, other: Self) -> Self;
    fn shift_right<const N: i32>(self) -> Self;
    /// `LEFT` is 32 less `RIGHT`: Rust cannot compute it in a const argument yet.
    fn rotate_right<const RIGHT: i32, const LEFT: i32>(self) -> Self;
    /// Each lane's bytes in reversed order.
    #[inline(always)]
    fn swap_bytes(self) -> Self {
        let outer = self.rotate_right::<8, 24>().and(Self::splat(0xff00_ff00));
        outer.xor(self.rotate_right::<24, 8>().and(Self::splat(0x00ff_00ff)))
    }
    /// SHA-256's state after one more block.
    fn compress(state: &[Self; 8], block: &[Self; 16]) -> [Self; 8];
}

/// The nonces from `first` on (they wrap), one a lane, as a header holds them: with their bytes swapped.
#[inline(always)]
pub(super) fn nonce_words<L: Lanes>(first: u32) -> L {
    L::from_fn(|lane| {
        let lane = u32::try_from(lane).expect("no word has 2^32 lanes");
        first.wrapping_add(lane).swap_bytes()
    })
}

#[inline(always)]
pub(super) fn big_sigma0<L: Lanes>(x: L) -> L {
    x.rotate_right::<2, 30>().xor(x.rotate_right::<13, 19>()).xor(x.rotate_right::<22, 10>())
}

#[inline(always)]
pub(super) fn big_sigma1<L: Lanes>(x: L) -> L {
    x.rotate_right::<6, 26>().xor(x.rotate_right::<11, 21>()).xor(x.rotate_right::<25, 7>())
}

#[inline(always)]
pub(super) fn small_sigma0<L: Lanes>(x: L) -> L {
    x.rotate_right::<7, 25>().xor(x.rotate_right::<18, 14>()).xor(x.shift_right::<3>())
}

#[inline(always)]
pub(super) fn small_sigma1<L: Lanes>(x: L) -> L {
    x.rotate_right::<17, 15>().xor(x.rotate_right::<19, 13>()).xor(x.shift_right::<10>())
}

/// What every `Lanes::compress` is.
#[inline(always)]
fn compress<L: Lanes>(state: &[L; 8], block: &[L; 16]) -> [L; 8] {
    let mut w = *block;
    let mut v = *state;
    for (group, k) in K.as_chunks::<16>().0.iter().enumerate() {
        for t in 0..16 {
            if group > 0 {
                let fixed = w[t].add(small_sigma0(w[(t + 1) % 16])).add(w[(t + 9) % 16]);
                w[t] = fixed.add(small_sigma1(w[(t + 14) % 16]));
            }
            let [a, b, c, d, e, f, g, h] = v;
            let choice = g.xor(e.and(f.xor(g)));
            let majority = b.xor(a.xor(b).and(b.xor(c)));
            let t1 = h.add(w[t]).add(L::splat(k[t])).add(choice).add(big_sigma1(e));
            v = [t1.add(big_sigma0(a)).add(majority), a, b, c, d.add(t1), e, f, g];
        }
    }
    for (word, before) in v.iter_mut().zip(state) {
        *word = word.add(*before);
    }
    v
}
