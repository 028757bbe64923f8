//! The arithmetic of the renderer: every operation is IEEE 754 single precision in the order written, fused where
//! `mul_add` is written and nowhere else, so that each device repeats it bit by bit. No function of the platform's libm is
//! used.

use std::ops::{Add, Mul, Neg, Sub};

/// Three numbers: a place, a direction or a colour.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct V3 {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) z: f32,
}

/// A vector of these three.
pub(super) const fn v3(x: f32, y: f32, z: f32) -> V3 {
    V3 { x, y, z }
}

impl V3 {
    pub(super) const ZERO: Self = v3(0.0, 0.0, 0.0);
    pub(super) const ONE: Self = v3(1.0, 1.0, 1.0);

    /// The largest of the three.
    #[inline(always)]
    pub(super) fn largest(self) -> f32 {
        larger(larger(self.x, self.y), self.z)
    }

    /// The vector in the same direction of length 1; zero where there is none.
    #[inline(always)]
    pub(super) fn normalized(self) -> Self {
        let square = dot(self, self);
        if square > 0.0 { self * (1.0 / square.sqrt()) } else { Self::ZERO }
    }

    /// `self * s + b`, fused.
    #[inline(always)]
    pub(super) fn scaled_onto(self, s: f32, b: Self) -> Self {
        v3(self.x.mul_add(s, b.x), self.y.mul_add(s, b.y), self.z.mul_add(s, b.z))
    }
}

impl From<[f32; 3]> for V3 {
    fn from([x, y, z]: [f32; 3]) -> Self {
        v3(x, y, z)
    }
}

impl Add for V3 {
    type Output = Self;
    #[inline(always)]
    fn add(self, b: Self) -> Self {
        v3(self.x + b.x, self.y + b.y, self.z + b.z)
    }
}

impl Sub for V3 {
    type Output = Self;
    #[inline(always)]
    fn sub(self, b: Self) -> Self {
        v3(self.x - b.x, self.y - b.y, self.z - b.z)
    }
}

impl Mul for V3 {
    type Output = Self;
    #[inline(always)]
    fn mul(self, b: Self) -> Self {
        v3(self.x * b.x, self.y * b.y, self.z * b.z)
    }
}

impl Mul<f32> for V3 {
    type Output = Self;
    #[inline(always)]
    fn mul(self, s: f32) -> Self {
        v3(self.x * s, self.y * s, self.z * s)
    }
}

impl Neg for V3 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        v3(-self.x, -self.y, -self.z)
    }
}

/// The scalar product.
#[inline(always)]
pub(super) fn dot(a: V3, b: V3) -> f32 {
    a.z.mul_add(b.z, a.y.mul_add(b.y, a.x * b.x))
}

/// The vector product.
#[inline(always)]
pub(super) fn cross(a: V3, b: V3) -> V3 {
    v3(a.y.mul_add(b.z, -(a.z * b.y)), a.z.mul_add(b.x, -(a.x * b.z)), a.x.mul_add(b.y, -(a.y * b.x)))
}

/// Two directions that make a right-handed frame with `n`, which has length 1.
#[inline(always)]
pub(super) fn frame(n: V3) -> (V3, V3) {
    let sign = if n.z >= 0.0 { 1.0 } else { -1.0 };
    let a = -1.0 / (sign + n.z);
    let b = n.x * n.y * a;
    let tangent = v3((sign * n.x * n.x).mul_add(a, 1.0), sign * b, -(sign * n.x));
    let bitangent = v3(b, (n.y * n.y).mul_add(a, sign), -n.y);
    (tangent, bitangent)
}

