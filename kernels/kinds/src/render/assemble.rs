//! Blocks become a frame: sums over passes, in their order, divided by the number of samples.

use thiserror::Error;

use super::grid::Grid;
use super::settings::{Aovs, BLOCK};
use super::spec::Spec;

/// A frame in linear light.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// What each pixel has beside its colour.
    pub layers: Aovs,
    /// The pixels, row by row; of each the mean red, green, blue, then the layers' numbers in their order.
    pub values: Vec<f32>,
    /// Samples that each block has, row by row.
    pub samples: Vec<u32>,
    /// Samples that each block should have.
    pub wanted: u32,
}

/// Why a frame is not made.
#[derive(Debug, Error)]
pub enum AssembleError<E> {
    /// An element's result has another size than it should.
    #[error("element {element} has {found} bytes instead of {expected}")]
    Size {
        /// The element.
        element: u64,
        /// Bytes that there are.
        found: usize,
        /// Bytes that there should be.
        expected: usize,
    },
    /// The results could not be had.
    #[error(transparent)]
    Read(E),
}

/// Bytes of an element's result: for each pixel of the block, row by row, the sums over the samples of each channel as
/// little-endian singles. Pixels beyond the picture's edge are there too, and ignored.
pub fn element_bytes(layers: Aovs) -> usize {
    4 * (BLOCK * BLOCK) as usize * layers.channels()
}

/// Makes a frame of what results there are. `result` answers an element's bytes, or `None` while there are none; the
/// frame is finished once no block lacks any ([`Frame::is_finished`]). Sums are taken pass by pass, so the finished
/// frame's bits do not depend on the order in which results came.
///
/// # Errors
/// The first result of a wrong size, or that could not be read.
pub fn assemble<E>(
    spec: &Spec,
    frame: u32,
    result: impl FnMut(u64) -> Result<Option<Vec<u8>>, E>,
) -> Result<Frame, AssembleError<E>> {
    glimpse(spec, frame, u32::MAX, result)
}

/// As [`assemble`], of the first `passes` passes alone.
pub(super) fn glimpse<E>(
    spec: &Spec,
    frame: u32,
    passes: u32,
    mut result: impl FnMut(u64) -> Result<Option<Vec<u8>>, E>,
) -> Result<Frame, AssembleError<E>> {
    let (grid, layers) = (Grid::of(spec), spec.layers());
    let channels = layers.channels();
    let expected = element_bytes(layers);
    let mut values = vec![0.0_f32; spec.width as usize * spec.height as usize * channels];
    let mut samples = vec![0_u32; (grid.blocks_x * grid.blocks_y) as usize];
    for pass in 0..grid.passes.min(passes) {
        let pass_samples = grid.samples(pass).end - grid.samples(pass).start;
        for block_y in 0..grid.blocks_y {
            for block_x in 0..grid.blocks_x {
                let element = grid.index(frame, pass, block_x, block_y);
                let Some(bytes) = result(element).map_err(AssembleError::Read)? else { continue };
                if bytes.len() != expected {
                    return Err(AssembleError::Size { element, found: bytes.len(), expected });
                }
                samples[(block_y * grid.blocks_x + block_x) as usize] += pass_samples;
                for (row, bytes) in (block_y * BLOCK..spec.height).zip(bytes.chunks_exact(expected / BLOCK as usize)) {
                    let start = (row as usize * spec.width as usize + (block_x * BLOCK) as usize) * channels;
                    let columns = BLOCK.min(spec.width - block_x * BLOCK) as usize;
                    let (numbers, _) = bytes.as_chunks::<4>();
                    for (sum, number) in values[start..start + columns * channels].iter_mut().zip(numbers) {
                        *sum += f32::from_le_bytes(*number);
                    }
                }
            }
        }
    }
    let mut frame = Frame { width: spec.width, height: spec.height, layers, values, samples, wanted: spec.samples };
    frame.divide();
    Ok(frame)
}

