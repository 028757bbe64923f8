//! Random numbers by counting: each is a function of (pixel, sample, block of dimensions, seed), so any sample of any
//! pixel can be computed alone.

use super::math::float;

/// Four random words: the hash `pcg4d` of Jarzynski and Olano, "Hash Functions for GPU Rendering" (2020).
#[inline(always)]
pub(super) fn pcg4d(pixel: u32, sample: u32, block: u32, seed: u32) -> [u32; 4] {
    let v = [pixel, sample, block, seed].map(|v| v.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    mixed(mixed(v).map(|v| v ^ (v >> 16)))
}

#[inline(always)]
fn mixed([mut x, mut y, mut z, mut w]: [u32; 4]) -> [u32; 4] {
    x = x.wrapping_add(y.wrapping_mul(w));
    y = y.wrapping_add(z.wrapping_mul(x));
    z = z.wrapping_add(x.wrapping_mul(y));
    w = w.wrapping_add(y.wrapping_mul(z));
    [x, y, z, w]
}

/// A number from 0 to 1, without 1, from a random word.
#[inline(always)]
pub(super) fn unit(word: u32) -> f32 {
    float(word >> 8) * (1.0 / 16_777_216.0)
}

/// Where a sample's random numbers come from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Random {
    /// The pixel's number in the picture.
    pub(super) pixel: u32,
    /// The sample's number in the pixel.
    pub(super) sample: u32,
    /// The picture's seed.
    pub(super) seed: u32,
}

impl Random {
    /// Four numbers from 0 to 1.
    #[inline(always)]
    pub(super) fn block(self, block: u32) -> [f32; 4] {
        pcg4d(self.pixel, self.sample, block, self.seed).map(unit)
    }
}

/// Random numbers one after the other, for tests.
#[cfg(test)]
pub(crate) struct Sequence {
    seed: u32,
    next: u32,
}

#[cfg(test)]
impl Sequence {
    pub(crate) fn new(seed: u32) -> Self {
        Self { seed, next: 0 }
    }

    pub(crate) fn word(&mut self) -> u32 {
        self.next += 1;
        pcg4d(self.next, 0, 0, self.seed)[0]
    }

    pub(crate) fn unit(&mut self) -> f32 {
        unit(self.word())
    }

    /// From -1 to 1 in each coordinate.
    pub(super) fn in_cube(&mut self) -> super::math::V3 {
        super::math::v3(self.unit() * 2.0 - 1.0, self.unit() * 2.0 - 1.0, self.unit() * 2.0 - 1.0)
    }

    pub(super) fn direction(&mut self) -> super::math::V3 {
        loop {
            let v = self.in_cube();
            let square = super::math::dot(v, v);
            if square > 0.01 && square < 1.0 {
                return v.normalized();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_published_hash() {
        // Worked out apart, in arbitrary-precision integers reduced modulo 2^32.
        assert_eq!(pcg4d(0, 0, 0, 0), [0x0f02_f829, 0x2d56_8769, 0x32b0_c43b, 0xd325_48ea]);
        assert_eq!(pcg4d(1, 2, 3, 4), [0x3622_cd16, 0xf114_71d8, 0xe110_9b3f, 0x02b9_4c2f]);
    }

    #[test]
    fn numbers_are_spread_evenly_and_do_not_follow_their_keys() {
        let mut bins = [0_u32; 64];
        let mut product = 0.0_f64;
        const COUNT: u32 = 1 << 16;
        for k in 0..COUNT {
            let [a, b, ..] = Random { pixel: k & 255, sample: k >> 8, seed: 9 }.block(1);
            assert!((0.0..1.0).contains(&a));
            bins[super::super::math::integer(a * 64.0) as usize] += 1;
            product += f64::from(a - 0.5) * f64::from(b - 0.5);
        }
        let expected = f64::from(COUNT / 64);
        let chi2: f64 = bins.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
        assert!(chi2 < 110.0, "chi-square {chi2} with 63 degrees of freedom");
        assert!((product / f64::from(COUNT)).abs() < 1.5e-3, "correlation {product}");
    }
}
