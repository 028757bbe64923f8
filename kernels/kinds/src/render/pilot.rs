//! What a frame's elements cost, counted on a few paths of each block.
//!
//! Paths are drawn block by block, spread over the block's pixels and over the samples by a random sequence that is the
//! same each time. What neighbouring blocks cost is smoothed over them, by weights under which the sum stays what it is.

use super::fast;
use super::grid::Grid;
use super::math::{float, integer};
use super::rng::{pcg4d, unit};
use super::scene::Scene;
use super::settings::{Aovs, BLOCK, Settings};
use super::spec::Spec;
use super::trace::{Cost, OPERATIONS};
use crate::range::Pilot;

/// Paths that are counted in all of a job's frames together, if each cell has enough by that.
const PATHS: u64 = 1 << 17;
/// Paths of each cell: enough that a cell says something, not more than its block has pixels.
const CELL_PATHS: [u64; 2] = [16, 256];
/// Samples among which a path's is drawn.
const SAMPLES: u32 = 64;

/// How often a path does each operation, in the mean.
type Mean = [f64; OPERATIONS.len()];

/// Where a job's paths are counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    grid: Grid,
    size: [u32; 2],
    max_depth: u32,
    /// Blocks that are one cell.
    pub(super) run: u64,
    cell_paths: u64,
}

impl Plan {
    pub(super) fn of(spec: &Spec) -> Self {
        let grid = Grid::of(spec);
        let (blocks, frames) = (grid.blocks(), u64::from(grid.frames));
        let run = blocks.div_ceil((Pilot::CELLS_MAX / frames).max(1));
        let cell_paths = (PATHS / (blocks.div_ceil(run) * frames)).clamp(CELL_PATHS[0], CELL_PATHS[1]);
        Self { grid, size: [spec.width, spec.height], max_depth: spec.max_depth, run, cell_paths }
    }

    /// The counts of each cell of a frame, for one of its elements.
    pub(super) fn counts(&self, scene: &Scene, seed: u32) -> Vec<Vec<u64>> {
        let samples = self.grid.samples.min(SAMPLES);
        let settings = Settings::new(self.size, samples, 1, self.max_depth, seed, Aovs::default());
        let settings = settings.expect("a spec's bounds are narrower than those of settings");
        let cells = self.grid.blocks().div_ceil(self.run);
        let sums: Vec<Mean> = (0..cells).map(|cell| self.cell(scene, &settings, cell)).collect();
        let means = self.smoothed(&sums);
        let passes = f64::from(self.grid.passes);
        let element = f64::from(self.grid.samples) / passes;
        let counts = (0..cells).zip(means).map(|(cell, mean)| {
            let pixels = self.pixels(cell);
            mean.iter().map(|number| whole(number * pixels * element)).collect()
        });
        counts.collect()
    }

    /// What a path of a cell costs in the mean.
    fn cell(&self, scene: &Scene, settings: &Settings, cell: u64) -> Mean {
        let blocks = self.blocks(cell);
        let length = blocks.end - blocks.start;
        let mut cost = Cost::default();
        for path in 0..self.cell_paths {
            let block = blocks.start + path * length / self.cell_paths;
            let [corner, size] = self.inside(block);
            // The path's own sixteenth of the block, and a random place in it.
            let [u, v, sample, _] = pcg4d(small(path), small(cell), settings.seed(), PILOT_SEED);
            let part = small((path * 5 + cell) % 16);
            let at = |part: u32, within: u32, size: u32| {
                let place = (float(part) + unit(within)) * 0.25 * float(size);
                integer(place).min(size - 1)
            };
            let (x, y) = (at(part % 4, u, size[0]), at(part / 4, v, size[1]));
            let pixel = y * BLOCK + x;
            let sample = sample % settings.samples();
            let element = sample * small(self.grid.blocks()) + small(block);
            debug_assert_eq!(settings.element(element).origin, corner);
            cost += fast::pixels(scene, settings, element, pixel..pixel + 1).1;
        }
        cost.counts(self.cell_paths).map(|count| count as f64 / self.cell_paths as f64)
    }

    fn blocks(&self, cell: u64) -> std::ops::Range<u64> {
        cell * self.run..((cell + 1) * self.run).min(self.grid.blocks())
    }

    /// The corner of a block, and its size within the picture.
    fn inside(&self, block: u64) -> [[u32; 2]; 2] {
        let columns = u64::from(self.grid.blocks_x);
        let corner = [small(block % columns) * BLOCK, small(block / columns) * BLOCK];
        let size = [0, 1].map(|axis| (self.size[axis] - corner[axis]).min(BLOCK));
        [corner, size]
    }

    /// Pixels of a cell's block within the picture, in the mean.
    fn pixels(&self, cell: u64) -> f64 {
        let blocks = self.blocks(cell);
        let length = (blocks.end - blocks.start) as f64;
        let pixels: u64 = blocks.map(|block| self.inside(block)[1].map(u64::from).iter().product::<u64>()).sum();
        pixels as f64 / length
    }

    /// Each cell with a quarter of each neighbour's difference, along rows and, where a cell is a block, columns. A cell
    /// at the border is its own neighbour.
    fn smoothed(&self, cells: &[Mean]) -> Vec<Mean> {
        let columns = if self.run == 1 { self.grid.blocks_x as usize } else { cells.len() };
        let rows = cells.len() / columns;
        let along = |cells: &[Mean], place: &dyn Fn(usize, usize, isize) -> usize| -> Vec<Mean> {
            let mut smooth = Vec::with_capacity(cells.len());
            for row in 0..rows {
                for column in 0..columns {
                    let [before, own, after] = [-1, 0, 1].map(|step| cells[place(column, row, step)]);
                    smooth.push(std::array::from_fn(|at| 0.25 * (before[at] + after[at]) + 0.5 * own[at]));
                }
            }
            smooth
        };
        let moved = |at: usize, step: isize, length: usize| at.saturating_add_signed(step).min(length - 1);
        let across = along(cells, &|column, row, step| row * columns + moved(column, step, columns));
        along(&across, &|column, row, step| moved(row, step, rows) * columns + column)
    }
}

/// Names the pilot's random numbers.
const PILOT_SEED: u32 = 0x70_69_6c_6f;

fn small(number: u64) -> u32 {
    u32::try_from(number).expect("blocks, cells and their paths are below 2^32")
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are positive and far below 2^53")]
fn whole(number: f64) -> u64 {
    number.round() as u64
}
