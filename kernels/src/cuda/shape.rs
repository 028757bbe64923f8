//! How a kernel is compiled and launched: what a card's tuning chooses.

use std::fmt;

use cudarc::driver::CudaFunction;
use lode_kinds::hash::Algorithm;
use serde::{Deserialize, Serialize};

use super::fault::{Doing as _, Fault};
use crate::scratch;
use crate::search::SLOTS;

/// Threads of a block that tuning tries, beside what the driver proposes.
const BLOCKS: [u32; 4] = [64, 128, 256, 512];
/// The same for kernels with scratch memory, which wait for memory more than for anything else.
const BLOCKS_WITH_SCRATCH: [u32; 2] = [32, 128];
/// Nonces that a thread of SHA-256d tries: so many that what is done once a thread costs nothing.
const STEPS: u32 = 16;
/// Lookup gaps that tuning tries: every how many blocks of scrypt one is kept.
const GAPS: [u32; 3] = [1, 2, 4];

/// A way to compile a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Variant {
    /// A thread tries so many nonces, one after the other.
    Steps(u32),
    /// A thread has scratch memory and takes turns; every how many blocks of scrypt one is kept.
    Gap(u32),
}

impl Variant {
    /// The ways to compile the algorithm's kernel.
    pub(super) fn all(algorithm: Algorithm) -> Vec<Self> {
        match algorithm {
            Algorithm::Sha256d => vec![Self::Steps(STEPS)],
            Algorithm::Scrypt => GAPS.map(Self::Gap).to_vec(),
        }
    }

    /// Whether searches with the algorithm take as much of the card's memory as they can get.
    pub(super) fn is_hungry(algorithm: Algorithm) -> bool {
        Self::all(algorithm).iter().any(|variant| matches!(variant, Self::Gap(_)))
    }

    /// The macros that it is compiled with.
    pub(super) fn defines(self) -> Vec<String> {
        match self {
            Self::Steps(steps) => vec![format!("STEPS={steps}")],
            Self::Gap(gap) => vec![format!("LOOKUP_GAP={gap}")],
        }
    }

    /// Words of scratch memory that a thread needs.
    fn words(self) -> u64 {
        match self {
            Self::Steps(_) => 0,
            Self::Gap(gap) => scratch::words(1, gap) as u64,
        }
    }
}

/// How a kernel is compiled and launched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shape {
    variant: Variant,
    /// Threads of a block.
    block: u32,
    /// Threads of a launch at most. With more nonces than that, they take turns.
    threads_max: u32,
}

impl Shape {
    /// The macros that the kernel is compiled with.
    pub(super) fn defines(self) -> Vec<String> {
        self.variant.defines()
    }

    /// Everything that tuning tries of a kernel compiled so, what the driver proposes for its registers and the card's first.
    /// All launches in flight together use no more than `memory_bytes`.
    ///
    /// # Errors
    /// When the driver cannot tell, or the memory is too little for a single block of threads.
    pub(super) fn candidates(function: &CudaFunction, variant: Variant, memory_bytes: u64) -> Result<Vec<Self>, Fault> {
        let limit = block_max(function)?;
        let (grid, proposed) = function
            .occupancy_max_potential_block_size(no_shared_memory, 0, 0, None)
            .doing("asking for the block that fills the card")?;
        let (blocks, threads_max) = match variant {
            Variant::Steps(_) => {
                let proposed = proposed.clamp(1, limit);
                let others = BLOCKS.into_iter().filter(|block| *block != proposed);
                (std::iter::once(proposed).chain(others).collect(), u32::MAX)
            }
            // The launches in flight fill the card together.
            Variant::Gap(_) => (BLOCKS_WITH_SCRATCH.to_vec(), grid.saturating_mul(proposed).div_ceil(2)),
        };
        let blocks: Vec<u32> = blocks.into_iter().filter(|block| *block <= limit).collect();
        let shape = |block| Self { variant, block, threads_max }.within(memory_bytes);
        let candidates: Vec<_> = blocks.iter().filter_map(|block| shape(*block)).collect();
        if candidates.is_empty() {
            let what = "the scratch memory of one block of threads a launch";
            let block = blocks.into_iter().min().unwrap_or(1);
            let needed_bytes = 4 * variant.words() * u64::from(block) * SLOTS as u64;
            return Err(Fault::Memory { what, needed_bytes, free_bytes: Some(memory_bytes) });
        }
        Ok(candidates)
    }

    /// This shape with as many threads as the memory allows, if it allows a block of them.
    pub(super) fn within(mut self, memory_bytes: u64) -> Option<Self> {
        let Variant::Gap(_) = self.variant else { return Some(self) };
        let threads = memory_bytes / SLOTS as u64 / (4 * self.variant.words());
        let threads = u32::try_from(threads).unwrap_or(u32::MAX).min(self.threads_max.max(self.block));
        self.threads_max = threads - threads % self.block;
        (self.threads_max > 0).then_some(self)
    }

