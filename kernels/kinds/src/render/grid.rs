//! How a render job is cut into elements: frame by frame, pass by pass, block by block.
//!
//! Blocks are 16x16 pixels, row by row from the top left; those at the right and bottom edges reach beyond the picture.
//! A pass takes at most [`PASS_SAMPLES`] samples of each pixel: there are `passes = ceil(samples / 64)`, each takes
//! `ceil(samples / passes)` in order, and the last what is left. Elements are numbered frame by frame, in a frame pass
//! by pass, in a pass row by row.

use std::ops::Range;

use super::spec::Spec;

/// Pixels along a block's side.
pub const BLOCK: u32 = 16;
/// Samples of a pixel in one element at most.
pub const PASS_SAMPLES: u32 = 64;

/// A job's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// The first frame's number.
    pub first_frame: u32,
    /// Number of frames.
    pub frames: u32,
    /// Sample passes a frame.
    pub passes: u32,
    /// Blocks in a row.
    pub blocks_x: u32,
    /// Rows of blocks.
    pub blocks_y: u32,
    /// Samples a pixel, over all passes.
    pub samples: u32,
}

/// One element: a block of pixels in one pass of one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// The frame's number.
    pub frame: u32,
    /// The pass.
    pub pass: u32,
    /// The block's column.
    pub block_x: u32,
    /// The block's row.
    pub block_y: u32,
    /// The samples that are taken of each pixel.
    pub samples: Range<u32>,
}

impl Grid {
    /// The elements of a spec.
    pub fn of(spec: &Spec) -> Self {
        let [first_frame, last] = spec.frames;
        Self {
            first_frame,
            frames: last.saturating_sub(first_frame) + 1,
            passes: spec.samples.div_ceil(PASS_SAMPLES),
            blocks_x: spec.width.div_ceil(BLOCK),
            blocks_y: spec.height.div_ceil(BLOCK),
            samples: spec.samples,
        }
    }

    /// Blocks of a frame.
    pub fn blocks(&self) -> u64 {
        u64::from(self.blocks_x) * u64::from(self.blocks_y)
    }

    /// Elements of the job.
    pub fn elements(&self) -> u64 {
        u64::from(self.frames) * u64::from(self.passes) * self.blocks()
    }

    /// The samples of a pass.
    pub fn samples(&self, pass: u32) -> Range<u32> {
        let start = |pass: u32| pass.saturating_mul(self.pass_samples()).min(self.samples);
        start(pass)..start(pass.saturating_add(1))
    }

    /// Samples of a pixel in each pass but the last, which may have fewer.
    pub fn pass_samples(&self) -> u32 {
        self.samples.div_ceil(self.passes.max(1))
    }

    /// What an element is, or `None` beyond the last.
    pub fn element(&self, index: u64) -> Option<Element> {
        if index >= self.elements() {
            return None;
        }
        let small = |number: u64| u32::try_from(number).expect("below a u32 of the grid");
        let (row, block_x) = (index / u64::from(self.blocks_x), small(index % u64::from(self.blocks_x)));
        let (layer, block_y) = (row / u64::from(self.blocks_y), small(row % u64::from(self.blocks_y)));
        let (frame, pass) = (small(layer / u64::from(self.passes)), small(layer % u64::from(self.passes)));
        Some(Element { frame: self.first_frame + frame, pass, block_x, block_y, samples: self.samples(pass) })
    }

    /// The index of an element; the inverse of [`Self::element`].
    pub fn index(&self, frame: u32, pass: u32, block_x: u32, block_y: u32) -> u64 {
        let layer = u64::from(frame - self.first_frame) * u64::from(self.passes) + u64::from(pass);
        (layer * u64::from(self.blocks_y) + u64::from(block_y)) * u64::from(self.blocks_x) + u64::from(block_x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_gets_every_sample_once() {
        for samples in (1_u32..2000).chain([65_000, 65_535, 65_536]) {
            let grid =
                Grid { first_frame: 0, frames: 1, passes: samples.div_ceil(64), blocks_x: 1, blocks_y: 1, samples };
            let mut next = 0;
            for pass in 0..grid.passes {
                let range = grid.samples(pass);
                assert_eq!(range.start, next);
                assert!((1..=64).contains(&range.len()), "{samples}: {range:?}");
                next = range.end;
            }
            assert_eq!(next, samples);
        }
    }

    #[test]
    fn elements_and_their_indices_agree() {
        let grid = Grid { first_frame: 5, frames: 3, passes: 2, blocks_x: 4, blocks_y: 3, samples: 70 };
        assert_eq!(grid.elements(), 72);
        for index in 0..grid.elements() {
            let Element { frame, pass, block_x, block_y, .. } = grid.element(index).expect("an element");
            assert_eq!(grid.index(frame, pass, block_x, block_y), index);
        }
        assert_eq!(grid.element(72), None);
        let last = grid.element(71).expect("the last");
        assert_eq!(last, Element { frame: 7, pass: 1, block_x: 3, block_y: 2, samples: 35..70 });
    }
}
