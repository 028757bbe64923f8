//! Runs kernels. A warp's 32 lanes run in step, the lanes that are furthest behind first, so that ways that
//! parted meet again; a block's warps run one after the other between barriers; blocks run on several threads.

mod access;
mod block;
mod grid;
mod lanes;
#[cfg(test)]
mod tests;
mod warp;

use std::fmt;

pub(crate) use grid::{Launch, run};

/// What a kernel did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// An access outside of all memory, or to what it may not write.
    Address(u64),
    /// An address that is not a multiple of what is accessed.
    Alignment(u64),
    /// Threads of a block wait at a barrier that others do not come to.
    Barrier,
    /// Functions call each other deeper than local memory reaches.
    Stack,
    /// `trap`.
    Trap,
    /// An index past the table of `brx.idx`.
    Index,
}

/// A wrong step of one thread, found in one launch.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) wrong: Wrong,
    pub(crate) block: [u32; 3],
    pub(crate) thread: [u32; 3],
    /// The line of the PTX text.
    pub(crate) line: u32,
    /// More about the address.
    pub(crate) detail: String,
}

impl Fault {
    /// The `CUresult` that the context gives from now on.
    pub(crate) fn code(&self) -> u32 {
        match self.wrong {
            Wrong::Address(_) => 700,
            Wrong::Alignment(_) => 716,
            Wrong::Trap => 719,
            Wrong::Barrier | Wrong::Stack | Wrong::Index => 719,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.wrong {
            Wrong::Address(address) => write!(f, "out-of-bounds access to {address:#x} ({})", self.detail)?,
            Wrong::Alignment(address) => write!(f, "misaligned access to {address:#x}")?,
            Wrong::Barrier => f.write_str("barrier divergence: not all threads of the block reach the same barrier")?,
            Wrong::Stack => f.write_str("calls deeper than local memory")?,
            Wrong::Trap => f.write_str("trap")?,
            Wrong::Index => f.write_str("an index past its branch table")?,
        }
        let ([bx, by, bz], [tx, ty, tz]) = (self.block, self.thread);
        write!(f, " by block ({bx}, {by}, {bz}) thread ({tx}, {ty}, {tz}) at PTX line {}", self.line)
    }
}