impl Frame {
    fn divide(&mut self) {
        let (width, channels) = (self.width as usize, self.layers.channels());
        let blocks_x = self.width.div_ceil(BLOCK) as usize;
        for (place, pixel) in self.values.chunks_exact_mut(channels).enumerate() {
            let (x, y) = (place % width, place / width);
            let samples = self.samples[y / BLOCK as usize * blocks_x + x / BLOCK as usize];
            for value in pixel.iter_mut().filter(|_| samples > 0) {
                *value /= samples as f32;
            }
        }
    }

    /// Whether every block has all its samples.
    pub fn is_finished(&self) -> bool {
        self.samples.iter().all(|&samples| samples == self.wanted)
    }

    /// Whether a pixel has any sample.
    pub fn has(&self, x: u32, y: u32) -> bool {
        self.samples[(y / BLOCK * self.width.div_ceil(BLOCK) + x / BLOCK) as usize] > 0
    }

    /// The numbers of each pixel, row by row.
    pub fn pixels(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.layers.channels())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    pub(in crate::render) fn spec(width: u32, height: u32, samples: u32) -> Spec {
        let scene = "ab".repeat(32);
        let spec = json!({ "scene": scene, "width": width, "height": height, "samples": samples, "frames": [2, 3] });
        Spec::parse(&spec).expect("a spec")
    }

    /// Each pixel's red is its column, its green its row, its blue 1, in every sample; NaN beyond the picture.
    pub(in crate::render) fn block(spec: &Spec, element: u64) -> Vec<u8> {
        let element = Grid::of(spec).element(element).expect("an element");
        let samples = element.samples.len() as f32;
        let mut bytes = Vec::new();
        for y in 0..BLOCK {
            for x in 0..BLOCK {
                let (x, y) = (element.block_x * BLOCK + x, element.block_y * BLOCK + y);
                let inside = x < spec.width && y < spec.height;
                let numbers = [x as f32 * samples, y as f32 * samples, samples];
                bytes.extend(numbers.map(|number| if inside { number } else { f32::NAN }).as_flattened_bytes());
            }
        }
        bytes
    }

    trait Bytes {
        fn as_flattened_bytes(&self) -> Vec<u8>;
    }

    impl Bytes for [f32; 3] {
        fn as_flattened_bytes(&self) -> Vec<u8> {
            self.iter().flat_map(|number| number.to_le_bytes()).collect()
        }
    }

    #[test]
    fn a_frame_has_no_seams() {
        let spec = spec(37, 18, 100);
        let frame = assemble(&spec, 3, |element| Ok::<_, ()>(Some(block(&spec, element)))).expect("a frame");
        assert!(frame.is_finished());
        for (place, pixel) in frame.pixels().enumerate() {
            assert_eq!(pixel, [(place % 37) as f32, (place / 37) as f32, 1.0]);
        }
    }

    #[test]
    fn a_frame_without_all_results_is_not_finished() {
        let spec = spec(37, 18, 100);
        // Elements of the first pass only, of the upper row of blocks only.
        let some = |element: u64| Ok::<_, ()>((element < 3).then(|| block(&spec, element)));
        let frame = assemble(&spec, 2, some).expect("a frame");
        assert!(!frame.is_finished() && frame.has(36, 15) && !frame.has(0, 16));
        assert_eq!(frame.samples, [50, 50, 50, 0, 0, 0]);
        let pixel = frame.pixels().nth(5).expect("a pixel");
        assert_eq!(pixel, [5.0, 0.0, 1.0]);
    }

    #[test]
    fn results_of_a_wrong_size_and_missing_files_are_told() {
        let spec = spec(16, 16, 1);
        let error = assemble(&spec, 2, |_| Ok::<_, ()>(Some(vec![0; 7]))).expect_err("a wrong size");
        assert!(matches!(error, AssembleError::Size { element: 0, found: 7, expected: 3072 }));
        assert!(matches!(assemble(&spec, 2, |_| Err("gone")), Err(AssembleError::Read("gone"))));
    }
}