    /// This shape, if tuning can have found it, whatever a cache says.
    pub(super) fn possible(self, algorithm: Algorithm) -> Option<Self> {
        let threads = match self.variant {
            Variant::Steps(_) => self.threads_max == u32::MAX,
            Variant::Gap(_) => self.threads_max > 0,
        };
        (self.block > 0 && threads && Variant::all(algorithm).contains(&self.variant)).then_some(self)
    }

    /// Whether the compiled kernel runs in blocks of this size.
    pub(super) fn suits(self, function: &CudaFunction) -> bool {
        block_max(function).is_ok_and(|limit| self.block <= limit)
    }

    /// Blocks, and threads of a block, that try `count` nonces.
    pub(super) fn grid(self, count: u64) -> (u32, u32) {
        let threads = match self.variant {
            Variant::Steps(steps) => count.div_ceil(u64::from(steps)),
            Variant::Gap(_) => count,
        };
        let blocks = threads.min(u64::from(self.threads_max)).div_ceil(u64::from(self.block));
        (u32::try_from(blocks).expect("a launch is no longer than LAUNCH_MAX"), self.block)
    }

    /// Words of scratch memory for a launch of so many blocks, and for the longest launch, where the kernel has any.
    pub(super) fn scratch_words(self, blocks: u32) -> Option<(u64, u64)> {
        let Variant::Gap(_) = self.variant else { return None };
        let each = self.variant.words();
        Some((u64::from(blocks) * u64::from(self.block) * each, u64::from(self.threads_max) * each))
    }

    /// Nonces that are worth measuring at first, and those that keep all threads of all launches in flight busy.
    pub(super) fn measured(self) -> (u64, u64) {
        match self.variant {
            Variant::Steps(_) => (1 << 8, 0),
            Variant::Gap(_) => (SLOTS as u64, SLOTS as u64 * u64::from(self.threads_max)),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blocks of {}", self.block)?;
        match self.variant {
            Variant::Steps(steps) => write!(f, ", {steps} nonces a thread"),
            Variant::Gap(gap) => write!(f, ", lookup gap {gap}, {} threads", self.threads_max),
        }
    }
}

fn block_max(function: &CudaFunction) -> Result<u32, Fault> {
    let limit = function.max_threads_per_block().doing("asking for the longest block")?;
    Ok(u32::try_from(limit).unwrap_or(0).max(1))
}

/// The kernels' shared memory for a block of some size, as the driver asks for it.
extern "C" fn no_shared_memory(_: std::ffi::c_int) -> usize {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrypt(gap: u32, threads_max: u32) -> Shape {
        Shape { variant: Variant::Gap(gap), block: 32, threads_max }
    }

    #[test]
    fn memory_bounds_the_threads_of_all_launches_together() {
        let bytes_of_a_thread = 128 * 1024;
        for (gap, memory, threads) in [
            (1, 2 * 64 * bytes_of_a_thread, Some(64)),
            (2, 2 * 64 * bytes_of_a_thread, Some(128)),
            (1, 2 * 63 * bytes_of_a_thread, Some(32)),
            (1, 2 * 32 * bytes_of_a_thread - 1, None),
            (4, u64::MAX, Some(1024)),
        ] {
            let fitted = scrypt(gap, 1024).within(memory);
            assert_eq!(fitted, threads.map(|threads| scrypt(gap, threads)), "gap {gap}, {memory} bytes");
            if let Some((_, words)) = fitted.and_then(|shape| shape.scratch_words(1)) {
                assert!(u128::from(words) * 4 * 2 <= u128::from(memory));
            }
        }
    }

    #[test]
    fn what_tuning_cannot_have_found_is_not_taken_from_a_cache() {
        let steps = Shape { variant: Variant::Steps(STEPS), block: 128, threads_max: u32::MAX };
        assert_eq!(steps.possible(Algorithm::Sha256d), Some(steps));
        assert_eq!(scrypt(2, 64).possible(Algorithm::Scrypt), Some(scrypt(2, 64)));
        for (shape, algorithm) in [
            (Shape { block: 0, ..steps }, Algorithm::Sha256d),
            (Shape { threads_max: 256, ..steps }, Algorithm::Sha256d),
            (Shape { variant: Variant::Steps(0), ..steps }, Algorithm::Sha256d),
            (steps, Algorithm::Scrypt),
            (scrypt(0, 64), Algorithm::Scrypt),
            (scrypt(8, 64), Algorithm::Scrypt),
            (scrypt(1, 0), Algorithm::Scrypt),
        ] {
            assert_eq!(shape.possible(algorithm), None, "{shape:?}");
        }
    }

    #[test]
    fn a_launch_has_a_thread_a_nonce_until_memory_bounds_it() {
        let steps = Shape { variant: Variant::Steps(16), block: 128, threads_max: u32::MAX };
        assert_eq!(steps.grid(16 * 1000), (8, 128));
        assert_eq!((steps.grid(1), steps.scratch_words(1)), ((1, 128), None));
        assert_eq!(scrypt(1, 64).grid(1), (1, 32));
        assert_eq!(scrypt(1, 64).grid(1000), (2, 32));
        assert_eq!(scrypt(2, 64).scratch_words(1), Some((32 * 16 * 1024, 64 * 16 * 1024)));
    }
}
