//! Float arithmetic against integers: every result is the exact one, rounded once to the nearest, ties to even.

use std::cmp::Ordering;

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

use super::{SEED, operation};
use crate::ptx::syntax::Width;
use crate::registers::{Registers, Slots, Window};

/// The nearest float, ties to even, of `number * 2^exponent`, a number of which no bits are missing but such as make it
/// not smaller by one and more (its lowest bit is then 1).
fn nearest(negative: bool, number: u128, exponent: i32) -> u32 {
    let sign = u32::from(negative) << 31;
    if number == 0 {
        return sign;
    }
    // Floats of this size are multiples of 2^unit.
    let top = exponent + 127 - number.leading_zeros() as i32;
    let unit = (top - 23).max(-149);
    let mut count = if unit <= exponent { number << (exponent - unit) } else { 0 };
    if unit > exponent {
        let dropped = (unit - exponent) as u32;
        count = number.checked_shr(dropped).unwrap_or(0);
        let rest = number - count.checked_shl(dropped).unwrap_or(0);
        let half = 1_u128.checked_shl(dropped - 1).unwrap_or(0);
        count += u128::from(half > 0 && (rest > half || rest == half && count % 2 == 1));
    }
    // A count of 2^24 carries into the exponent by itself.
    let field = (unit + 149) as u128;
    let bits = if count < 1 << 23 { count } else { (field << 23) + count };
    sign | bits.min(0x7f80_0000) as u32
}

/// A finite float as sign, integer and exponent.
fn taken_apart(bits: u32) -> (bool, u128, i32) {
    let (field, fraction) = (bits >> 23 & 255, u128::from(bits & 0x7f_ffff));
    let whole = if field == 0 { (fraction, -149) } else { (fraction | 1 << 23, field as i32 - 150) };
    (bits >> 31 == 1, whole.0, whole.1)
}

/// `a * b + c` in integers, rounded once.
fn fused(a: u32, b: u32, c: u32) -> u32 {
    let ((a_sign, a, a_exponent), (b_sign, b, b_exponent)) = (taken_apart(a), taken_apart(b));
    let product = (a_sign != b_sign, a * b, a_exponent + b_exponent);
    let added = taken_apart(c);
    if product.1 == 0 && added.1 == 0 {
        return u32::from(product.0 && added.0) << 31;
    }
    // Zeros do not say how far apart the two are.
    let (great, small) = match (product.1, added.1) {
        (_, 0) => (product, (added.0, 0, product.2)),
        (0, _) => (added, (product.0, 0, added.2)),
        _ if product.2 >= added.2 => (product, added),
        _ => (added, product),
    };
    // Of what is shifted out of sight, only that it is there matters.
    let apart = (great.2 - small.2) as u32;
    let (high, low, exponent) = if apart <= 76 {
        (great.1 << apart, small.1, small.2)
    } else {
        (great.1 << 76, u128::from(small.1 > 0), great.2 - 76)
    };
    let (negative, sum) = match (great.0 == small.0, high.cmp(&low)) {
        (true, _) => (great.0, high + low),
        (false, Ordering::Equal) => (false, 0),
        (false, Ordering::Greater) => (great.0, high - low),
        (false, Ordering::Less) => (small.0, low - high),
    };
    nearest(negative, sum, exponent)
}

#[test]
fn floats_are_rounded_once_to_the_nearest() {
    let run = |opcode: &str, inputs: [u32; 3]| {
        let operation = operation(opcode, Some(Width::Word)).unwrap();
        let mut registers = Registers::new(&[], &[], Window { words: 4, ..Window::default() });
        (registers.active, registers.whole) = (1, false);
        for (slot, value) in (0..).zip(inputs) {
            registers.set_word(slot, 0, value);
        }
        (operation.run)(&mut registers, &Slots { to: [3; 4], from: [0, 1, 2, 0, 0] });
        registers.words(3)[0]
    };
    let mut random = StdRng::seed_from_u64(SEED);
    // Near one, where sums cancel and ties come up; at both ends; few bits; any.
    let mut float = |near: u32| match random.random_range(0..6) {
        0 => (near ^ random.random_range(0..4)) ^ (random.next_u32() & 0x8000_0000),
        1 => 0x3f80_0000 + random.random_range(0..64) - 32,
        2 => random.random_range(0..0x0180_0000),
        3 => 0x7f00_0000 + random.random_range(0..0x007f_ffff),
        4 => random.next_u32() & 0xff80_0007,
        _ => random.next_u32(),
    };
    let finite = |bits: u32| bits & 0x7f80_0000 != 0x7f80_0000;
    let one = 1.0_f32.to_bits();
    for _ in 0..100_000 {
        let a = float(one);
        let b = float(a);
        let c = float((f32::from_bits(a) * f32::from_bits(b)).to_bits());
        if ![a, b, c].into_iter().all(finite) {
            continue;
        }
        assert_eq!(run("fma.rn.f32", [a, b, c]), fused(a, b, c), "{a:#x} * {b:#x} + {c:#x}");
        assert_eq!(run("add.rn.f32", [a, b, 0]), fused(a, one, b), "{a:#x} + {b:#x}");
        assert_eq!(run("sub.rn.f32", [a, b, 0]), fused(a, one, b ^ 1 << 31), "{a:#x} - {b:#x}");
        let zero = (a ^ b) & 1 << 31;
        assert_eq!(run("mul.rn.f32", [a, b, 0]), fused(a, b, zero), "{a:#x} * {b:#x}");
        let ((_, p, p_exponent), (_, q, q_exponent)) = (taken_apart(a), taken_apart(b));
        if let Some(quotient) = (p << 76).checked_div(q) {
            let rest = (p << 76) - quotient * q;
            let expected =
                nearest((a ^ b) >> 31 == 1, quotient << 1 | u128::from(rest > 0), p_exponent - q_exponent - 77);
            assert_eq!(run("div.rn.f32", [a, b, 0]), expected, "{a:#x} / {b:#x}");
        }
        if a >> 31 == 0 {
            let shifted = p << (80 + p_exponent.rem_euclid(2));
            let (root, exponent) = (shifted.isqrt(), p_exponent.div_euclid(2) - 40);
            let expected = nearest(false, root << 1 | u128::from(root * root < shifted), exponent - 1);
            assert_eq!(run("sqrt.rn.f32", [a, 0, 0]), expected, "root of {a:#x}");
        }
    }
}