/// The smaller of two numbers; `b` where one is NaN.
#[inline(always)]
pub(super) fn smaller(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// The larger of two numbers; `b` where one is NaN.
#[inline(always)]
pub(super) fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// `x` held between `low` and `high`; `low` for NaN.
#[inline(always)]
pub(super) fn clamped(x: f32, low: f32, high: f32) -> f32 {
    smaller(larger(x, low), high)
}

/// The integer part of `x`, which is between 0 and 2^31.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the integer part is asked for")]
pub(super) fn integer(x: f32) -> u32 {
    x as u32
}

/// `x`, rounded where it has more than 24 bits.
#[inline(always)]
#[expect(clippy::cast_precision_loss, reason = "rounding to nearest is the definition")]
pub(super) fn float(x: u32) -> f32 {
    x as f32
}

/// Sine and cosine of `turns` full turns; `turns` is from 0 to 1.
#[inline(always)]
pub(super) fn sin_cos(turns: f32) -> (f32, f32) {
    let quarter = integer(turns.mul_add(4.0, 0.5));
    let r = float(quarter).mul_add(-0.25, turns); // at most an eighth of a turn
    let r2 = r * r;
    let s = r * r2.mul_add(r2.mul_add(r2.mul_add(-75.393_56, 81.592_354), -41.341_663), 6.283_185_5);
    let c = r2.mul_add(r2.mul_add(r2.mul_add(r2.mul_add(59.421_707, -85.448_76), 64.939_37), -19.739_208), 1.0);
    match quarter & 3 {
        0 => (s, c),
        1 => (c, -s),
        2 => (-s, -c),
        _ => (-c, s),
    }
}

/// The direction of (x, y) from the x axis, in turns from -1/2 to 1/2; 0 for (0, 0).
#[inline(always)]
pub(super) fn turns_of(y: f32, x: f32) -> f32 {
    let (ax, ay) = (x.abs(), y.abs());
    let (low, high) = (smaller(ax, ay), larger(ax, ay));
    let a = if high > 0.0 { low / high } else { 0.0 };
    let z = a * a;
    let p = z.mul_add(-0.000_746_957_9, 0.003_859_889_2);
    let p = z.mul_add(p, -0.009_467_552);
    let p = z.mul_add(p, 0.015_779_087);
    let p = z.mul_add(p, -0.022_312_697);
    let p = z.mul_add(p, 0.031_782_802);
    let p = z.mul_add(p, -0.053_049_512);
    let p = z.mul_add(p, 0.159_154_92);
    let mut turns = a * p;
    if ay > ax {
        turns = 0.25 - turns;
    }
    if x < 0.0 {
        turns = 0.5 - turns;
    }
    if y < 0.0 { -turns } else { turns }
}

/// `1 / pi`.
pub(super) const INV_PI: f32 = 0.318_309_87;

#[cfg(test)]
mod tests {
    use super::*;

    /// The distance between `got` and the exact value, in units of the last place of `got`'s binade.
    fn ulps(got: f32, exact: f64) -> f64 {
        let unit =
            f64::from(f32::from_bits((got.abs().to_bits() & 0x7f80_0000).max(0x0080_0000))) * f64::from(f32::EPSILON);
        (f64::from(got) - exact).abs() / unit
    }

    #[test]
    fn sine_and_cosine_are_within_two_units_of_the_last_place() {
        let mut worst = 0.0_f64;
        for k in 0..=1_000_000_u32 {
            let turns = float(k) / 1_000_000.0;
            let (s, c) = sin_cos(turns);
            let (es, ec) = (f64::from(turns) * std::f64::consts::TAU).sin_cos();
            // Near their zeros the value of 2 pi decides, which f32 cannot hold: there the error is absolute.
            for (got, exact) in [(s, es), (c, ec)] {
                assert!((f64::from(got) - exact).abs() < 1.2e-7, "{turns}: {got} for {exact}");
                if exact.abs() > 1e-3 {
                    worst = worst.max(ulps(got, exact));
                }
            }
        }
        assert!(worst < 2.0, "{worst} units");
        assert_eq!(sin_cos(0.0), (0.0, 1.0));
        assert_eq!(sin_cos(0.25), (1.0, 0.0));
        assert_eq!(sin_cos(0.5).1, -1.0);
    }

    #[test]
    fn directions_turn_round_the_origin() {
        for k in 0..100_000_u32 {
            let turns = (f64::from(k) + 0.5) / 100_000.0 - 0.5;
            let (s, c) = (turns * std::f64::consts::TAU).sin_cos();
            #[expect(clippy::cast_possible_truncation, reason = "rounded on purpose")]
            let got = turns_of(s as f32 * 3.0, c as f32 * 3.0);
            assert!((f64::from(got) - turns).abs() < 1.5e-7, "{turns}: {got}");
        }
        assert_eq!(turns_of(0.0, 0.0), 0.0);
    }

    #[test]
    fn frames_are_orthonormal() {
        let mut rng = crate::render::rng::Sequence::new(3);
        for _ in 0..10_000 {
            let n = rng.direction();
            let (t, b) = frame(n);
            for (value, expected) in
                [(dot(t, t), 1.0), (dot(b, b), 1.0), (dot(t, n), 0.0), (dot(b, n), 0.0), (dot(cross(t, b), n), 1.0)]
            {
                assert!((value - expected).abs() < 1e-5, "{n:?}: {value} for {expected}");
            }
        }
    }
}
