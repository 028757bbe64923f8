//! What is asked of a picture, and how it is cut into elements.

/// Pixels along a block's side.
pub const BLOCK: u32 = 16;

/// Pixels of a block.
pub const BLOCK_PIXELS: u32 = BLOCK * BLOCK;

/// Which further pictures are made beside the light.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aovs {
    /// The colour of the surface first seen.
    pub albedo: bool,
    /// Its shading normal, in world space.
    pub normal: bool,
    /// Its distance along the direction in which the camera looks.
    pub depth: bool,
}

impl Aovs {
    /// Numbers a pixel has, its three of light included.
    #[must_use]
    pub const fn channels(self) -> usize {
        3 + if self.albedo { 3 } else { 0 } + if self.normal { 3 } else { 0 } + if self.depth { 1 } else { 0 }
    }

    /// Where the further pictures' numbers begin within a pixel: albedo, normal, depth.
    #[must_use]
    pub fn offsets(self) -> [Option<usize>; 3] {
        let normal = 3 + 3 * usize::from(self.albedo);
        let depth = normal + 3 * usize::from(self.normal);
        [self.albedo.then_some(3), self.normal.then_some(normal), self.depth.then_some(depth)]
    }

    const fn bits(self) -> u32 {
        self.albedo as u32 | (self.normal as u32) << 1 | (self.depth as u32) << 2
    }
}

/// What is asked of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    width: u32,
    height: u32,
    samples: u32,
    pass_samples: u32,
    max_depth: u32,
    seed: u32,
    aovs: Aovs,
}

/// A setting outside its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value}, expected {min} to {max}")]
pub struct SettingsError {
    /// Its name.
    pub name: &'static str,
    /// What was given.
    pub value: u32,
    /// The least allowed.
    pub min: u32,
    /// The most allowed.
    pub max: u32,
}

/// An element: a block of pixels, and samples of each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// The block's leftmost column and topmost row, in pixels.
    pub origin: [u32; 2],
    /// The number of the first sample.
    pub first_sample: u32,
    /// How many samples; at least 1.
    pub samples: u32,
}

impl Settings {
    /// Longest side of a picture, in pixels.
    pub const SIDE_MAX: u32 = 1 << 14;
    /// Most samples of a pixel.
    pub const SAMPLES_MAX: u32 = 1 << 20;
    /// Most segments of a path.
    pub const DEPTH_MAX: u32 = 128;

    /// Checks what is asked: a picture of `size` (width and height) pixels with `samples` a pixel, in passes of
    /// `pass_samples`; paths of at most `max_depth` segments (with 1 there is only what shines itself); random numbers by
    /// `seed`.
    ///
    /// # Errors
    /// The first setting that is out of range.
    pub fn new(
        [width, height]: [u32; 2],
        samples: u32,
        pass_samples: u32,
        max_depth: u32,
        seed: u32,
        aovs: Aovs,
    ) -> Result<Self, SettingsError> {
        for (name, value, max) in [
            ("width", width, Self::SIDE_MAX),
            ("height", height, Self::SIDE_MAX),
            ("samples", samples, Self::SAMPLES_MAX),
            ("pass_samples", pass_samples, samples),
            ("max_depth", max_depth, Self::DEPTH_MAX),
        ] {
            if !(1..=max).contains(&value) {
                return Err(SettingsError { name, value, min: 1, max });
            }
        }
        let blocks = u64::from(width.div_ceil(BLOCK)) * u64::from(height.div_ceil(BLOCK));
        if blocks * u64::from(samples.div_ceil(pass_samples)) > u64::from(u32::MAX) {
            return Err(SettingsError {
                name: "pass_samples",
                value: pass_samples,
                min: samples.div_ceil(4095),
                max: samples,
            });
        }
        Ok(Self { width, height, samples, pass_samples, max_depth, seed, aovs })
    }

    /// Width and height of the picture, in pixels.
    #[must_use]
    pub const fn size(&self) -> [u32; 2] {
        [self.width, self.height]
    }

    /// Samples of each pixel.
    #[must_use]
    pub const fn samples(&self) -> u32 {
        self.samples
    }

    /// Most segments of a path.
    #[must_use]
    pub const fn max_depth(&self) -> u32 {
        self.max_depth
    }

    /// Names the random numbers.
    #[must_use]
    pub const fn seed(&self) -> u32 {
        self.seed
    }

    /// Which further pictures are made.
    #[must_use]
    pub const fn aovs(&self) -> Aovs {
        self.aovs
    }

    /// Blocks of the picture; those at its right and lower edge may reach beyond it.
    #[must_use]
    pub const fn blocks(&self) -> u32 {
        self.width.div_ceil(BLOCK) * self.height.div_ceil(BLOCK)
    }

    /// Elements of the picture: each block once a pass, pass after pass.
    #[must_use]
    pub const fn elements(&self) -> u32 {
        self.blocks() * self.samples.div_ceil(self.pass_samples)
    }

    /// Numbers that an element yields: for each pixel of its block, row by row, the sums over its samples of red, green
    /// and blue and of the further pictures in the order of [`Aovs`]. Pixels beyond the picture are 0.
    #[must_use]
    pub const fn element_numbers(&self) -> usize {
        BLOCK_PIXELS as usize * self.aovs.channels()
    }

    /// The element with this number.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn element(&self, number: u32) -> Element {
        assert!(number < self.elements(), "element {number} of {}", self.elements());
        let (block, pass) = (number % self.blocks(), number / self.blocks());
        let columns = self.width.div_ceil(BLOCK);
        let first_sample = pass * self.pass_samples;
        Element {
            origin: [block % columns * BLOCK, block / columns * BLOCK],
            first_sample,
            samples: self.pass_samples.min(self.samples - first_sample),
        }
    }

    /// The settings as a device reads them.
    #[must_use]
    pub const fn words(&self) -> [u32; 8] {
        let aovs = self.aovs.bits();
        [self.width, self.height, self.samples, self.pass_samples, self.max_depth, self.seed, aovs, 0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_cover_each_sample_of_each_pixel_once() {
        let settings = Settings::new([37, 18], 10, 4, 3, 0, Aovs::default()).expect("in range");
        assert_eq!(settings.elements(), 3 * 2 * 3);
        let mut seen = vec![0_u32; 37 * 18 * 10];
        for number in 0..settings.elements() {
            let Element { origin: [x0, y0], first_sample, samples } = settings.element(number);
            for y in y0..(y0 + BLOCK).min(18) {
                for x in x0..(x0 + BLOCK).min(37) {
                    for sample in first_sample..first_sample + samples {
                        seen[((y * 37 + x) * 10 + sample) as usize] += 1;
                    }
                }
            }
        }
        assert!(seen.iter().all(|&times| times == 1));
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let error = Settings::new([0, 1], 1, 1, 1, 0, Aovs::default()).unwrap_err();
        assert_eq!(error.to_string(), "width is 0, expected 1 to 16384");
        let error = Settings::new([1, 1], 4, 5, 1, 0, Aovs::default()).unwrap_err();
        assert_eq!(error.name, "pass_samples");
        let huge = |pass| Settings::new([1 << 14, 1 << 14], 1 << 20, pass, 128, 0, Aovs::default());
        let error = huge(1).unwrap_err();
        assert_eq!(error.name, "pass_samples");
        assert!(huge(error.min).is_ok());
    }
}
