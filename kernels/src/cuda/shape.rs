//! How a kernel is launched: what a card's tuning chooses.

use std::fmt;

use cudarc::driver::CudaFunction;
use lode_kinds::hash::Algorithm;
use serde::{Deserialize, Serialize};

use super::fault::{Doing as _, Fault};

/// Threads of a block that tuning tries, beside what the driver proposes.
const BLOCKS: [u32; 4] = [64, 128, 256, 512];

/// How a kernel is launched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shape {
    /// Threads of a block.
    pub(super) block: u32,
}

impl Shape {
    /// Everything that tuning tries, what the driver proposes for the kernel's registers and the card's first.
    ///
    /// # Errors
    /// When the driver cannot tell.
    pub(super) fn candidates(function: &CudaFunction) -> Result<Vec<Self>, Fault> {
        let limit = function.max_threads_per_block().doing("asking for the longest block")?;
        let limit = u32::try_from(limit).unwrap_or(0).max(1);
        let (_, proposed) = function
            .occupancy_max_potential_block_size(no_shared_memory, 0, 0, None)
            .doing("asking for the block that fills the card")?;
        let proposed = proposed.clamp(1, limit);
        let others = BLOCKS.into_iter().filter(|block| *block <= limit && *block != proposed);
        Ok(std::iter::once(proposed).chain(others).map(|block| Self { block }).collect())
    }

    /// Whether a launch of this shape can run, whatever a cache says.
    pub(super) fn suits(self, function: &CudaFunction) -> bool {
        let limit = function.max_threads_per_block().ok().and_then(|limit| u32::try_from(limit).ok());
        limit.is_some_and(|limit| (1..=limit).contains(&self.block))
    }

    /// Blocks that try `count` nonces with `algorithm`.
    pub(super) fn blocks(self, algorithm: Algorithm, count: u64) -> u32 {
        let threads = match algorithm {
            Algorithm::Sha256d | Algorithm::Scrypt => count,
        };
        u32::try_from(threads.div_ceil(u64::from(self.block))).expect("a launch is no longer than LAUNCH_MAX")
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blocks of {}", self.block)
    }
}

/// The kernels' shared memory for a block of some size, as the driver asks for it.
extern "C" fn no_shared_memory(_: std::ffi::c_int) -> usize {
    0
}
